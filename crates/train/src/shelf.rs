//! Versions kept on S3: the files first, the manifest last and only once, so that whoever looks
//! finds a version whole or not at all. On disk stays a copy, checked by its hashes.
//!
//! `versions/MODEL/vN/HASH/FILE` and `versions/MODEL/vN/manifest.json`, which names the hash.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::Path;
use std::sync::Arc;

use afresh_core::id::{ModelName, VersionId};
use afresh_core::time::Timestamp;
use afresh_data::place;
use afresh_data::remote::Trouble;
use futures::stream::FuturesUnordered;
use futures::{StreamExt as _, TryStreamExt as _};
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt as _};
use object_store::{PutMode, PutOptions, PutPayload};

use crate::artifact::{self, Artifact, FILES_MAX, MANIFEST_FILE, Manifest};
use crate::error::{Error, Retry};

/// Versions below one location.
#[derive(Clone, Debug)]
pub struct Shelf {
    store: Arc<dyn ObjectStore>,
    location: String,
}

/// A file that no manifest names: of an upload that was killed, or that lost against another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orphan {
    /// As written outside: `s3://…`.
    pub path: String,
    /// Its length.
    pub size_bytes: u64,
    key: Key,
}

/// Files up to this length are put in one request, which is whole or nothing.
const ONE_REQUEST_BYTES: u64 = 16 << 20;
/// Length of a part of a longer file; S3 takes 10,000 of them.
const PART_BYTES: usize = 8 << 20;
/// Parts under way at once.
const PARTS_AT_ONCE: usize = 4;
/// Digits of a version's hash that name the directory of its files.
const HASH_DIGITS: usize = 16;

impl Shelf {
    /// The shelf at `location`, such as `s3://bucket/prefix`.
    ///
    /// # Errors
    /// The location cannot be understood, this build has no S3, or credentials are missing.
    pub fn open(location: &str) -> Result<Shelf, Error> {
        let store = place::store(location).map_err(|error| Error::Shelf {
            action: "open".to_owned(),
            place: location.to_owned(),
            message: error.to_string(),
            retry: Retry::Permanent,
        })?;
        Ok(Shelf::new(store, location))
    }

