//! The simulated world: real time, a clock that may be wrong, messages under way, all models.

use std::collections::BTreeMap;

use afresh_core::decide::Rules;
use afresh_core::decision::Recorded;
use afresh_core::fleet::{Budget, Fleet, FleetEvent, Hold, Limits, Owed, Resources};
use afresh_core::id::ModelName;
use afresh_core::input::Input;
use afresh_core::invariant::{self, Broken, Invariant};
use afresh_core::model::Deployment;
use afresh_core::time::{Duration, Timestamp};

use super::chance::Chance;
use super::checks;
use super::policies::{Policies, START};
use super::site::Site;
use super::summary::{Summary, event_name};

/// Rounds of assigning before it must have settled.
const ASSIGN_ROUNDS_MAX: u32 = 20;
/// Inputs in calm before everything must have come to rest.
const CALM_INPUTS_MAX: u64 = 20_000;
/// Ticks at one time before the core must look ahead.
const TICKS_MAX: u32 = 6;

/// Whether faults happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Season {
    Storm,
    Calm,
}

/// Something on its way.
#[derive(Clone, Debug)]
pub(super) enum Message {
    Answer { site: usize, input: Input },
    Deploy { site: usize, deployment: Deployment },
}

/// Everything but the core.
#[derive(Debug)]
pub(super) struct World<'a> {
    pub(super) chance: Chance,
    pub(super) season: Season,
    pub(super) policies: &'a Policies,
    pub(super) sites: Vec<Site>,
    pub(super) fleet: Fleet,
    pub(super) fleet_log: Vec<(Timestamp, FleetEvent)>,
    pub(super) limits: Limits,
    pub(super) messages: BTreeMap<(Timestamp, u64), Message>,
    /// Real time; never runs backwards.
    pub(super) real: Timestamp,
    /// The clock that the core is shown, in milliseconds ahead of real time.
    pub(super) clock_ahead_ms: i64,
    pub(super) next_message: u64,
    /// When a held budget may be free, in real time.
    assign_at: Option<Timestamp>,
    pub(super) summary: Summary,
}

impl<'a> World<'a> {
    pub(super) fn new(seed: u64, policies: &'a Policies) -> World<'a> {
        let mut chance = Chance::new(seed.wrapping_add(1));
        let count = 3 + chance.index(3);
        let mut sites = Vec::new();
        let mut budgets = BTreeMap::new();
        for name in ["alpha", "beta", "shop/gamma", "delta", "shop/epsilon"].iter().take(count) {
            let Ok(name) = ModelName::new(*name) else { continue };
            if chance.percent(30) {
                let cpu_seconds = chance.pick(&[200.0, 400.0]);
                let per = chance.pick(&[Duration::days(1), Duration::days(3)]);
                budgets.insert(name.clone(), Budget { cpu_seconds, per });
            }
            sites.push(Site::new(name, policies.any(&mut chance), START));
        }
        let total =
            chance.percent(25).then_some(Budget { cpu_seconds: 900.0, per: Duration::days(2) });
        let slots =
            Resources { cpu_milli: chance.pick(&[2_000, 2_000, 3_000]), memory_mib: 2_048, gpu: 0 };
        let ageing = chance.pick(&[Duration::minutes(30), Duration::hours(4)]);
        World {
            chance,
            season: Season::Storm,
            policies,
            sites,
            fleet: Fleet::default(),
            fleet_log: Vec::new(),
            limits: Limits { slots, budgets, total, ageing },
            messages: BTreeMap::new(),
            real: START,
            clock_ahead_ms: 0,
            next_message: 0,
            assign_at: None,
            summary: Summary { seeds: 1, ..Summary::default() },
        }
    }

    /// Storm, then calm until rest, then proof that everybody still answers.
    pub(super) fn live(&mut self) -> Result<(), Broken> {
        let disturbances = 60 + self.chance.below(120);
        for _ in 0..disturbances {
            let pause = self.chance.length(Duration::seconds(1), Duration::hours(5));
            self.pass(self.real.after(pause))?;
            self.disturb()?;
        }
        self.season = Season::Calm;
        (0..self.sites.len()).for_each(|site| self.ask_wakeup(site));
        for site in 0..self.sites.len() {
            self.give(site, &Input::Tick)?;
        }
        self.rest()?;
        let runs = self.sites.iter().map(checks::runs).collect::<Vec<_>>();
        for (site, before) in runs.into_iter().enumerate() {
            self.give(site, &checks::forced_request())?;
            if checks::runs(&self.sites[site]) != before + 1 {
                return checks::broken(Invariant::R3, "at rest, a forced request starts nothing");
            }
        }
        self.rest()
    }

    pub(super) fn inputs(&self) -> u64 {
        self.summary.inputs
    }

    pub(super) fn into_summary(mut self) -> Summary {
        let mut digest = checks::Digest::default();
        for site in &self.sites {
            self.summary.events += site.log.len() as u64;
            digest.add(&site.log);
            digest.add(&site.decisions);
        }
        digest.add(&self.fleet_log);
        self.summary.digest = digest.value();
        self.summary
    }

    pub(super) fn saw(&mut self, kind: &'static str, word: &'static str) {
        *self.summary.seen.entry((kind, word)).or_default() += 1;
    }

    pub(super) fn send(&mut self, delay: Duration, message: Message) {
        self.next_message += 1;
        self.messages.insert((self.real.after(delay), self.next_message), message);
    }

    /// What the clock shows.
    pub(super) fn clock(&self) -> Timestamp {
        Timestamp(self.real.0 + self.clock_ahead_ms)
    }

    pub(super) fn rules(&self, site: usize) -> &'a Rules {
        let policies: &'a Policies = self.policies;
        match self.season {
            Season::Storm => policies.stormy(self.sites[site].policy),
            Season::Calm => policies.calm(self.sites[site].policy),
        }
    }

