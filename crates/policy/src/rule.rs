//! When to retrain: every rule is a pure function of a model's history and the prices, so that all
//! of them can be composed, tuned and replaced without state of their own.
//!
//! | rule | source |
//! |---|---|
//! | Markov, CARA-T, CARA-CT, CARA-P | Mahadevan & Mathioudakis 2024, arXiv 2310.04216 |
//! | UPF | Regol et al., ICML 2025, arXiv 2505.14903 |
//! | DriftSurf | Tahmasbi et al., ICML 2021 |
//! | budget queue | RCCDA, arXiv 2505.24149, after Neely's drift plus penalty |
//! | economic | the economic order quantity (Harris 1913) on the measured ageing of versions |

mod compose;
pub(crate) mod loss;
mod rhythm;
mod upf;

use afresh_core::signal::{Priority, Verdict};
use serde::{Deserialize, Serialize};

use crate::history::History;
use crate::prices::Prices;

/// When to retrain.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", tag = "rule")]
pub enum Rule {
    /// Keeps for ever.
    Never,
    /// Retrains in every period.
    Always,
    /// Leaves it to the thresholds of the core.
    Thresholds,
    /// When so many periods have passed since the last run.
    Every {
        /// At least 1.
        periods: u32,
    },
    /// CARA-P: in the periods whose number leaves this remainder.
    Phase {
        /// At least 1.
        periods: u32,
        /// Below `periods`.
        offset: u32,
    },
    /// When so many rows have become available since the last training.
    Volume {
        /// At least 1.
        rows: u64,
    },
    /// When the drift score reaches this.
    Drift {
        /// In (0, 1].
        score: f64,
    },
    /// When a column's Kolmogorov–Smirnov test, corrected for their number, falls below this: what
    /// most tools do, and too often.
    KolmogorovSmirnov {
        /// In (0, 1).
        p: f64,
    },
    /// While a detector over the champion's losses shows decay.
    Decay {
        /// Which.
        test: Detector,
    },
    /// When the champion's excess over a fresh model in the last period costs as much as a run.
    Markov {
        /// Multiplies the price of the run; 1 is the paper's rule.
        factor: f64,
    },
    /// CARA-T: when the champion's loss in the last period costs more than this.
    CaraT {
        /// In the owner's unit.
        cost: f64,
    },
    /// CARA-CT: when the champion's losses since the last run together cost more than this.
    CaraCt {
        /// In the owner's unit.
        cost: f64,
    },
    /// When the champion is as old as it pays to let it grow: retraining every φ periods costs κ / φ
    /// + g · φ / 2 a period, which is least at φ = √(2 κ / g).
    Economic {
        /// Multiplies φ; 1 is the optimum for ageing at a constant rate.
        factor: f64,
    },
    /// When what a run would gain outweighs what the budget's queue makes of its price.
    BudgetQueue {
        /// CPU hours allowed per period.
        cpu_hours: f64,
        /// Weight of the gain against the queue.
        weight: f64,
    },
    /// UPF: when the foretold error of keeping exceeds that of retraining, the run's price included, at
    /// the 95th percentile.
    Upf {
        /// Periods looked ahead, at least 1.
        horizon: u32,
    },
    /// DriftSurf: on an alarm a fresh version is tried beside the old one for a while, the better one
    /// serves, and it stays only if it won as a whole. Live the trial is the gate and the canary's.
    DriftSurf {
        /// What raises the alarm.
        test: Detector,
        /// Periods of the trial, at least 1.
        trial: u32,
    },
    /// When one of them says so.
    Any {
        /// At least one.
        of: Vec<Rule>,
    },
    /// When all of them say so.
    All {
        /// At least one.
        of: Vec<Rule>,
    },
    /// When at least `count` of them say so.
    AtLeast {
        /// From 1 to their number.
        count: usize,
        /// At least one.
        of: Vec<Rule>,
    },
    /// As `then`, once so many periods were seen.
    WarmUp {
        /// Periods.
        periods: u32,
        /// What follows.
        then: Box<Rule>,
    },
}

/// A detector over the champion's losses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Detector {
    /// The anytime-valid test.
    Sequential,
    /// The t-test over the last period's buckets.
    TTest,
    /// ADWIN.
    Adwin,
    /// CUSUM.
    Cusum,
}

/// What a rule says of a history.
#[derive(Clone, Debug, PartialEq)]
pub struct Opinion {
    /// Retrain or keep.
    pub verdict: Verdict,
    /// How urgent.
    pub priority: Priority,
    /// The numbers, in words.
    pub reasons: Vec<String>,
}

