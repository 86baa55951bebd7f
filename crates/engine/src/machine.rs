//! The machine: all models, their rules, and the fleet, each the fold of its log.
//!
//! Every input goes the same way: decide, check the invariants, commit, fold. Whoever drives it
//! (the service, a command, a replay) only brings inputs and carries out what is owed.

use std::collections::BTreeMap;

use afresh_core::decide::Rules;
use afresh_core::decision::Decision;
use afresh_core::fleet::{Fleet, FleetEvent, Held, Limits, Owed};
use afresh_core::id::ModelName;
use afresh_core::input::Input;
use afresh_core::invariant;
use afresh_core::model::{Action, Model};
use afresh_core::time::Timestamp;

use crate::port::{Commit, FleetCommit, Store, StoreError};

/// Facts read from the store at a time.
const PAGE: u32 = 1_000;

/// All models under management over one store.
#[derive(Debug)]
pub struct Machine<S> {
    store: S,
    limits: Limits,
    models: BTreeMap<ModelName, Managed>,
    fleet: Fleet,
    fleet_facts: u64,
}

/// One model in memory.
#[derive(Clone, Debug)]
struct Managed {
    model: Model,
    facts: u64,
    rules: Rules,
}

/// Why an input could not be handled.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no such model.
    #[error("there is no model `{0}`")]
    UnknownModel(ModelName),
    /// The store could not.
    #[error("failed to store a step of `{model}`")]
    Store {
        /// Whose step.
        model: String,
        /// Why.
        #[source]
        source: StoreError,
    },
    /// A rule of the house would have been broken; nothing was stored.
    #[error("a step of `{model}` was refused")]
    Broken {
        /// Whose step.
        model: ModelName,
        /// Which rule.
        #[source]
        source: invariant::Broken,
    },
}

impl<S: Store> Machine<S> {
    /// Reads what the store knows of `models`. State that cannot be explained by its log is an
    /// error.
    pub async fn open(
        store: S,
        models: Vec<(ModelName, Rules)>,
        limits: Limits,
    ) -> Result<Machine<S>, Error> {
        let mut managed = BTreeMap::new();
        for (name, rules) in models {
            let snapshot = store.snapshot(&name).await.map_err(failed(name.as_str()))?;
            let (model, facts) = match snapshot {
                Some(snapshot) => (snapshot.model, snapshot.number),
                None => (Model::new(name.clone()), 0),
            };
            managed.insert(name, Managed { model, facts, rules });
        }
        let fleet = Fleet::default();
        let mut machine = Machine { store, limits, models: managed, fleet, fleet_facts: 0 };
        machine.catch_up().await?;
        Ok(machine)
    }

    /// Reads what others appended to the logs since; whether there was anything.
    pub async fn catch_up(&mut self) -> Result<bool, Error> {
        let mut any = false;
        loop {
            let facts = self.store.fleet_facts(self.fleet_facts, PAGE).await;
            let facts = facts.map_err(failed("the fleet"))?;
            let Some(last) = facts.last() else { break };
            self.fleet_facts = last.number;
            any = true;
            for fact in &facts {
                self.fleet.apply(fact.at, &fact.event);
            }
        }
        for (name, managed) in &mut self.models {
            loop {
                let facts = self.store.facts(name, managed.facts, PAGE).await;
                let facts = facts.map_err(failed(name.as_str()))?;
                let Some(last) = facts.last() else { break };
                managed.facts = last.number;
                any = true;
                for fact in &facts {
                    managed.model.apply(fact.at, &fact.event);
                }
            }
        }
        Ok(any)
    }

    /// The store behind.
    pub fn store(&self) -> &S {
        &self.store
    }

    /// One model's state.
    pub fn model(&self, name: &ModelName) -> Option<&Model> {
        self.models.get(name).map(|managed| &managed.model)
    }

    /// One model's rules.
    pub fn rules(&self, name: &ModelName) -> Option<&Rules> {
        self.models.get(name).map(|managed| &managed.rules)
    }

    /// All models' states.
    pub fn models(&self) -> impl Iterator<Item = &Model> {
        self.models.values().map(|managed| &managed.model)
    }

    /// Replaces a model's rules; the next input notes their hash as a fact.
    pub fn set_rules(&mut self, name: &ModelName, rules: Rules) -> Result<(), Error> {
        let managed = self.models.get_mut(name).ok_or_else(|| Error::UnknownModel(name.clone()))?;
        managed.rules = rules;
        Ok(())
    }

    /// Decides what `input` means, makes it durable and folds it in.
    pub async fn handle(
        &mut self,
        name: &ModelName,
        now: Timestamp,
        input: &Input,
    ) -> Result<Option<Decision>, Error> {
        self.step(name, now, input, Vec::new()).await
    }

