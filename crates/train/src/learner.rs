//! The seam between Afresh and the engines that learn: numbers in, the bytes of a model out.

use std::fmt;
use std::ops::ControlFlow;

use afresh_data::rows::Rows;
use afresh_data::schema::{Schema, Task};
use serde::{Deserialize, Serialize};

use crate::encoding::{Encodings, Matrix, single};
use crate::error::Error;

/// Something that learns from labelled numbers.
pub(crate) trait Learner {
    /// Learns. Deterministic: the same request gives the same bytes.
    fn fit(&self, request: &Request<'_>, on_round: &mut OnRound<'_>) -> Result<Fitted, Error>;
}

/// A learned model in memory.
pub(crate) trait Predictor: fmt::Debug + Send + Sync {
    /// Row-major, as many numbers a row as the task has outputs.
    fn predict(&self, matrix: &Matrix) -> Result<Vec<f64>, Error>;

    /// What each tree of a forest predicts; nothing for any other model.
    fn predict_trees(&self, _matrix: &Matrix) -> Result<Option<TreePredictions>, Error> {
        Ok(None)
    }
}

/// What each tree of a forest predicts.
#[derive(Clone, Debug, PartialEq)]
pub struct TreePredictions {
    /// By row, then tree, then output.
    pub values: Vec<f64>,
    /// Number of trees.
    pub trees: usize,
    /// Numbers of one prediction.
    pub outputs: usize,
}

/// Called after every round with the share of rounds done; may end the training.
pub(crate) type OnRound<'a> = dyn FnMut(f64) -> ControlFlow<()> + Send + 'a;

/// What is to be learned.
pub(crate) struct Request<'a> {
    pub(crate) task: &'a Task,
    pub(crate) outputs: usize,
    pub(crate) train: &'a Labelled,
    /// Rows on which the number of rounds is chosen.
    pub(crate) stopping: Option<&'a Labelled>,
    pub(crate) seed: u64,
    pub(crate) threads: usize,
    pub(crate) rounds: Rounds,
    /// The model to continue.
    pub(crate) base: Option<Base<'a>>,
}

/// How long to train.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rounds {
    /// Until the early-stopping rows gain nothing, at most as many as the recipe says.
    Search,
    /// Exactly so many.
    Fixed(usize),
}

/// A model to continue.
#[derive(Clone, Copy)]
pub(crate) struct Base<'a> {
    pub(crate) bytes: &'a [u8],
    /// Rounds of it that count.
    pub(crate) rounds: usize,
}

/// What was learned.
pub(crate) struct Fitted {
    pub(crate) bytes: Vec<u8>,
    pub(crate) format: Format,
    /// Rounds that predictions use, those of the base included.
    pub(crate) rounds: usize,
    /// Of those, the rounds of this training.
    pub(crate) rounds_added: usize,
    /// Trees that predictions use.
    pub(crate) trees: usize,
    /// Total gain by feature; empty where the engine has no such thing.
    pub(crate) importance: Vec<f64>,
    /// Name and best value of the metric on the early-stopping rows.
    pub(crate) stopped_at: Option<(String, f64)>,
}

/// What the bytes of a model are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// XGBoost's binary JSON.
    XgboostUbj,
    /// XGBoost's JSON.
    XgboostJson,
    /// JSON with one prediction for all rows.
    Constant,
    /// ONNX, whatever library it is from.
    Onnx,
    /// JSON of a linear model, described in [`crate::linear`].
    Linear,
    /// Known to the trainer's `predict` command only.
    External,
}

/// Numbers with labels.
#[derive(Debug)]
pub(crate) struct Labelled {
    pub(crate) matrix: Matrix,
    pub(crate) labels: Vec<f32>,
    /// Left out where all are 1.
    pub(crate) weights: Option<Vec<f32>>,
}

impl Labelled {
    pub(crate) fn new(rows: &Rows, encodings: &Encodings) -> Result<Labelled, Error> {
        let uniform = rows.weight.iter().all(|weight| weight.total_cmp(&1.0).is_eq());
        Ok(Labelled {
            matrix: encodings.encode(rows)?,
            labels: rows.label.iter().map(|label| single(*label)).collect(),
            weights: (!uniform).then(|| rows.weight.iter().map(|weight| single(*weight)).collect()),
        })
    }
}

/// Which rows a check of labels is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Slice {
    Training,
    Stopping,
}

