//! How well a model does on rows whose labels are not known yet: confidence-based performance estimation.
//!
//! Calibrated probabilities say how often each answer is right, which gives the expected confusion matrix and all
//! that follows from it (NannyML's CBPE). It rests on the calibration: **it cannot see concept drift**, that is, a
//! changed relation between features and label. It sees what harder or easier rows do to the metrics.

mod band;
mod expected;

use serde::{Deserialize, Serialize};

use crate::calibrate::{self, Isotonic};
use crate::metrics::{self, Metric, Task, Undefined, class_of, loss};
use crate::rng::Rng;

/// What every report must say beside an estimate.
pub const BLIND: &str = "it cannot see concept drift";

/// What is estimated. Multiclass: precision, recall, F1 and AUC are means of one class against the rest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Measure {
    /// Area under the ROC curve, ties counted half.
    Auc,
    /// Share of right answers.
    Accuracy,
    /// Share of positive answers that are right.
    Precision,
    /// Share of positives that are found.
    Recall,
    /// Harmonic mean of the two.
    F1,
    /// Mean negative logarithm of the true class's probability.
    LogLoss,
    /// Mean squared error of the probabilities.
    Brier,
}

/// What the rows that judged a version say about its probabilities; saved beside it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reference {
    task: Task,
    /// One for each output; `None` where its probabilities come true as they are.
    calibrators: Vec<Option<Isotonic>>,
    rows: u64,
}

/// One measure of unlabelled rows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Estimate {
    /// What is estimated.
    pub measure: Measure,
    /// Its expectation; `None` where it has none, such as the precision of no positive answer.
    pub value: Option<f64>,
    /// How far the labels, once known, and the calibration itself may scatter it.
    pub standard_error: f64,
    /// Lower end of the 95 % band.
    pub lower: f64,
    /// Upper end of the 95 % band.
    pub upper: f64,
    /// The same measure by the labels, where they were given and it is defined.
    pub realised: Option<f64>,
    /// Rows estimated.
    pub rows: usize,
}

/// Why there is no estimate.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A number says nothing about its own error.
    #[error(
        "an estimate without labels needs probabilities, which a regression model does not give: wait for \
         labels"
    )]
    Regression,
    /// Rows that no metric takes.
    #[error("the rows cannot be estimated")]
    Rows(#[from] Undefined),
    /// A probability below 0 or above 1.
    #[error(
        "the prediction of row {row} is {value}, which is no probability: write one from 0 to 1"
    )]
    NotAProbability {
        /// Position from 0.
        row: usize,
        /// What stands there.
        value: f64,
    },
    /// Nothing can be learned about the other class.
    #[error(
        "all {rows} rows that judged have the same class: an estimate needs rows of every class"
    )]
    OneClass {
        /// Their number.
        rows: usize,
    },
    /// The calibration.
    #[error("the rows that judged cannot calibrate")]
    Calibration(#[from] calibrate::Error),
}

impl Measure {
    /// In the order of reports.
    pub const ALL: [Measure; 7] = [
        Measure::Auc,
        Measure::Accuracy,
        Measure::Precision,
        Measure::Recall,
        Measure::F1,
        Measure::LogLoss,
        Measure::Brier,
    ];

    /// The name in reports.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Measure::Auc => "auc",
            Measure::Accuracy => "accuracy",
            Measure::Precision => "precision",
            Measure::Recall => "recall",
            Measure::F1 => "f1",
            Measure::LogLoss => "log_loss",
            Measure::Brier => "brier",
        }
    }

    /// The measure that estimates `metric`; `None` for those of regression.
    #[must_use]
    pub fn of(metric: Metric) -> Option<Measure> {
        match metric {
            Metric::Auc => Some(Measure::Auc),
            Metric::Accuracy => Some(Measure::Accuracy),
            Metric::LogLoss => Some(Measure::LogLoss),
            Metric::Brier => Some(Measure::Brier),
            Metric::F1 => Some(Measure::F1),
            Metric::Rmse | Metric::Mae | Metric::R2 => None,
        }
    }

    /// The measure by labels; `None` where it is undefined.
    #[must_use]
    pub fn realised(self, task: Task, labels: &[f64], predictions: &[f64]) -> Option<f64> {
        let metric = match self {
            Measure::Auc => Metric::Auc,
            Measure::Accuracy => Metric::Accuracy,
            Measure::F1 => Metric::F1,
            Measure::LogLoss => Metric::LogLoss,
            Measure::Brier => Metric::Brier,
            Measure::Precision | Measure::Recall => {
                metrics::check(task, labels, predictions).ok()?;
                let classes = task.outputs().max(2);
                let answers = loss::answers(task, predictions).collect::<Vec<_>>();
                let mut confusion = expected::Confusion::new(classes);
                for (label, answer) in labels.iter().zip(answers) {
                    confusion.add(answer, class_of(*label), 1.0);
                }
                return confusion.measure(self, task);
            }
        };
        metric.value(task, labels, predictions)
    }

    fn bounded(self) -> bool {
        !matches!(self, Measure::LogLoss | Measure::Brier)
    }
}

