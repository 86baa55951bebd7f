//! What can go wrong in training and scoring, and whether trying again can help.
//!
//! Errors cross the border between a training's process and its parent, so they hold their causes
//! as text instead of as sources.

use std::fmt;
use std::path::Path;

use serde::{Deserialize, Serialize};

/// Whether trying the same thing again can help.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Retry {
    /// Another try may succeed: the machine was busy, full or interrupted.
    Transient,
    /// The same input fails in the same way.
    Permanent,
}

/// A training or a scoring that failed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "error")]
pub enum Error {
    /// A recipe names a parameter that the engine does not know.
    #[error("unknown parameter `{name}`{}", did_you_mean(near))]
    UnknownParameter {
        /// As written.
        name: String,
        /// Known names that look like it, nearest first.
        near: Vec<String>,
    },
    /// A parameter has a value that the engine refuses.
    #[error("parameter `{name}` {reason}")]
    Parameter {
        /// As written.
        name: String,
        /// What is wrong and what to write instead.
        reason: String,
    },
    /// There is nothing to train on.
    #[error("no {part} rows: widen the window or wait for labels")]
    NoRows {
        /// `training` or `early stopping`.
        part: String,
    },
    /// Rows without labels were given to a trainer.
    #[error("{rows} of the training rows have no label: train on available rows only")]
    Unlabelled {
        /// How many.
        rows: usize,
    },
    /// A label that is not one of the task's.
    #[error("label {label} is outside the {classes} classes of the schema")]
    LabelOutsideClasses {
        /// The label.
        label: String,
        /// Number of classes.
        classes: usize,
    },
    /// A regression label that is infinite.
    #[error("label {label} is not finite")]
    LabelNotFinite {
        /// The label.
        label: String,
    },
    /// All training labels are the same class.
    #[error("the training rows hold only the class `{class}`: widen the window")]
    OneClass {
        /// The one class.
        class: String,
    },
    /// A weight that is negative or not finite, or weights that are all zero.
    #[error("row weights must be finite, not negative and not all zero; found {weight}")]
    Weight {
        /// The weight.
        weight: String,
    },
    /// A feature of the schema is not among the columns.
    #[error("column `{column}` is missing: the model was trained with it")]
    ColumnMissing {
        /// Its name.
        column: String,
    },
    /// A column is of another kind than in the schema.
    #[error("column `{column}` is {found}, the model was trained with it as {expected}")]
    ColumnRetyped {
        /// Its name.
        column: String,
        /// Kind in the schema.
        expected: String,
        /// Kind in the rows.
        found: String,
    },
    /// A column has another length than the rows.
    #[error("column `{column}` has {found} values for {rows} rows")]
    ColumnLength {
        /// Its name.
        column: String,
        /// Number of its values.
        found: usize,
        /// Number of rows.
        rows: usize,
    },
    /// A feature value that is infinite.
    #[error("column `{column}` is infinite in row {row}: write a missing value instead")]
    Infinite {
        /// Its name.
        column: String,
        /// Position among the rows, from 0.
        row: usize,
    },
    /// A prediction that is not a finite number.
    #[error("the model predicts {value} for row {row}")]
    NotFinite {
        /// Position among the rows, from 0.
        row: usize,
        /// The prediction.
        value: String,
    },
    /// The engine refused what it was given.
    #[error("the engine failed to {action}: {message}")]
    Engine {
        /// What it was doing.
        action: String,
        /// Its message.
        message: String,
    },
    /// A library is not there, or is another than was hoped for.
    #[error("library `{path}` {reason}")]
    Library {
        /// Its file.
        path: String,
        /// What is wrong and what to do.
        reason: String,
    },
    /// A champion cannot be continued with these rows.
    #[error("the champion cannot be continued: {reason}; train in full")]
    WarmStart {
        /// Why.
        reason: String,
    },
    /// Continuing would pass the cap on trees.
    #[error("a full retraining is due: {trees} trees would pass the cap of {trees_max}")]
    FullRetrainingDue {
        /// Trees after the continuation.
        trees: usize,
        /// The recipe's cap.
        trees_max: usize,
    },
    /// The place where versions are kept did not do what it was asked.
    #[error("failed to {action} {place}: {message}")]
    Shelf {
        /// `read`, `write`, `list` or `remove`.
        action: String,
        /// Which object.
        place: String,
        /// Why, and what to do about it.
        message: String,
        /// Whether trying again can help.
        retry: Retry,
    },
    /// Another state keeps another version of the same number there.
    #[error("{place} holds another version: give every state directory a prefix of its own")]
    Occupied {
        /// Where it is.
        place: String,
    },
    /// An artifact's files are not what its manifest says.
    #[error("artifact {path} is damaged: {damage}")]
    Damaged {
        /// Its directory.
        path: String,
        /// Which file, and how it differs.
        damage: String,
    },
    /// An artifact written by a later version.
    #[error("artifact {path} has format {found}, this program reads up to {known}")]
    Format {
        /// Its directory.
        path: String,
        /// Its format.
        found: u32,
        /// The newest known format.
        known: u32,
    },
    /// Reading or writing failed.
    #[error("failed to {action} {path}: {message}")]
    Io {
        /// `read`, `write`, …
        action: String,
        /// The file or directory.
        path: String,
        /// The system's message.
        message: String,
    },
    /// The rows of a dataset could not be read.
    #[error("failed to read the training rows: {message}")]
    Rows {
        /// The whole chain of causes.
        message: String,
        /// As the reader classified it.
        retry: Retry,
    },
    /// A program could not be started.
    #[error("failed to start `{program}`: {message}")]
    Start {
        /// As written.
        program: String,
        /// The system's message.
        message: String,
    },
    /// A user's program that cannot be started however often it is tried.
    #[error("cannot run `{program}`: {reason}")]
    Program {
        /// As written.
        program: String,
        /// Why, and what to do.
        reason: String,
    },
    /// A listed environment variable is not set.
    #[error("environment variable `{name}` is listed for the trainer but not set")]
    Variable {
        /// Its name.
        name: String,
    },
    /// The file with the value of a variable cannot be read.
    #[error("failed to read the value of `{name}` from {path}: {message}")]
    SecretFile {
        /// Name of the variable.
        name: String,
        /// The file.
        path: String,
        /// Why.
        message: String,
    },
    /// The command ended with a code other than 0.
    #[error("the command exited with code {code}{}", shown(tail))]
    Exited {
        /// The code.
        code: i32,
        /// The end of its output.
        tail: String,
    },
    /// The command or its supervisor was killed.
    #[error("the program was killed by signal {signal}{}", shown(tail))]
    Signalled {
        /// The signal's number.
        signal: i32,
        /// The end of its output.
        tail: String,
    },
    /// The training process ended without saying how.
    #[error("the training process ended with code {code} and left no result{}", shown(tail))]
    NoOutcome {
        /// The code.
        code: i32,
        /// The end of its output.
        tail: String,
    },
    /// The training took longer than it may.
    #[error("the training passed its time limit of {seconds_max} s{}", shown(tail))]
    TimedOut {
        /// The limit, rounded up.
        seconds_max: u64,
        /// The end of its output.
        tail: String,
    },
    /// The program's processes held more memory than they may.
    #[error(
        "the program held {used_bytes} bytes of memory, more than its limit of {bytes_max}: use less, \
         or raise `train.limits.memory`{}",
        shown(tail)
    )]
    OutOfMemory {
        /// Resident bytes of all its processes when it was stopped.
        used_bytes: u64,
        /// The limit.
        bytes_max: u64,
        /// The end of its output.
        tail: String,
    },
    /// The program had more processes at once than it may.
    #[error(
        "the program ran {processes} processes at once, more than its limit of {processes_max}: start \
         fewer, or raise `train.limits.processes`{}",
        shown(tail)
    )]
    TooManyProcesses {
        /// How many ran when it was stopped.
        processes: u32,
        /// The limit.
        processes_max: u32,
        /// The end of its output.
        tail: String,
    },
    /// A `predict` command took longer than it may.
    #[error("`predict` passed its time limit of {seconds_max} s: {waiting}{}", shown(tail))]
    PredictTimedOut {
        /// The limit, rounded up.
        seconds_max: u64,
        /// What was waited for.
        waiting: String,
        /// The end of its output.
        tail: String,
    },
    /// A warm `predict` command ended before it had answered.
    #[error("the worker of `predict` ended before it answered{}", shown(tail))]
    WorkerEnded {
        /// The end of its output.
        tail: String,
    },
    /// A warm `predict` command answered that it cannot.
    #[error("`predict` says: {message}{}", shown(tail))]
    Refused {
        /// Its message.
        message: String,
        /// The end of its output.
        tail: String,
    },
    /// The training was cancelled.
    #[error("the training was cancelled")]
    Cancelled,
    /// The command succeeded but wrote no model.
    #[error("the command exited with 0 but left no `model.*` in AFRESH_OUT{}", shown(tail))]
    NoModel {
        /// The end of its output.
        tail: String,
    },
    /// The model file cannot be read or fits another schema.
    #[error("model file `{file}` cannot be used: {reason}")]
    UnusableModel {
        /// Its name.
        file: String,
        /// Why, and what to write instead.
        reason: String,
    },
    /// A `predict` command wrote something else than predictions.
    #[error("AFRESH_PREDICTIONS cannot be used: {reason}")]
    Predictions {
        /// What is wrong.
        reason: String,
    },
}

