//! Synthetic histories in CSV, and everything that replaying them needs.

use std::fmt::Write as _;
use std::path::Path;
use std::sync::Arc;

use afresh_core::decide::Rules;
use afresh_core::fleet::{Limits, Resources};
use afresh_core::gate;
use afresh_core::id::ModelName;
use afresh_core::policy::Policy;
use afresh_core::time::{Duration, Timestamp};
use afresh_data::schema::Task;
use afresh_data::source::Source;
use afresh_data::spec::SourceSpec;
use afresh_data::split;
use afresh_engine::feed::Feed;
use afresh_engine::settings::{Decay, Settings, TrainingWindow, Windows};
use afresh_engine::workshop::{Workshop, task};
use afresh_ml::metrics::Metric;
use afresh_policy::rule::Rule;
use afresh_policy::settings::Settings as Advice;
use afresh_sim::replay::{Compare, Error, Log, Replay, outcome::Outcome, run};
use afresh_store::memory::Memory;
use afresh_train::dataset::FromDataset;
use afresh_train::recipe::{BoostedTrees, Engine, Recipe};
use afresh_train::trainer::InProcess;

pub(crate) const DAY: Duration = Duration::days(1);
pub(crate) const WEEK: Duration = Duration::days(7);
pub(crate) const ROWS_A_DAY: i64 = 100;
/// 2024-01-01.
pub(crate) const START: Timestamp = Timestamp(1_704_067_200_000);

/// One event and what became of it.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    pub(crate) at: Timestamp,
    pub(crate) x: f64,
    pub(crate) noise: f64,
    pub(crate) colour: &'static str,
    pub(crate) label: String,
}

/// `days` of events whose label follows `x`, and from day `flip` on its opposite.
pub(crate) fn events(task: Task, days: i64, flip: i64) -> Vec<Event> {
    let mut state = 11_u64;
    let mut uniform = || {
        state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = state;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        f64::from(u32::try_from((z ^ (z >> 31)) >> 32).unwrap()) / 4_294_967_296.0
    };
    let step = i64::try_from(DAY.0).unwrap() / ROWS_A_DAY;
    let mut events = Vec::new();
    for row in 0..days * ROWS_A_DAY {
        let (x, noise, luck) = (uniform() * 2.0 - 1.0, uniform(), uniform());
        let colour = if uniform() < 0.5 { "red" } else { "green" };
        let signal = if row < flip * ROWS_A_DAY { x } else { -x };
        let score = 2.0 * signal + luck - 0.5;
        let label = match task {
            Task::Binary => u8::from(score > 0.0).to_string(),
            Task::Multiclass if score < -0.6 => "low".to_owned(),
            Task::Multiclass if score < 0.6 => "middle".to_owned(),
            Task::Multiclass => "top".to_owned(),
            Task::Regression => format!("{score:.6}"),
        };
        events.push(Event { at: Timestamp(START.0 + row * step), x, noise, colour, label });
    }
    events
}

/// Writes `events.csv` into `folder`.
pub(crate) fn write(folder: &Path, events: &[Event]) {
    let mut text = "id,t,x,noise,colour,y\n".to_owned();
    for (id, event) in events.iter().enumerate() {
        let Event { at, x, noise, colour, label } = event;
        writeln!(text, "{id},{at},{x:.6},{noise:.6},{colour},{label}").unwrap();
    }
    std::fs::write(folder.join("events.csv"), text).unwrap();
}

/// What is replayed and how.
#[derive(Clone, Debug)]
pub(crate) struct Plan {
    pub(crate) task: Task,
    pub(crate) label_delay: Duration,
    pub(crate) warm_up: Duration,
    pub(crate) recipe: Recipe,
    pub(crate) policy: Policy,
    pub(crate) compare: Compare,
}

impl Plan {
    pub(crate) fn new(task: Task) -> Plan {
        let trees = BoostedTrees {
            params: [("max_depth".to_owned(), 2.into()), ("eta".to_owned(), 0.3.into())].into(),
            rounds: 12,
            early_stopping: 4,
            ..BoostedTrees::default()
        };
        let mut policy = Policy::recommended();
        policy.probation.labels = 100;
        policy.gate = gate::Rule { margin: 0.02, ..gate::Rule::recommended() };
        Plan {
            task,
            label_delay: Duration::days(2),
            warm_up: Duration::days(28),
            recipe: Recipe::new(Engine::BoostedTrees(trees)),
            policy,
            compare: Compare::Never,
        }
    }
}

/// A replay that is over, with all that it left behind.
#[derive(Debug)]
pub(crate) struct Replayed {
    pub(crate) outcome: Outcome,
    pub(crate) store: Arc<Memory>,
}

pub(crate) fn model() -> ModelName {
    ModelName::new("synthetic").unwrap()
}

/// Replays the `events.csv` of `folder`; state is kept below `state`.
pub(crate) async fn replay(plan: &Plan, folder: &Path, state: &str) -> Result<Replayed, Error> {
    let spec = SourceSpec {
        id: Some("id".into()),
        label: Some("y".into()),
        positive: (plan.task == Task::Binary).then(|| "1".into()),
        label_delay: plan.label_delay,
        ..SourceSpec::new("events.csv", "t", plan.task)
    };
    let source = Source::open(spec, folder).unwrap();
    let schema = source.infer_schema().await.unwrap();
    let metric = Metric::default_for(task(&schema));
    let feed = Feed::in_memory(source, schema).await.unwrap();
    let settings = |state: &str| Settings {
        model: model(),
        windows: Windows::all_alike(TrainingWindow::Last(Duration::days(28))),
        recipe: plan.recipe.clone(),
        limits: Default::default(),
        incremental_rounds: 4,
        metric,
        slices: vec!["colour".to_owned()],
        gate: plan.policy.gate.clone(),
        rejudge: plan.policy.rejudge,
        period: WEEK,
        split: split::Rule {
            holdout_rows_min: 200,
            stopping_rows_min: 200,
            ..split::Rule::new(WEEK)
        },
        advice: Advice { rule: Rule::periodic_decay(2, 1), rows_min: 200, ..Advice::recommended() },
        run_estimate_cpu_seconds: None,
        drift: afresh_engine::settings::Drift::Threshold(0.3),
        decay: Decay::recommended(vec![Metric::Auc, Metric::LogLoss], Duration::days(7)),
        base: folder.to_owned(),
        state: folder.join(state),
        shelf: None,
    };
    let workshop = |settings: Settings| {
        std::fs::create_dir_all(&settings.state).unwrap();
        let trainer = Arc::new(InProcess { rows: FromDataset });
        Workshop::open(settings, feed.clone(), trainer, "no-program".into()).unwrap()
    };
    let store = Arc::new(Memory::new());
    let replay = Replay {
        workshop: workshop(settings(state)),
        rival: workshop(settings(&format!("{state}/always"))),
        compare: plan.compare,
        log: Log::FirstVersion,
        store: Arc::clone(&store),
        rules: Rules::new(plan.policy.clone()),
        limits: Limits {
            slots: Resources { cpu_milli: 2_000, memory_mib: 8_192, gpu: 0 },
            ..Limits::default()
        },
        warm_up: plan.warm_up,
        rival_rounds: 12,
    };
    let outcome = run(replay, |_progress| {}).await?;
    Ok(Replayed { outcome, store })
}
