//! A user's way: from a data file to a version that serves, is explained, replaced and taken back.

use std::fs;

use serde_json::json;

use crate::project::{MODEL, NOW, Project, ROWS, find, rows};

#[test]
fn a_data_file_becomes_a_version_that_serves() {
    let project = Project { home: tempfile::tempdir().unwrap() };
    project.write("orders.csv", &rows(0..ROWS));
    let said = project.good(&["init", "orders.csv"]);
    assert!(said.contains("afresh check"), "{said}");
    let written = fs::read_to_string(project.path("afresh.toml")).unwrap();
    assert!(written.contains("[model.orders]") && written.contains("time = \"event_time\""));
    project.bad(&["init", "orders.csv"], 1, "`afresh.toml` is there already");
    assert_eq!(fs::read_to_string(project.path("afresh.toml")).unwrap(), written);
    project.good(&["init", "orders.csv", "--force"]);
    let checked = project.json(&["check", "--now", NOW]);
    assert_eq!(checked["ok"], json!(true), "{checked}");
    assert_eq!(checked["models"][0]["classes"], json!(["0", "1"]));
    let small = written.replace("[model.orders.gate]", "[model.orders.gate]\nrows_min = 10");
    project.write("afresh.toml", &small.replace("engine = \"boosted-trees\"", "rounds = 5"));
    assert_eq!(project.json(&["status"])["models"][0]["champion"], json!(null));
    let run = project.json(&["retrain", "--now", NOW, "--reason", "a first one"]);
    assert_eq!((&run["id"], &run["action"]), (&json!("run-1"), &json!("retrain")), "{run}");
    assert!(run["reasons"][0].as_str().unwrap().contains("asked by ana: a first one"));
    let status = project.json(&["status"]);
    assert_eq!(status["models"][0]["phase"], json!("probation"), "{status}");
    assert_eq!(status["models"][0]["serves"], json!("v2"));
    assert_eq!((&status["active"], &status["completed"]), (&json!(1), &json!(0)));
    project.bad(&["retrain", "--now", "2026-01-23"], 1, "run-1 is probation");
}

#[test]
fn versions_are_listed_explained_promoted_and_rolled_back() {
    let project = Project::new();
    project.good(&["retrain", "--now", NOW]);
    project.write("rows.csv", &rows(0..ROWS + 48));
    project.good(&["retrain", "--now", "2026-01-24"]);
    let champion = project.is_at_rest().to_string();
    assert_eq!(champion, "v4");
    let versions = project.json(&["versions"]);
    let gates = versions.as_array().unwrap().iter().map(|v| v["gate"].as_str().unwrap());
    assert_eq!(gates.collect::<Vec<_>>(), ["refit of v3", "passed", "refit of v1", "passed"]);
    let paged = project.json(&["versions", "--limit", "1", "--before", "v4"]);
    assert_eq!(paged[0]["version"], json!("v3"));
    let at = project.json(&["versions", "--at", "2026-01-23"]);
    assert_eq!((&at["version"], &at["run"]), (&json!("v2"), &json!("run-1")));
    let told = project.good(&["explain", "v4"]);
    for words in ["run-2 was decided", "log_loss", "DeLong", "v4 served"] {
        assert!(told.contains(words), "{words}: {told}");
    }
    let told = project.json(&["explain", "latest"]);
    assert_eq!(told["judgements"][0]["champion"], json!(2), "{told}");
    project.good(&["rollback", "--now", "2026-01-25", "--reason", "complaints"]);
    assert_eq!(project.is_at_rest().to_string(), "v2");
    project.good(&["promote", "v4", "--now", "2026-01-26"]);
    assert_eq!(project.is_at_rest().to_string(), "v4");
    project.bad(&["promote", "v9", "--now", "2026-01-26T01:00"], 1, "there is no version v9");
    let decisions = project.json(&["decisions", MODEL]);
    let overridden = decisions.as_array().unwrap().iter().find(|d| d["action"] == "override");
    assert_eq!(overridden.unwrap()["by"], json!("ana"));
    let why = decisions.to_string();
    assert!(why.contains("ana set v2: complaints"), "{why}");
    assert_eq!(project.json(&["runs"]).as_array().unwrap().len(), 2);
    assert_eq!(project.json(&["models"])[0]["champion"], json!("v4"));
}

