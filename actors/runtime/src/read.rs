//! Reading: enrollments with their timelines, and funnels.

use followupd_domain::decision::Entry;
use followupd_domain::funnel::{Metric, Standing};
use followupd_domain::{EnrollmentId, SequenceNo, Shard, TenantNo, VersionNo};
use followupd_store::codec::Format;
use followupd_store::{Key, Row, Store};

use crate::api::{Error, Funnel, Timeline};
use crate::loaded::{TenantHandle, decode, scan_all};
use crate::node::Node;
use crate::{old, record};

/// An enrollment and its whole history.
pub(crate) async fn timeline(
    node: &Node,
    tenant: &TenantHandle,
    id: EnrollmentId,
) -> Result<Timeline, Error> {
    let not_found = || Error::NotFound { what: "enrollment", name: id.to_string() };
    if id.shard() != tenant.shard {
        return Err(not_found());
    }
    let facts = record::read(&*node.store, tenant.loaded(), id).await?.ok_or_else(not_found)?;
    let record = facts.record.value;
    let mut history: Vec<Entry> = Vec::new();
    if record.spilled > 0 {
        let prefix = Key::histories(id);
        for (_, row) in scan_all(&*node.store, prefix.clone(), prefix.after_prefix()).await? {
            history.extend(decode::<Vec<Entry>>(Format::History, &row.body)?);
        }
        // The record may have been written between the two reads.
        history.truncate(record.spilled as usize);
    }
    history.extend(record.history);
    Ok(Timeline { enrollment: record.enrollment, history })
}

/// The enrollments of a contact, those that ended of late too.
pub(crate) async fn contact_enrollments(
    node: &Node,
    tenant: &TenantHandle,
    contact: &str,
) -> Result<Vec<EnrollmentId>, Error> {
    let key = Key::contact(tenant.shard, tenant.no, contact);
    let row = node.store.get(vec![key]).await?.pop().flatten();
    let not_found = || Error::NotFound { what: "contact", name: contact.to_owned() };
    let contact = old::contact(&row.ok_or_else(not_found)?.body)?;
    Ok(contact.enrollments.iter().map(|membership| membership.enrollment).collect())
}

/// The funnel of a sequence, by version.
pub(crate) async fn funnel(node: &Node, tenant: &TenantHandle, sequence: &str) -> Result<Vec<Funnel>, Error> {
    let sequence = tenant.loaded().sequence(sequence)?.no;
    counts(&*node.store, tenant.shard, tenant.no, sequence).await
}

/// How many enrollments of a sequence are on their way or paused.
pub(crate) async fn under_way(
    store: &dyn Store,
    shard: Shard,
    tenant: TenantNo,
    sequence: SequenceNo,
) -> Result<u64, Error> {
    let open = |metric: &Metric| {
        matches!(metric, Metric::Standing(Standing::Active) | Metric::Standing(Standing::Paused))
    };
    let funnels = counts(store, shard, tenant, sequence).await?;
    let counts = funnels.iter().flat_map(|funnel| &funnel.counts).filter(|(metric, _)| open(metric));
    Ok(counts.map(|(_, count)| u64::try_from(*count).unwrap_or_default()).sum())
}

async fn counts(
    store: &dyn Store,
    shard: Shard,
    tenant: TenantNo,
    sequence: SequenceNo,
) -> Result<Vec<Funnel>, Error> {
    let prefix = Key::counts(shard, tenant, sequence);
    let mut funnels: Vec<Funnel> = Vec::new();
    for (key, row) in scan_all(store, prefix.clone(), prefix.after_prefix()).await? {
        let Some((version, metric)) = metric(&prefix, &key) else { continue };
        let count = number(&row)?;
        if funnels.last().is_none_or(|funnel| funnel.version != version) {
            funnels.push(Funnel { version, counts: Vec::new() });
        }
        if let Some(funnel) = funnels.last_mut().filter(|_| count != 0) {
            funnel.counts.push((metric, count));
        }
    }
    Ok(funnels)
}

/// The number of a row that counts.
pub(crate) fn number(row: &Row) -> Result<i64, Error> {
    let body = row.body.as_ref().try_into().map_err(|_| Error::Unavailable("a counter is damaged".into()))?;
    Ok(i64::from_le_bytes(body))
}

fn metric(prefix: &Key, key: &Key) -> Option<(VersionNo, Metric)> {
    let rest = key.as_bytes().strip_prefix(prefix.as_bytes())?;
    let (version, metric) = rest.split_first_chunk::<4>()?;
    let metric: [u8; Metric::LEN] = metric.try_into().ok()?;
    Some((VersionNo(u32::from_be_bytes(*version)), Metric::from_bytes(metric)?))
}
