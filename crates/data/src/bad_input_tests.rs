//! Everything that may be wrong with a source: each error names its culprit.

use std::sync::Arc;

use afresh_core::time::Window;
use arrow_array::{ArrayRef, BooleanArray, Float64Array, Int64Array, StringArray};

use crate::error::Warning;
use crate::schema::Task;
use crate::spec::{Columns, SourceSpec};
use crate::testing::{Folder, hours, numbers, spec, times, told, window};

fn text(values: &[&str]) -> ArrayRef {
    Arc::new(StringArray::from(values.to_vec()))
}

/// What reading `file` by the schema of `good.parquet` says.
async fn against_good(folder: &Folder, file: &str) -> String {
    folder.parquet("good.parquet", &hours(0, 30));
    let schema = folder.infer(spec("good.parquet")).await.unwrap();
    let source = folder.source(spec(file)).unwrap();
    told(source.read(Window::ALL, &schema, Columns::All).await)
}

#[tokio::test]
async fn missing_files_suggest_their_neighbours() {
    let folder = Folder::new();
    folder.hours("data/flights/2013.parquet", 0, 10);
    folder.text("empty/readme.md", "");
    for (location, wanted) in [
        (
            "data/flights/2031.parquet",
            "`data/flights/2031.parquet` does not exist; did you mean `data/flights/2013.parquet`?",
        ),
        (
            "data/flihgts/2013.parquet",
            "`data/flihgts` does not exist; did you mean `data/flights`?",
        ),
        ("dota/*.parquet", "`dota` does not exist; did you mean `data`?"),
        ("nowhere/at/all", "`nowhere` does not exist"),
        (
            "data/flights/*.csv",
            "no file matches `data/flights/*.csv`; did you mean `data/flights/2013.parquet`?",
        ),
        ("empty", "no .parquet or .csv file in the directory `empty`"),
        ("empty/readme.md", "`empty/readme.md` is neither .parquet nor .csv"),
        ("", "cannot understand the source ``: it is empty: write a file, a directory or a glob"),
        (
            "gs://bucket/x.parquet",
            "cannot understand the source `gs://bucket/x.parquet`: `gs://` is not read: write a path, or `s3://BUCKET/PREFIX/*.parquet`",
        ),
    ] {
        let error = match folder.source(spec(location)) {
            Ok(source) => told(source.objects(Window::ALL).await),
            Err(error) => error.to_string(),
        };
        assert_eq!(error, wanted, "{location}");
    }
}

#[cfg(not(feature = "s3"))]
#[test]
fn a_build_without_s3_says_how_to_get_it() {
    let error = told(Folder::new().source(spec("s3://bucket/x/*.parquet")));
    assert_eq!(
        error,
        "cannot understand the source `s3://bucket/x/*.parquet`: this build has no S3: \
         build it with `cargo install --path crates/afresh --features s3`"
    );
}

#[tokio::test]
async fn a_file_that_goes_away_is_named() {
    let folder = Folder::new();
    let path = folder.hours("a.parquet", 0, 10);
    let source = folder.source(spec("a.parquet")).unwrap();
    let schema = source.infer_schema().await.unwrap();
    std::fs::remove_file(path).unwrap();
    let error = told(source.read(Window::ALL, &schema, Columns::All).await);
    assert!(error.starts_with("failed to read `a.parquet`: "), "{error}");
}

#[tokio::test]
async fn a_missing_time_column_suggests_those_that_look_like_one() {
    let folder = Folder::new();
    folder.parquet(
        "a.parquet",
        &[("when", times([1])), ("x", numbers([1.0])), ("y", numbers([1.0]))],
    );
    folder.text("a.csv", "when,x,y\n2013-01-01,1,1\n");
    folder.text("wrong.csv", "t,when,y\nsoon,2013-01-01,1\n");
    folder.text("later.csv", "t,x,y\r\n2013-01-01,1,0\r\n\r\n,1,1\r\n");
    folder.parquet(
        "float.parquet",
        &[("t", numbers([1.0])), ("x", numbers([1.0])), ("y", numbers([1.0]))],
    );
    folder.parquet(
        "null.parquet",
        &[
            ("t", Arc::new(Int64Array::from(vec![Some(1), None])) as ArrayRef),
            ("x", numbers([1.0, 2.0])),
            ("y", numbers([1.0, 0.0])),
        ],
    );
    for (file, wanted) in [
        (
            "a.parquet",
            "`a.parquet` has no column `t`, which `time` names; columns that look like times: `when`",
        ),
        (
            "a.csv",
            "`a.csv` has no column `t`, which `time` names; columns that look like times: `when`",
        ),
        (
            "wrong.csv",
            "column `t` of `wrong.csv` holds `soon`, not times; columns that look like times: `when`",
        ),
        (
            "later.csv",
            "column `t` holds `` in row 2 (line 4) of `later.csv`, which is not a time: write RFC 3339, `YYYY-MM-DD HH:MM:SS`, or seconds or milliseconds since 1970",
        ),
        (
            "float.parquet",
            "column `t` of `float.parquet` holds Float64, not times; no column looks like a time",
        ),
        (
            "null.parquet",
            "column `t` holds `` in row 2 (row group 0) of `null.parquet`, which is not a time",
        ),
    ] {
        assert_eq!(told(folder.all(spec(file)).await), wanted);
    }
}

