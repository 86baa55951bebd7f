//! Features as an engine sees them: dictionaries learned on training rows, and the number matrix.

use afresh_data::rows::{Column, MISSING, Rows, Values};
use afresh_data::schema::{Kind, Schema};
use serde::{Deserialize, Serialize};

use crate::error::Error;
use crate::recipe::Categories;

/// How the features of one model become numbers; in the order of the schema.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Encodings(pub Vec<Encoding>);

/// How one feature becomes numbers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Encoding {
    /// Name in the source.
    pub name: String,
    /// What is done with its values.
    #[serde(flatten)]
    pub coding: Coding,
}

/// What is done with the values of a feature.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", tag = "coding")]
pub enum Coding {
    /// Taken as they are; booleans are 0 and 1.
    Numeric,
    /// Looked up by name. A name that the training rows did not have is missing.
    Categorical {
        /// Whether trees split by sets of codes instead of by order.
        native: bool,
        /// The categories of the training rows, sorted; a position is the number.
        names: Vec<String>,
    },
}

/// Feature values in the order of the rows, one row after the other; NaN is missing.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Matrix {
    pub(crate) values: Vec<f32>,
    pub(crate) rows: usize,
    /// By column: whether its values are codes without an order.
    pub(crate) native: Vec<bool>,
}

/// Rows that are filled in column by column: these stay in the processor's nearest cache.
const BLOCK_ROWS: usize = 256;

impl Encodings {
    /// Learns the categories of `rows`, of which those that occur in no row are left out.
    ///
    /// # Errors
    /// Names a feature of `schema` that is missing or of another kind.
    pub fn learn(schema: &Schema, rows: &Rows, categories: Categories) -> Result<Encodings, Error> {
        schema
            .features
            .iter()
            .enumerate()
            .map(|(at, feature)| {
                let coding = match &find(rows, at, &feature.name, feature.kind)?.values {
                    Values::Numeric(_) => Coding::Numeric,
                    Values::Categorical { codes, names } => {
                        let native = categories == Categories::Native;
                        Coding::Categorical { native, names: occurring(codes, names) }
                    }
                };
                Ok(Encoding { name: feature.name.clone(), coding })
            })
            .collect::<Result<_, _>>()
            .map(Encodings)
    }

    /// Turns rows into numbers.
    ///
    /// # Errors
    /// Names a feature that is missing, of another kind or length, or infinite.
    pub(crate) fn encode(&self, rows: &Rows) -> Result<Matrix, Error> {
        self.encode_each(rows, rows.len(), |place| place)
    }

    /// Turns the rows at `positions` into numbers, without copying them first.
    ///
    /// # Errors
    /// As [`encode`](Encodings::encode).
    pub(crate) fn encode_at(&self, rows: &Rows, positions: &[usize]) -> Result<Matrix, Error> {
        self.encode_each(rows, positions.len(), |place| positions[place])
    }

    fn encode_each(
        &self,
        rows: &Rows,
        count: usize,
        row_at: impl Fn(usize) -> usize,
    ) -> Result<Matrix, Error> {
        let width = self.0.len();
        let mut native = vec![false; width];
        let mut cells_of = Vec::with_capacity(width);
        for (at, encoding) in self.0.iter().enumerate() {
            let kind = match encoding.coding {
                Coding::Numeric => Kind::Numeric,
                Coding::Categorical { .. } => Kind::Categorical,
            };
            let column = find(rows, at, &encoding.name, kind)?;
            match (&encoding.coding, &column.values) {
                (Coding::Numeric, Values::Numeric(numbers)) => {
                    check_length(column, numbers.len(), rows.len())?;
                    cells_of.push((at, Cells::Numbers { name: &column.name, numbers }));
                }
                (
                    Coding::Categorical { native: by_set, names },
                    Values::Categorical { codes, names: found_names },
                ) => {
                    check_length(column, codes.len(), rows.len())?;
                    native[at] = *by_set;
                    let translation = Translation::new(names, found_names, count);
                    cells_of.push((at, Cells::Codes { codes, translation }));
                }
                // `find` has compared the kinds.
                (Coding::Numeric, Values::Categorical { .. })
                | (Coding::Categorical { .. }, Values::Numeric(_)) => {}
            }
        }
        let mut values = vec![f32::NAN; width * count];
        for (block, values) in values.chunks_mut((BLOCK_ROWS * width).max(1)).enumerate() {
            for (at, cells) in &cells_of {
                let column = values[*at..].iter_mut().step_by(width).enumerate();
                let column =
                    column.map(|(place, value)| (row_at(block * BLOCK_ROWS + place), value));
                cells.fill(column)?;
            }
        }
        Ok(Matrix { values, rows: count, native })
    }
}

