//! The Store port: SQLite on disk, and memory for what need not survive.
//!
//! **Absent:** rules. What a fact means is folded by `core`; this crate keeps it, whole or not at
//! all, and finds it again.

pub mod memory;
pub mod sqlite;

mod coalesce;
mod projection;
mod stored;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
#[cfg(test)]
mod golden_tests;
