//! Carries out what a model owes: prepare, train, judge, refit. Each answer is an input of the
//! core; a failure is an answer too. Holds no rule: it fetches, calls, and reports.

mod changed;
mod judge;
mod scores;
mod ungated;

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use afresh_core::event::{Failure, FailureKind, RowCounts};
use afresh_core::id::{DatasetId, VersionId};
use afresh_core::input::{Input, Prepared, Refitted, Trained};
use afresh_core::model::Action;
use afresh_core::signal::Strategy;
use afresh_core::time::{Timestamp, Window};
use afresh_data::dataset::{Datasets, FORMAT, Manifest};
use afresh_data::rows::Rows;
use afresh_data::schema::Schema;
use afresh_data::selection::Selection;
use afresh_data::spec::Columns;
use afresh_data::split;
use afresh_train::artifact::{Artifact, MANIFEST_FILE};
use afresh_train::dataset::Place;
use afresh_train::scorer::Scorer;
use afresh_train::shelf::Shelf;
use afresh_train::trainer::{Cancel, Job, Part, Progress, Trainer, WarmStart};
use tokio::sync::watch;

pub use changed::{began, enough};
pub use judge::{Baseline, Judgement, judgement_key};
pub use ungated::{Once, Shipped};

use crate::feed::Feed;
use crate::port::{Store, StoreError};
use crate::settings::{Known, Selected, Settings, TrainingWindow};

/// Scorers kept in memory.
const SCORERS_MAX: usize = 64;

/// The manifest of a dataset as the engine writes it; the profile stands in the artifact.
pub type Dataset = Manifest<Option<serde_json::Value>>;

/// One model's workers.
#[derive(Debug)]
pub struct Workshop {
    settings: Settings,
    feed: Feed,
    datasets: Arc<Datasets>,
    shelf: Option<Shelf>,
    trainer: Arc<dyn Trainer>,
    program: PathBuf,
    scorers: Mutex<BTreeMap<VersionId, Arc<Scorer>>>,
    scores: scores::Scores,
}

/// Why a worker could not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The rows.
    #[error("failed to read the rows of {model}")]
    Rows {
        /// Whose.
        model: String,
        /// Why.
        #[source]
        source: Box<afresh_data::error::Error>,
    },
    /// The split.
    #[error("failed to split the rows of {model}")]
    Split {
        /// Whose.
        model: String,
        /// Why.
        #[source]
        source: split::Error,
    },
    /// A dataset.
    #[error("failed to use a dataset of {model}")]
    Dataset {
        /// Whose.
        model: String,
        /// Why.
        #[source]
        source: Box<afresh_data::dataset::Error>,
    },
    /// A version.
    #[error("failed to use {version} of {model}")]
    Version {
        /// Whose.
        model: String,
        /// Which.
        version: VersionId,
        /// Why.
        #[source]
        source: Box<afresh_train::error::Error>,
    },
    /// The place where versions are kept.
    #[error("failed to use the place where versions are kept")]
    Shelf(#[source] Box<afresh_train::error::Error>),
    /// A training.
    #[error("failed to train {version}")]
    Training {
        /// Which.
        version: VersionId,
        /// Why, and what it cost.
        #[source]
        source: Box<afresh_train::error::Failure>,
    },
    /// A comparison.
    #[error("failed to compare {candidate} with the champion")]
    Comparison {
        /// The candidate.
        candidate: VersionId,
        /// Why.
        #[source]
        source: afresh_ml::compare::Error,
    },
    /// The store.
    #[error("failed to keep what a run found")]
    Store(#[from] StoreError),
    /// Something that must be there is not.
    #[error("{0}")]
    Missing(String),
}

impl Error {
    /// Whether trying again can help, and what it cost.
    fn failure(&self) -> Failure {
        use afresh_train::error::Retry;
        let retry = |retry: Retry| match retry {
            Retry::Transient => FailureKind::Transient,
            Retry::Permanent => FailureKind::Permanent,
        };
        let (kind, cpu_seconds) = match self {
            Error::Rows { source, .. } if source.is_transient() => (FailureKind::Transient, 0.0),
            Error::Dataset { source, .. } if source.is_transient() => (FailureKind::Transient, 0.0),
            Error::Store(_) => (FailureKind::Transient, 0.0),
            Error::Version { source, .. } | Error::Shelf(source) => (retry(source.retry()), 0.0),
            Error::Training { source, .. } => {
                use afresh_train::error::Error::FullRetrainingDue;
                let due = matches!(source.error, FullRetrainingDue { .. });
                let kind = if due { FailureKind::FullRetrainingDue } else { retry(source.retry()) };
                (kind, source.cpu_seconds)
            }
            Error::Rows { .. }
            | Error::Dataset { .. }
            | Error::Split { .. }
            | Error::Comparison { .. }
            | Error::Missing(_) => (FailureKind::Permanent, 0.0),
        };
        Failure { kind, message: chain(self), cpu_seconds }
    }
}

/// The task as the measures know it.
#[must_use]
pub fn task(schema: &Schema) -> afresh_ml::metrics::Task {
    use afresh_data::schema::Task;
    match schema.task {
        Task::Binary => afresh_ml::metrics::Task::Binary,
        Task::Multiclass => afresh_ml::metrics::Task::Multiclass { classes: schema.classes.len() },
        Task::Regression => afresh_ml::metrics::Task::Regression,
    }
}

/// An error and its causes in one line.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let words = next.to_string();
        if !text.ends_with(&words) {
            text = format!("{text}: {words}");
        }
        cause = next.source();
    }
    text
}

