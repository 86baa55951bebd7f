//! Rules that go by time, rows and age.

use super::{Ground, Opinion};

pub(super) fn every(ground: &Ground<'_>, periods: u32) -> Opinion {
    let Ground { history, .. } = *ground;
    let age = history.age();
    let due = periods <= age;
    if due {
        ground.says(true, format_args!("{age} periods since the last run, {periods} is the rhythm"))
    } else {
        ground.keep(format_args!("{age} of {periods} periods since the last run"))
    }
}

pub(super) fn phase(ground: &Ground<'_>, periods: u32, offset: u32) -> Opinion {
    let Ground { history, .. } = *ground;
    let number = history.seen();
    let due = number % u64::from(periods.max(1)) == u64::from(offset);
    let word = if due { "is" } else { "is not" };
    ground
        .says(due, format_args!("period {number} {word} one of every {periods}, from {offset} on"))
}

pub(super) fn volume(ground: &Ground<'_>, rows: u64) -> Opinion {
    let Ground { history, .. } = *ground;
    let available = history.newest().map_or(0, |newest| newest.available_since_cut);
    ground.says(
        rows <= available,
        format_args!("{available} of {rows} rows became available since the last training"),
    )
}

pub(super) fn economic(ground: &Ground<'_>, factor: f64) -> Opinion {
    let Ground { history, prices, .. } = *ground;
    let (Some(ageing), Some(rows), Some(run)) =
        (history.ageing(), history.median_rows(), prices.run(history))
    else {
        return ground.keep(format_args!("too few versions to tell how fast they age"));
    };
    let growth = ageing * rows * prices.per_loss;
    if growth <= 0.0 {
        return ground
            .keep(format_args!("versions do not age: {ageing:+.6} loss per row and period"));
    }
    let periods = (factor * (2.0 * run / growth).sqrt()).max(1.0);
    let age = history.age();
    ground.says(
        periods.round() <= f64::from(age),
        format_args!(
            "{age} periods since the last run; ageing costs {growth:.3} more with each, a run \
             {run:.3}, so that one every {periods:.1} periods is cheapest"
        ),
    )
}