    /// A shelf in any store, which errors call `location`.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>, location: &str) -> Shelf {
        Shelf { store, location: location.trim_end_matches('/').to_owned() }
    }

    /// Where a version is, as written outside.
    #[must_use]
    pub fn place(&self, model: &ModelName, version: VersionId) -> String {
        format!("{}/versions/{model}/{version}", self.location)
    }

    /// Whether the store answers; an empty shelf does.
    ///
    /// # Errors
    /// Why it does not.
    pub async fn probe(&self) -> Result<(), Error> {
        let mut found = self.store.list(Some(&Key::from("versions")));
        found.try_next().await.map(|_| ()).map_err(|error| self.failed("read", "", &error))
    }

    /// Whether a version is there whole.
    ///
    /// # Errors
    /// The store fails.
    pub async fn holds(&self, model: &ModelName, version: VersionId) -> Result<bool, Error> {
        self.manifest(model, version).await.map(|found| found.is_some())
    }

    /// Puts a sealed artifact on the shelf. The same one may be put again.
    ///
    /// # Errors
    /// The store fails, or another artifact is this version already. Nothing of a failed put can be
    /// seen but by [`Shelf::orphans`].
    pub async fn put(
        &self,
        model: &ModelName,
        version: VersionId,
        artifact: &Artifact,
    ) -> Result<(), Error> {
        if self.is_there(model, version, artifact).await? {
            return Ok(());
        }
        let files = directory(model, version, artifact.manifest());
        for entry in &artifact.manifest().files {
            let path = artifact.dir().join(&entry.name);
            self.upload(&path, entry.size_bytes, &Key::from(format!("{files}/{}", entry.name)))
                .await?;
        }
        let path = artifact.dir().join(MANIFEST_FILE);
        let text = std::fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
        let create = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
        let key = manifest_key(model, version);
        match self.store.put_opts(&key, text.into(), create).await {
            Ok(_) => Ok(()),
            // By another, or by a request of ours whose answer was lost.
            Err(object_store::Error::AlreadyExists { .. }) => {
                self.is_there(model, version, artifact).await.map(|_| ())
            }
            Err(error) => Err(self.failed("write", key.as_ref(), &error)),
        }
    }

    /// Brings a version to the directory `dir`, on whose file system it is checked first.
    ///
    /// # Errors
    /// It is not on the shelf, damaged, or the store fails.
    pub async fn fetch(
        &self,
        model: &ModelName,
        version: VersionId,
        dir: &Path,
    ) -> Result<Artifact, Error> {
        let missing = || Error::Damaged {
            path: self.place(model, version),
            damage: format!("{MANIFEST_FILE} is missing"),
        };
        let text = self.manifest(model, version).await?.ok_or_else(missing)?;
        let manifest: Manifest = serde_json::from_slice(&text).map_err(|error| Error::Damaged {
            path: self.place(model, version),
            damage: format!("{MANIFEST_FILE} cannot be read: {error}"),
        })?;
        let staging = artifact::stage(dir)?;
        let files = directory(model, version, &manifest);
        for entry in manifest.files.iter().take(FILES_MAX) {
            // A name that leads elsewhere is refused before anything is written.
            if !artifact::is_plain(&entry.name) {
                let damage = format!("`{}` is not the name of a file", entry.name);
                return Err(Error::Damaged { path: self.place(model, version), damage });
            }
            let key = Key::from(format!("{files}/{}", entry.name));
            self.download(&key, &staging.join(&entry.name)).await?;
        }
        let path = staging.join(MANIFEST_FILE);
        std::fs::write(&path, &text).map_err(|error| Error::io("write", &path, &error))?;
        if let Err(error) = Artifact::load(&staging) {
            artifact::remove(&staging)?;
            let place = self.place(model, version);
            return Err(if let Error::Damaged { damage, .. } = error {
                Error::Damaged { path: place, damage }
            } else {
                error
            });
        }
        artifact::replace(&staging, dir)?;
        Artifact::load(dir)
    }

    /// Versions of a model that are there whole, in their order, with the bytes they hold.
    ///
    /// # Errors
    /// The store fails.
    pub async fn versions(&self, model: &ModelName) -> Result<Vec<(VersionId, u64)>, Error> {
        let listed = self.list(model).await?;
        let size = |version| {
            let of = listed.iter().filter(|found| found.version == version);
            of.map(|found| found.meta.size).sum()
        };
        let whole = listed.iter().filter(|found| found.hash.is_none());
        let mut whole = whole.map(|found| (found.version, size(found.version))).collect::<Vec<_>>();
        whole.sort_unstable();
        Ok(whole)
    }

    /// Files that are older than `before` and that no manifest names.
    ///
    /// # Errors
    /// The store fails.
    pub async fn orphans(
        &self,
        model: &ModelName,
        before: Timestamp,
    ) -> Result<Vec<Orphan>, Error> {
        let mut orphans = Vec::new();
        let mut named: Option<(VersionId, Option<String>)> = None;
        let mut listed = self.list(model).await?;
        listed.sort_by_key(|found| found.version);
        for Found { version, hash, meta } in listed {
            let Some(hash) = hash else { continue };
            if before.0 <= meta.last_modified.timestamp_millis() {
                continue;
            }
            let known = match &named {
                Some((of, hash)) if *of == version => hash.clone(),
                _ => self.hash_of(model, version).await?,
            };
            if known.as_ref() != Some(&hash) {
                let path = format!("{}/{}", self.location, meta.location);
                orphans.push(Orphan { path, size_bytes: meta.size, key: meta.location });
            }
            named = Some((version, known));
        }
        Ok(orphans)
    }

    /// Removes an orphan.
    ///
    /// # Errors
    /// The store fails.
    pub async fn remove_orphan(&self, orphan: &Orphan) -> Result<(), Error> {
        self.delete(&orphan.key).await
    }

    /// Removes a version: first the manifest, after which nobody finds the rest.
    ///
    /// # Errors
    /// The store fails; what is left are orphans.
    pub async fn remove(&self, model: &ModelName, version: VersionId) -> Result<(), Error> {
        self.delete(&manifest_key(model, version)).await?;
        for found in self.list(model).await? {
            if found.version == version {
                self.delete(&found.meta.location).await?;
            }
        }
        Ok(())
    }

    /// Whether this very artifact is there; an error where another has taken its place.
    async fn is_there(
        &self,
        model: &ModelName,
        version: VersionId,
        artifact: &Artifact,
    ) -> Result<bool, Error> {
        match self.hash_of(model, version).await? {
            None => Ok(false),
            Some(hash) if hash == digits(artifact.manifest()) => Ok(true),
            Some(_) => Err(Error::Occupied { place: self.place(model, version) }),
        }
    }

    /// Directory of the files that a version's manifest names; `None` without a manifest.
    async fn hash_of(
        &self,
        model: &ModelName,
        version: VersionId,
    ) -> Result<Option<String>, Error> {
        let Some(text) = self.manifest(model, version).await? else { return Ok(None) };
        let manifest = serde_json::from_slice(&text).map_err(|error| Error::Damaged {
            path: self.place(model, version),
            damage: format!("{MANIFEST_FILE} cannot be read: {error}"),
        })?;
        Ok(Some(digits(&manifest)))
    }

    async fn manifest(
        &self,
        model: &ModelName,
        version: VersionId,
    ) -> Result<Option<Vec<u8>>, Error> {
        let key = manifest_key(model, version);
        let failed = |error: &object_store::Error| self.failed("read", key.as_ref(), error);
        match self.store.get(&key).await {
            Ok(found) => Ok(Some(found.bytes().await.map_err(|error| failed(&error))?.to_vec())),
            Err(error) if Trouble::of(&error).is_absence() => Ok(None),
            Err(error) => Err(failed(&error)),
        }
    }

    async fn upload(&self, path: &Path, size_bytes: u64, key: &Key) -> Result<(), Error> {
        let failed = |error: &object_store::Error| self.failed("write", key.as_ref(), error);
        if size_bytes <= ONE_REQUEST_BYTES {
            let bytes = std::fs::read(path).map_err(|error| Error::io("read", path, &error))?;
            let put = self.store.put(key, bytes.into()).await;
            return put.map(|_| ()).map_err(|error| failed(&error));
        }
        let mut upload = self.store.put_multipart(key).await.map_err(|error| failed(&error))?;
        let sent = match self.send_parts(path, key, upload.as_mut()).await {
            Ok(()) => upload.complete().await.map(|_| ()).map_err(|error| failed(&error)),
            Err(error) => Err(error),
        };
        if sent.is_err()
            && let Err(error) = upload.abort().await
        {
            // The parts cannot be seen; a rule of the bucket removes them in time.
            tracing::warn!(%error, %key, "parts of an upload stay behind");
        }
        sent
    }

    async fn send_parts(
        &self,
        path: &Path,
        key: &Key,
        upload: &mut dyn MultipartUpload,
    ) -> Result<(), Error> {
        let failed = |error: object_store::Error| self.failed("write", key.as_ref(), &error);
        let unread = |error: std::io::Error| Error::io("read", path, &error);
        let file = File::open(path).map_err(unread)?;
        let mut under_way = FuturesUnordered::new();
        loop {
            let mut part = Vec::with_capacity(PART_BYTES);
            let limit = u64::try_from(PART_BYTES).unwrap_or(u64::MAX);
            (&file).take(limit).read_to_end(&mut part).map_err(unread)?;
            if part.is_empty() {
                break;
            }
            under_way.push(upload.put_part(PutPayload::from(part)));
            if PARTS_AT_ONCE <= under_way.len() {
                under_way.try_next().await.map_err(failed)?;
            }
        }
        while under_way.try_next().await.map_err(failed)?.is_some() {}
        Ok(())
    }

    async fn download(&self, key: &Key, path: &Path) -> Result<(), Error> {
        let failed = |error: object_store::Error| self.failed("read", key.as_ref(), &error);
        let unwritten = |error: std::io::Error| Error::io("write", path, &error);
        let mut bytes = self.store.get(key).await.map_err(failed)?.into_stream();
        let mut file = File::create(path).map_err(unwritten)?;
        while let Some(chunk) = bytes.next().await {
            file.write_all(&chunk.map_err(failed)?).map_err(unwritten)?;
        }
        file.sync_all().map_err(unwritten)
    }

    async fn delete(&self, key: &Key) -> Result<(), Error> {
        match self.store.delete(key).await {
            Err(error) if !Trouble::of(&error).is_absence() => {
                Err(self.failed("remove", key.as_ref(), &error))
            }
            _ => Ok(()),
        }
    }

    async fn list(&self, model: &ModelName) -> Result<Vec<Found>, Error> {
        let prefix = Key::from(format!("versions/{model}"));
        let listed = self.store.list(Some(&prefix)).try_collect::<Vec<ObjectMeta>>().await;
        let listed = listed.map_err(|error| self.failed("list", prefix.as_ref(), &error))?;
        Ok(listed.into_iter().filter_map(|meta| Found::of(&prefix, meta)).collect())
    }

    fn failed(&self, action: &str, key: &str, error: &object_store::Error) -> Error {
        let trouble = Trouble::of(error);
        let retry = if trouble.is_transient() { Retry::Transient } else { Retry::Permanent };
        let (action, message) = (action.to_owned(), trouble.to_string());
        let place = format!("{}/{key}", self.location).trim_end_matches('/').to_owned();
        Error::Shelf { action, place, message, retry }
    }
}

