//! The only file that knows fjall's API: how it is opened, read and written, and how its failures are told.
//!
//! One keyspace holds all rows; a value is the row's version, 8 bytes big-endian, then its body. A batch goes to
//! the journal, is synced there and only then becomes visible, so no read sees what is not durable (fjall 3.1,
//! `WriteBatch::commit`). The row under [`OWN`] holds the format and the last commit's number.

use bytes::Bytes;
use fjall::{AbstractTree, Keyspace, KeyspaceCreateOptions, PersistMode, Readable};
use std::fs::{File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::Options;
use super::journal::{self, Found};
use crate::committer::Changes;
use crate::row::{Row, Version};
use crate::{Error, Key, Scan, limits};

/// The format this build writes and the newest it reads.
const FORMAT: u32 = 1;

/// The key of the row that holds format and number; below every table.
const OWN: [u8; 1] = [0];

/// The file fjall locks while it has a folder open.
const FJALL_LOCK: &str = "lock";

/// fjall stops a writer, without end when its flush has failed, at 4 sealed memtables or 30 runs of level 0. One
/// write seals one memtable at most (see [`limits`]), so below these two it never gets there.
const SEALED_MAX: usize = 2;
const RUNS_MAX: usize = 26;

/// How often a wait for fjall looks again.
const LOOK_EVERY: Duration = Duration::from_millis(2);

/// Why a store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another process has it open.
    #[error("another process has the store in {} open", path.display())]
    Locked {
        /// The store's folder.
        path: PathBuf,
    },
    /// It was written by a newer build.
    #[error("the store in {} has format {found}; this build knows {FORMAT}", path.display())]
    Newer {
        /// The store's folder.
        path: PathBuf,
        /// Its format.
        found: u32,
    },
    /// There is something, and it is no store.
    #[error("the store in {} has rows but no format", path.display())]
    NoFormat {
        /// The store's folder.
        path: PathBuf,
    },
    /// Its journal is bad in the middle, where only whole writes can be. Nothing was changed.
    #[error("the store's journal {} is damaged at byte {at}: restore a backup, or the disk", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// Where the bad write begins.
        at: u64,
    },
    /// The medium failed.
    #[error("the store in {} cannot be opened", path.display())]
    Medium {
        /// The store's folder.
        path: PathBuf,
        /// What fjall says.
        source: fjall::Error,
    },
    /// The committer thread could not be started.
    #[error("the committer thread cannot be started")]
    Thread(#[source] io::Error),
    /// A store is to be made where something is.
    #[error("there is something in {} already", path.display())]
    Taken {
        /// The store's folder.
        path: PathBuf,
    },
    /// The rows a store is to be made of cannot be had or written.
    #[error("the store in {} cannot be filled", path.display())]
    Filling {
        /// The store's folder.
        path: PathBuf,
        /// Why.
        source: Box<dyn std::error::Error + Send + Sync>,
    },
}

/// Why a group was not written, or may not have been.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// Nothing of it reached the journal.
    #[error("the database takes no writes")]
    NotWritten(#[source] fjall::Error),
    /// fjall does not get on with writing or merging its tables.
    #[error("the database has not written its tables for {0:?}")]
    Stalled(Duration),
    /// Some or all of it is in the journal; after opening again it may be there.
    #[error("the database failed in the middle of a write")]
    Unknown(#[source] fjall::Error),
}

/// Failures that tests ask for.
#[cfg(test)]
#[derive(Debug, Default)]
pub(super) struct Faults {
    /// The next write is done and told as failed.
    pub(super) fail_after_write: std::sync::atomic::AtomicBool,
    /// The next write is not done.
    pub(super) fail_before_write: std::sync::atomic::AtomicBool,
    /// So many attempts to open fail.
    pub(super) fail_opens: std::sync::atomic::AtomicU32,
}

/// What the database held at one moment, which it keeps until this is dropped.
pub(super) struct Pin(fjall::Snapshot);

/// An open database.
pub(super) struct Database {
    inner: fjall::Database,
    rows: Keyspace,
}

impl std::fmt::Debug for Database {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Database")
    }
}

