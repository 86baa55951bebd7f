//! Loss of a stream of rows against the holdout's: an anytime-valid e-process, with a CUSUM beside it.
//!
//! The e-process may be looked at after every row, for ever: the chance that it ever alarms while the mean
//! loss stays at or below the tolerated one is at most alpha, the baseline's own sampling error included.
//! It bets against "each row's expected loss, given the past, is at most the tolerated mean".

mod bettor;

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal, StudentsT};

use super::{Decay, SIGNIFICANCE, Test, percent};
use crate::metrics::Task;
use crate::metrics::loss::LOG_LOSS_MAX;
use bettor::{Bettor, window_of};

/// The range into which every loss is clipped, the baseline's as well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clip {
    /// Smallest loss.
    pub low: f64,
    /// Largest loss.
    pub high: f64,
}

/// Clipped losses of the rows that the champion was judged on.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// Mean loss.
    pub mean: f64,
    /// Sample standard deviation of a row's loss.
    pub standard_deviation: f64,
    /// Rows.
    pub rows: u64,
}

/// How careful the watch is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Chance of ever alarming without cause.
    pub alpha: f64,
    /// Part of `alpha` that pays for the baseline's sampling error; the rest pays for the stream.
    pub alpha_share_baseline: f64,
    /// Range of a loss.
    pub clip: Clip,
    /// Rise of the mean loss that is tolerated, as a share of the baseline's mean: ordinary swings of the
    /// base rate from week to week are no decay.
    pub effect_min: f64,
    /// Allowance of the CUSUM per row, in baseline standard deviations.
    pub cusum_k: f64,
    /// Alarm level of the CUSUM, in baseline standard deviations.
    pub cusum_h: f64,
}

/// The watch over one champion; its saved form continues bit for bit. Begin anew with a new champion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SequentialDecay {
    baseline: Baseline,
    parameters: Parameters,
    /// Largest mean loss that counts as none of decay.
    tolerated: f64,
    bettors: Vec<Bettor>,
    e_value_max: f64,
    cusum: f64,
    recent: Recent,
    rows: u64,
    sum: f64,
    detected_at: Option<u64>,
    cusum_detected_at: Option<u64>,
}

/// What a watch has to say now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sequential {
    /// Losses seen.
    pub rows: u64,
    /// Mean of all of them.
    pub mean: f64,
    /// Mean of the newest, weighted exponentially.
    pub recent_mean: f64,
    /// Standard deviation of the newest.
    pub recent_standard_deviation: f64,
    /// Rows that "the newest" reach back over, about.
    pub recent_rows: f64,
    /// `recent_mean` − the baseline's mean.
    pub excess: f64,
    /// `excess` in percent of the baseline's mean; 0 where that is not above 0.
    pub excess_percent: f64,
    /// Rise of the mean loss that counts as none: the baseline's margin of error and `effect_min`.
    pub threshold: f64,
    /// Page's sum, in baseline standard deviations.
    pub cusum: f64,
    /// Evidence now, the baseline's part of alpha already deducted; the alarm goes off at 1 / alpha.
    pub e_value: f64,
    /// Anytime-valid: one over the largest e-value so far.
    pub p_value: f64,
    /// The CUSUM has reached its level, now or earlier. A hint: nothing bounds its false alarms for ever.
    pub detected_by_cusum: bool,
    /// The e-process has reached 1 / alpha, now or earlier.
    pub detected: bool,
    /// Losses seen when it first did.
    pub detected_at: Option<u64>,
}

/// Why a watch cannot begin or a loss cannot be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A parameter outside its range.
    #[error("{name} is {value}: write {instead}")]
    Parameter {
        /// Which.
        name: &'static str,
        /// Its value.
        value: f64,
        /// What may be written.
        instead: &'static str,
    },
    /// A baseline of fewer than two rows.
    #[error("the baseline has {0} rows: it needs at least 2")]
    TooFewRows(u64),
    /// A loss is NaN.
    #[error("loss {position} is not a number: leave rows without label or prediction out")]
    NotANumber {
        /// Position from 0 in what was handed over.
        position: usize,
    },
    /// The tolerated mean reaches the end of the range: no loss could ever show decay.
    #[error(
        "the tolerated mean loss {tolerated} reaches the upper clip {high}: raise the clip, or judge the \
         baseline on more rows"
    )]
    NoRoom {
        /// Baseline, margin and minimum effect.
        tolerated: f64,
        /// Upper end of the range.
        high: f64,
    },
}

