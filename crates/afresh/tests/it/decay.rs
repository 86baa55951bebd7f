//! `afresh decay`: what is known of a version, with labels, without them, and what can be wrong with its times.

use std::fmt::Write as _;

use serde_json::Value;

use crate::project::{NOW, Project, time_of};

/// A quarter of an hour.
const STEP_MS: i64 = 900_000;
/// Rows of five days that train and judge.
const TRAINED: usize = 480;
const TRAINED_AT: &str = "2026-01-06";

/// A row every quarter of an hour; the label follows the amount up to row `turned`, and is its opposite
/// from there on. `label_of` may leave it out.
fn stream(steps: usize, turned: usize, label_of: impl Fn(usize, usize) -> String) -> String {
    let mut text = "id,event_time,amount,plan,label\n".to_owned();
    for step in 0..steps {
        let time = time_of(STEP_MS, step);
        let amount = (step * 7_919) % 101;
        let luck = (step * 31) % 40;
        let label = usize::from(amount + luck > 70);
        let label = if step < turned { label } else { 1 - label };
        let plan = ["free", "basic", "pro"][step % 3];
        writeln!(text, "{step},{time},{amount}.5,{plan},{}", label_of(step, label)).unwrap();
    }
    text
}

/// A project whose first version was trained on five days of `stream`.
fn trained(text: &str) -> Project {
    let project = Project::new();
    project.configure(
        "train.engine = \"linear\"\nretrain.decay = { drop = 0.05, windows = [\"1d\"], metrics = [\"auc\"] }",
    );
    let lines = text.lines().take(TRAINED + 1).collect::<Vec<_>>();
    project.write("rows.csv", &(lines.join("\n") + "\n"));
    project.good(&["retrain", "--now", TRAINED_AT]);
    project.write("rows.csv", text);
    project
}

/// Evidence and finding of every rung.
fn findings(found: &Value) -> Vec<(&str, &str)> {
    let rungs = found["ladder"]["rungs"].as_array().unwrap().iter();
    rungs.filter_map(|rung| rung["evidence"].as_str().zip(rung["finding"].as_str())).collect()
}

#[test]
fn labels_tell_of_decay_that_nothing_else_can_see() {
    let project = trained(&stream(960, TRAINED, |_, label| label.to_string()));
    let found = project.json(&["decay", "--now", "2026-01-11"]);
    assert_eq!(found["ladder"]["by"], "labels");
    let rungs = findings(&found);
    assert_eq!(rungs[0], ("labels", "worse"), "{found}");
    // Inputs and predictions are as they were: the concept alone turned.
    assert_eq!(rungs[2..], [("predictions", "sound"), ("inputs", "sound")], "{found}");
    assert_eq!(found["priority"], 5);
    let said = project.good(&["decay", "--now", "2026-01-11", "--html", "decay.html"]);
    assert!(said.contains("has decayed; priority 5 of 5."), "{said}");
    assert!(said.contains("What is known, the surest first:"), "{said}");
    assert!(said.contains("labels *") && said.contains("Labels decide"), "{said}");
    let page = std::fs::read_to_string(project.path("decay.html")).unwrap();
    assert!(page.contains("id=\"table-known\"") && page.contains("labels *"));
}

#[test]
fn without_labels_the_next_evidence_is_told_and_starts_nothing() {
    let labelled_to = |end: usize| {
        let label_of = move |step: usize, label: usize| {
            if step < end { label.to_string() } else { String::new() }
        };
        trained(&stream(960, TRAINED, label_of))
    };
    // Three labels that came after the training are too few to say "as before".
    let found = labelled_to(TRAINED).json(&["decay", "--now", "2026-01-11"]);
    assert_eq!(
        (&found["ladder"]["by"], &found["sequential"]["rows"]),
        (&"estimate".into(), &3.into())
    );
    let project = labelled_to(TRAINED - 8);
    let found = project.json(&["decay", "--now", "2026-01-11"]);
    assert_eq!(found["ladder"]["by"], "estimate", "{found}");
    let rungs = findings(&found);
    assert_eq!(rungs[..2], [("labels", "silent"), ("estimate", "sound")], "{found}");
    assert_eq!((&found["decay"], &found["priority"]), (&Value::Null, &Value::Null));
    let said = project.good(&["decay", "--now", "2026-01-11", "--html", "decay.html"]);
    assert!(
        said.starts_with("No label has become available since v2 of churn was trained;"),
        "{said}"
    );
    assert!(said.contains("estimate without labels *") && said.contains("starts no run"), "{said}");
    let page = std::fs::read_to_string(project.path("decay.html")).unwrap();
    assert!(
        page.contains("No labels")
            && page.contains("No label has become available")
            && page.contains("id=\"table-known\"")
    );
}

