//! A run told in plain words.

use afresh_core::fleet::Hold;
use afresh_core::gate::CheckResult;
use afresh_core::history::RunRecord;
use afresh_core::time::Timestamp;
use afresh_data::selection::{Emphasis, Selection};
use afresh_engine::saving::Saving;
use afresh_engine::workshop::Judgement;
use afresh_ml::compare::{Difference, Method, Outcome};
use afresh_train::artifact::Chosen;

/// What happened in a run and why, a paragraph each.
pub fn run(record: &RunRecord, saving: Option<&Saving>) -> String {
    let run = &record.run;
    let mut paragraphs = Vec::new();
    let why = record.reasons.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
    paragraphs.push(format!(
        "{} was decided at {} ({}, {}, priority {}): {why}.",
        run.id,
        run.decided_at,
        run.cause.name().replace('_', " "),
        run.strategy.name(),
        run.priority.level(),
    ));
    let rows = &record.rows;
    if rows.train > 0 {
        paragraphs.push(format!(
            "{} rows train it, {} later ones choose the number of rounds, and {} that neither \
             model has seen judge it. Its trainings took {:.2} CPU seconds.",
            rows.train, rows.stopping, rows.holdout, record.cpu_seconds
        ));
    }
    if let (Some(evidence), Some(judged)) = (&record.evidence, record.judged) {
        let metric = &evidence.metric;
        let value = evidence.candidate.map_or("undefined".to_owned(), |of| format!("{of:.4}"));
        let mut words = format!("{judged} reaches {metric} {value} on {} rows", evidence.rows);
        if let Some(seen) = &evidence.comparison {
            words = format!(
                "{words}, the champion {:.4}: a change of {:+.4}, surely between {:+.4} and {:+.4} \
                 (positive is better)",
                seen.champion, seen.difference, seen.lower, seen.upper
            );
        }
        if let Some(share) = evidence.negative_flips {
            words = format!("{words}; {:.2} % of the rows turn from right to wrong", share * 100.0);
        }
        if !evidence.harmed_slices.is_empty() {
            words = format!("{words}; worse on {}", evidence.harmed_slices.join(", "));
        }
        paragraphs.push(format!("{words}."));
    }
    if !record.notes.is_empty() {
        let notes = record.notes.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ");
        paragraphs.push(format!("{notes}."));
    }
    match (record.outcome, record.ended_at) {
        (Some(outcome), Some(at)) => {
            paragraphs.push(format!("It ended {} at {at}.", outcome.name().replace('_', " ")));
        }
        _ => paragraphs.push(format!("It is {}.", standing(&record.status))),
    }
    paragraphs.extend(saving.map(Saving::words));
    paragraphs.join("\n\n")
}

/// Which of the selections of a dataset trained a version, where that is more than a stretch of time. `chosen` stands with the
/// artifact, which may be elsewhere.
pub fn chosen(choices: &[Selection], chosen: Option<&Chosen>) -> Option<String> {
    let [only] = choices else { return several(choices, chosen) };
    Some(match only.emphasis {
        Emphasis::HalfLife(length) => {
            format!(
                "A row counts half as much for every {length} that it is older than the newest."
            )
        }
        Emphasis::Sample(rows) => format!("It is trained on a sample of {rows} of them at most."),
        Emphasis::Even => format!("It is trained on {}.", only.window),
    })
}

fn several(choices: &[Selection], chosen: Option<&Chosen>) -> Option<String> {
    if choices.is_empty() {
        return None;
    }
    let Some(chosen) = chosen else {
        let tried = choices.iter().map(name).collect::<Vec<_>>().join(", ");
        return Some(format!(
            "Its window was chosen among {tried}; which, and by what losses, stands with the artifact, \
             which is not on this machine."
        ));
    };
    let tried = choices.iter().zip(&chosen.losses).enumerate().map(|(at, (selection, loss))| {
        let loss = loss.map_or("not trained".to_owned(), |loss| format!("{loss:.4}"));
        let mark = if at == chosen.at { ", taken" } else { "" };
        format!("{} ({loss}{mark})", name(selection))
    });
    let tried = tried.collect::<Vec<_>>().join(", ");
    Some(format!(
        "Its window was chosen by the loss on the rows that choose the number of rounds: {tried}."
    ))
}

