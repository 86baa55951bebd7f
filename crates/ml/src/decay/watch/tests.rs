//! Watches over synthetic streams: false alarms under many looks, delay, what shifts without harm, edges.

use super::*;
use crate::metrics::fixtures::{close, multiclass, regression};
use crate::rng::Rng;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;

fn day_and_week() -> Vec<Window> {
    [("24h", 24), ("7d", 168)]
        .map(|(name, hours)| Window {
            name: name.to_owned(),
            length: hours * HOUR,
            bucket: hours * HOUR / 24,
        })
        .to_vec()
}

fn plan(task: Task, metrics: &[Metric], labels: &[f64], predictions: &[f64]) -> Plan {
    let all = Standard::all(task, labels, predictions);
    let of = |metric: &Metric| all.iter().find(|one| one.metric == *metric).unwrap().clone();
    let losses = of(&primary(task)).losses.unwrap();
    Plan {
        task,
        standards: metrics.iter().map(of).collect(),
        primary: losses,
        windows: day_and_week(),
        test: Test::Sequential,
        drop: 0.05,
        alpha: 0.01,
    }
}

/// A model whose probabilities come true; `blur` is the share of labels that have nothing to do with them.
#[derive(Clone, Copy)]
struct Stream {
    base: f64,
    blur: f64,
}

impl Stream {
    const CALM: Stream = Stream { base: 0.3, blur: 0.0 };

    fn row(self, rng: &mut Rng) -> (f64, f64) {
        // Log odds scattered about the base rate's.
        let z = (self.base / (1.0 - self.base)).ln() + 1.2 * rng.normal();
        let p = 1.0 / (1.0 + (-z).exp());
        let chance = if rng.uniform() < self.blur { self.base } else { p };
        (f64::from(u8::from(rng.uniform() < chance)), p)
    }

    fn rows(self, rng: &mut Rng, rows: usize) -> (Vec<f64>, Vec<f64>) {
        (0..rows).map(|_| self.row(rng)).unzip()
    }
}

const THREE: [Metric; 3] = [Metric::Auc, Metric::LogLoss, Metric::Accuracy];

/// Watches `rows` rows, one a minute, looking every four hours; gives the first row at which anything is
/// detected, and the last report.
fn follow(
    watch: &mut Watch,
    rows: usize,
    mut row: impl FnMut(usize) -> (f64, f64),
) -> (Option<usize>, Report) {
    let (mut first, mut at) = (None, 0_i64);
    for from in (0..rows).step_by(240) {
        let (labels, predictions): (Vec<f64>, Vec<f64>) = (from..from + 240).map(&mut row).unzip();
        let times = (0..240).map(|minute| at + minute * MINUTE).collect::<Vec<_>>();
        watch.update_many(&times, &labels, &predictions).unwrap();
        at += 240 * MINUTE;
        let report = watch.report(at, &[0, 0]);
        if first.is_none() && report.decay.iter().any(|decay| decay.detected) {
            first = Some(from + 240);
        }
    }
    (first, watch.report(at, &[0, 0]))
}

#[test]
fn quiet_streams_looked_at_often_alarm_no_more_often_than_alpha() {
    // 200 streams of 14 days, 84 looks each, three metrics in two windows; no drop is tolerated, so that only the
    // tests protect. Both errors together are 0.02: 4 streams, tolerated up to 8. The plain t-test alarms in
    // most of them.
    let (mut alarms, mut plain) = (0, 0);
    for seed in 0..200 {
        let mut rng = Rng::new(seed);
        let (labels, predictions) = Stream::CALM.rows(&mut rng, 4_000);
        let quiet = plan(Task::Binary, &THREE, &labels, &predictions);
        let quiet = Plan { drop: 0.0, ..quiet };
        let mut watch = Watch::new(quiet.clone()).unwrap();
        let start = rng.clone();
        let (first, _) = follow(&mut watch, 20_160, |_| Stream::CALM.row(&mut rng));
        alarms += u32::from(first.is_some());
        if seed % 10 == 0 {
            let mut rng = start;
            let classic = Plan { test: Test::TTestUncorrected, ..quiet };
            let mut watch = Watch::new(classic).unwrap();
            let mut seen = false;
            let mut at = 0;
            for _ in 0..84 {
                let (labels, predictions) = Stream::CALM.rows(&mut rng, 240);
                let times = (0..240).map(|minute| at + minute * MINUTE).collect::<Vec<_>>();
                watch.update_many(&times, &labels, &predictions).unwrap();
                at += 240 * MINUTE;
                let report = watch.report(at, &[]);
                seen |= report.decay.iter().any(|decay| decay.detected && decay.significant);
            }
            plain += u32::from(seen);
        }
    }
    assert!(alarms <= 8, "{alarms} of 200");
    assert!(plain >= 12, "{plain} of 20");
}

