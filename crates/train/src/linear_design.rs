//! From features to the columns of a linear model: standardised numbers, and ones for categories.
//!
//! Numbers lie densely, row by row; of the columns that hold ones and zeros a row names those that are one.

use serde::{Deserialize, Serialize};

use crate::encoding::Matrix;
use crate::learner::Labelled;
use crate::linear::Settings;

/// How features become columns; in the order of the schema.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Design(pub(crate) Vec<Feature>);

/// How one feature becomes columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Feature {
    /// (value − mean) / deviation, 0 where missing; then a one where missing.
    Numeric {
        mean: f64,
        /// 0 where all training rows have the same value or none: the column is then 0.
        deviation: f64,
        /// Whether there is a column of the missing.
        missing: bool,
    },
    /// A one for the row's category.
    Categories {
        /// Positions with a column of their own, ascending.
        own: Vec<u32>,
        /// Whether there is a column of the rarer ones.
        rest: bool,
        /// Whether there is a column of the missing and the new.
        missing: bool,
    },
}

/// Rows as columns.
#[derive(Debug)]
pub(crate) struct Expanded {
    /// Row-major, `dense` a row.
    numbers: Vec<f64>,
    dense: usize,
    /// Column of each number.
    places: Vec<usize>,
    /// Row-major, `sparse` a row: columns that are one in the row, or [`NONE`].
    ones: Vec<u32>,
    sparse: usize,
    columns: usize,
}

const NONE: u32 = u32::MAX;

impl Feature {
    pub(crate) fn columns(&self) -> usize {
        match self {
            Feature::Numeric { missing, .. } => 1 + usize::from(*missing),
            Feature::Categories { own, rest, missing } => {
                own.len() + usize::from(*rest) + usize::from(*missing)
            }
        }
    }

    fn learn(at: usize, labelled: &Labelled, settings: &Settings) -> Feature {
        let matrix = &labelled.matrix;
        let width = matrix.native.len();
        let values = || matrix.values.iter().skip(at).step_by(width);
        let missing = values().any(|value| value.is_nan());
        if matrix.native[at] {
            return categories(values(), missing, settings);
        }
        let weights = labelled.weights.as_deref();
        let weight = |row: usize| weights.map_or(1.0, |weights| f64::from(weights[row]));
        let known = || {
            let known = values().enumerate().filter(|(_, value)| !value.is_nan());
            known.map(|(row, value)| (weight(row), f64::from(*value)))
        };
        let total = known().map(|(weight, _)| weight).sum::<f64>();
        if total <= 0.0 {
            return Feature::Numeric { mean: 0.0, deviation: 0.0, missing: false };
        }
        let mean = known().map(|(weight, value)| weight * value).sum::<f64>() / total;
        let square = |(weight, value): (f64, f64)| weight * (value - mean) * (value - mean);
        let deviation = (known().map(square).sum::<f64>() / total).sqrt();
        // Below this a deviation is the rounding of the mean, not a difference between rows.
        let deviation = if deviation <= mean.abs() * 1e-12 { 0.0 } else { deviation };
        Feature::Numeric { mean, deviation, missing }
    }
}

impl Design {
    /// Learns means, deviations and frequent categories.
    pub(crate) fn learn(labelled: &Labelled, settings: &Settings) -> Design {
        let features = 0..labelled.matrix.native.len();
        Design(features.map(|at| Feature::learn(at, labelled, settings)).collect())
    }

    pub(crate) fn columns(&self) -> usize {
        self.0.iter().map(Feature::columns).sum()
    }

    pub(crate) fn expand(&self, matrix: &Matrix) -> Expanded {
        let width = self.0.len();
        let mut places = Vec::new();
        let (mut sparse, mut columns) = (0, 0);
        for feature in &self.0 {
            if let Feature::Numeric { missing, .. } = feature {
                places.push(columns);
                sparse += usize::from(*missing);
            } else {
                sparse += 1;
            }
            columns += feature.columns();
        }
        let dense = places.len();
        let mut numbers = vec![0.0; matrix.rows * dense];
        let mut ones = vec![NONE; matrix.rows * sparse];
        // Feature by feature, so that the choice of what to do is not made for every value.
        let (mut number, mut one, mut column) = (0, 0, 0);
        for (at, feature) in self.0.iter().enumerate() {
            let values = matrix.values.iter().skip(at).step_by(width.max(1));
            match feature {
                Feature::Numeric { mean, deviation, missing } => {
                    if *deviation > 0.0 {
                        let cells = numbers.iter_mut().skip(number).step_by(dense);
                        for (cell, value) in cells.zip(values.clone()) {
                            if !value.is_nan() {
                                *cell = (f64::from(*value) - mean) / deviation;
                            }
                        }
                    }
                    number += 1;
                    if *missing {
                        let place = index(column + 1);
                        let cells = ones.iter_mut().skip(one).step_by(sparse);
                        for (cell, _) in cells.zip(values).filter(|(_, value)| value.is_nan()) {
                            *cell = place;
                        }
                        one += 1;
                    }
                }
                Feature::Categories { own, rest, missing } => {
                    let cells = ones.iter_mut().skip(one).step_by(sparse);
                    let unknown =
                        if *missing { column + own.len() + usize::from(*rest) } else { usize::MAX };
                    let rare = if *rest { column + own.len() } else { unknown };
                    for (cell, value) in cells.zip(values) {
                        let place = match code(*value) {
                            None => unknown,
                            Some(code) => own.binary_search(&code).map_or(rare, |at| column + at),
                        };
                        *cell = if place == usize::MAX { NONE } else { index(place) };
                    }
                    one += 1;
                }
            }
            column += feature.columns();
        }
        Expanded { numbers, dense, places, ones, sparse, columns }
    }
}

