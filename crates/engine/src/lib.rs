//! The shell around the core: ports, the loop and workers. Owns no rule of its own.
//!
//! **Absent:** thresholds and verdicts (core), measures (ml), formats (data, train), databases
//! (store). It fetches, asks, stores.

pub mod port;
pub mod machine;
pub mod settings;
pub mod feed;
pub mod workshop;
pub mod monitor;
pub mod pointer;
pub mod clock;
pub mod driver;
pub mod look;

mod shared;
