//! What can be wrong with a source, each error naming the file, row and column, and what to write.

use std::fmt;

use crate::remote::{self, Trouble};
use crate::schema::Kind;

/// A source that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The location cannot be understood.
    #[error("cannot understand the source `{location}`: {why}")]
    Location {
        /// As written.
        location: String,
        /// What is wrong and what to write.
        why: String,
    },
    /// A file or directory is not there.
    #[error("`{path}` does not exist{}", did_you_mean(.near))]
    Missing {
        /// The first part of the path that does not exist.
        path: String,
        /// Names beside it that look alike.
        near: Vec<String>,
    },
    /// A glob or dated path matches nothing.
    #[error("no file matches `{location}`{}", did_you_mean(.near))]
    NoMatch {
        /// As written.
        location: String,
        /// Data files beside it.
        near: Vec<String>,
    },
    /// A directory holds nothing that can be read.
    #[error("no .parquet or .csv file in the directory `{directory}`")]
    NoDataFiles {
        /// As written.
        directory: String,
    },
    /// Neither Parquet nor CSV by its name.
    #[error("`{file}` is neither .parquet nor .csv")]
    Format {
        /// The file.
        file: String,
    },
    /// The store did not give the bytes.
    #[error("failed to read `{file}`")]
    Unreadable {
        /// The file.
        file: String,
        /// What the store said.
        #[source]
        source: object_store::Error,
    },
    /// S3 did not give the bytes.
    #[error("failed to read `{file}`: {trouble}")]
    Remote {
        /// The file, the directory or the bucket.
        file: String,
        /// Why, and what to do about it.
        trouble: Box<Trouble>,
    },
    /// Not Parquet, truncated, or damaged.
    #[error("{place} is not sound Parquet: truncated or damaged")]
    Damaged {
        /// File and, where known, row group.
        place: Box<Place>,
        /// What the reader said.
        #[source]
        source: parquet::errors::ParquetError,
    },
    /// A CSV line with too many or too few fields.
    #[error("{place} has {found} fields where the header has {wanted}")]
    Ragged {
        /// File and line.
        place: Box<Place>,
        /// Fields of the header.
        wanted: u64,
        /// Fields of the line.
        found: u64,
    },
    /// Any other fault of a CSV file.
    #[error("{place} is not sound CSV")]
    Csv {
        /// File and, where known, line.
        place: Box<Place>,
        /// What the reader said.
        #[source]
        source: csv::Error,
    },
    /// Two columns of one name.
    #[error("`{file}` has two columns `{column}`: rename or drop one")]
    DuplicateColumn {
        /// The name.
        column: String,
        /// The file.
        file: String,
    },
    /// The time column is not there or holds no times.
    #[error("{}", no_time(.column, .file, .found.as_deref(), .candidates))]
    NoTime {
        /// The column asked for.
        column: String,
        /// The file.
        file: String,
        /// What the column holds; `None` where it is not there.
        found: Option<String>,
        /// Columns that look like times.
        candidates: Vec<String>,
    },
    /// A column named in the configuration is not there.
    #[error("`{file}` has no column `{column}`, which `{key}` names{}", did_you_mean(.near))]
    NoColumn {
        /// The column asked for.
        column: String,
        /// The configuration key that names it.
        key: String,
        /// The file.
        file: String,
        /// Names that look alike.
        near: Vec<String>,
    },
    /// A feature of the schema is gone.
    #[error("column `{column}` ({kind}) has vanished from `{file}`")]
    Vanished {
        /// The feature.
        column: String,
        /// What it was.
        kind: Kind,
        /// The file without it.
        file: String,
    },
    /// A feature has another kind than in the schema.
    #[error("column `{column}` held {was} and now holds {is}, in {place}")]
    Retyped {
        /// The feature.
        column: String,
        /// The kind in the schema.
        was: Kind,
        /// What stands there now: a kind, a type, or a value.
        is: String,
        /// Where.
        place: Box<Place>,
    },
    /// An infinite number.
    #[error("column `{column}` is infinite in {place}: write an empty value or a finite number")]
    Infinite {
        /// The column.
        column: String,
        /// The first place.
        place: Box<Place>,
    },
    /// A value that is not what its column should hold.
    #[error("column `{column}` holds `{value}` in {place}, which is not {wanted}")]
    Value {
        /// The column.
        column: String,
        /// As written.
        value: String,
        /// What it should be.
        wanted: &'static str,
        /// The first place.
        place: Box<Place>,
    },
    /// A label that no class has.
    #[error(
        "label `{column}` is `{value}` in {place}, outside its classes {}",
        quoted(.classes)
    )]
    UnknownLabel {
        /// The label column.
        column: String,
        /// As written.
        value: String,
        /// The first place.
        place: Box<Place>,
        /// The classes of the schema.
        classes: Vec<String>,
    },
    /// The label's values do not fit the task.
    #[error("label `{column}` {why}")]
    Label {
        /// The label column.
        column: String,
        /// What is wrong and what to write.
        why: String,
    },
    /// There is no row to learn a schema from.
    #[error("`{location}` has no rows")]
    NoRows {
        /// As written.
        location: String,
    },
    /// A prediction file does not fit the rows it should answer.
    #[error("`{file}` {why}")]
    Predictions {
        /// The file.
        file: String,
        /// What is wrong.
        why: String,
    },
    /// A file could not be written.
    #[error("failed to write `{file}`")]
    Write {
        /// The file.
        file: String,
        /// What the writer said.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Something that is legal and yet worth a look.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Warning {
    /// No row has a value.
    AllMissing {
        /// The feature.
        column: String,
    },
    /// Every row has the same value.
    Constant {
        /// The feature.
        column: String,
    },
    /// Left out, for its type cannot be a feature.
    NotAFeature {
        /// The column.
        column: String,
        /// Its type.
        holds: String,
    },
    /// Left out, for not every file has it.
    NotEverywhere {
        /// The column.
        column: String,
        /// The first file without it.
        file: String,
    },
}

