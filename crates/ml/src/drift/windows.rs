//! Two windows in memory compared once: exactly, and without sorting them. Both are put into the same
//! buckets; where the distance of their cumulative distributions keeps its sign in a bucket and cannot
//! exceed the largest seen, sums tell its share of the Wasserstein distance, and only the other
//! buckets, few of them, are sorted.

use super::numeric::{Measured, Numeric};
use super::partition::{self, BUCKETS, Partition};
use super::picture::{self, NumericPicture, Picture};
use super::ranked::{self, Ranked, half_width};
use super::{ColumnDrift, Drawn, Error, Reference, Side, Values, kolmogorov_smirnov};

/// Memory that is used again from column to column.
#[derive(Debug, Default)]
pub struct Workspace {
    sides: [Partition; 2],
}

/// How far two cumulative distributions lie apart.
#[derive(Default)]
struct Distance {
    /// Largest difference times the rows of both windows.
    gap: u64,
    /// Area between them: half the Wasserstein-1 distance.
    area: f64,
}

impl Workspace {
    /// Compares two windows of the column `name`, with their picture: the answer of
    /// [`Reference::compare_drawn`], at less cost where the reference is compared once. Refuses what
    /// [`Reference::new`] refuses, and windows of two kinds.
    pub fn compare(
        &mut self,
        name: &str,
        reference: Values<'_>,
        current: Values<'_>,
    ) -> Result<(ColumnDrift, Picture), Error> {
        let (Values::Numeric(before), Values::Numeric(after)) = (reference, current) else {
            return Reference::new(name, reference)?.compare_drawn(current);
        };
        for (values, side) in [(before, Side::Reference), (after, Side::Current)] {
            if values.is_empty() {
                return Err(Error::Empty { column: name.to_owned(), side });
            }
        }
        partition::both(name, [before, after], &mut self.sides)?;
        let [left, right] = &mut self.sides;
        let both = left.rows_present() > 0 && right.rows_present() > 0;
        let precise = left.is_precise() && right.is_precise();
        let distance = both.then(|| distance(left, right));
        if !precise || distance.as_ref().is_some_and(|found| !found.area.is_finite()) {
            // Sums overflow only where the values all but do, or vanish among the smallest numbers.
            let (drift, picture) = Numeric::new(name, before)?.compare(name, after, Drawn::Yes)?;
            return Ok((drift, picture.unwrap_or(Picture::Numeric(NumericPicture::default()))));
        }
        let [left, right] = &self.sides;
        let edges = ranked::quantile_edges(left);
        let measured = Measured {
            ks: distance.as_ref().map(|distance| {
                kolmogorov_smirnov::test([left.rows_present(), right.rows_present()], distance.gap)
            }),
            wasserstein: distance
                .and_then(|distance| ranked::in_deviations(distance.area, left.deviation())),
            binned: [ranked::binned(left, &edges), ranked::binned(right, &edges)],
            missing: [left, right].map(Partition::missing),
        };
        Ok((measured.told(name, left, right), picture::numeric(left, right)))
    }
}

/// The distance of two windows that have values, in the same buckets.
fn distance(left: &mut Partition, right: &mut Partition) -> Distance {
    let [m, n] = [&*left, &*right].map(|side| i128::from(side.rows_present()));
    // Cumulative rows of either side times those of the other, up to a bucket.
    let apart = |left: &Partition, right: &Partition, bucket: usize| {
        i128::from(left.before(bucket)) * n - i128::from(right.before(bucket)) * m
    };
    let bounds = (0..BUCKETS).map(|bucket| apart(left, right, bucket).unsigned_abs());
    let mut gap = bounds.max().unwrap_or(0);
    let mut area = 0.0;
    let smallest = |side: &Partition| side.range().map_or(f64::INFINITY, |range| range.0);
    let mut reached = smallest(left).min(smallest(right));
    for bucket in 0..BUCKETS {
        let sides = [left.bucket(bucket), right.bucket(bucket)];
        if sides[0].is_empty() && sides[1].is_empty() {
            continue;
        }
        let start = apart(left, right, bucket);
        // How far the distance may come down and up within the bucket.
        let lowest = start - sides[1].len() as i128 * m;
        let highest = start + sides[0].len() as i128 * n;
        let [low, high] = ends(sides);
        let crossing = lowest < 0 && 0 < highest;
        let farther = lowest.unsigned_abs().max(highest.unsigned_abs()) > gap;
        if low < high && (crossing || farther) {
            let sides = [left.sorted(bucket), right.sorted(bucket)];
            let found = walk(sides, start, [m, n], reached);
            gap = gap.max(found.0);
            area += found.1;
        } else {
            // ∫F over the bucket is what was reached times its width, and for every value the rest.
            let rest = sides.map(|values| values.iter().map(|x| half_width(*x, high)).sum::<f64>());
            let reached = start as f64 * half_width(reached, high);
            area += (reached + rest[0] * n as f64 - rest[1] * m as f64).abs();
        }
        reached = high;
    }
    // Scaled at the end, so that nothing is lost of the smallest numbers.
    let area = area / (m as f64 * n as f64);
    Distance { gap: u64::try_from(gap).unwrap_or(u64::MAX), area }
}

/// Smallest and largest of all values.
fn ends(sides: [&[f64]; 2]) -> [f64; 2] {
    let mut ends = [f64::INFINITY, f64::NEG_INFINITY];
    for value in sides.into_iter().flatten() {
        ends[0] = if *value < ends[0] { *value } else { ends[0] };
        ends[1] = if *value > ends[1] { *value } else { ends[1] };
    }
    ends
}

/// Through both ascending sides of a bucket, from a distance of `apart` at the value `from`: the
/// largest distance, and the area below it times the rows of both.
fn walk(
    [left, right]: [&[f64]; 2],
    mut apart: i128,
    [m, n]: [i128; 2],
    mut from: f64,
) -> (u128, f64) {
    let (mut i, mut j) = (0, 0);
    let (mut gap, mut area) = (0, 0.0);
    while i < left.len() || j < right.len() {
        let a = left.get(i).copied().unwrap_or(f64::INFINITY);
        let b = right.get(j).copied().unwrap_or(f64::INFINITY);
        let value = a.min(b);
        area += half_width(from, value) * apart.unsigned_abs() as f64;
        while left.get(i) == Some(&value) {
            apart += n;
            i += 1;
        }
        while right.get(j) == Some(&value) {
            apart -= m;
            j += 1;
        }
        gap = gap.max(apart.unsigned_abs());
        from = value;
    }
    (gap, area)
}
