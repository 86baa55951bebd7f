//! Categories: exact while names fit, bounded afterwards, in the millions too.

use std::collections::HashSet;

use super::*;

const TIGHT_BYTES: usize = 64 * 1024;

/// Codes drawn evenly from `categories`, a share `heavy` of them the first one instead.
fn codes(seed: u64, rows: usize, categories: std::ops::Range<u32>, heavy: f64) -> Vec<u32> {
    let mut rng = Rng::new(seed);
    let length = categories.len();
    let draw = |_| match rng.uniform() {
        lot if lot < heavy => 0,
        lot if lot > 0.99 => MISSING,
        _ => categories.start + u32::try_from(rng.below(length)).unwrap(),
    };
    (0..rows).map(draw).collect()
}

fn names(count: u32) -> Vec<String> {
    (0..count).map(|k| format!("user {k:07}")).collect()
}

#[test]
fn names_that_fit_are_compared_exactly() {
    let (names, other) = (names(300), names(400));
    let (before, now) = (codes(1, 40_000, 0..250, 0.1), codes(2, 30_000, 40..380, 0.2));
    let before = Values::Categorical { codes: &before, names: &names };
    let now = Values::Categorical { codes: &now, names: &other };
    let mut expected = exact(before, now);
    let found = sketched(before, BUDGET_BYTES).compare(&sketched(now, BUDGET_BYTES)).unwrap();
    assert_eq!(found.route, Route::Sketched { rank_error: 0.0 });
    expected.route = found.route;
    assert_eq!(found, expected);
}

#[test]
fn categories_beyond_the_budget_keep_the_frequent_names_and_a_bound() {
    let names = names(1_200_000);
    let values = codes(3, 1_500_000, 0..1_200_000, 0.2);
    let mut sketch = ColumnSketch::categorical("column", TIGHT_BYTES);
    for part in values.chunks(300_000) {
        let values = Values::Categorical { codes: part, names: &names };
        sketch.update(Side::Reference, values).unwrap();
        assert!(sketch.bytes() < TIGHT_BYTES + 1_024, "{}", sketch.bytes());
    }
    let mut seen = values.clone();
    seen.sort_unstable();
    seen.dedup();
    let distinct = seen.iter().filter(|code| **code != MISSING).count() as f64;
    let estimate = sketch.distinct().unwrap() as f64;
    assert!((estimate / distinct - 1.0).abs() < 0.05, "{estimate} for {distinct}");
    let present = values.iter().filter(|code| **code != MISSING).count() as f64;
    let heavy = values.iter().filter(|code| **code == 0).count() as f64 / present;
    let frequent = sketch.frequent(1);
    assert_eq!(frequent[0].name, "user 0000000");
    let short = heavy - frequent[0].share;
    let certain = sketch.rank_error() + 1e-12;
    assert!((0.0..=certain).contains(&short), "{short} {}", sketch.rank_error());
    assert!(sketch.rank_error() < 0.01, "{}", sketch.rank_error());
}

#[test]
fn a_quiet_column_of_very_many_categories_scores_little_and_a_shift_shows() {
    let names = names(400_000);
    let sketch = |seed, categories: std::ops::Range<u32>, heavy| {
        let codes = codes(seed, 300_000, categories, heavy);
        let values = Values::Categorical { codes: &codes, names: &names };
        let mut sketch = ColumnSketch::categorical("column", BUDGET_BYTES);
        for part in codes.chunks(100_000) {
            let values = Values::Categorical { codes: part, names: &names };
            sketch.update(Side::Reference, values).unwrap();
        }
        (sketch, Reference::new("column", values).unwrap(), codes.clone())
    };
    let (reference, exactly, known) = sketch(4, 0..200_000, 0.1);
    let known = known.into_iter().map(|code| code as usize).collect::<HashSet<_>>();
    for (categories, heavy, least, most) in [
        (0..200_000, 0.1, 0.0, 0.03),
        (0..200_000, 0.5, 0.4, 0.5),
        // Other names, each rare: hash classes average most of it away.
        (200_000..400_000, 0.1, 0.1, 1.0),
    ] {
        let (current, _, codes) = sketch(5, categories.clone(), heavy);
        let found = reference.compare(&current).unwrap();
        let expected =
            exactly.compare(Values::Categorical { codes: &codes, names: &names }).unwrap();
        assert!((least..=most).contains(&found.score), "{categories:?}: {}", found.score);
        // Classes can hide a move, never invent one.
        assert!(found.score <= expected.score + 0.03, "{} {}", found.score, expected.score);
        assert_eq!(found.missing, expected.missing);
        assert!(found.out_of_range <= expected.out_of_range + 1e-12);
        for new in &found.new_categories {
            assert!(!known.contains(&names[..].binary_search(&new.name).unwrap()), "{new:?}");
        }
        assert!(!found.new_categories.is_empty());
    }
}

#[test]
fn parts_merge_in_any_order_whether_names_fit_or_not() {
    let names = names(60_000);
    let parts = [(6, 500, 20), (7, 50_000, 60_000), (8, 3_000, 100), (9, 40_000, 50_000)]
        .map(|(seed, rows, categories)| codes(seed, rows, 0..categories, 0.3));
    let whole =
        sketched(Values::Categorical { codes: &parts.concat(), names: &names }, TIGHT_BYTES);
    let sketches = parts
        .map(|codes| sketched(Values::Categorical { codes: &codes, names: &names }, TIGHT_BYTES));
    for order in [[0, 1, 2, 3], [3, 2, 1, 0], [1, 3, 0, 2]] {
        let mut merged = ColumnSketch::categorical("column", TIGHT_BYTES);
        order.iter().for_each(|part| merged.merge(&sketches[*part]).unwrap());
        assert_eq!(merged.rows(), whole.rows());
        assert_eq!(merged.distinct(), whole.distinct());
        let found = merged.compare(&whole).unwrap();
        assert_eq!((found.score, found.psi, found.jensen_shannon), (0.0, Some(0.0), Some(0.0)));
        assert_eq!(merged.frequent(1)[0].name, "user 0000000");
        assert!(merged.bytes() < TIGHT_BYTES + 1_024, "{}", merged.bytes());
        let text = serde_json::to_string(&merged).unwrap();
        assert_eq!(serde_json::from_str::<ColumnSketch>(&text).unwrap(), merged);
    }
}
