//! How a champion does on rows whose labels are not there yet, by the rows that judged it; beside what labels show
//! where they are. Rests on the calibration alone: concept drift is invisible to it.

use afresh_core::id::VersionId;
use afresh_core::time::{Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_data::spec::Columns;
use afresh_ml::estimate::{Error as Unavailable, Estimate, Reference};

use crate::port::Store;
use crate::workshop::{Error, Workshop, task};

/// Periods that are looked back on at most.
const PERIODS_MAX: i64 = 26;
/// Below this share of labelled rows the known ones may be of their own kind.
const SHARE_LOW: f64 = 0.8;
/// Rows of either kind below which nothing is said about the difference.
const ROWS_MIN: usize = 50;
/// Largest distance of predictions (Kolmogorov–Smirnov) at which early rows count as like the others.
const DISTANCE: f64 = 0.1;

/// What is estimated without labels.
#[derive(Clone, Debug, PartialEq)]
pub struct Report {
    /// Rows of the newest period whose label is not available; `None` where all are.
    pub newest: Option<Vec<Estimate>>,
    /// Periods since the champion's cut, oldest first: all their rows, and what labels show.
    pub periods: Vec<Period>,
    /// Whether the newest period's early labels are of their own kind.
    pub early: Option<Early>,
    /// Rows that calibrated.
    pub calibrated_on: u64,
}

/// One period.
#[derive(Clone, Debug, PartialEq)]
pub struct Period {
    /// Which, by event time.
    pub window: Window,
    /// Of all its rows; realised by those with a label.
    pub estimates: Vec<Estimate>,
    /// Rows without label.
    pub unlabelled: usize,
}

/// The rows of the newest period whose label is known already, against the others.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Early {
    /// Share of the period's rows.
    pub share: f64,
    /// Distance of the two kinds' predictions, 0 to 1 (Kolmogorov–Smirnov; of several classes the largest).
    pub distance: f64,
}

/// Estimates `version` over `period` and those before it since its cut. `Err` of the inner result says why there is
/// none to be had.
pub async fn estimate<S: Store>(
    workshop: &Workshop,
    store: &S,
    version: VersionId,
    period: Window,
) -> Result<Result<Report, String>, Error> {
    let baseline = workshop.baseline_of(store, version).await?;
    let task = task(workshop.feed().schema());
    if task == afresh_ml::metrics::Task::Regression {
        return Ok(Err(Unavailable::Regression.to_string()));
    }
    let Some(reference) = baseline.and_then(|baseline| baseline.calibration) else {
        let why = format!(
            "{version} has no calibration on record: the rows that judged it were too few or of one class, or an \
             older Afresh judged it"
        );
        return Ok(Err(why));
    };
    let dataset = workshop.dataset_of(store, version).await?;
    let cut = dataset.cuts.as_of;
    let rows = workshop.rows(Window { from: cut, to: period.to }, Columns::All).await?;
    let step = period.length();
    let mut windows = vec![period];
    let mut from = period.from;
    while cut.after(step) <= from
        && i64::try_from(windows.len()).unwrap_or(PERIODS_MAX) < PERIODS_MAX
    {
        let before = from.before(step);
        windows.push(Window { from: before, to: from });
        from = before;
    }
    windows.reverse();
    let mut periods = Vec::new();
    for window in windows {
        periods.extend(one(workshop, version, &reference, &rows, window, period.to)?);
    }
    let (late, known): (Vec<_>, Vec<_>) =
        rows.range(period).partition(|at| !rows.is_available(*at, period.to));
    let newest = if late.is_empty() {
        None
    } else {
        let predictions = workshop.predict(version, &rows, &late)?;
        Some(reference.estimate(&predictions, None, seed(period)).map_err(|error| wrong(&error))?)
    };
    let early = early(workshop, version, &rows, &known, &late)?;
    Ok(Ok(Report { newest, periods, early, calibrated_on: reference.rows() }))
}

fn one(
    workshop: &Workshop,
    version: VersionId,
    reference: &Reference,
    rows: &Rows,
    window: Window,
    now: Timestamp,
) -> Result<Option<Period>, Error> {
    let all = rows.range(window).collect::<Vec<_>>();
    if all.is_empty() {
        return Ok(None);
    }
    let predictions = workshop.predict(version, rows, &all)?;
    let estimates = reference.estimate(&predictions, None, seed(window));
    let mut estimates = estimates.map_err(|error| wrong(&error))?;
    let width = predictions.len() / all.len();
    let known = all.iter().enumerate().filter(|(_, at)| rows.is_available(**at, now));
    let (mut labels, mut said) = (Vec::new(), Vec::new());
    for (place, at) in known {
        labels.push(rows.label[*at]);
        said.extend_from_slice(&predictions[place * width..(place + 1) * width]);
    }
    let task = task(workshop.feed().schema());
    for estimate in &mut estimates {
        estimate.realised = estimate.measure.realised(task, &labels, &said);
    }
    Ok(Some(Period { window, estimates, unlabelled: all.len() - labels.len() }))
}

fn early(
    workshop: &Workshop,
    version: VersionId,
    rows: &Rows,
    known: &[usize],
    late: &[usize],
) -> Result<Option<Early>, Error> {
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    let share = known.len() as f64 / (known.len() + late.len()).max(1) as f64;
    if SHARE_LOW <= share || known.len() < ROWS_MIN || late.len() < ROWS_MIN {
        return Ok(None);
    }
    let known = workshop.predict(version, rows, known)?;
    let late = workshop.predict(version, rows, late)?;
    let width = task(workshop.feed().schema()).outputs();
    let of = |values: &[f64], output: usize| {
        values.iter().skip(output).step_by(width).copied().collect::<Vec<_>>()
    };
    let distances = (0..width).map(|output| distance(of(&known, output), of(&late, output)));
    let distance = distances.fold(0.0, f64::max);
    Ok((DISTANCE < distance).then_some(Early { share, distance }))
}

/// Largest difference of the two distributions.
#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
pub(super) fn distance(mut left: Vec<f64>, mut right: Vec<f64>) -> f64 {
    left.sort_by(f64::total_cmp);
    right.sort_by(f64::total_cmp);
    let below = |values: &[f64], at: f64| {
        values.partition_point(|value| *value <= at) as f64 / values.len() as f64
    };
    let apart = |at: &f64| (below(&left, *at) - below(&right, *at)).abs();
    left.iter().chain(&right).map(apart).fold(0.0, f64::max)
}

/// The same period is always drawn alike.
fn seed(window: Window) -> u64 {
    window.from.0.unsigned_abs()
}

fn wrong(error: &Unavailable) -> Error {
    Error::Missing(format!("estimate: {}", crate::workshop::chain(error)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn distance_of_predictions_is_that_of_their_distributions() {
        assert!(distance(vec![0.1, 0.2], vec![0.2, 0.1]).abs() < 1e-12);
        assert!((distance(vec![0.1, 0.2, 0.3, 0.4], vec![0.3, 0.4]) - 0.5).abs() < 1e-12);
        assert!((distance(vec![0.1], vec![0.9]) - 1.0).abs() < 1e-12);
    }
}
