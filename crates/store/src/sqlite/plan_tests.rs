//! Every question is answered from an index, however many rows there are.

use sqlx::AssertSqlSafe;

use super::{Sqlite, read};

#[tokio::test]
async fn no_question_scans_or_sorts_a_table() {
    let directory = tempfile::tempdir().unwrap();
    let store = Sqlite::open(directory.path().join("state.db")).await.unwrap();
    let mut db = store.reader().await.unwrap();
    for (sql, index) in [
        (read::FACTS, "PRIMARY KEY (model=? AND number>?)"),
        (read::FLEET_FACTS, "PRIMARY KEY (rowid>?)"),
        (read::SNAPSHOT, "PRIMARY KEY (model=?)"),
        (read::DECISIONS, "PRIMARY KEY (rowid<?)"),
        (read::DECISIONS_OF, "INDEX decisions_of_model (model=? AND rowid<?)"),
        (read::NEWEST_KEEP, "INDEX decisions_that_keep (model=? AND cause=? AND rowid>?)"),
        (read::NEWEST_KEEP, "INDEX decisions_that_act (model=?)"),
        (read::RUNS, "PRIMARY KEY (rowid<?)"),
        (read::RUNS_OF, "INDEX runs_of_model (model=? AND rowid<?)"),
        (read::RUN, "INDEX sqlite_autoindex_runs_1 (model=? AND run=?)"),
        (read::VERSIONS, "PRIMARY KEY (model=? AND version<?)"),
        (read::VERSION, "PRIMARY KEY (model=? AND version=?)"),
        (read::SERVING_AT, "INDEX servings_by_time (model=? AND from_ms<?)"),
        (read::SERVINGS, "PRIMARY KEY (model=? AND fence<?)"),
        (read::DOCUMENT, "PRIMARY KEY (model=? AND key=?)"),
    ] {
        let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {sql}"));
        let rows = sqlx::query_as::<_, (i64, i64, i64, String)>(explain);
        let rows = rows.fetch_all(&mut *db).await.unwrap();
        let plan = rows.into_iter().map(|row| row.3).collect::<Vec<_>>().join("; ");
        assert!(plan.contains(index), "{sql}\nis answered by\n{plan}\nand not by\n{index}");
        assert!(!plan.contains("SCAN") && !plan.contains("TEMP B-TREE"), "{sql}\n{plan}");
    }
    // Models are listed whole: one row each, in the order of their key.
    let explain = AssertSqlSafe(format!("EXPLAIN QUERY PLAN {}", read::MODELS));
    let row = sqlx::query_as::<_, (i64, i64, i64, String)>(explain).fetch_all(&mut *db).await;
    assert_eq!(row.unwrap()[0].3, "SCAN models");
}
