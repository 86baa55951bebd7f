//! Tables: files of like columns without roles, read column by column or batch by batch, so that
//! memory does not grow with the rows. Knows no time, label or window; for those see `source`.

mod csv;
mod sample;
mod shared;
#[cfg(test)]
mod tests;

use std::ops::ControlFlow;
use std::path::Path;

use afresh_core::time::{Timestamp, Window};
use chrono_tz::Tz;

use crate::columnar::{self, NO_TIME, Names};
use crate::error::{Error, Place, Warning};
use crate::parquet_file::{ParquetFile, told};
use crate::place::{self, Format};
use crate::rows::MISSING;
use crate::schema::Kind;

pub use crate::columnar::Holds;
pub use sample::{Drawn, Sample};
pub use shared::{LeftOut, Mismatch, Selection, Shared, shared};

use self::csv::{Content, CsvTable};

/// Rows of a batch: a column of them stays in the cache.
const BATCH_ROWS: usize = 16_384;

/// One or more files of like columns.
#[derive(Debug)]
pub struct Table {
    location: String,
    files: Vec<File>,
    columns: Vec<Field>,
    warnings: Vec<Warning>,
    rows: u64,
}

/// One column of a table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// What its values are; in CSV by what all of them look like.
    pub holds: Holds,
    /// How errors name that: `categories (Utf8)`.
    pub told: String,
    /// Whether the files state it; in CSV it is a guess.
    pub typed: bool,
}

/// A column and how it is to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wanted {
    /// Its name.
    pub name: String,
    /// Numbers and booleans are read as numbers.
    pub kind: Kind,
}

/// How the codes of categories are given out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dictionary {
    /// One dictionary for the whole table, of so many names at most: see [`Cells::Categorical`].
    Whole {
        /// The limit, which bounds memory.
        names_max: usize,
    },
    /// A fresh one in every batch: memory does not grow with the categories.
    PerBatch,
}

/// Some rows of the columns asked for.
#[derive(Debug)]
pub struct Batch<'a> {
    /// Place of the first in the table, counted from 0.
    pub first_row: u64,
    /// Rows.
    pub rows: usize,
    columns: &'a [Buffer],
    times: Option<&'a Buffer>,
}

/// The values of one column in a batch.
#[derive(Clone, Copy, Debug)]
pub enum Cells<'a> {
    /// Numbers, none infinite; NaN is missing.
    Numeric(&'a [f64]),
    /// Categories.
    Categorical {
        /// Positions in `names`; [`MISSING`] is missing.
        codes: &'a [u32],
        /// The dictionary so far.
        names: &'a [String],
        /// Whether the dictionary was full and a new category is given as missing.
        full: bool,
    },
}

#[derive(Debug)]
enum File {
    Parquet(Box<ParquetFile>),
    Csv(CsvTable),
}

/// One column of a batch, used again and again.
#[derive(Debug)]
struct Buffer {
    name: String,
    values: Values,
}

#[derive(Debug)]
enum Values {
    Times(Vec<i64>),
    Numeric { kind: Kind, numbers: Vec<f64> },
    Categorical { codes: Vec<u32>, names: Names, names_max: usize, full: bool },
}

/// Why an array could not be read as its column.
enum Unread {
    /// Its type is another.
    Type(String),
    /// A text in it is no time.
    Time { at: usize, value: String },
}

impl Table {
    /// Opens a file, directory or glob; a relative one counts from `base`. Parquet tells its rows
    /// and types by itself; CSV is read once to learn them.
    ///
    /// # Errors
    /// Names a location that is not there or not sound, and a column whose type changes from file
    /// to file.
    pub async fn open(location: &str, base: &Path) -> Result<Table, Error> {
        let place = place::open(location, base)?;
        let mut table = Table {
            location: location.to_owned(),
            files: Vec::new(),
            columns: Vec::new(),
            warnings: Vec::new(),
            rows: 0,
        };
        for object in place.objects(Window::ALL, Tz::UTC).await? {
            let (file, found) = match object.format()? {
                Format::Parquet => {
                    let file = place.parquet(&object).await?;
                    let fields = file.schema().fields().iter();
                    let fields = fields.map(|field| Field {
                        name: field.name().clone(),
                        holds: columnar::holds(field.data_type()),
                        told: told(field),
                        typed: true,
                    });
                    let fields = fields.collect();
                    (File::Parquet(Box::new(file)), fields)
                }
                Format::Csv => {
                    let content = Content::of(&place, &object.path).await?;
                    let (file, fields) = CsvTable::open(content, object.path.clone())?;
                    (File::Csv(file), fields)
                }
            };
            table.rows += file.rows();
            table.merge(found, file.name())?;
            table.files.push(file);
        }
        Ok(table)
    }

    /// As given to [`Table::open`].
    #[must_use]
    pub fn location(&self) -> &str {
        &self.location
    }

    /// Rows of all files.
    #[must_use]
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Columns that every file has, in the order of the first.
    #[must_use]
    pub fn columns(&self) -> &[Field] {
        &self.columns
    }

