//! Judging: champion and candidate on the same rows, which neither was trained or selected on.

use afresh_core::gate::{self, Check, CheckResult, Comparison};
use afresh_core::id::{DatasetId, RunId, VersionId};
use afresh_core::time::{Timestamp, Window};
use afresh_data::rows::{Rows, Values};
use afresh_data::spec::Columns;
use afresh_data::split::{self, Cuts, Part};
use afresh_ml::compare::{self, Outcome, Pair, SliceColumn};
use afresh_ml::decay::sequential;
use afresh_ml::decay::standard::Standard;
use afresh_ml::estimate::Reference;
use afresh_ml::metrics::Metric;
use afresh_ml::metrics::loss::row_losses;
use afresh_train::recipe::Engine;
use serde::{Deserialize, Serialize};

use super::{Error, Workshop, task};
use crate::port::Store;

/// Largest artifact that passes.
const SIZE_BYTES_MAX: u64 = 1 << 30;
/// Slowest single-row prediction that passes, at the 99th percentile.
const LATENCY_MS_MAX: u128 = 250;
/// Predictions that are timed.
const LATENCY_TRIES: usize = 100;

/// One judgement to be made.
#[derive(Clone, Debug)]
pub(super) struct Task {
    pub(super) run: RunId,
    pub(super) dataset: DatasetId,
    pub(super) candidate: VersionId,
    pub(super) champion: Option<VersionId>,
    pub(super) judgement: u32,
    pub(super) as_of: Timestamp,
}

/// Everything that a judgement measured, kept for `afresh explain`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Judgement {
    /// The candidate.
    pub candidate: VersionId,
    /// What it was compared with.
    pub champion: Option<VersionId>,
    /// From 0.
    pub judgement: u32,
    /// Rows that judged became available in this stretch.
    pub available: Window,
    /// Those rows.
    pub rows: u64,
    /// Error probability that this judgement spent.
    pub alpha: f64,
    /// The comparison; `None` for a first version.
    pub evidence: Option<compare::Evidence>,
    /// What the gate was told.
    pub summary: gate::Evidence,
}

/// A version's loss on the rows that judged it: what its live loss is measured against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Baseline {
    /// The task's row loss.
    pub loss: sequential::Baseline,
    /// The range into which losses are clipped.
    pub clip: sequential::Clip,
    /// The model's metric on those rows, where it has a value.
    pub metric: Option<f64>,
    /// Every metric that fits the task on those rows; empty where an older version judged.
    #[serde(default)]
    pub standards: Vec<Standard>,
    /// How often its probabilities come true on those rows; `None` for regression, where all of them have one class,
    /// and where an older version judged.
    #[serde(default)]
    pub calibration: Option<Reference>,
}

/// Of a [`Judgement`], when the rows that judged became available.
#[derive(Deserialize)]
struct Span {
    available: Window,
}

/// Key of a judgement's document.
#[must_use]
pub fn judgement_key(run: RunId, judgement: u32) -> String {
    format!("judgement/{run}/{judgement}")
}

fn baseline_key(version: VersionId) -> String {
    format!("baseline/{version}")
}

/// Key of the document that holds what a unit of loss is divided by.
const UNIT_OF_LOSS: &str = "unit-of-loss";

impl Workshop {
    pub(super) async fn judge<S: Store>(
        &self,
        store: &S,
        asked: &Task,
    ) -> Result<gate::Evidence, Error> {
        let (rows, positions, available) = self.judging_rows(asked).await?;
        let Task { candidate, champion, judgement, .. } = *asked;
        for version in [Some(candidate), champion].into_iter().flatten() {
            self.bring(version).await?;
        }
        let mut checks = self.hard_checks(candidate);
        let settings = &self.settings;
        let alpha = settings.gate.alpha_of(judgement, settings.rejudge.times + 1);
        let scored = self.predict(candidate, &rows, &positions);
        checks.push(check("outputs finite", scored.as_ref().map(|_| String::new())));
        let labels = positions.iter().map(|at| rows.label[*at]).collect::<Vec<_>>();
        let mut summary = gate::Evidence {
            checks,
            metric: settings.metric.name().to_owned(),
            candidate: None,
            comparison: None,
            rows: count(labels.len()),
            harmed_slices: Vec::new(),
            negative_flips: None,
        };
        let mut evidence = None;
        if let Ok(predictions) = scored {
            let task = task(self.feed.schema());
            summary.candidate = settings.metric.value(task, &labels, &predictions);
            if let Some(champion) = champion {
                let kept = self.predict(champion, &rows, &positions)?;
                let slices = self.slice_columns(&rows, &positions);
                let measured = self.compare(asked, alpha, &slices, &labels, &kept, &predictions)?;
                fill(&mut summary, &measured);
                evidence = Some(measured);
            }
            if let Some(baseline) = self.baseline(&labels, &predictions, summary.candidate) {
                self.put(store, &baseline_key(candidate), &baseline).await?;
            }
        }
        let judgement = Judgement {
            candidate,
            champion,
            judgement,
            available,
            rows: summary.rows,
            alpha,
            evidence,
            summary: summary.clone(),
        };
        self.put(store, &judgement_key(asked.run, asked.judgement), &judgement).await?;
        Ok(summary)
    }

