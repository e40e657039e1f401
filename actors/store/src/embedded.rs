//! The default store: fjall on the local disk, one committer thread, groups that share a sync.
//!
//! What lives where: `inbox` is the bounded way from async callers to the committer thread, `writer` that
//! thread, `reader` the threads that read, `database` the only file that knows fjall's API, `journal` the only one
//! that knows its journal, `health` what the outside sees of all this. Which commits make a group and what they come
//! down to is `crate::committer`'s.
//!
//! A failed write poisons fjall for good, so the writer answers what it must, closes the database, opens it again
//! with growing pauses and goes on; until then reads and commits are refused.

use futures::future::BoxFuture;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::JoinHandle;

use crate::commit::{Commit, Refused};
use crate::limits;
use crate::row::{Row, Version};
use crate::stats::{Counters, Stats};
use crate::{Applied, Error, Key, Scan, Snapshot, Store};

mod database;
mod health;
mod inbox;
mod journal;
mod reader;
mod writer;

pub use database::OpenError;
pub use health::{Disk, Health, State};

use database::{Database, Pin};
use health::Monitor;
use inbox::Inbox;
use reader::Readers;

/// What may differ from one installation to the next.
#[derive(Clone, Debug)]
pub struct Options {
    /// Bytes of disk blocks kept in memory.
    pub cache_bytes: usize,
    /// Bytes of free disk below which new work is refused.
    pub free_bytes_min: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options { cache_bytes: limits::CACHE_BYTES, free_bytes_min: limits::FREE_BYTES_MIN }
    }
}

/// Why a call found no database.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Closed {
    /// It failed and is being opened again.
    #[error("the database failed and is being opened again")]
    Reopening,
    /// The process is stopping.
    #[error("the store is closed")]
    Stopped,
    /// New work is refused until somebody makes room; exits and outcomes are still written.
    #[error("the disk is nearly full")]
    DiskLow,
    /// It failed, and the disk has no room.
    #[error("the disk is full; the store goes on by itself when there is room")]
    DiskFull,
    /// The group this commit was in could not be written.
    #[error("the group of this commit was not written")]
    GroupFailed,
}

impl From<Closed> for Refused {
    fn from(closed: Closed) -> Self {
        Refused::Unavailable(Box::new(closed))
    }
}

impl From<Closed> for Error {
    fn from(closed: Closed) -> Self {
        Error::Unavailable(Box::new(closed))
    }
}

/// What callers and the committer thread share.
#[derive(Debug)]
struct Shared {
    path: PathBuf,
    options: Options,
    inbox: Inbox,
    /// `None` while it is being opened again, and after the end.
    database: RwLock<Option<Arc<Database>>>,
    monitor: Monitor,
    counters: Counters,
    #[cfg(test)]
    faults: database::Faults,
}

impl Shared {
    fn database(&self) -> Result<Arc<Database>, Closed> {
        let database = self.database.read().unwrap_or_else(PoisonError::into_inner);
        database.clone().ok_or_else(|| self.why(self.inbox.closed().unwrap_or(Closed::Reopening)))
    }

    /// Why it does not answer, where a full disk may be the cause.
    fn why(&self, closed: Closed) -> Closed {
        let failed = matches!(closed, Closed::Reopening | Closed::GroupFailed);
        if failed && self.monitor.read().disk == Disk::Critical { Closed::DiskFull } else { closed }
    }

    fn set_database(&self, database: Option<Arc<Database>>) -> Option<Arc<Database>> {
        let mut slot = self.database.write().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *slot, database)
    }
}

