//! Bins read off the ranks of a numeric column's present values, be they sorted or sketched.

/// Equal-width bins of the Jensen–Shannon distance, over the range of both windows.
const WIDTH_BINS: u32 = 50;

/// Reference-quantile bins of the population stability index and the chi-square test.
const QUANTILE_BINS: u32 = 10;

/// The present values of one window, by rank.
pub(super) trait Ranked {
    /// Rows with a value.
    fn present(&self) -> u64;
    /// Smallest and largest value.
    fn range(&self) -> Option<(f64, f64)>;
    /// Rows with a value below `limit`.
    fn below(&self, limit: f64) -> u64;
    /// Rows with a value up to and including `limit`.
    fn up_to(&self, limit: f64) -> u64;
    /// The value below which the share `q` of the present rows lies.
    fn quantile(&self, q: f64) -> Option<f64>;
    /// The distinct values, ascending, where there are at most `limit` of them.
    fn few(&self, limit: usize) -> Option<&[f64]>;
}

/// The nine deciles as upper, inclusive edges. A value that holds several of them is no edge but a
/// bin of its own: else a column that is mostly one value would not show values beside it.
pub(super) fn quantile_edges(reference: &impl Ranked) -> Vec<f64> {
    let mut edges = Vec::<f64>::new();
    let quantiles = (1..QUANTILE_BINS)
        .filter_map(|k| reference.quantile(f64::from(k) / f64::from(QUANTILE_BINS)));
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
pub(super) fn binned(values: &impl Ranked, edges: &[f64]) -> Vec<u64> {
    let mut counts = Vec::with_capacity(edges.len() + 1);
    let mut before = 0;
    for through in edges.iter().map(|edge| values.up_to(*edge)) {
        counts.push(through.saturating_sub(before));
        before = through.max(before);
    }
    counts.push(values.present() - before);
    counts
}

/// Rows of both windows in equal-width bins over their common range, the upper edge belonging to
/// the next bin but for the last: as `numpy.histogram` counts. `None` where a window is empty.
pub(super) fn equal_width<R: Ranked>(reference: &R, current: &R) -> Option<[Vec<u64>; 2]> {
    let (reference_range, current_range) = (reference.range()?, current.range()?);
    let low = reference_range.0.min(current_range.0);
    let high = reference_range.1.max(current_range.1);
    Some([reference, current].map(|side| equal_width_counts(side, [low, high], WIDTH_BINS)))
}

/// Rows in `bins` equal-width bins over `range`; what lies outside counts in the first and last.
pub(super) fn equal_width_counts(values: &impl Ranked, range: [f64; 2], bins: u32) -> Vec<u64> {
    let mut before = 0;
    let mut counts = Vec::with_capacity(bins as usize);
    for bin in 1..bins {
        let below = values.below(edge(range, bin, bins)).max(before);
        counts.push(below - before);
        before = below;
    }
    counts.push(values.present() - before);
    counts
}

/// The lower edge of the bin at place `bin` of `bins` over `range`.
pub(super) fn edge([low, high]: [f64; 2], bin: u32, bins: u32) -> f64 {
    let (bin, bins) = (f64::from(bin), f64::from(bins));
    let width = high - low;
    if width.is_finite() {
        bin * (width / bins) + low
    } else {
        low * (1.0 - bin / bins) + high * (bin / bins)
    }
}

/// Share of the present current values outside the reference's range.
pub(super) fn out_of_range<R: Ranked>(reference: &R, current: &R) -> f64 {
    let present = current.present();
    match (reference.range(), current.range()) {
        (_, None) => 0.0,
        (None, _) => 1.0,
        (Some((smallest, largest)), Some(range)) => {
            let below = if range.0 < smallest { current.below(smallest).max(1) } else { 0 };
            let above =
                if range.1 > largest { (present - current.up_to(largest)).max(1) } else { 0 };
            (below + above) as f64 / present as f64
        }
    }
}

/// Half of what lies between two values: no difference of halves overflows.
pub(super) fn half_width(from: f64, to: f64) -> f64 {
    to / 2.0 - from / 2.0
}

/// The Wasserstein distance that half of it, `area`, stands for, in the reference's standard
/// deviations; a constant has no such unit, so there only "the same" can be said.
pub(super) fn in_deviations(area: f64, deviation: Option<f64>) -> Option<f64> {
    let deviation = deviation?;
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
