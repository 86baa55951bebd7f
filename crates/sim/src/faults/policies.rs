//! Policies that differ in everything a policy can say; sealed once and shared by all seeds.

use afresh_core::blackout::{Blackout, Zone};
use afresh_core::cadence::Cadence;
use afresh_core::decide::Rules;
use afresh_core::fleet::Resources;
use afresh_core::gate;
use afresh_core::policy::{
    Approval, Attention, CatchUp, DecayRule, DependsOnPast, Limits, Policy, Probation, Refit,
    Rejudge, Retry, Schedule, Step, Training,
};
use afresh_core::signal::Priority;
use afresh_core::time::{Duration, Timestamp, Window};

use super::chance::Chance;

/// 2026-01-05, a Monday.
pub(super) const START: Timestamp = Timestamp(1_767_571_200_000);

/// The policies that models of a simulation obey.
#[derive(Debug)]
pub struct Policies {
    stormy: Vec<Rules>,
    calm: Vec<Rules>,
}

impl Policies {
    const COUNT: usize = 36;

    /// Always the same policies.
    #[must_use]
    pub fn new() -> Policies {
        let mut chance = Chance::new(0);
        let stormy = (0..Self::COUNT).map(|number| policy(&mut chance, number));
        let (mut policies, stormy) =
            (Policies { stormy: Vec::new(), calm: Vec::new() }, stormy.collect::<Vec<_>>());
        for policy in stormy {
            policies.calm.push(Rules::new(Policy { schedule: None, ..policy.clone() }));
            policies.stormy.push(Rules::new(policy));
        }
        policies
    }

    pub(super) fn any(&self, chance: &mut Chance) -> usize {
        chance.index(self.stormy.len())
    }

    pub(super) fn stormy(&self, number: usize) -> &Rules {
        &self.stormy[number]
    }

    /// The same without its schedule, so that rest can be reached.
    pub(super) fn calm(&self, number: usize) -> &Rules {
        &self.calm[number]
    }
}

impl Default for Policies {
    fn default() -> Policies {
        Policies::new()
    }
}

fn policy(chance: &mut Chance, number: usize) -> Policy {
    let at_least = chance.pick(&[Duration::ZERO, Duration::hours(6), Duration::hours(24)]);
    let level = chance.pick(&[1, 1, 2, 3, 4]);
    Policy {
        priority_min: Priority::new(level).unwrap_or(Priority::LOWEST),
        cooldown: chance.pick(&[Duration::ZERO, Duration::hours(3), Duration::hours(24)]),
        drift: chance.pick(&[None, Some(0.3), Some(0.5)]),
        decay: chance.pick(&[None, Some(DecayRule::Drop(0.05)), Some(DecayRule::Proven(0.05))]),
        volume: chance.pick(&[None, Some(1_000)]),
        labels: chance.pick(&[None, Some(500)]),
        data: chance.pick(&[None, Some(2_000)]),
        schedule: schedule(chance, number),
        advice: chance.pick(&[Attention::Acts, Attention::Notes]),
        blackouts: blackouts(chance),
        retry: Retry {
            times: chance.pick(&[0, 1, 2, 2]),
            delay: chance.pick(&[Duration::ZERO, Duration::minutes(10), Duration::hours(1)]),
        },
        limits: Limits {
            prepare: chance.pick(&[Duration::minutes(20), Duration::hours(1)]),
            train: chance.pick(&[Duration::hours(1), Duration::hours(6)]),
            judge: chance.pick(&[Duration::minutes(20), Duration::hours(1)]),
            deploy: chance.pick(&[Duration::minutes(10), Duration::hours(1)]),
        },
        gate: chance.pick(&[gate::Rule::recommended, gate::Rule::classic])(),
        rejudge: Rejudge {
            every: chance.pick(&[Duration::hours(2), Duration::days(1), Duration::days(3)]),
            times: chance.pick(&[0, 1, 3]),
        },
        refit: chance.pick(&[Refit::Yes, Refit::Yes, Refit::No]),
        approval: chance.pick(&[Approval::Automatic, Approval::Automatic, Approval::Person]),
        training: chance.pick(&[Training::Full, Training::Incremental]),
        rollout: rollout(chance),
        probation: Probation {
            at_least,
            labels: chance.pick(&[0, 100, 500]),
            at_most: at_least.max(chance.pick(&[Duration::hours(12), Duration::days(3)])),
            alpha: 0.05,
            error_rate_max: 0.01,
        },
        needs: Resources {
            cpu_milli: chance.pick(&[500, 1_000, 2_000]),
            memory_mib: chance.pick(&[512, 1_024]),
            gpu: 0,
        },
        estimate_cpu_seconds: chance.pick(&[10.0, 40.0, 80.0]),
    }
}

fn schedule(chance: &mut Chance, number: usize) -> Option<Schedule> {
    let start = START.after(Duration::hours(chance.below(96)));
    let cadence = match number % 6 {
        0 => return None,
        1 => Cadence::every(Duration::hours(5), start),
        2 => Cadence::every(Duration::days(2), START.before(Duration::days(9))),
        3 => Cadence::cron("0 2 * * *", Zone::UTC).map(|cadence| cadence.starting(start)),
        4 => Cadence::cron("30 */8 * * *", Zone::UTC)
            .map(|cadence| cadence.with_jitter(Duration::minutes(45))),
        _ => Cadence::cron("15 6 * * MON,THU", Zone::UTC),
    };
    Some(Schedule {
        cadence: cadence.ok()?,
        catch_up: [CatchUp::Skip, CatchUp::Once, CatchUp::All][number / 6 % 3],
        depends_on_past: chance.pick(&[DependsOnPast::No, DependsOnPast::Yes]),
    })
}

fn blackouts(chance: &mut Chance) -> Vec<Blackout> {
    let mut blackouts = Vec::new();
    if chance.percent(25) {
        let from = START.after(Duration::hours(chance.below(400)));
        let to = from.after(Duration::hours(1 + chance.below(72)));
        blackouts.push(Blackout::Once(Window { from, to }));
    }
    if chance.percent(25) {
        let days = vec![0, 1, 2, 3, 4];
        let (from_minute, to_minute) = (9 * 60, 12 * 60 + 30);
        blackouts.push(Blackout::Weekly { days, from_minute, to_minute, zone: Zone::UTC });
    }
    blackouts
}

fn rollout(chance: &mut Chance) -> Vec<Step> {
    let step = |percent, hold| Step { percent, hold };
    match chance.below(4) {
        0 => vec![step(100, Duration::ZERO)],
        1 => vec![step(100, Duration::hours(2))],
        2 => vec![step(10, Duration::hours(3)), step(100, Duration::ZERO)],
        _ => vec![
            step(0, Duration::hours(1)),
            step(5, Duration::ZERO),
            step(25, Duration::hours(8)),
            step(100, Duration::hours(1)),
        ],
    }
}
