//! Mean and variance of numbers taken a chunk at a time, merged without loss of precision.

use serde::{Deserialize, Serialize};

/// Counts, means and sums of squares, merged after Chan, Golub & LeVeque, *Updating formulae and a
/// pairwise algorithm for computing sample variances*, 1979.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(super) struct Moments {
    count: u64,
    mean: f64,
    /// Sum of squared distances from the mean.
    squares: f64,
    /// Numbers so large that their squares cannot be summed came by.
    #[serde(default)]
    overflowed: bool,
}

impl Moments {
    /// The moments of `count` numbers from their sums of `value − shift` and of its square.
    pub(super) fn of(count: u64, shift: f64, sum: f64, squares: f64) -> Moments {
        if count == 0 {
            return Moments::default();
        }
        let mean = sum / count as f64;
        let around = (squares - sum * mean).max(0.0);
        let found = Moments { count, mean: shift + mean, squares: around, overflowed: false };
        found.checked()
    }

    pub(super) fn merge(&mut self, other: &Moments) {
        if self.count == 0 {
            *self = *other;
            return;
        }
        if other.count == 0 {
            return;
        }
        let (mine, theirs) = (self.count as f64, other.count as f64);
        let gap = other.mean - self.mean;
        let count = mine + theirs;
        *self = Moments {
            count: self.count + other.count,
            mean: self.mean + gap * (theirs / count),
            squares: self.squares + other.squares + gap * gap * (mine * theirs / count),
            overflowed: self.overflowed || other.overflowed,
        }
        .checked();
    }

    /// A number near the middle, to subtract before summing.
    pub(super) fn centre(&self) -> Option<f64> {
        (self.count > 0 && !self.overflowed).then_some(self.mean)
    }

    /// `None` without numbers, and where they are too large.
    pub(super) fn mean_and_deviation(&self) -> Option<(f64, f64)> {
        let known = self.count > 0 && !self.overflowed;
        known.then(|| (self.mean, (self.squares / self.count as f64).sqrt()))
    }

    /// Without infinities, which no JSON can hold.
    fn checked(self) -> Moments {
        if self.mean.is_finite() && self.squares.is_finite() && !self.overflowed {
            return self;
        }
        Moments { count: self.count, mean: 0.0, squares: 0.0, overflowed: true }
    }
}
