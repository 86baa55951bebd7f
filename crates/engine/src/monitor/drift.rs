//! The newest rows against the rows a champion was trained on, column by column.

use std::sync::{Arc, PoisonError};

use afresh_core::id::VersionId;
use afresh_data::rows::{Column, Rows, Values};
use afresh_data::split::{self, Part};
use afresh_ml::drift::{self, Drift, Reference};

use super::{Monitor, Subject, count};
use crate::workshop::{Error, Workshop};

/// References kept in memory: the champion's, and those of a few before it.
const REFERENCES_MAX: usize = 4;

impl Monitor {
    pub(super) fn drift(
        &self,
        workshop: &Workshop,
        subject: &Subject,
        rows: &Rows,
        current: std::ops::Range<usize>,
    ) -> Result<Option<Drift>, Error> {
        if current.is_empty() {
            return Ok(None);
        }
        let wrong = |error: drift::Error| Error::Missing(format!("drift: {error}"));
        let reference = self.reference(subject, rows).map_err(wrong)?;
        let Some(first) = reference.first() else { return Ok(None) };
        let reference_rows = first.rows();
        let columns = reference
            .iter()
            .zip(&rows.columns)
            .map(|(reference, column)| reference.compare(view(column, current.clone())))
            .collect::<Result<Vec<_>, _>>()
            .map_err(wrong)?;
        let counts = drift::RowCounts { reference: reference_rows, current: count(current.len()) };
        let threshold = workshop.settings().drift_threshold;
        drift::summarise(columns, Some(&subject.importance), threshold, counts)
            .map(Some)
            .map_err(wrong)
    }

    /// The champion's rows, prepared once.
    fn reference(
        &self,
        subject: &Subject,
        rows: &Rows,
    ) -> Result<Arc<Vec<Reference>>, drift::Error> {
        let lock = || self.references.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(reference) = lock().get(&subject.version) {
            return Ok(Arc::clone(reference));
        }
        let dataset = &subject.dataset;
        let positions = split::positions(rows, dataset.window, &dataset.cuts, Part::Fit);
        let trained = rows.select(&positions);
        let mut prepared = Vec::with_capacity(trained.columns.len());
        if !trained.is_empty() {
            for column in &trained.columns {
                prepared.push(Reference::new(&column.name, view(column, 0..trained.len()))?);
            }
        }
        let prepared = Arc::new(prepared);
        let mut references = lock();
        if REFERENCES_MAX <= references.len() {
            references.pop_first();
        }
        references.insert(subject.version, Arc::clone(&prepared));
        Ok(prepared)
    }
}

/// Share of each feature in a version's gain; all alike where it has none.
pub(super) fn importance(workshop: &Workshop, version: VersionId) -> Result<Vec<f64>, Error> {
    let scorer = workshop.scorer(version)?;
    let manifest = scorer.manifest();
    let gains = manifest
        .schema
        .features
        .iter()
        .map(|feature| {
            let found = manifest.importance.iter().find(|of| of.feature == feature.name);
            found.map_or(0.0, |found| found.gain)
        })
        .collect::<Vec<_>>();
    let sum = gains.iter().sum::<f64>();
    if sum <= 0.0 {
        #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
        let share = 1.0 / gains.len().max(1) as f64;
        return Ok(vec![share; gains.len()]);
    }
    Ok(gains.into_iter().map(|gain| gain / sum).collect())
}

fn view(column: &Column, range: std::ops::Range<usize>) -> drift::Values<'_> {
    match &column.values {
        Values::Numeric(values) => drift::Values::Numeric(&values[range]),
        Values::Categorical { codes, names } => {
            drift::Values::Categorical { codes: &codes[range], names }
        }
    }
}
