//! `afresh backtest` on small histories: every task, the cache, and everything that can be wrong.

use std::fmt::Write as _;
use std::fs;

use serde_json::Value;

use crate::project::{Project, ROWS, find, rows, rows_every};

/// Trees that are trained in no time, on fifteen days after the warm-up.
const TREES: &str =
    "train.engine = \"boosted-trees\"\ntrain.rounds = 3\ntrain.early_stopping = 0\n";
const ONE_WINDOW: [&str; 3] = ["backtest", "--windows", "all"];

fn project(changes: &str) -> Project {
    let project = Project::new();
    project.configure(&format!("{TREES}{changes}"));
    project
}

fn policy<'a>(found: &'a Value, name: &str) -> &'a Value {
    let mut policies = found["policies"].as_array().unwrap().iter();
    policies.find(|policy| policy["policy"] == name).unwrap()
}

/// The rows of [`rows`], `change` over the columns of each.
fn changed(change: impl Fn(usize, &mut Vec<String>) -> bool) -> String {
    let text = rows(0..ROWS);
    let mut lines = text.lines();
    let mut changed = format!("{}\n", lines.next().unwrap());
    for (place, line) in lines.enumerate() {
        let mut columns = line.split(',').map(str::to_owned).collect::<Vec<_>>();
        if change(place, &mut columns) {
            writeln!(changed, "{}", columns.join(",")).unwrap();
        }
    }
    changed
}

#[test]
fn policies_compete_and_a_second_call_trains_nothing() {
    let project = project("");
    let found = project.json(&ONE_WINDOW);
    assert_eq!((&found["tuned_periods"], &found["scored_periods"]), (&7.into(), &8.into()));
    let (never, always) = (policy(&found, "never"), policy(&found, "always"));
    assert_eq!((&never["retrains"], &always["retrains"]), (&0.into(), &8.into()));
    let oracle = found["oracle"]["cost"].as_f64().unwrap();
    for policy in found["policies"].as_array().unwrap() {
        assert!(oracle <= policy["cost"].as_f64().unwrap() + 1e-9, "{policy}");
    }
    // Fifteen whole periods, and the one before that judges the first.
    let trainings = &found["trainings"];
    assert_eq!((&trainings["distinct"], &trainings["cached"]), (&16.into(), &0.into()));
    assert_eq!(found["sweep"].as_array().unwrap().len(), 5);
    let html = fs::read_to_string(project.path("report.html")).unwrap();
    assert!(html.contains("chart-pareto") && html.contains("hindsight"));

    let again = project.json(&ONE_WINDOW);
    assert_eq!(again["trainings"]["cached"], 16);
    assert_eq!(again["policies"], found["policies"]);
    // A hit charges what the training took when it was done.
    let seconds = |found: &Value| found["trainings"]["cpu_seconds"].as_f64().unwrap();
    assert!(seconds(&again) > 0.0 && (seconds(&again) - seconds(&found)).abs() < 1e-9);

    let said = project.good(&ONE_WINDOW);
    assert!(said.contains("Recommended: ") && said.contains("Walking forward costs"), "{said}");
    assert!(said.contains("16 trainings, 16 of them from the cache"), "{said}");
}

#[test]
fn stated_prices_are_those_that_count() {
    let project = project("");
    let cheap = project.json(&[&ONE_WINDOW[..], &["--per-run", "0.001"]].concat());
    let dear = project.json(&[&ONE_WINDOW[..], &["--per-run", "1000"]].concat());
    assert_eq!(dear["recommended"]["policy"], "never");
    let cost = |found: &Value| policy(found, "always")["cost"].as_f64().unwrap();
    let difference = cost(&dear) - cost(&cheap);
    assert!((difference - 8.0 * 999.999).abs() < 1e-6, "{difference}");
    // A million rows at a price: every training has at most the few hundred that there are.
    let by_rows = project.json(&[&ONE_WINDOW[..], &["--per-million-rows", "1000"]].concat());
    assert_eq!(by_rows["prices"]["per_million_rows"], 1000.0);
    assert_eq!(
        (&by_rows["prices"]["per_run"], &by_rows["prices"]["default"]),
        (&0.0.into(), &false.into())
    );
    let (loss, cheap_loss) = (cost(&by_rows), cost(&cheap) - 8.0 * 0.001);
    let rows = (loss - cheap_loss) * 1_000.0;
    assert!((8.0 * 96.0..8.0 * 480.0).contains(&rows), "{rows} rows in eight trainings");
    // What the owner allows holds every policy back, and hindsight not.
    project.configure(&format!("{TREES}retrain.cooldown = \"50h\"\n"));
    let rested = project.json(&ONE_WINDOW);
    let always = policy(&rested, "always");
    assert!(always["retrains"].as_u64() < Some(4), "{always}");
    assert!(always["held_back"].as_u64() > Some(4), "{always}");
    let said = project.good(&ONE_WINDOW);
    assert!(said.contains("Cooldown and budget held back runs"), "{said}");
    project.configure(TREES);
    for flag in ["--per-run", "--per-loss", "--per-cpu-hour", "--per-million-rows"] {
        for price in ["0", "-1", "free"] {
            let given = format!("{flag}={price}");
            project.bad(&["backtest", &given], 2, "a price is a number above 0");
        }
    }
}

