//! Admission: the check before a call is taken on. Mailboxes are unbounded, so what enters them is bounded here.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::api::Error;
use crate::limits;

/// Work that waits for its answer, of one node.
#[derive(Debug, Default)]
pub(crate) struct Admission {
    items: Arc<AtomicUsize>,
}

/// Waiting calls of one tenant.
#[derive(Clone, Debug, Default)]
pub(crate) struct Waiting(Arc<AtomicUsize>);

/// The room a call takes; given back when it is answered.
#[derive(Debug)]
pub(crate) struct Room {
    items: usize,
    of_node: Arc<AtomicUsize>,
    of_tenant: Waiting,
}

impl Waiting {
    /// Whether no call waits.
    pub(crate) fn is_empty(&self) -> bool {
        self.0.load(Ordering::Relaxed) == 0
    }
}

impl Admission {
    /// Takes on a call of `items` items, or refuses it with a time to come back.
    pub(crate) fn admit(&self, tenant: &Waiting, items: usize) -> Result<Room, Error> {
        let room = Room { items, of_node: Arc::clone(&self.items), of_tenant: tenant.clone() };
        let calls = tenant.0.fetch_add(1, Ordering::Relaxed);
        let waiting = self.items.fetch_add(items, Ordering::Relaxed);
        if calls >= limits::WAITING_A_TENANT || waiting + items > limits::WAITING_ITEMS {
            return Err(Error::Overloaded { retry_after: limits::COME_BACK });
        }
        Ok(room)
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        self.of_tenant.0.fetch_sub(1, Ordering::Relaxed);
        self.of_node.fetch_sub(self.items, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_over_the_bound_is_refused_and_room_is_given_back() {
        let (node, tenant) = (Admission::default(), Waiting::default());
        let rooms: Vec<_> = (0..limits::WAITING_A_TENANT).map(|_| node.admit(&tenant, 1).unwrap()).collect();
        assert!(matches!(node.admit(&tenant, 1), Err(Error::Overloaded { .. })));
        assert!(node.admit(&Waiting::default(), 1).is_ok(), "another tenant has room");
        drop(rooms);
        assert!(node.admit(&tenant, limits::WAITING_ITEMS).is_ok());
        assert!(node.admit(&tenant, limits::WAITING_ITEMS + 1).is_err());
    }
}
