//! A trained version in memory, ready to predict.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use afresh_data::rows::{Column, MISSING, Rows, Values};
use afresh_data::schema::Kind;

use crate::artifact::{Artifact, Cell, GoldenRow, Manifest};
use crate::boosted::{self, Booster};
use crate::encoding::find;
use crate::error::Error;
use crate::forest::{self, Forest};
use crate::learner::{Constant, Format, Predictor, TreePredictions};
use crate::linear::Linear;
use crate::onnx;
use crate::predict;
use crate::recipe::Engine;
use crate::trainer::Limits;

/// A trained version in memory. Cheap to share: nothing in it changes.
#[derive(Debug)]
pub struct Scorer {
    manifest: Manifest,
    engine: Scoring,
}

/// What does the predicting.
#[derive(Debug)]
#[expect(clippy::large_enum_variant, reason = "there is one for a loaded version")]
enum Scoring {
    InProcess(Box<dyn Predictor>),
    Onnx(Box<onnx::Model>),
    Command(predict::Command),
}

/// How far a golden prediction may be off, absolutely and relative to its size.
const GOLDEN_TOLERANCE: f64 = 1e-6;
/// Rows that are turned into numbers at a time: these stay in the processor's cache until they are predicted.
const BLOCK_ROWS: usize = 8_192;
/// Golden rows that an artifact keeps.
pub(crate) const GOLDEN_ROWS: usize = 8;

impl Scorer {
    /// Reads and verifies the artifact in `dir`.
    ///
    /// # Errors
    /// When it is damaged, or its model cannot be used or needs a program to score with.
    pub fn load(dir: &Path) -> Result<Scorer, Error> {
        Scorer::new(&Artifact::load(dir)?, None)
    }

    /// Like [`load`](Scorer::load); models that only their trainer's `predict` command knows are
    /// scored in a child process of `program` (see [`crate::worker`]).
    ///
    /// # Errors
    /// When the artifact is damaged or its model cannot be used.
    pub fn load_with(dir: &Path, program: &Path) -> Result<Scorer, Error> {
        Scorer::new(&Artifact::load(dir)?, Some(program))
    }

    /// A scorer of a verified artifact.
    ///
    /// # Errors
    /// When its model cannot be used, or needs a program and there is none.
    pub fn new(artifact: &Artifact, program: Option<&Path>) -> Result<Scorer, Error> {
        Scorer::of(artifact.dir(), artifact.manifest().clone(), program.map(Path::to_owned))
    }

    /// The same with limits on what a `predict` command may use; its time on the clock is
    /// `predict_time_max`.
    #[must_use]
    pub fn limited(mut self, limits: Limits) -> Scorer {
        if let Scoring::Command(command) = &mut self.engine {
            command.limit(limits);
        }
        self
    }

    pub(crate) fn of(
        dir: &Path,
        manifest: Manifest,
        program: Option<PathBuf>,
    ) -> Result<Scorer, Error> {
        let unusable =
            |reason: String| Error::UnusableModel { file: manifest.model_file.clone(), reason };
        let path = dir.join(&manifest.model_file);
        let bytes = || fs::read(&path).map_err(|error| Error::io("read", &path, &error));
        let engine = match manifest.model_format {
            Format::Constant => {
                let constant = Constant::decode(&bytes()?).map_err(unusable)?;
                if constant.outputs.len() != manifest.outputs() {
                    return Err(unusable("it has the wrong number of outputs".to_owned()));
                }
                Scoring::InProcess(Box::new(constant))
            }
            format @ (Format::XgboostJson | Format::XgboostUbj) => {
                let rounds = (manifest.rounds > 0).then_some(manifest.rounds);
                let booster = Booster::decode(&bytes()?, format, rounds).map_err(unusable)?;
                check_shape(&booster, &manifest).map_err(unusable)?;
                if matches!(manifest.recipe.engine, Engine::Forest(_)) {
                    let task = manifest.schema.task;
                    Scoring::InProcess(Box::new(Forest { booster, task }))
                } else {
                    Scoring::InProcess(Box::new(booster))
                }
            }
            Format::Linear => {
                let (schema, outputs) = (&manifest.schema, manifest.outputs());
                let features = schema.features.len();
                let model = Linear::decode(&bytes()?, &schema.task, features, outputs);
                Scoring::InProcess(Box::new(model.map_err(unusable)?))
            }
            Format::Onnx => {
                Scoring::Onnx(Box::new(onnx::Model::load(dir, &manifest).map_err(unusable)?))
            }
            Format::External => Scoring::Command(
                predict::Command::new(dir, &manifest.recipe, program).map_err(unusable)?,
            ),
        };
        Ok(Scorer { manifest, engine })
    }

