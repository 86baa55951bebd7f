//! Tasks around the project: tidy checks, continuous integration, mutants, benches.

fn main() {}
