//! `gc`: removes what is no longer needed, and never what serves or is being worked on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use afresh_core::history::VersionRecord;
use afresh_core::id::{DatasetId, ModelName, VersionId};
use afresh_core::time::Duration;
use afresh_data::dataset::Tombstone;
use afresh_engine::clock::Clock;
use afresh_engine::driver::turn;
use afresh_engine::port::{Page, Serving as _, Store as _};
use afresh_train::shelf::Orphan;
use anyhow::Context as _;
use serde_json::json;

use super::Context;
use crate::fault::Fault;
use crate::live::{self, Live};
use crate::moment;
use crate::output;
use crate::wiring;

/// Versions read at a time.
const PAGE: u32 = 1_000;

/// Removes scratch directories, the state of replays, and the artifacts of old versions that do not
/// serve. The newest of them are kept for a rollback. Records stay for ever: what was removed still
/// has its run, its decisions and its evidence, and its dataset carries a tombstone.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh gc --dry-run           what would be removed
  afresh gc --keep 20           keep the newest 20 old versions of each model")]
pub struct Arguments {
    /// Say what would be removed; remove nothing.
    #[arg(long)]
    dry_run: bool,
    /// Old versions of each model that are kept.
    #[arg(long, default_value_t = 10, value_name = "N")]
    keep: usize,
    /// On S3: how old a file must be that belongs to no version, as a killed upload leaves them.
    #[arg(long, default_value = "24h", value_name = "LENGTH", value_parser = moment::length)]
    grace: Duration,
}

/// What will be removed.
#[derive(Debug, Default)]
struct Plan {
    directories: Vec<PathBuf>,
    versions: Vec<(ModelName, VersionId, PathBuf)>,
    datasets: Vec<(ModelName, DatasetId)>,
    orphans: Vec<Orphan>,
    /// Length of what is removed from S3.
    remote_bytes: u64,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let live = Live::open(context).await?;
        // Whoever computes uses scratch directories and new versions.
        let Some(_turn) = turn(&live.config.state).context("failed to see whether work is done")?
        else {
            let help = "wait until `afresh retrain` or `afresh run` is done, and try again";
            return Err(Fault::helped("another afresh process is at work on this state", help));
        };
        let plan = self.plan(&live).await?;
        let bytes = plan
            .directories
            .iter()
            .chain(plan.versions.iter().map(|(_, _, path)| path))
            .map(|path| size_bytes(path))
            .sum::<u64>()
            + plan.remote_bytes;
        if !self.dry_run {
            carry_out(&live, &plan).await?;
        }
        let paths = plan.directories.iter().map(|path| path.display().to_string());
        let versions = plan.versions.iter().map(|(model, version, _)| format!("{model} {version}"));
        let datasets = plan.datasets.iter().map(|(model, id)| format!("{model} {id}"));
        let orphans = plan.orphans.iter().map(|orphan| orphan.path.clone());
        if context.json {
            output::json(&json!({
                "dry_run": self.dry_run,
                "bytes": bytes,
                "directories": paths.collect::<Vec<_>>(),
                "versions": versions.collect::<Vec<_>>(),
                "datasets": datasets.collect::<Vec<_>>(),
                "orphans": orphans.collect::<Vec<_>>(),
            }));
            return Ok(());
        }
        for (what, names) in [
            ("directory", paths.collect::<Vec<_>>()),
            ("version", versions.collect()),
            ("dataset", datasets.collect()),
            ("orphan", orphans.collect()),
        ] {
            for name in names {
                output::line(format_args!("{what} {name}"));
            }
        }
        let word = if self.dry_run { "would be" } else { "were" };
        output::line(format_args!("{} {word} removed", size(bytes)));
        Ok(())
    }

    async fn plan(&self, live: &Live) -> Result<Plan, Fault> {
        let state = &live.config.state;
        let mut plan = Plan::default();
        for name in ["scratch", "replay"] {
            plan.directories.extend(Some(state.join(name)).filter(|path| path.exists()));
        }
        let pointer = wiring::pointer(&live.config);
        let shelf = wiring::shelf(&live.config)?;
        for model in &live.config.models {
            let name = &model.name;
            let machine = live::machine(&live.config, &live.store, &[model]).await?;
            let Some(known) = machine.model(name) else { continue };
            let serving = pointer.serving(name).await;
            let serving =
                serving.with_context(|| format!("failed to see what serves of {name}"))?;
            let serves =
                serving.map(|serving| [serving.version, serving.canary.map(|c| c.version)]);
            let serves = serves.into_iter().flatten().flatten().collect::<BTreeSet<_>>();
            let run = known.phase().run().map(|run| run.id);
            let versions = all_versions(live, name).await?;
            let needed = |version: &VersionRecord| {
                known.champion() == Some(version.version)
                    || serves.contains(&version.version)
                    || run == Some(version.run)
            };
            let place = state.join("versions").join(name.as_str());
            let artifact = |version: &VersionRecord| place.join(version.version.to_string());
            let mut kept_elsewhere = BTreeMap::new();
            if let Some(shelf) = &shelf {
                let failed = || format!("failed to see which versions of {name} are kept");
                kept_elsewhere.extend(shelf.versions(name).await.with_context(failed)?);
                let before = Clock::Wall.now().before(self.grace);
                let orphans = shelf.orphans(name, before).await.with_context(failed)?;
                plan.remote_bytes += orphans.iter().map(|orphan| orphan.size_bytes).sum::<u64>();
                plan.orphans.extend(orphans);
            }
            let is_there = |version: &VersionRecord| {
                artifact(version).exists() || kept_elsewhere.contains_key(&version.version)
            };
            let old = versions.iter().filter(|version| !needed(version));
            let there = old.filter(|version| is_there(version));
            let removed = there.skip(self.keep).collect::<Vec<_>>();
            let is_removed = |version: &VersionRecord| {
                !is_there(version)
                    || removed.iter().any(|removed| removed.version == version.version)
            };
            let kept = versions.iter().filter(|version| needed(version) || !is_removed(version));
            let kept = kept.filter_map(|version| version.dataset.as_ref()).collect::<BTreeSet<_>>();
            let datasets = removed.iter().filter_map(|version| version.dataset.as_ref());
            let datasets = datasets.filter(|id| !kept.contains(id)).collect::<BTreeSet<_>>();
            plan.remote_bytes += removed
                .iter()
                .filter_map(|version| kept_elsewhere.get(&version.version))
                .sum::<u64>();
            plan.datasets.extend(datasets.into_iter().map(|id| (name.clone(), id.clone())));
            plan.versions.extend(
                removed.iter().map(|version| (name.clone(), version.version, artifact(version))),
            );
            // What a killed training left half-way; its run trains anew.
            let entries = fs::read_dir(&place).into_iter().flatten().flatten();
            plan.directories.extend(
                entries
                    .filter(|entry| entry.file_name().to_string_lossy().starts_with(".v"))
                    .map(|entry| entry.path()),
            );
        }
        Ok(plan)
    }
}

