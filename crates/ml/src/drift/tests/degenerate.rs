//! Columns that say little or nothing: constant, missing, empty, refused.

use super::*;

const GAP: f64 = f64::NAN;

/// No number of a result is NaN or infinite, and shares and scores lie in [0, 1].
pub(super) fn assert_sound(column: &ColumnDrift) {
    let mut shares = vec![column.score, column.missing.reference, column.missing.current];
    shares.push(column.out_of_range);
    shares.extend(column.jensen_shannon);
    shares.extend(column.ks.iter().flat_map(|ks| [ks.statistic, ks.p_value]));
    shares.extend(column.chi_square.iter().flat_map(|test| [test.p_value, test.cramers_v]));
    shares.extend(column.new_categories.iter().map(|category| category.share));
    shares.extend(column.vanished_categories.iter().map(|category| category.share));
    assert!(shares.iter().all(|share| (0.0..=1.0).contains(share)), "{column:?}");
    let unbounded = [column.wasserstein, column.psi, column.chi_square.map(|test| test.statistic)];
    assert!(
        unbounded.into_iter().flatten().all(|number| number.is_finite() && number >= 0.0),
        "{column:?}"
    );
}

#[test]
fn a_window_against_itself_has_not_moved_at_all() {
    let numbers = sample(1, 3_000, 0.0, 1.0);
    let names = Named::of(&[("a", 5), ("", 2), ("b", 3)]);
    for values in [Values::Numeric(&numbers), names.values()] {
        let found = compare(values, values);
        assert_sound(&found);
        assert_eq!((found.score, found.out_of_range), (0.0, 0.0));
        assert_eq!((found.jensen_shannon, found.psi), (Some(0.0), Some(0.0)));
        assert_eq!(found.chi_square.map(|test| (test.statistic, test.p_value)), Some((0.0, 1.0)));
    }
    let found = compare_numbers(&numbers, &numbers);
    assert_eq!(found.ks, Some(KolmogorovSmirnov { statistic: 0.0, p_value: 1.0 }));
    assert_eq!(found.wasserstein, Some(0.0));
}

#[test]
fn the_same_constant_has_not_moved() {
    let found = compare_numbers(&[5.0; 30], &[5.0; 8]);
    assert_sound(&found);
    assert_eq!(found.score, 0.0);
    assert_eq!(found.wasserstein, Some(0.0));
    assert_eq!(found.jensen_shannon, Some(0.0));
    assert_eq!(found.psi, Some(0.0));
    assert_eq!(found.chi_square.unwrap().degrees_of_freedom, 0);
}

#[test]
fn another_constant_has_moved_fully_but_in_no_unit() {
    for current in [4.999, 5.001] {
        let found = compare_numbers(&[5.0; 30], &[current; 8]);
        assert_sound(&found);
        assert_eq!(found.score, 1.0);
        assert_eq!(found.wasserstein, None);
        assert_eq!(found.jensen_shannon, Some(1.0));
        assert!(found.psi.unwrap() > 10.0, "{:?}", found.psi);
        assert_near(found.chi_square.unwrap().cramers_v, 1.0, 1e-12);
        assert_eq!(found.out_of_range, 1.0);
    }
}

#[test]
fn values_beside_a_dominant_one_are_seen_on_either_side() {
    let mut reference = vec![1.0; 95];
    reference.extend([0.0; 5]);
    let mut current = vec![1.0; 60];
    current.extend([0.0; 40]);
    let found = compare_numbers(&reference, &current);
    assert_near(found.psi.unwrap(), 0.35 * 8_f64.ln() + 0.35 * (95.0_f64 / 60.0).ln(), 1e-12);
    for values in [&mut reference, &mut current] {
        values.iter_mut().for_each(|value| *value = 2.0 - *value);
    }
    assert_near(compare_numbers(&reference, &current).psi.unwrap(), found.psi.unwrap(), 1e-12);
}

#[test]
fn a_column_missing_on_one_side_scores_the_change_of_its_missing_rate() {
    let half = [1.0, 2.0, GAP, GAP];
    let names = Named::of(&[("a", 1), ("b", 1), ("", 2)]);
    let no_names = Named::of(&[("", 4)]);
    for (some, none) in
        [(Values::Numeric(&half), Values::Numeric(&[GAP; 4])), (names.values(), no_names.values())]
    {
        for (reference, current, rate_change) in [(some, none, 0.5), (none, some, -0.5)] {
            let found = compare(reference, current);
            assert_sound(&found);
            assert_eq!(found.score, 0.5);
            assert_eq!(found.missing_rate_change(), rate_change);
            assert_eq!((found.ks, found.wasserstein), (None, None));
            assert_eq!((found.jensen_shannon, found.psi, found.chi_square), (None, None, None));
            assert_eq!(found.out_of_range, if rate_change < 0.0 { 1.0 } else { 0.0 });
            assert_eq!(found.vanished_categories, []);
        }
        assert_eq!(compare(none, none).score, 0.0);
        assert_sound(&compare(none, none));
    }
}

