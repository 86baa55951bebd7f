//! The policies on small histories, and each on a stream on which it beats always and never.

mod streams;
mod table;

use afresh_core::id::VersionId;
use afresh_core::time::Timestamp;

use crate::observation::{Evidence, Loss, Observation};

const WEEK: i64 = 604_800_000;

/// A week of 2,000 rows.
fn observation(week: i64, champion: u64, alarm: bool) -> Observation {
    Observation {
        at: Timestamp(week * WEEK),
        champion: VersionId(champion),
        rows: 2_000,
        available_since_cut: 2_000,
        drift: None,
        loss: Some(Loss { mean: 0.6, rows: 2_000, baseline: 0.5, alarm, e_value: 200.0 }),
        evidence: Evidence::default(),
    }
}
