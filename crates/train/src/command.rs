//! Runs a user's own trainer: the files and variables of the contract, and what comes back.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{self as std_process, ExitStatus, Stdio};

use afresh_data::export::Names;
use afresh_data::schema::{Kind, Schema, Task};
use serde_json::{Value, json};

use crate::artifact::{self, Artifact, FILES_MAX, Manifest};
use crate::boosted::Booster;
use crate::dataset;
use crate::encoding::{Coding, Encodings};
use crate::error::Error;
use crate::fit;
use crate::learner::Format;
use crate::process;
use crate::recipe::{Categories, Command, Variable};
use crate::secret::Secrets;
use crate::step::Predict;
use crate::trainer::{Job, Part, Parts};

/// Columns beside the features.
const NAMES: Names<'_> =
    Names { time: dataset::TIME, label: Some(dataset::LABEL), weight: Some(dataset::WEIGHT) };

/// Where a program may say what it measured.
const METRICS_FILE: &str = "metrics.json";

/// Trains with `command` and moves what it leaves into `staging`.
pub(crate) fn train(
    job: &Job,
    command: &Command,
    parts: &Parts,
    staging: &Path,
) -> Result<Manifest, Error> {
    fit::check(job, parts)?;
    let encodings = Encodings::learn(&job.schema, &parts.train, Categories::Native)?;
    let work = fresh(&job.scratch.join("work"))?;
    let out = fresh(&work.join("out"))?;
    let handed = |name: &str| work.join(format!("{name}.{}", command.format.name()));
    let train = handed("train");
    dataset::write(&train, command.format, &job.schema, &parts.train, &NAMES)?;
    let mut variables = BTreeMap::from([("AFRESH_TRAIN", train), ("AFRESH_OUT", out.clone())]);
    if !parts.stopping.is_empty() {
        let validation = handed("validation");
        dataset::write(&validation, command.format, &job.schema, &parts.stopping, &NAMES)?;
        variables.insert("AFRESH_VALIDATION", validation);
    }
    let mut spec = specification(&job.schema, &encodings, command, job.recipe.seed);
    if let Part::Refit { rounds } = job.part {
        spec["refit"] = json!({ "rounds": rounds });
    }
    if let Some(warm) = &job.warm_start {
        spec["warm_start"] = json!({ "rounds": warm.rounds });
    }
    variables.insert("AFRESH_SPEC", write_json(&work.join("spec.json"), &spec)?);
    let warm = job.warm_start.as_ref().map(|warm| Artifact::load(&warm.artifact)).transpose()?;
    if let Some(champion) = &warm {
        variables.insert("AFRESH_WARM_START", absolute(champion.dir())?);
    }
    run(&command.command, command, &work, &variables, Stdio::null())?;
    let metrics = metrics(&out)?;
    let model = take(&out, staging)?;
    let described = Manifest {
        warm_started_from: warm.map(|champion| champion.hash().clone()),
        ..describe(job, parts, encodings, command, model, metrics, staging)?
    };
    let manifest = fit::with_golden(staging, described, &parts.train)?;
    artifact::remove(&work)?;
    Ok(manifest)
}

/// Scores rows with the trainer's own program, which hears requests and answers as this process does.
pub(crate) fn predict(predict: &Predict) -> Result<(), Error> {
    let words = predict.command.predict.as_deref().unwrap_or_default();
    let work = fresh(&predict.scratch.join("work"))?;
    let encodings = Encodings::default();
    let spec = specification(&predict.schema, &encodings, &predict.command, predict.seed);
    let variables = BTreeMap::from([
        ("AFRESH_ROWS", predict.rows.clone()),
        ("AFRESH_PREDICTIONS", predict.predictions.clone()),
        ("AFRESH_MODEL", predict.model.clone()),
        ("AFRESH_SPEC", write_json(&predict.scratch.join("spec.json"), &spec)?),
        ("AFRESH_WORKER", PathBuf::from("1")),
    ]);
    run(words, &predict.command, &work, &variables, Stdio::inherit())
}

