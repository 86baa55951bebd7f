//! Boosted trees: the one file that knows the crate which trains them.

use std::num::NonZeroUsize;

use afresh_data::schema::Task;
use hessboost::config::TrainingParams;
use hessboost::data::{DMatrix, FeatureType};
use hessboost::model::{BoostedModel, ImportanceType, ModelFormat};
use hessboost::training::Trainer;
use serde_json::Value;

use crate::encoding::Matrix;
use crate::error::Error;
use crate::learner::{Fitted, Format, Labelled, Learner, OnRound, Predictor, Request, Rounds};
use crate::recipe::BoostedTrees;

/// A model read from XGBoost's formats.
#[derive(Debug)]
pub(crate) struct Booster {
    model: BoostedModel,
    /// Rounds of it that count: exports do not say which was the best.
    rounds: usize,
}

/// XGBoost's names of the parameters that can be set.
const KNOWN: [&str; 27] = [
    "alpha",
    "base_score",
    "booster",
    "colsample_bylevel",
    "colsample_bynode",
    "colsample_bytree",
    "eta",
    "eval_metric",
    "gamma",
    "grow_policy",
    "interaction_constraints",
    "lambda",
    "learning_rate",
    "max_bin",
    "max_delta_step",
    "max_depth",
    "max_leaves",
    "min_child_weight",
    "min_split_loss",
    "monotone_constraints",
    "num_parallel_tree",
    "reg_alpha",
    "reg_lambda",
    "sampling_method",
    "scale_pos_weight",
    "subsample",
    "tree_method",
];

/// Parameters that follow from something else, and from what.
const DERIVED: [(&str, &str); 9] = [
    ("objective", "follows from the model's task: leave it out"),
    ("num_class", "follows from the label's classes: leave it out"),
    ("seed", "is a setting of its own: write `seed` beside `params`"),
    ("random_state", "is a setting of its own: write `seed` beside `params`"),
    ("nthread", "is a setting of its own: write `threads` beside `params`"),
    ("n_jobs", "is a setting of its own: write `threads` beside `params`"),
    ("num_boost_round", "is a setting of its own: write `rounds` beside `params`"),
    ("n_estimators", "is a setting of its own: write `rounds` beside `params`"),
    ("early_stopping_rounds", "is a setting of its own: write `early_stopping` beside `params`"),
];

/// Checks names and values without training.
pub(crate) fn check(settings: &BoostedTrees, task: &Task, outputs: usize) -> Result<(), Error> {
    parameters(settings, task, outputs, 0, 1).map(|_| ())
}

impl Booster {
    /// Reads `bytes` and keeps the first `rounds` rounds, or all where it is not known how many.
    pub(crate) fn decode(
        bytes: &[u8],
        format: Format,
        rounds: Option<usize>,
    ) -> Result<Booster, String> {
        let format = file_format(format)?;
        let model = BoostedModel::decode(bytes, format).map_err(|error| error.to_string())?;
        let all = model.num_boost_rounds();
        let rounds = rounds.unwrap_or(all);
        if rounds == 0 || rounds > all {
            return Err(format!("{rounds} rounds are asked for, it has {all}"));
        }
        Ok(Booster { model, rounds })
    }

    /// The rounds that count, in another format.
    pub(crate) fn encode(&self, format: Format) -> Result<Vec<u8>, String> {
        let format = file_format(format)?;
        self.model
            .slice(..self.rounds, 1)
            .and_then(|model| model.encode(format))
            .map_err(|error| error.to_string())
    }

    pub(crate) fn features(&self) -> usize {
        self.model.n_features()
    }

    pub(crate) fn outputs(&self) -> usize {
        self.model.prediction_width()
    }

    pub(crate) fn objective(&self) -> &str {
        self.model.objective().name()
    }

    pub(crate) fn rounds(&self) -> usize {
        self.rounds
    }

    pub(crate) fn trees(&self) -> usize {
        self.rounds * self.model.trees_per_iteration()
    }

    /// Total gain by feature.
    pub(crate) fn importance(&self) -> Vec<f64> {
        let mut gains = vec![0.0; self.model.n_features()];
        for (feature, gain) in self.model.feature_importance(ImportanceType::TotalGain) {
            if let Some(place) = gains.get_mut(feature) {
                *place = gain;
            }
        }
        gains
    }
}

