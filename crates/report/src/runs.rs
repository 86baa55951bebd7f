//! Every retraining with its evidence: what was compared, on what, and how sure the gate was.

use maud::{Markup, html};

use crate::arms::decimals;
use crate::decisions::{anchor, tone};
use crate::format::{self, fixed, signed};
use crate::page::Section;
use crate::performance::capitalised;
use crate::replay::{Replay, Run, Verdict, defined};
use crate::table::{Column, Filters, Frame, Row, Table, badge, prose};

pub(crate) fn section(replay: &Replay) -> Section {
    let scale = Scale::of(&replay.runs, decimals(replay));
    let table = Table {
        id: "runs-table",
        caption: "Runs from decision to outcome".to_owned(),
        columns: vec![
            Column::text("Run"),
            Column::text("Began (UTC)"),
            Column::text("Strategy and cause"),
            Column::text("Candidate"),
            Column::number("Difference"),
            Column::text("Interval"),
            Column::text("Outcome"),
            Column::number("Saved"),
            Column::number("CPU"),
        ],
        rows: replay.runs.iter().map(|run| row(run, &scale)).collect(),
        empty: "No run was started.",
        frame: Frame::Scrolling,
        filters: Filters::TextAndKind,
    };
    let metric = format::metric_name(&replay.metric);
    let body = html! {
        @if !replay.runs.is_empty() {
            p.lead {
                "Candidate against champion on the same rows, which neither was trained on. The difference in "
                (metric) " is oriented so that right of zero is better."
            }
        }
        (table)
    };
    Section::new("runs", "Runs", body)
}

fn row(run: &Run, scale: &Scale) -> Row {
    let (class, shape) = tone(&run.outcome);
    let row = Row::new(vec![
        html! { strong { (run.id) } },
        html! { time datetime=(format::iso(run.started_ms)) { (format::moment(run.started_ms)) } },
        html! {
            (run.strategy)
            @if !run.cause.is_empty() && run.cause != run.strategy { br; small { (run.cause) } }
        },
        html! {
            (run.candidate.as_deref().unwrap_or("–"))
        },
        html! { (signed(run.difference, scale.decimals)) },
        scale.draw(run),
        badge(class, shape, &run.outcome),
        html! { (fixed(defined(run.realised_saving), 2)) },
        html! { (format::seconds(run.cpu_seconds)) },
    ]);
    row.id(anchor(&run.id)).kind(&run.outcome).detail(evidence(run, scale))
}

fn evidence(run: &Run, scale: &Scale) -> Markup {
    let count = |rows: Option<u64>| rows.map(format::count);
    let verdict = run.verdict.map(|verdict| match verdict {
        Verdict::Pass => "pass",
        Verdict::Reject => "reject",
        Verdict::Inconclusive => "inconclusive",
    });
    let bounds = defined(run.lower).zip(defined(run.upper)).map(|(lower, upper)| {
        let decimals = scale.decimals;
        format!("{} to {}", signed(Some(lower), decimals), signed(Some(upper), decimals))
    });
    let facts = [
        ("Ended", run.ended_ms.map(format::moment)),
        ("Trained on", count(run.rows_train).map(|rows| format!("{rows} rows"))),
        ("Judged on", count(run.rows_holdout).map(|rows| format!("{rows} rows"))),
        ("Difference", defined(run.difference).map(|d| signed(Some(d), scale.decimals))),
        ("Confidence bounds", bounds),
        ("Expected saving", defined(run.expected_saving).map(|saving| fixed(Some(saving), 2))),
        ("Realised saving", defined(run.realised_saving).map(|saving| fixed(Some(saving), 2))),
        ("Gate", verdict.map(str::to_owned)),
    ];
    html! {
        div.evidence {
            div.prose {
                @for paragraph in run.explanation.split("\n\n").filter(|p| !p.trim().is_empty()) {
                    p { @for (index, line) in paragraph.trim().lines().enumerate() {
                        @if index > 0 { br; } (prose(line))
                    } }
                }
                @if run.explanation.trim().is_empty() { p { "No explanation was recorded." } }
            }
            dl.figures {
                @for (name, value) in facts {
                    @if let Some(value) = value { div { dt { (name) } dd { (value) } } }
                }
            }
        }
    }
}

/// One horizontal scale for all runs' intervals, so that they can be compared by eye.
struct Scale {
    low: f64,
    high: f64,
    decimals: usize,
}

impl Scale {
    const WIDTH: f64 = 130.0;

    /// `decimals`: as many as the metric itself is shown with.
    fn of(runs: &[Run], decimals: usize) -> Scale {
        let values =
            || runs.iter().flat_map(|r| [r.lower, r.difference, r.upper]).filter_map(defined);
        let (low, high) = (values().fold(0.0, f64::min), values().fold(0.0, f64::max));
        Scale { low, high, decimals }
    }

    fn at(&self, value: f64) -> f64 {
        const INSET: f64 = 6.0;
        let spread = self.high - self.low;
        let share = if spread > 0.0 { (value - self.low) / spread } else { 0.5 };
        INSET + share * (Self::WIDTH - 2.0 * INSET)
    }

    fn draw(&self, run: &Run) -> Markup {
        let Some(difference) = defined(run.difference) else { return html! { "–" } };
        let lower = defined(run.lower).unwrap_or(difference);
        let upper = defined(run.upper).unwrap_or(difference);
        let place = |value: f64| format!("{:.1}", self.at(value));
        let class = match run.verdict {
            Some(Verdict::Pass) => "good",
            Some(Verdict::Reject) => "bad",
            Some(Verdict::Inconclusive) => "warn",
            None => "calm",
        };
        let label = format!(
            "{} between {} and {}",
            capitalised(&signed(Some(difference), self.decimals)),
            signed(Some(lower), self.decimals),
            signed(Some(upper), self.decimals)
        );
        html! {
            svg class={ "interval " (class) } viewBox={ "0 0 " (Self::WIDTH) " 18" } role="img" aria-label=(label) {
                title { (label) }
                line.zero x1=(place(0.0)) x2=(place(0.0)) y1="0" y2="18" {}
                line x1=(place(lower)) x2=(place(upper)) y1="9" y2="9" {}
                line x1=(place(lower)) x2=(place(lower)) y1="5" y2="13" {}
                line x1=(place(upper)) x2=(place(upper)) y1="5" y2="13" {}
                circle cx=(place(difference)) cy="9" r="4" {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(difference: f64, lower: f64, upper: f64) -> Run {
        let [difference, lower, upper] = [difference, lower, upper].map(Some);
        Run { difference, lower, upper, ..Run::default() }
    }

    #[test]
    fn all_intervals_share_a_scale_that_holds_zero() {
        let scale = Scale::of(&[run(0.02, 0.01, 0.03), run(0.01, 0.0, 0.02)], 3);
        assert!((scale.at(0.0) - 6.0).abs() < 1e-9 && (scale.at(0.03) - 124.0).abs() < 1e-9);
        assert!((Scale::of(&[], 3).at(0.0) - 65.0).abs() < 1e-9);
    }

    #[test]
    fn a_run_without_a_difference_has_a_dash() {
        let scale = Scale::of(&[], 3);
        assert_eq!(scale.draw(&run(f64::NAN, 0.0, 0.0)).into_string(), "–");
        let drawn = scale.draw(&Run { lower: None, ..run(0.0, 0.0, 0.0) }).into_string();
        assert!(drawn.contains("aria-label=\"0.000 between 0.000 and 0.000\""), "{drawn}");
    }
}
