//! Draws a backtest: freshness against cost, who retrained when, and what another price would change.

mod windows;

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::chart::{Chart, TimeAxis, escaped, number};
use crate::format;
use crate::page::{Page, Section};
use crate::table::{Column, Filters, Frame, Row, Table};

pub use windows::Alone;

/// What is drawn.
#[derive(Clone, Debug, PartialEq)]
pub struct Backtest {
    /// The model.
    pub model: String,
    /// Its metric.
    pub metric: String,
    /// Which way it improves.
    pub higher_is_better: bool,
    /// Periods that tuned the parameters.
    pub tuned_periods: usize,
    /// Periods that were scored: from and to, in milliseconds since the epoch.
    pub periods_ms: Vec<(i64, i64)>,
    /// Whether errors have the price, and not loss.
    pub is_errors: bool,
    /// Price of a unit of loss, or of an error.
    pub per_loss: f64,
    /// Price of a run.
    pub per_run: f64,
    /// Whether the owner stated none.
    pub is_default_price: bool,
    /// Policies, the cheapest first.
    pub entries: Vec<Entry>,
    /// Policies whose versions hang on the one before.
    pub apart: Vec<Entry>,
    /// The cheapest schedule there was.
    pub oracle: Entry,
    /// Each window by itself.
    pub windows: Vec<Alone>,
    /// What never retraining cost.
    pub never: f64,
    /// What retraining in every period cost.
    pub always: f64,
    /// Share of what hindsight saves that choosing anew as history went on recovered.
    pub walk_forward: Option<f64>,
    /// Other prices of a run.
    pub sweep: Vec<Sweep>,
}

/// One policy.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Its name.
    pub name: String,
    /// On what data it retrains.
    pub window: String,
    /// When it retrains, in words.
    pub rule: String,
    /// Whether it is the one to choose.
    pub is_recommended: bool,
    /// Mean over the periods.
    pub metric_mean: Option<f64>,
    /// By period.
    pub metric: Vec<Option<f64>>,
    /// Mean loss of a row.
    pub loss: Option<f64>,
    /// Retrainings.
    pub retrains: usize,
    /// When, in milliseconds since the epoch.
    pub runs_ms: Vec<i64>,
    /// What they took.
    pub training_cpu_seconds: f64,
    /// Loss and retrainings at their prices.
    pub cost: f64,
    /// Share of what hindsight saves.
    pub recovered: Option<f64>,
    /// 95 % interval of its cost above the recommended one's; nothing for hindsight, which is no choice.
    pub above: Option<(f64, f64)>,
}

/// The contest with runs at another price.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Factor on the price.
    pub factor: f64,
    /// The price.
    pub per_run: f64,
    /// Policy to choose there.
    pub recommended: String,
    /// On what data.
    pub window: String,
    /// Its retrainings.
    pub retrains: usize,
    /// Its cost.
    pub cost: f64,
    /// Of never.
    pub never: f64,
    /// Of always.
    pub always: f64,
    /// Of hindsight.
    pub oracle: f64,
}

/// Policies in the timeline.
const TIMELINE_MAX: usize = 14;

/// The whole page.
#[must_use]
pub fn render(backtest: &Backtest) -> String {
    let sections = vec![
        Section::new("pareto", "Freshness against cost", html! { (pareto(backtest)) }),
        Section::new("timeline", "Who retrained when", timeline(backtest)),
        Section::new("windows", "On what data", windows::draw(backtest)),
        Section::new("sweep", "At another price", sweep(backtest)),
        Section::new("policies", "All policies", html! { (policies(backtest)) (apart(backtest)) }),
        Section::new("method", "How to read this", method(backtest)),
    ];
    Page {
        title: format!("{} · Afresh backtest", backtest.model),
        header: header(backtest),
        sections,
    }
    .render()
}

/// The cheaper of never and always.
fn simple(backtest: &Backtest) -> &'static str {
    if backtest.always < backtest.never {
        "retraining in every period"
    } else {
        "leaving the model alone"
    }
}

fn recommended(backtest: &Backtest) -> Option<&Entry> {
    backtest.entries.iter().find(|entry| entry.is_recommended)
}

