//! What is written is what is meant: the design's example, presets, defaults, every key.

use std::path::{Path, PathBuf};

use afresh_core::blackout::Blackout;
use afresh_core::fleet::{Budget, Resources};
use afresh_core::gate::{Bound, Proof, Rule, Slices};
use afresh_core::policy::{
    Approval, Attention, CatchUp, DecayRule, DependsOnPast, Policy, Refit, Step, Training,
};
use afresh_core::time::{Duration, Timestamp};
use afresh_data::schema::Task;
use afresh_data::split;
use afresh_ml::metrics::Metric;
use afresh_policy::rule::Rule as Policing;
use afresh_policy::settings::Settings;
use afresh_train::recipe::{Engine, Recipe, RowFormat, Variable};
use serde_json::{Value, json};

use super::{parse, with};
use crate::config::{
    Config, DecayTest, DecayWatch, DecayWindow, ModelConfig, Preset, TrainingWindow, Windows,
};

/// The example of the design.
const EXAMPLE: &str = r#"
[model.flight-delay]
task  = "binary"
owner = "ops@example.com"
tags  = ["demo"]
[model.flight-delay.data]
source  = "data/flights/*.parquet"
id      = "event_id"
time    = "event_time"
label   = "label"
positive = 1
label_time   = "label_time"
matured_time = "matured_time"
label_delay  = "2d"
weight = ""
entity = ""
person_key = ""
exclude = []
window  = "90d"
[model.flight-delay.train]
engine = "boosted-trees"
params = { max_depth = 6, eta = 0.1 }
refit  = true
[model.flight-delay.retrain]
preset   = "recommended"
policy   = "periodic+decay"
schedule = "0 2 * * SUN"
start = 2026-01-01
drift = 0.3
decay = { drop = 0.05 }
volume = 50_000
cooldown = "24h"
cost = { per_loss = 1.0, per_cpu_hour = 0.10, budget = "20 cpu-hours per 30d" }
[model.flight-delay.gate]
metric = "auc"
at_least = 0.60
min_improvement = 0.0
margin = 0.005
slices = ["carrier"]
[model.flight-delay.rollout]
canary = [5, 25, 100]
probation = { at_least = "24h", labels = 500, at_most = "14d" }
[replay]
period = "7d"
warm_up = "28d"
[slots]
cpu = 2
memory_gib = 8
gpu = 0
"#;

fn one(text: &str) -> ModelConfig {
    let config = parse(text).unwrap_or_else(|problems| {
        let lines =
            problems.iter().map(|p| format!("{} {} {}", p.place(), p.message(), p.advice()));
        panic!("{}", lines.collect::<Vec<_>>().join("\n"))
    });
    config.models.into_iter().next().unwrap()
}

