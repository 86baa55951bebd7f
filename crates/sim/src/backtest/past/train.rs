//! Trains every version of the grid once and scores it once, in parallel within slots, from the
//! cache where it was done before.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use afresh_core::id::ModelName;
use afresh_core::time::{Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_data::selection::Selection;
use afresh_data::spec::Columns;
use afresh_engine::monitor::evidence::{estimated_hours, feature_shift, guess, unit_of_loss};
use afresh_engine::settings::{Known, TrainingWindow};
use afresh_engine::workshop::{self, Once, Shipped, Workshop, task};
use afresh_ml::metrics::loss::{errors, row_losses};
use afresh_policy::prices::Priced;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::cache::{self, Kept};
use super::chosen::{self, Alias};
use super::{Cell, Past, Plan, drift, mean, open};
use crate::backtest::PERIODS_MIN;
use crate::backtest::contest::in_parallel;
use crate::backtest::world::World as _;
use crate::replay::{Error, periods, too_short};

/// Rows scored at a time.
const ROWS_AT_A_TIME: usize = 65_536;
/// Rows whose losses are computed at a time: what is made of them meanwhile stays in the processor's cache.
const LOSSES_AT_A_TIME: usize = 4_096;

/// How far the trainings are.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Progress {
    /// Versions trained and scored.
    pub done: usize,
    /// Of them from the cache.
    pub cached: usize,
    /// In all.
    pub of: usize,
    /// CPU seconds that the trainings took so far, without those from the cache.
    pub cpu_seconds: f64,
}

/// What the trainings came to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trainings {
    /// Different versions.
    pub distinct: usize,
    /// Of them from the cache.
    pub cached: usize,
    /// CPU seconds of all of them when they were done.
    pub cpu_seconds: f64,
    /// Those that could not be trained.
    pub failed: Vec<Failed>,
}

/// A version that could not be trained; the rest of the backtest does without.
#[derive(Clone, Debug, PartialEq)]
pub struct Failed {
    /// When it would have been trained.
    pub at: Timestamp,
    /// Position of its window.
    pub window: usize,
    /// Why.
    pub why: String,
}

/// One version to be trained.
#[derive(Clone, Copy, Debug)]
struct Version {
    /// Place in the grid; `None` is the one before the first.
    place: Option<usize>,
    window: TrainingWindow,
    position: usize,
    as_of: Timestamp,
}

