//! What follows when a provider says no, as a value: whom the no is about, and until when.
//!
//! Providers' own codes are in each adapter's table, which answers one of these. Acting on it is the core's business;
//! [`Reaction::answer`] says what the core can be told of it today.

use followupd_domain::Span;
use followupd_domain::decide::outcome::{Again, Blames};

use crate::Answer;

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
}

/// What ends a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Until {
    /// So much time.
    After(Span),
    /// The provider's next day: a daily cap is full.
    NextDay,
    /// The provider says by webhook that it is over, and no sooner than this.
    Told {
        /// The floor.
        at_least: Span,
    },
    /// What is missing was made, or another is chosen.
    Changed,
}

/// Who may end a stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Release {
    /// A person.
    Person,
    /// A person, or the provider by a webhook about the sender's quality.
    PersonOrQuality,
}

/// What becomes of a message whose tries are used up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Then {
    /// It fails.
    Fail,
    /// The next channel takes it; without one the step is skipped.
    Skip,
    /// Its step is held: the content is at fault.
    HoldStep,
}

/// Whose messages a contact does not want any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unwanted {
    /// All of the channel's.
    Channel,
    /// This sender's, until the contact writes START.
    Sender,
    /// The contact blocked us: the address is suppressed.
    Blocked,
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
    /// A carrier took the text for spam: it never goes out again, to nobody, and it counts against the sender.
    Filtered,
    /// The provider chose not to deliver to this contact: the next channel takes it, or the step is skipped.
    Skip,
    /// The service window is closed: only a template passes. The step's fallback takes it, or it fails.
    NeedsTemplate,
    /// Nothing sent to the address on this channel arrives for a while: the next channel takes it, or it fails.
    Unusable,
    /// The contact opted out, and its enrollments end.
    OptOut(Unwanted),
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
    /// Nothing of the scope leaves until it is released, and a person is told. Contacts wait, nobody fails.
    Stop {
        /// What stops.
        scope: Scope,
        /// By whom.
        release: Release,
    },
}

impl Reaction {
    /// Within minutes, as soon as is usual; many at once say something of the sender.
    pub const SOON: Reaction = Reaction::Again { again: Again::SOON, alike: Some(Scope::Sender) };

    /// This message is at fault; several alike, and its step is.
    pub const BAD_STEP: Reaction = Reaction::Never { blames: Blames::Message, alike: Some(Scope::Step) };

    /// A stop of `scope` that a person releases.
    #[must_use]
    pub const fn stop(scope: Scope) -> Reaction {
        Reaction::Stop { scope, release: Release::Person }
    }

    /// A rest of `scope` of at least so long.
    #[must_use]
    pub const fn back_off(scope: Scope, at_least: Span) -> Reaction {
        Reaction::BackOff { scope, pause: Pause::from(at_least) }
    }

    /// What the core is told of it: what is shared backs off and uses no attempt, and what it has no word for is the
    /// nearest that sends no message too many.
    #[must_use]
    pub fn answer(self, code: impl Into<String>) -> Answer {
        let code = code.into();
        let rejected = |code, blames| Answer::Rejected { code, blames };
        match self {
            Reaction::Again { again, .. } => Answer::Refused { code, again },
            // A day and more is what a full mailbox gets, on the next days.
            Reaction::Later { after, .. } if after >= Span::days(1) => {
                Answer::Refused { code, again: Again::NextDay }
            }
            Reaction::Later { after, .. } => Answer::Refused { code, again: Again::Soon { at_least: after } },
            Reaction::Never { blames, .. } => rejected(code, blames),
            Reaction::Filtered => rejected(code, Blames::Sender),
            Reaction::Skip | Reaction::NeedsTemplate | Reaction::Unusable => rejected(code, Blames::Message),
            Reaction::OptOut(_) => rejected(code, Blames::Address),
            // Nobody else waits, so this one's own tries are what is spent.
            Reaction::BackOff { scope: Scope::Contact, pause } => {
                Answer::Refused { code, again: Again::Soon { at_least: pause.at_least } }
            }
            Reaction::BackOff { .. }
            | Reaction::Slow { .. }
            | Reaction::Hold { .. }
            | Reaction::Stop { .. } => Answer::BackedOff { code },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_uses_no_attempt() {
        let shared = [Scope::Step, Scope::Template, Scope::Sender, Scope::Account, Scope::App, Scope::Host];
        for scope in shared {
            for reaction in [
                Reaction::back_off(scope, Span::ZERO),
                Reaction::Hold { scope, until: Until::Changed },
                Reaction::stop(scope),
            ] {
                assert_eq!(reaction.answer("x"), Answer::BackedOff { code: "x".into() }, "{reaction:?}");
            }
        }
        let slow = Reaction::Slow { after: Span::seconds(1) };
        assert_eq!(slow.answer("x"), Answer::BackedOff { code: "x".into() });
    }

    #[test]
    fn one_contacts_pace_is_its_own_affair() {
        let pause = Pause { at_least: Span::seconds(1), grows: 4 };
        let again = Again::Soon { at_least: Span::seconds(1) };
        let answer = Reaction::BackOff { scope: Scope::Contact, pause }.answer("131056");
        assert_eq!(answer, Answer::Refused { code: "131056".into(), again });
    }

    #[test]
    fn what_never_passes_is_rejected() {
        let rejected = |blames| Answer::Rejected { code: "x".into(), blames };
        for (reaction, blames) in [
            (Reaction::BAD_STEP, Blames::Message),
            (Reaction::Skip, Blames::Message),
            (Reaction::NeedsTemplate, Blames::Message),
            (Reaction::Unusable, Blames::Message),
            (Reaction::Filtered, Blames::Sender),
            (Reaction::OptOut(Unwanted::Channel), Blames::Address),
            (Reaction::OptOut(Unwanted::Blocked), Blames::Address),
        ] {
            assert_eq!(reaction.answer("x"), rejected(blames), "{reaction:?}");
        }
    }

    #[test]
    fn what_may_pass_later_is_refused() {
        let refused = |again| Answer::Refused { code: "x".into(), again };
        assert_eq!(Reaction::SOON.answer("x"), refused(Again::SOON));
        let later = |after| Reaction::Later { after, times: 1, then: Then::Fail }.answer("x");
        assert_eq!(later(Span::days(1)), refused(Again::NextDay));
        assert_eq!(later(Span::hours(2)), refused(Again::Soon { at_least: Span::hours(2) }));
    }
}
