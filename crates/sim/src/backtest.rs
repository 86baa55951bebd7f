//! Which policy pays: many policies over the same history, beside the best that hindsight allows.
//!
//! Every version that could have been is trained once (`past`); policies then walk through them
//! (`walk`) and compete (`contest`). No policy sees ahead: it decides at the beginning of a period
//! from what was available by then.

pub mod apart;
pub mod contest;
pub mod family;
pub mod past;
pub mod walk;
pub mod world;

use afresh_core::time::Window;
use std::collections::BTreeMap;

use afresh_ml::metrics::Metric;
use afresh_policy::oracle::{Choice, Serving, WrongPrice};
use afresh_policy::prices::{DEFAULT_RUN_SHARE, Prices};

use self::contest::{Contest, Outcome};
use self::past::{Past, Trainings};
use self::walk::{Pick, Way};
use self::world::{Limits, Paid, RunPrice, Tariff, World as _};

/// Prices of runs at which the contest is repeated, as factors.
pub const SWEEP: [f64; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];
/// Fewest periods that can be cut into a half that tunes and one that scores.
pub const PERIODS_MIN: usize = 8;

/// A history too short, or prices that are none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// No label was ever available.
    #[error(
        "no label became available in any period: name `label_time` or `label_delay` under data, or \
         give rows with labels"
    )]
    NoLabels,
    /// A price.
    #[error("prices make no sense")]
    Price(#[from] WrongPrice),
}

/// What a backtest found.
#[derive(Debug)]
pub struct Backtest {
    /// The periods; the first `split` tuned.
    pub periods: Vec<Window>,
    /// First period that was scored.
    pub split: usize,
    /// The prices.
    pub tariff: Tariff,
    /// Whether the price of a run is the default one.
    pub is_default_price: bool,
    /// The contest at these prices.
    pub outcome: Outcome,
    /// How each entry of the contest did, in its order.
    pub showings: Vec<Showing>,
    /// Hindsight's.
    pub oracle: Showing,
    /// The contest with runs at other prices.
    pub sweep: Vec<Sweep>,
    /// What was trained.
    pub trainings: Trainings,
    /// Scored periods in which the metric is undefined for what serves.
    pub undefined: usize,
}

/// How one way did on the scored periods.
#[derive(Clone, Debug, PartialEq)]
pub struct Showing {
    /// What served at the end of each period.
    pub served: Vec<Serving>,
    /// The metric of each period.
    pub metric: Vec<Option<f64>>,
    /// Mean over the periods where it is defined.
    pub metric_mean: Option<f64>,
    /// Mean over the rows of what has a price: log loss, squared error in regression, or the share of errors.
    pub loss: Option<f64>,
    /// Retrainings.
    pub retrains: usize,
    /// CPU seconds as recorded when each was trained, cached or not.
    pub training_cpu_seconds: f64,
}

/// The contest with runs at another price.
#[derive(Clone, Debug, PartialEq)]
pub struct Sweep {
    /// Factor on the price of a run.
    pub factor: f64,
    /// Price of a run.
    pub per_run: f64,
    /// The recommended policy there.
    pub recommended: String,
    /// On what data.
    pub pick: Pick,
    /// Its retrainings.
    pub retrains: usize,
    /// Share of what hindsight saves.
    pub recovered: Option<f64>,
    /// Its cost, and those of never, always and hindsight.
    pub cost: f64,
    /// As `cost`.
    pub never: f64,
    /// As `cost`.
    pub always: f64,
    /// As `cost`.
    pub oracle: f64,
}

/// Lets the policies compete over a history.
pub fn compete(
    past: &Past,
    trainings: Trainings,
    stated: Prices,
    limits: Limits,
    metric: Metric,
) -> Result<Backtest, Error> {
    let found = past.periods();
    if (0..found).all(|period| past.seen(Serving::First, period).is_none()) {
        return Err(Error::NoLabels);
    }
    let split = found / 2;
    let tariff = tariff(past, split, stated, limits);
    let picks = (0..past.windows()).map(Pick::Window).collect::<Vec<_>>();
    let configured = past.configured();
    let contest = Contest { world: past, tariff, split, picks, home: 0, configured };
    let field = contest.field();
    let outcome = contest.decide(&field)?;
    let sweep = SWEEP.into_iter().map(|factor| {
        let tariff = tariff.with_runs_at(factor);
        let contest = contest.at(tariff);
        let best = contest.recommended(&contest.repriced(&field))?;
        Ok::<_, WrongPrice>(Sweep {
            factor,
            per_run: tariff.per_run,
            cost: best.way.cost(),
            recommended: best.entry.name,
            pick: best.entry.pick,
            retrains: best.way.runs,
            recovered: best.recovered,
            never: best.never,
            always: best.always,
            oracle: best.oracle,
        })
    });
    let sweep = sweep.collect::<Result<Vec<_>, _>>()?;
    let mut known = Known::new(past, metric);
    let scored = outcome.scored.iter();
    let champion = outcome.champion;
    let showings = scored.map(|scored| known.showing(split, champion, &Course::of(&scored.way)));
    let showings = showings.collect::<Vec<_>>();
    let oracle = hindsight(past, split, &outcome);
    let (served, losses) = oracle.into_iter().unzip::<_, _, Vec<_>, Vec<_>>();
    let oracle = known.showing(split, champion, &Course { served: &served, losses });
    let undefined = showings[outcome.recommended].metric.iter().filter(|m| m.is_none()).count();
    Ok(Backtest {
        periods: past.windows_of_periods().to_vec(),
        split,
        tariff,
        is_default_price: !stated.states_run(),
        outcome,
        showings,
        oracle,
        sweep,
        trainings,
        undefined,
    })
}