#[test]
fn without_a_version_or_rows_enough_what_is_known_is_told() {
    let project = Project::new();
    project.bad(&["decay"], 1, "churn has no version to compare with");
    project.good(&["retrain", "--now", NOW]);
    // A day has 24 rows: too few for a distance of predictions, enough for a drift score.
    let said = project.good(&["decay", "--now", NOW]);
    assert!(
        said.starts_with("No label has become available since v2 of churn was trained"),
        "{said}"
    );
    assert!(said.contains("inputs *") && said.contains("a move is no harm by itself"), "{said}");
    project.bad(&["decay", "other", "--now", NOW], 2, "there is no model `other`");
}

#[test]
fn labels_from_before_their_event_are_told() {
    let text = stream(960, 960, |_, label| label.to_string());
    let mut lines = text.lines().map(str::to_owned).collect::<Vec<_>>();
    lines[0].push_str(",label_time");
    for (step, line) in lines.iter_mut().skip(1).enumerate() {
        // From the sixth day on the label's clock is two hours behind.
        let shift = if step < TRAINED { 1 } else { -8 };
        let at = time_of(STEP_MS, 0).0 + (i64::try_from(step).unwrap() + shift) * STEP_MS;
        write!(line, ",{}", afresh_core::time::Timestamp(at)).unwrap();
    }
    let project = Project::new();
    project.configure("train.engine = \"linear\"\ndata.label_time = \"label_time\"");
    project.write("rows.csv", &(lines[..=TRAINED].join("\n") + "\n"));
    project.good(&["retrain", "--now", TRAINED_AT]);
    project.write("rows.csv", &(lines.join("\n") + "\n"));
    let found = project.json(&["decay", "--now", "2026-01-11"]);
    assert!(found["labelled_before_event"].as_u64().unwrap() > 80, "{found}");
    let said = project.good(&["decay", "--now", "2026-01-11"]);
    assert!(said.contains("have a label from before their event: check `label_time`"), "{said}");
}

#[test]
fn rows_in_any_order_of_time_are_followed_alike() {
    let text = stream(960, TRAINED, |_, label| label.to_string());
    let project = trained(&text);
    let sorted = project.json(&["decay", "--now", "2026-01-11"]);
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows = rows.lines().collect::<Vec<_>>();
    rows.reverse();
    project.write("rows.csv", &format!("{header}\n{}\n", rows.join("\n")));
    let reversed = project.json(&["decay", "--now", "2026-01-11"]);
    assert_eq!(sorted["sequential"], reversed["sequential"]);
    assert_eq!(sorted["decay"], reversed["decay"]);
}

#[test]
fn data_that_went_bad_since_is_named() {
    let text = stream(960, 960, |_, label| label.to_string());
    let bad = |wrong: &str, culprit: &str| {
        let project = trained(&text);
        project.write("rows.csv", wrong);
        project.bad(&["decay", "--now", "2026-01-11"], 1, culprit);
        assert_eq!(project.is_at_rest().to_string(), "v2");
    };
    let line = text.lines().nth(700).unwrap();
    let time = line.split(',').nth(1).unwrap();
    bad(&text.replace(time, "yesterday"), "`yesterday`");
    bad(&text.replacen("amount", "sum", 1), "column `amount` (numbers) has vanished");
    bad(
        &text.replace(line, &format!("{},7", line.rsplit_once(',').unwrap().0)),
        "label `label` is `7`",
    );
    bad("id,event_time,amount,plan,label\n", "`rows.csv` has no rows");
}
