//! Whether a signal starts a run: thresholds, then the limits that the owner set.

use super::Turn;
use crate::decision::{Act, Decided, Decision};
use crate::event::{Event, Run};
use crate::model::Phase;
use crate::policy::{Attention, DecayRule, Training};
use crate::reason::{Code, Reason};
use crate::signal::{Cause, Decay, Mode, Priority, Request, Signal, Strategy, Verdict};

/// What a signal says by itself, before the owner's limits.
enum Says {
    Start { priority: Priority, mode: Mode },
    Stay,
    Broken,
}

impl Turn<'_> {
    pub(super) fn signal(self, signal: &Signal) -> Decided {
        let mut cause = signal.cause();
        let by = signal.request().map(|request| request.by.clone());
        let (says, mut reasons) = self.weigh(signal);
        if matches!(says, Says::Start { .. }) && self.model.champion.is_none() && by.is_none() {
            cause = Cause::FirstVersion;
        }
        let decision = |action, run, reasons| {
            let policy = self.rules.hash;
            Some(Decision { action, cause, reasons, policy, run, by: by.clone() })
        };
        match says {
            Says::Broken => {
                Decided { events: vec![], decision: decision(Act::Refuse, None, reasons) }
            }
            Says::Stay => Decided { events: vec![], decision: decision(Act::Keep, None, reasons) },
            Says::Start { priority, mode } => {
                let against = self.limits(priority, mode, &mut reasons);
                if !against.is_empty() {
                    reasons.extend(against);
                    let under_way = self.model.phase.run().map(|run| run.id);
                    let decision = decision(Act::Keep, under_way, reasons);
                    return Decided { events: vec![], decision };
                }
                let event = self.queue_run(cause, priority, reasons.clone());
                let run = Some(self.model.next_run);
                Decided { events: vec![event], decision: decision(Act::Retrain, run, reasons) }
            }
        }
    }

    /// The fact that a run was decided.
    pub(super) fn queue_run(self, cause: Cause, priority: Priority, reasons: Vec<Reason>) -> Event {
        let incremental =
            self.policy.training == Training::Incremental && self.model.champion.is_some();
        let strategy = if incremental { Strategy::Incremental } else { cause.strategy() };
        let run = Run { id: self.model.next_run, cause, strategy, priority, decided_at: self.now };
        Event::RunQueued { run, reasons }
    }

    /// Everything that forbids a start now; a forced request notes what it overrides.
    pub(super) fn limits(
        self,
        priority: Priority,
        mode: Mode,
        reasons: &mut Vec<Reason>,
    ) -> Vec<Reason> {
        let mut against = Vec::new();
        let not_before = match &self.model.phase {
            Phase::Idle { not_before } => *not_before,
            phase => {
                let what = match phase.run() {
                    Some(run) => format!("{} is {}", run.id, phase.name()),
                    None => "a person's choice is being put in place".to_owned(),
                };
                // Not even force starts a second run of one model.
                return vec![Reason::new(Code::RunUnderWay, what)];
            }
        };
        if self.now < not_before {
            let words = format!("cooling down until {not_before}");
            against.push(Reason::new(Code::CoolingDown, words));
        }
        if self.policy.blackouts.iter().any(|blackout| blackout.covers(self.now)) {
            against.push(Reason::new(Code::Blackout, "no run may start at this time"));
        }
        if priority < self.policy.priority_min {
            let (level, limit) = (priority.level(), self.policy.priority_min.level());
            let words = format!("priority {level} is below the minimum of {limit}");
            against.push(Reason::compared(
                Code::PriorityTooLow,
                f64::from(level),
                f64::from(limit),
                words,
            ));
        }
        if mode == Mode::Force {
            let overridden = against.drain(..).map(|reason| Reason {
                code: Code::Forced,
                detail: format!("forced: {}", reason.detail),
                ..reason
            });
            reasons.extend(overridden);
        }
        against
    }

    fn weigh(self, signal: &Signal) -> (Says, Vec<Reason>) {
        let first = self.model.champion.is_none();
        match signal {
            Signal::Drift { score, .. } => {
                threshold("drift", *score, self.policy.drift, Priority::DEFAULT)
            }
            Signal::Decay(decay) => self.weigh_decay(decay),
            Signal::Data { rows } if first => {
                let words = format!("no champion yet, {rows} rows arrived");
                start(Priority::DEFAULT, Reason::new(Code::FirstVersion, words))
            }
            Signal::Volume { rows } => count("new rows", *rows, self.policy.volume),
            Signal::Labels { rows } => count("delivered labels", *rows, self.policy.labels),
            Signal::Data { rows } => count("arrived rows", *rows, self.policy.data),
            Signal::Manual(request) | Signal::Outside(request) => weigh_request(request),
            Signal::Advice(advice) => {
                let finite = |number: Option<f64>| number.is_none_or(f64::is_finite);
                if !finite(advice.gain) || !finite(advice.cost) {
                    return broken(format!("advice of {} is not a number", advice.policy));
                }
                let code = match advice.retrain {
                    Verdict::Retrain => Code::AdvisedRetrain,
                    Verdict::Keep => Code::AdvisedKeep,
                };
                let mut reasons = vec![Reason {
                    code,
                    measured: advice.gain,
                    limit: advice.cost,
                    detail: format!("{}: {}", advice.policy, advice.reasons.join("; ")),
                }];
                match (advice.retrain, self.policy.advice) {
                    (Verdict::Retrain, Attention::Acts) => {
                        (Says::Start { priority: advice.priority, mode: Mode::Obey }, reasons)
                    }
                    (Verdict::Retrain, Attention::Notes) => {
                        reasons.push(Reason::new(Code::NotWatched, "advice is only noted"));
                        (Says::Stay, reasons)
                    }
                    (Verdict::Keep, _) => (Says::Stay, reasons),
                }
            }
        }
    }

    fn weigh_decay(self, decay: &Decay) -> (Says, Vec<Reason>) {
        let Decay { version, metric, drop, alarm, priority } = decay;
        if !drop.is_finite() {
            return broken(format!("drop of {metric} is not a number"));
        }
        if Some(*version) != self.model.champion {
            let words = format!("{version} was measured, which is not the champion");
            return (Says::Stay, vec![Reason::new(Code::OtherVersion, words)]);
        }
        match self.policy.decay {
            None => stay(Reason::new(
                Code::NotWatched,
                format!("{metric} dropped by {drop:.4}; decay only alerts"),
            )),
            Some(DecayRule::Drop(limit)) => {
                threshold(&format!("drop of {metric}"), *drop, Some(limit), *priority)
            }
            Some(DecayRule::Sequential) if *alarm => {
                let words = format!("{metric} decayed by {drop:.4}, beyond chance");
                start(
                    *priority,
                    Reason { measured: Some(*drop), ..Reason::new(Code::SequentialAlarm, words) },
                )
            }
            Some(DecayRule::Proven(limit)) if *alarm => {
                threshold(&format!("proven drop of {metric}"), *drop, Some(limit), *priority)
            }
            Some(DecayRule::Sequential | DecayRule::Proven(_)) => {
                let words = format!("{metric} dropped by {drop:.4}, not beyond chance");
                stay(Reason { measured: Some(*drop), ..Reason::new(Code::SequentialQuiet, words) })
            }
        }
    }
}

