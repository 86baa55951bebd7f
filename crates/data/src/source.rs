//! A model's source: its files, their schema, and their rows by windows of event time.

use std::collections::BTreeSet;
use std::path::{Path as FilePath, PathBuf};
use std::sync::Arc;

use afresh_core::time::{Duration, Timestamp, Window};
use futures::TryStreamExt;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectMeta, ObjectStore, ObjectStoreExt};

use crate::build::Build;
use crate::csv_file::CsvFile;
use crate::error::{Error, Warning, near};
use crate::infer::Inference;
use crate::location::{Dates, Location, Pattern};
use crate::parquet_file::ParquetFile;
use crate::rows::Rows;
use crate::schema::Schema;
use crate::spec::{Columns, SourceSpec};

/// The files of one model's rows.
#[derive(Clone, Debug)]
pub struct Source {
    spec: SourceSpec,
    /// The directory of `store`, as written in the location.
    root: String,
    store: Arc<dyn ObjectStore>,
    files: Files,
}

/// One file of a source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Object {
    /// Its path, written as the location is: relative to `afresh.toml` or absolute.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was last changed.
    pub modified: Timestamp,
}

/// First and last event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Span {
    /// Of the first event.
    pub first: Timestamp,
    /// Of the last event, itself inside.
    pub last: Timestamp,
}

/// Rows, and what reading them took.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Reading {
    /// The rows.
    pub rows: Rows,
    /// What is legal and yet worth a look.
    pub warnings: Vec<Warning>,
    /// Files opened.
    pub objects_read: usize,
    /// Row groups of Parquet files decoded.
    pub row_groups_read: usize,
    /// Row groups of the Parquet files opened.
    pub row_groups: usize,
}

/// Which files below the root belong to the source.
#[derive(Clone, Debug)]
enum Files {
    One(String),
    Directory,
    Matching(Pattern),
}

#[derive(Clone, Copy)]
enum Format {
    Parquet,
    Csv,
}

