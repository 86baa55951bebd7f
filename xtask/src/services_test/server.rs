//! A server that lives as long as its guard: on the loopback, on a free port, with a log.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::http::Request;
use super::{place, venv};

/// A running server; dropping it ends the process that was started, and no other.
#[derive(Debug)]
pub(crate) struct Server {
    name: String,
    child: Child,
    port: u16,
    log: PathBuf,
}

/// How long a server may take to answer for the first time.
const START_MAX: Duration = Duration::from_secs(60);
/// Between two looks whether it answers.
const LOOK_EVERY: Duration = Duration::from_millis(50);
/// Lines of a log that an error shows.
const LOG_LINES: usize = 30;

impl Server {
    /// Starts what `command` gives for a free port, and waits until it answers any HTTP request.
    /// Its output goes to `target/services/NAME/log`.
    pub(crate) fn start(name: &str, command: impl FnOnce(u16) -> Command) -> Result<Server> {
        let port = free_port()?;
        let log = place(name)?.join("log");
        let output =
            File::create(&log).with_context(|| format!("failed to create {}", log.display()))?;
        let child = command(port)
            .stdin(Stdio::null())
            .stdout(output.try_clone().context("failed to share a log")?)
            .stderr(output)
            .spawn()
            .with_context(|| format!("failed to start {name}"))?;
        let mut server = Server { name: name.to_owned(), child, port, log };
        server.wait()?;
        Ok(server)
    }

    /// Its port on 127.0.0.1.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// What it wrote so far.
    pub(crate) fn log(&self) -> Result<String> {
        let read = std::fs::read(&self.log);
        let read = read.with_context(|| format!("failed to read {}", self.log.display()))?;
        Ok(String::from_utf8_lossy(&read).into_owned())
    }

    fn wait(&mut self) -> Result<()> {
        let started = Instant::now();
        while Request::get("/").send(self.port).is_err() {
            if let Some(status) = self.child.try_wait().context("failed to look at a child")? {
                bail!("{} ended at once with {status}:\n{}", self.name, self.last_lines());
            }
            if START_MAX < started.elapsed() {
                let waited = START_MAX.as_secs();
                bail!("{} did not answer in {waited} s:\n{}", self.name, self.last_lines());
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }

    fn last_lines(&self) -> String {
        let log = self.log().unwrap_or_default();
        let lines = log.lines().collect::<Vec<_>>();
        lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Err(error) = self.child.kill().and_then(|()| self.child.wait()) {
            println!("{} could not be ended: {error}", self.name);
        }
    }
}

/// A port of 127.0.0.1 that was free a moment ago.
pub(crate) fn free_port() -> Result<u16> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("no port is free")?;
    Ok(listener.local_addr().context("a port has no number")?.port())
}

/// Holds the frame itself to its word.
pub(super) fn check() -> Result<()> {
    let python = venv::python(&venv::venv("frame", &[])?);
    let served = place("frame")?;
    std::fs::write(served.join("hello.txt"), "hello").context("failed to write a file")?;
    let server = Server::start("frame", |port| {
        let mut command = Command::new(&python);
        command.args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()]);
        command.current_dir(&served);
        command
    })?;
    let answer = Request::get("/hello.txt").send(server.port())?;
    ensure!(answer.status == 200 && answer.body == b"hello", "an odd answer: {answer:?}");
    ensure!(server.log()?.contains("hello.txt"), "the log says nothing of the request");
    let port = server.port();
    drop(server);
    ensure!(Request::get("/").send(port).is_err(), "the server answers after its end");
    Ok(())
}
