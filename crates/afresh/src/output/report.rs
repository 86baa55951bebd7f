//! A replay as the plain figures that the report is drawn from.

use std::path::Path;

use afresh_config::Config;
use afresh_config::config::ModelConfig;
use afresh_core::event::Outcome as RunOutcome;
use afresh_core::gate;
use afresh_core::history::RunRecord;
use afresh_report::replay as drawn;
use afresh_sim::replay::outcome::{Arm, Outcome};

use super::explain;

/// The report's figures.
pub fn of(outcome: &Outcome, config: &Config, model: &ModelConfig, path: &Path) -> drawn::Replay {
    drawn::Replay {
        model: outcome.model.to_string(),
        title: format!("{} – replay of its own history", outcome.model),
        metric: outcome.metric.name().to_owned(),
        higher_is_better: outcome.metric.higher_is_better(),
        period: config.replay.period.to_string(),
        window: crate::wiring::window(model.windows.scheduled).to_string(),
        generated_from: relative(path),
        periods: outcome
            .periods
            .iter()
            .map(|period| drawn::Period {
                from_ms: period.window.from.0,
                to_ms: period.window.to.0,
                rows: period.rows,
                managed: period.managed,
                never: period.never,
                always: period.always,
                champion: period.champion.map_or_else(String::new, |version| version.to_string()),
                drift: period.sight.as_ref().and_then(|sight| sight.observation.drift),
                drift_threshold: period
                    .sight
                    .as_ref()
                    .and_then(|sight| Some(sight.drift.as_ref()?.threshold)),
                unlabelled: period.unlabelled,
            })
            .collect(),
        marks: outcome.runs.iter().flat_map(|run| marks(run, outcome)).collect(),
        drift_columns: drift_columns(outcome),
        arms: [("managed", Some(&outcome.managed)), ("never", Some(&outcome.never))]
            .into_iter()
            .chain([("always", outcome.always.as_ref())])
            .filter_map(|(name, figures)| Some(arm(name, figures?)))
            .collect(),
        cost: outcome
            .periods
            .iter()
            .map(|period| drawn::Cost {
                managed: period.managed_cpu_seconds,
                never: 0.0,
                always: period.always_cpu_seconds,
            })
            .collect(),
        decisions: outcome
            .decisions
            .iter()
            .map(|row| drawn::Decision {
                at_ms: row.recorded.first_at.0,
                until_ms: row.recorded.last_at.0,
                count: row.recorded.count,
                action: row.recorded.decision.action.name().to_owned(),
                cause: row.recorded.decision.cause.name().to_owned(),
                reasons: row.recorded.decision.reasons.iter().map(ToString::to_string).collect(),
                run: row.recorded.decision.run.map(|run| run.to_string()),
            })
            .collect(),
        runs: outcome.runs.iter().map(|record| run(record, outcome)).collect(),
        policy: policy(model),
        notes: notes(outcome),
    }
}

/// The path as written, or its last two parts where it is absolute.
fn relative(path: &Path) -> String {
    if path.is_relative() {
        return path.display().to_string();
    }
    let parts = path.iter().rev().take(2).collect::<Vec<_>>();
    parts.iter().rev().map(|part| part.to_string_lossy()).collect::<Vec<_>>().join("/")
}

fn marks(run: &RunRecord, outcome: &Outcome) -> Vec<drawn::Mark> {
    if Some(run.run.id) == outcome.first_run {
        return Vec::new();
    }
    let kind = match run.outcome {
        Some(RunOutcome::Promoted | RunOutcome::Unproven) => drawn::MarkKind::Promoted,
        Some(RunOutcome::Rejected) => drawn::MarkKind::Rejected,
        Some(RunOutcome::RolledBack) => drawn::MarkKind::RolledBack,
        Some(RunOutcome::Failed | RunOutcome::TimedOut | RunOutcome::Cancelled) => {
            drawn::MarkKind::Failed
        }
        None if run.verdict == Some(gate::Verdict::Inconclusive) => drawn::MarkKind::Inconclusive,
        None => drawn::MarkKind::Started,
    };
    let version = run.candidate.map_or_else(|| run.run.id.to_string(), |of| of.to_string());
    // A promotion is drawn where the candidate began to serve; a rollback where it ended.
    let served = outcome
        .servings
        .iter()
        .find(|serving| serving.run == Some(run.run.id) && serving.version == run.candidate);
    let at = match kind {
        drawn::MarkKind::Promoted => served.map(|serving| serving.from),
        drawn::MarkKind::Rejected
        | drawn::MarkKind::RolledBack
        | drawn::MarkKind::Failed
        | drawn::MarkKind::Inconclusive
        | drawn::MarkKind::Started => run.ended_at,
    };
    let why = run.reasons.first().map_or("", |reason| reason.detail.as_str());
    let end = run.notes.last().map_or("", |reason| reason.detail.as_str());
    let text = format!("{}: {why}. {end}.", run.run.id);
    vec![drawn::Mark { at_ms: at.unwrap_or(run.run.decided_at).0, kind, version, text }]
}

