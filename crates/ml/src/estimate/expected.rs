//! Measures from the expected confusion matrix, and of the expected ranking.

use super::Measure;
use crate::metrics::loss::PROBABILITY_MIN;
use crate::metrics::{Task, f1_of_counts, loss, rank};

/// How much of each class was given each answer: `classes × classes`, row-major by answer.
pub(super) struct Confusion {
    cells: Vec<f64>,
    classes: usize,
}

impl Confusion {
    pub(super) fn new(classes: usize) -> Confusion {
        Confusion { cells: vec![0.0; classes * classes], classes }
    }

    pub(super) fn add(&mut self, answer: usize, class: usize, share: f64) {
        self.cells[answer * self.classes + class] += share;
    }

    fn right(&self, class: usize) -> f64 {
        self.cells[class * self.classes + class]
    }

    fn answered(&self, answer: usize) -> f64 {
        self.cells[answer * self.classes..(answer + 1) * self.classes].iter().sum()
    }

    fn of_class(&self, class: usize) -> f64 {
        self.cells.iter().skip(class).step_by(self.classes).sum()
    }

    /// `None` for measures that need more than the matrix, and where it divides by nothing. Multiclass: a mean
    /// over the classes that occur in answers or labels, a class of which nothing is right counting 0.
    pub(super) fn measure(&self, measure: Measure, task: Task) -> Option<f64> {
        let counted = if task == Task::Binary { 1..2 } else { 0..self.classes };
        let total = self.cells.iter().sum::<f64>();
        let share = |of: &dyn Fn(usize) -> f64| {
            if task == Task::Binary {
                return (of(1) > 0.0).then(|| self.right(1) / of(1));
            }
            let (mut sum, mut classes) = (0.0, 0.0);
            for class in counted.clone() {
                if self.answered(class) + self.of_class(class) > 0.0 {
                    classes += 1.0;
                    if of(class) > 0.0 {
                        sum += self.right(class) / of(class);
                    }
                }
            }
            (classes > 0.0).then(|| sum / classes)
        };
        match measure {
            Measure::Accuracy => {
                let right = (0..self.classes).map(|class| self.right(class)).sum::<f64>();
                (total > 0.0).then(|| right / total)
            }
            Measure::Precision => share(&|class| self.answered(class)),
            Measure::Recall => share(&|class| self.of_class(class)),
            Measure::F1 => {
                let count = |class: usize| {
                    let right = self.right(class);
                    [right, self.answered(class) + self.of_class(class) - 2.0 * right]
                };
                f1_of_counts(task, &(0..self.classes).map(count).collect::<Vec<_>>())
            }
            Measure::Auc | Measure::LogLoss | Measure::Brier => None,
        }
    }
}

/// Every measure's expectation, in the order of [`Measure::ALL`].
pub(super) fn measures(task: Task, predictions: &[f64], truth: &[f64]) -> [Option<f64>; 7] {
    let outputs = task.outputs();
    let orders = (0..outputs).map(|output| order(predictions, output, outputs)).collect::<Vec<_>>();
    let answers = loss::answers(task, predictions).collect::<Vec<_>>();
    let prices = prices(task, predictions);
    measures_with(task, &orders, &answers, &prices, truth)
}

/// Rows in descending order of one output, equal ones together.
pub(super) type Order = Vec<Vec<u32>>;

pub(super) fn order(predictions: &[f64], output: usize, outputs: usize) -> Order {
    let scores = predictions.iter().skip(output).step_by(outputs).map(|score| -score);
    let sorted = rank::order(scores);
    let row = |row: usize| u32::try_from(row).unwrap_or(u32::MAX);
    let ties = sorted.chunk_by(|a, b| a.0 == b.0);
    ties.map(|ties| ties.iter().map(|(_, at)| row(*at)).collect()).collect()
}

/// What each class would cost each row, were it the true one: log loss, squared error.
pub(super) fn prices(task: Task, predictions: &[f64]) -> Vec<[f64; 2]> {
    let clip = |p: f64| p.clamp(PROBABILITY_MIN, 1.0 - PROBABILITY_MIN);
    let outputs = task.outputs();
    let mut prices = Vec::with_capacity(predictions.len() * 2);
    for row in predictions.chunks_exact(outputs) {
        if let [p] = row {
            prices.push([-(1.0 - clip(*p)).ln(), p * p]);
            prices.push([-clip(*p).ln(), (1.0 - p) * (1.0 - p)]);
            continue;
        }
        let total = row.iter().map(|p| clip(*p)).sum::<f64>();
        let squares = row.iter().map(|p| p * p).sum::<f64>();
        for p in row {
            prices.push([-(clip(*p) / total).ln(), squares - 2.0 * p + 1.0]);
        }
    }
    prices
}

/// The same where the ranking, the answers and the prices are known already. `truth`: for each row the
/// probability, or the fact, of each output's class.
pub(super) fn measures_with(
    task: Task,
    orders: &[Order],
    answers: &[usize],
    prices: &[[f64; 2]],
    truth: &[f64],
) -> [Option<f64>; 7] {
    let (outputs, rows) = (task.outputs(), answers.len());
    let classes = outputs.max(2);
    let share = |row: usize, class: usize| match (outputs, class) {
        (1, 0) => 1.0 - truth[row],
        (1, _) => truth[row],
        _ => truth[row * outputs + class],
    };
    let mut confusion = Confusion::new(classes);
    let mut losses = [0.0; 2];
    for (row, answer) in answers.iter().enumerate() {
        for class in 0..classes {
            let share = share(row, class);
            confusion.add(*answer, class, share);
            let price = prices[row * classes + class];
            losses[0] += share * price[0];
            losses[1] += share * price[1];
        }
    }
    let (mut areas, mut defined) = (0.0, 0.0);
    for (output, order) in orders.iter().enumerate() {
        let class = if outputs == 1 { 1 } else { output };
        if let Some(area) = area(order, |row| share(row, class)) {
            areas += area;
            defined += 1.0;
        }
    }
    Measure::ALL.map(|measure| match measure {
        Measure::Auc => (defined > 0.0).then(|| areas / defined),
        Measure::LogLoss => Some(losses[0] / rows as f64),
        Measure::Brier => Some(losses[1] / rows as f64),
        Measure::Accuracy | Measure::Precision | Measure::Recall | Measure::F1 => {
            confusion.measure(measure, task)
        }
    })
}

/// The area under the curve of expected true against expected false positives: every row counts as both, in
/// parts. Ties count half, as does a row against itself, which NannyML does as well.
fn area(order: &Order, share: impl Fn(usize) -> f64) -> Option<f64> {
    let (mut positives, mut negatives, mut pairs) = (0.0, 0.0, 0.0);
    for ties in order {
        let here = ties.iter().map(|row| share(*row as usize)).sum::<f64>();
        let others = ties.len() as f64 - here;
        // Of descending order: these negatives lie below all positives so far.
        pairs += others * (positives + 0.5 * here);
        positives += here;
        negatives += others;
    }
    let either = positives > 1e-9 && negatives > 1e-9;
    either.then(|| pairs / positives / negatives)
}
