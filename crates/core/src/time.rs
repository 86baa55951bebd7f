//! Points in time, lengths of time and half-open windows, all in milliseconds.

use std::fmt;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// Milliseconds since the Unix epoch, UTC.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Timestamp(pub i64);

/// A length of time in milliseconds; never negative.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Duration(pub u64);

/// A half-open interval `[from, to)` of event time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Window {
    /// First instant inside.
    pub from: Timestamp,
    /// First instant after.
    pub to: Timestamp,
}

impl Timestamp {
    /// Before every event.
    pub const MIN: Timestamp = Timestamp(i64::MIN);
    /// After every event.
    pub const MAX: Timestamp = Timestamp(i64::MAX);

    /// The point `length` later; saturates at the end of time.
    #[must_use]
    pub fn after(self, length: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(i64::try_from(length.0).unwrap_or(i64::MAX)))
    }

    /// The point `length` earlier; saturates at the beginning of time.
    #[must_use]
    pub fn before(self, length: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(i64::try_from(length.0).unwrap_or(i64::MAX)))
    }

    /// Time passed since `earlier`; zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Timestamp) -> Duration {
        Duration(u64::try_from(self.0.saturating_sub(earlier.0)).unwrap_or(0))
    }
}

impl fmt::Display for Timestamp {
    /// RFC 3339 in UTC, for example `2013-01-29T06:00:00Z`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match DateTime::<Utc>::from_timestamp_millis(self.0) {
            Some(at) => f.write_str(&at.to_rfc3339_opts(SecondsFormat::AutoSi, true)),
            None => write!(f, "{} ms", self.0),
        }
    }
}

impl Duration {
    /// No time at all.
    pub const ZERO: Duration = Duration(0);

    /// `n` seconds.
    #[must_use]
    pub const fn seconds(n: u64) -> Duration {
        Duration(n * 1_000)
    }
    /// `n` minutes.
    #[must_use]
    pub const fn minutes(n: u64) -> Duration {
        Duration(n * 60_000)
    }
    /// `n` hours.
    #[must_use]
    pub const fn hours(n: u64) -> Duration {
        Duration(n * 3_600_000)
    }
    /// `n` days of 24 hours.
    #[must_use]
    pub const fn days(n: u64) -> Duration {
        Duration(n * 86_400_000)
    }

    /// Reads `90d`, `24h`, `10 min`, `30s`, `250ms`, `2w`; a whole or decimal number and a unit.
    #[must_use]
    pub fn parse(text: &str) -> Option<Duration> {
        let text = text.trim();
        let split = text.find(|c: char| c.is_ascii_alphabetic())?;
        let (number, unit) = (text[..split].trim().replace('_', ""), &text[split..]);
        let unit_ms = match unit {
            "ms" => 1,
            "s" => 1_000,
            "m" | "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            "w" => 604_800_000,
            _ => return None,
        };
        if let Ok(whole) = number.parse::<u64>() {
            return whole.checked_mul(unit_ms).map(Duration);
        }
        let value = number.parse::<f64>().ok()?;
        #[expect(clippy::cast_precision_loss, reason = "a unit is far below 2^53")]
        let ms = value * unit_ms as f64;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "checked to lie between 0 and 2^53"
        )]
        (ms.is_finite() && (0.0..9e15).contains(&ms)).then(|| Duration(ms.round() as u64))
    }
}

impl fmt::Display for Duration {
    /// The largest unit that divides evenly: `90d`, `36h`, `250ms`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(86_400_000, "d"), (3_600_000, "h"), (60_000, "min"), (1_000, "s")];
        for (unit_ms, name) in units {
            if self.0 != 0 && self.0.is_multiple_of(unit_ms) {
                return write!(f, "{}{name}", self.0 / unit_ms);
            }
        }
        if self.0 == 0 { f.write_str("0s") } else { write!(f, "{}ms", self.0) }
    }
}

impl Window {
    /// All of event time.
    pub const ALL: Window = Window { from: Timestamp::MIN, to: Timestamp::MAX };

    /// Whether `at` lies inside.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.from <= at && at < self.to
    }

    /// Whether nothing can lie inside.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.to <= self.from
    }

    /// `to − from`.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.since(self.from)
    }
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // What has no end is told so: its number means nothing to anybody.
        let open = |at: Timestamp| at == Timestamp::MIN || at == Timestamp::MAX;
        let end = |at: Timestamp| if open(at) { "…".to_owned() } else { at.to_string() };
        write!(f, "[{}, {})", end(self.from), end(self.to))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_and_print() {
        for (text, ms, shown) in [
            ("90d", 7_776_000_000, "90d"),
            ("24h", 86_400_000, "1d"),
            ("10 min", 600_000, "10min"),
            ("1.5h", 5_400_000, "90min"),
            ("250ms", 250, "250ms"),
            ("50_000s", 50_000_000, "50000s"),
            ("0s", 0, "0s"),
        ] {
            let duration = Duration::parse(text).unwrap();
            assert_eq!((duration.0, duration.to_string().as_str()), (ms, shown), "{text}");
        }
        for wrong in ["", "5", "d", "-1d", "5 days", "1e300d"] {
            assert_eq!(Duration::parse(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn windows_are_half_open() {
        let window = Window { from: Timestamp(10), to: Timestamp(20) };
        assert!(window.contains(Timestamp(10)) && !window.contains(Timestamp(20)));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(0).to_string(), "1970-01-01T00:00:00Z");
    }
}
