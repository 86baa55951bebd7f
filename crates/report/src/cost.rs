//! What training cost over time, and what the money bought.

use maud::html;
use serde_json::{Value, json};

use crate::arms::{decimals, series};
use crate::chart::{Chart, TimeAxis, escaped, number};
use crate::format;
use crate::page::Section;
use crate::performance::{capitalised, history};
use crate::replay::{Arm, Cost, Replay, defined};

/// An arm's name, the dashes of its line, and what it had spent.
type Spending = (&'static str, &'static str, fn(&Cost) -> f64);

pub(crate) fn section(replay: &Replay) -> Section {
    let spent = !replay.periods.is_empty() && !replay.cost.is_empty();
    let comparable =
        replay.arms.iter().filter(|arm| defined(arm.metric_mean).is_some()).count() > 1;
    let body = html! {
        @if !spent && !comparable { p.empty { "No training cost was recorded." } }
        div.pair {
            @if spent { (over_time(replay)) }
            @if comparable { (bought(replay)) }
        }
    };
    Section::new("cost", "Cost", body)
}

fn over_time(replay: &Replay) -> Chart {
    let (from_ms, to_ms) = history(&replay.periods);
    let arms: [Spending; 3] = [
        ("managed", "solid", |cost| cost.managed),
        ("never", "dot", |cost| cost.never),
        ("always", "dash", |cost| cost.always),
    ];
    let x = [from_ms].into_iter().chain(replay.periods.iter().map(|period| period.to_ms));
    let x = x.take(replay.cost.len() + 1).collect::<Vec<_>>();
    let traces = arms.iter().map(|(name, dash, of)| {
        let managed = *name == "managed";
        json!({
            "type": "scatter", "mode": "lines", "name": name, "x": x,
            "y": std::iter::once(0.0).chain(replay.cost.iter().map(of)).map(|v| number(Some(v), 3)).collect::<Vec<_>>(),
            "line": { "color": format!("var(--{name})"), "width": if managed { 3.0 } else { 1.6 }, "dash": dash, "shape": if managed { "hv" } else { "linear" } },
            "fill": if managed { "tozeroy" } else { "none" }, "fillcolor": "var(--fill)",
            "hovertemplate": format!("<b>{name} %{{y:,.1f}} s</b><extra></extra>"),
        })
    });
    let told = replay.cost.last().map(|cost| {
        arms.iter()
            .map(|(name, _, of)| format!("{name} {}", format::seconds(of(cost))))
            .collect::<Vec<_>>()
            .join(", ")
    });
    Chart {
        id: "chart-cost",
        title: "Training CPU spent so far".to_owned(),
        caption: "Each step is one training; flat stretches cost nothing.".to_owned(),
        summary: format!("Step chart of training CPU. At the end: {}.", told.unwrap_or_default()),
        height: 320,
        traces: traces.collect(),
        layout: json!({
            "hovermode": "x unified", "xaxis": { "showspikes": true, "spikemode": "across" },
            "yaxis": { "title": { "text": "CPU seconds" }, "rangemode": "tozero", "fixedrange": true },
        }),
        narrow: json!({ "margin": { "l": 40, "r": 6 }, "yaxis": { "title": { "text": "" } } }),
        time: TimeAxis::Span { from_ms, to_ms },
    }
}

fn bought(replay: &Replay) -> Chart {
    let metric = format::metric_name(&replay.metric);
    let shown = decimals(replay);
    let direction = if replay.higher_is_better { "top left" } else { "bottom left" };
    let points = replay.arms.iter().filter_map(|arm| Some((arm, defined(arm.metric_mean)?)));
    let points = points.collect::<Vec<_>>();
    let told = points.iter().map(|(arm, mean)| {
        let mean = format::fixed(Some(*mean), shown);
        format!("{} {mean} for {}", arm.name, format::seconds(arm.training_cpu_seconds))
    });
    let traces = points.iter().map(|(arm, mean)| point(replay, arm, *mean)).collect();
    let dearest = points.iter().map(|(arm, _)| arm.training_cpu_seconds).fold(0.0, f64::max);
    Chart {
        id: "chart-bought",
        title: "What the CPU bought".to_owned(),
        caption: format!("Good and cheap is {direction}."),
        summary: format!(
            "Mean {metric} against training CPU: {}.",
            told.collect::<Vec<_>>().join(", ")
        ),
        height: 320,
        traces,
        layout: json!({
        "hovermode": "closest", "showlegend": false,
        "xaxis": {
            "title": { "text": "training CPU seconds" }, "fixedrange": true, "zeroline": false,
            "range": [-0.1 * dearest.max(0.01), 1.2 * dearest.max(0.01)],
        },
        "yaxis": { "title": { "text": format!("mean {metric}") }, "fixedrange": true, "zeroline": false, "nticks": 6 },
                }),
        narrow: json!({ "margin": { "l": 44, "r": 6 }, "height": 280 }),
        time: TimeAxis::None,
    }
}

fn point(replay: &Replay, arm: &Arm, mean: f64) -> Value {
    let color = match series(&arm.name) {
        "other" => "var(--soft)".to_owned(),
        known => format!("var(--{known})"),
    };
    let symbol = match arm.name.as_str() {
        "managed" => "star",
        "never" => "circle",
        "always" => "square",
        _ => "diamond",
    };
    let text = format!(
        "<b>{}</b><br>mean {} {}<br>{} training CPU<br>{}",
        escaped(&capitalised(&arm.name)),
        escaped(&format::metric_name(&replay.metric)),
        format::fixed(Some(mean), decimals(replay)),
        format::seconds(arm.training_cpu_seconds),
        format::plural(arm.retrains, "retrain")
    );
    json!({
        "type": "scatter", "mode": "markers+text", "name": escaped(&arm.name),
        "x": [number(Some(arm.training_cpu_seconds), 3)], "y": [number(Some(mean), 6)],
        "text": [format!("<b>{}</b>", escaped(&arm.name))], "textposition": "top center",
        "textfont": { "color": color, "size": 13 }, "cliponaxis": false,
        "customdata": [text], "hovertemplate": "%{customdata}<extra></extra>",
        "marker": { "symbol": symbol, "size": if arm.name == "managed" { 18 } else { 13 }, "color": color },
    })
}
