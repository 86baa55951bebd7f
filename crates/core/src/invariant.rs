//! What must always hold, as predicates with ids; the simulator, tests and production share them.

#![expect(clippy::wildcard_enum_match_arm, reason = "a predicate names only what it concerns")]

use std::fmt;

use crate::event::{Event, Outcome, Stage};
use crate::fleet::{Fleet, Limits, Owed};
use crate::gate;
use crate::id::{ModelName, VersionId};
use crate::input::Input;
use crate::model::{Deployment, Model, Phase};
use crate::policy::{Approval, Policy};
use crate::reason::Code;
use crate::signal::{Mode, Strategy};
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
    if events.iter().any(|event| !matches!(event, Event::PolicyChanged { .. })) {
        asked_for(before, input)?;
    }
    let mut model = before.clone();
    for event in events {
        started_alone(&model, event)?;
        only_passed_serves(&model, input, event)?;
        limits_are_honoured(&model, policy, now, input, event)?;
        watched_long_enough(&model, now, event)?;
        model.apply(now, event);
    }
    Ok(())
}

/// R1 and R4: only what belongs to the run and the question under way may change anything.
fn asked_for(model: &Model, input: &Input) -> Result<(), Broken> {
    let run = match input {
        Input::Admitted { run }
        | Input::Preempted { run }
        | Input::Prepared { run, .. }
        | Input::Trained { run, .. }
        | Input::Judged { run, .. }
        | Input::Refitted { run, .. }
        | Input::Approve { run, .. }
        | Input::Decline { run, .. }
        | Input::Cancel { run, .. } => *run,
        Input::Serving { fence } if *fence != model.fence() => {
            return broken(Invariant::R4, "an older deployment's confirmation was accepted");
        }
        Input::Serving { .. }
        | Input::Signal(_)
        | Input::Tick
        | Input::Watched(_)
        | Input::Override { .. } => return Ok(()),
    };
    if model.phase().run().is_none_or(|under_way| under_way.id != run) {
        return broken(Invariant::R1, format!("an answer of {run}, which is over, was accepted"));
    }
    let of_another_candidate = match (input, model.phase().stage()) {
        (Input::Trained { candidate: of, .. }, Some((Stage::Train { candidate, .. }, _)))
        | (Input::Refitted { candidate: of, .. }, Some((Stage::Refit { candidate, .. }, _))) => {
            of != candidate
        }
        (
            Input::Judged { candidate: of, judgement: number, .. },
            Some((Stage::Judge { candidate, judgement, .. }, _)),
        ) => of != candidate || number != judgement,
        (Input::Prepared { .. }, Some((Stage::Prepare, _))) => false,
        (
            Input::Prepared { .. }
            | Input::Trained { .. }
            | Input::Judged { .. }
            | Input::Refitted { .. },
            _,
        ) => true,
        _ => false,
    };
    if of_another_candidate {
        return broken(Invariant::R1, "an answer to another question was accepted");
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
    Ok(())
}

/// R2, and that the fence rises with every deployment.
fn only_passed_serves(model: &Model, input: &Input, event: &Event) -> Result<(), Broken> {
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
            if model.champion().is_some() && evidence.comparison.is_none() {
                return broken(Invariant::R2, format!("{candidate} passed without a comparison"));
            }
            return checks_passed(*candidate, &evidence.checks);
        }
        Event::CandidateRefitted { candidate, .. } => {
            return match input {
                Input::Refitted { result: Ok(refitted), .. } => {
                    checks_passed(*candidate, &refitted.checks)
                }
                _ => broken(Invariant::R2, format!("{candidate} was refitted by nobody")),
            };
        }
        _ => return Ok(()),
    };
    if fence <= model.fence() {
        return broken(Invariant::R4, "a deployment does not raise the fence");
    }
    Ok(())
}

/// R2.
fn checks_passed(candidate: VersionId, checks: &[gate::Check]) -> Result<(), Broken> {
    let failed = |check: &&gate::Check| check.result == gate::CheckResult::Failed;
    match checks.iter().find(failed) {
        Some(check) => {
            broken(Invariant::R2, format!("{candidate} passed but failed {}", check.name))
        }
        None => Ok(()),
    }
}

/// R2: a version is called proven by labels and time, unproven by time alone.
fn watched_long_enough(model: &Model, now: Timestamp, event: &Event) -> Result<(), Broken> {
    let Event::RunEnded { run, outcome, .. } = event else { return Ok(()) };
    if !outcome.promotes() {
        return Ok(());
    }
    let long_enough = match model.phase() {
        Phase::Probation { earliest, labels, labels_needed, .. }
            if *outcome == Outcome::Promoted =>
        {
            *earliest <= now && labels_needed <= labels
        }
        Phase::Probation { latest, .. } => *latest <= now,
        _ => false,
    };
    if !long_enough {
        return broken(Invariant::R2, format!("{run} is {} too early", outcome.name()));
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
    let blacked_out = || policy.blackouts.iter().any(|blackout| blackout.covers(now));
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
            if blacked_out() {
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
        Event::DeploymentStarted { step: 0, run, .. } if blacked_out() => {
            broken(Invariant::R8, format!("the rollout of {run} begins in a blackout"))
        }
        Event::DeploymentStarted { step: 0, run, .. }
            if policy.approval == Approval::Person && model.phase().stage().is_some() =>
        {
            broken(Invariant::R8, format!("the rollout of {run} begins without approval"))
        }
        Event::RunEnded { run, not_before, .. } if *not_before < now.after(policy.cooldown) => {
            broken(Invariant::R8, format!("{run} ends without a cooldown"))
        }
        Event::StageFailed { run, .. }
            if model.phase().stage().is_some_and(|(_, attempt)| policy.retry.times <= attempt) =>
        {
            broken(Invariant::R3, format!("{run} repeats a step more often than allowed"))
        }
        Event::RunMadeFull { run, .. }
            if model.phase().run().is_some_and(|run| run.strategy != Strategy::Incremental) =>
        {
            broken(Invariant::R3, format!("{run} starts over though it continues nothing"))
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

/// R6: what runs fits the machine.
pub fn fleet_within(fleet: &Fleet, limits: &Limits) -> Result<(), Broken> {
    if !fleet.occupied().fits(limits.slots) {
        return broken(Invariant::R6, format!("{:?} are taken", fleet.occupied()));
    }
    Ok(())
}

/// R6: the budgets covered `owed` when it started; `fleet` is the state just before. What a run
/// really spends may exceed its estimate: then the next one waits.
pub fn start_is_covered(
    fleet: &Fleet,
    limits: &Limits,
    owed: &Owed,
    now: Timestamp,
) -> Result<(), Broken> {
    let own = limits.budgets.get(&owed.model).map(|budget| (Some(&owed.model), budget));
    let all = limits.total.as_ref().map(|budget| (None, budget));
    for (model, budget) in own.into_iter().chain(all) {
        let committed = fleet.committed(model, budget.per, now) + owed.estimate_cpu_seconds;
        if budget.cpu_seconds < committed {
            let (of, run) = (&owed.model, owed.run);
            let words = format!("{run} of {of} starts, which commits {committed} CPU seconds");
            return broken(Invariant::R6, words);
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