    /// A version's baseline; `None` for one that was never judged.
    pub async fn baseline_of<S: Store>(
        &self,
        store: &S,
        version: VersionId,
    ) -> Result<Option<Baseline>, Error> {
        let body = store.document(&self.settings.model, &baseline_key(version)).await?;
        body.map(|body| {
            serde_json::from_str(&body)
                .map_err(|error| Error::Missing(format!("baseline of {version}: {error}")))
        })
        .transpose()
    }

    /// What a unit of loss is divided by before it is priced; `None` as long as it is not settled.
    pub async fn unit_of_loss<S: Store>(&self, store: &S) -> Result<Option<f64>, Error> {
        let body = store.document(&self.settings.model, UNIT_OF_LOSS).await?;
        let broken = |error| Error::Missing(format!("{UNIT_OF_LOSS}: {error}"));
        body.map(|body| serde_json::from_str(&body).map_err(broken)).transpose()
    }

    pub(crate) async fn settle_unit_of_loss<S: Store>(
        &self,
        store: &S,
        unit: f64,
    ) -> Result<(), Error> {
        self.put(store, UNIT_OF_LOSS, &unit).await
    }

    /// Rows that became available before this have judged `version`, so it was selected on them: a
    /// candidate that was judged again saw later rows than its dataset's.
    pub(super) async fn judged_until<S: Store>(
        &self,
        store: &S,
        version: VersionId,
    ) -> Result<Timestamp, Error> {
        let model = &self.settings.model;
        let Some(made) = store.version(model, version).await? else { return Ok(Timestamp::MIN) };
        let Some(run) = store.run(model, made.run).await? else { return Ok(Timestamp::MIN) };
        let Some(last) = run.judgements.checked_sub(1) else { return Ok(Timestamp::MIN) };
        let key = judgement_key(made.run, last);
        let Some(body) = store.document(model, &key).await? else { return Ok(Timestamp::MIN) };
        let span: Span = serde_json::from_str(&body)
            .map_err(|error| Error::Missing(format!("{key} cannot be read: {error}")))?;
        Ok(span.available.to)
    }

    pub(super) async fn copy_baseline<S: Store>(
        &self,
        store: &S,
        from: VersionId,
        to: VersionId,
    ) -> Result<(), Error> {
        if let Some(baseline) = self.baseline_of(store, from).await? {
            self.put(store, &baseline_key(to), &baseline).await?;
        }
        Ok(())
    }

    /// Loads, schema, golden rows, size, latency.
    pub(super) fn hard_checks(&self, version: VersionId) -> Vec<Check> {
        let scorer = match self.scorer(version) {
            Ok(scorer) => scorer,
            Err(error) => return vec![check::<Error>("loads", Err(&error))],
        };
        let mut checks = vec![check::<Error>("loads", Ok(String::new()))];
        let same = scorer.manifest().schema == *self.feed.schema();
        let result = if same { CheckResult::Passed } else { CheckResult::Failed };
        let detail = if same { String::new() } else { "it has another schema".to_owned() };
        checks.push(Check { name: "schema matches".to_owned(), result, detail });
        checks.push(check("golden rows", scorer.check_golden().as_ref().map(|()| String::new())));
        let size = scorer.manifest().files.iter().map(|file| file.size_bytes).sum::<u64>();
        checks.push(limited("size", u128::from(size), u128::from(SIZE_BYTES_MAX), "bytes"));
        // A command's scorer starts a process for every call: its latency is not the model's.
        if !matches!(scorer.manifest().recipe.engine, Engine::Command(_)) {
            let latency = scorer.golden_p99(LATENCY_TRIES);
            checks.push(match latency {
                Ok(latency) => limited("single-row p99", latency.as_millis(), LATENCY_MS_MAX, "ms"),
                Err(error) => check("single-row p99", Err(&error)),
            });
        }
        checks
    }

