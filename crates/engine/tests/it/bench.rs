//! A model at work on a small generated history, step by step.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex};

use afresh_core::decide::Rules;
use afresh_core::event::Event;
use afresh_core::fleet::{Limits, Resources};
use afresh_core::gate;
use afresh_core::history::RunRecord;
use afresh_core::id::{ModelName, VersionId};
use afresh_core::input::{Input, Watch};
use afresh_core::model::{Action, Model, Phase};
use afresh_core::policy::{Policy, Probation};
use afresh_core::signal::{Mode, Priority, Request, Signal};
use afresh_core::time::{Duration, Timestamp, Window};
use afresh_data::schema::Task;
use afresh_data::selection::Selection;
use afresh_data::source::Source;
use afresh_data::spec::SourceSpec;
use afresh_data::split;
use afresh_engine::feed::Feed;
use afresh_engine::machine::Machine;
use afresh_engine::port::Store as _;
use afresh_engine::settings::{Decay, Settings, TrainingWindow, Windows};
use afresh_engine::workshop::Workshop;
use afresh_ml::metrics::Metric;
use afresh_policy::settings::Settings as Advice;
use afresh_store::memory::Memory;
use afresh_train::dataset::FromDataset;
use afresh_train::error::Error as TrainError;
use afresh_train::recipe::{BoostedTrees, Engine, Recipe};
use afresh_train::trainer::{InProcess, Job, Parts, ReadRows};

/// 2024-01-01.
pub(crate) const START: Timestamp = Timestamp(1_704_067_200_000);
pub(crate) const DELAY: Duration = Duration::days(2);
const ROWS_A_DAY: i64 = 60;

/// The start of a day of the history.
pub(crate) fn day(number: u64) -> Timestamp {
    START.after(Duration::days(number))
}

pub(crate) fn days(from: u64, to: u64) -> Window {
    Window { from: day(from), to: day(to) }
}

/// How a history is generated.
#[derive(Clone, Copy, Debug)]
pub(crate) struct History {
    pub(crate) days: i64,
    /// From this day on the label is its opposite.
    pub(crate) flip: i64,
    /// From this day on the features lie elsewhere.
    pub(crate) shift: i64,
}

pub(crate) const CALM: History = History { days: 90, flip: 900, shift: 900 };

impl History {
    pub(crate) fn write(self, file: &Path) {
        let mut state = 5_u64;
        let mut uniform = || {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
        };
        let mut text = "id,t,x,noise,colour,y\n".to_owned();
        for row in 0..self.days * ROWS_A_DAY {
            let (x, noise, luck) = (uniform() * 2.0 - 1.0, uniform(), uniform());
            let colour = if uniform() < 0.5 { "red" } else { "green" };
            let sign = if row < self.flip * ROWS_A_DAY { 1.0 } else { -1.0 };
            let y = u8::from(2.0 * x * sign + luck - 0.5 > 0.0);
            let moved = self.shift * ROWS_A_DAY <= row;
            let (x, noise) = if moved { (x + 5.0, noise - 5.0) } else { (x, noise) };
            let colour = if moved { "blue" } else { colour };
            let at = Timestamp(START.0 + row * 86_400_000 / ROWS_A_DAY);
            writeln!(text, "{row},{at},{x:.6},{noise:.6},{colour},{y}").unwrap();
        }
        std::fs::write(file, text).unwrap();
    }
}

/// Rows that a training read: for which artifact, and their keys.
#[derive(Clone, Debug)]
pub(crate) struct Read {
    pub(crate) version: VersionId,
    pub(crate) keys: Vec<u64>,
}

/// Reads rows as a training does and notes which.
#[derive(Clone, Debug, Default)]
struct Noting(Arc<Mutex<Vec<Read>>>);

impl ReadRows for Noting {
    fn read(&self, job: &Job) -> Result<Parts, TrainError> {
        let parts = FromDataset.read(job)?;
        let name = job.output.file_name().unwrap().to_str().unwrap();
        let version = VersionId(name.trim_start_matches('v').parse().unwrap());
        let keys = parts.train.key.iter().chain(&parts.stopping.key).copied().collect();
        self.0.lock().unwrap().push(Read { version, keys });
        Ok(parts)
    }