#[test]
fn example_of_the_design_is_read_key_by_key() {
    let config = Config::parse(EXAMPLE, "afresh.toml", Path::new("somewhere")).unwrap();
    assert_eq!(config.base, PathBuf::from("somewhere"));
    assert_eq!(config.state, PathBuf::from("somewhere/.afresh"));
    assert_eq!(config.production, PathBuf::from("somewhere/production"));
    assert_eq!(
        (config.replay.period, config.replay.warm_up),
        (Duration::days(7), Duration::days(28))
    );
    assert_eq!(config.fleet.slots, Resources { cpu_milli: 2_000, memory_mib: 8_192, gpu: 0 });
    let model = config.model("flight-delay").unwrap();
    let budget = Budget { cpu_seconds: 72_000.0, per: Duration::days(30) };
    assert_eq!(config.fleet.budgets.get(&model.name), Some(&budget));
    assert_eq!(model.owner.as_deref(), Some("ops@example.com"));
    assert_eq!(model.tags, ["demo"]);
    assert_eq!(model.source.location, "data/flights/*.parquet");
    assert_eq!(model.source.id.as_deref(), Some("event_id"));
    assert_eq!(model.source.positive.as_deref(), Some("1"));
    assert_eq!(model.source.matured_time.as_deref(), Some("matured_time"));
    assert_eq!(model.source.label_delay, Duration::days(2));
    assert_eq!((&model.source.weight, &model.source.entity), (&None, &None));
    assert_eq!(model.windows, Windows::all(TrainingWindow::Last(Duration::days(90))));
    let Engine::BoostedTrees(trees) = &model.recipe.engine else { panic!("{:?}", model.recipe) };
    assert_eq!(json!(trees.params), json!({ "max_depth": 6, "eta": 0.1 }));
    let policy = &model.policy;
    assert_eq!((policy.drift, policy.volume), (Some(0.3), Some(50_000)));
    assert_eq!(policy.decay, Some(DecayRule::Proven(0.05)));
    let schedule = policy.schedule.as_ref().unwrap();
    assert_eq!(schedule.cadence.start().to_string(), "2026-01-01T00:00:00Z");
    let next = schedule.cadence.next(Timestamp(0), "flight-delay").unwrap();
    assert_eq!(next.to_string(), "2026-01-04T02:00:00Z");
    assert_eq!(policy.gate.at_least, Some(Bound::Above(0.6)));
    let percents = policy.rollout.iter().map(|step| (step.percent, step.hold)).collect::<Vec<_>>();
    let hour = Duration::hours(1);
    assert_eq!(percents, [(5, hour), (25, hour), (100, Duration::ZERO)]);
    assert_eq!(policy.probation, Policy::recommended().probation);
    assert_eq!(model.judging.metric, Metric::Auc);
    assert_eq!(model.judging.slices, ["carrier"]);
    assert_eq!(model.per_cpu_hour, Some(0.10));
}

#[test]
fn broken_files_are_refused_and_never_a_crash() {
    let mut refused = 0;
    for end in 0..EVERYTHING.len() {
        // A cut anywhere, and one letter gone.
        for text in
            [EVERYTHING[..end].to_owned(), EVERYTHING[..end].to_owned() + &EVERYTHING[end + 1..]]
        {
            if let Err(problems) = parse(&text) {
                refused += 1;
                for problem in problems.iter() {
                    assert!(
                        problem.place().line <= text.lines().count() + 1,
                        "{}",
                        problem.place()
                    );
                    assert!(!problem.advice().is_empty(), "{}", problem.message());
                }
            }
        }
    }
    assert!(EVERYTHING.len() < refused, "{refused} of {} refused", 2 * EVERYTHING.len());
}

#[test]
fn a_source_alone_is_the_recommended_preset() {
    let config = parse("[model.m.data]\nsource = \"a.csv\"\n").unwrap();
    let model = &config.models[0];
    assert_eq!(model.preset, Preset::Recommended);
    assert_eq!(model.policy, Policy::recommended());
    assert_eq!(model.recipe, Recipe::boosted_trees());
    assert_eq!(model.advice, Settings::recommended());
    assert_eq!(model.split, split::Rule::new(Duration::days(7)));
    let window = |name: &str, hours| DecayWindow {
        name: name.to_owned(),
        length: Duration::hours(hours),
        bucket: Duration::minutes(hours * 60 / 24),
    };
    let decay = DecayWatch {
        test: DecayTest::Sequential,
        metrics: vec![Metric::Auc, Metric::LogLoss],
        windows: vec![window("24h", 24), window("7d", 168)],
        drop: 0.05,
    };
    assert_eq!(model.decay, decay);
    assert_eq!(
        (model.source.time.as_str(), model.source.label.as_deref()),
        ("event_time", Some("label"))
    );
    let sooner = Duration(Duration::hours(6).0 - 10_000);
    assert_eq!(model.training_limits.time_max, Some(sooner));
    assert_eq!(model.training_limits.memory_bytes_max, Some(8 << 30));
}

