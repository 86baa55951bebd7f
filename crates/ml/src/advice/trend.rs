//! Real decay against seasons: the loss explained by how hard the labels were, by the calendar, and by age.

use serde::Serialize;

use super::calibrate::entropy;
use super::regression::{Fit, lags, least_squares};
use super::tally::{Cell, Form, Sums};

/// Below this many rows, a cell's loss says too little: coarser cells are taken.
const ROWS_A_CELL_MIN: f64 = 30.0;
/// Coarser steps are not needed: a fit of this many cells is quick.
const CELLS_MAX: usize = 4_000;
/// Hours of a day, a week, a year.
const DAY: i64 = 24;
const WEEK: i64 = 168;
const YEAR: f64 = 8_766.0;
/// Versions that get a level of their own in the fit.
const LEVELS_MAX: usize = 24;

/// A repeating pattern, and whether the log can tell it from decay.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Season {
    /// `day`, `week` or `year`.
    pub name: &'static str,
    /// How often it came round.
    pub cycles: f64,
    /// It came round at least twice and the cells are fine enough: its part was taken out.
    pub told_apart: bool,
    /// Cells are as long as the pattern or longer, so that it averages out within each.
    pub averaged: bool,
}

/// A slope with its 95 % interval, in loss per 30 days.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Slope {
    /// Best guess.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

/// How the loss moves with the age of a version.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trend {
    /// Hours of a cell: the unit of the regression.
    pub cell_hours: i64,
    /// Cells.
    pub cells: usize,
    /// Lags of the Newey–West errors.
    pub lags: usize,
    /// As it looks: loss on age alone.
    pub raw: Slope,
    /// What is left with difficulty and calendar taken out.
    pub real: Slope,
    /// `raw − real`.
    pub explained_by_seasons: f64,
    /// Rise of the loss for a rise of the difficulty by one, all else equal.
    pub difficulty: f64,
    /// Share of the cells' variance that difficulty explains.
    pub share_difficulty: f64,
    /// Share that the calendar adds.
    pub share_calendar: f64,
    /// Share that age adds.
    pub share_age: f64,
    /// Day, week and year.
    pub seasons: Vec<Season>,
}

/// One unit of the regression.
#[derive(Clone, Copy, Debug)]
pub(super) struct Unit {
    /// First hour.
    pub hour: i64,
    pub version: u16,
    pub sums: Sums,
    /// Loss of always answering the cell's own base rate; of its period where there are many classes.
    pub difficulty: f64,
}

/// Cells of a length at which most hold enough rows, in order of time.
pub(super) fn units(
    cells: &[Cell],
    form: Form,
    period: &dyn Fn(i64) -> Option<f64>,
) -> (i64, Vec<Unit>) {
    let labelled = cells.iter().filter(|cell| cell.sums.rows > 0);
    let (first, last) = labelled.clone().fold((i64::MAX, i64::MIN), |(first, last), cell| {
        (first.min(cell.hour), last.max(cell.hour))
    });
    let rows = labelled.map(|cell| cell.sums.rows).sum::<u64>() as f64;
    let span = (last.saturating_sub(first) + 1).max(1);
    let fits = |hours: &&i64| {
        let count = (span as f64 / **hours as f64).max(1.0);
        rows / count >= ROWS_A_CELL_MIN && count <= CELLS_MAX as f64
    };
    // Within a month the hours of the day matter; beyond it days are fine enough.
    let lengths: &[i64] = if span < 28 * DAY { &[1, 3, 6, DAY] } else { &[DAY, WEEK, 4 * WEEK] };
    let length = lengths.iter().find(fits).or(lengths.last()).copied().unwrap_or(DAY);
    let mut units: Vec<Unit> = Vec::new();
    let mut sorted = cells.iter().filter(|cell| cell.sums.rows > 0).collect::<Vec<_>>();
    sorted.sort_by_key(|cell| (cell.hour.div_euclid(length), cell.version));
    for cell in sorted {
        let hour = cell.hour.div_euclid(length) * length;
        match units.last_mut() {
            Some(unit) if unit.hour == hour && unit.version == cell.version => {
                unit.sums.merge(&cell.sums);
            }
            _ => {
                let (version, sums) = (cell.version, cell.sums);
                units.push(Unit { hour, version, sums, difficulty: 0.0 });
            }
        }
    }
    for unit in &mut units {
        unit.difficulty = match form {
            Form::Probability => entropy(unit.sums.mean_label()),
            Form::Value => unit.sums.label_variance(),
            Form::Probabilities { .. } | Form::Answer { .. } => {
                period(unit.hour + length / 2).unwrap_or(0.0)
            }
        };
    }
    (length, units)
}

