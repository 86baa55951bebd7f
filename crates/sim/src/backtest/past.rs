//! A real history as a world: every version of the grid trained once, scored once on everything
//! after it, and looked at only where a policy's way leads.

mod cache;
mod chosen;
mod drift;
mod grow;
mod sight;
mod train;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use afresh_core::id::VersionId;
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_data::selection::Selection;
use afresh_engine::monitor::evidence::guess;
use afresh_engine::settings::TrainingWindow;
use afresh_engine::workshop::{Shipped, Workshop};
use afresh_ml::metrics::{Metric, Task};
use afresh_policy::observation::Observation;
use afresh_policy::oracle::Serving;
use afresh_policy::prices::Priced;
use afresh_policy::rule::Rule;
use afresh_train::artifact::Searched;

pub use train::{Failed, Progress, Trainings};

use self::chosen::Alias;
use super::walk::Missing;
use super::world::{Grown, Growth, Look, World};

/// What a history is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The training windows, the configured one first.
    pub windows: Vec<TrainingWindow>,
    /// Length of a period.
    pub period: Duration,
    /// Time before the first version is trained.
    pub warm_up: Duration,
    /// Rounds of a training whose rows are too few to say when to stop.
    pub rounds: usize,
    /// What a run ships.
    pub shipped: Shipped,
    /// From the end of a training until its version serves.
    pub deployment: Duration,
    /// Trainings at a time.
    pub slots: usize,
    /// Trainings at most; none is begun where the plan needs more.
    pub trainings_max: Option<usize>,
    /// Where trained versions and their scores are kept; safe to delete.
    pub cache: PathBuf,
}

/// A history in which every version could have been.
#[derive(Debug)]
pub struct Past {
    workshop: Arc<Workshop>,
    rows: Arc<Rows>,
    task: Task,
    periods: Vec<Window>,
    windows: Vec<TrainingWindow>,
    /// By period of the training and window; `None` where it failed.
    cells: Vec<Option<Cell>>,
    /// Cells that are others'.
    aliases: BTreeMap<usize, Alias>,
    /// One period before the first, on the first window: what the first version is judged by.
    before: Option<Cell>,
    /// Rows that became available in each period, in that order.
    newly: Vec<Vec<usize>>,
    /// Rows that became available in the period before the first.
    newly_before: Vec<usize>,
    /// What of a row has a price.
    priced: Priced,
    /// What a unit of loss is divided by: the label's variance in regression, else 1.
    unit: f64,
    /// Mean loss of a constant guess on the rows that became available in each period.
    guesses: Vec<Option<f64>>,
    /// How far the features' means moved into each period.
    shifts: Vec<Option<f64>>,
    drift: drift::Windows,
    /// Versions that hang on the one before, in the order in which they were asked for: windows after those of the grid.
    grown: Vec<Sprout>,
    /// As [`Plan::rounds`].
    rounds: usize,
    /// As [`Plan::shipped`].
    shipped: Shipped,
    /// As [`Plan::deployment`].
    deployment: Duration,
    /// Where versions and scores are kept, and of which rows.
    cache: PathBuf,
    fingerprint: String,
}

/// A version that hangs on the one before.
#[derive(Debug)]
struct Sprout {
    missing: Missing,
    /// `None` where it failed.
    cell: Option<Cell>,
}

/// One version of the grid.
#[derive(Debug)]
pub struct Cell {
    version: VersionId,
    as_of: Timestamp,
    /// The rows that trained it.
    selection: Selection,
    cpu_hours: f64,
    /// Rows that it learned from.
    trained_rows: usize,
    /// CPU seconds that its training took when it was done.
    cpu_seconds: f64,
    /// From when on available rows said when to stop, and how many.
    stopping: (Timestamp, usize),
    /// What the search came to.
    searched: Option<Searched>,
    /// Its part of `cpu_hours`.
    search_hours: f64,
    /// What `cpu_hours` would be if nothing but the chosen rows had been tried.
    alone_hours: f64,
    importance: Vec<f64>,
    /// Position of the first row that has a prediction.
    first: usize,
    /// From that row on: as many numbers a row as the task has outputs; NaN where there is none.
    predictions: Vec<f32>,
    /// From that row on: one loss a row, in the unit of cost; NaN where there is none.
    losses: Vec<f32>,
    /// Likewise 1 where the answer was wrong, where errors have a price.
    errors: Option<Vec<f32>>,
    /// Sum of what has a price over each period's labelled rows, from the period of the training on.
    sums: Vec<f64>,
    /// Its mean on what became available in each period, from the period of the training on.
    seen: Vec<Option<f64>>,
    watched: OnceLock<Option<Vec<sight::Watched>>>,
    /// By period, from that of the training on.
    drifted: Vec<OnceLock<drift::Drifted>>,
}