/// As `afresh.toml` would write it.
fn name(selection: &Selection) -> String {
    match (selection.emphasis, selection.window.from) {
        (Emphasis::HalfLife(length), _) => format!("half-life {length}"),
        (Emphasis::Sample(rows), _) => format!("sample {rows}"),
        (Emphasis::Even, Timestamp::MIN) => "all".to_owned(),
        (Emphasis::Even, _) => selection.window.length().to_string(),
    }
}

/// Where a run stands that is not over.
fn standing(status: &str) -> String {
    match status {
        "queued" => "waiting for free slots or budget",
        "retrying" => "waiting to be tried again",
        "waiting" => "waiting to be judged again",
        "awaiting_approval" => "waiting for a person's approval",
        "held" => "waiting for the end of a blackout",
        "probation" => "on probation",
        other => return other.replace('_', " "),
    }
    .to_owned()
}

/// Why a run may not have its slots.
pub fn hold(why: Hold) -> String {
    match why {
        Hold::Slots => "other runs have the slots; `afresh run --once` goes on when they are \
                        free"
            .to_owned(),
        Hold::TooLarge => "it needs more than [slots] allows: write more there, or less under \
                           [model.NAME.train.needs]"
            .to_owned(),
        Hold::Budget { free_at: Some(at) } => {
            format!("the budget is spent until {at}; `afresh run --once` goes on then")
        }
        Hold::Budget { free_at: None } => {
            "the budget is smaller than one run's estimate: raise `cost.budget`".to_owned()
        }
    }
}

/// Everything that a judgement measured.
pub fn judgement(judgement: &Judgement) -> String {
    let mut lines = vec![format!(
        "Judgement {} looked at {} rows whose labels became available from {} to {}.",
        judgement.judgement + 1,
        judgement.rows,
        judgement.available.from,
        judgement.available.to
    )];
    for check in &judgement.summary.checks {
        let word = match check.result {
            CheckResult::Passed => "passed",
            CheckResult::Failed => "failed",
        };
        let detail =
            if check.detail.is_empty() { String::new() } else { format!(" ({})", check.detail) };
        lines.push(format!("  {}: {word}{detail}", check.name));
    }
    let Some(evidence) = &judgement.evidence else {
        lines.push("There was no champion to compare with.".to_owned());
        return lines.join("\n");
    };
    lines.push(format!(
        "  {}, {}",
        difference(&evidence.primary),
        method(&evidence.primary.method)
    ));
    lines.extend(evidence.others.iter().map(|other| format!("  {}", difference(other))));
    for unmeasured in &evidence.unmeasured {
        lines.push(format!("  {}: {}", unmeasured.metric.name(), unmeasured.reason));
    }
    if let Some(calibration) = &evidence.calibration {
        lines.push(format!(
            "  calibration error {:.4}, was {:.4}",
            calibration.candidate.expected_calibration_error,
            calibration.champion.expected_calibration_error
        ));
    }
    if let Some(flips) = &evidence.flips {
        lines.push(format!(
            "  {:.2} % of the rows turn from right to wrong, {:.2} % from wrong to right",
            flips.negative * 100.0,
            flips.positive * 100.0
        ));
    }
    let mut sound = 0;
    for slice in &evidence.slices {
        match &slice.outcome {
            Outcome::Measured { difference, p_value_harm, harmed: true } => lines.push(format!(
                "  harmed: {}={} ({} rows, {:+.4}, p {p_value_harm:.4})",
                slice.column, slice.value, slice.rows, difference.difference
            )),
            Outcome::Measured { .. } => sound += 1,
            Outcome::Unmeasured { reason } => {
                lines.push(format!("  {}={}: {reason}", slice.column, slice.value));
            }
        }
    }
    if sound > 0 {
        lines.push(format!("  {sound} slices without harm"));
    }
    lines.join("\n")
}

fn difference(of: &Difference) -> String {
    format!(
        "{} {:.4}, was {:.4}: {:+.4} [{:+.4}, {:+.4}], p {:.4}",
        of.metric.name(),
        of.candidate,
        of.champion,
        of.difference,
        of.lower,
        of.upper,
        of.p_value
    )
}

fn method(method: &Method) -> String {
    match method {
        Method::DeLong => "by DeLong's covariance".to_owned(),
        Method::McNemar { champion_only, candidate_only, exact } => format!(
            "by McNemar's {} test: {champion_only} rows only the champion has right, \
             {candidate_only} only the candidate",
            if *exact { "exact" } else { "chi-square" }
        ),
        Method::PairedBootstrap { block, resamples } => {
            format!("by paired bootstrap, {resamples} resamples in blocks of {block}")
        }
    }
}
