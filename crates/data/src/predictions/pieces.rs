//! The columns of a log read a few thousand rows at a time, from Parquet and from CSV alike. Both
//! formats fill the same buffers.

use std::ops::ControlFlow;

use chrono_tz::Tz;

use arrow_array::{Array, RecordBatch};

use crate::columnar::{self, NO_TIME, Names};
use crate::error;
use crate::labels::is_missing;
use crate::origin::{Kept, Origin};
use crate::parquet_file::ParquetFile;
use crate::place::{self, Format, Object};
use crate::predictions::Error;
use crate::predictions::layout::{Layout, canonical};
use crate::predictions::lines::Lines;
use crate::rows::MISSING;

/// Rows of a piece.
const PIECE_ROWS: usize = 8_192;
/// Rows that are looked at to tell what columns hold, of the first and of the last file.
const SAMPLE_ROWS: usize = 20_000;
/// Whole numbers below this many are seconds since 1970, others milliseconds.
const SECONDS_MAX: i64 = 100_000_000_000;

/// One column of a sample.
pub(super) enum Column {
    /// NaN is missing.
    Numbers(Vec<f64>),
    /// Empty is missing.
    Texts(Vec<String>),
}

/// The first rows of a log.
pub(super) struct Sample {
    pub rows: usize,
    pub predictions: Vec<Column>,
    pub label: Column,
    pub version: Option<Column>,
    /// Times are whole numbers of seconds.
    pub seconds: bool,
}

/// A few thousand rows, column by column.
#[derive(Default)]
pub(super) struct Raw {
    pub times: Vec<i64>,
    /// Empty where there is no such column; likewise below.
    pub label_times: Vec<i64>,
    /// One vector per column.
    pub predictions: Vec<Values>,
    pub label: Values,
    pub versions: Vec<u32>,
    pub weights: Vec<f64>,
    /// One vector of codes per column.
    pub slices: Vec<Vec<u32>>,
}

/// Numbers, or codes of texts.
pub(super) enum Values {
    Numbers(Vec<f64>),
    Codes(Vec<u32>),
}

/// What the texts of a log stand for, over all its pieces.
#[derive(Default)]
pub(super) struct Texts {
    pub labels: Names,
    pub predictions: Names,
    pub versions: Names,
    /// One per column; the empty text stands for a missing value.
    pub slices: Vec<Names>,
}

impl Default for Values {
    fn default() -> Values {
        Values::Numbers(Vec::new())
    }
}

/// The first file and its columns.
pub(super) async fn header(
    place: &place::Place,
    objects: &[Object],
    location: &str,
) -> Result<(String, Vec<String>), Error> {
    let Some(object) = objects.first() else {
        return Err(Error::Empty { location: location.to_owned() });
    };
    let names: Vec<String> = match object.format()? {
        Format::Parquet => {
            let file = place.parquet(object).await?;
            file.names().into_iter().map(str::to_owned).collect()
        }
        Format::Csv => Lines::open(place, object).await?.header,
    };
    // A file without a single byte has one column without a name, or none.
    if names.iter().all(String::is_empty) {
        return Err(Error::Empty { location: location.to_owned() });
    }
    Ok((object.path.clone(), names))
}

/// The first rows of the first and the last file.
pub(super) async fn sample(
    place: &place::Place,
    objects: &[Object],
    layout: &Layout,
) -> Result<Sample, Error> {
    let mut gathered = layout.columns().map(|_| Gathered::default()).collect::<Vec<_>>();
    let last = objects.len().saturating_sub(1);
    let mut time_numbers = Gathered::default();
    for (at, object) in objects.iter().enumerate() {
        let rows_before = gathered[0].rows;
        if at != 0 && at != last {
            continue;
        }
        match object.format()? {
            Format::Parquet => {
                let file = place.parquet(object).await?;
                file.time_column(&layout.time)?;
                let columns = positions(layout, &file.names(), &object.path)?;
                let chosen = chosen(&columns);
                let mut look = |batch: &RecordBatch| {
                    for (column, gathered) in columns.iter().zip(&mut gathered) {
                        gathered.array(batch.column(within(&chosen, *column)).as_ref());
                    }
                    let enough = gathered[0].rows - rows_before >= SAMPLE_ROWS;
                    Ok(if enough { ControlFlow::Break(()) } else { ControlFlow::Continue(()) })
                };
                // Enough or all: both are a sample.
                file.scan(&chosen, PIECE_ROWS, &mut look).await.map(|_| ())?;
                let time = file.schema().field(columns[0]).data_type();
                time_numbers.number |= time.is_integer();
            }
            Format::Csv => {
                let mut lines = Lines::open(place, object).await?;
                let header = lines.header.iter().map(String::as_str).collect::<Vec<_>>();
                let columns = positions(layout, &header, &object.path)?;
                while gathered[0].rows - rows_before < SAMPLE_ROWS && lines.next()? {
                    for (column, gathered) in columns.iter().zip(&mut gathered) {
                        gathered.text(lines.field(*column));
                    }
                }
            }
        }
    }
    let rows = gathered[0].rows;
    let mut gathered = gathered.into_iter();
    let time = gathered.next().unwrap_or_default();
    let largest = time.numbers.iter().copied().filter(|v| !v.is_nan()).fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^53")]
    let seconds = time_numbers.number && largest > 0.0 && largest < SECONDS_MAX as f64;
    let label = gathered.next().unwrap_or_default().column();
    let predictions =
        layout.predictions.iter().map(|_| gathered.next().unwrap_or_default().column()).collect();
    if layout.label_time.is_some() {
        gathered.next();
    }
    let version = layout.version.as_ref().and_then(|_| gathered.next()).map(Gathered::column);
    Ok(Sample { rows, predictions, label, version, seconds })
}

