//! A column in fixed memory: taken a chunk at a time, merged across chunks, files and processes, and
//! compared by all measures of the exact route, with a stated error.
//!
//! Numbers are kept exactly while they have few distinct values (a rank sketch afterwards), and
//! categories while their names fit (hashed counts and the frequent names afterwards). What is
//! kept depends on the values and their order alone: there is no clock and no random source.

mod categories;
mod moments;
mod ranks;
#[cfg(test)]
mod tests;
mod weighted;

use serde::{Deserialize, Serialize};

use self::categories::CategorySketch;
use self::moments::Moments;
use self::ranks::RankSketch;
use super::picture::Picture;
use super::{CategoryShare, ColumnDrift, Error, Kind, MISSING, Route, Shares, Side, Values};

/// Memory of a sketch where the owner states none.
pub const BUDGET_BYTES: usize = 512 * 1024;

/// The least memory of a sketch; a smaller budget is raised to it.
pub const BUDGET_BYTES_MIN: usize = 32 * 1024;

/// One column of one window, in at most the bytes it was given (and as many again for the moment
/// of a merge). Its saved form goes on in another process as if it had never left.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ColumnSketch {
    name: String,
    rows: u64,
    missing: u64,
    content: Content,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Content {
    Numeric { ranks: RankSketch, moments: Moments },
    Categorical(CategorySketch),
}

impl ColumnSketch {
    /// An empty sketch of a column of numbers.
    #[must_use]
    pub fn numeric(name: &str, budget_bytes: usize) -> ColumnSketch {
        let ranks = RankSketch::new(budget_bytes.max(BUDGET_BYTES_MIN));
        ColumnSketch::new(name, Content::Numeric { ranks, moments: Moments::default() })
    }

    /// An empty sketch of a column of categories.
    #[must_use]
    pub fn categorical(name: &str, budget_bytes: usize) -> ColumnSketch {
        let categories = CategorySketch::new(budget_bytes.max(BUDGET_BYTES_MIN));
        ColumnSketch::new(name, Content::Categorical(categories))
    }

    /// An empty sketch of a column of this kind.
    #[must_use]
    pub fn of_kind(name: &str, kind: Kind, budget_bytes: usize) -> ColumnSketch {
        match kind {
            Kind::Numeric => ColumnSketch::numeric(name, budget_bytes),
            Kind::Categorical => ColumnSketch::categorical(name, budget_bytes),
        }
    }

    fn new(name: &str, content: Content) -> ColumnSketch {
        ColumnSketch { name: name.to_owned(), rows: 0, missing: 0, content }
    }

    /// Takes the next rows, as many as there are; none is no error. Refuses infinities, codes
    /// outside the dictionary (rows counted from 0 over all calls) and values of the other kind,
    /// naming the `side` the sketch stands for. After an error the sketch is of no use.
    pub fn update(&mut self, side: Side, values: Values<'_>) -> Result<(), Error> {
        match (&mut self.content, values) {
            (Content::Numeric { ranks, moments }, Values::Numeric(values)) => {
                let present = ranks.update(values, moments).map_err(|at| {
                    let row = position(self.rows, at);
                    Error::Infinite { column: self.name.clone(), side, row }
                })?;
                self.missing += (values.len() - present) as u64;
            }
            (Content::Categorical(categories), Values::Categorical { codes, names }) => {
                let missing = categories.update(codes, names).map_err(|at| Error::UnknownCode {
                    column: self.name.clone(),
                    side,
                    row: position(self.rows, at),
                    code: codes.get(at).copied().unwrap_or(MISSING),
                    categories: names.len(),
                })?;
                self.missing += missing;
            }
            (Content::Numeric { .. }, Values::Categorical { .. })
            | (Content::Categorical(_), Values::Numeric(_)) => {
                let why = "it holds numbers in one part and categories in another: read all parts \
                           with one schema";
                return Err(Error::Unmergeable { column: self.name.clone(), why });
            }
        }
        self.rows += values.len() as u64;
        Ok(())
    }

    /// Takes the rows of another sketch of the same column. The order of merging does not matter
    /// but for which values are kept. Sketches of categories must have had the same budget.
    pub fn merge(&mut self, other: &ColumnSketch) -> Result<(), Error> {
        let wrong = |why| Error::Unmergeable { column: self.name.clone(), why };
        match (&mut self.content, &other.content) {
            (
                Content::Numeric { ranks, moments },
                Content::Numeric { ranks: more, moments: of_more },
            ) => {
                ranks.merge(more);
                moments.merge(of_more);
            }
            (Content::Categorical(categories), Content::Categorical(more)) => {
                if !categories.merge(more) {
                    return Err(wrong("they have different budgets: give both the same"));
                }
            }
            (Content::Numeric { .. }, Content::Categorical(_))
            | (Content::Categorical(_), Content::Numeric { .. }) => {
                return Err(wrong(
                    "one holds numbers, the other categories: read all parts with one schema",
                ));
            }
        }
        self.rows += other.rows;
        self.missing += other.missing;
        Ok(())
    }

