//! What each rule says of small histories.

use afresh_core::signal::Verdict;

use super::observation;
use crate::adviser::Adviser;
use crate::history::{History, PERIODS_MAX};
use crate::observation::{Observation, Retired};
use crate::prices::Prices;
use crate::rule::{Detector, Rule};
use crate::settings::Settings;

fn settings(rule: Rule) -> Settings {
    Settings { rule, ..Settings::recommended() }
}

fn verdicts(settings: Settings, weeks: &[(u64, bool)]) -> Vec<bool> {
    let mut adviser = Adviser::new(settings);
    let mut verdicts = Vec::new();
    for (week, (champion, alarm)) in (1..).zip(weeks) {
        adviser.observe(&observation(week, *champion, *alarm));
        verdicts.push(adviser.advise().retrain == Verdict::Retrain);
        assert_eq!(adviser.wants(), verdicts[verdicts.len() - 1]);
    }
    verdicts
}

/// What `rule` says of one week that `change` alters.
fn says(rule: &Rule, change: impl Fn(&mut Observation)) -> bool {
    let mut week = observation(1, 1, false);
    change(&mut week);
    let mut history = History::default();
    history.observe(&week);
    rule.opinion(&history, &Prices::default()).retrains()
}

#[test]
fn rhythm_counts_periods_since_the_champion_changed() {
    let weeks = [(1, false), (1, false), (2, false), (2, false), (2, false)];
    let verdicts = verdicts(settings(Rule::Every { periods: 2 }), &weeks);
    assert_eq!(verdicts, [false, true, false, true, true]);
}

#[test]
fn run_without_a_new_champion_starts_the_rhythm_anew() {
    let mut adviser = Adviser::new(settings(Rule::Every { periods: 2 }));
    let mut verdicts = Vec::new();
    for week in 1..6 {
        adviser.observe(&observation(week, 1, false));
        verdicts.push(adviser.wants());
        if week == 2 {
            adviser.run_ended();
            verdicts.push(adviser.wants());
        }
    }
    assert_eq!(verdicts, [false, true, false, false, true, true]);
}

#[test]
fn proven_decay_waits_for_its_rest_and_not_for_the_rhythm() {
    let weeks = [(1, true), (1, false), (1, true), (2, true)];
    let verdicts = verdicts(settings(Rule::periodic_decay(10, 2)), &weeks);
    assert_eq!(verdicts, [false, false, true, false]);
}

#[test]
fn too_few_rows_keep_the_champion_and_say_so() {
    let mut adviser = Adviser::new(Settings { rows_min: 2_001, ..settings(Rule::Always) });
    adviser.observe(&observation(1, 1, false));
    let advice = adviser.advise();
    assert_eq!(advice.retrain, Verdict::Keep);
    assert!(advice.reasons[1].contains("2001 needed"), "{:?}", advice.reasons);
}

#[test]
fn advice_names_gain_and_cost_and_how_far_it_looks() {
    let mut adviser = Adviser::new(Settings::recommended());
    adviser.observe(&observation(1, 1, false));
    adviser.observe(&observation(2, 1, false));
    let advice = adviser.advise();
    // 0.1 excess loss × 2,000 rows × 4 periods; 0.2 % of 2,000 rows × 0.5.
    assert!((advice.gain.unwrap() - 800.0).abs() < 1e-9);
    assert!((advice.cost.unwrap() - 2.0).abs() < 1e-9);
    let words = advice.reasons.last().unwrap();
    assert_eq!(words, "expected to save 800.00 over the next 28d, costs 2.00");
}

#[test]
fn state_goes_on_where_it_was_saved_and_serves_another_policy() {
    let mut adviser = Adviser::new(Settings::recommended());
    adviser.observe(&observation(1, 1, false));
    let saved = serde_json::to_string(adviser.history()).unwrap();
    let history = serde_json::from_str::<History>(&saved).unwrap();
    let mut resumed = Adviser::resume(Settings::recommended(), history.clone()).unwrap();
    for adviser in [&mut adviser, &mut resumed] {
        adviser.observe(&observation(2, 1, true));
    }
    assert_eq!(adviser, resumed);
    assert!(Adviser::resume(settings(Rule::Never), history).is_ok());
    let other = saved.replace("\"format\":2", "\"format\":9");
    let other = serde_json::from_str::<History>(&other).unwrap();
    let error = Adviser::resume(Settings::recommended(), other).unwrap_err();
    assert!(error.contains("format 9"), "{error}");
}

#[test]
fn memory_is_bounded_and_late_periods_are_ignored() {
    let mut history = History::default();
    for week in 0..1_000 {
        history.observe(&observation(week, 1, false));
        history.observe(&observation(week - 1, 1, false));
    }
    assert_eq!((history.records().len(), history.seen()), (PERIODS_MAX, 1_000));
}

