//! Requests over HTTP as every provider wants them: posted over a connection that is kept, to an address that was
//! checked, in bounded time, with a bounded answer. What is posted and what an answer means is each provider's.

mod exchange;
mod guard;
mod line;
mod post;
mod reach;
#[cfg(test)]
pub(crate) mod testing;
mod verdict;
mod way;

use std::time::Duration;

use bytes::Bytes;

pub use guard::{Network, NoNetwork};
pub(crate) use line::Line;
pub(crate) use post::{FORM, JSON, Post};
pub use reach::Reach;
pub(crate) use reach::{base, target};
pub(crate) use verdict::{Reading, Verdict, verdict};
pub(crate) use way::{Provider, Way};

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ending {
    /// No byte of it left: why, in a word.
    NotSent(&'static str),
    /// It was answered with this status, and perhaps with how long to wait.
    Status(u16, Option<Duration>),
    /// It left, wholly or in part, and no answer came.
    Unanswered,
}

/// What came of a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Said {
    pub(crate) ending: Ending,
    /// The answer's body; nothing where it broke off, was too long or took too long.
    pub(crate) body: Option<Bytes>,
}

impl Said {
    /// An ending without a body.
    pub(crate) fn bare(ending: Ending) -> Said {
        Said { ending, body: None }
    }
}
