//! Categorical columns: counts by code, matched by name, since every window has its own dictionary.

use super::counts::Counts;
use super::distribution::count;
use super::picture::{self, Picture};
use super::{CategoryShare, ColumnDrift, Drawn, Error, Kind, MISSING, Route, Shares, Side};

/// New or vanished categories that a report names.
const LISTED_MAX: usize = 100;

/// A categorical column of the reference window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Categorical {
    /// Categories that occur, in alphabetical order.
    names: Vec<String>,
    /// Rows of each.
    rows: Vec<u64>,
    /// By code of the reference's dictionary: the category's position, if it occurs. The current
    /// window's dictionary is mostly the same one.
    by_code: Vec<Option<u32>>,
    missing: u32,
}

/// Two windows over the same classes: all that the measures need.
pub(super) struct Classes<'a> {
    pub(super) column: &'a str,
    /// Rows by class.
    pub(super) counts: Counts<'a>,
    pub(super) missing: Shares,
    /// Rows of the current window in classes that the reference has not.
    pub(super) unseen: u64,
    /// Classes of the current window that the reference has not, with their rows, in any order.
    pub(super) new: Vec<(&'a str, u64)>,
    /// Classes of the reference that the current window has not.
    pub(super) vanished: Vec<(&'a str, u64)>,
    pub(super) route: Route,
}

impl Categorical {
    pub(super) fn new(column: &str, codes: &[u32], names: &[String]) -> Result<Categorical, Error> {
        let (by_code, missing) = tally(column, Side::Reference, codes, names)?;
        let by_name = by_name(names, &by_code);
        let names_sorted = by_name.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>();
        let position = |name: &String| names_sorted.binary_search(name).ok().map(count);
        let by_code = names.iter().map(position).collect();
        let rows = by_name.into_iter().map(|(_, rows)| rows).collect();
        Ok(Categorical { names: names_sorted, rows, by_code, missing })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows.iter().sum::<u64>() + u64::from(self.missing)
    }

    /// The measures, and the picture where it is `drawn`.
    pub(super) fn compare(
        &self,
        column: &str,
        codes: &[u32],
        names: &[String],
        drawn: Drawn,
    ) -> Result<(ColumnDrift, Option<Picture>), Error> {
        let (by_code, missing) = tally(column, Side::Current, codes, names)?;
        let mut current = vec![0_u64; self.names.len()];
        let mut unseen = Vec::new();
        for (code, rows) in by_code.iter().enumerate().filter(|(_, rows)| **rows > 0) {
            match self.position(code, &names[code]) {
                Some(position) => current[position] += u64::from(*rows),
                None => unseen.push((names[code].as_str(), u64::from(*rows))),
            }
        }
        let unseen = merged(unseen);
        let vanished = self.names.iter().zip(&self.rows).zip(&current);
        let vanished = vanished
            .filter(|(_, now)| **now == 0)
            .map(|((name, rows), _)| (name.as_str(), *rows))
            .collect();
        current.extend(unseen.iter().map(|(_, rows)| rows));
        let mut reference = self.rows.clone();
        reference.resize(current.len(), 0);
        let counts = Counts { reference: &reference, current: &current };
        let picture = match drawn {
            Drawn::No => None,
            Drawn::Yes => {
                let names = self.names.iter().map(String::as_str);
                let names = names.chain(unseen.iter().map(|(name, _)| *name)).collect::<Vec<_>>();
                Some(picture::categorical(&names, &counts))
            }
        };
        let classes = Classes {
            column,
            counts,
            missing: Shares {
                reference: f64::from(self.missing) / self.rows() as f64,
                current: f64::from(missing) / codes.len() as f64,
            },
            unseen: unseen.iter().map(|(_, rows)| rows).sum(),
            new: unseen,
            vanished,
            route: Route::Exact,
        };
        Ok((classes.measure(), picture))
    }

    /// The position of a category of another window: by its code where the dictionaries agree,
    /// else by its name.
    fn position(&self, code: usize, name: &String) -> Option<usize> {
        let by_code = self.by_code.get(code).copied().flatten().map(|position| position as usize);
        by_code
            .filter(|position| self.names[*position] == *name)
            .or_else(|| self.names.binary_search(name).ok())
    }
}

impl Classes<'_> {
    /// All measures of a categorical column.
    pub(super) fn measure(self) -> ColumnDrift {
        let present = |rows: &[u64]| rows.iter().sum::<u64>();
        let (reference, current) = (present(self.counts.reference), present(self.counts.current));
        let association = self.counts.association();
        let out_of_range = if current > 0 { self.unseen as f64 / current as f64 } else { 0.0 };
        let vanished = if current > 0 { self.vanished } else { Vec::new() };
        ColumnDrift {
            name: self.column.to_owned(),
            kind: Kind::Categorical,
            score: association.unwrap_or(0.0).max(self.missing.change().abs()),
            drifted: false,
            ks: None,
            wasserstein: None,
            jensen_shannon: self.counts.jensen_shannon(),
            psi: self.counts.stability_index(),
            chi_square: self.counts.chi_square(),
            association,
            missing: self.missing,
            new_categories: largest(self.new, current),
            vanished_categories: largest(vanished, reference),
            out_of_range,
            route: self.route,
        }
    }
}

/// Rows by code, and rows without a category. Refuses codes that name nothing.
pub(crate) fn tally(
    column: &str,
    side: Side,
    codes: &[u32],
    names: &[String],
) -> Result<(Vec<u32>, u32), Error> {
    if u32::try_from(codes.len()).is_err() {
        return Err(Error::TooManyRows { column: column.to_owned(), side });
    }
    let mut rows = vec![0_u32; names.len()];
    let mut missing = 0;
    for (row, &code) in codes.iter().enumerate() {
        if let Some(rows) = rows.get_mut(code as usize) {
            *rows += 1;
        } else if code == MISSING {
            missing += 1;
        } else {
            let (column, categories) = (column.to_owned(), names.len());
            return Err(Error::UnknownCode { column, side, row, code, categories });
        }
    }
    Ok((rows, missing))
}

/// Categories that occur, in alphabetical order, each once; a dictionary may name one twice.
pub(super) fn by_name<'a>(names: &'a [String], rows: &[u32]) -> Vec<(&'a str, u64)> {
    let occurring = names.iter().zip(rows).filter(|(_, rows)| **rows > 0);
    merged(occurring.map(|(name, rows)| (name.as_str(), u64::from(*rows))).collect())
}

fn merged(mut categories: Vec<(&str, u64)>) -> Vec<(&str, u64)> {
    categories.sort_unstable();
    categories.dedup_by(|next, kept| {
        let same = next.0 == kept.0;
        if same {
            kept.1 += next.1;
        }
        same
    });
    categories
}

/// The most frequent of `categories`, with their share of the `present` rows.
fn largest(mut categories: Vec<(&str, u64)>, present: u64) -> Vec<CategoryShare> {
    let order = |a: &(&str, u64), b: &(&str, u64)| b.1.cmp(&a.1).then(a.0.cmp(b.0));
    if categories.len() > LISTED_MAX {
        categories.select_nth_unstable_by(LISTED_MAX, order);
        categories.truncate(LISTED_MAX);
    }
    categories.sort_unstable_by(order);
    categories
        .into_iter()
        .map(|(name, rows)| CategoryShare {
            name: name.to_owned(),
            share: rows as f64 / present as f64,
        })
        .collect()
}
