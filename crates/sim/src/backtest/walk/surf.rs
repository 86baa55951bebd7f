//! DriftSurf's reactive state (Tahmasbi et al., ICML 2021): after an alarm the old and the fresh version
//! are both followed, the one that did better in the last period serves, and at the end of the trial
//! the fresh one stays only if it did better as a whole.

use afresh_policy::oracle::Serving;
use afresh_policy::rule::Rule;

use super::{Standing, World};

/// A policy with a trial.
#[derive(Clone, Copy, Debug)]
pub(super) struct Surf {
    trial: usize,
    reactive: Option<Reactive>,
}

/// A trial under way.
#[derive(Clone, Copy, Debug)]
struct Reactive {
    old: Serving,
    fresh: Serving,
    /// Periods over.
    periods: usize,
    /// Sums of mean losses over them.
    old_loss: f64,
    fresh_loss: f64,
}

impl Surf {
    pub(super) fn of(rule: &Rule) -> Option<Surf> {
        let Rule::DriftSurf { trial, .. } = rule else { return None };
        Some(Surf { trial: *trial as usize, reactive: None })
    }

    /// Whether an alarm may start a trial: none is under way.
    pub(super) fn may_start(&self) -> bool {
        self.reactive.is_none()
    }

    pub(super) fn start(&mut self, old: Serving, fresh: Serving) {
        self.reactive = Some(Reactive { old, fresh, periods: 0, old_loss: 0.0, fresh_loss: 0.0 });
    }

    /// At the beginning of `period`: whichever did better in the last one serves.
    pub(super) fn judge(&mut self, world: &impl World, period: usize, at: &mut Standing) {
        let (Some(mut trial), Some(last)) = (self.reactive, period.checked_sub(1)) else { return };
        trial.periods += 1;
        let seen = (world.seen(trial.old, last), world.seen(trial.fresh, last));
        let over = self.trial <= trial.periods;
        if let (Some(old), Some(fresh)) = seen {
            trial.old_loss += old;
            trial.fresh_loss += fresh;
            let fresh_serves = if over { trial.fresh_loss < trial.old_loss } else { fresh < old };
            let next = if fresh_serves { trial.fresh } else { trial.old };
            if at.serving != next {
                at.take_over(next);
            }
        }
        self.reactive = (!over).then_some(trial);
    }
}
