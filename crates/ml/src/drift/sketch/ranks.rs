//! The ranks of a column of numbers in fixed memory: a tally while there are few distinct numbers,
//! then a KLL sketch.
//!
//! Source: Karnin, Lang & Liberty, *Optimal quantile approximation in streams*, FOCS 2016; merging:
//! Agarwal et al., *Mergeable summaries*, PODS 2012. Own rather than the crate `datasketches`,
//! which throws coins from a global source, takes one value at a time and states its error by a
//! fitted formula; here whole buffers are sorted by digits and the error is added up as it is made.

use serde::{Deserialize, Serialize};

use super::moments::Moments;
use super::weighted::Weighted;
use crate::drift::sort;

/// Newest values, kept as they came, at most.
const NEWEST_MAX: usize = 32_768;

/// Values that a level keeps at least before it is thinned.
const LEVEL_MIN: usize = 8;

/// ln(2 / 0.01): Hoeffding's bound on both sides at 99 %.
const LOG_TWO_OVER_DOUBT: f64 = 5.298_317_366_548_036;

/// Numbers by their keys (see [`sort::key`]), which order as they do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct RankSketch {
    /// Keys that all parts hold together, at most.
    capacity: usize,
    /// Unsorted; each stands for one value.
    newest: Vec<u64>,
    older: Older,
    /// Smallest and largest key.
    range: Option<(u64, u64)>,
    /// Where the sequence of coins stands.
    coins: u64,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Older {
    /// Everything: distinct keys, ascending, and how often each occurred.
    Tally { keys: Vec<u64>, counts: Vec<u64> },
    /// A sample: keys at level `h` stand for 2^h values each.
    Levels {
        levels: Vec<Level>,
        /// What the thinnings may add to the variance of a rank, at most.
        variance: f64,
    },
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Level {
    /// Ascending runs, one behind the other; merged when the level is thinned, not before.
    keys: Vec<u64>,
    /// The coin of the last thinning, where the next one is to do the opposite: together they then
    /// are off by no more than one of them.
    opposite: Option<bool>,
}

impl Level {
    /// Adds ascending keys.
    fn take(&mut self, run: &[u64]) {
        self.keys.reserve_exact(run.len());
        self.keys.extend_from_slice(run);
    }

    fn ordered(&self) -> Vec<u64> {
        let mut keys = self.keys.clone();
        #[expect(clippy::stable_sort_primitive, reason = "it finds the runs and merges them")]
        keys.sort();
        keys
    }
}

impl RankSketch {
    pub(super) fn new(budget_bytes: usize) -> RankSketch {
        let capacity = budget_bytes / size_of::<u64>();
        let older = Older::Tally { keys: Vec::new(), counts: Vec::new() };
        RankSketch { capacity, newest: Vec::new(), older, range: None, coins: 0 }
    }

    /// Takes `values`, adding to the moments; returns how many are present, or the position of the
    /// first infinity.
    pub(super) fn update(&mut self, values: &[f64], moments: &mut Moments) -> Result<usize, usize> {
        let newest_max = self.newest_max();
        let (mut start, mut present) = (0, 0);
        while start < values.len() {
            let room = newest_max - self.newest.len();
            let end = values.len().min(start + room);
            let before = self.newest.len();
            let part = &values[start..end];
            let shift = moments.centre().or_else(|| part.iter().copied().find(|v| v.is_finite()));
            let shift = shift.unwrap_or(0.0);
            self.newest.reserve_exact(newest_max - before);
            let (mut sum, mut squares, mut infinite) = (0.0, 0.0, false);
            for &value in part {
                if value.is_nan() {
                    continue;
                }
                infinite |= value.is_infinite();
                let gap = value - shift;
                sum += gap;
                squares += gap * gap;
                self.newest.push(sort::key(value));
            }
            if infinite {
                let at = part.iter().position(|value| value.is_infinite()).unwrap_or(0);
                return Err(start + at);
            }
            let taken = self.newest.len() - before;
            moments.merge(&Moments::of(taken as u64, shift, sum, squares));
            present += taken;
            start = end;
            if self.newest.len() == newest_max {
                self.settle();
            }
        }
        Ok(present)
    }

    /// Keys that the older ones may be, at most.
    fn room(&self) -> usize {
        self.capacity - self.newest_max()
    }

    fn newest_max(&self) -> usize {
        NEWEST_MAX.min(self.capacity / 4)
    }

    /// Sorts the newest values into the older ones.
    fn settle(&mut self) {
        let mut newest = std::mem::take(&mut self.newest);
        if newest.is_empty() {
            return;
        }
        sort::ascending(&mut newest);
        self.range = widened(self.range, newest.first().copied().zip(newest.last().copied()));
        let room = self.room();
        match &mut self.older {
            Older::Tally { keys, counts } => {
                let (more, how_often) = counted(&newest);
                (*keys, *counts) = joined([keys, &more], [counts, &how_often]);
                newest.clear();
            }
            Older::Levels { levels, variance } => {
                lift(&mut newest, levels, room, variance, &mut self.coins);
            }
        }
        self.newest = newest; // keeps its memory
        self.shrink();
    }

    /// Thins the lowest levels that are full until all fit.
    fn shrink(&mut self) {
        let room = self.room();
        if let Older::Tally { keys, counts } = &self.older {
            if 2 * keys.len() <= room {
                return;
            }
            self.older = Older::Levels { levels: levels_of(keys, counts), variance: 0.0 };
        }
        let Older::Levels { levels, variance } = &mut self.older else { return };
        while levels.iter().map(|level| level.keys.len()).sum::<usize>() > room {
            let top = levels.len() - 1;
            let full = |height: &usize| levels[*height].keys.len() > share(room, top - height);
            let full = (0..top).find(full).unwrap_or(top);
            thin(levels, full, variance, &mut self.coins);
        }
    }

    /// Takes what `other` holds.
    pub(super) fn merge(&mut self, other: &RankSketch) {
        self.capacity = self.capacity.min(other.capacity);
        self.settle();
        self.range = widened(self.range, other.range);
        match (&mut self.older, &other.older) {
            (Older::Tally { keys, counts }, Older::Tally { keys: more, counts: how_often }) => {
                (*keys, *counts) = joined([keys, more], [counts, how_often]);
            }
            (
                Older::Levels { levels, variance },
                Older::Levels { levels: more, variance: doubt },
            ) => {
                add(levels, more);
                *variance += doubt;
            }
            (Older::Levels { levels, .. }, Older::Tally { keys, counts }) => {
                add(levels, &levels_of(keys, counts));
            }
            (Older::Tally { keys, counts }, Older::Levels { levels: more, variance }) => {
                let mut levels = levels_of(keys, counts);
                add(&mut levels, more);
                self.older = Older::Levels { levels, variance: *variance };
            }
        }
        self.coins = mixed(self.coins ^ other.coins.rotate_left(32));
        self.shrink();
        self.newest.extend_from_slice(&other.newest);
        if self.newest.len() >= self.newest_max() {
            self.settle();
        }
    }

    /// Smallest and largest number.
    pub(super) fn range(&self) -> Option<(f64, f64)> {
        let newest = self.newest.iter().min().copied().zip(self.newest.iter().max().copied());
        let (smallest, largest) = widened(self.range, newest)?;
        Some((sort::value(smallest), sort::value(largest)))
    }

    /// All that is kept, in order, with weights.
    pub(super) fn view(&self) -> Weighted {
        let mut newest = self.newest.clone();
        sort::ascending(&mut newest);
        let (keys, counts) = match &self.older {
            Older::Tally { keys, counts } => {
                let (more, how_often) = counted(&newest);
                joined([keys, &more], [counts, &how_often])
            }
            Older::Levels { levels, .. } => {
                let mut all = counted(&newest);
                for (height, level) in levels.iter().enumerate() {
                    let (keys, mut counts) = counted(&level.ordered());
                    counts.iter_mut().for_each(|count| *count <<= height);
                    all = joined([&all.0, &keys], [&all.1, &counts]);
                }
                all
            }
        };
        Weighted::new(keys.into_iter().map(sort::value).collect(), counts, self.range())
    }

    /// See [`super::ColumnSketch::rank_error`].
    pub(super) fn rank_error(&self) -> f64 {
        match &self.older {
            Older::Tally { .. } => 0.0,
            Older::Levels { levels, variance } => {
                let values = levels.iter().enumerate();
                let values = values.map(|(height, level)| (level.keys.len() as u64) << height);
                let present = (values.sum::<u64>() + self.newest.len() as u64).max(1) as f64;
                ((2.0 * variance * LOG_TWO_OVER_DOUBT).sqrt() / present).min(1.0)
            }
        }
    }

    pub(super) fn bytes(&self) -> usize {
        let older = match &self.older {
            Older::Tally { keys, counts } => keys.capacity() + counts.capacity(),
            Older::Levels { levels, .. } => levels.iter().map(|level| level.keys.capacity()).sum(),
        };
        (older + self.newest.capacity()) * size_of::<u64>()
    }
}

/// Keys that a level `below` the top one may be: the top level gets a third of the room, each lower
/// one two thirds of the one above.
fn share(room: usize, below: usize) -> usize {
    let mut share = room / 3;
    for _ in 0..below {
        if share <= LEVEL_MIN {
            break;
        }
        share = share * 2 / 3;
    }
    share.max(LEVEL_MIN)
}

/// Of `newest`, ascending, one in 2^h moves to the lowest level h that has the room for them: levels
/// that these would fill at once are left out. The smallest few that make no whole group stay.
///
/// Where a rank falls into a group, it is off by less than the group, so that by Hoeffding's lemma
/// the group's square over four bounds its variance.
fn lift(
    newest: &mut Vec<u64>,
    levels: &mut [Level],
    room: usize,
    variance: &mut f64,
    coins: &mut u64,
) {
    let top = levels.len() - 1;
    let fits = |height: &usize| newest.len() >> height <= share(room, top - height);
    let height = (0..top).find(fits).unwrap_or(top);
    let group = 1 << height;
    let rest = newest.len() % group;
    if height == 0 {
        levels[0].take(newest);
    } else {
        *coins = mixed(*coins ^ newest[newest.len() / 2]);
        let place = usize::try_from(*coins % group as u64).unwrap_or(0);
        let kept = newest[rest..].chunks_exact(group).map(|keys| keys[place]);
        levels[height].take(&kept.collect::<Vec<_>>());
        *variance += 4_f64.powi(i32::try_from(height).unwrap_or(i32::MAX)) / 4.0;
    }
    newest.truncate(rest);
}

/// Every second key of level `height` moves one up and stands for twice as many values. A rank
/// changes by 2^height or not at all, up or down as the coin falls.
fn thin(levels: &mut Vec<Level>, height: usize, variance: &mut f64, coins: &mut u64) {
    if height + 1 == levels.len() {
        levels.push(Level::default());
    }
    let level = &mut levels[height];
    let keys = level.ordered();
    let second = match level.opposite.take() {
        Some(coin) => !coin,
        None => {
            // The coin depends on the values, so that two parts of a stream throw different ones.
            *coins = mixed(*coins ^ keys.get(keys.len() / 2).copied().unwrap_or(0));
            let coin = *coins & 1 == 1;
            level.opposite = Some(coin);
            *variance += 4_f64.powi(i32::try_from(height).unwrap_or(i32::MAX));
            coin
        }
    };
    let odd = keys.len() % 2;
    level.keys.truncate(0);
    level.keys.extend_from_slice(&keys[..odd]);
    level.keys.shrink_to_fit();
    let kept = keys[odd..].chunks_exact(2).map(|pair| pair[usize::from(second)]);
    let kept = kept.collect::<Vec<_>>();
    levels[height + 1].take(&kept);
}

/// A key that occurred `count` times stands in the levels of the ones in that number.
fn levels_of(keys: &[u64], counts: &[u64]) -> Vec<Level> {
    let most = counts.iter().copied().max().unwrap_or(1).max(1);
    (0..=most.ilog2())
        .map(|height| {
            let held = keys.iter().zip(counts).filter(|(_, count)| **count >> height & 1 == 1);
            Level { keys: held.map(|(key, _)| *key).collect(), opposite: None }
        })
        .collect()
}

/// Adds `more` level by level.
fn add(levels: &mut Vec<Level>, more: &[Level]) {
    if levels.len() < more.len() {
        levels.resize(more.len(), Level::default());
    }
    for (level, more) in levels.iter_mut().zip(more) {
        level.take(&more.keys);
        level.opposite = None;
    }
}

/// Ascending keys as distinct ones with counts.
fn counted(keys: &[u64]) -> (Vec<u64>, Vec<u64>) {
    let runs = keys.chunk_by(|a, b| a == b);
    runs.filter_map(|run| Some((*run.first()?, run.len() as u64))).unzip()
}

/// Two lists of distinct ascending keys with counts as one.
fn joined(keys: [&[u64]; 2], counts: [&[u64]; 2]) -> (Vec<u64>, Vec<u64>) {
    let [left, right] = keys;
    let mut all = (
        Vec::with_capacity(left.len() + right.len()),
        Vec::with_capacity(left.len() + right.len()),
    );
    let (mut i, mut j) = (0, 0);
    while i < left.len() || j < right.len() {
        let a = left.get(i).copied().unwrap_or(u64::MAX);
        let b = right.get(j).copied().unwrap_or(u64::MAX);
        let (from_left, from_right) = (a <= b && i < left.len(), b <= a && j < right.len());
        let mut count = 0;
        if from_left {
            count += counts[0][i];
            i += 1;
        }
        if from_right {
            count += counts[1][j];
            j += 1;
        }
        all.0.push(a.min(b));
        all.1.push(count);
    }
    all.0.shrink_to_fit();
    all.1.shrink_to_fit();
    all
}

fn widened(a: Option<(u64, u64)>, b: Option<(u64, u64)>) -> Option<(u64, u64)> {
    match (a, b) {
        (Some(a), Some(b)) => Some((a.0.min(b.0), a.1.max(b.1))),
        (one, other) => one.or(other),
    }
}

/// SplitMix64's step (Steele, Lea & Flood 2014).
fn mixed(state: u64) -> u64 {
    let z = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
