//! Who wins, what is recommended, and that nobody sees ahead.

use afresh_policy::oracle;
use afresh_policy::prices::Priced;
use afresh_policy::rule::Rule;
use afresh_sim::backtest::contest::{Contest, Outcome, interval, recovered};
use afresh_sim::backtest::family::{self, Scale};
use afresh_sim::backtest::walk::{Pick, Standing, walk};
use afresh_sim::backtest::world::{Budget, Limits, RunPrice, Stretch, Tariff, World};

use crate::stream::{Stream, float};

const TARIFF: Tariff = Tariff {
    priced: Priced::Loss,
    per_loss: 1.0,
    per_run: 40.0,
    run: RunPrice::Each,
    per_cpu_hour: 0.0,
    per_million_rows: 0.0,
    limits: Limits { cooldown_periods: 0.0, budget: None },
};

fn contest(stream: &Stream, tariff: Tariff) -> Contest<'_, Stream> {
    let picks = vec![Pick::Window(0), Pick::Window(1)];
    Contest { world: stream, tariff, split: stream.periods() / 2, picks, home: 0, configured: None }
}

fn run(stream: &Stream) -> Outcome {
    contest(stream, TARIFF).run().unwrap()
}

/// The recommended entry recovers at least 80 % and is no dearer than the simple ones.
fn is_right(name: &str, stream: &Stream) -> Outcome {
    let outcome = run(stream);
    let best = &outcome.scored[outcome.recommended];
    let cost = best.way.cost();
    let what = format!("{name}: {} {:?}", best.entry.rule.name(), best.entry.pick);
    match best.recovered {
        Some(share) => assert!(share >= 0.8, "{what} recovers {share:.2}"),
        None => assert!(cost <= 1.02 * outcome.never.min(outcome.always), "{what} costs {cost}"),
    }
    for other in ["never", "always", "ks"] {
        let others = outcome.scored.iter().filter(|scored| scored.entry.name == other);
        for scored in others {
            let dearer = scored.way.cost();
            assert!(cost <= 1.02 * dearer, "{what} costs {cost:.0}, {other} {dearer:.0}");
        }
    }
    outcome
}

#[test]
fn where_nothing_changes_the_model_is_left_alone() {
    let outcome = is_right("still", &Stream::still(48));
    let best = &outcome.scored[outcome.recommended];
    assert_eq!((best.entry.rule.clone(), best.way.runs), (Rule::Never, 0));
    // On the windows given, even hindsight has next to nothing to win.
    assert_eq!(best.recovered, None);
}

#[test]
fn gradual_drift_is_met_with_a_rhythm() {
    let outcome = is_right("gradual", &Stream::gradual(60));
    let best = &outcome.scored[outcome.recommended];
    assert!((3..=15).contains(&best.way.runs), "{} runs", best.way.runs);
}

#[test]
fn abrupt_drift_is_met_when_it_happens() {
    let stream = Stream::abrupt(60, &[8, 18, 27, 36, 45, 54]);
    let outcome = is_right("abrupt", &stream);
    let best = &outcome.scored[outcome.recommended];
    assert!(best.way.runs <= 12, "{} runs of {}", best.way.runs, best.entry.name);
}

#[test]
fn small_and_large_streams_are_no_matter_of_tuning() {
    for rows in [50.0, 200_000.0] {
        let stream = Stream { rows: vec![rows; 60], ..Stream::gradual(60) };
        // The default price grows with the rows.
        let tariff = Tariff { per_run: 0.002 * rows * 0.69, ..TARIFF };
        let outcome = contest(&stream, tariff).run().unwrap();
        let best = &outcome.scored[outcome.recommended];
        assert!(best.recovered.unwrap() >= 0.8, "{rows}: {:?}", best.recovered);
    }
}

#[test]
fn base_rate_that_no_training_helps_is_no_reason_to_retrain() {
    let mut stream = Stream::still(60);
    for (period, off) in stream.base_rate.iter_mut().enumerate() {
        *off = if period % 13 < 4 { 0.1 } else { 0.0 };
    }
    let outcome = is_right("base rate", &stream);
    assert_eq!(outcome.scored[outcome.recommended].way.runs, 0);
}

#[test]
fn cooldown_and_budget_hold_every_policy_back_and_hindsight_never() {
    let stream = Stream::gradual(40);
    let go = |limits: Limits| {
        let tariff = Tariff { limits, ..TARIFF };
        let way =
            walk(&stream, &tariff, 0..40, (&Rule::Always, Pick::Window(0)), Standing::first());
        (way.runs, way.held)
    };
    let none = Limits::default();
    let (free, held) = go(none);
    assert_eq!((free, held), (39, 0));
    let (rested, held) = go(Limits { cooldown_periods: 3.5, ..none });
    assert_eq!((rested, rested + held), (10, free), "every fourth period");
    let run = stream.cpu_hours(oracle::Serving::Trained { period: 20, window: 0 });
    let budget = |cpu_hours| Limits { budget: Some(Budget { cpu_hours, periods: 5.0 }), ..none };
    let (two_in_five, _) = go(budget(2.5 * run));
    assert!((14..=18).contains(&two_in_five), "{two_in_five}");
    assert_eq!(go(budget(0.5 * run)).0, 0, "a budget below one run");
    let limited = contest(&stream, Tariff { limits: budget(2.5 * run), ..TARIFF }).run().unwrap();
    let unlimited = contest(&stream, TARIFF).run().unwrap();
    assert!((limited.oracle.cost - unlimited.oracle.cost).abs() < 1e-9);
    let runs = |outcome: &Outcome| {
        let always = outcome.scored.iter().find(|scored| {
            scored.entry.rule == Rule::Always && scored.entry.pick == Pick::Window(0)
        });
        always.map(|scored| (scored.way.runs, scored.way.held > 0))
    };
    assert_eq!(runs(&unlimited), Some((20, false)));
    assert!(runs(&limited).is_some_and(|(runs, held)| runs <= 10 && held), "{:?}", runs(&limited));
}

