//! The one write: what a transition expects, what it changes, and how it can be refused.
//!
//! A commit names all its keys up front and all lie in one shard; its conditions are versions and limits only.
//! So a committer can check it against the commits before it in the same group, and one Redis script can do it.

use bytes::Bytes;
use followupd_domain::ledger::{Charge, DayContext, Limits, Refusal};
use followupd_domain::time::Moment;
use followupd_domain::{Shard, TenantNo};
use std::collections::BTreeSet;

use crate::keys::Key;
use crate::limits;
use crate::row::Version;

/// What a commit is for, in the order a group is filled: what ends or settles goes before what begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An exit, an opt-out, a hold: what keeps messages from being sent.
    Exit,
    /// What came of a call, or a receipt.
    Outcome,
    /// The decision to call.
    Intent,
    /// An accepted event, a setting, anything else.
    Event,
    /// A new enrollment; at most half of a group.
    Enroll,
}

impl Class {
    /// All of them, in their order.
    pub const ALL: [Class; 5] = [Class::Exit, Class::Outcome, Class::Intent, Class::Event, Class::Enroll];
}

/// A row and the version a commit depends on; `None`: the row must not exist.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expect {
    /// Which row.
    pub key: Key,
    /// The version it must have.
    pub version: Option<Version>,
}

/// A number that a commit moves; the committer owns its value. The row's body is the value as 8 little-endian
/// bytes; of a number that is zero there is no row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    /// Whose value moves.
    pub key: Key,
    /// By how much.
    pub by: i64,
}

/// What happens to the limits of a lane.
///
/// A commit does not answer with its [`Charge`]: the intent stores `Charge { at: now, day, open: true }` in the same
/// commit. The ledger takes a moment below its mark as its mark, and a day below its own as its own: of such a charge
/// it does so again when it is settled, so that the raw one counts where the taken one would.
#[derive(Clone, Debug, PartialEq)]
pub enum LedgerOp {
    /// A send begins; refuses the commit where a limit does not allow it.
    Charge {
        /// The limits in force.
        limits: Limits,
        /// Engine time of the intent.
        now: Moment,
        /// The calendar day it falls on.
        day: DayContext,
    },
    /// Its call has started and its outcome is known, or will be left open.
    Settle {
        /// What the intent was charged.
        charge: Charge,
        /// When the call started, in engine time.
        started_at: Option<Moment>,
    },
    /// Its call surely did not happen.
    Refund {
        /// What the intent was charged.
        charge: Charge,
    },
    /// A send to a person whom the sender may have written to before; refuses the commit where there is no room for one
    /// more. Its row is of [`Recipients`](followupd_domain::ledger::Recipients), not of a ledger.
    Recipient {
        /// People in any moving 24 h.
        cap: u32,
        /// Engine time of the intent.
        now: Moment,
        /// When the sender's row counts them, as the last such change of theirs said.
        before: Option<Moment>,
        /// When it is to count them now: the last moment at which the call may begin.
        counted_at: Moment,
    },
}

/// A change of one lane's ledger, or of its new recipients. The row's body is [`followupd_domain::ledger`]'s own
/// fixed-width encoding.
#[derive(Clone, Debug, PartialEq)]
pub struct LedgerChange {
    /// The ledger's row.
    pub key: Key,
    /// What happens to it.
    pub op: LedgerOp,
}

/// The all-or-nothing write of one transition.
#[derive(Clone, Debug)]
pub struct Commit {
    /// Its place in a group.
    pub class: Class,
    /// Whose it is: tenants take turns within a class.
    pub tenant: TenantNo,
    /// Where all its rows live.
    pub shard: Shard,
    /// What must be so. A row may be expected and written, or only expected.
    pub expects: Vec<Expect>,
    /// Rows to write.
    pub puts: Vec<(Key, Bytes)>,
    /// Rows to remove; one that is not there is no error.
    pub deletes: Vec<Key>,
    /// Numbers to move.
    pub counts: Vec<Count>,
    /// Limits to charge, settle or refund.
    pub ledger: Vec<LedgerChange>,
}

