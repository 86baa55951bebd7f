//! Draws what a log of predictions told: performance over time, seasons, calibration, wear, and what
//! retraining would have bought.

mod slices;

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::chart::{Chart, TimeAxis, escaped, number};
use crate::format;
use crate::page::{Page, Section};
use crate::performance::capitalised;
use crate::table::{Column, Filters, Frame, Row, Table};

pub use slices::{Level, Slice};

/// A value with the ends of its 95 % interval.
pub type Interval = (f64, f64, f64);

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Advice {
    /// The log.
    pub location: String,
    /// What to do.
    pub headline: String,
    /// Why, a sentence each.
    pub evidence: Vec<String>,
    /// What was left out.
    pub notes: Vec<String>,
    /// Prices and assumptions in words.
    pub prices: String,
    /// What to do next.
    pub next_step: String,
    /// Name of the metric.
    pub metric: String,
    /// Name of the loss.
    pub loss: String,
    /// Length of a period.
    pub period: String,
    /// In order.
    pub periods: Vec<Period>,
    /// Where the excess lay, stretch by stretch; the last one lasts.
    pub levels: Vec<Level>,
    /// Parts of the rows, the largest rise first.
    pub slices: Vec<Slice>,
    /// Name, mean loss and difficulty by hour of the day.
    pub hours: Vec<(String, f64, f64)>,
    /// By day of the week.
    pub weekdays: Vec<(String, f64, f64)>,
    /// Everything, first and last third.
    pub calibration: Vec<Calibration>,
    /// Periods since a version's first, and mean excess.
    pub ages: Vec<(usize, f64)>,
    /// Fixed intervals of retraining.
    pub every: Vec<Every>,
    /// Cost of the log as it is.
    pub kept: f64,
    /// Cost of the best times in hindsight.
    pub hindsight: f64,
    /// Other prices of a run.
    pub sweep: Vec<Sweep>,
}

/// One period.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Beginning, in milliseconds since 1970.
    pub from_ms: i64,
    /// End.
    pub to_ms: i64,
    /// Predictions.
    pub rows: u64,
    /// Of those without label.
    pub unlabelled: u64,
    /// What made most of them.
    pub version: String,
    /// The metric.
    pub metric: Option<Interval>,
    /// Mean loss.
    pub loss: Option<Interval>,
    /// Loss that a fresh version would have had, as assumed.
    pub fresh: f64,
    /// Smoothed excess over that.
    pub level: f64,
    /// Loss after recalibration.
    pub recalibrated: Option<f64>,
    /// Mean label.
    pub label: Option<f64>,
    /// Mean prediction.
    pub prediction: Option<f64>,
    /// Whether it counts.
    pub usable: bool,
}

/// Calibration of a part of the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Calibration {
    /// `all`, `first third` or `last third`.
    pub part: String,
    /// Predicted, observed, and the ends of the interval of the latter.
    pub bins: Vec<(f64, f64, f64, f64)>,
    /// Expected calibration error.
    pub expected_error: Option<f64>,
    /// Part of the loss that recalibration takes away.
    pub miscalibration: Option<f64>,
    /// Part of the uncertainty that telling rows apart takes away.
    pub discrimination: Option<f64>,
    /// Loss of always answering the base rate.
    pub uncertainty: Option<f64>,
    /// The best temperature, where there are many classes.
    pub temperature: Option<f64>,
}

/// Retraining at fixed intervals.
#[derive(Clone, Debug, PartialEq)]
pub struct Every {
    /// In words.
    pub length: String,
    /// In periods.
    pub periods: usize,
    /// Retrainings.
    pub runs: usize,
    /// Loss and retrainings at their prices.
    pub cost: f64,
    /// Against the log as it is.
    pub saving: Interval,
    /// Whether it saves most.
    pub is_best: bool,
}

/// Another price of a run.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Multiple.
    pub factor: f64,
    /// The price.
    pub per_run: f64,
    /// The best interval and what it saves.
    pub best: Option<(String, f64)>,
    /// What hindsight saves.
    pub hindsight: f64,
}

