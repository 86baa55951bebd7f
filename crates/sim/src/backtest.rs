//! Which policy pays: many policies over the same history, beside the best that hindsight allows.
//!
//! Every version that could have been is trained once (`past`); policies then walk through them
//! (`walk`) and compete (`contest`). No policy sees ahead: it decides at the beginning of a period
//! from what was available by then.

pub mod contest;
pub mod family;
pub mod past;
pub mod walk;
pub mod world;
