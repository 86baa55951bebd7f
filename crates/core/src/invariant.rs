//! What must always hold, as predicates with ids; the simulator, tests and production share them.

use std::fmt;

use crate::blackout::first_free;
use crate::event::Event;
use crate::fleet::{Fleet, Limits};
use crate::gate;
use crate::id::{ModelName, VersionId};
use crate::input::Input;
use crate::model::{Deployment, Model, Phase};
use crate::policy::{Approval, Policy};
use crate::reason::Code;
use crate::signal::Mode;
use crate::time::Timestamp;

/// The invariants of DESIGN, by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// At most one run per model.
    R1,
    /// Nothing serves that did not pass its gate, its refit included, or an audited override.
    R2,
    /// When faults stop, owed work finishes.
    R3,
    /// At rest, what serves is the champion.
    R4,
    /// Folding the log gives the state.
    R5,
    /// Slots and budgets are never over-assigned.
    R6,
    /// The dataset of every version exists and verifies, or carries a tombstone.
    R7,
    /// Cooldown, blackout and approval are honoured.
    R8,
    /// A refused or broken input never changes state and is kept.
    R9,
}

/// An invariant that does not hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Broken {
    /// Which.
    pub invariant: Invariant,
    /// What was seen.
    pub detail: String,
}

impl fmt::Display for Broken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invariant {:?} does not hold: {}", self.invariant, self.detail)
    }
}

impl std::error::Error for Broken {}

fn broken<T>(invariant: Invariant, detail: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { invariant, detail: detail.into() })
}

/// What became of a version's dataset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DatasetStatus {
    /// It exists and verifies.
    Verified,
    /// It was removed on purpose, and says so.
    Tombstone,
    /// It is missing or changed.
    Damaged(String),
}

/// R1, R2, R8, R9 for one input: `events` were decided on `before` at `now`.
pub fn step(
    before: &Model,
    policy: &Policy,
    now: Timestamp,
    input: &Input,
    events: &[Event],
) -> Result<(), Broken> {
    let now = before.now(now);
    let mut model = before.clone();
    for event in events {
        started_alone(&model, event)?;
        only_passed_serves(&model, event)?;
        limits_are_honoured(&model, policy, now, input, event)?;
        model.apply(now, event);
    }
    Ok(())
}

/// R1.
fn started_alone(model: &Model, event: &Event) -> Result<(), Broken> {
    if let Event::RunQueued { run, .. } = event {
        if let Some(under_way) = model.phase().run() {
            return broken(
                Invariant::R1,
                format!("{} starts while {} is under way", run.id, under_way.id),
            );
        }
        if run.id != model.next_run {
            return broken(Invariant::R1, format!("{} is not the next run", run.id));
        }
    }
    let of_another = match (event, model.phase().run()) {
        (Event::CandidateTrained { run, .. } | Event::CandidateJudged { run, .. }, Some(own)) => {
            *run != own.id
        }
        _ => false,
    };
    if of_another {
        return broken(Invariant::R1, "an answer of another run was accepted");
    }
    Ok(())
}

/// R2, and that the fence rises with every deployment.
fn only_passed_serves(model: &Model, event: &Event) -> Result<(), Broken> {
    let fence = match event {
        Event::DeploymentStarted { candidate, fence, .. } => {
            if !model.has_passed(*candidate) {
                return broken(Invariant::R2, format!("{candidate} did not pass its gate"));
            }
            *fence
        }
        Event::OverrideStarted { to, fence, mode, .. } => {
            if *mode == Mode::Obey && !model.has_passed(*to) {
                return broken(Invariant::R2, format!("{to} did not pass its gate"));
            }
            *fence
        }
        Event::RollbackStarted { fence, to, .. } => {
            if *to != model.champion() {
                return broken(Invariant::R4, "a rollback does not lead to the champion");
            }
            *fence
        }
        Event::CandidateJudged { verdict: gate::Verdict::Pass, evidence, candidate, .. } => {
            let failed = |check: &gate::Check| check.result == gate::CheckResult::Failed;
            if let Some(check) = evidence.checks.iter().find(|check| failed(check)) {
                let name = &check.name;
                return broken(Invariant::R2, format!("{candidate} passed but failed {name}"));
            }
            return Ok(());
        }
        _ => return Ok(()),
    };
    if fence <= model.fence() {
        return broken(Invariant::R4, "a deployment does not raise the fence");
    }
    Ok(())
}

