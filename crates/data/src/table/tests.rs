//! Tables of both formats: what their columns hold, how they are scanned, and what is refused.

use std::fs;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, BooleanArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMillisecondArray,
};
use parquet::arrow::ArrowWriter;
use parquet::file::properties::WriterProperties;
use tempfile::TempDir;

use super::*;

fn home(files: &[(&str, &str)]) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(home.path().join(name), text).unwrap();
    }
    home
}

async fn open(home: &TempDir, location: &str) -> Result<Table, Error> {
    Table::open(location, home.path()).await
}

/// Writes row groups of `group_rows`.
fn parquet(home: &TempDir, name: &str, columns: Vec<(&str, ArrayRef)>, group_rows: usize) {
    let batch = RecordBatch::try_from_iter(columns).unwrap();
    let file = fs::File::create(home.path().join(name)).unwrap();
    let properties =
        WriterProperties::builder().set_max_row_group_row_count(Some(group_rows)).build();
    let mut writer = ArrowWriter::try_new(file, batch.schema(), Some(properties)).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
}

/// All values of one column as texts; the empty text is missing.
async fn values(table: &Table, name: &str, kind: Kind) -> Result<Vec<String>, Error> {
    let (mut found, mut rows) = (Vec::new(), 0);
    let wanted = [Wanted { name: name.to_owned(), kind }];
    for dictionary in [Dictionary::PerBatch, Dictionary::Whole { names_max: 100 }] {
        (found, rows) = (Vec::new(), 0);
        let take = &mut |batch: &Batch<'_>| {
            assert_eq!(batch.first_row, rows);
            rows += batch.rows as u64;
            match batch.column(0) {
                Cells::Numeric(values) => {
                    let text = |value: &f64| {
                        if value.is_nan() { String::new() } else { value.to_string() }
                    };
                    found.extend(values.iter().map(text));
                }
                Cells::Categorical { codes, names, full } => {
                    assert!(!full);
                    let name = |code: &u32| names.get(*code as usize).cloned().unwrap_or_default();
                    found.extend(codes.iter().map(name));
                }
            }
            ControlFlow::Continue(())
        };
        table.scan(&wanted, dictionary, take).await?;
    }
    assert_eq!(rows, table.rows());
    Ok(found)
}

fn holds(table: &Table) -> Vec<(&str, Holds)> {
    table.columns().iter().map(|field| (field.name.as_str(), field.holds.clone())).collect()
}

const MIXED: &str = "\u{feff}when;n;flag;text;none\n2026-01-01;1;true;a;\n2026-01-02;NA;false; b;\n2026-01-03;-2.5;true;NaN;\n";

#[tokio::test]
async fn csv_tells_its_kinds_by_all_its_values() {
    let home = home(&[("a.csv", MIXED)]);
    let table = open(&home, "a.csv").await.unwrap();
    assert_eq!(table.rows(), 3);
    let expected = [
        ("when", Holds::Times),
        ("n", Holds::Values(Kind::Numeric)),
        ("flag", Holds::Values(Kind::Boolean)),
        ("text", Holds::Values(Kind::Categorical)),
        ("none", Holds::Nothing),
    ];
    assert_eq!(holds(&table), expected);
    assert_eq!(values(&table, "n", Kind::Numeric).await.unwrap(), ["1", "", "-2.5"]);
    assert_eq!(values(&table, "flag", Kind::Boolean).await.unwrap(), ["1", "0", "1"]);
    assert_eq!(values(&table, "text", Kind::Categorical).await.unwrap(), ["a", "b", ""]);
    assert_eq!(values(&table, "none", Kind::Numeric).await.unwrap(), ["", "", ""]);
}

/// The times of every row beside one column of numbers.
async fn timed(table: &Table) -> Result<Vec<(Option<i64>, f64)>, Error> {
    let mut found = Vec::new();
    let wanted = [Wanted { name: "n".to_owned(), kind: Kind::Numeric }];
    let take = &mut |batch: &Batch<'_>| {
        let Cells::Numeric(numbers) = batch.column(0) else { panic!("{batch:?}") };
        found.extend(numbers.iter().enumerate().map(|(row, number)| {
            (batch.time(row).map(|time| time.0), if number.is_nan() { -1.0 } else { *number })
        }));
        ControlFlow::Continue(())
    };
    table.scan_timed("when", &wanted, Dictionary::PerBatch, take).await?;
    Ok(found)
}

