//! Buckets instead of sorting: the same answer, whatever the shape of the values. All figures of the
//! other tests are held against both ways too.

use super::*;

/// Everything equal but for the last digits of sums.
pub(super) fn assert_alike(sorted: &(ColumnDrift, Picture), bucketed: &(ColumnDrift, Picture)) {
    let (mut a, mut b) = (sorted.0.clone(), bucketed.0.clone());
    let near = |x: Option<f64>, y: Option<f64>| match (x, y) {
        (Some(x), Some(y)) => (x - y).abs() <= 1e-11 * x.abs().max(1e-3),
        (None, None) => true,
        _ => false,
    };
    assert!(near(a.wasserstein, b.wasserstein), "{:?} {:?}", a.wasserstein, b.wasserstein);
    (a.wasserstein, b.wasserstein) = (None, None);
    assert_eq!(a, b);
    assert_eq!(sorted.1, bucketed.1);
}

/// A column's values from even ones between 0 and 1.
type Shape = fn(f64) -> f64;

fn both_ways(what: &str, reference: &[f64], current: &[f64], workspace: &mut Workspace) {
    let (reference, current) = (Values::Numeric(reference), Values::Numeric(current));
    let sorted = Reference::new("column", reference).unwrap().compare_drawn(current).unwrap();
    let bucketed = workspace.compare("column", reference, current).unwrap();
    let checked = std::panic::catch_unwind(|| assert_alike(&sorted, &bucketed));
    assert!(checked.is_ok(), "{what}");
}

#[test]
fn values_of_any_shape_are_measured_without_sorting_them() {
    const ROWS: usize = 30_000;
    let shapes: [(&str, Shape); 12] = [
        ("even", |u| u),
        ("bell", |u| (u / (1.0 - u)).ln()),
        ("heavy on both sides", |u| (std::f64::consts::PI * (u - 0.5)).tan()),
        ("heavy on one side", |u| u.powi(-3)),
        ("many orders of magnitude", |u| (700.0 * (u - 0.5)).exp()),
        ("negative alone", |u| -(u * 9.0).exp()),
        ("whole numbers", |u| (u * 5_000.0).floor()),
        ("few values", |u| (u * 7.0).floor()),
        ("mostly nothing", |u| if u < 0.9 { 0.0 } else { u }),
        ("one far away", |u| if u < 1e-4 { 1e300 } else { u }),
        ("the smallest numbers", |u| f64::from_bits(1) * (u * 1e4).floor()),
        ("nearly the largest", |u| (u - 0.5) * f64::MAX),
    ];
    // One workspace: nothing of a column is left for the next.
    let mut workspace = Workspace::default();
    for (what, shape) in shapes {
        for (seed, rows, moved, gaps) in
            [(1, ROWS, 1.0, 0.0), (2, ROWS, 0.98, 0.1), (3, ROWS / 3, 0.5, 0.0), (4, 37, 1.0, 0.5)]
        {
            let mut generator = Generator(seed);
            let mut draw = |rows: usize, moved: f64| -> Vec<f64> {
                let value = |_| {
                    let missing = generator.uniform() < gaps;
                    let u = (generator.uniform() * moved).max(1e-9);
                    if missing { f64::NAN } else { shape(u) }
                };
                (0..rows).map(value).collect()
            };
            let (reference, current) = (draw(ROWS, 1.0), draw(rows, moved));
            both_ways(what, &reference, &current, &mut workspace);
            both_ways(what, &current, &reference, &mut workspace);
        }
    }
    both_ways("zeros of both signs", &[0.0, -0.0, 1.0], &[-0.0, -0.0], &mut workspace);
    both_ways("none missing, all missing", &[1.0, 2.0], &[f64::NAN], &mut workspace);
    both_ways("all missing", &[f64::NAN], &[f64::NAN, f64::NAN], &mut workspace);
    both_ways("one value", &[3.0; 9], &[3.0; 4], &mut workspace);
}

#[test]
fn what_one_way_refuses_the_other_refuses() {
    let names = ["a".to_owned()];
    let text = Values::Categorical { codes: &[0], names: &names };
    let number = Values::Numeric(&[1.0]);
    let endless = [1.0, f64::NAN, f64::NEG_INFINITY];
    for (reference, current) in [
        (Values::Numeric(&[]), number),
        (number, Values::Numeric(&[])),
        (Values::Numeric(&endless), number),
        (number, Values::Numeric(&endless)),
        (text, number),
        (number, text),
    ] {
        let sorted = Reference::new("column", reference).and_then(|r| r.compare_drawn(current));
        let bucketed = Workspace::default().compare("column", reference, current);
        assert_eq!(bucketed.unwrap_err(), sorted.unwrap_err());
    }
}