/// Where the numbers of one column come from.
enum Cells<'a> {
    Numbers { name: &'a str, numbers: &'a [f64] },
    Codes { codes: &'a [u32], translation: Translation<'a> },
}

impl Cells<'_> {
    /// Fills in the values of rows.
    fn fill<'v>(&self, values: impl Iterator<Item = (usize, &'v mut f32)>) -> Result<(), Error> {
        match self {
            Cells::Numbers { name, numbers } => {
                for (row, value) in values {
                    if numbers[row].is_infinite() {
                        return Err(Error::Infinite { column: (*name).to_owned(), row });
                    }
                    *value = single(numbers[row]);
                }
            }
            Cells::Codes { codes, translation } => {
                values.for_each(|(row, value)| *value = translation.of(codes[row]));
            }
        }
        Ok(())
    }
}

/// The nearest single-precision number; numbers beyond its range become its extremes.
#[expect(clippy::cast_possible_truncation, reason = "rounding to single precision is meant")]
pub(crate) fn single(number: f64) -> f32 {
    if number.is_nan() { f32::NAN } else { (number as f32).clamp(f32::MIN, f32::MAX) }
}

/// The column of a feature, which usually stands at the feature's own place.
pub(crate) fn find<'a>(
    rows: &'a Rows,
    at: usize,
    name: &str,
    kind: Kind,
) -> Result<&'a Column, Error> {
    let column = rows
        .columns
        .get(at)
        .filter(|column| column.name == name)
        .or_else(|| rows.columns.iter().find(|column| column.name == name))
        .ok_or_else(|| Error::ColumnMissing { column: name.to_owned() })?;
    let (expected, found) = (
        if kind == Kind::Categorical { "categorical" } else { "numeric" },
        if matches!(column.values, Values::Numeric(_)) { "numeric" } else { "categorical" },
    );
    if expected == found {
        return Ok(column);
    }
    Err(Error::ColumnRetyped {
        column: name.to_owned(),
        expected: expected.to_owned(),
        found: found.to_owned(),
    })
}

pub(crate) fn check_length(column: &Column, found: usize, rows: usize) -> Result<(), Error> {
    if found == rows {
        return Ok(());
    }
    Err(Error::ColumnLength { column: column.name.clone(), found, rows })
}

/// The names that occur, sorted.
fn occurring(codes: &[u32], names: &[String]) -> Vec<String> {
    let mut seen = vec![false; names.len()];
    for &code in codes.iter().filter(|code| **code != MISSING) {
        if let Some(seen) = seen.get_mut(code as usize) {
            *seen = true;
        }
    }
    let mut occurring = names
        .iter()
        .zip(seen)
        .filter(|(_, seen)| *seen)
        .map(|(name, _)| name.clone())
        .collect::<Vec<_>>();
    occurring.sort();
    occurring
}

/// From the codes of some rows to the learned numbers.
pub(crate) enum Translation<'a> {
    /// One number per code: for many rows.
    Table(Vec<f32>),
    /// Looked up row by row: for fewer rows than there are names.
    Lookup { names: &'a [String], found_names: &'a [String] },
}

impl<'a> Translation<'a> {
    pub(crate) fn new(
        names: &'a [String],
        found_names: &'a [String],
        rows: usize,
    ) -> Translation<'a> {
        if rows < found_names.len() {
            return Translation::Lookup { names, found_names };
        }
        Translation::Table(found_names.iter().map(|name| position(names, name)).collect())
    }

    pub(crate) fn of(&self, found: u32) -> f32 {
        match self {
            Translation::Table(table) => table.get(found as usize).copied().unwrap_or(f32::NAN),
            Translation::Lookup { names, found_names } => {
                found_names.get(found as usize).map_or(f32::NAN, |name| position(names, name))
            }
        }
    }
}

