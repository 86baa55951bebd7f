//! Scores rows with the program of the trainer that made the model.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use afresh_core::time::Duration;
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
        dataset::write(&file, schema, rows)?;
        let predictions = scratch.join("predictions.csv");
        let work = Work::Predict(Predict {
            command: self.command.clone(),
            schema: schema.clone(),
            seed: self.seed,
            model: self.dir.clone(),
            rows: file,
            predictions: predictions.clone(),
            scratch: scratch.to_owned(),
        });
        let limits = Limits { time_max: Some(PREDICT_TIME_MAX), memory_bytes_max: None };
        let passed = &self.command.env;
        child::run_blocking(&self.program, work, scratch, limits, passed)?;
        let text = fs::read_to_string(&predictions).map_err(|error| Error::Predictions {
            line: 0,
            reason: format!("the file cannot be read: {error}"),
        })?;
        parse(&text, rows.len(), schema.outputs())
    }
}

/// Reads one line a row, its numbers separated by commas.
fn parse(text: &str, rows: usize, outputs: usize) -> Result<Vec<f64>, Error> {
    let lines = text.lines().count();
    if lines != rows {
        let reason = format!("{lines} lines for {rows} rows: write one line a row, no header");
        return Err(Error::Predictions { line: 0, reason });
    }
    let mut values = Vec::with_capacity(rows * outputs);
    for (at, line) in text.lines().enumerate() {
        let wrong = |reason| Error::Predictions { line: at + 1, reason };
        let before = values.len();
        for word in line.split(',') {
            let value = word.trim().parse::<f64>();
            values.push(value.map_err(|_| wrong(format!("`{word}` is not a number")))?);
        }
        let found = values.len() - before;
        if found != outputs {
            return Err(wrong(format!("{found} numbers instead of {outputs}")));
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn predictions_are_one_line_a_row() {
        assert_eq!(parse("0.25\n1e-3\n", 2, 1), Ok(vec![0.25, 0.001]));
        assert_eq!(parse("0.5, 0.25,0.25", 1, 3), Ok(vec![0.5, 0.25, 0.25]));
        for (text, message) in [
            ("0.5\n", "1 lines for 2 rows"),
            ("0.5\nbig\n", "line 2: `big` is not a number"),
            ("0.5\n0.5,0.5\n", "line 2: 2 numbers instead of 1"),
        ] {
            let error = parse(text, 2, 1).unwrap_err().to_string();
            assert!(error.contains(message), "{error}");
        }
    }
}
