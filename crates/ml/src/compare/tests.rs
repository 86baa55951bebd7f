//! Comparisons against reference figures on the seeded fixtures, and their edges.

use super::{
    Difference, Error, MISSING, Method, Outcome, Pair, Request, SliceColumn, difference, holm,
    measure, negative_flips, optimal_block_length, slices,
};
use crate::metrics::fixtures::{self, Rows, close, close_within};
use crate::metrics::{Metric, Task, Undefined};
use crate::rng::Rng;

const FOUR: Task = Task::Multiclass { classes: 4 };

fn pair(rows: &Rows) -> Pair<'_> {
    Pair { labels: &rows.labels, champion: &rows.champion, candidate: &rows.candidate }
}

fn of(metric: Metric, task: Task, rows: &Rows) -> Difference {
    difference(metric, task, pair(rows), 0.05, 1).unwrap()
}

#[test]
fn delong_agrees_with_placements_by_all_pairs() {
    // numpy 2.4.6: psi over all pairs of rows, np.cov of the placements, normal bounds by scipy 1.17.1.
    let found = of(Metric::Auc, Task::Binary, &fixtures::binary(500, 1));
    assert_eq!(found.method, Method::DeLong);
    close(found.champion, 0.773_563_065_712_821_9);
    close(found.candidate, 0.872_720_544_981_878_2);
    close(found.difference, 0.099_157_479_269_056_38);
    close(found.standard_error, 0.028_830_827_768_875_41);
    close(found.p_value, 0.000_583_249_439_058_904);
    close(found.lower, 0.051_734_987_645_408_44);
    close(found.upper, 0.146_579_970_892_704_33);
}

#[test]
fn multiclass_auc_has_the_error_of_the_jackknife() {
    // Leave-one-out over sklearn 1.9.1's roc_auc_score(multi_class="ovr"): standard error 0.0091127.
    let found = of(Metric::Auc, FOUR, &fixtures::multiclass(500, 2));
    close(found.difference, 0.033_430_161_110_670_65);
    close_within(found.standard_error, 0.009_112_678_9, 0.000_05);
}

#[test]
fn mcnemar_is_that_of_statsmodels() {
    // statsmodels 0.15.0, mcnemar(table, exact=.., correction=True); Bonett-Price bounds by hand in
    // numpy.
    let rows = fixtures::binary(500, 1);
    let found = of(Metric::Accuracy, Task::Binary, &rows);
    assert_eq!(
        found.method,
        Method::McNemar { champion_only: 81, candidate_only: 124, exact: false }
    );
    close(found.difference, 0.086);
    close(found.p_value, 0.003_352_638_169_253_672_5);
    close(found.standard_error, 0.028_376_187_199_833_595);
    close(found.lower, 0.038_936_588_759_170_56);
    close(found.upper, 0.132_378_152_276_686_03);

    let few = Pair {
        labels: &rows.labels[..60],
        champion: &rows.champion[..60],
        candidate: &rows.candidate[..60],
    };
    let found = difference(Metric::Accuracy, Task::Binary, few, 0.05, 1).unwrap();
    assert_eq!(
        found.method,
        Method::McNemar { champion_only: 10, candidate_only: 14, exact: true }
    );
    close(found.p_value, 0.541_256_189_346_313_5);
    close(found.lower, -0.070_087_313_122_811_33);
    close(found.upper, 0.199_119_571_187_327_45);
}

#[test]
fn bootstrap_of_log_loss_is_that_of_scipy() {
    // scipy 1.17.1, bootstrap(method="percentile", n_resamples=100000): 0.021258, [0.04361, 0.11339].
    let found = of(Metric::LogLoss, Task::Binary, &fixtures::binary(500, 1));
    assert_eq!(found.method, Method::PairedBootstrap { block: 1, resamples: 1_000 });
    close(found.difference, 0.078_497_022_494_055_16);
    close_within(found.standard_error, 0.021_258, 0.002);
    close_within(found.lower, 0.043_61, 0.005);
    close_within(found.upper, 0.113_39, 0.005);
}

