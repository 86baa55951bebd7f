//! Times of the schedule, on time and missed.

use super::*;

fn daily(catch_up: CatchUp, depends_on_past: DependsOnPast) -> Policy {
    let cadence = Cadence::every(Duration::days(1), MONDAY).unwrap();
    let schedule = Some(Schedule { cadence, catch_up, depends_on_past });
    Policy { schedule, cooldown: Duration::ZERO, ..policy() }
}

/// A model with a champion whose schedule was looked at just before a due time.
fn looking(catch_up: CatchUp, depends_on_past: DependsOnPast) -> Life {
    let mut life = Life::with_champion(daily(catch_up, depends_on_past));
    life.now = Timestamp(MONDAY.after(Duration::days(20)).0 - 1);
    // The champion came to be before the schedule did.
    while life.model.next_wakeup(life.rules.policy()).is_some_and(|wakeup| wakeup <= life.now) {
        life.tick();
        if life.model.phase().run().is_some() {
            reject(&mut life);
        }
    }
    life
}

fn reject(life: &mut Life) {
    life.admit();
    life.prepared();
    life.trained(Ok(Trained { cpu_seconds: 1.0 }));
    life.judged(Ok(evidence(true, -0.2, 0.01)));
    assert_eq!(life.phase(), "idle");
}

fn fail(life: &mut Life) {
    life.admit();
    let run = life.run();
    life.give(Input::Prepared { run, result: Err(failure(FailureKind::Permanent)) });
    assert_eq!(life.phase(), "idle");
}

#[test]
fn schedule_starts_a_run_on_time_and_wakes_up_for_it() {
    for catch_up in [CatchUp::Skip, CatchUp::Once, CatchUp::All] {
        let mut life = looking(catch_up, DependsOnPast::No);
        let due = MONDAY.after(Duration::days(20));
        assert_eq!(life.model.next_wakeup(life.rules.policy()), Some(due), "{catch_up:?}");
        assert_eq!(life.tick(), Decided::default(), "{catch_up:?}");
        life.now = due;
        let decided = life.tick();
        assert_eq!((act(&decided), codes(&decided)), (Some(Act::Retrain), vec![Code::ScheduleDue]));
        let run = life.model.phase().run().unwrap();
        assert_eq!((run.cause, run.strategy), (Cause::Schedule, Strategy::Scheduled));
    }
}

#[test]
fn missed_times_are_left_out_made_up_once_or_all_made_up() {
    for (catch_up, expected) in [(CatchUp::Skip, 0), (CatchUp::Once, 1), (CatchUp::All, 3)] {
        let mut life = looking(catch_up, DependsOnPast::No);
        life.now = MONDAY.after(Duration::days(22)).after(Duration::hours(1));
        let first = life.tick();
        if expected == 0 {
            assert_eq!(codes(&first), [Code::ScheduleSkipped]);
        }
        let mut runs = 0;
        while life.model.phase().run().is_some() {
            runs += 1;
            reject(&mut life);
            life.tick();
        }
        assert_eq!(runs, expected, "{catch_up:?}");
        let next = MONDAY.after(Duration::days(23));
        assert_eq!(life.model.next_wakeup(life.rules.policy()), Some(next), "{catch_up:?}");
    }
}

#[test]
fn time_that_falls_into_a_run_is_dropped_or_waits() {
    for (catch_up, pending) in [(CatchUp::Skip, 0), (CatchUp::Once, 1), (CatchUp::All, 1)] {
        let mut life = looking(catch_up, DependsOnPast::No);
        life.drift(0.9);
        life.now = MONDAY.after(Duration::days(20));
        let decided = life.tick();
        assert_eq!(codes(&decided), [Code::ScheduleDue, Code::RunUnderWay], "{catch_up:?}");
        assert_eq!(life.model.schedule().pending, pending, "{catch_up:?}");
        assert_eq!(life.tick(), Decided::default(), "it was told before");
        reject(&mut life);
        life.tick();
        assert_eq!(life.model.phase().run().is_some(), pending == 1, "{catch_up:?}");
    }
}

