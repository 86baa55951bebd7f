//! One window of rows against another as a page: the verdict and where its threshold comes from, the
//! columns in order of what they contribute, a picture of each, and what a model made of it.

mod columns;
mod model;
mod picture;

use maud::{Markup, html};

use crate::format::{count, fixed, plural};
use crate::page::{Page, Section};
use crate::table::{badge, prose};
use crate::verdict::logo;

/// What the page is drawn from; plain figures. Values that are not finite count as undefined.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct DriftPage {
    /// The page's heading.
    pub title: String,
    /// The window compared with.
    pub reference: Side,
    /// The window judged.
    pub current: Side,
    /// Mean of the columns' scores, weighted by importance.
    pub score: f64,
    /// What the score is held against.
    pub threshold: f64,
    /// Whether the score reaches it.
    pub drifted: bool,
    /// Where the threshold comes from, in sentences.
    pub threshold_source: String,
    /// How it was measured, in sentences: exactly, or by sketches and how far those may be off.
    pub route: String,
    /// Whether importances are known; all alike otherwise.
    pub weighted: bool,
    /// In any order; drawn by falling contribution.
    pub columns: Vec<ColumnPage>,
    /// A model that tells the windows apart.
    pub classifier: Option<Classifier>,
    /// What a model in service made of it.
    pub predictions: Option<Predictions>,
    /// Parts of the rows, the most moved first.
    pub slices: Vec<SlicePage>,
    /// What a reader should know, one sentence or more each.
    pub notes: Vec<String>,
}

/// One of the two windows.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Side {
    /// Where its rows come from.
    pub name: String,
    /// How many.
    pub rows: u64,
}

/// One column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ColumnPage {
    /// The column's name.
    pub name: String,
    /// `numeric` or `categorical`.
    pub kind: String,
    /// Its share of importance, in [0, 1].
    pub importance: f64,
    /// How far it moved, in [0, 1].
    pub score: f64,
    /// Whether that reaches the threshold.
    pub drifted: bool,
    /// Name and value of every measure, as it is to be shown.
    pub measures: Vec<(String, String)>,
    /// What happened to it, a few words each: new categories, values out of range.
    pub remarks: Vec<String>,
    /// Both distributions.
    pub picture: Picture,
}

/// Two distributions over the same classes; shares of the present values.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Picture {
    /// Nothing to draw.
    #[default]
    None,
    /// Numbers in bins; one edge more than bins.
    Bins {
        /// Ascending.
        edges: Vec<f64>,
        /// Share in each bin.
        reference: Vec<f64>,
        /// Share in each bin.
        current: Vec<f64>,
    },
    /// Categories, the most frequent first.
    Shares(Vec<CategoryPage>),
}

/// One category, or all that are not shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CategoryPage {
    /// As written.
    pub name: String,
    /// Share of the reference's present values.
    pub reference: f64,
    /// Share of the current ones.
    pub current: f64,
}

/// A model that was trained to tell the two windows apart.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Classifier {
    /// Out-of-fold AUC; 0.5 is by chance.
    pub auc: f64,
    /// Rows it learned from, both windows.
    pub rows: u64,
    /// Columns and their share of its gain, the largest first.
    pub importance: Vec<(String, f64)>,
}

/// How a model's predictions moved.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Predictions {
    /// Which model and version.
    pub version: String,
    /// What it predicts, in words: `probability of 1`.
    pub output: String,
    /// Mean on the reference rows.
    pub reference: f64,
    /// Mean on the current rows.
    pub current: f64,
    /// Rows of each window it was asked about.
    pub rows: u64,
    /// Columns and how far the mean prediction moves when they alone are taken from the current
    /// rows, the farthest first.
    pub columns: Vec<(String, f64)>,
}

/// A part of the rows: those with one value of one column.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SlicePage {
    /// `carrier = AA`.
    pub name: String,
    /// Its share of the reference rows.
    pub reference: f64,
    /// Its share of the current rows.
    pub current: f64,
    /// Drift score within it; `None` where it has too few rows.
    pub score: Option<f64>,
    /// Change of the mean prediction within it.
    pub predictions: Option<f64>,
}

/// The whole page as one HTML document of about 5 MB, nearly all of it the chart library.
#[must_use]
pub fn render(drift: &DriftPage) -> String {
    let ranked = columns::ranked(&drift.columns);
    let mut sections = vec![columns::ranking(drift, &ranked)];
    sections.extend(model::section(drift));
    sections.extend(model::slices(&drift.slices));
    sections.push(columns::pictures(drift, &ranked));
    sections.push(columns::numbers(drift, &ranked));
    sections.push(Section::new("about", "How to read this", about(drift)));
    Page { title: format!("{} · Afresh drift", drift.title), header: header(drift), sections }
        .render()
}

