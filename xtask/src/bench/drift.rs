//! `bench drift`: the command on a million rows twice, beside scipy and Evidently on the same files in
//! the same run, in CPU seconds of one thread; our figures against scipy's; the sketched route's memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::house;
use crate::services_test::venv::{python, venv};

const PACKAGES: [&str; 5] = ["evidently==0.7.23", "numpy", "pandas==2.3.3", "pyarrow", "scipy"];

/// Rows of either window.
const ROWS: u64 = 1_000_000;
/// Rows of the window that shows that memory does not grow.
const ROWS_LARGE: u64 = 10_000_000;
/// Our runs: the median counts.
const REPEATS: usize = 5;

/// Promised: so many times less CPU than scipy, than Evidently, and memory of the sketched route.
const SCIPY_RATIO_MIN: f64 = 20.0;
const EVIDENTLY_RATIO_MIN: f64 = 90.0;
const SKETCHED_KIB_MAX: f64 = 64.0 * 1024.0;

/// Relative difference to scipy's figures.
const TOLERANCE: f64 = 1e-9;

/// What a command took.
#[derive(Clone, Copy, Debug)]
struct Taken {
    cpu: f64,
    wall: f64,
    kib: f64,
}

/// Measures and holds the figures against what is promised.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let known = ["--no-evidently", "--no-large"];
    if let Some(wrong) = arguments.iter().find(|argument| !known.contains(&argument.as_str())) {
        bail!("`{wrong}` is unknown: write `bench drift [--no-evidently] [--no-large]`");
    }
    let asked = |flag: &str| !arguments.iter().any(|argument| argument == flag);
    let place = house::root().join("target/bench/drift");
    fs::create_dir_all(&place).with_context(|| format!("failed to create {}", place.display()))?;
    house::run_cargo(&["build", "--quiet", "--release", "--package", "afresh"])?;
    let bench = Bench { python: python(&venv("drift", &PACKAGES)?), place };
    let reference = bench.data("reference.parquet", ROWS, 42, 0)?;
    let current = bench.data("current.parquet", ROWS, 43, 10)?;

    let exact = bench.ours(&reference, &current, &["--no-domain-classifier"])?;
    let told_apart = bench.ours(&reference, &current, &[])?;
    let sketched =
        bench.ours(&reference, &current, &["--no-domain-classifier", "--memory", "64MiB"])?;
    let scipy = bench.peer("scipy_drift.py", &reference, &current)?;
    let worst = bench.compare()?;
    println!("{ROWS} × 20 f64 twice from zstd Parquet, one thread, median of {REPEATS}:");
    exact.told("afresh, exact, all measures");
    told_apart.told("afresh, with the domain classifier");
    sketched.told("afresh, sketched in 64 MiB");
    scipy.told("scipy, the same measures");
    println!("largest relative difference to scipy: {worst:.1e}");
    let mut missed = Vec::new();
    let mut hold = |what: String, held: bool| {
        println!("{} {what}", if held { "ok    " } else { "MISSED" });
        if !held {
            missed.push(what);
        }
    };
    let ratio = scipy.cpu / exact.cpu;
    hold(format!("{ratio:.1} × less CPU than scipy ({SCIPY_RATIO_MIN})"), ratio >= SCIPY_RATIO_MIN);
    hold(format!("figures as scipy's within {TOLERANCE:.0e}"), worst <= TOLERANCE);
    hold(
        format!("sketched costs {:.2} of exact's CPU (1)", sketched.cpu / exact.cpu),
        sketched.cpu <= exact.cpu,
    );
    if asked("--no-evidently") {
        let evidently = bench.peer("evidently_drift.py", &reference, &current)?;
        evidently.told("Evidently's drift preset");
        let ratio = evidently.cpu / exact.cpu;
        hold(
            format!("{ratio:.1} × less CPU than Evidently ({EVIDENTLY_RATIO_MIN})"),
            ratio >= EVIDENTLY_RATIO_MIN,
        );
    }
    if asked("--no-large") {
        let large = bench.data("large.parquet", ROWS_LARGE, 44, 0)?;
        let options = ["--no-domain-classifier", "--memory", "64MiB"];
        let taken = bench.measured(&large, &current, &options)?;
        taken.told("afresh, sketched in 64 MiB, 10 M rows against 1 M");
        hold(
            format!("{:.1} MiB at most (64)", taken.kib / 1024.0),
            taken.kib.max(sketched.kib) <= SKETCHED_KIB_MAX,
        );
    }
    ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

