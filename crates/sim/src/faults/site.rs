//! One simulated model: its log, its serving side, and what the world itself knows to be true.

use std::collections::{BTreeMap, BTreeSet};

use afresh_core::decision::Recorded;
use afresh_core::event::Event;
use afresh_core::id::{DatasetId, Fence, ModelName, RunId, VersionId};
use afresh_core::invariant::DatasetStatus;
use afresh_core::model::{Action, Deployment, Model};
use afresh_core::time::Timestamp;

/// A model and everything around it that is not the core.
#[derive(Debug)]
pub(super) struct Site {
    pub(super) model: Model,
    /// Facts; what a crash leaves.
    pub(super) log: Vec<(Timestamp, Event)>,
    pub(super) decisions: Vec<Recorded>,
    /// Number of the policy.
    pub(super) policy: usize,
    pub(super) serving: Serving,
    /// Actions that this process started; a crash forgets them.
    pub(super) in_flight: BTreeSet<Action>,
    /// When the executor looks again at what is owed, in real time.
    pub(super) look_again_at: Timestamp,
    /// When the process may send the next tick, in real time.
    pub(super) tick_at: Timestamp,
    /// When the core asked for its next tick, by its clock.
    pub(super) wakeup: Option<Timestamp>,
    pub(super) truth: Truth,
}

/// What serves, and which deployments are refused.
#[derive(Debug, Default)]
pub(super) struct Serving {
    pub(super) taken: Option<Deployment>,
    pub(super) fence: Fence,
}

/// What the world knows without asking the core.
#[derive(Debug, Default)]
pub(super) struct Truth {
    /// Versions that passed, or that a person forced.
    pub(super) may_serve: BTreeSet<VersionId>,
    pub(super) datasets: BTreeMap<DatasetId, DatasetStatus>,
    pub(super) trained_on: BTreeMap<VersionId, DatasetId>,
    pub(super) approved: BTreeSet<RunId>,
    /// Labels that were delivered for each version.
    pub(super) labels: BTreeMap<VersionId, u64>,
    /// No run may start before, unless it is forced.
    pub(super) not_before: Option<Timestamp>,
    /// The limit that the step under way was given.
    pub(super) deadline: Option<Timestamp>,
    /// CPU seconds that accepted answers reported, and that the fleet was told.
    pub(super) reported_cpu_seconds: f64,
    pub(super) charged_cpu_seconds: f64,
    /// Where the schedule stood when its books were last found right.
    pub(super) schedule: Option<Account>,
}

/// What a schedule that catches up on everything owes.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account {
    pub(super) from: Timestamp,
    pub(super) pending: u32,
}

impl Site {
    pub(super) fn new(name: ModelName, policy: usize, at: Timestamp) -> Site {
        Site {
            model: Model::new(name),
            log: Vec::new(),
            decisions: Vec::new(),
            policy,
            serving: Serving::default(),
            in_flight: BTreeSet::new(),
            look_again_at: at,
            tick_at: at,
            wakeup: Some(at),
            truth: Truth::default(),
        }
    }

    /// Only the log survives.
    pub(super) fn recover(&mut self) {
        let mut model = Model::new(self.model.name().clone());
        for (at, event) in &self.log {
            model.apply(*at, event);
        }
        self.model = model;
        self.in_flight.clear();
    }
}
