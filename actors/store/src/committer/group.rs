//! One group: commits applied one after another on an overlay over the rows as they are.
//!
//! A commit is checked in full before it touches the overlay, so a refused one leaves no trace. Counters and
//! ledgers stay decoded here and are encoded once, at the end.

use bytes::Bytes;
use followupd_domain::ledger::{Ledger, Recipients};
use std::collections::BTreeMap;

use super::{Reader, Verdict};
use crate::commit::{Applied, Commit, Count, Expect, LedgerChange, LedgerOp, Refused};
use crate::row::{Row, Version};
use crate::{Error, Key};

/// A group while it is being applied.
#[derive(Debug)]
pub(crate) struct Group<R> {
    reader: R,
    last: Version,
    rows: BTreeMap<Key, Slot>,
}

/// What a group comes down to.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Changes {
    /// Rows to write, in key order.
    pub(crate) puts: Vec<(Key, Row)>,
    /// Rows to remove, in key order.
    pub(crate) deletes: Vec<Key>,
    /// How many of the puts are counters and ledgers.
    pub(crate) shared: usize,
}

/// A row as the commits so far have left it.
#[derive(Debug)]
struct Slot {
    version: Option<Version>,
    content: Content,
    /// Whether the row stood there before the group; `None` when nobody had to look.
    before: Option<bool>,
    changed: bool,
}

#[derive(Debug)]
enum Content {
    Absent,
    Body(Bytes),
    Count(i64),
    Ledger(Box<Ledger>),
    Recipients(Box<Recipients>),
}

impl<R: Reader> Group<R> {
    /// A group whose first commit gets the number after `last`.
    pub(crate) fn new(reader: R, last: Version) -> Self {
        Group { reader, last, rows: BTreeMap::new() }
    }

    /// The number of the last commit that was applied.
    pub(crate) fn last(&self) -> Version {
        self.last
    }

    /// Applies one commit, or nothing of it.
    pub(crate) fn apply(&mut self, commit: &Commit) -> Verdict {
        commit.expects.iter().try_for_each(|expect| self.check(expect))?;
        let ledgers = self.charge(&commit.ledger)?;
        let recipients = self.recipients(&commit.ledger)?;
        let counts = self.count(&commit.counts).map_err(unreadable)?;

        let version = Version(self.last.0 + 1);
        self.last = version;
        for (key, body) in &commit.puts {
            self.write(key, Content::Body(body.clone()), Some(version));
        }
        for key in &commit.deletes {
            self.write(key, Content::Absent, None);
        }
        for (key, value) in counts {
            match value {
                0 => self.write(key, Content::Absent, None),
                value => self.write(key, Content::Count(value), Some(version)),
            }
        }
        for (key, ledger) in ledgers {
            self.write(key, Content::Ledger(Box::new(ledger)), Some(version));
        }
        for (key, known) in recipients {
            self.write(key, Content::Recipients(Box::new(known)), Some(version));
        }
        Ok(Applied { version })
    }

    /// Everything the applied commits change.
    pub(crate) fn finish(self) -> Changes {
        let mut changes = Changes::default();
        for (key, slot) in self.rows.into_iter().filter(|(_, slot)| slot.changed) {
            let body = match slot.content {
                // What was never there needs no tombstone.
                Content::Absent if slot.before == Some(false) => continue,
                Content::Absent => {
                    changes.deletes.push(key);
                    continue;
                }
                Content::Body(body) => body,
                Content::Count(value) => {
                    changes.shared += 1;
                    Bytes::copy_from_slice(&value.to_le_bytes())
                }
                Content::Ledger(ledger) => {
                    changes.shared += 1;
                    let mut bytes = Vec::new();
                    ledger.encode(&mut bytes);
                    bytes.into()
                }
                Content::Recipients(known) => {
                    changes.shared += 1;
                    let mut bytes = Vec::new();
                    known.encode(&mut bytes);
                    bytes.into()
                }
            };
            changes.puts.push((key, Row { version: slot.version.unwrap_or_default(), body }));
        }
        changes
    }

    fn check(&mut self, expect: &Expect) -> Result<(), Refused> {
        let slot = self.slot(&expect.key).map_err(unreadable)?;
        if slot.version == expect.version { Ok(()) } else { Err(Refused::Stale(expect.key.clone())) }
    }

