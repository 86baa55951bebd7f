//! From what is written to what is meant: everything is checked, and every problem is noted.

mod data;
mod decay;
mod gate;
mod retrain;
mod rollout;
mod train;
mod when;

use std::path::{Path, PathBuf};

use afresh_core::fleet::{self, Resources};
use afresh_core::gate::Rule;
use afresh_core::id::ModelName;
use afresh_core::policy::Policy;
use afresh_core::time::Duration;
use afresh_data::schema::Task;
use afresh_data::split;
use toml::de::DeTable;

use crate::config::{Config, ModelConfig, Preset, Replay};
use crate::key::Placed;
use crate::problem::{Findings, Span};
use crate::section;

/// Most syntax errors that are reported: one slip often causes many.
const SYNTAX_ERRORS_MAX: usize = 5;
const MIB: u64 = 1 << 20;

/// What all models share.
struct Shared {
    replay: Replay,
    slots: Resources,
    /// Drop from which decay is reported where the model says nothing.
    drop: f64,
}

/// What the sections of one model need of each other.
struct Context<'a> {
    shared: &'a Shared,
    task: Task,
    preset: Preset,
}

pub(crate) fn check(text: &str, base: &Path) -> Result<Config, Findings> {
    let mut findings = Findings::default();
    let (document, errors) = DeTable::parse_recoverable(text);
    for error in errors.iter().take(SYNTAX_ERRORS_MAX) {
        let at = error.span().unwrap_or(0..0);
        let help = match error.message() {
            "duplicate key" => "leave one of them out",
            _ => "write `key = value`, one a line, with texts in double quotes",
        };
        findings.add(&at, error.message().to_lowercase(), help);
    }
    if !findings.is_empty() {
        return Err(findings);
    }
    let root = section::Root::read_table(document.get_ref(), 0..0, "", &mut findings);
    let config = root_section(root, base, &mut findings);
    if findings.is_empty() { Ok(config) } else { Err(findings) }
}

fn root_section(root: section::Root, base: &Path, findings: &mut Findings) -> Config {
    let replay = replay(root.replay.unwrap_or_default_section(), findings);
    let slots = root.slots.unwrap_or_default_section();
    let decay = root.decay.unwrap_or_default_section().threshold;
    let drop = decay.map_or(0.05, |threshold| threshold.value.0);
    let shared = Shared { replay, slots: machine(&slots), drop };
    let mut limits = fleet::Limits {
        slots: shared.slots,
        total: slots.budget.map(|budget| budget.value),
        ageing: slots.ageing.map_or(Duration::hours(6), |ageing| ageing.value.0),
        ..fleet::Limits::default()
    };
    let state = root.state.unwrap_or_default_section();
    let place = |word: Option<Placed<crate::value::Word>>, default: &str| {
        base.join(word.map_or(PathBuf::from(default), |word| PathBuf::from(word.value.0)))
    };
    let written = root.model.unwrap_or_default_section().0;
    if written.is_empty() && findings.is_empty() {
        findings.add(&(0..0), "there is no model", "write a section `[model.NAME]`");
    }
    let mut models = Vec::new();
    for (name, section) in written {
        let Some((model, budget)) = model(&name, section, &shared, findings) else {
            continue;
        };
        if let Some(budget) = budget {
            limits.budgets.insert(model.name.clone(), budget);
        }
        models.push(model);
    }
    let (drift_threshold, drift_run_time) =
        drift(root.drift.unwrap_or_default_section(), shared.replay.period, findings);
    Config {
        models,
        replay: shared.replay,
        fleet: limits,
        drift_threshold,
        drift_run_time,
        decay_threshold: shared.drop,
        base: base.to_owned(),
        shelf: state.artifacts.and_then(|artifacts| shelf(artifacts, findings)),
        state: place(state.directory, ".afresh"),
        production: place(state.production, "production"),
    }
}

