//! One model under management: the fold of its events, and the work that this state owes.

#![expect(
    clippy::wildcard_enum_match_arm,
    reason = "a fact that does not fit its phase changes nothing"
)]

mod phase;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::blackout::first_free;
use crate::event::{Event, Run, Stage};
use crate::fleet::{FleetEvent, Owed};
use crate::gate;
use crate::id::{DatasetId, Fence, ModelName, PolicyHash, RunId, VersionId};
use crate::policy::{CatchUp, Policy};
use crate::signal::{Priority, Strategy};
use crate::time::Timestamp;

/// A model's state. Equal logs give equal states.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Model {
    pub(crate) name: ModelName,
    pub(crate) champion: Option<VersionId>,
    pub(crate) phase: Phase,
    pub(crate) next_run: RunId,
    pub(crate) next_version: VersionId,
    pub(crate) fence: Fence,
    pub(crate) standings: BTreeMap<VersionId, Standing>,
    pub(crate) policy: Option<PolicyHash>,
    pub(crate) schedule: ScheduleState,
    /// CPU seconds of the run under way since it took its slots.
    pub(crate) spent_cpu_seconds: f64,
    /// CPU seconds that late answers reported while no slots were held; charged with the next.
    pub(crate) late_cpu_seconds: f64,
    pub(crate) last: Timestamp,
}

/// Where a model stands. Each phase holds exactly what that phase needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Watching.
    Idle { not_before: Timestamp },
    /// A step waits for slots.
    Queued { run: Run, stage: Stage, attempt: u32, since: Timestamp },
    /// A step computes.
    Working { run: Run, stage: Stage, attempt: u32, since: Timestamp, deadline: Timestamp },
    /// A failed step waits to be repeated.
    Backoff { run: Run, stage: Stage, attempt: u32, retry_at: Timestamp },
    /// An inconclusive candidate waits to be judged again.
    Waiting {
        run: Run,
        dataset: DatasetId,
        candidate: VersionId,
        judgement: u32,
        rejudge_at: Timestamp,
    },
    /// A passed candidate waits for a person.
    AwaitingApproval { run: Run, candidate: VersionId },
    /// A passed candidate waits for the end of a blackout.
    Held { run: Run, candidate: VersionId, until: Timestamp },
    /// The serving side should give the candidate `percent` of the traffic.
    Deploying { run: Run, candidate: VersionId, step: usize, percent: u8, deadline: Timestamp },
    /// It does, and the step lasts until `until`.
    Holding { run: Run, candidate: VersionId, step: usize, percent: u8, until: Timestamp },
    /// The candidate answers everything and is watched.
    Probation {
        run: Run,
        candidate: VersionId,
        earliest: Timestamp,
        latest: Timestamp,
        labels_needed: u64,
        labels: u64,
    },
    /// The serving side should take the champion back.
    RollingBack { run: Run },
    /// The serving side should take what a person chose.
    Overriding { to: VersionId, not_before: Timestamp },
}

/// What the gate said of a version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// Not judged, or inconclusively.
    Unproven,
    /// It passed.
    Passed,
    /// It is the refit of a version that passed.
    Refit { parent: VersionId },
    /// It was rejected.
    Rejected,
}

/// How far the schedule is dealt with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleState {
    /// Times up to here are dealt with; `None` before the first look.
    pub handled: Option<Timestamp>,
    /// Runs that are due and not started.
    pub pending: u32,
    /// Whether the last scheduled run broke and no run has ended well since.
    pub broken: bool,
}

