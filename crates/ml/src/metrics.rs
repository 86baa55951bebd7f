//! How well predictions fit labels: one number per metric, one loss per row, calibration.
//!
//! Predictions are row-major `rows × outputs`: one output for binary (the probability of the
//! positive class) and regression (the value), one per class for multiclass. Labels are class
//! indices (binary: 1 is positive) or values.

pub mod calibration;
pub mod loss;
pub(crate) mod rank;

use serde::{Deserialize, Serialize};

/// What is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Task {
    /// The probability of the positive class.
    Binary,
    /// One probability per class.
    Multiclass {
        /// Number of classes, at least 2.
        classes: usize,
    },
    /// A number.
    Regression,
}

/// A measure of quality over many rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// Area under the ROC curve, ties counted half; multiclass: one class against the rest, mean over
    /// the classes that occur.
    Auc,
    /// Share of rows whose likeliest class is right; binary: positive iff the probability is above ½.
    Accuracy,
    /// Mean negative natural logarithm of the true class's probability; see [`loss::PROBABILITY_MIN`].
    LogLoss,
    /// Mean squared error of the probabilities; multiclass: summed over the classes.
    Brier,
    /// `2 tp / (2 tp + fp + fn)`; multiclass: mean over the classes that occur in labels or answers.
    F1,
    /// Square root of the mean squared error.
    Rmse,
    /// Mean absolute error.
    Mae,
    /// Share of the labels' variance that is explained.
    R2,
}

/// Why a metric has no value on these rows.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Undefined {
    /// There is nothing to measure.
    #[error("there are no rows")]
    NoRows,
    /// The metric belongs to another task.
    #[error("metric `{metric}` does not fit a {task} model: write one of {instead}")]
    DoesNotFit {
        /// The metric that was asked for.
        metric: &'static str,
        /// The task's name.
        task: &'static str,
        /// Names of the metrics that fit.
        instead: String,
    },
    /// Labels, predictions or weights of different length.
    #[error("{rows} labels need {expected} {what}, but there are {found}")]
    Shape {
        /// What has the wrong length.
        what: &'static str,
        /// Number of labels.
        rows: usize,
        /// The length it should have.
        expected: usize,
        /// The length it has.
        found: usize,
    },
    /// NaN or an infinity.
    #[error("{what} of row {row} is {value}: leave such rows out before measuring")]
    NotFinite {
        /// Label, prediction or weight.
        what: &'static str,
        /// Position from 0.
        row: usize,
        /// NaN or an infinity; for a weight also a negative number.
        value: f64,
    },
    /// A label that is not one of the task's class indices.
    #[error("label {label} of row {row} is not a class index below {classes}")]
    NotAClass {
        /// Position from 0.
        row: usize,
        /// The label.
        label: f64,
        /// Number of classes.
        classes: usize,
    },
    /// Ranking needs two classes.
    #[error("all rows have the same class: auc needs rows of at least two")]
    OneClass,
    /// F1 without anything positive.
    #[error("neither a label nor a prediction is positive: f1 is zero by zero")]
    NothingPositive,
    /// R² divides by the labels' variance.
    #[error("all labels are equal: r2 divides by their variance")]
    ConstantLabels,
    /// Every weight is zero.
    #[error("all weights are zero")]
    NoWeight,
}

impl Task {
    /// Numbers per row of predictions.
    #[must_use]
    pub fn outputs(self) -> usize {
        match self {
            Task::Binary | Task::Regression => 1,
            Task::Multiclass { classes } => classes,
        }
    }

    /// `binary`, `multiclass` or `regression`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Task::Binary => "binary",
            Task::Multiclass { .. } => "multiclass",
            Task::Regression => "regression",
        }
    }
}

impl Metric {
    /// Every metric.
    pub const ALL: [Metric; 8] = [
        Metric::Auc,
        Metric::Accuracy,
        Metric::LogLoss,
        Metric::Brier,
        Metric::F1,
        Metric::Rmse,
        Metric::Mae,
        Metric::R2,
    ];

