//! What one pass over a log of predictions keeps: sums by hour and version, and by period what ranking
//! and calibration need. Its size depends on the span of the log and not on its rows.

use std::collections::BTreeMap;

use super::ranking::Ranking;
use super::slices::Slices;
use super::temperature::Sample;
use crate::metrics::loss::PROBABILITY_MIN;

/// Delays of labels are told apart by the hour up to here.
const DELAY_HOURS_MAX: usize = 24 * 400;

/// What a prediction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// The probability of the positive class; labels are 0 and 1.
    Probability,
    /// One probability per class; labels are class indices.
    Probabilities {
        /// Number of classes, at least 2.
        classes: usize,
    },
    /// The likeliest class alone; labels are class indices.
    Answer {
        /// Number of classes, at least 2.
        classes: usize,
    },
    /// A number; so are the labels.
    Value,
}

/// How time is cut. Hours count from 1970, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Grid {
    /// First hour of the first period.
    pub from_hour: i64,
    /// Hours of a period, at least 1.
    pub period_hours: u32,
    /// Whole periods; later rows are counted and not looked at.
    pub periods: usize,
}

/// One logged prediction.
#[derive(Clone, Copy, Debug)]
pub struct Row<'a> {
    /// When it was made.
    pub hour: i64,
    /// As many numbers as the form has, finite.
    pub predictions: &'a [f64],
    /// NaN while unknown.
    pub label: f64,
    /// Hours until the label was known; not negative.
    pub delay_hours: i64,
    /// What made it; small numbers from 0.
    pub version: u16,
    /// Above 0.
    pub weight: f64,
    /// The code of its value in every column that is sliced by.
    pub slices: &'a [u32],
}

/// Sums over rows. All but the counts are weighted.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Sums {
    /// Labelled rows.
    pub rows: u64,
    /// Rows still without label.
    pub unlabelled: u64,
    /// Weight of all rows, labelled or not.
    pub weight_all: f64,
    /// Weight of the labelled rows; all sums below are over these.
    pub weight: f64,
    /// Loss: log loss, squared error, or 1 for a wrong answer.
    pub loss: f64,
    /// Of the squared losses.
    pub loss_squares: f64,
    /// Labels.
    pub label: f64,
    /// Squared labels.
    pub label_squares: f64,
    /// First predictions.
    pub prediction: f64,
    /// Squared first predictions.
    pub prediction_squares: f64,
    /// Label times first prediction.
    pub product: f64,
    /// Rows whose likeliest class is right.
    pub right: f64,
}

/// One hour of one version.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Since 1970.
    pub hour: i64,
    /// As in [`Row::version`].
    pub version: u16,
    /// Its rows.
    pub sums: Sums,
}

/// What a period keeps beside its sums.
#[derive(Clone, Debug, Default)]
pub struct Stock {
    /// Probability of the positive, or of the likeliest class, and whether it came true.
    pub ranking: Ranking,
    /// Weight by class of the label; empty where there are no classes.
    pub classes: Vec<f64>,
    /// Rows drawn evenly, where a prediction is one probability per class.
    pub sample: Option<Sample>,
}

/// The sums of a log, growing.
#[derive(Clone, Debug)]
pub struct Tally {
    form: Form,
    grid: Grid,
    cells: Vec<Cell>,
    places: BTreeMap<(i64, u16), usize>,
    last: usize,
    stocks: Vec<Stock>,
    slices: Slices,
    delays: Vec<u64>,
    /// Rows outside all whole periods.
    pub outside: u64,
    /// Smallest and largest first prediction.
    pub range: (f64, f64),
}

impl Sums {
    /// Takes the rows of another.
    pub fn merge(&mut self, other: &Sums) {
        self.rows += other.rows;
        self.unlabelled += other.unlabelled;
        self.weight_all += other.weight_all;
        self.weight += other.weight;
        self.loss += other.loss;
        self.loss_squares += other.loss_squares;
        self.label += other.label;
        self.label_squares += other.label_squares;
        self.prediction += other.prediction;
        self.prediction_squares += other.prediction_squares;
        self.product += other.product;
        self.right += other.right;
    }

    /// Mean loss of the labelled rows.
    #[must_use]
    pub fn mean_loss(&self) -> f64 {
        self.loss / self.weight
    }

    /// Mean label.
    #[must_use]
    pub fn mean_label(&self) -> f64 {
        self.label / self.weight
    }

    /// Variance of the labels.
    #[must_use]
    pub fn label_variance(&self) -> f64 {
        let mean = self.mean_label();
        (self.label_squares / self.weight - mean * mean).max(0.0)
    }
}

