//! Which policy advises a model, and at what prices.

use serde::{Deserialize, Serialize};

use crate::prices::Prices;
use crate::rule::Rule;

/// Parameters of an adviser; all of them checked by [`Settings::check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// When to retrain.
    pub rule: Rule,
    /// Fewest newly available rows that a retraining is worth.
    pub rows_min: u64,
    /// What loss and retraining cost.
    pub prices: Prices,
}

/// Fewest newly available rows that a retraining is worth where the owner says nothing.
pub const ROWS_MIN: u64 = 500;
/// Rhythm of the recommended policy, in periods.
pub const EVERY: u32 = 4;
/// Periods that must have passed since the last run before decay may start another: the rows since
/// a change must be enough to learn it from.
pub const REST: u32 = 2;

impl Settings {
    /// The default: every fourth period, and after two already on proven decay.
    #[must_use]
    pub fn recommended() -> Settings {
        let rule = Rule::periodic_decay(EVERY, REST);
        Settings { rule, rows_min: ROWS_MIN, prices: Prices::default() }
    }

    /// Says what cannot be, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        self.rule.check().and_then(|()| self.prices.check())
    }
}
