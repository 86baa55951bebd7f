//! One policy's way through a history: it decides at the beginning of each period from what was
//! seen up to then, and pays for what it does.

mod surf;

use std::ops::Range;

use afresh_engine::monitor::evidence::RETIRED_MAX;
use afresh_policy::adviser::Adviser;
use afresh_policy::history::History;
use afresh_policy::observation::Retired;
use afresh_policy::oracle::{Choice, Serving};
use afresh_policy::rule::Rule;
use afresh_policy::settings::Settings;
use serde::{Deserialize, Serialize};

use super::world::{Grown, Growth, Look, Paid, Spent, Tariff, World};

/// On what data a policy retrains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pick {
    /// Always on this window of the grid.
    Window(usize),
    /// On what hangs on the version that serves: told apart from the grid.
    Grown(Growth),
}

/// Where a way has come to.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// What serves.
    pub serving: Serving,
    /// What the policy remembers: any policy can go on from here.
    pub history: History,
    /// What served before, oldest first.
    pub retired: Vec<Serving>,
    /// Number of what serves, counted from 1.
    pub number: u64,
    /// Runs so far.
    pub spent: Vec<Spent>,
}

/// A way through some periods.
#[derive(Clone, Debug, PartialEq)]
pub struct Way {
    /// One choice per period.
    pub choices: Vec<Choice>,
    /// What each period cost, its retraining included.
    pub costs: Vec<f64>,
    /// The same before prices.
    pub paid: Vec<Paid>,
    /// What served at the end of each period.
    pub served: Vec<Serving>,
    /// Retrainings.
    pub runs: usize,
    /// Retrainings that the owner's limits held back.
    pub held: usize,
    /// Where it ends.
    pub end: Standing,
    /// What it waits for: it ends before the period where this version would be trained.
    pub missing: Option<Missing>,
}

/// A version that hangs on the one before and was never made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Missing {
    /// When it would be trained.
    pub period: usize,
    /// From which.
    pub parent: Serving,
    /// How.
    pub growth: Growth,
}

impl Standing {
    /// The first champion, and nothing seen yet.
    #[must_use]
    pub fn first() -> Standing {
        Standing {
            serving: Serving::First,
            history: History::default(),
            retired: Vec::new(),
            number: 1,
            spent: Vec::new(),
        }
    }

    /// The same memory with another champion.
    #[must_use]
    pub fn with_champion(mut self, serving: Serving) -> Standing {
        if self.serving != serving {
            self.take_over(serving);
        }
        self
    }

    fn take_over(&mut self, next: Serving) {
        self.retired.push(self.serving);
        if RETIRED_MAX < self.retired.len() {
            self.retired.remove(0);
        }
        self.serving = next;
        self.number += 1;
    }
}

impl Way {
    /// In the owner's unit.
    #[must_use]
    pub fn cost(&self) -> f64 {
        0.0 + self.costs.iter().sum::<f64>()
    }

    /// The same way at other prices: what a policy that does not look at prices would pay.
    #[must_use]
    pub fn repriced(&self, tariff: &Tariff) -> Way {
        let costs = self.paid.iter().map(|paid| tariff.price(paid)).collect();
        Way { costs, ..self.clone() }
    }
}

/// Goes through `periods`.
pub fn walk(
    world: &impl World,
    tariff: &Tariff,
    periods: Range<usize>,
    (rule, pick): (&Rule, Pick),
    standing: Standing,
) -> Way {
    let Standing { serving, history, retired, number, spent } = standing;
    let settings = Settings { rule: rule.clone(), rows_min: 1, prices: tariff.prices() };
    let mut adviser = Adviser::going_on(settings, history);
    let mut at = Standing { serving, history: History::default(), retired, number, spent };
    let length = periods.len();
    let mut way = Way {
        choices: Vec::with_capacity(length),
        costs: Vec::with_capacity(length),
        paid: Vec::with_capacity(length),
        served: Vec::with_capacity(length),
        runs: 0,
        held: 0,
        end: Standing::first(),
        missing: None,
    };
    let look = if rule.looks_at_drift() { Look::WithDrift } else { Look::WithoutDrift };
    let mut surf = surf::Surf::of(rule);
    for period in periods {
        if let Some(surf) = &mut surf {
            surf.judge(world, period, &mut at);
        }
        let asked = surf.as_ref().is_none_or(surf::Surf::may_start) && adviser.wants();
        let chosen = match asked.then(|| window(world, period, at.serving, pick)).transpose() {
            Ok(chosen) => chosen.flatten(),
            Err(missing) => {
                way.missing = Some(missing);
                break;
            }
        };
        let allowed = chosen.filter(|window| {
            let next = Serving::Trained { period, window: *window };
            tariff.limits.allow(&at.spent, period, world.cpu_hours(next))
        });
        way.held += usize::from(chosen.is_some() && allowed.is_none());
        let (choice, paid) = match allowed {
            None => (Choice::Keep, Paid::keep(world, at.serving, period)),
            Some(window) => {
                let next = Serving::Trained { period, window };
                let paid = Paid::switch(world, at.serving, period, next);
                if let Some(surf) = &mut surf {
                    surf.start(at.serving, next);
                }
                at.take_over(next);
                at.spent.push(Spent { period, cpu_hours: paid.cpu_hours });
                way.runs += 1;
                (Choice::Retrain { window }, paid)
            }
        };
        way.choices.push(choice);
        way.costs.push(tariff.price(&paid));
        way.paid.push(paid);
        way.served.push(at.serving);
        let mut seen = world.observe(at.serving, period, look);
        seen.champion = afresh_core::id::VersionId(at.number);
        seen.evidence.spent_cpu_hours = paid.cpu_hours;
        seen.evidence.retired = at
            .retired
            .iter()
            .filter_map(|version| {
                let mean = world.seen(*version, period)?;
                Some(Retired { age: age(*version, period), mean })
            })
            .collect();
        adviser.observe(&seen);
    }
    at.history = adviser.into_history();
    way.end = at;
    way
}

/// Periods from the training of `version` to the end of `period`.
fn age(version: Serving, period: usize) -> u32 {
    let trained = match version {
        Serving::First => 0,
        Serving::Trained { period, .. } => period,
    };
    u32::try_from(period + 1 - trained.min(period)).unwrap_or(u32::MAX)
}

/// The window that trains at the beginning of `period`; `None` where none can.
fn window(
    world: &impl World,
    period: usize,
    parent: Serving,
    pick: Pick,
) -> Result<Option<usize>, Missing> {
    Ok(match pick {
        Pick::Window(window) => world.is_trained(period, window).then_some(window),
        Pick::Grown(growth) => match world.grown(period, parent, growth) {
            Grown::Ready(window) => Some(window),
            Grown::Failed => None,
            Grown::NotYet => return Err(Missing { period, parent, growth }),
        },
    })
}
