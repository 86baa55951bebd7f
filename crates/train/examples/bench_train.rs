//! Trains a recipe on one file, scores another, and says what each took, for `cargo xtask bench train`:
//! `bench_train RECIPE TRAIN.parquet TEST.parquet PREDICTIONS.csv DIRECTORY`, the recipe as JSON.
#![expect(clippy::print_stdout, reason = "its figures are its output")]

use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::sync::Arc;

use afresh_core::time::Window;
use afresh_data::rows::Rows;
use afresh_data::schema::{Schema, Task};
use afresh_data::source::Source;
use afresh_data::spec::{Columns, SourceSpec};
use afresh_train::recipe::Recipe;
use afresh_train::scorer::Scorer;
use afresh_train::trainer::{InProcess, Job, Parts, ReadRows, Trainer};
use serde_json::json;
use tokio::sync::watch;

#[derive(Debug)]
struct Memory(Parts);

impl ReadRows for Memory {
    fn read(&self, _job: &Job) -> Result<Parts, afresh_train::error::Error> {
        Ok(self.0.clone())
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments = std::env::args().skip(1).collect::<Vec<_>>();
    let [recipe, train, test, predictions, directory] = arguments.as_slice() else {
        return Err("write RECIPE TRAIN TEST PREDICTIONS DIRECTORY".into());
    };
    let recipe: Recipe = serde_json::from_str(recipe)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let schema = runtime.block_on(source(train)?.infer_schema())?;
    let rows = |path: &str| read(&runtime, &schema, path);
    let (train, test) = (rows(train)?, rows(test)?);
    let directory = Path::new(directory);
    if directory.exists() {
        fs::remove_dir_all(directory)?;
    }
    let (output, scratch) = (directory.join("artifact"), directory.join("scratch"));
    fs::create_dir_all(directory)?;
    let job = Job::new(recipe, schema.clone(), &output, &scratch);
    let trainer = InProcess { rows: Memory(Parts { train, stopping: Rows::default() }) };
    let (_keep, cancel) = watch::channel(false);
    let started = cpu_seconds()?;
    runtime.block_on(trainer.train(&job, cancel, Arc::new(|_share| {})))?;
    let trained = cpu_seconds()?;
    let found = Scorer::load(&output)?.predict(&test)?;
    let scored = cpu_seconds()?;
    let mut text = String::from("label,prediction\n");
    for (label, prediction) in test.label.iter().zip(found) {
        writeln!(text, "{label},{prediction}")?;
    }
    fs::write(predictions, text)?;
    println!("{}", json!({ "fit": trained - started, "predict": scored - trained }));
    Ok(())
}

fn source(path: &str) -> Result<Source, Box<dyn Error>> {
    let spec = SourceSpec {
        label: Some("label".to_owned()),
        positive: Some("1".to_owned()),
        ..SourceSpec::new(path, "event_time", Task::Binary)
    };
    Ok(Source::open(spec, Path::new("."))?)
}

fn read(
    runtime: &tokio::runtime::Runtime,
    schema: &Schema,
    path: &str,
) -> Result<Rows, Box<dyn Error>> {
    Ok(runtime.block_on(source(path)?.read(Window::ALL, schema, Columns::All))?)
}

/// Of this process, user and system, as the kernel counts them: in ticks of a hundredth of a second.
fn cpu_seconds() -> Result<f64, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    // The name of the program, in brackets, may hold anything.
    let (_, rest) = stat.rsplit_once(')').ok_or("there is no name in /proc/self/stat")?;
    let fields = rest.split_whitespace().collect::<Vec<_>>();
    let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<f64>().ok());
    let (user, system) = ticks(11).zip(ticks(12)).ok_or("there is no time in /proc/self/stat")?;
    Ok((user + system) / 100.0)
}
