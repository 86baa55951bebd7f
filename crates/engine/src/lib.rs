//! The shell around the core: ports, the loop and workers. Owns no rule of its own.

pub mod port;
