//! Charts of plotly.js: data and layout as JSON beside an empty element that the page's script fills.
//!
//! Colours are written as `var(--name)` and read from the style sheet when a chart is drawn, so that
//! light, dark and print come from one palette. Figures are plain JSON rather than the plotly crate's
//! types: those lack bar bases, shape labels and two-dimensional hover data.

use maud::{Markup, PreEscaped, Render, html};
use serde_json::{Value, json};

use crate::format;

/// The stack of fonts of the style sheet; charts cannot inherit it.
const FONT: &str =
    "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif";

/// A chart with its heading, a sentence on how to read it, and a text for those who cannot see it.
pub struct Chart {
    /// Unique on the page.
    pub id: &'static str,
    /// What the chart shows.
    pub title: String,
    /// How to read it.
    pub caption: String,
    /// What there is to see, with the main numbers.
    pub summary: String,
    /// Pixels on a wide screen.
    pub height: u32,
    /// plotly.js traces.
    pub traces: Vec<Value>,
    /// plotly.js layout, laid over the common one.
    pub layout: Value,
    /// Laid over that again on narrow screens.
    pub narrow: Value,
    /// Whether the horizontal axis is time; such charts zoom together.
    pub time: TimeAxis,
}

/// What a chart's horizontal axis shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeAxis {
    /// Milliseconds since the epoch in this half-open interval.
    Span { from_ms: i64, to_ms: i64 },
    /// Something else.
    None,
}

impl Render for Chart {
    fn render(&self) -> Markup {
        let mut layout = common_layout(self.height);
        if let TimeAxis::Span { from_ms, to_ms } = self.time {
            merge(&mut layout, &time_axis(from_ms, to_ms));
        }
        merge(&mut layout, &self.layout);
        let figure = json!({ "data": self.traces, "layout": layout, "narrow": self.narrow });
        let heading = format!("{}-title", self.id);
        let time = matches!(self.time, TimeAxis::Span { .. });
        html! {
            figure.chart aria-labelledby=(heading) {
                figcaption {
                    h3 id=(heading) { (self.title) }
                    p { (self.caption) }
                }
                div.plot id=(self.id) role="img" aria-label=(self.summary) data-time[time]
                    style={ "min-height:" (self.height) "px" } {}
                noscript { p.empty { (self.summary) } }
                script type="application/json" data-chart=(self.id) { (PreEscaped(for_script(&figure))) }
            }
        }
    }
}

/// Lays `over` on `base`: objects are joined key by key, everything else is replaced.
pub fn merge(base: &mut Value, over: &Value) {
    match (base, over) {
        (Value::Object(base), Value::Object(over)) => {
            for (key, value) in over {
                merge(base.entry(key.clone()).or_insert(Value::Null), value);
            }
        }
        (base, over) => base.clone_from(over),
    }
}

/// `value` rounded to so many decimals, to keep the file small; null where undefined.
#[must_use]
pub fn number(value: Option<f64>, decimals: i32) -> Value {
    let Some(value) = value.filter(|value| value.is_finite()) else { return Value::Null };
    let scale = 10f64.powi(decimals);
    let rounded = (value * scale).round() / scale;
    json!(if rounded.is_finite() { rounded } else { value })
}

/// `text` for a place where plotly.js understands a little HTML.
#[must_use]
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

/// `text` escaped and broken into lines that fit a hover box.
#[must_use]
pub fn hover_text(text: &str) -> String {
    const WIDTH: usize = 64;
    format::wrapped(text, WIDTH).iter().map(|line| escaped(line)).collect::<Vec<_>>().join("<br>")
}

/// JSON that cannot end the script element it stands in.
fn for_script(value: &Value) -> String {
    value
        .to_string()
        .replace('<', "\\u003c")
        .replace('>', "\\u003e")
        .replace('&', "\\u0026")
        .replace('\u{2028}', "\\u2028")
        .replace('\u{2029}', "\\u2029")
}

fn common_layout(height: u32) -> Value {
    let axis = json!({
        "gridcolor": "var(--grid)", "linecolor": "var(--line)", "zerolinecolor": "var(--line)",
        "tickcolor": "var(--line)", "automargin": true,
        "title": { "font": { "size": 12, "color": "var(--soft)" }, "standoff": 10 },
    });
    json!({
        "height": height, "autosize": true, "uirevision": "keep",
        "paper_bgcolor": "var(--card)", "plot_bgcolor": "var(--card)",
        "font": { "family": FONT, "size": 12, "color": "var(--soft)" },
        "margin": { "l": 56, "r": 16, "t": 8, "b": 28 },
        "hoverlabel": {
            "bgcolor": "var(--card)", "bordercolor": "var(--edge)", "align": "left", "namelength": -1,
            "font": { "family": FONT, "size": 12, "color": "var(--ink)" },
        },
        "legend": {
            "orientation": "h", "x": 0, "xanchor": "left", "y": 1.02, "yanchor": "bottom",
            "font": { "color": "var(--ink)", "size": 12 }, "bgcolor": "rgba(0,0,0,0)",
        },
        "modebar": {
            "bgcolor": "rgba(0,0,0,0)", "color": "var(--faint)", "activecolor": "var(--managed)",
            "orientation": "v",
        },
        "xaxis": axis, "yaxis": axis, "yaxis2": axis,
    })
}

fn time_axis(from_ms: i64, to_ms: i64) -> Value {
    let hover = if to_ms.saturating_sub(from_ms) < 4 * 86_400_000 {
        "%-d %b %Y %H:%M"
    } else {
        "%-d %b %Y"
    };
    json!({ "xaxis": {
        "type": "date", "range": [from_ms, to_ms], "showgrid": false, "hoverformat": hover,
        "showspikes": false,
        "spikecolor": "var(--edge)", "spikethickness": 1, "spikedash": "dot",
    } })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn layouts_are_merged_key_by_key() {
        let mut base = json!({ "xaxis": { "type": "date", "range": [0, 1] }, "height": 3 });
        merge(&mut base, &json!({ "xaxis": { "range": [5] }, "yaxis": { "title": "t" } }));
        expect![[r#"{"height":3,"xaxis":{"range":[5],"type":"date"},"yaxis":{"title":"t"}}"#]]
            .assert_eq(&base.to_string());
    }

    #[test]
    fn numbers_are_rounded_or_null() {
        assert_eq!(number(Some(0.123_456_7), 4), json!(0.1235));
        assert_eq!(number(Some(1e300), 4), json!(1e300));
        assert_eq!(number(Some(f64::INFINITY), 4), Value::Null);
        assert_eq!(number(None, 4), Value::Null);
    }

    #[test]
    fn text_cannot_leave_its_place() {
        let value = json!({ "name": "</script><script>alert(1)</script>&\u{2028}" });
        let text = for_script(&value);
        assert!(!text.contains('<') && !text.contains('&') && !text.contains('\u{2028}'));
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), value);
        assert_eq!(hover_text("a <b>&"), "a &lt;b&gt;&amp;");
    }
}
