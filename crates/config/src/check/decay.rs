//! Checks `retrain.decay`: when decay starts a run, and which metrics are watched over which windows.

use afresh_core::policy::{DecayRule, Policy};
use afresh_core::time::Duration;
use afresh_data::schema::Task;
use afresh_ml::decay::buckets::BUCKETS_MAX;
use afresh_ml::decay::standard;
use afresh_ml::decay::ttest::VALUES_MIN;
use afresh_ml::metrics::{self, Metric};

use super::Context;
use crate::config::{DecayTest, DecayWatch, DecayWindow, Preset};
use crate::key::{Placed, listed};
use crate::problem::{Findings, Span};
use crate::section::{self, Decay};
use crate::value::OrOff;

/// Values of a window where no bucket is written.
const BUCKETS: u64 = 24;
/// Windows at most: each costs memory.
const WINDOWS_MAX: usize = 10;

/// What is written of the watch, to be completed once the gate is known.
pub(super) struct Written {
    test: DecayTest,
    drop: Option<f64>,
    rule: section::DecayRule,
}

type Key = Placed<OrOff<Decay>>;

/// When decay starts a run.
pub(super) fn rule(
    key: Option<&Key>,
    context: &Context<'_>,
    policy: &mut Policy,
    findings: &mut Findings,
) -> Written {
    let plain = match context.preset {
        Preset::Recommended => DecayTest::TTest,
        Preset::Classic => DecayTest::TTestUncorrected,
    };
    let default = match context.preset {
        Preset::Recommended => DecayTest::Sequential,
        Preset::Classic => plain,
    };
    let mut written = Written { test: default, drop: None, rule: section::DecayRule::default() };
    match key.map(|key| (&key.value, &key.at)) {
        None => {}
        Some((OrOff::Off, _)) => policy.decay = None,
        Some((OrOff::Set(Decay::Drop(drop)), _)) => {
            written.drop = Some(*drop);
            policy.decay = Some(DecayRule::Drop(*drop));
        }
        Some((OrOff::Set(Decay::Rule(rule)), at)) => {
            if let Some(test) = &rule.test {
                let sequential = test.value.0 == DecayTest::Sequential;
                written.test = if sequential { DecayTest::Sequential } else { plain };
            }
            starting(rule, at, policy, findings);
            written.drop = rule.drop.as_ref().map(|drop| drop.value.0);
            written.rule = rule.clone();
        }
    }
    // A drop counts once it is proven, where proof is at hand at any time.
    if let (Some(DecayRule::Drop(drop)), DecayTest::Sequential) = (policy.decay, written.test) {
        policy.decay = Some(DecayRule::Proven(drop));
    }
    if let (None, Some(DecayRule::Drop(drop) | DecayRule::Proven(drop))) =
        (written.drop, policy.decay)
    {
        written.drop = Some(drop);
    }
    written
}

/// Where a rule that would start runs is written.
pub(super) fn starts(key: Option<&Key>) -> Option<&Span> {
    key.filter(|key| match &key.value {
        OrOff::Off => false,
        OrOff::Set(Decay::Drop(_)) => true,
        OrOff::Set(Decay::Rule(rule)) => {
            let sequential = rule.sequential.as_ref().is_some_and(|sequential| sequential.value.0);
            rule.drop.is_some() || sequential
        }
    })
    .map(|key| &key.at)
}

fn starting(rule: &section::DecayRule, at: &Span, policy: &mut Policy, findings: &mut Findings) {
    let sequential = rule.sequential.as_ref().is_some_and(|sequential| sequential.value.0);
    let by_t_test =
        rule.test.as_ref().filter(|test| sequential && test.value.0 != DecayTest::Sequential);
    if let Some(test) = by_t_test {
        let message =
            "`retrain.decay.sequential` needs the sequential test, and `test` is \"t-test\"";
        findings.add(&test.at, message, "leave `test` out, or write `drop = 0.05` instead");
    }
    let watched = rule.windows.is_some()
        || rule.bucket.is_some()
        || rule.metrics.is_some()
        || rule.test.is_some()
        || !rule.refused.is_empty();
    match (&rule.drop, sequential) {
        (Some(drop), false) => policy.decay = Some(DecayRule::Drop(drop.value.0)),
        (None, true) => policy.decay = Some(DecayRule::Sequential),
        (None, false) if watched => {}
        (both, _) => {
            let what = if both.is_some() { "both rules" } else { "no rule" };
            findings.add(
                at,
                format!("`retrain.decay` holds {what}"),
                "write either `{ drop = 0.05 }` or `{ sequential = true }`",
            );
        }
    }
}

