//! Work of known size under way: a bar on a terminal, a plain line now and then elsewhere.

use std::io::IsTerminal as _;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::command::Progress;
use crate::fault::note;

/// Between two plain lines; short work prints none.
const PLAIN_EVERY: Duration = Duration::from_secs(5);

/// Shows how far work is until it is dropped.
#[derive(Debug)]
pub struct Steps {
    bar: ProgressBar,
    told: Option<Mutex<Instant>>,
}

impl Steps {
    /// Of so many steps, called `what`.
    pub fn new(progress: Progress, what: &str, all: u64) -> Steps {
        let terminal = std::io::stderr().is_terminal();
        let bar = ProgressBar::new(all);
        if progress != Progress::Shown || !terminal {
            bar.set_draw_target(ProgressDrawTarget::hidden());
        }
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:30} {percent} %  {elapsed}")
        {
            bar.set_style(style);
        }
        bar.set_prefix(what.to_owned());
        let plain = progress == Progress::Plain || (progress == Progress::Shown && !terminal);
        Steps { bar, told: plain.then(|| Mutex::new(Instant::now())) }
    }

    /// So many more are done.
    pub fn advance(&self, steps: u64) {
        self.bar.inc(steps);
        let Some(mut told) = self.told.as_ref().and_then(|told| told.lock().ok()) else { return };
        if told.elapsed() >= PLAIN_EVERY {
            *told = Instant::now();
            let done = self.bar.position().min(self.bar.length().unwrap_or(0));
            let percent = done.saturating_mul(100) / self.bar.length().unwrap_or(1).max(1);
            note(&format!("{}: {percent} %", self.bar.prefix()));
        }
    }
}

impl Drop for Steps {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