#[test]
fn errors_may_have_the_price_instead_of_loss() {
    let project =
        project("gate.metric = \"accuracy\"\nretrain.cost = { per_error = 2, per_run = 1 }\n");
    let found = project.json(&ONE_WINDOW);
    assert_eq!(found["prices"]["priced"], "errors");
    let scored = found["scored_periods"].as_f64().unwrap();
    for (name, runs) in [("never", 0.0), ("always", scored)] {
        let told = policy(&found, name);
        let (accuracy, cost) =
            (told["metric_mean"].as_f64().unwrap(), told["cost"].as_f64().unwrap());
        // A period has 24 rows, all labelled, and every error costs 2.
        let errors = (1.0 - accuracy) * 24.0 * scored;
        // A run serves once it is trained: milliseconds in which no row falls.
        assert!((cost - 2.0 * errors - runs).abs() < 1e-6, "{name}: {cost} for {errors} errors");
    }
    let said = project.good(&ONE_WINDOW);
    assert!(said.contains("An error costs 2, a run 1.00."), "{said}");
    // Live the same configuration tells expected savings in errors.
    project.good(&["replay", "--no-always"]);
    let both = [&ONE_WINDOW[..], &["--per-loss", "1", "--per-error", "1"]].concat();
    project.bad(&both, 2, "cannot be used with");
    let number = "task = \"regression\"\ndata.label = \"amount\"\ngate.metric = \"rmse\"\n";
    project.configure(&format!("{TREES}{number}"));
    let refused = [&ONE_WINDOW[..], &["--per-error", "1"]].concat();
    project.bad(&refused, 1, "predicts a number, so that no answer is an error");
    project.configure(&format!("{TREES}{number}retrain.cost = {{ per_error = 1 }}\n"));
    project.bad(&["check"], 2, "`retrain.cost.per_error` is the price of a wrong class");
}

#[test]
fn damaged_cache_is_made_anew() {
    let project = project("");
    let found = project.json(&ONE_WINDOW);
    let scores = project.path(".afresh/backtest/churn/scores");
    for (place, entry) in fs::read_dir(&scores).unwrap().enumerate() {
        let path = entry.unwrap().path();
        let bytes = fs::read(&path).unwrap();
        // Cut off, of another form, empty.
        match place % 3 {
            0 => fs::write(&path, &bytes[..bytes.len() / 2]).unwrap(),
            1 => fs::write(&path, [b"another ", &bytes[8..]].concat()).unwrap(),
            _ => fs::write(&path, b"").unwrap(),
        }
    }
    assert_eq!(project.json(&ONE_WINDOW)["policies"], found["policies"]);

    // The manifest of a dataset, too: it is named by what it holds.
    let is_dataset = |path: &std::path::Path| {
        let folder = path.parent().and_then(|folder| folder.parent());
        folder.is_some_and(|folder| folder.ends_with("datasets"))
    };
    let manifest = find(&project.path(".afresh/backtest"), &is_dataset);
    let whole = fs::read(&manifest).unwrap();
    fs::write(&manifest, &whole[..whole.len() / 2]).unwrap();
    assert_eq!(project.json(&ONE_WINDOW)["policies"], found["policies"]);
    assert_eq!(fs::read(&manifest).unwrap(), whole);

    // A version that was cut off is trained again, and only that one.
    let is_artifact = |path: &std::path::Path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("manifest"))
    };
    let manifest = find(&project.path(".afresh/backtest"), &is_artifact);
    let bytes = fs::read(&manifest).unwrap();
    fs::write(&manifest, &bytes[..bytes.len() / 2]).unwrap();
    let again = project.json(&ONE_WINDOW);
    assert_eq!(
        again["policies"].as_array().unwrap().len(),
        found["policies"].as_array().unwrap().len()
    );
}

