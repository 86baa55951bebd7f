//! What must hold after each step, from what the world knows and the core's own predicates.

use std::fmt::{self, Write as _};

use afresh_core::decide::Rules;
use afresh_core::decision::{Act, Decided, Decision};
use afresh_core::event::{Event, Outcome};
use afresh_core::fleet::{Fleet, FleetEvent};
use afresh_core::gate::{self, CheckResult, Evidence, Proof, Verdict};
use afresh_core::input::Input;
use afresh_core::invariant::{self, Broken, DatasetStatus, Invariant};
use afresh_core::model::{Model, Phase};
use afresh_core::policy::{Approval, CatchUp, DependsOnPast, Policy};
use afresh_core::signal::{Mode, Priority, Request, Signal};
use afresh_core::time::Timestamp;

use super::site::{Account, Site};
use super::world::World;

/// Order-sensitive hash (FNV-1a) of what is added.
#[derive(Debug)]
pub(super) struct Digest(u64);

pub(super) fn broken<T>(invariant: Invariant, detail: impl Into<String>) -> Result<T, Broken> {
    Err(Broken { invariant, detail: detail.into() })
}

/// Runs started so far.
pub(super) fn runs(site: &Site) -> usize {
    site.log.iter().filter(|(_, event)| matches!(event, Event::RunQueued { .. })).count()
}

pub(super) fn forced_request() -> Input {
    Input::Signal(Signal::Manual(Request {
        by: "ana".to_owned(),
        reason: "are you there".to_owned(),
        priority: Priority::HIGHEST,
        mode: Mode::Force,
    }))
}

pub(super) fn is_answer(input: &Input) -> bool {
    matches!(
        input,
        Input::Prepared { .. }
            | Input::Trained { .. }
            | Input::Judged { .. }
            | Input::Refitted { .. }
            | Input::Serving { .. }
    )
}

/// R9: every signal gets its decision, and a number that is none is refused.
pub(super) fn refusal(input: &Input, decided: &Decided) -> Result<(), Broken> {
    let Input::Signal(signal) = input else { return Ok(()) };
    let Some(decision) = &decided.decision else {
        return broken(Invariant::R9, "a signal was dropped without a decision");
    };
    let finite = match signal {
        Signal::Drift { score, .. } => score.is_finite(),
        Signal::Decay(decay) => decay.drop.is_finite(),
        Signal::Advice(advice) => {
            [advice.gain, advice.cost].into_iter().flatten().all(f64::is_finite)
        }
        Signal::Volume { .. }
        | Signal::Labels { .. }
        | Signal::Data { .. }
        | Signal::Manual(_)
        | Signal::Outside(_) => true,
    };
    if finite != (decision.action != Act::Refuse) {
        return broken(Invariant::R9, format!("{signal:?} became {:?}", decision.action));
    }
    Ok(())
}

/// R2: what does harm is taken back at once, whatever share it answers.
pub(super) fn harm(
    model: &Model,
    policy: &Policy,
    input: &Input,
    decided: &Decided,
) -> Result<(), Broken> {
    let Input::Watched(watch) = input else { return Ok(()) };
    let serves = matches!(
        model.phase(),
        Phase::Deploying { .. } | Phase::Holding { .. } | Phase::Probation { .. }
    ) && model.phase().candidate() == Some(watch.version);
    let probation = &policy.probation;
    let harms = !watch.e_value.is_nan()
        && (1.0 / probation.alpha <= watch.e_value || probation.error_rate_max < watch.error_rate);
    let taken_back =
        decided.events.iter().any(|event| matches!(event, Event::RollbackStarted { .. }));
    if serves && harms && !taken_back {
        return broken(Invariant::R2, format!("{} does harm and goes on", watch.version));
    }
    Ok(())
}

/// R9: every decision says which rules it obeyed, and why.
pub(super) fn cites(decision: &Decision, rules: &Rules) -> Result<(), Broken> {
    if decision.policy != rules.hash() || decision.reasons.is_empty() {
        return broken(Invariant::R9, format!("{decision:?} cites no rules or no reason"));
    }
    Ok(())
}

/// R9: `joined` is the row that took `decision` in, if one did.
pub(super) fn recorded(joined: Option<&Decision>, decision: &Decision) -> Result<(), Broken> {
    let Some(row) = joined else { return Ok(()) };
    let alike = row.cause == decision.cause
        && row.policy == decision.policy
        && row.action == Act::Keep
        && decision.action == Act::Keep
        && row.by.is_none()
        && decision.by.is_none();
    if !alike {
        return broken(Invariant::R9, "a decision vanished in the row of another");
    }
    Ok(())
}

