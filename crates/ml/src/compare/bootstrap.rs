//! The paired bootstrap: the same rows, or blocks of rows, are drawn for both models and the metric's
//! difference is taken each time.
//!
//! Efron (1979); blocks wrapped round the end as in Politis & Romano, *A circular block-resampling
//! procedure for stationary data* (1992). Bounds are percentiles, the p-value is normal.

use super::{Error, Method, Pair, RESAMPLES, Spread, block, oriented, two_sided};
use crate::metrics::{Metric, Task, class_of, f1_of_counts, loss};
use crate::rng::Rng;

/// Blocks drawn per resample at most: with more rows the blocks are longer. It keeps the work per
/// resample fixed and blurs a standard error by about 2 %, as drawing 1,000 resamples does anyway.
const BLOCKS_MAX: usize = 1_000;

/// With more classes, macro F1 counts the rows of each resample one by one: running counts would need too
/// much memory.
const COUNTED_CLASSES_MAX: usize = 16;

/// A resample: half-open ranges of rows.
type Ranges = [(usize, usize)];

pub(super) fn spread(
    metric: Metric,
    task: Task,
    pair: Pair<'_>,
    alpha: f64,
    seed: u64,
) -> Result<Spread, Error> {
    let rows = pair.rows();
    let champion = Statistic::new(metric, task, pair.labels, pair.champion);
    let candidate = Statistic::new(metric, task, pair.labels, pair.candidate);
    let losses = [pair.champion, pair.candidate]
        .map(|predictions| row_losses(metric, task, pair.labels, predictions));
    let gaps = losses[0].iter().zip(&losses[1]).map(|(a, b)| a - b).collect::<Vec<_>>();
    let block = block::optimal_length(&gaps).max(rows.div_ceil(BLOCKS_MAX));

    let mut rng = Rng::new(seed);
    let mut ranges = Vec::with_capacity(rows.div_ceil(block) + 2);
    let mut differences = Vec::with_capacity(RESAMPLES);
    for _ in 0..RESAMPLES {
        draw(&mut rng, rows, block, &mut ranges);
        let values = (champion.value(&ranges), candidate.value(&ranges));
        if let (Some(champion), Some(candidate)) = values {
            differences.push(oriented(metric, champion, candidate));
        }
    }
    if differences.len() * 2 < RESAMPLES {
        let undefined = RESAMPLES - differences.len();
        return Err(Error::Unstable { metric, undefined, resamples: RESAMPLES });
    }
    differences.sort_unstable_by(f64::total_cmp);
    let count = differences.len() as f64;
    let mean = differences.iter().sum::<f64>() / count;
    let squares = differences.iter().map(|value| (value - mean) * (value - mean)).sum::<f64>();
    let standard_error = (squares / (count - 1.0)).sqrt();
    let whole = [(0, rows)];
    let difference = match (champion.value(&whole), candidate.value(&whole)) {
        (Some(champion), Some(candidate)) => oriented(metric, champion, candidate),
        _ => mean,
    };
    Ok(Spread {
        standard_error,
        lower: quantile(&differences, alpha),
        upper: quantile(&differences, 1.0 - alpha),
        p_value: two_sided(difference, standard_error),
        method: Method::PairedBootstrap { block, resamples: RESAMPLES },
    })
}

/// Fills `ranges` with blocks that begin anywhere, wrap round the end, and hold `rows` rows together.
fn draw(rng: &mut Rng, rows: usize, block: usize, ranges: &mut Vec<(usize, usize)>) {
    ranges.clear();
    let mut left = rows;
    while left > 0 {
        let (from, length) = (rng.below(rows), block.min(left));
        left -= length;
        ranges.push((from, (from + length).min(rows)));
        if from + length > rows {
            ranges.push((0, from + length - rows));
        }
    }
}

/// The loss whose autocorrelation decides the block: of the metric itself where it has one.
fn row_losses(metric: Metric, task: Task, labels: &[f64], predictions: &[f64]) -> Vec<f64> {
    match metric {
        Metric::F1 | Metric::Accuracy => {
            let right = loss::right(task, labels, predictions);
            right.into_iter().map(|right| f64::from(u8::from(!right))).collect()
        }
        Metric::Brier | Metric::Rmse | Metric::R2 => {
            loss::squared_errors(task, labels, predictions)
        }
        Metric::Mae => labels.iter().zip(predictions).map(|(y, p)| (y - p).abs()).collect(),
        Metric::LogLoss | Metric::Auc => loss::row_losses(task, labels, predictions),
    }
}

/// A metric that can be taken again over ranges of rows.
enum Statistic {
    /// The mean of something per row.
    Mean(Sums),
    /// The square root of such a mean.
    Root(Sums),
    /// R² from squared errors, centred labels and their squares.
    Explained { errors: Sums, labels: Sums, squares: Sums },
    /// F1 from running counts of right and wrong answers, class by class.
    F1 { task: Task, counts: Counts },
    /// Macro F1 of many classes from `(label, answer)` of each row.
    MacroF1 { task: Task, answers: Vec<(usize, usize)> },
}

