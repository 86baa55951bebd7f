//! The profile of the rows a version learned from: the reference that travels with its artifact.

use afresh_data::rows::{Rows, Values};
use afresh_ml::drift;
use afresh_ml::profile::Profile;

use crate::error::{Error, Retry};

/// A profile is taken from at most this many rows, evenly spread: its quantiles are then off by
/// less than a hundredth of the rows, and taking it costs next to nothing.
const ROWS_MAX: usize = 20_000;

/// The profile of `rows`.
pub(crate) fn of(rows: &Rows) -> Result<Profile, Error> {
    let sampled;
    let rows = if ROWS_MAX < rows.len() {
        let step = rows.len().div_ceil(ROWS_MAX);
        sampled = rows.select(&(0..rows.len()).step_by(step).collect::<Vec<_>>());
        &sampled
    } else {
        rows
    };
    let columns = rows
        .columns
        .iter()
        .map(|column| {
            let values = match &column.values {
                Values::Numeric(values) => drift::Values::Numeric(values),
                Values::Categorical { codes, names } => drift::Values::Categorical { codes, names },
            };
            (column.name.as_str(), values)
        })
        .collect::<Vec<_>>();
    Profile::of(&columns).map_err(|error| Error::Rows {
        message: format!("the rows have no profile: {error}"),
        retry: Retry::Permanent,
    })
}
