//! Follows ten million generated predictions over a year, by four metrics in three windows, and prints what it took:
//! `cargo run --release -p afresh-ml --example bench_decay [ROWS]`.
//!
//! Rows are generated as they are needed, so that memory is the watch's own; the same loop without the watch is timed
//! first and its CPU is told apart.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a benchmark prints and may stop")]

use std::fs;

use afresh_ml::decay::Test;
use afresh_ml::decay::buckets::Window;
use afresh_ml::decay::standard::{Standard, primary};
use afresh_ml::decay::watch::{Plan, Watch};
use afresh_ml::metrics::{Metric, Task};
use afresh_ml::rng::Rng;

const YEAR_MS: i64 = 365 * 86_400_000;
const CHUNK: usize = 8_192;

fn main() {
    let rows = std::env::args().nth(1).map_or(10_000_000, |rows| rows.parse().expect("a number"));
    let start = cpu_seconds();
    let mut sum = 0.0;
    generate(rows, 1, |_, labels, predictions| sum += labels[0] + predictions[0]);
    let generated = cpu_seconds() - start;

    let (mut labels, mut predictions) = (Vec::new(), Vec::new());
    generate(20_000, 2, |_, chunk, scores| {
        labels.extend_from_slice(chunk);
        predictions.extend_from_slice(scores);
    });
    let standards = Standard::all(Task::Binary, &labels, &predictions);
    let wanted = [Metric::Auc, Metric::LogLoss, Metric::Accuracy, Metric::Brier];
    let own = standards.iter().find(|one| one.metric == primary(Task::Binary));
    let window = |name: &str, hours: i64| Window {
        name: name.to_owned(),
        length: hours * 3_600_000,
        bucket: hours * 150_000,
    };
    let plan = Plan {
        task: Task::Binary,
        primary: own.and_then(|one| one.losses).expect("losses"),
        standards: standards.into_iter().filter(|one| wanted.contains(&one.metric)).collect(),
        windows: vec![window("1h", 1), window("24h", 24), window("7d", 168)],
        test: Test::Sequential,
        drop: 0.05,
        alpha: 0.01,
    };
    let mut watch = Watch::new(plan).expect("a plan");
    let (before, start) = (peak_mib(), cpu_seconds());
    let (mut half, mut seen) = (0.0, 0);
    generate(rows, 1, |at, labels, predictions| {
        watch.update_many(at, labels, predictions).expect("rows");
        seen += labels.len();
        if half == 0.0 && seen > rows / 10 {
            half = peak_mib();
        }
    });
    let took = cpu_seconds() - start;
    let report = watch.report(YEAR_MS, &[]);
    println!("rows {rows}, metrics {}, windows {}", wanted.len(), watch.plan().windows.len());
    println!("CPU s: generating {generated:.2} ({sum:.0}), with the watch {took:.2}");
    println!("the watch alone: {:.2} CPU s", took - generated);
    println!("peak MiB: before {before:.1}, after a tenth {half:.1}, at the end {:.1}", peak_mib());
    println!("detected: {}", report.decay.iter().filter(|decay| decay.detected).count());
}

/// Rows of a year in order of availability; in its last tenth a third of the labels are noise.
fn generate(rows: usize, seed: u64, mut take: impl FnMut(&[i64], &[f64], &[f64])) {
    let mut rng = Rng::new(seed);
    let (mut at, mut labels, mut scores) = (Vec::new(), Vec::new(), Vec::new());
    let step = YEAR_MS / i64::try_from(rows).expect("few rows");
    for row in 0..rows {
        let score = 0.02 + 0.5 * rng.uniform() * rng.uniform();
        let noise = row > rows / 10 * 9 && rng.uniform() < 0.33;
        at.push(step * i64::try_from(row).expect("few rows"));
        labels.push(f64::from(u8::from(rng.uniform() < if noise { 0.15 } else { score })));
        scores.push(score);
        if at.len() == CHUNK || row + 1 == rows {
            take(&at, &labels, &scores);
            at.clear();
            labels.clear();
            scores.clear();
        }
    }
}

/// User and system time of this process, by `/proc`; a hundredth of a second is its grain.
fn cpu_seconds() -> f64 {
    let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields = stat.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / 100.0
}

/// Largest resident size so far.
fn peak_mib() -> f64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap_or_default();
    let kib = line.split_whitespace().nth(1).and_then(|kib| kib.parse::<f64>().ok());
    kib.unwrap_or(0.0) / 1_024.0
}
