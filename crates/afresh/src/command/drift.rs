//! `drift`: how far rows moved, column by column: one table against another without any
//! configuration, or a model's newest period against the rows that trained its champion.

mod compare;
mod html;
mod importance;
mod live;
mod memory;
mod model;
mod show;
mod tables;
mod threshold;

use std::path::PathBuf;

use afresh_core::time::Duration;
use clap::ArgAction;

pub(super) use live::{Seen, see};

use super::Context;
use crate::fault::Fault;
use crate::moment;

/// Compares two tables, or the newest whole period of a model with the rows that trained what
/// serves: a score for each column in [0, 1], and their mean weighted by importance. The columns
/// that matter most come first. Looks only; nothing is decided.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh drift may.parquet june.parquet              two files; no configuration is needed
  afresh drift 'logs/2026-05-*.csv' logs/june/ --html drift.html
  afresh drift may.csv june.csv --slices region,plan --fail-on-drift
  afresh drift year.parquet week.parquet --time at   the year's weeks tell how much is unusual
  afresh drift may.parquet june.parquet --model shop/churn      and what it did to the predictions
  afresh drift shop/churn                            a model's newest period
  afresh drift --json | jq '.columns[] | select(.drifted) | .name'")]
pub struct Arguments {
    /// Two tables, the earlier first: files, directories or globs of Parquet or CSV. Or a model;
    /// the only one where nothing is written.
    #[arg(value_name = "REF CUR | MODEL", num_args = 0..=2)]
    places: Vec<String>,
    /// End with exit code 1 where drift is found: for use in scripts.
    #[arg(long)]
    fail_on_drift: bool,
    #[command(flatten)]
    options: Options,
}

/// What can be asked of two tables.
#[derive(Clone, Debug, clap::Args)]
#[command(next_help_heading = "Two tables")]
pub(super) struct Options {
    /// Write a page with pictures of every column.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Score from which rows have drifted, between 0 and 1. Where left out, the earlier table's own
    /// periods tell it: see `--time`; 0.3 where they are too few.
    #[arg(long, value_name = "SCORE", value_parser = threshold::score)]
    threshold: Option<f64>,
    /// Column of times by which the earlier table is cut into periods; the only one where left out.
    #[arg(long, value_name = "COLUMN", conflicts_with = "threshold")]
    time: Option<String>,
    /// Length of these periods, such as `1d`; the time that the later table takes where left out.
    #[arg(long, value_name = "LENGTH", value_parser = moment::length, conflicts_with = "threshold")]
    period: Option<Duration>,
    /// How long rows that do not change may run, on average, until a score reaches the threshold.
    #[arg(
        long, value_name = "LENGTH", value_parser = moment::length, default_value = "90d",
        conflicts_with = "threshold"
    )]
    expected_run_time: Duration,
    /// Weights of the columns: a JSON file of `{"column": weight}`, or `column=weight,…`; columns
    /// without one count for nothing.
    #[arg(long, value_name = "FILE | WEIGHTS", conflicts_with = "model")]
    importance: Option<String>,
    /// A model of the configuration, whose champion says how important columns are and how its
    /// predictions moved.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Columns by whose values rows are looked at in parts.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    slices: Vec<String>,
    /// Compare these columns alone.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    columns: Vec<String>,
    /// Do not compare these.
    #[arg(long, value_name = "COLUMNS", value_delimiter = ',')]
    exclude: Vec<String>,
    /// Memory to measure exactly in, such as `512MiB`; what needs more is sketched. A quarter of
    /// the machine's where it is left out.
    #[arg(long, value_name = "SIZE", value_parser = memory::size)]
    memory: Option<u64>,
    /// Do not train the model that tells the tables apart.
    #[arg(long = "no-domain-classifier", action = ArgAction::SetFalse)]
    domain_classifier: bool,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let drifted = match self.places.as_slice() {
            [reference, current] => tables::run(reference, current, &self.options, context).await?,
            [] | [_] | [_, _, _, ..] => {
                let model = self.places.first().map(String::as_str);
                if let Some(file) = model.filter(|name| PathBuf::from(name).exists()) {
                    return Err(Fault::Usage(format!(
                        "`{file}` is a file: write what it is compared with too, `afresh drift REF CUR`"
                    )));
                }
                if let Some(option) = self.options.asked() {
                    return Err(Fault::Usage(format!(
                        "`{option}` belongs to two tables: write `afresh drift REF CUR {option} …`"
                    )));
                }
                live::run(model, context).await?
            }
        };
        if drifted && self.fail_on_drift { Err(Fault::Told(1)) } else { Ok(()) }
    }
}

impl Options {
    /// An option that a model alone has no use for.
    fn asked(&self) -> Option<&'static str> {
        let given = [
            ("--html", self.html.is_some()),
            ("--threshold", self.threshold.is_some()),
            ("--time", self.time.is_some()),
            ("--period", self.period.is_some()),
            ("--importance", self.importance.is_some()),
            ("--model", self.model.is_some()),
            ("--slices", !self.slices.is_empty()),
            ("--columns", !self.columns.is_empty()),
            ("--exclude", !self.exclude.is_empty()),
            ("--memory", self.memory.is_some()),
            ("--no-domain-classifier", !self.domain_classifier),
        ];
        given.into_iter().find(|(_, given)| *given).map(|(option, _)| option)
    }
}