/// The number of a name; NaN where the training rows did not have it.
#[expect(clippy::cast_precision_loss, reason = "exact below 2^24 names, far above what data takes")]
fn position(names: &[String], name: &String) -> f32 {
    names.binary_search(name).map_or(f32::NAN, |at| at as f32)
}

#[cfg(test)]
mod tests {
    use afresh_data::schema::Task;

    use super::*;
    use crate::testing::{categorical, numeric, rows, schema};

    fn names_of(encodings: &Encodings) -> &[String] {
        let Coding::Categorical { names, .. } = &encodings.0[0].coding else {
            panic!("not categorical");
        };
        names
    }

    #[test]
    fn dictionaries_are_sorted_whatever_the_order_of_rows() {
        let schema = schema(Task::Binary, &[("c", Kind::Categorical)]);
        let labels = [0.0, 1.0, 1.0, 0.0];
        let one =
            rows(vec![categorical("c", &["b", "a", "", "c"], &["a", "b", "c", "never"])], &labels);
        let other = rows(vec![categorical("c", &["c", "b", "a", ""], &["c", "b", "a"])], &labels);
        for how in [Categories::Native, Categories::Codes] {
            let learned = Encodings::learn(&schema, &one, how).unwrap();
            assert_eq!(names_of(&learned), ["a", "b", "c"]);
            assert_eq!(learned, Encodings::learn(&schema, &other, how).unwrap());
        }
    }

    #[test]
    fn unseen_and_missing_categories_are_nan_for_few_and_many_rows() {
        let schema = schema(Task::Binary, &[("c", Kind::Categorical)]);
        let train = rows(vec![categorical("c", &["a", "b"], &["a", "b"])], &[0.0, 1.0]);
        let learned = Encodings::learn(&schema, &train, Categories::Codes).unwrap();
        for names in [
            vec!["b", "new", "a"],
            vec!["a", "b", "new"],
            vec!["a", "b", "c", "d", "e", "f", "new"],
        ] {
            let later = rows(vec![categorical("c", &["new", "b", "", "a"], &names)], &[0.0; 4]);
            let matrix = learned.encode(&later).unwrap();
            let shown = matrix.values.iter().map(f32::to_string).collect::<Vec<_>>();
            assert_eq!(shown, ["NaN", "1", "NaN", "0"], "{names:?}");
        }
    }

    #[test]
    fn columns_are_found_by_name_and_told_when_wrong() {
        let schema = schema(Task::Binary, &[("a", Kind::Numeric), ("b", Kind::Boolean)]);
        let train = rows(vec![numeric("a", &[1.0]), numeric("b", &[0.0])], &[1.0]);
        let learned = Encodings::learn(&schema, &train, Categories::Codes).unwrap();
        let swapped = rows(vec![numeric("b", &[0.0]), numeric("a", &[f64::NAN])], &[1.0]);
        let values = learned.encode(&swapped).unwrap().values;
        assert!(values[0].is_nan() && values[1] == 0.0);

        let missing = rows(vec![numeric("a", &[1.0])], &[1.0]);
        assert_eq!(learned.encode(&missing), Err(Error::ColumnMissing { column: "b".into() }));
        let retyped = rows(vec![categorical("a", &["x"], &["x"]), numeric("b", &[0.0])], &[1.0]);
        let error = learned.encode(&retyped).unwrap_err().to_string();
        assert_eq!(error, "column `a` is categorical, the model was trained with it as numeric");
        let infinite = rows(vec![numeric("a", &[f64::INFINITY]), numeric("b", &[0.0])], &[1.0]);
        assert_eq!(learned.encode(&infinite), Err(Error::Infinite { column: "a".into(), row: 0 }));
    }

    #[test]
    fn numbers_beyond_single_precision_become_its_extremes() {
        assert_eq!((single(1e300), single(-1e300)), (f32::MAX, f32::MIN));
    }
}
