//! Random forests: trees that each saw other rows and, at each split, other columns (Breiman 2001).
//!
//! A tree fits shares, not log-odds: on a 0/1 label the squared error's best leaf is the share of ones among its
//! rows, so the mean over the trees is a probability (Malley et al. 2012). XGBoost's own random-forest mode takes
//! one Newton step of the logistic loss instead, which pulls probabilities towards a half. A tree of a task with
//! several classes has a share of each in its leaves.
//!
//! Rows are drawn without replacement, 0.632 of them a tree: as many as a bootstrap has distinct ones, with the same
//! effect (Friedman & Hall 2007) and less work.
//!
//! | parameter | default |
//! |---|---|
//! | `max_depth` | 16; 0 is without limit |
//! | `min_child_weight` | 5: the least sum of weights in a leaf |
//! | `max_bin` | 64: thresholds tried a column |
//! | `subsample` | 0.632 |
//! | `colsample_bynode` | √columns of classes, a third of the columns of a number |
//!
//! The file is one of XGBoost's: a round is a tree, leaves are divided by the number of trees, and the sum is the
//! prediction.

use afresh_data::schema::Task;
use hessboost::config::TrainingParams;
use hessboost::model::BoostedModel;
use hessboost::training::Trainer;
use serde_json::Value;

use crate::boosted::{self, Booster, engine, share};
use crate::encoding::Matrix;
use crate::error::Error;
use crate::learner::{
    Fitted, Labelled, Learner, OnRound, Predictor, Request, Rounds, TreePredictions,
};
use crate::parameters;
use crate::recipe;

/// A forest read from XGBoost's formats.
#[derive(Debug)]
pub(crate) struct Forest {
    pub(crate) booster: Booster,
    /// Whether predictions are shares.
    pub(crate) task: Task,
}

/// Parameters of a forest, by XGBoost's names.
const KNOWN: [&str; 14] = [
    "colsample_bylevel",
    "colsample_bynode",
    "colsample_bytree",
    "gamma",
    "grow_policy",
    "interaction_constraints",
    "max_bin",
    "max_depth",
    "max_leaves",
    "min_child_weight",
    "min_split_loss",
    "monotone_constraints",
    "sampling_method",
    "subsample",
];

/// Parameters that a forest does not have, or has elsewhere, and what to do instead.
const DERIVED: [(&str, &str); 21] = [
    ("alpha", "is of boosting, and a forest's leaf is the mean of its rows: leave it out"),
    ("base_score", "is of boosting, and a forest's leaf is the mean of its rows: leave it out"),
    ("booster", "is always `gbtree`: leave it out"),
    ("eta", "is of boosting, and a forest is a mean of trees: leave it out"),
    ("eval_metric", "is of boosting, and a forest does not end early: leave it out"),
    ("lambda", "is of boosting, and a forest's leaf is the mean of its rows: leave it out"),
    ("learning_rate", "is of boosting, and a forest is a mean of trees: leave it out"),
    ("max_features", "is named otherwise: write `colsample_bynode`, a share of the columns"),
    ("min_samples_leaf", "is named otherwise: write `min_child_weight`"),
    ("n_estimators", "is a setting of its own: write `trees` beside `params`"),
    ("n_jobs", "is a setting of its own: write `threads` beside `params`"),
    ("nthread", "is a setting of its own: write `threads` beside `params`"),
    ("num_boost_round", "is a setting of its own: write `trees` beside `params`"),
    ("num_class", "follows from the label's classes: leave it out"),
    ("num_parallel_tree", "is a setting of its own: write `trees` beside `params`"),
    ("objective", "follows from the model's task: leave it out"),
    ("random_state", "is a setting of its own: write `seed` beside `params`"),
    ("reg_alpha", "is of boosting, and a forest's leaf is the mean of its rows: leave it out"),
    ("reg_lambda", "is of boosting, and a forest's leaf is the mean of its rows: leave it out"),
    ("seed", "is a setting of its own: write `seed` beside `params`"),
    ("tree_method", "is always `hist`: leave it out, or set `max_bin`"),
];

/// Checks names and values without training.
pub(crate) fn check(settings: &recipe::Forest) -> Result<(), Error> {
    pairs(settings, &Task::Regression, 1, 1).map(|_| ())
}

