//! Every row of a log checked: what has no prediction or a label before its prediction is counted and left
//! out, what contradicts the layout is an error that names its place.

use afresh_core::time::{Duration, Timestamp};

use crate::columnar::NO_TIME;
use crate::error::Place;
use crate::labels::{is_missing, written};
use crate::origin::{Kept, Origin};
use crate::place::Format;
use crate::predictions::layout::{Layout, VERSIONS_MAX, canonical};
use crate::predictions::pieces::{self, Raw, Texts, Values};
use crate::predictions::{Error, Log, Predicts, SLICE_VALUES_MAX, Survey};
use crate::rows::MISSING;
use crate::source::Span;

/// A share of labels before their predictions that is left out and told; a larger one is an error.
const EARLY_SHARE_MAX: f64 = 0.01;
/// Classes that an answer may have.
pub(super) const CLASSES_MAX: usize = 1_000;

/// A few thousand sound rows; all vectors but `predictions` hold one value per row.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Piece {
    /// When it was predicted.
    pub at: Vec<Timestamp>,
    /// Row after row; an answer is the index of its class.
    pub predictions: Vec<f64>,
    /// Class index (binary: 1 is positive) or value; NaN where unknown by now.
    pub label: Vec<f64>,
    /// Time until the label was known; zero where it is unknown.
    pub delay: Vec<Duration>,
    /// Position in [`Account::versions`].
    pub version: Vec<u16>,
    /// Above 0.
    pub weight: Vec<f64>,
    /// Row after row, one for each column of [`Layout::slices`]: position in [`Account::slices`].
    pub slices: Vec<u32>,
}

/// What was found on the way.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Account {
    /// Rows of all files.
    pub rows: u64,
    /// Rows handed over that have a label.
    pub labelled: u64,
    /// Rows handed over that have none, or none yet.
    pub unlabelled: u64,
    /// Left out: no time.
    pub without_time: u64,
    /// Left out: no prediction.
    pub without_prediction: u64,
    /// Left out: predicted later than now.
    pub later: u64,
    /// Left out: weight 0 or none.
    pub without_weight: u64,
    /// Left out: label known before it was predicted; with the first such place.
    pub early: u64,
    /// The first of them.
    pub first_early: Option<Box<Place>>,
    /// Rows older than the row before them in their file: harmless, and worth knowing.
    pub out_of_order: u64,
    /// The first of them.
    pub first_out_of_order: Option<Box<Place>>,
    /// Names of the versions; one empty name where there is no such column.
    pub versions: Vec<String>,
    /// Values of each column that is sliced by; an empty text is a missing value.
    pub slices: Vec<Vec<String>>,
    /// Names of the classes; empty for numbers.
    pub classes: Vec<String>,
}

/// Rows being checked.
struct Check<'a> {
    layout: &'a Layout,
    now: Timestamp,
    label_delay: Duration,
    account: Account,
    /// Class of each code of a label text and of a predicted text.
    label_classes: Vec<f64>,
    prediction_classes: Vec<f64>,
    /// The two numbers of a binary label, where they are numbers.
    numbers: Option<[f64; 2]>,
    last_number: (f64, f64),
    last_answer: (f64, f64),
    last_time: i64,
    first_early_times: Option<(Timestamp, Timestamp)>,
}

pub(super) async fn survey(log: &Log, progress: &mut dyn FnMut(f64)) -> Result<Survey, Error> {
    let mut span: Option<Span> = None;
    let (mut rows, mut done) = (0, 0);
    let all = log.size_bytes().max(1);
    for object in &log.objects {
        let found = match object.format()? {
            Format::Parquet => {
                let file = log.place.parquet(object).await?;
                file.time_column(&log.layout.time)?;
                let groups = file.row_groups().iter();
                rows += groups.map(|g| u64::try_from(g.num_rows()).unwrap_or(0)).sum::<u64>();
                let span = file.span(&log.layout.time, chrono_tz::Tz::UTC).await?;
                let factor = if log.layout.seconds { 1_000 } else { 1 };
                let scaled = |at: Timestamp| Timestamp(at.0.saturating_mul(factor));
                span.map(|span| Span { first: scaled(span.first), last: scaled(span.last) })
            }
            Format::Csv => {
                let mut told = |bytes: u64| progress(share(done + bytes, all));
                let (span, lines) =
                    pieces::csv_span(&log.place, object, &log.layout, &mut told).await?;
                rows += lines;
                span.map(|(first, last)| Span { first: Timestamp(first), last: Timestamp(last) })
            }
        };
        span = span.into_iter().chain(found).reduce(Span::with);
        done += object.size;
        progress(share(done, all));
    }
    match span {
        Some(span) => Ok(Survey { span, rows }),
        None if rows > 0 => Err(Error::NoTime { column: log.layout.time.clone(), rows }),
        None => Err(Error::Empty { location: log.location.clone() }),
    }
}

