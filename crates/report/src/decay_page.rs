//! Decay of one version as a page: the verdict, every metric over time against what it is held against, the evidence,
//! and an estimate where labels are missing.

use maud::{Markup, html};
use serde_json::{Value, json};

use crate::chart::{Chart, TimeAxis, number};
use crate::format::metric_name;
use crate::page::{Page, Section};
use crate::table::{Column, Filters, Frame, Row, Table, badge, prose};
use crate::verdict::logo;

/// What the page is drawn from; plain figures. Values that are not finite count as undefined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DecayPage {
    /// The page's heading.
    pub title: String,
    /// Whether decay is proven now; `None` where no label tells.
    pub decayed: Option<bool>,
    /// The verdict, in a sentence.
    pub verdict: String,
    /// What else is to be known, in sentences.
    pub remarks: Vec<String>,
    /// Names and values for the head of the page.
    pub facts: Vec<(String, String)>,
    /// One picture each.
    pub metrics: Vec<MetricPage>,
    /// Evidence over time, one line each.
    pub evidence: Vec<EvidenceLine>,
    /// The evidence at which the alarm goes off.
    pub alarm_at: f64,
    /// What was estimated without labels.
    pub estimate: Option<EstimatePage>,
    /// Kinds of evidence, the surest first: headings, rows, and what the mark means.
    pub ladder_headings: Vec<String>,
    /// One cell for each heading.
    pub ladder: Vec<Vec<String>>,
    /// Below the table.
    pub ladder_note: String,
    /// Headings of the table of figures.
    pub headings: Vec<String>,
    /// Its rows; one cell for each heading.
    pub rows: Vec<Vec<String>>,
}

/// One metric over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct MetricPage {
    /// Its name, such as `log_loss`.
    pub metric: String,
    /// Whether higher is better.
    pub higher_is_better: bool,
    /// Middle of each bucket in milliseconds, and its value.
    pub values: Vec<(i64, Option<f64>)>,
    /// Its value on the rows that judged.
    pub baseline: Option<f64>,
    /// The value at which a drop is detected.
    pub limit: Option<f64>,
    /// Windows: name, from, to, mean, whether decay is detected.
    pub windows: Vec<WindowPage>,
}

/// The mean over one window.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct WindowPage {
    /// Its tag.
    pub name: String,
    /// Its ends in milliseconds.
    pub from_ms: i64,
    /// Its ends in milliseconds.
    pub to_ms: i64,
    /// The mean of its values.
    pub mean: f64,
    /// Whether decay is detected in it.
    pub detected: bool,
}

/// The evidence of one test over time.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EvidenceLine {
    /// What is tested.
    pub name: String,
    /// Instants in milliseconds and e-values.
    pub points: Vec<(i64, f64)>,
}

/// A metric estimated period by period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EstimatePage {
    /// Which.
    pub metric: String,
    /// What it cannot see, and for which rows it stands.
    pub caution: String,
    /// Periods, oldest first.
    pub periods: Vec<EstimatePoint>,
}

/// One period.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EstimatePoint {
    /// Its middle in milliseconds.
    pub at_ms: i64,
    /// The estimate.
    pub value: Option<f64>,
    /// Lower end of its band.
    pub lower: f64,
    /// Upper end of its band.
    pub upper: f64,
    /// By labels, where they are there.
    pub realised: Option<f64>,
}

/// The whole page as one HTML document.
#[must_use]
pub fn render(decay: &DecayPage) -> String {
    let mut sections = Vec::new();
    let pictures = html! {
        @if decay.metrics.iter().all(|metric| metric.values.is_empty()) {
            p.empty { "No bucket of rows is over yet: there is nothing to draw." }
        } @else { @for metric in &decay.metrics { (metric_chart(metric)) } }
    };
    sections.push(Section::new("metrics", "Metrics over time", pictures));
    if !decay.ladder.is_empty() {
        sections.push(Section::new("known", "What is known, the surest first", known(decay)));
    }
    if !decay.evidence.is_empty() {
        sections.push(Section::new("evidence", "Evidence", html! { (evidence_chart(decay)) }));
    }
    let estimate = decay.estimate.as_ref();
    if let Some(estimate) = estimate.filter(|estimate| !estimate.periods.is_empty()) {
        sections.push(Section::new(
            "estimate",
            "Estimate without labels",
            html! { p { (estimate.caution) } (estimate_chart(estimate)) },
        ));
    }
    sections.push(Section::new("numbers", "All figures", html! { (table(decay)) }));
    sections.push(Section::new("about", "How to read this", about()));
    Page { title: format!("{} · Afresh decay", decay.title), header: header(decay), sections }
        .render()
}

