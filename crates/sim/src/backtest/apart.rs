//! Policies whose versions hang on the one before (trained since the last run or change, or on from it): gone through on the scored periods
//! alone, version by version as they ask for them, and told apart from the grid.

use afresh_ml::metrics::Metric;
use afresh_policy::rule::Rule;

use super::contest::{Interval, difference, interval, recovered};
use super::past::Past;
use super::walk::{Pick, Standing, Way, walk};
use super::world::{Growth, World as _};
use super::{Backtest, Course, Known, Showing};
use crate::replay::Error;

/// Families that are gone through, beside the recommended one.
const FAMILIES: [&str; 2] = ["periodic", "always"];

/// One policy with versions that hang on the one before.
#[derive(Clone, Debug, PartialEq)]
pub struct Apart {
    /// Name of the family.
    pub name: String,
    /// As it was tuned on full trainings.
    pub rule: Rule,
    /// How its versions are made.
    pub growth: Growth,
    /// Its way; `None` where more trainings were needed than are allowed.
    pub went: Option<Went>,
}

/// Its showing on the scored periods.
#[derive(Clone, Debug, PartialEq)]
pub struct Went {
    /// The way.
    pub way: Way,
    /// Metric, loss and training.
    pub showing: Showing,
    /// Share of what hindsight over the grid saves; it may be more than all of it.
    pub recovered: Option<f64>,
    /// Cost above the recommended entry's.
    pub above_recommended: Interval,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Versions made.
    pub done: usize,
    /// Of them from the cache.
    pub cached: usize,
    /// What they may come to at most.
    pub at_most: usize,
}

/// Goes through the recommended policy, the best fixed rhythm and always in each way of growing, with so many trainings at most.
pub async fn apart(
    past: &mut Past,
    backtest: &Backtest,
    metric: Metric,
    growths: &[Growth],
    trainings_max: Option<usize>,
    progress: impl Fn(Progress) + Send,
) -> Result<Vec<Apart>, Error> {
    let outcome = &backtest.outcome;
    let home = |name: &str| {
        let entries = outcome.scored.iter().map(|scored| &scored.entry);
        entries.clone().find(|entry| entry.name == name && entry.pick == Pick::Window(0))
    };
    let mut entries = vec![&outcome.scored[outcome.recommended].entry];
    entries.extend(FAMILIES.into_iter().filter_map(home));
    let mut rules = Vec::<(&str, &Rule)>::new();
    for entry in entries {
        let known = rules.iter().any(|(_, rule)| **rule == entry.rule);
        if !known && entry.rule != Rule::Never {
            rules.push((&entry.name, &entry.rule));
        }
    }
    let scored = backtest.periods.len() - backtest.split;
    let most = scored * rules.len() * growths.len();
    let at_most = trainings_max.map_or(most, |max| max.min(most));
    let (mut done, mut cached) = (0, 0);
    let mut found = Vec::<Apart>::new();
    for (name, rule) in rules {
        for growth in growths {
            let way = loop {
                let way = through(past, backtest, rule, *growth);
                let Some(missing) = way.missing else { break Some(way) };
                if at_most <= done {
                    break None;
                }
                let made = past.grow(missing).await?;
                done += 1;
                cached += usize::from(made.is_some_and(|made| made.cached));
                progress(Progress { done, cached, at_most });
            };
            // Two rules that retrain alike are one.
            let alike = |other: &Apart| {
                let went = other.went.as_ref().filter(|_| other.growth == *growth);
                way.as_ref().zip(went).is_some_and(|(way, went)| way.choices == went.way.choices)
            };
            if found.iter().any(alike) {
                continue;
            }
            let went = way.map(|way| went(past, backtest, metric, way));
            found.push(Apart { name: name.to_owned(), rule: rule.clone(), growth: *growth, went });
        }
    }
    Ok(found)
}

/// The scored periods, with the memory of those before and the champion that all policies begin with.
fn through(past: &Past, backtest: &Backtest, rule: &Rule, growth: Growth) -> Way {
    let (tariff, split) = (&backtest.tariff, backtest.split);
    let before = walk(past, tariff, 0..split, (rule, Pick::Window(0)), Standing::first());
    let standing = before.end.with_champion(backtest.outcome.champion);
    walk(past, tariff, split..past.periods(), (rule, Pick::Grown(growth)), standing)
}

fn went(past: &Past, backtest: &Backtest, metric: Metric, way: Way) -> Went {
    let outcome = &backtest.outcome;
    let best = &outcome.scored[outcome.recommended].way.costs;
    let course = Course::of(&way);
    let showing = Known::new(past, metric).showing(backtest.split, outcome.champion, &course);
    Went {
        showing,
        recovered: recovered(outcome.never, outcome.always, outcome.oracle.cost, way.cost()),
        above_recommended: interval(&difference(&way.costs, best)),
        way,
    }
}
