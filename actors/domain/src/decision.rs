//! Decisions: what the core concluded, as it stands in the history; and the fold that applies one to the state.
//!
//! The state of an enrollment is the fold of its history (E9). Decisions hold ids, moments and reasons, never
//! personal data, so that erasing a person changes no fold.

use serde::{Deserialize, Serialize};

use crate::enrollment::{
    Enrollment, ExitReason, FailReason, OpenSend, Send, SendFailure, SendStatus, SkipReason, State, Wake,
};
use crate::gate::Binding;
use crate::ids::{ChannelNo, EnrollmentId, SequenceNo, StepNo, TenantNo, VersionNo};
use crate::target::TargetRef;
use crate::time::{Moment, Span};

/// The trace of the call or event behind a decision (W3C Trace Context, trace-id; zero: none).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TraceId(pub u128);

/// One line of an enrollment's history.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When it was decided.
    pub at: Moment,
    /// On whose behalf.
    pub trace: TraceId,
    /// What.
    pub decision: Decision,
}

/// How an enrollment began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Beginning {
    /// Its id.
    pub id: EnrollmentId,
    /// Whose.
    pub tenant: TenantNo,
    /// Through which sequence.
    pub sequence: SequenceNo,
    /// On which version.
    pub version: VersionNo,
    /// Who.
    pub contact: String,
    /// About what.
    pub target: Option<TargetRef>,
    /// When it will exit `expired`.
    pub expires_at: Moment,
    /// What enrolled it.
    pub source: Source,
    /// Who did it.
    pub by: String,
}

/// What enrolls.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// A plain call.
    #[default]
    Api,
    /// A person, one or many.
    Manual,
}

/// What the core concluded.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Decision {
    /// It begins.
    Enrolled(Box<Beginning>),
    /// A step is due then, and stands in line there.
    Planned {
        /// Which step.
        step: StepNo,
        /// Its due time before all gates.
        due_at: Moment,
        /// Where its wake stands.
        wake: Wake,
    },
    /// The wake stands elsewhere from now on.
    Moved {
        /// Where.
        wake: Wake,
        /// What bound it.
        gate: Binding,
    },
    /// The send begins.
    Intended(OpenSend),
    /// The provider accepted it.
    Accepted {
        /// When the call was answered.
        at: Moment,
    },
    /// The provider surely did not take it; it is tried again.
    Refused {
        /// What it said, as a short code.
        code: String,
        /// Where the wake stands for the next attempt.
        wake: Wake,
    },
    /// The call surely did not begin; the attempt does not count.
    Withdrawn,
    /// Nobody knows whether it was taken, and it is not repeated.
    LeftUncertain,
    /// The step is not sent, by rule.
    Skipped(SkipReason),
    /// The step could not be sent.
    StepFailed(SendFailure),
    /// The world said later what became of a send.
    Received {
        /// Of which step.
        step: StepNo,
        /// How far it got.
        status: SendStatus,
    },
    /// It was paused by itself.
    Paused {
        /// What was left of its wait.
        remaining: Span,
    },
    /// It goes on.
    Resumed {
        /// When the step under way is due now, before all gates.
        due_at: Moment,
        /// Where its wake stands.
        wake: Wake,
    },
    /// All steps are settled.
    Completed,
    /// It left early.
    Exited(ExitReason),
    /// It cannot go on at all.
    Failed(FailReason),
    /// It kept failing and waits for a person.
    Quarantined {
        /// What failed.
        reason: String,
        /// Where its wake stands.
        wake: Wake,
    },
    /// A person let it go on.
    Released {
        /// Where its wake stands.
        wake: Wake,
    },
    /// It surely was not taken, for a cause that many sends share; it is tried again and the attempt does not count.
    BackedOff {
        /// What was said, as a short code.
        code: String,
        /// Where the wake stands for the next attempt.
        wake: Wake,
    },
    /// Nobody knows whether it was taken, and its provider recognises it: the same send is called again.
    Doubted {
        /// Where the wake stands for the next attempt.
        wake: Wake,
    },
    /// A step that was refused after all is under way again, as another send: the next one has not begun.
    Reopened {
        /// Which step.
        step: StepNo,
        /// Since when it is due, before all gates.
        due_at: Moment,
        /// Where its wake stands.
        wake: Wake,
    },
    /// It has completed, and stays so: a refusal of its last step that comes later opens nothing again.
    Closed,
    /// The call of the open send has begun and is not answered yet: from then on its limits count it by its start.
    Begun {
        /// When, in engine time.
        at: Moment,
    },
    /// What a provider said of the send that the next decision settles.
    Code {
        /// Of which step.
        step: StepNo,
        /// What, as a short code.
        code: String,
    },
}