#[test]
fn each_rule_goes_by_its_own_number() {
    let volume = Rule::Volume { rows: 2_001 };
    assert!(!says(&volume, |_| {}));
    assert!(says(&volume, |week| week.available_since_cut = 2_001));

    let drift = Rule::Drift { score: 0.3 };
    assert!(!says(&drift, |_| {}));
    assert!(!says(&drift, |week| week.drift = Some(0.29)));
    assert!(says(&drift, |week| week.drift = Some(0.3)));

    let ks = Rule::KolmogorovSmirnov { p: 0.01 };
    assert!(!says(&ks, |week| week.evidence.smallest_p = Some(0.01)));
    assert!(says(&ks, |week| week.evidence.smallest_p = Some(0.009)));

    let tests = [Detector::Sequential, Detector::TTest, Detector::Adwin, Detector::Cusum];
    let alarms: [fn(&mut Observation); 4] = [
        |week| week.loss.as_mut().unwrap().alarm = true,
        |week| week.evidence.alarms.t_test = true,
        |week| week.evidence.alarms.adwin = true,
        |week| week.evidence.alarms.cusum = true,
    ];
    for (row, test) in tests.into_iter().enumerate() {
        for (column, alarm) in alarms.iter().enumerate() {
            assert_eq!(says(&Rule::Decay { test }, alarm), row == column, "{test:?} {column}");
        }
    }

    // An excess of 0.1 on 2,000 rows costs 200; a run 0.2 % of 2,000 × 0.5.
    assert!(says(&Rule::Markov { factor: 99.0 }, |_| {}));
    assert!(!says(&Rule::Markov { factor: 101.0 }, |_| {}));
    assert!(says(&Rule::CaraT { cost: 1_199.0 }, |_| {}));
    assert!(!says(&Rule::CaraT { cost: 1_201.0 }, |_| {}));
    assert!(says(&Rule::CaraCt { cost: 1_199.0 }, |_| {}));
    assert!(!says(&Rule::CaraCt { cost: 1_201.0 }, |_| {}));

    let queue = Rule::BudgetQueue { cpu_hours: 1.0, weight: 10.0 };
    assert!(says(&queue, |_| {}));
    // Overspent by 999 allowances: 999 × 2 is not above 10 × 200; 1,001 × 2 is.
    assert!(says(&queue, |week| week.evidence.spent_cpu_hours = 1_000.0));
    assert!(!says(&queue, |week| week.evidence.spent_cpu_hours = 1_002.0));
}

#[test]
fn losses_since_the_run_add_up_for_cara_ct_alone() {
    let weeks = [(1, false), (1, false), (2, false), (2, false)];
    let summed = verdicts(settings(Rule::CaraCt { cost: 2_000.0 }), &weeks);
    assert_eq!(summed, [false, true, false, true]);
    let single = verdicts(settings(Rule::CaraT { cost: 2_000.0 }), &weeks);
    assert_eq!(single, [false; 4]);
}

#[test]
fn phase_goes_by_the_number_of_the_period() {
    let weeks = [(1, false); 6];
    let verdicts = verdicts(settings(Rule::Phase { periods: 3, offset: 1 }), &weeks);
    assert_eq!(verdicts, [true, false, false, true, false, false]);
}

#[test]
fn compositions_count_votes_and_give_the_reasons_that_settled_it() {
    let drift = || Rule::Drift { score: 0.3 };
    let decay = || Rule::Decay { test: Detector::Sequential };
    let every = || Rule::Every { periods: 2 };
    let of = || vec![drift(), decay(), every()];
    // Drift speaks for it, the others do not.
    let drifted = |week: &mut Observation| week.drift = Some(0.5);
    assert!(says(&Rule::Any { of: of() }, drifted));
    assert!(!says(&Rule::AtLeast { count: 2, of: of() }, drifted));
    assert!(!says(&Rule::All { of: of() }, drifted));
    let both = |week: &mut Observation| {
        week.drift = Some(0.5);
        week.loss.as_mut().unwrap().alarm = true;
    };
    assert!(says(&Rule::AtLeast { count: 2, of: of() }, both));
    assert!(!says(&Rule::WarmUp { periods: 2, then: Box::new(Rule::Any { of: of() }) }, both));
    let mut history = History::default();
    history.observe(&observation(1, 1, true));
    let opinion = Rule::Any { of: of() }.opinion(&history, &Prices::default());
    assert!(opinion.reasons[0].starts_with("loss rose"), "{:?}", opinion.reasons);
}