/// What is watched, and over which windows.
pub(super) fn check(
    written: Written,
    gate: Metric,
    context: &Context<'_>,
    findings: &mut Findings,
) -> DecayWatch {
    let Written { test, drop, rule } = written;
    DecayWatch {
        test,
        metrics: metrics(&rule, gate, context.task, findings),
        windows: windows(&rule, context.shared.replay.period, findings),
        drop: drop.unwrap_or(context.shared.drop),
    }
}

fn metrics(
    rule: &section::DecayRule,
    gate: Metric,
    task: Task,
    findings: &mut Findings,
) -> Vec<Metric> {
    let task = match task {
        Task::Binary => metrics::Task::Binary,
        // How many classes there are makes no difference to what fits.
        Task::Multiclass => metrics::Task::Multiclass { classes: 2 },
        Task::Regression => metrics::Task::Regression,
    };
    let Some(written) = &rule.metrics else {
        let own = standard::primary(task);
        return if gate == own { vec![gate] } else { vec![gate, own] };
    };
    if written.value.is_empty() {
        let help = "write at least one, such as `[\"accuracy\"]`, or leave it out";
        findings.add(&written.at, "`retrain.decay.metrics` is empty", help);
    }
    let mut chosen = Vec::new();
    for Placed { value, at } in &written.value {
        let metric = value.0;
        if !metric.fits(task) {
            let fitting = Metric::ALL.into_iter().filter(|metric| metric.fits(task));
            let words = fitting.map(Metric::name).collect::<Vec<_>>();
            findings.add(
                at,
                format!("`{}` does not measure a {} model", metric.name(), task.name()),
                format!("write {}", listed(&words)),
            );
        } else if chosen.contains(&metric) {
            findings.add(at, format!("`{}` is written twice", metric.name()), "leave one out");
        } else {
            chosen.push(metric);
        }
    }
    chosen
}

fn windows(
    rule: &section::DecayRule,
    period: Duration,
    findings: &mut Findings,
) -> Vec<DecayWindow> {
    let mut lengths = match &rule.windows {
        Some(written) => {
            let count = written.value.len();
            if count == 0 || WINDOWS_MAX < count {
                findings.add(
                    &written.at,
                    format!("`retrain.decay.windows` holds {count} windows"),
                    format!("write 1 to {WINDOWS_MAX}, such as `[\"24h\", \"7d\"]`"),
                );
            }
            let windows = written.value.iter();
            windows.map(|one| (one.value.0.clone(), one.value.1, Some(&one.at))).collect()
        }
        None => {
            let day = Duration::hours(24);
            let mut windows = vec![("24h".to_owned(), day, None)];
            if period != day {
                windows.push((period.to_string(), period, None));
            }
            windows
        }
    };
    lengths.sort_by_key(|(_, length, _)| *length);
    let mut chosen: Vec<DecayWindow> = Vec::new();
    for (name, length, at) in lengths {
        let own = Duration((length.0 / BUCKETS).max(1));
        let bucket = rule.bucket.as_ref().map_or(own, |bucket| bucket.value.0);
        let buckets = length.0 / bucket.0.max(1);
        let at = at.or(rule.bucket.as_ref().map(|bucket| &bucket.at));
        if let Some(at) = at {
            let most = u64::try_from(BUCKETS_MAX).unwrap_or(u64::MAX);
            let least = u64::try_from(VALUES_MIN).unwrap_or(0);
            if chosen.iter().any(|other| other.length == length) {
                findings.add(at, format!("window `{name}` is written twice"), "leave one out");
            } else if buckets < least {
                findings.add(
                    at,
                    format!("window `{name}` holds {buckets} buckets of {bucket}: below {least} nothing is said"),
                    format!("write a bucket of at most `{}`, or a longer window", Duration(length.0 / least)),
                );
            } else if most < buckets {
                findings.add(
                    at,
                    format!(
                        "window `{name}` holds {buckets} buckets of {bucket}, more than {most}"
                    ),
                    "write a wider bucket or a shorter window",
                );
            }
        }
        chosen.push(DecayWindow { name, length, bucket });
    }
    chosen
}