#[test]
fn waiting_run_is_woken_when_its_cooldown_ends() {
    let mut life = looking(CatchUp::Once, DependsOnPast::No);
    let slow = Policy { cooldown: Duration::hours(30), ..life.rules.policy().clone() };
    life.rules = Rules::new(slow);
    life.drift(0.9);
    reject(&mut life);
    let ends = life.now.after(Duration::hours(30));
    life.now = MONDAY.after(Duration::days(20));
    assert_eq!(codes(&life.tick()), [Code::ScheduleDue, Code::CoolingDown]);
    life.now = MONDAY.after(Duration::days(21));
    life.tick();
    assert_eq!(life.model.next_wakeup(life.rules.policy()), Some(ends));
    life.now = ends;
    assert_eq!(act(&life.tick()), Some(Act::Retrain));
}

#[test]
fn late_tick_inside_a_blackout_asks_for_the_next_one_behind_it() {
    let mut life = looking(CatchUp::Once, DependsOnPast::No);
    let window = Window { from: life.now, to: life.now.after(Duration::hours(9)) };
    let policy = life.rules.policy().clone();
    life.rules = Rules::new(Policy { blackouts: vec![Blackout::Once(window)], ..policy });
    life.pass(Duration::hours(3));
    assert_eq!(codes(&life.tick()), [Code::ScheduleDue, Code::Blackout]);
    life.pass(Duration::hours(1));
    life.tick();
    assert_eq!(life.model.next_wakeup(life.rules.policy()), Some(window.to));
    life.now = window.to;
    assert_eq!(act(&life.tick()), Some(Act::Retrain));
}

#[test]
fn run_that_can_never_start_asks_for_no_wakeup_in_the_past() {
    let mut life = looking(CatchUp::Once, DependsOnPast::No);
    let urgent = Policy { priority_min: Priority::HIGHEST, ..life.rules.policy().clone() };
    life.rules = Rules::new(urgent);
    life.now = MONDAY.after(Duration::days(20));
    assert!(codes(&life.tick()).contains(&Code::PriorityTooLow));
    assert!(life.model.next_wakeup(life.rules.policy()).unwrap() > life.now);
}

#[test]
fn broken_scheduled_run_holds_the_schedule_until_another_ends_well() {
    for training in [Training::Full, Training::Incremental] {
        let mut life = looking(CatchUp::Once, DependsOnPast::Yes);
        life.rules = Rules::new(Policy { training, ..life.rules.policy().clone() });
        life.now = MONDAY.after(Duration::days(20));
        life.tick();
        fail(&mut life);
        life.pass(Duration::days(1));
        assert_eq!(codes(&life.tick()), [Code::ScheduleDue, Code::DependsOnPast], "{training:?}");
        life.drift(0.9);
        reject(&mut life);
        assert_eq!(act(&life.tick()), Some(Act::Retrain), "{training:?}");
    }
}

#[test]
fn broken_run_of_another_cause_holds_no_schedule() {
    let mut life = looking(CatchUp::Skip, DependsOnPast::Yes);
    life.drift(0.9);
    fail(&mut life);
    life.now = MONDAY.after(Duration::days(20));
    assert_eq!(act(&life.tick()), Some(Act::Retrain));
}

#[test]
fn schedule_that_nobody_looked_at_asks_to_be_looked_at_now() {
    let life = Life::of(Policy::classic());
    let wakeup = life.model.next_wakeup(life.rules.policy()).unwrap();
    assert!(wakeup <= life.now);
}

#[test]
fn first_scheduled_run_makes_the_first_version() {
    let mut life = Life::of(daily(CatchUp::Skip, DependsOnPast::No));
    life.tick();
    let decided = life.tick();
    assert_eq!(decided.decision.unwrap().cause, Cause::FirstVersion);
}
