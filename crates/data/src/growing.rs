//! One feature being read: every value checked against its kind.

use arrow_array::Array;

use crate::columnar::{self, Names};
use crate::error::{Error, Place};
use crate::labels;
use crate::origin::{Kept, Origin};
use crate::rows::{Column, MISSING, Values};
use crate::schema::{Feature, Kind};

/// One feature, growing.
pub(crate) struct Growing<'a> {
    pub(crate) feature: &'a Feature,
    pub(crate) values: Vec<f64>,
    pub(crate) codes: Vec<u32>,
    pub(crate) names: Names,
}

impl Growing<'_> {
    pub(crate) fn append(
        &mut self,
        array: &dyn Array,
        kept: &Kept,
        from: &Origin<'_>,
    ) -> Result<(), Error> {
        let start = self.values.len();
        let taken = match self.feature.kind {
            Kind::Numeric | Kind::Boolean => columnar::numbers(array, &mut self.values),
            Kind::Categorical => columnar::texts(array, &mut self.names, &mut self.codes),
        };
        if !taken {
            return Err(Error::Retyped {
                column: self.feature.name.clone(),
                was: self.feature.kind,
                is: array.data_type().to_string(),
                place: from.file_place(),
            });
        }
        // Without an early exit the loop is a plain sweep over the new values.
        let infinite = self.values[start..].iter().fold(false, |bad, v| bad | v.is_infinite());
        if infinite {
            let at = self.values[start..].iter().position(|v| v.is_infinite()).unwrap_or(0);
            let (column, place) = (self.feature.name.clone(), from.place(kept, at));
            return Err(Error::Infinite { column, place });
        }
        Ok(())
    }

    pub(crate) fn push(&mut self, text: &str, place: &Place) -> Result<(), Error> {
        let text = text.trim();
        let missing = labels::is_missing(text);
        let number = match self.feature.kind {
            Kind::Categorical => {
                self.codes.push(if missing { MISSING } else { self.names.code(text) });
                return Ok(());
            }
            _ if missing => Some(f64::NAN),
            Kind::Numeric => text.parse::<f64>().ok(),
            Kind::Boolean if text.eq_ignore_ascii_case("true") => Some(1.0),
            Kind::Boolean if text.eq_ignore_ascii_case("false") => Some(0.0),
            Kind::Boolean => None,
        };
        match number {
            Some(number) if number.is_infinite() => Err(Error::Infinite {
                column: self.feature.name.clone(),
                place: Box::new(place.clone()),
            }),
            Some(number) => {
                self.values.push(number);
                Ok(())
            }
            None => Err(Error::Retyped {
                column: self.feature.name.clone(),
                was: self.feature.kind,
                is: format!("`{text}`"),
                place: Box::new(place.clone()),
            }),
        }
    }

    /// Categories end sorted and only those that occur, so that the same rows read from other
    /// files are the same.
    pub(crate) fn finish(self) -> Column {
        let name = self.feature.name.clone();
        if self.feature.kind != Kind::Categorical {
            return Column { name, values: Values::Numeric(self.values) };
        }
        let mut used = vec![false; self.names.names.len()];
        for code in self.codes.iter().filter(|code| **code != MISSING) {
            used[*code as usize] = true;
        }
        let mut names = self.names.names.into_iter().enumerate().collect::<Vec<_>>();
        let known = names.len();
        names.retain(|(code, _)| used[*code]);
        names.sort_by(|a, b| a.1.cmp(&b.1));
        let mut renumbered = vec![MISSING; known];
        for (new, (old, _)) in (0_u32..).zip(&names) {
            renumbered[*old] = new;
        }
        let mut codes = self.codes;
        for code in &mut codes {
            *code = renumbered.get(*code as usize).copied().unwrap_or(MISSING);
        }
        let names = names.into_iter().map(|(_, name)| name).collect();
        Column { name, values: Values::Categorical { codes, names } }
    }
}
