//! The watch against a slow reference, its false alarms over thousands of streams, its delay, its edges.

use super::*;
use crate::decay::priority;
use crate::metrics::Task;
use crate::metrics::fixtures::{close, close_within};
use crate::rng::Rng;

/// Losses with the tail of an exponential.
fn exponential(rng: &mut Rng, mean: f64) -> f64 {
    -mean * (1.0 - rng.uniform()).ln()
}

/// Log loss of a calibrated model whose probabilities lie between `low` and `high`; its labels come true
/// `lift` times as often as it says.
fn log_loss(rng: &mut Rng, low: f64, high: f64, lift: f64) -> f64 {
    let p = low + (high - low) * rng.uniform();
    if rng.uniform() < p * lift { -p.ln() } else { -(1.0 - p).ln() }
}

fn baseline_of(rows: usize, mut loss: impl FnMut() -> f64) -> Baseline {
    let losses = (0..rows).map(|_| loss()).collect::<Vec<_>>();
    Baseline::from_losses(&losses, Clip::LOG_LOSS).unwrap()
}

/// Row of the alarm within `rows` losses.
fn alarm(watch: &mut SequentialDecay, rows: usize, mut loss: impl FnMut() -> f64) -> Option<u64> {
    for _ in 0..rows {
        watch.take(loss());
        if watch.detected_at.is_some() {
            break;
        }
    }
    watch.detected_at
}

#[test]
fn evidence_is_that_of_an_explicit_mixture_over_start_times() {
    // A direct O(n²) program in numpy 2.4.6 and scipy 1.17.1: every start time's product of bets, weighted and
    // summed; the same seeded exponential losses, whose mean rises from 0.3 to 0.42 at row 1,000.
    let mut rng = Rng::new(21);
    let baseline = baseline_of(2_000, || exponential(&mut rng, 0.3));
    close(baseline.mean, 0.304_422_423_544_755_9);
    close(baseline.standard_deviation, 0.309_083_214_410_381_8);
    let mut watch = SequentialDecay::new(baseline, Parameters::default()).unwrap();
    close_within(watch.state().threshold, 0.352_684_036_419_672_9 - baseline.mean, 1e-7);
    let mut seen = 0;
    for (rows, expected) in [(500, 0.5), (2_000, 469.004_234_4), (3_000, 6_871_860_232.12)] {
        while seen < rows {
            watch.take(exponential(&mut rng, if seen < 1_000 { 0.3 } else { 0.42 }));
            seen += 1;
        }
        close_within(watch.state().e_value, expected, 1e-6);
    }
    let state = watch.state();
    close(state.mean, 0.376_628_986_099_143_9);
    close(state.cusum, 548.751_512_679_487_7);
    assert_eq!((state.detected, watch.cusum_detected_at), (true, Some(1_156)));
    assert!((state.recent_mean - 0.42).abs() < 0.06, "{state:?}");
}

#[test]
fn the_quantile_of_the_baselines_error_is_students() {
    // scipy 1.17.1, t.ppf(p, df).
    for (probability, freedom, expected) in [
        (0.995, 1.0, 63.656741162872),
        (0.995, 9.0, 3.249835541592),
        (0.995, 99.0, 2.626405457281),
        (0.995, 100.0, 2.625890521438),
        (0.995, 399.0, 2.588207164031),
        (0.99995, 150.0, 3.997778160220),
        (0.975, 1000000000.0, 1.959963986912),
    ] {
        close_within(student_quantile(probability, freedom), expected, 1e-6);
    }
}

#[test]
fn quiet_streams_alarm_no_more_often_than_alpha() {
    // No tolerance: the stream's mean is the baseline's true one, the hardest case that may not alarm.
    // 1,000 streams of 4,000 rows, each with a holdout of its own.
    type Draw = fn(&mut Rng) -> f64;
    let kinds: [(&str, Draw); 3] = [
        ("exponential", |rng| exponential(rng, 0.3)),
        ("log loss", |rng| log_loss(rng, 0.05, 0.6, 1.0)),
        ("rare positives", |rng| log_loss(rng, 0.001, 0.04, 1.0)),
    ];
    let parameters = Parameters { alpha: 0.05, effect_min: 0.0, ..Parameters::default() };
    for (name, draw) in kinds {
        for holdout in [400, 4_000] {
            let mut alarms = 0;
            for seed in 0..1_000 {
                let mut rng = Rng::new(seed);
                let baseline = baseline_of(holdout, || draw(&mut rng));
                let mut watch = SequentialDecay::new(baseline, parameters).unwrap();
                alarms += u32::from(alarm(&mut watch, 4_000, || draw(&mut rng)).is_some());
            }
            assert!(alarms <= 50, "{name}, holdout {holdout}: {alarms} of 1000");
        }
    }
}

