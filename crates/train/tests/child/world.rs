//! A dataset on disk, jobs on it, and the processes that they leave.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration as WallTime, Instant};

use afresh_core::id::ModelName;
use afresh_core::time::{Duration, Window};
use afresh_data::dataset::{Datasets, FORMAT, Manifest};
use afresh_data::rows::Rows;
use afresh_data::schema::{Schema, Task};
use afresh_data::selection::Selection;
use afresh_data::source::Source;
use afresh_data::spec::{Columns, SourceSpec};
use afresh_data::split::{self, Rule};
use afresh_train::artifact::Artifact;
use afresh_train::child::ChildProcess;
use afresh_train::dataset::Place;
use afresh_train::error::Failure;
use afresh_train::recipe::{BoostedTrees, Command, Engine, Recipe};
use afresh_train::trainer::{Job, Trainer};
use tempfile::TempDir;
use tokio::sync::watch;

pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_afresh-train-step");

/// A dataset on disk with the columns of the golden models.
pub(crate) struct World {
    pub(crate) dir: TempDir,
    pub(crate) schema: Schema,
    pub(crate) rows: Rows,
    pub(crate) place: Place,
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

impl World {
    pub(crate) fn new(task: Task) -> World {
        World::choosing(task, |_rows| Vec::new())
    }

    /// A dataset that leaves a choice of its rows.
    pub(crate) fn choosing(task: Task, choices: impl Fn(&Rows) -> Vec<Selection>) -> World {
        let dir = TempDir::new().unwrap();
        let colours = ["blue", "green", "grey", "red", ""];
        let mut csv = String::from("at,label,x,colour,noise,flag\n");
        for row in 0..1_200_u64 {
            // A little scramble in place of random numbers.
            let noise = (row.wrapping_mul(2_654_435_761) >> 7) % 1_000;
            let (x, colour) = (noise % 97, colours[usize::try_from(noise % 5).unwrap()]);
            let score = x + if colour == "red" { 40 } else { 0 };
            let label = match task {
                Task::Binary => u64::from(score > 60).to_string(),
                Task::Multiclass => ["low", "middle", "high"]
                    [usize::from(score > 40) + usize::from(score > 80)]
                .to_owned(),
                Task::Regression => score.to_string(),
            };
            let time = 1_700_000_000 + row * 60;
            csv += &format!("{time},{label},{}.5,{colour},0.{noise:03},{}\n", x / 10, row % 2 == 0);
        }
        fs::write(dir.path().join("rows.csv"), csv).unwrap();
        let spec = SourceSpec {
            label: Some("label".to_owned()),
            ..SourceSpec::new("rows.csv", "at", task)
        };
        let (state, base) = (dir.path().join("state"), dir.path().to_owned());
        let model = ModelName::new("tested").unwrap();
        let (schema, rows, id) = runtime().block_on(async {
            let source = Source::open(spec.clone(), &base).unwrap();
            let schema = source.infer_schema().await.unwrap();
            let rows = source.read(Window::ALL, &schema, Columns::All).await.unwrap();
            let as_of = rows.event_time.last().unwrap().after(Duration::seconds(1));
            let rule = Rule {
                holdout_rows_min: 200,
                stopping_rows_min: 200,
                ..Rule::new(Duration::hours(3))
            };
            let split = split::split(&rows, Window::ALL, as_of, None, &rule).unwrap();
            let store = Datasets::open(&state).unwrap();
            let manifest = Manifest {
                format: FORMAT,
                model: model.clone(),
                source: spec,
                window: Window::ALL,
                cuts: split.cuts,
                choices: choices(&rows),
                schema: schema.clone(),
                objects: store.hash(&source, Window::ALL).await.unwrap(),
                rows: split.counts(),
                profile: (),
            };
            (schema, rows, store.create(&manifest).await.unwrap())
        });
        World { place: Place { state, shelf: None, base, model, id }, dir, schema, rows }
    }

    pub(crate) fn job(&self, recipe: Recipe) -> Job {
        let (output, scratch) = (self.dir.path().join("version"), self.dir.path().join("scratch"));
        Job {
            dataset: Some(self.place.clone()),
            ..Job::new(recipe, self.schema.clone(), &output, &scratch)
        }
    }

    /// A job of a shell script, of whose processes each bears the mark of this world.
    pub(crate) fn script(&self, script: &str) -> Job {
        self.job(shell(&format!("{script}\n: {}", self.mark()), None))
    }

    pub(crate) fn mark(&self) -> String {
        self.dir.path().display().to_string()
    }

    /// Processes that bear the mark or stand in a directory of this world.
    pub(crate) fn processes(&self) -> Vec<String> {
        let mark = self.mark();
        let entries = fs::read_dir("/proc").unwrap().filter_map(|entry| Some(entry.ok()?.path()));
        entries
            .filter(|path| path.file_name().unwrap().to_str().unwrap().parse::<u32>().is_ok())
            .filter_map(|path| {
                let line = fs::read(path.join("cmdline")).ok()?;
                let line = String::from_utf8_lossy(&line).replace('\0', " ");
                let stands = fs::read_link(path.join("cwd")).unwrap_or_default();
                let is_ours = line.contains(&mark) || stands.starts_with(&mark);
                is_ours.then(|| format!("{}: {line}", path.display()))
            })
            .collect()
    }

    pub(crate) fn fails(&self, job: &Job) -> Failure {
        let failure = train(job).unwrap_err();
        assert_eq!(self.processes(), [""; 0], "after {failure}");
        assert!(!job.output.exists());
        let left = fs::read_dir(self.dir.path()).unwrap().map(|e| e.unwrap().file_name());
        let left = left.filter(|name| name.to_str().unwrap().starts_with('.')).count();
        assert_eq!(left, 0, "a staging directory was left");
        failure
    }
}

pub(crate) fn shell(script: &str, predict: Option<&str>) -> Recipe {
    let words = |script: &str| ["sh", "-c", script].map(str::to_owned).to_vec();
    Recipe::new(Engine::Command(Command {
        command: words(script),
        predict: predict.map(words),
        ..Command::default()
    }))
}

pub(crate) fn trees() -> Recipe {
    Recipe::new(Engine::BoostedTrees(BoostedTrees { rounds: 40, ..BoostedTrees::default() }))
}

pub(crate) fn train(job: &Job) -> Result<Artifact, Failure> {
    train_with(job, Arc::new(|_| {}))
}

pub(crate) fn train_with(
    job: &Job,
    progress: Arc<dyn Fn(f64) + Send + Sync>,
) -> Result<Artifact, Failure> {
    let (_keep, cancel) = watch::channel(false);
    let trainer = ChildProcess { program: PROGRAM.into() };
    runtime().block_on(trainer.train(job, cancel, progress)).map(|trained| trained.artifact)
}

pub(crate) fn golden(file: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(file)
}

/// Starts two processes that flee: one in a session of its own, one whose parent ends at once.
pub(crate) const FLEEING: &str =
    "setsid sh -c \"sleep 600; : $AFRESH_OUT\" & (sh -c 'sleep 600' &)";

pub(crate) fn await_none(world: &World) {
    await_that(|| world.processes());
}

/// Waits until nothing is left.
pub(crate) fn await_that(left: impl Fn() -> Vec<String>) {
    let start = Instant::now();
    while let left @ [_, ..] = left().as_slice() {
        assert!(start.elapsed() < WallTime::from_secs(30), "{left:?}");
        std::thread::yield_now();
    }
}
