//! An enrollment's state: one contact's run through one version. It is the fold of its history.

use serde::{Deserialize, Serialize};

use crate::channel::Kind;
use crate::contact::Contact;
use crate::ids::{ChannelNo, EnrollmentId, SendId, SequenceNo, StepNo, TenantNo, VersionNo};
use crate::lane::{Lane, Queue, WakeRow};
use crate::ledger::Charge;
use crate::target::{TargetKind, TargetRef};
use crate::time::{Moment, Span};

/// One contact's run through one version of a sequence.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Enrollment {
    /// Its id.
    pub id: EnrollmentId,
    /// Whose.
    pub tenant: TenantNo,
    /// Through which sequence.
    pub sequence: SequenceNo,
    /// The version it started on and stays on.
    pub version: VersionNo,
    /// Who: the platform's id.
    pub contact: String,
    /// About what.
    pub target: Option<TargetRef>,
    /// When it began.
    pub enrolled_at: Moment,
    /// When it exits `expired`.
    pub expires_at: Moment,
    /// Where it stands.
    pub state: State,
    /// The step that is next or under way; as many as there are steps when all are settled.
    pub step: StepNo,
    /// When that step was due, before all gates.
    pub step_due_at: Moment,
    /// When the step before it was settled.
    pub settled_at: Moment,
    /// Since when its wait runs: from then, or since a pause was over. Holds push back what runs after this.
    pub waits_from: Moment,
    /// Attempts the provider refused of the step under way.
    pub attempts: u8,
    /// Its one wake. E1: present while active; otherwise only while a send is open.
    pub wake: Option<Wake>,
    /// The send between intent and outcome, if there is one.
    pub open: Option<OpenSend>,
    /// What became of each step so far, in order.
    pub sends: Vec<Send>,
    /// Why it is quarantined, if it is.
    pub quarantine: Option<String>,
}

/// Where an enrollment's wake row stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Wake {
    /// In which lane of its tenant.
    pub channel: ChannelNo,
    /// In which queue.
    pub queue: Queue,
    /// From when.
    pub due_at: Moment,
}

/// Where an enrollment stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum State {
    /// It goes its way.
    Active,
    /// It was paused by itself and keeps the rest of its wait.
    Paused {
        /// What was left of the wait. One until a time of day is not made longer by it: see
        /// [`resume`](crate::decide::hold::resume).
        remaining: Span,
    },
    /// All its steps are settled.
    Completed,
    /// It left early.
    Exited(ExitReason),
    /// It cannot go on at all.
    Failed(FailReason),
}

impl State {
    /// The words of all of them.
    pub const WORDS: [&'static str; 5] = ["active", "paused", "completed", "exited", "failed"];

    /// Whether it has ended. What has completed may come back: where its provider refuses its last message after all.
    #[must_use]
    pub fn is_over(self) -> bool {
        match self {
            State::Active | State::Paused { .. } => false,
            State::Completed | State::Exited(_) | State::Failed(_) => true,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            State::Active => "active",
            State::Paused { .. } => "paused",
            State::Completed => "completed",
            State::Exited(_) => "exited",
            State::Failed(_) => "failed",
        }
    }
}

/// Why an enrollment left early.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum ExitReason {
    /// The contact wrote.
    Replied,
    /// The linked conversation was resolved.
    Resolved,
    /// The target reached its goal.
    Goal,
    /// The contact opted out.
    OptedOut,
    /// A person or service took it out.
    Manual,
    /// The target was lost, cancelled or deleted.
    TargetCancelled,
    /// It lived its longest.
    Expired,
    /// Its sequence was archived.
    Archived,
    /// A step came too late to be of use and says so ends it.
    Late,
    /// A step failed and says that ends it.
    StepFailed,
    /// The contact was erased.
    Erased,
}

impl ExitReason {
    /// All of them; the place is the byte in a funnel's key.
    pub const ALL: [ExitReason; 11] = [
        ExitReason::Replied,
        ExitReason::Resolved,
        ExitReason::Goal,
        ExitReason::OptedOut,
        ExitReason::Manual,
        ExitReason::TargetCancelled,
        ExitReason::Expired,
        ExitReason::Archived,
        ExitReason::Late,
        ExitReason::StepFailed,
        ExitReason::Erased,
    ];

    /// The reason of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<ExitReason> {
        ExitReason::ALL.into_iter().find(|reason| reason.word() == word)
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            ExitReason::Replied => "replied",
            ExitReason::Resolved => "resolved",
            ExitReason::Goal => "goal",
            ExitReason::OptedOut => "opted_out",
            ExitReason::Manual => "manual",
            ExitReason::TargetCancelled => "target_cancelled",
            ExitReason::Expired => "expired",
            ExitReason::Archived => "archived",
            ExitReason::Late => "late",
            ExitReason::StepFailed => "step_failed",
            ExitReason::Erased => "erased",
        }
    }
}

