//! Approval, steps of a rollout, probation, and the way back.

use super::*;

fn served(life: &Life) -> Deployment {
    match life.model.outstanding() {
        Some(Action::Serve(deployment)) => deployment,
        other => panic!("{other:?} instead of a deployment"),
    }
}

#[test]
fn person_approves_or_declines_and_is_named() {
    for approves in [true, false] {
        let mut life = Life::with_champion(Policy { approval: Approval::Person, ..policy() });
        life.reach_deploying();
        assert_eq!(life.phase(), "awaiting_approval");
        life.pass(Duration::days(30));
        assert_eq!(life.tick(), Decided::default(), "only a person ends this");
        let (run, by) = (life.run(), "ben".to_owned());
        let decided = match approves {
            true => life.give(Input::Approve { run, by }),
            false => life.give(Input::Decline { run, by }),
        };
        assert_eq!(decided.decision.as_ref().unwrap().by.as_deref(), Some("ben"));
        let expected = if approves { None } else { Some(Outcome::Rejected) };
        assert_eq!(outcome(&decided), expected);
        assert_eq!(life.phase(), if approves { "rolling_out" } else { "idle" });
    }
}

#[test]
fn blackout_holds_a_rollout_until_it_ends() {
    let mut life = Life::with_champion(policy());
    life.reach_judging();
    let window = Window { from: life.now, to: life.now.after(Duration::hours(5)) };
    life.rules = Rules::new(Policy { blackouts: vec![Blackout::Once(window)], ..policy() });
    life.judged(Ok(better(true)));
    assert_eq!(life.phase(), "held");
    assert_eq!(life.model.next_wakeup(life.rules.policy()), Some(window.to));
    life.now = window.to;
    life.tick();
    assert_eq!(life.phase(), "rolling_out");
}

#[test]
fn rollout_takes_its_steps_with_rising_fences() {
    let step = |percent, hold| Step { percent, hold };
    let rollout =
        vec![step(0, Duration::hours(1)), step(25, Duration::hours(2)), step(100, Duration::ZERO)];
    let mut life = Life::with_champion(policy());
    life.rules = Rules::new(Policy { rollout, ..policy() });
    life.reach_deploying();
    let (champion, candidate) = (Some(VersionId(1)), VersionId(2));
    let mut fence = life.model.fence();
    for (percent, hold) in [(0, Duration::hours(1)), (25, Duration::hours(2))] {
        let canary = Some(Canary { version: candidate, percent });
        assert_eq!(served(&life), Deployment { fence, version: champion, canary });
        life.serving();
        assert_eq!(life.model.outstanding(), None);
        life.pass(hold);
        life.tick();
        assert!(fence < life.model.fence());
        fence = life.model.fence();
    }
    assert_eq!(served(&life), Deployment { fence, version: Some(candidate), canary: None });
    life.serving();
    assert_eq!(life.phase(), "probation");
}

#[test]
fn first_version_answers_everything_at_once() {
    let canary = vec![Step { percent: 5, hold: Duration::hours(1) }];
    let mut life = Life::of(Policy { rollout: canary, ..policy() });
    life.reach_deploying();
    assert_eq!(served(&life).version, Some(VersionId(1)));
}

#[test]
fn older_deployments_confirmation_means_nothing() {
    let mut life = Life::with_champion(policy());
    life.reach_deploying();
    let old = Fence(life.model.fence().0 - 1);
    assert_eq!(life.give(Input::Serving { fence: old }).events, []);
    assert_eq!(life.phase(), "rolling_out");
}

#[test]
fn deployment_that_nobody_confirms_is_taken_back() {
    let mut life = Life::with_champion(policy());
    life.reach_deploying();
    let late = life.model.fence();
    life.pass(policy().limits.deploy);
    assert_eq!(codes(&life.tick()), [Code::TimedOut]);
    assert_eq!(served(&life).version, Some(VersionId(1)));
    assert_eq!(life.give(Input::Serving { fence: late }), Decided::default());
    assert_eq!(outcome(&life.serving()), Some(Outcome::RolledBack));
    assert_eq!(life.model.champion(), Some(VersionId(1)));
}

#[test]
fn probation_proves_a_version_by_time_and_labels_together() {
    let mut life = Life::with_champion(policy());
    life.reach_probation();
    let began = life.now;
    assert_eq!(outcome(&life.watch(100, 1.0)), None, "too early");
    life.now = began.after(Duration(Duration::hours(12).0 - 1));
    assert_eq!(life.tick(), Decided::default());
    life.pass(Duration(1));
    let decided = life.tick();
    assert_eq!((outcome(&decided), codes(&decided)), (Some(Outcome::Promoted), vec![Code::Proven]));
    assert_eq!(life.model.champion(), Some(VersionId(2)));
}

