//! Numbers: the error of every measure on many shapes.

use super::*;

const ROWS: usize = 150_000;

/// A budget that 150,000 distinct values exceed many times.
const TIGHT_BYTES: usize = 64 * 1024;

/// Reference and current windows of one shape, half of them moved.
fn shapes() -> Vec<(&'static str, Vec<f64>, Vec<f64>)> {
    let mut rng = Rng::new(17);
    let mut draw = |f: &dyn Fn(&mut Rng) -> f64| (0..ROWS).map(|_| f(&mut rng)).collect::<Vec<_>>();
    let normal = draw(&|rng| rng.normal());
    let moved = draw(&|rng| rng.normal() * 1.02 + 0.05);
    let quiet = draw(&|rng| rng.normal());
    let heavy = draw(&|rng| rng.normal() / rng.normal().abs().max(1e-6));
    let heavy_moved = draw(&|rng| 1.1 * rng.normal() / rng.normal().abs().max(1e-6));
    let skewed = draw(&|rng| (2.0 * rng.normal()).exp());
    let skewed_moved = draw(&|rng| (2.0 * rng.normal() + 0.1).exp());
    let steps = draw(&|rng| (rng.normal() * 3.0).round());
    let steps_moved = draw(&|rng| (rng.normal() * 3.0 + 0.4).round());
    let flags = draw(&|rng| f64::from(u8::from(rng.uniform() < 0.2)));
    let flags_moved = draw(&|rng| f64::from(u8::from(rng.uniform() < 0.25)));
    let gaps = draw(&|rng| if rng.uniform() < 0.1 { GAP } else { rng.normal() });
    let more_gaps = draw(&|rng| if rng.uniform() < 0.3 { GAP } else { rng.normal() });
    let mostly_one = draw(&|rng| if rng.uniform() < 0.7 { 0.0 } else { rng.normal().abs() });
    let mostly_other = draw(&|rng| if rng.uniform() < 0.6 { 0.0 } else { rng.normal().abs() });
    let mut sorted = normal.clone();
    sorted.sort_by(f64::total_cmp);
    let mut falling = moved.clone();
    falling.sort_by(|a, b| b.total_cmp(a));
    let saw = (0..ROWS).map(|k| ((k * 7_919) % 100_003) as f64).collect::<Vec<_>>();
    let saw_moved = saw.iter().map(|value| value * 1.01).collect();
    vec![
        ("normal", normal.clone(), moved),
        ("quiet", normal, quiet),
        ("heavy-tailed", heavy, heavy_moved),
        ("skewed", skewed, skewed_moved),
        ("whole numbers", steps, steps_moved),
        ("two points", flags, flags_moved),
        ("missing", gaps, more_gaps),
        ("mostly one value", mostly_one, mostly_other),
        ("sorted", sorted, falling),
        ("saw", saw, saw_moved),
        ("constant", vec![4.5; ROWS], vec![4.5; ROWS]),
        ("another constant", vec![4.5; ROWS], vec![4.0; ROWS]),
        ("all missing", vec![GAP; 1_000], vec![1.0; 1_000]),
        ("all missing on both sides", vec![GAP; 1_000], vec![GAP; 1_000]),
    ]
}

#[test]
fn every_measure_is_near_the_exact_one_on_every_shape() {
    for (shape, reference, current) in shapes() {
        let (reference, current) = (Values::Numeric(&reference), Values::Numeric(&current));
        let expected = exact(reference, current);
        let (before, now) = (sketched(reference, TIGHT_BYTES), sketched(current, TIGHT_BYTES));
        let found = before.compare(&now).unwrap();
        let allowed = before.rank_error() + now.rank_error();
        let Route::Sketched { rank_error } = found.route else { panic!("{:?}", found.route) };
        assert!((0.0..0.004).contains(&rank_error), "{shape}: {rank_error}");
        let ks = |drift: &ColumnDrift| drift.ks.map(|ks| ks.statistic);
        assert_close(ks(&found), ks(&expected), allowed + 1e-12, &format!("{shape}: KS"));
        assert_close(Some(found.score), Some(expected.score), allowed + 1e-12, shape);
        let chi = |drift: &ColumnDrift| drift.chi_square.map(|test| test.cramers_v);
        // Each bin's share is off by two ranks.
        assert_close(chi(&found), chi(&expected), 3.0 * allowed + 1e-9, &format!("{shape}: V"));
        let psi_allowed = 40.0 * allowed * (expected.psi.unwrap_or(0.0).sqrt() + allowed) + 1e-9;
        assert_close(found.psi, expected.psi, psi_allowed, &format!("{shape}: PSI"));
        let allowed_js = 0.05 * f64::from(u8::from(allowed > 0.0)) + 1e-9;
        assert_close(
            found.jensen_shannon,
            expected.jensen_shannon,
            allowed_js,
            &format!("{shape}: JS"),
        );
        let tails = if shape == "heavy-tailed" { 0.5 } else { 40.0 * allowed };
        let allowed_w1 = tails * expected.wasserstein.unwrap_or(0.0).max(0.1) + 1e-9;
        assert_close(found.wasserstein, expected.wasserstein, allowed_w1, &format!("{shape}: W1"));
        assert!((found.out_of_range - expected.out_of_range).abs() <= allowed + 1e-5, "{shape}");
        assert_eq!(found.missing, expected.missing, "{shape}");
        let held = before.bytes().max(now.bytes());
        assert!(held < TIGHT_BYTES + 1_024, "{shape}: {held} bytes");
    }
}

