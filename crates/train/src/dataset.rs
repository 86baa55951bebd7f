//! How a training reads its rows, and how a user's program is handed them.

use std::error::Error as StdError;
use std::path::{Path, PathBuf};
use std::thread;

use afresh_core::id::{DatasetId, ModelName};
use afresh_data::dataset::{self, Datasets, Manifest};
use afresh_data::export::{self, Names};
use afresh_data::rows::Rows;
use afresh_data::schema::Schema;
use afresh_data::selection::Selection;
use afresh_data::source::Source;
use afresh_data::spec::Columns;
use afresh_data::split;
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

/// The rows of a job's dataset in memory, of which parts are taken again and again.
#[derive(Debug)]
pub(crate) struct Opened {
    manifest: Manifest<IgnoredAny>,
    rows: Rows,
}

impl ReadRows for FromDataset {
    fn read(&self, job: &Job) -> Result<Parts, Error> {
        Opened::new(job)?.read(job)
    }

    fn selections(&self, job: &Job) -> Result<Vec<Selection>, Error> {
        let place = place(job)?;
        Ok(apart(place, read_manifest(place))?.choices)
    }
}

impl ReadRows for Opened {
    fn read(&self, job: &Job) -> Result<Parts, Error> {
        let Opened { manifest, rows } = self;
        let choice = job.choice.and_then(|at| manifest.choices.get(at));
        let select = |part| rows.select(&manifest.positions(rows, part, choice));
        let mut parts = match job.part {
            Part::Fit => {
                Parts { train: select(split::Part::Train), stopping: select(split::Part::Stopping) }
            }
            Part::Refit { .. } | Part::Whole { .. } => {
                Parts { train: select(split::Part::Fit), stopping: Rows::default() }
            }
        };
        if let Some(choice) = choice {
            choice.weigh(&mut parts.train);
        }
        Ok(parts)
    }

    fn selections(&self, _job: &Job) -> Result<Vec<Selection>, Error> {
        Ok(self.manifest.choices.clone())
    }
}

impl Opened {
    pub(crate) fn new(job: &Job) -> Result<Opened, Error> {
        let place = place(job)?;
        apart(place, async {
            let manifest = read_manifest(place).await?;
            let source = Source::open(manifest.source.clone(), &place.base);
            let source = source.map_err(|error| read_error(&error))?;
            let rows = source.read(manifest.window, &job.schema, Columns::All).await;
            Ok(Opened { rows: rows.map_err(|error| read_error(&error))?, manifest })
        })
    }
}

fn place(job: &Job) -> Result<&Place, Error> {
    job.dataset.as_ref().ok_or_else(|| Error::Rows {
        message: "the job names no dataset".to_owned(),
        retry: Retry::Permanent,
    })
}

/// Runs in a thread of its own: whoever calls may be in a runtime, in which none can be started.
fn apart<T: Send>(
    place: &Place,
    work: impl Future<Output = Result<T, Error>> + Send,
) -> Result<T, Error> {
    let run = || -> Result<T, Error> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        let runtime =
            runtime.map_err(|error| Error::io("start a runtime for", &place.state, &error))?;
        runtime.block_on(work)
    };
    thread::scope(|scope| scope.spawn(run).join()).unwrap_or_else(|_panic| {
        Err(Error::Rows { message: "the reader panicked".to_owned(), retry: Retry::Permanent })
    })
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

async fn read_manifest(place: &Place) -> Result<Manifest<IgnoredAny>, Error> {
    let store = Datasets::at(place.shelf.as_deref(), &place.state)
        .map_err(|error| dataset_error(&error))?;
    store.load(&place.model, &place.id).await.map_err(|error| dataset_error(&error))
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
