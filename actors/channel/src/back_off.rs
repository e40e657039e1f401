//! The rest a host gets after it failed: it doubles with each failure, until a call that began after it succeeds.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

use crate::limits;

/// How one host did lately.
#[derive(Debug)]
pub(crate) struct BackOff {
    host: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    failures: u32,
    stumbles: u32,
    until: Option<Instant>,
}

impl BackOff {
    /// Of a host by this name, which has not failed.
    pub(crate) fn new(host: String) -> BackOff {
        BackOff { host, state: Mutex::default() }
    }

    /// How long it rests from now on, if it does.
    pub(crate) fn rests(&self) -> Option<Duration> {
        let rest = self.lock().until?.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(rest)
    }

    /// It asked for a rest of so long itself; no more than [`limits::ASKED_REST_MOST`] of it are taken.
    pub(crate) fn asked(&self, span: Duration) {
        let (mut state, until) = (self.lock(), Instant::now() + span.min(limits::ASKED_REST_MOST));
        state.until = Some(state.until.map_or(until, |known| known.max(until)));
    }

    /// It failed. Calls that were under way together count as one failure.
    pub(crate) fn failed(&self) {
        let (mut state, now) = (self.lock(), Instant::now());
        if state.until.is_some_and(|until| now < until) {
            return;
        }
        let rest =
            limits::BACK_OFF_LEAST.saturating_mul(1u32.checked_shl(state.failures).unwrap_or(u32::MAX));
        state.until = Some(now + rest.min(limits::BACK_OFF_MOST));
        if state.failures == 0 {
            tracing::warn!(
                host = self.host,
                "calls fail: the host rests, and is tried again for longer and longer"
            );
        }
        state.failures = state.failures.saturating_add(1);
    }

    /// It did not answer one call: several in a row, and it has failed.
    pub(crate) fn stumbled(&self) {
        let mut state = self.lock();
        state.stumbles = state.stumbles.saturating_add(1);
        let failed = state.stumbles >= limits::STUMBLES;
        drop(state);
        if failed {
            self.failed();
        }
    }

    /// It answered as it should. While it rests no call begins: one that ends well then had begun before, and ends no rest.
    pub(crate) fn worked(&self) {
        let mut state = self.lock();
        if state.until.is_some_and(|until| Instant::now() < until) {
            return;
        }
        let before = std::mem::take(&mut *state);
        if before.failures > 0 {
            tracing::info!(host = self.host, "the host answers again");
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_rest_doubles_up_to_its_most_until_a_call_behind_it_succeeds() {
        let host = BackOff::new(String::new());
        assert!(host.rests().is_none());
        for seconds in [5, 10, 20, 40, 80, 160, 300, 300] {
            host.failed();
            host.failed();
            tokio::time::advance(Duration::from_secs(seconds) - Duration::from_millis(1)).await;
            assert!(host.rests().is_some(), "{seconds} s");
            tokio::time::advance(Duration::from_millis(1)).await;
            assert!(host.rests().is_none(), "{seconds} s");
        }
        host.failed();
        host.worked();
        assert!(host.rests().is_some(), "that call had begun before it failed");
        tokio::time::advance(limits::BACK_OFF_MOST).await;
        host.worked();
        assert!(host.rests().is_none());
        host.failed();
        tokio::time::advance(limits::BACK_OFF_LEAST).await;
        assert!(host.rests().is_none());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_stumbles_rests_only_after_several_in_a_row() {
        let host = BackOff::new(String::new());
        for _ in 0..3 {
            (1..limits::STUMBLES).for_each(|_| host.stumbled());
            assert!(host.rests().is_none());
            host.worked();
        }
        (0..limits::STUMBLES).for_each(|_| host.stumbled());
        assert!(host.rests().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_fails_for_ever_is_not_forgotten() {
        let host = BackOff::new(String::new());
        for _ in 0..100 {
            host.failed();
            tokio::time::advance(limits::BACK_OFF_MOST).await;
        }
        host.failed();
        assert!(host.rests().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn a_host_that_asks_for_a_rest_gets_it_up_to_a_bound() {
        let host = BackOff::new(String::new());
        host.asked(Duration::from_secs(90));
        host.asked(Duration::from_secs(30));
        assert_eq!(host.rests(), Some(Duration::from_secs(90)));
        host.asked(Duration::from_secs(u64::from(u32::MAX)));
        assert_eq!(host.rests(), Some(limits::ASKED_REST_MOST));
    }
}
