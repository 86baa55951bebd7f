//! A store that several tasks hold: every call goes to the one behind.

use std::future::Future;
use std::sync::Arc;

use afresh_core::history::{RunRecord, ServingRecord, VersionRecord};
use afresh_core::id::{ModelName, RunId, VersionId};
use afresh_core::time::Timestamp;

use crate::port::{
    Commit, DecisionRow, Fact, FleetFact, Page, RunRow, Snapshot, Store, StoreError,
};

impl<S: Store> Store for Arc<S> {
    fn models(&self) -> impl Future<Output = Result<Vec<ModelName>, StoreError>> + Send {
        (**self).models()
    }

    fn facts(
        &self,
        model: &ModelName,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<Fact>, StoreError>> + Send {
        (**self).facts(model, after, limit)
    }

    fn fleet_facts(
        &self,
        after: u64,
        limit: u32,
    ) -> impl Future<Output = Result<Vec<FleetFact>, StoreError>> + Send {
        (**self).fleet_facts(after, limit)
    }

    fn snapshot(
        &self,
        model: &ModelName,
    ) -> impl Future<Output = Result<Option<Snapshot>, StoreError>> + Send {
        (**self).snapshot(model)
    }

    fn commit(&self, commit: Commit) -> impl Future<Output = Result<(), StoreError>> + Send {
        (**self).commit(commit)
    }

    fn decisions(
        &self,
        model: Option<&ModelName>,
        page: Page,
    ) -> impl Future<Output = Result<Vec<DecisionRow>, StoreError>> + Send {
        (**self).decisions(model, page)
    }

    fn runs(
        &self,
        model: Option<&ModelName>,
        page: Page,
    ) -> impl Future<Output = Result<Vec<RunRow>, StoreError>> + Send {
        (**self).runs(model, page)
    }

    fn run(
        &self,
        model: &ModelName,
        run: RunId,
    ) -> impl Future<Output = Result<Option<RunRecord>, StoreError>> + Send {
        (**self).run(model, run)
    }

    fn versions(
        &self,
        model: &ModelName,
        page: Page,
    ) -> impl Future<Output = Result<Vec<VersionRecord>, StoreError>> + Send {
        (**self).versions(model, page)
    }

    fn version(
        &self,
        model: &ModelName,
        version: VersionId,
    ) -> impl Future<Output = Result<Option<VersionRecord>, StoreError>> + Send {
        (**self).version(model, version)
    }

    fn serving_at(
        &self,
        model: &ModelName,
        at: Timestamp,
    ) -> impl Future<Output = Result<Option<ServingRecord>, StoreError>> + Send {
        (**self).serving_at(model, at)
    }

    fn servings(
        &self,
        model: &ModelName,
        page: Page,
    ) -> impl Future<Output = Result<Vec<ServingRecord>, StoreError>> + Send {
        (**self).servings(model, page)
    }

    fn put_document(
        &self,
        model: &ModelName,
        key: &str,
        body: &str,
    ) -> impl Future<Output = Result<(), StoreError>> + Send {
        (**self).put_document(model, key, body)
    }

    fn document(
        &self,
        model: &ModelName,
        key: &str,
    ) -> impl Future<Output = Result<Option<String>, StoreError>> + Send {
        (**self).document(model, key)
    }
}
