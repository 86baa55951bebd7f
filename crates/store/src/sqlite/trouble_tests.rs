//! What goes wrong around a database: the message says what to do, and the state stays as it was.

use std::error::Error;
use std::path::Path;
use std::time::Duration;

use afresh_core::decision::Act;
use afresh_core::id::ModelName;
use afresh_core::signal::Cause;
use afresh_engine::port::{Store, StoreError};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, SqliteConnection};

use super::{Settings, Sqlite, Trouble};
use crate::conformance::script::{End, Script, decision};
use crate::conformance::{dump, fold};

/// The error with its causes, as a person reads it.
fn told(error: &StoreError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(because) = cause {
        text += &format!(": {because}");
        cause = because.source();
    }
    text
}

fn trouble(error: &StoreError) -> &Trouble {
    let StoreError::Broken { source, .. } = error else { panic!("{error:?}") };
    source.downcast_ref().unwrap_or_else(|| panic!("{error:?}"))
}

/// A connection beside the store.
async fn beside(path: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new().filename(path).create_if_missing(true);
    options.connect().await.unwrap()
}

async fn execute(db: &mut SqliteConnection, sql: &'static str) {
    sqlx::raw_sql(sql).execute(db).await.unwrap();
}

async fn refused(path: &Path) -> StoreError {
    Sqlite::open(path).await.map(|_| ()).unwrap_err()
}

fn without_waiting() -> Settings {
    Settings { busy_timeout: Duration::ZERO, ..Settings::default() }
}

#[tokio::test]
async fn a_full_disk_refuses_the_step_and_keeps_the_state() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut script = Script::new("m");
    let store = Sqlite::open(&path).await.unwrap();
    Script::play(&store, script.run(1, End::Promoted)).await;
    let before = dump(&store).await;

    // As many pages as there are, and not one more.
    store.pragma("PRAGMA max_page_count = 1").await;
    let large = "x".repeat(1 << 20);
    let error = store.put_document(script.name(), "large", &large).await.unwrap_err();
    assert!(matches!(trouble(&error), Trouble::Full(_)), "{error:?}");
    assert!(trouble(&error).is_transient());
    let words = format!(
        "failed to keep a document in {}: the disk is full: free some space and try again; \
         nothing of this step was kept",
        path.display()
    );
    assert!(told(&error).starts_with(&words), "{}", told(&error));
    assert_eq!(dump(&store).await, before);

    let mut waiting = (2..100).flat_map(|run| script.run(run, End::Rejected));
    let refused = loop {
        let commit = waiting.next().unwrap();
        let before = dump(&store).await;
        if let Err(error) = store.commit(commit.clone()).await {
            assert!(matches!(trouble(&error), Trouble::Full(_)), "{error:?}");
            assert_eq!(dump(&store).await, before);
            break commit;
        }
    };

    // With room again the refused step is kept, and the log goes on.
    store.pragma("PRAGMA max_page_count = 1000000").await;
    store.commit(refused).await.unwrap();
    Script::play(&store, waiting.collect()).await;
    assert_eq!(store.document(script.name(), "large").await.unwrap(), None);
    assert_eq!(fold(&store, script.name()).await, script.model);
    let mut db = beside(&path).await;
    let check = sqlx::query_scalar::<_, String>("PRAGMA integrity_check");
    assert_eq!(check.fetch_one(&mut db).await.unwrap(), "ok");
}

#[tokio::test]
async fn a_file_that_may_not_be_written_refuses_the_step() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut script = Script::new("m");
    let store = Sqlite::open(&path).await.unwrap();
    Script::play(&store, script.run(1, End::Promoted)).await;
    let before = dump(&store).await;
    store.pragma("PRAGMA query_only = ON").await;
    let commits = script.run(2, End::Promoted);
    let error = store.commit(commits[0].clone()).await.unwrap_err();
    assert!(matches!(trouble(&error), Trouble::ReadOnly(_)), "{error:?}");
    assert!(told(&error).contains("give this user the right to write"), "{}", told(&error));
    assert_eq!(dump(&store).await, before);
    store.pragma("PRAGMA query_only = OFF").await;
    Script::play(&store, commits).await;
}

#[tokio::test]
async fn a_directory_that_is_missing_or_in_the_way_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("file");
    std::fs::write(&file, "").unwrap();
    for path in [
        directory.path().join("missing/state.db"),
        directory.path().to_owned(),
        file.join("state.db"),
    ] {
        let error = refused(&path).await;
        assert!(matches!(trouble(&error), Trouble::CannotOpen(_)), "{error:?}");
        let words = format!("failed to open the state in {}: the file cannot be", path.display());
        assert!(told(&error).starts_with(&words), "{}", told(&error));
    }
}

