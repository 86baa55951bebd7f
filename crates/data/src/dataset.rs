//! Datasets: immutable manifests of the rows that trained or judged a version. A manifest is never
//! changed; an erased one keeps a tombstone.

use std::collections::HashMap;
use std::path::Path as FilePath;
use std::sync::{Arc, Mutex, PoisonError};

use afresh_core::id::{DatasetId, ModelName};
use afresh_core::time::{Timestamp, Window};
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode, PutOptions};
use serde::de::{DeserializeOwned, IgnoredAny};
use serde::{Deserialize, Serialize};

use crate::place;
use crate::remote::Trouble;
use crate::rows::Rows;
use crate::schema::{Schema, Task};
use crate::selection::{Classes, Selection};
use crate::source::{Object, Source};
use crate::spec::{Columns, SourceSpec};
use crate::split::{self, Counts, Cuts, Part};

/// The form of the manifests written now.
pub const FORMAT: u32 = 1;

/// What a version was trained or judged on. `P` is its profile, which this module only carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest<P> {
    /// [`FORMAT`] of the time.
    pub format: u32,
    /// Whose rows they are.
    pub model: ModelName,
    /// How they are read.
    pub source: SourceSpec,
    /// Event times of the rows.
    pub window: Window,
    /// The split by availability.
    pub cuts: Cuts,
    /// What is tried on the training rows; what does best on the early-stopping rows trains in the end. Empty where all
    /// rows train alike.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub choices: Vec<Selection>,
    /// The schema they were checked against.
    pub schema: Schema,
    /// The files that may hold events of the window.
    pub objects: Vec<HashedObject>,
    /// Rows of each part.
    pub rows: Counts,
    /// Sketch of the rows, the reference of drift.
    pub profile: P,
}

/// A file as it was.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HashedObject {
    /// As [`Object::path`].
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// BLAKE3 of its content, in hexadecimal.
    pub blake3: String,
}

/// Why a dataset is no longer kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tombstone {
    /// Erased on request, expired, …
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// A way in which a dataset no longer is what its manifest says.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The manifest is gone, and no tombstone says why.
    #[error("the manifest of dataset {0} is gone")]
    ManifestMissing(DatasetId),
    /// The manifest is not the one that was written.
    #[error("the manifest of dataset {0} was changed")]
    ManifestChanged(DatasetId),
    /// A file is gone.
    #[error("`{0}` is gone")]
    FileMissing(String),
    /// A file holds something else.
    #[error("`{0}` was changed")]
    FileChanged(String),
    /// A file that was not there may now hold events of the window.
    #[error("`{0}` was added to the window")]
    FileAdded(String),
    /// The files hold other rows.
    #[error("the {part} holds {now} rows and held {then}")]
    RowsChanged {
        /// `training slice`, `early-stopping slice` or `holdout`.
        part: &'static str,
        /// Rows then.
        then: u64,
        /// Rows now.
        now: u64,
    },
    /// The files cannot be read.
    #[error("the source cannot be read: {0}")]
    Unreadable(String),
}

