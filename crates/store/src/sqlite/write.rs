//! The one writer: takes orders in turn and makes those that wait together durable together.

use afresh_core::decision::{Decision, Recorded};
use afresh_core::history::ServingRecord;
use afresh_core::id::ModelName;
use afresh_core::time::Timestamp;
use afresh_engine::port::{Commit, StoreError};
use sqlx::{Connection, SqliteConnection};
use tokio::sync::{mpsc, oneshot};

use super::read;
use super::trouble::Place;
use crate::coalesce::{Kept, keep, may_continue};
use crate::projection::{Records, Steps};
use crate::stored::{Stored, encode, encode_fact};

/// Orders that share one transaction, at most.
const GROUP_MAX: usize = 64;
/// Orders that wait before callers must.
pub(super) const QUEUE_MAX: usize = 1_024;

/// Something to write, and who waits for it.
pub(super) struct Order {
    pub(super) work: Work,
    pub(super) answer: oneshot::Sender<Result<(), StoreError>>,
}

/// Something to write.
pub(super) enum Work {
    Commit(Box<Commit>),
    Document {
        model: ModelName,
        key: String,
        body: String,
    },
    /// A setting to be changed, outside of any transaction.
    #[cfg(test)]
    Pragma(&'static str),
}

/// Works until nobody can order any more. Runs as a task of its own, so that no caller who gives
/// up leaves a transaction half-way.
pub(super) async fn work(
    mut db: SqliteConnection,
    place: Place,
    mut orders: mpsc::Receiver<Order>,
) {
    let mut group = Vec::new();
    while orders.recv_many(&mut group, GROUP_MAX).await > 0 {
        let orders = std::mem::take(&mut group);
        let results = match together(&mut db, &place, &orders).await {
            Some(results) => results,
            None => one_by_one(&mut db, &place, &orders).await,
        };
        for (order, result) in orders.into_iter().zip(results) {
            // Whoever asked may have stopped listening.
            drop(order.answer.send(result));
        }
    }
    if let Err(error) = db.close().await {
        tracing::warn!(%error, path = %place.path().display(), "failed to close the database");
    }
}

/// All orders in one transaction; a conflict undoes only its own order. `None`: the database
/// refused, and nothing was kept.
async fn together(
    db: &mut SqliteConnection,
    place: &Place,
    orders: &[Order],
) -> Option<Vec<Result<(), StoreError>>> {
    if orders.len() < 2 {
        return None;
    }
    run(db, "BEGIN IMMEDIATE").await.ok()?;
    let mut results = Vec::with_capacity(orders.len());
    for order in orders {
        match within(db, place, &order.work).await {
            result @ (Ok(()) | Err(StoreError::Conflict { .. })) => results.push(result),
            Err(StoreError::Damaged { .. } | StoreError::Broken { .. }) => {
                roll_back(db, place).await;
                return None;
            }
        }
    }
    if run(db, "COMMIT").await.is_err() {
        roll_back(db, place).await;
        return None;
    }
    Some(results)
}

/// One order inside a transaction; undone where it fails.
async fn within(db: &mut SqliteConnection, place: &Place, work: &Work) -> Result<(), StoreError> {
    let broken = || place.broken::<sqlx::Error>("mark a point to return to");
    run(db, "SAVEPOINT one").await.map_err(broken())?;
    let result = write(db, place, work).await;
    if let Err(StoreError::Conflict { .. }) = result {
        run(db, "ROLLBACK TO one").await.map_err(broken())?;
    }
    run(db, "RELEASE one").await.map_err(broken())?;
    result
}

async fn one_by_one(
    db: &mut SqliteConnection,
    place: &Place,
    orders: &[Order],
) -> Vec<Result<(), StoreError>> {
    let mut results = Vec::with_capacity(orders.len());
    for order in orders {
        results.push(alone(db, place, &order.work).await);
    }
    results
}

/// One order in a transaction of its own.
async fn alone(db: &mut SqliteConnection, place: &Place, work: &Work) -> Result<(), StoreError> {
    #[cfg(test)]
    if let Work::Pragma(_) = work {
        return write(db, place, work).await;
    }
    run(db, "BEGIN IMMEDIATE").await.map_err(place.broken("begin a step"))?;
    let mut result = write(db, place, work).await;
    if result.is_ok() {
        result = run(db, "COMMIT").await.map_err(place.broken("make a step durable"));
    }
    if result.is_err() {
        roll_back(db, place).await;
    }
    result
}

/// After some errors (a full disk) SQLite has rolled back already and refuses to do it again.
async fn roll_back(db: &mut SqliteConnection, place: &Place) {
    if let Err(error) = run(db, "ROLLBACK").await {
        tracing::debug!(%error, path = %place.path().display(), "nothing to roll back");
    }
}

async fn run(db: &mut SqliteConnection, sql: &'static str) -> Result<(), sqlx::Error> {
    sqlx::query(sql).execute(db).await.map(|_| ())
}

async fn write(db: &mut SqliteConnection, place: &Place, work: &Work) -> Result<(), StoreError> {
    match work {
        Work::Commit(commit) => {
            Append { db, place, model: commit.before.name(), at: commit.at }.commit(commit).await
        }
        Work::Document { model, key, body } => {
            document(db, model, key, body).await.map_err(place.broken("keep a document"))
        }
        #[cfg(test)]
        Work::Pragma(sql) => run(db, sql).await.map_err(place.broken("change a setting")),
    }
}

async fn document(
    db: &mut SqliteConnection,
    model: &ModelName,
    key: &str,
    body: &str,
) -> Result<(), sqlx::Error> {
    sqlx::query("INSERT INTO models (name, facts) VALUES ($1, 0) ON CONFLICT DO NOTHING")
        .bind(model.as_str())
        .execute(&mut *db)
        .await?;
    let upsert = "INSERT INTO documents (model, key, body) VALUES ($1, $2, $3) \
                  ON CONFLICT (model, key) DO UPDATE SET body = excluded.body";
    sqlx::query(upsert).bind(model.as_str()).bind(key).bind(body).execute(db).await?;
    Ok(())
}

/// One commit under way.
struct Append<'a> {
    db: &'a mut SqliteConnection,
    place: &'a Place,
    model: &'a ModelName,
    at: Timestamp,
}

