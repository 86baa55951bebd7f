//! Estimates against NannyML, bands against what labels show, edges.

use super::*;
use crate::calibrate::tests::bold;
use crate::metrics::fixtures::{close, close_within};

/// Three classes; raw numbers tilted by class, the true class drawn by the squares of the probabilities.
fn three(rows: usize, seed: u64, tilt: [f64; 3]) -> (Vec<f64>, Vec<f64>) {
    let mut rng = Rng::new(seed);
    let (mut predictions, mut labels) = (Vec::new(), Vec::new());
    for _ in 0..rows {
        let raw = tilt.map(|tilt| 0.05 + rng.uniform() + tilt);
        let total = raw.iter().sum::<f64>();
        let p = raw.map(|value| value / total);
        let squares = p.map(|value| value * value);
        let u = rng.uniform() * squares.iter().sum::<f64>();
        let label = if u < squares[0] {
            0.0
        } else if u < squares[0] + squares[1] {
            1.0
        } else {
            2.0
        };
        predictions.extend(p);
        labels.push(label);
    }
    (predictions, labels)
}

fn of(estimates: &[Estimate], measure: Measure) -> &Estimate {
    estimates.iter().find(|estimate| estimate.measure == measure).unwrap()
}

#[test]
fn binary_estimates_are_those_of_nannyml() {
    // NannyML 0.13.1 with scikit-learn 1.9.1, CBPE(chunk_size=1000), isotonic, on the same seeded rows; the
    // answer is positive above ½. Differences of definition: it rounds cumulated sums of the area's curve to five
    // decimals; it says 0 where a measure divides by nothing, here there is none.
    let (scores, labels) = bold(4_000, 11, 0.05, 0.95);
    let reference = Reference::fit(Task::Binary, &labels, &scores).unwrap();
    assert_eq!(reference.rows(), 4_000);
    // (value, realised) of auc, f1, precision, recall, accuracy: alike rows, harder ones, easier ones.
    let expected = [
        (
            bold(1_000, 21, 0.05, 0.95),
            [
                0.847_722_120_916,
                0.676_212_938_463,
                0.556_220_045_943,
                0.862_218_660_046,
                0.735_799_081_550,
            ],
            [0.836_677_010_743, 0.667_475_728_155, 0.554_435_483_871, 0.838_414_634_146, 0.726],
        ),
        (
            bold(1_000, 22, 0.3, 0.95),
            [
                0.781_147_366_823,
                0.687_739_366_341,
                0.555_972_837_733,
                0.901_364_262_862,
                0.645_583_416_477,
            ],
            [0.803_244_624_611, 0.687_886_825_818, 0.554_131_054_131, 0.906_759_906_760, 0.647],
        ),
        (
            bold(1_000, 23, 0.05, 0.6),
            [
                0.778_852_801_954,
                0.398_305_010_481,
                0.331_918_957_335,
                0.497_885_503_809,
                0.801_441_780_930,
            ],
            [0.786_147_865_537, 0.363_076_923_077, 0.297_979_797_980, 0.464_566_929_134, 0.793],
        ),
    ];
    let measures =
        [Measure::Auc, Measure::F1, Measure::Precision, Measure::Recall, Measure::Accuracy];
    for ((scores, labels), values, realised) in expected {
        let estimates = reference.estimate(&scores, Some(&labels), 1).unwrap();
        for (at, measure) in measures.into_iter().enumerate() {
            let found = of(&estimates, measure);
            let tolerance = if measure == Measure::Auc { 1e-6 } else { 1e-9 };
            close_within(found.value.unwrap(), values[at], tolerance);
            close(found.realised.unwrap(), realised[at]);
            let inside = found.lower < realised[at] && realised[at] < found.upper;
            assert!(inside, "{found:?}");
        }
    }
}

#[test]
fn multiclass_estimates_are_those_of_nannyml() {
    // NannyML 0.13.1, the same way; one class against the rest, calibrated each and made to add up to 1.
    let (predictions, labels) = three(4_000, 31, [0.3, 0.0, 0.0]);
    let task = Task::Multiclass { classes: 3 };
    let reference = Reference::fit(task, &labels, &predictions).unwrap();
    let expected = [
        (
            three(1_000, 41, [0.3, 0.0, 0.0]),
            [
                0.769_099_124_746,
                0.540_287_538_584,
                0.565_644_676_061,
                0.531_451_992_325,
                0.591_633_030_741,
            ],
            [0.779_685_074_819, 0.569_456_307_387, 0.599_259_871_370, 0.558_419_450_067, 0.616],
        ),
        (
            three(1_000, 42, [0.0, 0.5, 0.0]),
            [
                0.769_326_630_559,
                0.471_485_357_716,
                0.550_899_955_144,
                0.460_943_409_145,
                0.620_242_965_172,
            ],
            [0.756_048_162_310, 0.482_254_289_182, 0.565_580_525_152, 0.470_204_704_794, 0.632],
        ),
    ];
    let measures =
        [Measure::Auc, Measure::F1, Measure::Precision, Measure::Recall, Measure::Accuracy];
    for ((predictions, labels), values, realised) in expected {
        let estimates = reference.estimate(&predictions, Some(&labels), 1).unwrap();
        for (at, measure) in measures.into_iter().enumerate() {
            let found = of(&estimates, measure);
            let tolerance = if measure == Measure::Auc { 1e-6 } else { 1e-9 };
            close_within(found.value.unwrap(), values[at], tolerance);
            close(found.realised.unwrap(), realised[at]);
        }
    }
}

