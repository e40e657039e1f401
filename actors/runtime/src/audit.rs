//! The audit log: who changed what, written in the commit of the change itself, and never changed after.
//!
//! It lies newest first under each tenant; acts that are no tenant's (access keys) under number 0 in the system shard.

use followupd_domain::decision::TraceId;
use followupd_domain::{Moment, Shard, TenantNo};
use followupd_store::codec::Format;
use followupd_store::{Commit, Key, Scan};
use serde::{Deserialize, Serialize};

use crate::api::{Caller, Error};
use crate::loaded::decode;
use crate::node::Node;
use crate::{limits, record};

/// What can be done that is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Act {
    /// A tenant's settings were put.
    PutTenant,
    /// A channel's settings were put.
    PutChannel,
    /// A sequence's draft was put.
    PutSequence,
    /// A draft became a version.
    Publish,
    /// A tenant, account, channel or sequence was held.
    Hold,
    /// It was released.
    Release,
    /// An access key was made.
    CreateKey,
    /// An access key was taken away.
    RevokeKey,
    /// A sequence was archived.
    Archive,
    /// A contact or address was suppressed by hand.
    Suppress,
    /// A suppression was lifted.
    Lift,
    /// What is known of a contact was handed out.
    Export,
    /// A contact was erased.
    Erase,
    /// All rows were handed out.
    Backup,
    /// A tenant was deleted, with everything of it.
    DeleteTenant,
    /// An account's settings were put.
    PutAccount,
}

impl Act {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Act::PutTenant => "put_tenant",
            Act::PutChannel => "put_channel",
            Act::PutSequence => "put_sequence",
            Act::Publish => "publish",
            Act::Hold => "hold",
            Act::Release => "release",
            Act::CreateKey => "create_key",
            Act::RevokeKey => "revoke_key",
            Act::Archive => "archive",
            Act::Suppress => "suppress",
            Act::Lift => "lift",
            Act::Export => "export",
            Act::Erase => "erase",
            Act::Backup => "backup",
            Act::DeleteTenant => "delete_tenant",
            Act::PutAccount => "put_account",
        }
    }
}

/// One line of the log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Audited {
    /// When.
    pub at: Moment,
    /// Who.
    pub by: String,
    /// Under which trace.
    pub trace: TraceId,
    /// What was done.
    pub act: Act,
    /// To what: a name, and of a hold its reason.
    pub what: String,
}

/// A page of the log, newest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditPage {
    /// Its lines.
    pub entries: Vec<Audited>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Vec<u8>>,
}

/// Writes a line into the commit of what it tells of.
pub(crate) fn add(
    commit: &mut Commit,
    node: &Node,
    tenant: TenantNo,
    caller: &Caller,
    act: Act,
    what: &str,
) -> Result<(), Error> {
    let at = node.now();
    let entry = Audited { at, by: caller.by.clone(), trace: caller.trace, act, what: what.to_owned() };
    // Lines of one millisecond are told apart as ids are.
    let unique = node.new_enrollment_id(commit.shard);
    record::put(commit, Key::audit(commit.shard, tenant, at, unique), Format::Audit, &entry)
}

/// Who did what nobody asked for.
pub(crate) const SELF: &str = "followupd";

/// Who held `what` at that moment; empty where the log does not say.
pub(crate) async fn held_by(
    node: &Node,
    shard: Shard,
    tenant: TenantNo,
    what: &str,
    since: Moment,
) -> Result<String, Error> {
    // The line is written by the commit of the hold, within moments; a hold of what is held comes later.
    let (from, to) = (since + limits::HOLD_TOLD, Key::audits_from(shard, tenant, since).after_prefix());
    let from = Key::audits_from(shard, tenant, from);
    let rows = node.store.scan(Scan { from, to, limit: limits::HOLD_LINES }).await?;
    for (_, row) in rows.iter().rev() {
        let line: Audited = decode(Format::Audit, &row.body)?;
        let about =
            line.what.strip_prefix(what).is_some_and(|rest| rest.is_empty() || rest.starts_with(": "));
        if line.act == Act::Hold && about {
            return Ok(line.by);
        }
    }
    Ok(String::new())
}

/// Reads a page, from where the one before it ended.
pub(crate) async fn page(
    node: &Node,
    shard: Shard,
    tenant: TenantNo,
    from: Option<Vec<u8>>,
    limit: usize,
) -> Result<AuditPage, Error> {
    let prefix = Key::audits(shard, tenant);
    let from = from.map_or_else(|| prefix.clone(), Key::from_bytes);
    // A place that is none in this log begins nowhere in it.
    let from = from.max(prefix.clone());
    let mut rows = node.store.scan(Scan { from, to: prefix.after_prefix(), limit: limit + 1 }).await?;
    let more = rows.len() > limit;
    rows.truncate(limit);
    let next = rows.last().filter(|_| more).map(|(key, _)| key.successor().as_bytes().to_vec());
    let entries = rows.iter().map(|(_, row)| decode(Format::Audit, &row.body));
    Ok(AuditPage { entries: entries.collect::<Result<_, Error>>()?, next })
}
