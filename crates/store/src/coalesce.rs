//! When a decision continues the row of an earlier one.

use afresh_core::decision::{Act, Decision, Recorded};
use afresh_core::time::Timestamp;

/// What becomes of a decision.
pub(crate) enum Kept {
    /// The earlier row, with the decision in it.
    Continued(Recorded),
    /// A row of its own.
    New(Recorded),
}

/// Whether the row of an earlier keep may take `decision` in. Other causes' keeps between them do
/// not matter: several signals alternate each period. Anything but a keep closes the stretch.
pub(crate) fn may_continue(decision: &Decision) -> bool {
    decision.action == Act::Keep && decision.by.is_none()
}

/// Puts `decision` into `newest`, the newest keep of the same model and cause since the model's
/// last act, or into a row of its own.
pub(crate) fn keep(newest: Option<Recorded>, at: Timestamp, decision: &Decision) -> Kept {
    let Some(mut row) = newest.filter(|_| may_continue(decision)) else {
        return Kept::New(Recorded::new(at, decision.clone()));
    };
    match row.absorb(at, decision.clone()) {
        Ok(()) => Kept::Continued(row),
        Err(new) => Kept::New(new),
    }
}
