//! What a replay found: three arms over the same rows, and everything that happened on the way.

use afresh_core::history::{RunRecord, ServingRecord, VersionRecord};
use afresh_core::id::{ModelName, RunId, VersionId};
use afresh_core::time::{Timestamp, Window};
use afresh_engine::monitor::Sight;
use afresh_engine::port::DecisionRow;
use afresh_engine::saving::Saving;
use afresh_ml::metrics::Metric;

/// What a replay found.
#[derive(Clone, Debug)]
pub struct Outcome {
    /// The model.
    pub model: ModelName,
    /// What the periods are scored by.
    pub metric: Metric,
    /// The whole periods, oldest first.
    pub periods: Vec<Period>,
    /// Afresh's own.
    pub managed: Arm,
    /// The first version, for ever.
    pub never: Arm,
    /// A new version in every period; `None` where it was not asked for.
    pub always: Option<Arm>,
    /// Oldest first.
    pub runs: Vec<RunRecord>,
    /// What they were expected to save, and what they did; oldest first.
    pub savings: Vec<Saving>,
    /// Newest first.
    pub versions: Vec<VersionRecord>,
    /// Oldest first.
    pub servings: Vec<ServingRecord>,
    /// Oldest first.
    pub decisions: Vec<DecisionRow>,
    /// The run that made the first version; it is no retraining.
    pub first_run: Option<RunId>,
    /// The predictions that were asked for, by event time.
    pub log: Vec<Logged>,
}

/// One prediction and what came of it.
#[derive(Clone, Debug, PartialEq)]
pub struct Logged {
    /// When the event happened.
    pub at: Timestamp,
    /// As many numbers as the task has outputs.
    pub prediction: Vec<f64>,
    /// Class index or value.
    pub label: f64,
    /// When the label became available.
    pub label_time: Option<Timestamp>,
}

/// One period, scored in hindsight on all its labelled rows.
#[derive(Clone, Debug)]
pub struct Period {
    /// Event times.
    pub window: Window,
    /// Rows with event time inside.
    pub rows: u64,
    /// Of those, rows whose label was not available at its end.
    pub unlabelled: u64,
    /// What served at its end.
    pub champion: Option<VersionId>,
    /// The metric by arm; `None` where it is undefined.
    pub managed: Option<f64>,
    /// As `managed`.
    pub never: Option<f64>,
    /// As `managed`.
    pub always: Option<f64>,
    /// CPU seconds that trainings of the managed arm had cost by its end.
    pub managed_cpu_seconds: f64,
    /// As `managed_cpu_seconds`.
    pub always_cpu_seconds: f64,
    /// What the monitors saw at its end.
    pub sight: Option<Sight>,
}

/// One way of keeping the model, over all periods. The first version is in none of the counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Arm {
    /// Unweighted mean over the periods where the metric is defined.
    pub metric_mean: Option<f64>,
    /// Periods where it is not.
    pub periods_undefined: usize,
    /// Log loss over all rows together; `None` for regression.
    pub log_loss: Option<f64>,
    /// Trainings of a candidate, those that were rejected included.
    pub retrains: usize,
    /// Candidates that the gate rejected.
    pub rejected: usize,
    /// Versions that served and were taken back.
    pub rolled_back: usize,
    /// User and system time of all trainings, refits included.
    pub training_cpu_seconds: f64,
}

/// What was noted at the end of a period, before hindsight.
#[derive(Clone, Debug)]
pub(super) struct Seen {
    pub(super) period: Window,
    pub(super) champion: Option<VersionId>,
    pub(super) sight: Option<Sight>,
}

impl Outcome {
    /// What a run was expected to save, and what it did.
    #[must_use]
    pub fn saving(&self, run: RunId) -> Option<&Saving> {
        self.savings.iter().find(|saving| saving.run == run)
    }

    /// The span that was scored.
    #[must_use]
    pub fn window(&self) -> Window {
        let from = self.periods.first().map_or(Timestamp::MIN, |period| period.window.from);
        let to = self.periods.last().map_or(Timestamp::MIN, |period| period.window.to);
        Window { from, to }
    }
}
