//! The checked configuration: what the rest of the house is given.

use std::path::{Path, PathBuf};

use afresh_core::fleet;
use afresh_core::id::ModelName;
use afresh_core::policy::Policy;
use afresh_core::signal::Strategy;
use afresh_core::time::Duration;
use afresh_data::schema::Task;
use afresh_data::spec::SourceSpec;
use afresh_data::split;
use afresh_ml::metrics::Metric;
use afresh_policy::settings;
use afresh_train::recipe::Recipe;
use afresh_train::trainer;

use crate::check;
use crate::problem::{Error, Problems};

/// One `afresh.toml`, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// Models in order of their names; at least one.
    pub models: Vec<ModelConfig>,
    /// How history is cut and played.
    pub replay: Replay,
    /// What the machine and its owner allow all models together.
    pub fleet: fleet::Limits,
    /// Drift score from which reports say "drifted"; `None`: calibrated on each champion's rows.
    pub drift_threshold: Option<f64>,
    /// How long a quiet model runs between two alarms of a calibrated threshold.
    pub drift_run_time: Duration,
    /// Drop of the metric from which reports say "detected".
    pub decay_threshold: f64,
    /// Directory of the file; its relative paths start here.
    pub base: PathBuf,
    /// Where logs, datasets and artifacts are kept.
    pub state: PathBuf,
    /// Where on S3 datasets and artifacts are kept instead.
    pub shelf: Option<String>,
    /// Where the pointer to what serves is kept.
    pub production: PathBuf,
}

/// One model, checked.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelConfig {
    /// `name` or `project/name`.
    pub name: ModelName,
    /// What is predicted.
    pub task: Task,
    /// Whom to tell.
    pub owner: Option<String>,
    /// Words by which listings can be narrowed.
    pub tags: Vec<String>,
    /// Whose constants fill what is not written.
    pub preset: Preset,
    /// Where its rows are and what their columns mean; relative locations start at the base.
    pub source: SourceSpec,
    /// Rows that a run trains on.
    pub windows: Windows,
    /// How it is trained.
    pub recipe: Recipe,
    /// New rounds of a run that continues the champion.
    pub incremental_rounds: usize,
    /// What bounds one training.
    pub training_limits: trainer::Limits,
    /// How rows are split into training, early stopping and holdout.
    pub split: split::Rule,
    /// The owner's rules.
    pub policy: Policy,
    /// The policy that advises.
    pub advice: settings::Settings,
    /// What is compared on the holdout.
    pub judging: Judging,
    /// How decay is watched.
    pub decay: DecayWatch,
    /// What an hour of training costs in the owner's unit; `None`: the policy's price of a run.
    pub per_cpu_hour: Option<f64>,
}

/// Whose constants fill what is not written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// The defaults of this house.
    Recommended,
    /// The constants of the specification.
    Classic,
}

/// How history is cut and played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Replay {
    /// The step in which history is cut and reported.
    pub period: Duration,
    /// History before the first decision; the first version trains on it.
    pub warm_up: Duration,
    /// From the end of a training until its version serves.
    pub deployment: Duration,
}

/// Rows that a run trains on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrainingWindow {
    /// All available rows.
    All,
    /// The newest, by event time.
    Last(Duration),
    /// All available rows, a row half as much for every such stretch of its age.
    HalfLife(Duration),
    /// An even sample of at most so many of all available rows.
    Sample(u64),
    /// Since the cut of the last run.
    SinceLastRun,
    /// Since the champion's losses rose.
    SinceChange,
    /// What does best on the newest rows, chosen at each training.
    Auto,
}

/// The training window of each strategy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Windows {
    /// Of scheduled runs and of the first.
    pub scheduled: TrainingWindow,
    /// Of triggered runs.
    pub triggered: TrainingWindow,
    /// Of online learning.
    pub online: TrainingWindow,
    /// Of runs after labels that were asked for.
    pub active: TrainingWindow,
    /// Of runs that continue the champion.
    pub incremental: TrainingWindow,
}

/// What is compared on the holdout.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judging {
    /// The metric that decides.
    pub metric: Metric,
    /// Features by whose values the holdout is cut for a closer look.
    pub slices: Vec<String>,
}

