//! `decay`: how what serves does on the newest rows, against the rows that judged it, and how it seems to do on rows
//! whose labels are not there yet.

use std::path::PathBuf;

use afresh_engine::monitor::DecayReport;
use afresh_engine::monitor::estimate::{self, Report};
use afresh_engine::monitor::ladder::{Rung, predictions, rungs, surest};
use afresh_ml::decay::{Decay, Test};
use afresh_ml::estimate::{BLIND, Estimate, Measure};
use anyhow::Context as _;
use serde_json::{Value, json};

use super::Context;
use super::drift::{Seen, see};
use crate::fault::Fault;
use crate::output;

mod html;
mod ladder;

/// Compares what serves with itself on the rows that judged it: its loss row by row as labels
/// became available, by a test that may be looked at at any time; its metrics over windows; and an
/// estimate for rows whose labels are missing, which cannot see concept drift. Looks only; nothing
/// is decided.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh decay
  afresh decay shop/churn --json | jq '.decay[] | select(.detected)'
  afresh decay --html decay.html
  afresh decay --now 2013-06-01        as if it were that day

Metrics, windows and the test are the model's: decay = { drop = 0.05, windows = [\"24h\", \"7d\"],
metrics = [\"auc\", \"log_loss\"], test = \"sequential\" } under [model.NAME.retrain].")]
pub struct Arguments {
    /// The model, where there are several.
    model: Option<String>,
    /// Write a page with pictures.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let seen = Box::pin(see(context, self.model.as_deref())).await?;
        let Seen { name, version, period, sight, workshop, store } = &seen;
        let estimated = estimate::estimate(workshop, &**store, *version, *period).await;
        let estimated = estimated.with_context(|| format!("failed to estimate {name}"))?;
        let baseline = workshop.baseline_of(&**store, *version).await;
        let baseline = baseline.with_context(|| format!("failed to read what judged {version}"))?;
        let moved = predictions(workshop, &**store, *version, *period).await;
        let moved = moved.with_context(|| format!("failed to predict with {version}"))?;
        let report = estimated.as_ref().ok();
        let rungs = rungs(workshop.settings(), sight, baseline.as_ref(), report, moved);
        let decay = sight.decay.as_ref();
        if surest(&rungs).is_none() {
            let help = "a version is measured once labels become available after its training";
            let message =
                format!("no label has become available since {version} of {name} was trained");
            return Err(Fault::helped(message, help));
        }
        if let Some(path) = &self.html {
            let page = html::page(&seen, decay, estimated.as_ref(), &rungs);
            std::fs::write(path, page)
                .with_context(|| format!("failed to write {}", path.display()))?;
        }
        if context.json {
            output::json(&as_json(&seen, decay, estimated.as_ref(), &rungs));
            return Ok(());
        }
        match decay {
            Some(decay) => tell(&seen, decay),
            None => output::line(format_args!("{}.", unlabelled(&seen, &rungs))),
        }
        match &estimated {
            Ok(report) => tell_estimate(report, workshop.settings().metric.name()),
            Err(why) => output::line(format_args!("Without labels: {why}.")),
        }
        ladder::tell(&rungs);
        if let Some(path) = &self.html {
            output::line(format_args!("Page: {}", path.display()));
        }
        Ok(())
    }
}

/// What there is to say where no label is there.
fn unlabelled(seen: &Seen, rungs: &[Rung]) -> String {
    let Seen { name, version, .. } = seen;
    let verdict = ladder::verdict(rungs);
    format!("No label has become available since {version} of {name} was trained; {verdict}")
}

fn as_json(
    seen: &Seen,
    decay: Option<&DecayReport>,
    estimated: Result<&Report, &String>,
    rungs: &[Rung],
) -> Value {
    let period = |window: &afresh_core::time::Window| json!({"from": window.from.to_string(), "to": window.to.to_string()});
    let tests = decay.map_or(&[][..], |decay| &decay.tests).iter().map(|(metric, state)| {
        let mut row = json!(state);
        row["metric"] = json!(metric.name());
        row
    });
    let estimate = match estimated {
        Ok(report) => json!({
            "calibrated_on": report.calibrated_on,
            "caution": BLIND,
            "newest": report.newest,
            "periods": report.periods.iter().map(|one| json!({
                "period": period(&one.window),
                "unlabelled": one.unlabelled,
                "estimates": one.estimates,
            })).collect::<Vec<_>>(),
            "early_labels": report.early.map(|early| {
                json!({"share": early.share, "distance": early.distance})
            }),
        }),
        Err(why) => json!({"unavailable": why}),
    };
    let mut value = json!({
        "model": seen.name,
        "version": seen.version.to_string(),
        "period": period(&seen.period),
        "estimate": estimate,
        "ladder": ladder::json(rungs),
    });
    let Some(decay) = decay else { return value };
    let labelled = json!({
        "decay": decay.windows,
        "silent": decay.silent,
        "priority": decay.priority,
        "unlabelled": decay.unlabelled,
        "period_rows": decay.period_rows,
        "labelled_before_event": decay.labelled_before_event,
        "current": decay.current,
        "baseline": {
            "loss": decay.baseline.loss,
            "clip": decay.baseline.clip,
            "metric": decay.baseline.metric,
            "standards": decay.baseline.standards,
        },
        "sequential": decay.sequential,
        "tests": tests.collect::<Vec<_>>(),
    });
    if let (Value::Object(all), Value::Object(labelled)) = (&mut value, labelled) {
        all.extend(labelled);
    }
    value
}