    /// The metric called `name`, in any case, `-` and `_` alike; also `logloss`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Metric> {
        let name = name.trim().to_ascii_lowercase().replace('-', "_");
        if name == "logloss" {
            return Some(Metric::LogLoss);
        }
        Metric::ALL.into_iter().find(|metric| metric.name() == name)
    }

    /// The name in configuration and reports, for example `log_loss`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Metric::Auc => "auc",
            Metric::Accuracy => "accuracy",
            Metric::LogLoss => "log_loss",
            Metric::Brier => "brier",
            Metric::F1 => "f1",
            Metric::Rmse => "rmse",
            Metric::Mae => "mae",
            Metric::R2 => "r2",
        }
    }

    /// Whether a larger value is a better model.
    #[must_use]
    pub fn higher_is_better(self) -> bool {
        match self {
            Metric::Auc | Metric::Accuracy | Metric::F1 | Metric::R2 => true,
            Metric::LogLoss | Metric::Brier | Metric::Rmse | Metric::Mae => false,
        }
    }

    /// Whether the metric can be measured for `task` at all.
    #[must_use]
    pub fn fits(self, task: Task) -> bool {
        let of_values = matches!(self, Metric::Rmse | Metric::Mae | Metric::R2);
        of_values == (task == Task::Regression)
    }

    /// Binary: auc; multiclass: accuracy; regression: rmse.
    #[must_use]
    pub fn default_for(task: Task) -> Metric {
        match task {
            Task::Binary => Metric::Auc,
            Task::Multiclass { .. } => Metric::Accuracy,
            Task::Regression => Metric::Rmse,
        }
    }

    /// The metric over all rows; `None` where it is undefined: no rows, one class only (auc), nothing
    /// positive (f1), constant labels (r2), a metric of another task, or rows that [`check`] refuses.
    /// [`Metric::reason_undefined`] says which.
    #[must_use]
    pub fn value(self, task: Task, labels: &[f64], predictions: &[f64]) -> Option<f64> {
        self.measure(task, labels, predictions, None).ok()
    }

    /// Why [`Metric::value`] is `None`; `None` where it is not.
    #[must_use]
    pub fn reason_undefined(
        self,
        task: Task,
        labels: &[f64],
        predictions: &[f64],
    ) -> Option<Undefined> {
        self.measure(task, labels, predictions, None).err()
    }

    /// The metric over all rows, each counted `weights` times (not negative; once where `None`).
    pub fn measure(
        self,
        task: Task,
        labels: &[f64],
        predictions: &[f64],
        weights: Option<&[f64]>,
    ) -> Result<f64, Undefined> {
        if !self.fits(task) {
            let fitting = Metric::ALL.into_iter().filter(|metric| metric.fits(task));
            return Err(Undefined::DoesNotFit {
                metric: self.name(),
                task: task.name(),
                instead: fitting.map(Metric::name).collect::<Vec<_>>().join(", "),
            });
        }
        check(task, labels, predictions)?;
        check_weights(labels, weights)?;
        match self {
            Metric::Auc => rank::area(task, labels, predictions, weights),
            Metric::Accuracy => {
                let right = loss::right(task, labels, predictions);
                Ok(mean(right.into_iter().map(|is| f64::from(u8::from(is))), weights))
            }
            Metric::LogLoss => {
                Ok(mean(loss::log_losses(task, labels, predictions).into_iter(), weights))
            }
            Metric::Brier => {
                Ok(mean(loss::squared_errors(task, labels, predictions).into_iter(), weights))
            }
            Metric::F1 => f1(task, labels, predictions, weights),
            Metric::Rmse => {
                let errors = loss::squared_errors(task, labels, predictions);
                Ok(mean(errors.into_iter(), weights).sqrt())
            }
            Metric::Mae => {
                let errors = labels.iter().zip(predictions).map(|(y, p)| (y - p).abs());
                Ok(mean(errors, weights))
            }
            Metric::R2 => r2(labels, predictions, weights),
        }
    }
}

