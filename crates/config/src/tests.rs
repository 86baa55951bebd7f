//! Tables: many files, wrong and right, and what comes of them.

mod policies;
mod right;
mod starting;
mod wrong;

use std::path::Path;

use crate::config::Config;
use crate::problem::Problems;

fn parse(text: &str) -> Result<Config, Problems> {
    Config::parse(text, "afresh.toml", Path::new(""))
}

/// A configuration of one model with these lines below `[model.m.SECTION]`.
fn with(section: &str, lines: &str) -> String {
    let source = if section == "data" { "" } else { "[model.m.data]\nsource = \"a.csv\"\n" };
    format!("{source}[model.m.{section}]\n{lines}\n")
}