/// Where datasets and artifacts are kept: a directory on S3.
fn shelf(written: Placed<crate::value::Word>, findings: &mut Findings) -> Option<String> {
    let Placed { value: crate::value::Word(location), at } = written;
    let help = "write `s3://BUCKET/PREFIX`; on disk they lie in `state.directory`";
    let wrong = match afresh_data::place::check(&location) {
        Err(why) => Some(why),
        Ok(()) if !location.starts_with("s3://") => Some("it is not on S3".to_owned()),
        Ok(()) if location.contains(['*', '?', '{']) => Some("it holds a wildcard".to_owned()),
        Ok(()) => None,
    };
    if let Some(why) = wrong {
        let (message, cure) = why.rsplit_once(": ").unwrap_or((&why, help));
        findings.add(&at, format!("`state.artifacts` is `{location}`: {message}"), cure);
        return None;
    }
    Some(location)
}

/// A model and its budget; `None` where something it cannot be without is wrong.
fn model(
    name: &str,
    section: section::Model,
    shared: &Shared,
    findings: &mut Findings,
) -> Option<(ModelConfig, Option<fleet::Budget>)> {
    let checked = ModelName::new(name);
    if let Err(error) = &checked {
        let text = error.to_string();
        let (message, help) = text.split_once(": ").unwrap_or((&text, "write another name"));
        findings.add(&section.at, message, help);
    }
    let task = section.task.map_or(Task::Binary, |task| task.value.0);
    let mut retrain = section.retrain.unwrap_or_default_section();
    let preset = retrain.preset.take();
    if let Some(Placed { value, at }) = &preset
        && value.0 == Preset::Classic
        && task != Task::Binary
    {
        findings.add(
            at,
            "`retrain.preset` is \"classic\", which only knows binary models",
            "write `recommended`, and the thresholds that you want of classic",
        );
    }
    let preset = preset.map_or(Preset::Recommended, |preset| preset.value.0);
    let context = Context { shared, task, preset };
    let mut policy = match preset {
        Preset::Recommended => Policy::recommended(),
        Preset::Classic => Policy::classic(),
    };
    let data = data::check(section.data, &section.at, &context, findings);
    let zone = data.as_ref().map_or(chrono_tz::Tz::UTC, |data| data.source.timezone);
    let train = section.train.unwrap_or_default_section();
    let incremental = train::Incremental::of(&mut retrain);
    let mut retrain = retrain::check(retrain, name, zone, &context, &mut policy, findings);
    let train = train::check(train, incremental, &context, &mut policy, findings);
    retrain.add_gpus(policy.needs.gpu, findings);
    let gate = section.gate.unwrap_or_default_section();
    let features = data.as_ref().map(|data| &data.source);
    let gate = gate::check(gate, features, &context, &mut policy, findings);
    rollout::check(section.rollout.unwrap_or_default_section(), &mut policy, findings);
    let decay = decay::check(retrain.decay, gate.judging.metric, &context, findings);
    let data = data?;
    let split = split_rule(&gate, &train);
    let model = ModelConfig {
        name: checked.ok()?,
        task,
        owner: section.owner.map(|owner| owner.value.0),
        tags: words(section.tags),
        preset,
        source: data.source,
        windows: data.windows,
        recipe: train.recipe,
        incremental_rounds: train.incremental_rounds,
        training_limits: train.limits,
        split,
        policy,
        advice: retrain.advice,
        judging: gate.judging,
        decay,
        per_cpu_hour: retrain.per_cpu_hour,
    };
    Some((model, retrain.budget))
}

fn split_rule(gate: &gate::Checked, train: &train::Checked) -> split::Rule {
    split::Rule {
        holdout_length: gate.holdout.length,
        holdout_rows_min: gate.holdout.rows_min,
        holdout_share_max: gate.holdout.share_max,
        stopping_length: train.stopping.length,
        stopping_rows_min: train.stopping.rows_min,
        stopping_share_max: train.stopping.share_max,
        rows_least: gate.rows_least,
    }
}