    fn selections(&self, job: &Job) -> Result<Vec<Selection>, TrainError> {
        FromDataset.selections(job)
    }
}

/// Sees what is done before it is done, and may change the answer.
pub(crate) type Hook = Box<dyn FnMut(&Action, Option<&mut Input>)>;

/// A model, its workers and its store, driven by hand.
pub(crate) struct Bench {
    pub(crate) folder: tempfile::TempDir,
    pub(crate) store: Arc<Memory>,
    pub(crate) machine: Machine<Arc<Memory>>,
    pub(crate) workshop: Workshop,
    pub(crate) rules: Rules,
    noted: Noting,
    pub(crate) hook: Hook,
}

pub(crate) fn model() -> ModelName {
    ModelName::new("synthetic").unwrap()
}

pub(crate) fn limits() -> Limits {
    let slots = Resources { cpu_milli: 2_000, memory_mib: 8_192, gpu: 0 };
    Limits { slots, ..Limits::default() }
}

pub(crate) fn policy() -> Policy {
    Policy {
        cooldown: Duration::ZERO,
        // Candidates as good as the champion pass: what is tested lies elsewhere.
        gate: gate::Rule { margin: 0.05, min_improvement: -0.05, ..gate::Rule::recommended() },
        probation: Probation {
            at_least: Duration::ZERO,
            labels: 0,
            ..Policy::recommended().probation
        },
        ..Policy::recommended()
    }
}

pub(crate) fn trees() -> BoostedTrees {
    BoostedTrees {
        params: [("max_depth".to_owned(), 2.into()), ("eta".to_owned(), 0.3.into())].into(),
        rounds: 10,
        early_stopping: 0,
        ..BoostedTrees::default()
    }
}

/// Workers over `events.csv` of `folder`; state below `folder/state`.
pub(crate) async fn workshop(
    folder: &Path,
    file: &str,
    recipe: Recipe,
    window: TrainingWindow,
    rows: impl ReadRows + 'static,
) -> Workshop {
    let spec = SourceSpec {
        id: Some("id".into()),
        label: Some("y".into()),
        positive: Some("1".into()),
        label_delay: DELAY,
        ..SourceSpec::new(file, "t", Task::Binary)
    };
    let source = Source::open(spec, folder).unwrap();
    let schema = source.infer_schema().await.unwrap();
    let feed = Feed::reading(source, schema);
    let state = folder.join("state");
    std::fs::create_dir_all(&state).unwrap();
    let settings = Settings {
        model: model(),
        windows: Windows::all_alike(window),
        recipe,
        limits: Default::default(),
        incremental_rounds: 4,
        metric: Metric::Auc,
        slices: Vec::new(),
        gate: policy().gate,
        rejudge: policy().rejudge,
        period: Duration::days(7),
        split: split::Rule {
            holdout_rows_min: 100,
            stopping_rows_min: 100,
            rows_least: 50,
            ..split::Rule::new(Duration::days(7))
        },
        advice: Advice::recommended(),
        run_estimate_cpu_seconds: None,
        drift: afresh_engine::settings::Drift::ExpectedRunTime(Duration::days(90)),
        decay: Decay::recommended(vec![Metric::Auc, Metric::LogLoss], Duration::days(7)),
        base: folder.to_owned(),
        state,
        shelf: None,
    };
    Workshop::open(settings, feed, Arc::new(InProcess { rows }), "no-program".into()).unwrap()
}

impl Bench {
    pub(crate) async fn new(history: History) -> Bench {
        Bench::with(history, policy(), trees(), TrainingWindow::All).await
    }

    pub(crate) async fn with(
        history: History,
        policy: Policy,
        trees: BoostedTrees,
        window: TrainingWindow,
    ) -> Bench {
        let folder = tempfile::tempdir().unwrap();
        history.write(&folder.path().join("events.csv"));
        let noted = Noting::default();
        let recipe = Recipe::new(Engine::BoostedTrees(trees));
        let workshop = workshop(folder.path(), "events.csv", recipe, window, noted.clone()).await;
        let store = Arc::new(Memory::new());
        let rules = Rules::new(policy);
        let machine = open(&store, &rules).await;
        let hook = Box::new(|_: &Action, _: Option<&mut Input>| {});
        Bench { folder, store, machine, workshop, rules, noted, hook }
    }

