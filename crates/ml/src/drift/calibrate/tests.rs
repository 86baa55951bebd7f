//! False alarms counted on quiet streams, and how soon a change is told.

use super::*;
use crate::drift::sketch::{BUDGET_BYTES_MIN, ColumnSketch};
use crate::drift::{Side, Values};

const DAY: Duration = Duration::from_secs(86_400);

fn settings(run_days: u32) -> Settings {
    Settings { period: DAY, expected_run_time: DAY * run_days, seed: 7 }
}

/// Scores of a quiet model, one a day.
type Stream = fn(&mut Rng, usize) -> Vec<f64>;

fn normal(rng: &mut Rng, days: usize) -> Vec<f64> {
    (0..days).map(|_| (0.1 + 0.01 * rng.normal()).max(0.0)).collect()
}

fn exponential(rng: &mut Rng, days: usize) -> Vec<f64> {
    (0..days).map(|_| (0.02 - 0.01 * (1.0 - rng.uniform()).ln()).min(1.0)).collect()
}

fn skewed(rng: &mut Rng, days: usize) -> Vec<f64> {
    (0..days).map(|_| (0.03 * (0.5 * rng.normal()).exp()).min(1.0)).collect()
}

fn extremes(rng: &mut Rng, days: usize) -> Vec<f64> {
    (0..days).map(|_| (0.1 - 0.01 * (-(rng.uniform().max(1e-300)).ln()).ln()).max(0.0)).collect()
}

/// A day resembles the day before.
fn lasting(rng: &mut Rng, days: usize) -> Vec<f64> {
    let mut last = rng.normal();
    (0..days)
        .map(|_| {
            last = 0.5 * last + 0.75_f64.sqrt() * rng.normal();
            (0.1 + 0.01 * last).max(0.0)
        })
        .collect()
}

/// Weekends differ.
fn weekly(rng: &mut Rng, days: usize) -> Vec<f64> {
    let start = rng.below(7);
    (0..days)
        .map(|day| {
            let season = (std::f64::consts::TAU * (day + start) as f64 / 7.0).sin();
            (0.1 + 0.006 * season + 0.005 * rng.normal()).max(0.0)
        })
        .collect()
}

const STREAMS: [(&str, Stream); 6] = [
    ("normal", normal),
    ("exponential", exponential),
    ("skewed", skewed),
    ("extremes", extremes),
    ("lasting", lasting),
    ("weekly", weekly),
];

/// Days on which an alarm begins.
fn alarms(stream: &[f64], threshold: f64) -> usize {
    let first = usize::from(stream.first().is_some_and(|score| *score >= threshold));
    first + stream.windows(2).filter(|pair| pair[0] < threshold && threshold <= pair[1]).count()
}

#[test]
fn a_quiet_model_raises_about_one_alarm_in_the_expected_run_time() {
    // Alarms per run time, the mean over histories: between a fifth and 1.8 where one is meant, and
    // closer where the history is as long as the run time. What a history cannot show (a run time
    // of twelve times its length) costs most.
    for (name, stream) in STREAMS {
        let mut rng = Rng::new(1);
        let fresh = stream(&mut rng, 60_000);
        for (history, run_days, band) in [
            (12, 14, 0.6..1.3),
            (30, 14, 0.75..1.3),
            (30, 90, 0.5..1.7),
            (30, 365, 0.2..1.8),
            (90, 90, 0.6..1.5),
            (250, 90, 0.7..1.4),
            (250, 365, 0.5..1.6),
        ] {
            let histories = 60;
            let mut total = 0;
            for _ in 0..histories {
                let found = threshold(&stream(&mut rng, history), settings(run_days)).unwrap();
                total += alarms(&fresh, found.value());
            }
            let runs = fresh.len() as f64 / f64::from(run_days) * f64::from(histories);
            let rate = total as f64 / runs;
            assert!(band.contains(&rate), "{name}, {history} days, run of {run_days}: {rate}");
        }
    }
}

#[test]
fn a_history_resampled_in_blocks_raises_as_many_alarms() {
    for (name, stream) in STREAMS {
        let mut rng = Rng::new(2);
        let history = stream(&mut rng, 200);
        for run_days in [14, 30] {
            let found = threshold(&history, settings(run_days)).unwrap().value();
            let (mut total, mut days) = (0, 0.0);
            for _ in 0..200 {
                let again = blocks(&history, 14, &mut rng);
                total += alarms(&again, found);
                days += again.len() as f64;
            }
            let rate = total as f64 * f64::from(run_days) / days;
            assert!((0.6..1.5).contains(&rate), "{name}, run of {run_days}: {rate}");
        }
    }
}

#[test]
fn a_shift_is_told_at_once_and_a_lasting_alarm_is_one() {
    for (name, stream) in STREAMS {
        let mut rng = Rng::new(3);
        let history = stream(&mut rng, 60);
        let found = threshold(&history, settings(90)).unwrap().value();
        let shifted = stream(&mut rng, 30).iter().map(|score| score + 0.2).collect::<Vec<_>>();
        assert!(shifted[0] >= found, "{name}: {found}");
        assert_eq!(alarms(&shifted, found), 1, "{name}");
    }
}

