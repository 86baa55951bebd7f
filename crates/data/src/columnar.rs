//! Arrow arrays of any type turned into plain numbers, categories and times.

use std::collections::HashMap;

use afresh_core::time::Timestamp;
use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Date32Type, Date64Type, Decimal32Type, Decimal64Type, Decimal128Type,
    Decimal256Type, Float16Type, Float32Type, Float64Type, Int8Type, Int16Type, Int32Type,
    Int64Type, TimestampMicrosecondType, TimestampMillisecondType, TimestampNanosecondType,
    TimestampSecondType, UInt8Type, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, PrimitiveArray};
use arrow_schema::{DataType, TimeUnit};
use chrono_tz::Tz;

use crate::moment;
use crate::rows::MISSING;
use crate::schema::Kind;

/// Stands for "no time" in a vector of milliseconds.
pub(crate) const NO_TIME: i64 = i64::MIN;

const MS_A_DAY: i64 = 86_400_000;

/// What a column of a file holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holds {
    /// What a feature may hold.
    Values(Kind),
    /// No value in any row, of no particular type.
    Nothing,
    /// Times.
    Times,
    /// Anything else, as errors name it.
    Other(String),
}

/// Texts and their codes in order of first appearance.
#[derive(Debug, Default)]
pub(crate) struct Names {
    pub(crate) names: Vec<String>,
    codes: HashMap<String, u32>,
}

/// A time that could not be read: its place in the array and its text.
pub(crate) struct NotATime {
    pub(crate) at: usize,
    pub(crate) value: String,
}

impl Names {
    /// The code of `name`, where it has one.
    pub(crate) fn known(&self, name: &str) -> Option<u32> {
        self.codes.get(name).copied()
    }

    /// The code of `name`, a new one where it is new.
    pub(crate) fn code(&mut self, name: &str) -> u32 {
        if let Some(code) = self.codes.get(name) {
            return *code;
        }
        // Four billion distinct texts do not fit in memory.
        let code = u32::try_from(self.names.len()).unwrap_or(MISSING);
        self.names.push(name.to_owned());
        self.codes.insert(name.to_owned(), code);
        code
    }
}

