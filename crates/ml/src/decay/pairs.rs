//! One loss per pair for the area under the ROC curve, so that it can be followed row by row.
//!
//! The area is the chance that a positive ranks above a negative. Rows of one class wait until one of the other
//! comes; the share of them that it is ranked wrongly against is one loss. Each row is used once and when a loss
//! falls due depends on classes alone, so its expectation, whatever came before, is 1 − area.

use serde::{Deserialize, Serialize};

/// Rows that wait at most; later ones of the same run are not needed to stay unbiased.
const WAITING_MAX: usize = 256;

/// Rows that wait for one of the other class.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Pairs {
    waiting: Vec<f64>,
    positive: bool,
}

impl Pairs {
    /// Takes a row; gives a loss between 0 and 1 where it closes a run of the other class.
    pub(super) fn take(&mut self, positive: bool, score: f64) -> Option<f64> {
        if self.waiting.is_empty() || self.positive == positive {
            self.positive = positive;
            if self.waiting.len() < WAITING_MAX {
                self.waiting.push(score);
            }
            return None;
        }
        let wrong = |other: &f64| {
            // `other` is a negative where the row is positive: it should be lower.
            let (above, below) = if positive { (score, *other) } else { (*other, score) };
            if above > below {
                0.0
            } else if above < below {
                1.0
            } else {
                0.5
            }
        };
        let sum = self.waiting.iter().map(wrong).sum::<f64>();
        let loss = sum / self.waiting.len() as f64;
        self.waiting.clear();
        Some(loss)
    }

    /// The losses of many rows in order.
    pub(super) fn take_many(&mut self, labels: &[f64], scores: &[f64]) -> Vec<f64> {
        let rows = labels.iter().zip(scores);
        rows.filter_map(|(label, score)| self.take(*label > 0.5, *score)).collect()
    }
}
