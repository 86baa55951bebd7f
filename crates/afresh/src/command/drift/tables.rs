//! Two tables against each other: what is read, what is asked of it, and what is told.

use std::path::Path;

use afresh_data::table::{LeftOut, Sample, Selection, Table, shared};
use afresh_engine::monitor::attribution::{self, PredictionShift, Slice};
use afresh_ml::drift::picture::Picture;
use afresh_ml::drift::{self, Drift, RowCounts};
use afresh_ml::rng::Rng;
use afresh_train::domain::{self, ToldApart};
use anyhow::Context as _;

use super::compare::{self, Compared, Plan, Route};
use super::model::Champion;
use super::threshold::{self, Chosen};
use super::{Options, html, importance, memory, show};
use crate::command::Context;
use crate::fault::Fault;
use crate::output::steps::Steps;

/// Rows of either side that slices and predictions are looked at on.
const SAMPLE_ROWS: u64 = 10_000;

/// Rows of either side that the domain classifier learns from: a standard error of its AUC of
/// about .006, for about half a CPU second with twenty columns.
const CLASSIFIER_ROWS: usize = 4_000;

/// The same tables give the same answer.
pub(super) const SEED: u64 = 20_170_424;

/// Everything that is told about two tables.
pub(super) struct Finding {
    pub(super) reference: String,
    pub(super) current: String,
    pub(super) drift: Drift,
    pub(super) pictures: Vec<Picture>,
    /// Shares of importance, one per column; all alike where unknown.
    pub(super) importance: Vec<f64>,
    /// Whether they say anything.
    pub(super) weighted: bool,
    pub(super) threshold: Chosen,
    pub(super) route: Route,
    pub(super) route_told: String,
    pub(super) classifier: Option<ToldApart>,
    pub(super) champion: Option<String>,
    pub(super) predictions: Option<PredictionShift>,
    pub(super) slices: Vec<Slice>,
    pub(super) notes: Vec<String>,
}

/// Compares, tells and says whether it is drift.
pub(super) async fn run(
    reference: &str,
    current: &str,
    options: &Options,
    context: &Context,
) -> Result<bool, Fault> {
    let (tables, asked) = ([reference, current].map(str::to_owned), options.clone());
    let here = context.clone();
    // On a thread of its own: reading and measuring leave no moment to notice Ctrl-C.
    let work = tokio::task::spawn_blocking(move || {
        let [reference, current] = &tables;
        tokio::runtime::Handle::current().block_on(find(reference, current, &asked, &here))
    });
    let found = work.await.context("failed to finish the comparison")??;
    if let Some(path) = &options.html {
        std::fs::write(path, afresh_report::drift_page::render(&html::page(&found)))
            .with_context(|| format!("failed to write {}", path.display()))?;
    }
    if context.json {
        show::json(&found, options.html.as_deref())?;
    } else {
        show::print(&found, options.html.as_deref());
    }
    Ok(found.drift.drifted)
}

async fn find(
    reference: &str,
    current: &str,
    options: &Options,
    context: &Context,
) -> Result<Finding, Fault> {
    let champion = match &options.model {
        Some(name) => Some(Box::pin(Champion::load(context, name)).await?),
        None => None,
    };
    let open = async |location: &str| {
        let opened = Table::open(location, Path::new(".")).await;
        opened.with_context(|| format!("failed to open `{location}`"))
    };
    let (before, after) = (open(reference).await?, open(current).await?);
    let mut selection =
        Selection { columns: options.columns.clone(), exclude: options.exclude.clone() };
    if let Some(champion) = champion.as_ref().filter(|_| options.columns.is_empty()) {
        selection.columns = champion.features();
        selection.columns.retain(|column| !selection.exclude.contains(column));
    }
    let named = selection.columns.clone();
    let shared = shared(&before, &after, &selection).map_err(anyhow::Error::new)?;
    let memory = options.memory.unwrap_or_else(memory::default_bytes);
    let route = compare::route([&before, &after], shared.columns.len(), memory);
    let mut rng = Rng::new(SEED);
    let samples = [&before, &after].map(|table| {
        Sample::draw(table.rows(), SAMPLE_ROWS, |bound| {
            rng.below(usize::try_from(bound).unwrap_or(usize::MAX)) as u64
        })
    });
    let plan =
        Plan { tables: [&before, &after], columns: &shared.columns, named: &named, samples, route };
    let values = (before.rows() + after.rows()).saturating_mul(shared.columns.len() as u64);
    let steps = Steps::new(context.progress, "drift", values);
    let compared = compare::compare(&plan, &steps).await?;
    drop(steps);
    let mut notes = notes(&shared.left_out);
    notes.extend(
        [&before, &after].iter().flat_map(|table| table.warnings()).map(ToString::to_string),
    );
    let tables = [&before, &after];
    let threshold = {
        let compared = &compared.columns;
        let columns = shared.columns.iter();
        let columns =
            columns.filter(|wanted| compared.iter().any(|found| found.name == wanted.name));
        let columns = columns.cloned().collect::<Vec<_>>();
        let names = columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
        let weights = weights(options, champion.as_ref(), &names)?;
        let chosen =
            threshold::choose(options, champion.as_ref(), tables, &columns, weights.as_deref());
        chosen.await?
    };
    judge(compared, tables, options, champion.as_ref(), threshold, (route, memory), notes)
}

