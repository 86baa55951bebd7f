//! What holds for every column: bounds, symmetry under duplication, two routes with one answer.

use super::degenerate::assert_sound;
use super::*;

/// Columns of many shapes and lengths, with and without ties and missing values.
fn seeded_column(seed: u64) -> Vec<f64> {
    let mut generator = Generator(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut rows = 1;
    for _ in 0..generator.below(4) as usize + 1 {
        rows *= generator.below(9) as usize + 2;
    }
    let (steps, scale, shift) =
        (1 + generator.below(200), generator.uniform() * 10.0, f64::from(generator.below(3)));
    let gaps = generator.uniform() * 0.4;
    (0..rows)
        .map(|_| {
            if generator.uniform() < gaps {
                return f64::NAN;
            }
            let value =
                if steps > 100 { generator.uniform() } else { f64::from(generator.below(steps)) };
            value * scale + shift
        })
        .collect()
}

fn seeded_categories(seed: u64) -> Named {
    const NAMES: [&str; 6] = ["", "a", "b", "c", "d", "e"];
    let mut generator = Generator(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mut rows = Vec::new();
    for _ in 0..generator.below(7) as usize + 1 {
        rows.push((NAMES[generator.below(6) as usize], generator.below(50) as usize + 1));
    }
    Named::of(&rows)
}

/// The definitions taken literally, over every pooled value.
fn by_definition(reference: &[f64], current: &[f64]) -> Option<(f64, f64)> {
    let sorted = |values: &[f64]| {
        let mut values = values.iter().copied().filter(|v| !v.is_nan()).collect::<Vec<_>>();
        values.sort_by(f64::total_cmp);
        values
    };
    let (reference, current) = (sorted(reference), sorted(current));
    let share = |values: &[f64], limit: f64| {
        values.iter().filter(|value| **value <= limit).count() as f64 / values.len() as f64
    };
    let mut pooled = [reference.clone(), current.clone()].concat();
    pooled.sort_by(f64::total_cmp);
    if reference.is_empty() || current.is_empty() {
        return None;
    }
    let (mut statistic, mut area) = (0.0_f64, 0.0);
    for (place, &value) in pooled.iter().enumerate() {
        let difference = (share(&reference, value) - share(&current, value)).abs();
        statistic = statistic.max(difference);
        area += difference * pooled.get(place + 1).map_or(0.0, |next| next - value);
    }
    let rows = reference.len() as f64;
    let mean = reference.iter().sum::<f64>() / rows;
    let variance = reference.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / rows;
    Some((statistic, area / variance.sqrt()))
}

#[test]
fn skipping_over_the_reference_gives_what_the_definition_gives() {
    let mut measured = 0;
    for seed in 0..400 {
        let (reference, current) = (seeded_column(2 * seed), seeded_column(2 * seed + 1));
        let found = compare_numbers(&reference, &current);
        let expected = by_definition(&reference, &current);
        assert_eq!(found.ks.is_some(), expected.is_some(), "seed {seed}");
        if let (Some(ks), Some((statistic, distance))) = (found.ks, expected) {
            assert!((ks.statistic - statistic).abs() < 1e-12, "seed {seed}");
            if let Some(wasserstein) = found.wasserstein {
                assert!((wasserstein - distance).abs() <= 1e-11 * distance.max(1.0), "seed {seed}");
                measured += 1;
            }
        }
    }
    assert!(measured > 300, "{measured}");
}

#[test]
fn scores_are_sound_and_do_not_grow_with_the_number_of_rows() {
    for seed in 0..300 {
        let (reference, current) = (seeded_column(3 * seed), seeded_column(7 * seed + 1));
        let once = compare_numbers(&reference, &current);
        let twice = compare_numbers(&reference.repeat(2), &current.repeat(2));
        let (before, after) = (seeded_categories(3 * seed), seeded_categories(7 * seed + 1));
        let names_once = compare(before.values(), after.values());
        let values = |named: &Named| (named.codes.repeat(3), named.names.clone());
        let (before, after) = (values(&before), values(&after));
        let names_thrice = compare(
            Values::Categorical { codes: &before.0, names: &before.1 },
            Values::Categorical { codes: &after.0, names: &after.1 },
        );
        for column in [&once, &twice, &names_once, &names_thrice] {
            assert_sound(column);
        }
        assert!((once.score - twice.score).abs() < 1e-12, "seed {seed}: {once:?}");
        // More rows leave less to chance, and that is all.
        let (few, many) = (names_once.score, names_thrice.score);
        assert!(few <= many + 1e-12, "seed {seed}: {few} {many}");
    }
}

#[test]
fn exact_p_values_agree_with_every_order_of_a_few_values() {
    // Without ties, all ways to choose which of the pooled values belong to the reference.
    for (m, n) in [(1, 2), (3, 4), (5, 5), (2, 7), (6, 4), (1, 1), (5, 8)] {
        let statistics = (0_u32..1 << (m + n))
            .filter(|chosen| chosen.count_ones() == m)
            .map(|chosen| {
                let (mut x, mut y, mut gap) = (0_u64, 0_u64, 0);
                for place in 0..m + n {
                    if chosen >> place & 1 == 1 {
                        x += 1;
                    } else {
                        y += 1;
                    }
                    gap = gap.max((x * u64::from(n)).abs_diff(y * u64::from(m)));
                }
                gap
            })
            .collect::<Vec<_>>();
        for &gap in &statistics {
            let as_far = statistics.iter().filter(|other| **other >= gap).count();
            let expected = as_far as f64 / statistics.len() as f64;
            assert_near(kolmogorov_smirnov::test([m, n], gap).p_value, expected, 1e-13);
        }
    }
}

fn scored(name: &str, score: f64) -> ColumnDrift {
    let mut column = compare_numbers(&[1.0], &[1.0]);
    column.name = name.to_owned();
    column.score = score;
    column
}

#[test]
fn columns_weigh_by_importance() {
    let columns = || vec![scored("a", 0.4), scored("b", 0.1), scored("c", 0.1)];
    let rows = RowCounts { reference: 10, current: 5 };
    let score = |importance: Option<&[f64]>| summarise(columns(), importance, 0.3, rows).unwrap();
    assert_near(score(None).score, 0.2, 1e-12);
    assert_near(score(Some(&[0.0; 3])).score, 0.2, 1e-12);
    assert_near(score(Some(&[30.0, 10.0, 0.0])).score, 0.325, 1e-12);
    assert_near(score(Some(&[f64::MAX; 3])).score, 0.2, 1e-12);
    let drift = score(Some(&[3.0, 1.0, 0.0]));
    assert!(drift.drifted && !score(None).drifted);
    assert_eq!(drift.columns.iter().map(|c| c.drifted).collect::<Vec<_>>(), [true, false, false]);
    assert_eq!((drift.rows, drift.threshold), (rows, 0.3));
    assert!(summarise(vec![scored("a", 0.3)], None, 0.3, rows).unwrap().drifted);
    assert_eq!(summarise(Vec::new(), None, 0.3, rows).unwrap().score, 0.0);
}

#[test]
fn unusable_importances_are_refused() {
    let rows = RowCounts { reference: 10, current: 5 };
    let summary = |importance: &[f64], threshold| {
        summarise(vec![scored("a", 0.4), scored("b", 0.1)], Some(importance), threshold, rows)
    };
    assert_eq!(summary(&[1.0], 0.3), Err(Error::ImportanceCount { found: 1, expected: 2 }));
    let wrong = Error::Importance { column: "b".to_owned(), value: -1.0 };
    assert_eq!(summary(&[1.0, -1.0], 0.3), Err(wrong));
    assert!(matches!(summary(&[f64::NAN, 1.0], 0.3), Err(Error::Importance { .. })));
    assert_eq!(summary(&[1.0, 1.0], f64::NAN), Err(Error::Threshold));
}

#[test]
fn results_keep_their_names_and_numbers_as_json() {
    let rows = RowCounts { reference: 900, current: 650 };
    let columns = vec![compare_numbers(&integers(7, 900, 7), &integers(8, 650, 8))];
    let drift = summarise(columns, None, 0.3, rows).unwrap();
    let json = serde_json::to_value(&drift).unwrap();
    assert_eq!(json["rows"]["reference"], 900);
    assert_eq!(json["columns"][0]["kind"], "numeric");
    assert!(json["columns"][0]["ks"]["p_value"].is_number());
    assert!(json["columns"][0]["chi_square"]["cramers_v"].is_number());
    assert_eq!(json["columns"][0]["missing"]["current"], 0.0);
    let text = serde_json::to_string(&drift).unwrap();
    assert_eq!(serde_json::from_str::<Drift>(&text).unwrap(), drift);
}
