//! `backtest`: many policies over the same history, beside the best that hindsight allows, and which
//! one to choose.

use std::fs;
use std::io::IsTerminal as _;
use std::path::{Path, PathBuf};
use std::time::{Duration as Elapsed, Instant};

use afresh_config::Config;
use afresh_config::config::{ModelConfig, TrainingWindow as ConfigWindow};
use afresh_core::policy::Refit;
use afresh_core::time::Duration;
use afresh_data::schema::Task;
use afresh_engine::clock::Clock;
use afresh_engine::feed::Feed;
use afresh_engine::settings::TrainingWindow;
use afresh_engine::workshop::Shipped;
use afresh_policy::prices::{Priced, Prices};
use afresh_sim::backtest::apart::{self, apart};
use afresh_sim::backtest::compete;
use afresh_sim::backtest::past::{Past, Plan, Progress};
use afresh_sim::backtest::world::{Budget, Growth, Limits};
use afresh_train::recipe::Engine;
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::{Context, Progress as Telling};
use crate::fault::Fault;
use crate::{output, wiring};

/// The shortest window that is tried by itself.
const SHORT_WINDOW_PERIODS: u64 = 4;

/// Replays many policies over the same history: parameters are tuned on the first half and scored on
/// the second, beside the best schedule that hindsight allows. Prints what each would have gained and
/// cost, and recommends the simplest that cannot be told from the best. Every training is done once
/// and kept: a second call answers from the cache.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh backtest examples/flights/afresh.toml
  afresh backtest --windows all,28d,'half-life 84d' --per-run 5
  afresh backtest --apply
  afresh backtest --json | jq '.recommended'

