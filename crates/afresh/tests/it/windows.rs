//! Training windows that are more than a stretch of time: tried in a backtest, applied, and run.

use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::project::{NOW, Project, rows_every};

const TREES: &str =
    "train.engine = \"boosted-trees\"\ntrain.rounds = 12\ntrain.early_stopping = 3\n";

/// A row every twenty minutes, so that a day has something to choose by.
fn project(changes: &str) -> Project {
    let project = Project::new();
    project.write("rows.csv", &rows_every(1_200_000, 0..1_440));
    project.configure(&format!("{TREES}{changes}"));
    project
}

/// What `always` comes to on a window.
fn always<'a>(found: &'a Value, window: &str) -> &'a Value {
    let mut policies = found["policies"].as_array().unwrap().iter();
    let wanted = |policy: &&Value| policy["policy"] == "always" && policy["window"] == window;
    policies.find(wanted).unwrap_or_else(|| panic!("{window}: {found}"))
}

#[test]
fn every_kind_of_window_is_tried() {
    let project = project("");
    let found = project.json(&["backtest"]);
    let windows = found["windows"].as_array().unwrap().iter().map(|alone| &alone["window"]);
    let windows = windows.map(|name| name.as_str().unwrap()).collect::<Vec<_>>();
    assert_eq!(windows, ["all", "half-life 12d", "12d", "4d", "auto"]);
    let loss = |window: &str| always(&found, window)["log_loss"].as_f64().unwrap();
    let differ = |a: f64, b: f64| (a - b).abs() > 1e-9;
    assert!(differ(loss("all"), loss("half-life 12d")) && differ(loss("all"), loss("4d")));
    // Hindsight over all windows costs no more than over one, and a sample may be asked for.
    let costs = found["windows"].as_array().unwrap().iter();
    let oracle = found["oracle"]["cost"].as_f64().unwrap();
    for alone in costs {
        assert!(oracle <= alone["oracle"].as_f64().unwrap() + 1e-9, "{alone}");
        assert!(alone["oracle"].as_f64().unwrap() <= alone["always"].as_f64().unwrap() + 1e-9);
    }
    let sampled = project.json(&["backtest", "--windows", "all,sample 200", "--no-apart"]);
    assert!(differ(always(&sampled, "sample 200")["log_loss"].as_f64().unwrap(), loss("all")));

    let apart = found["apart"].as_array().unwrap().iter();
    let changed = apart.filter(|apart| apart["trains"] == "since-change").count();
    assert!(changed > 0, "{}", found["apart"]);
    project.bad(&["backtest", "--windows", "since-change"], 2, "is told apart from these");
    project.bad(&["backtest", "--windows", "sample 0"], 2, "`half-life 90d`, `sample 50000`");
}

#[test]
fn window_chosen_among_others_is_what_it_would_be_by_itself() {
    let project = project("");
    // With all candidates in the grid the choice is told from them.
    let told = project.json(&["backtest", "--no-apart"]);
    // Without them it is a training of its own.
    let trained = project.json(&["backtest", "--no-apart", "--windows", "auto"]);
    let (told_auto, trained_auto) = (always(&told, "auto"), always(&trained, "auto"));
    for key in ["metric_mean", "log_loss", "retrains"] {
        assert_eq!(told_auto[key], trained_auto[key], "{key}");
    }
    // One and the same work, as far as it can be counted without a clock: also where it has a price and takes time.
    let cost = |found: &Value| always(found, "auto")["cost"].as_f64().unwrap();
    assert!((cost(&told) - cost(&trained)).abs() < 1e-9, "{} {}", cost(&told), cost(&trained));
    let priced = |windows: &[&str]| {
        let asked =
            ["backtest", "--no-apart", "--per-cpu-hour", "1000000000", "--deployment", "3h"];
        project.json(&[&asked[..], windows].concat())
    };
    let (told, trained) = (priced(&[]), priced(&["--windows", "auto"]));
    let apart = (cost(&told) / cost(&trained) - 1.0).abs();
    assert!(apart < 1e-9, "{} {}", cost(&told), cost(&trained));
    assert!(cost(&told) > 1.1 * always(&told, "all")["cost"].as_f64().unwrap(), "it tries three");
    let trainings = |found: &Value| found["trainings"]["distinct"].as_u64().unwrap();
    let (few, many) = (trainings(&trained), trainings(&told));
    assert!(many < few / 2 * 5, "{few} for two windows, {many} for five");
    assert_eq!(trained["trainings"]["failed"], Value::Array(Vec::new()));
    let without = project.json(&["backtest", "--no-apart", "--no-auto"]);
    assert!(without["windows"].as_array().unwrap().iter().all(|alone| alone["window"] != "auto"));
}

