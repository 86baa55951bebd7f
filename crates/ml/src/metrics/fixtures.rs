//! Seeded rows that the reference programs draw in the same way, with the same generator.

use crate::rng::Rng;

/// Labels, the predictions of two models, weights.
pub(crate) struct Rows {
    pub(crate) labels: Vec<f64>,
    pub(crate) champion: Vec<f64>,
    pub(crate) candidate: Vec<f64>,
    pub(crate) weights: Vec<f64>,
}

fn rounded(value: f64, steps: f64) -> f64 {
    (value * steps + 0.5).floor() / steps
}

/// 30 % positive; the champion's scores have many ties, the candidate ranks better.
pub(crate) fn binary(rows: usize, seed: u64) -> Rows {
    let mut rng = Rng::new(seed);
    let mut out = Rows { labels: vec![], champion: vec![], candidate: vec![], weights: vec![] };
    for _ in 0..rows {
        let label = f64::from(u8::from(rng.uniform() < 0.3));
        out.labels.push(label);
        out.champion.push(rounded(0.25 * label + 0.7 * rng.uniform(), 50.0));
        out.candidate.push(rounded(0.3 * label + 0.65 * rng.uniform(), 1000.0));
        out.weights.push(0.5 + rng.uniform());
    }
    out
}

/// Four classes.
pub(crate) fn multiclass(rows: usize, seed: u64) -> Rows {
    let mut rng = Rng::new(seed);
    let mut out = Rows { labels: vec![], champion: vec![], candidate: vec![], weights: vec![] };
    for _ in 0..rows {
        let label = (rng.uniform() * 4.0).floor();
        out.labels.push(label);
        for (place, strength) in [(&mut out.champion, 0.5), (&mut out.candidate, 0.6)] {
            let raw = [0.0, 1.0, 2.0, 3.0].map(|class: f64| {
                let boost = if class.total_cmp(&label).is_eq() { strength } else { 0.0 };
                rng.uniform() + boost + 0.01
            });
            let total = raw.iter().sum::<f64>();
            place.extend(raw.map(|value| value / total));
        }
    }
    out
}

/// Values from 0 to 10 with errors up to 1.5.
pub(crate) fn regression(rows: usize, seed: u64) -> Rows {
    let mut rng = Rng::new(seed);
    let mut out = Rows { labels: vec![], champion: vec![], candidate: vec![], weights: vec![] };
    for _ in 0..rows {
        let label = 10.0 * rng.uniform();
        out.labels.push(label);
        out.champion.push(label + 3.0 * (rng.uniform() - 0.5));
        out.candidate.push(label + 2.5 * (rng.uniform() - 0.45));
        out.weights.push(0.5 + rng.uniform());
    }
    out
}

/// `actual` within a relative or absolute 1e-9 of `expected`.
#[track_caller]
pub(crate) fn close(actual: f64, expected: f64) {
    close_within(actual, expected, 1e-9);
}

#[track_caller]
pub(crate) fn close_within(actual: f64, expected: f64, tolerance: f64) {
    let bound = tolerance * expected.abs().max(1.0);
    assert!((actual - expected).abs() <= bound, "{actual} is not {expected}");
}
