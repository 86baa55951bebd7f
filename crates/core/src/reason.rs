//! Why something was decided: a code for machines, numbers to check, words for people.

use std::fmt;

use serde::{Deserialize, Serialize};

/// One reason of a decision.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Reason {
    /// What kind of reason.
    pub code: Code,
    /// What was measured, where a number was compared.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub measured: Option<f64>,
    /// What it was compared with.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// Words for people.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}

/// Kinds of reasons.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Code {
    /// There is no champion yet.
    FirstVersion,
    /// A measured number reached its threshold.
    ThresholdReached,
    /// A measured number stayed below its threshold.
    ThresholdMissed,
    /// The sequential test raised its alarm.
    SequentialAlarm,
    /// The sequential test is quiet.
    SequentialQuiet,
    /// The policy does not act on this kind of signal.
    NotWatched,
    /// The schedule is due.
    ScheduleDue,
    /// Missed times of the schedule were left out.
    ScheduleSkipped,
    /// The last scheduled run did not end well and the schedule depends on it.
    DependsOnPast,
    /// A person or a system asked.
    Requested,
    /// The request overrode limits.
    Forced,
    /// The policy advised a retraining.
    AdvisedRetrain,
    /// The policy advised to keep the champion.
    AdvisedKeep,
    /// The priority is below the owner's minimum.
    PriorityTooLow,
    /// Too soon after the last run.
    CoolingDown,
    /// The owner allows no change at this time.
    Blackout,
    /// Another run of this model is under way.
    RunUnderWay,
    /// The signal speaks of a version that no longer serves.
    OtherVersion,
    /// A number that is not finite was refused.
    NotFinite,
    /// A hard check of the gate failed.
    HardCheckFailed,
    /// The candidate misses the absolute minimum.
    BelowMinimum,
    /// The candidate is worse than the margin allows.
    WorseThanMargin,
    /// The candidate may be worse than the margin allows.
    Uncertain,
    /// The candidate does not improve enough.
    NotEnoughImprovement,
    /// A slice got worse.
    SliceHarmed,
    /// Judged often enough without a clear answer.
    TriesSpent,
    /// Every check passed.
    Passed,
    /// A step failed and will be tried again.
    WillRetry,
    /// A step failed for good.
    FailedForGood,
    /// A step took longer than allowed.
    TimedOut,
    /// The refit failed or did not pass its checks; the judged candidate ships instead.
    RefitFailed,
    /// The champion carries as many trees as allowed: a full retraining replaces the increment.
    FullRetrainingDue,
    /// The candidate does measurable harm.
    Harmful,
    /// Errors or latency of the candidate exceed the guard.
    GuardBroken,
    /// Probation ended with labels enough and no harm.
    Proven,
    /// Probation ended at its maximum without labels enough.
    Unproven,
    /// A more urgent run needed the slots.
    Preempted,
    /// A person stopped the run.
    Cancelled,
    /// A person set what serves.
    Overridden,
    /// A person approved.
    Approved,
    /// A person declined.
    Declined,
}

impl Reason {
    /// A reason in words alone.
    #[must_use]
    pub fn new(code: Code, detail: impl Into<String>) -> Reason {
        Reason { code, measured: None, limit: None, detail: detail.into() }
    }

    /// A reason that compares `measured` with `limit`.
    #[must_use]
    pub fn compared(code: Code, measured: f64, limit: f64, detail: impl Into<String>) -> Reason {
        Reason { code, measured: Some(measured), limit: Some(limit), detail: detail.into() }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.detail)
    }
}
