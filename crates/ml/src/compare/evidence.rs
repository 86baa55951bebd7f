//! Everything a gate may want to know of a candidate, measured in one go.

use serde::{Deserialize, Serialize};

use super::slices::in_words;
use super::{Difference, Error, Pair, Slice, SliceColumn, check, difference, slices};
use crate::metrics::calibration::{BINS, expected_calibration_error, reliability};
use crate::metrics::{Metric, Task, loss};

/// What to measure, and how strictly.
#[derive(Clone, Copy, Debug)]
pub struct Request<'a> {
    /// The metric the owner cares for.
    pub metric: Metric,
    /// What is predicted.
    pub task: Task,
    /// Both models on the same rows, in time order.
    pub pair: Pair<'a>,
    /// Columns to look at value by value.
    pub slices: &'a [SliceColumn<'a>],
    /// Error probability of each one-sided bound and, over all slices together, of a harmed flag.
    pub alpha: f64,
    /// Fixes the bootstrap's draws.
    pub seed: u64,
    /// Rows a slice needs to be looked at.
    pub slice_rows_min: usize,
    /// How much worse than the champion a slice may be, in the metric's unit, before it counts as harm.
    pub slice_margin: f64,
}

/// What champion and candidate say on the same rows. It decides nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// The owner's metric.
    pub primary: Difference,
    /// The task's other metrics.
    pub others: Vec<Difference>,
    /// Other metrics that have no value here, and why.
    pub unmeasured: Vec<Unmeasured>,
    /// The asked columns, value by value.
    pub slices: Vec<Slice>,
    /// `None` for regression.
    pub calibration: Option<Calibration>,
    /// `None` for regression.
    pub flips: Option<Flips>,
    /// Rows compared.
    pub rows: usize,
}

/// A metric without a value.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Unmeasured {
    /// Which.
    pub metric: Metric,
    /// Why.
    pub reason: String,
}

/// How far probabilities can be trusted, of both models.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibration {
    /// Of the serving model.
    pub champion: Calibrated,
    /// Of its would-be successor.
    pub candidate: Calibrated,
}

/// How far a model's probabilities can be trusted. Smaller is better in all three.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Calibrated {
    /// Mean log loss.
    pub log_loss: f64,
    /// Mean squared error of the probabilities.
    pub brier: f64,
    /// Over ten equal-width bins.
    pub expected_calibration_error: f64,
}

/// Rows whose answer changes from right to wrong, and back. Yan et al., *Positive-congruent training*,
/// 2021: users notice the first even where the sum is an improvement.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Flips {
    /// Share of all rows that the champion has right and the candidate wrong.
    pub negative: f64,
    /// Share of all rows that the champion has wrong and the candidate right.
    pub positive: f64,
}

impl<'a> Request<'a> {
    /// The usual strictness: one-sided 95 %, slices of at least 200 rows, no margin.
    #[must_use]
    pub fn new(metric: Metric, task: Task, pair: Pair<'a>) -> Request<'a> {
        Request {
            metric,
            task,
            pair,
            slices: &[],
            alpha: 0.05,
            seed: 0,
            slice_rows_min: 200,
            slice_margin: 0.0,
        }
    }
}

/// Measures everything. Errors where the primary metric cannot be compared; other metrics and slices
/// that cannot say why in their place.
pub fn measure(request: &Request<'_>) -> Result<Evidence, Error> {
    let Request { metric, task, pair, alpha, seed, .. } = *request;
    let primary = difference(metric, task, pair, alpha, seed)?;
    let (mut others, mut unmeasured) = (Vec::new(), Vec::new());
    for other in Metric::ALL.into_iter().filter(|other| *other != metric && other.fits(task)) {
        match difference(other, task, pair, alpha, seed) {
            Ok(difference) => others.push(difference),
            Err(error) => {
                unmeasured.push(Unmeasured { metric: other, reason: in_words(&error) });
            }
        }
    }
    Ok(Evidence {
        primary,
        others,
        unmeasured,
        slices: slices(request)?,
        calibration: calibration(task, pair)?,
        flips: negative_flips(task, pair)?,
        rows: pair.rows(),
    })
}

/// Log loss, Brier score and expected calibration error of both models; `None` for regression.
pub fn calibration(task: Task, pair: Pair<'_>) -> Result<Option<Calibration>, Error> {
    if task == Task::Regression {
        return Ok(None);
    }
    check(Metric::LogLoss, task, pair)?;
    let rows = pair.rows() as f64;
    let of = |predictions: &[f64]| Calibrated {
        log_loss: loss::log_losses(task, pair.labels, predictions).iter().sum::<f64>() / rows,
        brier: loss::squared_errors(task, pair.labels, predictions).iter().sum::<f64>() / rows,
        expected_calibration_error: expected_calibration_error(&reliability(
            task,
            pair.labels,
            predictions,
            BINS,
        )),
    };
    Ok(Some(Calibration { champion: of(pair.champion), candidate: of(pair.candidate) }))
}

/// Rows whose answer turns wrong or right; `None` for regression.
pub fn negative_flips(task: Task, pair: Pair<'_>) -> Result<Option<Flips>, Error> {
    if task == Task::Regression {
        return Ok(None);
    }
    check(Metric::Accuracy, task, pair)?;
    let champion = loss::right(task, pair.labels, pair.champion);
    let candidate = loss::right(task, pair.labels, pair.candidate);
    let share = |was: bool| {
        let turned = champion.iter().zip(&candidate).filter(|(a, b)| **a == was && **b != was);
        turned.count() as f64 / pair.rows() as f64
    };
    Ok(Some(Flips { negative: share(true), positive: share(false) }))
}
