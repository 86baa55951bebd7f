//! Selections of rows: which one trains, how much rows count, and search and refit in one job.

use std::fs;

use afresh_core::time::{Duration, Window};
use afresh_data::rows::Rows;
use afresh_data::schema::Task;
use afresh_data::selection::{Emphasis, Selection};
use afresh_train::artifact::Artifact;
use afresh_train::dataset::FromDataset;
use afresh_train::recipe::{BoostedTrees, Engine, Recipe, RowFormat};
use afresh_train::trainer::{Job, Part, ReadRows};

use crate::world::{World, golden, shell, train, trees};

fn bytes(artifact: &Artifact) -> Vec<u8> {
    fs::read(artifact.dir().join(&artifact.manifest().model_file)).unwrap()
}

fn whole(world: &World, recipe: Recipe) -> Job {
    let output = world.dir.path().join("whole");
    Job { part: Part::Whole { rounds: 9 }, output, ..world.job(recipe) }
}

/// Event times of rows by their places.
fn window(rows: &Rows, from: usize, to: usize) -> Window {
    Window { from: rows.event_time[from], to: rows.event_time[to] }
}

#[test]
fn search_and_refit_in_one_job_make_what_both_make() {
    let world = World::new(Task::Binary);
    let judged = train(&world.job(trees())).unwrap();
    let rounds = judged.manifest().rounds_added;
    let output = world.dir.path().join("refit");
    let refit = Job { part: Part::Refit { rounds }, output, ..world.job(trees()) };
    let refit = train(&refit).unwrap();
    let both = train(&whole(&world, trees())).unwrap();
    assert_eq!(bytes(&both), bytes(&refit));
    let (both, judged) = (both.manifest(), judged.manifest());
    assert_eq!((both.rows, both.stopping_rows), (world.rows.len(), judged.stopping_rows));
    assert_eq!(both.row_rounds, (judged.rows + world.rows.len()) as u64 * rounds as u64);
    assert!(!world.dir.path().join("whole/search").exists());
}

#[test]
fn without_anything_to_search_all_rows_train_once() {
    let world = World::new(Task::Binary);
    let unending = BoostedTrees { early_stopping: 0, ..BoostedTrees::default() };
    for engine in [Engine::BoostedTrees(unending), Engine::Constant] {
        let made = train(&whole(&world, Recipe::new(engine))).unwrap();
        let made = made.manifest();
        assert_eq!((made.rows, made.stopping_rows), (world.rows.len(), 0));
        // A run would have trained what is judged too.
        let judged = FromDataset.read(&world.job(trees())).unwrap().train.len();
        let rounds = made.rounds_added.max(1);
        assert_eq!(made.row_rounds, ((made.rows + judged) * rounds) as u64);
    }
}

#[test]
fn selection_that_does_best_on_the_early_stopping_rows_trains() {
    let few = |rows: &Rows| Selection::even(window(rows, 0, 40));
    let none = |rows: &Rows| {
        let from = rows.event_time[0].before(Duration::days(9));
        Selection::even(Window { from, to: rows.event_time[0] })
    };
    let world = World::choosing(Task::Binary, |rows| {
        vec![none(rows), few(rows), Selection::even(Window::ALL)]
    });
    let beside = World::new(Task::Binary);
    let plain = train(&beside.job(trees())).unwrap();
    let found = train(&world.job(trees())).unwrap();
    let chosen = found.manifest().chosen.clone().unwrap();
    assert_eq!((chosen.at, chosen.selection), (2, Selection::even(Window::ALL)));
    let [None, Some(few_loss), Some(all_loss)] = chosen.losses[..] else {
        panic!("{:?}", chosen.losses)
    };
    assert!(all_loss < few_loss, "{all_loss} {few_loss}");
    assert_eq!(bytes(&found), bytes(&plain));
    // Only the best is left, and what was tried beside it is counted.
    let left = fs::read_dir(found.dir()).unwrap().count();
    assert_eq!(left, fs::read_dir(plain.dir()).unwrap().count());
    assert!(plain.manifest().row_rounds < found.manifest().row_rounds);

    let rounds = found.manifest().rounds_added;
    let refit = Job {
        part: Part::Refit { rounds },
        choice: Some(1),
        output: world.dir.path().join("refit"),
        ..world.job(trees())
    };
    assert_eq!(train(&refit).unwrap().manifest().rows, 40);
    let whole = train(&whole(&world, trees())).unwrap();
    assert_eq!(whole.manifest().rows, world.rows.len());
    assert_eq!(whole.manifest().chosen.as_ref().map(|chosen| chosen.at), Some(2));
}