#[test]
fn classic_preset_is_the_specification() {
    let model = one(&with("retrain", "preset = \"classic\""));
    // What a run is expected to occupy is no matter of presets.
    assert_eq!(model.policy, Policy::classic());
    assert_eq!(model.policy.gate, Rule::classic());
    assert_eq!(
        (&model.advice.rule, model.policy.advice),
        (&Policing::Thresholds, Attention::Notes)
    );
    assert_eq!((model.decay.test, model.decay.drop), (DecayTest::TTestUncorrected, 0.05));
    let Engine::BoostedTrees(trees) = &model.recipe.engine else { panic!("{:?}", model.recipe) };
    assert_eq!((trees.rounds, trees.early_stopping), (1_000, 50));
    assert_eq!(json!(trees.params), json!({ "max_depth": 6, "eta": 0.1, "eval_metric": "auc" }));
    let days = |days| TrainingWindow::Last(Duration::days(days));
    assert_eq!(
        model.windows,
        Windows {
            scheduled: days(90),
            triggered: TrainingWindow::SinceLastRun,
            online: TrainingWindow::Last(Duration::hours(24)),
            active: days(30),
            incremental: days(30),
        }
    );
    assert_eq!(model.policy.retry.times, 2);
    assert_eq!(model.policy.priority_min.level(), 3);
}

#[test]
fn an_hour_of_training_is_an_hour_of_every_gpu_too() {
    let text =
        with("retrain", "cost = { per_cpu_hour = 0.1, per_gpu_hour = 2, per_million_rows = 5 }")
            + "\n[model.m.train]\nneeds = { gpu = 3 }\n[slots]\ngpu = 4";
    let prices = one(&text).advice.prices;
    assert_eq!((prices.per_cpu_hour, prices.per_million_rows), (Some(6.1), Some(5.0)));
    let text = with("retrain", "cost = { per_gpu_hour = 2 }")
        + "\n[model.m.train]\nneeds = { gpu = 1 }\n[slots]\ngpu = 1";
    assert_eq!(one(&text).advice.prices.per_cpu_hour, Some(2.0));
}

#[test]
fn what_is_written_wins_over_the_preset() {
    let lines = "preset = \"classic\"\ndrift = false\ndecay = { sequential = true }\npriority_min = 1\n\
                 timezone = \"Europe/Berlin\"\ncatch_up = \"once\"\n[model.m.train]\nrefit = true\n\
                 params = { learning_rate = 0.3 }\n[model.m.gate]\nat_least = false\n\
                 [model.m.data.window]\nother = \"all\"\nonline = \"1h\"";
    let model = one(&with("retrain", lines));
    let policy = &model.policy;
    assert_eq!((policy.drift, policy.decay), (None, Some(DecayRule::Sequential)));
    assert_eq!((policy.priority_min.level(), policy.refit), (1, Refit::Yes));
    let schedule = policy.schedule.as_ref().unwrap();
    assert_eq!(schedule.catch_up, CatchUp::Once);
    let summer = Timestamp(1_750_000_000_000);
    assert_eq!(schedule.cadence.next(summer, "m").unwrap().to_string(), "2025-06-22T00:00:00Z");
    assert_eq!(policy.gate, Rule { at_least: None, ..Rule::classic() });
    assert_eq!(model.windows.triggered, TrainingWindow::All);
    assert_eq!(model.windows.online, TrainingWindow::Last(Duration::hours(1)));
    let Engine::BoostedTrees(trees) = &model.recipe.engine else { panic!("{:?}", model.recipe) };
    assert!(!trees.params.contains_key("eta"), "{:?}", trees.params);
}

