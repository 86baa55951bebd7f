//! A made-up year of flights: seeded, so that every drawing of it is the same.

use afresh_report::{
    Arm, Cost, Decision, DriftColumn, Mark, MarkKind, Period, Replay, Run, RunVerdict,
};

const DAY_MS: i64 = 86_400_000;
const WEEK_MS: i64 = 7 * DAY_MS;
const START_MS: i64 = 1_359_417_600_000; // 29 January 2013

/// Numbers in [0, 1) from a linear congruence; good enough to draw with.
struct Noise(u64);

impl Noise {
    fn draw(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 40) as f64 / (1u64 << 24) as f64
    }
    fn around(&mut self, width: f64) -> f64 {
        (self.draw() + self.draw() - 1.0) * width
    }
}

/// A replay of `n` weekly periods.
pub(crate) fn sample(n: usize) -> Replay {
    let mut noise = Noise(7);
    let mut replay = Replay {
        model: "flight-delay".to_owned(),
        title: "Flight delays from New York, 2013".to_owned(),
        metric: "auc".to_owned(),
        higher_is_better: true,
        period: "7d".to_owned(),
        window: "all".to_owned(),
        generated_from: "examples/flights/afresh.toml".to_owned(),
        policy: pairs(&[
            ("Policy", "drift + decay"),
            ("Drift threshold", "0.30"),
            ("Decay", "drop of 0.05"),
            ("Cooldown", "14d"),
            ("Gate", "auc, margin 0.005, one-sided 95 %"),
            ("Rollout", "5 % → 25 % → 100 %, probation 24h and 500 labels"),
            ("Policy hash", "4f1d02c97be05a38"),
        ]),
        notes: vec![
            "The drift threshold is the fixed 0.30: the history has too few periods before the first decision to calibrate it.".to_owned(),
            "Two weeks in February have no cancelled flight in the evening slice; it was left out of the gate there.".to_owned(),
        ],
        ..Replay::default()
    };
    let mut age = 0.0;
    let mut version = 1u64;
    let mut cost = Cost { managed: 0.61, never: 0.61, always: 0.61 };
    for index in 0..n {
        let from_ms = START_MS + i64::try_from(index).unwrap_or(0) * WEEK_MS;
        let season = (index as f64 / 52.0 * std::f64::consts::TAU).sin();
        let level = 0.70 + 0.02 * season + noise.around(0.018);
        let drift =
            (0.14 + 0.10 * (index as f64 / 9.0).sin().abs() + 0.012 * age + noise.around(0.05))
                .clamp(0.0, 1.0);
        step(&mut replay, index, from_ms, drift, &mut age, &mut version, &mut cost);
        let defined = index % 23 != 11;
        replay.periods.push(Period {
            from_ms,
            to_ms: from_ms + WEEK_MS,
            rows: 2_100 + index as u64 * 37 % 240,
            managed: defined.then_some(level - 0.0028 * age),
            never: defined
                .then_some(level - 0.012 - 0.055 * (index as f64 / n as f64) + noise.around(0.01)),
            always: defined.then_some(level + 0.006 + noise.around(0.004)),
            champion: format!("v{version}"),
            drift: Some(drift),
            drift_threshold: Some(0.3),
            unlabelled: if index + 1 == n { 311 } else { 0 },
        });
        cost.always += 0.6 + 0.001 * index as f64;
        replay.cost.push(cost);
        age += 1.0;
    }
    drift_columns(&mut replay, n, &mut noise);
    arms(&mut replay, cost);
    replay
}

/// Decides at the start of a period, and lets every fifth week ask for a run.
fn step(
    replay: &mut Replay,
    index: usize,
    at_ms: i64,
    drift: f64,
    age: &mut f64,
    version: &mut u64,
    cost: &mut Cost,
) {
    if index % 4 != 3 {
        match replay.decisions.last_mut() {
            Some(last) if last.action == "keep" => {
                last.count += 1;
                last.until_ms = at_ms;
            }
            _ => replay.decisions.push(Decision {
                at_ms,
                until_ms: at_ms,
                count: 1,
                action: "keep".to_owned(),
                cause: "data drift".to_owned(),
                reasons: vec![format!("drift score {drift:.2} is below the threshold of 0.30")],
                run: None,
            }),
        }
        return;
    }
    run(replay, index, at_ms, drift, age, version, cost);
}

fn decide(replay: &mut Replay, at_ms: i64, drift: f64, number: u64) {
    replay.decisions.push(Decision {
        at_ms,
        until_ms: at_ms,
        count: 1,
        action: "train".to_owned(),
        cause: if number.is_multiple_of(3) { "performance decay" } else { "data drift" }.to_owned(),
        reasons: vec![
            format!("drift score {drift:.2} reaches the threshold of 0.30; `wind_speed` moved most (0.41)"),
            "the last run ended 21 days ago, longer than the cooldown of 14d".to_owned(),
            "0.6 of 20 CPU hours of the budget are spent".to_owned(),
        ],
        run: Some(format!("run-{number}")),
    });
}

