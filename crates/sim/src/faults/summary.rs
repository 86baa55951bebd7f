//! What simulations saw, to be printed and to prove that everything really occurred.

use std::collections::BTreeMap;
use std::fmt;

use afresh_core::event::Event;
use afresh_core::reason::Code;

/// Counts over one or more seeds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Seeds.
    pub seeds: u64,
    /// Inputs given to the core.
    pub inputs: u64,
    /// Facts in the models' logs.
    pub events: u64,
    /// Runs started.
    pub runs: u64,
    /// Crashes that kept only the logs.
    pub crashes: u64,
    /// How often each thing occurred, by kind and word: event, outcome, act, cause, hold, fault.
    pub seen: BTreeMap<(&'static str, &'static str), u64>,
    /// How often each kind of reason was given.
    pub codes: BTreeMap<Code, u64>,
    /// Order-sensitive hash of the logs; of several seeds, their exclusive or.
    pub digest: u64,
}

impl Summary {
    /// Adds another seed's counts.
    pub fn add(&mut self, other: &Summary) {
        self.seeds += other.seeds;
        self.inputs += other.inputs;
        self.events += other.events;
        self.runs += other.runs;
        self.crashes += other.crashes;
        for (what, count) in &other.seen {
            *self.seen.entry(*what).or_default() += count;
        }
        for (code, count) in &other.codes {
            *self.codes.entry(*code).or_default() += count;
        }
        self.digest ^= other.digest;
    }

    /// How often `word` of this kind occurred.
    #[must_use]
    pub fn count(&self, kind: &str, word: &str) -> u64 {
        let found = self.seen.iter().find(|((k, w), _)| *k == kind && *w == word);
        found.map_or(0, |(_, count)| *count)
    }

    /// What must have occurred over many seeds but did not.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (kind, words) in EXPECTED {
            let absent = words.iter().filter(|word| self.count(kind, word) == 0);
            missing.extend(absent.map(|word| format!("{kind} {word}")));
        }
        let absent = CODES.iter().filter(|code| !self.codes.contains_key(code));
        missing.extend(absent.map(|code| format!("reason {code:?}")));
        missing
    }
}

impl fmt::Display for Summary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "seeds {}, inputs {}, events {}, runs {}, crashes {}",
            self.seeds, self.inputs, self.events, self.runs, self.crashes
        )?;
        for kind in ["outcome", "fault"] {
            write!(f, "\n{kind}s:")?;
            let of_kind = self.seen.iter().filter(|((of, _), _)| *of == kind);
            for (index, ((_, word), count)) in of_kind.enumerate() {
                write!(f, "{} {word} {count}", if index == 0 { "" } else { "," })?;
            }
        }
        Ok(())
    }
}

/// The word of an event in a summary.
pub(super) fn event_name(event: &Event) -> &'static str {
    match event {
        Event::PolicyChanged { .. } => "policy_changed",
        Event::ScheduleAdvanced { .. } => "schedule_advanced",
        Event::RunQueued { .. } => "run_queued",
        Event::StageQueued { .. } => "stage_queued",
        Event::StageStarted { .. } => "stage_started",
        Event::StageFailed { .. } => "stage_failed",
        Event::RunPreempted { .. } => "run_preempted",
        Event::RunMadeFull { .. } => "run_made_full",
        Event::DatasetPrepared { .. } => "dataset_prepared",
        Event::CandidateTrained { .. } => "candidate_trained",
        Event::CandidateJudged { .. } => "candidate_judged",
        Event::CandidateWaits { .. } => "candidate_waits",
        Event::CandidateRefitted { .. } => "candidate_refitted",
        Event::RefitDropped { .. } => "refit_dropped",
        Event::ApprovalAsked { .. } => "approval_asked",
        Event::Approved { .. } => "approved",
        Event::RolloutHeld { .. } => "rollout_held",
        Event::DeploymentStarted { .. } => "deployment_started",
        Event::DeploymentConfirmed { .. } => "deployment_confirmed",
        Event::ProbationStarted { .. } => "probation_started",
        Event::ProbationWatched { .. } => "probation_watched",
        Event::RollbackStarted { .. } => "rollback_started",
        Event::RunEnded { .. } => "run_ended",
        Event::OverrideStarted { .. } => "override_started",
        Event::OverrideConfirmed { .. } => "override_confirmed",
    }
}

/// What a few hundred seeds must show; a simulation that never gets there proves nothing.
const EXPECTED: &[(&str, &[&str])] = &[
    (
        "event",
        &[
            "policy_changed",
            "schedule_advanced",
            "run_queued",
            "stage_queued",
            "stage_started",
            "stage_failed",
            "run_preempted",
            "run_made_full",
            "dataset_prepared",
            "candidate_trained",
            "candidate_judged",
            "candidate_waits",
            "candidate_refitted",
            "refit_dropped",
            "approval_asked",
            "approved",
            "rollout_held",
            "deployment_started",
            "deployment_confirmed",
            "probation_started",
            "probation_watched",
            "rollback_started",
            "run_ended",
            "override_started",
            "override_confirmed",
        ],
    ),
    (
        "outcome",
        &["promoted", "unproven", "rejected", "rolled_back", "failed", "timed_out", "cancelled"],
    ),
    (
        "act",
        &[
            "retrain",
            "keep",
            "refuse",
            "retry",
            "roll_out",
            "wait",
            "reject",
            "promote",
            "roll_back",
            "abandon",
            "override",
        ],
    ),
    (
        "cause",
        &[
            "first_version",
            "schedule",
            "drift",
            "decay",
            "volume",
            "labels",
            "data",
            "manual",
            "outside",
            "advice",
        ],
    ),
    ("hold", &["slots", "budget"]),
    (
        "fault",
        &[
            "answer_lost",
            "answer_doubled",
            "answer_late",
            "answer_lost_in_crash",
            "answer_meant_nothing",
            "clock_forward",
            "clock_backward",
            "deployment_refused",
            "fleet_fact_doubled",
            "policy_changed",
            "signal_not_finite",
            "tick_late",
        ],
    ),
];

/// Reasons that must have been given.
const CODES: &[Code] = &[
    Code::ScheduleSkipped,
    Code::DependsOnPast,
    Code::Forced,
    Code::PriorityTooLow,
    Code::CoolingDown,
    Code::Blackout,
    Code::RunUnderWay,
    Code::OtherVersion,
    Code::TriesSpent,
    Code::Harmful,
    Code::GuardBroken,
    Code::Declined,
];
