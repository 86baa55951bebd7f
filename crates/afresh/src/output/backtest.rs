//! A backtest as a table with what it means; as JSON and as what the report draws, in files of their own.

mod drawn;
mod json;

use std::path::Path;

use afresh_core::id::ModelName;
use afresh_ml::metrics::Metric;
use afresh_policy::prices::Priced;
use afresh_policy::rule::Rule;
use afresh_sim::backtest::Backtest;
use afresh_sim::backtest::apart::{Apart, Went};
use afresh_sim::backtest::contest::Scored;
use afresh_sim::backtest::family::CONFIGURED;
use afresh_sim::backtest::walk::Pick;
use afresh_sim::backtest::world::{Growth, Tariff};

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
        self.table();
        line("");
        self.recommendation();
        self.sweep();
        self.apart();
        self.missing();
        let trainings = &backtest.trainings;
        line(format_args!(
            "{} trainings, {} of them from the cache, {:.1} CPU s when they were done. Report: {}",
            trainings.distinct,
            trainings.cached,
            trainings.cpu_seconds,
            report.display(),
        ));
    }

    /// The cheapest policies, and the plain ones.
    fn table(&self) {
        let backtest = self.backtest;
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
    }

    /// What could not be measured.
    fn missing(&self) {
        let backtest = self.backtest;
        if 0 < backtest.undefined {
            line(format_args!(
                "{} is undefined in {} of the {} periods: they count by their loss alone.",
                self.metric.name(),
                backtest.undefined,
                backtest.periods.len() - backtest.split,
            ));
        }
        for failed in &backtest.trainings.failed {
            let window = self.windows.get(failed.window).map_or("", String::as_str);
            line(format_args!("No version at {} on {window}: {}", failed.at, failed.why));
        }
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

    /// The recommended policy and its window, as `afresh.toml` writes them.
    pub fn recommended(&self) -> (&Rule, String) {
        let outcome = &self.backtest.outcome;
        let best = &outcome.scored[outcome.recommended].entry;
        (&best.rule, self.pick(best.pick))
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