#[test]
fn bootstrap_of_f1_and_regression_agrees_with_numpy() {
    // numpy 2.4.6 resampling sklearn 1.9.1's metrics 3,000 to 20,000 times.
    let binary = fixtures::binary(500, 1);
    let multiclass = fixtures::multiclass(500, 2);
    let regression = fixtures::regression(500, 3);
    for (metric, task, rows, value, error, bounds) in [
        (Metric::F1, Task::Binary, &binary, 0.105_580_05, 0.040_2, [0.040_2, 0.171_3]),
        (Metric::F1, FOUR, &multiclass, 0.072_132_088, 0.027_5, [0.027, 0.117_6]),
        (Metric::Rmse, Task::Regression, &regression, 0.125_995_94, 0.023_33, [0.087_7, 0.164_3]),
        (Metric::R2, Task::Regression, &regression, 0.023_754_595, 0.004_56, [0.016_43, 0.031_4]),
        (Metric::Mae, Task::Regression, &regression, 0.120_669_381, 0.025_66, [0.078_5, 0.162_9]),
    ] {
        let found = of(metric, task, rows);
        close_within(found.difference, value, 1e-8);
        assert!((found.standard_error / error - 1.0).abs() < 0.1, "{found:?}");
        assert!((found.lower - bounds[0]).abs() < 0.25 * error, "{found:?}");
        assert!((found.upper - bounds[1]).abs() < 0.25 * error, "{found:?}");
    }
}

#[test]
fn many_classes_are_counted_like_few() {
    // 20 classes of which four occur: the same rows, the other way of counting.
    let few = fixtures::multiclass(300, 2);
    let wide = |predictions: &[f64]| {
        let row = |row: &[f64]| [row, &[0.0; 16]].concat();
        predictions.chunks_exact(4).flat_map(row).collect::<Vec<_>>()
    };
    let (champion, candidate) = (wide(&few.champion), wide(&few.candidate));
    let many = Pair { labels: &few.labels, champion: &champion, candidate: &candidate };
    let task = Task::Multiclass { classes: 20 };
    assert_eq!(
        difference(Metric::F1, task, many, 0.05, 1).unwrap(),
        difference(Metric::F1, FOUR, pair(&few), 0.05, 1).unwrap()
    );
}

#[test]
fn block_length_is_that_of_arch() {
    // arch 8.0.0, optimal_block_length(x)["circular"], of 2,000 values of an AR(1) process: 0.828 (here 1:
    // the rows look independent), 8.62, 35.58, 73.06.
    for (phi, length) in [(0.0, 1), (0.3, 9), (0.8, 36), (0.95, 74)] {
        assert_eq!(optimal_block_length(&autoregressive(phi, 2_000, 5)), length, "{phi}");
    }
    assert_eq!(optimal_block_length(&[2.0; 100]), 1);
    assert_eq!(optimal_block_length(&[]), 1);
}

fn autoregressive(phi: f64, rows: usize, seed: u64) -> Vec<f64> {
    let mut rng = Rng::new(seed);
    let mut value = 0.0;
    (0..rows)
        .map(|_| {
            value = phi * value + (rng.uniform() - 0.5);
            value
        })
        .collect()
}

#[test]
fn blocks_widen_the_error_of_autocorrelated_rows() {
    // The mean of n values of an AR(1) process has the standard error σ / (1 − φ) / √n.
    let (rows, phi) = (4_000, 0.7);
    let gaps = autoregressive(phi, rows, 8);
    let labels = vec![0.0; rows];
    let candidate = vec![1.0; rows];
    let champion = gaps.iter().map(|gap| 1.0 + 0.1 * gap).collect::<Vec<_>>();
    let pair = Pair { labels: &labels, champion: &champion, candidate: &candidate };
    let found = difference(Metric::Mae, Task::Regression, pair, 0.05, 3).unwrap();
    assert!(
        matches!(found.method, Method::PairedBootstrap { block, .. } if block > 10),
        "{found:?}"
    );
    let expected = 0.1 * (1.0_f64 / 12.0).sqrt() / (1.0 - phi) / (rows as f64).sqrt();
    assert!((found.standard_error / expected - 1.0).abs() < 0.2, "{found:?} {expected}");
}

#[test]
fn draws_depend_on_the_seed_alone() {
    let rows = fixtures::binary(300, 2);
    let with = |seed| difference(Metric::LogLoss, Task::Binary, pair(&rows), 0.05, seed).unwrap();
    assert_eq!(with(4), with(4));
    assert_ne!(with(4), with(5));
}