/// A training that failed, with what it cost all the same.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{error}")]
pub struct Failure {
    /// What went wrong.
    pub error: Error,
    /// CPU seconds of the tree of processes, as far as they are known.
    pub cpu_seconds: f64,
    /// Seconds on the clock.
    pub wall_seconds: f64,
}

impl Error {
    /// Whether trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        match self {
            Error::Io { .. }
            | Error::Start { .. }
            | Error::Exited { .. }
            | Error::Signalled { .. }
            | Error::NoOutcome { .. }
            | Error::TimedOut { .. }
            | Error::PredictTimedOut { .. }
            | Error::WorkerEnded { .. }
            | Error::Refused { .. }
            | Error::Cancelled => Retry::Transient,
            Error::Rows { retry, .. } | Error::Shelf { retry, .. } => *retry,
            Error::UnknownParameter { .. }
            | Error::Parameter { .. }
            | Error::NoRows { .. }
            | Error::Unlabelled { .. }
            | Error::LabelOutsideClasses { .. }
            | Error::LabelNotFinite { .. }
            | Error::OneClass { .. }
            | Error::Weight { .. }
            | Error::ColumnMissing { .. }
            | Error::ColumnRetyped { .. }
            | Error::ColumnLength { .. }
            | Error::Infinite { .. }
            | Error::NotFinite { .. }
            | Error::Engine { .. }
            | Error::Library { .. }
            | Error::WarmStart { .. }
            | Error::FullRetrainingDue { .. }
            | Error::Damaged { .. }
            | Error::Occupied { .. }
            | Error::Format { .. }
            | Error::Program { .. }
            | Error::Variable { .. }
            | Error::SecretFile { .. }
            | Error::OutOfMemory { .. }
            | Error::TooManyProcesses { .. }
            | Error::NoModel { .. }
            | Error::UnusableModel { .. }
            | Error::Predictions { .. } => Retry::Permanent,
        }
    }

    pub(crate) fn io(action: &str, path: &Path, error: &std::io::Error) -> Error {
        Error::Io {
            action: action.to_owned(),
            path: path.display().to_string(),
            message: error.to_string(),
        }
    }

    /// The same error with the end of the output, where it shows one.
    pub(crate) fn with_tail(mut self, text: &str) -> Error {
        if let Error::Exited { tail, .. }
        | Error::Signalled { tail, .. }
        | Error::NoOutcome { tail, .. }
        | Error::TimedOut { tail, .. }
        | Error::OutOfMemory { tail, .. }
        | Error::TooManyProcesses { tail, .. }
        | Error::PredictTimedOut { tail, .. }
        | Error::WorkerEnded { tail }
        | Error::Refused { tail, .. }
        | Error::NoModel { tail } = &mut self
        {
            text.trim_end().clone_into(tail);
        }
        self
    }
}

impl Failure {
    /// Whether trying again can help.
    #[must_use]
    pub fn retry(&self) -> Retry {
        self.error.retry()
    }
}

/// `; did you mean …?`, or nothing.
fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() {
        return String::new();
    }
    let names = near.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>();
    format!(": did you mean {}?", names.join(" or "))
}

/// The end of an output, under the message.
fn shown(tail: &str) -> impl fmt::Display + '_ {
    fmt::from_fn(move |f| if tail.is_empty() { Ok(()) } else { write!(f, "; it said:\n{tail}") })
}
