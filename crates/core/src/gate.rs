//! What a candidate must pass: rules over evidence that others measured.

use serde::{Deserialize, Serialize};

use crate::reason::{Code, Reason};

/// The owner's rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The candidate's metric must reach this, in the metric's unit and oriented.
    pub at_least: Option<Bound>,
    /// The difference must reach this; positive is better, in the metric's unit.
    pub min_improvement: f64,
    /// How much worse the candidate may be at worst, in the metric's unit.
    pub margin: f64,
    /// How surely: `Confidence` compares bounds, `Point` only the difference itself.
    pub proof: Proof,
    /// Error probability of one gate over all its judgements, one-sided.
    pub alpha: f64,
    /// Highest share of slices' rows right before and wrong after; `None`: not checked.
    pub negative_flips_max: Option<f64>,
    /// What a harmed slice does.
    pub slices: Slices,
}

/// A minimum in the metric's own unit and direction.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Bound {
    /// For metrics where higher is better.
    Above(f64),
    /// For metrics where lower is better.
    Below(f64),
}

/// How surely a candidate must be no worse.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// The lower confidence bound must lie above −margin; the upper decides a rejection.
    Confidence,
    /// The measured difference alone decides; never inconclusive.
    Point,
}

/// What a harmed slice does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Slices {
    /// It rejects the candidate.
    Protect,
    /// It is reported.
    Report,
}

/// What was measured about a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evidence {
    /// Loads, schema, finite outputs, golden rows, size, latency.
    pub checks: Vec<Check>,
    /// Name of the metric.
    pub metric: String,
    /// The candidate's metric on the holdout; `None` where it cannot be computed.
    pub candidate: Option<f64>,
    /// Against the champion; `None` for a first version.
    pub comparison: Option<Comparison>,
    /// Rows that judged.
    pub rows: u64,
    /// Slices that got worse beyond the margin, corrected for their number.
    pub harmed_slices: Vec<String>,
    /// Share of the rows that were right and turn wrong.
    pub negative_flips: Option<f64>,
}

/// One hard check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Check {
    /// Its name.
    pub name: String,
    /// Whether it passed.
    pub result: CheckResult,
    /// What was seen.
    pub detail: String,
}

/// Passed or failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CheckResult {
    /// It passed.
    Passed,
    /// It failed.
    Failed,
}

/// Candidate against champion on the same rows.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Comparison {
    /// The champion's metric.
    pub champion: f64,
    /// Oriented: positive is better for the candidate.
    pub difference: f64,
    /// Lower confidence bound of the difference, at the alpha spent on this judgement.
    pub lower: f64,
    /// Upper confidence bound.
    pub upper: f64,
}

/// The gate's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Verdict {
    /// The candidate may replace the champion.
    Pass,
    /// The champion stays.
    Reject,
    /// The champion stays and the candidate is judged again on later rows.
    Inconclusive,
}

impl Evidence {
    /// Whether every number is finite.
    #[must_use]
    pub fn is_finite(&self) -> bool {
        let compared = self.comparison.iter();
        let bounds = compared.flat_map(|of| [of.champion, of.difference, of.lower, of.upper]);
        bounds.chain(self.candidate).chain(self.negative_flips).all(f64::is_finite)
    }
}

impl Rule {
    /// Not worse by more than 0.005, with 95 % confidence.
    #[must_use]
    pub fn recommended() -> Rule {
        Rule {
            at_least: None,
            min_improvement: 0.0,
            margin: 0.005,
            proof: Proof::Confidence,
            alpha: 0.05,
            negative_flips_max: None,
            slices: Slices::Report,
        }
    }

    /// The specification's constants: AUC of 0.90 and an improvement of 0.01; worse by 0.02 is
    /// "degraded".
    #[must_use]
    pub fn classic() -> Rule {
        Rule {
            at_least: Some(Bound::Above(0.90)),
            min_improvement: 0.01,
            margin: 0.02,
            proof: Proof::Point,
            ..Rule::recommended()
        }
    }

