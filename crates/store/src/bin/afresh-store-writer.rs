//! Appends commits for ever and says which are durable; a test kills it.

use std::io::Write;

use afresh_core::decision::{Act, Decision};
use afresh_core::event::{Event, Outcome, Run};
use afresh_core::fleet::{FleetEvent, Resources};
use afresh_core::id::{ModelName, PolicyHash, RunId};
use afresh_core::model::Model;
use afresh_core::signal::{Cause, Priority, Strategy};
use afresh_core::time::Timestamp;
use afresh_engine::port::{Commit, FleetCommit, Store};
use afresh_store::sqlite::Sqlite;

type Failure = Box<dyn std::error::Error>;

/// Each commit is a whole run: two facts of the model, two of the fleet and a decision.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Failure> {
    let path = std::env::args().nth(1).ok_or("usage: afresh-store-writer FILE")?;
    let store = Sqlite::open(path).await?;
    let name = ModelName::new("killed")?;
    let mut model = Model::new(name.clone());
    let mut number = 0;
    for fact in store.facts(&name, 0, u32::MAX).await? {
        model.apply(fact.at, &fact.event);
        number = fact.number;
    }
    let mut out = std::io::stdout().lock();
    loop {
        let commit = whole_run(&model, number);
        for event in &commit.events {
            model.apply(commit.at, event);
        }
        number += commit.events.len() as u64;
        store.commit(commit).await?;
        writeln!(out, "{number}")?;
        out.flush()?;
    }
}

fn whole_run(before: &Model, expected: u64) -> Commit {
    let run = RunId(expected / 2 + 1);
    let at = Timestamp(i64::try_from(expected).unwrap_or(i64::MAX));
    let (cause, strategy, priority) = (Cause::Drift, Strategy::Triggered, Priority::DEFAULT);
    let queued = Run { id: run, cause, strategy, priority, decided_at: at };
    let (outcome, reasons) = (Outcome::Failed, Vec::new());
    let ended =
        Event::RunEnded { run, outcome, not_before: at, cpu_seconds: 0.5, reasons: Vec::new() };
    let model = before.name().clone();
    let needs = Resources::default();
    let taken =
        FleetEvent::Taken { model: model.clone(), run, needs, priority, estimate_cpu_seconds: 1.0 };
    let released = FleetEvent::Released { model, run, cpu_seconds: 0.5 };
    let decision = Decision {
        action: Act::Retrain,
        cause,
        reasons: Vec::new(),
        policy: PolicyHash(1),
        run: Some(run),
        by: None,
    };
    Commit {
        before: before.clone(),
        expected,
        at,
        events: vec![Event::RunQueued { run: queued, reasons }, ended],
        fleet: Some(FleetCommit { expected, events: vec![taken, released] }),
        decision: Some(decision),
    }
}