    /// What is legal and yet worth a look: columns that not every file has.
    #[must_use]
    pub fn warnings(&self) -> &[Warning] {
        &self.warnings
    }

    /// Whether reading one column costs no more than that column: so it is in Parquet alone.
    #[must_use]
    pub fn is_columnar(&self) -> bool {
        self.files.iter().all(|file| matches!(file, File::Parquet(_)))
    }

    /// Calls `take` with every batch of the columns `wanted`, in order, until it breaks. Memory
    /// stays that of a batch, a page of each column and the dictionaries.
    ///
    /// # Errors
    /// Names the file and row that cannot be read, and the first infinite number.
    pub async fn scan(
        &self,
        wanted: &[Wanted],
        dictionary: Dictionary,
        take: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.scan_with(None, wanted, dictionary, take).await
    }

    /// As [`Table::scan`], with the times of the column `time`: see [`Batch::time`].
    ///
    /// # Errors
    /// Also names the first value of it that is no time.
    pub async fn scan_timed(
        &self,
        time: &str,
        wanted: &[Wanted],
        dictionary: Dictionary,
        take: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        self.scan_with(Some(time), wanted, dictionary, take).await
    }

    async fn scan_with(
        &self,
        time: Option<&str>,
        wanted: &[Wanted],
        dictionary: Dictionary,
        take: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<(), Error> {
        let columns = wanted.iter().map(|column| Buffer::new(column, dictionary));
        // The times come last.
        let mut buffers = columns.chain(time.map(Buffer::times)).collect::<Vec<_>>();
        let mut first_row = 0;
        for file in &self.files {
            let end = match file {
                File::Parquet(file) => {
                    scan_parquet(file, &mut buffers, dictionary, first_row, take).await?
                }
                File::Csv(file) => file.scan(&mut buffers, dictionary, first_row, take)?,
            };
            if end.is_break() {
                break;
            }
            first_row += file.rows();
        }
        Ok(())
    }

    /// Joins the columns of one more file.
    fn merge(&mut self, found: Vec<Field>, file: &str) -> Result<(), Error> {
        if self.files.is_empty() {
            self.columns = found;
            return Ok(());
        }
        let first = self.files.first().map_or("", File::name).to_owned();
        for other in &found {
            if self.columns.iter().all(|known| known.name != other.name) {
                self.leave_out(&other.name, &first);
            }
        }
        for known in std::mem::take(&mut self.columns) {
            match found.iter().find(|other| other.name == known.name) {
                None => self.leave_out(&known.name, file),
                Some(other) => self.columns.push(join(known, other, file)?),
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, column: &str, file: &str) {
        let (column, file) = (column.to_owned(), file.to_owned());
        let told = |warning: &Warning| matches!(warning, Warning::NotEverywhere { column: other, .. } if *other == column);
        if !self.warnings.iter().any(told) {
            self.warnings.push(Warning::NotEverywhere { column, file });
        }
    }
}

impl Batch<'_> {
    /// The values of the column at `at` among those asked for.
    #[must_use]
    pub fn column(&self, at: usize) -> Cells<'_> {
        match &self.columns[at].values {
            Values::Numeric { numbers, .. } => Cells::Numeric(numbers),
            Values::Categorical { codes, names, full, .. } => {
                Cells::Categorical { codes, names: &names.names, full: *full }
            }
            Values::Times(_) => Cells::Numeric(&[]),
        }
    }

    /// The time of a row of this batch, counted from 0; `None` where it is missing or no times were
    /// asked for.
    #[must_use]
    pub fn time(&self, row: usize) -> Option<Timestamp> {
        let Values::Times(times) = &self.times?.values else { return None };
        times.get(row).copied().filter(|ms| *ms != NO_TIME).map(Timestamp)
    }
}

impl<'a> Batch<'a> {
    fn new(first_row: u64, rows: usize, buffers: &'a [Buffer]) -> Batch<'a> {
        match buffers.split_last() {
            Some((times @ Buffer { values: Values::Times(_), .. }, columns)) => {
                Batch { first_row, rows, columns, times: Some(times) }
            }
            _ => Batch { first_row, rows, columns: buffers, times: None },
        }
    }
}

impl File {
    fn name(&self) -> &str {
        match self {
            File::Parquet(file) => &file.name,
            File::Csv(file) => &file.name,
        }
    }

    fn rows(&self) -> u64 {
        match self {
            File::Parquet(file) => file.rows_all(),
            File::Csv(file) => file.rows,
        }
    }
}

impl Buffer {
    fn new(column: &Wanted, dictionary: Dictionary) -> Buffer {
        let values = match column.kind {
            kind @ (Kind::Numeric | Kind::Boolean) => Values::Numeric { kind, numbers: Vec::new() },
            Kind::Categorical => Values::Categorical {
                codes: Vec::new(),
                names: Names::default(),
                names_max: match dictionary {
                    Dictionary::Whole { names_max } => names_max,
                    Dictionary::PerBatch => usize::MAX,
                },
                full: false,
            },
        };
        Buffer { name: column.name.clone(), values }
    }

