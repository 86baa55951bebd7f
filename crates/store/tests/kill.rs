//! A writer is killed at any moment: what it was told is durable is there, and nothing is half.

#![expect(clippy::unwrap_used, reason = "this is a test")]

use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Command, Stdio};

use afresh_core::id::ModelName;
use afresh_core::model::Model;
use afresh_engine::port::{Page, Store};
use afresh_store::sqlite::Sqlite;

const KILLS: u64 = 20;

#[tokio::test]
async fn acknowledged_commits_survive_being_killed_at_any_moment() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut acknowledged = 0;
    for kill in 0..KILLS {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        // The first is killed while it creates the file.
        let lines = if kill == 0 { 0 } else { random % 60 };
        acknowledged = acknowledged.max(write_and_kill(&path, lines));
        acknowledged = check(&path, acknowledged).await;
    }
    assert!(acknowledged > 2 * KILLS, "{acknowledged} facts were written");
}

/// Kills a writer after `lines` acknowledgements; gives the last that it made.
fn write_and_kill(path: &Path, lines: u64) -> u64 {
    let mut writer = Command::new(env!("CARGO_BIN_EXE_afresh-store-writer"))
        .arg(path)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(writer.stdout.take().unwrap());
    let mut line = String::new();
    for _ in 0..lines {
        line.clear();
        assert_ne!(out.read_line(&mut line).unwrap(), 0, "the writer ended by itself");
    }
    writer.kill().unwrap();
    let mut rest = line;
    out.read_to_string(&mut rest).unwrap();
    assert!(!writer.wait().unwrap().success());
    rest.lines().last().map_or(0, |last| last.parse().unwrap())
}

/// Checks what is there; gives the number of facts.
async fn check(path: &Path, acknowledged: u64) -> u64 {
    let store = Sqlite::open(path).await.unwrap();
    let name = ModelName::new("killed").unwrap();
    let facts = store.facts(&name, 0, u32::MAX).await.unwrap();
    let held = facts.len() as u64;
    assert!(acknowledged <= held, "{acknowledged} facts were acknowledged and {held} are there");
    assert_eq!(held % 2, 0, "half a commit is there");
    assert_eq!(store.fleet_facts(0, u32::MAX).await.unwrap().len() as u64, held);
    let everything = Page { before: None, limit: u32::MAX };
    assert_eq!(store.decisions(None, everything).await.unwrap().len() as u64, held / 2);
    let runs = store.runs(Some(&name), everything).await.unwrap();
    assert_eq!(runs.len() as u64, held / 2);
    assert!(runs.iter().all(|row| row.record.outcome.is_some()), "half a run is there");
    let mut model = Model::new(name.clone());
    for fact in &facts {
        model.apply(fact.at, &fact.event);
    }
    let snapshot = store.snapshot(&name).await.unwrap();
    assert_eq!(snapshot.map(|snapshot| snapshot.number), (held > 0).then_some(held));
    if let Some(snapshot) = store.snapshot(&name).await.unwrap() {
        assert_eq!(snapshot.model, model);
    }
    held
}
