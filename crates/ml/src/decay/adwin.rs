//! ADWIN (Bifet & Gavaldà, SDM 2007): a window over a stream that shrinks when its older part has another mean than its
//! newer. Kept as an exponential histogram, so that memory grows with the logarithm of the window.
//!
//! The cut is the one of the second variant of the paper, with the variance of the window and shares of the error probability by
//! the logarithm of its length, as in river, whose figures the tests hold.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

/// How ADWIN looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Parameters {
    /// Error probability, in (0, 1).
    pub delta: f64,
    /// Values between two looks, at least 1.
    pub clock: u64,
    /// Buckets of one size that are kept apart, at least 2.
    pub buckets_max: usize,
    /// Fewest values on either side of a cut.
    pub side_min: u64,
    /// Values before the first look.
    pub grace: u64,
}

impl Default for Parameters {
    fn default() -> Parameters {
        Parameters { delta: 0.002, clock: 32, buckets_max: 5, side_min: 5, grace: 10 }
    }
}

/// The detector and its window; all of it can be stored and gone on from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Adwin {
    parameters: Parameters,
    /// By size, from one value on and doubling; in each the oldest first.
    sizes: Vec<VecDeque<Bucket>>,
    width: u64,
    total: f64,
    /// Sum of squared deviations from the window's mean.
    squares: f64,
    seen: u64,
    detected: bool,
}

/// Some values that follow each other.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
struct Bucket {
    total: f64,
    /// Sum of squared deviations from their mean.
    squares: f64,
}

impl Adwin {
    /// A detector that has seen nothing.
    #[must_use]
    pub fn new(parameters: Parameters) -> Adwin {
        let sizes = vec![VecDeque::new()];
        Adwin { parameters, sizes, width: 0, total: 0.0, squares: 0.0, seen: 0, detected: false }
    }

    /// Takes a value; whether the window shrank because of it. A value that is no number is left out.
    pub fn update(&mut self, value: f64) -> bool {
        self.detected = false;
        if value.is_finite() {
            self.insert(value);
            self.merge();
            self.seen += 1;
            let looks = self.seen.is_multiple_of(self.parameters.clock.max(1));
            if looks && self.parameters.grace < self.width {
                while self.cut() {
                    self.detected = true;
                }
            }
        }
        self.detected
    }

    /// Whether the window shrank with the last value.
    #[must_use]
    pub fn drift_detected(&self) -> bool {
        self.detected
    }

    /// Values in the window.
    #[must_use]
    pub fn width(&self) -> u64 {
        self.width
    }

    /// Mean of the window, 0 where it is empty.
    #[must_use]
    pub fn estimation(&self) -> f64 {
        if self.width == 0 { 0.0 } else { self.total / float(self.width) }
    }

    /// Sum of squared deviations of the window's values from their mean.
    #[must_use]
    pub fn squares(&self) -> f64 {
        self.squares
    }

    fn insert(&mut self, value: f64) {
        if 0 < self.width {
            let before = float(self.width);
            let off = value - self.total / before;
            self.squares += before * off * off / (before + 1.0);
        }
        self.sizes[0].push_back(Bucket { total: value, squares: 0.0 });
        self.width += 1;
        self.total += value;
    }

    /// Two of the oldest buckets of a size that has too many become one of twice the size.
    fn merge(&mut self) {
        let mut size = 0;
        while self.parameters.buckets_max < self.sizes[size].len() {
            let values = float(1 << size);
            let buckets = &mut self.sizes[size];
            let (Some(first), Some(second)) = (buckets.pop_front(), buckets.pop_front()) else {
                return;
            };
            let off = (first.total - second.total) / values;
            let merged = Bucket {
                total: first.total + second.total,
                squares: first.squares + second.squares + values * off * off / 2.0,
            };
            size += 1;
            if size == self.sizes.len() {
                self.sizes.push(VecDeque::new());
            }
            self.sizes[size].push_back(merged);
        }
    }

    /// Drops the oldest bucket if some cut tells older from newer; whether it did.
    fn cut(&mut self) -> bool {
        let (mut older, mut older_total) = (0, 0.0);
        let share = (2.0 * float(self.width).ln() / self.parameters.delta).ln();
        for (size, buckets) in self.sizes.iter().enumerate().rev() {
            // The newest value alone is no side.
            let cuts = if size == 0 { buckets.len().saturating_sub(1) } else { buckets.len() };
            for bucket in buckets.iter().take(cuts) {
                older += 1 << size;
                older_total += bucket.total;
                let newer = self.width - older;
                let least = self.parameters.side_min.max(1);
                if older < least || newer < least {
                    continue;
                }
                let apart = older_total / float(older) - (self.total - older_total) / float(newer);
                if self.limit(older, newer, share) < apart.abs() {
                    self.drop_oldest();
                    return true;
                }
            }
        }
        false
    }

