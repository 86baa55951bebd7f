//! The adviser: folds observations, and says at any time whether a retraining pays.

use afresh_core::id::VersionId;
use afresh_core::signal::{Advice, Priority, Verdict};
use afresh_core::time::Timestamp;
use serde::{Deserialize, Serialize};

use crate::observation::{Loss, Observation};
use crate::settings::{Kind, Settings};

/// Version of the stored form of [`State`].
pub const FORMAT: u16 = 1;
/// Periods whose sizes are remembered for the median.
const PERIODS_KEPT: usize = 52;

/// One model's policy at work.
#[derive(Clone, Debug, PartialEq)]
pub struct Adviser {
    settings: Settings,
    state: State,
}

/// What an adviser remembers: a fold of its observations.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Version of this form.
    pub format: u16,
    /// The champion of the last observation.
    champion: Option<VersionId>,
    /// Whole periods since a run last ended or the champion changed.
    periods_since_run: u32,
    /// Rows of the last periods, oldest first.
    period_rows: Vec<u64>,
    /// Of the last period.
    loss: Option<Loss>,
    /// Of the last period.
    available_since_cut: u64,
    /// End of the last period.
    at: Option<Timestamp>,
}

impl Adviser {
    /// A policy that has seen nothing.
    #[must_use]
    pub fn new(settings: Settings) -> Adviser {
        let state = State {
            format: FORMAT,
            champion: None,
            periods_since_run: 0,
            period_rows: Vec::new(),
            loss: None,
            available_since_cut: 0,
            at: None,
        };
        Adviser { settings, state }
    }

    /// A policy that goes on from a saved state.
    pub fn resume(settings: Settings, state: State) -> Result<Adviser, String> {
        if state.format != FORMAT {
            return Err(format!(
                "the policy's state has format {}, this version reads {FORMAT}",
                state.format
            ));
        }
        Ok(Adviser { settings, state })
    }

    /// What to save with the model.
    #[must_use]
    pub fn state(&self) -> &State {
        &self.state
    }

    /// Folds one period in. A period that is not after the last one is ignored.
    pub fn observe(&mut self, observation: &Observation) {
        let state = &mut self.state;
        if state.at.is_some_and(|at| observation.at <= at) {
            return;
        }
        if state.champion == Some(observation.champion) {
            state.periods_since_run = state.periods_since_run.saturating_add(1);
        } else {
            // The first period of a new champion is itself one period of age.
            state.periods_since_run = 1;
        }
        state.champion = Some(observation.champion);
        state.at = Some(observation.at);
        state.loss = observation.loss;
        state.available_since_cut = observation.available_since_cut;
        state.period_rows.push(observation.rows);
        if PERIODS_KEPT < state.period_rows.len() {
            state.period_rows.remove(0);
        }
    }

    /// A run ended without a new champion: the rhythm starts anew.
    pub fn run_ended(&mut self) {
        self.state.periods_since_run = 0;
    }

    /// What the policy says now.
    #[must_use]
    pub fn advise(&self) -> Advice {
        let (retrain, priority, mut reasons) = self.opinion();
        let mut retrain = retrain;
        let (available, needed) = (self.state.available_since_cut, self.settings.rows_min);
        if retrain == Verdict::Retrain && available < needed {
            retrain = Verdict::Keep;
            reasons.push(format!(
                "only {available} rows became available since the last training, {needed} needed"
            ));
        }
        Advice {
            policy: self.settings.kind.name().to_owned(),
            retrain,
            gain: self.gain(),
            cost: self.cost(),
            priority,
            reasons,
        }
    }

    fn opinion(&self) -> (Verdict, Priority, Vec<String>) {
        let age = self.state.periods_since_run;
        let every = self.settings.every;
        let due = every <= age;
        let rhythm = if due {
            format!("{age} periods since the last run, {every} is the rhythm")
        } else {
            format!("{age} of {every} periods since the last run")
        };
        let of = |retrain: bool| if retrain { Verdict::Retrain } else { Verdict::Keep };
        match (self.settings.kind, self.state.loss) {
            _ if self.state.champion.is_none() => {
                (Verdict::Keep, Priority::DEFAULT, vec!["nothing was observed yet".to_owned()])
            }
            (Kind::Never, _) => (Verdict::Keep, Priority::DEFAULT, vec!["never".to_owned()]),
            (Kind::Always, _) => (Verdict::Retrain, Priority::DEFAULT, vec!["always".to_owned()]),
            (Kind::Thresholds, _) => {
                (Verdict::Keep, Priority::DEFAULT, vec!["left to the thresholds".to_owned()])
            }
            (Kind::PeriodicDecay, Some(loss)) if loss.alarm => {
                let words = format!(
                    "loss rose from {:.4} to {:.4}, beyond chance (e-value {})",
                    loss.baseline,
                    loss.mean,
                    evidence(loss.e_value)
                );
                let rest = self.settings.rest;
                if age < rest {
                    let wait = format!("{age} of {rest} periods of rest since the last run");
                    return (Verdict::Keep, Priority::DEFAULT, vec![wait, words]);
                }
                (Verdict::Retrain, Priority::DEFAULT, vec![words, rhythm])
            }
            (Kind::PeriodicDecay, Some(loss)) => {
                let words = format!("loss {:.4}, baseline {:.4}", loss.mean, loss.baseline);
                (of(due), Priority::DEFAULT, vec![rhythm, words])
            }
            (Kind::Periodic | Kind::PeriodicDecay, _) => (of(due), Priority::DEFAULT, vec![rhythm]),
        }
    }