fn header(backtest: &Backtest) -> Markup {
    let share =
        |share: Option<f64>| share.map_or("–".to_owned(), |s| format!("{:.0} %", s * 100.0));
    html! {
        p.eyebrow { "Backtest of " (backtest.model) }
        @if let Some(best) = recommended(backtest) {
            h1 { (crate::performance::capitalised(&best.name)) " on " (best.window) }
            p.lead {
                "Retrains " (best.rule) ". Over the " (backtest.periods_ms.len()) " periods after those that tuned it, it costs "
                (format!("{:.1}", best.cost)) "; never retraining costs " (format!("{:.1}", backtest.never))
                ", retraining in every period " (format!("{:.1}", backtest.always)) ", and the best schedule that hindsight knows "
                (format!("{:.1}", backtest.oracle.cost)) "."
                @if best.recovered.is_some() {
                    " It recovers " (share(best.recovered)) " of what hindsight saves."
                } @else {
                    " Hindsight saves next to nothing beside " (simple(backtest)) "."
                }
            }
        } @else {
            h1 { "No policy" }
        }
    }
}

/// Every policy as a point: what it spent on training, and how fresh it kept the model.
fn pareto(backtest: &Backtest) -> Chart {
    let metric = format::metric_name(&backtest.metric);
    let point = |entry: &Entry| {
        Some((entry.training_cpu_seconds, entry.metric_mean.filter(|mean| mean.is_finite())?))
    };
    let all = backtest.entries.iter().chain([&backtest.oracle]);
    let known = all.filter_map(|entry| Some((entry, point(entry)?))).collect::<Vec<_>>();
    let group = |entry: &Entry| match entry.name.as_str() {
        _ if entry.is_recommended => "recommended",
        "hindsight" => "hindsight",
        "never" => "never",
        "always" => "always",
        _ => "other policies",
    };
    let style = |group: &str| match group {
        "recommended" => ("star", 20, "var(--managed)"),
        "hindsight" => ("diamond-open", 15, "var(--ink)"),
        "never" => ("circle", 12, "var(--never)"),
        "always" => ("square", 12, "var(--always)"),
        _ => ("circle", 8, "var(--faint)"),
    };
    let groups = ["other policies", "always", "never", "hindsight", "recommended"];
    let mut traces = vec![frontier(backtest, &known)];
    traces.extend(groups.iter().map(|name| {
        let members = known.iter().filter(|(entry, _)| group(entry) == *name);
        let members = members.collect::<Vec<_>>();
        let (symbol, size, color) = style(name);
        let text = members.iter().map(|(entry, (seconds, mean))| {
            format!(
                "<b>{}</b> on {}<br>{}<br>mean {metric} {mean:.4}<br>{seconds:.1} s of training<br>{} retrains<br>cost {:.1}",
                escaped(&entry.name),
                escaped(&entry.window),
                escaped(&entry.rule),
                entry.retrains,
                entry.cost
            )
        });
        json!({
            "type": "scatter", "mode": "markers", "name": name,
            "x": members.iter().map(|(_, (x, _))| number(Some(*x), 3)).collect::<Vec<_>>(),
            "y": members.iter().map(|(_, (_, y))| number(Some(*y), 6)).collect::<Vec<_>>(),
            "customdata": text.collect::<Vec<_>>(), "hovertemplate": "%{customdata}<extra></extra>",
            "marker": { "symbol": symbol, "size": size, "color": color, "line": { "width": 1, "color": "var(--card)" } },
        })
    }));
    let corner = if backtest.higher_is_better { "top left" } else { "bottom left" };
    let summary = recommended(backtest).map_or(String::new(), |best| {
        format!(
            "The recommended policy, {}, has a mean {metric} of {} for {} of training.",
            best.name,
            format::fixed(best.metric_mean, 4),
            format::seconds(best.training_cpu_seconds)
        )
    });
    Chart {
        id: "chart-pareto",
        title: format!("Mean {metric} against training CPU"),
        caption: format!(
            "Every point is a policy on a window; fresh and cheap is {corner}. Along the line nothing is fresher for less."
        ),
        summary,
        height: 460,
        traces,
        layout: json!({
            "hovermode": "closest",
            "xaxis": { "title": { "text": "CPU seconds of training in the scored periods" }, "zeroline": false, "rangemode": "tozero" },
            "yaxis": { "title": { "text": format!("mean {metric}") }, "zeroline": false },
            "margin": { "t": 30 },
        }),
        narrow: json!({ "margin": { "l": 44, "r": 6 }, "height": 360 }),
        time: TimeAxis::None,
    }
}