/// Checks one fact against what the world knows, and notes what it makes true.
pub(super) fn before_fact(
    site: &mut Site,
    policy: &Policy,
    now: Timestamp,
    input: &Input,
    event: &Event,
) -> Result<(), Broken> {
    let phase = site.model.phase();
    let truth = &mut site.truth;
    truth.reported_cpu_seconds += event.cpu_seconds();
    match (event, input) {
        (Event::RunQueued { run, .. }, _) => {
            let forced = matches!(
                input,
                Input::Signal(
                    Signal::Manual(Request { mode: Mode::Force, .. })
                        | Signal::Outside(Request { mode: Mode::Force, .. })
                )
            );
            if !forced && truth.not_before.is_some_and(|not_before| now < not_before) {
                return broken(Invariant::R8, format!("{} starts in a cooldown", run.id));
            }
        }
        (Event::DatasetPrepared { dataset, .. }, _) if !truth.datasets.contains_key(dataset) => {
            return broken(Invariant::R7, format!("{} does not exist", dataset.0));
        }
        (Event::StageStarted { stage, deadline, .. }, _) => {
            truth.deadline = Some(*deadline);
            if *deadline != now.after(stage.limit(&policy.limits)) {
                return broken(Invariant::R3, format!("{} has another time limit", stage.name()));
            }
        }
        (
            Event::CandidateJudged { candidate, verdict, judgement, .. },
            Input::Judged { result, .. },
        ) => {
            let Ok(evidence) = result.as_ref() else {
                return broken(Invariant::R2, "a failed comparison became a verdict");
            };
            let champion = site.model.champion().is_some();
            let mut expected = expected(evidence, champion, &policy.gate);
            if expected == Verdict::Inconclusive && policy.rejudge.times <= *judgement {
                expected = Verdict::Reject;
            }
            if *verdict != expected {
                return broken(
                    Invariant::R2,
                    format!("{candidate}: {verdict:?}, not {expected:?}"),
                );
            }
            if *verdict == Verdict::Pass {
                truth.may_serve.insert(*candidate);
            }
        }
        (
            Event::CandidateRefitted { parent, candidate, .. },
            Input::Refitted { result: Ok(refitted), .. },
        ) => {
            let sound = refitted.checks.iter().all(|check| check.result == CheckResult::Passed);
            if !sound || !truth.may_serve.contains(parent) {
                return broken(Invariant::R2, format!("{candidate} is a refit of nothing sound"));
            }
            truth.may_serve.insert(*candidate);
        }
        (Event::OverrideStarted { to, mode: Mode::Force, .. }, _) => {
            truth.may_serve.insert(*to);
        }
        (Event::Approved { run, .. }, Input::Approve { run: of, .. }) if run == of => {
            truth.approved.insert(*run);
        }
        (Event::DeploymentStarted { run, step: 0, .. }, _)
            if policy.approval == Approval::Person
                && !matches!(phase, Phase::Held { .. })
                && !truth.approved.contains(run) =>
        {
            return broken(Invariant::R8, format!("nobody approved {run}"));
        }
        (Event::RunEnded { outcome, run, .. }, _) => {
            truth.not_before = Some(now.after(policy.cooldown));
            if let Phase::Probation { candidate, labels_needed, .. } = phase
                && *outcome == Outcome::Promoted
                && truth.labels.get(candidate).copied().unwrap_or(0) < *labels_needed
            {
                return broken(Invariant::R2, format!("{run} is promoted without labels"));
            }
        }
        _ => {}
    }
    Ok(())
}

/// Times that were decided stay as they were decided.
pub(super) fn after_fact(site: &Site, event: &Event) -> Result<(), Broken> {
    match (site.model.phase(), event) {
        (Phase::Working { deadline, .. }, _) if site.truth.deadline != Some(*deadline) => {
            broken(Invariant::R3, "a time limit was changed afterwards")
        }
        (Phase::Idle { not_before }, _)
            if site.truth.not_before.is_some_and(|promised| promised != *not_before) =>
        {
            broken(Invariant::R8, "a cooldown was changed afterwards")
        }
        _ => Ok(()),
    }
}

/// R4 and R7 for one model.
pub(super) fn site(site: &Site) -> Result<(), Broken> {
    invariant::at_rest(&site.model, site.serving.taken.as_ref())?;
    let missing = DatasetStatus::Damaged("it does not exist".to_owned());
    let datasets = site.model.standings().keys().map(|version| {
        let dataset = site.truth.trained_on.get(version);
        let status = dataset.and_then(|dataset| site.truth.datasets.get(dataset));
        (*version, status.unwrap_or(&missing))
    });
    invariant::datasets_exist(datasets)
}

/// R2, at the very end of the chain: what the serving side took.
pub(super) fn serving(site: &Site) -> Result<(), Broken> {
    let Some(taken) = site.serving.taken else { return Ok(()) };
    let canary = taken.canary.map(|canary| canary.version);
    for version in taken.version.into_iter().chain(canary) {
        if !site.truth.may_serve.contains(&version) {
            return broken(Invariant::R2, format!("{version} serves but never passed"));
        }
    }
    Ok(())
}

/// R6: every accepted answer's cost reaches the fleet exactly once.
pub(super) fn charge(site: &mut Site, released: &FleetEvent) -> Result<(), Broken> {
    let truth = &mut site.truth;
    if let FleetEvent::Released { cpu_seconds, .. } = released {
        truth.charged_cpu_seconds += cpu_seconds;
    }
    let (charged, reported) = (truth.charged_cpu_seconds, truth.reported_cpu_seconds);
    if 1e-6 < (charged - reported).abs() {
        return broken(Invariant::R6, format!("{charged} CPU seconds charged of {reported}"));
    }
    Ok(())
}

