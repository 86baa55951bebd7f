//! The categories of a column in fixed memory: exact counts while the names fit; afterwards exact
//! counts of hash classes, the frequent names with bounded counts, and a filter of names seen.
//!
//! Sources: frequent names by Misra & Gries (*Finding repeated elements*, 1982), merged after Agarwal
//! et al. (*Mergeable summaries*, PODS 2012); the filter by Bloom (1970); the number of distinct
//! names by HyperLogLog (Flajolet et al. 2007).

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, DefaultHasher};

use serde::{Deserialize, Serialize};

use crate::drift::categorical::{Classes, by_name, tally};
use crate::drift::counts::Counts;
use crate::drift::picture::{self, Picture};
use crate::drift::{CategoryShare, ColumnDrift, Error, Route, Shares, Side};

/// Bytes that a name costs beside its letters.
const NAME_BYTES: usize = 80;

/// HyperLogLog registers; their standard error is 1.04 / √4096 = 1.6 %.
const REGISTERS: usize = 4_096;

/// Bits that a name sets in the filter.
const FILTER_BITS: u64 = 3;

/// Names with counts; the hash is fixed, so that every run is the same.
type Names = HashMap<String, u64, BuildHasherDefault<DefaultHasher>>;

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct CategorySketch {
    budget_bytes: usize,
    /// Rows with a category.
    present: u64,
    /// Counts by name: all of them, or, once hashed, too low by up to `short`.
    names: Names,
    /// What `names` take, about.
    names_bytes: usize,
    hashed: Option<Hashed>,
}

/// What is known of all categories once their names are too many.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Hashed {
    /// Rows by hash class, exact.
    classes: Vec<u64>,
    /// Bits of the names seen.
    filter: Vec<u64>,
    registers: Vec<u8>,
    /// What a name's count may fall short by.
    short: u64,
}

/// Whether a window has a category.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Seen {
    Certainly,
    Perhaps,
    Never,
}

impl CategorySketch {
    pub(super) fn new(budget_bytes: usize) -> CategorySketch {
        CategorySketch {
            budget_bytes,
            present: 0,
            names: Names::default(),
            names_bytes: 0,
            hashed: None,
        }
    }

    /// Takes rows; returns how many have no category, or the position of a code that names nothing.
    pub(super) fn update(&mut self, codes: &[u32], names: &[String]) -> Result<u64, usize> {
        let mut missing_rows = 0;
        // In parts that a u32 can count.
        for (at, part) in codes.chunks(1 << 30).enumerate() {
            let counted = tally("", Side::Reference, part, names);
            let (rows, missing) = counted.map_err(|error| {
                let row = if let Error::UnknownCode { row, .. } = error { row } else { 0 };
                (at << 30) + row
            })?;
            for (name, rows) in by_name(names, &rows) {
                self.add(name, rows);
            }
            missing_rows += u64::from(missing);
        }
        Ok(missing_rows)
    }

    fn add(&mut self, name: &str, rows: u64) {
        self.present += rows;
        if let Some(hashed) = &mut self.hashed {
            hashed.add(name, rows);
        }
        self.keep(name, rows);
        self.fit();
    }

    fn keep(&mut self, name: &str, rows: u64) {
        if let Some(count) = self.names.get_mut(name) {
            *count += rows;
        } else {
            self.names_bytes += name.len() + NAME_BYTES;
            self.names.insert(name.to_owned(), rows);
        }
    }

    /// Makes room where the names take too much.
    fn fit(&mut self) {
        let room = match &self.hashed {
            None => self.budget_bytes,
            Some(hashed) => self.budget_bytes.saturating_sub(hashed.bytes()),
        };
        if self.names_bytes <= room {
            return;
        }
        if self.hashed.is_none() {
            let mut hashed = Hashed::new(self.budget_bytes);
            for (name, rows) in &self.names {
                hashed.add(name, *rows);
            }
            self.hashed = Some(hashed);
            self.fit();
            return;
        }
        // Half of the names go: all counts fall by the median one.
        let mut counts = self.names.values().copied().collect::<Vec<_>>();
        let middle = counts.len() / 2;
        let (_, median, _) = counts.select_nth_unstable(middle);
        let median = *median;
        self.names.retain(|_, count| {
            *count = count.saturating_sub(median);
            *count > 0
        });
        self.names_bytes = self.names.keys().map(|name| name.len() + NAME_BYTES).sum();
        if let Some(hashed) = &mut self.hashed {
            hashed.short += median;
        }
        self.fit();
    }

