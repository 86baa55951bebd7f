//! Checks times: the schedule of `[model.x.retrain]` and its blackouts.

use crate::choice::Kind;
use afresh_core::blackout::{Blackout, Zone};
use afresh_core::cadence::Cadence;
use afresh_core::policy::{CatchUp, DependsOnPast, Policy, Schedule};
use afresh_core::time::{Duration, Timestamp, Window};
use chrono::{NaiveDate, NaiveDateTime, NaiveTime, TimeZone};
use chrono_tz::Tz;
use toml::value::{Datetime, Offset};

use super::Context;
use crate::key::Placed;
use crate::problem::{Findings, Span};
use crate::section;
use crate::value::{END_OF_DAY, Every, OrOff};

/// Minutes of a day.
const DAY_MINUTES: u32 = 24 * 60;

pub(super) fn schedule(
    section: &section::Retrain,
    kind: Kind,
    model: &str,
    zone: Zone,
    context: &Context<'_>,
    policy: &mut Policy,
    findings: &mut Findings,
) {
    let start = start(section, zone.0, findings);
    let written = cadence(section, kind, zone, start, context, findings);
    let jitter = section.jitter.as_ref().map_or(Duration::ZERO, |jitter| jitter.value);
    let catch_up = section.catch_up.as_ref().map(|catch_up| catch_up.value.0);
    let past = section
        .depends_on_past
        .as_ref()
        .map(|depends| if depends.value.0 { DependsOnPast::Yes } else { DependsOnPast::No });
    let cadence = match written {
        Cadences::Wrong => return,
        Cadences::Off => None,
        Cadences::Written(cadence, at) => {
            let Some(first) = cadence.next(Timestamp(0), model) else {
                let help = "write a pattern that occurs, for example `0 2 * * SUN`";
                findings.add(&at, "`retrain.schedule` never fires", help);
                return;
            };
            let step = cadence
                .next(first, model)
                .map_or(first.since(Timestamp(0)), |next| next.since(first));
            if let Some(jitter) = section.jitter.as_ref().filter(|jitter| step <= jitter.value) {
                let message = format!("`retrain.jitter` is not shorter than the schedule's {step}");
                findings.add(&jitter.at, message, "write a shorter one");
            }
            Some(cadence)
        }
        // The preset's own, in the written zone: both presets' patterns read alike in each.
        Cadences::Preset => match &policy.schedule {
            Some(_) => Cadence::cron(CLASSIC, zone).ok(),
            None => None,
        },
    };
    let Some(cadence) = cadence else {
        policy.schedule = None;
        without_schedule(section, findings);
        return;
    };
    let cadence = match start {
        Some(start) => cadence.starting(start),
        None => cadence,
    };
    policy.schedule = Some(Schedule {
        cadence: cadence.with_jitter(jitter),
        catch_up: catch_up.unwrap_or(CatchUp::Skip),
        depends_on_past: past.unwrap_or(DependsOnPast::No),
    });
}

/// Sundays at two: the classic preset's schedule, which is only public as a whole.
const CLASSIC: &str = "0 2 * * 0";

enum Cadences {
    /// Nothing is written.
    Preset,
    /// The owner wants none.
    Off,
    /// What is written, and where.
    Written(Cadence, Span),
    /// It was reported.
    Wrong,
}