/// Fits the units' loss, divided by `scale`. `None` where there are too few of them.
pub(super) fn trend(length: i64, units: &[Unit], scale: f64) -> Option<Trend> {
    let first = units.first()?.hour;
    let span = (units.last()?.hour - first + length) as f64;
    let versions = units.iter().map(|unit| unit.version).collect::<std::collections::BTreeSet<_>>();
    let start_of = |version: u16| {
        let mut own = units.iter().filter(|unit| unit.version == version);
        own.next().map_or(first, |unit| unit.hour)
    };
    let starts = versions.iter().map(|version| (*version, start_of(*version))).collect::<Vec<_>>();
    let start =
        |version: u16| starts.iter().find(|(v, _)| *v == version).map_or(first, |(_, s)| *s);
    let months = |unit: &Unit| (unit.hour - start(unit.version)) as f64 / (30.0 * DAY as f64);
    let season = |name: &'static str, hours: f64, averaged: bool| {
        let cycles = span / hours;
        Season { name, cycles, averaged, told_apart: cycles >= 2.0 && !averaged }
    };
    let seasons = vec![
        season("day", DAY as f64, length >= DAY),
        season("week", WEEK as f64, length >= WEEK),
        season("year", YEAR, false),
    ];
    let own_levels =
        versions.len() > 1 && versions.len() <= LEVELS_MAX && units.len() >= 10 * versions.len();
    let levels = |unit: &Unit| {
        let shown = versions.iter().skip(1).filter(|_| own_levels);
        shown.map(|version| f64::from(u8::from(*version == unit.version))).collect::<Vec<_>>()
    };
    let calendar = |unit: &Unit| {
        let mut terms = Vec::new();
        let mut waves = |period: f64, count: u32| {
            for order in 1..=count {
                let angle = std::f64::consts::TAU * f64::from(order) * unit.hour as f64 / period;
                terms.extend([angle.sin(), angle.cos()]);
            }
        };
        if seasons[0].told_apart {
            waves(DAY as f64, 2);
        }
        if seasons[2].told_apart {
            waves(YEAR, 2);
        }
        if seasons[1].told_apart {
            let day = unit.hour.div_euclid(DAY).rem_euclid(7);
            terms.extend((1..7).map(|other| f64::from(u8::from(day == other))));
        }
        terms
    };
    let y = units.iter().map(|unit| unit.sums.mean_loss() / scale).collect::<Vec<_>>();
    let weights = units.iter().map(|unit| unit.sums.weight).collect::<Vec<_>>();
    let lags = lags(units.len(), usize::try_from((WEEK / length).min(24)).unwrap_or(0));
    let fit = |parts: &dyn Fn(&Unit) -> Vec<f64>| -> Option<Fit> {
        let x = units.iter().map(|unit| [vec![1.0], parts(unit)].concat()).collect::<Vec<_>>();
        least_squares(&x, &y, &weights, lags)
    };
    // Age stands right after the constant and the versions' levels, so that it has a place of its own.
    let level_count = versions.len().saturating_sub(1) * usize::from(own_levels);
    let raw = fit(&|unit| [levels(unit), vec![months(unit)]].concat())?;
    let difficulty = |unit: &Unit| unit.difficulty / scale;
    let full =
        fit(&|unit| [levels(unit), vec![months(unit), difficulty(unit)], calendar(unit)].concat())?;
    let hard = fit(&|unit| [levels(unit), vec![difficulty(unit)]].concat())?;
    let hard_and_calendar =
        fit(&|unit| [levels(unit), vec![difficulty(unit)], calendar(unit)].concat())?;
    let level_only = fit(&|unit| levels(unit))?;
    let at = 1 + level_count;
    let slope = |fit: &Fit| {
        let (value, margin) = (fit.coefficients[at], fit.margin(at));
        margin.is_finite().then_some(Slope { value, low: value - margin, high: value + margin })
    };
    let (raw, real) = (slope(&raw)?, slope(&full)?);
    Some(Trend {
        cell_hours: length,
        cells: units.len(),
        lags,
        explained_by_seasons: raw.value - real.value,
        raw,
        real,
        difficulty: full.coefficients[at + 1],
        share_difficulty: (hard.explained - level_only.explained).max(0.0),
        share_calendar: (hard_and_calendar.explained - hard.explained).max(0.0),
        share_age: (full.explained - hard_and_calendar.explained).max(0.0),
        seasons,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// Days of a regression log: squared errors with a weekly wave, a yearly wave and decay.
    fn days(count: i64, decay_a_month: f64, yearly: f64, versions: u16) -> Vec<Cell> {
        seeded(9, count, decay_a_month, yearly, versions)
    }

    fn seeded(seed: u64, count: i64, decay_a_month: f64, yearly: f64, versions: u16) -> Vec<Cell> {
        let mut rng = Rng::new(seed);
        (0..count)
            .map(|day| {
                let version = u16::try_from(day * i64::from(versions) / count).unwrap();
                let start = i64::from(version) * count / i64::from(versions);
                let year = (std::f64::consts::TAU * day as f64 / 365.25).sin();
                let weekend = if day.rem_euclid(7) < 2 { 0.2 } else { 0.0 };
                let age = (day - start) as f64 / 30.0;
                let noise = 0.02 * rng.normal();
                let loss = 1.0 + yearly * year + weekend + decay_a_month * age + noise;
                let sums = Sums {
                    rows: 100,
                    weight: 100.0,
                    weight_all: 100.0,
                    loss: 100.0 * loss,
                    loss_squares: 100.0 * loss * loss,
                    label_squares: 400.0,
                    ..Sums::default()
                };
                Cell { hour: day * 24, version, sums }
            })
            .collect()
    }

    fn fitted(cells: &[Cell]) -> Trend {
        let (length, units) = units(cells, Form::Value, &|_| None);
        trend(length, &units, 1.0).unwrap()
    }

    #[test]
    fn two_years_tell_a_season_from_decay() {
        let trend = fitted(&days(800, 0.01, 0.3, 1));
        assert!(trend.seasons.iter().all(|season| season.told_apart || season.averaged));
        assert!(trend.real.low < 0.01 && 0.01 < trend.real.high, "{trend:?}");
        assert!(trend.real.high - trend.real.low < 0.003, "{trend:?}");
        assert!((trend.raw.value - 0.01).abs() > 0.003, "{trend:?}");
        assert!(trend.share_calendar > 0.8, "{trend:?}");
    }

    #[test]
    fn half_a_year_does_not_and_says_so() {
        let trend = fitted(&days(180, 0.0, 0.3, 1));
        let year = &trend.seasons[2];
        assert!(!year.told_apart && year.cycles < 0.5, "{trend:?}");
    }

    #[test]
    fn decay_is_measured_within_versions() {
        let trend = fitted(&days(400, 0.05, 0.0, 4));
        assert!((trend.real.value - 0.05).abs() < 0.005, "{trend:?}");
        assert!(trend.real.low > 0.04, "{trend:?}");
    }

    #[test]
    fn the_interval_holds_nothing_where_there_is_nothing() {
        let holds = |seed: u64| {
            let trend = fitted(&seeded(seed, 200, 0.0, 0.0, 1));
            u32::from(trend.real.low < 0.0 && trend.real.high > 0.0)
        };
        let held = (0..200).map(holds).sum::<u32>();
        assert!(held >= 180, "{held} of 200");
    }
}
