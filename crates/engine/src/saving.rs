//! What every retraining was expected to save, and what it did save: the rows that the new version answered, priced at the
//! difference to the version that it replaced.

use afresh_core::history::{RunRecord, ServingRecord};
use afresh_core::id::{ModelName, RunId, VersionId};
use afresh_core::signal::{Advice, Cause};
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::spec::Columns;
use serde::{Deserialize, Serialize};

use crate::monitor::evidence::priced;
use crate::port::{Page, Store, StoreError};
use crate::workshop::{self, Workshop, task};

/// Key of the document that holds a model's savings.
const KEY: &str = "savings";
/// Retrainings of which a ledger tells; older ones are forgotten.
const KEPT: usize = 500;
/// Runs and servings looked through at a time.
const NEWEST: Page = Page { before: None, limit: 64 };

/// Expected and realised savings of one model's retrainings, oldest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Ledger {
    told: Option<Told>,
    savings: Vec<Saving>,
}

/// What the policy last said of a retraining.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Told {
    at: Timestamp,
    gain: Option<f64>,
    cost: Option<f64>,
    horizon: Duration,
}

/// One retraining: what was expected of it when it was decided, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Saving {
    /// Which.
    pub run: RunId,
    /// What it was expected to save over the horizon, in the owner's unit; `None` where nobody could tell.
    pub expected: Option<f64>,
    /// What it was expected to cost, in the same unit.
    pub cost: Option<f64>,
    /// How far ahead that looked; realised is counted as far.
    pub horizon: Duration,
    /// What it did save; `None` as long as its version has not served.
    pub realised: Option<Realised>,
    /// Nothing more is to come: the horizon is over, or the version never served.
    pub over: bool,
}

/// What a version saved beside the one that it replaced, on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Realised {
    /// What served.
    pub version: VersionId,
    /// What would have served without it.
    pub replaced: VersionId,
    /// From when it served.
    pub from: Timestamp,
    /// Up to when rows are counted: the newest look, the end of the horizon, or when something else took over.
    pub to: Timestamp,
    /// Rows that it answered and whose label is available.
    pub rows: u64,
    /// The loss that it spared them times its price, in the owner's unit; below 0 where it did harm.
    pub value: f64,
    /// Labels that were available by then are counted.
    counted: Timestamp,
}

