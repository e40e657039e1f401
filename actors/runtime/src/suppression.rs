//! The rows of suppressed addresses: read with a contact before it is decided on, and expected by what it decides.

use std::collections::BTreeSet;

use followupd_domain::channel::Kind;
use followupd_domain::contact::Contact;
use followupd_domain::suppression::{Address, AddressFacts, Suppression};
use followupd_domain::{IdKey, Moment, Shard, TenantNo};
use followupd_store::codec::Format;
use followupd_store::{Commit, Expect, Key, Store};

use crate::api::Error;
use crate::record::{self, Read, read_address};

/// Where the rows of a tenant's addresses lie, and the key their hashes are made with.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Place {
    pub(crate) key: IdKey,
    pub(crate) shard: Shard,
    pub(crate) tenant: TenantNo,
}

impl Place {
    pub(crate) fn row(self, address: &Address) -> Key {
        Key::suppression(self.shard, self.tenant, address.hash(self.key, self.tenant))
    }
}

/// The addresses of one contact, each with its row as read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Addresses(Vec<(Address, Read<AddressFacts>)>);

/// Mailbox and number of a contact.
pub(crate) fn reachable(contact: &Contact) -> Vec<Address> {
    let email = contact.email.clone().map(Address::Email);
    email.into_iter().chain(contact.phone.clone().map(Address::Phone)).collect()
}

/// All addresses of a contact, its id among them.
pub(crate) fn all(contact: &Contact, id: &str) -> Vec<Address> {
    let mut addresses = vec![Address::Contact(id.to_owned())];
    addresses.extend(reachable(contact));
    addresses
}

/// Reads the rows of these addresses.
pub(crate) async fn read(
    store: &dyn Store,
    place: Place,
    addresses: Vec<Address>,
) -> Result<Addresses, Error> {
    Ok(read_each(store, place, vec![addresses]).await?.pop().unwrap_or_default())
}

/// Reads the rows of many contacts' addresses at once.
pub(crate) async fn read_each(
    store: &dyn Store,
    place: Place,
    all: Vec<Vec<Address>>,
) -> Result<Vec<Addresses>, Error> {
    let keys: Vec<Key> = all.iter().flatten().map(|address| place.row(address)).collect();
    let rows = if keys.is_empty() { Vec::new() } else { store.get(keys.clone()).await? };
    let mut rows = keys.into_iter().zip(rows);
    let each = all.into_iter().map(|addresses| {
        let read = addresses
            .into_iter()
            .zip(rows.by_ref())
            .map(|(address, (key, row))| Ok((address, read_address(key, row)?)));
        read.collect::<Result<_, Error>>().map(Addresses)
    });
    each.collect()
}

impl Addresses {
    /// Tells a contact which kinds its addresses are suppressed for, and who wrote from them while nobody was known to
    /// have them. What was known of its id before there was a contact becomes its own.
    pub(crate) fn bar(&self, contact: &mut Contact) {
        contact.barred.clear();
        contact.unusable_until.clear();
        for (address, row) in &self.0 {
            match address {
                Address::Contact(_) => contact.suppressed.extend(row.value.kinds()),
                Address::Email(_) | Address::Phone(_) => {
                    let own = row.value.kinds().filter(|kind| address.kinds().contains(kind));
                    contact.barred.extend(own);
                    contact.unusable_until.extend(&row.value.unusable_until);
                    row.value.heard.iter().for_each(|(kind, at)| contact.hears(Some(*kind), *at));
                }
            }
        }
    }

    /// What a send of this kind expects of the address it goes to; nothing where the contact's own row says it all.
    pub(crate) fn expectation(&self, kind: Kind) -> Option<Expect> {
        let found = self.0.iter().find(|(address, _)| address.kinds().contains(&kind));
        found.filter(|(address, _)| !matches!(address, Address::Contact(_))).map(|(_, row)| row.expectation())
    }

    /// Suppresses these kinds of the contact and of each address that they need, in a commit.
    pub(crate) fn suppress(
        &self,
        kinds: &BTreeSet<Kind>,
        suppression: &Suppression,
        commit: &mut Commit,
    ) -> Result<bool, Error> {
        self.change(commit, |address, known| {
            let needed = kinds
                .iter()
                .copied()
                .filter(|kind| matches!(address, Address::Contact(_)) || address.kinds().contains(kind));
            known.add(needed, suppression);
        })
    }

    /// Whether an opt-out of a kind at that moment was taken back since, at the address it is about.
    pub(crate) fn is_taken_back(&self, kind: Kind, opted_out_at: Moment) -> bool {
        self.0.iter().any(|(_, row)| row.value.is_taken_back(kind, opted_out_at))
    }

    /// Changes the rows in a commit that expects them; one that says nothing any more goes. Whether their suppression is
    /// another then.
    pub(crate) fn change(
        &self,
        commit: &mut Commit,
        change: impl Fn(&Address, &mut AddressFacts),
    ) -> Result<bool, Error> {
        let mut suppresses = false;
        for (address, row) in &self.0 {
            let mut changed = row.value.clone();
            change(address, &mut changed);
            commit.expects.push(row.expectation());
            if changed == row.value {
                continue;
            }
            suppresses |=
                changed.standing != row.value.standing || changed.unusable_until != row.value.unusable_until;
            if changed.is_empty() {
                commit.deletes.push(row.key.clone());
            } else {
                record::put(commit, row.key.clone(), Format::AddressFacts, &changed)?;
            }
        }
        Ok(suppresses)
    }

    /// All suppressions that apply to a kind: the contact's own, and its address's.
    pub(crate) fn all_of(&self, kind: Kind) -> impl Iterator<Item = &Suppression> {
        let applies = move |address: &Address| {
            matches!(address, Address::Contact(_)) || address.kinds().contains(&kind)
        };
        let rows = self.0.iter().filter(move |(address, _)| applies(address));
        rows.filter_map(move |(_, row)| row.value.standing.get(&kind))
    }

    /// The suppression that applies to a kind: the contact's own, else its address's.
    pub(crate) fn of(&self, kind: Kind) -> Option<(&Address, &Suppression)> {
        let applies =
            |address: &Address| matches!(address, Address::Contact(_)) || address.kinds().contains(&kind);
        let mut rows = self.0.iter().filter(|(address, _)| applies(address));
        rows.find_map(|(address, row)| Some((address, row.value.standing.get(&kind)?)))
    }
}
