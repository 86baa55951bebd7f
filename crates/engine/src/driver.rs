//! Drives a machine on live state: carries out what is owed until nothing is left that can be done
//! now. Holds no rule, and may be killed at any moment: what is owed is read from the state.
//!
//! Several processes may share the state. One at a time computes, which a lock on a file sees to;
//! the others wait for it. Whoever decides on stale state is told so by the store, reads what
//! happened, and decides anew.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use afresh_core::decision::Decision;
use afresh_core::fleet::Held;
use afresh_core::id::ModelName;
use afresh_core::input::Input;
use afresh_core::model::Action;
use tokio::task::{AbortHandle, JoinSet};

use crate::clock::Clock;
use crate::machine::{self, Machine};
use crate::port::{ServeError, Serving, Store, StoreError};
use crate::workshop::Workshop;

/// Times that a decision is taken anew because another process was faster.
const CONFLICTS_MAX: usize = 16;
/// Times that the same work is done before something must be wrong.
const REPEATS_MAX: usize = 3;
/// Time between two looks at what other processes did, while work is under way.
const LOOK_EVERY: std::time::Duration = std::time::Duration::from_millis(500);
/// The file whose lock says who computes.
const LOCK_FILE: &str = "working.lock";

/// A machine, its workers and its serving side.
#[derive(Debug)]
pub struct Driver<S, V> {
    machine: Machine<Arc<S>>,
    workshops: BTreeMap<ModelName, Arc<Workshop>>,
    serving: V,
    lock: PathBuf,
}

/// What happens while work is done, for whoever watches.
#[derive(Clone, Debug)]
pub enum News {
    /// Something was decided.
    Decided {
        /// For which model.
        model: ModelName,
        /// What and why.
        decision: Decision,
    },
    /// Work began.
    Started {
        /// For which model.
        model: ModelName,
        /// What.
        action: Action,
    },
    /// This share of the training is done, from 0 to 1.
    Advanced {
        /// Of which model.
        model: ModelName,
        /// The share.
        share: f64,
    },
    /// Another process computes; its end is waited for.
    Waiting,
}

/// Hears of news.
pub type Listener = Arc<dyn Fn(&News) + Send + Sync>;

