//! How messages leave. A [`Transport`] makes one call and says what came of it; it decides nothing.
//!
//! When to call, whether to call again and what an answer means for the enrollment is the core's business.

use std::time::Duration;

use followupd_domain::channel::Kind;
use followupd_domain::decision::TraceId;
use followupd_domain::name::Name;
use followupd_domain::reaction::Reaction;
use followupd_domain::render::Message;
use followupd_domain::{Moment, SendId};
use futures::future::BoxFuture;
use tokio::sync::OwnedSemaphorePermit;

mod back_off;
pub mod chatwoot;
pub mod content;
pub mod http;
mod idle;
pub mod inbound;
pub mod limits;
pub mod outbox;
mod places;
pub mod problem;
pub mod resolve;
pub mod seal;
pub mod secret;
pub mod smtp;
pub mod tls;
pub mod transports;
pub mod twilio;
pub mod webhook;
pub mod whatsapp;

/// One call to make.
#[derive(Clone, Debug)]
pub struct Call {
    /// Whose send it is.
    pub send: SendId,
    /// The send's checked text: idempotency key, callback data, Message-ID.
    pub key: String,
    /// Of which tenant.
    pub tenant: Name,
    /// Through which channel.
    pub channel: Name,
    /// What the channel carries.
    pub kind: Kind,
    /// To where.
    pub address: String,
    /// The platform's id of the contact.
    pub contact: String,
    /// What.
    pub message: Message,
    /// On whose behalf.
    pub trace: TraceId,
    /// When it is called.
    pub at: Moment,
    /// Whether it may have been called before.
    pub again: bool,
}

/// What came of a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The provider took it.
    Accepted,
    /// The provider surely did not take it.
    Refused {
        /// What it said, as a short code.
        code: String,
        /// What follows.
        reaction: Reaction,
    },
    /// Nothing of it left this machine: what is called cannot be reached, or rests.
    Unsent {
        /// Why, as a short code.
        code: String,
    },
    /// It may have been taken or not.
    Uncertain,
}

impl Answer {
    /// A no, with its short code and what follows.
    #[must_use]
    pub fn refused(code: impl Into<String>, reaction: Reaction) -> Answer {
        Answer::Refused { code: code.into(), reaction }
    }

    /// Nothing left, for this reason.
    #[must_use]
    pub fn unsent(code: impl Into<String>) -> Answer {
        Answer::Unsent { code: code.into() }
    }
}

/// There is no place to call from for so long: the host rests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest(pub Duration);

/// A place to make one call from: a connection, a thread. It is held until the call has ended.
#[derive(Debug, Default)]
pub struct Slot {
    _place: Option<OwnedSemaphorePermit>,
}

/// A way out.
pub trait Transport: Send + Sync + 'static {
    /// Waits for a place to make one call from. It is taken before the decision to send is written down, so that
    /// nothing waits between that and the call. A few places are kept for calls that are `urgent`.
    ///
    /// # Errors
    /// A [`Rest`], while the host has one.
    fn slot(&self, urgent: bool) -> BoxFuture<'_, Result<Slot, Rest>> {
        let _ = urgent;
        Box::pin(async { Ok(Slot::default()) })
    }

    /// How many places there are for one lane: who looks at more than can be called keeps others waiting for nothing.
    fn places(&self) -> usize {
        usize::MAX
    }

    /// As how many a message counts for the channel's rate: an SMS as its segments.
    fn counts(&self, message: &Message) -> u32 {
        let _ = message;
        1
    }

    /// Makes one call. It ends by itself within the transport's own time-outs and is never dropped half-way.
    fn call(&self, call: Call, slot: Slot) -> BoxFuture<'_, Answer>;
}
