//! A run told in plain words.

use afresh_core::history::RunRecord;

/// What happened in a run and why, a paragraph each.
pub fn run(record: &RunRecord) -> String {
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
            "It trained on {} rows, chose the number of rounds on {} later ones, and was judged on \
             {} rows that neither model had seen. Its trainings took {:.2} CPU seconds.",
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
        _ => paragraphs.push(format!("It is {}.", record.status.replace('_', " "))),
    }
    paragraphs.join("\n\n")
}
