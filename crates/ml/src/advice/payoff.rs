//! When retraining would have paid, told from the predictions of what served alone.
//!
//! What a fresh version would have lost cannot be seen in a log and is assumed: **a version is as good again,
//! for how hard its rows are, as this one was at first**. Hence `fresh = ratio × difficulty` with the ratio
//! of loss to difficulty in a version's first periods; what is lost above it is the excess. The excess is
//! smoothed into level stretches; one retrained at `s` loses at `t` what the world moved since:
//! `max(0, level(t) − level(s))`, never less than a fresh one. Noise therefore counts against retraining.

use serde::Serialize;

use super::steps;
use crate::compare::optimal_block_length;
use crate::rng::Rng;

/// Labelled rows that the first level of a version is told from, where it has them.
const FRESH_ROWS: f64 = 2_000.0;
/// Resamples behind every interval.
const RESAMPLES: usize = 400;
/// Intervals of retraining that are tried at most.
const INTERVALS_MAX: usize = 60;
/// Prices of a run that are shown, as multiples.
const FACTORS: [f64; 5] = [0.1, 0.3, 1.0, 3.0, 10.0];
/// One run costs this share of what a constant guess loses in a usual period, where no price is stated.
pub const RUN_SHARE: f64 = 0.002;

/// What things cost, in the owner's unit.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Prices {
    /// Of one unit of loss of one prediction.
    pub per_loss: f64,
    /// Of one retraining.
    pub per_run: f64,
}

/// A log period by period, as far as cost is concerned.
#[derive(Clone, Debug, Default)]
pub struct Course {
    /// Predictions, labelled or not.
    pub rows: Vec<f64>,
    /// Of those, labelled.
    pub labelled: Vec<f64>,
    /// Mean loss; anything where not usable.
    pub loss: Vec<f64>,
    /// Sampling variance of `loss`: what its rows alone make it swing.
    pub variance: Vec<f64>,
    /// Mean loss of always answering the period's own base rate.
    pub difficulty: Vec<f64>,
    /// What served most.
    pub version: Vec<u16>,
    /// Enough labels are there, of more than one kind.
    pub usable: Vec<bool>,
    /// Mean loss after recalibration on earlier periods.
    pub recalibrated: Vec<Option<f64>>,
}

/// A value with its 95 % interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Interval {
    /// Best guess.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// A course with what a fresh version would have lost.
#[derive(Clone, Debug, PartialEq)]
pub struct Levels {
    /// Loss of a fresh version.
    pub fresh: Vec<f64>,
    /// Loss above that; NaN where not usable.
    pub excess: Vec<f64>,
    /// The excess smoothed into stretches.
    pub level: Vec<f64>,
    /// Where stretches begin; the starts of versions included.
    pub starts: Vec<usize>,
    /// Periods that the first version's first level was told from.
    pub fresh_periods: usize,
    /// How far the world had moved, counting only what was seen within a version.
    moved: Vec<f64>,
}

/// Retraining at fixed intervals.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Every {
    /// Periods between two.
    pub periods: usize,
    /// Retrainings.
    pub runs: usize,
    /// Loss and retrainings at their prices.
    pub cost: f64,
    /// Against the log as it is; the interval is of this schedule, not of the best of many.
    pub saving: Interval,
}

/// The best times in hindsight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Optimum {
    /// Periods at whose beginning a fresh version takes over.
    pub starts: Vec<usize>,
    /// Loss and retrainings at their prices.
    pub cost: f64,
    /// Against the log as it is. Nobody can have all of it: it knows the future.
    pub saving: f64,
}

/// What another price of a run would have made best.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Sweep {
    /// Multiple of the price.
    pub factor: f64,
    /// The price.
    pub per_run: f64,
    /// The best interval; `None` where none saves anything.
    pub best: Option<Every>,
    /// In hindsight.
    pub optimum: Optimum,
}