/// The whole page.
#[must_use]
pub fn render(advice: &Advice) -> String {
    let mut sections = vec![
        Section::new("time", "Over time", over_time(advice)),
        Section::new("retraining", "When retraining pays", retraining(advice)),
    ];
    if !advice.slices.is_empty() {
        sections.push(Section::new("slices", "Slices", slices::slices(advice)));
    }
    if advice.calibration.iter().any(|part| !part.bins.is_empty()) {
        sections.push(Section::new("calibration", "Calibration", calibration(advice)));
    }
    if !advice.hours.is_empty() || !advice.weekdays.is_empty() {
        sections.push(Section::new("seasons", "Seasons", seasons(advice)));
    }
    sections.push(Section::new("method", "How to read this", method(advice)));
    let title = format!("{} · Afresh advice", advice.location);
    Page { title, header: header(advice), sections }.render()
}

fn header(advice: &Advice) -> Markup {
    let what = advice.headline.split_once(": ").map_or(advice.headline.as_str(), |(_, what)| what);
    html! {
        p.brand { span { "Afresh" } span.kind { "Advice" } }
        h1 { (advice.location) }
        p.verdict { (what) }
        p.details { @for sentence in &advice.evidence { (sentence) " " } }
    }
}

fn span(advice: &Advice) -> TimeAxis {
    match (advice.periods.first(), advice.periods.last()) {
        (Some(first), Some(last)) => TimeAxis::Span { from_ms: first.from_ms, to_ms: last.to_ms },
        _ => TimeAxis::None,
    }
}

fn middles(advice: &Advice) -> Vec<i64> {
    advice.periods.iter().map(|at| at.from_ms + (at.to_ms - at.from_ms) / 2).collect()
}

/// A line with its band.
fn banded(name: &str, x: &[i64], values: &[Option<Interval>], color: &str) -> Vec<Value> {
    let pick = |of: fn(&Interval) -> f64| {
        values.iter().map(|v| number(v.as_ref().map(of), 5)).collect::<Vec<_>>()
    };
    let edge = |y: Vec<Value>, fill: &str| {
        json!({
            "type": "scatter", "mode": "lines", "x": x, "y": y, "line": { "width": 0 }, "fill": fill,
            "fillcolor": "var(--fill)", "hoverinfo": "skip", "showlegend": false,
        })
    };
    vec![
        edge(pick(|v| v.1), "none"),
        edge(pick(|v| v.2), "tonexty"),
        json!({
            "type": "scatter", "mode": "lines+markers", "name": name, "x": x, "y": pick(|v| v.0),
            "line": { "color": color, "width": 2.5 }, "marker": { "size": 5 },
            "hovertemplate": format!("<b>{} %{{y:.4f}}</b><extra></extra>", escaped(name)),
        }),
    ]
}

fn plain_line(name: &str, x: &[i64], y: &[Value], color: &str, dash: &str) -> Value {
    json!({
        "type": "scatter", "mode": "lines", "name": name, "x": x, "y": y,
        "line": { "color": color, "width": 1.6, "dash": dash },
        "hovertemplate": format!("<b>{} %{{y:.4f}}</b><extra></extra>", escaped(name)),
    })
}

/// Upright lines where a version starts or the level changes.
fn marks(advice: &Advice) -> Vec<Value> {
    let upright = |at: i64, color: &str, dash: &str| {
        json!({
            "type": "line", "xref": "x", "yref": "paper", "x0": at, "x1": at, "y0": 0, "y1": 1,
            "line": { "color": color, "width": 1.2, "dash": dash },
        })
    };
    let versions = advice.periods.windows(2).filter(|pair| pair[0].version != pair[1].version);
    let versions = versions.map(|pair| upright(pair[1].from_ms, "var(--managed)", "dot"));
    let changes = advice.levels.windows(2).filter(|pair| pair[0].version == pair[1].version);
    let changes = changes.map(|pair| upright(pair[1].from_ms, "var(--always)", "dash"));
    versions.chain(changes).collect()
}

