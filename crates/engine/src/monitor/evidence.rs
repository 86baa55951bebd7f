//! What only some policies look at: alarms of other detectors, versions that no longer serve, how far features moved, what a run
//! would cost. A backtest measures by the same functions; drift it measures by `ml::drift::ordered`, which gives the same.

use std::ops::Range;

use afresh_core::history::Role;
use afresh_core::time::{Timestamp, Window};
use afresh_data::rows::{Rows, Values};
use afresh_ml::decay::rise::Rise;
use afresh_ml::decay::{Direction, ttest};
use afresh_ml::drift::{ColumnDrift, Drift};
use afresh_ml::metrics::Task;
use afresh_ml::metrics::loss::{errors, row_losses};
use afresh_policy::observation::{Alarms, Evidence, Retired};
use afresh_policy::prices::Priced;
use afresh_policy::rule::{Detector, Rule};

use super::decay::available;
use super::{DecayReport, Monitor, Subject};
use crate::port::{Page, Store};
use crate::workshop::{Error, Workshop, task};

/// Training time is estimated without a clock, so that the same history always gives the same decisions.
pub const TRAINING_SECONDS_PER_VALUE_AND_ROUND: f64 = 1e-8;
/// Versions that served before and go on being scored, so that ageing can be told.
pub const RETIRED_MAX: usize = 4;
/// Versions that are looked through for them.
const VERSIONS_LOOKED_AT: u32 = 64;
/// A period's newly available rows are cut into this many buckets for the t-test.
const BUCKETS: usize = 24;
/// A bucket with fewer rows says nothing.
const BUCKET_ROWS_MIN: usize = 30;

/// CPU hours of a training by its rows times rounds and its features, estimated without a clock.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of rows and rounds stay below 2^53")]
pub fn estimated_hours(row_rounds: u64, features: usize) -> f64 {
    let values = row_rounds as f64 * features as f64;
    values * TRAINING_SECONDS_PER_VALUE_AND_ROUND / 3_600.0
}

/// What of each row has a price.
#[must_use]
pub fn priced(priced: Priced, task: Task, labels: &[f64], predictions: &[f64]) -> Vec<f64> {
    match priced {
        Priced::Loss => row_losses(task, labels, predictions),
        Priced::Errors => errors(task, labels, predictions),
    }
}

/// Mean loss, or share of errors, of the best constant on labels; `None` without any.
#[must_use]
pub fn guess(by: Priced, task: Task, labels: &[f64]) -> Option<f64> {
    let mut constant = vec![0.0; task.outputs()];
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    let count = labels.len() as f64;
    for label in labels {
        match task {
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "a class index"
            )]
            Task::Multiclass { .. } => constant[*label as usize] += 1.0 / count,
            Task::Binary | Task::Regression => constant[0] += label / count,
        }
    }
    mean(&priced(by, task, labels, &constant.repeat(labels.len())))
}

/// What a unit of loss is divided by: in regression the variance of labels known when the first version was trained, so that prices
/// mean the same for every label; else 1.
#[must_use]
#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
pub fn unit_of_loss(task: Task, labels: &[f64]) -> f64 {
    if task != Task::Regression {
        return 1.0;
    }
    let known = labels.iter().copied().filter(|label| label.is_finite()).collect::<Vec<_>>();
    let count = known.len() as f64;
    let mean = known.iter().sum::<f64>() / count;
    let guesses = vec![mean; known.len()];
    let variance = row_losses(task, &known, &guesses).iter().sum::<f64>() / count;
    if variance.is_finite() && variance > 0.0 { variance } else { 1.0 }
}

