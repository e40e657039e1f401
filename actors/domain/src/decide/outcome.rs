//! What came of a call, and what the world says later.

use crate::channel::Channel;
use crate::decide::{apply, returns, settle, wake_at};
use crate::decision::Decision;
use crate::enrollment::{Enrollment, ExitReason, OpenSend, SendFailure, SendStatus, SkipReason};
use crate::gate::{self, View};
use crate::ids::{SendId, StepNo};
use crate::limits;
use crate::reaction::{Again, Blames, Reaction, Scope, Then};
use crate::sequence::OnFailure;
use crate::time::{Moment, Span};

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The provider took it.
    Accepted {
        /// When it said so.
        at: Moment,
    },
    /// The provider surely did not take it.
    Refused {
        /// What it said, as a short code.
        code: String,
        /// What follows.
        reaction: Reaction,
    },
    /// The call surely did not begin.
    NotBegun,
    /// Nobody knows.
    Uncertain,
}

/// Decides an outcome of the open send; nothing if another or none is open (a repeat, or one settled since).
///
/// `jitter` (0 to 1000, from the caller's seed) spreads retries of sends that were refused together.
#[must_use]
pub fn outcome(view: &View<'_>, send: SendId, outcome: &Outcome, jitter: u16) -> Vec<Decision> {
    let Some(open) = view.enrollment.open.filter(|open| open.send == send) else { return Vec::new() };
    match outcome {
        Outcome::Accepted { at } => settle(view, Decision::Accepted { at: *at }),
        Outcome::Refused { code, reaction } => {
            with_code(send.step, code, said_no(view, code, *reaction, jitter))
        }
        Outcome::Uncertain => {
            let pause = Again::SOON.pause(tries(view)).unwrap_or_default();
            doubted(view, &open, view.now + spread(pause, jitter))
        }
        Outcome::NotBegun => vec![Decision::Withdrawn],
    }
}

/// Decisions with the provider's code before the one that settles a send it refused: a timeline tells it.
#[must_use]
pub fn with_code(step: StepNo, code: &str, mut decisions: Vec<Decision>) -> Vec<Decision> {
    let settles = |decision: &Decision| {
        matches!(
            decision,
            Decision::StepFailed(_)
                | Decision::Skipped(_)
                | Decision::LeftUncertain
                | Decision::Received { status: SendStatus::Failed(_), .. }
        )
    };
    if let Some(place) = decisions.iter().position(settles).filter(|_| !code.is_empty()) {
        decisions.insert(place, Decision::Code { step, code: code.to_owned() });
    }
    decisions
}

/// What a no comes to for this enrollment. What is shared uses no attempt: whoever waits for it has done nothing wrong.
fn said_no(view: &View<'_>, code: &str, reaction: Reaction, jitter: u16) -> Vec<Decision> {
    match reaction {
        Reaction::Again { again, .. } => refused(view, code, again.pause(tries(view)), jitter),
        Reaction::Later { after, times, then } => later(view, code, (after, times, then), jitter),
        Reaction::Never { blames: Blames::Address, .. } => {
            settle(view, Decision::StepFailed(SendFailure::BadAddress))
        }
        Reaction::Never { blames: Blames::Message, .. } => {
            settle(view, Decision::StepFailed(SendFailure::Refused))
        }
        Reaction::Skip => settle(view, Decision::Skipped(SkipReason::NotDelivered)),
        Reaction::NeedsTemplate => window_shut(view, jitter),
        Reaction::Unusable => settle(view, Decision::StepFailed(SendFailure::Unusable)),
        Reaction::OptOut => opted_out(view),
        Reaction::BackOff { scope: Scope::Contact, pause } => {
            refused(view, code, pause.after(tries(view)), jitter)
        }
        Reaction::BackOff { .. } | Reaction::Slow { .. } | Reaction::Hold { .. } | Reaction::Stop { .. } => {
            backed_off(view, code, jitter)
        }
    }
}

/// Tries of the step under way, with the one that just failed.
fn tries(view: &View<'_>) -> u8 {
    let Enrollment { step, attempts, .. } = view.enrollment;
    view.enrollment.tries(*step, attempts.saturating_add(1))
}

