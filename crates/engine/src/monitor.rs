//! What the monitors see: drift of the newest rows, decay of the champion, a candidate's conduct.
//! Measures are taken from available rows only; what follows from them is decided elsewhere.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use afresh_core::id::VersionId;
use afresh_core::input::Watch;
use afresh_core::signal::{Decay, Priority, Signal};
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::rows::{Column, Rows};
use afresh_data::spec::Columns;
use afresh_data::split::{self, Part};
use afresh_ml::decay::sequential::{self, Sequential, SequentialDecay};
use afresh_ml::decay::{self, Direction, ttest};
use afresh_ml::drift::{self, Drift, Reference};
use afresh_ml::metrics::loss::row_losses;
use afresh_ml::metrics::{Metric, Task};
use afresh_policy::observation::{Loss, Observation};

use crate::port::Store;
use crate::workshop::{Baseline, Dataset, Error, Workshop, task};

/// References kept in memory: the champion's, and those of a few before it.
const REFERENCES_MAX: usize = 4;
/// A period is cut into this many buckets for the t-test.
const BUCKETS: u64 = 24;
/// A bucket with fewer rows says nothing.
const BUCKET_ROWS_MIN: usize = 30;

/// Excess loss of a candidate that is no harm, as a share of the champion's loss on its holdout.
const EXCESS_TOLERATED: f64 = 0.02;

/// Remembers what was prepared for a version; nothing that a restart could lose.
#[derive(Debug, Default)]
pub struct Monitor {
    references: Mutex<BTreeMap<VersionId, Arc<Vec<Reference>>>>,
}

/// What was seen at the end of a period.
#[derive(Clone, Debug)]
pub struct Sight {
    /// For the policy.
    pub observation: Observation,
    /// The period's rows against the champion's; `None` without rows on one side.
    pub drift: Option<Drift>,
    /// The champion's live performance; `None` where no label is available or no baseline.
    pub decay: Option<DecayReport>,
    /// Share of each feature in the champion's gain, in the schema's order.
    pub importance: Vec<f64>,
    /// For the core.
    pub signals: Vec<Signal>,
}

/// The champion's live performance against the holdout that judged it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecayReport {
    /// The metric over windows of buckets, by t-test.
    pub windows: Vec<decay::Decay>,
    /// The row loss since the champion's cut, by CUSUM and e-process.
    pub sequential: Sequential,
    /// What it is measured against.
    pub baseline: Baseline,
    /// The metric over the rows that became available in the period.
    pub current: Option<f64>,
    /// Rows of the period whose label was not available at its end.
    pub unlabelled: usize,
    /// Rung of the priority ladder.
    pub priority: u8,
}

/// The champion and what it was trained on.
struct Subject {
    version: VersionId,
    dataset: Dataset,
    importance: Vec<f64>,
}

impl Sight {
    /// Without what only the core and the policy need.
    #[must_use]
    pub fn slim(self) -> Sight {
        Sight { signals: Vec::new(), ..self }
    }
}

impl Monitor {
    /// Looks at `champion` at the end of `period`.
    pub async fn look<S: Store>(
        &self,
        workshop: &Workshop,
        store: &S,
        champion: VersionId,
        period: Window,
    ) -> Result<Sight, Error> {
        let dataset = workshop.dataset_of(store, champion).await?;
        let cut = dataset.cuts.as_of;
        let importance = importance(workshop, champion)?;
        let subject = Subject { version: champion, dataset, importance };
        let window = Window { from: subject.dataset.window.from, to: period.to };
        let rows = workshop.rows(window, Columns::All).await?;
        let range = rows.range(period);
        let drift = self.drift(workshop, &subject, &rows, range.clone())?;
        let baseline = workshop.baseline_of(store, champion).await?;
        let since = Since::of(&rows, window, cut, period);
        let decay = match baseline {
            Some(baseline) if !since.positions.is_empty() => {
                Some(decay(workshop, &subject, &rows, &since, baseline, period)?)
            }
            Some(_) | None => None,
        };
        let mut signals = vec![Signal::Volume { rows: count(since.positions.len()) }];
        if let Some(drift) = &drift {
            signals.push(Signal::Drift { score: drift.score, rows: count(range.len()) });
        }
        if let Some((decay, drop)) =
            decay.as_ref().and_then(|decay| Some((decay, decay.drop(workshop)?)))
        {
            signals.push(Signal::Decay(Decay {
                version: champion,
                metric: workshop.settings().metric.name().to_owned(),
                drop,
                alarm: decay.alarm(),
                priority: Priority::new(decay.priority).unwrap_or(Priority::DEFAULT),
            }));
        }
        let observation = Observation {
            at: period.to,
            champion,
            rows: count(range.len()),
            available_since_cut: count(since.positions.len()),
            drift: drift.as_ref().map(|drift| drift.score),
            loss: decay.as_ref().and_then(|decay| since.loss(decay)),
        };
        Ok(Sight { observation, drift, decay, importance: subject.importance, signals })
    }

