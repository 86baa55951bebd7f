//! `retrain`: one run now, from a person's request to what serves.

use afresh_core::decision::{Act, Decision};
use afresh_core::event::Outcome;
use afresh_core::id::{ModelName, RunId};
use afresh_core::input::Input;
use afresh_core::model::{Model, Phase};
use afresh_core::signal::{Mode, Priority, Request, Signal};
use afresh_core::time::Timestamp;
use afresh_engine::port::Store as _;
use anyhow::Context as _;
use serde_json::json;

use super::{Context, Person};
use crate::fault::Fault;
use crate::live::{Columns, Drive, Live};
use crate::output::{self, explain, phase, progress::Show};
use crate::wiring;

/// Trains a version now, judges it against what serves, and ships it if it passes. Obeys cooldown,
/// blackout and the owner's minimum priority unless forced, which is kept on record. A run that was
/// interrupted is finished first.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh retrain                                    the only model of afresh.toml
  afresh retrain shop/churn --reason \"new prices\"   one of several, with a reason for the record
  afresh retrain --force --priority 5               in spite of cooldown and blackout
  afresh retrain --dry-run                          only say what would be decided
  afresh retrain --now 2013-06-01                   as if it were that day, on old data")]
pub struct Arguments {
    /// The model, where there are several.
    model: Option<String>,
    #[command(flatten)]
    person: Person,
    /// Why, for the record.
    #[arg(long, default_value = "no reason given", value_name = "TEXT")]
    reason: String,
    /// Urgency from 1 (whenever there is room) to 5 (now).
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u8).range(1..=5))]
    priority: u8,
    /// Start in spite of cooldown, blackout and minimum priority; kept on record.
    #[arg(long)]
    force: bool,
    /// Only say what would be decided; nothing is changed.
    #[arg(long)]
    dry_run: bool,
    /// Learn the columns anew from the files, after one was added or removed on purpose.
    #[arg(long)]
    learn_columns: bool,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let live = Live::open(context).await?;
        let model = wiring::model(&live.config, self.model.as_deref())?;
        let name = &model.name;
        let mut driver = live.driver(&[model]).await?;
        let request = Request {
            by: self.person.name(),
            reason: self.reason.clone(),
            priority: Priority::new(self.priority).unwrap_or(Priority::DEFAULT),
            mode: if self.force { Mode::Force } else { Mode::Obey },
        };
        let input = Input::Signal(Signal::Manual(request));
        if self.dry_run {
            return dry_run(context, &driver, name, &live, &input);
        }
        let columns = if self.learn_columns { Columns::Learned } else { Columns::Kept };
        live.employ(&mut driver, model, columns).await?;
        let show = Show::new(context.progress);
        let listener = show.listener();
        let worked = async {
            let interrupted = interrupted(&driver, name, live.clock.now());
            // What is owed comes before what is due: a deployment that was interrupted is made.
            driver.deploy(&live.clock, &listener).await?;
            if interrupted.is_some() && driver.try_turn()?.is_some() {
                driver.settle(&live.clock, &listener).await?;
                return Ok((interrupted, None));
            }
            driver.tick(&live.clock, &listener).await?;
            let decision = driver.send(name, &live.clock, &input).await?;
            // A refused request is no reason to wait for whoever works on this state.
            if decision.as_ref().is_some_and(|decision| started(decision).is_some()) {
                driver.settle(&live.clock, &listener).await?;
            }
            Ok::<_, afresh_engine::driver::Error>((interrupted, decision))
        };
        let worked = Box::pin(worked).await;
        drop(listener);
        drop(show);
        let (interrupted, decision) =
            worked.with_context(|| format!("failed to retrain {name}"))?;
        let run = decision.as_ref().map_or(interrupted, started);
        match (run, decision) {
            (Some(run), decision) => {
                tell(context, &live, &driver, name, run, decision.as_ref()).await
            }
            (None, Some(decision)) => refused(context, &driver, name, &decision),
            (None, None) => Err(anyhow::anyhow!("nothing was decided for {name}").into()),
        }
    }
}

/// The run that a decision started.
fn started(decision: &Decision) -> Option<RunId> {
    decision.run.filter(|_| decision.action == Act::Retrain)
}

