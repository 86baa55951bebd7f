//! Which rows a run trains on, where that is more than a stretch of time.

use afresh_core::history::RunRecord;
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::selection::Emphasis;
use afresh_data::spec::Columns;
use afresh_engine::settings::TrainingWindow;
use afresh_engine::workshop::Dataset;
use afresh_train::artifact::Manifest;

use crate::bench::{Bench, CALM, History, day, policy, trees};

/// Labels are their opposite from the 45th day on.
const FLIPPED: History = History { flip: 45, ..CALM };

async fn bench(history: History, window: TrainingWindow) -> Bench {
    let mut bench = Bench::with(history, policy(), trees(), window).await;
    let first = bench.first_version(day(28)).await;
    assert!(first.outcome.unwrap().promotes());
    bench
}

/// What a run trained on, and what became of its candidate and of the refit.
async fn made(bench: &Bench, run: &RunRecord) -> (Dataset, Manifest, Manifest) {
    let (judged, refit) = (run.judged.unwrap(), run.candidate.unwrap());
    let dataset = bench.workshop.dataset_of(&bench.store, judged).await.unwrap();
    let manifest = |version| bench.workshop.scorer(version).unwrap().manifest().clone();
    (dataset, manifest(judged), manifest(refit))
}

async fn window(bench: &Bench, run: &RunRecord) -> Window {
    made(bench, run).await.0.window
}

#[tokio::test]
async fn window_since_a_change_begins_where_the_losses_rose_and_stays() {
    let mut bench = bench(FLIPPED, TrainingWindow::SinceChange).await;
    let run = bench.retrain(day(72)).await;
    assert!(run.outcome.unwrap().promotes(), "{run:?}");
    let from = window(&bench, &run).await.from;
    // Labels come later than their rows, and ADWIN's window has steps.
    assert!((day(43)..=day(48)).contains(&from), "{from}");
    // The new champion's losses do not rise: what trained it trains the next one too.
    let run = bench.retrain(day(84)).await;
    assert_eq!(window(&bench, &run).await, Window { from, to: day(84) });
}

#[tokio::test]
async fn window_since_a_change_holds_everything_while_nothing_changes_and_never_too_little() {
    let mut calm = bench(CALM, TrainingWindow::SinceChange).await;
    let run = calm.retrain(day(60)).await;
    assert_eq!(window(&calm, &run).await.from, Timestamp::MIN);

    // Eight days after the change there are fewer than a thousand rows since.
    let mut flipped = bench(FLIPPED, TrainingWindow::SinceChange).await;
    let run = flipped.retrain(day(53)).await;
    let from = window(&flipped, &run).await.from;
    assert!((day(34)..day(45)).contains(&from), "{from}");
}

#[tokio::test]
async fn window_is_chosen_on_the_newest_rows_and_the_refit_keeps_it() {
    let mut bench = bench(FLIPPED, TrainingWindow::Auto).await;
    let run = bench.retrain(day(80)).await;
    let (dataset, judged, refit) = made(&bench, &run).await;
    let candidates = TrainingWindow::candidates(Duration::days(7));
    assert_eq!(dataset.choices.len(), candidates.len());
    let chosen = judged.chosen.unwrap();
    let losses = chosen.losses.iter().map(|loss| loss.unwrap()).collect::<Vec<_>>();
    let least = losses.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(losses[chosen.at], least, "{losses:?}");
    // Half of all rows say the opposite: those that count less do less harm.
    assert_eq!(candidates[chosen.at], TrainingWindow::HalfLife(Duration::days(84)));
    assert!(matches!(chosen.selection.emphasis, Emphasis::HalfLife(_)));
    assert_eq!(refit.chosen.map(|chosen| chosen.at), Some(chosen.at));
    // What it cost tells the search among all of them.
    assert!(refit.row_rounds > judged.row_rounds);
    assert!(judged.row_rounds > 2 * (judged.rows * judged.rounds_added) as u64);
}

#[tokio::test]
async fn sample_trains_and_is_what_drift_is_measured_from() {
    let mut bench = bench(CALM, TrainingWindow::Sample(600)).await;
    let run = bench.retrain(day(60)).await;
    let (dataset, judged, refit) = made(&bench, &run).await;
    assert_eq!((judged.rows, refit.rows), (600, 600));
    let rows = bench.workshop.rows(Window::ALL, Columns::All).await.unwrap();
    let refitted = run.candidate.unwrap();
    let trained = bench.workshop.trained_on(refitted, &dataset, &rows).unwrap();
    let keys = trained.iter().map(|at| rows.key[*at]).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(keys, bench.trained_on(&[refitted]));
}
