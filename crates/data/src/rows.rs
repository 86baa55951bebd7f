//! Rows in memory, column by column, ordered by event time.

use afresh_core::time::{Timestamp, Window};

/// Code of a missing category.
pub const MISSING: u32 = u32::MAX;

/// Rows of one model's source. All vectors hold one value per row; rows stand in order of event
/// time, equal times in order of their place in the source.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rows {
    /// Hash of the row's id; of its place in the source where there is no id column.
    pub key: Vec<u64>,
    /// When the event happened.
    pub event_time: Vec<Timestamp>,
    /// When the label may be used from; `None` while there is no label.
    pub available_at: Vec<Option<Timestamp>>,
    /// Class index (binary: 1 is the positive class) or value; NaN where unknown.
    pub label: Vec<f64>,
    /// Importance of the row; 1 where there is no weight column.
    pub weight: Vec<f64>,
    /// Features, in the order of the schema.
    pub columns: Vec<Column>,
}

/// One feature.
#[derive(Clone, Debug, PartialEq)]
pub struct Column {
    /// Name in the source.
    pub name: String,
    /// One value per row.
    pub values: Values,
}

/// The values of one feature.
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// Numbers; NaN is missing. Booleans are 0 and 1.
    Numeric(Vec<f64>),
    /// Positions in `names`; [`MISSING`] is missing.
    Categorical {
        /// One code per row.
        codes: Vec<u32>,
        /// The categories that occur in these rows or in the schema.
        names: Vec<String>,
    },
}

impl Rows {
    /// Number of rows.
    #[must_use]
    pub fn len(&self) -> usize {
        self.event_time.len()
    }

    /// Whether there is no row.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.event_time.is_empty()
    }

    /// The rows at `positions`, in that order. Positions past the end are a caller's bug.
    #[must_use]
    pub fn select(&self, positions: &[usize]) -> Rows {
        // A stretch of neighbours is copied at once.
        let stretch = match (positions.first(), positions.last()) {
            (Some(first), Some(last))
                if positions.windows(2).all(|pair| pair[0] + 1 == pair[1]) =>
            {
                Some(*first..*last + 1)
            }
            _ => None,
        };
        fn pick_from<T: Copy>(
            stretch: Option<&std::ops::Range<usize>>,
            values: &[T],
            positions: &[usize],
        ) -> Vec<T> {
            match stretch {
                Some(stretch) => values[stretch.clone()].to_vec(),
                None => positions.iter().map(|&at| values[at]).collect(),
            }
        }
        let stretch = stretch.as_ref();
        Rows {
            key: pick_from(stretch, &self.key, positions),
            event_time: pick_from(stretch, &self.event_time, positions),
            available_at: pick_from(stretch, &self.available_at, positions),
            label: pick_from(stretch, &self.label, positions),
            weight: pick_from(stretch, &self.weight, positions),
            columns: self
                .columns
                .iter()
                .map(|column| Column {
                    name: column.name.clone(),
                    values: match &column.values {
                        Values::Numeric(values) => {
                            Values::Numeric(pick_from(stretch, values, positions))
                        }
                        Values::Categorical { codes, names } => Values::Categorical {
                            codes: pick_from(stretch, codes, positions),
                            names: names.clone(),
                        },
                    },
                })
                .collect(),
        }
    }

    /// Positions of the rows whose event time lies in `window`: one contiguous range.
    #[must_use]
    pub fn range(&self, window: Window) -> std::ops::Range<usize> {
        let from = self.event_time.partition_point(|at| *at < window.from);
        let to = self.event_time.partition_point(|at| *at < window.to);
        from..to.max(from)
    }

    /// Whether row `at` may be trained or judged on at `now`: its label was available before it.
    #[must_use]
    pub fn is_available(&self, at: usize, now: Timestamp) -> bool {
        self.available_at[at].is_some_and(|available| available < now)
    }
}
