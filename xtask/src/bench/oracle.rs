//! `bench oracle`: hindsight over 1,000 periods and 4 windows beside `retrainopt`'s exact planner on the same matrix, the
//! planning alone, without making the matrix.

use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::house;
use crate::services_test::venv::{python, venv};

const PACKAGES: [&str; 1] = ["retrainopt==0.4.2"];

/// Promised: seconds at most, and how many times faster than the peer at least.
const SECONDS_MAX: f64 = 1.0;
const FASTER_MIN: f64 = 50.0;
/// The optima agree to this share.
const OFF_MAX: f64 = 1e-9;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    if let Some(wrong) = arguments.first() {
        bail!("`{wrong}` is unknown: `bench oracle` takes nothing more");
    }
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let mut ours = Command::new(cargo);
    ours.args(["run", "--quiet", "--release", "--package", "afresh-policy", "--example"]);
    let ours = said(ours.arg("bench_oracle").current_dir(house::root()))?;
    let script = house::root().join("xtask/bench/oracle/retrainopt_exact.py");
    let theirs = said(Command::new(python(&venv("oracle", &PACKAGES)?)).arg(script))?;
    let number = |of: &Value, key: &str| {
        of[key].as_f64().with_context(|| format!("there is no {key} in {of}"))
    };
    let (seconds, peer) = (number(&ours, "seconds")?, number(&theirs, "seconds")?);
    let (cost, optimum) = (number(&ours, "cost")?, number(&theirs, "cost")?);
    let faster = peer / seconds;
    println!("afresh     {seconds:>8.3} s  optimum {cost:.9}, {} retrainings", ours["runs"]);
    println!("retrainopt {peer:>8.3} s  optimum {optimum:.9}");
    println!("{faster:.0} times faster (goal {FASTER_MIN}), {seconds:.3} s (goal {SECONDS_MAX})");
    let off = ((cost - optimum) / optimum).abs();
    ensure!(off <= OFF_MAX, "the optima differ by {off:e} of them");
    ensure!(seconds <= SECONDS_MAX && FASTER_MIN <= faster, "a goal was missed");
    Ok(())
}

fn said(command: &mut Command) -> Result<Value> {
    let output = command.stderr(std::process::Stdio::inherit()).output();
    let output = output.with_context(|| format!("failed to start {command:?}"))?;
    ensure!(output.status.success(), "{command:?} ends with {}", output.status);
    serde_json::from_slice(&output.stdout).context("a measurement printed no JSON")
}
