//! `datasets`: the rows that trained and judged each version, and whether they still are what they
//! were.

use std::collections::{BTreeMap, BTreeSet};

use afresh_config::Config;
use afresh_core::id::{DatasetId, ModelName, VersionId};
use afresh_data::dataset::Datasets;
use afresh_engine::port::{Page, Store as _};
use afresh_engine::workshop::Dataset;
use afresh_store::sqlite::Sqlite;
use anyhow::Context as _;
use clap::Subcommand;
use serde_json::{Value, json};

use super::{Context, Paging};
use crate::fault::Fault;
use crate::live::{self, Live};
use crate::output::{self, minute, short};
use crate::wiring;

/// Rows read at a time.
const PAGE: u32 = 1_000;

/// The datasets of a model, newest version first: files, window, rows of each part. `verify` reads
/// the files anew and compares them with what trained and judged.
#[derive(Clone, Debug, clap::Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
Examples:
  afresh datasets
  afresh datasets shop/churn --json
  afresh datasets verify               every dataset of every model; exit code 1 if one changed
  afresh datasets verify 9f2c11        one of them, by the start of its id"
)]
pub struct Arguments {
    #[command(subcommand)]
    verify: Option<Command>,
    /// The model, where there are several.
    model: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

#[derive(Clone, Debug, Subcommand)]
enum Command {
    /// Compare datasets with their files; exit code 1 if one changed or is missing
    Verify(Verify),
}

/// Reads the files of datasets anew and compares them with what trained and judged versions.
#[derive(Clone, Debug, clap::Args)]
struct Verify {
    /// The dataset, by the start of its id; all of them where it is left out.
    #[arg(conflicts_with = "all")]
    id: Option<String>,
    /// Every dataset, as without an id.
    #[arg(long)]
    all: bool,
    /// Only this model's.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

/// A dataset and the versions that it trained.
struct Used {
    id: DatasetId,
    versions: Vec<VersionId>,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let (config, store) = Live::look(context).await?;
        match self.verify {
            Some(Command::Verify(verify)) => verify.run(context, &config, store.as_deref()).await,
            None => {
                list(context, &config, store.as_deref(), self.model.as_deref(), self.paging).await
            }
        }
    }
}

async fn list(
    context: &Context,
    config: &Config,
    store: Option<&Sqlite>,
    model: Option<&str>,
    paging: Paging,
) -> Result<(), Fault> {
    let name = live::named(config, model)?;
    let header = ["dataset", "versions", "window", "as of", "train", "stop", "holdout", "files"];
    let mut table = output::table(&header);
    let mut rows = Vec::new();
    let nothing = format!("{name} has no dataset yet");
    let Some(store) = store else {
        output::listing(context.json, rows, &table, &nothing);
        return Ok(());
    };
    let datasets = open(config)?;
    for Used { id, versions } in used(store, &name, paging.into()).await? {
        let versions = versions.iter().map(ToString::to_string).collect::<Vec<_>>();
        let failed = || format!("failed to read dataset {id} of {name}");
        let gone = datasets.tombstone_of(&name, &id).await.with_context(failed)?;
        if let Some(tombstone) = gone {
            let gone = format!("removed {}: {}", minute(tombstone.at), tombstone.reason);
            table.add_row([id.to_string(), versions.join(" "), gone]);
            rows.push(json!({
                "id": id.0, "model": name.as_str(), "versions": versions, "tombstone": tombstone,
            }));
            continue;
        }
        // A manifest that cannot be read is `verify`'s business; the listing still shows the rest.
        let Ok(manifest) = datasets.load::<Option<Value>>(&name, &id).await else {
            table.add_row([id.to_string(), versions.join(" "), "missing or damaged".to_owned()]);
            rows.push(json!({
                "id": id.0, "model": name.as_str(), "versions": versions, "missing": true,
            }));
            continue;
        };
        let manifest: Dataset = manifest;
        table.add_row([
            id.to_string(),
            versions.join(" "),
            short(&manifest.window.to_string(), 48),
            minute(manifest.cuts.as_of),
            manifest.rows.train.to_string(),
            manifest.rows.stopping.to_string(),
            manifest.rows.holdout.to_string(),
            manifest.objects.len().to_string(),
        ]);
        rows.push(json!({
            "id": id.0,
            "model": name.as_str(),
            "versions": versions,
            "window": {
                "from": manifest.window.from.to_string(), "to": manifest.window.to.to_string(),
            },
            "choices": manifest.choices,
            "as_of": manifest.cuts.as_of.to_string(),
            "stopping_from": manifest.cuts.stopping_from.to_string(),
            "holdout_from": manifest.cuts.holdout_from.to_string(),
            "rows": manifest.rows,
            "files": manifest.objects,
        }));
    }
    output::listing(context.json, rows, &table, &nothing);
    Ok(())
}

impl Verify {
    async fn run(
        self,
        context: &Context,
        config: &Config,
        store: Option<&Sqlite>,
    ) -> Result<(), Fault> {
        let mut rows = Vec::new();
        let mut sound = true;
        if let Some(store) = store {
            let names = match &self.model {
                Some(name) => vec![live::named(config, Some(name))?],
                None => live::names(config, store).await?,
            };
            let datasets = open(config)?;
            for name in names {
                for (id, versions) in self.wanted(store, &datasets, &name).await? {
                    let problems = datasets.verify(&name, &id, &config.base).await;
                    let problems =
                        problems.with_context(|| format!("failed to verify dataset {id}"))?;
                    let gone = datasets.tombstone_of(&name, &id).await;
                    let gone = gone.with_context(|| format!("failed to verify dataset {id}"))?;
                    sound &= problems.is_empty();
                    let problems = problems.iter().map(ToString::to_string).collect::<Vec<_>>();
                    let state = match (&gone, problems.is_empty()) {
                        (Some(_), _) => "removed",
                        (None, true) => "sound",
                        (None, false) => "changed",
                    };
                    if !context.json {
                        let versions = in_words(&versions);
                        let (why, between) = match &gone {
                            Some(tombstone) => (tombstone.reason.clone(), ": "),
                            None => {
                                (problems.join("; "), if problems.is_empty() { "" } else { ": " })
                            }
                        };
                        output::line(format_args!("{name} {id}{versions} {state}{between}{why}"));
                    }
                    let versions = versions.iter().map(ToString::to_string).collect::<Vec<_>>();
                    rows.push(json!({
                        "id": id.0, "model": name.as_str(), "versions": versions, "state": state,
                        "problems": problems, "tombstone": gone,
                    }));
                }
            }
        }
        if rows.is_empty()
            && let Some(id) = &self.id
        {
            let help = "`afresh datasets` lists them";
            return Err(Fault::helped(format!("there is no dataset `{id}`"), help));
        }
        if context.json {
            output::json(&Value::Array(rows));
        } else if rows.is_empty() {
            output::line("there is no dataset yet");
        }
        if sound { Ok(()) } else { Err(Fault::Told(1)) }
    }

