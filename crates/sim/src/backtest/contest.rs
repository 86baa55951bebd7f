//! The contest: parameters tuned on the first half of a history, scored on the second, beside the
//! best that hindsight allows and what a walk forward would have done.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::atomic::{AtomicUsize, Ordering};

use afresh_ml::compare::block;
use afresh_ml::rng::Rng;
use afresh_policy::oracle::{self, Plan, Serving, WrongPrice};
use afresh_policy::rule::Rule;
use serde::{Deserialize, Serialize};

use super::family::{self, Family, Scale};
use super::walk::{Pick, Standing, Way, walk};
use super::world::{Look, Paid, Stretch, Tariff, World};

/// Resamples behind an interval.
const RESAMPLES: usize = 1_000;
/// Share of them on either side of an interval.
const TAIL: f64 = 0.025;
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
    /// The policy that is configured, as it stands; nothing where it is none that can be replayed here.
    pub configured: Option<Rule>,
}

/// The recommended entry alone, on the second half.
#[derive(Clone, Debug, PartialEq)]
pub struct Recommended {
    /// The entry.
    pub entry: Entry,
    /// Its way through the second half.
    pub way: Way,
    /// Share of what the oracle saves; `None` where there is nothing to win.
    pub recovered: Option<f64>,
    /// Cost of never and of always on the configured window, and of hindsight.
    pub never: f64,
    /// As `never`.
    pub always: f64,
    /// As `never`.
    pub oracle: f64,
}

impl<W> Contest<'_, W> {
    /// The same at other prices.
    #[must_use]
    pub fn at(&self, tariff: Tariff) -> Self {
        let (picks, configured) = (self.picks.clone(), self.configured.clone());
        Contest { tariff, picks, configured, ..*self }
    }
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
    /// What each period cost that tuned it.
    pub tuning: Vec<f64>,
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
    /// The same beside an oracle that retrains on the entry's own window: what it lost by its choice of when.
    pub recovered_on_window: Option<f64>,
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
    /// By pick: the cost of hindsight that may retrain on it alone, and of always on it.
    pub by_pick: Vec<Alone>,
    /// Cost of never and of always on the configured window, over the second half.
    pub never: f64,
    /// As `never`.
    pub always: f64,
    /// Choosing anew as history goes on: its way through the second half.
    pub walk_forward: WalkForward,
    /// What serves when scoring begins.
    pub champion: Serving,
}

/// One window by itself, over the second half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Alone {
    /// On what data.
    pub pick: Pick,
    /// Cost of hindsight over when to retrain on it.
    pub oracle: f64,
    /// Cost of retraining on it in every period.
    pub always: f64,
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

/// Every rule of every family on every window, gone through the whole history.
#[derive(Clone, Debug)]
pub struct Field {
    rows: Vec<Tries>,
}

/// One family on one window.
#[derive(Clone, Debug)]
struct Tries {
    name: String,
    pick: Pick,
    /// In the family's order.
    ways: Vec<(Rule, Way)>,
}

