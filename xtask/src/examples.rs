//! Replays the examples with the release binary and holds their figures against what they promise.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::house;

/// `flights`: the demonstration, from a directory of its own.
pub(crate) fn flights(arguments: &[String]) -> Result<()> {
    ensure!(arguments.is_empty(), "flights takes no arguments");
    let place = place("flights")?;
    let shown = replay(&house::root().join("examples/flights"), &place)?;
    let (mean, retrains) = (number(&shown, "managed", "metric_mean")?, retrains(&shown)?);
    ensure!(0.685 <= mean, "flights: mean AUC is {mean:.4}, promised is at least 0.685");
    ensure!(retrains <= 12, "flights: {retrains} retrains, promised are at most 12");
    let share = number(&shown, "managed", "training_cpu_seconds")?
        / number(&shown, "always", "training_cpu_seconds")?;
    ensure!(share <= 0.6, "flights: {:.0} % of always's training CPU", share * 100.0);
    Ok(())
}

/// `hotel --data PATH`: late labels; the data is not part of the repository.
pub(crate) fn hotel(arguments: &[String]) -> Result<()> {
    let [flag, data] = arguments else { bail!("write `hotel --data PATH`") };
    ensure!(flag == "--data", "`{flag}` is unknown: write `hotel --data PATH`");
    let place = place("hotel")?;
    let data = Path::new(data);
    fs::copy(data, place.join("hotel_bookings.parquet"))
        .with_context(|| format!("failed to copy {}", data.display()))?;
    let configuration = house::root().join("examples/hotel/afresh.toml");
    fs::copy(&configuration, place.join("afresh.toml"))
        .with_context(|| format!("failed to copy {}", configuration.display()))?;
    let shown = replay(&place, &place)?;
    let log_loss = number(&shown, "managed", "log_loss")?;
    ensure!(log_loss <= 0.55, "hotel: log loss is {log_loss:.4}, promised is at most 0.55");
    Ok(())
}

fn place(name: &str) -> Result<PathBuf> {
    let place = house::root().join("target/examples").join(name);
    fs::create_dir_all(&place).with_context(|| format!("failed to create {}", place.display()))?;
    Ok(place)
}

fn replay(example: &Path, place: &Path) -> Result<Value> {
    let report = place.join("report.html");
    let ran = Command::new("cargo")
        .current_dir(house::root())
        .args(["run", "--quiet", "--release", "--package", "afresh", "--", "replay", "--json"])
        .arg("--config")
        .arg(example)
        .arg("--report")
        .arg(&report)
        .output()
        .context("failed to start cargo")?;
    if !ran.status.success() {
        bail!("replay of {} failed: {}", example.display(), String::from_utf8_lossy(&ran.stderr));
    }
    let shown: Value = serde_json::from_slice(&ran.stdout).context("replay printed no JSON")?;
    let page = fs::read_to_string(&report).context("there is no report")?;
    ensure!(page.contains("</html>"), "the report is not whole");
    for arm in ["managed", "never", "always"] {
        println!("{:<8} {}", arm, shown[arm]);
    }
    Ok(shown)
}

fn number(shown: &Value, arm: &str, key: &str) -> Result<f64> {
    shown[arm][key].as_f64().with_context(|| format!("{arm} has no {key}"))
}

fn retrains(shown: &Value) -> Result<u64> {
    shown["managed"]["retrains"].as_u64().context("managed has no retrains")
}