#[test]
fn abrupt_and_gradual_decay_are_found() {
    // Days from the beginning of decay to the first look that detects it, over 40 streams: at most so many in
    // the median and in nine of ten. 1,440 rows a day; the area falls from .78 to .64.
    for (name, length, median, most) in
        [("abrupt", 1.0, 2.0, 4.0), ("over ten days", 14_400.0, 10.5, 13.0)]
    {
        let mut delays = Vec::new();
        for seed in 0..40 {
            let mut rng = Rng::new(1_000 + seed);
            let (labels, predictions) = Stream::CALM.rows(&mut rng, 4_000);
            let plan = plan(Task::Binary, &THREE, &labels, &predictions);
            let mut watch = Watch::new(plan).unwrap();
            let (first, _) = follow(&mut watch, 28_800, |row| {
                let since = (row as f64 - 7_200.0).max(0.0);
                Stream { blur: 0.5 * (since / length).min(1.0), ..Stream::CALM }.row(&mut rng)
            });
            let days = first.map_or(f64::INFINITY, |row| (row as f64 - 7_200.0) / 1_440.0);
            assert!(days > 0.0, "{name}: a false alarm");
            delays.push(days);
        }
        delays.sort_by(f64::total_cmp);
        assert!(delays[20] <= median && delays[35] <= most, "{name}: {delays:?}");
    }
}

#[test]
fn a_shift_of_the_labels_alone_decays_the_loss_and_not_the_ranking() {
    // Twice as many positives, drawn within each class as before: the area is the same, log loss is not.
    let mut alarms = [0; 2];
    for seed in 0..20 {
        let mut rng = Rng::new(3_000 + seed);
        let (labels, predictions) = Stream::CALM.rows(&mut rng, 4_000);
        let metrics = [Metric::Auc, Metric::LogLoss];
        let mut watch = Watch::new(plan(Task::Binary, &metrics, &labels, &predictions)).unwrap();
        let (_, report) = follow(&mut watch, 20_160, |_| {
            loop {
                let (label, p) = Stream::CALM.row(&mut rng);
                // A negative is kept once in three: positives become 56 % instead of 30 %.
                if label > 0.5 || rng.uniform() < 1.0 / 3.0 {
                    return (label, p);
                }
            }
        });
        for (at, metric) in metrics.iter().enumerate() {
            let mut of = report.decay.iter().filter(|decay| decay.metric == metric.name());
            alarms[at] += u32::from(of.any(|decay| decay.detected));
        }
        let auc = &watch.sequential()[0];
        assert!(auc.0 == Metric::Auc && !auc.1.detected, "{auc:?}");
    }
    assert_eq!(alarms, [0, 20]);
}

#[test]
fn a_bad_day_that_is_over_is_seen_in_the_week_and_not_in_the_day() {
    let mut rng = Rng::new(8);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 4_000);
    let mut watch = Watch::new(plan(Task::Binary, &THREE, &labels, &predictions)).unwrap();
    let (_, report) = follow(&mut watch, 10_080, |row| {
        let blur = if row < 8_000 { 0.8 } else { 0.0 };
        Stream { blur, ..Stream::CALM }.row(&mut rng)
    });
    let told = |window| {
        let of = report.decay.iter().filter(move |decay| decay.window == window);
        of.map(|decay| decay.detected).collect::<Vec<_>>()
    };
    assert_eq!(told("24h"), [false; 3], "{report:#?}");
    assert_eq!(told("7d"), [true; 3], "{report:#?}");
    assert!(report.priority >= 4, "{report:?}");
    let alarmed = watch.sequential().into_iter().map(|(_, state)| state.detected);
    assert!(alarmed.into_iter().all(|alarmed| alarmed));
}

