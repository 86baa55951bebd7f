//! The command line: one file per command below.

mod advise;
mod answer;
mod backtest;
mod check;
mod completions;
mod datasets;
mod decay;
mod decisions;
mod drift;
mod explain;
mod gc;
mod init;
mod models;
mod promote;
mod replay;
mod retrain;
mod run;
mod runs;
mod status;
mod versions;

use std::path::PathBuf;
use std::process::ExitCode;

use afresh_core::id::{RunId, VersionId};
use afresh_core::time::Timestamp;
use afresh_engine::clock::Clock;
use afresh_engine::port::Page;
use clap::{Parser, Subcommand};

use crate::fault::Fault;
use crate::moment;

/// The longest that work is waited for which was interrupted.
const ENDING_MAX: std::time::Duration = std::time::Duration::from_secs(5);

/// Keeps deployed machine-learning models fresh at the least cost.
#[derive(Debug, Parser)]
#[command(
    name = "afresh",
    version,
    propagate_version = true,
    after_help = "\
Getting started:
  afresh demo                     a year of flights through the whole loop
  afresh init data/orders.csv     a first afresh.toml, guessed from your data
  afresh check                    what is wrong with it, and where
  afresh retrain                  train, judge and ship a version now
  afresh run --every 1h           look regularly, and retrain when it pays

Exit codes: 0 done, 1 failed or refused, 2 wrong usage or configuration."
)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of text; errors are JSON too, on standard error.
    #[arg(long, global = true)]
    json: bool,
    /// Configuration file, or the directory that holds it.
    #[arg(long, short, global = true, default_value = "afresh.toml", value_name = "FILE")]
    config: PathBuf,
    /// Act as if it were this time: for trying things out on old data.
    #[arg(long, global = true, value_name = "TIME", value_parser = moment::parse)]
    now: Option<Timestamp>,
    /// Log what is done on standard error; twice: in detail.
    #[arg(long, short, global = true, action = clap::ArgAction::Count, conflicts_with = "quiet")]
    verbose: u8,
    /// Neither progress nor warnings.
    #[arg(long, short, global = true)]
    quiet: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a year of real flights run through the whole loop
    Demo(replay::Demo),
    /// What a log of predictions says about its model
    Advise(Box<advise::Arguments>),
    /// Write a first configuration for a data file
    Init(init::Arguments),
    /// Say what is wrong with a configuration and its data
    Check(check::Arguments),
    /// Run a configuration over its own history under virtual time
    Replay(replay::Arguments),
    /// Let policies compete over history, and say which one pays
    Backtest(backtest::Arguments),
    /// Train, judge and ship a version now
    Retrain(retrain::Arguments),
    /// Look at every model, decide, and do what is owed: once, or again and again
    Run(run::Arguments),
    /// Where every model stands
    Status(status::Arguments),
    /// The models under management
    Models(models::Arguments),
    /// Versions of a model, or which one served when
    Versions(versions::Arguments),
    /// Retrainings, newest first
    Runs(runs::Arguments),
    /// What was decided and why, newest first
    Decisions(decisions::Arguments),
    /// The rows that trained and judged each version
    Datasets(datasets::Arguments),
    /// A run or version in plain words
    Explain(explain::Arguments),
    /// Let a version serve, by a person's choice
    Promote(promote::Promote),
    /// Let an earlier version serve again
    Rollback(promote::Rollback),
    /// Agree to the rollout of a run that waits for it
    Approve(answer::Approve),
    /// Do not agree to it
    Decline(answer::Decline),
    /// Stop a run
    Cancel(answer::Cancel),
    /// How far the newest rows moved from those that trained the champion
    Drift(drift::Arguments),
    /// Whether the champion has become worse
    Decay(decay::Arguments),
    /// Remove what is no longer needed
    Gc(gc::Arguments),
    /// Completions for a shell
    Completions(completions::Arguments),
    /// One training in a process of its own; started by Afresh itself
    #[command(hide = true)]
    TrainStep {
        /// What to train, as JSON.
        spec: PathBuf,
    },
}

/// What every command is given.
#[derive(Clone, Debug)]
pub struct Context {
    /// Whether to print JSON.
    pub json: bool,
    /// The configuration's path.
    pub config: PathBuf,
    /// The time that is taken for now.
    pub clock: Clock,
    /// Whether progress is shown.
    pub progress: Progress,
}

/// How progress is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Progress {
    /// A bar on a terminal, plain lines elsewhere.
    Shown,
    /// Plain lines: a log is written beside them.
    Plain,
    /// Not at all.
    Hidden,
}

/// A part of a listing.
#[derive(Clone, Copy, Debug, clap::Args)]
struct Paging {
    /// Rows at most.
    #[arg(long, default_value_t = 20, value_name = "ROWS", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    limit: u32,
    /// Only rows before this one: the last of the page before.
    #[arg(long, value_name = "ID", value_parser = number)]
    before: Option<u64>,
}

impl From<Paging> for Page {
    fn from(paging: Paging) -> Page {
        Page { before: paging.before, limit: paging.limit }
    }
}

/// Who asks, for the record.
#[derive(Clone, Debug, clap::Args)]
struct Person {
    /// Who asks; your user name where it is left out.
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
}

