//! Logs as each format wrote them: they are read, folded and, in today's format, written the same.

use std::collections::BTreeSet;

use afresh_core::event::Event;
use afresh_core::fleet::{Fleet, FleetEvent};
use afresh_core::id::{Fence, ModelName, PolicyHash, RunId, VersionId};
use afresh_core::model::{Model, Phase, Standing};
use afresh_core::time::{Duration, Timestamp};
use serde::Deserialize;
use serde_json::Value;

use crate::stored::{Stored, decode, encode};

/// `(file, facts about a model, facts about the fleet)` of every format.
const LOGS: [(i64, &str, &str); 1] = [(
    1,
    include_str!("../tests/golden/model-format-1.jsonl"),
    include_str!("../tests/golden/fleet-format-1.jsonl"),
)];

#[derive(Deserialize)]
struct Line {
    at: Timestamp,
    format: i64,
    body: Value,
}

fn read<T: Stored>(log: &str, format: i64) -> Vec<(Timestamp, T)> {
    let read = |text: &str| {
        let line: Line = serde_json::from_str(text).unwrap();
        assert_eq!(line.format, format);
        let fact = decode::<T>(line.format, &line.body.to_string()).unwrap();
        if format == i64::from(T::FORMAT) {
            let written = serde_json::from_str::<Value>(&encode(&fact).unwrap()).unwrap();
            assert_eq!(written, line.body, "the form changed, its number did not");
        }
        (line.at, fact)
    };
    log.lines().map(read).collect()
}

#[test]
fn logs_of_every_format_fold_to_the_same_state() {
    for (format, log, _) in LOGS {
        let mut model = Model::new(ModelName::new("golden").unwrap());
        for (at, event) in read::<Event>(log, format) {
            model.apply(at, &event);
        }
        assert_eq!(model.champion(), Some(VersionId(7)));
        assert_eq!(model.phase(), &Phase::Idle { not_before: Timestamp(5) });
        assert_eq!((model.fence(), model.policy()), (Fence(9), Some(PolicyHash(u64::MAX))));
        assert_eq!(model.schedule().handled, Some(Timestamp(-5)));
        assert_eq!((model.schedule().pending, model.last()), (2, Timestamp(3_600_000)));
        let parent = VersionId(1);
        let standings = [
            (1, Standing::Passed),
            (2, Standing::Refit { parent }),
            (3, Standing::Rejected),
            (5, Standing::Passed),
            (6, Standing::Rejected),
            (7, Standing::Unproven),
        ];
        let told = model.standings().iter().map(|(version, standing)| (version.0, *standing));
        assert_eq!(told.collect::<Vec<_>>(), standings);
    }
}

#[test]
fn logs_of_the_fleet_fold_to_the_same_state() {
    for (format, _, log) in LOGS {
        let mut fleet = Fleet::default();
        for (at, event) in read::<FleetEvent>(log, format) {
            fleet.apply(at, &event);
        }
        let churn = ModelName::new("shop/churn").unwrap();
        assert_eq!(fleet.running().collect::<Vec<_>>(), [(&churn, RunId(1))]);
        assert_eq!((fleet.occupied().cpu_milli, fleet.occupied().memory_mib), (1_500, 2_048));
        let committed = fleet.committed(None, Duration::days(1), Timestamp(3_000));
        assert!((committed - 14.25).abs() < 1e-12, "{committed}");
    }
}

#[test]
fn the_newest_log_holds_every_kind_of_fact() {
    let (format, log, _) = LOGS[LOGS.len() - 1];
    let facts = read::<Event>(log, format);
    let seen = facts.iter().map(|(_, event)| kind(event)).collect::<BTreeSet<_>>();
    assert_eq!(seen, (0..KINDS).collect());
}

const KINDS: u8 = 25;

/// A number for each kind: a new kind of fact does not compile until it stands here, and fails
/// until it stands in the newest log.
fn kind(event: &Event) -> u8 {
    match event {
        Event::PolicyChanged { .. } => 0,
        Event::ScheduleAdvanced { .. } => 1,
        Event::RunQueued { .. } => 2,
        Event::StageQueued { .. } => 3,
        Event::StageStarted { .. } => 4,
        Event::StageFailed { .. } => 5,
        Event::RunPreempted { .. } => 6,
        Event::RunMadeFull { .. } => 7,
        Event::DatasetPrepared { .. } => 8,
        Event::CandidateTrained { .. } => 9,
        Event::CandidateJudged { .. } => 10,
        Event::CandidateWaits { .. } => 11,
        Event::CandidateRefitted { .. } => 12,
        Event::RefitDropped { .. } => 13,
        Event::ApprovalAsked { .. } => 14,
        Event::Approved { .. } => 15,
        Event::RolloutHeld { .. } => 16,
        Event::DeploymentStarted { .. } => 17,
        Event::DeploymentConfirmed { .. } => 18,
        Event::ProbationStarted { .. } => 19,
        Event::ProbationWatched { .. } => 20,
        Event::RollbackStarted { .. } => 21,
        Event::RunEnded { .. } => 22,
        Event::OverrideStarted { .. } => 23,
        Event::OverrideConfirmed { .. } => 24,
    }
}
