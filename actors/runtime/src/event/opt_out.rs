//! What an opt-out counts as: a mark against the channel whose message it followed, once for each person, in the commit
//! that accepts the event, whether or not an enrollment ends by it.

use std::collections::BTreeSet;
use std::sync::Arc;

use followupd_domain::channel::Kind;
use followupd_domain::contact::{Contact, Membership};
use followupd_domain::signal::{self, Counted};
use followupd_domain::{Moment, Span};
use followupd_store::Key;
use followupd_store::codec::Format;

use crate::api::Error;
use crate::limits;
use crate::loaded::{Loaded, decode};
use crate::node::Node;
use crate::record::Record;
use crate::suppression::Addresses;

/// What it counts as that a contact, as they were `before`, opts out of these kinds then; nothing where they had opted out
/// before, or were sent nothing that they could have been annoyed by.
pub(super) async fn counted(
    node: &Node,
    loaded: &Arc<Loaded>,
    (out_of, at): (&BTreeSet<Kind>, Moment),
    before: &Contact,
    addresses: &Addresses,
) -> Result<Option<Counted>, Error> {
    let is_new = |kind: &Kind| {
        !before.suppressed.contains(kind) && !addresses.all_of(*kind).any(|known| stood(known.since, at))
    };
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

/// Whether what is suppressed since then was so before an opt-out of that moment. The one that is told may stand at its
/// address already, by the provider's clock, which some tell in whole seconds.
fn stood(since: Moment, opted_out_at: Moment) -> bool {
    since + Span::seconds(1) <= opted_out_at
}

/// Whether an enrollment was open then, or had ended not long before.
fn is_recent(known: &Membership, at: Moment) -> bool {
    known.ended.is_none_or(|ended| at.since(ended.at) <= limits::REPLY_CREDIT)
}