/// The embedded store.
#[derive(Debug)]
pub struct Embedded {
    shared: Arc<Shared>,
    readers: Arc<Readers>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Embedded {
    /// Opens the store in `path`, making the folder where there is none.
    ///
    /// # Errors
    /// [`OpenError`]; [`OpenError::Locked`] when another process has it open.
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Self, OpenError> {
        let path = path.as_ref().to_path_buf();
        let (database, last) = Database::open(&path, &options)?;
        let shared = Arc::new(Shared {
            monitor: Monitor::new(),
            inbox: Inbox::new(),
            database: RwLock::new(Some(Arc::new(database))),
            counters: Counters::default(),
            path,
            options,
            #[cfg(test)]
            faults: database::Faults::default(),
        });
        let readers = Readers::start(&shared).map_err(OpenError::Thread)?;
        let thread = writer::start(Arc::clone(&shared), last).map_err(OpenError::Thread)?;
        Ok(Embedded { shared, readers, thread: Mutex::new(Some(thread)) })
    }

    /// Makes a store in `path` of these rows, which keep their versions; its next commits have numbers above `last`.
    /// It is written beside its place and moved there whole. Blocks while it writes.
    ///
    /// # Errors
    /// [`OpenError::Taken`] when there is something already; [`OpenError::Filling`] when a row cannot be had or
    /// written; those of [`Embedded::open`].
    pub fn restore<E>(
        path: impl AsRef<Path>,
        options: &Options,
        rows: impl Iterator<Item = Result<(Key, Row), E>>,
        last: Version,
    ) -> Result<(), OpenError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        Database::restore(path.as_ref(), options, rows, last)
    }

    /// Takes no more commits, writes those that wait, closes the database and releases its folder.
    pub async fn close(&self) {
        self.shared.inbox.close();
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        if let Some(thread) = thread
            && tokio::task::spawn_blocking(move || thread.join().is_ok()).await.is_ok_and(|joined| !joined)
        {
            tracing::error!("the committer thread had died");
        }
    }

    /// How the store is.
    #[must_use]
    pub fn health(&self) -> Health {
        self.shared.monitor.read()
    }

    /// What it has written since it was opened.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.shared.counters.read()
    }
}

/// What the store held at one moment. It does not keep the database open: one that failed is opened again without
/// waiting for whoever reads this, and one that is closed lets go of its folder.
struct Pinned {
    readers: Arc<Readers>,
    database: Weak<Database>,
    pin: Arc<Pin>,
    last: Version,
    from: Key,
}

impl Snapshot for Pinned {
    fn last(&self) -> Version {
        self.last
    }

    fn next(&mut self, bytes: usize) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>> {
        Box::pin(async move {
            let (pin, from, database) = (Arc::clone(&self.pin), self.from.clone(), self.database.clone());
            let read = move |_: &Arc<Database>| {
                database.upgrade().ok_or(Closed::Reopening)?.pinned(&pin, &from, bytes)
            };
            let rows = self.readers.read(read).await?;
            if let Some((last, _)) = rows.last() {
                self.from = last.successor();
            }
            Ok(rows)
        })
    }
}

impl Drop for Embedded {
    /// Without a [`Embedded::close`] the thread still writes what waits, and nobody waits for it.
    fn drop(&mut self) {
        self.shared.inbox.close();
        self.readers.end();
    }
}

impl Store for Embedded {
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, Error>> {
        Box::pin(self.readers.read(move |database| database.get(&keys)))
    }

    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>> {
        Box::pin(self.readers.read(move |database| database.scan(&scan)))
    }

    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>> {
        Box::pin(async move {
            let class = commit.class;
            let verdict = match commit.check() {
                Err(invalid) => Err(invalid.into()),
                Ok(()) if self.shared.monitor.refuses(class) => Err(Closed::DiskLow.into()),
                Ok(()) => self.shared.inbox.submit(commit).await,
            };
            if verdict.is_err() {
                self.shared.counters.refused(class);
            }
            verdict
        })
    }

    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, Error>> {
        Box::pin(async move {
            let pinned = self.readers.read(|database| Ok((database.pin()?, Arc::downgrade(database))));
            let ((pin, last), database) = pinned.await?;
            let (readers, from) = (Arc::clone(&self.readers), Key::from_bytes(Vec::new()));
            Ok(Box::new(Pinned { readers, database, pin: Arc::new(pin), last, from }) as Box<dyn Snapshot>)
        })
    }
}

#[cfg(test)]
mod tests;