pub(super) async fn read(
    log: &Log,
    now: Timestamp,
    progress: &mut dyn FnMut(f64),
    take: &mut dyn FnMut(&Piece),
) -> Result<Account, Error> {
    let mut check = Check::new(log, now);
    let mut texts = Texts::default();
    let mut piece = Piece::default();
    let (mut done, all) = (0, log.size_bytes().max(1));
    for object in &log.objects {
        check.last_time = i64::MIN;
        match object.format()? {
            Format::Parquet => {
                let file = log.place.parquet(object).await?;
                let groups = file.row_groups().iter();
                let rows = groups.map(|g| u64::try_from(g.num_rows()).unwrap_or(0)).sum::<u64>();
                let size = object.size;
                let mut each = |raw: &Raw, texts: &Texts, from: &Origin<'_>| {
                    check.piece(raw, texts, from, &mut piece)?;
                    take(&piece);
                    let part = share(from.first_row + raw.times.len() as u64, rows.max(1));
                    progress(share(done, all) + part * share(size, all));
                    Ok(())
                };
                pieces::parquet(&file, &log.layout, &mut texts, &mut each).await?;
            }
            Format::Csv => {
                let mut each = |raw: &Raw, texts: &Texts, from: &Origin<'_>| {
                    check.piece(raw, texts, from, &mut piece)?;
                    take(&piece);
                    Ok(())
                };
                let mut told = |bytes: u64| progress(share(done + bytes, all));
                let (place, layout) = (&log.place, &log.layout);
                pieces::csv(place, object, layout, &mut texts, &mut told, &mut each).await?;
            }
        }
        done += object.size;
    }
    check.finish(texts)
}

#[expect(clippy::cast_precision_loss, reason = "bytes and rows stay below 2^53")]
fn share(part: u64, whole: u64) -> f64 {
    part as f64 / whole as f64
}

