//! What came of a call, and what the world says later.

use crate::channel::Idempotency;
use crate::decide::{apply, settle, wake_at};
use crate::decision::Decision;
use crate::enrollment::{Enrollment, ExitReason, OpenSend, SendFailure, SendStatus};
use crate::gate::View;
use crate::ids::{SendId, StepNo};
use crate::limits;
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
    /// The provider surely did not take it, and may the next time.
    Refused {
        /// What it said, as a short code.
        code: String,
        /// How soon that may be.
        again: Again,
    },
    /// It surely was not taken, for a cause that many sends share: a host that is down, a login that fails. No
    /// attempt is used.
    BackedOff {
        /// What was said, as a short code.
        code: String,
    },
    /// The provider surely did not take it, and never will.
    Rejected {
        /// What it said, as a short code.
        code: String,
        /// What is wrong.
        blames: Blames,
    },
    /// The call surely did not begin.
    NotBegun,
    /// Nobody knows.
    Uncertain,
}

/// How soon a refused send may be tried again, and how often.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// Within minutes: [`limits::ATTEMPTS`] in all, each pause twice the last.
    Soon {
        /// The least pause the provider asked for.
        at_least: Span,
    },
    /// After minutes, then hours, then days: what a server that greylists wants (RFC 6647, 2.1).
    Slowly,
    /// On the next days: a full mailbox.
    NextDay,
}

impl Again {
    /// Within minutes, as soon as is usual.
    pub const SOON: Again = Again::Soon { at_least: Span(0) };

    /// The pause after so many attempts; `None` when they were enough.
    #[must_use]
    pub fn pause(self, attempts: u8) -> Option<Span> {
        let place = usize::from(attempts.saturating_sub(1));
        match self {
            Again::Soon { .. } if attempts >= limits::ATTEMPTS => None,
            Again::Soon { at_least } => {
                let pause = Span(limits::RETRY_AFTER.0 << place);
                Some(pause.max(at_least.min(limits::RETRY_AFTER_MOST)))
            }
            Again::Slowly => limits::RETRY_SLOWLY.get(place).copied(),
            Again::NextDay => (place < limits::RETRY_DAYS).then_some(Span::days(1)),
        }
    }
}

/// What a rejection says is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blames {
    /// This message.
    Message,
    /// The address: nothing sent there will arrive.
    Address,
    /// Who sends: the same message from somebody else might be taken.
    Sender,
}

/// Decides an outcome of the open send; nothing if another or none is open (a repeat, or one settled since).
///
/// `jitter` (0 to 1000, from the caller's seed) spreads retries of sends that were refused together.
#[must_use]
pub fn outcome(view: &View<'_>, send: SendId, outcome: &Outcome, jitter: u16) -> Vec<Decision> {
    let Some(open) = view.enrollment.open.filter(|open| open.send == send) else { return Vec::new() };
    match outcome {
        Outcome::Accepted { at } => settle(view, Decision::Accepted { at: *at }),
        Outcome::Rejected { blames: Blames::Address, .. } => {
            settle(view, Decision::StepFailed(SendFailure::BadAddress))
        }
        Outcome::Rejected { blames: Blames::Message | Blames::Sender, .. } => {
            settle(view, Decision::StepFailed(SendFailure::Refused))
        }
        Outcome::Uncertain => doubted(view, &open, jitter),
        Outcome::NotBegun => vec![Decision::Withdrawn],
        Outcome::BackedOff { code } => backed_off(view, code, jitter),
        Outcome::Refused { code, again } => refused(view, code, *again, jitter),
    }
}

/// A pause and up to a quarter more.
fn spread(pause: Span, jitter: u16) -> Span {
    Span(pause.0 + pause.0 * i64::from(jitter.min(1_000)) / 4_000)
}

fn refused(view: &View<'_>, code: &str, again: Again, jitter: u16) -> Vec<Decision> {
    let Some(pause) = again.pause(view.enrollment.attempts.saturating_add(1)) else {
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

/// Nobody knows of this call. Where the provider recognises the send's id, the same send is called again after a
/// pause, as another attempt with an intent of its own.
fn doubted(view: &View<'_>, open: &OpenSend, jitter: u16) -> Vec<Decision> {
    let channel = view.scope.channels.get(&open.channel);
    let by_key = channel.is_some_and(|channel| channel.transport.idempotency() == Idempotency::ByKey);
    let pause = Again::SOON.pause(view.enrollment.attempts.saturating_add(1));
    let again = pause.and_then(|pause| wake_at(view, view.now + spread(pause, jitter)));
    match again.filter(|wake| by_key && wake.channel == open.channel && !view.enrollment.state.is_over()) {
        Some(wake) => vec![Decision::Doubted { wake }],
        None => settle(view, Decision::LeftUncertain),
    }
}

/// What a receipt says of a send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Receipt {
    /// It arrived.
    Delivered,
    /// It was read.
    Read,
    /// It was refused after all.
    Failed,
}

/// Decides a receipt. Status only moves forward, so repeats, late and reordered ones change nothing; a refusal after
/// delivery is not believed. One that was refused ends an enrollment whose step says so, until a later step is sent.
#[must_use]
pub fn receipt(view: &View<'_>, step: StepNo, receipt: Receipt) -> Vec<Decision> {
    let status = match receipt {
        Receipt::Delivered => SendStatus::Delivered,
        Receipt::Read => SendStatus::Read,
        Receipt::Failed => SendStatus::Failed(SendFailure::Refused),
    };
    let known = view.enrollment.sends.iter().rfind(|send| send.step == step);
    let called = known.filter(|send| send.status.was_called());
    if called.is_none_or(|send| send.status.rank() >= status.rank()) {
        return Vec::new();
    }
    // A receipt for a send that is open, or to be called again, settles it: the provider has it.
    let open = view.enrollment.open.is_some_and(|open| open.send.step == step)
        || (view.enrollment.step == step && view.enrollment.is_doubted());
    let mut decisions = if open { settle(view, Decision::Accepted { at: view.now }) } else { Vec::new() };
    decisions.push(Decision::Received { step, status });
    let after = apply(view.enrollment.clone(), &decisions, view.now);
    if receipt == Receipt::Failed && failure_ends(view, &after, step) {
        decisions.push(Decision::Exited(ExitReason::StepFailed));
    }
    decisions
}

fn failure_ends(view: &View<'_>, after: &Enrollment, step: StepNo) -> bool {
    let exits = view.version.step(step).is_some_and(|step| step.on_failure == OnFailure::Exit);
    let later = after.sends.iter().any(|send| send.step > step && send.status.was_called());
    exits && !later && !after.state.is_over()
}
