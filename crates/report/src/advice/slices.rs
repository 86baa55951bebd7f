//! Parts of the rows by what their loss rose by, and the levels of the excess loss.

use maud::{Markup, html};
use serde_json::json;

use super::{Advice, Interval};
use crate::chart::{Chart, TimeAxis, number};
use crate::format;
use crate::table::{Column, Filters, Frame, Row, Table};

/// Parts that the picture shows at most.
const DRAWN: usize = 20;

/// A stretch over which the excess loss of a version lay at one level.
#[derive(Clone, Debug, PartialEq)]
pub struct Level {
    /// Beginning, in milliseconds since 1970.
    pub from_ms: i64,
    /// End.
    pub to_ms: i64,
    /// What served most.
    pub version: String,
    /// Mean excess.
    pub excess: f64,
}

/// The rows of one value of one column.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Column and value.
    pub name: String,
    /// Labelled rows.
    pub rows: u64,
    /// Mean loss in the first third of the log.
    pub first: f64,
    /// Mean loss in its last third.
    pub last: f64,
    /// What it rose by, how hard the rows were taken out.
    pub rise: Interval,
    /// The same of all other rows.
    pub rise_of_rest: Option<f64>,
    /// Corrected for all values that were looked at.
    pub p_value: f64,
    /// Whether that is beyond chance.
    pub is_worse: bool,
}

pub(super) fn levels(advice: &Advice) -> Markup {
    let last = advice.levels.len().saturating_sub(1);
    let several = advice.levels.windows(2).any(|pair| pair[0].version != pair[1].version);
    let rows = advice.levels.iter().enumerate().map(|(at, level)| {
        let to = if at == last { "now".to_owned() } else { format::date(level.to_ms) };
        let mut cells = vec![html! { (format::date(level.from_ms)) }, html! { (to) }];
        cells.extend(several.then(|| html! { (level.version) }));
        cells.push(html! { (format!("{:+.4}", level.excess)) });
        Row::new(cells)
    });
    let mut columns = vec![Column::text("from"), Column::text("to")];
    columns.extend(several.then(|| Column::text("version")));
    columns.push(Column::number("excess loss"));
    let table = Table {
        id: "table-levels",
        caption: "Where the excess loss over a fresh model lay".to_owned(),
        columns,
        rows: rows.collect(),
        empty: "",
        frame: Frame::Whole,
        filters: Filters::None,
    };
    html! { @if advice.levels.len() > 1 { (table) } }
}

pub(super) fn slices(advice: &Advice) -> Markup {
    let drawn = advice.slices.iter().take(DRAWN).rev().collect::<Vec<_>>();
    let of = |pick: fn(&Slice) -> f64| {
        drawn.iter().map(|slice| number(Some(pick(slice)), 5)).collect::<Vec<_>>()
    };
    let colors = drawn
        .iter()
        .map(|slice| if slice.is_worse { "var(--always)" } else { "var(--soft)" })
        .collect::<Vec<_>>();
    let chart = Chart {
        id: "chart-slices",
        title: format!("What the {} of each part rose by", advice.loss),
        caption: "Last third of the log against its first, how hard the rows were taken out; strokes are \
                  95 % intervals of each alone. Coloured ones are beyond chance for all of them together."
            .to_owned(),
        summary: "The rise of the loss of every part with its interval.".to_owned(),
        height: 120 + 26 * u32::try_from(drawn.len()).unwrap_or(20),
        traces: vec![json!({
            "type": "scatter", "mode": "markers", "showlegend": false, "x": of(|s| s.rise.0),
            "y": drawn.iter().map(|slice| &slice.name).collect::<Vec<_>>(),
            "error_x": {
                "type": "data", "symmetric": false, "color": "var(--edge)", "thickness": 1.4,
                "array": of(|s| s.rise.2 - s.rise.0), "arrayminus": of(|s| s.rise.0 - s.rise.1),
            },
            "marker": { "size": 9, "color": colors },
            "hovertemplate": "%{y}: %{x:+.4f}<extra></extra>",
        })],
        layout: json!({
            "margin": { "l": 150 },
            "xaxis": { "title": { "text": "rise" }, "zeroline": true },
            "yaxis": { "type": "category", "automargin": true },
        }),
        narrow: json!({ "margin": { "l": 90, "r": 6 } }),
        time: TimeAxis::None,
    };
    let rows = advice.slices.iter().map(|slice| {
        let (value, low, high) = slice.rise;
        Row::new(vec![
            html! { (slice.name) },
            html! { (format::count(slice.rows)) },
            html! { (format!("{:.4}", slice.first)) },
            html! { (format!("{:.4}", slice.last)) },
            html! { (format!("{value:+.4}")) },
            html! { (format!("{low:+.4} to {high:+.4}")) },
            html! { (slice.rise_of_rest.map_or_else(|| "–".to_owned(), |rest| format!("{rest:+.4}"))) },
            html! { (chance(slice.p_value)) },
            html! { @if slice.is_worse { "worse" } },
        ])
    });
    let table = Table {
        id: "table-slices",
        caption:
            "Parts of the rows, the largest rise first; p is corrected by Holm for all of them"
                .to_owned(),
        columns: vec![
            Column::text("part"),
            Column::number("rows"),
            Column::number("first third"),
            Column::number("last third"),
            Column::number("rise"),
            Column::number("95 %"),
            Column::number("other rows"),
            Column::number("p"),
            Column::text(""),
        ],
        rows: rows.collect(),
        empty: "No part has rows enough.",
        frame: if advice.slices.len() > DRAWN { Frame::Scrolling } else { Frame::Whole },
        filters: Filters::None,
    };
    html! { (chart) (table) }
}

/// A p-value in three digits; what is smaller says so.
fn chance(p_value: f64) -> String {
    if p_value < 0.0005 { "< 0.001".to_owned() } else { format!("{p_value:.3}") }
}