How to read the table: `cost` is loss times its price plus retrainings times theirs; `regret` what it
cost more than hindsight; `recovered` the share of what hindsight saves beside the better of never and
always, below 0 where it is dearer than those; `at equal runs` the same beside a hindsight that may
retrain no more often; `on its window` beside one that retrains on the same window. `–`: hindsight saves
less than 2 % of what never costs. `configured` is the policy of the configuration as it stands. Every
candidate ships: there is no gate. Walking forward chooses the policy anew at four points, from what was
known by then. Without a price of a run it is 0.2 % of what a constant guess loses in a median period.")]
pub struct Arguments {
    /// Configuration file or directory; `--config` where it is left out.
    path: Option<PathBuf>,
    /// The model, where there are several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Training windows to try, as `data.window` writes them: `all`, 28d, `half-life 84d`, `sample 50000`, `auto`. The
    /// configured one is always tried; the others by default are all, 4 and 12 periods, a half-life of 12 and `auto`.
    #[arg(long, value_delimiter = ',', value_name = "WINDOW", value_parser = window)]
    windows: Vec<TrainingWindow>,
    /// Price of one unit of loss on one row.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    per_loss: Option<f64>,
    /// Price of a wrong answer, instead of one of loss.
    #[arg(long, value_name = "PRICE", value_parser = price, conflicts_with = "per_loss")]
    per_error: Option<f64>,
    /// Price of a retraining.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    per_run: Option<f64>,
    /// Price of a CPU hour of training.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    per_cpu_hour: Option<f64>,
    /// Price of a million rows that a retraining trains on.
    #[arg(long, value_name = "PRICE", value_parser = price)]
    per_million_rows: Option<f64>,
    /// Trainings at a time; the configured CPU slots where it is left out.
    #[arg(long, value_name = "NUMBER", value_parser = clap::value_parser!(u16).range(1..))]
    slots: Option<u16>,
    /// Train so many versions at most: a backtest whose windows need more says so and trains none; of
    /// versions that hang on the one before it makes what is left.
    #[arg(long, value_name = "NUMBER")]
    max_trainings: Option<usize>,
    /// How long it takes from the end of a training until its version serves; `replay.deployment` where it is left out.
    #[arg(long, value_name = "DURATION", value_parser = deployment)]
    deployment: Option<Duration>,
    /// Leave out `auto`, which chooses the window anew at each retraining and trains on several for that.
    #[arg(long)]
    no_auto: bool,
    /// Leave out versions that hang on the one before: trained since the last run or change, or incrementally.
    #[arg(long)]
    no_apart: bool,
    /// Write the recommended policy and window into the configuration; all else there stays.
    #[arg(long)]
    apply: bool,
    /// Where to write the report.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    report: PathBuf,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let path = self.path.clone().unwrap_or_else(|| context.config.clone());
        let config = wiring::config(&path)?;
        let model = wiring::model(&config, self.model.as_deref())?;
        let state = config.state.join("backtest").join(model.name.as_str());
        fs::create_dir_all(&state)
            .with_context(|| format!("failed to create {}", state.display()))?;
        if matches!(context.clock, Clock::Since { .. }) {
            let help =
                "leave `--now` out: a backtest goes through all of history, period by period";
            return Err(Fault::helped("a backtest has no other time".to_owned(), help));
        }
        // A report that cannot be written is told before the work, not after it.
        fs::OpenOptions::new()
            .append(true)
            .create(true)
            .open(&self.report)
            .with_context(|| format!("failed to write {}", self.report.display()))?;
        let plan = self.plan(&config, model, &state);
        if plan.period <= plan.deployment {
            let Plan { deployment, period, .. } = plan;
            let message =
                format!("--deployment of {deployment} is no shorter than a period of {period}");
            return Err(Fault::helped(message, "write a shorter one, or a longer `replay.period`"));
        }
        let names = plan.windows.iter().map(TrainingWindow::to_string).collect::<Vec<_>>();
        let prices = self.prices(model);
        let workshop = workshop(&config, model, &state, prices).await?;
        let bar = Bar::new(context.progress);
        let built = Past::build(workshop, &plan, |progress| bar.show(&progress)).await;
        bar.finish();
        let failed = || format!("failed to backtest {}", model.name);
        let (mut past, trainings) = built.with_context(failed)?;
        let metric = model.judging.metric;
        let limits = limits(&config, model);
        let backtest = compete(&past, trainings, prices, limits, metric);
        let backtest = backtest.with_context(failed)?;
        let growths = self.growths(&model.recipe.engine);
        let left = self.max_trainings.map(|most| most.saturating_sub(backtest.trainings.distinct));
        let bar = Bar::new(context.progress);
        let apart = apart(&mut past, &backtest, metric, &growths, left, |at| bar.grow(&at)).await;
        bar.finish();
        let apart = apart.with_context(failed)?;
        let shown = output::backtest::Shown {
            model: &model.name,
            metric,
            windows: &names,
            backtest: &backtest,
            apart: &apart,
        };
        let html = afresh_report::backtest::render(&shown.drawn());
        fs::write(&self.report, html)
            .with_context(|| format!("failed to write {}", self.report.display()))?;
        let applied = if self.apply { Some(apply(&path, &shown)?) } else { None };
        if context.json {
            output::json(&shown.json(&self.report));
        } else {
            shown.print(&self.report);
            match applied {
                Some(path) => output::line(format_args!("Written into {}.", path.display())),
                None => output::line("`--apply` writes it into the configuration."),
            }
        }
        Ok(())
    }

    /// The configured prices, and those of the command line over them.
    fn prices(&self, model: &ModelConfig) -> Prices {
        let prices = &model.advice.prices;
        let (priced, per_loss) = match (self.per_loss, self.per_error) {
            (Some(price), _) => (Priced::Loss, price),
            (None, Some(price)) => (Priced::Errors, price),
            (None, None) => (prices.priced, prices.per_loss),
        };
        Prices {
            priced,
            per_loss,
            per_run: self.per_run.or(prices.per_run),
            per_cpu_hour: self.per_cpu_hour.or(prices.per_cpu_hour),
            per_million_rows: self.per_million_rows.or(prices.per_million_rows),
        }
    }

    /// How versions may hang on the one before.
    fn growths(&self, engine: &Engine) -> Vec<Growth> {
        match engine {
            _ if self.no_apart => Vec::new(),
            Engine::BoostedTrees(_) | Engine::Linear(_) => {
                vec![Growth::SinceLastRun, Growth::SinceChange, Growth::Incremental]
            }
            // A command is not known to go on where another left off.
            Engine::Command(_) | Engine::Forest(_) | Engine::Constant => {
                vec![Growth::SinceLastRun, Growth::SinceChange]
            }
        }
    }

    fn plan(&self, config: &Config, model: &ModelConfig, state: &Path) -> Plan {
        let settings = wiring::settings(config, model, state);
        let configured = settings.windows.scheduled;
        // What a version trains on hangs on the one before: not a column of this grid.
        let hangs = configured.hangs_on_champion();
        let configured = if hangs { TrainingWindow::All } else { configured };
        let mut windows = vec![configured];
        let period = config.replay.period;
        let short = TrainingWindow::Last(Duration(SHORT_WINDOW_PERIODS * period.0));
        let beside = [short, TrainingWindow::Auto];
        let defaults = TrainingWindow::candidates(period).into_iter().chain(beside);
        let defaults = defaults.collect::<Vec<_>>();
        for window in if self.windows.is_empty() { &defaults } else { &self.windows } {
            let left_out = self.no_auto && *window == TrainingWindow::Auto;
            if !windows.contains(window) && !left_out {
                windows.push(*window);
            }
        }
        Plan {
            windows,
            period,
            warm_up: config.replay.warm_up,
            rounds: wiring::rounds(&model.recipe.engine),
            shipped: match model.policy.refit {
                Refit::Yes => Shipped::Refit,
                Refit::No => Shipped::Judged,
            },
            deployment: self.deployment.unwrap_or(config.replay.deployment),
            slots: self.slots.map_or_else(|| wiring::cpu_slots(config), usize::from),
            trainings_max: self.max_trainings,
            cache: state.to_owned(),
        }
    }
}