impl Source {
    /// Finds the source; a relative location counts from `base`, the folder of `afresh.toml`.
    /// Files are listed by every read anew.
    pub fn open(spec: SourceSpec, base: &FilePath) -> Result<Source, Error> {
        let base = if base.as_os_str().is_empty() { FilePath::new(".") } else { base };
        let location = spec.location.clone();
        let wrong = |why| Error::Location { location: location.clone(), why };
        let (root, files) = match Location::parse(&location).map_err(wrong)? {
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
        let failed = |source| unreadable(&root, source);
        let store = LocalFileSystem::new_with_prefix(directory).map_err(failed)?;
        Ok(Source { spec, root, store: Arc::new(store), files })
    }

    /// What the source was opened with.
    #[must_use]
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// The files that may hold events of `window`, by path; dated paths outside it are left out.
    pub async fn objects(&self, window: Window) -> Result<Vec<Object>, Error> {
        let metas = match &self.files {
            Files::One(name) => {
                let path = inner_path(name)?;
                let meta = self.store.head(&path).await;
                vec![(meta.map_err(|source| unreadable(name, source))?, Dates::default())]
            }
            Files::Directory => {
                let metas = self.list(false).await?;
                let found = metas
                    .into_iter()
                    .filter(|meta| format(meta.location.as_ref()).is_some())
                    .map(|meta| (meta, Dates::default()))
                    .collect::<Vec<_>>();
                if found.is_empty() {
                    return Err(Error::NoDataFiles { directory: self.root.clone() });
                }
                found
            }
            Files::Matching(pattern) => {
                let metas = self.list(pattern.deep).await?;
                let matched = metas.iter().filter_map(|meta| {
                    let path = meta.location.as_ref();
                    let dates = pattern.matches(path, self.spec.timezone)?;
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

    /// The schema: features in the order of the first file, the label's classes.
    pub async fn infer_schema(&self) -> Result<Schema, Error> {
        self.infer().await.map(|(schema, _)| schema)
    }

    /// As [`Source::infer_schema`], with what is worth a look.
    pub async fn infer(&self) -> Result<(Schema, Vec<Warning>), Error> {
        let mut inference = Inference::new(&self.spec);
        for object in self.objects(Window::ALL).await? {
            match format_of(&object)? {
                Format::Parquet => inference.parquet(&self.parquet(&object).await?).await?,
                Format::Csv => {
                    let bytes = self.fetch(&object.path).await?;
                    inference.csv(&CsvFile::open(&bytes, object.path)?)?;
                }
            }
        }
        inference.finish()
    }

    /// The rows of `window`, checked against `schema`; no row is no error.
    pub async fn read(
        &self,
        window: Window,
        schema: &Schema,
        columns: Columns<'_>,
    ) -> Result<Rows, Error> {
        self.read_reported(window, schema, columns).await.map(|reading| reading.rows)
    }

    /// As [`Source::read`], with warnings and what the reading took.
    pub async fn read_reported(
        &self,
        window: Window,
        schema: &Schema,
        columns: Columns<'_>,
    ) -> Result<Reading, Error> {
        let mut build = Build::new(&self.spec, schema, columns, window)?;
        let mut reading = Reading::default();
        for object in self.objects(window).await? {
            reading.objects_read += 1;
            match format_of(&object)? {
                Format::Parquet => {
                    let groups = self.parquet(&object).await?.read(&mut build).await?;
                    reading.row_groups_read += groups.read;
                    reading.row_groups += groups.all;
                }
                Format::Csv => {
                    let bytes = self.fetch(&object.path).await?;
                    CsvFile::open(&bytes, object.path)?.read(&mut build)?;
                }
            }
        }
        (reading.rows, reading.warnings) = build.finish();
        Ok(reading)
    }

    /// First and last event time of all files; an error where there is no row.
    pub async fn span(&self) -> Result<Span, Error> {
        let (time, zone) = (&self.spec.time, self.spec.timezone);
        let mut span: Option<Span> = None;
        for object in self.objects(Window::ALL).await? {
            let found = match format_of(&object)? {
                Format::Parquet => self.parquet(&object).await?.span(time, zone).await?,
                Format::Csv => {
                    let bytes = self.fetch(&object.path).await?;
                    CsvFile::open(&bytes, object.path)?.span(time, zone)?
                }
            };
            span = span.into_iter().chain(found).reduce(Span::with);
        }
        span.ok_or_else(|| Error::NoRows { location: self.spec.location.clone() })
    }

    /// BLAKE3 of the bytes of the file at `path`, one of [`Source::objects`], in hexadecimal.
    pub async fn hash(&self, path: &str) -> Result<String, Error> {
        let inner = inner_path(self.below_root(path))?;
        let failed = |source| unreadable(path, source);
        let found = self.store.get(&inner).await.map_err(failed)?;
        // A local file is read in one go: as a stream it would come in thousands of small pieces.
        if let GetResultPayload::File(file, _) = found.payload {
            let generic = |source| object_store::Error::Generic { store: "local", source };
            let hashed = tokio::task::spawn_blocking(move || {
                let mut hasher = blake3::Hasher::new();
                hasher.update_reader(file).map(|hasher| hasher.finalize().to_hex().to_string())
            });
            let hashed = hashed.await.map_err(|stopped| failed(generic(stopped.into())))?;
            return hashed.map_err(|error| failed(generic(error.into())));
        }
        let mut bytes = found.into_stream();
        let mut hasher = blake3::Hasher::new();
        while let Some(chunk) = bytes.try_next().await.map_err(failed)? {
            hasher.update(&chunk);
        }
        Ok(hasher.finalize().to_hex().to_string())
    }

    /// Size and time of change of the file at `path`; `None` where it is gone.
    pub async fn head(&self, path: &str) -> Result<Option<Object>, Error> {
        match self.store.head(&inner_path(self.below_root(path))?).await {
            Ok(meta) => Ok(Some(self.object(&meta))),
            Err(object_store::Error::NotFound { .. }) => Ok(None),
            Err(source) => Err(unreadable(path, source)),
        }
    }

    async fn parquet(&self, object: &Object) -> Result<ParquetFile, Error> {
        let path = inner_path(self.below_root(&object.path))?;
        let store = Arc::clone(&self.store);
        ParquetFile::open(store, path, object.size, object.path.clone()).await
    }

    async fn fetch(&self, path: &str) -> Result<bytes::Bytes, Error> {
        let inner = inner_path(self.below_root(path))?;
        let failed = |source| unreadable(path, source);
        self.store.get(&inner).await.map_err(failed)?.bytes().await.map_err(failed)
    }

    async fn list(&self, deep: bool) -> Result<Vec<ObjectMeta>, Error> {
        let failed = |source| unreadable(&self.root, source);
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

    fn object(&self, meta: &ObjectMeta) -> Object {
        let inner = meta.location.as_ref();
        let path = match self.root.as_str() {
            "" => inner.to_owned(),
            root => format!("{}/{inner}", root.trim_end_matches('/')),
        };
        let modified = Timestamp(meta.last_modified.timestamp_millis());
        Object { path, size: meta.size, modified }
    }

    fn no_match(&self, metas: &[ObjectMeta]) -> Error {
        let mut beside = metas
            .iter()
            .map(|meta| self.object(meta).path)
            .filter(|path| format(path).is_some())
            .collect::<Vec<_>>();
        beside.sort();
        beside.truncate(3);
        Error::NoMatch { location: self.spec.location.clone(), near: beside }
    }

    /// The path of an object within the store.
    fn below_root<'p>(&self, path: &'p str) -> &'p str {
        path.strip_prefix(self.root.as_str()).unwrap_or(path).trim_start_matches('/')
    }
}

impl Span {
    /// The span of both.
    #[must_use]
    pub fn with(self, other: Span) -> Span {
        Span { first: self.first.min(other.first), last: self.last.max(other.last) }
    }

    /// The smallest window with every event in it.
    #[must_use]
    pub fn window(self) -> Window {
        Window { from: self.first, to: self.last.after(Duration(1)) }
    }
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

fn format_of(object: &Object) -> Result<Format, Error> {
    format(&object.path).ok_or_else(|| Error::Format { file: object.path.clone() })
}

fn unreadable(file: &str, source: object_store::Error) -> Error {
    Error::Unreadable { file: file.to_owned(), source }
}

/// `name` as a path of the store.
fn inner_path(name: &str) -> Result<Path, Error> {
    Path::parse(name).map_err(|error| unreadable(name, error.into()))
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
