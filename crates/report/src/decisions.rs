//! The decision log: every decision with its reasons, filtered in the browser.

use maud::{Markup, html};

use crate::format;
use crate::page::Section;
use crate::replay::{Decision, Replay};
use crate::table::{Column, Filters, Frame, Row, Table, badge, prose};

pub(crate) fn section(replay: &Replay) -> Section {
    let table = Table {
        id: "decision-log",
        caption: "Decision log".to_owned(),
        columns: vec![
            Column::text("When (UTC)"),
            Column::text("Action"),
            Column::text("Cause"),
            Column::text("Reasons"),
            Column::text("Run"),
        ],
        rows: replay.decisions.iter().map(|decision| row(replay, decision)).collect(),
        empty: "No decision was taken.",
        frame: Frame::Scrolling,
        filters: Filters::TextAndKind,
    };
    let total = replay.decisions.iter().map(|decision| decision.count.max(1)).sum();
    let body = html! {
        @if !replay.decisions.is_empty() {
            p.lead {
                "Keeping is a decision too. " (format::plural(total, "decision"))
                " in " (format::plural(replay.decisions.len() as u64, "row"))
                ": equal ones that follow each other are told once."
            }
        }
        (table)
    };
    Section::new("decisions", "Decisions", body)
}

fn row(replay: &Replay, decision: &Decision) -> Row {
    let count = decision.count.max(1);
    let (tone, shape) = tone(&decision.action);
    Row::new(vec![
        when(decision, count),
        html! {
            (badge(tone, shape, &decision.action))
            @if count > 1 {
                " " span.times title={ (format::count(count)) " equal decisions" } { "× " (format::count(count)) }
            }
        },
        html! { (decision.cause) },
        html! {
            @match decision.reasons.as_slice() {
                [] => {},
                [only] => { (prose(only)) },
                many => { ul { @for reason in many { li { (prose(reason)) } } } },
            }
        },
        html! { @if let Some(run) = &decision.run {
            @if replay.runs.iter().any(|known| known.id == *run) {
                a href={ "#" (anchor(run)) } { (run) }
            } @else { (run) }
        } },
    ])
    .kind(&decision.action)
}

fn when(decision: &Decision, count: u64) -> Markup {
    html! {
        time datetime=(format::iso(decision.at_ms)) { (format::moment(decision.at_ms)) }
        @if count > 1 && decision.until_ms > decision.at_ms {
            br;
            span.until { "to " time datetime=(format::iso(decision.until_ms)) { (format::moment(decision.until_ms)) } }
        }
    }
}

/// The id of a run's row.
pub(crate) fn anchor(run: &str) -> String {
    let slug = format::slug(run);
    if slug.starts_with("run-") { slug } else { format!("run-{slug}") }
}

/// Class and shape for an action or an outcome, by the word it is about.
pub(crate) fn tone(word: &str) -> (&'static str, &'static str) {
    let word = word.to_lowercase().replace(['_', '-'], " ");
    let has = |parts: &[&str]| parts.iter().any(|part| word.contains(part));
    match () {
        () if has(&["roll back", "rollback", "rolled back"]) => ("rolled", "▼"),
        () if has(&["fail", "refus", "error", "cancel"]) => ("bad", "⊠"),
        () if has(&["reject"]) => ("bad", "✕"),
        () if has(&["promot", "pass", "ship"]) => ("good", "▲"),
        () if has(&["inconclusive", "wait", "defer", "postpone", "unproven"]) => ("warn", "◆"),
        () if has(&["train", "start", "run"]) => ("busy", "●"),
        () => ("calm", "–"),
    }
}