/// Work the outside owes. Idempotent by its key; safe to start twice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Action {
    /// Choose rows that are available before `as_of`.
    Prepare {
        run: RunId,
        attempt: u32,
        strategy: Strategy,
        champion: Option<VersionId>,
        as_of: Timestamp,
    },
    /// Train `candidate`, continuing `warm_start` where there is one.
    Train {
        run: RunId,
        attempt: u32,
        dataset: DatasetId,
        candidate: VersionId,
        warm_start: Option<VersionId>,
    },
    /// Compare `candidate` with `champion` on rows available before `as_of`.
    Judge {
        run: RunId,
        attempt: u32,
        dataset: DatasetId,
        candidate: VersionId,
        champion: Option<VersionId>,
        judgement: u32,
        as_of: Timestamp,
    },
    /// Train `parent`'s recipe on all rows as `candidate`, and check it.
    Refit {
        run: RunId,
        attempt: u32,
        dataset: DatasetId,
        parent: VersionId,
        candidate: VersionId,
        warm_start: Option<VersionId>,
    },
    /// Make this serve.
    Serve(Deployment),
}

/// What should answer. The serving side refuses a fence lower than the last it took.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Deployment {
    /// Orders deployments.
    pub fence: Fence,
    /// Answers what the canary does not; `None`: nothing serves.
    pub version: Option<VersionId>,
    /// A candidate beside it.
    pub canary: Option<Canary>,
}

/// A candidate that answers a share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Canary {
    /// The candidate.
    pub version: VersionId,
    /// Its share, 0 (shadow: it answers, but nobody hears) to 99.
    pub percent: u8,
}

impl Model {
    /// A model of which nothing is known.
    #[must_use]
    pub fn new(name: ModelName) -> Model {
        Model {
            name,
            champion: None,
            phase: Phase::Idle { not_before: Timestamp::MIN },
            next_run: RunId(1),
            next_version: VersionId(1),
            fence: Fence(0),
            standings: BTreeMap::new(),
            policy: None,
            schedule: ScheduleState::default(),
            spent_cpu_seconds: 0.0,
            late_cpu_seconds: 0.0,
            last: Timestamp::MIN,
        }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        &self.name
    }

    /// The version to fall back to.
    #[must_use]
    pub fn champion(&self) -> Option<VersionId> {
        self.champion
    }

    /// Where it stands.
    #[must_use]
    pub fn phase(&self) -> &Phase {
        &self.phase
    }

    /// The hash of the rules that it last obeyed.
    #[must_use]
    pub fn policy(&self) -> Option<PolicyHash> {
        self.policy
    }

    /// The last deployment's number.
    #[must_use]
    pub fn fence(&self) -> Fence {
        self.fence
    }

    /// What the gate said of each version.
    #[must_use]
    pub fn standings(&self) -> &BTreeMap<VersionId, Standing> {
        &self.standings
    }

    /// How far the schedule is dealt with.
    #[must_use]
    pub fn schedule(&self) -> ScheduleState {
        self.schedule
    }

    /// When the last fact became true.
    #[must_use]
    pub fn last(&self) -> Timestamp {
        self.last
    }

    /// Whether `version` may serve without a person's override.
    #[must_use]
    pub fn has_passed(&self, version: VersionId) -> bool {
        match self.standings.get(&version) {
            Some(Standing::Passed) => true,
            Some(Standing::Refit { parent }) => {
                self.standings.get(parent) == Some(&Standing::Passed)
            }
            Some(Standing::Unproven | Standing::Rejected) | None => false,
        }
    }

