//! The rest a host gets after it failed: it doubles with each failure, and the first success ends it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::limits;

/// How one host did lately.
#[derive(Debug, Default)]
pub(super) struct BackOff(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    failures: u32,
    until: Option<Instant>,
}

impl BackOff {
    /// Whether it rests now.
    pub(super) fn rests(&self) -> bool {
        self.lock().until.is_some_and(|until| Instant::now() < until)
    }

    /// It failed. Calls that were under way together count as one failure.
    pub(super) fn failed(&self) {
        let (mut state, now) = (self.lock(), Instant::now());
        if state.until.is_some_and(|until| now < until) {
            return;
        }
        let rest =
            limits::BACK_OFF_LEAST.saturating_mul(1u32.checked_shl(state.failures).unwrap_or(u32::MAX));
        state.until = Some(now + rest.min(limits::BACK_OFF_MOST));
        state.failures = state.failures.saturating_add(1);
    }

    /// It answered as it should.
    pub(super) fn worked(&self) {
        *self.lock() = State::default();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn the_rest_doubles_up_to_its_most_and_a_success_ends_it() {
        let host = BackOff::default();
        assert!(!host.rests());
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            host.failed();
            host.failed();
            tokio::time::advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert!(host.rests(), "{seconds} s");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(!host.rests(), "{seconds} s");
        }
        host.failed();
        host.worked();
        assert!(!host.rests());
        host.failed();
        tokio::time::advance(limits::BACK_OFF_LEAST).await;
        assert!(!host.rests());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_fails_for_ever_is_not_forgotten() {
        let host = BackOff::default();
        for _ in 0..100 {
            host.failed();
            tokio::time::advance(limits::BACK_OFF_MOST).await;
        }
        host.failed();
        assert!(host.rests());
    }
}
