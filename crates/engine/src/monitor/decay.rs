//! A champion's live loss against the holdout that judged it, and a candidate's against the champion.

use std::sync::PoisonError;

use afresh_core::id::VersionId;
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_ml::decay::sequential::{self, Sequential, SequentialDecay};
use afresh_ml::decay::standard::{Losses, Standard};
use afresh_ml::decay::watch::{Plan, Point, Silent, Watch};
use afresh_ml::decay::{self, Direction, Test};
use afresh_ml::metrics::{Metric, Task};
use afresh_policy::observation::Loss;
use afresh_policy::prices::Priced;

use super::{Monitor, Subject, count};
use crate::workshop::{Baseline, Error, Workshop, chain, task};

/// Excess loss of a candidate that is no harm, as a share of the champion's loss on its holdout.
const EXCESS_TOLERATED: f64 = 0.02;
/// Bets look back over the rows that show an excess of so many standard deviations: about 100, so
/// that a probation of some hundred labels can end in evidence.
const HARM_DEVIATIONS: f64 = 0.2;

/// The champion's live performance against the holdout that judged it.
#[derive(Clone, Debug, PartialEq)]
pub struct DecayReport {
    /// Metrics over windows of which something can be said.
    pub windows: Vec<decay::Decay>,
    /// The others, and why.
    pub silent: Vec<Silent>,
    /// The row loss since the champion's cut, by CUSUM and e-process.
    pub sequential: Sequential,
    /// The sequential test of each watched metric that has one.
    pub tests: Vec<(Metric, Sequential)>,
    /// The way here, bucket by bucket of the widest window; left out of a replay's report.
    pub trail: Vec<Point>,
    /// What it is measured against.
    pub baseline: Baseline,
    /// The gate's metric over the rows that became available in the period.
    pub current: Option<f64>,
    /// Share of them that the champion gets wrong; `None` without any, and in regression.
    pub errors: Option<f64>,
    /// Those rows.
    pub rows: u64,
    /// Of those, rows whose label was known before their event: something is wrong with their times.
    pub labelled_before_event: usize,
    /// Rows with event time in the period.
    pub period_rows: usize,
    /// Of those, rows whose label was not available at its end.
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
    watch: Option<Watch>,
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

    /// The same of the row loss or any watched metric.
    #[must_use]
    pub fn proven(&self) -> bool {
        let proven = |found: &decay::Decay| found.detected && found.test == Test::Sequential;
        self.alarm() || self.windows.iter().any(proven)
    }

    /// For the policy: what has a price, in units of cost. `None` where the champion's own share of errors is not known.
    pub(super) fn loss(&self, priced: Priced, unit: f64) -> Option<Loss> {
        let (mean, baseline) = match priced {
            Priced::Loss => (self.sequential.recent_mean / unit, self.baseline.loss.mean / unit),
            Priced::Errors => {
                let accuracy = |of: &&Standard| of.metric == Metric::Accuracy;
                let standard = self.baseline.standards.iter().find(accuracy)?;
                (self.errors?, 1.0 - standard.value?)
            }
        };
        let (alarm, e_value) = (self.alarm(), self.sequential.e_value);
        Some(Loss { mean, rows: self.rows, baseline, alarm, e_value })
    }

    /// Which metric fell how much, positive is worse: the worst of those detected, else the gate's over its widest
    /// window that says something, else over the period. Of errors in the label's unit a share of the baseline.
    pub(super) fn drop(&self, workshop: &Workshop) -> Option<(String, f64)> {
        let metric = workshop.settings().metric;
        let detected = self.windows.iter().filter(|found| found.detected);
        let worst = detected.max_by(|a, b| a.drop_percent.total_cmp(&b.drop_percent));
        let mut own = self.windows.iter().filter(|found| found.metric == metric.name());
        if let Some(found) = worst.or(own.next_back()) {
            let metric = Metric::parse(&found.metric).unwrap_or(metric);
            return Some((found.metric.clone(), shared(metric, found.drop, found.baseline)));
        }
        let (baseline, current) = (self.baseline.metric?, self.current?);
        let drop = Direction::of(metric).drop(baseline, current);
        Some((metric.name().to_owned(), shared(metric, drop, baseline)))
    }
}

