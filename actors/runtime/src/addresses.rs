//! Contacts by their addresses: whom somebody is who writes to one of our numbers.
//!
//! A row for each address and contact, which says all in its key, so that writing it again changes nothing. There are
//! such rows only where a channel is told by its provider what contacts write: enrolls and events write them, and a sweep
//! those of contacts from before there was such a channel. A row of its own says when that has been done: until then
//! nobody who writes is known to be no contact.

use followupd_domain::contact::Contact;
use followupd_domain::scope::Scope;
use followupd_domain::suppression::Address;
use followupd_store::{Class, Commit, Expect, Key, Refused, Row, Store};

use crate::api::Error;
use crate::loaded::scan_all;
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

/// Writes down the numbers of these contacts that are not: they are from before a channel was told anything. One that
/// changes meanwhile is written down by what changes it.
pub(crate) async fn note_missing(
    store: &dyn Store,
    place: Place,
    contacts: &[(Key, Row)],
) -> Result<(), Error> {
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
    for written in futures::future::join_all(commits).await {
        match written {
            Ok(_) | Err(Refused::Stale(_)) => {}
            Err(error) => return Err(refused(error)),
        }
    }
    Ok(())
}

/// Whether all contacts are written down by now.
pub(crate) async fn are_known(store: &dyn Store, place: Place) -> Result<bool, Error> {
    let known = Key::addresses_known(place.shard, place.tenant);
    Ok(store.get(vec![known]).await?.pop().flatten().is_some())
}

/// Keeps whether all contacts are written down.
pub(crate) async fn set_known(store: &dyn Store, place: Place, known: bool) -> Result<(), Error> {
    if are_known(store, place).await? == known {
        return Ok(());
    }
    let (key, mut commit) = (
        Key::addresses_known(place.shard, place.tenant),
        Commit::new(Class::Event, place.tenant, place.shard),
    );
    if known {
        commit.puts.push((key, bytes::Bytes::new()));
    } else {
        commit.deletes.push(key);
    }
    store.commit(commit).await.map(drop).map_err(refused)
}

/// Writes down a contact's number where somebody may write by it, and takes out the one it had before.
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
    commit.deletes.extend(before.filter(|before| Some(before) != after.as_ref()));
    if is_told(scope) {
        commit.puts.extend(after.map(|after| (after, bytes::Bytes::new())));
    }
}

/// Takes a contact's addresses out again.
pub(crate) fn forget(place: Place, id: &str, contact: &Contact, commit: &mut Commit) {
    commit.deletes.extend(reachable(contact).iter().map(|address| place.address(address, id)));
}

/// The contacts that have an address, as far as they were written down.
pub(crate) async fn contacts(
    store: &dyn Store,
    place: Place,
    address: &Address,
) -> Result<Vec<String>, Error> {
    let prefix = Key::at_address(place.shard, place.tenant, address.hash(place.key, place.tenant));
    let rows = scan_all(store, prefix.clone(), prefix.after_prefix()).await?;
    Ok(rows.iter().filter_map(|(key, _)| key.to_address_contact().map(str::to_owned)).collect())
}
