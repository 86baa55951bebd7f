//! Versions on a shelf in memory: whole or not at all, one writer wins, nothing foreign is touched.

use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;

use afresh_core::id::{ModelName, VersionId};
use afresh_core::time::Timestamp;
use afresh_data::schema::Task;
use futures::TryStreamExt as _;
use object_store::memory::InMemory;
use object_store::path::Path as Key;
use object_store::{ObjectStore as _, ObjectStoreExt as _};

use crate::artifact::{self, Artifact};
use crate::error::{Error, Retry};
use crate::fit;
use crate::recipe::{Engine, Recipe};
use crate::shelf::Shelf;
use crate::testing::example;
use crate::trainer::{Job, Parts};

const FOR_EVER: Timestamp = Timestamp::MAX;
const V3: VersionId = VersionId(3);

fn model() -> ModelName {
    ModelName::new("shop/churn").unwrap()
}

fn shelf() -> (Arc<InMemory>, Shelf) {
    let store = Arc::new(InMemory::new());
    (Arc::clone(&store), Shelf::new(store, "s3://bucket/afresh/"))
}

/// A sealed artifact with a file of its own.
fn sealed(dir: &Path, content: &[u8]) -> Artifact {
    let (schema, rows) = example(Task::Binary, 30);
    let job = Job::new(Recipe::new(Engine::Constant), schema, dir, &dir.join("scratch"));
    let staging = artifact::stage(dir).unwrap();
    let parts = Parts { train: rows, stopping: afresh_data::rows::Rows::default() };
    let manifest = fit::fit(&job, &parts, &staging, &mut |_| ControlFlow::Continue(())).unwrap();
    std::fs::write(staging.join("notes.bin"), content).unwrap();
    Artifact::seal(&staging, manifest, dir).unwrap()
}

async fn keys(store: &InMemory) -> Vec<String> {
    let listed = store.list(None).map_ok(|meta| meta.location.to_string());
    let mut keys = listed.try_collect::<Vec<_>>().await.unwrap();
    keys.sort();
    keys
}

#[tokio::test]
async fn a_version_comes_back_as_it_was_put() {
    let dir = tempfile::tempdir().unwrap();
    let (_store, shelf) = shelf();
    // Long enough to go up in parts.
    let content = (0..17 << 20).map(|at: u32| at.to_le_bytes()[1]).collect::<Vec<_>>();
    let artifact = sealed(&dir.path().join("v3"), &content);
    shelf.put(&model(), V3, &artifact).await.unwrap();
    shelf.put(&model(), V3, &artifact).await.unwrap();
    let listed = shelf.versions(&model()).await.unwrap();
    assert_eq!(listed.iter().map(|(version, _)| *version).collect::<Vec<_>>(), [V3]);
    assert!(artifact.size_bytes() < listed[0].1);
    let back = shelf.fetch(&model(), V3, &dir.path().join("back")).await.unwrap();
    assert_eq!(back.manifest(), artifact.manifest());
    assert_eq!(std::fs::read(back.dir().join("notes.bin")).unwrap(), content);
    assert_eq!(shelf.orphans(&model(), FOR_EVER).await.unwrap(), []);
    assert_eq!(shelf.place(&model(), V3), "s3://bucket/afresh/versions/shop/churn/v3");
}

#[tokio::test]
async fn of_two_writers_one_wins_and_the_other_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let (store, shelf) = shelf();
    let (one, other) = (sealed(&dir.path().join("a"), b"one"), sealed(&dir.path().join("b"), b"2"));
    let name = model();
    let results = tokio::join!(shelf.put(&name, V3, &one), shelf.put(&name, V3, &other));
    let results = [results.0, results.1];
    assert_eq!(results.iter().filter(|result| result.is_ok()).count(), 1, "{results:?}");
    let lost = results.iter().find_map(|result| result.as_ref().err()).unwrap();
    assert!(matches!(lost, Error::Occupied { .. }), "{lost}");
    assert!(lost.to_string().contains("a prefix of its own"), "{lost}");
    assert_eq!(lost.retry(), Retry::Permanent);
    let winner = if results[0].is_ok() { &one } else { &other };
    // Whichever lost may have put its files before it knew.
    for orphan in shelf.orphans(&model(), FOR_EVER).await.unwrap() {
        shelf.remove_orphan(&orphan).await.unwrap();
    }
    let back = shelf.fetch(&model(), V3, &dir.path().join("back")).await.unwrap();
    assert_eq!(back.hash(), winner.hash());
    assert_eq!(keys(&store).await.len(), winner.manifest().files.len() + 1);
}

#[tokio::test]
async fn an_upload_without_its_end_is_no_version_and_is_cleared_away_after_a_grace() {
    let dir = tempfile::tempdir().unwrap();
    let (store, shelf) = shelf();
    let artifact = sealed(&dir.path().join("v3"), b"half");
    shelf.put(&model(), V3, &artifact).await.unwrap();
    store.delete(&Key::from("versions/shop/churn/v3/manifest.json")).await.unwrap();
    assert_eq!(shelf.versions(&model()).await.unwrap(), []);
    let missing = shelf.fetch(&model(), V3, &dir.path().join("back")).await.unwrap_err();
    assert_eq!(
        missing.to_string(),
        "artifact s3://bucket/afresh/versions/shop/churn/v3 is damaged: manifest.json is missing"
    );
    assert_eq!(shelf.orphans(&model(), Timestamp(0)).await.unwrap(), []);
    let orphans = shelf.orphans(&model(), FOR_EVER).await.unwrap();
    assert_eq!(orphans.len(), artifact.manifest().files.len());
    assert!(orphans.iter().all(|orphan| orphan.path.starts_with("s3://bucket/afresh/versions/")));
    // The next try finds its way over what is there.
    shelf.put(&model(), V3, &artifact).await.unwrap();
    assert_eq!(shelf.orphans(&model(), FOR_EVER).await.unwrap(), []);
    shelf.remove(&model(), V3).await.unwrap();
    shelf.remove(&model(), V3).await.unwrap();
    assert_eq!(keys(&store).await, Vec::<String>::new());
}

#[tokio::test]
async fn damage_on_the_shelf_is_found_and_leaves_nothing_on_disk() {
    let dir = tempfile::tempdir().unwrap();
    let (store, shelf) = shelf();
    shelf.put(&model(), V3, &sealed(&dir.path().join("v3"), b"right")).await.unwrap();
    let notes = keys(&store).await.into_iter().find(|key| key.ends_with("notes.bin")).unwrap();
    store.put(&Key::from(notes.as_str()), b"wrong".to_vec().into()).await.unwrap();
    let place = dir.path().join("back");
    let error = shelf.fetch(&model(), V3, &place).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "artifact s3://bucket/afresh/versions/shop/churn/v3 is damaged: notes.bin was changed"
    );
    let left = std::fs::read_dir(dir.path()).unwrap().map(|entry| entry.unwrap().file_name());
    assert_eq!(left.collect::<Vec<_>>(), ["v3"]);
}

#[tokio::test]
async fn another_model_below_the_name_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let (store, shelf) = shelf();
    let (shop, below) = (ModelName::new("shop").unwrap(), ModelName::new("shop/v1").unwrap());
    shelf.put(&below, V3, &sealed(&dir.path().join("v3"), b"x")).await.unwrap();
    store.put(&Key::from("versions/shop/v1/readme.txt"), b"mine".to_vec().into()).await.unwrap();
    assert_eq!(shelf.versions(&shop).await.unwrap(), []);
    assert_eq!(shelf.orphans(&shop, FOR_EVER).await.unwrap(), []);
    shelf.probe().await.unwrap();
}
