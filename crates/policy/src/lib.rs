//! What to advise for one model, from one observation per period, and what hindsight would have done.
//!
//! **Absent:** I/O, clocks, row-level detectors (those belong to the monitor), and the owner's
//! limits such as cooldown and blackout (those belong to the core). A policy's state is a fold of
//! its observations, so live, replay and backtest give the same advice for the same history.

pub mod adviser;
pub mod history;
pub mod observation;
pub mod oracle;
pub mod prices;
pub mod rule;
pub mod settings;
#[cfg(test)]
mod tests;
