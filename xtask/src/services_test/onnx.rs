//! Models of scikit-learn, LightGBM and XGBoost in ONNX, scored by a real ONNX Runtime.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use super::interchange::{compare, exchange, files, run_script};
use super::venv::{python, venv};
use super::{afresh, checking, empty_place};
use crate::house;

/// What trains, converts and runs; versions that were seen to work together.
const PACKAGES: [&str; 8] = [
    "onnxruntime==1.32.*",
    "scikit-learn==1.9.*",
    "skl2onnx==1.20.*",
    "lightgbm==4.7.*",
    "onnxmltools==1.16.*",
    "xgboost-cpu==3.2.*",
    "pandas==3.*",
    "pyarrow==26.*",
];

pub(super) fn check() -> Result<()> {
    let venv = venv("onnx", &PACKAGES)?;
    let place = empty_place("onnx")?;
    run_script(&venv, "onnx_models.py", &[place.as_os_str()])?;
    let runtime = runtime(&venv)?;
    checking("models of three libraries are scored as Python scores them, to 1e-5", || {
        exchange(&place, Some(&runtime))?;
        let compared = compare(&place, 1e-5)?;
        ensure!(compared.models >= 20, "only {} models were compared", compared.models);
        ensure!(compared.refused >= 10, "only {} models were refused", compared.refused);
        Ok(())
    })?;
    checking("a runtime that is none is told, and what to do", || absent(&place, &runtime))?;
    checking(
        "a pipeline of scikit-learn is retrained, and its ONNX judged without `predict`",
        || example(&venv),
    )
}

/// The library within Python's package.
fn runtime(venv: &Path) -> Result<PathBuf> {
    let lib = fs::read_dir(venv.join("lib")).context("the environment has no lib")?;
    let python = lib.flatten().map(|entry| entry.path());
    let capi = python.map(|python| python.join("site-packages/onnxruntime/capi"));
    let capi = capi.into_iter().find(|capi| capi.is_dir()).context("there is no onnxruntime")?;
    let found = fs::read_dir(capi)?.flatten().map(|entry| entry.path());
    found
        .into_iter()
        .find(|path| path.to_string_lossy().contains("libonnxruntime.so"))
        .context("onnxruntime has no library")
}

/// Libraries that are missing, cut off, or another program's.
fn absent(place: &Path, runtime: &Path) -> Result<()> {
    let apart = empty_place("onnx-absent")?;
    for file in files(place, "linear.case.json")?.iter().chain(&files(place, "linear.onnx")?) {
        fs::copy(file, apart.join(file.file_name().unwrap_or_default()))?;
    }
    let bytes = fs::read(runtime)?;
    let (cut, other) = (apart.join("libonnxruntime.so"), apart.join("libother.so"));
    fs::write(&cut, &bytes[..bytes.len() / 2])?;
    fs::copy(runtime.with_file_name("libonnxruntime_providers_shared.so"), &other)?;
    for (library, told) in [
        (apart.join("none.so"), "which does not exist: set it to libonnxruntime.so"),
        (cut, "which is cut off"),
        (other, "which is not ONNX Runtime"),
    ] {
        exchange(&apart, Some(&library))?;
        let result = apart.join("linear.case.result.json");
        let result: Value = serde_json::from_slice(&fs::read(&result)?)?;
        let error = result["error"].as_str().unwrap_or("no error");
        ensure!(error.contains(told), "{}: {error}", library.display());
    }
    Ok(())
}

/// The example `examples/onnx`, whose command is the environment's Python.
fn example(venv: &Path) -> Result<()> {
    let place = empty_place("onnx-example")?;
    let source = house::root().join("examples/onnx");
    for name in ["train.py", "afresh.toml"] {
        fs::copy(source.join(name), place.join(name))?;
    }
    let data = house::root().join("examples/flights/data/flights_nyc_2013.parquet");
    let configuration = fs::read_to_string(place.join("afresh.toml"))?
        .replace("../flights/data/flights_nyc_2013.parquet", &data.display().to_string())
        .replace("\"python3\"", &format!("\"{}\"", python(venv).display()));
    fs::write(place.join("afresh.toml"), configuration)?;
    let run = |arguments: &[&str]| -> Result<String> {
        let mut command = Command::new(afresh()?);
        command.args(arguments).current_dir(&place).env_remove("ORT_DYLIB_PATH");
        let ran = command.output().with_context(|| format!("failed to start {command:?}"))?;
        let (out, err) =
            (String::from_utf8_lossy(&ran.stdout), String::from_utf8_lossy(&ran.stderr));
        ensure!(ran.status.success(), "afresh {} fails:\n{out}{err}", arguments.join(" "));
        Ok(out.into_owned())
    };
    run(&["retrain", "--now", "2013-06-01"])?;
    let versions = run(&["versions", "--json"])?;
    let judged = versions.contains("\"gate\": \"passed\"");
    ensure!(judged, "no version passed its gate: {versions}");
    Ok(())
}