/// What a column of this type holds.
pub(crate) fn holds(data_type: &DataType) -> Holds {
    if data_type.is_numeric() {
        return Holds::Values(Kind::Numeric);
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other types are no feature")]
    match data_type {
        DataType::Boolean => Holds::Values(Kind::Boolean),
        DataType::Utf8 | DataType::LargeUtf8 | DataType::Utf8View => {
            Holds::Values(Kind::Categorical)
        }
        DataType::Dictionary(_, values) => holds(values),
        DataType::Null => Holds::Nothing,
        DataType::Timestamp(..) | DataType::Date32 | DataType::Date64 => Holds::Times,
        other => Holds::Other(format!("{other}").to_lowercase()),
    }
}

/// Appends one number per row; missing is NaN, true and false are 1 and 0. Returns whether the type
/// is one of numbers; nothing is appended otherwise.
pub(crate) fn numbers(array: &dyn Array, out: &mut Vec<f64>) -> bool {
    #[expect(clippy::cast_precision_loss, reason = "features and labels are held as f64")]
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other types are no numbers")]
    match array.data_type() {
        DataType::Float64 => {
            let array = array.as_primitive::<Float64Type>();
            if array.null_count() == 0 {
                out.extend_from_slice(array.values());
            } else {
                each(array, out, |value| value);
            }
        }
        DataType::Float32 => each(array.as_primitive::<Float32Type>(), out, f64::from),
        DataType::Float16 => each(array.as_primitive::<Float16Type>(), out, |v| v.to_f64()),
        DataType::Int8 => each(array.as_primitive::<Int8Type>(), out, f64::from),
        DataType::Int16 => each(array.as_primitive::<Int16Type>(), out, f64::from),
        DataType::Int32 => each(array.as_primitive::<Int32Type>(), out, f64::from),
        DataType::Int64 => each(array.as_primitive::<Int64Type>(), out, |v| v as f64),
        DataType::UInt8 => each(array.as_primitive::<UInt8Type>(), out, f64::from),
        DataType::UInt16 => each(array.as_primitive::<UInt16Type>(), out, f64::from),
        DataType::UInt32 => each(array.as_primitive::<UInt32Type>(), out, f64::from),
        DataType::UInt64 => each(array.as_primitive::<UInt64Type>(), out, |v| v as f64),
        DataType::Decimal32(_, scale) => {
            let unit = 10_f64.powi(i32::from(*scale));
            each(array.as_primitive::<Decimal32Type>(), out, |v| f64::from(v) / unit);
        }
        DataType::Decimal64(_, scale) => {
            let unit = 10_f64.powi(i32::from(*scale));
            each(array.as_primitive::<Decimal64Type>(), out, |v| v as f64 / unit);
        }
        DataType::Decimal128(_, scale) => {
            let unit = 10_f64.powi(i32::from(*scale));
            each(array.as_primitive::<Decimal128Type>(), out, |v| v as f64 / unit);
        }
        DataType::Decimal256(_, scale) => {
            let unit = 10_f64.powi(i32::from(*scale));
            each(array.as_primitive::<Decimal256Type>(), out, |v| {
                v.to_i128().map_or(f64::INFINITY, |v| v as f64) / unit
            });
        }
        DataType::Boolean => {
            let array = array.as_boolean();
            out.extend(array.iter().map(|value| value.map_or(f64::NAN, f64::from)));
        }
        DataType::Null => out.resize(out.len() + array.len(), f64::NAN),
        DataType::Dictionary(_, values) if holds(values) == Holds::Values(Kind::Numeric) => {
            let dictionary = array.as_any_dictionary();
            let mut values = Vec::with_capacity(dictionary.values().len());
            if !numbers(dictionary.values().as_ref(), &mut values) {
                return false;
            }
            dictionary_codes(array, |key| {
                out.push(key.map_or(f64::NAN, |key| values[key]));
            });
        }
        _ => return false,
    }
    true
}

/// Appends one code per row; missing is [`MISSING`]. Returns whether the type is one of texts;
/// nothing is appended otherwise.
pub(crate) fn texts(array: &dyn Array, names: &mut Names, out: &mut Vec<u32>) -> bool {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other types are no texts")]
    match array.data_type() {
        DataType::Utf8 => each_text(array.as_string::<i32>().iter(), names, out),
        DataType::LargeUtf8 => each_text(array.as_string::<i64>().iter(), names, out),
        DataType::Utf8View => each_text(array.as_string_view().iter(), names, out),
        DataType::Null => out.resize(out.len() + array.len(), MISSING),
        DataType::Dictionary(..) => {
            let values = array.as_any_dictionary().values();
            let mut codes = Vec::with_capacity(values.len());
            if matches!(values.data_type(), DataType::Dictionary(..))
                || !texts(values.as_ref(), names, &mut codes)
            {
                return false;
            }
            dictionary_codes(array, |key| out.push(key.map_or(MISSING, |key| codes[key])));
        }
        _ => return false,
    }
    true
}

/// Appends milliseconds since the epoch per row; missing is [`NO_TIME`]. Whole numbers are
/// milliseconds. A time without a zone is one of `zone`.
pub(crate) fn times(array: &dyn Array, zone: Tz, out: &mut Vec<i64>) -> Result<bool, NotATime> {
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other types are no times")]
    match array.data_type() {
        DataType::Timestamp(unit, named) => {
            // A named offset means that the value itself counts from the epoch in UTC.
            let zone = if named.is_some() { Tz::UTC } else { zone };
            match unit {
                TimeUnit::Second => {
                    let array = array.as_primitive::<TimestampSecondType>();
                    each_time(array, zone, out, |value| value.saturating_mul(1_000));
                }
                TimeUnit::Millisecond => {
                    let array = array.as_primitive::<TimestampMillisecondType>();
                    each_time(array, zone, out, |value| value);
                }
                TimeUnit::Microsecond => {
                    let array = array.as_primitive::<TimestampMicrosecondType>();
                    each_time(array, zone, out, |value| value.div_euclid(1_000));
                }
                TimeUnit::Nanosecond => {
                    let array = array.as_primitive::<TimestampNanosecondType>();
                    each_time(array, zone, out, |value| value.div_euclid(1_000_000));
                }
            }
        }
        DataType::Date32 => {
            let array = array.as_primitive::<Date32Type>();
            each_time(array, zone, out, |days| i64::from(days) * MS_A_DAY);
        }
        DataType::Date64 => each_time(array.as_primitive::<Date64Type>(), zone, out, |ms| ms),
        DataType::Int64 => each_time(array.as_primitive::<Int64Type>(), Tz::UTC, out, |ms| ms),
        DataType::Utf8 => each_written(array.as_string::<i32>().iter(), zone, out)?,
        DataType::LargeUtf8 => each_written(array.as_string::<i64>().iter(), zone, out)?,
        DataType::Utf8View => each_written(array.as_string_view().iter(), zone, out)?,
        DataType::Null => out.resize(out.len() + array.len(), NO_TIME),
        DataType::Dictionary(..) => {
            let dictionary = array.as_any_dictionary();
            let mut values = Vec::with_capacity(dictionary.values().len());
            if !times(dictionary.values().as_ref(), zone, &mut values)? {
                return Ok(false);
            }
            dictionary_codes(array, |key| out.push(key.map_or(NO_TIME, |key| values[key])));
        }
        _ => return Ok(false),
    }
    Ok(true)
}

/// Whether [`times`] can read a column of this type; the values of a text may still be wrong.
pub(crate) fn can_be_times(data_type: &DataType) -> bool {
    *data_type == DataType::Int64
        || matches!(
            holds(data_type),
            Holds::Times | Holds::Nothing | Holds::Values(Kind::Categorical)
        )
}

fn each<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    out: &mut Vec<f64>,
    number: impl Fn(T::Native) -> f64,
) {
    let start = out.len();
    out.extend(array.values().iter().map(|value| number(*value)));
    if let Some(nulls) = array.nulls() {
        for (value, valid) in out[start..].iter_mut().zip(nulls.iter()) {
            if !valid {
                *value = f64::NAN;
            }
        }
    }
}

