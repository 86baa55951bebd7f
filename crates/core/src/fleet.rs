//! All models together: who may compute now, within slots and budgets.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::id::{ModelName, RunId};
use crate::signal::Priority;
use crate::time::{Duration, Timestamp};

/// What a run occupies, or a machine offers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Resources {
    /// Thousandths of a core.
    pub cpu_milli: u64,
    /// Mebibytes of memory.
    pub memory_mib: u64,
    /// Graphics processors.
    pub gpu: u64,
}

/// CPU seconds allowed in a rolling length of time.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Budget {
    /// CPU seconds.
    pub cpu_seconds: f64,
    /// Rolling length; a year at most.
    pub per: Duration,
}

/// What the machine and its owner allow.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Limits {
    /// Everything that may run at once.
    pub slots: Resources,
    /// Budgets of single models.
    pub budgets: BTreeMap<ModelName, Budget>,
    /// Budget of all models together.
    pub total: Option<Budget>,
    /// Waiting this long raises a run by one level of priority.
    pub ageing: Duration,
}

/// A run that wants to compute.
#[derive(Clone, Debug, PartialEq)]
pub struct Owed {
    /// Its model.
    pub model: ModelName,
    /// The run.
    pub run: RunId,
    /// What it occupies.
    pub needs: Resources,
    /// Its urgency.
    pub priority: Priority,
    /// Waiting since.
    pub since: Timestamp,
    /// Deterministic estimate of what it will spend.
    pub estimate_cpu_seconds: f64,
}

/// Who starts, who makes room, who waits for what.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Assignment {
    /// These may start now.
    pub start: Vec<Owed>,
    /// These make room for something more urgent.
    pub preempt: Vec<(ModelName, RunId)>,
    /// These wait.
    pub held: Vec<Held>,
}

/// A run that may not start, and why.
#[derive(Clone, Debug, PartialEq)]
pub struct Held {
    /// Its model.
    pub model: ModelName,
    /// The run.
    pub run: RunId,
    /// Why.
    pub why: Hold,
}

/// Why a run may not start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Hold {
    /// Others occupy the slots, or come first.
    Slots,
    /// It needs more than the whole machine.
    TooLarge,
    /// The budget is spent; it may be free again then.
    Budget {
        /// When enough of it will have rolled out of the window; `None`: never.
        free_at: Option<Timestamp>,
    },
}

/// One fact about the fleet.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FleetEvent {
    /// A run took its slots.
    Taken {
        /// Its model.
        model: ModelName,
        /// The run.
        run: RunId,
        /// What it occupies.
        needs: Resources,
        /// Its urgency.
        priority: Priority,
        /// What it will spend, as estimated.
        estimate_cpu_seconds: f64,
    },
    /// A run gave its slots back.
    Released {
        /// Its model.
        model: ModelName,
        /// The run.
        run: RunId,
        /// What it spent since it took them.
        cpu_seconds: f64,
    },
}

/// Running slots and spent budgets: the fold of starts and ends of all models' runs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Fleet {
    running: BTreeMap<(ModelName, RunId), Running>,
    spent: BTreeMap<ModelName, Vec<(Timestamp, f64)>>,
}

#[derive(Clone, Debug, PartialEq)]
struct Running {
    needs: Resources,
    priority: Priority,
    since: Timestamp,
    estimate_cpu_seconds: f64,
}

impl Resources {
    /// Whether `self` fits into `room`.
    #[must_use]
    pub fn fits(self, room: Resources) -> bool {
        self.cpu_milli <= room.cpu_milli
            && self.memory_mib <= room.memory_mib
            && self.gpu <= room.gpu
    }

    fn plus(self, other: Resources) -> Resources {
        Resources {
            cpu_milli: self.cpu_milli + other.cpu_milli,
            memory_mib: self.memory_mib + other.memory_mib,
            gpu: self.gpu + other.gpu,
        }
    }

