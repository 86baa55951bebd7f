//! `promote` and `rollback`: a person sets what serves, on record.

use afresh_config::config::ModelConfig;
use afresh_core::decision::Act;
use afresh_core::id::VersionId;
use afresh_core::input::Input;
use afresh_core::model::Phase;
use afresh_core::signal::Mode;
use afresh_engine::port::{Page, Store as _};
use afresh_train::artifact::{Artifact, MANIFEST_FILE};
use anyhow::Context as _;
use serde_json::json;

use super::{Context, Person, version_id};
use crate::fault::Fault;
use crate::live::{Drive, Live};
use crate::output::{self, phase, progress::Show};
use crate::wiring;

/// Lets a version serve at once, without a run; it becomes the champion. A run under way is
/// cancelled. A version that did not pass its gate must be forced. All of it is kept on record.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh promote v7 --reason \"the new one confuses Hawaii\"
  afresh promote v9 --force           although it did not pass its gate")]
pub struct Promote {
    /// The version, such as `v7`.
    #[arg(value_name = "VERSION", value_parser = version_id)]
    to: VersionId,
    /// Although it did not pass its gate.
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    choice: Choice,
}

/// Lets the version serve again that served before, or another one. A candidate on probation is
/// taken back. It is kept on record, and nothing is deleted.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh rollback                     what served before
  afresh rollback --to v3 --reason \"complaints since Monday\"")]
pub struct Rollback {
    /// The version; the one that served before where it is left out.
    #[arg(long, value_name = "VERSION", value_parser = version_id)]
    to: Option<VersionId>,
    #[command(flatten)]
    choice: Choice,
}

/// Whose model, who asks, and why.
#[derive(Clone, Debug, clap::Args)]
struct Choice {
    /// The model, where there are several.
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
    /// Why, for the record.
    #[arg(long, default_value = "no reason given", value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    person: Person,
}

impl Promote {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let live = Live::open(context).await?;
        let model = wiring::model(&live.config, self.choice.model.as_deref())?;
        let driver = live.driver(&[model]).await?;
        let mode = if self.force { Mode::Force } else { Mode::Obey };
        self.choice.set(context, &live, driver, model, self.to, mode).await
    }
}

impl Rollback {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let live = Live::open(context).await?;
        let model = wiring::model(&live.config, self.choice.model.as_deref())?;
        let driver = live.driver(&[model]).await?;
        let to = match self.to {
            Some(version) => version,
            None => before(&live, &driver, model).await?,
        };
        self.choice.set(context, &live, driver, model, to, Mode::Obey).await
    }
}

impl Choice {
    async fn set(
        self,
        context: &Context,
        live: &Live,
        mut driver: Drive,
        model: &ModelConfig,
        to: VersionId,
        mode: Mode,
    ) -> Result<(), Fault> {
        let name = &model.name;
        let known = driver.machine().model(name).is_some_and(|m| m.standings().contains_key(&to));
        if known {
            let settings = wiring::live_settings(&live.config, model);
            let place = settings.artifact(to);
            if let Some(shelf) = wiring::shelf(&live.config)?
                && !place.join(MANIFEST_FILE).exists()
            {
                let fetched = shelf.fetch(name, to, &place).await;
                fetched.map_err(|error| unusable(error, to))?;
            }
            usable(&place, to)?;
        }
        let input =
            Input::Override { to, by: self.person.name(), reason: self.reason.clone(), mode };
        let failed = || format!("failed to let {to} of {name} serve");
        let decision = driver.send(name, &live.clock, &input).await.with_context(failed)?;
        let refused = decision.filter(|decision| decision.action == Act::Refuse);
        if let Some(decision) = refused {
            let why = decision.reasons.iter().map(ToString::to_string).collect::<Vec<_>>();
            let help =
                "`afresh versions` lists them; --force of `afresh promote` overrides the gate";
            return Err(Fault::helped(why.join("; "), help));
        }
        let show = Show::new(context.progress);
        Box::pin(driver.settle(&live.clock, &show.listener())).await.with_context(failed)?;
        drop(show);
        let stands = driver.machine().model(name).map(phase::words).unwrap_or_default();
        if context.json {
            output::json(&json!({
                "model": name.as_str(), "version": to.to_string(), "reason": self.reason,
                "stands": stands,
            }));
        } else {
            output::line(format_args!("{name}: {stands}"));
        }
        Ok(())
    }
}

/// What would serve must load: a version that was removed or damaged stays out.
fn usable(artifact: &std::path::Path, version: VersionId) -> Result<(), Fault> {
    Artifact::load(artifact).map(|_| ()).map_err(|error| unusable(error, version))
}

fn unusable(error: afresh_train::error::Error, version: VersionId) -> Fault {
    Fault::Helped {
        error: anyhow::Error::new(error).context(format!("{version} cannot serve")),
        help: "name another one: `afresh versions` lists them".to_owned(),
    }
}

/// The version that a rollback goes back to.
async fn before(live: &Live, driver: &Drive, model: &ModelConfig) -> Result<VersionId, Fault> {
    let name = &model.name;
    let nothing = |help: &str| {
        Fault::helped(format!("no version of {name} served before the one that serves now"), help)
    };
    let Some(state) = driver.machine().model(name) else { return Err(nothing("")) };
    let serves = match state.phase() {
        Phase::Idle { .. } | Phase::Overriding { .. } => state.champion(),
        // A candidate that serves gives way to the champion.
        Phase::Deploying { run, .. }
        | Phase::Holding { run, .. }
        | Phase::Probation { run, .. } => {
            return state.champion().ok_or_else(|| {
                nothing(&format!("`afresh cancel {}` takes it back; nothing serves then", run.id))
            });
        }
        Phase::Queued { .. }
        | Phase::Working { .. }
        | Phase::Backoff { .. }
        | Phase::Waiting { .. }
        | Phase::AwaitingApproval { .. }
        | Phase::Held { .. }
        | Phase::RollingBack { .. } => state.champion(),
    };
    let mut page = Page::default();
    loop {
        let servings = live.store.servings(name, page).await;
        let servings = servings.with_context(|| format!("failed to list what served of {name}"))?;
        let Some(last) = servings.last() else {
            return Err(nothing("name one with --to: `afresh versions` lists them"));
        };
        page.before = Some(last.fence.0);
        let earlier = servings.iter().filter_map(|serving| serving.version);
        let mut usable =
            earlier.filter(|version| Some(*version) != serves && state.has_passed(*version));
        if let Some(version) = usable.next() {
            return Ok(version);
        }
    }
}
