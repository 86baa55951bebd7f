//! `check`: everything that is wrong with a configuration and the data that it names.

use std::ops::Range;
use std::path::Path;

use afresh_config::Config;
use afresh_config::config::{ModelConfig, TrainingWindow};
use afresh_core::time::{Timestamp, Window};
use afresh_data::error::{Error, Warning};
use afresh_data::source::{Source, Span};
use afresh_train::recipe::Engine;
use anyhow::Context as _;
use miette::{Diagnostic, NamedSource, SourceSpan};
use serde_json::{Value, json};

use super::Context;
use crate::fault::{self, Fault};
use crate::output::{self, minute};
use crate::wiring;

/// Reads a configuration and the data that it names, and says everything that is wrong: with file,
/// line and column, and what to write instead. Warns of what is legal and yet worth a look, such
/// as a column without any value. Changes nothing.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh check
  afresh check shop/afresh.toml --json
  afresh check --schema > afresh.schema.json      for editors: completion and checks")]
pub struct Arguments {
    /// The configuration or its directory; `--config` where it is left out.
    file: Option<std::path::PathBuf>,
    /// Print the JSON Schema of afresh.toml instead.
    #[arg(long)]
    schema: bool,
}

/// A problem of the data that stands somewhere in the configuration.
#[derive(Debug, thiserror::Error, Diagnostic)]
#[error("{message}")]
struct Problem {
    message: String,
    #[help]
    help: Option<String>,
    #[source_code]
    text: NamedSource<String>,
    #[label("named here")]
    span: Option<SourceSpan>,
}

/// What was found of one model.
struct Found {
    shown: Value,
    summary: Option<String>,
    warnings: Vec<String>,
    error: Option<Error>,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        if self.schema {
            output::line(afresh_config::schema().trim_end());
            return Ok(());
        }
        let path = self.file.as_deref().unwrap_or(&context.config);
        let config = wiring::config(path)?;
        let file = wiring::config_file(path);
        let text = std::fs::read_to_string(&file).unwrap_or_default();
        let mut models = Vec::new();
        let mut worst = 0;
        if let Some(shelf) = wiring::shelf(&config)? {
            shelf.probe().await.context("datasets and versions cannot be kept")?;
        }
        for model in &config.models {
            let found = look(&config, model, context.clock.now()).await;
            if let Some(error) = &found.error {
                worst = worst.max(if key(error).is_some() { 2 } else { 1 });
                tell_problem(context, &file, &text, model, error);
            }
            if !context.json {
                if let Some(line) = &found.summary {
                    output::line(line);
                }
                for warning in &found.warnings {
                    output::line(format_args!("  warning: {warning}"));
                }
            }
            models.push(found.shown);
        }
        if context.json {
            output::json(&json!({"ok": worst == 0, "models": models}));
        } else if worst == 0 {
            output::line(format_args!("{} is sound", file.display()));
        }
        if worst == 0 { Ok(()) } else { Err(Fault::Told(worst)) }
    }
}

async fn look(config: &Config, model: &ModelConfig, now: Timestamp) -> Found {
    let mut shown = json!({
        "model": model.name.as_str(),
        "source": model.source.location,
        "engine": model.recipe.engine.name(),
        "metric": model.judging.metric.name(),
        "policy": model.advice.rule.name(),
    });
    match read(config, model).await {
        Ok((files, schema, warnings, span)) => {
            let mut warnings = warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
            warnings.extend(worth_a_look(config, model, span, now));
            shown["files"] = json!(files);
            shown["features"] = json!(schema.features);
            shown["classes"] = json!(schema.classes);
            shown["from"] = json!(span.first.to_string());
            shown["to"] = json!(span.last.to_string());
            shown["warnings"] = json!(warnings);
            let classes = match schema.classes.as_slice() {
                [] => String::new(),
                classes => format!(", classes {}", classes.join(" and ")),
            };
            let summary = format!(
                "{}: {} features{classes}; {} from {} to {} in {}",
                model.name,
                schema.features.len(),
                if files == 1 { "one file".to_owned() } else { format!("{files} files") },
                minute(span.first),
                minute(span.last),
                model.source.location,
            );
            Found { shown, summary: Some(summary), warnings, error: None }
        }
        Err(error) => {
            shown["error"] = json!(fault::chain(&anyhow::Error::msg(words(&error))));
            Found { shown, summary: None, warnings: Vec::new(), error: Some(error) }
        }
    }
}

type Read = (usize, afresh_data::schema::Schema, Vec<Warning>, Span);

async fn read(config: &Config, model: &ModelConfig) -> Result<Read, Error> {
    let source = Source::open(model.source.clone(), &config.base)?;
    let (schema, warnings) = source.infer().await?;
    let files = source.objects(Window::ALL).await?.len();
    let span = source.span().await?;
    Ok((files, schema, warnings, span))
}