/// How decay is watched.
#[derive(Clone, Debug, PartialEq)]
pub struct DecayWatch {
    /// How it is tested.
    pub test: DecayTest,
    /// What is watched, in the order of reports; at least one.
    pub metrics: Vec<Metric>,
    /// What metrics are averaged over, the shortest first; at least one.
    pub windows: Vec<DecayWindow>,
    /// Largest drop that is let pass, in the metric's unit; of `rmse` and `mae` a share of the baseline.
    pub drop: f64,
}

/// A stretch of time that metrics are averaged over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DecayWindow {
    /// As it is written, such as `24h`.
    pub name: String,
    /// How far it reaches back.
    pub length: Duration,
    /// Width of one value.
    pub bucket: Duration,
}

/// How decay is tested.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DecayTest {
    /// Sequentially: looking often raises no false alarm.
    Sequential,
    /// By a t-test of the buckets against the baseline at each look, corrected for the number of metrics and
    /// windows.
    TTest,
    /// The same uncorrected: the classic preset's.
    TTestUncorrected,
}

impl Config {
    /// Name of the file that commands look for.
    pub const FILE: &'static str = "afresh.toml";

    /// Reads and checks the file at `path`.
    ///
    /// # Errors
    /// The file cannot be read, or holds problems: all of them, in order of their places.
    pub fn load(path: &Path) -> Result<Config, Error> {
        let text = std::fs::read_to_string(path)
            .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        let folder = match path.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            Some(_) | None => Path::new("."),
        };
        // Absolute, because child processes do not share this one's working directory.
        let base = folder
            .canonicalize()
            .map_err(|source| Error::Unreadable { path: path.to_owned(), source })?;
        Ok(Config::parse(&text, &path.display().to_string(), &base)?)
    }

    /// Checks `text`, which stands in `file`; relative paths in it start at `base`.
    ///
    /// # Errors
    /// All problems, in order of their places.
    pub fn parse(text: &str, file: &str, base: &Path) -> Result<Config, Problems> {
        check::check(text, base).map_err(|findings| Problems::new(file, text, findings))
    }

    /// The model called `name`.
    #[must_use]
    pub fn model(&self, name: &str) -> Option<&ModelConfig> {
        self.models.iter().find(|model| model.name.as_str() == name)
    }
}

impl TrainingWindow {
    /// What may be written, for messages.
    pub const WANTED: &'static str = "`all`, a length of time such as `90d`, `half-life 90d`, `sample 50000` (at least 100), `since-last-run`, \
                                      `since-change` or `auto`";

    /// Reads it as it is written.
    #[must_use]
    pub fn parse(text: &str) -> Option<TrainingWindow> {
        /// A century: longer is a slip of the pen.
        const MAX: Duration = Duration::days(36_525);
        let length = |text: &str| {
            Duration::parse(text).filter(|length| Duration::ZERO < *length && *length <= MAX)
        };
        let text = text.trim();
        match text.split_once(char::is_whitespace) {
            Some(("half-life", rest)) => length(rest).map(TrainingWindow::HalfLife),
            Some(("sample", rest)) => {
                /// Fewer teach nothing: a run refuses them too.
                const ROWS_MIN: u64 = 100;
                let rows = rest.trim().replace('_', "").parse().ok();
                let rows = rows.filter(|rows| ROWS_MIN <= *rows);
                rows.map(TrainingWindow::Sample)
            }
            _ => match text {
                "all" => Some(TrainingWindow::All),
                "since-last-run" => Some(TrainingWindow::SinceLastRun),
                "since-change" => Some(TrainingWindow::SinceChange),
                "auto" => Some(TrainingWindow::Auto),
                _ => length(text).map(TrainingWindow::Last),
            },
        }
    }
}

impl Windows {
    /// The same window for every strategy; a run that continues the champion has nothing to choose, and takes what came since
    /// the last run where the others choose.
    #[must_use]
    pub fn all(window: TrainingWindow) -> Windows {
        let chooses = window == TrainingWindow::Auto;
        let incremental = if chooses { TrainingWindow::SinceLastRun } else { window };
        Windows {
            scheduled: window,
            triggered: window,
            online: window,
            active: window,
            incremental,
        }
    }

    /// The window of a run with this strategy.
    #[must_use]
    pub fn of(&self, strategy: Strategy) -> TrainingWindow {
        match strategy {
            Strategy::Scheduled => self.scheduled,
            Strategy::Triggered => self.triggered,
            Strategy::Online => self.online,
            Strategy::Active => self.active,
            Strategy::Incremental => self.incremental,
        }
    }
}
