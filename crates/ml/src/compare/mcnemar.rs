//! The difference of two accuracies on the same rows: only the rows on which the models part count.

use statrs::distribution::{Binomial, ChiSquared, ContinuousCDF, DiscreteCDF};

use super::{Method, Pair, Spread, normal_quantile};
use crate::metrics::{Task, loss};

/// Below this many discordant rows the exact binomial test decides.
pub(super) const EXACT_BELOW: usize = 25;

/// McNemar's test (1947): exact below [`EXACT_BELOW`] discordant rows, else chi-square with Edwards'
/// correction. Bounds by Bonett & Price, *Adjusted Wald confidence interval for a difference of binomial
/// proportions based on paired data* (2012), which stay honest with few or no discordant rows.
pub(super) fn spread(task: Task, pair: Pair<'_>, alpha: f64) -> Spread {
    let champion = loss::right(task, pair.labels, pair.champion);
    let candidate = loss::right(task, pair.labels, pair.candidate);
    let only = |one: &[bool], other: &[bool]| {
        one.iter().zip(other).filter(|(one, other)| **one && !**other).count()
    };
    let champion_only = only(&champion, &candidate);
    let candidate_only = only(&candidate, &champion);
    let (lost, won, rows) = (champion_only as f64, candidate_only as f64, pair.rows() as f64);

    let share = |count: f64| (count + 1.0) / (rows + 2.0);
    let centre = share(won) - share(lost);
    let variance = (share(won) + share(lost) - centre * centre) / (rows + 2.0);
    let reach = normal_quantile(1.0 - alpha) * variance.sqrt();
    let exact = champion_only + candidate_only < EXACT_BELOW;
    let p_value = if exact {
        (2.0 * share_at_most(champion_only.min(candidate_only), champion_only + candidate_only))
            .min(1.0)
    } else {
        let gap = ((won - lost).abs() - 1.0).max(0.0);
        ChiSquared::new(1.0).map_or(1.0, |chi_square| chi_square.sf(gap * gap / (won + lost)))
    };
    Spread {
        standard_error: (won + lost - (won - lost) * (won - lost) / rows).max(0.0).sqrt() / rows,
        lower: (centre - reach).max(-1.0),
        upper: (centre + reach).min(1.0),
        p_value,
        method: Method::McNemar { champion_only, candidate_only, exact },
    }
}

/// Probability that at most `wins` of `trials` fair coins fall heads.
pub(super) fn share_at_most(wins: usize, trials: usize) -> f64 {
    Binomial::new(0.5, trials as u64).map_or(1.0, |coins| coins.cdf(wins as u64))
}