/// What retraining would have bought.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Payoff {
    /// The prices.
    pub prices: Prices,
    /// Loss of the log as it is, at its price, and its own retrainings.
    pub kept: f64,
    /// Retrainings that the log shows: versions after the first.
    pub runs_logged: usize,
    /// Fixed intervals, the shortest first.
    pub every: Vec<Every>,
    /// The one of `every` with the largest saving, where that is above 0.
    pub best: Option<Every>,
    /// In hindsight.
    pub optimum: Optimum,
    /// What recalibrating before every period on the labels by then would have saved, at no price;
    /// `None` where predictions cannot be recalibrated.
    pub recalibration: Option<Interval>,
    /// Excess loss of a prediction at the end of the log.
    pub excess_now: Interval,
    /// Periods after which a retraining now has paid for itself, where the excess stays as it is.
    pub pays_back_after: Option<f64>,
    /// Other prices.
    pub sweep: Vec<Sweep>,
}

/// Tells what a fresh version would have lost, by version and period.
#[must_use]
pub fn levels(course: &Course, loss: &[f64]) -> Levels {
    let count = loss.len();
    let reigns = reigns(&course.version);
    let usable = |from: usize, to: usize| (from..to).filter(|at| course.usable[*at]);
    let fresh_max = (usable(0, count).count() / 6).max(2);
    let first_of = |from: usize, to: usize| {
        let mut rows = 0.0;
        let mut first = Vec::new();
        for at in usable(from, to) {
            if first.len() >= fresh_max || (first.len() >= 2 && rows >= FRESH_ROWS) {
                break;
            }
            rows += course.labelled[at];
            first.push(at);
        }
        first
    };
    let ratio_of = |periods: &[usize]| {
        let sum = |values: &[f64]| {
            periods.iter().map(|at| values[*at] * course.labelled[*at]).sum::<f64>()
        };
        let (loss, difficulty) = (sum(loss), sum(&course.difficulty));
        if difficulty > 0.0 { loss / difficulty } else { 1.0 }
    };
    let firsts = reigns.iter().map(|(from, to)| first_of(*from, *to)).collect::<Vec<_>>();
    let pooled = ratio_of(&firsts.concat());
    let mut fresh = vec![0.0; count];
    let mut excess = vec![f64::NAN; count];
    let mut level = vec![0.0; count];
    let mut starts = Vec::new();
    let mut moved = vec![0.0; count];
    let mut so_far = 0.0;
    for ((from, to), first) in reigns.iter().zip(&firsts) {
        let own = usable(*from, *to).collect::<Vec<_>>();
        // A reign that is hardly longer than its beginning has no level of its own.
        let ratio = if own.len() > first.len() { ratio_of(first) } else { pooled };
        for at in *from..*to {
            fresh[at] = ratio * course.difficulty[at];
            if course.usable[at] {
                excess[at] = loss[at] - fresh[at];
            }
        }
        let values = own.iter().map(|at| excess[*at]).collect::<Vec<_>>();
        let weights = own.iter().map(|at| course.labelled[*at].max(1.0)).collect::<Vec<_>>();
        let mean = weights.iter().sum::<f64>() / weights.len().max(1) as f64;
        // A period of many rows is not that much surer: what moves between periods moves all rows.
        let weights = weights.iter().map(|w| (w / mean).clamp(0.25, 2.0)).collect::<Vec<_>>();
        // Few periods can look calmer by chance than their rows allow.
        let chance =
            own.iter().map(|at| course.variance[*at]).sum::<f64>() / own.len().max(1) as f64;
        let penalty = 4.0 * steps::noise(&values).max(chance) * (values.len().max(2) as f64).ln();
        let length_min = (values.len() / 20).max(2);
        let breaks = steps::partition(&values, &weights, penalty, length_min);
        let smooth = steps::levels(&values, &weights, &breaks);
        starts.push(*from);
        starts.extend(breaks.iter().skip(1).map(|place| own[*place]));
        let mut next = own.iter().zip(&smooth).peekable();
        let mut now = smooth.first().copied().unwrap_or(0.0);
        let mut before = now;
        for at in *from..*to {
            if let Some((_, value)) = next.next_if(|(place, _)| **place == at) {
                now = *value;
            }
            level[at] = now;
            so_far += now - before;
            before = now;
            moved[at] = so_far;
        }
    }
    // One version alone: what moved is the excess itself, the first stretch included.
    if let ([_], Some(base)) = (&reigns[..], level.first().copied()) {
        moved.iter_mut().for_each(|value| *value += base);
    }
    let fresh_periods = firsts.first().map_or(0, Vec::len);
    Levels { fresh, excess, level, starts, fresh_periods, moved }
}