#[test]
fn no_policy_sees_ahead() {
    let before = Stream::gradual(40);
    for change in [10, 25] {
        let mut after = before.clone();
        for period in change..40 {
            after.concept[period] = 3.0 - after.concept[period];
            after.rows[period] *= 2.0;
            after.base_rate[period] = 0.3;
        }
        let scale = Scale { periods: 20, rows: 1_000.0, loss_cost: 600.0, run_cpu_hours: 0.008 };
        let mut differ = 0;
        for family in family::all(&scale) {
            for rule in &family.rules {
                for pick in [Pick::Window(0), Pick::Window(1)] {
                    let go = |world: &Stream| {
                        walk(world, &TARIFF, 0..40, (rule, pick), Standing::first()).choices
                    };
                    let (one, other) = (go(&before), go(&after));
                    // The decision at the beginning of the changed period cannot know of it.
                    assert_eq!(one[..=change], other[..=change], "{rule:?} {pick:?}");
                    differ += usize::from(one != other);
                }
            }
        }
        // The change is not for nothing: many decide otherwise after it.
        assert!(differ > 20, "{differ}");
    }
}

#[test]
fn what_is_tuned_does_not_depend_on_what_is_scored() {
    let before = Stream::gradual(40);
    let mut after = before.clone();
    for period in 20..40 {
        after.concept[period] = 0.2;
    }
    let entries = |stream: &Stream| {
        let entries = contest(stream, TARIFF).entries(20);
        entries.into_iter().map(|entry| (entry.rule, entry.pick)).collect::<Vec<_>>()
    };
    assert_eq!(entries(&before), entries(&after));
}

#[test]
fn no_entry_is_cheaper_than_the_oracle() {
    for stream in [Stream::gradual(48), Stream::abrupt(48, &[10, 30]), Stream::still(48)] {
        let outcome = run(&stream);
        for scored in &outcome.scored {
            assert!(scored.regret >= -1e-9, "{}: {}", scored.entry.name, scored.regret);
        }
        assert!(outcome.walk_forward.cost >= outcome.oracle.cost - 1e-9);
        let champion = outcome.champion;
        let stretch =
            Stretch { world: &stream, tariff: TARIFF, from: 24, to: 48, champion, only: None };
        let again = oracle::cost_of(&stretch, &outcome.oracle.choices).unwrap();
        assert!((again - outcome.oracle.cost).abs() < 1e-6);
    }
}

#[test]
fn dearer_runs_are_fewer() {
    let stream = Stream::gradual(60);
    let mut before = usize::MAX;
    for factor in [0.1, 1.0, 10.0] {
        let outcome = contest(&stream, TARIFF.with_runs_at(factor)).run().unwrap();
        assert!(outcome.oracle.runs() <= before, "at {factor}");
        before = outcome.oracle.runs();
    }
}

#[test]
fn way_goes_on_where_it_was_interrupted() {
    let stream = Stream::gradual(40);
    let rule = Rule::periodic_decay(5, 2);
    let policy = (&rule, Pick::Window(1));
    let whole = walk(&stream, &TARIFF, 0..40, policy, Standing::first());
    let first = walk(&stream, &TARIFF, 0..17, policy, Standing::first());
    let second = walk(&stream, &TARIFF, 17..40, policy, first.end.clone());
    assert_eq!([first.costs, second.costs].concat(), whole.costs);
    assert_eq!(second.end, whole.end);
}

#[test]
fn recovered_share_is_of_what_can_be_won() {
    assert_eq!(recovered(100.0, 120.0, 60.0, 60.0), Some(1.0));
    assert_eq!(recovered(100.0, 80.0, 60.0, 70.0), Some(0.5));
    assert_eq!(recovered(100.0, 120.0, 60.0, 120.0), Some(-0.5));
    assert_eq!(recovered(100.0, 100.0, 98.5, 99.0), None);
}

#[test]
fn interval_covers_the_sum_of_a_noisy_series_and_not_zero_where_it_is_clear() {
    let clear = (0..40).map(|at| 1.0 + 0.1 * float(at % 7)).collect::<Vec<_>>();
    let found = interval(&clear);
    assert!(found.low > 0.0 && found.low < found.total && found.total < found.high, "{found:?}");
    let mut rng = afresh_ml::rng::Rng::new(5);
    let doubtful = (0..40).map(|_| 0.05 + rng.normal()).collect::<Vec<_>>();
    let found = interval(&doubtful);
    assert!(found.low < 0.0 && 0.0 < found.high, "{found:?}");
    let nothing = interval(&[0.0; 12]);
    assert!(nothing.low.abs() + nothing.high.abs() <= 0.0);
}
