//! Legal histories of a model, as the core would make them, commit by commit.

use afresh_core::decision::{Act, Decision};
use afresh_core::event::{Event, Outcome, RowCounts, Run, Stage};
use afresh_core::fleet::{FleetEvent, Resources};
use afresh_core::gate::{Comparison, Evidence, Verdict};
use afresh_core::id::{DatasetId, Fence, ModelName, PolicyHash, RunId, VersionId};
use afresh_core::model::Model;
use afresh_core::reason::{Code, Reason};
use afresh_core::signal::{Cause, Priority, Strategy};
use afresh_core::time::{Duration, Timestamp};
use afresh_engine::port::{Commit, FleetCommit, Store};

/// A model and where its log ends; makes the commits that continue it.
#[derive(Clone, Debug)]
pub struct Script {
    /// The state after everything so far.
    pub model: Model,
    /// Facts so far.
    pub number: u64,
    /// Time of the last commit; each comes a minute later.
    pub at: Timestamp,
}

/// How a run of a [`Script`] ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// The gate keeps the champion.
    Rejected,
    /// It serves, and is taken back.
    RolledBack,
    /// It becomes the champion.
    Promoted,
}

impl Script {
    /// Nothing happened yet.
    #[must_use]
    pub fn new(name: &str) -> Script {
        let name = ModelName::new(name).unwrap_or_else(|error| panic!("{error}"));
        Script { model: Model::new(name), number: 0, at: Timestamp(0) }
    }

    /// The model's name.
    #[must_use]
    pub fn name(&self) -> &ModelName {
        self.model.name()
    }

    /// The next commit, with `events`; the script goes on as if it had been kept.
    pub fn step(&mut self, events: Vec<Event>) -> Commit {
        self.at = self.at.after(Duration::minutes(1));
        let (before, expected, at) = (self.model.clone(), self.number, self.at);
        for event in &events {
            self.model.apply(at, event);
        }
        self.number += events.len() as u64;
        Commit { before, expected, at, events, fleet: None, decision: None }
    }

    /// The next commit, with a decision and no facts.
    pub fn decide(&mut self, decision: Decision) -> Commit {
        Commit { decision: Some(decision), ..self.step(Vec::new()) }
    }

    /// Commits of run `number`; it makes versions `2 number − 1` and, where it passes, `2 number`.
    pub fn run(&mut self, number: u64, end: End) -> Vec<Commit> {
        let steps = run_events(number, self.model.fence().0, self.at, end);
        let mut commits = steps.into_iter().map(|events| self.step(events)).collect::<Vec<_>>();
        if let Some(first) = commits.first_mut() {
            let retrain = decision(Act::Retrain, Cause::Drift, 0.5);
            first.decision = Some(Decision { run: Some(RunId(number)), ..retrain });
        }
        commits
    }

    /// Keeps `commits`.
    pub async fn play<S: Store>(store: &S, commits: Vec<Commit>) {
        for commit in commits {
            store.commit(commit).await.unwrap_or_else(|error| panic!("{error:?}"));
        }
    }
}

/// A decision that compares `measured` with 0.3.
#[must_use]
pub fn decision(action: Act, cause: Cause, measured: f64) -> Decision {
    let code = match action {
        Act::Keep => Code::ThresholdMissed,
        _ => Code::ThresholdReached,
    };
    let reasons = vec![Reason::compared(code, measured, 0.3, format!("score {measured}"))];
    Decision { action, cause, reasons, policy: PolicyHash(u64::MAX), run: None, by: None }
}

/// A fact for the fleet's log.
#[must_use]
pub fn taken(model: &ModelName, expected: u64) -> FleetCommit {
    let event = FleetEvent::Taken {
        model: model.clone(),
        run: RunId(1),
        needs: Resources { cpu_milli: 1_000, memory_mib: 512, gpu: 0 },
        priority: Priority::DEFAULT,
        estimate_cpu_seconds: 0.1,
    };
    FleetCommit { expected, events: vec![event] }
}

