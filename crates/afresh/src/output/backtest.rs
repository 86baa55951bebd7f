//! A backtest as a table, as JSON, and as what the report draws.

use std::path::Path;

use afresh_core::id::ModelName;
use afresh_ml::metrics::Metric;
use afresh_policy::oracle::Choice;
use afresh_policy::prices::Priced;
use afresh_policy::rule::Rule;
use afresh_report::backtest as drawn;
use afresh_sim::backtest::Backtest;
use afresh_sim::backtest::apart::{Apart, Went};
use afresh_sim::backtest::contest::Scored;
use afresh_sim::backtest::family::CONFIGURED;
use afresh_sim::backtest::walk::Pick;
use afresh_sim::backtest::world::{Growth, Tariff};
use serde_json::{Value, json};

use super::{line, number, table};

/// Rows of the table for people; `--json` has them all.
const ROWS_SHOWN: usize = 14;

/// A backtest and the names it is told with.
#[derive(Clone, Copy, Debug)]
pub struct Shown<'a> {
    pub model: &'a ModelName,
    pub metric: Metric,
    /// Of the training windows, in their order.
    pub windows: &'a [String],
    pub backtest: &'a Backtest,
    /// Policies whose versions hang on the one before.
    pub apart: &'a [Apart],
}

impl Shown<'_> {
    /// For people.
    pub fn print(&self, report: &Path) {
        let backtest = self.backtest;
        let scored = backtest.periods.len() - backtest.split;
        line(format_args!(
            "{}: {} policies tuned on {} periods and scored on the {scored} after them.",
            self.model,
            backtest.outcome.scored.len(),
            backtest.split,
        ));
        let word = if backtest.is_default_price { "by default " } else { "" };
        line(format_args!(
            "{} costs {}, a run {word}{:.2}{}.",
            unit(backtest.tariff.priced),
            backtest.tariff.per_loss,
            backtest.tariff.per_run,
            beside(&backtest.tariff),
        ));
        let held = backtest.outcome.scored.iter().filter(|scored| 0 < scored.way.held).count();
        if 0 < held {
            line(format_args!(
                "Cooldown and budget held back runs of {held} policies, as they would live; hindsight is free of them."
            ));
        }
        line("");
        let metric = self.metric.name();
        let header = [
            "",
            "policy",
            "window",
            metric,
            loss(backtest.tariff.priced),
            "runs",
            "CPU s",
            "cost",
            "regret",
            "recovered",
            "at equal runs",
            "on its window",
        ];
        let mut rows = table(&header);
        rows.add_row([
            "".to_owned(),
            "hindsight".to_owned(),
            "any".to_owned(),
            number(backtest.oracle.metric_mean),
            digits(backtest.oracle.loss),
            backtest.oracle.retrains.to_string(),
            format!("{:.1}", backtest.oracle.training_cpu_seconds),
            format!("{:.1}", backtest.outcome.oracle.cost),
            "0.0".to_owned(),
            "100 %".to_owned(),
            "100 %".to_owned(),
            "".to_owned(),
        ]);
        let mut left_out = 0;
        for (place, (scored, showing)) in self.entries().enumerate() {
            let plain = match scored.entry.name.as_str() {
                "never" | "always" | "ks" => true,
                CONFIGURED => scored.entry.pick == Pick::Window(0),
                _ => false,
            };
            let recommended = place == backtest.outcome.recommended;
            if ROWS_SHOWN <= place && !plain && !recommended {
                left_out += 1;
                continue;
            }
            rows.add_row([
                if recommended { "→" } else { "" }.to_owned(),
                scored.entry.name.clone(),
                self.pick(scored.entry.pick),
                number(showing.metric_mean),
                digits(showing.loss),
                showing.retrains.to_string(),
                format!("{:.1}", showing.training_cpu_seconds),
                format!("{:.1}", scored.way.cost()),
                format!("{:.1}", scored.regret),
                percent(scored.recovered),
                percent(scored.recovered_at_equal_budget),
                percent(scored.recovered_on_window),
            ]);
        }
        line(rows);
        if 0 < left_out {
            line(format_args!("{left_out} more stand in the report and in `--json`."));
        }
        line("");
        self.recommendation();
        self.sweep();
        self.apart();
        if 0 < backtest.undefined {
            line(format_args!(
                "{metric} is undefined in {} of the {scored} periods: they count by their loss alone.",
                backtest.undefined,
            ));
        }
        for failed in &backtest.trainings.failed {
            let window = self.windows.get(failed.window).map_or("", String::as_str);
            line(format_args!("No version at {} on {window}: {}", failed.at, failed.why));
        }
        let trainings = &backtest.trainings;
        line(format_args!(
            "{} trainings, {} of them from the cache, {:.1} CPU s when they were done. Report: {}",
            trainings.distinct,
            trainings.cached,
            trainings.cpu_seconds,
            report.display(),
        ));
    }

    fn recommendation(&self) {
        let backtest = self.backtest;
        let outcome = &backtest.outcome;
        let best = &outcome.scored[outcome.recommended];
        line(format_args!(
            "Recommended: {} on {} ({}). It costs {:.1}, never {:.1}, always {:.1}.",
            best.entry.name,
            self.pick(best.entry.pick),
            best.entry.rule,
            best.way.cost(),
            outcome.never,
            outcome.always,
        ));
        let cost = best.way.cost();
        let (simple, least) = if outcome.always < outcome.never {
            ("retraining in every period", outcome.always)
        } else {
            ("leaving the model alone", outcome.never)
        };
        match best.recovered {
            Some(_) => line(format_args!(
                "Of what hindsight saves it recovers {}; chosen anew as history went on, {}.",
                percent(best.recovered),
                percent(outcome.walk_forward.recovered),
            )),
            None => line(format_args!(
                "Hindsight saves less than 2 % of never beside {simple}: there is next to nothing to win."
            )),
        }
        if least < cost && best.entry.rule != Rule::Never {
            line(format_args!(
                "In the scored half {simple} was {:.1} cheaper, which the tuned half did not show.",
                cost - least
            ));
        }
        let alone = outcome.by_pick.iter().find(|alone| alone.pick == best.entry.pick);
        if let Some(alone) = alone {
            line(format_args!(
                "Of the {:.1} that hindsight costs less, {:.1} are when to retrain on {}, {:.1} are another \
                 window each time.",
                best.regret,
                best.way.cost() - alone.oracle,
                self.pick(best.entry.pick),
                alone.oracle - outcome.oracle.cost,
            ));
        }
        let (rule, window) = self.recommended();
        line("");
        line(afresh_config::apply::snippet(self.model.as_str(), rule, Some(&window)));
        let walk = &outcome.walk_forward;
        let chosen = walk.stretches.iter().map(|(periods, policy, pick)| {
            let from = backtest.periods[periods.start].from.to_string();
            let day = from.split('T').next().unwrap_or(&from);
            format!("{policy} on {} from {day}", self.pick(*pick))
        });
        let chosen = chosen.collect::<Vec<_>>().join(", ");
        line(format_args!("Walking forward costs {:.1}: {chosen}.", walk.cost));
    }

    fn sweep(&self) {
        line("");
        let header = [
            "price of a run",
            "recommended",
            "window",
            "runs",
            "cost",
            "never",
            "always",
            "recovered",
        ];
        let mut rows = table(&header);
        for sweep in &self.backtest.sweep {
            rows.add_row([
                format!("{:.2} (× {})", sweep.per_run, sweep.factor),
                sweep.recommended.clone(),
                self.pick(sweep.pick),
                sweep.retrains.to_string(),
                format!("{:.1}", sweep.cost),
                format!("{:.1}", sweep.never),
                format!("{:.1}", sweep.always),
                percent(sweep.recovered),
            ]);
        }
        line(rows);
        line("");
    }

    /// Policies whose versions hang on the one before.
    fn apart(&self) {
        if self.apart.is_empty() {
            return;
        }
        line("Told apart, for each version hangs on the one before:");
        line("");
        let metric = self.metric.name();
        let loss = loss(self.backtest.tariff.priced);
        let header =
            ["policy", "trains", metric, loss, "runs", "CPU s", "cost", "recovered", "beside it"];
        let mut rows = table(&header);
        let mut left_out = Vec::new();
        for apart in self.apart {
            let Some(Went { way, showing, recovered, above_recommended: above }) = &apart.went
            else {
                left_out.push(format!("{} {}", apart.name, grown(apart.growth)));
                continue;
            };
            rows.add_row([
                apart.name.clone(),
                grown(apart.growth).to_owned(),
                number(showing.metric_mean),
                digits(showing.loss),
                showing.retrains.to_string(),
                format!("{:.1}", showing.training_cpu_seconds),
                format!("{:.1}", way.cost()),
                percent(*recovered),
                match (above.low > 0.0, above.high < 0.0) {
                    (true, _) => "dearer",
                    (_, true) => "cheaper",
                    (false, false) => "not told apart",
                }
                .to_owned(),
            ]);
        }
        line(rows);
        let best = &self.backtest.outcome.scored[self.backtest.outcome.recommended].entry.name;
        line(format_args!("`beside it`: its cost beside that of {best}, the recommended policy."));
        if !left_out.is_empty() {
            let left_out = left_out.join(", ");
            line(format_args!("Left out, for `--max-trainings` allows no more: {left_out}."));
        }
        line("");
    }

    /// For scripts.
    pub fn json(&self, report: &Path) -> Value {
        let backtest = self.backtest;
        let outcome = &backtest.outcome;
        let periods = &backtest.periods[backtest.split..];
        let runs = |choices: &[Choice]| {
            let retrained =
                periods.iter().zip(choices).filter(|(_, choice)| **choice != Choice::Keep);
            retrained.map(|(period, _)| period.from.to_string()).collect::<Vec<_>>()
        };
        let policies = self.entries().map(|(scored, showing)| {
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
        });
        let best = &outcome.scored[outcome.recommended];
        let sweep = backtest.sweep.iter().map(|sweep| {
            json!({
                "factor": sweep.factor, "per_run": sweep.per_run, "recommended": sweep.recommended,
                "window": self.pick(sweep.pick), "retrains": sweep.retrains, "cost": sweep.cost,
                "never": sweep.never, "always": sweep.always, "oracle": sweep.oracle,
                "recovered": sweep.recovered,
            })
        });
        let failed = backtest.trainings.failed.iter().map(|failed| {
            let window = self.windows.get(failed.window);
            json!({"at": failed.at.to_string(), "window": window, "why": failed.why})
        });
        let walk = &outcome.walk_forward;
        let stretches = walk.stretches.iter().map(|(periods, policy, pick)| {
            json!({
                "from": periods.start, "to": periods.end, "policy": policy,
                "window": self.pick(*pick),
            })
        });
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
            "policies": policies.collect::<Vec<_>>(),
            "apart": apart.collect::<Vec<_>>(),
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
            "sweep": sweep.collect::<Vec<_>>(),
            "trainings": {
                "distinct": backtest.trainings.distinct, "cached": backtest.trainings.cached,
                "cpu_seconds": backtest.trainings.cpu_seconds,
                "failed": failed.collect::<Vec<_>>(),
            },
            "report": report.display().to_string(),
        })
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

    /// The recommended policy and its window, as `afresh.toml` writes them.
    pub fn recommended(&self) -> (&Rule, String) {
        let outcome = &self.backtest.outcome;
        let best = &outcome.scored[outcome.recommended].entry;
        (&best.rule, self.pick(best.pick))
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

    fn entries(&self) -> impl Iterator<Item = (&Scored, &afresh_sim::backtest::Showing)> {
        self.backtest.outcome.scored.iter().zip(&self.backtest.showings)
    }

    fn pick(&self, pick: Pick) -> String {
        match pick {
            Pick::Grown(growth) => grown(growth).to_owned(),
            Pick::Window(window) => self.windows[window].clone(),
        }
    }
}

/// As tables name how a version grows.
fn grown(growth: Growth) -> &'static str {
    match growth {
        Growth::SinceLastRun => "since-last-run",
        Growth::SinceChange => "since-change",
        Growth::Incremental => "incremental",
    }
}

/// What has a price, one of it.
fn unit(priced: Priced) -> &'static str {
    match priced {
        Priced::Loss => "A unit of loss",
        Priced::Errors => "An error",
    }
}

/// Its mean over the rows, as a column.
fn loss(priced: Priced) -> &'static str {
    match priced {
        Priced::Loss => "loss",
        Priced::Errors => "errors",
    }
}

/// What else has a price.
fn beside(tariff: &Tariff) -> String {
    let prices = [
        ("a CPU hour", tariff.per_cpu_hour),
        ("a million rows to train on", tariff.per_million_rows),
    ];
    let stated = prices.into_iter().filter(|(_, price)| 0.0 < *price);
    stated.map(|(what, price)| format!(", {what} {price:.2}")).collect()
}

fn digits(value: Option<f64>) -> String {
    value.map_or_else(|| "–".to_owned(), |value| format!("{value:.4}"))
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "–".to_owned(), |share| format!("{:.0} %", share * 100.0))
}
