//! Versions of a window that chooses among others: where those are columns of the grid and stopped on the same rows, the choice is known
//! from them, and nothing is trained again.

use std::collections::BTreeMap;

use afresh_core::time::Window;
use afresh_engine::settings::TrainingWindow;

use super::{Cell, Plan};

/// A version that is another cell's.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Alias {
    /// Place of that cell.
    pub(super) to: usize,
    /// The searches of all candidates and the refit of the chosen one.
    pub(super) cpu_hours: f64,
    /// Likewise, as it was measured.
    pub(super) cpu_seconds: f64,
}

/// Whether a window's versions may be told from other columns.
pub(super) fn may_be_alias(plan: &Plan, window: TrainingWindow) -> bool {
    window == TrainingWindow::Auto && columns(plan).is_some()
}

/// Positions of the candidates in the grid, in their order; `None` where one is not there.
fn columns(plan: &Plan) -> Option<Vec<usize>> {
    let candidates = TrainingWindow::candidates(plan.period).into_iter();
    candidates
        .map(|candidate| plan.windows.iter().position(|window| *window == candidate))
        .collect()
}

/// What can be told, by place.
pub(super) fn aliases(
    plan: &Plan,
    periods: &[Window],
    made: &BTreeMap<Option<usize>, Cell>,
) -> BTreeMap<usize, Alias> {
    let auto = plan.windows.iter().position(|window| *window == TrainingWindow::Auto);
    let (Some(auto), Some(columns)) = (auto, columns(plan)) else { return BTreeMap::new() };
    let width = plan.windows.len();
    let told = (0..periods.len()).filter_map(|period| {
        let places = columns.iter().map(|column| period * width + column);
        let cells = places.filter_map(|place| Some((place, made.get(&Some(place))?)));
        Some((period * width + auto, choose(&cells.collect::<Vec<_>>())?))
    });
    told.collect()
}

/// The candidate with the least loss on the early-stopping rows. The first, which trains on everything, must be among them, for
/// its early-stopping rows are everybody's.
fn choose(cells: &[(usize, &Cell)]) -> Option<Alias> {
    let (_, first) = cells.first()?;
    if cells.iter().any(|(_, cell)| cell.stopping_from != first.stopping_from) {
        return None;
    }
    let mut best: Option<(f64, usize, &Cell)> = None;
    let (mut hours, mut seconds) = (0.0, 0.0);
    for (place, cell) in cells {
        let searched = cell.searched?;
        hours += cell.search_hours;
        seconds += searched.cpu_seconds;
        if best.is_none_or(|(least, ..)| searched.loss < least) {
            best = Some((searched.loss, *place, cell));
        }
    }
    let (_, to, cell) = best?;
    let own = cell.searched?.cpu_seconds;
    Some(Alias {
        to,
        cpu_hours: hours + cell.cpu_hours - cell.search_hours,
        cpu_seconds: seconds + cell.cpu_seconds - own,
    })
}