/// The points that nothing beats in both respects.
fn frontier(backtest: &Backtest, known: &[(&Entry, (f64, f64))]) -> Value {
    let sign = if backtest.higher_is_better { 1.0 } else { -1.0 };
    let mut points = known.iter().filter(|(entry, _)| entry.name != "hindsight");
    let mut points = points.by_ref().map(|(_, point)| *point).collect::<Vec<_>>();
    points.sort_by(|a, b| a.0.total_cmp(&b.0).then((sign * b.1).total_cmp(&(sign * a.1))));
    let mut best = f64::NEG_INFINITY;
    points.retain(|(_, mean)| {
        let better = sign * mean > best;
        best = best.max(sign * mean);
        better
    });
    json!({
        "type": "scatter", "mode": "lines", "name": "nothing fresher for less", "hoverinfo": "skip",
        "x": points.iter().map(|(x, _)| number(Some(*x), 3)).collect::<Vec<_>>(),
        "y": points.iter().map(|(_, y)| number(Some(*y), 6)).collect::<Vec<_>>(),
        "line": { "color": "var(--edge)", "width": 1.5, "shape": if backtest.higher_is_better { "hv" } else { "vh" } },
    })
}

/// The metric of the recommended policy, never and hindsight, over the runs of the cheapest policies.
fn timeline(backtest: &Backtest) -> Markup {
    let (Some(first), Some(last)) = (backtest.periods_ms.first(), backtest.periods_ms.last())
    else {
        return html! { p.empty { "No period was scored." } };
    };
    let time = TimeAxis::Span { from_ms: first.0, to_ms: last.1 };
    let metric = format::metric_name(&backtest.metric);
    let never = backtest.entries.iter().find(|entry| entry.name == "never");
    let lines = [
        (never, "never", "var(--never)", "dot"),
        (Some(&backtest.oracle), "hindsight", "var(--soft)", "dash"),
        (recommended(backtest), "recommended", "var(--managed)", "solid"),
    ];
    let middle = backtest.periods_ms.iter().map(|(from, to)| from + (to - from) / 2);
    let middle = middle.collect::<Vec<_>>();
    let traces = lines.into_iter().filter_map(|(entry, name, color, dash)| {
        let entry = entry?;
        Some(json!({
            "type": "scatter", "mode": "lines", "name": name, "x": middle,
            "y": entry.metric.iter().map(|value| number(*value, 5)).collect::<Vec<_>>(),
            "line": { "color": color, "dash": dash, "width": if name == "recommended" { 3.0 } else { 1.6 } },
            "hovertemplate": format!("<b>{name} %{{y:.4f}}</b><extra></extra>"),
        }))
    });
    let curve = Chart {
        id: "chart-performance",
        title: format!("{} by period", crate::performance::capitalised(&metric)),
        caption: "Every period scored on all its labelled rows.".to_owned(),
        summary: format!(
            "The {metric} of each scored period for never, hindsight and the recommended policy."
        ),
        height: 300,
        traces: traces.collect(),
        layout: json!({ "hovermode": "x unified", "yaxis": { "title": { "text": metric }, "fixedrange": true } }),
        narrow: json!({ "margin": { "l": 44, "r": 6 } }),
        time,
    };
    html! { (curve) (runs(backtest, time)) }
}

