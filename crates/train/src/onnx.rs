//! Scores models in ONNX, whatever library trained them, through the machine's ONNX Runtime.

mod rows;
mod runtime;
mod signature;

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use afresh_data::rows::Rows;
use afresh_data::schema::{Schema, Task};
use ort::session::Session;
use ort::session::builder::SessionBuilder;
use ort::value::{DynMapValueType, DynValue};

use self::rows::{Named, Table};
use self::signature::{Batch, Inputs, Output, OutputKind, Port, wrong_width};
use crate::artifact::Manifest;
use crate::command::locate;
use crate::error::Error;
use crate::recipe::Engine;

pub(crate) use self::runtime::VARIABLE;

/// A model in ONNX with what it takes and gives.
#[derive(Debug)]
pub(crate) struct Model {
    /// Running a session takes it alone.
    session: Mutex<Session>,
    inputs: Inputs,
    output: Output,
    batch: Batch,
    /// Name of the model's file, for errors.
    file: String,
}

/// Rows that are scored at once: enough for the cost of a call not to matter, few enough for what
/// the model holds between its steps to stay small.
const ROWS_AT_ONCE: usize = 4_096;
/// How far probabilities may be outside [0, 1], and their sum from 1: what single precision loses.
const PROBABILITY_TOLERANCE: f64 = 1e-4;

impl Model {
    /// Loads the model of the artifact in `dir` and holds what it takes and gives against the
    /// schema.
    ///
    /// # Errors
    /// Says what is wrong with the model, or that there is no runtime and how to get one.
    pub(crate) fn load(dir: &Path, manifest: &Manifest) -> Result<Model, String> {
        let environment = runtime::environment(program(manifest))?;
        let path = dir.join(&manifest.model_file);
        // Built from a file, so that weights in files beside it are found.
        let session = runtime::guarded(|| {
            let threads = manifest.recipe.threads.max(1);
            let configured = || -> Result<Session, ort::Error> {
                let builder: SessionBuilder = Session::builder(&environment)?;
                let builder = builder.with_intra_threads(threads)?.with_inter_threads(1)?;
                let builder = builder.with_intra_op_spinning(false)?;
                builder.with_deterministic_compute(true)?.commit_from_file(&path)
            };
            configured().map_err(|error| format!("ONNX Runtime refuses it: {error}"))
        })?;
        let ports = |outlets: &[ort::value::Outlet]| {
            outlets.iter().map(|outlet| Port::of(outlet.name(), outlet.dtype())).collect::<Vec<_>>()
        };
        let (inputs, batch) = Inputs::of(&ports(session.inputs()), &manifest.schema)?;
        let output = Output::of(&ports(session.outputs()), &manifest.schema)?;
        let file = manifest.model_file.clone();
        Ok(Model { session: Mutex::new(session), inputs, output, batch, file })
    }

    /// Row-major, as many numbers a row as the schema has outputs.
    ///
    /// # Errors
    /// Names the column that is missing, retyped or does not fit the model's input, or says what is
    /// wrong with the predictions.
    pub(crate) fn predict(&self, rows: &Rows, manifest: &Manifest) -> Result<Vec<f64>, Error> {
        let table = Table::new(rows, &manifest.schema, &manifest.encodings)?;
        let schema = &manifest.schema;
        let step = if self.batch == Batch::One { 1 } else { ROWS_AT_ONCE };
        let mut predictions = Vec::with_capacity(rows.len() * schema.outputs());
        for from in (0..rows.len()).step_by(step) {
            let to = rows.len().min(from + step);
            let scored = table
                .inputs(&self.inputs, from..to)
                .and_then(|inputs| self.run(inputs, schema, from..to, &mut predictions));
            scored.map_err(|reason| Error::UnusableModel { file: self.file.clone(), reason })?;
        }
        Ok(predictions)
    }

