//! The split by availability, on rows made by hand and by chance.

use afresh_core::time::{Duration, Timestamp, Window};
use proptest::prelude::*;

use crate::rows::Rows;
use crate::split::{Counts, Error, Part, Rule, Split, positions, split};
use crate::testing::window;

/// Rows of one event per millisecond, each available so much later; labels alternate.
fn rows(delays: &[i64]) -> Rows {
    let count = delays.len();
    Rows {
        key: (0..count as u64).collect(),
        event_time: (0..).take(count).map(Timestamp).collect(),
        available_at: (0..).zip(delays).map(|(at, delay)| Some(Timestamp(at + delay))).collect(),
        label: (0..count).map(|at| f64::from(u8::from(at % 2 == 1))).collect(),
        weight: vec![1.0; count],
        columns: Vec::new(),
    }
}

fn rule(period_ms: u64, rows_min: usize) -> Rule {
    Rule {
        holdout_rows_min: rows_min,
        stopping_rows_min: rows_min,
        rows_least: 10,
        ..Rule::new(Duration(period_ms))
    }
}

fn counts(split: &Split) -> (u64, u64, u64) {
    let Counts { train, stopping, holdout } = split.counts();
    (train, stopping, holdout)
}

const LATE: Timestamp = Timestamp(1_000_000);

#[test]
fn the_holdout_is_a_period_or_so_many_rows_but_never_more_than_a_fifth() {
    let rows = rows(&[0; 1_000]);
    let as_of = Timestamp(1_000);
    for (period, rows_min, wanted) in [
        (50, 10, (900, 50, 50)),
        (50, 120, (760, 120, 120)),
        (500, 10, (640, 160, 200)),
        (50, 2_000, (640, 160, 200)),
    ] {
        let split = split(&rows, Window::ALL, as_of, None, &rule(period, rows_min)).unwrap();
        assert_eq!(counts(&split), wanted, "{period} {rows_min}");
        assert_eq!(split.holdout.last(), Some(&999));
        assert_eq!(split.cuts.as_of, as_of);
    }
}

#[test]
fn newest_means_newest_by_availability() {
    // The older half of the events became known last.
    let delays = (0..100).map(|at| if at < 50 { 1_000 } else { 0 }).collect::<Vec<_>>();
    let split = split(&rows(&delays), Window::ALL, LATE, None, &rule(1, 20)).unwrap();
    assert_eq!(split.holdout, (30..50).collect::<Vec<_>>());
    assert_eq!(split.stopping, (14..30).collect::<Vec<_>>());
    assert_eq!(split.train, (0..14).chain(50..100).collect::<Vec<_>>());
}

#[test]
fn rows_not_yet_available_are_in_no_part() {
    let mut rows = rows(&[10; 200]);
    rows.available_at[3] = None;
    let as_of = Timestamp(110);
    let split = split(&rows, window(0, 150), as_of, None, &rule(20, 10)).unwrap();
    let all = positions(&rows, window(0, 150), &split.cuts, Part::Fit);
    assert_eq!(all, (0..100).filter(|at| *at != 3).collect::<Vec<_>>(), "available before as_of");
    let parts = [&split.train[..], &split.stopping, &split.holdout].concat();
    assert_eq!(parts, all);
}

#[test]
fn rows_the_champion_may_have_seen_do_not_judge() {
    let rows = rows(&[0; 1_000]);
    let as_of = Timestamp(1_000);
    let cut = |cut| split(&rows, Window::ALL, as_of, Some(Timestamp(cut)), &rule(100, 10));
    let split = cut(950).unwrap();
    assert_eq!((split.cuts.holdout_from, split.holdout.len()), (Timestamp(950), 50));
    assert_eq!(cut(500).unwrap().holdout.len(), 100, "an old champion changes nothing");
    let Err(Error::FewToJudge { rows: 5, least: 10, from, .. }) = cut(995) else { panic!() };
    assert_eq!(from, Timestamp(995));
    let told = cut(1_000).unwrap_err().to_string();
    assert!(told.starts_with("0 rows to judge by, fewer than 10"), "{told}");
}

