//! The domain classifier: a boosted model that tells two windows of rows apart, whose out-of-fold AUC
//! measures drift of the whole row, also where no single column moved (Lopez-Paz & Oquab, *Revisiting
//! classifier two-sample tests*, ICLR 2017; Rabanser et al., *Failing loudly*, NeurIPS 2019).

use std::collections::HashMap;
use std::ops::ControlFlow;

use afresh_core::time::Timestamp;
use afresh_data::rows::{Column, MISSING, Rows, Values};
use afresh_data::schema::{Feature, Kind, Schema, Task};
use afresh_ml::metrics::{self, Metric};
use afresh_ml::rng::Rng;
use serde::Serialize;
use serde_json::json;

use crate::boosted::Booster;
use crate::encoding::Encodings;
use crate::error::Error;
use crate::learner::{Labelled, Learner, Predictor, Request, Rounds};
use crate::recipe::{BoostedTrees, Categories};

/// Every row is predicted by a model that did not see it.
const FOLDS: usize = 3;

/// Shallow trees and few rounds: the question is whether there is a difference, not its last digit.
const ROUNDS: usize = 40;

/// Rows that one side needs at least, so that every fold has some.
pub const ROWS_MIN: usize = 30;

/// How well two windows are told apart.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ToldApart {
    /// Out-of-fold AUC: 0.5 is by chance, 1 without fail.
    pub auc: f64,
    /// Rows of both windows.
    pub rows: usize,
    /// Share of each column in the gain, the largest first; those that were of use.
    pub importance: Vec<ColumnShare>,
}

/// A column and its share.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnShare {
    /// The column.
    pub name: String,
    /// In (0, 1].
    pub share: f64,
}

/// Trains on rows of both windows; the columns are the same ones in the same order. `None` where a
/// window has fewer than [`ROWS_MIN`] rows. One thread; the same seed gives the same answer.
///
/// # Errors
/// Names a column that differs in kind or length, or is infinite.
pub fn tell_apart(
    reference: &[Column],
    current: &[Column],
    seed: u64,
) -> Result<Option<ToldApart>, Error> {
    let (before, after) = (rows_of(reference), rows_of(current));
    if reference.is_empty() || before.min(after) < ROWS_MIN {
        return Ok(None);
    }
    let columns = reference.iter().zip(current).map(|(a, b)| joined(a, b));
    let columns = columns.collect::<Result<Vec<_>, _>>()?;
    let labels = std::iter::repeat_n(0.0, before).chain(std::iter::repeat_n(1.0, after));
    let rows = rows(columns, labels.collect());
    let schema = schema(&rows);
    let encodings = Encodings::learn(&schema, &rows, Categories::Codes)?;
    // The first fold, the second, … in turn, of rows in random order: as many of either side in each.
    let mut rng = Rng::new(seed);
    let mut fold = vec![0; rows.len()];
    for side in [0..before, before..rows.len()] {
        let mut order = side.collect::<Vec<_>>();
        for at in (1..order.len()).rev() {
            order.swap(at, rng.below(at + 1));
        }
        order.iter().enumerate().for_each(|(at, row)| fold[*row] = at % FOLDS);
    }
    let learner = BoostedTrees {
        params: [("max_depth", json!(4)), ("eta", json!(0.2)), ("min_child_weight", json!(5))]
            .map(|(name, value)| (name.to_owned(), value))
            .into(),
        rounds: ROUNDS,
        ..BoostedTrees::default()
    };
    let mut predictions = vec![0.0; rows.len()];
    let mut gains = vec![0.0; schema.features.len()];
    for held_out in 0..FOLDS {
        let within = |wanted: bool| {
            (0..rows.len()).filter(|row| (fold[*row] == held_out) == wanted).collect::<Vec<_>>()
        };
        let judged = within(true);
        let train = Labelled::new(&rows.select(&within(false)), &encodings)?;
        let request = Request {
            task: &Task::Binary,
            outputs: 1,
            train: &train,
            stopping: None,
            seed,
            threads: 1,
            rounds: Rounds::Fixed(ROUNDS),
            base: None,
        };
        let fitted = learner.fit(&request, &mut |_share| ControlFlow::Continue(()))?;
        let unusable =
            |reason| Error::Engine { action: "read the classifier".into(), message: reason };
        let booster = Booster::decode(&fitted.bytes, fitted.format, None).map_err(unusable)?;
        let found = booster.predict(&encodings.encode(&rows.select(&judged))?)?;
        judged.iter().zip(found).for_each(|(row, prediction)| predictions[*row] = prediction);
        gains.iter_mut().zip(&fitted.importance).for_each(|(sum, gain)| *sum += gain);
    }
    let auc = Metric::Auc.value(metrics::Task::Binary, &rows.label, &predictions);
    let total = gains.iter().sum::<f64>();
    let mut importance = schema
        .features
        .into_iter()
        .zip(gains)
        .filter(|(_, gain)| *gain > 0.0)
        .map(|(feature, gain)| ColumnShare { name: feature.name, share: gain / total })
        .collect::<Vec<_>>();
    importance.sort_by(|a, b| b.share.total_cmp(&a.share));
    Ok(auc.map(|auc| ToldApart { auc, rows: rows.len(), importance }))
}