impl<W: World + Sync> Contest<'_, W> {
    /// Runs the contest.
    pub fn run(&self) -> Result<Outcome, WrongPrice> {
        self.decide(&self.field())
    }

    /// Every rule's way through the whole history. Whatever is tuned on its beginning reads no
    /// further: no rule sees ahead.
    #[must_use]
    pub fn field(&self) -> Field {
        let mut rows = Vec::new();
        let configured = self.configured.iter().map(|rule| Family::configured(rule.clone()));
        for family in family::all(&self.scale()).into_iter().chain(configured) {
            let settled = matches!(family.rules.as_slice(), [Rule::Never]);
            for pick in &self.picks {
                // What never retrains needs no window.
                if !settled || *pick == self.picks[0] {
                    rows.push((family.clone(), *pick));
                }
            }
        }
        let through = |(family, pick): &(Family, Pick)| Tries {
            name: family.name.clone(),
            pick: *pick,
            ways: family.rules.iter().map(|rule| (rule.clone(), self.whole(rule, *pick))).collect(),
        };
        Field { rows: in_parallel(&rows, through) }
    }

    /// The same field where runs have other prices: only rules that look at them decide anew.
    #[must_use]
    pub fn repriced(&self, field: &Field) -> Field {
        let again = |tries: &Tries| {
            let ways = tries.ways.iter().map(|(rule, way)| {
                let way = if rule.looks_at_prices() {
                    self.whole(rule, tries.pick)
                } else {
                    way.repriced(&self.tariff)
                };
                (rule.clone(), way)
            });
            Tries { name: tries.name.clone(), pick: tries.pick, ways: ways.collect() }
        };
        Field { rows: in_parallel(&field.rows, again) }
    }

    /// Decides over a field of this contest.
    pub fn decide(&self, field: &Field) -> Result<Outcome, WrongPrice> {
        let entries = field.entries(self.split);
        let recommended = self.recommend(&entries);
        let champion = self.champion();
        let stretch = self.stretch(champion);
        let oracle = oracle::best(&stretch)?;
        let ways = in_parallel(&entries, |entry| self.scored(&entry.rule, entry.pick, champion));
        let (never, always) = self.plain(champion);
        let walk_forward = self.walk_forward(field, champion, never, always, &oracle);
        let by_pick = self.by_pick(champion)?;
        let best = ways[recommended].costs.clone();
        let mut equals = BTreeMap::new();
        let mut scored = Vec::with_capacity(entries.len());
        for (place, (entry, way)) in entries.into_iter().zip(ways).enumerate() {
            let equal = match equals.get(&way.runs) {
                Some(known) => *known,
                None => oracle::best_within(&stretch, way.runs)?.cost,
            };
            equals.insert(way.runs, equal);
            let cost = way.cost();
            let alone = by_pick.iter().find(|alone| alone.pick == entry.pick);
            let on_window =
                alone.and_then(|alone| recovered(never, alone.always, alone.oracle, cost));
            scored.push((
                place == recommended,
                Scored {
                    regret: cost - oracle.cost,
                    recovered: recovered(never, always, oracle.cost, cost),
                    recovered_at_equal_budget: recovered(never, always, equal, cost),
                    recovered_on_window: on_window,
                    above_recommended: interval(&difference(&way.costs, &best)),
                    entry,
                    way,
                },
            ));
        }
        scored.sort_by(|(_, a), (_, b)| a.way.cost().total_cmp(&b.way.cost()));
        let recommended = scored.iter().position(|(is, _)| *is).unwrap_or(0);
        let scored = scored.into_iter().map(|(_, scored)| scored).collect();
        Ok(Outcome { scored, recommended, oracle, by_pick, never, always, walk_forward, champion })
    }

    /// Only the recommended entry of a field, scored, and what it is measured by.
    pub fn recommended(&self, field: &Field) -> Result<Recommended, WrongPrice> {
        let entries = field.entries(self.split);
        let entry = entries[self.recommend(&entries)].clone();
        let champion = self.champion();
        let oracle = oracle::best(&self.stretch(champion))?.cost;
        let way = self.scored(&entry.rule, entry.pick, champion);
        let (never, always) = self.plain(champion);
        let recovered = recovered(never, always, oracle, way.cost());
        Ok(Recommended { entry, way, recovered, never, always, oracle })
    }

    /// Every family on every window, its parameters tuned on the periods before `end`.
    #[must_use]
    pub fn entries(&self, end: usize) -> Vec<Entry> {
        self.field().entries(end)
    }

    fn whole(&self, rule: &Rule, pick: Pick) -> Way {
        let periods = 0..self.world.periods();
        walk(self.world, &self.tariff, periods, (rule, pick), Standing::first())
    }

    /// What an entry does on the scored periods: with the memory of those before, and the champion
    /// that all of them begin with.
    fn scored(&self, rule: &Rule, pick: Pick, champion: Serving) -> Way {
        let (world, tariff) = (self.world, &self.tariff);
        let before = walk(world, tariff, 0..self.split, (rule, pick), Standing::first());
        let standing = before.end.with_champion(champion);
        walk(world, tariff, self.split..world.periods(), (rule, pick), standing)
    }

    /// Cost of never and of always on the configured window over the scored periods.
    fn plain(&self, champion: Serving) -> (f64, f64) {
        let cost = |rule: Rule| self.scored(&rule, Pick::Window(self.home), champion).cost();
        (cost(Rule::Never), cost(Rule::Always))
    }

    /// What each window is worth by itself.
    fn by_pick(&self, champion: Serving) -> Result<Vec<Alone>, WrongPrice> {
        let windows = self.picks.iter().filter_map(|pick| match *pick {
            Pick::Window(window) => Some((*pick, window)),
            Pick::Grown(_) => None,
        });
        let alone = windows.map(|(pick, window)| {
            let stretch = Stretch { only: Some(window), ..self.stretch(champion) };
            let oracle = oracle::best(&stretch)?.cost;
            let always = self.scored(&Rule::Always, pick, champion).cost();
            Ok(Alone { pick, oracle, always })
        });
        alone.collect()
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
        Stretch { world, tariff, from: self.split, to: world.periods(), champion, only: None }
    }

    /// Known at the end of the first half.
    fn scale(&self) -> Scale {
        let mut costs = Vec::new();
        let mut rows = Vec::new();
        for period in 0..self.split {
            costs.push(self.tariff.price(&Paid::keep(self.world, Serving::First, period)));
            #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
            rows.push(self.world.observe(Serving::First, period, Look::WithoutDrift).rows as f64);
        }
        let last = self.split.saturating_sub(1);
        let version = Serving::Trained { period: last, window: self.home };
        let trained = self.world.is_trained(last, self.home);
        let version = if trained { version } else { Serving::First };
        Scale {
            periods: self.split,
            rows: median(rows),
            loss_cost: median(costs),
            run_cpu_hours: self.world.cpu_hours(version),
        }
    }

    fn walk_forward(
        &self,
        field: &Field,
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
            let entries = field.entries(start);
            let chosen = &entries[self.recommend(&entries)];
            let policy = (&chosen.rule, chosen.pick);
            let standing_now = standing.take().unwrap_or_else(|| {
                let first = Standing::first();
                walk(self.world, &self.tariff, 0..start, policy, first).end.with_champion(champion)
            });
            let way = walk(self.world, &self.tariff, start..end, policy, standing_now);
            cost += way.cost();
            stretches.push((start..end, chosen.name.clone(), chosen.pick));
            standing = Some(way.end);
        }
        WalkForward { cost, recovered: recovered(never, always, oracle.cost, cost), stretches }
    }
}

