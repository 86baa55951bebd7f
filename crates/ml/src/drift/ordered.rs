//! A column of a long history, put in order once: any of its rows become a window by counting them, and two windows
//! are told apart by what scores and smallest p-values are made of, without the other measures.

use std::collections::BTreeMap;

use super::counts::Counts;
use super::distribution::{Distribution, count};
use super::{Error, Shares, Side, Values, categorical, kolmogorov_smirnov, numeric, sort};

/// Rank of a row without a value.
const NO_RANK: u32 = u32::MAX;

/// So many times fewer rows than distinct values are sorted instead of counted.
const SORTING_PAYS: usize = 8;

/// A column, of which windows are sets of rows.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered {
    name: String,
    column: Column,
}

#[derive(Clone, Debug, PartialEq)]
enum Column {
    Numeric {
        /// Distinct, ascending; infinities are refused in windows that hold them.
        values: Vec<f64>,
        /// By row, the place of its value; [`NO_RANK`] is missing.
        ranks: Vec<u32>,
    },
    Categorical {
        /// By row, the place of its category in alphabetical order; [`NO_RANK`] is missing.
        classes: Vec<u32>,
        /// Different names.
        names: usize,
    },
}

/// One column of one window.
#[derive(Clone, Debug, PartialEq)]
pub struct Part(Rows);

#[derive(Clone, Debug, PartialEq)]
enum Rows {
    Numeric(Distribution),
    Categorical {
        /// By class, in alphabetical order.
        rows: Vec<u64>,
        missing: u32,
    },
}

/// How far one column moved from one window to another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Apart {
    /// As [`ColumnDrift::score`](super::ColumnDrift::score).
    pub score: f64,
    /// What the Kolmogorov–Smirnov test is made of, where both windows have numbers.
    distance: Option<Distance>,
}

/// Rows of both windows, and their largest distance brought to a common denominator.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Distance {
    rows: [u32; 2],
    gap: u64,
}

impl Ordered {
    /// Puts a column in order. Refuses codes outside the dictionary and more than 2³² − 1 rows.
    pub fn new(name: &str, values: Values<'_>) -> Result<Ordered, Error> {
        if u32::try_from(values.len()).is_err() {
            return Err(Error::TooManyRows { column: name.to_owned(), side: Side::Reference });
        }
        let column = match values {
            Values::Numeric(numbers) => {
                let present = numbers.iter().filter(|value| !value.is_nan());
                let mut keys = present.map(|value| sort::key(*value)).collect::<Vec<_>>();
                sort::ascending(&mut keys);
                keys.dedup();
                let rank = |value: &f64| {
                    let key = sort::key(*value);
                    if value.is_nan() { NO_RANK } else { count(keys.partition_point(|k| *k < key)) }
                };
                let ranks = numbers.iter().map(rank).collect();
                Column::Numeric { values: keys.into_iter().map(sort::value).collect(), ranks }
            }
            Values::Categorical { codes, names } => {
                // Refuses codes that name nothing.
                categorical::tally(name, Side::Reference, codes, names)?;
                let mut sorted = names.iter().collect::<Vec<_>>();
                sorted.sort_unstable();
                sorted.dedup();
                let class = |name: &String| count(sorted.partition_point(|known| *known < name));
                let by_code = names.iter().map(class).collect::<Vec<_>>();
                let class = |code: &u32| by_code.get(*code as usize).copied().unwrap_or(NO_RANK);
                let classes = codes.iter().map(class).collect();
                Column::Categorical { classes, names: sorted.len() }
            }
        };
        Ok(Ordered { name: name.to_owned(), column })
    }

    /// The window of the rows at `positions`. Refuses windows without rows and infinities.
    pub fn part(&self, side: Side, positions: &[usize]) -> Result<Part, Error> {
        if positions.is_empty() {
            return Err(Error::Empty { column: self.name.clone(), side });
        }
        Ok(Part(match &self.column {
            Column::Numeric { values, ranks } => {
                let found = distribution(values, ranks, positions);
                if found.range().is_some_and(|(low, high)| low.is_infinite() || high.is_infinite())
                {
                    let infinite = |at: &usize| {
                        let value = values.get(ranks[*at] as usize);
                        value.is_some_and(|value| value.is_infinite())
                    };
                    let row = positions.iter().position(infinite).unwrap_or(0);
                    return Err(Error::Infinite { column: self.name.clone(), side, row });
                }
                Rows::Numeric(found)
            }
            Column::Categorical { classes, names } => {
                let (mut rows, mut missing) = (vec![0; *names], 0);
                for at in positions {
                    match rows.get_mut(classes[*at] as usize) {
                        Some(rows) => *rows += 1,
                        None => missing += 1,
                    }
                }
                Rows::Categorical { rows, missing }
            }
        }))
    }
}