#[test]
fn a_stream_at_the_tolerated_mean_alarms_no_more_often_than_alpha() {
    // The boundary of the hypothesis, with the baseline known exactly: nothing but Ville's bound protects.
    let parameters = Parameters { alpha: 0.05, effect_min: 0.1, ..Parameters::default() };
    let baseline = Baseline { mean: 0.3, standard_deviation: 0.3, rows: 1_000_000_000 };
    let mut alarms = 0;
    for seed in 0..1_000 {
        let mut rng = Rng::new(50_000 + seed);
        let mut watch = SequentialDecay::new(baseline, parameters).unwrap();
        alarms += u32::from(alarm(&mut watch, 4_000, || exponential(&mut rng, 0.33)).is_some());
    }
    assert!(alarms <= 50, "{alarms} of 1000");
}

#[test]
fn the_defaults_stay_quiet_under_weekly_swings() {
    // A base rate that swings by a tenth of the loss from week to week, 1,000 streams of 8 weeks.
    let mut alarms = 0;
    for seed in 0..1_000 {
        let mut rng = Rng::new(90_000 + seed);
        let baseline = baseline_of(2_000, || exponential(&mut rng, 0.5));
        let mut watch = SequentialDecay::new(baseline, Parameters::default()).unwrap();
        for week in 0..8 {
            let mean = if week % 2 == 0 { 0.525 } else { 0.475 };
            alarm(&mut watch, 500, || exponential(&mut rng, mean));
        }
        alarms += u32::from(watch.state().detected);
    }
    assert!(alarms <= 10, "{alarms} of 1000");
}

#[test]
fn decay_is_found_soon() {
    // Rows from the change to the alarm, over 200 streams: at most so many in the median and in 95 % of
    // them. The last: 80 positives in the holdout, a log loss of 0.1 with a deviation of 0.6.
    type Draw = fn(&mut Rng, bool) -> f64;
    let third: Draw = |rng, bad| exponential(rng, if bad { 0.39 } else { 0.3 });
    let double: Draw = |rng, bad| exponential(rng, if bad { 0.6 } else { 0.3 });
    let rare: Draw = |rng, bad| log_loss(rng, 0.001, 0.04, if bad { 2.0 } else { 1.0 });
    let cases = [
        ("+30 %", 0_usize, third, 1_700, 3_500),
        ("+30 % late", 5_000, third, 1_500, 3_000),
        ("+100 %", 0, double, 250, 350),
        ("+100 % late", 20_000, double, 220, 300),
        ("rare positives doubled", 0, rare, 7_000, 20_000),
    ];
    for (name, quiet, draw, median, most) in cases {
        let mut delays = Vec::new();
        for seed in 0..200 {
            let mut rng = Rng::new(7_000 + seed);
            let baseline = baseline_of(4_000, || draw(&mut rng, false));
            let mut watch = SequentialDecay::new(baseline, Parameters::default()).unwrap();
            for _ in 0..quiet {
                watch.take(draw(&mut rng, false));
            }
            let at = alarm(&mut watch, 30_000, || draw(&mut rng, true)).unwrap_or(u64::MAX);
            delays.push(at.saturating_sub(quiet as u64));
        }
        delays.sort_unstable();
        assert!(
            delays[100] <= median && delays[190] <= most,
            "{name}: {} {}",
            delays[100],
            delays[190]
        );
    }
}

#[test]
fn cusum_runs_as_long_as_the_tables_say() {
    // Montgomery, *Introduction to Statistical Quality Control*: with k = 0.5, h = 4 a one-sided scheme runs
    // 336 values on average in control (168 two-sided) and 8.38 after a shift of one deviation.
    let clip = Clip { low: -20.0, high: 20.0 };
    let parameters = Parameters { clip, cusum_k: 0.5, cusum_h: 4.0, ..Parameters::default() };
    let baseline = Baseline { mean: 0.0, standard_deviation: 1.0, rows: 1_000_000 };
    let mut rng = Rng::new(4);
    for (shift, expected, tolerance) in [(0.0, 336.0, 25.0), (1.0, 8.38, 0.4)] {
        let mut total = 0;
        for _ in 0..2_000 {
            let mut watch = SequentialDecay::new(baseline, parameters).unwrap();
            while watch.cusum_detected_at.is_none() {
                watch.take(rng.normal() + shift);
            }
            total += watch.rows;
        }
        let mean = total as f64 / 2_000.0;
        assert!((mean - expected).abs() < tolerance, "shift {shift}: {mean}");
    }
}

