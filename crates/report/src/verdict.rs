//! The report's header: what management bought and what it cost, in one sentence made from the numbers.

use maud::{Markup, html};

use crate::format::{self, fixed, percent, plural};
use crate::replay::{Arm, Replay, defined};
use crate::table::badge;

/// How it went, and the sentences that say so.
struct Outcome {
    tone: Tone,
    headline: String,
    details: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Tone {
    /// Better than never, for less than always.
    PaidOff,
    /// Better than never, at always's price or more.
    Dear,
    /// No different from never.
    Level,
    /// Worse than never.
    Lost,
    /// Nothing to compare.
    Unknown,
}

/// The page's header.
pub(crate) fn header(replay: &Replay) -> Markup {
    let outcome = outcome(replay);
    let title = if replay.title.is_empty() { &replay.model } else { &replay.title };
    let (tone, shape, word) = outcome.tone.badge();
    html! {
        p.brand { (logo()) span { "Afresh" } span.kind { "Replay report" } }
        h1 { (title) }
        p.verdict { (badge(tone, shape, word)) " " (outcome.headline) }
        @if !outcome.details.is_empty() {
            p.details { @for detail in &outcome.details { (detail) " " } }
        }
        dl.facts { @for (name, value) in facts(replay) { div { dt { (name) } dd { (value) } } } }
    }
}

impl Tone {
    fn badge(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Tone::PaidOff => ("good", "▲", "Paid off"),
            Tone::Dear => ("warn", "◆", "Better, but dear"),
            Tone::Level => ("calm", "●", "No difference"),
            Tone::Lost => ("bad", "▼", "Did not pay"),
            Tone::Unknown => ("calm", "○", "Nothing to compare"),
        }
    }
}

fn facts(replay: &Replay) -> Vec<(&'static str, String)> {
    let mut facts = Vec::new();
    if replay.title != replay.model && !replay.title.is_empty() && !replay.model.is_empty() {
        facts.push(("Model", replay.model.clone()));
    }
    if let (Some(first), Some(last)) = (replay.periods.first(), replay.periods.last()) {
        facts.push(("History", format::span(first.from_ms, last.to_ms)));
        let length =
            if replay.period.is_empty() { String::new() } else { format!(" of {}", replay.period) };
        facts.push(("Periods", format!("{}{length}", format::count(replay.periods.len() as u64))));
        facts.push(("Rows scored", format::count(replay.periods.iter().map(|p| p.rows).sum())));
    }
    let texts = [("Training window", &replay.window), ("Configuration", &replay.generated_from)];
    facts.extend(texts.into_iter().filter(|(_, t)| !t.is_empty()).map(|(n, t)| (n, t.clone())));
    facts
}

fn outcome(replay: &Replay) -> Outcome {
    let metric = format!("mean {}", format::metric_name(&replay.metric));
    let unknown = |headline: String| Outcome { tone: Tone::Unknown, headline, details: Vec::new() };
    if replay.periods.is_empty() {
        return unknown("The replay has no whole period, so there is nothing to judge.".to_owned());
    }
    let Some(managed) = replay.arm("managed") else {
        return unknown("The replay has no managed arm, so there is nothing to judge.".to_owned());
    };
    let Some(value) = defined(managed.metric_mean) else {
        let all = match replay.periods.len() {
            1 => "its only period".to_owned(),
            n => format!("all {n} periods"),
        };
        return unknown(format!("The {metric} of managed is undefined in {all}."));
    };
    let mut comparison = Comparison { replay, managed, value, tone: Tone::Unknown };
    let versus_never = comparison.versus_never();
    let share = comparison.cost_share();
    if comparison.tone == Tone::PaidOff && share.is_some_and(|share| share >= 1.0) {
        comparison.tone = Tone::Dear;
    }
    let cost = share.map(|s| format!("{} of always's training CPU", percent(s)));
    let ends = [versus_never, cost].into_iter().flatten().collect::<Vec<_>>();
    let colon = if ends.is_empty() { "" } else { ": " };
    let headline = format!(
        "Managed {} {metric} {} with {}{colon}{}.",
        if comparison.tone == Tone::Lost { "fell to" } else { "kept" },
        fixed(Some(value), comparison.decimals()),
        plural(managed.retrains, "retrain"),
        ends.join(", "),
    );
    let details = comparison.details();
    Outcome { tone: comparison.tone, headline, details }
}

/// The managed arm beside the others.
struct Comparison<'a> {
    replay: &'a Replay,
    managed: &'a Arm,
    value: f64,
    tone: Tone,
}

