//! What follows when a provider surely did not take a message, as a value: whom its no is about, and until when.
//!
//! Providers' own codes are in each adapter's table, which answers one of these. What it comes to for the enrollment is
//! decided in [`decide::outcome`](crate::decide::outcome), what is shared by many in [`health`](crate::health).

use crate::limits;
use crate::time::Span;

/// How far a no reaches beyond the one message it was said to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Scope {
    /// This address, and nobody else.
    Contact,
    /// This content: whoever gets this step.
    Step,
    /// What uses one approved template in one language.
    Template,
    /// One number or mailbox.
    Sender,
    /// The provider account, which senders share.
    Account,
    /// The app whose token is used, which tenants may share.
    App,
    /// One destination of mail, or one machine that is called.
    Host,
}

/// The pauses of what backs off.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pause {
    /// The first is no shorter.
    pub at_least: Span,
    /// Each next one is so many times the last.
    pub grows: u8,
}

impl Pause {
    /// As is usual: from `at_least` on, each twice the last.
    #[must_use]
    pub const fn from(at_least: Span) -> Pause {
        Pause { at_least, grows: 2 }
    }

    /// The pause after so many attempts; `None` when they were enough.
    #[must_use]
    pub fn after(self, attempts: u8) -> Option<Span> {
        let times = i64::from(self.grows).saturating_pow(u32::from(attempts.saturating_sub(1)));
        let pause = Span(self.at_least.0.saturating_mul(times)).min(limits::RETRY_AFTER_MOST);
        (attempts < limits::ATTEMPTS).then_some(pause)
    }
}

/// What ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So much time.
    After(Span),
    /// The provider says by webhook that it is over; where it says nothing it is tried after so long.
    Told {
        /// How long.
        at_least: Span,
    },
    /// What is missing was made, or another is chosen.
    Changed,
}

/// What becomes of a message whose tries are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It fails.
    Fail,
    /// The next channel takes it; without one the step is skipped.
    Skip,
    /// It has its other attempts an hour apart; where several of its step come so far, the content is at fault and the step
    /// is held.
    HoldStep,
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

/// What a no says is wrong with one message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Blames {
    /// This message.
    Message,
    /// The address: nothing sent there will arrive.
    Address,
}

/// What follows when a provider surely did not take a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reaction {
    /// This message may be tried again.
    Again {
        /// How soon and how often.
        again: Again,
        /// What has a fault of its own when many messages get this at once.
        alike: Option<Scope>,
    },
    /// This message may be tried again after a long time, a few times.
    Later {
        /// The least pause.
        after: Span,
        /// Tries after this one.
        times: u8,
        /// What then.
        then: Then,
    },
    /// This message will never be taken.
    Never {
        /// What is wrong.
        blames: Blames,
        /// What has a fault of its own when several messages get this.
        alike: Option<Scope>,
    },
    /// The provider chose not to deliver to this contact: the next channel takes it, or the step is skipped.
    Skip,
    /// The service window is closed: only a template passes. The step's fallback takes it, or it fails.
    NeedsTemplate,
    /// Nothing sent to the address on this channel arrives for a while: the next channel takes it, or it fails.
    Unusable,
    /// The contact opted out of the sender, or blocked it: their address is suppressed for its kind of channel, whichever
    /// sender would be next, and enrollments that nothing else reaches end.
    OptOut,
    /// All of the scope waits and is tried again by itself.
    BackOff {
        /// What waits.
        scope: Scope,
        /// How long.
        pause: Pause,
    },
    /// The sender's rate is cut; it goes on after this and recovers slowly. The message is kept.
    Slow {
        /// The least rest.
        after: Span,
    },
    /// Nothing of the scope leaves until then. Contacts wait, nobody fails.
    Hold {
        /// What is held.
        scope: Scope,
        /// Until when.
        until: Until,
    },
    /// Nothing of the scope leaves until a person releases it, and one is told. Contacts wait, nobody fails.
    Stop {
        /// What stops.
        scope: Scope,
    },
}

impl Reaction {
    /// Within minutes, as soon as is usual; many at once say something of the sender.
    pub const SOON: Reaction = Reaction::Again { again: Again::SOON, alike: Some(Scope::Sender) };

    /// This message is at fault; several alike, and its step is.
    pub const BAD_STEP: Reaction = Reaction::Never { blames: Blames::Message, alike: Some(Scope::Step) };

    /// What is called rests, as it does after any failure of its own.
    pub const HOST_RESTS: Reaction = Reaction::back_off(Scope::Host, Span::ZERO);

    /// This message may be tried again, which says nothing of any other.
    #[must_use]
    pub const fn again(again: Again) -> Reaction {
        Reaction::Again { again, alike: None }
    }

    /// This message will never be taken, which says nothing of any other.
    #[must_use]
    pub const fn never(blames: Blames) -> Reaction {
        Reaction::Never { blames, alike: None }
    }

    /// Whether it is about the message, and not about what many share.
    #[must_use]
    pub fn is_of_message(self) -> bool {
        match self {
            Reaction::Again { alike: Some(Scope::Host), .. } => false,
            Reaction::Again { .. }
            | Reaction::Later { .. }
            | Reaction::Never { .. }
            | Reaction::Skip
            | Reaction::Unusable
            | Reaction::NeedsTemplate
            | Reaction::OptOut => true,
            Reaction::BackOff { scope, .. } => scope == Scope::Contact,
            Reaction::Slow { .. } | Reaction::Hold { .. } | Reaction::Stop { .. } => false,
        }
    }

    /// A stop of `scope`.
    #[must_use]
    pub const fn stop(scope: Scope) -> Reaction {
        Reaction::Stop { scope }
    }

    /// A rest of `scope` of at least so long.
    #[must_use]
    pub const fn back_off(scope: Scope, at_least: Span) -> Reaction {
        Reaction::BackOff { scope, pause: Pause::from(at_least) }
    }
}
