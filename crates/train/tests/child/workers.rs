//! `predict` programs: asked once or often, well-behaved or not.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration as WallTime;

use afresh_core::time::Duration;
use afresh_data::schema::Task;
use afresh_train::artifact::Artifact;
use afresh_train::error::Error;
use afresh_train::recipe::{Engine, RowFormat};
use afresh_train::scorer::Scorer;
use afresh_train::trainer::Limits;
use afresh_train::worker;

use crate::world::*;

/// Workers of all tests share their seats: one test at a time.
static ALONE: Mutex<()> = Mutex::new(());

/// Writes 0.5 for every row.
const SCORE: &str = "score() { echo p > $AFRESH_PREDICTIONS
                     tail -n +2 $AFRESH_ROWS | sed 's/.*/0.5/' >> $AFRESH_PREDICTIONS; }";

/// A model whose `predict` program does as the file `manner` beside the artifact says, once there is
/// one, and notes each of its starts.
struct Told {
    world: World,
    artifact: Artifact,
}

impl Told {
    fn new() -> Told {
        let world = World::new(Task::Binary);
        let predict = format!(
            "{SCORE}; manner=$AFRESH_MODEL/../manner; : {}
             echo >> $AFRESH_MODEL/../starts; if test -e $manner; then . $manner; else score; fi",
            world.mark()
        );
        let mut recipe = shell("echo 1 > $AFRESH_OUT/model.txt", Some(&predict));
        if let Engine::Command(command) = &mut recipe.engine {
            command.format = RowFormat::Csv;
        }
        let artifact = train(&world.job(recipe)).unwrap();
        let told = Told { world, artifact };
        fs::remove_file(told.beside("starts")).unwrap();
        told
    }

    fn beside(&self, name: &str) -> PathBuf {
        self.artifact.dir().with_file_name(name)
    }

    fn scorer(&self, manner: &str) -> Scorer {
        fs::write(self.beside("manner"), manner).unwrap();
        Scorer::load_with(self.artifact.dir(), Path::new(PROGRAM)).unwrap()
    }

    fn starts(&self) -> usize {
        fs::read(self.beside("starts")).unwrap().len()
    }

    fn scores(&self, scorer: &Scorer, rows: usize) -> Result<(), Error> {
        let rows = self.world.rows.select(&(0..rows).collect::<Vec<_>>());
        let found = scorer.predict(&rows)?;
        assert_eq!(found, vec![0.5; rows.len()]);
        Ok(())
    }

    /// Scoring in this manner fails and leaves no process.
    fn fails(&self, manner: &str, limits: Limits) -> Error {
        let scorer = self.scorer(manner).limited(limits);
        let error = self.scores(&scorer, 3).unwrap_err();
        drop(scorer);
        assert_eq!(self.world.processes(), [""; 0], "after {error}");
        error
    }
}

const WARM: &str = "echo ready; while read -r line; do score; echo done; done";

fn alone() -> std::sync::MutexGuard<'static, ()> {
    ALONE.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

#[test]
fn worker_is_started_once_and_asked_often() {
    let _alone = alone();
    let told = Told::new();
    let scorer = told.scorer(WARM);
    for rows in [1, 7, 1_200, 3] {
        told.scores(&scorer, rows).unwrap();
    }
    assert_eq!(told.starts(), 1);
    assert!(!told.world.processes().is_empty());
    drop(scorer);
    assert_eq!(told.world.processes(), [""; 0]);
}

#[test]
fn program_that_ends_is_started_for_every_scoring() {
    let _alone = alone();
    let told = Told::new();
    let scorer = told.scorer("score");
    for rows in [1, 7, 3] {
        told.scores(&scorer, rows).unwrap();
        assert_eq!(told.world.processes(), [""; 0]);
    }
    assert_eq!(told.starts(), 3);
}

#[test]
fn request_names_rows_and_place() {
    let _alone = alone();
    let told = Told::new();
    let scorer = told.scorer(
        "test \"$AFRESH_WORKER\" = 1 && echo ready; read -r line; score
         echo \"$line\" > $AFRESH_MODEL/../line; echo $AFRESH_ROWS >> $AFRESH_MODEL/../line
         echo done; read -r line",
    );
    told.scores(&scorer, 2).unwrap();
    let lines = fs::read_to_string(told.beside("line")).unwrap();
    let (line, rows) = lines.trim_end().split_once('\n').unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["rows"], rows);
    assert!(line["predictions"].as_str().unwrap().ends_with("/predictions.csv"));
}