impl Person {
    fn name(&self) -> String {
        let user = || ["USER", "LOGNAME"].into_iter().find_map(|name| std::env::var(name).ok());
        let named = self.by.clone().or_else(user).filter(|name| !name.trim().is_empty());
        named.unwrap_or_else(|| "somebody".to_owned())
    }
}

/// Reads `7`, `v7`, `run-7` or `decision-7` as 7.
fn number(text: &str) -> Result<u64, String> {
    let digits = text.trim().trim_start_matches("run-").trim_start_matches('v');
    digits.parse().map_err(|_wrong| "write a number such as `7`, `v7` or `run-7`".to_owned())
}

fn run_id(text: &str) -> Result<RunId, String> {
    let digits = text.trim().strip_prefix("run-").unwrap_or(text.trim());
    digits.parse().map(RunId).map_err(|_wrong| "write a run such as `run-7`".to_owned())
}

fn version_id(text: &str) -> Result<VersionId, String> {
    let digits = text.trim().strip_prefix('v').unwrap_or(text.trim());
    digits.parse().map(VersionId).map_err(|_wrong| "write a version such as `v7`".to_owned())
}

/// Runs a command and gives its exit code: 0 done, 1 failed, 2 wrong usage or configuration.
pub fn run(arguments: Arguments) -> ExitCode {
    if let Command::TrainStep { spec } = &arguments.command {
        return afresh_train::step::main(spec);
    }
    log(arguments.verbose, arguments.quiet);
    let progress = match (arguments.quiet || arguments.json, arguments.verbose) {
        (true, _) => Progress::Hidden,
        (false, 0) => Progress::Shown,
        (false, _) => Progress::Plain,
    };
    let clock = arguments.now.map_or(Clock::Wall, Clock::showing);
    let context = Context { json: arguments.json, config: arguments.config, clock, progress };
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = anyhow::Error::new(error).context("failed to start the runtime");
            return Fault::Failed(error).tell(context.json);
        }
    };
    let done = runtime.block_on(async {
        tokio::select! {
            done = perform(arguments.command, &context) => done,
            Ok(()) = tokio::signal::ctrl_c() => Err(Fault::Interrupted),
        }
    });
    // A training that was interrupted is ended with all its processes, which takes a moment.
    runtime.shutdown_timeout(ENDING_MAX);
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.tell(context.json),
    }
}

async fn perform(command: Command, context: &Context) -> Result<(), Fault> {
    match command {
        Command::Demo(command) => Box::pin(command.run(context)).await,
        Command::Init(command) => Box::pin(command.run(context)).await,
        Command::Check(command) => Box::pin(command.run(context)).await,
        Command::Advise(command) => Box::pin(command.run(context)).await,
        Command::Replay(command) => Box::pin(command.run(context)).await,
        Command::Backtest(command) => Box::pin(command.run(context)).await,
        Command::Retrain(command) => Box::pin(command.run(context)).await,
        Command::Run(command) => Box::pin(command.run(context)).await,
        Command::Status(command) => Box::pin(command.run(context)).await,
        Command::Models(command) => Box::pin(command.run(context)).await,
        Command::Versions(command) => Box::pin(command.run(context)).await,
        Command::Runs(command) => Box::pin(command.run(context)).await,
        Command::Decisions(command) => Box::pin(command.run(context)).await,
        Command::Datasets(command) => Box::pin(command.run(context)).await,
        Command::Explain(command) => Box::pin(command.run(context)).await,
        Command::Promote(command) => Box::pin(command.run(context)).await,
        Command::Rollback(command) => Box::pin(command.run(context)).await,
        Command::Approve(command) => Box::pin(command.run(context)).await,
        Command::Decline(command) => Box::pin(command.run(context)).await,
        Command::Cancel(command) => Box::pin(command.run(context)).await,
        Command::Drift(command) => Box::pin(command.run(context)).await,
        Command::Decay(command) => Box::pin(command.run(context)).await,
        Command::Gc(command) => Box::pin(command.run(context)).await,
        Command::Completions(command) => {
            command.run();
            Ok(())
        }
        Command::TrainStep { .. } => Ok(()),
    }
}

/// Logs go to standard error, so that results can be piped.
fn log(verbose: u8, quiet: bool) {
    let level = match (quiet, verbose) {
        (true, _) => tracing::Level::ERROR,
        (false, 0) => tracing::Level::WARN,
        (false, 1) => tracing::Level::INFO,
        (false, 2) => tracing::Level::DEBUG,
        (false, _) => tracing::Level::TRACE,
    };
    tracing_subscriber::fmt().with_max_level(level).with_writer(std::io::stderr).init();
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_are_consistent() {
        use clap::CommandFactory as _;
        Arguments::command().debug_assert();
    }

    #[test]
    fn ids_are_read_with_and_without_their_prefix() {
        assert_eq!((run_id("run-7"), run_id("7")), (Ok(RunId(7)), Ok(RunId(7))));
        assert_eq!((version_id("v7"), version_id("7")), (Ok(VersionId(7)), Ok(VersionId(7))));
        assert!(run_id("v7").is_err() && version_id("run-7").is_err() && number("x").is_err());
    }
}
