//! The values of one numeric window put into buckets of rising values: ordered as far as the measures
//! need it, which costs a fraction of a sort.

use std::ops::Range;

use super::ranked::{Ranked, half_width};
use super::sort;
use super::{Error, Side, distribution::count};

/// Buckets of values; one more holds what is missing. So many that windows of a million rows leave
/// few buckets to be sorted, and so few that where they are filled stays in the second-level cache.
pub(super) const BUCKETS: usize = 32_768;

/// Values on which the better of two ways into buckets is chosen.
const SAMPLE: usize = 2_048;

/// Distinct values that are listed at most.
const FEW: usize = 64;

/// The bucket of what is missing.
#[expect(clippy::cast_possible_truncation, reason = "32,768 fits")]
const MISSING: u16 = BUCKETS as u16;

/// Adding it leaves a number below 2³² rounded in the lowest bits.
const ROUNDING: f64 = 4_503_599_627_370_496.0;

/// A window in buckets: each value of a bucket is below every one of the next.
#[derive(Debug, Default)]
pub(super) struct Partition {
    /// The present values, bucket after bucket, in each in no order; no negative zero.
    values: Vec<f64>,
    /// Where each bucket starts, and the end.
    starts: Vec<u32>,
    /// Bucket of each row.
    buckets: Vec<u16>,
    missing: u32,
    way: Way,
    extent: Extent,
    /// The distinct values, where they are few.
    few: Option<Vec<f64>>,
}

/// How a value finds its bucket; never downwards where values rise.
#[derive(Clone, Copy, Debug, Default)]
enum Way {
    /// One bucket for all.
    #[default]
    Single,
    /// Buckets of equal width.
    Linear { low: f64, scale: f64 },
    /// Buckets of equal numbers of floating-point numbers, which widen with the values.
    Keys { low: u64, shift: u32 },
}

/// Smallest and largest value, and rows without one.
#[derive(Clone, Copy, Debug)]
struct Extent {
    low: f64,
    high: f64,
    missing: usize,
}

impl Default for Extent {
    fn default() -> Extent {
        Extent { low: f64::INFINITY, high: f64::NEG_INFINITY, missing: 0 }
    }
}

/// Puts both windows into the same buckets, using the memory of `sides` again. Refuses infinities and
/// more than 2³² − 1 rows.
pub(super) fn both(
    column: &str,
    windows: [&[f64]; 2],
    sides: &mut [Partition; 2],
) -> Result<(), Error> {
    for (values, side) in windows.into_iter().zip([Side::Reference, Side::Current]) {
        if u32::try_from(values.len()).is_err() {
            return Err(Error::TooManyRows { column: column.to_owned(), side });
        }
    }
    let extents = windows.map(extent);
    for ((extent, values), side) in
        extents.iter().zip(windows).zip([Side::Reference, Side::Current])
    {
        if let Some(row) = (extent.low == f64::NEG_INFINITY || extent.high == f64::INFINITY)
            .then(|| values.iter().position(|value| value.is_infinite()))
            .flatten()
        {
            return Err(Error::Infinite { column: column.to_owned(), side, row });
        }
    }
    let low = extents[0].low.min(extents[1].low);
    let high = extents[0].high.max(extents[1].high);
    let way = best_way(windows, low, high);
    for ((side, values), extent) in sides.iter_mut().zip(windows).zip(extents) {
        side.fill(values, extent, way);
    }
    Ok(())
}

/// In four lanes, so that one comparison need not wait for the other.
fn extent(values: &[f64]) -> Extent {
    let (mut low, mut high) = ([f64::INFINITY; 4], [f64::NEG_INFINITY; 4]);
    let mut missing = [0_u32; 4];
    for four in values.chunks(4) {
        for (lane, &value) in four.iter().enumerate() {
            low[lane] = if value < low[lane] { value } else { low[lane] };
            high[lane] = if value > high[lane] { value } else { high[lane] };
            missing[lane] += u32::from(value.is_nan());
        }
    }
    Extent {
        low: low.into_iter().fold(f64::INFINITY, f64::min),
        high: high.into_iter().fold(f64::NEG_INFINITY, f64::max),
        missing: missing.into_iter().map(|rows| rows as usize).sum(),
    }
}

