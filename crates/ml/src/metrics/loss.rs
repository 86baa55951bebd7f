//! One number per row: the loss that decay and comparison are measured in, and whether it was right.

use super::{Task, class_of};

/// Probabilities are clipped to `[1e-6, 1 − 1e-6]` and renormalised before a logarithm is taken, so that
/// one sure mistake costs 13.8 and not infinity.
pub const PROBABILITY_MIN: f64 = 1e-6;

/// The largest log loss a row can have, `−ln 1e-6`, rounded up.
pub const LOG_LOSS_MAX: f64 = 14.0;

/// The loss of each row: log loss, or squared error for regression. Rows must pass
/// [`check`](super::check).
#[must_use]
pub fn row_losses(task: Task, labels: &[f64], predictions: &[f64]) -> Vec<f64> {
    match task {
        Task::Regression => squared_errors(task, labels, predictions),
        Task::Binary | Task::Multiclass { .. } => log_losses(task, labels, predictions),
    }
}

/// Whether each row's likeliest class is its label; empty for regression, where nothing is "right".
#[must_use]
pub fn right(task: Task, labels: &[f64], predictions: &[f64]) -> Vec<bool> {
    if task == Task::Regression {
        return Vec::new();
    }
    answers(task, predictions)
        .zip(labels)
        .map(|(answer, label)| answer == class_of(*label))
        .collect()
}

/// 1 where a row's likeliest class is not its label, else 0; empty for regression.
#[must_use]
pub fn errors(task: Task, labels: &[f64], predictions: &[f64]) -> Vec<f64> {
    right(task, labels, predictions).into_iter().map(|right| f64::from(!right)).collect()
}

/// The likeliest class of each row: the first of equals; binary: 1 iff the probability is above ½.
pub(crate) fn answers(task: Task, predictions: &[f64]) -> impl Iterator<Item = usize> {
    predictions.chunks_exact(task.outputs()).map(|row| match row {
        [probability] => usize::from(*probability > 0.5),
        _ => (1..row.len()).fold(0, |best, at| if row[at] > row[best] { at } else { best }),
    })
}

pub(crate) fn log_losses(task: Task, labels: &[f64], predictions: &[f64]) -> Vec<f64> {
    let clip = |p: f64| p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    let rows = labels.iter().zip(predictions.chunks_exact(task.outputs()));
    rows.map(|(label, row)| match row {
        [probability] => {
            let positive = clip(*probability);
            if *label > 0.5 { -positive.ln() } else { -(1.0 - positive).ln() }
        }
        _ => {
            let total = row.iter().map(|p| clip(*p)).sum::<f64>();
            -(clip(row[class_of(*label)]) / total).ln()
        }
    })
    .collect()
}

/// Squared error of each row; for classes that of the probabilities, summed over classes.
pub(crate) fn squared_errors(task: Task, labels: &[f64], predictions: &[f64]) -> Vec<f64> {
    let rows = labels.iter().zip(predictions.chunks_exact(task.outputs()));
    rows.map(|(label, row)| match row {
        [value] => (value - label) * (value - label),
        _ => {
            let label = class_of(*label);
            let error = |(class, p): (usize, &f64)| p - f64::from(u8::from(class == label));
            row.iter().enumerate().map(error).map(|error| error * error).sum()
        }
    })
    .collect()
}
