//! Rows written for external trainers, and their predictions read back. Blocking: local files only.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow_array::types::Int32Type;
use arrow_array::{
    ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int32Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use arrow_schema::{DataType, Field, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::ArrowWriter;
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use parquet::basic::{Compression, ZstdLevel};
use parquet::file::properties::WriterProperties;

use crate::columnar;
use crate::error::{Error, Place};
use crate::rows::{Column, MISSING, Rows, Values};
use crate::schema::{Kind, Schema, Task};

/// What the columns beside the features are called.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Names<'a> {
    /// The event time: a timestamp in milliseconds, UTC.
    pub time: &'a str,
    /// The label: the class index as a whole number, or the value; without it no label is written.
    pub label: Option<&'a str>,
    /// The weight; without it no weight is written.
    pub weight: Option<&'a str>,
}

/// Writes features, label, weight and time as Parquet (zstd), row by row as they stand. Missing
/// values are nulls; categories are a dictionary of texts.
pub fn write_parquet(
    rows: &Rows,
    schema: &Schema,
    names: &Names<'_>,
    path: &Path,
) -> Result<(), Error> {
    let batch = batch(rows, schema, names).map_err(|error| write_error(path, error))?;
    let file = File::create(path).map_err(|error| write_error(path, error))?;
    let properties = WriterProperties::builder()
        .set_compression(Compression::ZSTD(ZstdLevel::default()))
        .build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties))
        .map_err(|error| write_error(path, error))?;
    writer.write(&batch).map_err(|error| write_error(path, error))?;
    writer.close().map_err(|error| write_error(path, error))?;
    Ok(())
}

/// Writes the same as CSV with a header, for languages that read no Parquet. Missing values are
/// empty, booleans `true` and `false`, times RFC 3339 in UTC with milliseconds.
pub fn write_csv(
    rows: &Rows,
    schema: &Schema,
    names: &Names<'_>,
    path: &Path,
) -> Result<(), Error> {
    let mut writer = csv::Writer::from_path(path).map_err(|error| write_error(path, error))?;
    let kind = |column: &Column| {
        schema.feature(&column.name).map_or(Kind::Numeric, |feature| feature.kind)
    };
    let kinds = rows.columns.iter().map(kind).collect::<Vec<_>>();
    let header = rows.columns.iter().map(|column| column.name.as_str());
    let others = [names.label, names.weight, Some(names.time)];
    let header = header.chain(others.into_iter().flatten());
    writer.write_record(header).map_err(|error| write_error(path, error))?;
    for row in 0..rows.len() {
        let mut write = |text: &str| writer.write_field(text);
        let mut record = || {
            for (column, kind) in rows.columns.iter().zip(&kinds) {
                match &column.values {
                    Values::Numeric(values) if values[row].is_nan() => write("")?,
                    Values::Numeric(values) if *kind == Kind::Boolean => {
                        write(if values[row] > 0.0 { "true" } else { "false" })?;
                    }
                    Values::Numeric(values) => write(&values[row].to_string())?,
                    Values::Categorical { codes, names } => {
                        write(names.get(codes[row] as usize).map_or("", String::as_str))?;
                    }
                }
            }
            if names.label.is_some() {
                let label = rows.label[row];
                // A class index is whole, so it is written without a fraction.
                write(&if label.is_nan() { String::new() } else { label.to_string() })?;
            }
            if names.weight.is_some() {
                write(&rows.weight[row].to_string())?;
            }
            write(&moment(rows.event_time[row].0))
        };
        record()
            .and_then(|()| writer.write_record(None::<&[u8]>))
            .map_err(|error| write_error(path, error))?;
    }
    writer.flush().map_err(|error| write_error(path, error))
}

/// Reads predictions: `outputs` columns of numbers, one row for each of the `rows` that were asked.
/// The result holds `outputs` values per row, row by row; all are finite.
pub fn read_predictions(path: &Path, rows: usize, outputs: usize) -> Result<Vec<f64>, Error> {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    let columns = match ending {
        "parquet" | "pq" => predictions_in_parquet(path)?,
        "csv" => predictions_in_csv(path)?,
        _ => return Err(Error::Format { file: shown(path) }),
    };
    let wrong = |why| Err(Error::Predictions { file: shown(path), why });
    if columns.len() != outputs {
        let found = columns.len();
        return wrong(format!("has {found} columns of predictions where {outputs} are wanted"));
    }
    if let Some(column) = columns.iter().find(|column| column.len() != rows) {
        return wrong(format!("has {} predictions for {rows} rows", column.len()));
    }
    let mut values = Vec::with_capacity(rows * outputs);
    for row in 0..rows {
        for column in &columns {
            if !column[row].is_finite() {
                return wrong(format!("predicts {} in row {}", column[row], row + 1));
            }
            values.push(column[row]);
        }
    }
    Ok(values)
}

