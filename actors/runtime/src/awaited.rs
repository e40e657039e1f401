//! Who is to look at its rows by when: how far the tree is behind with looking, as one figure that costs no read.
//!
//! A lane that has due rows and no limit in its way looks at them when its timer says so, and a shard starts its
//! lanes by a timer too. Each notes here when that is; one that has not looked long after is stuck, or the process
//! is. A backlog that only waits for its limits is not behind: its lane has set a timer for its next permit.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use followupd_domain::Span;

/// When each is to look, in steady time: the wall may jump.
#[derive(Clone, Debug, Default)]
pub(crate) struct Awaited(Arc<Mutex<Table>>);

#[derive(Debug, Default)]
struct Table {
    next: u64,
    at: BTreeMap<u64, Span>,
}

/// One that looks; it is awaited no more when this is dropped.
#[derive(Debug)]
pub(crate) struct Looker {
    awaited: Awaited,
    no: u64,
}

impl Awaited {
    fn table(&self) -> MutexGuard<'_, Table> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more that looks; nothing is awaited of it yet.
    pub(crate) fn looker(&self) -> Looker {
        let mut table = self.table();
        table.next += 1;
        Looker { awaited: self.clone(), no: table.next }
    }

    /// How long the one that is most behind should have looked; zero when none is.
    pub(crate) fn behind(&self, steady: Span) -> Span {
        let earliest = self.table().at.values().min().copied();
        earliest.map_or(Span::ZERO, |at| Span((steady.0 - at.0).max(0)))
    }
}

impl Looker {
    /// It is to look by this moment of steady time.
    pub(crate) fn by(&self, at: Span) {
        self.awaited.table().at.insert(self.no, at);
    }

    /// It waits for something else than time.
    pub(crate) fn not(&self) {
        self.awaited.table().at.remove(&self.no);
    }
}

impl Drop for Looker {
    fn drop(&mut self) {
        self.not();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_one_most_behind_counts_until_it_looks_or_ends() {
        let awaited = Awaited::default();
        let (one, other) = (awaited.looker(), awaited.looker());
        assert_eq!(awaited.behind(Span(1_000)), Span::ZERO);
        one.by(Span(400));
        other.by(Span(700));
        assert_eq!(awaited.behind(Span(300)), Span::ZERO);
        assert_eq!(awaited.behind(Span(1_000)), Span(600));
        one.by(Span(2_000));
        assert_eq!(awaited.behind(Span(1_000)), Span(300));
        other.not();
        assert_eq!(awaited.behind(Span(1_000)), Span::ZERO);
        drop(one);
        assert_eq!(awaited.behind(Span(9_000)), Span::ZERO);
    }
}
