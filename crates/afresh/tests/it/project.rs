//! A directory with a configuration, its data and its state, and the binary that works on it.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use afresh_core::id::{ModelName, VersionId};
use afresh_core::invariant;
use afresh_core::model::{Deployment, Model};
use afresh_core::time::Timestamp;
use afresh_engine::port::{Fact, Store as _};
use afresh_store::sqlite::Sqlite;
use afresh_train::artifact::Artifact;
use serde_json::Value;
use tempfile::TempDir;

/// The model of every project.
pub const MODEL: &str = "churn";
/// Hours from 2026-01-01 on, one row each.
pub const ROWS: usize = 480;
/// A day after the last row.
pub const NOW: &str = "2026-01-22";

/// A directory that is removed at the end.
pub struct Project {
    pub home: TempDir,
}

/// What a command said.
pub struct Said {
    pub code: i32,
    pub out: String,
    pub err: String,
}

impl Project {
    /// A project with sound data and a constant predictor that ships at once.
    pub fn new() -> Project {
        let project = Project { home: tempfile::tempdir().unwrap() };
        project.write("rows.csv", &rows(0..ROWS));
        project.configure("");
        project
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub fn write(&self, name: &str, text: &str) {
        fs::write(self.path(name), text).unwrap();
    }

    /// Writes the configuration, `changes` over what it holds otherwise: lines `section.key = …`.
    pub fn configure(&self, changes: &str) {
        let mut keys = [
            ("data.source", "\"rows.csv\""),
            ("data.id", "\"id\""),
            ("data.window", "\"all\""),
            ("data.label_delay", "\"1h\""),
            ("train.engine", "\"constant\""),
            ("retrain.cooldown", "\"0s\""),
            ("retrain.retries", "0"),
            ("gate.metric", "\"auc\""),
            ("gate.rows_min", "10"),
            ("rollout.probation", "{ at_least = \"0s\", labels = 0, at_most = \"1s\" }"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .to_vec();
        for line in changes.lines().filter(|line| !line.trim().is_empty()) {
            let (key, value) = line.split_once(" = ").unwrap();
            keys.retain(|(other, _)| other != key.trim());
            keys.push((key.trim().to_owned(), value.to_owned()));
        }
        let mut text = format!("[model.{MODEL}]\n");
        for (key, value) in keys {
            writeln!(text, "{key} = {value}").unwrap();
        }
        text.push_str("[replay]\nperiod = \"1d\"\nwarm_up = \"4d\"\n");
        self.write("afresh.toml", &text);
    }

    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_afresh"));
        command.args(arguments).current_dir(self.home.path()).stdin(Stdio::null());
        command.env("USER", "ana");
        command
    }

    pub fn run(&self, arguments: &[&str]) -> Said {
        let output = self.command(arguments).output().unwrap();
        Said {
            code: output.status.code().unwrap_or(-1),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs a command that must succeed.
    pub fn good(&self, arguments: &[&str]) -> String {
        let said = self.run(arguments);
        assert_eq!(said.code, 0, "{arguments:?}: {}\n{}", said.out, said.err);
        said.out
    }

    /// Runs a command that must succeed with `--json`.
    pub fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.good(&[arguments, &["--json"]].concat())).unwrap()
    }

    /// Runs a command that must fail with this code and name this culprit.
    pub fn bad(&self, arguments: &[&str], code: i32, culprit: &str) -> Said {
        let said = self.run(arguments);
        let words = format!("{}\n{}", said.out, said.err);
        assert_eq!(said.code, code, "{arguments:?}: {words}");
        assert!(words.contains(culprit), "{arguments:?} does not name `{culprit}`: {words}");
        assert!(!words.contains("panicked"), "{arguments:?}: {words}");
        said
    }

    pub fn name() -> ModelName {
        ModelName::new(MODEL).unwrap()
    }

    /// What serves, by the pointer that a server would read.
    pub fn pointer(&self) -> Option<Deployment> {
        let path = self.path("production").join(MODEL).join("current.json");
        let text = fs::read(path).ok()?;
        Some(serde_json::from_slice(&text).unwrap())
    }

    pub fn artifact(&self, version: VersionId) -> PathBuf {
        self.path(".afresh/versions").join(MODEL).join(version.to_string())
    }

    /// The whole log, the state that it folds to and the snapshot, which must agree.
    pub fn state(&self) -> (Vec<Fact>, Model) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let store = Sqlite::open(self.path(".afresh/state.db")).await.unwrap();
            let name = Project::name();
            let facts = store.facts(&name, 0, u32::MAX).await.unwrap();
            let log = facts.iter().map(|fact| (fact.at, fact.event.clone())).collect::<Vec<_>>();
            if let Some(snapshot) = store.snapshot(&name).await.unwrap() {
                let folded = &log[..usize::try_from(snapshot.number).unwrap()];
                invariant::fold_is_state(&name, folded, &snapshot.model).unwrap();
            }
            let mut model = Model::new(name);
            for (at, event) in &log {
                model.apply(*at, event);
            }
            store.close().await.unwrap();
            (facts, model)
        })
    }

    /// At rest: what serves is the champion, whole and readable, and nothing is owed.
    pub fn is_at_rest(&self) -> VersionId {
        let (_, model) = self.state();
        invariant::finished(&model).unwrap();
        invariant::at_rest(&model, self.pointer().as_ref()).unwrap();
        let champion = model.champion().unwrap();
        assert!(model.has_passed(champion));
        Artifact::load(&self.artifact(champion)).unwrap();
        champion
    }
}

/// A CSV file of one row an hour from 2026-01-01 on.
pub fn rows(hours: std::ops::Range<usize>) -> String {
    rows_every(3_600_000, hours)
}

/// A CSV file of one row every `step_ms`: a number, a category, and a label that follows both.
pub fn rows_every(step_ms: i64, steps: std::ops::Range<usize>) -> String {
    let mut text = "id,event_time,amount,plan,label\n".to_owned();
    for step in steps {
        let time = time_of(step_ms, step);
        let amount = (step * 7_919) % 101;
        let plan = ["free", "basic", "pro"][step % 3];
        let label = usize::from((amount + step * 31 % 40) > 70);
        writeln!(text, "{step},{time},{amount}.5,{plan},{label}").unwrap();
    }
    text
}

/// When a row of [`rows_every`] happened.
pub fn time_of(step_ms: i64, step: usize) -> Timestamp {
    Timestamp(1_767_225_600_000 + i64::try_from(step).unwrap() * step_ms)
}

/// Below `place`, the file that `wanted` accepts.
pub fn find(place: &Path, wanted: &dyn Fn(&Path) -> bool) -> PathBuf {
    let mut places = vec![place.to_owned()];
    while let Some(place) = places.pop() {
        for entry in fs::read_dir(place).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                places.push(path);
            } else if wanted(&path) {
                return path;
            }
        }
    }
    panic!("there is no such file")
}

/// Whether a process with `mark` in its command line lives.
pub fn is_running(mark: &str) -> bool {
    let processes = fs::read_dir("/proc").unwrap().flatten();
    let lines = processes.filter_map(|process| fs::read(process.path().join("cmdline")).ok());
    let own = Path::new("/proc/self/cmdline");
    let own = fs::read(own).unwrap();
    lines.filter(|line| *line != own).any(|line| String::from_utf8_lossy(&line).contains(mark))
}
