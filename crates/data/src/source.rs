//! A model's source: its files, their schema, and their rows by windows of event time.

use std::path::Path as FilePath;

use afresh_core::time::{Duration, Timestamp, Window};
use futures::TryStreamExt;
use object_store::{GetResultPayload, ObjectStoreExt};

use crate::build::Build;
use crate::csv_file::CsvFile;
use crate::error::{Error, Warning};
use crate::infer::Inference;
use crate::place::{self, Format, Place};
use crate::rows::Rows;
use crate::schema::Schema;
use crate::spec::{Columns, SourceSpec};

pub use crate::place::Object;

/// The files of one model's rows.
#[derive(Clone, Debug)]
pub struct Source {
    spec: SourceSpec,
    place: Place,
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

impl Source {
    /// Finds the source; a relative location counts from `base`, the folder of `afresh.toml`.
    /// Files are listed by every read anew.
    pub fn open(spec: SourceSpec, base: &FilePath) -> Result<Source, Error> {
        let place = place::open(&spec.location, base)?;
        Ok(Source { spec, place })
    }

    /// What the source was opened with.
    #[must_use]
    pub fn spec(&self) -> &SourceSpec {
        &self.spec
    }

    /// The files that may hold events of `window`, by path; dated paths outside it are left out.
    pub async fn objects(&self, window: Window) -> Result<Vec<Object>, Error> {
        self.place.objects(window, self.spec.timezone).await
    }

    /// The schema: features in the order of the first file, the label's classes.
    pub async fn infer_schema(&self) -> Result<Schema, Error> {
        self.infer().await.map(|(schema, _)| schema)
    }

    /// As [`Source::infer_schema`], with what is worth a look.
    pub async fn infer(&self) -> Result<(Schema, Vec<Warning>), Error> {
        let mut inference = Inference::new(&self.spec);
        for object in self.objects(Window::ALL).await? {
            match object.format()? {
                Format::Parquet => inference.parquet(&self.place.parquet(&object).await?).await?,
                Format::Csv => {
                    let bytes = self.place.bytes(&object.path).await?;
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
            match object.format()? {
                Format::Parquet => {
                    let groups = self.place.parquet(&object).await?.read(&mut build).await?;
                    reading.row_groups_read += groups.read;
                    reading.row_groups += groups.all;
                }
                Format::Csv => {
                    let bytes = self.place.bytes(&object.path).await?;
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
            let found = match object.format()? {
                Format::Parquet => self.place.parquet(&object).await?.span(time, zone).await?,
                Format::Csv => {
                    let bytes = self.place.bytes(&object.path).await?;
                    CsvFile::open(&bytes, object.path)?.span(time, zone)?
                }
            };
            span = span.into_iter().chain(found).reduce(Span::with);
        }
        span.ok_or_else(|| Error::NoRows { location: self.spec.location.clone() })
    }

    /// BLAKE3 of the bytes of the file at `path`, one of [`Source::objects`], in hexadecimal.
    pub async fn hash(&self, path: &str) -> Result<String, Error> {
        let inner = self.place.inner(path)?;
        let failed = |source| Error::unreadable(path, source);
        let found = self.place.store().get(&inner).await.map_err(failed)?;
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
        self.place.head(path).await
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