    fn run(
        &self,
        inputs: Named<'_>,
        schema: &Schema,
        range: std::ops::Range<usize>,
        predictions: &mut Vec<f64>,
    ) -> Result<(), String> {
        let mut session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let refused = |error: ort::Error| format!("ONNX Runtime cannot score with it: {error}");
        runtime::guarded(move || {
            let outputs = session.run(inputs).map_err(refused)?;
            let name = &self.output.name;
            let value = outputs.get(name).ok_or_else(|| format!("it gave no `{name}`"))?;
            let table = Scores::of(value, self.output.kind, &schema.classes).map_err(refused)?;
            table.append(name, schema, range, predictions)
        })
    }
}

/// What a model gave for some rows, row-major.
#[derive(Debug)]
struct Scores {
    values: Vec<f64>,
    /// Lengths of its dimensions.
    lengths: Vec<i64>,
}

impl Scores {
    fn of(value: &DynValue, kind: OutputKind, classes: &[String]) -> Result<Scores, ort::Error> {
        Ok(match kind {
            OutputKind::Floats => {
                let (shape, values) = value.try_extract_tensor::<f32>()?;
                let values = values.iter().copied().map(f64::from).collect();
                Scores { values, lengths: shape.to_vec() }
            }
            OutputKind::Doubles => {
                let (shape, values) = value.try_extract_tensor::<f64>()?;
                Scores { values: values.to_vec(), lengths: shape.to_vec() }
            }
            OutputKind::MapsByNumber | OutputKind::MapsByName => {
                let maps = value.try_extract_sequence::<DynMapValueType>()?;
                let mut values = vec![0.0; maps.len() * classes.len()];
                for (map, row) in maps.iter().zip(values.chunks_mut(classes.len().max(1))) {
                    if kind == OutputKind::MapsByNumber {
                        for (class, share) in map.try_extract_key_values::<i64, f32>()? {
                            let class = usize::try_from(class).ok();
                            let cell = class.and_then(|class| row.get_mut(class));
                            *cell.ok_or_else(|| unknown(&format!("{class:?}"), classes))? =
                                f64::from(share);
                        }
                    } else {
                        for (class, share) in map.try_extract_key_values::<String, f32>()? {
                            let at = classes.iter().position(|name| *name == class);
                            let cell = at.and_then(|at| row.get_mut(at));
                            *cell.ok_or_else(|| unknown(&class, classes))? = f64::from(share);
                        }
                    }
                }
                let length = |length: usize| i64::try_from(length).unwrap_or(i64::MAX);
                Scores { values, lengths: vec![length(maps.len()), length(classes.len())] }
            }
        })
    }

    /// Appends the predictions that the task asks for; `range` says for which rows.
    fn append(
        self,
        name: &str,
        schema: &Schema,
        range: std::ops::Range<usize>,
        predictions: &mut Vec<f64>,
    ) -> Result<(), String> {
        let rows = range.len();
        let found = match self.lengths.as_slice() {
            [found] => (usize::try_from(*found).ok(), 1),
            [found, width] => (usize::try_from(*found).ok(), usize::try_from(*width).unwrap_or(0)),
            _ => (None, 0),
        };
        let (Some(found), width) = found else {
            return Err(format!("its output `{name}` has the shape {:?}", self.lengths));
        };
        if found != rows || self.values.len() != rows * width {
            return Err(format!("its output `{name}` has {found} rows for {rows}"));
        }
        let outputs = schema.outputs();
        let fits = width == outputs || schema.task == Task::Binary && width == 2;
        if !fits {
            return Err(wrong_width(&format!("`{name}`"), width, schema));
        }
        if schema.task == Task::Regression {
            predictions.extend(self.values);
            return Ok(());
        }
        for (row, shares) in range.zip(self.values.chunks(width)) {
            check_probabilities(shares, row)?;
            // Of two classes the second is the positive one.
            let kept = if outputs == 1 { &shares[width - 1..] } else { shares };
            predictions.extend(kept.iter().map(|share| share.clamp(0.0, 1.0)));
        }
        Ok(())
    }
}

