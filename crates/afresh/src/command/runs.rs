//! `runs`: retrainings, newest first, with what each was expected to save and what it did.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use afresh_core::id::ModelName;
use afresh_engine::port::Store as _;
use afresh_engine::saving::Ledger;
use anyhow::Context as _;
use serde_json::json;

use super::{Context, Paging};
use crate::fault::Fault;
use crate::live::Live;
use crate::output::{self, minute, or_dash, short};

/// Retrainings, newest first, of one model or of all: what started each, how it ended, and
/// what it saved of what was expected.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh runs
  afresh runs shop/churn --limit 5
  afresh runs --before 120            the page before the row with key 120
  afresh explain run-7                one of them in plain words")]
pub struct Arguments {
    /// Only this model.
    model: Option<String>,
    #[command(flatten)]
    paging: Paging,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let (_, store) = Live::look(context).await?;
        let model = self.model.map(ModelName::new).transpose();
        let model = model.map_err(|error| Fault::Usage(error.to_string()))?;
        let rows = match &store {
            Some(store) => {
                let runs = store.runs(model.as_ref(), self.paging.into()).await;
                runs.context("failed to list the runs")?
            }
            None => Vec::new(),
        };
        let mut ledgers = BTreeMap::new();
        for row in &rows {
            if let (Some(store), Entry::Vacant(entry)) = (&store, ledgers.entry(&row.model)) {
                let ledger = Ledger::read(store, &row.model).await;
                entry.insert(ledger.context("failed to read what the runs saved")?);
            }
        }
        let header =
            ["key", "model", "run", "decided", "cause", "status", "version", "saved", "why"];
        let mut table = output::table(&header);
        let mut shown = Vec::new();
        for row in &rows {
            let record = &row.record;
            let saving = ledgers.get(&row.model).and_then(|ledger| ledger.of(record.run.id));
            let last = record.notes.last().or(record.reasons.first());
            table.add_row([
                row.id.to_string(),
                row.model.to_string(),
                record.run.id.to_string(),
                minute(record.run.decided_at),
                record.run.cause.name().to_owned(),
                record.status.clone(),
                or_dash(record.candidate),
                output::replay::saved(saving),
                short(last.map_or("", |reason| reason.detail.as_str()), 70),
            ]);
            let mut value = output::replay::run_json(record);
            value["saving"] = output::replay::saving_json(saving);
            value["key"] = json!(row.id);
            value["model"] = json!(row.model.as_str());
            shown.push(value);
        }
        output::listing(context.json, shown, &table, "no run yet: `afresh retrain` starts one");
        Ok(())
    }
}
