//! Places to make a call from: as many as a sender has connections, and none while its host rests.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;

use crate::back_off::BackOff;
use crate::{Rest, Slot};

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
    places: Arc<Semaphore>,
    back_off: BackOff,
}

impl Places {
    /// So many of them.
    pub(crate) fn new(count: usize) -> Places {
        Places { places: Arc::new(Semaphore::new(count)), back_off: BackOff::default() }
    }

    /// Waits for one.
    pub(crate) async fn slot(&self) -> Result<Slot, Rest> {
        if let Some(rest) = self.rests() {
            return Err(rest);
        }
        Ok(Arc::clone(&self.places).acquire_owned().await.map(Slot::from).unwrap_or_default())
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
    async fn there_are_so_many_and_none_while_the_host_rests() {
        let places = Places::new(2);
        let (first, _second) = (places.slot().await.unwrap(), places.slot().await.unwrap());
        assert!(tokio::time::timeout(Duration::from_secs(1), places.slot()).await.is_err());
        drop(first);
        drop(places.slot().await.unwrap());
        places.learn(Health::Asks(Duration::from_secs(7)));
        assert_eq!(places.slot().await.unwrap_err(), Rest(Duration::from_secs(7)));
        tokio::time::advance(Duration::from_secs(7)).await;
        drop(places.slot().await.unwrap());
        places.learn(Health::Fails);
        assert!(places.rests().is_some());
        places.learn(Health::Works);
        assert_eq!(places.rests(), None);
    }
}
