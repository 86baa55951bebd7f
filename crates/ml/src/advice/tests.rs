//! Whole logs with a known truth: what is found in them.

use super::recommend::Action;
use super::tally::{Form, Grid, Row, Tally};
use super::*;
use crate::rng::Rng;

const SETTINGS: Settings = Settings { per_loss: 1.0, per_run: None, seed: 1 };
const PERIODS: usize = 26;

/// How a log goes wrong, by the share of it that has passed.
#[derive(Clone, Copy)]
struct World {
    /// What the model still knows: 1 all of it.
    skill: fn(f64) -> f64,
    /// Added to the logit of the truth, which the model does not see.
    shift: fn(f64) -> f64,
    /// As `shift`, seen by the model.
    season: fn(f64) -> f64,
    form: Form,
}

const STEADY: World =
    World { skill: |_| 1.0, shift: |_| 0.0, season: |_| 0.0, form: Form::Probability };

fn log(world: World, seed: u64) -> Tally {
    let grid = Grid { from_hour: 24 * 15_000, period_hours: 168, periods: PERIODS };
    let mut tally = Tally::new(world.form, grid);
    let mut rng = Rng::new(seed);
    let hours = 168 * PERIODS;
    for hour in 0..hours {
        let at = hour as f64 / hours as f64;
        for _ in 0..6 {
            let seen = 1.5 * rng.normal();
            let moved = 1.5 * rng.normal();
            let skill = (world.skill)(at);
            let truth = skill * seen + (1.0 - skill * skill).sqrt() * moved;
            let hour = grid.from_hour + i64::try_from(hour).unwrap();
            let (prediction, label) = if world.form == Form::Value {
                (seen, truth + (world.shift)(at) + rng.normal())
            } else {
                let expit = |x: f64| 1.0 / (1.0 + (-x).exp());
                let base = -1.0 + (world.season)(at);
                let chance = expit(base + truth + (world.shift)(at));
                (expit(base + seen), f64::from(u8::from(rng.uniform() < chance)))
            };
            let predictions = &[prediction];
            let row = Row {
                hour,
                predictions,
                label,
                delay_hours: 2,
                version: 0,
                weight: 1.0,
                slices: &[],
            };
            tally.add(&row);
        }
    }
    tally
}

fn found(world: World) -> Findings {
    findings(&log(world, 11), SETTINGS).unwrap()
}

#[test]
fn a_steady_model_is_left_alone() {
    let found = found(STEADY);
    assert_eq!(found.action, Action::LeaveAlone);
    let trend = found.trend.unwrap();
    assert!(trend.real.low < 0.0 && trend.real.value.abs() < 0.005, "{trend:?}");
    assert!(found.levels.len() == 1 && found.alarm_hour.is_none(), "{:?}", found.levels);
    assert!(found.calibration[0].expected_error.unwrap() < 0.02);
}

#[test]
fn a_model_that_forgets_is_retrained_again_and_again() {
    let found = found(World { skill: |at| 1.0 - 0.9 * at, ..STEADY });
    assert!(matches!(found.action, Action::RetrainEvery { .. }), "{:?}", found.action);
    assert!(found.trend.as_ref().unwrap().real.low > 0.0);
    let (first, last) = (&found.periods[0], &found.periods[PERIODS - 1]);
    assert!(first.discrimination > last.discrimination, "{first:?} {last:?}");
    assert!(found.alarm_hour.is_some());
}

#[test]
fn a_jump_is_answered_once() {
    let found = found(World { skill: |at| if at < 0.6 { 1.0 } else { 0.2 }, ..STEADY });
    assert_eq!(found.action, Action::RetrainOnce);
    let [before, after] = &found.levels[..] else { panic!("{:?}", found.levels) };
    assert!(before.to.abs_diff(16) <= 1 && before.excess < after.excess, "{:?}", found.levels);
    // Without gaps, and the last one lasts.
    assert_eq!((before.from, before.to, after.to), (0, after.from, PERIODS));
}

#[test]
fn a_base_rate_that_moves_alone_is_recalibrated() {
    let found = found(World { shift: |at| if at < 0.3 { 0.0 } else { 1.3 }, ..STEADY });
    assert_eq!(found.action, Action::Recalibrate, "{:?}", found.payoff);
    let last = &found.calibration[2];
    assert!(last.logistic.unwrap().intercept > 1.0, "{last:?}");
    assert!(found.periods[PERIODS - 1].miscalibration.unwrap() > 0.05);
}

