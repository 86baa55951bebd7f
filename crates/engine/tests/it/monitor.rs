//! What monitors see: the same however they came there, and what there is to see.

use afresh_core::id::VersionId;
use afresh_engine::monitor::Monitor;
use afresh_engine::monitor::estimate::estimate;
use afresh_engine::monitor::ladder::{Evidence, Finding, predictions, rungs, surest};
use afresh_engine::settings::TrainingWindow;
use afresh_ml::drift::calibrate::Threshold;
use afresh_ml::estimate::Measure;
use afresh_train::dataset::FromDataset;
use afresh_train::recipe::{Engine, Recipe};

use crate::bench::{Bench, CALM, History, day, days, trees, workshop};

#[tokio::test]
async fn champion_followed_period_by_period_is_seen_as_at_once() {
    let mut bench = Bench::new(History { flip: 45, ..CALM }).await;
    bench.first_version(day(28)).await;
    let champion = bench.champion();
    let following = Monitor::default();
    let mut alarms = Vec::new();
    for from in [28, 35, 42, 49, 56] {
        let period = days(from, from + 7);
        let look = |monitor: Monitor| {
            let (workshop, store) = (&bench.workshop, &bench.store);
            async move { monitor.look(workshop, store, champion, period).await.unwrap() }
        };
        let at_once = look(Monitor::default()).await;
        let followed =
            following.look(&bench.workshop, &bench.store, champion, period).await.unwrap();
        assert_eq!(followed.observation, at_once.observation);
        assert_eq!(followed.decay, at_once.decay);
        assert_eq!(followed.drift, at_once.drift);
        assert_eq!(followed.signals, at_once.signals);
        let decay = followed.decay.expect("labels are available");
        // Labels come two days late: of seven days, two are still open.
        assert_eq!(decay.unlabelled, 120);
        alarms.push(decay.alarm());
    }
    // Labels of the flipped concept are available from day 47 on.
    assert_eq!(alarms, [false, false, true, true, true]);
}

#[tokio::test]
async fn metrics_are_watched_over_windows_and_estimated_without_labels() {
    let mut bench = Bench::new(History { flip: 45, ..CALM }).await;
    bench.first_version(day(28)).await;
    let champion = bench.champion();
    let baseline = bench.workshop.baseline_of(&bench.store, champion).await.unwrap().unwrap();
    assert_eq!(baseline.standards.len(), 5);
    let monitor = Monitor::default();
    let look = async |from, to| {
        let sight = monitor.look(&bench.workshop, &bench.store, champion, days(from, to)).await;
        sight.unwrap().decay.expect("labels are available")
    };
    let calm = look(35, 42).await;
    // Sixty rows a day: the day has too few buckets, the week enough.
    let silent = calm.silent.iter().map(|silent| silent.window.as_str()).collect::<Vec<_>>();
    assert_eq!(silent, ["24h", "24h"]);
    let metrics = calm.windows.iter().map(|found| (found.metric.as_str(), found.detected));
    assert_eq!(metrics.collect::<Vec<_>>(), [("auc", false), ("log_loss", false)]);
    assert_eq!((calm.priority, calm.labelled_before_event), (1, 0));
    let flipped = look(49, 56).await;
    assert!(flipped.proven() && flipped.windows.iter().all(|found| found.detected));
    assert_eq!(flipped.priority, 5);
    assert!(!flipped.trail.is_empty() && flipped.tests.len() == 2);
    // Without labels the flipped concept is invisible; where labels are, they tell.
    let report = estimate(&bench.workshop, &bench.store, champion, days(49, 56)).await.unwrap();
    let report = report.unwrap();
    let newest = report.newest.expect("two days have no labels");
    assert_eq!((newest[0].rows, newest[0].measure), (120, Measure::Auc));
    assert!(newest[0].value.unwrap() > 0.8, "{newest:?}");
    let last = report.periods.last().unwrap();
    assert!((last.unlabelled == 120) && last.estimates[0].realised.unwrap() < 0.5, "{last:?}");
    assert_eq!(report.periods.len(), 4);
}

