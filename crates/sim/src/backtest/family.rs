//! The policies that compete, each with the parameters that are tried on the first half.

use afresh_policy::rule::{Detector, Rule};

/// A policy whose parameters are still open.
#[derive(Clone, Debug, PartialEq)]
pub struct Family {
    /// As the table names it.
    pub name: String,
    /// The same rule with different parameters, the plainest first.
    pub rules: Vec<Rule>,
}

/// What the grids of parameters are measured by; known at the end of the first half.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scale {
    /// Periods of the first half.
    pub periods: usize,
    /// Rows of the median period.
    pub rows: f64,
    /// What the first champion's loss costs in the median period.
    pub loss_cost: f64,
    /// CPU hours of a run.
    pub run_cpu_hours: f64,
}

const RHYTHMS: [u32; 10] = [1, 2, 3, 4, 5, 6, 8, 10, 13, 26];

/// Every policy of the contest.
#[must_use]
pub fn all(scale: &Scale) -> Vec<Family> {
    let rhythms = || {
        let longest = u32::try_from(scale.periods).unwrap_or(u32::MAX);
        RHYTHMS.into_iter().filter(move |periods| *periods <= longest)
    };
    let mut families = vec![
        Family::new("never", [Rule::Never]),
        Family::new("always", [Rule::Always]),
        Family::new("periodic", rhythms().map(|periods| Rule::Every { periods })),
        Family::new("cara-p", rhythms().flat_map(phases)),
        Family::new(
            "volume",
            [1.0, 2.0, 3.0, 4.0, 6.0, 8.0, 13.0].map(|share| volume(scale, share)),
        ),
        Family::new("drift", [0.05, 0.1, 0.15, 0.2, 0.3, 0.5].map(|score| Rule::Drift { score })),
        Family::new("ks", [Rule::KolmogorovSmirnov { p: 0.01 }]),
        Family::new("markov", [0.1, 0.3, 1.0, 3.0, 10.0].map(|factor| Rule::Markov { factor })),
        Family::new("economic", [0.7, 1.0, 1.4].map(economic)),
        Family::new("cara-t", SHARES.map(|share| Rule::CaraT { cost: share * scale.loss_cost })),
        Family::new(
            "cara-ct",
            MULTIPLES.map(|times| Rule::CaraCt { cost: times * scale.loss_cost }),
        ),
        Family::new("budget-queue", budgets(scale)),
    ];
    for test in [Detector::Sequential, Detector::TTest, Detector::Adwin, Detector::Cusum] {
        let decay = || Rule::Decay { test };
        let rested = |periods| Rule::All { of: vec![decay(), Rule::Every { periods }] };
        let rules = [decay()].into_iter().chain([2, 4].map(rested));
        families.push(Family::new(test.name(), rules));
    }
    let surf = |trial| Rule::DriftSurf { test: Detector::Sequential, trial };
    families.push(Family::new("driftsurf", [1, 2, 4].map(surf)));
    // A rhythm gives the forecast its first errors of older versions.
    let upf = |horizon| Rule::Any { of: vec![Rule::Upf { horizon }, Rule::Every { periods: 8 }] };
    families.push(Family::new("upf", [2, 4, 8].map(upf)));
    let both = rhythms().filter(|periods| 3 <= *periods);
    let both = both.flat_map(|periods| [1, 2].map(|rest| Rule::periodic_decay(periods, rest)));
    families.push(Family::new("periodic+decay", both));
    let drift_and_decay = |score| {
        let decay = Rule::Decay { test: Detector::Sequential };
        Rule::All { of: vec![Rule::Drift { score }, decay] }
    };
    families.push(Family::new("drift and decay", [0.05, 0.1, 0.2].map(drift_and_decay)));
    let two_of_three = |periods| {
        let decay = Rule::Decay { test: Detector::Sequential };
        let of = vec![Rule::Drift { score: 0.1 }, decay, Rule::Every { periods }];
        Rule::AtLeast { count: 2, of }
    };
    families.push(Family::new("two of drift, decay, rhythm", [2, 4, 8].map(two_of_three)));
    families.retain(|family| !family.rules.is_empty());
    families
}

/// Name of the policy that is configured.
pub const CONFIGURED: &str = "configured";

/// Around 1: a threshold on one period's loss lies near that loss.
const SHARES: [f64; 8] = [0.85, 0.9, 0.95, 1.0, 1.05, 1.1, 1.2, 1.4];
/// In periods' losses, half-way between whole numbers.
const MULTIPLES: [f64; 9] = [0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 7.5, 9.5, 12.5];

impl Family {
    /// The owner's, with nothing left to tune.
    pub(super) fn configured(rule: Rule) -> Family {
        Family::new(CONFIGURED, [rule])
    }

    fn new(name: &str, rules: impl IntoIterator<Item = Rule>) -> Family {
        Family { name: name.to_owned(), rules: rules.into_iter().collect() }
    }
}

fn phases(periods: u32) -> Vec<Rule> {
    // All offsets of short rhythms; of long ones a few.
    let step = periods.div_ceil(4).max(1);
    (0..periods).step_by(step as usize).map(|offset| Rule::Phase { periods, offset }).collect()
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a number of rows, far below 2^53"
)]
fn volume(scale: &Scale, share: f64) -> Rule {
    Rule::Volume { rows: (0.95 * share * scale.rows).max(1.0) as u64 }
}

/// Until versions can be compared a slow rhythm makes some.
fn economic(factor: f64) -> Rule {
    let start = Rule::Every { periods: 8 };
    Rule::Any { of: vec![Rule::Economic { factor }, start] }
}

/// From one run in two periods to one in ten.
fn budgets(scale: &Scale) -> Vec<Rule> {
    if scale.run_cpu_hours <= 0.0 {
        return Vec::new();
    }
    let rule =
        |(share, weight)| Rule::BudgetQueue { cpu_hours: share * scale.run_cpu_hours, weight };
    let shares = [0.5, 0.25, 0.1];
    shares.into_iter().flat_map(|share| [1.0, 10.0].map(|weight| rule((share, weight)))).collect()
}
