//! Drift over time: the model's score against its threshold, and every column's by importance.

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::chart::{Chart, TimeAxis, escaped, number};
use crate::format::{self, fixed, percent};
use crate::page::Section;
use crate::performance::{history, middle, point_size};
use crate::replay::{DriftColumn, Period, Replay, defined};
use crate::table::{Column, Filters, Frame, Row, Table};

/// Rows of the heat map; the table below it holds every column.
const COLUMNS_MAX: usize = 40;
const LABEL_LENGTH_MAX: usize = 24;
const LABEL_LENGTH_NARROW: usize = 13;

pub(crate) fn section(replay: &Replay) -> Section {
    let columns = by_importance(&replay.drift_columns);
    let scored = replay.periods.iter().any(|period| defined(period.drift).is_some());
    let measured = columns.iter().any(|column| column.scores.iter().any(|s| defined(*s).is_some()));
    let body = html! {
        @if replay.periods.is_empty() || !(scored || measured) {
            p.empty { "No drift was measured." }
        } @else {
            @if scored { (score_chart(replay)) }
            @if measured { (heat_map(replay, &columns)) (numbers(replay, &columns)) }
        }
    };
    Section::new("drift", "Drift", body)
}

fn by_importance(columns: &[DriftColumn]) -> Vec<&DriftColumn> {
    let mut sorted = columns.iter().collect::<Vec<_>>();
    let known = |column: &DriftColumn| defined(Some(column.importance)).unwrap_or(0.0);
    sorted.sort_by(|a, b| known(b).total_cmp(&known(a)).then_with(|| a.name.cmp(&b.name)));
    sorted
}

/// Where drift begins in each period.
fn thresholds(replay: &Replay) -> Vec<Option<f64>> {
    let of = |period: &Period| defined(period.drift_threshold).filter(|limit| *limit > 0.0);
    replay.periods.iter().map(of).collect()
}

/// Where it begins in the newest period that says so.
fn threshold(replay: &Replay) -> Option<f64> {
    thresholds(replay).into_iter().flatten().next_back()
}

fn score_chart(replay: &Replay) -> Chart {
    let (from_ms, to_ms) = history(&replay.periods);
    let (limit, limits) = (threshold(replay), thresholds(replay));
    let scores = replay.periods.iter().map(|period| defined(period.drift)).collect::<Vec<_>>();
    let reached = scores.iter().zip(&limits);
    let reached = reached.map(|pair| matches!(pair, (Some(score), Some(limit)) if score >= limit));
    let reached = reached.collect::<Vec<_>>();
    let moved = limits.iter().flatten().any(|other| Some(*other) != limit);
    let size = point_size(scores.len());
    let line = json!({
        "type": "scatter", "mode": "lines+markers", "name": "drift score",
        "x": replay.periods.iter().map(middle).collect::<Vec<_>>(),
        "y": scores.iter().map(|&score| number(score, 4)).collect::<Vec<_>>(),
        "customdata": replay.periods.iter().zip(&limits).zip(&reached).map(|((period, limit), over)| {
            let span = format::span(period.from_ms, period.to_ms);
            match limit {
                Some(limit) if *over => format!("{span} · reaches the threshold of {limit:.3}"),
                Some(limit) => format!("{span} · below the threshold of {limit:.3}"),
                None => span,
            }
        }).collect::<Vec<_>>(),
        "hovertemplate": "<b>drift %{y:.3f}</b><br>%{customdata}<extra></extra>",
        "line": { "color": "var(--drift)", "width": 2 },
        "marker": {
            "opacity": 1,
            "symbol": reached.iter().map(|over| if *over { "diamond" } else { "circle" }).collect::<Vec<_>>(),
            "size": reached.iter().map(|over| if *over { size + 4.0 } else { size }).collect::<Vec<_>>(),
            "color": reached.iter().map(|over| if *over { "var(--bad)" } else { "var(--drift)" }).collect::<Vec<_>>(),
        },
    });
    let limited = json!({
        "type": "scatter", "mode": "lines", "name": "threshold", "hoverinfo": "skip",
        "x": replay.periods.iter().map(middle).collect::<Vec<_>>(),
        "y": limits.iter().map(|&limit| number(limit, 4)).collect::<Vec<_>>(),
        "line": { "color": "var(--bad)", "width": 1.5, "dash": "dash", "shape": "hvh" },
    });
    let highest = scores.iter().chain(&limits).flatten().copied().fold(0.0, f64::max);
    let n_over = reached.iter().filter(|over| **over).count();
    let against = limit.map_or(String::new(), |limit| {
        let which = if moved { "their threshold, at last" } else { "the threshold of" };
        format!(" {n_over} of {} periods reach {which} {limit:.2}.", scores.len())
    });
    Chart {
        id: "chart-drift-score",
        title: "Drift score of the model".to_owned(),
        caption: format!(
            "The columns' scores averaged by importance: 0 is no change, 1 is nothing in common.{against}"
        ),
        summary: format!("Line chart of the drift score, at most {highest:.2}.{against}"),
        height: 210,
        traces: vec![limited, line],
        layout: json!({
            "hovermode": "closest", "hoverdistance": 40, "showlegend": false, "margin": { "r": 66 },
            "yaxis": { "range": [0.0, (highest * 1.18).max(0.05)], "title": { "text": "score" }, "fixedrange": true, "nticks": 5 },
            "annotations": limit.map(|limit| json!({
                "xref": "paper", "x": 1, "xanchor": "left", "y": limit, "yanchor": "middle", "showarrow": false,
                "text": format!("threshold<br>{limit:.2}"), "align": "left", "xshift": 4, "font": { "color": "var(--bad)", "size": 11 },
            })).into_iter().collect::<Vec<_>>(),
        }),
        narrow: json!({ "margin": { "l": 40 }, "yaxis": { "title": { "text": "" } } }),
        time: TimeAxis::Span { from_ms, to_ms },
    }
}