impl Comparison<'_> {
    fn decimals(&self) -> usize {
        format::decimals(self.value)
    }

    /// How much better managed is than the arm called `name`; zero where the report would show zero.
    fn gain_over(&self, name: &str) -> Option<f64> {
        let other = defined(self.replay.arm(name)?.metric_mean)?;
        let gain =
            if self.replay.higher_is_better { self.value - other } else { other - self.value };
        let shown = fixed(Some(gain), self.decimals());
        Some(if shown.bytes().any(|b| b.is_ascii_digit() && b != b'0') { gain } else { 0.0 })
    }

    fn versus_never(&mut self) -> Option<String> {
        let gain = self.gain_over("never")?;
        let by = fixed(Some(gain.abs()), self.decimals());
        let (tone, text) = match gain {
            _ if gain == 0.0 => (Tone::Level, "level with never".to_owned()),
            _ if gain > 0.0 && self.replay.higher_is_better => {
                (Tone::PaidOff, format!("+{by} over never"))
            }
            _ if gain > 0.0 => (Tone::PaidOff, format!("{by} lower than never")),
            _ if self.replay.higher_is_better => (Tone::Lost, format!("{by} below never")),
            _ => (Tone::Lost, format!("{by} above never, where lower is better")),
        };
        self.tone = tone;
        Some(text)
    }

    fn cost_share(&self) -> Option<f64> {
        let always = self.replay.arm("always")?.training_cpu_seconds;
        let share = self.managed.training_cpu_seconds / always;
        (always > 0.0 && share.is_finite()).then_some(share)
    }

    fn details(&self) -> Vec<String> {
        let mut details = Vec::new();
        if let Some(always) = self.replay.arm("always")
            && let Some(reached) = defined(always.metric_mean)
            && let Some(gain) = self.gain_over("always")
        {
            let reached = format!(
                "Always reached {} with {}",
                fixed(Some(reached), self.decimals()),
                plural(always.retrains, "retrain")
            );
            let against_never = self.gain_over("never").unwrap_or(0.0);
            let always_against_never = against_never - gain;
            details.push(match gain {
                _ if gain >= 0.0 && always_against_never <= 0.0 => {
                    format!("{reached}: retraining every period gained nothing here.")
                }
                _ if gain > 0.0 => format!("{reached}: managed did better with less."),
                _ if gain == 0.0 => format!("{reached}: managed is level with it."),
                _ if against_never > 0.0 => format!(
                    "{reached}: managed kept {} of its gain over never.",
                    percent(against_never / always_against_never)
                ),
                _ => format!("{reached}: that gain was missed."),
            });
        }
        let mut events = Vec::new();
        if self.managed.rejected > 0 {
            events.push(format!("{} rejected", plural(self.managed.rejected, "candidate")));
        }
        if self.managed.rolled_back > 0 {
            events.push(format!("{} rolled back", plural(self.managed.rolled_back, "promotion")));
        }
        if !events.is_empty() {
            details.push(format!("On the way: {}.", events.join(", ")));
        }
        if self.managed.periods_undefined > 0 {
            details.push(format!(
                "The metric was undefined in {}.",
                plural(self.managed.periods_undefined, "period")
            ));
        }
        details
    }
}

pub(crate) fn logo() -> Markup {
    html! {
        svg viewBox="0 0 24 24" aria-hidden="true" {
            path d="M20 12a8 8 0 1 1-2.6-5.9" {}
            path d="M20.5 2.5v5h-5" {}
            path d="M8.2 12.4l2.7 2.7 5-5.4" {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::replay::Period;

    fn arm(name: &str, metric_mean: f64, retrains: u64, cpu: f64) -> Arm {
        Arm {
            name: name.to_owned(),
            metric_mean: Some(metric_mean),
            retrains,
            training_cpu_seconds: cpu,
            ..Arm::default()
        }
    }

    fn said(higher_is_better: bool, arms: [Arm; 3]) -> (Tone, String) {
        let replay = Replay {
            metric: if higher_is_better { "auc" } else { "rmse" }.to_owned(),
            higher_is_better,
            arms: arms.into(),
            periods: vec![Period::default()],
            ..Replay::default()
        };
        let outcome = outcome(&replay);
        let mut text = vec![outcome.headline];
        text.extend(outcome.details);
        (outcome.tone, text.join(" "))
    }

    #[test]
    fn a_gain_is_told_with_its_price() {
        let (tone, text) = said(
            true,
            [
                arm("managed", 0.690, 11, 14.5),
                arm("never", 0.642, 0, 0.6),
                arm("always", 0.7, 47, 30.8),
            ],
        );
        assert_eq!(tone, Tone::PaidOff);
        assert_eq!(
            text,
            "Managed kept mean AUC 0.690 with 11 retrains: +0.048 over never, 47 % of always's \
             training CPU. Always reached 0.700 with 47 retrains: managed kept 83 % of its gain \
             over never."
        );
    }

    #[test]
    fn a_loss_is_admitted() {
        let (tone, text) = said(
            false,
            [arm("managed", 12.5, 1, 4.0), arm("never", 12.0, 0, 1.0), arm("always", 11.0, 9, 2.0)],
        );
        assert_eq!(tone, Tone::Lost);
        assert_eq!(
            text,
            "Managed fell to mean RMSE 12.50 with 1 retrain: 0.50 above never, where lower is \
             better, 200 % of always's training CPU. Always reached 11.00 with 9 retrains: that \
             gain was missed."
        );
    }

    #[test]
    fn lower_is_better_where_the_metric_says_so() {
        let (tone, text) = said(
            false,
            [arm("managed", 3.2, 2, 4.0), arm("never", 3.6, 0, 1.0), arm("always", 3.1, 9, 3.0)],
        );
        assert_eq!(tone, Tone::Dear);
        assert!(text.contains("0.400 lower than never, 133 %"), "{text}");
        assert!(text.contains("kept 80 % of its gain"), "{text}");
    }

    #[test]
    fn no_visible_difference_is_no_difference() {
        let (tone, text) = said(
            true,
            [
                arm("managed", 0.7001, 0, 1.0),
                arm("never", 0.7, 0, 1.0),
                arm("always", 0.69, 9, 9.0),
            ],
        );
        assert_eq!(tone, Tone::Level);
        assert!(text.contains("level with never"), "{text}");
        assert!(text.contains("retraining every period gained nothing"), "{text}");
    }

    #[test]
    fn an_undefined_metric_is_not_a_verdict() {
        let (tone, text) = said(
            true,
            [
                arm("managed", f64::NAN, 0, 1.0),
                arm("never", 0.7, 0, 1.0),
                arm("always", 0.7, 9, 0.0),
            ],
        );
        assert_eq!(tone, Tone::Unknown);
        assert_eq!(text, "The mean AUC of managed is undefined in its only period.");
        assert_eq!(outcome(&Replay::default()).tone, Tone::Unknown);
    }
}