#[test]
fn longer_run_times_raise_the_threshold_and_longer_histories_narrow_it() {
    let mut rng = Rng::new(4);
    let history = exponential(&mut rng, 400);
    let value = |run_days| threshold(&history[..60], settings(run_days)).unwrap().value();
    assert!(value(14) < value(90) && value(90) < value(365));
    let width = |days: usize| {
        let found = threshold(&history[..days], settings(90)).unwrap();
        let Threshold::Calibrated { value, low, high, periods, extrapolated, .. } = found else {
            panic!("{found:?}")
        };
        assert!(low <= value && value <= high && low < high);
        assert_eq!((periods, extrapolated), (days, days < 90));
        high - low
    };
    assert!(width(400) < width(30), "{} {}", width(400), width(30));
}

#[test]
fn the_interval_mostly_holds_the_score_that_is_truly_right() {
    // Exponential scores exceed 0.02 + 0.01 ln 30 once in 30 days; an alarm begins a little rarer.
    let right = 0.02 + 0.01 * 30_f64.ln();
    let mut rng = Rng::new(5);
    let held = (0..100)
        .filter(|_| {
            let found = threshold(&exponential(&mut rng, 150), settings(30)).unwrap();
            let Threshold::Calibrated { low, high, .. } = found else { panic!("{found:?}") };
            (low..=high).contains(&right)
        })
        .count();
    assert!((80..=99).contains(&held), "{held} of 100");
}

#[test]
fn few_periods_leave_the_fixed_threshold_and_say_so() {
    for (scores, told) in [
        (&[][..], "there is no quiet history"),
        (&[0.1], "there is only 1 quiet period"),
        (&[0.1; 11], "there are only 11 quiet periods"),
    ] {
        let found = threshold(scores, settings(90)).unwrap();
        assert_eq!(found, Threshold::Fixed { value: FIXED, why: told.to_owned() });
        assert_eq!(found.explanation(), format!("The threshold is the fixed 0.3, for {told}."));
    }
    assert!(matches!(threshold(&[0.1; 12], settings(90)), Ok(Threshold::Calibrated { .. })));
}

#[test]
fn scores_that_never_move_leave_a_threshold_above_nothing() {
    let still = threshold(&[0.0; 40], settings(90)).unwrap();
    assert!((still.value() - VALUE_MIN).abs() < 1e-12, "{still:?}");
    let wild = threshold(&[0.0, 1.0].repeat(20), settings(90)).unwrap();
    assert!(wild.value() <= 1.0, "{wild:?}");
}

#[test]
fn thresholds_explain_themselves_and_are_kept_as_json() {
    let mut rng = Rng::new(6);
    let found = threshold(&normal(&mut rng, 30), settings(90)).unwrap();
    let told = found.explanation();
    assert!(told.contains("30 quiet periods of 1.000 days"), "{told}");
    assert!(
        told.ends_with(
            "once in 90 days, which is longer than that history: its tail was extrapolated."
        ),
        "{told}"
    );
    let chosen = Threshold::Chosen { value: 0.25 };
    assert_eq!(chosen.explanation(), "The threshold of 0.250 was chosen.");
    for threshold in [found.clone(), chosen] {
        let text = serde_json::to_string(&threshold).unwrap();
        assert_eq!(serde_json::from_str::<Threshold>(&text).unwrap(), threshold);
    }
    assert_eq!(serde_json::to_value(&found).unwrap()["kind"], "calibrated");
}

#[test]
fn wrong_scores_and_times_are_refused() {
    let mut scores = vec![0.1; 20];
    scores[3] = f64::NAN;
    assert!(matches!(threshold(&scores, settings(90)), Err(Error::Score { period: 3, .. })));
    let short = threshold(&[0.1; 20], settings(1)).unwrap_err().to_string();
    assert!(short.contains("1 days is shorter than two periods"), "{short}");
    let nothing = Settings { period: Duration::ZERO, ..settings(90) };
    assert!(matches!(threshold(&[0.1; 20], nothing), Err(Error::RunTime { .. })));
}

/// Days of two columns: a number and a category, both moved by `shift`.
fn days(rng: &mut Rng, count: usize, rows: usize, shift: f64) -> (Vec<f64>, Vec<u32>) {
    let rows = count * rows;
    let numbers = (0..rows).map(|_| rng.normal() + shift).collect();
    let codes = (0..rows).map(|_| u32::from(rng.uniform() < 0.3 + shift / 4.0)).collect();
    (numbers, codes)
}

