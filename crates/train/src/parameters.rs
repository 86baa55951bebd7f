//! Names and values of engines' parameters: checked before a training, with near names for a slip.

use std::collections::BTreeMap;

use afresh_data::schema::Task;
use hessboost::config::TrainingParams;
use serde_json::Value;

use crate::error::Error;
use crate::recipe::BoostedTrees;

/// XGBoost's names of the parameters that can be set.
const BOOSTED: [&str; 27] = [
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

/// What boosted trees are trained with: the recipe's settings, those that follow from the task, and the
/// defaults that differ from XGBoost's.
pub(crate) fn boosted(
    settings: &BoostedTrees,
    task: &Task,
    outputs: usize,
    seed: u64,
    threads: usize,
) -> Result<Vec<(String, Value)>, Error> {
    let mut ours = vec![
        ("objective", Value::from(objective(task))),
        ("seed", Value::from(seed)),
        ("nthread", Value::from(threads)),
    ];
    if *task == Task::Multiclass {
        ours.push(("num_class", Value::from(outputs)));
    }
    let is_set = |names: &[&str]| names.iter().any(|name| settings.params.contains_key(*name));
    if !is_set(&["eta", "learning_rate"]) {
        ours.push(("eta", Value::from(0.1)));
    }
    if !is_set(&["tree_method"]) {
        ours.push(("tree_method", Value::from("hist")));
    }
    if settings.params.get("booster").is_some_and(|value| value != "gbtree") {
        return Err(refused("booster", "must be `gbtree`"));
    }
    with(ours, &settings.params, &BOOSTED, &DERIVED)
}

/// `ours` with the recipe's `params`, each of which must be `known` and of a value that the engine takes.
#[expect(clippy::needless_pass_by_value, reason = "they become part of what is made")]
pub(crate) fn with(
    ours: Vec<(&str, Value)>,
    params: &BTreeMap<String, Value>,
    known: &[&str],
    derived: &[(&str, &str)],
) -> Result<Vec<(String, Value)>, Error> {
    let owned = |(name, value): (&str, Value)| (name.to_owned(), value);
    let mut pairs = ours.iter().cloned().map(owned).collect::<Vec<_>>();
    for (name, value) in params {
        check_name(name, known, derived)?;
        pairs.retain(|(set, _)| set != name);
        pairs.push((name.clone(), value.clone()));
        // Alone with what it rests on first, so that an error names its parameter.
        let alone = ours.iter().cloned().chain([(name.as_str(), value.clone())]);
        let alone = alone.collect::<BTreeMap<_, _>>();
        if let Err(error) = TrainingParams::from_xgboost(alone) {
            return Err(refused(name, &format!("is refused: {error}")));
        }
    }
    Ok(pairs)
}

/// Refuses a name that follows from something else, or that is not `known`.
pub(crate) fn check_name(
    name: &str,
    known: &[&str],
    derived: &[(&str, &str)],
) -> Result<(), Error> {
    if let Some((_, reason)) = derived.iter().find(|(derived, _)| *derived == name) {
        return Err(refused(name, reason));
    }
    if known.contains(&name) {
        return Ok(());
    }
    Err(Error::UnknownParameter { name: name.to_owned(), near: near(name, known) })
}

pub(crate) fn refused(name: &str, reason: &str) -> Error {
    Error::Parameter { name: name.to_owned(), reason: reason.to_owned() }
}

/// XGBoost's objective that predicts what `task` asks for.
fn objective(task: &Task) -> &'static str {
    match task {
        Task::Binary => "binary:logistic",
        Task::Multiclass => "multi:softprob",
        Task::Regression => "reg:squarederror",
    }
}

/// At most three known names that look like `name`, nearest first.
fn near(name: &str, known: &[&str]) -> Vec<String> {
    let mut names = known
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
