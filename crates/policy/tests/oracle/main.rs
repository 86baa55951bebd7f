//! The oracle beside `retrainopt` 0.4.2: the same optimum on the same generated matrices. What it
//! printed stands in `optima.json`; `optima.py` prints it again.

#![expect(clippy::unwrap_used, reason = "tests may panic")]

use afresh_policy::oracle::{self, Choice, Hindsight, Serving};
use serde::Deserialize;

#[derive(Deserialize)]
struct Optima {
    cases: Vec<Case>,
}

#[derive(Deserialize)]
struct Case {
    seed: u64,
    periods: usize,
    windows: usize,
    cost: f64,
    /// By period: 0 keeps, else the window, counted from 1.
    schedule: Vec<usize>,
}

struct Matrix {
    periods: usize,
    windows: usize,
    first: Vec<f64>,
    /// By period of the training and window: its price and the losses from there on.
    trained: Vec<(f64, Vec<f64>)>,
}

impl Hindsight for Matrix {
    fn periods(&self) -> usize {
        self.periods
    }

    fn windows(&self) -> usize {
        self.windows
    }

    fn keep(&self, serving: Serving, period: usize) -> f64 {
        match serving {
            Serving::First => self.first[period],
            Serving::Trained { period: trained, window } => {
                self.trained[trained * self.windows + window].1[period - trained]
            }
        }
    }

    fn retrain(&self, _: Serving, period: usize, window: usize) -> Option<f64> {
        let (price, losses) = &self.trained[period * self.windows + window];
        Some(price + losses[0])
    }
}

struct Draws(u64);

impl Draws {
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

/// The matrix of `optima.py`, draw by draw.
#[expect(clippy::cast_precision_loss, reason = "a few periods")]
fn matrix(seed: u64, periods: usize, windows: usize) -> Matrix {
    let mut draws = Draws(seed);
    let run = 0.1 + 4.0 * draws.next();
    let first = (0..periods).map(|t| 1.0 + draws.next() + 0.05 * t as f64).collect();
    let mut trained = Vec::new();
    for start in 0..periods {
        for _ in 0..windows {
            let price = run * (0.5 + draws.next());
            let level = 0.5 + draws.next();
            let losses =
                (start..periods).map(|t| level + 0.1 * (t - start) as f64 * draws.next()).collect();
            trained.push((price, losses));
        }
    }
    Matrix { periods, windows, first, trained }
}

/// Every schedule there is.
fn cheapest_by_trying(matrix: &Matrix, runs: usize) -> f64 {
    let options = matrix.windows + 1;
    let count = options.pow(u32::try_from(matrix.periods).unwrap());
    let mut cheapest = f64::INFINITY;
    for mut code in 0..count {
        let mut choices = Vec::new();
        for _ in 0..matrix.periods {
            choices.push(match code % options {
                0 => Choice::Keep,
                window => Choice::Retrain { window: window - 1 },
            });
            code /= options;
        }
        if choices.iter().filter(|choice| **choice != Choice::Keep).count() <= runs {
            cheapest = cheapest.min(oracle::cost_of(matrix, &choices).unwrap());
        }
    }
    cheapest
}

#[test]
fn optimum_is_that_of_retrainopt() {
    let optima: Optima = serde_json::from_str(include_str!("optima.json")).unwrap();
    assert_eq!(optima.cases.len(), 10);
    for case in optima.cases {
        let matrix = matrix(case.seed, case.periods, case.windows);
        let plan = oracle::best(&matrix).unwrap();
        let off = (plan.cost - case.cost).abs() / case.cost;
        assert!(off < 1e-12, "seed {}: {} against {}", case.seed, plan.cost, case.cost);
        let schedule = plan.choices.iter().map(|choice| match choice {
            Choice::Keep => 0,
            Choice::Retrain { window } => window + 1,
        });
        assert_eq!(schedule.collect::<Vec<_>>(), case.schedule, "seed {}", case.seed);
        let again = oracle::cost_of(&matrix, &plan.choices).unwrap();
        assert!((again - plan.cost).abs() / plan.cost < 1e-12);
    }
}

#[test]
fn no_schedule_is_cheaper_within_a_number_of_runs() {
    for (seed, periods, windows) in [(21, 6, 2), (22, 7, 1), (23, 5, 3)] {
        let matrix = matrix(seed, periods, windows);
        for runs in 0..=periods {
            let plan = oracle::best_within(&matrix, runs).unwrap();
            assert!(plan.runs() <= runs);
            let tried = cheapest_by_trying(&matrix, runs);
            assert!((plan.cost - tried).abs() < 1e-9, "seed {seed}, {runs} runs: {plan:?} {tried}");
        }
    }
}

/// A training takes time: until it is done the old version serves, so that what serves matters to
/// the price of a retraining.
struct Slow(Matrix);

impl Hindsight for Slow {
    fn periods(&self) -> usize {
        self.0.periods
    }

    fn windows(&self) -> usize {
        self.0.windows
    }

    fn keep(&self, serving: Serving, period: usize) -> f64 {
        self.0.keep(serving, period)
    }

    fn retrain(&self, serving: Serving, period: usize, window: usize) -> Option<f64> {
        // The widest window cannot be trained in the first period.
        if period == 0 && window + 1 == self.0.windows {
            return None;
        }
        let (price, losses) = &self.0.trained[period * self.0.windows + window];
        Some(price + 0.4 * self.0.keep(serving, period) + 0.6 * losses[0])
    }
}

#[test]
fn time_until_a_version_serves_and_failed_trainings_are_counted() {
    let slow = Slow(matrix(31, 6, 2));
    let plan = oracle::best(&slow).unwrap();
    let mut cheapest = f64::INFINITY;
    for mut code in 0..3_usize.pow(6) {
        let mut choices = Vec::new();
        for _ in 0..6 {
            choices.push(match code % 3 {
                0 => Choice::Keep,
                window => Choice::Retrain { window: window - 1 },
            });
            code /= 3;
        }
        cheapest = cheapest.min(oracle::cost_of(&slow, &choices).unwrap());
    }
    assert!((plan.cost - cheapest).abs() < 1e-12, "{plan:?} {cheapest}");
    assert!(plan.choices[0] != Choice::Retrain { window: 1 });
}

#[test]
fn price_below_zero_is_refused_with_its_period() {
    let mut matrix = matrix(41, 4, 1);
    matrix.first[2] = -1.0;
    let error = oracle::best(&matrix).unwrap_err().to_string();
    assert_eq!(error, "period 2 costs -1: a cost is a number of at least 0");
    matrix.first[2] = f64::NAN;
    assert!(oracle::best(&matrix).is_err());
}

#[test]
fn no_period_costs_nothing() {
    let plan = oracle::best(&matrix(1, 0, 2)).unwrap();
    assert_eq!(plan.choices, []);
    assert!(plan.cost.abs() <= 0.0);
}