    /// Folds one fact in. Total: every event in a log was decided by [`Model::decide`]. Reads no
    /// clock and no policy.
    pub fn apply(&mut self, at: Timestamp, event: &Event) {
        self.last = self.last.max(at);
        self.note(event);
        let run = self.phase.run();
        self.phase = match (event, run) {
            (Event::RunQueued { run, .. }, _) => {
                Phase::Queued { run: *run, stage: Stage::Prepare, attempt: 0, since: at }
            }
            (Event::StageQueued { stage, attempt, .. }, Some(run)) => {
                Phase::Queued { run, stage: stage.clone(), attempt: *attempt, since: at }
            }
            (Event::StageStarted { stage, attempt, deadline, .. }, Some(run)) => Phase::Working {
                run,
                stage: stage.clone(),
                attempt: *attempt,
                since: at,
                deadline: *deadline,
            },
            (Event::StageFailed { retry_at, .. }, Some(run)) => match self.phase.stage() {
                Some((stage, attempt)) => Phase::Backoff {
                    run,
                    stage: stage.clone(),
                    attempt: attempt + 1,
                    retry_at: *retry_at,
                },
                None => return,
            },
            (Event::RunPreempted { .. }, Some(run)) => match self.phase.stage() {
                Some((stage, attempt)) => {
                    Phase::Queued { run, stage: stage.clone(), attempt, since: at }
                }
                None => return,
            },
            (Event::RunMadeFull { .. }, Some(run)) => {
                let run = Run { strategy: run.cause.strategy(), ..run };
                Phase::Queued { run, stage: Stage::Prepare, attempt: 0, since: at }
            }
            (Event::CandidateWaits { rejudge_at, .. }, Some(run)) => match self.phase.stage() {
                Some((Stage::Judge { dataset, candidate, judgement }, _)) => Phase::Waiting {
                    run,
                    dataset: dataset.clone(),
                    candidate: *candidate,
                    judgement: judgement + 1,
                    rejudge_at: *rejudge_at,
                },
                Some(_) | None => return,
            },
            (Event::ApprovalAsked { candidate, .. }, Some(run)) => {
                Phase::AwaitingApproval { run, candidate: *candidate }
            }
            (Event::RolloutHeld { candidate, until, .. }, Some(run)) => {
                Phase::Held { run, candidate: *candidate, until: *until }
            }
            (Event::DeploymentStarted { candidate, step, percent, deadline, .. }, Some(run)) => {
                let (candidate, step, percent) = (*candidate, *step, *percent);
                Phase::Deploying { run, candidate, step, percent, deadline: *deadline }
            }
            (Event::DeploymentConfirmed { until, .. }, Some(run)) => match self.phase {
                Phase::Deploying { candidate, step, percent, .. } => {
                    Phase::Holding { run, candidate, step, percent, until: *until }
                }
                _ => return,
            },
            (Event::ProbationStarted { earliest, latest, labels_needed, .. }, Some(run)) => {
                let Some(candidate) = self.phase.candidate() else { return };
                Phase::Probation {
                    run,
                    candidate,
                    earliest: *earliest,
                    latest: *latest,
                    labels_needed: *labels_needed,
                    labels: 0,
                }
            }
            (Event::RollbackStarted { .. }, Some(run)) => Phase::RollingBack { run },
            (Event::RunEnded { outcome, not_before, .. }, _) => {
                if let (Phase::Probation { candidate, .. }, true) =
                    (&self.phase, outcome.promotes())
                {
                    self.champion = Some(*candidate);
                }
                Phase::Idle { not_before: *not_before }
            }
            (Event::OverrideStarted { to, .. }, _) => {
                // Whatever was cooling down goes on doing so.
                let not_before = match self.phase {
                    Phase::Idle { not_before } | Phase::Overriding { not_before, .. } => not_before,
                    _ => at,
                };
                Phase::Overriding { to: *to, not_before }
            }
            (Event::OverrideConfirmed { version }, _) => {
                self.champion = Some(*version);
                match self.phase {
                    Phase::Overriding { not_before, .. } => Phase::Idle { not_before },
                    _ => return,
                }
            }
            _ => return,
        };
    }