fn each_time<T: ArrowPrimitiveType>(
    array: &PrimitiveArray<T>,
    zone: Tz,
    out: &mut Vec<i64>,
    ms: impl Fn(T::Native) -> i64,
) {
    let start = out.len();
    out.extend(array.values().iter().map(|value| ms(*value)));
    if zone != Tz::UTC {
        for value in &mut out[start..] {
            *value = moment::local_ms(*value, zone);
        }
    }
    if let Some(nulls) = array.nulls() {
        for (value, valid) in out[start..].iter_mut().zip(nulls.iter()) {
            if !valid {
                *value = NO_TIME;
            }
        }
    }
}

fn each_text<'a>(
    values: impl Iterator<Item = Option<&'a str>>,
    names: &mut Names,
    out: &mut Vec<u32>,
) {
    // Neighbours are often equal, and comparing is cheaper than hashing.
    let mut last = None;
    out.extend(values.map(|value| {
        let Some(text) = value else { return MISSING };
        match last {
            Some((known, code)) if known == text => code,
            _ => {
                let code = names.code(text);
                last = Some((text, code));
                code
            }
        }
    }));
}

fn each_written<'a>(
    values: impl Iterator<Item = Option<&'a str>>,
    zone: Tz,
    out: &mut Vec<i64>,
) -> Result<(), NotATime> {
    for (at, value) in values.enumerate() {
        out.push(match value {
            None | Some("") => NO_TIME,
            Some(text) => match moment::parse(text, zone) {
                Some(Timestamp(ms)) => ms,
                None => return Err(NotATime { at, value: text.to_owned() }),
            },
        });
    }
    Ok(())
}

/// Calls `take` with the key of every row.
fn dictionary_codes(array: &dyn Array, mut take: impl FnMut(Option<usize>)) {
    let dictionary = array.as_any_dictionary();
    if dictionary.values().is_empty() {
        (0..array.len()).for_each(|_| take(None));
        return;
    }
    let keys = dictionary.normalized_keys();
    match dictionary.keys().nulls() {
        None => keys.into_iter().for_each(|key| take(Some(key))),
        Some(nulls) => {
            for (key, valid) in keys.into_iter().zip(nulls.iter()) {
                take(valid.then_some(key));
            }
        }
    }
}

/// Appends what `make` makes of each whole number; a missing one counts as no number at all and
/// ends the attempt. Returns whether all were whole numbers; nothing is appended otherwise.
pub(crate) fn whole_numbers(
    array: &dyn Array,
    out: &mut Vec<u64>,
    make: impl Fn(i128) -> u64,
) -> bool {
    fn all<T: ArrowPrimitiveType>(
        array: &dyn Array,
        out: &mut Vec<u64>,
        make: impl Fn(i128) -> u64,
    ) -> bool
    where
        i128: From<T::Native>,
    {
        out.extend(array.as_primitive::<T>().values().iter().map(|v| make(i128::from(*v))));
        true
    }
    if array.null_count() > 0 {
        return false;
    }
    #[expect(clippy::wildcard_enum_match_arm, reason = "all other types are no whole numbers")]
    match array.data_type() {
        DataType::Int8 => all::<Int8Type>(array, out, make),
        DataType::Int16 => all::<Int16Type>(array, out, make),
        DataType::Int32 => all::<Int32Type>(array, out, make),
        DataType::Int64 => all::<Int64Type>(array, out, make),
        DataType::UInt8 => all::<UInt8Type>(array, out, make),
        DataType::UInt16 => all::<UInt16Type>(array, out, make),
        DataType::UInt32 => all::<UInt32Type>(array, out, make),
        DataType::UInt64 => all::<UInt64Type>(array, out, make),
        _ => false,
    }
}