/// The way whose buckets hold the more even shares of some of the values.
fn best_way(windows: [&[f64]; 2], low: f64, high: f64) -> Way {
    if low >= high {
        return Way::Single;
    }
    let (first, last) = (sort::key(low), sort::key(high));
    let bits = u64::BITS - (last - first).leading_zeros();
    let keys = Way::Keys { low: first, shift: bits.saturating_sub(BUCKETS.ilog2()) };
    let scale = (BUCKETS - 1) as f64 / (high - low);
    let linear = Way::Linear { low, scale };
    if !(scale.is_finite() && scale > 0.0) {
        return keys;
    }
    let crowding = |way: Way| {
        let mut counts = vec![0_u64; BUCKETS];
        for values in windows {
            let step = values.len().div_ceil(SAMPLE).max(1);
            let some = values.iter().step_by(step).filter(|value| !value.is_nan());
            some.for_each(|value| counts[way.bucket(*value)] += 1);
        }
        counts.iter().map(|count| count * count).sum::<u64>()
    };
    if crowding(keys) < crowding(linear) { keys } else { linear }
}

impl Way {
    fn bucket(self, value: f64) -> usize {
        match self {
            Way::Single => 0,
            Way::Linear { low, scale } => linear_bucket(value, low, scale),
            Way::Keys { low, shift } => key_bucket(value, low, shift),
        }
    }
}

#[expect(clippy::cast_possible_truncation, reason = "the lowest bits are wanted")]
fn linear_bucket(value: f64, low: f64, scale: f64) -> usize {
    ((value - low) * scale + ROUNDING).to_bits() as usize & (BUCKETS - 1)
}

#[expect(clippy::cast_possible_truncation, reason = "shifted to fifteen bits")]
fn key_bucket(value: f64, low: u64, shift: u32) -> usize {
    (sort::key(value).wrapping_sub(low) >> shift) as usize & (BUCKETS - 1)
}

impl Partition {
    fn fill(&mut self, values: &[f64], extent: Extent, way: Way) {
        (self.way, self.extent, self.missing) = (way, extent, count(extent.missing));
        match way {
            Way::Single => self.scatter(values, |_| 0),
            Way::Linear { low, scale } => {
                self.scatter(values, |value| linear_bucket(value, low, scale));
            }
            Way::Keys { low, shift } => self.scatter(values, |value| key_bucket(value, low, shift)),
        }
        self.values.truncate(values.len() - extent.missing);
        self.few = self.few_distinct();
    }

    /// Counts, then moves every value to its bucket.
    #[expect(clippy::cast_possible_truncation, reason = "a bucket")]
    fn scatter(&mut self, values: &[f64], bucket: impl Fn(f64) -> usize) {
        self.buckets.clear();
        self.buckets.extend(values.iter().map(|&value| {
            let found = bucket(value) as u16;
            if value.is_nan() { MISSING } else { found }
        }));
        // Two counts, so that equal neighbours need not wait for each other.
        let (mut places, mut others) = (vec![0_u32; BUCKETS + 1], vec![0_u32; BUCKETS + 1]);
        for pair in self.buckets.chunks(2) {
            for (counts, bucket) in [&mut places, &mut others].into_iter().zip(pair) {
                counts[usize::from(*bucket)] += 1;
            }
        }
        let mut start = 0;
        for (place, other) in places.iter_mut().zip(others) {
            let rows = *place + other;
            *place = start;
            start += rows;
        }
        self.starts.clear();
        self.starts.extend_from_slice(&places);
        self.values.resize(values.len(), 0.0);
        for (&value, bucket) in values.iter().zip(&self.buckets) {
            let place = &mut places[usize::from(*bucket)];
            // Adding zero leaves no negative one.
            self.values[*place as usize] = value + 0.0;
            *place += 1;
        }
    }

    /// The distinct values, ascending, where there are at most [`FEW`].
    fn few_distinct(&self) -> Option<Vec<f64>> {
        let mut few = Vec::new();
        for bucket in 0..BUCKETS {
            let values = &self.values[self.range_of(bucket)];
            let before = few.len();
            for value in values {
                if !few[before..].contains(value) {
                    if few.len() == FEW {
                        return None;
                    }
                    few.push(*value);
                }
            }
            few[before..].sort_unstable_by(f64::total_cmp);
        }
        Some(few)
    }

    fn range_of(&self, bucket: usize) -> Range<usize> {
        self.starts[bucket] as usize..self.starts[bucket + 1] as usize
    }

