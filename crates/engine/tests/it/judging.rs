//! No row that judges was trained on or selected by, whatever came before.

use std::collections::BTreeSet;

use afresh_core::gate::Comparison;
use afresh_core::history::RunRecord;
use afresh_core::id::VersionId;
use afresh_core::input::Input;
use afresh_core::policy::{Policy, Refit, Rejudge, Training};
use afresh_core::time::{Duration, Window};
use afresh_data::spec::Columns;
use afresh_engine::port::Store as _;
use afresh_engine::settings::TrainingWindow;
use afresh_engine::workshop::{Judgement, judgement_key};

use crate::bench::{Bench, CALM, DELAY, day, model, policy, trees};

/// Keys of the rows that judgement `number` of a run measured on.
async fn judged_on(bench: &Bench, run: &RunRecord, number: u32) -> BTreeSet<u64> {
    let key = judgement_key(run.run.id, number);
    let body = bench.store.document(&model(), &key).await.unwrap().expect("it was judged");
    let judgement: Judgement = serde_json::from_str(&body).unwrap();
    let judged = run.judged.unwrap();
    let dataset = bench.workshop.dataset_of(&bench.store, judged).await.unwrap();
    let rows = bench.workshop.rows(Window::ALL, Columns::TimesAndLabel).await.unwrap();
    let window = Window { from: dataset.window.from, to: judgement.available.to };
    let keys = (0..rows.len())
        .filter(|at| window.contains(rows.event_time[*at]))
        .filter(|at| judgement.available.contains(rows.available_at[*at].unwrap()))
        .inspect(|at| assert_eq!(rows.available_at[*at], Some(rows.event_time[*at].after(DELAY))))
        .map(|at| rows.key[at])
        .collect::<BTreeSet<_>>();
    assert_eq!(u64::try_from(keys.len()).unwrap(), judgement.rows);
    assert!(50 <= keys.len(), "{} rows judge", keys.len());
    keys
}

fn assert_apart(judging: &BTreeSet<u64>, used: &BTreeSet<u64>, by: &str) {
    assert!(!used.is_empty(), "{by} used no row");
    let both = judging.intersection(used).count();
    assert_eq!(both, 0, "{both} rows judged that {by} had used");
}

/// Three versions, and what each run was judged on.
async fn three_runs(policy: Policy, window: TrainingWindow) {
    let mut bench = Bench::with(CALM, policy, trees(), window).await;
    let first = bench.first_version(day(28)).await;
    assert!(first.outcome.unwrap().promotes());
    let mut lineage = BTreeSet::from([first.judged.unwrap(), first.candidate.unwrap()]);
    for now in [day(40), day(52)] {
        let champion = bench.champion();
        assert!(lineage.contains(&champion));
        let run = bench.retrain(now).await;
        assert!(run.outcome.unwrap().promotes(), "{run:?}");
        let judging = judged_on(&bench, &run, 0).await;
        let before = lineage.iter().copied().collect::<Vec<_>>();
        // What the champion was trained, stopped and refitted on, and all before it.
        assert_apart(&judging, &bench.trained_on(&before), "a version before");
        assert_apart(&judging, &bench.trained_on(&[run.judged.unwrap()]), "the candidate");
        if run.candidate != run.judged {
            let refit = bench.trained_on(&[run.candidate.unwrap()]);
            assert!(judging.is_subset(&refit), "a refit trains on the rows that judged too");
        }
        lineage.extend([run.judged.unwrap(), run.candidate.unwrap()]);
    }
}

#[tokio::test]
async fn rows_that_judge_trained_nobody() {
    three_runs(Policy { refit: Refit::No, ..policy() }, TrainingWindow::All).await;
}

#[tokio::test]
async fn rows_that_judge_trained_nobody_after_a_refit() {
    three_runs(Policy { refit: Refit::Yes, ..policy() }, TrainingWindow::All).await;
    let sliding = TrainingWindow::Last(Duration::days(21));
    three_runs(Policy { refit: Refit::Yes, ..policy() }, sliding).await;
}

#[tokio::test]
async fn rows_that_judge_trained_nobody_when_the_champion_is_continued() {
    let policy = Policy { training: Training::Incremental, ..policy() };
    three_runs(policy, TrainingWindow::SinceLastRun).await;
}

#[tokio::test]
async fn rows_that_selected_the_champion_judge_no_later_candidate() {
    let rejudge = Rejudge { every: Duration::days(7), times: 2 };
    let policy = Policy { refit: Refit::No, rejudge, ..policy() };
    let mut bench = Bench::with(CALM, policy, trees(), TrainingWindow::All).await;
    bench.first_version(day(28)).await;
    // The first judgement is made to say nothing, the second to pass.
    bench.hook = Box::new(|_, answer| {
        if let Some(Input::Judged { judgement, result, .. }) = answer
            && let Ok(evidence) = result.as_mut()
        {
            let difference = if *judgement == 0 { -0.001 } else { 0.2 };
            let (lower, upper) = (difference - 0.1, difference + 0.1);
            evidence.comparison = Some(Comparison { champion: 0.5, difference, lower, upper });
        }
    });
    let run = bench.retrain(day(40)).await;
    assert_eq!((run.judgements, run.outcome.unwrap().promotes()), (2, true), "{run:?}");
    let selected_on = judged_on(&bench, &run, 1).await;
    assert!(judged_on(&bench, &run, 0).await.len() < selected_on.len());
    let next = bench.retrain(day(53)).await;
    let judging = judged_on(&bench, &next, 0).await;
    assert_apart(&judging, &selected_on, "the champion's gate");
    assert_ne!(run.judged, Some(VersionId(1)));
}
