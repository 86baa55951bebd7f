//! Times written as text or as numbers, read into milliseconds.

use afresh_core::time::Timestamp;
use chrono::{Duration, LocalResult, NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;

/// Numbers below this many are seconds since the epoch, others milliseconds: the year 5138 in
/// seconds, March 1973 in milliseconds.
const SECONDS_MAX: i64 = 100_000_000_000;

/// Reads RFC 3339, `YYYY-MM-DD`, `YYYY-MM-DD HH:MM[:SS[.fff]]` (with a blank or `T`), and whole
/// seconds or milliseconds since the epoch. A time that names no offset is one of `zone`.
pub(crate) fn parse(text: &str, zone: Tz) -> Option<Timestamp> {
    let text = text.trim();
    if let Ok(number) = text.parse::<i64>() {
        let ms = if number.abs() < SECONDS_MAX { number.checked_mul(1_000)? } else { number };
        return Some(Timestamp(ms));
    }
    let bytes = text.as_bytes();
    let date = NaiveDate::from_ymd_opt(
        i32::try_from(digits(bytes, 0, 4)?).ok()?,
        after(bytes, 4, b'-')?,
        after(bytes, 7, b'-')?,
    )?;
    if bytes.len() == 10 {
        return Some(local(date.and_time(NaiveTime::MIN), zone));
    }
    if !matches!(bytes.get(10), Some(b' ' | b'T' | b't')) {
        return None;
    }
    let (hour, minute) = (digits(bytes, 11, 2)?, after(bytes, 13, b':')?);
    let mut at = 16;
    let (mut second, mut ms) = (0, 0);
    if bytes.get(at) == Some(&b':') {
        second = digits(bytes, at + 1, 2)?;
        at += 3;
        if bytes.get(at) == Some(&b'.') {
            let end = bytes[at + 1..]
                .iter()
                .position(|byte| !byte.is_ascii_digit())
                .map_or(bytes.len(), |length| at + 1 + length);
            for place in 0..3 {
                let digit = bytes.get(at + 1 + place).filter(|_| at + 1 + place < end);
                ms = ms * 10 + digit.map_or(0, |digit| u32::from(digit - b'0'));
            }
            if end == at + 1 {
                return None;
            }
            at = end;
        }
    }
    let time = NaiveTime::from_hms_milli_opt(hour, minute, second.min(59), ms)?;
    let moment = date.and_time(time);
    let rest = text.get(at..)?.trim_start();
    match rest.as_bytes() {
        [] => Some(local(moment, zone)),
        [b'Z' | b'z'] => Some(Timestamp(moment.and_utc().timestamp_millis())),
        [sign @ (b'+' | b'-'), offset @ ..] => {
            let minutes = match offset.len() {
                2 => digits(offset, 0, 2)? * 60,
                4 => digits(offset, 0, 2)? * 60 + digits(offset, 2, 2)?,
                5 => digits(offset, 0, 2)? * 60 + after(offset, 2, b':')?,
                _ => return None,
            };
            let ms = i64::from(minutes) * 60_000 * if *sign == b'+' { -1 } else { 1 };
            Some(Timestamp(moment.and_utc().timestamp_millis() + ms))
        }
        _ => None,
    }
}

/// The instant of a wall clock in `zone`: the earlier of two where clocks go back, and where they
/// go forward the time that the clock would have shown.
pub(crate) fn local(moment: NaiveDateTime, zone: Tz) -> Timestamp {
    if zone == Tz::UTC {
        return Timestamp(moment.and_utc().timestamp_millis());
    }
    let ms = match zone.from_local_datetime(&moment) {
        LocalResult::Single(at) | LocalResult::Ambiguous(at, _) => at.timestamp_millis(),
        LocalResult::None => {
            let before = zone.from_local_datetime(&(moment - Duration::hours(3))).earliest();
            before.map_or(moment.and_utc().timestamp_millis(), |at| {
                at.timestamp_millis() + 3 * 3_600_000
            })
        }
    };
    Timestamp(ms)
}

/// The instant of a wall clock in `zone`, given as milliseconds since 1970-01-01T00:00 there.
pub(crate) fn local_ms(ms: i64, zone: Tz) -> i64 {
    if zone == Tz::UTC {
        return ms;
    }
    chrono::DateTime::from_timestamp_millis(ms)
        .map_or(ms, |moment| local(moment.naive_utc(), zone).0)
}

fn digits(bytes: &[u8], from: usize, count: usize) -> Option<u32> {
    bytes.get(from..from + count)?.iter().try_fold(0, |number, byte| {
        byte.is_ascii_digit().then(|| number * 10 + u32::from(byte - b'0'))
    })
}

/// Two digits after `mark`.
fn after(bytes: &[u8], at: usize, mark: u8) -> Option<u32> {
    (bytes.get(at) == Some(&mark)).then(|| digits(bytes, at + 1, 2)).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_in_every_form() {
        let utc = |text| parse(text, Tz::UTC).map(|at| at.to_string());
        for (text, wanted) in [
            ("2013-01-29", "2013-01-29T00:00:00Z"),
            ("2013-01-29 06:05", "2013-01-29T06:05:00Z"),
            ("2013-01-29 06:05:07", "2013-01-29T06:05:07Z"),
            ("2013-01-29T06:05:07.5", "2013-01-29T06:05:07.500Z"),
            ("2013-01-29T06:05:07Z", "2013-01-29T06:05:07Z"),
            ("2013-01-29T06:05:07.123456+02:00", "2013-01-29T04:05:07.123Z"),
            ("2013-01-29 06:05:07-0130", "2013-01-29T07:35:07Z"),
            ("1359439507", "2013-01-29T06:05:07Z"),
            ("1359439507123", "2013-01-29T06:05:07.123Z"),
        ] {
            assert_eq!(utc(text).as_deref(), Some(wanted), "{text}");
        }
        for wrong in [
            "",
            "x",
            "2013-13-01",
            "2013-01-29x",
            "2013-01-29 25:00",
            "29.01.2013",
            "1.5",
            "2013-01-29 06:05:07.",
        ] {
            assert_eq!(utc(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn naive_times_belong_to_their_zone() {
        let zone = Tz::Europe__Berlin;
        let read = |text| parse(text, zone).unwrap().to_string();
        assert_eq!(read("2024-01-10 12:00"), "2024-01-10T11:00:00Z");
        assert_eq!(read("2024-07-10 12:00"), "2024-07-10T10:00:00Z");
        assert_eq!(read("2024-03-31 02:30"), "2024-03-31T01:30:00Z", "the hour that is skipped");
        assert_eq!(read("2024-10-27 02:30"), "2024-10-27T00:30:00Z", "the first of the two");
        assert_eq!(read("2024-07-10T12:00:00Z"), "2024-07-10T12:00:00Z");
    }
}