    /// How a candidate that serves since `since` is doing against the champion on the same rows:
    /// those whose event it answered and whose label is available.
    pub async fn watch<S: Store>(
        &self,
        workshop: &Workshop,
        store: &S,
        candidate: VersionId,
        champion: Option<VersionId>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Watch, Error> {
        let window = Window { from: since, to: now };
        let rows = workshop.rows(window, Columns::All).await?;
        let mut positions =
            rows.range(window).filter(|at| rows.is_available(*at, now)).collect::<Vec<_>>();
        positions.sort_by_key(|at| rows.available_at[*at]);
        let labels = positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let mut watch = Watch {
            version: candidate,
            labels: count(labels.len()),
            e_value: 0.0,
            excess_loss: 0.0,
            error_rate: 0.0,
        };
        let Some(champion) = champion else { return Ok(watch) };
        let task = task(workshop.feed().schema());
        let losses = |version| {
            let predictions = workshop.predict(version, &rows, &positions)?;
            Ok::<_, Error>(row_losses(task, &labels, &predictions))
        };
        let (ours, theirs) = (losses(candidate)?, losses(champion)?);
        let excess = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs);
        let excess = excess.collect::<Vec<_>>();
        let baseline = workshop.baseline_of(store, champion).await?;
        let Some(baseline) = baseline.filter(|_| !excess.is_empty()) else { return Ok(watch) };
        #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
        let rows = excess.len() as f64;
        watch.excess_loss = excess.iter().sum::<f64>() / rows;
        watch.e_value = harm(&baseline, &excess)?;
        Ok(watch)
    }

