//! Reading: one statement a question, each answered from an index.

use afresh_core::decision::Recorded;
use afresh_core::history::{RunRecord, ServingRecord, VersionRecord};
use afresh_core::id::{Fence, ModelName, RunId, VersionId};
use afresh_core::model::Canary;
use afresh_core::signal::Cause;
use afresh_core::time::Timestamp;
use afresh_engine::port::{DecisionRow, Fact, FleetFact, Page, RunRow, Snapshot, StoreError};
use sqlx::SqliteConnection;

use super::trouble::Place;
use super::write::signed;
use crate::stored::{Stored, Unreadable, damaged, decode};

pub(super) const MODELS: &str = "SELECT name FROM models WHERE facts > 0 ORDER BY name";
pub(super) const FACTS: &str = "SELECT number, at, format, body FROM facts \
     WHERE model = $1 AND number > $2 ORDER BY number LIMIT $3";
pub(super) const FLEET_FACTS: &str = "SELECT number, at, format, body FROM fleet_facts \
     WHERE number > $1 ORDER BY number LIMIT $2";
pub(super) const SNAPSHOT: &str = "SELECT number, format, body FROM snapshots WHERE model = $1";
pub(super) const DECISIONS: &str = "SELECT id, model, first_at, last_at, count, min, max, last, format, body FROM decisions \
     WHERE id < $1 ORDER BY id DESC LIMIT $2";
pub(super) const DECISIONS_OF: &str = "SELECT id, model, first_at, last_at, count, min, max, last, format, body FROM decisions \
     WHERE model = $3 AND id < $1 ORDER BY id DESC LIMIT $2";
pub(super) const NEWEST_KEEP: &str = "SELECT id, model, first_at, last_at, count, min, max, last, format, body FROM decisions \
     WHERE model = $1 AND cause = $2 AND action = 'keep' AND id > (SELECT ifnull(max(id), 0) \
     FROM decisions WHERE model = $1 AND action <> 'keep') ORDER BY id DESC LIMIT 1";
pub(super) const RUNS: &str =
    "SELECT id, model, format, body FROM runs WHERE id < $1 ORDER BY id DESC LIMIT $2";
pub(super) const RUNS_OF: &str = "SELECT id, model, format, body FROM runs \
     WHERE model = $3 AND id < $1 ORDER BY id DESC LIMIT $2";
pub(super) const RUN: &str = "SELECT format, body FROM runs WHERE model = $1 AND run = $2";
pub(super) const VERSIONS: &str = "SELECT format, body FROM versions \
     WHERE model = $1 AND version < $2 ORDER BY version DESC LIMIT $3";
pub(super) const VERSION: &str =
    "SELECT format, body FROM versions WHERE model = $1 AND version = $2";
pub(super) const SERVING_AT: &str = "SELECT fence, from_ms, version, canary, canary_percent, run, why FROM servings \
     WHERE model = $1 AND from_ms <= $2 ORDER BY from_ms DESC, fence DESC LIMIT 1";
pub(super) const SERVINGS: &str = "SELECT fence, from_ms, version, canary, canary_percent, run, why FROM servings \
     WHERE model = $1 AND fence < $2 ORDER BY fence DESC LIMIT $3";
pub(super) const DOCUMENT: &str = "SELECT body FROM documents WHERE model = $1 AND key = $2";

type Body = (i64, String);
type Numbered = (i64, i64, i64, String);
type Identified = (i64, String, i64, String);
type Decided = (i64, String, i64, i64, i64, Option<f64>, Option<f64>, Option<f64>, i64, String);
type Served = (i64, i64, Option<i64>, Option<i64>, Option<i64>, Option<i64>, String);

pub(super) async fn models(
    db: &mut SqliteConnection,
    place: &Place,
) -> Result<Vec<ModelName>, StoreError> {
    let names = sqlx::query_scalar::<_, String>(MODELS).fetch_all(db).await;
    names.map_err(place.broken("list models"))?.into_iter().map(name).collect()
}

pub(super) async fn facts(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    after: u64,
    limit: u32,
) -> Result<Vec<Fact>, StoreError> {
    let query = sqlx::query_as::<_, Numbered>(FACTS).bind(model.as_str());
    let rows = query.bind(signed(after)).bind(i64::from(limit)).fetch_all(db).await;
    let rows = rows.map_err(place.broken("read facts"))?;
    let fact = |(expected, (number, at, format, body)): (u64, Numbered)| {
        let read = || {
            let number = follows(number, expected)?;
            Ok(Fact { number, at: Timestamp(at), event: decode(format, &body)? })
        };
        read().map_err(damaged(|| format!("fact {expected} of {model}")))
    };
    numbered(after, rows).map(fact).collect()
}

