//! Two tables compared column by column: exactly where memory allows, else by sketches. One pass over
//! each table; from a columnar one a column at a time.

use std::ops::ControlFlow;

use afresh_data::rows::{Column, Values as Owned};
use afresh_data::schema::Kind;
use afresh_data::table::{Batch, Cells, Dictionary, Drawn, Sample, Table, Wanted};
use afresh_ml::drift::picture::Picture;
use afresh_ml::drift::sketch::ColumnSketch;
use afresh_ml::drift::{self, ColumnDrift, Side, Values, Workspace};
use anyhow::Context as _;

use super::memory;
use crate::fault::Fault;
use crate::output::steps::Steps;

/// Bytes a row of either side takes while its column is compared exactly: values, keys being
/// sorted, ranks.
const EXACT_BYTES_PER_ROW: u64 = 48;

/// Bytes of a value that waits for its column's turn.
const VALUE_BYTES: u64 = 8;

/// More categories than this tell rows apart, not windows; it bounds memory too.
pub(super) const CATEGORIES_MAX: usize = 100_000;

/// A column with at least so many categories is none where most rows have one of their own.
const IDENTIFIERS_MIN: usize = 1_000;

/// What a process takes before it reads anything, about.
const OWN_BYTES: u64 = 28 << 20;

/// Memory of a sketch: beyond the upper bound more precision is of no use.
const SKETCH_BYTES: std::ops::RangeInclusive<u64> = (32 << 10)..=(512 << 10);

/// How columns are measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Route {
    /// From all values.
    Exact,
    /// From sketches of so many bytes each.
    Sketched { bytes: usize },
}

/// What is to be compared.
pub(super) struct Plan<'a> {
    pub(super) tables: [&'a Table; 2],
    pub(super) columns: &'a [Wanted],
    /// Columns that a person named: they are not left out.
    pub(super) named: &'a [String],
    pub(super) samples: [Sample; 2],
    pub(super) route: Route,
}

/// What came of it.
#[derive(Default)]
pub(super) struct Compared {
    pub(super) columns: Vec<ColumnDrift>,
    pub(super) pictures: Vec<Picture>,
    /// Some rows of either side, by column.
    pub(super) samples: [Vec<Column>; 2],
    /// Why columns were left out.
    pub(super) notes: Vec<String>,
}

/// One column of one side.
enum Collected {
    Values(Owned),
    Sketch(Box<ColumnSketch>),
    /// Too many categories to be one.
    Identifier,
}

/// Exact where `memory` allows, else sketches that fit in it.
pub(super) fn route(tables: [&Table; 2], columns: usize, memory: u64) -> Route {
    let rows = tables.map(Table::rows);
    let columns = columns as u64;
    let waiting = |side: usize| {
        if all_columnar(tables) { 0 } else { rows[side].saturating_mul(columns * VALUE_BYTES) }
    };
    let together = (rows[0] + rows[1]).saturating_mul(EXACT_BYTES_PER_ROW);
    let exact = OWN_BYTES + together.saturating_add(waiting(0)).saturating_add(waiting(1));
    let countable = rows.iter().all(|rows| u32::try_from(*rows).is_ok());
    if exact <= memory && countable {
        return Route::Exact;
    }
    // Column by column only two sketches are alive; else two of each column.
    let alive = if all_columnar(tables) { 2 } else { 2 * columns.max(1) };
    let each = memory.saturating_sub(OWN_BYTES) / 2 / alive;
    let bytes = each.clamp(*SKETCH_BYTES.start(), *SKETCH_BYTES.end());
    Route::Sketched { bytes: usize::try_from(bytes).unwrap_or(usize::MAX) }
}

impl Route {
    /// For people: what was done and how far it may be off.
    pub(super) fn told(self, columns: &[ColumnDrift], memory: u64) -> String {
        let Route::Sketched { bytes } = self else {
            return "Measured exactly, from all values.".to_owned();
        };
        let error = columns.iter().map(rank_error).fold(0.0, f64::max);
        format!(
            "Measured by sketches of {}, for exact measures need more than {}: scores of numbers \
             are off by at most {:.4}.",
            memory::told(bytes as u64),
            memory::told(memory),
            2.0 * error,
        )
    }
}

