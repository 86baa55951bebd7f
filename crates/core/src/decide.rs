//! What an input means now. One flat table; each row's rule stands in a file below.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "what a rule does not name means nothing to it"
)]

mod answer;
mod rollout;
mod schedule;
mod start;

use crate::decision::{Act, Decided, Decision};
use crate::event::{Event, Outcome, Run, Stage};
use crate::id::{Fence, PolicyHash, VersionId};
use crate::input::Input;
use crate::model::{Model, Phase};
use crate::policy::Policy;
use crate::reason::{Code, Reason};
use crate::signal::{Cause, Mode};
use crate::time::Timestamp;

/// A policy and its hash, computed once.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    policy: Policy,
    hash: PolicyHash,
}

impl Rules {
    /// Seals `policy`.
    #[must_use]
    pub fn new(policy: Policy) -> Rules {
        let hash = policy.hash();
        Rules { policy, hash }
    }

    /// The rules.
    #[must_use]
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Their hash.
    #[must_use]
    pub fn hash(&self) -> PolicyHash {
        self.hash
    }
}

impl Model {
    /// Decides what `input` means now. An answer to a run that is over means nothing. Time never
    /// runs backwards: an earlier `now` counts as the time of the last fact.
    #[must_use]
    pub fn decide(&self, rules: &Rules, now: Timestamp, input: &Input) -> Decided {
        let now = self.now(now);
        let turn = Turn { model: self, rules, policy: &rules.policy, now };
        let mut decided = turn.decide(input);
        if self.policy != Some(rules.hash) {
            decided.events.insert(0, Event::PolicyChanged { hash: rules.hash });
        }
        decided
    }

    /// `now`, or the time of the last fact where that is later.
    #[must_use]
    pub fn now(&self, now: Timestamp) -> Timestamp {
        now.max(self.last)
    }
}

/// What every rule looks at.
#[derive(Clone, Copy)]
struct Turn<'a> {
    model: &'a Model,
    rules: &'a Rules,
    policy: &'a Policy,
    now: Timestamp,
}