/// The stated prices; where none is stated a run costs a small share of what a constant guess loses
/// over a median period. Known from the first half alone.
fn tariff(past: &Past, split: usize, stated: Prices, limits: Limits) -> Tariff {
    let Prices { priced, per_loss, per_run, per_cpu_hour, per_million_rows } = stated;
    let default = DEFAULT_RUN_SHARE * past.median_rows(split) * past.guess(split) * per_loss;
    Tariff {
        priced,
        per_loss,
        per_run: if stated.states_run() { per_run.unwrap_or(0.0) } else { default },
        run: if stated.states_run() { RunPrice::Each } else { RunPrice::Computing },
        per_cpu_hour: per_cpu_hour.unwrap_or(0.0),
        per_million_rows: per_million_rows.unwrap_or(0.0),
        limits,
    }
}

/// What serves in each scored period by hindsight's schedule, and what that loses.
fn hindsight(past: &Past, split: usize, outcome: &Outcome) -> Vec<(Serving, f64)> {
    let mut serving = outcome.champion;
    let periods = (split..).zip(&outcome.oracle.choices);
    let course = periods.map(|(period, choice)| {
        let paid = match *choice {
            Choice::Keep => Paid::keep(past, serving, period),
            Choice::Retrain { window } => {
                let next = Serving::Trained { period, window };
                let paid = Paid::switch(past, serving, period, next);
                serving = next;
                paid
            }
        };
        (serving, paid.loss)
    });
    course.collect()
}

/// Metrics that were computed once: most ways share most of their versions.
struct Known<'p> {
    past: &'p Past,
    metric: Metric,
    values: BTreeMap<(Serving, Serving, usize), Option<f64>>,
}

/// What served at the end of each scored period, and what that lost.
struct Course<'a> {
    served: &'a [Serving],
    losses: Vec<f64>,
}

impl<'a> Course<'a> {
    fn of(way: &'a Way) -> Course<'a> {
        Course { served: &way.served, losses: way.paid.iter().map(|paid| paid.loss).collect() }
    }
}

impl<'p> Known<'p> {
    fn new(past: &'p Past, metric: Metric) -> Known<'p> {
        Known { past, metric, values: BTreeMap::new() }
    }

    /// A course that begins with `champion`.
    #[expect(clippy::cast_precision_loss, reason = "a number of periods")]
    fn showing(&mut self, split: usize, champion: Serving, course: &Course<'_>) -> Showing {
        let Known { past, metric, values } = self;
        let Course { served, losses } = course;
        let before = [champion].into_iter().chain(served.iter().copied());
        let metrics = (split..).zip(before.zip(*served)).map(|(period, (before, serving))| {
            let known = values.entry((before, *serving, period));
            *known.or_insert_with(|| past.metric(*metric, before, *serving, period))
        });
        let metrics = metrics.collect::<Vec<_>>();
        let defined = metrics.iter().flatten().copied().collect::<Vec<_>>();
        let mean = defined.iter().sum::<f64>() / defined.len() as f64;
        let new = |serving: &&Serving| matches!(serving, Serving::Trained { period, .. } if split <= *period);
        let mut trained = served.iter().filter(new).copied().collect::<Vec<_>>();
        trained.sort_unstable();
        trained.dedup();
        let retrains = trained.len();
        let seconds = trained.iter().map(|version| past.cpu_seconds(*version));
        Showing {
            served: served.to_vec(),
            metric: metrics,
            metric_mean: (!defined.is_empty()).then_some(mean),
            loss: past.mean_loss(split, losses),
            retrains,
            training_cpu_seconds: 0.0 + seconds.sum::<f64>(),
        }
    }
}
