//! `approve`, `decline`, `cancel`: a person's word about a run.

use afresh_core::id::{ModelName, RunId};
use afresh_core::input::Input;
use anyhow::Context as _;
use serde_json::json;

use super::{Context, Person, run_id};
use crate::fault::Fault;
use crate::live::Live;
use crate::output::{self, phase, progress::Show};
use crate::wiring;

/// The run that is spoken of, and who speaks.
#[derive(Clone, Debug, clap::Args)]
struct Word {
    /// The run, such as `run-7`.
    #[arg(value_parser = run_id)]
    run: RunId,
    /// The model, where there are several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    #[command(flatten)]
    person: Person,
}

/// Agrees to the rollout of a version that passed its gate and waits for a person, as
/// `approval = true` under [model.NAME.retrain] asks for.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  afresh approve run-7 --by ana")]
pub struct Approve {
    #[command(flatten)]
    word: Word,
}

/// Does not agree to the rollout of a version that waits for a person; the champion stays.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  afresh decline run-7 --by ana")]
pub struct Decline {
    #[command(flatten)]
    word: Word,
}

/// Stops a run. What it trains is ended with all its processes; a candidate that serves already is
/// taken back.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "Example:\n  afresh cancel run-7")]
pub struct Cancel {
    #[command(flatten)]
    word: Word,
}

impl Approve {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let ask = |run, by| Input::Approve { run, by };
        self.word.say(context, "approved", "waits for approval", ask).await
    }
}

impl Decline {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let ask = |run, by| Input::Decline { run, by };
        self.word.say(context, "declined", "waits for approval", ask).await
    }
}

impl Cancel {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let ask = |run, by| Input::Cancel { run, by };
        self.word.say(context, "cancelled", "is under way", ask).await
    }
}

impl Word {
    async fn say(
        self,
        context: &Context,
        done: &str,
        wanted: &str,
        ask: impl FnOnce(RunId, String) -> Input,
    ) -> Result<(), Fault> {
        let live = Live::open(context).await?;
        let model = wiring::model(&live.config, self.model.as_deref())?;
        let name: &ModelName = &model.name;
        let mut driver = live.driver(&[model]).await?;
        let run = self.run;
        let input = ask(run, self.person.name());
        let failed = || format!("failed to tell {name} about {run}");
        let decision = driver.send(name, &live.clock, &input).await.with_context(failed)?;
        let stands = |driver: &crate::live::Drive| {
            driver.machine().model(name).map(phase::words).unwrap_or_default()
        };
        if decision.is_none() {
            return Err(Fault::helped(
                format!("{run} of {name} is not one that {wanted}: {}", stands(&driver)),
                "`afresh runs` lists the runs and where they stand",
            ));
        }
        let show = Show::new(context.progress);
        Box::pin(driver.settle(&live.clock, &show.listener())).await.with_context(failed)?;
        drop(show);
        let stands = stands(&driver);
        if context.json {
            output::json(&json!({
                "model": name.as_str(), "run": run.to_string(), "action": done, "stands": stands,
            }));
        } else {
            output::line(format_args!("{run} was {done}; {name}: {stands}"));
        }
        Ok(())
    }
}
