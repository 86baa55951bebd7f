//! Whether logged probabilities come true, and what recalibrating them would have been worth.

use serde::Serialize;

use super::ranking::Group;
use crate::metrics::loss::PROBABILITY_MIN;

/// Points of a reliability curve.
pub const BINS: usize = 15;

/// Newton steps at most; a handful is enough.
const STEPS_MAX: usize = 50;

/// Rows of about equal probability.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Bin {
    /// Weight of the rows.
    pub rows: f64,
    /// Mean predicted probability.
    pub predicted: f64,
    /// Share that came true.
    pub observed: f64,
    /// Lower end of the 95 % interval of `observed` (Wilson, 1927).
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// Log loss taken apart: `loss = miscalibration − discrimination + uncertainty`.
///
/// Murphy's decomposition (1973) with isotonic recalibration, CORP: Dimitriadis, Gneiting & Jordan,
/// *Stable reliability diagrams for probabilistic classifiers*, PNAS 118 (2021).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Parts {
    /// Mean log loss of the probabilities as they are.
    pub loss: f64,
    /// What recalibrating would take away; fitted on the same rows, hence a little too large.
    pub miscalibration: f64,
    /// What telling rows apart takes away; only a better model has more of it.
    pub discrimination: f64,
    /// Log loss of always answering the base rate.
    pub uncertainty: f64,
}

/// Logistic recalibration: `logit p' = intercept + slope · logit p`.
///
/// Cox, *Two further applications of a model for binary regression*, Biometrika 45 (1958); Platt (1999).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Logistic {
    /// Above 0: events are more common than predicted.
    pub intercept: f64,
    /// Below 1: probabilities are too extreme.
    pub slope: f64,
}

/// The reliability curve in at most `bins` bins of equal weight.
#[must_use]
pub fn reliability(groups: &[Group], bins: usize) -> Vec<Bin> {
    let total = groups.iter().map(|group| group.negative + group.positive).sum::<f64>();
    let mut found = Vec::new();
    let (mut rows, mut predicted, mut positive, mut seen) = (0.0, 0.0, 0.0, 0.0);
    for (at, group) in groups.iter().enumerate() {
        let weight = group.negative + group.positive;
        rows += weight;
        seen += weight;
        predicted += weight * group.probability;
        positive += group.positive;
        let full = seen >= total * (found.len() + 1) as f64 / bins as f64 - 1e-9 * total;
        if full || at + 1 == groups.len() {
            let (low, high) = wilson(positive, rows);
            let (predicted, observed) = (predicted / rows, positive / rows);
            found.push(Bin { rows, predicted, observed, low, high });
            (rows, positive) = (0.0, 0.0);
        }
        if full {
            predicted = 0.0;
        }
    }
    found
}

/// Mean distance between predicted and observed over the bins, weighted by their rows: the expected
/// calibration error (Naeini et al., 2015) in bins of equal weight (Nixon et al., 2019).
#[must_use]
pub fn expected_error(bins: &[Bin]) -> f64 {
    let rows = bins.iter().map(|bin| bin.rows).sum::<f64>();
    let off = bins.iter().map(|bin| bin.rows * (bin.observed - bin.predicted).abs());
    if rows > 0.0 { off.sum::<f64>() / rows } else { 0.0 }
}

/// Takes the log loss of groups by rising probability apart. `None` without rows.
#[must_use]
pub fn parts(groups: &[Group]) -> Option<Parts> {
    let rows = groups.iter().map(|group| group.negative + group.positive).sum::<f64>();
    let positive = groups.iter().map(|group| group.positive).sum::<f64>();
    if rows <= 0.0 {
        return None;
    }
    // Pool adjacent violators (Ayer et al., 1955): blocks of rising shares.
    let mut blocks: Vec<(f64, f64)> = Vec::new();
    for group in groups {
        let mut block = (group.positive, group.negative + group.positive);
        while let Some(last) = blocks.last() {
            if last.0 * block.1 < block.0 * last.1 {
                break;
            }
            block = (block.0 + last.0, block.1 + last.1);
            blocks.pop();
        }
        blocks.push(block);
    }
    let recalibrated = blocks.iter().map(|(p, n)| n * entropy(p / n)).sum::<f64>() / rows;
    let loss = mean_loss(groups, |probability| probability);
    let uncertainty = entropy(positive / rows);
    Some(Parts {
        loss,
        miscalibration: loss - recalibrated,
        discrimination: uncertainty - recalibrated,
        uncertainty,
    })
}

/// Mean log loss of the probabilities that `changed` makes of those of `groups`.
#[must_use]
pub fn mean_loss(groups: &[Group], changed: impl Fn(f64) -> f64) -> f64 {
    let (mut loss, mut rows) = (0.0, 0.0);
    for group in groups {
        let p = changed(group.probability).clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
        loss -= group.positive * p.ln() + group.negative * (1.0 - p).ln();
        rows += group.positive + group.negative;
    }
    if rows > 0.0 { loss / rows } else { 0.0 }
}

/// Log loss of always answering the share `p` where `p` comes true.
#[must_use]
pub fn entropy(p: f64) -> f64 {
    let part = |p: f64| if p > 0.0 { -p * p.ln() } else { 0.0 };
    part(p) + part(1.0 - p)
}

