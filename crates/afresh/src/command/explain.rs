//! `explain`: a run or version in plain words, with what judged it.

use afresh_config::Config;
use afresh_core::history::{RunRecord, VersionRecord};
use afresh_core::id::{ModelName, RunId, VersionId};
use afresh_core::time::{Timestamp, Window};
use afresh_data::dataset;
use afresh_data::selection::Selection;
use afresh_engine::port::{Page, Store as _};
use afresh_engine::saving::Ledger;
use afresh_engine::workshop::{Judgement, judgement_key};
use afresh_store::sqlite::Sqlite;
use afresh_train::artifact::{Artifact, Chosen};
use anyhow::Context as _;
use serde::de::IgnoredAny;
use serde_json::json;

use super::{Context, run_id, version_id, versions};
use crate::fault::Fault;
use crate::live::{self, Live, NEWEST};
use crate::output::{self, explain};
use crate::wiring;

/// Servings looked through for what became of a version.
const SERVINGS: u32 = 200;

/// Tells a run or a version in plain words: why it was started, on what rows it trained, how it
/// compared with what served before, and what became of it.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh explain latest          the newest run
  afresh explain run-7
  afresh explain v12 --json      with everything that was measured")]
pub struct Arguments {
    /// A run (`run-7`), a version (`v12`), or `latest`.
    #[arg(default_value = "latest", value_parser = subject)]
    subject: Subject,
    /// The model, where there are several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

/// What is explained.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject {
    Latest,
    Run(RunId),
    Version(VersionId),
}

fn subject(text: &str) -> Result<Subject, String> {
    let text = text.trim();
    if text == "latest" {
        return Ok(Subject::Latest);
    }
    let run = || text.starts_with("run-").then(|| run_id(text).ok()).flatten();
    let version = || text.starts_with('v').then(|| version_id(text).ok()).flatten();
    run()
        .map(Subject::Run)
        .or_else(|| version().map(Subject::Version))
        .ok_or_else(|| "write a run such as `run-7`, a version such as `v12`, or `latest`".into())
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let (config, store) = Live::look(context).await?;
        let name = live::named(&config, self.model.as_deref())?;
        let help = "`afresh runs` and `afresh versions` list what there is";
        let missing = |what: String| Fault::helped(format!("{name} has no {what}"), help);
        let Some(store) = store else { return Err(missing("run yet".to_owned())) };
        let failed = || format!("failed to read the history of {name}");
        let version = match self.subject {
            Subject::Version(version) => {
                let record = store.version(&name, version).await.with_context(failed)?;
                Some(record.ok_or_else(|| missing(format!("version {version}")))?)
            }
            Subject::Latest | Subject::Run(_) => None,
        };
        let run = match (&version, self.subject) {
            (Some(version), _) => Some(version.run),
            (None, Subject::Run(run)) => Some(run),
            (None, Subject::Latest | Subject::Version(_)) => {
                let newest = store.runs(Some(&name), NEWEST).await.with_context(failed)?;
                newest.first().map(|row| row.record.run.id)
            }
        };
        let Some(run) = run else { return Err(missing("run yet".to_owned())) };
        let record = store.run(&name, run).await.with_context(failed)?;
        let record = record.ok_or_else(|| missing(run.to_string()))?;
        let judgements = judgements(&store, &name, &record).await?;
        let rows = match record.judged {
            Some(judged) => rows(&config, &store, &name, judged).await?,
            None => Trained::default(),
        };
        let version = version.as_ref();
        tell(context, &store, &name, version, &record, &judgements, &rows).await
    }
}

/// Which rows a version could be trained on, and which did.
#[derive(Default)]
struct Trained {
    window: Option<Window>,
    choices: Vec<Selection>,
    chosen: Option<Chosen>,
}

