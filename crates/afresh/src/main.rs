//! The binary: reads the command line and wires the house together. Owns no rule of its own.

#![expect(unreachable_pub, reason = "a binary has no outside: `pub` says what a module offers")]

mod command;
mod fault;
mod live;
mod moment;
mod output;
mod wiring;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    let arguments = command::Arguments::parse();
    command::run(arguments)
}
