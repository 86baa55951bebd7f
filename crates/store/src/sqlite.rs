//! The Store port on one SQLite file: one writer, a few readers, durable at every step.

use std::future::Future;
use std::path::Path;
use std::time::Duration;

use afresh_core::history::{RunRecord, ServingRecord, VersionRecord};
use afresh_core::id::{ModelName, RunId, VersionId};
use afresh_core::time::Timestamp;
use afresh_engine::port::{
    Commit, DecisionRow, Fact, FleetFact, Page, RunRow, Snapshot, Store, StoreError,
};
use sqlx::pool::PoolConnection;
use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, SqlitePool};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

mod migrate;
mod read;
mod trouble;
mod write;

#[cfg(test)]
mod plan_tests;
#[cfg(test)]
mod trouble_tests;

use migrate::{MIGRATIONS, inspect, migrate, use_write_ahead_log};
use trouble::Place;
pub use trouble::Trouble;
use write::{Order, QUEUE_MAX, Work};

/// State in one SQLite file with a write-ahead log. A commit that was answered survives `kill -9`
/// and loss of power. Several processes may share the file; a conflict tells them apart.
#[derive(Debug)]
pub struct Sqlite {
    place: Place,
    readers: SqlitePool,
    orders: mpsc::Sender<Order>,
    writer: JoinHandle<()>,
}

/// How the file is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How long to wait for another process that writes.
    pub busy_timeout: Duration,
    /// Connections that read, at most.
    pub readers: u32,
}

impl Default for Settings {
    fn default() -> Settings {
        Settings { busy_timeout: Duration::from_secs(5), readers: 4 }
    }
}

/// The write-ahead log is cut back to this size after a checkpoint, in bytes.
const LOG_BYTES_KEPT: &str = "16777216";
/// How long a reader waits for a free connection.
const READER_WAIT: Duration = Duration::from_secs(30);

impl Sqlite {
    /// Opens the file at `path`, or creates it in a directory that exists.
    pub async fn open(path: impl AsRef<Path>) -> Result<Sqlite, StoreError> {
        Sqlite::open_with(path, Settings::default()).await
    }

    /// Opens the file at `path`. A file that is not ours, or newer than we know, is not touched.
    pub async fn open_with(
        path: impl AsRef<Path>,
        settings: Settings,
    ) -> Result<Sqlite, StoreError> {
        let path = path.as_ref();
        // An absolute path cannot be mistaken for `:memory:` or a URI.
        let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
        let place = Place::new(path);
        let options = SqliteConnectOptions::new()
            .filename(place.path())
            .busy_timeout(settings.busy_timeout)
            .foreign_keys(true)
            .synchronous(SqliteSynchronous::Full)
            .pragma("journal_size_limit", LOG_BYTES_KEPT)
            .disable_statement_logging();
        let writer = options.clone().create_if_missing(true);
        let opened = async {
            let mut db = writer.connect().await?;
            inspect(&mut db, MIGRATIONS.len()).await?;
            use_write_ahead_log(&mut db, settings.busy_timeout).await?;
            migrate(&mut db, MIGRATIONS).await?;
            Ok::<_, Trouble>(db)
        };
        let db = opened.await.map_err(place.broken("open the state"))?;
        let readers = SqlitePoolOptions::new()
            .max_connections(settings.readers.max(1))
            .acquire_timeout(READER_WAIT)
            .test_before_acquire(false)
            .connect_lazy_with(options.read_only(true));
        let (orders, waiting) = mpsc::channel(QUEUE_MAX);
        let writer = tokio::spawn(write::work(db, place.clone(), waiting));
        Ok(Sqlite { place, readers, orders, writer })
    }

    /// Finishes what was ordered, folds the write-ahead log into the file and lets go of it.
    /// Dropping the store is as safe, and leaves the log to whoever opens the file next.
    pub async fn close(self) -> Result<(), StoreError> {
        self.readers.close().await;
        drop(self.orders);
        self.writer.await.map_err(|why| self.place.refused("close the state", why))
    }

    /// The database's file.
    #[must_use]
    pub fn path(&self) -> &Path {
        self.place.path()
    }

    async fn reader(&self) -> Result<PoolConnection<sqlx::Sqlite>, StoreError> {
        self.readers.acquire().await.map_err(self.place.broken("open the state for reading"))
    }

    /// Changes a setting of the writer's connection.
    #[cfg(test)]
    async fn pragma(&self, sql: &'static str) {
        self.order(Work::Pragma(sql)).await.unwrap();
    }

    async fn order(&self, work: Work) -> Result<(), StoreError> {
        let closed = || self.place.refused("write to the state", Trouble::Closed);
        let (answer, answered) = oneshot::channel();
        if self.orders.send(Order { work, answer }).await.is_err() {
            return Err(closed());
        }
        answered.await.unwrap_or_else(|_| Err(closed()))
    }
}

impl Store for Sqlite {
    async fn models(&self) -> Result<Vec<ModelName>, StoreError> {
        read::models(&mut *self.reader().await?, &self.place).await
    }

