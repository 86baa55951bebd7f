//! Increasing step functions by pooling adjacent violators, straight between the steps.

use serde::{Deserialize, Serialize};

use super::{Error, check};
use crate::rng::Rng;

/// An increasing function of the score: constant on blocks, straight between them, constant outside.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Isotonic {
    blocks: Vec<Block>,
}

/// Rows whose outcomes are told apart no further.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Block {
    /// Lowest score.
    pub from: f64,
    /// Highest score.
    pub to: f64,
    /// Their weight; without weights their number.
    pub weight: f64,
    /// Their mean outcome.
    pub value: f64,
}

impl Isotonic {
    /// The increasing function nearest to `outcomes` (between 0 and 1, one per score) in squared error.
    /// Errors for no rows, other lengths and values that are no numbers.
    pub fn fit(
        scores: &[f64],
        outcomes: &[f64],
        weights: Option<&[f64]>,
    ) -> Result<Isotonic, Error> {
        check(scores, outcomes, weights)?;
        let mut order = (0..scores.len()).collect::<Vec<_>>();
        order.sort_unstable_by(|a, b| scores[*a].total_cmp(&scores[*b]));
        let mut points: Vec<Block> = Vec::new();
        for row in order {
            let weight = weights.map_or(1.0, |weights| weights[row]);
            if weight <= 0.0 {
                continue;
            }
            // `+ 0.0` makes one of −0 and 0.
            let (score, value) = (scores[row] + 0.0, outcomes[row]);
            match points.last_mut() {
                // Equal scores are one point.
                Some(last) if score <= last.to => last.take(weight, value),
                _ => points.push(Block { from: score, to: score, weight, value }),
            }
        }
        Ok(Isotonic { blocks: pool(points) })
    }

    /// The value at `score`; NaN for NaN.
    #[must_use]
    pub fn apply(&self, score: f64) -> f64 {
        if score.is_nan() {
            return f64::NAN;
        }
        let after = self.blocks.partition_point(|block| block.to < score);
        match (after.checked_sub(1).map(|at| self.blocks[at]), self.blocks.get(after)) {
            (Some(left), Some(right)) if score < right.from => {
                let share = (score - left.to) / (right.from - left.to);
                left.value + share * (right.value - left.value)
            }
            (None | Some(_), Some(right)) => right.value,
            (Some(left), None) => left.value,
            (None, None) => f64::NAN,
        }
    }

    /// The steps, ascending.
    #[must_use]
    pub fn blocks(&self) -> &[Block] {
        &self.blocks
    }

    /// The function as other rows of the same kind might have shown it: every block's mean drawn anew, then
    /// pooled again. Tells how far the calibration itself can be trusted.
    #[must_use]
    pub fn redrawn(&self, rng: &mut Rng) -> Isotonic {
        let draw = |block: &Block| {
            // A block of sure outcomes is not sure of the next: half a row of each is added (Jeffreys).
            let smooth = (block.value * block.weight + 0.5) / (block.weight + 1.0);
            let error = (smooth * (1.0 - smooth) / block.weight.max(1.0)).sqrt();
            let value = (block.value + error * rng.normal()).clamp(0.0, 1.0);
            Block { value, ..*block }
        };
        Isotonic { blocks: pool(self.blocks.iter().map(draw).collect()) }
    }
}

impl Block {
    fn take(&mut self, weight: f64, value: f64) {
        let total = self.weight + weight;
        self.value += (value - self.value) * weight / total;
        self.weight = total;
    }
}

/// Neighbours that fall are joined until none does; equal ones are joined as well.
fn pool(points: Vec<Block>) -> Vec<Block> {
    let mut blocks: Vec<Block> = Vec::with_capacity(points.len().min(1_024));
    for mut point in points {
        while let Some(last) = blocks.pop_if(|last| last.value >= point.value) {
            let (to, weight, value) = (point.to, point.weight, point.value);
            point = last;
            point.take(weight, value);
            point.to = to;
        }
        blocks.push(point);
    }
    blocks
}
