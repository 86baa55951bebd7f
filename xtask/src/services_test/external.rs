//! The examples of users' own trainers, with the libraries that they train with.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::venv::venv;
use super::{afresh, checking, empty_place};
use crate::house;

/// What the trainers of the examples import.
const PACKAGES: &[&str] = &["scikit-learn", "lightgbm", "pandas", "pyarrow"];
/// What each example must reach over the year, in the mean over its weeks.
const AUC_MIN: f64 = 0.66;
/// Trains and scores any task with scikit-learn's trees.
const TRAIN_ANY: &str = r#"
import json, os, joblib, pandas
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor
spec = json.load(open(os.environ["AFRESH_SPEC"]))
tree = DecisionTreeRegressor if spec["task"] == "regression" else DecisionTreeClassifier
rows = pandas.read_parquet(os.environ["AFRESH_TRAIN"])
model = tree(max_depth=4, random_state=spec["seed"])
model.fit(rows[[f["name"] for f in spec["features"]]], rows["label"], sample_weight=rows["weight"])
joblib.dump(model, os.path.join(os.environ["AFRESH_OUT"], "model.joblib"))
"#;
const PREDICT_ANY: &str = r#"
import json, os, sys, joblib, pandas
spec = json.load(open(os.environ["AFRESH_SPEC"]))
model = joblib.load(os.path.join(os.environ["AFRESH_MODEL"], "model.joblib"))
print("ready", flush=True)
for request in map(json.loads, sys.stdin):
    rows = pandas.read_parquet(request["rows"])[[f["name"] for f in spec["features"]]]
    scores = model.predict(rows) if spec["task"] == "regression" else model.predict_proba(rows)
    pandas.DataFrame(scores).to_csv(request["predictions"], index=False)
    print("done", flush=True)
"#;

pub(crate) fn run() -> Result<()> {
    let venv = venv("external", PACKAGES)?;
    for (example, model) in [("scikit-learn", "model.joblib"), ("lightgbm", "model.txt")] {
        checking(&format!("examples/{example} is checked, trained and replayed"), || {
            replayed(example, model, &venv)
        })?;
    }
    checking("examples/lightgbm continues its champion", || continued(&venv))?;
    for task in ["multiclass", "regression"] {
        checking(&format!("scikit-learn learns a {task} task"), || learned(task, &venv))?;
    }
    Ok(())
}

fn replayed(example: &str, model: &str, venv: &Path) -> Result<()> {
    let place = copied(example, |text| text)?;
    let starts = place.join("starts");
    let script = place.join("predict.py");
    let text = fs::read_to_string(&script)?;
    let count = format!("open({starts:?}, \"a\").write(\"x\")\n");
    fs::write(&script, format!("{count}{text}"))?;
    afresh_in(&place, venv, &["check"])?;
    afresh_in(&place, venv, &["retrain", "--now", "2013-07-01"])?;
    let versions = json_in(&place, venv, &["versions"])?;
    let best = &versions[0]["metrics"]["best_iteration"];
    ensure!(best.as_u64().is_some(), "no `best_iteration` in {versions}");
    let champion = place.join(".afresh/versions/flight-delay/v1").join(model);
    ensure!(champion.is_file(), "there is no {}", champion.display());
    fs::remove_file(&starts)?;
    let shown = json_in(&place, venv, &["replay", "--no-always"])?;
    let auc = shown["managed"]["metric_mean"].as_f64().context("no mean AUC")?;
    ensure!(AUC_MIN <= auc, "the mean AUC is {auc}, expected is at least {AUC_MIN}");
    let retrains = shown["managed"]["retrains"].as_u64().context("no count of retrainings")?;
    // A version is scored in its training, judged, and asked in every period that it serves.
    let (starts, trained) = (fs::metadata(&starts)?.len(), 2 * (retrains + 1));
    println!("   mean AUC {auc:.4}, {retrains} retrainings, {starts} starts of predict.py");
    ensure!(starts <= 6 * trained, "predict.py was started {starts} times");
    Ok(())
}

