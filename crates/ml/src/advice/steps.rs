//! A noisy series as level stretches: where it changed, and what it is without the noise.

/// The median of a chi-square variable with one degree of freedom.
const CHI_SQUARE_MEDIAN: f64 = 0.454_936_423_119_572_8;

/// The starts of the stretches that minimise the weighted squares around their means plus `penalty` for
/// every stretch after the first; each has at least `length_min` values.
///
/// Exact by dynamic programming: Jackson et al., *An algorithm for optimal partitioning of data on an
/// interval*, IEEE Signal Processing Letters 12 (2005).
#[must_use]
pub fn partition(values: &[f64], weights: &[f64], penalty: f64, length_min: usize) -> Vec<usize> {
    let count = values.len();
    let length_min = length_min.max(1);
    let mut sums = vec![(0.0, 0.0, 0.0)];
    for (value, weight) in values.iter().zip(weights) {
        let (w, s, q) = sums[sums.len() - 1];
        sums.push((w + weight, s + weight * value, q + weight * value * value));
    }
    let around = |from: usize, to: usize| {
        let (w, s, q) =
            (sums[to].0 - sums[from].0, sums[to].1 - sums[from].1, sums[to].2 - sums[from].2);
        if w > 0.0 { (q - s * s / w).max(0.0) } else { 0.0 }
    };
    let mut best = vec![f64::INFINITY; count + 1];
    let mut start = vec![0; count + 1];
    best[0] = -penalty;
    for to in length_min..=count {
        for from in (0..=to - length_min).filter(|from| *from == 0 || *from >= length_min) {
            let cost = best[from] + penalty + around(from, to);
            if cost < best[to] {
                (best[to], start[to]) = (cost, from);
            }
        }
    }
    let mut starts = Vec::new();
    let mut at = count;
    while at > 0 {
        at = if best[at].is_finite() { start[at] } else { 0 };
        starts.push(at);
    }
    starts.reverse();
    starts
}

/// Each value replaced by the mean of its stretch.
#[must_use]
pub fn levels(values: &[f64], weights: &[f64], starts: &[usize]) -> Vec<f64> {
    let mut levels = Vec::with_capacity(values.len());
    for (at, from) in starts.iter().enumerate() {
        let to = starts.get(at + 1).copied().unwrap_or(values.len());
        let weight = weights[*from..to].iter().sum::<f64>();
        let sum =
            values[*from..to].iter().zip(&weights[*from..to]).map(|(v, w)| v * w).sum::<f64>();
        levels.resize(to, if weight > 0.0 { sum / weight } else { 0.0 });
    }
    levels
}

/// The variance of a series' noise, from the median square of its steps: a few jumps do not count.
#[must_use]
pub fn noise(values: &[f64]) -> f64 {
    let mut squares =
        values.windows(2).map(|pair| (pair[1] - pair[0]) * (pair[1] - pair[0])).collect::<Vec<_>>();
    squares.sort_unstable_by(f64::total_cmp);
    squares.get(squares.len() / 2).map_or(0.0, |median| median / CHI_SQUARE_MEDIAN / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn breaks_are_those_of_ruptures() {
        // ruptures 1.1.10: Pelt(model="l2", min_size=2, jump=1).fit_predict(values, pen=0.5) gives
        // [6, 11, 16], the last being the end.
        let values =
            [0.1, 0.0, 0.2, 0.1, 0.05, 0.15, 1.1, 0.9, 1.0, 1.2, 0.95, 0.4, 0.5, 0.45, 0.55, 0.5];
        assert_eq!(partition(&values, &[1.0; 16], 0.5, 2), [0, 6, 11]);
        assert_eq!(partition(&values, &[1.0; 16], 50.0, 2), [0]);
        let levels = levels(&values, &[1.0; 16], &[0, 6, 11]);
        assert!((levels[0] - 0.1).abs() < 1e-12 && (levels[15] - 0.48).abs() < 1e-12);
    }

    #[test]
    fn short_series_are_one_stretch() {
        assert_eq!(partition(&[1.0], &[1.0], 0.1, 2), [0]);
        assert_eq!(partition(&[], &[], 0.1, 2), [0_usize; 0]);
    }

    #[test]
    fn noise_is_told_from_jumps() {
        let mut rng = Rng::new(1);
        let jump = |at: usize| if at < 500 { 0.0 } else { 9.0 };
        let values = (0..1_000).map(|at| jump(at) + 0.3 * rng.normal()).collect::<Vec<_>>();
        assert!((noise(&values) - 0.09).abs() < 0.015, "{}", noise(&values));
    }
}