/// A long pause, a few times; then what the provider's no means after that.
fn later(view: &View<'_>, code: &str, (after, times, then): (Span, u8, Then), jitter: u16) -> Vec<Decision> {
    if tries(view) <= times {
        return refused(view, code, Some(after), jitter);
    }
    match then {
        Then::Fail => settle(view, Decision::StepFailed(SendFailure::Attempts)),
        Then::Skip => settle(view, Decision::Skipped(SkipReason::NotDelivered)),
        // Its content may be this contact's alone; where it is everybody's, several alike hold the step meanwhile.
        Then::HoldStep => {
            let pause = Some(limits::ASKED_AGAIN).filter(|_| tries(view) < limits::ATTEMPTS);
            refused(view, code, pause, jitter)
        }
    }
}

/// The contact wants no more of this kind of channel: the step fails, and the enrollment ends where nothing else
/// reaches them.
fn opted_out(view: &View<'_>) -> Vec<Decision> {
    let Some(step) = view.version.step(view.enrollment.step) else { return Vec::new() };
    let mut contact = view.contact.clone();
    contact.barred.extend(view.channel(step).map(|channel| channel.kind));
    let barred = View { contact: &contact, ..*view };
    let mut decisions = settle(&barred, Decision::StepFailed(SendFailure::Suppressed));
    if !view.enrollment.state.is_over() && !gate::can_reach(&barred) {
        decisions.truncate(1);
        decisions.push(Decision::Exited(ExitReason::OptedOut));
    }
    decisions
}

/// The provider knows the service window to be closed: the step's fallback goes, as another send; else it fails.
fn window_shut(view: &View<'_>, jitter: u16) -> Vec<Decision> {
    let failed = Decision::StepFailed(SendFailure::NeedsTemplate);
    let (step, due_at) = (view.enrollment.step, view.enrollment.step_due_at);
    let after = apply(view.enrollment.clone(), std::slice::from_ref(&failed), view.now);
    let again = Enrollment { step, ..after };
    let wake = wake_at(&View { enrollment: &again, ..*view }, view.now + spread(limits::RETRY_AFTER, jitter));
    let goes = !again.state.is_over() && falls_back(view, &again, step);
    match wake.filter(|_| goes) {
        Some(wake) => vec![failed, Decision::Reopened { step, due_at, wake }],
        None => settle(view, failed),
    }
}

/// Whether a step that was refused for want of a template has one to go instead, and has not tried it.
fn falls_back(view: &View<'_>, after: &Enrollment, step: StepNo) -> bool {
    after.wanted_template(step) == 1 && view.version.step(step).is_some_and(|step| step.fallback.is_some())
}

/// A pause and up to a quarter more.
fn spread(pause: Span, jitter: u16) -> Span {
    Span(pause.0 + pause.0 * i64::from(jitter.min(1_000)) / 4_000)
}

fn refused(view: &View<'_>, code: &str, pause: Option<Span>, jitter: u16) -> Vec<Decision> {
    let Some(pause) = pause else {
        return settle(view, Decision::StepFailed(SendFailure::Attempts));
    };
    // Without a next attempt this one is what became of the step, unless an earlier one may have been taken.
    let last = if view.enrollment.is_doubted() {
        Decision::LeftUncertain
    } else {
        Decision::StepFailed(SendFailure::Refused)
    };
    let again = wake_at(view, view.now + spread(pause, jitter));
    match again.filter(|_| !view.enrollment.state.is_over()) {
        Some(wake) => vec![Decision::Refused { code: code.to_owned(), wake }],
        None => settle(view, last),
    }
}

fn backed_off(view: &View<'_>, code: &str, jitter: u16) -> Vec<Decision> {
    let again = wake_at(view, view.now + spread(limits::RETRY_AFTER, jitter));
    match again.filter(|_| !view.enrollment.state.is_over()) {
        Some(wake) => vec![Decision::BackedOff { code: code.to_owned(), wake }],
        None => vec![Decision::Withdrawn],
    }
}

