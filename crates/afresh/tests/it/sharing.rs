//! Several processes on one state: none corrupts it, and each is told what the others did.

use std::process::{Child, Command, Stdio};

use crate::project::{NOW, Project, ROWS, is_running, rows};

/// Two days after the first version.
const NEXT: &str = "2026-01-24";

#[test]
fn processes_that_retrain_at_once_start_one_run_after_the_other() {
    let project = Project::new();
    project.good(&["retrain", "--now", NOW]);
    project.write("rows.csv", &rows(0..ROWS + 48));
    let start = |_| {
        let mut command = project.command(&["retrain", "--now", NEXT]);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
    };
    let children = (0..4).map(start).collect::<Vec<_>>();
    let said = children.into_iter().map(|child: Child| {
        let said = child.wait_with_output().unwrap();
        let words = String::from_utf8_lossy(&said.stdout) + String::from_utf8_lossy(&said.stderr);
        (said.status.code().unwrap(), words.into_owned())
    });
    let said = said.collect::<Vec<_>>();
    assert!(said.iter().any(|(code, _)| *code == 0), "{said:?}");
    for (code, words) in &said {
        // Refused because another one's run was under way, or too little was new after it.
        assert!(*code == 0 || words.contains("run-"), "{words}");
        assert!(!words.contains("panicked") && !words.contains("was refused"), "{words}");
    }
    project.is_at_rest();
}

#[test]
fn a_run_is_cancelled_from_elsewhere_while_it_trains() {
    let project = Project::new();
    project.good(&["retrain", "--now", NOW]);
    project.write("rows.csv", &rows(0..ROWS + 48));
    // It says that it began, and would go on for an hour.
    let script = "echo began > \"$AFRESH_OUT/began\"; sleep 3600";
    let command =
        format!("train.engine = \"command\"\ntrain.command = [\"sh\", \"-c\", {script:?}]");
    project.configure(&command);
    let mut long = project.command(&["retrain", "--now", NEXT, "-v"]);
    let mut long = long.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(long.stderr.as_mut().unwrap(), "action=Train");
    let gc = project.bad(&["gc", "--now", NEXT], 1, "another afresh process is at work");
    assert!(gc.err.contains("help"), "{}", gc.err);
    project.bad(&["retrain", "--now", NEXT], 1, "run-2 is training");
    project.good(&["cancel", "run-2", "--now", NEXT]);
    let said = long.wait_with_output().unwrap();
    let words = String::from_utf8_lossy(&said.stdout);
    assert!(words.contains("cancelled by ana"), "{words}");
    assert_eq!(project.is_at_rest().to_string(), "v2");
}

#[test]
fn ctrl_c_ends_a_training_with_all_its_processes_and_the_run_goes_on() {
    let project = Project::new();
    let mark = format!("afresh-interrupted-{}", std::process::id());
    let script = format!("echo progress 0.5; sh -c 'sleep 3600; :' {mark}");
    let command =
        format!("train.engine = \"command\"\ntrain.command = [\"sh\", \"-c\", {script:?}]");
    project.configure(&command);
    let mut long = project.command(&["retrain", "--now", NOW, "-vv"]);
    let mut long = long.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    wait_for(long.stderr.as_mut().unwrap(), "share=0.5");
    let interrupt = Command::new("kill").args(["-INT", &long.id().to_string()]).status();
    assert!(interrupt.unwrap().success());
    let said = long.wait_with_output().unwrap();
    assert_eq!(said.status.code(), Some(130), "{}", String::from_utf8_lossy(&said.stderr));
    assert!(!is_running(&mark), "the trainer still runs");
    project.configure("");
    let run = project.json(&["retrain", "--now", NOW]);
    assert_eq!((&run["id"], &run["outcome"]), (&"run-1".into(), &"promoted".into()), "{run}");
    assert_eq!(project.is_at_rest().to_string(), "v2");
}

/// Reads until `words` were written.
fn wait_for(from: &mut impl std::io::Read, words: &str) {
    let mut read = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&read).contains(words) {
        assert!(from.read(&mut byte).unwrap() > 0, "{}", String::from_utf8_lossy(&read));
        read.push(byte[0]);
    }
}