/// Whether the bucket means of a period's losses are worse than the baseline: significantly, and by more than the share `drop`.
#[must_use]
pub fn t_test(losses: &[f64], baseline: f64, drop: f64) -> bool {
    let size = (losses.len() / BUCKETS).max(BUCKET_ROWS_MIN);
    let buckets = losses.chunks_exact(size).filter_map(mean).collect::<Vec<_>>();
    let series = ttest::Series {
        metric: "loss",
        direction: Direction::LowerIsBetter,
        window: "period",
        values: &buckets,
        baseline: Some(baseline),
        unlabelled: 0,
    };
    ttest::window(&series, ttest::Threshold::Relative(drop))
        .is_some_and(|decay| decay.detected && decay.significant)
}

/// The sum over the numeric features of how far their mean moved from one part of the rows to another, in standard deviations
/// of the first; `None` where one is empty.
#[must_use]
pub fn feature_shift(rows: &Rows, before: Range<usize>, now: Range<usize>) -> Option<f64> {
    let moments = |values: &[f64]| {
        let present = values.iter().filter(|value| !value.is_nan());
        let (count, sum, squares) = present
            .fold((0.0, 0.0, 0.0), |(count, sum, squares), value| {
                (count + 1.0, sum + value, squares + value * value)
            });
        let mean: f64 = sum / count;
        (count > 0.0).then(|| (mean, (squares / count - mean * mean).max(0.0).sqrt()))
    };
    if before.is_empty() || now.is_empty() {
        return None;
    }
    let moved = rows.columns.iter().filter_map(|column| {
        let Values::Numeric(values) = &column.values else { return None };
        let (was, spread) = moments(&values[before.clone()])?;
        let (is, _) = moments(&values[now.clone()])?;
        (spread > 0.0).then(|| (is - was).abs() / spread)
    });
    Some(0.0 + moved.sum::<f64>())
}

/// The smallest p-value of the columns' Kolmogorov–Smirnov tests times their number (Bonferroni).
#[must_use]
pub fn smallest_p(columns: &[ColumnDrift]) -> Option<f64> {
    let tested = columns.iter().filter_map(|column| column.ks.map(|ks| ks.p_value));
    let smallest = tested.clone().fold(f64::INFINITY, f64::min);
    #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
    let tests = tested.count() as f64;
    smallest.is_finite().then(|| (smallest * tests).min(1.0))
}

impl Monitor {
    /// [`unit_of_loss`] of a model, settled when it is first looked at.
    pub(super) async fn unit<S: Store>(
        &self,
        workshop: &Workshop,
        store: &S,
        subject: &Subject,
        rows: &Rows,
    ) -> Result<f64, Error> {
        let task = task(workshop.feed().schema());
        if task != Task::Regression {
            return Ok(1.0);
        }
        if let Some(known) = workshop.unit_of_loss(store).await? {
            return Ok(known);
        }
        let as_of = subject.dataset.cuts.as_of;
        let trained = rows.range(Window { from: subject.dataset.window.from, to: as_of });
        let known = trained.filter(|at| rows.is_available(*at, as_of));
        let unit = unit_of_loss(task, &known.map(|at| rows.label[at]).collect::<Vec<_>>());
        workshop.settle_unit_of_loss(store, unit).await?;
        Ok(unit)
    }

