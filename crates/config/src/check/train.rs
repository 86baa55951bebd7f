//! Checks `[model.x.train]`: the recipe, what bounds a training, and what it occupies.

use std::collections::BTreeMap;

use afresh_core::fleet::Resources;
use afresh_core::policy::{Policy, Refit, Training};
use afresh_core::time::Duration;
use afresh_train::error::Error;
use afresh_train::recipe::{
    BoostedTrees, Command, Engine, Forest, Linear, Recipe, RowFormat, Variable,
};
use afresh_train::trainer::Limits;

use super::{Context, MIB, OrDefault, Part, count, part, place_of, rounded, words};
use crate::choice::EngineName;
use crate::config::Preset;
use crate::key::Placed;
use crate::problem::{Findings, Span};
use crate::section;
use crate::value::{Count, Parameter, Truth};

/// Processes of a user's programs at once, where nobody says.
const PROCESSES_MAX: u32 = 256;

pub(super) struct Checked {
    pub(super) recipe: Recipe,
    pub(super) incremental_rounds: usize,
    pub(super) limits: Limits,
    pub(super) stopping: Part,
}

/// Keys of `[model.x.retrain]` that concern training.
pub(super) struct Incremental {
    wanted: Option<Placed<Truth>>,
    rounds: Option<Placed<Count>>,
    trees_max: Option<Placed<Count>>,
}

impl Incremental {
    pub(super) fn of(retrain: &mut section::Retrain) -> Incremental {
        Incremental {
            wanted: retrain.incremental.take(),
            rounds: retrain.incremental_rounds.take(),
            trees_max: retrain.max_trees.take(),
        }
    }
}

pub(super) fn check(
    mut section: section::Train,
    incremental: Incremental,
    context: &Context<'_>,
    policy: &mut Policy,
    findings: &mut Findings,
) -> Checked {
    let name = section.engine.as_ref().map_or(EngineName::BoostedTrees, |engine| engine.value.0);
    let at = place_of(section.engine.as_ref(), &section.at);
    foreign_keys(&section, name, findings);
    if let Some(wanted) = incremental.wanted {
        let continues =
            matches!(name, EngineName::BoostedTrees | EngineName::Linear | EngineName::Command);
        if wanted.value.0 && !continues {
            let help = "write `engine = \"boosted-trees\"` or leave it out";
            findings.add(&wanted.at, "`retrain.incremental` needs an engine that continues", help);
        }
        policy.training = if wanted.value.0 { Training::Incremental } else { Training::Full };
    }
    if let Some(refit) = &section.refit {
        policy.refit = if refit.value.0 { Refit::Yes } else { Refit::No };
    }
    let params = section.params.take().map(|params| params.value).unwrap_or_default();
    let places = params.iter().map(|(name, value)| (name.clone(), value.at.clone()));
    let places = places.collect::<BTreeMap<_, _>>();
    let threads = section.threads.as_ref().map_or(1, |threads| threads.value.0);
    policy.needs = needs(section.needs.take(), section.threads.as_ref(), context, findings);
    let limits = limits(section.limits.take(), context, policy, findings);
    let stopping = part(section.stopping.take().unwrap_or_default_section(), context.shared.replay);
    let seed = section.seed.as_ref().map_or(0, |seed| seed.value);
    let trees_max = incremental.trees_max.map(|trees| count(trees.value.0));
    let engine = engine(section, name, params, trees_max, context.preset);
    let mut recipe = Recipe { engine, seed, threads: count(threads) };
    report(&mut recipe, context, &places, &at, findings);
    let incremental_rounds = incremental.rounds.map_or(50, |rounds| count(rounds.value.0));
    Checked { recipe, incremental_rounds, limits, stopping }
}