fn known(decay: &DecayPage) -> Markup {
    let row = |cells: &Vec<String>| Row::new(cells.iter().map(|cell| html! { (cell) }).collect());
    let table = Table {
        id: "table-known",
        caption: "Labels, an estimate without them, predictions, inputs".to_owned(),
        columns: decay.ladder_headings.iter().map(Column::text).collect(),
        rows: decay.ladder.iter().map(row).collect(),
        empty: "",
        frame: Frame::Whole,
        filters: Filters::None,
    };
    html! { (table) p.details { (prose(&decay.ladder_note)) } }
}

fn header(decay: &DecayPage) -> Markup {
    let (tone, shape, word) = match decay.decayed {
        Some(true) => ("bad", "▼", "Decayed"),
        Some(false) => ("good", "●", "No decay"),
        None => ("warn", "○", "No labels"),
    };
    html! {
        p.brand { (logo()) span { "Afresh" } span.kind { "Decay report" } }
        h1 { (decay.title) }
        p.verdict { (badge(tone, shape, word)) " " (decay.verdict) }
        @for remark in &decay.remarks { p.details { (prose(remark)) } }
        dl.facts {
            @for (name, value) in &decay.facts { div { dt { (name) } dd { (value) } } }
        }
    }
}

/// A chart's id must live as long as the program.
fn id_of(metric: &str) -> &'static str {
    match metric {
        "auc" => "chart-auc",
        "accuracy" => "chart-accuracy",
        "log_loss" => "chart-log-loss",
        "brier" => "chart-brier",
        "f1" => "chart-f1",
        "rmse" => "chart-rmse",
        "mae" => "chart-mae",
        "r2" => "chart-r2",
        _ => "chart-metric",
    }
}

fn metric_chart(metric: &MetricPage) -> Chart {
    let name = metric_name(&metric.metric);
    let x = metric.values.iter().map(|(at, _)| *at).collect::<Vec<_>>();
    let y = metric.values.iter().map(|(_, value)| number(*value, 6)).collect::<Vec<_>>();
    let from_ms = x.iter().copied().chain(metric.windows.iter().map(|w| w.from_ms)).min();
    let to_ms = x.iter().copied().chain(metric.windows.iter().map(|w| w.to_ms)).max();
    let (from_ms, to_ms) = (from_ms.unwrap_or(0), to_ms.unwrap_or(1));
    let mut traces = vec![json!({
        "type": "scatter", "mode": "lines+markers", "name": "bucket", "x": x, "y": y,
        "line": { "color": "var(--never)", "width": 1 }, "marker": { "size": 3 },
        "hovertemplate": "%{y:.4f}<extra></extra>",
    })];
    for (window, dash) in
        metric.windows.iter().zip(["solid", "dot", "dash", "dashdot"].iter().cycle())
    {
        let color = if window.detected { "var(--bad)" } else { "var(--managed)" };
        traces.push(json!({
            "type": "scatter", "mode": "lines", "name": format!("mean of {}", window.name),
            "x": [window.from_ms, window.to_ms], "y": [window.mean, window.mean],
            "line": { "color": color, "width": 4, "dash": dash },
            "hovertemplate": format!("{}: %{{y:.4f}}<extra></extra>", window.name),
        }));
    }
    for (name, value, color, dash) in [
        ("baseline", metric.baseline, "var(--good)", "dash"),
        ("detected from here", metric.limit, "var(--bad)", "dot"),
    ] {
        if let Some(value) = value.filter(|value| value.is_finite()) {
            traces.push(level(name, (from_ms, to_ms), value, color, dash));
        }
    }
    let direction = if metric.higher_is_better { "higher" } else { "lower" };
    let means = metric.windows.iter().map(|w| format!("{:.4} over {}", w.mean, w.name));
    Chart {
        id: id_of(&metric.metric),
        title: name.clone(),
        caption: format!(
            "Each point is a bucket of labelled rows, in the order in which labels became available; {direction} is \
             better. Thick lines are the windows' means, red where decay is detected."
        ),
        summary: format!("{name} over time: {}.", means.collect::<Vec<_>>().join(", ")),
        height: 320,
        traces,
        layout: json!({ "yaxis": { "title": { "text": name }, "zeroline": false } }),
        narrow: json!({}),
        time: TimeAxis::Span { from_ms, to_ms },
    }
}

