//! Writes a policy and its training window into `afresh.toml`: comments, order and everything else
//! stay as they are.

use std::fmt::Write as _;

use afresh_policy::rule::Rule;
use afresh_policy::settings::REST;
use toml_edit::{DocumentMut, InlineTable, Item, Table, TableLike, Value};

/// Why nothing was written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// No TOML, or not what the writer made of it.
    #[error("the configuration cannot be edited: {0}")]
    Syntax(String),
    /// There is no such model in the file.
    #[error("there is no `[model.{0}]` in the file: name the file that holds it")]
    NoModel(String),
    /// A key is something else than a section.
    #[error("`{0}` is no section: write it as `[{0}]`")]
    NoSection(String),
}

/// `text` with the policy, and the window where one is given, of `model`.
pub fn apply(text: &str, model: &str, rule: &Rule, window: Option<&str>) -> Result<String, Error> {
    let mut document =
        text.parse::<DocumentMut>().map_err(|error| Error::Syntax(error.message().to_owned()))?;
    let found = document.get_mut("model").and_then(|models| models.get_mut(model));
    let found = found.ok_or_else(|| Error::NoModel(model.to_owned()))?;
    let path = |section: &str| format!("model.{model}.{section}");
    let no_section = |section: &str| Error::NoSection(path(section));
    let inline = found.is_inline_table();
    let found = found.as_table_like_mut().ok_or_else(|| Error::NoModel(model.to_owned()))?;
    let written = written(rule);
    let retrain = section(found, "retrain", inline).ok_or_else(|| no_section("retrain"))?;
    set(retrain, "policy", &written.policy)?;
    match &written.every {
        Some(every) => set(retrain, "every", every)?,
        None => drop(retrain.remove("every")),
    }
    if let Some(window) = window {
        let data = section(found, "data", inline).ok_or_else(|| no_section("data"))?;
        let quoted = Value::from(window).to_string();
        // One window for each strategy: a policy starts runs that count as scheduled.
        match data.get_mut("window").and_then(Item::as_table_like_mut) {
            Some(each) => set(each, "scheduled", &quoted)?,
            None => set(data, "window", &quoted)?,
        }
    }
    Ok(document.to_string())
}

/// The same as lines to paste.
#[must_use]
pub fn snippet(model: &str, rule: &Rule, window: Option<&str>) -> String {
    let written = written(rule);
    let mut lines = String::new();
    if let Some(window) = window {
        _ = writeln!(lines, "[model.{model}.data]\nwindow = {}\n", Value::from(window));
    }
    _ = writeln!(lines, "[model.{model}.retrain]\npolicy = {}", written.policy);
    if let Some(every) = written.every {
        _ = writeln!(lines, "every = {every}");
    }
    lines
}

/// Values of `policy` and `every`.
struct Lines {
    policy: String,
    every: Option<String>,
}

fn written(rule: &Rule) -> Lines {
    let every = |periods: u32| Some(format!("\"{periods} periods\""));
    let word = |word: &str, every| Lines { policy: format!("\"{word}\""), every };
    if let Rule::Every { periods } = rule {
        return word("periodic", every(*periods));
    }
    match periodic_decay(rule).filter(|(_, rest)| *rest == REST) {
        Some((periods, _)) => word("periodic+decay", every(periods)),
        None => Lines { policy: inline(rule), every: None },
    }
}

/// Periods and rest of the recommended policy, where `rule` is one.
fn periodic_decay(rule: &Rule) -> Option<(u32, u32)> {
    let Rule::Any { of } = rule else { return None };
    let [Rule::All { of }, Rule::Every { periods }] = of.as_slice() else { return None };
    let [_, Rule::Every { periods: rest }] = of.as_slice() else { return None };
    (*rule == Rule::periodic_decay(*periods, *rest)).then_some((*periods, *rest))
}

/// A rule in one line, numbers in the fewest digits that read back the same.
fn inline(rule: &Rule) -> String {
    if let Some((periods, rest)) = periodic_decay(rule) {
        return format!("{{ rule = \"periodic+decay\", periods = {periods}, rest = {rest} }}");
    }
    let list = |of: &[Rule]| of.iter().map(inline).collect::<Vec<_>>().join(", ");
    let named = |parameters: String| {
        let name = rule.name();
        let comma = if parameters.is_empty() { "" } else { ", " };
        format!("{{ rule = \"{name}\"{comma}{parameters} }}")
    };
    match rule {
        Rule::Never | Rule::Always | Rule::Thresholds | Rule::Decay { .. } => {
            format!("\"{}\"", rule.name())
        }
        Rule::Every { periods } => named(format!("periods = {periods}")),
        Rule::Phase { periods, offset } => named(format!("periods = {periods}, offset = {offset}")),
        Rule::Volume { rows } => named(format!("rows = {rows}")),
        Rule::Drift { score } => named(format!("score = {score:?}")),
        Rule::KolmogorovSmirnov { p } => named(format!("p = {p:?}")),
        Rule::Markov { factor } | Rule::Economic { factor } => {
            named(format!("factor = {factor:?}"))
        }
        Rule::CaraT { cost } | Rule::CaraCt { cost } => named(format!("cost = {cost:?}")),
        Rule::BudgetQueue { cpu_hours, weight } => {
            named(format!("cpu_hours = {cpu_hours:?}, weight = {weight:?}"))
        }
        Rule::Upf { horizon } => named(format!("horizon = {horizon}")),
        Rule::DriftSurf { test, trial } => {
            named(format!("test = \"{}\", trial = {trial}", test.name()))
        }
        Rule::Any { of } => format!("{{ any = [{}] }}", list(of)),
        Rule::All { of } => format!("{{ all = [{}] }}", list(of)),
        Rule::AtLeast { count, of } => format!("{{ at_least = {count}, of = [{}] }}", list(of)),
        Rule::WarmUp { periods, then } => {
            format!("{{ warm_up = {periods}, then = {} }}", inline(then))
        }
    }
}

fn section<'a>(
    model: &'a mut dyn TableLike,
    name: &str,
    is_inline: bool,
) -> Option<&'a mut dyn TableLike> {
    let new = || match is_inline {
        true => Item::Value(Value::InlineTable(InlineTable::new())),
        false => Item::Table(Table::new()),
    };
    model.entry(name).or_insert_with(new).as_table_like_mut()
}

/// Sets a key; what stands around its value, a comment too, stays.
fn set(section: &mut dyn TableLike, key: &str, value: &str) -> Result<(), Error> {
    let mut value = value.parse::<Value>().map_err(|error| Error::Syntax(error.to_string()))?;
    match section.get_mut(key) {
        Some(Item::Value(before)) => {
            *value.decor_mut() = before.decor().clone();
            *before = value;
        }
        // A policy in a section of its own gives way to one line.
        _ => {
            section.remove(key);
            section.insert(key, Item::Value(value));
        }
    }
    Ok(())
}
