//! Logs of predictions: columns of time, prediction and label found by their names, read in pieces of a
//! few thousand rows, whatever the size of the log.

mod layout;
mod lines;
mod pieces;
mod read;

#[cfg(test)]
mod tests;

use std::path::Path;

use afresh_core::time::{Duration, Timestamp, Window};
use chrono_tz::Tz;

use crate::error;
use crate::place::{self, Object};
pub use crate::predictions::layout::{Layout, Predicts};
pub use crate::predictions::read::{Account, Piece};
use crate::schema::Task;
use crate::source::Span;

/// Classes that an answer may have.
pub const CLASSES_MAX: usize = read::CLASSES_MAX;

/// Values that a column may have whose values are told apart.
pub const SLICE_VALUES_MAX: usize = 1_000;

/// What the caller says about a log; the rest is guessed from names and values.
#[derive(Clone, Debug, Default)]
pub struct Wishes {
    /// Column of the time of a prediction.
    pub time: Option<String>,
    /// Columns of the prediction; several are one probability per class.
    pub prediction: Vec<String>,
    /// Column of the label.
    pub label: Option<String>,
    /// Column that says when the label became known.
    pub label_time: Option<String>,
    /// Column of the version that predicted; `none` where there is none.
    pub version: Option<String>,
    /// Column of row weights.
    pub weight: Option<String>,
    /// Columns whose values are told apart.
    pub slices: Vec<String>,
    /// What is predicted.
    pub task: Option<Task>,
    /// The label's positive value.
    pub positive: Option<String>,
    /// Time from prediction to label where there is no label time.
    pub label_delay: Duration,
}

/// A log, its columns understood.
#[derive(Debug)]
pub struct Log {
    location: String,
    place: place::Place,
    objects: Vec<Object>,
    layout: Layout,
    label_delay: Duration,
}

/// First and last prediction, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Survey {
    /// First and last time.
    pub span: Span,
    /// Rows of all files.
    pub rows: u64,
}

/// A log that cannot be read or makes no sense.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Data(#[from] error::Error),
    /// No column has a name that means this.
    #[error("no column of `{file}` is named like {what}; it has {}", listed(.columns))]
    NotFound {
        /// The file.
        file: String,
        /// `the prediction` or another role.
        what: &'static str,
        /// The option that names it.
        option: &'static str,
        /// Its columns.
        columns: Vec<String>,
    },
    /// A column that an option names is not there.
    #[error("`{file}` has no column `{column}`, which {option} names{}; it has {}", meant(.near), listed(.columns))]
    NoColumn {
        /// The file.
        file: String,
        /// The column asked for.
        column: String,
        /// The option that names it.
        option: &'static str,
        /// Names that look alike.
        near: Vec<String>,
        /// All columns.
        columns: Vec<String>,
    },
    /// A column of the wrong kind.
    #[error("column `{column}` holds {found}, not {wanted}")]
    Kind {
        /// The column.
        column: String,
        /// What it holds.
        found: String,
        /// What it should hold.
        wanted: &'static str,
    },
    /// There is no row.
    #[error("`{location}` has no rows")]
    Empty {
        /// As written.
        location: String,
    },
    /// No row has a time.
    #[error("column `{column}` has no value in any of {rows} rows")]
    NoTime {
        /// The column.
        column: String,
        /// Rows seen.
        rows: u64,
    },
    /// No row has a prediction.
    #[error("column `{column}` has no value in any of {rows} rows")]
    NoPrediction {
        /// The column.
        column: String,
        /// Rows seen.
        rows: u64,
    },
    /// No row has a label.
    #[error("column `{column}` has no value in any of {rows} rows")]
    NoLabel {
        /// The column.
        column: String,
        /// Rows seen.
        rows: u64,
    },
    /// A probability that is none.
    #[error("prediction `{column}` is {value} in {place}, outside [0, 1]")]
    Outside {
        /// The column.
        column: String,
        /// The value.
        value: f64,
        /// The first place.
        place: Box<error::Place>,
    },
    /// An infinite prediction or label.
    #[error("column `{column}` is infinite in {place}")]
    Infinite {
        /// The column.
        column: String,
        /// The first place.
        place: Box<error::Place>,
    },
    /// A label that no class has.
    #[error("label `{column}` is `{value}` in {place}, and the classes are {}", listed(.classes))]
    UnknownLabel {
        /// The column.
        column: String,
        /// As written.
        value: String,
        /// The first place.
        place: Box<error::Place>,
        /// The classes.
        classes: Vec<String>,
    },
    /// Two values, and neither means "yes".
    #[error("label `{column}` is one of {}: which of them is the positive one cannot be told", listed(.values))]
    Positive {
        /// The column.
        column: String,
        /// Its values.
        values: Vec<String>,
    },
    /// The task cannot be guessed, or does not fit.
    #[error("label `{column}` {why}")]
    Task {
        /// The label column.
        column: String,
        /// What is wrong.
        why: String,
    },
    /// Many labels are older than their predictions.
    #[error(
        "{early} of {labelled} labels were known before they were predicted; the first is {place}: label at {label_time}, prediction at {time}"
    )]
    EarlyLabels {
        /// How many.
        early: u64,
        /// Of how many.
        labelled: u64,
        /// The first place.
        place: Box<error::Place>,
        /// Its prediction.
        time: Timestamp,
        /// Its label.
        label_time: Timestamp,
    },
    /// A column of versions with too many values to be one.
    #[error("column `{column}` has more than {max} values, which no column of versions has")]
    Versions {
        /// The column.
        column: String,
        /// Versions at most.
        max: usize,
    },
    /// A column that is sliced by with too many values.
    #[error("column `{column}` has more than {max} values, too many to look at one by one")]
    SliceValues {
        /// The column.
        column: String,
        /// Values at most.
        max: usize,
    },
    /// A column that is sliced by twice.
    #[error("`--slice {column}` is written twice")]
    SliceTwice {
        /// The column.
        column: String,
    },
    /// A weight that is no weight.
    #[error("weight `{column}` is {value} in {place}: weights are finite and not negative")]
    Weight {
        /// The column.
        column: String,
        /// The value.
        value: f64,
        /// The first place.
        place: Box<error::Place>,
    },
}

