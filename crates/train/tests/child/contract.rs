//! The contract with a user's trainer, promise by promise.

use std::fs;
use std::sync::Arc;

use afresh_data::schema::Task;
use afresh_data::split::{Part as Slice, positions};
use afresh_data::{dataset::Datasets, dataset::Manifest};
use afresh_train::child::LOG_FILE;
use afresh_train::error::{Error, Retry};
use afresh_train::recipe::{Command, Engine, Recipe, RowFormat};
use afresh_train::scorer::Scorer;
use afresh_train::trainer::{Job, WarmStart};
use std::path::Path;

use crate::world::*;

/// Learns the share of each class, or the mean, and knows nothing else.
const LEARN: &str = "tail -n +2 $AFRESH_TRAIN | cut -d, -f5 > labels.txt";

fn csv(script: &str, predict: &str) -> Recipe {
    let mut recipe = shell(script, Some(predict));
    if let Engine::Command(command) = &mut recipe.engine {
        command.format = RowFormat::Csv;
    }
    recipe
}

#[test]
fn environment_is_clean_and_the_directory_empty() {
    let world = World::new(Task::Regression);
    let model = golden("regression.json");
    let script = format!(
        "env | cut -d= -f1 | sort > $AFRESH_OUT/names.txt; ls -A | sort > $AFRESH_OUT/files.txt
         test \"$(pwd)\" = \"$HOME\" && test \"$HOME\" = \"$TMPDIR\" || exit 9
         cp {} $AFRESH_OUT/model.json",
        model.display()
    );
    let artifact = train(&world.job(shell(&script, None))).unwrap();
    let listed = |file: &str| fs::read_to_string(artifact.dir().join(file)).unwrap();
    let ours = ["_", "LANG", "OLDPWD", "SHLVL"];
    let names = listed("names.txt");
    let names = names.lines().filter(|name| !ours.contains(name)).collect::<Vec<_>>();
    let expected =
        ["AFRESH_OUT", "AFRESH_SPEC", "AFRESH_STEP", "AFRESH_TRAIN", "AFRESH_VALIDATION"];
    assert_eq!(names, [&expected[..], &["HOME", "PATH", "PWD", "TMPDIR"]].concat());
    assert_eq!(listed("files.txt"), "out\nspec.json\ntrain.parquet\nvalidation.parquet\n");
}

#[test]
fn holdout_is_never_shown() {
    let world = World::new(Task::Binary);
    let script = "cp $AFRESH_TRAIN $AFRESH_VALIDATION $AFRESH_OUT; echo 1 > $AFRESH_OUT/model.txt";
    let predict = "echo p > $AFRESH_PREDICTIONS
                   tail -n +2 $AFRESH_ROWS | sed 's/.*/0.5/' >> $AFRESH_PREDICTIONS";
    let artifact = train(&world.job(csv(script, predict))).unwrap();
    let manifest: Manifest<serde::de::IgnoredAny> = runtime()
        .block_on(
            Datasets::open(&world.place.state).unwrap().load(&world.place.model, &world.place.id),
        )
        .unwrap();
    let at = |part| positions(&world.rows, manifest.window, &manifest.cuts, part);
    let holdout = at(Slice::Holdout);
    assert!(holdout.len() >= 200);
    let shown = ["train.csv", "validation.csv"].map(|file| {
        let text = fs::read_to_string(artifact.dir().join(file)).unwrap();
        let times = text.lines().skip(1).map(|line| line.rsplit(',').next().unwrap().to_owned());
        times.collect::<Vec<_>>()
    });
    assert_eq!(shown[0].len(), at(Slice::Train).len());
    assert_eq!(shown[1].len(), at(Slice::Stopping).len());
    let moment = |row: usize| {
        let seconds = world.rows.event_time[row].0 / 1_000;
        let (day, second) = (seconds / 86_400 - 19_675, seconds % 86_400);
        // All rows lie in two days from 2023-11-14.
        format!("2023-11-{}T{:02}:{:02}", 14 + day, second / 3_600, second / 60 % 60)
    };
    assert!(shown[0][0].starts_with(&moment(0)), "{} {}", shown[0][0], moment(0));
    for row in holdout {
        let minute = moment(row);
        assert!(!shown.iter().flatten().any(|time| time.starts_with(&minute)), "{minute}");
    }
}