#[test]
fn values_are_those_of_the_buckets_rows() {
    // Three hours of 40, 10 and 55 rows: the second is too thin and lasts until it is not.
    let mut rng = Rng::new(2);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 500);
    let mut plan = plan(Task::Binary, &[Metric::Auc, Metric::Brier], &labels, &predictions);
    plan.windows = vec![Window { name: "6h".to_owned(), length: 6 * HOUR, bucket: HOUR }];
    let mut watch = Watch::new(plan).unwrap();
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 135);
    let hours = [(0, 40), (1, 10), (2, 55), (3, 30)];
    let times = hours.iter().flat_map(|(hour, rows)| vec![hour * HOUR; *rows]).collect::<Vec<_>>();
    watch.update_many(&times, &labels, &predictions).unwrap();
    let metrics = watch.metrics.clone();
    let (values, rows) = watch.buckets[0].values(Task::Binary, &metrics, 4 * HOUR);
    assert_eq!((rows, values[0].len()), (135, 3));
    for (at, range) in [0..40, 40..105, 105..135].into_iter().enumerate() {
        for (values, metric) in values.iter().zip(&metrics) {
            let expected =
                metric.value(Task::Binary, &labels[range.clone()], &predictions[range.clone()]);
            close(values[at].unwrap(), expected.unwrap());
        }
    }
    // The window moves on: the first bucket is out of it.
    assert_eq!(watch.buckets[0].values(Task::Binary, &metrics, 7 * HOUR).1, 95);
    let report = watch.report(4 * HOUR, &[17]);
    assert!(report.decay.is_empty() && report.priority == 1);
    assert_eq!(
        (report.silent[0].why.as_str(), report.silent[0].unlabelled),
        ("3 of 10 buckets", 17)
    );
}

#[test]
fn a_large_bucket_is_measured_in_blocks() {
    let mut rng = Rng::new(5);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 20_000);
    let metrics = [Metric::LogLoss, Metric::Accuracy, Metric::Auc];
    let plan = plan(Task::Binary, &metrics, &labels, &predictions);
    let mut watch = Watch::new(plan).unwrap();
    watch.update_many(&[0; 20_000], &labels, &predictions).unwrap();
    let (values, _) = watch.buckets[0].values(Task::Binary, &metrics, HOUR);
    let whole = metrics.map(|metric| metric.value(Task::Binary, &labels, &predictions).unwrap());
    close(values[0][0].unwrap(), whole[0]);
    close(values[1][0].unwrap(), whole[1]);
    assert!((values[2][0].unwrap() - whole[2]).abs() < 2e-3, "{values:?} {whole:?}");
}

#[test]
fn a_watch_goes_on_bit_for_bit_however_rows_are_handed_over() {
    let mut rng = Rng::new(6);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 3_000);
    let plan = plan(Task::Binary, &THREE, &labels, &predictions);
    let (labels, predictions) = Stream { blur: 0.4, ..Stream::CALM }.rows(&mut rng, 9_000);
    let times = (0..9_000).map(|row| row * MINUTE).collect::<Vec<_>>();
    let mut whole = Watch::new(plan.clone()).unwrap();
    whole.update_many(&times, &labels, &predictions).unwrap();
    let mut parts = Watch::new(plan).unwrap();
    for from in (0..9_000).step_by(700) {
        let to = (from + 700).min(9_000);
        parts
            .update_many(&times[from..=from], &labels[from..=from], &predictions[from..=from])
            .unwrap();
        parts = serde_json::from_str(&serde_json::to_string(&parts).unwrap()).unwrap();
        let rest = from + 1..to;
        parts.update_many(&times[rest.clone()], &labels[rest.clone()], &predictions[rest]).unwrap();
    }
    assert_eq!(parts, whole);
    assert_eq!(parts.report(9_000 * MINUTE, &[]), whole.report(9_000 * MINUTE, &[]));
}

#[test]
fn memory_does_not_grow_with_rows() {
    let mut rng = Rng::new(6);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 3_000);
    let mut watch = Watch::new(plan(Task::Binary, &THREE, &labels, &predictions)).unwrap();
    let mut sizes = Vec::new();
    let mut at = 0;
    for rounds in [400, 4_000] {
        for _ in 0..rounds {
            let times = (0..20).map(|row| at + row * 20 * MINUTE).collect::<Vec<_>>();
            watch.update_many(&times, &labels[..20], &predictions[..20]).unwrap();
            at += 20 * 20 * MINUTE;
        }
        sizes.push(serde_json::to_string(&watch).unwrap().len());
    }
    assert_eq!(watch.rows(), 88_000);
    assert!(watch.trail().len() <= 512 && sizes[1] < 3 * sizes[0], "{sizes:?}");
    let rows = watch.trail().iter().map(|point| point.rows).sum::<u64>();
    assert!(rows > 87_000, "{rows}");
}

