//! The contest: parameters tuned on the first half of a history, scored on the second, beside the
//! best that hindsight allows and what a walk forward would have done.

use std::ops::Range;

use afresh_ml::compare::block;
use afresh_ml::rng::Rng;
use afresh_policy::oracle::{self, Plan, Serving, WrongPrice};
use afresh_policy::rule::Rule;
use serde::{Deserialize, Serialize};

use super::family::{self, Family, Scale};
use super::walk::{Pick, Standing, Way, walk};
use super::world::{Look, Stretch, Tariff, World};

/// Resamples behind an interval.
const RESAMPLES: usize = 1_000;
/// Seed of the resampling: the same history gives the same report.
const SEED: u64 = 20_260_101;
/// Where hindsight saves less than this share of what never costs, there is nothing to win.
const WORTH_WINNING: f64 = 0.02;
/// Stretches of the walk forward.
const STRETCHES: usize = 4;
/// A tuned policy is not better by less than this share of the cost.
const BETTER_SHARE_MIN: f64 = 1e-9;

/// What competes, and where.
#[derive(Debug)]
pub struct Contest<'w, W> {
    /// The history.
    pub world: &'w W,
    /// The prices.
    pub tariff: Tariff,
    /// First period that is scored; those before tune.
    pub split: usize,
    /// On what data policies may retrain.
    pub picks: Vec<Pick>,
    /// Which window is the configured one: it trains what serves when scoring begins.
    pub home: usize,
}

/// A policy with its parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry {
    /// Name of the family.
    pub name: String,
    /// Tuned on the first half.
    pub rule: Rule,
    /// On what data it retrains.
    pub pick: Pick,
    /// Its way through the first half.
    pub tuning: Way,
}

/// An entry's showing on the second half.
#[derive(Clone, Debug, PartialEq)]
pub struct Scored {
    /// The entry.
    pub entry: Entry,
    /// Its way through the second half.
    pub way: Way,
    /// What it cost more than the oracle.
    pub regret: f64,
    /// Share of what the oracle saves; `None` where there is nothing to win.
    pub recovered: Option<f64>,
    /// The same beside an oracle with no more retrainings than the entry had.
    pub recovered_at_equal_budget: Option<f64>,
    /// Cost above the recommended entry's: mean and 95 % interval, by blocks of periods.
    pub above_recommended: Interval,
}

/// A mean with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Interval {
    /// Sum over the periods.
    pub total: f64,
    /// 2.5 % of the resamples are below.
    pub low: f64,
    /// 2.5 % are above.
    pub high: f64,
}

/// The contest's result.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// All entries, cheapest on the second half first.
    pub scored: Vec<Scored>,
    /// Place of the recommended one in `scored`.
    pub recommended: usize,
    /// Hindsight over the second half.
    pub oracle: Plan,
    /// Cost of never and of always on the configured window, over the second half.
    pub never: f64,
    /// As `never`.
    pub always: f64,
    /// Choosing anew as history goes on: its way through the second half.
    pub walk_forward: WalkForward,
    /// What serves when scoring begins.
    pub champion: Serving,
}

/// The entry chosen anew for each stretch of the second half, from all periods before it.
#[derive(Clone, Debug, PartialEq)]
pub struct WalkForward {
    /// What all stretches cost.
    pub cost: f64,
    /// Share of what the oracle saves.
    pub recovered: Option<f64>,
    /// Periods and what was chosen for them.
    pub stretches: Vec<(Range<usize>, String, Pick)>,
}