#[test]
fn impossible_rules_are_refused_with_what_to_write() {
    let never = || Box::new(Rule::Never);
    for (rule, words) in [
        (Rule::Every { periods: 0 }, "write at least 1"),
        (Rule::Phase { periods: 3, offset: 3 }, "`offset` is 3 of 3"),
        (Rule::Volume { rows: 0 }, "`volume` is 0 rows"),
        (Rule::Drift { score: 1.5 }, "`score` is 1.5"),
        (Rule::Drift { score: f64::NAN }, "`score` is NaN"),
        (Rule::KolmogorovSmirnov { p: 0.0 }, "`p` is 0"),
        (Rule::Markov { factor: -1.0 }, "`factor` is -1"),
        (Rule::CaraT { cost: f64::INFINITY }, "`cost` is inf"),
        (Rule::BudgetQueue { cpu_hours: 0.0, weight: 1.0 }, "`cpu_hours` is 0"),
        (Rule::Any { of: vec![] }, "lists no policy"),
        (Rule::Any { of: vec![*never()] }, "settles it alone"),
        (Rule::AtLeast { count: 2, of: vec![Rule::Every { periods: 1 }] }, "asks for 2 of 1"),
        (Rule::WarmUp { periods: 3, then: Box::new(Rule::Every { periods: 0 }) }, "at least 1"),
    ] {
        let error = rule.check().unwrap_err();
        assert!(error.contains(words), "{rule:?}: {error}");
    }
    assert_eq!(Settings::recommended().check(), Ok(()));
    let mut free = Settings::recommended();
    free.prices.per_run = Some(0.0);
    assert!(free.check().unwrap_err().contains("`per_run` is not a price"));
}

#[test]
fn ageing_is_the_slope_of_loss_on_age_on_the_same_rows() {
    let mut history = History::default();
    for week in 1..=4 {
        let mut seen = observation(week, 1, false);
        // Weeks differ in difficulty by far more than versions by age.
        let level = [0.5, 0.9, 0.3, 0.7][usize::try_from(week).unwrap() - 1];
        let mean = |age: u32| level + 0.004 * f64::from(age);
        let age = u32::try_from(week).unwrap();
        seen.loss.as_mut().unwrap().mean = mean(age);
        seen.evidence.retired = vec![
            Retired { age: age + 2, mean: mean(age + 2) },
            Retired { age: age + 5, mean: mean(age + 5) },
        ];
        history.observe(&seen);
    }
    assert!((history.ageing().unwrap() - 0.004).abs() < 1e-12);
    assert!((history.excess().unwrap() - 0.016).abs() < 1e-12);
    // A run every √(2 × 2.0 / 8.0) of a period is one in each.
    let economic = Rule::Economic { factor: 1.0 };
    assert!(economic.opinion(&history, &Prices::default()).retrains());
    // At 40 a run it is one in √(2 × 100 / 8) = 5 periods, and the champion is 4 old.
    let prices = Prices { per_run: Some(100.0), ..Prices::default() };
    let opinion = economic.opinion(&history, &prices);
    assert!(!opinion.retrains());
    assert!(opinion.reasons[0].contains("one every 5.0 periods"), "{:?}", opinion.reasons);
}

#[test]
fn price_of_a_run_is_the_owners_or_a_share_of_the_guess() {
    let mut history = History::default();
    let mut week = observation(1, 1, false);
    history.observe(&week);
    assert_eq!(Prices::default().run(&History::default()), None);
    let run = |prices: Prices, history: &History| prices.run(history).unwrap();
    assert!((run(Prices::default(), &history) - 2.0).abs() < 1e-9);
    week.at = afresh_core::time::Timestamp(2 * super::WEEK);
    week.evidence.guess = Some(0.69);
    week.evidence.run_cpu_hours = Some(0.5);
    history.observe(&week);
    assert!((run(Prices::default(), &history) - 0.002 * 2_000.0 * 0.69).abs() < 1e-9);
    let by_hour = Prices { per_cpu_hour: Some(3.0), ..Prices::default() };
    assert!((run(by_hour, &history) - 1.5).abs() < 1e-9);
    let both = Prices { per_run: Some(1.0), ..by_hour };
    assert!((run(both, &history) - 2.5).abs() < 1e-9);
    // Of rows nothing is known yet: what else is stated counts.
    let by_rows = Prices { per_million_rows: Some(4.0), ..both };
    assert!((run(by_rows, &history) - 2.5).abs() < 1e-9);
    week.at = afresh_core::time::Timestamp(3 * super::WEEK);
    week.evidence.run_rows = Some(500_000);
    history.observe(&week);
    assert!((run(by_rows, &history) - 4.5).abs() < 1e-9);
    assert!(by_rows.states_run() && !Prices::default().states_run());
}
