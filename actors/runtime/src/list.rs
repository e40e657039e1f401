//! Lists of enrollments, a page at a time: where a filter's enrollments are looked for, and which of them pass.
//!
//! The rows of one page are read as of one moment. Where no index serves a filter, a page looks at a bounded number of
//! rows and may hold few or none; its `next` says that there is more to look at.

use followupd_domain::contact::Contact;
use followupd_domain::filter::{Filter, Way};
use followupd_domain::lane::{HoldGroup, Lane, PriorityClass, WakeRow};
use followupd_domain::target::Target;
use followupd_domain::{ChannelNo, EnrollmentId, Moment};
use followupd_store::codec::Format;
use followupd_store::keys::Table;
use followupd_store::{Key, Row, Scan};

use crate::api::{EnrollmentPage, Error, IdPage};
use crate::limits;
use crate::loaded::{TenantHandle, decode};
use crate::node::Node;
use crate::record::{Record, read_contact};

/// A place in a list. Lists that are not in due order have zero for the moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    due_at: Moment,
    id: EnrollmentId,
}

impl Place {
    fn of(id: EnrollmentId) -> Place {
        Place { due_at: Moment(0), id }
    }

    fn to_bytes(self) -> Vec<u8> {
        [&self.due_at.0.to_be_bytes()[..], self.id.as_bytes()].concat()
    }

    fn from_bytes(bytes: &[u8]) -> Option<Place> {
        let (due_at, id) = bytes.split_first_chunk::<8>()?;
        let id = EnrollmentId::from_bytes(id.try_into().ok()?);
        Some(Place { due_at: Moment(i64::from_be_bytes(*due_at)), id })
    }
}

/// Enrollments that may pass, in the list's order, and whether there are more behind them.
struct Candidates {
    rows: Vec<(Place, Option<Row>)>,
    more: bool,
}

/// A page of the enrollments of a filter, from where the one before it ended.
pub(crate) async fn page(
    node: &Node,
    tenant: &TenantHandle,
    filter: &Filter,
    from: Option<&[u8]>,
    limit: usize,
) -> Result<EnrollmentPage, Error> {
    let after = from.and_then(Place::from_bytes);
    let found = match filter.way() {
        Way::Contact(contact) => {
            let key = Key::contact(tenant.shard, tenant.no, contact);
            let row = node.store.get(vec![key.clone()]).await?.pop().flatten();
            let known: Contact = read_contact(key, row)?.value;
            let ids = known.enrollments.iter().map(|membership| membership.enrollment);
            indexed(node, ids.collect(), after).await?
        }
        Way::Target(target) => {
            let key = Key::target(tenant.shard, tenant.no, target);
            let known: Target = one(node, key, Format::Target).await?.unwrap_or_default();
            indexed(node, known.enrollments, after).await?
        }
        Way::Due => due(node, tenant, filter, after).await?,
        Way::All => all(node, tenant, after).await?,
    };
    passing(tenant, filter, found, limit)
}

/// A page of all enrollments of a contact: those its row indexes; where it remembers of others only that they ended, all
/// there are are looked through.
pub(crate) async fn of_contact(
    node: &Node,
    tenant: &TenantHandle,
    id: &str,
    known: &Contact,
    from: Option<&[u8]>,
    limit: usize,
) -> Result<EnrollmentPage, Error> {
    let after = from.and_then(Place::from_bytes);
    let found = if known.rests.is_empty() {
        let ids = known.enrollments.iter().map(|membership| membership.enrollment);
        indexed(node, ids.collect(), after).await?
    } else {
        all(node, tenant, after).await?
    };
    passing(tenant, &Filter { contact: Some(id.to_owned()), ..Filter::default() }, found, limit)
}

/// The place behind an enrollment, in a list in the order they began.
pub(crate) fn after(id: EnrollmentId) -> Vec<u8> {
    Place::of(id).to_bytes()
}

/// Those that pass, up to a page of them.
fn passing(
    tenant: &TenantHandle,
    filter: &Filter,
    found: Candidates,
    limit: usize,
) -> Result<EnrollmentPage, Error> {
    let (mut enrollments, mut bytes) = (Vec::new(), 0);
    let (mut last, mut rest) = (None, found.rows.into_iter());
    let mut full = false;
    for (place, row) in rest.by_ref() {
        last = Some(place);
        let Some(row) = row else { continue };
        let record: Record = decode(Format::Enrollment, &row.body)?;
        // A wake row that was read may be another's by the time its enrollment is.
        let moved = place.due_at != Moment(0)
            && record.enrollment.wake.is_none_or(|wake| wake.due_at != place.due_at);
        if record.enrollment.tenant == tenant.no && !moved && filter.passes(&record.enrollment) {
            enrollments.push(record.enrollment);
            bytes += row.body.len();
        }
        full = enrollments.len() >= limit || bytes >= limits::LIST_BYTES;
        if full {
            break;
        }
    }
    let more = found.more || (full && rest.len() > 0);
    Ok(EnrollmentPage { enrollments, next: last.filter(|_| more).map(Place::to_bytes) })
}

async fn one<T: serde::de::DeserializeOwned>(
    node: &Node,
    key: Key,
    format: Format,
) -> Result<Option<T>, Error> {
    let row = node.store.get(vec![key]).await?.pop().flatten();
    row.map(|row| decode(format, &row.body)).transpose()
}

