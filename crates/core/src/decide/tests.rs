//! Decisions by example: one model driven through its life, input by input.

use super::*;
use crate::blackout::{Blackout, Zone};
use crate::cadence::Cadence;
use crate::event::{Failure, FailureKind, RowCounts};
use crate::fleet::FleetEvent;
use crate::gate::{self, Check, CheckResult, Comparison, Evidence};
use crate::id::{DatasetId, ModelName, RunId};
use crate::input::{Prepared, Refitted, Trained, Watch};
use crate::invariant;
use crate::model::{Action, Canary, Deployment, Standing};
use crate::policy::{
    Approval, Attention, CatchUp, DecayRule, DependsOnPast, Refit, Rejudge, Retry, Schedule, Step,
    Training,
};
use crate::signal::{Advice, Decay, Priority, Request, Signal, Strategy, Verdict};
use crate::time::{Duration, Window};

mod lifecycle;
mod rollout;
mod schedule;
mod start;

/// A model under a policy; every step also checks the shared invariants.
#[derive(Clone)]
struct Life {
    model: Model,
    rules: Rules,
    now: Timestamp,
    log: Vec<(Timestamp, Event)>,
    released: Vec<f64>,
}

/// A Monday.
const MONDAY: Timestamp = Timestamp(1_767_571_200_000);

/// Drift starts runs at once; one step to full traffic; half a day of probation or 100 labels.
fn policy() -> Policy {
    Policy {
        drift: Some(0.3),
        cooldown: Duration::hours(1),
        refit: Refit::No,
        probation: crate::policy::Probation {
            at_least: Duration::hours(12),
            labels: 100,
            at_most: Duration::days(2),
            ..Policy::recommended().probation
        },
        ..Policy::recommended()
    }
}

impl Life {
    fn of(policy: Policy) -> Life {
        let model = Model::new(ModelName::new("m").unwrap());
        Life { model, rules: Rules::new(policy), now: MONDAY, log: vec![], released: vec![] }
    }

    /// A model whose first version is the champion and whose cooldown is over.
    fn with_champion(policy: Policy) -> Life {
        let mut life = Life::of(Policy {
            drift: Some(0.3),
            schedule: None,
            blackouts: vec![],
            approval: Approval::Automatic,
            refit: Refit::No,
            rollout: policy.rollout[policy.rollout.len() - 1..].to_vec(),
            priority_min: Priority::LOWEST,
            ..policy.clone()
        });
        life.reach_probation();
        life.watch(1_000, 1.0);
        life.pass(Duration::days(3));
        life.tick();
        assert_eq!(life.model.champion(), Some(VersionId(1)));
        life.pass(Duration::days(2));
        life.rules = Rules::new(policy);
        life
    }

    #[expect(clippy::needless_pass_by_value, reason = "inputs are made where they are given")]
    fn give(&mut self, input: Input) -> Decided {
        let before = self.model.clone();
        let decided = self.model.decide(&self.rules, self.now, &input);
        invariant::step(&before, self.rules.policy(), self.now, &input, &decided.events).unwrap();
        invariant::refused_changes_nothing(&decided).unwrap();
        let now = self.model.now(self.now);
        for event in &decided.events {
            self.model.apply(now, event);
            self.log.push((now, event.clone()));
        }
        if let Some(FleetEvent::Released { cpu_seconds, .. }) = self.model.released_since(&before) {
            self.released.push(cpu_seconds);
        }
        invariant::fold_is_state(before.name(), &self.log, &self.model).unwrap();
        decided
    }

    fn pass(&mut self, length: Duration) {
        self.now = self.now.after(length);
    }

    fn tick(&mut self) -> Decided {
        self.give(Input::Tick)
    }

    fn run(&self) -> RunId {
        self.model.phase().run().expect("no run is under way").id
    }

    fn drift(&mut self, score: f64) -> Decided {
        self.give(Input::Signal(Signal::Drift { score, rows: 100 }))
    }

    fn ask(&mut self, level: u8, mode: Mode) -> Decided {
        let priority = Priority::new(level).unwrap();
        let (by, reason) = ("ana".to_owned(), "new season".to_owned());
        self.give(Input::Signal(Signal::Manual(Request { by, reason, priority, mode })))
    }

    fn admit(&mut self) -> Decided {
        let run = self.run();
        self.give(Input::Admitted { run })
    }

