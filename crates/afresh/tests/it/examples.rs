//! The examples of trainers that need nothing but a shell, over a few made-up flights.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use crate::project::Project;

/// 80 days of flights with the columns that the shell's trainer reads; some hours are late ones.
fn flights() -> String {
    let mut text = "event_id,event_time,carrier,sched_dep_time,temp,label,label_time\n".to_owned();
    for id in 0..8_000_u64 {
        let (day, hour) = (id / 100, id % 24);
        let scramble = (id.wrapping_mul(2_654_435_761) >> 9) % 100;
        let is_late = scramble < if hour > 16 { 60 } else { 20 };
        let carrier = ["AA", "B6", "UA"][usize::try_from(scramble % 3).unwrap()];
        let date = |day: u64| format!("2026-{:02}-{:02}", 1 + day / 28, 1 + day % 28);
        writeln!(
            text,
            "{id},{}T{hour:02}:00:00Z,{carrier},{},{}.5,{},{}T{hour:02}:30:00Z",
            date(day),
            hour * 100 + 30,
            scramble % 30,
            u8::from(is_late),
            date(day + 1),
        )
        .unwrap();
    }
    text
}

#[test]
fn shell_trains_scores_and_is_replayed() {
    let project = Project::new();
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../examples/shell");
    for file in ["train.sh", "predict.sh"] {
        fs::copy(example.join(file), project.path(file)).unwrap();
    }
    let text = fs::read_to_string(example.join("afresh.toml")).unwrap();
    let place = "../flights/data/flights_nyc_2013.parquet";
    assert!(text.contains(place));
    project.write("afresh.toml", &text.replace(place, "flights.csv"));
    project.write("flights.csv", &flights());

    project.good(&["check"]);
    project.good(&["retrain", "--now", "2026-02-12"]);
    let versions = project.json(&["versions"]);
    assert!(versions[0]["metrics"]["rows"].as_u64().is_some_and(|rows| rows > 1_000), "{versions}");

    let replayed = project.json(&["replay"]);
    let mean = replayed["managed"]["metric_mean"].as_f64().unwrap();
    assert!(0.6 < mean, "the late hours are found: {replayed}");
    assert!(replayed["managed"]["training_cpu_seconds"].as_f64().unwrap() > 0.0);
}
