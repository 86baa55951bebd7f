//! A backtest as its page draws it.

use afresh_policy::oracle::Choice;
use afresh_policy::prices::Priced;
use afresh_report::backtest as drawn;
use afresh_sim::backtest::apart::Went;

use super::{Shown, grown};

impl Shown<'_> {
    /// What the report draws.
    pub fn drawn(&self) -> drawn::Backtest {
        let backtest = self.backtest;
        let outcome = &backtest.outcome;
        let periods = &backtest.periods[backtest.split..];
        let runs = |choices: &[Choice]| {
            let retrained = periods.iter().zip(choices);
            let retrained = retrained.filter(|(_, choice)| **choice != Choice::Keep);
            retrained.map(|(period, _)| period.from.0).collect::<Vec<_>>()
        };
        let entries = self.entries().enumerate().map(|(place, (scored, showing))| drawn::Entry {
            name: scored.entry.name.clone(),
            window: self.pick(scored.entry.pick),
            rule: scored.entry.rule.to_string(),
            is_recommended: place == outcome.recommended,
            metric_mean: showing.metric_mean,
            metric: showing.metric.clone(),
            loss: showing.loss,
            retrains: showing.retrains,
            runs_ms: runs(&scored.way.choices),
            training_cpu_seconds: showing.training_cpu_seconds,
            cost: scored.way.cost(),
            recovered: scored.recovered,
            above: Some((scored.above_recommended.low, scored.above_recommended.high)),
        });
        let apart = self.apart.iter().filter_map(|apart| {
            let Went { way, showing, recovered, above_recommended } = apart.went.as_ref()?;
            Some(drawn::Entry {
                name: apart.name.clone(),
                window: grown(apart.growth).to_owned(),
                rule: apart.rule.to_string(),
                is_recommended: false,
                metric_mean: showing.metric_mean,
                metric: showing.metric.clone(),
                loss: showing.loss,
                retrains: showing.retrains,
                runs_ms: runs(&way.choices),
                training_cpu_seconds: showing.training_cpu_seconds,
                cost: way.cost(),
                recovered: *recovered,
                above: Some((above_recommended.low, above_recommended.high)),
            })
        });
        drawn::Backtest {
            model: self.model.to_string(),
            metric: self.metric.name().to_owned(),
            higher_is_better: self.metric.higher_is_better(),
            tuned_periods: backtest.split,
            periods_ms: periods.iter().map(|period| (period.from.0, period.to.0)).collect(),
            is_errors: backtest.tariff.priced == Priced::Errors,
            per_loss: backtest.tariff.per_loss,
            per_run: backtest.tariff.per_run,
            is_default_price: backtest.is_default_price,
            entries: entries.collect(),
            apart: apart.collect(),
            oracle: drawn::Entry {
                name: "hindsight".to_owned(),
                window: "any".to_owned(),
                rule: "the cheapest schedule there was".to_owned(),
                is_recommended: false,
                metric_mean: backtest.oracle.metric_mean,
                metric: backtest.oracle.metric.clone(),
                loss: backtest.oracle.loss,
                retrains: backtest.oracle.retrains,
                runs_ms: runs(&outcome.oracle.choices),
                training_cpu_seconds: backtest.oracle.training_cpu_seconds,
                cost: outcome.oracle.cost,
                recovered: Some(1.0),
                above: None,
            },
            windows: outcome
                .by_pick
                .iter()
                .map(|alone| drawn::Alone {
                    window: self.pick(alone.pick),
                    always: alone.always,
                    oracle: alone.oracle,
                })
                .collect(),
            never: outcome.never,
            always: outcome.always,
            walk_forward: outcome.walk_forward.recovered,
            sweep: backtest
                .sweep
                .iter()
                .map(|sweep| drawn::Sweep {
                    factor: sweep.factor,
                    per_run: sweep.per_run,
                    recommended: sweep.recommended.clone(),
                    window: self.pick(sweep.pick),
                    retrains: sweep.retrains,
                    cost: sweep.cost,
                    never: sweep.never,
                    always: sweep.always,
                    oracle: sweep.oracle,
                })
                .collect(),
        }
    }
}
