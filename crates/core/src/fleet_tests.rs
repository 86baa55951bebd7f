//! Who may compute now, by example.

use super::*;

const HOUR: Duration = Duration::hours(1);

fn owed(model: &str, level: u8, since: i64) -> Owed {
    Owed {
        model: ModelName::new(model).unwrap(),
        run: RunId(1),
        needs: Resources { cpu_milli: 1_000, memory_mib: 100, gpu: 0 },
        priority: Priority::new(level).unwrap(),
        since: Timestamp(since),
        estimate_cpu_seconds: 10.0,
    }
}

fn limits(cores: u64) -> Limits {
    Limits {
        slots: Resources { cpu_milli: cores * 1_000, memory_mib: 1_000, gpu: 0 },
        ageing: HOUR,
        ..Limits::default()
    }
}

fn started(assignment: &Assignment) -> Vec<&str> {
    assignment.start.iter().map(|owed| owed.model.as_str()).collect()
}

fn taking(runs: &[Owed]) -> Fleet {
    let mut fleet = Fleet::default();
    for run in runs {
        fleet.apply(Timestamp(0), &run.taken());
    }
    fleet
}

#[test]
fn urgent_first_then_oldest_then_by_name() {
    let runs = [owed("d", 3, 5), owed("a", 3, 5), owed("b", 3, 2), owed("c", 5, 9)];
    let fleet = Fleet::default();
    assert_eq!(started(&fleet.assign(&limits(4), &runs, Timestamp(10))), ["c", "b", "a", "d"]);
    let two = fleet.assign(&limits(2), &runs, Timestamp(10));
    assert_eq!(started(&two), ["c", "b"]);
    assert!(two.held.iter().all(|held| held.why == Hold::Slots));
}

#[test]
fn waiting_raises_a_run_until_it_is_first() {
    let patient = owed("patient", 1, 0);
    for hours in 0..10_i64 {
        let now = Timestamp(hours * 3_600_000);
        let rival = owed("rival", 5, now.0);
        let assignment = Fleet::default().assign(&limits(1), &[rival, patient.clone()], now);
        let first = if hours < 4 { "rival" } else { "patient" };
        assert_eq!(started(&assignment), [first], "after {hours} hours");
    }
}

#[test]
fn small_runs_do_not_overtake_a_large_one_for_ever() {
    let mut large = owed("large", 3, 0);
    large.needs.cpu_milli = 2_000;
    let fleet = taking(&[owed("running", 3, 0)]);
    let assignment = fleet.assign(&limits(2), &[large, owed("small", 3, 1)], Timestamp(2));
    assert_eq!(started(&assignment), Vec::<&str>::new());
}

#[test]
fn run_larger_than_the_machine_is_held_and_blocks_nobody() {
    let mut huge = owed("huge", 5, 0);
    huge.needs.gpu = 1;
    let assignment = Fleet::default().assign(&limits(1), &[huge, owed("a", 1, 0)], Timestamp(1));
    assert_eq!(started(&assignment), ["a"]);
    assert_eq!(assignment.held[0].why, Hold::TooLarge);
}

#[test]
fn spent_budget_holds_until_it_rolls_out_of_the_window() {
    let run = owed("a", 3, 0);
    let mut limits = limits(4);
    limits.budgets.insert(run.model.clone(), Budget { cpu_seconds: 25.0, per: HOUR });
    let mut fleet = Fleet::default();
    let mut start = |run: RunId, at: i64| {
        let owed = Owed { run, ..run_of(run) };
        fleet.apply(Timestamp(at), &owed.taken());
        let model = owed.model.clone();
        fleet.apply(Timestamp(at), &FleetEvent::Released { model, run, cpu_seconds: 10.0 });
    };
    fn run_of(run: RunId) -> Owed {
        Owed { run, ..owed("a", 3, 0) }
    }
    start(RunId(1), 100);
    start(RunId(2), 200);
    let third = run_of(RunId(3));
    let assignment = fleet.assign(&limits, std::slice::from_ref(&third), Timestamp(300));
    let free_at = Some(Timestamp(100).after(HOUR));
    assert_eq!(assignment.held[0].why, Hold::Budget { free_at });
    let later = fleet.assign(&limits, &[third], Timestamp(100).after(HOUR));
    assert_eq!(started(&later), ["a"]);
}

#[test]
fn total_budget_counts_what_runs_already() {
    let mut limits = limits(4);
    limits.total = Some(Budget { cpu_seconds: 15.0, per: HOUR });
    let assignment =
        Fleet::default().assign(&limits, &[owed("a", 3, 0), owed("b", 3, 1)], Timestamp(2));
    assert_eq!(started(&assignment), ["a"]);
    assert_eq!(assignment.held[0].why, Hold::Budget { free_at: None });
}

#[test]
fn much_more_urgent_run_preempts_the_least_urgent_and_youngest() {
    let fleet = taking(&[owed("low", 1, 0), owed("middle", 3, 0)]);
    let limits = limits(2);
    let urgent = fleet.assign(&limits, &[owed("urgent", 5, 0)], Timestamp(1));
    assert_eq!(urgent.preempt, [(ModelName::new("low").unwrap(), RunId(1))]);
    let mild = fleet.assign(&limits, &[owed("mild", 2, 0)], Timestamp(1));
    assert_eq!(mild.preempt, []);
}

#[test]
fn doubled_end_is_counted_once() {
    let run = owed("a", 3, 0);
    let mut fleet = taking(std::slice::from_ref(&run));
    let end = FleetEvent::Released { model: run.model.clone(), run: run.run, cpu_seconds: 7.0 };
    fleet.apply(Timestamp(1), &end);
    fleet.apply(Timestamp(2), &end);
    assert!((fleet.committed(Some(&run.model), HOUR, Timestamp(3)) - 7.0).abs() < 1e-12);
    assert_eq!(fleet.occupied(), Resources::default());
}