impl Reference {
    /// Learns how often the probabilities of a model come true. `labels` and `predictions`: rows that the
    /// model was neither trained nor selected on, as for every metric. A class is calibrated isotonically
    /// where that pays on rows it was not fitted on.
    pub fn fit(task: Task, labels: &[f64], predictions: &[f64]) -> Result<Reference, Error> {
        check(task, predictions, labels.len())?;
        metrics::check(task, labels, predictions)?;
        if labels.iter().all(|label| class_of(*label) == class_of(labels[0])) {
            return Err(Error::OneClass { rows: labels.len() });
        }
        let outputs = task.outputs();
        let mut calibrators = Vec::with_capacity(outputs);
        for output in 0..outputs {
            let class = if task == Task::Binary { 1 } else { output };
            let scores = predictions.iter().skip(output).step_by(outputs).copied();
            let scores = scores.collect::<Vec<_>>();
            let is = |label: &f64| f64::from(u8::from(class_of(*label) == class));
            let outcomes = labels.iter().map(is).collect::<Vec<_>>();
            let fit = || Isotonic::fit(&scores, &outcomes, None);
            let calibrator = calibrate::pays(&scores, &outcomes).then(fit).transpose()?;
            calibrators.push(calibrator);
        }
        Ok(Reference { task, calibrators, rows: labels.len() as u64 })
    }

    /// Rows that calibrated.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Probabilities that come true, in the shape of `predictions`; multiclass: of one class against the rest,
    /// then made to add up to 1.
    pub fn calibrated(&self, predictions: &[f64]) -> Result<Vec<f64>, Error> {
        check(self.task, predictions, predictions.len() / self.task.outputs().max(1))?;
        Ok(self.apply(&self.calibrators, predictions))
    }

    /// What the labels of these rows will show, each [`Measure`] once. `labels`, where they are known by now, give
    /// the realised values beside. `seed` fixes the draws behind the bands.
    pub fn estimate(
        &self,
        predictions: &[f64],
        labels: Option<&[f64]>,
        seed: u64,
    ) -> Result<Vec<Estimate>, Error> {
        let calibrated = self.calibrated(predictions)?;
        if let Some(labels) = labels {
            metrics::check(self.task, labels, predictions)?;
        }
        let rows = predictions.len() / self.task.outputs();
        let values = expected::measures(self.task, predictions, &calibrated);
        let errors = band::standard_errors(self, predictions, &mut Rng::new(seed));
        let estimate = |(at, measure): (usize, Measure)| {
            let value = values[at];
            let reach = 1.96 * errors[at];
            let ceiling = if measure.bounded() { 1.0 } else { f64::INFINITY };
            let middle = value.unwrap_or(f64::NAN);
            Estimate {
                measure,
                value,
                standard_error: errors[at],
                lower: (middle - reach).max(0.0),
                upper: (middle + reach).min(ceiling),
                realised: labels.and_then(|y| measure.realised(self.task, y, predictions)),
                rows,
            }
        };
        Ok(Measure::ALL.into_iter().enumerate().map(estimate).collect())
    }

    fn apply(&self, calibrators: &[Option<Isotonic>], predictions: &[f64]) -> Vec<f64> {
        let outputs = self.task.outputs();
        let mut calibrated = predictions.to_vec();
        for row in calibrated.chunks_exact_mut(outputs) {
            for (value, calibrator) in row.iter_mut().zip(calibrators) {
                if let Some(calibrator) = calibrator {
                    *value = calibrator.apply(*value);
                }
            }
            if outputs > 1 {
                let total = row.iter().sum::<f64>();
                let even = 1.0 / outputs as f64;
                row.iter_mut().for_each(|p| *p = if total > 0.0 { *p / total } else { even });
            }
        }
        calibrated
    }
}

fn check(task: Task, predictions: &[f64], rows: usize) -> Result<(), Error> {
    if task == Task::Regression {
        return Err(Error::Regression);
    }
    let (expected, found) = (rows * task.outputs(), predictions.len());
    if found != expected {
        return Err(Undefined::Shape { what: "predictions", rows, expected, found }.into());
    }
    if rows == 0 {
        return Err(Undefined::NoRows.into());
    }
    match predictions.iter().position(|p| !(0.0..=1.0).contains(p)) {
        None => Ok(()),
        Some(at) => {
            Err(Error::NotAProbability { row: at / task.outputs(), value: predictions[at] })
        }
    }
}

#[cfg(test)]
mod tests;