#[test]
fn missing_values_count_only_where_their_share_changes() {
    let full = sample(5, 1_000, 0.0, 1.0);
    let shifted = sample(6, 700, 0.02, 1.1);
    let statistic = compare_numbers(&full, &shifted).score;
    let with_gaps = |values: &[f64], gaps: usize| -> Vec<f64> {
        values.iter().copied().chain(std::iter::repeat_n(GAP, gaps)).collect()
    };
    let unchanged = compare_numbers(&with_gaps(&full, 1_000), &with_gaps(&shifted, 700));
    assert_eq!(unchanged.score, statistic);
    assert_eq!(unchanged.missing, Shares { reference: 0.5, current: 0.5 });
    let changed = compare_numbers(&full, &with_gaps(&shifted, 2_100));
    assert_eq!(changed.score, 0.75);
    assert_eq!(changed.ks, compare_numbers(&full, &shifted).ks);
}

#[test]
fn new_and_vanished_categories_are_named_with_their_shares() {
    let reference = Named::of(&[("ash", 2), ("beech", 6), ("cedar", 2), ("", 10)]);
    // Another dictionary: another order, a category twice, one that does not occur.
    let current =
        Named::of(&[("elm", 1), ("fir", 2), ("beech", 2), ("ash", 0), ("cedar", 2), ("beech", 3)]);
    let found = compare(reference.values(), current.values());
    assert_sound(&found);
    let share = |name: &str, share| CategoryShare { name: name.to_owned(), share };
    assert_eq!(found.new_categories, [share("fir", 0.2), share("elm", 0.1)]);
    assert_eq!(found.vanished_categories, [share("ash", 0.2)]);
    assert_near(found.out_of_range, 0.3, 1e-12);
    assert_eq!(found.chi_square.unwrap().degrees_of_freedom, 4);
    assert_eq!(found.missing, Shares { reference: 0.5, current: 0.0 });
}

#[test]
fn a_hundred_new_categories_are_named_at_most() {
    let names = (0..500).map(|k| format!("user {k}")).collect::<Vec<_>>();
    let rows = names.iter().map(|name| (name.as_str(), 1)).collect::<Vec<_>>();
    let found = compare(Named::of(&[("a", 1)]).values(), Named::of(&rows).values());
    assert_eq!(found.new_categories.len(), 100);
    assert_eq!(found.out_of_range, 1.0);
}

#[test]
fn numbers_outside_the_reference_are_counted() {
    let found = compare_numbers(&[0.0, 1.0, 2.0], &[-1.0, 0.0, 1.0, 2.0, 2.5, GAP]);
    assert_near(found.out_of_range, 0.4, 1e-12);
}

#[test]
fn the_largest_and_smallest_numbers_do_not_overflow() {
    let huge = [f64::MAX, f64::MIN, 0.0, 1e300];
    let tiny = [5e-324, 0.0, -0.0, 1e-310];
    for (reference, current) in [(huge, tiny), (tiny, huge), (huge, huge), (tiny, tiny)] {
        assert_sound(&compare_numbers(&reference, &current));
    }
    assert_sound(&compare_numbers(&[f64::MIN; 3], &[f64::MAX; 3]));
    assert_eq!(compare_numbers(&[0.0, -0.0], &[-0.0]).score, 0.0);
}

#[test]
fn refused_windows_name_column_side_and_row() {
    let numbers = Reference::new("fare", Values::Numeric(&[1.0, 2.0])).unwrap();
    let names = Named::of(&[("a", 2)]);
    let (column, side) = ("fare".to_owned(), Side::Current);
    assert_eq!(
        numbers.compare(Values::Numeric(&[])),
        Err(Error::Empty { column: column.clone(), side })
    );
    assert_eq!(
        numbers.compare(Values::Numeric(&[1.0, GAP, f64::NEG_INFINITY])),
        Err(Error::Infinite { column: column.clone(), side, row: 2 })
    );
    let changed = numbers.compare(names.values()).unwrap_err();
    assert_eq!(
        changed.to_string(),
        "column `fare` is numeric in the reference window and categorical in the current one: read \
         both with the same schema"
    );
    let side = Side::Reference;
    assert_eq!(
        Reference::new("fare", Values::Categorical { codes: &[], names: &[] }),
        Err(Error::Empty { column: column.clone(), side })
    );
    assert_eq!(
        Reference::new(
            "fare",
            Values::Categorical { codes: &[0, MISSING, 1], names: &names.names }
        ),
        Err(Error::UnknownCode { column, side, row: 2, code: 1, categories: 1 })
    );
}
