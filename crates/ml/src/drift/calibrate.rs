//! Thresholds from quiet history: from which score on a period is so unusual that, were nothing to
//! change, it would come about once in the run time that the owner chose.
//!
//! An alarm is a period whose score reaches the threshold after one whose score did not: a week
//! above it is one alarm, not seven. Scores beyond the history are extrapolated by a generalised
//! Pareto tail (Pickands 1975), its shape by probability-weighted moments (Hosking & Wallis 1987) and
//! drawn towards the exponential, which few periods cannot tell from it. For the exponential, how
//! often scores to come exceed the threshold is allowed for exactly, so that short histories do not
//! raise more alarms. The interval is a bootstrap of blocks of periods (Künsch 1989), since
//! neighbouring scores share their reference and their season.

mod history;
#[cfg(test)]
mod tests;

use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use history::{Before, Periods, QuietScores, REFERENCE_PERIODS_MIN, from_rows, from_sketches};

use crate::compare::optimal_block_length;
use crate::rng::Rng;

/// Below so many quiet periods nothing is calibrated.
pub const PERIODS_MIN: usize = 12;

/// The threshold where there is no history.
pub const FIXED: f64 = 0.3;

/// A calibrated threshold is at least this: a smaller move is no reason to do anything.
pub const VALUE_MIN: f64 = 0.01;

/// How long a quiet model runs between two alarms where the owner does not say.
pub const EXPECTED_RUN_TIME: Duration = Duration::from_secs(90 * 86_400);

/// Resampled histories behind the interval.
const RESAMPLES: usize = 400;

/// Share of the histories' thresholds on either side of the interval.
const DOUBT: f64 = 0.05;

/// Excesses as so many more that follow the exponential: how far the shape is drawn to it. Falling
/// tails need more evidence, since they end, and what lies behind the end would never be expected.
const SHAPE_PRIOR: [f64; 2] = [15.0, 60.0];

/// What a calibration goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Length of a period: one score each.
    pub period: Duration,
    /// Mean time between two false alarms; [`EXPECTED_RUN_TIME`] where the owner does not say.
    pub expected_run_time: Duration,
    /// Of the resampling.
    pub seed: u64,
}

/// From which score on there is drift, and why from there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Threshold {
    /// The owner's.
    Chosen {
        /// The score.
        value: f64,
    },
    /// [`FIXED`], for want of history.
    Fixed {
        /// The score.
        value: f64,
        /// What was wanting.
        why: String,
    },
    /// From quiet history.
    Calibrated {
        /// The score.
        value: f64,
        /// Five of a hundred histories like this one would give a lower one.
        low: f64,
        /// Five of a hundred would give a higher one.
        high: f64,
        /// Quiet periods behind it.
        periods: usize,
        /// Length of a period in days.
        period_days: f64,
        /// Mean time between two false alarms in days.
        expected_run_days: f64,
        /// Whether the run time is longer than the history, so that the score was extrapolated.
        extrapolated: bool,
    },
}

/// History that calibrates nothing.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A score lies outside [0, 1].
    #[error("the score of quiet period {period} is {score}: scores lie between 0 and 1")]
    Score {
        /// Counted from 0.
        period: usize,
        /// What was given.
        score: f64,
    },
    /// Times that fit nothing.
    #[error(
        "an expected run time of {run_days} days is shorter than two periods of {period_days} days: \
         write a longer one"
    )]
    RunTime {
        /// In days.
        run_days: f64,
        /// In days.
        period_days: f64,
    },
    /// Periods have different columns.
    #[error("quiet period {period} has not the columns of the first one: read all with one schema")]
    Columns {
        /// Counted from 0.
        period: usize,
    },
    /// A period cannot be compared with those before it.
    #[error("failed to compare quiet period {period} with those before it")]
    Compare {
        /// Counted from 0.
        period: usize,
        /// What is wrong with it.
        #[source]
        source: super::Error,
    },
}

/// Calibrates on the `scores` of quiet periods in order of time: [`from_rows`] and [`from_sketches`]
/// measure them. Fixed below [`PERIODS_MIN`] scores. Refuses scores outside [0, 1] and run times of
/// less than two periods.
pub fn threshold(scores: &[f64], settings: Settings) -> Result<Threshold, Error> {
    if let Some(period) = scores.iter().position(|score| !(0.0..=1.0).contains(score)) {
        return Err(Error::Score { period, score: scores[period] });
    }
    let [run_days, period_days] =
        [settings.expected_run_time, settings.period].map(|time| time.as_secs_f64() / 86_400.0);
    let run_periods = run_days / period_days;
    if !run_periods.is_finite() || run_periods < 2.0 {
        return Err(Error::RunTime { run_days, period_days });
    }
    let periods = scores.len();
    if periods < PERIODS_MIN {
        let why = match periods {
            0 => "there is no quiet history".to_owned(),
            1 => "there is only 1 quiet period".to_owned(),
            some => format!("there are only {some} quiet periods"),
        };
        return Ok(Threshold::Fixed { value: FIXED, why });
    }
    let mut rng = Rng::new(settings.seed);
    let length = optimal_block_length(scores).max(block_length(periods));
    let mut resampled = (0..RESAMPLES)
        .map(|_| tail(&blocks(scores, length, &mut rng), run_periods))
        .collect::<Vec<_>>();
    resampled.sort_unstable_by(f64::total_cmp);
    let value = tail(scores, run_periods);
    let [low, high] = [DOUBT, 1.0 - DOUBT].map(|q| quantile(&resampled, q));
    Ok(Threshold::Calibrated {
        value,
        low: low.min(value),
        high: high.max(value),
        periods,
        period_days,
        expected_run_days: run_days,
        extrapolated: run_periods > periods as f64,
    })
}

