//! `library = "system"`: the real XGBoost, found where Python has it, trains as Python trains with it.

use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::interchange::{PACKAGES, compare, files, program, run_script};
use super::venv::venv;
use super::{afresh, checking, empty_place};
use crate::house;

/// Names the library.
const VARIABLE: &str = "XGBOOST_LIB";

pub(super) fn check() -> Result<()> {
    let venv = venv("interchange", &PACKAGES)?;
    let place = empty_place("xgboost")?;
    let library = library(&venv)?;
    let script = |verb: &str| run_script(&venv, "interchange.py", &[verb.as_ref(), place.as_ref()]);
    script("system")?;
    checking("XGBoost trains the same trees from here as from Python, to 1e-6", || {
        exchange(&place, &venv, None)?;
        let compared = compare(&place, 1e-6)?;
        ensure!(compared.models >= 12, "only {} models were compared", compared.models);
        script("check")
    })?;
    checking("the suite of all trainers holds for XGBoost", || conformance(&library))?;
    checking("what is not XGBoost is told, and what to do", || refused(&place, &venv, &library))?;
    checking("a model is retrained by XGBoost, or says why not", || retrained(&venv))
}

/// The library within Python's package.
fn library(venv: &Path) -> Result<PathBuf> {
    let file = packages(venv)?.join("xgboost/lib/libxgboost.so");
    ensure!(file.is_file(), "{} is not there", file.display());
    Ok(file)
}

fn packages(venv: &Path) -> Result<PathBuf> {
    let lib = fs::read_dir(venv.join("lib")).context("the environment has no lib")?;
    let found = lib.flatten().map(|entry| entry.path().join("site-packages"));
    found.into_iter().find(|found| found.is_dir()).context("the environment has no packages")
}

/// A library of the same environment that is another's.
fn other(venv: &Path) -> Result<PathBuf> {
    let beside = fs::read_dir(packages(venv)?.join("xgboost_cpu.libs"))?;
    let mut found = beside.flatten().map(|entry| entry.path());
    found.find(|path| path.to_string_lossy().contains(".so")).context("XGBoost has no neighbour")
}

/// `command` with the environment's Python as the first, and the library if it is named.
fn within(command: &mut Command, venv: &Path, library: Option<&Path>) -> Result<Output> {
    let mut path = OsString::from(venv.join("bin"));
    path.push(":");
    path.push(std::env::var_os("PATH").unwrap_or_default());
    command.env("PATH", path).env("OMP_NUM_THREADS", "1").env_remove(VARIABLE);
    command.envs(library.map(|library| (VARIABLE, library)));
    command.output().with_context(|| format!("failed to start {command:?}"))
}

fn exchange(place: &Path, venv: &Path, library: Option<&Path>) -> Result<()> {
    let mut command = Command::new(program()?);
    command.args(files(place, ".case.json")?);
    let output = within(&mut command, venv, library)?;
    ensure!(output.status.success(), "exchange: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn conformance(library: &Path) -> Result<()> {
    let arguments = ["test", "--quiet", "--package", "afresh-train", "--lib"];
    let mut cargo = house::cargo();
    cargo.args(arguments).args(["--features", "system-tests", "conformance::system_xgboost"]);
    cargo.env(VARIABLE, library).env("OMP_NUM_THREADS", "1");
    let output = cargo.output().context("cargo cannot be started")?;
    let (said, errors) =
        (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{said}{errors}");
    ensure!(said.contains("14 passed"), "not all tests of the suite ran: {said}");
    Ok(())
}

/// Files that are missing, cut off, or another program's library.
fn refused(place: &Path, venv: &Path, library: &Path) -> Result<()> {
    let apart = empty_place("xgboost-refused")?;
    let case = "system-binary-codes.case.json";
    fs::copy(place.join(case), apart.join(case)).context("failed to copy a case")?;
    let bytes = fs::read(library)?;
    let cut = apart.join("libxgboost.so");
    fs::write(&cut, &bytes[..bytes.len() / 2])?;
    for (library, told) in [
        (apart.join("none.so"), "does not exist: set XGBOOST_LIB"),
        (cut, "is cut off"),
        (other(venv)?, "is not XGBoost: it has no `XGBoostVersion`"),
    ] {
        exchange(&apart, venv, Some(&library))?;
        let result = fs::read(apart.join("system-binary-codes.case.result.json"))?;
        let result: Value = serde_json::from_slice(&result)?;
        let error = result["error"].as_str().unwrap_or("no error");
        let named = error.contains(&library.display().to_string());
        ensure!(named && error.contains(told), "{}: {error}", library.display());
    }
    Ok(())
}

/// Through the whole of a retraining, whose child process looks for the library beside Python.
fn retrained(venv: &Path) -> Result<()> {
    let place = empty_place("xgboost-retrained")?;
    let rows = house::root().join("examples/flights/data/flights_nyc_2013.parquet");
    let text = format!(
        "[model.delay.data]\nsource = {rows:?}\nid = \"event_id\"\nlabel_time = \"label_time\"\n\
         positive = 1\nwindow = \"28d\"\n[model.delay.train]\nlibrary = \"system\"\nrounds = 10\n\
         early_stopping = 0\n"
    );
    fs::write(place.join("afresh.toml"), text)?;
    let program = afresh()?;
    let run = |arguments: &[&str], library: Option<&Path>| -> Result<(bool, String)> {
        let mut command = Command::new(&program);
        command.args(arguments).arg("--json").current_dir(&place);
        let output = within(&mut command, venv, library)?;
        let said = [output.stdout, output.stderr].concat();
        Ok((output.status.success(), String::from_utf8_lossy(&said).into_owned()))
    };
    let other = other(venv)?;
    let (good, said) = run(&["retrain", "--now", "2013-04-01"], Some(&other))?;
    ensure!(!good && said.contains("is not XGBoost"), "it was taken for XGBoost: {said}");
    let (good, said) = run(&["retrain", "--now", "2013-05-01", "--force"], None)?;
    ensure!(good, "the retraining fails: {said}");
    let (_, versions) = run(&["versions"], None)?;
    let versions: Value = serde_json::from_str(&versions).context("versions are no JSON")?;
    ensure!(versions.as_array().is_some_and(|all| !all.is_empty()), "{versions}");
    Ok(())
}
