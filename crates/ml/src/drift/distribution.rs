//! The sorted values of one numeric column, and the quantities that are read off them.

use super::ranked::Ranked;
use super::sort;
use super::{Error, Side};

/// The present values of a numeric column: distinct, ascending, with counts.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Distribution {
    /// Distinct values, ascending; never NaN, infinite or negative zero.
    pub(crate) values: Vec<f64>,
    /// Rows with a value up to and including the one at the same place.
    pub(crate) through: Vec<u32>,
    /// Rows without a value.
    pub(crate) missing: u32,
}

impl Distribution {
    /// Sorts `values`; NaN is missing. Refuses infinities and more than 2³² − 1 rows.
    pub(crate) fn of(column: &str, side: Side, values: &[f64]) -> Result<Distribution, Error> {
        if u32::try_from(values.len()).is_err() {
            return Err(Error::TooManyRows { column: column.to_owned(), side });
        }
        let mut keys = Vec::with_capacity(values.len());
        let mut infinite = false;
        for &value in values {
            infinite |= value.is_infinite();
            if !value.is_nan() {
                keys.push(sort::key(value));
            }
        }
        if infinite {
            let row = values.iter().position(|value| value.is_infinite()).unwrap_or(0);
            return Err(Error::Infinite { column: column.to_owned(), side, row });
        }
        let missing = count(values.len() - keys.len());
        sort::ascending(&mut keys);
        let through = distinct(&mut keys);
        // The keys' memory becomes the values'.
        let values = keys.into_iter().map(sort::value).collect();
        Ok(Distribution { values, through, missing })
    }

    /// Rows with a value.
    pub(crate) fn present(&self) -> u32 {
        self.through.last().copied().unwrap_or(0)
    }

    /// Rows, with a value or without.
    pub(crate) fn rows(&self) -> u64 {
        u64::from(self.present()) + u64::from(self.missing)
    }

    /// Smallest and largest value.
    pub(crate) fn range(&self) -> Option<(f64, f64)> {
        Some((*self.values.first()?, *self.values.last()?))
    }

    /// Rows whose value belongs to the first `distinct` distinct values.
    pub(crate) fn first(&self, distinct: usize) -> u32 {
        distinct.checked_sub(1).map_or(0, |last| self.through[last])
    }

    /// The value below which the share `q` of the present rows lies, interpolated linearly between
    /// ranks (Hyndman & Fan's seventh definition, numpy's default). `None` without present rows.
    pub(crate) fn quantile(&self, q: f64) -> Option<f64> {
        let position = q.clamp(0.0, 1.0) * f64::from(self.present().checked_sub(1)?);
        let floor = position.floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank between 0 and the number of rows, which is a u32"
        )]
        let rank = floor as u32;
        let low = self.through.partition_point(|through| *through <= rank);
        let high = self.through.partition_point(|through| *through <= rank.saturating_add(1));
        let low = self.values[low];
        let high = self.values.get(high).copied().unwrap_or(low);
        Some(between(low, high, position - floor))
    }

    /// Mean and population standard deviation of the present rows. Computed on values shifted and
    /// scaled to [−1, 1], so that neither overflows nor cancels.
    pub(crate) fn moments(&self) -> Option<(f64, f64)> {
        let (smallest, largest) = self.range()?;
        let middle = smallest / 2.0 + largest / 2.0;
        let half = largest / 2.0 - smallest / 2.0;
        if self.values.len() == 1 || half <= 0.0 {
            return Some((smallest, 0.0));
        }
        let rows = f64::from(self.present());
        // Not by the reciprocal, which overflows for the smallest numbers.
        let unit = |value: f64| (value - middle) / half;
        let mean = self.weighted(unit) / rows;
        let variance = self.weighted(|value| (unit(value) - mean) * (unit(value) - mean)) / rows;
        Some((middle + half * mean, half * variance.sqrt()))
    }

    /// Sum over the present rows of `f` of their value, in four parts so that one addition need
    /// not wait for the other.
    fn weighted(&self, f: impl Fn(f64) -> f64) -> f64 {
        let mut sums = [0.0; 4];
        if self.values.len() == self.present() as usize {
            for four in self.values.chunks(4) {
                for (sum, value) in sums.iter_mut().zip(four) {
                    *sum += f(*value);
                }
            }
            return sums.iter().sum();
        }
        let mut before = 0;
        for (values, through) in self.values.chunks(4).zip(self.through.chunks(4)) {
            for ((sum, value), through) in sums.iter_mut().zip(values).zip(through) {
                *sum += f64::from(through - before) * f(*value);
                before = *through;
            }
        }
        sums.iter().sum()
    }
}

impl Ranked for Distribution {
    fn present(&self) -> u64 {
        u64::from(Distribution::present(self))
    }

    fn range(&self) -> Option<(f64, f64)> {
        Distribution::range(self)
    }

    fn below(&self, limit: f64) -> u64 {
        u64::from(self.first(self.values.partition_point(|value| *value < limit)))
    }

    fn up_to(&self, limit: f64) -> u64 {
        u64::from(self.first(self.values.partition_point(|value| *value <= limit)))
    }

    fn quantile(&self, q: f64) -> Option<f64> {
        Distribution::quantile(self, q)
    }

    fn few(&self, limit: usize) -> Option<&[f64]> {
        (self.values.len() <= limit).then_some(&self.values)
    }
}

/// The value at a `share` of the way from one to the other.
pub(super) fn between(low: f64, high: f64, share: f64) -> f64 {
    let gap = high - low;
    if gap.is_infinite() {
        low * (1.0 - share) + high * share
    } else if share < 0.5 {
        low + gap * share
    } else {
        high - gap * (1.0 - share)
    }
}

/// Leaves each of the ascending `keys` once; returns how many there were up to and including each.
fn distinct(keys: &mut Vec<u64>) -> Vec<u32> {
    let mut through = vec![0; keys.len()];
    let mut kept = 0;
    for at in 0..keys.len() {
        let key = keys[at];
        keys[kept] = key;
        through[kept] = count(at + 1);
        kept += usize::from(keys.get(at + 1) != Some(&key));
    }
    keys.truncate(kept);
    through.truncate(kept);
    if kept < keys.capacity() / 2 {
        keys.shrink_to_fit();
        through.shrink_to_fit();
    }
    through
}

/// A number of rows of a column whose length was checked to fit.
pub(crate) fn count(rows: usize) -> u32 {
    u32::try_from(rows).unwrap_or(u32::MAX)
}