#[test]
fn a_saved_watch_continues_bit_for_bit() {
    let mut rng = Rng::new(12);
    let baseline = baseline_of(500, || exponential(&mut rng, 0.3));
    let losses = (0..3_000).map(|_| exponential(&mut rng, 0.38)).collect::<Vec<_>>();
    let mut whole = SequentialDecay::new(baseline, Parameters::default()).unwrap();
    whole.update_many(&losses).unwrap();
    let mut parts = SequentialDecay::new(baseline, Parameters::default()).unwrap();
    for chunk in losses.chunks(377) {
        parts.update_many(&chunk[..1]).unwrap();
        let text = serde_json::to_string(&parts).unwrap();
        parts = serde_json::from_str(&text).unwrap();
        for loss in &chunk[1..] {
            parts.update(*loss).unwrap();
        }
    }
    assert_eq!(parts, whole);
    assert_eq!(serde_json::to_string(&parts).unwrap(), serde_json::to_string(&whole).unwrap());
}

#[test]
fn a_refused_loss_changes_nothing() {
    let baseline = Baseline { mean: 0.5, standard_deviation: 0.4, rows: 1_000 };
    let mut watch = SequentialDecay::new(baseline, Parameters::default()).unwrap();
    watch.update_many(&[0.4, 0.6]).unwrap();
    let before = watch.clone();
    let refused = watch.update_many(&[0.2, f64::NAN]);
    assert_eq!(refused, Err(Error::NotANumber { position: 1 }));
    assert_eq!(watch, before);
    watch.update(f64::INFINITY).unwrap();
    close(watch.state().mean, (0.4 + 0.6 + 14.0) / 3.0);
}

#[test]
fn an_alarm_stays_and_speaks_as_a_decay_report() {
    let baseline = Baseline { mean: 0.5, standard_deviation: 0.4, rows: 5_000 };
    let mut watch = SequentialDecay::new(baseline, Parameters::default()).unwrap();
    assert_eq!((watch.state().rows, watch.state().detected), (0, false));
    close(watch.state().excess, 0.0);
    watch.update_many(&[1.0; 5_000]).unwrap();
    let state = watch.state();
    assert!(state.detected && state.detected_by_cusum && state.e_value.is_finite());
    let at = state.detected_at;
    watch.update_many(&[0.1; 50_000]).unwrap();
    let state = watch.state();
    assert!(state.detected && state.detected_at == at && state.excess < 0.0, "{state:?}");
    let decay = state.to_decay("log_loss", "live", 12);
    assert!(decay.detected && decay.significant && decay.unlabelled == 12);
    close(decay.baseline, 0.5);
    close(decay.drop, state.recent_mean - 0.5);
    assert_eq!(priority(&[decay]), 2);
    // However long it goes on, the numbers stay finite and can be saved.
    watch.update_many(&vec![14.0; 100_000]).unwrap();
    assert!(watch.state().e_value.is_finite());
    assert!(!serde_json::to_string(&watch.state()).unwrap().contains("null"));
}

#[test]
fn a_perfect_baseline_still_sees_mistakes() {
    let baseline = Baseline { mean: 0.0, standard_deviation: 0.0, rows: 1_000 };
    let mut watch = SequentialDecay::new(baseline, Parameters::default()).unwrap();
    watch.update_many(&[0.0; 1_000]).unwrap();
    assert!(!watch.state().detected);
    watch.update_many(&[0.5; 200]).unwrap();
    assert!(watch.state().detected);
    close(watch.state().excess_percent, 0.0);
}

#[test]
fn what_cannot_be_watched_is_refused() {
    let good = Baseline { mean: 0.5, standard_deviation: 0.4, rows: 1_000 };
    let refuse =
        |baseline, parameters| SequentialDecay::new(baseline, parameters).unwrap_err().to_string();
    let defaults = Parameters::default();
    for (baseline, parameters, expected) in [
        (Baseline { rows: 1, ..good }, defaults, "the baseline has 1 rows"),
        (Baseline { mean: f64::NAN, ..good }, defaults, "the baseline's mean is NaN"),
        (Baseline { mean: 13.5, ..good }, defaults, "the tolerated mean loss 14.8"),
        (good, Parameters { alpha: 0.0, ..defaults }, "alpha is 0: write a number above 0"),
        (good, Parameters { effect_min: -1.0, ..defaults }, "effect_min is -1"),
        (good, Parameters { cusum_h: 0.0, ..defaults }, "cusum_h is 0"),
        (
            good,
            Parameters { clip: Clip { low: 1.0, high: 1.0 }, ..defaults },
            "the upper clip is 1: write a number above the lower clip",
        ),
    ] {
        let text = refuse(baseline, parameters);
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(Baseline::from_losses(&[0.1], Clip::LOG_LOSS), Err(Error::TooFewRows(1)));
    assert!(Baseline::from_losses(&[0.1, f64::NAN], Clip::LOG_LOSS).is_err());
}

#[test]
fn squared_errors_get_a_range_of_their_own() {
    let losses = [1.0, 4.0, 400.0, 3.0];
    let clip = Clip::for_task(Task::Regression, &losses);
    close(clip.high, 2_550.0);
    assert_eq!(Clip::for_task(Task::Binary, &losses), Clip::LOG_LOSS);
    close(Clip::for_task(Task::Regression, &[0.0]).high, 1.0);
}
