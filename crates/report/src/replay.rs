//! What a replay report is drawn from; plain figures, all times in milliseconds since the Unix epoch, UTC.

use serde::{Deserialize, Serialize};

/// One replay of one model. Values that are not finite count as undefined.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Replay {
    /// The model's name.
    pub model: String,
    /// The report's heading; the model's name where empty.
    pub title: String,
    /// The metric's name as configured, for example `auc` or `rmse`.
    pub metric: String,
    /// How the metric is oriented.
    pub higher_is_better: bool,
    /// Length of a period in words, for example `7d`.
    pub period: String,
    /// The training window in words, for example `90d` or `all`.
    pub window: String,
    /// Path of the configuration that was replayed.
    pub generated_from: String,
    /// In order of time.
    pub periods: Vec<Period>,
    /// What happened to versions, drawn on the managed line.
    pub marks: Vec<Mark>,
    /// In any order; drawn by falling importance.
    pub drift_columns: Vec<DriftColumn>,
    /// `managed`, `never` and `always`; others are shown after them.
    pub arms: Vec<Arm>,
    /// One per period: what had been spent on training by its end.
    pub cost: Vec<Cost>,
    /// In order of time.
    pub decisions: Vec<Decision>,
    /// In order of time.
    pub runs: Vec<Run>,
    /// Key figures of the policy as name and value.
    pub policy: Vec<(String, String)>,
    /// What a reader should know, one sentence or more each.
    pub notes: Vec<String>,
}

/// One step of history, `[from_ms, to_ms)`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Period {
    /// First instant inside.
    pub from_ms: i64,
    /// First instant after.
    pub to_ms: i64,
    /// Rows scored.
    pub rows: u64,
    /// The metric under management; none where undefined.
    pub managed: Option<f64>,
    /// The metric of the first version.
    pub never: Option<f64>,
    /// The metric when trained every period.
    pub always: Option<f64>,
    /// The managed version that served at the end of the period.
    pub champion: String,
    /// The model's drift score, in [0, 1].
    pub drift: Option<f64>,
    /// The drift score from which it is drift; none draws no line.
    pub drift_threshold: Option<f64>,
    /// Rows whose label was not yet available at the end of the period.
    pub unlabelled: u64,
}

/// One thing that happened to a version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mark {
    /// When.
    pub at_ms: i64,
    /// What.
    pub kind: MarkKind,
    /// The version or run it happened to.
    pub version: String,
    /// One sentence for the hover box.
    pub text: String,
}

/// The kinds of marks, each with its own shape and colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MarkKind {
    /// A candidate became champion.
    Promoted,
    /// A candidate failed its gate.
    Rejected,
    /// A champion was taken back.
    RolledBack,
    /// A run broke.
    Failed,
    /// A gate could not tell yet.
    Inconclusive,
    /// A run began.
    Started,
}

/// Drift of one column.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct DriftColumn {
    /// The column's name.
    pub name: String,
    /// The feature's share of importance, in [0, 1].
    pub importance: f64,
    /// One score in [0, 1] per period; missing ones are undefined.
    pub scores: Vec<Option<f64>>,
}

/// One way of keeping the model, summed up over the same rows.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Arm {
    /// `managed`, `never`, `always`, or another policy's name.
    pub name: String,
    /// Unweighted mean over the periods where the metric is defined.
    pub metric_mean: Option<f64>,
    /// Pooled over all rows; none for regression.
    pub log_loss: Option<f64>,
    /// Trainings after the first version that were shipped.
    pub retrains: u64,
    /// Candidates that failed their gate.
    pub rejected: u64,
    /// Promotions taken back.
    pub rolled_back: u64,
    /// User and system time of all training processes, seconds.
    pub training_cpu_seconds: f64,
    /// Periods in which the metric has no value.
    pub periods_undefined: u64,
}

/// Training CPU spent since the beginning, seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Cost {
    /// Under management.
    pub managed: f64,
    /// With the first version alone.
    pub never: f64,
    /// When trained every period.
    pub always: f64,
}

/// One decision, or several equal ones in a row.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// When; the first time where several are told as one.
    pub at_ms: i64,
    /// The last time where several are told as one, else `at_ms`.
    pub until_ms: i64,
    /// How many equal decisions this stands for; 0 counts as 1.
    pub count: u64,
    /// For example `train` or `keep`.
    pub action: String,
    /// The signal that asked.
    pub cause: String,
    /// Every reason, one sentence each.
    pub reasons: Vec<String>,
    /// The run it began, as in [`Run::id`].
    pub run: Option<String>,
}

/// One retraining from decision to outcome.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// For example `run-7`.
    pub id: String,
    /// scheduled, triggered, online, active or incremental.
    pub strategy: String,
    /// The signal that asked.
    pub cause: String,
    /// When it began.
    pub started_ms: i64,
    /// When it was over; none while under way.
    pub ended_ms: Option<i64>,
    /// For example `promoted`, `rejected`, `rolled back`.
    pub outcome: String,
    /// The version it trained.
    pub candidate: Option<String>,
    /// Rows it was trained on.
    pub rows_train: Option<u64>,
    /// Rows it was judged on.
    pub rows_holdout: Option<u64>,
    /// Candidate against champion, oriented so that positive is better.
    pub difference: Option<f64>,
    /// Lower confidence bound of the difference.
    pub lower: Option<f64>,
    /// Upper confidence bound of the difference.
    pub upper: Option<f64>,
    /// What the gate said; none where it was never asked.
    pub verdict: Option<Verdict>,
    /// What it was expected to save, in the owner's unit.
    pub expected_saving: Option<f64>,
    /// What it did save.
    pub realised_saving: Option<f64>,
    /// Training CPU, seconds.
    pub cpu_seconds: f64,
    /// The evidence in plain words; an empty line begins a new paragraph.
    pub explanation: String,
}

/// What a gate said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// Good enough to ship.
    Pass,
    /// Not good enough.
    Reject,
    /// Too little evidence either way.
    Inconclusive,
}

impl MarkKind {
    /// All kinds in the order of the legend.
    pub const ALL: [MarkKind; 6] = [
        MarkKind::Promoted,
        MarkKind::Rejected,
        MarkKind::RolledBack,
        MarkKind::Failed,
        MarkKind::Inconclusive,
        MarkKind::Started,
    ];

    /// In the past tense, for legends and hover boxes.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            MarkKind::Promoted => "promoted",
            MarkKind::Rejected => "rejected",
            MarkKind::RolledBack => "rolled back",
            MarkKind::Failed => "failed",
            MarkKind::Inconclusive => "inconclusive",
            MarkKind::Started => "started",
        }
    }
}

impl Replay {
    /// The arm called `name`.
    #[must_use]
    pub fn arm(&self, name: &str) -> Option<&Arm> {
        self.arms.iter().find(|arm| arm.name == name)
    }

    /// The metric of the arm called `name`, one per period, with undefined ones as `None`.
    #[must_use]
    pub fn series(&self, name: &str) -> Vec<Option<f64>> {
        self.periods
            .iter()
            .map(|period| match name {
                "managed" => defined(period.managed),
                "never" => defined(period.never),
                "always" => defined(period.always),
                _ => None,
            })
            .collect()
    }
}

/// `value` unless it is infinite or not a number.
pub(crate) fn defined(value: Option<f64>) -> Option<f64> {
    value.filter(|value| value.is_finite())
}
