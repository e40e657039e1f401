//! Where enrollments sleep: one contract ([`Store`]), one unit of writing ([`Commit`]), three stores that keep it.
//!
//! A store holds rows under byte keys that sort. Everything it promises is in [`Store`] and proven by the suite in
//! `conformance`, which every store passes. What the rows mean is not its business: [`keys`] and [`codec`] fix
//! the formats for the crates above.

use futures::future::BoxFuture;

pub mod backup;
pub mod codec;
pub mod commit;
mod committer;
#[cfg(any(test, feature = "conformance"))]
pub mod conformance;
pub mod embedded;
pub mod keys;
pub mod limits;
pub mod memory;
pub mod redis;
pub mod row;
pub mod stats;

pub use commit::{Applied, Class, Commit, Count, Expect, Invalid, LedgerChange, LedgerOp, Refused};
pub use keys::Key;
pub use row::{Row, Version};
pub use stats::Stats;

/// Why a store could not answer a read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The medium failed; the same read may succeed later.
    #[error("the store cannot be read")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// A row is there and makes no sense.
    #[error("a row is damaged: {0}")]
    Damaged(String),
    /// It cannot show all its rows as of one moment.
    #[error("this kind of store is backed up by its own means, not through followupd")]
    NoSnapshots,
}

/// Rows of a key range, in key order. A range lies within one table of one shard.
#[derive(Clone, Debug)]
pub struct Scan {
    /// First key that counts.
    pub from: Key,
    /// First key that does not.
    pub to: Key,
    /// At most so many rows.
    pub limit: usize,
}

/// The contract of a store.
///
/// - A commit is all or nothing, and durable before it is answered.
/// - No read ever shows a row of a commit that is not durable.
/// - Commits are applied one after another: each sees every one before it, also those of its own group. Two that
///   are under way at once have no order, whichever was handed over first.
/// - A commit that was refused has changed nothing, numbers and limits included.
/// - The version of a row is the number of the commit that wrote it: it rises with every write of the row and is
///   never used again, also after the row was deleted and made anew.
pub trait Store: Send + Sync + 'static {
    /// The rows under `keys`, all as of one moment, in the order asked.
    fn get(&self, keys: Vec<Key>) -> BoxFuture<'_, Result<Vec<Option<Row>>, Error>>;

    /// The first rows of a range.
    fn scan(&self, scan: Scan) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>>;

    /// Writes one commit, or nothing of it.
    fn commit(&self, commit: Commit) -> BoxFuture<'_, Result<Applied, Refused>>;

    /// All rows as of now, to be read in pieces while commits go on. Keeps old rows on disk until it is dropped.
    fn snapshot(&self) -> BoxFuture<'_, Result<Box<dyn Snapshot>, Error>>;
}

/// All rows of a store as of one moment: those of every commit up to one, and of none after it.
pub trait Snapshot: Send {
    /// The number of the last commit it shows.
    fn last(&self) -> Version;

    /// The next rows in key order, at least one and about so many bytes of them; none at the end.
    ///
    /// A store that had to be opened again meanwhile answers [`Error::Unavailable`] from then on.
    fn next(&mut self, bytes: usize) -> BoxFuture<'_, Result<Vec<(Key, Row)>, Error>>;
}
