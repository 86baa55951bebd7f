//! The shell of every report: head, style, chart library, navigation and sections in one document.

use std::fmt::Write as _;

use maud::{DOCTYPE, Markup, PreEscaped, Render, html};
use plotly::Plot;

const STYLE: &str = include_str!("../assets/report.css");
const SCRIPT: &str = include_str!("../assets/report.js");

/// Nothing may be fetched from anywhere; what the page needs is inside it.
const CONTENT_POLICY: &str = "default-src 'none'; script-src 'unsafe-inline'; \
     style-src 'unsafe-inline'; img-src data: blob:; base-uri 'none'; form-action 'none'";

/// A whole document.
pub struct Page {
    /// For the browser's tab.
    pub title: String,
    /// What stands above the navigation; holds the only `h1`.
    pub header: Markup,
    /// In reading order.
    pub sections: Vec<Section>,
}

/// One part of a page with its own heading and place in the navigation.
pub struct Section {
    id: &'static str,
    title: String,
    body: Markup,
}

impl Section {
    /// `id` is unique on the page and made of lower-case letters and hyphens.
    #[must_use]
    pub fn new(id: &'static str, title: impl Into<String>, body: Markup) -> Section {
        Section { id, title: title.into(), body }
    }
}

impl Page {
    /// The document as text.
    #[must_use]
    pub fn render(&self) -> String {
        let page = html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta http-equiv="Content-Security-Policy" content=(CONTENT_POLICY);
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    meta name="color-scheme" content="light dark";
                    meta name="generator" content="Afresh";
                    title { (self.title) }
                    link rel="icon" href="data:,";
                    style { (PreEscaped(STYLE)) }
                    (ChartLibrary)
                }
                body {
                    a.skip href="#content" { "Skip to the content" }
                    header.top { (self.header) }
                    nav.sections aria-label="Sections" {
                        ol { @for section in &self.sections {
                            li { a href={ "#" (section.id) } { (section.title) } }
                        } }
                    }
                    main id="content" { @for section in &self.sections { (section) } }
                    footer { "Written by Afresh. This file is complete: it needs no network." }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        };
        page.into_string()
    }
}

impl Render for Section {
    fn render(&self) -> Markup {
        let heading = format!("{}-heading", self.id);
        html! {
            section id=(self.id) aria-labelledby=(heading) {
                h2 id=(heading) { (self.title) }
                (self.body)
            }
        }
    }
}

/// plotly.js in one script element, without the formula typesetter that the crate puts beside it.
struct ChartLibrary;

impl Render for ChartLibrary {
    fn render_to(&self, out: &mut String) {
        const END: &str = "</script>";
        let sources = Plot::offline_js_sources();
        let first = sources.split_inclusive(END).next().unwrap_or_default();
        // Writing to a string cannot fail.
        let _written = write!(out, "{}", first.trim_start());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn a_section_is_labelled_by_its_heading() {
        let section = Section::new("cost", "Cost & time", html! { p { "body" } });
        expect![[r##"<section id="cost" aria-labelledby="cost-heading"><h2 id="cost-heading">Cost &amp; time</h2><p>body</p></section>"##]]
            .assert_eq(&section.render().into_string());
    }

    #[test]
    fn the_library_is_plotly_alone() {
        let library = ChartLibrary.render().into_string();
        assert!(library.starts_with("<script"), "{}", &library[..80]);
        assert!(library.contains("plotly.js v"));
        assert!(!library.contains("MathJax.loader"));
        assert_eq!(library.matches("</script").count(), 1);
        assert!(!library.contains("<!--"), "would change how a browser reads the script");
    }

    #[test]
    fn own_script_and_style_cannot_end_their_elements() {
        assert!(!SCRIPT.contains("</") && !SCRIPT.contains("<!--") && !STYLE.contains("</"));
    }
}