impl Database {
    /// Opens the database in `path`, making one where there is none; tells the number of its last commit.
    pub(super) fn open(path: &Path, options: &Options) -> Result<(Self, Version), OpenError> {
        if is_missing(path).map_err(|error| medium(path, error))? {
            Self::make(path, options, |_| Ok(()))?;
        }
        trim_journal(path)?;
        Self::open_made(path, options)
    }

    /// Makes a database of these rows, with their versions, whose last commit has the number `last`.
    pub(super) fn restore<E>(
        path: &Path,
        options: &Options,
        rows: impl Iterator<Item = Result<(Key, Row), E>>,
        last: Version,
    ) -> Result<(), OpenError>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        if !is_missing(path).map_err(|error| medium(path, error))? {
            return Err(OpenError::Taken { path: path.to_path_buf() });
        }
        Self::make(path, options, |database| {
            database
                .fill(rows, last)
                .map_err(|source| OpenError::Filling { path: path.to_path_buf(), source })
        })
    }

    /// Makes a database beside its place and moves it there whole: a power cut leaves none instead of half of one,
    /// which fjall would not open.
    fn make(
        path: &Path,
        options: &Options,
        fill: impl FnOnce(&Database) -> Result<(), OpenError>,
    ) -> Result<(), OpenError> {
        let mut beside = path.as_os_str().to_owned();
        beside.push(".new");
        let beside = PathBuf::from(beside);
        let failed = |error| medium(path, error);
        if beside.try_exists().map_err(failed)? {
            // What an earlier process left; one that is at it right now holds the lock.
            let lock = lock(&beside)?;
            std::fs::remove_dir_all(&beside).map_err(failed)?;
            drop(lock);
        }
        fill(&Self::open_made(&beside, options)?.0)?;
        std::fs::rename(&beside, path).map_err(failed)
    }

    /// Writes rows in groups, each synced.
    fn fill<E>(
        &self,
        rows: impl Iterator<Item = Result<(Key, Row), E>>,
        last: Version,
    ) -> Result<(), Box<dyn std::error::Error + Send + Sync>>
    where
        E: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (mut changes, mut bytes) = (Changes::default(), 0);
        for row in rows {
            let (key, row) = row.map_err(Into::into)?;
            bytes += key.as_bytes().len() + row.body.len();
            changes.puts.push((key, row));
            if bytes >= limits::GROUP_BYTES {
                self.write(std::mem::take(&mut changes), last)?;
                bytes = 0;
            }
        }
        Ok(self.write(changes, last)?)
    }

    /// Holds on to what is there now; with the number of the last commit.
    pub(super) fn pin(&self) -> Result<(Pin, Version), Error> {
        let snapshot = self.inner.snapshot();
        let own = snapshot.get(&self.rows, OWN).map_err(unreadable)?;
        let own = own.as_ref().and_then(|own| own_row(own));
        let (_, last) =
            own.ok_or_else(|| Error::Damaged("the number of the last commit is gone".to_owned()))?;
        Ok((Pin(snapshot), last))
    }

    /// Rows of then from a key on, at least one and about so many bytes of them.
    pub(super) fn pinned(&self, pin: &Pin, from: &Key, bytes: usize) -> Result<Vec<(Key, Row)>, Error> {
        let from = from.as_bytes().max(&[1]);
        let (mut rows, mut taken) = (Vec::new(), 0);
        for guard in pin.0.range(&self.rows, from..) {
            let (key, value) = guard.into_inner().map_err(unreadable)?;
            let key = Key::from_bytes(key.to_vec());
            let row = row(&key, &value)?;
            taken += key.as_bytes().len() + row.body.len();
            rows.push((key, row));
            if taken >= bytes {
                break;
            }
        }
        Ok(rows)
    }

    fn open_made(path: &Path, options: &Options) -> Result<(Self, Version), OpenError> {
        let failed = |source| {
            let path = path.to_path_buf();
            if matches!(source, fjall::Error::Locked) {
                OpenError::Locked { path }
            } else {
                OpenError::Medium { path, source }
            }
        };
        let inner = fjall::Database::builder(path)
            .cache_size(options.cache_bytes as u64)
            .max_cached_files(Some(limits::OPEN_FILES))
            .max_journaling_size(limits::JOURNAL_BYTES as u64)
            .worker_threads(limits::WORKERS)
            .open()
            .map_err(failed)?;
        let rows = inner
            .keyspace("rows", || {
                KeyspaceCreateOptions::default().max_memtable_size(limits::MEMTABLE_BYTES as u64)
            })
            .map_err(failed)?;
        sync_names(path).map_err(|error| failed(error.into()))?;
        let database = Database { inner, rows };
        let last = match database.rows.get(OWN).map_err(failed)?.map(|own| own_row(&own)) {
            Some(Some((FORMAT, last))) => last,
            Some(Some((found, _))) => return Err(OpenError::Newer { path: path.to_path_buf(), found }),
            Some(None) => return Err(OpenError::NoFormat { path: path.to_path_buf() }),
            None if !database.rows.is_empty().map_err(failed)? => {
                return Err(OpenError::NoFormat { path: path.to_path_buf() });
            }
            None => {
                database.insert(Changes::default(), Version(0)).map_err(failed)?;
                Version(0)
            }
        };
        Ok((database, last))
    }

    /// Makes durable, in tables, what opening found in the journal: after a failed sync the page cache can hold
    /// and show journal pages that the disk never got, and that a later sync does not write again.
    pub(super) fn settle(&self) -> Result<(), WriteError> {
        self.rows.rotate_memtable().map_err(WriteError::NotWritten)?;
        self.wait(|tree| tree.sealed_memtable_count() == 0)
    }

    /// Whether it still takes writes. A flush that failed in the background shows here.
    pub(super) fn sound(&self) -> Result<(), WriteError> {
        self.inner.persist(PersistMode::Buffer).map_err(WriteError::NotWritten)
    }

    /// The row as of the last write; for the one writer.
    pub(super) fn read(&self, key: &Key) -> Result<Option<Row>, Error> {
        let value = self.rows.get(key.as_bytes()).map_err(unreadable)?;
        value.map(|value| row(key, &value)).transpose()
    }

    /// Rows as of one moment.
    pub(super) fn get(&self, keys: &[Key]) -> Result<Vec<Option<Row>>, Error> {
        let snapshot = self.inner.snapshot();
        let get = |key: &Key| {
            if key.as_bytes() < &[1][..] {
                return Ok(None);
            }
            let value = snapshot.get(&self.rows, key.as_bytes()).map_err(unreadable)?;
            value.map(|value| row(key, &value)).transpose()
        };
        keys.iter().map(get).collect()
    }

    /// The first rows of a range, as of one moment.
    pub(super) fn scan(&self, scan: &Scan) -> Result<Vec<(Key, Row)>, Error> {
        let from = scan.from.as_bytes().max(&[1]);
        if from >= scan.to.as_bytes() {
            return Ok(Vec::new());
        }
        let range = self.inner.snapshot().range(&self.rows, from..scan.to.as_bytes());
        let rows = range.take(scan.limit.min(limits::SCAN_ROWS)).map(|guard| {
            let (key, value) = guard.into_inner().map_err(unreadable)?;
            let key = Key::from_bytes(key.to_vec());
            let row = row(&key, &value)?;
            Ok((key, row))
        });
        rows.collect()
    }

    /// Writes and syncs a group whose last commit has the number `last`.
    pub(super) fn write(&self, changes: Changes, last: Version) -> Result<(), WriteError> {
        self.wait(|tree| tree.sealed_memtable_count() <= SEALED_MAX && tree.l0_run_count() <= RUNS_MAX)?;
        self.insert(changes, last).map_err(|error| {
            // fjall looks at its flag before it writes anything.
            let untouched = matches!(error, fjall::Error::Poisoned);
            if untouched { WriteError::NotWritten(error) } else { WriteError::Unknown(error) }
        })
    }

    fn insert(&self, changes: Changes, last: Version) -> Result<(), fjall::Error> {
        let mut batch = self.inner.batch().durability(Some(PersistMode::SyncData));
        for (key, row) in changes.puts {
            let mut value = Vec::with_capacity(8 + row.body.len());
            value.extend_from_slice(&row.version.0.to_be_bytes());
            value.extend_from_slice(&row.body);
            batch.insert(&self.rows, key.as_bytes(), value);
        }
        for key in changes.deletes {
            batch.remove(&self.rows, key.as_bytes());
        }
        let own = [&FORMAT.to_be_bytes()[..], &last.0.to_be_bytes()].concat();
        batch.insert(&self.rows, OWN, own);
        batch.commit()
    }

    /// Waits until the tree is as wanted, as long as fjall is sound and not beyond reason.
    fn wait(&self, wanted: impl Fn(&fjall::AnyTree) -> bool) -> Result<(), WriteError> {
        let begun = Instant::now();
        while !wanted(&self.rows.tree) {
            self.sound()?;
            if begun.elapsed() > limits::STALL_MAX {
                return Err(WriteError::Stalled(limits::STALL_MAX));
            }
            std::thread::sleep(LOOK_EVERY);
        }
        Ok(())
    }
}

