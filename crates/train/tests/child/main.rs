//! Trainings in child processes, with users' programs that behave and that do not.
#![expect(clippy::unwrap_used, clippy::print_stdout, reason = "helpers of tests")]

mod choices;
mod contract;
#[path = "../exchange/models.rs"]
mod models;
mod secrets;
mod workers;
mod world;

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::Stdio;
use std::sync::{Arc, Mutex};

use afresh_core::time::Duration;
use afresh_data::schema::Task;
use afresh_train::child::{ChildProcess, LOG_FILE};
use afresh_train::dataset::FromDataset;
use afresh_train::error::{Error, Retry};
use afresh_train::recipe::{Engine, Variable};
use afresh_train::scorer::Scorer;
use afresh_train::trainer::{InProcess, Job, Part, ReadRows, Trainer, WarmStart};
use std::path::Path;
use tokio::sync::watch;

use world::*;

#[test]
fn child_trains_what_this_process_trains() {
    let world = World::new(Task::Binary);
    let job = world.job(trees());
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = {
        let seen = Arc::clone(&seen);
        Arc::new(move |share| seen.lock().unwrap().push(share))
    };
    let child = train_with(&job, progress).unwrap();
    let model = child.manifest().files.clone();
    assert!(child.manifest().cpu_seconds > 0.0 && child.manifest().wall_seconds > 0.0);
    assert_eq!(child.manifest().dataset.as_ref(), Some(&world.place.id));
    assert!(seen.lock().unwrap().is_sorted() && !seen.lock().unwrap().is_empty());
    Scorer::load(child.dir()).unwrap().check_golden().unwrap();
    assert_eq!(world.processes(), [""; 0]);

    let trainer = InProcess { rows: FromDataset };
    let (_keep, cancel) = watch::channel(false);
    let here = runtime().block_on(trainer.train(&job, cancel, Arc::new(|_| {}))).unwrap();
    assert_eq!(here.artifact.manifest().files, model);
}

#[test]
fn holdout_is_read_for_a_refit_only() {
    let world = World::new(Task::Binary);
    let job = world.job(trees());
    let fit = FromDataset.read(&job).unwrap();
    let all = FromDataset.read(&Job { part: Part::Refit { rounds: 3 }, ..job }).unwrap();
    assert_eq!(all.train.len(), world.rows.len());
    assert!(all.stopping.is_empty() && !fit.stopping.is_empty());
    assert!(fit.train.len() + fit.stopping.len() <= world.rows.len() - 200);
    assert!(fit.train.event_time.last() < fit.stopping.event_time.first());
}

#[test]
fn refit_and_continuation_work_in_a_child() {
    let world = World::new(Task::Binary);
    let judged = train(&world.job(trees())).unwrap();
    let rounds = judged.manifest().rounds_added;
    let refit = Job {
        part: Part::Refit { rounds },
        judged_parent: Some(judged.hash().clone()),
        output: world.dir.path().join("refit"),
        ..world.job(trees())
    };
    let refit = train(&refit).unwrap();
    assert_eq!((refit.manifest().rounds, refit.manifest().rows), (rounds, world.rows.len()));
    let more = Job {
        warm_start: Some(WarmStart { artifact: refit.dir().to_owned(), rounds: 7 }),
        part: Part::Refit { rounds: 7 },
        output: world.dir.path().join("more"),
        ..world.job(trees())
    };
    assert_eq!(train(&more).unwrap().manifest().rounds, rounds + 7);
}

