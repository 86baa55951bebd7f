//! Tables with captions, filters and rows that unfold.

use maud::{Markup, Render, html};

use crate::format;

/// A table in a frame that scrolls when it is too large.
pub struct Table {
    /// Unique on the page.
    pub id: &'static str,
    /// What the table holds.
    pub caption: String,
    /// Headings, one per cell of a row.
    pub columns: Vec<Column>,
    /// In order.
    pub rows: Vec<Row>,
    /// What to say where there are no rows.
    pub empty: &'static str,
    /// How tall the frame may grow.
    pub frame: Frame,
    /// What its rows can be filtered by.
    pub filters: Filters,
}

/// One column.
pub struct Column {
    title: String,
    align: Align,
}

/// Where a column's cells stand.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Align {
    /// Words.
    Left,
    /// Numbers.
    Right,
}

/// How tall a table's frame may grow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Frame {
    /// Shows every row.
    Whole,
    /// Scrolls; the header stays in sight. On narrow screens rows become blocks.
    Scrolling,
}

/// What rows can be filtered by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Filters {
    /// Nothing.
    None,
    /// Any text, and the rows' kinds.
    TextAndKind,
}

/// One row.
pub struct Row {
    id: Option<String>,
    kind: String,
    cells: Vec<Markup>,
    detail: Option<Markup>,
}

impl Column {
    /// A column of words.
    #[must_use]
    pub fn text(title: impl Into<String>) -> Column {
        Column { title: title.into(), align: Align::Left }
    }

    /// A column of numbers.
    #[must_use]
    pub fn number(title: impl Into<String>) -> Column {
        Column { title: title.into(), align: Align::Right }
    }

    fn class(&self) -> &'static str {
        match self.align {
            Align::Left => "text",
            Align::Right => "number",
        }
    }
}

impl Row {
    /// One cell per column.
    #[must_use]
    pub fn new(cells: Vec<Markup>) -> Row {
        Row { id: None, kind: String::new(), cells, detail: None }
    }

    /// Makes the row reachable by a link.
    #[must_use]
    pub fn id(mut self, id: String) -> Row {
        self.id = Some(id);
        self
    }

    /// What the row's checkbox says where the table has filters.
    #[must_use]
    pub fn kind(mut self, kind: &str) -> Row {
        kind.clone_into(&mut self.kind);
        self
    }

    /// Shown beneath the row when it is unfolded.
    #[must_use]
    pub fn detail(mut self, detail: Markup) -> Row {
        self.detail = Some(detail);
        self
    }
}

impl Render for Table {
    fn render(&self) -> Markup {
        if self.rows.is_empty() {
            return html! { p.empty { (self.empty) } };
        }
        let foldable = self.rows.iter().any(|row| row.detail.is_some());
        html! {
            @if self.filters == Filters::TextAndKind { (self.filter_bar()) }
            div.frame.scrolling[self.frame == Frame::Scrolling] role="region" tabindex="0"
                aria-label=(self.caption) {
                table.stacking[self.frame == Frame::Scrolling] id=(self.id) {
                    caption { (self.caption) }
                    thead { tr {
                        @for column in &self.columns {
                            th scope="col" class=(column.class()) { (column.title) }
                        }
                        @if foldable { th scope="col" { span.unseen { "Evidence" } } }
                    } }
                    tbody { @for (index, row) in self.rows.iter().enumerate() {
                        (self.row(row, index, foldable))
                    } }
                }
            }
        }
    }
}

impl Table {
    fn row(&self, row: &Row, index: usize, foldable: bool) -> Markup {
        let detail = format!("{}-detail-{index}", self.id);
        html! {
            tr id=[row.id.as_deref()] data-kind=(row.kind) {
                @for (cell, column) in row.cells.iter().zip(&self.columns) {
                    td class=(column.class()) data-label=(column.title) { (cell) }
                }
                @if foldable { td.fold {
                    @if row.detail.is_some() {
                        button type="button" aria-expanded="true" aria-controls=(detail) { "Evidence" }
                    }
                } }
            }
            @if let Some(body) = &row.detail {
                tr.detail id=(detail) { td colspan=(self.columns.len() + 1) { (body) } }
            }
        }
    }

