//! Rows being read: checks every value against the schema and ends in rows ordered by event time.

use afresh_core::time::{Timestamp, Window};
use arrow_array::{Array, BooleanArray, RecordBatch};
use arrow_select::filter::filter_record_batch;

use crate::columnar::{self, NO_TIME, Names};
use crate::error::{Error, Place, Warning, near};
use crate::growing::Growing;
use crate::key::{PlaceKeys, key_of, key_of_number};
use crate::labels::{self, Labels};
use crate::origin::{Kept, Origin};
use crate::rows::{Column, MISSING, Rows, Values};
use crate::schema::{Feature, Kind, Schema};
use crate::spec::{Columns, SourceSpec};

/// Rows of one window, growing file by file.
pub(crate) struct Build<'a> {
    pub(crate) spec: &'a SourceSpec,
    pub(crate) window: Window,
    pub(crate) features: Vec<Growing<'a>>,
    labels: Labels,
    classes: &'a [String],
    key: Vec<u64>,
    event_time: Vec<i64>,
    available_at: Vec<Option<Timestamp>>,
    label: Vec<f64>,
    weight: Vec<f64>,
}

/// Where in a batch each column of a plan stands.
pub(crate) struct Plan {
    pub(crate) time: usize,
    pub(crate) id: Option<usize>,
    pub(crate) label: Option<usize>,
    pub(crate) label_time: Option<usize>,
    pub(crate) matured_time: Option<usize>,
    pub(crate) weight: Option<usize>,
    /// By feature of the build.
    pub(crate) features: Vec<usize>,
}

/// One row of a text file: its fields as written.
pub(crate) struct Line<'a> {
    pub(crate) place: &'a Place,
    pub(crate) event_time: Timestamp,
    pub(crate) record: &'a csv::StringRecord,
}

impl Plan {
    /// The same plan with every position passed through `new`.
    pub(crate) fn renumbered(&self, new: impl Fn(usize) -> usize) -> Plan {
        Plan {
            time: new(self.time),
            id: self.id.map(&new),
            label: self.label.map(&new),
            label_time: self.label_time.map(&new),
            matured_time: self.matured_time.map(&new),
            weight: self.weight.map(&new),
            features: self.features.iter().map(|column| new(*column)).collect(),
        }
    }
}

