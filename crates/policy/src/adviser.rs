//! The adviser: folds observations, and says at any time whether a retraining pays.

use afresh_core::signal::{Advice, Verdict};
use afresh_core::time::Duration;

use crate::history::History;
use crate::observation::Observation;
use crate::rule::{Rule, loss};
use crate::settings::Settings;

/// Periods over which a gain is told where the rule has no rhythm.
const HORIZON: u32 = 4;

/// One model's policy at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Adviser {
    settings: Settings,
    history: History,
}

impl Adviser {
    /// A policy that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Adviser {
        Adviser { settings, history: History::default() }
    }

    /// A policy that goes on from a saved history, another policy's too.
    pub fn resume(settings: Settings, history: History) -> Result<Adviser, String> {
        Ok(Adviser { settings, history: history.check()? })
    }

    /// A policy that goes on from a history in memory.
    #[must_use]
    pub fn going_on(settings: Settings, history: History) -> Adviser {
        Adviser { settings, history }
    }

    /// What it remembers, for another policy to go on from.
    #[must_use]
    pub fn into_history(self) -> History {
        self.history
    }

    /// What to save with the model.
    #[must_use]
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Folds one period in. A period that is not after the last one is ignored.
    pub fn observe(&mut self, observation: &Observation) {
        self.history.observe(observation);
    }

    /// A run ended without a new champion: the rhythm starts anew.
    pub fn run_ended(&mut self) {
        self.history.run_ended();
    }

    /// Whether the policy wants a retraining, without the words.
    #[must_use]
    pub fn wants(&self) -> bool {
        let Settings { rule, rows_min, prices } = &self.settings;
        self.available() >= *rows_min && rule.wants(&self.history, prices)
    }

    /// What the policy says now.
    #[must_use]
    pub fn advise(&self) -> Advice {
        let Settings { rule, rows_min, prices } = &self.settings;
        let opinion = rule.opinion(&self.history, prices);
        let (mut retrain, mut reasons) = (opinion.verdict, opinion.reasons);
        let available = self.available();
        if retrain == Verdict::Retrain && available < *rows_min {
            retrain = Verdict::Keep;
            reasons.push(format!(
                "only {available} rows became available since the last training, {rows_min} needed"
            ));
        }
        let (gain, cost) = (self.gain(), prices.run(&self.history));
        if let (Some(gain), Some(cost), Some(horizon)) = (gain, cost, self.horizon()) {
            let words =
                format!("expected to save {gain:.2} over the next {horizon}, costs {cost:.2}");
            reasons.push(words);
        }
        let policy = rule.name();
        Advice { policy, retrain, gain, cost, priority: opinion.priority, reasons }
    }

    fn available(&self) -> u64 {
        self.history.newest().map_or(0, |newest| newest.available_since_cut)
    }

    /// What a fresh model would save until the rhythm would retrain anyway.
    fn gain(&self) -> Option<f64> {
        let per_period = loss::excess_cost(&self.history, &self.settings.prices)?;
        Some(per_period * f64::from(periods_ahead(&self.settings.rule)))
    }

    /// How far ahead the gain looks.
    #[must_use]
    pub fn horizon(&self) -> Option<Duration> {
        let period = self.history.period()?;
        Some(Duration(period.0 * u64::from(periods_ahead(&self.settings.rule))))
    }
}

fn periods_ahead(rule: &Rule) -> u32 {
    rule.rhythm().unwrap_or(HORIZON)
}