#[test]
fn bounds_hold_as_often_as_they_promise() {
    // 400 independent pairs of equally good models: a 5 % bound misses zero in about 20 of them.
    for metric in [Metric::Auc, Metric::Accuracy, Metric::LogLoss] {
        let (mut above, mut below) = (0, 0);
        for seed in 0..400 {
            let mut rows = fixtures::binary(300, 1_000 + seed);
            let other = fixtures::binary(300, 9_000 + seed);
            let mut rng = Rng::new(seed);
            for row in 0..300 {
                let label = rows.labels[row];
                rows.champion[row] = 0.2 * label + 0.8 * other.weights[row] / 1.5;
                rows.candidate[row] = 0.2 * label + 0.8 * (0.5 + rng.uniform()) / 1.5;
            }
            let found = difference(metric, Task::Binary, pair(&rows), 0.05, seed).unwrap();
            above += u32::from(found.lower > 0.0);
            below += u32::from(found.upper < 0.0);
        }
        assert!((8..36).contains(&above) && (8..36).contains(&below), "{metric:?} {above} {below}");
    }
}

#[test]
fn the_same_model_twice_differs_by_nothing() {
    let mut rows = fixtures::binary(300, 5);
    rows.candidate.clone_from(&rows.champion);
    for metric in Metric::ALL.into_iter().filter(|metric| metric.fits(Task::Binary)) {
        let found = of(metric, Task::Binary, &rows);
        for number in [found.difference, found.standard_error, found.lower, found.upper] {
            assert!(number.total_cmp(&0.0).is_eq(), "{found:?}");
        }
        close(found.p_value, 1.0);
    }
}

#[test]
fn perfect_ranking_by_both_has_no_spread() {
    let labels = [0.0, 0.0, 0.0, 1.0, 1.0];
    let (champion, candidate) = ([0.1, 0.2, 0.3, 0.8, 0.9], [0.3, 0.2, 0.1, 0.6, 0.5]);
    let pair = Pair { labels: &labels, champion: &champion, candidate: &candidate };
    let found = difference(Metric::Auc, Task::Binary, pair, 0.05, 1).unwrap();
    for (number, expected) in
        [(found.difference, 0.0), (found.lower, 0.0), (found.upper, 0.0), (found.p_value, 1.0)]
    {
        assert!(number.total_cmp(&expected).is_eq(), "{found:?}");
    }
}

#[test]
fn rows_that_cannot_be_compared_say_why() {
    let compare = |labels: &[f64], champion: &[f64], candidate: &[f64], alpha| {
        let pair = Pair { labels, champion, candidate };
        difference(Metric::Auc, Task::Binary, pair, alpha, 1).unwrap_err()
    };
    let one_class = compare(&[1.0, 1.0], &[0.1, 0.2], &[0.1, 0.2], 0.05);
    assert_eq!(
        one_class,
        Error::Undefined { metric: Metric::Auc, model: "champion", reason: Undefined::OneClass }
    );
    assert_eq!(
        compare(&[1.0, 0.0, 0.0], &[0.1, 0.2, 0.1], &[0.3, 0.1, 0.2], 0.05),
        Error::TooFewOfClass { class: 1, rows: 1 }
    );
    let broken = compare(&[1.0, 0.0], &[0.1, 0.2], &[f64::NAN, 0.2], 0.05);
    assert_eq!(broken.to_string(), "auc of the candidate is undefined on the rows to compare");
    assert_eq!(compare(&[1.0, 0.0], &[0.1, 0.2], &[0.1, 0.2], 0.7), Error::Alpha(0.7));
}

fn sliced(rows: usize) -> (Rows, Vec<u32>) {
    let mut data = fixtures::binary(rows, 6);
    let codes = (0..rows).map(|row| [0, 1, MISSING][row % 3]).collect::<Vec<_>>();
    for (row, code) in codes.iter().enumerate() {
        if *code == MISSING {
            data.candidate[row] = 1.0 - data.candidate[row];
        }
    }
    (data, codes)
}

#[test]
fn a_harmed_slice_is_found_among_better_ones() {
    // O(n²) placements in numpy 2.4.6, one-sided normal p, statsmodels 0.15.0 multipletests("holm"): adjusted
    // 1, 1, 1.12e-119; differences .058162, .031002, -.669534.
    let (rows, codes) = sliced(1_200);
    let names = ["a".to_owned(), "b".to_owned()];
    let columns = [SliceColumn { name: "carrier", codes: &codes, names: &names }];
    let mut request = Request::new(Metric::Auc, Task::Binary, pair(&rows));
    request.slices = &columns;
    let found = slices(&request).unwrap();
    let values = found.iter().map(|slice| slice.value.as_str()).collect::<Vec<_>>();
    assert_eq!(values, ["a", "b", "(missing)"]);
    let expected = [0.058_162_437_7, 0.031_001_781_9, -0.669_534_237_1];
    for (slice, expected) in found.iter().zip(expected) {
        let Outcome::Measured { difference, p_value_harm, harmed } = &slice.outcome else {
            panic!("{slice:?}");
        };
        close(difference.difference, expected);
        assert_eq!((*harmed, slice.rows), (expected < 0.0, 400));
        assert!(*harmed || p_value_harm.total_cmp(&1.0).is_eq(), "{slice:?}");
    }
    // With a margin that wide nothing counts as harm.
    request.slice_margin = 0.9;
    let forgiven = slices(&request).unwrap();
    assert!(
        forgiven
            .iter()
            .all(|slice| !matches!(slice.outcome, Outcome::Measured { harmed: true, .. }))
    );
    request.slice_rows_min = 401;
    assert_eq!(slices(&request).unwrap(), []);
}

