//! From a checked configuration to workers, rules and stores.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use afresh_config::Config;
use afresh_config::config::{DecayTest, DecayWatch, ModelConfig, TrainingWindow as ConfigWindow};
use afresh_core::decide::Rules;
use afresh_data::dataset::Datasets;
use afresh_data::source::Source;
use afresh_engine::feed::Feed;
use afresh_engine::pointer::Pointer;
use afresh_engine::settings::{Decay, Drift, Settings, TrainingWindow, Windows};
use afresh_engine::workshop::Workshop;
use afresh_ml::decay::{Test, buckets};
use afresh_train::child::ChildProcess;
use afresh_train::recipe::Engine;
use afresh_train::shelf::Shelf;
use anyhow::Context as _;

use crate::fault::Fault;

/// Reads and checks the configuration at `path`; a directory means the file in it.
pub fn config(path: &Path) -> Result<Config, Fault> {
    let path = config_file(path);
    let mut config = Config::load(&path)?;
    // Programs of trainers run elsewhere, and pointers are read from elsewhere.
    for place in [&mut config.base, &mut config.state, &mut config.production] {
        let here = if place.as_os_str().is_empty() { Path::new(".") } else { place.as_path() };
        *place = std::path::absolute(here)
            .with_context(|| format!("failed to find {}", here.display()))?;
    }
    // Arguments of trainers name files beside the configuration.
    for model in &mut config.models {
        if let Engine::Command(command) = &mut model.recipe.engine {
            command.base = Some(config.base.clone());
        }
    }
    Ok(config)
}

/// The configuration's file; a directory means the file in it.
pub fn config_file(path: &Path) -> PathBuf {
    if path.is_dir() { path.join(Config::FILE) } else { path.to_owned() }
}

/// The model called `name`, or the only one.
pub fn model<'a>(config: &'a Config, name: Option<&str>) -> Result<&'a ModelConfig, Fault> {
    let names =
        || config.models.iter().map(|model| model.name.as_str()).collect::<Vec<_>>().join(", ");
    match (name, config.models.as_slice()) {
        (None, [only]) => Ok(only),
        (None, _) => Err(Fault::Usage(format!("there are several models, name one: {}", names()))),
        (Some(name), _) => config
            .model(name)
            .ok_or_else(|| Fault::Usage(format!("there is no model `{name}`: {}", names()))),
    }
}

/// The program that child processes run: this one.
pub fn program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("failed to find this program's own path")
}

/// A model's rules.
pub fn rules(model: &ModelConfig) -> Rules {
    Rules::new(model.policy.clone())
}

/// Which rows train, as it is written and as it is done.
pub fn window(window: ConfigWindow) -> TrainingWindow {
    match window {
        ConfigWindow::All => TrainingWindow::All,
        ConfigWindow::Last(length) => TrainingWindow::Last(length),
        ConfigWindow::HalfLife(length) => TrainingWindow::HalfLife(length),
        ConfigWindow::Sample(rows) => TrainingWindow::Sample(rows),
        ConfigWindow::SinceLastRun => TrainingWindow::SinceLastRun,
        ConfigWindow::SinceChange => TrainingWindow::SinceChange,
        ConfigWindow::Auto => TrainingWindow::Auto,
    }
}

/// A model's settings; state is kept below `state`.
pub fn settings(config: &Config, model: &ModelConfig, state: &Path) -> Settings {
    Settings {
        model: model.name.clone(),
        windows: Windows {
            scheduled: window(model.windows.scheduled),
            triggered: window(model.windows.triggered),
            incremental: window(model.windows.incremental),
            other: window(model.windows.active),
        },
        recipe: model.recipe.clone(),
        limits: model.training_limits,
        incremental_rounds: model.incremental_rounds,
        metric: model.judging.metric,
        slices: model.judging.slices.clone(),
        gate: model.policy.gate.clone(),
        rejudge: model.policy.rejudge,
        period: config.replay.period,
        split: model.split,
        advice: model.advice.clone(),
        run_estimate_cpu_seconds: Some(model.policy.estimate_cpu_seconds).filter(|s| 0.0 < *s),
        drift: match model.policy.drift.or(config.drift_threshold) {
            Some(score) => Drift::Threshold(score),
            None => Drift::ExpectedRunTime(config.drift_run_time),
        },
        decay: decay(&model.decay),
        base: config.base.clone(),
        state: state.to_owned(),
        // What a replay trains is kept by nobody.
        shelf: None,
    }
}

/// A model's settings for what is kept: live, not replayed.
pub fn live_settings(config: &Config, model: &ModelConfig) -> Settings {
    Settings { shelf: config.shelf.clone(), ..settings(config, model, &config.state) }
}

/// The datasets of all models.
pub fn datasets(config: &Config) -> anyhow::Result<Datasets> {
    let place = config.shelf.clone().unwrap_or_else(|| config.state.display().to_string());
    Datasets::at(config.shelf.as_deref(), &config.state)
        .with_context(|| format!("failed to open {place}"))
}

/// Where versions are kept, if not only with the state.
pub fn shelf(config: &Config) -> anyhow::Result<Option<Shelf>> {
    let opened = config.shelf.as_deref().map(Shelf::open).transpose();
    opened.context("failed to open the place of datasets and versions")
}

/// The pointer to what serves.
pub fn pointer(config: &Config) -> Pointer {
    let pointer = Pointer::new(&config.production, config.state.join("versions"));
    pointer.on_shelf(config.shelf.as_deref())
}

fn decay(watch: &DecayWatch) -> Decay {
    let ms = |length: afresh_core::time::Duration| i64::try_from(length.0).unwrap_or(i64::MAX);
    let windows = watch.windows.iter().map(|window| buckets::Window {
        name: window.name.clone(),
        length: ms(window.length),
        bucket: ms(window.bucket),
    });
    Decay {
        test: match watch.test {
            DecayTest::Sequential => Test::Sequential,
            DecayTest::TTest => Test::TTest,
            DecayTest::TTestUncorrected => Test::TTestUncorrected,
        },
        metrics: watch.metrics.clone(),
        windows: windows.collect(),
        drop: watch.drop,
    }
}

/// Workers over a feed.
pub fn workshop(settings: Settings, feed: Feed) -> anyhow::Result<Workshop> {
    let program = program()?;
    let trainer = Arc::new(ChildProcess { program: program.clone() });
    let model = settings.model.clone();
    Workshop::open(settings, feed, trainer, program)
        .with_context(|| format!("failed to open the state of {model}"))
}

/// A model's source.
pub fn source(config: &Config, model: &ModelConfig) -> anyhow::Result<Source> {
    Source::open(model.source.clone(), &config.base)
        .with_context(|| format!("failed to open the source of {}", model.name))
}

/// Rounds of a recipe without early stopping.
pub fn rounds(engine: &Engine) -> usize {
    match engine {
        Engine::BoostedTrees(trees) => trees.rounds,
        Engine::Forest(forest) => forest.trees,
        // Of a path of strengths, the middle one: `alpha` itself.
        Engine::Linear(_) => 13,
        Engine::Command(_) | Engine::Constant => 1,
    }
}

/// Trainings that the configured slots allow at a time, at least one.
pub fn cpu_slots(config: &Config) -> usize {
    usize::try_from(config.fleet.slots.cpu_milli / 1_000).unwrap_or(1).max(1)
}
