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
use self::walk::Pick;
use self::world::{Limits, RunPrice, Tariff, World as _};

/// Prices of runs at which the contest is repeated, as factors.
pub const SWEEP: [f64; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];
/// Fewest periods that can be cut into a half that tunes and one that scores.
pub const PERIODS_MIN: usize = 8;

/// A history too short, or prices that are none.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// Fewer periods than a contest needs.
    #[error(
        "history has {found} whole periods after the warm-up, and a backtest needs {PERIODS_MIN}: write \
         a shorter `period` or `warm_up` under [replay], or wait"
    )]
    FewPeriods {
        /// Whole periods.
        found: usize,
    },
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
    if found < PERIODS_MIN {
        return Err(Error::FewPeriods { found });
    }
    if (0..found).all(|period| past.seen(Serving::First, period).is_none()) {
        return Err(Error::NoLabels);
    }
    let split = found / 2;
    let tariff = tariff(past, split, stated, limits);
    let picks = (0..past.windows()).map(Pick::Window).collect::<Vec<_>>();
    let contest = Contest { world: past, tariff, split, picks, home: 0 };
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
    let showings = scored.map(|scored| known.showing(split, &scored.way.served));
    let showings = showings.collect::<Vec<_>>();
    let oracle = known.showing(split, &served(split, &outcome));
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

/// What serves in each scored period by hindsight's schedule.
fn served(split: usize, outcome: &Outcome) -> Vec<Serving> {
    let mut serving = outcome.champion;
    let mut served = Vec::new();
    for (period, choice) in (split..).zip(&outcome.oracle.choices) {
        if let Choice::Retrain { window } = *choice {
            serving = Serving::Trained { period, window };
        }
        served.push(serving);
    }
    served
}

/// Metrics that were computed once: most ways share most of their versions.
struct Known<'p> {
    past: &'p Past,
    metric: Metric,
    values: BTreeMap<(Serving, usize), Option<f64>>,
}

impl<'p> Known<'p> {
    fn new(past: &'p Past, metric: Metric) -> Known<'p> {
        Known { past, metric, values: BTreeMap::new() }
    }

    #[expect(clippy::cast_precision_loss, reason = "a number of periods")]
    fn showing(&mut self, split: usize, served: &[Serving]) -> Showing {
        let Known { past, metric, values } = self;
        let metrics = (split..).zip(served).map(|(period, serving)| {
            let known = values.entry((*serving, period));
            *known.or_insert_with(|| past.metric(*metric, *serving, period))
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
            loss: past.mean_loss(split, served),
            retrains,
            training_cpu_seconds: 0.0 + seconds.sum::<f64>(),
        }
    }
}
