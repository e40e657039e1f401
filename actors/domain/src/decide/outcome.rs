//! What came of a call, and what the world says later.

use crate::decide::{apply, settle, wake_at};
use crate::decision::Decision;
use crate::enrollment::{Enrollment, ExitReason, SendFailure, SendStatus};
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
    },
    /// The provider surely did not take it, and never will.
    Rejected {
        /// What it said, as a short code.
        code: String,
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
    if view.enrollment.open.is_none_or(|open| open.send != send) {
        return Vec::new();
    }
    match outcome {
        Outcome::Accepted { at } => settle(view, Decision::Accepted { at: *at }),
        Outcome::Rejected { .. } => settle(view, Decision::StepFailed(SendFailure::Refused)),
        Outcome::Uncertain => settle(view, Decision::LeftUncertain),
        Outcome::NotBegun => vec![Decision::Withdrawn],
        Outcome::Refused { code } => refused(view, code, jitter),
    }
}

fn refused(view: &View<'_>, code: &str, jitter: u16) -> Vec<Decision> {
    let attempts = view.enrollment.attempts.saturating_add(1);
    if attempts >= limits::ATTEMPTS {
        return settle(view, Decision::StepFailed(SendFailure::Attempts));
    }
    if view.enrollment.state.is_over() {
        // There is no next attempt: this one is what became of the step.
        return settle(view, Decision::StepFailed(SendFailure::Refused));
    }
    let pause = limits::RETRY_AFTER.0 << (attempts - 1);
    let spread = pause * i64::from(jitter.min(1_000)) / 4_000;
    match wake_at(view, view.now + Span(pause + spread)) {
        Some(wake) => vec![Decision::Refused { code: code.to_owned(), wake }],
        None => settle(view, Decision::StepFailed(SendFailure::Refused)),
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
    // A receipt for an open send settles it: the provider has it.
    let open = view.enrollment.open.is_some_and(|open| open.send.step == step);
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