    /// Lets everything happen that is due until `until`.
    fn pass(&mut self, until: Timestamp) -> Result<(), Broken> {
        while let Some(at) = self.next_at().filter(|at| *at <= until) {
            self.real = self.real.max(at);
            self.happen()?;
        }
        self.real = self.real.max(until);
        Ok(())
    }

    /// Calm: until nothing is under way any more.
    fn rest(&mut self) -> Result<(), Broken> {
        let given = self.summary.inputs;
        let mut attended_at = self.real;
        loop {
            let resting = self.sites.iter().all(|site| invariant::finished(&site.model).is_ok());
            if resting && self.messages.is_empty() {
                break;
            }
            if CALM_INPUTS_MAX < self.summary.inputs - given {
                let phases = self.sites.iter().map(|site| site.model.phase().name());
                let words = format!("calm brings no rest: {:?}", phases.collect::<Vec<_>>());
                return checks::broken(Invariant::R3, words);
            }
            // People look after their models every hour.
            attended_at = attended_at.after(Duration::hours(1)).max(self.real);
            self.pass(attended_at)?;
            self.attend()?;
        }
        for site in &self.sites {
            invariant::finished(&site.model)?;
            checks::site(site)?;
            invariant::fold_is_state(site.model.name(), &site.log, &site.model)?;
        }
        if self.fleet.running().next().is_some() {
            return checks::broken(Invariant::R6, "at rest, slots are taken");
        }
        self.fleet_is_its_log()
    }

    pub(super) fn fleet_is_its_log(&self) -> Result<(), Broken> {
        let mut fleet = Fleet::default();
        for (at, event) in &self.fleet_log {
            fleet.apply(*at, event);
        }
        if fleet != self.fleet {
            return checks::broken(Invariant::R5, "the fleet's log folds to another state");
        }
        Ok(())
    }

    /// In real time: the next message, tick, look of the executor, or freed budget.
    fn next_at(&self) -> Option<Timestamp> {
        let message = self.messages.keys().next().map(|(at, _)| *at);
        let sites = (0..self.sites.len()).filter_map(|site| {
            let owes = self.sites[site].model.outstanding().is_some();
            let look = owes.then_some(self.sites[site].look_again_at);
            let tick = self.tick_due(site);
            look.into_iter().chain(tick).min()
        });
        message.into_iter().chain(sites).chain(self.assign_at).min()
    }

