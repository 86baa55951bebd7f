//! CSV: every line checked against the header, types told by what the values look like.

use chrono_tz::Tz;
use csv::{ReaderBuilder, StringRecord, Trim};

use afresh_core::time::Timestamp;

use crate::build::{Build, Line};
use crate::columnar::Holds;
use crate::error::{Error, Place};
use crate::labels::{self, Seen};
use crate::moment;
use crate::schema::Kind;
use crate::source::Span;

/// Lines that are looked at to tell which columns look like times.
const TIME_LINES_MAX: usize = 100;

/// One CSV file in memory, its header read.
pub(crate) struct CsvFile<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    pub(crate) header: Vec<String>,
    pub(crate) name: String,
}

/// What the values of one column look like.
#[expect(clippy::struct_excessive_bools, reason = "six independent marks, set one by one")]
#[derive(Clone, Debug, Default)]
pub(crate) struct Look {
    numbers: bool,
    booleans: bool,
    times: bool,
    texts: bool,
    missing: bool,
    first: Option<String>,
    varies: bool,
}

impl<'a> CsvFile<'a> {
    /// Reads the header. Fields are parted by `;` or a tab where the header has no comma.
    pub(crate) fn open(bytes: &'a [u8], name: String) -> Result<CsvFile<'a>, Error> {
        let bytes = bytes.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(bytes);
        let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        let delimiter = delimiter_of(line);
        let mut file = CsvFile { bytes, delimiter, header: Vec::new(), name };
        let mut reader = file.reader();
        let header = reader.headers().map_err(|error| file.fault(error, Some(1)))?;
        file.header = header.iter().map(str::to_owned).collect();
        for (at, column) in file.header.iter().enumerate() {
            if file.header[..at].contains(column) {
                return Err(Error::DuplicateColumn { column: column.clone(), file: file.name });
            }
        }
        Ok(file)
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.header.iter().map(String::as_str).collect()
    }

    /// Position of the time column; the error tells which columns look like one.
    pub(crate) fn time_column(&self, time: &str) -> Result<usize, Error> {
        if let Some(at) = self.header.iter().position(|name| name == time) {
            return Ok(at);
        }
        Err(self.no_time(time, None))
    }

    fn no_time(&self, time: &str, found: Option<String>) -> Error {
        let mut looks = vec![Look::default(); self.header.len()];
        let mut lines = 0;
        // Faults are the concern of whoever reads the file in earnest.
        let _faults = self.each_line(|record, _| {
            lines += 1;
            looks.iter_mut().zip(record).for_each(|(look, text)| look.see(text, Tz::UTC));
            if lines < TIME_LINES_MAX { Ok(()) } else { Err(self.no_rows()) }
        });
        let columns = looks.iter().zip(&self.header);
        let candidates = columns.filter(|(look, _)| look.holds() == Holds::Times);
        Error::NoTime {
            column: time.to_owned(),
            file: self.name.clone(),
            found,
            candidates: candidates.map(|(_, name)| name.clone()).collect(),
        }
    }

    /// Adds the rows of the build's window.
    pub(crate) fn read(&self, build: &mut Build<'_>) -> Result<(), Error> {
        let plan = build.plan(self.time_column(&build.spec.time)?, &self.names(), &self.name)?;
        let (column, zone) = (build.spec.time.clone(), build.spec.timezone);
        self.each_line(|record, place| {
            let event_time = self.time(record, plan.time, &column, zone, place)?;
            if !build.window.contains(event_time) {
                return Ok(());
            }
            build.append_line(&Line { place, event_time, record }, &plan)
        })
    }

    /// First and last event time.
    pub(crate) fn span(&self, time: &str, zone: Tz) -> Result<Option<Span>, Error> {
        let column = self.time_column(time)?;
        let mut found: Option<Span> = None;
        self.each_line(|record, place| {
            let at = self.time(record, column, time, zone, place)?;
            let one = Span { first: at, last: at };
            found = Some(found.map_or(one, |span| span.with(one)));
            Ok(())
        })?;
        Ok(found)
    }

    /// What every column looks like; the values of column `label` are noted.
    pub(crate) fn looks(
        &self,
        time: usize,
        label: Option<usize>,
        zone: Tz,
        seen: &mut Seen,
    ) -> Result<Vec<Look>, Error> {
        let mut looks = vec![Look::default(); self.header.len()];
        self.each_line(|record, place| {
            self.time(record, time, &self.header[time], zone, place)?;
            looks.iter_mut().zip(record).for_each(|(look, text)| look.see(text, zone));
            if let Some(text) = label.and_then(|label| record.get(label)) {
                seen.text(text);
            }
            Ok(())
        })?;
        Ok(looks)
    }

    fn time(
        &self,
        record: &StringRecord,
        at: usize,
        column: &str,
        zone: Tz,
        place: &Place,
    ) -> Result<Timestamp, Error> {
        let text = record.get(at).unwrap_or_default();
        moment::parse(text, zone).ok_or_else(|| {
            if place.row == Some(1) && !text.trim().is_empty() {
                return self.no_time(column, Some(format!("`{text}`")));
            }
            Error::Value {
                column: column.to_owned(),
                value: text.to_owned(),
                wanted: "a time: write RFC 3339, `YYYY-MM-DD HH:MM:SS`, or seconds or \
                         milliseconds since 1970",
                place: Box::new(place.clone()),
            }
        })
    }

    /// Calls `take` with every record after the header.
    fn each_line(
        &self,
        mut take: impl FnMut(&StringRecord, &Place) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut reader = self.reader();
        // Reads past the header, so that the reader stands at the first record.
        reader.headers().map_err(|error| self.fault(error, Some(1)))?;
        let mut record = StringRecord::new();
        let mut place = Place::file(&self.name).at_row(0);
        loop {
            place.line = Some(self.line(reader.position()));
            let more = reader.read_record(&mut record);
            if !more.map_err(|error| self.fault(error, place.line))? {
                return Ok(());
            }
            place.row = place.row.map(|row| row + 1);
            take(&record, &place)?;
        }
    }

    fn reader(&self) -> csv::Reader<&'a [u8]> {
        ReaderBuilder::new().trim(Trim::Headers).delimiter(self.delimiter).from_reader(self.bytes)
    }

