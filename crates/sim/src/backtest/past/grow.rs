//! Versions that hang on the one before: what they train on or go on from is known only on a policy's way, so they are made when one
//! first asks for them.

use std::sync::Arc;

use afresh_core::signal::Strategy;
use afresh_engine::settings::TrainingWindow;
use afresh_engine::workshop;

use super::train::{is_permanent, scored};
use super::{Cell, Past, Sprout};
use crate::backtest::walk::Missing;
use crate::backtest::world::Growth;
use crate::replay::Error;

/// What it took to make one.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Made {
    /// Whether it was there already.
    pub cached: bool,
    /// CPU seconds when it was done.
    pub cpu_seconds: f64,
}

impl Past {
    /// Makes a version that a policy waits for; `None` where it cannot be trained, and the policy goes on without.
    pub async fn grow(&mut self, missing: Missing) -> Result<Option<Made>, Error> {
        let as_of = self.periods[missing.period].from;
        let made = match self.sprout(missing).await {
            Ok(made) => Some(made),
            Err(source) if is_permanent(&source) => {
                let why = workshop::chain(&source);
                tracing::warn!(at = %as_of, %why, "a version that hangs on the one before failed");
                None
            }
            Err(source) => return Err(Error::Worker { at: as_of, source }),
        };
        let (cell, made) = made.unzip();
        self.grown.push(Sprout { missing, cell });
        Ok(made)
    }

    async fn sprout(&self, missing: Missing) -> Result<(Cell, Made), workshop::Error> {
        let Missing { period, parent, growth } = missing;
        let parent = self.cell(parent);
        let parent = parent.ok_or_else(|| workshop::Error::Missing("no version".to_owned()))?;
        let as_of = self.periods[period].from;
        let settings = self.workshop.settings();
        let (window, rounds, parent) = match growth {
            Growth::SinceLastRun => {
                (TrainingWindow::SinceLastRun.at(as_of, Some(parent.as_of)), self.rounds, None)
            }
            Growth::Incremental => (
                settings.windows.of(Strategy::Incremental).at(as_of, Some(parent.as_of)),
                settings.incremental_rounds,
                Some(parent.version),
            ),
        };
        let once = self.workshop.train_once(window, as_of, rounds, parent).await?;
        let (workshop, rows) = (Arc::clone(&self.workshop), Arc::clone(&self.rows));
        let cell =
            scored(&workshop, &rows, &once, window, as_of, &self.cache, &self.fingerprint).await;
        let mut cell = cell?;
        self.complete(&mut cell, period);
        let made = Made { cached: once.cached, cpu_seconds: cell.cpu_seconds };
        Ok((cell, made))
    }
}
