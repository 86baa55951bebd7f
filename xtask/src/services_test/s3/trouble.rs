//! What goes wrong with S3: each time a clear message, and nothing half visible.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Barrier, Mutex, PoisonError, mpsc};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::json;

use super::world::{DAY, Project, ROWS, World, keys, remove, remove_bucket};
use crate::services_test::checking;
use crate::services_test::proxy::{Deed, Proxy};
use crate::services_test::server::free_port;

/// How long a process may take to come to the moment that a test waits for.
const WAIT_MAX: Duration = Duration::from_secs(300);

pub(super) fn run(world: &World) -> Result<()> {
    world.bucket("bad")?;
    let project = world.project("bad", "bad", "")?;
    checking("wrong credentials", || credentials(&project))?;
    checking("no credentials", || no_credentials(&project))?;
    checking("a bucket that is not there, and one that vanishes", || vanishing(world))?;
    checking("nobody answers", || {
        let words = ["nobody answers", "AWS_ENDPOINT_URL (set)"];
        project.at(free_port()?).fails(&["check"], &words).map(|_| ())
    })?;
    checking("answers that are cut off", || cut_answers(world, &project))?;
    checking("an upload that is killed", || killed_upload(world))?;
    checking("an upload that is cut off", || cut_upload(world))?;
    checking("two writers of one version", || two_writers(world))
}

/// Moto takes everybody; this one nobody.
fn credentials(project: &Project) -> Result<()> {
    for (status, code, words) in [
        ("403 Forbidden", "InvalidAccessKeyId", "refuses the credentials (403 InvalidAccessKeyId"),
        ("403 Forbidden", "SignatureDoesNotMatch", "check AWS_ACCESS_KEY_ID (set)"),
        ("403 Forbidden", "AccessDenied", "grant s3:ListBucket"),
        ("400 Bad Request", "ExpiredToken", "AWS_SESSION_TOKEN (not set)"),
    ] {
        let strict = Proxy::start(0, move |_| Deed::Answer(refusal(status, code)))?;
        let failed = project.at(strict.port()).fails(&["check"], &["s3://bad/data", words]);
        failed.with_context(|| code.to_owned())?;
    }
    Ok(())
}

fn refusal(status: &str, code: &str) -> String {
    let body =
        format!("<?xml version=\"1.0\"?><Error><Code>{code}</Code><Message>No.</Message></Error>");
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}")
}

fn no_credentials(project: &Project) -> Result<()> {
    let mut command = project.command(&["check"]);
    let output = command.env_remove("AWS_ACCESS_KEY_ID").output().context("failed to start")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let words = "AWS_SECRET_ACCESS_KEY is set without AWS_ACCESS_KEY_ID";
    ensure!(!output.status.success() && said.contains(words), "{said}");
    Ok(())
}

fn vanishing(world: &World) -> Result<()> {
    let project = world.project("nowhere", "nowhere", "")?;
    let words = ["the bucket does not exist (404 NoSuchBucket", "s3://nowhere"];
    project.fails(&["check"], &words)?;
    // Between the listing and the first byte that is read.
    world.bucket("fleeting")?;
    let project = world.project("fleeting", "fleeting", "")?;
    let port = world.port();
    let proxy = Proxy::start(port, move |line| {
        let reads = line.starts_with("GET") && line.contains(ROWS);
        if reads && keys(port, "fleeting").is_ok() {
            drop(remove_bucket(port, "fleeting"));
        }
        Deed::Pass
    })?;
    let words = ["the bucket does not exist (404 NoSuchBucket", "s3://fleeting/data"];
    project.at(proxy.port()).fails(&["check"], &words)?;
    // Between two commands, with versions in it.
    world.bucket("fleeting")?;
    let more = "[state]\nartifacts = \"s3://fleeting/afresh\"\n";
    let project = world.project("fleeting", "fleeting", more)?;
    project.json(&["retrain", "--now", DAY])?;
    remove_bucket(port, "fleeting")?;
    let words = ["the bucket does not exist (404 NoSuchBucket"];
    project.fails(&["datasets"], &words)?;
    project.fails(&["gc"], &words)?;
    project.fails(&["check"], &words).map(|_| ())
}

/// Cut once, a read goes on; cut always, it ends with a clear message.
fn cut_answers(world: &World, project: &Project) -> Result<()> {
    let cuts = AtomicUsize::new(0);
    let first = Proxy::start(world.port(), move |line| {
        let read = line.contains(ROWS) && cuts.fetch_add(1, Ordering::Relaxed) < 2;
        if read { Deed::CutAnswer(10_000) } else { Deed::Pass }
    })?;
    let checked = project.at(first.port()).json(&["check", "--now", DAY])?;
    ensure!(checked["ok"] == json!(true), "{checked}");
    let always = Proxy::start(world.port(), |line| {
        if line.contains(ROWS) { Deed::CutAnswer(10_000) } else { Deed::Pass }
    })?;
    project.at(always.port()).fails(&["check"], &["the connection was cut", "try again"])?;
    Ok(())
}

