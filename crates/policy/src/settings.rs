//! Which policy advises a model, and its parameters.

use serde::{Deserialize, Serialize};

/// Parameters of an adviser; all of them checked by [`Settings::check`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Settings {
    /// Which policy.
    pub kind: Kind,
    /// Periods between retrainings, where the policy has a rhythm.
    pub every: u32,
    /// Periods that must have passed since the last run before decay may start another: the rows
    /// since a change must be enough to learn it from.
    pub rest: u32,
    /// Fewest newly available rows that a retraining is worth.
    pub rows_min: u64,
    /// Price of one unit of loss.
    pub per_loss: f64,
    /// Cost of one retraining in the same unit; `None`: 0.2 % of the loss of a constant guess over
    /// a median period.
    pub per_run: Option<f64>,
}

/// Policies by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Keeps for ever.
    Never,
    /// Retrains in every period.
    Always,
    /// Retrains when `every` periods have passed since the last run.
    Periodic,
    /// Periodic, and as soon as `rest` allows while the sequential decay test shows decay.
    PeriodicDecay,
    /// Leaves it to the thresholds of the core.
    Thresholds,
}

impl Settings {
    /// The default: every fourth period, and after two already on proven decay.
    #[must_use]
    pub fn recommended() -> Settings {
        Settings {
            kind: Kind::PeriodicDecay,
            every: 4,
            rest: 2,
            rows_min: 500,
            per_loss: 1.0,
            per_run: None,
        }
    }

    /// Says what cannot be, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        if self.every == 0 {
            return Err("`every` is 0 periods: write at least 1".to_owned());
        }
        for (name, price) in [("per_loss", Some(self.per_loss)), ("per_run", self.per_run)] {
            if price.is_some_and(|price| !price.is_finite() || price <= 0.0) {
                return Err(format!("`{name}` is not a price: write a number above 0"));
            }
        }
        Ok(())
    }
}

impl Kind {
    /// The name as written in `afresh.toml`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Kind::Never => "never",
            Kind::Always => "always",
            Kind::Periodic => "periodic",
            Kind::PeriodicDecay => "periodic+decay",
            Kind::Thresholds => "thresholds",
        }
    }

    /// Reads a name as written in `afresh.toml`.
    #[must_use]
    pub fn parse(name: &str) -> Option<Kind> {
        [Kind::Never, Kind::Always, Kind::Periodic, Kind::PeriodicDecay, Kind::Thresholds]
            .into_iter()
            .find(|kind| kind.name() == name)
    }
}
