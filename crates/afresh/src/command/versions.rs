//! `versions`: what was trained, and which version served when.

use afresh_core::history::{Role, ServingRecord, VersionRecord};
use afresh_core::model::Standing;
use afresh_core::time::Timestamp;
use afresh_engine::port::Store as _;
use afresh_train::artifact::Artifact;
use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Context, Paging};
use crate::fault::Fault;
use crate::live::{self, Live};
use crate::moment;
use crate::output::{self, minute, or_dash};
use crate::wiring;

/// Versions of a model, newest first: where each comes from, what the gate said, what it is now.
/// With --at: which version served at a time, and why.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh versions
  afresh versions shop/churn --limit 5 --before v40
  afresh versions --at 2026-03-01T14:02        which version served then, and why")]
pub struct Arguments {
    /// The model, where there are several.
    model: Option<String>,
    /// Which version served at this time, and why.
    #[arg(long, value_name = "TIME", value_parser = moment::parse)]
    at: Option<Timestamp>,
    #[command(flatten)]
    paging: Paging,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let (config, store) = Live::look(context).await?;
        let name = live::named(&config, self.model.as_deref())?;
        let failed = || format!("failed to list the versions of {name}");
        if let Some(at) = self.at {
            let serving = match &store {
                Some(store) => store.serving_at(&name, at).await.with_context(failed)?,
                None => None,
            };
            tell_serving(context, name.as_str(), at, serving.as_ref());
            return Ok(());
        }
        let versions = match &store {
            Some(store) => store.versions(&name, self.paging.into()).await.with_context(failed)?,
            None => Vec::new(),
        };
        let header = ["version", "role", "gate", "trained", "run", "dataset", "CPU s"];
        let mut table = output::table(&header);
        for version in &versions {
            table.add_row([
                version.version.to_string(),
                role(version).to_owned(),
                standing(version.standing),
                minute(version.trained_at),
                version.run.to_string(),
                or_dash(version.dataset.as_ref()),
                format!("{:.2}", version.cpu_seconds),
            ]);
        }
        let artifacts = config.model(name.as_str()).map(|model| {
            let settings = wiring::settings(&config, model, &config.state);
            move |version| settings.artifact(version)
        });
        let row = |version: &VersionRecord| {
            let mut row = of(name.as_str(), version);
            let dir = artifacts.as_ref().map(|artifact| artifact(version.version));
            row["metrics"] = json!(dir.and_then(|dir| Artifact::metrics(&dir)));
            row
        };
        let rows = versions.iter().map(row).collect();
        let nothing = format!("{name} has no version yet: `afresh retrain` makes one");
        output::listing(context.json, rows, &table, &nothing);
        Ok(())
    }
}

/// One version as JSON.
pub(super) fn of(model: &str, version: &VersionRecord) -> Value {
    let parent = match version.standing {
        Standing::Refit { parent } => Some(parent.to_string()),
        Standing::Unproven | Standing::Passed | Standing::Rejected => None,
    };
    json!({
        "model": model,
        "version": version.version.to_string(),
        "role": role(version),
        "gate": standing(version.standing),
        "judged_parent": parent,
        "run": version.run.to_string(),
        "trained_at": version.trained_at.to_string(),
        "dataset": version.dataset.as_ref().map(|dataset| dataset.0.clone()),
        "cpu_seconds": version.cpu_seconds,
    })
}

/// One serving as JSON.
pub(super) fn serving_json(serving: &ServingRecord) -> Value {
    json!({
        "from": serving.from.to_string(),
        "version": serving.version.map(|version| version.to_string()),
        "canary": serving.canary.map(|canary| {
            json!({"version": canary.version.to_string(), "percent": canary.percent})
        }),
        "fence": serving.fence.0,
        "run": serving.run.map(|run| run.to_string()),
        "why": serving.why,
    })
}

/// What answered, in words.
pub(super) fn serving_words(serving: &ServingRecord) -> String {
    let served = match (serving.version, serving.canary) {
        (Some(version), None) => format!("{version} served"),
        (Some(version), Some(canary)) => {
            format!("{version} served, {} answered {} %", canary.version, canary.percent)
        }
        (None, _) => "nothing served".to_owned(),
    };
    let run = serving.run.map_or_else(String::new, |run| format!(" ({run})"));
    format!("{served} since {}: {}{run}", serving.from, serving.why)
}

fn tell_serving(context: &Context, model: &str, at: Timestamp, serving: Option<&ServingRecord>) {
    if context.json {
        let found = serving.map_or(json!({"version": null}), serving_json);
        let mut value = json!({"model": model, "at": at.to_string()});
        if let (Some(all), Value::Object(found)) = (value.as_object_mut(), found) {
            all.extend(found);
        }
        output::json(&value);
        return;
    }
    match serving {
        Some(serving) => output::line(format_args!("at {at} {}", serving_words(serving))),
        None => output::line(format_args!("at {at} nothing served yet")),
    }
}

fn role(version: &VersionRecord) -> &'static str {
    match version.role {
        Role::Candidate => "candidate",
        Role::Champion => "champion",
        Role::Retired => "retired",
    }
}

fn standing(standing: Standing) -> String {
    match standing {
        Standing::Unproven => "no clear answer".to_owned(),
        Standing::Passed => "passed".to_owned(),
        Standing::Refit { parent } => format!("refit of {parent}"),
        Standing::Rejected => "rejected".to_owned(),
    }
}
