//! The invariants, each with one name and one predicate: used by the simulator, the tests and `debug_assert`.
//!
//! Those that are about one state or one transition live here; those about a whole run (calls against answers,
//! windows against limits) are checked by the simulator, under the same names.

use crate::decision::{self, Entry};
use crate::enrollment::{Enrollment, State};

/// E1: an active enrollment has exactly one wake row; a paused or ended one none, but for an open send's.
#[must_use]
pub fn e1_one_wake(state: &Enrollment) -> bool {
    match state.state {
        State::Active => state.wake.is_some(),
        State::Paused { .. } | State::Completed | State::Exited(_) | State::Failed(_) => {
            state.wake.is_some() == state.open.is_some()
        }
    }
}

/// E2: an open send keeps the row it came from until its outcome.
#[must_use]
pub fn e2_open_send_keeps_row(before: &Enrollment, after: &Enrollment) -> bool {
    match (&before.open, &after.open) {
        (Some(was), Some(is)) if was.send == is.send => before.wake == after.wake,
        _ => true,
    }
}

/// Status only moves forward: a send never ranks lower than it did, unless its attempt came to nothing.
#[must_use]
pub fn status_moves_forward(before: &Enrollment, after: &Enrollment) -> bool {
    before.sends.iter().enumerate().all(|(place, was)| {
        // A step that is planned again has another send behind the one before.
        let occurrence = before.sends[..place].iter().filter(|send| send.step == was.step).count();
        let is = after.sends.iter().filter(|send| send.step == was.step).nth(occurrence);
        let reopened = before.open.is_some_and(|open| open.send.step == was.step) && after.open.is_none();
        is.map_or(was.status.rank() <= 1, |is| is.status.rank() >= was.status.rank() || reopened)
    })
}

/// E9, for one enrollment: its state is the fold of its whole history.
#[must_use]
pub fn e9_state_is_fold(state: &Enrollment, history: &[Entry]) -> bool {
    let mut entries = history.iter();
    let Some(Entry { at, decision: decision::Decision::Enrolled(beginning), .. }) = entries.next() else {
        return false;
    };
    let mut folded = decision::begin(beginning, *at);
    for entry in entries {
        decision::fold(&mut folded, &entry.decision, entry.at);
    }
    folded == *state
}
