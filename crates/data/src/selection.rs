//! Which rows of a dataset train, and how much each counts: all alike, the newest more, or an even sample of them. Rows that stop a
//! training or judge it are never thinned or weighed.

use std::collections::BTreeMap;

use afresh_core::time::{Duration, Timestamp, Window};
use serde::{Deserialize, Serialize};

use crate::rows::Rows;

/// Rows that train.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Selection {
    /// Their event times.
    pub window: Window,
    /// How much each counts.
    #[serde(default, skip_serializing_if = "Emphasis::is_even")]
    pub emphasis: Emphasis,
}

/// How much each row of a window counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Emphasis {
    /// All alike.
    #[default]
    Even,
    /// The newest as it is, older ones half as much for every such stretch of event time between.
    HalfLife(Duration),
    /// At most so many rows, alike: a sample without replacement that keeps the shares of the classes. A row that is in the sample
    /// of a window stays in that of a longer one until enough others displace it, as in a reservoir.
    Sample(u64),
}

impl Emphasis {
    fn is_even(&self) -> bool {
        *self == Emphasis::Even
    }
}

impl Selection {
    /// All rows of a window alike.
    #[must_use]
    pub fn even(window: Window) -> Selection {
        Selection { window, emphasis: Emphasis::Even }
    }

    /// Of `positions`, in order of event time, those that train: within the window, and of the sample. `classes` says
    /// whether labels are classes whose shares are kept.
    #[must_use]
    pub fn thin(&self, rows: &Rows, positions: &[usize], classes: Classes) -> Vec<usize> {
        let inside = |at: &&usize| self.window.contains(rows.event_time[**at]);
        let inside = positions.iter().filter(inside).copied().collect::<Vec<_>>();
        match self.emphasis {
            Emphasis::Even | Emphasis::HalfLife(_) => inside,
            Emphasis::Sample(most) => sample(rows, inside, most, classes),
        }
    }

    /// Weighs rows that were selected.
    pub fn weigh(&self, rows: &mut Rows) {
        let (Emphasis::HalfLife(half_life), Some(newest)) =
            (self.emphasis, rows.event_time.iter().max().copied())
        else {
            return;
        };
        for (weight, at) in rows.weight.iter_mut().zip(&rows.event_time) {
            *weight *= fading(newest.since(*at), half_life);
        }
    }
}

/// Whether labels are classes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Classes {
    /// A sample keeps their shares.
    Kept,
    /// Labels are numbers.
    None,
}

/// What a row of an age counts: 2^(−age / half-life).
#[expect(clippy::cast_precision_loss, reason = "milliseconds of any history stay below 2^53")]
fn fading(age: Duration, half_life: Duration) -> f64 {
    (-(age.0 as f64) / half_life.0.max(1) as f64).exp2()
}

/// The rows whose numbers are smallest, class by class; a row's number depends on its key alone (bottom-k sampling, Cohen &
/// Kaplan 2007).
fn sample(rows: &Rows, positions: Vec<usize>, most: u64, classes: Classes) -> Vec<usize> {
    let all = positions.len() as u64;
    if all <= most {
        return positions;
    }
    let mut strata = BTreeMap::<u64, Vec<usize>>::new();
    for at in positions {
        let stratum = match classes {
            Classes::Kept => rows.label[at].to_bits(),
            Classes::None => 0,
        };
        strata.entry(stratum).or_default().push(at);
    }
    let sizes = strata.values().map(Vec::len).collect::<Vec<_>>();
    let quotas = quotas(&sizes, usize::try_from(most).unwrap_or(usize::MAX));
    let mut taken = Vec::new();
    for (mut stratum, quota) in strata.into_values().zip(quotas) {
        stratum.sort_unstable_by_key(|at| (number(rows.key[*at]), *at));
        taken.extend_from_slice(&stratum[..quota]);
    }
    taken.sort_unstable();
    taken
}

/// Shares of `most` in proportion to sizes whose sum is larger (largest remainders, Hamilton); none is nothing as long as there are enough.
fn quotas(sizes: &[usize], most: usize) -> Vec<usize> {
    let all = sizes.iter().sum::<usize>();
    let exact = |size: usize| most as u128 * size as u128;
    let whole = |size: usize| usize::try_from(exact(size) / all as u128).unwrap_or(size);
    let mut quotas = sizes.iter().map(|size| whole(*size)).collect::<Vec<_>>();
    let mut order = (0..sizes.len()).collect::<Vec<_>>();
    order.sort_by_key(|at| (quotas[*at] > 0, std::cmp::Reverse(exact(sizes[*at]) % all as u128)));
    for at in order.into_iter().take(most - quotas.iter().sum::<usize>()) {
        quotas[at] += 1;
    }
    // More small classes than were left over: the largest gives.
    for at in 0..quotas.len() {
        let largest = (0..quotas.len()).max_by_key(|at| quotas[*at]).unwrap_or(at);
        if quotas[at] == 0 && 1 < quotas[largest] {
            (quotas[at], quotas[largest]) = (1, quotas[largest] - 1);
        }
    }
    quotas
}

