//! Which column is what, and what is predicted: told from names and from the first rows.

use std::collections::BTreeSet;

use crate::error::near;
use crate::labels::is_missing;
use crate::place::{Object, Place};
use crate::predictions::pieces::{self, Column, Sample};
use crate::predictions::{Error, Wishes};
use crate::schema::Task;

/// Names that mean the time of a prediction, the likeliest first; likewise below.
const TIMES: &[&str] = &[
    "time",
    "timestamp",
    "event_time",
    "ts",
    "datetime",
    "prediction_time",
    "predicted_at",
    "scored_at",
    "event_timestamp",
    "request_time",
    "logged_at",
    "created_at",
    "date",
    "at",
];
const PREDICTIONS: &[&str] = &[
    "prediction",
    "score",
    "probability",
    "y_pred",
    "proba",
    "y_proba",
    "y_prob",
    "y_score",
    "prob",
    "predicted",
    "pred",
    "y_hat",
    "yhat",
    "predicted_probability",
    "prediction_score",
    "model_score",
    "p",
    "output",
];
const LABELS: &[&str] = &[
    "label",
    "y",
    "target",
    "actual",
    "y_true",
    "outcome",
    "truth",
    "ground_truth",
    "true_label",
    "actual_label",
    "observed",
    "class",
];
const LABEL_TIMES: &[&str] = &[
    "label_time",
    "labelled_at",
    "labeled_at",
    "label_timestamp",
    "matured_time",
    "label_at",
    "outcome_time",
    "actual_time",
    "resolved_at",
    "feedback_time",
];
const VERSIONS: &[&str] = &["version", "model_version", "champion", "model_id", "model"];
const WEIGHTS: &[&str] = &["weight", "sample_weight", "row_weight"];
/// What a column of one class begins with.
const CLASS_PREFIXES: &[&str] = &["prediction_", "probability_", "proba_", "prob_", "score_", "p_"];
/// Labels that mean "yes".
const POSITIVES: &[&str] = &["1", "true", "yes", "y", "t", "positive", "pos"];

/// Versions at most.
pub(super) const VERSIONS_MAX: usize = 64;
/// A guessed column of versions has no more values than this in the first rows.
const VERSIONS_GUESSED_MAX: usize = 32;

/// What a prediction is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Predicts {
    /// The probability of the positive class.
    Probability {
        /// The label's negative and positive value.
        classes: [String; 2],
    },
    /// One probability per class.
    Probabilities {
        /// In the order of the columns.
        classes: Vec<String>,
    },
    /// The likeliest class alone.
    Answer,
    /// A number.
    Value,
}

/// What the columns of a log mean.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    /// Time of the prediction.
    pub time: String,
    /// One column, or one per class.
    pub predictions: Vec<String>,
    /// The label.
    pub label: String,
    /// When the label became known.
    pub label_time: Option<String>,
    /// What predicted.
    pub version: Option<String>,
    /// Row weights.
    pub weight: Option<String>,
    /// What rows are told apart by.
    pub slices: Vec<String>,
    /// What a prediction is.
    pub predicts: Predicts,
    /// Whole numbers of a time column are seconds rather than milliseconds.
    pub(super) seconds: bool,
    /// The label is read as text.
    pub(super) label_is_text: bool,
}

impl Layout {
    /// What is predicted.
    #[must_use]
    pub fn task(&self) -> Task {
        match self.predicts {
            Predicts::Probability { .. } => Task::Binary,
            Predicts::Probabilities { .. } | Predicts::Answer => Task::Multiclass,
            Predicts::Value => Task::Regression,
        }
    }

    /// Every column that is read.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let optional = [&self.label_time, &self.version, &self.weight];
        [self.time.as_str(), self.label.as_str()]
            .into_iter()
            .chain(self.predictions.iter().map(String::as_str))
            .chain(optional.into_iter().flatten().map(String::as_str))
            .chain(self.slices.iter().map(String::as_str))
    }
}