impl Past {
    /// The periods.
    #[must_use]
    pub fn windows_of_periods(&self) -> &[Window] {
        &self.periods
    }

    /// The policy that is configured; nothing where thresholds of the core start the runs.
    #[must_use]
    pub fn configured(&self) -> Option<Rule> {
        let rule = &self.workshop.settings().advice.rule;
        (*rule != Rule::Thresholds).then(|| rule.clone())
    }

    /// Labelled rows of a period.
    #[must_use]
    pub fn labelled(&self, period: usize) -> usize {
        let range = self.rows.range(self.periods[period]);
        range.filter(|at| !self.rows.label[*at].is_nan()).count()
    }

    /// Mean loss of a constant guess over the labelled rows of the first `periods` periods and what
    /// came before them.
    #[must_use]
    pub fn guess(&self, periods: usize) -> f64 {
        let end = self.periods[periods.min(self.periods.len()) - 1].to;
        let labels = self.rows.range(Window { from: Timestamp::MIN, to: end });
        let labels = labels.map(|at| self.rows.label[at]).filter(|label| !label.is_nan());
        guess(self.priced, self.task, &labels.collect::<Vec<_>>()).unwrap_or(0.0) / self.unit
    }

    /// Rows of the median period among the first `periods`.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    pub fn median_rows(&self, periods: usize) -> f64 {
        let rows = self.periods.iter().take(periods).map(|period| self.rows.range(*period).len());
        let mut rows = rows.collect::<Vec<_>>();
        rows.sort_unstable();
        rows.get(rows.len() / 2).map_or(0.0, |rows| *rows as f64)
    }

    /// The metric of `period`, which `before` answered until `serving` took over; `None` where it is undefined.
    #[must_use]
    pub fn metric(
        &self,
        metric: Metric,
        before: Serving,
        serving: Serving,
        period: usize,
    ) -> Option<f64> {
        let range = self.rows.range(self.periods[period]);
        let positions = range.filter(|at| !self.rows.label[*at].is_nan()).collect::<Vec<_>>();
        let until = self.serves_from(period, serving);
        let first = match before == serving {
            true => 0,
            false => positions.partition_point(|at| self.rows.event_time[*at] < until),
        };
        let (mut labels, mut predictions) = (Vec::new(), Vec::new());
        for (version, positions) in [(before, &positions[..first]), (serving, &positions[first..])]
        {
            let Some(cell) = self.cell(version) else { continue };
            let (known, answers) = self.answers_for(cell, positions);
            labels.extend(known);
            predictions.extend(answers);
        }
        metric.value(self.task, &labels, &predictions)
    }

    /// Mean of what has a price over the rows of a way's periods, given its sums by period; in the task's loss.
    #[must_use]
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    pub fn mean_loss(&self, from: usize, sums: &[f64]) -> Option<f64> {
        let periods = from..from + sums.len();
        let rows = periods.map(|period| self.labelled(period)).sum::<usize>();
        (rows > 0).then(|| sums.iter().sum::<f64>() * self.unit / rows as f64)
    }

    /// When a version that is trained at the beginning of a period takes over.
    fn serves_from(&self, period: usize, next: Serving) -> Timestamp {
        let takes = training_takes(self.cpu_hours(next));
        let Window { from, to } = self.periods[period];
        from.after(takes).after(self.deployment).min(to)
    }

    /// Recorded CPU seconds of a training.
    #[must_use]
    pub fn cpu_seconds(&self, serving: Serving) -> f64 {
        match (self.alias(serving), self.cell(serving)) {
            (Some(alias), _) => alias.cpu_seconds,
            (None, cell) => cell.map_or(0.0, |cell| cell.cpu_seconds),
        }
    }

    /// CPU hours by rows and rounds, those of all that was tried included.
    fn computing(&self, serving: Serving) -> f64 {
        match (self.alias(serving), self.cell(serving)) {
            (Some(alias), _) => alias.cpu_hours,
            (None, cell) => cell.map_or(0.0, |cell| cell.cpu_hours),
        }
    }

    /// Whether a version's cell is another's.
    fn alias(&self, serving: Serving) -> Option<&Alias> {
        self.aliases.get(&self.own_place(serving))
    }

    /// Labels and predictions of rows.
    fn answers_for(&self, cell: &Cell, positions: &[usize]) -> (Vec<f64>, Vec<f64>) {
        let width = self.task.outputs();
        let (mut labels, mut predictions) = (Vec::new(), Vec::new());
        for at in positions {
            let Some(start) = at.checked_sub(cell.first) else { continue };
            let Some(row) = cell.predictions.get(start * width..(start + 1) * width) else {
                continue;
            };
            if row[0].is_nan() {
                continue;
            }
            labels.push(self.rows.label[*at]);
            predictions.extend(row.iter().map(|value| f64::from(*value)));
        }
        (labels, predictions)
    }

    fn cell(&self, serving: Serving) -> Option<&Cell> {
        let place = self.place(serving);
        match place.checked_sub(self.cells.len()) {
            None => self.cells[place].as_ref(),
            Some(sprout) => self.grown.get(sprout)?.cell.as_ref(),
        }
    }

    /// Where a version's cell is.
    fn place(&self, serving: Serving) -> usize {
        let own = self.own_place(serving);
        self.aliases.get(&own).map_or(own, |alias| alias.to)
    }

    /// The first champion is the version trained on the first window when the first period begins.
    fn own_place(&self, serving: Serving) -> usize {
        match serving {
            Serving::First => 0,
            Serving::Trained { window, .. } if self.windows.len() <= window => {
                self.cells.len() + window - self.windows.len()
            }
            Serving::Trained { period, window } => period * self.windows.len() + window,
        }
    }

    fn period_of(serving: Serving) -> usize {
        match serving {
            Serving::First => 0,
            Serving::Trained { period, .. } => period,
        }
    }
}

