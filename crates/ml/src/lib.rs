//! Pure measures: drift, metrics, comparison of two models, decay, calibration. No I/O, no clock, no threads.

pub mod advice;
pub mod calibrate;
pub mod compare;
pub mod decay;
pub mod drift;
pub mod estimate;
pub mod metrics;
pub mod profile;
pub mod rng;
mod special;
