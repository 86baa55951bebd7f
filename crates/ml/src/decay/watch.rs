//! Decay of one champion over several metrics and windows, from a stream of labelled rows, in fixed memory.
//!
//! Metrics with a loss per row are tested sequentially: one may look after every row. The others, and all of them
//! where the owner says so, by t-test over the windows' buckets, corrected by Holm unless it is not wanted.

mod trail;

use serde::{Deserialize, Serialize};

use super::buckets::{BLOCK_ROWS, Buckets, Window};
use super::pairs::Pairs;
use super::sequential::{Parameters, Sequential, SequentialDecay};
use super::standard::{Losses, Standard, losses, primary};
use super::ttest::{self, Series, Threshold, VALUES_MIN};
use super::{Decay, Direction, SIGNIFICANCE, Test, priority};
use crate::compare::holm;
use crate::metrics::{self, Metric, Task, Undefined};

pub use trail::Point;
use trail::Trail;

/// A bucket with fewer rows says nothing.
pub const BUCKET_ROWS_MIN: u64 = 30;

/// What is watched and how.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// What is predicted.
    pub task: Task,
    /// What the metrics are held against, in the order of reports; metrics without a standard have `None`s.
    pub standards: Vec<Standard>,
    /// Losses of the task's own metric, [`primary`], which the champion is followed by in any case.
    pub primary: Losses,
    /// At least one.
    pub windows: Vec<Window>,
    /// How metrics are tested.
    pub test: Test,
    /// Largest drop that is let pass, in the metric's unit; for `rmse` and `mae` a share of the baseline.
    pub drop: f64,
    /// Chance that the task's own test ever alarms without cause; all others share as much again.
    pub alpha: f64,
}

/// The watch over one champion; its saved form continues bit for bit. Begin anew with a new champion.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watch {
    plan: Plan,
    metrics: Vec<Metric>,
    primary: SequentialDecay,
    /// One for each metric; `None` for the primary one and those without losses.
    tests: Vec<Option<SequentialDecay>>,
    pairs: Pairs,
    buckets: Vec<Buckets>,
    newest: Option<i64>,
    rows: u64,
    trail: Trail,
}

/// What a watch has to say.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// Metrics and windows of which something can be said, in the plan's order.
    pub decay: Vec<Decay>,
    /// The others.
    pub silent: Vec<Silent>,
    /// Rung of the priority ladder by `decay` alone.
    pub priority: u8,
}

/// A metric of a window of which nothing is said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Silent {
    /// Name of the metric.
    pub metric: String,
    /// Tag of the window.
    pub window: String,
    /// Buckets with a value.
    pub values: usize,
    /// Buckets in which the metric is undefined, such as auc where all rows have one class.
    pub undefined: usize,
    /// Labelled rows in buckets of the window.
    pub rows: u64,
    /// Rows of the window whose label is not available yet.
    pub unlabelled: usize,
    /// Why nothing is said, in words.
    pub why: String,
}

/// Why a watch cannot begin or a row cannot be taken.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// A window without length or bucket.
    #[error("window {name} is {length} long in buckets of {bucket}: both must be above 0")]
    Window {
        /// Its tag.
        name: String,
        /// Its length.
        length: i64,
        /// Its bucket.
        bucket: i64,
    },
    /// There is none.
    #[error("there is no window: name at least one, such as `24h`")]
    NoWindow,
    /// The sequential test.
    #[error("the sequential test of {metric} cannot begin or go on")]
    Sequential {
        /// Which metric's.
        metric: &'static str,
        /// Why.
        #[source]
        source: super::sequential::Error,
    },
    /// Rows that no metric takes.
    #[error("the rows cannot be measured")]
    Rows(#[from] Undefined),
    /// A probability below 0 or above 1.
    #[error(
        "the prediction of row {row} is {value}, which is no probability: write one from 0 to 1"
    )]
    NotAProbability {
        /// Position from 0.
        row: usize,
        /// What stands there.
        value: f64,
    },
    /// Rows must come as their labels did.
    #[error(
        "row {row} became available at {at}, before the newest so far at {newest}: hand rows over in the \
         order in which their labels became available"
    )]
    OutOfOrder {
        /// Position from 0.
        row: usize,
        /// When its label became available.
        at: i64,
        /// The latest before it.
        newest: i64,
    },
}