/// Whether there is no database, nor anything else.
fn is_missing(path: &Path) -> io::Result<bool> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

fn medium(path: &Path, error: io::Error) -> OpenError {
    OpenError::Medium { path: path.to_path_buf(), source: error.into() }
}

/// Holds fjall's lock of a folder; `None` where there is none to hold.
fn lock(path: &Path) -> Result<Option<File>, OpenError> {
    let lock = match File::open(path.join(FJALL_LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        lock => lock.map_err(|error| medium(path, error))?,
    };
    match lock.try_lock() {
        Ok(()) => Ok(Some(lock)),
        Err(TryLockError::WouldBlock) => Err(OpenError::Locked { path: path.to_path_buf() }),
        Err(TryLockError::Error(error)) => Err(medium(path, error)),
    }
}

/// Cuts what a power cut left of an unfinished write off the journal, while no other process has the store open.
fn trim_journal(path: &Path) -> Result<(), OpenError> {
    let _lock = lock(path)?;
    match journal::trim(path).map_err(|error| medium(path, error))? {
        Found::Whole => Ok(()),
        Found::Cut(bytes) => {
            tracing::warn!(bytes, "a write that was cut off was removed from the journal");
            Ok(())
        }
        Found::Damaged(path, at) => Err(OpenError::Damaged { path, at }),
    }
}

/// Makes the names of new folders durable: fjall syncs what is in its folders, not that its own folder and those of
/// the keyspaces are there.
fn sync_names(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty());
    for folder in [parent.unwrap_or(Path::new(".")), path, &path.join("keyspaces")] {
        File::open(folder)?.sync_all()?;
    }
    Ok(())
}

fn unreadable(error: fjall::Error) -> Error {
    Error::Unavailable(Box::new(error))
}

fn row(key: &Key, value: &[u8]) -> Result<Row, Error> {
    let (version, body) =
        value.split_first_chunk::<8>().ok_or_else(|| Error::Damaged(format!("{key:?} has no version")))?;
    Ok(Row { version: Version(u64::from_be_bytes(*version)), body: Bytes::copy_from_slice(body) })
}

fn own_row(value: &[u8]) -> Option<(u32, Version)> {
    let (format, rest) = value.split_first_chunk::<4>()?;
    let (last, _) = rest.split_first_chunk::<8>()?;
    Some((u32::from_be_bytes(*format), Version(u64::from_be_bytes(*last))))
}
