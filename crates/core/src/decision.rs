//! What the core made of an input, with every reason; keeps of one kind are coalesced.

use serde::{Deserialize, Serialize};

use crate::event::Event;
use crate::id::{PolicyHash, RunId};
use crate::reason::{Code, Reason};
use crate::signal::Cause;
use crate::time::Timestamp;

/// The answer of [`crate::model::Model::decide`].
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Decided {
    /// Facts to append and fold, in order.
    pub events: Vec<Event>,
    /// What to write down for people; `None` where nothing was asked.
    pub decision: Option<Decision>,
}

/// One decision and why.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub action: Act,
    /// What led to it.
    pub cause: Cause,
    /// Every reason, for and against.
    pub reasons: Vec<Reason>,
    /// The rules that it obeyed.
    pub policy: PolicyHash,
    /// The run it concerns.
    pub run: Option<RunId>,
    /// Who asked, where a person or a system did.
    pub by: Option<String>,
}

/// What was decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Act {
    /// Start a run.
    Retrain,
    /// The champion stays and nothing starts.
    Keep,
    /// The input was not accepted.
    Refuse,
    /// A failed step is repeated.
    Retry,
    /// The candidate goes on to serve.
    RollOut,
    /// The candidate is judged again later, or waits for a person.
    Wait,
    /// The gate kept the champion.
    Reject,
    /// The candidate is the champion.
    Promote,
    /// The champion takes over again.
    RollBack,
    /// The run ends without a candidate.
    Abandon,
    /// A person set what serves.
    Override,
}

/// Decisions as they are kept: one row per decision, one for a stretch of equal keeps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recorded {
    /// What was decided, with the reasons of the last of the stretch.
    pub decision: Decision,
    /// When the first of the stretch was decided.
    pub first_at: Timestamp,
    /// When the last was.
    pub last_at: Timestamp,
    /// How many there are.
    pub count: u64,
    /// Smallest measured number of the stretch.
    pub min: Option<f64>,
    /// Largest measured number of the stretch.
    pub max: Option<f64>,
    /// The last measured number.
    pub last: Option<f64>,
}

impl Act {
    /// The word used in listings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Act::Retrain => "retrain",
            Act::Keep => "keep",
            Act::Refuse => "refuse",
            Act::Retry => "retry",
            Act::RollOut => "roll_out",
            Act::Wait => "wait",
            Act::Reject => "reject",
            Act::Promote => "promote",
            Act::RollBack => "roll_back",
            Act::Abandon => "abandon",
            Act::Override => "override",
        }
    }
}

impl Recorded {
    /// A row of its own.
    #[must_use]
    pub fn new(at: Timestamp, decision: Decision) -> Recorded {
        let measured = decision.measured();
        Recorded {
            decision,
            first_at: at,
            last_at: at,
            count: 1,
            min: measured,
            max: measured,
            last: measured,
        }
    }

    /// Takes `next` into this row if both keep for the same cause, codes and policy and nobody
    /// asked; gives it back as a row of its own otherwise.
    #[expect(clippy::result_large_err, reason = "the row goes straight into a list")]
    pub fn absorb(&mut self, at: Timestamp, next: Decision) -> Result<(), Recorded> {
        if !self.decision.continues_as(&next) {
            return Err(Recorded::new(at, next));
        }
        let measured = next.measured();
        self.min = smaller(self.min, measured);
        self.max = larger(self.max, measured);
        self.last = measured;
        self.last_at = self.last_at.max(at);
        self.count += 1;
        self.decision = next;
        Ok(())
    }
}

impl Decision {
    /// The number that was compared first.
    #[must_use]
    pub fn measured(&self) -> Option<f64> {
        self.reasons.iter().find_map(|reason| reason.measured)
    }

    fn continues_as(&self, next: &Decision) -> bool {
        let codes =
            |of: &Decision| of.reasons.iter().map(|reason| reason.code).collect::<Vec<Code>>();
        self.action == Act::Keep
            && next.action == Act::Keep
            && self.by.is_none()
            && next.by.is_none()
            && self.cause == next.cause
            && self.policy == next.policy
            && self.run == next.run
            && codes(self) == codes(next)
    }
}

fn smaller(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.min(b)),
        (a, b) => a.or(b),
    }
}

fn larger(a: Option<f64>, b: Option<f64>) -> Option<f64> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.max(b)),
        (a, b) => a.or(b),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keep(cause: Cause, score: f64) -> Decision {
        Decision {
            action: Act::Keep,
            cause,
            reasons: vec![Reason::compared(Code::ThresholdMissed, score, 0.3, "drift")],
            policy: PolicyHash(1),
            run: None,
            by: None,
        }
    }

    #[test]
    fn equal_keeps_are_one_row() {
        let mut row = Recorded::new(Timestamp(0), keep(Cause::Drift, 0.2));
        for (at, score) in [(1, 0.1), (2, 0.25)] {
            assert_eq!(row.absorb(Timestamp(at), keep(Cause::Drift, score)), Ok(()));
        }
        assert_eq!((row.count, row.first_at, row.last_at), (3, Timestamp(0), Timestamp(2)));
        assert_eq!((row.min, row.max, row.last), (Some(0.1), Some(0.25), Some(0.25)));
    }

    #[test]
    fn another_cause_policy_or_a_person_opens_a_row() {
        let other_policy = Decision { policy: PolicyHash(2), ..keep(Cause::Drift, 0.1) };
        let asked = Decision { by: Some("ana".to_owned()), ..keep(Cause::Drift, 0.1) };
        let act = Decision { action: Act::Retrain, ..keep(Cause::Drift, 0.1) };
        for next in [keep(Cause::Volume, 0.1), other_policy, asked, act] {
            let mut row = Recorded::new(Timestamp(0), keep(Cause::Drift, 0.2));
            let opened = row.absorb(Timestamp(1), next.clone()).unwrap_err();
            assert_eq!((row.count, opened), (1, Recorded::new(Timestamp(1), next)));
        }
    }
}
