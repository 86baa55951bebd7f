//! Areas under ROC curves by sorting once, ties counted half.

use super::{Task, Undefined, class_of};

/// The order of `scores`, ascending, with keys that are equal exactly where the scores are.
pub(crate) fn order(scores: impl Iterator<Item = f64>) -> Vec<(u64, usize)> {
    let mut keyed = scores.enumerate().map(|(row, score)| (key(score), row)).collect::<Vec<_>>();
    keyed.sort_unstable();
    keyed
}

/// The area for `task`; see [`Metric::Auc`](super::Metric::Auc).
pub(crate) fn area(
    task: Task,
    labels: &[f64],
    predictions: &[f64],
    weights: Option<&[f64]>,
) -> Result<f64, Undefined> {
    let outputs = task.outputs();
    if outputs == 1 {
        let positive = labels.iter().map(|label| *label > 0.5).collect::<Vec<_>>();
        return area_of(predictions.iter().copied(), &positive, weights).ok_or(Undefined::OneClass);
    }
    let (mut sum, mut classes) = (0.0, 0.0);
    for class in 0..outputs {
        let positive = labels.iter().map(|label| class_of(*label) == class).collect::<Vec<_>>();
        let scores = predictions.chunks_exact(outputs).map(|row| row[class]);
        if let Some(area) = area_of(scores, &positive, weights) {
            sum += area;
            classes += 1.0;
        }
    }
    if classes > 0.0 { Ok(sum / classes) } else { Err(Undefined::OneClass) }
}

/// For each row the share of the other class that it is ranked rightly against, ties half: of a
/// positive row the negatives below it, of a negative row the positives above it. With it the area,
/// which is the mean over the positives. `None` where one class is missing.
pub(crate) fn placements(
    scores: impl Iterator<Item = f64>,
    positive: &[bool],
) -> Option<(f64, Vec<f64>)> {
    let positives = positive.iter().filter(|is| **is).count() as f64;
    let negatives = positive.len() as f64 - positives;
    if positives < 1.0 || negatives < 1.0 {
        return None;
    }
    let sorted = order(scores);
    let mut placements = vec![0.0; positive.len()];
    let (mut positives_below, mut negatives_below, mut pairs) = (0.0, 0.0, 0.0);
    for ties in sorted.chunk_by(|a, b| a.0 == b.0) {
        let positives_here = ties.iter().filter(|(_, row)| positive[*row]).count() as f64;
        let negatives_here = ties.len() as f64 - positives_here;
        let rank = negatives_below + 0.5 * negatives_here;
        let of_positive = rank / negatives;
        let of_negative = 1.0 - (positives_below + 0.5 * positives_here) / positives;
        for (_, row) in ties {
            placements[*row] = if positive[*row] { of_positive } else { of_negative };
        }
        pairs += rank * positives_here;
        positives_below += positives_here;
        negatives_below += negatives_here;
    }
    Some((pairs / positives / negatives, placements))
}

fn area_of(
    scores: impl Iterator<Item = f64>,
    positive: &[bool],
    weights: Option<&[f64]>,
) -> Option<f64> {
    let weight = |row: usize| weights.map_or(1.0, |weights| weights[row]);
    let (mut positives, mut negatives, mut pairs) = (0.0, 0.0, 0.0);
    for ties in order(scores).chunk_by(|a, b| a.0 == b.0) {
        let (mut positives_here, mut negatives_here) = (0.0, 0.0);
        for (_, row) in ties {
            let place = if positive[*row] { &mut positives_here } else { &mut negatives_here };
            *place += weight(*row);
        }
        pairs += positives_here * (negatives + 0.5 * negatives_here);
        positives += positives_here;
        negatives += negatives_here;
    }
    (positives > 0.0 && negatives > 0.0).then(|| pairs / positives / negatives)
}

/// Bits that compare as the numbers do; `-0` and `0` are equal.
fn key(score: f64) -> u64 {
    let bits = (score + 0.0).to_bits();
    if bits >> 63 == 1 { !bits } else { bits | (1 << 63) }
}
