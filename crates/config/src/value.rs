//! Values with a form of their own: lengths, shares, sizes, windows, budgets.

use afresh_core::blackout::Zone;
use afresh_core::fleet::Budget;
use afresh_core::signal::Priority;
use afresh_core::time::Duration;
use serde_json::{Value as Json, json};
use toml::de::{DeInteger, DeValue};
use toml::value::Datetime;

use crate::config::TrainingWindow;
use crate::key::{Key, Plain, Written};
use crate::problem::Findings;

/// In [0, 1].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Share(pub(crate) f64);

/// Finite and not negative.
#[derive(Clone, Copy, Debug)]
pub(crate) struct NotNegative(pub(crate) f64);

/// Any finite number; its range follows from something else.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Finite(pub(crate) f64);

/// Error probability in (0, 0.5].
#[derive(Clone, Copy, Debug)]
pub(crate) struct Alpha(pub(crate) f64);

/// From 1 to 1,000,000,000,000.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Count(pub(crate) u64);

/// From 0 to 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Few(pub(crate) u32);

/// From 0 to 1,024.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Devices(pub(crate) u64);

/// Percent of the traffic, 1 to 100.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Percent(pub(crate) u8);

/// A text that is not empty.
#[derive(Clone, Debug)]
pub(crate) struct Word(pub(crate) String);

/// Whether; there are better types once it is checked.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Truth(pub(crate) bool);

/// A length of time above zero.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Length(pub(crate) Duration);

/// A length of time above zero, called as it is written.
#[derive(Clone, Debug)]
pub(crate) struct Tagged(pub(crate) String, pub(crate) Duration);

/// Bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Memory(pub(crate) u64);

/// A label's value as text.
#[derive(Clone, Debug)]
pub(crate) struct Label(pub(crate) String);

/// A setting of a trainer, as JSON.
#[derive(Clone, Debug)]
pub(crate) struct Parameter(pub(crate) Json);

/// A date, a time of day, or both; with or without an offset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment(pub(crate) Datetime);

/// A point in time: at least a date.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Date(pub(crate) Datetime);

/// Days of the week, Monday is 0, in order.
#[derive(Clone, Debug)]
pub(crate) struct Days(pub(crate) Vec<u8>);

/// A number of the replay's periods, or a length of time.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Every {
    Periods(u32),
    Step(Duration),
}

/// Something, or `false` where the preset's value is not wanted.
#[derive(Clone, Debug)]
pub(crate) enum OrOff<T> {
    Set(T),
    Off,
}

impl<T: Key> Key for OrOff<T> {
    fn read(value: &Written<'_>, key: &str, findings: &mut Findings) -> Option<OrOff<T>> {
        if value.get_ref().as_bool() == Some(false) {
            return Some(OrOff::Off);
        }
        T::read(value, key, findings).map(OrOff::Set)
    }

    fn schema() -> Json {
        json!({ "anyOf": [T::schema(), { "const": false }] })
    }
}

impl Plain for Word {
    const WANTED: &'static str = "a text in double quotes that is not empty";
    fn parse(value: &DeValue<'_>) -> Option<Word> {
        value.as_str().filter(|text| !text.trim().is_empty()).map(|text| Word(text.to_owned()))
    }
    fn schema() -> Json {
        json!({ "type": "string", "minLength": 1 })
    }
}