/// Checks what every metric needs: at least one row, `rows × outputs` finite predictions, labels that
/// are finite and, but for regression, class indices.
pub fn check(task: Task, labels: &[f64], predictions: &[f64]) -> Result<(), Undefined> {
    let (rows, outputs) = (labels.len(), task.outputs());
    if rows == 0 {
        return Err(Undefined::NoRows);
    }
    let (expected, found) = (rows * outputs, predictions.len());
    if found != expected {
        return Err(Undefined::Shape { what: "predictions", rows, expected, found });
    }
    if let Some(row) = labels.iter().position(|label| !label.is_finite()) {
        return Err(Undefined::NotFinite { what: "the label", row, value: labels[row] });
    }
    if let Some(at) = predictions.iter().position(|value| !value.is_finite()) {
        let (row, value) = (at / outputs, predictions[at]);
        return Err(Undefined::NotFinite { what: "the prediction", row, value });
    }
    let classes = match task {
        Task::Regression => return Ok(()),
        Task::Binary => 2,
        Task::Multiclass { classes } => classes,
    };
    let is_class = |label: f64| label >= 0.0 && label < classes as f64 && label.fract() == 0.0;
    match labels.iter().position(|label| !is_class(*label)) {
        None => Ok(()),
        Some(row) => Err(Undefined::NotAClass { row, label: labels[row], classes }),
    }
}

/// The class index that a checked label holds.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a whole number from 0"
)]
pub(crate) fn class_of(label: f64) -> usize {
    label as usize
}

fn check_weights(labels: &[f64], weights: Option<&[f64]>) -> Result<(), Undefined> {
    let Some(weights) = weights else { return Ok(()) };
    let (rows, found) = (labels.len(), weights.len());
    if found != rows {
        return Err(Undefined::Shape { what: "weights", rows, expected: rows, found });
    }
    if let Some(row) = weights.iter().position(|w| !w.is_finite() || *w < 0.0) {
        return Err(Undefined::NotFinite { what: "the weight", row, value: weights[row] });
    }
    if weights.iter().all(|w| *w <= 0.0) {
        return Err(Undefined::NoWeight);
    }
    Ok(())
}

fn mean(values: impl ExactSizeIterator<Item = f64>, weights: Option<&[f64]>) -> f64 {
    match weights {
        None => {
            let rows = values.len() as f64;
            values.sum::<f64>() / rows
        }
        Some(weights) => {
            let total = weights.iter().sum::<f64>();
            values.zip(weights).map(|(value, weight)| value * weight).sum::<f64>() / total
        }
    }
}

fn r2(labels: &[f64], predictions: &[f64], weights: Option<&[f64]>) -> Result<f64, Undefined> {
    let centre = mean(labels.iter().copied(), weights);
    let total = mean(labels.iter().map(|y| (y - centre) * (y - centre)), weights);
    let residual = mean(labels.iter().zip(predictions).map(|(y, p)| (y - p) * (y - p)), weights);
    if total > 0.0 { Ok(1.0 - residual / total) } else { Err(Undefined::ConstantLabels) }
}

fn f1(
    task: Task,
    labels: &[f64],
    predictions: &[f64],
    weights: Option<&[f64]>,
) -> Result<f64, Undefined> {
    let classes = task.outputs().max(2);
    let mut counts = vec![[0.0; 2]; classes]; // of each class: right answers, wrong answers
    for (row, answer) in loss::answers(task, predictions).enumerate() {
        let (label, weight) = (class_of(labels[row]), weights.map_or(1.0, |w| w[row]));
        if label == answer {
            counts[label][0] += weight;
        } else {
            counts[label][1] += weight;
            counts[answer][1] += weight;
        }
    }
    f1_of_counts(task, &counts).ok_or(Undefined::NothingPositive)
}

/// F1 from each class's `[right, wrong]`, where a wrong answer counts for its class and its label's.
pub(crate) fn f1_of_counts(task: Task, counts: &[[f64; 2]]) -> Option<f64> {
    let counted = if task == Task::Binary { &counts[1..2] } else { counts };
    let (mut sum, mut classes) = (0.0, 0.0);
    for [right, wrong] in counted {
        if right + wrong > 0.0 {
            sum += 2.0 * right / (2.0 * right + wrong);
            classes += 1.0;
        }
    }
    (classes > 0.0).then(|| sum / classes)
}

#[cfg(test)]
pub(crate) mod fixtures;
#[cfg(test)]
mod tests;
