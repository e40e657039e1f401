//! Deleting a tenant: it is gone for everyone in one commit, and its rows are removed after, a few at a time.
//!
//! That commit takes the name away, revokes the keys that are for this tenant, and leaves a row behind that says whose
//! rows are to be removed. That row is the last to go: whatever ends before it goes on at the next start. A tenant's
//! number is never given again, so what still has an old handle in hand writes to nobody else's rows. Intents and
//! enrolls expect scopes that are gone; whatever else was let in before is waited for ([`Waiting`]).

use std::sync::Arc;

use followupd_domain::access::AccessKey;
use followupd_domain::name::Name;
use followupd_domain::{Moment, Shard, TenantNo, route};
use followupd_store::codec::Format;
use followupd_store::keys::{SYSTEM, Table};
use followupd_store::{Class, Commit, Key, Row, Scan};
use serde::{Deserialize, Serialize};

use crate::admission::Waiting;
use crate::api::{Caller, Error};
use crate::audit::{self, Act};
use crate::loaded::{Loaded, decode, scan_all};
use crate::node::Node;
use crate::record::{self, Record};
use crate::scopes::Expected;
use crate::{limits, settings};

/// A tenant that was deleted, while rows of it are left.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Deleted {
    /// What it was called.
    pub(crate) name: Name,
    /// When.
    pub(crate) at: Moment,
}

/// Takes a tenant's name and keys away, and writes down that its rows are to be removed. Called by the tenant's actor,
/// so that nothing is put between the look at its revision and the commit.
pub(crate) async fn begin(
    node: &Node,
    caller: &Caller,
    loaded: &Loaded,
    expected: Expected,
) -> Result<(), Error> {
    let (no, name) = (loaded.scope.tenant.no, &loaded.scope.tenant.name);
    let revision = loaded.revision(&Key::tenant(loaded.shard, no));
    if expected != Expected::Any && expected != Expected::Revision(revision) {
        return Err(Error::Mismatch { expected, found: Some(revision) });
    }
    let _changing = node.access.changing().await;
    let mut keys = node.access.seen_by(&Caller { only: Some(name.clone()), ..Caller::default() });
    let rows = |keys: &[AccessKey]| keys.iter().map(|key| Key::access(key.name.as_str())).collect();
    while keys.len() > limits::KEYS_REVOKED {
        // More than a commit holds go before it: a tenant without keys is still a whole one.
        let mut commit = Commit::new(Class::Exit, TenantNo(0), SYSTEM);
        let few = keys.split_off(keys.len() - limits::KEYS_REVOKED);
        commit.deletes = rows(&few);
        settings::submit(node, commit).await?;
        few.iter().for_each(|key| node.access.remove(key.id));
    }
    let mut commit = Commit::new(Class::Exit, TenantNo(0), SYSTEM);
    commit.deletes = rows(&keys);
    commit.deletes.push(Key::tenant_name(name.as_str()));
    let deleted = Deleted { name: name.clone(), at: node.now() };
    record::put(&mut commit, Key::deleted(no), Format::Deleted, &deleted)?;
    audit::add(&mut commit, node, TenantNo(0), caller, Act::DeleteTenant, &format!("tenant {name}"))?;
    if let Err(error) = settings::submit(node, commit).await {
        // It may be written all the same: then it is deleted, whatever was answered.
        let row = node.store.get(vec![Key::deleted(no)]).await?.pop().flatten();
        row.ok_or(error)?;
    }
    keys.iter().for_each(|key| node.access.remove(key.id));
    node.tenants().remove(name.as_str());
    Ok(())
}

/// The tenants that were deleted and have rows left.
pub(crate) async fn unfinished(node: &Node) -> Result<Vec<TenantNo>, Error> {
    let prefix = Key::table(Table::Deleted, SYSTEM);
    let rows = scan_all(&*node.store, prefix.clone(), prefix.after_prefix()).await?;
    Ok(rows.iter().filter_map(|(key, _)| key.tenant_no()).collect())
}

