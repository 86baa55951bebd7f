//! A champion's live loss against the holdout that judged it, and a candidate's against the champion.

use std::sync::PoisonError;

use afresh_core::id::VersionId;
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_ml::decay::sequential::{self, Sequential, SequentialDecay};
use afresh_ml::decay::{self, Direction, ttest};
use afresh_ml::metrics::loss::row_losses;
use afresh_ml::metrics::{Metric, Task};
use afresh_policy::observation::Loss;

use super::{Monitor, Subject, count};
use crate::workshop::{Baseline, Error, Workshop, task};

/// A period is cut into this many buckets for the t-test.
const BUCKETS: u64 = 24;
/// A bucket with fewer rows says nothing.
const BUCKET_ROWS_MIN: usize = 30;
/// Excess loss of a candidate that is no harm, as a share of the champion's loss on its holdout.
const EXCESS_TOLERATED: f64 = 0.02;
/// Bets look back over the rows that show an excess of so many standard deviations: about 100, so
/// that a probation of some hundred labels can end in evidence.
const HARM_DEVIATIONS: f64 = 0.2;

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
    /// Those rows.
    pub rows: u64,
    /// Rows of the period whose label was not available at its end.
    pub unlabelled: usize,
    /// Rung of the priority ladder.
    pub priority: u8,
}

/// How far a champion was followed, and what its losses say so far. A monitor that knows nothing
/// begins again at the champion's cut and comes to the same state.
#[derive(Debug)]
pub(super) struct Followed {
    version: VersionId,
    until: Timestamp,
    available: u64,
    test: Option<SequentialDecay>,
}

/// Rows and what the champion predicts for them.
struct Scored {
    labels: Vec<f64>,
    predictions: Vec<f64>,
}

impl DecayReport {
    /// Whether decay is proven and lasts: the alarm went off since the champion's cut, and the
    /// newest rows' loss is still above what is tolerated. A bad week that is over is no reason.
    #[must_use]
    pub fn alarm(&self) -> bool {
        self.sequential.detected && self.sequential.threshold < self.sequential.excess
    }

    /// For the policy.
    pub(super) fn loss(&self) -> Loss {
        Loss {
            mean: self.sequential.recent_mean,
            rows: self.rows,
            baseline: self.baseline.loss.mean,
            alarm: self.alarm(),
            e_value: self.sequential.e_value,
        }
    }

