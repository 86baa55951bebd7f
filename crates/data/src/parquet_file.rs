//! Parquet through an object store: only the row groups of the window, only the columns asked for.

use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow_array::{Array, RecordBatch};
use arrow_schema::{FieldRef, Schema as ArrowSchema};
use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, TryStreamExt};
use object_store::path::Path;
use object_store::{GetResultPayload, ObjectStore, ObjectStoreExt};
use parquet::arrow::arrow_reader::statistics::StatisticsConverter;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ArrowReaderOptions, ParquetRecordBatchReaderBuilder,
};
use parquet::arrow::async_reader::AsyncFileReader;
use parquet::arrow::{ParquetRecordBatchStreamBuilder, ProjectionMask};
use parquet::errors::ParquetError;
use parquet::file::metadata::{ParquetMetaData, ParquetMetaDataReader, RowGroupMetaData};

use afresh_core::time::{Duration, Timestamp, Window};
use chrono_tz::Tz;

use crate::build::Build;
use crate::columnar::{self, NO_TIME};
use crate::error::{Error, Place};
use crate::labels::Seen;
use crate::origin::Origin;
use crate::source::Span;

/// Small enough that a batch of thirty columns stays in the cache.
const BATCH_ROWS: usize = 8_192;

/// Most footers lie in the last 64 KiB, so that one request fetches them.
const FOOTER_BYTES: usize = 65_536;

/// One Parquet file, its footer read.
#[derive(Debug)]
pub(crate) struct ParquetFile {
    reader: Reader,
    metadata: ArrowReaderMetadata,
    pub(crate) name: String,
}

/// Row groups that a read decoded, and all there are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Groups {
    pub(crate) read: usize,
    pub(crate) all: usize,
}

#[derive(Clone, Debug)]
struct Reader {
    store: Arc<dyn ObjectStore>,
    path: Path,
    size_bytes: u64,
}

impl ParquetFile {
    /// Reads the footer of `path`, which errors call `name`.
    pub(crate) async fn open(
        store: Arc<dyn ObjectStore>,
        path: Path,
        size_bytes: u64,
        name: String,
    ) -> Result<ParquetFile, Error> {
        let mut reader = Reader { store, path, size_bytes };
        let loaded = ArrowReaderMetadata::load_async(&mut reader, ArrowReaderOptions::new()).await;
        let metadata = loaded.map_err(|error| fault(error, Place::file(&name)))?;
        let file = ParquetFile { reader, metadata, name };
        let fields = file.schema().fields();
        for (at, field) in fields.iter().enumerate() {
            if fields[..at].iter().any(|other| other.name() == field.name()) {
                let (column, file) = (field.name().clone(), file.name);
                return Err(Error::DuplicateColumn { column, file });
            }
        }
        Ok(file)
    }

    pub(crate) fn schema(&self) -> &ArrowSchema {
        self.metadata.schema()
    }

    pub(crate) fn row_groups(&self) -> &[RowGroupMetaData] {
        self.metadata.metadata().row_groups()
    }

    /// Adds the rows of the build's window.
    pub(crate) async fn read(&self, build: &mut Build<'_>) -> Result<Groups, Error> {
        let time = self.time_column(&build.spec.time)?;
        let names = self.names();
        let plan = build.plan(time, &names, &self.name)?;
        for (growing, column) in build.features.iter().zip(&plan.features) {
            self.check(growing.feature, &self.schema().fields()[*column])?;
        }
        let groups = self.groups_in(build.window, time, build.spec.timezone);
        let rows = groups.iter().map(|group| self.rows(*group)).sum::<u64>();
        build.reserve(usize::try_from(rows).unwrap_or(0));
        let mut columns = vec![plan.time];
        columns.extend(
            [plan.id, plan.label, plan.label_time, plan.matured_time, plan.weight].iter().flatten(),
        );
        columns.extend(&plan.features);
        columns.sort_unstable();
        columns.dedup();
        // A batch holds the chosen columns only, in the order of the file.
        let batch_plan = plan.renumbered(|column| columns.binary_search(&column).unwrap_or(0));
        let read = groups.len();
        self.each_batch(groups, &columns, |batch, origin| build.append(batch, &batch_plan, origin))
            .await?;
        Ok(Groups { read, all: self.row_groups().len() })
    }