/// An object below a model's prefix.
struct Found {
    version: VersionId,
    /// Directory of a file; `None` for the manifest.
    hash: Option<String>,
    meta: ObjectMeta,
}

impl Found {
    /// `None` for what no shelf wrote, such as the versions of another model below this one's name.
    fn of(prefix: &Key, meta: ObjectMeta) -> Option<Found> {
        let parts = meta.location.prefix_match(prefix)?;
        let parts = parts.map(|part| part.as_ref().to_owned()).collect::<Vec<_>>();
        let (version, hash) = match parts.as_slice() {
            [version, name] if name == MANIFEST_FILE => (version, None),
            [version, hash, _] if is_hash(hash) => (version, Some(hash.clone())),
            _ => return None,
        };
        let version = VersionId(version.strip_prefix('v')?.parse().ok()?);
        Some(Found { version, hash, meta })
    }
}

fn is_hash(text: &str) -> bool {
    text.len() == HASH_DIGITS && text.bytes().all(|digit| digit.is_ascii_hexdigit())
}

fn digits(manifest: &Manifest) -> String {
    manifest.hash.0.chars().take(HASH_DIGITS).collect()
}

fn manifest_key(model: &ModelName, version: VersionId) -> Key {
    Key::from(format!("versions/{model}/{version}/{MANIFEST_FILE}"))
}

fn directory(model: &ModelName, version: VersionId, manifest: &Manifest) -> String {
    format!("versions/{model}/{version}/{}", digits(manifest))
}
