//! Trains in a child process: a crash or a lack of memory costs a training, never the service.

use std::collections::hash_map::RandomState;
use std::fmt;
use std::fs;
use std::hash::BuildHasher;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use afresh_data::remote;
use tokio::sync::oneshot;

use crate::artifact::{self, Artifact, read_manifest};
use crate::command;
use crate::error::{Error, Failure};
use crate::library;
use crate::onnx;
use crate::output::{self, OnLine, Output, Stream};
use crate::process;
use crate::secret::Secrets;
use crate::step::{self, Outcome, Spec, Work};
use crate::system;
use crate::trainer::{Cancel, Job, Limits, Progress, Trained, Trainer, Training};
use crate::tree;

/// Trains by `PROGRAM train-step SPEC`, a program whose `train-step` calls [`step::main`].
#[derive(Clone, Debug)]
pub struct ChildProcess {
    /// The program.
    pub program: PathBuf,
}

/// Variable that marks a step and all below it.
pub(crate) const MARK: &str = "AFRESH_STEP";
/// Name of the log in the scratch directory.
pub const LOG_FILE: &str = "output.log";
/// Time for a step that was asked to end before it is made to.
const GRACE: Duration = Duration::from_secs(2);
/// Time for the last output to arrive after the end of a step.
const LAST_OUTPUT: Duration = Duration::from_secs(1);

impl Trainer for ChildProcess {
    fn train<'a>(&'a self, job: &'a Job, cancel: Cancel, progress: Progress) -> Training<'a> {
        Box::pin(train(job, &self.program, cancel, progress))
    }
}

/// Trains in a child process of `program` and makes the result the artifact `job.output`.
///
/// # Errors
/// Says how the training failed and what it cost; nothing is left of it but its log in
/// `job.scratch`.
pub async fn train(
    job: &Job,
    program: &Path,
    cancel: Cancel,
    progress: Progress,
) -> Result<Trained, Failure> {
    let started = Instant::now();
    let free = |error| Failure { error, cpu_seconds: 0.0, wall_seconds: 0.0 };
    job.recipe.check(&job.schema.task).map_err(free)?;
    let (variables, base) = job.recipe.engine.variables();
    let secrets = Secrets::read(variables, base).map_err(free)?;
    let staging = artifact::stage(&job.output).map_err(free)?;
    let work = Work::Train { job: Box::new(job.clone()), staging: staging.clone() };
    let start = Start {
        program,
        work,
        scratch: &job.scratch,
        limits: job.limits,
        secrets: &secrets,
        input: Input::None,
        on_line: Some(on_progress(progress)),
    };
    let ran = run(start, cancel).await;
    let (cpu_seconds, result) = match ran {
        Ok(ended) => (ended.cpu_seconds, ended.result),
        Err(error) => (0.0, Err(error)),
    };
    let wall_seconds = started.elapsed().as_secs_f64();
    let place = job.output.clone();
    // Hashing, syncing and removing would hold up whoever shares this thread.
    let finished = tokio::task::spawn_blocking(move || {
        let sealed = result.and_then(|()| {
            let mut manifest = read_manifest(&staging)?;
            manifest.cpu_seconds = cpu_seconds;
            manifest.wall_seconds = wall_seconds;
            command::mask_metrics(&staging, &mut manifest, &secrets)?;
            Artifact::seal(&staging, manifest, &place)
        });
        if sealed.is_err() {
            artifact::remove(&staging)?;
        }
        sealed
    });
    let finished = finished.await.unwrap_or(Err(Error::Cancelled));
    match finished {
        Ok(artifact) => Ok(Trained { artifact }),
        Err(error) => Err(Failure { error, cpu_seconds, wall_seconds }),
    }
}

/// Shows lines `progress 0.4`.
fn on_progress(progress: Progress) -> OnLine {
    Box::new(move |line| {
        if let Some(share) = output::progress(line) {
            progress(share);
        }
        line.starts_with("progress ")
    })
}