impl Tally {
    /// Nothing yet, without slices.
    #[must_use]
    pub fn new(form: Form, grid: Grid) -> Tally {
        Tally::sliced(form, grid, 0)
    }

    /// Nothing yet; rows have codes in so many columns.
    #[must_use]
    pub fn sliced(form: Form, grid: Grid, columns: usize) -> Tally {
        let classes = match form {
            Form::Probabilities { classes } | Form::Answer { classes } => classes,
            Form::Probability | Form::Value => 0,
        };
        let stock = |period: usize| Stock {
            ranking: Ranking::default(),
            classes: vec![0.0; classes],
            sample: match form {
                Form::Probabilities { classes } => {
                    Some(Sample::new(classes, grid.periods, period as u64))
                }
                Form::Probability | Form::Value | Form::Answer { .. } => None,
            },
        };
        Tally {
            form,
            grid,
            cells: Vec::new(),
            places: BTreeMap::new(),
            last: 0,
            stocks: (0..grid.periods).map(stock).collect(),
            slices: Slices::new(columns, grid.periods),
            delays: vec![0; DELAY_HOURS_MAX + 1],
            outside: 0,
            range: (f64::INFINITY, f64::NEG_INFINITY),
        }
    }

    /// Takes one row, in any order of time.
    pub fn add(&mut self, row: &Row<'_>) {
        let first = row.predictions[0];
        self.range = (self.range.0.min(first), self.range.1.max(first));
        let Some(period) = self.period_of(row.hour) else {
            self.outside += 1;
            return;
        };
        let cell = self.cell(row.hour, row.version);
        let sums = &mut self.cells[cell].sums;
        sums.weight_all += row.weight;
        if row.label.is_nan() {
            sums.unlabelled += 1;
            return;
        }
        let weight = row.weight;
        let (loss, right) = match self.form {
            Form::Value => ((first - row.label) * (first - row.label), false),
            Form::Probability => {
                let came_true = row.label > 0.5;
                let p = first.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
                let loss = if came_true { -p.ln() } else { -(1.0 - p).ln() };
                self.stocks[period].ranking.add(first, came_true, weight);
                (loss, came_true == (first > 0.5))
            }
            Form::Probabilities { .. } | Form::Answer { .. } => {
                let class = index(row.label);
                let (answer, loss) = match self.form {
                    Form::Answer { .. } => {
                        let answer = index(first);
                        (answer, f64::from(u8::from(answer != class)))
                    }
                    Form::Probability | Form::Value | Form::Probabilities { .. } => {
                        likeliest(row.predictions, class)
                    }
                };
                let stock = &mut self.stocks[period];
                stock.classes[class] += weight;
                if matches!(self.form, Form::Probabilities { .. }) {
                    let sure = row.predictions[answer].clamp(0.0, 1.0);
                    stock.ranking.add(sure, answer == class, weight);
                    if let Some(sample) = &mut stock.sample {
                        sample.add(row.predictions, class, weight);
                    }
                }
                (loss, answer == class)
            }
        };
        let delay = usize::try_from(row.delay_hours).unwrap_or(0).min(DELAY_HOURS_MAX);
        self.delays[delay] += 1;
        sums.rows += 1;
        sums.weight += weight;
        sums.loss += weight * loss;
        sums.loss_squares += weight * loss * loss;
        sums.label += weight * row.label;
        sums.label_squares += weight * row.label * row.label;
        sums.prediction += weight * first;
        sums.prediction_squares += weight * first * first;
        sums.product += weight * first * row.label;
        sums.right += if right { weight } else { 0.0 };
        self.slices.add(period, row.slices, row.label, loss, weight);
    }

    /// What predictions are.
    #[must_use]
    pub fn form(&self) -> Form {
        self.form
    }

    /// How time is cut.
    #[must_use]
    pub fn grid(&self) -> Grid {
        self.grid
    }

    /// The cells in order of time and version.
    #[must_use]
    pub fn cells(&self) -> Vec<Cell> {
        self.places.values().map(|at| self.cells[*at]).collect()
    }

    /// What the periods keep, in order.
    #[must_use]
    pub fn stocks(&self) -> &[Stock] {
        &self.stocks
    }

    /// Sums by column, value and stretch of the log.
    #[must_use]
    pub fn slices(&self) -> &Slices {
        &self.slices
    }

    /// The period that `hour` lies in.
    #[must_use]
    pub fn period_of(&self, hour: i64) -> Option<usize> {
        let since = hour.checked_sub(self.grid.from_hour)?;
        let period = usize::try_from(since.div_euclid(i64::from(self.grid.period_hours))).ok()?;
        (period < self.grid.periods).then_some(period)
    }

