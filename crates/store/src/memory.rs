//! A store in memory: for tests and for runs that nobody will ask about tomorrow.

use std::collections::BTreeMap;
use std::future::{Future, ready};
use std::sync::{Mutex, MutexGuard, PoisonError};

use afresh_core::decision::{Act, Recorded};
use afresh_core::history::{RunRecord, ServingRecord, VersionRecord};
use afresh_core::id::{Fence, ModelName, RunId, VersionId};
use afresh_core::signal::Cause;
use afresh_core::time::Timestamp;
use afresh_engine::port::{
    Commit, DecisionRow, Fact, FleetFact, Page, RunRow, Snapshot, Store, StoreError,
};

use crate::coalesce::{Kept, keep};
use crate::projection::{Records, Steps};
use crate::stored::encode_fact;

/// Forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct Memory {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    models: BTreeMap<ModelName, Log>,
    fleet: Vec<FleetFact>,
    /// Row `n` has id `n + 1`.
    decisions: Vec<DecisionRow>,
    /// Row `n` has id `n + 1`.
    runs: Vec<(ModelName, RunId)>,
}

#[derive(Debug, Default)]
struct Log {
    facts: Vec<Fact>,
    snapshot: Option<Snapshot>,
    records: Records,
    servings: BTreeMap<Fence, ServingRecord>,
    documents: BTreeMap<String, String>,
    decisions: Vec<u64>,
    run_rows: Vec<u64>,
    /// The newest keep of each cause since the last act.
    keeps: BTreeMap<Cause, u64>,
}

impl Memory {
    /// Holds nothing yet.
    #[must_use]
    pub fn new() -> Memory {
        Memory::default()
    }

    /// A poisoned lock is taken all the same: nothing panics while it is held half-way.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log<T>(&self, model: &ModelName, read: impl FnOnce(&Log) -> T) -> Option<T> {
        self.state().models.get(model).map(read)
    }
}

impl Store for Memory {
    fn models(&self) -> impl Future<Output = Result<Vec<ModelName>, StoreError>> + Send {
        let state = self.state();
        let with_facts = state.models.iter().filter(|(_, log)| !log.facts.is_empty());
        ready(Ok(with_facts.map(|(name, _)| name.clone()).collect()))
    }

