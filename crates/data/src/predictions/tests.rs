//! Logs as teams have them, and what can be wrong with them.

use std::fmt::Write as _;
use std::fs;

use tempfile::TempDir;

use super::*;

struct Read {
    layout: Layout,
    survey: Survey,
    account: Account,
    piece: Piece,
}

fn csv(text: &str) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    fs::write(home.path().join("log.csv"), text).unwrap();
    home
}

fn read_of(text: &str, wishes: &Wishes, now: &str) -> Result<Read, Error> {
    let home = csv(text);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let log = Log::open("log.csv", home.path(), wishes).await?;
        let survey = log.survey(&mut |_| ()).await?;
        let now = crate::moment::parse(now, Tz::UTC).unwrap();
        let mut all = Piece::default();
        let mut take = |piece: &Piece| {
            all.at.extend(&piece.at);
            all.predictions.extend(&piece.predictions);
            all.label.extend(&piece.label);
            all.delay.extend(&piece.delay);
            all.version.extend(&piece.version);
            all.weight.extend(&piece.weight);
            all.slices.extend(&piece.slices);
        };
        let account = log.read(now, &mut |_| (), &mut take).await?;
        Ok(Read { layout: log.layout().clone(), survey, account, piece: all })
    })
}

fn read(text: &str) -> Read {
    read_of(text, &Wishes::default(), "2030-01-01").unwrap_or_else(|error| panic!("{error}"))
}

fn refused(text: &str, wishes: &Wishes, wanted: &str, help: &str) {
    let error = read_of(text, wishes, "2030-01-01").err().expect("an error");
    assert!(error.to_string().contains(wanted), "{error}");
    let given = error.help().unwrap_or_default();
    assert!(given.contains(help), "{given}");
}

#[test]
fn columns_are_found_by_their_usual_names() {
    let log = read(
        "Event-Time,y_pred,Y_true,model_version,noise\n\
                    2026-01-01,0.25,0,v1,x\n2026-01-02T06:00:00Z,0.5,1,v2,y\n",
    );
    assert_eq!((log.layout.time.as_str(), log.layout.label.as_str()), ("Event-Time", "Y_true"));
    assert_eq!(log.layout.predictions, ["y_pred"]);
    assert_eq!(log.layout.task(), Task::Binary);
    assert_eq!((log.piece.predictions, log.piece.label), (vec![0.25, 0.5], vec![0.0, 1.0]));
    assert_eq!(
        (log.piece.version, log.account.versions),
        (vec![0, 1], vec!["v1".into(), "v2".into()])
    );
    assert_eq!(log.survey.rows, 2);
    assert_eq!(log.survey.span.last.to_string(), "2026-01-02T06:00:00Z");
}

#[test]
fn a_label_counts_from_when_it_was_known() {
    let text = "time,prediction,label,label_time\n\
                2026-01-01,0.2,0,2026-01-03\n2026-01-02,0.4,1,2026-01-09\n2026-01-03,0.4,,\n\
                2026-01-08,0.4,1,2026-01-09\n";
    let log = read_of(text, &Wishes::default(), "2026-01-05").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((log.account.labelled, log.account.unlabelled, log.account.later), (1, 2, 1));
    assert_eq!(log.piece.delay[0], Duration::days(2));
    assert!(log.piece.label[1].is_nan());
    let wishes = Wishes { label_delay: Duration::days(3), ..Wishes::default() };
    let text = "time,prediction,label\n2026-01-01,0.2,0\n2026-01-03,0.4,1\n";
    let log = read_of(text, &wishes, "2026-01-05").unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((log.account.labelled, log.account.unlabelled), (1, 1));
}

