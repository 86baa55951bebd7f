//! The schema of a source: every file's columns merged, and the label's classes.

use parquet::file::metadata::RowGroupMetaData;
use parquet::file::statistics::Statistics;

use crate::columnar::{self, Holds};
use crate::csv_file::CsvFile;
use crate::error::{Error, Place, Warning, near};
use crate::labels::Seen;
use crate::parquet_file::{ParquetFile, told};
use crate::schema::{Feature, Kind, Schema, Task};
use crate::spec::SourceSpec;

/// What has been learned of a source so far, file by file.
pub(crate) struct Inference<'a> {
    spec: &'a SourceSpec,
    columns: Vec<Found>,
    seen: Seen,
    /// The first file; every other is compared with it.
    first: Option<String>,
    rows: u64,
    warnings: Vec<Warning>,
}

/// One column of a source.
struct Found {
    name: String,
    holds: Holds,
    /// How errors name what it holds.
    told: String,
    /// Whether the file states the type; in CSV it is a guess.
    typed: bool,
    constant: Constant,
}

/// Whether a column has one value only.
#[derive(Clone, PartialEq, Eq)]
enum Constant {
    /// Files so far hold nothing else; the bytes or text of the value.
    Value(Vec<u8>),
    Varies,
}

impl<'a> Inference<'a> {
    pub(crate) fn new(spec: &'a SourceSpec) -> Inference<'a> {
        let (columns, warnings) = (Vec::new(), Vec::new());
        Inference { spec, columns, seen: Seen::default(), first: None, rows: 0, warnings }
    }

    pub(crate) async fn parquet(&mut self, file: &ParquetFile) -> Result<(), Error> {
        file.time_column(&self.spec.time)?;
        let label = self.check_roles(&file.names(), &file.name)?;
        if let Some(label) = label {
            file.labels(label, &mut self.seen).await?;
        }
        let rows = file.row_groups().iter().map(|group| group.num_rows()).sum::<i64>();
        self.rows += u64::try_from(rows).unwrap_or(0);
        let fields = file.schema().fields().iter();
        let found = fields.enumerate().map(|(at, field)| {
            let (empty, constant) = stated(file, at);
            let nothing =
                (empty && rows > 0) || columnar::holds(field.data_type()) == Holds::Nothing;
            Found {
                name: field.name().clone(),
                holds: columnar::holds(field.data_type()),
                told: told(field),
                typed: true,
                constant: if nothing { Constant::Value(Vec::new()) } else { constant },
            }
        });
        let found = found.collect();
        self.merge(found, &file.name)
    }

    pub(crate) fn csv(&mut self, file: &CsvFile<'_>) -> Result<(), Error> {
        let time = file.time_column(&self.spec.time)?;
        let label = self.check_roles(&file.names(), &file.name)?;
        let looks = file.looks(time, label, self.spec.timezone, &mut self.seen)?;
        self.rows += u64::from(looks.iter().any(|look| look.holds() != Holds::Nothing));
        let found = looks.into_iter().zip(&file.header).map(|(look, name)| Found {
            name: name.clone(),
            holds: look.holds(),
            told: match look.holds() {
                Holds::Values(kind) => kind.to_string(),
                Holds::Times => "times".into(),
                Holds::Nothing | Holds::Other(_) => "nothing".into(),
            },
            typed: false,
            constant: match (look.holds(), look.constant()) {
                (Holds::Nothing, _) => Constant::Value(Vec::new()),
                (_, Some(value)) => Constant::Value(value.into_bytes()),
                (_, None) => Constant::Varies,
            },
        });
        let found = found.collect();
        self.merge(found, &file.name)
    }

    pub(crate) fn finish(mut self) -> Result<(Schema, Vec<Warning>), Error> {
        if self.rows == 0 {
            return Err(Error::NoRows { location: self.spec.location.clone() });
        }
        let mut features = Vec::new();
        for found in self.columns {
            if !self.spec.may_be_feature(&found.name) {
                continue;
            }
            let column = found.name.clone();
            let kind = match found.holds {
                Holds::Values(kind) => kind,
                // A column without any value may become numbers; its rows are all missing.
                Holds::Nothing => Kind::Numeric,
                Holds::Times | Holds::Other(_) => {
                    self.warnings.push(Warning::NotAFeature { column, holds: found.told });
                    continue;
                }
            };
            match found.constant {
                Constant::Value(value) if value.is_empty() => {
                    self.warnings.push(Warning::AllMissing { column });
                }
                Constant::Value(_) => self.warnings.push(Warning::Constant { column }),
                Constant::Varies => {}
            }
            features.push(Feature { name: found.name, kind });
        }
        if features.is_empty() {
            return Err(Error::Location {
                location: self.spec.location.clone(),
                why: "no column is left to be a feature: shorten `exclude`".into(),
            });
        }
        let classes = match &self.spec.label {
            None => Vec::new(),
            Some(label) => {
                self.seen.classes(label, self.spec.task, self.spec.positive.as_deref())?
            }
        };
        let task: Task = self.spec.task;
        Ok((Schema { task, features, classes }, self.warnings))
    }

    /// Position of the label, once every column named in the configuration was found.
    fn check_roles(&self, names: &[&str], file: &str) -> Result<Option<usize>, Error> {
        let spec = self.spec;
        let excluded = spec.exclude.iter().map(|name| ("exclude", name.as_str()));
        for (key, column) in spec.roles().chain(excluded) {
            if !names.contains(&column) {
                return Err(Error::NoColumn {
                    column: column.to_owned(),
                    key: key.to_owned(),
                    file: file.to_owned(),
                    near: near(column, names.iter().copied()),
                });
            }
        }
        let label = spec.label.as_deref();
        Ok(label.and_then(|label| names.iter().position(|name| *name == label)))
    }

    fn merge(&mut self, found: Vec<Found>, file: &str) -> Result<(), Error> {
        let Some(first) = self.first.clone() else {
            self.columns = found;
            self.first = Some(file.to_owned());
            return Ok(());
        };
        for other in &found {
            if self.columns.iter().all(|known| known.name != other.name) {
                self.left_out(&other.name, &first);
            }
        }
        for known in std::mem::take(&mut self.columns) {
            match found.iter().find(|other| other.name == known.name) {
                None => self.left_out(&known.name, file),
                Some(other) => self.columns.push(join(known, other, self.spec, file)?),
            }
        }
        Ok(())
    }

    /// Notes once that `file` lacks what would be a feature.
    fn left_out(&mut self, column: &str, file: &str) {
        let told = |warning: &Warning| matches!(warning, Warning::NotEverywhere { column: other, .. } if other == column);
        if self.spec.may_be_feature(column) && !self.warnings.iter().any(told) {
            let (column, file) = (column.to_owned(), file.to_owned());
            self.warnings.push(Warning::NotEverywhere { column, file });
        }
    }
}

fn join(known: Found, other: &Found, spec: &SourceSpec, file: &str) -> Result<Found, Error> {
    let same = known.constant == other.constant;
    let constant = if same { known.constant.clone() } else { Constant::Varies };
    let holds = match (&known.holds, &other.holds) {
        (Holds::Nothing, holds) | (holds, Holds::Nothing) => holds.clone(),
        (a, b) if a == b => a.clone(),
        _ if !known.typed && !other.typed => Holds::Values(Kind::Categorical),
        (Holds::Values(was), _) if spec.may_be_feature(&known.name) => {
            return Err(Error::Retyped {
                column: known.name,
                was: *was,
                is: other.told.clone(),
                place: Place::file(file),
            });
        }
        (_, holds) => match (&known.holds, holds) {
            (Holds::Other(_) | Holds::Times, Holds::Values(_)) => known.holds.clone(),
            _ => holds.clone(),
        },
    };
    let told = if known.holds == Holds::Nothing { other.told.clone() } else { known.told };
    Ok(Found { name: known.name, holds, told, typed: known.typed && other.typed, constant })
}

/// Whether the statistics of column `at` say that it has no value, and whether only one. Equal
/// bounds are exact, for a shortened upper bound is raised.
fn stated(file: &ParquetFile, at: usize) -> (bool, Constant) {
    let groups = file.row_groups();
    // Only in flat files are columns and leaves the same.
    let flat = groups.iter().all(|group| group.num_columns() == file.schema().fields().len());
    let statistics = |group| if flat { leaf(group, at) } else { None };
    let nulls = |group| statistics(group).and_then(Statistics::null_count_opt);
    let empty = groups.iter().all(|group| nulls(group) == u64::try_from(group.num_rows()).ok());
    let value = |group| {
        let (low, high) =
            statistics(group).and_then(|s| s.min_bytes_opt().zip(s.max_bytes_opt()))?;
        (low == high && nulls(group) == Some(0)).then(|| low.to_vec())
    };
    let first = groups.first().and_then(value);
    let constant = match first {
        Some(first) if groups.iter().all(|group| value(group).as_ref() == Some(&first)) => {
            // No value at all is told by no bytes, and an empty text is a value.
            Constant::Value([first, vec![0]].concat())
        }
        _ => Constant::Varies,
    };
    (empty, constant)
}

fn leaf(group: &RowGroupMetaData, at: usize) -> Option<&Statistics> {
    group.column(at).statistics()
}
