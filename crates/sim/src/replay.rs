//! A model's own history under virtual time: the same engine, store and core as live; only time
//! and the serving side are simulated.

mod always;
pub mod outcome;
mod score;
mod serving;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use afresh_core::decide::Rules;
use afresh_core::decision::Act;
use afresh_core::fleet::Limits;
use afresh_core::id::{ModelName, VersionId};
use afresh_core::input::Input;
use afresh_core::model::{Action, Phase};
use afresh_core::signal::Signal;
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_data::spec::Columns;
use afresh_engine::machine::{self, Machine};
use afresh_engine::monitor::evidence::TRAINING_SECONDS_PER_VALUE_AND_ROUND;
use afresh_engine::monitor::{Monitor, Sight};
use afresh_engine::port::{Store, StoreError};
use afresh_engine::saving::{self, Ledger};
use afresh_engine::workshop::{self, Workshop};
use afresh_policy::adviser::Adviser;

use self::outcome::{Outcome, Seen};
use self::serving::VirtualServing;
/// Pause between two looks at a candidate that serves.
const WATCH_EVERY: Duration = Duration::days(1);

/// What is replayed.
#[derive(Debug)]
pub struct Replay<S> {
    /// The model's workers; its rows must be held in memory.
    pub workshop: Workshop,
    /// Workers of the comparison that trains in every period; their state is kept apart.
    pub rival: Workshop,
    /// Whether that comparison is made: it costs most of a replay.
    pub compare: Compare,
    /// Whose predictions are kept.
    pub log: Log,
    /// An empty store.
    pub store: S,
    /// The owner's rules.
    pub rules: Rules,
    /// Slots and budgets.
    pub limits: Limits,
    /// Time before the first version is trained.
    pub warm_up: Duration,
    /// Rounds of every training of the rival.
    pub rival_rounds: usize,
}

/// Whose predictions a replay keeps: one for every labelled row of its periods.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Log {
    /// Nobody's.
    None,
    /// Those of the first version, as if it had never been retrained.
    FirstVersion,
}

/// What the managed arm is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compare {
    /// Never and always.
    Both,
    /// Never alone.
    Never,
}

/// Where a replay stands.
#[derive(Clone, Debug)]
pub struct Progress {
    /// Virtual time.
    pub now: Timestamp,
    /// Whole periods seen.
    pub done: usize,
    /// Whole periods in all.
    pub of: usize,
    /// What serves.
    pub champion: Option<VersionId>,
    /// The last decision, in words.
    pub decision: String,
}

