//! What loss and retraining cost, in the owner's unit.

use serde::{Deserialize, Serialize};

use crate::history::History;

/// Share of what a constant guess loses over a median period that a retraining costs where the
/// owner states no price.
pub const DEFAULT_RUN_SHARE: f64 = 0.002;

/// What of a row has a price.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Priced {
    /// Its loss: log loss, or squared error over the variance of the label.
    #[default]
    Loss,
    /// Whether its likeliest class is wrong.
    Errors,
}

/// Prices, all above 0.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prices {
    /// What `per_loss` is the price of.
    #[serde(default)]
    pub priced: Priced,
    /// Of one unit of loss on one row, or of an error.
    pub per_loss: f64,
    /// Of one retraining.
    pub per_run: Option<f64>,
    /// Of one CPU hour of training.
    pub per_cpu_hour: Option<f64>,
}

impl Priced {
    /// The key that its price is written under.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Priced::Loss => "per_loss",
            Priced::Errors => "per_error",
        }
    }
}

impl Default for Prices {
    fn default() -> Prices {
        Prices { priced: Priced::Loss, per_loss: 1.0, per_run: None, per_cpu_hour: None }
    }
}

impl Prices {
    /// Says what cannot be, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        let prices = [
            (self.priced.key(), Some(self.per_loss)),
            ("per_run", self.per_run),
            ("per_cpu_hour", self.per_cpu_hour),
        ];
        for (name, price) in prices {
            if price.is_some_and(|price| !price.is_finite() || price <= 0.0) {
                return Err(format!("`{name}` is not a price: write a number above 0"));
            }
        }
        Ok(())
    }

    /// What a retraining costs now. Where no price is stated: [`DEFAULT_RUN_SHARE`]. `None` as long
    /// as nothing is known to price it by.
    #[must_use]
    pub fn run(&self, history: &History) -> Option<f64> {
        let by_time = match (self.per_cpu_hour, history.newest()?.evidence.run_cpu_hours) {
            (Some(price), Some(hours)) => Some(price * hours),
            _ => None,
        };
        match (self.per_run, by_time) {
            (None, None) => {
                Some(DEFAULT_RUN_SHARE * history.median_rows()? * history.guess()? * self.per_loss)
            }
            (per_run, by_time) => Some(per_run.unwrap_or(0.0) + by_time.unwrap_or(0.0)),
        }
    }
}