fn engine(
    section: section::Train,
    name: EngineName,
    params: BTreeMap<String, Placed<Parameter>>,
    trees_max: Option<usize>,
    preset: Preset,
) -> Engine {
    let mut params =
        params.into_iter().map(|(name, value)| (name, value.value.0)).collect::<BTreeMap<_, _>>();
    match name {
        EngineName::Command => {
            let predict = words(section.predict);
            Engine::Command(Command {
                command: words(section.command),
                predict: (!predict.is_empty()).then_some(predict),
                env: section.env.map(variables).unwrap_or_default(),
                format: section.format.map_or(RowFormat::default(), |format| format.value.0),
                params,
                base: None,
            })
        }
        EngineName::Constant => Engine::Constant,
        EngineName::Linear => Engine::Linear(Linear { params }),
        EngineName::Forest => {
            let defaults = Forest::default();
            Engine::Forest(Forest {
                params,
                trees: section.trees.map_or(defaults.trees, |trees| count(trees.value.0)),
                categories: section
                    .categories
                    .map_or(defaults.categories, |categories| categories.value.0),
            })
        }
        EngineName::BoostedTrees => {
            let mut defaults = BoostedTrees::default();
            if preset == Preset::Classic {
                defaults.rounds = 1_000;
                defaults.early_stopping = 50;
                params.entry("max_depth".into()).or_insert_with(|| 6.into());
                params.entry("eval_metric".into()).or_insert_with(|| "auc".into());
                if !params.contains_key("learning_rate") {
                    params.entry("eta".into()).or_insert_with(|| 0.1.into());
                }
            }
            Engine::BoostedTrees(BoostedTrees {
                params,
                rounds: section.rounds.map_or(defaults.rounds, |rounds| count(rounds.value.0)),
                early_stopping: section
                    .early_stopping
                    .map_or(defaults.early_stopping, |rounds| count(rounds.value)),
                categories: section
                    .categories
                    .map_or(defaults.categories, |categories| categories.value.0),
                trees_max: trees_max.unwrap_or(defaults.trees_max),
                library: section.library.map_or(defaults.library, |library| library.value.0),
            })
        }
    }
}

fn variables(env: Placed<Vec<Placed<Variable>>>) -> Vec<Variable> {
    env.value.into_iter().map(|variable| variable.value).collect()
}

