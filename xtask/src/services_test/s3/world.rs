//! A server that speaks S3, buckets in it, and projects whose rows or versions lie there.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use crate::house;
use crate::services_test::http::Request;
use crate::services_test::server::Server;
use crate::services_test::venv::venv;
use crate::services_test::{afresh, empty_place};

/// Moto's server of S3; it takes any credentials.
pub(super) struct World {
    server: Server,
    afresh: PathBuf,
}

/// A directory with an `afresh.toml`.
pub(super) struct Project {
    afresh: PathBuf,
    directory: PathBuf,
    /// Where it is told that S3 answers.
    port: u16,
}

/// Where the flights lie in a bucket.
pub(super) const ROWS: &str = "data/flights_nyc_2013.parquet";
/// A day of the flights with enough rows before it, and with rows after it.
pub(super) const DAY: &str = "2013-04-01";
/// What no message may ever show.
pub(super) const SECRET: &str = "a-secret-of-nobody";

impl World {
    pub(super) fn start() -> Result<World> {
        let moto = venv("moto", &["moto[server]"])?;
        let server = Server::start("moto", |port| {
            let mut command = Command::new(moto.join("bin/moto_server"));
            command.args(["-H", "127.0.0.1", "-p", &port.to_string()]);
            command
        })?;
        Ok(World { server, afresh: afresh()? })
    }

    pub(super) fn port(&self) -> u16 {
        self.server.port()
    }

    /// Lines of the server's log, one a request.
    pub(super) fn requests(&self) -> Result<Vec<String>> {
        Ok(self.server.log()?.lines().map(str::to_owned).collect())
    }

    /// A new bucket with the flights in it.
    pub(super) fn bucket(&self, name: &str) -> Result<()> {
        put(self.port(), &format!("/{name}"), Vec::new())?;
        let flights = house::root().join("examples/flights").join(ROWS);
        let bytes = std::fs::read(&flights)
            .with_context(|| format!("failed to read {}", flights.display()))?;
        put(self.port(), &format!("/{name}/{ROWS}"), bytes)
    }

    /// Keys in a bucket, in order.
    pub(super) fn keys(&self, bucket: &str) -> Result<Vec<String>> {
        keys(self.port(), bucket)
    }

    /// A project on the flights of `bucket`; `more` is added to its configuration.
    pub(super) fn project(&self, name: &str, bucket: &str, more: &str) -> Result<Project> {
        let directory = empty_place(&format!("s3-{name}"))?;
        let text = format!(
            r#"[model.delay]
[model.delay.data]
source = "s3://{bucket}/data/*.parquet"
id = "event_id"
label_time = "label_time"
positive = 1
window = "28d"
[model.delay.train]
rounds = 5
early_stopping = 0
[replay]
period = "7d"
warm_up = "28d"
{more}
"#
        );
        std::fs::write(directory.join("afresh.toml"), text).context("failed to write")?;
        Ok(Project { afresh: self.afresh.clone(), directory, port: self.port() })
    }
}

impl Project {
    /// The same project, told of another server.
    pub(super) fn at(&self, port: u16) -> Project {
        Project { afresh: self.afresh.clone(), directory: self.directory.clone(), port }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    pub(super) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(&self.afresh);
        command.args(arguments).current_dir(&self.directory).env_clear();
        command.envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        command.envs([
            ("AWS_ACCESS_KEY_ID", "nobody"),
            ("AWS_SECRET_ACCESS_KEY", SECRET),
            ("AWS_REGION", "us-east-1"),
            ("AWS_ALLOW_HTTP", "true"),
            ("USER", "ana"),
        ]);
        command.env("AWS_ENDPOINT_URL", format!("http://127.0.0.1:{}", self.port));
        command.stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Result<Output> {
        let output = self.command(arguments).output();
        output.with_context(|| format!("failed to start afresh {}", arguments.join(" ")))
    }

    /// What a command prints with `--json`; it must succeed.
    pub(super) fn json(&self, arguments: &[&str]) -> Result<Value> {
        let mut all = arguments.to_vec();
        all.push("--json");
        let output = self.run(&all)?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        ensure!(output.status.success(), "afresh {} failed: {said}", arguments.join(" "));
        serde_json::from_slice(&output.stdout)
            .with_context(|| format!("afresh {} printed no JSON", arguments.join(" ")))
    }

    /// A command that must fail with all these words and without the secret.
    pub(super) fn fails(&self, arguments: &[&str], words: &[&str]) -> Result<String> {
        let output = self.run(arguments)?;
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        // Long messages are wrapped for the terminal, with a bar before each line.
        let flat = said.replace('│', " ");
        let flat = flat.split_whitespace().collect::<Vec<_>>().join(" ");
        if output.status.success() {
            bail!("afresh {} succeeded: {said}", arguments.join(" "));
        }
        for words in words {
            ensure!(flat.contains(words), "`{words}` is not in: {said}");
        }
        ensure!(!said.contains(SECRET), "a message shows the secret: {said}");
        ensure!(!said.contains("panicked"), "it panicked: {said}");
        Ok(flat)
    }

    /// Starts a command and leaves it running.
    pub(super) fn start(&self, arguments: &[&str]) -> Result<Child> {
        let mut command = self.command(arguments);
        command.stdout(Stdio::piped()).stderr(Stdio::piped());
        command.spawn().with_context(|| format!("failed to start afresh {}", arguments.join(" ")))
    }
}

pub(super) fn put(port: u16, path: &str, body: Vec<u8>) -> Result<()> {
    let answer = Request::new("PUT", path, body).send(port)?;
    let said = String::from_utf8_lossy(&answer.body);
    ensure!(answer.status == 200, "PUT {path} was answered {}: {said}", answer.status);
    Ok(())
}

pub(super) fn keys(port: u16, bucket: &str) -> Result<Vec<String>> {
    let answer = Request::get(&format!("/{bucket}?list-type=2")).send(port)?;
    let text = String::from_utf8_lossy(&answer.body).into_owned();
    ensure!(answer.status == 200, "{bucket} cannot be listed: {text}");
    let keys = text.split("<Key>").skip(1).filter_map(|rest| rest.split("</Key>").next());
    Ok(keys.map(str::to_owned).collect())
}

/// Removes a bucket with all that is in it.
pub(super) fn remove_bucket(port: u16, bucket: &str) -> Result<()> {
    for key in keys(port, bucket)? {
        Request::new("DELETE", &format!("/{bucket}/{key}"), Vec::new()).send(port)?;
    }
    let answer = Request::new("DELETE", &format!("/{bucket}"), Vec::new()).send(port)?;
    ensure!(answer.status == 204, "{bucket} stays: {}", answer.status);
    Ok(())
}

/// Removes a directory of a project that must be there.
pub(super) fn remove(path: &Path) -> Result<()> {
    std::fs::remove_dir_all(path).with_context(|| format!("failed to remove {}", path.display()))
}