#[test]
fn history_that_is_too_short_is_told_with_what_to_write() {
    let project = project("");
    let text = fs::read_to_string(project.path("afresh.toml")).unwrap();
    project.write("afresh.toml", &text.replace("period = \"1d\"", "period = \"3d\""));
    let said = project.bad(&ONE_WINDOW, 1, "a backtest needs 8");
    assert!(said.err.contains("shorter `period`"), "{}", said.err);
    project.write("afresh.toml", &text.replace("warm_up = \"4d\"", "warm_up = \"400d\""));
    project.bad(&ONE_WINDOW, 1, "400d");
}

#[test]
fn policy_that_is_configured_competes_as_it_stands() {
    let project = project("retrain.policy = { rule = \"drift\", score = 0.77 }\n");
    let found = project.json(&ONE_WINDOW);
    let configured = policy(&found, "configured");
    assert_eq!(configured["parameters"], serde_json::json!({"rule": "drift", "score": 0.77}));
    assert!(project.good(&ONE_WINDOW).contains(" configured "));
    // Thresholds are the core's, which a backtest does not replay.
    project.configure(&format!("{TREES}retrain.policy = \"thresholds\"\nretrain.drift = 0.3\n"));
    let found = project.json(&ONE_WINDOW);
    let names = found["policies"].as_array().unwrap().iter().map(|policy| &policy["policy"]);
    assert!(names.into_iter().all(|name| name != "configured"));
    project.bad(&["backtest", "--now", "2026-01-10"], 1, "leave `--now` out");
    project.bad(&["backtest", "--slots", "0"], 2, "--slots");
    project.bad(&["backtest", "--report", "nowhere/report.html"], 1, "failed to write nowhere");
}

#[test]
fn nothing_of_a_real_history_is_seen_ahead() {
    let told = |rows: String| {
        let project = project("");
        project.write("rows.csv", &rows);
        project.json(&["backtest", "--no-apart"])
    };
    // The last four of the eight days that are scored: every label is the opposite, every amount elsewhere.
    let last = ROWS - 5 * 24;
    let turned = changed(|place, columns| {
        if last <= place {
            columns[2] = format!("{}", 1_000 - place);
            columns[4] = if columns[4] == "1" { "0" } else { "1" }.to_owned();
        }
        true
    });
    let (plain, turned) = (told(rows(0..ROWS)), told(turned));
    let turns = crate::project::time_of(3_600_000, last).to_string();
    let before = |policy: &Value| {
        let runs = policy["runs"].as_array().unwrap().iter().map(|at| at.as_str().unwrap());
        runs.filter(|at| *at <= turns.as_str()).map(str::to_owned).collect::<Vec<_>>()
    };
    let mut differ = 0;
    for one in plain["policies"].as_array().unwrap() {
        let mut others = turned["policies"].as_array().unwrap().iter();
        let same = |other: &&Value| {
            ["policy", "window", "parameters"].iter().all(|key| other[key] == one[key])
        };
        // Tuned on the first half: the parameters are those of another future.
        let other = others.find(same).unwrap_or_else(|| panic!("{one} has other parameters"));
        assert_eq!(before(one), before(other), "{one}");
        differ += usize::from(one["cost"] != other["cost"]);
    }
    let policies = plain["policies"].as_array().unwrap().len();
    assert!(differ == policies, "the future is not the same: {differ} of {policies}");
}

#[test]
fn more_trainings_than_allowed_are_told_before_the_first() {
    let project = project("");
    let said = project.bad(&[&ONE_WINDOW[..], &["--max-trainings", "15"]].concat(), 1, "needs 16");
    assert!(said.err.contains("`--max-trainings`"), "{}", said.err);
    assert!(!project.path(".afresh/backtest/churn/scores").exists());
    project.good(&[&ONE_WINDOW[..], &["--max-trainings", "16"]].concat());
}

