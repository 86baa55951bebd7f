//! Runs that go wrong, and runs that continue the champion.

use std::cell::Cell;
use std::fs;
use std::rc::Rc;

use afresh_core::event::{Event, Outcome};
use afresh_core::gate::CheckResult;
use afresh_core::model::Action;
use afresh_core::policy::{Policy, Training};
use afresh_core::reason::Code;
use afresh_core::signal::Strategy;
use afresh_engine::port::Store as _;
use afresh_engine::settings::TrainingWindow;
use afresh_train::recipe::BoostedTrees;

use crate::bench::{Bench, CALM, day, model, policy, trees};

#[tokio::test]
async fn damaged_artifact_fails_its_checks_and_never_serves() {
    let mut bench = Bench::new(CALM).await;
    bench.first_version(day(28)).await;
    let champion = bench.champion();
    let servings = bench.store.servings(&model(), Default::default()).await.unwrap();
    let settings = bench.workshop.settings().clone();
    let damaged = Rc::new(Cell::new(0));
    let count = Rc::clone(&damaged);
    bench.hook = Box::new(move |action, answer| {
        if let (Action::Judge { candidate, .. }, None) = (action, answer) {
            let file = settings.artifact(*candidate).join("model.json");
            let file =
                if file.exists() { file } else { settings.artifact(*candidate).join("model.ubj") };
            let mut bytes = fs::read(&file).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(&file, bytes).unwrap();
            count.set(count.get() + 1);
        }
    });
    let run = bench.retrain(day(40)).await;
    assert_eq!((damaged.get(), run.outcome), (1, Some(Outcome::Rejected)), "{run:?}");
    assert!(run.notes.iter().any(|note| note.code == Code::HardCheckFailed), "{:?}", run.notes);
    let checks = run.evidence.unwrap().checks;
    let failed = checks.iter().filter(|check| check.result == CheckResult::Failed);
    let failed = failed.map(|check| check.name.as_str()).collect::<Vec<_>>();
    assert_eq!(failed, ["loads", "outputs finite"], "{checks:?}");
    assert_eq!(bench.champion(), champion);
    assert_eq!(bench.store.servings(&model(), Default::default()).await.unwrap(), servings);
    // It is not lost for good: the next run trains a version of its own.
    bench.hook = Box::new(|_, _| {});
    let next = bench.retrain(day(52)).await;
    assert!(next.outcome.unwrap().promotes(), "{next:?}");
}

#[tokio::test]
async fn damaged_first_version_never_serves() {
    let mut bench = Bench::new(CALM).await;
    let settings = bench.workshop.settings().clone();
    bench.hook = Box::new(move |action, answer| {
        if let (Action::Judge { candidate, .. }, None) = (action, answer) {
            let manifest = settings.artifact(*candidate).join("manifest.json");
            let text = fs::read_to_string(&manifest).unwrap();
            fs::write(
                &manifest,
                text.replacen("\"rounds\":", "\"rounds\" :", 1).replace("10", "11"),
            )
            .unwrap();
        }
    });
    let run = bench.first_version(day(28)).await;
    assert_eq!(run.outcome, Some(Outcome::Rejected), "{run:?}");
    assert_eq!(bench.state().champion(), None);
    let servings = bench.store.servings(&model(), Default::default()).await.unwrap();
    assert!(servings.iter().all(|serving| serving.version.is_none()), "{servings:?}");
}

#[tokio::test]
async fn too_few_new_rows_end_the_run_with_the_numbers_and_keep_the_champion() {
    let mut bench = Bench::new(CALM).await;
    bench.first_version(day(28)).await;
    let champion = bench.champion();
    // Twelve hours later: 30 rows became available.
    let now = day(28).after(afresh_core::time::Duration::hours(12));
    let run = bench.retrain(now).await;
    assert_eq!(run.outcome, Some(Outcome::Failed));
    let told = run.notes.iter().map(|note| note.detail.as_str()).collect::<Vec<_>>().join(" ");
    assert!(told.contains("30 rows to judge by, fewer than 50"), "{told}");
    assert!(told.contains("1590 are available in all"), "{told}");
    assert_eq!((bench.champion(), run.judged), (champion, None));
    let made = bench.store.versions(&model(), Default::default()).await.unwrap();
    let next = bench.retrain(day(40)).await;
    assert!(next.outcome.unwrap().promotes() && made.len() == 2, "{made:?}");
}

#[tokio::test]
async fn incremental_run_continues_the_champion_until_its_trees_are_too_many() {
    let policy = Policy { training: Training::Incremental, ..policy() };
    // 10 trees, then 4 more in each run: the third would have 22.
    let trees = BoostedTrees { trees_max: 20, ..trees() };
    let mut bench = Bench::with(CALM, policy, trees, TrainingWindow::SinceLastRun).await;
    bench.first_version(day(28)).await;
    let load = |bench: &Bench, version| {
        let directory = bench.workshop.settings().artifact(version);
        afresh_train::artifact::Artifact::load(&directory).unwrap()
    };
    for (now, trees) in [(day(40), 14), (day(52), 18)] {
        let champion = load(&bench, bench.champion());
        let run = bench.retrain(now).await;
        assert!(run.outcome.unwrap().promotes(), "{run:?}");
        assert_eq!(run.run.strategy, Strategy::Incremental);
        for version in [run.judged.unwrap(), run.candidate.unwrap()] {
            let made = load(&bench, version);
            assert_eq!(made.manifest().trees, trees);
            assert_eq!(made.manifest().warm_started_from.as_ref(), Some(champion.hash()));
        }
    }
    assert!(!bench.events().await.iter().any(|e| matches!(e, Event::RunMadeFull { .. })));
    let run = bench.retrain(day(64)).await;
    assert!(run.outcome.unwrap().promotes(), "{run:?}");
    let events = bench.events().await;
    let full = events.iter().find_map(|event| match event {
        Event::RunMadeFull { run, reason, .. } => Some((*run, reason.detail.clone())),
        _ => None,
    });
    let (of, why) = full.expect("the run was made full");
    assert_eq!(of, run.run.id);
    assert!(why.contains("22") && why.contains("20"), "{why}");
    for version in [run.judged.unwrap(), run.candidate.unwrap()] {
        let manifest = load(&bench, version).manifest().clone();
        assert_eq!((manifest.trees, manifest.warm_started_from), (10, None));
    }
}