    /// What the measured excess loss costs until the rhythm would retrain anyway.
    fn gain(&self) -> Option<f64> {
        let loss = self.state.loss?;
        let excess = (loss.mean - loss.baseline).max(0.0);
        Some(excess * self.median_rows()? * f64::from(self.settings.every) * self.settings.per_loss)
    }

    fn cost(&self) -> Option<f64> {
        if let Some(cost) = self.settings.per_run {
            return Some(cost);
        }
        // A holdout's loss stands in for the constant guess, which is dearer: a cautious price.
        let guess = self.state.loss?.baseline;
        Some(0.002 * self.median_rows()? * guess * self.settings.per_loss)
    }

    fn median_rows(&self) -> Option<f64> {
        let mut rows = self.state.period_rows.clone();
        rows.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
        rows.get(rows.len() / 2).map(|rows| *rows as f64)
    }
}

/// An e-value in few digits: beyond a million nobody reads on.
fn evidence(e_value: f64) -> String {
    if e_value < 1e6 { format!("{e_value:.0}") } else { "above a million".to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn observation(week: i64, champion: u64, alarm: bool) -> Observation {
        Observation {
            at: Timestamp(week * 604_800_000),
            champion: VersionId(champion),
            rows: 2_000,
            available_since_cut: 2_000,
            drift: None,
            loss: Some(Loss { mean: 0.6, rows: 2_000, baseline: 0.5, alarm, e_value: 200.0 }),
        }
    }

    fn verdicts(settings: Settings, weeks: &[(u64, bool)]) -> Vec<bool> {
        let mut adviser = Adviser::new(settings);
        (1..)
            .zip(weeks)
            .map(|(week, (champion, alarm))| {
                adviser.observe(&observation(week, *champion, *alarm));
                adviser.advise().retrain == Verdict::Retrain
            })
            .collect()
    }

    #[test]
    fn rhythm_counts_periods_since_the_champion_changed() {
        let settings = Settings { kind: Kind::Periodic, every: 2, ..Settings::recommended() };
        let weeks = [(1, false), (1, false), (2, false), (2, false), (2, false)];
        assert_eq!(verdicts(settings, &weeks), [false, true, false, true, true]);
    }

    #[test]
    fn proven_decay_waits_for_its_rest_and_not_for_the_rhythm() {
        let settings = Settings { every: 10, rest: 2, ..Settings::recommended() };
        let weeks = [(1, true), (1, false), (1, true), (2, true)];
        assert_eq!(verdicts(settings, &weeks), [false, false, true, false]);
    }

    #[test]
    fn too_few_rows_keep_the_champion_and_say_so() {
        let settings = Settings { kind: Kind::Always, rows_min: 2_001, ..Settings::recommended() };
        let mut adviser = Adviser::new(settings);
        adviser.observe(&observation(1, 1, false));
        let advice = adviser.advise();
        assert_eq!(advice.retrain, Verdict::Keep);
        assert!(advice.reasons[1].contains("2001 needed"), "{:?}", advice.reasons);
    }

    #[test]
    fn advice_names_gain_and_cost() {
        let mut adviser = Adviser::new(Settings { every: 4, ..Settings::recommended() });
        adviser.observe(&observation(1, 1, false));
        let advice = adviser.advise();
        // 0.1 excess loss × 2,000 rows × 4 periods; 0.2 % of 2,000 rows × 0.5.
        assert!((advice.gain.unwrap() - 800.0).abs() < 1e-9);
        assert!((advice.cost.unwrap() - 2.0).abs() < 1e-9);
    }

    #[test]
    fn state_goes_on_where_it_was_saved() {
        let mut adviser = Adviser::new(Settings::recommended());
        adviser.observe(&observation(1, 1, false));
        let mut resumed =
            Adviser::resume(Settings::recommended(), adviser.state().clone()).unwrap();
        for adviser in [&mut adviser, &mut resumed] {
            adviser.observe(&observation(2, 1, true));
        }
        assert_eq!(adviser, resumed);
        let newer = State { format: 2, ..adviser.state().clone() };
        assert!(Adviser::resume(Settings::recommended(), newer).is_err());
    }
}