/// Killed at the moment when all files are up and the manifest is not.
fn killed_upload(world: &World) -> Result<()> {
    world.bucket("killed")?;
    let more = "[state]\nartifacts = \"s3://killed/afresh\"\n";
    let project = world.project("killed", "killed", more)?;
    let (tell, told) = mpsc::channel();
    let (release, held) = mpsc::channel::<()>();
    let (tell, held) = (Mutex::new(tell), Mutex::new(held));
    let proxy = Proxy::start(world.port(), move |line| {
        if line.starts_with("PUT") && line.contains("/versions/delay/v1/manifest.json") {
            let _sent = tell.lock().unwrap_or_else(PoisonError::into_inner).send(());
            let held = held.lock().unwrap_or_else(PoisonError::into_inner);
            let _told = held.recv_timeout(WAIT_MAX);
            return Deed::CutRequest(0);
        }
        Deed::Pass
    })?;
    let mut child = project.at(proxy.port()).start(&["retrain", "--now", DAY])?;
    let came = told.recv_timeout(WAIT_MAX).context("the upload never came to its manifest");
    child.kill().and_then(|()| child.wait()).context("failed to kill a child")?;
    drop(release);
    came?;
    let left = world.keys("killed")?;
    ensure!(left.iter().any(|key| key.contains("/versions/delay/v1/")), "no file was up: {left:?}");
    ensure!(!left.iter().any(|key| key.ends_with("v1/manifest.json")), "{left:?}");
    // Without what was trained the next run trains anew, which gives other files.
    remove(&project.path(".afresh/versions"))?;
    project.json(&["retrain", "--now", DAY])?;
    let keys = world.keys("killed")?;
    ensure!(keys.iter().any(|key| key.ends_with("v1/manifest.json")), "{keys:?}");
    let kept = project.json(&["gc"])?;
    ensure!(kept["orphans"] == json!([]), "within the grace: {kept}");
    let cleared = project.json(&["gc", "--grace", "1ms"])?;
    let orphans = cleared["orphans"].as_array().cloned().unwrap_or_default();
    ensure!(!orphans.is_empty(), "no orphan was found among {keys:?}");
    let after = world.keys("killed")?;
    ensure!(after.len() + orphans.len() == keys.len(), "{keys:?} became {after:?}");
    ensure!(
        project.json(&["gc", "--grace", "1ms"])?["orphans"] == json!([]),
        "not all was removed"
    );
    Ok(())
}

/// Cut every time: the run fails for now, and the next one ends it.
fn cut_upload(world: &World) -> Result<()> {
    world.bucket("cut")?;
    let more = "[state]\nartifacts = \"s3://cut/afresh\"\n";
    let project = world.project("cut", "cut", more)?;
    let cutting = Proxy::start(world.port(), |line| {
        let upload = line.starts_with("PUT") && line.contains("/versions/");
        if upload { Deed::CutRequest(100) } else { Deed::Pass }
    })?;
    project.at(cutting.port()).fails(&["retrain", "--now", DAY], &["the connection was cut"])?;
    let keys = world.keys("cut")?;
    ensure!(!keys.iter().any(|key| key.contains("/versions/")), "{keys:?}");
    project.json(&["retrain", "--now", "2013-04-03"])?;
    let keys = world.keys("cut")?;
    ensure!(keys.iter().any(|key| key.ends_with("v1/manifest.json")), "{keys:?}");
    Ok(())
}

/// Two states with one prefix: whose manifest comes first has the version, the other is told.
fn two_writers(world: &World) -> Result<()> {
    world.bucket("race")?;
    let more = "[state]\nartifacts = \"s3://race/afresh\"\n";
    let (one, other) =
        (world.project("race-one", "race", more)?, world.project("race-other", "race", more)?);
    let (both, seen) = (Barrier::new(2), AtomicUsize::new(0));
    let proxy = Proxy::start(world.port(), move |line| {
        let manifest = line.starts_with("PUT") && line.contains("/versions/delay/v1/manifest.json");
        if manifest && seen.fetch_add(1, Ordering::Relaxed) < 2 {
            both.wait();
        }
        Deed::Pass
    })?;
    let started =
        [&one, &other].map(|project| project.at(proxy.port()).start(&["retrain", "--now", DAY]));
    let mut ended = Vec::new();
    for child in started {
        let output = child?.wait_with_output().context("failed to wait for a child")?;
        ended.push((output.status.success(), String::from_utf8_lossy(&output.stderr).into_owned()));
    }
    let won = ended.iter().filter(|(good, _)| *good).count();
    ensure!(won == 1, "{won} of two writers won: {ended:?}");
    let told = ended.iter().find(|(good, _)| !good).map(|(_, said)| said.clone());
    let told = told.unwrap_or_default();
    ensure!(told.contains("holds another version"), "{told}");
    ensure!(
        world.keys("race")?.iter().any(|key| key.ends_with("v1/manifest.json")),
        "none is there"
    );
    Ok(())
}