/// By how much a rank may be off, as a share.
pub(super) fn rank_error(column: &ColumnDrift) -> f64 {
    match column.route {
        drift::Route::Exact => 0.0,
        drift::Route::Sketched { rank_error } => rank_error,
    }
}

/// Compares the columns of a plan.
pub(super) async fn compare(plan: &Plan<'_>, steps: &Steps) -> Result<Compared, Fault> {
    let mut found = Compared::default();
    let mut spare = Spare::default();
    let size = if all_columnar(plan.tables) { 1 } else { plan.columns.len() };
    for group in plan.columns.chunks(size.max(1)) {
        let mut sides = Vec::with_capacity(2);
        for (side, table) in plan.tables.into_iter().enumerate() {
            sides.push(collect(table, group, plan, side, steps, &mut spare).await?);
        }
        let (Some(after), Some(before)) = (sides.pop(), sides.pop()) else { continue };
        for ((column, before), after) in group.iter().zip(before).zip(after) {
            compare_column(plan, column, before, after, &mut found, &mut spare)?;
        }
    }
    if found.columns.is_empty() {
        let message = format!("no column is left to be compared: {}", found.notes.join("; "));
        return Err(Fault::helped(message, "name columns with `--columns`"));
    }
    Ok(found)
}

fn compare_column(
    plan: &Plan<'_>,
    column: &Wanted,
    (before, before_drawn): (Collected, Owned),
    (after, after_drawn): (Collected, Owned),
    found: &mut Compared,
    spare: &mut Spare,
) -> Result<(), Fault> {
    let compared = || format!("failed to compare column `{}`", column.name);
    let (drift, picture) = match (before, after) {
        (Collected::Values(before), Collected::Values(after)) => {
            let found = spare.workspace.compare(&column.name, view(&before), view(&after));
            spare.keep(before);
            spare.keep(after);
            found.with_context(compared)?
        }
        (Collected::Sketch(before), Collected::Sketch(after)) => {
            let drift = before.compare(&after).with_context(compared)?;
            (drift, before.picture(&after).with_context(compared)?)
        }
        _ => {
            if plan.named.contains(&column.name) {
                let message = format!(
                    "column `{}` has more than {CATEGORIES_MAX} categories, or one in most rows",
                    column.name
                );
                let help = "it tells rows apart, not windows: leave it out of `--columns`";
                return Err(Fault::helped(message, help));
            }
            found.notes.push(format!(
                "column `{}` is left out: its categories tell rows apart, not windows",
                column.name
            ));
            return Ok(());
        }
    };
    found.columns.push(drift);
    found.pictures.push(picture);
    for (sample, values) in found.samples.iter_mut().zip([before_drawn, after_drawn]) {
        sample.push(Column { name: column.name.clone(), values });
    }
    Ok(())
}

/// Reads the columns of one side, with their sample.
async fn collect(
    table: &Table,
    columns: &[Wanted],
    plan: &Plan<'_>,
    side: usize,
    steps: &Steps,
    spare: &mut Spare,
) -> Result<Vec<(Collected, Owned)>, Fault> {
    let size = if table.is_columnar() { 1 } else { columns.len() };
    let mut collected = Vec::with_capacity(columns.len());
    for group in columns.chunks(size.max(1)) {
        let mut readers =
            group.iter().map(|column| Reader::new(column, table, plan, spare)).collect::<Vec<_>>();
        let dictionary = match plan.route {
            Route::Exact => Dictionary::Whole { names_max: CATEGORIES_MAX },
            Route::Sketched { .. } => Dictionary::PerBatch,
        };
        let side_name = [Side::Reference, Side::Current][side];
        let mut failed = None;
        let take = &mut |batch: &Batch<'_>| {
            let mut going = false;
            for (at, reader) in readers.iter_mut().enumerate() {
                let cells = batch.column(at);
                plan.samples[side].take(&mut reader.drawn, batch, cells);
                if let Err(error) = reader.take(cells, side_name) {
                    failed = Some(error);
                    return ControlFlow::Break(());
                }
                going |= !matches!(reader.collected, Collected::Identifier);
            }
            steps.advance((batch.rows * group.len()) as u64);
            if going { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        };
        let scanned = table.scan(group, dictionary, take).await;
        scanned.with_context(|| format!("failed to read `{}`", table.location()))?;
        if let Some(error) = failed {
            let named = format!("failed to measure `{}`", table.location());
            return Err(Fault::Failed(anyhow::Error::new(error).context(named)));
        }
        collected.extend(readers.into_iter().map(Reader::finish));
    }
    Ok(collected)
}