fn over_time(advice: &Advice) -> Markup {
    let x = middles(advice);
    let metric = format::metric_name(&advice.metric);
    let seen = |of: fn(&Period) -> Option<Interval>| {
        advice.periods.iter().map(|at| of(at).filter(|_| at.usable)).collect::<Vec<_>>()
    };
    let time = span(advice);
    let narrow = json!({ "margin": { "l": 48, "r": 6 } });
    let performance = Chart {
        id: "chart-metric",
        title: format!("{} by period", capitalised(&metric)),
        caption: "The band is the 95 % interval of each period; dotted lines are new versions, dashed ones a change of level.".to_owned(),
        summary: format!("The {metric} of every period with its interval."),
        height: 300,
        traces: banded(&metric, &x, &seen(|at| at.metric), "var(--managed)"),
        layout: json!({ "hovermode": "x unified", "shapes": marks(advice), "yaxis": { "title": { "text": metric } } }),
        narrow: narrow.clone(),
        time,
    };
    let values = |of: fn(&Period) -> Option<f64>| {
        advice.periods.iter().map(|at| number(of(at).filter(|_| at.usable), 5)).collect::<Vec<_>>()
    };
    let mut traces = banded("as it was", &x, &seen(|at| at.loss), "var(--managed)");
    traces.push(plain_line(
        "a fresh model, as assumed",
        &x,
        &values(|at| Some(at.fresh)),
        "var(--ink)",
        "dot",
    ));
    let recalibrated = values(|at| at.recalibrated);
    if recalibrated.iter().any(|value| !value.is_null()) {
        traces.push(plain_line("recalibrated", &x, &recalibrated, "var(--always)", "dash"));
    }
    let loss = Chart {
        id: "chart-loss",
        title: format!("{}, beside what a fresh model would have lost", capitalised(&advice.loss)),
        caption: "The gap to the dotted line is what the model has lost by its age; what the dashed line closes needs no retraining.".to_owned(),
        summary: format!("The {} of every period, of a fresh model, and after recalibration.", advice.loss),
        height: 320,
        traces,
        layout: json!({ "hovermode": "x unified", "shapes": marks(advice), "yaxis": { "title": { "text": advice.loss } } }),
        narrow: narrow.clone(),
        time,
    };
    let rates = Chart {
        id: "chart-rates",
        title: "Mean label and mean prediction".to_owned(),
        caption: "Where they part, the base rate moved and the model did not follow.".to_owned(),
        summary: "Mean label and mean prediction of every period.".to_owned(),
        height: 240,
        traces: vec![
            plain_line("label", &x, &values(|at| at.label), "var(--ink)", "solid"),
            plain_line("prediction", &x, &values(|at| at.prediction), "var(--managed)", "dash"),
        ],
        layout: json!({ "hovermode": "x unified" }),
        narrow,
        time,
    };
    let has_rates = advice.periods.iter().any(|at| at.label.is_some() && at.prediction.is_some());
    html! { (performance) (loss) @if has_rates { (rates) } (slices::levels(advice)) }
}

fn retraining(advice: &Advice) -> Markup {
    let x = advice.every.iter().map(|every| every.length.clone()).collect::<Vec<_>>();
    let of = |pick: fn(&Every) -> f64| {
        advice.every.iter().map(|every| number(Some(pick(every)), 3)).collect::<Vec<_>>()
    };
    let colors = advice
        .every
        .iter()
        .map(|every| if every.is_best { "var(--managed)" } else { "var(--soft)" });
    let costs = Chart {
        id: "chart-every",
        title: "What retraining at fixed intervals would have saved".to_owned(),
        caption: "Loss saved less the price of the runs; the strokes are 95 % intervals. Below zero it costs more than it brings.".to_owned(),
        summary: "Saving of every interval of retraining with its interval.".to_owned(),
        height: 340,
        traces: vec![json!({
            "type": "scatter", "mode": "markers", "x": x, "y": of(|e| e.saving.0),
            "error_y": {
                "type": "data", "symmetric": false, "color": "var(--edge)", "thickness": 1.4,
                "array": of(|e| e.saving.2 - e.saving.0), "arrayminus": of(|e| e.saving.0 - e.saving.1),
            },
            "marker": { "size": 9, "color": colors.collect::<Vec<_>>() }, "showlegend": false,
            "customdata": of(|e| e.cost), "hovertemplate": "every %{x}: saves %{y:.1f}, costs %{customdata:.1f} in all<extra></extra>",
        })],
        layout: json!({
            "xaxis": { "type": "category", "title": { "text": "retrained every" } },
            "yaxis": { "title": { "text": "saving" }, "zeroline": true },
        }),
        narrow: json!({ "margin": { "l": 48, "r": 6 } }),
        time: TimeAxis::None,
    };
    let rows = advice.sweep.iter().map(|sweep| {
        let (best, saving) =
            sweep.best.as_ref().map_or(("leave it alone".to_owned(), 0.0), |(length, saving)| {
                (format!("every {length}"), *saving)
            });
        Row::new(vec![
            html! { (format!("{:.2}", sweep.per_run)) },
            html! { "× " (sweep.factor) },
            html! { (best) },
            html! { (format!("{saving:.1}")) },
            html! { (format!("{:.1}", sweep.hindsight)) },
        ])
    });
    let sweep = Table {
        id: "table-sweep",
        caption: "At another price of a run".to_owned(),
        columns: vec![
            Column::number("price of a run"),
            Column::number("factor"),
            Column::text("best interval"),
            Column::number("saves"),
            Column::number("hindsight saves"),
        ],
        rows: rows.collect(),
        empty: "No other price was tried.",
        frame: Frame::Whole,
        filters: Filters::None,
    };
    html! {
        p { (advice.prices) }
        (costs)
        @if advice.ages.len() > 2 { (ages(advice)) }
        (sweep)
    }
}

