//! `advise`: what a log of predictions and labels says about its model, without model or configuration.

use std::fs;
use std::path::{Path, PathBuf};

use afresh_core::time::{Duration, Timestamp};
use afresh_data::predictions::{Account, Error, Log, Piece, Predicts, Survey, Wishes};
use afresh_data::schema::Task;
use afresh_ml::advice::tally::{Form, Grid, Row, Tally};
use afresh_ml::advice::{self, PERIODS_MIN, Problem, Settings};
use anyhow::Context as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::Context;
use crate::fault::Fault;
use crate::{moment, output};

/// One hour.
const HOUR: u64 = 3_600_000;
/// Lengths of a period that are chosen from, in hours.
const PERIODS: [u64; 9] = [1, 3, 6, 12, 24, 48, 168, 336, 672];
/// Periods that are aimed at, at most.
const PERIODS_AIMED: u64 = 60;
/// Rows of a period that are aimed at, at least.
const ROWS_AIMED: u64 = 300;
/// Longest history that is looked at, in periods.
const PERIODS_MAX: u64 = 20_000;
/// Of all resampling: the same log gives the same advice.
const SEED: u64 = 1;

/// Reads a log of predictions with their labels and says whether the model decays, whether that is
/// more than a season, whether its probabilities can be trusted, and when retraining would have
/// paid. Needs no model and no configuration: columns are found by their names.
#[derive(Clone, Debug, clap::Args)]
#[command(
    disable_version_flag = true,
    after_help = "\
Examples:
  afresh advise predictions.parquet
  afresh advise 'logs/2026-*.csv' --prediction score --label churned --positive yes
  afresh advise predictions.csv --per-loss 12 --per-run 40 --html advice.html
  afresh advise predictions.parquet --slice region --slice channel
  afresh advise predictions.csv --json | jq '.action'

A log has a row a prediction: its time, the prediction (a probability, a class, a number, or one
probability a class) and the label, empty while unknown. The time at which a label became known, the
version that predicted and a weight are used where they are there."
)]
pub struct Arguments {
    /// Files, a directory or a glob of Parquet or CSV.
    #[arg(value_name = "PREDICTIONS")]
    predictions: String,
    /// Column of the time of a prediction.
    #[arg(long, value_name = "COLUMN")]
    time: Option<String>,
    /// Column of the prediction; several, with commas between, are one probability a class.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    prediction: Vec<String>,
    /// Column of the label.
    #[arg(long, value_name = "COLUMN")]
    label: Option<String>,
    /// Column that says when the label became known.
    #[arg(long, value_name = "COLUMN")]
    label_time: Option<String>,
    /// Time from prediction to label where no column says it, such as 2d.
    #[arg(long, value_name = "LENGTH", value_parser = moment::length, conflicts_with = "label_time")]
    label_delay: Option<Duration>,
    /// Column of the version that predicted; `none` where there is none.
    #[arg(id = "predicted_by", long = "version", value_name = "COLUMN")]
    version: Option<String>,
    /// Column of row weights.
    #[arg(long, value_name = "COLUMN")]
    weight: Option<String>,
    /// Column whose values are told apart: which of them got worse most. May be repeated.
    #[arg(long, value_name = "COLUMN")]
    slice: Vec<String>,
    /// What is predicted: `binary`, `multiclass` or `regression`.
    #[arg(long, value_parser = task)]
    task: Option<Task>,
    /// The label's positive value.
    #[arg(long, value_name = "VALUE")]
    positive: Option<String>,
    /// The step in which history is cut, such as 1d; whole hours. Chosen from the log where left out.
    #[arg(long, value_name = "LENGTH", value_parser = moment::length)]
    period: Option<Duration>,
    /// Price of one unit of loss of one prediction.
    #[arg(long, value_name = "PRICE", default_value_t = 1.0, value_parser = price, allow_negative_numbers = true)]
    per_loss: f64,
    /// Price of a retraining; 0.2 % of what a constant guess loses in a usual period where left out.
    #[arg(long, value_name = "PRICE", value_parser = price, allow_negative_numbers = true)]
    per_run: Option<f64>,
    /// Where to write the report.
    #[arg(long, value_name = "FILE", default_value = "report.html")]
    html: PathBuf,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let wishes = Wishes {
            time: self.time.clone(),
            prediction: self.prediction.clone(),
            label: self.label.clone(),
            label_time: self.label_time.clone(),
            version: self.version.clone(),
            weight: self.weight.clone(),
            slices: self.slice.clone(),
            task: self.task,
            positive: self.positive.clone(),
            label_delay: self.label_delay.unwrap_or(Duration::ZERO),
        };
        let log = Log::open(&self.predictions, Path::new(""), &wishes).await.map_err(fault)?;
        let bar = Bar::new(context);
        let survey = log.survey(&mut |share| bar.show("looking", share)).await.map_err(fault)?;
        let now = context.clock.now();
        let period = self.period_of(&survey)?;
        let (tally, account) = tally(&log, survey, period, now, &bar).await?;
        bar.finish();
        let settings = Settings { per_loss: self.per_loss, per_run: self.per_run, seed: SEED };
        let findings = advice::findings(&tally, settings)
            .map_err(|problem| self.explained(problem, period))?;
        let told = output::advise::Told {
            location: &self.predictions,
            layout: log.layout(),
            account: &account,
            findings: &findings,
            grid: tally.grid(),
            is_default_price: self.per_run.is_none(),
        };
        fs::write(&self.html, afresh_report::advice::render(&told.drawn()))
            .with_context(|| format!("failed to write {}", self.html.display()))?;
        if context.json {
            output::json(&told.json(&self.html));
        } else {
            told.print(&self.html);
        }
        Ok(())
    }

    /// The length of a period in hours.
    fn period_of(&self, survey: &Survey) -> Result<u64, Fault> {
        let hours = survey.span.window().length().0.div_ceil(HOUR);
        if let Some(period) = self.period {
            if period.0 == 0 || period.0 % HOUR != 0 {
                let message = format!("--period {period} is not a number of whole hours");
                return Err(Fault::Usage(format!("{message}: write 1h, 6h, 1d or 7d")));
            }
            let chosen = period.0 / HOUR;
            if hours / chosen > PERIODS_MAX {
                let count = hours / chosen;
                return Err(Fault::Usage(format!(
                    "--period {period} cuts the log into {count} periods, more than {PERIODS_MAX}: write a \
                     longer one"
                )));
            }
            return Ok(chosen);
        }
        let fits = |period: &&u64| {
            let periods = (hours / **period).max(1);
            periods <= PERIODS_AIMED && survey.rows / periods >= ROWS_AIMED
        };
        let longest = PERIODS[PERIODS.len() - 1];
        let chosen = PERIODS.iter().find(fits).copied().unwrap_or(longest);
        // Too few rows for that are better than too few periods.
        let least = hours / PERIODS_MIN as u64;
        let most = PERIODS.iter().rev().find(|period| **period <= least).copied();
        Ok(chosen.min(most.unwrap_or(1)))
    }

    fn explained(&self, problem: Problem, period: u64) -> Fault {
        let help = match problem {
            Problem::NoLabels => {
                "join the labels to the log first; until they come, `afresh drift` tells how far the \
                 inputs moved"
                    .to_owned()
            }
            Problem::OneClass => {
                "a model cannot be judged where only one thing ever happens: name another column with \
                 `--label`, or give a longer log"
                    .to_owned()
            }
            Problem::ConstantPrediction(_) => {
                "name another column with `--prediction`: a constant can neither decay nor be retrained"
                    .to_owned()
            }
            Problem::TooFewPeriods { .. } => format!(
                "write a period shorter than {} with `--period`, or give a longer log",
                Duration(period * HOUR)
            ),
        };
        Fault::helped(format!("{}: {problem}", self.predictions), help)
    }
}

