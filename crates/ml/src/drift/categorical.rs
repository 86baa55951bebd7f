//! Categorical columns: counts by code, matched by name, since every window has its own dictionary.

use std::collections::BTreeMap;

use super::counts::Counts;
use super::distribution::count;
use super::{CategoryShare, ColumnDrift, Error, Kind, MISSING, Shares, Side};

/// New or vanished categories that a report names.
const LISTED_MAX: usize = 100;

/// A categorical column of the reference window.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Categorical {
    /// Categories that occur, in alphabetical order.
    names: Vec<String>,
    /// Rows of each.
    rows: Vec<u32>,
    /// By code of the reference's dictionary: the category's position, if it occurs. The current
    /// window's dictionary is mostly the same one.
    by_code: Vec<Option<u32>>,
    missing: u32,
}

impl Categorical {
    pub(super) fn new(column: &str, codes: &[u32], names: &[String]) -> Result<Categorical, Error> {
        let (by_code, missing) = tally(column, Side::Reference, codes, names)?;
        let mut by_name = BTreeMap::<&str, u32>::new();
        for (name, rows) in names.iter().zip(&by_code).filter(|(_, rows)| **rows > 0) {
            *by_name.entry(name).or_default() += rows;
        }
        let names_sorted = by_name.keys().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let position = |name: &String| names_sorted.binary_search(name).ok().map(count);
        let by_code = names.iter().map(position).collect();
        let rows = by_name.into_values().collect();
        Ok(Categorical { names: names_sorted, rows, by_code, missing })
    }

    pub(super) fn rows(&self) -> u64 {
        self.rows.iter().map(|rows| u64::from(*rows)).sum::<u64>() + u64::from(self.missing)
    }

    pub(super) fn compare(
        &self,
        column: &str,
        codes: &[u32],
        names: &[String],
    ) -> Result<ColumnDrift, Error> {
        let (by_code, missing) = tally(column, Side::Current, codes, names)?;
        let mut current = vec![0_u32; self.names.len()];
        let mut unseen = BTreeMap::<&str, u32>::new();
        for (code, rows) in by_code.iter().enumerate().filter(|(_, rows)| **rows > 0) {
            match self.position(code, &names[code]) {
                Some(position) => current[position] += rows,
                None => *unseen.entry(&names[code]).or_default() += rows,
            }
        }
        let unseen_rows = unseen.values().map(|rows| f64::from(*rows)).sum::<f64>();
        let present = f64::from(count(codes.len()) - missing);
        let present_before = self.rows.iter().map(|rows| f64::from(*rows)).sum::<f64>();
        let vanished = self.names.iter().zip(&self.rows).zip(&current);
        let vanished_categories = largest(
            vanished.filter(|(_, now)| **now == 0).map(|((name, rows), _)| (name.as_str(), *rows)),
            present_before,
            present > 0.0,
        );
        let new_categories =
            largest(unseen.iter().map(|(name, rows)| (*name, *rows)), present, true);

        current.extend(unseen.values());
        let mut reference = self.rows.clone();
        reference.resize(current.len(), 0);
        let counts = Counts { reference: &reference, current: &current };
        let chi_square = counts.chi_square();
        let missing = Shares {
            reference: f64::from(self.missing) / self.rows() as f64,
            current: f64::from(missing) / codes.len() as f64,
        };
        let association = chi_square.as_ref().map_or(0.0, |test| test.cramers_v);
        Ok(ColumnDrift {
            name: column.to_owned(),
            kind: Kind::Categorical,
            score: association.max(missing.change().abs()),
            drifted: false,
            ks: None,
            wasserstein: None,
            jensen_shannon: counts.jensen_shannon(),
            psi: counts.stability_index(),
            chi_square,
            missing,
            new_categories,
            vanished_categories,
            out_of_range: if present > 0.0 { unseen_rows / present } else { 0.0 },
        })
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

/// The most frequent of `categories`, with their share of the `present` rows.
fn largest<'a>(
    categories: impl Iterator<Item = (&'a str, u32)>,
    present: f64,
    comparable: bool,
) -> Vec<CategoryShare> {
    if !comparable {
        return Vec::new();
    }
    let mut categories = categories.collect::<Vec<_>>();
    categories.sort_by_key(|(_, rows)| std::cmp::Reverse(*rows));
    categories.truncate(LISTED_MAX);
    categories
        .into_iter()
        .map(|(name, rows)| CategoryShare {
            name: name.to_owned(),
            share: f64::from(rows) / present,
        })
        .collect()
}