#[tokio::test]
async fn the_surest_evidence_comes_first_and_the_next_where_it_is_missing() {
    let mut bench = Bench::new(History { flip: 45, ..CALM }).await;
    bench.first_version(day(28)).await;
    let (champion, period) = (bench.champion(), days(49, 56));
    let (workshop, store) = (&bench.workshop, &bench.store);
    let mut sight = Monitor::default().look(workshop, store, champion, period).await.unwrap();
    let baseline = workshop.baseline_of(store, champion).await.unwrap();
    let estimated = estimate(workshop, store, champion, period).await.unwrap().unwrap();
    let moved = predictions(workshop, store, champion, period).await.unwrap();
    assert!(moved.is_some_and(|(distance, rows)| distance < 0.2 && rows == 420), "{moved:?}");
    let climb = |sight: &_, estimated, moved| {
        rungs(workshop.settings(), sight, baseline.as_ref(), estimated, moved)
    };
    // The concept flipped: only labels can see it.
    let all = climb(&sight, Some(&estimated), moved);
    let found = all.each_ref().map(|rung| rung.finding);
    assert_eq!(found, [Finding::Worse, Finding::Sound, Finding::Sound, Finding::Sound], "{all:?}");
    assert!(all[0].value > all[0].limit && all[1].value > all[1].limit, "{all:?}");
    assert_eq!((all[1].measure.as_str(), all[1].rows), ("auc", 120));
    let by = |rungs: &[_]| surest(rungs).map(|rung| rung.evidence);
    assert_eq!(by(&all), Some(Evidence::Labels));
    sight.decay = None;
    assert_eq!(by(&climb(&sight, Some(&estimated), moved)), Some(Evidence::Estimate));
    assert_eq!(by(&climb(&sight, None, moved)), Some(Evidence::Predictions));
    assert_eq!(by(&climb(&sight, None, None)), Some(Evidence::Inputs));
    sight.drift = None;
    assert_eq!(by(&climb(&sight, None, None)), None);
}

#[tokio::test]
async fn rows_that_move_are_seen_in_predictions_and_inputs() {
    let mut bench = Bench::new(History { shift: 40, ..CALM }).await;
    bench.first_version(day(28)).await;
    let (champion, period) = (bench.champion(), days(42, 49));
    let (workshop, store) = (&bench.workshop, &bench.store);
    let mut sight = Monitor::default().look(workshop, store, champion, period).await.unwrap();
    sight.decay = None;
    let moved = predictions(workshop, store, champion, period).await.unwrap();
    let found = rungs(workshop.settings(), &sight, None, None, moved);
    let [labels, estimated, predictions, inputs] = found.each_ref().map(|rung| rung.finding);
    assert_eq!([labels, estimated], [Finding::Silent; 2]);
    assert_eq!([predictions, inputs], [Finding::Worse; 2], "{found:?}");
}

#[tokio::test]
async fn period_looked_at_twice_counts_once() {
    let mut bench = Bench::new(History { flip: 45, ..CALM }).await;
    bench.first_version(day(28)).await;
    let champion = bench.champion();
    let monitor = Monitor::default();
    let look = |period| monitor.look(&bench.workshop, &bench.store, champion, period);
    look(days(28, 35)).await.unwrap();
    let once = look(days(35, 42)).await.unwrap();
    let again = look(days(35, 42)).await.unwrap();
    assert_eq!(again.observation, once.observation);
    assert_eq!(again.decay, once.decay);
    // A gap is caught up with.
    let late = look(days(56, 63)).await.unwrap();
    let fresh = Monitor::default();
    let fresh = fresh.look(&bench.workshop, &bench.store, champion, days(56, 63)).await.unwrap();
    assert_eq!((late.observation, late.decay), (fresh.observation, fresh.decay));
}

#[tokio::test]
async fn alike_windows_do_not_drift_and_shifted_ones_do() {
    let mut bench = Bench::new(History { shift: 40, ..CALM }).await;
    bench.first_version(day(28)).await;
    let (champion, monitor) = (bench.champion(), Monitor::default());
    let score = async |from, to| {
        let sight = monitor.look(&bench.workshop, &bench.store, champion, days(from, to)).await;
        sight.unwrap().drift.expect("there are rows").score
    };
    // The champion was trained on the events of the first 26 days: their labels were available.
    let (same, calm, shifted) = (score(0, 26).await, score(28, 35).await, score(42, 49).await);
    assert!(same < 1e-3, "the training rows themselves drift by {same}");
    assert!(calm < 0.15, "calm weeks drift by {calm}");
    assert!(0.9 < shifted, "shifted weeks drift by {shifted}");
}