impl Turn<'_> {
    fn decide(self, input: &Input) -> Decided {
        let phase = &self.model.phase;
        match (phase, input) {
            (_, Input::Signal(signal)) => self.signal(signal),
            (_, Input::Tick) => self.tick(),
            (Phase::Queued { run, stage, attempt, .. }, Input::Admitted { run: of })
                if *of == run.id =>
            {
                self.only(vec![self.start_stage(run, stage.clone(), *attempt)])
            }
            (Phase::Working { run, .. }, Input::Preempted { run: of }) if *of == run.id => {
                let reason = Reason::new(Code::Preempted, "a more urgent run needed the slots");
                self.note(vec![Event::RunPreempted { run: run.id }], Act::Wait, run, vec![reason])
            }
            (_, Input::Prepared { run, result }) => self.prepared(*run, result),
            (_, Input::Trained { run, candidate, result }) => {
                self.trained(*run, *candidate, result)
            }
            (_, Input::Judged { run, candidate, judgement, result }) => {
                self.judged(*run, *candidate, *judgement, result)
            }
            (_, Input::Refitted { run, candidate, result }) => {
                self.refitted(*run, *candidate, result)
            }
            (_, Input::Serving { fence }) => self.serving(*fence),
            (_, Input::Watched(watch)) => self.watched(watch),
            (Phase::AwaitingApproval { run, candidate }, Input::Approve { run: of, by })
                if *of == run.id =>
            {
                let reason = Reason::new(Code::Approved, format!("approved by {by}"));
                let mut events = vec![Event::Approved { run: run.id, by: by.clone() }];
                events.push(self.roll_out(run, *candidate));
                self.note_by(events, Act::RollOut, run, vec![reason], by)
            }
            (Phase::AwaitingApproval { run, .. }, Input::Decline { run: of, by })
                if *of == run.id =>
            {
                let reason = Reason::new(Code::Declined, format!("declined by {by}"));
                let events = vec![self.end(run, Outcome::Rejected, vec![reason.clone()])];
                self.note_by(events, Act::Reject, run, vec![reason], by)
            }
            (_, Input::Cancel { run, by }) => self.cancel(*run, by),
            (_, Input::Override { to, by, reason, mode }) => {
                self.override_serving(*to, by, reason, *mode)
            }
            // Answers to a question that nobody asks any more.
            _ => Decided::default(),
        }
    }

    fn tick(self) -> Decided {
        let mut decided = self.tick_phase();
        // The schedule looks at the state before this tick: what a tick ends, the next may start.
        let due = self.tick_schedule();
        decided.events.extend(due.events);
        decided.decision = decided.decision.or(due.decision);
        decided
    }

    fn tick_phase(self) -> Decided {
        match &self.model.phase {
            Phase::Working { run, deadline, .. } if *deadline <= self.now => self.overdue(run),
            Phase::Backoff { run, stage, attempt, retry_at } if *retry_at <= self.now => {
                self.only(vec![self.queue_stage(run, stage.clone(), *attempt)])
            }
            Phase::Waiting { run, dataset, candidate, judgement, rejudge_at }
                if *rejudge_at <= self.now =>
            {
                let (dataset, candidate) = (dataset.clone(), *candidate);
                let stage = Stage::Judge { dataset, candidate, judgement: *judgement };
                self.only(vec![self.queue_stage(run, stage, 0)])
            }
            Phase::Held { run, candidate, until } if *until <= self.now => {
                self.only(vec![self.roll_out(run, *candidate)])
            }
            Phase::Deploying { run, deadline, .. } if *deadline <= self.now => {
                // The candidate may already serve: taking it back is the only safe way out.
                let words = "the serving side did not confirm the deployment in time";
                self.roll_back(run, vec![Reason::new(Code::TimedOut, words)])
            }
            Phase::Holding { run, candidate, step, percent, until } if *until <= self.now => {
                self.only(vec![self.next_step(run, *candidate, *step, *percent)])
            }
            Phase::Probation { .. } => self.probation_over(),
            _ => Decided::default(),
        }
    }

    fn cancel(self, of: crate::id::RunId, by: &str) -> Decided {
        let Some(run) = self.model.phase.run().filter(|run| run.id == of) else {
            return Decided::default();
        };
        let reason = Reason::new(Code::Cancelled, format!("cancelled by {by}"));
        match &self.model.phase {
            Phase::Deploying { .. } | Phase::Holding { .. } | Phase::Probation { .. } => {
                let mut decided = self.roll_back(&run, vec![reason]);
                if let Some(decision) = &mut decided.decision {
                    decision.by = Some(by.to_owned());
                }
                decided
            }
            Phase::RollingBack { .. } => Decided::default(),
            _ => {
                let events = vec![self.end(&run, Outcome::Cancelled, vec![reason.clone()])];
                self.note_by(events, Act::Abandon, &run, vec![reason], by)
            }
        }
    }

    fn override_serving(self, to: VersionId, by: &str, why: &str, mode: Mode) -> Decided {
        let run = self.model.phase.run();
        let decision = |action, reasons| Decision {
            action,
            cause: Cause::Manual,
            reasons,
            policy: self.rules.hash,
            run: run.map(|run| run.id),
            by: Some(by.to_owned()),
        };
        let known = self.model.standings.contains_key(&to);
        if !known || (mode == Mode::Obey && !self.model.has_passed(to)) {
            let words = if known {
                format!("{to} did not pass its gate: force it if it must serve all the same")
            } else {
                format!("there is no version {to}")
            };
            let reason = Reason::new(Code::HardCheckFailed, words);
            return Decided { events: vec![], decision: Some(decision(Act::Refuse, vec![reason])) };
        }
        let reason = Reason::new(Code::Overridden, format!("{by} set {to}: {why}"));
        let mut events = Vec::new();
        if let Some(run) = run {
            let served = matches!(
                self.model.phase,
                Phase::Deploying { .. }
                    | Phase::Holding { .. }
                    | Phase::Probation { .. }
                    | Phase::RollingBack { .. }
            );
            let outcome = if served { Outcome::RolledBack } else { Outcome::Cancelled };
            events.push(self.end(&run, outcome, vec![reason.clone()]));
        }
        events.push(Event::OverrideStarted {
            to,
            fence: self.next_fence(),
            by: by.to_owned(),
            reason: why.to_owned(),
            mode,
        });
        Decided { events, decision: Some(decision(Act::Override, vec![reason])) }
    }

    fn next_fence(self) -> Fence {
        Fence(self.model.fence.0 + 1)
    }

    /// A step that starts at once: its run holds slots.
    fn start_stage(self, run: &Run, stage: Stage, attempt: u32) -> Event {
        let deadline = self.now.after(stage.limit(&self.policy.limits));
        Event::StageStarted { run: run.id, stage, attempt, deadline }
    }

    /// A step that waits for slots.
    #[expect(clippy::unused_self, reason = "reads like its sibling")]
    fn queue_stage(self, run: &Run, stage: Stage, attempt: u32) -> Event {
        Event::StageQueued { run: run.id, stage, attempt }
    }

    fn end(self, run: &Run, outcome: Outcome, reasons: Vec<Reason>) -> Event {
        let not_before = self.now.after(self.policy.cooldown);
        Event::RunEnded { run: run.id, outcome, not_before, cpu_seconds: 0.0, reasons }
    }

    #[expect(clippy::unused_self, reason = "reads like its siblings")]
    fn only(self, events: Vec<Event>) -> Decided {
        Decided { events, decision: None }
    }

    fn note(self, events: Vec<Event>, action: Act, run: &Run, reasons: Vec<Reason>) -> Decided {
        let decision = Decision {
            action,
            cause: run.cause,
            reasons,
            policy: self.rules.hash,
            run: Some(run.id),
            by: None,
        };
        Decided { events, decision: Some(decision) }
    }

    fn note_by(
        self,
        events: Vec<Event>,
        action: Act,
        run: &Run,
        reasons: Vec<Reason>,
        by: &str,
    ) -> Decided {
        let mut decided = self.note(events, action, run, reasons);
        if let Some(decision) = &mut decided.decision {
            decision.by = Some(by.to_owned());
        }
        decided
    }
}

#[cfg(test)]
mod tests;