async fn all_versions(live: &Live, name: &ModelName) -> Result<Vec<VersionRecord>, Fault> {
    let mut page = Page { before: None, limit: PAGE };
    let mut all = Vec::new();
    loop {
        let versions = live.store.versions(name, page).await;
        let versions = versions.with_context(|| format!("failed to list versions of {name}"))?;
        let Some(last) = versions.last() else { return Ok(all) };
        page.before = Some(last.version.0);
        all.extend(versions);
    }
}

/// Tombstones first: a dataset that is gone must say so at any moment.
async fn carry_out(live: &Live, plan: &Plan) -> Result<(), Fault> {
    let datasets = wiring::datasets(&live.config)?;
    let reason = "its versions were removed by `afresh gc`".to_owned();
    let tombstone = Tombstone { reason, at: live.clock.now() };
    for (name, id) in &plan.datasets {
        let written = datasets.tombstone(name, id, &tombstone).await;
        written.with_context(|| format!("failed to remove dataset {id} of {name}"))?;
    }
    if let Some(shelf) = wiring::shelf(&live.config)? {
        for (name, version, _) in &plan.versions {
            let removed = shelf.remove(name, *version).await;
            removed.with_context(|| format!("failed to remove {version} of {name}"))?;
        }
        for orphan in &plan.orphans {
            let removed = shelf.remove_orphan(orphan).await;
            removed.with_context(|| format!("failed to remove {}", orphan.path))?;
        }
    }
    for path in plan.versions.iter().map(|(_, _, path)| path).chain(&plan.directories) {
        match fs::remove_dir_all(path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                let error = anyhow::Error::new(error);
                return Err(error.context(format!("failed to remove {}", path.display())).into());
            }
            _ => {}
        }
    }
    Ok(())
}

fn size_bytes(path: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(path) else { return 0 };
    entries
        .flatten()
        .map(|entry| match entry.file_type() {
            Ok(kind) if kind.is_dir() => size_bytes(&entry.path()),
            Ok(kind) if kind.is_file() => entry.metadata().map_or(0, |found| found.len()),
            Ok(_) | Err(_) => 0,
        })
        .sum()
}

#[expect(clippy::cast_precision_loss, reason = "shown with one digit")]
fn size(bytes: u64) -> String {
    match bytes {
        0..1_000_000 => format!("{:.1} kB", bytes as f64 / 1e3),
        _ => format!("{:.1} MB", bytes as f64 / 1e6),
    }
}
