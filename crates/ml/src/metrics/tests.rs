//! Metrics against scikit-learn 1.9.1 on the seeded fixtures, and their edges.

use super::calibration::{BINS, expected_calibration_error, reliability};
use super::fixtures::{Rows, binary, close, multiclass, regression};
use super::{Metric, Task, Undefined, loss};

const FOUR: Task = Task::Multiclass { classes: 4 };

#[track_caller]
fn check(task: Task, rows: &Rows, weighted: bool, expected: &[(Metric, f64)]) {
    let weights = weighted.then_some(rows.weights.as_slice());
    for (metric, value) in expected {
        close(metric.measure(task, &rows.labels, &rows.champion, weights).unwrap(), *value);
    }
}

#[test]
fn binary_metrics_are_those_of_scikit_learn() {
    let expected = [
        (Metric::Auc, 0.773_563_065_712_821_9),
        (Metric::Accuracy, 0.684),
        (Metric::LogLoss, 0.530_015_736_735_204_2),
        (Metric::Brier, 0.183_028_800_000_000_02),
        (Metric::F1, 0.551_136_363_636_363_6),
    ];
    check(Task::Binary, &binary(500, 1), false, &expected);
    let weighted = [
        (Metric::Auc, 0.786_416_308_977_647_8),
        (Metric::Accuracy, 0.693_308_023_046_317_6),
        (Metric::LogLoss, 0.522_703_324_013_746_3),
        (Metric::Brier, 0.179_814_492_216_260_86),
        (Metric::F1, 0.568_976_173_158_111_4),
    ];
    check(Task::Binary, &binary(500, 1), true, &weighted);
}

#[test]
fn multiclass_metrics_are_those_of_scikit_learn() {
    // roc_auc_score(multi_class="ovr"), f1_score(average="macro").
    let expected = [
        (Metric::Auc, 0.909_996_999_328_341_9),
        (Metric::Accuracy, 0.72),
        (Metric::LogLoss, 0.936_380_602_576_708_5),
        (Metric::Brier, 0.514_622_949_667_382_8),
        (Metric::F1, 0.719_544_124_578_080_7),
    ];
    check(FOUR, &multiclass(500, 2), false, &expected);
}

#[test]
fn regression_metrics_are_those_of_scikit_learn() {
    let expected = [
        (Metric::Rmse, 0.874_235_845_583_614_3),
        (Metric::Mae, 0.761_418_470_540_404),
        (Metric::R2, 0.911_188_318_210_163_8),
    ];
    check(Task::Regression, &regression(500, 3), false, &expected);
    let weighted = [
        (Metric::Rmse, 0.862_184_259_738_897_6),
        (Metric::Mae, 0.747_399_105_316_753),
        (Metric::R2, 0.914_549_723_161_940_2),
    ];
    check(Task::Regression, &regression(500, 3), true, &weighted);
}

#[test]
fn reliability_is_the_calibration_curve_of_scikit_learn() {
    // calibration_curve(y, p, n_bins=10) and the weighted gap computed from it.
    let rows = binary(500, 1);
    let bins = reliability(Task::Binary, &rows.labels, &rows.champion, BINS);
    let curve = [
        (0.0, 0.052_592_59),
        (0.0, 0.162_666_67),
        (0.253_968_25, 0.263_492_06),
        (0.264_705_88, 0.356_470_59),
        (0.289_855_07, 0.459_130_43),
        (0.323_943_66, 0.556_901_41),
        (0.333_333_33, 0.655),
        (1.0, 0.756_25),
        (1.0, 0.858_095_24),
        (1.0, 0.924_444_44),
    ];
    assert_eq!(bins.len(), curve.len());
    for (bin, (observed, predicted)) in bins.iter().zip(curve) {
        assert!((bin.observed - observed).abs() < 1e-8 && (bin.predicted - predicted).abs() < 1e-8);
    }
    assert_eq!(bins.iter().map(|bin| bin.rows).sum::<usize>(), 500);
    close(expected_calibration_error(&bins), 0.159_6);

    let rows = multiclass(500, 2);
    let bins = reliability(FOUR, &rows.labels, &rows.champion, BINS);
    close(expected_calibration_error(&bins), 0.308_019_252_242_444_14);
    assert!(reliability(Task::Regression, &[1.0], &[1.0], BINS).is_empty());
}

#[test]
fn row_losses_average_to_the_metric() {
    let rows = multiclass(300, 4);
    let losses = loss::row_losses(FOUR, &rows.labels, &rows.champion);
    let metric = Metric::LogLoss.value(FOUR, &rows.labels, &rows.champion).unwrap();
    close(losses.iter().sum::<f64>() / 300.0, metric);
    let losses = loss::row_losses(Task::Regression, &[1.0, 2.0], &[3.0, 2.0]);
    assert_eq!(losses, [4.0, 0.0]);
}

