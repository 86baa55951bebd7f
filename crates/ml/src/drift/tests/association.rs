//! The score of categorical columns: both windows weighed equally, chance taken out.

use super::*;
use crate::rng::Rng;

fn column(rows: &[usize]) -> Named {
    let names = (0..rows.len()).map(|k| format!("category {k:06}")).collect::<Vec<_>>();
    let rows = names.iter().map(String::as_str).zip(rows.iter().copied());
    Named::of(&rows.collect::<Vec<_>>())
}

fn score(reference: &[usize], current: &[usize]) -> f64 {
    compare(column(reference).values(), column(current).values()).score
}

#[test]
fn association_takes_out_the_mean_over_all_ways_to_deal_the_rows() {
    // The formula written with scipy 1.17.1's stats.hypergeom.pmf over all possible counts.
    for (reference, current, expected) in [
        (&[12, 30][..], &[25, 21][..], 0.239_965_395_154_369_85),
        (&[50, 30, 20, 0], &[40, 35, 0, 9], 0.386_393_753_833_999_27),
        (&[3; 40], &[&[1; 30][..], &[0; 10]].concat(), 0.0),
    ] {
        let found = score(reference, current);
        assert!((found - expected).abs() < 1e-9, "{found}, expected {expected}");
    }
    // Counts so large that the normal approximation stands for the sum.
    for (reference, current, expected) in [
        ([5_000, 3_000, 2_000], [480, 330, 190], 0.022_278_311_524_970_87),
        ([50_000, 30_000, 20_000], [4_000, 3_600, 2_400], 0.100_232_517_403_930_53),
    ] {
        let found = score(&reference, &current);
        assert!((found - expected).abs() < 3e-5, "{found}, expected {expected}");
    }
}

#[test]
fn a_short_current_window_does_not_hide_a_change() {
    // The same change of shares, the current window ever shorter: the plain V falls to nothing.
    let reference = [50_000, 30_000, 20_000];
    for length in [100_000, 10_000, 1_000] {
        let current = [length * 3 / 10, length * 3 / 10, length * 4 / 10];
        let found = compare(column(&reference).values(), column(&current).values());
        assert!((found.score - 0.2415).abs() < 0.003, "{length} rows: {}", found.score);
        let plain = found.chi_square.unwrap().cramers_v;
        assert!(length == 100_000 || plain < 0.15, "{length} rows: {plain}");
    }
}

#[test]
fn quiet_columns_of_many_categories_score_little_however_short_the_window() {
    let mut rng = Rng::new(5);
    for (categories, reference_rows, current_rows) in
        [(5, 2_000, 500), (300, 20_000, 300), (2_000, 20_000, 1_000), (50_000, 20_000, 20_000)]
    {
        let mut draw = |rows: usize| {
            let mut counts = vec![0_usize; categories];
            for _ in 0..rows {
                counts[rng.below(categories)] += 1;
            }
            counts
        };
        let mut sum = 0.0;
        for _ in 0..5 {
            let found = compare(
                column(&draw(reference_rows)).values(),
                column(&draw(current_rows)).values(),
            );
            sum += found.score / 5.0;
        }
        assert!(sum < 0.08, "{categories} categories, {current_rows} rows: {sum}");
    }
}

#[test]
fn a_window_of_one_known_category_among_very_many_scores_high() {
    let mut current = vec![0; 5_000];
    current[17] = 400;
    assert!(score(&[10; 5_000], &current) > 0.9);
}