    fn facts(
        &self,
        model: &ModelName,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Fact>, StoreError>> + Send {
        let facts = self.log(model, |log| following(&log.facts, after, limit));
        ready(Ok(facts.unwrap_or_default()))
    }

    fn fleet_facts(
        &self,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<FleetFact>, StoreError>> + Send {
        ready(Ok(following(&self.state().fleet, after, limit)))
    }

    fn snapshot(
        &self,
        model: &ModelName,
    ) -> impl Future<Output = Result<Option<Snapshot>, StoreError>> + Send {
        ready(Ok(self.log(model, |log| log.snapshot.clone()).flatten()))
    }

    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), StoreError>> + Send {
        ready(self.state().commit(commit))
    }

    fn decisions(
        &self,
        model: Option<&ModelName>,
        page: Page,
    ) -> impl Future<Output = Result<Vec<DecisionRow>, StoreError>> + Send {
        let state = self.state();
        let ids = match model {
            Some(model) => {
                state.models.get(model).map_or(Vec::new(), |log| page_of(&log.decisions, page))
            }
            None => page_of(&numbers(state.decisions.len()), page),
        };
        let rows = ids.iter().filter_map(|id| state.decisions.get(place(*id)).cloned());
        ready(Ok(rows.collect()))
    }

    fn runs(
        &self,
        model: Option<&ModelName>,
        page: Page,
    ) -> impl Future<Output = Result<Vec<RunRow>, StoreError>> + Send {
        let state = self.state();
        let ids = match model {
            Some(model) => {
                state.models.get(model).map_or(Vec::new(), |log| page_of(&log.run_rows, page))
            }
            None => page_of(&numbers(state.runs.len()), page),
        };
        let row = |id: &u64| {
            let (model, run) = state.runs.get(place(*id))?;
            let record = state.models.get(model)?.records.runs.get(run)?.clone();
            Some(RunRow { id: *id, model: model.clone(), record })
        };
        ready(Ok(ids.iter().filter_map(row).collect()))
    }

    fn run(
        &self,
        model: &ModelName,
        run: RunId,
    ) -> impl Future<Output = Result<Option<RunRecord>, StoreError>> + Send {
        ready(Ok(self.log(model, |log| log.records.runs.get(&run).cloned()).flatten()))
    }

    fn versions(
        &self,
        model: &ModelName,
        page: Page,
    ) -> impl Future<Output = Result<Vec<VersionRecord>, StoreError>> + Send {
        let before = VersionId(page.before.unwrap_or(u64::MAX));
        let versions = self.log(model, |log| {
            let rows = log.records.versions.range(..before).rev().map(|(_, row)| row.clone());
            rows.take(page.limit as usize).collect()
        });
        ready(Ok(versions.unwrap_or_default()))
    }

    fn version(
        &self,
        model: &ModelName,
        version: VersionId,
    ) -> impl Future<Output = Result<Option<VersionRecord>, StoreError>> + Send {
        ready(Ok(self.log(model, |log| log.records.versions.get(&version).cloned()).flatten()))
    }

    fn serving_at(
        &self,
        model: &ModelName,
        at: Timestamp,
    ) -> impl Future<Output = Result<Option<ServingRecord>, StoreError>> + Send {
        let serving = self.log(model, |log| {
            let until = log.servings.values().filter(|serving| serving.from <= at);
            until.max_by_key(|serving| (serving.from, serving.fence)).cloned()
        });
        ready(Ok(serving.flatten()))
    }

    fn servings(
        &self,
        model: &ModelName,
        page: Page,
    ) -> impl Future<Output = Result<Vec<ServingRecord>, StoreError>> + Send {
        let before = Fence(page.before.unwrap_or(u64::MAX));
        let servings = self.log(model, |log| {
            let rows = log.servings.range(..before).rev().map(|(_, row)| row.clone());
            rows.take(page.limit as usize).collect()
        });
        ready(Ok(servings.unwrap_or_default()))
    }

    fn put_document(
        &self,
        model: &ModelName,
        key: &str,
        body: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        let mut state = self.state();
        let log = state.models.entry(model.clone()).or_default();
        log.documents.insert(key.to_owned(), body.to_owned());
        ready(Ok(()))
    }

    fn document(
        &self,
        model: &ModelName,
        key: &str,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + Send {
        ready(Ok(self.log(model, |log| log.documents.get(key).cloned()).flatten()))
    }
}

impl State {
    fn commit(&mut self, commit: Commit) -> Result<(), StoreError> {
        let name = commit.before.name().clone();
        let held = self.models.get(&name).map_or(0, |log| log.facts.len());
        expect_at(name.as_str(), held, commit.expected)?;
        if let Some(fleet) = &commit.fleet {
            expect_at("fleet", self.fleet.len(), fleet.expected)?;
        }
        check_form(&commit)?;
        if commit.events.is_empty() && commit.fleet.is_none() && commit.decision.is_none() {
            return Ok(());
        }
        self.project(&name, &commit);
        if let Some(decision) = &commit.decision {
            self.decide(&name, commit.at, decision);
        }
        let Commit { at, events, fleet, expected, .. } = commit;
        let numbered = |from: u64| (from + 1..).map(move |number| (number, at));
        let log = self.models.entry(name).or_default();
        let facts = numbered(expected).zip(events);
        log.facts.extend(facts.map(|((number, at), event)| Fact { number, at, event }));
        if let Some(fleet) = fleet {
            let facts = numbered(fleet.expected).zip(fleet.events);
            self.fleet.extend(facts.map(|((number, at), event)| FleetFact { number, at, event }));
        }
        Ok(())
    }

    fn project(&mut self, name: &ModelName, commit: &Commit) {
        let steps = Steps::of(commit);
        let log = self.models.entry(name.clone()).or_default();
        let known = log.records.runs.len();
        let servings = steps.fold(&mut log.records);
        log.servings.extend(servings.into_iter().map(|serving| (serving.fence, serving)));
        if log.records.runs.len() > known {
            for run in steps.runs() {
                if !self.runs.iter().rev().any(|row| row.0 == *name && row.1 == run) {
                    self.runs.push((name.clone(), run));
                    log.run_rows.push(self.runs.len() as u64);
                }
            }
        }
        if steps.snapshot_due(commit.expected) {
            let number = commit.expected + commit.events.len() as u64;
            log.snapshot = steps.after().map(|model| Snapshot { number, model: model.clone() });
        }
    }

    fn decide(
        &mut self,
        name: &ModelName,
        at: Timestamp,
        decision: &afresh_core::decision::Decision,
    ) {
        let log = self.models.entry(name.clone()).or_default();
        let open = log.keeps.get(&decision.cause).map(|id| place(*id));
        let newest = open.and_then(|place| self.decisions.get(place));
        let newest = newest.map(|row| row.recorded.clone());
        match (keep(newest, at, decision), open) {
            (Kept::Continued(recorded), Some(place)) => {
                if let Some(row) = self.decisions.get_mut(place) {
                    row.recorded = recorded;
                }
            }
            (Kept::Continued(recorded) | Kept::New(recorded), _) => {
                let id = self.decisions.len() as u64 + 1;
                log.decisions.push(id);
                note_open(&mut log.keeps, &recorded, id);
                self.decisions.push(DecisionRow { id, model: name.clone(), recorded });
            }
        }
    }
}

fn note_open(keeps: &mut BTreeMap<Cause, u64>, recorded: &Recorded, id: u64) {
    if recorded.decision.action == Act::Keep {
        keeps.insert(recorded.decision.cause, id);
    } else {
        keeps.clear();
    }
}

fn expect_at(log: &str, held: usize, expected: u64) -> Result<(), StoreError> {
    if held as u64 == expected {
        return Ok(());
    }
    Err(StoreError::Conflict { log: log.to_owned(), expected })
}

/// Refuses what another backend could not keep.
fn check_form(commit: &Commit) -> Result<(), StoreError> {
    let fleet = commit.fleet.iter().flat_map(|fleet| &fleet.events);
    let forms = commit.events.iter().map(encode_fact).chain(fleet.map(encode_fact));
    for form in forms {
        form.map_err(|why| StoreError::Broken {
            operation: "append a fact",
            place: "memory".to_owned(),
            source: Box::new(why),
        })?;
    }
    Ok(())
}

fn following<T: Clone>(facts: &[T], after: u64, limit: u32) -> Vec<T> {
    let after = usize::try_from(after).unwrap_or(usize::MAX);
    facts.iter().skip(after).take(limit as usize).cloned().collect()
}

fn page_of(ids: &[u64], page: Page) -> Vec<u64> {
    let before = page.before.unwrap_or(u64::MAX);
    let end = ids.partition_point(|id| *id < before);
    ids.iter().take(end).rev().take(page.limit as usize).copied().collect()
}

fn numbers(count: usize) -> Vec<u64> {
    (1..=count as u64).collect()
}

fn place(id: u64) -> usize {
    usize::try_from(id).unwrap_or(usize::MAX).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn memory_conforms() {
        conformance::conforms(async || Memory::new()).await;
    }
}
