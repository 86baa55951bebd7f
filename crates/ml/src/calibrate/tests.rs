//! Calibrators against scikit-learn, and what they refuse.

use super::*;
use crate::metrics::fixtures::{close, close_within};
use crate::rng::Rng;

/// Scores between `low` and `high`; each comes true with its own square, so that the scores say too much.
pub(crate) fn bold(rows: usize, seed: u64, low: f64, high: f64) -> (Vec<f64>, Vec<f64>) {
    let mut rng = Rng::new(seed);
    let row = |_| {
        let score = low + (high - low) * rng.uniform();
        (score, f64::from(u8::from(rng.uniform() < score * score)))
    };
    (0..rows).map(row).unzip()
}

fn fixture() -> (Vec<f64>, Vec<f64>) {
    let (scores, outcomes) = bold(400, 5, 0.02, 0.98);
    (scores.into_iter().map(|s| (s * 200.0 + 0.5).floor() / 200.0).collect(), outcomes)
}

const AT: [f64; 14] =
    [-1.0, 0.02, 0.1, 0.25, 0.333, 0.41, 0.5, 0.6, 0.701, 0.77, 0.85, 0.9, 0.95, 2.0];

#[test]
fn isotonic_steps_are_those_of_scikit_learn() {
    // scikit-learn 1.9.1, IsotonicRegression(out_of_bounds="clip"), on scores with many ties.
    let (scores, outcomes) = fixture();
    let found = Isotonic::fit(&scores, &outcomes, None).unwrap();
    let expected = [
        0.0,
        0.0,
        0.0,
        0.060_240_963_855_421_686,
        0.060_240_963_855_421_686,
        0.060_240_963_855_421_686,
        0.196_428_571_428_571_42,
        0.230_769_230_769_230_78,
        0.441_176_470_588_235_3,
        0.441_176_470_588_235_3,
        0.772_727_272_727_272_7,
        0.772_727_272_727_272_7,
        0.843_75,
        1.0,
    ];
    for (score, expected) in AT.into_iter().zip(expected) {
        close(found.apply(score), expected);
    }
    let weights = (0..400).map(|row| 0.5 + f64::from(row % 7) / 3.0).collect::<Vec<_>>();
    let found = Isotonic::fit(&scores, &outcomes, Some(&weights)).unwrap();
    let expected = [
        0.0,
        0.0,
        0.0,
        0.072_340_425_531_914_89,
        0.072_340_425_531_914_89,
        0.072_340_425_531_914_89,
        0.175_977_653_631_284_92,
        0.221_311_475_409_836_1,
        0.481_994_459_833_795_13,
        0.576_419_213_973_799_2,
        0.757_731_958_762_886_6,
        0.757_731_958_762_886_6,
        0.864_779_874_213_836_5,
        1.0,
    ];
    for (score, expected) in AT.into_iter().zip(expected) {
        close(found.apply(score), expected);
    }
}

#[test]
fn between_steps_the_function_is_straight() {
    let isotonic = Isotonic::fit(&[0.0, 0.2, 0.4, 0.6], &[0.0, 0.0, 1.0, 1.0], None).unwrap();
    close(isotonic.apply(0.25), 0.25);
    close(isotonic.apply(0.5), 1.0);
    assert!(isotonic.apply(f64::NAN).is_nan());
    let one = Isotonic::fit(&[0.3, 0.3], &[0.0, 1.0], None).unwrap();
    for score in [0.0, 0.3, 9.0] {
        close(one.apply(score), 0.5);
    }
}