/// Exponentially weighted sums of the newest losses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Recent {
    window: f64,
    weight: f64,
    sum: f64,
    squares: f64,
}

impl Clip {
    /// Holds every log loss whose probability was clipped at 1e-6.
    pub const LOG_LOSS: Clip = Clip { low: 0.0, high: LOG_LOSS_MAX };

    /// The range for row losses of `task`: [`Clip::LOG_LOSS`]; for squared errors up to 25 times the
    /// baseline's mean, that is five times its root. Baseline and stream are clipped alike, so that the
    /// comparison stays fair.
    #[must_use]
    pub fn for_task(task: Task, baseline_losses: &[f64]) -> Clip {
        match task {
            Task::Binary | Task::Multiclass { .. } => Clip::LOG_LOSS,
            Task::Regression => {
                let rows = baseline_losses.len().max(1) as f64;
                let mean = baseline_losses.iter().sum::<f64>() / rows;
                let usable = mean.is_finite() && mean > 0.0;
                Clip { low: 0.0, high: if usable { 25.0 * mean } else { 1.0 } }
            }
        }
    }
}

impl Baseline {
    /// Mean and spread of `losses` within `clip`. Errors below two losses and for NaN.
    pub fn from_losses(losses: &[f64], clip: Clip) -> Result<Baseline, Error> {
        clip.check()?;
        if losses.len() < 2 {
            return Err(Error::TooFewRows(losses.len() as u64));
        }
        check(losses)?;
        let rows = losses.len() as f64;
        let clipped = || losses.iter().map(|loss| loss.clamp(clip.low, clip.high));
        let mean = clipped().sum::<f64>() / rows;
        let squares = clipped().map(|loss| (loss - mean) * (loss - mean)).sum::<f64>();
        let standard_deviation = (squares / (rows - 1.0)).sqrt();
        Ok(Baseline { mean, standard_deviation, rows: losses.len() as u64 })
    }
}

impl Default for Parameters {
    /// Alpha 0.01, half of it for the baseline; log loss; 10 % tolerated; `k` 0.1 and `h` 50, which for
    /// normal losses alarms without cause once in a million rows (Siegmund's approximation) and finds a
    /// rise of 0.2 standard deviations after about 500.
    fn default() -> Parameters {
        Parameters {
            alpha: 0.01,
            alpha_share_baseline: 0.5,
            clip: Clip::LOG_LOSS,
            effect_min: 0.1,
            cusum_k: 0.1,
            cusum_h: 50.0,
        }
    }
}

impl SequentialDecay {
    /// A watch that has seen nothing. The tolerated mean is `baseline.mean` + a Student quantile of its
    /// standard error + `effect_min · baseline.mean`.
    pub fn new(baseline: Baseline, parameters: Parameters) -> Result<SequentialDecay, Error> {
        parameters.check()?;
        baseline.check()?;
        let Clip { low, high } = parameters.clip;
        let (range, rows) = (high - low, baseline.rows as f64);
        let error = baseline.standard_deviation / rows.sqrt();
        let risk = parameters.alpha * parameters.alpha_share_baseline;
        let quantile = student_quantile(1.0 - risk, rows - 1.0);
        let tolerated =
            baseline.mean + quantile * error + parameters.effect_min * baseline.mean.abs();
        let tolerated = tolerated.max(low + 1e-6 * range);
        if tolerated >= high {
            return Err(Error::NoRoom { tolerated, high });
        }
        let spread = baseline.standard_deviation.max(1e-6 * range);
        let window = window_of((tolerated - baseline.mean) / spread);
        let bettors = Bettor::team(
            window,
            (tolerated - low) / range,
            (baseline.mean - low) / range,
            spread / range,
        );
        Ok(SequentialDecay {
            baseline,
            parameters,
            tolerated,
            bettors,
            e_value_max: 0.0,
            cusum: 0.0,
            recent: Recent { window: 4.0 * window, ..Recent::default() },
            rows: 0,
            sum: 0.0,
            detected_at: None,
            cusum_detected_at: None,
        })
    }

