//! `bench advise`: the advice on ten million logged predictions, and decay followed over as many outcomes, in CPU
//! seconds of one thread and peak memory; beside pandas and scikit-learn on the weekly figures of the same file.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::house;
use crate::services_test::venv::{python, venv};

const PACKAGES: [&str; 4] = ["numpy", "pandas==2.3.3", "pyarrow", "scikit-learn"];

/// Predictions, and a tenth of them to show that memory does not grow.
const ROWS: u64 = 10_000_000;
const ROWS_SMALL: u64 = 1_000_000;
/// Our runs: the median counts.
const REPEATS: usize = 3;

/// Promised: CPU seconds over all predictions.
const CPU_MAX: f64 = 5.0;
/// Memory of ten times the rows, as a multiple.
const GROWTH_MAX: f64 = 1.1;
/// Relative difference of a week's log loss to scikit-learn's, which clips probabilities elsewhere.
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
    let known = ["--no-peer", "--no-csv"];
    if let Some(wrong) = arguments.iter().find(|argument| !known.contains(&argument.as_str())) {
        bail!("`{wrong}` is unknown: write `bench advise [--no-peer] [--no-csv]`");
    }
    let asked = |flag: &str| !arguments.iter().any(|argument| argument == flag);
    let place = house::root().join("target/bench/advise");
    fs::create_dir_all(&place).with_context(|| format!("failed to create {}", place.display()))?;
    house::run_cargo(&["build", "--quiet", "--release", "--package", "afresh"])?;
    let example = ["--release", "--package", "afresh-ml", "--example", "bench_decay"];
    house::run_cargo(&[&["build", "--quiet"], &example[..]].concat())?;
    let bench = Bench { python: python(&venv("advise", &PACKAGES)?), place };
    let (large, small) =
        (bench.data("log.parquet", ROWS)?, bench.data("log_1m.parquet", ROWS_SMALL)?);

    let mut missed = Vec::new();
    let mut hold = |what: String, held: bool| {
        println!("{} {what}", if held { "ok    " } else { "MISSED" });
        if !held {
            missed.push(what);
        }
    };
    println!("{ROWS} predictions from zstd Parquet, one thread, median of {REPEATS}:");
    let mut measured = |what: &str, files: [&Path; 2], options: &[&str]| -> Result<Taken> {
        let (all, tenth) = (bench.advice(files[0], options)?, bench.advice(files[1], options)?);
        all.told(what);
        tenth.told(&format!("{what}, a tenth of the rows"));
        hold(format!("{:.2} CPU s ({CPU_MAX})", all.cpu), all.cpu < CPU_MAX);
        let growth = all.kib / tenth.kib;
        hold(format!("{growth:.2} × the memory of a tenth ({GROWTH_MAX})"), growth <= GROWTH_MAX);
        Ok(all)
    };
    let files = [large.as_path(), small.as_path()];
    measured("afresh advise --slice region", files, &["--slice", "region"])?;
    let ours = measured("afresh advise --period 7d", files, &["--period", "7d"])?;
    if asked("--no-csv") {
        let (large, small) = (bench.data("log.csv", ROWS)?, bench.data("log_1m.csv", ROWS_SMALL)?);
        measured("afresh advise, from CSV", [&large, &small], &[])?;
    }
    if asked("--no-peer") {
        let theirs = bench.peer(&large)?;
        theirs.told("pandas and scikit-learn, three figures by week");
        println!(
            "       {:.1} × less CPU, {:.0} × less memory",
            theirs.cpu / ours.cpu,
            theirs.kib / ours.kib
        );
        // The newest file that was read by week is the large one.
        bench.advice(&large, &["--period", "7d"])?;
        let (area, stated, loss) = bench.compare()?;
        hold(
            format!("areas as scikit-learn's within the stated {stated:.1e}: {area:.1e}"),
            area <= stated,
        );
        hold(
            format!("log losses as scikit-learn's within {TOLERANCE:.0e}: {loss:.1e}"),
            loss <= TOLERANCE,
        );
    }
    let followed = [ROWS, ROWS_SMALL].map(|rows| bench.decay(rows));
    let [all, tenth] = followed;
    let ((all, alone), (tenth, _)) = (all?, tenth?);
    all.told("decay of 4 metrics in 3 windows, rows made besides");
    tenth.told("the same, a tenth of the rows");
    hold(format!("{alone:.2} CPU s without making the rows ({CPU_MAX})"), alone < CPU_MAX);
    let growth = all.kib / tenth.kib;
    hold(format!("{growth:.2} × the memory of a tenth ({GROWTH_MAX})"), growth <= GROWTH_MAX);
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
        house::root().join("xtask/bench").join(name)
    }

    /// A log, written where it is not there yet.
    fn data(&self, name: &str, rows: u64) -> Result<PathBuf> {
        let path = self.place.join(name);
        if path.exists() {
            return Ok(path);
        }
        let partial = self.place.join(format!("{name}.partial"));
        let mut command = Command::new(&self.python);
        command
            .arg(Bench::script("advise/generate.py"))
            .arg(&partial)
            .arg(rows.to_string())
            .arg("1");
        let status = command.status().context("failed to start Python")?;
        ensure!(status.success(), "generate.py ends with {status}");
        fs::rename(&partial, &path).with_context(|| format!("failed to keep {name}"))?;
        Ok(path)
    }

    /// Our median.
    fn advice(&self, log: &Path, options: &[&str]) -> Result<Taken> {
        let program = released("afresh").context("afresh was not built")?;
        let mut command = vec![program, "advise".into(), log.into()];
        command.extend(options.iter().map(PathBuf::from));
        command.extend(["--json".into(), "--html".into(), self.place.join("advice.html")]);
        let runs = (0..REPEATS).map(|_| self.measure("advice.json", &command));
        let mut runs = runs.collect::<Result<Vec<_>>>()?;
        runs.sort_by(|a, b| a.cpu.total_cmp(&b.cpu));
        Ok(runs[runs.len() / 2])
    }

    fn peer(&self, log: &Path) -> Result<Taken> {
        self.measure("weekly.json", &[&self.python, &Bench::script("advise/weekly.py"), log])
    }

    /// Decay followed over generated rows, and the CPU seconds without generating them.
    fn decay(&self, rows: u64) -> Result<(Taken, f64)> {
        let program = released("examples/bench_decay").context("bench_decay was not built")?;
        let taken = self.measure("decay.txt", &[program, rows.to_string().into()])?;
        let text = fs::read_to_string(self.place.join("decay.txt"))?;
        let line = text.lines().find_map(|line| line.strip_prefix("the watch alone: "));
        let alone = line.and_then(|line| line.split(' ').next()?.parse().ok());
        Ok((taken, alone.context("bench_decay printed no CPU seconds")?))
    }

    /// Runs a command with its output in the file `out`.
    fn measure(&self, out: &str, command: &[impl AsRef<Path>]) -> Result<Taken> {
        let output = Command::new(&self.python)
            .arg(Bench::script("drift/measure.py"))
            .arg(self.place.join(out))
            .args(command.iter().map(AsRef::as_ref))
            .stderr(Stdio::inherit())
            .output()
            .context("failed to start Python")?;
        let taken: Value =
            serde_json::from_slice(&output.stdout).context("measure.py printed no JSON")?;
        ensure!(taken["code"] == 0, "the command for {out} ends with {}", taken["code"]);
        let number = |key: &str| taken[key].as_f64().with_context(|| format!("there is no {key}"));
        Ok(Taken { cpu: number("cpu")?, wall: number("wall")?, kib: number("rss_kib")? })
    }

    /// The largest difference of a week's area to scikit-learn's, our stated bound, and the largest relative
    /// difference of a week's log loss.
    fn compare(&self) -> Result<(f64, f64, f64)> {
        let read = |name: &str| -> Result<Value> {
            let text = fs::read_to_string(self.place.join(name))?;
            serde_json::from_str(&text).with_context(|| format!("{name} is no JSON"))
        };
        let (ours, theirs) = (read("advice.json")?, read("weekly.json")?);
        let (weeks, periods) = (theirs.as_array().context("no weeks")?, &ours["periods"]);
        let (mut area, mut loss, mut compared) = (0.0_f64, 0.0_f64, 0);
        for week in weeks {
            let at = usize::try_from(week["week"].as_u64().context("no week")?)?;
            let Some(period) = periods.get(at) else { continue };
            let pair = |ours: &Value, theirs: &str| {
                let pair = ours["value"].as_f64().zip(week[theirs].as_f64());
                pair.with_context(|| format!("week {at} has no {theirs}"))
            };
            let (our_area, their_area) = pair(&period["metric"], "auc")?;
            let (our_loss, their_loss) = pair(&period["loss"], "log_loss")?;
            area = area.max((our_area - their_area).abs());
            loss = loss.max((our_loss - their_loss).abs() / their_loss);
            compared += 1;
        }
        ensure!(compared > 100, "only {compared} weeks were compared");
        Ok((area, ours["metric_error_max"].as_f64().context("no stated error")?, loss))
    }
}

impl Taken {
    fn told(self, what: &str) {
        let Taken { cpu, wall, kib } = self;
        println!("{what:<55} {cpu:>7.2} CPU s {wall:>7.2} s {:>8.1} MiB", kib / 1024.0);
    }
}

/// What was built in release, where cargo puts it.
fn released(name: &str) -> Option<PathBuf> {
    let target = std::env::var_os("CARGO_TARGET_DIR").map(PathBuf::from);
    let program = target.unwrap_or_else(|| house::root().join("target")).join("release").join(name);
    program.is_file().then_some(program)
}