/// Weighs the columns and asks the models.
fn judge(
    compared: Compared,
    [before, after]: [&Table; 2],
    options: &Options,
    champion: Option<&Champion>,
    threshold: Chosen,
    (route, memory): (Route, u64),
    mut notes: Vec<String>,
) -> Result<Finding, Fault> {
    let Compared { columns, pictures, samples, notes: more } = compared;
    notes.extend(more);
    let names = columns.iter().map(|column| column.name.clone()).collect::<Vec<_>>();
    let weights = weights(options, champion, &names)?;
    let weighted = weights.is_some();
    let weights = weights.unwrap_or_else(|| vec![1.0; columns.len()]);
    let total = weights.iter().sum::<f64>();
    let importance = weights.iter().map(|weight| weight / total).collect::<Vec<_>>();
    let rows = RowCounts { reference: before.rows(), current: after.rows() };
    let route_told = route.told(&columns, memory);
    let drift = drift::summarise(columns, Some(&weights), threshold.value(), rows);
    let drift = drift.context("failed to weigh the columns")?;

    let [reference, current] = &samples;
    let mut predictions = None;
    if let Some(champion) = champion {
        let missing = champion.features().into_iter().find(|feature| !names.contains(feature));
        match missing {
            Some(feature) => notes.push(format!(
                "what it does to the predictions is not known: column `{feature}` was not compared"
            )),
            None => {
                predictions =
                    attribution::prediction_shift(&champion.scorer, reference, current, SEED)
                        .with_context(|| format!("failed to predict with {}", champion.version))?;
            }
        }
    }
    let mut by = options.slices.clone();
    if let Some(unknown) = by.iter().find(|column| !names.contains(column)) {
        return Err(Fault::Usage(format!(
            "`--slices` names `{unknown}`, which is not among the columns compared: {}",
            names.join(", ")
        )));
    }
    if by.is_empty() {
        by = champion.map(|champion| champion.slices.clone()).unwrap_or_default();
        by.retain(|column| names.contains(column));
    }
    let slices = attribution::slices([reference, current], &by, &weights, predictions.as_ref())
        .context("failed to look at slices")?;
    let mut classifier = None;
    if options.domain_classifier {
        let fewer = samples.each_ref().map(|columns| thinned(columns));
        classifier = domain::tell_apart(&fewer[0], &fewer[1], SEED)
            .context("failed to tell the tables apart")?;
        if classifier.is_none() {
            notes.push(format!(
                "no model was trained to tell the tables apart: it needs {} rows of each",
                domain::ROWS_MIN
            ));
        }
    }
    Ok(Finding {
        reference: before.location().to_owned(),
        current: after.location().to_owned(),
        drift,
        pictures,
        importance,
        weighted,
        threshold,
        route,
        route_told,
        classifier,
        champion: champion.map(|champion| format!("{} of {}", champion.version, champion.model)),
        predictions,
        slices,
        notes,
    })
}

/// How much each column counts; `None` where nobody says.
fn weights(
    options: &Options,
    champion: Option<&Champion>,
    names: &[String],
) -> Result<Option<Vec<f64>>, Fault> {
    Ok(match (&options.importance, champion) {
        (Some(given), _) => Some(importance::read(given, names)?),
        (None, Some(champion)) => Some(champion.importance(names)),
        (None, None) => None,
    })
}

fn notes(left_out: &[LeftOut]) -> Vec<String> {
    let mut notes = Vec::new();
    let mut times = Vec::new();
    for column in left_out {
        match column {
            LeftOut::OneSide { column, has } => {
                notes.push(format!("column `{column}` is left out: only `{has}` has it"));
            }
            LeftOut::Times { column } => times.push(format!("`{column}`")),
            LeftOut::Unreadable { column, holds } => {
                notes.push(format!("column `{column}` is left out: it holds {holds}"));
            }
        }
    }
    if !times.is_empty() {
        let times = times.join(", ");
        notes.push(format!("left out, for they are times, which move by themselves: {times}"));
    }
    notes
}

/// At most [`CLASSIFIER_ROWS`] of the rows, evenly.
fn thinned(columns: &[afresh_data::rows::Column]) -> Vec<afresh_data::rows::Column> {
    use afresh_data::rows::{Column, Values};
    fn evenly<T: Copy>(values: &[T]) -> Vec<T> {
        let count = values.len().min(CLASSIFIER_ROWS);
        (0..count).map(|at| values[at * values.len() / count]).collect()
    }
    let column = |column: &Column| Column {
        name: column.name.clone(),
        values: match &column.values {
            Values::Numeric(values) => Values::Numeric(evenly(values)),
            Values::Categorical { codes, names } => {
                Values::Categorical { codes: evenly(codes), names: names.clone() }
            }
        },
    };
    columns.iter().map(column).collect()
}