impl Plain for String {
    const WANTED: &'static str = "a text in double quotes";
    fn parse(value: &DeValue<'_>) -> Option<String> {
        value.as_str().map(str::to_owned)
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl Plain for Truth {
    const WANTED: &'static str = "`true` or `false`";
    fn parse(value: &DeValue<'_>) -> Option<Truth> {
        value.as_bool().map(Truth)
    }
    fn schema() -> Json {
        json!({ "type": "boolean" })
    }
}

impl Plain for Share {
    const WANTED: &'static str = "a number from 0 to 1";
    fn parse(value: &DeValue<'_>) -> Option<Share> {
        number(value).filter(|share| (0.0..=1.0).contains(share)).map(Share)
    }
    fn schema() -> Json {
        json!({ "type": "number", "minimum": 0, "maximum": 1 })
    }
}

impl Plain for NotNegative {
    const WANTED: &'static str = "a number that is not negative";
    fn parse(value: &DeValue<'_>) -> Option<NotNegative> {
        number(value).filter(|number| 0.0 <= *number).map(NotNegative)
    }
    fn schema() -> Json {
        json!({ "type": "number", "minimum": 0 })
    }
}

impl Plain for Finite {
    const WANTED: &'static str = "a number";
    fn parse(value: &DeValue<'_>) -> Option<Finite> {
        number(value).map(Finite)
    }
    fn schema() -> Json {
        json!({ "type": "number" })
    }
}

impl Plain for Alpha {
    const WANTED: &'static str = "an error probability above 0 and up to 0.5, such as `0.05`";
    fn parse(value: &DeValue<'_>) -> Option<Alpha> {
        number(value).filter(|alpha| 0.0 < *alpha && *alpha <= 0.5).map(Alpha)
    }
    fn schema() -> Json {
        json!({ "type": "number", "exclusiveMinimum": 0, "maximum": 0.5 })
    }
}

impl Plain for Count {
    const WANTED: &'static str = "a whole number from 1 to 1_000_000_000_000";
    fn parse(value: &DeValue<'_>) -> Option<Count> {
        whole(value).filter(|count| (1..=1_000_000_000_000).contains(count)).map(Count)
    }
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 1_000_000_000_000_u64 })
    }
}

impl Plain for Few {
    const WANTED: &'static str = "a whole number from 0 to 100";
    fn parse(value: &DeValue<'_>) -> Option<Few> {
        let number = u32::try_from(whole(value)?).ok()?;
        (number <= 100).then_some(Few(number))
    }
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0, "maximum": 100 })
    }
}

impl Plain for Devices {
    const WANTED: &'static str = "a whole number from 0 to 1024";
    fn parse(value: &DeValue<'_>) -> Option<Devices> {
        whole(value).filter(|number| *number <= 1_024).map(Devices)
    }
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0, "maximum": 1_024 })
    }
}

impl Plain for u64 {
    const WANTED: &'static str = "a whole number that is not negative";
    fn parse(value: &DeValue<'_>) -> Option<u64> {
        whole(value)
    }
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 0 })
    }
}

impl Plain for Percent {
    const WANTED: &'static str = "a whole number from 1 to 100";
    fn parse(value: &DeValue<'_>) -> Option<Percent> {
        let percent = u8::try_from(whole(value)?).ok()?;
        (1..=100).contains(&percent).then_some(Percent(percent))
    }
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 100 })
    }
}

impl Plain for Priority {
    const WANTED: &'static str = "a whole number from 1 to 5";
    fn parse(value: &DeValue<'_>) -> Option<Priority> {
        Priority::new(u8::try_from(whole(value)?).ok()?)
    }
    fn schema() -> Json {
        json!({ "type": "integer", "minimum": 1, "maximum": 5 })
    }
}

impl Plain for Duration {
    const WANTED: &'static str = "a length of time such as `90d`, `24h`, `10min` or `30s`";
    fn parse(value: &DeValue<'_>) -> Option<Duration> {
        /// A century: longer is a slip of the pen.
        const MAX: Duration = Duration::days(36_525);
        Duration::parse(value.as_str()?).filter(|length| *length <= MAX)
    }
    fn schema() -> Json {
        length_schema()
    }
}

impl Plain for Length {
    const WANTED: &'static str = "a length of time above zero, such as `7d`, `24h` or `10min`";
    fn parse(value: &DeValue<'_>) -> Option<Length> {
        <Duration as Plain>::parse(value).filter(|length| Duration::ZERO < *length).map(Length)
    }
    fn schema() -> Json {
        length_schema()
    }
}

impl Plain for Tagged {
    const WANTED: &'static str = <Length as Plain>::WANTED;
    fn parse(value: &DeValue<'_>) -> Option<Tagged> {
        let length = <Length as Plain>::parse(value)?;
        Some(Tagged(value.as_str()?.trim().to_owned(), length.0))
    }
    fn schema() -> Json {
        <Length as Plain>::schema()
    }
}