fn drift_columns(outcome: &Outcome) -> Vec<drawn::DriftColumn> {
    let sights = || outcome.periods.iter().map(|period| period.sight.as_ref());
    let Some(first) = sights().flatten().find_map(|sight| sight.drift.as_ref()) else {
        return Vec::new();
    };
    let importance = sights().flatten().last().map(|sight| sight.importance.clone());
    first
        .columns
        .iter()
        .enumerate()
        .map(|(at, column)| drawn::DriftColumn {
            name: column.name.clone(),
            importance: importance
                .as_ref()
                .and_then(|importance| importance.get(at).copied())
                .unwrap_or(0.0),
            scores: sights()
                .map(|sight| {
                    let drift = sight?.drift.as_ref()?;
                    drift.columns.get(at).map(|column| column.score)
                })
                .collect(),
        })
        .collect()
}

fn arm(name: &str, arm: &Arm) -> drawn::Arm {
    drawn::Arm {
        name: name.to_owned(),
        metric_mean: arm.metric_mean,
        log_loss: arm.log_loss,
        retrains: arm.retrains as u64,
        rejected: arm.rejected as u64,
        rolled_back: arm.rolled_back as u64,
        training_cpu_seconds: arm.training_cpu_seconds,
        periods_undefined: arm.periods_undefined as u64,
    }
}

fn run(record: &RunRecord, outcome: &Outcome) -> drawn::Run {
    let saving = outcome.saving(record.run.id);
    let comparison = record.evidence.as_ref().and_then(|evidence| evidence.comparison);
    drawn::Run {
        id: record.run.id.to_string(),
        strategy: record.run.strategy.name().to_owned(),
        cause: record.run.cause.name().to_owned(),
        started_ms: record.run.decided_at.0,
        ended_ms: record.ended_at.map(|at| at.0),
        outcome: record.status.replace('_', " "),
        candidate: record.candidate.map(|version| version.to_string()),
        rows_train: Some(record.rows.train + record.rows.stopping).filter(|rows| *rows > 0),
        rows_holdout: Some(record.rows.holdout).filter(|rows| *rows > 0),
        difference: comparison.map(|seen| seen.difference),
        lower: comparison.map(|seen| seen.lower),
        upper: comparison.map(|seen| seen.upper),
        verdict: record.verdict.map(|verdict| match verdict {
            gate::Verdict::Pass => drawn::Verdict::Pass,
            gate::Verdict::Reject => drawn::Verdict::Reject,
            gate::Verdict::Inconclusive => drawn::Verdict::Inconclusive,
        }),
        expected_saving: saving.and_then(|saving| saving.expected),
        realised_saving: saving.and_then(|saving| Some(saving.realised?.value)),
        cpu_seconds: record.cpu_seconds,
        explanation: explain::run(record, saving),
    }
}

fn policy(model: &ModelConfig) -> Vec<(String, String)> {
    let policy = &model.policy;
    let mut figures = vec![
        ("policy".to_owned(), model.advice.rule.name()),
        ("retrains".to_owned(), model.advice.rule.to_string()),
        ("cooldown".to_owned(), policy.cooldown.to_string()),
        ("gate margin".to_owned(), format!("{}", policy.gate.margin)),
        ("minimum improvement".to_owned(), format!("{}", policy.gate.min_improvement)),
        (
            "probation".to_owned(),
            format!("{} and {} labels", policy.probation.at_least, policy.probation.labels),
        ),
    ];
    if let Some(limit) = policy.drift {
        figures.push(("drift threshold".to_owned(), format!("{limit}")));
    }
    figures
}

fn notes(outcome: &Outcome) -> Vec<String> {
    let mut notes = vec![
        "Every period is scored in hindsight on all its rows; decisions saw only rows whose label \
         was available by then."
            .to_owned(),
        "The first version is the same for all three and is in none of the counts. Training CPU is \
         user and system time of the whole process tree, refits included."
            .to_owned(),
    ];
    notes.extend(super::replay::savings(outcome).map(|words| {
        format!("{words}: the loss that each version spared the rows it answered, beside the version before it.")
    }));
    let undefined = outcome.managed.periods_undefined;
    if undefined > 0 {
        let metric = outcome.metric.name();
        notes.push(format!("{metric} cannot be computed in {undefined} periods."));
    }
    notes
}
