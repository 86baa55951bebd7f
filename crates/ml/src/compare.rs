//! What champion and candidate, scored on the same rows, say about each other: evidence, never a verdict.
//!
//! Rows belong to neither model's training or selection and stand in time order, which the paired
//! bootstrap needs to see whether they are autocorrelated.

pub mod block;
mod bootstrap;
mod delong;
mod evidence;
mod mcnemar;
mod slices;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use crate::metrics::{self, Metric, Task, Undefined};

pub use block::optimal_length as optimal_block_length;
pub use evidence::{
    Calibrated, Calibration, Evidence, Flips, Request, Unmeasured, calibration, measure,
    negative_flips,
};
pub use slices::{MISSING, Outcome, Slice, SliceColumn, holm, slices};

/// Resamples of the paired bootstrap.
pub const RESAMPLES: usize = 1_000;

/// Two models' predictions for the same rows, row-major `rows × outputs`, in time order.
#[derive(Clone, Copy, Debug)]
pub struct Pair<'a> {
    /// Class indices or values, one per row.
    pub labels: &'a [f64],
    /// What the serving model says.
    pub champion: &'a [f64],
    /// What the model that wants to replace it says.
    pub candidate: &'a [f64],
}

/// One metric of both models and what is known of the difference.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// What was measured.
    pub metric: Metric,
    /// The champion's value, in the metric's own orientation.
    pub champion: f64,
    /// The candidate's value, in the metric's own orientation.
    pub candidate: f64,
    /// How much better the candidate is: positive is better, whatever the metric.
    pub difference: f64,
    /// Standard error of `difference`; 0 where the models agree on every row.
    pub standard_error: f64,
    /// Lower confidence bound of `difference`, one-sided at `1 − alpha`.
    pub lower: f64,
    /// Upper confidence bound of `difference`, one-sided at `1 − alpha`.
    pub upper: f64,
    /// Error probability of each bound.
    pub alpha: f64,
    /// How error and bounds were found.
    pub method: Method,
    /// Two-sided p-value of "no difference".
    pub p_value: f64,
    /// Rows compared.
    pub rows: usize,
}

/// How the uncertainty of a difference is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Method {
    /// Auc: DeLong's covariance; multiclass: of the mean over the classes, by each row's influence.
    DeLong,
    /// Accuracy: rows that only one of the two has right.
    McNemar {
        /// Rows only the champion has right.
        champion_only: usize,
        /// Rows only the candidate has right.
        candidate_only: usize,
        /// Whether `p_value` is the exact binomial one.
        exact: bool,
    },
    /// Anything else: rows, or blocks of neighbouring rows, drawn again for both models alike.
    PairedBootstrap {
        /// Rows in a block; 1 where rows are drawn one by one.
        block: usize,
        /// Resamples drawn.
        resamples: usize,
    },
}

/// Why two models cannot be compared.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// The metric has no value for one of the models.
    #[error("{} of the {model} is undefined on the rows to compare", metric.name())]
    Undefined {
        /// What was to be measured.
        metric: Metric,
        /// `champion` or `candidate`.
        model: &'static str,
        /// Why.
        #[source]
        reason: Undefined,
    },
    /// A ranking's error needs two rows of each class.
    #[error("class {class} has {rows} row: comparing auc needs at least 2 rows of each class")]
    TooFewOfClass {
        /// Class index.
        class: usize,
        /// Its rows.
        rows: usize,
    },
    /// One row has no spread.
    #[error("there is 1 row: a comparison needs at least 2")]
    OneRow,
    /// A probability outside its range.
    #[error("alpha is {0}: write a number above 0 and below 0.5, such as 0.05")]
    Alpha(f64),
    /// Too many resamples without a value.
    #[error(
        "{} was undefined in {undefined} of {resamples} resamples: compare on more rows",
        metric.name()
    )]
    Unstable {
        /// What was to be measured.
        metric: Metric,
        /// Resamples without a value.
        undefined: usize,
        /// Resamples drawn.
        resamples: usize,
    },
    /// A slicing column of another length.
    #[error("slice column `{column}` has {found} values for {rows} rows")]
    SliceLength {
        /// Name of the column.
        column: String,
        /// Its values.
        found: usize,
        /// Rows to compare.
        rows: usize,
    },
}

