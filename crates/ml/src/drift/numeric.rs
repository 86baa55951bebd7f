//! Numeric columns: the reference prepared once, a current window compared without a pass over it.

use super::counts::Counts;
use super::distribution::Distribution;
use super::picture::{self, Picture};
use super::ranked::{self, Ranked, half_width};
use super::{
    ColumnDrift, Drawn, Error, Kind, KolmogorovSmirnov, Route, Shares, Side, kolmogorov_smirnov,
};

/// A reference with so many times more distinct values than the current window is skipped through.
const SKIPPING_PAYS: usize = 8;

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
    binned: Vec<u64>,
}

/// What was measured of two windows, whichever way.
pub(super) struct Measured {
    pub(super) ks: Option<KolmogorovSmirnov>,
    pub(super) wasserstein: Option<f64>,
    /// Rows of either window in the quantile bins.
    pub(super) binned: [Vec<u64>; 2],
    /// Rows of either window without a value.
    pub(super) missing: [u32; 2],
}

impl Measured {
    /// With what the ranks of both windows tell besides.
    pub(super) fn told<R: Ranked>(self, column: &str, reference: &R, current: &R) -> ColumnDrift {
        let quantiles = Counts { reference: &self.binned[0], current: &self.binned[1] };
        let share = |missing: u32, side: &R| {
            f64::from(missing) / (side.present() + u64::from(missing)) as f64
        };
        let missing = Shares {
            reference: share(self.missing[0], reference),
            current: share(self.missing[1], current),
        };
        let statistic = self.ks.as_ref().map_or(0.0, |ks| ks.statistic);
        ColumnDrift {
            name: column.to_owned(),
            kind: Kind::Numeric,
            score: statistic.max(missing.change().abs()),
            drifted: false,
            ks: self.ks,
            wasserstein: self.wasserstein,
            jensen_shannon: ranked::equal_width(reference, current).and_then(
                |[reference, current]| {
                    Counts { reference: &reference, current: &current }.jensen_shannon()
                },
            ),
            psi: quantiles.stability_index(),
            chi_square: quantiles.chi_square(),
            missing,
            new_categories: Vec::new(),
            vanished_categories: Vec::new(),
            out_of_range: ranked::out_of_range(reference, current),
            association: None,
            route: Route::Exact,
        }
    }
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
        let mut area = vec![0.0; distribution.values.len()];
        let mut sum = 0.0;
        let steps = distribution.values.windows(2).zip(&distribution.through);
        for (area, (pair, through)) in area.iter_mut().skip(1).zip(steps) {
            sum += half_width(pair[0], pair[1]) * (f64::from(*through) / rows);
            *area = sum;
        }
        let edges = ranked::quantile_edges(&distribution);
        let binned = ranked::binned(&distribution, &edges);
        let deviation = distribution.moments().map(|(_, deviation)| deviation);
        Ok(Numeric { distribution, area, deviation, edges, binned })
    }

    pub(super) fn rows(&self) -> u64 {
        self.distribution.rows()
    }

    /// The measures, and the picture where it is `drawn`.
    pub(super) fn compare(
        &self,
        column: &str,
        values: &[f64],
        drawn: Drawn,
    ) -> Result<(ColumnDrift, Option<Picture>), Error> {
        let current = Distribution::of(column, Side::Current, values)?;
        let picture = match drawn {
            Drawn::Yes => Some(picture::numeric(&self.distribution, &current)),
            Drawn::No => None,
        };
        Ok((self.measure(column, &current), picture))
    }

    fn measure(&self, column: &str, current: &Distribution) -> ColumnDrift {
        let reference = &self.distribution;
        let rows = [reference.present(), current.present()];
        let distance = (rows[0] > 0 && rows[1] > 0).then(|| self.distance(current));
        let measured = Measured {
            ks: distance.as_ref().map(|distance| kolmogorov_smirnov::test(rows, distance.gap)),
            wasserstein: distance
                .and_then(|distance| ranked::in_deviations(distance.area, self.deviation)),
            binned: [self.binned.clone(), ranked::binned(current, &self.edges)],
            missing: [reference.missing, current.missing],
        };
        measured.told(column, reference, current)
    }

    fn distance(&self, current: &Distribution) -> Distance {
        if current.values.len() * SKIPPING_PAYS < self.distribution.values.len() {
            self.distance_skipping(current)
        } else {
            self.distance_merging(current)
        }
    }

    /// One walk over the values of both, for windows of about equal length: without branches that
    /// cannot be foreseen.
    fn distance_merging(&self, current: &Distribution) -> Distance {
        let [left, right] = [&self.distribution, current];
        let [m, n] = [left.present(), right.present()].map(u64::from);
        let scale = 1.0 / (m as f64 * n as f64);
        let (mut i, mut j) = (0, 0);
        let (mut reached, mut gap) = ([0, 0], 0);
        let mut area = 0.0;
        let mut before = left.values[0].min(right.values[0]);
        while i < left.values.len() && j < right.values.len() {
            let (a, b) = (left.values[i], right.values[j]);
            let value = if a < b { a } else { b };
            let apart = (reached[0] * n).abs_diff(reached[1] * m);
            gap = gap.max(apart);
            area += half_width(before, value) * apart as f64;
            reached[0] = if a <= b { u64::from(left.through[i]) } else { reached[0] };
            reached[1] = if b <= a { u64::from(right.through[j]) } else { reached[1] };
            i += usize::from(a <= b);
            j += usize::from(b <= a);
            before = value;
        }
        // One window is through; the other comes nearer with every value.
        gap = gap.max((reached[0] * n).abs_diff(reached[1] * m));
        for (side, at, rows, other) in [(left, i, n, m * n), (right, j, m, m * n)] {
            for place in at..side.values.len() {
                let apart = other - u64::from(side.first(place)) * rows;
                area += half_width(before, side.values[place]) * apart as f64;
                before = side.values[place];
            }
        }
        // A sum of products as large as m·n might overflow where the values do nearly.
        let found = area * scale;
        if found.is_finite() {
            Distance { gap, area: found }
        } else {
            self.distance_skipping(current)
        }
    }

    /// One walk over the current values; the reference between two of them is skipped, since its
    /// cumulative distribution meets the (there constant) current one at most once.
    fn distance_skipping(&self, current: &Distribution) -> Distance {
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
}

/// The largest difference of the two cumulative distributions, times the rows of both: it lies at a current
/// value or just below one, between which the current distribution is constant.
pub(super) fn gap(reference: &Distribution, current: &Distribution) -> u64 {
    let [m, n] = [reference.present(), current.present()].map(u64::from);
    let (mut gap, mut reached, mut at) = (0, 0_u64, 0);
    for (value, through) in current.values.iter().zip(&current.through) {
        at = first_not_below(&reference.values, at, *value);
        gap = gap.max((u64::from(reference.first(at)) * n).abs_diff(reached * m));
        at += usize::from(reference.values.get(at).is_some_and(|found| found <= value));
        reached = u64::from(*through);
        gap = gap.max((u64::from(reference.first(at)) * n).abs_diff(reached * m));
    }
    gap
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