impl Error {
    /// What can be done about it, where more is known than the message says.
    #[must_use]
    pub fn help(&self) -> Option<String> {
        Some(match self {
            Error::Data(_) => return None,
            Error::NotFound { option, .. } if *option == "--label" => {
                "name it with `--label COLUMN`; without any labels, `afresh drift` tells how far the inputs \
                 moved"
                    .to_owned()
            }
            Error::NotFound { option, .. } | Error::NoColumn { option, .. } => {
                format!("name it with `{option} COLUMN`")
            }
            Error::Kind { .. } => "name another column, or write it in that form".to_owned(),
            Error::Empty { .. } => "name the file that the predictions were logged to".to_owned(),
            Error::NoTime { .. } => "name another column with `--time`".to_owned(),
            Error::NoPrediction { .. } => "name another column with `--prediction`".to_owned(),
            Error::NoLabel { .. } => {
                "join the labels to the log first; until they come, `afresh drift` tells how far the inputs \
                 moved, and performance can only be estimated from calibrated probabilities"
                    .to_owned()
            }
            Error::Outside { .. } => {
                "log probabilities rather than logits or scores (1 / (1 + exp(−score)) for a logit), or write \
                 `--task regression` where a number is predicted"
                    .to_owned()
            }
            Error::Infinite { .. } => "write an empty value where there is none".to_owned(),
            Error::UnknownLabel { .. } => {
                "write `--task multiclass` or `--task regression`, or repair the label".to_owned()
            }
            Error::Positive { values, .. } => {
                format!("write `--positive {}`", values.first().map_or("VALUE", String::as_str))
            }
            Error::Task { .. } => "write `--task binary`, `multiclass` or `regression`".to_owned(),
            Error::EarlyLabels { .. } => {
                "check that `--time` is the time of the prediction and `--label-time` that of the label, and \
                 that both are of one time zone"
                    .to_owned()
            }
            Error::Versions { .. } => {
                "name the right one with `--version COLUMN`, or write `--version none`".to_owned()
            }
            Error::SliceValues { .. } => {
                "name a column of fewer values with `--slice`, such as a region, or write bands instead of \
                 numbers"
                    .to_owned()
            }
            Error::SliceTwice { .. } => "write every column once".to_owned(),
            Error::Weight { .. } => "repair it, or name another column with `--weight`".to_owned(),
        })
    }
}

impl Log {
    /// Finds the files of `location` and what their columns mean; a relative one counts from `base`.
    pub async fn open(location: &str, base: &Path, wishes: &Wishes) -> Result<Log, Error> {
        let place = place::open(location, base)?;
        let objects = place.objects(Window::ALL, Tz::UTC).await?;
        let layout = layout::understand(&place, &objects, location, wishes).await?;
        let location = location.to_owned();
        Ok(Log { location, place, objects, layout, label_delay: wishes.label_delay })
    }

    /// What the columns mean.
    #[must_use]
    pub fn layout(&self) -> &Layout {
        &self.layout
    }

    /// Sizes of all files together.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.size).sum()
    }

    /// First and last time, from the statistics of Parquet files where they tell, else from the rows.
    /// `progress` is told the share that was read.
    pub async fn survey(&self, progress: &mut dyn FnMut(f64)) -> Result<Survey, Error> {
        read::survey(self, progress).await
    }

    /// Hands every row to `take`, piece by piece; labels that were not known at `now` are left out.
    pub async fn read(
        &self,
        now: Timestamp,
        progress: &mut dyn FnMut(f64),
        take: &mut dyn FnMut(&Piece),
    ) -> Result<Account, Error> {
        read::read(self, now, progress, take).await
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN: usize = 12;
    let shown = names.iter().take(SHOWN).map(|name| format!("`{name}`")).collect::<Vec<_>>();
    let more = if names.len() > SHOWN { ", …" } else { "" };
    format!("{}{more}", shown.join(", "))
}

fn meant(near: &[String]) -> String {
    match near.first() {
        Some(name) => format!(": did you mean `{name}`?"),
        None => String::new(),
    }
}
