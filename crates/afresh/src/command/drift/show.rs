//! What was found about two tables: a ranking for people, JSON for scripts.

use std::path::Path;

use afresh_engine::monitor::attribution::{PredictionShift, Slice};
use afresh_ml::drift::{CategoryShare, ColumnDrift};
use anyhow::Context as _;
use serde_json::{Value, json};

use super::compare::{Route, rank_error};
use super::tables::Finding;
use crate::fault::Fault;
use crate::output::{self, number};

/// Categories that a line names.
const NAMED_MAX: usize = 4;
/// Lines about slices and columns of the predictions.
const LINES_MAX: usize = 5;

impl Finding {
    /// Places of the columns by falling importance × score, then score, then name.
    pub(super) fn ranking(&self) -> Vec<usize> {
        let columns = &self.drift.columns;
        let mut ranking = (0..columns.len()).collect::<Vec<_>>();
        let adds = |at: usize| columns[at].score * self.importance.get(at).copied().unwrap_or(0.0);
        ranking.sort_by(|a, b| {
            adds(*b)
                .total_cmp(&adds(*a))
                .then_with(|| columns[*b].score.total_cmp(&columns[*a].score))
                .then_with(|| columns[*a].name.cmp(&columns[*b].name))
        });
        ranking
    }
}

/// Prints the verdict, the ranking and what else is worth a line.
pub(super) fn print(found: &Finding, page: Option<&Path>) {
    let drift = &found.drift;
    let word = if drift.drifted { "drifted" } else { "no drift" };
    output::line(format_args!(
        "{word}: score {:.3} of {} rows in {} against {} in {}",
        drift.score, drift.rows.current, found.current, drift.rows.reference, found.reference
    ));
    output::line(format_args!("{} {}", found.threshold.told(), found.route_told));
    output::line("");
    let header =
        ["column", "importance", "score", "KS or V", "Wasserstein", "PSI", "JS", "missing"];
    let mut table = output::table(&header);
    for at in found.ranking() {
        let column = &drift.columns[at];
        let mark = if column.drifted { " *" } else { "" };
        let strength = column.ks.map(|ks| ks.statistic);
        let strength = strength.or(column.chi_square.map(|test| test.cramers_v));
        let share = found.importance.get(at).copied().unwrap_or(0.0);
        table.add_row([
            format!("{}{mark}", column.name),
            if found.weighted { format!("{:.1} %", share * 100.0) } else { "–".to_owned() },
            format!("{:.3}", column.score),
            number(strength),
            number(column.wasserstein),
            number(column.psi),
            number(column.jensen_shannon),
            missing(column),
        ]);
    }
    output::line(table);
    let remarked = found.ranking().into_iter().map(|at| &drift.columns[at]);
    let remarks = remarked.flat_map(|column| {
        remarks(column).into_iter().map(|remark| format!("{}: {remark}", column.name))
    });
    section("", remarks.collect());
    if let Some(classifier) = &found.classifier {
        let columns = classifier.importance.iter().filter(|of| of.share >= 0.01).take(LINES_MAX);
        let columns = columns.map(|of| format!("{} {:.0} %", of.name, of.share * 100.0));
        let columns = columns.collect::<Vec<_>>().join(", ");
        let by = if columns.is_empty() { String::new() } else { format!(", by {columns}") };
        output::line(format_args!(
            "\ntold apart: AUC {:.3} of a model that sees whole rows (0.5 is by chance){by}",
            classifier.auc
        ));
    }
    let version = found.champion.as_deref().unwrap_or_default();
    attributed(found.predictions.as_ref(), version, &found.slices);
    section("notes:", found.notes.clone());
    if let Some(page) = page {
        output::line(format_args!("\npage: {}", page.display()));
    }
}