impl Decision {
    /// Its word on a timeline.
    #[must_use]
    pub fn word(&self) -> &'static str {
        match self {
            Decision::Enrolled(_) => "enrolled",
            Decision::Planned { .. } => "planned",
            Decision::Moved { .. } => "moved",
            Decision::Intended(_) => "intended",
            Decision::Accepted { .. } => "sent",
            Decision::Refused { .. } => "refused",
            Decision::Withdrawn => "withdrawn",
            Decision::LeftUncertain => "left_uncertain",
            Decision::Skipped(_) => "skipped",
            Decision::StepFailed(_) => "step_failed",
            Decision::Received { .. } => "received",
            Decision::Paused { .. } => "paused",
            Decision::Resumed { .. } => "resumed",
            Decision::Completed => "completed",
            Decision::Exited(_) => "exited",
            Decision::Failed(_) => "failed",
            Decision::Quarantined { .. } => "quarantined",
            Decision::Released { .. } => "released",
            Decision::BackedOff { .. } => "backed_off",
            Decision::Doubted { .. } => "doubted",
            Decision::Reopened { .. } => "reopened",
            Decision::Closed => "closed",
            Decision::Begun { .. } => "begun",
            Decision::Code { .. } => "code",
        }
    }
}

/// Adds an entry to a history. A wake that a limit goes on putting off has one entry for all of these looks: since when
/// it does, and until when by now.
pub fn tell(history: &mut Vec<Entry>, entry: Entry) {
    match history.last_mut() {
        Some(last) if puts_off_again(&last.decision, &entry.decision) => last.decision = entry.decision,
        Some(_) | None => history.push(entry),
    }
}

fn puts_off_again(last: &Decision, next: &Decision) -> bool {
    let (Decision::Moved { gate: was, .. }, Decision::Moved { gate: is, .. }) = (last, next) else {
        return false;
    };
    was == is && is.puts_off()
}

/// The state an enrollment begins with; the wake follows with its first [`Decision::Planned`].
#[must_use]
pub fn begin(beginning: &Beginning, at: Moment) -> Enrollment {
    Enrollment {
        id: beginning.id,
        tenant: beginning.tenant,
        sequence: beginning.sequence,
        version: beginning.version,
        contact: beginning.contact.clone(),
        target: beginning.target.clone(),
        enrolled_at: at,
        expires_at: beginning.expires_at,
        state: State::Active,
        step: StepNo(0),
        step_due_at: at,
        settled_at: at,
        waits_from: at,
        attempts: 0,
        wake: None,
        open: None,
        sends: Vec::new(),
        quarantine: None,
    }
}

/// Applies one decision, taken at `at`, to the state it was taken on.
pub fn fold(state: &mut Enrollment, decision: &Decision, at: Moment) {
    match decision {
        Decision::Enrolled(beginning) => *state = begin(beginning, at),
        Decision::Planned { step, due_at, wake } => plan(state, *step, *due_at, *wake, at),
        Decision::Moved { wake, .. } => state.wake = Some(*wake),
        Decision::Resumed { due_at, wake } => {
            state.state = State::Active;
            state.step_due_at = *due_at;
            state.waits_from = at;
            state.wake = Some(*wake);
        }
        Decision::Released { wake } => {
            state.quarantine = None;
            state.wake = Some(*wake);
        }
        Decision::Quarantined { reason, wake } => {
            state.quarantine = Some(reason.clone());
            state.wake = Some(*wake);
        }
        Decision::Intended(open) => {
            state.open = Some(*open);
            if !state.is_doubted() {
                mark(state, SendStatus::Uncertain, at);
            }
            call_through(state, open.channel);
        }
        Decision::Accepted { at: answered_at } => settle(state, SendStatus::Sent, *answered_at),
        Decision::LeftUncertain => {
            let intended_at = send_of(state, state.step).and_then(|send| send.sent_at).unwrap_or(at);
            settle(state, SendStatus::Uncertain, intended_at);
        }
        Decision::Skipped(reason) => settle(state, SendStatus::Skipped(*reason), at),
        Decision::StepFailed(failure) => settle(state, SendStatus::Failed(*failure), at),
        Decision::Refused { wake, .. } => {
            state.attempts = state.attempts.saturating_add(1);
            come_again(state, *wake, at);
        }
        Decision::BackedOff { wake, .. } => come_again(state, *wake, at),
        Decision::Doubted { wake } => {
            state.attempts = state.attempts.saturating_add(1);
            state.open = None;
            stand(state, *wake);
        }
        Decision::Begun { .. } => {
            if let Some(open) = &mut state.open {
                open.charge.open = false;
            }
        }
        Decision::Code { .. } => {}
        Decision::Withdrawn => reopen(state, at),
        Decision::Reopened { step, due_at, wake } => plan_again(state, *step, *due_at, *wake, at),
        // Its life was over as its last step was settled: so it says itself, whatever clocks do later.
        Decision::Closed => state.expires_at = state.expires_at.min(state.settled_at),
        Decision::Received { step, status } => receive(state, *step, *status, at),
        Decision::Paused { remaining } => {
            state.state = State::Paused { remaining: *remaining };
            // Who resumes it by hand lets it go on whatever it failed at.
            state.quarantine = None;
            drop_idle_wake(state);
        }
        Decision::Completed => end(state, State::Completed),
        Decision::Exited(reason) => end(state, State::Exited(*reason)),
        Decision::Failed(reason) => end(state, State::Failed(*reason)),
    }
}