impl Rule {
    /// The recommended rule without a backtest: every so many periods, and after `rest` already
    /// while the sequential test shows decay.
    #[must_use]
    pub fn periodic_decay(periods: u32, rest: u32) -> Rule {
        let decay = Rule::Decay { test: Detector::Sequential };
        let rested = Rule::All { of: vec![decay, Rule::Every { periods: rest }] };
        Rule::Any { of: vec![rested, Rule::Every { periods }] }
    }

    /// What the rule says.
    #[must_use]
    pub fn opinion(&self, history: &History, prices: &Prices) -> Opinion {
        self.speak(&Ground { history, prices, in_words: true })
    }

    /// Whether the rule wants a retraining: the same, without finding words for it.
    #[must_use]
    pub fn wants(&self, history: &History, prices: &Prices) -> bool {
        self.speak(&Ground { history, prices, in_words: false }).retrains()
    }

    fn speak(&self, ground: &Ground<'_>) -> Opinion {
        if ground.history.newest().is_none() {
            return ground.keep(format_args!("nothing was observed yet"));
        }
        match self {
            Rule::Never => ground.keep(format_args!("never")),
            Rule::Always => ground.says(true, format_args!("always")),
            Rule::Thresholds => ground.keep(format_args!("left to the thresholds")),
            Rule::Every { periods } => rhythm::every(ground, *periods),
            Rule::Phase { periods, offset } => rhythm::phase(ground, *periods, *offset),
            Rule::Volume { rows } => rhythm::volume(ground, *rows),
            Rule::Economic { factor } => rhythm::economic(ground, *factor),
            Rule::Drift { score } => loss::drift(ground, *score),
            Rule::KolmogorovSmirnov { p } => loss::kolmogorov_smirnov(ground, *p),
            Rule::Decay { test } => loss::decay(ground, *test),
            Rule::Markov { factor } => loss::markov(ground, *factor),
            Rule::CaraT { cost } => loss::cara_t(ground, *cost),
            Rule::CaraCt { cost } => loss::cara_ct(ground, *cost),
            Rule::BudgetQueue { cpu_hours, weight } => {
                loss::budget_queue(ground, *cpu_hours, *weight)
            }
            Rule::Upf { horizon } => upf::upf(ground, *horizon),
            Rule::DriftSurf { test, .. } => loss::decay(ground, *test),
            Rule::Any { of } => compose::at_least(1, of, ground),
            Rule::All { of } => compose::at_least(of.len(), of, ground),
            Rule::AtLeast { count, of } => compose::at_least(*count, of, ground),
            Rule::WarmUp { periods, then } => compose::warm_up(*periods, then, ground),
        }
    }

    /// The name as tables and `afresh.toml` write it, without parameters.
    #[must_use]
    pub fn name(&self) -> String {
        let joined = |of: &[Rule], by: &str| of.iter().map(Rule::name).collect::<Vec<_>>().join(by);
        match self {
            Rule::Never => "never".to_owned(),
            Rule::Always => "always".to_owned(),
            Rule::Thresholds => "thresholds".to_owned(),
            Rule::Every { .. } => "periodic".to_owned(),
            Rule::Phase { .. } => "cara-p".to_owned(),
            Rule::Volume { .. } => "volume".to_owned(),
            Rule::Drift { .. } => "drift".to_owned(),
            Rule::KolmogorovSmirnov { .. } => "ks".to_owned(),
            Rule::Decay { test } => test.name().to_owned(),
            Rule::Markov { .. } => "markov".to_owned(),
            Rule::CaraT { .. } => "cara-t".to_owned(),
            Rule::CaraCt { .. } => "cara-ct".to_owned(),
            Rule::Economic { .. } => "economic".to_owned(),
            Rule::BudgetQueue { .. } => "budget-queue".to_owned(),
            Rule::Upf { .. } => "upf".to_owned(),
            Rule::DriftSurf { .. } => "driftsurf".to_owned(),
            Rule::Any { of } if is_periodic_decay(of) => "periodic+decay".to_owned(),
            Rule::Any { of } => format!("any({})", joined(of, ", ")),
            Rule::All { of } => format!("all({})", joined(of, ", ")),
            Rule::AtLeast { count, of } => format!("at least {count} of ({})", joined(of, ", ")),
            Rule::WarmUp { then, .. } => then.name(),
        }
    }

