//! `replay` and `demo`: a configuration over its own history, at the end a table and a report.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use afresh_config::Config;
use afresh_config::config::ModelConfig;
use afresh_core::time::Timestamp;
use afresh_engine::feed::Feed;
use afresh_sim::replay::{Compare, Log, Progress, Replay, run};
use afresh_store::sqlite::Sqlite;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use crate::fault::Fault;
use crate::{output, wiring};

/// Where the demonstration stands, seen from the project's folder.
const DEMO: &str = "examples/flights/afresh.toml";

/// Runs a configuration over its own history under virtual time, with labels arriving when they
/// arrived, through the same engine, store and core as live. Prints what it bought and what it
/// cost, and writes one HTML file with pictures.
#[derive(Clone, Debug, clap::Args)]
pub struct Arguments {
    /// Configuration file or directory; `--config` where it is left out.
    path: Option<PathBuf>,
    /// The model, where there are several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Where to write the report.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    report: PathBuf,
    /// Leave out the comparison that trains in every period: it costs most of a replay.
    #[arg(long)]
    no_always: bool,
    /// Write what the first version would have answered if it had never been retrained, for `afresh
    /// advise`: a CSV of time, prediction, label and label time.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

/// `afresh replay` on `examples/flights`: flights leaving New York in 2013.
#[derive(Clone, Debug, clap::Args)]
pub struct Demo {
    /// Where to write the report.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    report: PathBuf,
    /// Write what the first version would have answered, for `afresh advise`.
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

impl Demo {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let path = demo_path().ok_or_else(|| {
            Fault::Usage(format!("`{DEMO}` is not here: run the demo in the project's folder"))
        })?;
        let arguments = Arguments {
            path: Some(path),
            model: None,
            report: self.report,
            no_always: false,
            log: self.log,
        };
        Box::pin(arguments.run(context)).await
    }
}

/// The example below the current directory or one above it.
fn demo_path() -> Option<PathBuf> {
    let here = std::env::current_dir().ok()?;
    here.ancestors().map(|folder| folder.join(DEMO)).find(|path| path.is_file())
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let path = self.path.clone().unwrap_or_else(|| context.config.clone());
        let config = wiring::config(&path)?;
        let model = wiring::model(&config, self.model.as_deref())?;
        let state = config.state.join("replay").join(model.name.as_str());
        let compare = if self.no_always { Compare::Never } else { Compare::Both };
        let mut replay = prepare(&config, model, &state, compare).await?;
        let classes = replay.workshop.feed().schema().classes.clone();
        if self.log.is_some() {
            replay.log = Log::FirstVersion;
        }
        let bar = Bar::new(context.json);
        let outcome = Box::pin(run(replay, |progress| bar.show(&progress))).await;
        bar.finish();
        let outcome = outcome.with_context(|| format!("failed to replay {}", model.name))?;
        if let Some(file) = &self.log {
            let written = fs::write(file, output::replay::log(&outcome, &classes));
            written.with_context(|| format!("failed to write {}", file.display()))?;
        }
        let drawn = output::report::of(&outcome, &config, model, &path);
        let html = afresh_report::render(&drawn);
        fs::write(&self.report, html)
            .with_context(|| format!("failed to write {}", self.report.display()))?;
        if context.json {
            output::json(&output::replay::json(&outcome, &self.report));
        } else {
            output::replay::print(&outcome, &self.report);
        }
        Ok(())
    }
}

/// Reads the history and opens fresh state below `state`.
async fn prepare(
    config: &Config,
    model: &ModelConfig,
    state: &Path,
    compare: Compare,
) -> Result<Replay<Sqlite>, Fault> {
    if state.exists() {
        fs::remove_dir_all(state)
            .with_context(|| format!("failed to clear {}", state.display()))?;
    }
    fs::create_dir_all(state).with_context(|| format!("failed to create {}", state.display()))?;
    let source = wiring::source(config, model)?;
    let named = || format!("failed to read the rows of {}", model.name);
    let schema = source.infer_schema().await.with_context(named)?;
    let feed = Feed::in_memory(source, schema).await.with_context(named)?;
    let settings = wiring::settings(config, model, state);
    let rival = wiring::settings(config, model, &state.join("always"));
    let store = Sqlite::open(&state.join("state.db")).await;
    let store =
        store.with_context(|| format!("failed to open the store in {}", state.display()))?;
    Ok(Replay {
        workshop: wiring::workshop(settings, feed.clone())?,
        rival: wiring::workshop(rival, feed)?,
        compare,
        log: Log::None,
        store,
        rules: wiring::rules(model),
        limits: config.fleet.clone(),
        warm_up: config.replay.warm_up,
        rival_rounds: wiring::rounds(&model.recipe.engine),
    })
}

/// A progress bar on a terminal, a plain line now and then elsewhere, nothing with `--json`.
struct Bar {
    bar: ProgressBar,
    plain: bool,
    last: Mutex<usize>,
}

/// Plain lines that a replay prints at most.
const PLAIN_LINES: usize = 12;

impl Bar {
    fn new(json: bool) -> Bar {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::new(0);
        if json || !terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) =
            ProgressStyle::with_template("{prefix} {bar:30} {pos}/{len}  {elapsed}  {wide_msg}")
        {
            bar.set_style(style);
        }
        Bar { bar, plain: !json && !terminal, last: Mutex::new(0) }
    }

    fn show(&self, progress: &Progress) {
        let champion = progress
            .champion
            .map_or_else(|| "no champion".to_owned(), |version| version.to_string());
        let date = date(progress.now);
        self.bar.set_length(progress.of as u64);
        self.bar.set_position(progress.done as u64);
        self.bar.set_prefix(date.clone());
        self.bar.set_message(format!("{champion}  {}", progress.decision));
        let Ok(mut last) = self.last.lock() else { return };
        let step = progress.of.div_ceil(PLAIN_LINES).max(1);
        if self.plain && *last + step <= progress.done {
            *last = progress.done;
            let (done, of) = (progress.done, progress.of);
            plain(&format!("{date}  period {done} of {of}  {champion}  {}", progress.decision));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// The day, in UTC.
fn date(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}

#[expect(clippy::print_stderr, reason = "progress is no result")]
fn plain(text: &str) {
    eprintln!("{text}");
}