/// Reads the first rows and says what the columns mean.
pub(super) async fn understand(
    place: &Place,
    objects: &[Object],
    location: &str,
    wishes: &Wishes,
) -> Result<Layout, Error> {
    let (file, names) = pieces::header(place, objects, location).await?;
    let names = Names { file, names };
    let time = names.role(wishes.time.as_deref(), TIMES, "the time of a prediction", "--time")?;
    let label_time = names.optional(wishes.label_time.as_deref(), LABEL_TIMES, "--label-time")?;
    let weight = names.optional(wishes.weight.as_deref(), WEIGHTS, "--weight")?;
    let version = match wishes.version.as_deref() {
        Some("none") => None,
        wish => names.optional(wish, VERSIONS, "--version")?,
    };
    let taken = [Some(&time), label_time.as_ref(), weight.as_ref(), version.as_ref()];
    let taken = taken.into_iter().flatten().cloned().collect::<Vec<_>>();
    let predictions = names.predictions(wishes, &taken)?;
    let label = names.role(wishes.label.as_deref(), LABELS, "the label", "--label")?;
    let slices = wishes.slices.iter().map(|wish| names.named(wish, "--slice"));
    let slices = slices.collect::<Result<Vec<_>, _>>()?;
    if let Some((_, column)) = slices.iter().enumerate().find(|(at, s)| slices[..*at].contains(s)) {
        return Err(Error::SliceTwice { column: column.clone() });
    }
    let mut layout = Layout {
        time,
        predictions,
        label,
        label_time,
        version,
        weight,
        slices,
        predicts: Predicts::Value,
        seconds: false,
        label_is_text: false,
    };
    let sample = pieces::sample(place, objects, &layout).await?;
    if sample.rows == 0 {
        return Err(Error::Empty { location: location.to_owned() });
    }
    layout.seconds = sample.seconds;
    layout.label_is_text = matches!(sample.label, Column::Texts(_));
    let too_many = |versions: &Column| distinct(versions).len() > VERSIONS_GUESSED_MAX;
    if wishes.version.is_none() && sample.version.as_ref().is_some_and(too_many) {
        layout.version = None;
    }
    layout.predicts = predicts(&layout, &sample, wishes)?;
    Ok(layout)
}

/// The name of a class as labels and columns are compared by: numbers without needless digits, true and
/// false as 1 and 0.
pub(super) fn canonical(text: &str) -> String {
    let text = text.trim();
    match text.to_ascii_lowercase().as_str() {
        "true" => return "1".to_owned(),
        "false" => return "0".to_owned(),
        _ => {}
    }
    match text.parse::<f64>() {
        Ok(value) if value.is_finite() => crate::labels::written(value),
        _ => text.to_owned(),
    }
}

/// The columns of a file.
struct Names {
    file: String,
    names: Vec<String>,
}

impl Names {
    fn role(
        &self,
        wish: Option<&str>,
        known: &[&str],
        what: &'static str,
        option: &'static str,
    ) -> Result<String, Error> {
        self.optional(wish, known, option)?.ok_or_else(|| Error::NotFound {
            file: self.file.clone(),
            what,
            option,
            columns: self.names.clone(),
        })
    }

    fn optional(
        &self,
        wish: Option<&str>,
        known: &[&str],
        option: &'static str,
    ) -> Result<Option<String>, Error> {
        match wish {
            Some(wish) => self.named(wish, option).map(Some),
            None => Ok(self.guess(known)),
        }
    }

    fn named(&self, wish: &str, option: &'static str) -> Result<String, Error> {
        if self.names.iter().any(|name| name == wish) {
            return Ok(wish.to_owned());
        }
        Err(Error::NoColumn {
            file: self.file.clone(),
            column: wish.to_owned(),
            option,
            near: near(wish, self.names.iter().map(String::as_str)),
            columns: self.names.clone(),
        })
    }

    fn guess(&self, known: &[&str]) -> Option<String> {
        let plain = |name: &str| name.trim().to_ascii_lowercase().replace(['-', ' ', '.'], "_");
        let find = |wanted: &&str| self.names.iter().find(|name| plain(name) == **wanted).cloned();
        known.iter().find_map(find)
    }

    /// One column of predictions, or one per class.
    fn predictions(&self, wishes: &Wishes, taken: &[String]) -> Result<Vec<String>, Error> {
        if !wishes.prediction.is_empty() {
            return wishes.prediction.iter().map(|wish| self.named(wish, "--prediction")).collect();
        }
        if let Some(one) = self.guess(PREDICTIONS) {
            return Ok(vec![one]);
        }
        for prefix in CLASS_PREFIXES {
            let of_class = |name: &&String| {
                name.to_ascii_lowercase().starts_with(prefix) && !taken.contains(name)
            };
            let found = self.names.iter().filter(of_class).cloned().collect::<Vec<_>>();
            if found.len() > 1 {
                return Ok(found);
            }
        }
        self.role(None, PREDICTIONS, "the prediction", "--prediction").map(|one| vec![one])
    }
}