#[test]
fn command_gets_the_contract_and_its_model_is_scored_here() {
    let world = World::new(Task::Regression);
    let script = format!(
        "set -e; test -s $AFRESH_TRAIN; test -s $AFRESH_VALIDATION; test -z \"$AFRESH_WARM_START\"
         test \"$CARGO_PKG_NAME\" = afresh-train; test -z \"$CARGO_MANIFEST_DIR\"
         grep -q '\"task\":\"regression\"' $AFRESH_SPEC; grep -q '\"depth\":5' $AFRESH_SPEC
         grep -q '\"categories\":\\[\"blue\",\"green\",\"grey\",\"red\"\\]' $AFRESH_SPEC
         echo progress 0.5; echo note; echo '{{\"best_iteration\": 7, \"rmse\": 1.5}}' > $AFRESH_OUT/metrics.json
         cp {} $AFRESH_OUT/",
        golden("regression.json").display()
    );
    let copied = format!("{script}model.json");
    let mut recipe = shell(&copied, None);
    if let Engine::Command(command) = &mut recipe.engine {
        command.env = vec![Variable::Same("CARGO_PKG_NAME".to_owned())];
        command.params.insert("depth".to_owned(), 5.into());
    }
    let seen = Arc::new(Mutex::new(Vec::new()));
    let progress = {
        let seen = Arc::clone(&seen);
        Arc::new(move |share| seen.lock().unwrap().push(share))
    };
    let job = world.job(recipe);
    let artifact = train_with(&job, progress).unwrap();
    assert_eq!(*seen.lock().unwrap(), [0.5]);
    assert_eq!(artifact.manifest().rounds, 8);
    assert_eq!(artifact.manifest().metrics["rmse"], 1.5);
    assert!(fs::read_to_string(job.scratch.join(LOG_FILE)).unwrap().contains("note"));
    let scorer = Scorer::load(artifact.dir()).unwrap();
    scorer.check_golden().unwrap();
    assert_eq!(scorer.predict(&world.rows).unwrap().len(), world.rows.len());
}

#[test]
fn models_of_unknown_format_are_scored_by_their_trainer() {
    let world = World::new(Task::Binary);
    let predict = "echo p > $AFRESH_PREDICTIONS; for i in 1 2 3 4 5 6 7 8; do
                   cat $AFRESH_MODEL/model.txt >> $AFRESH_PREDICTIONS; done; test -s $AFRESH_ROWS";
    let job = world.job(shell("echo 0.25 > $AFRESH_OUT/model.txt", Some(predict)));
    let artifact = train(&job).unwrap();
    let scorer = Scorer::load_with(artifact.dir(), Path::new(PROGRAM)).unwrap();
    scorer.check_golden().unwrap();
    let some = |count: usize| world.rows.select(&(0..count).collect::<Vec<_>>());
    assert_eq!(scorer.predict(&some(8)).unwrap(), [0.25; 8]);
    let error = scorer.predict(&some(5)).unwrap_err();
    assert!(matches!(error, Error::Predictions { .. }), "{error}");
    let error = Scorer::load(artifact.dir()).unwrap_err().to_string();
    assert!(error.contains("only its `predict` command can score it"), "{error}");
}

