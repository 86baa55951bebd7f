//! `models`: what is under management.

use serde_json::json;

use super::{Context, status};
use crate::fault::Fault;
use crate::live::Live;
use crate::output::{self, or_dash};

/// The models of the configuration: task, source, how they are trained, what serves.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh models
  afresh models --tag demo --json")]
pub struct Arguments {
    /// Only models with this tag.
    #[arg(long, value_name = "TAG")]
    tag: Option<String>,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let (config, store) = Live::look(context).await?;
        let rows = match &store {
            Some(store) => status::rows(&config, store).await?,
            None => status::fresh(&config),
        };
        let header = ["model", "task", "source", "engine", "metric", "policy", "champion", "phase"];
        let mut table = output::table(&header);
        let mut shown = Vec::new();
        for row in rows {
            let Some(model) = config.model(row.name.as_str()) else { continue };
            if self.tag.as_ref().is_some_and(|tag| !model.tags.contains(tag)) {
                continue;
            }
            let (task, engine) = (model.task, model.recipe.engine.name());
            let (metric, policy) = (model.judging.metric.name(), model.advice.rule.name());
            let task = format!("{task:?}").to_lowercase();
            table.add_row([
                row.name.to_string(),
                task.clone(),
                model.source.location.clone(),
                engine.to_owned(),
                metric.to_owned(),
                policy.to_owned(),
                or_dash(row.model.champion()),
                row.model.phase().name().to_owned(),
            ]);
            let mut value = row.shown;
            value["task"] = json!(task);
            value["source"] = json!(model.source.location);
            value["engine"] = json!(engine);
            value["metric"] = json!(metric);
            value["policy"] = json!(policy);
            shown.push(value);
        }
        output::listing(context.json, shown, &table, "no model has this tag");
        Ok(())
    }
}
