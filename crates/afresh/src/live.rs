//! The live state of a configuration: its store, its machine, its workers.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use afresh_config::Config;
use afresh_config::config::ModelConfig;
use afresh_core::id::ModelName;
use afresh_core::time::{Duration, Timestamp};
use afresh_data::schema::Schema;
use afresh_engine::clock::Clock;
use afresh_engine::driver::Driver;
use afresh_engine::feed::Feed;
use afresh_engine::machine::Machine;
use afresh_engine::pointer::Pointer;
use afresh_engine::port::{Page, Store as _};
use afresh_engine::workshop::{Dataset, Workshop};
use afresh_store::sqlite::Sqlite;
use anyhow::Context as _;

use crate::command::Context;
use crate::fault::Fault;
use crate::wiring;

/// Name of the store in the state directory.
const STORE_FILE: &str = "state.db";

/// Facts may be this much later than `--now`: other commands of the same moment took their time.
const LAG_MAX: Duration = Duration::hours(1);

/// What drives live state from the command line.
pub type Drive = Driver<Sqlite, Pointer>;

/// A configuration and its state.
#[derive(Debug)]
pub struct Live {
    pub config: Config,
    pub store: Arc<Sqlite>,
    pub clock: Clock,
}

/// Where a workshop's schema comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Columns {
    /// From the run under way or the champion, and only without them from the files.
    Kept,
    /// From the files as they are now.
    Learned,
}

impl Live {
    /// Opens the state, or creates it.
    pub async fn open(context: &Context) -> Result<Live, Fault> {
        let config = wiring::config(&context.config)?;
        fs::create_dir_all(&config.state).map_err(|error| unwritable(&config.state, error))?;
        let store = open(&config.state).await?;
        Ok(Live { config, store: Arc::new(store), clock: context.clock })
    }

    /// Opens the state for reading; no store where nothing was done yet.
    pub async fn look(context: &Context) -> Result<(Config, Option<Arc<Sqlite>>), Fault> {
        let config = wiring::config(&context.config)?;
        if !config.state.join(STORE_FILE).exists() {
            return Ok((config, None));
        }
        let store = open(&config.state).await?;
        Ok((config, Some(Arc::new(store))))
    }

    /// A driver of these models, without workers yet.
    pub async fn driver(&self, models: &[&ModelConfig]) -> Result<Drive, Fault> {
        let machine = machine(&self.config, &self.store, models).await?;
        if let Clock::Since { at, .. } = self.clock {
            not_before(&machine, at)?;
        }
        let pointer = wiring::pointer(&self.config);
        Ok(Driver::new(machine, pointer, &self.config.state))
    }

    /// Gives a model of `driver` its workers.
    pub async fn employ(
        &self,
        driver: &mut Drive,
        model: &ModelConfig,
        columns: Columns,
    ) -> Result<(), Fault> {
        let workshop = self.workshop(driver, model, columns).await?;
        driver.employ(model.name.clone(), workshop);
        Ok(())
    }

    async fn workshop(
        &self,
        driver: &Drive,
        model: &ModelConfig,
        columns: Columns,
    ) -> Result<Workshop, Fault> {
        let source = wiring::source(&self.config, model)?;
        let kept = match columns {
            Columns::Kept => self.kept_schema(driver, model).await?,
            Columns::Learned => None,
        };
        let schema = match kept {
            Some(schema) => schema,
            None => source
                .infer_schema()
                .await
                .with_context(|| format!("failed to learn the columns of {}", model.name))?,
        };
        let settings = wiring::live_settings(&self.config, model);
        Ok(wiring::workshop(settings, Feed::reading(source, schema))?)
    }

    /// The schema of the run under way, else of what serves, where the configuration still reads
    /// rows the same way: it was learned once and is checked ever after.
    async fn kept_schema(
        &self,
        driver: &Drive,
        model: &ModelConfig,
    ) -> Result<Option<Schema>, Fault> {
        let name = &model.name;
        let Some(state) = driver.machine().model(name) else { return Ok(None) };
        let failed = || format!("failed to read the state of {name}");
        let run = match state.phase().run() {
            Some(run) => self.store.run(name, run.id).await.with_context(failed)?,
            None => None,
        };
        let version = state.champion().or(state.phase().candidate());
        let served = match version {
            Some(version) => self.store.version(name, version).await.with_context(failed)?,
            None => None,
        };
        let dataset =
            run.and_then(|run| run.dataset).or(served.and_then(|version| version.dataset));
        let Some(id) = dataset else { return Ok(None) };
        let datasets = wiring::datasets(&self.config).with_context(failed)?;
        let manifest = datasets.load(name, &id).await;
        let manifest: Dataset = manifest
            .with_context(|| format!("the columns of {name} stand in a dataset that is gone"))?;
        Ok((manifest.source == model.source).then_some(manifest.schema))
    }
}

/// The state of `models`, of all of them where the store knows none.
pub async fn machine(
    config: &Config,
    store: &Arc<Sqlite>,
    models: &[&ModelConfig],
) -> Result<Machine<Arc<Sqlite>>, Fault> {
    let rules = models.iter().map(|model| (model.name.clone(), wiring::rules(model))).collect();
    let machine = Machine::open(Arc::clone(store), rules, config.fleet.clone()).await;
    Ok(machine
        .with_context(|| format!("failed to read the state in {}", config.state.display()))?)
}

/// Every model of a listing: those of the configuration, then those that only the store knows.
pub async fn names(config: &Config, store: &Sqlite) -> Result<Vec<ModelName>, Fault> {
    let mut names = config.models.iter().map(|model| model.name.clone()).collect::<Vec<_>>();
    for name in store.models().await.context("failed to list the models")? {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A model of a listing: `name`, or the only one.
pub fn named(config: &Config, name: Option<&str>) -> Result<ModelName, Fault> {
    match name.map(ModelName::new) {
        // A model that left the configuration still has its history.
        Some(Ok(name)) => Ok(name),
        Some(Err(error)) => Err(Fault::Usage(error.to_string())),
        None => wiring::model(config, None).map(|model| model.name.clone()),
    }
}

/// The newest row of a listing.
pub const NEWEST: Page = Page { before: None, limit: 1 };

/// Time never runs backwards: what is on record would come after what is asked for now.
fn not_before(machine: &Machine<Arc<Sqlite>>, now: Timestamp) -> Result<(), Fault> {
    let later = machine.models().find(|model| now.after(LAG_MAX) < model.last());
    later.map_or(Ok(()), |model| {
        let (name, last) = (model.name(), model.last());
        Err(Fault::Usage(format!(
            "--now is {now}, and {name} has a history up to {last}: write a later time, or try \
             things out on another state directory (`directory` under [state])"
        )))
    })
}

async fn open(state: &Path) -> Result<Sqlite, Fault> {
    let store = Sqlite::open(state.join(STORE_FILE)).await;
    Ok(store.with_context(|| format!("failed to open the state in {}", state.display()))?)
}

fn unwritable(state: &Path, error: std::io::Error) -> Fault {
    let error = anyhow::Error::new(error)
        .context(format!("failed to create the state directory {}", state.display()));
    let help = "give this user the right to write there, or name another directory: `directory` \
                under [state]";
    Fault::Helped { error, help: help.to_owned() }
}