    /// Hours by which `share` of the labels were known.
    #[must_use]
    pub fn delay_hours(&self, share: f64) -> u64 {
        let all = self.delays.iter().sum::<u64>() as f64;
        let mut seen = 0.0;
        let place = self.delays.iter().position(|rows| {
            seen += *rows as f64;
            seen >= share * all
        });
        place.unwrap_or(0) as u64
    }

    fn cell(&mut self, hour: i64, version: u16) -> usize {
        // Most rows follow one of the same hour.
        if let Some(cell) = self.cells.get(self.last)
            && cell.hour == hour
            && cell.version == version
        {
            return self.last;
        }
        let next = self.cells.len();
        let place = *self.places.entry((hour, version)).or_insert(next);
        if place == next {
            self.cells.push(Cell { hour, version, sums: Sums::default() });
        }
        self.last = place;
        place
    }
}

/// The likeliest class, and the log loss of `class` after clipping and renormalising.
fn likeliest(probabilities: &[f64], class: usize) -> (usize, f64) {
    let clip = |p: f64| p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    let (mut best, mut total) = (0, 0.0);
    for (at, probability) in probabilities.iter().enumerate() {
        total += clip(*probability);
        if *probability > probabilities[best] {
            best = at;
        }
    }
    (best, -(clip(probabilities[class]) / total).ln())
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a class index")]
fn index(class: f64) -> usize {
    class as usize
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{Metric, Task};
    use crate::rng::Rng;

    const GRID: Grid = Grid { from_hour: 1_000, period_hours: 24, periods: 3 };

    fn row(hour: i64, predictions: &[f64], label: f64) -> Row<'_> {
        Row { hour, predictions, label, delay_hours: 5, version: 0, weight: 1.0, slices: &[] }
    }

    fn all(tally: &Tally) -> Sums {
        let mut sums = Sums::default();
        tally.cells().iter().for_each(|cell| sums.merge(&cell.sums));
        sums
    }

    #[test]
    fn sums_give_the_metrics_of_the_rows() {
        let mut rng = Rng::new(2);
        let task = Task::Multiclass { classes: 3 };
        let (mut labels, mut flat) = (Vec::new(), Vec::new());
        let mut tally = Tally::new(Form::Probabilities { classes: 3 }, GRID);
        for _ in 0..500 {
            let drawn = [rng.uniform(), rng.uniform(), rng.uniform()];
            let total = drawn.iter().sum::<f64>();
            let predictions = drawn.map(|value| value / total);
            let class = f64::from(u8::try_from(rng.below(3)).unwrap());
            tally.add(&row(1_000 + i64::try_from(rng.below(72)).unwrap(), &predictions, class));
            labels.push(class);
            flat.extend(predictions);
        }
        let sums = all(&tally);
        let of = |metric: Metric| metric.value(task, &labels, &flat).unwrap();
        assert!((sums.mean_loss() - of(Metric::LogLoss)).abs() < 1e-12);
        assert!((sums.right / sums.weight - of(Metric::Accuracy)).abs() < 1e-12);
        let classes = tally.stocks().iter().flat_map(|stock| &stock.classes).sum::<f64>();
        assert!((classes - 500.0).abs() < 1e-9);
    }

    #[test]
    fn order_does_not_matter_and_what_is_outside_is_counted() {
        let mut rows = (0..400_u16)
            .map(|at| (i64::from(at) + 900, f64::from(at % 7) / 7.0, f64::from(at % 2)))
            .collect::<Vec<_>>();
        let fill = |rows: &[(i64, f64, f64)]| {
            let mut tally = Tally::new(Form::Probability, GRID);
            rows.iter().for_each(|(hour, p, label)| tally.add(&row(*hour, &[*p], *label)));
            tally
        };
        let forth = fill(&rows);
        rows.reverse();
        let back = fill(&rows);
        assert_eq!(forth.cells(), back.cells());
        assert_eq!((forth.outside, back.outside), (328, 328));
        assert_eq!(forth.stocks()[1].ranking.groups(), back.stocks()[1].ranking.groups());
        assert_eq!(forth.delay_hours(0.9), 5);
    }

    #[test]
    fn rows_without_label_are_counted_apart() {
        let mut tally = Tally::new(Form::Value, GRID);
        tally.add(&row(1_000, &[2.0], f64::NAN));
        tally.add(&Row { weight: 3.0, ..row(1_001, &[2.0], 1.0) });
        let sums = all(&tally);
        assert_eq!((sums.rows, sums.unlabelled), (1, 1));
        assert!((sums.weight_all - 4.0).abs() < 1e-12 && (sums.loss - 3.0).abs() < 1e-12);
    }
}
