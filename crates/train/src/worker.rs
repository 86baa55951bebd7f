//! Programs that score rows and stay: started once, asked often, ended when nobody asks any more.
//!
//! A program that prints `ready` is sent one line for each scoring and answers `done` or `error WHY`.
//! One that ends without it has scored once, and is started again for the next scoring.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::ChildStdin;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, TryLockError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use afresh_data::export::Names;
use afresh_data::rows::Rows;
use afresh_data::schema::Schema;
use serde_json::json;

use crate::artifact;
use crate::child::{Collected, Input, Start, Step};
use crate::dataset;
use crate::error::Error;
use crate::output::OnLine;
use crate::recipe;
use crate::secret::Secrets;
use crate::step::{Predict, Work};
use crate::trainer::Limits;

/// Ends the workers of this process that nobody has asked for so long. How many were ended.
pub fn end_idle(longer_than: Duration) -> usize {
    let seats = seats().taken.iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
    seats.into_iter().filter(|seat| seat.rest(longer_than)).count()
}

/// Everything that a program is told.
pub(crate) struct Place<'a> {
    pub(crate) program: &'a Path,
    pub(crate) command: &'a recipe::Command,
    pub(crate) schema: &'a Schema,
    pub(crate) seed: u64,
    /// Directory of the artifact.
    pub(crate) model: &'a Path,
    pub(crate) limits: Limits,
}

/// Where the worker of one model sits, if there is one now.
#[derive(Debug, Default)]
pub(crate) struct Seat(Mutex<Seated>);

#[derive(Debug, Default)]
struct Seated {
    worker: Option<Worker>,
    asked_at: Option<Instant>,
}

/// A program that scores rows, and its directory. Dropping it ends it.
#[derive(Debug)]
pub(crate) struct Worker {
    scratch: PathBuf,
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    step: Step,
    requests: ChildStdin,
    heard: Arc<Heard>,
}

/// What the program has said, for whoever waits for it.
#[derive(Debug, Default)]
struct Heard {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    is_ready: bool,
    is_asked: bool,
    answer: Option<Result<(), String>>,
    /// Set at the end, with nothing in it where the kernel did not say how it ended.
    ended: Option<Option<Collected>>,
}

/// Tells the end even where the kernel did not say how.
struct Ending(Arc<Heard>);

/// Why there are no predictions, and whether another worker may have some.
enum Fault {
    /// The worker is gone, through no fault of the request as far as is known.
    Lost(Error),
    /// The worker cannot be asked again.
    Broken(Error),
    /// The worker is well.
    Refused(Error),
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Awaited {
    ReadyOrEnd,
    Answer,
}

/// What came.
enum Came {
    Ready,
    Answer(Result<(), String>),
    End(Option<Collected>),
    Nothing,
}

/// Longest time for one scoring where nobody says.
const PREDICT_TIME_MAX: Duration = Duration::from_secs(600);
/// Workers kept at once; the one that was asked longest ago makes room.
const WORKERS_MAX: usize = 4;
/// Time without a request after which a worker is ended.
const IDLE_MAX: Duration = Duration::from_secs(60);
/// Time for a program that was asked to end before it is made to.
const GRACE: Duration = Duration::from_secs(2);
/// Time for what a living program says beside its answer to arrive.
const BRIEFLY: Duration = Duration::from_millis(50);

impl Seat {
    /// Predictions for `rows`, by the worker that sits here or by one that `hire` brings. A worker
    /// that had answered before and dies over this request is replaced once.
    pub(crate) fn predict(
        self: &Arc<Seat>,
        rows: &Rows,
        place: &Place<'_>,
        hire: impl Fn() -> Worker,
    ) -> Result<Vec<f64>, Error> {
        let mut seated = lock(&self.0);
        let result = seated.predict(rows, place, hire);
        let stays = seated.worker.is_some();
        drop(seated);
        if stays {
            make_room(self);
        }
        result
    }

