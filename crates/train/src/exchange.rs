//! Models from and for other programs: XGBoost's JSON and UBJ both ways, ONNX in.

use std::fs;

use crate::artifact::{self, Artifact, Manifest};
use crate::boosted::Booster;
use crate::encoding::Encodings;
use crate::error::Error;
use crate::fit;
use crate::learner::Format;
use crate::trainer::{Job, Parts};

/// A model that was trained elsewhere.
#[derive(Clone, Debug)]
pub struct Foreign<'a> {
    /// Contents of its file.
    pub bytes: &'a [u8],
    /// What they are.
    pub format: Format,
    /// How rows became the numbers that it was trained on.
    pub encodings: Encodings,
    /// The round that early stopping chose, from 0. Files do not say it, and without it all rounds
    /// count.
    pub best_iteration: Option<usize>,
}

/// Makes a foreign model the artifact `job.output`; `parts` give its golden rows.
///
/// # Errors
/// When the model cannot be read or fits another schema.
pub fn import(job: &Job, foreign: Foreign<'_>, parts: &Parts) -> Result<Artifact, Error> {
    let file = match foreign.format {
        Format::XgboostUbj => "model.ubj",
        Format::Onnx => "model.onnx",
        Format::XgboostJson | Format::Constant | Format::Linear | Format::External => "model.json",
    };
    let blank = Manifest {
        model_file: file.to_owned(),
        model_format: foreign.format,
        ..fit::blank(job, parts, foreign.encodings)
    };
    let manifest = if foreign.format == Format::Onnx {
        blank
    } else {
        let unusable = |reason| Error::UnusableModel { file: file.to_owned(), reason };
        let rounds = foreign.best_iteration.map(|best| best + 1);
        let booster = Booster::decode(foreign.bytes, foreign.format, rounds).map_err(unusable)?;
        Manifest {
            rounds: booster.rounds(),
            rounds_added: booster.rounds(),
            trees: booster.trees(),
            importance: fit::importance(job, &booster.importance()),
            ..blank
        }
    };
    let staging = artifact::stage(&job.output)?;
    let path = staging.join(file);
    fs::write(&path, foreign.bytes).map_err(|error| Error::io("write", &path, &error))?;
    let manifest = fit::with_golden(&staging, manifest, &parts.train)?;
    Artifact::seal(&staging, manifest, &job.output)
}

/// The model of an artifact as XGBoost reads it: the rounds that count, whose categories are the
/// codes of [`Manifest::encodings`].
///
/// # Errors
/// When it is not a model of trees.
pub fn export(artifact: &Artifact, format: Format) -> Result<Vec<u8>, Error> {
    let manifest = artifact.manifest();
    let rounds = (manifest.rounds > 0).then_some(manifest.rounds);
    Booster::decode(&artifact.model()?, manifest.model_format, rounds)
        .and_then(|booster| booster.encode(format))
        .map_err(|reason| Error::UnusableModel { file: manifest.model_file.clone(), reason })
}
