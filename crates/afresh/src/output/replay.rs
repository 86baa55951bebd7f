//! A replay as a table, and as JSON in the form that scripts rely on.

use std::path::Path;

use afresh_core::history::RunRecord;
use afresh_engine::port::DecisionRow;
use afresh_engine::saving::Saving;
use afresh_sim::replay::outcome::{Arm, Outcome};
use serde_json::{Value, json};

use super::{line, number, table};

/// Prints what the replay bought and what it cost.
pub fn print(outcome: &Outcome, report: &Path) {
    let metric = outcome.metric.name();
    let window = outcome.window();
    line(format_args!(
        "{}: {} periods from {} to {}, scored in hindsight on all their rows",
        outcome.model,
        outcome.periods.len(),
        window.from,
        window.to
    ));
    line("");
    let mean = format!("mean {metric}");
    let mut rows =
        table(&["", &mean, "log loss", "retrains", "rejected", "rolled back", "training CPU s"]);
    for (name, arm) in arms(outcome) {
        rows.add_row([
            name.to_owned(),
            number(arm.metric_mean),
            number(arm.log_loss),
            arm.retrains.to_string(),
            arm.rejected.to_string(),
            arm.rolled_back.to_string(),
            format!("{:.1}", arm.training_cpu_seconds),
        ]);
    }
    line(rows);
    line("");
    let mut rows = table(&["run", "decided", "cause", "outcome", "difference", "saved", "why"]);
    for run in &outcome.runs {
        let comparison = run.evidence.as_ref().and_then(|evidence| evidence.comparison);
        let difference = comparison.map_or_else(
            || "–".to_owned(),
            |seen| format!("{:+.4} [{:+.4}, {:+.4}]", seen.difference, seen.lower, seen.upper),
        );
        let why = run.reasons.first().map_or("", |reason| reason.detail.as_str());
        rows.add_row([
            run.run.id.to_string(),
            run.run.decided_at.to_string().chars().take(10).collect(),
            run.run.cause.name().to_owned(),
            run.status.clone(),
            difference,
            saved(outcome.saving(run.run.id)),
            why.to_owned(),
        ]);
    }
    line(rows);
    line("");
    if let Some(words) = savings(outcome) {
        line(words);
    }
    let undefined = outcome.managed.periods_undefined;
    if undefined > 0 {
        line(format_args!("{metric} cannot be computed in {undefined} periods; they are left out"));
    }
    line(format_args!("report: {}", report.display()));
}

/// `{model, metric, periods, managed, never, always, decisions, report}`; more keys may come.
pub fn json(outcome: &Outcome, report: &Path) -> Value {
    let window = outcome.window();
    json!({
        "model": outcome.model.as_str(),
        "metric": outcome.metric.name(),
        "from": window.from.to_string(),
        "to": window.to.to_string(),
        "periods": outcome.periods.iter().map(|period| json!({
            "from": period.window.from.to_string(),
            "to": period.window.to.to_string(),
            "rows": period.rows,
            "unlabelled": period.unlabelled,
            "champion": period.champion.map(|version| version.to_string()),
            "managed": period.managed,
            "never": period.never,
            "always": period.always,
            "drift": period.sight.as_ref().and_then(|sight| sight.observation.drift),
        })).collect::<Vec<_>>(),
        "managed": arm_json(&outcome.managed),
        "never": arm_json(&outcome.never),
        "always": outcome.always.as_ref().map(arm_json),
        "runs": outcome.runs.iter().map(|run| {
            let mut value = run_json(run);
            value["saving"] = saving_json(outcome.saving(run.run.id));
            value
        }).collect::<Vec<_>>(),
        "decisions": outcome.decisions.iter().map(decision_json).collect::<Vec<_>>(),
        "report": report.display().to_string(),
    })
}

/// One row of `runs`.
pub fn run_json(run: &RunRecord) -> Value {
    let comparison = run.evidence.as_ref().and_then(|evidence| evidence.comparison);
    json!({
        "id": run.run.id.to_string(),
        "cause": run.run.cause.name(),
        "strategy": run.run.strategy.name(),
        "priority": run.run.priority.level(),
        "decided_at": run.run.decided_at.to_string(),
        "ended_at": run.ended_at.map(|at| at.to_string()),
        "status": run.status,
        "outcome": run.outcome.map(|outcome| outcome.name()),
        "dataset": run.dataset.as_ref().map(|dataset| dataset.0.clone()),
        "rows": run.rows,
        "judged": run.judged.map(|version| version.to_string()),
        "candidate": run.candidate.map(|version| version.to_string()),
        "verdict": run.verdict,
        "judgements": run.judgements,
        "difference": comparison.map(|seen| seen.difference),
        "lower": comparison.map(|seen| seen.lower),
        "upper": comparison.map(|seen| seen.upper),
        "cpu_seconds": run.cpu_seconds,
        "reasons": run.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "notes": run.notes.iter().map(ToString::to_string).collect::<Vec<_>>(),
    })
}

