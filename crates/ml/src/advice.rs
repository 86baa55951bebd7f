//! What a log of predictions and labels tells about its model: decay against seasons, calibration, and
//! when retraining would have paid. One pass fills a [`Tally`](tally::Tally); [`findings`] reads it.

pub mod calibrate;
pub mod payoff;
pub mod ranking;
pub mod recalibration;
pub mod recommend;
pub mod slices;
pub mod steps;
pub mod tally;
pub mod temperature;
pub mod trend;

mod regression;

use serde::Serialize;

use crate::decay::sequential::{Baseline, Clip, Parameters, SequentialDecay};
use payoff::{Course, Interval, Levels, Payoff, Prices};
use recalibration::{Calibration, calibration, line, recalibrated, squared_error};
use recommend::Action;
use slices::Sliced;
use tally::{Form, Sums, Tally};
use trend::{Trend, Unit};

/// Whole periods with enough labels that an analysis needs.
pub const PERIODS_MIN: usize = 6;
/// Labelled rows below which a period says nothing.
const ROWS_MIN: u64 = 10;
/// Two-sided 95 % of a normal value.
const Z: f64 = 1.959_963_984_540_054;

/// What the owner says.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Settings {
    /// Price of one unit of loss of one prediction.
    pub per_loss: f64,
    /// Price of a run; [`payoff::RUN_SHARE`] of a constant guess's loss in a usual period where `None`.
    pub per_run: Option<f64>,
    /// Of all resampling.
    pub seed: u64,
}

/// Why a log cannot be analysed.
#[derive(Clone, Copy, Debug, PartialEq, thiserror::Error)]
pub enum Problem {
    /// No row has a label.
    #[error("no prediction has a label")]
    NoLabels,
    /// Nothing to tell apart.
    #[error("every label is the same in every period")]
    OneClass,
    /// A constant.
    #[error("every prediction is {0}")]
    ConstantPrediction(f64),
    /// Too little history.
    #[error(
        "{usable} of {whole} whole periods have enough labels: at least {PERIODS_MIN} are needed"
    )]
    TooFewPeriods {
        /// With labels.
        usable: usize,
        /// In all.
        whole: usize,
    },
}

/// One period.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Period {
    /// Predictions.
    pub rows: u64,
    /// Of those, still without label.
    pub unlabelled: u64,
    /// What made most of them.
    pub version: u16,
    /// Enough labels of more than one kind: it counts for trend and cost.
    pub usable: bool,
    /// AUC, accuracy or root mean squared error.
    pub metric: Option<Interval>,
    /// Mean loss: log loss, share of wrong answers, or squared error in units of the labels' variance.
    pub loss: Option<Interval>,
    /// Mean label: the share of positives, or the mean value; `None` where there are many classes.
    pub label: Option<f64>,
    /// Mean prediction, likewise.
    pub prediction: Option<f64>,
    /// Loss of always answering the period's own base rate.
    pub difficulty: f64,
    /// Loss that a fresh version would have had, as assumed.
    pub fresh: f64,
    /// Loss above that.
    pub excess: Option<f64>,
    /// The excess without its noise.
    pub level: f64,
    /// Part of the loss that recalibrating on the same rows would take away.
    pub miscalibration: Option<f64>,
    /// Part of the difficulty that telling rows apart took away.
    pub discrimination: Option<f64>,
    /// Loss after recalibration on the labels known before it.
    pub recalibrated: Option<f64>,
}

/// Mean loss at one place of a season.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Phase {
    /// Hour of the day, day of the week from Monday, or month of the year, from 0.
    pub at: u32,
    /// Labelled rows.
    pub rows: u64,
    /// Mean loss.
    pub loss: f64,
    /// Loss of always answering the base rate of that place.
    pub difficulty: f64,
}

/// Excess by age of the version.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Age {
    /// Periods since the version's first.
    pub periods: usize,
    /// Labelled rows.
    pub rows: f64,
    /// Mean excess.
    pub excess: f64,
}

/// A stretch over which the excess of one version lay at one level.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Level {
    /// First period.
    pub from: usize,
    /// The period after the last.
    pub to: usize,
    /// What served most.
    pub version: u16,
    /// Mean excess.
    pub excess: f64,
}

