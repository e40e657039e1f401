//! What an enrollment is about: a contact, conversation, deal, appointment or charge of the platform.

use serde::{Deserialize, Serialize};
use siphasher::sip::SipHasher13;
use std::collections::BTreeMap;
use std::fmt;
use std::hash::Hasher;

use crate::ids::EnrollmentId;
use crate::time::Moment;

/// The kinds of things an enrollment can be about.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum TargetKind {
    /// The contact itself.
    #[default]
    Contact,
    /// A conversation in the inbox.
    Conversation,
    /// A deal in the CRM.
    Deal,
    /// An appointment in the calendar.
    Appointment,
    /// A charge in the payments service.
    Charge,
}

impl TargetKind {
    /// All of them.
    pub const ALL: [TargetKind; 5] = [
        TargetKind::Contact,
        TargetKind::Conversation,
        TargetKind::Deal,
        TargetKind::Appointment,
        TargetKind::Charge,
    ];

    /// Its byte in keys.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            TargetKind::Contact => 0,
            TargetKind::Conversation => 1,
            TargetKind::Deal => 2,
            TargetKind::Appointment => 3,
            TargetKind::Charge => 4,
        }
    }

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            TargetKind::Contact => "contact",
            TargetKind::Conversation => "conversation",
            TargetKind::Deal => "deal",
            TargetKind::Appointment => "appointment",
            TargetKind::Charge => "charge",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<TargetKind> {
        TargetKind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// One thing, by the platform's id.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct TargetRef {
    /// What kind of thing.
    pub kind: TargetKind,
    /// The platform's id.
    pub id: String,
}

impl TargetRef {
    /// A number that stands for it in records with no room for its id; the same in every build and on every node.
    #[must_use]
    pub fn fingerprint(&self) -> u64 {
        let mut hasher = SipHasher13::new();
        hasher.write(&[self.kind.code()]);
        hasher.write(self.id.as_bytes());
        hasher.finish()
    }
}

impl fmt::Display for TargetRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.word(), self.id)
    }
}

/// What ends the business with a target for good.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Terminal {
    /// The goal: paid, won, completed.
    Goal,
    /// A conversation that was resolved.
    Resolved,
    /// A deal that was lost.
    Lost,
    /// Cancelled or deleted.
    Cancelled,
}

/// What the engine knows of a target, and who is enrolled about it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Target {
    /// Open attributes for templates, such as an amount.
    pub attributes: BTreeMap<String, String>,
    /// The terminal fact with the latest (`occurred_at`, event id), if there is one.
    pub terminal: Option<TerminalFact>,
    /// Enrollments about it that have not ended.
    pub enrollments: Vec<EnrollmentId>,
}

/// A terminal fact and which event said so; the later (`occurred_at`, event id) wins, in whatever order they come.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TerminalFact {
    /// When it happened, says the event.
    pub occurred_at: Moment,
    /// The event's id.
    pub event: String,
    /// What happened.
    pub terminal: Terminal,
}

impl Target {
    /// Takes in a terminal fact; an older one changes nothing.
    pub fn learn(&mut self, fact: TerminalFact) {
        if self.terminal.as_ref().is_none_or(|known| *known < fact) {
            self.terminal = Some(fact);
        }
    }

    /// Takes in an inbound message about it: one that occurred after a conversation was resolved reopens it. What else
    /// ended stays ended.
    pub fn hears(&mut self, occurred_at: Moment) {
        let reopened =
            |fact: &mut TerminalFact| fact.terminal == Terminal::Resolved && fact.occurred_at < occurred_at;
        self.terminal.take_if(reopened);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_latest_fact_wins_in_whatever_order_facts_come() {
        let fact = |at, event: &str, terminal| TerminalFact {
            occurred_at: Moment(at),
            event: event.into(),
            terminal,
        };
        let paid = fact(2, "b", Terminal::Goal);
        let (mut forth, mut back) = (Target::default(), Target::default());
        for known in [fact(1, "z", Terminal::Cancelled), fact(2, "a", Terminal::Lost), paid.clone()] {
            forth.learn(known.clone());
        }
        for known in [paid.clone(), fact(2, "a", Terminal::Lost), fact(1, "z", Terminal::Cancelled)] {
            back.learn(known);
        }
        assert_eq!(forth.terminal, Some(paid));
        assert_eq!(forth, back);
    }

    #[test]
    fn a_fingerprint_is_the_same_for_good_and_another_for_each_target() {
        let of = |kind, id: &str| TargetRef { kind, id: id.into() }.fingerprint();
        // Stands in stored rows.
        let charge = of(TargetKind::Charge, "ch-1");
        assert_eq!(charge, 446_081_819_563_834_519);
        assert_ne!(of(TargetKind::Charge, "ch-2"), charge);
        assert_ne!(of(TargetKind::Deal, "ch-1"), charge);
    }

    #[test]
    fn a_message_reopens_what_was_resolved_before_it_and_nothing_else() {
        let hears = |terminal, at| {
            let fact = TerminalFact { occurred_at: Moment(10), event: "e".into(), terminal };
            let mut target = Target { terminal: Some(fact), ..Target::default() };
            target.hears(Moment(at));
            target.terminal.is_none()
        };
        assert!(hears(Terminal::Resolved, 11));
        assert!(!hears(Terminal::Resolved, 10));
        for terminal in [Terminal::Goal, Terminal::Lost, Terminal::Cancelled] {
            assert!(!hears(terminal, 11), "{terminal:?}");
        }
    }

    #[test]
    fn kinds_survive_their_words() {
        for kind in TargetKind::ALL {
            assert_eq!(TargetKind::parse(kind.word()), Some(kind));
        }
    }
}