    /// The alpha that judgement number `judgement` (0 is the first of `of`) may spend. Three
    /// quarters go to the first, which judges most candidates; the rest is shared evenly, so the
    /// sum never exceeds the rule's alpha (Bonferroni).
    #[must_use]
    pub fn alpha_of(&self, judgement: u32, of: u32) -> f64 {
        match (judgement, of) {
            (0, 0 | 1) => self.alpha,
            (0, _) => self.alpha * 0.75,
            (_, of) => self.alpha * 0.25 / f64::from(of.max(2) - 1),
        }
    }

    /// Judges. Every reason that speaks against is named, not only the first.
    #[must_use]
    pub fn judge(&self, evidence: &Evidence) -> (Verdict, Vec<Reason>) {
        let mut against = hard_checks(evidence);
        against.extend(self.minimum(evidence));
        if self.slices == Slices::Protect {
            against.extend(
                evidence.harmed_slices.iter().map(|slice| {
                    Reason::new(Code::SliceHarmed, format!("slice {slice} got worse"))
                }),
            );
        }
        if let (Some(share), Some(limit)) = (evidence.negative_flips, self.negative_flips_max)
            && share > limit
        {
            let words = format!("{:.2} % of the rows were right and turn wrong", share * 100.0);
            against.push(Reason::compared(Code::SliceHarmed, share, limit, words));
        }
        match evidence.comparison {
            None if against.is_empty() => {
                let words = "first version: hard checks and minimum passed";
                (Verdict::Pass, vec![Reason::new(Code::Passed, words)])
            }
            None => (Verdict::Reject, against),
            Some(comparison) => {
                let (verdict, reason) = self.compare(&comparison, &evidence.metric);
                if against.is_empty() {
                    return (verdict, vec![reason]);
                }
                if verdict != Verdict::Pass {
                    against.push(reason);
                }
                (Verdict::Reject, against)
            }
        }
    }

    fn minimum(&self, evidence: &Evidence) -> Option<Reason> {
        let metric = &evidence.metric;
        let Some(value) = evidence.candidate.filter(|value| value.is_finite()) else {
            let words = format!("{metric} cannot be computed on {} rows", evidence.rows);
            return Some(Reason::new(Code::BelowMinimum, words));
        };
        match self.at_least? {
            Bound::Above(limit) if value < limit => Some(Reason::compared(
                Code::BelowMinimum,
                value,
                limit,
                format!("{metric} is {value:.4}, below the minimum of {limit:.4}"),
            )),
            Bound::Below(limit) if limit < value => Some(Reason::compared(
                Code::BelowMinimum,
                value,
                limit,
                format!("{metric} is {value:.4}, above the maximum of {limit:.4}"),
            )),
            Bound::Above(_) | Bound::Below(_) => None,
        }
    }

    fn compare(&self, comparison: &Comparison, metric: &str) -> (Verdict, Reason) {
        let Comparison { difference, lower, upper, .. } = *comparison;
        let (floor, wanted) = (-self.margin, self.min_improvement);
        if ![difference, lower, upper].iter().all(|number| number.is_finite()) {
            let words = format!("the difference of {metric} is not a number");
            return (Verdict::Reject, Reason::new(Code::NotFinite, words));
        }
        let (worst, best) = match self.proof {
            Proof::Confidence => (lower, upper),
            Proof::Point => (difference, difference),
        };
        let bounds = format!("{difference:+.4} (between {lower:+.4} and {upper:+.4})");
        if best < floor {
            let words = format!("{metric} degraded: {bounds}, more than {:.4} worse", self.margin);
            return (Verdict::Reject, Reason::compared(Code::WorseThanMargin, best, floor, words));
        }
        if wanted <= difference && floor < worst {
            let words = format!("{metric} changes by {bounds}");
            return (Verdict::Pass, Reason::compared(Code::Passed, worst, floor, words));
        }
        if difference < wanted {
            let words = format!("{metric} changes by {bounds}, wanted {wanted:+.4}");
            let verdict = match self.proof {
                Proof::Point => Verdict::Reject,
                Proof::Confidence => Verdict::Inconclusive,
            };
            let reason = Reason::compared(Code::NotEnoughImprovement, difference, wanted, words);
            return (verdict, reason);
        }
        let words =
            format!("{metric} changes by {bounds}, may be more than {:.4} worse", self.margin);
        (Verdict::Inconclusive, Reason::compared(Code::Uncertain, worst, floor, words))
    }
}

