//! Every policy on a stream, stated here, on which it costs less than both always and never.
//!
//! A concept moves; a model trained at s knows the concept of s, and loses in proportion to how far
//! it has moved since. Weeks also differ in difficulty, which no model can help. A model trained
//! in a period serves from the next one on.

use afresh_core::id::VersionId;
use afresh_core::time::Timestamp;

use super::WEEK;
use crate::adviser::Adviser;
use crate::observation::{Alarms, Evidence, Loss, Observation, Retired};
use crate::prices::Prices;
use crate::rule::{Detector, Rule};
use crate::settings::Settings;

const PERIODS: usize = 60;

struct Stream {
    /// Where the concept is in each period.
    concept: fn(usize) -> f64,
    rows: fn(usize) -> u64,
    /// Price of a run.
    run: f64,
}

/// The concept drifts by a little in every period.
const GRADUAL: Stream = Stream { concept: |t| 0.01 * small(t), rows: |_| 1_000, run: 100.0 };
/// The concept jumps twice and rests between.
const ABRUPT: Stream = Stream {
    concept: |t| {
        if t < 20 {
            0.0
        } else if t < 40 {
            0.2
        } else {
            0.4
        }
    },
    rows: |_| 1_000,
    run: 50.0,
};
/// The concept drifts, and nearly all rows come in every tenth period.
const BURSTS: Stream = Stream {
    concept: |t| 0.01 * small(t),
    rows: |t| if t % 10 == 9 { 8_000 } else { 200 },
    run: 100.0,
};

#[expect(clippy::cast_precision_loss, reason = "a few periods")]
fn small(t: usize) -> f64 {
    t as f64
}

impl Stream {
    /// Mean loss in period `t` of the model trained at the end of period `s`.
    fn loss(&self, s: usize, t: usize) -> f64 {
        let difficulty = 0.5 + 0.02 * (small(t * 7) * 0.9).sin();
        difficulty + ((self.concept)(t) - (self.concept)(s)).abs()
    }

    /// What `rule` costs, and how often it retrains.
    fn cost(&self, rule: &Rule) -> (f64, usize) {
        let prices = Prices { per_run: Some(self.run), ..Prices::default() };
        let mut adviser = Adviser::new(Settings { rule: rule.clone(), rows_min: 1, prices });
        let (mut trained, mut cost, mut runs) = (vec![0], 0.0, 0);
        let (mut available, mut spent) = (0, 0.0);
        for t in 1..PERIODS {
            let champion = trained[trained.len() - 1];
            let rows = (self.rows)(t);
            available += rows;
            let mean = self.loss(champion, t);
            #[expect(clippy::cast_precision_loss, reason = "a few rows")]
            let price = mean * rows as f64;
            cost += price;
            let moved = ((self.concept)(t) - (self.concept)(champion)).abs();
            let alarm = moved > 0.1;
            let age = |s: usize| u32::try_from(t - s).unwrap();
            let retired = trained[..trained.len() - 1].iter().rev().take(3);
            adviser.observe(&Observation {
                at: Timestamp(i64::try_from(t).unwrap() * WEEK),
                champion: VersionId(trained.len() as u64),
                rows,
                available_since_cut: available,
                drift: Some(moved.min(1.0)),
                loss: Some(Loss { mean, rows, baseline: 0.5, alarm, e_value: 50.0 }),
                evidence: Evidence {
                    alarms: Alarms { t_test: alarm, adwin: alarm, cusum: alarm },
                    smallest_p: Some(if moved > 0.15 { 1e-9 } else { 0.5 }),
                    retired: retired
                        .map(|s| Retired { age: age(*s), mean: self.loss(*s, t) })
                        .collect(),
                    spent_cpu_hours: spent,
                    ..Evidence::default()
                },
            });
            spent = 0.0;
            if adviser.wants() {
                (runs, available, spent) = (runs + 1, 0, 1.0);
                cost += self.run;
                trained.push(t);
            }
        }
        (cost, runs)
    }

