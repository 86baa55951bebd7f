//! What drift did: how far a model's predictions moved and which columns moved them, and which parts
//! of the rows moved most. Works on samples of both windows; measures only.

use afresh_core::id::VersionId;
use afresh_core::time::{Timestamp, Window};
use afresh_data::rows::{Column, MISSING, Rows, Values};
use afresh_data::schema::{Schema, Task};
use afresh_data::spec::Columns;
use afresh_ml::drift::{self, Reference};
use afresh_ml::rng::Rng;
use afresh_train::error::Error;
use afresh_train::scorer::Scorer;
use serde::Serialize;

use crate::port::Store;
use crate::workshop::{self, Workshop};

/// Rows of a slice on either side without which its score would be noise.
pub const SLICE_ROWS_MIN: usize = 100;

/// Slices of one column that are looked at: the most frequent ones.
const SLICES_MAX: usize = 50;

/// How a model's predictions moved from one window to another.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PredictionShift {
    /// What is predicted, in words: `probability of yes`. Of several classes the one whose mean
    /// moved farthest.
    pub output: String,
    /// Rows of each window that were predicted.
    pub rows: usize,
    /// Mean prediction on the reference rows.
    pub reference: f64,
    /// Mean prediction on the current rows.
    pub current: f64,
    /// Column by column, the farthest first.
    pub columns: Vec<ColumnShift>,
    /// The prediction of every reference row.
    #[serde(skip)]
    pub of_reference: Vec<f64>,
    /// The prediction of every current row.
    #[serde(skip)]
    pub of_current: Vec<f64>,
}

/// What one column does to the predictions.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ColumnShift {
    /// The column.
    pub name: String,
    /// Change of the mean prediction when the reference rows take this column alone from current
    /// rows drawn at random: the column's own share of the move, others held as they were.
    pub change: f64,
}

/// A part of the rows: those with one value of one column.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Slice {
    /// The column.
    pub column: String,
    /// Its value; `None` is missing.
    pub value: Option<String>,
    /// Share of the rows.
    pub share: drift::Shares,
    /// Rows looked at.
    pub rows: drift::RowCounts,
    /// Drift of the other columns within the slice, weighted by importance; `None` where a side has
    /// fewer than [`SLICE_ROWS_MIN`] rows.
    pub score: Option<f64>,
    /// Change of the mean prediction within the slice.
    pub prediction_change: Option<f64>,
}

/// What a version's newest period did to it: its predictions, and the slices that its gate looks at.
/// Samples of at most `rows_max` rows of either side; the reference are the rows that trained it.
///
/// # Errors
/// Where rows or the version cannot be read.
pub async fn of_period<S: Store>(
    workshop: &Workshop,
    store: &S,
    version: VersionId,
    period: Window,
    rows_max: usize,
) -> Result<(Option<PredictionShift>, Vec<Slice>), workshop::Error> {
    const SEED: u64 = 1;
    let dataset = workshop.dataset_of(store, version).await?;
    let window = Window { from: dataset.window.from, to: period.to };
    let rows = workshop.rows(window, Columns::All).await?;
    let trained = workshop.trained_on(version, &dataset, &rows)?;
    let current = rows.range(period).collect::<Vec<_>>();
    let [before, after] = [trained, current].map(|positions| {
        let count = positions.len().min(rows_max);
        let evenly = (0..count).map(|at| positions[at * positions.len() / count]);
        rows.select(&evenly.collect::<Vec<_>>()).columns
    });
    let scorer = workshop.scorer(version)?;
    let shift = prediction_shift(&scorer, &before, &after, SEED)
        .map_err(|source| workshop.version_error(version, source))?;
    let importance = super::drift::importance(workshop, version)?;
    let by = &workshop.settings().slices;
    let slices = slices([&before, &after], by, &importance, shift.as_ref())
        .map_err(|error| workshop::Error::Missing(format!("drift: {error}")))?;
    Ok((shift, slices))
}