fn ages(advice: &Advice) -> Chart {
    Chart {
        id: "chart-ages",
        title: "Excess loss by the age of the version".to_owned(),
        caption: format!("Age in periods of {}; a line that climbs is wear.", advice.period),
        summary: "Mean excess loss by age.".to_owned(),
        height: 260,
        traces: vec![json!({
            "type": "scatter", "mode": "lines+markers", "showlegend": false,
            "x": advice.ages.iter().map(|age| age.0).collect::<Vec<_>>(),
            "y": advice.ages.iter().map(|age| number(Some(age.1), 5)).collect::<Vec<_>>(),
            "line": { "color": "var(--managed)" }, "hovertemplate": "age %{x}: %{y:+.4f}<extra></extra>",
        })],
        layout: json!({ "xaxis": { "title": { "text": "age, periods" } }, "yaxis": { "title": { "text": "excess loss" }, "zeroline": true } }),
        narrow: json!({ "margin": { "l": 48, "r": 6 } }),
        time: TimeAxis::None,
    }
}

fn calibration(advice: &Advice) -> Markup {
    let styles = [
        ("all", "var(--ink)", "solid"),
        ("first third", "var(--soft)", "dash"),
        ("last third", "var(--managed)", "solid"),
    ];
    let mut traces = vec![json!({
        "type": "scatter", "mode": "lines", "x": [0, 1], "y": [0, 1], "hoverinfo": "skip",
        "showlegend": false, "line": { "color": "var(--edge)", "dash": "dot", "width": 1 },
    })];
    traces.extend(advice.calibration.iter().filter(|part| !part.bins.is_empty()).map(|part| {
        let style = styles.iter().find(|style| style.0 == part.part).unwrap_or(&styles[0]);
        let pick = |of: fn(&(f64, f64, f64, f64)) -> f64| {
            part.bins.iter().map(|bin| number(Some(of(bin)), 4)).collect::<Vec<_>>()
        };
        json!({
            "type": "scatter", "mode": "lines+markers", "name": part.part, "x": pick(|b| b.0), "y": pick(|b| b.1),
            "error_y": {
                "type": "data", "symmetric": false, "thickness": 1, "width": 0,
                "array": pick(|b| b.3 - b.1), "arrayminus": pick(|b| b.1 - b.2),
            },
            "line": { "color": style.1, "dash": style.2 }, "marker": { "color": style.1 },
            "hovertemplate": "predicted %{x:.3f}, came true %{y:.3f}<extra></extra>",
        })
    }));
    let chart = Chart {
        id: "chart-calibration",
        title: "Predicted against what came true".to_owned(),
        caption: "On the dotted line probabilities mean what they say.".to_owned(),
        summary: "Reliability curves of the whole log, its first and its last third.".to_owned(),
        height: 420,
        traces,
        layout: json!({
            "xaxis": { "title": { "text": "predicted" }, "rangemode": "tozero" },
            "yaxis": { "title": { "text": "came true" }, "rangemode": "tozero" },
        }),
        narrow: json!({ "margin": { "l": 48, "r": 6 }, "height": 320 }),
        time: TimeAxis::None,
    };
    let many = advice.calibration.iter().any(|part| part.temperature.is_some());
    if many {
        return html! { (chart) (temperatures(advice)) };
    }
    let rows = advice.calibration.iter().map(|part| {
        Row::new(vec![
            html! { (part.part) },
            html! { (format::fixed(part.expected_error, 4)) },
            html! { (format::fixed(part.miscalibration, 4)) },
            html! { (format::fixed(part.discrimination, 4)) },
            html! { (format::fixed(part.uncertainty, 4)) },
        ])
    });
    let table = Table {
        id: "table-calibration",
        caption: "The loss taken apart: what recalibration would take away, and what only a better model could add".to_owned(),
        columns: vec![
            Column::text("part"),
            Column::number("calibration error"),
            Column::number("miscalibration"),
            Column::number("discrimination"),
            Column::number("uncertainty"),
        ],
        rows: rows.collect(),
        empty: "",
        frame: Frame::Whole,
        filters: Filters::None,
    };
    html! { (chart) (table) }
}

