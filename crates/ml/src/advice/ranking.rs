//! Probabilities and whether they came true, kept in fixed memory: exactly while they are few, in fine
//! bins afterwards. Ranking (AUC) and calibration are read off the same groups.

/// Rows that are kept one by one; more are counted in bins.
pub const EXACT_ROWS_MAX: usize = 16_384;

/// Bins of one factor of two of `min(p, 1 − p)`.
const BINS_AN_OCTAVE: usize = 128;
/// Mantissa bits that a bin leaves open.
const OPEN_BITS: u32 = 52 - 7;
/// Probabilities nearer to 0 or 1 than 2⁻²⁰ share the outermost bin.
const SMALLEST: f64 = 1.0 / 1_048_576.0;
/// Bins of `[2⁻²⁰, ½]`; as many again above ½.
const BINS_A_SIDE: usize = 19 * BINS_AN_OCTAVE + 1;

/// Probabilities with their outcomes.
#[derive(Clone, Debug, Default)]
pub struct Ranking {
    /// Probability, and weight: negative where it did not come true.
    rows: Vec<(f64, f64)>,
    /// Weight that did not come true and weight that did, by bin.
    bins: Option<Box<[[f64; 2]]>>,
}

/// Equal or nearly equal probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Group {
    /// The probability; of a bin its middle.
    pub probability: f64,
    /// Weight of the rows that did not come true.
    pub negative: f64,
    /// Weight of the rows that did.
    pub positive: f64,
}

/// Area under the ROC curve.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Area {
    /// Ties counted half.
    pub value: f64,
    /// Of `value`, after DeLong, DeLong & Clarke-Pearson, Biometrics 44 (1988).
    pub standard_error: f64,
    /// How far `value` can be from that of the rows one by one: half the share of pairs that share a bin;
    /// 0 where rows are kept one by one.
    pub error_max: f64,
}

impl Ranking {
    /// Takes a row. `probability` lies in [0, 1], `weight` above 0.
    pub fn add(&mut self, probability: f64, came_true: bool, weight: f64) {
        match &mut self.bins {
            Some(bins) => bins[bin_of(probability)][usize::from(came_true)] += weight,
            None => {
                self.rows.push((probability, if came_true { weight } else { -weight }));
                if self.rows.len() > EXACT_ROWS_MAX {
                    self.coarsen();
                }
            }
        }
    }

    /// Takes the rows of another.
    pub fn merge(&mut self, other: &Ranking) {
        for (probability, weight) in &other.rows {
            self.add(*probability, *weight > 0.0, weight.abs());
        }
        let Some(others) = &other.bins else { return };
        self.coarsen();
        let bins = self.bins.iter_mut().flat_map(|bins| bins.iter_mut());
        for (bin, other) in bins.zip(others.iter()) {
            bin[0] += other[0];
            bin[1] += other[1];
        }
    }

    /// Whether rows are still kept one by one.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.bins.is_none()
    }

    /// Groups by rising probability.
    #[must_use]
    pub fn groups(&self) -> Vec<Group> {
        if let Some(bins) = &self.bins {
            let filled = bins.iter().enumerate().filter(|(_, bin)| bin[0] + bin[1] > 0.0);
            return filled
                .map(|(at, bin)| Group {
                    probability: middle_of(at),
                    negative: bin[0],
                    positive: bin[1],
                })
                .collect();
        }
        let mut rows = self.rows.clone();
        rows.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));
        let same = |a: &(f64, f64), b: &(f64, f64)| a.0.total_cmp(&b.0).is_eq();
        rows.chunk_by(same)
            .map(|rows| Group {
                probability: rows[0].0,
                negative: rows.iter().map(|(_, w)| (-w).max(0.0)).sum(),
                positive: rows.iter().map(|(_, w)| w.max(0.0)).sum(),
            })
            .collect()
    }

    /// The area under the ROC curve; `None` without rows of both outcomes.
    #[must_use]
    pub fn area(&self) -> Option<Area> {
        let groups = self.groups();
        let mut area = area(&groups)?;
        if self.is_exact() {
            area.error_max = 0.0;
        }
        Some(area)
    }

    fn coarsen(&mut self) {
        if self.bins.is_some() {
            return;
        }
        let mut bins = vec![[0.0; 2]; 2 * BINS_A_SIDE].into_boxed_slice();
        for (probability, weight) in std::mem::take(&mut self.rows) {
            bins[bin_of(probability)][usize::from(weight > 0.0)] += weight.abs();
        }
        self.bins = Some(bins);
    }
}

/// The area of groups by rising probability, as if each group were one tie.
#[must_use]
pub fn area(groups: &[Group]) -> Option<Area> {
    let positives = groups.iter().map(|group| group.positive).sum::<f64>();
    let negatives = groups.iter().map(|group| group.negative).sum::<f64>();
    if positives <= 0.0 || negatives <= 0.0 {
        return None;
    }
    let pairs = positives * negatives;
    let (mut positives_below, mut negatives_below) = (0.0, 0.0);
    let (mut value, mut tied) = (0.0, 0.0);
    let mut placements = Vec::with_capacity(groups.len());
    for group in groups {
        let of_positive = (negatives_below + 0.5 * group.negative) / negatives;
        let of_negative = 1.0 - (positives_below + 0.5 * group.positive) / positives;
        placements.push((of_positive, of_negative));
        value += group.positive * of_positive / positives;
        tied += group.positive * group.negative / pairs;
        positives_below += group.positive;
        negatives_below += group.negative;
    }
    let (mut over_positives, mut over_negatives) = (0.0, 0.0);
    for (group, (of_positive, of_negative)) in groups.iter().zip(&placements) {
        over_positives += group.positive * (of_positive - value) * (of_positive - value);
        over_negatives += group.negative * (of_negative - value) * (of_negative - value);
    }
    let part = |sum: f64, n: f64| sum / (n - 1.0).max(1.0) / n;
    let variance = part(over_positives, positives) + part(over_negatives, negatives);
    Some(Area { value, standard_error: variance.sqrt(), error_max: 0.5 * tied })
}

