//! The comparison that trains in every period on everything available, with fixed rounds.

use std::sync::Arc;

use afresh_core::id::VersionId;
use afresh_core::time::Timestamp;
use afresh_engine::workshop::{Error, Workshop};

/// One training: when, and what it cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Trained {
    pub(super) version: VersionId,
    pub(super) cpu_seconds: f64,
}

/// Trains one version at each of `times`; version 1 is the first of them. A time at which nothing
/// can be trained (no available row, one class) gives none.
pub(super) async fn train(
    rival: Arc<Workshop>,
    times: Vec<Timestamp>,
    rounds: usize,
) -> Result<Vec<Option<Trained>>, Error> {
    let mut trained = Vec::with_capacity(times.len());
    for (number, at) in (1..).zip(times) {
        let version = VersionId(number);
        trained.push(match rival.train_on_everything(version, at, rounds).await {
            Ok(artifact) => Some(Trained { version, cpu_seconds: artifact.manifest().cpu_seconds }),
            Err(Error::Training { source, .. })
                if source.retry() == afresh_train::error::Retry::Permanent =>
            {
                None
            }
            Err(error) => return Err(error),
        });
    }
    Ok(trained)
}