    /// Takes what `other` holds; false where the budgets differ, and then nothing is taken.
    pub(super) fn merge(&mut self, other: &CategorySketch) -> bool {
        if self.budget_bytes != other.budget_bytes {
            return false;
        }
        if let Some(theirs) = &other.hashed {
            if self.hashed.is_none() {
                let mut hashed = Hashed::new(self.budget_bytes);
                for (name, rows) in &self.names {
                    hashed.add(name, *rows);
                }
                self.hashed = Some(hashed);
            }
            if let Some(mine) = &mut self.hashed {
                mine.merge(theirs);
            }
        } else if let Some(mine) = &mut self.hashed {
            for (name, rows) in &other.names {
                mine.add(name, *rows);
            }
        }
        self.present += other.present;
        // In an order of its own, so that what is dropped does not hang on the map's.
        let mut names = other.names.iter().collect::<Vec<_>>();
        names.sort_unstable();
        for (name, rows) in names {
            self.keep(name, *rows);
            self.fit();
        }
        true
    }

    /// What a named category's share may fall short by.
    pub(super) fn error(&self) -> f64 {
        let short = self.hashed.as_ref().map_or(0, |hashed| hashed.short);
        short as f64 / self.present.max(1) as f64
    }

    pub(super) fn bytes(&self) -> usize {
        self.names_bytes + self.hashed.as_ref().map_or(0, Hashed::bytes)
    }

    /// Categories that occur.
    pub(super) fn distinct(&self) -> u64 {
        let names = self.names.len() as u64;
        self.hashed.as_ref().map_or(names, |hashed| hashed.distinct().max(names))
    }

    pub(super) fn frequent(&self, limit: usize) -> Vec<CategoryShare> {
        let mut names = self.names.iter().collect::<Vec<_>>();
        names.sort_unstable_by(|a, b| b.1.cmp(a.1).then(a.0.cmp(b.0)));
        names.truncate(limit);
        let present = self.present.max(1) as f64;
        names
            .into_iter()
            .map(|(name, rows)| CategoryShare { name: name.clone(), share: *rows as f64 / present })
            .collect()
    }

    fn seen(&self, name: &str) -> Seen {
        match &self.hashed {
            _ if self.names.contains_key(name) => Seen::Certainly,
            None => Seen::Never,
            Some(hashed) if hashed.may_have(name) => Seen::Perhaps,
            Some(_) => Seen::Never,
        }
    }

    fn class_rows(&self) -> Vec<u64> {
        if let Some(hashed) = &self.hashed {
            return hashed.classes.clone();
        }
        let mut classes = vec![0; classes_of(self.budget_bytes)];
        for (name, rows) in &self.names {
            *class(&mut classes, hash(name)) += rows;
        }
        classes
    }

    /// Names kept here that the other window certainly has not.
    fn not_in<'a>(&'a self, other: &CategorySketch) -> Vec<(&'a str, u64)> {
        let names = self.names.iter().filter(|(name, _)| other.seen(name) == Seen::Never);
        names.map(|(name, rows)| (name.as_str(), *rows)).collect()
    }
}

/// All measures of a categorical column from two sketches: over the categories where both have all
/// names, else over hash classes.
pub(super) fn compare(
    column: &str,
    reference: &CategorySketch,
    current: &CategorySketch,
    missing: Shares,
    route: Route,
) -> ColumnDrift {
    let (new, vanished) = (current.not_in(reference), reference.not_in(current));
    let rows = if reference.hashed.is_none() && current.hashed.is_none() {
        let (_, rows) = union(reference, current);
        rows
    } else if reference.budget_bytes <= current.budget_bytes {
        let classes = reference.class_rows();
        let folded = folded(&current.class_rows(), classes.len());
        [classes, folded]
    } else {
        let classes = current.class_rows();
        [folded(&reference.class_rows(), classes.len()), classes]
    };
    let unseen = new.iter().map(|(_, rows)| rows).sum();
    let counts = Counts { reference: &rows[0], current: &rows[1] };
    Classes { column, counts, missing, unseen, new, vanished, route }.measure()
}

pub(super) fn picture(reference: &CategorySketch, current: &CategorySketch) -> Picture {
    let (names, rows) = union(reference, current);
    let counts = Counts { reference: &rows[0], current: &rows[1] };
    if reference.hashed.is_none() && current.hashed.is_none() {
        return picture::categorical(&names, &counts);
    }
    let present = [reference.present, current.present];
    let share = |rows: u64, side: usize| rows as f64 / present[side].max(1) as f64;
    let mut bars = names
        .iter()
        .enumerate()
        .map(|(at, name)| {
            let shares =
                Shares { reference: share(rows[0][at], 0), current: share(rows[1][at], 1) };
            (*name, shares)
        })
        .collect::<Vec<_>>();
    let either = |shares: &Shares| shares.reference.max(shares.current);
    bars.sort_unstable_by(|a, b| either(&b.1).total_cmp(&either(&a.1)).then(a.0.cmp(b.0)));
    bars.truncate(picture::CATEGORIES_MAX);
    let occurring = reference.distinct().max(current.distinct()).max(bars.len() as u64);
    let mut picture = picture::drawn(bars, present.map(|rows| rows > 0), occurring);
    // A name that was dropped is not known to have vanished.
    if let Picture::Categorical(picture) = &mut picture {
        for bar in &mut picture.categories {
            let never = |side: &CategorySketch| side.seen(&bar.name) == Seen::Never;
            bar.presence = match (never(reference), never(current)) {
                (true, false) => picture::Presence::New,
                (false, true) => picture::Presence::Vanished,
                (true, true) | (false, false) => picture::Presence::Both,
            };
        }
    }
    picture
}

