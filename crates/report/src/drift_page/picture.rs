//! Two distributions in one small picture of lines and bars, drawn without a script.

use std::fmt::Write as _;

use maud::{Markup, PreEscaped, html};

use super::{CategoryPage, Picture};
use crate::format::{fixed, percent, shortened};

const WIDTH: f64 = 320.0;
const HEIGHT: f64 = 120.0;
const ROW_HEIGHT: f64 = 18.0;
const NAME_LENGTH_MAX: usize = 18;

/// The picture, with `what` for those who cannot see it.
pub(super) fn draw(picture: &Picture, what: &str) -> Markup {
    match picture {
        Picture::Bins { edges, reference, current } if edges.len() > 1 => {
            bins(edges, reference, current, what)
        }
        Picture::Shares(categories) if !categories.is_empty() => shares(categories, what),
        Picture::None | Picture::Bins { .. } | Picture::Shares(_) => {
            html! { p.empty { "No value on either side." } }
        }
    }
}

/// The reference as a filled area, the current window as a line over it.
fn bins(edges: &[f64], reference: &[f64], current: &[f64], what: &str) -> Markup {
    let (low, high) = (edges[0], edges[edges.len() - 1]);
    // Bins may differ in width: what is drawn is the density.
    let density = |shares: &[f64]| -> Vec<f64> {
        let widths = edges.windows(2).map(|pair| pair[1] - pair[0]);
        shares
            .iter()
            .zip(widths)
            .map(|(s, width)| if width > 0.0 { s / width } else { 0.0 })
            .collect()
    };
    let heights = [density(reference), density(current)];
    let top = heights.iter().flatten().copied().filter(|h| h.is_finite()).fold(0.0, f64::max);
    let spread = high - low;
    let x = |value: f64| if spread > 0.0 { (value - low) / spread * WIDTH } else { 0.0 };
    let y = |height: f64| if top > 0.0 { HEIGHT - height / top * HEIGHT } else { HEIGHT };
    let steps = |heights: &[f64]| {
        let mut path = format!("M0 {HEIGHT}");
        for (at, height) in heights.iter().enumerate() {
            // Writing to a string cannot fail.
            let _written = write!(
                path,
                "L{:.1} {:.1}L{:.1} {1:.1}",
                x(edges[at]),
                y(*height),
                x(edges[at + 1])
            );
        }
        let _written = write!(path, "L{WIDTH} {HEIGHT}");
        path
    };
    let hover = edges.windows(2).enumerate().map(|(at, pair)| {
        let of = |shares: &[f64]| percent(shares.get(at).copied().unwrap_or(0.0));
        let text = format!(
            "{} to {}: reference {}, current {}",
            tick(pair[0], spread),
            tick(pair[1], spread),
            of(reference),
            of(current)
        );
        (x(pair[0]), (x(pair[1]) - x(pair[0])).max(0.5), text)
    });
    html! {
        svg.distribution viewBox={ "0 -2 " (WIDTH) " " (HEIGHT + 18.0) } role="img" aria-label=(what) {
            path.reference d=(steps(&heights[0])) {}
            path.current d=(steps(&heights[1])) {}
            line.axis x1="0" x2=(WIDTH) y1=(HEIGHT) y2=(HEIGHT) {}
            @for (from, width, text) in hover {
                rect.hover x=(format!("{from:.1}")) y="0" width=(format!("{width:.1}")) height=(HEIGHT) {
                    title { (text) }
                }
            }
            text x="0" y=(HEIGHT + 13.0) { (tick(low, spread)) }
            text x=(WIDTH) y=(HEIGHT + 13.0) text-anchor="end" { (tick(high, spread)) }
        }
    }
}

/// Two bars a category.
fn shares(categories: &[CategoryPage], what: &str) -> Markup {
    let top = categories.iter().flat_map(|c| [c.reference, c.current]).fold(0.0, f64::max);
    let (left, right) = (118.0, 46.0);
    let room = WIDTH - left - right;
    let length = |share: f64| if top > 0.0 { share / top * room } else { 0.0 };
    let height = ROW_HEIGHT * categories.len() as f64;
    html! {
        svg.distribution viewBox={ "0 0 " (WIDTH) " " (height) } role="img" aria-label=(what) {
            @for (at, category) in categories.iter().enumerate() {
                @let y = at as f64 * ROW_HEIGHT;
                g {
                    title { (format!("{}: reference {}, current {}", category.name, percent(category.reference), percent(category.current))) }
                    text x=(left - 6.0) y=(y + 12.0) text-anchor="end" { (shortened(&category.name, NAME_LENGTH_MAX)) }
                    rect.reference x=(left) y=(y + 2.0) width=(format!("{:.1}", length(category.reference))) height="6" {}
                    rect.current x=(left) y=(y + 9.0) width=(format!("{:.1}", length(category.current))) height="6" {}
                    text x=(WIDTH) y=(y + 12.0) text-anchor="end" { (percent(category.current)) }
                    rect.hover x="0" y=(y) width=(WIDTH) height=(ROW_HEIGHT) {}
                }
            }
        }
    }
}

/// A value of an axis of this length, with the digits that tell it from its neighbours.
fn tick(value: f64, spread: f64) -> String {
    if value.abs() >= 1e7 || (spread > 0.0 && spread < 1e-4) {
        return PreEscaped(format!("{value:.2e}")).into_string();
    }
    let decimals = match spread {
        _ if value.fract().abs() <= 0.0 && spread >= 10.0 => 0,
        _ if spread >= 100.0 => 0,
        _ if spread >= 10.0 => 1,
        _ if spread >= 1.0 => 2,
        _ => 4,
    };
    fixed(Some(value), decimals)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_constant_and_an_empty_column_are_drawn_without_nonsense() {
        let constant =
            Picture::Bins { edges: vec![3.0, 3.0], reference: vec![1.0], current: vec![1.0] };
        for picture in [constant, Picture::None, Picture::Shares(Vec::new())] {
            let text = draw(&picture, "x").into_string();
            assert!(!text.contains("NaN") && !text.contains("inf"), "{text}");
        }
    }

    #[test]
    fn bars_are_as_long_as_their_share() {
        let category = |name: &str, reference, current| CategoryPage {
            name: name.to_owned(),
            reference,
            current,
        };
        let text =
            draw(&Picture::Shares(vec![category("a", 0.5, 0.25), category("b", 0.5, 0.0)]), "x");
        let text = text.into_string();
        for width in ["width=\"156.0\"", "width=\"78.0\"", "width=\"0.0\""] {
            assert!(text.contains(width), "{text}");
        }
    }

    #[test]
    fn ticks_have_the_digits_they_need() {
        for (value, spread, text) in
            [(0.1234, 0.5, "0.1234"), (12.0, 40.0, "12"), (5.25, 8.0, "5.25"), (3e9, 1e9, "3.00e9")]
        {
            assert_eq!(tick(value, spread), text);
        }
    }
}