fn hard_checks(evidence: &Evidence) -> Vec<Reason> {
    let failed = evidence.checks.iter().filter(|check| check.result == CheckResult::Failed);
    failed
        .map(|check| {
            Reason::new(Code::HardCheckFailed, format!("{}: {}", check.name, check.detail))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evidence(difference: f64, error: f64) -> Evidence {
        Evidence {
            checks: Vec::new(),
            metric: "auc".to_owned(),
            candidate: Some(0.70),
            comparison: Some(Comparison {
                champion: 0.70 - difference,
                difference,
                lower: difference - error,
                upper: difference + error,
            }),
            rows: 2_000,
            harmed_slices: Vec::new(),
            negative_flips: None,
        }
    }

    #[test]
    fn three_verdicts() {
        let rule = Rule::recommended();
        for (difference, error, verdict) in [
            (0.010, 0.012, Verdict::Pass),
            (0.000, 0.004, Verdict::Pass),
            (0.000, 0.006, Verdict::Inconclusive),
            (-0.001, 0.002, Verdict::Inconclusive),
            (-0.003, 0.002, Verdict::Inconclusive),
            (-0.020, 0.010, Verdict::Reject),
            (-0.020, 0.030, Verdict::Inconclusive),
            (f64::NAN, 0.010, Verdict::Reject),
        ] {
            let (seen, reasons) = rule.judge(&evidence(difference, error));
            assert_eq!(seen, verdict, "{difference} ± {error}: {reasons:?}");
        }
    }

    #[test]
    fn classic_gate_has_the_constants_of_the_specification() {
        let rule = Rule::classic();
        let mut strong = evidence(0.01, 0.5);
        strong.candidate = Some(0.90);
        assert_eq!(rule.judge(&strong).0, Verdict::Pass);
        strong.candidate = Some(0.899);
        assert_eq!(rule.judge(&strong).1[0].code, Code::BelowMinimum);
        let mut weak = evidence(0.009, 0.0);
        weak.candidate = Some(0.95);
        assert_eq!(rule.judge(&weak).1[0].code, Code::NotEnoughImprovement);
        let mut degraded = evidence(-0.021, 0.0);
        degraded.candidate = Some(0.95);
        assert!(rule.judge(&degraded).1[0].detail.contains("degraded"));
    }

    #[test]
    fn first_version_needs_checks_and_minimum_only() {
        let mut first = evidence(0.0, 0.0);
        first.comparison = None;
        assert_eq!(Rule::recommended().judge(&first).0, Verdict::Pass);
        assert_eq!(Rule::classic().judge(&first).0, Verdict::Reject);
        first.checks.push(Check {
            name: "outputs finite".to_owned(),
            result: CheckResult::Failed,
            detail: "row 7 gives NaN".to_owned(),
        });
        let (verdict, reasons) = Rule::recommended().judge(&first);
        assert_eq!((verdict, reasons[0].code), (Verdict::Reject, Code::HardCheckFailed));
    }

    #[test]
    fn harmed_slice_rejects_only_where_slices_are_protected() {
        let mut harmed = evidence(0.02, 0.01);
        harmed.harmed_slices.push("carrier=HA".to_owned());
        assert_eq!(Rule::recommended().judge(&harmed).0, Verdict::Pass);
        let protect = Rule { slices: Slices::Protect, ..Rule::recommended() };
        assert_eq!(protect.judge(&harmed).0, Verdict::Reject);
    }

    #[test]
    fn judgements_never_spend_more_than_alpha() {
        let rule = Rule::recommended();
        for of in 1..6 {
            let spent: f64 = (0..of).map(|judgement| rule.alpha_of(judgement, of)).sum();
            assert!(spent <= rule.alpha + 1e-12, "{of} judgements spend {spent}");
        }
    }

    #[test]
    fn metric_that_cannot_be_computed_never_passes() {
        let mut unknown = evidence(0.1, 0.0);
        unknown.candidate = None;
        assert_eq!(Rule::recommended().judge(&unknown).0, Verdict::Reject);
    }
}
