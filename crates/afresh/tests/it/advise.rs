//! `afresh advise PREDICTIONS`: logs of every task in both formats, and what can be wrong with them.

use std::fmt::Write as _;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;
use serde_json::{Value, json};

use crate::project::Project;

/// Days of a log, and predictions of a day.
const DAYS: u32 = 56;
const A_DAY: u32 = 60;

/// Numbers that look drawn at random, the same every time: one line of a linear congruential generator.
struct Drawn(u64);

impl Drawn {
    /// Between 0 and 1.
    fn uniform(&mut self) -> f64 {
        let next =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 = next;
        f64::from(u32::try_from(next >> 32).unwrap()) / f64::from(u32::MAX)
    }

    fn centred(&mut self) -> f64 {
        (0..12).map(|_| self.uniform()).sum::<f64>() - 6.0
    }
}

fn expit(x: f64) -> f64 {
    1.0 / (1.0 + (-x).exp())
}

/// When row `row` of day `day` was predicted.
fn time(day: u32, row: u32) -> String {
    let month = 1 + day / 28;
    format!("2026-{month:02}-{:02}T{:02}:{:02}:00Z", 1 + day % 28, row / 3, row % 3 * 20)
}

/// Probabilities whose skill is lost at half time; in the north only, where `north` is asked for.
fn binary(forgets: bool, north_only: bool) -> String {
    let mut drawn = Drawn(1);
    let mut text = "time,prediction,label,label_time,region\n".to_owned();
    for (day, row) in (0..DAYS).flat_map(|day| (0..A_DAY).map(move |row| (day, row))) {
        let region = ["north", "south", "east"][row as usize % 3];
        let (seen, other) = (2.0 * drawn.centred(), 2.0 * drawn.centred());
        let lost = forgets && day >= DAYS / 2 && (!north_only || region == "north");
        let label = u8::from(drawn.uniform() < expit(if lost { other } else { seen }));
        let at = time(day, row);
        let known = if day + 1 < DAYS { time(day + 1, row) } else { String::new() };
        let label = if day + 1 < DAYS { label.to_string() } else { String::new() };
        writeln!(text, "{at},{:.6},{label},{known},{region}", expit(seen)).unwrap();
    }
    text
}

/// Numbers that the model misses more and more.
fn numbers() -> String {
    let mut drawn = Drawn(2);
    let mut text = "timestamp,y_pred,y_true\n".to_owned();
    for (day, row) in (0..DAYS).flat_map(|day| (0..A_DAY).map(move |row| (day, row))) {
        let share = f64::from(day) / f64::from(DAYS);
        let (seen, other) = (10.0 * drawn.centred(), 10.0 * drawn.centred());
        let truth = (1.0 - share) * seen + share * other + drawn.centred();
        writeln!(text, "{},{seen:.4},{truth:.4}", time(day, row)).unwrap();
    }
    text
}

/// Probabilities of three classes that become three times too sure.
fn classes() -> String {
    let mut drawn = Drawn(3);
    let mut text = "time,p_red,p_green,p_blue,label\n".to_owned();
    for (day, row) in (0..DAYS).flat_map(|day| (0..A_DAY).map(move |row| (day, row))) {
        let logits = [(); 3].map(|()| 1.5 * drawn.centred());
        let shares = |factor: f64| {
            let parts = logits.map(|z| (factor * z).exp());
            let total = parts.iter().sum::<f64>();
            parts.map(|part| part / total)
        };
        let (truth, at) = (shares(1.0), drawn.uniform());
        let class = usize::from(at > truth[0]) + usize::from(at > truth[0] + truth[1]);
        let [red, green, blue] = shares(if day < 14 { 1.0 } else { 3.0 });
        let label = ["red", "green", "blue"][class];
        writeln!(text, "{},{red:.6},{green:.6},{blue:.6},{label}", time(day, row)).unwrap();
    }
    text
}

fn with(text: &str) -> Project {
    let project = Project::new();
    // Neither configuration nor model are needed.
    std::fs::remove_file(project.path("afresh.toml")).unwrap();
    project.write("log.csv", text);
    project
}

fn advice(text: &str, options: &[&str]) -> Value {
    with(text).json(&[&["advise", "log.csv"], options].concat())
}

/// The advice on `text` must be refused with these words, the culprit and the cure among them.
fn refused(text: &str, options: &[&str], words: &[&str]) {
    let project = with(text);
    for words in words {
        project.bad(&[&["advise", "log.csv"], options].concat(), 1, words);
    }
    assert!(!project.path("report.html").exists());
}