impl<W: World> Contest<'_, W> {
    /// Runs the contest.
    pub fn run(&self) -> Result<Outcome, WrongPrice> {
        let last = self.world.periods();
        let entries = self.entries(0..self.split);
        let recommended = recommend(&entries, &self.tariff);
        let champion = self.champion();
        let stretch = self.stretch(champion);
        let oracle = oracle::best(&stretch)?;
        let ways = entries.iter().map(|entry| {
            let standing = entry.tuning.end.clone().with_champion(champion);
            walk(self.world, &self.tariff, self.split..last, (&entry.rule, entry.pick), standing)
        });
        let ways = ways.collect::<Vec<_>>();
        let standing = || Standing::first().with_champion(champion);
        let home = Pick::Window(self.home);
        let fixed = |rule: Rule| {
            walk(self.world, &self.tariff, self.split..last, (&rule, home), standing())
        };
        // Always retrains in the first scored period too, for which its memory must not be empty.
        let always =
            match entries.iter().position(|entry| entry.rule == Rule::Always && entry.pick == home)
            {
                Some(place) => ways[place].cost(),
                None => fixed(Rule::Always).cost(),
            };
        let never = fixed(Rule::Never).cost();
        let walk_forward = self.walk_forward(champion, never, always, &oracle);
        let best = ways[recommended].costs.clone();
        let mut scored = Vec::with_capacity(entries.len());
        for (place, (entry, way)) in entries.into_iter().zip(ways).enumerate() {
            let equal = oracle::best_within(&stretch, way.runs)?;
            let cost = way.cost();
            scored.push((
                place == recommended,
                Scored {
                    regret: cost - oracle.cost,
                    recovered: recovered(never, always, oracle.cost, cost),
                    recovered_at_equal_budget: recovered(never, always, equal.cost, cost),
                    above_recommended: interval(&difference(&way.costs, &best)),
                    entry,
                    way,
                },
            ));
        }
        scored.sort_by(|(_, a), (_, b)| a.way.cost().total_cmp(&b.way.cost()));
        let recommended = scored.iter().position(|(is, _)| *is).unwrap_or(0);
        let scored = scored.into_iter().map(|(_, scored)| scored).collect();
        Ok(Outcome { scored, recommended, oracle, never, always, walk_forward, champion })
    }

    /// Every family on every window, its parameters tuned on `periods`.
    #[must_use]
    pub fn entries(&self, periods: Range<usize>) -> Vec<Entry> {
        let mut entries = Vec::new();
        for family in family::all(&self.scale(periods.clone())) {
            let settled = matches!(family.rules.as_slice(), [Rule::Never]);
            for pick in &self.picks {
                // What never retrains needs no window.
                if settled && *pick != self.picks[0] {
                    continue;
                }
                entries.extend(self.tuned(&family, *pick, periods.clone()));
            }
        }
        entries
    }

    fn tuned(&self, family: &Family, pick: Pick, periods: Range<usize>) -> Option<Entry> {
        let mut best: Option<Entry> = None;
        for rule in &family.rules {
            let standing = Standing::first();
            let way = walk(self.world, &self.tariff, periods.clone(), (rule, pick), standing);
            let cost = way.cost();
            let cheaper = best
                .as_ref()
                .is_none_or(|best| cost < best.tuning.cost() * (1.0 - BETTER_SHARE_MIN));
            if cheaper {
                best = Some(Entry {
                    name: family.name.clone(),
                    rule: rule.clone(),
                    pick,
                    tuning: way,
                });
            }
        }
        best
    }

    /// What serves when scoring begins: trained then on the configured window, where that is possible.
    fn champion(&self) -> Serving {
        let (period, window) = (self.split, self.home);
        let before = |period: usize| (period > 0).then(|| period - 1);
        // Trained a period earlier, so that the oracle may retrain at the first scored period too.
        match before(period).filter(|period| self.world.is_trained(*period, window)) {
            Some(period) => Serving::Trained { period, window },
            None => Serving::First,
        }
    }

    fn stretch(&self, champion: Serving) -> Stretch<'_, W> {
        let (world, tariff) = (self.world, self.tariff);
        Stretch { world, tariff, from: self.split, to: world.periods(), champion }
    }

    fn scale(&self, periods: Range<usize>) -> Scale {
        let mut costs = Vec::new();
        let mut rows = Vec::new();
        for period in periods.clone() {
            costs.push(self.tariff.keep(self.world, Serving::First, period));
            #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
            rows.push(self.world.observe(Serving::First, period, Look::WithoutDrift).rows as f64);
        }
        let last = periods.end.saturating_sub(1);
        let version = Serving::Trained { period: last, window: self.home };
        let trained = self.world.is_trained(last, self.home);
        let version = if trained { version } else { Serving::First };
        Scale {
            periods: periods.len(),
            rows: median(rows),
            loss_cost: median(costs),
            run_cost: self.tariff.run(self.world, version),
            run_cpu_hours: self.world.cpu_hours(version),
        }
    }

    fn walk_forward(
        &self,
        champion: Serving,
        never: f64,
        always: f64,
        oracle: &Plan,
    ) -> WalkForward {
        let (from, to) = (self.split, self.world.periods());
        let step = (to - from).div_ceil(STRETCHES).max(1);
        let mut standing: Option<Standing> = None;
        let (mut cost, mut stretches) = (0.0, Vec::new());
        for start in (from..to).step_by(step) {
            let end = (start + step).min(to);
            let entries = self.entries(0..start);
            let chosen = &entries[recommend(&entries, &self.tariff)];
            let from_tuning = || chosen.tuning.end.clone().with_champion(champion);
            let standing_now = standing.take().unwrap_or_else(from_tuning);
            let policy = (&chosen.rule, chosen.pick);
            let way = walk(self.world, &self.tariff, start..end, policy, standing_now);
            cost += way.cost();
            stretches.push((start..end, chosen.name.clone(), chosen.pick));
            standing = Some(way.end);
        }
        WalkForward { cost, recovered: recovered(never, always, oracle.cost, cost), stretches }
    }
}

