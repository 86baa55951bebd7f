//! Measurements; none of them is a test, because a timed test fails on a busy machine.

mod advise;
mod drift;
mod oracle;
mod train;

use anyhow::{Result, bail};

use crate::house;

pub(crate) fn run(arguments: &[String]) -> Result<()> {
    match arguments {
        [what] if what == "decide" => house::run_cargo(&[
            "run",
            "--quiet",
            "--release",
            "--package",
            "afresh-core",
            "--example",
            "bench_decide",
        ]),
        [what, options @ ..] if what == "drift" => drift::run(options),
        [what, options @ ..] if what == "advise" => advise::run(options),
        [what, options @ ..] if what == "train" => train::run(options),
        [what, options @ ..] if what == "oracle" => oracle::run(options),
        other => bail!(
            "`{}` cannot be measured: write `decide`, `drift`, `advise`, `train` or `oracle`",
            other.join(" ")
        ),
    }
}