/// Where in a source something stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// The file, as its source names it.
    pub file: String,
    /// Row of the file, counted from 1, the header not counted.
    pub row: Option<u64>,
    /// Row group of a Parquet file, counted from 0.
    pub row_group: Option<usize>,
    /// Line of a text file, counted from 1.
    pub line: Option<u64>,
}

impl Error {
    /// Whether trying again can help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        if let Error::Remote { trouble, .. } = self {
            return trouble.is_transient();
        }
        matches!(self, Error::Unreadable { source, .. }
            if matches!(source, object_store::Error::Generic { .. }
                | object_store::Error::JoinError { .. }))
    }

    /// What the store of `file` said when it should have been read.
    pub(crate) fn unreadable(file: &str, source: object_store::Error) -> Error {
        let file = file.to_owned();
        if remote::is_remote(&file) {
            return Error::Remote { file, trouble: Box::new(Trouble::of(&source)) };
        }
        Error::Unreadable { file, source }
    }
}

impl Place {
    pub(crate) fn file(file: &str) -> Box<Place> {
        Box::new(Place { file: file.to_owned(), ..Place::default() })
    }

    /// The same file, at `row`, counted from 1.
    pub(crate) fn at_row(mut self: Box<Place>, row: u64) -> Box<Place> {
        self.row = Some(row);
        self
    }

    /// The same file, in `row_group`.
    pub(crate) fn in_row_group(mut self: Box<Place>, row_group: Option<usize>) -> Box<Place> {
        self.row_group = row_group;
        self
    }

    /// The same file, at `line`, counted from 1.
    pub(crate) fn at_line(mut self: Box<Place>, line: Option<u64>) -> Box<Place> {
        self.line = line;
        self
    }
}

impl fmt::Display for Place {
    /// `row 17 (row group 0) of data/a.parquet`
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.row, self.line, self.row_group) {
            (Some(row), Some(line), _) => write!(f, "row {row} (line {line}) of ")?,
            (Some(row), None, Some(group)) => write!(f, "row {row} (row group {group}) of ")?,
            (Some(row), None, None) => write!(f, "row {row} of ")?,
            (None, Some(line), _) => write!(f, "line {line} of ")?,
            (None, None, Some(group)) => write!(f, "row group {group} of ")?,
            (None, None, None) => {}
        }
        write!(f, "`{}`", self.file)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Warning::AllMissing { column } => write!(f, "column `{column}` has no value at all"),
            Warning::Constant { column } => {
                write!(f, "column `{column}` has the same value in every row")
            }
            Warning::NotAFeature { column, holds } => {
                write!(f, "column `{column}` holds {holds} and is not used as a feature")
            }
            Warning::NotEverywhere { column, file } => {
                write!(f, "column `{column}` is not used: `{file}` does not have it")
            }
        }
    }
}

/// Up to three of `names` that look like `wanted`, the nearest first.
pub(crate) fn near<'a>(wanted: &str, names: impl IntoIterator<Item = &'a str>) -> Vec<String> {
    let limit = 2.max(wanted.len() / 3);
    let lower = wanted.to_lowercase();
    let mut found = names
        .into_iter()
        .filter_map(|name| {
            let other = name.to_lowercase();
            let away = edit_distance(&lower, &other);
            let contained = lower.len() > 2 && other.contains(&lower);
            (away <= limit || contained).then_some((away, name))
        })
        .collect::<Vec<_>>();
    found.sort();
    found.dedup();
    found.into_iter().take(3).map(|(_, name)| name.to_owned()).collect()
}

/// Levenshtein's distance by its two-row recurrence, in characters.
fn edit_distance(from: &str, to: &str) -> usize {
    let to = to.chars().collect::<Vec<_>>();
    let mut costs = (0..=to.len()).collect::<Vec<_>>();
    for (done, letter) in from.chars().enumerate() {
        let mut diagonal = costs[0];
        costs[0] = done + 1;
        for (at, other) in to.iter().enumerate() {
            let replaced = diagonal + usize::from(letter != *other);
            diagonal = costs[at + 1];
            costs[at + 1] = replaced.min(diagonal + 1).min(costs[at] + 1);
        }
    }
    costs[to.len()]
}

fn quoted(names: &[String]) -> String {
    names.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
}

fn did_you_mean(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", quoted(near)) }
}

fn no_time(column: &str, file: &str, found: Option<&str>, candidates: &[String]) -> String {
    let wrong = match found {
        None => format!("`{file}` has no column `{column}`, which `time` names"),
        Some(found) => format!("column `{column}` of `{file}` holds {found}, not times"),
    };
    if candidates.is_empty() {
        format!("{wrong}; no column looks like a time")
    } else {
        format!("{wrong}; columns that look like times: {}", quoted(candidates))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_names_come_nearest_first() {
        let names = ["flights.parquet", "flight.csv", "hotel.parquet"];
        assert_eq!(near("flihgts.parquet", names), ["flights.parquet"]);
        assert_eq!(near("time", ["event_time", "tame", "label"]), ["tame", "event_time"]);
        assert!(near("zzz", names).is_empty());
        assert_eq!(edit_distance("kitten", "sitting"), 3);
    }
}
