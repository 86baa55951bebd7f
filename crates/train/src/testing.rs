//! Small rows for tests.

use afresh_core::time::Timestamp;
use afresh_data::rows::{Column, MISSING, Rows, Values};
use afresh_data::schema::{Feature, Kind, Schema, Task};

/// Rows one millisecond apart with these columns and labels.
pub(crate) fn rows(columns: Vec<Column>, labels: &[f64]) -> Rows {
    let times = (0..).take(labels.len()).map(Timestamp).collect::<Vec<_>>();
    Rows {
        key: (0..).take(labels.len()).collect(),
        available_at: times.iter().copied().map(Some).collect(),
        event_time: times,
        label: labels.to_vec(),
        weight: vec![1.0; labels.len()],
        columns,
    }
}

pub(crate) fn numeric(name: &str, values: &[f64]) -> Column {
    Column { name: name.into(), values: Values::Numeric(values.to_vec()) }
}

/// The empty text is missing.
pub(crate) fn categorical(name: &str, values: &[&str], names: &[&str]) -> Column {
    let code = |value: &&str| {
        (0..).zip(names).find(|(_, name)| *name == value).map_or(MISSING, |(code, _)| code)
    };
    let names = names.iter().map(ToString::to_string).collect();
    Column {
        name: name.into(),
        values: Values::Categorical { codes: values.iter().map(code).collect(), names },
    }
}

pub(crate) fn schema(task: Task, features: &[(&str, Kind)]) -> Schema {
    let classes = match task {
        Task::Binary => vec!["no".into(), "yes".into()],
        Task::Multiclass => vec!["a".into(), "b".into(), "c".into()],
        Task::Regression => Vec::new(),
    };
    let features =
        features.iter().map(|(name, kind)| Feature { name: (*name).into(), kind: *kind }).collect();
    Schema { task, features, classes }
}

/// `count` rows with a number, a category and noise; the label follows both.
pub(crate) fn example(task: Task, count: usize) -> (Schema, Rows) {
    let mut state = 7_u64;
    let mut uniform = || {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(state >> 33).unwrap()) / f64::from(1_u32 << 31)
    };
    let names = ["red", "green", "blue", "grey"];
    let (mut x, mut noise, mut colours, mut labels) = (vec![], vec![], vec![], vec![]);
    for _ in 0..count {
        let (value, colour) = (uniform() * 10.0, names[quarter(uniform())]);
        let score = value / 5.0 - 1.0 + if colour == "red" { 1.5 } else { -0.5 } + uniform() - 0.5;
        labels.push(match task {
            Task::Binary => f64::from(u8::from(score > 0.0)),
            Task::Multiclass => (score + 1.5).clamp(0.0, 2.0).floor(),
            Task::Regression => score,
        });
        x.push(if uniform() < 0.05 { f64::NAN } else { value });
        noise.push(uniform());
        colours.push(if uniform() < 0.05 { "" } else { colour });
    }
    let columns =
        vec![numeric("x", &x), categorical("colour", &colours, &names), numeric("noise", &noise)];
    let features = [("x", Kind::Numeric), ("colour", Kind::Categorical), ("noise", Kind::Numeric)];
    (schema(task, &features), rows(columns, &labels))
}

/// Which quarter of `[0, 1)` a number lies in.
fn quarter(number: f64) -> usize {
    [0.25, 0.5, 0.75].iter().filter(|border| number >= **border).count()
}
