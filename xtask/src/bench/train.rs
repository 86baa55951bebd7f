//! `bench train`: our forest and our regression beside scikit-learn's with one thread, on the same files in the same
//! run: CPU seconds of fitting and of the whole process, and the quality of both on rows that neither saw.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::{Value, json};

use crate::house;
use crate::services_test::venv::{python, venv};

const PACKAGES: [&str; 4] = ["numpy", "pandas==3.*", "pyarrow", "scikit-learn==1.9.*"];

/// The file with late labels, which is not in the repository.
const HOTEL: &str = "../shared/data/hotel_bookings.parquet";
const FLIGHTS: &str = "examples/flights/data/flights_nyc_2013.parquet";

/// Promised on made rows: CPU of fitting, ours of theirs at most.
const SHARE_MAX: f64 = 1.0;
/// And how much of the area under the curve may be lost.
const AUC_LOST_MAX: f64 = 0.002;

/// What one training took and gave.
struct Trained {
    fit: f64,
    whole: f64,
    auc: f64,
    log_loss: f64,
}

/// Where things are.
struct Bench {
    python: PathBuf,
    program: PathBuf,
    place: PathBuf,
}

/// Measures and holds the figures against what is promised.
pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let known = ["--no-forest", "--no-real"];
    if let Some(wrong) = arguments.iter().find(|argument| !known.contains(&argument.as_str())) {
        bail!("`{wrong}` is unknown: write `bench train [--no-forest] [--no-real]`");
    }
    let asked = |flag: &str| !arguments.iter().any(|argument| argument == flag);
    let place = house::root().join("target/bench/train");
    fs::create_dir_all(&place).with_context(|| format!("failed to create {}", place.display()))?;
    let package = ["--quiet", "--release", "--package", "afresh-train"];
    house::run_cargo(&[&["build"], &package[..], &["--example", "bench_train"]].concat())?;
    let bench = Bench { python: python(&venv("train", &PACKAGES)?), program: program()?, place };

    let hotel = house::root().join(HOTEL);
    let mut sources = vec![("made", None)];
    if asked("--no-real") {
        sources.push(("flights", Some(house::root().join(FLIGHTS))));
        sources.extend(hotel.is_file().then_some(("hotel", Some(hotel))));
    }
    let mut missed = Vec::new();
    for (name, file) in &sources {
        let (train, test) = bench.rows(name, file.as_deref())?;
        println!(
            "{name}: CPU s of fitting and of the whole process, AUC and log loss on later rows"
        );
        let mut beside = |kind: &str, peers: &[&str]| -> Result<()> {
            let ours = bench.ours(kind, &train, &test)?;
            ours.told(&format!("afresh, {kind}"));
            for peer in peers {
                let theirs = bench.theirs(peer, &train, &test)?;
                theirs.told(&format!("scikit-learn, {peer}"));
                let share = ours.fit / theirs.fit;
                let what = format!("{share:.2} of the CPU of {peer} ({SHARE_MAX})");
                let lost = theirs.auc - ours.auc;
                let held = share <= SHARE_MAX && lost <= AUC_LOST_MAX;
                let promised = *name == "made";
                println!("{} {what}, AUC {lost:+.4} less", if held { "ok    " } else { "MISSED" });
                if promised && !held {
                    missed.push(format!("{kind}: {what}"));
                }
            }
            Ok(())
        };
        beside("linear", &["lbfgs 1e-4", "lbfgs 1e-6"])?;
        if asked("--no-forest") {
            beside("forest", &["forest", "forest-same"])?;
        }
    }
    ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

impl Bench {
    fn script(name: &str) -> PathBuf {
        house::root().join("xtask/bench/train").join(name)
    }

    /// Rows to train on and rows to test on, written where they are not there yet.
    fn rows(&self, name: &str, file: Option<&Path>) -> Result<(PathBuf, PathBuf)> {
        let [train, test] =
            ["train", "test"].map(|part| self.place.join(format!("{name}-{part}.parquet")));
        if !(train.exists() && test.exists()) {
            let mut command = Command::new(&self.python);
            command.arg(Bench::script("rows.py")).arg(file.unwrap_or(Path::new("made")));
            let status =
                command.arg(&train).arg(&test).status().context("failed to start Python")?;
            ensure!(status.success(), "rows.py ends with {status}");
        }
        Ok((train, test))
    }

    fn ours(&self, kind: &str, train: &Path, test: &Path) -> Result<Trained> {
        let mut recipe = json!({ "engine": { "kind": kind }, "seed": 1 });
        if kind == "forest" {
            recipe["engine"]["trees"] = json!(100);
        }
        let mut command = vec![self.program.display().to_string(), recipe.to_string()];
        command.extend([train, test].map(|path| path.display().to_string()));
        self.trained(command, Some(self.place.join("scratch")))
    }

    fn theirs(&self, peer: &str, train: &Path, test: &Path) -> Result<Trained> {
        let script = Bench::script("sklearn_train.py");
        let mut command = [&self.python, &script].map(|path| path.display().to_string()).to_vec();
        command.push(peer.to_owned());
        command.extend([train, test].map(|path| path.display().to_string()));
        self.trained(command, None)
    }

    /// Runs a command with the file for its predictions as a last argument, or last but one.
    fn trained(&self, mut command: Vec<String>, last: Option<PathBuf>) -> Result<Trained> {
        let predictions = self.place.join("predictions.csv");
        command.push(predictions.display().to_string());
        command.extend(last.map(|last| last.display().to_string()));
        let out = self.place.join("said.json");
        let measure = house::root().join("xtask/bench/drift/measure.py");
        let taken = self.python(&measure, &[&out], &command)?;
        ensure!(taken["code"] == 0, "`{}` ends with {}", command.join(" "), taken["code"]);
        let said = fs::read(&out).with_context(|| format!("failed to read {}", out.display()))?;
        let said: Value = serde_json::from_slice(&said).context("a training printed no JSON")?;
        let quality = self.python(&Bench::script("quality.py"), &[&predictions], &[])?;
        let number = |of: &Value, key: &str| {
            of[key].as_f64().with_context(|| format!("there is no {key} in {of}"))
        };
        Ok(Trained {
            fit: number(&said, "fit")?,
            whole: number(&taken, "cpu")?,
            auc: number(&quality, "auc")?,
            log_loss: number(&quality, "log_loss")?,
        })
    }

    fn python(&self, script: &Path, paths: &[&Path], more: &[String]) -> Result<Value> {
        let mut command = Command::new(&self.python);
        command.arg(script).args(paths).args(more).stderr(std::process::Stdio::inherit());
        let output = command.output().context("failed to start Python")?;
        ensure!(output.status.success(), "{} ends with {}", script.display(), output.status);
        serde_json::from_slice(&output.stdout).context("a script printed no JSON")
    }
}

impl Trained {
    fn told(&self, what: &str) {
        let Trained { fit, whole, auc, log_loss } = self;
        println!("  {what:<32} {fit:>8.2} {whole:>8.2}   {auc:.4}  {log_loss:.4}");
    }
}

/// The release example, where cargo puts it.
fn program() -> Result<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let target = target.unwrap_or_else(|| house::root().join("target"));
    let program = target.join("release/examples/bench_train");
    ensure!(program.is_file(), "{} is not there", program.display());
    Ok(program)
}
