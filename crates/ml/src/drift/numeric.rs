//! Numeric columns: the reference prepared once, a current window compared without a pass over it.

use super::counts::Counts;
use super::distribution::Distribution;
use super::{ColumnDrift, Error, Kind, Shares, Side, kolmogorov_smirnov};

/// Equal-width bins of the Jensen–Shannon distance, over the range of both windows.
const WIDTH_BINS: u32 = 50;

/// Reference-quantile bins of the population stability index and the chi-square test.
const QUANTILE_BINS: u32 = 10;

/// A numeric column of the reference window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Numeric {
    distribution: Distribution,
    /// Area under the cumulative distribution up to each distinct value; like all areas here over
    /// halved values, so that no difference of two finite values overflows.
    area: Vec<f64>,
    /// Population standard deviation; 0 for a constant, `None` without present values.
    deviation: Option<f64>,
    /// Upper, inclusive edges of the quantile bins but the last.
    edges: Vec<f64>,
    /// Rows in each quantile bin.
    binned: Vec<u32>,
}

/// How far two cumulative distributions lie apart.
struct Distance {
    /// Largest difference times the rows of both windows.
    gap: u64,
    /// Area between them: half the Wasserstein-1 distance.
    area: f64,
}

impl Numeric {
    pub(super) fn new(column: &str, values: &[f64]) -> Result<Numeric, Error> {
        let distribution = Distribution::of(column, Side::Reference, values)?;
        let rows = f64::from(distribution.present());
        let mut area = Vec::with_capacity(distribution.values.len());
        let mut sum = 0.0;
        for at in 0..distribution.values.len() {
            if at > 0 {
                let width = half_width(distribution.values[at - 1], distribution.values[at]);
                sum += width * (f64::from(distribution.through[at - 1]) / rows);
            }
            area.push(sum);
        }
        let edges = quantile_edges(&distribution);
        let binned = binned(&distribution, &edges);
        let deviation = distribution.moments().map(|(_, deviation)| deviation);
        Ok(Numeric { distribution, area, deviation, edges, binned })
    }

    pub(super) fn rows(&self) -> u64 {
        self.distribution.rows()
    }

    pub(super) fn compare(&self, column: &str, values: &[f64]) -> Result<ColumnDrift, Error> {
        let current = Distribution::of(column, Side::Current, values)?;
        let reference = &self.distribution;
        let rows = [reference.present(), current.present()];
        let distance = (rows[0] > 0 && rows[1] > 0).then(|| self.distance(&current));
        let ks = distance.as_ref().map(|distance| kolmogorov_smirnov::test(rows, distance.gap));
        let quantiles = Counts { reference: &self.binned, current: &binned(&current, &self.edges) };
        let out_of_range = match (reference.range(), rows[1]) {
            (_, 0) => 0.0,
            (None, _) => 1.0,
            (Some((smallest, largest)), present) => {
                let outside = current.below(smallest) + (present - current.up_to(largest));
                f64::from(outside) / f64::from(present)
            }
        };
        let missing = Shares {
            reference: f64::from(reference.missing) / reference.rows() as f64,
            current: f64::from(current.missing) / current.rows() as f64,
        };
        let statistic = ks.as_ref().map_or(0.0, |ks| ks.statistic);
        Ok(ColumnDrift {
            name: column.to_owned(),
            kind: Kind::Numeric,
            score: statistic.max(missing.change().abs()),
            drifted: false,
            ks,
            wasserstein: distance.and_then(|distance| self.in_deviations(distance.area)),
            jensen_shannon: self.jensen_shannon(&current),
            psi: quantiles.stability_index(),
            chi_square: quantiles.chi_square(),
            missing,
            new_categories: Vec::new(),
            vanished_categories: Vec::new(),
            out_of_range,
        })
    }

    /// The distance that an area stands for, in standard deviations of the reference; a constant
    /// has no such unit, so there only "the same" can be said.
    fn in_deviations(&self, area: f64) -> Option<f64> {
        let deviation = self.deviation?;
        if area <= 0.0 {
            return Some(0.0);
        }
        if deviation <= 0.0 {
            return None;
        }
        // Overflows only where the reference is all but constant.
        let deviations = area / deviation * 2.0;
        Some(if deviations.is_finite() { deviations } else { f64::MAX })
    }

    /// One walk over the current values; the reference between two of them is skipped, since its
    /// cumulative distribution meets the (there constant) current one at most once.
    fn distance(&self, current: &Distribution) -> Distance {
        let reference = &self.distribution;
        let [m, n] = [reference.present(), current.present()].map(u64::from);
        let ends = (self.distribution.values.len(), current.values.len());
        let mut found = Distance { gap: 0, area: 0.0 };
        let mut gap = 0;
        // The last current value: its position and rank in the reference, the area up to it.
        let mut before = Mark { value: current.values[0], after: 0, through: 0, area: 0.0 };
        let mut reached = 0_u64;
        for (place, &value) in current.values.iter().enumerate() {
            let at = first_not_below(&reference.values, before.after, value);
            let below = u64::from(reference.first(at));
            let held = at < ends.0 && reference.values[at] <= value;
            let after = at + usize::from(held);
            let through = u64::from(reference.first(after));
            let mark = Mark { value, after, through, area: self.area_up_to(after, value) };
            gap = gap.max((below * n).abs_diff(reached * m));
            if place == 0 {
                found.area += mark.area;
            } else {
                found.area += self.area_between(&before, &mark, below, [reached, n]);
            }
            reached = u64::from(current.through[place]);
            gap = gap.max((through * n).abs_diff(reached * m));
            before = mark;
        }
        if before.after < ends.0 {
            let last = ends.0 - 1;
            let width = half_width(before.value, reference.values[last]);
            found.area += (width - (self.area[last] - before.area)).max(0.0);
        }
        found.gap = gap;
        found
    }

