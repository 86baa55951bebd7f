//! Rules made of rules.

use super::{Ground, Opinion, Rule};

/// Those that want a retraining speak first.
pub(super) fn at_least(count: usize, of: &[Rule], ground: &Ground<'_>) -> Opinion {
    let mut opinions = of.iter().map(|rule| rule.speak(ground)).collect::<Vec<_>>();
    opinions.sort_by_key(|opinion| !opinion.retrains());
    let wanted = opinions.iter().filter(|opinion| opinion.retrains()).count();
    let retrain = count <= wanted && 0 < wanted;
    let heard = opinions.iter().filter(|opinion| opinion.retrains() == retrain);
    let priority = heard.map(|opinion| opinion.priority).max();
    let mut all = ground.says(retrain, format_args!(""));
    all.reasons = opinions.into_iter().flat_map(|opinion| opinion.reasons).collect();
    if !retrain {
        // What keeps is the reason for keeping.
        all.reasons.reverse();
    }
    all.priority = priority.unwrap_or(all.priority);
    all
}

pub(super) fn warm_up(periods: u32, then: &Rule, ground: &Ground<'_>) -> Opinion {
    let history = ground.history;
    if history.seen() < u64::from(periods) {
        let seen = history.seen();
        return ground.keep(format_args!("{seen} of {periods} periods of warm-up"));
    }
    then.speak(ground)
}

pub(super) fn check(count: usize, of: &[Rule], name: &str) -> Result<(), String> {
    if of.is_empty() {
        return Err(format!("`{name}` lists no policy: write at least one"));
    }
    if count == 0 || of.len() < count {
        let listed = of.len();
        return Err(format!("`{name}` asks for {count} of {listed}: write 1 to {listed}"));
    }
    // What never retrains, or always does, leaves the others without a say.
    for rule in of {
        if matches!(rule, Rule::Never | Rule::Always | Rule::Thresholds) {
            let inner = rule.name();
            return Err(format!(
                "`{inner}` within `{name}` settles it alone: leave one of them out"
            ));
        }
        if matches!(rule, Rule::DriftSurf { .. }) {
            return Err(format!(
                "`driftsurf` within `{name}` could not try its version: write it alone"
            ));
        }
        rule.check()?;
    }
    Ok(())
}

/// What may follow a warm-up.
pub(super) fn check_then(then: &Rule) -> Result<(), String> {
    if matches!(then, Rule::Never | Rule::Thresholds | Rule::DriftSurf { .. }) {
        let then = then.name();
        return Err(format!("`warm_up` does nothing before `{then}`: leave it out"));
    }
    then.check()
}