impl Past {
    /// Trains and scores whatever the plan needs and the cache has not. `progress` hears of each.
    pub async fn build(
        workshop: Workshop,
        plan: &Plan,
        progress: impl Fn(Progress) + Send,
    ) -> Result<(Past, Trainings), Error> {
        let failed = |source| Error::Worker { at: Timestamp::MIN, source };
        let rows = workshop.rows(Window::ALL, Columns::All).await.map_err(failed)?;
        let all = periods(&rows, plan.period, plan.warm_up);
        let model = workshop.settings().model.clone();
        if all.is_empty() {
            return Err(too_short(model, &rows, plan.period, plan.warm_up));
        }
        let fingerprint = workshop.fingerprint().await.map_err(failed)?;
        if all.len() < PERIODS_MIN {
            return Err(Error::FewPeriods { found: all.len(), least: PERIODS_MIN });
        }
        let told = chosen::may_be_told(plan, &workshop.settings().recipe.engine);
        let mut work = tasks(plan, &all, told);
        let most = plan.trainings_max.unwrap_or(usize::MAX);
        if most < work.len() {
            let (windows, periods) = (plan.windows.len(), all.len());
            return Err(Error::TooManyTrainings { needed: work.len(), most, windows, periods });
        }
        let mut hall = Hall {
            workshop: Arc::new(workshop),
            rows: Arc::clone(&rows),
            slots: Arc::new(Semaphore::new(plan.slots.max(1))),
            plan,
            fingerprint,
            made: BTreeMap::new(),
            trainings: Trainings::default(),
            at: Progress { of: work.len(), ..Progress::default() },
        };
        // Without a first version nothing else is worth its training.
        let early = work.iter().filter(|task| task.as_of <= all[0].from).count();
        let rest = work.split_off(early);
        hall.train(work, &progress).await?;
        if hall.made.keys().all(Option::is_none) {
            return Err(no_first(model, &all, &hall.trainings.failed));
        }
        hall.train(rest, &progress).await?;
        let aliases = chosen::aliases(plan, &all, &hall.made, told);
        // Where the candidates' early-stopping rows differ, choosing is a training of its own.
        let mut rest = left(plan, &all, &aliases, told);
        let beyond = rest.split_off(rest.len().min(most - hall.at.of.min(most)));
        hall.at.of += rest.len();
        hall.train(rest, &progress).await?;
        hall.trainings.failed.extend(beyond.iter().map(|task| Failed {
            at: task.as_of,
            window: task.position,
            why: "`--max-trainings` allows no more".to_owned(),
        }));
        let Hall { workshop, fingerprint, mut made, mut trainings, .. } = hall;
        trainings.failed.sort_by_key(|failed| (failed.at, failed.window));
        let kind = task(workshop.feed().schema());
        let newly = all.iter().map(|period| available(&rows, *period)).collect::<Vec<_>>();
        let first = rows.range(Window { from: Timestamp::MIN, to: all[0].from });
        let unit = unit_of_loss(kind, &rows.label[first]);
        let by = workshop.settings().advice.prices.priced;
        let guesses = newly.iter().map(|positions| {
            let labels = positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
            guess(by, kind, &labels).map(|guess| guess / unit)
        });
        let moved = all.windows(2);
        let moved = moved.map(|two| feature_shift(&rows, rows.range(two[0]), rows.range(two[1])));
        let shifts = [None].into_iter().chain(moved).collect();
        let mut past = Past {
            priced: by,
            guesses: guesses.collect(),
            shifts,
            drift: drift::Windows::of(all.len()),
            grown: Vec::new(),
            rounds: plan.rounds,
            cache: plan.cache.clone(),
            fingerprint,
            task: kind,
            windows: plan.windows.clone(),
            shipped: plan.shipped,
            deployment: plan.deployment,
            aliases,
            cells: (0..all.len() * plan.windows.len()).map(|_| None).collect(),
            before: made.remove(&None),
            newly,
            newly_before: available(&rows, before(all[0])),
            unit,
            periods: all,
            rows,
            workshop,
        };
        let placed = made.into_iter().filter_map(|(place, cell)| Some((place?, cell)));
        placed.for_each(|(place, cell)| past.cells[place] = Some(cell));
        past.add_up();
        if !past.is_trained(0, 0) {
            return Err(no_first(model, &past.periods, &trainings.failed));
        }
        Ok((past, trainings))
    }

    /// Computes the losses of each version once, and adds them up by period.
    fn add_up(&mut self) {
        let cells = std::mem::take(&mut self.cells);
        let cells = cells.into_iter().map(Mutex::new).collect::<Vec<_>>();
        if let Some(mut before) = self.before.take() {
            (before.losses, before.errors) = self.row_losses(&before);
            self.before = Some(before);
        }
        in_parallel(&cells.iter().enumerate().collect::<Vec<_>>(), |(place, cell)| {
            if let Some(cell) = &mut *open(cell) {
                self.complete(cell, place / self.windows.len());
            }
        });
        let cells = cells.into_iter();
        self.cells =
            cells.map(|cell| cell.into_inner().unwrap_or_else(PoisonError::into_inner)).collect();
    }