impl<'a> Check<'a> {
    fn new(log: &'a Log, now: Timestamp) -> Check<'a> {
        let (classes, numbers) = match &log.layout.predicts {
            Predicts::Probability { classes } => {
                let number = |at: usize| classes[at].parse::<f64>().ok();
                (classes.to_vec(), number(0).zip(number(1)).map(|(no, yes)| [no, yes]))
            }
            Predicts::Probabilities { classes } => (classes.clone(), None),
            Predicts::Answer | Predicts::Value => (Vec::new(), None),
        };
        Check {
            layout: &log.layout,
            now,
            label_delay: log.label_delay,
            account: Account { classes, ..Account::default() },
            label_classes: Vec::new(),
            prediction_classes: Vec::new(),
            numbers,
            last_number: (f64::NAN, f64::NAN),
            last_answer: (f64::NAN, f64::NAN),
            last_time: i64::MIN,
            first_early_times: None,
        }
    }

    fn piece(
        &mut self,
        raw: &Raw,
        texts: &Texts,
        from: &Origin<'_>,
        piece: &mut Piece,
    ) -> Result<(), Error> {
        piece.at.clear();
        piece.predictions.clear();
        piece.label.clear();
        piece.delay.clear();
        piece.version.clear();
        piece.weight.clear();
        piece.slices.clear();
        if texts.versions.names.len() > VERSIONS_MAX {
            let column = self.layout.version.clone().unwrap_or_default();
            return Err(Error::Versions { column, max: VERSIONS_MAX });
        }
        let wide = texts.slices.iter().position(|names| names.names.len() > SLICE_VALUES_MAX);
        if let Some(at) = wide {
            let column = self.layout.slices[at].clone();
            return Err(Error::SliceValues { column, max: SLICE_VALUES_MAX });
        }
        for (at, time) in raw.times.iter().enumerate() {
            self.account.rows += 1;
            if *time == NO_TIME {
                self.account.without_time += 1;
                continue;
            }
            if *time < self.last_time {
                self.account.out_of_order += 1;
                self.account.first_out_of_order.get_or_insert_with(|| from.place(&Kept::All, at));
            }
            self.last_time = *time;
            let time = Timestamp(*time);
            if time >= self.now {
                self.account.later += 1;
                continue;
            }
            let weight = raw.weights.get(at).copied().unwrap_or(1.0);
            if weight.is_infinite() || weight < 0.0 {
                let column = self.layout.weight.clone().unwrap_or_default();
                return Err(Error::Weight {
                    column,
                    value: weight,
                    place: from.place(&Kept::All, at),
                });
            }
            if weight.is_nan() || weight <= 0.0 {
                self.account.without_weight += 1;
                continue;
            }
            let start = piece.predictions.len();
            if !self.predictions(raw, texts, from, at, &mut piece.predictions)? {
                piece.predictions.truncate(start);
                self.account.without_prediction += 1;
                continue;
            }
            let label = self.label(raw, texts, from, at)?;
            let known = match raw.label_times.get(at) {
                Some(known) if *known != NO_TIME => Timestamp(*known),
                _ => time.after(self.label_delay),
            };
            if known < time && !label.is_nan() {
                self.account.early += 1;
                self.account.first_early.get_or_insert_with(|| from.place(&Kept::All, at));
                self.first_early_times.get_or_insert((time, known));
                piece.predictions.truncate(start);
                continue;
            }
            let is_known = !label.is_nan() && known < self.now;
            if is_known {
                self.account.labelled += 1;
            } else {
                self.account.unlabelled += 1;
            }
            piece.at.push(time);
            piece.label.push(if is_known { label } else { f64::NAN });
            piece.delay.push(if is_known { known.since(time) } else { Duration::ZERO });
            // A row that names no version is one of the first.
            let version = raw.versions.get(at).filter(|code| **code != MISSING).copied();
            piece.version.push(u16::try_from(version.unwrap_or(0)).unwrap_or(u16::MAX));
            piece.weight.push(weight);
            piece.slices.extend(raw.slices.iter().map(|codes| codes[at]));
        }
        Ok(())
    }

    /// Appends the row's predictions; false where one is missing.
    fn predictions(
        &mut self,
        raw: &Raw,
        texts: &Texts,
        from: &Origin<'_>,
        at: usize,
        out: &mut Vec<f64>,
    ) -> Result<bool, Error> {
        let probabilities = matches!(
            self.layout.predicts,
            Predicts::Probability { .. } | Predicts::Probabilities { .. }
        );
        for (column, values) in raw.predictions.iter().enumerate() {
            let value = match values {
                Values::Numbers(values) => values[at],
                Values::Codes(codes) => {
                    let found = self.answer(codes[at], texts)?;
                    out.push(found);
                    return Ok(!found.is_nan());
                }
            };
            if value.is_nan() {
                return Ok(false);
            }
            let name = || self.layout.predictions[column].clone();
            if probabilities && !(0.0..=1.0).contains(&value) {
                return Err(Error::Outside {
                    column: name(),
                    value,
                    place: from.place(&Kept::All, at),
                });
            }
            if value.is_infinite() {
                return Err(Error::Infinite { column: name(), place: from.place(&Kept::All, at) });
            }
            if self.layout.predicts == Predicts::Answer {
                if value.to_bits() != self.last_answer.0.to_bits() {
                    self.last_answer = (value, self.class(&written(value))?);
                }
                out.push(self.last_answer.1);
                return Ok(true);
            }
            out.push(value);
        }
        Ok(true)
    }

    fn answer(&mut self, code: u32, texts: &Texts) -> Result<f64, Error> {
        if code == MISSING {
            return Ok(f64::NAN);
        }
        while self.prediction_classes.len() < texts.predictions.names.len() {
            let text = &texts.predictions.names[self.prediction_classes.len()];
            let class = self.class(&canonical(text))?;
            self.prediction_classes.push(class);
        }
        Ok(self.prediction_classes[code as usize])
    }

    /// The class or value of a label; NaN where there is none.
    fn label(
        &mut self,
        raw: &Raw,
        texts: &Texts,
        from: &Origin<'_>,
        at: usize,
    ) -> Result<f64, Error> {
        let unknown = |column: &str, value: String, classes: &[String]| Error::UnknownLabel {
            column: column.to_owned(),
            value,
            place: from.place(&Kept::All, at),
            classes: classes.to_vec(),
        };
        match &raw.label {
            Values::Numbers(values) => {
                let value = values[at];
                if value.is_nan() {
                    return Ok(value);
                }
                if value.is_infinite() {
                    let column = self.layout.label.clone();
                    return Err(Error::Infinite { column, place: from.place(&Kept::All, at) });
                }
                if self.layout.predicts == Predicts::Value {
                    return Ok(value);
                }
                if let Some([no, yes]) = self.numbers {
                    if (value - yes).abs() < f64::EPSILON {
                        return Ok(1.0);
                    }
                    if (value - no).abs() < f64::EPSILON {
                        return Ok(0.0);
                    }
                    return Err(unknown(&self.layout.label, written(value), &self.account.classes));
                }
                if value.to_bits() != self.last_number.0.to_bits() {
                    let class = self.class_of_label(&written(value))?;
                    let class = class.ok_or_else(|| {
                        unknown(&self.layout.label, written(value), &self.account.classes)
                    })?;
                    self.last_number = (value, class);
                }
                Ok(self.last_number.1)
            }
            Values::Codes(codes) => {
                let code = codes[at];
                if code == MISSING {
                    return Ok(f64::NAN);
                }
                while self.label_classes.len() < texts.labels.names.len() {
                    let text = &texts.labels.names[self.label_classes.len()];
                    let class = if is_missing(text) {
                        Some(f64::NAN)
                    } else {
                        self.class_of_label(&canonical(text))?
                    };
                    // What no class has is an error where it occurs.
                    self.label_classes.push(class.unwrap_or(f64::INFINITY));
                }
                let class = self.label_classes[code as usize];
                if class.is_infinite() {
                    let text = texts.labels.names[code as usize].clone();
                    return Err(unknown(&self.layout.label, text, &self.account.classes));
                }
                Ok(class)
            }
        }
    }

    /// The class of a label; `None` where the layout's classes are fixed and it is none of them.
    fn class_of_label(&mut self, name: &str) -> Result<Option<f64>, Error> {
        if self.layout.predicts == Predicts::Answer {
            return self.class(name).map(Some);
        }
        Ok(self.known(name))
    }

    fn known(&self, name: &str) -> Option<f64> {
        let at = self.account.classes.iter().position(|class| class == name)?;
        u32::try_from(at).ok().map(f64::from)
    }

    /// The index of an answer's class, a new one where it is new.
    fn class(&mut self, name: &str) -> Result<f64, Error> {
        if let Some(class) = self.known(name) {
            return Ok(class);
        }
        if self.account.classes.len() >= CLASSES_MAX {
            let column = self.layout.label.clone();
            let why = format!("and its prediction have more than {CLASSES_MAX} values");
            return Err(Error::Task { column, why });
        }
        self.account.classes.push(name.to_owned());
        Ok(self.known(name).unwrap_or(0.0))
    }

    fn finish(mut self, texts: Texts) -> Result<Account, Error> {
        let account = &mut self.account;
        let predictions = || self.layout.predictions.join("`, `");
        let seen = account.labelled + account.unlabelled;
        let labelled = account.labelled + account.early;
        if let (Some(place), Some((time, label_time))) =
            (&account.first_early, self.first_early_times)
            && share(account.early, labelled.max(1)) > EARLY_SHARE_MAX
        {
            let (early, place) = (account.early, place.clone());
            return Err(Error::EarlyLabels { early, labelled, place, time, label_time });
        }
        if seen == 0 && account.without_prediction > 0 {
            return Err(Error::NoPrediction { column: predictions(), rows: account.rows });
        }
        if seen > 0 && account.labelled == 0 {
            return Err(Error::NoLabel { column: self.layout.label.clone(), rows: account.rows });
        }
        account.versions = texts.versions.names;
        account.slices = texts.slices.into_iter().map(|names| names.names).collect();
        if account.versions.is_empty() {
            account.versions.push(String::new());
        }
        Ok(self.account)
    }
}