/// Why savings could not be followed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Rows or predictions.
    #[error(transparent)]
    Workshop(#[from] workshop::Error),
    /// The store.
    #[error("failed to read or write what retrainings saved")]
    Store(#[from] StoreError),
    /// The ledger.
    #[error("the savings of {0} cannot be read: {1}")]
    Broken(ModelName, String),
}

impl Ledger {
    /// A model's ledger; empty where nothing is known.
    pub async fn read<S: Store>(store: &S, model: &ModelName) -> Result<Ledger, Error> {
        let Some(body) = store.document(model, KEY).await? else { return Ok(Ledger::default()) };
        serde_json::from_str(&body).map_err(|error| Error::Broken(model.clone(), error.to_string()))
    }

    /// Keeps it.
    pub async fn write<S: Store>(&self, store: &S, model: &ModelName) -> Result<(), Error> {
        let body = serde_json::to_string(self);
        let body = body.map_err(|error| Error::Broken(model.clone(), error.to_string()))?;
        Ok(store.put_document(model, KEY, &body).await?)
    }

    /// Of one run.
    #[must_use]
    pub fn of(&self, run: RunId) -> Option<&Saving> {
        self.savings.iter().find(|saving| saving.run == run)
    }

    /// Of all runs that are known, oldest first.
    #[must_use]
    pub fn savings(&self) -> &[Saving] {
        &self.savings
    }

    /// Notes what the policy says of a retraining now; `horizon` is how far that looks.
    pub fn tell(&mut self, now: Timestamp, advice: &Advice, horizon: Duration) {
        self.told = Some(Told { at: now, gain: advice.gain, cost: advice.cost, horizon });
    }

    /// Takes in new runs with what was expected of them when they were decided, and counts what the versions that serve have
    /// spared since the last look.
    pub async fn follow<S: Store>(
        &mut self,
        workshop: &Workshop,
        store: &S,
        now: Timestamp,
    ) -> Result<(), Error> {
        let model = &workshop.settings().model;
        self.enrol(store, model).await?;
        if self.savings.iter().all(|saving| saving.over) {
            return Ok(());
        }
        let unit = workshop.unit_of_loss(store).await?.unwrap_or(1.0);
        let price = workshop.settings().advice.prices.per_loss / unit;
        let mut servings = store.servings(model, NEWEST).await?;
        servings.reverse();
        for saving in self.savings.iter_mut().filter(|saving| !saving.over) {
            match store.run(model, saving.run).await? {
                Some(run) => saving.follow(workshop, &run, &servings, price, now).await?,
                None => saving.over = true,
            }
        }
        Ok(())
    }

    /// Takes in new runs with what was expected of them when they were decided. Whether there were any.
    pub async fn enrol<S: Store>(&mut self, store: &S, model: &ModelName) -> Result<bool, Error> {
        let runs = store.runs(Some(model), NEWEST).await?;
        let (known, before) = (self.savings.last().map(|saving| saving.run), self.savings.len());
        for run in runs.iter().rev().map(|row| row.record.run) {
            if known.is_some_and(|known| run.id <= known) || run.cause == Cause::FirstVersion {
                continue;
            }
            let Some(told) = self.told.filter(|told| told.at <= run.decided_at) else { continue };
            self.savings.push(Saving {
                run: run.id,
                expected: told.gain,
                cost: told.cost,
                horizon: told.horizon,
                realised: None,
                over: false,
            });
        }
        let new = before < self.savings.len();
        let surplus = self.savings.len().saturating_sub(KEPT);
        self.savings.drain(..surplus);
        Ok(new)
    }
}

impl Saving {
    /// In words: what was expected, and what came of it.
    #[must_use]
    pub fn words(&self) -> String {
        let Saving { expected, cost, horizon, realised, over, .. } = self;
        let mut words = match (expected, cost) {
            (Some(expected), Some(cost)) => {
                format!(
                    "It was expected to save {expected:.2} over {horizon}, and to cost {cost:.2}"
                )
            }
            (None, Some(cost)) => {
                format!("Nobody could tell what it would save; it was expected to cost {cost:.2}")
            }
            (_, None) => "Nobody could tell what it would save or cost".to_owned(),
        };
        match realised {
            None if *over => words.push_str(". It saved nothing, for its version never served."),
            None => words.push_str(". Its version has not served yet."),
            Some(Realised { version, replaced, from, to, rows, value, .. }) => {
                let (verb, amount) =
                    if *value < 0.0 { ("cost", -value) } else { ("saved", *value) };
                let served = to.since(*from);
                let so_far = if *over { "" } else { " so far" };
                words.push_str(&format!(
                    ". It {verb} {amount:.2}{so_far}: {version} beside {replaced} on {rows} labelled \
                     rows of the {served} from {from}."
                ));
            }
        }
        words
    }

    async fn follow(
        &mut self,
        workshop: &Workshop,
        run: &RunRecord,
        servings: &[ServingRecord],
        price: f64,
        now: Timestamp,
    ) -> Result<(), Error> {
        let span = run.candidate.and_then(|version| Span::of(run.run.id, version, servings));
        let Some(span) = span else {
            self.over = run.outcome.is_some();
            return Ok(());
        };
        let horizon = span.from.after(self.horizon);
        let end = span.to.map_or(horizon, |to| to.min(horizon));
        let mut realised = self.realised.unwrap_or(Realised {
            version: span.version,
            replaced: span.replaced,
            from: span.from,
            to: span.from,
            rows: 0,
            value: 0.0,
            counted: span.from,
        });
        let window = Window { from: span.from, to: end.min(now) };
        let rows = workshop.rows(window, Columns::All).await?;
        let known = |at: &usize| rows.is_available(*at, now);
        let new = |at: &usize| {
            known(at) && rows.available_at[*at].is_some_and(|when| realised.counted <= when)
        };
        let positions = rows.range(window).filter(new).collect::<Vec<_>>();
        let labels = positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let by = workshop.settings().advice.prices.priced;
        let mut losses = [0.0, 0.0];
        for (sum, version) in losses.iter_mut().zip([span.replaced, span.version]) {
            if !positions.is_empty() {
                // A version that is no longer kept ends the count, and is no error.
                if workshop.bring(version).await.is_err() {
                    self.over = true;
                    return Ok(());
                }
                let predictions = workshop.predict(version, &rows, &positions)?;
                let task = task(workshop.feed().schema());
                *sum = priced(by, task, &labels, &predictions).iter().sum();
            }
        }
        realised.rows += u64::try_from(positions.len()).unwrap_or(u64::MAX);
        realised.value += (losses[0] - losses[1]) * price;
        (realised.to, realised.counted) = (window.to, now);
        // Labels that come late are waited for as long again as the horizon.
        let missing = || !rows.range(window).all(|at| known(&at));
        self.over = end <= now && (horizon.after(self.horizon) <= now || !missing());
        self.realised = Some(realised);
        Ok(())
    }
}

/// When a run's version answered everything, and what it replaced.
struct Span {
    version: VersionId,
    replaced: VersionId,
    from: Timestamp,
    /// `None`: it still does.
    to: Option<Timestamp>,
}

impl Span {
    /// `servings` are oldest first.
    fn of(run: RunId, version: VersionId, servings: &[ServingRecord]) -> Option<Span> {
        let begins =
            |serving: &ServingRecord| serving.run == Some(run) && serving.version == Some(version);
        let start = servings.iter().position(begins)?;
        let (before, after) = servings.split_at(start);
        let replaced = before.last()?.version?;
        let other = |serving: &&ServingRecord| serving.version != Some(version);
        let to = after.iter().find(other).map(|serving| serving.from);
        Some(Span { version, replaced, from: after[0].from, to })
    }
}

#[cfg(test)]
mod tests {
    use afresh_core::id::Fence;
    use afresh_core::model::Canary;

    use super::*;

    fn serving(from: u64, version: u64, run: u64) -> ServingRecord {
        ServingRecord {
            from: Timestamp::MIN.after(Duration(from)),
            fence: Fence(from),
            version: Some(VersionId(version)),
            canary: None,
            run: Some(RunId(run)),
            why: String::new(),
        }
    }

    #[test]
    fn a_version_is_counted_from_when_it_answers_alone_until_something_else_does() {
        let mut canary = serving(5, 1, 2);
        canary.canary = Some(Canary { version: VersionId(2), percent: 10 });
        let servings = [serving(0, 1, 1), canary, serving(9, 2, 2), serving(20, 1, 2)];
        let span = |servings| Span::of(RunId(2), VersionId(2), servings);
        let found = span(&servings).unwrap();
        assert_eq!((found.version, found.replaced), (VersionId(2), VersionId(1)));
        assert_eq!((found.from, found.to), (servings[2].from, Some(servings[3].from)));
        assert_eq!(span(&servings[..3]).unwrap().to, None);
        assert!(span(&servings[..2]).is_none(), "a canary answers a part only");
        assert!(span(&servings[2..]).is_none(), "what it replaced is not known");
    }

    #[test]
    fn words_tell_expected_and_realised() {
        let mut saving = Saving {
            run: RunId(2),
            expected: Some(12.4),
            cost: Some(0.31),
            horizon: Duration::days(7),
            realised: None,
            over: true,
        };
        let expected = "It was expected to save 12.40 over 7d, and to cost 0.31";
        let nothing = "It saved nothing, for its version never served.";
        assert_eq!(saving.words(), format!("{expected}. {nothing}"));
        saving.over = false;
        saving.realised = Some(Realised {
            version: VersionId(2),
            replaced: VersionId(1),
            from: Timestamp(0),
            to: Timestamp(0).after(Duration::days(3)),
            rows: 210,
            value: -8.25,
            counted: Timestamp(0),
        });
        let harm = "It cost 8.25 so far: v2 beside v1 on 210 labelled rows of the 3d from";
        assert_eq!(saving.words(), format!("{expected}. {harm} {}.", Timestamp(0)));
    }
}
