//! Which parts of the rows got worse most: the loss of every value of a column, its first third of the log
//! against its last, with what chance does over so many comparisons taken into account.

use serde::Serialize;
use statrs::distribution::{ContinuousCDF, StudentsT};

use super::calibrate::entropy;
use super::payoff::Interval;
use super::regression::student;
use super::tally::Form;
use crate::compare::holm;

/// Stretches of the log that are told apart; periods are joined where they are more.
pub const BLOCKS_MAX: usize = 60;
/// Labelled rows that a value needs in a stretch for it to count.
const ROWS_MIN: u64 = 30;
/// Stretches that either third needs.
const BLOCKS_MIN: usize = 3;
/// Family-wise: a quiet log shows a worse part once in so many.
const ALPHA: f64 = 0.05;

/// Rows of one value in one stretch, weighted but for the count.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Part {
    rows: u64,
    weight: f64,
    loss: f64,
    label: f64,
    label_squares: f64,
}

/// Sums by column, value and stretch; its size depends on values and stretches alone.
#[derive(Clone, Debug, Default)]
pub struct Slices {
    /// By column and value: a vector of stretches.
    columns: Vec<Vec<Vec<Part>>>,
    blocks: usize,
    /// Periods of a stretch.
    step: usize,
}

/// One value of one column.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// Place of the column.
    pub column: usize,
    /// Code of the value.
    pub value: u32,
    /// Labelled rows of the stretches that count.
    pub rows: u64,
    /// Mean loss in the first third.
    pub first: f64,
    /// Mean loss in the last third.
    pub last: f64,
    /// What the loss rose by, how hard the rows were taken out.
    pub rise: Interval,
    /// The same of all other rows; `None` where there are too few.
    pub rise_of_rest: Option<f64>,
    /// One-sided, against "it did not rise", corrected by Holm (1979) over all values of all columns.
    pub p_value: f64,
    /// `p_value` is below 5 %.
    pub beyond_chance: bool,
}

/// All that is said of slices.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Sliced {
    /// By rise, the largest first.
    pub slices: Vec<Slice>,
    /// Values with too few rows or stretches to be told.
    pub too_few: usize,
}

/// What a rise is told from.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Rise {
    value: f64,
    standard_error: f64,
    /// Degrees of freedom.
    freedom: f64,
}

impl Slices {
    /// Nothing yet, for a log of so many periods.
    #[must_use]
    pub fn new(columns: usize, periods: usize) -> Slices {
        let step = periods.div_ceil(BLOCKS_MAX).max(1);
        Slices { columns: vec![Vec::new(); columns], blocks: periods.div_ceil(step), step }
    }

    /// Takes a labelled row of `period`: its code in every column.
    pub fn add(&mut self, period: usize, codes: &[u32], label: f64, loss: f64, weight: f64) {
        for (column, code) in self.columns.iter_mut().zip(codes) {
            let code = *code as usize;
            if column.len() <= code {
                column.resize(code + 1, Vec::new());
            }
            let parts = &mut column[code];
            if parts.is_empty() {
                *parts = vec![Part::default(); self.blocks];
            }
            let part = &mut parts[period / self.step];
            part.rows += 1;
            part.weight += weight;
            part.loss += weight * loss;
            part.label += weight * label;
            part.label_squares += weight * label * label;
        }
    }