    /// The ledgers as they are after `changes`.
    fn charge<'a>(&mut self, changes: &'a [LedgerChange]) -> Result<BTreeMap<&'a Key, Ledger>, Refused> {
        let mut ledgers = BTreeMap::new();
        for change in changes.iter().filter(|change| !is_recipient(&change.op)) {
            if !ledgers.contains_key(&change.key) {
                let ledger =
                    ledger(self.slot(&change.key).map_err(unreadable)?, &change.key).map_err(unreadable)?;
                ledgers.insert(&change.key, ledger);
            }
            let Some(ledger) = ledgers.get_mut(&change.key) else { continue };
            match &change.op {
                LedgerOp::Charge { limits, now, day } => {
                    ledger.charge(limits, *now, *day).map_err(Refused::Limit)?;
                }
                LedgerOp::Settle { charge, started_at } => {
                    ledger.settle(*charge, *started_at);
                }
                LedgerOp::Refund { charge } => ledger.refund(*charge),
                LedgerOp::Recipient { .. } => {}
            }
        }
        Ok(ledgers)
    }

    /// The new recipients as they are after `changes`.
    fn recipients<'a>(
        &mut self,
        changes: &'a [LedgerChange],
    ) -> Result<BTreeMap<&'a Key, Recipients>, Refused> {
        let mut all = BTreeMap::new();
        for LedgerChange { key, op } in changes {
            let LedgerOp::Recipient { cap, now, before, counted_at } = op else { continue };
            if !all.contains_key(key) {
                let slot = self.slot(key).map_err(unreadable)?;
                all.insert(key, known(slot, key).map_err(unreadable)?);
            }
            let Some(known) = all.get_mut(key) else { continue };
            known.count(*cap, *now, *before, *counted_at).map_err(Refused::Limit)?;
        }
        Ok(all)
    }

    /// The numbers as they are after `counts`.
    fn count<'a>(&mut self, counts: &'a [Count]) -> Result<BTreeMap<&'a Key, i64>, Error> {
        let mut values = BTreeMap::new();
        for count in counts {
            let before = match values.get(&count.key) {
                Some(value) => *value,
                None => number(self.slot(&count.key)?, &count.key)?,
            };
            values.insert(&count.key, before.saturating_add(count.by));
        }
        Ok(values)
    }

    fn slot(&mut self, key: &Key) -> Result<&Slot, Error> {
        if !self.rows.contains_key(key) {
            let row = self.reader.read(key)?;
            let before = Some(row.is_some());
            let (version, content) = match row {
                Some(row) => (Some(row.version), Content::Body(row.body)),
                None => (None, Content::Absent),
            };
            self.rows.insert(key.clone(), Slot { version, content, before, changed: false });
        }
        self.rows.get(key).ok_or_else(|| Error::Damaged(format!("{key:?} vanished from its group")))
    }

    fn write(&mut self, key: &Key, content: Content, version: Option<Version>) {
        let before = self.rows.get(key).and_then(|slot| slot.before);
        self.rows.insert(key.clone(), Slot { version, content, before, changed: true });
    }
}

fn unreadable(error: Error) -> Refused {
    Refused::Unavailable(Box::new(error))
}

fn number(slot: &Slot, key: &Key) -> Result<i64, Error> {
    match &slot.content {
        Content::Absent => Ok(0),
        Content::Count(value) => Ok(*value),
        Content::Body(body) => body
            .as_ref()
            .try_into()
            .map(i64::from_le_bytes)
            .map_err(|_| Error::Damaged(format!("{key:?} is no number"))),
        Content::Ledger(_) | Content::Recipients(_) => {
            Err(Error::Damaged(format!("{key:?} is a ledger, not a number")))
        }
    }
}

fn is_recipient(op: &LedgerOp) -> bool {
    matches!(op, LedgerOp::Recipient { .. })
}

fn known(slot: &Slot, key: &Key) -> Result<Recipients, Error> {
    match &slot.content {
        Content::Absent => Ok(Recipients::default()),
        Content::Recipients(known) => Ok(known.as_ref().clone()),
        Content::Body(body) => Recipients::decode(body)
            .map_err(|error| Error::Damaged(format!("{key:?} counts no recipients: {error}"))),
        Content::Count(_) | Content::Ledger(_) => {
            Err(Error::Damaged(format!("{key:?} counts no recipients")))
        }
    }
}

fn ledger(slot: &Slot, key: &Key) -> Result<Ledger, Error> {
    match &slot.content {
        Content::Absent => Ok(Ledger::default()),
        Content::Ledger(ledger) => Ok(ledger.as_ref().clone()),
        Content::Body(body) => {
            Ledger::decode(body).map_err(|error| Error::Damaged(format!("{key:?} is no ledger: {error}")))
        }
        Content::Count(_) | Content::Recipients(_) => {
            Err(Error::Damaged(format!("{key:?} is a number, not a ledger")))
        }
    }
}