fn runs(backtest: &Backtest, time: TimeAxis) -> Chart {
    let mut shown = backtest
        .entries
        .iter()
        .enumerate()
        .filter(|(place, entry)| {
            *place < TIMELINE_MAX || entry.is_recommended || entry.name == "always"
        })
        .map(|(_, entry)| entry)
        .collect::<Vec<_>>();
    shown.insert(0, &backtest.oracle);
    shown.reverse();
    let label = |entry: &Entry| escaped(&format!("{} · {}", entry.name, entry.window));
    let traces = shown.iter().map(|entry| {
        let color = if entry.is_recommended { "var(--managed)" } else { "var(--soft)" };
        json!({
            "type": "scatter", "mode": "markers", "name": label(entry), "showlegend": false,
            "x": entry.runs_ms, "y": vec![label(entry); entry.runs_ms.len()],
            "marker": { "symbol": "line-ns-open", "size": 12, "color": color, "line": { "width": 2.5 } },
            "hovertemplate": format!("<b>{}</b><br>%{{x|%-d %b %Y}}<extra></extra>", label(entry)),
        })
    });
    let names = shown.iter().map(|entry| label(entry)).collect::<Vec<_>>();
    #[expect(clippy::cast_possible_truncation, reason = "a few rows")]
    let height = 80 + 24 * names.len() as u32;
    Chart {
        id: "chart-runs",
        title: "Retrainings".to_owned(),
        caption: "A stroke is a retraining; the cheapest policies are on top.".to_owned(),
        summary: "When each policy retrained.".to_owned(),
        height,
        traces: traces.collect(),
        layout: json!({
            "hovermode": "closest",
            "yaxis": { "type": "category", "categoryorder": "array", "categoryarray": names, "fixedrange": true, "showgrid": true },
        }),
        narrow: json!({ "margin": { "l": 110, "r": 6 }, "yaxis": { "tickfont": { "size": 9 } } }),
        time,
    }
}

fn sweep(backtest: &Backtest) -> Markup {
    let line = |name: &str, color: &str, dash: &str, of: fn(&Sweep) -> f64| {
        // As a share of never: costs at different prices are not to be compared otherwise.
        let shares = backtest.sweep.iter().map(|at| number(Some(of(at) / at.never), 4));
        json!({
            "type": "scatter", "mode": "lines+markers", "name": name,
            "x": backtest.sweep.iter().map(|at| at.per_run).collect::<Vec<_>>(),
            "y": shares.collect::<Vec<_>>(),
            "line": { "color": color, "dash": dash, "width": if name == "recommended" { 3.0 } else { 1.6 } },
            "hovertemplate": format!("<b>{name}</b> %{{y:.1%}} of never<extra></extra>"),
        })
    };
    let chart = Chart {
        id: "chart-sweep",
        title: "Cost beside never, by the price of a run".to_owned(),
        caption: "Where the recommended line meets hindsight nothing is left to win; where it meets 100 %, retraining does not pay.".to_owned(),
        summary: "Cost of the recommended policy, always and hindsight as a share of never, for five prices of a run.".to_owned(),
        height: 300,
        traces: vec![
            line("always", "var(--always)", "dash", |at| at.always),
            line("hindsight", "var(--soft)", "dot", |at| at.oracle),
            line("recommended", "var(--managed)", "solid", |at| at.cost),
        ],
        layout: json!({
            "hovermode": "x unified",
            "xaxis": { "type": "log", "title": { "text": "price of a run" } },
            "yaxis": { "tickformat": ".0%", "title": { "text": "cost, share of never" } },
        }),
        narrow: json!({ "margin": { "l": 44, "r": 6 } }),
        time: TimeAxis::None,
    };
    let rows = backtest.sweep.iter().map(|at| {
        Row::new(vec![
            html! { (format!("{:.2}", at.per_run)) },
            html! { "× " (at.factor) },
            html! { (at.recommended) },
            html! { (at.window) },
            html! { (at.retrains) },
            html! { (format!("{:.1}", at.cost)) },
            html! { (format!("{:.1}", at.oracle)) },
        ])
    });
    let table = Table {
        id: "table-sweep",
        caption: "Which policy pays at which price".to_owned(),
        columns: vec![
            Column::number("price of a run"),
            Column::number("factor"),
            Column::text("policy"),
            Column::text("window"),
            Column::number("runs"),
            Column::number("cost"),
            Column::number("hindsight"),
        ],
        rows: rows.collect(),
        empty: "No other price was tried.",
        frame: Frame::Whole,
        filters: Filters::None,
    };
    html! { (chart) (table) }
}