/// What retraining would have bought at these prices.
#[must_use]
pub fn payoff(course: &Course, levels_seen: &Levels, prices: Prices, seed: u64) -> Payoff {
    let count = course.rows.len();
    let runs_logged = reigns(&course.version).len().saturating_sub(1);
    let kept = (0..count)
        .map(|at| course.rows[at] * (levels_seen.fresh[at] + known_excess(levels_seen, at)))
        .sum::<f64>()
        * prices.per_loss
        + runs_logged as f64 * prices.per_run;
    let lengths = lengths(count);
    let gross = lengths.iter().map(|n| saved(course, levels_seen, &schedule(*n, count)));
    let gross = gross.collect::<Vec<_>>();
    let resampled = resample(course, levels_seen, &lengths, seed);
    let interval = |values: Vec<f64>, value: f64| {
        let (low, high) = middle(values);
        Interval { value, low: low.min(value), high: high.max(value) }
    };
    let at_price = |per_run: f64| {
        lengths
            .iter()
            .enumerate()
            .map(|(place, periods)| {
                let runs = schedule(*periods, count).len();
                let paid = (runs as f64 - runs_logged as f64) * per_run;
                let worth = |gross: f64| gross * prices.per_loss - paid;
                let values = resampled.iter().map(|(savings, _)| worth(savings[place])).collect();
                let saving = interval(values, worth(gross[place]));
                let cost = kept_at(kept, runs_logged, prices.per_run, per_run) - saving.value;
                Every { periods: *periods, runs, cost, saving }
            })
            .collect::<Vec<_>>()
    };
    let best_of = |every: &[Every]| {
        let worth = every.iter().filter(|one| one.saving.value > 0.0);
        worth.max_by(|a, b| a.saving.value.total_cmp(&b.saving.value)).copied()
    };
    let every = at_price(prices.per_run);
    let sweep = FACTORS.iter().map(|factor| {
        let per_run = factor * prices.per_run;
        let prices = Prices { per_run, ..prices };
        let best = best_of(&at_price(per_run));
        Sweep { factor: *factor, per_run, best, optimum: optimum(course, levels_seen, prices) }
    });
    let excess_now = levels_seen.level.last().copied().unwrap_or(0.0);
    let excess_now = interval(resampled.iter().map(|(_, now)| *now).collect(), excess_now);
    let mut usual = course.rows.clone();
    usual.sort_unstable_by(f64::total_cmp);
    let usual = usual.get(count / 2).copied().unwrap_or(0.0);
    let a_period = excess_now.value * usual * prices.per_loss;
    Payoff {
        prices,
        kept,
        runs_logged,
        best: best_of(&every),
        every,
        optimum: optimum(course, levels_seen, prices),
        recalibration: recalibration(course, prices, seed),
        excess_now,
        pays_back_after: (a_period > 0.0).then(|| prices.per_run / a_period),
        sweep: sweep.collect(),
    }
}

