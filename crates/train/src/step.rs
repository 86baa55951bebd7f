//! One training or scoring in a process of its own: what `PROGRAM train-step SPEC` runs.
//!
//! The process is the root of all that it starts: when it ends, or is asked to, or its parent dies,
//! nothing below it is left.

use std::fs;
use std::io::Write;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use afresh_data::schema::Schema;
use serde::{Deserialize, Serialize};

use crate::artifact::write_manifest;
use crate::attempt;
use crate::command;
use crate::dataset::{FromDataset, Opened};
use crate::error::Error;
use crate::fit;
use crate::learner::OnRound;
use crate::predict;
use crate::process;
use crate::recipe::{Command, Engine};
use crate::trainer::{Job, Limits, Part, Parts, ReadRows};
use crate::tree;

/// First argument of the program; the second is the file of the [`Spec`].
pub const COMMAND: &str = "train-step";

/// What a step is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    /// The process that started it and without which it ends.
    pub(crate) parent: u32,
    pub(crate) limits: Limits,
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
    /// Leaves predictions in `predictions`, once or as often as it is asked to.
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
/// Exit code of a step that held too much: 128 + SIGKILL.
const TOO_MUCH: i32 = 137;
/// Shortest and longest time between two looks at what the processes hold.
const WATCH_MIN: Duration = Duration::from_millis(20);
const WATCH_MAX: Duration = Duration::from_millis(100);
/// Bytes that processes can fill in a second: the nearer the limit, the sooner the next look.
const FILLED_PER_SECOND: u64 = 4 << 30;

/// Whether this process was asked to end.
static ENDING: AtomicBool = AtomicBool::new(false);

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
    let litter = match &spec.work {
        Work::Train { job, .. } => {
            predict::work_in(&job.scratch);
            None
        }
        Work::Predict(predict) => Some(predict.scratch.clone()),
    };
    thread::spawn(move || {
        process::wait_for_termination();
        ENDING.store(true, Ordering::SeqCst);
        end_below(own);
        // Whoever would clear up may have died.
        drop(litter.map(fs::remove_dir_all));
        process::end_now(TERMINATED);
    });
    if spec.limits.memory_bytes_max.is_some() || spec.limits.processes_max.is_some() {
        let (outcome, limits) = (spec.outcome.clone(), spec.limits);
        thread::spawn(move || watch(own, limits, &outcome));
    }
    let result = run(spec.work);
    while ENDING.load(Ordering::SeqCst) {
        // What it waited for was ended; the end of this process is the other thread's.
        thread::park();
    }
    // Daemons and forks that the trainer left behind.
    end_below(own);
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
            let fit =
                |job: &Job, parts: &Parts, staging: &Path, on_round: &mut OnRound<'_>| match &job
                    .recipe
                    .engine
                {
                    Engine::Command(command) => command::train(job, command, parts, staging),
                    Engine::BoostedTrees(_)
                    | Engine::Forest(_)
                    | Engine::Linear(_)
                    | Engine::Constant => fit::fit(job, parts, staging, on_round),
                };
            let many =
                matches!(job.part, Part::Whole { .. }) || 1 < FromDataset.selections(&job)?.len();
            // What is asked for once is read once and let go; what is asked for again stays in memory.
            let opened = many.then(|| Opened::new(&job)).transpose()?;
            let rows: &dyn ReadRows = match &opened {
                Some(opened) => opened,
                None => &FromDataset,
            };
            let manifest = attempt::train(&job, rows, &fit, &staging, &mut tell_progress())?;
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

/// Kills all below this process and collects them, so that their CPU is counted.
fn end_below(own: u32) {
    tree::kill_below(own);
    while process::collect_any().is_some() {}
}

/// Ends everything as soon as the processes hold more than they may.
fn watch(own: u32, limits: Limits, outcome: &Path) {
    let (bytes_max, processes_max) =
        (limits.memory_bytes_max.unwrap_or(u64::MAX), limits.processes_max.unwrap_or(u32::MAX));
    loop {
        let usage = tree::usage(own);
        let (used_bytes, processes) = (usage.resident_bytes, usage.processes);
        let tail = String::new();
        let error = if used_bytes > bytes_max {
            Some(Error::OutOfMemory { used_bytes, bytes_max, tail })
        } else if processes > processes_max {
            Some(Error::TooManyProcesses { processes, processes_max, tail })
        } else {
            None
        };
        if let Some(error) = error {
            report(outcome, &Outcome::Failed(error));
            end_below(own);
            process::end_now(TOO_MUCH);
        }
        let full_in = Duration::from_millis((bytes_max - used_bytes) / (FILLED_PER_SECOND / 1_000));
        thread::sleep(full_in.clamp(WATCH_MIN, WATCH_MAX));
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