#[test]
fn a_damaged_file_is_found_and_named() {
    let project = Project::new();
    project.good(&["retrain", "--now", NOW]);
    assert!(project.good(&["datasets", "verify"]).contains("sound"));
    let listed = project.json(&["datasets"]);
    assert_eq!(listed[0]["versions"], json!(["v2", "v1"]));
    let id = listed[0]["id"].as_str().unwrap();
    project.write("rows.csv", &rows(0..ROWS).replace("99.5", "98.5"));
    project.bad(&["datasets", "verify"], 1, "`rows.csv` was changed");
    fs::remove_file(project.path("rows.csv")).unwrap();
    project.bad(&["datasets", "verify", &id[..8]], 1, "does not exist");
    project.bad(&["datasets", "verify", "ffff"], 1, "there is no dataset `ffff`");
    let manifest = find(&project.path(".afresh/datasets"), &|path| {
        path.extension().is_some_and(|extension| extension == "json")
    });
    fs::remove_file(manifest).unwrap();
    project.bad(&["datasets", "verify", "--all"], 1, "the manifest of dataset");
}

#[test]
fn a_damaged_version_cannot_be_promoted() {
    let project = Project::new();
    project.good(&["retrain", "--now", NOW]);
    project.write("rows.csv", &rows(0..ROWS + 48));
    project.good(&["retrain", "--now", "2026-01-24"]);
    let artifact = project.path(".afresh/versions").join(MODEL).join("v2");
    fs::remove_file(artifact.join("manifest.json")).unwrap();
    project.bad(&["rollback", "--now", "2026-01-25"], 1, "v2 cannot serve");
    assert_eq!(project.is_at_rest().to_string(), "v4");
}

#[test]
fn removed_versions_leave_tombstones() {
    let project = Project::new();
    for (day, more) in [(22, 0), (24, 48), (26, 96)] {
        project.write("rows.csv", &rows(0..ROWS + more));
        project.good(&["retrain", "--now", &format!("2026-01-{day}")]);
    }
    let plan = project.json(&["gc", "--keep", "1", "--dry-run", "--now", "2026-01-27"]);
    let before = project.json(&["datasets"]);
    let now = ["--now", "2026-01-27"];
    let done = project.json(&[&["gc", "--keep", "1"], &now[..]].concat());
    assert_eq!(plan["versions"], done["versions"]);
    // v6 serves; the newest of the others stays.
    assert_eq!(done["versions"], json!(["churn v4", "churn v3", "churn v2", "churn v1"]));
    assert_eq!(done["datasets"].as_array().unwrap().len(), 2);
    assert_eq!(
        project.json(&["datasets"]).as_array().unwrap().len(),
        before.as_array().unwrap().len()
    );
    let verified = project.json(&["datasets", "verify"]).to_string();
    assert!(verified.contains("removed by `afresh gc`"), "{verified}");
    project.bad(&["promote", "v2", "--now", "2026-01-28"], 1, "v2 cannot serve");
    assert_eq!(project.is_at_rest().to_string(), "v6");
    let nothing = project.json(&[&["gc", "--keep", "1"], &now[..]].concat());
    assert_eq!(nothing["versions"], json!([]));
}

#[test]
fn a_person_approves_declines_and_cancels() {
    let project = Project::new();
    project.configure("retrain.approval = true");
    let run = project.json(&["retrain", "--now", NOW]);
    assert_eq!(run["status"], json!("awaiting_approval"), "{run}");
    assert_eq!(project.pointer(), None);
    project.bad(&["approve", "run-2", "--now", "2026-01-23"], 1, "waits for approval");
    project.good(&["approve", "run-1", "--now", "2026-01-23", "--by", "eve"]);
    assert_eq!(project.is_at_rest().to_string(), "v2");
    project.write("rows.csv", &rows(0..ROWS + 96));
    project.good(&["retrain", "--now", "2026-01-26"]);
    project.good(&["decline", "run-2", "--now", "2026-01-27"]);
    project.good(&["retrain", "--now", "2026-01-28"]);
    project.good(&["cancel", "run-3", "--now", "2026-01-29"]);
    let runs = project.json(&["runs"]);
    let outcomes = runs.as_array().unwrap().iter().map(|run| run["outcome"].as_str().unwrap());
    assert_eq!(outcomes.collect::<Vec<_>>(), ["cancelled", "rejected", "promoted"]);
    assert_eq!(project.is_at_rest().to_string(), "v2");
}