    /// Notes the values of `column`.
    pub(crate) async fn labels(&self, column: usize, seen: &mut Seen) -> Result<(), Error> {
        let groups = (0..self.row_groups().len()).collect();
        self.each_batch(groups, &[column], |batch, origin| {
            let array = batch.column(0).as_ref();
            let (mut values, mut codes) = (Vec::new(), Vec::new());
            let mut names = columnar::Names::default();
            if *array.data_type() == arrow_schema::DataType::Boolean {
                let bools = arrow_array::cast::AsArray::as_boolean(array);
                bools
                    .iter()
                    .flatten()
                    .for_each(|value| seen.text(if value { "true" } else { "false" }));
            } else if columnar::numbers(array, &mut values) {
                if let Some(at) = values.iter().position(|value| value.is_infinite()) {
                    let place = origin.file_place().at_row(origin.first_row + at as u64 + 1);
                    let column = self.names()[column].to_owned();
                    return Err(Error::Infinite { column, place });
                }
                let mut last = f64::NAN;
                for value in values {
                    if value.to_bits() != last.to_bits() {
                        seen.number(value);
                        last = value;
                    }
                }
            } else if columnar::texts(array, &mut names, &mut codes) {
                codes.sort_unstable();
                codes.dedup();
                let texts = codes.iter().filter_map(|code| names.names.get(*code as usize));
                texts.for_each(|text| seen.text(text));
            } else {
                return Err(Error::Value {
                    column: self.names()[column].to_owned(),
                    value: array.data_type().to_string(),
                    wanted: "a text or a number that can be a label",
                    place: origin.file_place(),
                });
            }
            Ok(())
        })
        .await
    }

    /// First and last event time: from the statistics where they tell, else from the rows.
    pub(crate) async fn span(&self, time: &str, zone: Tz) -> Result<Option<Span>, Error> {
        let column = self.time_column(time)?;
        let stated = self.bounds(column, zone);
        if stated.iter().all(|bounds| bounds.is_some_and(|(_, slack)| slack == Duration::ZERO)) {
            let spans = stated.into_iter().flatten().map(|(span, _)| span);
            return Ok(spans.reduce(Span::with));
        }
        let mut found = None;
        let groups = (0..self.row_groups().len()).collect();
        self.each_batch(groups, &[column], |batch, origin| {
            let mut times = Vec::new();
            let read = columnar::times(batch.column(0).as_ref(), zone, &mut times);
            if let Err(bad) = read {
                let place = origin.file_place().at_row(origin.first_row + bad.at as u64 + 1);
                let (column, value) = (time.to_owned(), bad.value);
                return Err(Error::Value { column, value, wanted: "a time", place });
            }
            for at in times.into_iter().filter(|at| *at != NO_TIME).map(Timestamp) {
                let one = Span { first: at, last: at };
                found = Some(found.map_or(one, |span: Span| span.with(one)));
            }
            Ok(())
        })
        .await?;
        Ok(found)
    }

    /// Rows of all row groups.
    pub(crate) fn rows_all(&self) -> u64 {
        (0..self.row_groups().len()).map(|group| self.rows(group)).sum()
    }