/// Every key with a value that is not its default.
const EVERYTHING: &str = r#"
[model.m.data]
source = "a.csv"
[model.m.train]
refit = false
threads = 2
seed = 7
needs = { cpu = 2, memory_gib = 0.5 }
limits = { memory = "512 MiB", time = "30min" }
stopping = { length = "2d", rows_min = 5, share_max = 0.1 }
[model.m.retrain]
policy = "thresholds"
every = "3d"
start = 2026-01-01T06:00:00+01:00
catch_up = "all"
jitter = "10min"
depends_on_past = true
drift = 0.4
decay = 0.1
volume = 10
labels = 20
data = 30
cooldown = "0s"
priority_min = 2
blackout = [
  { from = 2026-12-24, to = 2026-12-27 },
  { days = "MON-FRI", from = "22:00", to = "06:30", timezone = "Europe/Berlin" },
]
retries = 5
retry_delay = "1s"
limits = { prepare = "1min", train = "2h", judge = "3min", deploy = "4min" }
approval = true
incremental = true
incremental_rounds = 9
max_trees = 99
rows_min = 7
cost = { per_loss = 2, per_run = 3, per_cpu_hour = 4, estimate_cpu_seconds = 5 }
[model.m.gate]
metric = "log_loss"
at_most = 0.6
min_improvement = 0.001
margin = 0.01
proof = "point"
alpha = 0.1
slices = ["a", "b"]
protect_slices = true
negative_flips_max = 0.02
rejudge = { every = "2d", times = 4 }
holdout = { length = "3d", rows_min = 6, share_max = 0.3 }
rows_min = 8
[model.m.rollout]
canary = [10, 100]
hold = "2h"
probation = { at_least = "1h", labels = 1, at_most = "2h", alpha = 0.01, error_rate_max = 0.5 }
[slots]
budget = "1 cpu-hour per 1d"
ageing = "1h"
[drift]
threshold = 0.2
[decay]
threshold = 0.1
[state]
directory = "/var/lib/afresh"
production = "live"
"#;

#[test]
fn drift_is_calibrated_unless_its_threshold_is_written() {
    let model = "[model.a.data]\nsource = \"a.csv\"\ntime = \"t\"\nlabel = \"y\"\n";
    let read = |text: &str| {
        let config = parse(&format!("{model}{text}")).unwrap();
        (config.drift_threshold, config.drift_run_time)
    };
    assert_eq!(read(""), (None, Duration::days(90)));
    assert_eq!(read("[drift]\nexpected_run_time = \"30d\""), (None, Duration::days(30)));
    assert_eq!(read("[drift]\nthreshold = 0.4"), (Some(0.4), Duration::days(90)));
}

#[test]
fn every_rule_of_the_policy_can_be_written() {
    let config = parse(EVERYTHING).unwrap();
    assert_eq!(config.state, PathBuf::from("/var/lib/afresh"));
    assert_eq!(config.production, PathBuf::from("live"));
    assert_eq!((config.drift_threshold, config.decay_threshold), (Some(0.2), 0.1));
    assert_eq!(config.fleet.ageing, Duration::hours(1));
    assert_eq!(config.fleet.total, Some(Budget { cpu_seconds: 3_600.0, per: Duration::days(1) }));
    let model = &config.models[0];
    assert_eq!((model.recipe.threads, model.recipe.seed), (2, 7));
    assert_eq!(model.training_limits.memory_bytes_max, Some(512 << 20));
    assert_eq!(model.training_limits.time_max, Some(Duration::minutes(30)));
    assert_eq!(model.incremental_rounds, 9);
    assert_eq!(
        (model.advice.rows_min, model.advice.prices.per_loss, model.advice.prices.per_run),
        (7, 2.0, Some(3.0))
    );
    let split = model.split;
    assert_eq!((split.holdout_length, split.holdout_rows_min), (Duration::days(3), 6));
    assert_eq!((split.stopping_length, split.stopping_rows_min), (Duration::days(2), 5));
    assert_eq!(
        (split.holdout_share_max, split.stopping_share_max, split.rows_least),
        (0.3, 0.1, 8)
    );
    let policy = model.policy.clone();
    let schedule = policy.schedule.clone().unwrap();
    assert_eq!(schedule.depends_on_past, DependsOnPast::Yes);
    assert_eq!(schedule.cadence.start().to_string(), "2026-01-01T05:00:00Z");
    assert_eq!(policy.blackouts.len(), 3);
    let Blackout::Weekly { days, from_minute, to_minute, .. } = &policy.blackouts[2] else {
        panic!("{:?}", policy.blackouts)
    };
    assert_eq!((days.as_slice(), *from_minute, *to_minute), ([1, 2, 3, 4, 5].as_slice(), 0, 390));
    let expected = Policy {
        priority_min: policy.priority_min,
        cooldown: Duration::ZERO,
        drift: Some(0.4),
        decay: Some(DecayRule::Proven(0.1)),
        volume: Some(10),
        labels: Some(20),
        data: Some(30),
        schedule: Some(schedule),
        advice: Attention::Notes,
        blackouts: policy.blackouts.clone(),
        retry: afresh_core::policy::Retry { times: 5, delay: Duration::seconds(1) },
        limits: afresh_core::policy::Limits {
            prepare: Duration::minutes(1),
            train: Duration::hours(2),
            judge: Duration::minutes(3),
            deploy: Duration::minutes(4),
        },
        gate: Rule {
            at_least: Some(Bound::Below(0.6)),
            min_improvement: 0.001,
            margin: 0.01,
            proof: Proof::Point,
            alpha: 0.1,
            negative_flips_max: Some(0.02),
            slices: Slices::Protect,
        },
        rejudge: afresh_core::policy::Rejudge { every: Duration::days(2), times: 4 },
        refit: Refit::No,
        approval: Approval::Person,
        training: Training::Incremental,
        rollout: vec![
            Step { percent: 10, hold: Duration::hours(2) },
            Step { percent: 100, hold: Duration::ZERO },
        ],
        probation: afresh_core::policy::Probation {
            at_least: Duration::hours(1),
            labels: 1,
            at_most: Duration::hours(2),
            alpha: 0.01,
            error_rate_max: 0.5,
        },
        needs: Resources { cpu_milli: 2_000, memory_mib: 512, gpu: 0 },
        estimate_cpu_seconds: 5.0,
    };
    assert_eq!(policy, expected);
    assert_eq!(policy.priority_min.level(), 2);
}

