//! CSV as a table: streamed, so that a file may be larger than memory.

use std::fs;
use std::io::{BufRead, BufReader, Cursor, Read};
use std::ops::ControlFlow;
use std::path::PathBuf;

use ::csv::{Reader, ReaderBuilder, StringRecord, Trim};
use chrono_tz::Tz;
use object_store::{GetResultPayload, ObjectStoreExt as _};

use super::{BATCH_ROWS, Batch, Buffer, Dictionary, Field, Holds, Values};
use crate::columnar::NO_TIME;
use crate::csv_file::{Look, delimiter_of};
use crate::error::{Error, Place};
use crate::labels;
use crate::moment;
use crate::place::Place as Files;
use crate::rows::MISSING;
use crate::schema::Kind;

/// Bytes of a header at most: a file without line ends is no reason to read it whole.
const HEADER_BYTES_MAX: u64 = 1 << 20;

const READ_BYTES: usize = 1 << 17;

/// The bytes of a file.
#[derive(Clone, Debug)]
pub(super) enum Content {
    /// On the local disk, where they stay.
    File(PathBuf),
    /// Fetched.
    Memory(bytes::Bytes),
}

/// One CSV file, its header read and its rows counted.
#[derive(Debug)]
pub(super) struct CsvTable {
    content: Content,
    pub(super) name: String,
    pub(super) rows: u64,
    header: Vec<String>,
    delimiter: u8,
}

impl Content {
    /// Of the file at `path`, one of the place's objects.
    pub(super) async fn of(files: &Files, path: &str) -> Result<Content, Error> {
        let failed = |source| Error::unreadable(path, source);
        let found = files.store().get(&files.inner(path)?).await.map_err(failed)?;
        if let GetResultPayload::File(_, path) = found.payload {
            return Ok(Content::File(path));
        }
        found.bytes().await.map(Content::Memory).map_err(failed)
    }
}

impl CsvTable {
    /// Reads the file once to learn what its columns hold.
    pub(super) fn open(content: Content, name: String) -> Result<(CsvTable, Vec<Field>), Error> {
        let (header, delimiter) = (Vec::new(), b',');
        let mut table = CsvTable { content, name, rows: 0, header, delimiter };
        let mut line = Vec::new();
        let mut start = table.bytes()?.take(HEADER_BYTES_MAX);
        start.read_until(b'\n', &mut line).map_err(|error| table.unreadable(error))?;
        table.delimiter = delimiter_of(&line);
        let mut reader = table.reader()?;
        let header = reader.headers().map_err(|error| table.fault(error, Some(1)))?;
        table.header = header.iter().map(str::to_owned).collect();
        for (at, column) in table.header.iter().enumerate() {
            if table.header[..at].contains(column) {
                let (column, file) = (column.clone(), table.name);
                return Err(Error::DuplicateColumn { column, file });
            }
        }
        let mut looks = vec![Look::default(); table.header.len()];
        let mut rows = 0;
        let _whole = table.each_record(&mut |record| {
            rows += 1;
            looks.iter_mut().zip(record).for_each(|(look, text)| look.see(text, Tz::UTC));
            Ok(ControlFlow::Continue(()))
        })?;
        table.rows = rows;
        let fields = looks.iter().zip(&table.header).map(|(look, name)| {
            let holds = look.holds();
            let told = match &holds {
                Holds::Values(kind) => kind.to_string(),
                Holds::Times => "times".to_owned(),
                Holds::Nothing | Holds::Other(_) => "nothing".to_owned(),
            };
            Field { name: name.clone(), holds, told, typed: false }
        });
        let fields = fields.collect();
        Ok((table, fields))
    }