#[tokio::test]
async fn times_come_beside_the_values_from_csv_and_parquet() {
    let day = 86_400_000_i64;
    let home = home(&[
        ("a.csv", "when,n\n1970-01-02,1\n,2\n1970-01-04,\n"),
        ("b.csv", "when,n\n1970-01-02,1\nsoon,2\n"),
    ]);
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("when", Arc::new(TimestampMillisecondArray::from(vec![Some(day), None, Some(3 * day)]))),
        ("n", Arc::new(Int64Array::from_iter([Some(1), Some(2), None]))),
    ];
    parquet(&home, "a.parquet", columns, 2);
    let expected = [(Some(day), 1.0), (None, 2.0), (Some(3 * day), -1.0)];
    for file in ["a.csv", "a.parquet"] {
        let table = open(&home, file).await.unwrap();
        assert_eq!(timed(&table).await.unwrap(), expected, "{file}");
    }
    let table = open(&home, "b.csv").await.unwrap();
    let refused = timed(&table).await.unwrap_err().to_string();
    assert!(refused.contains("column `when` holds `soon`"), "{refused}");
    assert!(refused.contains("which is not a time"), "{refused}");
}

#[tokio::test]
async fn parquet_is_read_across_row_groups_and_files() {
    let home = home(&[]);
    let columns = |first: i64| -> Vec<(&str, ArrayRef)> {
        let numbers = (first..first + 5).map(|n| (n % 3 > 0).then_some(n));
        vec![
            ("when", Arc::new(TimestampMillisecondArray::from(vec![first; 5]))),
            ("n", Arc::new(Int64Array::from_iter(numbers))),
            ("flag", Arc::new(BooleanArray::from(vec![true, false, true, false, true]))),
            (
                "text",
                Arc::new(StringArray::from(vec![Some("x"), None, Some("y"), Some("x"), None])),
            ),
        ]
    };
    parquet(&home, "a.parquet", columns(0), 2);
    parquet(&home, "b.parquet", columns(5), 3);
    let table = open(&home, "*.parquet").await.unwrap();
    assert!(table.is_columnar());
    assert_eq!(holds(&table)[0].1, Holds::Times);
    let numbers = ["", "1", "2", "", "4", "5", "", "7", "8", ""];
    assert_eq!(values(&table, "n", Kind::Numeric).await.unwrap(), numbers);
    let texts = ["x", "", "y", "x", "", "x", "", "y", "x", ""];
    assert_eq!(values(&table, "text", Kind::Categorical).await.unwrap(), texts);
}

#[tokio::test]
async fn files_of_one_table_agree_or_leave_columns_out() {
    let home = home(&[("a.csv", "x,y,z\n1,2,\n"), ("b.csv", "z,x\n5,many\n")]);
    let table = open(&home, ".").await.unwrap();
    assert_eq!(
        holds(&table),
        [("x", Holds::Values(Kind::Categorical)), ("z", Holds::Values(Kind::Numeric))]
    );
    let warning = Warning::NotEverywhere { column: "y".into(), file: "./b.csv".into() };
    assert_eq!(table.warnings(), [warning]);
    assert_eq!(values(&table, "x", Kind::Categorical).await.unwrap(), ["1", "many"]);

    parquet(&home, "c.parquet", vec![("x", Arc::new(Float64Array::from(vec![1.0])))], 1);
    let error = open(&home, "*").await.unwrap_err().to_string();
    assert!(
        error.contains("column `x` held categories and now holds numbers (Float64)"),
        "{error}"
    );
}

#[tokio::test]
async fn what_cannot_be_read_is_named() {
    let files = [
        ("ragged.csv", "x,y\n1,2\n3\n"),
        ("inf.csv", "x\n1\ninf\n"),
        ("twice.csv", "x,x\n1,2\n"),
        ("not.parquet", "PAR1 and then nothing"),
    ];
    let home = home(&files);
    for (file, words) in [
        ("ragged.csv", "line 3 of `ragged.csv` has 1 fields where the header has 2"),
        ("twice.csv", "two columns `x`"),
        ("not.parquet", "`not.parquet` is not sound Parquet"),
        ("gone.csv", "`gone.csv` does not exist"),
        ("ragged.txt", "`ragged.txt` does not exist"),
    ] {
        let error = open(&home, file).await.unwrap_err().to_string();
        assert!(error.contains(words), "{file}: {error}");
    }
    let table = open(&home, "inf.csv").await.unwrap();
    let error = values(&table, "x", Kind::Numeric).await.unwrap_err().to_string();
    assert!(error.contains("column `x` is infinite in row 2 (line 3) of `inf.csv`"), "{error}");

    let numbers = vec![1.0, 2.0, f64::NEG_INFINITY];
    parquet(&home, "inf.parquet", vec![("x", Arc::new(Float64Array::from(numbers)))], 2);
    let table = open(&home, "inf.parquet").await.unwrap();
    let error = values(&table, "x", Kind::Numeric).await.unwrap_err().to_string();
    assert!(error.contains("column `x` is infinite in row 3 of `inf.parquet`"), "{error}");
}

