//! Since when a champion meets another world: what `window = "since-change"` trains on.

use afresh_core::id::VersionId;
use afresh_core::time::{Timestamp, Window};
use afresh_data::rows::Rows;
use afresh_data::selection::newest_from;
use afresh_data::spec::Columns;
use afresh_ml::decay::rise::Rise;
use afresh_ml::metrics::loss::row_losses;

use super::{Error, Workshop, task};
use crate::monitor::evidence::unit_of_loss;
use crate::port::Store;

/// A window since a change holds at least so many available rows, from before it where need be: fewer teach nothing.
const ROWS_MIN: usize = 1_000;
/// Rows behind the change whose median event time is where it began: labels that come early or late are then no matter.
const ROWS_TOLD_BY: usize = 63;

impl Workshop {
    /// Event time from which on the champion's losses are higher (ADWIN); where they did not rise, from which on rows trained it.
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
        let all = Window { from: Timestamp::MIN, to: as_of };
        let rows = self.rows(all, Columns::All).await?;
        let since = |from: Timestamp| {
            let inside =
                |at: &usize| rows.available_at[*at].is_some_and(|at| from <= at && at < as_of);
            rows.range(all).filter(inside).collect::<Vec<_>>()
        };
        let mut newest = since(cut);
        newest.sort_by_key(|at| rows.available_at[*at]);
        let labels = |positions: &[usize]| positions.iter().map(|at| rows.label[*at]).collect();
        let (task, known): (_, Vec<f64>) = (task(self.feed.schema()), labels(&newest));
        let predictions = self.predict(champion, &rows, &newest)?;
        // In the unit that a backtest reads: ADWIN's bound is not free of scale.
        let unit = match self.unit_of_loss(store).await? {
            Some(settled) => settled,
            None => {
                let trained: Vec<f64> = labels(&self.trained_on(champion, &dataset, &rows)?);
                unit_of_loss(task, &trained)
            }
        };
        let losses = row_losses(task, &known, &predictions);
        let mut rise = Rise::default();
        rise.update_many(&losses.iter().map(|loss| loss / unit).collect::<Vec<_>>());
        let times = newest.iter().map(|at| rows.event_time[*at]).collect::<Vec<_>>();
        let changed = rise.since().and_then(|since| began(&times, since));
        Ok(Some(enough(&rows, as_of, changed.unwrap_or(before))))
    }
}

/// When what rose after `since` rows, told in order of availability, began: the median of the event times that follow.
#[must_use]
pub fn began(times: &[Timestamp], since: u64) -> Option<Timestamp> {
    let start = usize::try_from(since).ok()?;
    let end = times.len().min(start.checked_add(ROWS_TOLD_BY)?);
    let mut behind = times.get(start..end)?.to_vec();
    behind.sort_unstable();
    behind.get(behind.len() / 2).copied()
}

/// `changed`, or earlier, so that at least a thousand rows available before `as_of` came since.
#[must_use]
pub fn enough(rows: &Rows, as_of: Timestamp, changed: Timestamp) -> Timestamp {
    let known = rows.range(Window { from: Timestamp::MIN, to: as_of });
    let available = known.filter(|at| rows.is_available(*at, as_of)).collect::<Vec<_>>();
    newest_from(rows, &available, ROWS_MIN).map_or(changed, |from| from.min(changed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_early_or_late_label_does_not_say_where_a_change_began() {
        let mut times = (0..200).map(Timestamp).collect::<Vec<_>>();
        assert_eq!(began(&times, 100), Some(Timestamp(131)));
        times[100] = Timestamp(9_000);
        times[101] = Timestamp(-9_000);
        let told = began(&times, 100).unwrap();
        assert!((130..=133).contains(&told.0), "{told}");
        assert_eq!(began(&times, 199), Some(Timestamp(199)));
        assert_eq!(began(&times, 200), None);
    }
}
