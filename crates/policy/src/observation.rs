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
