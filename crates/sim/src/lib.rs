//! Virtual time around the same core and engine: replay and faults.
