//! From which score on rows count as drifted: the owner's word, or what the earlier table's own periods
//! imply.

use std::cell::RefCell;
use std::ops::ControlFlow;

use afresh_core::time::{Duration, Timestamp};
use afresh_data::schema::Kind;
use afresh_data::table::{Batch, Cells, Dictionary, Holds, Table, Wanted};
use afresh_ml::drift::calibrate::{self, PERIODS_MIN, Periods, REFERENCE_PERIODS_MIN, Threshold};
use afresh_ml::drift::sketch::{BUDGET_BYTES_MIN, ColumnSketch};
use afresh_ml::drift::{self, Values};
use anyhow::Context as _;
use serde_json::{Value, json};

use super::Options;
use super::model::Champion;
use super::tables::SEED;
use crate::fault::Fault;

/// Memory of the periods' sketches together; with more columns fewer periods are looked at.
const SKETCHES_BYTES: usize = 64 << 20;

/// Periods that are looked at, at most.
const PERIODS_MAX: usize = 200;

/// A threshold and, where it is a model's, whose.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Chosen {
    pub(super) threshold: Threshold,
    model: Option<String>,
}

/// Reads a score between 0 and 1.
pub(super) fn score(text: &str) -> Result<f64, String> {
    let score = text.trim().parse::<f64>().ok().filter(|score| (0.0..=1.0).contains(score));
    score.ok_or_else(|| "write a score between 0 and 1, such as `0.3`".to_owned())
}

impl Chosen {
    pub(super) fn value(&self) -> f64 {
        self.threshold.value()
    }

    /// For people, in a sentence.
    pub(super) fn told(&self) -> String {
        match (&self.threshold, &self.model) {
            (Threshold::Chosen { value }, Some(model)) => {
                format!("The threshold of {value:.3} is that of {model}'s configuration.")
            }
            (threshold, _) => threshold.explanation(),
        }
    }

    /// For scripts: what it is and where it comes from.
    pub(super) fn json(&self) -> Value {
        let mut value = json!(self.threshold);
        value["explanation"] = json!(self.told());
        value["model"] = json!(self.model);
        value
    }
}

/// The owner's threshold, or the one that the periods of `before` imply, `importance` by name.
pub(super) async fn choose(
    options: &Options,
    champion: Option<&Champion>,
    [before, after]: [&Table; 2],
    columns: &[Wanted],
    importance: Option<&[f64]>,
) -> Result<Chosen, Fault> {
    let none = |threshold| Chosen { threshold, model: None };
    if let Some(value) = options.threshold {
        return Ok(none(Threshold::Chosen { value }));
    }
    let configured = champion.and_then(|champion| Some((champion.threshold?, &champion.model)));
    if let Some((value, model)) = configured {
        let model = Some(model.clone());
        return Ok(Chosen { threshold: Threshold::Chosen { value }, model });
    }
    let fixed = |why: String| none(Threshold::Fixed { value: calibrate::FIXED, why });
    let time = match time_column(options, before, after)? {
        Ok(time) => time,
        Err(why) => return Ok(fixed(why)),
    };
    let Some((first, last)) = span(before, &time).await? else {
        return Ok(fixed(format!("column `{time}` of `{}` holds no time", before.location())));
    };
    let period = match options.period {
        Some(period) => period,
        None => match span(after, &time).await? {
            Some((from, to)) => Duration(to.since(from).0.max(1)),
            None => {
                return Ok(fixed(format!(
                    "column `{time}` of `{}` holds no time",
                    after.location()
                )));
            }
        },
    };
    let step = i64::try_from(period.0).unwrap_or(i64::MAX);
    let whole = usize::try_from((last.0 - first.0).saturating_add(1) / step).unwrap_or(0);
    let needed = PERIODS_MIN + REFERENCE_PERIODS_MIN;
    if whole < needed {
        return Ok(fixed(format!(
            "`{}` holds {whole} periods of {}, and {needed} are needed; `--period` takes shorter ones",
            before.location(),
            rounded(period),
        )));
    }
    let room = SKETCHES_BYTES / BUDGET_BYTES_MIN / columns.len().max(1);
    let count = whole.min(PERIODS_MAX).min(room.max(needed));
    let start = last.0 + 1 - step.saturating_mul(i64::try_from(count).unwrap_or(0));
    let periods = fill(before, &time, columns, count, |at| {
        let since = at.0.checked_sub(start).filter(|since| *since >= 0)?;
        usize::try_from(since / step).ok()
    });
    let scores = periods.await?.scores(importance).context("failed to compare quiet periods")?;
    let [period, expected] = [period, options.expected_run_time]
        .map(|length| std::time::Duration::from_millis(length.0));
    let settings = calibrate::Settings { period, expected_run_time: expected, seed: SEED };
    let threshold = calibrate::threshold(&scores.model, settings).map_err(|error| {
        let help = "write a longer `--expected-run-time` or a shorter `--period`";
        Fault::helped(format!("cannot calibrate the threshold: {error}"), help)
    })?;
    Ok(none(threshold))
}

