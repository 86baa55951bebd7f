//! Models across the border, for tests against other libraries: `exchange CASE.json…` reads foreign
//! models or trains its own, predicts, and writes what it found to `CASE.result.json`.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use afresh_core::time::Timestamp;
use afresh_data::rows::{Column, MISSING, Rows, Values};
use afresh_data::schema::{Kind, Schema};
use afresh_train::Format;
use afresh_train::artifact::Artifact;
use afresh_train::encoding::{Coding, Encoding, Encodings};
use afresh_train::exchange::{Foreign, export, import};
use afresh_train::recipe::{Engine, Recipe};
use afresh_train::scorer::Scorer;
use afresh_train::trainer::{InProcess, Job, Parts, ReadRows, Trainer};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::sync::watch;

/// A model and the rows that it is asked about.
#[derive(Deserialize)]
struct Case {
    schema: Schema,
    /// What comes from elsewhere, with the file beside the case; without it the case is trained.
    #[serde(default)]
    foreign: Option<ForeignCase>,
    /// How it is trained here, or only threads and such for a foreign model.
    #[serde(default)]
    recipe: Option<Recipe>,
    /// Files to write the model to, beside the case.
    #[serde(default)]
    exports: BTreeMap<PathBuf, Format>,
    /// By feature: numbers (missing is null), or categories as texts.
    columns: BTreeMap<String, Vec<Value>>,
    labels: Vec<f64>,
    /// Rows at the end on which early stopping looks.
    #[serde(default)]
    stopping: usize,
    /// Single rows to predict for the time that a prediction takes.
    #[serde(default)]
    tries: usize,
}

#[derive(Deserialize)]
struct ForeignCase {
    file: PathBuf,
    format: Format,
    #[serde(default)]
    best_iteration: Option<usize>,
    /// By feature: names in the order of their codes.
    #[serde(default)]
    categories: BTreeMap<String, Vec<String>>,
}

#[derive(Debug)]
struct Memory(Parts);

impl ReadRows for Memory {
    fn read(&self, _job: &Job) -> Result<Parts, afresh_train::error::Error> {
        Ok(self.0.clone())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    for path in std::env::args_os().skip(1).map(PathBuf::from) {
        let found = run(&path).unwrap_or_else(|error| json!({ "error": error.to_string() }));
        fs::write(path.with_extension("result.json"), found.to_string())?;
    }
    Ok(())
}

pub(crate) fn run(path: &Path) -> Result<Value, Box<dyn Error>> {
    let case: Case = serde_json::from_slice(&fs::read(path)?)?;
    let beside = |name: &Path| path.with_file_name(name);
    let rows = rows(&case)?;
    let recipe = case.recipe.clone().unwrap_or_else(Recipe::constant);
    let (output, scratch) = (path.with_extension("artifact"), path.with_extension("scratch"));
    let job = Job::new(recipe, case.schema.clone(), &output, &scratch);
    let cut = rows.len() - case.stopping.min(rows.len());
    let parts = Parts {
        train: rows.select(&(0..cut).collect::<Vec<_>>()),
        stopping: rows.select(&(cut..rows.len()).collect::<Vec<_>>()),
    };
    let artifact = match &case.foreign {
        Some(foreign) => {
            let bytes = fs::read(beside(&foreign.file))?;
            let encodings = encodings(&case.schema, &foreign.categories);
            let (format, best_iteration) = (foreign.format, foreign.best_iteration);
            import(&job, Foreign { bytes: &bytes, format, encodings, best_iteration }, &parts)?
        }
        None => train(&job, parts)?,
    };
    for (file, format) in &case.exports {
        fs::write(beside(file), export(&artifact, *format)?)?;
    }
    let scorer = Scorer::load(&output)?;
    scorer.check_golden()?;
    let started = Instant::now();
    let predictions = scorer.predict(&rows)?;
    let seconds = started.elapsed().as_secs_f64();
    let single = scorer.single_row_p99(&rows, case.tries)?;
    let manifest = scorer.manifest();
    Ok(json!({
        "predictions": predictions,
        "rounds": manifest.rounds,
        "encodings": manifest.encodings,
        "microseconds_a_row": seconds * 1e6 / rows.len().max(1) as f64,
        "single_row_p99_microseconds": single.as_secs_f64() * 1e6,
    }))
}

fn train(job: &Job, parts: Parts) -> Result<Artifact, Box<dyn Error>> {
    if matches!(job.recipe.engine, Engine::Constant) {
        return Err("a case needs `foreign` or `recipe`".into());
    }
    let trainer = InProcess { rows: Memory(parts) };
    let (_keep, cancel) = watch::channel(false);
    let runtime = tokio::runtime::Builder::new_current_thread().build()?;
    Ok(runtime.block_on(trainer.train(job, cancel, Arc::new(|_share| {})))?.artifact)
}

fn rows(case: &Case) -> Result<Rows, Box<dyn Error>> {
    let count = case.labels.len();
    let mut columns = Vec::new();
    for feature in &case.schema.features {
        let cells = case.columns.get(&feature.name).ok_or("a feature has no column")?;
        let values = if feature.kind == Kind::Categorical {
            let mut names: Vec<String> =
                cells.iter().filter_map(Value::as_str).map(str::to_owned).collect();
            names.sort();
            names.dedup();
            let code = |cell: &Value| {
                let at = cell.as_str().and_then(|name| names.binary_search(&name.to_owned()).ok());
                at.and_then(|at| u32::try_from(at).ok()).unwrap_or(MISSING)
            };
            Values::Categorical { codes: cells.iter().map(code).collect(), names }
        } else {
            Values::Numeric(cells.iter().map(|cell| cell.as_f64().unwrap_or(f64::NAN)).collect())
        };
        columns.push(Column { name: feature.name.clone(), values });
    }
    let times = (0..).take(count).map(Timestamp).collect::<Vec<_>>();
    Ok(Rows {
        key: (0..).take(count).collect(),
        available_at: times.iter().copied().map(Some).collect(),
        event_time: times,
        label: case.labels.clone(),
        weight: vec![1.0; count],
        columns,
    })
}

fn encodings(schema: &Schema, categories: &BTreeMap<String, Vec<String>>) -> Encodings {
    let encoding = |feature: &afresh_data::schema::Feature| Encoding {
        name: feature.name.clone(),
        coding: match categories.get(&feature.name) {
            Some(names) => Coding::Categorical { native: true, names: names.clone() },
            None => Coding::Numeric,
        },
    };
    Encodings(schema.features.iter().map(encoding).collect())
}
