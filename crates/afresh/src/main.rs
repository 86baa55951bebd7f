//! The binary: reads the command line and wires the house together.

fn main() {}