    /// Rows that judge, their positions, and when they became available. The first judgement uses
    /// the dataset's holdout, later ones everything since.
    async fn judging_rows(
        &self,
        asked: &Task,
    ) -> Result<(std::sync::Arc<Rows>, Vec<usize>, Window), Error> {
        let dataset = self.dataset(&asked.dataset).await?;
        let again = asked.judgement > 0;
        let as_of = if again { asked.as_of } else { dataset.cuts.as_of };
        let cuts = Cuts { as_of, ..dataset.cuts };
        let window = Window { from: dataset.window.from, to: as_of };
        let available = Window { from: cuts.holdout_from, to: as_of };
        if self.feed.is_memory() {
            let rows = self.rows(window, Columns::All).await?;
            let positions = split::positions(&rows, window, &cuts, Part::Holdout);
            return Ok((rows, positions, available));
        }
        // The rows that judge are few: find where they are before reading all columns.
        let times = self.rows(window, Columns::TimesAndLabel).await?;
        let positions = split::positions(&times, window, &cuts, Part::Holdout);
        let (Some(first), Some(last)) = (positions.first(), positions.last()) else {
            return Ok((times, positions, available));
        };
        let to = Timestamp(times.event_time[*last].0.saturating_add(1));
        let narrow = Window { from: times.event_time[*first], to };
        let rows = self.rows(narrow, Columns::All).await?;
        let positions = split::positions(&rows, narrow, &cuts, Part::Holdout);
        Ok((rows, positions, available))
    }

    fn slice_columns<'a>(&self, rows: &'a Rows, positions: &[usize]) -> Vec<Sliced<'a>> {
        let wanted = |name: &str| self.settings.slices.iter().any(|slice| slice == name);
        let columns = rows.columns.iter().filter(|column| wanted(&column.name));
        columns
            .filter_map(|column| match &column.values {
                Values::Categorical { codes, names } => {
                    let codes = positions.iter().map(|at| codes[*at]).collect();
                    Some(Sliced { name: &column.name, codes, names })
                }
                Values::Numeric(_) => None,
            })
            .collect()
    }

    fn compare(
        &self,
        asked: &Task,
        alpha: f64,
        slices: &[Sliced<'_>],
        labels: &[f64],
        champion: &[f64],
        candidate: &[f64],
    ) -> Result<compare::Evidence, Error> {
        let columns = slices
            .iter()
            .map(|slice| SliceColumn { name: slice.name, codes: &slice.codes, names: slice.names })
            .collect::<Vec<_>>();
        let pair = Pair { labels, champion, candidate };
        let metric: Metric = self.settings.metric;
        let request = compare::Request {
            slices: &columns,
            alpha,
            seed: asked.run.0,
            slice_margin: self.settings.gate.margin,
            ..compare::Request::new(metric, task(self.feed.schema()), pair)
        };
        let candidate = asked.candidate;
        compare::measure(&request).map_err(|source| Error::Comparison { candidate, source })
    }

    /// `None` where there are too few rows to speak of a mean.
    fn baseline(
        &self,
        labels: &[f64],
        predictions: &[f64],
        metric: Option<f64>,
    ) -> Option<Baseline> {
        let task = task(self.feed.schema());
        let losses = row_losses(task, labels, predictions);
        let clip = sequential::Clip::for_task(task, &losses);
        let loss = sequential::Baseline::from_losses(&losses, clip).ok()?;
        let standards = Standard::all(task, labels, predictions);
        let calibration = Reference::fit(task, labels, predictions).ok();
        Some(Baseline { loss, clip, metric, standards, calibration })
    }

    async fn put<S: Store, T: Serialize>(
        &self,
        store: &S,
        key: &str,
        body: &T,
    ) -> Result<(), Error> {
        let body = serde_json::to_string(body)
            .map_err(|error| Error::Missing(format!("{key} cannot be written: {error}")))?;
        Ok(store.put_document(&self.settings.model, key, &body).await?)
    }
}

/// A column whose categories are compared one by one, on the rows that judge.
struct Sliced<'a> {
    name: &'a str,
    codes: Vec<u32>,
    names: &'a [String],
}

fn fill(summary: &mut gate::Evidence, measured: &compare::Evidence) {
    let primary = &measured.primary;
    summary.comparison = Some(Comparison {
        champion: primary.champion,
        difference: primary.difference,
        lower: primary.lower,
        upper: primary.upper,
    });
    summary.negative_flips = measured.flips.as_ref().map(|flips| flips.negative);
    summary.harmed_slices = measured
        .slices
        .iter()
        .filter(|slice| matches!(slice.outcome, Outcome::Measured { harmed: true, .. }))
        .map(|slice| format!("{}={}", slice.column, slice.value))
        .collect();
}

fn check<E: std::error::Error>(name: &str, result: Result<String, &E>) -> Check {
    let name = name.to_owned();
    match result {
        Ok(detail) => Check { name, result: CheckResult::Passed, detail },
        Err(error) => Check { name, result: CheckResult::Failed, detail: super::chain(error) },
    }
}

fn limited(name: &str, measured: u128, limit: u128, unit: &str) -> Check {
    let result = if measured <= limit { CheckResult::Passed } else { CheckResult::Failed };
    let detail = format!("{measured} {unit}, at most {limit}");
    Check { name: name.to_owned(), result, detail }
}

fn count(rows: usize) -> u64 {
    u64::try_from(rows).unwrap_or(u64::MAX)
}