/// Asks `scorer` about both windows, whole and with one column swapped at a time. The columns are
/// found by name. The same seed gives the same answer.
///
/// # Errors
/// Names a feature that is missing or of another kind.
pub fn prediction_shift(
    scorer: &Scorer,
    reference: &[Column],
    current: &[Column],
    seed: u64,
) -> Result<Option<PredictionShift>, Error> {
    let schema = &scorer.manifest().schema;
    let (mut before, after) = (features(schema, reference)?, features(schema, current)?);
    if before.is_empty() || after.is_empty() {
        return Ok(None);
    }
    let width = schema.outputs();
    let predicted = [scorer.predict(&before)?, scorer.predict(&after)?];
    let means = predicted.each_ref().map(|all| mean_by_output(all, width));
    let moved = |output: usize| (means[1][output] - means[0][output]).abs();
    let output = (0..width).max_by(|a, b| moved(*a).total_cmp(&moved(*b))).unwrap_or(0);
    let [of_reference, of_current] =
        predicted.map(|all| all.iter().copied().skip(output).step_by(width).collect::<Vec<_>>());
    let mut rng = Rng::new(seed);
    let drawn = (0..before.len()).map(|_| rng.below(after.len())).collect::<Vec<_>>();
    let mut columns = Vec::with_capacity(before.columns.len());
    for (at, other) in after.columns.iter().enumerate() {
        let own = std::mem::replace(&mut before.columns[at], picked(other, &drawn));
        let swapped = mean_by_output(&scorer.predict(&before)?, width)[output];
        before.columns[at] = own;
        columns.push(ColumnShift { name: other.name.clone(), change: swapped - means[0][output] });
    }
    columns.sort_by(|a, b| b.change.abs().total_cmp(&a.change.abs()));
    Ok(Some(PredictionShift {
        output: told(schema, output),
        rows: before.len().min(after.len()),
        reference: means[0][output],
        current: means[1][output],
        columns,
        of_reference,
        of_current,
    }))
}

/// Looks at the rows by every value of the columns `by`, the most moved slices first. `columns`
/// are those of both windows, as many in the same order; numbers among `by` are slices by value.
/// `importance` weighs the columns.
///
/// # Errors
/// Where a column cannot be compared.
pub fn slices(
    [reference, current]: [&[Column]; 2],
    by: &[String],
    importance: &[f64],
    shift: Option<&PredictionShift>,
) -> Result<Vec<Slice>, drift::Error> {
    let mut found = Vec::new();
    for name in by {
        let at = reference.iter().position(|column| column.name == *name);
        let Some(at) = at.filter(|at| *at < current.len()) else { continue };
        let (before, after) = (groups(&reference[at]), groups(&current[at]));
        let all = [before.rows, after.rows];
        let mut values = before.by_value.keys().chain(after.by_value.keys()).collect::<Vec<_>>();
        let rows = |value: &Option<String>| {
            [&before, &after].map(|side| side.by_value.get(value).map_or(&[][..], Vec::as_slice))
        };
        values.sort_unstable();
        values.dedup();
        values.sort_by_key(|value| {
            std::cmp::Reverse(rows(value).map(<[usize]>::len).iter().sum::<usize>())
        });
        for value in values.into_iter().take(SLICES_MAX) {
            let within = rows(value);
            let enough = within.iter().all(|rows| rows.len() >= SLICE_ROWS_MIN);
            let score = if enough {
                score_within([reference, current], within, at, importance)?
            } else {
                None
            };
            let prediction_change = shift.filter(|_| enough).map(|shift| {
                mean_at(&shift.of_current, within[1]) - mean_at(&shift.of_reference, within[0])
            });
            found.push(Slice {
                column: name.clone(),
                value: value.clone(),
                share: drift::Shares {
                    reference: share(within[0].len(), all[0]),
                    current: share(within[1].len(), all[1]),
                },
                rows: drift::RowCounts {
                    reference: super::count(within[0].len()),
                    current: super::count(within[1].len()),
                },
                score,
                prediction_change,
            });
        }
    }
    // Slices too small for a score come last, by how far their share moved.
    found.sort_by(|a, b| {
        let moved = |slice: &Slice| slice.share.change().abs();
        let score = |slice: &Slice| slice.score.unwrap_or(-1.0);
        score(b).total_cmp(&score(a)).then_with(|| moved(b).total_cmp(&moved(a)))
    });
    Ok(found)
}

