//! Coming back: whether an enrollment that has completed goes on, as its provider refuses its last message after all.
//!
//! Nothing tells an enrollment that is over of what happens to its contact and target. What would have ended it since is
//! read from them here; whoever writes it down expects their rows, so that nothing overtakes it (E8).

use crate::decide::apply;
use crate::decision::Decision;
use crate::enrollment::{Enrollment, State};
use crate::gate::{self, Verdict, View};
use crate::limits;
use crate::sequence::OnReply;

/// Whether `after`, which is over, goes on by `reopened`.
pub(super) fn returns(view: &View<'_>, after: &Enrollment, reopened: &Decision) -> bool {
    let again = apply(after.clone(), std::slice::from_ref(reopened), view.now);
    let in_time = again.wake.is_some_and(|wake| wake.due_at < again.expires_at);
    after.state == State::Completed
        && !after.is_closed()
        && in_time
        && view.contact.may_return(after.id, view.version.unique_per)
        && !replied(view, after)
        && has_target(view, after)
        && !ends(&View { enrollment: &again, ..*view })
}

/// Whether a reply would have ended it. The contact's row knows of no conversation: any message counts as one in its own.
fn replied(view: &View<'_>, after: &Enrollment) -> bool {
    let heard = view.contact.last_inbound_at().is_some_and(|at| at >= after.enrolled_at);
    heard && view.version.exits.on_reply != OnReply::Ignore
}

/// Whether its target is known still, with all that may have ended it, and indexes one more.
fn has_target(view: &View<'_>, after: &Enrollment) -> bool {
    let room = view.target.is_some_and(|target| target.enrollments.len() < limits::ENROLLMENTS_A_TARGET);
    after.target.is_none() || room
}

/// Whether its next wake would only end it.
fn ends(view: &View<'_>) -> bool {
    let Some(step) = view.version.step(view.enrollment.step) else { return true };
    match gate::ask(view, step) {
        Some((_, Verdict::Exit(_) | Verdict::Broken(_))) => true,
        Some((
            _,
            Verdict::Open | Verdict::Until(_) | Verdict::Held(_) | Verdict::Skip(_) | Verdict::Fail(_),
        ))
        | None => false,
    }
}