/// Why an enrollment cannot go on at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum FailReason {
    /// A channel its steps name is gone.
    NoChannel,
}

impl FailReason {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            FailReason::NoChannel => "no_channel",
        }
    }
}

/// A send between its intent and its outcome.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct OpenSend {
    /// Which.
    pub send: SendId,
    /// Through which channel.
    pub channel: ChannelNo,
    /// Which attempt, from 1.
    pub attempt: u8,
    /// When it was decided.
    pub intended_at: Moment,
    /// A call that has not begun by then is withdrawn.
    pub not_after: Moment,
    /// What it was charged.
    pub charge: Charge,
}

/// One step's send, or the lack of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Send {
    /// Of which step.
    pub step: StepNo,
    /// How far it got.
    pub status: SendStatus,
    /// Through which channel it was last planned, or called.
    pub channel: ChannelNo,
    /// When it got there.
    pub at: Moment,
    /// When the provider took it, as far as that is known; its first intent, while it is uncertain.
    pub sent_at: Option<Moment>,
}

/// How far a send got. Receipts only ever move it forward, see [`SendStatus::rank`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum SendStatus {
    /// Its wait runs.
    Pending,
    /// Called, outcome unknown.
    Uncertain,
    /// The provider accepted it.
    Sent,
    /// It arrived.
    Delivered,
    /// It was read.
    Read,
    /// The contact answered it.
    Replied,
    /// It was not sent, by rule.
    Skipped(SkipReason),
    /// It could not be sent.
    Failed(SendFailure),
}

impl SendStatus {
    /// The words of all of them.
    pub const WORDS: [&'static str; 8] =
        ["pending", "uncertain", "sent", "delivered", "read", "replied", "skipped", "failed"];

    /// Its place on the way forward; ends rank with what they exclude.
    #[must_use]
    pub fn rank(self) -> u8 {
        match self {
            SendStatus::Pending => 0,
            SendStatus::Uncertain => 1,
            SendStatus::Sent => 2,
            // An asynchronous refusal may follow `sent`, but not `delivered`.
            SendStatus::Failed(_) | SendStatus::Skipped(_) => 3,
            SendStatus::Delivered => 4,
            SendStatus::Read => 5,
            SendStatus::Replied => 6,
        }
    }

    /// Whether a provider was called and may know of it: what a receipt can be about.
    #[must_use]
    pub fn was_called(self) -> bool {
        match self {
            SendStatus::Pending | SendStatus::Skipped(_) => false,
            SendStatus::Failed(failure) => matches!(failure, SendFailure::Refused | SendFailure::Attempts),
            SendStatus::Uncertain
            | SendStatus::Sent
            | SendStatus::Delivered
            | SendStatus::Read
            | SendStatus::Replied => true,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SendStatus::Pending => "pending",
            SendStatus::Uncertain => "uncertain",
            SendStatus::Sent => "sent",
            SendStatus::Delivered => "delivered",
            SendStatus::Read => "read",
            SendStatus::Replied => "replied",
            SendStatus::Skipped(_) => "skipped",
            SendStatus::Failed(_) => "failed",
        }
    }
}

/// Why a step was not sent, by rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SkipReason {
    /// It came too late to be of use.
    Late,
    /// Its provider chose not to deliver it to this contact.
    NotDelivered,
}

impl SkipReason {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SkipReason::Late => "late",
            SkipReason::NotDelivered => "not_delivered",
        }
    }
}

/// Why a step could not be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum SendFailure {
    /// The contact has no address of the channel's kind.
    NoAddress,
    /// The contact opted out of the channel's kind, and of no other.
    Suppressed,
    /// A variable has no value and no default.
    MissingVariable,
    /// The template cannot be rendered for this contact.
    Render,
    /// The provider refused it for good.
    Refused,
    /// The provider refused it as often as it was tried.
    Attempts,
    /// The provider said that nothing sent to this address will arrive.
    BadAddress,
    /// The provider takes only an approved template, and the step has none.
    NeedsTemplate,
    /// The provider cannot reach this address just now.
    Unusable,
}