#[test]
fn label_that_completes_the_count_ends_probation_without_a_tick() {
    let mut life = Life::with_champion(policy());
    life.reach_probation();
    life.pass(Duration::hours(13));
    assert_eq!(outcome(&life.watch(99, 1.0)), None);
    assert_eq!(life.watch(50, 1.0).events, [], "an older count changes nothing");
    assert_eq!(outcome(&life.watch(100, 1.0)), Some(Outcome::Promoted));
}

#[test]
fn probation_without_labels_ends_unproven_at_its_maximum() {
    let mut life = Life::with_champion(policy());
    life.reach_probation();
    life.watch(99, 1.0);
    life.pass(Duration::days(2));
    let decided = life.tick();
    assert_eq!(outcome(&decided), Some(Outcome::Unproven));
    assert_eq!(codes(&decided), [Code::Unproven]);
    assert_eq!(life.model.champion(), Some(VersionId(2)));
}

#[test]
fn harm_takes_a_version_back_at_every_step() {
    let hold = vec![Step { percent: 50, hold: Duration::hours(9) }];
    let errors = |life: &Life| Watch {
        version: life.model.phase().candidate().unwrap(),
        labels: 0,
        e_value: 1.0,
        excess_loss: 0.0,
        error_rate: 0.02,
    };
    for phase in ["deploying", "holding", "probation"] {
        let mut life = Life::with_champion(policy());
        if phase == "probation" {
            life.reach_probation();
        } else {
            life.rules = Rules::new(Policy { rollout: hold.clone(), ..policy() });
            life.reach_deploying();
            if phase == "holding" {
                life.serving();
            }
        }
        let mut by_errors = life.clone();
        let watch = errors(&by_errors);
        assert_eq!(codes(&by_errors.give(Input::Watched(watch))), [Code::GuardBroken], "{phase}");
        assert_eq!(codes(&life.watch(10, 20.0)), [Code::Harmful], "{phase}");
        assert_eq!(served(&life).version, Some(VersionId(1)), "{phase}");
        assert_eq!(outcome(&life.serving()), Some(Outcome::RolledBack), "{phase}");
        assert!(!life.model.has_passed(VersionId(2)), "{phase}");
        assert_eq!(life.model.standings()[&VersionId(2)], Standing::Rejected, "{phase}");
    }
}

#[test]
fn evidence_of_harm_below_the_alarm_takes_nothing_back() {
    let mut life = Life::with_champion(policy());
    life.reach_probation();
    assert_eq!(act(&life.watch(10, 19.9)), None);
    let refused = life.watch(11, f64::NAN);
    assert_eq!((act(&refused), codes(&refused)), (Some(Act::Refuse), vec![Code::NotFinite]));
}

#[test]
fn cancelled_rollout_is_taken_back() {
    let mut life = Life::with_champion(policy());
    life.reach_probation();
    let run = life.run();
    let decided = life.give(Input::Cancel { run, by: "ben".to_owned() });
    assert_eq!((act(&decided), codes(&decided)), (Some(Act::RollBack), vec![Code::Cancelled]));
    assert_eq!(outcome(&life.serving()), Some(Outcome::RolledBack));
}

#[test]
fn first_version_that_harms_leaves_nothing_serving() {
    let mut life = Life::of(policy());
    life.reach_probation();
    life.watch(10, 100.0);
    assert_eq!(served(&life).version, None);
    life.serving();
    assert_eq!((life.phase(), life.model.champion()), ("idle", None));
}

#[test]
fn override_serves_what_passed_and_anything_else_only_by_force() {
    let mut life = Life::with_champion(policy());
    life.reach_judging();
    life.judged(Ok(evidence(true, -0.2, 0.01)));
    let to = |to, mode| Input::Override {
        to: VersionId(to),
        by: "ana".to_owned(),
        reason: "the old one was better".to_owned(),
        mode,
    };
    for (version, mode) in [(9, Mode::Force), (2, Mode::Obey)] {
        assert_eq!(act(&life.give(to(version, mode))), Some(Act::Refuse), "v{version}");
    }
    let forced = life.give(to(2, Mode::Force));
    assert_eq!(act(&forced), Some(Act::Override));
    assert_eq!(served(&life).version, Some(VersionId(2)));
    life.serving();
    assert_eq!((life.phase(), life.model.champion()), ("idle", Some(VersionId(2))));
    // The cooldown of the rejected run goes on.
    assert_eq!(codes(&life.drift(0.9)), [Code::ThresholdReached, Code::CoolingDown]);
}

#[test]
fn override_ends_the_run_under_way() {
    for (probation, expected) in [(false, Outcome::Cancelled), (true, Outcome::RolledBack)] {
        let mut life = Life::with_champion(policy());
        if probation {
            life.reach_probation();
        } else {
            life.reach_training();
        }
        let (by, reason) = ("ana".to_owned(), "an incident".to_owned());
        let (to, mode) = (VersionId(1), Mode::Obey);
        let decided = life.give(Input::Override { to, by, reason, mode });
        assert_eq!(outcome(&decided), Some(expected));
        life.serving();
        assert_eq!(life.model.champion(), Some(VersionId(1)));
    }
}
