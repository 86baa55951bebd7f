//! What the monitors would have seen of a version at the end of a period, from rows available then.

use std::sync::Arc;

use afresh_core::id::VersionId;
use afresh_data::rows::{Rows, Values};
use afresh_data::split::{Cuts, Part, positions};
use afresh_ml::decay::sequential::{Baseline, Clip, Parameters, SequentialDecay};
use afresh_ml::decay::{Direction, ttest};
use afresh_ml::drift::{self, Reference};
use afresh_policy::observation::{Alarms, Evidence, Loss, Observation};
use afresh_policy::oracle::Serving;

use super::{Cell, Past, estimated_hours, guess, open};
use crate::backtest::world::Look;

/// Drift of a period against the rows that trained a version.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drifted {
    score: Option<f64>,
    smallest_p: Option<f64>,
}

/// What detectors that began with a version's training say at the end of a period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    loss: Option<Loss>,
    alarms: Alarms,
    available_since_cut: u64,
}

/// A period's newly available rows are cut into this many buckets for the t-test.
const BUCKETS: usize = 24;
/// A bucket with fewer rows says nothing.
const BUCKET_ROWS_MIN: usize = 30;

impl Past {
    pub(super) fn sight(&self, serving: Serving, period: usize, look: Look) -> Observation {
        let window = self.periods[period];
        let rows = self.rows.range(window).len();
        let trained = Self::period_of(serving);
        let watched = self.watched(serving).and_then(|all| all.get(period - trained).copied());
        let drifted = match look {
            Look::WithDrift => self.drifted(serving, period),
            Look::WithoutDrift => Drifted { score: None, smallest_p: None },
        };
        let labels = self.newly[period].iter().map(|at| self.rows.label[*at]).collect::<Vec<_>>();
        let features = self.rows.columns.len();
        let hours = self.cell(serving).map(|cell| {
            // A training now would have as many rows as the last one had in its window.
            let trained = self.rows.range(cell.window).len();
            estimated_hours(trained, features, self.rounds(cell))
        });
        Observation {
            at: window.to,
            champion: VersionId(0),
            rows: rows as u64,
            available_since_cut: watched.map_or(0, |watched| watched.available_since_cut),
            drift: drifted.score,
            loss: watched.and_then(|watched| watched.loss),
            evidence: Evidence {
                alarms: watched.map_or_else(Alarms::default, |watched| watched.alarms),
                smallest_p: drifted.smallest_p,
                feature_shift: self.shifts().get(period).copied().flatten(),
                guess: guess(self.task, &labels).map(|guess| guess / self.unit),
                run_cpu_hours: hours,
                ..Evidence::default()
            },
        }
    }

    fn rounds(&self, cell: &Cell) -> usize {
        let scorer = self.workshop.scorer(cell.version);
        scorer.map_or(1, |scorer| scorer.manifest().rounds_added)
    }

    /// The detectors' way over a version's rows, made once.
    fn watched(&self, serving: Serving) -> Option<Arc<Vec<Watched>>> {
        let place = self.place(serving);
        if let Some(watched) = open(&self.followed).get(&place) {
            return Some(Arc::clone(watched));
        }
        let watched = Arc::new(self.watch(serving)?);
        open(&self.followed).insert(place, Arc::clone(&watched));
        Some(watched)
    }

    fn watch(&self, serving: Serving) -> Option<Vec<Watched>> {
        let cell = self.cell(serving)?;
        let trained = Self::period_of(serving);
        let (clip, baseline) = self.baseline(serving)?;
        let parameters = Parameters { clip, ..Parameters::default() };
        let mut test = SequentialDecay::new(baseline, parameters).ok();
        let mut available = 0;
        let mut watched = Vec::new();
        for newly in &self.newly[trained..] {
            let losses = self.losses(cell, newly);
            available += losses.len() as u64;
            if let Some(running) = &mut test
                && running.update_many(&losses).is_err()
            {
                test = None;
            }
            let mean = super::mean(&losses);
            let state = test.as_ref().map(SequentialDecay::state);
            let lasts =
                |state: &afresh_ml::decay::sequential::Sequential| state.threshold < state.excess;
            let loss = mean.map(|mean| Loss {
                mean,
                rows: losses.len() as u64,
                baseline: baseline.mean,
                alarm: state.as_ref().is_some_and(|state| state.detected && lasts(state)),
                e_value: state.as_ref().map_or(0.0, |state| state.e_value),
            });
            watched.push(Watched {
                loss,
                alarms: Alarms {
                    t_test: self.t_test(&losses, baseline.mean),
                    adwin: false,
                    cusum: state
                        .as_ref()
                        .is_some_and(|state| state.detected_by_cusum && lasts(state)),
                },
                available_since_cut: available,
            });
        }
        Some(watched)
    }

    /// The loss to be expected of a version: that of the same recipe a period earlier on the rows
    /// that became available since, which neither was trained on.
    fn baseline(&self, serving: Serving) -> Option<(Clip, Baseline)> {
        let (cell, newly) = match serving {
            Serving::First | Serving::Trained { period: 0, .. } => {
                (self.before.as_ref()?, &self.newly_before)
            }
            Serving::Trained { period, window } => {
                let before = Serving::Trained { period: period - 1, window };
                (self.cell(before)?, &self.newly[period - 1])
            }
        };
        let losses = self.losses(cell, newly);
        let clip = Clip::for_task(self.task, &losses);
        Baseline::from_losses(&losses, clip).ok().map(|baseline| (clip, baseline))
    }

