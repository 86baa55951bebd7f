//! Trains boosted trees with the real XGBoost, whose library is loaded at run time.
//!
//! The calls into C are in [`library`]. A training runs in a process of its own, so a crash of the library costs that
//! training and nothing else. What it leaves is scored by Afresh itself, like every model of trees.

mod library;
mod place;

use serde_json::Value;

use self::library::{Booster as Remote, Library, Table};
use crate::boosted::{self, Booster, share};
use crate::error::Error;
use crate::learner::{Fitted, Format, OnRound, Request, Rounds};
use crate::parameters;
use crate::recipe::BoostedTrees;

pub(crate) use self::place::VARIABLES;

/// Metrics of which more is better, by XGBoost's names up to an `@` or a `-`.
const RISING: [&str; 5] = ["auc", "aucpr", "map", "ndcg", "pre"];

/// Trains with XGBoost itself.
pub(crate) fn fit(
    settings: &BoostedTrees,
    request: &Request<'_>,
    on_round: &mut OnRound<'_>,
) -> Result<Fitted, Error> {
    let Request { task, outputs, seed, threads, .. } = *request;
    let pairs = parameters::boosted(settings, task, outputs, seed, threads)?;
    let base = request.base.map(|base| boosted::base_model(base.bytes, base.rounds)).transpose()?;
    let base = base.map(Booster::of);
    let base_rounds = base.as_ref().map_or(0, Booster::rounds);
    let library = Library::open(&place::find()?)?;
    let train = Table::new(&library, request.train, threads)?;
    let (rounds, patience) = match request.rounds {
        Rounds::Search => (settings.rounds, settings.early_stopping),
        Rounds::Fixed(rounds) => (rounds, 0),
    };
    let stopping = request.stopping.filter(|_| patience > 0);
    let stopping = stopping.map(|rows| Table::new(&library, rows, threads)).transpose()?;
    let mut remote = Remote::new(&library, &train, stopping.as_ref())?;
    if let Some(base) = &base {
        let bytes = base.encode(Format::XgboostUbj);
        remote.load(&bytes.map_err(|reason| Error::WarmStart { reason })?)?;
    }
    remote.set("verbosity", "0")?;
    for (name, value) in &pairs {
        for text in texts(name, value) {
            remote.set(name, &text)?;
        }
    }
    let mut best: Option<(usize, String, f64)> = None;
    let mut last = base_rounds;
    for round in 0..rounds {
        remote.update(base_rounds + round, &train)?;
        last = base_rounds + round;
        if on_round(share(round + 1, rounds)).is_break() {
            return Err(Error::Cancelled);
        }
        let Some(stopping) = &stopping else { continue };
        let (metric, value) = last_metric(&remote.evaluate(last, stopping)?)?;
        let better = best.as_ref().is_none_or(|(_, _, least)| {
            if is_rising(&metric) { value > *least } else { value < *least }
        });
        if better {
            best = Some((last, metric, value));
        } else if best.as_ref().is_some_and(|(at, _, _)| last >= at + patience) {
            break;
        }
    }
    let keep = best.as_ref().map_or(last, |(at, _, _)| *at) + 1;
    let bytes = remote.save(if keep <= last { Some(keep) } else { None })?;
    let booster = Booster::decode(&bytes, Format::XgboostUbj, None).map_err(|reason| {
        Error::Engine { action: "read what XGBoost wrote".to_owned(), message: reason }
    })?;
    if !boosted::fits(booster.objective(), task) {
        let message = format!("its objective is `{}`", booster.objective());
        return Err(Error::Engine { action: "train with XGBoost".to_owned(), message });
    }
    let stopped_at = best.map(|(_, metric, value)| (metric, value));
    Ok(booster.fitted(bytes, base_rounds, stopped_at))
}

/// A value as XGBoost's texts; a list of metrics is set one by one.
fn texts(name: &str, value: &Value) -> Vec<String> {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Bool(truth) => u8::from(*truth).to_string(),
        Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    };
    match value {
        Value::Array(metrics) if name == "eval_metric" => metrics.iter().map(text).collect(),
        Value::Array(signs) if name == "monotone_constraints" => {
            vec![format!("({})", signs.iter().map(text).collect::<Vec<_>>().join(","))]
        }
        Value::Null
        | Value::Bool(_)
        | Value::Number(_)
        | Value::String(_)
        | Value::Array(_)
        | Value::Object(_) => vec![text(value)],
    }
}

/// The last metric of a line like `[3] stopping-auc:0.75 stopping-logloss:0.5`, with tabs between.
fn last_metric(line: &str) -> Result<(String, f64), Error> {
    let parsed = || {
        let (name, value) = line.split_whitespace().next_back()?.rsplit_once(':')?;
        let name = name.strip_prefix(library::STOPPING)?.strip_prefix('-')?;
        Some((name.to_owned(), value.parse::<f64>().ok()?))
    };
    parsed().ok_or_else(|| Error::Engine {
        action: "read XGBoost's metric".to_owned(),
        message: format!("it wrote `{line}`"),
    })
}

fn is_rising(metric: &str) -> bool {
    let stem = metric.split(['@', '-']).next().unwrap_or(metric);
    RISING.contains(&stem)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;

    use serde_json::json;

    use super::*;

    #[test]
    fn metrics_are_read_from_xgboosts_line() {
        let line = "[3]\tstopping-auc:0.75\tstopping-logloss:5.25e-1";
        assert_eq!(last_metric(line).unwrap(), ("logloss".to_owned(), 0.525));
        assert!(last_metric("[3]").unwrap_err().to_string().contains("it wrote `[3]`"));
        assert!(is_rising("ndcg@5-") && is_rising("auc") && !is_rising("mae"));
    }

    #[test]
    fn values_become_xgboosts_texts() {
        assert_eq!(texts("eval_metric", &json!(["auc", "logloss"])), ["auc", "logloss"]);
        assert_eq!(texts("monotone_constraints", &json!([1, -1])), ["(1,-1)"]);
        assert_eq!(texts("interaction_constraints", &json!([[0, 1]])), ["[[0,1]]"]);
        assert_eq!(texts("eta", &json!(0.25)), ["0.25"]);
    }

    #[test]
    fn what_is_not_xgboost_is_refused_with_its_path() {
        let told = |path: &Path| Library::open(path).unwrap_err().to_string();
        let c_library = fs::read_to_string("/proc/self/maps").unwrap();
        let c_library =
            c_library.split_whitespace().find(|word| word.contains("/libc.so")).unwrap();
        let message = told(Path::new(c_library));
        assert!(message.contains(c_library), "{message}");
        assert!(message.contains("is not XGBoost: it has no `XGBoostVersion`"), "{message}");

        let dir = tempfile::tempdir().unwrap();
        let text = dir.path().join("libxgboost.so");
        fs::write(&text, "not a library").unwrap();
        let message = told(&text);
        assert!(message.contains("libxgboost.so` is not a shared library: set"), "{message}");
        let bytes = fs::read(c_library).unwrap();
        fs::write(&text, &bytes[..bytes.len() / 2]).unwrap();
        let message = told(&text);
        assert!(message.contains("libxgboost.so` is cut off"), "{message}");
        let message = told(&dir.path().join("nothing.so"));
        assert!(message.contains("nothing.so` does not exist"), "{message}");
    }
}
