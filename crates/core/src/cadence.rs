//! When a schedule fires: cron patterns in a time zone, or a fixed step; start and jitter.

use std::fmt;

use chrono::{DateTime, Utc};
use croner::Cron;
use serde::{Deserialize, Serialize};

use crate::blackout::Zone;
use crate::policy::fnv1a;
use crate::time::{Duration, Timestamp};

/// Times at which a schedule fires.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cadence {
    rule: Rule,
    /// Nothing fires before.
    start: Timestamp,
    /// Each time is moved later by up to this, always the same for one model and time.
    jitter: Duration,
}

/// The rule behind a cadence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Rule {
    Cron { pattern: Pattern, zone: Zone },
    Every { step: Duration },
}

/// A checked cron pattern of five fields: minute, hour, day of month, month, day of week.
#[derive(Clone, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
struct Pattern {
    text: String,
    cron: Box<Cron>,
}

impl fmt::Debug for Pattern {
    /// Only what the owner wrote: a policy's hash must not depend on the parser's insides.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl TryFrom<String> for Pattern {
    type Error = String;
    fn try_from(text: String) -> Result<Pattern, String> {
        match text.parse::<Cron>() {
            Ok(cron) => Ok(Pattern { text, cron: Box::new(cron) }),
            Err(cause) => Err(format!(
                "`{text}` is no cron pattern ({cause}): write five fields, for example \
                 `0 2 * * SUN` for Sundays at two"
            )),
        }
    }
}

impl From<Pattern> for String {
    fn from(pattern: Pattern) -> String {
        pattern.text
    }
}

impl Cadence {
    /// Steps of a fixed cadence may not be shorter.
    pub const STEP_MIN: Duration = Duration::seconds(1);

    /// A cron pattern read in `zone`. A local time that daylight saving leaves out fires at the
    /// end of the gap; one that occurs twice fires once.
    pub fn cron(pattern: &str, zone: Zone) -> Result<Cadence, String> {
        let pattern = Pattern::try_from(pattern.to_owned())?;
        Ok(Cadence {
            rule: Rule::Cron { pattern, zone },
            start: Timestamp::MIN,
            jitter: Duration::ZERO,
        })
    }

    /// `start`, `start + step`, …
    pub fn every(step: Duration, start: Timestamp) -> Result<Cadence, String> {
        if step < Self::STEP_MIN {
            return Err(format!("a step of {step} is too short: write at least `1s`"));
        }
        Ok(Cadence { rule: Rule::Every { step }, start, jitter: Duration::ZERO })
    }

    /// Sundays at two, UTC.
    pub(crate) fn classic() -> Cadence {
        #[expect(clippy::expect_used, reason = "a constant that a test reads")]
        Cadence::cron("0 2 * * 0", Zone::UTC).expect("the classic pattern is valid")
    }

    /// Nothing fires before `start`.
    #[must_use]
    pub fn starting(mut self, start: Timestamp) -> Cadence {
        self.start = start;
        self
    }

    /// Nothing fires before this.
    #[must_use]
    pub fn start(&self) -> Timestamp {
        self.start
    }

    /// Spreads models over `jitter`.
    #[must_use]
    pub fn with_jitter(mut self, jitter: Duration) -> Cadence {
        self.jitter = jitter;
        self
    }

    /// The first time strictly after `after`; `None` if there is none.
    #[must_use]
    pub fn next(&self, after: Timestamp, model: &str) -> Option<Timestamp> {
        // Jitter moves a time that lay before `after` behind it, so look back that far.
        let mut nominal = self.nominal_after(after.before(self.jitter))?;
        loop {
            let fires = nominal.after(self.shift(nominal, model));
            if after < fires {
                return Some(fires);
            }
            nominal = self.nominal_after(nominal)?;
        }
    }

    /// How often it fires in `(after, to]`, and the last time; counts to `limit` at most.
    #[must_use]
    pub fn due(
        &self,
        after: Timestamp,
        to: Timestamp,
        model: &str,
        limit: u32,
    ) -> Option<(u32, Timestamp)> {
        let mut at = self.next(after, model).filter(|at| *at <= to)?;
        let mut count = 1;
        while count < limit
            && let Some(next) = self.next(at, model).filter(|next| *next <= to)
        {
            at = next;
            count += 1;
        }
        Some((count, at))
    }

    fn nominal_after(&self, after: Timestamp) -> Option<Timestamp> {
        match &self.rule {
            Rule::Every { step } => {
                if after < self.start {
                    return Some(self.start);
                }
                let steps = after.since(self.start).0 / step.0 + 1;
                Some(self.start.after(Duration(steps.checked_mul(step.0)?)))
            }
            Rule::Cron { pattern, zone } => {
                let from = after.max(self.start.before(Duration(1)));
                let utc = DateTime::<Utc>::from_timestamp_millis(from.0)?;
                let next =
                    pattern.cron.find_next_occurrence(&utc.with_timezone(&zone.0), false).ok()?;
                Some(Timestamp(next.timestamp_millis()))
            }
        }
    }