    pub(crate) fn state(&self) -> &Model {
        self.machine.model(&model()).unwrap()
    }

    pub(crate) fn champion(&self) -> VersionId {
        self.state().champion().expect("there is a champion")
    }

    /// One input, after which a machine that reads everything anew must stand where this one does.
    pub(crate) async fn handle(&mut self, now: Timestamp, input: &Input) {
        self.machine.handle(&model(), now, input).await.unwrap();
        self.same_when_reopened().await;
        self.machine.assign(now).await.unwrap();
        self.same_when_reopened().await;
    }

    async fn same_when_reopened(&self) {
        let reopened = open(&self.store, &self.rules).await;
        assert_eq!(reopened.model(&model()), self.machine.model(&model()));
        assert_eq!(reopened.outstanding(), self.machine.outstanding());
        let later = day(1_000);
        assert_eq!(reopened.held(later), self.machine.held(later));
    }

    /// The first version, trained at `now`.
    pub(crate) async fn first_version(&mut self, now: Timestamp) -> RunRecord {
        self.handle(now, &Input::Tick).await;
        self.handle(now, &Input::Signal(Signal::Data { rows: 1_000 })).await;
        self.finish(now).await
    }

    /// A run that a person asked for, carried to its end.
    pub(crate) async fn retrain(&mut self, now: Timestamp) -> RunRecord {
        let request = Request {
            by: "ana".to_owned(),
            reason: "to see".to_owned(),
            priority: Priority::HIGHEST,
            mode: Mode::Force,
        };
        self.handle(now, &Input::Signal(Signal::Manual(request))).await;
        self.finish(now).await
    }

    /// Does what is owed until the run is over, its waits included.
    pub(crate) async fn finish(&mut self, now: Timestamp) -> RunRecord {
        let mut now = now;
        for _ in 0..60 {
            if let Some((_, action)) = self.machine.outstanding().into_iter().next() {
                (self.hook)(&action, None);
                let mut input = match &action {
                    Action::Serve(deployment) => Input::Serving { fence: deployment.fence },
                    other => {
                        let silent = Arc::new(|_share: f64| {});
                        self.workshop.perform(&self.store, other, silent).await.unwrap()
                    }
                };
                (self.hook)(&action, Some(&mut input));
                self.handle(now, &input).await;
                continue;
            }
            let phase = self.state().phase().clone();
            match phase {
                Phase::Idle { .. } => break,
                Phase::Probation { candidate: version, .. } => {
                    let watch = Watch {
                        version,
                        labels: 1_000,
                        e_value: 0.0,
                        excess_loss: 0.0,
                        error_rate: 0.0,
                    };
                    self.handle(now, &Input::Watched(watch)).await;
                }
                _ => {
                    let (at, _) = self.machine.next_wakeup().expect("something happens next");
                    now = now.max(at);
                }
            }
            self.handle(now, &Input::Tick).await;
        }
        assert!(matches!(self.state().phase(), Phase::Idle { .. }), "{:?}", self.state().phase());
        let runs = self.store.runs(Some(&model()), Default::default()).await.unwrap();
        runs[0].record.clone()
    }

    /// Keys of all rows that a version was trained on, those of what it continues included.
    pub(crate) fn trained_on(&self, versions: &[VersionId]) -> std::collections::BTreeSet<u64> {
        let noted = self.noted.0.lock().unwrap();
        let of = noted.iter().filter(|read| versions.contains(&read.version));
        of.flat_map(|read| read.keys.clone()).collect()
    }

    pub(crate) async fn events(&self) -> Vec<Event> {
        let facts = self.store.facts(&model(), 0, u32::MAX).await.unwrap();
        facts.into_iter().map(|fact| fact.event).collect()
    }
}

pub(crate) async fn open(store: &Arc<Memory>, rules: &Rules) -> Machine<Arc<Memory>> {
    Machine::open(Arc::clone(store), vec![(model(), rules.clone())], limits()).await.unwrap()
}
