//! Window means against a baseline by threshold and one-sample t-test: the classic preset's test.
//!
//! Looking again and again inflates its false alarms; [`sequential`](super::sequential) does not.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::{Decay, Direction, SIGNIFICANCE, Test, percent};
use crate::metrics::Metric;

/// Fewer values than this say nothing.
pub const VALUES_MIN: usize = 10;

/// How large a drop must be to be detected.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind", content = "value")]
pub enum Threshold {
    /// In the metric's unit: right for metrics between 0 and 1.
    Absolute(f64),
    /// As a share of the baseline: right for errors in the label's unit. 0 where the baseline is not
    /// above 0.
    Relative(f64),
}

/// The values of one metric: one per bucket of rows, of one window.
#[derive(Clone, Copy, Debug)]
pub struct Series<'a> {
    /// Name of the metric.
    pub metric: &'a str,
    /// Which way it improves.
    pub direction: Direction,
    /// Name of the window.
    pub window: &'a str,
    /// One value per bucket; those that are not finite are left out.
    pub values: &'a [f64],
    /// What the mean is held against; `None` where nothing is known.
    pub baseline: Option<f64>,
    /// Predictions of the window whose label is not available yet.
    pub unlabelled: usize,
}

impl Threshold {
    /// `drop` in the metric's unit; of metrics in the label's unit as a share of the baseline.
    #[must_use]
    pub fn of(metric: Metric, drop: f64) -> Threshold {
        match metric {
            Metric::Rmse | Metric::Mae => Threshold::Relative(drop),
            Metric::Auc
            | Metric::Accuracy
            | Metric::LogLoss
            | Metric::Brier
            | Metric::F1
            | Metric::R2 => Threshold::Absolute(drop),
        }
    }

    /// In the metric's unit.
    #[must_use]
    pub fn against(self, baseline: f64) -> f64 {
        match self {
            Threshold::Absolute(drop) => drop,
            Threshold::Relative(share) => share * baseline.max(0.0),
        }
    }
}

