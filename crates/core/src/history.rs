//! What people look up afterwards: runs, versions and servings, folded from the same facts.

#![expect(clippy::wildcard_enum_match_arm, reason = "few facts make history")]

use serde::{Deserialize, Serialize};

use crate::event::{Event, Outcome, RowCounts, Run, Stage};
use crate::gate;
use crate::id::{DatasetId, Fence, RunId, VersionId};
use crate::model::{Canary, Model, Phase, Standing};
use crate::reason::Reason;
use crate::signal::Strategy;
use crate::time::Timestamp;

/// One run, from decision to outcome.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunRecord {
    /// What started it.
    pub run: Run,
    /// Why it was started.
    pub reasons: Vec<Reason>,
    /// Where it stands: a phase's name, or its outcome's.
    pub status: String,
    /// The rows that it uses.
    pub dataset: Option<DatasetId>,
    /// Rows of the dataset's parts.
    pub rows: RowCounts,
    /// The version that was judged.
    pub judged: Option<VersionId>,
    /// The version that ships: the refit where there is one.
    pub candidate: Option<VersionId>,
    /// The gate's last answer.
    pub verdict: Option<gate::Verdict>,
    /// What the gate saw last.
    pub evidence: Option<gate::Evidence>,
    /// How often it was judged.
    pub judgements: u32,
    /// Why it stands where it stands.
    pub notes: Vec<Reason>,
    /// User and system time of its trainings.
    pub cpu_seconds: f64,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// When.
    pub ended_at: Option<Timestamp>,
}

/// One version and its role.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct VersionRecord {
    /// Its number.
    pub version: VersionId,
    /// The run that made it.
    pub run: RunId,
    /// When it was trained.
    pub trained_at: Timestamp,
    /// The rows that trained it.
    pub dataset: Option<DatasetId>,
    /// What the gate said.
    pub standing: Standing,
    /// What it is now.
    pub role: Role,
    /// What its training cost.
    pub cpu_seconds: f64,
}

/// What a version is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// It may become the champion.
    Candidate,
    /// It is the one to fall back to.
    Champion,
    /// It was one or the other.
    Retired,
}

/// What answered from a point in time on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ServingRecord {
    /// From when.
    pub from: Timestamp,
    /// The deployment's number.
    pub fence: Fence,
    /// What answered; `None`: nothing.
    pub version: Option<VersionId>,
    /// A candidate beside it.
    pub canary: Option<Canary>,
    /// The run that caused it; `None`: a person's override.
    pub run: Option<RunId>,
    /// Why, in words.
    pub why: String,
}

impl RunRecord {
    /// The record that begins with this event, if one does.
    #[must_use]
    pub fn begun_by(event: &Event) -> Option<RunRecord> {
        let Event::RunQueued { run, reasons } = event else { return None };
        Some(RunRecord {
            run: *run,
            reasons: reasons.clone(),
            status: "queued".to_owned(),
            dataset: None,
            rows: RowCounts::default(),
            judged: None,
            candidate: None,
            verdict: None,
            evidence: None,
            judgements: 0,
            notes: Vec::new(),
            cpu_seconds: 0.0,
            outcome: None,
            ended_at: None,
        })
    }

    /// Folds a fact about this run in. `after` is the model with the fact folded in.
    pub fn apply(&mut self, at: Timestamp, event: &Event, after: &Model) {
        self.cpu_seconds += event.cpu_seconds();
        if after.phase().run().is_some_and(|run| run.id == self.run.id) {
            after.phase().name().clone_into(&mut self.status);
        }
        match event {
            Event::DatasetPrepared { dataset, rows, .. } => {
                self.dataset = Some(dataset.clone());
                self.rows = *rows;
            }
            Event::CandidateTrained { candidate, .. } => {
                self.judged = Some(*candidate);
                self.candidate = Some(*candidate);
            }
            Event::CandidateJudged { verdict, evidence, reasons, .. } => {
                self.verdict = Some(*verdict);
                self.evidence = Some((**evidence).clone());
                self.notes.clone_from(reasons);
                self.judgements += 1;
            }
            Event::CandidateRefitted { candidate, .. } => self.candidate = Some(*candidate),
            Event::RunMadeFull { reason, .. }
            | Event::RefitDropped { reason, .. }
            | Event::StageFailed { reason, .. } => self.notes.push(reason.clone()),
            Event::RollbackStarted { reasons, .. } => self.notes.extend(reasons.iter().cloned()),
            Event::RunEnded { outcome, reasons, .. } => {
                outcome.name().clone_into(&mut self.status);
                self.outcome = Some(*outcome);
                self.ended_at = Some(at);
                let new = reasons.iter().filter(|reason| !self.notes.contains(reason)).cloned();
                let new = new.collect::<Vec<_>>();
                self.notes.extend(new);
            }
            _ => {}
        }
        if let Event::RunMadeFull { .. } = event {
            self.run.strategy = self.run.cause.strategy();
            debug_assert_ne!(self.run.strategy, Strategy::Incremental);
        }
    }
}

