//! Facts about one model, in the order in which they became true; never changed, never removed.

use serde::{Deserialize, Serialize};

use crate::gate;
use crate::id::{DatasetId, Fence, PolicyHash, RunId, VersionId};
use crate::reason::Reason;
use crate::signal::{Cause, Mode, Priority, Strategy};
use crate::time::{Duration, Timestamp};

/// Version of the stored form of events. Older ones are upcast when they are read.
pub const FORMAT: u16 = 1;

/// One fact. Derived times stand in the event, so that folding needs neither clock nor policy.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The owner's rules are these from now on.
    PolicyChanged { hash: PolicyHash },
    /// Times of the schedule up to `handled` are dealt with; `pending` runs are still due.
    ScheduleAdvanced { handled: Timestamp, pending: u32 },
    /// A run was decided and waits for slots.
    RunQueued { run: Run, reasons: Vec<Reason> },
    /// A step waits for slots, again or anew.
    StageQueued { run: RunId, stage: Stage, attempt: u32 },
    /// A step may take until `deadline`.
    StageStarted { run: RunId, stage: Stage, attempt: u32, deadline: Timestamp },
    /// A step failed and is repeated from `retry_at`.
    StageFailed { run: RunId, retry_at: Timestamp, cpu_seconds: f64, reason: Reason },
    /// A more urgent run needs the slots; the step starts anew later.
    RunPreempted { run: RunId },
    /// The champion cannot be continued; the run goes on as a full retraining.
    RunMadeFull { run: RunId, cpu_seconds: f64, reason: Reason },
    /// The rows are chosen.
    DatasetPrepared { run: RunId, dataset: DatasetId, rows: RowCounts },
    /// There is a candidate.
    CandidateTrained { run: RunId, candidate: VersionId, cpu_seconds: f64 },
    /// The gate spoke.
    CandidateJudged {
        run: RunId,
        candidate: VersionId,
        judgement: u32,
        verdict: gate::Verdict,
        evidence: Box<gate::Evidence>,
        reasons: Vec<Reason>,
    },
    /// No clear answer: the candidate is judged again at `rejudge_at`.
    CandidateWaits { run: RunId, rejudge_at: Timestamp },
    /// The passed recipe was trained again on all rows.
    CandidateRefitted { run: RunId, parent: VersionId, candidate: VersionId, cpu_seconds: f64 },
    /// The refit failed or did not pass its checks: the judged candidate goes on.
    RefitDropped { run: RunId, cpu_seconds: f64, reason: Reason },
    /// A person must agree.
    ApprovalAsked { run: RunId, candidate: VersionId },
    /// A person agreed.
    Approved { run: RunId, by: String },
    /// The rollout waits for the end of a blackout.
    RolloutHeld { run: RunId, candidate: VersionId, until: Timestamp },
    /// The candidate should answer this share of the traffic.
    DeploymentStarted {
        run: RunId,
        candidate: VersionId,
        step: usize,
        percent: u8,
        fence: Fence,
        deadline: Timestamp,
    },
    /// It does; the next step comes at `until`.
    DeploymentConfirmed { run: RunId, until: Timestamp },
    /// The candidate answers everything and is watched.
    ProbationStarted { run: RunId, earliest: Timestamp, latest: Timestamp, labels_needed: u64 },
    /// This many labels of the candidate's predictions are available.
    ProbationWatched { run: RunId, labels: u64 },
    /// The champion takes over again.
    RollbackStarted { run: RunId, to: Option<VersionId>, fence: Fence, reasons: Vec<Reason> },
    /// The run is over.
    RunEnded {
        run: RunId,
        outcome: Outcome,
        not_before: Timestamp,
        cpu_seconds: f64,
        reasons: Vec<Reason>,
    },
    /// A person set what should serve.
    OverrideStarted { to: VersionId, fence: Fence, by: String, reason: String, mode: Mode },
    /// It does, and is the champion.
    OverrideConfirmed { version: VersionId },
}

/// One retraining; every phase of it carries this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Its number.
    pub id: RunId,
    /// What started it.
    pub cause: Cause,
    /// How it trains.
    pub strategy: Strategy,
    /// Its urgency.
    pub priority: Priority,
    /// When it was decided.
    pub decided_at: Timestamp,
}

/// A step of a run that computes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stage {
    /// Choose rows.
    Prepare,
    /// Train a candidate on them.
    Train { dataset: DatasetId, candidate: VersionId },
    /// Compare it with the champion; `judgement` counts from 0.
    Judge { dataset: DatasetId, candidate: VersionId, judgement: u32 },
    /// Train the passed recipe on all rows.
    Refit { dataset: DatasetId, parent: VersionId, candidate: VersionId },
}

/// Rows of a dataset's parts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// Rows that train.
    pub train: u64,
    /// Rows that stop training early.
    pub stopping: u64,
    /// Rows that judge.
    pub holdout: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The candidate is the champion, proven by labels.
    Promoted,
    /// The candidate is the champion, without labels enough to prove it.
    Unproven,
    /// The gate kept the champion.
    Rejected,
    /// The candidate served, and was taken back.
    RolledBack,
    /// A step failed for good.
    Failed,
    /// A step took too long too often.
    TimedOut,
    /// A person stopped it.
    Cancelled,
}

/// Why a step failed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Failure {
    /// What trying again can do.
    pub kind: FailureKind,
    /// What went wrong, in words.
    pub message: String,
    /// What it cost.
    pub cpu_seconds: f64,
}

/// What trying again can do about a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It may help.
    Transient,
    /// The same input would fail again.
    Permanent,
    /// The champion cannot be continued; a full retraining can be done.
    FullRetrainingDue,
}

impl Event {
    /// CPU seconds that this fact reports.
    #[must_use]
    #[expect(clippy::wildcard_enum_match_arm, reason = "few facts report what was spent")]
    pub fn cpu_seconds(&self) -> f64 {
        match self {
            Event::StageFailed { cpu_seconds, .. }
            | Event::RunMadeFull { cpu_seconds, .. }
            | Event::CandidateTrained { cpu_seconds, .. }
            | Event::CandidateRefitted { cpu_seconds, .. }
            | Event::RefitDropped { cpu_seconds, .. }
            | Event::RunEnded { cpu_seconds, .. } => *cpu_seconds,
            _ => 0.0,
        }
    }
}

impl Outcome {
    /// Whether the run's candidate became the champion.
    #[must_use]
    pub fn promotes(self) -> bool {
        matches!(self, Outcome::Promoted | Outcome::Unproven)
    }

    /// Whether something broke, rather than being decided.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Outcome::Failed | Outcome::TimedOut)
    }

    /// The word used in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Outcome::Promoted => "promoted",
            Outcome::Unproven => "unproven",
            Outcome::Rejected => "rejected",
            Outcome::RolledBack => "rolled_back",
            Outcome::Failed => "failed",
            Outcome::TimedOut => "timed_out",
            Outcome::Cancelled => "cancelled",
        }
    }
}

impl Stage {
    /// The word used in listings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Stage::Prepare => "preparing",
            Stage::Train { .. } => "training",
            Stage::Judge { .. } => "judging",
            Stage::Refit { .. } => "refitting",
        }
    }

    /// The longest it may take.
    #[must_use]
    pub fn limit(&self, limits: &crate::policy::Limits) -> Duration {
        match self {
            Stage::Prepare => limits.prepare,
            Stage::Train { .. } | Stage::Refit { .. } => limits.train,
            Stage::Judge { .. } => limits.judge,
        }
    }
}
