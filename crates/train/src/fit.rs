//! Turns rows into an unsealed artifact with one of the built-in engines.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use afresh_data::rows::Rows;

use crate::artifact::{Artifact, ArtifactHash, FORMAT, Importance, Manifest};
use crate::encoding::Encodings;
use crate::error::Error;
use crate::learner::{
    Base, ConstantLearner, Fitted, Format, Labelled, Learner, OnRound, Request, Rounds, Slice,
    check_rows,
};
use crate::profiled;
use crate::recipe::{BoostedTrees, Categories, Engine};
use crate::scorer::{self, Scorer};
use crate::trainer::{Job, Part, Parts};

/// Trains with a built-in engine and writes the model into `staging`.
pub(crate) fn fit(
    job: &Job,
    parts: &Parts,
    staging: &Path,
    on_round: &mut OnRound<'_>,
) -> Result<Manifest, Error> {
    check(job, parts)?;
    let warm = job.warm_start.as_ref().map(|warm| Artifact::load(&warm.artifact)).transpose()?;
    let (learner, encodings): (Box<dyn Learner>, _) = match &job.recipe.engine {
        Engine::Constant => (Box::new(ConstantLearner), learn(job, parts, Categories::Codes)?),
        Engine::BoostedTrees(settings) => {
            let mut settings = settings.clone();
            if let Some(warm) = &job.warm_start {
                settings.rounds = warm.rounds;
            }
            let encodings = match &warm {
                Some(champion) => {
                    check_continuation(job, champion.manifest(), &settings)?;
                    champion.manifest().encodings.clone()
                }
                None => learn(job, parts, settings.categories)?,
            };
            (Box::new(settings), encodings)
        }
        Engine::Forest(settings) => {
            if warm.is_some() {
                let reason = "a forest is the mean of trees of the same rows".to_owned();
                return Err(Error::WarmStart { reason });
            }
            (Box::new(settings.clone()), learn(job, parts, settings.categories)?)
        }
        Engine::Linear(settings) => {
            let encodings = match &warm {
                Some(champion) => {
                    check_champion(job, champion.manifest(), &[Format::Linear], "a linear model")?;
                    champion.manifest().encodings.clone()
                }
                // A category has a column of its own: its position means nothing.
                None => learn(job, parts, Categories::Native)?,
            };
            (Box::new(settings.clone()), encodings)
        }
        Engine::Command(_) => {
            return Err(Error::Parameter {
                name: "command".to_owned(),
                reason: "runs in a child process only".to_owned(),
            });
        }
    };
    let train = Labelled::new(&parts.train, &encodings)?;
    let stopping = match (parts.stopping.is_empty(), job.part) {
        (false, Part::Fit) => Some(Labelled::new(&parts.stopping, &encodings)?),
        _ => None,
    };
    let base_bytes = warm.as_ref().map(Artifact::model).transpose()?;
    let base = base_bytes
        .as_deref()
        .zip(warm.as_ref())
        .map(|(bytes, champion)| Base { bytes, rounds: champion.manifest().rounds });
    let fitted = learner.fit(
        &Request {
            task: &job.schema.task,
            outputs: job.schema.outputs(),
            train: &train,
            stopping: stopping.as_ref(),
            seed: job.recipe.seed,
            threads: job.recipe.threads,
            rounds: match job.part {
                Part::Fit => Rounds::Search,
                Part::Refit { rounds } | Part::Whole { rounds } => Rounds::Fixed(rounds),
            },
            base,
        },
        on_round,
    )?;
    let warm_hash = warm.map(|champion| champion.hash().clone());
    let manifest = manifest(job, parts, encodings, &fitted, warm_hash);
    let path = staging.join(&manifest.model_file);
    fs::write(&path, &fitted.bytes).map_err(|error| Error::io("write", &path, &error))?;
    with_golden(staging, manifest, &parts.train)
}

/// Checks the recipe and the rows of any engine.
pub(crate) fn check(job: &Job, parts: &Parts) -> Result<(), Error> {
    job.recipe.check(&job.schema.task)?;
    check_rows(&job.schema, &parts.train, Slice::Training)?;
    if !parts.stopping.is_empty() {
        check_rows(&job.schema, &parts.stopping, Slice::Stopping)?;
    }
    Ok(())
}

