//! Drift of periods against the rows that trained versions. Most pairs of the two are looked at by some policy, so each column
//! is put in order once, and a window of it is counted once.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, OnceLock};

use afresh_core::time::Timestamp;
use afresh_data::rows::{Rows, Values};
use afresh_data::selection::{Classes, Emphasis, Selection};
use afresh_data::split::{self, Cuts, positions};
use afresh_ml::drift::ordered::{Ordered, Part, smallest_p};
use afresh_ml::drift::{self, Side};
use afresh_ml::metrics::Task;
use afresh_policy::oracle::Serving;

use super::{Cell, Past, open};

/// Drift of a period against the rows that trained a version.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Drifted {
    pub(super) score: Option<f64>,
    pub(super) smallest_p: Option<f64>,
}

/// The columns of a history and its windows, each made when it is first looked at; `None` where the values cannot be compared.
#[derive(Debug)]
pub(super) struct Windows {
    columns: OnceLock<Option<Vec<Ordered>>>,
    periods: Vec<OnceLock<Option<Vec<Part>>>>,
    trained: Mutex<Trained>,
}

/// Rows of versions, prepared for measuring drift from them; the longest unasked go first.
#[derive(Debug, Default)]
struct Trained {
    /// By what they are: when they were last asked for, and their columns.
    kept: BTreeMap<Key, (u64, Arc<Vec<Part>>)>,
    asked: u64,
    values: usize,
}

/// Values of versions kept prepared, twelve bytes each.
const PREPARED_VALUES_MAX: usize = 1 << 25;

/// Which rows: event times and, of a sample, how many. Versions whose rows differ in weight alone share them.
type Key = (Timestamp, Timestamp, u64);

fn key(selection: &Selection) -> Key {
    let sampled = match selection.emphasis {
        Emphasis::Sample(rows) => rows,
        Emphasis::Even | Emphasis::HalfLife(_) => 0,
    };
    (selection.window.from, selection.window.to, sampled)
}

impl Windows {
    pub(super) fn of(periods: usize) -> Windows {
        let periods = (0..periods).map(|_| OnceLock::new()).collect();
        Windows { columns: OnceLock::new(), periods, trained: Mutex::default() }
    }
}

impl Trained {
    fn get(&mut self, key: Key) -> Option<Arc<Vec<Part>>> {
        self.asked += 1;
        let (last, columns) = self.kept.get_mut(&key)?;
        *last = self.asked;
        Some(Arc::clone(columns))
    }

    fn keep(&mut self, key: Key, columns: Arc<Vec<Part>>) {
        let size = |columns: &[Part]| columns.iter().map(Part::held).sum::<usize>();
        self.values += size(&columns);
        self.asked += 1;
        if let Some((_, before)) = self.kept.insert(key, (self.asked, columns)) {
            self.values -= size(&before);
        }
        while PREPARED_VALUES_MAX < self.values && 1 < self.kept.len() {
            let oldest = self.kept.iter().min_by_key(|(_, (last, _))| *last);
            let Some(oldest) = oldest.map(|(key, _)| *key) else { return };
            if let Some((_, columns)) = self.kept.remove(&oldest) {
                self.values -= size(&columns);
            }
        }
    }
}

impl Past {
    /// Drift of a period against the rows that trained a version, measured once.
    pub(super) fn drifted(&self, serving: Serving, period: usize) -> Drifted {
        let trained = Self::period_of(serving);
        let known = self.cell(serving).and_then(|cell| cell.drifted.get(period - trained));
        let measure = || self.measure_drift(serving, period).unwrap_or_default();
        known.map_or_else(Drifted::default, |known| *known.get_or_init(measure))
    }

    fn measure_drift(&self, serving: Serving, period: usize) -> Option<Drifted> {
        let cell = self.cell(serving)?;
        let current = self.current(period)?;
        let reference = self.reference(cell)?;
        let pairs = reference.iter().zip(current);
        let columns = pairs.map(|(reference, current)| reference.apart(current));
        let columns = columns.collect::<Vec<_>>();
        let names = self.rows.columns.iter().map(|column| column.name.as_str());
        let scores = names.zip(&columns).map(|(name, column)| (name, column.score));
        let scores = scores.collect::<Vec<_>>();
        let score = drift::weighted_score(&scores, Some(&cell.importance)).ok();
        Some(Drifted { score, smallest_p: smallest_p(&columns) })
    }

    /// The rows of a period.
    fn current(&self, period: usize) -> Option<&[Part]> {
        let count = || {
            let positions = self.rows.range(self.periods[period]).collect::<Vec<_>>();
            self.parts(Side::Current, &positions)
        };
        self.drift.periods[period].get_or_init(count).as_deref()
    }

    /// A version's rows, prepared once for as long as memory lasts.
    fn reference(&self, cell: &Cell) -> Option<Arc<Vec<Part>>> {
        let key = key(&cell.selection);
        if let Some(known) = open(&self.drift.trained).get(key) {
            return Some(known);
        }
        let cuts = Cuts { stopping_from: cell.as_of, holdout_from: cell.as_of, as_of: cell.as_of };
        let trained = positions(&self.rows, cell.selection.window, &cuts, split::Part::Fit);
        let classes = if self.task == Task::Regression { Classes::None } else { Classes::Kept };
        let trained = cell.selection.thin(&self.rows, &trained, classes);
        let made = Arc::new(self.parts(Side::Reference, &trained)?);
        open(&self.drift.trained).keep(key, Arc::clone(&made));
        Some(made)
    }

    /// Every column at some rows.
    fn parts(&self, side: Side, positions: &[usize]) -> Option<Vec<Part>> {
        let columns = self.drift.columns.get_or_init(|| ordered(&self.rows)).as_ref()?;
        columns.iter().map(|column| column.part(side, positions).ok()).collect()
    }
}

fn ordered(rows: &Rows) -> Option<Vec<Ordered>> {
    let columns = rows.columns.iter().map(|column| {
        let values = match &column.values {
            Values::Numeric(values) => drift::Values::Numeric(values),
            Values::Categorical { codes, names } => drift::Values::Categorical { codes, names },
        };
        Ordered::new(&column.name, values).ok()
    });
    columns.collect()
}