/// A row's number: its key mixed once more (SplitMix64, Steele et al. 2014), for keys of rows without ids may follow their place.
fn number(key: u64) -> u64 {
    let mut mixed = key.wrapping_add(0x9e37_79b9_7f4a_7c15);
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The event time from which on there are at least `count` of `positions`, which stand in order of event time; the first where there are fewer.
#[must_use]
pub fn newest_from(rows: &Rows, positions: &[usize], count: usize) -> Option<Timestamp> {
    let start = positions.len().saturating_sub(count);
    positions.get(start).map(|at| rows.event_time[*at])
}

#[cfg(test)]
mod tests {
    use super::*;

    /// One row a day, every fourth of class 1.
    fn rows(count: usize) -> Rows {
        let day = |at: usize| Timestamp(i64::try_from(at).unwrap() * 86_400_000);
        Rows {
            key: (0..count as u64).collect(),
            event_time: (0..count).map(day).collect(),
            available_at: (0..count).map(|at| Some(day(at))).collect(),
            label: (0..count).map(|at| f64::from(u8::from(at % 4 == 0))).collect(),
            weight: vec![1.0; count],
            columns: Vec::new(),
        }
    }

    fn all(rows: &Rows) -> Vec<usize> {
        (0..rows.len()).collect()
    }

    #[test]
    fn rows_count_half_as_much_for_every_half_life() {
        let mut rows = rows(21);
        rows.weight[20] = 3.0;
        let emphasis = Emphasis::HalfLife(Duration::days(10));
        Selection { window: Window::ALL, emphasis }.weigh(&mut rows);
        for (at, weight) in [(20, 3.0), (10, 0.5), (0, 0.25)] {
            assert!((rows.weight[at] - weight).abs() < 1e-12, "{at}: {}", rows.weight[at]);
        }
    }

    #[test]
    fn sample_keeps_the_shares_and_stays_as_the_window_grows() {
        let rows = rows(1_000);
        let selection = Selection { window: Window::ALL, emphasis: Emphasis::Sample(200) };
        let taken = selection.thin(&rows, &all(&rows), Classes::Kept);
        let ones = taken.iter().filter(|at| rows.label[**at] > 0.5).count();
        assert_eq!((taken.len(), ones), (200, 50));
        assert!(taken.is_sorted());
        // Even over the whole window: 200 of 1,000, give or take five standard deviations.
        let early = taken.iter().filter(|at| **at < 500).count();
        assert!((65..=135).contains(&early), "{early}");

        // What was in the sample of the first 900 and is not displaced is in that of all.
        let before = selection.thin(&rows, &(0..900).collect::<Vec<_>>(), Classes::Kept);
        let stayed = before.iter().filter(|at| taken.contains(at)).count();
        let new = taken.iter().filter(|at| **at >= 900).count();
        assert_eq!(stayed, 200 - new);
        // Fewer rows than asked for are all taken.
        let few = selection.thin(&rows, &(0..150).collect::<Vec<_>>(), Classes::Kept);
        assert_eq!(few.len(), 150);
    }

    #[test]
    fn no_class_is_lost_and_numbers_are_one_stratum() {
        let mut rows = rows(1_000);
        rows.label = vec![0.0; 1_000];
        rows.label[7] = 1.0;
        let selection = Selection { window: Window::ALL, emphasis: Emphasis::Sample(20) };
        let taken = selection.thin(&rows, &all(&rows), Classes::Kept);
        assert!(taken.contains(&7) && taken.len() == 20);
        for (at, label) in rows.label.iter_mut().enumerate() {
            *label = f64::from(u32::try_from(at).unwrap());
        }
        assert_eq!(selection.thin(&rows, &all(&rows), Classes::None).len(), 20);
    }

    #[test]
    fn quotas_add_up_and_follow_the_sizes() {
        assert_eq!(quotas(&[500, 500], 201).iter().sum::<usize>(), 201);
        assert_eq!(quotas(&[900, 60, 40], 100), [90, 6, 4]);
        assert_eq!(quotas(&[990, 4, 3, 2, 1], 10), [6, 1, 1, 1, 1]);
        assert_eq!(quotas(&[5, 5, 5], 2).iter().sum::<usize>(), 2);
    }

    #[test]
    fn window_leaves_the_others_out() {
        let rows = rows(10);
        let window = Window { from: rows.event_time[6], to: rows.event_time[9] };
        let taken = Selection::even(window).thin(&rows, &all(&rows), Classes::Kept);
        assert_eq!(taken, [6, 7, 8]);
        assert_eq!(newest_from(&rows, &taken, 2), Some(rows.event_time[7]));
        assert_eq!(newest_from(&rows, &taken, 5), Some(rows.event_time[6]));
        assert_eq!(newest_from(&rows, &[], 5), None);
    }

    #[test]
    fn selection_without_emphasis_is_written_as_its_window() {
        let window = Window { from: Timestamp(1), to: Timestamp(2) };
        let text = serde_json::to_string(&Selection::even(window)).unwrap();
        assert!(!text.contains("emphasis"), "{text}");
        let fading = Selection { window, emphasis: Emphasis::HalfLife(Duration::days(1)) };
        let text = serde_json::to_string(&fading).unwrap();
        assert_eq!(serde_json::from_str::<Selection>(&text).unwrap(), fading);
    }
}