/// Why work could not go on. What was done before is kept.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The machine.
    #[error(transparent)]
    Machine(#[from] machine::Error),
    /// The serving side.
    #[error("failed to let {model} serve")]
    Serve {
        /// Whose deployment.
        model: ModelName,
        /// Why.
        #[source]
        source: ServeError,
    },
    /// Other processes were faster again and again.
    #[error(
        "other processes changed the state of {model} {CONFLICTS_MAX} times while this one \
         decided: nothing was changed by this one, try again"
    )]
    Crowded {
        /// Whose state.
        model: String,
    },
    /// The lock cannot be taken.
    #[error("failed to lock `{}`", .path.display())]
    Lock {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The same work is owed however often it is done.
    #[error("{model} owes the same work after it was done {REPEATS_MAX} times: {action}")]
    Stuck {
        /// Which model.
        model: ModelName,
        /// What.
        action: String,
    },
    /// A worker stopped without an answer.
    #[error("a worker stopped without an answer")]
    Worker(#[source] tokio::task::JoinError),
}

/// Held by whoever computes; another process may once it is dropped.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

/// Work under way.
struct Work {
    tasks: JoinSet<(ModelName, Action, Option<Input>)>,
    in_flight: BTreeMap<Action, (ModelName, AbortHandle)>,
    done: BTreeMap<(ModelName, Action), usize>,
}

impl<S: Store + 'static, V: Serving> Driver<S, V> {
    /// A driver whose lock lies in the directory `state`. It computes for models with a workshop
    /// only; deployments it makes for all.
    pub fn new(machine: Machine<Arc<S>>, serving: V, state: &Path) -> Driver<S, V> {
        Driver { machine, workshops: BTreeMap::new(), serving, lock: state.join(LOCK_FILE) }
    }

    /// Gives a model its workers.
    pub fn employ(&mut self, model: ModelName, workshop: Workshop) {
        self.workshops.insert(model, Arc::new(workshop));
    }

    /// The machine.
    pub fn machine(&self) -> &Machine<Arc<S>> {
        &self.machine
    }

    /// A model's workers.
    pub fn workshop(&self, model: &ModelName) -> Option<Arc<Workshop>> {
        self.workshops.get(model).map(Arc::clone)
    }

    /// Runs that want slots and may not have them, and why.
    pub fn held(&self, clock: &Clock) -> Vec<Held> {
        self.machine.held(clock.now())
    }

    /// The right to compute, if no other process has it.
    pub fn try_turn(&self) -> Result<Option<Turn>, Error> {
        try_turn(&self.lock)
    }

    /// Hands one input to the machine; decides anew where another process was faster.
    pub async fn send(
        &mut self,
        model: &ModelName,
        clock: &Clock,
        input: &Input,
    ) -> Result<Option<Decision>, Error> {
        for _ in 0..CONFLICTS_MAX {
            match self.machine.handle(model, clock.now(), input).await {
                Ok(decision) => return Ok(decision),
                Err(error) if is_conflict(&error) => {
                    tracing::debug!(%model, "another process was faster");
                    self.machine.catch_up().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Crowded { model: model.to_string() })
    }

    /// Sends a tick to every model.
    pub async fn tick(&mut self, clock: &Clock, listener: &Listener) -> Result<(), Error> {
        let names = self.machine.models().map(|model| model.name().clone()).collect::<Vec<_>>();
        for name in names {
            self.send_telling(&name, clock, &Input::Tick, listener).await?;
        }
        Ok(())
    }

    /// Carries out what is owed until nothing is owed and nothing is due. A run that waits for
    /// time, for labels, for a person or for slots stays as it is.
    pub async fn settle(&mut self, clock: &Clock, listener: &Listener) -> Result<(), Error> {
        let mut turn = None;
        let mut work =
            Work { tasks: JoinSet::new(), in_flight: BTreeMap::new(), done: BTreeMap::new() };
        loop {
            self.deploy_counting(clock, listener, &mut work.done).await?;
            if turn.is_none() && self.owes_work() {
                turn = Some(self.take_turn(listener).await?);
                self.machine.catch_up().await?;
                continue;
            }
            if turn.is_some() {
                self.assign(clock).await?;
                self.start_owed(listener, &mut work)?;
            }
            if work.tasks.is_empty() {
                if self.tick_due(clock, listener).await? {
                    continue;
                }
                return Ok(());
            }
            tokio::select! {
                answer = work.tasks.join_next() => {
                    let Some(answer) = answer else { continue };
                    let (model, action, input) = match answer {
                        Ok(answer) => answer,
                        Err(ended) if ended.is_cancelled() => continue,
                        Err(ended) => return Err(Error::Worker(ended)),
                    };
                    work.in_flight.remove(&action);
                    if let Some(input) = input {
                        self.send_telling(&model, clock, &input, listener).await?;
                    }
                }
                () = tokio::time::sleep(LOOK_EVERY) => {
                    self.machine.catch_up().await?;
                    self.tick_due(clock, listener).await?;
                }
            }
        }
    }

    /// Whether a model with workers owes computing work, or wants slots for it.
    fn owes_work(&self) -> bool {
        let owes = |name: &ModelName| {
            let model = self.machine.model(name);
            let action = model.and_then(afresh_core::model::Model::outstanding);
            let computes = action.is_some_and(|action| !matches!(action, Action::Serve(_)));
            computes || self.machine.owed(name).is_some()
        };
        self.workshops.keys().any(owes)
    }

    async fn send_telling(
        &mut self,
        model: &ModelName,
        clock: &Clock,
        input: &Input,
        listener: &Listener,
    ) -> Result<(), Error> {
        if let Some(decision) = self.send(model, clock, input).await? {
            listener(&News::Decided { model: model.clone(), decision });
        }
        Ok(())
    }

    /// Makes every deployment that is owed. Needs no turn: the serving side refuses lower fences.
    pub async fn deploy(&mut self, clock: &Clock, listener: &Listener) -> Result<(), Error> {
        self.deploy_counting(clock, listener, &mut BTreeMap::new()).await
    }

    async fn deploy_counting(
        &mut self,
        clock: &Clock,
        listener: &Listener,
        done: &mut BTreeMap<(ModelName, Action), usize>,
    ) -> Result<(), Error> {
        loop {
            let owed = self.machine.outstanding().into_iter().find_map(|(model, action)| {
                if let Action::Serve(deployment) = action {
                    Some((model, deployment))
                } else {
                    None
                }
            });
            let Some((model, deployment)) = owed else { return Ok(()) };
            let action = Action::Serve(deployment);
            count(done, &model, &action)?;
            tracing::info!(%model, fence = deployment.fence.0, "deploying");
            listener(&News::Started { model: model.clone(), action });
            match self.serving.serve(&model, deployment).await {
                Ok(()) => {
                    let input = Input::Serving { fence: deployment.fence };
                    self.send_telling(&model, clock, &input, listener).await?;
                }
                // Another process may have gone on meanwhile.
                Err(ServeError::Fenced { .. }) if self.machine.catch_up().await? => {}
                Err(source) => return Err(Error::Serve { model, source }),
            }
        }
    }

    async fn assign(&mut self, clock: &Clock) -> Result<(), Error> {
        for _ in 0..CONFLICTS_MAX {
            match self.machine.assign(clock.now()).await {
                Ok(()) => return Ok(()),
                Err(error) if is_conflict(&error) => {
                    self.machine.catch_up().await?;
                }
                Err(error) => return Err(error.into()),
            }
        }
        Err(Error::Crowded { model: "the fleet".to_owned() })
    }

    /// Starts what is owed and not in flight; stops what is no longer owed.
    fn start_owed(&self, listener: &Listener, work: &mut Work) -> Result<(), Error> {
        let owed = self.machine.outstanding();
        work.in_flight.retain(|action, (model, task)| {
            let still = owed.iter().any(|(of, owed)| of == model && owed == action);
            if !still {
                tracing::info!(%model, "stopping work that is no longer owed");
                task.abort();
            }
            still
        });
        for (model, action) in owed {
            let Some(workshop) = self.workshops.get(&model).map(Arc::clone) else { continue };
            if matches!(action, Action::Serve(_)) || work.in_flight.contains_key(&action) {
                continue;
            }
            count(&mut work.done, &model, &action)?;
            tracing::info!(%model, ?action, "working");
            listener(&News::Started { model: model.clone(), action: action.clone() });
            let progress = {
                let (listener, model) = (Arc::clone(listener), model.clone());
                Arc::new(move |share| {
                    tracing::debug!(%model, share, "training");
                    listener(&News::Advanced { model: model.clone(), share });
                })
            };
            let (store, key) = (Arc::clone(self.machine.store()), (model.clone(), action.clone()));
            let task = work.tasks.spawn(async move {
                let input = workshop.perform(&store, &action, progress).await;
                (model, action, input)
            });
            work.in_flight.insert(key.1, (key.0, task));
        }
        Ok(())
    }

    /// Sends a tick to each model whose time has come; whether one of them changed.
    async fn tick_due(&mut self, clock: &Clock, listener: &Listener) -> Result<bool, Error> {
        let mut changed = false;
        for model in self.machine.due(clock.now()) {
            let before = self.machine.model(&model).cloned();
            self.send_telling(&model, clock, &Input::Tick, listener).await?;
            changed |= before.as_ref() != self.machine.model(&model);
        }
        Ok(changed)
    }

    async fn take_turn(&self, listener: &Listener) -> Result<Turn, Error> {
        if let Some(turn) = self.try_turn()? {
            return Ok(turn);
        }
        listener(&News::Waiting);
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            if let Some(turn) = self.try_turn()? {
                return Ok(turn);
            }
        }
    }
}

/// The right to compute on the state in the directory `state`, if no process has it.
pub fn turn(state: &Path) -> Result<Option<Turn>, Error> {
    try_turn(&state.join(LOCK_FILE))
}

fn try_turn(lock: &Path) -> Result<Option<Turn>, Error> {
    let failed = |source| Error::Lock { path: lock.to_owned(), source };
    let mut options = OpenOptions::new();
    let file = options.create(true).truncate(false).write(true).open(lock).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(Turn { _file: file })),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(failed(source)),
    }
}

fn count(
    done: &mut BTreeMap<(ModelName, Action), usize>,
    model: &ModelName,
    action: &Action,
) -> Result<(), Error> {
    let times = done.entry((model.clone(), action.clone())).or_default();
    if *times == REPEATS_MAX {
        return Err(Error::Stuck { model: model.clone(), action: format!("{action:?}") });
    }
    *times += 1;
    Ok(())
}

fn is_conflict(error: &machine::Error) -> bool {
    matches!(error, machine::Error::Store { source: StoreError::Conflict { .. }, .. })
}
