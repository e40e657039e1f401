//! Contacts by their addresses: whom somebody is who writes to one of our numbers.
//!
//! A row for each address and contact, which says all in its key, so that writing it again changes nothing. There are
//! such rows only where a channel is told by its provider what contacts write: enrolls and events write them, and a sweep
//! those of contacts from before there was such a channel. A row of its own says when that has been done: until then
//! nobody who writes is known to be no contact.

use followupd_domain::channel::Channel;
use followupd_domain::contact::Contact;
use followupd_domain::scope::Scope;
use followupd_domain::suppression::Address;
use followupd_store::{Class, Commit, Expect, Key, Refused, Row, Scan, Store};

use crate::api::Error;
use crate::limits;
use crate::old;
use crate::settings::refused;
use crate::suppression::{Place, reachable};

impl Place {
    fn address(self, address: &Address, contact: &str) -> Key {
        Key::address(self.shard, self.tenant, address.hash(self.key, self.tenant), contact)
    }
}

/// Whether somebody may be told to us by their number alone.
pub(crate) fn is_told(scope: &Scope) -> bool {
    scope.channels.values().any(|channel| channel.transport.is_told())
}

/// Writes down the numbers of these contacts that are not: they are from before a channel was told anything. Whether all
/// are; one that changed meanwhile may not be.
pub(crate) async fn note_missing(
    store: &dyn Store,
    place: Place,
    contacts: &[(Key, Row)],
) -> Result<bool, Error> {
    let mut wanted = Vec::new();
    for (key, row) in contacts {
        let (Some(id), contact) = (key.to_contact(), old::contact(&row.body)?) else { continue };
        let Some(phone) = contact.phone else { continue };
        let expect = Expect { key: key.clone(), version: Some(row.version) };
        wanted.push((place.address(&Address::Phone(phone), id), expect));
    }
    let found = store.get(wanted.iter().map(|(address, _)| address.clone()).collect()).await?;
    let missing = wanted.into_iter().zip(found).filter(|(_, found)| found.is_none());
    let commits = missing.map(|((address, expect), _)| {
        let mut commit = Commit::new(Class::Event, place.tenant, place.shard);
        commit.expects.push(expect);
        commit.puts.push((address, bytes::Bytes::new()));
        store.commit(commit)
    });
    let mut all = true;
    for written in futures::future::join_all(commits).await {
        match written {
            Ok(_) => {}
            Err(Refused::Stale(_)) => all = false,
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(all)
}

/// What the row holds that says how far the index is, while contacts are being written down; empty when all are. Where
/// nobody may be told by number there is no such row.
const BEGUN: &[u8] = &[1];

async fn mark(store: &dyn Store, place: Place) -> Result<Option<Row>, Error> {
    let key = Key::addresses_known(place.shard, place.tenant);
    Ok(store.get(vec![key]).await?.pop().flatten())
}

/// Whether all contacts are written down by now.
pub(crate) async fn are_known(store: &dyn Store, place: Place) -> Result<bool, Error> {
    Ok(mark(store, place).await?.is_some_and(|row| row.body.is_empty()))
}

/// A channel is put, and with it perhaps the first that may be told something by number, or none is left: said in the
/// same commit, which whoever writes a contact on the scope from before runs into (see [`note`]).
pub(crate) fn turn(place: Place, scope: &Scope, channel: &Channel, commit: &mut Commit) {
    let mut others = scope.channels.values().filter(|known| known.no != channel.no);
    let is_told = channel.transport.is_told() || others.any(|known| known.transport.is_told());
    let key = Key::addresses_known(place.shard, place.tenant);
    match (self::is_told(scope), is_told) {
        (false, true) => commit.puts.push((key, BEGUN.into())),
        (true, false) => commit.deletes.push(key),
        (true, true) | (false, false) => {}
    }
}

/// Contacts are written down from the first one on: said where nothing says so yet, in a store of before.
pub(crate) async fn begin(store: &dyn Store, place: Place) -> Result<(), Error> {
    match mark(store, place).await? {
        Some(_) => Ok(()),
        None => set_mark(store, place, None, Some(BEGUN)).await.map(drop),
    }
}

/// Nobody may be told by number: what says how far contacts are written down goes, where a put could not take it along.
pub(crate) async fn end(store: &dyn Store, place: Place) -> Result<(), Error> {
    match mark(store, place).await? {
        Some(row) => set_mark(store, place, Some(&row), None).await.map(drop),
        None => Ok(()),
    }
}

/// All contacts are written down that there were when it was said that this begins; whether it was.
pub(crate) async fn finish(store: &dyn Store, place: Place) -> Result<bool, Error> {
    match mark(store, place).await? {
        Some(row) if row.body.is_empty() => Ok(true),
        Some(row) => set_mark(store, place, Some(&row), Some(&[])).await,
        None => Ok(false),
    }
}

/// Writes the row that says how far contacts are written down, or takes it out; whether it was as it was read.
async fn set_mark(
    store: &dyn Store,
    place: Place,
    was: Option<&Row>,
    says: Option<&'static [u8]>,
) -> Result<bool, Error> {
    let key = Key::addresses_known(place.shard, place.tenant);
    let mut commit = Commit::new(Class::Event, place.tenant, place.shard);
    commit.expects.push(Expect { key: key.clone(), version: was.map(|row| row.version) });
    match says {
        Some(says) => commit.puts.push((key, says.into())),
        None => commit.deletes.push(key),
    }
    match store.commit(commit).await {
        Ok(_) => Ok(true),
        Err(Refused::Stale(_)) => Ok(false),
        Err(error) => Err(refused(error)),
    }
}

/// Writes down a contact's number where somebody may write by it, and takes out the one it had before. Where nobody may,
/// the commit expects that this stays so: a sweep that began meanwhile could have passed the contact by.
pub(crate) fn note(
    place: Place,
    scope: &Scope,
    id: &str,
    (before, after): (Option<&str>, Option<&str>),
    commit: &mut Commit,
) {
    let row = |phone: &str| place.address(&Address::Phone(phone.to_owned()), id);
    let (before, after) = (before.map(row), after.map(row));
    // It may have been written down while a channel was told something, whether or not one is now.
    let is_new = after.is_some() && before != after;
    commit.deletes.extend(before.filter(|before| Some(before) != after.as_ref()));
    if is_told(scope) {
        commit.puts.extend(after.map(|after| (after, bytes::Bytes::new())));
    } else if is_new {
        let key = Key::addresses_known(place.shard, place.tenant);
        commit.expects.push(Expect { key, version: None });
    }
}

/// Takes a contact's addresses out again.
pub(crate) fn forget(place: Place, id: &str, contact: &Contact, commit: &mut Commit) {
    commit.deletes.extend(reachable(contact).iter().map(|address| place.address(address, id)));
}

/// The contacts that have an address, as far as they were written down, up to a bound.
pub(crate) async fn contacts(
    store: &dyn Store,
    place: Place,
    address: &Address,
) -> Result<Vec<String>, Error> {
    let from = Key::at_address(place.shard, place.tenant, address.hash(place.key, place.tenant));
    let to = from.after_prefix();
    let rows = store.scan(Scan { from, to, limit: limits::CONTACTS_OF_AN_ADDRESS }).await?;
    if rows.len() == limits::CONTACTS_OF_AN_ADDRESS {
        tracing::warn!(
            tenant = place.tenant.0,
            contacts = rows.len(),
            "more contacts have one number than hear of what it writes"
        );
    }
    Ok(rows.iter().filter_map(|(key, _)| key.to_address_contact().map(str::to_owned)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaded::Loaded;
    use crate::settings::new_tenant;
    use followupd_domain::name::Name;
    use followupd_domain::{IdKey, TenantNo, route};
    use followupd_store::memory::Memory;

    #[tokio::test]
    async fn who_is_written_on_a_scope_from_before_somebody_was_told_by_number_is_written_anew() {
        let (store, tenant) = (Memory::default(), TenantNo(1));
        let place = Place { key: IdKey([7; 16]), shard: route(tenant, ""), tenant };
        let scope = Loaded::of_new(new_tenant(tenant, Name::parse("acme").unwrap())).scope;
        let noted = |before: Option<&str>| {
            let mut commit = Commit::new(Class::Enroll, tenant, place.shard);
            note(place, &scope, "ana", (before, Some("+15550100")), &mut commit);
            store.commit(commit)
        };
        assert!(noted(None).await.is_ok());
        begin(&store, place).await.unwrap();
        assert!(matches!(noted(None).await, Err(Refused::Stale(_))));
        assert!(noted(Some("+15550100")).await.is_ok(), "the sweep finds it where it was");
        assert!(!are_known(&store, place).await.unwrap());
        assert!(finish(&store, place).await.unwrap() && are_known(&store, place).await.unwrap());
        assert!(matches!(noted(None).await, Err(Refused::Stale(_))));
        end(&store, place).await.unwrap();
        assert!(noted(None).await.is_ok(), "nobody is told any more");
    }

    #[tokio::test]
    async fn a_contact_that_changes_while_it_is_to_be_written_down_is_looked_at_again() {
        let (store, tenant) = (Memory::default(), TenantNo(1));
        let place = Place { key: IdKey([7; 16]), shard: route(tenant, ""), tenant };
        let key = Key::contact(place.shard, tenant, "ana");
        let contact = Contact { phone: Some("+15550100".into()), ..Contact::default() };
        let write = || {
            let mut commit = Commit::new(Class::Outcome, tenant, place.shard);
            let body = followupd_store::codec::encode(followupd_store::codec::Format::Contact3, &contact);
            commit.puts.push((key.clone(), body.unwrap()));
            store.commit(commit)
        };
        let read = async || {
            let row = store.get(vec![key.clone()]).await.unwrap().pop().flatten().unwrap();
            vec![(key.clone(), row)]
        };
        write().await.unwrap();
        let before = read().await;
        write().await.unwrap();
        assert!(!note_missing(&store, place, &before).await.unwrap());
        assert!(note_missing(&store, place, &read().await).await.unwrap());
        let address = Address::Phone("+15550100".into());
        assert_eq!(contacts(&store, place, &address).await.unwrap(), ["ana"]);
    }
}
