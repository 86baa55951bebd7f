//! Everything the workers of one model need to know, checked before it gets here.

use std::path::{Path, PathBuf};

use afresh_core::gate;
use afresh_core::id::{ModelName, VersionId};
use afresh_core::policy::Rejudge;
use afresh_core::signal::Strategy;
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::selection::{Emphasis, Selection};
use afresh_data::split;
use afresh_ml::decay::{Test, buckets};
use afresh_ml::metrics::Metric;
use afresh_policy::settings::Settings as Advice;
use afresh_train::recipe::Recipe;
use afresh_train::trainer::Limits;

/// What the workers of one model need to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The model.
    pub model: ModelName,
    /// Which rows train, by strategy.
    pub windows: Windows,
    /// How it is trained.
    pub recipe: Recipe,
    /// What a training may use.
    pub limits: Limits,
    /// New rounds of an incremental run.
    pub incremental_rounds: usize,
    /// The metric that the gate and reports speak of.
    pub metric: Metric,
    /// Columns whose categories are compared one by one.
    pub slices: Vec<String>,
    /// The gate's rule; the workers need only how much alpha a judgement may spend.
    pub gate: gate::Rule,
    /// How often a candidate may be judged again.
    pub rejudge: Rejudge,
    /// The step in which history is cut and reported.
    pub period: Duration,
    /// How rows are split.
    pub split: split::Rule,
    /// The policy that advises.
    pub advice: Advice,
    /// What the owner expects a run's trainings to take; `None` leaves that to an estimate by rows and rounds.
    pub run_estimate_cpu_seconds: Option<f64>,
    /// From which drift score on a report says "drifted".
    pub drift: Drift,
    /// How decay is watched.
    pub decay: Decay,
    /// The folder that relative paths of sources count from.
    pub base: PathBuf,
    /// Where state is kept.
    pub state: PathBuf,
    /// Where on S3 datasets and versions are kept; `None`: with the state. A copy of the versions
    /// stays with the state.
    pub shelf: Option<String>,
}

/// From which drift score on there is drift.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Drift {
    /// The owner's number, between 0 and 1.
    Threshold(f64),
    /// A score that a champion's own rows would reach, period against those before, about once in
    /// this time; a fixed one where they are too few periods.
    ExpectedRunTime(Duration),
}

/// How decay is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct Decay {
    /// How it is tested.
    pub test: Test,
    /// What is watched, in the order of reports.
    pub metrics: Vec<Metric>,
    /// What metrics are averaged over, in milliseconds; at least one.
    pub windows: Vec<buckets::Window>,
    /// Largest drop that is let pass, in the metric's unit; of `rmse` and `mae` a share of the baseline.
    pub drop: f64,
}

/// Which rows train, by strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Scheduled runs, and the first version.
    pub scheduled: TrainingWindow,
    /// Triggered runs.
    pub triggered: TrainingWindow,
    /// Incremental runs.
    pub incremental: TrainingWindow,
    /// Everything else.
    pub other: TrainingWindow,
}

/// Which rows train, by event time, and how much each counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainingWindow {
    /// Everything so far.
    All,
    /// The newest stretch.
    Last(Duration),
    /// Everything so far, a row half as much for every such stretch of its age.
    HalfLife(Duration),
    /// An even sample of at most so many rows of everything so far.
    Sample(u64),
    /// What came after the champion's cut.
    SinceLastRun,
    /// What came since the champion's losses rose; where they did not, what trained the champion and all since.
    SinceChange,
    /// Of [`TrainingWindow::candidates`] the one that does best on the newest rows, at each training anew.
    Auto,
}

/// What is known when rows are selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Rows available before this train.
    pub as_of: Timestamp,
    /// The champion was trained on rows before this.
    pub cut: Option<Timestamp>,
    /// Since when there is another world, in event time.
    pub changed: Option<Timestamp>,
}

/// Rows that a training chooses from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Selected {
    /// All that may train.
    pub window: Window,
    /// What is tried; empty where all of the window trains alike.
    pub choices: Vec<Selection>,
}

impl Decay {
    /// These metrics over the newest 24 hours and the newest period, tested sequentially.
    #[must_use]
    pub fn recommended(metrics: Vec<Metric>, period: Duration) -> Decay {
        let window = |name: &str, length: Duration| {
            let length = i64::try_from(length.0).unwrap_or(i64::MAX);
            buckets::Window { name: name.to_owned(), length, bucket: (length / 24).max(1) }
        };
        let windows = vec![window("24h", Duration::hours(24)), window(&period.to_string(), period)];
        Decay { test: Test::Sequential, metrics, windows, drop: 0.05 }
    }
}