/// A drop as thresholds are written: a share of the baseline where the metric is in the label's unit.
fn shared(metric: Metric, drop: f64, baseline: f64) -> f64 {
    let relative = matches!(metric, Metric::Rmse | Metric::Mae) && baseline > 0.0;
    if relative { drop / baseline } else { drop }
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
            None => Followed::begin(workshop, subject, baseline.as_ref())?,
        };
        // Rows before the period were missed or are new to this champion: they only count.
        let before = available(rows, subject, state.until, period.from);
        state.take(workshop, rows, &before)?;
        let newest = available(rows, subject, state.until.max(period.from), period.to);
        let scored = state.take(workshop, rows, &newest)?;
        state.until = period.to;
        let available = state.available;
        let report = match (&state.watch, baseline) {
            (Some(watch), Some(baseline)) if available > 0 => {
                Some(report(workshop, rows, &newest, &scored, watch, baseline, period))
            }
            _ => None,
        };
        *followed = Some(state);
        Ok((available, report))
    }
}

impl Followed {
    fn begin(
        workshop: &Workshop,
        subject: &Subject,
        baseline: Option<&Baseline>,
    ) -> Result<Followed, Error> {
        let settings = &workshop.settings().decay;
        let start = |baseline: &Baseline| {
            let standard = |metric: &Metric| {
                let known = baseline.standards.iter().find(|known| known.metric == *metric);
                known.cloned().unwrap_or_else(|| Standard {
                    metric: *metric,
                    // An older version kept the gate's metric only.
                    value: baseline.metric.filter(|_| *metric == workshop.settings().metric),
                    losses: None,
                })
            };
            let plan = Plan {
                task: task(workshop.feed().schema()),
                standards: settings.metrics.iter().map(standard).collect(),
                primary: Losses { baseline: baseline.loss, clip: baseline.clip },
                windows: settings.windows.clone(),
                test: settings.test,
                drop: settings.drop,
                alpha: sequential::Parameters::default().alpha,
            };
            Watch::new(plan).map_err(|error| wrong(&error))
        };
        Ok(Followed {
            version: subject.version,
            until: subject.dataset.cuts.as_of,
            available: 0,
            watch: baseline.map(start).transpose()?,
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
        if let Some(watch) = &mut self.watch {
            let at = |at: &usize| rows.available_at[*at].map_or(i64::MIN, |when| when.0);
            let at = positions.iter().map(at).collect::<Vec<_>>();
            watch.update_many(&at, &labels, &predictions).map_err(|error| wrong(&error))?;
        }
        Ok(Scored { labels, predictions })
    }
}

/// Rows that became available in `[from, to)`, in that order.
pub(super) fn available(
    rows: &Rows,
    subject: &Subject,
    from: Timestamp,
    to: Timestamp,
) -> Vec<usize> {
    let window = Window { from: subject.dataset.window.from, to };
    let inside = |at: &usize| rows.available_at[*at].is_some_and(|when| from <= when && when < to);
    let mut positions = rows.range(window).filter(inside).collect::<Vec<_>>();
    positions.sort_by_key(|at| rows.available_at[*at]);
    positions
}

fn wrong(error: &dyn std::error::Error) -> Error {
    Error::Missing(format!("decay: {}", chain(error)))
}

fn report(
    workshop: &Workshop,
    rows: &Rows,
    newest: &[usize],
    scored: &Scored,
    watch: &Watch,
    baseline: Baseline,
    period: Window,
) -> DecayReport {
    let (metric, task) = (workshop.settings().metric, task(workshop.feed().schema()));
    let current = metric.value(task, &scored.labels, &scored.predictions);
    let accuracy = (task != Task::Regression)
        .then(|| Metric::Accuracy.value(task, &scored.labels, &scored.predictions))
        .flatten();
    let until = period.to;
    let unlabelled =
        |window: Window| rows.range(window).filter(|at| !rows.is_available(*at, until)).count();
    let of_windows = watch.plan().windows.iter().map(|window| {
        let length = Duration(window.length.unsigned_abs());
        unlabelled(Window { from: until.before(length), to: until })
    });
    let found = watch.report(until.0, &of_windows.collect::<Vec<_>>());
    let early =
        |at: &&usize| rows.available_at[**at].is_some_and(|when| when < rows.event_time[**at]);
    let unlabelled = unlabelled(period);
    let mut report = DecayReport {
        windows: found.decay,
        silent: found.silent,
        sequential: watch.primary(),
        tests: watch.sequential(),
        trail: watch.trail().to_vec(),
        baseline,
        current,
        errors: accuracy.map(|accuracy| 1.0 - accuracy),
        rows: count(newest.len()),
        labelled_before_event: newest.iter().filter(early).count(),
        period_rows: rows.range(period).len(),
        unlabelled,
        priority: 1,
    };
    let mut ladder = report.windows.clone();
    if watch.plan().test == Test::Sequential {
        let mut row_loss = report.sequential.to_decay("loss", "since training", unlabelled);
        row_loss.detected = report.alarm();
        ladder.push(row_loss);
    }
    report.priority = decay::priority(&ladder);
    report
}