    async fn facts(
        &self,
        model: &ModelName,
        after: u64,
        limit: u32,
    ) -> Result<Vec<Fact>, StoreError> {
        read::facts(&mut *self.reader().await?, &self.place, model, after, limit).await
    }

    async fn fleet_facts(&self, after: u64, limit: u32) -> Result<Vec<FleetFact>, StoreError> {
        read::fleet_facts(&mut *self.reader().await?, &self.place, after, limit).await
    }

    async fn snapshot(&self, model: &ModelName) -> Result<Option<Snapshot>, StoreError> {
        read::snapshot(&mut *self.reader().await?, &self.place, model).await
    }

    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), StoreError>> + Send {
        self.order(Work::Commit(Box::new(commit)))
    }

    async fn decisions(
        &self,
        model: Option<&ModelName>,
        page: Page,
    ) -> Result<Vec<DecisionRow>, StoreError> {
        read::decisions(&mut *self.reader().await?, &self.place, model, page).await
    }

    async fn runs(&self, model: Option<&ModelName>, page: Page) -> Result<Vec<RunRow>, StoreError> {
        read::runs(&mut *self.reader().await?, &self.place, model, page).await
    }

    async fn run(&self, model: &ModelName, run: RunId) -> Result<Option<RunRecord>, StoreError> {
        read::run(&mut *self.reader().await?, &self.place, model, run).await
    }

    async fn versions(
        &self,
        model: &ModelName,
        page: Page,
    ) -> Result<Vec<VersionRecord>, StoreError> {
        read::versions(&mut *self.reader().await?, &self.place, model, page).await
    }

    async fn version(
        &self,
        model: &ModelName,
        version: VersionId,
    ) -> Result<Option<VersionRecord>, StoreError> {
        read::version(&mut *self.reader().await?, &self.place, model, version).await
    }

    async fn serving_at(
        &self,
        model: &ModelName,
        at: Timestamp,
    ) -> Result<Option<ServingRecord>, StoreError> {
        read::serving_at(&mut *self.reader().await?, &self.place, model, at).await
    }

    async fn servings(
        &self,
        model: &ModelName,
        page: Page,
    ) -> Result<Vec<ServingRecord>, StoreError> {
        read::servings(&mut *self.reader().await?, &self.place, model, page).await
    }

    async fn put_document(
        &self,
        model: &ModelName,
        key: &str,
        body: &str,
    ) -> Result<(), StoreError> {
        let (model, key, body) = (model.clone(), key.to_owned(), body.to_owned());
        self.order(Work::Document { model, key, body }).await
    }

    async fn document(&self, model: &ModelName, key: &str) -> Result<Option<String>, StoreError> {
        read::document(&mut *self.reader().await?, &self.place, model, key).await
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::conformance;

    #[tokio::test]
    async fn sqlite_conforms() {
        let directory = tempfile::tempdir().unwrap();
        let count = std::cell::Cell::new(0);
        let make = async || {
            count.set(count.get() + 1);
            Sqlite::open(directory.path().join(format!("{}.db", count.get()))).await.unwrap()
        };
        conformance::conforms(make).await;
    }

    #[tokio::test]
    async fn sqlite_survives_reopening() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        conformance::survives_reopening(async || Sqlite::open(&path).await.unwrap()).await;
    }

    #[tokio::test]
    async fn closing_folds_the_log_into_the_file() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("state.db");
        let store = Sqlite::open(&path).await.unwrap();
        let model = ModelName::new("m").unwrap();
        store.put_document(&model, "k", "{}").await.unwrap();
        assert!(path.with_extension("db-wal").exists());
        assert_eq!(store.document(&model, "k").await.unwrap().as_deref(), Some("{}"));
        store.close().await.unwrap();
        assert!(!path.with_extension("db-wal").exists());
    }

    #[tokio::test]
    async fn two_that_create_the_file_at_once_both_open_it() {
        let directory = tempfile::tempdir().unwrap();
        for round in 0..20 {
            let path = directory.path().join(format!("{round}.db"));
            let (one, two) = tokio::join!(Sqlite::open(&path), Sqlite::open(&path));
            one.unwrap();
            two.unwrap();
        }
    }

    #[tokio::test]
    async fn every_commit_is_durable_by_setting() {
        let directory = tempfile::tempdir().unwrap();
        let store = Sqlite::open(directory.path().join("state.db")).await.unwrap();
        let mut db = store.reader().await.unwrap();
        for (pragma, value) in [
            ("PRAGMA journal_mode", "wal"),
            ("SELECT synchronous FROM pragma_synchronous", "2"),
            ("SELECT foreign_keys FROM pragma_foreign_keys", "1"),
        ] {
            let sql = sqlx::AssertSqlSafe(pragma.to_owned());
            let row = sqlx::query(sql).fetch_one(&mut *db).await.unwrap();
            let found = sqlx::Row::try_get_raw(&row, 0).unwrap();
            let found = <String as sqlx::Decode<'_, sqlx::Sqlite>>::decode(found).unwrap();
            assert_eq!(found, value, "{pragma}");
        }
    }
}
