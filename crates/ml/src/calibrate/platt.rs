//! A logistic curve of the score.
//!
//! Platt, *Probabilistic outputs for support vector machines*, 1999, with its smoothed targets; found by Newton's
//! method with step halving (Lin, Lin & Weng, *A note on Platt's probabilistic outputs*, Machine Learning 68, 2007).

use serde::{Deserialize, Serialize};

use super::{Error, check};

/// Steps at most; ten are usual.
const STEPS_MAX: usize = 100;
/// A gradient below this, per row, is none.
const GRADIENT_MIN: f64 = 1e-15;
/// A step below this is the last.
const STEP_MIN: f64 = 1e-12;

/// `1 / (1 + exp(a · score + b))`; `a` is negative where high scores come true.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Platt {
    /// Slope.
    pub a: f64,
    /// Shift.
    pub b: f64,
}

impl Platt {
    /// The curve under which `outcomes` (0 or 1, one per score) are likeliest. Errors for no rows, one outcome
    /// only, other lengths and values that are no numbers.
    pub fn fit(scores: &[f64], outcomes: &[f64]) -> Result<Platt, Error> {
        check(scores, outcomes, None)?;
        let rows = scores.len() as f64;
        let positives = outcomes.iter().filter(|outcome| **outcome > 0.5).count() as f64;
        if positives < 1.0 || rows - positives < 1.0 {
            return Err(Error::OneOutcome);
        }
        let (high, low) = ((positives + 1.0) / (positives + 2.0), 1.0 / (rows - positives + 2.0));
        let target = |outcome: f64| if outcome > 0.5 { high } else { low };
        // Newton's steps are the same in any unit; the scores' own keeps the sums well conditioned.
        let mean = scores.iter().sum::<f64>() / rows;
        let spread = scores.iter().map(|s| (s - mean) * (s - mean)).sum::<f64>() / rows;
        let unit = if spread > 0.0 { spread.sqrt() } else { 1.0 };
        let points =
            || scores.iter().zip(outcomes).map(|(score, y)| ((score - mean) / unit, target(*y)));
        let loss = |a: f64, b: f64| {
            points().map(|(x, t)| softplus(a * x + b) - (1.0 - t) * (a * x + b)).sum::<f64>()
        };
        let (mut a, mut b) = (0.0, ((rows - positives + 1.0) / (positives + 1.0)).ln());
        let mut now = loss(a, b);
        for _ in 0..STEPS_MAX {
            let (mut g, mut h) = ([0.0; 2], [1e-12, 0.0, 1e-12]);
            for (x, t) in points() {
                let p = logistic(-(a * x + b));
                let (residual, weight) = (t - p, p * (1.0 - p));
                g[0] += residual * x;
                g[1] += residual;
                h[0] += weight * x * x;
                h[1] += weight * x;
                h[2] += weight;
            }
            if g[0].abs().max(g[1].abs()) < GRADIENT_MIN * rows {
                break;
            }
            let determinant = h[0] * h[2] - h[1] * h[1];
            let step_a = -(h[2] * g[0] - h[1] * g[1]) / determinant;
            let step_b = -(h[0] * g[1] - h[1] * g[0]) / determinant;
            let slope = g[0] * step_a + g[1] * step_b;
            let mut size = 1.0;
            let (was_a, was_b, was) = (a, b, now);
            while size > 1e-10 {
                (a, b) = (was_a + size * step_a, was_b + size * step_b);
                now = loss(a, b);
                // Close to the end, rounding hides what is gained.
                if now < was + 1e-4 * size * slope + 1e-13 * was {
                    break;
                }
                size /= 2.0;
            }
            if size <= 1e-10 || step_a.abs().max(step_b.abs()) < STEP_MIN {
                break;
            }
        }
        Ok(Platt { a: a / unit, b: b - a * mean / unit })
    }

    /// The probability at `score`.
    #[must_use]
    pub fn apply(&self, score: f64) -> f64 {
        logistic(-(self.a * score + self.b))
    }
}

fn logistic(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// `ln(1 + exp(x))` without overflow.
fn softplus(x: f64) -> f64 {
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}
