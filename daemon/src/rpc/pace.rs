//! How often each access key may call: governor keeps one state a key, and says when the next call is due.

use std::num::NonZeroU32;
use std::time::Duration;

use followupd_domain::name::Name;
use governor::clock::{Clock, DefaultClock};
use governor::{DefaultKeyedRateLimiter, Quota, RateLimiter};

use crate::limits;

/// One state a key.
#[derive(Debug)]
pub(crate) struct Pace {
    keys: DefaultKeyedRateLimiter<Name>,
    clock: DefaultClock,
}

impl Pace {
    /// So many calls a second for each key, and as many at once.
    pub(crate) fn new(calls: NonZeroU32) -> Pace {
        Pace { keys: RateLimiter::keyed(Quota::per_second(calls)), clock: DefaultClock::default() }
    }

    /// Counts a call of this key.
    ///
    /// # Errors
    /// It is one too many: when it would not be.
    pub(crate) fn take(&self, key: &Name) -> Result<(), Duration> {
        if self.keys.len() > limits::PACED_KEYS {
            self.keys.retain_recent();
        }
        self.keys.check_key(key).map_err(|early| early.wait_time_from(self.clock.now()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_own_pace_and_is_told_when_to_come_back() {
        let pace = Pace::new(NonZeroU32::new(2).unwrap());
        let (one, other) = (Name::parse("one").unwrap(), Name::parse("other").unwrap());
        assert!(pace.take(&one).is_ok() && pace.take(&one).is_ok());
        let wait = pace.take(&one).unwrap_err();
        assert!(wait > Duration::ZERO && wait <= Duration::from_millis(500), "{wait:?}");
        assert!(pace.take(&other).is_ok());
    }
}
