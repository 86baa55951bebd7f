//! Linear and logistic regression: the model, its file and its parameters.
//!
//! Minimised is, with rows weighted by w of sum W, the loss l (half the squared error, logistic, or softmax) and the
//! coefficients b of standardised columns, intercepts excepted,
//! `Σ w·l / W + alpha · (l1_ratio · Σ|b| + (1 − l1_ratio) / 2 · Σ b²)`:
//! scikit-learn's `ElasticNet(alpha, l1_ratio)`, glmnet's `lambda` and `alpha`, and scikit-learn's
//! `LogisticRegression` with `C = 1 / (alpha · W)`; a `Ridge` has W times this `alpha`.
//!
//! A number becomes one column of mean 0 and standard deviation 1 over the training rows, where a missing value is the
//! mean, and one that says whether it was missing. A category becomes a column each for the most frequent ones, one
//! for the rest, and one for missing and new ones.
//!
//! | parameter | default | what |
//! |---|---|---|
//! | `alpha` | 1e-4 | strength of the penalty; 0 is none |
//! | `l1_ratio` | 0 | share of it that is L1, which makes coefficients zero |
//! | `path` | false | tries 25 strengths from 1,000 × `alpha` down to a thousandth, keeps the best on the early-stopping rows |
//! | `tolerance` | 1e-6 | ends when no part of the gradient is larger; labels of a regression count in standard deviations |
//! | `iterations` | 1000 | ends at the latest then |
//! | `categories_max` | 100 | most columns of a categorical feature |
//! | `category_rows` | 10 | fewest rows of a category with a column of its own |
//!
//! The file, `model.linear.json`: `version` 1; `link` (`identity`, `logistic`, `softmax`); `features` in the order of the
//! schema, `{"numeric": {"mean", "deviation", "missing"}}` or `{"categories": {"own", "rest", "missing"}}`, where `own`
//! holds positions among the sorted categories; `intercepts` by output; `coefficients` by output, then column, the
//! columns of a feature in the order told above; `precisions`, as many and the intercept's last, which say how firmly
//! the rows so far have settled a coefficient.
//!
//! A champion is continued by taking it for what is known before the new rows are seen: instead of `alpha`, every
//! coefficient is held to its old value by its precision (Chapelle & Li 2011, algorithm 3: a Gaussian with the diagonal
//! of the Laplace approximation). Columns, means and deviations stay the champion's.

use afresh_data::schema::Task;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::encoding::Matrix;
use crate::error::Error;
use crate::learner::Predictor;
use crate::linear_design::{Design, Parameters};
use crate::parameters;
use crate::recipe;

/// A linear model.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Linear {
    pub(crate) version: u32,
    pub(crate) link: Link,
    #[serde(rename = "features")]
    pub(crate) design: Design,
    /// By output.
    pub(crate) intercepts: Vec<f64>,
    /// By output, then column.
    pub(crate) coefficients: Vec<Vec<f64>>,
    /// By output, then column, the intercept last: sums over all rows so far of the loss's second derivative, and the
    /// penalty's.
    pub(crate) precisions: Vec<Vec<f64>>,
}

/// From a sum to a prediction.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Link {
    Identity,
    Logistic,
    Softmax,
}

/// Checked parameters.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Settings {
    pub(crate) alpha: f64,
    pub(crate) l1_ratio: f64,
    pub(crate) path: bool,
    pub(crate) tolerance: f64,
    pub(crate) iterations: usize,
    pub(crate) categories_max: usize,
    pub(crate) category_rows: usize,
}

const KNOWN: [&str; 7] =
    ["alpha", "categories_max", "category_rows", "iterations", "l1_ratio", "path", "tolerance"];

const DERIVED: [(&str, &str); 9] = [
    ("C", "is named otherwise: write `alpha`, which is 1 / (C · rows)"),
    ("lambda", "is named otherwise: write `alpha`"),
    ("l1", "is named otherwise: write `alpha` and `l1_ratio`"),
    ("l2", "is named otherwise: write `alpha` and `l1_ratio`"),
    ("max_iter", "is named otherwise: write `iterations`"),
    ("penalty", "is named otherwise: write `l1_ratio`, 0 for L2 and 1 for L1"),
    ("tol", "is named otherwise: write `tolerance`"),
    ("seed", "is a setting of its own: write `seed` beside `params`"),
    ("random_state", "is a setting of its own: write `seed` beside `params`"),
];

/// Version of the file that this program writes.
pub(crate) const VERSION: u32 = 1;

/// Checks names and values without training.
pub(crate) fn check(settings: &recipe::Linear) -> Result<(), Error> {
    Settings::of(settings).map(|_| ())
}

