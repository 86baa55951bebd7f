//! One look at one model: what its monitors see and its policy advises, handed to the core.

use afresh_core::decision::Decision;
use afresh_core::event::Outcome;
use afresh_core::id::{ModelName, RunId, VersionId};
use afresh_core::input::Input;
use afresh_core::model::Phase;
use afresh_core::signal::{Advice, Signal};
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::source::Span;
use afresh_data::spec::Columns;
use afresh_policy::adviser::Adviser;
use afresh_policy::history::History;
use serde::{Deserialize, Serialize};

use crate::clock::Clock;
use crate::driver::{self, Driver};
use crate::monitor::{Monitor, Sight};
use crate::port::{Page, Serving, Store, StoreError};
use crate::saving::{self, Ledger};
use crate::workshop::{self, Workshop};

/// Key of the document that holds a model's policy between two looks.
const ADVISER: &str = "adviser";

/// What was seen, and what the core made of it.
#[derive(Debug)]
pub struct Look {
    /// The newest whole period, where there is one.
    pub period: Option<Window>,
    /// What the monitors saw of it; `None` before the first version.
    pub sight: Option<Sight>,
    /// What was decided, in order.
    pub decisions: Vec<Decision>,
}

/// Why a look failed; the state is as it was, but for decisions taken before.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The monitors.
    #[error(transparent)]
    Workshop(#[from] workshop::Error),
    /// The core.
    #[error(transparent)]
    Driver(#[from] driver::Error),
    /// The store.
    #[error("failed to remember what the policy saw")]
    Store(#[from] StoreError),
    /// What retrainings saved.
    #[error(transparent)]
    Saving(#[from] saving::Error),
    /// The policy's state.
    #[error("the policy of {model} cannot go on: {why}")]
    Adviser {
        /// Whose.
        model: ModelName,
        /// Why.
        why: String,
    },
}

/// A policy between two looks.
#[derive(Debug, Serialize, Deserialize)]
struct Remembered {
    history: History,
    /// The end of the newest period that it saw, and what served then.
    seen: (Timestamp, VersionId),
    /// The newest run whose end the policy knows of.
    ended: Option<RunId>,
}

/// The newest period of `step` that is over at `now`: half-open, counted from the first event, and
/// with an event at or after its end, which shows that history goes on.
#[must_use]
pub fn newest_period(span: Span, step: Duration, now: Timestamp) -> Option<Window> {
    let passed = span.last.min(now).since(span.first).0.checked_div(step.0)?;
    let from = span.first.after(Duration(passed.checked_sub(1)? * step.0));
    Some(Window { from, to: from.after(step) })
}

/// What the monitors see of the newest whole period, against what serves or is about to.
pub async fn sight<S: Store>(
    workshop: &Workshop,
    store: &S,
    champion: VersionId,
    now: Timestamp,
) -> Result<Option<(Window, Sight)>, Error> {
    let Some(period) = period(workshop, now).await? else { return Ok(None) };
    let sight = Monitor::default().look(workshop, store, champion, period).await?;
    Ok(Some((period, sight)))
}

impl<S: Store + 'static, V: Serving> Driver<S, V> {
    /// Looks at `model`, which has a workshop, and hands what it sees to the core. Safe to repeat:
    /// a period counts once.
    pub async fn look(&mut self, model: &ModelName, clock: &Clock) -> Result<Look, Error> {
        let missing = || driver::Error::from(crate::machine::Error::UnknownModel(model.clone()));
        let workshop = self.workshop(model).ok_or_else(missing)?;
        let now = clock.now();
        let state = self.machine().model(model).ok_or_else(missing)?;
        let (champion, candidate) = (state.champion(), state.phase().candidate());
        let mut inputs = Vec::new();
        if let (Some(candidate), Phase::Holding { .. } | Phase::Probation { .. }) =
            (candidate, state.phase())
        {
            let page = Page { limit: 1, ..Page::default() };
            let serving = self.machine().store().servings(model, page).await?;
            if let Some(since) = serving.first().map(|serving| serving.from) {
                let monitor = Monitor::default();
                let watch = monitor
                    .watch(&workshop, self.machine().store(), candidate, champion, since, now)
                    .await?;
                inputs.push(Input::Watched(watch));
            }
        }
        let (mut seen, mut advice) = (None, None);
        match champion.or(candidate) {
            None => {
                let rows = available(&workshop, now).await?;
                inputs.push(Input::Signal(Signal::Data { rows }));
            }
            Some(version) => {
                seen = sight(&workshop, self.machine().store(), version, now).await?;
                if let Some((_, sight)) = &seen {
                    let signals = sight.signals.iter().cloned();
                    inputs.extend(signals.map(Input::Signal));
                    advice = self.advise(model, &workshop, sight).await?;
                    let signal = advice.iter().map(|(advice, _)| Signal::Advice(advice.clone()));
                    inputs.extend(signal.map(Input::Signal));
                }
            }
        }
        let mut ledger = self.savings(model, &workshop, advice.as_ref(), now).await?;
        let mut decisions = Vec::new();
        for input in inputs {
            decisions.extend(self.send(model, clock, &input).await?);
        }
        let store = self.machine().store();
        if ledger.enrol(store, model).await? {
            ledger.write(store, model).await?;
        }
        let (period, sight) = seen.unzip();
        Ok(Look { period, sight, decisions })
    }

    /// Lets the policy see a period and remembers what it made of it. No advice where the newest
    /// period was seen before and speaks of a version that has been replaced since. With the advice, how far it looks.
    async fn advise(
        &self,
        model: &ModelName,
        workshop: &Workshop,
        sight: &Sight,
    ) -> Result<Option<(Advice, Duration)>, Error> {
        let store = self.machine().store();
        let broken = |why| Error::Adviser { model: model.clone(), why };
        let settings = workshop.settings().advice.clone();
        let observation = &sight.observation;
        let mut seen = (observation.at, observation.champion);
        let (mut adviser, known) = match store.document(model, ADVISER).await? {
            Some(body) => {
                let was = serde_json::from_str::<Remembered>(&body)
                    .map_err(|error| broken(error.to_string()))?;
                if observation.at <= was.seen.0 {
                    seen = was.seen;
                }
                (Adviser::resume(settings, was.history).map_err(broken)?, was.ended)
            }
            None => (Adviser::new(settings), None),
        };
        adviser.observe(observation);
        let newest = store.runs(Some(model), Page { limit: 2, ..Page::default() }).await?;
        let ended = newest.iter().map(|row| &row.record).find(|run| run.outcome.is_some());
        let ended_id = ended.map(|run| run.run.id);
        // A run that ended without a new champion starts the rhythm anew all the same.
        if ended_id != known && !ended.and_then(|run| run.outcome).is_some_and(Outcome::promotes) {
            adviser.run_ended();
        }
        let remembered = Remembered { history: adviser.history().clone(), seen, ended: ended_id };
        let body = serde_json::to_string(&remembered).map_err(|error| broken(error.to_string()))?;
        store.put_document(model, ADVISER, &body).await?;
        let horizon = adviser.horizon().unwrap_or(workshop.settings().period);
        Ok((seen.1 == observation.champion).then(|| (adviser.advise(), horizon)))
    }

    /// What retrainings have saved up to `now`, and what the next one is expected to.
    async fn savings(
        &self,
        model: &ModelName,
        workshop: &Workshop,
        advice: Option<&(Advice, Duration)>,
        now: Timestamp,
    ) -> Result<Ledger, Error> {
        let store = self.machine().store();
        let was = Ledger::read(store, model).await?;
        let mut ledger = was.clone();
        ledger.follow(workshop, store, now).await?;
        if let Some((advice, horizon)) = advice {
            ledger.tell(now, advice, *horizon);
        }
        if ledger != was {
            ledger.write(store, model).await?;
        }
        Ok(ledger)
    }
}

async fn period(workshop: &Workshop, now: Timestamp) -> Result<Option<Window>, Error> {
    let source = workshop.feed().source();
    let span = source.span().await.map_err(|source| workshop.rows_error(source))?;
    Ok(newest_period(span, workshop.settings().period, now))
}

/// Rows whose label is available.
async fn available(workshop: &Workshop, now: Timestamp) -> Result<u64, Error> {
    let window = Window { from: Timestamp::MIN, to: now };
    let rows = workshop.rows(window, Columns::TimesAndLabel).await?;
    let available = rows.range(window).filter(|at| rows.is_available(*at, now)).count();
    Ok(u64::try_from(available).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_period_that_history_has_passed_is_whole() {
        let span = Span { first: Timestamp(100), last: Timestamp(135) };
        let newest = |now| newest_period(span, Duration(10), Timestamp(now));
        let window = |from, to| Some(Window { from: Timestamp(from), to: Timestamp(to) });
        assert_eq!(newest(1_000), window(120, 130));
        assert_eq!(newest(129), window(110, 120));
        assert_eq!(newest(109), None);
        assert_eq!(newest(50), None);
        assert_eq!(newest_period(span, Duration(0), Timestamp(200)), None);
    }
}
