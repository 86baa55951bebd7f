//! Versions of a window that chooses among others: where those are columns of the grid and stopped on the same rows, the choice is known
//! from them, and nothing is trained again.

use std::collections::BTreeMap;

use afresh_core::time::Window;
use afresh_engine::settings::TrainingWindow;
use afresh_engine::workshop::Shipped;
use afresh_train::recipe::Engine;

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

/// Whether the versions of a window that chooses may be told from other columns: its candidates are there, and search as a run does.
pub(super) fn may_be_told(plan: &Plan, engine: &Engine) -> bool {
    plan.shipped == Shipped::Refit && engine.searches() && columns(plan).is_some()
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
    told: bool,
) -> BTreeMap<usize, Alias> {
    if !told {
        return BTreeMap::new();
    }
    let auto = plan.windows.iter().position(|window| *window == TrainingWindow::Auto);
    let (Some(auto), Some(columns)) = (auto, columns(plan)) else { return BTreeMap::new() };
    let width = plan.windows.len();
    let told = (0..periods.len()).filter_map(|period| {
        let places = columns.iter().map(|column| period * width + column).collect::<Vec<_>>();
        // The first trains on everything: its early-stopping rows are everybody's.
        made.get(&Some(*places.first()?))?;
        let cells = places.iter().filter_map(|place| Some((*place, made.get(&Some(*place))?)));
        Some((period * width + auto, choose(&cells.collect::<Vec<_>>())?))
    });
    told.collect()
}

/// The candidate with the least loss on the early-stopping rows. A window's are among those of everything, so that as many from the
/// same time on are the same.
fn choose(cells: &[(usize, &Cell)]) -> Option<Alias> {
    let (_, first) = cells.first()?;
    if cells.iter().any(|(_, cell)| cell.stopping != first.stopping) {
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
