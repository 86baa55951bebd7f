//! Retraining by forecast error (UPF; Regol et al., ICML 2025, arXiv 2505.14903): a regression
//! foretells every version's error, and a retraining must be worth it at the 95th percentile.
//!
//! Written from the paper's description: errors `a_ij` of the version trained in period i on period
//! j, features `[i/T, (j − i)/T, j/T, ‖x̄_j − x̄_{j−1}‖₁]`, an elastic net for the mean, the residual
//! variance for the spread, Beta distributions. A sum of Betas over the horizon is matched by one
//! scaled Beta of the same mean and variance.

use statrs::distribution::{Beta, ContinuousCDF};

use super::{Ground, Opinion};
use crate::history::History;

/// Fewest pairs of a version and a period that a regression is made of.
const PAIRS_MIN: usize = 8;
/// The risk that is looked at.
const QUANTILE: f64 = 0.95;
/// Strength of the elastic net, on standardised features and errors in [0, 1].
const PENALTY: f64 = 1e-4;
/// Share of it that goes by absolute values.
const L1_RATIO: f64 = 0.5;
/// Rounds of coordinate descent.
const ROUNDS: usize = 200;
const FEATURES: usize = 4;

/// One version's error in one period.
#[derive(Clone, Copy, Debug)]
struct Pair {
    features: [f64; FEATURES],
    error: f64,
}

/// A linear model on standardised features.
#[derive(Clone, Debug)]
pub(crate) struct ElasticNet<const N: usize> {
    pub(crate) means: [f64; N],
    pub(crate) scales: [f64; N],
    pub(crate) intercept: f64,
    pub(crate) weights: [f64; N],
}

pub(super) fn upf(ground: &Ground<'_>, horizon: u32) -> Opinion {
    let Ground { history, prices, .. } = *ground;
    let (Some(guess), Some(rows), Some(run)) =
        (history.guess(), history.median_rows(), prices.run(history))
    else {
        return ground.keep(format_args!("no label is available yet"));
    };
    // Errors in [0, 1]: a loss of twice a constant guess's counts as 1.
    let unit = 2.0 * guess;
    let pairs = pairs(history, unit);
    if pairs.len() < PAIRS_MIN || unit <= 0.0 || rows <= 0.0 {
        let found = pairs.len();
        return ground.keep(format_args!("{found} of {PAIRS_MIN} errors known to foretell from"));
    }
    let rows_of = pairs.iter().map(|pair| pair.features).collect::<Vec<_>>();
    let errors = pairs.iter().map(|pair| pair.error).collect::<Vec<_>>();
    let net = ElasticNet::fit(&rows_of, &errors, PENALTY, L1_RATIO);
    let residuals = pairs.iter().map(|pair| pair.error - net.predict(&pair.features));
    let count = f64::from(u32::try_from(pairs.len()).unwrap_or(u32::MAX));
    let variance = residuals.map(|residual| residual * residual).sum::<f64>() / count;

    let now = whole(history.seen());
    let trained = now - f64::from(history.age());
    let shift = mean_shift(history);
    let ahead = |trained: f64| {
        (0..horizon).map(move |step| features(trained, now + f64::from(step), shift))
    };
    let total = |trained: f64| {
        let means = ahead(trained).map(|features| net.predict(&features).clamp(1e-6, 1.0 - 1e-6));
        sum_quantile(&means.collect::<Vec<_>>(), variance)
    };
    let (keep, fresh) = (total(trained), total(now));
    // The price of a run in the same unit: periods' worth of error 1.
    let price = run / (unit * rows * prices.per_loss);
    let cost = unit * rows * prices.per_loss;
    ground.says(
        price + fresh < keep,
        format_args!(
            "within {horizon} periods keeping loses at most {:.2} and retraining {:.2}, the run \
             included, with 95 % confidence",
            keep * cost,
            (price + fresh) * cost
        ),
    )
}

/// Every version's error in every period in which it was scored.
fn pairs(history: &History, unit: f64) -> Vec<Pair> {
    let records = history.records();
    let first = whole(history.seen()) - records.len() as f64;
    let mut pairs = Vec::new();
    for (place, record) in records.iter().enumerate() {
        let Some(loss) = record.observation.loss else { continue };
        let period = first + place as f64;
        let shift = record.observation.evidence.feature_shift.unwrap_or(0.0);
        let mut add = |age: f64, mean: f64| {
            let features = features(period + 1.0 - age, period, shift);
            pairs.push(Pair { features, error: (mean / unit).clamp(0.0, 1.0) });
        };
        add(history.age_at(place), loss.mean);
        for retired in &record.observation.evidence.retired {
            add(f64::from(retired.age), retired.mean);
        }
    }
    pairs
}

/// `T` is one year of weeks: a unit, no end.
fn features(trained: f64, period: f64, shift: f64) -> [f64; FEATURES] {
    const T: f64 = 52.0;
    [trained / T, (period - trained) / T, period / T, shift]
}

fn mean_shift(history: &History) -> f64 {
    let shifts = history.records().iter();
    let shifts = shifts.filter_map(|record| record.observation.evidence.feature_shift);
    let (count, sum) = shifts.fold((0.0, 0.0), |(count, sum), shift| (count + 1.0, sum + shift));
    if count > 0.0 { sum / count } else { 0.0 }
}