    /// Everything about the version.
    #[must_use]
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Predicts rows: row-major, [`Schema::outputs`](afresh_data::schema::Schema::outputs) numbers
    /// a row, all finite. Labels are not looked at.
    ///
    /// # Errors
    /// Names the column that is missing, retyped or infinite, or the row whose prediction is not
    /// finite.
    pub fn predict(&self, rows: &Rows) -> Result<Vec<f64>, Error> {
        if rows.is_empty() {
            return Ok(Vec::new());
        }
        let predictions = match &self.engine {
            Scoring::InProcess(model) => model.predict(&self.manifest.encodings.encode(rows)?)?,
            Scoring::Onnx(model) => model.predict(rows, &self.manifest)?,
            Scoring::Command(command) => {
                for (at, feature) in self.manifest.schema.features.iter().enumerate() {
                    find(rows, at, &feature.name, feature.kind)?;
                }
                command.predict(rows, &self.manifest.schema)?
            }
        };
        self.finite(predictions, |row| row)
    }

    /// As [`predict`](Scorer::predict) for the rows at `positions`, which are copied only where the model needs files or
    /// columns of its own.
    ///
    /// # Errors
    /// As [`predict`](Scorer::predict).
    pub fn predict_at(&self, rows: &Rows, positions: &[usize]) -> Result<Vec<f64>, Error> {
        let Scoring::InProcess(model) = &self.engine else {
            return self.predict(&rows.select(positions));
        };
        let mut predictions = Vec::with_capacity(positions.len() * self.manifest.outputs());
        for block in positions.chunks(BLOCK_ROWS) {
            let matrix = self.manifest.encodings.encode_at(rows, block)?;
            predictions.extend(model.predict(&matrix)?);
        }
        self.finite(predictions, |row| positions[row])
    }

    /// Refuses predictions that are no numbers and names the row, as which `row` knows it.
    fn finite(
        &self,
        predictions: Vec<f64>,
        row: impl Fn(usize) -> usize,
    ) -> Result<Vec<f64>, Error> {
        let width = self.manifest.outputs();
        match predictions.iter().position(|value| !value.is_finite()) {
            Some(at) => {
                Err(Error::NotFinite { row: row(at / width), value: predictions[at].to_string() })
            }
            None => Ok(predictions),
        }
    }

    /// What each tree of a forest predicts for rows, of which the mean is the prediction; nothing where the model is
    /// no forest. Holds rows × trees × outputs numbers: give it many rows part by part.
    ///
    /// # Errors
    /// As [`predict`](Scorer::predict).
    pub fn predict_trees(&self, rows: &Rows) -> Result<Option<TreePredictions>, Error> {
        match &self.engine {
            Scoring::InProcess(model) => {
                model.predict_trees(&self.manifest.encodings.encode(rows)?)
            }
            Scoring::Onnx(_) | Scoring::Command(_) => Ok(None),
        }
    }

    /// Whether the stored rows still get their stored predictions: a reader that decodes the model
    /// or the categories in another way is found out here.
    ///
    /// # Errors
    /// When predicting fails or a prediction differs.
    pub fn check_golden(&self) -> Result<(), Error> {
        let golden = &self.manifest.golden;
        let found = self.predict(&golden_rows(&self.manifest))?;
        let width = self.manifest.outputs();
        for (at, row) in golden.iter().enumerate() {
            let expected = &row.prediction;
            let got = found.get(at * width..(at + 1) * width).unwrap_or_default();
            let near = |(a, b): (&f64, &f64)| (a - b).abs() <= GOLDEN_TOLERANCE * b.abs().max(1.0);
            if got.len() != expected.len() || !got.iter().zip(expected).all(near) {
                return Err(Error::UnusableModel {
                    file: self.manifest.model_file.clone(),
                    reason: format!("it predicts {got:?} for golden row {at}, not {expected:?}"),
                });
            }
        }
        Ok(())
    }

    /// As [`single_row_p99`](Scorer::single_row_p99), over the stored rows.
    ///
    /// # Errors
    /// When a prediction fails.
    pub fn golden_p99(&self, tries: usize) -> Result<Duration, Error> {
        self.single_row_p99(&golden_rows(&self.manifest), tries)
    }