    /// Gives slots to the runs that may have them, and takes them from those that must give way.
    pub async fn assign(&mut self, now: Timestamp) -> Result<(), Error> {
        let owed = self
            .models
            .values()
            .filter_map(|managed| managed.model.owed(managed.rules.policy()))
            .collect::<Vec<_>>();
        if owed.is_empty() {
            return Ok(());
        }
        let assignment = self.fleet.assign(&self.limits, &owed, now);
        for (model, run) in assignment.preempt {
            self.step(&model, now, &Input::Preempted { run }, Vec::new()).await?;
        }
        for owed in assignment.start {
            let input = Input::Admitted { run: owed.run };
            self.step(&owed.model, now, &input, vec![owed.taken()]).await?;
        }
        Ok(())
    }

    /// The run of a model that wants slots, if one does.
    pub fn owed(&self, name: &ModelName) -> Option<Owed> {
        let managed = self.models.get(name)?;
        managed.model.owed(managed.rules.policy())
    }

    /// Runs that want slots and may not have them, and why.
    pub fn held(&self, now: Timestamp) -> Vec<Held> {
        let owed = self.models.keys().filter_map(|name| self.owed(name)).collect::<Vec<_>>();
        self.fleet.assign(&self.limits, &owed, now).held
    }

    /// Models that asked for a tick at `now` or before.
    pub fn due(&self, now: Timestamp) -> Vec<ModelName> {
        let is_due = |managed: &Managed| {
            let at = managed.model.next_wakeup(managed.rules.policy());
            at.is_some_and(|at| at <= managed.model.now(now))
        };
        let due = self.models.iter().filter(|(_, managed)| is_due(managed));
        due.map(|(name, _)| name.clone()).collect()
    }

    /// Work that should be under way now, of all models.
    pub fn outstanding(&self) -> Vec<(ModelName, Action)> {
        self.models
            .iter()
            .filter_map(|(name, managed)| Some((name.clone(), managed.model.outstanding()?)))
            .collect()
    }

    /// When to send a tick to which model, if nothing else happens first.
    pub fn next_wakeup(&self) -> Option<(Timestamp, ModelName)> {
        self.models
            .iter()
            .filter_map(|(name, managed)| {
                Some((managed.model.next_wakeup(managed.rules.policy())?, name.clone()))
            })
            .min()
    }

    async fn step(
        &mut self,
        name: &ModelName,
        now: Timestamp,
        input: &Input,
        fleet_events: Vec<FleetEvent>,
    ) -> Result<Option<Decision>, Error> {
        let managed = self.models.get_mut(name).ok_or_else(|| Error::UnknownModel(name.clone()))?;
        let before = &managed.model;
        let now = before.now(now);
        let decided = before.decide(&managed.rules, now, input);
        let broken = |source| Error::Broken { model: name.clone(), source };
        invariant::step(before, managed.rules.policy(), now, input, &decided.events)
            .and_then(|()| invariant::refused_changes_nothing(&decided))
            .map_err(broken)?;
        let mut after = before.clone();
        for event in &decided.events {
            after.apply(now, event);
        }
        let mut fleet_events = fleet_events;
        fleet_events.extend(after.released_since(before));
        let mut fleet = self.fleet.clone();
        for event in &fleet_events {
            fleet.apply(now, event);
        }
        invariant::fleet_within(&fleet, &self.limits).map_err(broken)?;
        if decided.events.is_empty() && decided.decision.is_none() && fleet_events.is_empty() {
            return Ok(None);
        }
        let (facts, fleet_facts) = (count(&decided.events), count(&fleet_events));
        let decision = decided.decision.clone();
        let commit = Commit {
            before: before.clone(),
            expected: managed.facts,
            at: now,
            events: decided.events,
            fleet: (fleet_facts > 0)
                .then_some(FleetCommit { expected: self.fleet_facts, events: fleet_events }),
            decision: decided.decision,
        };
        self.store
            .commit(commit)
            .await
            .map_err(|source| Error::Store { model: name.to_string(), source })?;
        managed.model = after;
        managed.facts += facts;
        self.fleet = fleet;
        self.fleet_facts += fleet_facts;
        if let Some(decision) = &decision {
            tracing::debug!(model = %name, at = %now, action = decision.action.name(), "decided");
        }
        Ok(decision)
    }
}

fn failed(model: &str) -> impl FnOnce(StoreError) -> Error {
    let model = model.to_owned();
    move |source| Error::Store { model, source }
}

fn count<T>(events: &[T]) -> u64 {
    u64::try_from(events.len()).unwrap_or(u64::MAX)
}