fn tell(seen: &Seen, decay: &DecayReport) {
    let Seen { name, version, period, .. } = seen;
    let (test, baseline) = (&decay.sequential, &decay.baseline);
    let word = if decay.proven() {
        "has decayed"
    } else if test.detected {
        "had decayed since its training, and does well again"
    } else {
        "has not decayed beyond chance"
    };
    output::line(format_args!("{version} of {name} {word}; priority {} of 5.", decay.priority));
    output::line(format_args!(
        "Its loss was {:.4} on the {} rows that judged it, and is {:.4} on the newest of {} \
         rows since ({:+.1} %); {}.",
        baseline.loss.mean,
        baseline.loss.rows,
        test.recent_mean,
        test.rows,
        test.excess_percent,
        e_value(test.e_value),
    ));
    output::line(format_args!(
        "{} of the {} rows in {period} still wait for their label.",
        decay.unlabelled, decay.period_rows
    ));
    if decay.labelled_before_event > 0 {
        output::line(format_args!(
            "{} rows have a label from before their event: check `label_time` and the zone of times.",
            decay.labelled_before_event
        ));
    }
    if !decay.windows.is_empty() {
        output::line("");
        let header =
            ["metric", "window", "current", "baseline", "drop", "allowed", "p", "test", "says"];
        let mut table = output::table(&header);
        for found in &decay.windows {
            table.add_row([
                found.metric.clone(),
                found.window.clone(),
                format!("{:.4}", found.current),
                format!("{:.4}", found.baseline),
                format!("{:+.4} ({:+.1} %)", found.drop, found.drop_percent),
                format!("{:.4}", found.threshold),
                format!("{:.3}", found.p_adjusted),
                test_name(found.test).to_owned(),
                says(found).to_owned(),
            ]);
        }
        output::line(table);
    }
    for silent in &decay.silent {
        output::line(format_args!(
            "Nothing is said of {} over {}: {}.",
            silent.metric, silent.window, silent.why
        ));
    }
}

fn tell_estimate(report: &Report, metric: &str) {
    output::line("");
    let own = |estimates: &[Estimate]| {
        let wanted = estimates.iter().find(|estimate| estimate.measure.name() == metric);
        wanted.or(estimates.first()).cloned()
    };
    match report.newest.as_ref().and_then(|newest| own(newest)) {
        Some(Estimate { measure, value: Some(value), standard_error, rows, .. }) => {
            output::line(format_args!(
                "Estimated {} {value:.3} ± {:.3} from {rows} unlabelled rows of the period; {BLIND}.",
                measure_name(measure),
                1.96 * standard_error,
            ));
        }
        Some(_) => output::line("The estimate for the unlabelled rows is undefined."),
        None => output::line("Every row of the period has its label: nothing is to be estimated."),
    }
    if let Some(early) = &report.early {
        output::line(format_args!(
            "Only {:.0} % of the period's rows have labels, and their predictions differ from the others' \
             (distance {:.2}): figures of the newest window lean to what is known early.",
            100.0 * early.share,
            early.distance,
        ));
    }
}

pub(super) fn says(found: &Decay) -> &'static str {
    match (found.detected, found.significant) {
        (true, true) => "detected, significant",
        (true, false) => "detected",
        (false, true) => "significant",
        (false, false) => "",
    }
}

pub(super) fn test_name(test: Test) -> &'static str {
    match test {
        Test::Sequential => "sequential",
        Test::TTest => "t-test (Holm)",
        Test::TTestUncorrected => "t-test (uncorrected)",
    }
}

pub(super) fn measure_name(measure: Measure) -> String {
    match measure {
        Measure::Auc => "AUC".to_owned(),
        other @ (Measure::Accuracy
        | Measure::Precision
        | Measure::Recall
        | Measure::F1
        | Measure::LogLoss
        | Measure::Brier) => other.name().replace('_', " "),
    }
}

/// An e-value in words: how strongly the rows speak against "it is as good as it was".
fn e_value(value: f64) -> String {
    if value > 1e6 { "e-value above a million".to_owned() } else { format!("e-value {value:.2}") }
}
