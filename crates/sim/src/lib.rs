//! Virtual time around the same core and engine: replay and faults.
pub mod backtest;
pub mod faults;
pub mod replay;
