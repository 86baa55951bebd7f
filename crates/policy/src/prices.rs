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
    /// Of one CPU hour of training; that of its GPUs included.
    pub per_cpu_hour: Option<f64>,
    /// Of a million rows that a retraining trains on.
    #[serde(default)]
    pub per_million_rows: Option<f64>,
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
        Prices {
            priced: Priced::Loss,
            per_loss: 1.0,
            per_run: None,
            per_cpu_hour: None,
            per_million_rows: None,
        }
    }
}

impl Prices {
    /// Says what cannot be, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        let prices = [
            (self.priced.key(), Some(self.per_loss)),
            ("per_run", self.per_run),
            ("per_cpu_hour", self.per_cpu_hour),
            ("per_million_rows", self.per_million_rows),
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
        let evidence = &history.newest()?.evidence;
        let by_time = self.per_cpu_hour.zip(evidence.run_cpu_hours);
        #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
        let millions = evidence.run_rows.map(|rows| rows as f64 / 1e6);
        let by_rows = self.per_million_rows.zip(millions);
        let stated = [self.per_run, by_time.map(times), by_rows.map(times)];
        if stated.iter().all(Option::is_none) {
            return Some(
                DEFAULT_RUN_SHARE * history.median_rows()? * history.guess()? * self.per_loss,
            );
        }
        Some(0.0 + stated.iter().flatten().sum::<f64>())
    }

    /// Whether the owner states what a run costs, in any way.
    #[must_use]
    pub fn states_run(&self) -> bool {
        [self.per_run, self.per_cpu_hour, self.per_million_rows].iter().any(Option::is_some)
    }
}

fn times((price, amount): (f64, f64)) -> f64 {
    price * amount
}
