//! What a page needs to draw a column's two distributions: shares by bin or by category.

use serde::{Deserialize, Serialize};

use super::Shares;
use super::counts::Counts;
use super::ranked::{self, Ranked};

/// Bins at most, the tails not counted.
pub const BINS_MAX: usize = 48;

/// Categories that are shown; the rest is one bar.
pub const CATEGORIES_MAX: usize = 20;

/// Share of a window's values that each tail of a numeric picture holds about.
const TAIL: f64 = 0.005;

/// Both windows of one column over the same bins or categories. Shares are of the present values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Picture {
    /// Numbers in bins of equal width.
    Numeric(NumericPicture),
    /// Shares by category.
    Categorical(CategoricalPicture),
}

/// Numbers in at most [`BINS_MAX`] bins of equal width over the central 99 % of both windows;
/// whole numbers of a short range have a bin each. Empty where no window has a value.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct NumericPicture {
    /// Edges of the bins, ascending, one more than there are bins.
    pub edges: Vec<f64>,
    /// Share of the reference's values in each bin; zeros where it has no values.
    pub reference: Vec<f64>,
    /// Share of the current values in each bin; zeros where there are none.
    pub current: Vec<f64>,
    /// Shares of values below the first edge.
    pub below: Option<Shares>,
    /// Shares of values above the last edge.
    pub above: Option<Shares>,
    /// The reference's smallest and largest value.
    pub reference_range: Option<[f64; 2]>,
    /// The current window's smallest and largest value.
    pub current_range: Option<[f64; 2]>,
}

/// The [`CATEGORIES_MAX`] categories with the largest share in either window, by falling share in
/// the reference, then in the current window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct CategoricalPicture {
    /// The bars.
    pub categories: Vec<CategoryBar>,
    /// All other categories together.
    pub others: Option<Shares>,
    /// How many others there are; from a sketch an estimate.
    pub others_count: u64,
}

/// One category.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryBar {
    /// As written in the dictionary.
    pub name: String,
    /// Share of each window.
    pub share: Shares,
    /// Whether both windows have it.
    pub presence: Presence,
}

/// In which windows a category occurs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    /// In both.
    Both,
    /// In the current window only.
    New,
    /// In the reference only.
    Vanished,
}

/// Both windows of a numeric column.
pub(super) fn numeric<R: Ranked>(reference: &R, current: &R) -> Picture {
    let pair = |range: (f64, f64)| [range.0, range.1];
    let mut picture = NumericPicture {
        reference_range: reference.range().map(pair),
        current_range: current.range().map(pair),
        ..NumericPicture::default()
    };
    let ends = [reference, current]
        .into_iter()
        .filter_map(|side| Some([side.quantile(TAIL)?, side.quantile(1.0 - TAIL)?]));
    let joined = ends.reduce(|a, b| [a[0].min(b[0]), a[1].max(b[1])]);
    let Some(range) = joined else { return Picture::Numeric(picture) };
    picture.edges = whole_edges(reference, current).unwrap_or_else(|| edges(range));
    let (Some(&first), Some(&last)) = (picture.edges.first(), picture.edges.last()) else {
        return Picture::Numeric(picture);
    };
    let shares = |side: &R| {
        let present = side.present().max(1) as f64;
        // A bin holds its lower edge; the last one its upper edge too.
        let inner = &picture.edges[..picture.edges.len() - 1];
        let mut starts = inner.iter().map(|edge| side.below(*edge)).collect::<Vec<_>>();
        starts.push(side.up_to(last));
        let bins = starts.windows(2).map(|pair| pair[1].saturating_sub(pair[0]) as f64 / present);
        let outside = [side.below(first), side.present() - side.up_to(last)];
        (bins.collect::<Vec<_>>(), outside.map(|rows| rows as f64 / present))
    };
    let (before, now) = (shares(reference), shares(current));
    let tail = |at: usize| {
        let shares = Shares { reference: before.1[at], current: now.1[at] };
        (shares.reference > 0.0 || shares.current > 0.0).then_some(shares)
    };
    (picture.below, picture.above) = (tail(0), tail(1));
    (picture.reference, picture.current) = (before.0, now.0);
    Picture::Numeric(picture)
}