pub(super) async fn fleet_facts(
    db: &mut SqliteConnection,
    place: &Place,
    after: u64,
    limit: u32,
) -> Result<Vec<FleetFact>, StoreError> {
    let query = sqlx::query_as::<_, Numbered>(FLEET_FACTS).bind(signed(after));
    let rows = query.bind(i64::from(limit)).fetch_all(db).await;
    let rows = rows.map_err(place.broken("read facts about the fleet"))?;
    let fact = |(expected, (number, at, format, body)): (u64, Numbered)| {
        let read = || {
            let number = follows(number, expected)?;
            Ok(FleetFact { number, at: Timestamp(at), event: decode(format, &body)? })
        };
        read().map_err(damaged(|| format!("fact {expected} of the fleet")))
    };
    numbered(after, rows).map(fact).collect()
}

/// A snapshot that this program cannot read is none: the facts say the same, only slower.
pub(super) async fn snapshot(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
) -> Result<Option<Snapshot>, StoreError> {
    let query = sqlx::query_as::<_, (i64, i64, String)>(SNAPSHOT).bind(model.as_str());
    let row = query.fetch_optional(db).await.map_err(place.broken("read a snapshot"))?;
    let Some((number, format, body)) = row else { return Ok(None) };
    let read =
        || Ok(Snapshot { number: unsigned("number", number)?, model: decode(format, &body)? });
    match read() {
        Ok(snapshot) => Ok(Some(snapshot)),
        Err::<_, Unreadable>(why) => {
            tracing::warn!(%model, %why, "passing over a snapshot and folding all facts instead");
            Ok(None)
        }
    }
}

pub(super) async fn decisions(
    db: &mut SqliteConnection,
    place: &Place,
    model: Option<&ModelName>,
    page: Page,
) -> Result<Vec<DecisionRow>, StoreError> {
    let sql = if model.is_some() { DECISIONS_OF } else { DECISIONS };
    let query = sqlx::query_as::<_, Decided>(sql).bind(before(page)).bind(i64::from(page.limit));
    let query = match model {
        Some(model) => query.bind(model.as_str()),
        None => query,
    };
    let rows = query.fetch_all(db).await.map_err(place.broken("list decisions"))?;
    rows.into_iter().map(decision).collect()
}

/// The newest keep for `cause` since the model's last act.
pub(super) async fn newest_keep(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    cause: Cause,
) -> Result<Option<(i64, Recorded)>, StoreError> {
    let query = sqlx::query_as::<_, Decided>(NEWEST_KEEP).bind(model.as_str()).bind(cause.name());
    let row = query.fetch_optional(db).await.map_err(place.broken("read a decision"))?;
    let row = row.map(|row| Ok((row.0, decision(row)?.recorded)));
    row.transpose()
}

pub(super) async fn runs(
    db: &mut SqliteConnection,
    place: &Place,
    model: Option<&ModelName>,
    page: Page,
) -> Result<Vec<RunRow>, StoreError> {
    let sql = if model.is_some() { RUNS_OF } else { RUNS };
    let query = sqlx::query_as::<_, Identified>(sql).bind(before(page)).bind(i64::from(page.limit));
    let query = match model {
        Some(model) => query.bind(model.as_str()),
        None => query,
    };
    let rows = query.fetch_all(db).await.map_err(place.broken("list runs"))?;
    let row = |(row, of, format, body): Identified| {
        let what = || format!("run row {row}");
        let id = unsigned("id", row).map_err(damaged(what))?;
        Ok(RunRow { id, model: name(of)?, record: record(what, (format, body))? })
    };
    rows.into_iter().map(row).collect()
}

pub(super) async fn run(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    run: RunId,
) -> Result<Option<RunRecord>, StoreError> {
    let query = sqlx::query_as::<_, Body>(RUN).bind(model.as_str()).bind(signed(run.0));
    let row = query.fetch_optional(db).await.map_err(place.broken("read a run"))?;
    row.map(|row| record(|| format!("{run} of {model}"), row)).transpose()
}

pub(super) async fn versions(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    page: Page,
) -> Result<Vec<VersionRecord>, StoreError> {
    let query = sqlx::query_as::<_, Body>(VERSIONS).bind(model.as_str());
    let rows = query.bind(before(page)).bind(i64::from(page.limit)).fetch_all(db).await;
    let rows = rows.map_err(place.broken("list versions"))?;
    rows.into_iter().map(|row| record(|| format!("a version of {model}"), row)).collect()
}

