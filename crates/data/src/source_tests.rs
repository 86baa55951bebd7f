//! Windows, types, availability and pruning on small files.

use std::sync::Arc;

use afresh_core::time::{Duration, Timestamp, Window};
use arrow_array::types::{Int8Type, Int32Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Date32Array, Decimal128Array, DictionaryArray, Float32Array,
    Int8Array, Int64Array, LargeStringArray, NullArray, StringArray, StringViewArray,
    TimestampMicrosecondArray, TimestampNanosecondArray, TimestampSecondArray, UInt16Array,
};
use chrono_tz::Tz;

use crate::error::Warning;
use crate::key::key_of;
use crate::rows::{MISSING, Values};
use crate::schema::{Feature, Kind, Task};
use crate::spec::{Columns, SourceSpec};
use crate::testing::{DAY, Folder, HOUR, hours, numbers, spec, times, window};

fn numeric(values: &Values) -> &[f64] {
    match values {
        Values::Numeric(values) => values,
        Values::Categorical { .. } => panic!("not numbers"),
    }
}

fn texts(values: &Values) -> Vec<&str> {
    match values {
        Values::Numeric(_) => panic!("not categories"),
        Values::Categorical { codes, names } => codes
            .iter()
            .map(|c| if *c == MISSING { "-" } else { names[*c as usize].as_str() })
            .collect(),
    }
}

#[tokio::test]
async fn row_groups_outside_the_window_are_not_read() {
    let folder = Folder::new();
    folder.hours("a.parquet", 0, 240);
    let source = folder.source(spec("a.parquet")).unwrap();
    let schema = source.infer_schema().await.unwrap();
    for (from, to, groups, rows) in [
        (0, 10 * DAY, 10, 240),
        (2 * DAY, 3 * DAY, 1, 24),
        (2 * DAY + HOUR, 3 * DAY + HOUR, 2, 24),
        (2 * DAY + 1, 2 * DAY + 2, 1, 0),
        (10 * DAY, 20 * DAY, 0, 0),
        (-DAY, 0, 0, 0),
    ] {
        let reading = source.read_reported(window(from, to), &schema, Columns::All).await.unwrap();
        let read = (reading.row_groups_read, reading.row_groups, reading.rows.len());
        assert_eq!(read, (groups, 10, rows), "{from} {to}");
        assert!(reading.rows.event_time.iter().all(|at| at.0 >= from && at.0 < to));
        let hour = |at: &Timestamp| at.0 as f64 / HOUR as f64;
        let wanted = reading.rows.event_time.iter().map(hour).collect::<Vec<_>>();
        assert_eq!(numeric(&reading.rows.columns[0].values), wanted);
    }
    let span = source.span().await.unwrap();
    assert_eq!((span.first, span.last), (Timestamp(0), Timestamp(239 * HOUR)));
}

#[tokio::test]
async fn files_of_a_glob_and_a_directory_are_one_source() {
    let folder = Folder::new();
    folder.hours("data/b.parquet", 24, 24);
    folder.hours("data/a.parquet", 0, 24);
    folder.text("data/c.csv", "t,x,y\n1970-01-03,48,0\n1970-01-03 01:00,49,1\n");
    folder.text("data/_SUCCESS", "");
    folder.text("data/.hidden.csv", "no");
    folder.hours("data/deep/d.parquet", 1000, 24);
    for (location, files, rows) in [
        ("data", 3, 50),
        ("data/", 3, 50),
        ("data/*", 3, 50),
        ("data/?.parquet", 2, 48),
        ("data/**/*.parquet", 3, 72),
        ("**", 4, 74),
    ] {
        let reading = folder.all(spec(location)).await.unwrap();
        assert_eq!((reading.objects_read, reading.rows.len()), (files, rows), "{location}");
        assert!(reading.rows.event_time.is_sorted());
    }
    let source = folder.source(spec("data/*.parquet")).unwrap();
    let paths = source.objects(Window::ALL).await.unwrap();
    let paths = paths.iter().map(|object| object.path.as_str()).collect::<Vec<_>>();
    assert_eq!(paths, ["data/a.parquet", "data/b.parquet"]);
}

