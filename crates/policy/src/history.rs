//! What a policy remembers of a model: a bounded fold of its periods, the same for every policy, so
//! that another policy can take over without forgetting.

use afresh_core::time::Duration;
use serde::{Deserialize, Serialize};

use crate::observation::Observation;

/// Version of the stored form.
pub const FORMAT: u16 = 2;
/// Periods kept; the oldest go first.
pub const PERIODS_MAX: usize = 260;
/// Fewest differences between versions from which a slope is told.
const PAIRS_MIN: usize = 3;

/// One model's periods, oldest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct History {
    format: u16,
    /// Periods ever seen.
    seen: u64,
    records: Vec<Record>,
}

/// One period.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Record {
    /// What was seen at its end.
    pub observation: Observation,
    /// Whether a run ended after it without a new champion.
    pub run_ended: bool,
}

impl Default for History {
    fn default() -> History {
        History { format: FORMAT, seen: 0, records: Vec::new() }
    }
}

impl History {
    /// Refuses a stored form that this version does not read.
    pub fn check(self) -> Result<History, String> {
        if self.format != FORMAT {
            let found = self.format;
            return Err(format!(
                "the policy's state has format {found}, this version reads {FORMAT}"
            ));
        }
        Ok(self)
    }

    /// Adds a period. One that is not after the last is ignored.
    pub fn observe(&mut self, observation: &Observation) {
        if self.newest().is_some_and(|newest| observation.at <= newest.at) {
            return;
        }
        if PERIODS_MAX <= self.records.len() {
            self.records.remove(0);
        }
        self.seen += 1;
        self.records.push(Record { observation: observation.clone(), run_ended: false });
    }

    /// A run ended without a new champion.
    pub fn run_ended(&mut self) {
        if let Some(newest) = self.records.last_mut() {
            newest.run_ended = true;
        }
    }

    /// Periods ever seen.
    #[must_use]
    pub fn seen(&self) -> u64 {
        self.seen
    }

    /// Periods kept, oldest first.
    #[must_use]
    pub fn records(&self) -> &[Record] {
        &self.records
    }

    /// The last period.
    #[must_use]
    pub fn newest(&self) -> Option<&Observation> {
        self.records.last().map(|record| &record.observation)
    }

    /// Whole periods since a run last ended or the champion changed; the first period of a new
    /// champion is itself one.
    #[must_use]
    pub fn since_run(&self) -> &[Record] {
        let Some(newest) = self.newest() else { return &[] };
        let champion = newest.champion;
        let served =
            |record: &&Record| record.observation.champion == champion && !record.run_ended;
        let periods = self.records.iter().rev().take_while(served).count();
        &self.records[self.records.len() - periods..]
    }

    /// Number of [`History::since_run`].
    #[must_use]
    pub fn age(&self) -> u32 {
        u32::try_from(self.since_run().len()).unwrap_or(u32::MAX)
    }

    /// Rows of the median period.
    #[must_use]
    pub fn median_rows(&self) -> Option<f64> {
        let mut rows =
            self.records.iter().map(|record| record.observation.rows).collect::<Vec<_>>();
        rows.sort_unstable();
        #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
        rows.get(rows.len() / 2).map(|rows| *rows as f64)
    }

    /// Mean loss of a constant guess; where it was never measured the champion's baseline, which is
    /// smaller.
    #[must_use]
    pub fn guess(&self) -> Option<f64> {
        let guesses = self.records.iter().filter_map(|record| record.observation.evidence.guess);
        let (count, sum) =
            guesses.fold((0.0, 0.0), |(count, sum), guess| (count + 1.0, sum + guess));
        if count > 0.0 {
            return Some(sum / count);
        }
        self.newest()?.loss.map(|loss| loss.baseline)
    }

    /// Length of a period.
    #[must_use]
    pub fn period(&self) -> Option<Duration> {
        let [.., before, last] = self.records.as_slice() else { return None };
        Some(last.observation.at.since(before.observation.at))
    }

    /// How much loss per row a model gains with each period of age: the slope of loss on age over
    /// versions scored on the same rows, pooled over the periods. The rows' own difficulty, which
    /// swings more than models age, drops out. `None` with fewer than three differences.
    #[must_use]
    pub fn ageing(&self) -> Option<f64> {
        let (mut pairs, mut covariance, mut variance) = (0, 0.0, 0.0);
        for (place, record) in self.records.iter().enumerate() {
            let Some(loss) = record.observation.loss else { continue };
            let age = self.age_at(place);
            for retired in &record.observation.evidence.retired {
                let older = f64::from(retired.age) - age;
                if older.abs() < 0.5 {
                    continue;
                }
                pairs += 1;
                covariance += older * (retired.mean - loss.mean);
                variance += older * older;
            }
        }
        (PAIRS_MIN <= pairs).then(|| covariance / variance)
    }

    /// Periods from the training of what served to the end of the period at `place`.
    pub(crate) fn age_at(&self, place: usize) -> f64 {
        let champion = self.records[place].observation.champion;
        let same = |record: &&Record| record.observation.champion == champion;
        let periods = self.records[..=place].iter().rev().take_while(same).count();
        u32::try_from(periods).map_or(f64::MAX, f64::from)
    }

    /// What the champion's loss exceeds a fresh model's by, per row: its age times what a period of
    /// age costs where versions could be compared, else its loss above the holdout that judged it.
    #[must_use]
    pub fn excess(&self) -> Option<f64> {
        let loss = self.newest()?.loss?;
        let measured = (loss.mean - loss.baseline).max(0.0);
        match self.ageing() {
            None => Some(measured),
            Some(slope) => Some((slope * self.age_at(self.records.len() - 1)).max(0.0)),
        }
    }
}