fn heat_map(replay: &Replay, columns: &[&DriftColumn]) -> Chart {
    let (from_ms, to_ms) = history(&replay.periods);
    let shown = columns.get(..COLUMNS_MAX).unwrap_or(columns);
    let rows = u32::try_from(shown.len()).unwrap_or(0);
    let edges =
        replay.periods.iter().map(|period| period.from_ms).chain([to_ms]).collect::<Vec<_>>();
    let score =
        |column: &DriftColumn, index: usize| number(column.scores.get(index).copied().flatten(), 4);
    let highest = shown.iter().flat_map(|column| &column.scores).filter_map(|s| defined(*s));
    let highest = highest.fold(0.0, f64::max);
    let top = highest.max(threshold(replay).map_or(0.0, |limit| limit * 1.5)).max(0.05);
    let gap = if replay.periods.len() > 120 { 0.0 } else { 1.5 };
    let map = json!({
        "type": "heatmap", "x": edges, "y": shown.iter().map(|column| hover_label(column)).collect::<Vec<_>>(),
        "z": shown.iter().map(|column| (0..replay.periods.len()).map(|i| score(column, i)).collect::<Vec<_>>()).collect::<Vec<_>>(),
        "hovertemplate": "<b>%{z:.3f}</b> %{y}<br>around %{x|%-d %b %Y}<extra></extra>", "hoverongaps": false,
        "zmin": 0, "zmax": number(Some(top), 4), "xgap": gap, "ygap": 1.5,
        "colorscale": color_scale(threshold(replay), top),
        "colorbar": {
            "thickness": 10, "outlinewidth": 0, "x": 1.01, "xpad": 4, "ypad": 0, "nticks": 5,
            "tickfont": { "color": "var(--soft)", "size": 11 }, "title": { "text": "" },
        },
    });
    let hidden = columns.len() - shown.len();
    let labels = |length: usize| {
        let short = shown.iter().map(|column| format::shortened(&column.name, length));
        short.map(|name| escaped(&name)).collect::<Vec<_>>()
    };
    let missing = shown.iter().any(|c| (0..replay.periods.len()).any(|i| score(c, i).is_null()));
    let blank = if missing { " Blank: not measured." } else { "" };
    let note = if hidden > 0 {
        format!(" The {hidden} less important columns are in the table below.")
    } else {
        String::new()
    };
    let limit = threshold(replay).map_or(String::new(), |limit| {
        format!(" Warm colours begin at {limit:.2}, the threshold of the whole score.")
    });
    Chart {
        id: "chart-drift-columns",
        title: "Drift by column".to_owned(),
        caption: format!(
            "One row a column, the most important on top; one cell a period.{limit}{blank}{note}"
        ),
        summary: format!(
            "Heat map of drift by column and period; the table below holds its figures. Highest score {highest:.2}."
        ),
        height: 70 + rows * 22,
        traces: vec![map],
        layout: json!({
            "hovermode": "closest",
            "yaxis": {
                "type": "category", "autorange": "reversed", "showgrid": false, "zeroline": false, "fixedrange": true, "ticks": "",
                "tickvals": (0..rows).collect::<Vec<_>>(),
                "ticktext": labels(LABEL_LENGTH_MAX),
                "tickfont": { "color": "var(--ink)", "size": 11 },
            },
        }),
        narrow: json!({ "margin": { "r": 4 }, "yaxis": { "tickfont": { "size": 10 }, "ticktext": labels(LABEL_LENGTH_NARROW) } }),
        time: TimeAxis::Span { from_ms, to_ms },
    }
}