/// What the log tells.
#[derive(Clone, Debug, Serialize)]
pub struct Findings {
    /// In order.
    pub periods: Vec<Period>,
    /// `auc`, `accuracy` or `rmse`.
    pub metric: &'static str,
    /// `log loss`, `share of wrong answers` or `squared error / label variance`.
    pub loss: &'static str,
    /// Labels' variance of the first periods, by which squared errors are divided; 1 otherwise.
    pub scale: f64,
    /// How far an AUC can be from that of the rows one by one, at most over all periods.
    pub metric_error_max: f64,
    /// `None` where the regression has too few cells.
    pub trend: Option<Trend>,
    /// By hour of the day; empty where the log is shorter than two days.
    pub hours: Vec<Phase>,
    /// By day of the week; empty where the log is shorter than two weeks.
    pub weekdays: Vec<Phase>,
    /// Everything, first and last third.
    pub calibration: Vec<Calibration>,
    /// Excess by age.
    pub ages: Vec<Age>,
    /// Where the excess lay, from stretch to stretch without gaps; the last one is the one that lasts.
    pub levels: Vec<Level>,
    /// Hour since 1970 at which a sequential watch that began after the first periods would have raised
    /// its alarm, one false alarm in a hundred such logs.
    pub alarm_hour: Option<i64>,
    /// Periods that "at first" means.
    pub fresh_periods: usize,
    /// Hours by which nine of ten labels were known.
    pub label_delay_hours: u64,
    /// What retraining would have bought.
    pub payoff: Payoff,
    /// What got worse most, of the columns that were sliced by.
    pub sliced: Sliced,
    /// What to do.
    pub action: Action,
}

/// Reads a full tally.
pub fn findings(tally: &Tally, settings: Settings) -> Result<Findings, Problem> {
    let form = tally.form();
    let count = tally.grid().periods;
    if count == 0 {
        return Err(Problem::TooFewPeriods { usable: 0, whole: 0 });
    }
    let sums = by_period(tally);
    if sums.iter().all(|(sums, _)| sums.rows == 0) {
        return Err(Problem::NoLabels);
    }
    let (low, high) = tally.range;
    if high <= low {
        return Err(Problem::ConstantPrediction(low));
    }
    let difficulty = (0..count).map(|at| difficulty(tally, &sums[at].0, at)).collect::<Vec<_>>();
    let mature = mature(&sums);
    if mature.iter().any(|mature| *mature) && difficulty.iter().all(|d| *d <= 0.0) {
        return Err(Problem::OneClass);
    }
    let usable = (0..count).map(|at| mature[at] && difficulty[at] > 0.0).collect::<Vec<_>>();
    let enough = usable.iter().filter(|usable| **usable).count();
    if enough < PERIODS_MIN {
        return Err(Problem::TooFewPeriods { usable: enough, whole: count });
    }
    let scale = match form {
        Form::Value => first_variance(&sums, &usable),
        Form::Probability | Form::Probabilities { .. } | Form::Answer { .. } => 1.0,
    };
    let difficulty = difficulty.iter().map(|value| value / scale).collect::<Vec<_>>();
    let recalibrated = recalibrated(tally, &sums, &usable, scale);
    let course = Course {
        rows: sums.iter().map(|(sums, _)| sums.weight_all).collect(),
        labelled: sums.iter().map(|(sums, _)| sums.weight).collect(),
        loss: sums.iter().map(|(sums, _)| sums.mean_loss() / scale).collect(),
        variance: sums.iter().map(|(sums, _)| sampling_variance(sums) / (scale * scale)).collect(),
        difficulty,
        version: sums.iter().map(|(_, version)| *version).collect(),
        usable,
        recalibrated,
    };
    let levels = payoff::levels(&course, &course.loss);
    let prices = prices(&course, settings);
    let payoff = payoff::payoff(&course, &levels, prices, settings.seed);
    let of_period = |hour: i64| {
        let period = tally.period_of(hour)?;
        Some(course.difficulty[period] * scale)
    };
    let cells = tally.cells();
    let (length, units) = trend::units(&cells, form, &of_period);
    let trend = trend::trend(length, &units, scale);
    let periods = (0..count).map(|at| period(tally, &sums[at].0, &course, &levels, scale, at));
    let periods = periods.collect::<Vec<_>>();
    let stretches = stretches(&course, &levels);
    let action = recommend::action(&payoff, trend.as_ref(), &stretches);
    let sliced = tally.slices().found(form, &course.usable, &course.difficulty, scale);
    let areas = tally.stocks().iter().filter_map(|stock| stock.ranking.area());
    Ok(Findings {
        metric: match form {
            Form::Probability => "auc",
            Form::Probabilities { .. } | Form::Answer { .. } => "accuracy",
            Form::Value => "rmse",
        },
        loss: match form {
            Form::Probability | Form::Probabilities { .. } => "log loss",
            Form::Answer { .. } => "share of wrong answers",
            Form::Value => "squared error / label variance",
        },
        scale,
        metric_error_max: match form {
            Form::Probability => areas.map(|area| area.error_max).fold(0.0, f64::max),
            Form::Probabilities { .. } | Form::Answer { .. } | Form::Value => 0.0,
        },
        alarm_hour: alarm(&units, &levels, tally, scale),
        hours: phases(&units_of(tally), form, scale, 24, |hour| hour.rem_euclid(24)),
        weekdays: phases(&units_of(tally), form, scale, 7, |hour| {
            // 1 January 1970 was a Thursday.
            (hour.div_euclid(24) + 3).rem_euclid(7)
        }),
        calibration: calibration(tally, &sums, &course),
        ages: ages(&course, &levels),
        levels: stretches,
        sliced,
        fresh_periods: levels.fresh_periods,
        label_delay_hours: tally.delay_hours(0.9),
        periods,
        trend,
        payoff,
        action,
    })
}

