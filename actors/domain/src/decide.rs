//! Decide: what an input leads to, given the state, the facts around it and the time.
//!
//! One file per input: [`enroll`], [`wake`], [`outcome`], [`leave`] (events and exits), [`hold`] (pause, resume,
//! quarantine). Each returns decisions; [`apply`] folds them. [`explain`] says beforehand what it would come to. Nothing here writes or calls.

use crate::channel::Channel;
use crate::decision::{self, Decision};
use crate::enrollment::{Enrollment, ExitReason, FailReason, SendFailure, State, Wake};
use crate::gate::{Binding, View};
use crate::ids::StepNo;
use crate::lane::{HoldGroup, Queue};
use crate::sequence::{OnFailure, Step};
use crate::time::Moment;

pub mod enroll;
pub mod explain;
pub mod hold;
pub mod leave;
pub mod outcome;
mod returns;
pub(crate) mod samples;
#[cfg(test)]
mod tests;
pub mod wake;

/// The state after these decisions, taken at `at`.
#[must_use]
pub fn apply(mut state: Enrollment, decisions: &[Decision], at: Moment) -> Enrollment {
    for decision in decisions {
        decision::fold(&mut state, decision, at);
    }
    state
}

/// Plans the step of `view`'s enrollment, or completes it when there is none left.
///
/// `due_at` is `None` for the step's own wait, counted from when the previous step was settled.
pub(crate) fn plan_step(view: &View<'_>, due_at: Option<Moment>) -> Decision {
    let step_no = view.enrollment.step;
    let Some(step) = view.version.step(step_no) else { return Decision::Completed };
    let Some(channel) = view.channel(step) else { return Decision::Failed(FailReason::NoChannel) };
    let calendar = view.calendar();
    let due_at = due_at.unwrap_or_else(|| calendar.due(view.enrollment.settled_at, &step.wait));
    Decision::Planned { step: step_no, due_at, wake: line_up(view, step, channel, due_at) }
}

/// Where the wake of a step stands that is due then: in its channel's lane, unless the enrollment is set apart, or
/// expires first.
fn line_up(view: &View<'_>, step: &Step, channel: &Channel, due_at: Moment) -> Wake {
    let expires_at = view.enrollment.expires_at;
    if view.enrollment.quarantine.is_some() {
        control_wake(view, due_at, HoldGroup::Quarantine)
    } else if due_at < expires_at {
        Wake { channel: channel.no, queue: view.queue(step), due_at }
    } else {
        control_wake(view, expires_at, HoldGroup::None)
    }
}

/// A wake in the control lane: for what is not a send.
pub(crate) fn control_wake(view: &View<'_>, due_at: Moment, hold: HoldGroup) -> Wake {
    let queue = Queue {
        class: view.version.class,
        sequence: view.enrollment.sequence,
        zone: view.scope.tenant.calendar.zone.code(),
        narrowed: None,
        hold,
    };
    Wake { channel: crate::ids::ChannelNo::CONTROL, queue, due_at }
}

/// The decisions that settle the step under way with `settled`, and what follows: the next plan, the exit the step
/// asks for, or nothing where the enrollment is over already.
///
/// Of a step that may have been sent nobody can say that it was not.
pub(crate) fn settle(view: &View<'_>, settled: Decision) -> Vec<Decision> {
    let doubted = view.enrollment.is_doubted();
    let settled = if doubted && is_unsent(&settled) { Decision::LeftUncertain } else { settled };
    let failed = matches!(settled, Decision::StepFailed(_));
    let after = apply(view.enrollment.clone(), std::slice::from_ref(&settled), view.now);
    let mut decisions = vec![settled];
    decisions.extend(follow(view, &after, failed));
    decisions
}

/// Whether it says, without the provider's word, that the step was not sent.
fn is_unsent(settled: &Decision) -> bool {
    use SendFailure::{Attempts, MissingVariable, NoAddress, Render, Suppressed};
    matches!(
        settled,
        Decision::Skipped(_)
            | Decision::StepFailed(NoAddress | Suppressed | MissingVariable | Render | Attempts)
    )
}

fn follow(view: &View<'_>, after: &Enrollment, failed: bool) -> Vec<Decision> {
    let settled_step = view.version.step(view.enrollment.step);
    let exits = failed && settled_step.is_some_and(|step| step.on_failure == OnFailure::Exit);
    let view = View { enrollment: after, ..*view };
    match after.state {
        State::Active | State::Paused { .. } if exits => vec![Decision::Exited(ExitReason::StepFailed)],
        State::Active => vec![plan_step(&view, None)],
        // Nobody could resume it any more: that it was paused holds for good.
        State::Paused { .. } if view.version.step(after.step).is_none() => {
            vec![Decision::Completed, Decision::Closed]
        }
        // It was paused during the call: the whole next wait is left, and begins when it goes on.
        State::Paused { .. } => vec![Decision::Paused { remaining: hold::whole_wait(&view) }],
        State::Completed | State::Exited(_) | State::Failed(_) => Vec::new(),
    }
}

/// The wake of the step under way, moved to `due_at`, in the lane and queue that apply now.
pub(crate) fn wake_at(view: &View<'_>, due_at: Moment) -> Option<Wake> {
    let step = view.version.step(view.enrollment.step)?;
    let channel = view.channel(step)?;
    Some(line_up(view, step, channel, due_at))
}

/// A move of the wake that a gate asks for.
pub(crate) fn move_wake(view: &View<'_>, due_at: Moment, gate: Binding) -> Vec<Decision> {
    match wake_at(view, due_at) {
        Some(wake) => vec![Decision::Moved { wake, gate }],
        None => vec![Decision::Failed(FailReason::NoChannel)],
    }
}

/// The first step of a version.
pub(crate) const FIRST: StepNo = StepNo(0);