    /// How much the metric fell, positive is worse; by the widest t-test window where it says
    /// something, else over the period.
    pub(super) fn drop(&self, workshop: &Workshop) -> Option<f64> {
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
pub(super) fn harm(champion: &Baseline, excess: &[f64]) -> Result<f64, Error> {
    let reach = champion.clip.high - champion.clip.low;
    let tolerated = EXCESS_TOLERATED * champion.loss.mean;
    // Sizes the bets, so it must not look at the rows to come; validity hangs on `tolerated` alone.
    let standard_deviation = champion.loss.standard_deviation / 2.0;
    let margin = HARM_DEVIATIONS * standard_deviation;
    // The tolerated excess is chosen, not measured: it has no error of its own.
    let mean = tolerated - margin;
    let baseline = sequential::Baseline { mean, standard_deviation, rows: u64::MAX };
    let parameters = sequential::Parameters {
        clip: sequential::Clip { low: -reach, high: reach },
        effect_min: margin / mean.abs().max(f64::EPSILON),
        alpha_share_baseline: 0.01,
        ..Default::default()
    };
    let mut test = SequentialDecay::new(baseline, parameters).map_err(|error| wrong(&error))?;
    test.update_many(excess).map_err(|error| wrong(&error))?;
    // The largest so far: evidence that was once enough stays enough (Ville's inequality).
    Ok(1.0 / test.state().p_value)
}

impl Monitor {
    /// Goes on with the champion's live loss to the end of `period`. Gives the rows that became
    /// available since the champion's cut, and a report where there is one to give.
    pub(super) fn follow(
        &self,
        workshop: &Workshop,
        subject: &Subject,
        rows: &Rows,
        baseline: Option<Baseline>,
        period: Window,
    ) -> Result<(u64, Option<DecayReport>), Error> {
        let mut followed = self.followed.lock().unwrap_or_else(PoisonError::into_inner);
        let goes_on = followed.take().filter(|followed| {
            followed.version == subject.version && followed.until <= period.from
        });
        let mut state = match goes_on {
            Some(followed) => followed,
            None => Followed::begin(subject, baseline)?,
        };
        // Rows before the period were missed or are new to this champion: they only count.
        let before = available(rows, subject, state.until, period.from);
        state.take(workshop, rows, &before)?;
        let newest = available(rows, subject, state.until.max(period.from), period.to);
        let scored = state.take(workshop, rows, &newest)?;
        state.until = period.to;
        let available = state.available;
        let report = match (&state.test, baseline) {
            (Some(test), Some(baseline)) if available > 0 => {
                let sequential = test.state();
                Some(report(workshop, rows, &newest, &scored, sequential, baseline, period))
            }
            _ => None,
        };
        *followed = Some(state);
        Ok((available, report))
    }
}

impl Followed {
    fn begin(subject: &Subject, baseline: Option<Baseline>) -> Result<Followed, Error> {
        let start = |baseline: Baseline| {
            let parameters = sequential::Parameters { clip: baseline.clip, ..Default::default() };
            SequentialDecay::new(baseline.loss, parameters).map_err(|error| wrong(&error))
        };
        Ok(Followed {
            version: subject.version,
            until: subject.dataset.cuts.as_of,
            available: 0,
            test: baseline.map(start).transpose()?,
        })
    }

    /// Takes rows in order of availability and gives the champion's predictions for them.
    fn take(
        &mut self,
        workshop: &Workshop,
        rows: &Rows,
        positions: &[usize],
    ) -> Result<Scored, Error> {
        self.available += count(positions.len());
        let labels = positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let predictions = workshop.predict(self.version, rows, positions)?;
        if let Some(test) = &mut self.test {
            let losses = row_losses(task(workshop.feed().schema()), &labels, &predictions);
            test.update_many(&losses).map_err(|error| wrong(&error))?;
        }
        Ok(Scored { labels, predictions })
    }
}

/// Rows that became available in `[from, to)`, in that order.
fn available(rows: &Rows, subject: &Subject, from: Timestamp, to: Timestamp) -> Vec<usize> {
    let window = Window { from: subject.dataset.window.from, to };
    let inside = |at: &usize| rows.available_at[*at].is_some_and(|when| from <= when && when < to);
    let mut positions = rows.range(window).filter(inside).collect::<Vec<_>>();
    positions.sort_by_key(|at| rows.available_at[*at]);
    positions
}

fn wrong(error: &sequential::Error) -> Error {
    Error::Missing(format!("decay: {error}"))
}

fn report(
    workshop: &Workshop,
    rows: &Rows,
    newest: &[usize],
    scored: &Scored,
    sequential: Sequential,
    baseline: Baseline,
    period: Window,
) -> DecayReport {
    let (metric, task) = (workshop.settings().metric, task(workshop.feed().schema()));
    let current = metric.value(task, &scored.labels, &scored.predictions);
    let buckets = buckets(metric, task, rows, newest, period, scored);
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
    let row_loss = sequential.to_decay("loss", "since training", unlabelled);
    let ladder = windows.iter().cloned().chain([row_loss]).collect::<Vec<_>>();
    let priority = decay::priority(&ladder);
    let rows = count(newest.len());
    DecayReport { windows, sequential, baseline, current, rows, unlabelled, priority }
}

/// The metric of each bucket of the period that has rows enough, oldest first.
fn buckets(
    metric: Metric,
    task: Task,
    rows: &Rows,
    newest: &[usize],
    period: Window,
    scored: &Scored,
) -> Vec<f64> {
    let Scored { labels, predictions } = scored;
    let step = Duration((period.length().0 / BUCKETS).max(1));
    let width = predictions.len() / labels.len().max(1);
    let mut values = Vec::new();
    let mut from = 0;
    while from < labels.len() {
        let bucket = |at: usize| {
            rows.available_at[newest[at]].map(|when| when.since(period.from).0 / step.0)
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