    /// The losses of a version trained at the beginning of a period, by row and by period.
    pub(super) fn complete(&self, cell: &mut Cell, trained: usize) {
        (cell.losses, cell.errors) = self.row_losses(cell);
        let ranges = self.periods[trained..].iter().map(|period| self.rows.range(*period));
        let sum = |range: Range<usize>| 0.0 + cell.costs_on(range).sum::<f64>();
        cell.sums = ranges.map(sum).collect();
        let seen = |positions: &Vec<usize>| {
            mean(&cell.costs_on(positions.iter().copied()).collect::<Vec<_>>())
        };
        cell.seen = self.newly[trained..].iter().map(seen).collect();
        cell.drifted = self.periods[trained..].iter().map(|_| OnceLock::new()).collect();
    }

    /// By row from the cell's first on, losses in the unit of cost and, where they have a price, errors; NaN where there is no answer.
    fn row_losses(&self, cell: &Cell) -> (Vec<f32>, Option<Vec<f32>>) {
        let width = self.task.outputs();
        let labels = &self.rows.label[cell.first.min(self.rows.len())..];
        let mut losses = vec![f32::NAN; cell.predictions.len() / width];
        let mut wrong = (self.priced == Priced::Errors).then(|| losses.clone());
        let rows = labels.iter().zip(cell.predictions.chunks_exact(width)).enumerate();
        let mut rows = rows.filter(|(_, (label, row))| !row[0].is_nan() && !label.is_nan());
        loop {
            let (mut places, mut labels, mut predictions) = (Vec::new(), Vec::new(), Vec::new());
            for (place, (label, row)) in rows.by_ref().take(LOSSES_AT_A_TIME) {
                places.push(place);
                labels.push(*label);
                predictions.extend(row.iter().map(|value| f64::from(*value)));
            }
            if places.is_empty() {
                return (losses, wrong);
            }
            for (place, found) in places.iter().zip(row_losses(self.task, &labels, &predictions)) {
                #[expect(clippy::cast_possible_truncation, reason = "kept in single precision")]
                let single = (found / self.unit) as f32;
                losses[*place] = single;
            }
            if let Some(wrong) = &mut wrong {
                let mut errors = errors(self.task, &labels, &predictions).into_iter();
                for place in places {
                    wrong[place] = f32::from(u8::from(errors.next() == Some(1.0)));
                }
            }
        }
    }
}

fn no_first(model: ModelName, periods: &[Window], failed: &[Failed]) -> Error {
    let at = periods[0].from;
    let first = failed.iter().find(|failed| failed.at == at);
    let why = first.map_or_else(|| "it was not trained".to_owned(), |first| first.why.clone());
    Error::NoFirstVersion { model, at, why }
}

/// Where versions are trained and scored.
struct Hall<'a> {
    workshop: Arc<Workshop>,
    rows: Arc<Rows>,
    slots: Arc<Semaphore>,
    plan: &'a Plan,
    fingerprint: String,
    made: BTreeMap<Option<usize>, Cell>,
    trainings: Trainings,
    at: Progress,
}

impl Hall<'_> {
    /// Makes versions, so many at a time as there are slots.
    async fn train(
        &mut self,
        work: Vec<Version>,
        progress: &(impl Fn(Progress) + Send),
    ) -> Result<(), Error> {
        let mut set = JoinSet::new();
        for task in work {
            let (workshop, rows, slots) =
                (Arc::clone(&self.workshop), Arc::clone(&self.rows), Arc::clone(&self.slots));
            let (fingerprint, folder) = (self.fingerprint.clone(), self.plan.cache.clone());
            let (rounds, shipped) = (self.plan.rounds, self.plan.shipped);
            set.spawn(async move {
                // Closed by nobody, so that there is always a permit to come.
                let permit = slots.acquire_owned().await;
                let made =
                    make(&workshop, &rows, &task, rounds, shipped, &folder, &fingerprint).await;
                drop(permit);
                (task, made)
            });
        }
        while let Some(next) = set.join_next().await {
            let (task, cell) = next.map_err(|_stopped| Error::Interrupted)?;
            self.at.done += 1;
            match cell {
                Ok((cell, cached)) => {
                    self.trainings.distinct += 1;
                    self.trainings.cached += usize::from(cached);
                    self.trainings.cpu_seconds += cell.cpu_seconds;
                    self.at.cpu_seconds += if cached { 0.0 } else { cell.cpu_seconds };
                    self.made.insert(task.place, cell);
                }
                Err(source) if is_permanent(&source) => self.trainings.failed.push(Failed {
                    at: task.as_of,
                    window: task.position,
                    why: workshop::chain(&source),
                }),
                Err(source) => return Err(Error::Worker { at: task.as_of, source }),
            }
            self.at.cached = self.trainings.cached;
            progress(self.at);
        }
        Ok(())
    }
}

