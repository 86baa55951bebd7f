//! A replay through the real workers, on small synthetic histories.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::large_futures,
    reason = "helpers of tests fail where they stand"
)]

mod history;

use std::collections::BTreeMap;
use std::path::Path;

use afresh_core::event::Outcome as RunOutcome;
use afresh_core::invariant::{self, DatasetStatus};
use afresh_core::model::{Deployment, Model, Phase};
use afresh_core::time::{Duration, Timestamp};
use afresh_data::dataset::Datasets;
use afresh_data::schema::Task;
use afresh_engine::port::Store as _;
use afresh_sim::replay::outcome::Outcome;
use afresh_sim::replay::{Compare, Error};
use afresh_train::recipe::Recipe;

use history::{Event, Plan, Replayed, START, events, model, replay, write};

const DAYS: i64 = 84;
const FLIP: i64 = 42;

fn folder(events: &[Event]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), events);
    folder
}

async fn flipped(compare: Compare) -> (tempfile::TempDir, Replayed) {
    let folder = folder(&events(Task::Binary, DAYS, FLIP));
    let plan = Plan { compare, ..Plan::new(Task::Binary) };
    let replayed = replay(&plan, folder.path(), "state").await.unwrap();
    (folder, replayed)
}

fn promotions(outcome: &Outcome) -> usize {
    let promoted = |outcome: Option<RunOutcome>| outcome.is_some_and(RunOutcome::promotes);
    outcome.runs.iter().filter(|run| promoted(run.outcome)).count()
}

#[tokio::test]
async fn managed_beats_never_after_the_concept_flips() {
    let (_folder, Replayed { outcome, .. }) = flipped(Compare::Both).await;
    // 84 days end one row before the end of the last week, which is therefore not whole.
    assert_eq!(outcome.periods.len(), 7);
    let always = outcome.always.unwrap();
    assert_eq!(always.retrains, 6);
    let flip = START.after(Duration::days(42));
    for period in &outcome.periods {
        let (managed, never) = (period.managed.unwrap(), period.never.unwrap());
        if period.window.to <= flip {
            assert!(0.8 < managed && 0.8 < never, "{managed} {never} in {}", period.window);
        } else {
            assert!(never < 0.3, "never has {never} in {}", period.window);
        }
    }
    let last = outcome.periods.last().unwrap();
    assert!(0.8 < last.managed.unwrap(), "{:?}", last.managed);
    let (managed, never) = (outcome.managed, outcome.never);
    assert!(never.metric_mean.unwrap() + 0.1 < managed.metric_mean.unwrap());
    assert!(managed.log_loss.unwrap() < never.log_loss.unwrap());
    assert!(2 <= promotions(&outcome), "{:?}", outcome.runs);
    assert_eq!((never.retrains, never.training_cpu_seconds), (0, 0.0));
}

