//! What the outside sees of the embedded store: its state, its disk, how often it had to be opened again.

use std::path::Path;
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use crate::commit::Class;
use crate::limits;

/// Whether the store takes writes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum State {
    /// It does.
    Ready,
    /// It failed, for this reason, and is being opened again.
    Reopening(String),
    /// It was closed.
    Closed,
}

/// How much room the disk has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(u8)]
pub enum Disk {
    /// Enough.
    Roomy = 0,
    /// Too little for new work: events and enrolls are refused.
    Low = 1,
    /// Only what ends or settles is written.
    Critical = 2,
}

/// How the store is.
#[derive(Clone, Debug)]
pub struct Health {
    /// Whether it takes writes.
    pub state: State,
    /// Since when.
    pub since: Instant,
    /// How often it was opened again after a failure.
    pub reopened: u64,
    /// How much room the disk has.
    pub disk: Disk,
    /// Free bytes at the last look; `None` when the look failed.
    pub free_bytes: Option<u64>,
}

/// Keeps [`Health`].
#[derive(Debug)]
pub(super) struct Monitor {
    health: Mutex<Health>,
    /// [`Disk`] as a number, read by every commit.
    disk: AtomicU8,
}

impl Monitor {
    pub(super) fn new() -> Self {
        let health = Health {
            state: State::Ready,
            since: Instant::now(),
            reopened: 0,
            disk: Disk::Roomy,
            free_bytes: None,
        };
        Monitor { health: Mutex::new(health), disk: AtomicU8::new(Disk::Roomy as u8) }
    }

    fn lock(&self) -> MutexGuard<'_, Health> {
        self.health.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn read(&self) -> Health {
        self.lock().clone()
    }

    pub(super) fn set(&self, state: State) {
        let mut health = self.lock();
        if state == State::Ready {
            health.reopened += 1;
        }
        health.state = state;
        health.since = Instant::now();
    }

    /// Whether the disk is too full for a commit of this class.
    pub(super) fn refuses(&self, class: Class) -> bool {
        let disk = self.disk.load(Ordering::Relaxed);
        match class {
            Class::Exit | Class::Outcome => false,
            Class::Intent => disk >= Disk::Critical as u8,
            Class::Event | Class::Enroll => disk >= Disk::Low as u8,
        }
    }

    /// Looks at the disk under `path`.
    pub(super) fn look(&self, path: &Path, free_bytes_min: u64) {
        let free_bytes =
            rustix::fs::statvfs(path).map(|disk| disk.f_bavail.saturating_mul(disk.f_frsize)).ok();
        let disk = free_bytes.map_or(Disk::Roomy, |free| judge(free, free_bytes_min));
        let mut health = self.lock();
        if disk != health.disk {
            tracing::warn!(?disk, free_bytes, free_bytes_min, "the room on the store's disk has changed");
        }
        health.disk = disk;
        health.free_bytes = free_bytes;
        self.disk.store(disk as u8, Ordering::Relaxed);
    }
}

fn judge(free_bytes: u64, free_bytes_min: u64) -> Disk {
    if free_bytes >= free_bytes_min {
        Disk::Roomy
    } else if free_bytes >= free_bytes_min / limits::FREE_CRITICAL_SHARE {
        Disk::Low
    } else {
        Disk::Critical
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filling_disk_refuses_enrolls_first_and_exits_never() {
        assert_eq!(
            [judge(100, 100), judge(99, 100), judge(49, 100)],
            [Disk::Roomy, Disk::Low, Disk::Critical]
        );
        let monitor = Monitor::new();
        let refused = |disk: Disk| {
            monitor.disk.store(disk as u8, Ordering::Relaxed);
            Class::ALL.into_iter().filter(|class| monitor.refuses(*class)).collect::<Vec<_>>()
        };
        assert_eq!(refused(Disk::Roomy), []);
        assert_eq!(refused(Disk::Low), [Class::Event, Class::Enroll]);
        assert_eq!(refused(Disk::Critical), [Class::Intent, Class::Event, Class::Enroll]);
    }

    #[test]
    fn the_free_bytes_of_a_real_disk_are_seen() {
        let monitor = Monitor::new();
        monitor.look(Path::new("/"), u64::MAX);
        assert!(monitor.read().free_bytes.is_some_and(|free| free > 0));
        assert_eq!(monitor.read().disk, Disk::Critical);
    }
}