fn temperatures(advice: &Advice) -> Table {
    let rows = advice.calibration.iter().map(|part| {
        Row::new(vec![
            html! { (part.part) },
            html! { (format::fixed(part.expected_error, 4)) },
            html! { (format::fixed(part.temperature, 3)) },
        ])
    });
    Table {
        id: "table-calibration",
        caption: "Above 1 the probabilities are too sure of themselves, below 1 not sure enough"
            .to_owned(),
        columns: vec![
            Column::text("part"),
            Column::number("calibration error of the likeliest class"),
            Column::number("best temperature"),
        ],
        rows: rows.collect(),
        empty: "",
        frame: Frame::Whole,
        filters: Filters::None,
    }
}

fn seasons(advice: &Advice) -> Markup {
    let chart = |id: &'static str, title: &str, phases: &[(String, f64, f64)]| Chart {
        id,
        title: title.to_owned(),
        caption:
            "Where both lines rise together the rows are harder there; the model is not worse."
                .to_owned(),
        summary: format!("{title}."),
        height: 260,
        traces: vec![
            json!({
                "type": "bar", "name": advice.loss, "x": phases.iter().map(|p| &p.0).collect::<Vec<_>>(),
                "y": phases.iter().map(|p| number(Some(p.1), 5)).collect::<Vec<_>>(),
                "marker": { "color": "var(--managed)", "opacity": 0.75 }, "hovertemplate": "%{x}: %{y:.4f}<extra></extra>",
            }),
            json!({
                "type": "scatter", "mode": "lines+markers", "name": "of a constant guess",
                "x": phases.iter().map(|p| &p.0).collect::<Vec<_>>(),
                "y": phases.iter().map(|p| number(Some(p.2), 5)).collect::<Vec<_>>(),
                "line": { "color": "var(--ink)", "dash": "dot" }, "hovertemplate": "a constant guess: %{y:.4f}<extra></extra>",
            }),
        ],
        layout: json!({ "xaxis": { "type": "category" }, "yaxis": { "title": { "text": advice.loss } } }),
        narrow: json!({ "margin": { "l": 48, "r": 6 } }),
        time: TimeAxis::None,
    };
    html! {
        div.pair {
            @if !advice.weekdays.is_empty() { (chart("chart-weekdays", "Loss by day of the week", &advice.weekdays)) }
            @if !advice.hours.is_empty() { (chart("chart-hours", "Loss by hour of the day, UTC", &advice.hours)) }
        }
    }
}

fn method(advice: &Advice) -> Markup {
    html! {
        dl.method {
            dt { "a fresh model" }
            dd { (advice.prices) }
            dt { "decay and seasons" }
            dd { "A regression of the loss on the age of the version, on how hard the rows were and on the calendar, with errors that allow for dependence (Newey & West 1987). A season is told from decay only where the log holds it twice." }
            dt { "calibration" }
            dd { "Log loss taken apart by isotonic recalibration (Dimitriadis, Gneiting & Jordan 2021). Before each period two classes are recalibrated by a logistic curve (Platt 1999), many by a temperature (Guo et al. 2017), numbers by a line." }
            @if !advice.slices.is_empty() {
                dt { "slices" }
                dd { "Assumed: each part, when fresh, does as well for how hard its rows are as in its first third. Welch's test on the periods, which stand for themselves, with Holm's correction for all values of all columns: on a quiet log one part in twenty logs looks worse." }
            }
            dt { "hindsight" }
            dd { "The cheapest times to retrain by an exact dynamic programme: nobody can have all of it." }
        }
        @if !advice.notes.is_empty() {
            h3 { "Rows" }
            ul.notes { @for note in &advice.notes { li { (note) } } }
        }
        p { (advice.next_step) }
    }
}