/// The exact best times by dynamic programming over the last retraining: `O(periods²)`.
#[must_use]
pub fn optimum(course: &Course, levels: &Levels, prices: Prices) -> Optimum {
    let count = course.rows.len();
    // cost[from] until now of a version that took over at `from`; entry 0 is the log as it is.
    let mut serving = vec![f64::INFINITY; count + 1];
    let mut came_from = vec![0_usize; count + 1];
    if count == 0 {
        return Optimum { starts: Vec::new(), cost: 0.0, saving: 0.0 };
    }
    serving[0] = 0.0;
    for at in 0..count {
        if at > 0 {
            let mut best = 0;
            for from in 1..at {
                if serving[from] < serving[best] {
                    best = from;
                }
            }
            serving[at] = serving[best] + prices.per_run;
            came_from[at] = best;
        }
        let rows = course.rows[at] * prices.per_loss;
        serving[0] += rows * (levels.fresh[at] + known_excess(levels, at));
        for (from, cost) in serving.iter_mut().enumerate().take(at + 1).skip(1) {
            *cost += rows * (levels.fresh[at] + excess_since(levels, from, at));
        }
    }
    let kept = serving[0];
    let last =
        (0..count).fold(0, |best, from| if serving[from] < serving[best] { from } else { best });
    let mut starts = Vec::new();
    let mut at = last;
    while at > 0 {
        starts.push(at);
        at = came_from[at];
    }
    starts.reverse();
    let runs_logged = reigns(&course.version).len().saturating_sub(1);
    let logged = runs_logged as f64 * prices.per_run;
    // With retrainings of its own the log costs those too, and the best schedule does without them.
    let saving = if starts.is_empty() { 0.0 } else { kept + logged - serving[last] };
    let cost = if starts.is_empty() { kept + logged } else { serving[last] };
    Optimum { starts, cost, saving }
}

/// Excess of the log as it is: smoothed where a period has too few labels.
fn known_excess(levels: &Levels, at: usize) -> f64 {
    levels.level[at]
}

/// Excess at `at` of a version that was retrained at `from`.
fn excess_since(levels: &Levels, from: usize, at: usize) -> f64 {
    (levels.moved[at] - levels.moved[from]).max(0.0)
}

/// Loss that retraining at these periods saves, the retrainings not deducted.
fn saved(course: &Course, levels: &Levels, starts: &[usize]) -> f64 {
    let mut saved = 0.0;
    for (place, from) in starts.iter().enumerate() {
        let to = starts.get(place + 1).copied().unwrap_or(course.rows.len());
        for at in *from..to {
            saved += course.rows[at] * (known_excess(levels, at) - excess_since(levels, *from, at));
        }
    }
    saved
}

fn kept_at(kept: f64, runs_logged: usize, per_run: f64, other: f64) -> f64 {
    kept + runs_logged as f64 * (other - per_run)
}

fn schedule(every: usize, count: usize) -> Vec<usize> {
    (every..count).step_by(every.max(1)).collect()
}

/// Every interval up to half the log, thinned out where they are many.
fn lengths(count: usize) -> Vec<usize> {
    let longest = count.saturating_sub(1);
    let stride = longest.div_ceil(INTERVALS_MAX).max(1);
    let mut lengths = (1..=longest).step_by(stride).collect::<Vec<_>>();
    if stride > 1 {
        lengths.extend(2..=stride.min(8));
        lengths.sort_unstable();
        lengths.dedup();
    }
    lengths
}

/// Half-open stretches of one version.
pub(super) fn reigns(versions: &[u16]) -> Vec<(usize, usize)> {
    let mut reigns: Vec<(usize, usize)> = Vec::new();
    for at in 0..versions.len() {
        match reigns.last_mut() {
            Some((_, to)) if versions[at - 1] == versions[at] => *to = at + 1,
            _ => reigns.push((at, at + 1)),
        }
    }
    reigns
}