    /// Ends its worker where that was not asked for so long. Whether there was one.
    fn rest(&self, longer_than: Duration) -> bool {
        // One that is being asked has not rested.
        let Some(mut seated) = try_lock(&self.0) else { return false };
        let is_idle = seated.asked_at.is_none_or(|at| longer_than <= at.elapsed());
        is_idle && seated.worker.take().is_some()
    }
}

impl Seated {
    fn predict(
        &mut self,
        rows: &Rows,
        place: &Place<'_>,
        hire: impl Fn() -> Worker,
    ) -> Result<Vec<f64>, Error> {
        let mut proven = self.worker.take().filter(Worker::lives);
        loop {
            let is_proven = proven.is_some();
            let mut worker = proven.take().unwrap_or_else(&hire);
            let result = worker.predict(rows, place);
            if worker.lives() && matches!(result, Ok(_) | Err(Fault::Refused(_))) {
                *self = Seated { worker: Some(worker), asked_at: Some(Instant::now()) };
            }
            return match result {
                Ok(predictions) => Ok(predictions),
                Err(Fault::Lost(_)) if is_proven => continue,
                Err(Fault::Lost(error) | Fault::Broken(error) | Fault::Refused(error)) => {
                    Err(error)
                }
            };
        }
    }
}

impl Worker {
    pub(crate) fn new(scratch: PathBuf) -> Worker {
        Worker { scratch, running: None }
    }

    /// Whether it runs and can be asked.
    fn lives(&self) -> bool {
        self.running.as_ref().is_some_and(|running| {
            let state = lock(&running.heard.state);
            state.ended.is_none() && state.is_ready
        })
    }

    fn predict(&mut self, rows: &Rows, place: &Place<'_>) -> Result<Vec<f64>, Fault> {
        let format = place.command.format;
        let (asked, answer) = (
            self.scratch.join(format!("rows.{}", format.name())),
            self.scratch.join("predictions.csv"),
        );
        let broken = |action: &str, path: &Path| {
            let (action, path) = (action.to_owned(), path.to_owned());
            move |error: std::io::Error| Fault::Broken(Error::io(&action, &path, &error))
        };
        fs::create_dir_all(&self.scratch).map_err(broken("create", &self.scratch))?;
        // What an earlier request left is no answer to this one.
        match fs::remove_file(&answer) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(broken("remove", &answer)(error));
            }
            _ => {}
        }
        let names = Names { time: dataset::TIME, label: None, weight: None };
        dataset::write(&asked, format, place.schema, rows, &names).map_err(Fault::Broken)?;
        let time_max = place.limits.predict_time_max;
        let time_max = time_max.map_or(PREDICT_TIME_MAX, |limit| Duration::from_millis(limit.0));
        let until = Instant::now() + time_max;
        let secrets = Secrets::read(&place.command.env, place.command.base.as_deref());
        let secrets = secrets.map_err(Fault::Broken)?;
        if self.running.is_none() {
            let running = self.start(&asked, &answer, place, &secrets).map_err(Fault::Broken)?;
            let running = self.running.insert(running);
            match running.heard.wait(Awaited::ReadyOrEnd, until) {
                Came::End(end) => {
                    let ended = running.step.judge(end.as_ref(), None).result;
                    ended.map_err(Fault::Lost)?;
                    return read(&answer, rows, place, &secrets);
                }
                Came::Nothing => {
                    let waiting = "it neither ended nor printed `ready`";
                    return Err(Fault::Broken(running.too_late(waiting, time_max)));
                }
                Came::Ready | Came::Answer(_) => {}
            }
        }
        let Some(running) = &mut self.running else {
            return Err(Fault::Lost(Error::WorkerEnded { tail: String::new() }));
        };
        let request = json!({ "rows": asked, "predictions": answer });
        running.heard.ask();
        // Nobody reads any more where it has ended, which the wait tells better.
        drop(writeln!(running.requests, "{request}").and_then(|()| running.requests.flush()));
        match running.heard.wait(Awaited::Answer, until) {
            Came::Answer(Ok(())) => read(&answer, rows, place, &secrets),
            Came::Answer(Err(message)) => {
                let tail = String::new();
                let error = Error::Refused { message, tail };
                Err(Fault::Refused(secrets.masked(error.with_tail(&running.step.said(BRIEFLY)))))
            }
            Came::End(end) => Err(running.lost(end.as_ref())),
            Came::Nothing | Came::Ready => {
                let waiting = "it was asked and did not answer `done`";
                Err(Fault::Broken(running.too_late(waiting, time_max)))
            }
        }
    }

    fn start(
        &self,
        rows: &Path,
        predictions: &Path,
        place: &Place<'_>,
        secrets: &Secrets,
    ) -> Result<Running, Error> {
        let work = Work::Predict(Box::new(Predict {
            command: place.command.clone(),
            schema: place.schema.clone(),
            seed: place.seed,
            model: place.model.to_owned(),
            rows: absolute(rows)?,
            predictions: absolute(predictions)?,
            scratch: absolute(&self.scratch)?,
        }));
        let heard = Arc::new(Heard::default());
        let (listening, ending) = (Arc::clone(&heard), Ending(Arc::clone(&heard)));
        let start = Start {
            program: place.program,
            work,
            scratch: &self.scratch,
            limits: Limits { time_max: None, ..place.limits },
            secrets,
            input: Input::Piped,
            on_line: Some(listen(listening)),
        };
        let (step, requests) = Step::start(start, move |end| ending.0.end(Some(end)))?;
        let none = || Error::WorkerEnded { tail: String::new() };
        Ok(Running { step, requests: requests.ok_or_else(none)?, heard })
    }
}

