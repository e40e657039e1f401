//! How many wakes stand in each queue of a lane, by the hour they are due in: moved in the commit that puts or removes
//! the wake, so that the length of a backlog is read and never counted.

use std::collections::BTreeMap;

use followupd_domain::lane::WakeRow;
use followupd_domain::{TenantNo, route};
use followupd_store::codec::Format;
use followupd_store::keys::{SYSTEM, Table};
use followupd_store::{Class, Commit, Count, Key, Scan};

use crate::api::Error;
use crate::limits;
use crate::loaded::scan_all;
use crate::node::Node;
use crate::{record, settings};

/// Where a wake is counted.
pub(crate) fn key(wake: &WakeRow) -> Key {
    Key::backlog(wake.enrollment.shard(), wake.lane, &wake.queue, wake.due_at)
}

/// Counts a wake that a commit puts, or counts it no more.
pub(crate) fn count(wake: Option<WakeRow>, by: i64, commit: &mut Commit) {
    let Some(key) = wake.as_ref().map(key) else { return };
    let same = commit.counts.iter_mut().find(|count| count.key == key);
    match same {
        // A wake that moves within its hour.
        Some(count) => count.by += by,
        None => commit.counts.push(Count { key, by }),
    }
    commit.counts.retain(|count| count.by != 0);
}

/// Has the wakes of these tenants counted, once in the life of a store: one that an earlier release has written has
/// them uncounted. Nobody else is at work yet.
///
/// # Errors
/// The store cannot be read or written; the next start begins anew.
pub(crate) async fn keep(node: &Node, tenants: &[TenantNo]) -> Result<(), Error> {
    if node.store.get(vec![Key::backlogs_kept()]).await?.pop().flatten().is_some() {
        return Ok(());
    }
    for no in tenants {
        count_all(node, *no).await?;
    }
    // As the clock's row: the next start needs it as much as outcomes do.
    let mut commit = Commit::new(Class::Outcome, TenantNo(0), SYSTEM);
    record::put(&mut commit, Key::backlogs_kept(), Format::BacklogsKept, &node.now())?;
    settings::submit(node, commit).await.map(drop)
}

async fn count_all(node: &Node, no: TenantNo) -> Result<(), Error> {
    let shard = route(no, "");
    // What a start that was cut short has written.
    let known = Key::of_tenant(Table::Backlog, shard, no);
    let known = scan_all(&*node.store, known.clone(), known.after_prefix()).await?;
    let mut counts: BTreeMap<Key, i64> = known.into_iter().map(|(key, _)| (key, 0)).collect();
    let lanes = Key::lanes(shard, no);
    let mut from = Some(lanes.clone());
    while let Some(begin) = from {
        let scan = Scan { from: begin, to: lanes.after_prefix(), limit: limits::SWEEP };
        let rows = node.store.scan(scan).await?;
        for wake in rows.iter().filter_map(|(key, _)| key.to_wake()) {
            *counts.entry(key(&wake)).or_default() += 1;
        }
        from = rows.last().map(|(key, _)| key.successor()).filter(|_| rows.len() == limits::SWEEP);
    }
    let counts: Vec<(Key, i64)> = counts.into_iter().collect();
    for few in counts.chunks(limits::SWEEP) {
        let mut commit = Commit::new(Class::Outcome, no, shard);
        for (key, count) in few {
            match count {
                0 => commit.deletes.push(key.clone()),
                count => commit.puts.push((key.clone(), count.to_le_bytes().to_vec().into())),
            }
        }
        settings::submit(node, commit).await?;
    }
    Ok(())
}
