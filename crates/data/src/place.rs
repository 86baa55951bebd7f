//! The files of a location, on disk or on S3: found, listed and fetched the same way.

use std::collections::BTreeSet;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use afresh_core::time::{Duration, Timestamp, Window};
use bytes::Bytes;
use chrono_tz::Tz;
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::error::{Error, near};
use crate::location::{Dates, Location, Pattern};
use crate::parquet_file::ParquetFile;
use crate::remote;

/// The files of one location, which every listing looks for anew.
#[derive(Clone, Debug)]
pub struct Place {
    /// As written.
    location: String,
    /// The directory of `store`, as written in the location.
    root: String,
    store: Arc<dyn ObjectStore>,
    files: Files,
}

/// One file of a place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its path, written as the location is: relative to `afresh.toml`, absolute, or `s3://…`.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: Timestamp,
}

/// What a file holds, told by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// `.parquet` or `.pq`.
    Parquet,
    /// `.csv` or `.tsv`.
    Csv,
}

/// Which files below the root belong to the place.
#[derive(Clone, Debug)]
enum Files {
    One(String),
    Directory,
    Matching(Pattern),
}

/// What is wrong with a location that could never be opened, and what to write instead.
///
/// # Errors
/// The words.
pub fn check(location: &str) -> Result<(), String> {
    let rest = match remote::parse(location)? {
        Some(address) => address.key,
        None => location,
    };
    if rest.is_empty() && rest != location { Ok(()) } else { Location::parse(rest).map(|_| ()) }
}

/// Opens a location; one on disk that is relative counts from `base`.
///
/// # Errors
/// The location cannot be understood, or what it names does not exist.
pub fn open(location: &str, base: &FilePath) -> Result<Place, Error> {
    let wrong = |why| Error::Location { location: location.to_owned(), why };
    match remote::parse(location).map_err(wrong)? {
        Some(address) => on_s3(location, &address),
        None => on_disk(location, base),
    }
}

/// The store of a directory on S3, for what Afresh itself keeps there.
///
/// # Errors
/// The location is not one of S3, or cannot be understood.
pub fn store(location: &str) -> Result<Arc<dyn ObjectStore>, Error> {
    let wrong = |why| Error::Location { location: location.to_owned(), why };
    let address = remote::parse(location).map_err(wrong)?;
    let address = address.ok_or_else(|| wrong("write `s3://BUCKET/PREFIX`".to_owned()))?;
    let prefix = Path::parse(address.key).map_err(|error| wrong(error.to_string()))?;
    let bucket = remote::open(address.bucket).map_err(wrong)?;
    Ok(if address.key.is_empty() { bucket } else { Arc::new(PrefixStore::new(bucket, prefix)) })
}

fn on_s3(location: &str, address: &remote::Address<'_>) -> Result<Place, Error> {
    let wrong = |why| Error::Location { location: location.to_owned(), why };
    let (root, files) = if address.key.is_empty() {
        (String::new(), Files::Directory)
    } else {
        match Location::parse(address.key).map_err(wrong)? {
            Location::Pattern { root, pattern } => (root, Files::Matching(pattern)),
            // Nothing tells a file from a directory without asking; a name does well enough.
            Location::Plain(key) if format(&key).is_none() || key.ends_with('/') => {
                (key.trim_end_matches('/').to_owned(), Files::Directory)
            }
            Location::Plain(key) => match key.rsplit_once('/') {
                Some((root, name)) => (root.to_owned(), Files::One(name.to_owned())),
                None => (String::new(), Files::One(key)),
            },
        }
    };
    let bucket = remote::open(address.bucket).map_err(wrong)?;
    let prefix = Path::parse(&root).map_err(|error| wrong(error.to_string()))?;
    let store: Arc<dyn ObjectStore> =
        if root.is_empty() { bucket } else { Arc::new(PrefixStore::new(bucket, prefix)) };
    let root = format!("{}{}/{root}", remote::SCHEME, address.bucket);
    let root = root.trim_end_matches('/').to_owned();
    Ok(Place { location: location.to_owned(), root, store, files })
}

fn on_disk(location: &str, base: &FilePath) -> Result<Place, Error> {
    let wrong = |why| Error::Location { location: location.to_owned(), why };
    let base = if base.as_os_str().is_empty() { FilePath::new(".") } else { base };
    let (root, files) = match Location::parse(location).map_err(wrong)? {
        Location::Pattern { root, pattern } => (root, Files::Matching(pattern)),
        Location::Plain(path) => {
            let path = if path.len() > 1 { path.trim_end_matches('/') } else { &path };
            if base.join(path).is_dir() {
                (path.to_owned(), Files::Directory)
            } else {
                format(path).ok_or_else(|| {
                    missing_or(base, path, Error::Format { file: path.to_owned() })
                })?;
                let (root, name) = match path.rsplit_once('/') {
                    Some(("", name)) => ("/", name),
                    Some((root, name)) => (root, name),
                    None => ("", path),
                };
                if !base.join(path).exists() {
                    return Err(missing(base, path));
                }
                (root.to_owned(), Files::One(name.to_owned()))
            }
        }
    };
    let directory = base.join(&root);
    if !directory.is_dir() {
        return Err(missing(base, &root));
    }
    let failed = |source| Error::unreadable(&root, source);
    let store = LocalFileSystem::new_with_prefix(directory).map_err(failed)?;
    Ok(Place { location: location.to_owned(), root, store: Arc::new(store), files })
}