#[test]
fn numbers_texts_and_classes_tell_the_task() {
    let numbers = read("ts;prediction;actual\n1767225600;3.5;4\n1767312000;2.5;2.25\n");
    assert_eq!(numbers.layout.predicts, Predicts::Value);
    assert_eq!(numbers.piece.at[1].to_string(), "2026-01-02T00:00:00Z");
    let words = read("time,score,outcome\n2026-01-01,0.2,no\n2026-01-02,0.9,yes\n");
    assert_eq!(words.piece.label, [0.0, 1.0]);
    assert_eq!(words.account.classes, ["no", "yes"]);
    let three = read(
        "time,p_red,p_green,p_blue,label\n2026-01-01,0.2,0.3,0.5,blue\n2026-01-02,1,0,0,red\n",
    );
    let classes = ["red", "green", "blue"].map(str::to_owned).to_vec();
    assert_eq!(three.layout.predicts, Predicts::Probabilities { classes });
    assert_eq!(three.piece.label, [2.0, 0.0]);
    let answers = read("time,prediction,label\n2026-01-01,red,blue\n2026-01-02,blue,blue\n");
    assert_eq!(answers.layout.predicts, Predicts::Answer);
    assert_eq!(answers.account.classes, ["red", "blue"]);
    assert_eq!((answers.piece.predictions, answers.piece.label), (vec![0.0, 1.0], vec![1.0, 1.0]));
    let sure = read("time,prediction,label\n2026-01-01,1,0\n2026-01-02,0,0\n");
    assert_eq!(sure.layout.predicts, Predicts::Answer);
    let signs = read("time,score,label\n2026-01-01,0.2,-1\n2026-01-02,0.7,1\n");
    assert_eq!(signs.piece.label, [0.0, 1.0]);
}

#[test]
fn rows_are_told_apart_by_the_columns_that_are_named() {
    let wishes = Wishes { slices: vec!["size".into(), "region".into()], ..Wishes::default() };
    let text = "time,prediction,label,region,size\n\
                2026-01-01,0.2,0,north,1\n2026-01-02,,1,west,3\n2026-01-02,0.4,1,,2\n2026-01-03,0.4,1,north,2\n";
    let log = read_of(text, &wishes, "2030-01-01").unwrap_or_else(|e| panic!("{e}"));
    let names = |codes: &[u32], column: usize| {
        let name = |row: &[u32]| log.account.slices[column][row[column] as usize].clone();
        codes.chunks_exact(2).map(name).collect::<Vec<_>>()
    };
    assert_eq!(names(&log.piece.slices, 0), ["1", "2", "2"]);
    assert_eq!(names(&log.piece.slices, 1), ["north", "", "north"]);
}

#[test]
fn a_column_of_too_many_values_cannot_be_sliced_by() {
    let mut text = "time,prediction,label,id\n".to_owned();
    (0..1_200).for_each(|at| writeln!(text, "2026-01-01,0.4,{},u{at}", at % 2).unwrap());
    let by = |columns: &[&str]| Wishes {
        slices: columns.iter().map(|column| (*column).to_owned()).collect(),
        ..Wishes::default()
    };
    refused(&text, &by(&["id"]), "column `id` has more than 1000 values", "--slice");
    refused(
        &text,
        &by(&["ids"]),
        "no column `ids`, which --slice names: did you mean `id`?",
        "--slice",
    );
    refused(&text, &by(&["id", "id"]), "`--slice id` is written twice", "once");
}

#[test]
fn rows_that_lack_something_are_counted_and_left_out() {
    let log = read(
        "time,prediction,label,weight\n\
                    2026-01-03,0.2,0,1\n2026-01-01,0.4,1,2\n,0.4,1,1\n2026-01-04,,1,1\n2026-01-05,0.1,0,0\n",
    );
    let account = &log.account;
    assert_eq!(
        (account.without_time, account.without_prediction, account.without_weight),
        (1, 1, 1)
    );
    assert_eq!(account.out_of_order, 1);
    assert_eq!(account.first_out_of_order.as_ref().unwrap().row, Some(2));
    assert_eq!(log.piece.weight, [1.0, 2.0]);
}

