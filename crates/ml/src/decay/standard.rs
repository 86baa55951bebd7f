//! What a metric is held against: its value and its losses on the rows that judged the champion.

use serde::{Deserialize, Serialize};

use super::pairs::Pairs;
use super::sequential::{Baseline, Clip};
use crate::metrics::{self, Metric, Task, loss};

/// One metric of the rows that judged; saved beside the version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Standard {
    /// Which.
    pub metric: Metric,
    /// Its value; `None` where it is undefined or was never measured.
    pub value: Option<f64>,
    /// Its losses; `None` where it has none per row.
    pub losses: Option<Losses>,
}

/// Losses of a metric, clipped.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Losses {
    /// Mean, spread and number.
    pub baseline: Baseline,
    /// The range into which they are clipped.
    pub clip: Clip,
}

impl Standard {
    /// Every metric that fits `task`, on the rows that judged. Empty for rows that [`metrics::check`] refuses.
    #[must_use]
    pub fn all(task: Task, labels: &[f64], predictions: &[f64]) -> Vec<Standard> {
        if metrics::check(task, labels, predictions).is_err() {
            return Vec::new();
        }
        let fitting = Metric::ALL.into_iter().filter(|metric| metric.fits(task));
        fitting.map(|metric| Standard::of(metric, task, labels, predictions)).collect()
    }

    fn of(metric: Metric, task: Task, labels: &[f64], predictions: &[f64]) -> Standard {
        let value = metric.value(task, labels, predictions);
        let losses = losses(metric, task, labels, predictions, &mut Pairs::default());
        let losses = losses.and_then(|losses| {
            let clip = clip(metric, task, &losses);
            Baseline::from_losses(&losses, clip).ok().map(|baseline| Losses { baseline, clip })
        });
        Standard { metric, value, losses }
    }
}

/// The metric whose rows' losses train and judge: log loss, or for regression the squared errors of `rmse`.
#[must_use]
pub fn primary(task: Task) -> Metric {
    match task {
        Task::Binary | Task::Multiclass { .. } => Metric::LogLoss,
        Task::Regression => Metric::Rmse,
    }
}

/// A loss for each row (auc: for each pair that falls due) whose mean tells the metric; `None` where there is none:
/// f1, r2, and auc of several classes. Rows must pass [`metrics::check`].
pub(super) fn losses(
    metric: Metric,
    task: Task,
    labels: &[f64],
    predictions: &[f64],
    pairs: &mut Pairs,
) -> Option<Vec<f64>> {
    match (metric, task) {
        (Metric::Auc, Task::Binary) => Some(pairs.take_many(labels, predictions)),
        (Metric::Accuracy, _) => {
            let right = loss::right(task, labels, predictions).into_iter();
            Some(right.map(|right| f64::from(u8::from(!right))).collect())
        }
        (Metric::LogLoss, _) => Some(loss::log_losses(task, labels, predictions)),
        (Metric::Brier | Metric::Rmse, _) => Some(loss::squared_errors(task, labels, predictions)),
        (Metric::Mae, _) => {
            Some(labels.iter().zip(predictions).map(|(y, p)| (y - p).abs()).collect())
        }
        (Metric::Auc | Metric::F1 | Metric::R2, _) => None,
    }
}

/// The range of a metric's losses; errors without a bound: up to 25 times the mean of squares, 5 times that of
/// distances.
fn clip(metric: Metric, task: Task, losses: &[f64]) -> Clip {
    let high = match metric {
        Metric::Auc | Metric::Accuracy | Metric::F1 | Metric::R2 => 1.0,
        Metric::LogLoss => return Clip::LOG_LOSS,
        Metric::Rmse => return Clip::for_task(Task::Regression, losses),
        Metric::Brier if task == Task::Binary => 1.0,
        Metric::Brier => 2.0,
        Metric::Mae => {
            let mean = losses.iter().sum::<f64>() / losses.len().max(1) as f64;
            if mean.is_finite() && mean > 0.0 { 5.0 * mean } else { 1.0 }
        }
    };
    Clip { low: 0.0, high }
}
