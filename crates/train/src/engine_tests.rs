//! The built-in engines from rows to a scorer and back.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};

use afresh_data::rows::{Column, Rows, Values};
use afresh_data::schema::{Kind, Schema, Task};
use serde::Deserialize;
use tempfile::TempDir;
use tokio::sync::watch;

use crate::artifact::Artifact;
use crate::encoding::{Coding, Encoding, Encodings};
use crate::error::{Error, Failure};
use crate::exchange::{Foreign, export, import};
use crate::learner::Format;
use crate::recipe::{BoostedTrees, Categories, Engine, Recipe};
use crate::scorer::Scorer;
use crate::testing::{categorical, example, numeric, rows, schema};
use crate::trainer::{InProcess, Job, Part, Parts, ReadRows, Trainer, WarmStart};

#[derive(Debug)]
pub(crate) struct Memory(pub(crate) Parts);

impl ReadRows for Memory {
    fn read(&self, _job: &Job) -> Result<Parts, Error> {
        Ok(self.0.clone())
    }
}

fn trees(rounds: usize, early_stopping: usize) -> Recipe {
    Recipe::new(Engine::BoostedTrees(BoostedTrees {
        params: BTreeMap::from([("max_depth".to_owned(), 3.into())]),
        rounds,
        early_stopping,
        ..BoostedTrees::default()
    }))
}

/// A job whose artifact becomes `name` below `dir`.
pub(crate) fn job(dir: &TempDir, name: &str, recipe: Recipe, schema: &Schema) -> Job {
    let place = |part: &str| dir.path().join(part);
    Job::new(recipe, schema.clone(), &place(name), &place("scratch"))
}

pub(crate) fn train(job: &Job, train: Rows, stopping: Rows) -> Result<Artifact, Failure> {
    let trainer = InProcess { rows: Memory(Parts { train, stopping }) };
    let (_keep, cancel) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(trainer.train(job, cancel, Arc::new(|_| {}))).map(|trained| trained.artifact)
}

pub(crate) fn halves(rows: &Rows) -> (Rows, Rows) {
    let cut = rows.len() * 2 / 3;
    (
        rows.select(&(0..cut).collect::<Vec<_>>()),
        rows.select(&(cut..rows.len()).collect::<Vec<_>>()),
    )
}

#[test]
fn every_task_and_coding_learns_and_is_the_same_after_loading() {
    for task in [Task::Binary, Task::Multiclass, Task::Regression] {
        for categories in [Categories::Native, Categories::Codes] {
            let dir = TempDir::new().unwrap();
            let (schema, all) = example(task, 900);
            let (fit, test) = halves(&all);
            let mut recipe = trees(40, 0);
            if let Engine::BoostedTrees(settings) = &mut recipe.engine {
                settings.categories = categories;
            }
            let artifact = train(&job(&dir, "a", recipe, &schema), fit, Rows::default()).unwrap();
            assert_eq!(Artifact::load(artifact.dir()).unwrap(), artifact);
            let scorer = Scorer::load(artifact.dir()).unwrap();
            scorer.check_golden().unwrap();
            let predictions = scorer.predict(&test).unwrap();
            assert_eq!(predictions.len(), test.len() * schema.outputs());
            let right =
                predictions.chunks(schema.outputs()).zip(&test.label).filter(|(p, y)| match task {
                    Task::Binary => (p[0] > 0.5) == (**y > 0.5),
                    Task::Multiclass => {
                        assert!((p.iter().sum::<f64>() - 1.0).abs() < 1e-5);
                        let classes = [0.0_f64, 1.0, 2.0].iter().zip(p.iter());
                        let (_, best) = classes.clone().max_by(|a, b| a.1.total_cmp(b.1)).unwrap();
                        classes
                            .filter(|(class, _)| class.total_cmp(y).is_eq())
                            .all(|(_, p)| p >= best)
                    }
                    Task::Regression => (p[0] - **y).abs() < 0.6,
                });
            let share = right.count() as f64 / test.len() as f64;
            assert!(share > 0.75, "{task:?} {categories:?}: {share}");
            let manifest = artifact.manifest();
            assert_eq!(manifest.rounds, 40);
            assert_ne!(manifest.importance[0].feature, "noise");
            assert!(manifest.cpu_seconds > 0.0 && manifest.golden.len() == 8);
        }
    }
}

