//! Steps of a run: answers, failures, time limits, judgements.

use super::*;

#[test]
fn run_goes_from_queue_to_deployment() {
    let mut life = Life::with_champion(policy());
    let mut seen = Vec::new();
    life.drift(0.9);
    seen.push(life.phase());
    life.admit();
    seen.push(life.phase());
    life.prepared();
    seen.push(life.phase());
    life.trained(Ok(Trained { cpu_seconds: 5.0 }));
    seen.push(life.phase());
    life.judged(Ok(better(true)));
    seen.push(life.phase());
    assert_eq!(seen, ["queued", "preparing", "training", "judging", "rolling_out"]);
    assert_eq!(life.released.last(), Some(&5.0));
}

#[test]
fn failed_step_is_repeated_after_its_delay_and_only_so_often() {
    let retry = Retry { times: 2, delay: Duration::minutes(10) };
    let mut life = Life::with_champion(Policy { retry, ..policy() });
    life.reach_training();
    for attempt in 0..2 {
        let decided = life.trained(Err(failure(FailureKind::Transient)));
        assert_eq!(act(&decided), Some(Act::Retry), "attempt {attempt}");
        assert_eq!(life.model.next_wakeup(life.rules.policy()), Some(life.now.after(retry.delay)));
        life.pass(Duration(retry.delay.0 - 1));
        assert_eq!(life.tick().events, [], "too early");
        life.pass(Duration(1));
        life.tick();
        life.admit();
    }
    let last = life.trained(Err(failure(FailureKind::Transient)));
    assert_eq!((act(&last), outcome(&last)), (Some(Act::Abandon), Some(Outcome::Failed)));
    assert!(last.decision.unwrap().reasons[0].detail.contains("the disk is full"));
}

#[test]
fn permanent_failure_ends_the_run_at_once() {
    let mut life = Life::with_champion(policy());
    life.reach_training();
    let decided = life.trained(Err(failure(FailureKind::Permanent)));
    assert_eq!(outcome(&decided), Some(Outcome::Failed));
    assert_eq!(life.model.champion(), Some(VersionId(1)));
}

#[test]
fn hanging_step_is_repeated_and_then_times_out() {
    let retry = Retry { times: 1, delay: Duration::ZERO };
    let mut life = Life::with_champion(Policy { retry, ..policy() });
    life.reach_training();
    life.pass(policy().limits.train);
    assert_eq!(act(&life.tick()), Some(Act::Retry));
    life.tick();
    life.admit();
    life.pass(Duration(policy().limits.train.0 - 1));
    assert_eq!(life.tick(), Decided::default());
    life.pass(Duration(1));
    assert_eq!(outcome(&life.tick()), Some(Outcome::TimedOut));
}

#[test]
fn answer_after_its_time_limit_still_counts_and_its_cost_is_charged() {
    let mut life = Life::with_champion(policy());
    life.reach_training();
    let before = life.released.len();
    life.pass(policy().limits.train);
    life.tick();
    assert_eq!(life.phase(), "retrying");
    life.trained(Ok(Trained { cpu_seconds: 40.0 }));
    assert_eq!(life.phase(), "queued");
    life.admit();
    assert_eq!(life.phase(), "judging");
    life.judged(Ok(evidence(true, -0.2, 0.01)));
    let charged = life.released[before..].iter().sum::<f64>();
    assert!((charged - 40.0).abs() < 1e-9, "{charged}");
}

#[test]
fn answers_to_questions_of_the_past_mean_nothing() {
    let mut life = Life::with_champion(policy());
    life.reach_judging();
    let run = life.run();
    let candidate = VersionId(2);
    let old = [
        Input::Trained { run, candidate, result: Ok(Trained { cpu_seconds: 1.0 }) },
        Input::Trained { run: RunId(1), candidate, result: Err(failure(FailureKind::Permanent)) },
        Input::Judged {
            run: RunId(1),
            candidate,
            judgement: 0,
            result: Box::new(Ok(better(true))),
        },
        Input::Judged {
            run,
            candidate: VersionId(1),
            judgement: 0,
            result: Box::new(Ok(better(true))),
        },
        Input::Judged { run, candidate, judgement: 1, result: Box::new(Ok(better(true))) },
        Input::Refitted {
            run,
            candidate,
            result: Ok(Refitted { cpu_seconds: 1.0, checks: vec![] }),
        },
        Input::Serving { fence: life.model.fence() },
        Input::Admitted { run },
        Input::Approve { run, by: "ana".to_owned() },
        Input::Decline { run, by: "ana".to_owned() },
        Input::Cancel { run: RunId(1), by: "ana".to_owned() },
        Input::Preempted { run: RunId(1) },
    ];
    life.tick();
    for input in old {
        assert_eq!(life.give(input.clone()), Decided::default(), "{input:?}");
    }
}