/// Sums of each period, and the version that made most of its predictions.
fn by_period(tally: &Tally) -> Vec<(Sums, u16)> {
    let mut found =
        vec![(Sums::default(), 0, std::collections::BTreeMap::new()); tally.grid().periods];
    for cell in tally.cells() {
        if let Some(period) = tally.period_of(cell.hour) {
            let (sums, _, versions) = &mut found[period];
            sums.merge(&cell.sums);
            *versions.entry(cell.version).or_insert(0.0) += cell.sums.weight_all;
        }
    }
    let mut before = 0;
    found
        .into_iter()
        .map(|(sums, _, versions)| {
            let most = versions.iter().max_by(|a, b| a.1.total_cmp(b.1));
            before = most.map_or(before, |(version, _)| *version);
            (sums, before)
        })
        .collect()
}

/// Mean loss of always answering the period's base rate.
fn difficulty(tally: &Tally, sums: &Sums, period: usize) -> f64 {
    if sums.rows == 0 {
        return 0.0;
    }
    let shares = || tally.stocks()[period].classes.iter().map(|weight| weight / sums.weight);
    match tally.form() {
        Form::Probability => calibrate::entropy(sums.mean_label()),
        Form::Value => sums.label_variance(),
        Form::Probabilities { .. } => {
            shares().filter(|share| *share > 0.0).map(|share| -share * share.ln()).sum()
        }
        Form::Answer { .. } => 1.0 - shares().fold(0.0, f64::max),
    }
}

/// Periods whose labels are there: at least half as often as usual. The newest labels are early ones, and
/// early labels are not like the others.
fn mature(sums: &[(Sums, u16)]) -> Vec<bool> {
    let share = |sums: &Sums| sums.rows as f64 / (sums.rows + sums.unlabelled).max(1) as f64;
    let mut shares =
        sums.iter().filter(|(s, _)| s.rows > 0).map(|(s, _)| share(s)).collect::<Vec<_>>();
    shares.sort_unstable_by(f64::total_cmp);
    let usual = shares.get(shares.len() / 2).copied().unwrap_or(0.0);
    sums.iter().map(|(sums, _)| sums.rows >= ROWS_MIN && share(sums) >= 0.5 * usual).collect()
}

