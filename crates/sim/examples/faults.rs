//! Simulates faults from seed 0 on and prints what occurred: `faults [SEEDS]`, 1,000 by default.
#![expect(clippy::print_stdout, clippy::print_stderr, reason = "prints its findings")]

use std::process::ExitCode;

use afresh_sim::faults::{Policies, Summary, simulate};

fn main() -> ExitCode {
    let seeds = match std::env::args().nth(1).map(|seeds| seeds.parse::<u64>()) {
        None => 1_000,
        Some(Ok(seeds)) => seeds,
        Some(Err(cause)) => {
            eprintln!("the number of seeds cannot be read ({cause}): write for example `5000`");
            return ExitCode::from(2);
        }
    };
    let policies = Policies::new();
    let mut total = Summary::default();
    for seed in 0..seeds {
        match simulate(seed, &policies) {
            Ok(summary) => total.add(&summary),
            Err(violation) => {
                println!("{violation}");
                return ExitCode::FAILURE;
            }
        }
    }
    println!("{total}");
    ExitCode::SUCCESS
}