#[tokio::test]
async fn columns_of_the_configuration_that_are_not_there_are_named() {
    let folder = Folder::new();
    folder.parquet("a.parquet", &hours(0, 10));
    folder.text("a.csv", "t,x,y\n2013-01-01,1,1\n");
    for file in ["a.parquet", "a.csv"] {
        for (spec, wanted) in [
            (
                SourceSpec { label: Some("yy".into()), ..spec(file) },
                "no column `yy`, which `label` names; did you mean",
            ),
            (
                SourceSpec { id: Some("event".into()), ..spec(file) },
                "no column `event`, which `id` names",
            ),
            (
                SourceSpec { weight: Some("w".into()), ..spec(file) },
                "no column `w`, which `weight` names",
            ),
            (
                SourceSpec { exclude: vec!["q".into()], ..spec(file) },
                "no column `q`, which `exclude` names",
            ),
            (
                SourceSpec { label_time: Some("known_at".into()), ..spec(file) },
                "no column `known_at`, which `label_time` names",
            ),
        ] {
            let error = told(folder.infer(spec).await);
            assert!(error.contains(wanted), "{error}");
        }
        let nothing = SourceSpec { exclude: vec!["x".into()], ..spec(file) };
        let error = told(folder.infer(nothing).await);
        assert!(error.contains("no column is left to be a feature"), "{error}");
    }
}

#[tokio::test]
async fn a_vanished_or_retyped_column_is_told_with_its_file() {
    let folder = Folder::new();
    let file = |name: &str, x: ArrayRef| {
        folder.parquet(name, &[("t", times([1, 2])), ("x", x), ("y", numbers([0.0, 1.0]))]);
    };
    folder.parquet("gone.parquet", &[("t", times([1])), ("y", numbers([0.0]))]);
    file("text.parquet", text(&["1", "2"]));
    file("bool.parquet", Arc::new(BooleanArray::from(vec![true, false])));
    file("times.parquet", times([1, 2]));
    folder.text("gone.csv", "t,z,y\n2013-01-01,1,0\n");
    folder.text("text.csv", "t,x,y\n2013-01-01,1,0\n2013-01-02,one,0\n");
    for (file, wanted) in [
        ("gone.parquet", "column `x` (numbers) has vanished from `gone.parquet`"),
        (
            "text.parquet",
            "column `x` held numbers and now holds categories (Utf8), in `text.parquet`",
        ),
        (
            "bool.parquet",
            "column `x` held numbers and now holds true or false (Boolean), in `bool.parquet`",
        ),
        (
            "times.parquet",
            "column `x` held numbers and now holds times (Timestamp(ms, \"UTC\")), in `times.parquet`",
        ),
        ("gone.csv", "column `x` (numbers) has vanished from `gone.csv`"),
        (
            "text.csv",
            "column `x` held numbers and now holds `one`, in row 2 (line 3) of `text.csv`",
        ),
    ] {
        assert_eq!(against_good(&folder, file).await, wanted);
    }
    file("b/1.parquet", numbers([1.0, 2.0]));
    file("b/2.parquet", text(&["1", "2"]));
    let error = told(folder.infer(spec("b")).await);
    assert_eq!(error, "column `x` held numbers and now holds categories (Utf8), in `b/2.parquet`");
}