fn run_events(number: u64, fence: u64, decided_at: Timestamp, end: End) -> Vec<Vec<Event>> {
    let id = RunId(number);
    let (candidate, refit) = (VersionId(2 * number - 1), VersionId(2 * number));
    let dataset = DatasetId(format!("{number:064x}"));
    let why = |words: &str| vec![Reason::new(Code::ThresholdReached, words)];
    let (cause, strategy) = (Cause::Drift, Strategy::Triggered);
    let run = Run { id, cause, strategy, priority: Priority::DEFAULT, decided_at };
    let deadline = Timestamp::MAX;
    let queued = |stage: &Stage| Event::StageQueued { run: id, stage: stage.clone(), attempt: 0 };
    let started = |stage: Stage| vec![Event::StageStarted { run: id, stage, attempt: 0, deadline }];
    let train = Stage::Train { dataset: dataset.clone(), candidate };
    let judge = Stage::Judge { dataset: dataset.clone(), candidate, judgement: 0 };
    let again = Stage::Refit { dataset: dataset.clone(), parent: candidate, candidate: refit };
    let rows = RowCounts { train: 800, stopping: 100, holdout: 100 };
    let verdict = if end == End::Rejected { Verdict::Reject } else { Verdict::Pass };
    let judged = Event::CandidateJudged {
        run: id,
        candidate,
        judgement: 0,
        verdict,
        evidence: Box::new(evidence()),
        reasons: why("compared"),
    };
    let ended = |outcome| Event::RunEnded {
        run: id,
        outcome,
        not_before: Timestamp(0),
        cpu_seconds: 0.25,
        reasons: why("the run is over"),
    };
    let mut steps = vec![
        vec![Event::RunQueued { run, reasons: why("drift is 0.5") }],
        started(Stage::Prepare),
        vec![Event::DatasetPrepared { run: id, dataset, rows }, queued(&train)],
        started(train),
        vec![Event::CandidateTrained { run: id, candidate, cpu_seconds: 1.5 }, queued(&judge)],
        started(judge),
    ];
    if end == End::Rejected {
        steps.push(vec![judged, ended(Outcome::Rejected)]);
        return steps;
    }
    let refitted =
        Event::CandidateRefitted { run: id, parent: candidate, candidate: refit, cpu_seconds: 2.0 };
    let deploy = |step: usize, percent| {
        let fence = Fence(fence + 1 + step as u64);
        Event::DeploymentStarted { run: id, candidate: refit, step, percent, fence, deadline }
    };
    let confirmed = Event::DeploymentConfirmed { run: id, until: Timestamp(0) };
    let (earliest, latest, labels_needed) = (Timestamp(0), Timestamp::MAX, 500);
    let probation = Event::ProbationStarted { run: id, earliest, latest, labels_needed };
    steps.extend([
        vec![judged, queued(&again)],
        started(again),
        vec![refitted, deploy(0, 25)],
        vec![confirmed.clone()],
        vec![deploy(1, 100)],
        vec![confirmed, probation],
        vec![Event::ProbationWatched { run: id, labels: 600 }],
    ]);
    if end == End::Promoted {
        steps.push(vec![ended(Outcome::Promoted)]);
    } else {
        let (to, fence) = (None, Fence(fence + 3));
        let reasons = why("the candidate does harm");
        steps.push(vec![Event::RollbackStarted { run: id, to, fence, reasons }]);
        steps.push(vec![ended(Outcome::RolledBack)]);
    }
    steps
}

fn evidence() -> Evidence {
    Evidence {
        checks: Vec::new(),
        metric: "auc".to_owned(),
        candidate: Some(0.7),
        comparison: Some(Comparison {
            champion: 0.69,
            difference: 0.1 + 0.2,
            lower: f64::MIN_POSITIVE,
            upper: 0.3,
        }),
        rows: 100,
        harmed_slices: vec!["carrier = \"É\"".to_owned()],
        negative_flips: None,
    }
}
