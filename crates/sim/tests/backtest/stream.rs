//! A made-up history: a concept moves, models lose in proportion to how far it moved since their
//! training, and weeks differ in difficulty.

use afresh_core::id::VersionId;
use afresh_core::time::Timestamp;
use afresh_policy::observation::{Alarms, Evidence, Loss, Observation};
use afresh_policy::oracle::Serving;
use afresh_sim::backtest::world::{Look, World};

/// A history; models are trained on the newest rows of their window.
#[derive(Clone, Debug)]
pub(crate) struct Stream {
    /// Where the concept is in each period.
    pub(crate) concept: Vec<f64>,
    /// How far the base rate is off in each period: no model knows of it.
    pub(crate) base_rate: Vec<f64>,
    /// Rows of each period.
    pub(crate) rows: Vec<f64>,
    /// Length of each training window, in periods.
    pub(crate) windows: Vec<usize>,
    /// What a small window loses to noise: this over its length.
    pub(crate) noise: f64,
    /// Loss that a fresh model on endless data has.
    pub(crate) floor: f64,
}

impl Stream {
    pub(crate) fn still(periods: usize) -> Stream {
        Stream {
            concept: vec![0.0; periods],
            base_rate: vec![0.0; periods],
            rows: vec![1_000.0; periods],
            windows: vec![8, 2],
            noise: 0.02,
            floor: 0.5,
        }
    }

    pub(crate) fn gradual(periods: usize) -> Stream {
        let concept = (0..periods).map(|period| 0.01 * float(period)).collect();
        Stream { concept, ..Stream::still(periods) }
    }

    pub(crate) fn abrupt(periods: usize, jumps: &[usize]) -> Stream {
        let jumped = |period: usize| jumps.iter().filter(|jump| **jump <= period).count();
        let concept = (0..periods).map(|period| 0.25 * float(jumped(period))).collect();
        Stream { concept, ..Stream::still(periods) }
    }

    /// Mean of where the concept was while the rows of a version came.
    fn known(&self, version: Serving) -> f64 {
        let (period, length) = match version {
            Serving::First => (0, 1),
            Serving::Trained { period, window } => (period, self.windows[window]),
        };
        let from = period.saturating_sub(length);
        let seen = &self.concept[from..period.max(from + 1)];
        seen.iter().sum::<f64>() / float(seen.len())
    }

    fn mean(&self, version: Serving, period: usize) -> f64 {
        let length = match version {
            Serving::First => self.windows[0],
            Serving::Trained { window, .. } => self.windows[window],
        };
        let difficulty = 0.01 * (float(period) * 6.3).sin();
        let off = (self.concept[period] - self.known(version)).abs();
        self.floor + difficulty + off + self.base_rate[period] + self.noise / float(length)
    }
}

impl World for Stream {
    fn periods(&self) -> usize {
        self.concept.len()
    }

    fn windows(&self) -> usize {
        self.windows.len()
    }

    fn is_trained(&self, period: usize, _: usize) -> bool {
        period < self.concept.len()
    }

    fn cpu_hours(&self, version: Serving) -> f64 {
        match version {
            Serving::First => 0.0,
            Serving::Trained { window, .. } => 0.001 * float(self.windows[window]),
        }
    }

    fn loss(&self, serving: Serving, period: usize) -> f64 {
        self.rows[period] * self.mean(serving, period)
    }

    fn loss_until(&self, _: Serving, _: usize, _: Serving) -> f64 {
        0.0
    }

    fn seen(&self, version: Serving, period: usize) -> Option<f64> {
        Some(self.mean(version, period))
    }

    fn observe(&self, serving: Serving, period: usize, _: Look) -> Observation {
        let mean = self.mean(serving, period);
        let moved = (self.concept[period] - self.known(serving)).abs();
        let trained = match serving {
            Serving::First => 0,
            Serving::Trained { period, .. } => period,
        };
        let rows = self.rows[trained..=period].iter().sum::<f64>();
        let alarm = self.floor + 0.08 < mean;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a few rows")]
        let whole = |rows: f64| rows as u64;
        Observation {
            at: Timestamp(i64::try_from(period + 1).unwrap() * 604_800_000),
            champion: VersionId(0),
            rows: whole(self.rows[period]),
            available_since_cut: whole(rows),
            drift: Some(moved.min(1.0)),
            loss: Some(Loss {
                mean,
                rows: whole(self.rows[period]),
                baseline: self.floor,
                alarm,
                e_value: 10.0,
            }),
            evidence: Evidence {
                alarms: Alarms { t_test: alarm, adwin: alarm, cusum: alarm },
                smallest_p: Some(1e-9),
                guess: Some(0.69),
                run_cpu_hours: Some(self.cpu_hours(serving).max(0.001)),
                ..Evidence::default()
            },
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "a few periods")]
pub(crate) fn float(value: usize) -> f64 {
    value as f64
}