fn batch(
    rows: &Rows,
    schema: &Schema,
    names: &Names<'_>,
) -> Result<RecordBatch, arrow_schema::ArrowError> {
    let mut fields = Vec::new();
    let mut arrays = Vec::<ArrayRef>::new();
    let mut add = |name: &str, array: ArrayRef| {
        fields.push(Field::new(name, array.data_type().clone(), true));
        arrays.push(array);
    };
    for column in &rows.columns {
        let kind = schema.feature(&column.name).map_or(Kind::Numeric, |feature| feature.kind);
        add(&column.name, feature(column, kind)?);
    }
    if let Some(label) = names.label {
        add(label, labels(&rows.label, schema.task));
    }
    if let Some(weight) = names.weight {
        add(weight, Arc::new(Float64Array::from(rows.weight.clone())));
    }
    let times = rows.event_time.iter().map(|at| at.0).collect::<Vec<_>>();
    let times = TimestampMillisecondArray::from(times).with_timezone("UTC");
    debug_assert_eq!(*arrow_array::Array::data_type(&times), time_type());
    add(names.time, Arc::new(times));
    RecordBatch::try_new(Arc::new(ArrowSchema::new(fields)), arrays)
}

fn feature(column: &Column, kind: Kind) -> Result<ArrayRef, arrow_schema::ArrowError> {
    Ok(match &column.values {
        Values::Numeric(values) if kind == Kind::Boolean => Arc::new(
            values.iter().map(|v| (!v.is_nan()).then_some(*v > 0.0)).collect::<BooleanArray>(),
        ),
        Values::Numeric(values) if values.iter().any(|value| value.is_nan()) => {
            let present = values.iter().map(|value| (!value.is_nan()).then_some(*value));
            Arc::new(present.collect::<Float64Array>())
        }
        Values::Numeric(values) => Arc::new(Float64Array::from(values.clone())),
        Values::Categorical { codes, names } => {
            let codes = codes.iter().map(|code| match *code {
                MISSING => None,
                code => i32::try_from(code).ok(),
            });
            let names = Arc::new(StringArray::from_iter_values(names));
            Arc::new(DictionaryArray::<Int32Type>::try_new(codes.collect(), names)?)
        }
    })
}

fn labels(labels: &[f64], task: Task) -> ArrayRef {
    let known = labels.iter().map(|label| (!label.is_nan()).then_some(*label));
    match task {
        Task::Regression => Arc::new(known.collect::<Float64Array>()),
        #[expect(clippy::cast_possible_truncation, reason = "a class index")]
        Task::Binary | Task::Multiclass => {
            Arc::new(known.map(|label| label.map(|label| label as i32)).collect::<Int32Array>())
        }
    }
}

fn moment(milliseconds: i64) -> String {
    chrono::DateTime::from_timestamp_millis(milliseconds)
        .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true))
        .unwrap_or_default()
}

fn time_type() -> DataType {
    DataType::Timestamp(TimeUnit::Millisecond, Some("UTC".into()))
}

fn predictions_in_parquet(path: &Path) -> Result<Vec<Vec<f64>>, Error> {
    let damaged = |source| Error::Damaged { place: Place::file(&shown(path)), source };
    let builder = ParquetRecordBatchReaderBuilder::try_new(opened(path)?).map_err(damaged)?;
    let fields = builder.schema().fields().clone();
    let mut columns = vec![Vec::new(); fields.len()];
    for batch in builder.build().map_err(damaged)? {
        let batch = batch.map_err(|error| damaged(parquet_error(error)))?;
        for ((array, column), field) in batch.columns().iter().zip(&mut columns).zip(&fields) {
            if !columnar::numbers(array.as_ref(), column) {
                let (name, found) = (field.name(), field.data_type());
                let why = format!("holds {found} in column `{name}`, not numbers");
                return Err(Error::Predictions { file: shown(path), why });
            }
        }
    }
    Ok(columns)
}

fn predictions_in_csv(path: &Path) -> Result<Vec<Vec<f64>>, Error> {
    let fault = |source: csv::Error| {
        let line = source.position().map(csv::Position::line);
        let place = Place::file(&shown(path)).at_line(line);
        Error::Csv { place, source }
    };
    let mut reader = csv::Reader::from_reader(opened(path)?);
    let mut columns = vec![Vec::new(); reader.headers().map_err(fault)?.len()];
    for record in reader.records() {
        let record = record.map_err(fault)?;
        for (text, column) in record.iter().zip(&mut columns) {
            let value = text.trim().parse::<f64>();
            column.push(value.map_err(|_ignored| Error::Predictions {
                file: shown(path),
                why: format!("predicts `{text}` in row {}, not a number", column.len() + 1),
            })?);
        }
    }
    Ok(columns)
}

fn opened(path: &Path) -> Result<File, Error> {
    File::open(path).map_err(|error| Error::Unreadable {
        file: shown(path),
        source: object_store::Error::NotFound { path: shown(path), source: Box::new(error) },
    })
}

fn shown(path: &Path) -> String {
    path.display().to_string()
}

fn parquet_error(error: arrow_schema::ArrowError) -> parquet::errors::ParquetError {
    parquet::errors::ParquetError::External(Box::new(error))
}

fn write_error(path: &Path, error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Error {
    Error::Write { file: shown(path), source: error.into() }
}
