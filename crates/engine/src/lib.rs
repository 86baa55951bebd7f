//! The shell around the core: ports, the loop and workers. Owns no rule of its own.
//!
//! **Absent:** thresholds and verdicts (core), measures (ml), formats (data, train), databases
//! (store). It fetches, asks, stores.

pub mod clock;
pub mod driver;
pub mod feed;
pub mod look;
pub mod machine;
pub mod monitor;
pub mod pointer;
pub mod port;
pub mod saving;
pub mod settings;
pub mod workshop;

mod shared;
