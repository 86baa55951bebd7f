//! How far a current window of rows has moved from a reference window, column by column: exactly,
//! for windows in memory ([`Reference`], [`Workspace`]), or by sketches of fixed size ([`sketch`]). It never
//! decides: p-values inform, scores are compared by others.
//!
//! Conventions, for every measure of every column:
//! - NaN and [`MISSING`] are missing. Missing values take part in [`ColumnDrift::missing`] alone;
//!   all other measures and shares are over the present values.
//! - A measure that needs present values in both windows is `None` where one has none. Nothing that
//!   leaves this module is NaN or infinite.
//! - A column's score is the larger of its Kolmogorov–Smirnov statistic (numeric) or its
//!   association (categorical: Cramér's V with both windows weighed equally and chance taken out)
//!   and the absolute change of its missing rate. It lies in [0, 1] and does not grow with the
//!   number of rows beyond what chance hides in few. A column without present values on one side
//!   has the change alone; one without on both sides has score 0.
//! - A constant is a distribution like others: the same constant scores 0, another one 1.
//! - A window without rows is an error that names the column.

pub mod calibrate;
mod categorical;
mod counts;
mod distribution;
mod kolmogorov_smirnov;
mod numeric;
pub mod ordered;
mod partition;
pub mod picture;
mod ranked;
pub mod sketch;
mod sort;
#[cfg(test)]
mod tests;
mod windows;

use serde::{Deserialize, Serialize};

pub(crate) use categorical::tally;
pub(crate) use distribution::Distribution;
use picture::{NumericPicture, Picture};
pub use windows::Workspace;

/// Code of a missing category.
pub const MISSING: u32 = u32::MAX;

/// The values of one column in one window, one per row.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Values<'a> {
    /// Numbers; NaN is missing, infinities are refused.
    Numeric(&'a [f64]),
    /// Categories as positions in a dictionary.
    Categorical {
        /// One position in `names` per row; [`MISSING`] is missing.
        codes: &'a [u32],
        /// The dictionary. Windows may have different ones: categories are matched by name.
        names: &'a [String],
    },
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// Numbers; booleans are 0 and 1.
    Numeric,
    /// Names out of a dictionary.
    Categorical,
}

/// One column of the reference window, prepared once and compared with many windows. Comparing
/// costs time in proportion to the current window; the reference enters by logarithms.
#[derive(Clone, Debug, PartialEq)]
pub struct Reference {
    name: String,
    column: Prepared,
}

/// What happened to one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnDrift {
    /// The column.
    pub name: String,
    /// What it holds.
    pub kind: Kind,
    /// How far it moved, in [0, 1]; see the module for what it is made of.
    pub score: f64,
    /// Whether the score reaches the threshold; [`summarise`] fills it in.
    pub drifted: bool,
    /// Numeric columns.
    pub ks: Option<KolmogorovSmirnov>,
    /// Numeric columns: Wasserstein-1 distance over the reference's population standard deviation.
    /// `None` also where the reference is constant and the current window is not the same.
    pub wasserstein: Option<f64>,
    /// Jensen–Shannon distance to base 2, in [0, 1]; numbers in 50 equal-width bins.
    pub jensen_shannon: Option<f64>,
    /// Population stability index; numbers in at most ten reference-quantile bins.
    pub psi: Option<f64>,
    /// Chi-square test of homogeneity on categories, or on the bins of the stability index.
    pub chi_square: Option<ChiSquare>,
    /// Shares of rows without a value.
    pub missing: Shares,
    /// Categories of the current window that the reference has not, with their share there: the
    /// hundred most frequent.
    pub new_categories: Vec<CategoryShare>,
    /// Categories of the reference that the current window has not, with their share in the
    /// reference: the hundred most frequent.
    pub vanished_categories: Vec<CategoryShare>,
    /// Share of the present current values that the reference never saw: outside its smallest and
    /// largest number, or in a new category.
    pub out_of_range: f64,
    /// Categorical columns: Cramér's V as if both windows had as many rows, less what chance
    /// alone brings (after Bergsma 2013), in [0, 1]. The score is made of it.
    #[serde(default)]
    pub association: Option<f64>,
    /// How it was measured.
    #[serde(default)]
    pub route: Route,
}

/// How a column was measured.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Route {
    /// From all values.
    #[default]
    Exact,
    /// From sketches.
    Sketched {
        /// The larger [`sketch::ColumnSketch::rank_error`] of the two sides; 0 where the sketches
        /// held everything.
        rank_error: f64,
    },
}

/// Two-sample Kolmogorov–Smirnov test, two-sided.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct KolmogorovSmirnov {
    /// Largest difference of the two empirical distribution functions.
    pub statistic: f64,
    /// Exact where both windows have at most 10,000 values (ties make it an upper bound), else
    /// asymptotic; below 1e-12 it may be asymptotic too.
    pub p_value: f64,
}