/// Refuses rows that cannot be learned from.
pub(crate) fn check_rows(schema: &Schema, rows: &Rows, slice: Slice) -> Result<(), Error> {
    if rows.is_empty() {
        let part = if slice == Slice::Training { "training" } else { "early-stopping" };
        return Err(Error::NoRows { part: part.to_owned() });
    }
    let unlabelled = rows.label.iter().filter(|label| label.is_nan()).count();
    if unlabelled > 0 {
        return Err(Error::Unlabelled { rows: unlabelled });
    }
    let wrong = rows.weight.iter().find(|weight| !weight.is_finite() || **weight < 0.0);
    if let Some(weight) = wrong.or_else(|| {
        rows.weight.iter().all(|weight| *weight <= 0.0).then(|| rows.weight.first()).flatten()
    }) {
        return Err(Error::Weight { weight: weight.to_string() });
    }
    if schema.task == Task::Regression {
        return match rows.label.iter().find(|label| label.is_infinite()) {
            Some(label) => Err(Error::LabelNotFinite { label: label.to_string() }),
            None => Ok(()),
        };
    }
    let mut seen = vec![false; schema.classes.len()];
    for label in &rows.label {
        let class = class_index(*label).and_then(|class| seen.get_mut(class));
        let Some(class) = class else {
            let classes = schema.classes.len();
            return Err(Error::LabelOutsideClasses { label: label.to_string(), classes });
        };
        *class = true;
    }
    let mut present = seen.iter().zip(&schema.classes).filter(|(seen, _)| **seen);
    match (present.next(), present.next()) {
        (Some((_, class)), None) if slice == Slice::Training => {
            Err(Error::OneClass { class: class.clone() })
        }
        _ => Ok(()),
    }
}

/// The class that a label stands for.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "checked to be a small whole number"
)]
fn class_index(label: f64) -> Option<usize> {
    (label.fract().abs() <= 0.0 && (0.0..65_536.0).contains(&label)).then_some(label as usize)
}

/// One prediction for all rows.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Constant {
    /// The mean, the share of the positive class, or the share of each class.
    pub(crate) outputs: Vec<f64>,
}

impl Constant {
    pub(crate) fn decode(bytes: &[u8]) -> Result<Constant, String> {
        serde_json::from_slice(bytes).map_err(|error| error.to_string())
    }
}

/// The learner of [`Constant`].
pub(crate) struct ConstantLearner;

impl Learner for ConstantLearner {
    fn fit(&self, request: &Request<'_>, on_round: &mut OnRound<'_>) -> Result<Fitted, Error> {
        let mut sums = vec![0.0; request.outputs];
        let mut total = 0.0;
        for (row, label) in request.train.labels.iter().enumerate() {
            let weight =
                request.train.weights.as_ref().map_or(1.0, |weights| f64::from(weights[row]));
            let label = f64::from(*label);
            total += weight;
            match (request.task, class_index(label)) {
                (Task::Multiclass, Some(class)) if class < sums.len() => sums[class] += weight,
                _ => sums[0] += weight * label,
            }
        }
        let constant = Constant { outputs: sums.iter().map(|sum| sum / total).collect() };
        // A constant is one step, which nobody needs to end early.
        if on_round(1.0).is_break() {
            return Err(Error::Cancelled);
        }
        let bytes = serde_json::to_vec(&constant).map_err(|error| Error::Engine {
            action: "write the constant".to_owned(),
            message: error.to_string(),
        })?;
        Ok(Fitted {
            bytes,
            format: Format::Constant,
            rounds: 1,
            rounds_added: 1,
            trees: 0,
            importance: Vec::new(),
            stopped_at: None,
        })
    }
}

impl Predictor for Constant {
    fn predict(&self, matrix: &Matrix) -> Result<Vec<f64>, Error> {
        Ok(self.outputs.repeat(matrix.rows))
    }
}

#[cfg(test)]
mod tests {
    use afresh_data::schema::Kind;

    use super::*;
    use crate::testing::{numeric, rows, schema};

    #[test]
    fn rows_that_teach_nothing_are_refused_with_the_culprit() {
        let schema = schema(Task::Binary, &[("x", Kind::Numeric)]);
        let check = |labels: &[f64]| {
            let rows = rows(vec![numeric("x", &vec![0.0; labels.len()])], labels);
            check_rows(&schema, &rows, Slice::Training).map_err(|error| error.to_string())
        };
        assert_eq!(check(&[0.0, 1.0]), Ok(()));
        for (labels, message) in [
            (&[][..], "no training rows"),
            (&[1.0, 1.0], "only the class `yes`"),
            (&[0.0, f64::NAN], "1 of the training rows have no label"),
            (&[0.0, 2.0], "label 2 is outside the 2 classes"),
            (&[0.0, 0.5], "label 0.5 is outside"),
            (&[0.0, -1.0], "label -1 is outside"),
            (&[0.0, f64::INFINITY], "label inf is outside"),
        ] {
            let error = check(labels).unwrap_err();
            assert!(error.contains(message), "{labels:?}: {error}");
        }
    }

    #[test]
    fn weights_must_say_something() {
        let schema = schema(Task::Regression, &[("x", Kind::Numeric)]);
        let mut rows = rows(vec![numeric("x", &[0.0, 1.0])], &[3.0, 4.0]);
        for wrong in [[-1.0, 1.0], [f64::NAN, 1.0], [0.0, 0.0]] {
            rows.weight = wrong.to_vec();
            let error = check_rows(&schema, &rows, Slice::Training).unwrap_err();
            assert!(matches!(error, Error::Weight { .. }), "{wrong:?}");
        }
    }
}