/// The bin of a probability: even steps of the mantissa towards either end, so that rare events are
/// told apart as finely as common ones.
fn bin_of(probability: f64) -> usize {
    let upper = probability > 0.5;
    let tail = if upper { 1.0 - probability } else { probability };
    let bits = tail.clamp(SMALLEST, 0.5).to_bits() - SMALLEST.to_bits();
    let at = (bits >> OPEN_BITS) as usize;
    if upper { 2 * BINS_A_SIDE - 1 - at } else { at }
}

fn middle_of(bin: usize) -> f64 {
    let upper = bin >= BINS_A_SIDE;
    let at = if upper { 2 * BINS_A_SIDE - 1 - bin } else { bin };
    let low = SMALLEST.to_bits() + ((at as u64) << OPEN_BITS);
    // The bin of exactly one half has no width below it.
    let tail = f64::from_bits(low + (1 << (OPEN_BITS - 1))).min(0.5);
    if upper { 1.0 - tail } else { tail }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metric, Task};
    use crate::rng::Rng;

    fn drawn(rows: usize, seed: u64, rare: f64) -> (Vec<f64>, Vec<f64>) {
        let mut rng = Rng::new(seed);
        (0..rows)
            .map(|_| {
                let probability = rare / (1.0 + (-1.5 * rng.normal()).exp());
                (f64::from(u8::from(rng.uniform() < probability)), probability)
            })
            .unzip()
    }

    fn ranking(labels: &[f64], predictions: &[f64]) -> Ranking {
        let mut ranking = Ranking::default();
        for (label, prediction) in labels.iter().zip(predictions) {
            ranking.add(*prediction, *label > 0.5, 1.0);
        }
        ranking
    }

    #[test]
    fn few_rows_give_the_exact_area_and_delongs_error() {
        // scikit-learn 1.9.1 roc_auc_score of the same rows; the error by DeLong's formula in numpy 2.4.6.
        let labels = [0.0, 0.0, 1.0, 1.0, 0.0, 1.0, 0.0, 1.0];
        let predictions = [0.1, 0.4, 0.35, 0.8, 0.4, 0.4, 0.2, 0.9];
        let area = ranking(&labels, &predictions).area().unwrap();
        assert!((area.value - 0.8125).abs() < 1e-12, "{area:?}");
        assert!((area.standard_error - 0.161_374_306_091_975_7).abs() < 1e-12, "{area:?}");
        assert!(area.error_max.abs() < f64::MIN_POSITIVE);
    }

    #[test]
    fn bins_stay_within_their_stated_error() {
        for rare in [1.0, 0.02] {
            let (labels, predictions) = drawn(200_000, 3, rare);
            let exact = Metric::Auc.value(Task::Binary, &labels, &predictions).unwrap();
            let ranking = ranking(&labels, &predictions);
            assert!(!ranking.is_exact());
            let area = ranking.area().unwrap();
            let off = (area.value - exact).abs();
            assert!(off <= area.error_max && area.error_max < 2e-3, "{area:?} {exact}");
            assert!(off < 2e-5, "{off}");
        }
    }

    #[test]
    fn merging_is_the_same_as_taking_all() {
        let (labels, predictions) = drawn(40_000, 5, 0.4);
        let all = ranking(&labels, &predictions);
        let mut joined = ranking(&labels[..3_000], &predictions[..3_000]);
        joined.merge(&ranking(&labels[3_000..30_000], &predictions[3_000..30_000]));
        joined.merge(&ranking(&labels[30_000..], &predictions[30_000..]));
        assert_eq!(joined.groups(), all.groups());
    }

    #[test]
    fn every_probability_has_a_bin_near_it() {
        for at in 0..=100_000_u32 {
            let probability = f64::from(at) / 100_000.0;
            let bin = bin_of(probability);
            let tail = probability.min(1.0 - probability);
            let off = (middle_of(bin) - probability).abs();
            assert!(
                off <= tail / 128.0 + 1.01 * SMALLEST,
                "{probability} {bin} {}",
                middle_of(bin)
            );
        }
        let bins = (0..2 * BINS_A_SIDE).map(middle_of).collect::<Vec<_>>();
        assert!(bins.windows(2).all(|pair| pair[0] <= pair[1]));
        assert_eq!((bin_of(0.0), bin_of(1.0)), (0, 2 * BINS_A_SIDE - 1));
    }

    #[test]
    fn one_outcome_has_no_area() {
        assert_eq!(ranking(&[1.0, 1.0], &[0.2, 0.3]).area(), None);
        assert_eq!(Ranking::default().area(), None);
    }
}