fn plan(state: &mut Enrollment, step: StepNo, due_at: Moment, wake: Wake, at: Moment) {
    state.step = step;
    state.step_due_at = due_at;
    state.attempts = 0;
    state.wake = Some(wake);
    state.sends.push(Send { step, status: SendStatus::Pending, channel: wake.channel, at, sent_at: None });
}

/// The step before comes again, and the one under way, which nobody has called, after it; so do those in between that
/// were not sent, whose records stay before those of their next sends. What had completed is under way again.
fn plan_again(state: &mut Enrollment, step: StepNo, due_at: Moment, wake: Wake, at: Moment) {
    state.sends.retain(|send| send.step <= step || send.status != SendStatus::Pending);
    plan(state, step, due_at, wake, at);
    state.attempts = u8::try_from(state.send_id().occurrence).unwrap_or(u8::MAX);
    if let State::Paused { remaining } = &mut state.state {
        *remaining = Span::ZERO;
        state.wake = None;
    }
    if state.state == State::Completed {
        state.state = State::Active;
    }
}

/// The step under way is settled: its wake has done its work, the next one comes with its plan.
fn settle(state: &mut Enrollment, status: SendStatus, settled_at: Moment) {
    mark(state, status, settled_at);
    state.open = None;
    state.settled_at = settled_at;
    state.waits_from = settled_at;
    state.step = StepNo(state.step.0.saturating_add(1));
    drop_idle_wake(state);
}

/// The attempt came to nothing: the step is under way as before.
fn reopen(state: &mut Enrollment, at: Moment) {
    let doubted = state.is_doubted();
    state.open = None;
    if !doubted {
        mark(state, SendStatus::Pending, at);
    }
    if state.state != State::Active {
        drop_idle_wake(state);
        forget_pending(state);
    }
}

/// The attempt came to nothing, and the next has its wake.
fn come_again(state: &mut Enrollment, wake: Wake, at: Moment) {
    reopen(state, at);
    stand(state, wake);
}

/// Its wake stands there, unless it has stopped meanwhile.
fn stand(state: &mut Enrollment, wake: Wake) {
    state.wake = Some(wake).filter(|_| state.state == State::Active);
}

fn send_of(state: &mut Enrollment, step: StepNo) -> Option<&mut Send> {
    state.sends.iter_mut().rfind(|send| send.step == step)
}

fn mark(state: &mut Enrollment, status: SendStatus, at: Moment) {
    let sent = matches!(status, SendStatus::Uncertain | SendStatus::Sent);
    if let Some(send) = send_of(state, state.step) {
        send.status = status;
        send.at = at;
        send.sent_at = sent.then_some(at);
    }
}

fn call_through(state: &mut Enrollment, channel: ChannelNo) {
    if let Some(send) = send_of(state, state.step) {
        send.channel = channel;
    }
}

fn receive(state: &mut Enrollment, step: StepNo, status: SendStatus, at: Moment) {
    if let Some(send) = send_of(state, step) {
        send.status = status;
        send.at = at;
        // A provider that refused it and then delivers it did take it.
        send.sent_at.get_or_insert(at);
    }
}

fn end(state: &mut Enrollment, over: State) {
    state.state = over;
    state.quarantine = None;
    drop_idle_wake(state);
    forget_pending(state);
}

/// E2: an open send keeps its row until its outcome.
fn drop_idle_wake(state: &mut Enrollment) {
    if state.open.is_none() {
        state.wake = None;
    }
}

/// A step that an ended enrollment never came to is no send.
fn forget_pending(state: &mut Enrollment) {
    if state.state.is_over() {
        state.sends.retain(|send| send.status != SendStatus::Pending);
    }
}