/// Savings of every interval, and the last level, for courses whose deviations from the levels were drawn
/// anew in blocks (circular block bootstrap: Politis & Romano, 1992). The first level of each version and
/// the stretches are told anew each time, so that their error counts.
fn resample(course: &Course, seen: &Levels, lengths: &[usize], seed: u64) -> Vec<(Vec<f64>, f64)> {
    let count = course.rows.len();
    let usable = (0..count).filter(|at| course.usable[*at]).collect::<Vec<_>>();
    if usable.is_empty() {
        return Vec::new();
    }
    let mean = usable.iter().map(|at| course.labelled[*at]).sum::<f64>() / usable.len() as f64;
    let scale = |at: usize| (course.labelled[at] / mean).clamp(0.25, 4.0).sqrt();
    let deviations = usable.iter().map(|at| (seen.excess[*at] - seen.level[*at]) * scale(*at));
    let deviations = deviations.collect::<Vec<_>>();
    let block = optimal_block_length(&deviations).max(2).min(usable.len());
    let mut rng = Rng::new(seed);
    (0..RESAMPLES)
        .map(|_| {
            let mut loss = course.loss.clone();
            let mut place = 0;
            while place < usable.len() {
                let from = rng.below(usable.len());
                for offset in 0..block.min(usable.len() - place) {
                    let at = usable[place + offset];
                    let drawn = deviations[(from + offset) % deviations.len()];
                    loss[at] = seen.fresh[at] + seen.level[at] + drawn / scale(at);
                }
                place += block;
            }
            let again = levels(course, &loss);
            let savings = lengths.iter().map(|n| saved(course, &again, &schedule(*n, count)));
            (savings.collect(), again.level.last().copied().unwrap_or(0.0))
        })
        .collect()
}

/// What recalibrated predictions would have saved over the periods that have them.
fn recalibration(course: &Course, prices: Prices, seed: u64) -> Option<Interval> {
    let gains = (0..course.rows.len()).filter_map(|at| {
        let gain = course.loss[at] - course.recalibrated[at].filter(|_| course.usable[at])?;
        Some(gain * course.rows[at] * prices.per_loss)
    });
    let gains = gains.collect::<Vec<_>>();
    if gains.len() < 3 {
        return None;
    }
    let block = optimal_block_length(&gains).max(2).min(gains.len());
    let mut rng = Rng::new(seed ^ 1);
    let sums = (0..RESAMPLES).map(|_| {
        let blocks = (0..gains.len()).step_by(block).map(|place| {
            let from = rng.below(gains.len());
            let length = block.min(gains.len() - place);
            (0..length).map(|offset| gains[(from + offset) % gains.len()]).sum::<f64>()
        });
        blocks.sum::<f64>()
    });
    let (low, high) = middle(sums.collect());
    let value = gains.iter().sum::<f64>();
    Some(Interval { value, low: low.min(value), high: high.max(value) })
}