/// Runs a step to its end, its limit, or its cancellation.
async fn run(start: Start<'_>, mut cancel: Cancel) -> Result<Ended, Error> {
    let (tell, told) = oneshot::channel();
    let limits = start.limits;
    let (step, _) = Step::start(start, move |ended| {
        // Whoever stopped waiting does not want to know.
        drop(tell.send(ended));
    })?;
    let mut told = told;
    let limit = async {
        match limits.time_max {
            Some(limit) => tokio::time::sleep(Duration::from_millis(limit.0)).await,
            None => std::future::pending().await,
        }
    };
    let cancelled = async {
        // A sender that is gone will never cancel.
        if cancel.wait_for(|cancelled| *cancelled).await.is_err() {
            std::future::pending::<()>().await;
        }
    };
    let stopped = tokio::select! {
        ended = &mut told => return Ok(step.judge(ended.ok().as_ref(), None)),
        () = cancelled => Stopped::Cancelled,
        () = limit => Stopped::TimedOut,
    };
    step.ask_to_end();
    if let Ok(ended) = tokio::time::timeout(GRACE, &mut told).await {
        return Ok(step.judge(ended.ok().as_ref(), Some(stopped)));
    }
    step.make_end();
    let ended = told.await.ok();
    Ok(step.judge(ended.as_ref(), Some(stopped)))
}

/// What a step is started with.
pub(crate) struct Start<'a> {
    pub(crate) program: &'a Path,
    pub(crate) work: Work,
    pub(crate) scratch: &'a Path,
    pub(crate) limits: Limits,
    pub(crate) secrets: &'a Secrets,
    pub(crate) input: Input,
    /// Looks at the lines of the standard output.
    pub(crate) on_line: Option<OnLine>,
}

/// What a step can read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Input {
    None,
    Piped,
}

/// A step that runs. Dropping it ends it and all below it.
pub(crate) struct Step {
    /// Nothing once the step was collected and its number may be another's.
    pid: Arc<Mutex<Option<i32>>>,
    outcome: PathBuf,
    output: Arc<Output>,
    limits: Limits,
    secrets: Secrets,
    /// CPU of the tree when it was made to end, which nobody below could collect.
    cut_off_seconds: Mutex<f64>,
}

/// Why a step was ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stopped {
    Cancelled,
    TimedOut,
}

/// What the kernel says of a step's end.
#[derive(Clone, Debug)]
pub(crate) struct Collected {
    status: ExitStatus,
    cpu_seconds: f64,
}

/// A step's end and what it cost.
pub(crate) struct Ended {
    pub(crate) result: Result<(), Error>,
    cpu_seconds: f64,
}