/// What the numbers of the configuration make of the data's span.
fn worth_a_look(config: &Config, model: &ModelConfig, span: Span, now: Timestamp) -> Vec<String> {
    let mut warnings = Vec::new();
    let length = span.last.since(span.first);
    if length < config.replay.period {
        warnings.push(format!(
            "history spans {length}, which holds no whole `replay.period` of {}",
            config.replay.period
        ));
    }
    if let TrainingWindow::Last(window) = model.windows.scheduled
        && span.last < now.before(window)
    {
        warnings.push(format!(
            "the newest row is of {}: a window of {window} holds no row today; write a longer \
             `window` or \"all\", or try things out with `--now {}`",
            minute(span.last),
            span.last.to_string().chars().take(10).collect::<String>(),
        ));
    }
    if let Engine::Command(command) = &model.recipe.engine
        && let Some(program) = command.command.first()
        && program.contains('/')
        && !config.base.join(program).exists()
    {
        warnings.push(format!("the trainer `{program}` does not exist"));
    }
    warnings
}

/// Tells a problem of the data, at the place of the configuration that names what is wrong.
fn tell_problem(context: &Context, file: &Path, text: &str, model: &ModelConfig, error: &Error) {
    let span = key(error).and_then(|key| place(text, model.name.as_str(), key));
    let message = format!("{}: {}", model.name, words(error));
    if context.json {
        let at = span.as_ref().map(|span| {
            let before = &text[..span.start];
            let line = before.matches('\n').count() + 1;
            let column = before.rsplit('\n').next().map_or(0, |last| last.chars().count()) + 1;
            json!({"file": file, "line": line, "column": column})
        });
        let mut value = fault::of(&message, None);
        value["error"]["at"] = json!(at);
        fault::note(&value.to_string());
        return;
    }
    let Some(span) = span else {
        fault::note(&format!("error: {message}"));
        return;
    };
    let text = NamedSource::new(file.display().to_string(), text.to_owned()).with_language("TOML");
    let problem = Problem { message, help: None, text, span: Some(span.into()) };
    fault::note(&format!("{:?}", miette::Report::new(problem)));
}

/// An error with its causes.
fn words(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}

/// The key of [model.NAME.data] that an error is about; `None` where the data itself is wrong.
fn key(error: &Error) -> Option<&str> {
    match error {
        Error::Location { .. }
        | Error::Missing { .. }
        | Error::NoMatch { .. }
        | Error::NoDataFiles { .. }
        | Error::Format { .. } => Some("source"),
        Error::NoTime { .. } => Some("time"),
        Error::NoColumn { key, .. } => Some(key),
        Error::Label { .. } => Some("label"),
        Error::Unreadable { .. }
        | Error::Remote { .. }
        | Error::Damaged { .. }
        | Error::Ragged { .. }
        | Error::Csv { .. }
        | Error::DuplicateColumn { .. }
        | Error::Vanished { .. }
        | Error::Retyped { .. }
        | Error::Infinite { .. }
        | Error::Value { .. }
        | Error::UnknownLabel { .. }
        | Error::NoRows { .. }
        | Error::Predictions { .. }
        | Error::Write { .. } => None,
    }
}

/// Where `key` of [model.NAME.data] stands in the text: its value, else the section's header.
fn place(text: &str, model: &str, key: &str) -> Option<Range<usize>> {
    let quoted = format!("[model.\"{model}\".data]");
    let headers = [format!("[model.{model}.data]"), quoted];
    let mut section = None;
    let mut at = 0;
    for line in text.split_inclusive('\n') {
        let trimmed = line.trim();
        let start = at + (line.len() - line.trim_start().len());
        if trimmed.starts_with('[') {
            let found = headers.iter().any(|header| trimmed.starts_with(header.as_str()));
            if section.is_some() && !found {
                break;
            }
            section = found.then_some(start..start + trimmed.len());
        } else if section.is_some()
            && let Some((name, value)) = trimmed.split_once('=')
            && name.trim().trim_matches('"') == key
        {
            let value = value.split(" #").next().unwrap_or(value).trim();
            let offset = trimmed.find(value).unwrap_or(0);
            return Some(start + offset..start + offset + value.len());
        }
        at += line.len();
    }
    section
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_found_in_their_own_section() {
        let text =
            "[model.a.data]\ntime = \"x\"\n[model.b.data]\n  time = \"y\"  # when\nlabel=\"z\"\n";
        let found = |model, key| place(text, model, key).map(|at| &text[at]);
        assert_eq!(found("a", "time"), Some("\"x\""));
        assert_eq!(found("b", "time"), Some("\"y\""));
        assert_eq!(found("b", "label"), Some("\"z\""));
        assert_eq!(found("a", "label"), Some("[model.a.data]"));
        assert_eq!(found("c", "label"), None);
    }
}
