//! Tests against real servers and real Python libraries, which the ordinary tests do without.
//!
//! One file per area. An area's servers run on the loopback for as long as the area does.

mod external;
mod http;
mod interchange;
mod onnx;
mod proxy;
mod s3;
mod server;
pub(crate) mod venv;
mod xgboost;

use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};

use crate::house;

/// What is tested together: its name, and what it does.
struct Area {
    name: &'static str,
    what: &'static str,
    run: fn() -> Result<()>,
}

const AREAS: &[Area] = &[
    Area {
        name: "frame",
        what: "a Python server of this task's own starts, answers and stops",
        run: server::check,
    },
    Area {
        name: "interchange",
        what: "models from XGBoost in Python and back",
        run: interchange::check,
    },
    Area {
        name: "xgboost",
        what: "the real XGBoost trains what Python trains with it, and nothing else is taken for it",
        run: xgboost::check,
    },
    Area {
        name: "onnx",
        what: "models of scikit-learn, LightGBM and XGBoost in ONNX",
        run: onnx::check,
    },
    Area {
        name: "external",
        what: "trainers in scikit-learn and LightGBM keep the contract with users' programs",
        run: external::run,
    },
    Area {
        name: "s3",
        what: "rows, datasets and versions in a bucket, and what goes wrong there",
        run: s3::run,
    },
];

/// Features of the one binary that all areas share: another set would mean another build.
const FEATURES: &str = "s3";

/// `services-test [AREA…]`: all areas, or those named.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    for name in arguments {
        if AREAS.iter().all(|area| area.name != name) {
            let known = AREAS.iter().map(|area| format!("  {:<16} {}", area.name, area.what));
            bail!("there is no area `{name}`; there are\n{}", known.collect::<Vec<_>>().join("\n"));
        }
    }
    let mut failed = Vec::new();
    for area in AREAS {
        if !arguments.is_empty() && arguments.iter().all(|name| name != area.name) {
            continue;
        }
        println!("== {}: {}", area.name, area.what);
        let started = Instant::now();
        match (area.run)() {
            Ok(()) => println!("== {}: good, {} s", area.name, started.elapsed().as_secs()),
            Err(error) => {
                println!("== {}: {error:#}", area.name);
                failed.push(area.name);
            }
        }
    }
    if !failed.is_empty() {
        bail!("{} failed", failed.join(", "));
    }
    Ok(())
}

/// Runs `check` under a name, and says how long it took.
pub(crate) fn checking(name: &str, check: impl FnOnce() -> Result<()>) -> Result<()> {
    let started = Instant::now();
    check().with_context(|| format!("`{name}` does not hold"))?;
    println!("   {name}, {:.1} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// The program with all features that areas need, built once in the profile of `cargo test`.
pub(crate) fn afresh() -> Result<PathBuf> {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    if let Some(path) = BUILT.get() {
        return Ok(path.clone());
    }
    let mut arguments = vec!["build", "--quiet", "--package", "afresh", "--message-format=json"];
    arguments.extend(["--features", FEATURES]);
    println!("   cargo {}", arguments.join(" "));
    let built = house::cargo()
        .args(&arguments)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cargo cannot be started")?;
    if !built.status.success() {
        bail!("cargo {} ends with {}", arguments.join(" "), built.status);
    }
    let path = String::from_utf8_lossy(&built.stdout)
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["target"]["name"] == "afresh")
        .find_map(|line| line["executable"].as_str().map(PathBuf::from))
        .context("cargo built no program `afresh`")?;
    // Another build of the same profile with other features would replace the file.
    let kept = place("bin")?.join("afresh");
    std::fs::copy(&path, &kept)
        .with_context(|| format!("failed to copy {} to {}", path.display(), kept.display()))?;
    Ok(BUILT.get_or_init(|| kept).clone())
}

/// The directory `target/services/NAME`, created where it is missing.
pub(crate) fn place(name: &str) -> Result<PathBuf> {
    let place = house::root().join("target/services").join(name);
    std::fs::create_dir_all(&place)
        .with_context(|| format!("failed to create {}", place.display()))?;
    Ok(place)
}

/// As [`place`], without what an earlier test left there.
pub(crate) fn empty_place(name: &str) -> Result<PathBuf> {
    remove(&house::root().join("target/services").join(name))?;
    place(name)
}

fn remove(path: &Path) -> Result<()> {
    match std::fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("failed to remove {}", path.display()))
        }
        _ => Ok(()),
    }
}