/// Expected and realised saving of a run; `null` where nothing was expected of it.
pub fn saving_json(saving: Option<&Saving>) -> Value {
    let Some(saving) = saving else { return Value::Null };
    json!({
        "expected": saving.expected,
        "cost": saving.cost,
        "horizon": saving.horizon.to_string(),
        "over": saving.over,
        "realised": saving.realised.map(|realised| json!({
            "value": realised.value,
            "rows": realised.rows,
            "version": realised.version.to_string(),
            "replaced": realised.replaced.to_string(),
            "from": realised.from.to_string(),
            "to": realised.to.to_string(),
        })),
    })
}

/// Realised of expected saving in a cell.
pub fn saved(saving: Option<&Saving>) -> String {
    let Some(saving) = saving else { return "–".to_owned() };
    let cell = |value: Option<f64>| value.map_or("–".to_owned(), |value| format!("{value:.2}"));
    let realised = saving.realised.map(|realised| realised.value);
    format!("{} of {}", cell(realised), cell(saving.expected))
}

/// What all retrainings together saved of what was expected of them; `None` where none has served.
pub fn savings(outcome: &Outcome) -> Option<String> {
    let pairs = outcome.savings.iter().filter_map(|of| Some((of.expected?, of.realised?.value)));
    let (count, expected, realised) = pairs
        .fold((0, 0.0, 0.0), |(count, sum, total), (expected, realised)| {
            (count + 1, sum + expected, total + realised)
        });
    let served = if count == 1 { "1 retraining" } else { &format!("{count} retrainings") };
    (count > 0).then(|| {
        format!("{served} that served saved {realised:.2} of the {expected:.2} that was expected")
    })
}

/// One row of `decisions`.
pub fn decision_json(row: &DecisionRow) -> Value {
    let recorded = &row.recorded;
    let decision = &recorded.decision;
    json!({
        "id": row.id,
        "at": recorded.first_at.to_string(),
        "last_at": recorded.last_at.to_string(),
        "count": recorded.count,
        "min": recorded.min,
        "max": recorded.max,
        "last": recorded.last,
        "model": row.model.as_str(),
        "action": decision.action.name(),
        "cause": decision.cause.name(),
        "reasons": decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "policy": decision.policy.to_string(),
        "run": decision.run.map(|run| run.to_string()),
        "by": decision.by,
    })
}

fn arms(outcome: &Outcome) -> impl Iterator<Item = (&'static str, &Arm)> {
    let always = outcome.always.as_ref().map(|arm| ("always", arm));
    [("managed", &outcome.managed), ("never", &outcome.never)].into_iter().chain(always)
}

fn arm_json(arm: &Arm) -> Value {
    json!({
        "metric_mean": arm.metric_mean,
        "periods_undefined": arm.periods_undefined,
        "log_loss": arm.log_loss,
        "retrains": arm.retrains,
        "rejected": arm.rejected,
        "rolled_back": arm.rolled_back,
        "training_cpu_seconds": arm.training_cpu_seconds,
    })
}

/// The predictions of a replay as CSV, in the columns that `afresh advise` looks for.
pub fn log(outcome: &Outcome, classes: &[String]) -> String {
    let many = classes.len() > 2;
    let predictions = if many {
        let names = classes.iter().map(|class| quoted(&format!("prediction_{class}")));
        names.collect::<Vec<_>>().join(",")
    } else {
        "prediction".to_owned()
    };
    let mut text = format!("time,{predictions},label,label_time\n");
    for row in &outcome.log {
        let numbers = row.prediction.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a class index"
        )]
        let label = match classes.get(row.label as usize) {
            // In two classes the positive one is 1, whatever it is called.
            Some(class) if many => quoted(class),
            _ => row.label.to_string(),
        };
        let known = row.label_time.map_or_else(String::new, |at| at.to_string());
        text.push_str(&format!("{},{numbers},{label},{known}\n", row.at));
    }
    text
}

/// A field of CSV.
fn quoted(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}
