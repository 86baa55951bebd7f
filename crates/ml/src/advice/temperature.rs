//! Recalibration of the probabilities of many classes: one number that makes all of them less or more sure.
//!
//! Temperature scaling, `p' ∝ p^(1/T)`: Guo, Pleiss, Sun & Weinberger, *On calibration of modern neural
//! networks*, ICML 2017, where it did better than one calibrator per class and never changes the answer.

use crate::metrics::loss::PROBABILITY_MIN;
use crate::rng::Rng;

/// Rows of a period that are kept, at most.
pub const ROWS_MAX: usize = 1_000;
/// Numbers that all periods of a log may keep together.
const NUMBERS_MAX: usize = 2_000_000;
/// Newton steps at most; a handful is enough.
const STEPS_MAX: usize = 60;
/// Exponents that are looked at: T between a fiftieth and fifty.
const EXPONENT: (f64, f64) = (0.02, 50.0);

/// Rows drawn evenly from all that came, in fixed memory: Vitter, *Random sampling with a reservoir*, 1985.
#[derive(Clone, Debug)]
pub struct Sample {
    classes: usize,
    rows_max: usize,
    seen: usize,
    rng: Rng,
    /// Logarithms of the probabilities, row after row.
    logs: Vec<f64>,
    /// Class and weight of each row.
    labels: Vec<(usize, f64)>,
}

impl Sample {
    /// Nothing yet; `periods`: how many samples share the memory.
    #[must_use]
    pub fn new(classes: usize, periods: usize, seed: u64) -> Sample {
        let rows_max = (NUMBERS_MAX / (classes * periods).max(1)).clamp(50, ROWS_MAX);
        Sample {
            classes,
            rows_max,
            seen: 0,
            rng: Rng::new(seed),
            logs: Vec::new(),
            labels: Vec::new(),
        }
    }

    /// Takes a row. `probabilities`: as many as there are classes; `class`: the right one.
    pub fn add(&mut self, probabilities: &[f64], class: usize, weight: f64) {
        self.seen += 1;
        let log = |p: &f64| p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN).ln();
        if self.labels.len() < self.rows_max {
            self.logs.extend(probabilities.iter().map(log));
            self.labels.push((class, weight));
            return;
        }
        let place = self.rng.below(self.seen);
        if place < self.rows_max {
            let own = &mut self.logs[place * self.classes..(place + 1) * self.classes];
            own.iter_mut().zip(probabilities).for_each(|(slot, p)| *slot = log(p));
            self.labels[place] = (class, weight);
        }
    }

    fn rows(&self) -> impl Iterator<Item = (&[f64], (usize, f64))> {
        self.logs.chunks_exact(self.classes.max(1)).zip(self.labels.iter().copied())
    }
}

/// The temperature that makes the labels of `samples` likeliest, drawn to 1 with the weight of one row, so
/// that it exists for every log. `None` without rows.
#[must_use]
pub fn fit(samples: &[&Sample]) -> Option<f64> {
    let rows = || samples.iter().flat_map(|sample| sample.rows());
    rows().next()?;
    // The likelihood is concave in the exponent 1 / T.
    let mut exponent = 1.0_f64;
    for _ in 0..STEPS_MAX {
        let (mut slope, mut bend) = (1.0 - exponent, 1.0);
        for (logs, (class, weight)) in rows() {
            let (_, mean, square) = moments(logs, exponent);
            slope += weight * (logs[class] - mean);
            bend += weight * (square - mean * mean).max(0.0);
        }
        let next = (exponent + slope / bend)
            .clamp(exponent / 2.0, exponent * 2.0)
            .clamp(EXPONENT.0, EXPONENT.1);
        let moved = (next - exponent).abs();
        exponent = next;
        if moved < 1e-12 * exponent {
            break;
        }
    }
    exponent.is_finite().then_some(1.0 / exponent)
}

/// Mean log loss of a sample at a temperature; `None` without rows.
#[must_use]
pub fn mean_loss(sample: &Sample, temperature: f64) -> Option<f64> {
    let (mut loss, mut all) = (0.0, 0.0);
    for (logs, (class, weight)) in sample.rows() {
        let (total, _, _) = moments(logs, 1.0 / temperature);
        loss += weight * (total - logs[class] / temperature);
        all += weight;
    }
    (all > 0.0).then_some(loss / all)
}

/// Logarithm of the sum of `p^exponent`, and the first two moments of `ln p` under it.
fn moments(logs: &[f64], exponent: f64) -> (f64, f64, f64) {
    let top = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let (mut total, mut mean, mut square) = (0.0, 0.0, 0.0);
    for log in logs {
        let part = (exponent * (log - top)).exp();
        total += part;
        mean += part * log;
        square += part * log * log;
    }
    (exponent * top + total.ln(), mean / total, square / total)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [([f64; 3], usize); 8] = [
        ([0.9, 0.05, 0.05], 0),
        ([0.8, 0.15, 0.05], 1),
        ([0.1, 0.7, 0.2], 1),
        ([0.05, 0.05, 0.9], 2),
        ([0.3, 0.3, 0.4], 0),
        ([0.02, 0.95, 0.03], 2),
        ([0.6, 0.3, 0.1], 0),
        ([0.2, 0.2, 0.6], 2),
    ];

    #[test]
    fn the_temperature_is_the_likeliest() {
        // scipy 1.17.1: minimize_scalar of the negative log likelihood of softmax(b · ln p) plus (b − 1)² / 2,
        // method="bounded", xatol 1e-13; and the mean log loss at 1 and there.
        let mut sample = Sample::new(3, 1, 1);
        ROWS.iter().for_each(|(p, class)| sample.add(p, *class, 1.0));
        let found = fit(&[&sample]).unwrap();
        assert!((found - TEMPERATURE).abs() < 1e-6, "{found}");
        let loss = |t: f64| mean_loss(&sample, t).unwrap();
        assert!((loss(1.0) - LOSS_BEFORE).abs() < 1e-12, "{}", loss(1.0));
        assert!((loss(found) - LOSS_AFTER).abs() < 1e-9, "{}", loss(found));
    }

    const TEMPERATURE: f64 = 1.721_373_629_164_129_7;
    const LOSS_BEFORE: f64 = 1.024_587_238_664_770_8;
    const LOSS_AFTER: f64 = 0.932_363_743_036_086_5;

    #[test]
    fn probabilities_that_were_made_too_sure_are_found_out() {
        let mut rng = Rng::new(4);
        let mut samples = [Sample::new(4, 2, 1), Sample::new(4, 2, 2)];
        for row in 0..6_000 {
            let logits = [(); 4].map(|()| 1.5 * rng.normal());
            let shares = |factor: f64| {
                let parts = logits.map(|z| (factor * z).exp());
                let total = parts.iter().sum::<f64>();
                parts.map(|part| part / total)
            };
            let (mut left, mut class) = (rng.uniform(), 0);
            for share in &shares(1.0)[..3] {
                if left < *share {
                    break;
                }
                left -= share;
                class += 1;
            }
            samples[row % 2].add(&shares(2.0), class, 1.0);
        }
        assert_eq!(samples[0].labels.len(), ROWS_MAX);
        let found = fit(&[&samples[0], &samples[1]]).unwrap();
        assert!((found - 2.0).abs() < 0.15, "{found}");
        assert!(mean_loss(&samples[0], found) < mean_loss(&samples[0], 1.0));
    }

    #[test]
    fn nothing_has_no_temperature() {
        assert_eq!(fit(&[&Sample::new(3, 1, 1)]), None);
        assert_eq!(mean_loss(&Sample::new(3, 1, 1), 1.0), None);
    }
}
