//! What a policy sees of one period.

use afresh_core::id::VersionId;
use afresh_core::time::Timestamp;
use serde::{Deserialize, Serialize};

/// One whole period, seen at its end; only rows whose label was available by then count.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Observation {
    /// The end of the period.
    pub at: Timestamp,
    /// What served.
    pub champion: VersionId,
    /// Rows with event time in the period, labelled or not.
    pub rows: u64,
    /// Rows that became available since the champion's cut.
    pub available_since_cut: u64,
    /// Importance-weighted drift score of the period against the champion's rows.
    pub drift: Option<f64>,
    /// The champion's loss against its baseline.
    pub loss: Option<Loss>,
    /// What only some policies look at.
    #[serde(default)]
    pub evidence: Evidence,
}

/// What only some policies look at; whatever is not measured is left out.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Evidence {
    /// Detectors over the champion's losses that went off since its training and still stand.
    pub alarms: Alarms,
    /// Smallest p-value of the columns' Kolmogorov–Smirnov tests times the number of columns.
    pub smallest_p: Option<f64>,
    /// ‖x̄ − x̄'‖₁: how far the features' means moved since the period before, in the reference's
    /// standard deviations, summed over the features.
    pub feature_shift: Option<f64>,
    /// The period's newly available rows, answered by versions that no longer serve.
    pub retired: Vec<Retired>,
    /// Loss of a constant guess on the period's rows.
    pub guess: Option<f64>,
    /// CPU hours that a training would take now, estimated without a clock.
    pub run_cpu_hours: Option<f64>,
    /// Rows that a training would train on.
    pub run_rows: Option<u64>,
    /// CPU hours that trainings took in the period, by the same estimate.
    pub spent_cpu_hours: f64,
}

/// Detectors that see decay.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Alarms {
    /// The t-test over the period's buckets shows a drop that is significant and large enough.
    pub t_test: bool,
    /// ADWIN shrank its window of losses, and they rose.
    pub adwin: bool,
    /// CUSUM of the losses.
    pub cusum: bool,
}

/// A version that no longer serves, scored on the rows that the champion is scored on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Retired {
    /// Periods from its training to the end of the period.
    pub age: u32,
    /// Mean loss.
    pub mean: f64,
}

/// The champion's live loss, in the task's loss (log loss, squared error).
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Loss {
    /// Mean over the rows that became available in the period.
    pub mean: f64,
    /// Those rows.
    pub rows: u64,
    /// Mean on the holdout that judged the champion.
    pub baseline: f64,
    /// Whether the sequential test shows decay: its alarm went off and the newest rows' loss is
    /// still above what is tolerated.
    pub alarm: bool,
    /// Its evidence, an e-value.
    pub e_value: f64,
}