#[tokio::test]
async fn a_champions_own_days_say_from_which_score_on_a_day_has_drifted() {
    let mut bench = Bench::new(History { shift: 40, ..CALM }).await;
    bench.first_version(day(28)).await;
    let champion = bench.champion();
    let look = async |from, to| {
        let monitor = Monitor::default();
        let sight = monitor.look(&bench.workshop, &bench.store, champion, days(from, to)).await;
        let sight = sight.unwrap();
        (sight.drift.expect("there are rows"), sight.threshold.expect("there is one"))
    };
    let (calm, threshold) = look(30, 31).await;
    // 26 days of labels at least, the first four of which are only compared with.
    let Threshold::Calibrated { value, periods, expected_run_days, .. } = threshold else {
        panic!("{threshold:?}")
    };
    assert!((20..=24).contains(&periods), "{periods}");
    assert!((expected_run_days - 90.0).abs() < 1e-9);
    assert!((0.05..0.25).contains(&value), "{value}");
    assert!(!calm.drifted && (calm.threshold - value).abs() < 1e-12, "{calm:?}");
    assert!(look(42, 43).await.0.drifted);
    // Three whole weeks tell nothing.
    let (_, weekly) = look(28, 35).await;
    assert!(matches!(weekly, Threshold::Fixed { .. }), "{weekly:?}");
}

#[tokio::test]
async fn harmful_candidate_is_found_out_and_an_alike_one_is_not() {
    let mut bench = Bench::new(CALM).await;
    bench.first_version(day(28)).await;
    let champion = bench.champion();
    let (harmful, guessing, alike) = (VersionId(90), VersionId(91), VersionId(92));
    // One learned the opposite, another from days that contradict each other.
    History { flip: 0, ..CALM }.write(&bench.folder.path().join("opposite.csv"));
    History { flip: 13, ..CALM }.write(&bench.folder.path().join("both.csv"));
    let recipe = || Recipe::new(Engine::BoostedTrees(trees()));
    for (version, file) in
        [(harmful, "opposite.csv"), (guessing, "both.csv"), (alike, "events.csv")]
    {
        let workshop =
            workshop(bench.folder.path(), file, recipe(), TrainingWindow::All, FromDataset).await;
        workshop.train_on_everything(version, day(28), 8).await.unwrap();
    }
    let monitor = Monitor::default();
    let watch = async |candidate, champion, to| {
        monitor
            .watch(&bench.workshop, &bench.store, candidate, champion, day(30), day(to))
            .await
            .unwrap()
    };
    // Of four days, two have labels: 120 rows.
    let early = watch(harmful, Some(champion), 34).await;
    assert_eq!((early.version, early.labels), (harmful, 120));
    assert!(100.0 < early.e_value && 0.3 < early.excess_loss, "{early:?}");
    // A probation of 500 labels must be enough to take back what merely guesses.
    let guesses = watch(guessing, Some(champion), 40).await;
    assert!(guesses.labels == 480 && 20.0 < guesses.e_value, "{guesses:?}");
    let late = watch(harmful, Some(champion), 44).await;
    assert!(early.e_value <= late.e_value && late.labels == 720, "{late:?}");
    let same = watch(alike, Some(champion), 58).await;
    assert!(same.e_value < 20.0 && same.excess_loss.abs() < 0.05, "{same:?}");
    let itself = watch(champion, Some(champion), 58).await;
    assert!(itself.e_value <= 1.0 && itself.excess_loss == 0.0, "{itself:?}");
    // Without labels or without a champion there is no evidence.
    assert_eq!(watch(harmful, Some(champion), 32).await.e_value, 0.0);
    assert_eq!(watch(harmful, None, 44).await.e_value, 0.0);
}