#[test]
fn rows_available_at_one_instant_stay_together() {
    // Labels arrive in ten batches of a hundred.
    let delays = (0..1_000).map(|at| 100 - at % 100).collect::<Vec<_>>();
    let batches = rows(&delays);
    let parted = split(&batches, Window::ALL, LATE, None, &rule(1, 150)).unwrap();
    assert_eq!(counts(&parted), (800, 100, 100), "a second batch would be too much");
    let one = rows(&(0..1_000).map(|at| 1_000 - at).collect::<Vec<_>>());
    let refused = split(&one, Window::ALL, LATE, None, &rule(1, 150)).unwrap_err();
    assert!(matches!(refused, Error::FewToJudge { rows: 0, available: 1_000, .. }));
}

#[test]
fn what_cannot_be_split_is_told() {
    let good = rows(&[0; 100]);
    let as_of = Timestamp(1_000);
    let refused = |rows: &Rows, window, as_of| {
        split(rows, window, as_of, None, &rule(10, 10)).unwrap_err().to_string()
    };
    assert!(refused(&good, window(5, 5), as_of).ends_with("is empty"));
    assert!(refused(&good, window(500, 600), as_of).starts_with("no row has its event in"));
    let none = refused(&good, Window::ALL, Timestamp(0));
    assert!(none.starts_with("none of the 100 rows") && none.contains("1970-01-01"), "{none}");
    let few = refused(&rows(&[0; 30]), Window::ALL, as_of);
    assert!(few.starts_with("6 rows to judge by, fewer than 10: 30 are available"), "{few}");
    let mut same = rows(&[0; 100]);
    same.label.fill(1.0);
    let one = refused(&same, Window::ALL, as_of);
    assert_eq!(one, "every one of the 10 rows of the holdout has the same label, class 1");
    same.label[85..].copy_from_slice(&good.label[85..]);
    let one = refused(&same, Window::ALL, as_of);
    assert!(one.contains("of the training slice"), "{one}");
}

proptest! {
    #[test]
    fn parts_are_disjoint_whole_and_in_order(
        delays in prop::collection::vec(0_i64..200, 50..400),
        period in 1_u64..300,
        rows_min in 1_usize..200,
        as_of in 1_i64..700,
        cut in prop::option::of(0_i64..700),
    ) {
        let rows = rows(&delays);
        let (as_of, cut) = (Timestamp(as_of), cut.map(Timestamp));
        let rule = rule(period, rows_min);
        if let Ok(split) = split(&rows, Window::ALL, as_of, cut, &rule) {
            let at = |position: &usize| rows.available_at[*position].unwrap();
            let eligible = (0..rows.len()).filter(|position| at(position) < as_of).count();
            let all = [&split.train[..], &split.stopping, &split.holdout].concat();
            let distinct = all.iter().collect::<std::collections::BTreeSet<_>>().len();
            prop_assert_eq!((all.len(), distinct), (eligible, eligible));
            prop_assert!(split.holdout.len() * 5 <= eligible);
            prop_assert!(split.stopping.len() * 5 <= eligible - split.holdout.len());
            prop_assert!(split.holdout.len() >= rule.rows_least);
            let newest_train = split.train.iter().map(at).max().unwrap();
            prop_assert!(split.stopping.iter().map(at).all(|stop| stop > newest_train));
            let newest = split.train.iter().chain(&split.stopping).map(at).max().unwrap();
            prop_assert!(split.holdout.iter().map(at).all(|held| held > newest));
            prop_assert!(split.holdout.iter().map(at).all(|held| cut.is_none_or(|cut| held >= cut)));
            for (part, there) in [
                (Part::Train, &split.train),
                (Part::Stopping, &split.stopping),
                (Part::Holdout, &split.holdout),
            ] {
                prop_assert_eq!(&positions(&rows, Window::ALL, &split.cuts, part), there);
            }
        }
    }
}