impl Predictor for Booster {
    fn predict(&self, matrix: &Matrix) -> Result<Vec<f64>, Error> {
        let scores = self
            .model
            .predict_rows(&matrix.values, ..self.rounds)
            .map_err(|error| engine("score rows", &error))?;
        Ok(scores.as_slice().iter().copied().map(f64::from).collect())
    }
}

impl Learner for BoostedTrees {
    fn fit(&self, request: &Request<'_>, on_round: &mut OnRound<'_>) -> Result<Fitted, Error> {
        let params =
            parameters(self, request.task, request.outputs, request.seed, request.threads)?;
        let base = request.base.map(|base| base_model(base.bytes, base.rounds)).transpose()?;
        let base_rounds = base.as_ref().map_or(0, BoostedModel::num_boost_rounds);
        let (rounds, patience) = match request.rounds {
            Rounds::Search => (self.rounds, NonZeroUsize::new(self.early_stopping)),
            Rounds::Fixed(rounds) => (rounds, None),
        };
        let train = data(request.train)?;
        let stopping = match patience {
            Some(_) => request.stopping.map(data).transpose()?,
            None => None,
        };
        let mut trainer = Trainer::new(&params, &train, rounds);
        if let (Some(stopping), Some(patience)) = (&stopping, patience) {
            trainer = trainer.eval(stopping, "stopping").early_stopping_rounds(patience);
        }
        if let Some(base) = &base {
            trainer = trainer.init_model(base);
        }
        let mut cancelled = false;
        let result = trainer
            .on_round(|round| {
                let flow = on_round(share(round.iteration() + 1 - base_rounds, rounds));
                cancelled |= flow.is_break();
                flow
            })
            .train()
            .map_err(|error| engine("train", &error))?;
        if cancelled {
            return Err(Error::Cancelled);
        }
        let metric = result.history.metrics().last().cloned();
        let model = match result.model.best_iteration() {
            // What comes after the best round would only be in the way of continuing.
            Some(best) => result.model.slice(..=best, 1).map_err(|e| engine("cut", &e))?,
            None => result.model,
        };
        let bytes =
            model.encode(ModelFormat::XgboostUbjson).map_err(|error| engine("write", &error))?;
        let rounds = model.num_boost_rounds();
        let booster = Booster { model, rounds };
        Ok(Fitted {
            bytes,
            format: Format::XgboostUbj,
            rounds,
            rounds_added: rounds - base_rounds,
            trees: booster.trees(),
            importance: booster.importance(),
            stopped_at: metric.zip(result.best_score),
        })
    }
}

fn file_format(format: Format) -> Result<ModelFormat, String> {
    match format {
        Format::XgboostUbj => Ok(ModelFormat::XgboostUbjson),
        Format::XgboostJson => Ok(ModelFormat::XgboostJson),
        Format::Constant | Format::Onnx | Format::External => {
            Err("not a model of trees".to_owned())
        }
    }
}

fn base_model(bytes: &[u8], rounds: usize) -> Result<BoostedModel, Error> {
    let unusable = |reason: String| Error::WarmStart { reason };
    let format = if ModelFormat::detect(bytes) == Some(ModelFormat::XgboostJson) {
        Format::XgboostJson
    } else {
        Format::XgboostUbj
    };
    let booster = Booster::decode(bytes, format, Some(rounds)).map_err(unusable)?;
    if rounds == booster.model.num_boost_rounds() {
        return Ok(booster.model);
    }
    booster.model.slice(..rounds, 1).map_err(|error| unusable(error.to_string()))
}

