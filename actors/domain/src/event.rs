//! Events: facts that come in from the platform, and what each says about contacts and targets.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::channel::{Kind, Transport};
use crate::limits;
use crate::name;
use crate::target::{TargetKind, TargetRef, Terminal};
use crate::tenant::Tenant;
use crate::time::{Moment, Span};

/// What makes an event the same event: its source and the source's id for it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct EventKey {
    /// Who sent it.
    pub source: String,
    /// The source's id.
    pub id: String,
}

/// A fact that came in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Which event.
    pub key: EventKey,
    /// What happened.
    pub kind: EventKind,
    /// When, says its source.
    pub occurred_at: Moment,
    /// The contact it is about.
    pub contact: Option<String>,
    /// The target it is about.
    pub target: Option<TargetRef>,
    /// The kind of channel it came through, where that is known; an opt-out without one is from all.
    pub channel: Option<Kind>,
    /// The text of an inbound message; of a button that was pressed what stands behind it.
    pub text: String,
    /// An automatic reply is not a reply.
    pub automatic: bool,
}

/// The types of event that are known.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum EventKind {
    /// The contact wrote.
    MessageReceived,
    /// The contact opted out.
    ContactOptedOut,
    /// The target's business ended so.
    Target(TargetKind, Terminal),
    /// The tenant's own: recorded, and nothing more.
    Custom(String),
}

/// Types and what they say. `custom.*` is open besides.
const TYPES: [(&str, EventKind); 11] = [
    ("message.received", EventKind::MessageReceived),
    ("contact.opted_out", EventKind::ContactOptedOut),
    ("conversation.resolved", EventKind::Target(TargetKind::Conversation, Terminal::Resolved)),
    ("charge.paid", EventKind::Target(TargetKind::Charge, Terminal::Goal)),
    ("charge.cancelled", EventKind::Target(TargetKind::Charge, Terminal::Cancelled)),
    ("deal.won", EventKind::Target(TargetKind::Deal, Terminal::Goal)),
    ("deal.lost", EventKind::Target(TargetKind::Deal, Terminal::Lost)),
    ("deal.deleted", EventKind::Target(TargetKind::Deal, Terminal::Cancelled)),
    ("appointment.completed", EventKind::Target(TargetKind::Appointment, Terminal::Goal)),
    ("appointment.cancelled", EventKind::Target(TargetKind::Appointment, Terminal::Cancelled)),
    ("conversation.deleted", EventKind::Target(TargetKind::Conversation, Terminal::Cancelled)),
];

/// Why an event is not accepted.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// No such type.
    #[error("unknown type {given:?}{}", nearest.map(|near| format!(": did you mean {near:?}?")).unwrap_or_default())]
    UnknownType {
        /// What it said.
        given: String,
        /// The known type nearest to it.
        nearest: Option<&'static str>,
    },
    /// It lies further ahead of our clock than clocks differ.
    #[error("occurred_at is more than 5 minutes ahead of this server's clock")]
    Ahead,
    /// It is older than event ids are remembered, so it could be a repeat.
    #[error("occurred_at is more than {} days ago: an event that old could be a repeat of one already taken", .memory.0 / Span::days(1).0)]
    TooOld {
        /// How long ids of its source are remembered.
        memory: Span,
    },
    /// It lacks the subject its type is about.
    #[error("a {given} event needs {wanted}")]
    NoSubject {
        /// Its type.
        given: String,
        /// What it lacks.
        wanted: &'static str,
    },
}

impl EventKind {
    /// The kind of this type.
    ///
    /// # Errors
    /// [`Refusal::UnknownType`], with the nearest known one.
    pub fn parse(text: &str) -> Result<EventKind, Refusal> {
        if let Some((_, kind)) = TYPES.iter().find(|(known, _)| *known == text) {
            return Ok(kind.clone());
        }
        match text.strip_prefix("custom.") {
            Some(rest) if !rest.is_empty() => Ok(EventKind::Custom(rest.to_owned())),
            _ => Err(Refusal::UnknownType {
                given: text.to_owned(),
                nearest: name::nearest(text, TYPES.iter().map(|(known, _)| *known)),
            }),
        }
    }

    /// Its type as text.
    #[must_use]
    pub fn word(&self) -> String {
        match self {
            EventKind::Custom(rest) => format!("custom.{rest}"),
            EventKind::MessageReceived | EventKind::ContactOptedOut | EventKind::Target(..) => TYPES
                .iter()
                .find(|(_, kind)| kind == self)
                .map_or_else(String::new, |(word, _)| (*word).to_owned()),
        }
    }
}

impl Event {
    /// Whether the event can be accepted at `now`: its time is near enough, its subjects are there.
    ///
    /// # Errors
    /// Says what is wrong with it.
    pub fn check(&self, now: Moment) -> Result<(), Refusal> {
        if self.occurred_at > now + limits::EVENT_AHEAD {
            return Err(Refusal::Ahead);
        }
        let memory = memory(&self.key.source);
        if self.occurred_at + memory < now {
            return Err(Refusal::TooOld { memory });
        }
        let wanted = match &self.kind {
            EventKind::MessageReceived | EventKind::ContactOptedOut => {
                self.contact.is_none().then_some("a contact")
            }
            EventKind::Target(kind, _) => {
                let named = self.target.as_ref().is_some_and(|target| target.kind == *kind);
                (!named).then_some("a target of its kind")
            }
            EventKind::Custom(_) => (self.contact.is_none() && self.target.is_none()).then_some("a subject"),
        };
        match wanted {
            Some(wanted) => Err(Refusal::NoSubject { given: self.kind.word(), wanted }),
            None => Ok(()),
        }
    }