#[test]
fn same_recipe_gives_the_same_model_for_any_number_of_threads() {
    let dir = TempDir::new().unwrap();
    let (schema, rows) = example(Task::Binary, 500);
    let files = [1, 1, 3].map(|threads| {
        let recipe = Recipe { threads, ..trees(20, 0) };
        let artifact = train(&job(&dir, "a", recipe, &schema), rows.clone(), Rows::default());
        artifact.unwrap().manifest().files.clone()
    });
    assert_eq!(files[0], files[1]);
    assert_eq!(files[0], files[2]);
}

#[test]
fn early_stopping_keeps_the_best_round_and_a_refit_repeats_it() {
    let dir = TempDir::new().unwrap();
    let (schema, all) = example(Task::Binary, 600);
    let (fit, stopping) = halves(&all);
    let first = job(&dir, "fit", trees(400, 5), &schema);
    let judged = train(&first, fit, stopping).unwrap();
    let rounds = judged.manifest().rounds_added;
    assert!((1..400).contains(&rounds), "{rounds}");
    assert_eq!((judged.manifest().rounds, judged.manifest().trees), (rounds, rounds));
    assert!(judged.manifest().metrics["stopping_logloss"].as_f64().unwrap() > 0.0);

    let refit = Job {
        part: Part::Refit { rounds },
        judged_parent: Some(judged.hash().clone()),
        ..job(&dir, "refit", trees(400, 5), &schema)
    };
    let refitted = train(&refit, all.clone(), Rows::default()).unwrap();
    assert_eq!(refitted.manifest().rounds, rounds);
    assert_eq!(refitted.manifest().rows, all.len());
    assert_eq!(refitted.manifest().judged_parent.as_ref(), Some(judged.hash()));
    assert_eq!(refitted.manifest().recipe_hash, judged.manifest().recipe_hash);
}

#[test]
fn continuing_keeps_the_encodings_and_ends_at_the_cap() {
    let dir = TempDir::new().unwrap();
    let (schema, all) = example(Task::Binary, 600);
    let (old, mut new) = halves(&all);
    let champion = train(&job(&dir, "old", trees(30, 0), &schema), old, Rows::default()).unwrap();
    // A colour that the champion has never seen.
    if let Values::Categorical { codes, names } = &mut new.columns[1].values {
        names.push("ultraviolet".to_owned());
        codes[0] = 4;
    }
    let warm = |name: &str, rounds: usize| Job {
        warm_start: Some(WarmStart { artifact: champion.dir().to_owned(), rounds }),
        ..job(&dir, name, trees(30, 0), &schema)
    };
    let continued = train(&warm("new", 10), new.clone(), Rows::default()).unwrap();
    let manifest = continued.manifest();
    assert_eq!((manifest.rounds, manifest.rounds_added), (40, 10));
    assert_eq!(manifest.encodings, champion.manifest().encodings);
    assert_eq!(manifest.warm_started_from.as_ref(), Some(champion.hash()));
    Scorer::load(continued.dir()).unwrap().check_golden().unwrap();

    let failure = train(&warm("more", 1_980), new.clone(), Rows::default()).unwrap_err();
    assert_eq!(failure.error, Error::FullRetrainingDue { trees: 2_010, trees_max: 2_000 });

    let mut other = warm("other", 10);
    other.schema.features[2].name = "sound".to_owned();
    new.columns[2].name = "sound".to_owned();
    let failure = train(&other, new, Rows::default()).unwrap_err();
    assert!(matches!(failure.error, Error::WarmStart { .. }), "{failure}");
}

#[test]
fn constant_predicts_the_shares_of_the_training_rows() {
    let dir = TempDir::new().unwrap();
    let schema = schema(Task::Multiclass, &[("x", Kind::Numeric)]);
    let mut all = rows(vec![numeric("x", &[1.0, 2.0, 3.0])], &[0.0, 2.0, 2.0]);
    all.weight = vec![2.0, 1.0, 1.0];
    let job = job(&dir, "a", Recipe::constant(), &schema);
    let artifact = train(&job, all.clone(), Rows::default()).unwrap();
    let scorer = Scorer::load(artifact.dir()).unwrap();
    assert_eq!(scorer.predict(&all).unwrap(), [0.5, 0.0, 0.5].repeat(3));
    assert!(scorer.single_row_p99(&all, 10).unwrap() > std::time::Duration::ZERO);
}