#[test]
fn a_model_that_lost_its_skill_is_told_with_its_level_and_its_page() {
    let project = with(&binary(true, false));
    let said = project.good(&["advise", "log.csv", "--html", "advice.html"]);
    assert!(said.starts_with("log.csv: Retrain once, and watch"), "{said}");
    assert!(said.contains("Its AUC went from"), "{said}");
    assert!(said.contains("Its excess loss lay at these levels: "), "{said}");
    assert!(said.contains(" since 2026-01-2") || said.contains(" since 2026-02-0"), "{said}");
    assert!(said.contains("60 of 3360 rows have no label yet."), "{said}");
    assert!(said.contains("Report: advice.html"), "{said}");
    let page = std::fs::read_to_string(project.path("advice.html")).unwrap();
    for part in [
        "id=\"chart-metric\"",
        "id=\"chart-loss\"",
        "id=\"table-levels\"",
        "id=\"chart-calibration\"",
    ] {
        assert!(page.contains(part), "{part}");
    }
    assert!(!page.contains("id=\"chart-slices\""));
}

#[test]
fn the_advice_as_json_holds_what_was_found() {
    let found = advice(&binary(true, false), &[]);
    assert_eq!(found["action"], json!({"do": "retrain_once"}));
    assert_eq!((&found["task"], &found["metric"]), (&json!("binary"), &json!("auc")));
    assert_eq!(found["columns"]["label_time"], "label_time");
    assert_eq!(found["rows"]["unlabelled"], A_DAY);
    let levels = found["levels"].as_array().unwrap();
    assert!(levels.len() > 1, "{levels:?}");
    // A level ends where the next one begins, and the last one lasts.
    assert!(levels.windows(2).all(|pair| pair[0]["to"] == pair[1]["from"]), "{levels:?}");
    assert_eq!(levels.last().unwrap()["to"], Value::Null);
    let periods = found["periods"].as_array().unwrap();
    let auc = |at: usize| periods[at]["metric"]["value"].as_f64().unwrap();
    assert!(auc(0) > 0.85 && auc(periods.len() - 2) < 0.65, "{periods:?}");
}

#[test]
fn a_sound_model_is_left_alone() {
    let found = advice(&binary(false, false), &[]);
    assert_eq!(found["action"], json!({"do": "leave_alone"}), "{}", found["evidence"]);
    assert_eq!(found["levels"].as_array().unwrap().len(), 1, "{}", found["levels"]);
}

#[test]
fn prices_decide_whether_retraining_pays() {
    let dear = advice(&binary(true, false), &["--per-run", "100000"]);
    assert_eq!(dear["action"]["do"], "leave_alone", "{}", dear["evidence"]);
    assert_eq!(dear["payoff"]["prices"]["per_run"], 100_000.0);
    let cheap = advice(&binary(true, false), &["--per-loss", "12", "--per-run", "40"]);
    assert_ne!(cheap["action"]["do"], "leave_alone", "{}", cheap["evidence"]);
    let project = with(&binary(true, false));
    project.bad(&["advise", "log.csv", "--per-run", "-3"], 2, "a price is a number above 0");
}

#[test]
fn slices_tell_where_the_skill_was_lost() {
    let project = with(&binary(true, true));
    let found = project.json(&["advise", "log.csv", "--slice", "region", "--period", "2d"]);
    let sliced = &found["sliced"];
    assert_eq!((&sliced["correction"], &sliced["by"]), (&json!("holm"), &json!(["region"])));
    let values = sliced["values"].as_array().unwrap();
    let worse = values.iter().map(|value| (&value["value"], &value["beyond_chance"]));
    let worse = worse.map(|(name, worse)| (name.as_str().unwrap(), worse.as_bool().unwrap()));
    let worse = worse.collect::<Vec<_>>();
    assert_eq!(worse[0], ("north", true), "{values:?}");
    assert!(worse.len() == 3 && !worse[1].1 && !worse[2].1, "{values:?}");
    let said = project.good(&["advise", "log.csv", "--slice", "region", "--period", "2d"]);
    assert!(
        said.contains("Of 3 values of `region`, one got worse beyond chance: region = north"),
        "{said}"
    );
    let page = std::fs::read_to_string(project.path("report.html")).unwrap();
    assert!(page.contains("id=\"chart-slices\"") && page.contains("region = north"));
    project.bad(&["advise", "log.csv", "--slice", "regoin"], 1, "did you mean `region`?");
    project.bad(
        &["advise", "log.csv", "--slice", "prediction"],
        1,
        "`prediction` has more than 1000 values",
    );
}