#[test]
fn policies_count_periods_or_leave_it_to_thresholds() {
    let of = |lines: &str| one(&with("retrain", lines));
    assert_eq!(of("every = 6").advice.rule, Policing::periodic_decay(6, 2));
    let periodic = of("policy = \"periodic\"\nevery = \"2 periods\"").advice.rule;
    assert_eq!(periodic, Policing::Every { periods: 2 });
    let thresholds = of("policy = \"thresholds\"\nevery = \"2 periods\"");
    let next = thresholds.policy.schedule.unwrap().cadence.next(Timestamp(0), "m").unwrap();
    assert_eq!(next, Timestamp(0).after(Duration::days(14)));
    let never = of("policy = \"never\"\npreset = \"classic\"");
    assert_eq!((never.policy.schedule, never.policy.drift, never.policy.decay), (None, None, None));
    assert_eq!(of("policy = \"always\"").policy.advice, Attention::Acts);
    assert_eq!(of("schedule = false\npreset = \"classic\"").policy.schedule, None);
}

#[test]
fn tasks_choose_their_metric() {
    for (task, metric) in
        [("binary", Metric::Auc), ("multiclass", Metric::Accuracy), ("regression", Metric::Rmse)]
    {
        let model = one(&format!("[model.m]\ntask = \"{task}\"\ndata = {{ source = \"a.csv\" }}"));
        assert_eq!(model.judging.metric, metric);
        assert_eq!(model.source.task == Task::Binary, task == "binary");
    }
}

#[test]
fn command_trainer_takes_its_program() {
    let lines = "engine = \"command\"\ncommand = [\"python\", \"train.py\"]\nenv = [\"HOME\"]\n\
                 predict = [\"python\", \"score.py\"]\nparams = { depth = 3, names = [\"a\"] }";
    let Engine::Command(command) = one(&with("train", lines)).recipe.engine else { panic!() };
    assert_eq!(command.command, ["python", "train.py"]);
    assert_eq!(command.predict.unwrap(), ["python", "score.py"]);
    assert_eq!(json!(command.params), json!({ "depth": 3, "names": ["a"] }));
    assert_eq!(command.env, [Variable::Same("HOME".to_owned())]);
    assert_eq!(command.format, RowFormat::Parquet);
}