/// The rows of enrollments whose ids an index names.
async fn indexed(node: &Node, mut ids: Vec<EnrollmentId>, after: Option<Place>) -> Result<Candidates, Error> {
    ids.sort();
    let places = ids.into_iter().map(Place::of).filter(|place| after.is_none_or(|after| *place > after));
    let places: Vec<Place> = places.collect();
    rows(node, places).await
}

async fn rows(node: &Node, mut places: Vec<Place>) -> Result<Candidates, Error> {
    let more = places.len() > limits::LIST_LOOKS;
    places.truncate(limits::LIST_LOOKS);
    let rows = node.store.get(places.iter().map(|place| Key::enrollment(place.id)).collect()).await?;
    Ok(Candidates { rows: places.into_iter().zip(rows).collect(), more })
}

/// The wakes of all queues of all lanes, merged in the order they are due.
async fn due(
    node: &Node,
    tenant: &TenantHandle,
    filter: &Filter,
    after: Option<Place>,
) -> Result<Candidates, Error> {
    let begin = filter.due_from.unwrap_or(Moment(0));
    let prefix = Key::lanes(tenant.shard, tenant.no);
    let mut from = prefix.clone();
    let mut places: Vec<Place> = Vec::new();
    loop {
        let next = Scan { from, to: prefix.after_prefix(), limit: 1 };
        let Some(first) = node.store.scan(next).await?.first().and_then(|(key, _)| key.to_wake()) else {
            break;
        };
        let queue = Key::queue(tenant.shard, first.lane, &first.queue);
        let until = filter.due_until.map(|until| Key::due(tenant.shard, first.lane, &first.queue, until));
        let begins = Key::due(tenant.shard, first.lane, &first.queue, begin);
        let behind = after.map(|Place { due_at, id: enrollment }| {
            Key::wake(&WakeRow { due_at, enrollment, ..first }).successor()
        });
        let range = Scan {
            from: behind.map_or_else(|| begins.clone(), |behind| behind.max(begins.clone())),
            to: until.unwrap_or_else(|| queue.after_prefix()),
            // One more than is looked at says whether there are more.
            limit: limits::LIST_LOOKS + 1,
        };
        let wakes = if range.from < range.to { node.store.scan(range).await? } else { Vec::new() };
        let wakes = wakes.iter().filter_map(|(key, _)| key.to_wake());
        places.extend(wakes.map(|wake| Place { due_at: wake.due_at, id: wake.enrollment }));
        places.sort();
        places.truncate(limits::LIST_LOOKS + 1);
        from = queue.after_prefix();
    }
    rows(node, places).await
}

/// The enrollments of the tenant's shard, in the order they began.
async fn all(node: &Node, tenant: &TenantHandle, after: Option<Place>) -> Result<Candidates, Error> {
    let prefix = Key::table(Table::Enrollment, tenant.shard);
    let from = after.map_or_else(|| prefix.clone(), |after| Key::enrollment(after.id).successor());
    let scan = Scan { from, to: prefix.after_prefix(), limit: limits::LIST_LOOKS + 1 };
    let mut rows = node.store.scan(scan).await?;
    let more = rows.len() > limits::LIST_LOOKS;
    rows.truncate(limits::LIST_LOOKS);
    let placed = rows.into_iter().map(|(key, row)| match key.to_enrollment() {
        Some(id) => Ok((Place::of(id), Some(row))),
        None => Err(Error::Unavailable("an enrollment's key is damaged".to_owned())),
    });
    Ok(Candidates { rows: placed.collect::<Result<_, Error>>()?, more })
}

/// A page of the enrollments a tenant has in quarantine, those of the highest priority class first.
pub(crate) async fn quarantined(
    node: &Node,
    tenant: &TenantHandle,
    from: Option<Vec<u8>>,
    limit: usize,
) -> Result<IdPage, Error> {
    let lane = Lane { tenant: tenant.no, channel: ChannelNo::CONTROL };
    let from = from.map(Key::from_bytes);
    let mut keys: Vec<Key> = Vec::new();
    for class in [PriorityClass::Transactional, PriorityClass::Normal, PriorityClass::Bulk] {
        let prefix = Key::apart(tenant.shard, lane, class, HoldGroup::Quarantine);
        let begin = from.clone().map_or_else(|| prefix.clone(), |from| from.max(prefix.clone()));
        let scan = Scan { from: begin, to: prefix.after_prefix(), limit: limit + 1 - keys.len() };
        if scan.limit > 0 && scan.from < scan.to {
            keys.extend(node.store.scan(scan).await?.into_iter().map(|(key, _)| key));
        }
    }
    let more = keys.len() > limit;
    keys.truncate(limit);
    let next = keys.last().filter(|_| more).map(|key| key.successor().as_bytes().to_vec());
    let ids = keys.iter().filter_map(Key::to_wake).map(|wake| wake.enrollment).collect();
    Ok(IdPage { ids, next })
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::Shard;

    #[test]
    fn a_place_survives_its_bytes_and_sorts_by_due() {
        let place = |due, n| Place { due_at: Moment(due), id: EnrollmentId::new(Moment(7), Shard(1), n) };
        assert_eq!(Place::from_bytes(&place(9, 1).to_bytes()), Some(place(9, 1)));
        assert!(place(9, 9) < place(10, 1) && place(9, 1) < place(9, 2));
        assert_eq!(Place::from_bytes(&[1, 2, 3]), None);
    }
}