/// Nobody knows of this call. Where the provider recognises the send's id, the same send is called again from then on,
/// as another attempt with an intent of its own.
pub(super) fn doubted(view: &View<'_>, open: &OpenSend, due_at: Moment) -> Vec<Decision> {
    let channel = view.scope.channels.get(&open.channel);
    let by_key = channel.is_some_and(Channel::calls_again) && tries(view) < limits::ATTEMPTS;
    let again = wake_at(view, due_at);
    match again.filter(|wake| by_key && wake.channel == open.channel && !view.enrollment.state.is_over()) {
        Some(wake) => vec![Decision::Doubted { wake }],
        None => settle(view, Decision::LeftUncertain),
    }
}

/// What a receipt says of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// The provider took it: what settles a send that is in doubt.
    Sent,
    /// It arrived.
    Delivered,
    /// It was read.
    Read,
    /// It was refused after all, and this follows from the provider's code, where that is known.
    Failed(Option<Reaction>),
}

/// Decides a receipt. Status only moves forward, so repeats, late and reordered ones change nothing; a refusal after
/// delivery is not believed. Until the next step is sent, one that was refused for a cause that passes comes again, and
/// any other ends an enrollment whose step says so. The last step comes again where nothing has ended the enrollment
/// since it completed; of a target that is not known (no `target` in the view) nobody can tell.
///
/// `jitter` is that of [`outcome`].
#[must_use]
pub fn receipt(view: &View<'_>, send: SendId, receipt: Receipt, jitter: u16) -> Vec<Decision> {
    let step = send.step;
    let status = match receipt {
        Receipt::Sent => SendStatus::Sent,
        Receipt::Delivered => SendStatus::Delivered,
        Receipt::Read => SendStatus::Read,
        Receipt::Failed(reaction) => SendStatus::Failed(failure(reaction)),
    };
    let called = view.enrollment.sent(send).filter(|send| send.status.was_called());
    if called.is_none_or(|send| send.status.rank() >= status.rank()) {
        return Vec::new();
    }
    // A receipt for a send that is open, or to be called again, settles it: the provider has it.
    let open = view.enrollment.open.is_some_and(|open| open.send.step == step)
        || (view.enrollment.step == step && view.enrollment.is_doubted());
    let mut decisions = if open { settle(view, Decision::Accepted { at: view.now }) } else { Vec::new() };
    if !open || receipt != Receipt::Sent {
        decisions.push(Decision::Received { step, status });
    }
    let Receipt::Failed(reaction) = receipt else { return decisions };
    // Accepted and refused at once, a last step has not completed anything where it comes again.
    let goes_on = decisions.iter().filter(|known| !matches!(known, Decision::Completed | Decision::Closed));
    let goes_on: Vec<Decision> = goes_on.cloned().collect();
    let after = apply(view.enrollment.clone(), &goes_on, view.now);
    if let Some(reopened) = reaction.and_then(|reaction| comes_again(view, &after, send, reaction, jitter)) {
        return [goes_on, vec![reopened]].concat();
    }
    let after = apply(view.enrollment.clone(), &decisions, view.now);
    if matches!(reaction, Some(Reaction::OptOut)) && leaves_by_opt_out(view, &after, step) {
        decisions.push(Decision::Exited(ExitReason::OptedOut));
    } else if failure_ends(view, &after, step) {
        decisions.push(Decision::Exited(ExitReason::StepFailed));
    }
    decisions
}