/// What `AFRESH_SPEC` holds.
fn specification(schema: &Schema, encodings: &Encodings, command: &Command, seed: u64) -> Value {
    let features = schema.features.iter().enumerate().map(|(at, feature)| {
        let kind = match feature.kind {
            Kind::Numeric => "numeric",
            Kind::Boolean => "boolean",
            Kind::Categorical => "categorical",
        };
        match encodings.0.get(at).map(|encoding| &encoding.coding) {
            Some(Coding::Categorical { names, .. }) => {
                json!({ "name": feature.name, "kind": kind, "categories": names })
            }
            Some(Coding::Numeric) | None => json!({ "name": feature.name, "kind": kind }),
        }
    });
    let task = match schema.task {
        Task::Binary => "binary",
        Task::Multiclass => "multiclass",
        Task::Regression => "regression",
    };
    json!({
        "task": task,
        "label": dataset::LABEL,
        "time": dataset::TIME,
        "weight": dataset::WEIGHT,
        "classes": schema.classes,
        "features": features.collect::<Vec<_>>(),
        "parameters": command.params,
        "format": command.format.name(),
        "seed": seed,
    })
}

/// Runs a program with a clean environment and waits for it.
fn run(
    words: &[String],
    command: &Command,
    directory: &Path,
    variables: &BTreeMap<&str, PathBuf>,
    input: Stdio,
) -> Result<(), Error> {
    let located = words.iter().map(|word| locate(word, command.base.as_deref()));
    let located = located.collect::<Vec<_>>();
    let Some((program, arguments)) = located.split_first() else {
        return Err(Error::Parameter {
            name: "predict".to_owned(),
            reason: "is not set: write the program that scores rows".to_owned(),
        });
    };
    let mut child = std_process::Command::new(program);
    child
        .args(arguments)
        .current_dir(directory)
        .env_clear()
        .env("HOME", directory)
        .env("TMPDIR", directory)
        .stdin(input);
    // What finds programs and says who started them.
    for name in ["PATH", "LANG", crate::child::MARK] {
        if let Some(value) = std::env::var_os(name) {
            child.env(name, value);
        }
    }
    // This process was given them by their names.
    for name in command.env.iter().map(Variable::name) {
        let value =
            std::env::var_os(name).ok_or_else(|| Error::Variable { name: name.to_owned() })?;
        child.env(name, value);
    }
    child.envs(variables);
    process::die_with_parent(&mut child);
    let written = words.first().map_or("", String::as_str);
    let started =
        child.spawn().map_err(|error| not_started(written, Path::new(program), &error))?;
    let status = wait(started.id());
    ended(status)
}

/// What keeps a program from starting, in the words of its owner.
#[expect(clippy::wildcard_enum_match_arm, reason = "the kinds of trouble are many and grow")]
fn not_started(written: &str, located: &Path, error: &io::Error) -> Error {
    let reason = match error.kind() {
        io::ErrorKind::NotFound if located.is_file() => {
            "the interpreter that its first line names is not there".to_owned()
        }
        io::ErrorKind::NotFound if written.contains('/') => {
            "there is no such file: relative paths start at the configuration's directory"
                .to_owned()
        }
        io::ErrorKind::NotFound => format!(
            "it is neither beside the configuration nor on PATH ({}): install it, or write its path",
            std::env::var_os("PATH").unwrap_or_default().display()
        ),
        io::ErrorKind::PermissionDenied => format!(
            "it is not executable: `chmod +x {written}`, or write its interpreter before it, such as \
             `[\"python\", \"{written}\"]`"
        ),
        _ => {
            let message = error.to_string();
            return Error::Start { program: written.to_owned(), message };
        }
    };
    Error::Program { program: written.to_owned(), reason }
}

/// Waits for the child `id` and collects the orphans that end meanwhile.
fn wait(id: u32) -> Option<ExitStatus> {
    loop {
        let (pid, status) = process::collect_any()?;
        if u32::try_from(pid) == Ok(id) {
            return Some(status);
        }
    }
}

fn ended(status: Option<ExitStatus>) -> Result<(), Error> {
    let tail = String::new();
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => match (status.code(), status.signal()) {
            (None, Some(signal)) => Err(Error::Signalled { signal, tail }),
            (code, _) => Err(Error::Exited { code: code.unwrap_or(-1), tail }),
        },
        None => Err(Error::Exited { code: -1, tail }),
    }
}