    fn shift(&self, nominal: Timestamp, model: &str) -> Duration {
        if self.jitter == Duration::ZERO {
            return Duration::ZERO;
        }
        Duration(fnv1a(format!("{model}@{}", nominal.0).as_bytes()) % (self.jitter.0 + 1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp(DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis())
    }

    fn times(cadence: &Cadence, from: &str, count: usize) -> Vec<String> {
        let mut after = at(from);
        (0..count)
            .map(|_| {
                after = cadence.next(after, "m").unwrap();
                after.to_string()
            })
            .collect()
    }

    #[test]
    fn sundays_at_two() {
        assert_eq!(
            times(&Cadence::classic(), "2026-11-23T00:00:00Z", 2),
            ["2026-11-29T02:00:00Z", "2026-12-06T02:00:00Z"]
        );
    }

    #[test]
    fn time_left_out_by_daylight_saving_fires_when_the_gap_ends() {
        // Berlin, 2026-03-29: 02:00 becomes 03:00, so 02:30 does not exist; 03:00 is 01:00 UTC.
        let zone = Zone("Europe/Berlin".parse().unwrap());
        let cadence = Cadence::cron("30 2 * * *", zone).unwrap();
        assert_eq!(
            times(&cadence, "2026-03-28T00:00:00Z", 3),
            ["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"]
        );
    }

    #[test]
    fn time_that_occurs_twice_fires_once() {
        // Berlin, 2026-10-25: 03:00 becomes 02:00, so 02:30 comes twice.
        let zone = Zone("Europe/Berlin".parse().unwrap());
        let cadence = Cadence::cron("30 2 * * *", zone).unwrap();
        let times = times(&cadence, "2026-10-24T12:00:00Z", 2);
        assert_eq!(times, ["2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"]);
    }

    #[test]
    fn nothing_fires_before_start() {
        let cadence = Cadence::classic().starting(at("2026-12-10T00:00:00Z"));
        assert_eq!(times(&cadence, "2026-11-23T00:00:00Z", 1), ["2026-12-13T02:00:00Z"]);
        let exact = Cadence::classic().starting(at("2026-12-13T02:00:00Z"));
        assert_eq!(times(&exact, "2026-11-23T00:00:00Z", 1), ["2026-12-13T02:00:00Z"]);
    }

    #[test]
    fn fixed_steps_count_from_their_start() {
        let cadence = Cadence::every(Duration::days(28), at("2013-01-29T00:00:00Z")).unwrap();
        assert_eq!(
            times(&cadence, "2013-01-01T00:00:00Z", 3),
            ["2013-01-29T00:00:00Z", "2013-02-26T00:00:00Z", "2013-03-26T00:00:00Z"]
        );
        assert!(Cadence::every(Duration::ZERO, Timestamp(0)).is_err());
    }

    #[test]
    fn jitter_is_bounded_stable_and_differs_between_models() {
        let cadence = Cadence::classic().with_jitter(Duration::hours(1));
        let from = at("2026-11-23T00:00:00Z");
        let nominal = at("2026-11-29T02:00:00Z");
        let shifts = ["a", "b", "c", "d"].map(|model| {
            let fires = cadence.next(from, model).unwrap();
            assert_eq!(cadence.next(from, model), Some(fires));
            // Asking again just before and just after must neither repeat nor lose it.
            assert_eq!(cadence.next(Timestamp(fires.0 - 1), model), Some(fires));
            assert!(cadence.next(fires, model).unwrap() > nominal.after(Duration::days(6)));
            assert!(fires.since(nominal) <= Duration::hours(1));
            fires
        });
        assert!(shifts.iter().any(|shift| *shift != shifts[0]));
    }

    #[test]
    fn missed_times_are_counted_to_a_limit() {
        let cadence = Cadence::classic();
        let (from, to) = (at("2026-11-01T12:00:00Z"), at("2026-11-22T02:00:00Z"));
        assert_eq!(cadence.due(from, to, "m", 100), Some((3, to)));
        assert_eq!(cadence.due(from, to, "m", 2), Some((2, at("2026-11-15T02:00:00Z"))));
        assert_eq!(cadence.due(to, to, "m", 100), None);
    }

    #[test]
    fn broken_pattern_says_what_to_write() {
        let error = Cadence::cron("61 2 * * *", Zone::UTC).unwrap_err();
        assert!(error.contains("61 2 * * *") && error.contains("0 2 * * SUN"), "{error}");
    }
}