#[test]
fn versions_that_hang_on_the_one_before_are_told_apart() {
    let project = project("retrain.incremental_rounds = 2\n");
    let backtest = |most: &str| {
        let limit = ["--max-trainings", most];
        project.json(&[&ONE_WINDOW[..], &limit].concat())
    };
    let apart = |found: &Value| {
        let told = found["apart"].as_array().unwrap().clone();
        let of = |way: &str| {
            let mut ways = told.iter().filter(|apart| apart["trains"] == way);
            ways.find(|apart| apart["policy"] == "always").unwrap().clone()
        };
        (of("since-last-run"), of("incremental"))
    };
    let first = backtest("1000");
    let (since, incremental) = apart(&first);
    let scored = first["scored_periods"].as_u64().unwrap();
    for (way, told) in [("since the last run", &since), ("incremental", &incremental)] {
        assert_eq!(told["found"]["retrains"].as_u64(), Some(scored), "{way}: {told}");
        assert!(told["found"]["cost"].as_f64().unwrap() > 0.0, "{way}: {told}");
    }
    // One day's rows are another version than all of them, and two rounds on from a champion than three anew.
    let full = policy(&first, "always")["cost"].as_f64().unwrap();
    let costs = [since, incremental].map(|told| told["found"]["cost"].as_f64().unwrap());
    let differ = |a: f64, b: f64| (a - b).abs() > 1e-6;
    let all = differ(costs[0], full) && differ(costs[1], full) && differ(costs[0], costs[1]);
    assert!(all, "{costs:?} {full}");
    assert_eq!(first["apart"], backtest("1000")["apart"], "a second call finds the same");
    // The grid's own trainings, and two more.
    let grid = first["trainings"]["distinct"].as_u64().unwrap();
    let limited = backtest(&(grid + 2).to_string());
    let (since, incremental) = apart(&limited);
    assert!(since["found"].is_null() && incremental["found"].is_null(), "{limited}");
    assert_eq!(limited["policies"], first["policies"]);
    let most = (grid + 2).to_string();
    let said = project.good(&[&ONE_WINDOW[..], &["--max-trainings", &most]].concat());
    assert!(said.contains("Left out, for `--max-trainings` allows no more: "), "{said}");
    let without = project.json(&[&ONE_WINDOW[..], &["--no-apart"]].concat());
    assert_eq!(without["apart"].as_array().map(Vec::len), Some(0));
}

#[test]
fn labels_that_never_come_are_told() {
    let project = project("data.label_delay = \"400d\"\n");
    project.bad(&ONE_WINDOW, 1, "label");
}

#[test]
fn period_of_one_class_or_without_rows_leaves_the_others() {
    let project = project("");
    // The seventeenth day has one class, the eighteenth no rows at all.
    let text = changed(|place, columns| {
        if (16 * 24..17 * 24).contains(&place) {
            columns[4] = "0".to_owned();
        }
        !(17 * 24..18 * 24).contains(&place)
    });
    project.write("rows.csv", &text);
    let found = project.json(&ONE_WINDOW);
    assert_eq!(found["undefined_periods"], 2);
    assert!(policy(&found, "never")["metric_mean"].as_f64().unwrap().is_finite());
    let said = project.good(&ONE_WINDOW);
    assert!(said.contains("auc is undefined in 2 of the 8 periods"), "{said}");
}

#[test]
fn window_that_cannot_be_trained_is_named_and_the_rest_goes_on() {
    let project = project("");
    let found = project.json(&["backtest", "--windows", "all,30m"]);
    let failed = found["trainings"]["failed"].as_array().unwrap();
    assert!(
        !failed.is_empty() && failed.iter().all(|failed| failed["window"] == "30min"),
        "{found}"
    );
    let mut always = found["policies"].as_array().unwrap().iter();
    let always = always.find(|of| of["policy"] == "always" && of["window"] == "all").unwrap();
    assert_eq!(always["retrains"], 8);
    let said = project.good(&["backtest", "--windows", "all,30m"]);
    assert!(said.contains("No version at 2026-01-05T00:00:00Z on 30min"), "{said}");
}

#[test]
fn regression_and_other_engines_compete_alike() {
    let metric = "task = \"regression\"\ndata.label = \"amount\"\ngate.metric = \"rmse\"\n";
    for engine in ["linear", "forest"] {
        let project = Project::new();
        project.configure(&format!("train.engine = \"{engine}\"\n{metric}"));
        let found = project.json(&ONE_WINDOW);
        assert_eq!(found["metric"], "rmse");
        // In units of the label's variance a constant guess loses 1 a row, and these do better or as well.
        let never = policy(&found, "never");
        let cost = never["cost"].as_f64().unwrap() / (8.0 * 24.0);
        assert!((0.1..1.5).contains(&cost), "{engine}: {cost}");
    }
}

