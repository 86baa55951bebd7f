//! The port through which a model is trained, and the trainer that does it in this process.

use std::fmt;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Instant;

use afresh_core::time::Duration;
use afresh_data::rows::Rows;
use afresh_data::schema::Schema;
use afresh_data::selection::Selection;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::artifact::{self, Artifact, ArtifactHash};
use crate::attempt;
use crate::dataset::Place;
use crate::error::{Error, Failure};
use crate::fit;
use crate::process;
use crate::recipe::Recipe;

/// One training to be done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// How to train.
    pub recipe: Recipe,
    /// What the rows look like.
    pub schema: Schema,
    /// The rows: read by whoever trains, so that they are not copied between processes. A trainer
    /// that has its rows from elsewhere needs none.
    pub dataset: Option<Place>,
    /// Which of the rows, and for how long.
    pub part: Part,
    /// Which of the dataset's selections trains; nothing leaves that to the training.
    #[serde(default)]
    pub choice: Option<usize>,
    /// Rows times rounds that led to this job: those of the version that was judged.
    #[serde(default)]
    pub row_rounds: u64,
    /// The version to continue.
    pub warm_start: Option<WarmStart>,
    /// For a refit: the version that was judged.
    pub judged_parent: Option<ArtifactHash>,
    /// The directory that becomes the artifact.
    pub output: PathBuf,
    /// A directory for what is only needed meanwhile, and for the log.
    pub scratch: PathBuf,
    /// What the training may use.
    pub limits: Limits,
}

/// Which rows of a dataset are trained on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "part")]
pub enum Part {
    /// The training rows, with the early-stopping rows beside them; never the holdout.
    Fit,
    /// After the gate has passed: all rows, the holdout included.
    Refit {
        /// Exactly so many new rounds: the `rounds_added` of the judged version.
        rounds: usize,
    },
    /// Both in one: as [`Part::Fit`], then as [`Part::Refit`] with what that found. For trainings without a gate.
    Whole {
        /// New rounds where nothing says when to stop.
        rounds: usize,
    },
}

/// A version that is continued instead of starting anew.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WarmStart {
    /// Directory of its artifact.
    pub artifact: PathBuf,
    /// New rounds at most.
    pub rounds: usize,
}

/// What a training may use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Time on the clock.
    pub time_max: Option<Duration>,
    /// Resident memory of all its processes together; memory that they share counts for each.
    pub memory_bytes_max: Option<u64>,
    /// Processes at once; the limits on memory and processes hold for a `predict` command too.
    pub processes_max: Option<u32>,
    /// Time on the clock for one scoring by a `predict` command; ten minutes where left out.
    pub predict_time_max: Option<Duration>,
}

/// The rows of a [`Job`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Parts {
    /// Rows to learn from.
    pub train: Rows,
    /// Rows on which the number of rounds is chosen; empty where there are none.
    pub stopping: Rows,
}

/// A training that succeeded; its cost stands in the manifest.
#[derive(Clone, Debug, PartialEq)]
pub struct Trained {
    /// What it made.
    pub artifact: Artifact,
}

/// Called with the share of the work that is done, from 0 to 1.
pub type Progress = Arc<dyn Fn(f64) + Send + Sync>;

/// Becomes true when the training is to end.
pub type Cancel = watch::Receiver<bool>;

/// The future of a training.
pub type Training<'a> = Pin<Box<dyn Future<Output = Result<Trained, Failure>> + Send + 'a>>;

/// Trains models.
pub trait Trainer: fmt::Debug + Send + Sync {
    /// Trains. Dropping the future ends the training as `cancel` does.
    fn train<'a>(&'a self, job: &'a Job, cancel: Cancel, progress: Progress) -> Training<'a>;
}

/// Where a trainer in this process gets its rows from.
pub trait ReadRows: fmt::Debug + Send + Sync {
    /// The rows of `job.part`.
    ///
    /// # Errors
    /// When they cannot be read.
    fn read(&self, job: &Job) -> Result<Parts, Error>;

    /// The selections of rows among which the job's training chooses; none where all rows train alike.
    ///
    /// # Errors
    /// When they cannot be read.
    fn selections(&self, _job: &Job) -> Result<Vec<Selection>, Error> {
        Ok(Vec::new())
    }
}

/// Trains in this process: for tests and benchmarks. Does not enforce limits and takes the CPU of
/// the whole process for that of the training.
#[derive(Clone, Debug)]
pub struct InProcess<R> {
    /// Where the rows come from.
    pub rows: R,
}

impl<R: ReadRows> Trainer for InProcess<R> {
    fn train<'a>(&'a self, job: &'a Job, cancel: Cancel, progress: Progress) -> Training<'a> {
        Box::pin(async move { self.train_now(job, &cancel, &progress) })
    }
}

impl<R: ReadRows> InProcess<R> {
    fn train_now(
        &self,
        job: &Job,
        cancel: &Cancel,
        progress: &Progress,
    ) -> Result<Trained, Failure> {
        let (start, cpu) = (Instant::now(), process::own_cpu_seconds());
        let train = || {
            let staging = artifact::stage(&job.output)?;
            let mut on_round = |share: f64| {
                progress(share);
                if *cancel.borrow() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
            };
            let fitted = attempt::train(job, &self.rows, &fit::fit, &staging, &mut on_round);
            let sealed = fitted.and_then(|mut manifest| {
                manifest.cpu_seconds = process::own_cpu_seconds() - cpu;
                manifest.wall_seconds = start.elapsed().as_secs_f64();
                Artifact::seal(&staging, manifest, &job.output)
            });
            if sealed.is_err() {
                artifact::remove(&staging)?;
            }
            sealed
        };
        match train() {
            Ok(artifact) => Ok(Trained { artifact }),
            Err(error) => Err(Failure {
                error,
                cpu_seconds: process::own_cpu_seconds() - cpu,
                wall_seconds: start.elapsed().as_secs_f64(),
            }),
        }
    }
}

impl Job {
    /// A first training of `recipe`, without limits.
    #[must_use]
    pub fn new(recipe: Recipe, schema: Schema, output: &Path, scratch: &Path) -> Job {
        Job {
            recipe,
            schema,
            dataset: None,
            part: Part::Fit,
            choice: None,
            row_rounds: 0,
            warm_start: None,
            judged_parent: None,
            output: output.to_owned(),
            scratch: scratch.to_owned(),
            limits: Limits::default(),
        }
    }
}
