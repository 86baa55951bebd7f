//! Turns scores into probabilities that come true, from rows whose labels are known.
//!
//! Isotonic: the best increasing step function (Zadrozny & Elkan, *Transforming classifier scores into
//! accurate multiclass probability estimates*, KDD 2002). Platt: a logistic curve of the score.

mod isotonic;
mod platt;

pub use isotonic::{Block, Isotonic};
pub use platt::Platt;

/// Folds by which [`pays`] looks at rows that a calibrator has not seen.
const FOLDS: usize = 10;

/// Why scores cannot be calibrated.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There is nothing to learn from.
    #[error("there are no rows to calibrate on")]
    NoRows,
    /// Scores, outcomes or weights of different length.
    #[error("{scores} scores need as many {what}, but there are {found}")]
    Shape {
        /// Number of scores.
        scores: usize,
        /// What has the wrong length.
        what: &'static str,
        /// The length it has.
        found: usize,
    },
    /// NaN, an infinity, or an outcome or weight out of its range.
    #[error("{what} of row {row} is {value}: leave such rows out before calibrating")]
    Value {
        /// Score, outcome or weight.
        what: &'static str,
        /// Position from 0.
        row: usize,
        /// What stands there.
        value: f64,
    },
    /// Nothing distinguishes rows that come true from rows that do not.
    #[error("all rows to calibrate on have the same outcome: rows of both are needed")]
    OneOutcome,
}

/// Whether isotonic calibration brings probabilities nearer to what comes true on rows that it was not
/// fitted on: their mean squared error over ten interleaved folds falls. (Binned calibration errors, which
/// NannyML compares, nearly always fall: over all folds together, each bin's own luck is corrected.) `false`
/// below 20 rows, where one outcome never occurs, or where no calibrator can be fitted.
#[must_use]
pub fn pays(scores: &[f64], outcomes: &[f64]) -> bool {
    let rows = scores.len();
    if rows < 2 * FOLDS || rows != outcomes.len() {
        return false;
    }
    let positives = outcomes.iter().filter(|outcome| **outcome > 0.5).count();
    if positives == 0 || positives == rows {
        return false;
    }
    let mut calibrated = vec![0.0; rows];
    let mut part = (Vec::with_capacity(rows), Vec::with_capacity(rows));
    for fold in 0..FOLDS {
        part.0.clear();
        part.1.clear();
        for row in (0..rows).filter(|row| row % FOLDS != fold) {
            part.0.push(scores[row]);
            part.1.push(outcomes[row]);
        }
        let Ok(isotonic) = Isotonic::fit(&part.0, &part.1, None) else { return false };
        for row in (fold..rows).step_by(FOLDS) {
            calibrated[row] = isotonic.apply(scores[row]);
        }
    }
    error(&calibrated, outcomes) < error(scores, outcomes)
}

/// Mean squared error of probabilities.
fn error(probabilities: &[f64], outcomes: &[f64]) -> f64 {
    let errors =
        probabilities.iter().zip(outcomes).map(|(p, outcome)| (p - outcome) * (p - outcome));
    errors.sum::<f64>() / outcomes.len().max(1) as f64
}

/// Checks scores, outcomes (between 0 and 1) and weights (not negative, some above 0).
fn check(scores: &[f64], outcomes: &[f64], weights: Option<&[f64]>) -> Result<(), Error> {
    let rows = scores.len();
    if rows == 0 {
        return Err(Error::NoRows);
    }
    for (what, values) in [("outcomes", Some(outcomes)), ("weights", weights)] {
        let found = values.map_or(rows, <[f64]>::len);
        if found != rows {
            return Err(Error::Shape { scores: rows, what, found });
        }
    }
    let wrong = |what, values: &[f64], right: fn(f64) -> bool| {
        let row = values.iter().position(|value| !right(*value));
        row.map_or(Ok(()), |row| Err(Error::Value { what, row, value: values[row] }))
    };
    wrong("the score", scores, f64::is_finite)?;
    wrong("the outcome", outcomes, |value| (0.0..=1.0).contains(&value))?;
    if let Some(weights) = weights {
        wrong("the weight", weights, |value| value.is_finite() && value >= 0.0)?;
        if weights.iter().all(|weight| *weight <= 0.0) {
            return Err(Error::NoRows);
        }
    }
    Ok(())
}

#[cfg(test)]
pub(crate) mod tests;