    fn no_rows(&self) -> Error {
        Error::NoRows { location: self.name.clone() }
    }

    /// The line of the record that is read next: blank lines before it are skipped.
    fn line(&self, position: &csv::Position) -> u64 {
        let start = usize::try_from(position.byte()).unwrap_or(usize::MAX);
        let rest = self.bytes.get(start..).unwrap_or_default().iter();
        let blank = rest.take_while(|byte| matches!(byte, b'\n' | b'\r'));
        position.line() + blank.filter(|byte| **byte == b'\n').count() as u64
    }

    fn fault(&self, error: csv::Error, line: Option<u64>) -> Error {
        let place = Place::file(&self.name).at_line(line);
        #[expect(clippy::wildcard_enum_match_arm, reason = "the crate's list is open")]
        match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                Error::Ragged { place, wanted: *expected_len, found: *len }
            }
            _ => Error::Csv { place, source: error },
        }
    }
}

/// What parts the fields of a file with this `header`.
pub(crate) fn delimiter_of(header: &[u8]) -> u8 {
    let has = |mark| header.contains(&mark);
    match (has(b','), has(b';'), has(b'\t')) {
        (false, true, _) => b';',
        (false, false, true) => b'\t',
        _ => b',',
    }
}

impl Look {
    pub(crate) fn see(&mut self, text: &str, zone: Tz) {
        let text = text.trim();
        if labels::is_missing(text) {
            self.missing = true;
            return;
        }
        match &self.first {
            Some(first) => self.varies |= first != text,
            None => self.first = Some(text.to_owned()),
        }
        if self.texts {
            return;
        }
        if text.parse::<f64>().is_ok() {
            self.numbers = true;
        } else if text.eq_ignore_ascii_case("true") || text.eq_ignore_ascii_case("false") {
            self.booleans = true;
        } else if moment::parse(text, zone).is_some() {
            self.times = true;
        } else {
            self.texts = true;
        }
    }

    /// What the whole column holds; a mixture is text.
    pub(crate) fn holds(&self) -> Holds {
        match (self.numbers, self.booleans, self.times, self.texts) {
            (false, false, false, false) => Holds::Nothing,
            (true, false, false, false) => Holds::Values(Kind::Numeric),
            (false, true, false, false) => Holds::Values(Kind::Boolean),
            (false, false, true, false) => Holds::Times,
            _ => Holds::Values(Kind::Categorical),
        }
    }

    /// The one value that every row has.
    pub(crate) fn constant(&self) -> Option<String> {
        (!self.varies && !self.missing).then(|| self.first.clone()).flatten()
    }
}