    fn tick_due(&self, site: usize) -> Option<Timestamp> {
        let wakeup = self.sites[site].wakeup?;
        let real = Timestamp(wakeup.0.saturating_sub(self.clock_ahead_ms));
        Some(real.max(self.sites[site].tick_at))
    }

    /// After a change of policy, which alone changes nothing in the model.
    pub(super) fn ask_wakeup(&mut self, site: usize) {
        let policy = self.rules(site).policy();
        self.sites[site].wakeup = self.sites[site].model.next_wakeup(policy);
    }

    fn happen(&mut self) -> Result<(), Broken> {
        while let Some(entry) =
            self.messages.first_entry().filter(|entry| entry.key().0 <= self.real)
        {
            match entry.remove() {
                Message::Answer { site, input } => self.give(site, &input)?,
                Message::Deploy { site, deployment } => {
                    self.deploy(site, deployment);
                    checks::serving(&self.sites[site])?;
                }
            }
        }
        for site in 0..self.sites.len() {
            if self.tick_due(site).is_some_and(|at| at <= self.real) {
                self.tick(site)?;
            }
            if self.sites[site].look_again_at <= self.real {
                self.look(site, true);
            }
        }
        if self.assign_at.is_some_and(|at| at <= self.real) {
            self.assign()?;
        }
        Ok(())
    }

    /// Ticks until the core looks ahead; where faults happen, sometimes only later.
    fn tick(&mut self, site: usize) -> Result<(), Broken> {
        if self.season == Season::Storm && self.chance.percent(8) {
            self.saw("fault", "tick_late");
            let late = self.chance.length(Duration::minutes(1), Duration::hours(9));
            self.sites[site].tick_at = self.real.after(late);
            return Ok(());
        }
        for _ in 0..TICKS_MAX {
            self.give(site, &Input::Tick)?;
            if self.tick_due(site).is_none_or(|at| self.real < at) {
                let policy = self.rules(site).policy();
                return checks::after_tick(&self.sites[site].model, policy, self.clock());
            }
        }
        let phase = self.sites[site].model.phase().name();
        checks::broken(Invariant::R3, format!("{phase} asks for a tick that changes nothing"))
    }

    /// The engine's rule: decide, check, append, fold; then what the fleet makes of it.
    pub(super) fn give(&mut self, site: usize, input: &Input) -> Result<(), Broken> {
        self.step(site, input)?;
        self.assign()?;
        for site in 0..self.sites.len() {
            self.look(site, false);
        }
        Ok(())
    }

    fn step(&mut self, number: usize, input: &Input) -> Result<bool, Broken> {
        self.summary.inputs += 1;
        let rules = self.rules(number);
        let clock = self.clock();
        let site = &mut self.sites[number];
        let now = site.model.now(clock);
        let decided = site.model.decide(rules, clock, input);
        invariant::refused_changes_nothing(&decided)?;
        checks::refusal(input, &decided)?;
        checks::harm(&site.model, rules.policy(), input, &decided)?;
        if let Some(decision) = &decided.decision {
            for reason in &decision.reasons {
                *self.summary.codes.entry(reason.code).or_default() += 1;
            }
            for (kind, word) in [("act", decision.action.name()), ("cause", decision.cause.name())]
            {
                *self.summary.seen.entry((kind, word)).or_default() += 1;
            }
            checks::cites(decision, rules)?;
            let last = site.decisions.last().map(|row| row.decision.clone());
            let opened = match site.decisions.last_mut() {
                Some(row) => row.absorb(now, decision.clone()).err(),
                None => Some(Recorded::new(now, decision.clone())),
            };
            checks::recorded(last.as_ref().filter(|_| opened.is_none()), decision)?;
            site.decisions.extend(opened);
        }
        if decided.events.is_empty() {
            if checks::is_answer(input) {
                self.saw("fault", "answer_meant_nothing");
            }
            return Ok(false);
        }
        let before = site.model.clone();
        invariant::step(&before, rules.policy(), clock, input, &decided.events)?;
        for event in &decided.events {
            *self.summary.seen.entry(("event", event_name(event))).or_default() += 1;
            self.summary.runs += u64::from(event_name(event) == "run_queued");
            if let afresh_core::event::Event::RunEnded { outcome, .. } = event {
                *self.summary.seen.entry(("outcome", outcome.name())).or_default() += 1;
            }
            checks::before_fact(site, rules.policy(), now, input, event)?;
            site.model.apply(now, event);
            site.log.push((now, event.clone()));
            checks::after_fact(site, event)?;
        }
        site.wakeup = site.model.next_wakeup(rules.policy());
        checks::schedule(site, rules.policy(), &decided.events)?;
        checks::site(site)?;
        if let Some(released) = site.model.released_since(&before) {
            checks::charge(site, &released)?;
            self.fleet_fact(now, &released);
        }
        Ok(true)
    }