/// A dataset operation that failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store of manifests did not answer.
    #[error("failed to {operation} dataset {id} of {model}")]
    Store {
        /// `read`, `write` or `list`.
        operation: &'static str,
        /// The model.
        model: ModelName,
        /// The dataset, or `*`.
        id: String,
        /// What the store said.
        #[source]
        source: Box<object_store::Error>,
    },
    /// S3 did not do what it was asked.
    #[error("failed to {operation} dataset {id} of {model} in {place}: {trouble}")]
    Remote {
        /// `read`, `write` or `list`.
        operation: &'static str,
        /// The model.
        model: ModelName,
        /// The dataset, or `*`.
        id: String,
        /// Where datasets are kept.
        place: String,
        /// Why, and what to do about it.
        trouble: Box<Trouble>,
    },
    /// There is no such dataset.
    #[error("{model} has no dataset {id}")]
    Unknown {
        /// The model.
        model: ModelName,
        /// The dataset.
        id: String,
    },
    /// Another manifest stands where this one belongs.
    #[error("dataset {id} of {model} exists with another content; verify it")]
    Occupied {
        /// The model.
        model: ModelName,
        /// The dataset.
        id: String,
    },
    /// A manifest or tombstone that is not JSON of its form.
    #[error("dataset {id} of {model} cannot be understood")]
    Form {
        /// The model.
        model: ModelName,
        /// The dataset.
        id: String,
        /// What is wrong.
        #[source]
        source: serde_json::Error,
    },
    /// The directory of manifests cannot be used.
    #[error("failed to open the datasets in `{path}`")]
    Directory {
        /// The directory.
        path: String,
        /// What the system said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A file changed while it was being hashed.
    #[error("`{0}` changed while it was read: try again when nobody writes it")]
    Moving(String),
    /// The source cannot be read.
    #[error(transparent)]
    Source(#[from] crate::error::Error),
}

/// All datasets of all models, as `datasets/MODEL/ID.json` in one store.
#[derive(Debug)]
pub struct Datasets {
    store: Arc<dyn ObjectStore>,
    /// Where on S3 the store is.
    remote: Option<String>,
    /// Hashes of files by path, size and time of change.
    hashes: Mutex<HashMap<(String, u64, Timestamp), String>>,
}

/// Hashes kept in memory; beyond it all are forgotten.
const HASHES_MAX: usize = 100_000;

const MANIFEST: &str = ".json";
const TOMBSTONE: &str = ".tombstone";

impl<P> Manifest<P> {
    /// Positions of a part's rows: of what trains, those of a choice where one is given.
    #[must_use]
    pub fn positions(&self, rows: &Rows, part: Part, choice: Option<&Selection>) -> Vec<usize> {
        let positions = split::positions(rows, self.window, &self.cuts, part);
        match (part, choice) {
            (Part::Train | Part::Fit, Some(choice)) => {
                choice.thin(rows, &positions, self.classes())
            }
            (Part::Train | Part::Fit | Part::Stopping | Part::Holdout, _) => positions,
        }
    }

    fn classes(&self) -> Classes {
        match self.schema.task {
            Task::Binary | Task::Multiclass => Classes::Kept,
            Task::Regression => Classes::None,
        }
    }
}

impl Datasets {
    /// Datasets in the directory `state`, which is created where it is missing.
    pub fn open(state: &FilePath) -> Result<Datasets, Error> {
        let wrong = |source| Error::Directory { path: state.display().to_string(), source };
        std::fs::create_dir_all(state).map_err(|error| wrong(error.into()))?;
        let store = object_store::local::LocalFileSystem::new_with_prefix(state);
        Ok(Datasets::new(Arc::new(store.map_err(|error| wrong(error.into()))?)))
    }

    /// Datasets in any store.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Datasets {
        Datasets { store, remote: None, hashes: Mutex::default() }
    }

    /// Datasets in `shelf` on S3, else in the directory `state`.
    pub fn at(shelf: Option<&str>, state: &FilePath) -> Result<Datasets, Error> {
        let Some(location) = shelf else { return Datasets::open(state) };
        let remote = Some(location.trim_end_matches('/').to_owned());
        Ok(Datasets { remote, ..Datasets::new(place::store(location)?) })
    }

    /// The files of `window` with their hashes; a file that was hashed before and has kept its
    /// size and time of change is not read again.
    pub async fn hash(&self, source: &Source, window: Window) -> Result<Vec<HashedObject>, Error> {
        let mut hashed = Vec::new();
        for object in source.objects(window).await? {
            let blake3 = self.hash_one(source, &object).await?;
            hashed.push(HashedObject { path: object.path, size: object.size, blake3 });
        }
        Ok(hashed)
    }

    /// Writes a manifest and gives its id, the hash of its JSON. The same manifest may be written
    /// again.
    pub async fn create<P: Serialize>(&self, manifest: &Manifest<P>) -> Result<DatasetId, Error> {
        let model = &manifest.model;
        let bytes = serde_json::to_vec(manifest).map_err(|source| Error::Form {
            model: model.clone(),
            id: "to be written".into(),
            source,
        })?;
        let id = DatasetId(blake3::hash(&bytes).to_hex().to_string());
        let path = path(model, &id, MANIFEST);
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&path, bytes.clone().into(), create).await {
            Ok(_) => Ok(id),
            Err(object_store::Error::AlreadyExists { .. }) => {
                match self.read(model, &id, MANIFEST).await? {
                    Some(there) if there == bytes => Ok(id),
                    _ => Err(Error::Occupied { model: model.clone(), id: id.0 }),
                }
            }
            Err(source) => Err(self.failed("write", model, &id.0, source)),
        }
    }

    /// The manifest of a dataset.
    pub async fn load<P: DeserializeOwned>(
        &self,
        model: &ModelName,
        id: &DatasetId,
    ) -> Result<Manifest<P>, Error> {
        let bytes = self.read(model, id, MANIFEST).await?;
        let bytes =
            bytes.ok_or_else(|| Error::Unknown { model: model.clone(), id: id.0.clone() })?;
        understood(&bytes, model, id)
    }

    /// Ids of a model's datasets in their own order, at most `limit` of them, those after `after`.
    pub async fn list(
        &self,
        model: &ModelName,
        after: Option<&DatasetId>,
        limit: usize,
    ) -> Result<Vec<DatasetId>, Error> {
        let directory = Path::from(format!("datasets/{model}"));
        let found = self.store.list_with_delimiter(Some(&directory)).await;
        let found = found.map_err(|source| self.failed("list", model, "*", source))?;
        let names = found.objects.iter().filter_map(|meta| meta.location.filename());
        let mut ids = names
            .filter_map(|name| name.strip_suffix(MANIFEST))
            .filter(|id| after.is_none_or(|after| *id > after.0.as_str()))
            .map(|id| DatasetId(id.to_owned()))
            .collect::<Vec<_>>();
        ids.sort_unstable();
        ids.truncate(limit);
        Ok(ids)
    }

    /// Compares a dataset with its files, read anew and below `base`; none of it where a tombstone
    /// says why the dataset is gone.
    pub async fn verify(
        &self,
        model: &ModelName,
        id: &DatasetId,
        base: &FilePath,
    ) -> Result<Vec<Problem>, Error> {
        if self.tombstone_of(model, id).await?.is_some() {
            return Ok(Vec::new());
        }
        let Some(bytes) = self.read(model, id, MANIFEST).await? else {
            return Ok(vec![Problem::ManifestMissing(id.clone())]);
        };
        if blake3::hash(&bytes).to_hex().as_str() != id.0 {
            return Ok(vec![Problem::ManifestChanged(id.clone())]);
        }
        let manifest: Manifest<IgnoredAny> = understood(&bytes, model, id)?;
        let problems = match Source::open(manifest.source.clone(), base) {
            Ok(source) => compare(&manifest, &source).await,
            Err(error) => Err(error),
        };
        match problems {
            Ok(problems) => Ok(problems),
            Err(error) if error.is_transient() => Err(error.into()),
            Err(error) => Ok(vec![Problem::Unreadable(error.to_string())]),
        }
    }

    /// Forgets a manifest, for stores that hold nothing but what can be made again.
    pub async fn forget(&self, model: &ModelName, id: &DatasetId) -> Result<(), Error> {
        match self.store.delete(&path(model, id, MANIFEST)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(self.failed("write", model, &id.0, source)),
        }
    }

    /// Marks a dataset as gone and removes its manifest, with its profile. Idempotent: the first
    /// reason stays.
    pub async fn tombstone(
        &self,
        model: &ModelName,
        id: &DatasetId,
        tombstone: &Tombstone,
    ) -> Result<(), Error> {
        let form = |source| Error::Form { model: model.clone(), id: id.0.clone(), source };
        let failed = |source| self.failed("write", model, &id.0, source);
        let bytes = serde_json::to_vec(tombstone).map_err(form)?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        match self.store.put_opts(&path(model, id, TOMBSTONE), bytes.into(), create).await {
            Ok(_) | Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(source) => return Err(failed(source)),
        }
        match self.store.delete(&path(model, id, MANIFEST)).await {
            Ok(()) | Err(object_store::Error::NotFound { .. }) => Ok(()),
            Err(source) => Err(failed(source)),
        }
    }

    /// Why a dataset is gone; `None` while it is not.
    pub async fn tombstone_of(
        &self,
        model: &ModelName,
        id: &DatasetId,
    ) -> Result<Option<Tombstone>, Error> {
        let bytes = self.read(model, id, TOMBSTONE).await?;
        bytes.map(|bytes| understood(&bytes, model, id)).transpose()
    }

    async fn read(
        &self,
        model: &ModelName,
        id: &DatasetId,
        ending: &str,
    ) -> Result<Option<Vec<u8>>, Error> {
        let failed = |source| self.failed("read", model, &id.0, source);
        match self.store.get(&path(model, id, ending)).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(failed)?.to_vec())),
            // A bucket that is gone is no dataset that is not there.
            Err(source) if Trouble::of(&source).is_absence() => Ok(None),
            Err(source) => Err(failed(source)),
        }
    }

    fn failed(
        &self,
        operation: &'static str,
        model: &ModelName,
        id: &str,
        source: object_store::Error,
    ) -> Error {
        let (model, id) = (model.clone(), id.to_owned());
        match self.remote.clone() {
            Some(place) => {
                let trouble = Box::new(Trouble::of(&source));
                Error::Remote { operation, model, id, place, trouble }
            }
            None => Error::Store { operation, model, id, source: Box::new(source) },
        }
    }

    async fn hash_one(&self, source: &Source, object: &Object) -> Result<String, Error> {
        let key = (object.path.clone(), object.size, object.modified);
        let known = self.hashes.lock().unwrap_or_else(PoisonError::into_inner).get(&key).cloned();
        if let Some(known) = known {
            return Ok(known);
        }
        let hash = source.hash(&object.path).await?;
        if !source.head(&object.path).await?.is_some_and(|now| is_same(&now, object)) {
            return Err(Error::Moving(object.path.clone()));
        }
        let mut hashes = self.hashes.lock().unwrap_or_else(PoisonError::into_inner);
        if hashes.len() >= HASHES_MAX {
            hashes.clear();
        }
        hashes.insert(key, hash.clone());
        Ok(hash)
    }
}

