//! What a backtest needs to know of a history: what every version that could have been trained
//! would have lost in every period, and what one would have seen of it.

use afresh_policy::observation::Observation;
use afresh_policy::oracle::{Hindsight, Serving};
use afresh_policy::prices::{Priced, Prices};
use serde::{Deserialize, Serialize};

/// A history with every version that could have been.
pub trait World {
    /// Number of periods.
    fn periods(&self) -> usize;

    /// Number of training windows.
    fn windows(&self) -> usize;

    /// Whether a version can be trained at the beginning of `period` on `window`.
    fn is_trained(&self, period: usize, window: usize) -> bool;

    /// The version that grows from `parent` at the beginning of `period`. A world without any has none.
    fn grown(&self, _period: usize, _parent: Serving, _growth: Growth) -> Grown {
        Grown::Failed
    }

    /// Whether `window` stands for several that are tried at each training: more to do and more to tell.
    fn is_chosen(&self, _window: usize) -> bool {
        false
    }

    /// How many runs the computing of `version` amounts to: more than one where several windows were tried.
    fn runs(&self, _version: Serving) -> f64 {
        1.0
    }

    /// Rows that `version` was trained on.
    fn rows(&self, _version: Serving) -> f64 {
        0.0
    }

    /// CPU hours of the training of `version`, estimated without a clock; 0 for the first.
    fn cpu_hours(&self, version: Serving) -> f64;

    /// Loss of `serving` over all labelled rows of `period`.
    fn loss(&self, serving: Serving, period: usize) -> f64;

    /// Of that, on the rows before `next`, trained at the beginning of the period, serves.
    fn loss_until(&self, serving: Serving, period: usize, next: Serving) -> f64;

    /// Mean loss of `version` over the rows that became available in `period`; `None` without any.
    fn seen(&self, version: Serving, period: usize) -> Option<f64>;

    /// What the monitors see of `serving` at the end of `period`; versions retired and CPU spent are
    /// the path's to add. Looks at nothing that became available later.
    fn observe(&self, serving: Serving, period: usize, look: Look) -> Observation;
}

/// How a version that hangs on the one before is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Growth {
    /// Anew, on the rows since the last run.
    SinceLastRun,
    /// Anew, on the rows since the champion's losses rose.
    SinceChange,
    /// From the champion on, by the window and rounds of incremental runs.
    Incremental,
}

/// Whether a version that hangs on the one before is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grown {
    /// The world knows it as a version trained on this window.
    Ready(usize),
    /// It cannot be made.
    Failed,
    /// Nobody asked for it before.
    NotYet,
}

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// All but drift, which costs most of a look.
    WithoutDrift,
    /// Everything.
    WithDrift,
}

/// Prices that hold over a whole backtest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tariff {
    /// What `per_loss` is the price of.
    pub priced: Priced,
    /// Of one unit of loss, or of an error.
    pub per_loss: f64,
    /// Of a run.
    pub per_run: f64,
    /// What a run is priced by.
    pub run: RunPrice,
    /// Of a CPU hour.
    pub per_cpu_hour: f64,
    /// Of a million rows that are trained on.
    pub per_million_rows: f64,
    /// What the owner allows at these prices.
    pub limits: Limits,
}

/// What the price of a run stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RunPrice {
    /// The owner's: each run costs it, whatever it trains.
    Each,
    /// The default, which stands for computing: a run that tries several windows costs several.
    Computing,
}

/// What the owner allows, live by the core: every policy of a backtest keeps within it, hindsight does not.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Limits {
    /// Periods from one run to the next, at least.
    pub cooldown_periods: f64,
    /// CPU hours that may be spent in a rolling number of periods.
    pub budget: Option<Budget>,
}

/// CPU hours allowed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Budget {
    /// So many.
    pub cpu_hours: f64,
    /// In so many periods.
    pub periods: f64,
}

impl Limits {
    /// Whether a run of so many CPU hours may start at the beginning of `period`, after those that were `spent`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of periods stay below 2^53")]
    pub fn allow(&self, spent: &[Spent], period: usize, cpu_hours: f64) -> bool {
        let since = |run: &Spent| (period - run.period) as f64;
        let rested = spent.last().is_none_or(|last| self.cooldown_periods <= since(last));
        rested
            && self.budget.is_none_or(|budget| {
                let recent = spent.iter().filter(|run| since(run) < budget.periods);
                let recent = recent.map(|run| run.cpu_hours).sum::<f64>();
                recent + cpu_hours <= budget.cpu_hours
            })
    }
}