fn policies(backtest: &Backtest) -> Markup {
    let caption = "Every policy on every window, the cheapest first";
    entries(backtest, "table-policies", caption, &backtest.entries)
}

/// Policies whose versions hang on the one before.
fn apart(backtest: &Backtest) -> Markup {
    if backtest.apart.is_empty() {
        return html! {};
    }
    let caption = "Told apart: each version hangs on the one before";
    entries(backtest, "table-apart", caption, &backtest.apart)
}

/// Entries below what hindsight knows.
fn entries(backtest: &Backtest, id: &'static str, caption: &str, entries: &[Entry]) -> Markup {
    let rows = [&backtest.oracle].into_iter().chain(entries).map(|entry| {
        let share =
            entry.recovered.map_or("–".to_owned(), |share| format!("{:.0} %", share * 100.0));
        let told = match entry.above {
            _ if entry.is_recommended => "recommended",
            None => "–",
            Some((low, _)) if low > 0.0 => "dearer",
            Some((_, high)) if high < 0.0 => "cheaper",
            Some(_) => "not told apart",
        };
        Row::new(vec![
            html! { @if entry.is_recommended { strong { (entry.name) } } @else { (entry.name) } },
            html! { (entry.window) },
            html! { (format::fixed(entry.metric_mean, 4)) },
            html! { (format::fixed(entry.loss, 4)) },
            html! { (entry.retrains) },
            html! { (format!("{:.1}", entry.training_cpu_seconds)) },
            html! { (format!("{:.1}", entry.cost)) },
            html! { (share) },
            html! { (told) },
        ])
        .kind(&entry.name)
        .detail(html! {
            p {
                "Retrains " (entry.rule) "."
                @if let Some((low, high)) = entry.above {
                    " Its cost lies between " (format!("{low:+.1}")) " and " (format!("{high:+.1}"))
                    " above the recommended policy's, with 95 % confidence."
                }
            }
        })
    });
    let table = Table {
        id,
        caption: caption.to_owned(),
        columns: vec![
            Column::text("policy"),
            Column::text("window"),
            Column::number(format!("mean {}", format::metric_name(&backtest.metric))),
            Column::number(if backtest.is_errors { "errors" } else { "loss" }),
            Column::number("runs"),
            Column::number("CPU s"),
            Column::number("cost"),
            Column::number("recovered"),
            Column::text("beside the recommended"),
        ],
        rows: rows.collect(),
        empty: "No policy competed.",
        frame: Frame::Scrolling,
        filters: Filters::None,
    };
    html! { (table) }
}

fn method(backtest: &Backtest) -> Markup {
    html! {
        dl.method {
            dt { "cost" }
            dd {
                @if backtest.is_errors { "Every wrong answer at " (backtest.per_loss) } @else {
                    "Loss of every labelled row at " (backtest.per_loss) " a unit"
                }
                ", and " (format!("{:.2}", backtest.per_run)) " a run"
                @if backtest.is_default_price {
                    ", because no price is stated: 0.2 % of what a constant guess loses over a median period"
                }
                "."
            }
            dt { "tuned and scored" }
            dd {
                "Parameters were chosen on the first " (backtest.tuned_periods) " periods and scored on the "
                (backtest.periods_ms.len()) " after them. No policy sees ahead: it decides at the beginning of a period from labels available by then."
            }
            dt { "hindsight" }
            dd { "The cheapest schedule of retrainings and windows there was, by an exact dynamic programme over the same versions." }
            dt { "recovered" }
            dd {
                "The share of what hindsight saves beside the better of never and always; – where that is below 2 % of never: there is next to nothing to win. What of it is when to retrain, and what is another window each time, stands under “On what data”."
            }
            dt { "recommended" }
            dd { "The simplest policy that the first half cannot tell from the cheapest, by a block bootstrap over its periods; on the configured window unless another is proven better." }
            @if let Some(share) = backtest.walk_forward {
                dt { "choosing anew" }
                dd { "Chosen again at four points from all history before them, the recommended policies recover " (format!("{:.0} %", share * 100.0)) "." }
            }
        }
    }
}
