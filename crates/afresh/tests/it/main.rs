//! The real binary, as a user runs it, on small data in directories of their own.

#![expect(clippy::unwrap_used, clippy::panic, reason = "a test ends where something is wrong")]
#![expect(unreachable_pub, reason = "a test has no outside")]

mod project;

mod advise;
mod backtest;
mod bad_input;
mod decay;
mod drift;
mod examples;
mod journey;
mod killed;
mod sharing;
mod windows;
