//! What is known of a champion, the surest evidence first: its labels; without them an estimate; then how far its
//! predictions moved; last how far its inputs did. The first that says anything is the one to go by.

use afresh_core::id::VersionId;
use afresh_core::time::Window;
use afresh_data::spec::Columns;
use afresh_ml::decay::Direction;
use afresh_ml::decay::ttest;
use afresh_ml::drift::calibrate::{FIXED, Threshold};
use afresh_ml::estimate::Estimate;
use afresh_ml::metrics::Metric;
use serde::Serialize;

use super::estimate::{Report, distance};
use super::{DecayReport, Sight};
use crate::port::Store;
use crate::settings::Settings;
use crate::workshop::{Baseline, Error, Workshop, task};

/// Rows of either side that are predicted at most, evenly spread.
const ROWS_MAX: usize = 20_000;
/// Distance at which predictions have moved: that of a column where no history tells better.
const DISTANCE_MAX: f64 = FIXED;
/// Labelled rows that can say "as before", rows of an estimate, and of either side of a distance.
const ROWS_MIN: usize = 50;

/// Kinds of evidence, the surest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Evidence {
    /// Losses of rows whose label is there.
    Labels,
    /// What the metric should be by calibrated probabilities, of rows without label.
    Estimate,
    /// Distance of the newest predictions from those on the rows that trained.
    Predictions,
    /// Drift of the newest rows from those that trained.
    Inputs,
}

/// What one kind of evidence says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// Beyond chance and beyond what is allowed.
    Worse,
    /// Not so.
    Sound,
    /// There is nothing to tell from.
    Silent,
}

/// One rung.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Rung {
    /// Of which kind.
    pub evidence: Evidence,
    /// What it says.
    pub finding: Finding,
    /// What is measured, such as `auc` or `drift score`.
    pub measure: String,
    /// The figure; an estimate is worse only where its whole band is.
    pub value: Option<f64>,
    /// Where it would be too bad.
    pub limit: Option<f64>,
    /// Rows behind it.
    pub rows: u64,
}

/// All four rungs, the surest first.
///
/// `baseline`: of the rows that judged it, if there are any; `moved`: distance of the predictions and the rows of the newest period behind it, as [`predictions`] tells.
#[must_use]
pub fn rungs(
    settings: &Settings,
    sight: &Sight,
    baseline: Option<&Baseline>,
    estimate: Option<&Report>,
    moved: Option<(f64, u64)>,
) -> [Rung; 4] {
    [
        labels(sight.decay.as_ref()),
        estimated(settings, baseline, estimate),
        predicted(moved),
        inputs(sight),
    ]
}

/// The rung to go by: the surest that says anything.
#[must_use]
pub fn surest(rungs: &[Rung]) -> Option<&Rung> {
    rungs.iter().find(|rung| rung.finding != Finding::Silent)
}

/// How far the predictions of `version` on the rows of `period` lie from those on the rows that trained it
/// (Kolmogorov–Smirnov; of several outputs the largest), and the rows of the period. `None` where either side has
/// too few rows.
pub async fn predictions<S: Store>(
    workshop: &Workshop,
    store: &S,
    version: VersionId,
    period: Window,
) -> Result<Option<(f64, u64)>, Error> {
    let dataset = workshop.dataset_of(store, version).await?;
    workshop.bring(version).await?;
    let window = Window { from: dataset.window.from.min(period.from), to: period.to };
    let rows = workshop.rows(window, Columns::All).await?;
    let trained = workshop.trained_on(version, &dataset, &rows)?;
    let current = rows.range(period).collect::<Vec<_>>();
    if trained.len() < ROWS_MIN || current.len() < ROWS_MIN {
        return Ok(None);
    }
    let count = super::count(current.len());
    let width = task(workshop.feed().schema()).outputs();
    let predict = |positions: &[usize]| {
        let rows_taken = positions.len().min(ROWS_MAX);
        let evenly = (0..rows_taken).map(|at| positions[at * positions.len() / rows_taken]);
        workshop.predict(version, &rows, &evenly.collect::<Vec<_>>())
    };
    let (before, after) = (predict(&trained)?, predict(&current)?);
    let of = |values: &[f64], output: usize| {
        values.iter().skip(output).step_by(width).copied().collect::<Vec<_>>()
    };
    let distances = (0..width).map(|output| distance(of(&before, output), of(&after, output)));
    Ok(Some((distances.fold(0.0, f64::max), count)))
}