impl Statistic {
    fn new(metric: Metric, task: Task, labels: &[f64], predictions: &[f64]) -> Statistic {
        let losses = || row_losses(metric, task, labels, predictions);
        match metric {
            Metric::Rmse => Statistic::Root(Sums::new(&losses())),
            Metric::R2 => {
                // Centring keeps the difference of sums exact where labels are far from 0.
                let mean = labels.iter().sum::<f64>() / labels.len() as f64;
                let centred = labels.iter().map(|label| label - mean).collect::<Vec<_>>();
                let squares = centred.iter().map(|value| value * value).collect::<Vec<_>>();
                Statistic::Explained {
                    errors: Sums::new(&losses()),
                    labels: Sums::new(&centred),
                    squares: Sums::new(&squares),
                }
            }
            Metric::F1 => {
                let answers = labels.iter().map(|label| class_of(*label));
                let answers = answers.zip(loss::answers(task, predictions)).collect::<Vec<_>>();
                if task.outputs() > COUNTED_CLASSES_MAX {
                    return Statistic::MacroF1 { task, answers };
                }
                Statistic::F1 { task, counts: Counts::new(task.outputs().max(2), &answers) }
            }
            Metric::Auc | Metric::Accuracy | Metric::LogLoss | Metric::Brier | Metric::Mae => {
                Statistic::Mean(Sums::new(&losses()))
            }
        }
    }

    /// The metric over the rows of `ranges`; `None` where it is undefined.
    fn value(&self, ranges: &Ranges) -> Option<f64> {
        let rows = ranges.iter().map(|(from, to)| to - from).sum::<usize>() as f64;
        match self {
            Statistic::Mean(sums) => Some(sums.over(ranges) / rows),
            Statistic::Root(sums) => Some((sums.over(ranges) / rows).max(0.0).sqrt()),
            Statistic::Explained { errors, labels, squares } => {
                let sum = labels.over(ranges);
                let total = squares.over(ranges) - sum * sum / rows;
                (total > 1e-12 * squares.total()).then(|| 1.0 - errors.over(ranges) / total)
            }
            Statistic::F1 { task, counts } => f1_of_counts(*task, &counts.over(ranges)),
            Statistic::MacroF1 { task, answers } => {
                let mut counts = vec![[0.0; 2]; task.outputs()];
                for (label, answer) in ranges.iter().flat_map(|(from, to)| &answers[*from..*to]) {
                    count(&mut counts, *label, *answer);
                }
                f1_of_counts(*task, &counts)
            }
        }
    }
}

/// Running sums of a value per row: the sum over any range costs two look-ups.
struct Sums(Vec<f64>);

impl Sums {
    fn new(values: &[f64]) -> Sums {
        let mut sums = Vec::with_capacity(values.len() + 1);
        sums.push(0.0);
        let mut sum = 0.0;
        for value in values {
            sum += value;
            sums.push(sum);
        }
        Sums(sums)
    }

    fn over(&self, ranges: &Ranges) -> f64 {
        ranges.iter().map(|(from, to)| self.0[*to] - self.0[*from]).sum()
    }

    fn total(&self) -> f64 {
        self.0[self.0.len() - 1]
    }
}

/// Running `[right, wrong]` of each class, all classes of one row side by side.
struct Counts {
    classes: usize,
    sums: Vec<[f64; 2]>,
}

impl Counts {
    fn new(classes: usize, answers: &[(usize, usize)]) -> Counts {
        let mut running = vec![[0.0; 2]; classes];
        let mut sums = Vec::with_capacity((answers.len() + 1) * classes);
        sums.extend_from_slice(&running);
        for (label, answer) in answers {
            count(&mut running, *label, *answer);
            sums.extend_from_slice(&running);
        }
        Counts { classes, sums }
    }

    fn over(&self, ranges: &Ranges) -> Vec<[f64; 2]> {
        let mut counts = vec![[0.0; 2]; self.classes];
        let at = |row: usize| &self.sums[row * self.classes..(row + 1) * self.classes];
        for (from, to) in ranges {
            for ((count, upper), lower) in counts.iter_mut().zip(at(*to)).zip(at(*from)) {
                count[0] += upper[0] - lower[0];
                count[1] += upper[1] - lower[1];
            }
        }
        counts
    }
}

/// A wrong answer counts for its own class and for its label's.
fn count(counts: &mut [[f64; 2]], label: usize, answer: usize) {
    if label == answer {
        counts[label][0] += 1.0;
    } else {
        counts[label][1] += 1.0;
        counts[answer][1] += 1.0;
    }
}

/// The quantile of ascending `sorted`, linear between its neighbours.
fn quantile(sorted: &[f64], share: f64) -> f64 {
    let place = share * (sorted.len() - 1) as f64;
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "between 0 and the length"
    )]
    let below = place.floor() as usize;
    let above = (below + 1).min(sorted.len() - 1);
    sorted[below] + (place - below as f64) * (sorted[above] - sorted[below])
}