#[tokio::test]
async fn dated_files_outside_the_window_are_not_opened() {
    let folder = Folder::new();
    for (name, from) in [("19700101_19700102", 0), ("19700103_19700104", 48)] {
        folder.hours(&format!("d/{name}.parquet"), from, 24);
    }
    folder.text("d/19700110_19700111.parquet", "not Parquet at all");
    let source = folder.source(spec("d/{from:%Y%m%d}_{to:%Y%m%d}.parquet")).unwrap();
    let schema = folder.infer(spec("d/19700101_19700102.parquet")).await.unwrap();
    let reading = source.read_reported(window(0, DAY), &schema, Columns::All).await.unwrap();
    assert_eq!((reading.objects_read, reading.rows.len()), (1, 24));
    let reading = source.read_reported(window(0, 5 * DAY), &schema, Columns::All).await.unwrap();
    assert_eq!((reading.objects_read, reading.rows.len()), (2, 48));
    assert!(source.read(Window::ALL, &schema, Columns::All).await.is_err());
}

#[tokio::test]
async fn every_type_of_a_feature_is_read() {
    let folder = Folder::new();
    let dictionary: DictionaryArray<Int8Type> = [Some("b"), None, Some("a")].into_iter().collect();
    let coded = DictionaryArray::<Int32Type>::new(
        vec![Some(1), Some(0), None].into(),
        Arc::new(StringArray::from(vec!["p", "q", "unused"])),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("t", times([3, 1, 2])),
        ("y", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("int", Arc::new(Int8Array::from(vec![Some(3), None, Some(-2)]))),
        ("unsigned", Arc::new(UInt16Array::from(vec![3, 1, 2]))),
        ("float", Arc::new(Float32Array::from(vec![3.5, 1.5, f32::NAN]))),
        (
            "decimal",
            Arc::new(
                Decimal128Array::from(vec![300, 125, 250]).with_precision_and_scale(9, 2).unwrap(),
            ),
        ),
        ("bool", Arc::new(BooleanArray::from(vec![Some(true), None, Some(false)]))),
        ("text", Arc::new(StringArray::from(vec![Some("z"), Some("x"), None]))),
        ("large", Arc::new(LargeStringArray::from(vec!["z", "x", "y"]))),
        (
            "view",
            Arc::new(StringViewArray::from(vec!["z", "a rather long text, not inlined", "y"])),
        ),
        ("dictionary", Arc::new(dictionary)),
        ("coded", Arc::new(coded)),
        ("nothing", Arc::new(NullArray::new(3))),
        ("when", times([1, 2, 3])),
    ];
    folder.parquet("a.parquet", &columns);
    let source = folder.source(spec("a.parquet")).unwrap();
    let (schema, warnings) = source.infer().await.unwrap();
    let holds = "times (Timestamp(ms, \"UTC\"))".to_owned();
    assert_eq!(
        warnings,
        [
            Warning::AllMissing { column: "nothing".into() },
            Warning::NotAFeature { column: "when".into(), holds },
        ]
    );
    assert_eq!(schema.classes, ["false", "true"]);
    let kinds = schema.features.iter().map(|feature| feature.kind).collect::<Vec<_>>();
    use Kind::{Boolean, Categorical, Numeric};
    assert_eq!(
        kinds,
        [
            Numeric,
            Numeric,
            Numeric,
            Numeric,
            Boolean,
            Categorical,
            Categorical,
            Categorical,
            Categorical,
            Categorical,
            Numeric
        ]
    );
    let rows = source.read(Window::ALL, &schema, Columns::All).await.unwrap();
    assert_eq!(rows.event_time, [1, 2, 3].map(Timestamp));
    let nan = |values: &[f64]| values.iter().map(|v| format!("{v}")).collect::<Vec<_>>().join(" ");
    let shown = rows.columns.iter().map(|column| match &column.values {
        Values::Numeric(values) => format!("{}: {}", column.name, nan(values)),
        Values::Categorical { .. } => {
            format!("{}: {}", column.name, texts(&column.values).join(" "))
        }
    });
    assert_eq!(
        shown.collect::<Vec<_>>(),
        [
            "int: NaN -2 3",
            "unsigned: 1 2 3",
            "float: 1.5 NaN 3.5",
            "decimal: 1.25 2.5 3",
            "bool: NaN 0 1",
            "text: x - z",
            "large: x y z",
            "view: a rather long text, not inlined y z",
            "dictionary: - a b",
            "coded: p - q",
            "nothing: NaN NaN NaN",
        ]
    );
    assert_eq!(nan(&rows.label), "0 NaN 1");
    let Values::Categorical { names, .. } = &rows.columns[9].values else { panic!() };
    assert_eq!(names, &["p", "q"], "unused categories are dropped");
}

#[tokio::test]
async fn every_type_of_a_time_is_read() {
    let folder = Folder::new();
    let at = 1_359_439_507_000_i64;
    let arrays: Vec<ArrayRef> = vec![
        times([at]),
        Arc::new(TimestampSecondArray::from(vec![at / 1_000])),
        Arc::new(TimestampMicrosecondArray::from(vec![at * 1_000 + 999])),
        Arc::new(
            TimestampNanosecondArray::from(vec![at * 1_000_000 + 999]).with_timezone("+02:00"),
        ),
        Arc::new(Int64Array::from(vec![at])),
        Arc::new(StringArray::from(vec!["2013-01-29T07:05:07+01:00"])),
        Arc::new(Date32Array::from(vec![15_734])),
    ];
    for (place, array) in arrays.into_iter().enumerate() {
        let name = format!("{place}.parquet");
        let kind = array.data_type().clone();
        folder.parquet(&name, &[("t", array), ("x", numbers([1.0])), ("y", numbers([1.0]))]);
        let rows = folder.all(spec(&name)).await.unwrap().rows;
        let wanted = if place == 6 { "2013-01-29T00:00:00Z" } else { "2013-01-29T06:05:07Z" };
        assert_eq!(rows.event_time[0].to_string(), wanted, "{kind}");
        let span = folder.source(spec(&name)).unwrap().span().await.unwrap();
        assert_eq!(span.window().from, rows.event_time[0], "{kind}");
    }
    let naive = SourceSpec { timezone: Tz::America__New_York, ..spec("1.parquet") };
    let rows = folder.all(naive.clone()).await.unwrap().rows;
    assert_eq!(rows.event_time[0].to_string(), "2013-01-29T11:05:07Z");
    assert_eq!(folder.source(naive).unwrap().span().await.unwrap().last, rows.event_time[0]);
}

#[tokio::test]
async fn csv_types_are_told_by_their_values() {
    let folder = Folder::new();
    folder.text(
        "a.csv",
        "\u{feff}t,n,b,c,mixed,none,when,y\n\
         2013-01-29 06:05:07,1,true,UA,1,,2013-01-01,1\n\
         1359439508,NA,,\"x, y\",two,NaN,2013-01-02,0\n\
         2013-01-29T06:05:09Z,-2.5e3,False,NA,3,NA,,\n",
    );
    let (schema, warnings) = folder.source(spec("a.csv")).unwrap().infer().await.unwrap();
    let kinds = schema.features.iter().map(|f| (f.name.as_str(), f.kind)).collect::<Vec<_>>();
    assert_eq!(
        kinds,
        [
            ("n", Kind::Numeric),
            ("b", Kind::Boolean),
            ("c", Kind::Categorical),
            ("mixed", Kind::Categorical),
            ("none", Kind::Numeric),
        ]
    );
    assert_eq!(
        warnings,
        [
            Warning::AllMissing { column: "none".into() },
            Warning::NotAFeature { column: "when".into(), holds: "times".into() },
        ]
    );
    let rows = folder.all(spec("a.csv")).await.unwrap().rows;
    assert_eq!(
        rows.event_time,
        [1_359_439_507_000, 1_359_439_508_000, 1_359_439_509_000].map(Timestamp)
    );
    assert_eq!(format!("{:?}", numeric(&rows.columns[0].values)), "[1.0, NaN, -2500.0]");
    assert_eq!(format!("{:?}", numeric(&rows.columns[1].values)), "[1.0, NaN, 0.0]");
    assert_eq!(texts(&rows.columns[2].values), ["UA", "x, y", "-"]);
    assert_eq!(format!("{:?}", rows.label), "[1.0, 0.0, NaN]");
    folder.text("semicolons.csv", "t;x;y\n2013-01-29;1,5;1\n2013-01-30;2;0\n");
    let rows = folder.all(spec("semicolons.csv")).await.unwrap().rows;
    assert_eq!(texts(&rows.columns[0].values), ["1,5", "2"]);
}

#[tokio::test]
async fn availability_follows_the_column_that_decides() {
    let folder = Folder::new();
    folder.text(
        "a.csv",
        "t,x,y,known,ripe\n\
         1970-01-01,1,1,1970-01-05,1970-01-03\n\
         1970-01-02,2,0,,1970-01-04\n\
         1970-01-03,3,,1970-01-06,1970-01-05\n\
         1970-01-04,4,1,1970-01-07,\n",
    );
    let day = |days: i64| Some(Timestamp(days * DAY));
    let plain = SourceSpec { label_delay: Duration::days(2), ..spec("a.csv") };
    let known = SourceSpec { label_time: Some("known".into()), ..plain.clone() };
    let ripe = SourceSpec { matured_time: Some("ripe".into()), ..known.clone() };
    for (spec, wanted) in [
        (plain, [day(2), day(3), None, day(5)]),
        (known, [day(4), None, None, day(6)]),
        (ripe, [day(2), day(3), None, None]),
    ] {
        let rows = folder.all(spec).await.unwrap().rows;
        assert_eq!(rows.available_at, wanted);
        assert!(rows.is_available(0, Timestamp(5 * DAY)));
        assert!(!rows.is_available(2, Timestamp::MAX));
    }
    let unlabelled = SourceSpec { label: None, exclude: vec!["y".into()], ..spec("a.csv") };
    let rows = folder.all(unlabelled).await.unwrap().rows;
    assert_eq!(rows.available_at, [None; 4]);
}

#[tokio::test]
async fn rows_are_sorted_and_equal_times_keep_their_place() {
    let folder = Folder::new();
    let columns = |first: f64| {
        vec![
            ("t", times([5, 1, 5, 1])),
            ("x", numbers([first, first + 1.0, first + 2.0, first + 3.0])),
            ("y", numbers([0.0, 1.0, 0.0, 1.0])),
        ]
    };
    folder.parquet("d/a.parquet", &columns(0.0));
    folder.parquet("d/b.parquet", &columns(10.0));
    let rows = folder.all(spec("d")).await.unwrap().rows;
    assert_eq!(numeric(&rows.columns[0].values), [1.0, 3.0, 11.0, 13.0, 0.0, 2.0, 10.0, 12.0]);
}

#[tokio::test]
async fn keys_are_of_the_id_or_the_place() {
    let folder = Folder::new();
    let mut columns = hours(0, 50);
    columns.push(("id", Arc::new(Int64Array::from_iter_values(100..150))));
    columns
        .push(("name", Arc::new(StringArray::from_iter_values((100..150).map(|n| n.to_string())))));
    folder.grouped("a.parquet", 24, &columns);
    let text =
        (0..50).map(|n| format!("{},{n},{},{}\n", n * HOUR + 1_000_000_000_000, n % 2, n + 100));
    folder.text("a.csv", &format!("t,x,y,id\n{}", text.collect::<String>()));
    let id = |file: &str, id: &str| SourceSpec { id: Some(id.into()), ..spec(file) };
    let by_number = folder.all(id("a.parquet", "id")).await.unwrap().rows;
    let by_text = folder.all(id("a.parquet", "name")).await.unwrap().rows;
    let in_csv = folder.all(id("a.csv", "id")).await.unwrap().rows;
    assert_eq!(by_number.key[7], key_of("107"));
    assert_eq!(by_number.key, by_text.key);
    assert_eq!(by_number.key, in_csv.key);
    let source = folder.source(spec("a.parquet")).unwrap();
    let schema = source.infer_schema().await.unwrap();
    let all = source.read(Window::ALL, &schema, Columns::All).await.unwrap();
    let part = source.read(window(30 * HOUR, 40 * HOUR), &schema, Columns::All).await.unwrap();
    assert_eq!(all.key[30..40], part.key, "a row keeps its key in every window");
    assert_eq!(all.key.iter().collect::<std::collections::BTreeSet<_>>().len(), 50);
}

#[tokio::test]
async fn only_the_columns_asked_for_are_read() {
    let folder = Folder::new();
    let mut columns = hours(0, 30);
    columns.push(("z", numbers((0..30).map(f64::from))));
    columns.push(("a", Arc::new(StringArray::from_iter_values((0..30).map(|_| "k")))));
    folder.parquet("a.parquet", &columns);
    let source = folder.source(spec("a.parquet")).unwrap();
    let schema = source.infer_schema().await.unwrap();
    let names =
        |rows: crate::rows::Rows| rows.columns.into_iter().map(|c| c.name).collect::<Vec<_>>();
    let bare = source.read(Window::ALL, &schema, Columns::TimesAndLabel).await.unwrap();
    assert_eq!((bare.len(), bare.label[1]), (30, 1.0));
    assert!(names(bare).is_empty());
    let asked = ["a".to_owned(), "x".to_owned()];
    let some = source.read(Window::ALL, &schema, Columns::Only(&asked)).await.unwrap();
    assert_eq!(names(some), ["x", "a"]);
    let wrong = ["zz".to_owned()];
    let error = source.read(Window::ALL, &schema, Columns::Only(&wrong)).await.unwrap_err();
    assert!(error.to_string().contains("did you mean"), "{error}");
}

#[tokio::test]
async fn new_categories_new_columns_and_wider_numbers_are_no_errors() {
    let folder = Folder::new();
    let file = |name: &str, category: &str, x: ArrayRef| {
        let mut columns = vec![
            ("t", times([0, 1])),
            ("x", x),
            ("c", Arc::new(StringArray::from(vec!["old", category])) as ArrayRef),
            ("y", numbers([0.0, 1.0])),
        ];
        if category == "new" {
            columns.insert(0, ("extra", numbers([7.0, 8.0])));
        }
        folder.parquet(name, &columns);
    };
    file("old.parquet", "old", Arc::new(Int8Array::from(vec![1, 2])));
    file("new.parquet", "new", numbers([1.5, 2.5]));
    let schema = folder.infer(spec("old.parquet")).await.unwrap();
    let source = folder.source(spec("new.parquet")).unwrap();
    let rows = source.read(Window::ALL, &schema, Columns::All).await.unwrap();
    assert_eq!(numeric(&rows.columns[0].values), [1.5, 2.5]);
    assert_eq!(texts(&rows.columns[1].values), ["old", "new"]);
    std::fs::rename(folder.path().join("new.parquet"), folder.path().join("a.parquet")).unwrap();
    for _ in 0..2 {
        let (schema, warnings) = folder.source(spec("*.parquet")).unwrap().infer().await.unwrap();
        assert_eq!(schema.features[0], Feature { name: "x".into(), kind: Kind::Numeric });
        let file = "old.parquet".to_owned();
        assert_eq!(warnings, [Warning::NotEverywhere { column: "extra".into(), file }]);
        // The same whether the newer or the older file comes first.
        let (a, z) = (folder.path().join("a.parquet"), folder.path().join("z.parquet"));
        if a.exists() {
            std::fs::rename(a, z).unwrap();
        }
    }
}

#[tokio::test]
async fn classes_and_regression_labels_are_read() {
    let folder = Folder::new();
    folder.text("a.csv", "t,x,y\n1970-01-01,1,10\n1970-01-02,2,9\n1970-01-03,3,2.5\n");
    let task = |task| SourceSpec { task, ..spec("a.csv") };
    let schema = folder.infer(task(Task::Multiclass)).await.unwrap();
    assert_eq!(
        (schema.outputs(), schema.classes),
        (3, vec!["2.5".into(), "9".into(), "10".into()])
    );
    let rows = folder.all(task(Task::Multiclass)).await.unwrap().rows;
    assert_eq!(rows.label, [2.0, 1.0, 0.0]);
    let rows = folder.all(task(Task::Regression)).await.unwrap().rows;
    assert_eq!(rows.label, [10.0, 9.0, 2.5]);
}