    fn prepared(&mut self) -> Decided {
        let (run, dataset) = (self.run(), DatasetId(format!("{:064}", self.run().0)));
        let result = Ok(Prepared { dataset, rows: RowCounts::default() });
        self.give(Input::Prepared { run, result })
    }

    fn trained(&mut self, result: Result<Trained, Failure>) -> Decided {
        let candidate = match self.model.phase().stage() {
            Some((Stage::Train { candidate, .. }, _)) => *candidate,
            other => panic!("not training but {other:?}"),
        };
        self.give(Input::Trained { run: self.run(), candidate, result })
    }

    fn judged(&mut self, result: Result<Evidence, Failure>) -> Decided {
        let (candidate, judgement) = match self.model.phase().stage() {
            Some((Stage::Judge { candidate, judgement, .. }, _)) => (*candidate, *judgement),
            other => panic!("not judging but {other:?}"),
        };
        let result = Box::new(result);
        self.give(Input::Judged { run: self.run(), candidate, judgement, result })
    }

    fn refitted(&mut self, result: Result<Refitted, Failure>) -> Decided {
        let candidate = match self.model.phase().stage() {
            Some((Stage::Refit { candidate, .. }, _)) => *candidate,
            other => panic!("not refitting but {other:?}"),
        };
        self.give(Input::Refitted { run: self.run(), candidate, result })
    }

    fn serving(&mut self) -> Decided {
        let fence = self.model.fence();
        self.give(Input::Serving { fence })
    }

    fn watch(&mut self, labels: u64, e_value: f64) -> Decided {
        let version = self.model.phase().candidate().expect("no candidate");
        let watch = Watch { version, labels, e_value, excess_loss: 0.0, error_rate: 0.0 };
        self.give(Input::Watched(watch))
    }

    fn reach_training(&mut self) {
        self.drift(0.9);
        self.admit();
        self.prepared();
    }

    fn reach_judging(&mut self) {
        self.reach_training();
        self.trained(Ok(Trained { cpu_seconds: 5.0 }));
    }

    fn reach_deploying(&mut self) {
        self.reach_judging();
        let evidence = better(self.model.champion().is_some());
        self.judged(Ok(evidence));
    }

    fn reach_probation(&mut self) {
        self.reach_judging();
        let evidence = better(self.model.champion().is_some());
        self.judged(Ok(evidence));
        if matches!(self.model.phase(), Phase::Working { .. }) {
            self.refitted(Ok(Refitted { cpu_seconds: 1.0, checks: vec![] }));
        }
        while !matches!(self.model.phase(), Phase::Probation { .. }) {
            match self.model.phase() {
                Phase::Deploying { .. } => drop(self.serving()),
                Phase::Holding { until, .. } => {
                    self.now = *until;
                    self.tick();
                }
                other => panic!("{} leads to no probation", other.name()),
            }
        }
    }

    fn phase(&self) -> &'static str {
        self.model.phase().name()
    }
}

fn evidence(compared: bool, difference: f64, error: f64) -> Evidence {
    let (lower, upper) = (difference - error, difference + error);
    Evidence {
        checks: vec![],
        metric: "auc".to_owned(),
        candidate: Some(0.95),
        comparison: compared.then_some(Comparison { champion: 0.9, difference, lower, upper }),
        rows: 100,
        harmed_slices: vec![],
        negative_flips: None,
    }
}

fn better(compared: bool) -> Evidence {
    evidence(compared, 0.05, 0.01)
}

fn unclear() -> Evidence {
    evidence(true, 0.0, 0.05)
}

fn failure(kind: FailureKind) -> Failure {
    Failure { kind, message: "the disk is full".to_owned(), cpu_seconds: 2.0 }
}

fn act(decided: &Decided) -> Option<Act> {
    decided.decision.as_ref().map(|decision| decision.action)
}

fn codes(decided: &Decided) -> Vec<Code> {
    let reasons = decided.decision.as_ref().map(|decision| decision.reasons.clone());
    reasons.unwrap_or_default().iter().map(|reason| reason.code).collect()
}

fn outcome(decided: &Decided) -> Option<Outcome> {
    decided.events.iter().find_map(|event| match event {
        Event::RunEnded { outcome, .. } => Some(*outcome),
        _ => None,
    })
}