#[test]
fn a_slice_of_one_class_says_so_and_stops_nothing() {
    let rows = fixtures::binary(1_000, 6);
    let codes = rows.labels.iter().map(|label| u32::from(*label > 0.5)).collect::<Vec<_>>();
    let columns = [SliceColumn { name: "outcome", codes: &codes, names: &[] }];
    let mut request = Request::new(Metric::Auc, Task::Binary, pair(&rows));
    request.slices = &columns;
    let found = slices(&request).unwrap();
    assert_eq!(found.len(), 2);
    for slice in &found {
        let Outcome::Unmeasured { reason } = &slice.outcome else { panic!("{slice:?}") };
        assert!(reason.contains("all rows have the same class"), "{reason}");
    }
    let short = [SliceColumn { name: "outcome", codes: &codes[1..], names: &[] }];
    request.slices = &short;
    let text = slices(&request).unwrap_err().to_string();
    assert_eq!(text, "slice column `outcome` has 999 values for 1000 rows");
}

#[test]
fn holm_is_that_of_statsmodels() {
    // statsmodels 0.15.0, multipletests(method="holm").
    let adjusted = holm(&[0.01, 0.04, 0.03, 0.005, 0.2]);
    for (found, expected) in adjusted.into_iter().zip([0.04, 0.09, 0.09, 0.025, 0.2]) {
        close(found, expected);
    }
}

#[test]
fn evidence_covers_everything_and_survives_saving() {
    let (rows, codes) = sliced(1_200);
    let columns = [SliceColumn { name: "carrier", codes: &codes, names: &[] }];
    let mut request = Request::new(Metric::Auc, Task::Binary, pair(&rows));
    request.slices = &columns;
    let evidence = measure(&request).unwrap();
    assert_eq!(evidence.rows, 1_200);
    assert_eq!((evidence.others.len(), evidence.slices.len()), (4, 3));
    assert!(evidence.unmeasured.is_empty());
    let calibration = evidence.calibration.clone().unwrap();
    let of_metric = |metric| evidence.others.iter().find(|other| other.metric == metric).unwrap();
    close(calibration.champion.log_loss, of_metric(Metric::LogLoss).champion);
    close(calibration.candidate.brier, of_metric(Metric::Brier).candidate);
    let flips = evidence.flips.clone().unwrap();
    close(flips.positive - flips.negative, of_metric(Metric::Accuracy).difference);
    let text = serde_json::to_string(&evidence).unwrap();
    assert_eq!(serde_json::from_str::<super::Evidence>(&text).unwrap(), evidence);
}

#[test]
fn regression_has_neither_calibration_nor_flips() {
    let rows = fixtures::regression(200, 3);
    let evidence = measure(&Request::new(Metric::Rmse, Task::Regression, pair(&rows))).unwrap();
    assert_eq!((evidence.calibration, evidence.flips, evidence.others.len()), (None, None, 2));
    let constant = Pair { labels: &[1.0; 200], ..pair(&rows) };
    let evidence = measure(&Request::new(Metric::Rmse, Task::Regression, constant)).unwrap();
    assert_eq!(evidence.unmeasured[0].metric, Metric::R2);
    assert!(evidence.unmeasured[0].reason.contains("all labels are equal"));
}

#[test]
fn flips_count_answers_that_change_sides() {
    let pair = Pair {
        labels: &[1.0, 1.0, 0.0, 0.0],
        champion: &[0.9, 0.2, 0.1, 0.7],
        candidate: &[0.3, 0.8, 0.2, 0.1],
    };
    let flips = negative_flips(Task::Binary, pair).unwrap().unwrap();
    assert_eq!((flips.negative, flips.positive), (0.25, 0.5));
}
