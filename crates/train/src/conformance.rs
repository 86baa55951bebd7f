//! What every trainer must do, whatever is behind it: one suite, run against each.

use std::fs;
use std::sync::{Arc, Mutex};

use afresh_data::rows::{Rows, Values};
use afresh_data::schema::{Feature, Kind, Schema, Task};
use serde_json::Value;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::artifact::Artifact;
use crate::engine_tests::{Memory, halves, job, train};
use crate::error::{Error, Failure};
use crate::recipe::{BoostedTrees, Engine, Forest, Library, Linear, Recipe};
use crate::scorer::Scorer;
use crate::testing::{categorical, example, numeric, rows, schema};
use crate::trainer::{InProcess, Job, Part, Parts, Trainer, WarmStart};

/// A trainer under test.
struct Subject {
    recipe: fn() -> Recipe,
    /// A parameter with a slip, and the name that should be suggested.
    slip: (&'static str, &'static str),
    /// A parameter with a value that means nothing.
    nonsense: (&'static str, Value),
    /// The recipe with something to choose on early-stopping rows, where there is.
    stopping: Option<fn() -> Recipe>,
    continues: bool,
}

fn boosted(library: Library, early_stopping: usize) -> Recipe {
    Recipe::new(Engine::BoostedTrees(BoostedTrees {
        params: [("max_depth".to_owned(), 3.into())].into(),
        rounds: if early_stopping > 0 { 300 } else { 30 },
        early_stopping,
        library,
        ..BoostedTrees::default()
    }))
}

fn boosted_trees() -> Subject {
    Subject {
        recipe: || boosted(Library::BuiltIn, 0),
        slip: ("max_dept", "max_depth"),
        nonsense: ("eta", (-1).into()),
        stopping: Some(|| boosted(Library::BuiltIn, 5)),
        continues: true,
    }
}

#[cfg(feature = "system-tests")]
fn system_xgboost() -> Subject {
    Subject {
        recipe: || boosted(Library::System, 0),
        stopping: Some(|| boosted(Library::System, 5)),
        ..boosted_trees()
    }
}

fn forest() -> Subject {
    Subject {
        recipe: || Recipe::new(Engine::Forest(Forest { trees: 30, ..Forest::default() })),
        slip: ("min_child_wight", "min_child_weight"),
        nonsense: ("subsample", 3.into()),
        stopping: None,
        continues: false,
    }
}

fn linear() -> Subject {
    Subject {
        recipe: || Recipe::new(Engine::Linear(Linear::default())),
        slip: ("l1_ration", "l1_ratio"),
        nonsense: ("alpha", "strong".into()),
        stopping: Some(|| {
            let params = [("path".to_owned(), true.into())].into();
            Recipe::new(Engine::Linear(Linear { params }))
        }),
        continues: true,
    }
}

macro_rules! conforms {
    ($name:ident: $($test:ident)*) => {
        mod $name {
            $(#[test] fn $test() { super::$test(&super::$name()); })*
        }
    };
    ($($(#[$attribute:meta])* $name:ident)*) => {
        $($(#[$attribute])* conforms! { $name:
            learns_every_task_better_than_a_constant
            gives_the_same_file_for_the_same_request_and_any_threads
            scores_the_same_from_its_saved_form
            takes_missing_and_new_values
            follows_weights
            refuses_what_cannot_be_learned_from
            refuses_slips_with_a_near_name
            takes_columns_that_say_nothing
            takes_more_columns_than_rows
            repeats_the_judged_rounds_in_a_refit
            knows_what_matters
            tells_progress_and_ends_when_cancelled
            chooses_on_early_stopping_rows
            continues_or_says_why_not
        })*
    };
}

conforms! {
    boosted_trees
    forest
    linear
    #[cfg(feature = "system-tests")]
    system_xgboost
}

const TASKS: [Task; 3] = [Task::Binary, Task::Multiclass, Task::Regression];

fn learns_every_task_better_than_a_constant(subject: &Subject) {
    for task in TASKS {
        let (schema, all) = example(task, 900);
        let (fit, test) = halves(&all);
        let loss = |recipe: Recipe| {
            let predictions = predictions(recipe, &schema, &fit, &test);
            let each = predictions.chunks(schema.outputs()).zip(&test.label);
            each.map(|(prediction, label)| loss(task, prediction, *label)).sum::<f64>()
        };
        let (found, constant) = (loss((subject.recipe)()), loss(Recipe::constant()));
        assert!(found < 0.7 * constant, "{task:?}: {found} against {constant}");
    }
}

fn gives_the_same_file_for_the_same_request_and_any_threads(subject: &Subject) {
    for task in TASKS {
        let dir = TempDir::new().unwrap();
        let (schema, rows) = example(task, 500);
        let files = [1, 1, 2].map(|threads| {
            let recipe = Recipe { threads, ..(subject.recipe)() };
            let artifact = train(&job(&dir, "a", recipe, &schema), rows.clone(), Rows::default());
            artifact.unwrap().manifest().files.clone()
        });
        assert_eq!(files[0], files[1], "{task:?}");
        assert_eq!(files[0], files[2], "{task:?} with two threads");
    }
}

fn scores_the_same_from_its_saved_form(subject: &Subject) {
    for task in TASKS {
        let dir = TempDir::new().unwrap();
        let (schema, rows) = example(task, 400);
        let artifact = first(&dir, subject, &schema, &rows);
        assert_eq!(Artifact::load(artifact.dir()).unwrap(), artifact);
        let scorer = Scorer::load(artifact.dir()).unwrap();
        scorer.check_golden().unwrap();
        let together = scorer.predict(&rows).unwrap();
        let outputs = schema.outputs();
        assert_eq!(together.len(), rows.len() * outputs);
        // Row by row as all at once, and nothing else than shares for classes.
        for row in [0, 17, 399] {
            let alone = scorer.predict(&rows.select(&[row])).unwrap();
            assert_eq!(alone, together[row * outputs..(row + 1) * outputs]);
        }
        // Picked out of others as copied out of them, over more than one block.
        let picked = (0..20_000).map(|at| at * 7 % rows.len()).collect::<Vec<_>>();
        let copied = scorer.predict(&rows.select(&picked)).unwrap();
        assert_eq!(scorer.predict_at(&rows, &picked).unwrap(), copied);
        if task != Task::Regression {
            assert!(together.iter().all(|share| (0.0..=1.0).contains(share)));
        }
        if task == Task::Multiclass {
            for shares in together.chunks(outputs) {
                assert!((shares.iter().sum::<f64>() - 1.0).abs() < 1e-6, "{shares:?}");
            }
        }
    }
}

fn takes_missing_and_new_values(subject: &Subject) {
    let dir = TempDir::new().unwrap();
    let (schema, rows) = example(Task::Binary, 400);
    let artifact = first(&dir, subject, &schema, &rows);
    let mut later = rows.select(&(0..20).collect::<Vec<_>>());
    for column in &mut later.columns {
        match &mut column.values {
            Values::Numeric(numbers) => numbers.fill(f64::NAN),
            Values::Categorical { codes, names } => {
                names.push("ultraviolet".to_owned());
                codes.fill(u32::try_from(names.len() - 1).unwrap());
            }
        }
    }
    let scorer = Scorer::load(artifact.dir()).unwrap();
    assert_eq!(scorer.predict(&later).unwrap().len(), 20);
    let Values::Numeric(numbers) = &mut later.columns[0].values else { panic!() };
    numbers[3] = f64::NEG_INFINITY;
    let error = scorer.predict(&later).unwrap_err();
    assert_eq!(error, Error::Infinite { column: "x".into(), row: 3 });
}

fn follows_weights(subject: &Subject) {
    let (schema, mut rows) = example(Task::Binary, 600);
    let mean = |rows: &Rows| {
        let predictions = predictions((subject.recipe)(), &schema, rows, rows);
        predictions.iter().sum::<f64>() / predictions.len() as f64
    };
    let even = mean(&rows);
    for (weight, label) in rows.weight.iter_mut().zip(&rows.label) {
        *weight = if *label > 0.5 { 20.0 } else { 1.0 };
    }
    let uneven = mean(&rows);
    assert!(uneven > even + 0.05, "{uneven} against {even}");
}

fn refuses_what_cannot_be_learned_from(subject: &Subject) {
    let dir = TempDir::new().unwrap();
    let (schema, rows) = example(Task::Binary, 200);
    let told = |change: &dyn Fn(&mut Rows)| {
        let mut rows = rows.clone();
        change(&mut rows);
        train(&job(&dir, "a", (subject.recipe)(), &schema), rows, Rows::default())
            .unwrap_err()
            .error
    };
    assert_eq!(told(&|rows| rows.label.fill(1.0)), Error::OneClass { class: "yes".into() });
    assert_eq!(told(&|rows| rows.label[5] = f64::NAN), Error::Unlabelled { rows: 1 });
    assert_eq!(told(&|rows| rows.weight[5] = -1.0), Error::Weight { weight: "-1".into() });
    assert_eq!(told(&|rows| *rows = Rows::default()), Error::NoRows { part: "training".into() });
    let infinite = told(&|rows| {
        let Values::Numeric(numbers) = &mut rows.columns[0].values else { panic!() };
        numbers[7] = f64::INFINITY;
    });
    assert_eq!(infinite, Error::Infinite { column: "x".into(), row: 7 });
    let missing = told(&|rows| drop(rows.columns.remove(1)));
    assert_eq!(missing, Error::ColumnMissing { column: "colour".into() });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was left");
}

fn refuses_slips_with_a_near_name(subject: &Subject) {
    let with = |name: &str, value: Value| {
        let mut recipe = (subject.recipe)();
        recipe.engine.params_mut().unwrap().insert(name.to_owned(), value);
        recipe.check(&Task::Binary).unwrap_err().to_string()
    };
    let (slip, near) = subject.slip;
    assert_eq!(with(slip, 1.into()), format!("unknown parameter `{slip}`: did you mean `{near}`?"));
    let (name, value) = &subject.nonsense;
    let message = with(name, value.clone());
    assert!(message.starts_with(&format!("parameter `{name}` is ")), "{message}");
}

fn takes_columns_that_say_nothing(subject: &Subject) {
    for task in TASKS {
        let (mut schema, mut rows) = example(task, 200);
        rows.columns.push(numeric("nothing", &[f64::NAN; 200]));
        rows.columns.push(numeric("always", &[3.0; 200]));
        rows.columns.push(categorical("blank", &[""; 200], &[]));
        for (name, kind) in
            [("nothing", Kind::Numeric), ("always", Kind::Numeric), ("blank", Kind::Categorical)]
        {
            schema.features.push(Feature { name: name.to_owned(), kind });
        }
        let dir = TempDir::new().unwrap();
        let artifact = first(&dir, subject, &schema, &rows);
        Scorer::load(artifact.dir()).unwrap().predict(&rows).unwrap();
        let important = artifact.manifest().importance.iter();
        let important = important.map(|one| one.feature.as_str()).collect::<Vec<_>>();
        assert!(!["nothing", "always", "blank"].iter().any(|none| important.contains(none)));
    }
}

fn takes_more_columns_than_rows(subject: &Subject) {
    let names = (0..60).map(|at| format!("x{at}")).collect::<Vec<_>>();
    let value = |row: usize, at: usize| ((row * 31 + at * 17) % 101) as f64;
    let columns = names
        .iter()
        .enumerate()
        .map(|(at, name)| numeric(name, &(0..20).map(|row| value(row, at)).collect::<Vec<_>>()));
    let labels = (0..20).map(|row| f64::from(u8::from(row % 3 == 0))).collect::<Vec<_>>();
    let all = rows(columns.collect(), &labels);
    let features = names.iter().map(|name| (name.as_str(), Kind::Numeric)).collect::<Vec<_>>();
    for task in [Task::Binary, Task::Regression] {
        let predictions = predictions((subject.recipe)(), &schema(task, &features), &all, &all);
        assert!(predictions.iter().all(|one| one.abs() < 10.0), "{predictions:?}");
    }
}

fn repeats_the_judged_rounds_in_a_refit(subject: &Subject) {
    let dir = TempDir::new().unwrap();
    let (schema, all) = example(Task::Binary, 400);
    let (fit, _) = halves(&all);
    let judged = first(&dir, subject, &schema, &fit);
    let rounds = judged.manifest().rounds_added;
    assert!(rounds > 0);
    let refit = Job {
        part: Part::Refit { rounds },
        judged_parent: Some(judged.hash().clone()),
        ..job(&dir, "refit", (subject.recipe)(), &schema)
    };
    let refitted = train(&refit, all.clone(), Rows::default()).unwrap();
    let manifest = refitted.manifest();
    assert_eq!((manifest.rounds, manifest.rounds_added), (rounds, rounds));
    assert_eq!((manifest.rows, manifest.trees), (all.len(), judged.manifest().trees));
    assert_eq!(manifest.judged_parent.as_ref(), Some(judged.hash()));
    assert_eq!(manifest.recipe_hash, judged.manifest().recipe_hash);
}

fn knows_what_matters(subject: &Subject) {
    for task in TASKS {
        let dir = TempDir::new().unwrap();
        let (schema, rows) = example(task, 600);
        let artifact = first(&dir, subject, &schema, &rows);
        let importance = &artifact.manifest().importance;
        let gain = |name: &str| {
            importance.iter().find(|one| one.feature == name).map_or(0.0, |one| one.gain)
        };
        assert!(importance.iter().all(|one| one.gain.is_finite() && one.gain > 0.0));
        assert!(gain("x") > 2.0 * gain("noise"), "{task:?}: {importance:?}");
        assert!(gain("colour") > gain("noise"), "{task:?}: {importance:?}");
    }
}

fn tells_progress_and_ends_when_cancelled(subject: &Subject) {
    let dir = TempDir::new().unwrap();
    let (schema, rows) = example(Task::Binary, 300);
    let work = job(&dir, "a", (subject.recipe)(), &schema);
    let run = |cancel_at: f64| -> (Result<_, Failure>, Vec<f64>) {
        let parts = Parts { train: rows.clone(), stopping: Rows::default() };
        let trainer = InProcess { rows: Memory(parts) };
        let (tell, cancel) = watch::channel(false);
        let seen = Arc::new(Mutex::new(Vec::new()));
        let progress = {
            let seen = Arc::clone(&seen);
            Arc::new(move |share| {
                seen.lock().unwrap().push(share);
                tell.send_replace(share >= cancel_at);
            })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(trainer.train(&work, cancel, progress));
        let shares = seen.lock().unwrap().clone();
        (result, shares)
    };
    let (result, shares) = run(0.1);
    assert_eq!(result.unwrap_err().error, Error::Cancelled);
    assert!(shares.iter().filter(|share| **share >= 0.1).count() == 1, "{shares:?}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was left");
    let (result, shares) = run(2.0);
    result.unwrap();
    assert!(shares.is_sorted() && shares.len() > 2, "{shares:?}");
    assert!((shares.last().unwrap() - 1.0).abs() < 1e-9, "{shares:?}");
}

fn chooses_on_early_stopping_rows(subject: &Subject) {
    let dir = TempDir::new().unwrap();
    for task in TASKS {
        let (schema, all) = example(task, 600);
        let (fit, stopping) = halves(&all);
        let Some(recipe) = subject.stopping else {
            let work = job(&dir, "a", (subject.recipe)(), &schema);
            let with = train(&work, fit.clone(), stopping).unwrap();
            let without = train(&work, fit, Rows::default()).unwrap();
            assert_eq!(with.manifest().files, without.manifest().files);
            continue;
        };
        let work = job(&dir, "a", recipe(), &schema);
        let artifact = train(&work, fit.clone(), stopping.clone()).unwrap();
        let (manifest, metric) = (
            artifact.manifest(),
            match task {
                Task::Binary => "stopping_logloss",
                Task::Multiclass => "stopping_mlogloss",
                Task::Regression => "stopping_rmse",
            },
        );
        assert!((1..300).contains(&manifest.rounds), "{}", manifest.rounds);
        // The metric told is that of the model kept.
        let found = Scorer::load(artifact.dir()).unwrap().predict(&stopping).unwrap();
        let losses = found.chunks(schema.outputs()).zip(&stopping.label);
        let mean = losses.map(|(p, y)| loss(task, p, *y)).sum::<f64>() / stopping.len() as f64;
        let mean = if task == Task::Regression { mean.sqrt() } else { mean };
        let told = manifest.metrics[metric].as_f64().unwrap();
        assert!((mean - told).abs() < 1e-5, "{task:?}: {mean}, told {told}");
        // The same rounds on the same rows are the same model, whatever chose them.
        let refit = Job { part: Part::Refit { rounds: manifest.rounds_added }, ..work };
        let again = train(&refit, fit, Rows::default()).unwrap();
        let again = Scorer::load(again.dir()).unwrap().predict(&stopping).unwrap();
        assert!(found.iter().zip(&again).all(|(a, b)| (a - b).abs() < 1e-4), "{task:?}");
    }
}

fn continues_or_says_why_not(subject: &Subject) {
    let dir = TempDir::new().unwrap();
    let (schema, all) = example(Task::Binary, 600);
    let (old, new) = halves(&all);
    let champion = first(&dir, subject, &schema, &old);
    let warm = Job {
        warm_start: Some(WarmStart { artifact: champion.dir().to_owned(), rounds: 10 }),
        ..job(&dir, "new", (subject.recipe)(), &schema)
    };
    let result = train(&warm, new.clone(), Rows::default());
    if !subject.continues {
        let message = result.unwrap_err().to_string();
        assert!(message.starts_with("the champion cannot be continued: a forest"), "{message}");
        return;
    }
    let continued = result.unwrap();
    let manifest = continued.manifest();
    assert_eq!(manifest.warm_started_from.as_ref(), Some(champion.hash()));
    assert_eq!(manifest.encodings, champion.manifest().encodings);
    let scorer = |artifact: &Artifact| Scorer::load(artifact.dir()).unwrap();
    scorer(&continued).check_golden().unwrap();
    // It knows the old rows still, and the new ones better than before.
    let loss_of = |artifact: &Artifact, rows: &Rows| {
        let found = scorer(artifact).predict(rows).unwrap();
        found.iter().zip(&rows.label).map(|(p, y)| loss(Task::Binary, &[*p], *y)).sum::<f64>()
    };
    assert!(loss_of(&continued, &new) < loss_of(&champion, &new));
    assert!(loss_of(&continued, &old) < 1.3 * loss_of(&champion, &old));

    let constant = train(&job(&dir, "c", Recipe::constant(), &schema), old, Rows::default());
    let start = WarmStart { artifact: constant.unwrap().dir().to_owned(), rounds: 10 };
    let wrong = Job { warm_start: Some(start), ..warm };
    let error = train(&wrong, new, Rows::default()).unwrap_err().error;
    assert!(matches!(error, Error::WarmStart { .. }), "{error}");
}

/// Log loss, or the squared error.
fn loss(task: Task, prediction: &[f64], label: f64) -> f64 {
    let share = match task {
        Task::Regression => return (prediction[0] - label).powi(2),
        Task::Binary if label > 0.5 => prediction[0],
        Task::Binary => 1.0 - prediction[0],
        Task::Multiclass => {
            *prediction.iter().zip(0_u8..).find(|(_, class)| f64::from(*class) >= label).unwrap().0
        }
    };
    -share.max(1e-6).ln()
}

fn first(dir: &TempDir, subject: &Subject, schema: &Schema, rows: &Rows) -> Artifact {
    let work = job(dir, "first", (subject.recipe)(), schema);
    train(&work, rows.clone(), Rows::default()).unwrap()
}

fn predictions(recipe: Recipe, schema: &Schema, fit: &Rows, test: &Rows) -> Vec<f64> {
    let dir = TempDir::new().unwrap();
    let artifact = train(&job(&dir, "a", recipe, schema), fit.clone(), Rows::default()).unwrap();
    Scorer::load(artifact.dir()).unwrap().predict(test).unwrap()
}
