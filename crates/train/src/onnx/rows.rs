//! Rows as the inputs of a model in ONNX.
//!
//! A category is its position in the dictionary where the input takes numbers, and its name where
//! it takes strings. What is missing (a category that the training rows did not have is, too) is
//! NaN, −1 for a category as a whole number, and the empty string.

use std::borrow::Cow;
use std::ops::Range;

use afresh_data::rows::{Rows, Values};
use afresh_data::schema::Schema;
use ort::session::SessionInputValue;
use ort::value::{Tensor, Value, ValueTypeMarker};

use super::signature::{Element, Input, Inputs};
use crate::encoding::{Coding, Encodings, Translation, check_length, find, single};
use crate::error::Error;

/// The columns of rows in the order of the features.
pub(super) struct Table<'a> {
    columns: Vec<Column<'a>>,
}

/// One feature of all rows.
struct Column<'a> {
    name: &'a str,
    cells: Cells<'a>,
}

enum Cells<'a> {
    Numbers(&'a [f64]),
    Categories { codes: &'a [u32], names: &'a [String], translation: Translation<'a> },
}

/// Names with their values.
pub(super) type Named<'a> = Vec<(Cow<'a, str>, SessionInputValue<'a>)>;

impl<'a> Table<'a> {
    /// # Errors
    /// Names a feature that is missing, of another kind or length, or infinite.
    pub(super) fn new(
        rows: &'a Rows,
        schema: &'a Schema,
        encodings: &'a Encodings,
    ) -> Result<Table<'a>, Error> {
        let features = schema.features.iter().enumerate();
        let columns = features.map(|(at, feature)| {
            let column = find(rows, at, &feature.name, feature.kind)?;
            let cells = match &column.values {
                Values::Numeric(numbers) => {
                    check_length(column, numbers.len(), rows.len())?;
                    if let Some(row) = numbers.iter().position(|number| number.is_infinite()) {
                        return Err(Error::Infinite { column: column.name.clone(), row });
                    }
                    Cells::Numbers(numbers)
                }
                Values::Categorical { codes, names } => {
                    check_length(column, codes.len(), rows.len())?;
                    let known = match encodings.0.get(at).map(|encoding| &encoding.coding) {
                        Some(Coding::Categorical { names, .. }) => names.as_slice(),
                        Some(Coding::Numeric) | None => &[],
                    };
                    let translation = Translation::new(known, names, rows.len());
                    Cells::Categories { codes, names, translation }
                }
            };
            Ok(Column { name: &feature.name, cells })
        });
        Ok(Table { columns: columns.collect::<Result<_, _>>()? })
    }

    /// The inputs for the rows in `range`.
    ///
    /// # Errors
    /// Names a value that an input of whole numbers cannot hold.
    pub(super) fn inputs<'b>(
        &self,
        inputs: &'b Inputs,
        range: Range<usize>,
    ) -> Result<Named<'b>, String> {
        match inputs {
            Inputs::Matrix { name, element } => {
                let shape = [range.len(), self.columns.len()];
                let cells = range.flat_map(|row| self.columns.iter().map(move |c| c.number(row)));
                let value = if *element == Element::Double {
                    tensor(Tensor::from_array((shape, cells.collect::<Vec<_>>())))?
                } else {
                    tensor(Tensor::from_array((shape, cells.map(single).collect::<Vec<_>>())))?
                };
                Ok(vec![(Cow::Borrowed(name.as_str()), value)])
            }
            Inputs::Columns(inputs) => {
                let column = |input: &'b Input| {
                    let value = self.columns[input.feature].value(input, range.clone())?;
                    Ok((Cow::Borrowed(input.name.as_str()), value))
                };
                inputs.iter().map(column).collect()
            }
        }
    }
}

impl Column<'_> {
    /// NaN where it is missing.
    fn number(&self, row: usize) -> f64 {
        match &self.cells {
            Cells::Numbers(numbers) => numbers[row],
            Cells::Categories { codes, translation, .. } => f64::from(translation.of(codes[row])),
        }
    }

    /// Empty where it is missing.
    fn text(&self, row: usize) -> &str {
        match &self.cells {
            Cells::Numbers(_) => "",
            Cells::Categories { codes, names, .. } => {
                names.get(codes[row] as usize).map_or("", String::as_str)
            }
        }
    }

    #[expect(clippy::cast_possible_truncation, reason = "checked to be whole and small")]
    fn whole(&self, row: usize) -> Result<i64, String> {
        let number = self.number(row);
        let reason = match &self.cells {
            Cells::Categories { .. } => {
                return Ok(if number.is_nan() { -1 } else { number as i64 });
            }
            Cells::Numbers(_) if number.is_nan() => "a missing value".to_owned(),
            Cells::Numbers(_) if number.fract().abs() > 0.0 || number.abs() > 9e15 => {
                number.to_string()
            }
            Cells::Numbers(_) => return Ok(number as i64),
        };
        Err(self.refused(row, &reason, "a whole number"))
    }

    fn value(
        &self,
        input: &Input,
        range: Range<usize>,
    ) -> Result<SessionInputValue<'static>, String> {
        let rows = range.len();
        let shape = if input.flat { vec![rows] } else { vec![rows, 1] };
        match input.element {
            Element::Double => {
                let cells = range.map(|row| self.number(row)).collect::<Vec<_>>();
                tensor(Tensor::from_array((shape, cells)))
            }
            Element::Int64 => {
                let cells = range.map(|row| self.whole(row)).collect::<Result<Vec<_>, _>>()?;
                tensor(Tensor::from_array((shape, cells)))
            }
            Element::Int32 => {
                let narrow = |row| {
                    let whole = self.whole(row)?;
                    let narrow = i32::try_from(whole);
                    narrow.map_err(|_wide| self.refused(row, &whole.to_string(), "an int32"))
                };
                let cells = range.map(narrow).collect::<Result<Vec<_>, _>>()?;
                tensor(Tensor::from_array((shape, cells)))
            }
            Element::Bool => {
                let truth = |row| Ok(self.whole(row)? != 0);
                let cells = range.map(truth).collect::<Result<Vec<_>, String>>()?;
                tensor(Tensor::from_array((shape, cells)))
            }
            Element::Text => {
                let cells = range.map(|row| self.text(row).to_owned()).collect::<Vec<_>>();
                tensor(Tensor::from_string_array((shape, cells.as_slice())))
            }
            // Another type was refused when the model was loaded.
            Element::Float | Element::Other => {
                let cells = range.map(|row| single(self.number(row))).collect::<Vec<_>>();
                tensor(Tensor::from_array((shape, cells)))
            }
        }
    }

    fn refused(&self, row: usize, value: &str, expected: &str) -> String {
        format!(
            "its input `{}` takes {expected}, row {row} has {value}: export the input as \
             `FloatTensorType`",
            self.name
        )
    }
}

/// A tensor as an input.
fn tensor<T: ValueTypeMarker + ?Sized>(
    made: Result<Value<T>, ort::Error>,
) -> Result<SessionInputValue<'static>, String> {
    let input = made.map(SessionInputValue::from);
    input.map_err(|error| format!("ONNX Runtime refuses its input: {error}"))
}