impl Learner for recipe::Forest {
    fn fit(&self, request: &Request<'_>, on_round: &mut OnRound<'_>) -> Result<Fitted, Error> {
        let columns = request.train.matrix.native.len();
        let mut pairs = pairs(self, request.task, columns, request.threads)?;
        let trees = match request.rounds {
            Rounds::Search => self.trees,
            Rounds::Fixed(trees) => trees,
        };
        let data = boosted::data(request.train)?;
        let data = match request.task {
            Task::Multiclass => {
                let shares = one_hot(request.train, request.outputs);
                data.with_label_matrix(&shares, request.outputs)
                    .map_err(|error| engine("take the labels", &error))?
            }
            Task::Binary | Task::Regression => data,
        };
        let mut members = Vec::with_capacity(trees);
        let seeds = u64::try_from(trees).unwrap_or(u64::MAX).max(1);
        for tree in 0..trees {
            // No two recipes' seeds share a tree but by an overflow.
            let seed = request.seed.wrapping_mul(seeds).wrapping_add(members.len() as u64);
            pairs.retain(|(name, _)| name != "seed");
            pairs.push(("seed".to_owned(), Value::from(seed)));
            let params = TrainingParams::from_xgboost(pairs.iter().cloned())
                .map_err(|error| engine("read its parameters", &error))?;
            let trained = Trainer::new(&params, &data, 1).train();
            members.push(trained.map_err(|error| engine("train", &error))?.model);
            if on_round(share(tree + 1, trees)).is_break() {
                return Err(Error::Cancelled);
            }
        }
        let model =
            BoostedModel::average(&members).map_err(|error| engine("join its trees", &error))?;
        let bytes = boosted::encoded(&model, request.train)?;
        Ok(Booster::of(model).fitted(bytes, 0, None))
    }
}

impl Predictor for Forest {
    fn predict(&self, matrix: &Matrix) -> Result<Vec<f64>, Error> {
        let mut means = self.booster.predict(matrix)?;
        self.as_shares(&mut means);
        Ok(means)
    }

    fn predict_trees(&self, matrix: &Matrix) -> Result<Option<TreePredictions>, Error> {
        let (trees, outputs) = (self.booster.rounds(), self.booster.outputs());
        let mut values = vec![0.0; matrix.rows * trees * outputs];
        #[expect(clippy::cast_precision_loss, reason = "trees are far below 2^53")]
        let count = trees as f64;
        for tree in 0..trees {
            let leaves = self.booster.margins_of_round(matrix, tree)?;
            let cells = values.chunks_mut(outputs).skip(tree).step_by(trees);
            for (cell, leaf) in cells.zip(leaves.chunks(outputs)) {
                for (value, leaf) in cell.iter_mut().zip(leaf) {
                    *value = f64::from(*leaf) * count;
                }
                self.as_shares(cell);
            }
        }
        Ok(Some(TreePredictions { values, trees, outputs }))
    }
}

impl Forest {
    /// Takes back what rounding to single precision took shares out of [0, 1] and away from a sum of 1.
    fn as_shares(&self, values: &mut [f64]) {
        match self.task {
            Task::Regression => {}
            Task::Binary => values.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0)),
            Task::Multiclass => {
                for row in values.chunks_mut(self.booster.outputs()) {
                    row.iter_mut().for_each(|value| *value = value.clamp(0.0, 1.0));
                    let sum = row.iter().sum::<f64>();
                    row.iter_mut().for_each(|value| *value /= sum);
                }
            }
        }
    }
}

/// Whether a model's objective predicts means, as a forest's does.
pub(crate) fn fits(objective: &str) -> bool {
    objective == "reg:squarederror"
}

/// A row's class as shares of all classes, row-major.
fn one_hot(labelled: &Labelled, classes: usize) -> Vec<f32> {
    let mut shares = vec![0.0; labelled.labels.len() * classes];
    for (row, label) in shares.chunks_mut(classes).zip(&labelled.labels) {
        for (class, share) in (0_u16..).zip(row) {
            *share = f32::from(u8::from((f32::from(class) - label).abs() < 0.5));
        }
    }
    shares
}

fn pairs(
    settings: &recipe::Forest,
    task: &Task,
    columns: usize,
    threads: usize,
) -> Result<Vec<(String, Value)>, Error> {
    let mut ours = vec![
        ("objective", Value::from("reg:squarederror")),
        ("tree_method", Value::from("hist")),
        ("nthread", Value::from(threads)),
        ("eta", Value::from(1.0)),
        ("lambda", Value::from(0.0)),
        ("base_score", Value::from(0.0)),
        ("max_depth", Value::from(16)),
        ("min_child_weight", Value::from(5.0)),
        ("max_bin", Value::from(64)),
        ("subsample", Value::from(0.632)),
        ("colsample_bynode", Value::from(columns_share(task, columns))),
    ];
    if *task == Task::Multiclass {
        ours.push(("multi_strategy", Value::from("multi_output_tree")));
    }
    parameters::with(ours, &settings.params, &KNOWN, &DERIVED)
}

/// The share of the columns that a split chooses from.
#[expect(clippy::cast_precision_loss, reason = "columns are far below 2^53")]
fn columns_share(task: &Task, columns: usize) -> f64 {
    let all = columns.max(1) as f64;
    let wanted = match task {
        Task::Regression => all / 3.0,
        Task::Binary | Task::Multiclass => all.sqrt(),
    };
    // Half a column more: the crate rounds down.
    ((wanted.round().max(1.0) + 0.5) / all).min(1.0)
}