/// Refuses what are no probabilities; one that is not a number is found by whoever asked for it.
fn check_probabilities(shares: &[f64], row: usize) -> Result<(), String> {
    let allowed = -PROBABILITY_TOLERANCE..=1.0 + PROBABILITY_TOLERANCE;
    if let Some(wrong) = shares.iter().find(|share| !share.is_nan() && !allowed.contains(share)) {
        return Err(format!(
            "it predicts {wrong} for row {row}, which is no probability: export the output of \
             `predict_proba`, not scores"
        ));
    }
    let sum = shares.iter().sum::<f64>();
    if shares.len() > 1 && !sum.is_nan() && (sum - 1.0).abs() > PROBABILITY_TOLERANCE {
        return Err(format!(
            "its probabilities for row {row} add up to {sum}, not 1: export the output of \
             `predict_proba`"
        ));
    }
    Ok(())
}

fn unknown(class: &str, classes: &[String]) -> ort::Error {
    let classes = classes.join(", ");
    ort::Error::new(format!("its class {class} is not one of {classes}"))
}

/// The program of the user's command, in whose Python a runtime may be.
fn program(manifest: &Manifest) -> Option<PathBuf> {
    let Engine::Command(command) = &manifest.recipe.engine else { return None };
    let program = locate(command.command.first()?, command.base.as_deref());
    Some(PathBuf::from(program))
}

#[cfg(test)]
mod tests {
    use afresh_data::schema::Kind;

    use super::*;
    use crate::testing;

    fn scores(task: Task, width: i64, values: &[f64]) -> Result<Vec<f64>, String> {
        let schema = testing::schema(task, &[("x", Kind::Numeric)]);
        let rows = values.len() / usize::try_from(width).unwrap();
        let lengths = vec![i64::try_from(rows).unwrap(), width];
        let mut predictions = Vec::new();
        let scores = Scores { values: values.to_vec(), lengths };
        scores.append("p", &schema, 100..100 + rows, &mut predictions)?;
        Ok(predictions)
    }

    #[test]
    fn the_second_of_two_classes_is_the_positive_one() {
        let one = scores(Task::Binary, 2, &[0.25, 0.75, 1.0, 0.0]).unwrap();
        assert_eq!(one, [0.75, 0.0]);
        assert_eq!(scores(Task::Binary, 1, &[0.25, 1.000_01]).unwrap(), [0.25, 1.0]);
        let all = [0.2, 0.3, 0.5];
        assert_eq!(scores(Task::Multiclass, 3, &all).unwrap(), all);
        assert_eq!(scores(Task::Regression, 1, &[-7.0, 8.0]).unwrap(), [-7.0, 8.0]);
    }

    #[test]
    fn what_are_no_probabilities_is_told_with_the_row() {
        for (task, width, values, told) in [
            (Task::Binary, 1, vec![0.5, 1.2], "predicts 1.2 for row 101, which is no probability"),
            (Task::Binary, 2, vec![0.5, 0.4], "for row 100 add up to 0.9, not 1"),
            (Task::Multiclass, 3, vec![-1.0, 1.0, 1.0], "predicts -1 for row 100"),
            (Task::Multiclass, 2, vec![0.5, 0.5], "of 2 classes, the schema has 3: a, b, c"),
            (Task::Regression, 2, vec![0.5, 0.5], "predicts 2 numbers, not 1"),
        ] {
            let error = scores(task, width, &values).unwrap_err();
            assert!(error.contains(told), "{error}");
        }
        let nan = scores(Task::Binary, 2, &[f64::NAN, f64::NAN]).unwrap();
        assert!(nan[0].is_nan());
        let schema = testing::schema(Task::Regression, &[("x", Kind::Numeric)]);
        let short = Scores { values: vec![1.0], lengths: vec![1, 1] };
        let error = short.append("p", &schema, 0..2, &mut Vec::new()).unwrap_err();
        assert_eq!(error, "its output `p` has 1 rows for 2");
    }
}
