//! What recalibrating would do: the calibration of parts of a log, and every period's loss after recalibration on
//! the labels known before it. Two classes by a logistic curve, many by a temperature, numbers by a line.

use serde::Serialize;

use super::calibrate::{self, Bin, Logistic, Parts};
use super::payoff::Course;
use super::ranking::{Group, Ranking};
use super::tally::{Form, Sums, Tally};
use super::temperature;

/// Labelled rows that a recalibration is fitted on, where four periods have them.
const RECALIBRATION_ROWS: f64 = 2_000.0;
/// Periods back that it may reach for them.
const RECALIBRATION_PERIODS: usize = 4;
/// Calibration of a part of the log.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Calibration {
    /// `all`, `first third` or `last third`.
    pub part: &'static str,
    /// The reliability curve; of the likeliest class where there are many. Empty for numbers.
    pub bins: Vec<Bin>,
    /// Expected calibration error.
    pub expected_error: Option<f64>,
    /// Log loss taken apart; for two classes.
    pub parts: Option<Parts>,
    /// The best logistic recalibration; for two classes.
    pub logistic: Option<Logistic>,
    /// The best temperature; for one probability per class. Above 1: probabilities are too extreme.
    pub temperature: Option<f64>,
    /// Mean prediction and mean label.
    pub means: Option<(f64, f64)>,
}

/// Loss of each period recalibrated on the newest earlier periods whose labels were known by then.
pub(super) fn recalibrated(
    tally: &Tally,
    sums: &[(Sums, u16)],
    usable: &[bool],
    scale: f64,
) -> Vec<Option<f64>> {
    let hours = u64::from(tally.grid().period_hours);
    let lag = usize::try_from(tally.delay_hours(0.9).div_ceil(hours)).unwrap_or(usize::MAX);
    let one = |at: usize| {
        let end = at.checked_sub(lag)?;
        let mut from = end;
        let mut rows = 0.0;
        while from > 0 && end - from < RECALIBRATION_PERIODS && rows < RECALIBRATION_ROWS {
            from -= 1;
            rows += sums[from].0.weight;
        }
        // What another version said is no guide.
        let own = (from..end).filter(|before| usable[*before] && sums[*before].1 == sums[at].1);
        match tally.form() {
            Form::Probability => {
                let mut pooled = Ranking::default();
                own.for_each(|before| pooled.merge(&tally.stocks()[before].ranking));
                let logistic = Logistic::fit(&pooled.groups())?;
                let groups = tally.stocks()[at].ranking.groups();
                // The difference within the bins, so that their width cancels out.
                let gain = calibrate::mean_loss(&groups, |p| p)
                    - calibrate::mean_loss(&groups, |p| logistic.apply(p));
                Some(sums[at].0.mean_loss() - gain)
            }
            Form::Value => {
                let mut pooled = Sums::default();
                own.for_each(|before| pooled.merge(&sums[before].0));
                let (a, b) = line(&pooled)?;
                Some(squared_error(&sums[at].0, a, b) / scale)
            }
            Form::Probabilities { .. } => {
                let samples = own.filter_map(|before| tally.stocks()[before].sample.as_ref());
                let fitted = temperature::fit(&samples.collect::<Vec<_>>())?;
                let sample = tally.stocks()[at].sample.as_ref()?;
                // The difference within the sample, so that its luck cancels out.
                let gain =
                    temperature::mean_loss(sample, 1.0)? - temperature::mean_loss(sample, fitted)?;
                Some(sums[at].0.mean_loss() - gain)
            }
            Form::Answer { .. } => None,
        }
    };
    (0..sums.len()).map(|at| if usable[at] { one(at) } else { None }).collect()
}

/// The least-squares line of labels on predictions.
pub(super) fn line(sums: &Sums) -> Option<(f64, f64)> {
    let (n, p, y) = (sums.weight, sums.prediction, sums.label);
    let spread = sums.prediction_squares - p * p / n;
    let slope = (sums.product - p * y / n) / spread;
    (n > 0.0 && spread > 0.0 && slope.is_finite()).then(|| ((y - slope * p) / n, slope))
}

/// Mean squared error of `a + b · prediction`.
pub(super) fn squared_error(sums: &Sums, a: f64, b: f64) -> f64 {
    let total = sums.label_squares - 2.0 * a * sums.label - 2.0 * b * sums.product
        + a * a * sums.weight
        + 2.0 * a * b * sums.prediction
        + b * b * sums.prediction_squares;
    total / sums.weight
}

/// Calibration of the whole log, of its first and of its last third.
pub(super) fn calibration(
    tally: &Tally,
    sums: &[(Sums, u16)],
    course: &Course,
) -> Vec<Calibration> {
    if matches!(tally.form(), Form::Answer { .. }) {
        return Vec::new();
    }
    let usable = (0..sums.len()).filter(|at| course.usable[*at]).collect::<Vec<_>>();
    let third = usable.len() / 3;
    let parts = [
        ("all", &usable[..]),
        ("first third", &usable[..third]),
        ("last third", &usable[usable.len() - third..]),
    ];
    let one = |(part, periods): (&'static str, &[usize])| {
        let (mut ranking, mut total) = (Ranking::default(), Sums::default());
        for at in periods {
            ranking.merge(&tally.stocks()[*at].ranking);
            total.merge(&sums[*at].0);
        }
        let groups = ranking.groups();
        let bins = calibrate::reliability(&groups, calibrate::BINS);
        let two = matches!(tally.form(), Form::Probability);
        let for_two = |groups: &[Group]| calibrate::parts(groups).filter(|_| two);
        let numbers = matches!(tally.form(), Form::Probability | Form::Value);
        Calibration {
            part,
            expected_error: (!bins.is_empty()).then(|| calibrate::expected_error(&bins)),
            parts: for_two(&groups),
            logistic: Logistic::fit(&groups).filter(|_| two),
            temperature: temperature::fit(
                &periods
                    .iter()
                    .filter_map(|at| tally.stocks()[*at].sample.as_ref())
                    .collect::<Vec<_>>(),
            ),
            means: numbers.then(|| (total.prediction / total.weight, total.mean_label())),
            bins,
        }
    };
    parts.into_iter().map(one).collect()
}