#[test]
fn a_few_early_labels_are_left_out_and_many_are_an_error() {
    let line = |at: i32, known: &str| {
        format!("2026-01-02 00:{:02}:{:02},0.4,{},{known}\n", at / 60, at % 60, at % 2)
    };
    let mut text = "time,prediction,label,label_time\n".to_owned();
    (0..300).for_each(|at| text.push_str(&line(at, "2026-01-03")));
    text.push_str(&line(300, "2026-01-01"));
    assert_eq!(read(&text).account.early, 1);
    (301..330).for_each(|at| text.push_str(&line(at, "2026-01-01")));
    let wanted = "30 of 330 labels were known before they were predicted; the first is row 301";
    refused(&text, &Wishes::default(), wanted, "--label-time");
}

#[test]
fn predictions_outside_0_and_1_name_their_row() {
    let text = "time,prediction,label\n2026-01-01,0.5,0\n2026-01-02,1.7,1\n";
    let wanted = "prediction `prediction` is 1.7 in row 2 (line 3) of `log.csv`, outside [0, 1]";
    let wanted_without_line = wanted.replace(" (line 3)", "");
    refused(text, &Wishes::default(), &wanted_without_line, "--task regression");
    let wishes = Wishes { task: Some(Task::Regression), ..Wishes::default() };
    assert!(read_of(text, &wishes, "2030-01-01").is_ok());
}

#[test]
fn what_is_wrong_with_a_log_is_named_with_its_cure() {
    let plain = Wishes::default();
    refused("", &plain, "`log.csv` has no rows", "logged");
    refused(
        "time,prediction,label\n,0.2,1\n",
        &plain,
        "`time` has no value in any of 1 rows",
        "--time",
    );
    refused("time,prediction,label\n", &plain, "`log.csv` has no rows", "logged");
    refused(
        "time,prediction,label\n2026-01-01,,1\n",
        &plain,
        "has no value in any of 1 rows",
        "--prediction",
    );
    refused(
        "time,prediction,label\n2026-01-01,0.1,\n",
        &plain,
        "has no value in any of 1 rows",
        "afresh drift",
    );
    refused("time,prediction\n2026-01-01,0.1\n", &plain, "named like the label", "afresh drift");
    refused("when,prediction,label\n", &plain, "named like the time", "--time COLUMN");
    refused(
        "time,prediction,label\n2026-01-01,0.1,maybe\n2026-01-02,0.3,never\n",
        &plain,
        "cannot be told",
        "--positive",
    );
    refused(
        "time,prediction,label\n2026-01-01,0.1,a\n2026-01-02,0.3,b\n2026-01-02,0.3,c\n",
        &plain,
        "has 3 values",
        "--task",
    );
    let wishes = Wishes { label: Some("lable".into()), ..Wishes::default() };
    refused(
        "time,prediction,label\n2026-01-01,0.1,1\n",
        &wishes,
        "no column `lable`, which --label names: did you mean `label`?",
        "--label",
    );
    let wishes = Wishes { task: Some(Task::Binary), ..Wishes::default() };
    refused(
        "time,prediction,label\n2026-01-01,0.1,1\n2026-01-01,0.1,2\n2026-01-01,0.1,3\n",
        &wishes,
        "more than two values",
        "--task",
    );
    refused(
        "time,prediction,label,weight\n2026-01-01,0.1,1,-3\n",
        &plain,
        "weight `weight` is -3 in row 1",
        "--weight",
    );
    let mut text = "time,prediction,label,kind\n".to_owned();
    (0..90).for_each(|at| writeln!(text, "2026-01-01,0.{at},{},{at}", at % 2).unwrap());
    let wishes = Wishes { version: Some("kind".into()), ..Wishes::default() };
    refused(&text, &wishes, "more than 64 values", "--version none");
    let late = "time,prediction,label\n2026-01-01,0.1,0\nsoon,0.3,1\n";
    refused(late, &plain, "`soon`", "");
}

#[test]
fn a_label_that_comes_later_and_is_no_class_names_its_row() {
    let mut text = "time,prediction,label\n".to_owned();
    (0..30_000).for_each(|at| writeln!(text, "2026-01-01,0.5,{}", at % 2).unwrap());
    text.push_str("2026-01-01,0.5,7\n");
    refused(
        &text,
        &Wishes::default(),
        "label `label` is `7` in row 30001 of `log.csv`, and the classes are `0`, `1`",
        "--task",
    );
}