/// The score that a period reaches, after one that did not, once in `run_periods` on average.
fn tail(scores: &[f64], run_periods: f64) -> f64 {
    let periods = scores.len() as f64;
    let mut falling = scores.to_vec();
    falling.sort_unstable_by(|a, b| b.total_cmp(a));
    // A fifth of the history, or as many as give two alarms per run time; at most half.
    let wanted = (0.2 * periods).max(2.0 * periods / run_periods).max(5.0).min(periods / 2.0);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 5 and the number of periods"
    )]
    let above = wanted.ceil().min(periods - 1.0) as usize;
    let start = falling[above];
    let excesses = falling[..above].iter().rev().map(|score| score - start).collect::<Vec<_>>();
    let count = above as f64;
    let mean = excesses.iter().sum::<f64>() / count;
    if mean <= 0.0 {
        return start.clamp(VALUE_MIN, 1.0);
    }
    let shape = shape(&excesses, mean);
    // Runs of scores above the start are one alarm each, as far as the history tells.
    let high = |score: &f64| *score > start;
    let runs =
        scores.chunk_by(|a, b| high(a) == high(b)).filter(|run| run.iter().any(high)).count();
    let over = scores.iter().filter(|score| high(score)).count().max(1) as f64;
    let apart = (runs as f64 / over / (1.0 - count / periods)).min(1.0);
    let apart = 1.0 - (1.0 - apart) * (count / (count + SHAPE_PRIOR[0]));
    // An exponential excess that comes after `count` such exceeds their sum's share y with the
    // probability (1 + y)^−count: the logarithm of the rate, raised by what is not known.
    let rarer = (run_periods * apart * count / (periods + 1.0)).max(1.0);
    let depth = count * (rarer.powf(1.0 / count) - 1.0);
    let scale = mean * (1.0 - shape);
    let excess =
        if shape.abs() < 1e-9 { scale * depth } else { scale * (shape * depth).exp_m1() / shape };
    (start + excess).clamp(VALUE_MIN, 1.0)
}

/// The shape of a generalised Pareto tail (above 0 heavy, below 0 ending) from ascending
/// `excesses`, by probability-weighted moments, drawn towards 0.
fn shape(excesses: &[f64], mean: f64) -> f64 {
    let count = excesses.len() as f64;
    let weighted = excesses.iter().enumerate();
    let weighted = weighted.map(|(at, excess)| excess * (1.0 - (at as f64 + 0.65) / count));
    let gap = mean - 2.0 * weighted.sum::<f64>() / count;
    if gap <= 0.0 {
        return 0.5; // heavier than any that has a variance
    }
    let found = 2.0 - mean / gap;
    let prior = if found > 0.0 { SHAPE_PRIOR[0] } else { SHAPE_PRIOR[1] };
    (found * count / (count + prior)).clamp(-0.5, 0.5)
}

/// Periods that are drawn together at least: the cube root of their number (Hall, Horowitz & Jing 1995).
fn block_length(periods: usize) -> usize {
    (1..=periods).find(|length| length.pow(3) >= periods).unwrap_or(1)
}

/// As many scores, drawn in blocks from a circle.
fn blocks(scores: &[f64], length: usize, rng: &mut Rng) -> Vec<f64> {
    let mut drawn = Vec::with_capacity(scores.len() + length);
    while drawn.len() < scores.len() {
        let start = rng.below(scores.len());
        drawn.extend(scores.iter().cycle().skip(start).take(length));
    }
    drawn.truncate(scores.len());
    drawn
}

fn quantile(ascending: &[f64], q: f64) -> f64 {
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a position")]
    let at = (q * (ascending.len() - 1) as f64).round() as usize;
    ascending.get(at).copied().unwrap_or(FIXED)
}

impl Threshold {
    /// The score from which on there is drift.
    #[must_use]
    pub fn value(&self) -> f64 {
        match self {
            Threshold::Chosen { value }
            | Threshold::Fixed { value, .. }
            | Threshold::Calibrated { value, .. } => *value,
        }
    }

    /// Where it comes from, in a sentence for people.
    #[must_use]
    pub fn explanation(&self) -> String {
        match self {
            Threshold::Chosen { value } => format!("The threshold of {value:.3} was chosen."),
            Threshold::Fixed { value, why } => {
                format!("The threshold is the fixed {value:.1}, for {why}.")
            }
            Threshold::Calibrated {
                value,
                low,
                high,
                periods,
                period_days,
                expected_run_days,
                extrapolated,
            } => {
                let beyond = if *extrapolated {
                    ", which is longer than that history: its tail was extrapolated"
                } else {
                    ""
                };
                format!(
                    "The threshold of {value:.3} ({low:.3} to {high:.3}) comes from {periods} quiet \
                     periods of {period_days:.3} days: without change it is reached about once in \
                     {expected_run_days:.0} days{beyond}."
                )
            }
        }
    }
}
