//! Whether a serving model has become worse than its baseline: by windows of metric values, or row by row.
//!
//! Scores are taken of rows whose label is available; how many still wait for theirs is the caller's to
//! count and stands in every report.

pub mod adwin;
pub mod buckets;
mod pairs;
pub mod rise;
pub mod sequential;
pub mod standard;
pub mod ttest;
pub mod watch;

use serde::{Deserialize, Serialize};

use crate::metrics::Metric;

/// Which way a metric improves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Direction {
    /// Auc, accuracy.
    HigherIsBetter,
    /// Losses and errors.
    LowerIsBetter,
}

/// How it is told whether a drop is more than chance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Test {
    /// By evidence that may be looked at after every row.
    Sequential,
    /// By t-test over the values, corrected for the number of metrics and windows (Holm), not for looking often.
    TTest,
    /// By t-test, each by itself: of twenty quiet ones, one is significant.
    TTestUncorrected,
}

/// One metric of one window against its baseline.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decay {
    /// Name of the metric.
    pub metric: String,
    /// Name of the window, such as `24h`.
    pub window: String,
    /// Mean of the window's values.
    pub current: f64,
    /// What it is held against; `current` where there was none.
    pub baseline: f64,
    /// How much worse `current` is, in the metric's unit: a fall, or a rise where lower is better.
    pub drop: f64,
    /// `drop` in percent of the baseline; 0 where the baseline is not above 0.
    pub drop_percent: f64,
    /// Sample standard deviation of the window's values.
    pub std: f64,
    /// How surprising the values would be had nothing changed; sequentially: whenever one looks.
    pub p_value: f64,
    /// The same, corrected for the number of things tested; `p_value` where it is not.
    pub p_adjusted: f64,
    /// `p_adjusted` is below 0.05. It informs and never decides.
    pub significant: bool,
    /// The drop is larger than the threshold allows; sequentially: and the alarm has gone off.
    pub detected: bool,
    /// Largest drop that is let pass, in the metric's unit.
    pub threshold: f64,
    /// Predictions of the window whose label is not available yet.
    pub unlabelled: usize,
    /// How `p_value` was found.
    pub test: Test,
    /// Values of the window; sequentially without windows: rows.
    pub values: usize,
    /// Buckets left out because the metric is undefined there.
    pub undefined: usize,
}

/// Below this `p_value` a drop is called significant.
pub const SIGNIFICANCE: f64 = 0.05;

impl Direction {
    /// How `metric` improves.
    #[must_use]
    pub fn of(metric: Metric) -> Direction {
        if metric.higher_is_better() { Direction::HigherIsBetter } else { Direction::LowerIsBetter }
    }

    /// How much worse `current` is than `baseline`.
    #[must_use]
    pub fn drop(self, baseline: f64, current: f64) -> f64 {
        match self {
            Direction::HigherIsBetter => baseline - current,
            Direction::LowerIsBetter => current - baseline,
        }
    }
}

/// How urgent the worst detected decay is: above 20 % 5, above 10 % 4, above 5 % 3, else 2; 1 where nothing
/// was detected.
#[must_use]
pub fn priority(decays: &[Decay]) -> u8 {
    let detected = decays.iter().filter(|decay| decay.detected);
    match detected.map(|decay| decay.drop_percent).max_by(f64::total_cmp) {
        None => 1,
        Some(worst) if worst > 20.0 => 5,
        Some(worst) if worst > 10.0 => 4,
        Some(worst) if worst > 5.0 => 3,
        Some(_) => 2,
    }
}

/// `drop` in percent of `baseline`; 0 where the baseline is not above 0.
fn percent(drop: f64, baseline: f64) -> f64 {
    if baseline > 0.0 { 100.0 * drop / baseline } else { 0.0 }
}
