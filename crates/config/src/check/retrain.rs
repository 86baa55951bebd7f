//! Checks `[model.x.retrain]`: what starts a run, what holds it back, and what it costs.

use afresh_core::blackout::Zone;
use afresh_core::fleet::Budget;
use afresh_core::policy::{Approval, Attention, Policy, Retry};
use afresh_data::schema::Task;
use afresh_policy::prices::Priced;
use afresh_policy::rule::Rule;
use afresh_policy::settings::{EVERY, REST, Settings};
use chrono_tz::Tz;

use super::{Context, OrDefault, decay, when};
use crate::choice::Kind;
use crate::config::Preset;
use crate::key::Placed;
use crate::problem::{Findings, Span};
use crate::rule::Advising;
use crate::section;
use crate::value::{Every, NotNegative, OrOff};

pub(super) struct Checked {
    pub(super) advice: Settings,
    pub(super) decay: decay::Written,
    pub(super) per_cpu_hour: Option<f64>,
    per_gpu_hour: Option<Placed<NotNegative>>,
    pub(super) budget: Option<Budget>,
}

pub(super) fn check(
    mut section: section::Retrain,
    model: &str,
    zone: Tz,
    context: &Context<'_>,
    policy: &mut Policy,
    findings: &mut Findings,
) -> Checked {
    let zone = section.timezone.as_ref().map_or(zone, |zone| zone.value.0);
    let kind = kind(&section, context.preset);
    policy.advice = match kind {
        Kind::Never | Kind::Thresholds => Attention::Notes,
        Kind::Always | Kind::Periodic | Kind::PeriodicDecay | Kind::Whole => Attention::Acts,
    };
    triggers(&section, policy);
    let decay = decay::rule(section.decay.as_ref(), context, policy, findings);
    when::schedule(&section, kind, model, Zone(zone), context, policy, findings);
    if kind == Kind::Never {
        refuse_triggers(&section, findings);
        policy.schedule = None;
        (policy.drift, policy.decay) = (None, None);
    }
    when::blackouts(section.blackout.take(), zone, policy, findings);
    let nothing = policy.schedule.is_none()
        && policy.drift.is_none()
        && policy.decay.is_none()
        && [policy.volume, policy.labels, policy.data].iter().all(Option::is_none);
    if let Some(place) = section.policy.as_ref().filter(|_| kind == Kind::Thresholds && nothing) {
        findings.add(
            &place.at,
            "`retrain.policy` is \"thresholds\", and there is none: nothing would start a run",
            "write `drift`, `decay`, `volume`, `labels`, `data`, `schedule` or `every` beside it, or \
             `policy = \"never\"`",
        );
    }
    limits(&mut section, policy);
    let cost = section.cost.take().unwrap_or_default_section();
    if let Some(estimate) = &cost.estimate_cpu_seconds {
        policy.estimate_cpu_seconds = estimate.value.0;
    }
    affordable(&cost, findings);
    Checked {
        advice: advice(kind, &section, &cost, context.task, findings),
        decay,
        per_cpu_hour: cost.per_cpu_hour.map(|price| price.value.0),
        per_gpu_hour: cost.per_gpu_hour,
        budget: cost.budget.map(|budget| budget.value),
    }
}

fn kind(section: &section::Retrain, preset: Preset) -> Kind {
    let default = match preset {
        Preset::Recommended => Kind::PeriodicDecay,
        Preset::Classic => Kind::Thresholds,
    };
    match section.policy.as_ref().map(|policy| &policy.value) {
        None => default,
        Some(Advising::Word(kind)) => *kind,
        Some(Advising::Rule(Rule::Never)) => Kind::Never,
        Some(Advising::Rule(_)) => Kind::Whole,
    }
}

fn triggers(section: &section::Retrain, policy: &mut Policy) {
    if let Some(drift) = &section.drift {
        policy.drift = match &drift.value {
            OrOff::Set(score) => Some(score.0),
            OrOff::Off => None,
        };
    }
    policy.volume = section.volume.as_ref().map(|rows| rows.value.0).or(policy.volume);
    policy.labels = section.labels.as_ref().map(|rows| rows.value.0).or(policy.labels);
    policy.data = section.data.as_ref().map(|rows| rows.value.0).or(policy.data);
}

/// What would start runs although the policy is never to.
fn refuse_triggers(section: &section::Retrain, findings: &mut Findings) {
    fn set<T>(key: Option<&Placed<OrOff<T>>>) -> Option<&Span> {
        key.filter(|key| matches!(key.value, OrOff::Set(_))).map(|key| &key.at)
    }
    fn at<T>(key: Option<&Placed<T>>) -> Option<&Span> {
        key.map(|key| &key.at)
    }
    for (key, at) in [
        ("drift", set(section.drift.as_ref())),
        ("decay", decay::starts(section.decay.as_ref())),
        ("schedule", set(section.schedule.as_ref())),
        ("every", at(section.every.as_ref())),
        ("volume", at(section.volume.as_ref())),
        ("labels", at(section.labels.as_ref())),
        ("data", at(section.data.as_ref())),
    ] {
        if let Some(at) = at {
            findings.add(
                at,
                format!("`retrain.{key}` would start runs, and `retrain.policy` is \"never\""),
                "leave it out, or write `policy = \"thresholds\"`",
            );
        }
    }
}

