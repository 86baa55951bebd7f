//! Everything that must hold before a change goes in.

use std::time::Instant;

use anyhow::{Result, bail};

use crate::{house, mutants, tidy};

/// A name and what it checks.
type Step = (&'static str, fn() -> Result<()>);

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    let tested = match arguments {
        [] => false,
        [only] if only == "--tested" => true,
        other => bail!("`{}` means nothing here: write `--tested` or nothing", other.join(" ")),
    };
    let mut steps: Vec<Step> = vec![
        ("format", || house::run_cargo(&["fmt", "--all", "--check"])),
        ("tidy", || tidy::run(&[])),
        ("clippy", || {
            let lint = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
            house::run_cargo(&lint)
        }),
    ];
    if !tested {
        steps.push(("tests", || house::run_cargo(&["test", "--workspace"])));
    }
    steps.push(("mutants", || mutants::run(&[])));
    for (name, step) in steps {
        println!("== {name}");
        let started = Instant::now();
        step()?;
        println!("== {name}: good, {} s", started.elapsed().as_secs());
    }
    Ok(())
}
