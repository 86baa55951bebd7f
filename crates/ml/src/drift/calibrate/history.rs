//! The scores of quiet history: every period against the periods just before it, as it is judged
//! live against the rows that trained.

use std::ops::Range;

use super::Error;
use crate::drift::sketch::ColumnSketch;
use crate::drift::{ColumnDrift, Reference, RowCounts, Side, Values, summarise};

/// Periods that a reference holds at least, where it grows.
pub const REFERENCE_PERIODS_MIN: usize = 4;

/// What a quiet period is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Before {
    /// So many periods just before it, at least 1.
    Last(usize),
    /// All that came before it, [`REFERENCE_PERIODS_MIN`] at least: as the rows of a champion are all
    /// older than what it is asked.
    All,
}

/// Scores in order of time, from the first period on that has enough others before it.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct QuietScores {
    /// Of the whole model: columns weighted by importance.
    pub model: Vec<f64>,
    /// Of each column, with its name.
    pub columns: Vec<(String, Vec<f64>)>,
}

/// Scores from rows in memory: `columns` of equally many rows in order of time, cut into periods at
/// `periods` (ranges of rows); each is compared with the `reference_periods` (at least 1) before it.
/// Periods without rows are left out. `importance`: one weight a column, uniform where unknown.
pub fn from_rows(
    columns: &[(&str, Values<'_>)],
    periods: &[Range<usize>],
    reference_periods: usize,
    importance: Option<&[f64]>,
) -> Result<QuietScores, Error> {
    let periods = periods.iter().filter(|rows| !rows.is_empty()).collect::<Vec<_>>();
    let before = reference_periods.max(1);
    let mut scores = QuietScores::default();
    for (period, rows) in periods.iter().enumerate().skip(before) {
        let reference = periods[period - before].start..periods[period - 1].end;
        let compared = columns.iter().map(|(name, values)| {
            Reference::new(name, part(*values, &reference))?.compare(part(*values, rows))
        });
        let compared = compared.collect::<Result<Vec<_>, _>>();
        scores.take(period, compared, importance)?;
    }
    Ok(scores)
}

/// Scores from sketches: for each period one of every column, in order of time, each compared with
/// those `before` it, merged. Periods without rows are left out.
pub fn from_sketches(
    periods: &[Vec<ColumnSketch>],
    before: Before,
    importance: Option<&[f64]>,
) -> Result<QuietScores, Error> {
    let names = |columns: &[ColumnSketch]| -> Vec<String> {
        columns.iter().map(|column| column.name().to_owned()).collect()
    };
    let expected = periods.first().map(|columns| names(columns)).unwrap_or_default();
    if let Some(period) = periods.iter().position(|columns| names(columns) != expected) {
        return Err(Error::Columns { period });
    }
    let held = |columns: &&Vec<ColumnSketch>| columns.first().is_some_and(|first| first.rows() > 0);
    let periods = periods.iter().filter(held).collect::<Vec<_>>();
    let (first, last) = match before {
        Before::Last(last) => (last.max(1), last.max(1)),
        Before::All => (REFERENCE_PERIODS_MIN, usize::MAX),
    };
    let mut scores = QuietScores::default();
    // What a growing reference holds so far.
    let mut grown: Vec<ColumnSketch> = Vec::new();
    for (period, current) in periods.iter().enumerate().skip(first) {
        let wrong = |source| Error::Compare { period, source };
        if last == usize::MAX && !grown.is_empty() {
            merge(&mut grown, periods[period - 1]).map_err(wrong)?;
        } else {
            let mut parts = periods[period.saturating_sub(last)..period].iter();
            grown = parts.next().map(|columns| columns.to_vec()).unwrap_or_default();
            parts.try_for_each(|part| merge(&mut grown, part)).map_err(wrong)?;
        }
        let compared = grown.iter().zip(current.iter());
        let compared = compared.map(|(reference, current)| reference.compare(current));
        scores.take(period, compared.collect::<Result<Vec<_>, _>>(), importance)?;
    }
    Ok(scores)
}

fn merge(into: &mut [ColumnSketch], part: &[ColumnSketch]) -> Result<(), crate::drift::Error> {
    into.iter_mut().zip(part).try_for_each(|(into, part)| into.merge(part))
}

/// Periods of equal length being filled, in any order of rows: a sketch of every column in each.
#[derive(Clone, Debug)]
pub struct Periods {
    periods: Vec<Vec<ColumnSketch>>,
    // Rows of each period in the chunk at hand.
    positions: Vec<Vec<usize>>,
    values: Vec<f64>,
    codes: Vec<u32>,
}

impl Periods {
    /// As many as `count`, empty; `columns` are empty sketches of each column.
    #[must_use]
    pub fn new(columns: Vec<ColumnSketch>, count: usize) -> Periods {
        Periods {
            periods: vec![columns; count],
            positions: vec![Vec::new(); count],
            values: Vec::new(),
            codes: Vec::new(),
        }
    }

    /// Takes some rows, `columns` in the order given: `period_of` says to which period a row belongs,
    /// counted from 0; rows of no period are left out.
    pub fn update(
        &mut self,
        columns: &[Values<'_>],
        period_of: impl Fn(usize) -> Option<usize>,
    ) -> Result<(), crate::drift::Error> {
        let rows = columns.first().map_or(0, Values::len);
        self.positions.iter_mut().for_each(Vec::clear);
        for row in 0..rows {
            if let Some(positions) = period_of(row).and_then(|at| self.positions.get_mut(at)) {
                positions.push(row);
            }
        }
        for (sketches, positions) in self.periods.iter_mut().zip(&self.positions) {
            if positions.is_empty() {
                continue;
            }
            for (sketch, values) in sketches.iter_mut().zip(columns) {
                let chosen = match *values {
                    Values::Numeric(numbers) => {
                        self.values.clear();
                        self.values.extend(positions.iter().map(|at| numbers[*at]));
                        Values::Numeric(&self.values)
                    }
                    Values::Categorical { codes, names } => {
                        self.codes.clear();
                        self.codes.extend(positions.iter().map(|at| codes[*at]));
                        Values::Categorical { codes: &self.codes, names }
                    }
                };
                sketch.update(Side::Reference, chosen)?;
            }
        }
        Ok(())
    }

    /// The scores of what was taken, each period against all before it.
    pub fn scores(&self, importance: Option<&[f64]>) -> Result<QuietScores, Error> {
        from_sketches(&self.periods, Before::All, importance)
    }
}

impl QuietScores {
    fn take(
        &mut self,
        period: usize,
        compared: Result<Vec<ColumnDrift>, crate::drift::Error>,
        importance: Option<&[f64]>,
    ) -> Result<(), Error> {
        let rows = RowCounts { reference: 0, current: 0 };
        let drift = compared.and_then(|columns| summarise(columns, importance, 1.0, rows));
        let drift = drift.map_err(|source| Error::Compare { period, source })?;
        if self.columns.is_empty() {
            let names = drift.columns.iter().map(|column| (column.name.clone(), Vec::new()));
            self.columns = names.collect();
        }
        for ((_, scores), column) in self.columns.iter_mut().zip(&drift.columns) {
            scores.push(column.score);
        }
        self.model.push(drift.score);
        Ok(())
    }
}

/// Some rows of a column; as many as there are.
fn part<'a>(values: Values<'a>, rows: &Range<usize>) -> Values<'a> {
    match values {
        Values::Numeric(values) => Values::Numeric(values.get(rows.clone()).unwrap_or_default()),
        Values::Categorical { codes, names } => {
            Values::Categorical { codes: codes.get(rows.clone()).unwrap_or_default(), names }
        }
    }
}
