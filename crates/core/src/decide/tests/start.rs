//! What starts a run, and what forbids it.

use super::*;

#[test]
fn signals_start_runs_at_their_thresholds_and_not_before() {
    let watching = Policy {
        decay: Some(DecayRule::Drop(0.05)),
        volume: Some(1_000),
        labels: Some(500),
        data: Some(2_000),
        ..policy()
    };
    let decay = |version, drop| {
        let (metric, alarm, priority) = ("auc".to_owned(), false, Priority::DEFAULT);
        Signal::Decay(Decay { version: VersionId(version), metric, drop, alarm, priority })
    };
    let champion = Life::with_champion(watching);
    for (signal, expected, cause, code) in [
        (Signal::Drift { score: 0.3, rows: 9 }, Act::Retrain, Cause::Drift, Code::ThresholdReached),
        (Signal::Drift { score: 0.29, rows: 9 }, Act::Keep, Cause::Drift, Code::ThresholdMissed),
        (Signal::Drift { score: f64::NAN, rows: 9 }, Act::Refuse, Cause::Drift, Code::NotFinite),
        (decay(1, 0.05), Act::Retrain, Cause::Decay, Code::ThresholdReached),
        (decay(1, 0.04), Act::Keep, Cause::Decay, Code::ThresholdMissed),
        (decay(1, f64::INFINITY), Act::Refuse, Cause::Decay, Code::NotFinite),
        (decay(7, 0.5), Act::Keep, Cause::Decay, Code::OtherVersion),
        (Signal::Volume { rows: 1_000 }, Act::Retrain, Cause::Volume, Code::ThresholdReached),
        (Signal::Volume { rows: 999 }, Act::Keep, Cause::Volume, Code::ThresholdMissed),
        (Signal::Labels { rows: 500 }, Act::Retrain, Cause::Labels, Code::ThresholdReached),
        (Signal::Labels { rows: 499 }, Act::Keep, Cause::Labels, Code::ThresholdMissed),
        (Signal::Data { rows: 2_000 }, Act::Retrain, Cause::Data, Code::ThresholdReached),
        (Signal::Data { rows: 1_999 }, Act::Keep, Cause::Data, Code::ThresholdMissed),
    ] {
        let decided =
            champion.model.decide(&champion.rules, champion.now, &Input::Signal(signal.clone()));
        let decision = decided.decision.clone().unwrap();
        assert_eq!((decision.action, decision.cause), (expected, cause), "{signal:?}");
        assert_eq!(decision.reasons[0].code, code, "{signal:?}");
        let starts = decided.events.iter().any(|event| matches!(event, Event::RunQueued { .. }));
        assert_eq!(starts, expected == Act::Retrain, "{signal:?}");
    }
}

#[test]
fn signals_that_nobody_watches_only_alert() {
    let mut life = Life::with_champion(Policy { drift: None, ..policy() });
    for signal in [
        Signal::Drift { score: 1.0, rows: 9 },
        Signal::Volume { rows: u64::MAX },
        Signal::Labels { rows: 9_000_000 },
        Signal::Data { rows: 9_000_000 },
    ] {
        let decided = life.give(Input::Signal(signal));
        assert_eq!((act(&decided), codes(&decided)), (Some(Act::Keep), vec![Code::NotWatched]));
    }
}

#[test]
fn sequential_decay_acts_on_its_alarm_alone() {
    let sequential = Policy { decay: Some(DecayRule::Sequential), ..policy() };
    let life = Life::with_champion(sequential);
    for (alarm, drop, expected) in [(false, 0.5, Act::Keep), (true, 0.01, Act::Retrain)] {
        let (version, metric, priority) = (VersionId(1), "auc".to_owned(), Priority::DEFAULT);
        let decay = Decay { version, metric, drop, alarm, priority };
        let input = Input::Signal(Signal::Decay(decay));
        assert_eq!(act(&life.model.decide(&life.rules, life.now, &input)), Some(expected));
    }
}

#[test]
fn proven_decay_needs_the_alarm_and_the_drop() {
    let proven = Policy { decay: Some(DecayRule::Proven(0.05)), ..policy() };
    let life = Life::with_champion(proven);
    for (alarm, drop, expected) in [
        (false, 0.5, Act::Keep),
        (true, 0.04, Act::Keep),
        (true, 0.05, Act::Retrain),
        (true, f64::NAN, Act::Refuse),
    ] {
        let (version, metric, priority) = (VersionId(1), "auc".to_owned(), Priority::DEFAULT);
        let decay = Decay { version, metric, drop, alarm, priority };
        let input = Input::Signal(Signal::Decay(decay));
        assert_eq!(act(&life.model.decide(&life.rules, life.now, &input)), Some(expected));
    }
}

#[test]
fn advice_acts_or_is_noted_as_the_owner_says() {
    for (attention, opinion, expected) in [
        (Attention::Acts, Verdict::Retrain, Act::Retrain),
        (Attention::Acts, Verdict::Keep, Act::Keep),
        (Attention::Notes, Verdict::Retrain, Act::Keep),
    ] {
        let mut life = Life::with_champion(Policy { advice: attention, ..policy() });
        let advice = Advice {
            policy: "periodic".to_owned(),
            retrain: opinion,
            gain: Some(2.0),
            cost: Some(1.0),
            priority: Priority::DEFAULT,
            reasons: vec!["stale".to_owned()],
        };
        let decided = life.give(Input::Signal(Signal::Advice(advice)));
        let reason = decided.decision.unwrap().reasons[0].clone();
        assert_eq!((reason.measured, reason.limit), (Some(2.0), Some(1.0)));
        assert_eq!(act(&life.give(Input::Tick)), None);
        let started = matches!(life.model.phase(), Phase::Queued { .. });
        assert_eq!(started, expected == Act::Retrain);
    }
}