#[test]
fn command_trainer_takes_variables_by_name_only() {
    let lines = "engine = \"command\"\ncommand = [\"./train.sh\"]\nformat = \"csv\"\n\
                 env = [\"TOKEN\", { name = \"DB\", file = \"secrets/db\" },\n\
                 { name = \"KEY\", env = \"PRODUCTION_KEY\" }]\n\
                 limits = { processes = 16, predict_time = \"30s\" }";
    let model = one(&with("train", lines));
    let Engine::Command(command) = model.recipe.engine else { panic!() };
    assert_eq!(command.format, RowFormat::Csv);
    assert_eq!(
        command.env,
        [
            Variable::Same("TOKEN".to_owned()),
            Variable::File { name: "DB".to_owned(), file: "secrets/db".into() },
            Variable::Env { name: "KEY".to_owned(), env: "PRODUCTION_KEY".to_owned() },
        ]
    );
    assert_eq!(model.training_limits.processes_max, Some(16));
    assert_eq!(model.training_limits.predict_time_max, Some(Duration::seconds(30)));
}

#[test]
fn start_in_a_zone_obeys_daylight_saving() {
    let start = |start: &str| {
        let lines = format!("every = \"1d\"\ntimezone = \"Europe/Berlin\"\nstart = {start}");
        one(&with("retrain", &lines)).policy.schedule.unwrap().cadence.start().to_string()
    };
    assert_eq!(start("2026-01-01"), "2025-12-31T23:00:00Z");
    assert_eq!(start("2026-07-01T12:00:00"), "2026-07-01T10:00:00Z");
    assert_eq!(start("2026-03-29T02:30:00"), "2026-03-29T01:00:00Z", "skipped: the end of the gap");
    assert_eq!(start("2026-10-25T02:30:00"), "2026-10-25T00:30:00Z", "twice: the first");
    assert_eq!(start("\"2026-07-01T12:00:00Z\""), "2026-07-01T12:00:00Z");
}

#[test]
fn models_stand_in_order_of_their_names() {
    let text = "[model.\"shop/b\"]\ndata = { source = \"b.csv\" }\n[model.a]\ndata = { source = \"a.csv\" }";
    let config = parse(text).unwrap();
    let names = config.models.iter().map(|model| model.name.to_string()).collect::<Vec<_>>();
    assert_eq!(names, ["a", "shop/b"]);
}

/// Every section of the schema with its defaults written out, as TOML.
fn defaults(schema: &Value) -> Value {
    let properties = schema["properties"].as_object().unwrap();
    let pairs = properties.iter().filter_map(|(key, schema)| {
        let value = match (schema.get("default"), schema.get("properties")) {
            (Some(default), _) => default.clone(),
            (None, Some(_)) => defaults(schema),
            (None, None) => return None,
        };
        Some((key.clone(), value))
    });
    Value::Object(pairs.collect())
}

#[test]
fn defaults_of_the_schema_are_the_real_ones() {
    let schema = serde_json::from_str::<Value>(&crate::schema()).unwrap();
    let mut written = defaults(&schema);
    let model = &schema["properties"]["model"]["additionalProperties"];
    written["model"] = json!({ "m": defaults(model) });
    written["model"]["m"]["data"]["source"] = json!("a.csv");
    let text = toml::to_string(&written).unwrap();
    assert!(text.lines().count() > 60, "{text}");
    let all = parse(&text).unwrap_or_else(|problems| {
        let words = problems.iter().map(|problem| problem.message()).collect::<Vec<_>>();
        panic!("{words:?}\n{text}")
    });
    assert_eq!(all, parse("[model.m.data]\nsource = \"a.csv\"\n").unwrap());
}