/// A bin around each whole number, where both windows hold few of them and nothing else.
fn whole_edges(reference: &impl Ranked, current: &impl Ranked) -> Option<Vec<f64>> {
    let values = [reference.few(BINS_MAX)?, current.few(BINS_MAX)?].concat();
    let whole = values.iter().all(|value| value.fract() == 0.0 && value.abs() < 1e15);
    let smallest = values.iter().copied().reduce(f64::min)?;
    let largest = values.iter().copied().reduce(f64::max)?;
    let length = largest - smallest + 1.0;
    if !whole || length > BINS_MAX as f64 {
        return None;
    }
    let edges = std::iter::successors(Some(smallest - 0.5), |edge| Some(edge + 1.0));
    Some(edges.take_while(|edge| *edge <= largest + 0.5).collect())
}

fn edges(range: [f64; 2]) -> Vec<f64> {
    let bins = u32::try_from(BINS_MAX).unwrap_or(u32::MAX);
    let mut edges = vec![range[0]];
    for bin in 1..bins {
        let edge = ranked::edge(range, bin, bins);
        if edges.last().is_some_and(|last| *last < edge) && edge < range[1] {
            edges.push(edge);
        }
    }
    edges.push(range[1]);
    edges
}

/// Both windows of a categorical column: `names` of the classes of `counts`.
pub(super) fn categorical(names: &[&str], counts: &Counts<'_>) -> Picture {
    let total = |rows: &[u64]| rows.iter().sum::<u64>().max(1) as f64;
    let totals = [total(counts.reference), total(counts.current)];
    let mut bars = names
        .iter()
        .zip(counts.reference.iter().zip(counts.current))
        .filter(|(_, (reference, current))| **reference > 0 || **current > 0)
        .map(|(name, (reference, current))| {
            let reference = *reference as f64 / totals[0];
            (*name, Shares { reference, current: *current as f64 / totals[1] })
        })
        .collect::<Vec<_>>();
    let occurring = bars.len();
    let either = |shares: &Shares| shares.reference.max(shares.current);
    let larger = |a: &(&str, Shares), b: &(&str, Shares)| {
        either(&b.1).total_cmp(&either(&a.1)).then(a.0.cmp(b.0))
    };
    if occurring > CATEGORIES_MAX {
        bars.select_nth_unstable_by(CATEGORIES_MAX, larger);
        bars.truncate(CATEGORIES_MAX);
    }
    drawn(
        bars,
        [counts.reference, counts.current].map(|rows| rows.iter().any(|rows| *rows > 0)),
        occurring as u64,
    )
}

/// The picture of the `bars` of `occurring` categories; `present`: whether a window has any value.
pub(super) fn drawn(mut bars: Vec<(&str, Shares)>, present: [bool; 2], occurring: u64) -> Picture {
    bars.sort_unstable_by(|a, b| {
        let by_share = b.1.reference.total_cmp(&a.1.reference);
        by_share.then(b.1.current.total_cmp(&a.1.current)).then(a.0.cmp(b.0))
    });
    let sum = |share: fn(&Shares) -> f64| bars.iter().map(|(_, shares)| share(shares)).sum::<f64>();
    let rest = |any: bool, sum: f64| if any { (1.0 - sum).max(0.0) } else { 0.0 };
    let others_count = occurring.saturating_sub(bars.len() as u64);
    let others = (others_count > 0).then(|| Shares {
        reference: rest(present[0], sum(|shares| shares.reference)),
        current: rest(present[1], sum(|shares| shares.current)),
    });
    let categories = bars
        .into_iter()
        .map(|(name, share)| CategoryBar {
            name: name.to_owned(),
            share,
            presence: if share.reference <= 0.0 {
                Presence::New
            } else if share.current <= 0.0 {
                Presence::Vanished
            } else {
                Presence::Both
            },
        })
        .collect();
    Picture::Categorical(CategoricalPicture { categories, others, others_count })
}