impl Running {
    /// The program was asked, and ended instead of answering.
    fn lost(&self, end: Option<&Collected>) -> Fault {
        let said = self.step.said(GRACE);
        match self.step.judge(end, None).result {
            Ok(()) => Fault::Lost(Error::WorkerEnded { tail: String::new() }.with_tail(&said)),
            // Another one would do the same.
            Err(error @ (Error::OutOfMemory { .. } | Error::TooManyProcesses { .. })) => {
                Fault::Broken(error)
            }
            Err(error) => Fault::Lost(error),
        }
    }

    fn too_late(&self, waiting: &str, time_max: Duration) -> Error {
        let seconds_max = u64::try_from(time_max.as_millis().div_ceil(1_000)).unwrap_or(u64::MAX);
        let (waiting, tail) = (waiting.to_owned(), String::new());
        Error::PredictTimedOut { seconds_max, waiting, tail }.with_tail(&self.step.said(BRIEFLY))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        if let Some(running) = self.running.take() {
            running.step.ask_to_end();
            drop(running.requests);
            if !running.heard.wait_for_end(GRACE) {
                running.step.make_end();
                running.heard.wait_for_end(GRACE);
            }
        }
        if let Err(error) = artifact::remove(&self.scratch) {
            // The system clears its directory of temporary files.
            drop(error);
        }
    }
}

impl Drop for Ending {
    fn drop(&mut self) {
        if lock(&self.0.state).ended.is_none() {
            self.0.end(None);
        }
    }
}

impl Heard {
    fn line(&self, line: &str) -> bool {
        let mut state = lock(&self.state);
        let answer = match line.split_once(' ') {
            None if line == "ready" => {
                state.is_ready = true;
                None
            }
            None if line == "done" => Some(Ok(())),
            None if line == "error" => Some(Err("it gives no reason".to_owned())),
            Some(("error", why)) => Some(Err(why.to_owned())),
            _ => return false,
        };
        // Before it is ready, and unless it was asked, a line is only a line.
        if answer.is_some() && !state.is_asked {
            return false;
        }
        if answer.is_some() {
            state.answer = answer;
            state.is_asked = false;
        }
        self.changed.notify_all();
        true
    }