#[test]
fn the_logistic_curve_is_platts() {
    // Newton's method in numpy 2.4.6 to machine precision; scikit-learn 1.9.1 `_SigmoidCalibration` stops at
    // a −6.4190006277, b 4.6591398232, and gives 0.01768423, 0.19005705, 0.75361026 at 0.1, 0.5, 0.9.
    let (scores, outcomes) = fixture();
    let found = Platt::fit(&scores, &outcomes).unwrap();
    close(found.a, -6.419_000_304_573_565);
    close(found.b, 4.659_139_613_588_002);
    for (score, expected) in
        [(0.1, 0.017_684_226_0), (0.5, 0.190_057_052_1), (0.9, 0.753_610_259_1)]
    {
        close_within(found.apply(score), expected, 1e-6);
    }
    // The same curve for scores in another unit, however large.
    let large = scores.iter().map(|score| 1e6 + 1e4 * score).collect::<Vec<_>>();
    let far = Platt::fit(&large, &outcomes).unwrap();
    close_within(far.apply(1e6 + 1e4 * 0.5), found.apply(0.5), 1e-6);
}

#[test]
fn separable_scores_still_end() {
    let found = Platt::fit(&[0.0, 1.0, 2.0, 3.0], &[0.0, 0.0, 1.0, 1.0]).unwrap();
    assert!(found.apply(3.0) > 0.6 && found.apply(0.0) < 0.4, "{found:?}");
    let flat = Platt::fit(&[0.5; 6], &[0.0, 1.0, 0.0, 1.0, 0.0, 1.0]).unwrap();
    close(flat.apply(0.5), 0.5);
}

#[test]
fn calibration_pays_where_scores_say_too_much() {
    let (scores, outcomes) = bold(4_000, 11, 0.05, 0.95);
    assert!(pays(&scores, &outcomes));
    // Probabilities that come true are best left alone, in most samples.
    let mut rng = Rng::new(3);
    let paid = (0..20).filter(|_| {
        let (calm, labels): (Vec<f64>, Vec<f64>) = (0..1_000)
            .map(|_| {
                let p = rng.uniform();
                (p, f64::from(u8::from(rng.uniform() < p)))
            })
            .unzip();
        pays(&calm, &labels)
    });
    let paid = paid.count();
    assert!(paid <= 4, "{paid}");
    assert!(!pays(&scores[..19], &outcomes[..19]));
    assert!(!pays(&[0.3; 40], &[1.0; 40]));
}

#[test]
fn redrawn_functions_stay_increasing_and_scatter_about_the_first() {
    let (scores, outcomes) = bold(2_000, 7, 0.0, 1.0);
    let first = Isotonic::fit(&scores, &outcomes, None).unwrap();
    let mut rng = Rng::new(1);
    let mut sum = 0.0;
    for _ in 0..200 {
        let drawn = first.redrawn(&mut rng);
        assert!(drawn.blocks().windows(2).all(|pair| pair[0].value < pair[1].value));
        sum += drawn.apply(0.7);
    }
    assert!((sum / 200.0 - first.apply(0.7)).abs() < 0.03);
}

#[test]
fn what_cannot_be_calibrated_is_refused() {
    let refuse = |scores: &[f64], outcomes: &[f64], weights: Option<&[f64]>| {
        Isotonic::fit(scores, outcomes, weights).unwrap_err().to_string()
    };
    for (found, expected) in [
        (refuse(&[], &[], None), "there are no rows to calibrate on"),
        (refuse(&[0.1], &[], None), "1 scores need as many outcomes, but there are 0"),
        (refuse(&[0.1, f64::NAN], &[0.0, 1.0], None), "the score of row 1 is NaN"),
        (refuse(&[0.1], &[2.0], None), "the outcome of row 0 is 2"),
        (refuse(&[0.1], &[1.0], Some(&[-1.0])), "the weight of row 0 is -1"),
        (refuse(&[0.1], &[1.0], Some(&[0.0])), "there are no rows"),
    ] {
        assert!(found.contains(expected), "{found}");
    }
    assert_eq!(Platt::fit(&[0.1, 0.2], &[1.0, 1.0]), Err(Error::OneOutcome));
}

#[test]
fn saved_form_is_the_same_function() {
    let (scores, outcomes) = fixture();
    let found = Isotonic::fit(&scores, &outcomes, None).unwrap();
    let text = serde_json::to_string(&found).unwrap();
    assert_eq!(serde_json::from_str::<Isotonic>(&text).unwrap(), found);
}
