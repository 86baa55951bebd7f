//! `decay`: whether what serves has become worse than on the rows that judged it.

use serde_json::json;

use super::Context;
use super::drift::{Seen, see};
use crate::fault::Fault;
use crate::output;

/// Compares what serves with itself on the rows that judged it: its loss row by row as labels
/// became available, by a test that may be looked at at any time, and its metric over the newest
/// whole period. Looks only; nothing is decided.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = "\
Examples:
  afresh decay
  afresh decay shop/churn --json
  afresh decay --now 2013-06-01        as if it were that day")]
pub struct Arguments {
    /// The model, where there are several.
    model: Option<String>,
}

impl Arguments {
    pub async fn run(self, context: &Context) -> Result<(), Fault> {
        let seen = Box::pin(see(context, self.model.as_deref())).await?;
        let Seen { name, version, period, sight, .. } = &seen;
        let Some(decay) = &sight.decay else {
            let help = "a version is measured once labels become available after its training";
            let message =
                format!("no label has become available since {version} of {name} was trained");
            return Err(Fault::helped(message, help));
        };
        let (test, baseline) = (&decay.sequential, &decay.baseline);
        if context.json {
            output::json(&json!({
                "model": name,
                "version": version.to_string(),
                "period": {"from": period.from.to_string(), "to": period.to.to_string()},
                "decay": decay.windows,
                "priority": decay.priority,
                "unlabelled": decay.unlabelled,
                "current": decay.current,
                "baseline": baseline,
                "sequential": test,
            }));
            return Ok(());
        }
        let word = if test.detected { "has decayed" } else { "has not decayed beyond chance" };
        output::line(format_args!("{version} of {name} {word}."));
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
        if let (Some(was), Some(is)) = (baseline.metric, decay.current) {
            output::line(format_args!("Its metric was {was:.4} then and is {is:.4} in {period}."));
        }
        output::line(format_args!(
            "{} rows of that period still wait for their label.",
            decay.unlabelled
        ));
        if decay.windows.is_empty() {
            return Ok(());
        }
        output::line("");
        let header = ["metric", "window", "current", "baseline", "drop", "p", "says"];
        let mut table = output::table(&header);
        for window in &decay.windows {
            let says = match (window.detected, window.significant) {
                (true, true) => "detected, significant",
                (true, false) => "detected",
                (false, true) => "significant",
                (false, false) => "",
            };
            table.add_row([
                window.metric.clone(),
                window.window.clone(),
                format!("{:.4}", window.current),
                format!("{:.4}", window.baseline),
                format!("{:+.4} ({:+.1} %)", window.drop, window.drop_percent),
                format!("{:.3}", window.p_value),
                says.to_owned(),
            ]);
        }
        output::line(table);
        Ok(())
    }
}

/// An e-value in words: how strongly the rows speak against "it is as good as it was".
fn e_value(value: f64) -> String {
    if value > 1e6 { "e-value above a million".to_owned() } else { format!("e-value {value:.2}") }
}