    /// Takes the loss of one row, in the order in which labels became available. An infinite loss counts
    /// as the upper clip; NaN is refused and changes nothing.
    pub fn update(&mut self, loss: f64) -> Result<(), Error> {
        self.update_many(&[loss])
    }

    /// Takes the losses of many rows in order: exactly as one by one. With a NaN among them nothing is
    /// taken.
    pub fn update_many(&mut self, losses: &[f64]) -> Result<(), Error> {
        check(losses)?;
        for loss in losses {
            self.take(*loss);
        }
        Ok(())
    }

    /// What the losses so far say.
    #[must_use]
    pub fn state(&self) -> Sequential {
        let rows = self.rows as f64;
        let (mean, recent_mean, deviation) = if self.rows == 0 {
            (self.baseline.mean, self.baseline.mean, self.baseline.standard_deviation)
        } else {
            let mean = self.recent.sum / self.recent.weight;
            let variance = self.recent.squares / self.recent.weight - mean * mean;
            (self.sum / rows, mean + self.baseline.mean, variance.max(0.0).sqrt())
        };
        let excess = recent_mean - self.baseline.mean;
        Sequential {
            rows: self.rows,
            mean,
            recent_mean,
            recent_standard_deviation: deviation,
            recent_rows: self.recent.window.min(rows),
            excess,
            excess_percent: percent(excess, self.baseline.mean),
            threshold: self.tolerated - self.baseline.mean,
            cusum: self.cusum,
            e_value: self.e_value(),
            p_value: if self.e_value_max > 1.0 { 1.0 / self.e_value_max } else { 1.0 },
            detected_by_cusum: self.cusum_detected_at.is_some(),
            detected: self.detected_at.is_some(),
            detected_at: self.detected_at,
        }
    }

    /// What the stream is held against.
    #[must_use]
    pub fn baseline(&self) -> Baseline {
        self.baseline
    }

    /// How careful the watch is.
    #[must_use]
    pub fn parameters(&self) -> Parameters {
        self.parameters
    }

    fn take(&mut self, loss: f64) {
        let Clip { low, high } = self.parameters.clip;
        let loss = loss.clamp(low, high);
        self.rows += 1;
        self.sum += loss;
        self.recent.take(loss - self.baseline.mean);

        let surprise = (loss - self.tolerated) / (high - low);
        for bettor in &mut self.bettors {
            bettor.take(surprise, self.rows as f64);
        }
        let e_value = self.e_value();
        self.e_value_max = self.e_value_max.max(e_value);
        if e_value >= 1.0 / self.parameters.alpha && self.detected_at.is_none() {
            self.detected_at = Some(self.rows);
        }

        // Page, *Continuous inspection schemes*, Biometrika 41 (1954).
        let spread = self.baseline.standard_deviation.max(1e-6 * (high - low));
        let step = (loss - self.baseline.mean) / spread - self.parameters.cusum_k;
        self.cusum = (self.cusum + step).max(0.0);
        if self.cusum >= self.parameters.cusum_h && self.cusum_detected_at.is_none() {
            self.cusum_detected_at = Some(self.rows);
        }
    }

    /// The team's capital, less what the baseline's error costs: alarming when this reaches 1 / alpha is
    /// alarming when the capital reaches 1 / (alpha · (1 − share)), and both errors add up to alpha.
    fn e_value(&self) -> f64 {
        let capital = self.bettors.iter().map(Bettor::capital).sum::<f64>();
        capital * (1.0 - self.parameters.alpha_share_baseline)
    }
}