#[tokio::test]
async fn every_dataset_verifies_the_log_folds_to_the_state_and_at_rest_the_champion_serves() {
    let (folder, Replayed { outcome, store }) = flipped(Compare::Never).await;
    // R7.
    let state = folder.path().join("state");
    let datasets = Datasets::open(&state).unwrap();
    let mut found = BTreeMap::new();
    for version in &outcome.versions {
        let id = version.dataset.as_ref().expect("every version has a dataset");
        let problems = datasets.verify(&model(), id, folder.path()).await.unwrap();
        let status = match problems.first() {
            None => DatasetStatus::Verified,
            Some(problem) => DatasetStatus::Damaged(problem.to_string()),
        };
        found.insert(version.version, status);
    }
    assert!(3 <= found.len(), "{found:?}");
    invariant::datasets_exist(found.iter().map(|(version, status)| (*version, status))).unwrap();

    // R5: the snapshot, which nobody may trust, is what the log folds to.
    let facts = store.facts(&model(), 0, u32::MAX).await.unwrap();
    let snapshot = store.snapshot(&model()).await.unwrap();
    let log = facts.iter().map(|fact| (fact.at, fact.event.clone())).collect::<Vec<_>>();
    if let Some(snapshot) = snapshot {
        let part = usize::try_from(snapshot.number).unwrap();
        invariant::fold_is_state(&model(), &log[..part], &snapshot.model).unwrap();
    }
    assert!(log.windows(2).all(|pair| pair[0].0 <= pair[1].0), "time ran backwards");

    // R4, at every rest of the history.
    let mut state = Model::new(model());
    let (mut rests, mut champions) = (0, 0);
    for (number, (at, event)) in log.iter().enumerate() {
        let before = state.champion();
        state.apply(*at, event);
        champions += usize::from(before != state.champion());
        let over = log.get(number + 1).is_none_or(|(next, _)| at < next);
        if over && matches!(state.phase(), Phase::Idle { .. }) {
            let serving = outcome.servings.iter().rev().find(|serving| serving.from <= *at);
            let deployment = serving.map(|serving| Deployment {
                fence: serving.fence,
                version: serving.version,
                canary: serving.canary,
            });
            invariant::at_rest(&state, deployment.as_ref()).unwrap();
            rests += 1;
        }
    }
    assert!(2 <= rests && 2 <= champions, "{rests} rests, {champions} champions");
    let served = outcome.servings.last().and_then(|serving| serving.version);
    let expected = state.phase().candidate().or(state.champion());
    assert_eq!(served, expected);
}

#[tokio::test]
async fn same_history_gives_the_same_decisions() {
    let folder = folder(&events(Task::Binary, DAYS, FLIP));
    let plan = Plan::new(Task::Binary);
    let first = replay(&plan, folder.path(), "first").await.unwrap().outcome;
    let second = replay(&plan, folder.path(), "second").await.unwrap().outcome;
    assert!(5 < first.decisions.len());
    assert_eq!(first.decisions, second.decisions);
    assert_eq!(first.servings, second.servings);
    assert_eq!(seen(&first, Timestamp::MAX), seen(&second, Timestamp::MAX));
}

/// What the monitors saw of periods that were over at `until`.
fn seen(outcome: &Outcome, until: Timestamp) -> Vec<String> {
    let over = outcome.periods.iter().filter(|period| period.window.to <= until);
    over.map(|period| format!("{:?}", period.sight)).collect()
}

/// Runs that were over at `until`, without what names the files or a clock's time.
fn runs(outcome: &Outcome, until: Timestamp) -> Vec<String> {
    let over = outcome.runs.iter().filter(|run| run.ended_at.is_some_and(|at| at <= until));
    over.map(|run| {
        let run =
            afresh_core::history::RunRecord { dataset: None, cpu_seconds: 0.0, ..run.clone() };
        format!("{run:?}")
    })
    .collect()
}

#[tokio::test]
async fn what_happens_later_changes_no_earlier_decision() {
    let past = events(Task::Binary, DAYS, FLIP);
    let plan = Plan::new(Task::Binary);
    let until = START.after(Duration::days(63));
    let mut other = past.clone();
    for event in &mut other {
        // The label of an event becomes known two days after it.
        if until <= event.at.after(plan.label_delay) {
            let flipped = if event.label == "1" { "0" } else { "1" };
            event.label = flipped.to_owned();
        }
        if until <= event.at {
            // A category that sorts before the others would move their codes.
            event.colour = "amber";
            event.x = 40.0 - event.x;
            event.noise += 9.0;
        }
    }
    let (past, other) = (folder(&past), folder(&other));
    let as_it_was = replay(&plan, past.path(), "state").await.unwrap().outcome;
    let otherwise = replay(&plan, other.path(), "state").await.unwrap().outcome;

    let decisions = |outcome: &Outcome| {
        let rows = outcome.decisions.iter().map(|row| row.recorded.clone());
        let (over, open): (Vec<_>, Vec<_>) =
            rows.filter(|row| row.first_at <= until).partition(|row| row.last_at <= until);
        let open = open.iter().map(|row| (row.first_at, row.decision.cause)).collect::<Vec<_>>();
        (over, open)
    };
    let ((over, open), (over_otherwise, open_otherwise)) =
        (decisions(&as_it_was), decisions(&otherwise));
    for (a, b) in over.iter().zip(&over_otherwise) {
        assert_eq!(a, b);
    }
    // A stretch of equal keeps may end earlier in one of the two.
    let rows = |over: usize, open: usize| over + open;
    assert_eq!(rows(over.len(), open.len()), rows(over_otherwise.len(), open_otherwise.len()));
    assert_eq!(runs(&as_it_was, until), runs(&otherwise, until));
    assert_eq!(seen(&as_it_was, until), seen(&otherwise, until));
    let servings = |outcome: &Outcome| {
        let before = outcome.servings.iter().filter(|serving| serving.from <= until);
        before.cloned().collect::<Vec<_>>()
    };
    assert_eq!(servings(&as_it_was), servings(&otherwise));

    // The test would be worth nothing if little had happened before, or nothing had changed after.
    assert!(3 <= runs(&as_it_was, until).len());
    assert_ne!(seen(&as_it_was, Timestamp::MAX), seen(&otherwise, Timestamp::MAX));
}