/// R8.
fn limits_are_honoured(
    model: &Model,
    policy: &Policy,
    now: Timestamp,
    input: &Input,
    event: &Event,
) -> Result<(), Broken> {
    let blacked_out = now < first_free(&policy.blackouts, now);
    match event {
        Event::RunQueued { run, reasons } => {
            let forced = match input {
                Input::Signal(signal) => {
                    signal.request().is_some_and(|request| request.mode == Mode::Force)
                }
                _ => false,
            };
            if forced {
                return Ok(());
            }
            if let Phase::Idle { not_before } = model.phase()
                && now < *not_before
            {
                return broken(Invariant::R8, format!("{} starts before {not_before}", run.id));
            }
            if blacked_out {
                return broken(Invariant::R8, format!("{} starts in a blackout", run.id));
            }
            if run.priority < policy.priority_min {
                return broken(Invariant::R8, format!("{} is not urgent enough", run.id));
            }
            if reasons.is_empty() || reasons.iter().any(|reason| reason.code == Code::CoolingDown) {
                return broken(Invariant::R8, format!("{} starts without a reason", run.id));
            }
            Ok(())
        }
        Event::DeploymentStarted { step: 0, run, .. } if blacked_out => {
            broken(Invariant::R8, format!("the rollout of {run} begins in a blackout"))
        }
        Event::DeploymentStarted { step: 0, run, .. }
            if policy.approval == Approval::Person
                && matches!(model.phase(), Phase::Working { .. }) =>
        {
            broken(Invariant::R8, format!("the rollout of {run} begins without approval"))
        }
        _ => Ok(()),
    }
}

/// R4: `serving` is what the serving side really does.
pub fn at_rest(model: &Model, serving: Option<&Deployment>) -> Result<(), Broken> {
    if !matches!(model.phase(), Phase::Idle { .. }) {
        return Ok(());
    }
    let serves = serving.and_then(|deployment| deployment.version);
    let canary = serving.and_then(|deployment| deployment.canary);
    if serves != model.champion() || canary.is_some() {
        return broken(
            Invariant::R4,
            format!("{:?} serves, the champion is {:?}", serves, model.champion()),
        );
    }
    Ok(())
}

/// R3: nothing is owed or waits for slots.
pub fn finished(model: &Model) -> Result<(), Broken> {
    match model.phase() {
        Phase::Idle { .. } => Ok(()),
        phase => broken(Invariant::R3, format!("{} is still {}", model.name(), phase.name())),
    }
}

/// R5.
pub fn fold_is_state<'a>(
    name: &ModelName,
    log: impl IntoIterator<Item = &'a (Timestamp, Event)>,
    state: &Model,
) -> Result<(), Broken> {
    let mut folded = Model::new(name.clone());
    for (at, event) in log {
        folded.apply(*at, event);
    }
    if folded != *state {
        return broken(Invariant::R5, format!("the log of {name} folds to another state"));
    }
    Ok(())
}

/// R6: what runs fits the machine; nothing was started that a budget did not cover.
pub fn fleet_within(fleet: &Fleet, limits: &Limits, now: Timestamp) -> Result<(), Broken> {
    if !fleet.occupied().fits(limits.slots) {
        return broken(Invariant::R6, format!("{:?} are taken", fleet.occupied()));
    }
    for (model, budget) in &limits.budgets {
        let reserved = fleet.reserved(Some(model));
        let committed = fleet.committed(Some(model), budget.per, now);
        if 0.0 < reserved && budget.cpu_seconds < committed {
            return broken(Invariant::R6, format!("{model} commits {committed} CPU seconds"));
        }
    }
    if let Some(budget) = &limits.total {
        let committed = fleet.committed(None, budget.per, now);
        if 0.0 < fleet.reserved(None) && budget.cpu_seconds < committed {
            return broken(Invariant::R6, format!("all models commit {committed} CPU seconds"));
        }
    }
    Ok(())
}

/// R6: exactly the runs that compute hold slots.
pub fn slots_match<'a>(
    fleet: &Fleet,
    models: impl IntoIterator<Item = &'a Model>,
) -> Result<(), Broken> {
    let computing = models
        .into_iter()
        .filter_map(|model| model.holds_slots().map(|run| (model.name(), run)))
        .collect::<std::collections::BTreeSet<_>>();
    let holding = fleet.running().collect::<std::collections::BTreeSet<_>>();
    if computing != holding {
        return broken(Invariant::R6, format!("{computing:?} compute, {holding:?} hold slots"));
    }
    Ok(())
}

/// R7.
pub fn datasets_exist<'a>(
    datasets: impl IntoIterator<Item = (VersionId, &'a DatasetStatus)>,
) -> Result<(), Broken> {
    for (version, status) in datasets {
        if let DatasetStatus::Damaged(what) = status {
            return broken(Invariant::R7, format!("the dataset of {version} is damaged: {what}"));
        }
    }
    Ok(())
}

/// R9: an input that was refused changed nothing but the noted policy.
pub fn refused_changes_nothing(decided: &crate::decision::Decided) -> Result<(), Broken> {
    let refused = decided
        .decision
        .as_ref()
        .is_some_and(|decision| decision.action == crate::decision::Act::Refuse);
    let only_policy =
        decided.events.iter().all(|event| matches!(event, Event::PolicyChanged { .. }));
    if refused && !only_policy {
        return broken(Invariant::R9, "a refused input changed the state");
    }
    Ok(())
}
