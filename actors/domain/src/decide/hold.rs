//! Pause and resume of one enrollment; quarantine and release.
//!
//! Holds of tenants, channels and sequences are not here: they are one write to the scope ([`crate::holds::Holds`]).

use crate::decide::{control_wake, leave, plan_step, wake_at};
use crate::decision::Decision;
use crate::enrollment::{Enrollment, FailReason, SendStatus, State, Wake};
use crate::gate::{self, View};
use crate::lane::HoldGroup;
use crate::time::{Moment, Span};

/// Pauses an active enrollment; the rest of its wait is kept. One that has completed is closed: who is paused is not
/// sent to. Nothing if it is neither.
#[must_use]
pub fn pause(view: &View<'_>) -> Vec<Decision> {
    match view.enrollment.state {
        State::Active => vec![Decision::Paused { remaining: remaining(view) }],
        State::Completed => leave::close(view),
        State::Paused { .. } | State::Exited(_) | State::Failed(_) => Vec::new(),
    }
}

/// What is left of the wait for the step under way.
fn remaining(view: &View<'_>) -> Span {
    let step = view.version.step(view.enrollment.step);
    step.map_or(Span::ZERO, |step| gate::due(view, step).since(view.now))
}

/// The wait for a step that is not planned yet, from when the step before it was settled.
pub(crate) fn whole_wait(view: &View<'_>) -> Span {
    let Decision::Planned { due_at, .. } = plan_step(view, None) else { return Span::ZERO };
    due_at.since(view.enrollment.settled_at)
}

/// Lets a paused enrollment go on after the rest of its wait. Nothing if it is not paused.
///
/// A wait until a time of day goes on until then if that is still ahead, else until the next such time.
#[must_use]
pub fn resume(view: &View<'_>) -> Vec<Decision> {
    let State::Paused { remaining } = view.enrollment.state else { return Vec::new() };
    let under_way = view.enrollment.sends.iter().rfind(|send| send.step == view.enrollment.step);
    // One that was skipped before, and comes again, has to be planned anew.
    let planned = under_way.is_some_and(|send| send.status.rank() <= SendStatus::Uncertain.rank());
    let due_at = if planned && remaining == Span::ZERO {
        // A step that was due before the pause stays due since then: its lateness goes on.
        view.enrollment.step_due_at
    } else {
        due_after_pause(view, remaining, planned)
    };
    let wake_due_at = view.now.max(due_at);
    let Some(wake) = kept(view).or_else(|| wake_at(view, wake_due_at)) else {
        return vec![Decision::Failed(FailReason::NoChannel)];
    };
    let resumed = Decision::Resumed { due_at, wake };
    if planned { vec![resumed] } else { vec![resumed, plan_step(view, Some(wake_due_at))] }
}

/// When a step is due whose wait was not over as the pause began.
fn due_after_pause(view: &View<'_>, remaining: Span, planned: bool) -> Moment {
    let step = view.version.step(view.enrollment.step);
    let Some((step, next)) = step.and_then(|step| Some((step, step.wait.next_such()?))) else {
        return view.now + remaining;
    };
    let calendar = view.calendar();
    let due_at = if planned {
        view.enrollment.step_due_at
    } else {
        calendar.due(view.enrollment.settled_at, &step.wait)
    };
    if due_at >= view.now { due_at } else { calendar.due(view.now, &next) }
}

/// E2: an open send keeps the row it came from.
fn kept(view: &View<'_>) -> Option<Wake> {
    view.enrollment.wake.filter(|_| view.enrollment.open.is_some())
}

/// Sets an enrollment that keeps failing apart: its wake waits in a queue that only a release empties.
#[must_use]
pub fn quarantine(view: &View<'_>, reason: &str) -> Vec<Decision> {
    if view.enrollment.state != State::Active || view.enrollment.quarantine.is_some() {
        return Vec::new();
    }
    let wake = kept(view).unwrap_or_else(|| control_wake(view, view.now, HoldGroup::Quarantine));
    vec![Decision::Quarantined { reason: reason.to_owned(), wake }]
}

/// Lets a quarantined enrollment go on; what is due is due now.
#[must_use]
pub fn release(view: &View<'_>) -> Vec<Decision> {
    if view.enrollment.quarantine.is_none() {
        return Vec::new();
    }
    let free = Enrollment { quarantine: None, ..view.enrollment.clone() };
    let view = &View { enrollment: &free, ..*view };
    match kept(view).or_else(|| wake_at(view, view.now.max(free.step_due_at))) {
        Some(wake) => vec![Decision::Released { wake }],
        None => vec![Decision::Failed(FailReason::NoChannel)],
    }
}
