//! A starter configuration reads as it is and guesses what a person would.

use afresh_core::time::{Duration, Timestamp, Window};
use expect_test::expect;

use super::parse;
use crate::starter::{Column, Facts, Kind, starter};

fn column(name: &str, kind: Kind, values: &[&str]) -> Column {
    Column {
        name: name.into(),
        kind,
        values: values.iter().map(|value| (*value).to_owned()).collect(),
    }
}

fn days(days: u64) -> Window {
    Window { from: Timestamp(0), to: Timestamp(0).after(Duration::days(days)) }
}

#[test]
fn flights_are_guessed_right() {
    let facts = Facts {
        source: "data/flights_nyc_2013.parquet".into(),
        columns: vec![
            column("event_id", Kind::Integer, &[]),
            column("event_time", Kind::Time, &[]),
            column("carrier", Kind::Text, &["AA", "UA"]),
            column("distance", Kind::Integer, &[]),
            column("label", Kind::Integer, &["0", "1"]),
            column("label_time", Kind::Time, &[]),
        ],
        rows: 112_259,
        span: Some(days(365)),
    };
    let text = starter(&facts);
    let config = parse(&text).unwrap();
    assert_eq!(config.replay.period, Duration::days(7));
    expect![[r##"
        # Guessed from the columns of data/flights_nyc_2013.parquet (112259 rows).
        # Read it through, then run `afresh check`. Every key that is left out has a default;
        # `afresh check --schema` prints them all.

        [model.flights-nyc-2013]
        task = "binary"  # binary, multiclass or regression
        # owner = "you@example.com"

        [model.flights-nyc-2013.data]
        source = "data/flights_nyc_2013.parquet"
        id = "event_id"  # names a row
        time = "event_time"  # when the event happened
        label = "label"  # what is predicted
        positive = 1  # the label's positive value
        label_time = "label_time"  # when the label was known
        window = "90d"  # rows that a run trains on: a length, "all", "auto" …

        [model.flights-nyc-2013.train]
        engine = "boosted-trees"
        # params = { max_depth = 6, eta = 0.1 }  # by XGBoost's names

        [model.flights-nyc-2013.retrain]
        policy = "periodic+decay"  # every few periods, and at once on proven decay
        every = "4 periods"
        # drift = 0.3  # a run also starts at this drift score

        [model.flights-nyc-2013.gate]
        metric = "auc"
        # margin = 0.005  # how much worse a candidate may be at worst

        [replay]
        period = "7d"  # the step in which history is cut
        warm_up = "28d"  # history before the first decision
    "##]]
    .assert_eq(&text);
}

#[test]
fn other_names_and_labels_are_guessed() {
    let facts = Facts {
        source: "C:\\bookings 2024.csv".into(),
        columns: vec![
            column("user_id", Kind::Text, &[]),
            column("Created At", Kind::Time, &[]),
            column("shipped_on", Kind::Time, &[]),
            column("amount", Kind::Number, &[]),
            column("churned", Kind::Text, &["no", "yes"]),
        ],
        rows: 10,
        span: Some(days(3)),
    };
    let text = starter(&facts);
    let config = parse(&text).unwrap();
    let model = &config.models[0];
    assert_eq!(model.name.as_str(), "bookings-2024");
    assert_eq!(model.source.location, "C:\\bookings 2024.csv");
    assert_eq!(model.source.time, "Created At");
    assert_eq!(model.source.id.as_deref(), Some("user_id"));
    assert_eq!(model.source.label.as_deref(), Some("churned"));
    assert_eq!(model.source.positive.as_deref(), Some("yes"));
    assert_eq!(model.source.exclude, ["shipped_on"]);
    assert_eq!(config.replay.period, Duration::hours(1));
}

#[test]
fn labels_suggest_their_task() {
    for (label, task) in [
        (column("target", Kind::Number, &[]), "regression"),
        (column("target", Kind::Integer, &[]), "regression"),
        (column("target", Kind::Text, &["a", "b", "c"]), "multiclass"),
        (column("target", Kind::Boolean, &["false", "true"]), "binary"),
    ] {
        let facts = Facts {
            source: "a.csv".into(),
            columns: vec![column("time", Kind::Time, &[]), label],
            ..Facts::default()
        };
        let text = starter(&facts);
        assert!(text.contains(&format!("task = \"{task}\"")), "{text}");
        parse(&text).unwrap();
    }
}

#[test]
fn odd_names_are_still_a_configuration() {
    for source in ["", "…/ü.csv", "a\nb\".csv", "data/{from:%Y}.csv", "../*.parquet"] {
        let columns = vec![column("a \"b\"\n", Kind::Time, &[]), column("", Kind::Number, &[])];
        let facts = Facts { source: source.into(), columns, ..Facts::default() };
        let text = starter(&facts);
        match parse(&text) {
            Ok(config) => assert_eq!(config.models[0].source.location, source),
            // Nothing can be guessed from nothing.
            Err(problems) => {
                let words = problems.iter().map(|problem| problem.message()).collect::<Vec<_>>();
                assert!(words.iter().all(|word| word.ends_with("is \"\"")), "{words:?}\n{text}");
            }
        }
    }
}