#[test]
fn few_distinct_values_are_compared_exactly() {
    for (shape, reference, current) in shapes() {
        if !["whole numbers", "two points", "constant", "another constant"].contains(&shape) {
            continue;
        }
        let (reference, current) = (Values::Numeric(&reference), Values::Numeric(&current));
        let mut expected = exact(reference, current);
        let (before, now) = (sketched(reference, TIGHT_BYTES), sketched(current, TIGHT_BYTES));
        let found = before.compare(&now).unwrap();
        assert_eq!(found.route, Route::Sketched { rank_error: 0.0 }, "{shape}");
        expected.route = found.route;
        assert_close(found.wasserstein, expected.wasserstein, 1e-12, shape);
        expected.wasserstein = found.wasserstein;
        assert_eq!(found, expected, "{shape}");
    }
}

#[test]
fn short_windows_are_compared_exactly() {
    let mut rng = Rng::new(3);
    let reference = (0..3_000).map(|_| rng.normal()).collect::<Vec<_>>();
    let current = (0..700).map(|_| rng.normal() + 0.1).collect::<Vec<_>>();
    let (reference, current) = (Values::Numeric(&reference), Values::Numeric(&current));
    let mut expected = exact(reference, current);
    let before = sketched(reference, BUDGET_BYTES);
    let found = before.compare(&sketched(current, BUDGET_BYTES)).unwrap();
    assert_close(found.wasserstein, expected.wasserstein, 1e-12, "W1");
    (expected.wasserstein, expected.route) = (found.wasserstein, found.route);
    assert_eq!(found, expected);
    assert_eq!(before.rank_error(), 0.0);
}

#[test]
fn no_rank_of_many_streams_is_off_by_more_than_stated() {
    let mut worst = 0.0_f64;
    for seed in 0..40 {
        let mut rng = Rng::new(seed);
        let mut values = (0..60_000).map(|_| rng.normal()).collect::<Vec<_>>();
        let sketch = sketched(Values::Numeric(&values), BUDGET_BYTES_MIN);
        values.sort_by(f64::total_cmp);
        for k in 1..200 {
            let q = f64::from(k) / 200.0;
            let value = sketch.quantile(q).unwrap();
            let rank = values.partition_point(|other| *other <= value) as f64 / 60_000.0;
            worst = worst.max((rank - q).abs() / sketch.rank_error());
        }
        assert!(sketch.rank_error() < 0.01, "{}", sketch.rank_error());
    }
    assert!(worst < 1.0, "{worst} of the stated error");
}

#[test]
fn the_stated_error_falls_with_the_budget() {
    let mut rng = Rng::new(9);
    let values = (0..300_000).map(|_| rng.normal()).collect::<Vec<_>>();
    let errors = [64, 256, 1_024]
        .map(|kibibytes| sketched(Values::Numeric(&values), kibibytes * 1_024).rank_error());
    assert!(errors[0] > 3.0 * errors[1] && errors[1] > 3.0 * errors[2], "{errors:?}");
    assert!(errors[1] < 1e-3, "{errors:?}");
}

