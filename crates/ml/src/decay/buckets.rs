//! The values of metrics over one window of a stream, bucket by bucket, in fixed memory.
//!
//! A bucket lasts its width, and longer until it holds rows enough. Its rows are measured in blocks: the value of
//! a bucket of many rows is the mean of its blocks' values by rows (of `rmse` the root of the mean square), which for
//! losses is exact and for rankings as good.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::metrics::{Metric, Task};

/// Rows measured at a time.
pub(super) const BLOCK_ROWS: usize = 8_192;
/// A window of more buckets than this is cut: write a wider bucket.
pub const BUCKETS_MAX: usize = 10_000;

/// The newest stretch of a stream. Instants are whole numbers of the caller's unit, such as milliseconds.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Window {
    /// Its tag, such as `24h`.
    pub name: String,
    /// How far it reaches back.
    pub length: i64,
    /// Width of a bucket.
    pub bucket: i64,
}

/// A bucket that is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Bucket {
    /// First and last instant of its rows.
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) rows: u64,
    /// One for each metric; `None` where it is undefined on these rows.
    pub(super) values: Vec<Option<f64>>,
}

/// One window's buckets; the newest is open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Buckets {
    pub(super) window: Window,
    rows_min: u64,
    closed: VecDeque<Bucket>,
    open: Option<Open>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Open {
    from: i64,
    to: i64,
    rows: u64,
    labels: Vec<f64>,
    predictions: Vec<f64>,
    /// Of blocks measured so far, for each metric: rows, and rows times value.
    sums: Vec<[f64; 2]>,
}

impl Buckets {
    pub(super) fn new(window: Window, rows_min: u64) -> Buckets {
        Buckets { window, rows_min, closed: VecDeque::new(), open: None }
    }

    /// Whether a row at `at` would end the open bucket.
    pub(super) fn ends_before(&self, at: i64) -> bool {
        self.open
            .as_ref()
            .is_some_and(|open| self.tick(open.to) < self.tick(at) && self.rows_min <= open.rows)
    }

    /// Takes rows of one instant's tick, in order; gives the bucket that they ended.
    pub(super) fn take(
        &mut self,
        task: Task,
        metrics: &[Metric],
        at: (i64, i64),
        labels: &[f64],
        predictions: &[f64],
    ) -> Option<Bucket> {
        let ended = if self.ends_before(at.0) { self.close(task, metrics) } else { None };
        // Rows from before the window belong to no bucket of it.
        if self.open.as_ref().is_some_and(|open| open.to <= at.0.saturating_sub(self.window.length))
        {
            self.open = None;
        }
        let open = self.open.get_or_insert_with(|| Open {
            from: at.0,
            to: at.0,
            rows: 0,
            labels: Vec::new(),
            predictions: Vec::new(),
            sums: vec![[0.0; 2]; metrics.len()],
        });
        open.to = at.1;
        open.rows += labels.len() as u64;
        // Blocks are full whatever the size of what is handed over: the values do not depend on it.
        let (mut from, outputs) = (0, task.outputs());
        while from < labels.len() {
            let to = labels.len().min(from + BLOCK_ROWS - open.labels.len());
            open.labels.extend_from_slice(&labels[from..to]);
            open.predictions.extend_from_slice(&predictions[from * outputs..to * outputs]);
            from = to;
            if open.labels.len() == BLOCK_ROWS {
                open.measure(task, metrics);
            }
        }
        ended
    }

    /// The value of each metric in the window that ends at `until`, oldest bucket first, with the open one where
    /// it has rows enough. The number is of the rows.
    pub(super) fn values(
        &self,
        task: Task,
        metrics: &[Metric],
        until: i64,
    ) -> (Vec<Vec<Option<f64>>>, u64) {
        let after = until.saturating_sub(self.window.length);
        let open = self.open.as_ref().filter(|open| self.rows_min <= open.rows);
        let open = open.map(|open| open.clone().finish(task, metrics));
        let inside = self.closed.iter().chain(&open).filter(|bucket| after <= bucket.to);
        let (mut values, mut rows) = (vec![Vec::new(); metrics.len()], 0);
        for bucket in inside {
            rows += bucket.rows;
            for (values, value) in values.iter_mut().zip(&bucket.values) {
                values.push(*value);
            }
        }
        (values, rows)
    }

    fn tick(&self, at: i64) -> i64 {
        at.div_euclid(self.window.bucket.max(1))
    }

    fn close(&mut self, task: Task, metrics: &[Metric]) -> Option<Bucket> {
        let bucket = self.open.take()?.finish(task, metrics);
        let after = bucket.to.saturating_sub(self.window.length);
        self.closed.push_back(bucket.clone());
        while self.closed.front().is_some_and(|old| old.to < after)
            || BUCKETS_MAX < self.closed.len()
        {
            self.closed.pop_front();
        }
        Some(bucket)
    }
}

impl Open {
    fn measure(&mut self, task: Task, metrics: &[Metric]) {
        let rows = self.labels.len() as f64;
        for (sum, metric) in self.sums.iter_mut().zip(metrics) {
            if let Some(value) = metric.value(task, &self.labels, &self.predictions) {
                let value = if *metric == Metric::Rmse { value * value } else { value };
                sum[0] += rows;
                sum[1] += rows * value;
            }
        }
        self.labels.clear();
        self.predictions.clear();
    }

    fn finish(mut self, task: Task, metrics: &[Metric]) -> Bucket {
        if !self.labels.is_empty() {
            self.measure(task, metrics);
        }
        let value = |([rows, sum], metric): (&[f64; 2], &Metric)| {
            let mean = (*rows > 0.0).then(|| sum / rows)?;
            Some(if *metric == Metric::Rmse { mean.sqrt() } else { mean })
        };
        let values = self.sums.iter().zip(metrics).map(value).collect();
        Bucket { from: self.from, to: self.to, rows: self.rows, values }
    }
}
