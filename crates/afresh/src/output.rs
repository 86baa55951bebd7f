//! What commands print: tables for people, JSON for scripts.

pub mod advise;
pub mod backtest;
pub mod explain;
pub mod phase;
pub mod progress;
pub mod replay;
pub mod report;
pub mod steps;

use comfy_table::{Table, presets};

/// Prints a line. Nobody may be reading any more, as behind `| head`: then there is nothing to do.
pub fn line(text: impl std::fmt::Display) {
    use std::io::Write as _;
    drop(writeln!(std::io::stdout().lock(), "{text}"));
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

/// A listing: JSON as it is, else a table, or `nothing` in words.
pub fn listing(json: bool, rows: Vec<serde_json::Value>, table: &Table, nothing: &str) {
    if json {
        self::json(&serde_json::Value::Array(rows));
    } else if rows.is_empty() {
        line(nothing);
    } else {
        line(table);
    }
}

/// A point in time to the minute, in UTC.
pub fn minute(at: afresh_core::time::Timestamp) -> String {
    at.to_string().chars().take(16).collect::<String>().replace('T', " ")
}

/// Or a dash.
pub fn or_dash(text: Option<impl ToString>) -> String {
    text.map_or_else(|| "–".to_owned(), |text| text.to_string())
}

/// At most `length` characters of one line.
pub fn short(text: &str, length: usize) -> String {
    let line = text.lines().next().unwrap_or_default();
    if line.chars().count() <= length && line.len() == text.len() {
        return line.to_owned();
    }
    line.chars().take(length.saturating_sub(1)).chain(['…']).collect()
}
