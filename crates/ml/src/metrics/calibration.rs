//! Whether predicted probabilities come true: reliability bins and the expected calibration error.

use serde::{Deserialize, Serialize};

use super::{Task, class_of, loss};

/// Bins where the caller has no wish.
pub const BINS: usize = 10;

/// Rows whose probability lies in `(from, to]`; the first bin holds 0 as well.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Bin {
    /// Lower edge.
    pub from: f64,
    /// Upper edge.
    pub to: f64,
    /// Rows inside; empty bins are left out.
    pub rows: usize,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share of the rows that came true.
    pub observed: f64,
}

/// Reliability in `bins` equal-width bins. Binary: of the positive class. Multiclass: of the likeliest
/// class, whatever it is (Guo et al., *On calibration of modern neural networks*, 2017). Empty for
/// regression and for `bins` 0. Rows must pass [`check`](super::check).
#[must_use]
pub fn reliability(task: Task, labels: &[f64], predictions: &[f64], bins: usize) -> Vec<Bin> {
    let mut sums = vec![(0_usize, 0.0, 0.0); bins];
    if bins == 0 || task == Task::Regression {
        return Vec::new();
    }
    let rows = labels.iter().zip(predictions.chunks_exact(task.outputs()));
    for ((label, row), answer) in rows.zip(loss::answers(task, predictions)) {
        let (probability, came_true) = match row {
            [probability] => (*probability, *label > 0.5),
            _ => (row[answer], class_of(*label) == answer),
        };
        let sum = &mut sums[bin_of(probability, bins)];
        sum.0 += 1;
        sum.1 += probability;
        sum.2 += f64::from(u8::from(came_true));
    }
    let width = 1.0 / bins as f64;
    let filled = sums.into_iter().enumerate().filter(|(_, (rows, ..))| *rows > 0);
    filled
        .map(|(at, (rows, predicted, observed))| Bin {
            from: at as f64 * width,
            to: (at + 1) as f64 * width,
            rows,
            predicted: predicted / rows as f64,
            observed: observed / rows as f64,
        })
        .collect()
}

/// Mean distance between predicted and observed over the bins, weighted by their rows (Naeini et al.,
/// 2015). 0 is perfect; 0 where there is no bin.
#[must_use]
pub fn expected_calibration_error(bins: &[Bin]) -> f64 {
    let rows = bins.iter().map(|bin| bin.rows).sum::<usize>().max(1) as f64;
    bins.iter().map(|bin| bin.rows as f64 / rows * (bin.observed - bin.predicted).abs()).sum()
}

/// The bin of a probability; what lies outside `[0, 1]` falls into the outermost.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "clamped to the bins before the cast"
)]
fn bin_of(probability: f64, bins: usize) -> usize {
    ((probability * bins as f64).ceil() - 1.0).clamp(0.0, (bins - 1) as f64) as usize
}