impl Logistic {
    /// The most likely recalibration, drawn to "no change" with the weight of one row, so that it exists
    /// for every log. `None` without rows of both outcomes.
    #[must_use]
    pub fn fit(groups: &[Group]) -> Option<Logistic> {
        let positive = groups.iter().map(|group| group.positive).sum::<f64>();
        let negative = groups.iter().map(|group| group.negative).sum::<f64>();
        if positive <= 0.0 || negative <= 0.0 {
            return None;
        }
        let (mut a, mut b) = (0.0, 1.0);
        for _ in 0..STEPS_MAX {
            let (mut ga, mut gb) = (-a, 1.0 - b);
            let (mut haa, mut hab, mut hbb) = (1.0, 0.0, 1.0);
            for group in groups {
                let x = logit(group.probability);
                let p = expit(a + b * x);
                let rows = group.positive + group.negative;
                let (off, spread) = (group.positive - rows * p, rows * p * (1.0 - p));
                ga += off;
                gb += off * x;
                haa += spread;
                hab += spread * x;
                hbb += spread * x * x;
            }
            let determinant = haa * hbb - hab * hab;
            let mut step =
                [(hbb * ga - hab * gb) / determinant, (haa * gb - hab * ga) / determinant];
            // Far from the optimum a full step can overshoot.
            let size = step[0].abs().max(step[1].abs());
            if size > 2.0 {
                step = step.map(|part| part * 2.0 / size);
            }
            a += step[0];
            b += step[1];
            if size < 1e-10 {
                break;
            }
        }
        (a.is_finite() && b.is_finite()).then_some(Logistic { intercept: a, slope: b })
    }

    /// The recalibrated probability.
    #[must_use]
    pub fn apply(self, probability: f64) -> f64 {
        expit(self.intercept + self.slope * logit(probability))
    }
}

fn logit(p: f64) -> f64 {
    let p = p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    (p / (1.0 - p)).ln()
}

fn expit(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// The 95 % interval of a share.
pub(super) fn wilson(positive: f64, rows: f64) -> (f64, f64) {
    const Z: f64 = 1.959_963_984_540_054;
    if rows <= 0.0 {
        return (0.0, 1.0);
    }
    let (p, z2) = (positive / rows, Z * Z);
    let centre = (p + z2 / (2.0 * rows)) / (1.0 + z2 / rows);
    let half = Z * (p * (1.0 - p) / rows + z2 / (4.0 * rows * rows)).sqrt() / (1.0 + z2 / rows);
    ((centre - half).max(0.0), (centre + half).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn groups(rows: &[(f64, u8)]) -> Vec<Group> {
        let mut ranking = super::super::ranking::Ranking::default();
        rows.iter().for_each(|(p, y)| ranking.add(*p, *y == 1, 1.0));
        ranking.groups()
    }

    fn sample() -> Vec<Group> {
        groups(&[
            (0.05, 0),
            (0.1, 0),
            (0.1, 1),
            (0.2, 0),
            (0.3, 1),
            (0.35, 0),
            (0.5, 0),
            (0.55, 1),
            (0.6, 0),
            (0.7, 1),
            (0.8, 1),
            (0.9, 1),
            (0.95, 0),
            (0.97, 1),
        ])
    }

    #[test]
    fn the_parts_are_those_of_isotonic_regression() {
        // scikit-learn 1.9.1: IsotonicRegression().fit(p, y), log_loss of p, of the fit and of the mean.
        let parts = parts(&sample()).unwrap();
        assert!((parts.loss - 0.731_127_398_565_086_5).abs() < 1e-12, "{parts:?}");
        assert!(
            (parts.loss - parts.miscalibration - 0.532_479_996_383_142_9).abs() < 1e-12,
            "{parts:?}"
        );
        assert!((parts.uncertainty - std::f64::consts::LN_2).abs() < 1e-12, "{parts:?}");
        let sum = parts.miscalibration - parts.discrimination + parts.uncertainty;
        assert!((sum - parts.loss).abs() < 1e-12);
    }

    #[test]
    fn recalibration_is_logistic_regression_on_the_logit() {
        // scipy 1.17.1 minimize(method="BFGS") of the same penalised likelihood, gtol 1e-12.
        let fit = Logistic::fit(&sample()).unwrap();
        assert!((fit.intercept + 0.024_221_585_912_390_545).abs() < 1e-7, "{fit:?}");
        assert!((fit.slope - 0.448_472_791_312_210_85).abs() < 1e-7, "{fit:?}");
        let none = Logistic { intercept: 0.0, slope: 1.0 };
        assert!((none.apply(0.3) - 0.3).abs() < 1e-12);
    }

    #[test]
    fn a_curve_has_bins_of_equal_weight() {
        let bins = reliability(&sample(), 2);
        assert_eq!(bins.iter().map(|bin| bin.rows).collect::<Vec<_>>(), [7.0, 7.0]);
        assert!((bins[0].predicted - 1.6 / 7.0).abs() < 1e-12, "{bins:?}");
        assert!((bins[1].observed - 5.0 / 7.0).abs() < 1e-12, "{bins:?}");
        let error = expected_error(&bins);
        let by_hand = 0.5 * ((2.0 - 1.6) / 7.0_f64).abs() + 0.5 * ((5.0 - 5.47) / 7.0_f64).abs();
        assert!((error - by_hand).abs() < 1e-12, "{error} {by_hand}");
    }

    #[test]
    fn wilsons_interval_is_that_of_statsmodels() {
        // statsmodels 0.15.0: proportion_confint(7, 20, method="wilson")
        let (low, high) = wilson(7.0, 20.0);
        assert!((low - 0.181_191_824_101_082_03).abs() < 1e-12);
        assert!((high - 0.567_145_723_314_763_8).abs() < 1e-12, "{low} {high}");
    }

    #[test]
    fn one_outcome_cannot_be_recalibrated() {
        assert_eq!(Logistic::fit(&groups(&[(0.2, 1), (0.4, 1)])), None);
        assert_eq!(parts(&[]), None);
    }
}