    /// Datasets on record and datasets that are there: neither may miss the other.
    async fn wanted(
        &self,
        store: &Sqlite,
        datasets: &Datasets,
        name: &ModelName,
    ) -> Result<BTreeMap<DatasetId, Vec<VersionId>>, Fault> {
        let mut wanted = BTreeMap::new();
        let mut page = Page { before: None, limit: PAGE };
        loop {
            let versions = store.versions(name, page).await;
            let versions =
                versions.with_context(|| format!("failed to list versions of {name}"))?;
            let Some(last) = versions.last() else { break };
            page.before = Some(last.version.0);
            for version in versions {
                let id = version.dataset.unwrap_or_else(|| DatasetId("unknown".to_owned()));
                wanted.entry(id).or_insert_with(Vec::new).push(version.version);
            }
        }
        let mut after: Option<DatasetId> = None;
        loop {
            let ids = datasets.list(name, after.as_ref(), PAGE as usize).await;
            let ids = ids.with_context(|| format!("failed to list the datasets of {name}"))?;
            let Some(last) = ids.last() else { break };
            after = Some(last.clone());
            for id in ids {
                wanted.entry(id).or_default();
            }
        }
        if let Some(start) = &self.id {
            wanted.retain(|id, _| id.0.starts_with(start.as_str()));
        }
        Ok(wanted)
    }
}

/// Datasets of a page of versions, the newest version's first.
async fn used(store: &Sqlite, name: &ModelName, page: Page) -> Result<Vec<Used>, Fault> {
    let versions = store.versions(name, page).await;
    let versions = versions.with_context(|| format!("failed to list the versions of {name}"))?;
    let mut seen = BTreeSet::new();
    let mut used: Vec<Used> = Vec::new();
    for version in versions {
        let Some(id) = version.dataset else { continue };
        if seen.insert(id.clone()) {
            used.push(Used { id: id.clone(), versions: Vec::new() });
        }
        if let Some(row) = used.iter_mut().find(|row| row.id == id) {
            row.versions.push(version.version);
        }
    }
    Ok(used)
}

fn open(config: &Config) -> Result<Datasets, Fault> {
    Ok(wiring::datasets(config)?)
}

fn in_words(versions: &[VersionId]) -> String {
    if versions.is_empty() {
        return String::new();
    }
    let versions = versions.iter().map(ToString::to_string).collect::<Vec<_>>();
    format!(" ({})", versions.join(", "))
}
