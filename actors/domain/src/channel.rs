//! Channels: one outbound sender each, with its kind, transport and pacing.

use serde::{Deserialize, Serialize};

use crate::holds::{Holds, Reacted};
use crate::ids::{AccountNo, ChannelNo};
use crate::ledger::Limits;
use crate::name::Name;
use crate::signal::{Counts, KillSwitch};
use crate::time::Moment;

mod preset;
mod transport;

pub use preset::Preset;
pub use transport::{
    Chatwoot, Http, Idempotency, Meta, SecretAt, SecretPlace, Security, Smtp, Transport, Twilio,
};

/// What kind of message a channel carries, and so which address of a contact it needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// WhatsApp, to a phone number.
    Whatsapp,
    /// SMS, to a phone number.
    Sms,
    /// E-mail.
    Email,
    /// A message in the platform's own inbox, to the contact's id.
    Conversation,
    /// An HTTP call to the tenant, about the contact's id.
    Webhook,
}

impl Kind {
    /// All of them.
    pub const ALL: [Kind; 5] = [Kind::Whatsapp, Kind::Sms, Kind::Email, Kind::Conversation, Kind::Webhook];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Kind::Whatsapp => "whatsapp",
            Kind::Sms => "sms",
            Kind::Email => "email",
            Kind::Conversation => "conversation",
            Kind::Webhook => "webhook",
        }
    }

    /// The kind of this word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.into_iter().find(|kind| kind.word() == word)
    }
}

/// A channel's settings and state: a scope that every intent through it expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its number within the tenant.
    pub no: ChannelNo,
    /// Its name.
    pub name: Name,
    /// What it carries.
    pub kind: Kind,
    /// How.
    pub transport: Transport,
    /// Its pace.
    pub limits: Limits,
    /// Whether the tenant's quiet hours do not apply; on by default for webhooks only.
    pub ignores_quiet_hours: bool,
    /// What keeps it from sending, now and before.
    pub holds: Holds,
    /// What its provider's words keep it from sending for.
    pub reacted: Option<Reacted>,
    /// What becomes of its sends that nobody knows the end of; `None`: what its transport can do.
    pub in_doubt: Option<InDoubt>,
    /// What holds it when it fares badly.
    pub kill_switches: Vec<KillSwitch>,
    /// Since when they look: what came before, a person has seen.
    pub watched_from: Moment,
    /// What was counted by then of the hour it lies in.
    pub counted_before: Counts,
    /// The account it belongs to.
    pub account: Option<AccountNo>,
}

impl Channel {
    /// Whether kill switches look at it.
    #[must_use]
    pub fn is_watched(&self) -> bool {
        !self.kill_switches.is_empty()
    }

    /// Whether a kill switch looks at its failures in a row.
    #[must_use]
    pub fn watches_a_row(&self) -> bool {
        self.kill_switches.iter().any(KillSwitch::is_of_a_row)
    }

    /// Whether a send that nobody knows the end of is called again, with the same key.
    #[must_use]
    pub fn calls_again(&self) -> bool {
        match self.in_doubt {
            Some(policy) => policy == InDoubt::Resend,
            None => self.transport.idempotency() == Idempotency::ByKey,
        }
    }
}

/// What becomes of sends that nobody knows the end of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum InDoubt {
    /// They stay uncertain until a receipt says more: at most once.
    Leave,
    /// They are called again with the same key: at least once, and once where the receiver knows keys.
    Resend,
}

impl InDoubt {
    /// All of them.
    pub const ALL: [InDoubt; 2] = [InDoubt::Leave, InDoubt::Resend];

    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            InDoubt::Leave => "leave",
            InDoubt::Resend => "resend",
        }
    }
}