impl Append<'_> {
    async fn commit(&mut self, commit: &Commit) -> Result<(), StoreError> {
        self.expect_at(commit).await?;
        if commit.events.is_empty() && commit.fleet.is_none() && commit.decision.is_none() {
            return Ok(());
        }
        let number = commit.expected + commit.events.len() as u64;
        self.head(number).await.map_err(self.place.broken("append facts"))?;
        for (number, event) in (commit.expected + 1..).zip(&commit.events) {
            let body = self.form(event)?;
            self.fact(number, body).await.map_err(self.place.broken("append facts"))?;
        }
        if let Some(fleet) = &commit.fleet {
            for (number, event) in (fleet.expected + 1..).zip(&fleet.events) {
                let body = self.form(event)?;
                let appended = self.fleet_fact(number, body).await;
                appended.map_err(self.place.broken("append facts about the fleet"))?;
            }
        }
        if !commit.events.is_empty() {
            self.project(commit, number).await?;
        }
        match &commit.decision {
            Some(decision) => self.decide(decision).await,
            None => Ok(()),
        }
    }

    /// Fails unless both logs are where the commit expects them.
    async fn expect_at(&mut self, commit: &Commit) -> Result<(), StoreError> {
        let model = self.model.as_str();
        let held = sqlx::query_scalar::<_, i64>("SELECT facts FROM models WHERE name = $1")
            .bind(model)
            .fetch_optional(&mut *self.db)
            .await
            .map_err(self.place.broken("read the end of a log"))?;
        conflict_unless(held.unwrap_or(0), model, commit.expected)?;
        let Some(fleet) = &commit.fleet else { return Ok(()) };
        let held = sqlx::query_scalar::<_, i64>("SELECT ifnull(max(number), 0) FROM fleet_facts")
            .fetch_one(&mut *self.db)
            .await
            .map_err(self.place.broken("read the end of a log"))?;
        conflict_unless(held, "fleet", fleet.expected)
    }

    async fn head(&mut self, number: u64) -> Result<(), sqlx::Error> {
        let upsert = "INSERT INTO models (name, facts) VALUES ($1, $2) \
                      ON CONFLICT (name) DO UPDATE SET facts = excluded.facts";
        let query = sqlx::query(upsert).bind(self.model.as_str()).bind(signed(number));
        query.execute(&mut *self.db).await.map(|_| ())
    }

    async fn fact(&mut self, number: u64, body: Body) -> Result<(), sqlx::Error> {
        let insert =
            "INSERT INTO facts (model, number, at, format, body) VALUES ($1, $2, $3, $4, $5)";
        let query = sqlx::query(insert).bind(self.model.as_str()).bind(signed(number));
        let query = query.bind(self.at.0).bind(body.format).bind(body.text);
        query.execute(&mut *self.db).await.map(|_| ())
    }

    async fn fleet_fact(&mut self, number: u64, body: Body) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO fleet_facts (number, at, format, body) VALUES ($1, $2, $3, $4)";
        let query = sqlx::query(insert).bind(signed(number)).bind(self.at.0);
        let query = query.bind(body.format).bind(body.text);
        query.execute(&mut *self.db).await.map(|_| ())
    }

    /// Brings everything that is folded from the facts up to date.
    async fn project(&mut self, commit: &Commit, number: u64) -> Result<(), StoreError> {
        let steps = Steps::of(commit);
        let mut records = self.records(&steps).await?;
        let known = records.clone();
        let servings = steps.fold(&mut records);
        for (run, record) in &records.runs {
            if known.runs.get(run) != Some(record) {
                let body = self.body(record)?;
                let kept = self.upsert(UPSERT_RUN, run.0, body).await;
                kept.map_err(self.place.broken("keep a run"))?;
            }
        }
        for (version, record) in &records.versions {
            if known.versions.get(version) != Some(record) {
                let body = self.body(record)?;
                let kept = self.upsert(UPSERT_VERSION, version.0, body).await;
                kept.map_err(self.place.broken("keep a version"))?;
            }
        }
        for serving in &servings {
            self.serving(serving).await.map_err(self.place.broken("keep what serves"))?;
        }
        if let Some(model) = steps.after().filter(|_| steps.snapshot_due(commit.expected)) {
            let body = self.body(model)?;
            let kept = self.upsert(UPSERT_SNAPSHOT, number, body).await;
            kept.map_err(self.place.broken("keep a snapshot"))?;
        }
        Ok(())
    }

    async fn records(&mut self, steps: &Steps<'_>) -> Result<Records, StoreError> {
        let mut records = Records::default();
        for run in steps.runs() {
            let record = read::run(&mut *self.db, self.place, self.model, run).await?;
            records.runs.extend(record.map(|record| (run, record)));
        }
        for version in steps.versions(&records.runs) {
            let record = read::version(&mut *self.db, self.place, self.model, version).await?;
            records.versions.extend(record.map(|record| (version, record)));
        }
        Ok(records)
    }

    async fn upsert(
        &mut self,
        sql: &'static str,
        number: u64,
        body: Body,
    ) -> Result<(), sqlx::Error> {
        let query = sqlx::query(sql).bind(self.model.as_str()).bind(signed(number));
        query.bind(body.format).bind(body.text).execute(&mut *self.db).await.map(|_| ())
    }

    async fn serving(&mut self, serving: &ServingRecord) -> Result<(), sqlx::Error> {
        let upsert = "INSERT INTO servings \
                      (model, fence, from_ms, version, canary, canary_percent, run, why) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8) \
                      ON CONFLICT (model, fence) DO UPDATE SET from_ms = excluded.from_ms, \
                      version = excluded.version, canary = excluded.canary, \
                      canary_percent = excluded.canary_percent, run = excluded.run, \
                      why = excluded.why";
        sqlx::query(upsert)
            .bind(self.model.as_str())
            .bind(signed(serving.fence.0))
            .bind(serving.from.0)
            .bind(serving.version.map(|version| signed(version.0)))
            .bind(serving.canary.map(|canary| signed(canary.version.0)))
            .bind(serving.canary.map(|canary| i64::from(canary.percent)))
            .bind(serving.run.map(|run| signed(run.0)))
            .bind(serving.why.as_str())
            .execute(&mut *self.db)
            .await
            .map(|_| ())
    }

    async fn decide(&mut self, decision: &Decision) -> Result<(), StoreError> {
        let newest = if may_continue(decision) {
            read::newest_keep(&mut *self.db, self.place, self.model, decision.cause).await?
        } else {
            None
        };
        let (id, newest) = newest.map_or((None, None), |(id, row)| (Some(id), Some(row)));
        let written = match (keep(newest, self.at, decision), id) {
            (Kept::Continued(row), Some(id)) => {
                let body = self.body(&row.decision)?;
                self.continue_decision(id, &row, body).await
            }
            (Kept::Continued(row) | Kept::New(row), _) => {
                let body = self.body(&row.decision)?;
                self.new_decision(&row, body).await
            }
        };
        written.map_err(self.place.broken("keep a decision"))
    }

    async fn continue_decision(
        &mut self,
        id: i64,
        row: &Recorded,
        body: Body,
    ) -> Result<(), sqlx::Error> {
        let update = "UPDATE decisions SET last_at = $2, count = $3, min = $4, max = $5, \
                      last = $6, format = $7, body = $8 WHERE id = $1";
        let query = sqlx::query(update).bind(id).bind(row.last_at.0).bind(signed(row.count));
        let query = query.bind(row.min).bind(row.max).bind(row.last);
        query.bind(body.format).bind(body.text).execute(&mut *self.db).await.map(|_| ())
    }

    async fn new_decision(&mut self, row: &Recorded, body: Body) -> Result<(), sqlx::Error> {
        let insert = "INSERT INTO decisions (model, action, cause, first_at, last_at, count, \
                      min, max, last, format, body) \
                      VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)";
        let query = sqlx::query(insert).bind(self.model.as_str());
        let query = query.bind(row.decision.action.name()).bind(row.decision.cause.name());
        let query = query.bind(row.first_at.0).bind(row.last_at.0).bind(signed(row.count));
        let query = query.bind(row.min).bind(row.max).bind(row.last);
        query.bind(body.format).bind(body.text).execute(&mut *self.db).await.map(|_| ())
    }

    /// The stored form of a fact, which must be readable for ever.
    fn form<T: Stored>(&self, fact: &T) -> Result<Body, StoreError> {
        let text = encode_fact(fact).map_err(|why| self.place.refused("append a fact", why))?;
        Ok(Body { format: i64::from(T::FORMAT), text })
    }

    fn body<T: Stored>(&self, record: &T) -> Result<Body, StoreError> {
        let text = encode(record).map_err(|why| self.place.refused("keep a record", why))?;
        Ok(Body { format: i64::from(T::FORMAT), text })
    }
}

/// A stored form and its format.
struct Body {
    format: i64,
    text: String,
}

const UPSERT_RUN: &str = "INSERT INTO runs (model, run, format, body) VALUES ($1, $2, $3, $4) \
                          ON CONFLICT (model, run) DO UPDATE SET format = excluded.format, \
                          body = excluded.body";
const UPSERT_VERSION: &str = "INSERT INTO versions (model, version, format, body) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (model, version) DO UPDATE SET format = excluded.format, body = excluded.body";
const UPSERT_SNAPSHOT: &str = "INSERT INTO snapshots (model, number, format, body) VALUES ($1, $2, $3, $4) \
     ON CONFLICT (model) DO UPDATE SET number = excluded.number, format = excluded.format, \
     body = excluded.body";

/// SQLite's integers are signed; no counter of ours reaches the sign.
pub(super) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn conflict_unless(held: i64, log: &str, expected: u64) -> Result<(), StoreError> {
    if u64::try_from(held) == Ok(expected) {
        return Ok(());
    }
    Err(StoreError::Conflict { log: log.to_owned(), expected })
}