#[test]
fn a_refused_request_says_why_and_can_be_forced() {
    let project = Project::new();
    project.configure("retrain.cooldown = \"7d\"\nretrain.priority_min = 2");
    project.good(&["retrain", "--now", NOW]);
    project.write("rows.csv", &rows(0..ROWS + 48));
    let early = ["retrain", "--now", "2026-01-24"];
    project.bad(&[&early[..], &["--dry-run"]].concat(), 1, "cooling down until 2026-01-29");
    assert_eq!(project.json(&["decisions"]).to_string().matches("cooling").count(), 0);
    project.bad(&early, 1, "cooling down until 2026-01-29");
    project.bad(&[&early[..], &["--priority", "1"]].concat(), 1, "below the minimum of 2");
    assert_eq!(project.is_at_rest().to_string(), "v2");
    project.good(&[&early[..], &["--force"]].concat());
    assert_eq!(project.is_at_rest().to_string(), "v4");
    let forced = project.json(&["decisions"]).to_string();
    assert!(forced.contains("forced: cooling down"), "{forced}");
    project.bad(&["retrain", "--now", "2026-01-01"], 2, "--now is 2026-01-01");
}

#[test]
fn looking_makes_the_first_version_and_then_what_the_policy_advises() {
    let project = Project::new();
    project.configure("retrain.every = \"2 periods\"\nretrain.rows_min = 10");
    project.write("rows.csv", &rows(0..240));
    project.good(&["run", "--once", "--now", "2026-01-11T01:00"]);
    assert_eq!(project.is_at_rest().to_string(), "v2");
    let mut champions = Vec::new();
    for day in 12..=15 {
        project.write("rows.csv", &rows(0..240 + (day - 11) * 24 + 2));
        for hour in ["02", "03"] {
            let now = format!("2026-01-{day}T{hour}:00");
            project.good(&["run", "--once", "--now", &now]);
        }
        champions.push(project.is_at_rest().to_string());
    }
    // Two looks at one period count once: every second period retrains.
    assert_eq!(champions, ["v2", "v4", "v4", "v6"]);
    project.write("rows.csv", &rows(0..240 + 6 * 24 + 2));
    let drift = project.json(&["drift", "--now", "2026-01-17"]);
    assert_eq!(drift["columns"].as_array().unwrap().len(), 2, "{drift}");
    assert_eq!(drift["rows"]["current"], json!(24));
    let decay = project.json(&["decay", "--now", "2026-01-17"]);
    assert!(decay["sequential"]["rows"].as_u64().unwrap() > 0, "{decay}");
    // A row an hour fills no ten buckets: nothing is said of any window, and why.
    assert_eq!((decay["decay"].clone(), decay["priority"].clone()), (json!([]), json!(1)));
    assert_eq!(decay["silent"][0]["metric"], json!("auc"), "{decay}");
    assert!(decay["estimate"]["caution"] == json!("it cannot see concept drift"), "{decay}");
    let said = project.good(&["decay", "--now", "2026-01-17", "--html", "decay.html"]);
    assert!(said.contains("Nothing is said of auc"), "{said}");
}

#[test]
fn help_is_given_for_every_command() {
    let project = Project::new();
    let help = project.good(&["--help"]);
    let commands = help.lines().skip_while(|line| !line.starts_with("Commands:")).skip(1);
    let commands = commands.take_while(|line| line.starts_with("  "));
    let names = commands.filter_map(|line| line.split_whitespace().next()).collect::<Vec<_>>();
    assert!(names.len() > 20, "{names:?}");
    for name in names.iter().filter(|name| **name != "help") {
        let help = project.good(&[name, "--help"]);
        assert!(help.contains("Usage: afresh"), "{help}");
        let silent = ["demo", "replay"];
        assert!(silent.contains(name) || help.contains("Example"), "{name}: {help}");
    }
    for shell in ["bash", "zsh", "fish"] {
        assert!(project.good(&["completions", shell]).contains("retrain"));
    }
    let schema = project.good(&["check", "--schema"]);
    let schema: serde_json::Value = serde_json::from_str(&schema).unwrap();
    assert_eq!(schema["title"], json!("afresh.toml"));
}
