//! From which score on rows count as drifted, and where that number comes from.

use serde_json::{Value, json};

/// Without history the threshold is this; scores mean the same whatever the data.
pub(super) const FIXED: f64 = 0.3;

/// A threshold and its origin.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Threshold {
    pub(super) score: f64,
    pub(super) source: Source,
}

/// Where a threshold comes from.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Source {
    /// `--threshold`.
    Given,
    /// The configuration of a model.
    Configured(String),
    /// The constant, and why no better one was found.
    Fixed(String),
}

/// Reads a score between 0 and 1.
pub(super) fn score(text: &str) -> Result<f64, String> {
    let score = text.trim().parse::<f64>().ok().filter(|score| (0.0..=1.0).contains(score));
    score.ok_or_else(|| "write a score between 0 and 1, such as `0.3`".to_owned())
}

impl Threshold {
    pub(super) fn fixed(why: &str) -> Threshold {
        Threshold { score: FIXED, source: Source::Fixed(why.to_owned()) }
    }

    /// For people, in a sentence.
    pub(super) fn told(&self) -> String {
        match &self.source {
            Source::Given => format!("The threshold of {:.3} was given.", self.score),
            Source::Configured(model) => {
                format!("The threshold of {:.3} is that of {model}'s configuration.", self.score)
            }
            Source::Fixed(why) => {
                format!("The threshold is the fixed {:.1}, for {why}.", self.score)
            }
        }
    }

    /// For scripts: what it is.
    pub(super) fn json(&self) -> Value {
        let kind = match &self.source {
            Source::Given => "given",
            Source::Configured(_) => "configured",
            Source::Fixed(_) => "fixed",
        };
        json!({"kind": kind, "explanation": self.told()})
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_lie_between_zero_and_one() {
        assert_eq!((score("0.3"), score(" 1 ")), (Ok(0.3), Ok(1.0)));
        for wrong in ["", "x", "1.1", "-0.1", "NaN", "inf"] {
            assert!(score(wrong).is_err(), "{wrong}");
        }
    }
}
