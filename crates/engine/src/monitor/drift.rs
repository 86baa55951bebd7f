//! The newest rows against the rows a champion was trained on, column by column.

use std::ops::Range;
use std::sync::{Arc, PoisonError};

use afresh_core::id::VersionId;
use afresh_core::time::{Duration, Window};
use afresh_data::rows::{Column, Rows, Values};
use afresh_ml::drift::calibrate::{self, Threshold};
use afresh_ml::drift::sketch::{BUDGET_BYTES_MIN, ColumnSketch};
use afresh_ml::drift::{self, Drift, Reference};

use super::{Monitor, Prepared, Subject, count};
use crate::settings;
use crate::workshop::{Error, Workshop};

/// References kept in memory: the champion's, and those of a few before it.
const REFERENCES_MAX: usize = 4;

/// Of the resampling behind a calibrated threshold: the same rows give the same one.
const SEED: u64 = 20_170_424;

/// Periods that a threshold is calibrated on at most, the newest.
const PERIODS_MAX: usize = 200;

impl Monitor {
    /// How far the rows at `current`, those of the `period`, moved from the champion's, and from which
    /// score on that is drift. `None` without rows on one side.
    pub(super) fn drift(
        &self,
        workshop: &Workshop,
        subject: &Subject,
        rows: &Rows,
        period: Window,
        current: Range<usize>,
    ) -> Result<Option<(Drift, Threshold)>, Error> {
        if current.is_empty() {
            return Ok(None);
        }
        let length = Duration(period.to.0.abs_diff(period.from.0));
        let prepared = self.prepared(workshop, subject, rows, length)?;
        let Some(first) = prepared.columns.first() else { return Ok(None) };
        let counts = drift::RowCounts { reference: first.rows(), current: count(current.len()) };
        let columns = prepared
            .columns
            .iter()
            .zip(&rows.columns)
            .map(|(reference, column)| reference.compare(view(column, current.clone())))
            .collect::<Result<Vec<_>, _>>()
            .map_err(wrong)?;
        let value = prepared.threshold.value();
        let drift = drift::summarise(columns, Some(&subject.importance), value, counts);
        Ok(Some((drift.map_err(wrong)?, prepared.threshold.clone())))
    }

    /// The champion's rows, prepared once.
    fn prepared(
        &self,
        workshop: &Workshop,
        subject: &Subject,
        rows: &Rows,
        period: Duration,
    ) -> Result<Arc<Prepared>, Error> {
        let lock = || self.references.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(prepared) = lock().get(&subject.version) {
            return Ok(Arc::clone(prepared));
        }
        let dataset = &subject.dataset;
        let positions = workshop.trained_on(subject.version, dataset, rows)?;
        let trained = rows.select(&positions);
        let mut columns = Vec::with_capacity(trained.columns.len());
        if !trained.is_empty() {
            for column in &trained.columns {
                let reference = Reference::new(&column.name, view(column, 0..trained.len()));
                columns.push(reference.map_err(wrong)?);
            }
        }
        let window = workshop.selection(subject.version, dataset)?.window;
        let threshold = match workshop.settings().drift {
            settings::Drift::Threshold(value) => Threshold::Chosen { value },
            settings::Drift::ExpectedRunTime(expected) => {
                calibrated(rows, window, period, expected, &subject.importance)?
            }
        };
        let prepared = Arc::new(Prepared { columns, threshold });
        let mut references = lock();
        if REFERENCES_MAX <= references.len() {
            references.pop_first();
        }
        references.insert(subject.version, Arc::clone(&prepared));
        Ok(prepared)
    }
}

/// The threshold that the rows of `window` imply, cut into periods of a length, backwards from its
/// end: whole ones alone.
fn calibrated(
    rows: &Rows,
    window: Window,
    period: Duration,
    expected: Duration,
    importance: &[f64],
) -> Result<Threshold, Error> {
    let range = rows.range(window);
    let times = &rows.event_time[range.clone()];
    let step = i64::try_from(period.0).unwrap_or(i64::MAX).max(1);
    let (Some(first), Some(last)) = (times.first(), times.last()) else {
        return calibrate::threshold(&[], settings_of(period, expected)).map_err(told);
    };
    // An open window ends with its rows.
    let end = if window.to.0 == i64::MAX { last.0 + 1 } else { window.to.0 };
    let whole = end.saturating_sub(first.0.max(window.from.0)).div_euclid(step);
    let count = usize::try_from(whole).unwrap_or(0).min(PERIODS_MAX);
    let start = end - step.saturating_mul(i64::try_from(count).unwrap_or(0));
    let sketches = rows.columns.iter().map(|column| {
        let kind = match &column.values {
            Values::Numeric(_) => drift::Kind::Numeric,
            Values::Categorical { .. } => drift::Kind::Categorical,
        };
        ColumnSketch::of_kind(&column.name, kind, BUDGET_BYTES_MIN)
    });
    let mut periods = calibrate::Periods::new(sketches.collect(), count);
    let views = rows.columns.iter().map(|column| view(column, range.clone())).collect::<Vec<_>>();
    let period_of = |row: usize| {
        let since = times.get(row)?.0.checked_sub(start).filter(|since| *since >= 0)?;
        usize::try_from(since / step).ok()
    };
    periods.update(&views, period_of).map_err(wrong)?;
    let scores = periods.scores(Some(importance)).map_err(told)?;
    calibrate::threshold(&scores.model, settings_of(period, expected)).map_err(told)
}

fn settings_of(period: Duration, expected: Duration) -> calibrate::Settings {
    let [period, expected_run_time] =
        [period, expected].map(|length| std::time::Duration::from_millis(length.0));
    // A run time shorter than two periods says: tell me of every other one.
    calibrate::Settings { period, expected_run_time: expected_run_time.max(period * 2), seed: SEED }
}

#[expect(clippy::needless_pass_by_value, reason = "given by `map_err`")]
fn told(error: calibrate::Error) -> Error {
    Error::Missing(format!("drift: {error}"))
}

#[expect(clippy::needless_pass_by_value, reason = "given by `map_err`")]
fn wrong(error: drift::Error) -> Error {
    Error::Missing(format!("drift: {error}"))
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

fn view(column: &Column, range: Range<usize>) -> drift::Values<'_> {
    match &column.values {
        Values::Numeric(values) => drift::Values::Numeric(&values[range]),
        Values::Categorical { codes, names } => {
            drift::Values::Categorical { codes: &codes[range], names }
        }
    }
}