impl Settings {
    pub(crate) fn of(recipe: &recipe::Linear) -> Result<Settings, Error> {
        for name in recipe.params.keys() {
            parameters::check_name(name, &KNOWN, &DERIVED)?;
        }
        let get = |name: &str| recipe.params.get(name);
        let number = |name: &str, default: f64, most: f64| match get(name) {
            None => Ok(default),
            Some(value) => {
                value.as_f64().filter(|number| (0.0..=most).contains(number)).ok_or_else(|| {
                    let range = if most < f64::MAX { "a number from 0 to 1" } else { "0 or more" };
                    parameters::refused(name, &format!("is {value}: write {range}"))
                })
            }
        };
        let count = |name: &str, default: usize| match get(name) {
            None => Ok(default),
            Some(value) => value
                .as_u64()
                .and_then(|count| usize::try_from(count).ok())
                .filter(|count| *count > 0)
                .ok_or_else(|| {
                    let reason = format!("is {value}: write a whole number of at least 1");
                    parameters::refused(name, &reason)
                }),
        };
        let path = match get("path") {
            None => false,
            Some(Value::Bool(path)) => *path,
            Some(value) => {
                let reason = format!("is {value}: write `true` or `false`");
                return Err(parameters::refused("path", &reason));
            }
        };
        let alpha = number("alpha", 1e-4, f64::MAX)?;
        if path && alpha <= 0.0 {
            return Err(parameters::refused(
                "alpha",
                "is 0, of which a path has no multiples: write the middle of the path",
            ));
        }
        Ok(Settings {
            alpha,
            l1_ratio: number("l1_ratio", 0.0, 1.0)?,
            path,
            tolerance: number("tolerance", 1e-6, f64::MAX)?,
            iterations: count("iterations", 1_000)?,
            categories_max: count("categories_max", 100)?,
            category_rows: count("category_rows", 10)?,
        })
    }
}

impl Link {
    pub(crate) fn of(task: &Task) -> Link {
        match task {
            Task::Binary => Link::Logistic,
            Task::Multiclass => Link::Softmax,
            Task::Regression => Link::Identity,
        }
    }

    /// Turns the sums of one row into its prediction.
    pub(crate) fn apply(self, sums: &mut [f64]) {
        match self {
            Link::Identity => {}
            Link::Logistic => sums.iter_mut().for_each(|sum| *sum = logistic(*sum)),
            Link::Softmax => {
                let most = sums.iter().copied().fold(f64::NEG_INFINITY, f64::max);
                sums.iter_mut().for_each(|sum| *sum = (*sum - most).exp());
                let total = sums.iter().sum::<f64>();
                sums.iter_mut().for_each(|sum| *sum /= total);
            }
        }
    }
}

impl Linear {
    /// Reads the file of a model with `features` features and `outputs` outputs for `task`.
    pub(crate) fn decode(
        bytes: &[u8],
        task: &Task,
        features: usize,
        outputs: usize,
    ) -> Result<Linear, String> {
        let model: Linear = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
        if model.version > VERSION {
            return Err(format!("it has version {}, known is up to {VERSION}", model.version));
        }
        if model.link != Link::of(task) {
            return Err(format!("its link {:?} does not predict a {task:?} task", model.link));
        }
        let found = model.design.0.len();
        if found != features {
            return Err(format!("it takes {found} features, the schema has {features}"));
        }
        let columns = model.design.columns();
        let fits = |all: &[Vec<f64>], columns: usize| {
            all.len() == outputs && all.iter().all(|output| output.len() == columns)
        };
        if model.intercepts.len() != outputs
            || !fits(&model.coefficients, columns)
            || !fits(&model.precisions, columns + 1)
        {
            return Err(format!("it does not hold {outputs} × {columns} coefficients"));
        }
        Ok(model)
    }

    /// By feature: the sum over its columns and all outputs of |coefficient| × the column's standard deviation.
    pub(crate) fn importance(&self, deviations: &[f64]) -> Vec<f64> {
        let mut importance = vec![0.0; self.design.0.len()];
        for coefficients in &self.coefficients {
            let mut columns = coefficients.iter().zip(deviations);
            for (place, feature) in importance.iter_mut().zip(&self.design.0) {
                let own = columns.by_ref().take(feature.columns());
                *place += own.map(|(coefficient, by)| coefficient.abs() * by).sum::<f64>();
            }
        }
        importance
    }

    /// Intercepts and coefficients as one list: by output, the columns and then the intercept.
    pub(crate) fn parameters(&self) -> Vec<f64> {
        let outputs = self.coefficients.iter().zip(&self.intercepts);
        outputs
            .flat_map(|(columns, intercept)| columns.iter().chain([intercept]))
            .copied()
            .collect()
    }
}

impl Predictor for Linear {
    fn predict(&self, matrix: &Matrix) -> Result<Vec<f64>, Error> {
        let rows = self.design.expand(matrix);
        let parameters = self.parameters();
        let parameters = Parameters::of(&rows, &parameters, self.intercepts.len());
        let mut predictions = vec![0.0; matrix.rows * self.intercepts.len()];
        for (row, sums) in predictions.chunks_mut(self.intercepts.len()).enumerate() {
            parameters.sums(&rows, row, sums);
            self.link.apply(sums);
        }
        Ok(predictions)
    }
}

/// 1 / (1 + e⁻ˣ), without overflow.
pub(crate) fn logistic(x: f64) -> f64 {
    let tail = (-x.abs()).exp();
    if x >= 0.0 { 1.0 / (1.0 + tail) } else { tail / (1.0 + tail) }
}
