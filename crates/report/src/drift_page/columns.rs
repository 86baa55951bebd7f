//! The columns of a drift page: ranked by what they contribute, drawn, and in numbers.

use maud::{Markup, html};
use serde_json::json;

use super::{ColumnPage, DriftPage, picture};
use crate::chart::{Chart, TimeAxis, escaped, number};
use crate::format::{self, fixed, percent};
use crate::page::Section;
use crate::replay::defined;
use crate::table::{Column, Filters, Frame, Row, Table};

/// Bars of the ranking; the table holds every column.
const BARS_MAX: usize = 30;
/// Columns that are drawn.
const PICTURES_MAX: usize = 60;
const LABEL_LENGTH_MAX: usize = 28;

/// By falling contribution (importance × score), then by score, then by name.
pub(super) fn ranked(columns: &[ColumnPage]) -> Vec<&ColumnPage> {
    let mut ranked = columns.iter().collect::<Vec<_>>();
    ranked.sort_by(|a, b| {
        let by = |of: fn(&ColumnPage) -> f64| of(b).total_cmp(&of(a));
        by(contribution).then_with(|| by(score)).then_with(|| a.name.cmp(&b.name))
    });
    ranked
}

fn score(column: &ColumnPage) -> f64 {
    defined(Some(column.score)).unwrap_or(0.0)
}

/// What the column adds to the drift score.
fn contribution(column: &ColumnPage) -> f64 {
    score(column) * defined(Some(column.importance)).unwrap_or(0.0)
}

pub(super) fn ranking(drift: &DriftPage, ranked: &[&ColumnPage]) -> Section {
    let shown = ranked.get(..BARS_MAX).unwrap_or(ranked);
    let body = html! {
        @if shown.is_empty() { p.empty { "No column was compared." } }
        @else { (ranking_chart(drift, shown, ranked.len())) }
    };
    Section::new("ranking", "What moved", body)
}

fn ranking_chart(drift: &DriftPage, shown: &[&ColumnPage], all: usize) -> Chart {
    let rows = u32::try_from(shown.len()).unwrap_or(0);
    let colour = |column: &&ColumnPage| if column.drifted { "var(--bad)" } else { "var(--drift)" };
    let bars = json!({
        "type": "bar", "orientation": "h",
        "x": shown.iter().map(|column| number(defined(Some(column.score)), 4)).collect::<Vec<_>>(),
        "y": (0..rows).collect::<Vec<_>>(),
        "marker": { "color": shown.iter().map(colour).collect::<Vec<_>>() },
        "customdata": shown.iter().map(|column| format!(
            "<b>{}</b> moved {}<br>importance {} · adds {} to the score",
            escaped(&column.name), fixed(Some(column.score), 3), percent(column.importance), fixed(Some(contribution(column)), 4)
        )).collect::<Vec<_>>(),
        "hovertemplate": "%{customdata}<extra></extra>",
        "text": shown.iter().map(|column| fixed(defined(Some(column.score)), 3)).collect::<Vec<_>>(),
        "textposition": "outside", "cliponaxis": false, "textfont": { "color": "var(--ink)", "size": 11 },
    });
    let highest = shown.iter().map(|column| score(column)).fold(drift.threshold, f64::max);
    let order = if drift.weighted { "importance × score" } else { "score" };
    let rest = if all > shown.len() {
        format!(" The {} others are in the table below.", all - shown.len())
    } else {
        String::new()
    };
    Chart {
        id: "chart-ranking",
        title: "Columns by what they add to the drift".to_owned(),
        caption: format!(
            "How far each column moved: 0 is no change, 1 is nothing in common. Ordered by {order}; the dashed line is the threshold.{rest}"
        ),
        summary: format!(
            "Bar chart of {} columns; the first is {} with a score of {}.",
            shown.len(),
            shown.first().map_or("none", |column| column.name.as_str()),
            fixed(shown.first().map(|column| column.score), 3),
        ),
        height: 60 + rows * 24,
        traces: vec![bars],
        layout: json!({
            "hovermode": "closest", "bargap": 0.35, "showlegend": false, "margin": { "r": 48, "t": 16 },
            "xaxis": { "range": [0.0, (highest * 1.08).clamp(0.05, 1.08)], "title": { "text": "score" }, "fixedrange": true },
            "yaxis": {
                "autorange": "reversed", "showgrid": false, "zeroline": false, "fixedrange": true, "ticks": "",
                "tickvals": (0..rows).collect::<Vec<_>>(),
                "ticktext": shown.iter().map(|column| escaped(&format::shortened(&column.name, LABEL_LENGTH_MAX))).collect::<Vec<_>>(),
                "tickfont": { "color": "var(--ink)", "size": 11 },
            },
            "shapes": [{
                "type": "line", "yref": "paper", "y0": 0, "y1": 1, "x0": drift.threshold, "x1": drift.threshold,
                "line": { "color": "var(--bad)", "width": 1.5, "dash": "dash" },
            }],
        }),
        narrow: json!({ "margin": { "l": 40 } }),
        time: TimeAxis::None,
    }
}