/// The owner's cooldown and budget, in periods.
#[expect(clippy::cast_precision_loss, reason = "milliseconds of any history stay below 2^53")]
fn limits(config: &Config, model: &ModelConfig) -> Limits {
    let periods = |length: Duration| length.0 as f64 / config.replay.period.0 as f64;
    Limits {
        cooldown_periods: periods(model.policy.cooldown),
        budget: config.fleet.budgets.get(&model.name).map(|budget| Budget {
            cpu_hours: budget.cpu_seconds / 3_600.0,
            periods: periods(budget.per),
        }),
    }
}

/// Writes the recommendation into the configuration, in one step, once what is to be written was
/// read back and says the same.
fn apply(path: &Path, shown: &output::backtest::Shown<'_>) -> Result<PathBuf, Fault> {
    let path = wiring::config_file(path);
    let (rule, window) = shown.recommended();
    let failed = || format!("failed to write the policy into {}", path.display());
    let text = fs::read_to_string(&path).with_context(failed)?;
    let name = shown.model.as_str();
    let edited =
        afresh_config::apply::apply(&text, name, rule, Some(&window)).with_context(failed)?;
    let base = path.parent().unwrap_or(Path::new(""));
    let read =
        Config::parse(&edited, &path.display().to_string(), base).map_err(anyhow::Error::from);
    let read = read.with_context(failed)?;
    if read.model(name).is_none_or(|model| model.advice.rule != *rule) {
        let said = anyhow::anyhow!("it would not read back as {rule}: write it by hand");
        return Err(said.context(failed()).into());
    }
    let staging = path.with_extension(format!("new-{}", std::process::id()));
    fs::write(&staging, edited).and_then(|()| fs::rename(&staging, &path)).with_context(failed)?;
    Ok(path)
}