/// Rows by the value of one column.
struct Groups {
    by_value: std::collections::BTreeMap<Option<String>, Vec<usize>>,
    rows: usize,
}

fn groups(column: &Column) -> Groups {
    let mut by_value = std::collections::BTreeMap::<Option<String>, Vec<usize>>::new();
    let rows = match &column.values {
        Values::Numeric(values) => {
            for (row, value) in values.iter().enumerate() {
                let value = (!value.is_nan()).then(|| value.to_string());
                by_value.entry(value).or_default().push(row);
            }
            values.len()
        }
        Values::Categorical { codes, names } => {
            let mut by_code = vec![Vec::new(); names.len() + 1];
            for (row, code) in codes.iter().enumerate() {
                let place = usize::try_from(*code).unwrap_or(usize::MAX).min(names.len());
                by_code[place].push(row);
            }
            let missing = by_code.pop().unwrap_or_default();
            let named = names.iter().map(|name| Some(name.clone())).zip(by_code);
            by_value.extend(named.chain([(None, missing)]).filter(|(_, rows)| !rows.is_empty()));
            codes.len()
        }
    };
    Groups { by_value, rows }
}

/// Drift score of the columns but `own` on some rows of both windows.
fn score_within(
    [reference, current]: [&[Column]; 2],
    rows: [&[usize]; 2],
    own: usize,
    importance: &[f64],
) -> Result<Option<f64>, drift::Error> {
    let (mut columns, mut weights) = (Vec::new(), Vec::new());
    for (at, (before, after)) in reference.iter().zip(current).enumerate() {
        if at == own {
            continue;
        }
        let (before, after) = (picked(before, rows[0]), picked(after, rows[1]));
        let prepared = Reference::new(&before.name, view(&before.values))?;
        columns.push(prepared.compare(view(&after.values))?);
        weights.push(importance.get(at).copied().unwrap_or(0.0));
    }
    if columns.is_empty() {
        return Ok(None);
    }
    let counts = drift::RowCounts {
        reference: super::count(rows[0].len()),
        current: super::count(rows[1].len()),
    };
    // The threshold marks columns, which nobody reads here.
    drift::summarise(columns, Some(&weights), 1.0, counts).map(|drift| Some(drift.score))
}

/// The features of a schema among `columns`, in its order.
fn features(schema: &Schema, columns: &[Column]) -> Result<Rows, Error> {
    let find = |name: &str| {
        columns
            .iter()
            .find(|column| column.name == name)
            .cloned()
            .ok_or_else(|| Error::ColumnMissing { column: name.to_owned() })
    };
    let found = schema.features.iter().map(|feature| find(&feature.name));
    let columns = found.collect::<Result<Vec<_>, _>>()?;
    let count = columns.first().map_or(0, |column| match &column.values {
        Values::Numeric(values) => values.len(),
        Values::Categorical { codes, .. } => codes.len(),
    });
    Ok(Rows {
        key: vec![0; count],
        event_time: vec![Timestamp(0); count],
        available_at: vec![None; count],
        label: vec![f64::NAN; count],
        weight: vec![1.0; count],
        columns,
    })
}

/// The values of some rows.
fn picked(column: &Column, rows: &[usize]) -> Column {
    let values = match &column.values {
        Values::Numeric(values) => Values::Numeric(rows.iter().map(|row| values[*row]).collect()),
        Values::Categorical { codes, names } => Values::Categorical {
            codes: rows.iter().map(|row| codes.get(*row).copied().unwrap_or(MISSING)).collect(),
            names: names.clone(),
        },
    };
    Column { name: column.name.clone(), values }
}