#[test]
fn where_no_selection_can_train_the_first_trouble_is_told() {
    let world = World::choosing(Task::Binary, |rows| {
        let to = rows.event_time[0];
        let early = |days| Selection::even(Window { from: to.before(Duration::days(days)), to });
        vec![early(1), early(2)]
    });
    let failure = train(&world.job(trees())).unwrap_err();
    assert!(failure.to_string().contains("no training rows"), "{failure}");
}

#[test]
fn only_selection_is_that_of_a_refit_and_of_a_continuation_too() {
    let halving = |_rows: &Rows| {
        let emphasis = Emphasis::HalfLife(Duration::hours(1));
        vec![Selection { window: Window::ALL, emphasis }]
    };
    let (even, fading) = (World::new(Task::Binary), World::choosing(Task::Binary, halving));
    let refit = |world: &World| {
        let refit = Job { part: Part::Refit { rounds: 5 }, ..world.job(trees()) };
        train(&refit).unwrap()
    };
    let (even, fading) = (refit(&even), refit(&fading));
    assert_ne!(bytes(&even), bytes(&fading), "weights are no matter");
    assert_eq!(fading.manifest().chosen.as_ref().map(|chosen| chosen.at), Some(0));
}

#[test]
fn programs_are_handed_samples_and_weights() {
    let fading = |_rows: &Rows| {
        let emphasis = Emphasis::HalfLife(Duration::hours(2));
        vec![Selection { window: Window::ALL, emphasis }]
    };
    let world = World::choosing(Task::Regression, fading);
    let kept = world.dir.path().join("kept.csv");
    let script = format!(
        "cp $AFRESH_TRAIN {}; cp {} $AFRESH_OUT/model.json",
        kept.display(),
        golden("regression.json").display()
    );
    let mut recipe = shell(&script, None);
    if let Engine::Command(command) = &mut recipe.engine {
        command.format = RowFormat::Csv;
    }
    train(&world.job(recipe)).unwrap();
    let text = fs::read_to_string(&kept).unwrap();
    let mut lines = text.lines();
    let header = lines.next().unwrap().split(',').collect::<Vec<_>>();
    let at = header.iter().position(|name| *name == "weight").unwrap();
    let weights = lines.map(|line| line.split(',').nth(at).unwrap().parse::<f64>().unwrap());
    let weights = weights.collect::<Vec<_>>();
    // A row a minute: two hours are 120 rows.
    let last = weights.len() - 1;
    assert!((weights[last] - 1.0).abs() < 1e-12);
    assert!((weights[last - 120] - 0.5).abs() < 1e-9, "{}", weights[last - 120]);
    assert!((weights[last - 240] - 0.25).abs() < 1e-9);

    let sampled =
        |_rows: &Rows| vec![Selection { window: Window::ALL, emphasis: Emphasis::Sample(300) }];
    let world = World::choosing(Task::Binary, sampled);
    let job = Job { choice: Some(0), ..world.job(trees()) };
    let parts = FromDataset.read(&job).unwrap();
    assert_eq!(parts.train.len(), 300);
    // Rows that stop are never thinned.
    let plain = FromDataset.read(&World::new(Task::Binary).job(trees())).unwrap();
    assert_eq!(parts.stopping.len(), plain.stopping.len());
    assert_eq!(train(&world.job(trees())).unwrap().manifest().rows, 300);
}
