//! The difference within each value of a column, with the harm that survives many looks.

use serde::{Deserialize, Serialize};
use statrs::distribution::{ContinuousCDF, Normal};

use super::{Difference, Error, Method, Pair, Request, check, difference, gather, mcnemar};

/// Code of a missing value; its slice is called `(missing)`.
pub const MISSING: u32 = u32::MAX;

/// A categorical column of the rows to compare.
#[derive(Clone, Copy, Debug)]
pub struct SliceColumn<'a> {
    /// Name of the column.
    pub name: &'a str,
    /// One code per row: a position in `names`, or [`MISSING`].
    pub codes: &'a [u32],
    /// The categories; a code past their end is shown as its number.
    pub names: &'a [String],
}

/// The rows that hold one value of one column.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Name of the column.
    pub column: String,
    /// The value.
    pub value: String,
    /// Rows that hold it.
    pub rows: usize,
    /// What they say.
    pub outcome: Outcome,
}

/// What a slice's rows say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "kind")]
pub enum Outcome {
    /// Both models could be compared.
    Measured {
        /// On the slice's rows alone.
        difference: Difference,
        /// One-sided p-value against "the candidate is at most the margin worse", after Holm's correction
        /// over all measured slices.
        p_value_harm: f64,
        /// `p_value_harm` is below alpha.
        harmed: bool,
    },
    /// They could not, for example because all rows have one class.
    Unmeasured {
        /// Why.
        reason: String,
    },
}

/// Every value of every column of `request` that holds at least `slice_rows_min` rows, in the order of columns and
/// codes, with harm corrected by Holm (1979) over all of them together.
pub fn slices(request: &Request<'_>) -> Result<Vec<Slice>, Error> {
    let Request { metric, task, pair, alpha, .. } = *request;
    check(metric, task, pair)?;
    let mut slices = Vec::new();
    for column in request.slices {
        for (code, positions) in groups(column, pair.rows())? {
            if positions.len() < request.slice_rows_min {
                continue;
            }
            let outputs = task.outputs();
            let labels = gather(pair.labels, 1, &positions);
            let champion = gather(pair.champion, outputs, &positions);
            let candidate = gather(pair.candidate, outputs, &positions);
            let part = Pair { labels: &labels, champion: &champion, candidate: &candidate };
            let outcome = match difference(metric, task, part, alpha, request.seed) {
                Ok(difference) => Outcome::Measured {
                    p_value_harm: harm(&difference, request.slice_margin),
                    difference,
                    harmed: false,
                },
                Err(error) => Outcome::Unmeasured { reason: in_words(&error) },
            };
            slices.push(Slice {
                column: column.name.to_owned(),
                value: name_of(column, code),
                rows: positions.len(),
                outcome,
            });
        }
    }
    correct(&mut slices, alpha);
    Ok(slices)
}

/// Holm's step-down adjustment: p-values that may be held against alpha one by one, however many there
/// are. S. Holm, *A simple sequentially rejective multiple test procedure*, 1979.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut order = (0..p_values.len()).collect::<Vec<_>>();
    order.sort_by(|a, b| p_values[*a].total_cmp(&p_values[*b]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut largest = 0.0_f64;
    for (place, at) in order.into_iter().enumerate() {
        let left = (p_values.len() - place) as f64;
        largest = largest.max(p_values[at] * left).min(1.0);
        adjusted[at] = largest;
    }
    adjusted
}

/// An error with its causes in one line.
pub(super) fn in_words(error: &Error) -> String {
    match std::error::Error::source(error) {
        None => error.to_string(),
        Some(cause) => format!("{error}: {cause}"),
    }
}

fn correct(slices: &mut [Slice], alpha: f64) {
    let raw = slices.iter().filter_map(|slice| match &slice.outcome {
        Outcome::Measured { p_value_harm, .. } => Some(*p_value_harm),
        Outcome::Unmeasured { .. } => None,
    });
    let mut adjusted = holm(&raw.collect::<Vec<_>>()).into_iter();
    for slice in slices {
        if let Outcome::Measured { p_value_harm, harmed, .. } = &mut slice.outcome
            && let Some(p_value) = adjusted.next()
        {
            *p_value_harm = p_value;
            *harmed = p_value < alpha;
        }
    }
}

/// One-sided p-value against "the candidate is at most `margin` worse".
fn harm(difference: &Difference, margin: f64) -> f64 {
    if let Method::McNemar { champion_only, candidate_only, exact: true } = difference.method
        && margin <= 0.0
    {
        return mcnemar::share_at_most(candidate_only, champion_only + candidate_only);
    }
    let distance = difference.difference + margin;
    if difference.standard_error > 0.0 {
        return Normal::standard().cdf(distance / difference.standard_error);
    }
    if distance < 0.0 { 0.0 } else { 1.0 }
}

/// Positions of the rows of each code, codes ascending.
fn groups(column: &SliceColumn<'_>, rows: usize) -> Result<Vec<(u32, Vec<usize>)>, Error> {
    if column.codes.len() != rows {
        let (column, found) = (column.name.to_owned(), column.codes.len());
        return Err(Error::SliceLength { column, found, rows });
    }
    let mut order = (0..rows).collect::<Vec<_>>();
    order.sort_by_key(|row| column.codes[*row]); // stable: rows stay in time order
    let same = order.chunk_by(|a, b| column.codes[*a] == column.codes[*b]);
    Ok(same.map(|rows| (column.codes[rows[0]], rows.to_vec())).collect())
}

fn name_of(column: &SliceColumn<'_>, code: u32) -> String {
    if code == MISSING {
        return "(missing)".to_owned();
    }
    let name = usize::try_from(code).ok().and_then(|at| column.names.get(at));
    name.cloned().unwrap_or_else(|| code.to_string())
}
