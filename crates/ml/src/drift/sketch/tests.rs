//! Sketches against the exact route, measure by measure, and as values that are merged and saved.

#![expect(clippy::float_cmp, reason = "some results are promised to the last bit")]

mod categories;
mod numbers;

use super::*;
use crate::drift::Reference;
use crate::rng::Rng;

const GAP: f64 = f64::NAN;

/// A sketch of `values`, taken in chunks of odd lengths.
fn sketched(values: Values<'_>, budget_bytes: usize) -> ColumnSketch {
    let mut sketch = ColumnSketch::of_kind("column", values.kind(), budget_bytes);
    feed(&mut sketch, values);
    sketch
}

fn feed(sketch: &mut ColumnSketch, values: Values<'_>) {
    match values {
        Values::Numeric(values) => {
            for chunk in values.chunks(7_001) {
                sketch.update(Side::Reference, Values::Numeric(chunk)).unwrap();
            }
        }
        Values::Categorical { codes, names } => {
            for codes in codes.chunks(7_001) {
                sketch.update(Side::Reference, Values::Categorical { codes, names }).unwrap();
            }
        }
    }
}

fn exact(reference: Values<'_>, current: Values<'_>) -> ColumnDrift {
    Reference::new("column", reference).unwrap().compare(current).unwrap()
}

#[track_caller]
fn assert_close(found: Option<f64>, expected: Option<f64>, tolerance: f64, what: &str) {
    match (found, expected) {
        (Some(found), Some(expected)) => {
            let error = (found - expected).abs();
            assert!(error <= tolerance, "{what}: {found} for {expected}, off by {error:e}");
        }
        _ => assert_eq!(found, expected, "{what}"),
    }
}

#[test]
fn refused_values_name_column_side_and_row_over_all_chunks() {
    let mut sketch = ColumnSketch::numeric("fare", BUDGET_BYTES);
    sketch.update(Side::Current, Values::Numeric(&[1.0, GAP, 2.0])).unwrap();
    let column = "fare".to_owned();
    assert_eq!(
        sketch.update(Side::Current, Values::Numeric(&[1.0, f64::INFINITY])),
        Err(Error::Infinite { column: column.clone(), side: Side::Current, row: 4 })
    );
    let names = ["a".to_owned()];
    let mut sketch = ColumnSketch::categorical("fare", BUDGET_BYTES);
    sketch.update(Side::Reference, Values::Categorical { codes: &[0; 3], names: &names }).unwrap();
    assert_eq!(
        sketch.update(
            Side::Reference,
            Values::Categorical { codes: &[0, MISSING, 9], names: &names }
        ),
        Err(Error::UnknownCode {
            column: column.clone(),
            side: Side::Reference,
            row: 5,
            code: 9,
            categories: 1
        })
    );
}

#[test]
fn sketches_without_rows_or_of_other_kinds_are_refused() {
    let numbers = sketched(Values::Numeric(&[1.0, 2.0]), BUDGET_BYTES);
    let names = ["a".to_owned()];
    let categories = sketched(Values::Categorical { codes: &[0], names: &names }, BUDGET_BYTES);
    let empty = ColumnSketch::numeric("column", BUDGET_BYTES);
    let column = "column".to_owned();
    assert_eq!(
        numbers.compare(&empty),
        Err(Error::Empty { column: column.clone(), side: Side::Current })
    );
    assert_eq!(
        empty.picture(&numbers),
        Err(Error::Empty { column: column.clone(), side: Side::Reference })
    );
    let (reference, current) = (Kind::Numeric, Kind::Categorical);
    assert_eq!(
        numbers.compare(&categories),
        Err(Error::KindChanged { column: column.clone(), reference, current })
    );
    assert!(matches!(numbers.clone().merge(&categories), Err(Error::Unmergeable { .. })));
    assert!(matches!(
        numbers.clone().update(Side::Current, Values::Categorical { codes: &[0], names: &names }),
        Err(Error::Unmergeable { .. })
    ));
    let mut other = ColumnSketch::categorical("column", 2 * BUDGET_BYTES);
    let message = other.merge(&categories).unwrap_err().to_string();
    assert!(message.contains("different budgets: give both the same"), "{message}");
}