    /// As [`super::Table::scan`], of this file.
    pub(super) fn scan(
        &self,
        buffers: &mut [Buffer],
        dictionary: Dictionary,
        first_row: u64,
        take: &mut dyn FnMut(&Batch<'_>) -> ControlFlow<()>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut columns = Vec::with_capacity(buffers.len());
        for buffer in buffers.iter_mut() {
            buffer.clear(dictionary);
            let found = self.header.iter().position(|name| *name == buffer.name);
            columns.push(found.ok_or_else(|| Error::Vanished {
                column: buffer.name.clone(),
                kind: buffer.kind(),
                file: self.name.clone(),
            })?);
        }
        let (mut done, mut held) = (0_u64, 0_usize);
        let end = self.each_record(&mut |record| {
            for (buffer, column) in buffers.iter_mut().zip(&columns) {
                let text = record.get(*column).unwrap_or_default().trim();
                buffer.push(text).map_err(|wrong| {
                    let line = record.position().map(::csv::Position::line);
                    let place = Place::file(&self.name).at_row(done + held as u64 + 1);
                    wrong.at(&buffer.name, buffer.kind(), text, place.at_line(line))
                })?;
            }
            held += 1;
            if held < BATCH_ROWS {
                return Ok(ControlFlow::Continue(()));
            }
            let flow = take(&Batch::new(first_row + done, held, buffers));
            done += held as u64;
            held = 0;
            buffers.iter_mut().for_each(|buffer| buffer.clear(dictionary));
            Ok(flow)
        })?;
        if end.is_break() || held == 0 {
            return Ok(end);
        }
        Ok(take(&Batch::new(first_row + done, held, buffers)))
    }

    /// Calls `take` with every record after the header until it breaks.
    fn each_record(
        &self,
        take: &mut dyn FnMut(&StringRecord) -> Result<ControlFlow<()>, Error>,
    ) -> Result<ControlFlow<()>, Error> {
        let mut reader = self.reader()?;
        let mut record = StringRecord::new();
        loop {
            let more = reader.read_record(&mut record);
            if !more.map_err(|error| self.fault(error, None))? {
                return Ok(ControlFlow::Continue(()));
            }
            if take(&record)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
    }

    fn reader(&self) -> Result<Reader<Box<dyn BufRead>>, Error> {
        let builder = &mut ReaderBuilder::new();
        let builder = builder.trim(Trim::Headers).delimiter(self.delimiter);
        let mut reader = builder.buffer_capacity(READ_BYTES).from_reader(self.bytes()?);
        // Reads past the header, so that the reader stands at the first record.
        reader.headers().map_err(|error| self.fault(error, Some(1)))?;
        Ok(reader)
    }

    /// The file from its start, without a byte-order mark.
    fn bytes(&self) -> Result<Box<dyn BufRead>, Error> {
        let mut bytes: Box<dyn BufRead> = match &self.content {
            Content::File(path) => {
                let file = fs::File::open(path).map_err(|error| self.unreadable(error))?;
                Box::new(BufReader::with_capacity(READ_BYTES, file))
            }
            Content::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
        };
        let start = bytes.fill_buf().map_err(|error| self.unreadable(error))?;
        if start.starts_with(b"\xEF\xBB\xBF") {
            bytes.consume(3);
        }
        Ok(bytes)
    }

    fn unreadable(&self, error: std::io::Error) -> Error {
        let source = object_store::Error::Generic { store: "local", source: error.into() };
        Error::unreadable(&self.name, source)
    }

    fn fault(&self, error: ::csv::Error, line: Option<u64>) -> Error {
        let told = error.position().map(::csv::Position::line);
        let place = Place::file(&self.name).at_line(line.or(told));
        #[expect(clippy::wildcard_enum_match_arm, reason = "the crate's list is open")]
        match error.kind() {
            ::csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                Error::Ragged { place, wanted: *expected_len, found: *len }
            }
            _ => Error::Csv { place, source: error },
        }
    }
}

/// Why a text does not fit its column.
enum Wrong {
    Infinite,
    Retyped,
    NotATime,
}

impl Wrong {
    fn at(self, column: &str, was: Kind, text: &str, place: Box<Place>) -> Error {
        let column = column.to_owned();
        match self {
            Wrong::Infinite => Error::Infinite { column, place },
            Wrong::Retyped => Error::Retyped { column, was, is: format!("`{text}`"), place },
            Wrong::NotATime => {
                Error::Value { column, value: text.to_owned(), wanted: "a time", place }
            }
        }
    }
}

fn time_of(text: &str) -> Option<i64> {
    moment::parse(text, Tz::UTC).map(|time| time.0)
}

impl Buffer {
    fn push(&mut self, text: &str) -> Result<(), Wrong> {
        let missing = labels::is_missing(text);
        let (numbers, number) = match &mut self.values {
            Values::Times(times) => {
                let time = if missing { Some(NO_TIME) } else { time_of(text) };
                times.push(time.ok_or(Wrong::NotATime)?);
                return Ok(());
            }
            Values::Categorical { codes, names, names_max, full } => {
                codes.push(match names.known(text) {
                    _ if missing => MISSING,
                    Some(code) => code,
                    None if names.names.len() < *names_max => names.code(text),
                    None => {
                        *full = true;
                        MISSING
                    }
                });
                return Ok(());
            }
            Values::Numeric { numbers, .. } if missing => (numbers, Some(f64::NAN)),
            Values::Numeric { kind: Kind::Boolean, numbers } => {
                let truth = text.eq_ignore_ascii_case("true");
                let known = truth || text.eq_ignore_ascii_case("false");
                (numbers, known.then_some(f64::from(truth)))
            }
            Values::Numeric { numbers, .. } => (numbers, text.parse::<f64>().ok()),
        };
        match number {
            Some(number) if number.is_infinite() => Err(Wrong::Infinite),
            Some(number) => {
                numbers.push(number);
                Ok(())
            }
            None => Err(Wrong::Retyped),
        }
    }
}