/// The column that tells when rows came about; or why there is none.
fn time_column(
    options: &Options,
    before: &Table,
    after: &Table,
) -> Result<Result<String, String>, Fault> {
    let times = |table: &Table| -> Vec<String> {
        let times = table.columns().iter().filter(|field| field.holds == Holds::Times);
        times.map(|field| field.name.clone()).collect()
    };
    let (known, needed) =
        (times(before), if options.period.is_none() { times(after) } else { Vec::new() });
    let shared = |name: &String| options.period.is_some() || needed.contains(name);
    if let Some(time) = &options.time {
        if known.contains(time) && shared(time) {
            return Ok(Ok(time.clone()));
        }
        let table = if known.contains(time) { after } else { before };
        let held = times(table);
        let help = match held.as_slice() {
            [] => "it has no column of times".to_owned(),
            held => format!("its columns of times are {}", held.join(", ")),
        };
        let message = format!("`{}` has no times in a column `{time}`", table.location());
        return Err(Fault::helped(message, &help));
    }
    let mut candidates = known.into_iter().filter(shared);
    Ok(match (candidates.next(), candidates.next()) {
        (Some(time), None) => Ok(time),
        (Some(one), Some(other)) => Err(format!(
            "rows have several times (`{one}`, `{other}`): `--time` says which one counts, so that \
             the earlier table's periods tell how much scores move by themselves"
        )),
        (None, _) => {
            Err("rows without times tell nothing of how much scores move by themselves".into())
        }
    })
}

/// First and last time.
async fn span(table: &Table, time: &str) -> Result<Option<(Timestamp, Timestamp)>, Fault> {
    let mut span: Option<(Timestamp, Timestamp)> = None;
    let take = &mut |batch: &Batch<'_>| {
        for at in (0..batch.rows).filter_map(|row| batch.time(row)) {
            span = Some(span.map_or((at, at), |(first, last)| (first.min(at), last.max(at))));
        }
        ControlFlow::Continue(())
    };
    let scanned = table.scan_timed(time, &[], Dictionary::PerBatch, take).await;
    scanned.with_context(|| format!("failed to read the times of `{}`", table.location()))?;
    Ok(span)
}

/// Sketches of every column in every period.
async fn fill(
    table: &Table,
    time: &str,
    columns: &[Wanted],
    count: usize,
    period_of: impl Fn(Timestamp) -> Option<usize>,
) -> Result<Periods, Fault> {
    let sketches = columns.iter().map(|column| {
        let kind = match column.kind {
            Kind::Categorical => drift::Kind::Categorical,
            Kind::Numeric | Kind::Boolean => drift::Kind::Numeric,
        };
        ColumnSketch::of_kind(&column.name, kind, BUDGET_BYTES_MIN)
    });
    let periods = RefCell::new(Periods::new(sketches.collect(), count));
    let mut failed = None;
    let take = &mut |batch: &Batch<'_>| {
        let values = (0..columns.len()).map(|at| match batch.column(at) {
            Cells::Numeric(values) => Values::Numeric(values),
            Cells::Categorical { codes, names, .. } => Values::Categorical { codes, names },
        });
        let values = values.collect::<Vec<_>>();
        let taken = periods.borrow_mut().update(&values, |row| period_of(batch.time(row)?));
        failed = taken.err();
        if failed.is_some() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let scanned = table.scan_timed(time, columns, Dictionary::PerBatch, take).await;
    scanned.with_context(|| format!("failed to read `{}`", table.location()))?;
    match failed {
        Some(error) => {
            let named = format!("failed to measure the periods of `{}`", table.location());
            Err(Fault::Failed(anyhow::Error::new(error).context(named)))
        }
        None => Ok(periods.into_inner()),
    }
}

/// In whole days or hours where that says enough.
fn rounded(length: Duration) -> Duration {
    let unit = [Duration::days(1), Duration::hours(1), Duration::minutes(1)];
    let unit = unit.into_iter().find(|unit| length.0 >= 2 * unit.0).unwrap_or(Duration(1));
    Duration((length.0 + unit.0 / 2) / unit.0 * unit.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thresholds_lie_between_zero_and_one() {
        assert_eq!((score("0.3"), score(" 1 ")), (Ok(0.3), Ok(1.0)));
        for wrong in ["", "x", "1.1", "-0.1", "NaN", "inf"] {
            assert!(score(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn lengths_are_told_in_units_that_say_enough() {
        let told = |length: Duration| rounded(length).to_string();
        assert_eq!(told(Duration(30 * 86_400_000 - 1)), "30d");
        assert_eq!(told(Duration(5 * 3_600_000 + 7)), "5h");
    }
}