impl Watch {
    /// A watch that has seen nothing. A metric whose own test cannot begin, for a baseline of a row or two or
    /// one that leaves no room for decay, goes by t-test.
    pub fn new(plan: Plan) -> Result<Watch, Error> {
        if plan.windows.is_empty() {
            return Err(Error::NoWindow);
        }
        if let Some(window) = plan.windows.iter().find(|w| w.length <= 0 || w.bucket <= 0) {
            let Window { name, length, bucket } = window.clone();
            return Err(Error::Window { name, length, bucket });
        }
        let metrics = plan.standards.iter().map(|standard| standard.metric).collect::<Vec<_>>();
        let own = primary(plan.task);
        let start = |losses: Losses, alpha: f64| {
            let parameters = Parameters { alpha, clip: losses.clip, ..Parameters::default() };
            SequentialDecay::new(losses.baseline, parameters)
        };
        let first = start(plan.primary, plan.alpha)
            .map_err(|source| Error::Sequential { metric: own.name(), source })?;
        let sequential = plan.test == Test::Sequential;
        let tested = |standard: &&Standard| standard.metric != own && standard.losses.is_some();
        let sharing = plan.standards.iter().filter(tested).count().max(1) as f64;
        let test = |standard: &Standard| {
            let losses = standard.losses.filter(|_| sequential && tested(&standard))?;
            start(losses, plan.alpha / sharing).ok()
        };
        let tests = plan.standards.iter().map(test).collect();
        let windows = plan.windows.iter().cloned();
        let buckets = windows.map(|window| Buckets::new(window, BUCKET_ROWS_MIN)).collect();
        Ok(Watch {
            metrics,
            primary: first,
            tests,
            pairs: Pairs::default(),
            buckets,
            newest: None,
            rows: 0,
            trail: Trail::default(),
            plan,
        })
    }

    /// Takes rows in the order in which their labels became available, `at` of each; exactly as one by one. With
    /// a row among them that cannot be taken, none is.
    pub fn update_many(
        &mut self,
        at: &[i64],
        labels: &[f64],
        predictions: &[f64],
    ) -> Result<(), Error> {
        self.check(at, labels, predictions)?;
        let outputs = self.plan.task.outputs();
        let mut from = 0;
        while from < at.len() {
            let mut to = from + 1;
            // Up to the end of any window's bucket, so that every bucket sees its own rows.
            let tick = self.next_end(at[from]);
            while to < at.len() && to - from < BLOCK_ROWS && at[to] < tick {
                to += 1;
            }
            let range = from * outputs..to * outputs;
            self.take((at[from], at[to - 1]), &labels[from..to], &predictions[range])?;
            from = to;
        }
        Ok(())
    }

    /// What the rows so far say at `until`. `unlabelled`: of each window, rows whose label is not available yet.
    #[must_use]
    pub fn report(&self, until: i64, unlabelled: &[usize]) -> Report {
        let (mut decay, mut silent, mut tested) = (Vec::new(), Vec::new(), Vec::new());
        for (at, buckets) in self.buckets.iter().enumerate() {
            let unlabelled = unlabelled.get(at).copied().unwrap_or(0);
            let (values, rows) = buckets.values(self.plan.task, &self.metrics, until);
            for (standard, values) in self.plan.standards.iter().zip(values) {
                let defined = values.iter().flatten().copied().collect::<Vec<_>>();
                let undefined = values.len() - defined.len();
                let series = Series {
                    metric: standard.metric.name(),
                    direction: Direction::of(standard.metric),
                    window: &buckets.window.name,
                    values: &defined,
                    baseline: standard.value,
                    unlabelled,
                };
                let threshold = Threshold::of(standard.metric, self.plan.drop);
                let Some(mut found) = ttest::window(&series, threshold) else {
                    silent.push(silence(&series, defined.len(), undefined, rows));
                    continue;
                };
                found.undefined = undefined;
                match self.test_of(standard.metric) {
                    Some((state, sharing)) if self.plan.test == Test::Sequential => {
                        found.test = Test::Sequential;
                        found.p_value = state.p_value;
                        found.p_adjusted = (state.p_value * sharing).min(1.0);
                        found.significant = found.p_adjusted < SIGNIFICANCE;
                        // Proven since the champion's cut, and still so: a bad week that is over is none.
                        found.detected = state.detected && found.detected;
                    }
                    Some(_) | None => tested.push(decay.len()),
                }
                decay.push(found);
            }
        }
        if self.plan.test != Test::TTestUncorrected {
            let p_values = tested.iter().map(|at: &usize| decay[*at].p_value).collect::<Vec<f64>>();
            for (at, adjusted) in tested.into_iter().zip(holm(&p_values)) {
                let found: &mut Decay = &mut decay[at];
                found.test = Test::TTest;
                found.p_adjusted = adjusted;
                found.significant = adjusted < SIGNIFICANCE;
            }
        }
        let priority = priority(&decay);
        Report { decay, silent, priority }
    }

    /// The test of the task's own losses, which policies follow.
    #[must_use]
    pub fn primary(&self) -> Sequential {
        self.primary.state()
    }