    /// Whether the contact opts out by it: by type, or by writing one of the words for it.
    #[must_use]
    pub fn opts_out(&self, tenant: &Tenant) -> bool {
        match self.kind {
            EventKind::ContactOptedOut => true,
            EventKind::MessageReceived => is_stop_word(&self.text, tenant),
            EventKind::Target(..) | EventKind::Custom(_) => false,
        }
    }

    /// The kinds of channel that an opt-out by it is about: the one it came by, else all; all as well where the tenant
    /// has it so.
    #[must_use]
    pub fn opts_out_of(&self, tenant: &Tenant) -> BTreeSet<Kind> {
        match self.channel.filter(|_| !tenant.opt_out_of_all) {
            Some(kind) => BTreeSet::from([kind]),
            None => BTreeSet::from(Kind::ALL),
        }
    }

    /// Whether the contact wants to be written to again, by writing one of the words for it.
    #[must_use]
    pub fn opts_in(&self) -> bool {
        let text = self.text.trim().to_uppercase();
        self.kind == EventKind::MessageReceived && START_WORDS.contains(&text.as_str())
    }

    /// Whether it is an inbound message that counts as a reply.
    #[must_use]
    pub fn is_reply(&self) -> bool {
        self.kind == EventKind::MessageReceived && !self.automatic
    }
}

/// Twilio's default words (its "Advanced Opt-Out" reference); matched on the whole trimmed message, any case.
const STOP_WORDS: [&str; 6] = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT"];

/// Twilio's words for being written to again.
const START_WORDS: [&str; 2] = ["START", "UNSTOP"];

/// How long ids of events from this source are remembered: those of a provider's webhook begin with its name.
#[must_use]
pub fn memory(source: &str) -> Span {
    let is_providers =
        source.split_once(':').is_some_and(|(provider, _)| Transport::TOLD.contains(&provider));
    if is_providers { limits::EVENT_MEMORY_OF_PROVIDERS } else { limits::EVENT_MEMORY }
}

fn is_stop_word(text: &str, tenant: &Tenant) -> bool {
    let text = text.trim().to_uppercase();
    STOP_WORDS.contains(&text.as_str()) || tenant.stop_words.contains(&text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_survive_their_words() {
        for (word, kind) in TYPES {
            assert_eq!(EventKind::parse(word), Ok(kind.clone()));
            assert_eq!(kind.word(), word);
        }
        assert_eq!(EventKind::parse("custom.visited"), Ok(EventKind::Custom("visited".into())));
    }

    #[test]
    fn an_unknown_type_names_the_nearest_known_one() {
        let refusal = EventKind::parse("charge.payed").unwrap_err();
        assert_eq!(refusal.to_string(), "unknown type \"charge.payed\": did you mean \"charge.paid\"?");
        assert!(EventKind::parse("custom.").is_err());
    }

    fn reply(occurred_at: i64) -> Event {
        Event {
            key: EventKey { source: "inbox".into(), id: "1".into() },
            kind: EventKind::MessageReceived,
            occurred_at: Moment(occurred_at),
            contact: Some("ana".into()),
            target: None,
            channel: None,
            text: String::new(),
            automatic: false,
        }
    }

    #[test]
    fn what_a_provider_tells_may_be_older_than_what_others_do() {
        for (source, days) in [("inbox", 3), ("meta:wa", 8), ("twilio:sms", 8), ("metaphor:wa", 3)] {
            assert_eq!(memory(source), Span::days(days), "{source}");
        }
        let event = Event { text: " start ".into(), ..reply(0) };
        assert!(event.opts_in() && !reply(0).opts_in());
    }

    #[test]
    fn an_event_too_far_from_our_clock_is_refused_at_the_edge() {
        let now = Moment(1_000_000_000_000);
        let check = |at: Moment| reply(at.0).check(now);
        assert_eq!(check(now + limits::EVENT_AHEAD), Ok(()));
        assert_eq!(check(now + limits::EVENT_AHEAD + Span(1)), Err(Refusal::Ahead));
        assert_eq!(check(now - limits::EVENT_MEMORY), Ok(()));
        assert_eq!(
            check(now - limits::EVENT_MEMORY - Span(1)),
            Err(Refusal::TooOld { memory: limits::EVENT_MEMORY })
        );
    }

    #[test]
    fn an_event_without_its_subject_is_refused() {
        let mut event = reply(0);
        event.contact = None;
        assert!(matches!(event.check(Moment(0)), Err(Refusal::NoSubject { .. })));
        event.kind = EventKind::Target(TargetKind::Charge, Terminal::Goal);
        event.target = Some(TargetRef { kind: TargetKind::Deal, id: "d".into() });
        assert!(matches!(event.check(Moment(0)), Err(Refusal::NoSubject { .. })));
    }
}
