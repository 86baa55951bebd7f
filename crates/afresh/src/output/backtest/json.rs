//! A backtest for scripts.

use std::path::Path;

use afresh_policy::oracle::Choice;
use afresh_sim::backtest::contest::Scored;
use afresh_sim::backtest::{Backtest, Showing};
use serde_json::{Value, json};

use super::{Shown, grown};

impl Shown<'_> {
    /// For scripts.
    pub fn json(&self, report: &Path) -> Value {
        let backtest = self.backtest;
        let outcome = &backtest.outcome;
        let best = &outcome.scored[outcome.recommended];
        let failed = backtest.trainings.failed.iter().map(|failed| {
            let window = self.windows.get(failed.window);
            json!({"at": failed.at.to_string(), "window": window, "why": failed.why})
        });
        let walk = &outcome.walk_forward;
        let stretches = walk.stretches.iter().map(|(periods, policy, pick)| {
            json!({
                "from": periods.start, "to": periods.end, "policy": policy,
                "at": backtest.periods[periods.start].from.to_string(),
                "window": self.pick(*pick),
            })
        });
        json!({
            "model": self.model.to_string(),
            "metric": self.metric.name(),
            "tuned_periods": backtest.split,
            "scored_periods": backtest.periods.len() - backtest.split,
            "undefined_periods": backtest.undefined,
            "prices": {
                "priced": backtest.tariff.priced, "per_loss": backtest.tariff.per_loss,
                "per_run": backtest.tariff.per_run,
                "per_cpu_hour": backtest.tariff.per_cpu_hour,
                "per_million_rows": backtest.tariff.per_million_rows,
                "default": backtest.is_default_price,
            },
            "policies": self.policies(),
            "apart": self.grown(),
            "never": outcome.never,
            "always": outcome.always,
            "windows": outcome.by_pick.iter().map(|alone| json!({
                "window": self.pick(alone.pick), "oracle": alone.oracle, "always": alone.always,
            })).collect::<Vec<_>>(),
            "oracle": self.hindsight(),
            "recommended": {
                "policy": best.entry.name, "window": self.pick(best.entry.pick),
                "parameters": best.entry.rule, "recovered": best.recovered,
                "snippet": afresh_config::apply::snippet(
                    self.model.as_str(), &best.entry.rule, Some(&self.pick(best.entry.pick)),
                ),
            },
            "walk_forward": {
                "cost": walk.cost, "recovered": walk.recovered,
                "stretches": stretches.collect::<Vec<_>>(),
            },
            "sweep": self.prices(),
            "trainings": {
                "distinct": backtest.trainings.distinct, "cached": backtest.trainings.cached,
                "cpu_seconds": backtest.trainings.cpu_seconds,
                "failed": failed.collect::<Vec<_>>(),
            },
            "report": report.display().to_string(),
        })
    }

    fn policies(&self) -> Vec<Value> {
        let backtest = self.backtest;
        let periods = &backtest.periods[backtest.split..];
        let runs = |choices: &[Choice]| {
            let retrained =
                periods.iter().zip(choices).filter(|(_, choice)| **choice != Choice::Keep);
            retrained.map(|(period, _)| period.from.to_string()).collect::<Vec<_>>()
        };
        let policy = |(scored, showing): (&Scored, &Showing)| {
            json!({
                "policy": scored.entry.name,
                "window": self.pick(scored.entry.pick),
                "parameters": scored.entry.rule,
                "metric_mean": showing.metric_mean,
                "log_loss": showing.loss,
                "retrains": showing.retrains,
                "runs": runs(&scored.way.choices),
                "held_back": scored.way.held,
                "training_cpu_seconds": showing.training_cpu_seconds,
                "cost": scored.way.cost(),
                "regret": scored.regret,
                "recovered": scored.recovered,
                "recovered_at_equal_budget": scored.recovered_at_equal_budget,
                "recovered_on_window": scored.recovered_on_window,
                "above_recommended": scored.above_recommended,
            })
        };
        self.entries().map(policy).collect()
    }

    /// The recommendation at other prices of a run.
    fn prices(&self) -> Vec<Value> {
        let sweep = self.backtest.sweep.iter().map(|sweep| {
            json!({
                "factor": sweep.factor, "per_run": sweep.per_run, "recommended": sweep.recommended,
                "window": self.pick(sweep.pick), "retrains": sweep.retrains, "cost": sweep.cost,
                "never": sweep.never, "always": sweep.always, "oracle": sweep.oracle,
                "recovered": sweep.recovered,
            })
        });
        sweep.collect()
    }

    /// Policies whose versions hang on the one before.
    fn grown(&self) -> Vec<Value> {
        let apart = self.apart.iter().map(|apart| {
            let went = apart.went.as_ref().map(|went| {
                json!({
                    "metric_mean": went.showing.metric_mean,
                    "log_loss": went.showing.loss,
                    "retrains": went.showing.retrains,
                    "training_cpu_seconds": went.showing.training_cpu_seconds,
                    "cost": went.way.cost(),
                    "recovered": went.recovered,
                    "above_recommended": went.above_recommended,
                })
            });
            json!({
                "policy": apart.name, "trains": grown(apart.growth), "parameters": apart.rule,
                "found": went,
            })
        });
        apart.collect()
    }

    fn hindsight(&self) -> Value {
        let Backtest { outcome, oracle, .. } = self.backtest;
        json!({
            "cost": outcome.oracle.cost,
            "metric_mean": oracle.metric_mean,
            "log_loss": oracle.loss,
            "retrains": oracle.retrains,
            "training_cpu_seconds": oracle.training_cpu_seconds,
            "schedule": self.schedule(),
        })
    }

    /// When hindsight retrains, and on which window.
    fn schedule(&self) -> Vec<Value> {
        let choices = self.backtest.periods[self.backtest.split..].iter();
        let choices = choices.zip(&self.backtest.outcome.oracle.choices);
        choices
            .filter_map(|(period, choice)| match choice {
                Choice::Keep => None,
                Choice::Retrain { window } => {
                    Some(json!({"at": period.from.to_string(), "window": self.windows[*window]}))
                }
            })
            .collect()
    }
}