/// Every cell of the grid, and the one before the first.
fn tasks(plan: &Plan, periods: &[Window], told: bool) -> Vec<Version> {
    let mut tasks = cells(plan, periods);
    tasks.retain(|task| !told || task.window != TrainingWindow::Auto);
    let as_of = before(periods[0]).from;
    if let Some(window) = plan.windows.first() {
        tasks.insert(0, Version { place: None, window: *window, position: 0, as_of });
    }
    tasks
}

/// Cells that choose among others and could not be told from those.
fn left(
    plan: &Plan,
    periods: &[Window],
    aliases: &BTreeMap<usize, Alias>,
    told: bool,
) -> Vec<Version> {
    let mut tasks = cells(plan, periods);
    tasks.retain(|task| {
        let is = task.place.is_some_and(|place| aliases.contains_key(&place));
        told && task.window == TrainingWindow::Auto && !is
    });
    tasks
}

/// Every cell of the grid.
fn cells(plan: &Plan, periods: &[Window]) -> Vec<Version> {
    let width = plan.windows.len();
    let row = |(number, period): (usize, &Window)| {
        let as_of = period.from;
        let cell = move |(position, window): (usize, &TrainingWindow)| {
            let place = Some(number * width + position);
            Version { place, window: *window, position, as_of }
        };
        plan.windows.iter().enumerate().map(cell).collect::<Vec<_>>()
    };
    periods.iter().enumerate().flat_map(row).collect()
}

/// The stretch of the same length before a period.
fn before(period: Window) -> Window {
    Window { from: period.from.before(period.length()), to: period.from }
}

async fn make(
    workshop: &Arc<Workshop>,
    rows: &Arc<Rows>,
    task: &Version,
    rounds: usize,
    shipped: Shipped,
    folder: &Path,
    fingerprint: &str,
) -> Result<(Cell, bool), workshop::Error> {
    let selected = task.window.select(&Known::first(task.as_of), workshop.settings().period);
    let whole = Selection::even(selected.window);
    let once = workshop.train_once(selected, task.as_of, rounds, shipped).await?;
    let cached = once.cached;
    let cell = scored(workshop, rows, &once, whole, task.as_of, folder, fingerprint).await?;
    Ok((cell, cached))
}