impl<'a> Build<'a> {
    pub(crate) fn new(
        spec: &'a SourceSpec,
        schema: &'a Schema,
        columns: Columns<'a>,
        window: Window,
    ) -> Result<Build<'a>, Error> {
        if let Columns::Only(names) = columns {
            for name in names {
                if schema.feature(name).is_none() {
                    let known = schema.features.iter().map(|feature| feature.name.as_str());
                    return Err(Error::NoColumn {
                        column: name.clone(),
                        key: "the request".into(),
                        file: spec.location.clone(),
                        near: near(name, known),
                    });
                }
            }
        }
        let wanted = |feature: &&Feature| match columns {
            Columns::All => true,
            Columns::TimesAndLabel => false,
            Columns::Only(names) => names.contains(&feature.name),
        };
        let growing = |feature| Growing {
            feature,
            values: Vec::new(),
            codes: Vec::new(),
            names: Names::default(),
        };
        Ok(Build {
            spec,
            window,
            features: schema.features.iter().filter(wanted).map(growing).collect(),
            labels: Labels::new(schema),
            classes: &schema.classes,
            key: Vec::new(),
            event_time: Vec::new(),
            available_at: Vec::new(),
            label: Vec::new(),
            weight: Vec::new(),
        })
    }

    /// Makes room for `rows` more.
    pub(crate) fn reserve(&mut self, rows: usize) {
        self.key.reserve(rows);
        self.event_time.reserve(rows);
        self.available_at.reserve(rows);
        self.label.reserve(rows);
        self.weight.reserve(rows);
        for growing in &mut self.features {
            match growing.feature.kind {
                Kind::Numeric | Kind::Boolean => growing.values.reserve(rows),
                Kind::Categorical => growing.codes.reserve(rows),
            }
        }
    }

    /// Where each needed column stands among `names`, a file's columns; the error tells of the
    /// first that is missing. Times are looked for by the caller, who knows what looks like one.
    pub(crate) fn plan(&self, time: usize, names: &[&str], file: &str) -> Result<Plan, Error> {
        let spec = self.spec;
        let role = |key: &'static str, column: &Option<String>| {
            let Some(column) = column else { return Ok(None) };
            find(names, column).map(Some).ok_or_else(|| Error::NoColumn {
                column: column.clone(),
                key: key.into(),
                file: file.into(),
                near: near(column, names.iter().copied()),
            })
        };
        let features = self.features.iter().map(|growing| {
            let Feature { name, kind } = growing.feature;
            find(names, name).ok_or_else(|| Error::Vanished {
                column: name.clone(),
                kind: *kind,
                file: file.into(),
            })
        });
        Ok(Plan {
            time,
            id: role("id", &spec.id)?,
            label: role("label", &spec.label)?,
            label_time: match spec.matured_time {
                Some(_) => None,
                None => role("label_time", &spec.label_time)?,
            },
            matured_time: role("matured_time", &spec.matured_time)?,
            weight: role("weight", &spec.weight)?,
            features: features.collect::<Result<_, _>>()?,
        })
    }

    /// Takes the rows of `batch` that lie in the window.
    pub(crate) fn append(
        &mut self,
        batch: &RecordBatch,
        plan: &Plan,
        from: &Origin<'_>,
    ) -> Result<(), Error> {
        let times = self.times(batch, plan.time, &self.spec.time, &Kept::All, from)?;
        if let Some(at) = times.iter().position(|time| *time == NO_TIME) {
            return Err(Error::Value {
                column: self.spec.time.clone(),
                value: String::new(),
                wanted: "a time",
                place: from.place(&Kept::All, at),
            });
        }
        let (low, high) = (self.window.from.0, self.window.to.0);
        let outside = |time: &i64| *time < low || *time >= high;
        if !times.iter().any(outside) {
            return self.append_kept(batch, &times, plan, &Kept::All, from);
        }
        let mask = times.iter().map(|time| Some(!outside(time))).collect::<BooleanArray>();
        let kept = (0..times.len()).filter(|at| mask.value(*at)).collect::<Vec<_>>();
        if kept.is_empty() {
            return Ok(());
        }
        let damaged =
            |error| Error::Damaged { place: from.file_place(), source: parquet_error(error) };
        let batch = filter_record_batch(batch, &mask).map_err(damaged)?;
        let times = kept.iter().map(|at| times[*at]).collect::<Vec<_>>();
        self.append_kept(&batch, &times, plan, &Kept::Some(kept), from)
    }

    fn append_kept(
        &mut self,
        batch: &RecordBatch,
        times: &[i64],
        plan: &Plan,
        kept: &Kept,
        from: &Origin<'_>,
    ) -> Result<(), Error> {
        let rows = times.len();
        self.append_keys(batch, plan.id, kept, from)?;
        let start = self.label.len();
        self.append_labels(batch, plan.label, kept, from)?;
        let known = match (plan.matured_time, plan.label_time) {
            (Some(column), _) => {
                let name = self.spec.matured_time.as_deref().unwrap_or_default();
                Some(self.times(batch, column, name, kept, from)?)
            }
            (None, Some(column)) => {
                let name = self.spec.label_time.as_deref().unwrap_or_default();
                Some(self.times(batch, column, name, kept, from)?)
            }
            (None, None) => None,
        };
        for row in 0..rows {
            let known = known.as_ref().map(|known| known[row]);
            self.available_at.push(available(
                self.spec,
                self.label[start + row],
                times[row],
                known,
            ));
        }
        self.event_time.extend_from_slice(times);
        match plan.weight {
            None => self.weight.resize(start + rows, 1.0),
            Some(column) => {
                let name = self.spec.weight.as_deref().unwrap_or_default();
                if !columnar::numbers(batch.column(column).as_ref(), &mut self.weight) {
                    return Err(not_numbers(name, batch.column(column), from));
                }
                if let Some(at) = self.weight[start..].iter().position(|w| !is_weight(*w)) {
                    let value = labels::written(self.weight[start + at]);
                    return Err(bad_weight(name, value, from.place(kept, at)));
                }
            }
        }
        for (growing, column) in self.features.iter_mut().zip(&plan.features) {
            growing.append(batch.column(*column).as_ref(), kept, from)?;
        }
        Ok(())
    }

    fn append_keys(
        &mut self,
        batch: &RecordBatch,
        id: Option<usize>,
        kept: &Kept,
        from: &Origin<'_>,
    ) -> Result<(), Error> {
        let Some(id) = id else {
            let places = PlaceKeys::new(from.file);
            let rows = batch.num_rows();
            self.key.extend((0..rows).map(|at| places.key(from.row(kept, at))));
            return Ok(());
        };
        let array = batch.column(id).as_ref();
        let (mut names, mut codes) = (Names::default(), Vec::new());
        if columnar::whole_numbers(array, &mut self.key, key_of_number) {
            return Ok(());
        }
        if columnar::texts(array, &mut names, &mut codes) {
            let keys = names.names.iter().map(|name| key_of(name)).collect::<Vec<_>>();
            self.key.extend(codes.iter().map(|code| match keys.get(*code as usize) {
                Some(key) => *key,
                None => key_of(""),
            }));
            return Ok(());
        }
        let mut values = Vec::new();
        if columnar::numbers(array, &mut values) {
            self.key.extend(values.into_iter().map(|value| key_of(&labels::written(value))));
            return Ok(());
        }
        Err(Error::Value {
            column: self.spec.id.clone().unwrap_or_default(),
            value: array.data_type().to_string(),
            wanted: "a text or a number that can name a row",
            place: from.file_place(),
        })
    }

    fn append_labels(
        &mut self,
        batch: &RecordBatch,
        column: Option<usize>,
        kept: &Kept,
        from: &Origin<'_>,
    ) -> Result<(), Error> {
        let start = self.label.len();
        let Some(column) = column else {
            self.label.resize(start + batch.num_rows(), f64::NAN);
            return Ok(());
        };
        let array = batch.column(column).as_ref();
        if columnar::numbers(array, &mut self.label) {
            let name = self.spec.label.as_deref().unwrap_or_default();
            for at in start..self.label.len() {
                let value = self.label[at];
                if value.is_infinite() {
                    let place = from.place(kept, at - start);
                    return Err(Error::Infinite { column: name.into(), place });
                }
                self.label[at] = self.labels.of_number(value).ok_or_else(|| {
                    self.unknown(&labels::written(value), from.place(kept, at - start))
                })?;
            }
            return Ok(());
        }
        let (mut names, mut codes) = (Names::default(), Vec::new());
        if !columnar::texts(array, &mut names, &mut codes) {
            return Err(Error::Value {
                column: self.spec.label.clone().unwrap_or_default(),
                value: array.data_type().to_string(),
                wanted: "a text or a number that can be a label",
                place: from.file_place(),
            });
        }
        let classes = names.names.iter().map(|name| self.labels.of_text(name)).collect::<Vec<_>>();
        for (at, code) in codes.into_iter().enumerate() {
            let class = match classes.get(code as usize) {
                None => f64::NAN,
                Some(Some(class)) => *class,
                Some(None) => {
                    return Err(self.unknown(&names.names[code as usize], from.place(kept, at)));
                }
            };
            if class.is_infinite() {
                let column = self.spec.label.clone().unwrap_or_default();
                return Err(Error::Infinite { column, place: from.place(kept, at) });
            }
            self.label.push(class);
        }
        Ok(())
    }

    fn unknown(&self, value: &str, place: Box<Place>) -> Error {
        let column = self.spec.label.clone().unwrap_or_default();
        if self.classes.is_empty() {
            return Error::Value { column, value: value.into(), wanted: "a number", place };
        }
        Error::UnknownLabel { column, value: value.into(), place, classes: self.classes.to_vec() }
    }

    fn times(
        &self,
        batch: &RecordBatch,
        column: usize,
        name: &str,
        kept: &Kept,
        from: &Origin<'_>,
    ) -> Result<Vec<i64>, Error> {
        let array = batch.column(column).as_ref();
        let mut out = Vec::with_capacity(array.len());
        let wrong = |value: String, place| Error::Value {
            column: name.to_owned(),
            value,
            wanted: "a time",
            place,
        };
        match columnar::times(array, self.spec.timezone, &mut out) {
            Ok(true) => Ok(out),
            Ok(false) => Err(wrong(array.data_type().to_string(), from.file_place())),
            Err(bad) => Err(wrong(bad.value, from.place(kept, bad.at))),
        }
    }

    /// Takes one row of a text file; its event time lies in the window.
    pub(crate) fn append_line(&mut self, line: &Line<'_>, plan: &Plan) -> Result<(), Error> {
        let text = |column: usize| line.record.get(column).unwrap_or_default();
        let wrong = |column: &Option<String>, value: &str, wanted| Error::Value {
            column: column.clone().unwrap_or_default(),
            value: value.to_owned(),
            wanted,
            place: Box::new(line.place.clone()),
        };
        let key = match plan.id {
            Some(id) => key_of(text(id)),
            None => {
                let row = line.place.row.map_or(0, |row| row - 1);
                PlaceKeys::new(&line.place.file).key(row)
            }
        };
        let label = match plan.label {
            None => f64::NAN,
            Some(column) => {
                let value = text(column);
                let class = self.labels.of_text(value);
                let class =
                    class.ok_or_else(|| self.unknown(value, Box::new(line.place.clone())))?;
                if class.is_infinite() {
                    let column = self.spec.label.clone().unwrap_or_default();
                    return Err(Error::Infinite { column, place: Box::new(line.place.clone()) });
                }
                class
            }
        };
        let time = |column: usize, name: &Option<String>| match text(column) {
            value if labels::is_missing(value) => Ok(NO_TIME),
            value => crate::moment::parse(value, self.spec.timezone)
                .map(|at| at.0)
                .ok_or_else(|| wrong(name, value, "a time")),
        };
        let known = match (plan.matured_time, plan.label_time) {
            (Some(column), _) => Some(time(column, &self.spec.matured_time)?),
            (None, Some(column)) => Some(time(column, &self.spec.label_time)?),
            (None, None) => None,
        };
        let weight = match plan.weight {
            None => 1.0,
            Some(column) => match text(column).trim().parse() {
                Ok(weight) if is_weight(weight) => weight,
                _ => {
                    let name = self.spec.weight.as_deref().unwrap_or_default();
                    return Err(bad_weight(
                        name,
                        text(column).to_owned(),
                        Box::new(line.place.clone()),
                    ));
                }
            },
        };
        self.key.push(key);
        self.event_time.push(line.event_time.0);
        self.available_at.push(available(self.spec, label, line.event_time.0, known));
        self.label.push(label);
        self.weight.push(weight);
        for (growing, column) in self.features.iter_mut().zip(&plan.features) {
            growing.push(text(*column), line.place)?;
        }
        Ok(())
    }

    /// The rows in order of event time, and what is worth a look.
    pub(crate) fn finish(self) -> (Rows, Vec<Warning>) {
        let sorted = self.event_time.is_sorted();
        let rows = Rows {
            key: self.key,
            event_time: self.event_time.into_iter().map(Timestamp).collect(),
            available_at: self.available_at,
            label: self.label,
            weight: self.weight,
            columns: self.features.into_iter().map(Growing::finish).collect(),
        };
        let rows = if sorted {
            rows
        } else {
            let mut order = (0..rows.len()).collect::<Vec<_>>();
            order.sort_by_key(|at| rows.event_time[*at]);
            rows.select(&order)
        };
        let warnings = warnings(&rows);
        (rows, warnings)
    }
}

