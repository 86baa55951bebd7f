//! The way a watch has come, for pictures: at most so many points, neighbours joined when there are more.

use serde::{Deserialize, Serialize};

/// Points kept.
const POINTS_MAX: usize = 512;

/// A bucket of the widest window, or several neighbours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Instant of its first row.
    pub from: i64,
    /// Instant of its last row.
    pub to: i64,
    /// Its rows.
    pub rows: u64,
    /// Value of each metric; of joined points the mean by rows.
    pub values: Vec<Option<f64>>,
    /// Evidence of the task's own test at its end.
    pub e_value: f64,
    /// Evidence of each metric's test, where it has one, at its end.
    pub e_values: Vec<Option<f64>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Trail {
    points: Vec<Point>,
    /// How many buckets a point holds.
    stride: u64,
    /// Buckets in the newest point.
    filled: u64,
}

impl Default for Trail {
    fn default() -> Trail {
        Trail { points: Vec::new(), stride: 1, filled: 0 }
    }
}

impl Trail {
    pub(super) fn points(&self) -> &[Point] {
        &self.points
    }

    pub(super) fn push(&mut self, point: Point) {
        if self.filled > 0
            && self.filled < self.stride
            && let Some(last) = self.points.pop()
        {
            self.points.push(last.join(point));
            self.filled += 1;
            return;
        }
        if self.points.len() == POINTS_MAX {
            let mut old = std::mem::take(&mut self.points).into_iter();
            while let Some(first) = old.next() {
                self.points.push(match old.next() {
                    Some(second) => first.join(second),
                    None => first,
                });
            }
            self.stride *= 2;
        }
        self.points.push(point);
        self.filled = 1;
    }
}

impl Point {
    fn join(self, next: Point) -> Point {
        let (left, right) = (self.rows as f64, next.rows as f64);
        let mean = |(a, b): (&Option<f64>, &Option<f64>)| match (a, b) {
            (Some(a), Some(b)) => Some((a * left + b * right) / (left + right).max(1.0)),
            (a, b) => a.or(*b),
        };
        let values = self.values.iter().zip(&next.values).map(mean).collect();
        Point { from: self.from, rows: self.rows + next.rows, values, ..next }
    }
}