    /// How far two means may be apart by chance; `share` is the same for all cuts of a window.
    fn limit(&self, older: u64, newer: u64, share: f64) -> f64 {
        let width = float(self.width);
        let least = float(self.parameters.side_min);
        let recip = 1.0 / (float(older) - least + 1.0) + 1.0 / (float(newer) - least + 1.0);
        (2.0 * recip * self.squares / width * share).sqrt() + 2.0 / 3.0 * share * recip
    }

    fn drop_oldest(&mut self) {
        let size = self.sizes.len() - 1;
        let Some(dropped) = self.sizes[size].pop_front() else { return };
        let values = 1 << size;
        self.width -= values;
        self.total -= dropped.total;
        let (dropped_width, width) = (float(values), float(self.width));
        let off = dropped.total / dropped_width - self.total / width;
        let between = dropped_width * width * off * off / (dropped_width + width);
        self.squares -= dropped.squares + between;
        if self.sizes[size].is_empty() && 0 < size {
            self.sizes.pop();
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts of values stay below 2^53")]
fn float(count: u64) -> f64 {
    count as f64
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    struct Draws(u64);

    impl Draws {
        #[expect(clippy::cast_precision_loss, reason = "53 bits")]
        fn next(&mut self) -> f64 {
            self.0 = self
                .0
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (self.0 >> 11) as f64 / (1_u64 << 53) as f64
        }
    }

    #[test]
    fn detections_and_window_are_those_of_river() {
        // river 0.26.1, printed by tests/oracle/adwin.py.
        let printed = include_str!("../../tests/oracle/adwin.json");
        let printed = serde_json::from_str::<Value>(printed).unwrap();
        let cases = printed["cases"].as_array().unwrap();
        assert_eq!(cases.len(), 5);
        for case in cases {
            let given = &case["parameters"];
            let whole = |key: &str| given[key].as_u64();
            let default = Parameters::default();
            let parameters = Parameters {
                delta: given["delta"].as_f64().unwrap_or(default.delta),
                clock: whole("clock").unwrap_or(default.clock),
                buckets_max: whole("max_buckets")
                    .map_or(default.buckets_max, |most| usize::try_from(most).unwrap()),
                side_min: whole("min_window_length").unwrap_or(default.side_min),
                grace: whole("grace_period").unwrap_or(default.grace),
            };
            let mut adwin = Adwin::new(parameters);
            let mut draws = Draws(case["seed"].as_u64().unwrap());
            let mut detected = Vec::new();
            for row in 0..case["rows"].as_u64().unwrap() {
                let jumps = case["jumps"].as_array().unwrap().iter();
                let begun = jumps.filter(|jump| jump[0].as_u64().unwrap() <= row);
                let level = begun.map(|jump| jump[1].as_f64().unwrap()).sum::<f64>();
                // What was stored goes on as what was not.
                if row % 1_000 == 999 {
                    let stored = serde_json::to_string(&adwin).unwrap();
                    adwin = serde_json::from_str(&stored).unwrap();
                }
                if adwin.update(draws.next() + level) {
                    detected.push(row);
                }
            }
            let expected = case["detected"].as_array().unwrap().iter();
            let expected = expected.map(|row| row.as_u64().unwrap()).collect::<Vec<_>>();
            assert_eq!(detected, expected, "{case}");
            let close = |found: f64, key: &str| {
                let expected = case[key].as_f64().unwrap();
                assert!((found - expected).abs() <= 1e-9 * expected.abs(), "{key} {found} {case}");
            };
            close(float(adwin.width()), "width");
            close(adwin.estimation(), "estimation");
            close(adwin.squares(), "variance");
        }
    }

    #[test]
    fn memory_grows_with_the_logarithm_of_the_window() {
        let mut adwin = Adwin::new(Parameters::default());
        let mut draws = Draws(9);
        for _ in 0..200_000 {
            adwin.update(draws.next());
        }
        let buckets = adwin.sizes.iter().map(VecDeque::len).sum::<usize>();
        assert!(buckets <= 6 * 18, "{buckets}");
    }

    #[test]
    fn what_is_no_number_is_left_out() {
        let mut adwin = Adwin::new(Parameters { grace: 0, clock: 1, ..Parameters::default() });
        for value in [f64::NAN, f64::INFINITY, 1.0] {
            assert!(!adwin.update(value) && !adwin.drift_detected());
        }
        assert_eq!((adwin.width(), adwin.estimation().to_bits()), (1, 1.0_f64.to_bits()));
    }
}
