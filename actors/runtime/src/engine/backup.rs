//! All rows as a file, while everything goes on; and what a store that is made of such a file begins with.

use std::sync::Arc;

use bytes::Bytes;
use followupd_domain::{EnrollmentId, Moment, TenantNo};
use followupd_store::backup::{Head, Writer};
use followupd_store::codec::{self, Format};
use followupd_store::keys::SYSTEM;
use followupd_store::{Class, Commit, Key, Row, Snapshot, Version, limits};

use super::scopes::for_all;
use super::{Engine, to_its_end};
use crate::api::{Caller, Error};
use crate::audit::{self, Act, Audited};
use crate::clock::utc;
use crate::settings;
use crate::stop::Stop;

/// A backup on its way: the bytes of a file, part by part.
pub struct Backup {
    snapshot: Box<dyn Snapshot>,
    /// Gone when the end was taken.
    writer: Option<Writer>,
    /// The first bytes, until they are taken.
    begin: Option<Vec<u8>>,
}

impl Backup {
    /// The next bytes of the file; `None` behind its end. Without its last bytes a file is recognised as cut off.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store cannot be read: the backup is void.
    pub async fn part(&mut self) -> Result<Option<Bytes>, Error> {
        if let Some(begin) = self.begin.take() {
            return Ok(Some(begin.into()));
        }
        let Some(mut writer) = self.writer.take() else { return Ok(None) };
        let rows = self.snapshot.next(limits::BACKUP_PART_BYTES).await?;
        if rows.is_empty() {
            return Ok(Some(writer.end().into()));
        }
        let part = writer.rows(&rows);
        self.writer = Some(writer);
        Ok(Some(part.into()))
    }
}

impl Engine {
    /// Begins a backup of all rows as they are now; `release` is what it says of who wrote it.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a caller with one tenant only; [`Error::Unavailable`] when the store cannot be read.
    pub async fn backup(&self, caller: &Caller, release: &str) -> Result<Backup, Error> {
        for_all(caller)?;
        let (node, caller) = (Arc::clone(&self.node), caller.clone());
        let snapshot = to_its_end(async move {
            // Whoever makes room on a full disk wants one too.
            let mut commit = Commit::new(Class::Outcome, TenantNo(0), SYSTEM);
            audit::add(&mut commit, &node, TenantNo(0), &caller, Act::Backup, "all rows")?;
            settings::submit(&node, commit).await?;
            Ok(node.store.snapshot().await?)
        });
        let snapshot = snapshot.await?;
        let (at, release) = (self.node.now(), release.to_owned());
        let (writer, begin) = Writer::begin(&Head { at, last: snapshot.last(), release });
        Ok(Backup { snapshot, writer: Some(writer), begin: Some(begin) })
    }
}

/// What a store made of a backup begins with besides its rows: all sending is stopped, so that nobody gets again what
/// was sent after the backup. They belong to the commit after its last, whose number is given too.
///
/// # Errors
/// [`Error::Unavailable`] when a row cannot be encoded, which none of these is too large for.
pub fn held_rows(head: &Head, now: Moment) -> Result<(Vec<(Key, Row)>, Version), Error> {
    let reason = format!("restored from the backup of {}", utc(head.at));
    let by = "restore".to_owned();
    let stop = Stop { since: now, reason: reason.clone(), by: by.clone() };
    let what = format!("all sending: {reason}");
    let line = Audited { at: now, by, trace: Default::default(), act: Act::Hold, what };
    let version = Version(head.last.0 + 1);
    // One line of this millisecond: no other was written in it.
    let unique = EnrollmentId::new(now, SYSTEM, 0);
    let encoded = |error: codec::Error| Error::Unavailable(error.to_string());
    let rows = vec![
        (Key::stop(), codec::encode(Format::Stop, &stop).map_err(encoded)?),
        (Key::audit(SYSTEM, TenantNo(0), now, unique), codec::encode(Format::Audit, &line).map_err(encoded)?),
    ];
    Ok((rows.into_iter().map(|(key, body)| (key, Row { version, body })).collect(), version))
}