/// Moves the files of `out` into `staging` and says which is the model.
fn take(out: &Path, staging: &Path) -> Result<String, Error> {
    let failed = |error| Error::io("list", out, &error);
    let mut models = Vec::new();
    let mut files = 0;
    for entry in fs::read_dir(out).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        // A link may lead anywhere, and directories are no part of the contract.
        if !entry.file_type().map_err(failed)?.is_file() {
            continue;
        }
        let name = entry.file_name().to_string_lossy().into_owned();
        files += 1;
        if name == artifact::MANIFEST_FILE || files > FILES_MAX {
            let reason = format!(
                "`{name}` is too much: leave at most {FILES_MAX} files, none of them `{}`",
                artifact::MANIFEST_FILE
            );
            return Err(Error::UnusableModel { file: name, reason });
        }
        let place = staging.join(&name);
        fs::rename(entry.path(), &place)
            .or_else(|_other_file_system| fs::copy(entry.path(), &place).map(|_bytes| ()))
            .map_err(|error| Error::io("write", &place, &error))?;
        if name.starts_with("model.") && name.len() > "model.".len() {
            models.push(name);
        }
    }
    models.sort();
    match models.as_slice() {
        [] => Err(Error::NoModel { tail: String::new() }),
        [model] => Ok(model.clone()),
        [model, ..] => Err(Error::UnusableModel {
            file: model.clone(),
            reason: format!("there is more than one: {}; leave one", models.join(", ")),
        }),
    }
}

/// `metrics.json`, where there is one.
fn metrics(out: &Path) -> Result<BTreeMap<String, Value>, Error> {
    let path = out.join(METRICS_FILE);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|error| Error::UnusableModel {
            file: METRICS_FILE.to_owned(),
            reason: format!("it is not a JSON object: {error}"),
        }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(BTreeMap::new()),
        Err(error) => Err(Error::io("read", &path, &error)),
    }
}

/// Takes the values of secrets out of what the program says it measured.
pub(crate) fn mask_metrics(
    staging: &Path,
    manifest: &mut Manifest,
    secrets: &Secrets,
) -> Result<(), Error> {
    let masked = secrets.masked(manifest.metrics.clone());
    if masked != manifest.metrics {
        write_json(&staging.join(METRICS_FILE), &json!(masked))?;
        manifest.metrics = masked;
    }
    Ok(())
}

/// Recognises the formats that need no `predict` command.
fn describe(
    job: &Job,
    parts: &Parts,
    encodings: Encodings,
    command: &Command,
    model_file: String,
    metrics: BTreeMap<String, Value>,
    staging: &Path,
) -> Result<Manifest, Error> {
    // Exports do not say which round was the best; the trainer may, and a refit repeats so many.
    let best = metrics.get("best_iteration").and_then(Value::as_u64);
    let rounds = best.and_then(|best| usize::try_from(best + 1).ok());
    let blank = Manifest { metrics, model_file, ..fit::blank(job, parts, encodings) };
    if command.predict.is_some() {
        let rounds = rounds.unwrap_or(0);
        return Ok(Manifest { rounds, rounds_added: rounds, ..blank });
    }
    let format = match Path::new(&blank.model_file).extension().and_then(|end| end.to_str()) {
        Some("json") => Format::XgboostJson,
        Some("ubj") => Format::XgboostUbj,
        // Read when its golden rows are scored.
        Some("onnx") => return Ok(Manifest { model_format: Format::Onnx, ..blank }),
        _ => {
            return Err(Error::UnusableModel {
                file: blank.model_file,
                reason: "its format is not known: leave XGBoost's model.json or model.ubj, or a \
                         model.onnx, or set `predict`"
                    .to_owned(),
            });
        }
    };
    let path = staging.join(&blank.model_file);
    let bytes = fs::read(&path).map_err(|error| Error::io("read", &path, &error))?;
    let booster = Booster::decode(&bytes, format, rounds)
        .map_err(|reason| Error::UnusableModel { file: blank.model_file.clone(), reason })?;
    Ok(Manifest {
        model_format: format,
        rounds: booster.rounds(),
        rounds_added: booster.rounds(),
        trees: booster.trees(),
        importance: fit::importance(job, &booster.importance()),
        ..blank
    })
}

/// A word that names a file below `base` as an absolute path, any other as it is.
pub(crate) fn locate(word: &str, base: Option<&Path>) -> std::ffi::OsString {
    let path = Path::new(word);
    match base {
        Some(base) if path.is_relative() && !word.is_empty() => {
            let file = base.join(path);
            if file.is_file() {
                return absolute(&file).map_or_else(|_| word.into(), PathBuf::into_os_string);
            }
            word.into()
        }
        _ => word.into(),
    }
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| Error::io("locate", path, &error))
}

/// An empty directory at `path`, absolute.
fn fresh(path: &Path) -> Result<PathBuf, Error> {
    artifact::remove(path)?;
    fs::create_dir_all(path).map_err(|error| Error::io("create", path, &error))?;
    absolute(path)
}

fn write_json(path: &Path, value: &Value) -> Result<PathBuf, Error> {
    fs::write(path, value.to_string()).map_err(|error| Error::io("write", path, &error))?;
    absolute(path)
}