/// Chi-square test of homogeneity.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChiSquare {
    /// Pearson's statistic, with Yates's correction where there is one degree of freedom.
    pub statistic: f64,
    /// Its tail probability.
    pub p_value: f64,
    /// Strength of the association in [0, 1], from the statistic without correction. For one
    /// change of shares it is largest where both windows have as many rows.
    pub cramers_v: f64,
    /// Classes that occur, less one.
    pub degrees_of_freedom: u64,
}

/// A share in [0, 1] of each window.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shares {
    /// In the reference window.
    pub reference: f64,
    /// In the current window.
    pub current: f64,
}

/// A category and its share of a window's present values.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct CategoryShare {
    /// As written in the dictionary.
    pub name: String,
    /// In (0, 1].
    pub share: f64,
}

/// Rows of the two windows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RowCounts {
    /// In the reference window.
    pub reference: u64,
    /// In the current window.
    pub current: u64,
}

/// What happened to a model's columns.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Drift {
    /// Mean of the columns' scores, weighted by importance; in [0, 1], 0 without columns.
    pub score: f64,
    /// What `drifted` compares with.
    pub threshold: f64,
    /// Whether the score reaches the threshold.
    pub drifted: bool,
    /// Rows compared.
    pub rows: RowCounts,
    /// Column by column.
    pub columns: Vec<ColumnDrift>,
}

/// Which window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one compared with.
    Reference,
    /// The one judged.
    Current,
}

/// Windows that cannot be compared or profiled.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A window has no rows.
    #[error("column `{column}` has no rows in the {side} window: choose a longer window")]
    Empty {
        /// The column.
        column: String,
        /// The window.
        side: Side,
    },
    /// A number is infinite.
    #[error(
        "column `{column}` holds an infinity in row {row} of the {side} window: write a missing \
         value or a finite number"
    )]
    Infinite {
        /// The column.
        column: String,
        /// The window.
        side: Side,
        /// Counted from 0.
        row: usize,
    },
    /// A code lies outside the dictionary.
    #[error(
        "column `{column}` holds code {code} in row {row} of the {side} window, but its dictionary \
         has {categories} categories"
    )]
    UnknownCode {
        /// The column.
        column: String,
        /// The window.
        side: Side,
        /// Counted from 0.
        row: usize,
        /// The code found.
        code: u32,
        /// Length of the dictionary.
        categories: usize,
    },
    /// The windows hold different kinds of values.
    #[error(
        "column `{column}` is {reference} in the reference window and {current} in the current \
         one: read both with the same schema"
    )]
    KindChanged {
        /// The column.
        column: String,
        /// In the reference window.
        reference: Kind,
        /// In the current window.
        current: Kind,
    },
    /// More rows than can be counted.
    #[error("column `{column}` has more than 4,294,967,295 rows in the {side} window: sample it")]
    TooManyRows {
        /// The column.
        column: String,
        /// The window.
        side: Side,
    },
    /// Columns of one window have different lengths.
    #[error("column `{column}` has {found} rows where the columns before it have {expected}")]
    RaggedColumns {
        /// The first column that differs.
        column: String,
        /// Its rows.
        found: usize,
        /// Rows of the first column.
        expected: usize,
    },
    /// Sketches that do not describe the same column in the same way.
    #[error("sketches of column `{column}` cannot be merged: {why}")]
    Unmergeable {
        /// The column.
        column: String,
        /// What differs and what to do.
        why: &'static str,
    },
    /// There is not one importance per column.
    #[error("{found} importances are given for {expected} columns")]
    ImportanceCount {
        /// Importances given.
        found: usize,
        /// Columns.
        expected: usize,
    },
    /// An importance is negative, infinite or NaN.
    #[error("column `{column}` has importance {value}: write a finite number of at least 0")]
    Importance {
        /// The column.
        column: String,
        /// What was given.
        value: f64,
    },
    /// A threshold is NaN.
    #[error("the drift threshold is not a number: write one between 0 and 1")]
    Threshold,
}

/// Whether a picture is wanted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Drawn {
    Yes,
    No,
}

#[derive(Clone, Debug, PartialEq)]
enum Prepared {
    Numeric(numeric::Numeric),
    Categorical(categorical::Categorical),
}

impl Reference {
    /// Prepares the column `name` of the reference window. Refuses windows without rows,
    /// infinities and codes outside the dictionary.
    pub fn new(name: &str, values: Values<'_>) -> Result<Reference, Error> {
        if values.is_empty() {
            return Err(Error::Empty { column: name.to_owned(), side: Side::Reference });
        }
        let column = match values {
            Values::Numeric(values) => Prepared::Numeric(numeric::Numeric::new(name, values)?),
            Values::Categorical { codes, names } => {
                Prepared::Categorical(categorical::Categorical::new(name, codes, names)?)
            }
        };
        Ok(Reference { name: name.to_owned(), column })
    }

