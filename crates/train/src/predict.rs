//! Scores rows with the program of the trainer that made the model.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use afresh_core::time::Duration;
use afresh_data::export::Names;
use afresh_data::rows::Rows;
use afresh_data::schema::Schema;

use crate::artifact;
use crate::child;
use crate::dataset;
use crate::error::Error;
use crate::recipe::{self, Engine, Recipe};
use crate::step::{Predict, Work};
use crate::trainer::Limits;

/// A `predict` command and the model that it reads.
#[derive(Debug)]
pub(crate) struct Command {
    program: PathBuf,
    command: recipe::Command,
    seed: u64,
    /// Directory of the artifact.
    dir: PathBuf,
}

/// Longest time a scoring may take.
const PREDICT_TIME_MAX: Duration = Duration::minutes(10);

impl Command {
    pub(crate) fn new(
        dir: &Path,
        recipe: &Recipe,
        program: Option<PathBuf>,
    ) -> Result<Command, String> {
        let Engine::Command(command) = &recipe.engine else {
            return Err("only its trainer knows its format".to_owned());
        };
        if command.predict.is_none() {
            return Err("its format is not known: set `predict`".to_owned());
        }
        let program =
            program.ok_or("only its `predict` command can score it, which needs a program")?;
        let dir = std::path::absolute(dir).map_err(|error| error.to_string())?;
        Ok(Command { program, command: command.clone(), seed: recipe.seed, dir })
    }

    /// Row-major, as many numbers a row as the schema has outputs.
    pub(crate) fn predict(&self, rows: &Rows, schema: &Schema) -> Result<Vec<f64>, Error> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let count = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("afresh-predict-{}-{count}", std::process::id());
        let scratch = std::env::temp_dir().join(name);
        fs::create_dir_all(&scratch).map_err(|error| Error::io("create", &scratch, &error))?;
        let predictions = self.predict_in(&scratch, rows, schema);
        artifact::remove(&scratch)?;
        predictions
    }

    fn predict_in(&self, scratch: &Path, rows: &Rows, schema: &Schema) -> Result<Vec<f64>, Error> {
        let file = scratch.join("rows.parquet");
        let names = Names { time: dataset::TIME, label: None, weight: None };
        dataset::write(&file, schema, rows, &names)?;
        let predictions = scratch.join("predictions.csv");
        let work = Work::Predict(Box::new(Predict {
            command: self.command.clone(),
            schema: schema.clone(),
            seed: self.seed,
            model: self.dir.clone(),
            rows: file,
            predictions: predictions.clone(),
            scratch: scratch.to_owned(),
        }));
        let limits = Limits { time_max: Some(PREDICT_TIME_MAX), memory_bytes_max: None };
        let passed = &self.command.env;
        child::run_blocking(&self.program, work, scratch, limits, passed)?;
        dataset::read_predictions(&predictions, rows.len(), schema.outputs())
    }
}
