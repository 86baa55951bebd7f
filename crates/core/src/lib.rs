//! The pure decision core: facts fold into state, state says what work is owed.
//!
//! **Absent:** I/O, clocks, threads, randomness, hash maps, any other crate of this house. Time,
//! data and answers arrive as [`input::Input`]; what should happen outside is read from
//! [`model::Model::outstanding`]. The same code runs live, in replay and in the fault simulator.

pub mod blackout;
pub mod cadence;
pub mod decide;
pub mod decision;
pub mod event;
pub mod fleet;
pub mod gate;
pub mod history;
pub mod id;
pub mod input;
pub mod invariant;
pub mod model;
pub mod policy;
pub mod reason;
pub mod signal;
pub mod time;
