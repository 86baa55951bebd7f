//! Windows out of one ordered column: the same scores and p-values as of windows compared by themselves.

use super::super::ordered::{Apart, Ordered, smallest_p};
use super::*;

/// Compares two windows of each column both ways, to the last bit.
fn both_ways(what: &str, columns: &[Values<'_>], windows: [&[usize]; 2]) {
    let (mut found, mut expected) = (Vec::<Apart>::new(), Vec::new());
    for column in columns {
        let ordered = Ordered::new("column", *column).unwrap();
        let reference = ordered.part(Side::Reference, windows[0]).unwrap();
        let current = ordered.part(Side::Current, windows[1]).unwrap();
        assert_eq!(reference.rows(), windows[0].len() as u64, "{what}");
        found.push(reference.apart(&current));
        expected.push(apart_by_themselves(*column, windows));
    }
    let scores = |scores: Vec<f64>| scores.into_iter().map(f64::to_bits).collect::<Vec<_>>();
    let told = scores(expected.iter().map(|column| column.score).collect());
    assert_eq!(scores(found.iter().map(|column| column.score).collect()), told, "{what}");
    let p_values = expected.iter().filter_map(|column| column.ks.map(|ks| ks.p_value));
    let tests = p_values.clone().count() as f64;
    let smallest = p_values.reduce(f64::min).map(|smallest| (smallest * tests).min(1.0));
    assert_eq!(smallest_p(&found), smallest, "{what}");
}

fn apart_by_themselves(column: Values<'_>, [reference, current]: [&[usize]; 2]) -> ColumnDrift {
    match column {
        Values::Numeric(values) => {
            let pick = |rows: &[usize]| rows.iter().map(|at| values[*at]).collect::<Vec<_>>();
            let (reference, current) = (pick(reference), pick(current));
            let reference = Reference::new("column", Values::Numeric(&reference)).unwrap();
            reference.compare(Values::Numeric(&current)).unwrap()
        }
        Values::Categorical { codes, names } => {
            let pick = |rows: &[usize]| rows.iter().map(|at| codes[*at]).collect::<Vec<_>>();
            let (reference, current) = (pick(reference), pick(current));
            let of = |codes| Values::Categorical { codes, names };
            Reference::new("column", of(&reference)).unwrap().compare(of(&current)).unwrap()
        }
    }
}

#[test]
fn windows_of_one_history_are_as_far_apart_as_by_themselves() {
    const ROWS: usize = 12_000;
    let mut generator = Generator(5);
    let mut column = |gaps: f64, shape: &dyn Fn(f64, f64) -> f64| {
        let value = |row: usize| {
            let time = row as f64 / ROWS as f64;
            let missing = generator.uniform() < gaps;
            let value = shape(generator.uniform(), time);
            if missing { f64::NAN } else { value }
        };
        (0..ROWS).map(value).collect::<Vec<_>>()
    };
    let numbers = [
        column(0.0, &|u, time| u + 0.05 * time),
        column(0.3, &|u, time| u - 0.3 * time),
        column(0.0, &|u, _| (u * 7.0).floor() - 3.0),
        column(0.1, &|u, time| (u * 40.0 + 9.0 * time).floor()),
        column(0.0, &|_, _| 0.0),
        column(0.0, &|u, _| if u < 0.5 { 0.0 } else { -0.0 }),
        column(1.0, &|u, _| u),
    ];
    let names = ["m", "b", "never", "a", "z", "b", "k"].map(str::to_owned);
    let mut code = |row: usize| {
        let last = if row < ROWS / 2 { 5 } else { 8 };
        let code = generator.below(last);
        if code == 2 || code == 7 { MISSING } else { code }
    };
    let codes = (0..ROWS).map(&mut code).collect::<Vec<_>>();
    let columns = numbers.iter().map(|values| Values::Numeric(values));
    let categorical = Values::Categorical { codes: &codes, names: &names };
    let columns = columns.chain([categorical]).collect::<Vec<_>>();
    let rows = (0..ROWS).collect::<Vec<_>>();
    let sparse = rows.iter().copied().step_by(3).collect::<Vec<_>>();
    for (what, reference, current) in [
        ("all and few", &rows[..9_000], &rows[11_000..11_300]),
        ("few and all", &rows[11_000..11_300], &rows[..9_000]),
        ("alike", &rows[..6_000], &rows[6_000..]),
        ("gaps", &sparse[..], &rows[7_000..9_000]),
        ("the same", &rows[10..90], &rows[10..90]),
        ("one row", &rows[10..11], &rows[90..91]),
    ] {
        both_ways(what, &columns, [reference, current]);
    }
}

#[test]
fn windows_without_rows_or_with_infinities_are_refused() {
    let ordered = Ordered::new("x", Values::Numeric(&[1.0, f64::INFINITY, f64::NAN])).unwrap();
    assert!(ordered.part(Side::Current, &[0, 2]).is_ok());
    let column = || "x".to_owned();
    let infinite = Error::Infinite { column: column(), side: Side::Current, row: 1 };
    assert_eq!(ordered.part(Side::Current, &[2, 1]), Err(infinite));
    let empty = Error::Empty { column: column(), side: Side::Reference };
    assert_eq!(ordered.part(Side::Reference, &[]), Err(empty));
    let names = ["a".to_owned()];
    let unknown = Ordered::new("x", Values::Categorical { codes: &[0, 1], names: &names });
    assert!(matches!(unknown, Err(Error::UnknownCode { row: 1, .. })));
}