#[tokio::test]
async fn a_full_dictionary_takes_no_more_names() {
    let home = home(&[("a.csv", "x\na\nb\nc\nd\na\n")]);
    let table = open(&home, "a.csv").await.unwrap();
    let wanted = [Wanted { name: "x".into(), kind: Kind::Categorical }];
    let mut seen = None;
    let take = &mut |batch: &Batch<'_>| {
        if let Cells::Categorical { names, full, codes } = batch.column(0) {
            seen = Some((names.to_vec(), full, codes.to_vec()));
        }
        ControlFlow::Break(())
    };
    table.scan(&wanted, Dictionary::Whole { names_max: 2 }, take).await.unwrap();
    let codes = vec![0, 1, MISSING, MISSING, 0];
    assert_eq!(seen, Some((vec!["a".into(), "b".into()], true, codes)));
}

async fn paired(
    home: &TempDir,
    names: [&str; 2],
    selection: &Selection,
) -> Result<Shared, Mismatch> {
    let [a, b] = [open(home, names[0]).await.unwrap(), open(home, names[1]).await.unwrap()];
    shared(&a, &b, selection)
}

#[tokio::test]
async fn tables_are_paired_by_column_name() {
    let home = home(&[
        ("a.csv", "when,x,only_a,plan,empty\n2026-01-01,1,1,a,\n"),
        ("b.csv", "plan,x,when,only_b,empty\nb,2,2026-01-02,1,\n"),
    ]);
    let found = paired(&home, ["a.csv", "b.csv"], &Selection::default()).await.unwrap();
    let names = found.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>();
    assert_eq!(names, ["x", "plan", "empty"]);
    let side =
        |column: &str, has: &str| LeftOut::OneSide { column: column.into(), has: has.into() };
    assert_eq!(
        found.left_out,
        [
            LeftOut::Times { column: "when".into() },
            side("only_a", "a.csv"),
            side("only_b", "b.csv")
        ]
    );
    let only = Selection { columns: vec!["plan".into()], exclude: Vec::new() };
    assert_eq!(paired(&home, ["a.csv", "b.csv"], &only).await.unwrap().columns.len(), 1);
}

#[tokio::test]
async fn tables_that_do_not_fit_are_refused_with_the_culprit() {
    let home = home(&[
        ("a.csv", "x,when\n1,2026-01-01\n"),
        ("text.csv", "x,when\nmany,2026-01-01\n"),
        ("other.csv", "y\n1\n"),
        ("empty.csv", "x\n"),
    ]);
    let asked = |columns: &[&str], exclude: &[&str]| Selection {
        columns: columns.iter().map(ToString::to_string).collect(),
        exclude: exclude.iter().map(ToString::to_string).collect(),
    };
    for (names, selection, words) in [
        (
            ["a.csv", "text.csv"],
            asked(&[], &[]),
            "column `x` holds numbers in `a.csv` and categories in `text.csv`",
        ),
        (
            ["a.csv", "other.csv"],
            asked(&[], &[]),
            "have no column in common that can be compared: the first has `x`, `when`, the second `y`",
        ),
        (["a.csv", "text.csv"], asked(&[], &["x"]), "no column in common"),
        (["a.csv", "empty.csv"], asked(&[], &[]), "`empty.csv` has no rows"),
        (["empty.csv", "a.csv"], asked(&[], &[]), "`empty.csv` has no rows"),
        (["a.csv", "a.csv"], asked(&["z"], &[]), "`a.csv` has no column `z`"),
        (["a.csv", "other.csv"], asked(&["x"], &[]), "`other.csv` has no column `x`"),
        (["a.csv", "a.csv"], asked(&[], &["whn"]), "did you mean `when`?"),
        (
            ["a.csv", "a.csv"],
            asked(&["when"], &[]),
            "column `when` holds times, which cannot be compared",
        ),
    ] {
        let error = paired(&home, names, &selection).await.unwrap_err().to_string();
        assert!(error.contains(words), "{names:?}: {error}");
    }
}

#[test]
fn samples_are_drawn_without_replacement_and_evenly() {
    let mut state = 1_u64;
    let mut below = |bound: u64| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (state >> 33) % bound
    };
    assert_eq!(Sample::draw(3, 5, &mut below).len(), 3);
    let mut hits = [0; 10];
    for _ in 0..2_000 {
        let sample = Sample::draw(10, 4, &mut below);
        assert_eq!(sample.len(), 4);
        let mut drawn = Drawn::new(Kind::Numeric);
        let values = (0..10).map(f64::from).collect();
        let buffer = Buffer {
            name: "x".into(),
            values: Values::Numeric { kind: Kind::Numeric, numbers: values },
        };
        let columns = [buffer];
        let batch = Batch { first_row: 0, rows: 10, columns: &columns, times: None };
        sample.take(&mut drawn, &batch, batch.column(0));
        let crate::rows::Values::Numeric(values) = drawn.into_values() else { panic!("kind") };
        assert_eq!(values.len(), 4);
        for (at, hits) in hits.iter_mut().enumerate() {
            *hits += usize::from(values.contains(&(at as f64)));
        }
    }
    // 800 expected, standard deviation 22.
    assert!(hits.iter().all(|hits| (700..900).contains(hits)), "{hits:?}");
}
