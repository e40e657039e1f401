//! Places to make a call from: as many as a sender has connections, and none while its host rests.
//!
//! A few are kept for calls that are urgent, so that what somebody waits for does not stand behind slow calls that
//! nobody does.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::back_off::BackOff;
use crate::{Rest, Slot, limits};

/// What a call showed of its host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Health {
    /// It answered as a host does that is well.
    Works,
    /// It failed.
    Fails,
    /// It left this call without an answer.
    Stumbles,
    /// It asked for a rest of so long.
    Asks(Duration),
}

/// The places of one sender.
#[derive(Debug)]
pub(crate) struct Places {
    /// Those that any call may take.
    common: Arc<Semaphore>,
    /// Those that urgent calls alone may take.
    kept: Arc<Semaphore>,
    count: usize,
    back_off: BackOff,
}

impl Places {
    /// So many of them, to a host by this name.
    pub(crate) fn new(host: impl Into<String>, count: usize) -> Places {
        // Where there is but one nothing can be kept.
        let kept = if count > 1 { (count / limits::URGENT_PART).max(1) } else { 0 };
        let (common, kept) = (Arc::new(Semaphore::new(count - kept)), Arc::new(Semaphore::new(kept)));
        Places { common, kept, count, back_off: BackOff::new(host.into()) }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// Waits for one.
    pub(crate) async fn slot(&self, urgent: bool) -> Result<Slot, Rest> {
        self.opens()?;
        let common = Arc::clone(&self.common).acquire_owned();
        let place = if urgent {
            tokio::select! {
                biased;
                kept = Arc::clone(&self.kept).acquire_owned() => kept,
                common = common => common,
            }
        } else {
            common.await
        };
        // What freed the place may have failed.
        self.opens()?;
        // Neither is ever closed.
        Ok(Slot { _place: place.ok() })
    }

    fn opens(&self) -> Result<(), Rest> {
        self.rests().map_or(Ok(()), Err)
    }

    /// How long the host rests from now on, if it does.
    pub(crate) fn rests(&self) -> Option<Rest> {
        self.back_off.rests().map(Rest)
    }

    /// Learns from a call.
    pub(crate) fn learn(&self, host: Health) {
        match host {
            Health::Works => self.back_off.worked(),
            Health::Fails => self.back_off.failed(),
            Health::Stumbles => self.back_off.stumbled(),
            Health::Asks(span) => self.back_off.asked(span),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_urgent_call_has_a_place_while_all_others_have_slow_ones() {
        for (count, kept) in [(1, 0), (2, 1), (8, 1), (64, 8)] {
            let places = Places::new("host", count);
            let mut slow = Vec::new();
            while let Ok(slot) = tokio::time::timeout(Duration::from_secs(1), places.slot(false)).await {
                slow.push(slot.unwrap());
            }
            assert_eq!(slow.len(), count - kept, "{count}");
            let urgent = tokio::time::timeout(Duration::from_secs(1), places.slot(true)).await;
            assert_eq!(urgent.is_ok(), kept > 0, "{count}");
            // The next place that is free is not for who waits already and is not urgent.
            let (waits, free) = (places.slot(false), slow.pop());
            let mut waits = std::pin::pin!(waits);
            assert!(futures::poll!(waits.as_mut()).is_pending());
            drop(urgent);
            let urgent = tokio::time::timeout(Duration::from_secs(1), places.slot(true)).await;
            assert_eq!(urgent.is_ok(), kept > 0, "{count}");
            drop(free);
            assert!(futures::poll!(waits).is_ready());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn there_are_so_many_and_none_while_the_host_rests() {
        let places = Places::new("host", 2);
        let (first, _second) = (places.slot(false).await.unwrap(), places.slot(true).await.unwrap());
        assert!(tokio::time::timeout(Duration::from_secs(1), places.slot(true)).await.is_err());
        drop(first);
        drop(places.slot(false).await.unwrap());
        places.learn(Health::Asks(Duration::from_secs(7)));
        assert_eq!(places.slot(false).await.unwrap_err(), Rest(Duration::from_secs(7)));
        tokio::time::advance(Duration::from_secs(7)).await;
        drop(places.slot(false).await.unwrap());
        places.learn(Health::Fails);
        places.learn(Health::Works);
        assert!(places.rests().is_some(), "what ends well had begun before");
        tokio::time::advance(limits::BACK_OFF_LEAST).await;
        assert_eq!(places.rests(), None);
    }
}