impl Workshop {
    /// Workers over `feed`; `program` is what child processes run.
    pub fn open(
        settings: Settings,
        feed: Feed,
        trainer: Arc<dyn Trainer>,
        program: PathBuf,
    ) -> Result<Workshop, Error> {
        let model = settings.model.to_string();
        let datasets = Datasets::at(settings.shelf.as_deref(), &settings.state)
            .map_err(|source| Error::Dataset { model, source: Box::new(source) })?;
        let shelf = settings.shelf.as_deref().map(Shelf::open).transpose();
        let shelf = shelf.map_err(|source| Error::Shelf(Box::new(source)))?;
        Ok(Workshop {
            settings,
            feed,
            datasets: Arc::new(datasets),
            shelf,
            trainer,
            program,
            scorers: Mutex::default(),
            scores: scores::Scores::default(),
        })
    }

    /// What the workers know.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Where the rows come from.
    #[must_use]
    pub fn feed(&self) -> &Feed {
        &self.feed
    }

    /// The datasets.
    #[must_use]
    pub fn datasets(&self) -> &Datasets {
        &self.datasets
    }

    /// Carries out a computing action and gives the answer for the core; `None` for deployments,
    /// which are the serving side's.
    pub async fn perform<S: Store>(
        &self,
        store: &S,
        action: &Action,
        progress: Progress,
    ) -> Option<Input> {
        let input = match action.clone() {
            Action::Prepare { run, strategy, champion, as_of, .. } => {
                let result = self.prepare(store, strategy, champion, as_of).await;
                Input::Prepared { run, result: result.map_err(|error| error.failure()) }
            }
            Action::Train { run, dataset, candidate, warm_start, .. } => {
                let result = self.train(&dataset, candidate, warm_start, progress).await;
                let result = result
                    .map(|artifact| Trained { cpu_seconds: artifact.manifest().cpu_seconds })
                    .map_err(|error| error.failure());
                Input::Trained { run, candidate, result }
            }
            Action::Judge { run, dataset, candidate, champion, judgement, as_of, .. } => {
                let task = judge::Task { run, dataset, candidate, champion, judgement, as_of };
                let result = self.judge(store, &task).await.map_err(|error| error.failure());
                Input::Judged { run, candidate, judgement, result: Box::new(result) }
            }
            Action::Refit { run, dataset, parent, candidate, warm_start, .. } => {
                let result =
                    self.refit(store, &dataset, parent, candidate, warm_start, progress).await;
                Input::Refitted { run, candidate, result: result.map_err(|error| error.failure()) }
            }
            Action::Serve(_) => return None,
        };
        Some(input)
    }

    /// Sees that a version's artifact is in its directory: where versions are kept elsewhere, it is
    /// brought from there, once.
    pub async fn bring(&self, version: VersionId) -> Result<(), Error> {
        let Some(shelf) = &self.shelf else { return Ok(()) };
        let place = self.settings.artifact(version);
        if place.join(MANIFEST_FILE).exists() {
            return Ok(());
        }
        let fetched = shelf.fetch(&self.settings.model, version, &place).await;
        fetched.map(|_| ()).map_err(|source| self.version_error(version, source))
    }