impl Windows {
    /// The same window for every strategy.
    #[must_use]
    pub fn all_alike(window: TrainingWindow) -> Windows {
        Windows { scheduled: window, triggered: window, incremental: window, other: window }
    }

    /// The window of a strategy.
    #[must_use]
    pub fn of(&self, strategy: Strategy) -> TrainingWindow {
        match strategy {
            Strategy::Scheduled => self.scheduled,
            Strategy::Triggered => self.triggered,
            Strategy::Incremental => self.incremental,
            Strategy::Online | Strategy::Active => self.other,
        }
    }
}

impl Known {
    /// What a first version knows.
    #[must_use]
    pub fn first(as_of: Timestamp) -> Known {
        Known { as_of, cut: None, changed: None }
    }
}

impl TrainingWindow {
    /// What `Auto` tries: everything, alike and fading, and the newest dozen periods.
    #[must_use]
    pub fn candidates(period: Duration) -> [TrainingWindow; 3] {
        let periods = |count: u64| Duration(count.saturating_mul(period.0));
        [
            TrainingWindow::All,
            TrainingWindow::HalfLife(periods(12)),
            TrainingWindow::Last(periods(12)),
        ]
    }

    /// Whether its rows are known only beside a champion.
    #[must_use]
    pub fn hangs_on_champion(self) -> bool {
        matches!(self, TrainingWindow::SinceLastRun | TrainingWindow::SinceChange)
    }

    /// The rows of a training.
    #[must_use]
    pub fn select(self, known: &Known, period: Duration) -> Selected {
        match self {
            TrainingWindow::Auto => Selected {
                window: Window { from: Timestamp::MIN, to: known.as_of },
                choices: TrainingWindow::candidates(period)
                    .map(|candidate| candidate.selection(known))
                    .to_vec(),
            },
            TrainingWindow::All
            | TrainingWindow::Last(_)
            | TrainingWindow::HalfLife(_)
            | TrainingWindow::Sample(_)
            | TrainingWindow::SinceLastRun
            | TrainingWindow::SinceChange => {
                let selection = self.selection(known);
                let plain = selection.emphasis == Emphasis::Even;
                let choices = if plain { Vec::new() } else { vec![selection] };
                Selected { window: selection.window, choices }
            }
        }
    }

    /// What trains, if there is no choice.
    fn selection(self, known: &Known) -> Selection {
        let Known { as_of, cut, changed } = *known;
        let from = match self {
            TrainingWindow::Last(length) => as_of.before(length),
            TrainingWindow::SinceLastRun => cut.unwrap_or(Timestamp::MIN),
            TrainingWindow::SinceChange => changed.unwrap_or(Timestamp::MIN),
            TrainingWindow::All
            | TrainingWindow::HalfLife(_)
            | TrainingWindow::Sample(_)
            | TrainingWindow::Auto => Timestamp::MIN,
        };
        let emphasis = match self {
            TrainingWindow::HalfLife(length) => Emphasis::HalfLife(length),
            TrainingWindow::Sample(rows) => Emphasis::Sample(rows),
            TrainingWindow::All
            | TrainingWindow::Last(_)
            | TrainingWindow::SinceLastRun
            | TrainingWindow::SinceChange
            | TrainingWindow::Auto => Emphasis::Even,
        };
        Selection { window: Window { from, to: as_of }, emphasis }
    }
}

impl std::fmt::Display for TrainingWindow {
    /// As `afresh.toml` writes it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            TrainingWindow::All => f.write_str("all"),
            TrainingWindow::Last(length) => length.fmt(f),
            TrainingWindow::HalfLife(length) => write!(f, "half-life {length}"),
            TrainingWindow::Sample(rows) => write!(f, "sample {rows}"),
            TrainingWindow::SinceLastRun => f.write_str("since-last-run"),
            TrainingWindow::SinceChange => f.write_str("since-change"),
            TrainingWindow::Auto => f.write_str("auto"),
        }
    }
}

impl Settings {
    /// Directory of a version's artifact.
    #[must_use]
    pub fn artifact(&self, version: VersionId) -> PathBuf {
        self.artifacts().join(self.model.as_str()).join(version.to_string())
    }

    /// Directory of all artifacts.
    #[must_use]
    pub fn artifacts(&self) -> PathBuf {
        self.state.join("versions")
    }

    /// Directory for what is only needed while a run computes.
    #[must_use]
    pub fn scratch(&self) -> PathBuf {
        self.state.join("scratch").join(self.model.as_str())
    }

    /// Where datasets, artifacts and the store live.
    #[must_use]
    pub fn state(&self) -> &Path {
        &self.state
    }
}