#[test]
fn first_data_starts_the_first_version() {
    let mut life = Life::of(policy());
    let decided = life.give(Input::Signal(Signal::Data { rows: 10 }));
    assert_eq!(decided.decision.unwrap().cause, Cause::FirstVersion);
    assert_eq!(life.phase(), "queued");
}

#[test]
fn cooldown_lasts_to_its_very_end() {
    let mut life = Life::with_champion(Policy { cooldown: Duration::hours(24), ..policy() });
    life.reach_judging();
    let rejected = life.judged(Ok(evidence(true, -0.2, 0.01)));
    assert_eq!(outcome(&rejected), Some(Outcome::Rejected));
    life.pass(Duration(Duration::hours(24).0 - 1));
    assert_eq!(codes(&life.drift(0.9)), [Code::ThresholdReached, Code::CoolingDown]);
    life.pass(Duration(1));
    assert_eq!(act(&life.drift(0.9)), Some(Act::Retrain));
}

#[test]
fn run_under_way_stops_even_a_forced_request() {
    let mut life = Life::with_champion(policy());
    life.drift(0.9);
    let decided = life.ask(5, Mode::Force);
    assert_eq!(act(&decided), Some(Act::Keep));
    assert!(codes(&decided).contains(&Code::RunUnderWay));
}

#[test]
fn forced_request_overrides_every_limit_and_each_is_audited() {
    let strict = Policy {
        priority_min: Priority::HIGHEST,
        blackouts: vec![Blackout::Once(Window::ALL)],
        ..policy()
    };
    let mut life = Life::with_champion(policy());
    life.reach_judging();
    life.judged(Ok(evidence(true, -0.2, 0.01)));
    life.rules = Rules::new(strict);
    let asked = life.ask(1, Mode::Obey);
    let against = [Code::Requested, Code::CoolingDown, Code::Blackout, Code::PriorityTooLow];
    assert_eq!((act(&asked), codes(&asked)), (Some(Act::Keep), against.to_vec()));
    let forced = life.ask(1, Mode::Force);
    let audited = [Code::Requested, Code::Forced, Code::Forced, Code::Forced];
    assert_eq!((act(&forced), codes(&forced)), (Some(Act::Retrain), audited.to_vec()));
    assert_eq!(forced.decision.unwrap().by.as_deref(), Some("ana"));
}

#[test]
fn priority_below_the_minimum_is_refused_and_the_minimum_itself_is_not() {
    let mut life =
        Life::with_champion(Policy { priority_min: Priority::new(3).unwrap(), ..policy() });
    let low = life.ask(2, Mode::Obey);
    assert_eq!(codes(&low), [Code::Requested, Code::PriorityTooLow]);
    assert_eq!(act(&life.ask(3, Mode::Obey)), Some(Act::Retrain));
}

#[test]
fn blackout_holds_starts_while_it_lasts() {
    let days = vec![0];
    let weekly = Blackout::Weekly { days, from_minute: 0, to_minute: 24 * 60, zone: Zone::UTC };
    let mut life = Life::with_champion(Policy { blackouts: vec![weekly], ..policy() });
    life.now = MONDAY.after(Duration::days(14));
    assert_eq!(codes(&life.drift(0.9)), [Code::ThresholdReached, Code::Blackout]);
    life.pass(Duration::days(1));
    assert_eq!(act(&life.drift(0.9)), Some(Act::Retrain));
}

#[test]
fn classic_preset_has_the_constants_of_the_specification() {
    let classic = Policy::classic();
    assert_eq!(classic.cooldown, Duration::hours(24));
    assert_eq!(classic.priority_min.level(), 3);
    assert_eq!(classic.drift, Some(0.3));
    assert_eq!(classic.decay, Some(DecayRule::Drop(0.05)));
    let schedule = classic.schedule.clone().unwrap();
    assert_eq!(schedule.cadence, Cadence::cron("0 2 * * 0", Zone::UTC).unwrap());
    assert_eq!(schedule.catch_up, CatchUp::Skip);
    assert_eq!(classic.retry, Retry { times: 2, delay: Duration::minutes(10) });
    assert_eq!(classic.gate.at_least, Some(gate::Bound::Above(0.90)));
    assert_eq!((classic.gate.min_improvement, classic.gate.margin), (0.01, 0.02));
    assert_eq!(classic.advice, Attention::Notes);
}

#[test]
fn another_policy_is_noted_once_with_its_hash() {
    let mut life = Life::with_champion(Policy { drift: Some(0.4), ..policy() });
    assert_eq!(life.tick().events, [Event::PolicyChanged { hash: life.rules.hash() }]);
    assert_eq!(life.tick(), Decided::default());
    assert_ne!(life.rules.hash(), Policy::classic().hash());
    assert_eq!(Policy::classic().hash(), Policy::classic().hash());
}

#[test]
fn earlier_clock_counts_as_the_time_of_the_last_fact() {
    let mut life = Life::with_champion(policy());
    life.drift(0.9);
    let (last, later) = (life.model.last(), life.now);
    life.now = MONDAY.before(Duration::days(400));
    life.admit();
    assert_eq!(life.model.last(), last);
    match life.model.phase() {
        Phase::Working { deadline, .. } => {
            assert_eq!(*deadline, later.after(policy().limits.prepare));
        }
        other => panic!("{}", other.name()),
    }
}
