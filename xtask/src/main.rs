//! Tasks around the project, one file per command; none of them is needed to use it.
#![expect(clippy::print_stdout, reason = "tasks talk to whoever runs them")]

mod bench;
mod ci;
mod examples;
mod house;
mod mutants;
mod services_test;
mod tidy;

use std::process::ExitCode;

use anyhow::Result;

/// A task: its name, its arguments in words, what it does.
struct Task {
    name: &'static str,
    arguments: &'static str,
    what: &'static str,
    run: fn(&[String]) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "ci",
        arguments: "[--tested]",
        what: "format, clippy, tests (unless --tested), tidiness, mutants",
        run: ci::run,
    },
    Task { name: "tidy", arguments: "", what: "rules that no compiler knows", run: tidy::run },
    Task {
        name: "mutants",
        arguments: "[NAME]",
        what: "breaks the core on purpose; every mutant must be found",
        run: mutants::run,
    },
    Task {
        name: "bench",
        arguments: "decide | drift [--no-evidently] [--no-large] | advise [--no-peer] [--no-csv] | \
                    train [--no-forest] [--no-real] | oracle",
        what: "measures, beside peers where there are any",
        run: bench::run,
    },
    Task {
        name: "flights",
        arguments: "",
        what: "replays the demonstration and checks what it promises",
        run: examples::flights,
    },
    Task {
        name: "hotel",
        arguments: "--data PATH",
        what: "replays the example with late labels; its data is not in the repository",
        run: examples::hotel,
    },
    Task {
        name: "services-test",
        arguments: "[AREA...]",
        what: "tests against real servers and Python libraries",
        run: services_test::run,
    },
];

fn main() -> ExitCode {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let task = arguments.first().and_then(|name| TASKS.iter().find(|task| task.name == *name));
    let Some(task) = task else {
        println!("cargo xtask TASK");
        for task in TASKS {
            println!("  {:<28} {}", format!("{} {}", task.name, task.arguments), task.what);
        }
        return ExitCode::from(2);
    };
    match (task.run)(&arguments[1..]) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            println!("{} failed: {error:#}", task.name);
            ExitCode::FAILURE
        }
    }
}
