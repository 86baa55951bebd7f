//! What commands print: tables for people, JSON for scripts.

pub mod explain;
pub mod report;
pub mod replay;

use comfy_table::{Table, presets};

/// Prints a line.
#[expect(clippy::print_stdout, reason = "the one place that prints results")]
pub fn line(text: impl std::fmt::Display) {
    println!("{text}");
}

/// Prints a value as indented JSON.
pub fn json(value: &serde_json::Value) {
    line(format_args!("{value:#}"));
}

/// A table without frame, as wide as it needs to be.
pub fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table.load_preset(presets::NOTHING).set_header(header.to_vec());
    table
}

/// A number with three digits, or a dash.
pub fn number(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"))
}
