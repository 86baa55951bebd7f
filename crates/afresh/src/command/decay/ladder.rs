//! What is known of a version, the surest evidence first, in words.

use afresh_engine::monitor::ladder::{Evidence, Finding, Rung, surest};
use serde_json::{Value, json};

use crate::output;

/// Headings of the table of rungs.
pub(super) const HEADINGS: [&str; 6] = ["evidence", "says", "measure", "figure", "limit", "rows"];

/// The rungs as a table; the one to go by is marked.
pub(super) fn tell(rungs: &[Rung]) {
    output::line("");
    output::line("What is known, the surest first:");
    let mut table = output::table(&HEADINGS);
    for row in rows(rungs) {
        table.add_row(row);
    }
    output::line(table);
    output::line(advice(rungs));
}

/// One row of the table for each rung.
pub(super) fn rows(rungs: &[Rung]) -> Vec<Vec<String>> {
    let marked = surest(rungs).map(|rung| rung.evidence);
    let figure = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |v| format!("{v:.4}"));
    let row = |rung: &Rung| {
        let mark = if marked == Some(rung.evidence) { " *" } else { "" };
        vec![
            format!("{}{mark}", name(rung.evidence)),
            says(rung.finding).to_owned(),
            rung.measure.replace('_', " "),
            figure(rung.value),
            figure(rung.limit),
            rung.rows.to_string(),
        ]
    };
    rungs.iter().map(row).collect()
}

/// What the surest rung means for what to do.
pub(super) fn advice(rungs: &[Rung]) -> &'static str {
    match surest(rungs).map(|rung| (rung.evidence, rung.finding)) {
        Some((Evidence::Labels, _)) => {
            "* Labels decide; the others only tell what to expect of rows whose label is not there yet."
        }
        Some((Evidence::Estimate, _)) => {
            "* No label is there yet: the estimate cannot see concept drift, and starts no run."
        }
        Some((Evidence::Predictions | Evidence::Inputs, _)) => {
            "* No label and no estimate: a move is no harm by itself, and starts no run."
        }
        None => "Nothing is known: there are neither labels nor rows enough.",
    }
}

/// The version in a clause, where no label has become available.
pub(super) fn verdict(rungs: &[Rung]) -> &'static str {
    match surest(rungs).map(|rung| (rung.evidence, rung.finding)) {
        Some((Evidence::Labels, _)) | None => "nothing else tells of it",
        Some((Evidence::Estimate, Finding::Worse)) => {
            "by the estimate it does worse than it was judged"
        }
        Some((Evidence::Estimate, _)) => "by the estimate it does as it was judged",
        Some((Evidence::Predictions, Finding::Worse)) => "its predictions moved",
        Some((Evidence::Predictions, _)) => "its predictions did not move",
        Some((Evidence::Inputs, Finding::Worse)) => "its rows drifted",
        Some((Evidence::Inputs, _)) => "its rows did not drift",
    }
}

/// For scripts.
pub(super) fn json(rungs: &[Rung]) -> Value {
    json!({ "by": surest(rungs).map(|rung| rung.evidence), "rungs": rungs })
}

fn name(evidence: Evidence) -> &'static str {
    match evidence {
        Evidence::Labels => "labels",
        Evidence::Estimate => "estimate without labels",
        Evidence::Predictions => "predictions",
        Evidence::Inputs => "inputs",
    }
}

fn says(finding: Finding) -> &'static str {
    match finding {
        Finding::Worse => "worse",
        Finding::Sound => "as before",
        Finding::Silent => "nothing",
    }
}
