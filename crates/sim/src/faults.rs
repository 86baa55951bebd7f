//! The real core in a simulated world of faults: late, lost and doubled answers, hung steps,
//! crashes that keep only the logs, clocks that jump, people and policies that change their mind;
//! then calm, in which everything must come to rest. Depends on the core alone.

mod chance;
mod checks;
mod policies;
mod site;
mod summary;
mod weather;
mod workers;
mod world;

use std::fmt;

use afresh_core::invariant::Broken;

pub use policies::Policies;
pub use summary::Summary;

/// What a seed showed to be wrong.
#[derive(Clone, Debug, PartialEq)]
pub struct Violation {
    /// The seed that shows it again.
    pub seed: u64,
    /// Inputs given before.
    pub inputs: u64,
    /// The predicate that does not hold.
    pub broken: Broken,
}

/// Lives through `seed`: some weeks of faults over several models, then calm.
///
/// # Errors
/// The first invariant that did not hold.
pub fn simulate(seed: u64, policies: &Policies) -> Result<Summary, Violation> {
    let mut world = world::World::new(seed, policies);
    match world.live() {
        Ok(()) => Ok(world.into_summary()),
        Err(broken) => Err(Violation { seed, inputs: world.inputs(), broken }),
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {}, after {} inputs: {}", self.seed, self.inputs, self.broken)
    }
}

impl std::error::Error for Violation {}

#[cfg(test)]
mod tests;
