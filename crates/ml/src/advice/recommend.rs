//! What the findings come to: the one thing to do, by rules that stand here and nowhere else.

use serde::Serialize;

use super::Level;
use super::payoff::Payoff;
use super::trend::Trend;

/// Recalibrating is preferred where it brings this share of what retraining would.
const RECALIBRATION_SHARE: f64 = 0.7;
/// One rise that makes up this share of all rises is a jump and no wear.
const JUMP_SHARE: f64 = 0.8;

/// What to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case", tag = "do")]
pub enum Action {
    /// Nothing would have paid for certain.
    LeaveAlone,
    /// The model still tells rows apart; its probabilities are off.
    Recalibrate,
    /// Once, and watch: most of what the loss rose by came at one time.
    RetrainOnce,
    /// Again and again.
    RetrainEvery {
        /// Periods between two.
        periods: usize,
    },
    /// Retraining paid only if the season is no season: the log is too short to say.
    Unclear {
        /// Periods between two retrainings that would have paid.
        periods: usize,
    },
}

/// Retraining must have saved something with 95 % confidence; recalibration likewise, and it goes first
/// where it brings nearly as much. `levels`: where the excess lay, stretch by stretch.
#[must_use]
pub fn action(payoff: &Payoff, trend: Option<&Trend>, levels: &[Level]) -> Action {
    let sure = payoff.best.filter(|best| best.saving.low > 0.0);
    let recalibration = payoff.recalibration.filter(|gain| gain.low > payoff.prices.per_run);
    let Some(best) = sure else {
        return if recalibration.is_some() { Action::Recalibrate } else { Action::LeaveAlone };
    };
    if recalibration.is_some_and(|gain| gain.value >= RECALIBRATION_SHARE * best.saving.value) {
        return Action::Recalibrate;
    }
    // A year that came round less than twice can look like decay; what age leaves unexplained cannot.
    let decays = trend.is_some_and(|trend| trend.real.low > 0.0);
    let gone = payoff.excess_now.low <= 0.0;
    if !decays && gone {
        return Action::Unclear { periods: best.periods };
    }
    let steps = levels.windows(2).filter(|pair| pair[0].version == pair[1].version);
    let rises = steps.map(|pair| (pair[1].excess - pair[0].excess).max(0.0));
    let largest = rises.clone().fold(0.0, f64::max);
    let jump = largest > 0.0 && largest >= JUMP_SHARE * rises.sum::<f64>();
    if jump || best.runs <= 1 {
        return Action::RetrainOnce;
    }
    Action::RetrainEvery { periods: best.periods }
}