fn continued(venv: &Path) -> Result<()> {
    let place = copied("lightgbm", |text| {
        text.replace(
            "every = \"4 periods\"",
            "every = \"4 periods\"\nincremental = true\nincremental_rounds = 20",
        )
    })?;
    for day in ["2013-06-01", "2013-07-01"] {
        afresh_in(&place, venv, &["retrain", "--now", day, "--force"])?;
    }
    let versions = place.join(".afresh/versions/flight-delay");
    let mut warm = 0;
    for version in fs::read_dir(&versions)? {
        let manifest = version?.path().join("manifest.json");
        let Ok(text) = fs::read_to_string(&manifest) else { continue };
        let manifest: Value = serde_json::from_str(&text)?;
        warm += usize::from(manifest["warm_started_from"].is_string());
    }
    ensure!(warm > 0, "no version below {} continues another", versions.display());
    Ok(())
}

fn learned(task: &str, venv: &Path) -> Result<()> {
    let place = empty_place(&format!("external-{task}"))?;
    fs::write(place.join("train.py"), TRAIN_ANY)?;
    fs::write(place.join("predict.py"), PREDICT_ANY)?;
    let mut rows = String::from("event_time,a,b,label\n");
    for row in 0..4_000_u64 {
        let (a, b) = (row.wrapping_mul(2_654_435_761) >> 7, row.wrapping_mul(40_503) >> 3);
        let (a, b) = (a % 100, b % 10);
        let label = match (task, a + b) {
            ("regression", sum) => sum.to_string(),
            (_, 0..30) => "low".to_owned(),
            (_, 30..70) => "middle".to_owned(),
            _ => "high".to_owned(),
        };
        let day = row / 100;
        rows += &format!(
            "2026-{:02}-{:02}T{:02}:00:00Z,{a},{b},{label}\n",
            1 + day / 28,
            1 + day % 28,
            row % 24
        );
    }
    fs::write(place.join("rows.csv"), rows)?;
    let text = format!(
        "[model.m]\ntask = \"{task}\"\ndata = {{ source = \"rows.csv\", label_delay = \"1h\" }}\n\
         [model.m.train]\nengine = \"command\"\ncommand = [\"python\", \"train.py\"]\n\
         predict = [\"python\", \"predict.py\"]\n"
    );
    fs::write(place.join("afresh.toml"), text)?;
    afresh_in(&place, venv, &["retrain", "--now", "2026-02-12"])?;
    let versions = json_in(&place, venv, &["versions"])?;
    ensure!(versions[0]["gate"] != "rejected", "the only version is rejected: {versions}");
    Ok(())
}

/// A copy of an example in a directory of its own, with its data where they are.
fn copied(example: &str, change: impl Fn(String) -> String) -> Result<PathBuf> {
    let place = empty_place(&format!("external-{example}"))?;
    let from = house::root().join("examples").join(example);
    for file in ["train.py", "predict.py"] {
        fs::copy(from.join(file), place.join(file))
            .with_context(|| format!("failed to copy {file} of {example}"))?;
    }
    let data = house::root().join("examples/flights/data");
    let text = fs::read_to_string(from.join("afresh.toml"))?;
    let text = text.replace("../flights/data", &data.display().to_string());
    fs::write(place.join("afresh.toml"), change(text))?;
    Ok(place)
}

fn json_in(place: &Path, venv: &Path, arguments: &[&str]) -> Result<Value> {
    let said = afresh_in(place, venv, &[arguments, &["--json"]].concat())?;
    serde_json::from_slice(&said).with_context(|| format!("{arguments:?} printed no JSON"))
}

fn afresh_in(place: &Path, venv: &Path, arguments: &[&str]) -> Result<Vec<u8>> {
    let mut path = OsString::from(venv.join("bin"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    let output = Command::new(afresh()?)
        .args(arguments)
        .current_dir(place)
        .env("PATH", path)
        .output()
        .context("afresh cannot be started")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "afresh {}: {errors}", arguments.join(" "));
    Ok(output.stdout)
}