#[test]
fn prices_mean_the_same_for_every_label() {
    let found = [1.0, 8.0].map(|factor| {
        let project = Project::new();
        let text = rows_every(240_000, 0..20 * 360);
        let mut lines = text.lines();
        let header = lines.next().unwrap();
        let amount = header.split(',').position(|name| name == "amount").unwrap();
        let mut scaled = format!("{header}\n");
        for line in lines {
            let mut columns = line.split(',').map(str::to_owned).collect::<Vec<_>>();
            // Eight times changes no bit of a mean.
            columns[amount] = (columns[amount].parse::<f64>().unwrap() * factor).to_string();
            writeln!(scaled, "{}", columns.join(",")).unwrap();
        }
        project.write("rows.csv", &scaled);
        project.configure(
            "train.engine = \"forest\"\ntask = \"regression\"\ndata.label = \"amount\"\n\
             gate.metric = \"rmse\"\ngate.margin = 100\nretrain.policy = { rule = \"cara-ct\", cost = 150 }\n",
        );
        let found = project.json(&["replay", "--no-always"]);
        let runs = found["runs"].as_array().unwrap();
        let told = |run: &Value| {
            let saving = &run["saving"];
            let digits = |value: &Value| value.as_f64().map(|value| format!("{value:.6}"));
            let realised = digits(&saving["realised"]["value"]);
            (run["decided_at"].clone(), digits(&saving["expected"]), realised)
        };
        runs.iter().map(told).collect::<Vec<_>>()
    });
    let [once, eightfold] = found;
    let costs = |told: &Option<String>| {
        told.as_ref().is_some_and(|told| told.parse::<f64>().is_ok_and(|told| told > 0.1))
    };
    assert!(once.iter().any(|(_, expected, _)| costs(expected)), "{once:?}");
    assert_eq!(once, eightfold);
}

#[test]
fn classes_beyond_two_compete_alike() {
    let project =
        project("task = \"multiclass\"\ndata.label = \"class\"\ngate.metric = \"log_loss\"\n");
    let text = changed(|place, columns| {
        columns[4] = if place % 7 == 0 { "2".to_owned() } else { columns[4].clone() };
        true
    });
    project.write("rows.csv", &text.replacen(",label\n", ",class\n", 1));
    let found = project.json(&ONE_WINDOW);
    assert_eq!(policy(&found, "always")["retrains"], 8);
    assert!(policy(&found, "always")["log_loss"].as_f64().unwrap() < 1.2, "{found}");
}

#[test]
fn model_that_does_not_age_is_left_alone() {
    let project = Project::new();
    let found = project.json(&ONE_WINDOW);
    // A constant model is as good fresh as old: the model is left alone.
    assert_eq!(found["recommended"]["policy"], "never");
}

#[test]
fn recommendation_is_written_into_the_configuration_which_stays_otherwise() {
    let project = project("retrain.policy = \"always\"\n");
    let path = project.path("afresh.toml");
    let text = format!("# Ours.\n{}", fs::read_to_string(&path).unwrap());
    fs::write(&path, &text).unwrap();
    let found = project.json(&[&ONE_WINDOW[..], &["--per-run", "1000"]].concat());
    assert_eq!(fs::read_to_string(&path).unwrap(), text);
    let snippet = found["recommended"]["snippet"].as_str().unwrap();
    assert!(snippet.contains("policy = \"never\""), "{snippet}");

    let said = project.good(&[&ONE_WINDOW[..], &["--per-run", "1000", "--apply"]].concat());
    assert!(said.contains("Written into afresh.toml."), "{said}");
    let written = fs::read_to_string(&path).unwrap();
    assert!(written.starts_with("# Ours.\n"), "{written}");
    assert!(written.contains("retrain.policy = \"never\"\n"), "{written}");
    assert_eq!(written.lines().count(), text.lines().count(), "{written}");
    project.good(&["check"]);
}

/// Ten days as trained, then the label turns round.
fn turned() -> String {
    const A_DAY: usize = 360;
    let text = rows_every(240_000, 0..20 * A_DAY);
    let mut lines = text.lines();
    let mut turned = format!("{}\n", lines.next().unwrap());
    for (place, line) in lines.enumerate() {
        let (before, label) = line.rsplit_once(',').unwrap();
        let now = if place < 10 * A_DAY { label } else { ["1", "0"][usize::from(label == "1")] };
        let moved = if place < 10 * A_DAY { "" } else { "9" };
        let mut columns = before.split(',').map(str::to_owned).collect::<Vec<_>>();
        columns[2] = format!("{moved}{}", columns[2]);
        writeln!(turned, "{},{now}", columns.join(",")).unwrap();
    }
    turned
}

