//! Hindsight: every period scored on all its labelled rows, for the three arms.

use std::collections::BTreeMap;

use afresh_core::event::Outcome as RunOutcome;
use afresh_core::history::RunRecord;
use afresh_core::id::VersionId;
use afresh_core::signal::Cause;
use afresh_core::time::Window;
use afresh_engine::port::{Page, Store};
use afresh_engine::workshop::{Workshop, task};
use afresh_ml::metrics::Task;
use afresh_ml::metrics::loss::row_losses;

use super::always::Trained;
use super::outcome::{Arm, Logged, Outcome, Period};
use super::{Drive, Error, Log, Progress};

/// Rows of a listing that are read at a time.
const PAGE: u32 = 1_000;

/// Predictions of one arm for some rows, row-major.
struct Answers {
    labels: Vec<f64>,
    predictions: Vec<f64>,
}

/// Sums up an arm over the periods.
#[derive(Default)]
struct Tally {
    metrics: Vec<Option<f64>>,
    losses: f64,
    rows: usize,
}

impl<S: Store, P: Fn(Progress)> Drive<S, P> {
    /// Scores all periods and gathers what happened.
    pub(super) async fn outcome(
        self,
        periods: &[Window],
        rival: &Workshop,
        rivals: Vec<Option<Trained>>,
    ) -> Result<Outcome, Error> {
        let store = self.machine.store();
        let runs = all_runs(store, &self.model).await?;
        let decisions = all_decisions(store, &self.model).await?;
        let page = Page { before: None, limit: u32::MAX };
        let versions = store.versions(&self.model, page).await?;
        let mut servings = store.servings(&self.model, page).await?;
        servings.reverse();
        let first_run = runs.iter().find(|run| run.run.cause == Cause::FirstVersion);
        let first_run = first_run.map(|run| run.run.id);
        let first = servings.iter().find_map(|serving| serving.version);

        let settings = self.workshop.settings().clone();
        let stopped = |source| Error::Worker { at: self.now, source };
        let task = task(self.workshop.feed().schema());
        let (mut managed, mut never, mut always) =
            (Tally::default(), Tally::default(), Tally::default());
        let mut scored = Vec::with_capacity(periods.len());
        let mut log = Vec::new();
        let mut always_cpu_seconds = 0.0;
        let mut current: Option<Trained> = None;
        for (number, (window, seen)) in periods.iter().zip(&self.seen).enumerate() {
            if number > 0 {
                // Where nothing could be trained, the version before goes on.
                let trained = rivals.get(number - 1).copied().flatten();
                current = trained.or(current);
                always_cpu_seconds += trained.map_or(0.0, |trained| trained.cpu_seconds);
            }
            let range = self.rows.range(*window);
            let labelled =
                range.clone().filter(|at| !self.rows.label[*at].is_nan()).collect::<Vec<_>>();
            let by_managed = |at: &usize| {
                self.serving.version_for(self.rows.key[*at], self.rows.event_time[*at])
            };
            let ours = self.answers(&self.workshop, &labelled, by_managed).map_err(stopped)?;
            let kept = self.answers(&self.workshop, &labelled, |_| first).map_err(stopped)?;
            if self.log == Log::FirstVersion && kept.labels.len() == labelled.len() {
                log.extend(self.logged(&labelled, &kept));
            }
            let rivals = match current {
                None => self.answers(&self.workshop, &labelled, |_at| first),
                Some(trained) => self.answers(rival, &labelled, |_| Some(trained.version)),
            };
            let rivals = rivals.map_err(stopped)?;
            let unlabelled = range.clone().filter(|at| !self.rows.is_available(*at, window.to));
            let cpu =
                |run: &&RunRecord| Some(run.run.id) != first_run && run.run.decided_at < window.to;
            scored.push(Period {
                window: *window,
                rows: count(range.len()),
                unlabelled: count(unlabelled.count()),
                champion: seen.champion,
                managed: managed.add(settings.metric, task, &ours),
                never: never.add(settings.metric, task, &kept),
                always: always.add(settings.metric, task, &rivals).filter(|_| self.compared),
                managed_cpu_seconds: 0.0
                    + runs.iter().filter(cpu).map(|run| run.cpu_seconds).sum::<f64>(),
                always_cpu_seconds,
                sight: seen.sight.clone(),
            });
            debug_assert_eq!(seen.period, *window);
        }
        let retrainings =
            || runs.iter().filter(|run| Some(run.run.id) != first_run && run.judged.is_some());
        let ended = |outcome| retrainings().filter(|run| run.outcome == Some(outcome)).count();
        let cpu_seconds = 0.0
            + runs
                .iter()
                .filter(|run| Some(run.run.id) != first_run)
                .map(|run| run.cpu_seconds)
                .sum::<f64>();
        let trained = rivals.iter().flatten().count();
        let metric = settings.metric;
        Ok(Outcome {
            model: self.model.clone(),
            metric,
            managed: managed.arm(
                task,
                retrainings().count(),
                ended(RunOutcome::Rejected),
                ended(RunOutcome::RolledBack),
                cpu_seconds,
            ),
            never: never.arm(task, 0, 0, 0, 0.0),
            always: self.compared.then(|| always.arm(task, trained, 0, 0, always_cpu_seconds)),
            periods: scored,
            versions,
            servings,
            decisions,
            first_run,
            savings: self.savings.savings().to_vec(),
            runs,
            log,
        })
    }