    /// Calls `take` with every batch of `columns` (ascending) until it breaks. A local file is read
    /// page by page, so that memory does not grow with its row groups.
    pub(crate) async fn scan(
        &self,
        columns: &[usize],
        batch_rows: usize,
        take: &mut dyn FnMut(&RecordBatch) -> Result<ControlFlow<()>, Error>,
    ) -> Result<ControlFlow<()>, Error> {
        let place = || Place::file(&self.name);
        let damaged = |error| fault(ParquetError::ArrowError(format!("{error}")), place());
        let reader = &self.reader;
        let found = reader.store.get(&reader.path).await;
        let found = found.map_err(|error| fault(external(error), place()))?;
        let metadata = self.metadata.clone();
        if let GetResultPayload::File(file, _) = found.payload {
            let builder = ParquetRecordBatchReaderBuilder::new_with_metadata(file, metadata);
            let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
            let batches = builder.with_projection(mask).with_batch_size(batch_rows).build();
            for batch in batches.map_err(|error| fault(error, place()))? {
                if take(&batch.map_err(damaged)?)?.is_break() {
                    return Ok(ControlFlow::Break(()));
                }
            }
            return Ok(ControlFlow::Continue(()));
        }
        drop(found);
        let builder = ParquetRecordBatchStreamBuilder::new_with_metadata(reader.clone(), metadata);
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let stream = builder.with_projection(mask).with_batch_size(batch_rows).build();
        let mut stream = stream.map_err(|error| fault(error, place()))?;
        while let Some(batch) = stream.try_next().await.map_err(|error| fault(error, place()))? {
            if take(&batch)?.is_break() {
                return Ok(ControlFlow::Break(()));
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    pub(crate) fn names(&self) -> Vec<&str> {
        self.schema().fields().iter().map(|field| field.name().as_str()).collect()
    }

    /// Position of the time column; the error tells which columns look like one.
    pub(crate) fn time_column(&self, time: &str) -> Result<usize, Error> {
        let fields = self.schema().fields();
        let found = fields.iter().position(|field| field.name() == time);
        let wrong = match found {
            Some(at) if columnar::can_be_times(fields[at].data_type()) => return Ok(at),
            Some(at) => Some(fields[at].data_type().to_string()),
            None => None,
        };
        let looks =
            |field: &&FieldRef| columnar::holds(field.data_type()) == columnar::Holds::Times;
        Err(Error::NoTime {
            column: time.to_owned(),
            file: self.name.clone(),
            found: wrong,
            candidates: fields.iter().filter(looks).map(|field| field.name().clone()).collect(),
        })
    }

    fn check(&self, feature: &crate::schema::Feature, field: &FieldRef) -> Result<(), Error> {
        match columnar::holds(field.data_type()) {
            columnar::Holds::Values(kind) if kind == feature.kind => Ok(()),
            columnar::Holds::Nothing => Ok(()),
            columnar::Holds::Values(_) | columnar::Holds::Times | columnar::Holds::Other(_) => {
                Err(Error::Retyped {
                    column: feature.name.clone(),
                    was: feature.kind,
                    is: told(field),
                    place: Place::file(&self.name),
                })
            }
        }
    }

    /// Row groups that may hold events of `window`.
    fn groups_in(&self, window: Window, time: usize, zone: Tz) -> Vec<usize> {
        let may_touch = |bounds: &Option<(Span, Duration)>| {
            bounds.is_none_or(|(span, slack)| {
                span.first.before(slack) < window.to && span.last.after(slack) >= window.from
            })
        };
        let bounds = self.bounds(time, zone);
        (0..bounds.len())
            .filter(|group| self.rows(*group) > 0 && may_touch(&bounds[*group]))
            .collect()
    }

    /// Event times of each row group by its statistics, and by how much they may be off: wall
    /// clocks of a zone do not stand in the order of their instants where clocks go back. `None`
    /// where the statistics do not tell.
    fn bounds(&self, time: usize, zone: Tz) -> Vec<Option<(Span, Duration)>> {
        let field = self.schema().field(time);
        let nothing = vec![None; self.row_groups().len()];
        if matches!(
            columnar::holds(field.data_type()),
            columnar::Holds::Values(crate::schema::Kind::Categorical)
        ) {
            return nothing;
        }
        let converter = StatisticsConverter::try_new(
            field.name(),
            self.schema(),
            self.metadata.parquet_schema(),
        );
        let Ok(converter) = converter else { return nothing };
        let groups = self.row_groups();
        let (Ok(low), Ok(high)) =
            (converter.row_group_mins(groups), converter.row_group_maxes(groups))
        else {
            return nothing;
        };
        let read = |array: &dyn Array| {
            let mut times = Vec::new();
            let good = columnar::times(array, zone, &mut times);
            matches!(good, Ok(true)).then_some(times)
        };
        let (Some(low), Some(high)) = (read(low.as_ref()), read(high.as_ref())) else {
            return nothing;
        };
        let slack = if zone == Tz::UTC { Duration::ZERO } else { Duration::days(1) };
        let bound = |(first, last): (i64, i64)| {
            let known = first != NO_TIME && last != NO_TIME;
            known.then_some((Span { first: Timestamp(first), last: Timestamp(last) }, slack))
        };
        low.into_iter().zip(high).map(bound).collect()
    }

    fn rows(&self, group: usize) -> u64 {
        u64::try_from(self.row_groups()[group].num_rows()).unwrap_or(0)
    }

    /// Calls `take` with every batch of `columns` in `groups`, in order.
    pub(crate) async fn each_batch(
        &self,
        groups: Vec<usize>,
        columns: &[usize],
        mut take: impl FnMut(&RecordBatch, &Origin<'_>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let reader = self.reader.clone();
        let builder =
            ParquetRecordBatchStreamBuilder::new_with_metadata(reader, self.metadata.clone());
        let mask = ProjectionMask::roots(builder.parquet_schema(), columns.iter().copied());
        let mut place = Place::file(&self.name);
        let mut stream = builder
            .with_projection(mask)
            .with_row_groups(groups.clone())
            .with_batch_size(BATCH_ROWS)
            .build()
            .map_err(|error| fault(error, place.clone()))?;
        for group in groups {
            place.row_group = Some(group);
            let next = stream.next_row_group().await;
            let Some(batches) = next.map_err(|error| fault(error, place.clone()))? else { break };
            let mut first_row = (0..group).map(|group| self.rows(group)).sum();
            for batch in batches {
                let damaged =
                    |error| fault(ParquetError::ArrowError(format!("{error}")), place.clone());
                let batch = batch.map_err(damaged)?;
                take(&batch, &Origin { file: &self.name, row_group: Some(group), first_row })?;
                first_row += batch.num_rows() as u64;
            }
        }
        Ok(())
    }
}

impl AsyncFileReader for Reader {
    fn get_bytes(&mut self, range: Range<u64>) -> BoxFuture<'_, Result<Bytes, ParquetError>> {
        let read = async { self.store.get_range(&self.path, range).await.map_err(external) };
        read.boxed()
    }

    fn get_byte_ranges(
        &mut self,
        ranges: Vec<Range<u64>>,
    ) -> BoxFuture<'_, Result<Vec<Bytes>, ParquetError>> {
        let read =
            async move { self.store.get_ranges(&self.path, &ranges).await.map_err(external) };
        read.boxed()
    }

    fn get_metadata<'a>(
        &'a mut self,
        options: Option<&'a ArrowReaderOptions>,
    ) -> BoxFuture<'a, Result<Arc<ParquetMetaData>, ParquetError>> {
        let read = async move {
            let size_bytes = self.size_bytes;
            let reader = ParquetMetaDataReader::new()
                .with_arrow_reader_options(options)
                .with_prefetch_hint(Some(FOOTER_BYTES));
            reader.load_and_finish(self, size_bytes).await.map(Arc::new)
        };
        read.boxed()
    }
}

/// How errors name a field's type: `categories (Utf8)`.
pub(crate) fn told(field: &FieldRef) -> String {
    match columnar::holds(field.data_type()) {
        columnar::Holds::Values(kind) => format!("{kind} ({})", field.data_type()),
        columnar::Holds::Times => format!("times ({})", field.data_type()),
        columnar::Holds::Nothing | columnar::Holds::Other(_) => field.data_type().to_string(),
    }
}

fn external(error: object_store::Error) -> ParquetError {
    ParquetError::External(Box::new(error))
}

/// A fault of the store is told as one, any other as damage of the file.
fn fault(error: ParquetError, place: Box<Place>) -> Error {
    #[expect(clippy::wildcard_enum_match_arm, reason = "the crate's list is open")]
    match error {
        ParquetError::External(inner) => match inner.downcast::<object_store::Error>() {
            Ok(source) => Error::unreadable(&place.file, *source),
            Err(inner) => Error::Damaged { place, source: ParquetError::External(inner) },
        },
        source => Error::Damaged { place, source },
    }
}
