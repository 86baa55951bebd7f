//! Draws a replay as one HTML file that works offline.
//!
//! Knows nothing of the rest of Afresh: callers fill [`Replay`] and write the text where they like.
//! `page`, `chart`, `cards` and `table` are the parts any report is made of; the other modules are
//! the sections of this one.

pub mod advice;
pub mod backtest;
pub mod replay;

pub mod cards;
pub mod chart;
pub mod decay_page;
pub mod drift_page;
pub mod format;
pub mod page;
pub mod table;

mod arms;
mod cost;
mod decisions;
mod drift;
mod performance;
mod runs;
mod verdict;

use maud::{Markup, html};
use page::{Page, Section};
pub use replay::{
    Arm, Cost, Decision, DriftColumn, Mark, MarkKind, Period, Replay, Run, Verdict as RunVerdict,
};

/// The whole report as one HTML document of about 5 MB, nearly all of it the chart library.
#[must_use]
pub fn render(replay: &Replay) -> String {
    let mut sections = vec![
        arms::section(replay),
        performance::section(replay),
        drift::section(replay),
        cost::section(replay),
        decisions::section(replay),
        runs::section(replay),
    ];
    sections.push(Section::new("about", "Policy and method", about(replay)));
    let title = if replay.title.is_empty() { &replay.model } else { &replay.title };
    Page { title: format!("{title} · Afresh replay"), header: verdict::header(replay), sections }
        .render()
}

fn about(replay: &Replay) -> Markup {
    html! {
        div.columns {
            @if !replay.policy.is_empty() {
                div {
                    h3 { "The policy that was replayed" }
                    dl.figures {
                        @for (name, value) in &replay.policy {
                            div { dt { (name) } dd { (value) } }
                        }
                    }
                }
            }
            div {
                h3 { "How to read these figures" }
                dl.method {
                    dt { "managed" }
                    dd { "Afresh under the policy above: it decides, trains, judges and ships by itself." }
                    dt { "never" }
                    dd { "The first version serves until the end." }
                    dt { "always" }
                    dd { "A new version every period on all available rows, shipped without being judged." }
                    dt { "mean " (format::metric_name(&replay.metric)) }
                    dd {
                        "The unweighted mean over the periods in which it is defined; "
                        @if replay.higher_is_better { "higher" } @else { "lower" }
                        " is better. Every period is scored on all its rows, in hindsight."
                    }
                    dt { "training CPU" }
                    dd { "User and system time of the training processes, as measured." }
                }
            }
        }
        @if !replay.notes.is_empty() {
            h3 { "Notes" }
            ul.notes { @for note in &replay.notes { li { (table::prose(note)) } } }
        }
    }
}