#[tokio::test]
async fn labels_outside_their_classes_are_told_with_row_and_file() {
    let folder = Folder::new();
    let file = |name: &str, y: ArrayRef| {
        folder.parquet(name, &[("t", times([1, 2])), ("x", numbers([1.0, 2.0])), ("y", y)]);
    };
    file("two.parquet", numbers([1.0, 2.0]));
    file("text.parquet", text(&["1", "maybe"]));
    file("infinite.parquet", numbers([0.0, f64::INFINITY]));
    file("times.parquet", times([1, 2]));
    folder.text("two.csv", "t,x,y\n2013-01-01,1,2\n");
    for (file, wanted) in [
        (
            "two.parquet",
            "label `y` is `2` in row 2 (row group 0) of `two.parquet`, outside its classes `0`, `1`",
        ),
        (
            "text.parquet",
            "label `y` is `maybe` in row 2 (row group 0) of `text.parquet`, outside its classes `0`, `1`",
        ),
        (
            "infinite.parquet",
            "column `y` is infinite in row 2 (row group 0) of `infinite.parquet`: write an empty value or a finite number",
        ),
        (
            "two.csv",
            "label `y` is `2` in row 1 (line 2) of `two.csv`, outside its classes `0`, `1`",
        ),
    ] {
        assert_eq!(against_good(&folder, file).await, wanted);
    }
    let error = against_good(&folder, "times.parquet").await;
    assert!(error.starts_with("column `y` holds `Timestamp"), "{error}");
    let regression = |file: &str| SourceSpec { task: Task::Regression, ..spec(file) };
    let error = told(folder.infer(regression("text.parquet")).await);
    assert_eq!(error, "label `y` holds `maybe`, which is not a number");
    let error = told(folder.infer(regression("infinite.parquet")).await);
    assert!(error.starts_with("column `y` is infinite in row 2"), "{error}");
    folder.text("many.csv", "t,x,y\n1970-01-01,1,0\n1970-01-02,1,1\n1970-01-03,1,2\n");
    let error = told(folder.infer(spec("many.csv")).await);
    assert_eq!(
        error,
        "label `y` has more than two values, `0`, `1`, `2`: write `task = \"multiclass\"`, or \
         another label"
    );
    folder.text("none.csv", "t,x,y\n1970-01-01,1,\n");
    let error = told(folder.infer(spec("none.csv")).await);
    assert_eq!(error, "label `y` has no value in any row: nothing can be learned yet");
}

#[tokio::test]
async fn infinities_are_told_with_column_row_and_file() {
    let folder = Folder::new();
    let mut columns = hours(0, 30);
    let values = (0..30).map(|n| if n == 27 { f64::NEG_INFINITY } else { f64::from(n) });
    columns[1] = ("x", numbers(values));
    folder.grouped("a.parquet", 24, &columns);
    let wanted = "column `x` is infinite in row 28 (row group 1) of `a.parquet`: write an empty \
                  value or a finite number";
    assert_eq!(told(folder.all(spec("a.parquet")).await), wanted);
    let source = folder.source(spec("a.parquet")).unwrap();
    let schema = source.infer_schema().await.unwrap();
    let hour = crate::testing::HOUR;
    let part = source.read(window(26 * hour, 30 * hour), &schema, Columns::All).await;
    assert_eq!(told(part), wanted, "rows are counted in the file, not in the window");
    let before = source.read(window(0, 27 * hour), &schema, Columns::All).await.unwrap();
    assert_eq!(before.len(), 27, "a row outside the window does no harm");
    folder.text("a.csv", "t,x,y\n1970-01-01,1,0\n1970-01-02,-inf,1\n");
    let wanted = "column `x` is infinite in row 2 (line 3) of `a.csv`: write an empty value or a \
                  finite number";
    assert_eq!(told(folder.all(spec("a.csv")).await), wanted);
}

#[tokio::test]
async fn damaged_files_are_named() {
    let folder = Folder::new();
    let whole = std::fs::read(folder.hours("whole.parquet", 0, 100)).unwrap();
    let half = folder.path().join("half.parquet");
    std::fs::write(&half, &whole[..whole.len() / 2]).unwrap();
    let error = told(folder.all(spec("half.parquet")).await);
    assert!(
        error.starts_with("`half.parquet` is not sound Parquet: truncated or damaged: "),
        "{error}"
    );
    folder.text("tiny.parquet", "PAR1");
    assert!(
        told(folder.all(spec("tiny.parquet")).await).starts_with("`tiny.parquet` is not sound")
    );
    folder.text("none.parquet", "");
    assert!(
        told(folder.all(spec("none.parquet")).await).starts_with("`none.parquet` is not sound")
    );

    // The pages of one row group overwritten, the footer whole.
    let schema = folder.infer(spec("whole.parquet")).await.unwrap();
    let file = std::fs::File::open(folder.path().join("whole.parquet")).unwrap();
    let builder =
        parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder::try_new(file).unwrap();
    let group = builder.metadata().row_group(2);
    let (start, length) = group.column(1).byte_range();
    let mut broken = whole;
    let range = usize::try_from(start).unwrap()..usize::try_from(start + length).unwrap();
    broken[range].fill(0xFF);
    std::fs::write(folder.path().join("broken.parquet"), broken).unwrap();
    let source = folder.source(spec("broken.parquet")).unwrap();
    let error = told(source.read(Window::ALL, &schema, Columns::All).await);
    assert!(error.starts_with("row group 2 of `broken.parquet` is not sound Parquet"), "{error}");
    let day = crate::testing::DAY;
    assert_eq!(source.read(window(0, day), &schema, Columns::All).await.unwrap().len(), 24);
}

