//! Boosted trees: models in XGBoost's formats, and their training by the built-in crate.

use std::num::NonZeroUsize;

use afresh_data::schema::Task;
use hessboost::config::TrainingParams;
use hessboost::data::{DMatrix, FeatureType};
use hessboost::model::{BoostedModel, ImportanceType, ModelFormat};
use hessboost::training::Trainer;

use crate::encoding::Matrix;
use crate::error::Error;
use crate::learner::{Fitted, Format, Labelled, Learner, OnRound, Predictor, Request, Rounds};
use crate::parameters;
use crate::recipe::{BoostedTrees, Library};
use crate::siblings;
use crate::system;

/// A model read from XGBoost's formats.
#[derive(Debug)]
pub(crate) struct Booster {
    model: BoostedModel,
    /// Rounds of it that count: exports do not say which was the best.
    rounds: usize,
}

/// Checks names and values without training.
pub(crate) fn check(settings: &BoostedTrees, task: &Task, outputs: usize) -> Result<(), Error> {
    parameters::boosted(settings, task, outputs, 0, 1).map(|_| ())
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

    /// All rounds of a model.
    pub(crate) fn of(model: BoostedModel) -> Booster {
        Booster { rounds: model.num_boost_rounds(), model }
    }

    /// What a training ends with: this model, whose file is `bytes`.
    pub(crate) fn fitted(
        &self,
        bytes: Vec<u8>,
        base_rounds: usize,
        stopped_at: Option<(String, f64)>,
    ) -> Fitted {
        Fitted {
            bytes,
            format: Format::XgboostUbj,
            rounds: self.rounds,
            rounds_added: self.rounds - base_rounds,
            trees: self.trees(),
            importance: self.importance(),
            stopped_at,
        }
    }

    /// What round `round` alone adds to a row's margins: row-major, one number an output.
    pub(crate) fn margins_of_round(
        &self,
        matrix: &Matrix,
        round: usize,
    ) -> Result<Vec<f32>, Error> {
        let margins = self.model.predict_margin_rows(&matrix.values, round..=round);
        let margins = margins.map_err(|error| engine("score rows", &error))?;
        Ok(margins.as_slice().to_vec())
    }

    /// The rounds that count, in another format.
    pub(crate) fn encode(&self, format: Format) -> Result<Vec<u8>, String> {
        let format = file_format(format)?;
        self.model
            .slice(..self.rounds, 1)
            .map_err(|error| error.to_string())
            .and_then(|model| siblings::encode(&model, format))
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
        if self.library == Library::System {
            return system::fit(self, request, on_round);
        }
        let Request { task, outputs, seed, threads, .. } = *request;
        let params = parameters::boosted(self, task, outputs, seed, threads)?;
        let params = TrainingParams::from_xgboost(params)
            .map_err(|error| engine("read its parameters", &error))?;
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
        let bytes = encoded(&model, request.train)?;
        let booster = Booster::of(model);
        Ok(booster.fitted(bytes, base_rounds, metric.zip(result.best_score)))
    }
}

/// The file of a model that was trained on such rows.
pub(crate) fn encoded(model: &BoostedModel, rows: &Labelled) -> Result<Vec<u8>, Error> {
    if rows.matrix.native.contains(&true) {
        let written = siblings::encode(model, ModelFormat::XgboostUbjson);
        return written
            .map_err(|message| Error::Engine { action: "write the trees".to_owned(), message });
    }
    model.encode(ModelFormat::XgboostUbjson).map_err(|error| engine("write", &error))
}

fn file_format(format: Format) -> Result<ModelFormat, String> {
    match format {
        Format::XgboostUbj => Ok(ModelFormat::XgboostUbjson),
        Format::XgboostJson => Ok(ModelFormat::XgboostJson),
        Format::Constant | Format::Linear | Format::Onnx | Format::External => {
            Err("not a model of trees".to_owned())
        }
    }
}

pub(crate) fn base_model(bytes: &[u8], rounds: usize) -> Result<BoostedModel, Error> {
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

/// Whether XGBoost's objective `name` predicts what `task` asks for.
pub(crate) fn fits(name: &str, task: &Task) -> bool {
    match task {
        Task::Binary => matches!(name, "binary:logistic" | "reg:logistic"),
        Task::Multiclass => name == "multi:softprob",
        Task::Regression => ["reg:", "count:", "survival:aft"].iter().any(|p| name.starts_with(p)),
    }
}

pub(crate) fn data(labelled: &Labelled) -> Result<DMatrix, Error> {
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
pub(crate) fn share(done: usize, all: usize) -> f64 {
    done as f64 / all.max(1) as f64
}

pub(crate) fn engine(action: &str, error: &hessboost::error::HessboostError) -> Error {
    Error::Engine { action: action.to_owned(), message: error.to_string() }
}