fn level(name: &str, span: (i64, i64), value: f64, color: &str, dash: &str) -> Value {
    json!({
        "type": "scatter", "mode": "lines", "name": name, "x": [span.0, span.1], "y": [value, value],
        "line": { "color": color, "width": 1.5, "dash": dash },
        "hovertemplate": format!("{name} %{{y:.4f}}<extra></extra>"),
    })
}

fn evidence_chart(decay: &DecayPage) -> Chart {
    let instants = || decay.evidence.iter().flat_map(|line| line.points.iter().map(|(at, _)| *at));
    let (from_ms, to_ms) = (instants().min().unwrap_or(0), instants().max().unwrap_or(1));
    let colors = ["var(--managed)", "var(--always)", "var(--drift)", "var(--rolled)"];
    let mut traces = Vec::new();
    for (line, color) in decay.evidence.iter().zip(colors.iter().cycle()) {
        let logs = line.points.iter().map(|(_, e)| number(Some(e.max(1e-6).log10()), 3));
        traces.push(json!({
            "type": "scatter", "mode": "lines", "name": line.name,
            "x": line.points.iter().map(|(at, _)| *at).collect::<Vec<_>>(),
            "y": logs.collect::<Vec<_>>(), "line": { "color": color, "width": 2 },
            "hovertemplate": format!("{}: 10^%{{y:.1f}}<extra></extra>", line.name),
        }));
    }
    let alarm = decay.alarm_at.max(1.0).log10();
    traces.push(level("alarm", (from_ms, to_ms), alarm, "var(--bad)", "dot"));
    Chart {
        id: "chart-evidence",
        title: "Evidence that it is worse".to_owned(),
        caption: "An e-value may be looked at at any time: while nothing is worse than tolerated, it hardly ever \
                  reaches the alarm. Powers of ten."
            .to_owned(),
        summary: format!("Evidence over time of {} tests.", decay.evidence.len()),
        height: 300,
        traces,
        layout: json!({ "yaxis": { "title": { "text": "e-value, power of ten" } } }),
        narrow: json!({}),
        time: TimeAxis::Span { from_ms, to_ms },
    }
}