impl Step {
    /// Starts `PROGRAM train-step SPEC` and calls `tell` at its end. Gives where to write what it is
    /// to read, if anything.
    pub(crate) fn start(
        start: Start<'_>,
        tell: impl FnOnce(Collected) + Send + 'static,
    ) -> Result<(Step, Option<ChildStdin>), Error> {
        let Start { program, work, scratch, limits, secrets, input, on_line } = start;
        fs::create_dir_all(scratch).map_err(|error| Error::io("create", scratch, &error))?;
        // For reading rows; a user's program is given none of them.
        let reads_rows = matches!(&work, Work::Train { job, .. } if job.dataset.is_some());
        let remote = if reads_rows { remote::variables() } else { Vec::new() };
        let (spec_file, outcome) = (scratch.join("step.json"), scratch.join("outcome.json"));
        match fs::remove_file(&outcome) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(Error::io("remove", &outcome, &error));
            }
            _ => {}
        }
        let spec = Spec { parent: std::process::id(), limits, outcome: outcome.clone(), work };
        serde_json::to_vec(&spec)
            .map_err(std::io::Error::from)
            .and_then(|text| fs::write(&spec_file, text))
            .map_err(|error| Error::io("write", &spec_file, &error))?;
        let mark = RandomState::new().hash_one(std::process::id());
        let mark = format!("{mark:016x}");
        let mut command = Command::new(program);
        command.arg(step::COMMAND).arg(&spec_file).env_clear().env(MARK, &mark);
        let libraries = library::VARIABLES.into_iter().chain([onnx::VARIABLE]);
        let libraries = libraries.chain(system::VARIABLES);
        let known = ["PATH", "LANG", "TMPDIR"].into_iter().chain(libraries);
        for name in known.chain(remote.iter().map(String::as_str)) {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        command.envs(secrets.variables());
        command.stdin(if input == Input::Piped { Stdio::piped() } else { Stdio::null() });
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        let output = Output::new(&scratch.join(LOG_FILE), secrets.clone(), on_line)?;
        let (started, pid) = mpsc::channel();
        let follow = Arc::clone(&output);
        // The child dies with the thread that started it, so this one lives as long as the child.
        let keeper = move || {
            let spawned = command.spawn().and_then(|mut child| {
                if let Some(out) = child.stdout.take() {
                    follow.follow(out, Stream::Out);
                }
                if let Some(err) = child.stderr.take() {
                    follow.follow(err, Stream::Err);
                }
                let number = i32::try_from(child.id()).map_err(std::io::Error::other)?;
                Ok((number, child.stdin.take()))
            });
            let (number, stdin) = match spawned {
                Ok(spawned) => spawned,
                Err(error) => return drop(started.send(Err(error.to_string()))),
            };
            let pid = Arc::new(Mutex::new(Some(number)));
            // The starter waits for this message; where it is gone, so is the whole process.
            drop(started.send(Ok((Arc::clone(&pid), stdin))));
            // Without an answer `tell` is dropped, which whoever waits notices.
            if process::await_end(number).is_err() {
                return;
            }
            let collected = {
                let mut pid = lock(&pid);
                *pid = None;
                process::collect(number)
            };
            let Ok((status, cpu_seconds)) = collected else { return };
            if status.signal().is_some() {
                // It could not look after what it had started.
                tree::kill_marked(&format!("{MARK}={mark}"));
            }
            tell(Collected { status, cpu_seconds });
        };
        let start_error =
            |message: String| Error::Start { program: program.display().to_string(), message };
        thread::Builder::new()
            .name("training".to_owned())
            .spawn(keeper)
            .map_err(|error| start_error(error.to_string()))?;
        let (pid, stdin) =
            pid.recv().map_err(|error| start_error(error.to_string()))?.map_err(start_error)?;
        let (secrets, cut_off_seconds) = (secrets.clone(), Mutex::default());
        Ok((Step { pid, outcome, output, limits, secrets, cut_off_seconds }, stdin))
    }

    /// The end of its output, once that is closed or `patience` is over.
    pub(crate) fn said(&self, patience: Duration) -> String {
        self.output.tail(patience)
    }

    pub(crate) fn ask_to_end(&self) {
        if let Some(pid) = *lock(&self.pid) {
            process::signal(pid, process::TERMINATE);
        }
    }

    /// Halts the step, so that it collects no orphan while all below it are killed, then kills it.
    pub(crate) fn make_end(&self) {
        // Held through, so that the number cannot become another's meanwhile.
        let pid = lock(&self.pid);
        if let Some(pid) = *pid {
            process::signal(pid, process::STOP);
            *lock(&self.cut_off_seconds) = tree::cpu_seconds(pid.unsigned_abs());
            tree::kill_below(pid.unsigned_abs());
            process::signal(pid, process::KILL);
        }
    }

    pub(crate) fn judge(&self, collected: Option<&Collected>, stopped: Option<Stopped>) -> Ended {
        let tail = self.output.tail(LAST_OUTPUT);
        let none = String::new;
        let Some(&Collected { status, cpu_seconds }) = collected else {
            return Ended { result: Err(Error::NoOutcome { code: -1, tail }), cpu_seconds: 0.0 };
        };
        let cpu_seconds = cpu_seconds.max(*lock(&self.cut_off_seconds));
        let result = match (stopped, step::outcome(&self.outcome)) {
            (Some(Stopped::Cancelled), _) => Err(Error::Cancelled),
            (Some(Stopped::TimedOut), _) => {
                let limit_ms = self.limits.time_max.map_or(0, |limit| limit.0);
                Err(Error::TimedOut { seconds_max: limit_ms.div_ceil(1_000), tail: none() })
            }
            (None, Some(Outcome::Done)) => Ok(()),
            (None, Some(Outcome::Failed(error))) => Err(error),
            (None, None) => Err(match status.signal() {
                Some(signal) => Error::Signalled { signal, tail: none() },
                None => Error::NoOutcome { code: status.code().unwrap_or(-1), tail: none() },
            }),
        };
        // Its own words may hold what a program wrote; the end of its output is masked already.
        let result = result.map_err(|error| self.secrets.masked(error).with_tail(&tail));
        Ended { result, cpu_seconds }
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Step").field("pid", &self.pid).finish_non_exhaustive()
    }
}

impl Drop for Step {
    fn drop(&mut self) {
        self.make_end();
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