/// Where things are.
struct Bench {
    python: PathBuf,
    place: PathBuf,
}

impl Bench {
    fn script(name: &str) -> PathBuf {
        house::root().join("xtask/bench/drift").join(name)
    }

    /// A data file, written where it is not there yet.
    fn data(&self, name: &str, rows: u64, seed: u64, moved: u64) -> Result<PathBuf> {
        let path = self.place.join(name);
        if path.exists() {
            return Ok(path);
        }
        let partial = self.place.join(format!("{name}.partial"));
        let numbers = [rows, seed, moved].map(|number| number.to_string());
        let mut command = Command::new(&self.python);
        command.arg(Bench::script("generate.py")).arg(&partial).args(numbers);
        let status = command.status().context("failed to start Python")?;
        ensure!(status.success(), "generate.py ends with {status}");
        fs::rename(&partial, &path).with_context(|| format!("failed to keep {name}"))?;
        Ok(path)
    }

    /// Our median.
    fn ours(&self, reference: &Path, current: &Path, options: &[&str]) -> Result<Taken> {
        let runs = (0..REPEATS).map(|_| self.measured(reference, current, options));
        let mut runs = runs.collect::<Result<Vec<_>>>()?;
        runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
        Ok(runs[runs.len() / 2])
    }

    fn measured(&self, reference: &Path, current: &Path, options: &[&str]) -> Result<Taken> {
        let mut command = vec![program()?.display().to_string(), "drift".to_owned()];
        command.extend([reference, current].map(|path| path.display().to_string()));
        command.extend(options.iter().map(|option| (*option).to_owned()));
        command.push("--json".to_owned());
        let exact = !options.contains(&"--memory");
        self.measure(if exact { "exact.json" } else { "sketched.json" }, &command)
    }

    fn peer(&self, script: &str, reference: &Path, current: &Path) -> Result<Taken> {
        let paths = [&self.python, &Bench::script(script), reference, current];
        let command = paths.map(|path| path.display().to_string());
        self.measure(&script.replace(".py", ".json"), &command)
    }

    /// Runs a command with its output in the file `out`.
    fn measure(&self, out: &str, command: &[String]) -> Result<Taken> {
        let output = Command::new(&self.python)
            .arg(Bench::script("measure.py"))
            .arg(self.place.join(out))
            .args(command)
            .stderr(std::process::Stdio::inherit())
            .output()
            .context("failed to start Python")?;
        let taken: Value =
            serde_json::from_slice(&output.stdout).context("measure.py printed no JSON")?;
        ensure!(taken["code"] == 0, "`{}` ends with {}", command.join(" "), taken["code"]);
        let number = |key: &str| taken[key].as_f64().with_context(|| format!("there is no {key}"));
        Ok(Taken { cpu: number("cpu")?, wall: number("wall")?, kib: number("rss_kib")? })
    }

    /// The largest relative difference of our exact figures to scipy's.
    fn compare(&self) -> Result<f64> {
        let read = |name: &str| -> Result<Value> {
            let text = fs::read_to_string(self.place.join(name))?;
            serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))
        };
        let (ours, theirs) = (read("exact.json")?, read("scipy_drift.json")?);
        let columns = ours["columns"].as_array().context("we printed no columns")?;
        ensure!(columns.len() == 20, "we printed {} columns, not 20", columns.len());
        let mut worst = 0.0_f64;
        for column in columns {
            let name = column["name"].as_str().context("a column has no name")?;
            let measures =
                theirs[name].as_object().with_context(|| format!("scipy has no {name}"))?;
            for (measure, expected) in measures {
                let found = measure.split('.').fold(column, |value, key| &value[key]);
                let pair = found.as_f64().zip(expected.as_f64());
                let (found, expected) =
                    pair.with_context(|| format!("{measure} of {name} is {found}"))?;
                // Below this, tail probabilities leave the range where doubles are exact.
                let scale = expected.abs().max(1e-290);
                worst = worst.max((found - expected).abs() / scale);
            }
        }
        Ok(worst)
    }
}

impl Taken {
    fn told(self, what: &str) {
        let Taken { cpu, wall, kib } = self;
        println!("{what:<50} {cpu:>8.2} CPU s {wall:>8.2} s {:>8.1} MiB", kib / 1024.0);
    }
}

/// The release binary, where cargo puts it.
fn program() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let program = target.unwrap_or_else(|| house::root().join("target")).join("release/afresh");
    ensure!(program.is_file(), "{} is not there", program.display());
    Ok(program)
}