#[test]
fn a_base_rate_that_the_model_follows_is_no_decay() {
    let found = found(World { season: |at| 1.5 * at - 1.0, ..STEADY });
    assert_eq!(found.action, Action::LeaveAlone);
    let trend = found.trend.unwrap();
    assert!(trend.raw.low > 0.0, "it looks like decay: {trend:?}");
    assert!(trend.real.low < 0.005, "{trend:?}");
}

#[test]
fn numbers_are_judged_by_their_squared_error() {
    let world = World { form: Form::Value, ..STEADY };
    let found = found(World { skill: |at| 1.0 - 0.8 * at, ..world });
    assert!(matches!(found.action, Action::RetrainEvery { .. }), "{:?}", found.action);
    assert_eq!(found.metric, "rmse");
    // Variance 1.5² + 1 at first, of which 1 cannot be told.
    assert!((found.scale - 3.25).abs() < 0.25, "{}", found.scale);
}

#[test]
fn many_classes_that_grow_too_sure_are_recalibrated() {
    let grid = Grid { from_hour: 24 * 15_000, period_hours: 24, periods: PERIODS };
    let form = Form::Probabilities { classes: 3 };
    let mut tally = Tally::new(form, grid);
    let mut rng = Rng::new(5);
    for hour in 0..24 * i64::try_from(PERIODS).unwrap() {
        for _ in 0..20 {
            let logits = [(); 3].map(|()| 1.5 * rng.normal());
            let shares = |factor: f64| {
                let parts = logits.map(|z| (factor * z).exp());
                let total = parts.iter().sum::<f64>();
                parts.map(|part| part / total)
            };
            let truth = shares(1.0);
            let drawn = rng.uniform();
            let class = u8::from(drawn > truth[0]) + u8::from(drawn > truth[0] + truth[1]);
            let predictions = &shares(if hour < 24 * 8 { 1.0 } else { 3.0 });
            let (hour, label) = (grid.from_hour + hour, f64::from(class));
            let row = Row {
                hour,
                predictions,
                label,
                delay_hours: 1,
                version: 0,
                weight: 1.0,
                slices: &[],
            };
            tally.add(&row);
        }
    }
    let found = findings(&tally, SETTINGS).unwrap();
    assert_eq!(found.action, Action::Recalibrate, "{:?}", found.payoff);
    let [_, first, last] = &found.calibration[..] else { panic!("three parts") };
    assert!((first.temperature.unwrap() - 1.0).abs() < 0.1, "{:?}", first.temperature);
    assert!((last.temperature.unwrap() - 3.0).abs() < 0.3, "{:?}", last.temperature);
    let newest = found.periods.last().unwrap();
    assert!(newest.recalibrated.unwrap() < newest.loss.unwrap().value - 0.1, "{newest:?}");
}

#[test]
fn what_cannot_be_analysed_says_why() {
    let grid = Grid { from_hour: 0, period_hours: 24, periods: 8 };
    let fill = |prediction: fn(i64) -> f64, label: fn(i64) -> f64, hours: i64| {
        let mut tally = Tally::new(Form::Probability, grid);
        for hour in 0..hours {
            let predictions = &[prediction(hour)];
            let label = label(hour);
            let row = Row {
                hour,
                predictions,
                label,
                delay_hours: 0,
                version: 0,
                weight: 1.0,
                slices: &[],
            };
            tally.add(&row);
        }
        findings(&tally, SETTINGS).unwrap_err()
    };
    let rising = |hour: i64| hour as f64 / 200.0;
    let odd = |hour: i64| (hour % 2) as f64;
    assert_eq!(fill(rising, |_| f64::NAN, 192), Problem::NoLabels);
    assert_eq!(fill(rising, |_| 1.0, 192), Problem::OneClass);
    assert_eq!(fill(|_| 0.25, odd, 192), Problem::ConstantPrediction(0.25));
    assert_eq!(fill(rising, odd, 72), Problem::TooFewPeriods { usable: 3, whole: 8 });
}

#[test]
fn periods_whose_labels_are_still_coming_do_not_count() {
    let grid = Grid { from_hour: 0, period_hours: 24, periods: 8 };
    let mut tally = Tally::new(Form::Probability, grid);
    for hour in 0..192_i64 {
        for part in 0..4_i64 {
            let known = hour < 168 || part == 0;
            let label = if known { ((hour + part) % 2) as f64 } else { f64::NAN };
            let predictions = &[(hour * 4 + part) as f64 / 800.0];
            let row = Row {
                hour,
                predictions,
                label,
                delay_hours: 0,
                version: 0,
                weight: 1.0,
                slices: &[],
            };
            tally.add(&row);
        }
    }
    let found = findings(&tally, SETTINGS).unwrap();
    assert!(found.periods[6].usable && !found.periods[7].usable);
    assert_eq!(found.periods[7].unlabelled, 72);
}