impl Plain for Memory {
    const WANTED: &'static str = "an amount of memory such as `512 MiB` or `4 GiB`";
    fn parse(value: &DeValue<'_>) -> Option<Memory> {
        let text = value.as_str()?.trim();
        let split = text.find(|letter: char| letter.is_ascii_alphabetic())?;
        let number = text[..split].trim().parse::<u64>().ok().filter(|number| 0 < *number)?;
        let unit = match &text[split..] {
            "MiB" => 1 << 20,
            "GiB" => 1 << 30,
            _ => return None,
        };
        number.checked_mul(unit).map(Memory)
    }
    fn schema() -> Json {
        json!({ "type": "string", "pattern": "^\\s*[0-9]+\\s*(MiB|GiB)\\s*$" })
    }
}

impl Plain for Label {
    const WANTED: &'static str = "the label's positive value, such as `1`, `true` or `\"yes\"`";
    fn parse(value: &DeValue<'_>) -> Option<Label> {
        match value {
            DeValue::String(text) => Some(Label(text.to_string())),
            DeValue::Integer(_) => Some(Label(integer(value)?.to_string())),
            DeValue::Float(number) => Some(Label(number.to_string())),
            DeValue::Boolean(truth) => Some(Label(truth.to_string())),
            DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
        }
    }
    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean"] })
    }
}

impl Plain for Parameter {
    const WANTED: &'static str = "a number, a text, `true`, `false`, or a list of them";
    fn parse(value: &DeValue<'_>) -> Option<Parameter> {
        let json = match value {
            DeValue::String(text) => Json::from(text.to_string()),
            DeValue::Integer(_) => Json::from(integer(value)?),
            DeValue::Float(_) => Json::from(number(value)?),
            DeValue::Boolean(truth) => Json::from(*truth),
            DeValue::Array(values) => values
                .iter()
                .map(|value| Parameter::parse(value.get_ref()).map(|value| value.0))
                .collect::<Option<Vec<_>>>()?
                .into(),
            DeValue::Datetime(_) | DeValue::Table(_) => return None,
        };
        Some(Parameter(json))
    }
    fn schema() -> Json {
        json!({ "type": ["string", "number", "boolean", "array"] })
    }
}