    /// The part of a fact that concerns everything but the phase.
    fn note(&mut self, event: &Event) {
        if let (Event::StageStarted { .. }, Phase::Queued { .. }) = (event, &self.phase) {
            self.spent_cpu_seconds = std::mem::take(&mut self.late_cpu_seconds);
        }
        match self.phase {
            Phase::Working { .. } => self.spent_cpu_seconds += event.cpu_seconds(),
            _ => self.late_cpu_seconds += event.cpu_seconds(),
        }
        match event {
            Event::PolicyChanged { hash } => self.policy = Some(*hash),
            Event::ScheduleAdvanced { handled, pending } => {
                self.schedule.handled = Some(*handled);
                self.schedule.pending = *pending;
            }
            Event::RunQueued { run, .. } => self.next_run = RunId(run.id.0 + 1),
            Event::StageStarted { stage, .. } | Event::StageQueued { stage, .. } => match stage {
                Stage::Train { candidate, .. } | Stage::Refit { candidate, .. } => {
                    self.next_version = self.next_version.max(VersionId(candidate.0 + 1));
                }
                Stage::Prepare | Stage::Judge { .. } => {}
            },
            Event::CandidateTrained { candidate, .. } => {
                self.standings.insert(*candidate, Standing::Unproven);
            }
            Event::CandidateJudged { candidate, verdict, .. } => {
                let standing = match verdict {
                    gate::Verdict::Pass => Standing::Passed,
                    gate::Verdict::Reject => Standing::Rejected,
                    gate::Verdict::Inconclusive => Standing::Unproven,
                };
                self.standings.insert(*candidate, standing);
            }
            Event::CandidateRefitted { parent, candidate, .. } => {
                self.standings.insert(*candidate, Standing::Refit { parent: *parent });
            }
            Event::DeploymentStarted { fence, .. } | Event::OverrideStarted { fence, .. } => {
                self.fence = *fence;
            }
            Event::RollbackStarted { fence, .. } => {
                self.fence = *fence;
                if let Some(candidate) = self.phase.candidate() {
                    self.standings.insert(candidate, Standing::Rejected);
                }
            }
            Event::ProbationWatched { labels: seen, .. } => {
                if let Phase::Probation { labels, .. } = &mut self.phase {
                    *labels = *seen;
                }
            }
            Event::RunEnded { outcome, .. } => {
                let scheduled =
                    self.phase.run().is_some_and(|run| run.cause.strategy() == Strategy::Scheduled);
                if !outcome.is_bad() {
                    self.schedule.broken = false;
                } else if scheduled {
                    self.schedule.broken = true;
                }
            }
            Event::StageFailed { .. }
            | Event::RunPreempted { .. }
            | Event::RunMadeFull { .. }
            | Event::DatasetPrepared { .. }
            | Event::CandidateWaits { .. }
            | Event::RefitDropped { .. }
            | Event::ApprovalAsked { .. }
            | Event::Approved { .. }
            | Event::RolloutHeld { .. }
            | Event::DeploymentConfirmed { .. }
            | Event::ProbationStarted { .. }
            | Event::OverrideConfirmed { .. } => {}
        }
    }

