//! Trainings without a gate, which replays and backtests compare with.

use std::sync::Arc;

use afresh_core::id::{DatasetId, VersionId};
use afresh_core::time::{Timestamp, Window};
use afresh_data::dataset;
use afresh_data::spec::Columns;
use afresh_data::split;
use afresh_train::artifact::Artifact;
use afresh_train::trainer::{Part, WarmStart};

use super::{Error, Workshop};
use crate::settings::Selected;

/// A training that is done once and kept.
#[derive(Clone, Debug)]
pub struct Once {
    /// Named after recipe, rounds and rows.
    pub version: VersionId,
    /// What was made.
    pub artifact: Artifact,
    /// How its rows were split.
    pub cuts: split::Cuts,
    /// Whether it was there already.
    pub cached: bool,
}

/// What a run ships.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shipped {
    /// The refit: rounds and selection are searched on the newest rows, and then all rows train.
    Refit,
    /// What was judged: rows are held out, though nothing is judged here.
    Judged,
}

impl Workshop {
    /// Trains `version` on everything available before `as_of` for exactly `rounds` rounds, without
    /// holdout or gate: what a replay compares with.
    pub async fn train_on_everything(
        &self,
        version: VersionId,
        as_of: Timestamp,
        rounds: usize,
    ) -> Result<Artifact, Error> {
        let window = Window { from: Timestamp::MIN, to: as_of };
        let cuts = split::Cuts { stopping_from: as_of, holdout_from: as_of, as_of };
        let dataset = self.dataset_cut(Selected { window, choices: Vec::new() }, cuts).await?;
        self.train_ungated(version, &dataset, Part::Refit { rounds }, None).await
    }

    /// Trains on what of `selected` was available before `as_of` as a run does, without its gate; `rounds` where the rows are too few to
    /// say when to stop. The version is named after recipe, rounds and rows, so that the same training is never done twice,
    /// however often it is asked for and whatever came between.
    pub async fn train_once(
        &self,
        selected: Selected,
        as_of: Timestamp,
        rounds: usize,
        shipped: Shipped,
    ) -> Result<Once, Error> {
        let rows = self.rows(selected.window, Columns::TimesAndLabel).await?;
        let rule = &self.settings.split;
        let (cuts, part) = match shipped {
            Shipped::Refit => {
                let cuts = split::without_holdout(&rows, selected.window, as_of, rule);
                (cuts, Part::Whole { rounds })
            }
            Shipped::Judged => {
                let split = split::split(&rows, selected.window, as_of, None, rule);
                let model = self.settings.model.to_string();
                (split.map_err(|source| Error::Split { model, source })?.cuts, Part::Fit)
            }
        };
        let dataset = self.dataset_cut(selected, cuts).await?;
        let name = format!("as a run {rounds}");
        self.once(&dataset, cuts, &name, part, None).await
    }

    /// Goes on from `parent`, a version made here, for exactly `rounds` rounds on what of `selected` was available before `as_of`; as
    /// [`Workshop::train_once`] named so that it is never done twice.
    pub async fn continue_once(
        &self,
        selected: Selected,
        as_of: Timestamp,
        rounds: usize,
        parent: VersionId,
    ) -> Result<Once, Error> {
        let cuts = split::Cuts { stopping_from: as_of, holdout_from: as_of, as_of };
        let dataset = self.dataset_cut(selected, cuts).await?;
        let name = format!("{rounds} on from {parent}");
        let warm = WarmStart { artifact: self.settings.artifact(parent), rounds };
        self.once(&dataset, cuts, &name, Part::Refit { rounds }, Some(warm)).await
    }

    async fn once(
        &self,
        dataset: &DatasetId,
        cuts: split::Cuts,
        name: &str,
        part: Part,
        warm_start: Option<WarmStart>,
    ) -> Result<Once, Error> {
        let recipe = self.settings.recipe.hash();
        let name = blake3::hash(format!("{} {recipe} {name}", dataset.0).as_bytes());
        let number =
            name.as_bytes().first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        // One bit less: some stores count in signed numbers.
        let version = VersionId(number >> 1);
        let before = Artifact::load(&self.settings.artifact(version));
        let cached = before.is_ok_and(|found| found.manifest().dataset.as_ref() == Some(dataset));
        let artifact = self.train_ungated(version, dataset, part, warm_start).await?;
        Ok(Once { version, artifact, cuts, cached })
    }

    /// Names the rows as they are now: any change of a file or of how it is read changes it.
    pub async fn fingerprint(&self) -> Result<String, Error> {
        let model = self.settings.model.to_string();
        let source = self.feed.source();
        let objects = self.datasets.hash(source, Window::ALL).await;
        let objects =
            objects.map_err(|source| Error::Dataset { model, source: Box::new(source) })?;
        let text = serde_json::to_string(&(objects, source.spec(), self.feed.schema()));
        let text =
            text.map_err(|error| Error::Missing(format!("the rows have no name: {error}")))?;
        Ok(blake3::hash(text.as_bytes()).to_hex().to_string())
    }

    async fn dataset_cut(&self, selected: Selected, cuts: split::Cuts) -> Result<DatasetId, Error> {
        let rows = self.rows(selected.window, Columns::TimesAndLabel).await?;
        let count = |part| split::positions(&rows, selected.window, &cuts, part).len() as u64;
        let counts = split::Counts {
            train: count(split::Part::Train),
            stopping: count(split::Part::Stopping),
            holdout: count(split::Part::Holdout),
        };
        let made = self.create_dataset(selected.clone(), cuts, counts).await;
        let Err(Error::Dataset { source, .. }) = &made else { return made };
        let dataset::Error::Occupied { id, .. } = source.as_ref() else { return made };
        // A manifest is named by what it holds: where another stands it was damaged, and all of these can be made again.
        let (model, id) = (&self.settings.model, DatasetId(id.clone()));
        let failed = |source| Error::Dataset { model: model.to_string(), source: Box::new(source) };
        self.datasets.forget(model, &id).await.map_err(failed)?;
        self.create_dataset(selected, cuts, counts).await
    }

    async fn train_ungated(
        &self,
        version: VersionId,
        dataset: &DatasetId,
        part: Part,
        warm_start: Option<WarmStart>,
    ) -> Result<Artifact, Error> {
        let mut job = self.job(dataset, version);
        (job.part, job.warm_start) = (part, warm_start);
        if let (Part::Whole { .. }, Some(time)) = (part, &mut job.limits.time_max) {
            // Two trainings in one process, and the limit is of each.
            time.0 = time.0.saturating_mul(2);
        }
        self.run_job(version, job, Arc::new(|_share| {})).await
    }
}