#[test]
fn worker_that_dies_is_replaced_once() {
    let _alone = alone();
    let told = Told::new();
    // Each start answers two requests and dies over the third.
    let scorer = told.scorer(
        "echo ready; for i in 1 2; do read -r line; score; echo done; done; read -r line; kill -9 $$",
    );
    for _ in 0..5 {
        told.scores(&scorer, 2).unwrap();
    }
    assert_eq!(told.starts(), 3);
    drop(scorer);

    // It dies between two requests, which costs nothing but a start.
    let scorer = told.scorer("echo ready; read -r line; score; echo done; exit 5");
    told.scores(&scorer, 1).unwrap();
    told.scores(&scorer, 1).unwrap();
    assert_eq!(told.starts(), 5);
}

#[test]
fn worker_that_always_dies_is_given_up() {
    let _alone = alone();
    let told = Told::new();
    let none = Limits::default();
    let error = told.fails("echo ready; echo no more >&2; read -r line; exit 3", none);
    assert!(matches!(&error, Error::Exited { code: 3, tail } if tail == "no more"), "{error}");
    assert_eq!(told.starts(), 1);
    let error = told.fails("echo ready; read -r line; exit 0", none);
    assert!(matches!(error, Error::WorkerEnded { .. }), "{error}");
    let error = told.fails("echo broken >&2; exit 3", none);
    assert!(matches!(&error, Error::Exited { code: 3, tail } if tail == "broken"), "{error}");
    let error = told.fails("exit 0", none).to_string();
    assert!(error.contains("the program wrote none: write a CSV"), "{error}");
}

#[test]
fn worker_that_refuses_is_asked_again() {
    let _alone = alone();
    let told = Told::new();
    let scorer = told.scorer(
        "echo ready; read -r line; echo error no such column
         while read -r line; do score; echo done; done",
    );
    let error = told.scores(&scorer, 2).unwrap_err();
    assert!(matches!(&error, Error::Refused { message, .. } if message == "no such column"));
    told.scores(&scorer, 2).unwrap();
    assert_eq!(told.starts(), 1);
}

#[test]
fn wrong_predictions_are_told_apart() {
    let _alone = alone();
    let told = Told::new();
    for (values, expected) in [
        ("0.5 0.5", "has 2 predictions for 3 rows"),
        ("0.5 0.5 0.5 0.5", "has 4 predictions for 3 rows"),
        ("0.5 nan 0.5", "predicts NaN in row 2"),
        ("0.5 0.5 inf", "predicts inf in row 3"),
        ("0.5 1.5 0.5", "predicts 1.5 in row 2, outside [0, 1]"),
        ("-0.1 0.5 0.5", "predicts -0.1 in row 1, outside [0, 1]"),
        ("0.5 yes 0.5", "predicts `yes` in row 2, not a number"),
        ("0.5,0.5 0.5,0.5 0.5,0.5", "found record with 2 fields"),
    ] {
        for end in [
            "exit 0",
            "echo ready; read -r line; cp $AFRESH_MODEL/../saved $AFRESH_PREDICTIONS; echo done; read -r line",
        ] {
            let manner = format!(
                "echo p > $AFRESH_PREDICTIONS; for v in {values}; do echo $v >> \
                 $AFRESH_PREDICTIONS; done; cp $AFRESH_PREDICTIONS $AFRESH_MODEL/../saved; {end}"
            );
            let error = told.fails(&manner, Limits::default());
            assert!(matches!(error, Error::Predictions { .. }), "{error}");
            assert!(error.to_string().contains(expected), "{values}: {error}");
        }
    }
}

#[test]
fn stale_predictions_are_no_answer() {
    let _alone = alone();
    let told = Told::new();
    let scorer = told.scorer(
        "echo ready; read -r line; score; echo done; read -r line; echo done; read -r line",
    );
    told.scores(&scorer, 2).unwrap();
    let error = told.scores(&scorer, 2).unwrap_err();
    assert!(error.to_string().contains("the program wrote none"), "{error}");
}