/// R6: the fleet counts what was charged, once.
pub(super) fn spending(world: &World<'_>) -> Result<(), Broken> {
    for site in &world.sites {
        let name = Some(site.model.name());
        let committed = world.fleet.committed(name, Fleet::BUDGET_MAX, world.clock());
        let spent = committed - world.fleet.reserved(name);
        let charged = site.truth.charged_cpu_seconds;
        if 1e-6 < (spent - charged).abs() {
            let words = format!("{spent} CPU seconds counted, {charged} were spent");
            return broken(Invariant::R6, words);
        }
    }
    Ok(())
}

/// R3: a schedule that catches up on everything loses nothing and invents nothing.
pub(super) fn schedule(site: &mut Site, policy: &Policy, events: &[Event]) -> Result<(), Broken> {
    let changed = events.iter().any(|event| matches!(event, Event::PolicyChanged { .. }));
    let state = site.model.schedule();
    let schedule = policy.schedule.as_ref().filter(|of| of.catch_up == CatchUp::All);
    let (Some(schedule), Some(handled), false) = (schedule, state.handled, changed) else {
        site.truth.schedule = None;
        return Ok(());
    };
    let Some(account) = &mut site.truth.schedule else {
        site.truth.schedule = Some(Account { from: handled, pending: state.pending });
        return Ok(());
    };
    let advanced = events.iter().any(|event| matches!(event, Event::ScheduleAdvanced { .. }));
    if !advanced {
        return Ok(());
    }
    let started = u32::from(events.iter().any(|event| matches!(event, Event::RunQueued { .. })));
    let name = site.model.name().as_str();
    let fired = schedule.cadence.due(account.from, handled, name, 100_000);
    let fired = fired.map_or(0, |(count, _)| count);
    if account.pending + fired != started + state.pending {
        let words = format!(
            "{} scheduled runs were due and {fired} more, {started} started and {} wait",
            account.pending, state.pending
        );
        return broken(Invariant::R3, words);
    }
    *account = Account { from: handled, pending: state.pending };
    Ok(())
}

/// R3: after a tick nothing of the schedule is overdue, and what waits will be woken.
pub(super) fn after_tick(model: &Model, policy: &Policy, clock: Timestamp) -> Result<(), Broken> {
    let Some(schedule) = &policy.schedule else { return Ok(()) };
    let state = model.schedule();
    let now = model.now(clock);
    let Some(handled) = state.handled else {
        return broken(Invariant::R3, "nobody looked at the schedule");
    };
    let name = model.name().as_str();
    if schedule.cadence.next(handled, name).is_some_and(|next| next <= now) {
        return broken(Invariant::R3, "a due time of the schedule was overlooked");
    }
    let held = state.broken && schedule.depends_on_past == DependsOnPast::Yes;
    let may_start = 0 < state.pending
        && schedule.catch_up != CatchUp::Skip
        && policy.priority_min <= Priority::DEFAULT
        && policy.blackouts.is_empty()
        && !held;
    if let Phase::Idle { not_before } = model.phase()
        && may_start
    {
        let woken = model.next_wakeup(policy).is_some_and(|wakeup| wakeup <= *not_before);
        if *not_before <= now || !woken {
            return broken(Invariant::R3, "a scheduled run waits for nothing");
        }
    }
    Ok(())
}

/// What the gate has to say, told independently of the gate: the simulated evidence is clear.
fn expected(evidence: &Evidence, champion: bool, rule: &gate::Rule) -> Verdict {
    let failed = evidence.checks.iter().any(|check| check.result == CheckResult::Failed);
    let Some(metric) = evidence.candidate.filter(|metric| metric.is_finite() && !failed) else {
        return Verdict::Reject;
    };
    if matches!(rule.at_least, Some(gate::Bound::Above(limit)) if metric < limit) {
        return Verdict::Reject;
    }
    match evidence.comparison {
        None if champion => Verdict::Reject,
        None => Verdict::Pass,
        Some(comparison) if 0.04 < comparison.difference => Verdict::Pass,
        Some(comparison) if comparison.difference < -0.1 => Verdict::Reject,
        Some(_) if rule.proof == Proof::Point => Verdict::Reject,
        Some(_) => Verdict::Inconclusive,
    }
}

impl Default for Digest {
    fn default() -> Digest {
        Digest(0xCBF2_9CE4_8422_2325)
    }
}

impl Digest {
    pub(super) fn add(&mut self, what: &impl fmt::Debug) {
        let written = write!(self, "{what:?}");
        debug_assert!(written.is_ok(), "hashing cannot fail");
    }

    pub(super) fn value(&self) -> u64 {
        self.0
    }
}

impl fmt::Write for Digest {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for byte in text.bytes() {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01B3);
        }
        Ok(())
    }
}
