//! A wake fired: the last look before a send.

use crate::channel::Channel;
use crate::decide::{move_wake, outcome, settle, wake_at};
use crate::decision::Decision;
use crate::enrollment::{OpenSend, SendFailure, State};
use crate::gate::{self, Binding, Verdict, View};
use crate::lane::{HoldGroup, Queue, WakeRow};
use crate::ledger::Charge;
use crate::limits;
use crate::scope::HeldBy;
use crate::sequence::Step;
use crate::time::{Moment, Span};

/// What a fired wake leads to.
#[derive(Clone, Debug, PartialEq)]
pub enum Look<'a> {
    /// The row is not this enrollment's wake any more: nothing to do.
    Gone,
    /// The send may begin through this channel, to this address: render it, then [`intend`].
    Send(&'a Channel, &'a str),
    /// A scope holds it: the row stays, its queue is closed.
    Held(HeldBy),
    /// The row stays; its queue is closed until then.
    Closed(Moment),
    /// A send of it is open since before this activation: see [`in_doubt`].
    InDoubt(OpenSend),
    /// It leads to this instead of a send.
    Decided(Vec<Decision>),
}

/// Looks at an enrollment whose wake `row` fired.
#[must_use]
pub fn look<'a>(view: &View<'a>, row: &WakeRow) -> Look<'a> {
    let enrollment = view.enrollment;
    if enrollment.wake_row().as_ref() != Some(row) {
        return Look::Gone;
    }
    if let Some(open) = enrollment.open {
        return Look::InDoubt(open);
    }
    let Some(step) = view.version.step(enrollment.step).filter(|_| enrollment.state == State::Active) else {
        return Look::Gone;
    };
    if row.due_at > view.now {
        return Look::Closed(row.due_at);
    }
    match gate::ask(view, step) {
        None | Some((_, Verdict::Open)) if !is_recognised(view, step) => {
            Look::Decided(settle(view, Decision::LeftUncertain))
        }
        None | Some((_, Verdict::Open)) => look_at_queue(view, row),
        Some((_, Verdict::Held(by))) if holds_queue(view, step, by, row) => Look::Held(by),
        Some((binding, Verdict::Held(_))) => Look::Decided(move_wake(view, row.due_at, binding)),
        Some((Binding::Hours, Verdict::Until(at))) => match wake_at(view, row.due_at) {
            // Its queue's hours closed it: the row stays where it is.
            Some(wake) if wake.queue == row.queue && wake.channel == row.lane.channel => Look::Closed(at),
            _ => Look::Decided(move_wake(view, row.due_at, Binding::Queue)),
        },
        Some((binding, Verdict::Until(at))) if binding.puts_off() => {
            Look::Decided(move_wake(view, for_a_while(view, at), binding))
        }
        Some((binding, Verdict::Until(at))) => Look::Decided(move_wake(view, at, binding)),
        Some((_, Verdict::Skip(reason))) => Look::Decided(settle(view, Decision::Skipped(reason))),
        Some((_, Verdict::Fail(failure))) => Look::Decided(fail(view, failure)),
        Some((_, Verdict::Exit(reason))) => Look::Decided(vec![Decision::Exited(reason)]),
        Some((_, Verdict::Broken(reason))) => Look::Decided(vec![Decision::Failed(reason)]),
    }
}

/// When a wake is looked at again that a limit keeps until `at`: the limit may be another by then.
fn for_a_while(view: &View<'_>, at: Moment) -> Moment {
    at.min(view.now + limits::PUT_OFF_MOST)
}

/// The channel has no room for the contact among its new recipients before `until`: only this wake waits for it, those
/// of people it knows go on. Those that wait come back in the order they were due in, whenever each was looked at;
/// what is of no use by then is over when it is not.
#[must_use]
pub fn put_off(view: &View<'_>, until: Moment) -> Vec<Decision> {
    let back_at = until + place(until.since(view.enrollment.step_due_at));
    let step = view.version.step(view.enrollment.step);
    let useless_at = step.and_then(|step| gate::useless_at(view, step));
    move_wake(view, useless_at.map_or(back_at, |at| at.min(back_at)), Binding::NewRecipients)
}