/// The manifest with the rows' profile and predictions for some of them: a model that cannot even be read back or
/// score what it was trained on ends here.
pub(crate) fn with_golden(
    staging: &Path,
    manifest: Manifest,
    rows: &Rows,
) -> Result<Manifest, Error> {
    let program = std::env::current_exe().ok();
    let scorer = Scorer::of(staging, manifest, program)?;
    let golden = scorer::golden(&scorer, rows)?;
    let profile = Some(profiled::of(rows)?);
    Ok(Manifest { golden, profile, ..scorer.manifest().clone() })
}

/// What is the same for all engines; no model file of its own, no metrics.
pub(crate) fn blank(job: &Job, parts: &Parts, encodings: Encodings) -> Manifest {
    Manifest {
        format: FORMAT,
        hash: ArtifactHash::default(),
        recipe: job.recipe.clone(),
        recipe_hash: job.recipe.hash(),
        model_file: String::new(),
        model_format: Format::External,
        schema: job.schema.clone(),
        encodings,
        rounds: 0,
        rounds_added: 0,
        trees: 0,
        metrics: BTreeMap::new(),
        dataset: job.dataset.as_ref().map(|place| place.id.clone()),
        rows: parts.train.len(),
        stopping_rows: parts.stopping.len(),
        chosen: None,
        row_rounds: 0,
        searched: None,
        judged_parent: job.judged_parent.clone(),
        warm_started_from: None,
        profile: None,
        importance: Vec::new(),
        cpu_seconds: 0.0,
        wall_seconds: 0.0,
        golden: Vec::new(),
        files: Vec::new(),
    }
}

/// The gains of the features that have one, largest first.
pub(crate) fn importance(job: &Job, gains: &[f64]) -> Vec<Importance> {
    let mut importance = job
        .schema
        .features
        .iter()
        .zip(gains)
        .filter(|(_, gain)| **gain > 0.0)
        .map(|(feature, gain)| Importance { feature: feature.name.clone(), gain: *gain })
        .collect::<Vec<_>>();
    importance.sort_by(|a, b| b.gain.total_cmp(&a.gain));
    importance
}

fn learn(job: &Job, parts: &Parts, categories: Categories) -> Result<Encodings, Error> {
    Encodings::learn(&job.schema, &parts.train, categories)
}

fn manifest(
    job: &Job,
    parts: &Parts,
    encodings: Encodings,
    fitted: &Fitted,
    warm_started_from: Option<ArtifactHash>,
) -> Manifest {
    let stopped = fitted.stopped_at.iter();
    let file = match fitted.format {
        Format::XgboostUbj => "model.ubj",
        Format::XgboostJson | Format::External => "model.json",
        Format::Constant => "model.constant.json",
        Format::Onnx => "model.onnx",
        Format::Linear => "model.linear.json",
    };
    Manifest {
        model_file: file.to_owned(),
        model_format: fitted.format,
        rounds: fitted.rounds,
        rounds_added: fitted.rounds_added,
        trees: fitted.trees,
        metrics: stopped
            .map(|(name, best)| (format!("stopping_{name}"), serde_json::Value::from(*best)))
            .collect(),
        importance: importance(job, &fitted.importance),
        warm_started_from,
        ..blank(job, parts, encodings)
    }
}

/// Whether the champion is of this engine and of this schema.
fn check_champion(
    job: &Job,
    champion: &Manifest,
    formats: &[Format],
    what: &str,
) -> Result<(), Error> {
    let refuse = |reason: String| Err(Error::WarmStart { reason });
    let is_forest = matches!(champion.recipe.engine, Engine::Forest(_));
    if is_forest || !formats.contains(&champion.model_format) {
        return refuse(format!("it is not {what}"));
    }
    if champion.schema != job.schema {
        return refuse("its schema differs from that of the rows".to_owned());
    }
    Ok(())
}

/// Whether the champion's trees mean the same for the new rows, and leave room for more.
fn check_continuation(
    job: &Job,
    champion: &Manifest,
    settings: &BoostedTrees,
) -> Result<(), Error> {
    let formats = [Format::XgboostJson, Format::XgboostUbj];
    check_champion(job, champion, &formats, "a model of boosted trees")?;
    let rounds = match job.part {
        Part::Fit => settings.rounds,
        Part::Refit { rounds } | Part::Whole { rounds } => rounds,
    };
    let trees_each = champion.trees.checked_div(champion.rounds).unwrap_or(1).max(1);
    let trees = champion.trees + rounds * trees_each;
    if trees > settings.trees_max {
        return Err(Error::FullRetrainingDue { trees, trees_max: settings.trees_max });
    }
    Ok(())
}