/// Positions of the layout's columns in a file, in the order of [`Layout::columns`].
fn positions(layout: &Layout, names: &[&str], file: &str) -> Result<Vec<usize>, Error> {
    let find = |wanted: &str| {
        names.iter().position(|name| *name == wanted).ok_or_else(|| Error::NoColumn {
            file: file.to_owned(),
            column: wanted.to_owned(),
            option: "the log's first file",
            near: error::near(wanted, names.iter().copied()),
            columns: names.iter().map(|name| (*name).to_owned()).collect(),
        })
    };
    layout.columns().map(find).collect()
}

/// Columns to decode, in the order of the file.
fn chosen(columns: &[usize]) -> Vec<usize> {
    let mut chosen = columns.to_vec();
    chosen.sort_unstable();
    chosen.dedup();
    chosen
}

fn within(chosen: &[usize], column: usize) -> usize {
    chosen.binary_search(&column).unwrap_or(0)
}

/// Hands every piece of a Parquet file to `take`.
pub(super) async fn parquet(
    file: &ParquetFile,
    layout: &Layout,
    texts: &mut Texts,
    take: &mut dyn FnMut(&Raw, &Texts, &Origin<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    file.time_column(&layout.time)?;
    let columns = positions(layout, &file.names(), &file.name)?;
    let chosen = chosen(&columns);
    let mut failed = None;
    let mut raw = Raw::default();
    let mut first_row = 0;
    // Page by page: whole row groups would grow memory with their size.
    let mut each = |batch: &RecordBatch| {
        let origin = Origin { file: &file.name, row_group: None, first_row };
        first_row += batch.num_rows() as u64;
        let column = |at: usize| batch.column(within(&chosen, columns[at])).as_ref();
        let done = fill(&mut raw, layout, texts, batch, &column, &origin)
            .and_then(|()| take(&raw, texts, &origin));
        Ok(match done {
            Ok(()) => ControlFlow::Continue(()),
            Err(error) => {
                failed = Some(error);
                ControlFlow::Break(())
            }
        })
    };
    let read = file.scan(&chosen, PIECE_ROWS, &mut each).await;
    match failed {
        Some(error) => Err(error),
        None => read.map(|_| ()).map_err(Error::from),
    }
}

fn fill<'b>(
    raw: &mut Raw,
    layout: &Layout,
    texts: &mut Texts,
    batch: &RecordBatch,
    column: &dyn Fn(usize) -> &'b dyn Array,
    from: &Origin<'_>,
) -> Result<(), Error> {
    let rows = batch.num_rows();
    times(column(0), layout, &layout.time, from, &mut raw.times)?;
    values(column(1), layout.label_is_text, &layout.label, &mut texts.labels, &mut raw.label)?;
    raw.predictions.resize_with(layout.predictions.len(), Values::default);
    let as_text = layout.predicts == crate::predictions::Predicts::Answer;
    for (at, (name, slot)) in layout.predictions.iter().zip(&mut raw.predictions).enumerate() {
        let is_text = as_text && columnar::holds(column(2 + at).data_type()) != numeric();
        values(column(2 + at), is_text, name, &mut texts.predictions, slot)?;
    }
    let mut next = 2 + layout.predictions.len();
    raw.label_times.clear();
    if let Some(name) = &layout.label_time {
        times(column(next), layout, name, from, &mut raw.label_times)?;
        next += 1;
    }
    raw.versions.clear();
    if layout.version.is_some() {
        codes(column(next), &mut texts.versions, &mut raw.versions);
        next += 1;
    }
    raw.weights.clear();
    if let Some(name) = &layout.weight {
        let mut slot = Values::default();
        values(column(next), false, name, &mut texts.predictions, &mut slot)?;
        if let Values::Numbers(numbers) = slot {
            raw.weights = numbers;
        }
        next += 1;
    }
    raw.slices.resize_with(layout.slices.len(), Vec::new);
    texts.slices.resize_with(layout.slices.len(), Names::default);
    for (at, (names, slot)) in texts.slices.iter_mut().zip(&mut raw.slices).enumerate() {
        slot.clear();
        codes(column(next + at), names, slot);
        // Times and lists are neither texts nor numbers.
        if slot.len() != rows {
            return Err(Error::Kind {
                column: layout.slices[at].clone(),
                found: column(next + at).data_type().to_string().to_lowercase(),
                wanted: "texts or numbers",
            });
        }
        if slot.contains(&MISSING) {
            let missing = names.code("");
            slot.iter_mut().filter(|code| **code == MISSING).for_each(|code| *code = missing);
        }
    }
    debug_assert_eq!(raw.times.len(), rows);
    Ok(())
}