/// When the label may be used. Where the source has a column that tells, a row without a time there
/// is not available yet; a row without a label never is.
fn available(
    spec: &SourceSpec,
    label: f64,
    event_time: i64,
    known: Option<i64>,
) -> Option<Timestamp> {
    if label.is_nan() {
        return None;
    }
    match known {
        Some(NO_TIME) => None,
        Some(known) => Some(Timestamp(known)),
        None => Some(Timestamp(event_time).after(spec.label_delay)),
    }
}

/// Features without a value, or with the same one in every row.
fn warnings(rows: &Rows) -> Vec<Warning> {
    if rows.len() < 2 {
        return Vec::new();
    }
    let missing_and_constant = |column: &Column| match &column.values {
        Values::Numeric(values) => (
            values.iter().all(|value| value.is_nan()),
            values.iter().all(|value| value.to_bits() == values[0].to_bits()),
        ),
        Values::Categorical { codes, .. } => {
            (codes.iter().all(|code| *code == MISSING), codes.iter().all(|code| *code == codes[0]))
        }
    };
    let warning = |column: &Column| match missing_and_constant(column) {
        (true, _) => Some(Warning::AllMissing { column: column.name.clone() }),
        (false, true) => Some(Warning::Constant { column: column.name.clone() }),
        (false, false) => None,
    };
    rows.columns.iter().filter_map(warning).collect()
}

fn find(names: &[&str], wanted: &str) -> Option<usize> {
    names.iter().position(|name| *name == wanted)
}

fn is_weight(weight: f64) -> bool {
    weight.is_finite() && weight >= 0.0
}

fn bad_weight(column: &str, value: String, place: Box<Place>) -> Error {
    let wanted = "a weight: a finite number, not negative";
    Error::Value { column: column.to_owned(), value, wanted, place }
}

fn not_numbers(column: &str, array: &dyn Array, from: &Origin<'_>) -> Error {
    Error::Value {
        column: column.to_owned(),
        value: array.data_type().to_string(),
        wanted: "a number",
        place: from.file_place(),
    }
}

fn parquet_error(error: arrow_schema::ArrowError) -> parquet::errors::ParquetError {
    parquet::errors::ParquetError::External(Box::new(error))
}