    /// Tells which values got worse. `usable`: periods that count; `difficulty`: of each period, for tasks
    /// of many classes; losses and label variances are divided by `scale`.
    #[must_use]
    pub fn found(&self, form: Form, usable: &[bool], difficulty: &[f64], scale: f64) -> Sliced {
        let whole = |block: &usize| {
            let periods = block * self.step..usable.len().min((block + 1) * self.step);
            !periods.is_empty() && periods.clone().all(|at| usable[at])
        };
        let blocks = (0..self.blocks).filter(whole).collect::<Vec<_>>();
        let third = (blocks.len() / 3).max(BLOCKS_MIN);
        if blocks.len() < 2 * third || self.columns.is_empty() {
            return Sliced::default();
        }
        let thirds = [&blocks[..third], &blocks[blocks.len() - third..]];
        let of_block = |block: usize| {
            let periods = block * self.step..difficulty.len().min((block + 1) * self.step);
            difficulty[periods.clone()].iter().sum::<f64>() / periods.len().max(1) as f64
        };
        let hard = |part: &Part, block: usize| match form {
            Form::Probability => entropy(part.label / part.weight),
            Form::Value => {
                let mean = part.label / part.weight;
                (part.label_squares / part.weight - mean * mean).max(0.0) / scale
            }
            Form::Probabilities { .. } | Form::Answer { .. } => of_block(block),
        };
        let mut sliced = Sliced::default();
        for (column, values) in self.columns.iter().enumerate() {
            let mut all = vec![Part::default(); self.blocks];
            for parts in values {
                all.iter_mut().zip(parts).for_each(|(sum, part)| sum.merge(part, 1.0));
            }
            for (value, parts) in (0_u32..).zip(values).filter(|(_, parts)| !parts.is_empty()) {
                let Some(rise) = rise(parts, thirds, scale, &hard) else {
                    sliced.too_few += 1;
                    continue;
                };
                let mut rest = all.clone();
                rest.iter_mut().zip(parts).for_each(|(sum, part)| sum.merge(part, -1.0));
                let mean = |blocks: &[usize]| {
                    let mut sum = Part::default();
                    blocks.iter().for_each(|block| sum.merge(&parts[*block], 1.0));
                    sum.loss / sum.weight / scale
                };
                let margin = student(rise.freedom) * rise.standard_error;
                sliced.slices.push(Slice {
                    column,
                    value,
                    rows: blocks.iter().map(|block| parts[*block].rows).sum(),
                    first: mean(thirds[0]),
                    last: mean(thirds[1]),
                    rise: Interval {
                        value: rise.value,
                        low: rise.value - margin,
                        high: rise.value + margin,
                    },
                    rise_of_rest: self::rise(&rest, thirds, scale, &hard).map(|rise| rise.value),
                    p_value: rise.p_value(),
                    beyond_chance: false,
                });
            }
        }
        let raw = sliced.slices.iter().map(|slice| slice.p_value).collect::<Vec<_>>();
        for (slice, adjusted) in sliced.slices.iter_mut().zip(holm(&raw)) {
            slice.p_value = adjusted;
            slice.beyond_chance = adjusted < ALPHA;
        }
        sliced.slices.sort_by(|a, b| b.rise.value.total_cmp(&a.rise.value));
        sliced
    }
}

impl Part {
    fn merge(&mut self, other: &Part, sign: f64) {
        self.rows = if sign < 0.0 { self.rows - other.rows } else { self.rows + other.rows };
        self.weight += sign * other.weight;
        self.loss += sign * other.loss;
        self.label += sign * other.label;
        self.label_squares += sign * other.label_squares;
    }
}

impl Rise {
    /// Against "no rise".
    fn p_value(self) -> f64 {
        if self.standard_error <= 0.0 {
            return if self.value > 0.0 { 0.0 } else { 1.0 };
        }
        let t = self.value / self.standard_error;
        StudentsT::new(0.0, 1.0, self.freedom).map_or(1.0, |student| student.sf(t))
    }
}

/// The rise of the loss over the assumed one of a fresh model: as good for how hard the rows are as in the
/// first third.
fn rise(
    parts: &[Part],
    thirds: [&[usize]; 2],
    scale: f64,
    hard: &dyn Fn(&Part, usize) -> f64,
) -> Option<Rise> {
    let of = |blocks: &[usize]| {
        let enough = blocks.iter().filter(|block| parts[**block].rows >= ROWS_MIN);
        let one = |block: &usize| {
            let part = &parts[*block];
            (part.loss / part.weight / scale, hard(part, *block), part.weight)
        };
        enough.map(one).collect::<Vec<_>>()
    };
    let [first, last] = thirds.map(of);
    if first.len() < BLOCKS_MIN || last.len() < BLOCKS_MIN {
        return None;
    }
    let sum = |pick: fn(&(f64, f64, f64)) -> f64| first.iter().map(pick).sum::<f64>();
    let difficulty = sum(|(_, hard, weight)| hard * weight);
    if difficulty <= 0.0 {
        return None;
    }
    let ratio = sum(|(loss, _, weight)| loss * weight) / difficulty;
    let excess = |blocks: Vec<(f64, f64, f64)>| {
        let one = |(loss, hard, weight)| (loss - ratio * hard, weight);
        blocks.into_iter().map(one).collect::<Vec<(f64, f64)>>()
    };
    Some(welch(&excess(first), &excess(last)))
}