#[test]
fn errors_of_regression_are_followed_and_judged_as_shares() {
    let task = Task::Regression;
    let calm = regression(3_000, 4);
    let metrics = [Metric::Rmse, Metric::Mae, Metric::R2];
    let plan = plan(task, &metrics, &calm.labels, &calm.champion);
    for (stretch, detected) in [(1.0, false), (1.5, true)] {
        let mut watch = Watch::new(plan.clone()).unwrap();
        let rows = regression(8_000, 9);
        let pairs = rows.labels.iter().zip(&rows.champion);
        let worse = pairs.map(|(y, p)| y + stretch * (p - y)).collect::<Vec<_>>();
        let times = (0..8_000).map(|row| row * MINUTE).collect::<Vec<_>>();
        watch.update_many(&times, &rows.labels, &worse).unwrap();
        let report = watch.report(8_000 * MINUTE, &[3, 4]);
        assert_eq!(report.decay.len(), 6, "{report:?}");
        for decay in &report.decay {
            let r2 = decay.metric == "r2";
            assert_eq!(decay.test, if r2 { Test::TTest } else { Test::Sequential });
            assert_eq!(decay.detected, detected, "{decay:?}");
            let share = if r2 { 0.05 } else { 0.05 * decay.baseline };
            close(decay.threshold, share);
            assert_eq!(decay.unlabelled, if decay.window == "24h" { 3 } else { 4 });
        }
        assert_eq!(report.priority, if detected { 5 } else { 1 });
    }
}

#[test]
fn several_classes_are_followed() {
    let task = Task::Multiclass { classes: 4 };
    let calm = multiclass(3_000, 4);
    let metrics = [Metric::Accuracy, Metric::LogLoss, Metric::Auc, Metric::F1, Metric::Brier];
    let plan = plan(task, &metrics, &calm.labels, &calm.champion);
    let rows = multiclass(6_000, 9);
    let times = (0..6_000).map(|row| row * MINUTE).collect::<Vec<_>>();
    for (turned, detected) in [(0.0, false), (1.0, true)] {
        let labels = rows.labels.iter().enumerate();
        let labels = labels.map(|(row, y)| if row % 2 == 0 { (y + turned) % 4.0 } else { *y });
        let labels = labels.collect::<Vec<_>>();
        let mut watch = Watch::new(plan.clone()).unwrap();
        watch.update_many(&times, &labels, &rows.champion).unwrap();
        let report = watch.report(6_000 * MINUTE, &[0, 0]);
        assert_eq!(report.decay.len(), 10, "{report:?}");
        for decay in &report.decay {
            assert_eq!(decay.detected, detected, "{decay:?}");
            let own = ["accuracy", "log_loss", "brier"].contains(&decay.metric.as_str());
            assert_eq!(decay.test, if own { Test::Sequential } else { Test::TTest });
        }
    }
}

#[test]
fn t_tests_are_corrected_unless_unwanted() {
    let mut rng = Rng::new(6);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 3_000);
    let plan = plan(Task::Binary, &THREE, &labels, &predictions);
    let report = |test| {
        let mut rng = Rng::new(77);
        let mut watch = Watch::new(Plan { test, ..plan.clone() }).unwrap();
        let stream = Stream { blur: 0.1, ..Stream::CALM };
        follow(&mut watch, 10_080, |_| stream.row(&mut rng)).1
    };
    let (corrected, plain) = (report(Test::TTest), report(Test::TTestUncorrected));
    assert_eq!(corrected.decay.len(), 6);
    let p_values = plain.decay.iter().map(|decay| decay.p_value).collect::<Vec<_>>();
    for ((corrected, plain), adjusted) in
        corrected.decay.iter().zip(&plain.decay).zip(holm(&p_values))
    {
        close(corrected.p_value, plain.p_value);
        close(corrected.p_adjusted, adjusted);
        close(plain.p_adjusted, plain.p_value);
        assert_eq!(corrected.test, Test::TTest);
        assert_eq!(plain.test, Test::TTestUncorrected);
        assert_eq!(plain.detected, plain.drop > plain.threshold);
    }
}

