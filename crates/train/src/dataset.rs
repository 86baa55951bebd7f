//! How a training reads its rows, and how a user's program is handed them.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::thread;

use afresh_core::id::{DatasetId, ModelName};
use afresh_data::dataset::{self, Datasets, Manifest};
use afresh_data::export::{self, Names};
use afresh_data::rows::Rows;
use afresh_data::schema::Schema;
use afresh_data::source::Source;
use afresh_data::spec::Columns;
use afresh_data::split::{self, positions};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Retry};
use crate::recipe::RowFormat;
use crate::trainer::{Job, Part, Parts, ReadRows};

/// Where a dataset and its files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    /// Directory of the state, where datasets lie unless `shelf` says otherwise.
    pub state: PathBuf,
    /// Where they are kept instead: `s3://…`.
    #[serde(default)]
    pub shelf: Option<String>,
    /// Directory from which a relative location of the source counts.
    pub base: PathBuf,
    /// Whose dataset it is.
    pub model: ModelName,
    /// Which one.
    pub id: DatasetId,
}

/// Reads the rows of a job from its dataset. The holdout is left out but for a refit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FromDataset;

/// Column of the label in the files for a user's program.
pub(crate) const LABEL: &str = "label";
/// Column of the event time in the files for a user's program.
pub(crate) const TIME: &str = "event_time";
/// Column of the weight in the files for a user's program.
pub(crate) const WEIGHT: &str = "weight";

impl ReadRows for FromDataset {
    fn read(&self, job: &Job) -> Result<Parts, Error> {
        let place = job.dataset.as_ref().ok_or_else(|| Error::Rows {
            message: "the job names no dataset".to_owned(),
            retry: Retry::Permanent,
        })?;
        // A thread of its own: whoever calls may be in a runtime, in which none can be started.
        let read = || -> Result<Parts, Error> {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            let runtime =
                runtime.map_err(|error| Error::io("start a runtime for", &place.state, &error))?;
            runtime.block_on(read_parts(place, &job.schema, job.part))
        };
        thread::scope(|scope| scope.spawn(read).join()).unwrap_or_else(|_panic| {
            Err(Error::Rows { message: "the reader panicked".to_owned(), retry: Retry::Permanent })
        })
    }
}

/// Writes rows for a user's program.
pub(crate) fn write(
    path: &Path,
    format: RowFormat,
    schema: &Schema,
    rows: &Rows,
    names: &Names<'_>,
) -> Result<(), Error> {
    let written = match format {
        RowFormat::Parquet => export::write_parquet(rows, schema, names, path),
        RowFormat::Csv => export::write_csv(rows, schema, names, path),
    };
    written.map_err(|error| Error::Io {
        action: "write".to_owned(),
        path: path.display().to_string(),
        message: chain(&error),
    })
}

/// Reads a CSV of predictions: a header, then a line a row, a column an output.
pub(crate) fn read_predictions(
    path: &Path,
    rows: usize,
    outputs: usize,
) -> Result<Vec<f64>, Error> {
    export::read_predictions(path, rows, outputs)
        .map_err(|error| Error::Predictions { reason: chain(&error) })
}

async fn read_parts(place: &Place, schema: &Schema, part: Part) -> Result<Parts, Error> {
    let store = Datasets::at(place.shelf.as_deref(), &place.state)
        .map_err(|error| dataset_error(&error))?;
    let manifest: Manifest<IgnoredAny> =
        store.load(&place.model, &place.id).await.map_err(|error| dataset_error(&error))?;
    let source = Source::open(manifest.source, &place.base).map_err(|error| read_error(&error))?;
    let rows = source.read(manifest.window, schema, Columns::All).await;
    let rows = rows.map_err(|error| read_error(&error))?;
    let select = |part| rows.select(&positions(&rows, manifest.window, &manifest.cuts, part));
    Ok(match part {
        Part::Fit => {
            Parts { train: select(split::Part::Train), stopping: select(split::Part::Stopping) }
        }
        Part::Refit { .. } => Parts { train: select(split::Part::Fit), stopping: Rows::default() },
    })
}

fn dataset_error(error: &dataset::Error) -> Error {
    let retry = if error.is_transient() { Retry::Transient } else { Retry::Permanent };
    Error::Rows { message: chain(error), retry }
}

fn read_error(error: &afresh_data::error::Error) -> Error {
    let retry = if error.is_transient() { Retry::Transient } else { Retry::Permanent };
    Error::Rows { message: chain(error), retry }
}

/// An error with its causes in one line.
fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
