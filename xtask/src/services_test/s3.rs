//! S3: rows, datasets and versions in a bucket, through the whole loop and through what goes wrong.

mod trouble;
mod world;

use anyhow::{Result, ensure};
use serde_json::json;

use super::checking;
use world::{DAY, ROWS, World};

pub(super) fn run() -> Result<()> {
    let world = World::start()?;
    checking("rows on S3, all else on disk", || rows_only(&world))?;
    checking("the whole loop with rows, datasets and versions on S3", || whole_loop(&world))?;
    trouble::run(&world)
}

/// The most common use: what is read lies in a bucket, what is written on this machine.
fn rows_only(world: &World) -> Result<()> {
    world.bucket("rows")?;
    let project = world.project("rows", "rows", "")?;
    let before = world.requests()?.len();
    let checked = project.json(&["check", "--now", DAY])?;
    ensure!(checked["ok"] == json!(true) && checked["models"][0]["files"] == json!(1), "{checked}");
    let requests = world.requests()?.split_off(before);
    let ranges = requests.iter().filter(|line| line.contains("GET /rows/data/")).count();
    println!("      afresh check took {} requests, {ranges} of them for bytes", requests.len());
    ensure!(requests.len() <= CHECK_REQUESTS_MAX, "{}", requests.join("\n"));
    let run = project.json(&["retrain", "--now", DAY])?;
    ensure!(run["action"] == json!("retrain"), "{run}");
    ensure!(project.json(&["status"])?["models"][0]["serves"] == json!("v2"), "v2 does not serve");
    ensure!(world.keys("rows")? == [ROWS], "something was written: {:?}", world.keys("rows")?);
    ensure!(project.path(".afresh/versions/delay/v2/manifest.json").exists(), "v2 is not on disk");
    project.json(&["datasets", "verify"])?;
    Ok(())
}

/// Listings, footers and the columns of one file with one row group.
const CHECK_REQUESTS_MAX: usize = 12;

fn whole_loop(world: &World) -> Result<()> {
    world.bucket("loop")?;
    let more = "[state]\nartifacts = \"s3://loop/afresh\"\n";
    let project = world.project("loop", "loop", more)?;
    project.json(&["check", "--now", DAY])?;
    let replayed = project.json(&["replay", "--no-always"])?;
    ensure!(replayed["managed"]["metric_mean"].as_f64() > Some(0.5), "{}", replayed["managed"]);
    ensure!(world.keys("loop")? == [ROWS], "a replay kept something: {:?}", world.keys("loop")?);
    project.json(&["retrain", "--now", DAY])?;
    let keys = world.keys("loop")?;
    for wanted in
        ["afresh/versions/delay/v1/manifest.json", "afresh/versions/delay/v2/manifest.json"]
    {
        ensure!(keys.iter().any(|key| key == wanted), "{wanted} is not among {keys:?}");
    }
    let datasets = |keys: &[String]| keys.iter().filter(|key| key.ends_with(".json")).count();
    ensure!(keys.iter().any(|key| key.starts_with("afresh/datasets/delay/")), "{keys:?}");
    ensure!(!project.path(".afresh/datasets").exists(), "datasets are on disk as well");
    let pointer = std::fs::read_to_string(project.path("production/delay/current.json"))?;
    ensure!(pointer.contains("s3://loop/afresh/versions/delay/v2"), "{pointer}");
    let same = project.json(&["drift", "s3://loop/data", &format!("s3://loop/{ROWS}")])?;
    ensure!(same["drifted"] == json!(false), "a table drifted from itself: {same}");
    // A machine that never saw the version brings it from the bucket, once.
    world::remove(&project.path(".afresh/versions"))?;
    let drift = project.json(&["drift", "delay", "--now", "2013-04-12"])?;
    ensure!(drift["score"].is_number(), "{drift}");
    ensure!(project.path(".afresh/versions/delay/v2/manifest.json").exists(), "v2 was not brought");
    project.json(&["retrain", "--now", "2013-04-20", "--force"])?;
    ensure!(project.json(&["versions"])?.as_array().is_some_and(|all| all.len() >= 3), "versions");
    ensure!(project.json(&["datasets", "verify"])?[0]["state"] == json!("sound"), "datasets");
    let (before, bytes) = (world.keys("loop")?, project.json(&["gc", "--keep", "0", "--dry-run"])?);
    ensure!(world.keys("loop")? == before, "a dry run removed something");
    let cleared = project.json(&["gc", "--keep", "0"])?;
    ensure!(
        cleared["versions"] == bytes["versions"] && cleared["versions"] != json!([]),
        "{cleared}"
    );
    let after = world.keys("loop")?;
    ensure!(datasets(&after) < datasets(&before), "nothing was removed: {after:?}");
    let left = after.iter().filter(|key| key.contains("/v1/")).count();
    ensure!(left == 0, "of v1 is left {after:?}");
    Ok(())
}