fn first_variance(sums: &[(Sums, u16)], usable: &[bool]) -> f64 {
    let mut first = Sums::default();
    let usable = sums.iter().zip(usable).filter(|(_, usable)| **usable).map(|((sums, _), _)| sums);
    for (at, sums) in usable.enumerate() {
        if at >= 2 && first.rows >= 2_000 {
            break;
        }
        first.merge(sums);
    }
    let variance = first.label_variance();
    if variance > 0.0 { variance } else { 1.0 }
}

/// Price 1 for a unit of loss; a run costs [`payoff::RUN_SHARE`] of what a constant guess loses in a usual
/// period, where nothing is stated.
fn prices(course: &Course, settings: Settings) -> Prices {
    let median = |values: &mut Vec<f64>| {
        values.sort_unstable_by(f64::total_cmp);
        values.get(values.len() / 2).copied().unwrap_or(0.0)
    };
    let per_run = settings.per_run.unwrap_or_else(|| {
        let labelled = course.labelled.iter().sum::<f64>();
        let parts = course.labelled.iter().zip(&course.difficulty).map(|(n, d)| n * d);
        let constant = parts.sum::<f64>() / labelled;
        payoff::RUN_SHARE * median(&mut course.rows.clone()) * constant * settings.per_loss
    });
    Prices { per_loss: settings.per_loss, per_run }
}

/// Of the mean loss.
fn sampling_variance(sums: &Sums) -> f64 {
    let mean = sums.mean_loss();
    (sums.loss_squares / sums.weight - mean * mean).max(0.0) / sums.rows as f64
}

fn period(
    tally: &Tally,
    sums: &Sums,
    course: &Course,
    levels: &Levels,
    scale: f64,
    at: usize,
) -> Period {
    let stock = &tally.stocks()[at];
    let labelled = sums.rows > 0;
    let around = |value: f64, error: f64| Interval {
        value,
        low: value - Z * error,
        high: value + Z * error,
    };
    let n = sums.rows as f64;
    let mean = sums.mean_loss();
    let loss_error = sampling_variance(sums).sqrt();
    let metric = labelled.then(|| match tally.form() {
        Form::Probability => stock.ranking.area().map(|area| {
            let found = around(area.value, area.standard_error);
            Interval { low: found.low.max(0.0), high: found.high.min(1.0), ..found }
        }),
        Form::Probabilities { .. } | Form::Answer { .. } => {
            let value = sums.right / sums.weight;
            let (low, high) = calibrate::wilson(value * n, n);
            Some(Interval { value, low, high })
        }
        Form::Value => {
            let value = mean.sqrt();
            Some(around(value, if value > 0.0 { loss_error / (2.0 * value) } else { 0.0 }))
        }
    });
    let groups = || stock.ranking.groups();
    let (miscalibration, discrimination) = match tally.form() {
        Form::Probability if labelled => {
            let parts = calibrate::parts(&groups());
            (parts.map(|p| p.miscalibration), parts.map(|p| p.discrimination))
        }
        Form::Value if labelled => {
            let best = line(sums).map(|(a, b)| squared_error(sums, a, b));
            (
                best.map(|best| (mean - best) / scale),
                best.map(|best| (sums.label_variance() - best) / scale),
            )
        }
        Form::Probability | Form::Value | Form::Probabilities { .. } | Form::Answer { .. } => {
            (None, None)
        }
    };
    let of_numbers = matches!(tally.form(), Form::Probability | Form::Value) && labelled;
    Period {
        rows: sums.rows + sums.unlabelled,
        unlabelled: sums.unlabelled,
        version: course.version[at],
        usable: course.usable[at],
        metric: metric.flatten(),
        loss: labelled.then(|| around(mean / scale, loss_error / scale)),
        label: of_numbers.then(|| sums.mean_label()),
        prediction: of_numbers.then(|| sums.prediction / sums.weight),
        difficulty: course.difficulty[at],
        fresh: levels.fresh[at],
        excess: Some(levels.excess[at]).filter(|excess| !excess.is_nan()),
        level: levels.level[at],
        miscalibration,
        discrimination,
        recalibrated: course.recalibrated[at],
    }
}

fn stretches(course: &Course, levels: &Levels) -> Vec<Level> {
    let end = |place: usize| levels.starts.get(place + 1).copied().unwrap_or(course.rows.len());
    let starts = levels.starts.iter().enumerate();
    let stretch = |(place, from): (usize, &usize)| Level {
        from: *from,
        to: end(place),
        version: course.version[*from],
        excess: levels.level[*from],
    };
    starts.map(stretch).collect()
}

