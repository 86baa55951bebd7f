//! `kill -9` at any moment: whoever opens the state next goes on where it stood.

use std::io::Read as _;
use std::process::Stdio;

use afresh_core::id::VersionId;
use afresh_core::invariant;
use afresh_core::model::{Model, Phase};
use afresh_engine::port::Fact;
use afresh_train::artifact::Artifact;

use crate::project::{Project, ROWS, rows_every, time_of};

/// Moments at which a process is killed.
const KILLS: usize = 50;
/// Processes that are started for that at most: some end before their moment comes.
const STARTS_MAX: usize = 150;
/// Rows that arrive before each start, one a minute, so that there is something to train on.
const ARRIVE: usize = 20;

#[test]
fn work_goes_on_after_kill_9_at_fifty_moments() {
    let project = Project::new();
    project.configure("data.label_delay = \"1min\"");
    let mut rows = ROWS;
    let mut arrive = || {
        rows += ARRIVE;
        project.write("rows.csv", &rows_every(60_000, 0..rows));
        time_of(60_000, rows + 2).to_string()
    };
    let said = project.run(&["retrain", "-vv", "--now", &arrive()]);
    assert_eq!(said.code, 0, "{}", said.err);
    project.is_at_rest();
    let bytes_of_a_run = said.err.len();
    let mut random = Random(20_261_123);
    let (mut log, _) = project.state();
    let (mut killed, mut in_the_middle, mut started) = (0, 0, 0);
    while killed < KILLS {
        started += 1;
        assert!(started < STARTS_MAX, "only {killed} of {started} processes were killed");
        let now = arrive();
        let command: &[&str] = if started % 3 == 0 { &["run", "--once"] } else { &["retrain"] };
        let arguments = [command, &["-vv", "--now", &now]].concat();
        killed += usize::from(kill_after(&project, &arguments, random.below(bytes_of_a_run)));
        let (grown, model) = state_is_whole(&project, &log);
        log = grown;
        in_the_middle += usize::from(!matches!(model.phase(), Phase::Idle { .. }));
    }
    assert!(in_the_middle > KILLS / 5, "only {in_the_middle} were killed in the middle of a run");
    project.good(&["run", "--once", "--now", &arrive()]);
    let (_, model) = state_is_whole(&project, &log);
    let champion = project.is_at_rest();
    // A run that was killed over and over still came to its end: none was given up.
    let outcomes = project.json(&["runs", "--limit", "1000"]);
    let bad = |run: &&serde_json::Value| run["outcome"] != "promoted";
    let bad = outcomes.as_array().unwrap().iter().filter(bad).collect::<Vec<_>>();
    assert!(bad.is_empty(), "{bad:?}");
    assert!(model.champion() > Some(VersionId(10)), "{:?}", model.champion());
    project.good(&["retrain", "--now", &arrive()]);
    assert!(project.is_at_rest() > champion);
    let datasets = project.json(&["datasets", "--limit", "1000"]);
    let datasets = datasets.as_array().unwrap();
    assert!(datasets.iter().all(|dataset| dataset["missing"].is_null()), "{datasets:?}");
    project.good(&["datasets", "verify", datasets[0]["id"].as_str().unwrap()]);
}

/// The log has only grown, the state is its fold, and what serves is whole and passed its gate.
fn state_is_whole(project: &Project, before: &[Fact]) -> (Vec<Fact>, Model) {
    let (log, model) = project.state();
    assert_eq!(&log[..before.len()], before, "the log was changed");
    let serving = project.pointer();
    invariant::at_rest(&model, serving.as_ref()).unwrap();
    let deployment = serving.unwrap();
    assert!(deployment.fence <= model.fence(), "{deployment:?} was never decided");
    let version = deployment.version.unwrap();
    assert!(model.has_passed(version), "{version} serves and did not pass");
    Artifact::load(&project.artifact(version)).unwrap();
    (log, model)
}

/// Kills a command once it has written this many bytes of its log; whether it was alive then.
fn kill_after(project: &Project, arguments: &[&str], bytes: usize) -> bool {
    let mut command = project.command(arguments);
    let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let mut read = vec![0; bytes];
    let lived = child.stderr.as_mut().unwrap().read_exact(&mut read).is_ok();
    child.kill().unwrap();
    let ended = child.wait().unwrap();
    lived && ended.code().is_none()
}

/// Numerical Recipes' linear congruential generator: the same moments in every run of the test,
/// as far as the machine allows.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % limit
    }
}