    /// Area between the reference's cumulative distribution and the current one, which is constant
    /// at `reached[0] / reached[1]` from one mark up to the next; `below`: the reference's rows
    /// below the second mark.
    fn area_between(&self, from: &Mark, to: &Mark, below: u64, reached: [u64; 2]) -> f64 {
        let reference = &self.distribution;
        let m = u64::from(reference.present());
        let [rank, n] = reached;
        let level = rank as f64 / n as f64;
        let width = half_width(from.value, to.value);
        if below == from.through {
            let difference = (below * n).abs_diff(rank * m);
            return width * (difference as f64 / (m as f64 * n as f64));
        }
        let under = to.area - from.area;
        if from.through * n >= rank * m {
            return (under - level * width).max(0.0);
        }
        if below * n <= rank * m {
            return (level * width - under).max(0.0);
        }
        let inner = &reference.through[from.after..to.after];
        let crossing = from.after + inner.partition_point(|rows| u64::from(*rows) * n < rank * m);
        let (value, area) = (reference.values[crossing], self.area[crossing]);
        let left = level * half_width(from.value, value) - (area - from.area);
        let right = (to.area - area) - level * half_width(value, to.value);
        left.max(0.0) + right.max(0.0)
    }

    /// Area under the reference's cumulative distribution up to `value`, which `distinct` of its
    /// distinct values do not exceed.
    fn area_up_to(&self, distinct: usize, value: f64) -> f64 {
        let Some(last) = distinct.checked_sub(1) else { return 0.0 };
        let share =
            f64::from(self.distribution.through[last]) / f64::from(self.distribution.present());
        self.area[last] + half_width(self.distribution.values[last], value) * share
    }

    fn jensen_shannon(&self, current: &Distribution) -> Option<f64> {
        let (reference_range, current_range) = (self.distribution.range()?, current.range()?);
        let low = reference_range.0.min(current_range.0);
        let high = reference_range.1.max(current_range.1);
        let [reference, current] =
            [&self.distribution, current].map(|side| equal_width_counts(side, low, high));
        Counts { reference: &reference, current: &current }.jensen_shannon()
    }
}

/// A current value among the reference's.
struct Mark {
    value: f64,
    /// Distinct reference values up to and including it.
    after: usize,
    /// Reference rows up to and including it.
    through: u64,
    /// Area under the reference's cumulative distribution up to it.
    area: f64,
}

/// Half of what lies between two values.
fn half_width(from: f64, to: f64) -> f64 {
    to / 2.0 - from / 2.0
}

/// The nine deciles as upper, inclusive edges. A value that holds several of them is no edge but a
/// bin of its own: else a column that is mostly one value would not show values beside it.
fn quantile_edges(distribution: &Distribution) -> Vec<f64> {
    let mut edges = Vec::<f64>::new();
    let quantiles = (1..QUANTILE_BINS)
        .filter_map(|k| distribution.quantile(f64::from(k) / f64::from(QUANTILE_BINS)));
    for edge in quantiles {
        match edges.as_slice() {
            [.., last] if *last >= edge => {
                let apart = last.next_down();
                if edges.len() < 2 || edges[edges.len() - 2] < apart {
                    edges.insert(edges.len() - 1, apart);
                }
            }
            [..] => edges.push(edge),
        }
    }
    edges
}

/// Rows in each bin; the last one is open.
fn binned(distribution: &Distribution, edges: &[f64]) -> Vec<u32> {
    let mut counts = Vec::with_capacity(edges.len() + 1);
    let mut before = 0;
    for through in edges.iter().map(|edge| distribution.up_to(*edge)) {
        counts.push(through - before);
        before = through;
    }
    counts.push(distribution.present() - before);
    counts
}

/// Rows in equal-width bins from `low` to `high`, the upper edge belonging to the next bin but for
/// the last: as `numpy.histogram` counts.
fn equal_width_counts(distribution: &Distribution, low: f64, high: f64) -> Vec<u32> {
    let bins = f64::from(WIDTH_BINS);
    let width = high - low;
    let edge = |bin: u32| {
        let bin = f64::from(bin);
        if width.is_finite() {
            bin * (width / bins) + low
        } else {
            low * (1.0 - bin / bins) + high * (bin / bins)
        }
    };
    let mut before = 0;
    let mut counts = Vec::with_capacity(WIDTH_BINS as usize);
    for bin in 1..WIDTH_BINS {
        let below = distribution.below(edge(bin)).max(before);
        counts.push(below - before);
        before = below;
    }
    counts.push(distribution.present() - before);
    counts
}

/// Position of the first of `values` from `start` on that is not below `limit`, looked for in
/// doubling steps: near positions are found at once.
fn first_not_below(values: &[f64], start: usize, limit: f64) -> usize {
    let mut low = start;
    let mut stride = 1;
    while low + stride <= values.len() && values[low + stride - 1] < limit {
        low += stride;
        stride *= 2;
    }
    let high = (low + stride).min(values.len());
    low + values[low..high].partition_point(|value| *value < limit)
}