/// Prints how the predictions of `version` moved and which slices did.
pub(super) fn attributed(shift: Option<&PredictionShift>, version: &str, slices: &[Slice]) {
    if let Some(shift) = shift {
        output::line(format_args!(
            "\npredictions of {version}: mean {} {:.4} → {:.4}",
            shift.output, shift.reference, shift.current
        ));
        for column in shift.columns.iter().take(LINES_MAX) {
            output::line(format_args!("  {:+.4} by {} alone", column.change, column.name));
        }
    }
    let slices = slices.iter().filter(|slice| slice.score.is_some()).take(LINES_MAX);
    let slices = slices.map(|slice| {
        let value = slice.value.as_deref().unwrap_or("missing");
        let change = slice.prediction_change;
        let change = change.map_or(String::new(), |change| format!(", predictions {change:+.4}"));
        format!(
            "{} = {value}: score {} within, share {:.1} → {:.1} %{change}",
            slice.column,
            number(slice.score),
            slice.share.reference * 100.0,
            slice.share.current * 100.0
        )
    });
    section("slices that moved most:", slices.collect());
}

fn section(heading: &str, lines: Vec<String>) {
    if lines.is_empty() {
        return;
    }
    output::line("");
    if !heading.is_empty() {
        output::line(heading);
    }
    lines.into_iter().for_each(|line| output::line(format_args!("  {line}")));
}

/// Prints everything.
pub(super) fn json(found: &Finding, page: Option<&Path>) -> Result<(), Fault> {
    let mut value = serde_json::to_value(&found.drift).context("failed to write drift as JSON")?;
    value["columns"] = found
        .ranking()
        .into_iter()
        .map(|at| {
            let mut row = json!(found.drift.columns[at]);
            row["importance"] = json!(found.importance.get(at));
            row
        })
        .collect::<Value>();
    value["reference"] = json!(found.reference);
    value["current"] = json!(found.current);
    value["threshold_source"] = found.threshold.json();
    let error = found.drift.columns.iter().map(rank_error).fold(0.0, f64::max);
    value["route"] = match found.route {
        Route::Exact => json!({"kind": "exact", "explanation": found.route_told}),
        Route::Sketched { bytes } => json!({
            "kind": "sketched", "bytes": bytes, "rank_error": error, "explanation": found.route_told,
        }),
    };
    value["domain_classifier"] = json!(found.classifier);
    value["model"] = json!(found.champion);
    value["predictions"] = json!(found.predictions);
    value["slices"] = json!(found.slices);
    value["notes"] = json!(found.notes);
    value["page"] = json!(page.map(Path::to_string_lossy));
    output::json(&value);
    Ok(())
}

fn missing(column: &ColumnDrift) -> String {
    let shares = column.missing;
    if shares.reference <= 0.0 && shares.current <= 0.0 {
        return "–".to_owned();
    }
    format!("{:.1} → {:.1} %", shares.reference * 100.0, shares.current * 100.0)
}

/// What happened to a column besides moving, a few words each.
pub(super) fn remarks(column: &ColumnDrift) -> Vec<String> {
    let mut remarks = Vec::new();
    for (what, categories) in
        [("new", &column.new_categories), ("vanished", &column.vanished_categories)]
    {
        if !categories.is_empty() {
            remarks.push(format!("{what}: {}", listed(categories)));
        }
    }
    if column.new_categories.is_empty() && column.out_of_range > 0.0 {
        remarks.push(format!("{:.2} % outside the reference's range", column.out_of_range * 100.0));
    }
    let change = column.missing_rate_change();
    if change.abs() >= 0.001 {
        remarks.push(format!(
            "missing {:.1} % → {:.1} %",
            column.missing.reference * 100.0,
            column.missing.current * 100.0
        ));
    }
    remarks
}

fn listed(categories: &[CategoryShare]) -> String {
    let named = categories.iter().take(NAMED_MAX);
    let named =
        named.map(|category| format!("{} ({:.1} %)", category.name, category.share * 100.0));
    let named = named.collect::<Vec<_>>().join(", ");
    match categories.len().checked_sub(NAMED_MAX) {
        Some(more @ 1..) => format!("{named} and {more} more"),
        _ => named,
    }
}