    fn minus(self, other: Resources) -> Resources {
        Resources {
            cpu_milli: self.cpu_milli.saturating_sub(other.cpu_milli),
            memory_mib: self.memory_mib.saturating_sub(other.memory_mib),
            gpu: self.gpu.saturating_sub(other.gpu),
        }
    }
}

impl Fleet {
    /// Spending older than this can no longer matter to any budget.
    pub const BUDGET_MAX: Duration = Duration::days(366);
    /// A run is preempted only for one that is this many levels more urgent.
    pub const PREEMPT_LEVELS: u8 = 2;

    /// Folds one fact in. Total; a repeated fact changes nothing.
    pub fn apply(&mut self, at: Timestamp, event: &FleetEvent) {
        match event {
            FleetEvent::Taken { model, run, needs, priority, estimate_cpu_seconds } => {
                self.running.insert(
                    (model.clone(), *run),
                    Running {
                        needs: *needs,
                        priority: *priority,
                        since: at,
                        estimate_cpu_seconds: *estimate_cpu_seconds,
                    },
                );
            }
            FleetEvent::Released { model, run, cpu_seconds } => {
                if self.running.remove(&(model.clone(), *run)).is_some() {
                    let spent = self.spent.entry(model.clone()).or_default();
                    spent.retain(|(when, _)| at.before(Self::BUDGET_MAX) <= *when);
                    spent.push((at, *cpu_seconds));
                }
            }
        }
    }

    /// Whether the run holds slots.
    #[must_use]
    pub fn holds(&self, model: &ModelName, run: RunId) -> bool {
        self.running.contains_key(&(model.clone(), run))
    }

    /// Runs that hold slots.
    pub fn running(&self) -> impl Iterator<Item = (&ModelName, RunId)> {
        self.running.keys().map(|(model, run)| (model, *run))
    }

    /// What is occupied.
    #[must_use]
    pub fn occupied(&self) -> Resources {
        self.running.values().fold(Resources::default(), |sum, run| sum.plus(run.needs))
    }

    /// CPU seconds that `model` (all models where `None`) spent in the length before `now`, with
    /// the estimates of what runs now.
    #[must_use]
    pub fn committed(&self, model: Option<&ModelName>, per: Duration, now: Timestamp) -> f64 {
        let mine = |of: &ModelName| model.is_none_or(|model| model == of);
        let spent = self.spent.iter().filter(|(of, _)| mine(of)).flat_map(|(_, spent)| spent);
        let running = self.running.iter().filter(|((of, _), _)| mine(of));
        spent.filter(|(when, _)| now.before(per) < *when).map(|(_, cpu)| cpu).sum::<f64>()
            + running.map(|(_, run)| run.estimate_cpu_seconds).sum::<f64>()
    }

    /// CPU seconds that runs which hold slots are expected to spend.
    #[must_use]
    pub fn reserved(&self, model: Option<&ModelName>) -> f64 {
        let mine = |of: &ModelName| model.is_none_or(|model| model == of);
        let running = self.running.iter().filter(|((of, _), _)| mine(of));
        running.map(|(_, run)| run.estimate_cpu_seconds).sum()
    }

    /// Decides who may start now. Order: priority raised by waiting, then who waited longest, then
    /// name. Nobody overtakes a run that waits for slots, so nobody starves.
    #[must_use]
    pub fn assign(&self, limits: &Limits, owed: &[Owed], now: Timestamp) -> Assignment {
        let mut queue = owed
            .iter()
            .filter(|owed| !self.holds(&owed.model, owed.run))
            .map(|owed| (Reverse(raised(owed, limits, now)), owed.since, owed))
            .collect::<Vec<_>>();
        queue.sort_by(|a, b| (a.0, a.1, &a.2.model, a.2.run).cmp(&(b.0, b.1, &b.2.model, b.2.run)));
        let mut after = self.clone();
        let mut assignment = Assignment::default();
        let mut blocked = false;
        for (_, _, owed) in queue {
            let held = |why| Held { model: owed.model.clone(), run: owed.run, why };
            if !owed.needs.fits(limits.slots) {
                assignment.held.push(held(Hold::TooLarge));
            } else if let Some(hold) = after.budget_hold(limits, owed, now) {
                assignment.held.push(held(hold));
            } else if !blocked && owed.needs.fits(limits.slots.minus(after.occupied())) {
                after.apply(now, &owed.taken());
                assignment.start.push(owed.clone());
            } else {
                if !blocked {
                    assignment.preempt = after.make_room(limits, owed);
                }
                blocked = true;
                assignment.held.push(held(Hold::Slots));
            }
        }
        assignment
    }