#[test]
fn program_that_neither_ends_nor_answers_is_ended() {
    let _alone = alone();
    let told = Told::new();
    let limits = Limits { predict_time_max: Some(Duration(300)), ..Limits::default() };
    let error = told.fails("echo Ready; echo loading; sleep 600", limits);
    let text = error.to_string();
    assert!(text.contains("time limit of 1 s: it neither ended nor printed `ready`"), "{text}");
    assert!(text.ends_with("it said:\nReady\nloading"), "{text}");
    let error = told.fails("trap '' TERM; echo ready; setsid sleep 600", limits).to_string();
    assert!(error.contains("it was asked and did not answer `done`"), "{error}");
}

#[test]
fn flood_of_output_is_bounded() {
    let _alone = alone();
    let told = Told::new();
    // 40 MB without a line's end, and a line for every row of a table that nobody asked for.
    let flood = "head -c 40000000 /dev/zero | tr '\\0' x; echo; yes done | head -n 100000";
    let scorer = told.scorer(&format!("{flood}; {WARM}"));
    told.scores(&scorer, 4).unwrap();
    told.scores(&scorer, 4).unwrap();
    assert_eq!(told.starts(), 1);
    drop(scorer);
    let limits = Limits { predict_time_max: Some(Duration::seconds(1)), ..Limits::default() };
    let error = told.fails("exec yes nonsense", limits);
    assert!(matches!(&error, Error::PredictTimedOut { tail, .. } if tail.len() < 4_096), "{error}");
}

#[test]
fn workers_memory_and_processes_are_bounded() {
    let _alone = alone();
    let told = Told::new();
    let memory = Limits { memory_bytes_max: Some(100 << 20), ..Limits::default() };
    let manner =
        "echo ready; read -r line; x=$(head -c 200000000 /dev/zero | tr '\\0' a); sleep 600";
    let error = told.fails(manner, memory);
    assert!(matches!(error, Error::OutOfMemory { .. }), "{error}");
    let processes = Limits { processes_max: Some(20), ..Limits::default() };
    let manner = "echo ready; read -r line; for i in $(seq 60); do sleep 600 & done; wait";
    let error = told.fails(manner, processes);
    assert!(matches!(error, Error::TooManyProcesses { .. }), "{error}");
    assert_eq!(told.starts(), 2, "another worker would do the same");
}

#[test]
fn idle_and_surplus_workers_are_ended() {
    let _alone = alone();
    let told = Told::new();
    let scorers = (0..6).map(|_| told.scorer(WARM)).collect::<Vec<_>>();
    for scorer in &scorers {
        told.scores(scorer, 1).unwrap();
    }
    assert_eq!(told.starts(), 6);
    assert_eq!(worker::end_idle(WallTime::from_secs(600)), 0);
    // The newest four are still there.
    for scorer in &scorers[2..] {
        told.scores(scorer, 1).unwrap();
    }
    assert_eq!(told.starts(), 6);
    assert_eq!(worker::end_idle(WallTime::ZERO), 4);
    assert_eq!(told.world.processes(), [""; 0]);
    told.scores(&scorers[0], 1).unwrap();
    assert_eq!(told.starts(), 7);
}

#[test]
fn workers_are_shared_by_threads() {
    let _alone = alone();
    let told = Told::new();
    let scorer = told.scorer(WARM);
    std::thread::scope(|scope| {
        for rows in 1..9 {
            let (told, scorer) = (&told, &scorer);
            scope.spawn(move || told.scores(scorer, rows).unwrap());
        }
    });
    assert_eq!(told.starts(), 1);
}

#[test]
fn nothing_is_left_of_a_worker() {
    let _alone = alone();
    let told = Told::new();
    let place = || {
        let own = format!("afresh-predict-{}-", std::process::id());
        let entries = fs::read_dir(std::env::temp_dir()).unwrap().map(|e| e.unwrap().file_name());
        entries.filter(|name| name.to_string_lossy().starts_with(&own)).count()
    };
    let scorer = told.scorer(WARM);
    told.scores(&scorer, 1).unwrap();
    assert_eq!(place(), 1);
    drop(scorer);
    assert_eq!(place(), 0);
}
