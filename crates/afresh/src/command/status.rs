//! `status`: where every model stands, and what its runs add up to.

use std::collections::BTreeMap;
use std::sync::Arc;

use afresh_core::id::ModelName;
use afresh_core::model::{Model, Phase};
use afresh_core::signal::Strategy;
use afresh_engine::port::{Page, Store as _};
use afresh_store::sqlite::Sqlite;
use anyhow::Context as _;
use serde_json::{Value, json};

use super::Context;
use crate::fault::Fault;
use crate::live::{self, Live, NEWEST};
use crate::output::{self, minute, or_dash, phase};

/// Runs read at a time.
const PAGE: u32 = 1_000;

/// Where every model stands: what serves, since when, what was decided last, what comes next.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh status
  afresh status --json | jq '.models[] | select(.phase != \"idle\")'")]
pub struct Arguments {}

/// What all runs add up to.
#[derive(Debug, Default)]
struct Sums {
    queued: u64,
    active: u64,
    completed: u64,
    by_strategy: BTreeMap<&'static str, u64>,
}

/// One model of the listing.
pub(super) struct Row {
    pub(super) name: ModelName,
    pub(super) model: Model,
    pub(super) shown: Value,
    since: Option<String>,
    next: Option<String>,
    last: Option<String>,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let (config, store) = Live::look(context).await?;
        let (rows, sums) = match &store {
            Some(store) => (rows(&config, store).await?, Sums::of(store).await?),
            None => (fresh(&config), Sums::default()),
        };
        if context.json {
            output::json(&json!({
                "queued": sums.queued,
                "active": sums.active,
                "completed": sums.completed,
                "by_strategy": sums.by_strategy,
                "models": rows.into_iter().map(|row| row.shown).collect::<Vec<_>>(),
            }));
            return Ok(());
        }
        let mut table = output::table(&["model", "stands", "since", "next", "last decision"]);
        for row in &rows {
            table.add_row([
                row.name.to_string(),
                phase::words(&row.model),
                or_dash(row.since.clone()),
                or_dash(row.next.clone()),
                or_dash(row.last.clone()),
            ]);
        }
        output::line(table);
        output::line("");
        output::line(format_args!(
            "runs: {} queued, {} active, {} completed",
            sums.queued, sums.active, sums.completed
        ));
        if store.is_none() {
            output::line("nothing was done yet: `afresh retrain` makes a first version");
        }
        Ok(())
    }
}

/// Every model of the configuration as it stands.
pub(super) async fn rows(
    config: &afresh_config::Config,
    store: &Arc<Sqlite>,
) -> Result<Vec<Row>, Fault> {
    let models = config.models.iter().collect::<Vec<_>>();
    let machine = live::machine(config, store, &models).await?;
    let mut rows = Vec::new();
    for configured in &config.models {
        let name = configured.name.clone();
        let Some(model) = machine.model(&name).cloned() else { continue };
        let failed = || format!("failed to read the state of {name}");
        let serving = store.servings(&name, NEWEST).await.with_context(failed)?;
        let serving = serving.into_iter().next();
        let decisions = store.decisions(Some(&name), NEWEST).await.with_context(failed)?;
        let decision = decisions.first();
        let next = model.next_wakeup(&configured.policy);
        let shown = json!({
            "model": name.as_str(),
            "phase": model.phase().name(),
            "champion": model.champion().map(|version| version.to_string()),
            "serves": serving.as_ref().and_then(|serving| serving.version).map(|v| v.to_string()),
            "since": serving.as_ref().map(|serving| serving.from.to_string()),
            "run": model.phase().run().map(|run| run.id.to_string()),
            "last_decision": decision.map(output::replay::decision_json),
            "next_wakeup": next.map(|at| at.to_string()),
            "owner": configured.owner,
            "tags": configured.tags,
            "stands": phase::words(&model),
        });
        let last = decision.map(|row| {
            let recorded = &row.recorded;
            format!("{} {}", minute(recorded.last_at), recorded.decision.action.name())
        });
        let since = serving.map(|serving| minute(serving.from));
        rows.push(Row { name, model, shown, since, next: next.map(minute), last });
    }
    Ok(rows)
}

/// Models of which nothing is known yet.
pub(super) fn fresh(config: &afresh_config::Config) -> Vec<Row> {
    let rows = config.models.iter().map(|configured| {
        let name = configured.name.clone();
        let shown = json!({
            "model": name.as_str(), "phase": "idle", "champion": null, "serves": null,
            "since": null, "run": null, "last_decision": null, "next_wakeup": null,
            "owner": configured.owner, "tags": configured.tags, "stands": "nothing serves yet",
        });
        let model = Model::new(name.clone());
        debug_assert!(matches!(model.phase(), Phase::Idle { .. }));
        Row { name, model, shown, since: None, next: None, last: None }
    });
    rows.collect()
}

impl Sums {
    async fn of(store: &Sqlite) -> Result<Sums, Fault> {
        let all = [
            Strategy::Scheduled,
            Strategy::Triggered,
            Strategy::Online,
            Strategy::Active,
            Strategy::Incremental,
        ];
        let by_strategy = all.into_iter().map(|strategy| (strategy.name(), 0)).collect();
        let mut sums = Sums { by_strategy, ..Sums::default() };
        let mut page = Page { before: None, limit: PAGE };
        loop {
            let runs = store.runs(None, page).await.context("failed to list the runs")?;
            let Some(last) = runs.last() else { return Ok(sums) };
            page.before = Some(last.id);
            for row in &runs {
                let waits = ["queued", "retrying"].contains(&row.record.status.as_str());
                let count = match row.record.outcome {
                    Some(_) => &mut sums.completed,
                    None if waits => &mut sums.queued,
                    None => &mut sums.active,
                };
                *count += 1;
                *sums.by_strategy.entry(row.record.run.strategy.name()).or_default() += 1;
            }
        }
    }
}
