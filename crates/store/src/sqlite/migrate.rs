//! Brings a database to the newest schema, or says why it is left alone.

use sqlx::{AssertSqlSafe, Connection, SqliteConnection};

use super::trouble::Trouble;

/// Entry `n` brings schema `n` to `n + 1`; a released entry never changes.
pub(super) const MIGRATIONS: &[&str] =
    &[include_str!("../../migrations/sqlite/0001_first.sql")];

/// `Afre`: tells our databases from those of other programs.
pub(super) const APPLICATION: i64 = 0x4166_7265;

/// Schema of the database; 0 is an empty file. Changes nothing.
pub(super) async fn inspect(
    db: &mut SqliteConnection,
    newest: usize,
) -> Result<usize, Trouble> {
    let application = pragma(db, "PRAGMA application_id").await?;
    let found = pragma(db, "PRAGMA user_version").await?;
    let things = pragma(db, "SELECT count(*) FROM sqlite_schema").await?;
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

/// Switches to the write-ahead log, for good. Only for databases that are ours.
pub(super) async fn use_write_ahead_log(db: &mut SqliteConnection) -> Result<(), Trouble> {
    let mode = "PRAGMA journal_mode = WAL";
    let mode = sqlx::query_scalar::<_, String>(mode).fetch_one(db).await?;
    if mode == "wal" { Ok(()) } else { Err(Trouble::NoWriteAheadLog { mode }) }
}

async fn pragma(db: &mut SqliteConnection, sql: &'static str) -> Result<i64, Trouble> {
    Ok(sqlx::query_scalar(sql).fetch_one(db).await?)
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
        let columns = "SELECT count(*) FROM pragma_table_info('a')";
        assert_eq!(pragma(&mut db, columns).await.unwrap(), 1);
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
