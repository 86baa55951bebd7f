//! Measures on two rows of counts: the reference's and the current window's, class by class.

use super::ChiSquare;
use crate::special;

/// Least share of a class in the population stability index, so that its logarithm exists.
const SHARE_MIN: f64 = 1e-4;

/// Counts of the two windows over the same classes (bins or categories).
pub(super) struct Counts<'a> {
    pub(super) reference: &'a [u32],
    pub(super) current: &'a [u32],
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
    /// depend on the number of rows. `None` where a window is empty.
    pub(super) fn chi_square(&self) -> Option<ChiSquare> {
        let [reference_rows, current_rows] = self.totals()?;
        let rows = reference_rows + current_rows;
        let occurring =
            self.reference.iter().zip(self.current).filter(|(r, c)| **r > 0 || **c > 0).count();
        let degrees_of_freedom = (occurring as u64).saturating_sub(1);
        let (mut plain, mut corrected) = (0.0, 0.0);
        for (&reference, &current) in self.reference.iter().zip(self.current) {
            let total = f64::from(reference) + f64::from(current);
            if total <= 0.0 {
                continue;
            }
            for (observed, share) in
                [(reference, reference_rows / rows), (current, current_rows / rows)]
            {
                let expected = total * share;
                let gap = (f64::from(observed) - expected).abs();
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

    fn each_share(&self, mut visit: impl FnMut(f64, f64)) -> Option<()> {
        let [reference_rows, current_rows] = self.totals()?;
        for (&reference, &current) in self.reference.iter().zip(self.current) {
            visit(f64::from(reference) / reference_rows, f64::from(current) / current_rows);
        }
        Some(())
    }

    /// Rows of both windows; `None` where one is empty.
    fn totals(&self) -> Option<[f64; 2]> {
        let total = |counts: &[u32]| counts.iter().map(|count| f64::from(*count)).sum::<f64>();
        let totals = [total(self.reference), total(self.current)];
        totals.iter().all(|total| *total > 0.0).then_some(totals)
    }
}
