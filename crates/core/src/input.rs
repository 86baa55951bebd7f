//! What the outside tells the core.

use serde::{Deserialize, Serialize};

use crate::event::{Failure, RowCounts};
use crate::gate::{Check, Evidence};
use crate::id::{DatasetId, Fence, RunId, VersionId};
use crate::signal::{Mode, Signal};

/// One input of [`crate::model::Model::decide`].
#[derive(Clone, Debug, PartialEq)]
pub enum Input {
    /// A measurement or a request.
    Signal(Signal),
    /// Time has passed, as asked by `next_wakeup`.
    Tick,
    /// The fleet gave the run its slots.
    Admitted { run: RunId },
    /// The fleet needs the slots for something more urgent.
    Preempted { run: RunId },
    /// The rows are chosen, or could not be.
    Prepared { run: RunId, result: Result<Prepared, Failure> },
    /// The trainer answered.
    Trained { run: RunId, candidate: VersionId, result: Result<Trained, Failure> },
    /// The comparison was made, or could not be.
    Judged {
        run: RunId,
        candidate: VersionId,
        judgement: u32,
        result: Box<Result<Evidence, Failure>>,
    },
    /// The trainer answered for a refit; its hard checks were repeated.
    Refitted { run: RunId, candidate: VersionId, result: Result<Refitted, Failure> },
    /// The serving side took the deployment with this fence.
    Serving { fence: Fence },
    /// How a candidate that serves is doing.
    Watched(Watch),
    /// A person agrees to a rollout.
    Approve { run: RunId, by: String },
    /// A person does not.
    Decline { run: RunId, by: String },
    /// A person stops a run.
    Cancel { run: RunId, by: String },
    /// A person sets what serves.
    Override { to: VersionId, by: String, reason: String, mode: Mode },
}

/// A dataset to train on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prepared {
    /// Its manifest.
    pub dataset: DatasetId,
    /// Rows of its parts.
    pub rows: RowCounts,
}

/// A trained candidate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Trained {
    /// User and system time of the training's process tree.
    pub cpu_seconds: f64,
}

/// A refitted candidate.
#[derive(Clone, Debug, PartialEq)]
pub struct Refitted {
    /// User and system time of the training's process tree.
    pub cpu_seconds: f64,
    /// The hard checks, repeated on it.
    pub checks: Vec<Check>,
}

/// How a candidate that serves is doing against the champion on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    /// The version that is watched.
    pub version: VersionId,
    /// Available labels of its predictions.
    pub labels: u64,
    /// Evidence of harm: an e-value, valid whenever one looks.
    pub e_value: f64,
    /// Mean excess loss over the champion's on the same rows.
    pub excess_loss: f64,
    /// Share of predictions that failed.
    pub error_rate: f64,
}