/// A run that was left in the middle of its work, or whose failed step may be repeated now.
fn interrupted(driver: &Drive, name: &ModelName, now: Timestamp) -> Option<RunId> {
    let model = driver.machine().model(name)?;
    let goes_on = match model.phase() {
        Phase::Queued { .. } => true,
        Phase::Backoff { retry_at, .. } => *retry_at <= now,
        Phase::Idle { .. }
        | Phase::Working { .. }
        | Phase::Waiting { .. }
        | Phase::AwaitingApproval { .. }
        | Phase::Held { .. }
        | Phase::Deploying { .. }
        | Phase::Holding { .. }
        | Phase::Probation { .. }
        | Phase::RollingBack { .. }
        | Phase::Overriding { .. } => model.outstanding().is_some(),
    };
    model.phase().run().filter(|_| goes_on).map(|run| run.id)
}

fn dry_run(
    context: &Context,
    driver: &Drive,
    name: &ModelName,
    live: &Live,
    input: &Input,
) -> Result<(), Fault> {
    let machine = driver.machine();
    let (Some(model), Some(rules)) = (machine.model(name), machine.rules(name)) else {
        return Err(anyhow::anyhow!("there is no model {name}").into());
    };
    let decided = model.decide(rules, live.clock.now(), input);
    let Some(decision) = decided.decision else { return Ok(()) };
    if started(&decision).is_none() {
        return refused(context, driver, name, &decision);
    }
    if context.json {
        output::json(&json!({
            "model": name.as_str(), "dry_run": true, "action": decision.action.name(),
            "reasons": words(&decision), "run": null,
        }));
    } else {
        output::line(format_args!("{name} would be retrained: {}", words(&decision).join("; ")));
    }
    Ok(())
}

/// Says in words what became of a run; a run that ended badly is a failure.
async fn tell(
    context: &Context,
    live: &Live,
    driver: &Drive,
    name: &ModelName,
    run: RunId,
    decision: Option<&Decision>,
) -> Result<(), Fault> {
    let failed = || format!("failed to read {run} of {name}");
    let record = live.store.run(name, run).await.with_context(failed)?;
    let record = record.with_context(|| format!("{run} of {name} is not on record"))?;
    let state = driver.machine().model(name);
    let stands = state.map(phase::words).unwrap_or_default();
    let held = driver.held(&live.clock);
    let held = held.iter().find(|held| held.run == run && held.model == *name);
    let bad = record.outcome.is_some_and(Outcome::is_bad)
        || matches!(state.map(Model::phase), Some(Phase::Backoff { .. }));
    if context.json {
        let mut shown = output::replay::run_json(&record);
        shown["model"] = json!(name.as_str());
        shown["action"] = json!(decision.map(|decision| decision.action.name()));
        shown["stands"] = json!(stands);
        shown["waits_for"] = json!(held.map(|held| explain::hold(held.why)));
        output::json(&shown);
    } else {
        output::line(explain::run(&record, None));
        output::line("");
        output::line(format_args!("{name}: {stands}."));
        if let Some(held) = held {
            output::line(format_args!("It waits: {}.", explain::hold(held.why)));
        }
    }
    if bad { Err(Fault::Told(1)) } else { Ok(()) }
}

/// A request that started nothing, with every reason.
fn refused(
    context: &Context,
    driver: &Drive,
    name: &ModelName,
    decision: &Decision,
) -> Result<(), Fault> {
    let stands = driver.machine().model(name).map(phase::words).unwrap_or_default();
    if context.json {
        output::json(&json!({
            "model": name.as_str(), "action": decision.action.name(), "reasons": words(decision),
            "run": null, "refused": true, "stands": stands,
        }));
    } else {
        output::line(format_args!("{name} was not retrained: {}.", words(decision).join("; ")));
        output::line(format_args!("{name}: {stands}."));
        if decision.run.is_none() {
            output::line("Write --force to start in spite of it; that is kept on record.");
        }
    }
    Err(Fault::Told(1))
}

fn words(decision: &Decision) -> Vec<String> {
    decision.reasons.iter().map(ToString::to_string).collect()
}
