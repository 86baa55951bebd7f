//! Checks `[model.x.gate]`: the metric and the rule fit the task and each other.

use afresh_core::gate::{Bound, Slices};
use afresh_core::policy::{Policy, Rejudge};
use afresh_data::schema::Task;
use afresh_data::spec::SourceSpec;
use afresh_ml::metrics::{self, Metric};

use super::{Context, OrDefault, Part, count, data, gate_rule, part, placed_words};
use crate::config::{Judging, Preset};
use crate::key::{Placed, listed};
use crate::problem::Findings;
use crate::section;
use crate::value::{Finite, OrOff};

pub(super) struct Checked {
    pub(super) judging: Judging,
    pub(super) holdout: Part,
    pub(super) rows_least: usize,
}

pub(super) fn check(
    section: section::Gate,
    source: Option<&SourceSpec>,
    context: &Context<'_>,
    policy: &mut Policy,
    findings: &mut Findings,
) -> Checked {
    let metric = metric(&section, context.task, findings);
    let mut rule = gate_rule(context.preset);
    if context.preset == Preset::Classic && metric != Metric::Auc {
        rule.at_least = None; // The constant is an area under the curve.
    }
    for (key, higher, written) in [
        ("at_least", true, section.at_least.as_ref()),
        ("at_most", false, section.at_most.as_ref()),
    ] {
        let Some(Placed { value, at }) = written else { continue };
        let OrOff::Set(Finite(bound)) = value else {
            if higher == metric.higher_is_better() {
                rule.at_least = None;
            }
            continue;
        };
        let (low, high) = range(metric, context.task);
        if higher != metric.higher_is_better() {
            let (word, other) = if higher { ("lower", "at_most") } else { ("higher", "at_least") };
            findings.add(
                at,
                format!("`gate.{key}` is no bound of {}, where {word} is better", metric.name()),
                format!("write `{other}` instead"),
            );
        } else if *bound < low || high < *bound {
            let help = if high.is_finite() {
                format!("write a number from {low} to {high}")
            } else {
                format!("write a number from {low} on")
            };
            let message = format!("`gate.{key}` is {bound}, which {} never is", metric.name());
            findings.add(at, message, help);
        } else {
            rule.at_least = Some(if higher { Bound::Above(*bound) } else { Bound::Below(*bound) });
        }
    }
    for (key, written, value) in [
        ("min_improvement", section.min_improvement.as_ref(), &mut rule.min_improvement),
        ("margin", section.margin.as_ref(), &mut rule.margin),
    ] {
        let Some(Placed { value: written, at }) = written else { continue };
        let (low, high) = range(metric, context.task);
        if high.is_finite() && high - low < written.0 {
            findings.add(
                at,
                format!("`gate.{key}` is {}, more than {} can differ", written.0, metric.name()),
                "write a share, such as `0.01` for one percent",
            );
        }
        *value = written.0;
    }
    if let Some(proof) = section.proof {
        rule.proof = proof.value.0;
    }
    if let Some(alpha) = section.alpha {
        rule.alpha = alpha.value.0;
    }
    rule.negative_flips_max = section.negative_flips_max.map(|share| share.value.0);
    if let Some(protect) = &section.protect_slices {
        rule.slices = if protect.value.0 { Slices::Protect } else { Slices::Report };
        if protect.value.0 && section.slices.as_ref().is_none_or(|list| list.value.is_empty()) {
            let help = "write `slices = [\"COLUMN\"]` beside it";
            findings.add(&protect.at, "`gate.protect_slices` without `gate.slices`", help);
        }
    }
    policy.gate = rule;
    let rejudge = section.rejudge.unwrap_or_default_section();
    policy.rejudge = Rejudge {
        every: rejudge.every.map_or(context.shared.replay.period, |every| every.value.0),
        times: rejudge.times.map_or(policy.rejudge.times, |times| times.value.0),
    };
    if let Some(source) = source {
        data::refuse_slices(section.slices.as_ref(), source, findings);
    }
    Checked {
        judging: Judging { metric, slices: placed_words(section.slices) },
        holdout: part(section.holdout.unwrap_or_default_section(), context.shared.replay),
        rows_least: section.rows_min.map_or(100, |rows| count(rows.value.0)),
    }
}

fn metric(section: &section::Gate, task: Task, findings: &mut Findings) -> Metric {
    let task = match task {
        Task::Binary => metrics::Task::Binary,
        // How many classes there are makes no difference to what fits.
        Task::Multiclass => metrics::Task::Multiclass { classes: 2 },
        Task::Regression => metrics::Task::Regression,
    };
    let Some(Placed { value, at }) = &section.metric else { return Metric::default_for(task) };
    let metric = value.0;
    if metric.fits(task) {
        return metric;
    }
    let fitting = Metric::ALL.into_iter().filter(|metric| metric.fits(task)).map(Metric::name);
    findings.add(
        at,
        format!(
            "`gate.metric` is \"{}\", which does not fit a {} model",
            metric.name(),
            task.name()
        ),
        format!("write {}", listed(&fitting.collect::<Vec<_>>())),
    );
    Metric::default_for(task)
}

/// The values that a metric can have.
fn range(metric: Metric, task: Task) -> (f64, f64) {
    match metric {
        Metric::Auc | Metric::Accuracy | Metric::F1 => (0.0, 1.0),
        Metric::Brier if task == Task::Binary => (0.0, 1.0),
        Metric::Brier => (0.0, 2.0),
        Metric::LogLoss | Metric::Rmse | Metric::Mae => (0.0, f64::INFINITY),
        Metric::R2 => (f64::NEG_INFINITY, 1.0),
    }
}