    fn logged(&self, rows: &[usize], answers: &Answers) -> Vec<Logged> {
        let width = self.workshop.feed().schema().outputs();
        let each = rows.iter().zip(answers.predictions.chunks_exact(width));
        each.map(|(at, prediction)| Logged {
            at: self.rows.event_time[*at],
            prediction: prediction.to_vec(),
            label: self.rows.label[*at],
            label_time: self.rows.available_at[*at],
        })
        .collect()
    }

    /// Each row answered by the version that `by` names; rows that nothing answers are left out.
    fn answers(
        &self,
        workshop: &Workshop,
        rows: &[usize],
        by: impl Fn(&usize) -> Option<VersionId>,
    ) -> Result<Answers, afresh_engine::workshop::Error> {
        let width = self.workshop.feed().schema().outputs();
        // Places in `rows`, by the version that answers there.
        let mut groups = BTreeMap::<VersionId, Vec<usize>>::new();
        for (place, at) in rows.iter().enumerate() {
            if let Some(version) = by(at) {
                groups.entry(version).or_default().push(place);
            }
        }
        let mut predictions = vec![f64::NAN; rows.len() * width];
        for (version, places) in groups {
            let positions = places.iter().map(|place| rows[*place]).collect::<Vec<_>>();
            let answers = workshop.predict(version, &self.rows, &positions)?;
            for (place, answer) in places.into_iter().zip(answers.chunks_exact(width)) {
                predictions[place * width..(place + 1) * width].copy_from_slice(answer);
            }
        }
        let answered = |place: &usize| !predictions[place * width].is_nan();
        let places = (0..rows.len()).filter(answered).collect::<Vec<_>>();
        if places.len() == rows.len() {
            let labels = rows.iter().map(|at| self.rows.label[*at]).collect();
            return Ok(Answers { labels, predictions });
        }
        Ok(Answers {
            labels: places.iter().map(|place| self.rows.label[rows[*place]]).collect(),
            predictions: places
                .iter()
                .flat_map(|place| predictions[place * width..(place + 1) * width].to_vec())
                .collect(),
        })
    }
}

impl Tally {
    fn add(
        &mut self,
        metric: afresh_ml::metrics::Metric,
        task: Task,
        answers: &Answers,
    ) -> Option<f64> {
        let value = metric.value(task, &answers.labels, &answers.predictions);
        self.metrics.push(value);
        self.losses += row_losses(task, &answers.labels, &answers.predictions).iter().sum::<f64>();
        self.rows += answers.labels.len();
        value
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    fn arm(
        &self,
        task: Task,
        retrains: usize,
        rejected: usize,
        rolled_back: usize,
        training_cpu_seconds: f64,
    ) -> Arm {
        let defined = self.metrics.iter().flatten().copied().collect::<Vec<_>>();
        let mean = defined.iter().sum::<f64>() / defined.len() as f64;
        let log_loss = self.losses / self.rows as f64;
        Arm {
            metric_mean: (!defined.is_empty()).then_some(mean),
            periods_undefined: self.metrics.len() - defined.len(),
            log_loss: (task != Task::Regression && self.rows > 0).then_some(log_loss),
            retrains,
            rejected,
            rolled_back,
            training_cpu_seconds,
        }
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}

async fn all_runs<S: Store>(
    store: &S,
    model: &afresh_core::id::ModelName,
) -> Result<Vec<RunRecord>, Error> {
    let mut runs = Vec::new();
    let mut page = Page { before: None, limit: PAGE };
    loop {
        let rows = store.runs(Some(model), page).await?;
        let Some(last) = rows.last() else { break };
        page.before = Some(last.id);
        runs.extend(rows.into_iter().map(|row| row.record));
    }
    runs.reverse();
    Ok(runs)
}

async fn all_decisions<S: Store>(
    store: &S,
    model: &afresh_core::id::ModelName,
) -> Result<Vec<afresh_engine::port::DecisionRow>, Error> {
    let mut decisions = Vec::new();
    let mut page = Page { before: None, limit: PAGE };
    loop {
        let rows = store.decisions(Some(model), page).await?;
        let Some(last) = rows.last() else { break };
        page.before = Some(last.id);
        decisions.extend(rows);
    }
    decisions.reverse();
    Ok(decisions)
}
