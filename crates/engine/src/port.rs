//! What the engine needs from the outside, as traits: a store and a serving side.

use std::future::Future;

use afresh_core::decision::{Decision, Recorded};
use afresh_core::event::Event;
use afresh_core::fleet::FleetEvent;
use afresh_core::history::{RunRecord, ServingRecord, VersionRecord};
use afresh_core::id::{ModelName, RunId, VersionId};
use afresh_core::model::{Deployment, Model};
use afresh_core::time::Timestamp;

/// Facts, decisions and what is looked up afterwards. Everything of one [`Commit`] becomes durable
/// together or not at all.
pub trait Store: Send + Sync {
    /// Names of all models that have facts, in order.
    fn models(&self) -> impl Future<Output = Result<Vec<ModelName>, StoreError>> + Send;

    /// Facts of `model` after number `after`, oldest first, `limit` at most.
    fn facts(
        &self,
        model: &ModelName,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Fact>, StoreError>> + Send;

    /// Facts about the fleet after number `after`, oldest first, `limit` at most.
    fn fleet_facts(
        &self,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<FleetFact>, StoreError>> + Send;

    /// The newest snapshot of a model's state: a shortcut, never the truth.
    fn snapshot(
        &self,
        model: &ModelName,
    ) -> impl Future<Output = Result<Option<Snapshot>, StoreError>> + Send;

    /// Appends facts and everything that goes with them. Fails with [`StoreError::Conflict`], and
    /// changes nothing, if the log is not at the expected number.
    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// Decisions of one model (of all where `None`), newest first, before row `before`.
    fn decisions(
        &self,
        model: Option<&ModelName>,
        page: Page,
    ) -> impl Future<Output = Result<Vec<DecisionRow>, StoreError>> + Send;

    /// Runs of one model (of all where `None`), newest first.
    fn runs(
        &self,
        model: Option<&ModelName>,
        page: Page,
    ) -> impl Future<Output = Result<Vec<RunRow>, StoreError>> + Send;

    /// One run.
    fn run(
        &self,
        model: &ModelName,
        run: RunId,
    ) -> impl Future<Output = Result<Option<RunRecord>, StoreError>> + Send;

    /// Versions of a model, newest first.
    fn versions(
        &self,
        model: &ModelName,
        page: Page,
    ) -> impl Future<Output = Result<Vec<VersionRecord>, StoreError>> + Send;

    /// One version.
    fn version(
        &self,
        model: &ModelName,
        version: VersionId,
    ) -> impl Future<Output = Result<Option<VersionRecord>, StoreError>> + Send;

    /// What answered at `at`, and why.
    fn serving_at(
        &self,
        model: &ModelName,
        at: Timestamp,
    ) -> impl Future<Output = Result<Option<ServingRecord>, StoreError>> + Send;

    /// What answered when, newest first.
    fn servings(
        &self,
        model: &ModelName,
        page: Page,
    ) -> impl Future<Output = Result<Vec<ServingRecord>, StoreError>> + Send;

    /// Keeps a JSON document under a key; the same key again replaces it.
    fn put_document(
        &self,
        model: &ModelName,
        key: &str,
        body: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send;

    /// The document under a key.
    fn document(
        &self,
        model: &ModelName,
        key: &str,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + Send;
}

/// The side that answers predictions. Refuses a fence lower than the last it took.
pub trait Serving: Send + Sync {
    /// Makes `deployment` answer; `Ok` once it does.
    fn serve(
        &self,
        model: &ModelName,
        deployment: Deployment,
    ) -> impl Future<Output = Result<(), ServeError>> + Send;

    /// What answers now.
    fn serving(
        &self,
        model: &ModelName,
    ) -> impl Future<Output = Result<Option<Deployment>, ServeError>> + Send;
}

/// One fact of a model's log.
#[derive(Clone, Debug, PartialEq)]
pub struct Fact {
    /// Its place in the log, from 1.
    pub number: u64,
    /// When it became true.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

/// One fact of the fleet's log.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetFact {
    /// Its place in the log, from 1.
    pub number: u64,
    /// When it became true.
    pub at: Timestamp,
    /// What.
    pub event: FleetEvent,
}

/// A model's state after its first `number` facts.
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    /// How many facts are folded in.
    pub number: u64,
    /// The state.
    pub model: Model,
}

/// Everything that one step changes.
#[derive(Clone, Debug, PartialEq)]
pub struct Commit {
    /// The state before: its log must hold exactly `expected` facts.
    pub before: Model,
    /// Number of the last fact of the model's log.
    pub expected: u64,
    /// When.
    pub at: Timestamp,
    /// Facts to append.
    pub events: Vec<Event>,
    /// Facts to append to the fleet's log, which must hold exactly this many.
    pub fleet: Option<FleetCommit>,
    /// What to write down for people. Equal keeps are coalesced into the newest row.
    pub decision: Option<Decision>,
}

/// Facts for the fleet's log.
#[derive(Clone, Debug, PartialEq)]
pub struct FleetCommit {
    /// Number of the last fact of the fleet's log.
    pub expected: u64,
    /// Facts to append.
    pub events: Vec<FleetEvent>,
}

/// A part of a listing: rows before key `before` (from the newest where `None`), `limit` at most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page {
    /// Key of the last row of the page before.
    pub before: Option<u64>,
    /// Rows at most.
    pub limit: u32,
}

/// A row of the decision listing.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionRow {
    /// Key for paging.
    pub id: u64,
    /// Whose.
    pub model: ModelName,
    /// What and why.
    pub recorded: Recorded,
}

/// A row of the run listing.
#[derive(Clone, Debug, PartialEq)]
pub struct RunRow {
    /// Key for paging: rises with every run of every model.
    pub id: u64,
    /// Whose.
    pub model: ModelName,
    /// What became of it.
    pub record: RunRecord,
}

/// Why the store could not.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else appended first; read again and decide anew.
    #[error("the log of {log} is not at fact {expected}")]
    Conflict {
        /// A model, or `fleet`.
        log: String,
        /// What was expected.
        expected: u64,
    },
    /// What is stored cannot be read.
    #[error("failed to read {what}: it was written by another version or damaged")]
    Damaged {
        /// Which row.
        what: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// The database refused or broke.
    #[error("failed to {operation} in {place}")]
    Broken {
        /// What was tried.
        operation: &'static str,
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why the serving side could not.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// A newer deployment came first.
    #[error("deployment {refused} was refused: {taken} came first")]
    Fenced {
        /// The number that came too late.
        refused: u64,
        /// The number that was taken.
        taken: u64,
    },
    /// It could not be written or reached.
    #[error("failed to deploy to {place}")]
    Broken {
        /// Where.
        place: String,
        /// Why.
        #[source]
        source: std::io::Error,
    },
}

impl Default for Page {
    fn default() -> Page {
        Page { before: None, limit: 100 }
    }
}
