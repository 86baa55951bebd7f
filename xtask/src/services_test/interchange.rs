//! Models from Python and back: what XGBoost trained is scored here, what was trained here by XGBoost.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::venv::{python, venv};
use super::{checking, empty_place};
use crate::house;

/// Most rows of a message that names what is off.
const SHOWN_MAX: usize = 12;

/// XGBoost, and what its script needs beside it.
pub(super) const PACKAGES: [&str; 2] = ["xgboost-cpu==3.2.0", "pandas==3.*"];

pub(super) fn check() -> Result<()> {
    let venv = venv("interchange", &PACKAGES)?;
    let place = empty_place("interchange")?;
    let script = |verb: &str| run_script(&venv, "interchange.py", &[verb.as_ref(), place.as_ref()]);
    script("make")?;
    exchange(&place, None)?;
    checking("models of XGBoost are scored as XGBoost scores them, to 1e-6", || {
        let compared = compare(&place, 1e-6)?;
        ensure!(compared.models >= 40, "only {} models were compared", compared.models);
        Ok(())
    })?;
    checking("XGBoost scores models from here as they are scored here, to 1e-6", || script("check"))
}

/// What a comparison saw.
pub(super) struct Compared {
    /// Models whose predictions are those of Python.
    pub(super) models: usize,
    /// Cases that were refused as they say.
    pub(super) refused: usize,
}

/// Runs a script of `xtask/services` in an environment, one thread to a library.
pub(super) fn run_script(venv: &Path, script: &str, arguments: &[&std::ffi::OsStr]) -> Result<()> {
    let script = house::root().join("xtask/services").join(script);
    let mut command = Command::new(python(venv));
    // Threads of OpenMP spin on busy cores.
    command.arg(&script).args(arguments).env("OMP_NUM_THREADS", "1");
    let ran = command.output().with_context(|| format!("failed to start {command:?}"))?;
    if !ran.status.success() {
        let (out, err) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        bail!("{} ends with {}:\n{out}{err}", script.display(), ran.status);
    }
    Ok(())
}

/// Has the program `exchange` do what the cases in `place` say; `runtime` is an ONNX Runtime.
pub(super) fn exchange(place: &Path, runtime: Option<&Path>) -> Result<()> {
    let mut command = Command::new(program()?);
    command.args(files(place, ".case.json")?).current_dir(place).env_remove("ORT_DYLIB_PATH");
    if let Some(runtime) = runtime {
        command.env("ORT_DYLIB_PATH", runtime);
    }
    let status = command.status().with_context(|| format!("failed to start {command:?}"))?;
    ensure!(status.success(), "exchange ends with {status}");
    Ok(())
}

/// Holds results against their cases: `expected` predictions, or an `error` that is told.
pub(super) fn compare(place: &Path, tolerance: f64) -> Result<Compared> {
    let mut compared = Compared { models: 0, refused: 0 };
    let mut wrong = Vec::new();
    for path in files(place, ".case.json")? {
        let (case, result) = (read(&path)?, read(&path.with_extension("result.json"))?);
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        match (case["error"].as_str(), result["error"].as_str()) {
            (Some(expected), Some(found)) if found.contains(expected) => compared.refused += 1,
            (Some(expected), found) => {
                wrong.push(format!("{name}: said `{}`, not `{expected}`", found.unwrap_or("")));
            }
            (None, Some(found)) => wrong.push(format!("{name}: {found}")),
            // Python reads those back.
            (None, None) if case["expected"].is_null() => {}
            (None, None) => match off(&case["expected"], &result["predictions"]) {
                Some(off) if off <= tolerance => compared.models += 1,
                Some(off) => wrong.push(format!("{name}: predictions are off by {off:.1e}")),
                None => wrong.push(format!("{name}: other predictions than there are rows")),
            },
        }
    }
    wrong.truncate(SHOWN_MAX);
    if wrong.is_empty() { Ok(compared) } else { bail!("{}", wrong.join("\n")) }
}

/// The largest difference, absolute for numbers below 1 and relative above; nothing for other lengths.
fn off(expected: &Value, found: &Value) -> Option<f64> {
    let (expected, found) = (expected.as_array()?, found.as_array()?);
    if expected.len() != found.len() {
        return None;
    }
    expected.iter().zip(found).try_fold(0.0_f64, |off, (expected, found)| {
        let (expected, found) = (expected.as_f64()?, found.as_f64()?);
        Some(off.max((expected - found).abs() / expected.abs().max(1.0)))
    })
}

fn read(path: &Path) -> Result<Value> {
    let text = fs::read(path).with_context(|| format!("failed to read {}", path.display()))?;
    serde_json::from_slice(&text).with_context(|| format!("{} is no JSON", path.display()))
}

pub(super) fn files(place: &Path, end: &str) -> Result<Vec<PathBuf>> {
    let entries =
        fs::read_dir(place).with_context(|| format!("failed to list {}", place.display()))?;
    let mut files = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>>>()?;
    files.retain(|file| file.to_string_lossy().ends_with(end));
    files.sort();
    ensure!(!files.is_empty(), "no `*{end}` in {}", place.display());
    Ok(files)
}

/// The example `exchange` of the trainers, built once.
pub(super) fn program() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BUILT.get() {
        return Ok(path.clone());
    }
    let arguments =
        ["build", "-q", "-p", "afresh-train", "--example", "exchange", "--message-format=json"];
    println!("   cargo {}", arguments.join(" "));
    let mut cargo = house::cargo();
    cargo.args(arguments).stderr(std::process::Stdio::inherit());
    let built = cargo.output().context("cargo cannot be started")?;
    ensure!(built.status.success(), "cargo {} ends with {}", arguments.join(" "), built.status);
    let lines = String::from_utf8_lossy(&built.stdout).into_owned();
    let path = lines
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|line| line["target"]["name"] == "exchange")
        .find_map(|line| line["executable"].as_str().map(PathBuf::from))
        .context("cargo built no program `exchange`")?;
    Ok(BUILT.get_or_init(|| path).clone())
}