/// Share of what hindsight saves beside never and always; `None` where that is not worth winning.
#[must_use]
pub fn recovered(never: f64, always: f64, oracle: f64, cost: f64) -> Option<f64> {
    let start = never.min(always);
    let to_win = start - oracle;
    (to_win >= WORTH_WINNING * never && to_win > 0.0).then(|| (start - cost) / to_win)
}

/// The simplest entry of those that the tuning periods cannot tell from the cheapest.
fn recommend(entries: &[Entry], _tariff: &Tariff) -> usize {
    let cost = |place: &usize| entries[*place].tuning.cost();
    let places = || 0..entries.len();
    let Some(best) = places().min_by(|a, b| cost(a).total_cmp(&cost(b))) else { return 0 };
    let alike = places().filter(|place| {
        let above = difference(&entries[*place].tuning.costs, &entries[best].tuning.costs);
        *place == best || interval(&above).low <= 0.0
    });
    let simplicity = |place: &usize| {
        let entry = &entries[*place];
        (usize::from(entry.pick == Pick::Auto), entry.rule.parts())
    };
    alike
        .min_by(|a, b| simplicity(a).cmp(&simplicity(b)).then(cost(a).total_cmp(&cost(b))))
        .unwrap_or(best)
}

fn difference(costs: &[f64], others: &[f64]) -> Vec<f64> {
    costs.iter().zip(others).map(|(cost, other)| cost - other).collect()
}

/// The sum of a series with its interval: circular block bootstrap (Politis & Romano 1992), blocks
/// as long as the series' own dependence asks (Politis & White 2004).
#[must_use]
pub fn interval(values: &[f64]) -> Interval {
    let total = 0.0 + values.iter().sum::<f64>();
    if values.iter().all(|value| value.abs() <= f64::EPSILON) {
        return Interval { total, low: total, high: total };
    }
    let length = block::optimal_length(values).clamp(1, values.len());
    let mut rng = Rng::new(SEED);
    let mut sums = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        let (mut sum, mut taken) = (0.0, 0);
        while taken < values.len() {
            let start = rng.below(values.len());
            for step in 0..length.min(values.len() - taken) {
                sum += values[(start + step) % values.len()];
            }
            taken += length;
        }
        sums.push(sum);
    }
    sums.sort_by(f64::total_cmp);
    let at = |place: usize| sums[place.min(sums.len() - 1)];
    Interval { total, low: at(RESAMPLES / 40), high: at(RESAMPLES - RESAMPLES / 40) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