/// Keys that mean nothing to the engine, and the one that it cannot be without.
fn foreign_keys(section: &section::Train, name: EngineName, findings: &mut Findings) {
    fn at<T>(key: Option<&Placed<T>>) -> Option<&Span> {
        key.map(|key| &key.at)
    }
    let commands = [
        ("command", at(section.command.as_ref())),
        ("predict", at(section.predict.as_ref())),
        ("env", at(section.env.as_ref().filter(|env| !env.value.is_empty()))),
        ("format", at(section.format.as_ref())),
    ];
    let boosting = [
        ("rounds", at(section.rounds.as_ref())),
        ("early_stopping", at(section.early_stopping.as_ref())),
        ("library", at(section.library.as_ref())),
    ];
    let forest = [("trees", at(section.trees.as_ref()))];
    let categories = [("categories", at(section.categories.as_ref()))];
    let params = [("params", at(section.params.as_ref().filter(|all| !all.value.is_empty())))];
    let mut foreign = Vec::new();
    let mut only = |keys: &[(&'static str, Option<&Span>)], engine: &'static str| {
        foreign
            .extend(keys.iter().filter_map(|(key, at)| at.cloned().map(|at| (*key, at, engine))));
    };
    if name != EngineName::Command {
        only(&commands, "command");
    }
    if name != EngineName::BoostedTrees {
        only(&boosting, "boosted-trees");
    }
    if name != EngineName::Forest {
        only(&forest, "forest");
    }
    if !matches!(name, EngineName::BoostedTrees | EngineName::Forest) {
        only(&categories, "boosted-trees");
    }
    if name == EngineName::Constant {
        only(&params, "boosted-trees");
    }
    for (key, at, only) in foreign {
        findings.add(
            &at,
            format!("`train.{key}` means nothing to this engine"),
            format!("leave it out, or write `engine = \"{only}\"`"),
        );
    }
    let program = section.command.as_ref().is_some_and(|command| !command.value.is_empty());
    if name == EngineName::Command && !program && !section.refused.contains(&"command") {
        findings.add(
            &section.command.as_ref().map_or_else(
                || place_of(section.engine.as_ref(), &section.at),
                |command| command.at.clone(),
            ),
            "`train.command` is missing",
            "write program and arguments, such as `command = [\"python\", \"train.py\"]`",
        );
    }
}

/// Reports every parameter that the engine refuses; they come one at a time.
#[expect(clippy::wildcard_enum_match_arm, reason = "only two of the trainer's errors name a key")]
fn report(
    recipe: &mut Recipe,
    context: &Context<'_>,
    places: &BTreeMap<String, Span>,
    engine: &Span,
    findings: &mut Findings,
) {
    if let Engine::Command(_) = recipe.engine {
        return; // All that can be wrong with it was reported.
    }
    while let Err(error) = recipe.check(&context.task) {
        let (name, message, help) = match error {
            Error::UnknownParameter { name, near } => {
                let help = match near.first() {
                    Some(near) => format!("did you mean `{near}`?"),
                    None => match recipe.engine {
                        Engine::Linear(_) => "write `alpha` or `l1_ratio`".to_owned(),
                        _ => "write one of XGBoost's parameters".to_owned(),
                    },
                };
                (name.clone(), format!("unknown parameter `train.params.{name}`"), help)
            }
            Error::Parameter { name, reason } => {
                // What the engine itself says after a colon is a cause, not advice.
                let advice = reason.split_once(": ").filter(|(what, _)| *what != "is refused");
                let (what, help) =
                    advice.unwrap_or((&reason, "write another value, or leave it out"));
                (name.clone(), format!("parameter `train.params.{name}` {what}"), help.to_owned())
            }
            other => {
                findings.add(engine, other.to_string(), "write other parameters");
                return;
            }
        };
        findings.add(places.get(&name).unwrap_or(engine), message, help);
        if recipe.engine.params_mut().and_then(|params| params.remove(&name)).is_none() {
            return;
        }
    }
}

fn needs(
    section: Option<Placed<section::Needs>>,
    threads: Option<&Placed<Count>>,
    context: &Context<'_>,
    findings: &mut Findings,
) -> Resources {
    let section = section.unwrap_or_default_section();
    let slots = context.shared.slots;
    let cpu = section.cpu.as_ref().map(|cpu| rounded(cpu.value.0 * 1_000.0));
    let memory = section.memory_gib.as_ref().map(|memory| rounded(memory.value.0 * 1_024.0));
    let needs = Resources {
        cpu_milli: cpu.unwrap_or(threads.map_or(1, |count| count.value.0).saturating_mul(1_000)),
        // Where nobody says, a run fits into a small machine too.
        memory_mib: memory.unwrap_or(slots.memory_mib.min(1_024)),
        gpu: section.gpu.as_ref().map_or(0, |gpu| gpu.value.0),
    };
    let gib = |mib: u64| format!("{}", mib / 1_024);
    let cores = |milli: u64| format!("{}.{:03}", milli / 1_000, milli % 1_000);
    for (key, at, wanted, offered, shown) in [
        (
            "cpu",
            place_of(section.cpu.as_ref(), &place_of(threads, &section.at)),
            needs.cpu_milli,
            slots.cpu_milli,
            cores(slots.cpu_milli),
        ),
        (
            "memory_gib",
            place_of(section.memory_gib.as_ref(), &section.at),
            needs.memory_mib,
            slots.memory_mib,
            gib(slots.memory_mib),
        ),
        (
            "gpu",
            place_of(section.gpu.as_ref(), &section.at),
            needs.gpu,
            slots.gpu,
            slots.gpu.to_string(),
        ),
    ] {
        if offered < wanted {
            let shown = shown.trim_end_matches(".000");
            findings.add(
                &at,
                format!("a run needs more `{key}` than the {shown} of all `[slots]`"),
                format!("write at most `{shown}` for `train.needs.{key}`, or raise `slots.{key}`"),
            );
        }
    }
    needs
}

fn limits(
    section: Option<Placed<section::TrainLimits>>,
    context: &Context<'_>,
    policy: &Policy,
    findings: &mut Findings,
) -> Limits {
    let section = section.unwrap_or_default_section();
    if let Some(time) = &section.time
        && policy.limits.train < time.value.0
    {
        let most = policy.limits.train;
        findings.add(
            &time.at,
            format!("`train.limits.time` is longer than the step may take, {most}"),
            format!("write at most `{most}`, or raise `retrain.limits.train`"),
        );
    }
    let slots = context.shared.slots.memory_mib.saturating_mul(MIB);
    Limits {
        time_max: Some(
            section.time.map_or_else(|| sooner(policy.limits.train), |time| time.value.0),
        ),
        memory_bytes_max: Some(section.memory.map_or(slots, |memory| memory.value.0)),
        processes_max: Some(section.processes.map_or(PROCESSES_MAX, |processes| {
            u32::try_from(processes.value.0).unwrap_or(u32::MAX)
        })),
        predict_time_max: section.predict_time.map(|time| time.value.0),
    }
}

/// A little less than the whole step may take: a training that ends itself says what it cost, one
/// whose step is given up does not.
fn sooner(limit: Duration) -> Duration {
    const MARGIN_MAX: Duration = Duration::seconds(10);
    Duration(limit.0 - (limit.0 / 20).min(MARGIN_MAX.0))
}
