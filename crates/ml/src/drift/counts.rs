//! Measures on two rows of counts: the reference's and the current window's, class by class.

use std::collections::BTreeMap;

use super::ChiSquare;
use crate::special;

/// Least share of a class in the population stability index, so that its logarithm exists.
const SHARE_MIN: f64 = 1e-4;

/// Counts of the two windows over the same classes (bins or categories).
pub(super) struct Counts<'a> {
    pub(super) reference: &'a [u64],
    pub(super) current: &'a [u64],
}

impl Counts<'_> {
    /// Jensen–Shannon distance to base 2 (Endres & Schindelin 2003): the square root of the
    /// divergence; 0 for equal shares, 1 where no class is shared. `None` where a window is empty.
    pub(super) fn jensen_shannon(&self) -> Option<f64> {
        let mut divergence = 0.0;
        self.each_share(|reference, current| {
            let middle = f64::midpoint(reference, current);
            for share in [reference, current] {
                if share > 0.0 {
                    divergence += share * (share / middle).log2() / 2.0;
                }
            }
        })?;
        Some(divergence.clamp(0.0, 1.0).sqrt())
    }

    /// Population stability index `Σ (c − r) ln(c / r)` over shares of at least 1e-4. `None` where
    /// a window is empty.
    pub(super) fn stability_index(&self) -> Option<f64> {
        let mut sum = 0.0;
        self.each_share(|reference, current| {
            let (reference, current) = (reference.max(SHARE_MIN), current.max(SHARE_MIN));
            sum += (current - reference) * (current / reference).ln();
        })?;
        Some(sum.max(0.0))
    }

    /// Pearson's chi-square test of homogeneity, with Yates's correction in a 2 × 2 table, and
    /// Cramér's V without it, as `scipy.stats.contingency.association` has it: V then does not
    /// depend on the number of rows, but on which part of them is current. `None` where a window is empty.
    pub(super) fn chi_square(&self) -> Option<ChiSquare> {
        let [reference_rows, current_rows] = self.totals()?;
        let rows = reference_rows + current_rows;
        let occurring =
            self.reference.iter().zip(self.current).filter(|(r, c)| **r > 0 || **c > 0).count();
        let degrees_of_freedom = (occurring as u64).saturating_sub(1);
        let (mut plain, mut corrected) = (0.0, 0.0);
        for (&reference, &current) in self.reference.iter().zip(self.current) {
            let total = (reference as f64) + (current as f64);
            if total <= 0.0 {
                continue;
            }
            for (observed, share) in
                [(reference, reference_rows / rows), (current, current_rows / rows)]
            {
                let expected = total * share;
                let gap = (observed as f64 - expected).abs();
                let closer = gap - gap.min(0.5);
                plain += gap * gap / expected;
                corrected += closer * closer / expected;
            }
        }
        let statistic = if degrees_of_freedom == 1 { corrected } else { plain };
        Some(ChiSquare {
            statistic,
            p_value: special::chi_square_survival(statistic, degrees_of_freedom),
            cramers_v: (plain / rows).sqrt().min(1.0),
            degrees_of_freedom,
        })
    }

    /// Cramér's V as if both windows had as many rows, and with chance taken out, in [0, 1]: the
    /// score of a categorical column. `None` where a window is empty.
    ///
    /// Weighing the windows equally, V² is `½ Σ (r − c)² / (r + c)` over the shares. Its mean where
    /// rows are dealt to the windows at random, `E`, grows with the number of categories and falls
    /// with the rows; as Bergsma (*A bias-correction for Cramér's V and Tschuprow's T*, 2013) does
    /// to the plain V, it is taken out: `(V² − E) / (1 − E)`, and 0 below. `E` is exact
    /// (hypergeometric), so that categories of few rows count for what they say.
    pub(super) fn association(&self) -> Option<f64> {
        let rows = self.totals()?;
        let (mut found, mut by_chance) = (0.0, 0.0);
        let mut means = BTreeMap::new();
        for (&reference, &current) in self.reference.iter().zip(self.current) {
            let total = reference + current;
            if total == 0 {
                continue;
            }
            found += apart(reference as f64 / rows[0], current as f64 / rows[1]) / 2.0;
            by_chance += *means.entry(total).or_insert_with(|| apart_by_chance(total, rows)) / 2.0;
        }
        let room = 1.0 - by_chance;
        let share = if room > 1e-9 { (found - by_chance) / room } else { 0.0 };
        Some(share.clamp(0.0, 1.0).sqrt())
    }

    fn each_share(&self, mut visit: impl FnMut(f64, f64)) -> Option<()> {
        let [reference_rows, current_rows] = self.totals()?;
        for (&reference, &current) in self.reference.iter().zip(self.current) {
            visit((reference as f64) / reference_rows, (current as f64) / current_rows);
        }
        Some(())
    }

    /// Rows of both windows; `None` where one is empty.
    fn totals(&self) -> Option<[f64; 2]> {
        let total = |counts: &[u64]| counts.iter().map(|count| *count as f64).sum::<f64>();
        let totals = [total(self.reference), total(self.current)];
        totals.iter().all(|total| *total > 0.0).then_some(totals)
    }
}

/// Above this variance a class's rows in the current window are all but normal.
const NORMAL_VARIANCE_MIN: f64 = 100.0;

/// How far two shares of one class lie apart.
fn apart(reference: f64, current: f64) -> f64 {
    let gap = reference - current;
    gap * gap / (reference + current)
}

/// The mean of [`apart`] where `total` rows of a class are dealt at random to windows of `rows`.
fn apart_by_chance(total: u64, rows: [f64; 2]) -> f64 {
    let t = total as f64;
    let [m, n] = rows;
    let all = m + n;
    let variance = t * (m / all) * (n / all) * ((all - t) / (all - 1.0).max(1.0));
    if variance >= NORMAL_VARIANCE_MIN {
        return (all - t) / (2.0 * m * n);
    }
    // From the likeliest number of current rows both ways, until nothing is left.
    let least = (t - m).max(0.0);
    let most = t.min(n);
    let mode = ((t + 1.0) * (n + 1.0) / (all + 2.0)).floor().clamp(least, most);
    let (mut sum, mut weights) = (0.0, 0.0);
    let mut visit = |current: f64, weight: f64| {
        sum += weight * apart((t - current) / m, current / n);
        weights += weight;
    };
    let (mut weight, mut current) = (1.0, mode);
    while weight > 1e-13 {
        visit(current, weight);
        if current >= most {
            break;
        }
        weight *= (t - current) * (n - current) / ((current + 1.0) * (m - t + current + 1.0));
        current += 1.0;
    }
    (weight, current) = (1.0, mode);
    while current > least {
        weight *= current * (m - t + current) / ((t - current + 1.0) * (n - current + 1.0));
        current -= 1.0;
        if weight <= 1e-13 {
            break;
        }
        visit(current, weight);
    }
    sum / weights
}