    fn drift(
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

/// Rows that became available since the champion's cut, by availability.
struct Since {
    positions: Vec<usize>,
    /// Where those of the period begin.
    period_from: usize,
}

impl Since {
    fn of(rows: &Rows, window: Window, cut: Timestamp, period: Window) -> Since {
        let available =
            |at: &usize| rows.available_at[*at].is_some_and(|when| cut <= when && when < period.to);
        let mut positions = rows.range(window).filter(available).collect::<Vec<_>>();
        positions.sort_by_key(|at| rows.available_at[*at]);
        let period_from = positions
            .partition_point(|at| rows.available_at[*at].is_some_and(|when| when < period.from));
        Since { positions, period_from }
    }

    fn loss(&self, decay: &DecayReport) -> Option<Loss> {
        let rows = self.positions.len() - self.period_from;
        (rows > 0).then_some(Loss {
            mean: decay.sequential.recent_mean,
            rows: count(rows),
            baseline: decay.baseline.loss.mean,
            alarm: decay.alarm(),
            e_value: decay.sequential.e_value,
        })
    }
}

impl DecayReport {
    /// Whether decay is proven and lasts: the alarm went off since the champion's cut, and the
    /// newest rows' loss is still above what is tolerated. A bad week that is over is no reason.
    #[must_use]
    pub fn alarm(&self) -> bool {
        self.sequential.detected && self.sequential.threshold < self.sequential.excess
    }

    /// How much the metric fell, positive is worse; by the widest t-test window where it says
    /// something, else over the period.
    fn drop(&self, workshop: &Workshop) -> Option<f64> {
        if let Some(report) = self.windows.last() {
            return Some(report.drop);
        }
        let (baseline, current) = (self.baseline.metric?, self.current?);
        let higher_is_better = workshop.settings().metric.higher_is_better();
        Some(if higher_is_better { baseline - current } else { current - baseline })
    }
}

/// Evidence that a candidate's loss exceeds the champion's on the same rows by more than is
/// tolerated: an e-value, valid whenever one looks.
fn harm(champion: &Baseline, excess: &[f64]) -> Result<f64, Error> {
    let reach = champion.clip.high - champion.clip.low;
    let baseline = sequential::Baseline {
        mean: EXCESS_TOLERATED * champion.loss.mean,
        // Only sizes the bets, so it must not look at the rows to come.
        standard_deviation: champion.loss.standard_deviation / 2.0,
        // The tolerated excess is chosen, not measured: it has no error of its own.
        rows: u64::MAX,
    };
    let parameters = sequential::Parameters {
        clip: sequential::Clip { low: -reach, high: reach },
        effect_min: 0.0,
        alpha_share_baseline: 0.01,
        ..Default::default()
    };
    let wrong = |error: sequential::Error| Error::Missing(format!("watch: {error}"));
    let mut test = SequentialDecay::new(baseline, parameters).map_err(wrong)?;
    test.update_many(excess).map_err(wrong)?;
    // The largest so far: evidence that was once enough stays enough (Ville's inequality).
    Ok(1.0 / test.state().p_value)
}

fn decay(
    workshop: &Workshop,
    subject: &Subject,
    rows: &Rows,
    since: &Since,
    baseline: Baseline,
    period: Window,
) -> Result<DecayReport, Error> {
    let (metric, task) = (workshop.settings().metric, task(workshop.feed().schema()));
    let labels = since.positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
    let predictions = workshop.predict(subject.version, rows, &since.positions)?;
    let losses = row_losses(task, &labels, &predictions);
    let wrong = |error: sequential::Error| Error::Missing(format!("decay: {error}"));
    let parameters = sequential::Parameters { clip: baseline.clip, ..Default::default() };
    let mut test = SequentialDecay::new(baseline.loss, parameters).map_err(wrong)?;
    test.update_many(&losses).map_err(wrong)?;
    let width = predictions.len() / labels.len().max(1);
    let newest = since.period_from;
    let current = metric.value(task, &labels[newest..], &predictions[newest * width..]);
    let buckets = buckets(metric, task, rows, since, period, &labels, &predictions);
    let unlabelled = rows.range(period).filter(|at| !rows.is_available(*at, period.to)).count();
    let series = ttest::Series {
        metric: metric.name(),
        direction: Direction::of(metric),
        window: &period.length().to_string(),
        values: &buckets,
        baseline: baseline.metric,
        unlabelled,
    };
    let threshold = ttest::Threshold::Absolute(workshop.settings().decay_threshold);
    let windows = ttest::windows(&[series], threshold);
    let sequential = test.state();
    let row_loss = sequential.to_decay("loss", "since training", unlabelled);
    let ladder = windows.iter().cloned().chain([row_loss]).collect::<Vec<_>>();
    let priority = decay::priority(&ladder);
    Ok(DecayReport { windows, sequential, baseline, current, unlabelled, priority })
}

/// The metric of each bucket of the period that has rows enough, oldest first.
fn buckets(
    metric: Metric,
    task: Task,
    rows: &Rows,
    since: &Since,
    period: Window,
    labels: &[f64],
    predictions: &[f64],
) -> Vec<f64> {
    let step = Duration((period.length().0 / BUCKETS).max(1));
    let width = predictions.len() / labels.len().max(1);
    let mut values = Vec::new();
    let mut from = since.period_from;
    while from < labels.len() {
        let bucket = |at: usize| {
            rows.available_at[since.positions[at]].map(|when| when.since(period.from).0 / step.0)
        };
        let mut to = from + 1;
        while to < labels.len() && bucket(to) == bucket(from) {
            to += 1;
        }
        if BUCKET_ROWS_MIN <= to - from {
            let value =
                metric.value(task, &labels[from..to], &predictions[from * width..to * width]);
            values.extend(value);
        }
        from = to;
    }
    values
}

/// Share of each feature in a version's gain; all alike where it has none.
fn importance(workshop: &Workshop, version: VersionId) -> Result<Vec<f64>, Error> {
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
        afresh_data::rows::Values::Numeric(values) => drift::Values::Numeric(&values[range]),
        afresh_data::rows::Values::Categorical { codes, names } => {
            drift::Values::Categorical { codes: &codes[range], names }
        }
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
