//! Work under way: a bar on a terminal, plain lines elsewhere.

use std::io::IsTerminal as _;
use std::sync::Arc;

use afresh_core::model::Action;
use afresh_engine::driver::{Listener, News};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::command::Progress;
use crate::fault::note;

/// Steps of the bar.
const STEPS: u64 = 1_000;

/// Shows news until it is dropped.
#[derive(Debug)]
pub struct Show {
    bar: ProgressBar,
    plain: bool,
}

impl Show {
    pub fn new(progress: Progress) -> Arc<Show> {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::new(STEPS);
        if progress != Progress::Shown || !terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {elapsed}  {wide_msg}") {
            bar.set_style(style);
        }
        let plain = progress == Progress::Plain || (progress == Progress::Shown && !terminal);
        Arc::new(Show { bar, plain })
    }

    /// What a driver tells its news to.
    pub fn listener(self: &Arc<Show>) -> Listener {
        let show = Arc::clone(self);
        Arc::new(move |news| show.news(news))
    }

    fn news(&self, news: &News) {
        match news {
            News::Decided { model, decision } => {
                let why = decision.reasons.first().map_or("", |reason| reason.detail.as_str());
                self.line(&format!("{model}: {} – {why}", decision.action.name()));
            }
            News::Started { model, action } => {
                let doing = doing(action);
                self.bar.set_position(0);
                self.bar.set_prefix(model.to_string());
                self.bar.set_message(doing.clone());
                if self.plain {
                    note(&format!("{model}: {doing}"));
                }
            }
            News::Advanced { share, .. } => {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    clippy::cast_precision_loss,
                    reason = "a share between 0 and 1"
                )]
                self.bar.set_position((share.clamp(0.0, 1.0) * STEPS as f64) as u64);
            }
            News::Waiting => {
                self.line("another afresh process is at work on this state: waiting for it");
            }
        }
    }

    fn line(&self, text: &str) {
        if self.plain {
            note(text);
        } else {
            self.bar.println(text);
        }
    }
}

impl Drop for Show {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

fn doing(action: &Action) -> String {
    match action {
        Action::Prepare { run, .. } => format!("{run} chooses rows"),
        Action::Train { run, candidate, .. } => format!("{run} trains {candidate}"),
        Action::Judge { run, candidate, champion: None, .. } => format!("{run} judges {candidate}"),
        Action::Judge { run, candidate, champion: Some(champion), .. } => {
            format!("{run} judges {candidate} against {champion}")
        }
        Action::Refit { run, parent, candidate, .. } => {
            format!("{run} trains {parent}'s recipe on all rows as {candidate}")
        }
        Action::Serve(deployment) => match (deployment.version, deployment.canary) {
            (_, Some(canary)) => format!("{} takes {} %", canary.version, canary.percent),
            (Some(version), None) => format!("{version} takes over"),
            (None, None) => "nothing serves any more".to_owned(),
        },
    }
}
