//! The scores of quiet history: every period against the periods just before it, as it is judged
//! live against the rows that trained.

use std::ops::Range;

use super::Error;
use crate::drift::sketch::ColumnSketch;
use crate::drift::{ColumnDrift, Reference, RowCounts, Values, summarise};

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

/// Scores from sketches: for each period one of every column, in order of time. Each is compared
/// with the `reference_periods` (at least 1) before it, merged. Periods without rows are left out.
pub fn from_sketches(
    periods: &[Vec<ColumnSketch>],
    reference_periods: usize,
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
    let before = reference_periods.max(1);
    let mut scores = QuietScores::default();
    for (period, current) in periods.iter().enumerate().skip(before) {
        let compared = current.iter().enumerate().map(|(at, current)| {
            let mut parts = periods[period - before..period].iter().map(|columns| &columns[at]);
            let mut reference = parts.next().unwrap_or(current).clone();
            parts.try_for_each(|part| reference.merge(part))?;
            reference.compare(current)
        });
        let compared = compared.collect::<Result<Vec<_>, _>>();
        scores.take(period, compared, importance)?;
    }
    Ok(scores)
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