/// The difference of two means of values with weights, with the error and the degrees of freedom of Welch,
/// *The generalization of "Student's" problem when several different population variances are involved*,
/// Biometrika 34 (1947). A stretch is one value, so that rows that move together do not count one by one.
fn welch(first: &[(f64, f64)], last: &[(f64, f64)]) -> Rise {
    let of = |values: &[(f64, f64)]| {
        let (n, weight) = (values.len() as f64, values.iter().map(|(_, w)| w).sum::<f64>());
        let mean = values.iter().map(|(v, w)| v * w).sum::<f64>() / weight;
        let squares = values.iter().map(|(v, w)| (w * (v - mean)) * (w * (v - mean)));
        (mean, squares.sum::<f64>() / (weight * weight) * n / (n - 1.0), n - 1.0)
    };
    let ((first, a, free_first), (last, b, free_last)) = (of(first), of(last));
    let parts = a * a / free_first + b * b / free_last;
    let freedom = if parts > 0.0 { (a + b) * (a + b) / parts } else { free_first + free_last };
    Rise { value: last - first, standard_error: (a + b).sqrt(), freedom }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    #[test]
    fn differences_are_those_of_welchs_test() {
        // scipy 1.17.1: ttest_ind(last, first, equal_var=False, alternative="greater")
        let equal = |values: &[f64]| values.iter().map(|v| (*v, 3.0)).collect::<Vec<_>>();
        let first = equal(&[0.01, -0.02, 0.015, 0.002, -0.011]);
        let last = equal(&[0.05, 0.01, 0.08, 0.033]);
        let found = welch(&first, &last);
        assert!((found.value / found.standard_error - WELCH_T).abs() < 1e-12, "{found:?}");
        assert!((found.freedom - WELCH_FREEDOM).abs() < 1e-12, "{found:?}");
        assert!((found.p_value() - WELCH_P).abs() < 1e-12, "{}", found.p_value());
    }

    const WELCH_T: f64 = 2.734_131_266_394_453_7;
    const WELCH_FREEDOM: f64 = 4.164_761_785_952_274;
    const WELCH_P: f64 = 0.024_987_500_619_889_91;

    const PERIODS: usize = 12;

    /// Two columns: of four values and of three. `worse`: how much the first column's last value forgets.
    fn drawn(seed: u64, worse: f64) -> Sliced {
        let mut rng = Rng::new(seed);
        let mut slices = Slices::new(2, PERIODS);
        for period in 0..PERIODS {
            // Good and bad weeks, for all alike.
            let week = 0.1 * rng.normal();
            for _ in 0..400 {
                let codes = [rng.below(4), rng.below(3)].map(|code| u32::try_from(code).unwrap());
                let age = period as f64 / PERIODS as f64;
                let off = if codes[0] == 3 { worse * age } else { 0.0 };
                let logit = rng.normal();
                let chance = |logit: f64| 1.0 / (1.0 + (-logit).exp());
                let label = f64::from(u8::from(rng.uniform() < chance(logit + week)));
                let p = chance(logit * (1.0 - 2.0 * off));
                let loss = -(if label > 0.5 { p } else { 1.0 - p }).ln();
                slices.add(period, &codes, label, loss, 1.0);
            }
        }
        slices.found(Form::Probability, &[true; PERIODS], &[0.69; PERIODS], 1.0)
    }

    #[test]
    fn the_part_that_forgets_comes_first_and_the_others_stay_within_chance() {
        let found = drawn(3, 1.0);
        assert_eq!((found.slices.len(), found.too_few), (7, 0));
        let worst = found.slices[0];
        assert_eq!((worst.column, worst.value), (0, 3));
        assert!(worst.beyond_chance && worst.rise.low > 0.0, "{worst:?}");
        assert!(worst.rise_of_rest.unwrap() < 0.1, "{worst:?}");
        let same = found.slices[1..].iter().filter(|slice| slice.column == 0);
        assert!(same.clone().count() == 3 && same.clone().all(|s| !s.beyond_chance), "{found:?}");
    }

    #[test]
    fn a_quiet_log_seldom_shows_a_worse_part() {
        let fooled = (0..200_u64).filter(|seed| {
            let found = drawn(1_000 + seed, 0.0);
            found.slices.iter().any(|slice| slice.beyond_chance)
        });
        let fooled = fooled.count();
        // Five in a hundred at most, for all seven together; 18 of 200 is as far as chance goes (p = 0.01).
        assert!(fooled <= 18, "{fooled} of 200");
    }

    #[test]
    fn what_has_too_few_rows_is_counted_and_not_judged() {
        let mut slices = Slices::new(1, 6);
        for period in 0..6 {
            for row in 0..60_u32 {
                let code = u32::from(row == 0);
                let label = f64::from(row % 2);
                slices.add(period, &[code], label, 0.5, 1.0);
            }
        }
        let found = slices.found(Form::Probability, &[true; 6], &[0.69; 6], 1.0);
        assert_eq!((found.slices.len(), found.too_few), (1, 1));
        assert!(!found.slices[0].beyond_chance && found.slices[0].rise_of_rest.is_none());
        let few = slices.found(
            Form::Probability,
            &[true, true, true, true, true, false],
            &[0.69; 6],
            1.0,
        );
        assert_eq!(few, Sliced::default());
    }

    #[test]
    fn many_periods_are_joined() {
        let mut slices = Slices::new(1, 1_000);
        for period in 0..1_000 {
            for row in 0..4_u32 {
                slices.add(period, &[0], f64::from(row % 2), 0.5, 1.0);
            }
        }
        assert!(slices.columns[0][0].len() <= BLOCKS_MAX);
        let found = slices.found(Form::Probability, &[true; 1_000], &[0.69; 1_000], 1.0);
        assert_eq!(found.slices.len(), 1);
        assert!(found.slices[0].rise.value.abs() < 1e-9);
    }
}