fn limits(section: &mut section::Retrain, policy: &mut Policy) {
    if let Some(cooldown) = &section.cooldown {
        policy.cooldown = cooldown.value;
    }
    if let Some(priority) = &section.priority_min {
        policy.priority_min = priority.value;
    }
    if let Some(approval) = &section.approval {
        policy.approval = if approval.value.0 { Approval::Person } else { Approval::Automatic };
    }
    policy.retry = Retry {
        times: section.retries.as_ref().map_or(policy.retry.times, |retries| retries.value.0),
        delay: section.retry_delay.as_ref().map_or(policy.retry.delay, |delay| delay.value),
    };
    let written = section.limits.take().unwrap_or_default_section();
    let limits = &mut policy.limits;
    for (limit, written) in [
        (&mut limits.prepare, written.prepare),
        (&mut limits.train, written.train),
        (&mut limits.judge, written.judge),
        (&mut limits.deploy, written.deploy),
    ] {
        if let Some(written) = written {
            *limit = written.value.0;
        }
    }
}

fn advice(
    kind: Kind,
    section: &section::Retrain,
    cost: &section::Cost,
    task: Task,
    findings: &mut Findings,
) -> Settings {
    let mut settings = Settings::recommended();
    let mut every = EVERY;
    if let Some(Placed { value: Every::Periods(periods), at }) = &section.every {
        every = *periods;
        if kind == Kind::Whole {
            let message = "`retrain.every` is beside a policy that is written whole";
            findings.add(at, message, "leave it out, or write it into the policy as `periods`");
        }
        if kind == Kind::Always && *periods != 1 {
            findings.add(
                at,
                format!("`retrain.every` is {periods} periods, and `retrain.policy` is \"always\""),
                "leave it out, or write `policy = \"periodic\"`",
            );
        }
    }
    let policy = section.policy.as_ref().map(|policy| &policy.value);
    settings.rule = match kind {
        Kind::Never => Rule::Never,
        Kind::Always => Rule::Always,
        Kind::Periodic => Rule::Every { periods: every },
        Kind::PeriodicDecay => Rule::periodic_decay(every, REST),
        Kind::Thresholds => Rule::Thresholds,
        Kind::Whole => match policy {
            Some(Advising::Rule(rule)) => rule.clone(),
            Some(Advising::Word(_)) | None => settings.rule,
        },
    };
    if let Some(rows) = &section.rows_min {
        settings.rows_min = rows.value;
    }
    // The policy compares prices, so that none may be zero.
    let prices = [
        ("per_loss", &cost.per_loss),
        ("per_error", &cost.per_error),
        ("per_run", &cost.per_run),
        ("per_gpu_hour", &cost.per_gpu_hour),
        ("per_million_rows", &cost.per_million_rows),
    ];
    for (key, price) in prices.map(|(key, price)| (key, price.as_ref())) {
        if let Some(Placed { value: NotNegative(price), at }) = price
            && *price <= 0.0
        {
            let message = format!("`retrain.cost.{key}` is 0, which is no price");
            findings.add(at, message, "write a number above 0, or leave it out");
        }
    }
    if let Some(price) = &cost.per_loss {
        settings.prices.per_loss = price.value.0;
    }
    if let Some(Placed { value: NotNegative(price), at }) = &cost.per_error {
        if cost.per_loss.is_some() {
            let message = "`retrain.cost.per_error` is beside `retrain.cost.per_loss`";
            findings.add(at, message, "leave one of them out: loss or errors have a price");
        }
        if task == Task::Regression {
            let message = "`retrain.cost.per_error` is the price of a wrong class, and the task is regression";
            findings.add(at, message, "write `per_loss`, the price of a unit of squared error over the variance of the label");
        }
        (settings.prices.priced, settings.prices.per_loss) = (Priced::Errors, *price);
    }
    settings.prices.per_run = cost.per_run.as_ref().map(|price| price.value.0);
    settings.prices.per_cpu_hour = cost.per_cpu_hour.as_ref().map(|price| price.value.0);
    settings.prices.per_million_rows = cost.per_million_rows.as_ref().map(|price| price.value.0);
    settings
}

impl Checked {
    /// An hour of training takes an hour of every GPU that a run has.
    pub(super) fn add_gpus(&mut self, gpus: u64, findings: &mut Findings) {
        let Some(Placed { value: NotNegative(price), at }) = &self.per_gpu_hour else { return };
        if gpus == 0 {
            let message = "`retrain.cost.per_gpu_hour` is a price, and no run has a GPU";
            findings.add(at, message, "write how many a run has: `train.needs.gpu = 1`");
        }
        let hour = &mut self.advice.prices.per_cpu_hour;
        #[expect(clippy::cast_precision_loss, reason = "a few GPUs")]
        let count = gpus as f64;
        *hour = Some(hour.unwrap_or(0.0) + price * count);
    }
}

/// One training alone must fit into the budget.
fn affordable(cost: &section::Cost, findings: &mut Findings) {
    if let (Some(budget), Some(estimate)) = (&cost.budget, &cost.estimate_cpu_seconds)
        && budget.value.cpu_seconds < estimate.value.0
    {
        findings.add(
            &budget.at,
            format!(
                "`retrain.cost.budget` of {} cpu-seconds never pays for one training of {}",
                budget.value.cpu_seconds, estimate.value.0
            ),
            "write a larger budget or a smaller `estimate_cpu_seconds`",
        );
    }
}
