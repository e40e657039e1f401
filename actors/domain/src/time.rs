//! Moments and spans: the two ways the engine counts time, both in whole milliseconds.
//!
//! A [`Moment`] is a UTC instant; a [`Span`] a length of time. What a moment means on a calendar lives in
//! [`crate::calendar`].

use serde::{Deserialize, Serialize};
use std::ops::{Add, Sub};

/// A UTC instant, in milliseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Moment(pub i64);

/// A length of time in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Span(pub i64);

impl Moment {
    /// Later than every moment the engine works with.
    pub const FAR: Moment = Moment(i64::MAX / 4);

    /// The span from `earlier` to this moment, zero if it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Moment) -> Span {
        Span((self.0 - earlier.0).max(0))
    }
}

impl Span {
    /// No time at all.
    pub const ZERO: Span = Span(0);

    /// A span of whole seconds.
    #[must_use]
    pub const fn seconds(n: i64) -> Span {
        Span(n * 1_000)
    }

    /// A span of whole minutes.
    #[must_use]
    pub const fn minutes(n: i64) -> Span {
        Span(n * 60_000)
    }

    /// A span of whole hours.
    #[must_use]
    pub const fn hours(n: i64) -> Span {
        Span(n * 3_600_000)
    }

    /// A span of days of 24 hours; calendar days are [`crate::calendar`]'s.
    #[must_use]
    pub const fn days(n: i64) -> Span {
        Span(n * 86_400_000)
    }
}

impl Add<Span> for Moment {
    type Output = Moment;
    fn add(self, span: Span) -> Moment {
        Moment(self.0.saturating_add(span.0))
    }
}

impl Sub<Span> for Moment {
    type Output = Moment;
    fn sub(self, span: Span) -> Moment {
        Moment(self.0.saturating_sub(span.0))
    }
}

impl Add for Span {
    type Output = Span;
    fn add(self, other: Span) -> Span {
        Span(self.0.saturating_add(other.0))
    }
}