#[test]
fn one_class_only_is_said_and_is_not_zero() {
    let mut rng = Rng::new(6);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 3_000);
    let metrics = [Metric::Auc, Metric::LogLoss];
    let mut watch = Watch::new(plan(Task::Binary, &metrics, &labels, &predictions)).unwrap();
    let times = (0..1_440).map(|row| row * MINUTE).collect::<Vec<_>>();
    watch.update_many(&times, &[0.0; 1_440], &predictions[..1_440]).unwrap();
    let report = watch.report(24 * HOUR, &[5, 6]);
    assert_eq!(report.decay.iter().map(|d| d.metric.as_str()).collect::<Vec<_>>(), ["log_loss"]);
    let auc = &report.silent[0];
    assert_eq!((auc.metric.as_str(), auc.values, auc.undefined), ("auc", 0, 24));
    assert_eq!(auc.why, "undefined in 24 of 24 buckets");
    // Rows of both classes later: the undefined buckets are counted beside.
    let times = times.iter().map(|at| at + 12 * HOUR + 12 * HOUR).collect::<Vec<_>>();
    watch.update_many(&times[..900], &labels[..900], &predictions[..900]).unwrap();
    let report = watch.report(39 * HOUR, &[]);
    let auc = &report.decay[0];
    assert_eq!((auc.metric.as_str(), auc.values, auc.undefined), ("auc", 15, 9));
    // No rows at all, then and now.
    let empty = Watch::new(watch.plan().clone()).unwrap().report(HOUR, &[9, 9]);
    assert_eq!((empty.decay.len(), empty.silent.len(), empty.priority), (0, 4, 1));
    assert_eq!(empty.silent[0].why, "no labelled rows");
}

#[test]
fn a_missing_standard_is_the_present() {
    let mut rng = Rng::new(6);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 3_000);
    let mut plan = plan(Task::Binary, &THREE, &labels, &predictions);
    for standard in &mut plan.standards {
        (standard.value, standard.losses) = (None, None);
    }
    let mut watch = Watch::new(plan).unwrap();
    let (_, report) =
        follow(&mut watch, 4_800, |_| Stream { blur: 0.9, ..Stream::CALM }.row(&mut rng));
    assert!(report.decay.iter().all(|decay| !decay.detected && decay.drop.abs() < 1e-12));
    // The task's own losses are followed all the same.
    assert!(watch.primary().detected);
}

#[test]
fn bad_rows_are_refused_and_change_nothing() {
    let mut rng = Rng::new(6);
    let (labels, predictions) = Stream::CALM.rows(&mut rng, 100);
    let plan = plan(Task::Binary, &THREE, &labels, &predictions);
    let mut watch = Watch::new(plan.clone()).unwrap();
    watch.update_many(&[5, 6], &labels[..2], &predictions[..2]).unwrap();
    let before = watch.clone();
    for (at, labels, predictions, expected) in [
        (
            &[7, 6][..],
            &[0.0, 1.0][..],
            &[0.1, 0.2][..],
            "row 1 became available at 6, before the newest",
        ),
        (&[4], &[0.0], &[0.1], "row 0 became available at 4, before the newest so far at 6"),
        (&[7], &[0.0], &[1.1], "the prediction of row 0 is 1.1, which is no probability"),
        (&[7], &[0.0], &[f64::NAN], "the rows cannot be measured"),
        (&[7], &[2.0], &[0.1], "the rows cannot be measured"),
        (&[7, 8], &[1.0], &[0.1], "the rows cannot be measured"),
    ] {
        let error = watch.update_many(at, labels, predictions).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
        assert_eq!(watch, before);
    }
    watch.update_many(&[], &[], &[]).unwrap();
    assert_eq!(watch, before);
    let none = Watch::new(Plan { windows: Vec::new(), ..plan.clone() });
    assert_eq!(none.unwrap_err(), Error::NoWindow);
    let window = Window { name: "0h".to_owned(), length: 0, bucket: 1 };
    let error = Watch::new(Plan { windows: vec![window], ..plan }).unwrap_err().to_string();
    assert!(error.starts_with("window 0h is 0 long"), "{error}");
}

#[test]
fn pairs_follow_the_area_without_bias() {
    let mut rng = Rng::new(14);
    for base in [0.03, 0.3, 0.8] {
        let (labels, predictions) = Stream { base, blur: 0.2 }.rows(&mut rng, 60_000);
        let area = Metric::Auc.value(Task::Binary, &labels, &predictions).unwrap();
        let losses = Pairs::default().take_many(&labels, &predictions);
        let mean = losses.iter().sum::<f64>() / losses.len() as f64;
        assert!((1.0 - mean - area).abs() < 0.012, "{base}: {mean} {area} {}", losses.len());
    }
    // Ties count half; a run waits as one.
    let losses = Pairs::default().take_many(&[0.0, 0.0, 1.0, 1.0, 0.0], &[0.2, 0.8, 0.8, 0.4, 0.6]);
    assert_eq!(losses, [0.25, 1.0]);
}