fn cadence(
    section: &section::Retrain,
    kind: Kind,
    zone: Zone,
    start: Option<Timestamp>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Cadences {
    let step = section.every.as_ref().and_then(|every| match every.value {
        Every::Step(step) => Some((step, &every.at)),
        // Without a policy that counts periods, so many of them are a step of time.
        Every::Periods(periods) => (kind == Kind::Thresholds).then(|| {
            let period = context.shared.replay.period.0;
            (Duration(period.saturating_mul(u64::from(periods))), &every.at)
        }),
    });
    match (&section.schedule, step) {
        (Some(Placed { value: OrOff::Set(_), .. }), Some((_, at))) => {
            let help = "write one of the two";
            findings.add(at, "`retrain.every` and `retrain.schedule` both set times", help);
            Cadences::Wrong
        }
        (Some(Placed { value: OrOff::Set(pattern), at }), None) => {
            let pattern = pattern.0.trim();
            let help = "write five fields, for example `0 2 * * SUN` for Sundays at two";
            if !pattern.starts_with('@') && pattern.split_whitespace().count() != 5 {
                let count = pattern.split_whitespace().count();
                let message =
                    format!("`retrain.schedule` is \"{pattern}\": {count} fields, not five");
                findings.add(at, message, help);
                return Cadences::Wrong;
            }
            match Cadence::cron(pattern, zone) {
                Ok(cadence) => Cadences::Written(cadence, at.clone()),
                Err(error) => {
                    let cause = error.split_once(": write ").map_or(error.as_str(), |cut| cut.0);
                    findings.add(at, format!("`retrain.schedule`: {cause}"), help);
                    Cadences::Wrong
                }
            }
        }
        (_, Some((step, at))) => match Cadence::every(step, start.unwrap_or(Timestamp(0))) {
            Ok(cadence) => Cadences::Written(cadence, at.clone()),
            Err(_too_short) => {
                let message = format!("`retrain.every` of {step} is too short");
                findings.add(at, message, format!("write at least `{}`", Cadence::STEP_MIN));
                Cadences::Wrong
            }
        },
        (Some(Placed { value: OrOff::Off, .. }), None) => Cadences::Off,
        (None, None) => Cadences::Preset,
    }
}

/// Keys that say how a schedule behaves, where there is none.
fn without_schedule(section: &section::Retrain, findings: &mut Findings) {
    let catch_up = section.catch_up.as_ref().filter(|key| key.value.0 != CatchUp::Skip);
    let depends = section.depends_on_past.as_ref().filter(|key| key.value.0);
    let jitter = section.jitter.as_ref().filter(|key| key.value != Duration::ZERO);
    for (key, at) in [
        ("start", section.start.as_ref().map(|key| &key.at)),
        ("catch_up", catch_up.map(|key| &key.at)),
        ("jitter", jitter.map(|key| &key.at)),
        ("depends_on_past", depends.map(|key| &key.at)),
    ] {
        if let Some(at) = at {
            findings.add(
                at,
                format!("`retrain.{key}` needs a schedule"),
                "write `schedule = \"0 2 * * SUN\"` or `every = \"7d\"` beside it",
            );
        }
    }
}

fn start(section: &section::Retrain, zone: Tz, findings: &mut Findings) -> Option<Timestamp> {
    let start = section.start.as_ref()?;
    let at = instant(start.value.0, zone);
    if at.is_none() {
        findings.add(&start.at, "`retrain.start` is no time", "write a date such as `2026-01-01`");
    }
    at
}

pub(super) fn blackouts(
    sections: Option<Placed<Vec<section::Blackout>>>,
    zone: Tz,
    policy: &mut Policy,
    findings: &mut Findings,
) {
    for blackout in sections.map(|sections| sections.value).unwrap_or_default() {
        if !blackout.refused.is_empty() {
            continue;
        }
        let zone = blackout.timezone.as_ref().map_or(zone, |zone| zone.value.0);
        let read = match &blackout.days {
            None => once(&blackout, zone),
            Some(days) => weekly(&blackout, &days.value.0, zone),
        };
        match read {
            Ok(blackouts) => policy.blackouts.extend(blackouts),
            Err((at, message)) => findings.add(
                &at,
                message,
                "write `{ from = 2026-12-24, to = 2026-12-27 }` or `{ days = \"MON-FRI\", from = \
                 \"09:00\", to = \"17:00\" }`",
            ),
        }
    }
}

fn once(blackout: &section::Blackout, zone: Tz) -> Result<Vec<Blackout>, (Span, &'static str)> {
    let wrong = |message| Err((blackout.at.clone(), message));
    let (Some(from), Some(to)) = (&blackout.from, &blackout.to) else {
        return wrong("a blackout needs `from` and `to`");
    };
    let Some(from_at) = instant(from.value.0, zone) else {
        return Err((from.at.clone(), "`from` of a blackout without `days` is no date"));
    };
    let Some(to_at) = instant(to.value.0, zone) else {
        return Err((to.at.clone(), "`to` of a blackout without `days` is no date"));
    };
    let window = Window { from: from_at, to: to_at };
    if window.is_empty() {
        return Err((to.at.clone(), "the blackout ends before it begins"));
    }
    Ok(vec![Blackout::Once(window)])
}

fn weekly(
    blackout: &section::Blackout,
    days: &[u8],
    zone: Tz,
) -> Result<Vec<Blackout>, (Span, &'static str)> {
    let minute = |key: Option<&Placed<crate::value::Moment>>, default| match key {
        None => Ok(default),
        Some(key) => minute_of_day(key.value.0)
            .ok_or((key.at.clone(), "a blackout with `days` is from one time of day to another")),
    };
    let from_minute = minute(blackout.from.as_ref(), 0)?;
    let to_minute = minute(blackout.to.as_ref(), DAY_MINUTES)?;
    let part = |days: Vec<u8>, from_minute, to_minute| Blackout::Weekly {
        days,
        from_minute,
        to_minute,
        zone: Zone(zone),
    };
    if from_minute < to_minute {
        return Ok(vec![part(days.to_vec(), from_minute, to_minute)]);
    }
    if from_minute == to_minute {
        return Err((blackout.at.clone(), "the blackout ends when it begins"));
    }
    // It crosses midnight: the evening of each day and the morning after.
    let next = days.iter().map(|day| (day + 1) % 7).collect();
    let mut parts = vec![part(days.to_vec(), from_minute, DAY_MINUTES)];
    if 0 < to_minute {
        parts.push(part(next, 0, to_minute));
    }
    Ok(parts)
}

/// Minutes since midnight of a time of day alone; seconds are not counted.
fn minute_of_day(at: Datetime) -> Option<u32> {
    let time = at.time.filter(|_| at.date.is_none() && at.offset.is_none())?;
    if time.nanosecond == Some(END_OF_DAY) {
        return Some(DAY_MINUTES);
    }
    Some(u32::from(time.hour) * 60 + u32::from(time.minute))
}

/// The instant of a date, with or without a time; read in `zone` where it names no offset. A time
/// that daylight saving leaves out is the end of the gap; of one that occurs twice, the first.
fn instant(at: Datetime, zone: Tz) -> Option<Timestamp> {
    let date = at.date?;
    let day = NaiveDate::from_ymd_opt(date.year.into(), date.month.into(), date.day.into())?;
    let time = match at.time {
        None => NaiveTime::MIN,
        Some(time) => NaiveTime::from_hms_nano_opt(
            time.hour.into(),
            time.minute.into(),
            u32::from(time.second.unwrap_or(0)).min(59),
            time.nanosecond.unwrap_or(0),
        )?,
    };
    let naive = NaiveDateTime::new(day, time);
    match at.offset {
        Some(Offset::Z) => Some(Timestamp(naive.and_utc().timestamp_millis())),
        Some(Offset::Custom { minutes }) => {
            let ms = naive.and_utc().timestamp_millis();
            Some(Timestamp(ms - i64::from(minutes) * 60_000))
        }
        None => {
            let gap_max = 4;
            (0..=gap_max).find_map(|half_hours| {
                let moved = naive + chrono::Duration::minutes(30 * half_hours);
                let at = zone.from_local_datetime(&moved).earliest()?;
                Some(Timestamp(at.timestamp_millis()))
            })
        }
    }
}
