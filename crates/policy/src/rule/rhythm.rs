//! Rules that go by time, rows and age.

use super::Opinion;
use crate::history::History;
use crate::prices::Prices;

pub(super) fn every(history: &History, periods: u32) -> Opinion {
    let age = history.age();
    let due = periods <= age;
    Opinion::of(
        due,
        if due {
            format!("{age} periods since the last run, {periods} is the rhythm")
        } else {
            format!("{age} of {periods} periods since the last run")
        },
    )
}

pub(super) fn phase(history: &History, periods: u32, offset: u32) -> Opinion {
    let number = history.seen();
    let due = number % u64::from(periods.max(1)) == u64::from(offset);
    let word = if due { "is" } else { "is not" };
    Opinion::of(due, format!("period {number} {word} one of every {periods}, from {offset} on"))
}

pub(super) fn volume(history: &History, rows: u64) -> Opinion {
    let available = history.newest().map_or(0, |newest| newest.available_since_cut);
    Opinion::of(
        rows <= available,
        format!("{available} of {rows} rows became available since the last training"),
    )
}

pub(super) fn economic(history: &History, prices: &Prices, factor: f64) -> Opinion {
    let (Some(ageing), Some(rows), Some(run)) =
        (history.ageing(), history.median_rows(), prices.run(history))
    else {
        return Opinion::keep("too few versions to tell how fast they age");
    };
    let growth = ageing * rows * prices.per_loss;
    if growth <= 0.0 {
        return Opinion::keep(format!("versions do not age: {ageing:+.6} loss per row and period"));
    }
    let periods = (factor * (2.0 * run / growth).sqrt()).max(1.0);
    let age = history.age();
    Opinion::of(
        periods.round() <= f64::from(age),
        format!(
            "{age} periods since the last run; ageing costs {growth:.3} more with each, a run \
             {run:.3}, so that one every {periods:.1} periods is cheapest"
        ),
    )
}
