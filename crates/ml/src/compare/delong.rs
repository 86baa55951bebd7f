//! The error of a difference of two correlated areas under ROC curves.
//!
//! DeLong, DeLong & Clarke-Pearson, *Comparing the areas under two or more correlated receiver operating
//! characteristic curves*, Biometrics 44 (1988); placements by one sort as in Sun & Xu, *Fast
//! implementation of DeLong's algorithm*, IEEE Signal Processing Letters 21 (2014).

use super::{Error, Method, Pair, Spread};
use crate::metrics::{Task, class_of, rank};

/// The spread of the difference of areas. For several classes the areas of one class against the rest
/// are averaged, and a row's influence on that average is the sum of its influences: as positive of its
/// own class and as negative of the others.
pub(super) fn spread(task: Task, pair: Pair<'_>, alpha: f64) -> Result<Spread, Error> {
    let outputs = task.outputs();
    if outputs == 1 {
        let positive = pair.labels.iter().map(|label| *label > 0.5).collect::<Vec<_>>();
        let one = one_class(&positive, pair, outputs, 0)?;
        return Ok(Spread::normal(one.difference, one.variance.sqrt(), alpha, Method::DeLong));
    }
    let mut influence = vec![0.0; pair.rows()];
    let (mut difference, mut classes) = (0.0, 0.0);
    for class in 0..outputs {
        let positive =
            pair.labels.iter().map(|label| class_of(*label) == class).collect::<Vec<_>>();
        if !positive.contains(&true) {
            continue;
        }
        let one = one_class(&positive, pair, outputs, class)?;
        difference += one.difference;
        classes += 1.0;
        for (sum, value) in influence.iter_mut().zip(&one.influence) {
            *sum += value;
        }
    }
    let rows = pair.rows() as f64;
    let squares = influence.iter().map(|value| value * value).sum::<f64>();
    let error = (squares * rows / (rows - 1.0)).sqrt() / classes;
    Ok(Spread::normal(difference / classes, error, alpha, Method::DeLong))
}

/// One class against the rest.
struct OneClass {
    difference: f64,
    variance: f64,
    /// What each row moves the difference by, over its class's rows; sums to 0.
    influence: Vec<f64>,
}

fn one_class(
    positive: &[bool],
    pair: Pair<'_>,
    outputs: usize,
    class: usize,
) -> Result<OneClass, Error> {
    let count = [false, true].map(|side| positive.iter().filter(|is| **is == side).count());
    // Binary: side 0 is class 0. Else the side that is not `class` has no number of its own.
    if let Some(side) = (0..2).find(|side| count[*side] < 2) {
        let class = if outputs == 1 { side } else { class };
        return Err(Error::TooFewOfClass { class, rows: count[side] });
    }
    let placed = |predictions: &[f64]| {
        let scores = predictions.chunks_exact(outputs).map(|row| row[class]);
        rank::placements(scores, positive).unwrap_or((0.5, vec![0.5; positive.len()]))
    };
    let (champion_area, champion) = placed(pair.champion);
    let (candidate_area, candidate) = placed(pair.candidate);
    let difference = candidate_area - champion_area;
    let mut influence = candidate;
    let mut squares = [0.0; 2];
    for ((value, champion), positive) in influence.iter_mut().zip(&champion).zip(positive) {
        let side = usize::from(*positive);
        let centred = *value - champion - difference;
        squares[side] += centred * centred;
        *value = centred / count[side] as f64;
    }
    let variance = [0, 1].map(|side| {
        let rows = count[side] as f64;
        squares[side] / (rows - 1.0) / rows
    });
    Ok(OneClass { difference, variance: variance[0] + variance[1], influence })
}