/// Memory of columns that are done, used again: fresh memory costs more than what is written to it.
#[derive(Default)]
struct Spare {
    numbers: Vec<Vec<f64>>,
    workspace: Workspace,
}

impl Spare {
    fn keep(&mut self, values: Owned) {
        if let Owned::Numeric(mut numbers) = values {
            numbers.clear();
            self.numbers.push(numbers);
        }
    }

    fn numbers(&mut self, rows: usize) -> Vec<f64> {
        let mut numbers = self.numbers.pop().unwrap_or_default();
        numbers.reserve(rows);
        numbers
    }
}

/// One column of one side, being read.
struct Reader {
    collected: Collected,
    drawn: Drawn,
    rows: usize,
}

impl Reader {
    fn new(column: &Wanted, table: &Table, plan: &Plan<'_>, spare: &mut Spare) -> Reader {
        let rows = usize::try_from(table.rows()).unwrap_or(0);
        let numeric = column.kind != Kind::Categorical;
        let collected = match plan.route {
            Route::Sketched { bytes } if numeric => {
                Collected::Sketch(Box::new(ColumnSketch::numeric(&column.name, bytes)))
            }
            Route::Sketched { bytes } => {
                Collected::Sketch(Box::new(ColumnSketch::categorical(&column.name, bytes)))
            }
            Route::Exact if numeric => Collected::Values(Owned::Numeric(spare.numbers(rows))),
            Route::Exact => Collected::Values(Owned::Categorical {
                codes: Vec::with_capacity(rows),
                names: Vec::new(),
            }),
        };
        Reader { collected, drawn: Drawn::new(column.kind), rows: 0 }
    }

    fn take(&mut self, cells: Cells<'_>, side: Side) -> Result<(), drift::Error> {
        match (&mut self.collected, cells) {
            (Collected::Sketch(sketch), Cells::Numeric(values)) => {
                self.rows += values.len();
                return sketch.update(side, Values::Numeric(values));
            }
            (Collected::Sketch(sketch), Cells::Categorical { codes, names, .. }) => {
                self.rows += codes.len();
                return sketch.update(side, Values::Categorical { codes, names });
            }
            (Collected::Values(Owned::Numeric(all)), Cells::Numeric(values)) => {
                all.extend_from_slice(values);
            }
            (_, Cells::Categorical { full: true, .. }) => {
                self.collected = Collected::Identifier;
            }
            (
                Collected::Values(Owned::Categorical { codes: all, names: known }),
                Cells::Categorical { codes, names, .. },
            ) => {
                all.extend_from_slice(codes);
                known.extend_from_slice(&names[known.len()..]);
            }
            // Nothing is kept of a column that is left out, and a column has one kind.
            (Collected::Identifier, _)
            | (Collected::Values(Owned::Numeric(_)), Cells::Categorical { .. })
            | (Collected::Values(Owned::Categorical { .. }), Cells::Numeric(_)) => {}
        }
        Ok(())
    }

    fn finish(self) -> (Collected, Owned) {
        let most_have_their_own = match &self.collected {
            Collected::Values(Owned::Categorical { codes, names }) => {
                IDENTIFIERS_MIN <= names.len() && codes.len() < 2 * names.len()
            }
            Collected::Sketch(sketch) => sketch.distinct().is_some_and(|categories| {
                let categories = usize::try_from(categories).unwrap_or(usize::MAX);
                CATEGORIES_MAX < categories
                    || (IDENTIFIERS_MIN <= categories && self.rows / 2 < categories)
            }),
            Collected::Values(Owned::Numeric(_)) | Collected::Identifier => false,
        };
        let collected = if most_have_their_own { Collected::Identifier } else { self.collected };
        (collected, self.drawn.into_values())
    }
}

fn all_columnar(tables: [&Table; 2]) -> bool {
    tables.iter().all(|table| table.is_columnar())
}

fn view(values: &Owned) -> Values<'_> {
    match values {
        Owned::Numeric(values) => Values::Numeric(values),
        Owned::Categorical { codes, names } => Values::Categorical { codes, names },
    }
}
