//! What each phase says of itself.

use super::Phase;
use crate::event::{Run, Stage};
use crate::id::VersionId;

impl Phase {
    /// The run under way.
    #[must_use]
    pub fn run(&self) -> Option<Run> {
        match self {
            Phase::Idle { .. } | Phase::Overriding { .. } => None,
            Phase::Queued { run, .. }
            | Phase::Working { run, .. }
            | Phase::Backoff { run, .. }
            | Phase::Waiting { run, .. }
            | Phase::AwaitingApproval { run, .. }
            | Phase::Held { run, .. }
            | Phase::Deploying { run, .. }
            | Phase::Holding { run, .. }
            | Phase::Probation { run, .. }
            | Phase::RollingBack { run } => Some(*run),
        }
    }

    /// The step that computes, or waits to, and its attempt.
    #[must_use]
    pub fn stage(&self) -> Option<(&Stage, u32)> {
        match self {
            Phase::Queued { stage, attempt, .. }
            | Phase::Working { stage, attempt, .. }
            | Phase::Backoff { stage, attempt, .. } => Some((stage, *attempt)),
            Phase::Idle { .. }
            | Phase::Waiting { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Held { .. }
            | Phase::Deploying { .. }
            | Phase::Holding { .. }
            | Phase::Probation { .. }
            | Phase::RollingBack { .. }
            | Phase::Overriding { .. } => None,
        }
    }

    /// The candidate that is or was about to serve.
    #[must_use]
    pub fn candidate(&self) -> Option<VersionId> {
        match self {
            Phase::Waiting { candidate, .. }
            | Phase::AwaitingApproval { candidate, .. }
            | Phase::Held { candidate, .. }
            | Phase::Deploying { candidate, .. }
            | Phase::Holding { candidate, .. }
            | Phase::Probation { candidate, .. } => Some(*candidate),
            Phase::Idle { .. }
            | Phase::Queued { .. }
            | Phase::Working { .. }
            | Phase::Backoff { .. }
            | Phase::RollingBack { .. }
            | Phase::Overriding { .. } => None,
        }
    }

    /// The word used in listings.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Phase::Idle { .. } => "idle",
            Phase::Queued { .. } => "queued",
            Phase::Working { stage, .. } => stage.name(),
            Phase::Backoff { .. } => "retrying",
            Phase::Waiting { .. } => "waiting",
            Phase::AwaitingApproval { .. } => "awaiting_approval",
            Phase::Held { .. } => "held",
            Phase::Deploying { .. } | Phase::Holding { .. } => "rolling_out",
            Phase::Probation { .. } => "probation",
            Phase::RollingBack { .. } => "rolling_back",
            Phase::Overriding { .. } => "overriding",
        }
    }
}
