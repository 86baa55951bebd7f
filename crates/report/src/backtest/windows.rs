//! What each training window is worth by itself: when to retrain apart from on what data.

use maud::{Markup, html};

use super::Backtest;
use crate::table::{Column, Filters, Frame, Row, Table};

/// One training window, retrained on alone.
#[derive(Clone, Debug, PartialEq)]
pub struct Alone {
    /// Its name.
    pub window: String,
    /// Cost of retraining on it in every period.
    pub always: f64,
    /// Cost of the cheapest schedule on it.
    pub oracle: f64,
}

/// The windows beside each other.
pub(super) fn draw(backtest: &Backtest) -> Markup {
    let any = backtest.oracle.cost;
    let rows = backtest.windows.iter().map(|alone| {
        Row::new(vec![
            html! { (alone.window) },
            html! { (format!("{:.1}", alone.always)) },
            html! { (format!("{:.1}", alone.oracle)) },
            html! { (format!("{:.1}", alone.always - alone.oracle)) },
            html! { (format!("{:.1}", alone.oracle - any)) },
        ])
    });
    let table = Table {
        id: "table-windows",
        caption: format!(
            "Costs in the scored periods; hindsight that may take another window each time costs {any:.1}"
        ),
        columns: vec![
            Column::text("window"),
            Column::number("in every period"),
            Column::number("hindsight on it"),
            Column::number("saved by when"),
            Column::number("by another window each time"),
        ],
        rows: rows.collect(),
        empty: "No window was tried.",
        frame: Frame::Whole,
        filters: Filters::None,
    };
    html! { (table) }
}