    /// Says what cannot be, and what to write instead.
    pub fn check(&self) -> Result<(), String> {
        let share = |name: &str, value: f64| match value {
            value if 0.0 < value && value <= 1.0 => Ok(()),
            value => Err(format!("`{name}` is {value}: write a number above 0 and at most 1")),
        };
        let above = |name: &str, value: f64| match value {
            value if value.is_finite() && 0.0 < value => Ok(()),
            value => Err(format!("`{name}` is {value}: write a number above 0")),
        };
        match self {
            Rule::Never | Rule::Always | Rule::Thresholds | Rule::Decay { .. } => Ok(()),
            Rule::Every { periods: 0 } | Rule::Phase { periods: 0, .. } => {
                Err("`every` is 0 periods: write at least 1".to_owned())
            }
            Rule::Every { .. } => Ok(()),
            Rule::Phase { periods, offset } if periods <= offset => {
                Err(format!("`offset` is {offset} of {periods} periods: write a smaller one"))
            }
            Rule::Phase { .. } => Ok(()),
            Rule::Volume { rows: 0 } => Err("`volume` is 0 rows: write at least 1".to_owned()),
            Rule::Volume { .. } => Ok(()),
            Rule::Drift { score } => share("score", *score),
            Rule::KolmogorovSmirnov { p } => share("p", *p),
            Rule::Markov { factor } | Rule::Economic { factor } => above("factor", *factor),
            Rule::CaraT { cost } | Rule::CaraCt { cost } => above("cost", *cost),
            Rule::BudgetQueue { cpu_hours, weight } => {
                above("cpu_hours", *cpu_hours).and_then(|()| above("weight", *weight))
            }
            Rule::Upf { horizon: 0 } => Err("`horizon` is 0 periods: write at least 1".to_owned()),
            Rule::DriftSurf { trial: 0, .. } => {
                Err("`trial` is 0 periods: write at least 1".to_owned())
            }
            Rule::Upf { .. } | Rule::DriftSurf { .. } => Ok(()),
            Rule::Any { of } => compose::check(1, of, "any"),
            Rule::All { of } => compose::check(of.len(), of, "all"),
            Rule::AtLeast { count, of } => compose::check(*count, of, "at least"),
            Rule::WarmUp { then, .. } => compose::check_then(then),
        }
    }

    /// Periods after which the rule retrains at the latest; `None` where it may never.
    #[must_use]
    pub fn rhythm(&self) -> Option<u32> {
        match self {
            Rule::Always => Some(1),
            Rule::Every { periods } | Rule::Phase { periods, .. } => Some(*periods),
            Rule::Any { of } => of.iter().filter_map(Rule::rhythm).min(),
            Rule::WarmUp { then, .. } => then.rhythm(),
            Rule::Never
            | Rule::Thresholds
            | Rule::Volume { .. }
            | Rule::Drift { .. }
            | Rule::KolmogorovSmirnov { .. }
            | Rule::Decay { .. }
            | Rule::Markov { .. }
            | Rule::CaraT { .. }
            | Rule::CaraCt { .. }
            | Rule::Economic { .. }
            | Rule::BudgetQueue { .. }
            | Rule::Upf { .. }
            | Rule::DriftSurf { .. }
            | Rule::All { .. }
            | Rule::AtLeast { .. } => None,
        }
    }

    /// Whether it, or one that it is made of, is as wanted.
    #[must_use]
    pub fn has(&self, wanted: &dyn Fn(&Rule) -> bool) -> bool {
        if let Rule::Any { of } | Rule::All { of } | Rule::AtLeast { of, .. } = self {
            return of.iter().any(|rule| rule.has(wanted));
        }
        if let Rule::WarmUp { then, .. } = self {
            return then.has(wanted);
        }
        wanted(self)
    }

    /// Whether it decides otherwise where a run has another price; CARA's limits are on the price of loss.
    #[must_use]
    pub fn looks_at_prices(&self) -> bool {
        self.has(&|rule| {
            matches!(
                rule,
                Rule::Markov { .. }
                    | Rule::Economic { .. }
                    | Rule::BudgetQueue { .. }
                    | Rule::Upf { .. }
            )
        })
    }

    /// Whether drift must be measured for it: the dearest of what is observed.
    #[must_use]
    pub fn looks_at_drift(&self) -> bool {
        self.has(&|rule| matches!(rule, Rule::Drift { .. } | Rule::KolmogorovSmirnov { .. }))
    }