impl Commit {
    /// A commit that changes nothing yet.
    #[must_use]
    pub fn new(class: Class, tenant: TenantNo, shard: Shard) -> Self {
        Commit {
            class,
            tenant,
            shard,
            expects: Vec::new(),
            puts: Vec::new(),
            deletes: Vec::new(),
            counts: Vec::new(),
            ledger: Vec::new(),
        }
    }

    /// The bytes of all it names and writes: what it takes of a group.
    #[must_use]
    pub fn bytes(&self) -> usize {
        let expects = self.expects.iter().map(|expect| expect.key.as_bytes().len());
        let puts = self.puts.iter().map(|(key, body)| key.as_bytes().len() + body.len());
        let deletes = self.deletes.iter().map(|key| key.as_bytes().len());
        let counts = self.counts.iter().map(|count| count.key.as_bytes().len());
        let ledger = self.ledger.iter().map(|change| change.key.as_bytes().len());
        expects.chain(puts).chain(deletes).chain(counts).chain(ledger).sum()
    }

    /// Holds that it is within its bounds, in one shard, and says one thing only about each row it writes.
    ///
    /// A row is put, deleted, counted or charged; several counts or several ledger changes of one row add up.
    ///
    /// # Errors
    /// [`Invalid`]: whoever made it is wrong, and no retry helps.
    pub fn check(&self) -> Result<(), Invalid> {
        let parts =
            self.expects.len() + self.puts.len() + self.deletes.len() + self.counts.len() + self.ledger.len();
        if parts > limits::COMMIT_PARTS {
            return Err(Invalid::Parts(parts));
        }
        let bytes = self.bytes();
        if bytes > limits::COMMIT_BYTES {
            return Err(Invalid::Bytes(bytes));
        }
        if let Some((key, _)) = self.puts.iter().find(|(_, body)| body.len() > limits::RECORD_BYTES) {
            return Err(Invalid::Record(key.clone()));
        }
        let counts: BTreeSet<&Key> = self.counts.iter().map(|count| &count.key).collect();
        let ledger: BTreeSet<&Key> = self.ledger.iter().map(|change| &change.key).collect();
        let mut written = BTreeSet::new();
        let rows = self.puts.iter().map(|(key, _)| key).chain(&self.deletes).chain(counts).chain(ledger);
        for key in rows {
            self.check_key(key)?;
            if !written.insert(key) {
                return Err(Invalid::Twice(key.clone()));
            }
        }
        self.expects.iter().try_for_each(|expect| self.check_key(&expect.key))
    }

    fn check_key(&self, key: &Key) -> Result<(), Invalid> {
        if key.shard() != Some(self.shard) || key.as_bytes().len() > limits::KEY_BYTES {
            return Err(Invalid::Key(key.clone()));
        }
        Ok(())
    }
}

/// Why a commit can never be written.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// It has more parts than [`limits::COMMIT_PARTS`].
    #[error("a commit of {0} parts")]
    Parts(usize),
    /// It has more bytes than [`limits::COMMIT_BYTES`].
    #[error("a commit of {0} bytes")]
    Bytes(usize),
    /// A row is larger than [`limits::RECORD_BYTES`].
    #[error("a row is too large: {0:?}")]
    Record(Key),
    /// A key is of another shard, longer than [`limits::KEY_BYTES`], or none of ours.
    #[error("a key does not belong to this commit: {0:?}")]
    Key(Key),
    /// It says two things about one row.
    #[error("a row is written twice: {0:?}")]
    Twice(Key),
}

/// What a commit became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Applied {
    /// The version of every row it wrote.
    pub version: Version,
}

/// Why a commit was not written, or may not have been.
#[derive(Debug, thiserror::Error)]
pub enum Refused {
    /// A row is not what the commit expected: look again and decide anew.
    #[error("a row has changed since it was read: {0:?}")]
    Stale(Key),
    /// A limit does not allow the charge.
    #[error("a limit does not allow it")]
    Limit(Refusal),
    /// The commit breaks a rule of the contract; the same one will never be written.
    #[error("no store takes such a commit")]
    Invalid(#[from] Invalid),
    /// Nothing was written, and nothing of this class will be until the store has room or has recovered.
    #[error("the store does not take this write now")]
    Unavailable(#[source] Box<dyn std::error::Error + Send + Sync>),
    /// It may have been written or not: read before you decide anew.
    #[error("the store did not answer a write")]
    Unknown,
}
