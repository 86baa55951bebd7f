//! The command line: one file per command below.

mod replay;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::fault::Fault;

/// Keeps deployed machine-learning models fresh at the least cost.
#[derive(Debug, Parser)]
#[command(name = "afresh", version, propagate_version = true)]
pub struct Arguments {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of text; errors are JSON too, on standard error.
    #[arg(long, global = true)]
    json: bool,
    /// Configuration file, or the directory that holds it.
    #[arg(long, short, global = true, default_value = "afresh.toml", value_name = "FILE")]
    config: PathBuf,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Watch a year of real flights run through the whole loop
    Demo(replay::Demo),
    /// Run a configuration over its own history under virtual time
    Replay(replay::Arguments),
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
}

/// Runs a command and gives its exit code: 0 done, 1 failed, 2 wrong usage or configuration.
pub fn run(arguments: Arguments) -> ExitCode {
    let context = Context { json: arguments.json, config: arguments.config };
    if let Command::TrainStep { spec } = &arguments.command {
        return afresh_train::step::main(spec);
    }
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            let error = anyhow::Error::new(error).context("failed to start the runtime");
            return Fault::Failed(error).tell(context.json);
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Demo(demo) => demo.run(&context).await,
            Command::Replay(replay) => replay.run(&context).await,
            Command::TrainStep { .. } => Ok(()),
        }
    });
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => fault.tell(context.json),
    }
}