    fn ask(&self) {
        let mut state = lock(&self.state);
        state.is_asked = true;
        state.answer = None;
    }

    fn end(&self, collected: Option<Collected>) {
        lock(&self.state).ended = Some(collected);
        self.changed.notify_all();
    }

    fn wait(&self, what: Awaited, until: Instant) -> Came {
        let mut state = lock(&self.state);
        loop {
            if let Some(answer) = state.answer.take() {
                return Came::Answer(answer);
            }
            if let Some(ended) = &state.ended {
                return Came::End(ended.clone());
            }
            if what == Awaited::ReadyOrEnd && state.is_ready {
                return Came::Ready;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Came::Nothing;
            }
            let waited = self.changed.wait_timeout(state, left);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    fn wait_for_end(&self, patience: Duration) -> bool {
        let runs = |state: &mut State| state.ended.is_none();
        let waited = self.changed.wait_timeout_while(lock(&self.state), patience, runs);
        let (state, _) = waited.unwrap_or_else(PoisonError::into_inner);
        state.ended.is_some()
    }
}

fn listen(heard: Arc<Heard>) -> OnLine {
    Box::new(move |line| heard.line(line))
}

fn read(
    answer: &Path,
    rows: &Rows,
    place: &Place<'_>,
    secrets: &Secrets,
) -> Result<Vec<f64>, Fault> {
    if !answer.is_file() {
        let reason = "the program wrote none: write a CSV with a header and one line a row";
        return Err(Fault::Refused(Error::Predictions { reason: reason.to_owned() }));
    }
    dataset::read_predictions(answer, rows.len(), place.schema.outputs())
        .map_err(|error| Fault::Refused(secrets.masked(error)))
}

/// All seats with a worker.
#[derive(Debug)]
struct Seats {
    /// The one asked last at the end.
    taken: Vec<Weak<Seat>>,
    is_watched: bool,
}

fn seats() -> MutexGuard<'static, Seats> {
    static SEATS: Mutex<Seats> = Mutex::new(Seats { taken: Vec::new(), is_watched: false });
    lock(&SEATS)
}

/// Notes that `seat` was asked last, and ends the workers that are too many.
fn make_room(seat: &Arc<Seat>) {
    let mut seats = seats();
    let own = Arc::downgrade(seat);
    seats.taken.retain(|other| other.strong_count() > 0 && !other.ptr_eq(&own));
    while WORKERS_MAX <= seats.taken.len() {
        // One that is being asked is left alone, and notes itself again afterwards.
        let _rested = seats.taken.remove(0).upgrade().map(|seat| seat.rest(Duration::ZERO));
    }
    seats.taken.push(own);
    if !seats.is_watched {
        // Without a thread idle workers stay, which costs memory and nothing else.
        let watch = thread::Builder::new().name("idle workers".to_owned()).spawn(watch_idle);
        seats.is_watched = watch.is_ok();
    }
}

fn watch_idle() {
    loop {
        thread::sleep(IDLE_MAX / 4);
        end_idle(IDLE_MAX);
        let mut seats = seats();
        let has_worker =
            |seat: Arc<Seat>| try_lock(&seat.0).is_none_or(|seated| seated.worker.is_some());
        seats.taken.retain(|seat| seat.upgrade().is_some_and(has_worker));
        if seats.taken.is_empty() {
            seats.is_watched = false;
            return;
        }
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::io("locate", path, &error))
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn try_lock<T>(mutex: &Mutex<T>) -> Option<MutexGuard<'_, T>> {
    match mutex.try_lock() {
        Ok(guard) => Some(guard),
        Err(TryLockError::Poisoned(poisoned)) => Some(poisoned.into_inner()),
        Err(TryLockError::WouldBlock) => None,
    }
}