fn hover_label(column: &DriftColumn) -> String {
    format!("{} · importance {}", escaped(&column.name), share(column.importance))
}

fn share(importance: f64) -> String {
    defined(Some(importance)).map_or("–".to_owned(), percent)
}

/// Cool colours below the threshold and warm ones from it on, ever darker or brighter.
fn color_scale(limit: Option<f64>, top: f64) -> Value {
    match limit.map(|limit| limit / top).filter(|at| (0.0..1.0).contains(at)) {
        Some(at) => json!([
            [0.0, "var(--heat-0)"],
            [at, "var(--heat-1)"],
            [at, "var(--heat-2)"],
            [1.0, "var(--heat-3)"]
        ]),
        None => json!([[0.0, "var(--heat-0)"], [1.0, "var(--heat-1)"]]),
    }
}

fn numbers(replay: &Replay, columns: &[&DriftColumn]) -> Markup {
    let row = |column: &&DriftColumn| {
        let scores = replay.periods.iter().zip(&column.scores);
        let defined = scores.filter_map(|(period, score)| Some((period, defined(*score)?)));
        let defined = defined.collect::<Vec<_>>();
        let highest = defined.iter().max_by(|a, b| a.1.total_cmp(&b.1));
        let mean = defined.iter().map(|(_, score)| score).sum::<f64>() / defined.len() as f64;
        let over = threshold(replay).map(|t| defined.iter().filter(|(_, s)| *s >= t).count());
        Row::new(vec![
            html! { code { (column.name) } },
            html! { (share(column.importance)) },
            html! { (fixed(Some(mean), 3)) },
            html! { (fixed(highest.map(|(_, score)| *score), 3)) },
            html! { (highest.map_or("–".to_owned(), |(period, _)| format::date(period.from_ms))) },
            html! { (over.map_or("–".to_owned(), |n| n.to_string())) },
        ])
    };
    let table = Table {
        id: "drift-columns",
        caption: "Drift by column, most important first".to_owned(),
        columns: vec![
            Column::text("Column"),
            Column::number("Importance"),
            Column::number("Mean score"),
            Column::number("Highest"),
            Column::number("in the period of"),
            Column::number("Periods over threshold"),
        ],
        rows: columns.iter().map(row).collect(),
        empty: "No drift was measured.",
        frame: Frame::Scrolling,
        filters: Filters::None,
    };
    html! { details.numbers { summary { "The same in numbers" } (table) } }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_most_important_column_comes_first() {
        let column = |name: &str, importance| DriftColumn {
            name: name.to_owned(),
            importance,
            scores: Vec::new(),
        };
        let columns =
            [column("b", 0.1), column("nan", f64::NAN), column("a", 0.1), column("c", 0.8)];
        let names = by_importance(&columns).iter().map(|c| c.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["c", "a", "b", "nan"]);
    }

    #[test]
    fn colours_jump_at_the_threshold() {
        assert_eq!(color_scale(Some(0.3), 0.6)[1][0], json!(0.5));
        assert_eq!(color_scale(Some(0.3), 0.6)[2][0], json!(0.5));
        assert_eq!(color_scale(None, 0.6).as_array().map(Vec::len), Some(2));
    }
}