impl Event {
    /// The run that this fact is about.
    #[must_use]
    pub fn run(&self) -> Option<RunId> {
        match self {
            Event::RunQueued { run, .. } => Some(run.id),
            Event::StageQueued { run, .. }
            | Event::StageStarted { run, .. }
            | Event::StageFailed { run, .. }
            | Event::RunPreempted { run }
            | Event::RunMadeFull { run, .. }
            | Event::DatasetPrepared { run, .. }
            | Event::CandidateTrained { run, .. }
            | Event::CandidateJudged { run, .. }
            | Event::CandidateWaits { run, .. }
            | Event::CandidateRefitted { run, .. }
            | Event::RefitDropped { run, .. }
            | Event::ApprovalAsked { run, .. }
            | Event::Approved { run, .. }
            | Event::RolloutHeld { run, .. }
            | Event::DeploymentStarted { run, .. }
            | Event::DeploymentConfirmed { run, .. }
            | Event::ProbationStarted { run, .. }
            | Event::ProbationWatched { run, .. }
            | Event::RollbackStarted { run, .. }
            | Event::RunEnded { run, .. } => Some(*run),
            Event::PolicyChanged { .. }
            | Event::ScheduleAdvanced { .. }
            | Event::OverrideStarted { .. }
            | Event::OverrideConfirmed { .. } => None,
        }
    }
}

/// The version that `event` made, judged by the state before it.
#[must_use]
pub fn version_made(at: Timestamp, event: &Event, before: &Model) -> Option<VersionRecord> {
    let (version, run, cpu_seconds, standing) = match event {
        Event::CandidateTrained { run, candidate, cpu_seconds } => {
            (*candidate, *run, *cpu_seconds, Standing::Unproven)
        }
        Event::CandidateRefitted { run, parent, candidate, cpu_seconds } => {
            (*candidate, *run, *cpu_seconds, Standing::Refit { parent: *parent })
        }
        _ => return None,
    };
    let dataset = match before.phase().stage() {
        Some((Stage::Train { dataset, .. } | Stage::Refit { dataset, .. }, _)) => {
            Some(dataset.clone())
        }
        _ => None,
    };
    let role = Role::Candidate;
    Some(VersionRecord { version, run, trained_at: at, dataset, standing, role, cpu_seconds })
}

/// Roles that change with `event`: `(version, new role)`.
#[must_use]
pub fn roles_changed(before: &Model, after: &Model) -> Vec<(VersionId, Role)> {
    let mut changed = Vec::new();
    if before.champion() != after.champion() {
        changed.extend(before.champion().map(|version| (version, Role::Retired)));
        changed.extend(after.champion().map(|version| (version, Role::Champion)));
    }
    // A candidate whose run is over without promotion is retired.
    if before.phase().run().is_some() && after.phase().run().is_none() {
        let run_is_over = before.phase().candidate();
        changed.extend(
            run_is_over
                .filter(|version| after.champion() != Some(*version))
                .map(|version| (version, Role::Retired)),
        );
    }
    changed
}

/// What answers from now on, where `event` confirms a deployment.
#[must_use]
pub fn serving_changed(at: Timestamp, event: &Event, before: &Model) -> Option<ServingRecord> {
    let fence = before.fence();
    let run = before.phase().run();
    let (version, canary, why) = match (event, before.phase()) {
        (Event::DeploymentConfirmed { .. }, Phase::Deploying { candidate, percent, step, .. }) => {
            let cause = run.map_or("run", |run| run.cause.name());
            let why = format!("rollout step {} of a run caused by {cause}", step + 1);
            if *percent >= 100 {
                (Some(*candidate), None, why)
            } else {
                let canary = Canary { version: *candidate, percent: *percent };
                (before.champion(), Some(canary), why)
            }
        }
        (
            Event::RunEnded { reasons, outcome: Outcome::RolledBack, .. },
            Phase::RollingBack { .. },
        ) => {
            let why = reasons.first().map_or_else(String::new, |reason| reason.detail.clone());
            (before.champion(), None, format!("rolled back: {why}"))
        }
        (Event::OverrideConfirmed { version }, _) => {
            (Some(*version), None, "a person's override".to_owned())
        }
        _ => return None,
    };
    Some(ServingRecord { from: at, fence, version, canary, run: run.map(|run| run.id), why })
}