    fn filter_bar(&self) -> Markup {
        let mut kinds: Vec<(&str, u64)> = Vec::new();
        for row in &self.rows {
            match kinds.iter_mut().find(|(kind, _)| *kind == row.kind) {
                Some((_, n)) => *n += 1,
                None => kinds.push((&row.kind, 1)),
            }
        }
        kinds.sort_by_key(|&(_, n)| n);
        html! {
            form.filters data-filters=(self.id) aria-label={ "Filter: " (self.caption) } {
                input type="search" placeholder="Filter by any word" aria-label="Filter by any word";
                fieldset {
                    legend.unseen { "Show" }
                    @for (kind, n) in kinds {
                        label {
                            input type="checkbox" name="kind" value=(kind) checked;
                            span { (kind) " " small { (format::count(n)) } }
                        }
                    }
                }
                output aria-live="polite" { (format::plural(self.rows.len() as u64, "row")) }
            }
        }
    }
}

/// Running text in which parts between backticks are code.
#[must_use]
pub fn prose(text: &str) -> Markup {
    html! {
        @for (index, part) in text.split('`').enumerate() {
            @if index % 2 == 1 { code { (part) } } @else { (part) }
        }
    }
}

/// A word with a shape before it, so that it is not told by colour alone. `tone`: a class of the
/// style sheet (`good`, `bad`, `warn`, `calm`).
#[must_use]
pub fn badge(tone: &str, shape: &str, text: &str) -> Markup {
    html! {
        span class={ "badge " (tone) } { span aria-hidden="true" { (shape) } " " (text) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn table(rows: Vec<Row>) -> Table {
        Table {
            id: "t",
            caption: "Things".to_owned(),
            columns: vec![Column::text("Name"), Column::number("Size")],
            rows,
            empty: "Nothing.",
            frame: Frame::Whole,
            filters: Filters::None,
        }
    }

    #[test]
    fn a_row_unfolds() {
        let row = Row::new(vec![html! { "<a>" }, html! { "1" }])
            .id("run-1".to_owned())
            .detail(html! { p { "why" } });
        expect![[r#"<div class="frame" role="region" tabindex="0" aria-label="Things"><table class="" id="t"><caption>Things</caption><thead><tr><th scope="col" class="text">Name</th><th scope="col" class="number">Size</th><th scope="col"><span class="unseen">Evidence</span></th></tr></thead><tbody><tr id="run-1" data-kind=""><td class="text" data-label="Name">&lt;a&gt;</td><td class="number" data-label="Size">1</td><td class="fold"><button type="button" aria-expanded="true" aria-controls="t-detail-0">Evidence</button></td></tr><tr class="detail" id="t-detail-0"><td colspan="3"><p>why</p></td></tr></tbody></table></div>"#]]
            .assert_eq(&table(vec![row]).render().into_string());
    }

    #[test]
    fn backticks_are_code() {
        assert_eq!(prose("`a<` moved").into_string(), "<code>a&lt;</code> moved");
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(table(Vec::new()).render().into_string(), r#"<p class="empty">Nothing.</p>"#);
    }

    #[test]
    fn filters_list_every_kind_with_its_count() {
        let rows = ["keep", "train", "keep"].map(|kind| Row::new(Vec::new()).kind(kind));
        let table = Table { filters: Filters::TextAndKind, ..table(rows.into()) };
        let markup = table.render().into_string();
        assert!(markup.contains(r#"value="keep" checked><span>keep <small>2</small>"#), "{markup}");
        assert!(markup.contains(r#"value="train" checked><span>train <small>1</small>"#));
    }
}
