//! How far a model's newest whole period moved from its champion's rows.

use std::sync::Arc;

use afresh_core::id::VersionId;
use afresh_core::time::Window;
use afresh_engine::look;
use afresh_engine::monitor::{Sight, attribution};
use afresh_engine::workshop::Workshop;
use afresh_ml::drift::ColumnDrift;
use afresh_store::sqlite::Sqlite;
use anyhow::Context as _;
use serde_json::json;

use super::show;
use crate::command::Context;
use crate::fault::Fault;
use crate::live::{Columns, Live};
use crate::output::{self, number};
use crate::wiring;

/// Rows of either side that predictions and slices are looked at on.
const SAMPLE_ROWS: usize = 10_000;

/// What the monitors see of a model now.
pub(in super::super) struct Seen {
    pub(in super::super) name: String,
    pub(in super::super) version: VersionId,
    pub(in super::super) period: Window,
    pub(in super::super) sight: Sight,
    pub(in super::super) workshop: Arc<Workshop>,
    pub(in super::super) store: Arc<Sqlite>,
}

/// Looks at a model without telling its core.
pub(in super::super) async fn see(context: &Context, model: Option<&str>) -> Result<Seen, Fault> {
    let live = Live::open(context).await?;
    let model = wiring::model(&live.config, model)?;
    let name = &model.name;
    let mut driver = live.driver(&[model]).await?;
    let state = driver.machine().model(name);
    let version = state.and_then(|state| state.champion().or(state.phase().candidate()));
    let Some(version) = version else {
        let help = "`afresh retrain` makes a first one";
        return Err(Fault::helped(format!("{name} has no version to compare with"), help));
    };
    live.employ(&mut driver, model, Columns::Kept).await?;
    let workshop = driver.workshop(name).context("the model has no workers")?;
    let looked = look::sight(&workshop, &*live.store, version, live.clock.now()).await;
    let looked = looked.with_context(|| format!("failed to look at {name}"))?;
    let Some((period, sight)) = looked else {
        let help = "write a shorter `period` under [replay], or wait";
        let length = live.config.replay.period;
        return Err(Fault::helped(format!("{name} has no whole period of {length} yet"), help));
    };
    let store = Arc::clone(&live.store);
    Ok(Seen { name: name.to_string(), version, period, sight, workshop, store })
}

/// Tells how far a model's rows moved, and whether that is drift.
pub(super) async fn run(model: Option<&str>, context: &Context) -> Result<bool, Fault> {
    let seen = Box::pin(see(context, model)).await?;
    let Seen { name, version, period, sight, .. } = &seen;
    let Some(drift) = &sight.drift else {
        let help = "the period is empty, or so were the rows that trained";
        return Err(Fault::helped(format!("{name} has no rows to compare in {period}"), help));
    };
    let attributed =
        attribution::of_period(&seen.workshop, &*seen.store, *version, *period, SAMPLE_ROWS).await;
    let (shift, slices) =
        attributed.with_context(|| format!("failed to tell what drift did to {version}"))?;
    let importance = |column: &ColumnDrift| {
        let at = drift.columns.iter().position(|other| other.name == column.name);
        at.and_then(|at| sight.importance.get(at)).copied().unwrap_or(0.0)
    };
    let mut columns = drift.columns.iter().map(|c| (importance(c), c)).collect::<Vec<_>>();
    columns.sort_by(|(a, left), (b, right)| {
        (b * right.score).total_cmp(&(a * left.score)).then(right.score.total_cmp(&left.score))
    });
    if context.json {
        let mut value = serde_json::to_value(drift).context("failed to write drift as JSON")?;
        let rows = columns.iter().map(|(importance, column)| {
            let mut row = json!(column);
            row["importance"] = json!(importance);
            row
        });
        value["columns"] = rows.collect();
        value["predictions"] = json!(shift);
        value["slices"] = json!(slices);
        value["threshold_source"] = json!(sight.threshold);
        if let Some(threshold) = &sight.threshold {
            value["threshold_source"]["explanation"] = json!(threshold.explanation());
        }
        value["model"] = json!(name);
        value["version"] = json!(version.to_string());
        value["period"] = json!({"from": period.from.to_string(), "to": period.to.to_string()});
        output::json(&value);
        return Ok(drift.drifted);
    }
    let word = if drift.drifted { "drifted" } else { "did not drift" };
    output::line(format_args!(
        "{name} {word}: score {:.3} of {} rows in {period} against {} rows of {version}, \
             threshold {:.3}",
        drift.score, drift.rows.current, drift.rows.reference, drift.threshold
    ));
    if let Some(threshold) = &sight.threshold {
        output::line(threshold.explanation());
    }
    output::line("");
    let header = ["column", "importance", "score", "KS or V", "PSI", "JS", "missing", "unseen"];
    let mut table = output::table(&header);
    for (importance, column) in columns {
        let strength = column.ks.map(|ks| ks.statistic);
        let strength = strength.or(column.chi_square.map(|chi| chi.cramers_v));
        let mark = if column.drifted { " *" } else { "" };
        table.add_row([
            format!("{}{mark}", column.name),
            format!("{:.1} %", importance * 100.0),
            format!("{:.3}", column.score),
            number(strength),
            number(column.psi),
            number(column.jensen_shannon),
            format!(
                "{:.1} → {:.1} %",
                column.missing.reference * 100.0,
                column.missing.current * 100.0
            ),
            format!("{:.1} %", column.out_of_range.max(0.0) * 100.0),
        ]);
    }
    output::line(table);
    show::attributed(shift.as_ref(), &version.to_string(), &slices);
    Ok(drift.drifted)
}