    /// What the configured policy looks at beside drift and loss; what it does not look at is left out.
    #[expect(clippy::too_many_arguments, reason = "all that was seen of the period")]
    pub(super) async fn evidence<S: Store>(
        &self,
        workshop: &Workshop,
        store: &S,
        subject: &Subject,
        rows: &Rows,
        period: Window,
        drift: Option<&Drift>,
        decay: Option<&DecayReport>,
        unit: f64,
    ) -> Result<Evidence, Error> {
        let task = task(workshop.feed().schema());
        let by = workshop.settings().advice.prices.priced;
        let newest = available(rows, subject, period.from, period.to);
        let labels = newest.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let manifest = workshop.scorer(subject.version)?;
        let manifest = manifest.manifest();
        let estimated = estimated_hours(manifest.row_rounds(), manifest.schema.features.len());
        let stated = workshop.settings().run_estimate_cpu_seconds;
        let run = stated.map_or(estimated, |seconds| seconds / 3_600.0);
        let before = Window { from: period.from.before(period.length()), to: period.from };
        let mut evidence = Evidence {
            alarms: alarms(workshop, subject, rows, period, decay, unit)?,
            smallest_p: drift.and_then(|drift| smallest_p(&drift.columns)),
            feature_shift: feature_shift(rows, rows.range(before), rows.range(period)),
            guess: guess(by, task, &labels).map(|guess| guess / unit),
            run_cpu_hours: Some(run),
            run_rows: Some(manifest.rows as u64),
            ..Evidence::default()
        };
        // Every decision tells what a run would save, and the best sign of it is how versions age on the same rows.
        let page = Page { limit: VERSIONS_LOOKED_AT, ..Page::default() };
        let versions = store.versions(&workshop.settings().model, page).await?;
        let trainings = versions.iter().filter(|of| period.contains(of.trained_at)).count();
        #[expect(clippy::cast_precision_loss, reason = "a few trainings")]
        let spent = trainings as f64 * run;
        evidence.spent_cpu_hours = spent;
        let retired = versions.iter().filter(|of| {
            of.role == Role::Retired && of.version != subject.version && of.trained_at < period.from
        });
        for record in retired.take(RETIRED_MAX) {
            // A version that is no longer kept is no evidence, and no error.
            if workshop.bring(record.version).await.is_err() || newest.is_empty() {
                continue;
            }
            let Ok(predictions) = workshop.predict(record.version, rows, &newest) else { continue };
            let Some(mean) = mean(&priced(by, task, &labels, &predictions)) else { continue };
            let age = age(record.trained_at, period);
            evidence.retired.push(Retired { age, mean: mean / unit });
        }
        // The oldest first, as in a backtest.
        evidence.retired.reverse();
        Ok(evidence)
    }
}

/// Detectors that the configured policy asks.
fn alarms(
    workshop: &Workshop,
    subject: &Subject,
    rows: &Rows,
    period: Window,
    decay: Option<&DecayReport>,
    unit: f64,
) -> Result<Alarms, Error> {
    let Some(decay) = decay else { return Ok(Alarms::default()) };
    let rule = &workshop.settings().advice.rule;
    let asks = |wanted: Detector| {
        rule.has(&|rule| {
            matches!(rule, Rule::Decay { test } | Rule::DriftSurf { test, .. } if *test == wanted)
        })
    };
    let state = &decay.sequential;
    let baseline = decay.baseline.loss.mean;
    let mut alarms = Alarms {
        cusum: state.detected_by_cusum && state.threshold < state.excess,
        ..Alarms::default()
    };
    let task = task(workshop.feed().schema());
    let losses = |from: Timestamp| {
        let positions = available(rows, subject, from, period.to);
        let labels = positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let predictions = workshop.predict(subject.version, rows, &positions)?;
        Ok::<_, Error>(row_losses(task, &labels, &predictions))
    };
    let cut = subject.dataset.cuts.as_of;
    if asks(Detector::TTest) {
        let newest = losses(cut.max(period.from))?;
        alarms.t_test = t_test(&newest, baseline, workshop.settings().decay.drop);
    }
    if asks(Detector::Adwin) {
        let mut rise = Rise::default();
        // In the unit that a backtest reads: ADWIN's bound is not free of scale.
        rise.update_many(&losses(cut)?.iter().map(|loss| loss / unit).collect::<Vec<_>>());
        alarms.adwin = rise.stands(mean(&losses(cut.max(period.from))?), baseline);
    }
    Ok(alarms)
}

/// Periods from a training to the end of `period`, at least 1.
fn age(trained: Timestamp, period: Window) -> u32 {
    let length = period.length().0.max(1);
    let passed = period.to.since(trained).0;
    u32::try_from(passed.div_ceil(length)).unwrap_or(u32::MAX).max(1)
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}
