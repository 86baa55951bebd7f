//! Rows of a table drawn at random, the same ones for the same seed.

use std::collections::{BTreeSet, HashMap};

use super::{Batch, Cells};
use crate::rows::{self, MISSING};
use crate::schema::Kind;

/// Places of rows, ascending, drawn without replacement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sample {
    places: Vec<u64>,
}

/// One column of a sample, growing batch by batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    next: usize,
    values: rows::Values,
    known: HashMap<String, u32>,
}

impl Sample {
    /// At most `size` of `rows` rows; all where there are no more. Every set of rows is as likely
    /// as any other (Floyd's algorithm: Bentley & Floyd 1987). `below(n)` draws from `0..n`.
    #[must_use]
    pub fn draw(rows: u64, size: u64, mut below: impl FnMut(u64) -> u64) -> Sample {
        if rows <= size {
            return Sample { places: (0..rows).collect() };
        }
        let mut places = BTreeSet::new();
        for limit in rows - size..rows {
            let place = below(limit + 1);
            if !places.insert(place) {
                places.insert(limit);
            }
        }
        Sample { places: places.into_iter().collect() }
    }

    /// Rows drawn.
    #[must_use]
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether none was drawn.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Adds the drawn rows of `batch`, whose column has these `cells`. Batches come in order.
    pub fn take(&self, drawn: &mut Drawn, batch: &Batch<'_>, cells: Cells<'_>) {
        let end = batch.first_row + batch.rows as u64;
        while let Some(place) = self.places.get(drawn.next).filter(|place| **place < end) {
            let at = usize::try_from(place - batch.first_row).unwrap_or(usize::MAX);
            match (&mut drawn.values, cells) {
                (rows::Values::Numeric(values), Cells::Numeric(numbers)) => {
                    values.push(numbers[at]);
                }
                (
                    rows::Values::Categorical { codes, names },
                    Cells::Categorical { codes: found, names: found_names, .. },
                ) => {
                    let name = found_names.get(found[at] as usize);
                    codes.push(name.map_or(MISSING, |name| {
                        if let Some(code) = drawn.known.get(name) {
                            return *code;
                        }
                        // A sample has fewer rows than there are codes.
                        let code = u32::try_from(names.len()).unwrap_or(MISSING);
                        names.push(name.clone());
                        drawn.known.insert(name.clone(), code);
                        code
                    }));
                }
                // A column is read as one kind from its first batch to its last.
                (rows::Values::Numeric(_), Cells::Categorical { .. })
                | (rows::Values::Categorical { .. }, Cells::Numeric(_)) => {}
            }
            drawn.next += 1;
        }
    }
}

impl Drawn {
    /// An empty column to [`Sample::take`] values of this kind into.
    #[must_use]
    pub fn new(kind: Kind) -> Drawn {
        let values = match kind {
            Kind::Numeric | Kind::Boolean => rows::Values::Numeric(Vec::new()),
            Kind::Categorical => rows::Values::Categorical { codes: Vec::new(), names: Vec::new() },
        };
        Drawn { next: 0, values, known: HashMap::new() }
    }

    /// The values, in the order of the table.
    #[must_use]
    pub fn into_values(self) -> rows::Values {
        self.values
    }
}
