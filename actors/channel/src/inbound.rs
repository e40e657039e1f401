//! What providers tell us by webhook: whether a request is theirs, and what its body says. Pure: bytes in, facts out;
//! what follows from a fact, and whether it came before, is decided elsewhere.

use std::fmt;

use followupd_domain::Moment;

pub mod meta;
mod sign;
pub mod twilio;

/// One thing that a provider told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Inbound {
    /// What became of a message of ours.
    Receipt(Receipt),
    /// A contact said something.
    Said(Said),
    /// A contact told the provider whether to be written to.
    Choice(Choice),
    /// An approved template fares otherwise than before.
    Template(Template),
    /// A part of the body that is not as its provider describes it; what stands beside it is not lost for it.
    Unread(Wrong),
}

/// What became of a message of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The send's key, where it came back; nothing for a message that somebody else sent from this sender.
    pub key: Option<String>,
    /// The provider's id of the message.
    pub id: String,
    /// How far it got.
    pub status: Status,
    /// When, by the provider's clock; where it does not say, when we were told.
    pub at: Moment,
    /// Why it failed, as the provider's code.
    pub code: Option<String>,
    /// The contact's address, as the provider writes it.
    pub contact: Option<String>,
    /// The sender's identity at the provider: a phone-number id, a number.
    pub sender: Option<String>,
}

/// How far a message got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// It left the provider.
    Sent,
    /// It is on the contact's device.
    Delivered,
    /// The contact saw it.
    Read,
    /// It will not get there.
    Failed,
}

/// A message of a contact's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// The contact's address, as the provider writes it.
    pub contact: String,
    /// The sender's identity it came to.
    pub sender: String,
    /// The provider's id of the message, the same each time it is told.
    pub id: String,
    /// What was said, if it was in words: a text, a caption, the title of a button.
    pub text: Option<String>,
    /// What stands behind the button that was pressed, if it was one.
    pub button: Option<String>,
    /// The provider's id of our message that it answers, where it says so.
    pub answers: Option<String>,
    /// When, by the provider's clock; where it does not say, when we were told.
    pub at: Moment,
}

/// Whether a contact wants to be written to, as the provider was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// The contact's address, as the provider writes it.
    pub contact: String,
    /// The sender's identity it is about.
    pub sender: String,
    /// What tells it from another, the same each time it is told.
    pub id: String,
    /// What the contact wants.
    pub wants: Wants,
    /// When, by the provider's clock; where it does not say, when we were told.
    pub at: Moment,
}

/// What a contact wants of a sender.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wants {
    /// No more messages.
    Out,
    /// Messages again.
    In,
}

/// How an approved template fares.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    /// Its name.
    pub name: String,
    /// Its language, as templates are sent in: `pt_BR`.
    pub language: String,
    /// Whether it may be sent.
    pub may: May,
}

/// Whether something may be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum May {
    /// It may.
    Now,
    /// It may again after some hours, of which the provider tells.
    Later,
    /// It may not, until somebody has done something about it.
    Not,
}

/// A part of a request that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Wrong {
    /// Which, like `entry[0].changes[1].value.statuses[0].id`.
    pub at: String,
    /// What would be right.
    pub right: &'static str,
}

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.right)
    }
}

/// Why a request is not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Error {
    /// It has no signature, or none that could be one: what would be right.
    Unsigned(Wrong),
    /// Somebody else signed it, or another request, or asks in the provider's name.
    Forged,
    /// It cannot be read: the first thing that is wrong.
    Body(Wrong),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Error::Unsigned(wrong) | Error::Body(wrong) => wrong.fmt(f),
            Error::Forged => f.write_str("signature or token: one of a secret that this endpoint has"),
        }
    }
}

impl std::error::Error for Error {}

/// Nothing is read of a body that is longer than providers make them.
fn sized(body: &[u8], (most, right): (usize, &'static str)) -> Result<(), Error> {
    if body.len() <= most { Ok(()) } else { Err(Error::Body(Wrong { at: "body".to_owned(), right })) }
}