/// The names of both, in alphabetical order, with their rows on each side.
fn union<'a>(
    reference: &'a CategorySketch,
    current: &'a CategorySketch,
) -> (Vec<&'a str>, [Vec<u64>; 2]) {
    let more = current.names.keys().filter(|name| !reference.names.contains_key(*name));
    let mut names = reference.names.keys().chain(more).map(String::as_str).collect::<Vec<_>>();
    names.sort_unstable();
    let rows = [reference, current]
        .map(|side| names.iter().map(|name| side.names.get(*name).copied().unwrap_or(0)).collect());
    (names, rows)
}

impl Hashed {
    /// An eighth of the budget for the classes, half for the filter; the rest is for names.
    fn new(budget_bytes: usize) -> Hashed {
        let words = (budget_bytes / 16).next_power_of_two();
        let words = if words * 16 > budget_bytes { words / 2 } else { words };
        Hashed {
            classes: vec![0; classes_of(budget_bytes)],
            filter: vec![0; words],
            registers: vec![0; REGISTERS],
            short: 0,
        }
    }

    fn add(&mut self, name: &str, rows: u64) {
        let hash = hash(name);
        *class(&mut self.classes, hash) += rows;
        for bit in filter_bits(hash, self.filter.len()) {
            self.filter[bit / 64] |= 1 << (bit % 64);
        }
        let spread = mixed(hash ^ 0x5bd1_e995);
        let register = low(spread, REGISTERS);
        let run = (spread >> 12 | 1 << 52).trailing_zeros() + 1;
        let run = u8::try_from(run).unwrap_or(u8::MAX);
        self.registers[register] = self.registers[register].max(run);
    }

    /// Both were made with the same budget.
    fn merge(&mut self, other: &Hashed) {
        for (mine, theirs) in self.classes.iter_mut().zip(&other.classes) {
            *mine += theirs;
        }
        for (mine, theirs) in self.filter.iter_mut().zip(&other.filter) {
            *mine |= theirs;
        }
        for (mine, theirs) in self.registers.iter_mut().zip(&other.registers) {
            *mine = (*mine).max(*theirs);
        }
        self.short += other.short;
    }

    fn may_have(&self, name: &str) -> bool {
        let mut bits = filter_bits(hash(name), self.filter.len());
        bits.all(|bit| self.filter[bit / 64] >> (bit % 64) & 1 == 1)
    }

    fn bytes(&self) -> usize {
        (self.classes.len() + self.filter.len()) * size_of::<u64>() + self.registers.len()
    }

    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an estimate")]
    fn distinct(&self) -> u64 {
        let registers = REGISTERS as f64;
        let sum = self.registers.iter().map(|run| 0.5_f64.powi(i32::from(*run))).sum::<f64>();
        let raw = 0.721_3 / (1.0 + 1.079 / registers) * registers * registers / sum;
        let empty = self.registers.iter().filter(|run| **run == 0).count() as f64;
        let estimate = if raw <= 2.5 * registers && empty > 0.0 {
            registers * (registers / empty).ln()
        } else {
            raw
        };
        estimate.round() as u64
    }
}

/// Hash classes within an eighth of a budget: a power of two.
fn classes_of(budget_bytes: usize) -> usize {
    let classes = (budget_bytes / 64).next_power_of_two();
    if classes * 64 > budget_bytes { classes / 2 } else { classes }
}

fn class(classes: &mut [u64], hash: u64) -> &mut u64 {
    let at = low(hash, classes.len());
    &mut classes[at]
}

/// The classes of a larger sketch in as many as a smaller one has; both are powers of two.
fn folded(classes: &[u64], length: usize) -> Vec<u64> {
    let mut sums = vec![0; length];
    for (at, rows) in classes.iter().enumerate() {
        sums[at & (length - 1)] += rows;
    }
    sums
}

/// Positions of a name's bits in a filter of so many words.
fn filter_bits(hash: u64, words: usize) -> impl Iterator<Item = usize> {
    let step = mixed(hash) | 1;
    (1..=FILTER_BITS).map(move |k| low(hash.wrapping_add(step.wrapping_mul(k)) >> 16, words * 64))
}

/// The low bits of a hash as a place among `length`, a power of two.
#[expect(clippy::cast_possible_truncation, reason = "low bits are wanted")]
fn low(hash: u64, length: usize) -> usize {
    hash as usize & (length - 1)
}

/// A hash of the letters, the same on every machine: FNV-1a (Fowler, Noll & Vo), then mixed, as its
/// low bits alone are poor.
fn hash(name: &str) -> u64 {
    let fnv = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    mixed(fnv)
}

fn mixed(state: u64) -> u64 {
    let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}
