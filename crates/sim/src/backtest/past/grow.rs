//! Versions that hang on the one before: what they train on or go on from is known only on a policy's way, so they are made when one
//! first asks for them.

use std::sync::Arc;

use afresh_core::signal::Strategy;
use afresh_data::selection::Selection;
use afresh_engine::settings::{Known, TrainingWindow};
use afresh_engine::workshop::{self, enough};

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
        let window = match growth {
            Growth::SinceLastRun => TrainingWindow::SinceLastRun,
            Growth::SinceChange => TrainingWindow::SinceChange,
            Growth::Incremental => settings.windows.of(Strategy::Incremental),
        };
        let changed = (window == TrainingWindow::SinceChange).then(|| {
            let told = self.changed(missing.parent, period);
            enough(&self.rows, as_of, told.unwrap_or(parent.selection.window.from))
        });
        let known = Known { as_of, cut: Some(parent.as_of), changed };
        let selected = window.select(&known, settings.period);
        let whole = Selection::even(selected.window);
        let once = match growth {
            Growth::SinceLastRun | Growth::SinceChange => {
                self.workshop.train_once(selected, as_of, self.rounds, self.shipped).await?
            }
            Growth::Incremental => {
                let rounds = settings.incremental_rounds;
                self.workshop.continue_once(selected, as_of, rounds, parent.version).await?
            }
        };
        let (workshop, rows) = (Arc::clone(&self.workshop), Arc::clone(&self.rows));
        let cell =
            scored(&workshop, &rows, &once, whole, as_of, &self.cache, &self.fingerprint).await;
        let mut cell = cell?;
        self.complete(&mut cell, period);
        let made = Made { cached: once.cached, cpu_seconds: cell.cpu_seconds };
        Ok((cell, made))
    }
}
