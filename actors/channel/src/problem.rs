//! What is wrong with settings, all of it at once.

use std::fmt;
use std::time::Duration;

use crate::limits;

/// A setting that cannot be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which.
    pub field: &'static str,
    /// What would be right.
    pub right: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.right)
    }
}

/// The problems found so far.
#[derive(Debug, Default)]
pub(crate) struct Problems(Vec<Problem>);

impl Problems {
    /// Notes what would be right for `field`, unless it is.
    pub(crate) fn unless(&mut self, is_right: bool, field: &'static str, right: impl Into<String>) {
        if !is_right {
            self.0.push(Problem { field, right: right.into() });
        }
    }

    /// A time-out within what is sensible.
    pub(crate) fn time_out(&mut self, field: &'static str, value: Duration) {
        let (least, most) = (limits::TIME_OUT_LEAST, limits::TIME_OUT_MOST);
        let right = format!("from {} ms to {} s", least.as_millis(), most.as_secs());
        self.unless((least..=most).contains(&value), field, right);
    }

    /// As many connections as one sender may have.
    pub(crate) fn connections(&mut self, value: usize) {
        let range = limits::CONNECTIONS;
        let right = format!("from {} to {}", range.start(), range.end());
        self.unless(range.contains(&value), "connections", right);
    }

    /// All of them, or none.
    pub(crate) fn end(self) -> Result<(), Vec<Problem>> {
        if self.0.is_empty() { Ok(()) } else { Err(self.0) }
    }
}