#[test]
fn rows_are_handed_over_as_csv_where_asked() {
    let world = World::new(Task::Multiclass);
    let script =
        "grep -q '\"format\":\"csv\"' $AFRESH_SPEC; cp $AFRESH_TRAIN $AFRESH_OUT/model.csv";
    let predict = "cp $AFRESH_ROWS $AFRESH_MODEL/../rows.csv; echo a,b,c > $AFRESH_PREDICTIONS
                   tail -n +2 $AFRESH_ROWS | sed 's/.*/0.5,0.25,0.25/' >> $AFRESH_PREDICTIONS";
    let recipe = csv(script, predict);
    assert_ne!(recipe.hash(), shell(script, Some(predict)).hash());
    let artifact = train(&world.job(recipe)).unwrap();
    let text = fs::read_to_string(artifact.dir().join("model.csv")).unwrap();
    let lines = text.lines().take(4).collect::<Vec<_>>();
    assert_eq!(
        lines,
        [
            "x,colour,noise,flag,label,weight,event_time",
            "0.5,blue,0,true,1,1,2023-11-14T22:13:20.000Z",
            "0.5,,0.779,false,1,1,2023-11-14T22:14:20.000Z",
            "7.5,red,0.558,true,0,1,2023-11-14T22:15:20.000Z",
        ]
    );
    let scorer = Scorer::load_with(artifact.dir(), Path::new(PROGRAM)).unwrap();
    scorer.predict(&world.rows.select(&[0, 1])).unwrap();
    let rows = fs::read_to_string(artifact.dir().with_file_name("rows.csv")).unwrap();
    assert!(rows.starts_with("x,colour,noise,flag,event_time\n0.5,blue,0,true,2023"), "{rows}");
}

#[test]
fn each_task_is_learned_and_scored_by_commands() {
    let learn = format!("{LEARN}; sort labels.txt | uniq -c > $AFRESH_OUT/model.txt");
    let shares = "total=$(awk '{ n += $1 } END { print n }' $AFRESH_MODEL/model.txt)
                  row=$(awk -v n=$total '{ printf \"%s%.9f\", (NR > 1 ? \",\" : \"\"), $1 / n }' \
                        $AFRESH_MODEL/model.txt)";
    let write = "head -1 $AFRESH_MODEL/model.txt > $AFRESH_PREDICTIONS
                 tail -n +2 $AFRESH_ROWS | sed \"s/.*/$row/\" >> $AFRESH_PREDICTIONS";
    let header = "echo a,b,c > $AFRESH_PREDICTIONS
                  tail -n +2 $AFRESH_ROWS | sed \"s/.*/$row/\" >> $AFRESH_PREDICTIONS";
    for (task, predict) in [
        (Task::Multiclass, format!("{shares}\n{header}")),
        (Task::Binary, format!("{shares}\nrow=${{row#*,}}\n{write}")),
        (
            Task::Regression,
            format!(
                "row=$(awk '{{ n += $1; sum += $1 * $2 }} END {{ print sum / n }}' \
                 $AFRESH_MODEL/model.txt)\n{write}"
            ),
        ),
    ] {
        let world = World::new(task);
        let artifact = train(&world.job(csv(&learn, &predict))).unwrap();
        let scorer = Scorer::load_with(artifact.dir(), Path::new(PROGRAM)).unwrap();
        scorer.check_golden().unwrap();
        let outputs = world.schema.outputs();
        let found = scorer.predict(&world.rows.select(&[1, 2, 3])).unwrap();
        assert_eq!(found.len(), 3 * outputs);
        let labels = &world.rows.label[..artifact.manifest().rows];
        #[expect(clippy::cast_precision_loss, reason = "a few rows")]
        let mean = |of: &dyn Fn(f64) -> f64| {
            labels.iter().copied().map(of).sum::<f64>() / labels.len() as f64
        };
        let expected = match task {
            Task::Regression | Task::Binary => vec![mean(&|label| label)],
            Task::Multiclass => (0..3)
                .map(|class| {
                    mean(&|label| f64::from(u8::from((label - f64::from(class)).abs() < 0.5)))
                })
                .collect(),
        };
        for (found, expected) in found.iter().zip(&expected) {
            assert!((found - expected).abs() < 1e-3 * expected.max(1.0), "{found} {expected}");
        }
    }
}

#[test]
fn champion_is_handed_over_for_a_warm_start() {
    let world = World::new(Task::Regression);
    let script = format!(
        "if test -n \"$AFRESH_WARM_START\"; then
           grep -q '\"warm_start\":{{\"rounds\":9}}' $AFRESH_SPEC || exit 8
           cat $AFRESH_WARM_START/notes.txt > $AFRESH_OUT/notes.txt
         fi; echo trained >> $AFRESH_OUT/notes.txt; cp {} $AFRESH_OUT/model.json",
        golden("regression.json").display()
    );
    let first = train(&world.job(shell(&script, None))).unwrap();
    let again = Job {
        warm_start: Some(WarmStart { artifact: first.dir().to_owned(), rounds: 9 }),
        output: world.dir.path().join("again"),
        ..world.job(shell(&script, None))
    };
    let again = train(&again).unwrap();
    assert_eq!(fs::read_to_string(again.dir().join("notes.txt")).unwrap(), "trained\ntrained\n");
    assert_eq!(again.manifest().warm_started_from.as_ref(), Some(first.hash()));
}