/// A run that a policy started.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spent {
    /// When.
    pub period: usize,
    /// What it took.
    pub cpu_hours: f64,
}

impl Tariff {
    /// The same, as a policy reads it.
    #[must_use]
    pub fn prices(&self) -> Prices {
        let some = |price: f64| (price > 0.0).then_some(price);
        Prices {
            priced: self.priced,
            per_loss: self.per_loss,
            per_run: some(self.per_run),
            per_cpu_hour: some(self.per_cpu_hour),
            per_million_rows: some(self.per_million_rows),
        }
    }

    /// With runs, their CPU hours and rows at `factor` of their price.
    #[must_use]
    pub fn with_runs_at(&self, factor: f64) -> Tariff {
        Tariff {
            per_run: self.per_run * factor,
            per_cpu_hour: self.per_cpu_hour * factor,
            per_million_rows: self.per_million_rows * factor,
            ..*self
        }
    }

    /// What a period costs.
    #[must_use]
    pub fn price(&self, paid: &Paid) -> f64 {
        let runs = match self.run {
            RunPrice::Each => paid.runs,
            RunPrice::Computing => paid.computing,
        };
        self.per_loss * paid.loss
            + self.per_run * runs
            + self.per_cpu_hour * paid.cpu_hours
            + self.per_million_rows * paid.rows / 1e6
    }
}

/// What one period is charged for, before any price.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Paid {
    /// Loss of its labelled rows.
    pub loss: f64,
    /// Retrainings.
    pub runs: f64,
    /// The same by their computing, as [`World::runs`] counts it.
    pub computing: f64,
    /// CPU hours of training, estimated without a clock.
    pub cpu_hours: f64,
    /// Rows that were trained on.
    pub rows: f64,
}

impl Paid {
    /// `serving` goes on through `period`.
    pub fn keep(world: &impl World, serving: Serving, period: usize) -> Paid {
        Paid { loss: world.loss(serving, period), ..Paid::default() }
    }

    /// `next` is trained when `period` begins, and takes over from `serving` once that is done.
    pub fn switch(world: &impl World, serving: Serving, period: usize, next: Serving) -> Paid {
        let before = world.loss_until(serving, period, next);
        let after = world.loss(next, period) - world.loss_until(next, period, next);
        Paid {
            loss: (before + after).max(0.0),
            runs: 1.0,
            computing: world.runs(next),
            cpu_hours: world.cpu_hours(next),
            rows: world.rows(next),
        }
    }
}

/// Some periods of a world at a tariff, in hindsight.
#[derive(Clone, Copy, Debug)]
pub struct Stretch<'w, W> {
    /// The world.
    pub world: &'w W,
    /// The prices.
    pub tariff: Tariff,
    /// First period.
    pub from: usize,
    /// After the last period.
    pub to: usize,
    /// What serves when the first period begins.
    pub champion: Serving,
    /// The one window that is retrained on; nothing leaves all of them.
    pub only: Option<usize>,
}

impl<W> Stretch<'_, W> {
    /// A version of the stretch as the world knows it.
    #[must_use]
    pub fn version(&self, serving: Serving) -> Serving {
        match serving {
            Serving::First => self.champion,
            Serving::Trained { period, window } => {
                let window = self.only.unwrap_or(window);
                Serving::Trained { period: self.from + period, window }
            }
        }
    }
}

impl<W: World> Hindsight for Stretch<'_, W> {
    fn periods(&self) -> usize {
        self.to - self.from
    }

    fn windows(&self) -> usize {
        self.only.map_or_else(|| self.world.windows(), |_one| 1)
    }

    fn keep(&self, serving: Serving, period: usize) -> f64 {
        let serving = self.version(serving);
        self.tariff.price(&Paid::keep(self.world, serving, self.from + period))
    }

    fn retrain(&self, serving: Serving, period: usize, window: usize) -> Option<f64> {
        let at = self.from + period;
        let window = self.only.unwrap_or(window);
        if !self.world.is_trained(at, window) {
            return None;
        }
        let next = Serving::Trained { period: at, window };
        Some(self.tariff.price(&Paid::switch(self.world, self.version(serving), at, next)))
    }
}
