//! Where the rows of a batch stand in their file.

use crate::error::Place;

/// The file a batch or line comes from.
pub(crate) struct Origin<'a> {
    pub(crate) file: &'a str,
    pub(crate) row_group: Option<usize>,
    /// Row of the file, from 0, of the first row of the batch.
    pub(crate) first_row: u64,
}

/// The places of a batch's rows after those outside the window were dropped.
pub(crate) enum Kept {
    All,
    Some(Vec<usize>),
}

impl Origin<'_> {
    /// Row of the file, from 0, of row `at` of the batch.
    pub(crate) fn row(&self, kept: &Kept, at: usize) -> u64 {
        let at = match kept {
            Kept::All => at,
            Kept::Some(places) => places[at],
        };
        self.first_row + at as u64
    }

    pub(crate) fn place(&self, kept: &Kept, at: usize) -> Box<Place> {
        self.file_place().at_row(self.row(kept, at) + 1)
    }

    pub(crate) fn file_place(&self) -> Box<Place> {
        Place::file(self.file).in_row_group(self.row_group)
    }
}