/// Why a replay could not be finished.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A backtest would train more versions than the owner allows.
    #[error(
        "the backtest needs {needed} trainings for {windows} windows in each of {periods} periods, and \
         {most} are allowed: give fewer `--windows`, a longer `period` under [replay], or a larger \
         `--max-trainings`"
    )]
    TooManyTrainings {
        /// What the plan needs.
        needed: usize,
        /// What is allowed.
        most: usize,
        /// Training windows.
        windows: usize,
        /// Periods.
        periods: usize,
    },
    /// Fewer periods than a backtest needs.
    #[error(
        "history has {found} whole periods after the warm-up, and a backtest needs {least}: write a shorter \
         `period` or `warm_up` under [replay], or wait"
    )]
    FewPeriods {
        /// Whole periods.
        found: usize,
        /// Periods that it needs.
        least: usize,
    },
    /// History is too short.
    #[error(
        "the history of {model} spans {span}, which holds no whole period of {period} after a \
         warm-up of {warm_up}: write a shorter `period` or `warm_up` under [replay]"
    )]
    TooShort {
        /// Whose.
        model: ModelName,
        /// From first to last event.
        span: Duration,
        /// `replay.period`.
        period: Duration,
        /// `replay.warm_up`.
        warm_up: Duration,
    },
    /// No first version could be made.
    #[error(
        "no first version of {model} could be trained at {at}, when its warm-up was over: {why}; a longer \
         `warm_up` under [replay] gives it more rows"
    )]
    NoFirstVersion {
        /// Whose.
        model: ModelName,
        /// When.
        at: Timestamp,
        /// Why.
        why: String,
    },
    /// The machine.
    #[error("the replay stopped at {at}")]
    Machine {
        /// Virtual time.
        at: Timestamp,
        /// Why.
        #[source]
        source: machine::Error,
    },
    /// A worker.
    #[error("the replay stopped at {at}")]
    Worker {
        /// Virtual time.
        at: Timestamp,
        /// Why.
        #[source]
        source: workshop::Error,
    },
    /// What retrainings saved.
    #[error(transparent)]
    Saving(#[from] saving::Error),
    /// The store.
    #[error("the replay's store failed")]
    Store(#[from] StoreError),
    /// A task was stopped.
    #[error("the replay was interrupted")]
    Interrupted,
}

/// Whole periods of a history: half-open, from the first event on; the first `warm_up` is left out.
#[must_use]
pub fn periods(rows: &Rows, period: Duration, warm_up: Duration) -> Vec<Window> {
    let (Some(first), Some(last)) = (rows.event_time.first(), rows.event_time.last()) else {
        return Vec::new();
    };
    let mut periods = Vec::new();
    let mut from = first.after(warm_up);
    // A period is whole once an event at or after its end shows that history goes on.
    while period > Duration::ZERO && from.after(period) <= *last {
        periods.push(Window { from, to: from.after(period) });
        from = from.after(period);
    }
    periods
}

/// No whole period is left after the warm-up.
pub(crate) fn too_short(
    model: ModelName,
    rows: &Rows,
    period: Duration,
    warm_up: Duration,
) -> Error {
    let span = match (rows.event_time.first(), rows.event_time.last()) {
        (Some(first), Some(last)) => last.since(*first),
        _ => Duration::ZERO,
    };
    Error::TooShort { model, span, period, warm_up }
}

/// Replays. `progress` hears of every decision and every period.
pub async fn run<S: Store>(
    replay: Replay<S>,
    progress: impl Fn(Progress) + Send,
) -> Result<Outcome, Error> {
    let settings = replay.workshop.settings().clone();
    let model = settings.model.clone();
    let rows = replay.workshop.feed().rows(Window::ALL, Columns::All).await.map_err(|source| {
        let source = Box::new(source);
        let source = workshop::Error::Rows { model: model.to_string(), source };
        Error::Worker { at: Timestamp::MIN, source }
    })?;
    let periods = periods(&rows, settings.period, replay.warm_up);
    if periods.is_empty() {
        return Err(too_short(model, &rows, settings.period, replay.warm_up));
    }
    let rival = Arc::new(replay.rival);
    let always = tokio::spawn(always::train(
        Arc::clone(&rival),
        match replay.compare {
            Compare::Both => periods.iter().skip(1).map(|period| period.from).collect(),
            Compare::Never => Vec::new(),
        },
        replay.rival_rounds,
    ));
    let rules = vec![(model.clone(), replay.rules)];
    let at = periods[0].from;
    let machine = Machine::open(replay.store, rules, replay.limits).await;
    let mut drive = Drive {
        machine: machine.map_err(|source| Error::Machine { at, source })?,
        adviser: Adviser::new(settings.advice.clone()),
        monitor: Monitor::default(),
        savings: Ledger::default(),
        workshop: replay.workshop,
        model,
        rows,
        now: at,
        answers: BTreeMap::new(),
        answered: 0,
        in_flight: BTreeSet::new(),
        serving: VirtualServing::default(),
        seen: Vec::new(),
        done: 0,
        of: periods.len(),
        last_decision: String::new(),
        compared: replay.compare == Compare::Both,
        log: replay.log,
        progress,
    };
    drive.first_version().await?;
    for period in &periods {
        drive.until(period.to).await?;
        drive.end_of_period(*period).await?;
    }
    drive.savings.enrol(drive.machine.store(), &drive.model).await?;
    let rivals = always.await.map_err(|_stopped| Error::Interrupted)?;
    let rivals = rivals.map_err(|source| Error::Worker { at: drive.now, source })?;
    drive.outcome(&periods, &rival, rivals).await
}

/// A replay at work.
struct Drive<S, P> {
    machine: Machine<S>,
    adviser: Adviser,
    monitor: Monitor,
    savings: Ledger,
    workshop: Workshop,
    model: ModelName,
    rows: Arc<Rows>,
    now: Timestamp,
    answers: BTreeMap<(Timestamp, u64), (Action, Input)>,
    answered: u64,
    in_flight: BTreeSet<Action>,
    serving: VirtualServing,
    seen: Vec<Seen>,
    done: usize,
    of: usize,
    last_decision: String,
    /// Whether the arm that trains in every period is shown.
    compared: bool,
    log: Log,
    progress: P,
}

impl<S: Store, P: Fn(Progress)> Drive<S, P> {
    /// Trains and ships the first version before the first period.
    async fn first_version(&mut self) -> Result<(), Error> {
        let rows = (0..self.rows.len()).filter(|at| self.rows.is_available(*at, self.now)).count();
        let rows = u64::try_from(rows).unwrap_or(u64::MAX);
        let (model, at) = (self.model.clone(), self.now);
        self.send(&Input::Tick).await?;
        self.send(&Input::Signal(Signal::Data { rows })).await?;
        // The first version is trained before history begins, so its training takes no time here.
        while let Some(((_, _), (action, input))) = self.answers.pop_first() {
            self.in_flight.remove(&action);
            self.send(&input).await?;
        }
        if self.serving.current().is_none_or(|deployment| deployment.version.is_none()) {
            let runs = self.machine.store().runs(Some(&model), Default::default()).await?;
            let notes = runs.first().map(|run| &run.record.notes);
            let why = notes
                .and_then(|notes| notes.last())
                .map_or_else(|| self.last_decision.clone(), |reason| reason.detail.clone());
            return Err(Error::NoFirstVersion { model, at, why });
        }
        Ok(())
    }

    /// Lets virtual time pass up to `to`: answers, wake-ups and looks at candidates, in order.
    async fn until(&mut self, to: Timestamp) -> Result<(), Error> {
        loop {
            let answer = self.answers.first_key_value().map(|((at, _), _)| *at);
            let wakeup = self.machine.next_wakeup().map(|(at, _)| at.max(self.now));
            let watch = self.next_watch();
            let next = answer.into_iter().chain(wakeup).chain(watch).min();
            let Some(next) = next.filter(|next| *next < to) else { break };
            let asleep = self.now == next && answer != Some(next);
            self.now = next;
            if answer == Some(next)
                && let Some((_, (action, input))) = self.answers.pop_first()
            {
                self.in_flight.remove(&action);
                self.send(&input).await?;
                continue;
            }
            if watch == Some(next) {
                self.watch().await?;
            }
            self.send(&Input::Tick).await?;
            // A wake-up that changes nothing would come again at once: let a millisecond pass.
            if asleep && self.machine.next_wakeup().is_some_and(|(at, _)| at <= self.now) {
                self.now = self.now.after(Duration(1));
            }
        }
        self.now = to;
        Ok(())
    }

    fn next_watch(&self) -> Option<Timestamp> {
        let phase = self.machine.model(&self.model)?.phase();
        if !matches!(phase, Phase::Holding { .. } | Phase::Probation { .. }) {
            return None;
        }
        let since = self.serving.since()?;
        let looks = self.now.since(since).0 / WATCH_EVERY.0 + 1;
        Some(since.after(Duration(looks * WATCH_EVERY.0)))
    }

    /// Looks at a candidate that serves.
    async fn watch(&mut self) -> Result<(), Error> {
        let Some(model) = self.machine.model(&self.model) else { return Ok(()) };
        if !matches!(model.phase(), Phase::Holding { .. } | Phase::Probation { .. }) {
            return Ok(());
        }
        let (Some(candidate), Some(since)) = (model.phase().candidate(), self.serving.since())
        else {
            return Ok(());
        };
        let champion = model.champion();
        let watch = self
            .monitor
            .watch(&self.workshop, self.machine.store(), candidate, champion, since, self.now)
            .await
            .map_err(|source| Error::Worker { at: self.now, source })?;
        self.send(&Input::Watched(watch)).await
    }

    /// What the monitors see at the end of a period, and what follows from it.
    async fn end_of_period(&mut self, period: Window) -> Result<(), Error> {
        self.watch().await?;
        let state = self.machine.model(&self.model);
        let champion = state.and_then(|state| state.champion().or(state.phase().candidate()));
        let mut sight = None;
        if let Some(champion) = champion {
            let looked = self
                .monitor
                .look(&self.workshop, self.machine.store(), champion, period)
                .await
                .map_err(|source| Error::Worker { at: self.now, source })?;
            self.adviser.observe(&looked.observation);
            for signal in &looked.signals {
                self.send(&Input::Signal(signal.clone())).await?;
            }
            let advice = self.adviser.advise();
            let horizon = self.adviser.horizon().unwrap_or(period.length());
            let store = self.machine.store();
            self.savings.follow(&self.workshop, store, self.now).await?;
            self.savings.tell(self.now, &advice, horizon);
            self.send(&Input::Signal(Signal::Advice(advice))).await?;
            sight = Some(looked);
        }
        self.done += 1;
        self.tell();
        self.seen.push(Seen { period, champion, sight: sight.map(Sight::slim) });
        Ok(())
    }

    /// Hands one input to the machine, then starts whatever is owed.
    async fn send(&mut self, input: &Input) -> Result<(), Error> {
        let stopped = |at: Timestamp| move |source| Error::Machine { at, source };
        let ended_before =
            self.machine.model(&self.model).is_some_and(|m| m.phase().run().is_some());
        let champion_before = self.machine.model(&self.model).and_then(|model| model.champion());
        let decision = self.machine.handle(&self.model, self.now, input).await;
        if let Some(decision) = decision.map_err(stopped(self.now))? {
            if decision.action != Act::Keep {
                let why = decision.reasons.first().map_or("", |reason| reason.detail.as_str());
                self.last_decision = format!("{}: {why}", decision.action.name());
            }
            self.tell();
        }
        if let Some(model) = self.machine.model(&self.model)
            && ended_before
            && model.phase().run().is_none()
            && model.champion() == champion_before
        {
            self.adviser.run_ended();
        }
        self.machine.assign(self.now).await.map_err(stopped(self.now))?;
        self.start_owed().await
    }

    /// Level-triggered: whatever is owed and not in flight is started. Work is done at once and
    /// its answer arrives when the work would have ended.
    async fn start_owed(&mut self) -> Result<(), Error> {
        for (_, action) in self.machine.outstanding() {
            if !self.in_flight.insert(action.clone()) {
                continue;
            }
            let (input, takes) = if let Action::Serve(deployment) = &action {
                if !self.serving.serve(self.now, *deployment) {
                    continue;
                }
                (Input::Serving { fence: deployment.fence }, Duration::ZERO)
            } else {
                let silent = Arc::new(|_share: f64| {});
                let store = self.machine.store();
                let Some(input) = self.workshop.perform(store, &action, silent).await else {
                    continue;
                };
                let takes = self.takes(&action, &input);
                (input, takes)
            };
            self.answered += 1;
            self.answers.insert((self.now.after(takes), self.answered), (action, input));
        }
        Ok(())
    }

    /// How long an action takes in virtual time, estimated without a clock.
    fn takes(&self, action: &Action, input: &Input) -> Duration {
        let version = match (action, input) {
            (Action::Train { candidate, .. }, Input::Trained { result: Ok(_), .. })
            | (Action::Refit { candidate, .. }, Input::Refitted { result: Ok(_), .. }) => {
                *candidate
            }
            _ => return Duration::ZERO,
        };
        let Ok(scorer) = self.workshop.scorer(version) else { return Duration::ZERO };
        let manifest = scorer.manifest();
        let values = manifest.rows * manifest.schema.features.len() * manifest.rounds_added.max(1);
        #[expect(
            clippy::cast_precision_loss,
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "an estimate of milliseconds, far below 2^53"
        )]
        let estimate =
            Duration((values as f64 * TRAINING_SECONDS_PER_VALUE_AND_ROUND * 1_000.0) as u64);
        estimate
    }

    fn tell(&self) {
        (self.progress)(Progress {
            now: self.now,
            done: self.done,
            of: self.of,
            champion: self.machine.model(&self.model).and_then(|model| model.champion()),
            decision: self.last_decision.clone(),
        });
    }
}
