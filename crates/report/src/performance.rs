//! The metric over time under all arms, what happened to versions, and who served when.

use maud::html;
use serde_json::{Value, json};

use crate::arms::decimals;
use crate::chart::{Chart, TimeAxis, escaped, hover_text, number};
use crate::format;
use crate::page::Section;
use crate::replay::{Mark, MarkKind, Period, Replay, defined};

/// More champions than this are told by the lane alone, not by bands behind the lines.
const BANDS_MAX: usize = 200;

pub(crate) fn section(replay: &Replay) -> Section {
    let metric = format::metric_name(&replay.metric);
    let title = "Performance over time";
    let body = if replay.periods.is_empty() {
        html! { p.empty { "The replay has no whole period: there is nothing to draw." } }
    } else if mean_values(replay).is_empty() {
        html! { p.empty {
            "The metric (" (metric) ") is undefined in every period: there is nothing to draw. A period needs \
             labelled rows, and for " (metric) " rows of every class, before it has a value."
        } }
    } else {
        html! { (chart(replay, &metric)) }
    };
    Section::new("performance", title, body)
}

fn chart(replay: &Replay, metric: &str) -> Chart {
    let (from_ms, to_ms) = history(&replay.periods);
    let mut traces = lines(replay);
    traces.extend(mark_traces(replay));
    let champions = champions(&replay.periods);
    traces.push(lane(&champions));
    let direction = if replay.higher_is_better { "higher" } else { "lower" };
    Chart {
        id: "chart-performance",
        title: format!("{} in every period", capitalised(metric)),
        caption: format!(
            "Each point is one period, scored on all its rows; {direction} is better. Shapes on the managed line mark \
             what happened to versions; the lane below names the champion. Drag to zoom, double-click to return, click \
             the legend to hide a line."
        ),
        summary: summary(replay, metric),
        height: 470,
        traces,
        layout: json!({
            "hovermode": "x unified", "hoverdistance": 60,
            "barmode": "overlay", "bargap": 0,
            "uniformtext": { "mode": "hide", "minsize": 9 },
            "shapes": bands(&champions),
            "xaxis": { "anchor": "y2", "showspikes": true, "spikemode": "across" },
            "yaxis": {
                "domain": [0.13, 1.0], "title": { "text": format!("{metric}, {direction} is better") },
                "fixedrange": true, "zeroline": false,
            },
            "yaxis2": {
                "domain": [0.0, 0.075], "fixedrange": true, "range": [-0.5, 0.5], "showgrid": false,
                "zeroline": false, "tickvals": [0], "ticktext": ["champion"], "ticks": "",
            },
        }),
        narrow: json!({
            "height": 460, "margin": { "l": 40, "r": 6 }, "yaxis": { "title": { "text": "" } },
            "yaxis2": { "showticklabels": false },
        }),
        time: TimeAxis::Span { from_ms, to_ms },
    }
}

/// First and last instant of all periods.
pub(crate) fn history(periods: &[Period]) -> (i64, i64) {
    let from = periods.first().map_or(0, |period| period.from_ms);
    (from, periods.last().map_or(from, |period| period.to_ms))
}

/// Where a period's value is drawn: its middle.
pub(crate) fn middle(period: &Period) -> i64 {
    period.from_ms + period.to_ms.saturating_sub(period.from_ms) / 2
}

/// Size of a line's points: they carry values between two undefined ones, which no line can show.
pub(crate) fn point_size(periods: usize) -> f64 {
    match periods {
        0..=60 => 6.0,
        61..=200 => 4.0,
        _ => 2.0,
    }
}

fn lines(replay: &Replay) -> Vec<Value> {
    let shown = decimals(replay);
    let x = replay.periods.iter().map(middle).collect::<Vec<_>>();
    let arms = [("managed", "solid", 3.0, 3), ("never", "dot", 1.6, 1), ("always", "dash", 1.6, 2)];
    arms.iter()
        .filter_map(|&(name, dash, width, order)| {
            let values = replay.series(name);
            values.iter().any(Option::is_some).then(|| {
                let facts = replay
                    .periods
                    .iter()
                    .map(|period| if name == "managed" { facts(period) } else { String::new() })
                    .collect::<Vec<_>>();
                json!({
                    "type": "scatter", "mode": "lines+markers", "name": name, "x": x,
                    "y": values.iter().map(|&v| number(v, 6)).collect::<Vec<_>>(),
                    "customdata": facts, "connectgaps": false, "zorder": order,
                    "hovertemplate": format!("<b>{name} %{{y:,.{shown}f}}</b>%{{customdata}}<extra></extra>"),
                    "line": { "color": format!("var(--{name})"), "width": width, "dash": dash },
                    "marker": { "size": if name == "managed" { point_size(x.len()) } else if x.len() < 10 { 5.0 } else { 2.5 } },
                })
            })
        })
        .collect()
}

