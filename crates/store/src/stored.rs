//! The stored form of facts and records: JSON with a format number, upcast when it is read.

use afresh_core::decision::Decision;
use afresh_core::event::{self, Event};
use afresh_core::fleet::FleetEvent;
use afresh_core::history::{RunRecord, VersionRecord};
use afresh_core::model::Model;
use afresh_engine::port::StoreError;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

/// Brings a body to the next format; total, for what it makes of nonsense is refused afterwards.
pub(crate) type Upcast = fn(Value) -> Value;

/// What is kept as JSON with a format number.
pub(crate) trait Stored: Serialize + DeserializeOwned {
    /// The format that is written; formats count from 1.
    const FORMAT: u16;
    /// Entry `n` brings format `n + 1` to `n + 2`.
    const UPCASTS: &'static [Upcast];
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unreadable {
    /// It comes from a newer program.
    #[error(
        "it has format {found} and this version of afresh reads formats 1 to {newest}: install \
         the version that wrote it, or a later one"
    )]
    Newer {
        /// Its format.
        found: i64,
        /// The newest that can be read.
        newest: u16,
    },
    /// There is no such format.
    #[error("it has format {0}, and formats count from 1: restore the state from a backup")]
    NoFormat(i64),
    /// It does not say what its format should.
    #[error("its text does not have format {format}: restore the state from a backup")]
    Malformed {
        /// Its format.
        format: i64,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// A number that should not be negative is.
    #[error("its {column} is {found}: restore the state from a backup")]
    OutOfRange {
        /// Which column.
        column: &'static str,
        /// What stands there.
        found: i64,
    },
    /// Facts are numbered without gaps.
    #[error("its number is {found} and {expected} should follow: restore the state from a backup")]
    Gap {
        /// The number that should follow.
        expected: u64,
        /// The number that does.
        found: u64,
    },
}

/// Why a value cannot be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unwritable {
    /// It has no JSON form.
    #[error("it has no stored form")]
    NoForm(#[source] serde_json::Error),
    /// It has one, which says something else: a number that is not finite becomes `null`.
    #[error("it could not be read back; a number in it is not finite: {text}")]
    OneWay {
        /// The form.
        text: String,
        /// Why it cannot be read.
        #[source]
        source: serde_json::Error,
    },
}

/// The stored form of `value`.
pub(crate) fn encode<T: Stored>(value: &T) -> Result<String, Unwritable> {
    serde_json::to_string(value).map_err(Unwritable::NoForm)
}

/// The stored form of a fact; refused unless it can be read back, for a fact is for ever.
pub(crate) fn encode_fact<T: Stored>(fact: &T) -> Result<String, Unwritable> {
    let text = encode(fact)?;
    match serde_json::from_str::<T>(&text) {
        Ok(_) => Ok(text),
        Err(source) => Err(Unwritable::OneWay { text, source }),
    }
}

/// What a stored form of any format up to today's says.
pub(crate) fn decode<T: Stored>(format: i64, body: &str) -> Result<T, Unreadable> {
    if format == i64::from(T::FORMAT) {
        return serde_json::from_str(body).map_err(malformed(format));
    }
    let value = serde_json::from_str(body).map_err(malformed(format))?;
    let value = upcast(T::UPCASTS, format, value)?;
    serde_json::from_value(value).map_err(malformed(format))
}

/// `value` of `format` in the format that follows the last of `steps`.
pub(crate) fn upcast(steps: &[Upcast], format: i64, value: Value) -> Result<Value, Unreadable> {
    let newest = u16::try_from(steps.len() + 1).unwrap_or(u16::MAX);
    let first = usize::try_from(format).ok().and_then(|format| format.checked_sub(1));
    let first = first.ok_or(Unreadable::NoFormat(format))?;
    let Some(steps) = steps.get(first..) else {
        return Err(Unreadable::Newer { found: format, newest });
    };
    Ok(steps.iter().fold(value, |value, step| step(value)))
}

/// An error about the row `what`.
pub(crate) fn damaged(what: impl FnOnce() -> String) -> impl FnOnce(Unreadable) -> StoreError {
    move |why| StoreError::Damaged { what: what(), source: Box::new(why) }
}

fn malformed(format: i64) -> impl FnOnce(serde_json::Error) -> Unreadable {
    move |source| Unreadable::Malformed { format, source }
}

macro_rules! stored {
    ($($kind:ty: $format:expr, $upcasts:expr;)*) => {$(
        impl Stored for $kind {
            const FORMAT: u16 = $format;
            const UPCASTS: &'static [Upcast] = $upcasts;
        }
        const _: () = assert!(<$kind>::FORMAT as usize == <$kind>::UPCASTS.len() + 1);
    )*};
}

stored! {
    Event: event::FORMAT, &[];
    FleetEvent: event::FORMAT, &[];
    Model: 1, &[];
    Decision: 1, &[];
    RunRecord: 1, &[];
    VersionRecord: 1, &[];
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn renamed(mut value: Value) -> Value {
        let old = value.as_object_mut().and_then(|object| object.remove("old"));
        value["new"] = old.unwrap_or(Value::Null);
        value
    }

    fn doubled(mut value: Value) -> Value {
        value["new"] = json!(value["new"].as_i64().unwrap_or(0) * 2);
        value
    }

    #[test]
    fn older_formats_are_upcast_step_by_step() {
        let steps: [Upcast; 2] = [renamed, doubled];
        for (format, body, upcasted) in [
            (1, json!({"old": 7}), json!({"new": 14})),
            (2, json!({"new": 7}), json!({"new": 14})),
            (3, json!({"new": 7}), json!({"new": 7})),
        ] {
            assert_eq!(upcast(&steps, format, body).unwrap(), upcasted, "format {format}");
        }
    }

    #[test]
    fn a_newer_or_impossible_format_is_named() {
        for (format, words) in [
            (9, "it has format 9 and this version of afresh reads formats 1 to 1"),
            (0, "it has format 0, and formats count from 1"),
            (-4, "it has format -4, and formats count from 1"),
        ] {
            let error = decode::<Event>(format, "{}").unwrap_err().to_string();
            assert!(error.starts_with(words), "{error}");
        }
        let error = decode::<Event>(1, "{\"run_ended\":").unwrap_err();
        assert!(matches!(error, Unreadable::Malformed { format: 1, .. }), "{error}");
    }
}
