//! Since when a champion meets another world: what `window = "since-change"` trains on.

use afresh_core::id::VersionId;
use afresh_core::time::{Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_data::selection::newest_from;
use afresh_data::spec::Columns;
use afresh_ml::decay::rise::Rise;
use afresh_ml::metrics::loss::row_losses;

use super::{Error, Workshop, task};
use crate::port::Store;

/// A window since a change holds at least so many available rows, from before it where need be: fewer teach nothing.
const ROWS_MIN: usize = 1_000;

impl Workshop {
    /// Event time of the first row after the champion's losses last rose (ADWIN); where they did not, from which on rows trained
    /// it.
    pub(super) async fn changed<S: Store>(
        &self,
        store: &S,
        champion: VersionId,
        as_of: Timestamp,
    ) -> Result<Option<Timestamp>, Error> {
        let dataset = self.dataset_of(store, champion).await?;
        self.bring(champion).await?;
        let before = self.selection(champion, &dataset)?.window.from;
        let cut = dataset.cuts.as_of;
        let rows = self.rows(Window { from: dataset.window.from, to: as_of }, Columns::All).await?;
        let inside =
            |at: &usize| rows.available_at[*at].is_some_and(|when| cut <= when && when < as_of);
        let mut newest = (0..rows.len()).filter(inside).collect::<Vec<_>>();
        newest.sort_by_key(|at| rows.available_at[*at]);
        let labels = newest.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let predictions = self.predict(champion, &rows, &newest)?;
        let mut rise = Rise::default();
        rise.update_many(&row_losses(task(self.feed.schema()), &labels, &predictions));
        let at = rise.since().and_then(|since| newest.get(usize::try_from(since).ok()?));
        let changed = at.map(|at| rows.event_time[*at]);
        Ok(Some(enough(&rows, as_of, changed.unwrap_or(before))))
    }
}

/// `changed`, or earlier, so that at least a thousand rows available before `as_of` came since.
#[must_use]
pub fn enough(rows: &Rows, as_of: Timestamp, changed: Timestamp) -> Timestamp {
    let available = (0..rows.len()).filter(|at| rows.is_available(*at, as_of)).collect::<Vec<_>>();
    newest_from(rows, &available, ROWS_MIN).map_or(changed, |from| from.min(changed))
}