    /// Number of rules and parameters in it: of rules that cannot be told apart the one with the
    /// fewest is preferred.
    #[must_use]
    pub fn parts(&self) -> usize {
        match self {
            Rule::Never | Rule::Thresholds => 1,
            // Always is the rhythm of one period, and no simpler than one of four.
            Rule::Always | Rule::Every { .. } | Rule::Volume { .. } | Rule::Decay { .. } => 2,
            Rule::Phase { .. }
            | Rule::Drift { .. }
            | Rule::KolmogorovSmirnov { .. }
            | Rule::Markov { .. }
            | Rule::CaraT { .. }
            | Rule::CaraCt { .. }
            | Rule::Economic { .. } => 3,
            Rule::BudgetQueue { .. } | Rule::Upf { .. } | Rule::DriftSurf { .. } => 4,
            Rule::Any { of } | Rule::All { of } | Rule::AtLeast { of, .. } => {
                1 + of.iter().map(Rule::parts).sum::<usize>()
            }
            Rule::WarmUp { then, .. } => 1 + then.parts(),
        }
    }
}

impl std::fmt::Display for Rule {
    /// When it retrains, in words: "every 4 periods".
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let joined =
            |of: &[Rule], by: &str| of.iter().map(Rule::to_string).collect::<Vec<_>>().join(by);
        match self {
            Rule::Never => f.write_str("never"),
            Rule::Always => f.write_str("in every period"),
            Rule::Thresholds => f.write_str("when a threshold is crossed"),
            Rule::Every { periods: 1 } => f.write_str("every period"),
            Rule::Every { periods } => write!(f, "every {periods} periods"),
            Rule::Phase { periods, offset } => write!(f, "in period {offset} of every {periods}"),
            Rule::Volume { rows } => write!(f, "every {rows} new rows"),
            Rule::Drift { score } => write!(f, "drift at least {score}"),
            Rule::KolmogorovSmirnov { p } => write!(f, "a column's KS test below {p}"),
            Rule::Decay { test: Detector::Sequential } => f.write_str("proven decay"),
            Rule::Decay { test } => write!(f, "decay by {}", test.name()),
            Rule::Markov { factor } => write!(f, "a period's excess costs {factor} runs"),
            Rule::CaraT { cost } => write!(f, "a period's loss costs over {cost:.2}"),
            Rule::CaraCt { cost } => write!(f, "losses since the last run cost over {cost:.2}"),
            Rule::Economic { factor } => write!(f, "{factor} of the cheapest interval"),
            Rule::BudgetQueue { cpu_hours, weight } => {
                write!(f, "{cpu_hours:.4} CPU hours a period, weight {weight}")
            }
            Rule::Upf { horizon } => write!(f, "errors foretold over {horizon} periods"),
            Rule::DriftSurf { trial, .. } => write!(f, "on alarm, {trial} periods on trial"),
            Rule::Any { of } => f.write_str(&joined(of, ", or ")),
            Rule::All { of } => f.write_str(&joined(of, " and ")),
            Rule::AtLeast { count, of } => write!(f, "{count} of: {}", joined(of, "; ")),
            Rule::WarmUp { periods, then } => write!(f, "{then}, after {periods} periods"),
        }
    }
}

fn is_periodic_decay(of: &[Rule]) -> bool {
    let [Rule::All { of }, Rule::Every { .. }] = of else { return false };
    matches!(of.as_slice(), [Rule::Decay { test: Detector::Sequential }, Rule::Every { .. }])
}

impl Detector {
    /// The name as tables and `afresh.toml` write it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Detector::Sequential => "decay",
            Detector::TTest => "t-test",
            Detector::Adwin => "adwin",
            Detector::Cusum => "cusum",
        }
    }
}

/// What a rule speaks from. A backtest asks millions of times and reads no words.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Ground<'a> {
    pub(crate) history: &'a History,
    pub(crate) prices: &'a Prices,
    in_words: bool,
}

impl Ground<'_> {
    fn says(&self, retrain: bool, reason: std::fmt::Arguments<'_>) -> Opinion {
        Opinion {
            verdict: if retrain { Verdict::Retrain } else { Verdict::Keep },
            priority: Priority::DEFAULT,
            reasons: if self.in_words { vec![reason.to_string()] } else { Vec::new() },
        }
    }

    fn keep(&self, reason: std::fmt::Arguments<'_>) -> Opinion {
        self.says(false, reason)
    }
}

impl Opinion {
    pub(crate) fn retrains(&self) -> bool {
        self.verdict == Verdict::Retrain
    }
}
