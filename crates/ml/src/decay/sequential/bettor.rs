//! Capital that grows only where losses exceed the tolerated mean.
//!
//! A fair bet multiplies capital by `1 + λ (loss − tolerated)` with λ chosen before the loss is seen, so that
//! capital is a nonnegative supermartingale while the tolerated mean holds (Waudby-Smith & Ramdas,
//! *Estimating means of bounded random variables by betting*, JRSS B 2024; the empirical-Bernstein idea of
//! Howard et al., Annals of Statistics 2021). By Ville's inequality it ever reaches 1/α with chance α.

use serde::{Deserialize, Serialize};

/// How far back the members of a team look, in units of the shortest.
const WINDOWS: [f64; 3] = [1.0, 4.0, 16.0];
/// A bet never risks more than this share of its capital.
const RISK_MAX: f64 = 0.5;
/// Capital stops growing here: long past every alarm, short of infinity.
const CAPITAL_MAX: f64 = 1e280;
/// The reserve is half paid in after this many windows.
const RESERVE_WINDOWS: f64 = 10.0;

/// One member of a team. All numbers are shares of the losses' range.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bettor {
    /// Rows over which the past is forgotten.
    window: f64,
    /// Largest λ.
    stake_max: f64,
    /// Exponentially weighted sum and squares of `loss − tolerated`, begun from the baseline.
    sum: f64,
    squares: f64,
    /// Capital at work.
    invested: f64,
    /// Capital paid in little by little, so that early mistakes cannot lose all: a mixture over the times at
    /// which decay may begin.
    reserve: f64,
}

/// The shortest window for an effect of `signal` standard deviations per row: the rows over which such an
/// effect is twice its standard error, between 50 and 50,000.
pub(super) fn window_of(signal: f64) -> f64 {
    (4.0 / (signal * signal)).clamp(50.0, 50_000.0)
}

impl Bettor {
    /// Members with one window each, who share a capital of 1.
    pub(super) fn team(window: f64, tolerated: f64, mean: f64, deviation: f64) -> Vec<Bettor> {
        let gap = mean - tolerated;
        let member = |times: f64| Bettor {
            window: window * times,
            stake_max: RISK_MAX / tolerated,
            sum: window * times * gap,
            squares: window * times * (deviation * deviation + gap * gap),
            invested: 0.0,
            reserve: 1.0 / WINDOWS.len() as f64,
        };
        WINDOWS.map(member).to_vec()
    }

    pub(super) fn capital(&self) -> f64 {
        self.invested + self.reserve
    }

    /// Settles the bet on `surprise`, `loss − tolerated`, of row number `row`, then learns from it.
    pub(super) fn take(&mut self, surprise: f64, row: f64) {
        let paid_in = self.reserve / (row + RESERVE_WINDOWS * self.window);
        self.reserve -= paid_in;
        self.invested += paid_in;
        // The stake that maximises the expected logarithm, to second order; nothing while losses are low.
        if self.sum > 0.0 {
            let stake = (self.sum / self.squares).min(self.stake_max);
            self.invested = (self.invested * (1.0 + stake * surprise)).min(CAPITAL_MAX);
        }
        let keep = 1.0 - 1.0 / self.window;
        self.sum = keep * self.sum + surprise;
        self.squares = keep * self.squares + surprise * surprise;
    }
}