fn header(drift: &DriftPage) -> Markup {
    let (tone, shape, word) =
        if drift.drifted { ("bad", "▲", "Drifted") } else { ("good", "●", "No drift") };
    let moved = drift.columns.iter().filter(|column| column.drifted).count() as u64;
    let relation = if drift.drifted { "reaches" } else { "stays below" };
    let columns = drift.columns.len() as u64;
    html! {
        p.brand { (logo()) span { "Afresh" } span.kind { "Drift report" } }
        h1 { (drift.title) }
        p.verdict {
            (badge(tone, shape, word)) " "
            (format!(
                "The drift score {} {relation} the threshold of {}; {} of {} {} it alone.",
                fixed(Some(drift.score), 3),
                fixed(Some(drift.threshold), 3),
                count(moved),
                plural(columns, "column"),
                if moved == 1 { "reaches" } else { "reach" },
            ))
        }
        p.details { (prose(&drift.threshold_source)) " " (prose(&drift.route)) }
        dl.facts {
            div { dt { "Reference" } dd { (drift.reference.name) } }
            div { dt { "Rows" } dd { (count(drift.reference.rows)) } }
            div { dt { "Current" } dd { (drift.current.name) } }
            div { dt { "Rows" } dd { (count(drift.current.rows)) } }
            @if let Some(classifier) = &drift.classifier {
                div { dt { "AUC of telling them apart" } dd { (fixed(Some(classifier.auc), 3)) } }
            }
        }
    }
}

fn about(drift: &DriftPage) -> Markup {
    html! {
        div.columns {
            div {
                h3 { "The measures" }
                dl.method {
                    dt { "score of a column" }
                    dd { "Its Kolmogorov–Smirnov statistic (numbers) or Cramér's V (categories), or the change of its missing rate where that is larger: 0 is no change, 1 is nothing in common. It does not grow with the number of rows." }
                    dt { "drift score" }
                    dd {
                        "The mean of the columns' scores"
                        @if drift.weighted { ", weighted by their importance to the model." }
                        @else { "; no importance was given, so all columns count alike." }
                    }
                    dt { "p-values" }
                    dd { "Inform and never decide: with many rows they call every difference significant." }
                }
            }
            div {
                h3 { "More measures" }
                dl.method {
                    dt { "Wasserstein" }
                    dd { "How far values moved on average, in standard deviations of the reference." }
                    dt { "Jensen–Shannon" }
                    dd { "Distance of the two distributions to base 2, in [0, 1]; numbers in 50 equal bins." }
                    dt { "PSI" }
                    dd { "Population stability index over ten reference quantiles or the categories." }
                    dt { "out of range" }
                    dd { "Share of current values outside the reference's smallest and largest, or in a new category." }
                }
            }
        }
        @if !drift.notes.is_empty() {
            h3 { "Notes" }
            ul.notes { @for note in &drift.notes { li { (prose(note)) } } }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn sample() -> DriftPage {
        let column = |name: &str, score: f64, picture| ColumnPage {
            name: name.to_owned(),
            kind: "numeric".to_owned(),
            importance: 0.5,
            score,
            drifted: score >= 0.3,
            measures: vec![("PSI".to_owned(), "0.100".to_owned())],
            remarks: vec!["<new>".to_owned()],
            picture,
        };
        let bins = Picture::Bins {
            edges: vec![0.0, 1.0, 2.0],
            reference: vec![0.25, 0.75],
            current: vec![0.5, 0.5],
        };
        let shares = Picture::Shares(vec![CategoryPage {
            name: "a & b".to_owned(),
            reference: 1.0,
            current: 0.5,
        }]);
        DriftPage {
            title: "May against June".to_owned(),
            reference: Side { name: "may.csv".to_owned(), rows: 1_000 },
            current: Side { name: "june.csv".to_owned(), rows: 2_000 },
            score: 0.25,
            threshold: 0.3,
            columns: vec![
                column("x", 0.1, bins),
                column("y", 0.4, shares),
                column("z", f64::NAN, Picture::None),
            ],
            slices: vec![SlicePage {
                name: "y = a".to_owned(),
                reference: 0.5,
                current: 0.6,
                score: None,
                predictions: Some(-0.01),
            }],
            classifier: Some(Classifier {
                auc: 0.61,
                rows: 200,
                importance: vec![("y".to_owned(), 1.0)],
            }),
            predictions: Some(Predictions {
                version: "v3".to_owned(),
                output: "probability of 1".to_owned(),
                reference: 0.2,
                current: 0.24,
                rows: 100,
                columns: vec![("y".to_owned(), 0.03), ("x".to_owned(), -0.01)],
            }),
            ..DriftPage::default()
        }
    }

    fn ids(page: &str) -> String {
        let end = page.find("</script>").unwrap_or(0);
        let ids = page[end..].split(" id=\"").skip(1).filter_map(|rest| rest.split('"').next());
        ids.collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn the_page_has_its_sections() {
        expect!["content ranking ranking-heading chart-ranking-title chart-ranking predictions predictions-heading chart-predictions-title chart-predictions slices slices-heading drift-slices pictures pictures-heading numbers numbers-heading drift-numbers about about-heading"]
            .assert_eq(&ids(&render(&sample())));
    }

    #[test]
    fn an_empty_page_is_whole() {
        let page = render(&DriftPage::default());
        assert!(
            page.ends_with("</html>") && page.contains("No column was compared."),
            "{}",
            ids(&page)
        );
    }

    #[test]
    fn text_of_columns_is_escaped() {
        let page = render(&sample());
        assert!(page.contains("&lt;new&gt;") && !page.contains("<new>"));
        assert!(page.contains("a &amp; b"));
    }

    #[test]
    fn the_verdict_counts_what_drifted() {
        let text = header(&sample()).into_string();
        assert!(
            text.contains("stays below the threshold of 0.300; 1 of 3 columns reaches it alone"),
            "{text}"
        );
    }
}