fn view(values: &Values) -> drift::Values<'_> {
    match values {
        Values::Numeric(values) => drift::Values::Numeric(values),
        Values::Categorical { codes, names } => drift::Values::Categorical { codes, names },
    }
}

/// What the numbers of an output are, in words.
fn told(schema: &Schema, output: usize) -> String {
    let class = match schema.task {
        Task::Binary => schema.classes.get(1),
        Task::Multiclass => schema.classes.get(output),
        Task::Regression => None,
    };
    class.map_or_else(|| "prediction".to_owned(), |class| format!("probability of {class}"))
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
fn mean_by_output(predictions: &[f64], width: usize) -> Vec<f64> {
    let mut means = vec![0.0; width];
    for row in predictions.chunks_exact(width) {
        means.iter_mut().zip(row).for_each(|(mean, value)| *mean += value);
    }
    let rows = (predictions.len() / width).max(1) as f64;
    means.iter().map(|sum| sum / rows).collect()
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
fn mean_at(values: &[f64], rows: &[usize]) -> f64 {
    let sum = rows.iter().filter_map(|row| values.get(*row)).sum::<f64>();
    sum / rows.len().max(1) as f64
}

#[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
fn share(part: usize, all: usize) -> f64 {
    part as f64 / all.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    fn numbers(name: &str, values: impl IntoIterator<Item = f64>) -> Column {
        Column { name: name.to_owned(), values: Values::Numeric(values.into_iter().collect()) }
    }

    /// `a` and `b` in turn.
    fn plan(rows: usize, names: [&str; 2]) -> Column {
        let codes = (0..rows).map(|row| u32::from(row % 2 == 1)).collect();
        let names = names.map(str::to_owned).to_vec();
        Column { name: "plan".to_owned(), values: Values::Categorical { codes, names } }
    }

    #[test]
    fn the_slice_that_moved_comes_first() {
        let rows = 4 * SLICE_ROWS_MIN;
        let base = |row: usize| f64::from(u32::try_from(row / 2 % 100).unwrap());
        let reference = vec![numbers("x", (0..rows).map(base)), plan(rows, ["a", "b"])];
        // Only rows of `b` move; the dictionary stands in another order.
        let moved = (0..rows).map(|row| base(row) + if row % 2 == 0 { 50.0 } else { 0.0 });
        let current = vec![numbers("x", moved), plan(rows, ["b", "a"])];
        let found =
            slices([&reference, &current], &["plan".to_owned()], &[1.0, 1.0], None).unwrap();
        let shown = found.iter().map(|slice| (slice.value.as_deref(), slice.score));
        assert_eq!(shown.collect::<Vec<_>>(), [(Some("b"), Some(0.5)), (Some("a"), Some(0.0))]);
        assert!(found.iter().all(|slice| slice.share.change().abs() < 1e-12), "{found:?}");
    }

    #[test]
    fn a_slice_of_few_rows_has_no_score_and_missing_is_a_slice() {
        let few = |missing: usize| {
            let codes = (0..2 * SLICE_ROWS_MIN).map(|row| if row < missing { MISSING } else { 0 });
            let values =
                Values::Categorical { codes: codes.collect(), names: vec!["a".to_owned()] };
            let x = numbers("x", vec![1.0; 2 * SLICE_ROWS_MIN]);
            vec![Column { name: "plan".to_owned(), values }, x]
        };
        let found = slices([&few(10), &few(20)], &["plan".to_owned()], &[1.0, 1.0], None).unwrap();
        assert_eq!(found.len(), 2);
        assert_eq!((found[0].value.as_deref(), found[0].score), (Some("a"), Some(0.0)));
        assert_eq!((found[1].value.as_deref(), found[1].score), (None, None));
        assert!((found[1].share.change() - 0.05).abs() < 1e-12, "{found:?}");
    }
}