#[test]
fn window_that_chooses_may_be_the_configured_one() {
    let project = project("data.window = \"auto\"\n");
    let found = project.json(&["backtest", "--no-apart"]);
    assert_eq!(found["windows"][0]["window"], "auto", "{found}");
    assert!(always(&found, "auto")["retrains"].as_u64() > Some(3));
    assert_eq!(found["trainings"]["failed"], Value::Array(Vec::new()));
}

#[test]
fn choice_is_a_training_of_its_own_where_early_stopping_rows_differ() {
    let project = Project::new();
    // Every fourth label comes a fortnight late, so that old rows are among the newest labels.
    let text = rows_every(1_200_000, 0..2_000);
    let mut late = String::new();
    for (place, line) in text.lines().enumerate() {
        let known = match place {
            0 => "known".to_owned(),
            _ => {
                let days = if place % 4 == 0 { 14 } else { 1 };
                crate::project::time_of(1_200_000, place - 1 + days * 72).to_string()
            }
        };
        late.push_str(&format!("{line},{known}\n"));
    }
    project.write("rows.csv", &late);
    project.configure(&format!("{TREES}data.label_delay = \"0s\"\ndata.label_time = \"known\"\n"));
    let text = fs::read_to_string(project.path("afresh.toml")).unwrap();
    project.write("afresh.toml", &text.replace("data.label_delay = \"0s\"\n", ""));
    let told = project.json(&["backtest", "--no-apart"]);
    let trained = project.json(&["backtest", "--no-apart", "--windows", "auto"]);
    for key in ["metric_mean", "log_loss", "retrains"] {
        assert_eq!(always(&told, "auto")[key], always(&trained, "auto")[key], "{key}");
    }
    // Five windows at each of the periods, and the version before the first: nothing was told from others.
    let periods =
        told["tuned_periods"].as_u64().unwrap() + told["scored_periods"].as_u64().unwrap();
    let trainings = told["trainings"]["distinct"].as_u64().unwrap();
    assert!(4 * periods + 1 < trainings, "{trainings} in {periods} periods");
}

#[test]
fn limit_of_trainings_holds_for_windows_that_choose() {
    let project = project("");
    project.configure("train.engine = \"forest\"\ntrain.trees = 3\n");
    // A forest searches nothing, so that a choice is always a training of its own.
    let limit = ["backtest", "--no-apart", "--windows", "auto", "--max-trainings"];
    project.bad(&[&limit[..], &["30"]].concat(), 1, "needs 31");
    let periods = 15;
    let enough = (2 * periods + 1).to_string();
    let found = project.json(&[&limit[..], &[&enough]].concat());
    assert!(found["trainings"]["distinct"].as_u64() <= enough.parse().ok());
}

#[test]
fn versions_that_ship_as_they_were_judged_are_trained_so() {
    let project = project("");
    let refitted = project.json(&["backtest", "--no-apart", "--windows", "all"]);
    project.configure(&format!("{TREES}train.refit = false\n"));
    let judged = project.json(&["backtest", "--no-apart", "--windows", "all"]);
    assert_eq!(judged["trainings"]["failed"], Value::Array(Vec::new()), "{judged}");
    assert_eq!(judged["trainings"]["cached"], 0, "other rows train");
    assert_ne!(always(&judged, "all")["log_loss"], always(&refitted, "all")["log_loss"]);
}

#[test]
fn chosen_window_runs_live_and_is_explained() {
    let project = project("data.window = \"auto\"\n");
    project.good(&["check"]);
    project.good(&["retrain", "--now", NOW]);
    let told = project.json(&["explain", "latest"]);
    let losses = told["chosen"]["losses"].as_array().unwrap();
    assert_eq!(losses.len(), 3, "{told}");
    let text = project.good(&["explain", "latest"]);
    assert!(text.contains("Its window was chosen by the loss on the rows"), "{text}");
    assert!(text.contains("all (0.") && text.contains(", taken)"), "{text}");
    project.good(&["replay", "--no-always"]);

    project.write("rows.csv", &rows_every(1_200_000, 0..1_600));
    project.configure(&format!("{TREES}data.window = \"half-life 5d\"\n"));
    project.good(&["retrain", "--now", "2026-01-24"]);
    let text = project.good(&["explain", "latest"]);
    assert!(text.contains("counts half as much for every 5d"), "{text}");
    let wrong = "data.window = { scheduled = \"auto\", incremental = \"auto\" }\n";
    project.configure(&format!("{TREES}{wrong}"));
    project.bad(&["check"], 2, "has nothing to choose");
}

