//! Rules that go by what the monitors measure: drift, decay, and what loss costs.

use super::{Detector, Ground, Opinion};
use crate::history::{History, Record};
use crate::prices::Prices;

pub(super) fn drift(ground: &Ground<'_>, score: f64) -> Opinion {
    let Ground { history, .. } = *ground;
    match history.newest().and_then(|newest| newest.drift) {
        None => ground.keep(format_args!("drift was not measured")),
        Some(drift) => {
            ground.says(score <= drift, format_args!("drift {drift:.3}, limit {score:.3}"))
        }
    }
}

pub(super) fn kolmogorov_smirnov(ground: &Ground<'_>, p: f64) -> Opinion {
    let Ground { history, .. } = *ground;
    match history.newest().and_then(|newest| newest.evidence.smallest_p) {
        None => ground.keep(format_args!("drift was not measured")),
        Some(found) => {
            ground.says(found < p, format_args!("smallest corrected p {found:.2e}, limit {p}"))
        }
    }
}

pub(super) fn decay(ground: &Ground<'_>, test: Detector) -> Opinion {
    let Ground { history, .. } = *ground;
    let Some((newest, loss)) = history.newest().and_then(|newest| Some((newest, newest.loss?)))
    else {
        return ground.keep(format_args!("no label is available yet"));
    };
    let alarms = newest.evidence.alarms;
    let alarm = match test {
        Detector::Sequential => loss.alarm,
        Detector::TTest => alarms.t_test,
        Detector::Adwin => alarms.adwin,
        Detector::Cusum => alarms.cusum,
    };
    let (mean, baseline) = (loss.mean, loss.baseline);
    if !alarm {
        return ground.keep(format_args!("loss {mean:.4}, baseline {baseline:.4}"));
    }
    let by: &dyn std::fmt::Display = match test {
        Detector::Sequential => &EValue(loss.e_value),
        Detector::TTest => &"t-test",
        Detector::Adwin => &"ADWIN",
        Detector::Cusum => &"CUSUM",
    };
    ground
        .says(true, format_args!("loss rose from {baseline:.4} to {mean:.4}, beyond chance ({by})"))
}

pub(super) fn markov(ground: &Ground<'_>, factor: f64) -> Opinion {
    let Ground { history, prices, .. } = *ground;
    let (Some(excess), Some(run)) = (excess_cost(history, prices), prices.run(history)) else {
        return ground.keep(format_args!("no label is available yet"));
    };
    ground.says(
        factor * run <= excess,
        format_args!(
            "a fresh model would have saved {excess:.3} in the last period, a run costs {run:.3}"
        ),
    )
}

pub(super) fn cara_t(ground: &Ground<'_>, cost: f64) -> Opinion {
    let Ground { history, prices, .. } = *ground;
    let newest = history.records().last().and_then(|record| loss_cost(record, prices));
    match newest {
        None => ground.keep(format_args!("no label is available yet")),
        Some(loss) => ground.says(
            cost < loss,
            format_args!("the last period's loss cost {loss:.3}, limit {cost:.3}"),
        ),
    }
}

pub(super) fn cara_ct(ground: &Ground<'_>, cost: f64) -> Opinion {
    let Ground { history, prices, .. } = *ground;
    let losses = history.since_run().iter().filter_map(|record| loss_cost(record, prices));
    let sum = 0.0 + losses.sum::<f64>();
    ground.says(
        cost < sum,
        format_args!("losses since the last run cost {sum:.3} together, limit {cost:.3}"),
    )
}

/// Q ← max(0, Q + spent − allowance); retrain iff weight × gain ≥ Q × price.
pub(super) fn budget_queue(ground: &Ground<'_>, cpu_hours: f64, weight: f64) -> Opinion {
    let Ground { history, prices, .. } = *ground;
    let queue = history.records().iter().fold(0.0_f64, |queue, record| {
        (queue + record.observation.evidence.spent_cpu_hours - cpu_hours).max(0.0)
    });
    let (Some(gain), Some(run)) = (excess_cost(history, prices), prices.run(history)) else {
        return ground.keep(format_args!("no label is available yet"));
    };
    // In allowances, so that the weight has no unit.
    let owed = queue / cpu_hours;
    // A gain that does not pay for the run is no gain, however much of the budget is left.
    let retrain = run <= gain && owed * run <= weight * gain;
    ground.says(
        retrain,
        format_args!(
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
struct EValue(f64);

impl std::fmt::Display for EValue {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            value if value < 1e6 => write!(f, "e-value {value:.0}"),
            _ => f.write_str("e-value above a million"),
        }
    }
}
