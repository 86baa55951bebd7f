//! How a training's process reads its rows and hands them to a user's program.

use std::path::Path;

use afresh_data::rows::Rows;
use afresh_data::schema::Schema;

use crate::error::{Error, Retry};
use crate::trainer::{Job, Parts};

/// Column of the label in the files for a user's program.
pub(crate) const LABEL: &str = "label";
/// Column of the event time in the files for a user's program.
pub(crate) const TIME: &str = "event_time";
/// Column of the weight in the files for a user's program.
pub(crate) const WEIGHT: &str = "weight";

/// The rows of a job.
pub(crate) fn read(_job: &Job) -> Result<Parts, Error> {
    Err(Error::Rows { message: "todo".into(), retry: Retry::Permanent })
}

/// Writes rows as Parquet.
pub(crate) fn write(_path: &Path, _schema: &Schema, _rows: &Rows) -> Result<(), Error> {
    Err(Error::Rows { message: "todo".into(), retry: Retry::Permanent })
}
