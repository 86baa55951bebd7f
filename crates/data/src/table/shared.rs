//! Which columns of two tables can be compared, which are left out and why.

use super::{Field, Holds, Table, Wanted};
use crate::error::near;
use crate::schema::Kind;

/// Which of the columns a person asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// These alone; all where empty.
    pub columns: Vec<String>,
    /// Not these.
    pub exclude: Vec<String>,
}

/// What two tables have in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shared {
    /// Columns of values on both sides, in the order of the reference.
    pub columns: Vec<Wanted>,
    /// The others.
    pub left_out: Vec<LeftOut>,
}

/// A column that is not compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum LeftOut {
    /// Only one table has it.
    OneSide {
        /// The column.
        column: String,
        /// The table that has it.
        has: String,
    },
    /// It holds times, which move by themselves.
    Times {
        /// The column.
        column: String,
    },
    /// Values of another kind: lists, bytes.
    Unreadable {
        /// The column.
        column: String,
        /// What it holds.
        holds: String,
    },
}

/// Two tables that cannot be compared as asked.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// No column is left.
    #[error(
        "`{reference}` and `{current}` have no column in common that can be compared: the first \
         has {}, the second {}",
        listed(.in_reference), listed(.in_current)
    )]
    NothingShared {
        /// The reference's location.
        reference: String,
        /// The current table's location.
        current: String,
        /// Its columns.
        in_reference: Vec<String>,
        /// Its columns.
        in_current: Vec<String>,
    },
    /// The two sides hold different kinds of values.
    #[error(
        "column `{column}` holds {was} in `{reference}` and {is} in `{current}`: write both alike, \
         or leave it out with `--exclude {column}`"
    )]
    Retyped {
        /// The column.
        column: String,
        /// What the reference holds.
        was: String,
        /// What the current table holds.
        is: String,
        /// The reference's location.
        reference: String,
        /// The current table's location.
        current: String,
    },
    /// A column was asked for that a table has not.
    #[error("`{location}` has no column `{column}`{}", suggested(.near))]
    NoColumn {
        /// The column.
        column: String,
        /// The table without it.
        location: String,
        /// Names that look alike.
        near: Vec<String>,
    },
    /// A column was asked for that holds nothing comparable.
    #[error(
        "column `{column}` holds {holds}, which cannot be compared: leave it out of `--columns`"
    )]
    NotComparable {
        /// The column.
        column: String,
        /// What it holds.
        holds: String,
    },
    /// A table has no rows.
    #[error("`{location}` has no rows: there is nothing to compare")]
    Empty {
        /// The table.
        location: String,
    },
}

/// Pairs the columns of two tables by name.
///
/// # Errors
/// Where a table is empty, a column changed its kind, one asked for is not there, or none is left.
pub fn shared(
    reference: &Table,
    current: &Table,
    selection: &Selection,
) -> Result<Shared, Mismatch> {
    for table in [reference, current] {
        if table.rows() == 0 {
            return Err(Mismatch::Empty { location: table.location().to_owned() });
        }
        for column in selection.columns.iter().chain(&selection.exclude) {
            let excluded = selection.exclude.contains(column);
            let elsewhere = find(reference, column).or(find(current, column));
            // What is excluded need not be on both sides.
            if find(table, column).is_none() && !(excluded && elsewhere.is_some()) {
                return Err(Mismatch::NoColumn {
                    column: column.clone(),
                    location: table.location().to_owned(),
                    near: near(column, table.columns().iter().map(|field| field.name.as_str())),
                });
            }
        }
    }
    let named = |column: &str| selection.columns.iter().any(|name| name == column);
    let wanted = |column: &str| {
        (selection.columns.is_empty() || named(column))
            && selection.exclude.iter().all(|name| name != column)
    };
    let mut found = Shared { columns: Vec::new(), left_out: Vec::new() };
    for before in reference.columns().iter().filter(|field| wanted(&field.name)) {
        let Some(now) = find(current, &before.name) else {
            let (column, has) = (before.name.clone(), reference.location().to_owned());
            found.left_out.push(LeftOut::OneSide { column, has });
            continue;
        };
        let column = before.name.clone();
        match kind(before, now) {
            Some(Holds::Values(kind)) => found.columns.push(Wanted { name: column, kind }),
            Some(Holds::Nothing) => {
                // No value on either side: compared as numbers, of which all are missing.
                found.columns.push(Wanted { name: column, kind: Kind::Numeric });
            }
            Some(Holds::Times) if named(&column) => {
                return Err(Mismatch::NotComparable { column, holds: "times".to_owned() });
            }
            Some(Holds::Times) => found.left_out.push(LeftOut::Times { column }),
            Some(Holds::Other(_)) => {
                let holds = before.told.clone();
                if named(&column) {
                    return Err(Mismatch::NotComparable { column, holds });
                }
                found.left_out.push(LeftOut::Unreadable { column, holds });
            }
            None => {
                return Err(Mismatch::Retyped {
                    column,
                    was: before.told.clone(),
                    is: now.told.clone(),
                    reference: reference.location().to_owned(),
                    current: current.location().to_owned(),
                });
            }
        }
    }
    for now in current.columns().iter().filter(|field| wanted(&field.name)) {
        if find(reference, &now.name).is_none() {
            let (column, has) = (now.name.clone(), current.location().to_owned());
            found.left_out.push(LeftOut::OneSide { column, has });
        }
    }
    if found.columns.is_empty() {
        let names = |table: &Table| {
            table.columns().iter().map(|field| field.name.clone()).collect::<Vec<_>>()
        };
        return Err(Mismatch::NothingShared {
            reference: reference.location().to_owned(),
            current: current.location().to_owned(),
            in_reference: names(reference),
            in_current: names(current),
        });
    }
    Ok(found)
}

fn find<'a>(table: &'a Table, column: &str) -> Option<&'a Field> {
    table.columns().iter().find(|field| field.name == column)
}

/// What both sides can be read as; `None` where there is no such thing.
fn kind(before: &Field, now: &Field) -> Option<Holds> {
    match (&before.holds, &now.holds) {
        (a, b) if a == b => Some(a.clone()),
        (Holds::Nothing, holds) | (holds, Holds::Nothing) => Some(holds.clone()),
        (
            Holds::Values(Kind::Numeric | Kind::Boolean),
            Holds::Values(Kind::Numeric | Kind::Boolean),
        ) if before.typed && now.typed => Some(Holds::Values(Kind::Numeric)),
        (Holds::Other(_), Holds::Other(_)) => Some(before.holds.clone()),
        _ => None,
    }
}

fn listed(names: &[String]) -> String {
    const SHOWN_MAX: usize = 8;
    let shown = names.iter().take(SHOWN_MAX).map(|name| format!("`{name}`"));
    let shown = shown.collect::<Vec<_>>().join(", ");
    match names.len().checked_sub(SHOWN_MAX) {
        Some(more @ 1..) => format!("{shown} and {more} more"),
        _ if names.is_empty() => "none".to_owned(),
        _ => shown,
    }
}

fn suggested(near: &[String]) -> String {
    if near.is_empty() { String::new() } else { format!("; did you mean {}?", listed(near)) }
}
