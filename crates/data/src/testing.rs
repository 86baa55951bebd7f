//! Small files for the tests of this crate.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use afresh_core::time::{Timestamp, Window};
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch, TimestampMillisecondArray};
use arrow_schema::{Field, Schema as ArrowSchema};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;

use crate::error::Error;
use crate::schema::{Schema, Task};
use crate::source::{Reading, Source};
use crate::spec::{Columns, SourceSpec};

pub(crate) const HOUR: i64 = 3_600_000;
pub(crate) const DAY: i64 = 86_400_000;

pub(crate) struct Folder(pub(crate) tempfile::TempDir);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(tempfile::tempdir().unwrap())
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn text(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn parquet(&self, name: &str, columns: &[(&str, ArrayRef)]) -> PathBuf {
        self.grouped(name, usize::MAX, columns)
    }

    /// A file with `rows` rows in each row group.
    pub(crate) fn grouped(&self, name: &str, rows: usize, columns: &[(&str, ArrayRef)]) -> PathBuf {
        let fields =
            columns.iter().map(|(name, array)| Field::new(*name, array.data_type().clone(), true));
        let schema = Arc::new(ArrowSchema::new(fields.collect::<Vec<_>>()));
        let arrays = columns.iter().map(|(_, array)| Arc::clone(array)).collect();
        let batch = RecordBatch::try_new(Arc::clone(&schema), arrays).unwrap();
        let path = self.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let properties =
            WriterProperties::builder().set_max_row_group_row_count(Some(rows)).build();
        let file = File::create(&path).unwrap();
        let mut writer = ArrowWriter::try_new(file, schema, Some(properties)).unwrap();
        writer.write(&batch).unwrap();
        writer.close().unwrap();
        path
    }

    /// `rows` hourly events from 1970 on: time, one feature, a label that alternates.
    pub(crate) fn hours(&self, name: &str, from: i64, rows: i64) -> PathBuf {
        self.grouped(name, 24, &hours(from, rows))
    }

    pub(crate) fn source(&self, spec: SourceSpec) -> Result<Source, Error> {
        Source::open(spec, self.path())
    }

    pub(crate) async fn infer(&self, spec: SourceSpec) -> Result<Schema, Error> {
        self.source(spec)?.infer_schema().await
    }

    /// All rows, by the schema that is inferred.
    pub(crate) async fn all(&self, spec: SourceSpec) -> Result<Reading, Error> {
        let source = self.source(spec)?;
        let schema = source.infer_schema().await?;
        source.read_reported(Window::ALL, &schema, Columns::All).await
    }
}

pub(crate) fn spec(location: &str) -> SourceSpec {
    SourceSpec { label: Some("y".into()), ..SourceSpec::new(location, "t", Task::Binary) }
}

pub(crate) fn hours(from: i64, rows: i64) -> Vec<(&'static str, ArrayRef)> {
    vec![
        ("t", times((from..from + rows).map(|hour| hour * HOUR))),
        ("x", numbers((from..from + rows).map(|hour| f64::from(i32::try_from(hour).unwrap())))),
        ("y", Arc::new(Int64Array::from_iter_values((from..from + rows).map(|hour| hour % 2)))),
    ]
}

pub(crate) fn times(values: impl IntoIterator<Item = i64>) -> ArrayRef {
    Arc::new(TimestampMillisecondArray::from_iter_values(values).with_timezone("UTC"))
}

pub(crate) fn numbers(values: impl IntoIterator<Item = f64>) -> ArrayRef {
    Arc::new(Float64Array::from_iter_values(values))
}

pub(crate) fn window(from: i64, to: i64) -> Window {
    Window { from: Timestamp(from), to: Timestamp(to) }
}

/// An error with its causes, as a person reads it.
pub(crate) fn told<T: std::fmt::Debug>(result: Result<T, impl std::error::Error>) -> String {
    let error = result.unwrap_err();
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        text.push_str(": ");
        text.push_str(&inner.to_string());
        cause = inner.source();
    }
    text
}