    /// Work that should be under way now. Read after every step and after every restart.
    #[must_use]
    pub fn outstanding(&self) -> Option<Action> {
        match &self.phase {
            Phase::Working { run, stage, attempt, since, .. } => {
                Some(self.compute(run, stage, *attempt, *since))
            }
            Phase::Deploying { candidate, percent, .. } => {
                Some(Action::Serve(self.deployment(*candidate, *percent)))
            }
            Phase::RollingBack { .. } => Some(Action::Serve(Deployment {
                fence: self.fence,
                version: self.champion,
                canary: None,
            })),
            Phase::Overriding { to, .. } => Some(Action::Serve(Deployment {
                fence: self.fence,
                version: Some(*to),
                canary: None,
            })),
            Phase::Idle { .. }
            | Phase::Queued { .. }
            | Phase::Backoff { .. }
            | Phase::Waiting { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::Held { .. }
            | Phase::Holding { .. }
            | Phase::Probation { .. } => None,
        }
    }

    /// Whether a run of this model holds slots of the fleet.
    #[must_use]
    pub fn holds_slots(&self) -> Option<RunId> {
        match &self.phase {
            Phase::Working { run, .. } => Some(run.id),
            _ => None,
        }
    }

    /// The fact for the fleet, where going from `before` to this state gave slots back.
    #[must_use]
    pub fn released_since(&self, before: &Model) -> Option<FleetEvent> {
        let run = before.holds_slots()?;
        if self.holds_slots() == Some(run) {
            return None;
        }
        let (model, cpu_seconds) = (self.name.clone(), self.spent_cpu_seconds);
        Some(FleetEvent::Released { model, run, cpu_seconds })
    }

    /// The run that wants slots, if one does.
    #[must_use]
    pub fn owed(&self, policy: &Policy) -> Option<Owed> {
        let Phase::Queued { run, since, .. } = &self.phase else { return None };
        Some(Owed {
            model: self.name.clone(),
            run: run.id,
            needs: policy.needs,
            priority: run.priority,
            since: *since,
            estimate_cpu_seconds: policy.estimate_cpu_seconds,
        })
    }

    /// When to send `Input::Tick` if nothing else happens first.
    #[must_use]
    pub fn next_wakeup(&self, policy: &Policy) -> Option<Timestamp> {
        let phase = match &self.phase {
            Phase::Working { deadline, .. } | Phase::Deploying { deadline, .. } => Some(*deadline),
            Phase::Backoff { retry_at, .. } => Some(*retry_at),
            Phase::Waiting { rejudge_at, .. } => Some(*rejudge_at),
            Phase::Held { until, .. } | Phase::Holding { until, .. } => Some(*until),
            Phase::Probation { earliest, latest, labels_needed, labels, .. } => {
                Some(if labels_needed <= labels { *earliest } else { *latest })
            }
            Phase::Idle { not_before } => self.pending_start(policy, *not_before),
            Phase::Queued { .. }
            | Phase::AwaitingApproval { .. }
            | Phase::RollingBack { .. }
            | Phase::Overriding { .. } => None,
        };
        let schedule = policy.schedule.as_ref().and_then(|schedule| {
            match self.schedule.handled {
                Some(handled) => schedule.cadence.next(handled, self.name.as_str()),
                // Nobody looked yet: at once.
                None => Some(self.last),
            }
        });
        phase.into_iter().chain(schedule).min()
    }

    /// When a run that the schedule still owes may start.
    fn pending_start(&self, policy: &Policy, not_before: Timestamp) -> Option<Timestamp> {
        let schedule = policy.schedule.as_ref()?;
        let waits = self.schedule.pending > 0
            && schedule.catch_up != CatchUp::Skip
            && policy.priority_min <= Priority::DEFAULT
            && !self.held_by_past(policy);
        let free = waits.then(|| first_free(&policy.blackouts, not_before.max(self.last)))?;
        // Where blackouts never end there is nothing to wake up for.
        (!policy.blackouts.iter().any(|blackout| blackout.covers(free))).then_some(free)
    }

    pub(crate) fn held_by_past(&self, policy: &Policy) -> bool {
        use crate::policy::DependsOnPast;
        self.schedule.broken
            && policy
                .schedule
                .as_ref()
                .is_some_and(|schedule| schedule.depends_on_past == DependsOnPast::Yes)
    }

    fn deployment(&self, candidate: VersionId, percent: u8) -> Deployment {
        let fence = self.fence;
        if percent >= 100 {
            return Deployment { fence, version: Some(candidate), canary: None };
        }
        let canary = Some(Canary { version: candidate, percent });
        Deployment { fence, version: self.champion, canary }
    }

    fn compute(&self, run: &Run, stage: &Stage, attempt: u32, since: Timestamp) -> Action {
        let warm_start = (run.strategy == Strategy::Incremental).then_some(self.champion).flatten();
        let (run, strategy) = (run.id, run.strategy);
        match stage.clone() {
            Stage::Prepare => {
                let champion = self.champion;
                Action::Prepare { run, attempt, strategy, champion, as_of: since }
            }
            Stage::Train { dataset, candidate } => {
                Action::Train { run, attempt, dataset, candidate, warm_start }
            }
            Stage::Judge { dataset, candidate, judgement } => Action::Judge {
                run,
                attempt,
                dataset,
                candidate,
                champion: self.champion,
                judgement,
                as_of: since,
            },
            Stage::Refit { dataset, parent, candidate } => {
                Action::Refit { run, attempt, dataset, parent, candidate, warm_start }
            }
        }
    }
}