fn numeric() -> columnar::Holds {
    columnar::Holds::Values(crate::schema::Kind::Numeric)
}

fn times(
    array: &dyn Array,
    layout: &Layout,
    name: &str,
    from: &Origin<'_>,
    out: &mut Vec<i64>,
) -> Result<(), Error> {
    out.clear();
    match columnar::times(array, Tz::UTC, out) {
        Ok(true) => {}
        Ok(false) => {
            return Err(Error::Kind {
                column: name.to_owned(),
                found: array.data_type().to_string(),
                wanted: "times",
            });
        }
        Err(bad) => {
            let place = from.place(&Kept::All, bad.at);
            let (column, value) = (name.to_owned(), bad.value);
            return Err(error::Error::Value { column, value, wanted: "a time", place }.into());
        }
    }
    if layout.seconds && array.data_type().is_integer() {
        out.iter_mut().filter(|at| **at != NO_TIME).for_each(|at| *at = at.saturating_mul(1_000));
    }
    Ok(())
}

fn values(
    array: &dyn Array,
    is_text: bool,
    name: &str,
    names: &mut Names,
    out: &mut Values,
) -> Result<(), Error> {
    if is_text {
        let mut found = match std::mem::take(out) {
            Values::Codes(found) => found,
            Values::Numbers(_) => Vec::new(),
        };
        found.clear();
        codes(array, names, &mut found);
        *out = Values::Codes(found);
        return Ok(());
    }
    let mut found = match std::mem::take(out) {
        Values::Numbers(found) => found,
        Values::Codes(_) => Vec::new(),
    };
    found.clear();
    if !columnar::numbers(array, &mut found) {
        return Err(Error::Kind {
            column: name.to_owned(),
            found: array.data_type().to_string().to_lowercase(),
            wanted: "numbers",
        });
    }
    *out = Values::Numbers(found);
    Ok(())
}

/// Codes of texts, or of numbers as they are written.
fn codes(array: &dyn Array, names: &mut Names, out: &mut Vec<u32>) {
    if columnar::texts(array, names, out) {
        return;
    }
    let mut numbers = Vec::new();
    columnar::numbers(array, &mut numbers);
    let mut last = (f64::NAN, MISSING);
    out.extend(numbers.into_iter().map(|value| {
        if value.is_nan() {
            return MISSING;
        }
        if value.to_bits() != last.0.to_bits() {
            last = (value, names.code(&crate::labels::written(value)));
        }
        last.1
    }));
}

