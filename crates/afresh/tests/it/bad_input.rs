//! What can be wrong with configuration, data, disk and trainers: each is named, and neither state
//! nor champion change.

use std::fs;

use serde_json::{Value, json};

use crate::project::{NOW, Project, ROWS, is_running, rows};

/// A day on which everything below goes wrong.
const LATER: &str = "2026-01-24";

/// A project with a champion.
fn with_champion() -> Project {
    let project = Project::new();
    project.good(&["retrain", "--now", NOW]);
    assert_eq!(project.is_at_rest().to_string(), "v2");
    project
}

/// Nothing but the record of a failed run is new, and a repaired project goes on.
fn nothing_is_lost(project: &Project) {
    assert_eq!(project.is_at_rest().to_string(), "v2");
    project.configure("");
    project.write("rows.csv", &rows(0..ROWS + 120));
    project.good(&["retrain", "--now", "2026-01-26"]);
    let champion = project.is_at_rest();
    assert!(champion.0 > 2, "{champion}");
    let dataset = project.json(&["datasets", "--limit", "1"])[0]["id"].clone();
    project.good(&["datasets", "verify", dataset.as_str().unwrap()]);
}

/// Retraining with `changes` must fail and name `culprit`.
fn retraining_fails(changes: &str, data: Option<&str>, culprit: &str) {
    let project = with_champion();
    project.configure(changes);
    if let Some(data) = data {
        project.write("rows.csv", data);
    }
    project.bad(&["retrain", "--now", LATER], 1, culprit);
    nothing_is_lost(&project);
}

/// A trainer of one's own must fail and be named.
fn training_fails(script: &str, limits: &str, culprit: &str) {
    let script = json!(script);
    let changes =
        format!("train.engine = \"command\"\ntrain.command = [\"sh\", \"-c\", {script}]\n{limits}");
    retraining_fails(&changes, Some(&rows(0..ROWS + 96)), culprit);
}

fn replaced(row: usize, from: &str, to: &str) -> String {
    let text = rows(0..ROWS + 96);
    let lines = text
        .lines()
        .enumerate()
        .map(|(at, line)| if at == row { line.replacen(from, to, 1) } else { line.to_owned() });
    lines.collect::<Vec<_>>().join("\n") + "\n"
}

#[test]
fn missing_file() {
    retraining_fails("data.source = \"gone.csv\"", None, "`gone.csv` does not exist");
}

#[test]
fn ragged_csv() {
    let ragged = replaced(490, ",", ",extra,");
    retraining_fails("", Some(&ragged), "line 491 of `rows.csv` has 6 fields where");
}

#[test]
fn truncated_parquet() {
    let project = with_champion();
    project.configure("data.source = \"rows.parquet\"");
    project.write("rows.parquet", "PAR1 and then nothing");
    project.bad(&["retrain", "--now", LATER], 1, "`rows.parquet` is not sound Parquet");
    nothing_is_lost(&project);
}

#[test]
fn label_outside_its_classes() {
    let wrong = rows(0..ROWS + 96).replacen(",1\n", ",7\n", 1);
    retraining_fails("", Some(&wrong), "label `label` is `7` in row");
}

#[test]
fn one_class_only() {
    let project = Project::new();
    let one = rows(0..ROWS).replace(",1\n", ",0\n");
    project.write("rows.csv", &one);
    project.bad(&["retrain", "--now", NOW], 1, "label");
    assert_eq!(project.pointer(), None);
}

#[test]
fn one_class_in_what_is_new() {
    let (old, new) = (rows(0..ROWS), rows(ROWS..ROWS + 200).replace(",1\n", ",0\n"));
    let new = new.split_once('\n').unwrap().1.to_owned();
    retraining_fails("", Some(&(old + &new)), "has the same label");
}

#[test]
fn infinite_number() {
    let wrong = replaced(485, ".5,", "e999,");
    retraining_fails("", Some(&wrong), "column `amount` is infinite in row 485");
}

#[test]
fn vanished_column() {
    let gone = rows(0..ROWS + 96).replacen("amount", "sum", 1);
    retraining_fails("", Some(&gone), "column `amount` (numbers) has vanished from `rows.csv`");
}

#[test]
fn duplicate_column() {
    let twice = rows(0..ROWS + 96).replacen("plan", "amount", 1);
    retraining_fails("", Some(&twice), "`rows.csv` has two columns `amount`");
}

#[test]
fn empty_window() {
    let changes = "data.window = \"1h\"";
    retraining_fails(changes, None, "no row has its event in the window");
}

#[test]
fn no_available_label() {
    let changes = "data.label_delay = \"900d\"";
    retraining_fails(changes, None, "has a label available before 2026-01-24");
}

#[test]
fn trainer_that_hangs() {
    let limits = "train.limits = { time = \"300ms\" }";
    training_fails("while :; do :; done", limits, "passed its time limit");
}

#[test]
fn trainer_that_forks_and_leaves() {
    let mark = format!("afresh-orphan-{}", std::process::id());
    // The orphan would run for an hour under a name that can be found.
    training_fails(&format!("sh -c 'sleep 3600; :' {mark} & exit 0"), "", "no `model.*`");
    assert!(!is_running(&mark), "the orphan still runs");
}

#[test]
fn trainer_that_prints_garbage() {
    let script =
        "head -c 100000 /dev/urandom; head -c 1000 /dev/urandom >\"$AFRESH_OUT/model.json\"";
    training_fails(script, "", "model.json");
}

