//! `decisions`: what was decided and why, newest first.

use afresh_core::id::ModelName;
use afresh_engine::port::Store as _;
use anyhow::Context as _;

use super::{Context, Paging};
use crate::fault::Fault;
use crate::live::Live;
use crate::output::{self, minute, or_dash, short};

/// What was decided and why, newest first. Keeping is a decision too: a stretch of keeps for the
/// same cause is one row with its count.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh decisions
  afresh decisions shop/churn --limit 50
  afresh decisions --json | jq '.[] | select(.action == \"retrain\") | .reasons'")]
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
                let decisions = store.decisions(model.as_ref(), self.paging.into()).await;
                decisions.context("failed to list the decisions")?
            }
            None => Vec::new(),
        };
        let header = ["id", "model", "last", "times", "action", "cause", "run", "why"];
        let mut table = output::table(&header);
        for row in &rows {
            let (recorded, decision) = (&row.recorded, &row.recorded.decision);
            let why = decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
            table.add_row([
                row.id.to_string(),
                row.model.to_string(),
                minute(recorded.last_at),
                recorded.count.to_string(),
                decision.action.name().to_owned(),
                decision.cause.name().to_owned(),
                or_dash(decision.run),
                short(&why.join("; "), 90),
            ]);
        }
        let shown = rows.iter().map(output::replay::decision_json).collect();
        output::listing(context.json, shown, &table, "nothing was decided yet");
        Ok(())
    }
}