    fn times(name: &str) -> Buffer {
        Buffer { name: name.to_owned(), values: Values::Times(Vec::new()) }
    }

    fn clear(&mut self, dictionary: Dictionary) {
        match &mut self.values {
            Values::Times(times) => times.clear(),
            Values::Numeric { numbers, .. } => numbers.clear(),
            Values::Categorical { codes, names, .. } => {
                codes.clear();
                if dictionary == Dictionary::PerBatch {
                    *names = Names::default();
                }
            }
        }
    }

    /// Adds the values of `array`.
    fn append(&mut self, array: &dyn arrow_array::Array) -> Result<(), Unread> {
        let taken = match &mut self.values {
            Values::Times(times) => {
                let read = columnar::times(array, Tz::UTC, times);
                read.map_err(|bad| Unread::Time { at: bad.at, value: bad.value })?
            }
            Values::Numeric { numbers, .. } => columnar::numbers(array, numbers),
            // A dictionary that is full stays as it is: what is new is missing then.
            Values::Categorical { codes, full: true, .. } => {
                codes.resize(codes.len() + array.len(), MISSING);
                true
            }
            Values::Categorical { codes, names, names_max, full } => {
                let taken = columnar::texts(array, names, codes);
                *full = names.names.len() > *names_max;
                taken
            }
        };
        if taken { Ok(()) } else { Err(Unread::Type(array.data_type().to_string())) }
    }

    /// Place of the first infinite number.
    fn infinite(&self) -> Option<usize> {
        let Values::Numeric { numbers, .. } = &self.values else { return None };
        // Without an early exit the loop is a plain sweep.
        let any = numbers.iter().fold(false, |any, number| any | number.is_infinite());
        any.then(|| numbers.iter().position(|number| number.is_infinite()))?
    }
}

async fn scan_parquet(
    file: &ParquetFile,
    buffers: &mut [Buffer],
    dictionary: Dictionary,
    first_row: u64,
    take: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
) -> Result<ControlFlow<()>, Error> {
    let names = file.names();
    let mut columns = Vec::with_capacity(buffers.len());
    for buffer in buffers.iter() {
        let found = names.iter().position(|name| *name == buffer.name);
        columns.push(found.ok_or_else(|| Error::Vanished {
            column: buffer.name.clone(),
            kind: buffer.kind(),
            file: file.name.clone(),
        })?);
    }
    // Batches hold the columns in the order of the file.
    let mut order = columns.clone();
    order.sort_unstable();
    let place_in_batch =
        columns.iter().map(|column| order.binary_search(column).unwrap_or(0)).collect::<Vec<_>>();
    let mut done = 0;
    file.scan(&order, BATCH_ROWS, &mut |batch| {
        for (buffer, at) in buffers.iter_mut().zip(&place_in_batch) {
            buffer.clear(dictionary);
            let array = batch.column(*at).as_ref();
            buffer.append(array).map_err(|unread| {
                let (column, place) = (buffer.name.clone(), Place::file(&file.name));
                match unread {
                    Unread::Type(is) => Error::Retyped { column, was: buffer.kind(), is, place },
                    Unread::Time { at, value } => {
                        let place = place.at_row(done + at as u64 + 1);
                        Error::Value { column, value, wanted: "a time", place }
                    }
                }
            })?;
            if let Some(at) = buffer.infinite() {
                let place = Place::file(&file.name).at_row(done + at as u64 + 1);
                return Err(Error::Infinite { column: buffer.name.clone(), place });
            }
        }
        let rows = batch.num_rows();
        let flow = take(&Batch::new(first_row + done, rows, buffers));
        done += rows as u64;
        Ok(flow)
    })
    .await
}

impl Buffer {
    fn kind(&self) -> Kind {
        match &self.values {
            Values::Numeric { kind, .. } => *kind,
            Values::Categorical { .. } | Values::Times(_) => Kind::Categorical,
        }
    }
}

fn join(known: Field, other: &Field, file: &str) -> Result<Field, Error> {
    let typed = known.typed && other.typed;
    match (&known.holds, &other.holds) {
        (a, b) if a == b => Ok(Field { typed, ..known }),
        (Holds::Nothing, _) => Ok(other.clone()),
        (_, Holds::Nothing) => Ok(Field { typed, ..known }),
        // Guesses that differ: what both are is text.
        _ if !known.typed && !other.typed => {
            let holds = Holds::Values(Kind::Categorical);
            Ok(Field { told: Kind::Categorical.to_string(), holds, ..known })
        }
        (Holds::Values(was), _) => Err(Error::Retyped {
            column: known.name,
            was: *was,
            is: other.told.clone(),
            place: Place::file(file),
        }),
        (Holds::Times | Holds::Other(_), _) => Ok(known),
    }
}