impl Place {
    /// The files that may hold events of `window`, by path; dated paths outside it, whose dates
    /// are midnights of `zone`, are left out.
    pub async fn objects(&self, window: Window, zone: Tz) -> Result<Vec<Object>, Error> {
        let metas = match &self.files {
            Files::One(name) => match self.meta(&inner_path(name)?).await {
                Ok(meta) => vec![(meta, Dates::default())],
                Err(source) => self.parts(name, source).await?,
            },
            Files::Directory => {
                let found = data_files(self.list(false).await?);
                if found.is_empty() {
                    return Err(Error::NoDataFiles { directory: self.root.clone() });
                }
                found
            }
            Files::Matching(pattern) => {
                let metas = self.list(pattern.deep).await?;
                let matched = metas.iter().filter_map(|meta| {
                    let path = meta.location.as_ref();
                    let dates = pattern.matches(path, zone)?;
                    format(path).map(|_| (meta.clone(), dates))
                });
                let matched = matched.collect::<Vec<_>>();
                if matched.is_empty() {
                    return Err(self.no_match(&metas));
                }
                matched
            }
        };
        Ok(self.in_window(metas, window))
    }

    /// Size and time of change of the file at `path`, one of [`Place::objects`]; `None` where it
    /// is gone.
    pub async fn head(&self, path: &str) -> Result<Option<Object>, Error> {
        let inner = self.inner(path)?;
        match self.meta(&inner).await {
            Ok(meta) => Ok(Some(self.object(&meta))),
            Err(object_store::Error::NotFound { .. }) => {
                // A missing bucket answers the same, and only a listing tells it apart.
                if remote::is_remote(&self.root) {
                    let mut beside = self.store.list(Some(&inner));
                    beside.try_next().await.map_err(|error| Error::unreadable(path, error))?;
                }
                Ok(None)
            }
            Err(source) => Err(Error::unreadable(path, source)),
        }
    }

