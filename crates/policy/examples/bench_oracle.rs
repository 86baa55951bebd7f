//! Hindsight over a made-up matrix of 1,000 periods and 4 windows: seconds and the optimum, as JSON. `cargo xtask bench oracle`
//! runs it beside `retrainopt` on the same matrix.
#![expect(
    clippy::print_stdout,
    clippy::disallowed_methods,
    reason = "a measurement looks at the clock and tells what it found"
)]

use std::time::Instant;

use afresh_policy::oracle::{self, Hindsight, Serving};

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

/// The linear congruential generator that the script repeats bit for bit.
struct Draws(u64);

impl Draws {
    #[expect(clippy::cast_precision_loss, reason = "53 bits")]
    fn next(&mut self) -> f64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 11) as f64 / (1_u64 << 53) as f64
    }
}

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

fn main() -> Result<(), oracle::WrongPrice> {
    let matrix = matrix(11, 1_000, 4);
    let started = Instant::now();
    let plan = oracle::best(&matrix)?;
    let seconds = started.elapsed().as_secs_f64();
    println!("{{\"seconds\": {seconds}, \"cost\": {:?}, \"runs\": {}}}", plan.cost, plan.runs());
    Ok(())
}
