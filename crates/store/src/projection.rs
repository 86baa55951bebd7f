//! What a commit changes in runs, versions and servings; pure, so that every backend agrees.

use std::collections::{BTreeMap, BTreeSet};

use afresh_core::event::Event;
use afresh_core::history::{
    Role, RunRecord, ServingRecord, VersionRecord, roles_changed, serving_changed, version_made,
};
use afresh_core::id::{RunId, VersionId};
use afresh_core::model::Model;
use afresh_core::time::Timestamp;
use afresh_engine::port::Commit;

/// A snapshot is written each time the log grows past a multiple of this, and when a run ends.
pub(crate) const SNAPSHOT_EVERY: u64 = 200;

/// The states between a commit's events; `states[n]` is before event `n`.
pub(crate) struct Steps<'a> {
    at: Timestamp,
    events: &'a [Event],
    states: Vec<Model>,
}

/// Records by number: those that a commit touches, as they were and then as they are.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Records {
    pub(crate) runs: BTreeMap<RunId, RunRecord>,
    pub(crate) versions: BTreeMap<VersionId, VersionRecord>,
}

impl Steps<'_> {
    /// Folds the events one after the other.
    pub(crate) fn of(commit: &Commit) -> Steps<'_> {
        let mut states = Vec::with_capacity(commit.events.len() + 1);
        let mut model = commit.before.clone();
        for event in &commit.events {
            states.push(model.clone());
            model.apply(commit.at, event);
        }
        states.push(model);
        Steps { at: commit.at, events: &commit.events, states }
    }

    /// The state after all events.
    pub(crate) fn after(&self) -> Option<&Model> {
        self.states.last()
    }

    /// Runs whose record must be known.
    pub(crate) fn runs(&self) -> BTreeSet<RunId> {
        self.events.iter().filter_map(Event::run).collect()
    }

    /// Versions whose record must be known, given the records of [`Steps::runs`].
    pub(crate) fn versions(&self, runs: &BTreeMap<RunId, RunRecord>) -> BTreeSet<VersionId> {
        let mut touched = runs.values().flat_map(made_by).collect::<BTreeSet<_>>();
        for (_, before, after) in self.each() {
            touched.extend(roles_changed(before, after).into_iter().map(|(version, _)| version));
            touched.extend(standings_changed(before, after));
        }
        touched
    }

    /// Folds the events into `records`. An event about a run or version without a record, which
    /// the core never makes, changes nothing.
    pub(crate) fn fold(&self, records: &mut Records) -> Vec<ServingRecord> {
        let mut servings = Vec::new();
        for (event, before, after) in self.each() {
            if let Some(begun) = RunRecord::begun_by(event) {
                records.runs.insert(begun.run.id, begun);
            }
            if let Some(run) = event.run().and_then(|run| records.runs.get_mut(&run)) {
                run.apply(self.at, event, after);
            }
            if let Some(made) = version_made(self.at, event, before) {
                records.versions.insert(made.version, made);
            }
            for (version, role) in retired(records, event, after) {
                if let Some(record) = records.versions.get_mut(&version) {
                    record.role = role;
                }
            }
            for (version, role) in roles_changed(before, after) {
                if let Some(record) = records.versions.get_mut(&version) {
                    record.role = role;
                }
            }
            for version in standings_changed(before, after) {
                let standing = after.standings().get(&version);
                let record = records.versions.get_mut(&version);
                if let (Some(standing), Some(record)) = (standing, record) {
                    record.standing = *standing;
                }
            }
            servings.extend(serving_changed(self.at, event, before));
        }
        servings
    }

    /// Whether a snapshot is due after `expected` facts and these.
    pub(crate) fn snapshot_due(&self, expected: u64) -> bool {
        let number = expected + self.events.len() as u64;
        expected / SNAPSHOT_EVERY != number / SNAPSHOT_EVERY
            || self.events.iter().any(|event| matches!(event, Event::RunEnded { .. }))
    }

    fn each(&self) -> impl Iterator<Item = (&Event, &Model, &Model)> {
        let states = self.states.iter().zip(self.states.iter().skip(1));
        self.events.iter().zip(states).map(|(event, (before, after))| (event, before, after))
    }
}

/// Versions of a run that is over and did not become the champion, refitted or not.
fn retired(records: &Records, event: &Event, after: &Model) -> Vec<(VersionId, Role)> {
    let Event::RunEnded { run, .. } = event else { return Vec::new() };
    let made = records.runs.get(run).into_iter().flat_map(made_by);
    let is_over = |version: &VersionId| after.champion() != Some(*version);
    made.filter(is_over).map(|version| (version, Role::Retired)).collect()
}

fn made_by(run: &RunRecord) -> impl Iterator<Item = VersionId> + use<> {
    run.judged.into_iter().chain(run.candidate)
}

fn standings_changed(before: &Model, after: &Model) -> Vec<VersionId> {
    let changed =
        |version: &VersionId| before.standings().get(version) != after.standings().get(version);
    after.standings().keys().copied().filter(changed).collect()
}