#[test]
fn numbers_are_advised_on() {
    let found = advice(&numbers(), &[]);
    assert_eq!((&found["task"], &found["metric"]), (&json!("regression"), &json!("rmse")));
    assert_eq!(found["columns"]["prediction"], json!(["y_pred"]));
    assert!(found["trend"]["real"]["low"].as_f64().unwrap() > 0.0, "{}", found["trend"]);
    assert_ne!(found["action"]["do"], "leave_alone", "{}", found["evidence"]);
}

#[test]
fn many_classes_are_recalibrated_by_a_temperature() {
    let project = with(&classes());
    let found = project.json(&["advise", "log.csv", "--period", "1d"]);
    assert_eq!((&found["task"], &found["metric"]), (&json!("multiclass"), &json!("accuracy")));
    assert_eq!(found["action"]["do"], "recalibrate", "{}", found["evidence"]);
    let temperature = |part: usize| found["calibration"][part]["temperature"].as_f64().unwrap();
    assert!((temperature(2) - 3.0).abs() < 0.4, "{}", temperature(2));
    let said = project.good(&["advise", "log.csv", "--period", "1d"]);
    assert!(said.contains("On the last third, a temperature of "), "{said}");
    let page = std::fs::read_to_string(project.path("report.html")).unwrap();
    assert!(page.contains("best temperature"));
}

#[test]
fn answers_without_probabilities_are_advised_on() {
    let mut text = "time,predicted,actual\n".to_owned();
    for (day, row) in (0..DAYS).flat_map(|day| (0..A_DAY).map(move |row| (day, row))) {
        let truth = ["ham", "spam", "scam"][row as usize % 3];
        let wrong = row % 10 == 0 || (day > 30 && row % 3 == 0);
        writeln!(text, "{},{},{truth}", time(day, row), if wrong { "spam" } else { truth })
            .unwrap();
    }
    let found = advice(&text, &[]);
    assert_eq!(
        (&found["task"], &found["loss"]),
        (&json!("multiclass"), &json!("share of wrong answers"))
    );
    assert_eq!(found["calibration"], json!([]));
}

#[test]
fn parquet_and_csv_give_the_same_advice() {
    let project = with(&binary(true, false));
    write_parquet(&project, "log.parquet", &binary(true, false));
    let csv = project.json(&["advise", "log.csv", "--slice", "region"]);
    let mut parquet = project.json(&["advise", "log.parquet", "--slice", "region"]);
    // The page and the headline name the file.
    parquet["headline"] = csv["headline"].clone();
    assert_eq!(csv, parquet);
}

#[test]
fn rows_in_any_order_of_time_give_the_same_advice_and_are_told() {
    let text = binary(true, false);
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows = rows.lines().collect::<Vec<_>>();
    rows.reverse();
    let project = with(&format!("{header}\n{}\n", rows.join("\n")));
    let found = project.json(&["advise", "log.csv"]);
    let sorted = advice(&text, &[]);
    assert_eq!(found["action"], sorted["action"]);
    let levels = |found: &Value| {
        let levels = found["levels"].as_array().unwrap().iter();
        let level = |level: &Value| (level["from"].clone(), level["excess"].as_f64().unwrap());
        levels.map(level).collect::<Vec<_>>()
    };
    // Sums in another order differ in their last digits.
    for (found, sorted) in levels(&found).iter().zip(levels(&sorted)) {
        assert!(found.0 == sorted.0 && (found.1 - sorted.1).abs() < 1e-9, "{found:?} {sorted:?}");
    }
    assert_eq!(found["rows"]["out_of_order"], DAYS * A_DAY - 1);
    let said = project.good(&["advise", "log.csv"]);
    let wanted = "3359 of 3360 rows are older than the row before them, which does no harm.";
    assert!(said.contains(wanted), "{said}");
}

#[test]
fn predictions_outside_0_and_1_are_refused_and_name_their_row() {
    let text = binary(false, false).replacen(",0.", ",7.", 1);
    let wanted =
        ["prediction `prediction` is 7.", "in row 1", "outside [0, 1]", "--task regression"];
    refused(&text, &["--task", "binary"], &wanted);
    let mut lines = binary(false, false).lines().map(str::to_owned).collect::<Vec<_>>();
    lines[3_000] = lines[3_000].replacen(",0.", ",-0.", 1);
    refused(&lines.join("\n"), &["--task", "binary"], &["in row 3000", "outside [0, 1]"]);
}