/// The distinct values of a column, as classes are compared.
fn distinct(column: &Column) -> BTreeSet<String> {
    match column {
        Column::Numbers(values) => {
            values.iter().filter(|v| !v.is_nan()).map(|v| crate::labels::written(*v)).collect()
        }
        Column::Texts(values) => {
            values.iter().filter(|text| !is_missing(text)).map(|text| canonical(text)).collect()
        }
    }
}

fn predicts(layout: &Layout, sample: &Sample, wishes: &Wishes) -> Result<Predicts, Error> {
    let task_wrong = |why: String| Error::Task { column: layout.label.clone(), why };
    if layout.predictions.len() > 1 {
        if wishes.task.is_some_and(|task| task != Task::Multiclass) {
            let why = "has one prediction column per class, which only fits multiclass".to_owned();
            return Err(task_wrong(why));
        }
        return Ok(Predicts::Probabilities { classes: classes(&layout.predictions) });
    }
    let labels = distinct(&sample.label);
    let Some(Column::Numbers(predictions)) = sample.predictions.first() else {
        if wishes.task.is_some_and(|task| task != Task::Multiclass) {
            return Err(Error::Kind {
                column: layout.predictions[0].clone(),
                found: "texts".to_owned(),
                wanted: "numbers",
            });
        }
        return Ok(Predicts::Answer);
    };
    let given = || predictions.iter().copied().filter(|p| !p.is_nan());
    let zero_or_one = |p: f64| p.abs() < f64::EPSILON || (p - 1.0).abs() < f64::EPSILON;
    let sure = given().next().is_some() && given().all(zero_or_one);
    let probabilities = given().all(|p| (0.0..=1.0).contains(&p));
    let coded = labels.iter().all(|label| label == "0" || label == "1");
    let text = matches!(sample.label, Column::Texts(_));
    match wishes.task {
        Some(Task::Regression) if text => Err(Error::Kind {
            column: layout.label.clone(),
            found: "texts".to_owned(),
            wanted: "numbers",
        }),
        Some(Task::Regression) => Ok(Predicts::Value),
        Some(Task::Multiclass) => Ok(Predicts::Answer),
        Some(Task::Binary) => two_classes(layout, &labels, wishes),
        None if labels.len() <= 2 && (coded || (labels.len() == 2 && (text || probabilities))) => {
            // Sure predictions are answers: as probabilities each mistake would cost without bound.
            if sure && coded { Ok(Predicts::Answer) } else { two_classes(layout, &labels, wishes) }
        }
        None if text => Err(task_wrong(format!(
            "has {} values and `{}` one number: write one column of probabilities per class, or the \
             predicted class",
            labels.len(),
            layout.predictions[0]
        ))),
        None => Ok(Predicts::Value),
    }
}

fn two_classes(
    layout: &Layout,
    labels: &BTreeSet<String>,
    wishes: &Wishes,
) -> Result<Predicts, Error> {
    if labels.len() > 2 {
        let shown = labels.iter().take(3).cloned().collect::<Vec<_>>().join("`, `");
        let why = format!("has more than two values (`{shown}`, …), which is no binary task");
        return Err(Error::Task { column: layout.label.clone(), why });
    }
    let means_yes = |label: &&String| POSITIVES.contains(&label.to_ascii_lowercase().as_str());
    let positive = match &wishes.positive {
        Some(positive) => canonical(positive),
        None if labels.iter().all(|label| label == "0" || label == "1") => "1".to_owned(),
        None => labels.iter().find(means_yes).cloned().ok_or_else(|| Error::Positive {
            column: layout.label.clone(),
            values: labels.iter().cloned().collect(),
        })?,
    };
    let other = labels.iter().find(|label| **label != positive).cloned();
    let negative = other.unwrap_or_else(|| if positive == "0" { "1" } else { "0" }.to_owned());
    Ok(Predicts::Probability { classes: [negative, positive] })
}

/// What follows the part that all names share.
fn classes(columns: &[String]) -> Vec<String> {
    let first = &columns[0];
    let shared = (0..first.len())
        .rev()
        .filter(|end| first.is_char_boundary(*end))
        .find(|end| columns.iter().all(|name| name.starts_with(&first[..*end])))
        .unwrap_or(0);
    // Classes such as 10 and 11 share digits: the part ends with a separator.
    let end = first[..shared].rfind(['_', '-', '.', ' ']).map_or(0, |at| at + 1);
    columns.iter().map(|name| canonical(&name[end..])).collect()
}
