//! Predictions of versions on rows, each made once while the rows stay in memory.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use afresh_core::id::VersionId;
use afresh_data::rows::Rows;

use super::{Error, Workshop};

/// Predictions by version.
#[derive(Debug, Default)]
pub(super) struct Scores(Mutex<BTreeMap<VersionId, Memo>>);

#[derive(Debug)]
struct Memo {
    known: Vec<bool>,
    values: Vec<f64>,
}

impl Workshop {
    /// Predictions of `version` for the rows at `positions`: row-major, `outputs` numbers a row.
    pub fn predict(
        &self,
        version: VersionId,
        rows: &Rows,
        positions: &[usize],
    ) -> Result<Vec<f64>, Error> {
        if !self.feed.is_memory() {
            return self.predict_now(version, rows, positions);
        }
        let width = self.feed.schema().outputs();
        let lock = || self.scores.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = match lock().get(&version) {
            Some(memo) => positions.iter().copied().filter(|at| !memo.known[*at]).collect(),
            None => positions.to_vec(),
        };
        let new = self.predict_now(version, rows, &missing)?;
        let mut scores = lock();
        let memo = scores.entry(version).or_insert_with(|| Memo {
            known: vec![false; rows.len()],
            values: vec![f64::NAN; rows.len() * width],
        });
        for (row, at) in new.chunks_exact(width.max(1)).zip(&missing) {
            memo.known[*at] = true;
            memo.values[at * width..(at + 1) * width].copy_from_slice(row);
        }
        let mut predictions = Vec::with_capacity(positions.len() * width);
        for at in positions {
            predictions.extend_from_slice(&memo.values[at * width..(at + 1) * width]);
        }
        Ok(predictions)
    }

    /// As [`Workshop::predict`], without remembering: for who keeps the predictions.
    pub fn predict_afresh(
        &self,
        version: VersionId,
        rows: &Rows,
        positions: &[usize],
    ) -> Result<Vec<f64>, Error> {
        self.predict_now(version, rows, positions)
    }

    fn predict_now(
        &self,
        version: VersionId,
        rows: &Rows,
        positions: &[usize],
    ) -> Result<Vec<f64>, Error> {
        if positions.is_empty() {
            return Ok(Vec::new());
        }
        let scorer = self.scorer(version)?;
        scorer.predict_at(rows, positions).map_err(|source| self.version_error(version, source))
    }
}