fn weigh_request(request: &Request) -> (Says, Vec<Reason>) {
    let words = format!("asked by {}: {}", request.by, request.reason);
    let reasons = vec![Reason::new(Code::Requested, words)];
    (Says::Start { priority: request.priority, mode: request.mode }, reasons)
}

fn threshold(
    what: &str,
    measured: f64,
    limit: Option<f64>,
    priority: Priority,
) -> (Says, Vec<Reason>) {
    if !measured.is_finite() {
        return broken(format!("{what} is not a number"));
    }
    let Some(limit) = limit else {
        let words = format!("{what} is {measured:.4}; it only alerts");
        let reason = Reason { measured: Some(measured), ..Reason::new(Code::NotWatched, words) };
        return stay(reason);
    };
    if limit <= measured {
        let words = format!("{what} is {measured:.4}, at least {limit:.4}");
        return start(priority, Reason::compared(Code::ThresholdReached, measured, limit, words));
    }
    let words = format!("{what} is {measured:.4}, below {limit:.4}");
    stay(Reason::compared(Code::ThresholdMissed, measured, limit, words))
}

fn count(what: &str, rows: u64, limit: Option<u64>) -> (Says, Vec<Reason>) {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    let number = |count: u64| count as f64;
    let Some(limit) = limit else {
        let words = format!("{rows} {what}; they start nothing");
        return stay(Reason {
            measured: Some(number(rows)),
            ..Reason::new(Code::NotWatched, words)
        });
    };
    let (code, word) = if limit <= rows {
        (Code::ThresholdReached, "at least")
    } else {
        (Code::ThresholdMissed, "below")
    };
    let words = format!("{rows} {what}, {word} {limit}");
    let reason = Reason::compared(code, number(rows), number(limit), words);
    if limit <= rows { start(Priority::DEFAULT, reason) } else { stay(reason) }
}

fn start(priority: Priority, reason: Reason) -> (Says, Vec<Reason>) {
    (Says::Start { priority, mode: Mode::Obey }, vec![reason])
}

fn stay(reason: Reason) -> (Says, Vec<Reason>) {
    (Says::Stay, vec![reason])
}

fn broken(words: String) -> (Says, Vec<Reason>) {
    (Says::Broken, vec![Reason::new(Code::NotFinite, words)])
}