#[test]
fn preempted_step_waits_for_slots_and_begins_anew() {
    let mut life = Life::with_champion(policy());
    life.reach_training();
    let (run, before) = (life.run(), life.released.len());
    let decided = life.give(Input::Preempted { run });
    assert_eq!((act(&decided), codes(&decided)), (Some(Act::Wait), vec![Code::Preempted]));
    assert_eq!((life.phase(), life.released.len()), ("queued", before + 1));
    assert_eq!(life.model.owed(life.rules.policy()).unwrap().run, run);
    life.admit();
    assert_eq!(life.phase(), "training");
}

#[test]
fn inconclusive_candidate_is_judged_again_and_then_rejected() {
    let rejudge = Rejudge { every: Duration::days(7), times: 2 };
    let mut life = Life::with_champion(Policy { rejudge, ..policy() });
    life.reach_judging();
    for judgement in 0..2 {
        assert_eq!(act(&life.judged(Ok(unclear()))), Some(Act::Wait), "{judgement}");
        assert_eq!(life.phase(), "waiting");
        life.pass(Duration::days(7));
        life.tick();
        life.admit();
        assert_eq!(life.phase(), "judging");
    }
    let last = life.judged(Ok(unclear()));
    assert_eq!((act(&last), outcome(&last)), (Some(Act::Reject), Some(Outcome::Rejected)));
    assert!(codes(&last).contains(&Code::TriesSpent));
}

#[test]
fn inconclusive_candidate_ships_when_a_later_judgement_passes_it() {
    let mut life = Life::with_champion(policy());
    life.reach_judging();
    life.judged(Ok(unclear()));
    assert_eq!(life.model.standings()[&VersionId(2)], Standing::Unproven);
    life.pass(policy().rejudge.every);
    life.tick();
    life.admit();
    assert_eq!(act(&life.judged(Ok(better(true)))), Some(Act::RollOut));
    assert!(life.model.has_passed(VersionId(2)));
}

#[test]
fn candidate_that_was_not_compared_with_the_champion_is_rejected() {
    let mut life = Life::with_champion(policy());
    life.reach_judging();
    let decided = life.judged(Ok(better(false)));
    assert_eq!(outcome(&decided), Some(Outcome::Rejected));
    assert!(decided.decision.unwrap().reasons[0].detail.contains("not compared"));
}

#[test]
fn increment_becomes_a_full_retraining_and_a_full_run_does_not_start_over() {
    let incremental = Policy { training: Training::Incremental, ..policy() };
    let mut life = Life::with_champion(incremental);
    life.reach_training();
    match life.model.outstanding() {
        Some(Action::Train { warm_start, .. }) => assert_eq!(warm_start, Some(VersionId(1))),
        other => panic!("{other:?}"),
    }
    let decided = life.trained(Err(failure(FailureKind::FullRetrainingDue)));
    assert_eq!(codes(&decided), [Code::FullRetrainingDue]);
    assert_eq!(life.model.phase().run().unwrap().strategy, Strategy::Triggered);
    life.admit();
    life.prepared();
    match life.model.outstanding() {
        Some(Action::Train { warm_start, .. }) => assert_eq!(warm_start, None),
        other => panic!("{other:?}"),
    }
    let again = life.trained(Err(failure(FailureKind::FullRetrainingDue)));
    assert_eq!(outcome(&again), Some(Outcome::Failed));
}

#[test]
fn refit_ships_when_its_checks_pass_and_else_the_judged_candidate() {
    let check = |result| Check { name: "finite".to_owned(), result, detail: String::new() };
    let refitted = |result| Ok(Refitted { cpu_seconds: 1.0, checks: vec![check(result)] });
    for (answer, ships) in [
        (refitted(CheckResult::Passed), VersionId(3)),
        (refitted(CheckResult::Failed), VersionId(2)),
        (Err(failure(FailureKind::Permanent)), VersionId(2)),
    ] {
        let mut life = Life::with_champion(policy());
        life.rules = Rules::new(Policy { refit: Refit::Yes, ..policy() });
        life.reach_judging();
        life.judged(Ok(better(true)));
        assert_eq!(life.phase(), "refitting");
        life.refitted(answer);
        assert_eq!((life.phase(), life.model.phase().candidate()), ("rolling_out", Some(ships)));
    }
}

#[test]
fn cancel_ends_a_run_that_serves_nothing_yet() {
    let mut life = Life::with_champion(policy());
    life.reach_training();
    let run = life.run();
    let decided = life.give(Input::Cancel { run, by: "ben".to_owned() });
    assert_eq!(outcome(&decided), Some(Outcome::Cancelled));
    assert_eq!(decided.decision.unwrap().by.as_deref(), Some("ben"));
}