/// Hands every piece of a CSV file to `take`; `progress` is told the bytes that were read.
pub(super) async fn csv(
    place: &place::Place,
    object: &Object,
    layout: &Layout,
    texts: &mut Texts,
    progress: &mut dyn FnMut(u64),
    take: &mut dyn FnMut(&Raw, &Texts, &Origin<'_>) -> Result<(), Error>,
) -> Result<(), Error> {
    let mut lines = Lines::open(place, object).await?;
    let header = lines.header.iter().map(String::as_str).collect::<Vec<_>>();
    let columns = positions(layout, &header, &object.path)?;
    let mut first_row = 0;
    loop {
        let mut raw = Raw::default();
        raw.predictions.resize_with(layout.predictions.len(), Values::default);
        raw.slices.resize_with(layout.slices.len(), Vec::new);
        texts.slices.resize_with(layout.slices.len(), Names::default);
        while raw.times.len() < PIECE_ROWS && lines.next()? {
            line(&mut raw, layout, texts, &lines, &columns)?;
        }
        if raw.times.is_empty() {
            return Ok(());
        }
        take(&raw, texts, &Origin { file: &object.path, row_group: None, first_row })?;
        first_row += raw.times.len() as u64;
        progress(lines.bytes_read());
    }
}

fn line(
    raw: &mut Raw,
    layout: &Layout,
    texts: &mut Texts,
    lines: &Lines,
    columns: &[usize],
) -> Result<(), Error> {
    raw.times.push(lines.time(columns[0], &layout.time)?);
    let text = lines.field(columns[1]);
    if layout.label_is_text {
        push_code(&mut raw.label, text, &mut texts.labels);
    } else {
        push_number(&mut raw.label, lines.number(columns[1], &layout.label)?);
    }
    let as_text = layout.predicts == crate::predictions::Predicts::Answer;
    for (at, slot) in raw.predictions.iter_mut().enumerate() {
        let column = columns[2 + at];
        if as_text {
            push_code(slot, lines.field(column), &mut texts.predictions);
        } else {
            push_number(slot, lines.number(column, &layout.predictions[at])?);
        }
    }
    let mut next = 2 + layout.predictions.len();
    if let Some(name) = &layout.label_time {
        raw.label_times.push(lines.time(columns[next], name)?);
        next += 1;
    }
    if layout.version.is_some() {
        let text = lines.field(columns[next]).trim();
        raw.versions.push(if is_missing(text) { MISSING } else { texts.versions.code(text) });
        next += 1;
    }
    if let Some(name) = &layout.weight {
        raw.weights.push(lines.number(columns[next], name)?);
        next += 1;
    }
    for (at, (names, slot)) in texts.slices.iter_mut().zip(&mut raw.slices).enumerate() {
        let text = lines.field(columns[next + at]).trim();
        slot.push(names.code(if is_missing(text) { "" } else { text }));
    }
    Ok(())
}

fn push_number(values: &mut Values, number: f64) {
    match values {
        Values::Numbers(numbers) => numbers.push(number),
        Values::Codes(_) => *values = Values::Numbers(vec![number]),
    }
}

fn push_code(values: &mut Values, text: &str, names: &mut Names) {
    let code = if is_missing(text) { MISSING } else { names.code(text.trim()) };
    match values {
        Values::Codes(codes) => codes.push(code),
        Values::Numbers(_) => *values = Values::Codes(vec![code]),
    }
}

/// First and last time of a CSV file, and its rows.
pub(super) async fn csv_span(
    place: &place::Place,
    object: &Object,
    layout: &Layout,
    progress: &mut dyn FnMut(u64),
) -> Result<(Option<(i64, i64)>, u64), Error> {
    let mut lines = Lines::open(place, object).await?;
    let header = lines.header.iter().map(String::as_str).collect::<Vec<_>>();
    let column = positions(layout, &header, &object.path)?[0];
    let (mut span, mut rows) = (None, 0_u64);
    while lines.next()? {
        let at = lines.time(column, &layout.time)?;
        if at != NO_TIME {
            let (first, last) = span.unwrap_or((at, at));
            span = Some((at.min(first), at.max(last)));
        }
        rows += 1;
        if rows.is_multiple_of(1 << 14) {
            progress(lines.bytes_read());
        }
    }
    Ok((span, rows))
}

/// A column of a sample, growing.
#[derive(Default)]
struct Gathered {
    rows: usize,
    numbers: Vec<f64>,
    texts: Vec<String>,
    /// Something was a number; something was none.
    number: bool,
    text: bool,
}

impl Gathered {
    fn array(&mut self, array: &dyn Array) {
        self.rows += array.len();
        if columnar::numbers(array, &mut self.numbers) {
            self.number = true;
            return;
        }
        let (mut names, mut codes) = (Names::default(), Vec::new());
        if columnar::texts(array, &mut names, &mut codes) {
            self.text = true;
            let name = |code: u32| names.names.get(code as usize).cloned().unwrap_or_default();
            self.texts.extend(codes.into_iter().map(name));
        }
    }

    fn text(&mut self, text: &str) {
        self.rows += 1;
        if is_missing(text) {
            return;
        }
        match canonical(text).parse::<f64>() {
            Ok(number) => self.numbers.push(number),
            Err(_) => self.text = true,
        }
        self.texts.push(text.trim().to_owned());
    }

    fn column(self) -> Column {
        if self.text { Column::Texts(self.texts) } else { Column::Numbers(self.numbers) }
    }
}