/// One retraining with everything that is told about it.
fn run(
    replay: &mut Replay,
    index: usize,
    at_ms: i64,
    drift: f64,
    age: &mut f64,
    version: &mut u64,
    cost: &mut Cost,
) {
    let number = replay.runs.len() as u64 + 1;
    let outcomes = [
        "promoted",
        "promoted",
        "rejected",
        "promoted",
        "rolled back",
        "inconclusive",
        "promoted",
        "failed",
    ];
    let outcome = outcomes[replay.runs.len() % outcomes.len()];
    let id = format!("run-{number}");
    let candidate = format!("v{}", number + 1);
    let cpu = 0.9 + 0.05 * number as f64;
    cost.managed += cpu;
    decide(replay, at_ms, drift, number);
    let (difference, verdict, kind) = match outcome {
        "promoted" => {
            (0.017 + 0.002 * (number % 5) as f64, Some(RunVerdict::Pass), MarkKind::Promoted)
        }
        "rolled back" => (0.008, Some(RunVerdict::Pass), MarkKind::RolledBack),
        "rejected" => (-0.021, Some(RunVerdict::Reject), MarkKind::Rejected),
        "inconclusive" => (0.001, Some(RunVerdict::Inconclusive), MarkKind::Inconclusive),
        _ => (f64::NAN, None, MarkKind::Failed),
    };
    if kind == MarkKind::Promoted {
        *age = 0.0;
        *version = number + 1;
    }
    let text = match kind {
        MarkKind::Promoted => format!("AUC {difference:+.3} on 2,204 rows, at worst {:+.3}; shipped in three steps.", difference - 0.01),
        MarkKind::Rejected => "AUC −0.021 on 2,180 rows, at best −0.008: worse beyond the margin of 0.005.".to_owned(),
        MarkKind::RolledBack => "Log loss in probation rose above its bound after 740 labels; the version before serves again.".to_owned(),
        MarkKind::Failed => "The trainer was killed after 30 min; nothing was shipped.".to_owned(),
        MarkKind::Inconclusive => "Too close to tell; the candidate shadows and is judged again next week.".to_owned(),
        MarkKind::Started => String::new(),
    };
    replay.marks.push(Mark {
        at_ms,
        kind: MarkKind::Started,
        version: id.clone(),
        text: "Data drift asked for it.".to_owned(),
    });
    let mut until_ms = at_ms;
    if kind == MarkKind::RolledBack {
        let (version, text) = (candidate.clone(), "AUC +0.008; shipped in three steps.".to_owned());
        replay.marks.push(Mark { at_ms, kind: MarkKind::Promoted, version, text });
        until_ms += 5 * DAY_MS;
    }
    replay.marks.push(Mark {
        at_ms: until_ms,
        kind,
        version: candidate.clone(),
        text: text.clone(),
    });
    replay.runs.push(Run {
        id,
        strategy: "triggered".to_owned(),
        cause: "data drift".to_owned(),
        started_ms: at_ms,
        ended_ms: Some(at_ms + 3 * DAY_MS),
        outcome: outcome.to_owned(),
        candidate: Some(candidate),
        rows_train: Some(9_000 + 2_200 * index as u64),
        rows_holdout: verdict.map(|_| 2_204),
        difference: Some(difference),
        lower: Some(difference - 0.010),
        upper: Some(difference + 0.012),
        verdict,
        expected_saving: Some(140.0 - 9.0 * index as f64),
        realised_saving: (outcome == "promoted").then_some(131.5 - 12.0 * index as f64),
        cpu_seconds: cpu,
        explanation: format!("{text}\n\nCandidate and champion scored the same rows, which neither was trained on (DeLong's test, one-sided 95 %).\nLog loss 0.512 against 0.531; 3.1 % of the rows that were right turned wrong."),
    });
}

fn drift_columns(replay: &mut Replay, n: usize, noise: &mut Noise) {
    let names = [
        "dep_hour",
        "wind_speed",
        "visibility",
        "carrier",
        "dest",
        "precip",
        "pressure",
        "temp",
        "humidity",
        "distance",
        "origin",
        "day_of_week",
        "wind_gust_over_the_last_three_hours",
        "dew_point",
        "plane_age",
    ];
    for (rank, name) in names.iter().enumerate() {
        let base = 0.05 + 0.25 * noise.draw();
        let scores = (0..n).map(|index| {
            let wave = (index as f64 / (5.0 + rank as f64) + rank as f64).sin();
            let score = base + 0.16 * wave.max(0.0) + noise.around(0.05);
            (rank != 4 || index > 6).then_some(score.clamp(0.0, 1.0))
        });
        let importance = 0.24 * 0.78f64.powi(i32::try_from(rank).unwrap_or(0));
        replay.drift_columns.push(DriftColumn {
            name: (*name).to_owned(),
            importance,
            scores: scores.collect(),
        });
    }
}

fn arms(replay: &mut Replay, cost: Cost) {
    let ended =
        |outcome: &str| replay.runs.iter().filter(|run| run.outcome == outcome).count() as u64;
    let arm = |name: &str, retrains: u64, log_loss: f64, cpu: f64| {
        let values = replay.series(name);
        let defined = values.iter().flatten().count();
        Arm {
            name: name.to_owned(),
            metric_mean: (defined > 0)
                .then(|| values.iter().flatten().sum::<f64>() / defined as f64),
            log_loss: Some(log_loss),
            retrains,
            training_cpu_seconds: cpu,
            periods_undefined: (values.len() - defined) as u64,
            ..Arm::default()
        }
    };
    let mut arms = vec![
        arm("managed", ended("promoted") + ended("rolled back"), 0.519, cost.managed),
        arm("never", 0, 0.560, cost.never),
        arm("always", replay.periods.len().saturating_sub(1) as u64, 0.514, cost.always),
    ];
    arms[0].rejected = ended("rejected");
    arms[0].rolled_back = ended("rolled back");
    replay.arms = arms;
}

fn pairs(list: &[(&str, &str)]) -> Vec<(String, String)> {
    list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
}