async fn refused(plan: &Plan, folder: &Path) -> Error {
    replay(plan, folder, "state").await.expect_err("the replay cannot be made")
}

#[tokio::test]
async fn too_short_history_says_how_short() {
    let folder = folder(&events(Task::Binary, 30, 90));
    let error = refused(&Plan::new(Task::Binary), folder.path()).await;
    assert!(matches!(error, Error::TooShort { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("7d") && text.contains("28d") && text.contains("synthetic"), "{text}");
}

#[tokio::test]
async fn no_available_label_gives_no_first_version_and_says_why() {
    let folder = folder(&events(Task::Binary, 42, 90));
    let plan = Plan { label_delay: Duration::days(400), ..Plan::new(Task::Binary) };
    let error = refused(&plan, folder.path()).await;
    assert!(matches!(error, Error::NoFirstVersion { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains("none of the 2800 rows"), "{text}");
    assert!(text.contains("has a label available before"), "{text}");
}

#[tokio::test]
async fn one_class_in_the_warm_up_gives_no_first_version_and_says_why() {
    let mut events = events(Task::Binary, 42, 90);
    let warm_up = START.after(Duration::days(28));
    for event in events.iter_mut().filter(|event| event.at < warm_up) {
        event.label = "0".to_owned();
    }
    let folder = folder(&events);
    let error = refused(&Plan::new(Task::Binary), folder.path()).await;
    assert!(matches!(error, Error::NoFirstVersion { .. }), "{error}");
    assert!(error.to_string().contains("same label"), "{error}");
}

#[tokio::test]
async fn several_classes_and_numbers_are_replayed_too() {
    for task in [Task::Multiclass, Task::Regression] {
        let folder = folder(&events(task, 70, 35));
        let plan = Plan { compare: Compare::Both, ..Plan::new(task) };
        let outcome = replay(&plan, folder.path(), "state").await.unwrap().outcome;
        assert_eq!(outcome.periods.len(), 5);
        assert!(outcome.periods.iter().all(|period| period.managed.is_some()));
        assert_eq!(outcome.managed.log_loss.is_some(), task == Task::Multiclass);
        let last = outcome.periods.last().unwrap();
        let (managed, never) = (last.managed.unwrap(), last.never.unwrap());
        let better =
            if outcome.metric.higher_is_better() { managed - never } else { never - managed };
        assert!(0.1 < better, "{task:?}: managed {managed}, never {never}");
    }
}

#[tokio::test]
async fn constant_predictor_runs_to_the_end_and_tells_no_rows_apart() {
    let folder = folder(&events(Task::Binary, 56, 90));
    let plan = Plan { recipe: Recipe::constant(), ..Plan::new(Task::Binary) };
    let outcome = replay(&plan, folder.path(), "state").await.unwrap().outcome;
    assert_eq!(outcome.managed.periods_undefined, 0);
    for period in &outcome.periods {
        assert_eq!(period.managed, Some(0.5), "a constant cannot tell rows apart");
    }
}
