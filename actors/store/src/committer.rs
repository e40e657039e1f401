//! What the memory store and the embedded store share: which commits make a group, and what a group becomes.
//!
//! Pure: no thread, no disk, no clock. [`queue`] orders waiting commits, [`group`] applies them one after another
//! on an overlay, so that each sees those before it and each counter and ledger is written once.

pub(crate) mod group;
pub(crate) mod queue;

mod model;

pub(crate) use group::{Changes, Group};
pub(crate) use queue::Queue;

use crate::commit::{Applied, Commit, Refused};
use crate::row::Row;
use crate::{Error, Key};

/// Reads rows as they are before the group.
pub(crate) trait Reader {
    /// The row under `key`.
    fn read(&mut self, key: &Key) -> Result<Option<Row>, Error>;
}

impl<F: FnMut(&Key) -> Result<Option<Row>, Error>> Reader for F {
    fn read(&mut self, key: &Key) -> Result<Option<Row>, Error> {
        self(key)
    }
}

/// Something that waits to be part of a group.
pub(crate) trait Waiting {
    /// The commit itself.
    fn commit(&self) -> &Commit;
}

/// What came of one commit of a group.
pub(crate) type Verdict = Result<Applied, Refused>;
