//! Rules that go by what the monitors measure: drift, decay, and what loss costs.

use super::{Detector, Opinion};
use crate::history::{History, Record};
use crate::prices::Prices;

pub(super) fn drift(history: &History, score: f64) -> Opinion {
    match history.newest().and_then(|newest| newest.drift) {
        None => Opinion::keep("drift was not measured"),
        Some(drift) => Opinion::of(score <= drift, format!("drift {drift:.3}, limit {score:.3}")),
    }
}

pub(super) fn kolmogorov_smirnov(history: &History, p: f64) -> Opinion {
    match history.newest().and_then(|newest| newest.evidence.smallest_p) {
        None => Opinion::keep("drift was not measured"),
        Some(found) => {
            Opinion::of(found < p, format!("smallest corrected p {found:.2e}, limit {p}"))
        }
    }
}

pub(super) fn decay(history: &History, test: Detector) -> Opinion {
    let Some((newest, loss)) = history.newest().and_then(|newest| Some((newest, newest.loss?)))
    else {
        return Opinion::keep("no label is available yet");
    };
    let alarms = newest.evidence.alarms;
    let (alarm, evidence) = match test {
        Detector::Sequential => (loss.alarm, format!(" (e-value {})", digits(loss.e_value))),
        Detector::TTest => (alarms.t_test, " (t-test)".to_owned()),
        Detector::Adwin => (alarms.adwin, " (ADWIN)".to_owned()),
        Detector::Cusum => (alarms.cusum, " (CUSUM)".to_owned()),
    };
    let (mean, baseline) = (loss.mean, loss.baseline);
    if !alarm {
        return Opinion::keep(format!("loss {mean:.4}, baseline {baseline:.4}"));
    }
    Opinion::of(true, format!("loss rose from {baseline:.4} to {mean:.4}, beyond chance{evidence}"))
}

pub(super) fn markov(history: &History, prices: &Prices, factor: f64) -> Opinion {
    let (Some(excess), Some(run)) = (excess_cost(history, prices), prices.run(history)) else {
        return Opinion::keep("no label is available yet");
    };
    Opinion::of(
        factor * run <= excess,
        format!(
            "a fresh model would have saved {excess:.3} in the last period, a run costs {run:.3}"
        ),
    )
}

pub(super) fn cara_t(history: &History, prices: &Prices, cost: f64) -> Opinion {
    let newest = history.records().last().and_then(|record| loss_cost(record, prices));
    match newest {
        None => Opinion::keep("no label is available yet"),
        Some(loss) => Opinion::of(
            cost < loss,
            format!("the last period's loss cost {loss:.3}, limit {cost:.3}"),
        ),
    }
}

pub(super) fn cara_ct(history: &History, prices: &Prices, cost: f64) -> Opinion {
    let losses = history.since_run().iter().filter_map(|record| loss_cost(record, prices));
    let sum = 0.0 + losses.sum::<f64>();
    Opinion::of(
        cost < sum,
        format!("losses since the last run cost {sum:.3} together, limit {cost:.3}"),
    )
}

/// Q ← max(0, Q + spent − allowance); retrain iff weight × gain ≥ Q × price.
pub(super) fn budget_queue(
    history: &History,
    prices: &Prices,
    cpu_hours: f64,
    weight: f64,
) -> Opinion {
    let queue = history.records().iter().fold(0.0_f64, |queue, record| {
        (queue + record.observation.evidence.spent_cpu_hours - cpu_hours).max(0.0)
    });
    let (Some(gain), Some(run)) = (excess_cost(history, prices), prices.run(history)) else {
        return Opinion::keep("no label is available yet");
    };
    // In allowances, so that the weight has no unit.
    let owed = queue / cpu_hours;
    // A gain that does not pay for the run is no gain, however much of the budget is left.
    let retrain = run <= gain && owed * run <= weight * gain;
    Opinion::of(
        retrain,
        format!(
            "a run would gain {gain:.3} a period and costs {run:.3}; {owed:.1} periods' allowance of \
             {cpu_hours} CPU hours is overspent"
        ),
    )
}

/// What the champion's loss of a period costs: of all its rows at the mean of those with labels.
fn loss_cost(record: &Record, prices: &Prices) -> Option<f64> {
    let observation = &record.observation;
    #[expect(clippy::cast_precision_loss, reason = "counts of rows stay below 2^53")]
    let rows = observation.rows as f64;
    Some(observation.loss?.mean * rows * prices.per_loss)
}

/// What the champion's excess over a fresh model costs per period.
pub(crate) fn excess_cost(history: &History, prices: &Prices) -> Option<f64> {
    Some(history.excess()? * history.median_rows()? * prices.per_loss)
}

/// An e-value in few digits: beyond a million nobody reads on.
fn digits(e_value: f64) -> String {
    if e_value < 1e6 { format!("{e_value:.0}") } else { "above a million".to_owned() }
}