#[test]
fn window_that_is_recommended_is_applied_as_it_reads() {
    let project = project("");
    let found = project.json(&["backtest", "--no-apart", "--apply"]);
    let window = found["recommended"]["window"].as_str().unwrap();
    let text = fs::read_to_string(project.path("afresh.toml")).unwrap();
    assert!(text.contains(&format!("window = \"{window}\"")), "{text}");
    project.good(&["check"]);
}

#[test]
fn time_until_a_version_serves_is_paid_for() {
    let project = project("");
    let cost = |deployment: &[&str]| {
        let plain = ["backtest", "--no-apart", "--windows", "all"];
        let found = project.json(&[&plain[..], deployment].concat());
        always(&found, "all")["cost"].as_f64().unwrap()
    };
    let (at_once, late) = (cost(&[]), cost(&["--deployment", "18h"]));
    assert!((at_once - late).abs() > 1e-9, "what served before answers for 18 hours: {at_once}");
    // What is told of loss is what is paid: 72 rows a day, all labelled, and runs at their price.
    let found = project.json(&[
        "backtest",
        "--no-apart",
        "--windows",
        "all",
        "--deployment",
        "18h",
        "--per-run",
        "3",
    ]);
    let rows = 72.0 * found["scored_periods"].as_f64().unwrap();
    for policy in found["policies"].as_array().unwrap().iter().chain([&found["oracle"]]) {
        if policy["policy"] == "driftsurf" {
            // What it takes back serves at once, without a training.
            continue;
        }
        let of = |key: &str| policy[key].as_f64().unwrap();
        let paid = of("log_loss") * rows + 3.0 * of("retrains");
        assert!((paid - of("cost")).abs() < 1e-4, "{paid} of {policy}");
    }
    project.bad(&["backtest", "--deployment", "30h"], 1, "no shorter than a period of 1d");
    let replay = |deployment: &str| {
        let text = fs::read_to_string(project.path("afresh.toml")).unwrap();
        let (kept, _) = text.split_once("deployment = ").unwrap_or((&text, ""));
        project.write("afresh.toml", &format!("{kept}deployment = {deployment:?}\n"));
    };
    replay("18h");
    assert!((cost(&[]) - late).abs() < 1e-12, "the configuration says the same");
    project.bad(&["backtest", "--deployment", "soon"], 2, "a length of time such as 30min");
    replay("1d");
    project.bad(&["check"], 2, "no shorter than a period");
}

#[test]
fn program_of_ones_own_goes_through_a_backtest() {
    let project = project("");
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shell");
    for file in ["train.sh", "predict.sh"] {
        let text = fs::read_to_string(example.join(file)).unwrap();
        // The example's column of categories, and its hour of the day.
        project.write(file, &text.replace("carrier", "plan").replace("sched_dep_time", "amount"));
    }
    project.configure(
        "train.engine = \"command\"\ntrain.command = [\"sh\", \"train.sh\"]\n\
         train.predict = [\"sh\", \"predict.sh\"]\ntrain.format = \"csv\"\n",
    );
    let found = project.json(&["backtest", "--windows", "all,auto"]);
    assert_eq!(found["trainings"]["failed"], Value::Array(Vec::new()), "{found}");
    let (all, auto) = (always(&found, "all"), always(&found, "auto"));
    assert!(all["log_loss"].as_f64().unwrap() > 0.0 && all["retrains"].as_u64() == Some(8));
    // Three windows are tried at each training.
    let seconds = |way: &Value| way["training_cpu_seconds"].as_f64().unwrap();
    assert!(seconds(auto) > seconds(all), "{auto} {all}");
    let ways = found["apart"].as_array().unwrap().iter().map(|apart| apart["trains"].to_string());
    let ways = ways.collect::<std::collections::BTreeSet<_>>();
    let ways = ways.len();
    assert_eq!(ways, 2, "a program is not known to go on from a champion");
    let again = project.json(&["backtest", "--windows", "all,auto"]);
    assert_eq!(again["trainings"]["cached"], again["trainings"]["distinct"]);
    assert_eq!(again["policies"], found["policies"]);
}
