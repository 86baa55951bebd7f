//! What the owner wants for one model; checked before it gets here.

use serde::{Deserialize, Serialize};

use crate::blackout::Blackout;
use crate::cadence::Cadence;
use crate::fleet::Resources;
use crate::gate;
use crate::id::PolicyHash;
use crate::signal::Priority;
use crate::time::Duration;

/// The owner's rules for one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Policy {
    /// Signals below this urgency are refused.
    pub priority_min: Priority,
    /// Shortest time between the end of one run and the start of the next.
    pub cooldown: Duration,
    /// Drift score at which a run starts; `None`: drift only alerts.
    pub drift: Option<f64>,
    /// When decay starts a run; `None`: it only alerts.
    pub decay: Option<DecayRule>,
    /// Available rows since the champion's cut at which a run starts.
    pub volume: Option<u64>,
    /// Delivered labels at which a run starts.
    pub labels: Option<u64>,
    /// Rows of arrived data at which a run starts.
    pub data: Option<u64>,
    /// Times at which a run starts.
    pub schedule: Option<Schedule>,
    /// Whether the model's policy may start runs.
    pub advice: Attention,
    /// Times at which no run starts and no rollout begins.
    pub blackouts: Vec<Blackout>,
    /// How failed steps are repeated.
    pub retry: Retry,
    /// Longest time of each step.
    pub limits: Limits,
    /// What a candidate must pass.
    pub gate: gate::Rule,
    /// How an inconclusive candidate is judged again.
    pub rejudge: Rejudge,
    /// Whether a passed recipe is trained again on all rows.
    pub refit: Refit,
    /// Whether a person must agree before a rollout.
    pub approval: Approval,
    /// Whether runs continue the champion.
    pub training: Training,
    /// Steps of a rollout; ends with 100 %.
    pub rollout: Vec<Step>,
    /// How a new version is watched.
    pub probation: Probation,
    /// What a run occupies.
    pub needs: Resources,
    /// Deterministic estimate of a run's training, in CPU seconds.
    pub estimate_cpu_seconds: f64,
}

/// When a decay signal starts a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DecayRule {
    /// The drop reaches this number, in the metric's unit.
    Drop(f64),
    /// The sequential test raises its alarm.
    Sequential,
    /// The sequential test raises its alarm, and the drop reaches this number.
    Proven(f64),
}

/// A cadence and what becomes of missed times.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Schedule {
    /// When it fires.
    pub cadence: Cadence,
    /// What becomes of times that were missed.
    pub catch_up: CatchUp,
    /// Whether a bad end of the last scheduled run holds the next.
    pub depends_on_past: DependsOnPast,
}

/// What becomes of missed times of a schedule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// They are left out.
    Skip,
    /// One run makes up for all of them.
    Once,
    /// Each gets its run, one after the other.
    All,
}

/// Whether a scheduled run needs its predecessor to have ended well.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum DependsOnPast {
    /// Every time stands alone.
    No,
    /// A failed or timed-out scheduled run holds the schedule until another run ends well.
    Yes,
}

/// Whether something may start runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Attention {
    /// It may.
    Acts,
    /// It is noted only.
    Notes,
}

/// How failed steps are repeated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Retry {
    /// Repetitions after the first attempt.
    pub times: u32,
    /// Pause before each.
    pub delay: Duration,
}

/// Longest time of each step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Reading rows and writing the dataset.
    pub prepare: Duration,
    /// Training or refitting.
    pub train: Duration,
    /// Comparing candidate and champion.
    pub judge: Duration,
    /// Until the serving side confirms a deployment.
    pub deploy: Duration,
}

/// How an inconclusive candidate is judged again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rejudge {
    /// Pause before each further judgement.
    pub every: Duration,
    /// Further judgements at most.
    pub times: u32,
}

/// Whether a passed recipe is trained again on all rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Refit {
    /// It is, with the judged round count.
    Yes,
    /// The judged candidate itself ships.
    No,
}

/// Whether a person must agree before a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Approval {
    /// Rollouts start by themselves.
    Automatic,
    /// Somebody must approve.
    Person,
}

/// Whether runs continue the champion.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Training {
    /// From nothing.
    Full,
    /// The champion goes on; full where it cannot.
    Incremental,
}

/// One step of a rollout.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Share of the traffic that the candidate answers, 1 to 100.
    pub percent: u8,
    /// How long the step lasts before the next.
    pub hold: Duration,
}

/// How a new version is watched after it serves everything.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Probation {
    /// Shortest watch.
    pub at_least: Duration,
    /// Available labels that it needs.
    pub labels: u64,
    /// Longest watch; then it ends unproven.
    pub at_most: Duration,
    /// Error probability of an automatic rollback.
    pub alpha: f64,
    /// Highest share of failed predictions.
    pub error_rate_max: f64,
}

impl Policy {
    /// The defaults: advice of the policy decides, drift alerts.
    #[must_use]
    pub fn recommended() -> Policy {
        Policy {
            priority_min: Priority::LOWEST,
            cooldown: Duration::hours(24),
            drift: None,
            decay: None,
            volume: None,
            labels: None,
            data: None,
            schedule: None,
            advice: Attention::Acts,
            blackouts: Vec::new(),
            retry: Retry { times: 2, delay: Duration::minutes(10) },
            limits: Limits {
                prepare: Duration::hours(1),
                train: Duration::hours(6),
                judge: Duration::hours(1),
                deploy: Duration::minutes(10),
            },
            gate: gate::Rule::recommended(),
            rejudge: Rejudge { every: Duration::days(7), times: 3 },
            refit: Refit::Yes,
            approval: Approval::Automatic,
            training: Training::Full,
            rollout: vec![Step { percent: 100, hold: Duration::ZERO }],
            probation: Probation {
                at_least: Duration::hours(24),
                labels: 500,
                at_most: Duration::days(14),
                alpha: 0.05,
                error_rate_max: 0.01,
            },
            needs: Resources { cpu_milli: 1_000, memory_mib: 1_024, gpu: 0 },
            estimate_cpu_seconds: 0.0,
        }
    }

    /// The constants of the specification: thresholds on signals, a weekly schedule, a strict gate.
    #[must_use]
    pub fn classic() -> Policy {
        Policy {
            // 3 is itself accepted: "below 3 refused".
            priority_min: Priority::DEFAULT,
            drift: Some(0.3),
            decay: Some(DecayRule::Drop(0.05)),
            schedule: Some(Schedule {
                cadence: Cadence::classic(),
                catch_up: CatchUp::Skip,
                depends_on_past: DependsOnPast::No,
            }),
            advice: Attention::Notes,
            gate: gate::Rule::classic(),
            refit: Refit::No,
            ..Policy::recommended()
        }
    }

    /// FNV-1a of the policy's debug text: the same rules give the same hash.
    #[must_use]
    pub fn hash(&self) -> PolicyHash {
        PolicyHash(fnv1a(format!("{self:?}").as_bytes()))
    }
}

/// Fowler–Noll–Vo hash, 64 bits, variant 1a.
pub(crate) fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xCBF2_9CE4_8422_2325, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01B3)
    })
}