impl World for Past {
    fn periods(&self) -> usize {
        self.periods.len()
    }

    fn windows(&self) -> usize {
        self.windows.len()
    }

    fn is_chosen(&self, window: usize) -> bool {
        self.windows.get(window) == Some(&TrainingWindow::Auto)
    }

    fn runs(&self, version: Serving) -> f64 {
        let alone = self.cell(version).map_or(0.0, |cell| cell.alone_hours);
        let hours = self.computing(version);
        if alone > 0.0 { (hours / alone).max(1.0) } else { 1.0 }
    }

    fn is_trained(&self, period: usize, window: usize) -> bool {
        let version = Serving::Trained { period, window };
        window < self.windows.len()
            && period < self.periods.len()
            && self.cells[self.place(version)].is_some()
    }

    fn grown(&self, period: usize, parent: Serving, growth: Growth) -> Grown {
        let wanted = Missing { period, parent, growth };
        let found = self.grown.iter().position(|sprout| sprout.missing == wanted);
        match found.map(|place| (place, &self.grown[place].cell)) {
            None => Grown::NotYet,
            Some((_, None)) => Grown::Failed,
            Some((place, Some(_))) => Grown::Ready(self.windows.len() + place),
        }
    }

    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    fn rows(&self, version: Serving) -> f64 {
        self.cell(version).map_or(0.0, |cell| cell.trained_rows as f64)
    }

    fn cpu_hours(&self, version: Serving) -> f64 {
        if let Some(seconds) = self.workshop.settings().run_estimate_cpu_seconds {
            return seconds / 3_600.0;
        }
        self.computing(version)
    }

    fn loss(&self, serving: Serving, period: usize) -> f64 {
        let trained = Self::period_of(serving);
        let sum = self.cell(serving).and_then(|cell| cell.sums.get(period - trained));
        sum.copied().unwrap_or(0.0)
    }

    fn loss_until(&self, serving: Serving, period: usize, next: Serving) -> f64 {
        let Some(cell) = self.cell(serving) else { return 0.0 };
        let (from, to) = (self.periods[period].from, self.serves_from(period, next));
        0.0 + cell.costs_on(self.rows.range(Window { from, to })).sum::<f64>()
    }

    fn seen(&self, version: Serving, period: usize) -> Option<f64> {
        let trained = Self::period_of(version);
        *self.cell(version)?.seen.get(period.checked_sub(trained)?)?
    }

    fn observe(&self, serving: Serving, period: usize, look: Look) -> Observation {
        self.sight(serving, period, look)
    }
}

impl Cell {
    /// Losses on rows; those that it was trained on, or that have no label, are left out.
    fn losses_on(&self, positions: impl IntoIterator<Item = usize>) -> impl Iterator<Item = f64> {
        let known = move |at: usize| self.losses.get(at.checked_sub(self.first)?).copied();
        let losses = positions.into_iter().filter_map(known);
        losses.filter(|loss| !loss.is_nan()).map(f64::from)
    }

    /// What has a price on rows, as [`Cell::losses_on`].
    fn costs_on(&self, positions: impl IntoIterator<Item = usize>) -> impl Iterator<Item = f64> {
        let costs = self.errors.as_ref().unwrap_or(&self.losses);
        let known = move |at: usize| costs.get(at.checked_sub(self.first)?).copied();
        let costs = positions.into_iter().filter_map(known);
        costs.filter(|cost| !cost.is_nan()).map(f64::from)
    }
}

/// From the beginning of a training to its end.
fn training_takes(cpu_hours: f64) -> Duration {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "an estimate of milliseconds, far below 2^53"
    )]
    let takes = Duration((cpu_hours * 3_600_000.0) as u64);
    takes
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Waits for what another thread panicked with: the maps hold plain results.
fn open<T>(lock: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    lock.lock().unwrap_or_else(PoisonError::into_inner)
}