#[test]
fn expected_losses_are_those_of_the_calibrated_probabilities() {
    // By hand: probabilities that come true as they are need no calibration.
    let reference = Reference { task: Task::Binary, calibrators: vec![None], rows: 10 };
    let estimates = reference.estimate(&[0.8, 0.3], None, 1).unwrap();
    let entropy = |p: f64| -(p * p.ln() + (1.0 - p) * (1.0 - p).ln());
    close(of(&estimates, Measure::LogLoss).value.unwrap(), (entropy(0.8) + entropy(0.3)) / 2.0);
    close(of(&estimates, Measure::Brier).value.unwrap(), (0.16 + 0.21) / 2.0);
    close(of(&estimates, Measure::Accuracy).value.unwrap(), 0.75);
    close(of(&estimates, Measure::Precision).value.unwrap(), 0.8);
    close(of(&estimates, Measure::Recall).value.unwrap(), 0.8 / 1.1);
    assert!(estimates.iter().all(|estimate| estimate.realised.is_none() && estimate.rows == 2));
    let none = reference.estimate(&[0.2, 0.3], None, 1).unwrap();
    assert_eq!(of(&none, Measure::Precision).value, None);
    let three =
        Reference { task: Task::Multiclass { classes: 3 }, calibrators: vec![None; 3], rows: 9 };
    let estimates = three.estimate(&[0.7, 0.2, 0.1], None, 1).unwrap();
    let expected = -(0.7 * 0.7_f64.ln() + 0.2 * 0.2_f64.ln() + 0.1 * 0.1_f64.ln());
    close_within(of(&estimates, Measure::LogLoss).value.unwrap(), expected, 1e-6);
    close(of(&estimates, Measure::Brier).value.unwrap(), 1.0 - (0.49 + 0.04 + 0.01));
}

#[test]
fn bands_hold_what_labels_show_later() {
    // 200 references of 1,500 rows with 600 rows each, of another mix of easy and hard ones: the 95 % bands of
    // seven measures hold at least 90 % and are not idle.
    let (mut inside, mut width) = ([0; 7], [0.0; 7]);
    for seed in 0..200 {
        let (scores, labels) = bold(1_500, 1_000 + seed, 0.0, 1.0);
        let reference = Reference::fit(Task::Binary, &labels, &scores).unwrap();
        let (scores, labels) = bold(600, 5_000 + seed, 0.2, 0.9);
        for (at, found) in
            reference.estimate(&scores, Some(&labels), seed).unwrap().iter().enumerate()
        {
            let realised = found.realised.unwrap();
            inside[at] += u32::from(found.lower <= realised && realised <= found.upper);
            width[at] += found.standard_error / 200.0;
        }
    }
    assert!(inside.iter().all(|held| *held >= 180), "{inside:?} {width:?}");
    // Accuracy of 600 rows scatters by about 0.019 by luck alone.
    assert!((0.018..0.035).contains(&width[1]), "{width:?}");
}

#[test]
fn more_rows_make_the_band_narrower_down_to_the_calibrations_own_error() {
    let (scores, labels) = bold(2_000, 3, 0.0, 1.0);
    let reference = Reference::fit(Task::Binary, &labels, &scores).unwrap();
    let error = |rows| {
        let (scores, _) = bold(rows, 9, 0.0, 1.0);
        of(&reference.estimate(&scores, None, 1).unwrap(), Measure::Auc).standard_error
    };
    let (few, many, most) = (error(500), error(8_000), error(40_000));
    assert!(many < few && most < many * 1.1 && most > 0.002, "{few} {many} {most}");
}

#[test]
fn concept_drift_is_not_seen_and_harder_rows_are() {
    let (scores, labels) = bold(4_000, 11, 0.05, 0.95);
    let reference = Reference::fit(Task::Binary, &labels, &scores).unwrap();
    let (same, labels) = bold(4_000, 12, 0.05, 0.95);
    let turned = labels.iter().map(|label| 1.0 - label).collect::<Vec<_>>();
    let estimates = reference.estimate(&same, Some(&turned), 1).unwrap();
    let auc = of(&estimates, Measure::Auc);
    assert!(auc.value.unwrap() > 0.8 && auc.realised.unwrap() < 0.2, "{auc:?}");
    let (hard, _) = bold(4_000, 13, 0.6, 0.8);
    let estimates = reference.estimate(&hard, None, 1).unwrap();
    assert!(of(&estimates, Measure::Auc).value.unwrap() < 0.65);
}

#[test]
fn what_cannot_be_estimated_is_said() {
    let text = |result: Result<Reference, Error>| result.unwrap_err().to_string();
    let fit =
        |labels: &[f64], predictions: &[f64]| Reference::fit(Task::Binary, labels, predictions);
    let regression = Reference::fit(Task::Regression, &[1.0], &[1.0]);
    assert!(text(regression).contains("a regression model does not give"));
    assert!(text(fit(&[0.0, 1.0], &[0.5, 1.5])).contains("the prediction of row 1 is 1.5"));
    assert!(text(fit(&[0.0, 1.0], &[0.5, f64::NAN])).contains("the prediction of row 1 is NaN"));
    assert!(text(fit(&[1.0, 1.0], &[0.5, 0.6])).contains("all 2 rows that judged have the same"));
    assert_eq!(fit(&[], &[]), Err(Error::Rows(Undefined::NoRows)));
    let reference = fit(&[0.0, 1.0], &[0.4, 0.6]).unwrap();
    assert!(matches!(reference.estimate(&[], None, 1), Err(Error::Rows(Undefined::NoRows))));
    let outside = reference.estimate(&[0.4, -0.1], None, 1);
    assert_eq!(outside, Err(Error::NotAProbability { row: 1, value: -0.1 }));
    let text = serde_json::to_string(&reference).unwrap();
    assert_eq!(serde_json::from_str::<Reference>(&text).unwrap(), reference);
}
