//! What becomes of times of the schedule, on time and missed.

use super::Turn;
use crate::decision::{Act, Decided, Decision};
use crate::event::Event;
use crate::model::Phase;
use crate::policy::{CatchUp, Schedule};
use crate::reason::{Code, Reason};
use crate::signal::{Cause, Mode, Priority};
use crate::time::{Duration, Timestamp};

/// A time of the schedule is on time this long after it.
const GRACE: Duration = Duration::minutes(10);
/// More missed times than this are not counted one by one.
const MISSED_MAX: u32 = 1_000;

impl Turn<'_> {
    pub(super) fn tick_schedule(self) -> Decided {
        let Some(schedule) = &self.policy.schedule else { return Decided::default() };
        let Some(handled) = self.model.schedule.handled else {
            return self.first_look(schedule);
        };
        let name = self.model.name.as_str();
        let due = schedule.cadence.due(handled, self.now, name, MISSED_MAX);
        let pending = self.model.schedule.pending;
        match due {
            None if pending == 0 || schedule.catch_up == CatchUp::Skip => Decided::default(),
            None => self.scheduled(handled, pending, 0, Vec::new()),
            Some((count, last)) => self.fired(schedule, count, last),
        }
    }

    /// A schedule that nobody looked at yet: with catching up it counts from its start.
    fn first_look(self, schedule: &Schedule) -> Decided {
        let start = schedule.cadence.start();
        let handled = match schedule.catch_up {
            CatchUp::Once | CatchUp::All if Timestamp::MIN < start && start <= self.now => {
                start.before(Duration(1))
            }
            CatchUp::Skip | CatchUp::Once | CatchUp::All => self.now.before(Duration(1)),
        };
        self.only(vec![Event::ScheduleAdvanced { handled, pending: 0 }])
    }

    fn fired(self, schedule: &Schedule, count: u32, last: Timestamp) -> Decided {
        let pending = self.model.schedule.pending;
        let reason = Reason::new(Code::ScheduleDue, format!("the schedule was due at {last}"));
        match schedule.catch_up {
            CatchUp::Skip if GRACE < self.now.since(last) => {
                let words = format!("{count} times up to {last} were missed and are left out");
                let event = Event::ScheduleAdvanced { handled: last, pending: 0 };
                self.keep(vec![event], vec![Reason::new(Code::ScheduleSkipped, words)])
            }
            CatchUp::Skip => self.scheduled(last, 1, 1, vec![reason]),
            CatchUp::Once => self.scheduled(last, 1, count, vec![reason]),
            CatchUp::All => {
                self.scheduled(last, pending.saturating_add(count), count, vec![reason])
            }
        }
    }

    /// Starts one of the `pending` runs if nothing forbids it. `fresh` times are new: only they
    /// are worth a decision of their own, a run that has to wait was told before.
    fn scheduled(
        self,
        handled: Timestamp,
        pending: u32,
        fresh: u32,
        reasons: Vec<Reason>,
    ) -> Decided {
        let mut reasons = reasons;
        if reasons.is_empty() {
            reasons.push(Reason::new(Code::ScheduleDue, format!("{pending} runs are still due")));
        }
        let mut against = self.limits(Priority::DEFAULT, Mode::Obey, &mut reasons);
        if self.model.held_by_past(self.policy) {
            let words = "the last scheduled run did not end well";
            against.push(Reason::new(Code::DependsOnPast, words));
        }
        if against.is_empty() {
            let run = self.model.next_run;
            let cause = match self.model.champion {
                Some(_) => Cause::Schedule,
                None => Cause::FirstVersion,
            };
            let advanced = Event::ScheduleAdvanced { handled, pending: pending - 1 };
            let queued = self.queue_run(cause, Priority::DEFAULT, reasons.clone());
            let decision = Decision {
                action: Act::Retrain,
                cause,
                reasons,
                policy: self.rules.hash,
                run: Some(run),
                by: None,
            };
            return Decided { events: vec![advanced, queued], decision: Some(decision) };
        }
        if fresh == 0 {
            let blacked_out = against.iter().any(|reason| reason.code == Code::Blackout);
            if blacked_out && self.model.last < self.now {
                // The same state, seen later: the next wakeup lies behind this blackout.
                return self.only(vec![Event::ScheduleAdvanced { handled, pending }]);
            }
            return Decided::default();
        }
        let catch_up = self.policy.schedule.as_ref().map(|schedule| schedule.catch_up);
        let pending = if catch_up == Some(CatchUp::Skip) { 0 } else { pending };
        reasons.extend(against);
        self.keep(vec![Event::ScheduleAdvanced { handled, pending }], reasons)
    }

    fn keep(self, events: Vec<Event>, reasons: Vec<Reason>) -> Decided {
        let run = match &self.model.phase {
            Phase::Idle { .. } => None,
            phase => phase.run().map(|run| run.id),
        };
        let policy = self.rules.hash;
        let decision =
            Decision { action: Act::Keep, cause: Cause::Schedule, reasons, policy, run, by: None };
        Decided { events, decision: Some(decision) }
    }
}