pub(super) fn pictures(drift: &DriftPage, ranked: &[&ColumnPage]) -> Section {
    let shown = ranked.get(..PICTURES_MAX).unwrap_or(ranked);
    let body = html! {
        @if shown.is_empty() { p.empty { "No column was compared." } }
        @else {
            p.key {
                span.reference { (drift.reference.name) }
                span.current { (drift.current.name) }
            }
            div.distributions { @for column in shown { (panel(column)) } }
            @if ranked.len() > shown.len() {
                p.details { (format!("The {} columns that add least are not drawn; the table below has their figures.", ranked.len() - shown.len())) }
            }
        }
    };
    Section::new("pictures", "Both distributions", body)
}

fn panel(column: &ColumnPage) -> Markup {
    let what = format!(
        "Distribution of {} in both windows, score {}",
        column.name,
        fixed(Some(column.score), 3)
    );
    let tone = if column.drifted { "badge bad" } else { "badge" };
    html! {
        article.distribution-panel {
            h3 { code { (column.name) } span class=(tone) { (fixed(defined(Some(column.score)), 3)) } }
            (picture::draw(&column.picture, &what))
            @if !column.remarks.is_empty() {
                ul { @for remark in &column.remarks { li { (remark) } } }
            }
        }
    }
}

pub(super) fn numbers(drift: &DriftPage, ranked: &[&ColumnPage]) -> Section {
    let mut names = Vec::<&str>::new();
    for (name, _) in ranked.iter().flat_map(|column| &column.measures) {
        if !names.contains(&name.as_str()) {
            names.push(name);
        }
    }
    let titles = ["Kind", "Importance", "Score"].into_iter().chain(names.iter().copied());
    let mut headings = vec![Column::text("Column")];
    headings.extend(
        titles.map(
            |title| {
                if title == "Kind" { Column::text(title) } else { Column::number(title) }
            },
        ),
    );
    let row = |column: &&ColumnPage| {
        let mut cells = vec![
            html! { code { (column.name) } @if column.drifted { " " span.badge.bad { "drifted" } } },
            html! { (column.kind) },
            html! { (percent(column.importance)) },
            html! { (fixed(defined(Some(column.score)), 3)) },
        ];
        for name in &names {
            let value = column.measures.iter().find(|(other, _)| other == name);
            cells.push(html! { (value.map_or("–", |(_, value)| value.as_str())) });
        }
        Row::new(cells)
    };
    let table = Table {
        id: "drift-numbers",
        caption: format!(
            "Every measure of every column, {} against {}",
            drift.current.name, drift.reference.name
        ),
        columns: headings,
        rows: ranked.iter().map(row).collect(),
        empty: "No column was compared.",
        frame: Frame::Scrolling,
        filters: Filters::None,
    };
    Section::new("numbers", "In numbers", html! { (table) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_rank_by_importance_times_score() {
        let column = |name: &str, importance, score| ColumnPage {
            name: name.to_owned(),
            importance,
            score,
            ..ColumnPage::default()
        };
        let columns = [
            column("idle", 0.0, 0.9),
            column("much", 0.6, 0.3),
            column("unknown", 0.2, f64::NAN),
            column("some", 0.2, 0.5),
        ];
        let names = ranked(&columns).iter().map(|column| column.name.as_str()).collect::<Vec<_>>();
        assert_eq!(names, ["much", "some", "idle", "unknown"]);
    }
}
