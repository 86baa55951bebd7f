//! One training or scoring in a process of its own: what `PROGRAM train-step SPEC` runs.
//!
//! The process is the root of all that it starts: when it ends, or is asked to, or its parent dies,
//! nothing below it is left.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use afresh_data::schema::Schema;
use serde::{Deserialize, Serialize};

use crate::artifact::write_manifest;
use crate::command;
use crate::dataset::FromDataset;
use crate::error::Error;
use crate::fit;
use crate::process;
use crate::recipe::{Command, Engine};
use crate::trainer::{Job, ReadRows};
use crate::tree;

/// First argument of the program; the second is the file of the [`Spec`].
pub const COMMAND: &str = "train-step";

/// What a step is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The process that started it and without which it ends.
    pub(crate) parent: u32,
    pub(crate) memory_bytes_max: Option<u64>,
    /// Where the step says how it ended.
    pub(crate) outcome: PathBuf,
    pub(crate) work: Work,
}

/// The work itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "work")]
pub(crate) enum Work {
    /// Leaves an unsealed artifact in `staging`.
    Train { job: Box<Job>, staging: PathBuf },
    /// Leaves predictions in `predictions`.
    Predict(Box<Predict>),
}

/// A scoring by the trainer's own program.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Predict {
    pub(crate) command: Command,
    pub(crate) schema: Schema,
    pub(crate) seed: u64,
    pub(crate) model: PathBuf,
    pub(crate) rows: PathBuf,
    pub(crate) predictions: PathBuf,
    pub(crate) scratch: PathBuf,
}

/// How a step ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Outcome {
    Done,
    Failed(Error),
}

/// Exit code of a step that was asked to end: 128 + SIGTERM, as shells write it.
const TERMINATED: i32 = 143;
/// Exit code of a step that held too much memory: 128 + SIGKILL.
const OUT_OF_MEMORY: i32 = 137;
/// Time between two looks at the memory.
const MEMORY_PERIOD: Duration = Duration::from_millis(20);

/// Does what the file at `spec` says and says there how it ended. Exit code 0 is success. Call it
/// before the process has other threads.
#[must_use]
pub fn main(spec: &Path) -> ExitCode {
    let Ok(spec) = fs::read(spec)
        .map_err(|_unreadable| ())
        .and_then(|text| serde_json::from_slice::<Spec>(&text).map_err(|_unreadable| ()))
    else {
        return ExitCode::from(2);
    };
    let supervised = process::hold_termination().and_then(|()| process::supervise(spec.parent));
    if supervised.is_err() {
        return ExitCode::from(3);
    }
    let own = std::process::id();
    thread::spawn(move || {
        process::wait_for_termination();
        tree::kill_below(own);
        process::end_now(TERMINATED);
    });
    if let Some(bytes_max) = spec.memory_bytes_max {
        let outcome = spec.outcome.clone();
        thread::spawn(move || watch_memory(own, bytes_max, &outcome));
    }
    let result = run(spec.work);
    // Daemons and forks that the trainer left behind.
    tree::kill_below(own);
    while process::collect_any().is_some() {}
    let (outcome, code) = match result {
        Ok(()) => (Outcome::Done, ExitCode::SUCCESS),
        Err(error) => (Outcome::Failed(error), ExitCode::FAILURE),
    };
    if report(&spec.outcome, &outcome) { code } else { ExitCode::from(4) }
}

/// Reads how a step ended; nothing where it did not come to say so.
pub(crate) fn outcome(path: &Path) -> Option<Outcome> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn run(work: Work) -> Result<(), Error> {
    match work {
        Work::Train { job, staging } => {
            let parts = FromDataset.read(&job)?;
            let manifest = match &job.recipe.engine {
                Engine::Command(command) => command::train(&job, command, &parts, &staging)?,
                Engine::BoostedTrees(_) | Engine::Constant => {
                    fit::fit(&job, &parts, &staging, &mut tell_progress())?
                }
            };
            write_manifest(&staging, &manifest)
        }
        Work::Predict(predict) => command::predict(&predict),
    }
}

/// Writes `progress 0.25` for every whole percent.
fn tell_progress() -> impl FnMut(f64) -> ControlFlow<()> + Send {
    let mut told = 0.0;
    move |share| {
        if share - told >= 0.01 || share >= 1.0 {
            told = share;
            let mut out = std::io::stdout().lock();
            // Nobody may be listening any more, which is no reason to stop.
            drop(writeln!(out, "progress {share:.2}").and_then(|()| out.flush()));
        }
        ControlFlow::Continue(())
    }
}

fn watch_memory(own: u32, bytes_max: u64, outcome: &Path) {
    loop {
        let used_bytes = tree::resident_bytes(own);
        if used_bytes > bytes_max {
            let error = Error::OutOfMemory { used_bytes, bytes_max, tail: String::new() };
            report(outcome, &Outcome::Failed(error));
            tree::kill_below(own);
            process::end_now(OUT_OF_MEMORY);
        }
        thread::sleep(MEMORY_PERIOD);
    }
}

/// Writes the outcome; only the first of a process counts. Whether there is one now.
fn report(path: &Path, outcome: &Outcome) -> bool {
    // Held while writing: whoever comes second must not end the process before the first is done.
    static REPORTED: Mutex<bool> = Mutex::new(false);
    let mut reported = REPORTED.lock().unwrap_or_else(PoisonError::into_inner);
    if *reported {
        return true;
    }
    let unfinished = path.with_extension("unfinished");
    let Ok(text) = serde_json::to_vec(outcome) else { return false };
    *reported = fs::write(&unfinished, text).and_then(|()| fs::rename(&unfinished, path)).is_ok();
    *reported
}