/// How much better the candidate is by `metric`. `alpha`: error probability of each one-sided bound;
/// `seed`: fixes the bootstrap's draws. Errors say which model or class is to blame.
pub fn difference(
    metric: Metric,
    task: Task,
    pair: Pair<'_>,
    alpha: f64,
    seed: u64,
) -> Result<Difference, Error> {
    if !(alpha > 0.0 && alpha < 0.5) {
        return Err(Error::Alpha(alpha));
    }
    let value =
        |model, predictions| {
            metric
                .measure(task, pair.labels, predictions, None)
                .map_err(|reason| Error::Undefined { metric, model, reason })
        };
    let champion = value("champion", pair.champion)?;
    let candidate = value("candidate", pair.candidate)?;
    let spread = match metric {
        _ if pair.labels.len() < 2 => return Err(Error::OneRow),
        Metric::Auc => delong::spread(task, pair, alpha)?,
        Metric::Accuracy => mcnemar::spread(task, pair, alpha),
        Metric::LogLoss | Metric::Brier | Metric::F1 | Metric::Rmse | Metric::Mae | Metric::R2 => {
            bootstrap::spread(metric, task, pair, alpha, seed)?
        }
    };
    let spread = if pair.champion == pair.candidate { spread.of_equals() } else { spread };
    Ok(Difference {
        metric,
        champion,
        candidate,
        difference: oriented(metric, champion, candidate),
        standard_error: spread.standard_error,
        lower: spread.lower,
        upper: spread.upper,
        alpha,
        method: spread.method,
        p_value: spread.p_value,
        rows: pair.labels.len(),
    })
}

/// What a method finds out; everything oriented so that positive is better.
struct Spread {
    standard_error: f64,
    lower: f64,
    upper: f64,
    p_value: f64,
    method: Method,
}

impl Spread {
    /// A normal approximation around `difference`. Without any spread the bounds are the difference.
    fn normal(difference: f64, standard_error: f64, alpha: f64, method: Method) -> Spread {
        let reach = normal_quantile(1.0 - alpha) * standard_error;
        Spread {
            standard_error,
            lower: difference - reach,
            upper: difference + reach,
            p_value: two_sided(difference, standard_error),
            method,
        }
    }

    /// The same model twice: there is nothing uncertain about no difference.
    fn of_equals(self) -> Spread {
        Spread { standard_error: 0.0, lower: 0.0, upper: 0.0, p_value: 1.0, method: self.method }
    }
}

impl Pair<'_> {
    fn rows(&self) -> usize {
        self.labels.len()
    }
}

/// How much better `candidate` is than `champion`.
fn oriented(metric: Metric, champion: f64, candidate: f64) -> f64 {
    if metric.higher_is_better() { candidate - champion } else { champion - candidate }
}

/// Two-sided normal p-value; without spread 1 for no difference and 0 for any.
fn two_sided(difference: f64, standard_error: f64) -> f64 {
    if standard_error > 0.0 {
        (2.0 * Normal::standard().sf((difference / standard_error).abs())).min(1.0)
    } else if difference.abs() > 0.0 {
        0.0
    } else {
        1.0
    }
}

fn normal_quantile(probability: f64) -> f64 {
    Normal::standard().inverse_cdf(probability)
}

/// The rows at `positions` of values that are `width` wide.
fn gather(values: &[f64], width: usize, positions: &[usize]) -> Vec<f64> {
    let mut gathered = Vec::with_capacity(positions.len() * width);
    for at in positions {
        gathered.extend_from_slice(&values[at * width..(at + 1) * width]);
    }
    gathered
}

/// Checks both models' rows before anything is counted by hand.
fn check(metric: Metric, task: Task, pair: Pair<'_>) -> Result<(), Error> {
    for (model, predictions) in [("champion", pair.champion), ("candidate", pair.candidate)] {
        metrics::check(task, pair.labels, predictions).map_err(|reason| Error::Undefined {
            metric,
            model,
            reason,
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