/// The values of some rows, from their ranks.
fn distribution(values: &[f64], ranks: &[u32], positions: &[usize]) -> Distribution {
    let (mut distinct, mut through) = (Vec::new(), Vec::new());
    let mut reached = 0;
    let mut take = |rank: usize, rows: u32| {
        reached += rows;
        distinct.push(values[rank]);
        through.push(reached);
    };
    if positions.len() < values.len() / SORTING_PAYS {
        let present = positions.iter().map(|at| ranks[*at]).filter(|rank| *rank != NO_RANK);
        let mut present = present.collect::<Vec<_>>();
        present.sort_unstable();
        present.chunk_by(|a, b| a == b).for_each(|run| take(run[0] as usize, count(run.len())));
    } else {
        let mut rows = vec![0; values.len()];
        for at in positions {
            if let Some(rows) = rows.get_mut(ranks[*at] as usize) {
                *rows += 1;
            }
        }
        let occurring = rows.into_iter().enumerate().filter(|(_, rows)| *rows > 0);
        occurring.for_each(|(rank, rows)| take(rank, rows));
    }
    Distribution { values: distinct, through, missing: count(positions.len()) - reached }
}

impl Part {
    /// Rows, with a value or without.
    #[must_use]
    pub fn rows(&self) -> u64 {
        match &self.0 {
            Rows::Numeric(found) => found.rows(),
            Rows::Categorical { rows, missing } => rows.iter().sum::<u64>() + u64::from(*missing),
        }
    }

    /// Values that are held: different numbers, or categories.
    #[must_use]
    pub fn held(&self) -> usize {
        match &self.0 {
            Rows::Numeric(found) => found.values.len(),
            Rows::Categorical { rows, .. } => rows.len(),
        }
    }

    /// How far the column is in `current` from this window; both must be of the same [`Ordered`].
    #[must_use]
    pub fn apart(&self, current: &Part) -> Apart {
        let (distance, moved) = match (&self.0, &current.0) {
            (Rows::Numeric(reference), Rows::Numeric(current)) => {
                let rows = [reference.present(), current.present()];
                let distance = (rows[0] > 0 && rows[1] > 0)
                    .then(|| Distance { rows, gap: numeric::gap(reference, current) });
                let statistic = |of: Distance| kolmogorov_smirnov::statistic(of.rows, of.gap);
                (distance, distance.map_or(0.0, statistic))
            }
            (
                Rows::Categorical { rows: reference, .. },
                Rows::Categorical { rows: current, .. },
            ) => {
                // In the order in which windows are compared by name: the sums are the same to the last bit.
                let both = || reference.iter().zip(current).map(|(was, is)| (*was, *is));
                let known = both().filter(|(was, _)| *was > 0);
                let unseen = both().filter(|(was, is)| *was == 0 && *is > 0);
                let (reference, current) = known.chain(unseen).unzip::<_, _, Vec<_>, Vec<_>>();
                let counts = Counts { reference: &reference, current: &current };
                (None, counts.association().unwrap_or(0.0))
            }
            // Of two different columns, which are as far apart as can be.
            (Rows::Numeric(_), Rows::Categorical { .. })
            | (Rows::Categorical { .. }, Rows::Numeric(_)) => (None, 1.0),
        };
        let missing = Shares { reference: self.missing(), current: current.missing() };
        Apart { score: moved.max(missing.change().abs()), distance }
    }

    /// Share of the rows without a value.
    fn missing(&self) -> f64 {
        let (Rows::Numeric(Distribution { missing, .. }) | Rows::Categorical { missing, .. }) =
            &self.0;
        f64::from(*missing) / self.rows() as f64
    }
}

/// The smallest p-value of the columns' Kolmogorov–Smirnov tests times their number (Bonferroni). Of columns with as
/// many rows only the one farthest apart is tested, since a test takes longer than all else.
#[must_use]
pub fn smallest_p(columns: &[Apart]) -> Option<f64> {
    let mut farthest = BTreeMap::new();
    let mut tests = 0_u32;
    for distance in columns.iter().filter_map(|column| column.distance) {
        tests += 1;
        let gap = farthest.entry(distance.rows).or_insert(distance.gap);
        *gap = distance.gap.max(*gap);
    }
    let tested = farthest.into_iter().map(|(rows, gap)| kolmogorov_smirnov::test(rows, gap));
    let smallest = tested.map(|test| test.p_value).reduce(f64::min)?;
    Some((smallest * f64::from(tests)).min(1.0))
}
