//! `run`: looks at every model, decides, and does what is owed; once, or again and again.

use afresh_config::config::ModelConfig;
use afresh_core::decision::{Act, Decision};
use afresh_core::id::ModelName;
use afresh_core::time::Duration;
use afresh_engine::driver::Listener;
use anyhow::Context as _;
use serde_json::{Value, json};

use super::{Context, Progress};
use crate::fault::{self, Fault, note};
use crate::live::{Columns, Drive, Live};
use crate::moment;
use crate::output::{self, phase, progress::Show};

/// Looks at every model: schedules, drift, decay, new rows, and versions on probation. Retrains
/// where the policy says that it pays, and finishes what was interrupted. With --once it can be
/// started by cron; without, it goes on until Ctrl-C. It may be stopped or killed at any moment.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh run --once                 one look, as from cron:  */30 * * * * cd /srv/models && afresh run --once
  afresh run --every 15min          a look every quarter of an hour, until Ctrl-C
  afresh run --once --json          what was decided, for scripts")]
pub struct Arguments {
    /// Look once and end.
    #[arg(long)]
    once: bool,
    /// Time between two looks.
    #[arg(long, value_name = "LENGTH", default_value = "1h", value_parser = moment::length, conflicts_with = "once")]
    every: Duration,
    /// Only this model.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let mut first = true;
        loop {
            let looked = self.look(context).await;
            if self.once {
                return looked;
            }
            // A wrong configuration is wrong at every look; anything else may be better next time.
            match looked {
                Err(fault @ (Fault::Usage(_) | Fault::Configuration(_))) if first => {
                    return Err(fault);
                }
                Err(fault) => drop(fault.tell(context.json)),
                Ok(()) => {}
            }
            first = false;
            tokio::time::sleep(std::time::Duration::from_millis(self.every.0)).await;
        }
    }

    async fn look(&self, context: &Context) -> Result<(), Fault> {
        let live = Live::open(context).await?;
        let models = match &self.model {
            Some(name) => vec![crate::wiring::model(&live.config, Some(name))?],
            None => live.config.models.iter().collect::<Vec<_>>(),
        };
        let mut driver = live.driver(&models).await?;
        let mut failures = Vec::new();
        for model in &models {
            // What one model lacks must not hold up the others.
            if let Err(fault) = live.employ(&mut driver, model, Columns::Kept).await {
                failures.push((model.name.clone(), message(fault)?));
            }
        }
        let show = Show::new(context.progress);
        let listener = show.listener();
        let rows = Box::pin(rounds(&live, &mut driver, &models, &listener, &mut failures)).await;
        drop(listener);
        drop(show);
        tell(context, &driver, &rows?, &failures)
    }
}

/// A look at each model, with what is owed done before and after it.
async fn rounds(
    live: &Live,
    driver: &mut Drive,
    models: &[&ModelConfig],
    listener: &Listener,
    failures: &mut Vec<(ModelName, String)>,
) -> Result<Vec<(ModelName, Vec<Decision>)>, Fault> {
    let work = "failed to do what is owed";
    // What is owed comes before what is due: a deployment that was interrupted is made.
    driver.deploy(&live.clock, listener).await.context(work)?;
    driver.tick(&live.clock, listener).await.context(work)?;
    driver.settle(&live.clock, listener).await.context(work)?;
    let mut rows = Vec::new();
    for name in models.iter().map(|model| &model.name) {
        if driver.workshop(name).is_none() {
            continue;
        }
        match driver.look(name, &live.clock).await {
            Ok(look) => rows.push((name.clone(), look.decisions)),
            Err(error) => {
                let error = anyhow::Error::new(error).context(format!("failed to look at {name}"));
                failures.push((name.clone(), fault::chain(&error)));
            }
        }
    }
    driver.settle(&live.clock, listener).await.context(work)?;
    Ok(rows)
}

fn tell(
    context: &Context,
    driver: &Drive,
    rows: &[(ModelName, Vec<Decision>)],
    failures: &[(ModelName, String)],
) -> Result<(), Fault> {
    let stands = |name| driver.machine().model(name).map(phase::words).unwrap_or_default();
    if context.json {
        let models = rows.iter().map(|(name, decisions)| {
            let decisions = decisions.iter().map(decision_json).collect::<Vec<_>>();
            json!({"model": name.as_str(), "stands": stands(name), "decisions": decisions})
        });
        let failed = failures
            .iter()
            .map(|(name, message)| json!({"model": name.as_str(), "error": message}));
        output::json(&json!({
            "models": models.collect::<Vec<_>>(), "failed": failed.collect::<Vec<_>>(),
        }));
    } else {
        for (name, decisions) in rows {
            if context.progress != Progress::Hidden {
                let why = headline(decisions);
                output::line(format_args!("{name}: {}{why}", stands(name)));
            }
        }
        for (_, message) in failures {
            note(&format!("error: {message}"));
        }
    }
    if failures.is_empty() { Ok(()) } else { Err(Fault::Told(1)) }
}

/// The decision that matters most: one that acts, else the policy's.
fn headline(decisions: &[Decision]) -> String {
    let acts = decisions.iter().find(|decision| decision.action != Act::Keep);
    let shown = acts.or(decisions.last());
    shown.map_or_else(String::new, |decision| {
        let why = decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
        format!("; {} – {}", decision.action.name(), why.join("; "))
    })
}

fn decision_json(decision: &Decision) -> Value {
    json!({
        "action": decision.action.name(),
        "cause": decision.cause.name(),
        "reasons": decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>(),
        "run": decision.run.map(|run| run.to_string()),
    })
}

/// What a fault of one model says; wrong usage ends the look.
fn message(fault: Fault) -> Result<String, Fault> {
    match fault {
        Fault::Failed(error) | Fault::Helped { error, .. } => Ok(fault::chain(&error)),
        fault @ (Fault::Usage(_)
        | Fault::Configuration(_)
        | Fault::Told(_)
        | Fault::Interrupted) => Err(fault),
    }
}