/// Coefficients laid out for [`Expanded`] rows.
#[derive(Debug)]
pub(crate) struct Parameters<'a> {
    /// By output, then column, the intercept last.
    all: &'a [f64],
    /// Those of the numbers, by output.
    dense: Vec<f64>,
}

impl<'a> Parameters<'a> {
    /// `all`: by output, then column, the intercept last.
    pub(crate) fn of(rows: &Expanded, all: &'a [f64], outputs: usize) -> Parameters<'a> {
        let stride = all.len() / outputs.max(1);
        let output = |of: &'a [f64]| rows.places.iter().map(|place| of[*place]);
        Parameters { all, dense: all.chunks(stride).flat_map(output).collect() }
    }

    /// The sum of each output for a row: its columns times the coefficients, and the intercept.
    pub(crate) fn sums(&self, rows: &Expanded, row: usize, sums: &mut [f64]) {
        let stride = self.all.len() / sums.len();
        let numbers = rows.numbers(row);
        for (at, sum) in sums.iter_mut().enumerate() {
            let all = &self.all[at * stride..(at + 1) * stride];
            let dense = &self.dense[at * numbers.len()..(at + 1) * numbers.len()];
            let ones = rows.ones(row).map(|place| all[place]).sum::<f64>();
            *sum = dot(numbers, dense) + ones + all[stride - 1];
        }
    }
}

impl Expanded {
    pub(crate) fn columns(&self) -> usize {
        self.columns
    }

    /// The row's numbers; their columns are [`places`](Expanded::places).
    pub(crate) fn numbers(&self, row: usize) -> &[f64] {
        &self.numbers[row * self.dense..(row + 1) * self.dense]
    }

    /// Column of each number, ascending.
    pub(crate) fn places(&self) -> &[usize] {
        &self.places
    }

    /// Columns that are one in the row.
    pub(crate) fn ones(&self, row: usize) -> impl Iterator<Item = usize> + '_ {
        let ones = &self.ones[row * self.sparse..(row + 1) * self.sparse];
        ones.iter().filter(|place| **place != NONE).map(|place| *place as usize)
    }
}

/// The most frequent categories, as many as there is room for, of those with enough rows.
fn categories<'a>(
    values: impl Iterator<Item = &'a f32>,
    missing: bool,
    settings: &Settings,
) -> Feature {
    let mut counts: Vec<(usize, u32)> = Vec::new();
    for code in values.filter_map(|value| code(*value)) {
        let at = code as usize;
        for known in index(counts.len())..=code {
            counts.push((0, known));
        }
        counts[at].0 += 1;
    }
    counts.retain(|(rows, _)| *rows > 0);
    let all = counts.len();
    // The most frequent first; of equally many the first by name.
    counts.sort_by_key(|(rows, code)| (std::cmp::Reverse(*rows), *code));
    counts.truncate(settings.categories_max);
    counts.retain(|(rows, _)| *rows >= settings.category_rows);
    let mut own = counts.iter().map(|(_, code)| *code).collect::<Vec<_>>();
    own.sort_unstable();
    // All missing would be a second intercept.
    Feature::Categories { rest: own.len() < all, own, missing: missing && all > 0 }
}

/// The position that a value stands for; nothing where it is missing.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "codes are small whole numbers"
)]
fn code(value: f32) -> Option<u32> {
    (value >= 0.0).then_some(value as u32)
}

/// A column's number; tables have far fewer than 2^32 columns.
fn index(column: usize) -> u32 {
    u32::try_from(column).unwrap_or(NONE)
}

/// In four sums, which the processor can add at once.
pub(crate) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let (fours_a, rest_a) = a.as_chunks::<4>();
    let (fours_b, rest_b) = b.as_chunks::<4>();
    let mut sums = [0.0; 4];
    for (x, y) in fours_a.iter().zip(fours_b) {
        for (sum, (x, y)) in sums.iter_mut().zip(x.iter().zip(y)) {
            *sum += x * y;
        }
    }
    let rest = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum::<f64>();
    (sums[0] + sums[1]) + (sums[2] + sums[3]) + rest
}