impl SendFailure {
    /// All of them; the place is the byte in a funnel's key.
    pub const ALL: [SendFailure; 9] = [
        SendFailure::NoAddress,
        SendFailure::Suppressed,
        SendFailure::MissingVariable,
        SendFailure::Render,
        SendFailure::Refused,
        SendFailure::Attempts,
        SendFailure::BadAddress,
        SendFailure::NeedsTemplate,
        SendFailure::Unusable,
    ];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            SendFailure::NoAddress => "no_address",
            SendFailure::Suppressed => "suppressed",
            SendFailure::MissingVariable => "missing_variable",
            SendFailure::Render => "render",
            SendFailure::Refused => "refused",
            SendFailure::Attempts => "attempts",
            SendFailure::BadAddress => "bad_address",
            SendFailure::NeedsTemplate => "needs_template",
            SendFailure::Unusable => "unusable",
        }
    }
}

impl Enrollment {
    /// Whether an earlier call of the step under way may have been taken, and nobody knows: whatever becomes of later
    /// ones, it is not surely unsent.
    #[must_use]
    pub fn is_doubted(&self) -> bool {
        let send = self.sends.iter().rfind(|send| send.step == self.step);
        let since = send.filter(|send| send.status == SendStatus::Uncertain).and_then(|send| send.sent_at);
        since.is_some_and(|since| self.open.is_none_or(|open| open.intended_at != since))
    }

    /// The send that is on the wire, or that a call may have brought there of which nobody saw the end: what an exit names.
    #[must_use]
    pub fn in_flight(&self) -> Option<SendId> {
        let doubted = || self.is_doubted().then(|| self.send_id());
        self.open.map(|open| open.send).or_else(doubted)
    }

    /// The channel of a call that is under way and that limits count by its start already.
    #[must_use]
    pub fn calling(&self) -> Option<ChannelNo> {
        self.open.filter(|open| !open.charge.open).map(|open| open.channel)
    }

    /// Whether one that has completed stays so, whatever its provider says later.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.expires_at <= self.settled_at
    }

    /// Whether a provider has said of the step under way that the service window is closed.
    #[must_use]
    pub fn found_shut(&self) -> bool {
        let said = SendStatus::Failed(SendFailure::NeedsTemplate);
        self.sends.iter().any(|send| send.step == self.step && send.status == said)
    }

    /// The row its wake stands in.
    #[must_use]
    pub fn wake_row(&self) -> Option<WakeRow> {
        self.wake.map(|wake| WakeRow {
            lane: Lane { tenant: self.tenant, channel: wake.channel },
            queue: wake.queue,
            due_at: wake.due_at,
            enrollment: self.id,
        })
    }

    /// The id of the send of the step under way.
    #[must_use]
    pub fn send_id(&self) -> SendId {
        let planned = self.sends.iter().filter(|send| send.step == self.step).count();
        let occurrence = u16::try_from(planned.saturating_sub(1)).unwrap_or(u16::MAX);
        SendId { enrollment: self.id, step: self.step, occurrence, leg: 0 }
    }

    /// Where a channel of this kind reaches its contact: the conversation that it is about, where it is about one.
    #[must_use]
    pub fn address<'a>(&'a self, contact: &'a Contact, kind: Kind) -> Option<&'a str> {
        let linked = self.target.as_ref().filter(|target| target.kind == TargetKind::Conversation);
        match linked.filter(|_| kind == Kind::Conversation) {
            Some(conversation) => Some(&conversation.id),
            None => contact.address(kind, &self.contact),
        }
    }

    /// What became of a send; `None` for one that was never planned, or was planned again since.
    #[must_use]
    pub fn sent(&self, id: SendId) -> Option<&Send> {
        let mut of_step = self.sends.iter().filter(|send| send.step == id.step);
        let send = of_step.nth(usize::from(id.occurrence))?;
        of_step.next().is_none().then_some(send)
    }

    /// As which try an attempt of a step counts: a template that goes instead of a text begins anew.
    #[must_use]
    pub fn tries(&self, step: StepNo, attempt: u8) -> u8 {
        attempt.saturating_sub(self.wanted_template(step)).max(1)
    }

    /// How many sends of a step failed for want of a template: no fault of the one that goes instead.
    #[must_use]
    pub fn wanted_template(&self, step: StepNo) -> u8 {
        let status = SendStatus::Failed(SendFailure::NeedsTemplate);
        let wanted = self.sends.iter().filter(|send| send.step == step && send.status == status);
        u8::try_from(wanted.count()).unwrap_or(u8::MAX)
    }

    /// Whether the step under way is due and stands in line (`scheduled`): its wait has run, and its send has not begun.
    #[must_use]
    pub fn is_scheduled(&self, now: Moment) -> bool {
        self.state == State::Active && self.open.is_none() && self.wake.is_some() && self.step_due_at <= now
    }
}