fn facts(period: &Period) -> String {
    let mut facts = vec![format::span(period.from_ms, period.to_ms)];
    if !period.champion.is_empty() {
        facts.push(format!("champion {}", escaped(&period.champion)));
    }
    facts.push(format::plural(period.rows, "row"));
    if period.unlabelled > 0 {
        facts.push(format!("{} unlabelled", format::count(period.unlabelled)));
    }
    if let Some(drift) = defined(period.drift) {
        facts.push(format!("drift {drift:.2}"));
    }
    format!("<br>{}<br>{}", facts[0], facts[1..].join(" · "))
}

/// Shape, colour and outline of a kind of mark.
fn look(kind: MarkKind) -> (&'static str, &'static str, u32) {
    match kind {
        MarkKind::Promoted => ("triangle-up", "var(--good)", 14),
        MarkKind::Rejected => ("x", "var(--bad)", 11),
        MarkKind::RolledBack => ("triangle-down", "var(--rolled)", 15),
        MarkKind::Failed => ("square-x-open", "var(--bad)", 12),
        MarkKind::Inconclusive => ("diamond", "var(--warn)", 12),
        MarkKind::Started => ("circle-open", "var(--soft)", 11),
    }
}

fn mark_traces(replay: &Replay) -> Vec<Value> {
    const CROWD: usize = 150;
    let placed = placed(replay);
    let scale = if placed.len() > CROWD { 0.6 } else { 1.0 };
    MarkKind::ALL
        .iter()
        .filter_map(|&kind| {
            let own = placed.iter().filter(|(mark, ..)| mark.kind == kind).collect::<Vec<_>>();
            if own.is_empty() {
                return None;
            }
            let (symbol, color, size) = look(kind);
            let text = |mark: &Mark| {
                format!(
                    "<b>{} {}</b> · {}<br>{}",
                    escaped(&mark.version),
                    kind.label(),
                    format::moment(mark.at_ms),
                    hover_text(&mark.text)
                )
            };
            let visible =
                if kind == MarkKind::Started { json!("legendonly") } else { json!(true) };
            Some(json!({
                "type": "scatter", "mode": "markers", "name": kind.label(), "visible": visible,
                "x": own.iter().map(|(_, x, _)| x).collect::<Vec<_>>(),
                "y": own.iter().map(|(.., y)| number(Some(*y), 6)).collect::<Vec<_>>(),
                "customdata": own.iter().map(|(mark, ..)| text(mark)).collect::<Vec<_>>(),
                "hovertemplate": "%{customdata}<extra></extra>", "zorder": 5, "cliponaxis": false,
                "marker": {
                    "symbol": symbol, "size": f64::from(size) * scale, "color": color,
                    "line": { "color": if symbol.ends_with("open") { color } else { "var(--card)" }, "width": 1.5 },
                },
            }))
        })
        .collect()
}

/// Every mark with the point it is drawn at: on the managed line in the middle of its period, several
/// of one period above each other.
fn placed(replay: &Replay) -> Vec<(&Mark, i64, f64)> {
    let managed = replay.series("managed");
    let values = mean_values(replay);
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let step = if high > low { (high - low) * 0.06 } else { high.abs().max(1.0) * 0.01 };
    let mut stacked = vec![0u32; replay.periods.len()];
    replay
        .marks
        .iter()
        .filter_map(|mark| {
            let after = replay.periods.partition_point(|period| period.from_ms <= mark.at_ms);
            let index = after.saturating_sub(1);
            let x = middle(replay.periods.get(index)?);
            let y = nearest(&managed, index).or_else(|| values.first().copied())?;
            let level = stacked.get_mut(index)?;
            if mark.kind == MarkKind::Started {
                return Some((mark, x, y));
            }
            let placed = (mark, x, y + f64::from(*level) * step);
            *level += 1;
            Some(placed)
        })
        .collect()
}

fn nearest(values: &[Option<f64>], index: usize) -> Option<f64> {
    let defined = values.iter().enumerate().filter_map(|(at, value)| Some((at, (*value)?)));
    defined.min_by_key(|(at, _)| at.abs_diff(index)).map(|(_, value)| value)
}

fn mean_values(replay: &Replay) -> Vec<f64> {
    ["managed", "never", "always"].iter().flat_map(|name| replay.series(name)).flatten().collect()
}

/// A champion's reign.
struct Reign<'a> {
    version: &'a str,
    from_ms: i64,
    to_ms: i64,
}

fn champions(periods: &[Period]) -> Vec<Reign<'_>> {
    let mut reigns: Vec<Reign<'_>> = Vec::new();
    for period in periods {
        match reigns.last_mut() {
            Some(reign) if reign.version == period.champion => reign.to_ms = period.to_ms,
            _ => reigns.push(Reign {
                version: &period.champion,
                from_ms: period.from_ms,
                to_ms: period.to_ms,
            }),
        }
    }
    reigns
}