/// Removes a deleted tenant's rows until none is left and nobody is at work in it any more; the drain of the node ends
/// it, and the next start goes on.
pub(crate) async fn remove_at_last(node: Arc<Node>, no: TenantNo, waiting: Waiting) {
    let removal = Removal { node: &node, no, shard: route(no, "") };
    let (mut removed, mut pause) = (0, limits::REMOVE_AGAIN);
    while !node.is_draining() {
        // Asked before: whoever began after that found no such tenant.
        let alone = waiting.is_empty();
        let round = removal.round().await;
        // One that a drain cut short has not seen all rows.
        let whole = !node.is_draining();
        match round {
            Ok(0) if alone && whole => match removal.end().await {
                Ok(()) => {
                    return tracing::info!(tenant = no.0, rows = removed, "a deleted tenant is removed");
                }
                Err(error) => tracing::warn!(tenant = no.0, %error, "a deleted tenant's end is put off"),
            },
            Ok(rows) => {
                removed += rows;
                pause = limits::REMOVE_AGAIN;
            }
            Err(error) => {
                tracing::warn!(tenant = no.0, %error, "the removal of a deleted tenant is put off");
                pause = (2 * pause).min(limits::RETRY_MOST);
            }
        }
        tokio::time::sleep(pause).await;
    }
}

/// The removal of one tenant's rows.
struct Removal<'a> {
    node: &'a Node,
    no: TenantNo,
    shard: Shard,
}

impl Removal<'_> {
    /// Goes through all rows there may be once; how many it removed.
    async fn round(&self) -> Result<usize, Error> {
        let mut removed = 0;
        for table in Table::OF_TENANTS {
            let prefix = Key::of_tenant(table, self.shard, self.no);
            let mut from = Some(prefix.clone());
            while let Some(rows) = self.page(&prefix, &mut from).await? {
                removed += self.delete(rows.into_iter().map(|(key, _)| key).collect()).await?;
            }
        }
        // Those of the whole shard are read for it: only once there is nothing else.
        if removed > 0 {
            return Ok(removed);
        }
        self.enrollments().await
    }

    /// Removes its enrollments, whose keys say nothing of tenants: all of the shard are looked at.
    async fn enrollments(&self) -> Result<usize, Error> {
        let prefix = Key::table(Table::Enrollment, self.shard);
        let (mut from, mut removed) = (Some(prefix.clone()), 0);
        while let Some(rows) = self.page(&prefix, &mut from).await? {
            let mut keys = Vec::new();
            for (key, row) in rows {
                // A row that is damaged says of nobody that it is theirs: it stays, for `store verify` to tell.
                let Ok(record) = decode::<Record>(Format::Enrollment, &row.body) else { continue };
                if record.enrollment.tenant != self.no {
                    continue;
                }
                if record.spilled > 0 {
                    let histories = Key::histories(record.enrollment.id);
                    let rows =
                        scan_all(&*self.node.store, histories.clone(), histories.after_prefix()).await?;
                    keys.extend(rows.into_iter().map(|(key, _)| key));
                }
                // Behind its history, which nothing else leads to.
                keys.push(key);
            }
            removed += self.delete(keys).await?;
        }
        Ok(removed)
    }

    /// The next rows under a prefix; `None` behind the last, and when the node drains.
    async fn page(&self, prefix: &Key, from: &mut Option<Key>) -> Result<Option<Vec<(Key, Row)>>, Error> {
        let Some(begin) = from.take().filter(|_| !self.node.is_draining()) else { return Ok(None) };
        let scan = Scan { from: begin, to: prefix.after_prefix(), limit: limits::SWEEP };
        let rows = self.node.store.scan(scan).await?;
        if rows.len() == limits::SWEEP {
            // What is removed never crowds out what is sent.
            tokio::time::sleep(limits::REMOVE_PAUSE).await;
        }
        *from = rows.last().map(|(key, _)| key.successor()).filter(|_| rows.len() == limits::SWEEP);
        Ok(Some(rows))
    }

    async fn delete(&self, keys: Vec<Key>) -> Result<usize, Error> {
        for few in keys.chunks(limits::SWEEP) {
            let mut commit = Commit::new(Class::Event, self.no, self.shard);
            commit.deletes.extend_from_slice(few);
            settings::submit(self.node, commit).await?;
        }
        Ok(keys.len())
    }

    async fn end(&self) -> Result<(), Error> {
        let mut commit = Commit::new(Class::Event, TenantNo(0), SYSTEM);
        commit.deletes.push(Key::deleted(self.no));
        settings::submit(self.node, commit).await.map(drop)
    }
}
