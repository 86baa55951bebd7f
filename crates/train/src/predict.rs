//! Scores rows with the program of the trainer that made the model, kept warm where it can be.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use afresh_data::rows::Rows;
use afresh_data::schema::{Schema, Task};

use crate::error::Error;
use crate::recipe::{self, Engine, Recipe};
use crate::trainer::Limits;
use crate::worker::{Place, Seat, Worker};

/// A `predict` command and the model that it reads.
#[derive(Debug)]
pub(crate) struct Command {
    program: PathBuf,
    command: recipe::Command,
    seed: u64,
    /// Directory of the artifact.
    dir: PathBuf,
    limits: Limits,
    seat: Arc<Seat>,
}

/// How far the probabilities of a row may be from a sum of 1.
const SUM_TOLERANCE: f64 = 1e-3;
/// How far a probability may be outside [0, 1]: rounding, no more.
const PROBABILITY_TOLERANCE: f64 = 1e-9;

/// Directory for what scorings of this process need meanwhile, if not the system's.
static WORK: OnceLock<PathBuf> = OnceLock::new();

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
        Ok(Command {
            program,
            command: command.clone(),
            seed: recipe.seed,
            dir,
            limits: Limits::default(),
            seat: Arc::default(),
        })
    }

    pub(crate) fn limit(&mut self, limits: Limits) {
        self.limits = limits;
    }

    /// Row-major, as many numbers a row as the schema has outputs.
    pub(crate) fn predict(&self, rows: &Rows, schema: &Schema) -> Result<Vec<f64>, Error> {
        let place = Place {
            program: &self.program,
            command: &self.command,
            schema,
            seed: self.seed,
            model: &self.dir,
            limits: self.limits,
        };
        let predictions = self.seat.predict(rows, &place, || Worker::new(scratch()))?;
        check(&predictions, schema)?;
        Ok(predictions)
    }
}

/// From now on, what scorings of this process need meanwhile lies in `dir`.
pub(crate) fn work_in(dir: &Path) {
    // Only the first counts: a process works for one training.
    drop(WORK.set(dir.to_owned()));
}

/// A directory that no other scoring has.
fn scratch() -> PathBuf {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let count = COUNT.fetch_add(1, Ordering::Relaxed);
    let name = format!("afresh-predict-{}-{count}", std::process::id());
    WORK.get().cloned().unwrap_or_else(std::env::temp_dir).join(name)
}

/// Whether the numbers are what the task predicts.
fn check(predictions: &[f64], schema: &Schema) -> Result<(), Error> {
    if schema.task == Task::Regression {
        return Ok(());
    }
    for (row, outputs) in predictions.chunks_exact(schema.outputs().max(1)).enumerate() {
        let range = -PROBABILITY_TOLERANCE..=1.0 + PROBABILITY_TOLERANCE;
        if let Some(value) = outputs.iter().find(|value| !range.contains(*value)) {
            let reason = format!(
                "it predicts {value} in row {}, outside [0, 1]: write probabilities",
                row + 1
            );
            return Err(Error::Predictions { reason });
        }
        let sum = outputs.iter().sum::<f64>();
        if schema.task == Task::Multiclass && (sum - 1.0).abs() > SUM_TOLERANCE {
            let reason = format!(
                "the probabilities of row {} sum to {sum}, not 1: write one column a class, in the \
                 order of `classes`",
                row + 1
            );
            return Err(Error::Predictions { reason });
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn probabilities_are_checked_and_values_are_not() {
        let refused = |task, predictions: &[f64]| {
            check(predictions, &testing::schema(task, &[])).unwrap_err().to_string()
        };
        let error = refused(Task::Binary, &[0.5, 1.5]);
        assert!(error.contains("1.5 in row 2, outside [0, 1]"), "{error}");
        let error = refused(Task::Multiclass, &[0.5, 0.25, 0.25, 0.5, 0.5, 0.5]);
        assert!(error.contains("row 2 sum to 1.5, not 1"), "{error}");
        check(&[0.0, 1.0], &testing::schema(Task::Binary, &[])).unwrap();
        check(&[-7.0, 9.0], &testing::schema(Task::Regression, &[])).unwrap();
    }
}
