//! Checks `[model.x.data]`: columns have one role each, and the source is one that can be read.

use afresh_core::time::Duration;
use afresh_data::spec::SourceSpec;

use super::{Context, OrDefault};
use crate::config::{Preset, TrainingWindow, Windows};
use crate::key::Placed;
use crate::problem::{Findings, Span};
use crate::section::{self, Window};
use crate::value::Word;

pub(super) struct Checked {
    pub(super) source: SourceSpec,
    pub(super) windows: Windows,
}

/// `None` where there is no source.
pub(super) fn check(
    section: Option<Placed<section::Source>>,
    model: &Span,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Option<Checked> {
    let at = section.as_ref().map_or_else(|| model.clone(), |section| section.at.clone());
    let section = section.unwrap_or_default_section();
    let window = section.window.as_ref().map(|window| &window.value);
    let windows = windows(window, context.preset, findings);
    roles(&section, findings);
    if let Some(positive) = &section.positive
        && context.task != afresh_data::schema::Task::Binary
    {
        findings.add(
            &positive.at,
            "`data.positive` belongs to binary models",
            "leave it out, or write `task = \"binary\"`",
        );
    }
    if section.source.is_none() && !section.refused.contains(&"source") {
        let help = "write `source = \"data/*.parquet\"`, a file, a directory or a glob";
        findings.add(&at, "`data.source` is missing", help);
    }
    let location = location(section.source?, findings)?;
    let name = |key: Option<Placed<String>>| key.map(|key| key.value).filter(|key| !key.is_empty());
    let word = |key: Option<Placed<Word>>, default: &str| {
        key.map_or_else(|| default.to_owned(), |key| key.value.0)
    };
    let source = SourceSpec {
        id: name(section.id),
        label: Some(word(section.label, "label")),
        positive: section.positive.map(|positive| positive.value.0),
        label_time: name(section.label_time),
        matured_time: name(section.matured_time),
        label_delay: section.label_delay.map_or(Duration::ZERO, |delay| delay.value),
        weight: name(section.weight),
        entity: name(section.entity),
        person_key: name(section.person_key),
        exclude: super::placed_words(section.exclude),
        timezone: section.timezone.map_or(chrono_tz::Tz::UTC, |zone| zone.value.0),
        ..SourceSpec::new(location, word(section.time, "event_time"), context.task)
    };
    Some(Checked { source, windows })
}

fn location(source: Placed<Word>, findings: &mut Findings) -> Option<String> {
    let Placed { value: Word(location), at } = source;
    if location == "log" {
        findings.add(
            &at,
            "`data.source` is \"log\", the prediction log, which this version does not keep",
            "write a file, a directory or a glob such as `data/*.parquet`",
        );
        return None;
    }
    // What stands on disk is looked for later; what is no location at all never will be.
    if location.contains("://")
        && let Err(why) = afresh_data::place::check(&location)
    {
        let (message, help) = why.rsplit_once(": ").unwrap_or((&why, "write a path"));
        findings.add(&at, format!("`data.source` is `{location}`: {message}"), help);
        return None;
    }
    Some(location)
}

/// Columns that may not be the same, and role columns that are excluded as well.
fn roles(section: &section::Source, findings: &mut Findings) {
    let word = |name, key: Option<&'_ Placed<Word>>, default: &str| Role {
        name,
        column: key.map_or_else(|| default.to_owned(), |key| key.value.0.clone()),
        at: key.map(|key| key.at.clone()),
    };
    let mut roles = vec![
        word("time", section.time.as_ref(), "event_time"),
        word("label", section.label.as_ref(), "label"),
    ];
    for (name, key) in [
        ("id", section.id.as_ref()),
        ("label_time", section.label_time.as_ref()),
        ("matured_time", section.matured_time.as_ref()),
        ("weight", section.weight.as_ref()),
        ("entity", section.entity.as_ref()),
        ("person_key", section.person_key.as_ref()),
    ] {
        if let Some(Placed { value, at }) = key.filter(|key| !key.value.is_empty()) {
            roles.push(Role { name, column: value.clone(), at: Some(at.clone()) });
        }
    }
    for (later, role) in roles.iter().enumerate() {
        let clash = roles[..later].iter().find(|other| other.clashes(role));
        // Where the later one is a default, the earlier one is the culprit.
        if let Some(other) = clash
            && let Some(at) = role.at.as_ref().or(other.at.as_ref())
        {
            let (name, of) = (role.name, other.name);
            findings.add(
                at,
                format!("column `{}` is both `data.{of}` and `data.{name}`", role.column),
                "write another column for one of them",
            );
        }
    }
    for Placed { value: Word(excluded), at } in section.exclude.iter().flat_map(|list| &list.value)
    {
        if let Some(role) = roles.iter().find(|role| role.column == *excluded) {
            findings.add(
                at,
                format!("`data.exclude` names `{excluded}`, which is `data.{}`", role.name),
                format!("leave `{excluded}` out: such columns are never features"),
            );
        }
    }
}

