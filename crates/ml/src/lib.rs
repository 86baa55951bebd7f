//! Pure measures: drift, metrics, comparison of two models. No I/O, no clock, no threads.

pub mod compare;
pub mod decay;
pub mod drift;
pub mod metrics;
pub mod profile;
pub mod rng;
mod special;
