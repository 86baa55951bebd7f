//! Numbers with weights, ascending: what a rank sketch knows, and the measures between two of them.

use super::Moments;
use crate::drift::counts::Counts;
use crate::drift::ranked::{self, Ranked, half_width};
use crate::drift::{ColumnDrift, Kind, KolmogorovSmirnov, Route, Shares, kolmogorov_smirnov};
use crate::special;

/// Distinct values, ascending, each standing for as many as its weight says.
pub(super) struct Weighted {
    values: Vec<f64>,
    /// Weights up to and including the value at the same place.
    through: Vec<u64>,
    range: Option<(f64, f64)>,
}

/// How far two cumulative distributions lie apart.
struct Distance {
    /// Largest difference times the rows of both windows.
    gap: u128,
    /// Area between them: half the Wasserstein-1 distance.
    area: f64,
}

impl Weighted {
    /// `range`: the smallest and largest value that occurred, whether kept or not.
    pub(super) fn new(
        values: Vec<f64>,
        mut weights: Vec<u64>,
        range: Option<(f64, f64)>,
    ) -> Weighted {
        let mut sum = 0;
        for weight in &mut weights {
            sum += *weight;
            *weight = sum;
        }
        Weighted { values, through: weights, range }
    }

    fn first(&self, distinct: usize) -> u64 {
        distinct.checked_sub(1).map_or(0, |last| self.through[last])
    }

    /// Mean and population standard deviation, on values scaled to [−1, 1]; `None` without values.
    pub(super) fn moments(&self) -> Option<(f64, f64)> {
        let (smallest, largest) = self.range?;
        let middle = f64::midpoint(smallest, largest);
        let half = half_width(smallest, largest);
        if half <= 0.0 {
            return Some((smallest, 0.0));
        }
        let rows = self.present() as f64;
        let sum = |f: &dyn Fn(f64) -> f64| {
            let mut before = 0;
            let terms = self.values.iter().zip(&self.through).map(|(value, through)| {
                let weight = (through - before) as f64;
                before = *through;
                weight * f((value - middle) / half)
            });
            terms.sum::<f64>()
        };
        let mean = sum(&|unit| unit) / rows;
        let variance = sum(&|unit| (unit - mean) * (unit - mean)) / rows;
        Some((middle + half * mean, half * variance.sqrt()))
    }

    /// One walk over both.
    fn distance(&self, current: &Weighted) -> Distance {
        let [m, n] = [self.present(), current.present()].map(u128::from);
        let rows = m as f64 * n as f64;
        let mut found = Distance { gap: 0, area: 0.0 };
        let (mut i, mut j) = (0, 0);
        let mut gap = 0;
        let mut before = None;
        while i < self.values.len() || j < current.values.len() {
            let a = self.values.get(i).copied().unwrap_or(f64::INFINITY);
            let b = current.values.get(j).copied().unwrap_or(f64::INFINITY);
            let value = a.min(b);
            if let Some(before) = before {
                found.area += half_width(before, value) * (gap as f64 / rows);
            }
            i += usize::from(a <= value);
            j += usize::from(b <= value);
            gap = (u128::from(self.first(i)) * n).abs_diff(u128::from(current.first(j)) * m);
            found.gap = found.gap.max(gap);
            before = Some(value);
        }
        found
    }
}

impl Ranked for Weighted {
    fn present(&self) -> u64 {
        self.through.last().copied().unwrap_or(0)
    }

    fn range(&self) -> Option<(f64, f64)> {
        self.range
    }

    fn below(&self, limit: f64) -> u64 {
        self.first(self.values.partition_point(|value| *value < limit))
    }

    fn up_to(&self, limit: f64) -> u64 {
        if self.range.is_some_and(|(_, largest)| largest <= limit) {
            return self.present();
        }
        self.first(self.values.partition_point(|value| *value <= limit))
    }

    /// As the exact route's, the weights taken for as many equal values.
    fn quantile(&self, q: f64) -> Option<f64> {
        let (smallest, largest) = self.range?;
        if q <= 0.0 || q >= 1.0 {
            return Some(if q <= 0.0 { smallest } else { largest });
        }
        let position = q * self.present().checked_sub(1)? as f64;
        let floor = position.floor();
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a rank between 0 and the number of rows"
        )]
        let rank = floor as u64;
        let low = self.through.partition_point(|through| *through <= rank);
        let high = self.through.partition_point(|through| *through <= rank.saturating_add(1));
        let low = self.values.get(low).copied()?;
        let high = self.values.get(high).copied().unwrap_or(low);
        let share = position - floor;
        let gap = high - low;
        Some(if gap.is_infinite() {
            low * (1.0 - share) + high * share
        } else if share < 0.5 {
            low + gap * share
        } else {
            high - gap * (1.0 - share)
        })
    }

    fn few(&self, limit: usize) -> Option<&[f64]> {
        (self.values.len() <= limit).then_some(&self.values)
    }
}

/// All measures of a numeric column from two sketches; `moments` are the reference's.
pub(super) fn compare(
    column: &str,
    [reference, current]: [&Weighted; 2],
    moments: &Moments,
    missing: Shares,
    route: Route,
) -> ColumnDrift {
    let rows = [reference.present(), current.present()];
    let distance = (rows[0] > 0 && rows[1] > 0).then(|| reference.distance(current));
    let ks = distance.as_ref().map(|distance| test(rows, distance.gap));
    let edges = ranked::quantile_edges(reference);
    let bins = [reference, current].map(|side| ranked::binned(side, &edges));
    let quantiles = Counts { reference: &bins[0], current: &bins[1] };
    let widths = ranked::equal_width(reference, current);
    let found = moments.mean_and_deviation().or_else(|| reference.moments());
    let constant = reference.range.is_some_and(|(smallest, largest)| smallest >= largest);
    let deviation = found.map(|(_, deviation)| if constant { 0.0 } else { deviation });
    let statistic = ks.as_ref().map_or(0.0, |ks| ks.statistic);
    ColumnDrift {
        name: column.to_owned(),
        kind: Kind::Numeric,
        score: statistic.max(missing.change().abs()),
        drifted: false,
        ks,
        wasserstein: distance.and_then(|distance| ranked::in_deviations(distance.area, deviation)),
        jensen_shannon: widths
            .and_then(|[a, b]| Counts { reference: &a, current: &b }.jensen_shannon()),
        psi: quantiles.stability_index(),
        chi_square: quantiles.chi_square(),
        missing,
        new_categories: Vec::new(),
        vanished_categories: Vec::new(),
        out_of_range: ranked::out_of_range(reference, current),
        association: None,
        route,
    }
}

/// As for the exact route; windows of more than 2³² − 1 rows count as having so many.
fn test(rows: [u64; 2], gap: u128) -> KolmogorovSmirnov {
    if let ([Ok(m), Ok(n)], Ok(gap)) = (rows.map(u32::try_from), u64::try_from(gap)) {
        return kolmogorov_smirnov::test([m, n], gap);
    }
    let [m, n] = rows.map(|rows| rows as f64);
    let statistic = gap as f64 / (m * n);
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a positive number, which saturates"
    )]
    let effective = (m * n / (m + n)).round() as u32;
    KolmogorovSmirnov { statistic, p_value: special::kolmogorov_survival(effective, statistic) }
}