fn replay(section: section::Replay, findings: &mut Findings) -> Replay {
    let at = section.warm_up.as_ref().or(section.period.as_ref()).map(|key| key.at.clone());
    let deployed = section.deployment.as_ref().map(|key| key.at.clone());
    let replay = Replay {
        period: section.period.map_or(Duration::days(7), |period| period.value.0),
        warm_up: section.warm_up.map_or(Duration::days(28), |warm_up| warm_up.value.0),
        deployment: section.deployment.map_or(Duration::ZERO, |deployment| deployment.value),
    };
    if replay.period <= replay.deployment
        && let Some(at) = deployed
    {
        findings.add(
            &at,
            format!(
                "`replay.deployment` of {} is no shorter than a period of {}",
                replay.deployment, replay.period
            ),
            "write a shorter one, or a longer `period`",
        );
    }
    if replay.warm_up < replay.period {
        findings.add(
            &at.unwrap_or(section.at),
            format!(
                "`replay.warm_up` of {} is shorter than one period of {}",
                replay.warm_up, replay.period
            ),
            format!("write at least `{}`", replay.period),
        );
    }
    replay
}

/// The threshold of drift, and what one is calibrated to.
fn drift(
    section: section::DriftReport,
    period: Duration,
    findings: &mut Findings,
) -> (Option<f64>, Duration) {
    let threshold = section.threshold.map(|threshold| threshold.value.0);
    let expected = section.expected_run_time.as_ref();
    if let (Some(value), Some(expected)) = (threshold, expected) {
        let message = format!(
            "`drift.expected_run_time` calibrates a threshold, and `drift.threshold` is {value}"
        );
        findings.add(&expected.at, message, "leave one of them out");
    }
    let length = expected.map_or(Duration::days(90), |expected| expected.value.0);
    if let Some(expected) = expected.filter(|_| length.0 < period.0.saturating_mul(2)) {
        findings.add(
            &expected.at,
            format!(
                "`drift.expected_run_time` of {length} is shorter than two periods of {period}"
            ),
            "write a longer one",
        );
    }
    (threshold, length)
}

fn machine(slots: &section::Slots) -> Resources {
    let cpu = slots.cpu.as_ref().map_or(2.0, |cpu| cpu.value.0);
    let memory = slots.memory_gib.as_ref().map_or(8.0, |memory| memory.value.0);
    Resources {
        cpu_milli: rounded(cpu * 1_000.0),
        memory_mib: rounded(memory * 1_024.0),
        gpu: slots.gpu.as_ref().map_or(0, |gpu| gpu.value.0),
    }
}

/// How much of the newest rows a part of the split takes.
struct Part {
    length: Duration,
    rows_min: usize,
    share_max: f64,
}

fn part(section: section::Part, replay: Replay) -> Part {
    let rule = split::Rule::new(replay.period);
    Part {
        length: section.length.map_or(rule.holdout_length, |length| length.value.0),
        rows_min: section.rows_min.map_or(rule.holdout_rows_min, |rows| count(rows.value)),
        share_max: section.share_max.map_or(rule.holdout_share_max, |share| share.value.0),
    }
}

/// A section's keys, or none of them where it is not written.
trait OrDefault<T> {
    fn unwrap_or_default_section(self) -> T;
}

impl<T: Default> OrDefault<T> for Option<Placed<T>> {
    fn unwrap_or_default_section(self) -> T {
        self.map(|section| section.value).unwrap_or_default()
    }
}

fn words(words: Option<Placed<Vec<crate::value::Word>>>) -> Vec<String> {
    words.map(|words| words.value.into_iter().map(|word| word.0).collect()).unwrap_or_default()
}

fn placed_words(words: Option<Placed<Vec<Placed<crate::value::Word>>>>) -> Vec<String> {
    let words = words.map(|words| words.value).unwrap_or_default();
    words.into_iter().map(|word| word.value.0).collect()
}

/// A number that was checked not to be negative, as a whole one.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
fn rounded(number: f64) -> u64 {
    number.round() as u64
}

fn count(number: u64) -> usize {
    usize::try_from(number).unwrap_or(usize::MAX)
}

/// The gate's rule before anything is written.
fn gate_rule(preset: Preset) -> Rule {
    match preset {
        Preset::Recommended => Rule::recommended(),
        Preset::Classic => Rule::classic(),
    }
}

/// Where a key stands; where it is not written, its section.
fn place_of<T>(key: Option<&Placed<T>>, section: &Span) -> Span {
    key.map_or_else(|| section.clone(), |key| key.at.clone())
}