/// One pass over the log.
async fn tally(
    log: &Log,
    survey: Survey,
    period: u64,
    now: Timestamp,
    bar: &Bar,
) -> Result<(Tally, Account), Fault> {
    let hour_of = |at: Timestamp| at.0.div_euclid(HOUR.cast_signed());
    let from_hour = hour_of(survey.span.first);
    // The last period counts only if whole: an event at or after its end shows that history goes on.
    let hours = hour_of(survey.span.last) - from_hour;
    let periods = u64::try_from(hours).unwrap_or(0) / period;
    let period_hours = u32::try_from(period).unwrap_or(u32::MAX);
    let periods = usize::try_from(periods).unwrap_or(0);
    let grid = Grid { from_hour, period_hours, periods };
    // The classes of an answer are known once all rows were read: as many as there may be.
    let form = match &log.layout().predicts {
        Predicts::Probability { .. } => Form::Probability,
        Predicts::Probabilities { classes } => Form::Probabilities { classes: classes.len() },
        Predicts::Answer => Form::Answer { classes: afresh_data::predictions::CLASSES_MAX },
        Predicts::Value => Form::Value,
    };
    let columns = log.layout().slices.len();
    let mut tally = Tally::sliced(form, grid, columns);
    let width = log.layout().predictions.len().max(1);
    let mut take = |piece: &Piece| {
        for (row, predictions) in piece.predictions.chunks_exact(width).enumerate() {
            tally.add(&Row {
                hour: hour_of(piece.at[row]),
                predictions,
                label: piece.label[row],
                delay_hours: (piece.delay[row].0 / HOUR).cast_signed(),
                version: piece.version[row],
                weight: piece.weight[row],
                slices: &piece.slices[row * columns..(row + 1) * columns],
            });
        }
    };
    let mut progress = |share: f64| bar.show("reading", share);
    let account = log.read(now, &mut progress, &mut take).await.map_err(fault)?;
    Ok((tally, account))
}

fn fault(error: Error) -> Fault {
    let help = error.help();
    match (error, help) {
        (Error::Data(error), _) => Fault::from(anyhow::Error::new(error)),
        (error, Some(help)) => Fault::helped(error.to_string(), help),
        (error, None) => Fault::from(anyhow::Error::new(error)),
    }
}

fn task(text: &str) -> Result<Task, String> {
    match text {
        "binary" => Ok(Task::Binary),
        "multiclass" => Ok(Task::Multiclass),
        "regression" => Ok(Task::Regression),
        _ => Err("write `binary`, `multiclass` or `regression`".to_owned()),
    }
}

fn price(text: &str) -> Result<f64, String> {
    let price = text.parse::<f64>().ok().filter(|price| price.is_finite() && *price > 0.0);
    price.ok_or_else(|| "a price is a number above 0".to_owned())
}

/// Steps of the bar.
const STEPS: f64 = 1_000.0;

/// A bar on a terminal, nothing elsewhere: even large logs take seconds.
struct Bar(ProgressBar);

impl Bar {
    fn new(context: &Context) -> Bar {
        use std::io::IsTerminal as _;
        let bar = ProgressBar::new(1_000);
        if context.json || !std::io::stderr().is_terminal() {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {elapsed}") {
            bar.set_style(style);
        }
        Bar(bar)
    }

    fn show(&self, doing: &'static str, share: f64) {
        self.0.set_prefix(doing);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 0 and 1,000"
        )]
        self.0.set_position((share.clamp(0.0, 1.0) * STEPS) as u64);
    }

    fn finish(&self) {
        self.0.finish_and_clear();
    }
}