/// The middle 95 % of values.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place among values")]
fn middle(mut values: Vec<f64>) -> (f64, f64) {
    values.sort_unstable_by(f64::total_cmp);
    let Some(last) = values.len().checked_sub(1) else { return (f64::NAN, f64::NAN) };
    let at = |share: f64| values[(share * last as f64).round() as usize];
    (at(0.025), at(0.975))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A course whose excess is given; difficulty 1, ratio about 0.5.
    fn course(excess: &[f64], noise: f64, seed: u64) -> Course {
        let mut rng = Rng::new(seed);
        let count = excess.len();
        Course {
            rows: vec![1_000.0; count],
            labelled: vec![1_000.0; count],
            loss: excess.iter().map(|e| 0.5 + e + noise * rng.normal()).collect(),
            variance: vec![noise * noise; count],
            difficulty: vec![1.0; count],
            version: vec![0; count],
            usable: vec![true; count],
            recalibrated: vec![None; count],
        }
    }

    fn found(course: &Course, per_run: f64) -> Payoff {
        let levels = levels(course, &course.loss);
        payoff(course, &levels, Prices { per_loss: 1.0, per_run }, 1)
    }

    fn jump() -> Vec<f64> {
        (0..40).map(|at| if at < 20 { 0.0 } else { 0.1 }).collect()
    }

    #[test]
    fn a_jump_is_best_answered_at_once() {
        let payoff = found(&course(&jump(), 0.005, 1), 100.0);
        assert_eq!(payoff.optimum.starts, [20]);
        assert!((payoff.optimum.saving - 1_900.0).abs() < 150.0, "{:?}", payoff.optimum);
        let best = payoff.best.unwrap();
        assert_eq!(best.periods, 20);
        assert!(best.saving.low > 1_500.0 && best.saving.high < 2_300.0, "{best:?}");
    }

    #[test]
    fn steady_decay_is_answered_again_and_again() {
        let rising = (0..48).map(|at| 0.005 * f64::from(at)).collect::<Vec<_>>();
        let payoff = found(&course(&rising, 0.003, 2), 100.0);
        let best = payoff.best.unwrap();
        assert!(best.runs >= 3 && best.saving.low > 0.0, "{best:?}");
        assert!(payoff.optimum.saving >= best.saving.value, "{payoff:?}");
        assert!(payoff.pays_back_after.unwrap() < 1.0);
        let runs = payoff.sweep.iter().map(|sweep| sweep.optimum.starts.len()).collect::<Vec<_>>();
        assert!(runs.windows(2).all(|pair| pair[0] >= pair[1]), "{runs:?}");
    }

    #[test]
    fn noise_seldom_makes_retraining_pay() {
        let mut fooled = 0;
        for seed in 0..100 {
            let course = course(&[0.0; 40], 0.02, seed);
            fooled +=
                u32::from(found(&course, 20.0).best.is_some_and(|best| best.saving.low > 0.0));
        }
        assert!(fooled <= 5, "{fooled} of 100");
    }

    #[test]
    fn a_harder_season_is_no_decay() {
        let mut course = course(&[0.0; 40], 0.0, 1);
        for at in 0..40 {
            course.difficulty[at] = 1.0 + 0.3 * f64::from(u8::from(at > 15 && at < 30));
            course.loss[at] = 0.5 * course.difficulty[at];
        }
        assert_eq!(found(&course, 1.0).best, None);
    }

    #[test]
    fn the_programme_is_no_worse_than_any_schedule() {
        let excess = [0.0, 0.0, 0.3, 0.3, 0.1, 0.1, 0.5, 0.5, 0.6, 0.6];
        let course = course(&excess, 0.0, 1);
        let mut seen = levels(&course, &course.loss);
        seen.level = excess.to_vec();
        seen.moved = excess.to_vec();
        let prices = Prices { per_loss: 1.0, per_run: 150.0 };
        let found = optimum(&course, &seen, prices);
        let mut best = 0.0_f64;
        for mask in 0_u32..1 << 9 {
            let starts = (1..10).filter(|at| mask >> (at - 1) & 1 == 1).collect::<Vec<_>>();
            let saving = saved(&course, &seen, &starts) - 150.0 * starts.len() as f64;
            best = best.max(saving);
        }
        assert!((found.saving - best).abs() < 1e-9, "{found:?} {best}");
        assert!(!found.starts.is_empty());
    }

    #[test]
    fn a_new_version_begins_anew() {
        let mut course = course(&[0.0, 0.0, 0.2, 0.2, 0.2, 0.0, 0.0, 0.2, 0.2, 0.2], 0.0, 1);
        course.version = vec![0, 0, 0, 0, 0, 1, 1, 1, 1, 1];
        let seen = levels(&course, &course.loss);
        assert_eq!(seen.starts, [0, 2, 5, 7]);
        assert!(seen.level[3] > 0.19 && seen.level[5].abs() < 0.01, "{seen:?}");
        assert_eq!(found(&course, 10.0).runs_logged, 1);
    }

    #[test]
    fn recalibration_is_worth_what_it_takes_away() {
        let mut course = course(&[0.1; 20], 0.0, 1);
        course.recalibrated = (0..20).map(|at| (at > 1).then_some(0.5)).collect();
        let gain = found(&course, 1.0).recalibration.unwrap();
        assert!((gain.value - 1_800.0).abs() < 1e-6 && gain.low > 1_700.0, "{gain:?}");
    }
}
