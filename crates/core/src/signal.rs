//! What the outside measured or asked for, each signal with the numbers behind it.

use serde::{Deserialize, Serialize};

use crate::id::VersionId;

/// Urgency of a run: 1 (whenever there is room) to 5 (now).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u8", into = "u8")]
pub struct Priority(u8);

/// How a model is kept fresh; every run carries its strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Strategy {
    /// Time has come.
    Scheduled,
    /// Drift, decay, volume, new data or a person asked for it.
    Triggered,
    /// Every labelled row.
    Online,
    /// A few well-chosen labels arrived.
    Active,
    /// The champion continues on what arrived since.
    Incremental,
}

/// What started or would start a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// There is no champion yet.
    FirstVersion,
    /// The schedule is due.
    Schedule,
    /// Data drift.
    Drift,
    /// Performance decay.
    Decay,
    /// Rows since the last training.
    Volume,
    /// Labels that were asked for arrived.
    Labels,
    /// New data arrived.
    Data,
    /// A person asked.
    Manual,
    /// Another system asked.
    Outside,
    /// The model's policy advised it.
    Advice,
}

/// One measurement or request about one model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Signal {
    /// The newest window differs this much from the champion's reference, in [0, 1].
    Drift {
        /// Importance-weighted mean over the columns.
        score: f64,
        /// Rows of the window.
        rows: u64,
    },
    /// The champion's live performance against its baseline.
    Decay(Decay),
    /// Rows that became available since the champion's cut.
    Volume {
        /// Count of rows.
        rows: u64,
    },
    /// Labels that a person or a tool delivered since the last run.
    Labels {
        /// Count of labels.
        rows: u64,
    },
    /// Data arrived.
    Data {
        /// Count of rows.
        rows: u64,
    },
    /// A person asks for a retraining.
    Manual(Request),
    /// Another system asks for one.
    Outside(Request),
    /// What the model's policy says now.
    Advice(Advice),
}

/// A measured loss of performance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decay {
    /// The version that was measured.
    pub version: VersionId,
    /// Name of the metric.
    pub metric: String,
    /// Baseline minus current, oriented so that positive is worse; in the metric's unit, of errors in the label's
    /// unit as a share of the baseline.
    pub drop: f64,
    /// Whether the sequential test raised its alarm.
    pub alarm: bool,
    /// Rung of the priority ladder.
    pub priority: Priority,
}

/// What a person or a system asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    /// Who asked.
    pub by: String,
    /// Why, in their words.
    pub reason: String,
    /// How urgent it is.
    pub priority: Priority,
    /// Start in spite of cooldown, blackout and minimum priority; audited.
    pub mode: Mode,
}

/// Whether a request obeys the owner's limits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    /// Obeys cooldown, blackout and minimum priority.
    Obey,
    /// Overrides them.
    Force,
}

/// A policy's opinion: retrain or keep, and the numbers behind it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Advice {
    /// Name of the policy that speaks.
    pub policy: String,
    /// Whether it advises a retraining.
    pub retrain: Verdict,
    /// What a retraining is expected to save over the horizon, in the owner's unit of cost.
    pub gain: Option<f64>,
    /// What it is expected to cost, in the same unit.
    pub cost: Option<f64>,
    /// How urgent it is.
    pub priority: Priority,
    /// The numbers, in words.
    pub reasons: Vec<String>,
}

/// Retrain or keep.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// A retraining pays.
    Retrain,
    /// The champion stays.
    Keep,
}

impl Priority {
    /// Whenever there is room.
    pub const LOWEST: Priority = Priority(1);
    /// Where nobody says otherwise.
    pub const DEFAULT: Priority = Priority(3);
    /// Now.
    pub const HIGHEST: Priority = Priority(5);

    /// `level` between 1 and 5.
    #[must_use]
    pub fn new(level: u8) -> Option<Priority> {
        (1..=5).contains(&level).then_some(Priority(level))
    }

    /// Between 1 and 5.
    #[must_use]
    pub fn level(self) -> u8 {
        self.0
    }
}

impl TryFrom<u8> for Priority {
    type Error = String;
    fn try_from(level: u8) -> Result<Priority, String> {
        Priority::new(level).ok_or(format!("priority is {level}: write a number from 1 to 5"))
    }
}

impl From<Priority> for u8 {
    fn from(priority: Priority) -> u8 {
        priority.0
    }
}

impl Signal {
    /// What this signal would cause.
    #[must_use]
    pub fn cause(&self) -> Cause {
        match self {
            Signal::Drift { .. } => Cause::Drift,
            Signal::Decay(_) => Cause::Decay,
            Signal::Volume { .. } => Cause::Volume,
            Signal::Labels { .. } => Cause::Labels,
            Signal::Data { .. } => Cause::Data,
            Signal::Manual(_) => Cause::Manual,
            Signal::Outside(_) => Cause::Outside,
            Signal::Advice(_) => Cause::Advice,
        }
    }

    /// The request inside, if a person or system asked.
    #[must_use]
    pub fn request(&self) -> Option<&Request> {
        match self {
            Signal::Manual(request) | Signal::Outside(request) => Some(request),
            Signal::Drift { .. }
            | Signal::Decay(_)
            | Signal::Volume { .. }
            | Signal::Labels { .. }
            | Signal::Data { .. }
            | Signal::Advice(_) => None,
        }
    }
}

impl Cause {
    /// The strategy of a run with this cause, where the policy does not say incremental.
    #[must_use]
    pub fn strategy(self) -> Strategy {
        match self {
            Cause::Schedule | Cause::FirstVersion => Strategy::Scheduled,
            Cause::Labels => Strategy::Active,
            Cause::Drift
            | Cause::Decay
            | Cause::Volume
            | Cause::Data
            | Cause::Manual
            | Cause::Outside
            | Cause::Advice => Strategy::Triggered,
        }
    }

    /// The word used in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Cause::FirstVersion => "first_version",
            Cause::Schedule => "schedule",
            Cause::Drift => "drift",
            Cause::Decay => "decay",
            Cause::Volume => "volume",
            Cause::Labels => "labels",
            Cause::Data => "data",
            Cause::Manual => "manual",
            Cause::Outside => "outside",
            Cause::Advice => "advice",
        }
    }
}

impl Strategy {
    /// The word used in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Strategy::Scheduled => "scheduled",
            Strategy::Triggered => "triggered",
            Strategy::Online => "online",
            Strategy::Active => "active",
            Strategy::Incremental => "incremental",
        }
    }
}
