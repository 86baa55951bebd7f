//! `init`: a first configuration, guessed from a data file.

use std::fs;
use std::path::{Path, PathBuf};

use afresh_config::Config;
use afresh_config::starter::{Column, Facts, Kind};
use afresh_core::time::Window;
use afresh_data::error::{Error, Warning};
use afresh_data::rows::{MISSING, Values};
use afresh_data::schema::{self, Task};
use afresh_data::source::Source;
use afresh_data::spec::{Columns, SourceSpec};
use anyhow::Context as _;
use serde_json::json;

use super::Context;
use crate::fault::Fault;
use crate::output;

/// Distinct values that are told one by one.
const VALUES_MAX: usize = 20;

/// Reads a Parquet or CSV file (or a directory or glob of them), guesses which column is the time,
/// which the label and what is predicted, and writes a commented configuration.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh init data/orders.parquet
  afresh init 'data/2026/*.csv' --output shop/afresh.toml
  afresh init data/orders.csv --output - | less        only show it")]
pub struct Arguments {
    /// The data file, directory or glob.
    file: String,
    /// Where to write the configuration; `-` prints it.
    #[arg(long, short, default_value = Config::FILE, value_name = "FILE")]
    output: PathBuf,
    /// Overwrite a configuration that is there.
    #[arg(long)]
    force: bool,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let print = self.output == Path::new("-");
        let output =
            if self.output.is_dir() { self.output.join(Config::FILE) } else { self.output };
        if !print && output.exists() && !self.force {
            return Err(Fault::helped(
                format!("`{}` is there already", output.display()),
                "name another file with --output, or overwrite it with --force",
            ));
        }
        let folder = output.parent().filter(|_| !print).unwrap_or(Path::new(""));
        let location = location(&self.file, folder)?;
        let text = starter(&self.file, location).await?;
        if print {
            output::line(text.trim_end());
            return Ok(());
        }
        let failed = || format!("failed to write {}", output.display());
        if !folder.as_os_str().is_empty() {
            fs::create_dir_all(folder).with_context(failed)?;
        }
        write(&output, &text, self.force).with_context(failed)?;
        if context.json {
            output::json(&json!({"written": output.display().to_string()}));
        } else {
            output::line(format_args!("{} is written: read it through, then", output.display()));
            output::line("  afresh check     says whether it fits the data");
            output::line("  afresh replay    runs it over its own history");
            output::line("  afresh retrain   makes a first version");
        }
        Ok(())
    }
}

/// The data as a configuration in `folder` names it.
fn location(file: &str, folder: &Path) -> Result<String, Fault> {
    let here = folder.as_os_str().is_empty() || folder == Path::new(".");
    if here || Path::new(file).is_absolute() {
        return Ok(file.to_owned());
    }
    let find = |path: &Path| {
        std::path::absolute(path).with_context(|| format!("failed to find {}", path.display()))
    };
    let (data, folder) = (find(Path::new(file))?, find(folder)?);
    let short = data.strip_prefix(&folder).unwrap_or(&data);
    Ok(short.display().to_string())
}

/// Never overwrites what appeared meanwhile, unless forced.
fn write(path: &Path, text: &str, force: bool) -> std::io::Result<()> {
    use std::io::Write as _;
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true).create_new(!force);
    options.open(path)?.write_all(text.as_bytes())
}

async fn starter(file: &str, location: String) -> Result<String, Fault> {
    let named = || format!("failed to read {file}");
    let times = times(file).await?;
    // Any column of times will do to read the others; the starter chooses among them.
    let time = times.first().cloned().unwrap_or_default();
    let spec = |time: &str| SourceSpec::new(file, time, Task::Regression);
    let source = Source::open(spec(&time), Path::new("")).with_context(named)?;
    let (schema, warnings) = source.infer().await.with_context(named)?;
    let mut columns = times.iter().map(|name| column(name, Kind::Time)).collect::<Vec<_>>();
    for warning in &warnings {
        if let Warning::NotAFeature { column: name, holds } = warning {
            tracing::info!(column = %name, %holds, "not a feature");
        }
    }
    let rows = source.read(Window::ALL, &schema, Columns::All).await.with_context(named)?;
    for (feature, read) in schema.features.iter().zip(&rows.columns) {
        columns.push(facts(feature, &read.values));
    }
    let count = u64::try_from(rows.len()).unwrap_or(u64::MAX);
    let mut facts = Facts { source: location, columns, rows: count, span: None };
    let first = afresh_config::starter(&facts);
    // Its own choice of the time says how long history is.
    let chosen = Config::parse(&first, Config::FILE, Path::new("")).ok();
    let chosen = chosen.and_then(|config| config.models.into_iter().next());
    if let Some(model) = chosen {
        let source = Source::open(spec(&model.source.time), Path::new("")).with_context(named)?;
        let span = source.span().await;
        facts.span = span.ok().map(afresh_data::source::Span::window);
    }
    Ok(afresh_config::starter(&facts))
}

/// Columns that hold times.
async fn times(file: &str) -> Result<Vec<String>, Fault> {
    // No column has this name, so that the error lists those that would do.
    let spec = SourceSpec::new(file, "\u{0}", Task::Regression);
    let failed = |error: Error| {
        let error = anyhow::Error::new(error).context(format!("failed to read {file}"));
        Fault::Helped {
            error,
            help: "name a Parquet or CSV file, a directory of them, or a glob in quotes".into(),
        }
    };
    let source = Source::open(spec, Path::new("")).map_err(failed)?;
    match source.infer().await {
        Err(Error::NoTime { candidates, .. }) if candidates.is_empty() => Err(Fault::helped(
            format!("no column of {file} looks like a time"),
            "Afresh needs to know when each row happened: add a column such as `2026-03-01T14:02:00Z`",
        )),
        Err(Error::NoTime { candidates, .. }) => Ok(candidates),
        Err(error) => Err(failed(error)),
        Ok(_) => Ok(Vec::new()),
    }
}

fn column(name: &str, kind: Kind) -> Column {
    Column { name: name.to_owned(), kind, values: Vec::new() }
}

/// What a column holds, with its values where they are few.
fn facts(feature: &schema::Feature, values: &Values) -> Column {
    let name = &feature.name;
    match (feature.kind, values) {
        (schema::Kind::Boolean, _) => {
            Column { values: vec!["false".into(), "true".into()], ..column(name, Kind::Boolean) }
        }
        (_, Values::Categorical { codes, names }) => {
            let mut used = vec![false; names.len()];
            for code in codes.iter().filter(|code| **code != MISSING) {
                if let Some(used) = usize::try_from(*code).ok().and_then(|code| used.get_mut(code))
                {
                    *used = true;
                }
            }
            let names = names.iter().zip(used).filter(|(_, used)| *used).map(|(name, _)| name);
            let mut values = names.cloned().collect::<Vec<_>>();
            values.sort();
            if VALUES_MAX < values.len() {
                values.clear();
            }
            Column { values, ..column(name, Kind::Text) }
        }
        (_, Values::Numeric(numbers)) => {
            let mut present = numbers.iter().copied().filter(|n| !n.is_nan()).collect::<Vec<_>>();
            present.sort_by(f64::total_cmp);
            present.dedup();
            let whole = present.iter().all(|number| number.fract().abs() < f64::EPSILON);
            let kind = if whole { Kind::Integer } else { Kind::Number };
            let few = present.len() <= VALUES_MAX;
            let values = present.iter().filter(|_| few).map(|number| format!("{number}"));
            Column { values: values.collect(), ..column(name, kind) }
        }
    }
}