#[test]
fn sure_mistakes_cost_a_bounded_loss() {
    let losses = loss::row_losses(Task::Binary, &[1.0, 0.0], &[0.0, 1.0]);
    assert!(losses.iter().all(|loss| (13.8..loss::LOG_LOSS_MAX).contains(loss)), "{losses:?}");
}

#[test]
fn undefined_metrics_say_why() {
    let reason = |metric: Metric, task, labels: &[f64], predictions: &[f64]| {
        assert_eq!(metric.value(task, labels, predictions), None);
        metric.reason_undefined(task, labels, predictions).unwrap()
    };
    assert_eq!(reason(Metric::Auc, Task::Binary, &[1.0, 1.0], &[0.1, 0.2]), Undefined::OneClass);
    assert_eq!(
        reason(Metric::F1, Task::Binary, &[0.0, 0.0], &[0.1, 0.2]),
        Undefined::NothingPositive
    );
    assert_eq!(
        reason(Metric::R2, Task::Regression, &[3.0, 3.0], &[0.1, 0.2]),
        Undefined::ConstantLabels
    );
    assert_eq!(reason(Metric::Auc, Task::Binary, &[], &[]), Undefined::NoRows);
    let text = reason(Metric::Rmse, Task::Binary, &[1.0], &[0.1]).to_string();
    assert!(text.contains("`rmse` does not fit a binary model: write one of auc, "), "{text}");
    let text = reason(Metric::LogLoss, Task::Binary, &[1.0, 0.0], &[0.1]).to_string();
    assert_eq!(text, "2 labels need 2 predictions, but there are 1");
    let text = reason(Metric::LogLoss, Task::Binary, &[1.0, 0.0], &[0.1, f64::NAN]).to_string();
    assert!(text.starts_with("the prediction of row 1 is NaN"), "{text}");
    let text = reason(Metric::LogLoss, Task::Binary, &[2.0], &[0.1]).to_string();
    assert_eq!(text, "label 2 of row 0 is not a class index below 2");
    let weights = [0.0, 0.0];
    let measured =
        Metric::LogLoss.measure(Task::Binary, &[1.0, 0.0], &[0.1, 0.2], Some(weights.as_slice()));
    assert_eq!(measured, Err(Undefined::NoWeight));
}

#[test]
fn ranking_is_exact_at_the_edges() {
    let auc = |labels: &[f64], scores: &[f64]| Metric::Auc.value(Task::Binary, labels, scores);
    assert_eq!(auc(&[0.0, 1.0], &[0.1, 0.9]), Some(1.0));
    assert_eq!(auc(&[0.0, 1.0], &[0.9, 0.1]), Some(0.0));
    assert_eq!(auc(&[0.0, 1.0, 1.0], &[0.5, 0.5, 0.5]), Some(0.5));
    assert_eq!(auc(&[0.0, 1.0], &[0.0, -0.0]), Some(0.5)); // equal, though their bits differ
    assert_eq!(auc(&[0.0, 1.0, 0.0], &[-3.0, -1.0, -2.0]), Some(1.0));
}

#[test]
fn weights_count_rows_as_often() {
    let rows = binary(40, 9);
    let weights = (0..40).map(|row| f64::from(row % 3)).collect::<Vec<_>>();
    let (mut labels, mut predictions) = (Vec::new(), Vec::new());
    for (row, times) in [0, 1, 2].iter().cycle().take(40).enumerate() {
        for _ in 0..*times {
            labels.push(rows.labels[row]);
            predictions.push(rows.champion[row]);
        }
    }
    for metric in Metric::ALL.into_iter().filter(|metric| metric.fits(Task::Binary)) {
        let weighted =
            metric.measure(Task::Binary, &rows.labels, &rows.champion, Some(weights.as_slice()));
        close(weighted.unwrap(), metric.value(Task::Binary, &labels, &predictions).unwrap());
    }
}

#[test]
fn metrics_are_known_by_name() {
    for metric in Metric::ALL {
        assert_eq!(Metric::parse(metric.name()), Some(metric));
        let text = serde_json::to_string(&metric).unwrap();
        assert_eq!(text, format!("\"{}\"", metric.name()));
    }
    assert_eq!(Metric::parse(" Log-Loss "), Some(Metric::LogLoss));
    assert_eq!(Metric::parse("gini"), None);
    for task in [Task::Binary, FOUR, Task::Regression] {
        assert!(Metric::default_for(task).fits(task));
    }
}