fn estimate_chart(estimate: &EstimatePage) -> Chart {
    let points = &estimate.periods;
    let x = points.iter().map(|point| point.at_ms).collect::<Vec<_>>();
    let of = |value: &dyn Fn(&EstimatePoint) -> Option<f64>| {
        points.iter().map(|point| number(value(point), 6)).collect::<Vec<_>>()
    };
    let name = metric_name(&estimate.metric);
    let edge = json!({ "width": 0, "color": "var(--managed)" });
    let traces = vec![
        json!({ "type": "scatter", "mode": "lines", "x": x, "y": of(&|p| p.value.map(|_| p.upper)),
            "line": edge, "showlegend": false, "hoverinfo": "skip" }),
        json!({ "type": "scatter", "mode": "lines", "name": "95 % band", "x": x,
            "y": of(&|p| p.value.map(|_| p.lower)), "line": edge, "fill": "tonexty",
            "fillcolor": "var(--fill)", "hoverinfo": "skip" }),
        json!({ "type": "scatter", "mode": "lines+markers", "name": "estimated", "x": x,
            "y": of(&|p| p.value), "line": { "color": "var(--managed)", "width": 2 },
            "hovertemplate": "estimated %{y:.4f}<extra></extra>" }),
        json!({ "type": "scatter", "mode": "lines+markers", "name": "by labels", "x": x,
            "y": of(&|p| p.realised), "line": { "color": "var(--always)", "width": 2, "dash": "dash" },
            "hovertemplate": "by labels %{y:.4f}<extra></extra>" }),
    ];
    let (from, to) = (x.first().copied().unwrap_or(0), x.last().copied().unwrap_or(1));
    let pad = ((to - from) / 40).max(3_600_000);
    Chart {
        id: "chart-estimate",
        title: format!("{name} of every period, estimated and by labels"),
        caption: "The estimate asks how often the probabilities came true on the rows that judged the version. Where \
                  labels leave its band, the relation between features and label has changed, which it cannot see."
            .to_owned(),
        summary: format!("{name} of {} periods, estimated without labels and by labels.", points.len()),
        height: 320,
        traces,
        layout: json!({ "yaxis": { "title": { "text": name }, "zeroline": false } }),
        narrow: json!({}),
        time: TimeAxis::Span { from_ms: from - pad, to_ms: to + pad },
    }
}

fn table(decay: &DecayPage) -> Table {
    let cells = |row: &Vec<String>| Row::new(row.iter().map(|cell| html! { (cell) }).collect());
    Table {
        id: "table-decay",
        caption: "Every metric over every window".to_owned(),
        columns: decay.headings.iter().map(Column::text).collect(),
        rows: decay.rows.iter().map(cells).collect(),
        empty: "Nothing can be said of any window yet.",
        frame: Frame::Scrolling,
        filters: Filters::None,
    }
}

fn about() -> Markup {
    html! {
        dl.method {
            dt { "baseline" }
            dd { "The metric on the rows that judged this version, which it was neither trained nor selected on." }
            dt { "detected" }
            dd { "The window's mean is worse by more than is allowed, and, tested sequentially, it is proven." }
            dt { "significant" }
            dd { "Corrected for the number of things tested, it is hardly chance. It informs and never decides." }
            dt { "labels come late" }
            dd { "A row counts once its label is available. Labels that come early may be of their own kind." }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page() -> DecayPage {
        DecayPage {
            title: "churn v3 <b>".to_owned(),
            metrics: vec![MetricPage {
                metric: "auc".to_owned(),
                higher_is_better: true,
                values: vec![(0, Some(0.7)), (3_600_000, None), (7_200_000, Some(0.6))],
                baseline: Some(0.71),
                limit: Some(0.66),
                windows: vec![WindowPage {
                    name: "24h".to_owned(),
                    to_ms: 7_200_000,
                    mean: 0.65,
                    detected: true,
                    ..WindowPage::default()
                }],
            }],
            evidence: vec![EvidenceLine {
                name: "log loss".to_owned(),
                points: vec![(0, 0.0), (9, 1e3)],
            }],
            alarm_at: 100.0,
            estimate: Some(EstimatePage {
                metric: "auc".to_owned(),
                caution: "it cannot see concept drift".to_owned(),
                periods: vec![EstimatePoint { value: Some(0.7), ..EstimatePoint::default() }],
            }),
            headings: vec!["metric".to_owned()],
            rows: vec![vec!["auc".to_owned()]],
            ..DecayPage::default()
        }
    }

    #[test]
    fn page_holds_every_picture_and_escapes_what_it_is_told() {
        let text = render(&page());
        for id in ["chart-auc", "chart-evidence", "chart-estimate"] {
            assert_eq!(text.matches(&format!("data-chart=\"{id}\"")).count(), 1, "{id}");
        }
        assert!(text.contains("churn v3 &lt;b&gt;") && text.contains("mean of 24h"));
        assert!(text.contains("it cannot see concept drift"));
    }

    #[test]
    fn nothing_to_draw_is_said() {
        let text = render(&DecayPage::default());
        assert!(text.contains("there is nothing to draw") && text.contains("Nothing can be said"));
        assert!(!text.contains("data-chart=\""));
    }
}
