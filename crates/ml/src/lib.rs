//! Pure measures: drift, metrics, comparison of two models. No I/O, no clock, no threads.

pub mod drift;
pub mod profile;
mod special;