impl Plain for Zone {
    const WANTED: &'static str = "an IANA time zone such as `Europe/Berlin` or `UTC`";
    fn parse(value: &DeValue<'_>) -> Option<Zone> {
        Zone::try_from(value.as_str()?.to_owned()).ok()
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl Plain for Date {
    const WANTED: &'static str = "a date such as `2026-01-01`, or a time `2026-01-01T06:00:00Z`";
    fn parse(value: &DeValue<'_>) -> Option<Date> {
        datetime(value).filter(|at| at.date.is_some()).map(Date)
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl Plain for Moment {
    const WANTED: &'static str =
        "a date such as `2026-12-24`, or a time of day such as `\"09:00\"` beside `days`";
    fn parse(value: &DeValue<'_>) -> Option<Moment> {
        datetime(value).map(Moment)
    }
    fn schema() -> Json {
        json!({ "type": "string" })
    }
}

impl Plain for Days {
    const WANTED: &'static str =
        "days such as `\"MON-FRI\"`, `\"SAT,SUN\"` or `[\"MON\", \"WED\"]`";
    fn parse(value: &DeValue<'_>) -> Option<Days> {
        let mut days = match value {
            DeValue::String(text) => parse_days(text)?,
            DeValue::Array(values) => {
                let texts = values.iter().map(|value| value.get_ref().as_str());
                let days = texts.map(|text| parse_days(text?)).collect::<Option<Vec<_>>>()?;
                days.concat()
            }
            DeValue::Integer(_)
            | DeValue::Float(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Table(_) => return None,
        };
        days.sort_unstable();
        days.dedup();
        (!days.is_empty()).then_some(Days(days))
    }
    fn schema() -> Json {
        json!({ "anyOf": [
            { "type": "string" },
            { "type": "array", "items": { "type": "string" } },
        ] })
    }
}

impl Plain for Every {
    const WANTED: &'static str =
        "a number of periods such as `\"4 periods\"`, or a length `\"7d\"`";
    fn parse(value: &DeValue<'_>) -> Option<Every> {
        let text = match value.as_str() {
            Some(text) => text.trim(),
            None => return periods(&whole(value)?.to_string()),
        };
        match text.strip_suffix("periods").or(text.strip_suffix("period")) {
            Some(number) => periods(number.trim()),
            None => Length::parse(value).map(|length| Every::Step(length.0)),
        }
    }
    fn schema() -> Json {
        json!({ "anyOf": [{ "type": "string" }, { "type": "integer", "minimum": 1 }] })
    }
}

impl Plain for TrainingWindow {
    const WANTED: &'static str = TrainingWindow::WANTED;
    fn parse(value: &DeValue<'_>) -> Option<TrainingWindow> {
        TrainingWindow::parse(value.as_str()?)
    }
    fn schema() -> Json {
        let pattern = "^\\s*(half-life\\s+)?[0-9_]+(\\.[0-9]+)?\\s*(ms|s|m|min|h|d|w)$";
        json!({ "anyOf": [
            { "enum": ["all", "since-last-run", "since-change", "auto"] },
            { "type": "string", "pattern": pattern },
            { "type": "string", "pattern": "^sample\\s+[0-9_]+$" },
        ] })
    }
}

impl Plain for Budget {
    const WANTED: &'static str = "a budget such as `20 cpu-hours per 30d`, in cpu-seconds, cpu-minutes or cpu-hours per at \
         most 366d";
    fn parse(value: &DeValue<'_>) -> Option<Budget> {
        let (amount, per) = value.as_str()?.split_once(" per ")?;
        let (number, unit) = amount.trim().split_once(' ')?;
        let unit = match unit.trim() {
            "cpu-second" | "cpu-seconds" => 1.0,
            "cpu-minute" | "cpu-minutes" => 60.0,
            "cpu-hour" | "cpu-hours" => 3_600.0,
            _ => return None,
        };
        let number = number.replace('_', "").parse::<f64>().ok()?;
        let per = Duration::parse(per.trim())?;
        let is_good = number.is_finite() && 0.0 < number;
        let per_is_good = Duration::ZERO < per && per <= afresh_core::fleet::Fleet::BUDGET_MAX;
        (is_good && per_is_good).then_some(Budget { cpu_seconds: number * unit, per })
    }
    fn schema() -> Json {
        json!({
            "type": "string",
            "pattern": "^\\s*[0-9_.]+\\s+cpu-(second|minute|hour)s?\\s+per\\s+[0-9_.]+\\s*(ms|s|m|min|h|d|w)\\s*$",
        })
    }
}

/// Whether an array's elements rise; the first that does not.
pub(crate) fn first_not_rising(values: &[crate::key::Placed<Percent>]) -> Option<usize> {
    (1..values.len()).find(|at| values[*at].value.0 <= values[*at - 1].value.0)
}

fn number(value: &DeValue<'_>) -> Option<f64> {
    let number = match value {
        DeValue::Float(number) => number.as_str().parse::<f64>().ok()?,
        #[expect(clippy::cast_precision_loss, reason = "a number where numbers are wanted")]
        DeValue::Integer(_) => integer(value)? as f64,
        DeValue::String(_)
        | DeValue::Boolean(_)
        | DeValue::Datetime(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => return None,
    };
    number.is_finite().then_some(number)
}

fn whole(value: &DeValue<'_>) -> Option<u64> {
    u64::try_from(integer(value)?).ok()
}

fn integer(value: &DeValue<'_>) -> Option<i64> {
    let read = |number: &DeInteger<'_>| i64::from_str_radix(number.as_str(), number.radix()).ok();
    value.as_integer().and_then(read)
}

fn periods(text: &str) -> Option<Every> {
    text.parse::<u32>().ok().filter(|count| (1..=10_000).contains(count)).map(Every::Periods)
}

fn datetime(value: &DeValue<'_>) -> Option<Datetime> {
    match value {
        DeValue::Datetime(at) => Some(*at),
        // The end of the day, which no clock shows.
        DeValue::String(text) if text == "24:00" => {
            let mut end = "23:59:59.999".parse::<Datetime>().ok()?;
            if let Some(time) = &mut end.time {
                time.nanosecond = Some(END_OF_DAY);
            }
            Some(end)
        }
        DeValue::String(text) => text.trim().parse::<Datetime>().ok(),
        DeValue::Integer(_)
        | DeValue::Float(_)
        | DeValue::Boolean(_)
        | DeValue::Array(_)
        | DeValue::Table(_) => None,
    }
}

/// Nanoseconds that mark `24:00`.
pub(crate) const END_OF_DAY: u32 = 999_999_999;

/// `MON-FRI`, `SAT,SUN`, `FRI-MON`; Monday is 0.
fn parse_days(text: &str) -> Option<Vec<u8>> {
    const NAMES: [&str; 7] = ["MON", "TUE", "WED", "THU", "FRI", "SAT", "SUN"];
    let day = |name: &str| {
        let name = name.trim().to_uppercase();
        NAMES.iter().zip(0_u8..).find(|(known, _)| **known == name).map(|(_, day)| day)
    };
    let mut days = Vec::new();
    for part in text.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (day(first)?, day(last)?);
        let length = (last + 7 - first) % 7;
        days.extend((0..=length).map(|step| (first + step) % 7));
    }
    Some(days)
}

fn length_schema() -> Json {
    json!({ "type": "string", "pattern": "^\\s*[0-9_]+(\\.[0-9]+)?\\s*(ms|s|m|min|h|d|w)$" })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read<T: Plain>(text: &str) -> Option<T> {
        T::parse(DeValue::parse(text).unwrap().get_ref())
    }

    #[test]
    fn budgets_are_amounts_per_length() {
        let seconds = |text: &str| read::<Budget>(text).map(|budget| budget.cpu_seconds);
        assert_eq!(seconds("'20 cpu-hours per 30d'"), Some(72_000.0));
        assert_eq!(seconds("'0.5 cpu-minutes per 1h'"), Some(30.0));
        for wrong in ["'20 hours per 30d'", "'20 cpu-hours'", "'-1 cpu-hours per 1d'", "20"] {
            assert_eq!(seconds(wrong), None, "{wrong}");
        }
        assert_eq!(seconds("'1 cpu-hour per 400d'"), None);
    }

    #[test]
    fn days_are_ranges_and_lists() {
        let days = |text: &str| read::<Days>(text).map(|days| days.0);
        assert_eq!(days("'MON-FRI'"), Some(vec![0, 1, 2, 3, 4]));
        assert_eq!(days("'sat, sun'"), Some(vec![5, 6]));
        assert_eq!(days("['FRI-MON', 'SAT']"), Some(vec![0, 4, 5, 6]));
        assert_eq!(days("'Monday'"), None);
        assert_eq!(days("[]"), None);
    }

    #[test]
    fn every_counts_periods_or_measures_time() {
        assert!(matches!(read("4"), Some(Every::Periods(4))));
        assert!(matches!(read("'1 period'"), Some(Every::Periods(1))));
        assert!(matches!(read("'7d'"), Some(Every::Step(step)) if step == Duration::days(7)));
        for wrong in ["0", "'0 periods'", "-3", "'0d'", "'often'", "1.5"] {
            assert!(read::<Every>(wrong).is_none(), "{wrong}");
        }
    }

    #[test]
    fn memory_has_a_unit() {
        let bytes = |text: &str| read::<Memory>(text).map(|memory| memory.0);
        assert_eq!(bytes("'4 GiB'"), Some(4 << 30));
        assert_eq!(bytes("'512MiB'"), Some(512 << 20));
        for wrong in ["'4 GB'", "4", "'0 GiB'", "'much'", "'99999999999999999 GiB'"] {
            assert_eq!(bytes(wrong), None, "{wrong}");
        }
    }
}
