//! Times at which the owner allows no change.

use chrono::{DateTime, Datelike, Timelike, Utc};
use chrono_tz::Tz;
use serde::{Deserialize, Serialize};

use crate::time::{Duration, Timestamp, Window};

/// No run starts and no rollout begins inside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Blackout {
    /// Once, between two points in time.
    Once(Window),
    /// Every week on some days between two times of day.
    Weekly {
        /// Monday is 0.
        days: Vec<u8>,
        /// First minute of the day inside.
        from_minute: u32,
        /// First minute of the day after; up to 1,440.
        to_minute: u32,
        /// The time zone in which day and minute are read.
        zone: Zone,
    },
}

/// A time zone by its IANA name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone(pub Tz);

impl Zone {
    /// Coordinated universal time.
    pub const UTC: Zone = Zone(Tz::UTC);
}

impl TryFrom<String> for Zone {
    type Error = String;
    fn try_from(name: String) -> Result<Zone, String> {
        name.parse().map(Zone).map_err(|_unknown| {
            format!("`{name}` is no time zone: write an IANA name such as `Europe/Berlin` or `UTC`")
        })
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> String {
        zone.0.name().to_owned()
    }
}

impl Blackout {
    /// Whether `at` lies inside.
    #[must_use]
    pub fn covers(&self, at: Timestamp) -> bool {
        match self {
            Blackout::Once(window) => window.contains(at),
            Blackout::Weekly { days, from_minute, to_minute, zone } => {
                let Some(utc) = DateTime::<Utc>::from_timestamp_millis(at.0) else { return false };
                let local = utc.with_timezone(&zone.0);
                let day = local.weekday().num_days_from_monday();
                let minute = local.hour() * 60 + local.minute();
                days.iter().any(|of| u32::from(*of) == day)
                    && (*from_minute..*to_minute).contains(&minute)
            }
        }
    }
}

/// The first point from `at` on that no blackout covers; looks a month ahead at most.
#[must_use]
pub fn first_free(blackouts: &[Blackout], at: Timestamp) -> Timestamp {
    const STEPS_MAX: u32 = 31 * 24 * 60;
    let mut free = at;
    for _ in 0..STEPS_MAX {
        match blackouts.iter().find(|blackout| blackout.covers(free)) {
            None => return free,
            Some(Blackout::Once(window)) => free = window.to,
            // Rules change at full minutes, so the next one is the next candidate.
            Some(Blackout::Weekly { .. }) => {
                free = Timestamp(free.0.div_euclid(60_000) * 60_000).after(Duration::minutes(1));
            }
        }
    }
    free
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn working_hours_end_in_their_own_zone() {
        let office = Blackout::Weekly {
            days: vec![0, 1, 2, 3, 4],
            from_minute: 9 * 60,
            to_minute: 17 * 60,
            zone: Zone("Europe/Berlin".parse().unwrap()),
        };
        // Wednesday 2026-07-01, 12:00 in Berlin is 10:00 UTC.
        let noon = Timestamp(
            DateTime::parse_from_rfc3339("2026-07-01T10:00:30Z").unwrap().timestamp_millis(),
        );
        assert!(office.covers(noon));
        assert_eq!(first_free(&[office], noon).to_string(), "2026-07-01T15:00:00Z");
    }

    #[test]
    fn adjoining_blackouts_are_crossed_together() {
        let first = Blackout::Once(Window { from: Timestamp(0), to: Timestamp(10) });
        let second = Blackout::Once(Window { from: Timestamp(10), to: Timestamp(30) });
        assert_eq!(first_free(&[second, first], Timestamp(5)), Timestamp(30));
    }
}