    /// Whether the bucket means of a period are worse than the baseline: significantly and by more
    /// than the threshold.
    fn t_test(&self, losses: &[f64], baseline: f64) -> bool {
        let size = (losses.len() / BUCKETS).max(BUCKET_ROWS_MIN);
        let buckets = losses.chunks_exact(size).filter_map(super::mean).collect::<Vec<_>>();
        let series = ttest::Series {
            metric: "loss",
            direction: Direction::LowerIsBetter,
            window: "period",
            values: &buckets,
            baseline: Some(baseline),
            unlabelled: 0,
        };
        let threshold = ttest::Threshold::Relative(self.decay_threshold());
        ttest::window(&series, threshold).is_some_and(|decay| decay.detected && decay.significant)
    }

    fn decay_threshold(&self) -> f64 {
        self.workshop.settings().decay.drop
    }

    fn drifted(&self, serving: Serving, period: usize) -> Drifted {
        let key = (self.place(serving), period);
        if let Some(known) = open(&self.drift_seen).get(&key) {
            return *known;
        }
        let drifted = self.measure_drift(serving, period);
        open(&self.drift_seen).insert(key, drifted);
        drifted
    }

    fn measure_drift(&self, serving: Serving, period: usize) -> Drifted {
        let nothing = Drifted { score: None, smallest_p: None };
        let Some(cell) = self.cell(serving) else { return nothing };
        let current = self.rows.range(self.periods[period]);
        if current.is_empty() {
            return nothing;
        }
        let reference = self.reference(cell);
        let columns = reference.iter().zip(&self.rows.columns).map(|(reference, column)| {
            let values = view(&column.values, current.clone());
            reference.compare(values)
        });
        let Ok(columns) = columns.collect::<Result<Vec<_>, _>>() else { return nothing };
        let tested = columns.iter().filter_map(|column| column.ks.map(|ks| ks.p_value));
        let smallest = tested.clone().fold(f64::INFINITY, f64::min);
        let smallest_p = smallest.is_finite().then(|| {
            let tests = tested.count();
            #[expect(clippy::cast_precision_loss, reason = "a number of columns")]
            let corrected = smallest * tests as f64;
            corrected.min(1.0)
        });
        let counts = drift::RowCounts {
            reference: reference.first().map_or(0, Reference::rows),
            current: current.len() as u64,
        };
        let importance = Some(cell.importance.as_slice());
        let score =
            drift::summarise(columns, importance, 1.0, counts).ok().map(|drift| drift.score);
        Drifted { score, smallest_p }
    }

    fn reference(&self, cell: &Cell) -> Vec<Reference> {
        let cuts = Cuts { stopping_from: cell.as_of, holdout_from: cell.as_of, as_of: cell.as_of };
        let trained = positions(&self.rows, cell.window, &cuts, Part::Fit);
        let rows = self.rows.select(&trained);
        let columns = rows.columns.iter();
        columns
            .filter_map(|column| {
                Reference::new(&column.name, view(&column.values, 0..rows.len())).ok()
            })
            .collect()
    }

    /// How far the features' means moved from period to period.
    fn shifts(&self) -> Arc<Vec<Option<f64>>> {
        if let Some(shifts) = open(&self.shifts).as_ref() {
            return Arc::clone(shifts);
        }
        let shifts = Arc::new(shifts(&self.rows, &self.periods));
        *open(&self.shifts) = Some(Arc::clone(&shifts));
        shifts
    }
}

/// By period: the sum over the numeric features of how far their mean moved since the period
/// before, in standard deviations of that period.
fn shifts(rows: &Rows, periods: &[afresh_core::time::Window]) -> Vec<Option<f64>> {
    let moments = |values: &[f64]| {
        let present = values.iter().filter(|value| !value.is_nan());
        let (count, sum, squares) = present
            .fold((0.0, 0.0, 0.0), |(count, sum, squares), value| {
                (count + 1.0, sum + value, squares + value * value)
            });
        let mean: f64 = sum / count;
        (count > 0.0).then(|| (mean, (squares / count - mean * mean).max(0.0).sqrt()))
    };
    let mut shifts = vec![None; periods.len()];
    for (place, pair) in periods.windows(2).enumerate() {
        let (before, now) = (rows.range(pair[0]), rows.range(pair[1]));
        if before.is_empty() || now.is_empty() {
            continue;
        }
        let moved = rows.columns.iter().filter_map(|column| {
            let Values::Numeric(values) = &column.values else { return None };
            let (was, spread) = moments(&values[before.clone()])?;
            let (is, _) = moments(&values[now.clone()])?;
            (spread > 0.0).then(|| (is - was).abs() / spread)
        });
        shifts[place + 1] = Some(0.0 + moved.sum::<f64>());
    }
    shifts
}

fn view(values: &Values, range: std::ops::Range<usize>) -> drift::Values<'_> {
    match values {
        Values::Numeric(values) => drift::Values::Numeric(&values[range]),
        Values::Categorical { codes, names } => {
            drift::Values::Categorical { codes: &codes[range], names }
        }
    }
}