fn ages(course: &Course, levels: &Levels) -> Vec<Age> {
    let mut ages: Vec<Age> = Vec::new();
    for (from, to) in payoff::reigns(&course.version) {
        for at in (from..to).filter(|at| course.usable[*at]) {
            let periods = at - from;
            for next in ages.len()..=periods {
                ages.push(Age { periods: next, rows: 0.0, excess: 0.0 });
            }
            let (age, rows) = (&mut ages[periods], course.labelled[at]);
            age.excess = (age.excess * age.rows + levels.excess[at] * rows) / (age.rows + rows);
            age.rows += rows;
        }
    }
    ages.retain(|age| age.rows > 0.0);
    ages
}

/// When a sequential watch over the cells' excess would have raised its alarm.
fn alarm(units: &[Unit], levels: &Levels, tally: &Tally, scale: f64) -> Option<i64> {
    let first = units.first()?.version;
    let end = tally.grid().from_hour
        + i64::from(tally.grid().period_hours) * i64::try_from(levels.fresh_periods).ok()?;
    let own = || units.iter().filter(|unit| unit.version == first);
    let mean = |values: &[f64]| values.iter().sum::<f64>() / values.len().max(1) as f64;
    let fresh = own().take_while(|unit| unit.hour < end).collect::<Vec<_>>();
    let loss = mean(&fresh.iter().map(|u| u.sums.mean_loss() / scale).collect::<Vec<_>>());
    let hard = mean(&fresh.iter().map(|u| u.difficulty / scale).collect::<Vec<_>>());
    let ratio = if hard > 0.0 { loss / hard } else { 0.0 };
    // As hard as the first rows were, so that a season is no alarm.
    let adjusted = |unit: &Unit| {
        (unit.sums.mean_loss() / scale - ratio * (unit.difficulty / scale - hard)).max(0.0)
    };
    let clip = Clip { low: 0.0, high: 4.0 * loss.max(1e-9) };
    let losses = fresh.iter().map(|unit| adjusted(unit)).collect::<Vec<_>>();
    let baseline = Baseline::from_losses(&losses, clip).ok()?;
    let parameters = Parameters { clip, effect_min: 0.0, ..Parameters::default() };
    let mut watch = SequentialDecay::new(baseline, parameters).ok()?;
    for unit in own().skip(fresh.len()) {
        watch.update(adjusted(unit)).ok()?;
        if watch.state().detected {
            return Some(unit.hour);
        }
    }
    None
}

/// Cells with what phases need.
fn units_of(tally: &Tally) -> Vec<tally::Cell> {
    tally.cells().into_iter().filter(|cell| cell.sums.rows > 0).collect()
}

/// Mean loss by place in a season; nothing where the log does not hold it twice.
fn phases(
    cells: &[tally::Cell],
    form: Form,
    scale: f64,
    places: usize,
    place: impl Fn(i64) -> i64,
) -> Vec<Phase> {
    let cycle = if places == 24 { 24 } else { 168 };
    let span = match (cells.first(), cells.last()) {
        (Some(first), Some(last)) => last.hour - first.hour + 1,
        _ => 0,
    };
    if span < 2 * cycle {
        return Vec::new();
    }
    let mut sums = vec![Sums::default(); places];
    for cell in cells {
        if let Some(sums) = usize::try_from(place(cell.hour)).ok().and_then(|at| sums.get_mut(at)) {
            sums.merge(&cell.sums);
        }
    }
    let filled = (0_u32..).zip(&sums).filter(|(_, sums)| sums.rows > 0);
    filled
        .map(|(at, sums)| Phase {
            at,
            rows: sums.rows,
            loss: sums.mean_loss() / scale,
            difficulty: match form {
                Form::Probability => calibrate::entropy(sums.mean_label()),
                Form::Value => sums.label_variance() / scale,
                Form::Probabilities { .. } | Form::Answer { .. } => f64::NAN,
            },
        })
        .collect()
}

#[cfg(test)]
mod tests;