    /// The sequential test of each metric that has one, in the plan's order.
    #[must_use]
    pub fn sequential(&self) -> Vec<(Metric, Sequential)> {
        let test = |metric: &Metric| Some((*metric, self.test_of(*metric)?.0));
        self.metrics.iter().filter_map(test).collect()
    }

    /// The way here: buckets of the widest window since the beginning, thinned to fit.
    #[must_use]
    pub fn trail(&self) -> &[Point] {
        self.trail.points()
    }

    /// Rows taken.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// What is watched and how.
    #[must_use]
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// A metric's own test and among how many it shares its error.
    fn test_of(&self, metric: Metric) -> Option<(Sequential, f64)> {
        if self.plan.test != Test::Sequential {
            return None;
        }
        if metric == primary(self.plan.task) {
            return Some((self.primary.state(), 1.0));
        }
        let at = self.metrics.iter().position(|other| *other == metric)?;
        let sharing = self.tests.iter().flatten().count() as f64;
        self.tests[at].as_ref().map(|test| (test.state(), sharing))
    }

    /// Takes rows that end no bucket among themselves.
    fn take(&mut self, at: (i64, i64), labels: &[f64], predictions: &[f64]) -> Result<(), Error> {
        let task = self.plan.task;
        let widest = self.widest();
        for (place, buckets) in self.buckets.iter_mut().enumerate() {
            let ended = buckets.take(task, &self.metrics, at, labels, predictions);
            if let (Some(bucket), true) = (ended, place == widest) {
                let e_value =
                    |test: &Option<SequentialDecay>| test.as_ref().map(|test| test.state().e_value);
                let own = self.primary.state();
                self.trail.push(Point {
                    from: bucket.from,
                    to: bucket.to,
                    rows: bucket.rows,
                    values: bucket.values,
                    e_value: own.e_value,
                    e_values: self.tests.iter().map(e_value).collect(),
                });
            }
        }
        let own = primary(task);
        let wrong =
            |metric: Metric| move |source| Error::Sequential { metric: metric.name(), source };
        let of = |metric, pairs: &mut Pairs| losses(metric, task, labels, predictions, pairs);
        let rows = of(own, &mut self.pairs).unwrap_or_default();
        self.primary.update_many(&rows).map_err(wrong(own))?;
        for (metric, test) in self.metrics.iter().zip(&mut self.tests) {
            if let Some(test) = test
                && let Some(rows) = of(*metric, &mut self.pairs)
            {
                test.update_many(&rows).map_err(wrong(*metric))?;
            }
        }
        self.newest = Some(at.1);
        self.rows += labels.len() as u64;
        Ok(())
    }

    fn widest(&self) -> usize {
        let windows = self.plan.windows.iter().enumerate();
        windows.max_by_key(|(_, window)| window.length).map_or(0, |(at, _)| at)
    }

    /// The first instant after `at` at which a bucket of any window may end.
    fn next_end(&self, at: i64) -> i64 {
        let end = |window: &Window| {
            let tick = at.div_euclid(window.bucket).saturating_add(1);
            tick.saturating_mul(window.bucket)
        };
        self.plan.windows.iter().map(end).min().unwrap_or(i64::MAX)
    }

    fn check(&self, at: &[i64], labels: &[f64], predictions: &[f64]) -> Result<(), Error> {
        if labels.is_empty() && at.is_empty() && predictions.is_empty() {
            return Ok(());
        }
        let task = self.plan.task;
        metrics::check(task, labels, predictions)?;
        let (rows, found) = (labels.len(), at.len());
        if rows != found {
            return Err(Undefined::Shape { what: "instants", rows, expected: rows, found }.into());
        }
        let outside = predictions.iter().position(|p| !(0.0..=1.0).contains(p));
        if let Some(place) = outside.filter(|_| task != Task::Regression) {
            let (row, value) = (place / task.outputs(), predictions[place]);
            return Err(Error::NotAProbability { row, value });
        }
        let mut newest = self.newest.unwrap_or(i64::MIN);
        for (row, at) in at.iter().enumerate() {
            if *at < newest {
                return Err(Error::OutOfOrder { row, at: *at, newest });
            }
            newest = *at;
        }
        Ok(())
    }
}

fn silence(series: &Series<'_>, values: usize, undefined: usize, rows: u64) -> Silent {
    let why = if rows == 0 {
        "no labelled rows".to_owned()
    } else if values + undefined < VALUES_MIN {
        format!("{} of {VALUES_MIN} buckets", values + undefined)
    } else {
        format!("undefined in {undefined} of {} buckets", values + undefined)
    };
    Silent {
        metric: series.metric.to_owned(),
        window: series.window.to_owned(),
        values,
        undefined,
        rows,
        unlabelled: series.unlabelled,
        why,
    }
}

#[cfg(test)]
mod tests;