/// How far into [`limits::NEW_RECIPIENTS_SPREAD`] a wake comes back that has waited so long by its beginning: the less,
/// the longer. Half of it after as long as the spread is, so that two are well apart while they have waited little, and
/// in their old order still (by their ids where it is the same millisecond) when it is months.
fn place(waited: Span) -> Span {
    let spread = limits::NEW_RECIPIENTS_SPREAD.0;
    Span(spread * spread / (spread + waited.0.max(0)))
}

/// Whether what holds an enrollment holds all of the queue its row stands in; else the row moves where that is so:
/// left where its queue is open, it would be pulled again at once, for ever.
fn holds_queue(view: &View<'_>, step: &Step, by: HeldBy, row: &WakeRow) -> bool {
    match by {
        HeldBy::Quarantine => row.queue.hold == HoldGroup::Quarantine,
        // The lanes of control and of a channel that is gone are never closed.
        HeldBy::Tenant | HeldBy::Sequence => view.scope.channels.contains_key(&row.lane.channel),
        HeldBy::Account | HeldBy::Channel | HeldBy::Provider => {
            view.channel(step).is_some_and(|channel| channel.no == row.lane.channel)
        }
        HeldBy::Step => wake_at(view, row.due_at).is_some_and(|wake| wake.queue == row.queue),
    }
}

/// Whether a send that nobody knows the end of may be called again: through the channel that was called, as long as that
/// recognises it. Since the doubt arose its step may have come to mean another channel, or the channel another way out.
fn is_recognised(view: &View<'_>, step: &Step) -> bool {
    let enrollment = view.enrollment;
    if !enrollment.is_doubted() {
        return true;
    }
    let called = enrollment.sends.iter().rfind(|send| send.step == enrollment.step).map(|send| send.channel);
    view.channel(step).is_some_and(|channel| Some(channel.no) == called && channel.calls_again())
}

/// All gates are open: the send begins, unless the wake stands in another line than it should by now.
fn look_at_queue<'a>(view: &View<'a>, row: &WakeRow) -> Look<'a> {
    let step = view.version.step(view.enrollment.step);
    let channel = step.and_then(|step| view.scope.channel(&step.channel));
    let Some(channel) = channel else { return Look::Gone };
    let address = view.enrollment.address(view.contact, channel.kind);
    match (wake_at(view, row.due_at), address) {
        (Some(wake), Some(address)) if wake.channel == row.lane.channel && serves(row.queue, wake.queue) => {
            Look::Send(channel, address)
        }
        _ => Look::Decided(move_wake(view, row.due_at, Binding::Queue)),
    }
}

/// Whether a row of queue `stands` may leave from there though `wanted` is its queue: that of a step that is held no
/// more is as good.
fn serves(stands: Queue, wanted: Queue) -> bool {
    let freed = Queue { hold: HoldGroup::None, narrowed: wanted.narrowed, ..stands };
    stands == wanted || (stands.hold == HoldGroup::Step && freed == wanted)
}

/// The step cannot be sent; the enrollment goes on or exits, as the step says.
#[must_use]
pub fn fail(view: &View<'_>, failure: SendFailure) -> Vec<Decision> {
    settle(view, Decision::StepFailed(failure))
}

/// The send begins: what it is called, what it was charged, until when the call may begin
/// (see [`gate::begins_until`]).
#[must_use]
pub fn intend(view: &View<'_>, channel: &Channel, charge: Charge, not_after: Moment) -> Decision {
    Decision::Intended(OpenSend {
        send: view.enrollment.send_id(),
        channel: channel.no,
        attempt: view.enrollment.attempts.saturating_add(1),
        intended_at: view.now,
        not_after,
        charge,
    })
}

/// Decides about a send that was open before this activation: whoever called it did not see the end.
///
/// Where its provider recognises its id it stands in line at once, to be called again as another attempt, with an intent
/// and a charge of its own: a call that begins again is a call that begins, and not after an acknowledged exit, pause or
/// opt-out (E8), nor while any gate is closed (E5), nor beyond any limit (E6). Else it is left uncertain.
#[must_use]
pub fn in_doubt(view: &View<'_>, open: &OpenSend) -> Vec<Decision> {
    // It keeps its place in line.
    let due_at = view.enrollment.wake.map_or(view.now, |wake| wake.due_at);
    outcome::doubted(view, open, due_at)
}
