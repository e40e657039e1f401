//! Tests of the decisions, one file per input, and of random walks through all of them.
//!
//! Here is what they share: small moves of a [`Sample`], each of which checks E1, E2 and E9.

mod enroll;
mod explain;
mod hold;
mod leave;
mod outcome;
mod reaction;
mod returns;
mod signal;
mod wake;
mod walk;

use crate::channel::Kind;
use crate::decide::outcome::{Outcome, Receipt};
use crate::decide::samples::{NOON, Sample};
use crate::decide::wake::Look;
use crate::decide::{hold as holds, leave as leaves, outcome as outcomes, wake as wakes};
use crate::decision::Decision;
use crate::enrollment::{ExitReason, OpenSend, SendStatus};
use crate::event::{Event, EventKey, EventKind};
use crate::holds::Holds;
use crate::ids::{ChannelNo, SendId, SequenceNo, StepNo};
use crate::lane::WakeRow;
use crate::ledger::{Charge, DayContext};
use crate::reaction::{Again, Blames, Reaction};
use crate::target::{TargetRef, TerminalFact};
use crate::time::{Moment, Span};

/// A charge of a lane without limits.
fn charge(at: Moment) -> Charge {
    Charge { at, day: DayContext { day: 0, next_day_at: Moment::FAR }, open: true }
}

fn said_no(reaction: Reaction) -> Outcome {
    Outcome::Refused { code: "no".into(), reaction }
}

fn refused() -> Outcome {
    said_no(Reaction::again(Again::SOON))
}

fn rejected() -> Outcome {
    said_no(Reaction::never(Blames::Message))
}

/// An event of this kind about `ana` and charge `ch-1`, just now.
fn event(sample: &Sample, kind: EventKind) -> Event {
    Event {
        key: EventKey { source: "inbox".into(), id: "1".into() },
        kind,
        occurred_at: sample.now,
        contact: Some("ana".into()),
        target: sample.enrollment.target.clone(),
        channel: None,
        text: String::new(),
        automatic: false,
    }
}

/// An inbound message of `ana`, in no conversation.
fn message(sample: &Sample, text: &str) -> Event {
    Event { text: text.into(), target: None, ..event(sample, EventKind::MessageReceived) }
}

/// A scope to hold or release.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum ScopeRef {
    Tenant,
    Channel(ChannelNo),
    Sequence(SequenceNo),
}

impl Sample {
    /// The row its wake stands in.
    fn row(&self) -> WakeRow {
        self.enrollment.wake_row().unwrap()
    }

    /// Time passes.
    fn pass(&mut self, span: Span) {
        self.now = self.now + span;
    }

    /// What a wake leads to now.
    fn look(&self) -> Look<'_> {
        wakes::look(&self.view(), &self.row())
    }

    /// Time passes until the wake is due, and what that decides is taken.
    fn fire(&mut self) -> Vec<Decision> {
        self.now = self.now.max(self.row().due_at);
        match self.look() {
            Look::Decided(decisions) => self.take(|_| decisions),
            Look::Send(channel, _) => {
                let intent = wakes::intend(
                    &self.view(),
                    channel,
                    charge(self.now),
                    self.now + crate::limits::INTENT_LIFE,
                );
                self.take(|_| vec![intent])
            }
            Look::Gone | Look::Held(_) | Look::Closed(_) | Look::InDoubt(_) => Vec::new(),
        }
    }

    /// Time passes until the wake is due, and the send begins.
    fn begin(&mut self) -> OpenSend {
        let decisions = self.fire();
        let [Decision::Intended(open)] = decisions.as_slice() else {
            panic!("no send begins: {decisions:?} of {:?}", self.enrollment)
        };
        *open
    }

    /// The open send's call ends so, a second after it was decided.
    fn ends(&mut self, outcome: &Outcome) -> Vec<Decision> {
        let send = self.enrollment.open.unwrap().send;
        self.pass(Span::seconds(1));
        self.take(|view| outcomes::outcome(view, send, outcome, 0))
    }

    /// The open send's call ends with an acceptance.
    fn accepted(&mut self) -> Vec<Decision> {
        let at = self.now + Span::seconds(1);
        self.ends(&Outcome::Accepted { at })
    }

    /// The next step is sent and accepted.
    fn sends(&mut self) {
        self.begin();
        self.accepted();
    }

    fn receives(&mut self, step: u16, receipt: Receipt) -> Vec<Decision> {
        let planned = self.enrollment.sends.iter().filter(|send| send.step == StepNo(step)).count();
        let occurrence = u16::try_from(planned.saturating_sub(1)).unwrap();
        let send = SendId { step: StepNo(step), occurrence, ..self.enrollment.send_id() };
        self.take(|view| outcomes::receipt(view, send, receipt, 0))
    }

    fn exits(&mut self) -> Vec<Decision> {
        self.take(|view| leaves::exit(view, ExitReason::Manual))
    }

    fn pauses(&mut self) -> Vec<Decision> {
        self.take(holds::pause)
    }

    fn resumes(&mut self) -> Vec<Decision> {
        self.take(holds::resume)
    }

    fn is_set_apart(&mut self) -> Vec<Decision> {
        self.take(|view| holds::quarantine(view, "it panics"))
    }

    fn is_released(&mut self) -> Vec<Decision> {
        self.take(holds::release)
    }

    /// The contact and target take in an event; whether the contact opted out by it.
    fn learns(&mut self, event: &Event) -> bool {
        let opted_out = event.opts_out(&self.scope.tenant);
        if opted_out {
            let kinds = event.channel.map_or(Kind::ALL.to_vec(), |kind| vec![kind]);
            self.contact.suppressed.extend(kinds);
        }
        if let EventKind::Target(_, terminal) = event.kind {
            self.target.learn(TerminalFact {
                occurred_at: event.occurred_at,
                event: event.key.id.clone(),
                terminal,
            });
        }
        if event.kind == EventKind::MessageReceived && event.target == self.enrollment.target {
            self.target.hears(event.occurred_at);
        }
        opted_out
    }

    /// The contact and target take in an event, then the enrollment decides what it means.
    fn hears(&mut self, event: &Event) -> Vec<Decision> {
        let opted_out = self.learns(event);
        self.take(|view| leaves::event(view, event, opted_out))
    }

    /// The holds of a scope.
    fn holds(&mut self, scope: &ScopeRef) -> &mut Holds {
        match scope {
            ScopeRef::Tenant => &mut self.scope.tenant.holds,
            ScopeRef::Channel(no) => &mut self.scope.channels.get_mut(no).unwrap().holds,
            ScopeRef::Sequence(no) => &mut self.scope.sequences.get_mut(no).unwrap().holds,
        }
    }

    /// What became of each step so far.
    fn statuses(&self) -> Vec<SendStatus> {
        self.enrollment.sends.iter().map(|send| send.status).collect()
    }
}

/// The scopes that can hold the sample's sends.
const SCOPES: [ScopeRef; 3] =
    [ScopeRef::Tenant, ScopeRef::Channel(ChannelNo(1)), ScopeRef::Sequence(SequenceNo(1))];

/// The charge the sample is not about.
fn other_charge() -> TargetRef {
    TargetRef { kind: crate::target::TargetKind::Charge, id: "ch-2".into() }
}