    /// Compares a current window's sketch with this one as the reference, by the conventions of the
    /// exact route. Numeric measures are off by what [`ColumnSketch::rank_error`] allows; categories
    /// whose names did not fit are compared in hash classes, which can hide moves but invent none,
    /// and `out_of_range` then counts only categories that are certainly new. Refuses sketches
    /// without rows and of different kinds.
    pub fn compare(&self, current: &ColumnSketch) -> Result<ColumnDrift, Error> {
        self.comparable(current)?;
        let missing = Shares {
            reference: self.missing as f64 / self.rows as f64,
            current: current.missing as f64 / current.rows as f64,
        };
        let rank_error = self.rank_error().max(current.rank_error());
        let route = Route::Sketched { rank_error };
        Ok(match (&self.content, &current.content) {
            (Content::Numeric { ranks, moments }, Content::Numeric { ranks: now, moments: _ }) => {
                weighted::compare(&self.name, [&ranks.view(), &now.view()], moments, missing, route)
            }
            (Content::Categorical(categories), Content::Categorical(now)) => {
                categories::compare(&self.name, categories, now, missing, route)
            }
            (Content::Numeric { .. }, Content::Categorical(_))
            | (Content::Categorical(_), Content::Numeric { .. }) => {
                return Err(self.kind_changed(current));
            }
        })
    }

    /// Both windows as a page draws them; refuses what [`ColumnSketch::compare`] refuses.
    pub fn picture(&self, current: &ColumnSketch) -> Result<Picture, Error> {
        self.comparable(current)?;
        match (&self.content, &current.content) {
            (Content::Numeric { ranks, .. }, Content::Numeric { ranks: now, .. }) => {
                Ok(super::picture::numeric(&ranks.view(), &now.view()))
            }
            (Content::Categorical(categories), Content::Categorical(now)) => {
                Ok(categories::picture(categories, now))
            }
            (Content::Numeric { .. }, Content::Categorical(_))
            | (Content::Categorical(_), Content::Numeric { .. }) => Err(self.kind_changed(current)),
        }
    }

    fn comparable(&self, current: &ColumnSketch) -> Result<(), Error> {
        for (sketch, side) in [(self, Side::Reference), (current, Side::Current)] {
            if sketch.rows == 0 {
                return Err(Error::Empty { column: self.name.clone(), side });
            }
        }
        Ok(())
    }

    fn kind_changed(&self, current: &ColumnSketch) -> Error {
        let (reference, current) = (self.kind(), current.kind());
        Error::KindChanged { column: self.name.clone(), reference, current }
    }

    /// What the sketch may be off by, as a share of the present values; 0 while everything is kept.
    /// Numbers: each rank is closer than this with a probability of at least 99 %, whatever the
    /// values (Hoeffding's inequality on what was really dropped); the Kolmogorov–Smirnov statistic
    /// of two sketches is off by at most the sum of theirs. Categories: the count of no named
    /// category falls short by more, which is certain.
    #[must_use]
    pub fn rank_error(&self) -> f64 {
        match &self.content {
            Content::Numeric { ranks, .. } => ranks.rank_error(),
            Content::Categorical(categories) => categories.error(),
        }
    }

    /// Memory held now, about.
    #[must_use]
    pub fn bytes(&self) -> usize {
        size_of::<ColumnSketch>()
            + self.name.capacity()
            + match &self.content {
                Content::Numeric { ranks, .. } => ranks.bytes(),
                Content::Categorical(categories) => categories.bytes(),
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
        match self.content {
            Content::Numeric { .. } => Kind::Numeric,
            Content::Categorical(_) => Kind::Categorical,
        }
    }

    /// Rows taken, missing ones included.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Rows without a value.
    #[must_use]
    pub fn missing(&self) -> u64 {
        self.missing
    }

    /// Smallest and largest number, exact.
    #[must_use]
    pub fn range(&self) -> Option<(f64, f64)> {
        match &self.content {
            Content::Numeric { ranks, .. } => ranks.range(),
            Content::Categorical(_) => None,
        }
    }

    /// Arithmetic mean and population standard deviation of the numbers, exact but for rounding.
    #[must_use]
    pub fn moments(&self) -> Option<(f64, f64)> {
        match &self.content {
            Content::Numeric { ranks, moments } => {
                moments.mean_and_deviation().or_else(|| ranks.view().moments())
            }
            Content::Categorical(_) => None,
        }
    }

    /// The value below which the share `q` of the numbers lies, off in rank by the rank error.
    #[must_use]
    pub fn quantile(&self, q: f64) -> Option<f64> {
        match &self.content {
            Content::Numeric { ranks, .. } => super::ranked::Ranked::quantile(&ranks.view(), q),
            Content::Categorical(_) => None,
        }
    }

    /// Categories that occur: exact while their names fit, afterwards estimated with a standard
    /// error of 1.6 % (HyperLogLog, Flajolet et al. 2007).
    #[must_use]
    pub fn distinct(&self) -> Option<u64> {
        match &self.content {
            Content::Numeric { .. } => None,
            Content::Categorical(categories) => Some(categories.distinct()),
        }
    }

    /// The most frequent categories, at most `limit`, with their share of the present values. Where
    /// names did not fit, shares are too low by at most the rank error.
    #[must_use]
    pub fn frequent(&self, limit: usize) -> Vec<CategoryShare> {
        match &self.content {
            Content::Numeric { .. } => Vec::new(),
            Content::Categorical(categories) => categories.frequent(limit),
        }
    }
}

/// The row at place `at` of the present chunk, over all chunks.
fn position(before: u64, at: usize) -> usize {
    usize::try_from(before).unwrap_or(usize::MAX).saturating_add(at)
}