#[test]
fn trainer_that_exits_without_a_model() {
    training_fails("echo all is well; exit 0", "", "no `model.*`");
}

#[test]
fn trainer_that_fails_says_what_it_said() {
    training_fails("echo the table is locked >&2; exit 3", "", "the table is locked");
}

#[test]
fn trainer_that_does_not_exist() {
    let changes = "train.engine = \"command\"\ntrain.command = [\"no-such-trainer\"]";
    retraining_fails(changes, Some(&rows(0..ROWS + 96)), "no-such-trainer");
}

#[test]
fn state_directory_that_cannot_be_written() {
    let project = Project::new();
    project.write("state", "in the way");
    let text = fs::read_to_string(project.path("afresh.toml")).unwrap();
    project.write("afresh.toml", &format!("{text}[state]\ndirectory = \"state\"\n"));
    for command in [&["retrain"][..], &["run", "--once"], &["promote", "v1"], &["gc"]] {
        project.bad(command, 1, "failed to create the state directory");
    }
    assert_eq!(fs::read_to_string(project.path("state")).unwrap(), "in the way");
}

#[test]
fn state_that_is_no_database() {
    let project = with_champion();
    let state = project.path(".afresh/state.db");
    let kept = fs::read(&state).unwrap();
    for ending in ["-wal", "-shm"] {
        drop(fs::remove_file(project.path(&format!(".afresh/state.db{ending}"))));
    }
    fs::write(&state, "not a database, but long enough to look like one: ".repeat(40)).unwrap();
    project.bad(&["retrain"], 1, "not a SQLite database");
    project.bad(&["status"], 1, "not a SQLite database");
    assert_ne!(fs::read(&state).unwrap(), kept);
}

#[test]
fn pointer_that_cannot_be_written() {
    let project = Project::new();
    project.write("production", "in the way");
    project.bad(&["retrain", "--now", NOW], 1, "failed to let churn serve");
    fs::remove_file(project.path("production")).unwrap();
    project.good(&["run", "--once", "--now", NOW]);
    assert_eq!(project.is_at_rest().to_string(), "v2");
}

#[test]
fn pointer_of_a_state_that_is_gone() {
    let project = with_champion();
    project.write("rows.csv", &rows(0..ROWS + 48));
    project.good(&["retrain", "--now", LATER]);
    fs::remove_dir_all(project.path(".afresh")).unwrap();
    project.bad(&["retrain", "--now", LATER], 1, "came first");
    assert_eq!(project.pointer().unwrap().version.unwrap().to_string(), "v4");
}

#[test]
fn configuration_names_file_line_and_column() {
    let project = Project::new();
    project.configure("retrain.cooldwn = \"1h\"\ngate.margin = \"wide\"");
    let said = project.bad(&["check"], 2, "cooldwn");
    assert!(said.err.contains("afresh.toml") && said.err.contains("gate.margin"), "{}", said.err);
    let said = project.run(&["retrain", "--json"]);
    assert_eq!(said.code, 2);
    let problems = said.err.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let lines = problems.map(|problem| problem["error"]["at"]["line"].clone()).collect::<Vec<_>>();
    assert_eq!(lines.len(), 2, "{}", said.err);
    assert!(lines.iter().all(Value::is_u64), "{lines:?}");
    project.bad(&["retrain", "--config", "elsewhere.toml"], 2, "elsewhere.toml");
}

#[test]
fn columns_that_the_data_lacks_are_shown_where_they_are_named() {
    let project = Project::new();
    let text = "[model.churn.data]\nsource = \"rows.csv\"\ntime = \"event_tme\"\n";
    project.write("afresh.toml", text);
    let said = project.bad(&["check", "--json"], 2, "event_tme");
    let problem: Value = serde_json::from_str(said.err.trim()).unwrap();
    assert_eq!(problem["error"]["at"]["line"], json!(3), "{problem}");
    assert!(said.err.contains("`event_time`"), "{}", said.err);
    project.bad(&["check"], 2, "afresh.toml:3:8");
}

#[test]
fn columns_worth_a_look_are_warned_of() {
    let project = Project::new();
    let lines = rows(0..ROWS);
    let text = lines.lines().enumerate().map(|(at, line)| {
        format!(
            "{line},{},{}\n",
            if at == 0 { "empty" } else { "" },
            if at == 0 { "same" } else { "5" }
        )
    });
    project.write("rows.csv", &text.collect::<String>());
    let said = project.good(&["check"]);
    assert!(said.contains("column `empty` has no value at all"), "{said}");
    assert!(said.contains("column `same` has the same value in every row"), "{said}");
    project.good(&["retrain", "--now", NOW]);
}

#[test]
fn wrong_usage_is_told_with_code_two() {
    let project = Project::new();
    project.bad(&["nonsense"], 2, "nonsense");
    project.bad(&["retrain", "other"], 2, "there is no model `other`");
    project.bad(&["retrain", "--priority", "9"], 2, "1..=5");
    project.bad(&["versions", "--at", "noon"], 2, "2013-06-01T14:02");
    project.bad(&["explain", "seven"], 2, "run-7");
    project.bad(&["explain"], 1, "churn has no run yet");
    project.bad(&["drift"], 1, "no version to compare with");
    project.bad(&["rollback"], 1, "no version of churn served before");
}