async fn rows(
    config: &Config,
    store: &Sqlite,
    name: &ModelName,
    judged: VersionId,
) -> Result<Trained, Fault> {
    let failed = || format!("failed to read what {judged} was trained on");
    let record = store.version(name, judged).await.with_context(failed)?;
    let Some(dataset) = record.and_then(|record| record.dataset) else {
        return Ok(Trained::default());
    };
    // Erased rows keep a tombstone, which says nothing of choices.
    let datasets = wiring::datasets(config)?;
    let (window, choices) = match datasets.load::<IgnoredAny>(name, &dataset).await {
        Ok(manifest) => (Some(manifest.window), manifest.choices),
        Err(dataset::Error::Unknown { .. }) => (None, Vec::new()),
        Err(error) => return Err(anyhow::Error::from(error).context(failed()).into()),
    };
    let chosen = config.model(name.as_str()).and_then(|model| {
        let settings = wiring::settings(config, model, &config.state);
        Artifact::chosen(&settings.artifact(judged))
    });
    Ok(Trained { window, choices, chosen })
}

async fn judgements(
    store: &Sqlite,
    name: &ModelName,
    record: &RunRecord,
) -> Result<Vec<Judgement>, Fault> {
    let run = record.run.id;
    let mut judgements = Vec::new();
    for number in 0..record.judgements {
        let body = store.document(name, &judgement_key(run, number)).await;
        let body = body.with_context(|| format!("failed to read what judged {run}"))?;
        if let Some(body) = body {
            judgements.push(
                serde_json::from_str(&body)
                    .with_context(|| format!("failed to understand what judged {run}"))?,
            );
        }
    }
    Ok(judgements)
}

async fn tell(
    context: &Context,
    store: &Sqlite,
    name: &ModelName,
    version: Option<&VersionRecord>,
    record: &RunRecord,
    judgements: &[Judgement],
    rows: &Trained,
) -> Result<(), Fault> {
    let page = Page { before: None, limit: SERVINGS };
    let servings = store.servings(name, page).await;
    let mut servings = servings.with_context(|| format!("failed to list what served of {name}"))?;
    servings.retain(|serving| match version {
        Some(version) => {
            serving.version == Some(version.version)
                || serving.canary.is_some_and(|canary| canary.version == version.version)
        }
        None => serving.run == Some(record.run.id),
    });
    let ledger = Ledger::read(store, name).await;
    let ledger = ledger.with_context(|| format!("failed to read what {name} saved"))?;
    let saving = ledger.of(record.run.id);
    let mut text = explain::run(record, saving);
    if let Some(window) = rows.window.filter(|window| window.from != Timestamp::MIN) {
        text = format!("{text}\n\nIts rows happened from {} on.", window.from);
    }
    if let Some(words) = explain::chosen(&rows.choices, rows.chosen.as_ref()) {
        text = format!("{text}\n\n{words}");
    }
    if context.json {
        let mut run = output::replay::run_json(record);
        run["model"] = json!(name.as_str());
        run["evidence"] = json!(record.evidence);
        run["saving"] = output::replay::saving_json(saving);
        output::json(&json!({
            "model": name.as_str(),
            "version": version.map(|version| versions::of(name.as_str(), version)),
            "run": run,
            "choices": rows.choices,
            "chosen": rows.chosen,
            "judgements": judgements,
            "servings": servings.iter().map(versions::serving_json).collect::<Vec<_>>(),
            "text": text,
        }));
        return Ok(());
    }
    if let Some(version) = version {
        output::line(format_args!("{} of {name} comes from {}.", version.version, version.run));
        output::line("");
    }
    output::line(&text);
    for judgement in judgements {
        output::line("");
        output::line(explain::judgement(judgement));
    }
    if !servings.is_empty() {
        output::line("");
        for serving in servings.iter().rev() {
            output::line(versions::serving_words(serving));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_are_told_apart() {
        assert_eq!(subject("latest"), Ok(Subject::Latest));
        assert_eq!(subject("run-7"), Ok(Subject::Run(RunId(7))));
        assert_eq!(subject("v12"), Ok(Subject::Version(VersionId(12))));
        assert!(subject("7").is_err() && subject("vast").is_err() && subject("run-x").is_err());
    }
}