/// The quantile of a sum of Beta errors with these means and one variance.
fn sum_quantile(means: &[f64], variance: f64) -> f64 {
    let length = means.len() as f64;
    let (mut mean, mut spread) = (0.0, 0.0);
    for each in means {
        mean += each;
        // A Beta cannot spread further than this.
        spread += variance.min(0.99 * each * (1.0 - each));
    }
    if spread <= 0.0 || length <= 0.0 {
        return mean;
    }
    let (share, variance) = (mean / length, spread / (length * length));
    let size = share * (1.0 - share) / variance - 1.0;
    match Beta::new(share * size, (1.0 - share) * size) {
        Ok(beta) => length * beta.inverse_cdf(QUANTILE),
        Err(_) => mean,
    }
}

impl<const N: usize> ElasticNet<N> {
    /// Least `1 / (2 n) · ‖y − X w‖² + penalty · (l1_ratio · ‖w‖₁ + (1 − l1_ratio) / 2 · ‖w‖²)` by
    /// cyclic coordinate descent (Friedman, Hastie & Tibshirani 2010) on standardised features.
    pub(crate) fn fit(rows: &[[f64; N]], targets: &[f64], penalty: f64, l1_ratio: f64) -> Self {
        let count = rows.len() as f64;
        let (mut means, mut scales) = ([0.0; N], [1.0; N]);
        for feature in 0..N {
            means[feature] = rows.iter().map(|row| row[feature]).sum::<f64>() / count;
            let square = |row: &[f64; N]| (row[feature] - means[feature]).powi(2);
            let variance = rows.iter().map(square).sum::<f64>() / count;
            scales[feature] = if variance > 1e-24 { variance.sqrt() } else { 1.0 };
        }
        // All that the descent asks of the rows: with few features a round takes no time.
        let (mut products, mut pulls) = ([[0.0; N]; N], [0.0; N]);
        let intercept = targets.iter().sum::<f64>() / count;
        for (row, target) in rows.iter().zip(targets) {
            let mut standard = [0.0; N];
            for feature in 0..N {
                standard[feature] = (row[feature] - means[feature]) / scales[feature];
            }
            for one in 0..N {
                pulls[one] += standard[one] * (target - intercept) / count;
                for other in 0..N {
                    products[one][other] += standard[one] * standard[other] / count;
                }
            }
        }
        let mut weights = [0.0; N];
        for _ in 0..ROUNDS {
            let mut moved = 0.0_f64;
            for feature in 0..N {
                let square = products[feature][feature];
                let others = (0..N).filter(|other| *other != feature);
                let explained = others.map(|other| products[feature][other] * weights[other]);
                let pull = pulls[feature] - explained.sum::<f64>();
                let shrunk = (pull.abs() - penalty * l1_ratio).max(0.0) * pull.signum();
                let weight =
                    if square > 0.0 { shrunk / (square + penalty * (1.0 - l1_ratio)) } else { 0.0 };
                moved = moved.max((weight - weights[feature]).abs());
                weights[feature] = weight;
            }
            if moved < 1e-12 {
                break;
            }
        }
        ElasticNet { means, scales, intercept, weights }
    }

    pub(crate) fn predict(&self, row: &[f64; N]) -> f64 {
        let terms = (0..N).map(|feature| {
            self.weights[feature] * (row[feature] - self.means[feature]) / self.scales[feature]
        });
        self.intercept + terms.sum::<f64>()
    }
}

fn whole(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ROWS: [[f64; 4]; 12] = [
        [0.126, 0.604, -1.68, 5.21],
        [-0.536, 2.085, -1.348, 6.894],
        [-0.704, -2.796, -2.312, 5.083],
        [-2.325, 0.344, -2.623, 3.535],
        [-0.544, 0.051, -1.794, 7.085],
        [-0.129, 5.099, -2.333, 5.703],
        [0.903, 1.282, -2.372, 3.157],
        [-0.458, 1.661, -2.505, 4.582],
        [-0.159, 2.623, -1.893, 5.711],
        [-0.654, 0.611, -1.608, 7.987],
        [-1.259, 5.542, -1.327, 6.563],
        [0.264, 0.058, -1.271, 8.921],
    ];
    const TARGETS: [f64; 12] =
        [1.004, 0.399, 0.823, -1.24, 0.425, -0.317, 0.124, 0.016, 0.096, 0.558, -1.437, 0.814];

    #[test]
    fn elastic_net_is_that_of_scikit_learn() {
        // scikit-learn 1.9.1, ElasticNet(alpha, l1_ratio, tol=1e-14) on StandardScaler's output.
        for (penalty, l1_ratio, weights) in [
            (
                1e-4,
                0.5,
                [
                    0.445_165_047_032_426_54,
                    -0.462_675_727_547_892_77,
                    0.014_790_992_312_697_981,
                    0.210_427_517_810_085_15,
                ],
            ),
            (
                0.05,
                0.5,
                [
                    0.413_628_021_770_292_34,
                    -0.424_612_395_962_837_34,
                    0.003_721_802_975_140_560_5,
                    0.191_333_330_223_022_43,
                ],
            ),
            (
                0.2,
                0.9,
                [0.278_042_293_407_641_47, -0.269_511_692_702_913_6, 0.0, 0.049_928_418_551_640_97],
            ),
        ] {
            let net = ElasticNet::fit(&ROWS, &TARGETS, penalty, l1_ratio);
            for (found, expected) in net.weights.iter().zip(weights) {
                assert!((found - expected).abs() < 1e-9, "{found} {expected}");
            }
            assert!((net.intercept - 0.105_416_666_666_666_66).abs() < 1e-12);
        }
    }

    #[test]
    fn quantile_of_a_sum_is_that_of_the_matched_beta() {
        // scipy 1.17.1, stats.beta.ppf of the matched distribution.
        let found = sum_quantile(&[0.3, 0.32, 0.35, 0.4], 0.002);
        assert!((found - 1.518_722_564_780_748_3).abs() < 1e-6, "{found}");
    }
}