/// A version with its predictions, from the cache where they are.
pub(super) async fn scored(
    workshop: &Arc<Workshop>,
    rows: &Arc<Rows>,
    once: &Once,
    whole: Selection,
    as_of: Timestamp,
    folder: &Path,
    fingerprint: &str,
) -> Result<Cell, workshop::Error> {
    let Once { version, artifact, cuts, .. } = once;
    let version = *version;
    let path = cache::path(folder, &artifact.hash().0, fingerprint);
    let kept = match cache::read(&path) {
        Some(kept) => kept,
        None => {
            let (workshop, rows) = (Arc::clone(workshop), Arc::clone(rows));
            let scored =
                tokio::task::spawn_blocking(move || score(&workshop, &rows, version, as_of));
            let stopped = |_| workshop::Error::Missing("the scoring was stopped".to_owned());
            let kept = scored.await.map_err(stopped)??;
            if let Err(error) = cache::write(&path, &kept) {
                tracing::warn!(%error, "predictions are not kept: the next backtest scores again");
            }
            kept
        }
    };
    let manifest = artifact.manifest();
    let gains = manifest.schema.features.iter().map(|feature| {
        let found = manifest.importance.iter().find(|of| of.feature == feature.name);
        found.map_or(0.0, |found| found.gain)
    });
    let hours = |row_rounds| estimated_hours(row_rounds, manifest.schema.features.len());
    Ok(Cell {
        version,
        as_of,
        selection: manifest.chosen.as_ref().map_or(whole, |chosen| chosen.selection),
        cpu_hours: hours(manifest.row_rounds()),
        trained_rows: manifest.rows,
        cpu_seconds: manifest.cpu_seconds,
        stopping: (cuts.stopping_from, manifest.stopping_rows),
        searched: manifest.searched,
        search_hours: manifest.searched.map_or(0.0, |searched| hours(searched.row_rounds)),
        alone_hours: hours(manifest.searched.map_or(manifest.row_rounds(), |searched| {
            manifest.row_rounds() - searched.row_rounds + searched.chosen_row_rounds
        })),
        importance: gains.collect(),
        first: kept.first,
        predictions: kept.predictions,
        losses: Vec::new(),
        errors: None,
        sums: Vec::new(),
        seen: Vec::new(),
        watched: OnceLock::new(),
        drifted: Vec::new(),
    })
}

/// Predicts every labelled row that the version was not trained on.
fn score(
    workshop: &Workshop,
    rows: &Rows,
    version: afresh_core::id::VersionId,
    as_of: Timestamp,
) -> Result<Kept, workshop::Error> {
    let width = workshop.feed().schema().outputs();
    let unseen = |at: &usize| {
        rows.available_at[*at].is_some_and(|available| as_of <= available)
            && !rows.label[*at].is_nan()
    };
    let positions = (0..rows.len()).filter(unseen).collect::<Vec<_>>();
    let Some(first) = positions.first().copied() else {
        return Ok(Kept { first: rows.len(), predictions: Vec::new() });
    };
    let mut predictions = vec![f32::NAN; (rows.len() - first) * width];
    for positions in positions.chunks(ROWS_AT_A_TIME) {
        let answers = workshop.predict_afresh(version, rows, positions)?;
        for (at, answer) in positions.iter().zip(answers.chunks_exact(width)) {
            for (kept, value) in predictions[(at - first) * width..].iter_mut().zip(answer) {
                #[expect(clippy::cast_possible_truncation, reason = "kept in single precision")]
                let single = *value as f32;
                *kept = single;
            }
        }
    }
    Ok(Kept { first, predictions })
}

/// Labelled rows that became available in a window, in that order.
fn available(rows: &Rows, window: Window) -> Vec<usize> {
    let inside = |at: &usize| {
        rows.available_at[*at].is_some_and(|when| window.contains(when))
            && !rows.label[*at].is_nan()
    };
    let until: Range<usize> = 0..rows.range(Window { from: Timestamp::MIN, to: window.to }).end;
    let mut positions = until.filter(inside).collect::<Vec<_>>();
    positions.sort_by_key(|at| rows.available_at[*at]);
    positions
}

/// Whether a version that failed is left out, and the rest goes on.
pub(super) fn is_permanent(error: &workshop::Error) -> bool {
    use afresh_train::error::Retry;
    match error {
        workshop::Error::Training { source, .. } => source.retry() == Retry::Permanent,
        workshop::Error::Version { source, .. } | workshop::Error::Shelf(source) => {
            source.retry() == Retry::Permanent
        }
        // Too few rows to hold some out, too.
        workshop::Error::Missing(_) | workshop::Error::Split { .. } => true,
        workshop::Error::Rows { .. }
        | workshop::Error::Dataset { .. }
        | workshop::Error::Comparison { .. }
        | workshop::Error::Store(_) => false,
    }
}