    /// The fleet's log is written at least once.
    fn fleet_fact(&mut self, at: Timestamp, event: &FleetEvent) {
        let doubled = self.season == Season::Storm && self.chance.percent(5);
        if doubled {
            self.saw("fault", "fleet_fact_doubled");
        }
        for _ in 0..1 + u32::from(doubled) {
            self.fleet.apply(at, event);
            self.fleet_log.push((at, event.clone()));
        }
    }

    fn assign(&mut self) -> Result<(), Broken> {
        for _ in 0..ASSIGN_ROUNDS_MAX {
            let owed = self.owed();
            self.assign_at = None;
            if owed.is_empty() {
                return self.fleet_holds();
            }
            let now = self.clock();
            let assignment = self.fleet.assign(&self.limits, &owed, now);
            for held in &assignment.held {
                let word = match held.why {
                    Hold::Slots => "slots",
                    Hold::TooLarge => "too_large",
                    Hold::Budget { free_at } => {
                        let in_an_hour = self.real.after(Duration::hours(1));
                        let free_at = free_at
                            .map_or(in_an_hour, |at| Timestamp(at.0 - self.clock_ahead_ms))
                            .max(self.real.after(Duration::minutes(1)));
                        self.assign_at =
                            Some(self.assign_at.map_or(free_at, |other| other.min(free_at)));
                        "budget"
                    }
                };
                self.saw("hold", word);
            }
            if assignment.start.is_empty() && assignment.preempt.is_empty() {
                return self.fleet_holds();
            }
            for owed in &assignment.start {
                invariant::start_is_covered(&self.fleet, &self.limits, owed, now)?;
                let site = self.site_of(&owed.model);
                self.fleet_fact(now, &owed.taken());
                if !self.step(site, &Input::Admitted { run: owed.run })? {
                    return checks::broken(Invariant::R6, "slots were given to nobody");
                }
            }
            for (model, run) in &assignment.preempt {
                let site = self.site_of(model);
                if !self.step(site, &Input::Preempted { run: *run })? {
                    return checks::broken(Invariant::R6, "a preempted run keeps its slots");
                }
            }
        }
        checks::broken(Invariant::R6, "assigning never settles")
    }

    fn fleet_holds(&self) -> Result<(), Broken> {
        invariant::fleet_within(&self.fleet, &self.limits)?;
        invariant::slots_match(&self.fleet, self.sites.iter().map(|site| &site.model))?;
        checks::spending(self)
    }

    fn owed(&self) -> Vec<Owed> {
        (0..self.sites.len())
            .filter_map(|site| self.sites[site].model.owed(self.rules(site).policy()))
            .collect()
    }

    fn site_of(&self, name: &ModelName) -> usize {
        self.sites.iter().position(|site| site.model.name() == name).unwrap_or(0)
    }

    /// Level-triggered: starts what is owed, and now and then again what was started.
    pub(super) fn look(&mut self, site: usize, again: bool) {
        let Some(action) = self.sites[site].model.outstanding() else { return };
        let known = self.sites[site].in_flight.contains(&action);
        if known && !again {
            return;
        }
        // Computing twice is a waste; a deployment is repeated until it is confirmed.
        let repeat =
            matches!(action, afresh_core::model::Action::Serve(_)) || self.chance.percent(15);
        self.sites[site].look_again_at = self.real.after(Duration::hours(2));
        if !known || repeat {
            self.sites[site].in_flight.insert(action.clone());
            self.perform(site, &action);
        }
    }
}
