//! What the monitors would have seen of a version at the end of a period, from rows available then.

use afresh_core::id::VersionId;
use afresh_core::time::Timestamp;
use afresh_engine::monitor::evidence::t_test;
use afresh_engine::workshop::began;
use afresh_ml::decay::rise::Rise;
use afresh_ml::decay::sequential::{Baseline, Clip, Parameters, SequentialDecay};
use afresh_policy::observation::{Alarms, Evidence, Loss, Observation};
use afresh_policy::oracle::Serving;
use afresh_policy::prices::Priced;

use super::Past;
use super::drift::Drifted;
use crate::backtest::world::{Look, World as _};

/// What detectors that began with a version's training say at the end of a period.
#[derive(Clone, Copy, Debug)]
pub(super) struct Watched {
    loss: Option<Loss>,
    alarms: Alarms,
    available_since_cut: u64,
    /// Event time of the first row since the losses last rose.
    changed: Option<Timestamp>,
}

impl Past {
    pub(super) fn sight(&self, serving: Serving, period: usize, look: Look) -> Observation {
        let window = self.periods[period];
        let rows = self.rows.range(window).len();
        let trained = Self::period_of(serving);
        let watched = self.watched(serving).and_then(|all| all.get(period - trained).copied());
        let drifted = match look {
            Look::WithDrift => self.drifted(serving, period),
            Look::WithoutDrift => Drifted::default(),
        };
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
                feature_shift: self.shifts[period],
                guess: self.guesses[period],
                // A training now would take about as long as the last one.
                run_cpu_hours: self.cell(serving).map(|_cell| self.cpu_hours(serving)),
                run_rows: self.cell(serving).map(|cell| cell.trained_rows as u64),
                ..Evidence::default()
            },
        }
    }

    /// The detectors' way over a version's rows, made once.
    fn watched(&self, serving: Serving) -> Option<&Vec<Watched>> {
        self.cell(serving)?.watched.get_or_init(|| self.watch(serving)).as_ref()
    }

    fn watch(&self, serving: Serving) -> Option<Vec<Watched>> {
        let cell = self.cell(serving)?;
        let trained = Self::period_of(serving);
        let (clip, baseline, expected) = self.baseline(serving)?;
        let parameters = Parameters { clip, ..Parameters::default() };
        let mut test = SequentialDecay::new(baseline, parameters).ok();
        let mut rise = Rise::default();
        let mut available = 0;
        let mut times = Vec::new();
        let mut watched = Vec::new();
        for newly in &self.newly[trained..] {
            let losses = cell.losses_on(newly.iter().copied()).collect::<Vec<_>>();
            available += losses.len() as u64;
            if let Some(running) = &mut test
                && running.update_many(&losses).is_err()
            {
                test = None;
            }
            rise.update_many(&losses);
            let answered = newly.iter().filter(|at| cell.losses_on([**at]).next().is_some());
            times.extend(answered.map(|at| self.rows.event_time[*at]));
            let mean = super::mean(&losses);
            let state = test.as_ref().map(SequentialDecay::state);
            let lasts =
                |state: &afresh_ml::decay::sequential::Sequential| state.threshold < state.excess;
            let cost = match &cell.errors {
                // Losses have the price.
                None => mean,
                Some(_) => super::mean(&cell.costs_on(newly.iter().copied()).collect::<Vec<_>>()),
            };
            let loss = cost.map(|mean| Loss {
                mean,
                rows: losses.len() as u64,
                baseline: expected,
                alarm: state.as_ref().is_some_and(|state| state.detected && lasts(state)),
                e_value: state.as_ref().map_or(0.0, |state| state.e_value),
            });
            watched.push(Watched {
                loss,
                alarms: Alarms {
                    t_test: t_test(&losses, baseline.mean, self.decay_threshold()),
                    adwin: rise.stands(mean, baseline.mean),
                    cusum: state
                        .as_ref()
                        .is_some_and(|state| state.detected_by_cusum && lasts(state)),
                },
                available_since_cut: available,
                changed: rise.since().and_then(|since| began(&times, since)),
            });
        }
        Some(watched)
    }

    /// Since when, in event time, `serving` had met another world when `period` began.
    pub(super) fn changed(&self, serving: Serving, period: usize) -> Option<Timestamp> {
        let seen = period.checked_sub(Self::period_of(serving) + 1)?;
        self.watched(serving)?.get(seen)?.changed
    }

    /// The loss to be expected of a version: that of the same recipe a period earlier on the rows
    /// that became available since, which neither was trained on. And the same of what has a price.
    fn baseline(&self, serving: Serving) -> Option<(Clip, Baseline, f64)> {
        let (cell, newly) = match serving {
            Serving::First | Serving::Trained { period: 0, .. } => {
                (self.before.as_ref()?, &self.newly_before)
            }
            Serving::Trained { period, window } => {
                // What hangs on the version before is expected to do as well as a full one.
                let window = if window < self.windows.len() { window } else { 0 };
                let before = Serving::Trained { period: period - 1, window };
                (self.cell(before)?, &self.newly[period - 1])
            }
        };
        let losses = cell.losses_on(newly.iter().copied()).collect::<Vec<_>>();
        let clip = Clip::for_task(self.task, &losses);
        let baseline = Baseline::from_losses(&losses, clip).ok()?;
        let expected = match self.priced {
            Priced::Loss => baseline.mean,
            Priced::Errors => {
                super::mean(&cell.costs_on(newly.iter().copied()).collect::<Vec<_>>())?
            }
        };
        Some((clip, baseline, expected))
    }

    fn decay_threshold(&self) -> f64 {
        self.workshop.settings().decay.drop
    }
}
