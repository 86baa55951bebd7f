//! What the drift means to models: predictions that moved, slices that moved, and a classifier that
//! tells the windows apart.

use maud::{Markup, Render as _, html};
use serde_json::json;

use super::{Classifier, DriftPage, Predictions, SlicePage};
use crate::chart::{Chart, TimeAxis, escaped, number};
use crate::format::{self, count, fixed, percent, signed};
use crate::page::Section;
use crate::replay::defined;
use crate::table::{Column, Filters, Frame, Row, Table};

const BARS_MAX: usize = 20;
const CLASSIFIER_COLUMNS_MAX: usize = 8;
/// Columns of less use than this are not worth a word.
const SHARE_MIN: f64 = 0.01;
const LABEL_LENGTH_MAX: usize = 28;

/// Nothing where neither was asked for.
pub(super) fn section(drift: &DriftPage) -> Option<Section> {
    if drift.predictions.is_none() && drift.classifier.is_none() {
        return None;
    }
    let title =
        if drift.predictions.is_some() { "What it does to the model" } else { "Told apart" };
    let body = html! {
        @if let Some(predictions) = &drift.predictions { (moved(predictions)) }
        @if let Some(classifier) = &drift.classifier { (told_apart(classifier)) }
    };
    Some(Section::new("predictions", title, body))
}

fn moved(predictions: &Predictions) -> Markup {
    let change = predictions.current - predictions.reference;
    let decimals = format::decimals(predictions.reference.abs().max(predictions.current.abs()));
    let told = format!(
        "{}: the mean {} moved from {} to {} ({}) on {} rows of each window.",
        predictions.version,
        predictions.output,
        fixed(Some(predictions.reference), decimals),
        fixed(Some(predictions.current), decimals),
        signed(Some(change), decimals),
        count(predictions.rows),
    );
    let shown = predictions.columns.get(..BARS_MAX).unwrap_or(&predictions.columns);
    let rows = u32::try_from(shown.len()).unwrap_or(0);
    let bars = json!({
        "type": "bar", "orientation": "h",
        "x": shown.iter().map(|(_, change)| number(defined(Some(*change)), 6)).collect::<Vec<_>>(),
        "y": (0..rows).collect::<Vec<_>>(),
        "marker": { "color": "var(--managed)" },
        "customdata": shown.iter().map(|(name, _)| escaped(name)).collect::<Vec<_>>(),
        "hovertemplate": "<b>%{customdata}</b> alone moves the mean prediction by %{x:+.4f}<extra></extra>",
        "text": shown.iter().map(|(_, change)| signed(defined(Some(*change)), decimals + 1)).collect::<Vec<_>>(),
        "textposition": "outside", "cliponaxis": false, "textfont": { "color": "var(--ink)", "size": 11 },
    });
    let widest = shown.iter().map(|(_, change)| change.abs()).fold(0.0, f64::max) * 1.3;
    let chart = Chart {
        id: "chart-predictions",
        title: "Columns by how far they move the predictions".to_owned(),
        caption: "How far the mean prediction moves when this column alone is taken from the current rows and everything else stays as it was.".to_owned(),
        summary: told.clone(),
        height: 60 + rows * 24,
        traces: vec![bars],
        layout: json!({
            "hovermode": "closest", "bargap": 0.35, "showlegend": false, "margin": { "r": 48 },
            "xaxis": { "range": [-widest, widest], "fixedrange": true, "title": { "text": "change of the mean prediction" } },
            "yaxis": {
                "autorange": "reversed", "showgrid": false, "zeroline": false, "fixedrange": true, "ticks": "",
                "tickvals": (0..rows).collect::<Vec<_>>(),
                "ticktext": shown.iter().map(|(name, _)| escaped(&format::shortened(name, LABEL_LENGTH_MAX))).collect::<Vec<_>>(),
                "tickfont": { "color": "var(--ink)", "size": 11 },
            },
        }),
        narrow: json!({ "margin": { "l": 40 } }),
        time: TimeAxis::None,
    };
    html! {
        p.details { (told) }
        @if !shown.is_empty() { (chart.render()) }
    }
}

fn told_apart(classifier: &Classifier) -> Markup {
    let auc = classifier.auc;
    let meaning = match auc {
        _ if auc < 0.55 => "hardly better than guessing",
        _ if auc < 0.7 => "better than guessing",
        _ if auc < 0.9 => "well",
        _ => "almost without fail",
    };
    let columns = classifier.importance.iter().filter(|(_, share)| *share >= SHARE_MIN);
    let columns = columns.take(CLASSIFIER_COLUMNS_MAX);
    let columns = columns.map(|(name, share)| format!("{name} ({})", percent(*share)));
    let columns = columns.collect::<Vec<_>>().join(", ");
    html! {
        div.columns {
            div {
                h3 { "A model that tells the windows apart" }
                p {
                    (format!(
                        "A boosted model, trained on {} rows of both windows and asked about rows it has not seen, tells them apart {meaning}: its AUC is {} (0.5 is by chance). It sees whole rows, so it also sees relations between columns that changed where no single column moved.",
                        count(classifier.rows), fixed(Some(auc), 3),
                    ))
                }
                @if !columns.is_empty() { p.details { "It goes by " (columns) "." } }
            }
        }
    }
}

/// Nothing where no slice was asked for.
pub(super) fn slices(slices: &[SlicePage]) -> Option<Section> {
    if slices.is_empty() {
        return None;
    }
    let predicted = slices.iter().any(|slice| slice.predictions.is_some());
    let mut columns = vec![
        Column::text("Slice"),
        Column::number("Share before"),
        Column::number("Share now"),
        Column::number("Score within"),
    ];
    if predicted {
        columns.push(Column::number("Mean prediction"));
    }
    let row = |slice: &SlicePage| {
        let mut cells = vec![
            html! { code { (slice.name) } },
            html! { (percent(slice.reference)) },
            html! { (percent(slice.current)) },
            html! { (fixed(slice.score, 3)) },
        ];
        if predicted {
            cells.push(html! { (signed(slice.predictions, 4)) });
        }
        Row::new(cells)
    };
    let table = Table {
        id: "drift-slices",
        caption: "Parts of the rows, the most moved first; the score is that of the other columns within the slice".to_owned(),
        columns,
        rows: slices.iter().map(row).collect(),
        empty: "No slice has rows on both sides.",
        frame: Frame::Scrolling,
        filters: Filters::None,
    };
    Some(Section::new("slices", "Slices that moved", html! { (table) }))
}
