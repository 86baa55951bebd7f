//! What the monitors see: drift of the newest rows, decay of the champion, a candidate's conduct.
//! Measures are taken from available rows only; what follows from them is decided elsewhere.

pub mod attribution;
mod decay;
mod drift;
pub mod estimate;
pub mod evidence;
pub mod ladder;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use afresh_core::id::VersionId;
use afresh_core::input::Watch;
use afresh_core::signal::{Decay, Priority, Signal};
use afresh_core::time::{Timestamp, Window};
use afresh_data::spec::Columns;
use afresh_ml::drift::calibrate::Threshold;
use afresh_ml::drift::{Drift, Reference};
use afresh_ml::metrics::loss::row_losses;
use afresh_policy::observation::Observation;

pub use decay::DecayReport;

use crate::port::Store;
use crate::workshop::{Dataset, Error, Workshop, task};

/// Remembers what was prepared for a version; nothing that a restart could lose.
#[derive(Debug, Default)]
pub struct Monitor {
    references: Mutex<BTreeMap<VersionId, Arc<Prepared>>>,
    followed: Mutex<Option<decay::Followed>>,
}

/// A champion's rows, ready to be compared with.
#[derive(Debug)]
struct Prepared {
    /// One per column; none without rows.
    columns: Vec<Reference>,
    threshold: Threshold,
}

/// What was seen at the end of a period.
#[derive(Clone, Debug)]
pub struct Sight {
    /// For the policy.
    pub observation: Observation,
    /// The period's rows against the champion's; `None` without rows on one side.
    pub drift: Option<Drift>,
    /// From which score on that is drift, and why from there.
    pub threshold: Option<Threshold>,
    /// The champion's live performance; `None` where no label is available or no baseline.
    pub decay: Option<DecayReport>,
    /// Share of each feature in the champion's gain, in the schema's order.
    pub importance: Vec<f64>,
    /// For the core.
    pub signals: Vec<Signal>,
}

/// The champion and what it was trained on.
struct Subject {
    version: VersionId,
    dataset: Dataset,
    importance: Vec<f64>,
}

impl Sight {
    /// Without what only the core and the policy need.
    #[must_use]
    pub fn slim(mut self) -> Sight {
        if let Some(decay) = &mut self.decay {
            decay.trail = Vec::new();
        }
        Sight { signals: Vec::new(), ..self }
    }
}

impl Monitor {
    /// Looks at `champion` at the end of `period`.
    pub async fn look<S: Store>(
        &self,
        workshop: &Workshop,
        store: &S,
        champion: VersionId,
        period: Window,
    ) -> Result<Sight, Error> {
        let dataset = workshop.dataset_of(store, champion).await?;
        workshop.bring(champion).await?;
        let importance = drift::importance(workshop, champion)?;
        let subject = Subject { version: champion, dataset, importance };
        let window = Window { from: subject.dataset.window.from, to: period.to };
        let rows = workshop.rows(window, Columns::All).await?;
        let range = rows.range(period);
        let found = self.drift(workshop, &subject, &rows, period, range.clone())?;
        let (drift, threshold) = found.unzip();
        let baseline = workshop.baseline_of(store, champion).await?;
        let (available, decay) = self.follow(workshop, &subject, &rows, baseline, period)?;
        let mut signals = vec![Signal::Volume { rows: available }];
        if let Some(drift) = &drift {
            signals.push(Signal::Drift { score: drift.score, rows: count(range.len()) });
        }
        if let Some((decay, (metric, drop))) =
            decay.as_ref().and_then(|decay| Some((decay, decay.drop(workshop)?)))
        {
            signals.push(Signal::Decay(Decay {
                version: champion,
                metric,
                drop,
                alarm: decay.proven(),
                priority: Priority::new(decay.priority).unwrap_or(Priority::DEFAULT),
            }));
        }
        let unit = self.unit(workshop, store, &subject, &rows).await?;
        let evidence = self
            .evidence(
                workshop,
                store,
                &subject,
                &rows,
                period,
                drift.as_ref(),
                decay.as_ref(),
                unit,
            )
            .await?;
        let observation = Observation {
            at: period.to,
            champion,
            rows: count(range.len()),
            available_since_cut: available,
            drift: drift.as_ref().map(|drift| drift.score),
            loss: decay
                .as_ref()
                .and_then(|decay| decay.loss(workshop.settings().advice.prices.priced, unit)),
            evidence,
        };
        Ok(Sight { observation, drift, threshold, decay, importance: subject.importance, signals })
    }

    /// How a candidate that serves since `since` is doing against the champion on the same rows:
    /// those whose event it answered and whose label is available.
    pub async fn watch<S: Store>(
        &self,
        workshop: &Workshop,
        store: &S,
        candidate: VersionId,
        champion: Option<VersionId>,
        since: Timestamp,
        now: Timestamp,
    ) -> Result<Watch, Error> {
        let window = Window { from: since, to: now };
        let rows = workshop.rows(window, Columns::All).await?;
        let mut positions =
            rows.range(window).filter(|at| rows.is_available(*at, now)).collect::<Vec<_>>();
        positions.sort_by_key(|at| rows.available_at[*at]);
        let labels = positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let mut watch = Watch {
            version: candidate,
            labels: count(labels.len()),
            e_value: 0.0,
            excess_loss: 0.0,
            error_rate: 0.0,
        };
        let Some(champion) = champion else { return Ok(watch) };
        for version in [candidate, champion] {
            workshop.bring(version).await?;
        }
        let task = task(workshop.feed().schema());
        let losses = |version| {
            let predictions = workshop.predict(version, &rows, &positions)?;
            Ok::<_, Error>(row_losses(task, &labels, &predictions))
        };
        let (ours, theirs) = (losses(candidate)?, losses(champion)?);
        let excess = ours.iter().zip(&theirs).map(|(ours, theirs)| ours - theirs);
        let excess = excess.collect::<Vec<_>>();
        let baseline = workshop.baseline_of(store, champion).await?;
        let Some(baseline) = baseline.filter(|_| !excess.is_empty()) else { return Ok(watch) };
        #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
        let rows = excess.len() as f64;
        watch.excess_loss = excess.iter().sum::<f64>() / rows;
        watch.e_value = decay::harm(&baseline, &excess)?;
        Ok(watch)
    }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