fn parameters(
    settings: &BoostedTrees,
    task: &Task,
    outputs: usize,
    seed: u64,
    threads: usize,
) -> Result<TrainingParams, Error> {
    let mut pairs = vec![
        ("objective", Value::from(objective(task))),
        ("seed", Value::from(seed)),
        ("nthread", Value::from(threads)),
    ];
    if *task == Task::Multiclass {
        pairs.push(("num_class", Value::from(outputs)));
    }
    let is_set = |names: &[&str]| names.iter().any(|name| settings.params.contains_key(*name));
    if !is_set(&["eta", "learning_rate"]) {
        pairs.push(("eta", Value::from(0.1)));
    }
    if !is_set(&["tree_method"]) {
        pairs.push(("tree_method", Value::from("hist")));
    }
    let ours = pairs.clone();
    for (name, value) in &settings.params {
        let refuse =
            |reason: &str| Err(Error::Parameter { name: name.clone(), reason: reason.to_owned() });
        if let Some((_, reason)) = DERIVED.iter().find(|(derived, _)| derived == name) {
            return refuse(reason);
        }
        if !KNOWN.contains(&name.as_str()) {
            return Err(Error::UnknownParameter { name: name.clone(), near: near(name) });
        }
        if name == "booster" && value != "gbtree" {
            return refuse("must be `gbtree`");
        }
        pairs.push((name, value.clone()));
        // Alone with what it rests on first, so that an error names its parameter.
        let alone = ours.iter().cloned().chain([(name.as_str(), value.clone())]);
        let alone = alone.collect::<std::collections::BTreeMap<_, _>>();
        if let Err(error) = TrainingParams::from_xgboost(alone) {
            return refuse(&format!("is refused: {error}"));
        }
    }
    TrainingParams::from_xgboost(pairs).map_err(|error| engine("read its parameters", &error))
}

fn objective(task: &Task) -> &'static str {
    match task {
        Task::Binary => "binary:logistic",
        Task::Multiclass => "multi:softprob",
        Task::Regression => "reg:squarederror",
    }
}

/// Whether XGBoost's objective `name` predicts what `task` asks for.
pub(crate) fn fits(name: &str, task: &Task) -> bool {
    match task {
        Task::Binary => matches!(name, "binary:logistic" | "reg:logistic"),
        Task::Multiclass => name == "multi:softprob",
        Task::Regression => ["reg:", "count:", "survival:aft"].iter().any(|p| name.starts_with(p)),
    }
}

fn data(labelled: &Labelled) -> Result<DMatrix, Error> {
    let Matrix { values, rows, native } = &labelled.matrix;
    let refused = |error| engine("take the rows", &error);
    let mut data = DMatrix::from_dense(values, *rows, native.len())
        .and_then(|data| data.with_labels(&labelled.labels))
        .map_err(refused)?;
    if native.contains(&true) {
        let kind = |native: &bool| {
            if *native { FeatureType::Categorical } else { FeatureType::Numerical }
        };
        let kinds = native.iter().map(kind).collect::<Vec<_>>();
        data = data.with_feature_types(&kinds).map_err(refused)?;
    }
    match &labelled.weights {
        Some(weights) => data.with_weights(weights).map_err(refused),
        None => Ok(data),
    }
}

#[expect(clippy::cast_precision_loss, reason = "rounds are far below 2^53")]
fn share(done: usize, all: usize) -> f64 {
    done as f64 / all.max(1) as f64
}

fn engine(action: &str, error: &hessboost::error::HessboostError) -> Error {
    Error::Engine { action: action.to_owned(), message: error.to_string() }
}

/// At most three known names that look like `name`, nearest first.
fn near(name: &str) -> Vec<String> {
    let mut names = KNOWN
        .iter()
        .map(|known| {
            let stem = known.chars().zip(name.chars()).take_while(|(a, b)| a == b).count();
            let distance = distance(known, name);
            // A long common beginning counts for a near miss: `subsampling`, `colsample`.
            (if stem >= 6 { distance.min(3) } else { distance }, known)
        })
        .filter(|(distance, _)| *distance <= (name.len() / 3).clamp(1, 4))
        .collect::<Vec<_>>();
    names.sort();
    let nearest = names.first().map_or(0, |(distance, _)| *distance);
    names.retain(|(distance, _)| *distance <= nearest + 1);
    names.into_iter().take(3).map(|(_, known)| (*known).to_owned()).collect()
}

/// Number of single-letter edits (Levenshtein 1966).
fn distance(a: &str, b: &str) -> usize {
    let b = b.chars().collect::<Vec<_>>();
    let mut row = (0..=b.len()).collect::<Vec<_>>();
    for (i, x) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, y) in b.iter().enumerate() {
            let replaced = diagonal + usize::from(x != *y);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}