fn rows_of(columns: &[Column]) -> usize {
    columns.first().map_or(0, |column| match &column.values {
        Values::Numeric(values) => values.len(),
        Values::Categorical { codes, .. } => codes.len(),
    })
}

/// The values of both windows, one after the other, under one dictionary.
fn joined(reference: &Column, current: &Column) -> Result<Column, Error> {
    let values = match (&reference.values, &current.values) {
        (Values::Numeric(a), Values::Numeric(b)) => {
            Values::Numeric(a.iter().chain(b).copied().collect())
        }
        (
            Values::Categorical { codes: a, names },
            Values::Categorical { codes: b, names: others },
        ) => {
            let mut names = names.clone();
            let mut known = (0_u32..)
                .zip(&names)
                .map(|(code, name)| (name.clone(), code))
                .collect::<HashMap<_, _>>();
            let translated = others.iter().map(|name| {
                *known.entry(name.clone()).or_insert_with(|| {
                    names.push(name.clone());
                    u32::try_from(names.len() - 1).unwrap_or(MISSING)
                })
            });
            let translated = translated.collect::<Vec<_>>();
            let b = b.iter().map(|code| translated.get(*code as usize).copied().unwrap_or(MISSING));
            Values::Categorical { codes: a.iter().copied().chain(b).collect(), names }
        }
        (Values::Numeric(_), Values::Categorical { .. }) => {
            return Err(retyped(&reference.name, "numeric", "categorical"));
        }
        (Values::Categorical { .. }, Values::Numeric(_)) => {
            return Err(retyped(&reference.name, "categorical", "numeric"));
        }
    };
    Ok(Column { name: reference.name.clone(), values })
}

fn retyped(column: &str, expected: &str, found: &str) -> Error {
    Error::ColumnRetyped {
        column: column.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    }
}

fn rows(columns: Vec<Column>, label: Vec<f64>) -> Rows {
    let count = label.len();
    Rows {
        key: vec![0; count],
        event_time: vec![Timestamp(0); count],
        available_at: vec![None; count],
        label,
        weight: vec![1.0; count],
        columns,
    }
}