/// Whether a file is as it was. Buckets tell times to the millisecond in listings and to the second
/// elsewhere.
fn is_same(now: &Object, was: &Object) -> bool {
    let step = if was.path.starts_with("s3://") { 1_000 } else { 1 };
    let at = |object: &Object| object.modified.0.div_euclid(step);
    now.path == was.path && now.size == was.size && at(now) == at(was)
}

impl Error {
    /// Whether trying again can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Error::Store { .. } | Error::Moving(_) => true,
            Error::Remote { trouble, .. } => trouble.is_transient(),
            Error::Source(source) => source.is_transient(),
            Error::Unknown { .. }
            | Error::Occupied { .. }
            | Error::Form { .. }
            | Error::Directory { .. } => false,
        }
    }
}

/// Compares content, not times of change, and trusts no hash in memory.
async fn compare<P>(
    manifest: &Manifest<P>,
    source: &Source,
) -> Result<Vec<Problem>, crate::error::Error> {
    let mut problems = Vec::new();
    for object in &manifest.objects {
        match source.head(&object.path).await? {
            None => problems.push(Problem::FileMissing(object.path.clone())),
            Some(now) if now.size != object.size => {
                problems.push(Problem::FileChanged(object.path.clone()));
            }
            Some(_) if source.hash(&object.path).await? != object.blake3 => {
                problems.push(Problem::FileChanged(object.path.clone()));
            }
            Some(_) => {}
        }
    }
    if !problems.is_empty() {
        return Ok(problems);
    }
    let now = source.objects(manifest.window).await?;
    let known = |object: &&Object| manifest.objects.iter().all(|then| then.path != object.path);
    problems.extend(now.iter().filter(known).map(|o| Problem::FileAdded(o.path.clone())));
    let rows = source.read(manifest.window, &manifest.schema, Columns::TimesAndLabel).await?;
    for (part, name, then) in [
        (Part::Train, "training slice", manifest.rows.train),
        (Part::Stopping, "early-stopping slice", manifest.rows.stopping),
        (Part::Holdout, "holdout", manifest.rows.holdout),
    ] {
        let now = split::positions(&rows, manifest.window, &manifest.cuts, part).len() as u64;
        if now != then {
            problems.push(Problem::RowsChanged { part: name, then, now });
        }
    }
    Ok(problems)
}

fn path(model: &ModelName, id: &DatasetId, ending: &str) -> Path {
    Path::from(format!("datasets/{model}/{}{ending}", id.0))
}

fn understood<T: DeserializeOwned>(
    bytes: &[u8],
    model: &ModelName,
    id: &DatasetId,
) -> Result<T, Error> {
    serde_json::from_slice(bytes).map_err(|source| Error::Form {
        model: model.clone(),
        id: id.0.clone(),
        source,
    })
}