    /// The values of a bucket, in no order.
    pub(super) fn bucket(&self, bucket: usize) -> &[f64] {
        &self.values[self.range_of(bucket)]
    }

    /// The values of a bucket, ascending from now on.
    pub(super) fn sorted(&mut self, bucket: usize) -> &[f64] {
        let range = self.range_of(bucket);
        sort::numbers(&mut self.values[range.clone()]);
        &self.values[range]
    }

    /// Rows with a value before a bucket.
    pub(super) fn before(&self, bucket: usize) -> u32 {
        self.starts[bucket]
    }

    pub(super) fn missing(&self) -> u32 {
        self.missing
    }

    /// Rows with a value.
    pub(super) fn rows_present(&self) -> u32 {
        self.starts.last().copied().unwrap_or(0)
    }

    /// Whether differences of its values keep their precision when they are halved.
    pub(super) fn is_precise(&self) -> bool {
        let Extent { low, high, .. } = self.extent;
        low >= high || half_width(low, high) > 1e-270
    }

    /// Population standard deviation, on values scaled to [−1, 1]; `None` without values.
    pub(super) fn deviation(&self) -> Option<f64> {
        let (smallest, largest) = self.range()?;
        let half = half_width(smallest, largest);
        if half <= 0.0 {
            return Some(0.0);
        }
        let middle = f64::midpoint(smallest, largest);
        let rows = self.values.len() as f64;
        // Not by the reciprocal, which overflows for the smallest numbers.
        let unit = |value: f64| (value - middle) / half;
        let mean = summed(&self.values, unit) / rows;
        let square = |value: f64| (unit(value) - mean) * (unit(value) - mean);
        Some(half * (summed(&self.values, square) / rows).sqrt())
    }

    /// The value at a rank among the present, counted from 0.
    fn at_rank(&self, rank: u32) -> f64 {
        let bucket = self.starts.partition_point(|start| *start <= rank) - 1;
        let values = self.bucket(bucket);
        let first = values.first().copied().unwrap_or(0.0);
        // A bucket of one value throughout, of any length, needs no copy.
        if values.iter().all(|value| value.total_cmp(&first).is_eq()) {
            return first;
        }
        let mut copied = values.to_vec();
        let place = (rank - self.starts[bucket]) as usize;
        *copied.select_nth_unstable_by(place, f64::total_cmp).1
    }

    /// Rows below a limit, or up to it, by what counts within its bucket.
    fn ranked(&self, limit: f64, counts: impl Fn(&f64) -> bool) -> u64 {
        let Some((smallest, largest)) = self.range() else { return 0 };
        if limit < smallest {
            return 0;
        }
        if limit > largest {
            return u64::from(self.rows_present());
        }
        let bucket = self.way.bucket(limit);
        let within = self.bucket(bucket).iter().filter(|value| counts(value)).count();
        u64::from(self.before(bucket)) + within as u64
    }
}

impl Ranked for Partition {
    fn present(&self) -> u64 {
        u64::from(self.rows_present())
    }

    fn range(&self) -> Option<(f64, f64)> {
        let Extent { low, high, .. } = self.extent;
        (low <= high).then_some((low + 0.0, high + 0.0))
    }

    fn below(&self, limit: f64) -> u64 {
        self.ranked(limit, |value| *value < limit)
    }

    fn up_to(&self, limit: f64) -> u64 {
        self.ranked(limit, |value| *value <= limit)
    }

    fn quantile(&self, q: f64) -> Option<f64> {
        let last = self.rows_present().checked_sub(1)?;
        let position = q.clamp(0.0, 1.0) * f64::from(last);
        let floor = position.floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank between 0 and the number of rows, which is a u32"
        )]
        let rank = floor as u32;
        let low = self.at_rank(rank);
        let high = if rank < last { self.at_rank(rank + 1) } else { low };
        Some(super::distribution::between(low, high, position - floor))
    }

    fn few(&self, limit: usize) -> Option<&[f64]> {
        self.few.as_deref().filter(|few| few.len() <= limit)
    }
}

/// Sum of `f` of the values, in four parts so that one addition need not wait for the other.
fn summed(values: &[f64], f: impl Fn(f64) -> f64) -> f64 {
    let mut sums = [0.0; 4];
    for four in values.chunks(4) {
        for (sum, value) in sums.iter_mut().zip(four) {
            *sum += f(*value);
        }
    }
    sums.iter().sum()
}
