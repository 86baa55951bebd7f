//! Checks `[model.x.rollout]`: the steps rise to everything, and probation ends after it begins.

use afresh_core::policy::{Policy, Probation, Step};
use afresh_core::time::Duration;

use super::{OrDefault, place_of};
use crate::key::Placed;
use crate::problem::Findings;
use crate::section;
use crate::value::{Percent, first_not_rising};

pub(super) fn check(section: section::Rollout, policy: &mut Policy, findings: &mut Findings) {
    if let Some(canary) = &section.canary {
        let hold = section.hold.as_ref().map_or(Duration::hours(1), |hold| hold.value);
        policy.rollout = steps(canary, hold, findings);
    }
    let written = section.probation.unwrap_or_default_section();
    let defaults = policy.probation;
    let at = place_of(written.at_most.as_ref(), &place_of(written.at_least.as_ref(), &written.at));
    let probation = Probation {
        at_least: written.at_least.map_or(defaults.at_least, |length| length.value),
        labels: written.labels.map_or(defaults.labels, |labels| labels.value),
        at_most: written.at_most.map_or(defaults.at_most, |length| length.value.0),
        alpha: written.alpha.map_or(defaults.alpha, |alpha| alpha.value.0),
        error_rate_max: written.error_rate_max.map_or(defaults.error_rate_max, |rate| rate.value.0),
    };
    if probation.at_most < probation.at_least {
        findings.add(
            &at,
            format!(
                "`rollout.probation` lasts at least {} and at most {}",
                probation.at_least, probation.at_most
            ),
            format!("write at least `{}` for `at_most`", probation.at_least),
        );
    }
    policy.probation = probation;
}

/// Each step lasts `hold`, but for the last: probation follows it at once.
fn steps(
    canary: &Placed<Vec<Placed<Percent>>>,
    hold: Duration,
    findings: &mut Findings,
) -> Vec<Step> {
    let percents = &canary.value;
    if let Some(at) = first_not_rising(percents) {
        findings.add(
            &percents[at].at,
            format!(
                "`rollout.canary` goes from {} to {}",
                percents[at - 1].value.0,
                percents[at].value.0
            ),
            "write percents that rise, such as `[5, 25, 100]`",
        );
    } else if percents.last().is_none_or(|last| last.value.0 != 100) {
        let at = percents.last().map_or(&canary.at, |last| &last.at);
        let help = "write 100 as the last step, such as `[5, 25, 100]`";
        findings.add(at, "`rollout.canary` does not end at 100", help);
    }
    percents
        .iter()
        .map(|percent| Step {
            percent: percent.value.0,
            hold: if percent.value.0 == 100 { Duration::ZERO } else { hold },
        })
        .collect()
}
