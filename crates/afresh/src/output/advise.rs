//! What a log of predictions told, as sentences, as JSON, and as what the report draws.

mod slices;

use std::path::Path;

use afresh_core::time::{Duration, Timestamp};
use afresh_data::predictions::{Account, Layout};
use afresh_ml::advice::calibrate::Logistic;
use afresh_ml::advice::recommend::Action;
use afresh_ml::advice::tally::Grid;
use afresh_ml::advice::{Findings, Level};
use afresh_report::advice as drawn;
use serde_json::{Value, json};

use super::{line, table};

/// Rows of the table of intervals that people are shown.
const INTERVALS_SHOWN: usize = 8;
/// Levels that a sentence names: the newest.
const LEVELS_SHOWN: usize = 4;
/// Milliseconds of an hour.
const HOUR: i64 = 3_600_000;

/// Findings and what they are told with.
#[derive(Clone, Copy, Debug)]
pub struct Told<'a> {
    pub location: &'a str,
    pub layout: &'a Layout,
    pub account: &'a Account,
    pub findings: &'a Findings,
    pub grid: Grid,
    pub is_default_price: bool,
}

impl Told<'_> {
    /// For people.
    pub fn print(&self, html: &Path) {
        let found = self.findings;
        line(self.headline());
        for sentence in self.evidence() {
            line(sentence);
        }
        line("");
        let header = ["retrained every", "runs", "cost", "saves", "with 95 % confidence"];
        let mut rows = table(&header);
        let payoff = &found.payoff;
        rows.add_row([
            "as logged".to_owned(),
            payoff.runs_logged.to_string(),
            format!("{:.1}", payoff.kept),
            "0.0".to_owned(),
            String::new(),
        ]);
        let step = payoff.every.len().div_ceil(INTERVALS_SHOWN).max(1);
        for every in payoff.every.iter().step_by(step) {
            let best = payoff.best.is_some_and(|best| best.periods == every.periods);
            rows.add_row([
                format!("{}{}", self.length(every.periods), if best { " *" } else { "" }),
                every.runs.to_string(),
                format!("{:.1}", every.cost),
                format!("{:+.1}", every.saving.value),
                format!("{:+.1} to {:+.1}", every.saving.low, every.saving.high),
            ]);
        }
        rows.add_row([
            "hindsight".to_owned(),
            payoff.optimum.starts.len().to_string(),
            format!("{:.1}", payoff.optimum.cost),
            format!("{:+.1}", payoff.optimum.saving),
            String::new(),
        ]);
        line(rows);
        line("");
        self.print_slices();
        line(self.prices());
        for sweep in &payoff.sweep {
            let best = sweep.best.map_or_else(
                || "leave it alone".to_owned(),
                |best| format!("retrain every {}", self.length(best.periods)),
            );
            line(format_args!("  at {:.2} a run (× {}): {best}", sweep.per_run, sweep.factor));
        }
        line("");
        for note in self.notes() {
            line(note);
        }
        line(format_args!("Report: {}", html.display()));
        line(self.next_step());
    }

    /// The one thing to do.
    fn headline(&self) -> String {
        let what = match self.findings.action {
            Action::LeaveAlone => {
                "Leave the model alone: no retraining would have paid for certain.".to_owned()
            }
            Action::Recalibrate => {
                "Recalibrate: the model still tells rows apart, its probabilities are off."
                    .to_owned()
            }
            Action::RetrainOnce => {
                "Retrain once, and watch: one retraining pays, and nothing yet says that it must be repeated."
                    .to_owned()
            }
            Action::RetrainEvery { periods } => {
                format!("Retrain every {}: the model wears out.", self.length(periods))
            }
            Action::Unclear { periods } => format!(
                "Perhaps retrain every {}: the log is too short to tell decay from a season.",
                self.length(periods)
            ),
        };
        format!("{}: {what}", self.location)
    }

    /// What speaks for it, a sentence each.
    fn evidence(&self) -> Vec<String> {
        let found = self.findings;
        let mut sentences = Vec::new();
        let usable = found.periods.iter().filter(|period| period.usable).collect::<Vec<_>>();
        let third = (usable.len() / 3).max(1);
        let mean = |periods: &[&afresh_ml::advice::Period]| {
            let values = periods.iter().filter_map(|period| period.metric.map(|m| m.value));
            let (count, sum) = values.fold((0.0, 0.0), |(n, sum), value| (n + 1.0, sum + value));
            if count > 0.0 { Some(sum / count) } else { None }
        };
        let (first, last) = (mean(&usable[..third]), mean(&usable[usable.len() - third..]));
        if let (Some(first), Some(last)) = (first, last) {
            sentences.push(format!(
                "Its {} went from {first:.4} in the first third to {last:.4} in the last third of {} periods of {}.",
                if found.metric == "auc" { "AUC" } else { found.metric },
                found.periods.len(),
                self.length(1),
            ));
        }
        if let Some(trend) = &found.trend {
            let real = trend.real;
            let sure = real.low > 0.0 || real.high < 0.0;
            sentences.push(format!(
                "Its {} moves by {:+.4} per 30 days of age ({:+.4} to {:+.4}){}; seasons and base rates explain {:+.4} besides.",
                found.loss,
                real.value,
                real.low,
                real.high,
                if sure { "" } else { ", which may be nothing" },
                trend.explained_by_seasons,
            ));
            let unclear =
                trend.seasons.iter().filter(|season| !season.told_apart && !season.averaged);
            let unclear = unclear.map(|season| season.name).collect::<Vec<_>>();
            if !unclear.is_empty() {
                sentences.push(format!(
                    "A pattern that repeats by {} cannot be told from decay: the log does not hold it twice.",
                    unclear.join(" or "),
                ));
            }
        }
        sentences.extend(self.level_sentence());
        sentences.extend(self.slice_sentence());
        if let Some(gain) = found.payoff.recalibration {
            let span = format!("({:.1} to {:.1})", gain.low, gain.high);
            let every = self.length(1);
            sentences.push(if gain.value > 0.0 {
                format!(
                    "Recalibrating before every {every} would have saved {:.1} {span}.",
                    gain.value
                )
            } else {
                format!("Recalibrating before every {every} would have saved nothing {span}.")
            });
        }
        sentences.extend(self.recalibration_sentence());
        let now = found.payoff.excess_now;
        let span = format!("{:+.4} a prediction, {:+.4} to {:+.4}", now.value, now.low, now.high);
        sentences.push(match found.payoff.pays_back_after {
            Some(periods) if now.low > 0.0 && periods < 1.0 => format!(
                "It now loses more than a fresh one would ({span}): a retraining now pays for itself within {}.",
                self.length(1)
            ),
            Some(periods) if now.low > 0.0 => format!(
                "It now loses more than a fresh one would ({span}): a retraining now pays for itself in {periods:.1} \
                 periods."
            ),
            Some(_) => format!(
                "It now seems to lose more than a fresh one would ({span}), which may be nothing."
            ),
            None => format!(
                "It does no worse now than a fresh one would ({span}): a retraining now does not pay."
            ),
        });
        sentences
    }

    /// Where the excess lay, one level after the other; nothing where no version changed its level.
    fn level_sentence(&self) -> Option<String> {
        let levels = &self.findings.levels;
        levels.windows(2).find(|pair| pair[0].version == pair[1].version)?;
        let several = levels.iter().any(|level| level.version != levels[0].version);
        let hidden = levels.len().saturating_sub(LEVELS_SHOWN);
        let one = |(at, level): (usize, &Level)| {
            let from = day(self.start(level.from));
            let until = if at + 1 == levels.len() {
                format!("since {from}")
            } else {
                format!("from {from} to {}", day(self.start(level.to)))
            };
            let version = self.version(level.version);
            let version = if several { format!(" ({version})") } else { String::new() };
            format!("{:+.4} {until}{version}", level.excess)
        };
        let shown = levels.iter().enumerate().skip(hidden).map(one).collect::<Vec<_>>();
        let more =
            if hidden > 0 { format!(" ({hidden} older ones left out)") } else { String::new() };
        Some(format!("Its excess loss lay at these levels{more}: {}.", shown.join(", ")))
    }

    /// How to recalibrate, where that is what to do.
    fn recalibration_sentence(&self) -> Option<String> {
        let last = self.findings.calibration.last()?;
        if self.findings.action != Action::Recalibrate {
            return None;
        }
        match (last.logistic, last.temperature) {
            (Some(Logistic { intercept, slope }), _) => Some(format!(
                "On the last third, logit p' = {intercept:.3} + {slope:.3} · logit p fits best."
            )),
            (None, Some(temperature)) => Some(format!(
                "On the last third, a temperature of {temperature:.3} fits best: p' in proportion to \
                 p^(1/{temperature:.3})."
            )),
            (None, None) => None,
        }
    }

    fn prices(&self) -> String {
        let prices = self.findings.payoff.prices;
        let word = if self.is_default_price { " by default" } else { "" };
        format!(
            "A unit of {} costs {}, a run{word} {:.2}. Assumed: a retrained model is as good as this one was in its first {}, on rows as hard as they were then found to be.",
            self.findings.loss,
            prices.per_loss,
            prices.per_run,
            self.length(self.findings.fresh_periods),
        )
    }

    /// What was left out or is worth knowing.
    fn notes(&self) -> Vec<String> {
        let account = self.account;
        let mut notes = Vec::new();
        let mut note = |count: u64, what: &str| {
            if count > 0 {
                notes.push(format!("{count} of {} rows {what}.", account.rows));
            }
        };
        note(account.unlabelled, "have no label yet");
        note(account.without_prediction, "have no prediction and were left out");
        note(account.without_time, "have no time and were left out");
        note(account.without_weight, "have no weight and were left out");
        note(account.later, "are from later than now and were left out");
        note(account.early, "have a label older than their prediction and were left out");
        note(account.out_of_order, "are older than the row before them, which does no harm");
        notes
    }

    fn next_step(&self) -> &'static str {
        match self.findings.action {
            Action::LeaveAlone => {
                "Next: run this again when more labels are in, or watch it with `afresh run`."
            }
            Action::Recalibrate
            | Action::RetrainOnce
            | Action::RetrainEvery { .. }
            | Action::Unclear { .. } => {
                "Next: `afresh init FILE` on the rows that train it writes a configuration; `afresh replay` shows what it would buy."
            }
        }
    }

    /// For scripts.
    pub fn json(&self, html: &Path) -> Value {
        let (layout, account) = (self.layout, self.account);
        let mut value = json!(self.findings);
        value["periods"] = self
            .findings
            .periods
            .iter()
            .enumerate()
            .map(|(at, period)| {
                let mut value = json!(period);
                value["from"] = json!(self.start(at).to_string());
                value["to"] = json!(self.start(at + 1).to_string());
                value["version"] = json!(self.version(period.version));
                value
            })
            .collect();
        let levels = self.findings.levels.iter().enumerate().map(|(at, level)| {
            let is_last = at + 1 == self.findings.levels.len();
            let to = Some(self.start(level.to).to_string()).filter(|_| !is_last);
            json!({
                "from": self.start(level.from).to_string(), "to": to,
                "version": self.version(level.version), "excess": level.excess,
            })
        });
        value["levels"] = levels.collect();
        value["sliced"] = self.json_slices();
        value["alarm"] =
            json!(self.findings.alarm_hour.map(|hour| Timestamp(hour * HOUR).to_string()));
        value["period_hours"] = json!(self.grid.period_hours);
        value["task"] = json!(layout.task());
        value["columns"] = json!({
            "time": layout.time, "prediction": layout.predictions, "label": layout.label,
            "label_time": layout.label_time, "version": layout.version, "weight": layout.weight,
            "slices": layout.slices,
        });
        value["rows"] = json!({
            "read": account.rows, "labelled": account.labelled, "unlabelled": account.unlabelled,
            "without_time": account.without_time, "without_prediction": account.without_prediction,
            "without_weight": account.without_weight, "later": account.later,
            "early_labels": account.early, "out_of_order": account.out_of_order,
        });
        value["headline"] = json!(self.headline());
        value["evidence"] = json!(self.evidence());
        value["report"] = json!(html.display().to_string());
        value
    }

    /// What the report draws.
    pub fn drawn(&self) -> drawn::Advice {
        let found = self.findings;
        let span = |interval: afresh_ml::advice::payoff::Interval| {
            (interval.value, interval.low, interval.high)
        };
        let periods = found.periods.iter().enumerate().map(|(at, period)| drawn::Period {
            from_ms: self.start(at).0,
            to_ms: self.start(at + 1).0,
            rows: period.rows,
            unlabelled: period.unlabelled,
            version: self.version(period.version).to_owned(),
            metric: period.metric.map(span),
            loss: period.loss.map(span),
            fresh: period.fresh,
            level: period.level,
            recalibrated: period.recalibrated,
            label: period.label,
            prediction: period.prediction,
            usable: period.usable,
        });
        let phases = |phases: &[afresh_ml::advice::Phase], names: &[&str]| {
            let phases = phases.iter().map(|phase| {
                let name = names.get(phase.at as usize);
                let name = name.map_or_else(|| format!("{:02}:00", phase.at), ToString::to_string);
                (name, phase.loss, phase.difficulty)
            });
            phases.collect::<Vec<_>>()
        };
        let calibration = found.calibration.iter().map(|part| drawn::Calibration {
            part: part.part.to_owned(),
            bins: part
                .bins
                .iter()
                .map(|bin| (bin.predicted, bin.observed, bin.low, bin.high))
                .collect(),
            expected_error: part.expected_error,
            miscalibration: part.parts.map(|parts| parts.miscalibration),
            discrimination: part.parts.map(|parts| parts.discrimination),
            uncertainty: part.parts.map(|parts| parts.uncertainty),
            temperature: part.temperature,
        });
        let payoff = &found.payoff;
        drawn::Advice {
            location: self.location.to_owned(),
            headline: self.headline(),
            evidence: self.evidence(),
            notes: self.notes(),
            prices: self.prices(),
            next_step: self.next_step().to_owned(),
            metric: found.metric.to_owned(),
            loss: found.loss.to_owned(),
            period: self.length(1),
            periods: periods.collect(),
            levels: found
                .levels
                .iter()
                .map(|level| drawn::Level {
                    from_ms: self.start(level.from).0,
                    to_ms: self.start(level.to).0,
                    version: self.version(level.version).to_owned(),
                    excess: level.excess,
                })
                .collect(),
            slices: self.drawn_slices(),
            hours: phases(&found.hours, &[]),
            weekdays: phases(&found.weekdays, &["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]),
            calibration: calibration.collect(),
            ages: found.ages.iter().map(|age| (age.periods, age.excess)).collect(),
            every: payoff
                .every
                .iter()
                .map(|every| drawn::Every {
                    length: self.length(every.periods),
                    periods: every.periods,
                    runs: every.runs,
                    cost: every.cost,
                    saving: span(every.saving),
                    is_best: payoff.best.is_some_and(|best| best.periods == every.periods),
                })
                .collect(),
            kept: payoff.kept,
            hindsight: payoff.optimum.cost,
            sweep: payoff
                .sweep
                .iter()
                .map(|sweep| drawn::Sweep {
                    factor: sweep.factor,
                    per_run: sweep.per_run,
                    best: sweep.best.map(|best| (self.length(best.periods), best.saving.value)),
                    hindsight: sweep.optimum.saving,
                })
                .collect(),
        }
    }

    /// Beginning of a period.
    fn start(&self, period: usize) -> Timestamp {
        let hours = i64::from(self.grid.period_hours) * i64::try_from(period).unwrap_or(0);
        Timestamp((self.grid.from_hour + hours) * HOUR)
    }

    fn length(&self, periods: usize) -> String {
        let hours = u64::from(self.grid.period_hours) * u64::try_from(periods).unwrap_or(1);
        Duration::hours(hours).to_string()
    }

    fn version(&self, version: u16) -> &str {
        self.account.versions.get(usize::from(version)).map_or("", String::as_str)
    }
}

/// The day, in UTC.
fn day(at: Timestamp) -> String {
    at.to_string().chars().take(10).collect()
}