pub(super) async fn version(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    version: VersionId,
) -> Result<Option<VersionRecord>, StoreError> {
    let query = sqlx::query_as::<_, Body>(VERSION).bind(model.as_str()).bind(signed(version.0));
    let row = query.fetch_optional(db).await.map_err(place.broken("read a version"))?;
    row.map(|row| record(|| format!("{version} of {model}"), row)).transpose()
}

pub(super) async fn serving_at(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    at: Timestamp,
) -> Result<Option<ServingRecord>, StoreError> {
    let query = sqlx::query_as::<_, Served>(SERVING_AT).bind(model.as_str()).bind(at.0);
    let row = query.fetch_optional(db).await.map_err(place.broken("read what served"))?;
    row.map(|row| serving(model, row)).transpose()
}

pub(super) async fn servings(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    page: Page,
) -> Result<Vec<ServingRecord>, StoreError> {
    let query = sqlx::query_as::<_, Served>(SERVINGS).bind(model.as_str());
    let rows = query.bind(before(page)).bind(i64::from(page.limit)).fetch_all(db).await;
    let rows = rows.map_err(place.broken("list what served"))?;
    rows.into_iter().map(|row| serving(model, row)).collect()
}

pub(super) async fn document(
    db: &mut SqliteConnection,
    place: &Place,
    model: &ModelName,
    key: &str,
) -> Result<Option<String>, StoreError> {
    let query = sqlx::query_scalar(DOCUMENT).bind(model.as_str()).bind(key);
    query.fetch_optional(db).await.map_err(place.broken("read a document"))
}

/// `rows` with the number that each should have.
fn numbered<T>(after: u64, rows: Vec<T>) -> impl Iterator<Item = (u64, T)> {
    (1..).zip(rows).map(move |(offset, row)| (after.saturating_add(offset), row))
}

fn before(page: Page) -> i64 {
    page.before.map_or(i64::MAX, signed)
}

fn name(text: String) -> Result<ModelName, StoreError> {
    ModelName::new(text).map_err(|why| StoreError::Damaged {
        what: "the name of a model".to_owned(),
        source: Box::new(why),
    })
}

fn record<T: Stored>(what: impl FnOnce() -> String, (format, body): Body) -> Result<T, StoreError> {
    decode(format, &body).map_err(damaged(what))
}

fn decision(row: Decided) -> Result<DecisionRow, StoreError> {
    let (row_id, of, first_at, last_at, count, min, max, last, format, body) = row;
    let what = || format!("decision {row_id}");
    let read = || {
        let (id, count) = (unsigned("id", row_id)?, unsigned("count", count)?);
        let decision = decode(format, &body)?;
        let (first_at, last_at) = (Timestamp(first_at), Timestamp(last_at));
        Ok((id, Recorded { decision, first_at, last_at, count, min, max, last }))
    };
    let (id, recorded) = read().map_err(damaged(what))?;
    Ok(DecisionRow { id, model: name(of)?, recorded })
}

fn serving(model: &ModelName, row: Served) -> Result<ServingRecord, StoreError> {
    let (fence, from, version, canary, percent, run, why) = row;
    let read = || {
        let version = version.map(|version| unsigned("version", version)).transpose()?;
        let run = run.map(|run| unsigned("run", run)).transpose()?;
        let canary = match (canary, percent) {
            (Some(canary), Some(percent)) => {
                let wrong = |_| Unreadable::OutOfRange { column: "canary_percent", found: percent };
                let version = VersionId(unsigned("canary", canary)?);
                Some(Canary { version, percent: u8::try_from(percent).map_err(wrong)? })
            }
            _ => None,
        };
        Ok(ServingRecord {
            from: Timestamp(from),
            fence: Fence(unsigned("fence", fence)?),
            version: version.map(VersionId),
            canary,
            run: run.map(RunId),
            why,
        })
    };
    read().map_err(damaged(|| format!("deployment {fence} of {model}")))
}

fn unsigned(column: &'static str, found: i64) -> Result<u64, Unreadable> {
    u64::try_from(found).ok().ok_or(Unreadable::OutOfRange { column, found })
}

fn follows(number: i64, expected: u64) -> Result<u64, Unreadable> {
    let found = unsigned("number", number)?;
    if found == expected { Ok(found) } else { Err(Unreadable::Gap { expected, found }) }
}