fn lane(reigns: &[Reign<'_>]) -> Value {
    let color =
        |index: usize| if index.is_multiple_of(2) { "var(--lane-a)" } else { "var(--lane-b)" };
    json!({
        "type": "bar", "orientation": "h", "yaxis": "y2", "name": "champion", "showlegend": false,
        "y": vec![0; reigns.len()], "width": 1,
        "base": reigns.iter().map(|reign| reign.from_ms).collect::<Vec<_>>(),
        "x": reigns.iter().map(|reign| reign.to_ms - reign.from_ms).collect::<Vec<_>>(),
        "text": reigns.iter().map(|reign| escaped(reign.version)).collect::<Vec<_>>(),
        "textposition": "inside", "insidetextanchor": "middle", "textangle": 0,
        "insidetextfont": { "color": "var(--ink)", "size": 11 }, "hoverinfo": "skip",
        "marker": {
            "color": (0..reigns.len()).map(color).collect::<Vec<_>>(),
            "line": { "color": "var(--card)", "width": if reigns.len() > BANDS_MAX { 0 } else { 1 } },
        },
    })
}

/// Every second reign is shaded behind the lines.
fn bands(reigns: &[Reign<'_>]) -> Vec<Value> {
    if reigns.len() > BANDS_MAX {
        return Vec::new();
    }
    reigns
        .iter()
        .skip(1)
        .step_by(2)
        .map(|reign| {
            json!({
                "type": "rect", "layer": "below", "xref": "x", "yref": "y domain",
                "x0": reign.from_ms, "x1": reign.to_ms, "y0": 0, "y1": 1,
                "fillcolor": "var(--band)", "line": { "width": 0 },
            })
        })
        .collect()
}

fn summary(replay: &Replay, metric: &str) -> String {
    let shown = decimals(replay);
    let mut parts = Vec::new();
    for name in ["managed", "never", "always"] {
        let values = replay.series(name);
        let mut defined = values.iter().flatten();
        if let (Some(&first), last) = (defined.next(), values.iter().flatten().next_back()) {
            let first = format::fixed(Some(first), shown);
            parts.push(format!("{name} from {first} to {}", format::fixed(last.copied(), shown)));
        }
    }
    for kind in MarkKind::ALL {
        let n = replay.marks.iter().filter(|mark| mark.kind == kind).count();
        if n > 0 {
            parts.push(format!("{n} {}", kind.label()));
        }
    }
    format!("Line chart of {metric} over {} periods: {}.", replay.periods.len(), parts.join(", "))
}

/// With a capital first letter.
pub(crate) fn capitalised(text: &str) -> String {
    let mut chars = text.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().chain(chars).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replay(values: &[Option<f64>], champions: &[&str]) -> Replay {
        let period = |index: usize| Period {
            from_ms: index as i64 * 100,
            to_ms: index as i64 * 100 + 100,
            managed: values[index],
            champion: champions[index].to_owned(),
            ..Period::default()
        };
        Replay { periods: (0..values.len()).map(period).collect(), ..Replay::default() }
    }

    fn mark(at_ms: i64, kind: MarkKind) -> Mark {
        Mark { at_ms, kind, version: "v2".to_owned(), text: String::new() }
    }

    #[test]
    fn marks_stand_on_the_line_and_above_each_other() {
        let mut replay = replay(&[Some(0.0), Some(1.0), None], &["v1", "v1", "v2"]);
        replay.marks = vec![
            mark(-5, MarkKind::Promoted),
            mark(100, MarkKind::Rejected),
            mark(150, MarkKind::Promoted),
            mark(150, MarkKind::Started),
            mark(900, MarkKind::RolledBack),
        ];
        let points = placed(&replay).iter().map(|&(_, x, y)| (x, y)).collect::<Vec<_>>();
        assert_eq!(points, [(50, 0.0), (150, 1.0), (150, 1.06), (150, 1.0), (250, 1.0)]);
    }

    #[test]
    fn a_reign_lasts_until_another_version_serves() {
        let replay = replay(&[None; 4], &["v1", "v1", "v2", "v1"]);
        let reigns = champions(&replay.periods);
        let told = reigns.iter().map(|r| (r.version, r.from_ms, r.to_ms)).collect::<Vec<_>>();
        assert_eq!(told, [("v1", 0, 200), ("v2", 200, 300), ("v1", 300, 400)]);
        assert_eq!(bands(&reigns).len(), 1);
    }

    #[test]
    fn an_undefined_metric_draws_nothing_and_says_so() {
        let text = section(&replay(&[None, Some(f64::NAN)], &["", ""]));
        let text = maud::Render::render(&text).into_string();
        assert!(text.contains("undefined in every period") && !text.contains("data-chart"));
    }
}