#[test]
fn every_policy_of_a_backtest_sees_live_what_it_goes_by() {
    let in_errors = "{ rule = \"markov\", factor = 0.7 }\nretrain.cost = { per_error = 1 }";
    for policy in [
        in_errors,
        "\"ks\"",
        "\"t-test\"",
        "\"adwin\"",
        "\"cusum\"",
        "\"decay\"",
        "{ rule = \"driftsurf\", test = \"adwin\" }",
        "{ rule = \"markov\", factor = 0.5 }",
        "{ rule = \"cara-t\", cost = 250 }",
        "{ rule = \"cara-ct\", cost = 2000 }",
        "{ rule = \"budget-queue\", cpu_hours = 0.001 }",
        "{ any = [{ rule = \"upf\", horizon = 4 }, { rule = \"periodic\", periods = 8 }] }",
        "{ any = [{ rule = \"economic\" }, { rule = \"periodic\", periods = 8 }] }",
        "{ all = [\"ks\", \"adwin\"] }",
    ] {
        let project = project(&format!("retrain.policy = {policy}\n"));
        project.write("rows.csv", &turned());
        let found = project.json(&["replay"]);
        let retrains = found["managed"]["retrains"].as_u64();
        let retrains = retrains.unwrap_or_else(|| panic!("{policy}: {found}"));
        let rejected = found["managed"]["rejected"].as_u64().unwrap_or(0);
        assert!(0 < retrains + rejected, "{policy}: {retrains} retrains");
    }
}

#[test]
fn expected_and_realised_savings_are_kept_and_told() {
    let project = project("retrain.policy = \"always\"\n");
    project.write("rows.csv", &turned());
    let day = |day: u32| format!("2026-01-{day:02}T01:00:00Z");
    for now in (6..=19).map(day) {
        project.good(&["run", "--once", "--now", &now]);
    }
    let runs = || project.json(&["runs"]);
    let first = runs();
    // A second look at the same time counts no row twice.
    project.good(&["run", "--once", "--now", &day(19)]);
    let again = runs();
    let mut compared = 0;
    let (mut expected, mut realised) = (0.0, 0.0);
    for run in first.as_array().unwrap() {
        let saving = &run["saving"];
        if !saving["realised"].is_object() {
            continue;
        }
        let same = again.as_array().unwrap().iter().find(|other| other["id"] == run["id"]);
        assert_eq!(*saving, same.unwrap()["saving"]);
        let rows = saving["realised"]["rows"].as_u64().unwrap();
        let (from, to) = (&saving["realised"]["from"], &saving["realised"]["to"]);
        // A day has 360 rows, and every version is replaced after a day.
        assert!(rows <= 361, "{rows} rows from {from} to {to}");
        if let Some(value) = saving["expected"].as_f64() {
            expected += value;
            realised += saving["realised"]["value"].as_f64().unwrap();
            compared += 1;
        }
    }
    assert!(3 <= compared && expected > 0.0 && realised > 0.0, "{compared} {expected} {realised}");
    let told = |status: &str, words: &str| {
        let runs = first.as_array().unwrap();
        let run = runs.iter().find(|run| run["status"] == status && run["saving"].is_object());
        let run = run.unwrap_or_else(|| panic!("no run is {status}"));
        let told = project.good(&["explain", run["id"].as_str().unwrap()]);
        assert!(told.contains(words), "{told}");
    };
    told("promoted", "It was expected to save ");
    told("promoted", " labelled rows of the ");
    assert!(project.good(&["runs"]).contains("saved"));
}

#[test]
fn a_replay_tells_what_its_retrainings_saved() {
    let project = project("retrain.policy = \"always\"\n");
    project.write("rows.csv", &turned());
    let found = project.json(&["replay", "--no-always"]);
    let runs = found["runs"].as_array().unwrap();
    let rejected = runs.iter().find(|run| run["status"] == "rejected");
    if let Some(run) = rejected {
        assert!(run["saving"]["realised"].is_null() && run["saving"]["over"] == true, "{run}");
    }
    let saved = runs.iter().filter_map(|run| run["saving"]["realised"]["value"].as_f64());
    assert!(0.0 < saved.sum::<f64>(), "{runs:?}");
    let said = project.good(&["replay", "--no-always"]);
    assert!(said.contains(" retrainings that served saved "), "{said}");
    let page = fs::read_to_string(project.path("report.html")).unwrap();
    assert!(page.contains("Realised saving"), "the page does not tell");
}
