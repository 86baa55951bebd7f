//! How far an estimate may be off while the calibration holds: by the luck of the labels, and by the calibration
//! having been learned from finitely many rows. Both are drawn again and again, in fixed time and memory.

use super::Reference;
use super::expected::{measures_with, order, prices};
use crate::metrics::{Task, loss};
use crate::rng::Rng;

/// Draws of labels, and of calibrations.
const DRAWS: usize = 100;
/// Rows that are drawn for at most, evenly spaced; the labels' part shrinks with the root of all of them.
const ROWS_MAX: usize = 10_000;

/// Of every measure, in the order of [`Measure::ALL`](super::Measure::ALL); 0 where it never has a value.
pub(super) fn standard_errors(
    reference: &Reference,
    predictions: &[f64],
    rng: &mut Rng,
) -> [f64; 7] {
    let task = reference.task;
    let outputs = task.outputs();
    let all = predictions.len() / outputs;
    let step = all.div_ceil(ROWS_MAX).max(1);
    let rows = predictions.chunks_exact(outputs).step_by(step);
    let sample = rows.flatten().copied().collect::<Vec<_>>();
    let drawn = (sample.len() / outputs) as f64;
    let orders = (0..outputs).map(|output| order(&sample, output, outputs)).collect::<Vec<_>>();
    let answers = loss::answers(task, &sample).collect::<Vec<_>>();
    let prices = prices(task, &sample);
    let measures = |truth: &[f64]| measures_with(task, &orders, &answers, &prices, truth);
    let truth = reference.apply(&reference.calibrators, &sample);
    let (mut luck, mut calibration) = ([Spread::default(); 7], [Spread::default(); 7]);
    let mut labels = vec![0.0; truth.len()];
    for _ in 0..DRAWS {
        draw(task, &truth, &mut labels, rng);
        for (spread, value) in luck.iter_mut().zip(measures(&labels)) {
            spread.take(value);
        }
        let redrawn = reference.calibrators.iter();
        let redrawn = redrawn.map(|one| one.as_ref().map(|one| one.redrawn(rng)));
        let other = reference.apply(&redrawn.collect::<Vec<_>>(), &sample);
        for (spread, value) in calibration.iter_mut().zip(measures(&other)) {
            spread.take(value);
        }
    }
    let mut errors = [0.0; 7];
    for (at, error) in errors.iter_mut().enumerate() {
        let luck = luck[at].variance() * drawn / all as f64;
        *error = (luck + calibration[at].variance()).sqrt();
    }
    errors
}

/// Classes as the calibrated probabilities have it, in their shape.
fn draw(task: Task, truth: &[f64], labels: &mut [f64], rng: &mut Rng) {
    let outputs = task.outputs();
    for (row, label) in truth.chunks_exact(outputs).zip(labels.chunks_exact_mut(outputs)) {
        let mut left = rng.uniform();
        if let ([p], [label]) = (row, &mut *label) {
            *label = f64::from(u8::from(left < *p));
            continue;
        }
        label.fill(0.0);
        let taken = row.iter().position(|p| {
            left -= p;
            left < 0.0
        });
        label[taken.unwrap_or(outputs - 1)] = 1.0;
    }
}

/// Welford's running variance.
#[derive(Clone, Copy, Default)]
struct Spread {
    count: f64,
    mean: f64,
    squares: f64,
}

impl Spread {
    fn take(&mut self, value: Option<f64>) {
        let Some(value) = value else { return };
        self.count += 1.0;
        let step = value - self.mean;
        self.mean += step / self.count;
        self.squares += step * (value - self.mean);
    }

    fn variance(self) -> f64 {
        if self.count > 1.0 { self.squares / (self.count - 1.0) } else { 0.0 }
    }
}
