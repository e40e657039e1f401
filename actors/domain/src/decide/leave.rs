//! Leaving: replies, goals, opt-outs, and exits by hand.
//!
//! An exit acts at once, whatever the enrollment is doing: in its wait, in a backlog, paused, quarantined. What is
//! on the wire already stays on the wire; the answer names it.

use crate::decision::Decision;
use crate::enrollment::{ExitReason, SendStatus, State};
use crate::event::{Event, EventKind};
use crate::gate::{self, View};
use crate::sequence::OnReply;
use crate::target::{TargetKind, Terminal};
use crate::time::Moment;

/// Exits for `reason`. One that is over already stays as it is; one that has completed is closed (E8: nothing of it is
/// sent any more).
#[must_use]
pub fn exit(view: &View<'_>, reason: ExitReason) -> Vec<Decision> {
    if view.enrollment.state.is_over() { close(view) } else { vec![Decision::Exited(reason)] }
}

/// Closes one that has completed; nothing if it is closed already, or has not completed.
pub(super) fn close(view: &View<'_>) -> Vec<Decision> {
    let returns = view.enrollment.state == State::Completed && !view.enrollment.is_closed();
    if returns { vec![Decision::Closed] } else { Vec::new() }
}

/// Ends what has lived too long, or outlived its sequence; nothing else.
#[must_use]
pub fn outlived(view: &View<'_>) -> Vec<Decision> {
    let reason = gate::outlived(view).filter(|_| !view.enrollment.state.is_over());
    reason.map(|reason| exit(view, reason)).unwrap_or_default()
}

/// Decides what an accepted event means for one enrollment; `opted_out`: the contact just opted out by it.
///
/// The contact and target in `view` have taken the event in already.
#[must_use]
pub fn event(view: &View<'_>, event: &Event, opted_out: bool) -> Vec<Decision> {
    let mut decisions = Vec::new();
    // A reply from before the enrollment ends nothing.
    let in_time = event.occurred_at >= view.enrollment.enrolled_at;
    if event.is_reply() && in_time && !opted_out {
        decisions.extend(credit(view, event));
    }
    if view.enrollment.state.is_over() {
        return decisions;
    }
    let reason = if opted_out && !gate::can_reach(view) {
        Some(ExitReason::OptedOut)
    } else if event.is_reply() && in_time && reply_ends(view, event) {
        Some(ExitReason::Replied)
    } else {
        target_ends(view, event)
    };
    decisions.extend(reason.map(Decision::Exited));
    decisions
}

/// A reply is credited to the last send before it.
fn credit(view: &View<'_>, event: &Event) -> Option<Decision> {
    let reached = |status: SendStatus| {
        matches!(status, SendStatus::Sent | SendStatus::Delivered | SendStatus::Read | SendStatus::Replied)
    };
    let in_time = |sent_at: Moment| sent_at <= event.occurred_at;
    let mut before = view.enrollment.sends.iter().filter(|send| send.sent_at.is_some_and(in_time));
    let last = before.rfind(|send| reached(send.status))?;
    (last.status != SendStatus::Replied)
        .then_some(Decision::Received { step: last.step, status: SendStatus::Replied })
}

fn reply_ends(view: &View<'_>, event: &Event) -> bool {
    match view.version.exits.on_reply {
        OnReply::Any => true,
        OnReply::Conversation => event.target.is_some() && event.target == view.enrollment.target,
        OnReply::Ignore => false,
    }
}

fn target_ends(view: &View<'_>, event: &Event) -> Option<ExitReason> {
    let EventKind::Target(kind, _) = &event.kind else { return None };
    if event.target != view.enrollment.target {
        return None;
    }
    let exits = view.version.exits;
    // Facts are last-writer: what counts is what the target says after this event, not the event itself.
    match view.target.and_then(|target| target.terminal.as_ref()).map(|fact| fact.terminal)? {
        Terminal::Goal => exits.on_goal.then_some(ExitReason::Goal),
        Terminal::Resolved => {
            (exits.on_resolved && *kind == TargetKind::Conversation).then_some(ExitReason::Resolved)
        }
        Terminal::Lost | Terminal::Cancelled => Some(ExitReason::TargetCancelled),
    }
}