    fn is_won_by(&self, rule: &Rule) {
        rule.check().unwrap();
        let (never, _) = self.cost(&Rule::Never);
        let (always, _) = self.cost(&Rule::Always);
        let (cost, runs) = self.cost(rule);
        // By a tenth of what it could be about: neither is beaten by rounding.
        let limit = never.min(always) - 0.1 * (never - always).abs();
        let what = rule.name();
        assert!(
            cost < limit,
            "{what}: {cost:.0} with {runs}, never {never:.0}, always {always:.0}"
        );
    }
}

#[test]
fn rhythms_win_where_models_age_steadily() {
    GRADUAL.is_won_by(&Rule::Every { periods: 4 });
    GRADUAL.is_won_by(&Rule::Phase { periods: 4, offset: 1 });
    GRADUAL.is_won_by(&Rule::WarmUp { periods: 2, then: Box::new(Rule::Every { periods: 4 }) });
}

#[test]
fn volume_wins_where_rows_come_in_bursts() {
    BURSTS.is_won_by(&Rule::Volume { rows: 1_700 });
}

#[test]
fn economic_finds_its_rhythm_by_itself() {
    // The first versions that can be compared come from a rhythm.
    let start = Rule::All { of: vec![Rule::Every { periods: 12 }, Rule::Volume { rows: 1 }] };
    GRADUAL.is_won_by(&Rule::Any { of: vec![Rule::Economic { factor: 1.0 }, start] });
}

#[test]
fn costs_of_staleness_win_where_models_age_steadily() {
    GRADUAL.is_won_by(&Rule::Markov { factor: 0.5 });
    GRADUAL.is_won_by(&Rule::CaraT { cost: 540.0 });
    GRADUAL.is_won_by(&Rule::CaraCt { cost: 2_000.0 });
    // One run in four periods is allowed.
    GRADUAL.is_won_by(&Rule::BudgetQueue { cpu_hours: 0.25, weight: 1.0 });
}

#[test]
fn forecasts_win_where_models_age_steadily() {
    // A rhythm gives the forecast its first errors of older versions.
    let of = vec![Rule::Upf { horizon: 4 }, Rule::Every { periods: 8 }];
    GRADUAL.is_won_by(&Rule::Any { of });
}

#[test]
fn alarms_win_where_the_concept_jumps() {
    ABRUPT.is_won_by(&Rule::Drift { score: 0.15 });
    ABRUPT.is_won_by(&Rule::KolmogorovSmirnov { p: 0.01 });
    for test in [Detector::Sequential, Detector::TTest, Detector::Adwin, Detector::Cusum] {
        ABRUPT.is_won_by(&Rule::Decay { test });
        ABRUPT.is_won_by(&Rule::DriftSurf { test, trial: 2 });
    }
}

#[test]
fn compositions_win_where_the_concept_jumps() {
    let drift = || Rule::Drift { score: 0.15 };
    let decay = || Rule::Decay { test: Detector::Sequential };
    ABRUPT.is_won_by(&Rule::Any { of: vec![drift(), decay()] });
    ABRUPT.is_won_by(&Rule::All { of: vec![drift(), decay()] });
    let every = Rule::Every { periods: 30 };
    ABRUPT.is_won_by(&Rule::AtLeast { count: 2, of: vec![drift(), decay(), every] });
    ABRUPT.is_won_by(&Rule::periodic_decay(30, 1));
}

#[test]
fn where_nothing_changes_no_alarm_costs_anything() {
    let still = Stream { concept: |_| 0.0, rows: |_| 1_000, run: 50.0 };
    let (never, _) = still.cost(&Rule::Never);
    for rule in [
        Rule::Drift { score: 0.15 },
        Rule::Decay { test: Detector::Sequential },
        Rule::Economic { factor: 1.0 },
        Rule::Markov { factor: 1.0 },
    ] {
        let (cost, runs) = still.cost(&rule);
        assert!(cost <= 1.02 * never, "{}: {runs} runs", rule.name());
    }
}
