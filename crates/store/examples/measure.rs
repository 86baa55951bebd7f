//! Measures durable commits and listings: `cargo run --release -p afresh-store --example measure
//! -- DIRECTORY [ROWS]`. CPU is user and system time of this process, from `/proc/self/stat`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use afresh_core::decision::{Act, Decision};
use afresh_core::event::Event;
use afresh_core::id::{ModelName, PolicyHash};
use afresh_core::model::Model;
use afresh_core::reason::{Code, Reason};
use afresh_core::signal::Cause;
use afresh_core::time::Timestamp;
use afresh_engine::port::{Commit, Page, Store};
use afresh_store::sqlite::Sqlite;
use tokio::task::JoinSet;

type Failure = Box<dyn Error + Send + Sync>;

const COMMITS: u64 = 2_000;
const MODELS: u64 = 1_000;

#[expect(clippy::print_stdout, reason = "a measurement is for people")]
#[tokio::main]
async fn main() -> Result<(), Failure> {
    let mut arguments = std::env::args().skip(1);
    let directory = arguments.next().ok_or("usage: measure DIRECTORY [ROWS]")?;
    let rows = arguments.next().map_or(Ok(1_000_000), |rows| rows.parse::<u64>())?;
    let directory = Path::new(&directory);

    for events in [1, 4, 16] {
        let store = Sqlite::open(directory.join(format!("commits-{events}.db"))).await?;
        let (started, cpu) = (Instant::now(), cpu_seconds()?);
        let mut model = Model::new(ModelName::new("m")?);
        for n in 0..COMMITS {
            let commit = commit(&model, n, events);
            for event in &commit.events {
                model.apply(commit.at, event);
            }
            store.commit(commit).await?;
        }
        let label = format!("{events:>2} facts and a decision, one after the other");
        report(&label, COMMITS, started, cpu_seconds()? - cpu);
        store.close().await?;
    }

    let store = Arc::new(Sqlite::open(directory.join("many.db")).await?);
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    let mut tasks = JoinSet::new();
    for n in 0..64 {
        let store = Arc::clone(&store);
        tasks.spawn(async move {
            let mut model = Model::new(ModelName::new(format!("m{n}"))?);
            for n in 0..COMMITS / 64 {
                let commit = commit(&model, n, 4);
                for event in &commit.events {
                    model.apply(commit.at, event);
                }
                store.commit(commit).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    report(" 4 facts and a decision, 64 models at once", COMMITS, started, cpu_seconds()? - cpu);

    let store = Arc::new(Sqlite::open(directory.join("listings.db")).await?);
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    fill(&store, rows).await?;
    report("decisions of 1,000 models, 64 at once", rows, started, cpu_seconds()? - cpu);
    let model = ModelName::new("model-500")?;
    let cursors = [None, Some(rows / 2), Some(rows / 100)];
    for (label, of) in [("all models", None), ("one model", Some(&model))] {
        for before in cursors {
            let page = Page { before, limit: 100 };
            store.decisions(of, page).await?;
            let started = Instant::now();
            let found = store.decisions(of, page).await?.len();
            let ms = started.elapsed().as_secs_f64() * 1e3;
            println!("{label}, 100 decisions before {before:?}: {found} in {ms:.2} ms");
        }
    }
    let started = Instant::now();
    let keep = Commit { events: Vec::new(), ..commit(&Model::new(model), 0, 0) };
    let keep = Commit { decision: Some(decision(Act::Keep)), ..keep };
    store.commit(keep).await?;
    println!("a keep into the full table: {:.2} ms", started.elapsed().as_secs_f64() * 1e3);
    Ok(())
}

async fn fill(store: &Arc<Sqlite>, rows: u64) -> Result<(), Failure> {
    let mut tasks = JoinSet::new();
    for lane in 0..64 {
        let store = Arc::clone(store);
        tasks.spawn(async move {
            for row in (lane..rows).step_by(64) {
                let model = Model::new(ModelName::new(format!("model-{}", row % MODELS))?);
                store.commit(commit(&model, 0, 0)).await?;
            }
            Ok::<_, Failure>(())
        });
    }
    while let Some(done) = tasks.join_next().await {
        done??;
    }
    Ok(())
}

fn commit(before: &Model, n: u64, events: u64) -> Commit {
    let advance = |event: u64| Event::ScheduleAdvanced {
        handled: Timestamp(i64::try_from(n + event).unwrap_or(i64::MAX)),
        pending: 0,
    };
    Commit {
        before: before.clone(),
        expected: n * events,
        at: Timestamp(i64::try_from(n).unwrap_or(i64::MAX)),
        events: (0..events).map(advance).collect(),
        fleet: None,
        decision: Some(decision(Act::Refuse)),
    }
}

fn decision(action: Act) -> Decision {
    let words = "drift 0.123 is below the threshold of 0.3 (largest: carrier 0.31, hour 0.22)";
    Decision {
        action,
        cause: Cause::Drift,
        reasons: vec![Reason::compared(Code::ThresholdMissed, 0.123, 0.3, words)],
        policy: PolicyHash(0x0123_4567_89ab_cdef),
        run: None,
        by: None,
    }
}

#[expect(clippy::print_stdout, reason = "a measurement is for people")]
#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn report(label: &str, commits: u64, started: Instant, cpu: f64) {
    let wall = started.elapsed().as_secs_f64();
    let (commits_f, ms) = (commits as f64, wall * 1e3 / commits as f64);
    println!(
        "{label}: {commits} commits, {ms:.3} ms wall each, {:.0} per CPU second",
        commits_f / cpu.max(0.01)
    );
}

/// Field 14 and 15, in hundredths of a second on every Linux.
fn cpu_seconds() -> Result<f64, Failure> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let after_name = stat.rsplit(')').next().unwrap_or_default();
    let ticks = after_name.split_whitespace().skip(11).take(2).map(str::parse::<f64>);
    Ok(ticks.sum::<Result<f64, _>>()? / 100.0)
}