impl Sequential {
    /// The same in the words of a decay report; `threshold` is the tolerated rise, `std` and `current`
    /// those of the newest rows.
    #[must_use]
    pub fn to_decay(&self, metric: &str, window: &str, unlabelled: usize) -> Decay {
        Decay {
            metric: metric.to_owned(),
            window: window.to_owned(),
            current: self.recent_mean,
            baseline: self.recent_mean - self.excess,
            drop: self.excess,
            drop_percent: self.excess_percent,
            std: self.recent_standard_deviation,
            p_value: self.p_value,
            p_adjusted: self.p_value,
            significant: self.p_value < SIGNIFICANCE,
            detected: self.detected,
            threshold: self.threshold,
            unlabelled,
            test: Test::Sequential,
            values: usize::try_from(self.rows).unwrap_or(usize::MAX),
            undefined: 0,
        }
    }
}

impl Recent {
    fn take(&mut self, value: f64) {
        let keep = 1.0 - 1.0 / self.window;
        self.weight = keep * self.weight + 1.0;
        self.sum = keep * self.sum + value;
        self.squares = keep * self.squares + value * value;
    }
}

impl Parameters {
    fn check(&self) -> Result<(), Error> {
        self.clip.check()?;
        let open = |value: f64, to: f64| value > 0.0 && value < to;
        let not_negative = |value: f64| value.is_finite() && value >= 0.0;
        let wrong = |name, value, instead| Err(Error::Parameter { name, value, instead });
        if !open(self.alpha, 0.5) {
            return wrong("alpha", self.alpha, "a number above 0 and below 0.5");
        }
        if !open(self.alpha_share_baseline, 1.0) {
            let share = self.alpha_share_baseline;
            return wrong("alpha_share_baseline", share, "a number above 0 and below 1");
        }
        if !not_negative(self.effect_min) {
            return wrong("effect_min", self.effect_min, "0 or a positive share such as 0.1");
        }
        if !not_negative(self.cusum_k) {
            return wrong("cusum_k", self.cusum_k, "0 or a positive number such as 0.1");
        }
        if !open(self.cusum_h, f64::INFINITY) {
            return wrong("cusum_h", self.cusum_h, "a positive number such as 50");
        }
        Ok(())
    }
}

impl Clip {
    fn check(self) -> Result<(), Error> {
        if !self.low.is_finite() {
            let (name, value) = ("the lower clip", self.low);
            return Err(Error::Parameter { name, value, instead: "a finite number" });
        }
        if !(self.high.is_finite() && self.high > self.low) {
            let (name, value) = ("the upper clip", self.high);
            return Err(Error::Parameter { name, value, instead: "a number above the lower clip" });
        }
        Ok(())
    }
}

impl Baseline {
    fn check(&self) -> Result<(), Error> {
        if self.rows < 2 {
            return Err(Error::TooFewRows(self.rows));
        }
        if !self.mean.is_finite() {
            let (name, value) = ("the baseline's mean", self.mean);
            return Err(Error::Parameter { name, value, instead: "a finite number" });
        }
        if !(self.standard_deviation.is_finite() && self.standard_deviation >= 0.0) {
            let (name, value) = ("the baseline's standard deviation", self.standard_deviation);
            return Err(Error::Parameter { name, value, instead: "0 or a positive number" });
        }
        Ok(())
    }
}

/// Student's quantile: for 100 degrees of freedom and more by the expansion of Abramowitz & Stegun 26.7.5, where
/// its error is below 1e-6 and the search for the inverse is slow or does not end.
fn student_quantile(probability: f64, freedom: f64) -> f64 {
    if freedom < 100.0 {
        return StudentsT::new(0.0, 1.0, freedom)
            .map_or(f64::INFINITY, |student| student.inverse_cdf(probability));
    }
    let z = Normal::standard().inverse_cdf(probability);
    let (square, odd) = (z * z, |polynomial: f64| z * polynomial / freedom);
    let first = odd((square + 1.0) / 4.0);
    let second = odd(((5.0 * square + 16.0) * square + 3.0) / 96.0) / freedom;
    let third = odd((((3.0 * square + 19.0) * square + 17.0) * square - 15.0) / 384.0)
        / (freedom * freedom);
    z + first + second + third
}

fn check(losses: &[f64]) -> Result<(), Error> {
    match losses.iter().position(|loss| loss.is_nan()) {
        None => Ok(()),
        Some(position) => Err(Error::NotANumber { position }),
    }
}

#[cfg(test)]
mod tests;