#[test]
fn labels_before_their_predictions_are_refused() {
    let text = binary(false, false).replace(",2026-01-", ",2025-01-");
    let wanted =
        ["labels were known before they were predicted", "row 1", "--label-time", "time zone"];
    refused(&text, &[], &wanted);
}

#[test]
fn one_value_only_cannot_be_judged() {
    let replaced = |place: usize, value: &str| {
        let row = |line: &str| {
            let mut fields = line.split(',').collect::<Vec<_>>();
            fields[place] = value;
            fields.join(",")
        };
        let text = binary(false, false);
        let rows = text.lines().enumerate();
        rows.map(|(at, line)| if at == 0 { line.to_owned() } else { row(line) } + "\n")
            .collect::<String>()
    };
    refused(&replaced(2, "1"), &[], &["every label is the same in every period", "--label"]);
    refused(&replaced(1, "0.25"), &[], &["every prediction is 0.25", "--prediction"]);
    refused(
        &replaced(2, ""),
        &[],
        &["column `label` has no value in any of 3360 rows", "join the labels"],
    );
    refused(
        &replaced(1, ""),
        &[],
        &["column `prediction` has no value in any of 3360 rows", "--prediction"],
    );
    refused(&replaced(0, ""), &[], &["column `time` has no value", "--time"]);
}

#[test]
fn an_empty_log_is_refused() {
    refused("", &[], &["`log.csv` has no rows", "predictions were logged to"]);
    refused(
        "time,prediction,label\n",
        &[],
        &["`log.csv` has no rows", "predictions were logged to"],
    );
    let project = with("");
    project.bad(&["advise", "gone.csv"], 1, "`gone.csv` does not exist");
    project.write("log.parquet", "");
    project.bad(&["advise", "log.parquet"], 1, "`log.parquet` is not sound Parquet");
}

#[test]
fn a_log_without_a_needed_column_names_the_option() {
    let text = binary(false, false);
    let renamed = |from: &str, to: &str| text.replacen(from, to, 1);
    let wanted =
        ["no column of `log.csv` is named like the prediction", "`guess`", "--prediction COLUMN"];
    refused(&renamed("prediction", "guess"), &[], &wanted);
    refused(
        &renamed("time,", "moment,"),
        &[],
        &["named like the time of a prediction", "--time COLUMN"],
    );
    refused(&renamed(",label,", ",churned,"), &[], &["named like the label", "afresh drift"]);
    let found = advice(&renamed(",label,", ",churned,"), &["--label", "churned"]);
    assert_eq!(found["columns"]["label"], "churned");
}

#[test]
fn a_time_that_cannot_be_read_names_its_row() {
    let text = binary(false, false).replacen("\n2026-01-03T00:00:00Z", "\n03/01/26", 1);
    refused(&text, &[], &["column `time` holds `03/01/26`", "row 121 (line 122)", "RFC 3339"]);
}

#[test]
fn a_log_too_short_says_what_would_do() {
    let text = binary(false, false).lines().take(40).collect::<Vec<_>>().join("\n");
    refused(&text, &["--period", "1d"], &["periods", "--period"]);
    refused(
        &binary(false, false),
        &["--period", "28d"],
        &["at least 6 are needed", "shorter than 28d"],
    );
}

/// Writes the CSV `text` of [`binary`] as Parquet, times as milliseconds, what is empty as null.
fn write_parquet(project: &Project, name: &str, text: &str) {
    let rows = text.lines().skip(1).map(|line| line.split(',').collect::<Vec<_>>());
    let rows = rows.collect::<Vec<_>>();
    let times = |at: usize| {
        let parsed =
            |text: &str| chrono::DateTime::parse_from_rfc3339(text).unwrap().timestamp_millis();
        let all = rows.iter().map(|row| (!row[at].is_empty()).then(|| parsed(row[at])));
        Arc::new(all.collect::<TimestampMillisecondArray>().with_timezone("UTC")) as ArrayRef
    };
    let predictions = rows.iter().map(|row| row[1].parse::<f64>().ok()).collect::<Float64Array>();
    let labels = rows.iter().map(|row| row[2].parse::<i64>().ok()).collect::<Int64Array>();
    let regions = rows.iter().map(|row| Some(row[4])).collect::<StringArray>();
    let batch = RecordBatch::try_from_iter_with_nullable([
        ("time", times(0), true),
        ("prediction", Arc::new(predictions) as ArrayRef, true),
        ("label", Arc::new(labels) as ArrayRef, true),
        ("label_time", times(3), true),
        ("region", Arc::new(regions) as ArrayRef, true),
    ]);
    let batch = batch.unwrap();
    let file = std::fs::File::create(project.path(name)).unwrap();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}