impl<W: World> Contest<'_, W> {
    /// Share of resamples on either side of the interval by which windows are told apart: the best was picked among so many
    /// (Bonferroni).
    fn doubt(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a few windows")]
        let picks = self.picks.len().max(1) as f64;
        TAIL / picks
    }

    /// The simplest entry of those that the tuning periods cannot tell from the cheapest.
    fn recommend(&self, entries: &[Entry]) -> usize {
        let cost = |place: &usize| 0.0 + entries[*place].tuning.iter().sum::<f64>();
        let places = || 0..entries.len();
        let Some(best) = places().min_by(|a, b| cost(a).total_cmp(&cost(b))) else { return 0 };
        let alike = places().filter(|place| {
            let above = difference(&entries[*place].tuning, &entries[best].tuning);
            *place == best || resampled(&above, self.doubt()).low <= 0.0
        });
        let simplicity = |place: &usize| {
            let Entry { rule, pick, .. } = &entries[*place];
            let chosen = matches!(pick, Pick::Window(window) if self.world.is_chosen(*window));
            // The owner's own window needs no reason, every other one does.
            (rule.parts() + usize::from(chosen), *pick != Pick::Window(self.home))
        };
        alike
            .min_by(|a, b| simplicity(a).cmp(&simplicity(b)).then(cost(a).total_cmp(&cost(b))))
            .unwrap_or(best)
    }
}

impl Field {
    /// Every family on every window, its parameters tuned on the periods before `end`.
    #[must_use]
    pub fn entries(&self, end: usize) -> Vec<Entry> {
        let tuned = self.rows.iter().filter_map(|tries| {
            let cost = |way: &Way| 0.0 + way.costs[..end].iter().sum::<f64>();
            let mut best: Option<(f64, &Rule, &Way)> = None;
            for (rule, way) in &tries.ways {
                let cost = cost(way);
                if best.is_none_or(|(least, ..)| cost < least * (1.0 - BETTER_SHARE_MIN)) {
                    best = Some((cost, rule, way));
                }
            }
            let (_, rule, way) = best?;
            Some(Entry {
                name: tries.name.clone(),
                rule: rule.clone(),
                pick: tries.pick,
                tuning: way.costs[..end].to_vec(),
            })
        });
        tuned.collect()
    }
}

/// The same as a map in order, on all cores.
pub(super) fn in_parallel<T: Sync, R: Send>(items: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let threads = std::thread::available_parallelism().map_or(1, usize::from).min(items.len());
    if threads < 2 {
        return items.iter().map(work).collect();
    }
    let next = AtomicUsize::new(0);
    let mut found = std::thread::scope(|scope| {
        let take = || {
            let mut found = Vec::new();
            loop {
                let place = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(place) else { return found };
                found.push((place, work(item)));
            }
        };
        let threads = (0..threads).map(|_| scope.spawn(take)).collect::<Vec<_>>();
        let mut found = Vec::with_capacity(items.len());
        for thread in threads {
            match thread.join() {
                Ok(part) => found.extend(part),
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        found
    });
    found.sort_by_key(|(place, _)| *place);
    found.into_iter().map(|(_, result)| result).collect()
}

/// Share of what hindsight saves beside never and always; `None` where that is not worth winning.
#[must_use]
pub fn recovered(never: f64, always: f64, oracle: f64, cost: f64) -> Option<f64> {
    let start = never.min(always);
    let to_win = start - oracle;
    (to_win >= WORTH_WINNING * never && to_win > 0.0).then(|| (start - cost) / to_win)
}

pub(super) fn difference(costs: &[f64], others: &[f64]) -> Vec<f64> {
    costs.iter().zip(others).map(|(cost, other)| cost - other).collect()
}

/// The sum of a series with its interval: circular block bootstrap (Politis & Romano 1992), blocks
/// as long as the series' own dependence asks (Politis & White 2004).
#[must_use]
pub fn interval(values: &[f64]) -> Interval {
    resampled(values, TAIL)
}

/// The same with another share of the resamples on either side.
fn resampled(values: &[f64], tail: f64) -> Interval {
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
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        clippy::cast_precision_loss,
        reason = "a share of a few thousand"
    )]
    let outside = (RESAMPLES as f64 * tail) as usize;
    Interval { total, low: at(outside), high: at(RESAMPLES - outside) }
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or(0.0)
}
