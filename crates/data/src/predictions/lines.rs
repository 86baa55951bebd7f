//! The lines of a CSV file one by one, their fields as numbers and times.

use std::fs::File;
use std::io::{BufReader, Cursor, Read};

use chrono_tz::Tz;
use csv::{ByteRecord, ReaderBuilder};
use object_store::{GetResultPayload, ObjectStoreExt};

use crate::columnar::NO_TIME;
use crate::error::{self, Place};
use crate::labels::is_missing;
use crate::moment;
use crate::place::{self, Object};
use crate::predictions::Error;

/// The lines of a CSV file, read from disk as they are needed; a file on S3 is fetched as a whole.
pub(super) struct Lines {
    reader: csv::Reader<Box<dyn Read>>,
    record: ByteRecord,
    pub(super) header: Vec<String>,
    file: String,
    row: u64,
}

impl Lines {
    pub(super) async fn open(place: &place::Place, object: &Object) -> Result<Lines, Error> {
        let failed = |source| error::Error::unreadable(&object.path, source);
        let found = place.store().get(&place.inner(&object.path)?).await.map_err(failed)?;
        let mut reader: Box<dyn Read> = match found.payload {
            GetResultPayload::File(file, _) => {
                Box::new(BufReader::<File>::with_capacity(1 << 18, file))
            }
            GetResultPayload::Stream(_) => Box::new(Cursor::new(place.bytes(&object.path).await?)),
        };
        // The header tells what parts fields, so it is looked at before the lines are.
        let mut start = Vec::new();
        let generic = |source: std::io::Error| {
            failed(object_store::Error::Generic { store: "local", source: source.into() })
        };
        (&mut reader).take(1 << 16).read_to_end(&mut start).map_err(generic)?;
        let without_mark = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(&start);
        let line = without_mark.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let has = |mark| line.contains(&mark);
        let delimiter = match (has(b','), has(b';'), has(b'\t')) {
            (false, true, _) => b';',
            (false, false, true) => b'\t',
            _ => b',',
        };
        let all: Box<dyn Read> = Box::new(Cursor::new(without_mark.to_vec()).chain(reader));
        let mut reader = ReaderBuilder::new().delimiter(delimiter).from_reader(all);
        let file = object.path.clone();
        let header = match reader.headers() {
            Ok(header) => header.iter().map(|name| name.trim().to_owned()).collect::<Vec<_>>(),
            Err(error) => return Err(fault(error, &file, 0).into()),
        };
        for (at, column) in header.iter().enumerate() {
            if header[..at].contains(column) {
                let column = column.clone();
                return Err(error::Error::DuplicateColumn { column, file }.into());
            }
        }
        Ok(Lines { reader, record: ByteRecord::new(), header, file, row: 0 })
    }

    pub(super) fn next(&mut self) -> Result<bool, Error> {
        self.row += 1;
        let read = self.reader.read_byte_record(&mut self.record);
        read.map_err(|error| fault(error, &self.file, self.row).into())
    }

    /// Empty where the bytes are no text.
    pub(super) fn field(&self, column: usize) -> &str {
        let bytes = self.record.get(column).unwrap_or_default();
        std::str::from_utf8(bytes).unwrap_or_default()
    }

    fn place(&self) -> Box<Place> {
        let line = self.record.position().map(csv::Position::line);
        Place::file(&self.file).at_row(self.row).at_line(line)
    }

    pub(super) fn number(&self, column: usize, name: &str) -> Result<f64, Error> {
        let text = self.field(column).trim();
        match text.parse::<f64>() {
            Ok(number) => Ok(number),
            Err(_) if is_missing(text) => Ok(f64::NAN),
            Err(_) if text.eq_ignore_ascii_case("true") => Ok(1.0),
            Err(_) if text.eq_ignore_ascii_case("false") => Ok(0.0),
            Err(_) => {
                let (column, value) = (name.to_owned(), text.to_owned());
                let place = self.place();
                Err(error::Error::Value { column, value, wanted: "a number", place }.into())
            }
        }
    }

    pub(super) fn time(&self, column: usize, name: &str) -> Result<i64, Error> {
        let text = self.field(column);
        if let Some(at) = moment::parse(text, Tz::UTC) {
            return Ok(at.0);
        }
        if is_missing(text) {
            return Ok(NO_TIME);
        }
        let wanted =
            "a time: write RFC 3339, `YYYY-MM-DD HH:MM:SS`, or seconds or milliseconds since 1970";
        let (column, value) = (name.to_owned(), text.to_owned());
        Err(error::Error::Value { column, value, wanted, place: self.place() }.into())
    }

    pub(super) fn bytes_read(&self) -> u64 {
        self.reader.position().byte()
    }
}

fn fault(error: csv::Error, file: &str, row: u64) -> error::Error {
    let line = error.position().map(csv::Position::line);
    let place = Place::file(file).at_row(row).at_line(line);
    #[expect(clippy::wildcard_enum_match_arm, reason = "the crate's list is open")]
    match error.kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            error::Error::Ragged { place, wanted: *expected_len, found: *len }
        }
        _ => error::Error::Csv { place, source: error },
    }
}
