//! What an opt-out counts as: a mark against the channel whose message it followed, once for each person, in the commit
//! that accepts the event or the provider's word of it, whether or not an enrollment ends by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use followupd_domain::Moment;
use followupd_domain::channel::Kind;
use followupd_domain::contact::{Contact, Membership};
use followupd_domain::event::Event;
use followupd_domain::signal::{self, Counted};
use followupd_domain::suppression::Address;
use followupd_store::Key;
use followupd_store::codec::Format;

use crate::api::Error;
use crate::limits;
use crate::loaded::{Loaded, decode};
use crate::node::Node;
use crate::record::{Read, Record};
use crate::suppression::{self, Addresses};

/// What it counts as that a contact, as they were `before`, opts out of these kinds then; nothing where they had opted out
/// before, whoever else has the address, or were sent nothing that they could have been annoyed by.
pub(crate) async fn counted(
    node: &Node,
    loaded: &Arc<Loaded>,
    (out_of, at): (&BTreeSet<Kind>, Moment),
    before: &Contact,
    addresses: &Addresses,
) -> Result<Option<Counted>, Error> {
    let is_new = |kind: &Kind| !before.suppressed.contains(kind) && addresses.all_of(*kind).next().is_none();
    let kinds: BTreeSet<Kind> = out_of.iter().copied().filter(is_new).collect();
    let keys: Vec<Key> = before
        .enrollments
        .iter()
        .filter(|known| is_recent(known, at))
        .map(|known| Key::enrollment(known.enrollment))
        .collect();
    if kinds.is_empty() || keys.is_empty() {
        return Ok(None);
    }
    let rows = node.store.get(keys).await?.into_iter().flatten();
    let records = rows.map(|row| decode::<Record>(Format::Enrollment, &row.body));
    let enrollments = records.map(|read| read.map(|record| record.enrollment));
    let enrollments = enrollments.collect::<Result<Vec<_>, Error>>()?;
    Ok(signal::opted_out_after(&enrollments, &loaded.scope, &kinds, at))
}

/// Whether a contact who opts out by an event has asked to be written to again since: it was told late, or again.
pub(crate) async fn is_taken_back(
    node: &Node,
    loaded: &Loaded,
    event: &Event,
    contact: Option<&Read<Contact>>,
) -> Result<bool, Error> {
    let (Some(kind), Some(id)) = (event.channel, &event.contact) else { return Ok(false) };
    let Some(address) = contact.and_then(|contact| Address::of(kind, &contact.value, id)) else {
        return Ok(false);
    };
    let read = suppression::read(&*node.store, node.place(loaded), vec![address]).await?;
    Ok(read.is_taken_back(kind, event.occurred_at))
}

/// Whether an enrollment was open then, or had ended not long before.
fn is_recent(known: &Membership, at: Moment) -> bool {
    known.ended.is_none_or(|ended| at.since(ended.at) <= limits::REPLY_CREDIT)
}