#[test]
fn parts_merged_in_any_order_describe_the_whole() {
    let mut rng = Rng::new(21);
    let mut whole = Vec::new();
    let parts = (0..12_u32)
        .map(|part| {
            // Parts of very different lengths and places, one of few distinct values.
            let rows = 500 + 4_000 * (part as usize % 5) * (part as usize % 3);
            let values = (0..rows).map(|_| {
                let value = rng.normal() + f64::from(part) / 4.0;
                if part == 5 { value.round() } else { value }
            });
            let values = values.collect::<Vec<_>>();
            whole.extend_from_slice(&values);
            sketched(Values::Numeric(&values), TIGHT_BYTES)
        })
        .collect::<Vec<_>>();
    let expected = exact(Values::Numeric(&whole), Values::Numeric(&whole[whole.len() / 2..]));
    let half = sketched(Values::Numeric(&whole[whole.len() / 2..]), TIGHT_BYTES);
    let one_by_one = |order: &[usize]| {
        let mut merged = ColumnSketch::numeric("column", TIGHT_BYTES);
        order.iter().for_each(|part| merged.merge(&parts[*part]).unwrap());
        merged
    };
    let forwards = one_by_one(&(0..12).collect::<Vec<_>>());
    let backwards = one_by_one(&(0..12).rev().collect::<Vec<_>>());
    let mut tree = parts.clone();
    while tree.len() > 1 {
        tree = tree
            .chunks(2)
            .map(|pair| {
                let mut merged = pair[0].clone();
                pair[1..].iter().for_each(|other| merged.merge(other).unwrap());
                merged
            })
            .collect();
    }
    for merged in [&forwards, &backwards, &tree[0]] {
        assert_eq!((merged.rows(), merged.missing()), (whole.len() as u64, 0));
        assert_eq!(merged.range(), forwards.range());
        let found = merged.compare(&half).unwrap();
        let allowed = merged.rank_error() + half.rank_error();
        assert!(0.0 < allowed && allowed < 0.01, "{allowed}");
        let statistic = |drift: &ColumnDrift| drift.ks.map(|ks| ks.statistic);
        assert_close(statistic(&found), statistic(&expected), allowed, "KS");
        assert_close(found.wasserstein, expected.wasserstein, 0.01, "W1");
        assert!(merged.bytes() < TIGHT_BYTES + 1_024);
        let (mean, deviation) = merged.moments().unwrap();
        let rows = whole.len() as f64;
        let true_mean = whole.iter().sum::<f64>() / rows;
        let squares = whole.iter().map(|value| (value - true_mean).powi(2)).sum::<f64>();
        assert!((mean - true_mean).abs() < 1e-10, "{mean}");
        assert!((deviation - (squares / rows).sqrt()).abs() < 1e-10, "{deviation}");
    }
}

#[test]
fn a_saved_sketch_goes_on_as_if_it_had_never_left() {
    let mut rng = Rng::new(33);
    let values =
        (0..90_000).map(|k| if k % 11 == 0 { GAP } else { rng.normal() }).collect::<Vec<_>>();
    for length in [10, 5_000, 40_000] {
        let (first, second) = values.split_at(length);
        let mut stayed = sketched(Values::Numeric(first), TIGHT_BYTES);
        let text = serde_json::to_string(&stayed).unwrap();
        let mut came_back = serde_json::from_str::<ColumnSketch>(&text).unwrap();
        assert_eq!(came_back, stayed);
        feed(&mut stayed, Values::Numeric(second));
        feed(&mut came_back, Values::Numeric(second));
        assert_eq!(came_back, stayed);
    }
}

#[test]
fn the_largest_numbers_do_not_overflow() {
    let huge = [f64::MAX, f64::MIN, 0.0, 1e300];
    let sketch = sketched(Values::Numeric(&huge), BUDGET_BYTES);
    let text = serde_json::to_string(&sketch).unwrap();
    assert_eq!(serde_json::from_str::<ColumnSketch>(&text).unwrap(), sketch);
    let tiny = sketched(Values::Numeric(&[5e-324, 0.0, -0.0]), BUDGET_BYTES);
    for (reference, current) in [(&sketch, &tiny), (&tiny, &sketch), (&sketch, &sketch)] {
        let found = reference.compare(current).unwrap();
        assert!(found.wasserstein.is_none_or(f64::is_finite), "{found:?}");
        assert!(found.jensen_shannon.is_some_and(f64::is_finite), "{found:?}");
    }
    assert!(sketch.moments().unwrap().1.is_finite());
}
