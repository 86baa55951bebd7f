//! Trainers, scorers and the artifact format. Never decides when to train or what to ship.

pub mod artifact;
mod attempt;
mod boosted;
pub mod child;
mod command;
#[cfg(test)]
mod conformance;
pub mod dataset;
pub mod domain;
pub mod encoding;
#[cfg(test)]
mod engine_tests;
pub mod error;
pub mod exchange;
mod fit;
pub mod forest;
mod learner;
mod library;
pub mod linear;
mod linear_design;
mod linear_fit;
mod linear_solver;
mod onnx;
mod output;
mod parameters;
mod predict;
mod process;
mod profiled;
pub mod recipe;
pub mod scorer;
mod secret;
pub mod shelf;
#[cfg(test)]
mod shelf_tests;
mod siblings;
pub mod step;
mod system;
#[cfg(test)]
mod testing;
pub mod trainer;
mod tree;
pub mod worker;

pub use learner::{Format, TreePredictions};