#[test]
fn rows_and_sketches_give_the_same_history_which_tells_a_change() {
    const ROWS: usize = 300;
    let names = ["ground".to_owned(), "air".to_owned()];
    let mut rng = Rng::new(8);
    let (numbers, codes) = days(&mut rng, 60, ROWS, 0.0);
    let columns = [
        ("fare", Values::Numeric(&numbers)),
        ("way", Values::Categorical { codes: &codes, names: &names }),
    ];
    let periods = (0..60).map(|day| day * ROWS..(day + 1) * ROWS).collect::<Vec<_>>();
    let exact = from_rows(&columns, &periods, 7, Some(&[3.0, 1.0])).unwrap();
    assert_eq!((exact.model.len(), exact.columns.len()), (53, 2));
    let sketches = |numbers: &[f64], codes: &[u32]| -> Vec<Vec<ColumnSketch>> {
        numbers
            .chunks(ROWS)
            .zip(codes.chunks(ROWS))
            .map(|(numbers, codes)| {
                let mut fare = ColumnSketch::numeric("fare", BUDGET_BYTES_MIN);
                fare.update(Side::Reference, Values::Numeric(numbers)).unwrap();
                let mut way = ColumnSketch::categorical("way", BUDGET_BYTES_MIN);
                let values = Values::Categorical { codes, names: &names };
                way.update(Side::Reference, values).unwrap();
                vec![fare, way]
            })
            .collect()
    };
    let sketched = sketches(&numbers, &codes);
    let found = from_sketches(&sketched, Before::Last(7), Some(&[3.0, 1.0])).unwrap();
    for (a, b) in exact.model.iter().zip(&found.model) {
        assert!((a - b).abs() < 0.01, "{a} {b}");
    }
    let limit = threshold(&exact.model, settings(90)).unwrap().value();
    assert!((0.03..0.15).contains(&limit), "{limit}");
    let by_column = exact
        .columns
        .iter()
        .map(|(name, scores)| (name.as_str(), threshold(scores, settings(90)).unwrap().value()));
    assert!(by_column.into_iter().all(|(_, value)| (0.03..0.2).contains(&value)));
    // The first day after a change stands out, whichever way it is measured.
    let (more_numbers, more_codes) = days(&mut rng, 1, ROWS, 0.4);
    let mut changed = sketched[53..].to_vec();
    changed.extend(sketches(&more_numbers, &more_codes));
    let after = from_sketches(&changed, Before::Last(7), Some(&[3.0, 1.0])).unwrap();
    assert!(after.model[0] > limit, "{} {limit}", after.model[0]);
}

#[test]
fn periods_that_do_not_belong_together_are_refused_and_empty_ones_left_out() {
    let period = |name: &str, values: &[f64]| {
        let mut sketch = ColumnSketch::numeric(name, BUDGET_BYTES_MIN);
        sketch.update(Side::Reference, Values::Numeric(values)).unwrap();
        vec![sketch]
    };
    let two = [period("a", &[1.0]), period("b", &[1.0])];
    assert_eq!(from_sketches(&two, Before::Last(1), None), Err(Error::Columns { period: 1 }));
    let gap = [period("a", &[1.0]), period("a", &[]), period("a", &[1.0, 2.0])];
    assert_eq!(from_sketches(&gap, Before::Last(1), None).unwrap().model, [0.5]);
    let infinite = [1.0, 2.0, f64::INFINITY];
    let refused = from_rows(&[("a", Values::Numeric(&infinite))], &[0..1, 1..3], 1, None);
    assert!(matches!(refused, Err(Error::Compare { period: 1, .. })), "{refused:?}");
    let none = from_rows(&[("a", Values::Numeric(&[1.0]))], &[0..1, 1..1], 1, None).unwrap();
    assert_eq!(none, QuietScores::default());
}

#[test]
fn a_growing_reference_holds_all_that_came_before_in_whatever_order_rows_come() {
    let mut rng = Rng::new(9);
    let (numbers, _) = days(&mut rng, 20, 50, 0.0);
    let sketch = || ColumnSketch::numeric("fare", BUDGET_BYTES_MIN);
    // Row r belongs to period r mod 20: no period lies in one piece.
    let mut mixed = Periods::new(vec![sketch()], 20);
    for (at, chunk) in numbers.chunks(300).enumerate() {
        let period_of = |row: usize| Some((at * 300 + row) % 20);
        mixed.update(&[Values::Numeric(chunk)], period_of).unwrap();
    }
    let found = mixed.scores(None).unwrap();
    assert_eq!(found.model.len(), 20 - REFERENCE_PERIODS_MIN);
    let of = |period: usize| numbers.iter().copied().skip(period).step_by(20);
    for (at, score) in found.model.iter().enumerate() {
        let period = at + REFERENCE_PERIODS_MIN;
        let before = (0..period).flat_map(of).collect::<Vec<_>>();
        let after = of(period).collect::<Vec<_>>();
        let exact = crate::drift::Reference::new("fare", Values::Numeric(&before)).unwrap();
        let exact = exact.compare(Values::Numeric(&after)).unwrap();
        assert!((exact.score - score).abs() < 0.01, "{period}: {} {score}", exact.score);
    }
}
