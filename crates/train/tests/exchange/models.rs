//! Golden models from and for XGBoost in Python; `tests/golden/README.md` says how they were made.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tempfile::TempDir;

#[path = "../../examples/exchange.rs"]
#[expect(dead_code, reason = "its `main` is for other programs")]
mod exchange;

/// How far a prediction or a number of a model may be off, absolutely and relative to its size.
const TOLERANCE: f64 = 1e-6;

/// The golden cases whose names begin so.
fn cases(start: &str) -> Vec<PathBuf> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/interchange");
    let paths = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let named = |path: &PathBuf, end: &str| {
        let name = path.file_name().unwrap().to_str().unwrap();
        name.starts_with(start) && name.ends_with(end)
    };
    let mut cases = paths.filter(|path| named(path, ".case.json")).collect::<Vec<_>>();
    cases.sort();
    cases
}

/// Does what a case says in `dir` and compares the predictions with those of Python.
fn run(dir: &TempDir, case: &Path) {
    let text = fs::read_to_string(case).unwrap();
    let content: Value = serde_json::from_str(&text).unwrap();
    let place = dir.path().join(case.file_name().unwrap());
    fs::write(&place, &text).unwrap();
    if let Some(file) = content["foreign"]["file"].as_str() {
        fs::copy(case.with_file_name(file), place.with_file_name(file)).unwrap();
    }
    let found = exchange::run(&place).unwrap();
    assert!(near(&found["predictions"], &content["expected"]), "{}", case.display());
}

/// Whether two values are the same but for the last digits of their numbers.
fn near(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => {
            let (a, b) = (a.as_f64().unwrap(), b.as_f64().unwrap());
            (a - b).abs() <= TOLERANCE * b.abs().max(1.0)
        }
        (Value::Array(a), Value::Array(b)) => {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| near(a, b))
        }
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| near(a, b)))
        }
        // XGBoost writes some numbers as texts.
        (Value::String(a), Value::String(b)) => match (a.parse::<f64>(), b.parse::<f64>()) {
            (Ok(a), Ok(b)) => near(&a.into(), &b.into()),
            _ => a == b,
        },
        (a, b) => a == b,
    }
}

#[test]
fn forests_frames_and_one_hot_splits_of_xgboost_are_read() {
    let dir = TempDir::new().unwrap();
    let cases = cases("theirs-");
    assert_eq!(cases.len(), 6);
    for case in cases {
        run(&dir, &case);
    }
}

#[test]
fn models_are_written_as_xgboost_was_seen_to_read_them() {
    let dir = TempDir::new().unwrap();
    let cases = cases("ours-");
    assert_eq!(cases.len(), 3);
    for case in cases {
        run(&dir, &case);
        let name = case.file_name().unwrap().to_str().unwrap().replace(".case.", ".exported.");
        let read = |path: &Path| -> Value {
            serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
        };
        let (written, golden) = (dir.path().join(&name), case.with_file_name(&name));
        assert!(near(&read(&written), &read(&golden)), "{name}");
    }
}
