//! `afresh.toml`: read, checked, described to editors, and started for a newcomer.
//!
//! running anything. Text becomes the checked types of the crates below, or problems that all name
//! their place and what to write instead.

pub mod apply;
pub mod config;
pub mod problem;
pub mod starter;

mod check;
mod choice;
mod key;
mod rule;
mod schema;
mod section;
mod value;
mod variable;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use problem::{Error, Problem, Problems};
pub use schema::schema;
pub use starter::starter;