#[test]
fn schema_describes_every_key() {
    fn visit(schema: &Value, path: &str, seen: &mut Vec<String>) {
        for (key, schema) in schema["properties"].as_object().into_iter().flatten() {
            let path = format!("{path}.{key}");
            let about = schema["description"].as_str().unwrap_or_default();
            assert!(about.ends_with('.') && about.len() > 5, "{path} says nothing: {schema}");
            visit(schema, &path, seen);
            visit(&schema["additionalProperties"], &format!("{path}.*"), seen);
            seen.push(path);
        }
    }
    let schema = serde_json::from_str::<Value>(&crate::schema()).unwrap();
    let mut seen = Vec::new();
    visit(&schema, "", &mut seen);
    let keys = toml::from_str::<Value>(EXAMPLE).unwrap();
    for (section, lines) in keys["model"]["flight-delay"].as_object().unwrap() {
        for key in lines.as_object().into_iter().flatten().map(|(key, _)| key) {
            let path = format!(".model.*.{section}.{key}");
            assert!(seen.contains(&path), "{path} is not in the schema");
        }
    }
    assert!(seen.len() > 100, "{} keys", seen.len());
    assert_eq!(schema["additionalProperties"], false);
}

#[test]
fn examples_are_read() {
    for name in ["flights", "hotel", "classic"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples");
        let config = Config::load(&path.join(name).join("afresh.toml"));
        let config = config.unwrap_or_else(|error| panic!("{name}: {:?}", error.to_json()));
        assert_eq!(config.models.len(), 1, "{name}");
    }
}

#[test]
fn decay_is_watched_as_the_owner_says() {
    let decay = |lines: &str| {
        let model = one(&with("retrain", lines));
        (model.policy.decay, model.decay)
    };
    let (rule, watch) = decay(
        "decay = { drop = 0.02, windows = [\"7d\", \"36h\"], metrics = [\"log_loss\", \"f1\"], bucket = \"30min\" }",
    );
    assert_eq!((rule, watch.drop), (Some(DecayRule::Proven(0.02)), 0.02));
    assert_eq!(
        (watch.test, watch.metrics),
        (DecayTest::Sequential, vec![Metric::LogLoss, Metric::F1])
    );
    let windows = watch.windows.iter().map(|w| (w.name.as_str(), w.length, w.bucket));
    let (half, hours) = (Duration::minutes(30), Duration::hours);
    assert_eq!(windows.collect::<Vec<_>>(), [("36h", hours(36), half), ("7d", hours(168), half)]);
    // How it is tested decides what a drop must be: proven, or only measured.
    for (lines, rule, test) in [
        ("decay = 0.1", DecayRule::Proven(0.1), DecayTest::Sequential),
        ("decay = { drop = 0.1, test = \"t-test\" }", DecayRule::Drop(0.1), DecayTest::TTest),
        ("decay = { sequential = true }", DecayRule::Sequential, DecayTest::Sequential),
        ("preset = \"classic\"", DecayRule::Drop(0.05), DecayTest::TTestUncorrected),
        (
            "preset = \"classic\"\ndecay = { test = \"t-test\" }",
            DecayRule::Drop(0.05),
            DecayTest::TTestUncorrected,
        ),
        (
            "preset = \"classic\"\ndecay = { test = \"sequential\" }",
            DecayRule::Proven(0.05),
            DecayTest::Sequential,
        ),
    ] {
        let (found, watch) = decay(lines);
        assert_eq!((found, watch.test), (Some(rule), test), "{lines}");
    }
    // What is only watched starts nothing.
    let (rule, watch) = decay("policy = \"never\"\ndecay = { windows = [\"1h\"] }");
    assert_eq!((rule, watch.windows[0].bucket), (None, Duration::seconds(150)));
    let text = with("retrain", "decay = false").replace(
        "[model.m.data]",
        "[replay]\nperiod = \"24h\"\n[decay]\nthreshold = 0.1\n[model.m]\ntask = \"regression\"\n[model.m.data]",
    );
    let model = one(&text);
    assert_eq!((model.policy.decay, model.decay.drop), (None, 0.1));
    assert_eq!((model.decay.metrics, model.decay.windows.len()), (vec![Metric::Rmse], 1));
}