#[test]
fn empty_and_constant_columns_are_no_obstacle() {
    let dir = TempDir::new().unwrap();
    let (mut schema, mut all) = example(Task::Binary, 200);
    all.columns.push(numeric("nothing", &[f64::NAN; 200]));
    all.columns.push(numeric("always", &[3.0; 200]));
    all.columns.push(categorical("blank", &[""; 200], &[]));
    for (name, kind) in
        [("nothing", Kind::Numeric), ("always", Kind::Numeric), ("blank", Kind::Categorical)]
    {
        schema.features.push(afresh_data::schema::Feature { name: name.to_owned(), kind });
    }
    let job = job(&dir, "a", trees(5, 0), &schema);
    let artifact = train(&job, all.clone(), Rows::default()).unwrap();
    assert_eq!(Scorer::load(artifact.dir()).unwrap().predict(&all).unwrap().len(), 200);
}

#[test]
fn failed_and_cancelled_trainings_leave_nothing() {
    let dir = TempDir::new().unwrap();
    let (schema, mut all) = example(Task::Binary, 200);
    let work = job(&dir, "a", trees(50, 0), &schema);
    let trainer =
        InProcess { rows: Memory(Parts { train: all.clone(), stopping: Rows::default() }) };
    let (tell, cancel) = watch::channel(false);
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = {
        let seen = Arc::clone(&seen);
        Arc::new(move |share| {
            seen.lock().unwrap().push(share);
            tell.send_replace(share >= 0.1);
        })
    };
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let failure = runtime.block_on(trainer.train(&work, cancel, progress)).unwrap_err();
    assert_eq!(failure.error, Error::Cancelled);
    assert_eq!(*seen.lock().unwrap(), [0.02, 0.04, 0.06, 0.08, 0.1]);

    all.label.fill(1.0);
    let failure = train(&work, all, Rows::default()).unwrap_err();
    assert_eq!(failure.error, Error::OneClass { class: "yes".into() });
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn damage_is_found_and_named() {
    let dir = TempDir::new().unwrap();
    let (schema, all) = example(Task::Regression, 100);
    let make = || train(&job(&dir, "a", trees(3, 0), &schema), all.clone(), Rows::default());
    let told = |damage: &dyn Fn(&Path)| {
        let artifact = make().unwrap();
        damage(artifact.dir());
        Scorer::load(artifact.dir()).unwrap_err().to_string()
    };
    let append = |name: &'static str, text: &'static str| {
        move |dir: &Path| {
            let old = fs::read(dir.join(name)).unwrap();
            fs::write(dir.join(name), [&old, text.as_bytes()].concat()).unwrap();
        }
    };
    assert!(told(&append("model.ubj", "x")).contains("model.ubj has "));
    assert!(told(&append("manifest.json", "x")).contains("manifest.json cannot be read"));
    assert!(told(&|dir| fs::remove_file(dir.join("model.ubj")).unwrap()).contains("is missing"));
    assert!(told(&|dir| fs::remove_dir_all(dir).unwrap()).contains("manifest.json is missing"));
    let change = |from: &'static str, to: &'static str| {
        move |dir: &Path| {
            let path = dir.join("manifest.json");
            let text = fs::read_to_string(&path).unwrap();
            assert!(text.contains(from));
            fs::write(&path, text.replace(from, to)).unwrap();
        }
    };
    assert!(told(&change("\"rounds\": 3", "\"rounds\": 2")).contains("manifest.json was changed"));
    assert!(told(&change("\"format\": 2", "\"format\": 9")).contains("has format 9"));
    let flip = |dir: &Path| {
        let mut bytes = fs::read(dir.join("model.ubj")).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        fs::write(dir.join("model.ubj"), bytes).unwrap();
    };
    assert!(told(&flip).contains("model.ubj was changed"));
}

/// Rows, models and predictions written by `xgboost`; see `tests/golden/README.md`.
#[derive(Deserialize)]
struct Golden {
    categories: Vec<String>,
    rows: GoldenColumns,
    models: BTreeMap<String, GoldenModel>,
}

#[derive(Deserialize)]
struct GoldenColumns {
    x: Vec<Option<f64>>,
    colour: Vec<Option<String>>,
    noise: Vec<f64>,
    flag: Vec<f64>,
}

#[derive(Deserialize)]
struct GoldenModel {
    file: String,
    rounds: usize,
    best_iteration: usize,
    /// With the rounds up to the best.
    predictions: Vec<f64>,
    all_rounds: Vec<f64>,
}

fn golden() -> (Golden, Rows) {
    let text = include_str!("../tests/golden/expected.json");
    let golden: Golden = serde_json::from_str(text).unwrap();
    let colours = golden.rows.colour.iter().map(|c| c.as_deref().unwrap_or("")).collect::<Vec<_>>();
    let known = golden.categories.iter().map(String::as_str).collect::<Vec<_>>();
    let x = golden.rows.x.iter().map(|x| x.unwrap_or(f64::NAN)).collect::<Vec<_>>();
    let columns: Vec<Column> = vec![
        numeric("x", &x),
        categorical("colour", &colours, &known),
        numeric("noise", &golden.rows.noise),
        numeric("flag", &golden.rows.flag),
    ];
    let labels = vec![0.0; x.len()];
    (golden, rows(columns, &labels))
}

fn golden_encodings(golden: &Golden) -> Encodings {
    let plain = |name: &str| Encoding { name: name.to_owned(), coding: Coding::Numeric };
    let coding = Coding::Categorical { native: true, names: golden.categories.clone() };
    let colour = Encoding { name: "colour".to_owned(), coding };
    Encodings(vec![plain("x"), colour, plain("noise"), plain("flag")])
}

#[test]
fn models_of_xgboost_predict_what_xgboost_predicts() {
    let (golden, rows) = golden();
    let features = [
        ("x", Kind::Numeric),
        ("colour", Kind::Categorical),
        ("noise", Kind::Numeric),
        ("flag", Kind::Boolean),
    ];
    for (name, task) in [
        ("binary", Task::Binary),
        ("multiclass", Task::Multiclass),
        ("regression", Task::Regression),
    ] {
        let model = &golden.models[name];
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(&model.file);
        let bytes = fs::read(path).unwrap();
        let is_json = model.file.ends_with("json");
        let format = if is_json { Format::XgboostJson } else { Format::XgboostUbj };
        let schema = schema(task, &features);
        for (best_iteration, rounds, expected) in [
            (Some(model.best_iteration), model.best_iteration + 1, &model.predictions),
            (None, model.rounds, &model.all_rounds),
        ] {
            let dir = TempDir::new().unwrap();
            let encodings = golden_encodings(&golden);
            let foreign = Foreign { bytes: &bytes, format, encodings, best_iteration };
            let parts = Parts { train: rows.clone(), stopping: Rows::default() };
            let job = job(&dir, "a", trees(1, 0), &schema);
            let artifact = import(&job, foreign, &parts).unwrap();
            assert_eq!(artifact.manifest().rounds, rounds);
            let near = |found: &[f64]| {
                assert_eq!(found.len(), expected.len());
                for (found, expected) in found.iter().zip(expected) {
                    assert!((found - expected).abs() < 1e-6, "{name}: {found} {expected}");
                }
            };
            near(&Scorer::load(artifact.dir()).unwrap().predict(&rows).unwrap());
            // Out and in again by the other format.
            let other = if is_json { Format::XgboostUbj } else { Format::XgboostJson };
            let bytes = export(&artifact, other).unwrap();
            let encodings = golden_encodings(&golden);
            let foreign = Foreign { bytes: &bytes, format: other, encodings, best_iteration: None };
            let artifact = import(&job, foreign, &parts).unwrap();
            assert_eq!(artifact.manifest().rounds, rounds);
            near(&Scorer::load(artifact.dir()).unwrap().predict(&rows).unwrap());
        }
    }
}

#[test]
fn models_that_do_not_fit_the_schema_are_refused() {
    let (golden, rows) = golden();
    let dir = TempDir::new().unwrap();
    let bytes = include_bytes!("../tests/golden/regression.json");
    let parts = Parts { train: rows, stopping: Rows::default() };
    let told = |task: Task, features: &[(&str, Kind)], best_iteration| {
        let job = job(&dir, "a", trees(1, 0), &schema(task, features));
        let encodings = golden_encodings(&golden);
        let foreign = Foreign { bytes, format: Format::XgboostJson, encodings, best_iteration };
        import(&job, foreign, &parts).unwrap_err().to_string()
    };
    let one = [("x", Kind::Numeric)];
    let four = [
        ("x", Kind::Numeric),
        ("colour", Kind::Categorical),
        ("noise", Kind::Numeric),
        ("flag", Kind::Boolean),
    ];
    assert!(told(Task::Regression, &one, None).contains("takes 4 features, the schema has 1"));
    assert!(told(Task::Binary, &four, None).contains("`reg:squarederror` does not predict"));
    assert!(told(Task::Regression, &four, Some(99)).contains("100 rounds are asked for"));
}