#[tokio::test]
async fn ragged_and_garbled_csv_is_told_with_its_line() {
    let folder = Folder::new();
    folder.text("ragged.csv", "t,x,y\n1970-01-01,1,0\n1970-01-02,1\n");
    assert_eq!(
        told(folder.all(spec("ragged.csv")).await),
        "line 3 of `ragged.csv` has 2 fields where the header has 3"
    );
    std::fs::write(folder.path().join("latin.csv"), b"t,x,y\n1970-01-01,M\xFCller,0\n").unwrap();
    let error = told(folder.all(spec("latin.csv")).await);
    assert!(error.starts_with("line 2 of `latin.csv` is not sound CSV: "), "{error}");
    folder.text("header.csv", "t,x,y\n");
    assert_eq!(told(folder.all(spec("header.csv")).await), "`header.csv` has no rows");
    folder.text("empty.csv", "");
    assert!(told(folder.all(spec("empty.csv")).await).starts_with("`empty.csv` has no column `t`"));
}

#[tokio::test]
async fn duplicate_columns_are_named() {
    let folder = Folder::new();
    folder.text("a.csv", "t,x,y,x\n1970-01-01,1,0,2\n");
    let mut columns = hours(0, 10);
    columns.push(("x", numbers((0..10).map(f64::from))));
    folder.parquet("a.parquet", &columns);
    for file in ["a.csv", "a.parquet"] {
        let wanted = format!("`{file}` has two columns `x`: rename or drop one");
        assert_eq!(told(folder.all(spec(file)).await), wanted);
    }
}

#[tokio::test]
async fn weights_must_be_finite_and_not_negative() {
    let folder = Folder::new();
    for (name, weight) in [("negative", -1.0), ("missing", f64::NAN), ("infinite", f64::INFINITY)] {
        let file = format!("{name}.parquet");
        let mut columns = hours(0, 2);
        columns.push(("w", numbers([1.0, weight])));
        folder.parquet(&file, &columns);
        let weighted = SourceSpec { weight: Some("w".into()), ..spec(&file) };
        let error = told(folder.all(weighted).await);
        assert!(error.contains("in row 2 (row group 0)") && error.contains("a weight"), "{error}");
    }
    folder.text("a.csv", "t,x,y,w\n1970-01-01,1,0,2.5\n1970-01-02,1,1,0\n");
    let weighted = SourceSpec { weight: Some("w".into()), ..spec("a.csv") };
    let rows = folder.all(weighted).await.unwrap().rows;
    assert_eq!((rows.weight, rows.columns.len()), (vec![2.5, 0.0], 1));
}

#[tokio::test]
async fn empty_and_constant_columns_are_warnings() {
    let folder = Folder::new();
    let mut columns = hours(0, 30);
    columns.push(("nan", numbers((0..30).map(|_| f64::NAN))));
    columns.push(("null", Arc::new(Float64Array::new_null(30)) as ArrayRef));
    columns.push(("same", numbers((0..30).map(|_| 7.0))));
    columns
        .push(("text", Arc::new(StringArray::from_iter_values((0..30).map(|_| ""))) as ArrayRef));
    folder.grouped("a.parquet", 24, &columns);
    let missing = |column: &str| Warning::AllMissing { column: column.into() };
    let constant = |column: &str| Warning::Constant { column: column.into() };
    let (_, warnings) = folder.source(spec("a.parquet")).unwrap().infer().await.unwrap();
    assert_eq!(warnings, [missing("null"), constant("same"), constant("text")]);
    let reading = folder.all(spec("a.parquet")).await.unwrap();
    assert_eq!(
        reading.warnings,
        [missing("nan"), missing("null"), constant("same"), constant("text")]
    );
    folder.text("a.csv", "t,x,e,s,y\n1970-01-01,1,,k,0\n1970-01-02,2,NA,k,1\n");
    let (_, warnings) = folder.source(spec("a.csv")).unwrap().infer().await.unwrap();
    assert_eq!(warnings, [missing("e"), constant("s")]);
    let told = warnings.iter().map(ToString::to_string).collect::<Vec<_>>();
    assert_eq!(
        told,
        ["column `e` has no value at all", "column `s` has the same value in every row"]
    );
}

#[tokio::test]
async fn a_window_without_rows_is_no_error_of_the_source() {
    let folder = Folder::new();
    folder.hours("a.parquet", 0, 10);
    let source = folder.source(spec("a.parquet")).unwrap();
    let schema = source.infer_schema().await.unwrap();
    let rows = source.read(window(-10, -5), &schema, Columns::All).await.unwrap();
    assert!(rows.is_empty() && rows.columns.len() == 1);
}
