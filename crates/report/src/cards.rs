//! Summary cards: one big number each, a small line over time and a few facts.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, Render, html};

/// One card.
#[derive(Default)]
pub struct Card {
    /// What it is about.
    pub title: String,
    /// Names its colour and line: one of the style sheet's series (`managed`, `never`, `always`).
    pub series: &'static str,
    /// The big number.
    pub figure: String,
    /// What the number is.
    pub unit: String,
    /// Values over time on the scale of `range`, undefined ones left out; empty draws nothing.
    pub line: Vec<Option<f64>>,
    /// Lowest and highest value over all cards that are compared.
    pub range: (f64, f64),
    /// Name and value, in order.
    pub facts: Vec<(String, String)>,
    /// A share in [0, 1] drawn as a bar, with its label.
    pub bar: Option<(f64, String)>,
}

impl Render for Card {
    fn render(&self) -> Markup {
        html! {
            article class={ "card series-" (self.series) } {
                h3 { (swatch(self.series)) (self.title) }
                p.figure { strong { (self.figure) } " " span { (self.unit) } }
                (sparkline(&self.line, self.range))
                dl {
                    @for (name, value) in &self.facts { div { dt { (name) } dd { (value) } } }
                }
                @if let Some((share, label)) = &self.bar {
                    div.bar {
                        span.track aria-hidden="true" {
                            span style={ "width:" (format!("{:.1}", share.clamp(0.0, 1.0) * 100.0)) "%" } {}
                        }
                        span.label { (label) }
                    }
                }
            }
        }
    }
}

/// A short piece of a series' line: its colour and its dashes.
#[must_use]
pub fn swatch(series: &str) -> Markup {
    html! {
        svg class={ "swatch series-" (series) } viewBox="0 0 28 8" aria-hidden="true" {
            line x1="2" y1="4" x2="26" y2="4" {}
        }
    }
}

fn sparkline(values: &[Option<f64>], (low, high): (f64, f64)) -> Markup {
    const WIDTH: f64 = 240.0;
    const HEIGHT: f64 = 44.0;
    let spread = high - low;
    if values.iter().flatten().count() < 2 || !spread.is_finite() {
        return html! {};
    }
    let step = WIDTH / (values.len().max(2) - 1) as f64;
    let mut path = String::new();
    let mut pen_down = false;
    for (index, value) in values.iter().enumerate() {
        let Some(value) = value.filter(|value| value.is_finite()) else {
            pen_down = false;
            continue;
        };
        let height = if spread > 0.0 { (value - low) / spread } else { 0.5 };
        let verb = if pen_down { 'L' } else { 'M' };
        // Writing to a string cannot fail.
        let _written =
            write!(path, "{verb}{:.1} {:.1}", index as f64 * step, HEIGHT - height * HEIGHT);
        pen_down = true;
    }
    html! {
        svg.sparkline viewBox="-2 -3 244 50" preserveAspectRatio="none" aria-hidden="true" {
            (PreEscaped(format!(r#"<path d="{path}" vector-effect="non-scaling-stroke"/>"#)))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_line_breaks_where_values_are_missing() {
        let values = [Some(0.0), Some(1.0), None, Some(0.5), Some(f64::NAN)];
        expect![[r#"<svg class="sparkline" viewBox="-2 -3 244 50" preserveAspectRatio="none" aria-hidden="true"><path d="M0.0 44.0L60.0 0.0M180.0 22.0" vector-effect="non-scaling-stroke"/></svg>"#]]
            .assert_eq(&sparkline(&values, (0.0, 1.0)).into_string());
        assert_eq!(sparkline(&[None, Some(1.0)], (0.0, 1.0)).into_string(), "");
    }

    #[test]
    fn a_card_escapes_its_text() {
        let card = Card { title: "<b>".to_owned(), series: "managed", ..Card::default() };
        assert!(card.render().into_string().contains("&lt;b&gt;"));
    }
}
