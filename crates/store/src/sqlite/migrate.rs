//! Brings a database to the newest schema, or says why it is left alone.

use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use tokio::time::{Instant, sleep};

use super::trouble::Trouble;

/// Entry `n` brings schema `n` to `n + 1`; a released entry never changes.
pub(super) const MIGRATIONS: &[&str] = &[include_str!("../../migrations/sqlite/0001_first.sql")];

/// `Afre`: tells our databases from those of other programs.
pub(super) const APPLICATION: i64 = 0x4166_7265;

/// Pause between attempts to switch to the write-ahead log.
const RETRY_AFTER: Duration = Duration::from_millis(5);

/// Schema of the database; 0 is an empty file. Changes nothing.
pub(super) async fn inspect(db: &mut SqliteConnection, newest: usize) -> Result<usize, Trouble> {
    // One statement, so that another process cannot create the tables between two answers.
    let question = "SELECT application_id, user_version, (SELECT count(*) FROM sqlite_schema) \
                    FROM pragma_application_id, pragma_user_version";
    let answer = sqlx::query_as::<_, (i64, i64, i64)>(question).fetch_one(db).await?;
    let (application, found, things) = answer;
    if application != APPLICATION {
        let is_empty = application == 0 && found == 0 && things == 0;
        return if is_empty { Ok(0) } else { Err(Trouble::Foreign { application }) };
    }
    match usize::try_from(found) {
        Ok(schema) if schema <= newest => Ok(schema),
        Ok(_) | Err(_) => Err(Trouble::Newer { found, newest }),
    }
}

/// Applies what is missing, all of it or nothing.
pub(super) async fn migrate(
    db: &mut SqliteConnection,
    migrations: &[&'static str],
) -> Result<(), Trouble> {
    if inspect(db, migrations.len()).await? == migrations.len() {
        return Ok(());
    }
    let mut transaction = db.begin_with("BEGIN IMMEDIATE").await?;
    // Another process may have been quicker.
    let schema = inspect(&mut transaction, migrations.len()).await?;
    for migration in migrations.iter().skip(schema) {
        sqlx::raw_sql(*migration).execute(&mut *transaction).await?;
    }
    let stamp = format!(
        "PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {}",
        migrations.len()
    );
    sqlx::raw_sql(AssertSqlSafe(stamp)).execute(&mut *transaction).await?;
    transaction.commit().await?;
    Ok(())
}

/// Switches to the write-ahead log, for good. Only for databases that are ours. SQLite does not
/// wait for others who switch at the same time, so this does, for `busy_timeout`.
pub(super) async fn use_write_ahead_log(
    db: &mut SqliteConnection,
    busy_timeout: Duration,
) -> Result<(), Trouble> {
    let deadline = Instant::now() + busy_timeout;
    loop {
        let switch = sqlx::query_scalar::<_, String>("PRAGMA journal_mode = WAL");
        match switch.fetch_one(&mut *db).await.map_err(Trouble::from) {
            Ok(mode) if mode == "wal" => return Ok(()),
            Ok(mode) => return Err(Trouble::NoWriteAheadLog { mode }),
            Err(Trouble::Locked(_)) if Instant::now() < deadline => sleep(RETRY_AFTER).await,
            Err(trouble) => return Err(trouble),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FIRST: &str = "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (7)";
    const SECOND: &str = "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x * 2";
    const BROKEN: &str = "CREATE TABLE b (x INTEGER); INSERT INTO nowhere VALUES (1)";

    async fn empty() -> SqliteConnection {
        SqliteConnection::connect("sqlite::memory:").await.unwrap()
    }

    #[tokio::test]
    async fn missing_migrations_are_applied_once_and_in_order() {
        let mut db = empty().await;
        migrate(&mut db, &[FIRST]).await.unwrap();
        migrate(&mut db, &[FIRST, SECOND]).await.unwrap();
        migrate(&mut db, &[FIRST, SECOND]).await.unwrap();
        let row = sqlx::query_as::<_, (i64, i64)>("SELECT x, y FROM a");
        assert_eq!(row.fetch_all(&mut db).await.unwrap(), [(7, 14)]);
    }

    #[tokio::test]
    async fn a_failing_migration_leaves_the_old_schema() {
        let mut db = empty().await;
        migrate(&mut db, &[FIRST]).await.unwrap();
        migrate(&mut db, &[FIRST, SECOND, BROKEN]).await.unwrap_err();
        assert_eq!(inspect(&mut db, 3).await.unwrap(), 1);
        let columns = sqlx::query_scalar::<_, i64>("SELECT count(*) FROM pragma_table_info('a')");
        assert_eq!(columns.fetch_one(&mut db).await.unwrap(), 1);
        migrate(&mut db, &[FIRST, SECOND]).await.unwrap();
    }

    #[tokio::test]
    async fn a_newer_schema_and_a_foreign_database_are_left_alone() {
        let mut db = empty().await;
        migrate(&mut db, &[FIRST, SECOND]).await.unwrap();
        let error = migrate(&mut db, &[FIRST]).await.unwrap_err();
        assert!(matches!(error, Trouble::Newer { found: 2, newest: 1 }), "{error}");

        let mut db = empty().await;
        sqlx::raw_sql("CREATE TABLE theirs (x)").execute(&mut db).await.unwrap();
        let error = migrate(&mut db, &[FIRST]).await.unwrap_err();
        assert!(matches!(error, Trouble::Foreign { application: 0 }), "{error}");
    }
}