#[test]
fn each_way_to_fail_is_told_apart() {
    let world = World::new(Task::Regression);
    let fails = |script: &str| world.fails(&world.script(script)).error;

    let error = fails("echo half a model; echo broken pipe >&2; exit 3");
    assert!(matches!(&error, Error::Exited { code: 3, tail } if tail.contains("broken pipe")));
    assert_eq!(error.retry(), Retry::Transient);

    let error = fails("kill -SEGV $$; sleep 600");
    assert!(matches!(error, Error::Signalled { signal: 11, .. }), "{error}");

    let error = fails("head -c 300000 /dev/urandom; echo progress nan; touch $AFRESH_OUT/model.");
    assert!(matches!(&error, Error::NoModel { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Permanent);

    let error = fails("echo rubbish > $AFRESH_OUT/model.json");
    assert!(matches!(&error, Error::UnusableModel { file, .. } if file == "model.json"));

    let error = fails("touch $AFRESH_OUT/model.json $AFRESH_OUT/model.ubj").to_string();
    assert!(error.contains("more than one: model.json, model.ubj"), "{error}");

    let error = fails("touch $AFRESH_OUT/model.pkl").to_string();
    assert!(error.contains("set `predict`"), "{error}");

    let error = fails("ln -s /etc/passwd $AFRESH_OUT/model.json");
    assert!(matches!(error, Error::NoModel { .. }), "{error}");

    let mut job = world.script("true");
    if let Engine::Command(command) = &mut job.recipe.engine {
        command.env = vec![Variable::Same("NEVER_SET_BY_ANYONE".to_owned())];
    }
    let name = "NEVER_SET_BY_ANYONE".to_owned();
    assert_eq!(world.fails(&job).error, Error::Variable { name });

    let mut job = world.script("true");
    if let Engine::Command(command) = &mut job.recipe.engine {
        command.command = vec!["no-such-program".to_owned()];
    }
    let error = world.fails(&job).error;
    assert_eq!(error.retry(), Retry::Permanent);
    let told = "cannot run `no-such-program`: it is neither beside the configuration nor on PATH";
    assert!(error.to_string().starts_with(told), "{error}");
}

#[test]
fn processes_that_flee_from_a_success_are_ended() {
    let world = World::new(Task::Regression);
    let model = golden("regression.json");
    let job = world.script(&format!("{FLEEING}; cp {} $AFRESH_OUT/model.json", model.display()));
    train(&job).unwrap();
    assert_eq!(world.processes(), [""; 0]);
}

#[test]
fn time_limit_ends_the_whole_tree() {
    let world = World::new(Task::Binary);
    let mut job = world.script(&format!("{FLEEING}; trap '' TERM; echo waiting; sleep 600"));
    job.limits.time_max = Some(Duration(400));
    let failure = world.fails(&job);
    let Error::TimedOut { seconds_max: 1, tail } = &failure.error else { panic!("{failure}") };
    assert_eq!(tail, "waiting");
    assert!(failure.wall_seconds >= 0.4 && failure.cpu_seconds > 0.0);
}

#[test]
fn memory_limit_ends_the_whole_tree() {
    let world = World::new(Task::Binary);
    let mut job = world
        .script(&format!("{FLEEING}; x=$(head -c 200000000 /dev/zero | tr '\\0' a); sleep 600"));
    job.limits.memory_bytes_max = Some(100 << 20);
    let error = world.fails(&job).error;
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    assert_eq!(error.retry(), Retry::Permanent);
}

#[test]
fn cancelled_and_dropped_trainings_leave_no_process() {
    let world = World::new(Task::Binary);
    let job = world.script(&format!("{FLEEING}; echo progress 0.1; sleep 600"));
    let trainer = ChildProcess { program: PROGRAM.into() };
    let (tell, cancel) = watch::channel(false);
    let progress = Arc::new(move |_| {
        tell.send_replace(true);
    });
    let failure = runtime().block_on(trainer.train(&job, cancel, progress)).unwrap_err();
    assert_eq!(failure.error, Error::Cancelled);
    assert_eq!(world.processes(), [""; 0]);

    let (tell, mut started) = watch::channel(false);
    let progress = Arc::new(move |_| {
        tell.send_replace(true);
    });
    let (_keep, cancel) = watch::channel(false);
    runtime().block_on(async {
        tokio::select! {
            ended = trainer.train(&job, cancel, progress) => panic!("{ended:?}"),
            begun = started.wait_for(|begun| *begun) => drop(begun.unwrap()),
        }
    });
    // Dropping does not wait until the last of them is gone.
    await_none(&world);
}

#[test]
fn killed_supervisor_leaves_no_process() {
    let world = World::new(Task::Binary);
    let failure = world.fails(&world.script(&format!("{FLEEING}; kill -KILL $PPID; sleep 600")));
    assert!(matches!(failure.error, Error::Signalled { signal: 9, .. }), "{failure}");
}

#[test]
fn training_dies_with_its_service() {
    let world = World::new(Task::Binary);
    let job = world.script(&format!("{FLEEING}; echo progress 0.1; sleep 600"));
    let file = world.dir.path().join("job.json");
    fs::write(&file, serde_json::to_vec(&job).unwrap()).unwrap();
    let (mut service, _) = service(|command| {
        command.env("AFRESH_TEST_JOB", &file);
    });
    assert!(!world.processes().is_empty());
    service.kill().unwrap();
    service.wait().unwrap();
    await_none(&world);
}

#[test]
fn worker_dies_with_its_service_and_leaves_no_directory() {
    let world = World::new(Task::Binary);
    let predict = format!(
        "echo ready; : {}; while read -r line; do echo p > $AFRESH_PREDICTIONS
         for i in 1 2 3 4 5 6 7 8; do echo 0.5 >> $AFRESH_PREDICTIONS; done; echo done; done",
        world.mark()
    );
    let recipe = shell("echo 1 > $AFRESH_OUT/model.txt", Some(&predict));
    let artifact = train(&world.job(recipe)).unwrap();
    let (mut service, pid) = service(|command| {
        command.env("AFRESH_TEST_SCORER", artifact.dir());
    });
    assert!(!world.processes().is_empty());
    service.kill().unwrap();
    service.wait().unwrap();
    let own = format!("afresh-predict-{pid}-");
    await_that(|| {
        let left = fs::read_dir(std::env::temp_dir()).unwrap().map(|e| e.unwrap().file_name());
        let left = left.map(|name| name.to_string_lossy().into_owned());
        let left = left.filter(|name| name.starts_with(&own));
        world.processes().into_iter().chain(left).collect()
    });
}

/// This test's program as a service, once it has begun, and its process.
fn service(set: impl FnOnce(&mut std::process::Command)) -> (std::process::Child, String) {
    let mut command = std::process::Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "service_that_trains_until_it_is_killed", "--nocapture"]);
    set(&mut command);
    let mut service = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = BufReader::new(service.stdout.take().unwrap()).lines().map_while(Result::ok);
    let pid = service.id().to_string();
    assert!(lines.any(|line| line.contains("has begun")));
    (service, pid)
}