async fn workshop(
    config: &Config,
    model: &ModelConfig,
    state: &Path,
    prices: Prices,
) -> Result<afresh_engine::workshop::Workshop, Fault> {
    let named = || format!("failed to read the rows of {}", model.name);
    let source = wiring::source(config, model)?;
    let schema = source.infer_schema().await.with_context(named)?;
    let feed = Feed::in_memory(source, schema).await.with_context(named)?;
    if prices.priced == Priced::Errors && feed.schema().task == Task::Regression {
        let message = format!("{} predicts a number, so that no answer is an error", model.name);
        let help = "write `--per-loss`, the price of a unit of squared error over the variance of the label";
        return Err(Fault::helped(message, help));
    }
    let mut settings = wiring::settings(config, model, state);
    settings.advice.prices = prices;
    Ok(wiring::workshop(settings, feed)?)
}

fn window(text: &str) -> Result<TrainingWindow, String> {
    let wanted = || format!("write {}", ConfigWindow::WANTED);
    let window = wiring::window(ConfigWindow::parse(text).ok_or_else(wanted)?);
    if window.hangs_on_champion() {
        return Err("is told apart from these, without being asked for: leave it out".to_owned());
    }
    Ok(window)
}

fn deployment(text: &str) -> Result<Duration, String> {
    Duration::parse(text).ok_or_else(|| "write a length of time such as 30min or 2h".to_owned())
}

fn price(text: &str) -> Result<f64, String> {
    let price = text.parse::<f64>().ok().filter(|price| price.is_finite() && *price > 0.0);
    price.ok_or_else(|| {
        "a price is a number above 0: a tiny one where it is next to nothing".to_owned()
    })
}

/// A progress bar on a terminal with the time left, a plain line now and then elsewhere.
struct Bar {
    bar: ProgressBar,
    plain: bool,
    started: Instant,
}

/// Plain lines that a backtest prints at most.
const PLAIN_LINES: usize = 10;

impl Bar {
    fn new(wanted: Telling) -> Bar {
        let plain = match wanted {
            Telling::Hidden => None,
            Telling::Plain => Some(true),
            Telling::Shown => Some(!std::io::stderr().is_terminal()),
        };
        let bar = ProgressBar::new(0);
        if plain != Some(false) {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        let template = "training {bar:30} {pos}/{len}  {elapsed}  {wide_msg}";
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Bar { bar, plain: plain == Some(true), started: Instant::now() }
    }

    fn show(&self, progress: &Progress) {
        let left = left(progress, self.started.elapsed());
        let words = match (progress.cached, left) {
            (cached, None) => format!("{cached} from the cache"),
            (0, Some(left)) => format!("about {left} left"),
            (cached, Some(left)) => format!("{cached} from the cache, about {left} left"),
        };
        self.bar.set_length(progress.of as u64);
        self.bar.set_position(progress.done as u64);
        self.bar.set_message(words.clone());
        let step = progress.of.div_ceil(PLAIN_LINES).max(1);
        if self.plain && progress.done.is_multiple_of(step) && progress.cached < progress.done {
            let (done, of) = (progress.done, progress.of);
            plain(&format!("{done} of {of} trainings done, {words}"));
        }
    }

    fn grow(&self, progress: &apart::Progress) {
        let apart::Progress { done, cached, at_most } = *progress;
        self.bar.set_length(at_most as u64);
        self.bar.set_position(done as u64);
        let words = format!("versions that hang on the one before, {cached} from the cache");
        self.bar.set_message(words.clone());
        let step = at_most.div_ceil(PLAIN_LINES).max(1);
        if self.plain && done.is_multiple_of(step) && cached < done {
            plain(&format!("{done} of at most {at_most} {words}"));
        }
    }

    fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

/// Time left if the trainings to come take as long as those done anew; what comes from the cache
/// takes none. Nothing is said of less than three.
fn left(progress: &Progress, elapsed: Elapsed) -> Option<String> {
    let fresh = progress.done - progress.cached;
    if fresh < 3 {
        return None;
    }
    let each = elapsed.as_secs_f64() / fresh as f64;
    let seconds = each * (progress.of - progress.done) as f64;
    Some(if seconds < 90.0 {
        format!("{seconds:.0} s")
    } else {
        format!("{:.0} min", seconds / 60.0)
    })
}

#[expect(clippy::print_stderr, reason = "progress is no result")]
fn plain(text: &str) {
    eprintln!("{text}");
}
