//! The serving side of a replay: a line of deployments in virtual time.

use afresh_core::id::VersionId;
use afresh_core::model::Deployment;
use afresh_core::time::Timestamp;

/// What answered from when on, oldest first.
#[derive(Clone, Debug, Default)]
pub(super) struct VirtualServing {
    deployments: Vec<(Timestamp, Deployment)>,
}

impl VirtualServing {
    /// Takes a deployment unless a newer one came first.
    pub(super) fn serve(&mut self, at: Timestamp, deployment: Deployment) -> bool {
        if let Some((_, last)) = self.deployments.last() {
            if deployment.fence < last.fence {
                return false;
            }
            if deployment == *last {
                return true;
            }
        }
        self.deployments.push((at, deployment));
        true
    }

    /// What answers now.
    pub(super) fn current(&self) -> Option<Deployment> {
        self.deployments.last().map(|(_, deployment)| *deployment)
    }

    /// Since when.
    pub(super) fn since(&self) -> Option<Timestamp> {
        self.deployments.last().map(|(at, _)| *at)
    }

    /// The version that answers an event of this key at this time. The first deployment also
    /// answers what came before it: it was trained before history began.
    pub(super) fn version_for(&self, key: u64, at: Timestamp) -> Option<VersionId> {
        let after = self.deployments.partition_point(|(from, _)| *from <= at);
        let (_, deployment) = self.deployments.get(after.saturating_sub(1))?;
        match deployment.canary {
            // Sticky: the same key is answered by the same side.
            Some(canary) if key % 100 < u64::from(canary.percent) => Some(canary.version),
            Some(_) | None => deployment.version,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use afresh_core::id::Fence;
    use afresh_core::model::Canary;

    #[test]
    fn canary_answers_its_share_and_late_fences_nothing() {
        let mut serving = VirtualServing::default();
        let of = |fence, version, canary| Deployment {
            fence: Fence(fence),
            version: Some(VersionId(version)),
            canary,
        };
        assert!(serving.serve(Timestamp(10), of(1, 1, None)));
        let canary = Some(Canary { version: VersionId(2), percent: 25 });
        assert!(serving.serve(Timestamp(20), of(2, 1, canary)));
        assert!(!serving.serve(Timestamp(30), of(1, 1, None)));
        let answered = |at| {
            let by = |key: &u64| serving.version_for(*key, Timestamp(at));
            (0..100).filter(|key| by(key) == Some(VersionId(2))).count()
        };
        assert_eq!((answered(19), answered(20)), (0, 25));
        assert_eq!(serving.version_for(0, Timestamp(5)), Some(VersionId(1)));
    }
}
