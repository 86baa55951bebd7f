//! Steps of a rollout, probation, and the way back.

use super::Turn;
use crate::blackout::first_free;
use crate::decision::{Act, Decided};
use crate::event::{Event, Outcome, Run};
use crate::id::{Fence, VersionId};
use crate::input::Watch;
use crate::model::Phase;
use crate::reason::{Code, Reason};

impl Turn<'_> {
    /// Begins a rollout, or waits for the end of a blackout.
    pub(super) fn roll_out(self, run: &Run, candidate: VersionId) -> Event {
        let free = first_free(&self.policy.blackouts, self.now);
        if self.now < free {
            return Event::RolloutHeld { run: run.id, candidate, until: free };
        }
        self.deploy(run, candidate, 0)
    }

    /// Step number `step` of the policy's rollout; everything where there is none.
    fn deploy(self, run: &Run, candidate: VersionId, step: usize) -> Event {
        // A first version has no champion beside it that could answer the rest.
        let percent = match (self.model.champion, self.policy.rollout.get(step)) {
            (Some(_), Some(step)) => step.percent,
            (None, _) | (_, None) => 100,
        };
        Event::DeploymentStarted {
            run: run.id,
            candidate,
            step,
            percent,
            fence: self.next_fence(),
            deadline: self.now.after(self.policy.limits.deploy),
        }
    }

    /// After a step was held long enough.
    pub(super) fn next_step(
        self,
        run: &Run,
        candidate: VersionId,
        step: usize,
        percent: u8,
    ) -> Event {
        if percent < 100 {
            return self.deploy(run, candidate, step + 1);
        }
        let probation = &self.policy.probation;
        Event::ProbationStarted {
            run: run.id,
            earliest: self.now.after(probation.at_least),
            latest: self.now.after(probation.at_most.max(probation.at_least)),
            labels_needed: probation.labels,
        }
    }

    /// The serving side confirmed a deployment; an older one's confirmation means nothing.
    pub(super) fn serving(self, fence: Fence) -> Decided {
        if fence != self.model.fence {
            return Decided::default();
        }
        match &self.model.phase {
            Phase::Deploying { run, candidate, step, percent, .. } => {
                let hold = self
                    .policy
                    .rollout
                    .get(*step)
                    .map_or(self.now, |step| self.now.after(step.hold));
                let mut events = vec![Event::DeploymentConfirmed { run: run.id, until: hold }];
                if hold <= self.now {
                    events.push(self.next_step(run, *candidate, *step, *percent));
                }
                self.only(events)
            }
            Phase::RollingBack { run } => {
                let words = match self.model.champion {
                    Some(champion) => format!("{champion} answers again"),
                    None => "nothing serves, as before".to_owned(),
                };
                let reason = Reason::new(Code::Harmful, words);
                self.only(vec![self.end(run, Outcome::RolledBack, vec![reason])])
            }
            Phase::Overriding { to, .. } => {
                self.only(vec![Event::OverrideConfirmed { version: *to }])
            }
            _ => Decided::default(),
        }
    }

    /// How a candidate that serves is doing: harm takes it back at any step.
    pub(super) fn watched(self, watch: &Watch) -> Decided {
        if self.model.phase.candidate() != Some(watch.version) {
            return Decided::default();
        }
        let Some(run) = self.model.phase.run() else { return Decided::default() };
        let numbers = [watch.e_value, watch.excess_loss, watch.error_rate];
        if numbers.iter().any(|number| number.is_nan()) {
            let reason = Reason::new(Code::NotFinite, "a guard metric is not a number");
            return self.note(vec![], Act::Refuse, &run, vec![reason]);
        }
        let serves = matches!(
            self.model.phase,
            Phase::Deploying { .. } | Phase::Holding { .. } | Phase::Probation { .. }
        );
        let harm = self.harm(watch);
        if serves && !harm.is_empty() {
            return self.roll_back(&run, harm);
        }
        let Phase::Probation { labels, labels_needed, earliest, .. } = &self.model.phase else {
            return Decided::default();
        };
        if watch.labels <= *labels {
            return Decided::default();
        }
        let event = Event::ProbationWatched { run: run.id, labels: watch.labels };
        if *labels_needed <= watch.labels && *earliest <= self.now {
            let words = format!(
                "{} available labels, excess loss {:+.4}, no harm shown",
                watch.labels, watch.excess_loss
            );
            return self.promote(
                &run,
                vec![event],
                Outcome::Promoted,
                Reason::new(Code::Proven, words),
            );
        }
        self.only(vec![event])
    }

    fn harm(self, watch: &Watch) -> Vec<Reason> {
        let probation = &self.policy.probation;
        let mut harm = Vec::new();
        let alarm = 1.0 / probation.alpha;
        if alarm <= watch.e_value {
            let words = format!(
                "its loss is {:+.4} against the champion's on {} labels, beyond chance",
                watch.excess_loss, watch.labels
            );
            harm.push(Reason::compared(Code::Harmful, watch.e_value, alarm, words));
        }
        if probation.error_rate_max < watch.error_rate {
            let words = format!("{:.2} % of its predictions failed", watch.error_rate * 100.0);
            let (measured, limit) = (watch.error_rate, probation.error_rate_max);
            harm.push(Reason::compared(Code::GuardBroken, measured, limit, words));
        }
        harm
    }

    /// Whether time ends a probation.
    pub(super) fn probation_over(self) -> Decided {
        let Phase::Probation { run, earliest, latest, labels_needed, labels, .. } =
            &self.model.phase
        else {
            return Decided::default();
        };
        if *earliest <= self.now && labels_needed <= labels {
            let words = format!("{labels} available labels and no harm shown");
            return self.promote(run, vec![], Outcome::Promoted, Reason::new(Code::Proven, words));
        }
        if *latest <= self.now {
            let words = format!("only {labels} of {labels_needed} labels came, no harm shown");
            let reason = Reason::new(Code::Unproven, words);
            return self.promote(run, vec![], Outcome::Unproven, reason);
        }
        Decided::default()
    }

    fn promote(self, run: &Run, before: Vec<Event>, outcome: Outcome, reason: Reason) -> Decided {
        let mut events = before;
        events.push(self.end(run, outcome, vec![reason.clone()]));
        self.note(events, Act::Promote, run, vec![reason])
    }

    pub(super) fn roll_back(self, run: &Run, reasons: Vec<Reason>) -> Decided {
        let event = Event::RollbackStarted {
            run: run.id,
            to: self.model.champion,
            fence: self.next_fence(),
            reasons: reasons.clone(),
        };
        self.note(vec![event], Act::RollBack, run, reasons)
    }
}