    fn budget_hold(&self, limits: &Limits, owed: &Owed, now: Timestamp) -> Option<Hold> {
        let own = limits.budgets.get(&owed.model).map(|budget| (Some(&owed.model), budget));
        let all = limits.total.as_ref().map(|budget| (None, budget));
        let over = own.into_iter().chain(all).filter(|(model, budget)| {
            let committed = self.committed(*model, budget.per, now);
            budget.cpu_seconds < committed + owed.estimate_cpu_seconds
        });
        let mut free_at = Some(now);
        let mut any = false;
        for (model, budget) in over {
            any = true;
            free_at = free_at.zip(self.free_at(model, budget, owed, now)).map(|(a, b)| a.max(b));
        }
        any.then_some(Hold::Budget { free_at })
    }

    /// When enough spending will have left the rolling window.
    fn free_at(
        &self,
        model: Option<&ModelName>,
        budget: &Budget,
        owed: &Owed,
        now: Timestamp,
    ) -> Option<Timestamp> {
        let mine = |of: &ModelName| model.is_none_or(|model| model == of);
        let mut spent = self
            .spent
            .iter()
            .filter(|(of, _)| mine(of))
            .flat_map(|(_, spent)| spent.iter().copied())
            .filter(|(when, _)| now.before(budget.per) < *when)
            .collect::<Vec<_>>();
        spent.sort_by_key(|(when, _)| *when);
        let mut committed = self.committed(model, budget.per, now) + owed.estimate_cpu_seconds;
        for (when, cpu) in spent {
            committed -= cpu;
            if committed <= budget.cpu_seconds {
                return Some(when.after(budget.per));
            }
        }
        None
    }

    /// The least urgent runs whose end makes room for `owed`; none if that is not enough.
    fn make_room(&self, limits: &Limits, owed: &Owed) -> Vec<(ModelName, RunId)> {
        let mut lesser = self
            .running
            .iter()
            .filter(|(_, run)| run.priority.level() + Self::PREEMPT_LEVELS <= owed.priority.level())
            .collect::<Vec<_>>();
        // The least urgent first, and among them the youngest: it loses least work.
        lesser.sort_by_key(|(_, run)| (run.priority, Reverse(run.since)));
        let mut occupied = self.occupied();
        let mut out = Vec::new();
        for (key, run) in lesser {
            occupied = occupied.minus(run.needs);
            out.push(key.clone());
            if owed.needs.fits(limits.slots.minus(occupied)) {
                return out;
            }
        }
        Vec::new()
    }
}

impl Owed {
    /// The fact that this run took its slots.
    #[must_use]
    pub fn taken(&self) -> FleetEvent {
        FleetEvent::Taken {
            model: self.model.clone(),
            run: self.run,
            needs: self.needs,
            priority: self.priority,
            estimate_cpu_seconds: self.estimate_cpu_seconds,
        }
    }
}

/// Priority in thousandths of a level, raised by waiting.
fn raised(owed: &Owed, limits: &Limits, now: Timestamp) -> u64 {
    let waited = now.since(owed.since).0;
    let ageing = waited.saturating_mul(1_000).checked_div(limits.ageing.0).unwrap_or(0);
    u64::from(owed.priority.level()) * 1_000 + ageing
}

#[cfg(test)]
#[path = "fleet_tests.rs"]
mod tests;