    /// All bytes of the file at `path`, one of [`Place::objects`].
    pub async fn bytes(&self, path: &str) -> Result<Bytes, Error> {
        let failed = |source| Error::unreadable(path, source);
        self.store.get(&self.inner(path)?).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    /// Opens a Parquet file of the place by its footer.
    pub(crate) async fn parquet(&self, object: &Object) -> Result<ParquetFile, Error> {
        let path = self.inner(&object.path)?;
        ParquetFile::open(Arc::clone(&self.store), path, object.size, object.path.clone()).await
    }

    /// The store below whose root the files are.
    pub(crate) fn store(&self) -> &dyn ObjectStore {
        self.store.as_ref()
    }

    /// Where the store has the file at `path`.
    pub(crate) fn inner(&self, path: &str) -> Result<Path, Error> {
        let below = path.strip_prefix(self.root.as_str()).unwrap_or(path);
        inner_path(below.trim_start_matches('/'))
    }

    /// A table written by a cluster is a directory that is named like a file.
    async fn parts(
        &self,
        name: &str,
        error: object_store::Error,
    ) -> Result<Vec<(ObjectMeta, Dates)>, Error> {
        let path = self.full(name);
        if !remote::is_remote(&self.root) || !matches!(error, object_store::Error::NotFound { .. })
        {
            return Err(Error::unreadable(&path, error));
        }
        let below = inner_path(name)?;
        let listed = self.store.list(Some(&below)).try_collect().await;
        let found = data_files(listed.map_err(|source| Error::unreadable(&path, source))?);
        if found.is_empty() {
            return Err(Error::Missing { path, near: Vec::new() });
        }
        Ok(found)
    }

    async fn list(&self, deep: bool) -> Result<Vec<ObjectMeta>, Error> {
        let failed = |source| Error::unreadable(&self.root, source);
        if deep {
            return self.store.list(None).try_collect().await.map_err(failed);
        }
        self.store.list_with_delimiter(None).await.map(|all| all.objects).map_err(failed)
    }

    fn in_window(&self, mut metas: Vec<(ObjectMeta, Dates)>, window: Window) -> Vec<Object> {
        metas.sort_by(|a, b| a.0.location.cmp(&b.0.location));
        let starts = metas.iter().filter_map(|(_, dates)| dates.from).collect::<BTreeSet<_>>();
        let next = |dates: &Dates| starts.range(dates.from?.after(Duration(1))..).next().copied();
        let inside = metas.iter().filter(|(_, dates)| dates.may_touch(window, next(dates)));
        inside.map(|(meta, _)| self.object(meta)).collect()
    }

    /// What the store says of one file, under the path by which it was asked: a store below a prefix
    /// answers with the whole key.
    async fn meta(&self, inner: &Path) -> object_store::Result<ObjectMeta> {
        let meta = self.store.head(inner).await?;
        Ok(ObjectMeta { location: inner.clone(), ..meta })
    }

    fn object(&self, meta: &ObjectMeta) -> Object {
        let modified = Timestamp(meta.last_modified.timestamp_millis());
        Object { path: self.full(meta.location.as_ref()), size: meta.size, modified }
    }

    /// How a path of the store is written outside.
    fn full(&self, inner: &str) -> String {
        match self.root.as_str() {
            "" => inner.to_owned(),
            root => format!("{}/{inner}", root.trim_end_matches('/')),
        }
    }

    fn no_match(&self, metas: &[ObjectMeta]) -> Error {
        let mut beside = metas
            .iter()
            .map(|meta| self.object(meta).path)
            .filter(|path| format(path).is_some())
            .collect::<Vec<_>>();
        beside.sort();
        beside.truncate(3);
        Error::NoMatch { location: self.location.clone(), near: beside }
    }
}

impl Object {
    /// What the file holds, told by its name.
    ///
    /// # Errors
    /// It is named like neither.
    pub fn format(&self) -> Result<Format, Error> {
        format(&self.path).ok_or_else(|| Error::Format { file: self.path.clone() })
    }
}

fn data_files(metas: Vec<ObjectMeta>) -> Vec<(ObjectMeta, Dates)> {
    let found = metas.into_iter().filter(|meta| format(meta.location.as_ref()).is_some());
    found.map(|meta| (meta, Dates::default())).collect()
}

/// Told by the name's ending; hidden files are none.
fn format(path: &str) -> Option<Format> {
    let name = path.rsplit('/').next().unwrap_or(path);
    let (start, ending) = name.rsplit_once('.')?;
    if start.is_empty() || start.starts_with('.') {
        return None;
    }
    match ending.to_ascii_lowercase().as_str() {
        "parquet" | "pq" => Some(Format::Parquet),
        "csv" | "tsv" => Some(Format::Csv),
        _ => None,
    }
}

/// `name` as a path of the store.
fn inner_path(name: &str) -> Result<Path, Error> {
    Path::parse(name).map_err(|error| Error::unreadable(name, error.into()))
}

fn missing_or(base: &FilePath, path: &str, other: Error) -> Error {
    if base.join(path).exists() { other } else { missing(base, path) }
}

/// Names the first part of `path` that does not exist, with what stands beside it.
fn missing(base: &FilePath, path: &str) -> Error {
    let mut parent = base.to_owned();
    let mut written = String::new();
    for part in path.split('/') {
        let here = if part.is_empty() { PathBuf::from("/") } else { parent.join(part) };
        written.push_str(part);
        if !here.exists() {
            let entries = std::fs::read_dir(&parent).into_iter().flatten().flatten();
            let names = entries
                .filter_map(|entry| entry.file_name().into_string().ok())
                .collect::<Vec<_>>();
            let prefix = written[..written.len() - part.len()].to_owned();
            let near = near(part, names.iter().map(String::as_str));
            let near = near.into_iter().map(|name| format!("{prefix}{name}")).collect();
            return Error::Missing { path: written, near };
        }
        written.push('/');
        parent = here;
    }
    Error::Missing { path: path.to_owned(), near: Vec::new() }
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;

    use super::*;

    /// Two files in a bucket, seen from the directory `data` in it.
    async fn place(files: Files) -> Place {
        let bucket = Arc::new(InMemory::new());
        for key in ["data/a.csv", "data/b.csv"] {
            bucket.put(&Path::from(key), "t,label\n".into()).await.unwrap();
        }
        let store = Arc::new(PrefixStore::new(bucket, "data"));
        let root = "s3://bucket/data".to_owned();
        Place { location: root.clone(), root, store, files }
    }

    #[tokio::test]
    async fn a_file_below_a_prefix_is_told_alike_by_listing_and_by_head() {
        for files in [Files::Directory, Files::One("a.csv".to_owned())] {
            let place = place(files).await;
            let objects = place.objects(Window::ALL, Tz::UTC).await.unwrap();
            assert_eq!(objects[0].path, "s3://bucket/data/a.csv");
            assert_eq!(place.head(&objects[0].path).await.unwrap().as_ref(), Some(&objects[0]));
            assert_eq!(&place.bytes(&objects[0].path).await.unwrap()[..], b"t,label\n");
        }
    }
}