/// Measures each window that has at least [`VALUES_MIN`] finite values; of the others nothing is said.
#[must_use]
pub fn windows(series: &[Series<'_>], threshold: Threshold) -> Vec<Decay> {
    series.iter().filter_map(|series| window(series, threshold)).collect()
}

/// Measures one window; `None` below [`VALUES_MIN`] finite values.
#[must_use]
pub fn window(series: &Series<'_>, threshold: Threshold) -> Option<Decay> {
    let values =
        series.values.iter().copied().filter(|value| value.is_finite()).collect::<Vec<_>>();
    if values.len() < VALUES_MIN {
        return None;
    }
    let count = values.len() as f64;
    let current = values.iter().sum::<f64>() / count;
    let squares = values.iter().map(|value| (value - current) * (value - current)).sum::<f64>();
    let std = (squares / (count - 1.0)).sqrt();
    let baseline = series.baseline.filter(|baseline| baseline.is_finite()).unwrap_or(current);
    let drop = series.direction.drop(baseline, current);
    let p_value = one_sample(current - baseline, std / count.sqrt(), count - 1.0);
    let threshold = threshold.against(baseline);
    Some(Decay {
        metric: series.metric.to_owned(),
        window: series.window.to_owned(),
        current,
        baseline,
        drop,
        drop_percent: percent(drop, baseline),
        std,
        p_value,
        p_adjusted: p_value,
        significant: p_value < SIGNIFICANCE,
        detected: drop > threshold,
        threshold,
        unlabelled: series.unlabelled,
        test: Test::TTestUncorrected,
        values: values.len(),
        undefined: 0,
    })
}

/// Two-sided p-value of Student's one-sample test. Values without spread are either the baseline (1) or
/// certainly not (0).
fn one_sample(distance: f64, standard_error: f64, freedom: f64) -> f64 {
    // A spread of nothing but rounding is none.
    if standard_error > distance.abs() * 1e-12 {
        let t = distance / standard_error;
        return StudentsT::new(0.0, 1.0, freedom)
            .map_or(1.0, |student| (2.0 * student.sf(t.abs())).min(1.0));
    }
    if distance.abs() > 0.0 { 0.0 } else { 1.0 }
}

#[cfg(test)]
mod tests {
    use super::super::priority;
    use super::*;
    use crate::metrics::fixtures::close;

    const VALUES: [f64; 12] =
        [0.70, 0.71, 0.69, 0.72, 0.68, 0.70, 0.73, 0.69, 0.70, 0.71, 0.66, 0.72];

    fn series(values: &[f64], baseline: Option<f64>, direction: Direction) -> Series<'_> {
        Series { metric: "auc", direction, window: "24h", values, baseline, unlabelled: 7 }
    }

    #[test]
    fn a_fall_is_measured_as_scipy_does() {
        // scipy 1.17.1, ttest_1samp(values, 0.75): p 2.522481703480454e-06; (values, 0.70):
        // 0.8837283789644389; numpy 2.4.6: mean 0.7008333, std(ddof=1) 0.0192865.
        let up = Direction::HigherIsBetter;
        let threshold = Threshold::Absolute(0.04);
        let decay = window(&series(&VALUES, Some(0.75), up), threshold).unwrap();
        close(decay.current, 0.700_833_333_333_333_3);
        close(decay.std, 0.019_286_515_936_521_46);
        close(decay.drop, 0.049_166_666_666_666_7);
        close(decay.drop_percent, 6.555_555_555_555_56);
        assert!((decay.p_value / 2.522_481_703_480_454e-6 - 1.0).abs() < 1e-9, "{decay:?}");
        assert!(decay.significant && decay.detected);
        assert_eq!((decay.unlabelled, priority(&[decay])), (7, 3));
        let decay = window(&series(&VALUES, Some(0.70), up), threshold).unwrap();
        close(decay.p_value, 0.883_728_378_964_438_9);
        assert!(!decay.significant && !decay.detected);
    }

    #[test]
    fn where_lower_is_better_a_rise_is_the_drop() {
        let down = Direction::LowerIsBetter;
        let worse = window(&series(&VALUES, Some(0.60), down), Threshold::Absolute(0.05)).unwrap();
        close(worse.drop, 0.100_833_333_333_333_3);
        assert!(worse.detected);
        let better = window(&series(&VALUES, Some(0.75), down), Threshold::Absolute(0.05)).unwrap();
        assert!(better.drop < 0.0 && better.significant && !better.detected);
    }

    #[test]
    fn too_few_values_say_nothing() {
        let up = Direction::HigherIsBetter;
        let threshold = Threshold::Absolute(0.05);
        assert_eq!(window(&series(&VALUES[..9], Some(0.9), up), threshold), None);
        let mut holes = VALUES;
        holes[..3].fill(f64::NAN);
        assert_eq!(window(&series(&holes, Some(0.9), up), threshold), None);
        let both = [series(&VALUES, Some(0.9), up), series(&VALUES[..9], Some(0.9), up)];
        assert_eq!(windows(&both, threshold).len(), 1);
    }

    #[test]
    fn a_missing_baseline_is_the_current_mean() {
        let decay =
            window(&series(&VALUES, None, Direction::HigherIsBetter), Threshold::Absolute(0.05))
                .unwrap();
        close(decay.baseline, decay.current);
        close(decay.p_value, 1.0);
        assert!(!decay.detected && decay.drop.abs() < 1e-15);
    }

    #[test]
    fn percentage_is_zero_without_a_positive_baseline() {
        let values = [-0.2; 10];
        let decay = window(
            &series(&values, Some(0.0), Direction::HigherIsBetter),
            Threshold::Absolute(0.05),
        )
        .unwrap();
        close(decay.drop_percent, 0.0);
        close(decay.p_value, 0.0); // no spread, another mean
        assert_eq!(priority(&[decay]), 2);
    }

    #[test]
    fn errors_in_the_labels_unit_are_judged_relatively() {
        let values = [104.0, 103.0, 105.0, 104.0, 104.0, 103.0, 105.0, 104.0, 104.0, 104.0];
        let threshold = Threshold::of(Metric::Rmse, 0.05);
        let decay =
            window(&series(&values, Some(100.0), Direction::of(Metric::Rmse)), threshold).unwrap();
        close(decay.threshold, 5.0);
        assert!(!decay.detected && decay.significant);
    }

    #[test]
    fn priority_climbs_with_the_worst_detected_drop() {
        let up = Direction::HigherIsBetter;
        let decay = |percent: f64| {
            let mut decay =
                window(&series(&VALUES, Some(0.9), up), Threshold::Absolute(0.05)).unwrap();
            decay.drop_percent = percent;
            decay
        };
        for (percent, expected) in
            [(20.1, 5), (20.0, 4), (10.1, 4), (10.0, 3), (5.1, 3), (5.0, 2), (1.0, 2)]
        {
            assert_eq!(priority(&[decay(1.0), decay(percent)]), expected, "{percent}");
        }
        let mut quiet = decay(50.0);
        quiet.detected = false;
        assert_eq!((priority(&[quiet]), priority(&[])), (1, 1));
    }
}