    /// The time that all but 1 % of single-row predictions stay below, over `tries` of them, going
    /// round through `rows`.
    ///
    /// # Errors
    /// When a prediction fails.
    pub fn single_row_p99(&self, rows: &Rows, tries: usize) -> Result<Duration, Error> {
        if rows.is_empty() || tries == 0 {
            return Ok(Duration::ZERO);
        }
        let singles = (0..rows.len().min(tries)).map(|at| rows.select(&[at])).collect::<Vec<_>>();
        let mut times = Vec::with_capacity(tries);
        for row in singles.iter().cycle().take(tries) {
            let start = Instant::now();
            self.predict(row)?;
            times.push(start.elapsed());
        }
        times.sort_unstable();
        Ok(times[(times.len() * 99).div_ceil(100) - 1])
    }
}

/// Some of `rows`, spread evenly, with their predictions.
pub(crate) fn golden(scorer: &Scorer, rows: &Rows) -> Result<Vec<GoldenRow>, Error> {
    let count = rows.len().min(GOLDEN_ROWS);
    let positions = (0..count).map(|at| at * rows.len() / count).collect::<Vec<_>>();
    let rows = rows.select(&positions);
    let predictions = scorer.predict(&rows)?;
    let width = scorer.manifest.outputs();
    let columns = scorer.manifest.schema.features.iter().enumerate();
    let columns = columns
        .map(|(at, feature)| find(&rows, at, &feature.name, feature.kind))
        .collect::<Result<Vec<_>, _>>()?;
    Ok((0..count)
        .map(|row| GoldenRow {
            values: columns.iter().map(|column| cell(column, row)).collect(),
            prediction: predictions[row * width..(row + 1) * width].to_vec(),
        })
        .collect())
}

fn cell(column: &Column, row: usize) -> Option<Cell> {
    match &column.values {
        Values::Numeric(numbers) => {
            numbers.get(row).filter(|number| !number.is_nan()).copied().map(Cell::Number)
        }
        Values::Categorical { codes, names } => {
            names.get(*codes.get(row)? as usize).cloned().map(Cell::Text)
        }
    }
}

/// The golden rows as rows.
fn golden_rows(manifest: &Manifest) -> Rows {
    let golden = &manifest.golden;
    let column = |(at, feature): (usize, &afresh_data::schema::Feature)| {
        let cells = golden.iter().map(|row| row.values.get(at).and_then(Option::as_ref));
        let values = if feature.kind == Kind::Categorical {
            let mut names = Vec::new();
            let codes = cells
                .map(|cell| match cell {
                    Some(Cell::Text(name)) => {
                        names.push(name.clone());
                        u32::try_from(names.len() - 1).unwrap_or(MISSING)
                    }
                    Some(Cell::Number(_)) | None => MISSING,
                })
                .collect();
            Values::Categorical { codes, names }
        } else {
            Values::Numeric(
                cells
                    .map(|cell| match cell {
                        Some(Cell::Number(number)) => *number,
                        Some(Cell::Text(_)) | None => f64::NAN,
                    })
                    .collect(),
            )
        };
        Column { name: feature.name.clone(), values }
    };
    let count = golden.len();
    Rows {
        key: vec![0; count],
        event_time: vec![afresh_core::time::Timestamp(0); count],
        available_at: vec![None; count],
        label: vec![f64::NAN; count],
        weight: vec![1.0; count],
        columns: manifest.schema.features.iter().enumerate().map(column).collect(),
    }
}

/// Whether a model of trees fits the schema.
fn check_shape(booster: &Booster, manifest: &Manifest) -> Result<(), String> {
    let (features, outputs) = (manifest.schema.features.len(), manifest.outputs());
    if booster.features() != features {
        return Err(format!("it takes {} features, the schema has {features}", booster.features()));
    }
    let fits = match manifest.recipe.engine {
        Engine::Forest(_) => forest::fits(booster.objective()),
        Engine::BoostedTrees(_) | Engine::Linear(_) | Engine::Command(_) | Engine::Constant => {
            boosted::fits(booster.objective(), &manifest.schema.task)
        }
    };
    if !fits {
        let (name, task) = (booster.objective(), &manifest.schema.task);
        return Err(format!("its objective `{name}` does not predict a {task:?} task"));
    }
    if booster.outputs() != outputs {
        return Err(format!("it predicts {} numbers, not {outputs}", booster.outputs()));
    }
    Ok(())
}