    /// Compares a current window of the same column. Refuses what [`Reference::new`] refuses, and
    /// values of the other kind.
    pub fn compare(&self, current: Values<'_>) -> Result<ColumnDrift, Error> {
        self.measure(current, Drawn::No).map(|(drift, _)| drift)
    }

    /// As [`Reference::compare`], with the picture of both windows, for little more time.
    pub fn compare_drawn(&self, current: Values<'_>) -> Result<(ColumnDrift, Picture), Error> {
        let (drift, picture) = self.measure(current, Drawn::Yes)?;
        Ok((drift, picture.unwrap_or(Picture::Numeric(NumericPicture::default()))))
    }

    fn measure(
        &self,
        current: Values<'_>,
        drawn: Drawn,
    ) -> Result<(ColumnDrift, Option<Picture>), Error> {
        if current.is_empty() {
            return Err(Error::Empty { column: self.name.clone(), side: Side::Current });
        }
        match (&self.column, current) {
            (Prepared::Numeric(reference), Values::Numeric(values)) => {
                reference.compare(&self.name, values, drawn)
            }
            (Prepared::Categorical(reference), Values::Categorical { codes, names }) => {
                reference.compare(&self.name, codes, names, drawn)
            }
            (Prepared::Numeric(_), Values::Categorical { .. })
            | (Prepared::Categorical(_), Values::Numeric(_)) => Err(Error::KindChanged {
                column: self.name.clone(),
                reference: self.kind(),
                current: current.kind(),
            }),
        }
    }

    /// The column's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What the column holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self.column {
            Prepared::Numeric(_) => Kind::Numeric,
            Prepared::Categorical(_) => Kind::Categorical,
        }
    }

    /// Rows of the reference window.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match &self.column {
            Prepared::Numeric(column) => column.rows(),
            Prepared::Categorical(column) => column.rows(),
        }
    }
}

/// Weighs the columns' scores by `importance` (one per column, any scale; uniform where unknown or
/// all zero) and marks what reaches the `threshold`.
pub fn summarise(
    mut columns: Vec<ColumnDrift>,
    importance: Option<&[f64]>,
    threshold: f64,
    rows: RowCounts,
) -> Result<Drift, Error> {
    if threshold.is_nan() {
        return Err(Error::Threshold);
    }
    let scores = columns.iter().map(|column| (column.name.as_str(), column.score));
    let score = weighted_score(&scores.collect::<Vec<_>>(), importance)?;
    for column in &mut columns {
        column.drifted = column.score >= threshold;
    }
    Ok(Drift { score, threshold, drifted: score >= threshold, rows, columns })
}

/// Mean of the scores of columns, given with their names, by `importance`: as [`summarise`] has it.
pub fn weighted_score(scores: &[(&str, f64)], importance: Option<&[f64]>) -> Result<f64, Error> {
    let weights = match importance {
        Some(importance) => checked_importance(scores, importance)?,
        None => vec![1.0; scores.len()],
    };
    let total = weights.iter().sum::<f64>();
    let weighted = scores.iter().zip(&weights).map(|((_, score), weight)| score * weight);
    Ok(if total > 0.0 { (weighted.sum::<f64>() / total).clamp(0.0, 1.0) } else { 0.0 })
}

/// Importances scaled to at most 1, so that their sum is finite; all 1 where all are zero.
fn checked_importance(scores: &[(&str, f64)], importance: &[f64]) -> Result<Vec<f64>, Error> {
    if importance.len() != scores.len() {
        let (found, expected) = (importance.len(), scores.len());
        return Err(Error::ImportanceCount { found, expected });
    }
    for ((name, _), &value) in scores.iter().zip(importance) {
        if !value.is_finite() || value < 0.0 {
            return Err(Error::Importance { column: (*name).to_owned(), value });
        }
    }
    let largest = importance.iter().copied().fold(0.0, f64::max);
    if largest <= 0.0 {
        return Ok(vec![1.0; scores.len()]);
    }
    Ok(importance.iter().map(|value| value / largest).collect())
}

impl Values<'_> {
    /// Number of rows, missing ones included.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Values::Numeric(values) => values.len(),
            Values::Categorical { codes, .. } => codes.len(),
        }
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the column holds.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Values::Numeric(_) => Kind::Numeric,
            Values::Categorical { .. } => Kind::Categorical,
        }
    }
}

impl ColumnDrift {
    /// Share of missing values in the current window less that in the reference, in [−1, 1].
    #[must_use]
    pub fn missing_rate_change(&self) -> f64 {
        self.missing.change()
    }
}

impl Shares {
    /// The current share less the reference's, in [−1, 1].
    #[must_use]
    pub fn change(&self) -> f64 {
        self.current - self.reference
    }
}

impl std::fmt::Display for Side {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Side::Reference => "reference",
            Side::Current => "current",
        })
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Kind::Numeric => "numeric",
            Kind::Categorical => "categorical",
        })
    }
}