/// The process that `training_dies_with_its_service` kills; nothing by itself.
#[test]
fn service_that_trains_until_it_is_killed() {
    if let Some(artifact) = std::env::var_os("AFRESH_TEST_SCORER") {
        let scorer = Scorer::load_with(Path::new(&artifact), Path::new(PROGRAM)).unwrap();
        scorer.check_golden().unwrap();
        println!("{} has begun", std::process::id());
        std::thread::park();
    }
    let Some(file) = std::env::var_os("AFRESH_TEST_JOB") else { return };
    let job: Job = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
    let result = train_with(&job, Arc::new(|_| println!("training has begun")));
    panic!("{result:?}");
}

#[test]
fn cpu_of_the_whole_tree_is_counted() {
    let world = World::new(Task::Regression);
    let busy = "i=0; while [ $i -lt 400000 ]; do i=$((i+1)); done";
    let cost = |script: &str| {
        let model = golden("regression.json");
        let script = format!("{script}; cp {} $AFRESH_OUT/model.json", model.display());
        train(&world.script(&script)).unwrap().manifest().cpu_seconds
    };
    let idle = cost("true");
    // In a grandchild, and in one that has lost its parent.
    let grandchild = cost(&format!("sh -c '{busy}'"));
    let orphan =
        cost(&format!("(sh -c '{busy}; touch done' &); until test -e done; do sleep 0.01; done"));
    assert!(grandchild > idle + 0.05, "{grandchild} {idle}");
    assert!(orphan > idle + 0.05, "{orphan} {idle}");
}

#[test]
fn places_that_cannot_be_written_are_named() {
    let world = World::new(Task::Binary);
    fs::write(world.dir.path().join("file"), "").unwrap();
    let job = Job { output: world.dir.path().join("file/version"), ..world.job(trees()) };
    let error = train(&job).unwrap_err().error;
    assert!(error.to_string().contains("file/.version.new"), "{error}");
    assert_eq!(error.retry(), Retry::Transient);

    let job = Job { scratch: world.dir.path().join("file/scratch"), ..world.job(trees()) };
    let error = train(&job).unwrap_err().error.to_string();
    assert!(error.contains("file/scratch"), "{error}");
}

#[test]
fn vanished_rows_and_programs_are_named() {
    let world = World::new(Task::Binary);
    let (_keep, cancel) = watch::channel(false);
    let job = world.job(trees());
    let trainer = ChildProcess { program: "/no/such/program".into() };
    let failure = runtime().block_on(trainer.train(&job, cancel, Arc::new(|_| {}))).unwrap_err();
    assert!(matches!(failure.error, Error::Start { .. }), "{failure}");

    fs::remove_file(world.dir.path().join("rows.csv")).unwrap();
    let error = world.fails(&job).error;
    assert!(
        matches!(&error, Error::Rows { message, .. } if message.contains("rows.csv")),
        "{error}"
    );
}