    /// A version in memory; [`Workshop::bring`] sees that it can be loaded.
    pub fn scorer(&self, version: VersionId) -> Result<Arc<Scorer>, Error> {
        let lock = || self.scorers.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(scorer) = lock().get(&version) {
            return Ok(Arc::clone(scorer));
        }
        let scorer = Scorer::load_with(&self.settings.artifact(version), &self.program)
            .map(|scorer| scorer.limited(self.settings.limits))
            .map_err(|source| self.version_error(version, source))?;
        let scorer = Arc::new(scorer);
        let mut scorers = lock();
        if SCORERS_MAX <= scorers.len() {
            scorers.pop_first();
        }
        scorers.insert(version, Arc::clone(&scorer));
        Ok(scorer)
    }

    /// What of a dataset's window trained a version.
    pub fn selection(&self, version: VersionId, dataset: &Dataset) -> Result<Selection, Error> {
        let scorer = self.scorer(version)?;
        let chosen = scorer.manifest().chosen.as_ref().map(|chosen| chosen.selection);
        Ok(chosen.unwrap_or_else(|| Selection::even(dataset.window)))
    }

    /// Positions in `rows` of those that trained a version.
    pub fn trained_on(
        &self,
        version: VersionId,
        dataset: &Dataset,
        rows: &Rows,
    ) -> Result<Vec<usize>, Error> {
        let selection = self.selection(version, dataset)?;
        Ok(dataset.positions(rows, split::Part::Fit, Some(&selection)))
    }

    /// The dataset of a version.
    pub async fn dataset_of<S: Store>(
        &self,
        store: &S,
        version: VersionId,
    ) -> Result<Dataset, Error> {
        let record = store.version(&self.settings.model, version).await?;
        let id = record
            .and_then(|record| record.dataset)
            .ok_or_else(|| Error::Missing(format!("{version} has no dataset on record")))?;
        self.dataset(&id).await
    }

    async fn dataset(&self, id: &DatasetId) -> Result<Dataset, Error> {
        let model = &self.settings.model;
        self.datasets
            .load(model, id)
            .await
            .map_err(|source| Error::Dataset { model: model.to_string(), source: Box::new(source) })
    }

    async fn prepare<S: Store>(
        &self,
        store: &S,
        strategy: Strategy,
        champion: Option<VersionId>,
        as_of: Timestamp,
    ) -> Result<Prepared, Error> {
        let (cut, judged_until) = match champion {
            Some(version) => {
                let cut = self.dataset_of(store, version).await?.cuts.as_of;
                (Some(cut), Some(cut.max(self.judged_until(store, version).await?)))
            }
            None => (None, None),
        };
        let asked = self.settings.windows.of(strategy);
        let changed = match champion.filter(|_| asked == TrainingWindow::SinceChange) {
            Some(champion) => self.changed(store, champion, as_of).await?,
            None => None,
        };
        let selected = asked.select(&Known { as_of, cut, changed }, self.settings.period);
        let window = selected.window;
        let rows = self.rows(window, Columns::TimesAndLabel).await?;
        let split = split::split(&rows, window, as_of, judged_until, &self.settings.split)
            .map_err(|source| Error::Split { model: self.settings.model.to_string(), source })?;
        let counts = split.counts();
        let dataset = self.create_dataset(selected, split.cuts, counts).await?;
        let rows =
            RowCounts { train: counts.train, stopping: counts.stopping, holdout: counts.holdout };
        Ok(Prepared { dataset, rows })
    }

    async fn create_dataset(
        &self,
        selected: Selected,
        cuts: split::Cuts,
        rows: split::Counts,
    ) -> Result<DatasetId, Error> {
        let Selected { window, choices } = selected;
        let model = self.settings.model.clone();
        let named = model.to_string();
        let failed = |source| Error::Dataset { model: named.clone(), source: Box::new(source) };
        let source = self.feed.source();
        let objects = self.datasets.hash(source, window).await.map_err(failed)?;
        let (source, schema) = (source.spec().clone(), self.feed.schema().clone());
        let manifest = Dataset {
            format: FORMAT,
            model,
            source,
            window,
            cuts,
            choices,
            schema,
            objects,
            rows,
            profile: None,
        };
        self.datasets.create(&manifest).await.map_err(failed)
    }