#[tokio::test]
async fn a_file_that_is_not_ours_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let text = directory.path().join("notes.txt");
    std::fs::write(&text, "not a database at all, but long enough to look like one. ".repeat(40))
        .unwrap();
    let theirs = directory.path().join("theirs.db");
    let mut db = beside(&theirs).await;
    execute(&mut db, "PRAGMA application_id = 77; CREATE TABLE theirs (x)").await;
    db.close().await.unwrap();
    for path in [&text, &theirs] {
        let before = std::fs::read(path).unwrap();
        let error = refused(path).await;
        let trouble = trouble(&error);
        let is_named = if path == &text {
            matches!(trouble, Trouble::NotADatabase(_))
        } else {
            matches!(trouble, Trouble::Foreign { application: 77 })
        };
        assert!(is_named, "{}", told(&error));
        assert_eq!(std::fs::read(path).unwrap(), before, "{} changed", path.display());
    }
}

#[tokio::test]
async fn a_newer_schema_is_refused_and_not_touched() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    Sqlite::open(&path).await.unwrap().close().await.unwrap();
    let mut db = beside(&path).await;
    execute(&mut db, "PRAGMA user_version = 99").await;
    db.close().await.unwrap();
    let before = std::fs::read(&path).unwrap();
    let error = refused(&path).await;
    assert!(matches!(trouble(&error), Trouble::Newer { found: 99, .. }), "{error:?}");
    assert!(told(&error).contains("it has schema 99 and this version of afresh knows"));
    assert_eq!(std::fs::read(&path).unwrap(), before);
}

#[tokio::test]
async fn another_process_that_writes_is_named_and_the_step_can_be_repeated() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut script = Script::new("m");
    let store = Sqlite::open_with(&path, without_waiting()).await.unwrap();
    let commits = script.run(1, End::Promoted);
    let mut other = beside(&path).await;
    execute(&mut other, "BEGIN IMMEDIATE").await;
    let error = store.commit(commits[0].clone()).await.unwrap_err();
    assert!(matches!(trouble(&error), Trouble::Locked(_)), "{error:?}");
    assert!(trouble(&error).is_transient());
    assert_eq!(store.models().await.unwrap(), [], "reading goes on");
    execute(&mut other, "ROLLBACK").await;
    Script::play(&store, commits).await;
}

#[tokio::test]
async fn two_processes_share_a_file_and_conflict_like_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let (one, two) = (Sqlite::open(&path), Sqlite::open(&path));
    let (one, two) = (one.await.unwrap(), two.await.unwrap());
    let mut script = Script::new("m");
    for (number, commit) in script.run(1, End::Promoted).into_iter().enumerate() {
        let (first, second) = if number % 2 == 0 { (&one, &two) } else { (&two, &one) };
        first.commit(commit.clone()).await.unwrap();
        let error = second.commit(commit).await.unwrap_err();
        assert!(matches!(error, StoreError::Conflict { .. }), "{error:?}");
    }
    assert_eq!(dump(&one).await, dump(&two).await);
}

#[tokio::test]
async fn damaged_rows_are_named() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("state.db");
    let mut script = Script::new("m");
    let store = Sqlite::open(&path).await.unwrap();
    Script::play(&store, script.run(1, End::Promoted)).await;
    let keep = decision(Act::Keep, Cause::Drift, 0.1);
    Script::play(&store, vec![script.decide(keep)]).await;
    let mut db = beside(&path).await;
    let name = script.name().clone();
    let facts = async || store.facts(&name, 0, 100).await.unwrap_err();

    execute(&mut db, "UPDATE facts SET format = 9 WHERE number = 3").await;
    let words = "failed to read fact 3 of m: it was written by another version or damaged: it has \
                 format 9 and this version of afresh reads formats 1 to 1: install the version \
                 that wrote it, or a later one";
    assert_eq!(told(&facts().await), words);
    execute(&mut db, "UPDATE facts SET format = 1, body = '{' WHERE number = 3").await;
    assert!(told(&facts().await).contains("fact 3 of m"), "{}", told(&facts().await));
    execute(&mut db, "DELETE FROM facts WHERE number = 3").await;
    let gap = "its number is 4 and 3 should follow";
    assert!(told(&facts().await).contains(gap), "{}", told(&facts().await));
    execute(&mut db, "UPDATE runs SET body = '[]'; UPDATE decisions SET count = -1").await;
    let run = store.run(&name, afresh_core::id::RunId(1)).await.unwrap_err();
    assert!(told(&run).starts_with("failed to read run-1 of m"), "{}", told(&run));
    let rows = store.decisions(None, afresh_engine::port::Page::default()).await.unwrap_err();
    assert!(told(&rows).contains("its count is -1"), "{}", told(&rows));
    // A snapshot is a shortcut: without it the facts are folded.
    execute(&mut db, "UPDATE snapshots SET body = '{}'").await;
    assert_eq!(store.snapshot(&name).await.unwrap(), None);
}

#[tokio::test]
async fn a_closed_store_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(directory.path().join("state.db")).await.unwrap();
    store.writer.abort();
    let model = ModelName::new("m").unwrap();
    let error = store.put_document(&model, "key", "{}").await.unwrap_err();
    assert!(matches!(trouble(&error), Trouble::Closed), "{error:?}");
    store.readers.close().await;
    let error = store.models().await.unwrap_err();
    assert!(matches!(trouble(&error), Trouble::Closed), "{error:?}");
}
