//! The binary: reads the command line and wires the house together. Owns no rule of its own.

mod command;
mod fault;
mod output;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    command::run(arguments)
}