fn labels(decay: Option<&DecayReport>) -> Rung {
    let Some(decay) = decay else {
        return silent(Evidence::Labels, "row loss");
    };
    let test = &decay.sequential;
    Rung {
        evidence: Evidence::Labels,
        finding: if decay.proven() {
            Finding::Worse
        } else if test.rows < super::count(ROWS_MIN) {
            Finding::Silent
        } else {
            Finding::Sound
        },
        measure: "row loss".to_owned(),
        value: Some(test.recent_mean),
        limit: Some(decay.baseline.loss.mean + test.threshold),
        rows: test.rows,
    }
}

/// Of the gate's metric where it can be estimated, else of the first that can.
fn estimated(settings: &Settings, baseline: Option<&Baseline>, report: Option<&Report>) -> Rung {
    let nothing = || silent(Evidence::Estimate, settings.metric.name());
    let newest = report.and_then(|report| report.newest.as_ref());
    let Some(newest) = newest else { return nothing() };
    let own = |estimate: &&Estimate| estimate.measure.name() == settings.metric.name();
    let Some(found) = newest.iter().find(own).or(newest.first()) else { return nothing() };
    if found.value.is_none() || found.rows < ROWS_MIN {
        return nothing();
    }
    let Some(metric) = Metric::parse(found.measure.name()) else { return nothing() };
    let standards = baseline.map_or(&[][..], |baseline| &baseline.standards);
    let known = standards.iter().find(|known| known.metric == metric);
    let Some(standard) = known.and_then(|known| known.value) else { return nothing() };
    let allowed = ttest::Threshold::of(metric, settings.decay.drop).against(standard);
    // Worse only where the whole band is.
    let (best, limit) = match Direction::of(metric) {
        Direction::HigherIsBetter => (found.upper, standard - allowed),
        Direction::LowerIsBetter => (found.lower, standard + allowed),
    };
    let worse = match Direction::of(metric) {
        Direction::HigherIsBetter => best < limit,
        Direction::LowerIsBetter => best > limit,
    };
    Rung {
        evidence: Evidence::Estimate,
        finding: if worse { Finding::Worse } else { Finding::Sound },
        measure: found.measure.name().to_owned(),
        value: found.value,
        limit: Some(limit),
        rows: super::count(found.rows),
    }
}

fn predicted(moved: Option<(f64, u64)>) -> Rung {
    let (evidence, measure) = (Evidence::Predictions, "distance of predictions");
    let Some((value, rows)) = moved else { return silent(evidence, measure) };
    let finding = if value >= DISTANCE_MAX { Finding::Worse } else { Finding::Sound };
    Rung {
        evidence,
        finding,
        measure: measure.to_owned(),
        value: Some(value),
        limit: Some(DISTANCE_MAX),
        rows,
    }
}

fn inputs(sight: &Sight) -> Rung {
    let (evidence, measure) = (Evidence::Inputs, "drift score");
    let Some(drift) = &sight.drift else { return silent(evidence, measure) };
    Rung {
        evidence,
        finding: if drift.drifted { Finding::Worse } else { Finding::Sound },
        measure: measure.to_owned(),
        value: Some(drift.score),
        limit: sight.threshold.as_ref().map(Threshold::value),
        rows: drift.rows.current,
    }
}

fn silent(evidence: Evidence, measure: &str) -> Rung {
    Rung {
        evidence,
        finding: Finding::Silent,
        measure: measure.to_owned(),
        value: None,
        limit: None,
        rows: 0,
    }
}