/// The step once more, as another send, where it was refused for a cause that passes and none behind it has begun. Of
/// enrollments that are over only what has completed may come back.
fn comes_again(
    view: &View<'_>,
    after: &Enrollment,
    send: SendId,
    reaction: Reaction,
    jitter: u16,
) -> Option<Decision> {
    let occurrence = u8::try_from(send.occurrence).unwrap_or(u8::MAX);
    let tries = view.enrollment.tries(send.step, occurrence.saturating_add(1));
    let pause = match reaction {
        Reaction::Again { again, .. } => again.pause(tries),
        Reaction::Later { after, times, .. } => (tries <= times).then_some(after),
        Reaction::BackOff { pause, .. } => pause.after(tries).map(|pause| pause.max(limits::RETRY_AFTER)),
        // Its gates know how long it waits.
        Reaction::Slow { .. } | Reaction::Hold { .. } | Reaction::Stop { .. } => {
            (tries < limits::ATTEMPTS).then_some(limits::RETRY_AFTER)
        }
        Reaction::NeedsTemplate => falls_back(view, after, send.step).then_some(limits::RETRY_AFTER),
        Reaction::Never { .. } | Reaction::Skip | Reaction::Unusable | Reaction::OptOut => None,
    };
    // What was not sent in between, and without a provider's word, comes again behind it.
    let mut later = after.sends.iter().filter(|next| next.step > send.step);
    let waits = after.open.is_none() && after.step > send.step;
    let pause = pause.filter(|_| waits && later.all(|next| was_left_out(next.status)))?;
    let due_at = after.sent(send)?.sent_at.unwrap_or(view.now).min(view.now);
    let again = Enrollment { step: send.step, ..after.clone() };
    let wake = wake_at(&View { enrollment: &again, ..*view }, view.now + spread(pause, jitter))?;
    let reopened = Decision::Reopened { step: send.step, due_at, wake };
    (!after.state.is_over() || returns::returns(view, after, &reopened)).then_some(reopened)
}

/// Whether a send that is settled or waits surely never went out, and none of its own faults: it came too late, or could
/// not be made. Its step is planned anew behind one before it.
fn was_left_out(status: SendStatus) -> bool {
    match status {
        SendStatus::Pending | SendStatus::Skipped(SkipReason::Late) => true,
        SendStatus::Failed(failure) => match failure {
            SendFailure::NoAddress
            | SendFailure::Suppressed
            | SendFailure::MissingVariable
            | SendFailure::Render => true,
            SendFailure::Refused
            | SendFailure::Attempts
            | SendFailure::BadAddress
            | SendFailure::NeedsTemplate
            | SendFailure::Unusable => false,
        },
        SendStatus::Skipped(SkipReason::NotDelivered)
        | SendStatus::Uncertain
        | SendStatus::Sent
        | SendStatus::Delivered
        | SendStatus::Read
        | SendStatus::Replied => false,
    }
}

/// Why a send failed that its provider refused after all.
fn failure(reaction: Option<Reaction>) -> SendFailure {
    match reaction {
        Some(Reaction::Never { blames: Blames::Address, .. }) => SendFailure::BadAddress,
        Some(Reaction::NeedsTemplate) => SendFailure::NeedsTemplate,
        Some(Reaction::Unusable) => SendFailure::Unusable,
        Some(
            Reaction::Never { blames: Blames::Message, .. }
            | Reaction::Again { .. }
            | Reaction::Later { .. }
            | Reaction::Skip
            | Reaction::OptOut
            | Reaction::BackOff { .. }
            | Reaction::Slow { .. }
            | Reaction::Hold { .. }
            | Reaction::Stop { .. },
        )
        | None => SendFailure::Refused,
    }
}

/// Whether nothing reaches a contact any more who wants nothing of the kind of channel that sent `step`.
fn leaves_by_opt_out(view: &View<'_>, after: &Enrollment, step: StepNo) -> bool {
    let mut contact = view.contact.clone();
    let sent = after.sends.iter().rfind(|send| send.step == step);
    let channel = sent.and_then(|send| view.scope.channels.get(&send.channel));
    contact.barred.extend(channel.map(|channel| channel.kind));
    let barred = View { contact: &contact, enrollment: after, ..*view };
    !after.state.is_over() && !gate::can_reach(&barred)
}

fn failure_ends(view: &View<'_>, after: &Enrollment, step: StepNo) -> bool {
    let exits = view.version.step(step).is_some_and(|step| step.on_failure == OnFailure::Exit);
    let later = after.sends.iter().any(|send| send.step > step && send.status.was_called());
    exits && !later && !after.state.is_over()
}
