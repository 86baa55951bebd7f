//! Points in time as people write them on the command line.

use afresh_core::time::{Duration, Timestamp};
use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime};

/// Reads `2013-06-01`, `2013-06-01T14:02`, `2013-06-01 14:02:03` or RFC 3339; UTC where no zone is
/// named.
pub fn parse(text: &str) -> Result<Timestamp, String> {
    let text = text.trim();
    let ms = DateTime::parse_from_rfc3339(text).map(|at| at.timestamp_millis()).ok();
    let naive = || {
        let forms =
            ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f", "%Y-%m-%dT%H:%M", "%Y-%m-%d %H:%M"];
        let moment = forms.iter().find_map(|form| NaiveDateTime::parse_from_str(text, form).ok());
        let day = || NaiveDate::parse_from_str(text, "%Y-%m-%d").ok();
        moment.or_else(|| day().map(|day| day.and_time(NaiveTime::MIN)))
    };
    ms.or_else(|| naive().map(|at| at.and_utc().timestamp_millis())).map(Timestamp).ok_or_else(
        || "write a time such as `2013-06-01`, `2013-06-01T14:02` or `2013-06-01T14:02:00Z`".into(),
    )
}

/// Reads a length such as `1h`; not zero.
pub fn length(text: &str) -> Result<Duration, String> {
    Duration::parse(text)
        .filter(|length| *length > Duration::ZERO)
        .ok_or_else(|| "write a length such as `30min`, `1h` or `7d`".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_as_people_write_them() {
        for (text, shown) in [
            ("2013-06-01", "2013-06-01T00:00:00Z"),
            ("2013-06-01T14:02", "2013-06-01T14:02:00Z"),
            (" 2013-06-01 14:02:03 ", "2013-06-01T14:02:03Z"),
            ("2013-06-01T14:02:00+02:00", "2013-06-01T12:02:00Z"),
        ] {
            assert_eq!(parse(text).unwrap().to_string(), shown, "{text}");
        }
        for wrong in ["", "yesterday", "2013-13-01", "14:02"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
        assert!(length("0s").is_err() && length("1h").is_ok());
    }
}