    async fn train(
        &self,
        dataset: &DatasetId,
        candidate: VersionId,
        warm_start: Option<VersionId>,
        progress: Progress,
    ) -> Result<Artifact, Error> {
        if let Some(version) = warm_start {
            self.bring(version).await?;
        }
        let mut job = self.job(dataset, candidate);
        job.warm_start = warm_start.map(|version| WarmStart {
            artifact: self.settings.artifact(version),
            rounds: self.settings.incremental_rounds,
        });
        self.run_job(candidate, job, progress).await
    }

    async fn refit<S: Store>(
        &self,
        store: &S,
        dataset: &DatasetId,
        parent: VersionId,
        candidate: VersionId,
        warm_start: Option<VersionId>,
        progress: Progress,
    ) -> Result<Refitted, Error> {
        for version in [Some(parent), warm_start].into_iter().flatten() {
            self.bring(version).await?;
        }
        let judged = self.scorer(parent)?;
        let mut job = self.job(dataset, candidate);
        let rounds = judged.manifest().rounds_added;
        job.part = Part::Refit { rounds };
        job.judged_parent = Some(judged.manifest().hash.clone());
        job.row_rounds = judged.manifest().row_rounds();
        job.choice = judged.manifest().chosen.as_ref().map(|chosen| chosen.at);
        job.warm_start = warm_start
            .map(|version| WarmStart { artifact: self.settings.artifact(version), rounds });
        let artifact = self.run_job(candidate, job, progress).await?;
        let checks = self.hard_checks(candidate);
        self.copy_baseline(store, parent, candidate).await?;
        Ok(Refitted { cpu_seconds: artifact.manifest().cpu_seconds, checks })
    }

    fn job(&self, dataset: &DatasetId, candidate: VersionId) -> Job {
        let settings = &self.settings;
        let scratch = settings.scratch().join(candidate.to_string());
        let output = settings.artifact(candidate);
        let recipe = settings.recipe.clone();
        let mut job = Job::new(recipe, self.feed.schema().clone(), &output, &scratch);
        job.dataset = Some(Place {
            state: settings.state.clone(),
            shelf: settings.shelf.clone(),
            base: settings.base.clone(),
            model: settings.model.clone(),
            id: dataset.clone(),
        });
        job.limits = settings.limits;
        job
    }

    /// Trains, unless an earlier attempt finished this very version before a crash.
    async fn run_job(
        &self,
        version: VersionId,
        job: Job,
        progress: Progress,
    ) -> Result<Artifact, Error> {
        if let Some(shelf) = &self.shelf
            && !job.output.join(MANIFEST_FILE).exists()
            && shelf
                .holds(&self.settings.model, version)
                .await
                .map_err(|source| self.version_error(version, source))?
        {
            self.bring(version).await?;
        }
        if let Ok(finished) = Artifact::load(&job.output)
            && finished.manifest().dataset.as_ref() == job.dataset.as_ref().map(|place| &place.id)
            && finished.manifest().judged_parent == job.judged_parent
            && finished.manifest().recipe_hash == job.recipe.hash()
        {
            return self.keep(version, finished).await;
        }
        let (_keep, cancel): (_, Cancel) = watch::channel(false);
        let trained = self.trainer.train(&job, cancel, progress).await;
        let trained =
            trained.map_err(|source| Error::Training { version, source: Box::new(source) })?;
        // What a failed training leaves in its scratch directory explains it; a good one's is old.
        if let Err(error) = fs::remove_dir_all(&job.scratch) {
            tracing::debug!(%error, "scratch directory stays");
        }
        self.keep(version, trained.artifact).await
    }

    /// Puts a trained version where versions are kept.
    async fn keep(&self, version: VersionId, artifact: Artifact) -> Result<Artifact, Error> {
        if let Some(shelf) = &self.shelf {
            let put = shelf.put(&self.settings.model, version, &artifact).await;
            put.map_err(|source| self.version_error(version, source))?;
        }
        Ok(artifact)
    }

    /// At least the rows of a window, with at least these columns.
    pub async fn rows(&self, window: Window, columns: Columns<'_>) -> Result<Arc<Rows>, Error> {
        self.feed.rows(window, columns).await.map_err(|source| self.rows_error(source))
    }

    pub(crate) fn rows_error(&self, source: afresh_data::error::Error) -> Error {
        Error::Rows { model: self.settings.model.to_string(), source: Box::new(source) }
    }

    pub(crate) fn version_error(
        &self,
        version: VersionId,
        source: afresh_train::error::Error,
    ) -> Error {
        let (model, source) = (self.settings.model.to_string(), Box::new(source));
        Error::Version { model, version, source }
    }
}