#[test]
fn programs_that_cannot_be_run_are_told_apart() {
    use std::os::unix::fs::PermissionsExt as _;
    let world = World::new(Task::Regression);
    let base = world.dir.path();
    let written = [("plain", "echo", 0o644), ("lost", "#!/no/such\n", 0o755)];
    for (name, text, mode) in written {
        fs::write(base.join(name), text).unwrap();
        fs::set_permissions(base.join(name), fs::Permissions::from_mode(mode)).unwrap();
    }
    for (word, told) in [
        ("plain", "cannot run `plain`: it is not executable: `chmod +x plain`, or write its"),
        ("lost", "cannot run `lost`: the interpreter that its first line names is not there"),
        ("bin/none", "cannot run `bin/none`: there is no such file: relative paths start at"),
        ("pyhton", "cannot run `pyhton`: it is neither beside the configuration nor on PATH"),
    ] {
        let command = Command {
            command: vec![word.to_owned()],
            base: Some(base.to_owned()),
            ..Command::default()
        };
        let error = world.fails(&world.job(Recipe::new(Engine::Command(command)))).error;
        assert!(error.to_string().starts_with(told), "{error}");
        assert_eq!(error.retry(), Retry::Permanent, "{error}");
    }
}

#[test]
fn files_beside_the_model_are_bounded() {
    let world = World::new(Task::Regression);
    let fails = |script: &str| world.fails(&world.script(script)).error.to_string();
    let error = fails("cd $AFRESH_OUT; for i in $(seq 65); do touch $i; done");
    assert!(error.contains("leave at most 64 files"), "{error}");
    let error = fails("touch $AFRESH_OUT/manifest.json");
    assert!(error.contains("`manifest.json` is too much"), "{error}");
    let error = fails("touch $AFRESH_OUT/model.json; echo 1 > $AFRESH_OUT/metrics.json");
    assert!(error.contains("metrics.json") && error.contains("not a JSON object"), "{error}");
}

#[test]
fn too_many_processes_are_ended_and_named() {
    let world = World::new(Task::Binary);
    let mut job = world.script("for i in $(seq 120); do sleep 600 & done; wait");
    job.limits.processes_max = Some(40);
    let failure = world.fails(&job);
    let Error::TooManyProcesses { processes, processes_max: 40, .. } = failure.error else {
        panic!("{failure}")
    };
    assert!(processes > 40);
    assert_eq!(failure.error.retry(), Retry::Permanent);
    assert!(failure.cpu_seconds > 0.0);
}

#[test]
fn tree_that_forks_while_it_is_ended_is_ended() {
    let world = World::new(Task::Binary);
    // Four loops that start orphans without an end.
    let chain =
        "i=0; while [ $i -lt 4 ]; do (while :; do (sleep 0.01 &); done) & i=$((i+1)); done; wait";
    let mut job = world.script(chain);
    job.limits.processes_max = Some(60);
    job.limits.time_max = Some(afresh_core::time::Duration::seconds(5));
    let failure = world.fails(&job);
    let ended = matches!(failure.error, Error::TooManyProcesses { .. } | Error::TimedOut { .. });
    assert!(ended, "{failure}");
}

#[test]
fn cpu_of_an_ended_tree_is_counted() {
    let world = World::new(Task::Binary);
    // A grandchild counts to a million and then waits; nobody below collects it.
    let busy =
        "(i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo progress 0.5; sleep 600) &";
    let job = world.script(&format!("{busy} wait"));
    let (tell, cancel) = tokio::sync::watch::channel(false);
    let progress = Arc::new(move |_| {
        tell.send_replace(true);
    });
    let trainer = afresh_train::child::ChildProcess { program: PROGRAM.into() };
    let training = afresh_train::trainer::Trainer::train(&trainer, &job, cancel, progress);
    let failure = runtime().block_on(training).unwrap_err();
    assert_eq!(failure.error, Error::Cancelled);
    assert!(failure.cpu_seconds > 0.05, "{failure} cost {}", failure.cpu_seconds);
    let log = fs::read_to_string(job.scratch.join(LOG_FILE)).unwrap();
    assert_eq!(log, "progress 0.5\n");
}