/// A column that is something else than a feature.
struct Role {
    name: &'static str,
    column: String,
    /// `None` where the column is the default.
    at: Option<Span>,
}

impl Role {
    /// Times may coincide with times, and what a row is about with its id; nothing else may.
    fn clashes(&self, other: &Role) -> bool {
        let may_share = |names: &[&str]| names.contains(&self.name) && names.contains(&other.name);
        self.column == other.column
            && !may_share(&["time", "label_time", "matured_time"])
            && !may_share(&["id", "entity", "person_key"])
    }
}

/// What is written, and the preset's windows for the rest.
fn windows(written: Option<&Window>, preset: Preset, findings: &mut Findings) -> Windows {
    let days = |days| TrainingWindow::Last(Duration::days(days));
    let defaults = match preset {
        Preset::Recommended => Windows::all(days(90)),
        Preset::Classic => Windows {
            scheduled: days(90),
            triggered: TrainingWindow::SinceLastRun,
            online: TrainingWindow::Last(Duration::hours(24)),
            active: days(30),
            incremental: days(30),
        },
    };
    match written {
        None => defaults,
        Some(Window::One(window)) => Windows::all(*window),
        Some(Window::Each(each)) => {
            if let Some(auto) =
                each.incremental.as_ref().filter(|window| window.value == TrainingWindow::Auto)
            {
                findings.add(
                    &auto.at,
                    "`data.window.incremental` is \"auto\", and a run that continues the champion has \
                     nothing to choose",
                    "write `since-last-run`",
                );
            }
            let other = each.other.as_ref().map(|window| window.value);
            let pick = |window: Option<&Placed<TrainingWindow>>, default| {
                window.map(|window| window.value).or(other).unwrap_or(default)
            };
            Windows {
                scheduled: pick(each.scheduled.as_ref(), defaults.scheduled),
                triggered: pick(each.triggered.as_ref(), defaults.triggered),
                online: pick(each.online.as_ref(), defaults.online),
                active: pick(each.active.as_ref(), defaults.active),
                incremental: Windows::all(pick(each.incremental.as_ref(), defaults.incremental))
                    .incremental,
            }
        }
    }
}

/// The columns that are never features, for other sections.
pub(super) fn refuse_slices(
    slices: Option<&Placed<Vec<Placed<Word>>>>,
    source: &SourceSpec,
    findings: &mut Findings,
) {
    let roles = [
        source.id.as_deref(),
        Some(source.time.as_str()),
        source.label.as_deref(),
        source.label_time.as_deref(),
        source.matured_time.as_deref(),
        source.weight.as_deref(),
        source.entity.as_deref(),
        source.person_key.as_deref(),
    ];
    for slice in slices.iter().flat_map(|slices| &slices.value) {
        let name = slice.value.0.as_str();
        if roles.contains(&Some(name)) || source.exclude.iter().any(|column| column == name) {
            findings.add(
                &slice.at,
                format!("`gate.slices` names `{name}`, which is not a feature"),
                format!("write a feature, or leave `{name}` out"),
            );
        }
    }
}
