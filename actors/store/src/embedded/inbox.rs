//! The bounded way from async callers to the committer thread.
//!
//! Each class has room of its own: a caller waits while its class is full, and a queue full of enrolls keeps no
//! exit out. A caller that goes away leaves its commit behind; it is written and nobody hears of it.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::Closed;
use crate::commit::{Class, Commit, Refused};
use crate::committer::queue::Room;
use crate::committer::{Queue, Verdict, Waiting};
use crate::limits;

/// Bytes that one permit stands for; a semaphore counts in 32 bits.
const PERMIT_BYTES: usize = 1_024;

const _: () = assert!(limits::QUEUE_COMMIT_BYTES >= PERMIT_BYTES);

/// A commit that waits, and who waits for it.
#[derive(Debug)]
pub(super) struct Ticket {
    commit: Commit,
    answer: oneshot::Sender<Verdict>,
    _room: OwnedSemaphorePermit,
}

impl Ticket {
    /// Tells the caller, if it is still there.
    pub(super) fn answer(self, verdict: Verdict) {
        // A caller that went away does not want to know.
        let _ = self.answer.send(verdict);
    }
}

impl Waiting for Ticket {
    fn commit(&self) -> &Commit {
        &self.commit
    }
}

/// What the committer thread finds when it looks for work.
#[derive(Debug)]
pub(super) enum Work {
    /// A group, in the order in which it is to be applied.
    Group(Vec<Ticket>),
    /// Nothing came for a while.
    Quiet,
    /// Nothing waits and nothing will come.
    Over,
}

#[derive(Debug, Default)]
struct Waiters {
    queue: Queue<Ticket>,
    closed: Option<Closed>,
}

/// The waiting commits and their bounds.
#[derive(Debug)]
pub(super) struct Inbox {
    waiters: Mutex<Waiters>,
    changed: Condvar,
    room: [Arc<Semaphore>; Class::ALL.len()],
}

impl Inbox {
    pub(super) fn new() -> Self {
        Inbox {
            waiters: Mutex::default(),
            changed: Condvar::new(),
            room: Class::ALL.map(|_| Arc::new(Semaphore::new(limits::QUEUE_BYTES / PERMIT_BYTES))),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Waiters> {
        self.waiters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Why commits are refused, if they are.
    pub(super) fn closed(&self) -> Option<Closed> {
        self.lock().closed
    }

    /// Lets a commit wait for its group and for what becomes of it.
    pub(super) async fn submit(&self, commit: Commit) -> Verdict {
        let permits = commit.bytes().max(limits::QUEUE_COMMIT_BYTES).div_ceil(PERMIT_BYTES);
        let permits = u32::try_from(permits).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room[commit.class as usize]);
        let room = room.acquire_many_owned(permits).await.map_err(|_| Closed::Stopped)?;
        let (answer, verdict) = oneshot::channel();
        {
            let mut waiters = self.lock();
            if let Some(closed) = waiters.closed {
                return Err(closed.into());
            }
            waiters.queue.push(Ticket { commit, answer, _room: room });
        }
        self.changed.notify_one();
        // An answer that never comes means that the committer died with the group in hand.
        verdict.await.unwrap_or(Err(Refused::Unknown))
    }

    /// Lets commits gather for a moment, unless many wait already.
    pub(super) fn gather(&self) {
        let waiters = self.lock();
        if waiters.queue.len() < limits::GATHERED && waiters.closed.is_none() {
            drop(waiters);
            std::thread::sleep(limits::GATHER);
        }
    }

    /// The next group; waits for one at most `patience`.
    pub(super) fn next(&self, patience: Duration) -> Work {
        let (mut waiters, _) = self
            .changed
            .wait_timeout_while(self.lock(), patience, |waiters| {
                waiters.queue.is_empty() && waiters.closed.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if !waiters.queue.is_empty() {
            Work::Group(waiters.queue.take(Room::FULL))
        } else if waiters.closed.is_some() {
            Work::Over
        } else {
            Work::Quiet
        }
    }

    /// Refuses everything that waits and everything that comes, until [`Inbox::accept`]. That it was closed before is
    /// the better reason.
    pub(super) fn refuse(&self, why: Closed) {
        let mut waiters = self.lock();
        let why = *waiters.closed.get_or_insert(why);
        let refused = waiters.queue.drain();
        drop(waiters);
        for ticket in refused {
            ticket.answer(Err(why.into()));
        }
    }

    /// Takes commits again, unless the end has come.
    pub(super) fn accept(&self) {
        let mut waiters = self.lock();
        if waiters.closed != Some(Closed::Stopped) {
            waiters.closed = None;
        }
    }

    /// Takes no more commits; those that wait are still handed out.
    pub(super) fn close(&self) {
        self.lock().closed = Some(Closed::Stopped);
        self.changed.notify_all();
    }

    /// Sleeps, and says whether the end came meanwhile.
    pub(super) fn sleep(&self, span: Duration) -> bool {
        let until = Instant::now() + span;
        let mut waiters = self.lock();
        loop {
            if waiters.closed == Some(Closed::Stopped) {
                return true;
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            waiters = self.changed.wait_timeout(waiters, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