fn schema(rows: &Rows) -> Schema {
    let feature = |column: &Column| Feature {
        name: column.name.clone(),
        kind: match column.values {
            Values::Numeric(_) => Kind::Numeric,
            Values::Categorical { .. } => Kind::Categorical,
        },
    };
    let classes = vec!["reference".to_owned(), "current".to_owned()];
    Schema { task: Task::Binary, features: rows.columns.iter().map(feature).collect(), classes }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{categorical, numeric};

    /// Knuth's generator; the figures below come from the same numbers drawn in Python.
    fn sample(seed: u64, rows: usize, shift: f64, scale: f64) -> Vec<f64> {
        let mut state = seed;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (state >> 11) as f64 / (1_u64 << 53) as f64
        };
        let mut bell = || uniform() + uniform() + uniform();
        (0..rows).map(|_| bell() * scale + shift).collect()
    }

    fn auc(reference: &[Column], current: &[Column]) -> f64 {
        tell_apart(reference, current, 7).unwrap().unwrap().auc
    }

    /// The same question put to scikit-learn 1.9.1: `HistGradientBoostingClassifier(max_iter=40,
    /// learning_rate=0.2, max_depth=4, early_stopping=False)` through `cross_val_predict` with
    /// `StratifiedKFold(3, shuffle=True, random_state=0)`, `roc_auc_score`; the mean
    /// of ten shuffles, whose standard deviations are .007, .006, .002 and .001.
    #[test]
    fn windows_are_told_apart_as_by_scikit_learn() {
        let rows = 2_000;
        let columns = |first: u64, shift: f64, scale: f64| {
            vec![
                numeric("a", &sample(first, rows, shift, scale)),
                numeric("b", &sample(first + 1, rows, 0.0, 1.0)),
                numeric("c", &sample(first + 2, rows, 0.0, scale)),
            ]
        };
        for (shift, scale, expected, tolerance) in [
            (0.0, 1.0, 0.497_6, 0.02),
            (0.3, 1.0, 0.623_1, 0.02),
            (0.0, 1.3, 0.775_8, 0.01),
            (1.0, 1.0, 0.908_5, 0.01),
        ] {
            let found = auc(&columns(101, 0.0, 1.0), &columns(201, shift, scale));
            assert!(
                (found - expected).abs() <= tolerance,
                "{shift} {scale}: {found}, not {expected}"
            );
        }
    }

    /// Two columns that keep their own distributions and swap their relation.
    #[test]
    fn a_relation_that_turns_is_seen_where_no_column_moved() {
        let (x, noise) = (sample(1, 1_500, -1.5, 1.0), sample(2, 1_500, -1.5, 0.2));
        let y = |sign: f64| x.iter().zip(&noise).map(|(x, n)| sign * x + n).collect::<Vec<_>>();
        let reference = vec![numeric("x", &x), numeric("y", &y(1.0))];
        let current = vec![numeric("x", &x), numeric("y", &y(-1.0))];
        assert!(auc(&reference, &current) > 0.9);
    }

    #[test]
    fn categories_are_matched_by_name_and_the_column_that_moved_is_named() {
        let many = |first: &'static str, second: &'static str| {
            (0..600).map(|at| if at % 4 == 0 { first } else { second }).collect::<Vec<_>>()
        };
        let table = |seed: u64, values: &[&str], names: &[&str]| {
            vec![numeric("flat", &sample(seed, 600, 0.0, 1.0)), categorical("plan", values, names)]
        };
        let before = table(3, &many("a", "b"), &["a", "b"]);
        // The same shares under a dictionary in another order.
        let same = table(4, &many("a", "b"), &["b", "a"]);
        let same = tell_apart(&before, &same, 7).unwrap().unwrap();
        assert!((same.auc - 0.5).abs() < 0.1, "{same:?}");
        let other = table(4, &many("b", "c"), &["c", "b"]);
        let moved = tell_apart(&before, &other, 7).unwrap().unwrap();
        assert!(moved.auc > 0.8 && moved.importance[0].name == "plan", "{moved:?}");
        assert_eq!(moved, tell_apart(&before, &other, 7).unwrap().unwrap());
    }

    #[test]
    fn too_few_rows_say_nothing_and_other_kinds_are_refused() {
        let few = vec![numeric("x", &[1.0; ROWS_MIN - 1])];
        let enough = vec![numeric("x", &[1.0; ROWS_MIN])];
        assert_eq!(tell_apart(&few, &enough, 7), Ok(None));
        assert_eq!(tell_apart(&[], &[], 7), Ok(None));
        let found = tell_apart(&enough, &enough, 7).unwrap().unwrap();
        assert!((found.auc - 0.5).abs() < 1e-12 && found.importance.is_empty(), "{found:?}");
        let text = vec![categorical("x", &["a"; ROWS_MIN], &["a"])];
        let error = tell_apart(&enough, &text, 7).unwrap_err().to_string();
        assert!(error.contains("column `x` is categorical"), "{error}");
    }
}
