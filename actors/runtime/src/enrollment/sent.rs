//! What a contact was sent, in the contact's row: noted with the intent where a limit asks for it, put right with the
//! outcome.

use bytes::Bytes;
use followupd_domain::Moment;
use followupd_domain::channel::{Channel, Kind};
use followupd_domain::contact::{Contact, Sent};
use followupd_domain::enrollment::OpenSend;
use followupd_domain::ledger::START_WITHIN;
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Key};

use crate::api::Error;
use crate::record::{self, Facts};

/// The contact's row with one more send, intended at that moment of engine time; nothing where no limit asks for it.
/// An intent expects the row as it was read, so that of two sends to one contact the second sees the first.
pub(super) fn note(
    facts: &Facts,
    channel: &Channel,
    intended_at: Moment,
) -> Result<Option<(Key, Bytes)>, Error> {
    let tenant = &facts.loaded.scope.tenant;
    let caps = tenant.contact_per_day.is_some() || tenant.contact_per_week.is_some();
    let asked = channel.limits.recipient_gap.is_some() || (caps && channel.kind != Kind::Webhook);
    if !asked {
        return Ok(None);
    }
    let mut contact = facts.contact.value.clone();
    contact.note(Sent { channel: channel.no, counted_at: intended_at + START_WITHIN });
    row(facts, &contact)
}

/// The facts with what the outcome says of an open send: taken back when it surely did not reach the contact, moved
/// when it began later than it was thought to. Nothing where that changes nothing.
pub(super) fn put_right(
    facts: &Facts,
    open: &OpenSend,
    surely_not: bool,
    began_at: Option<Moment>,
) -> Option<Facts> {
    let sent = Sent { channel: open.channel, counted_at: open.charge.at + START_WITHIN };
    let mut right = facts.clone();
    let contact = &mut right.contact.value;
    let changed = match (surely_not, began_at) {
        (true, _) => contact.take_back(sent),
        (false, Some(at)) => contact.began(sent, at),
        (false, None) => false,
    };
    changed.then_some(right)
}

/// The contact's row as these facts have it.
pub(super) fn row(facts: &Facts, contact: &Contact) -> Result<Option<(Key, Bytes)>, Error> {
    let mut commit = Commit::new(Class::Outcome, facts.enrollment().tenant, facts.loaded.shard);
    record::put(&mut commit, facts.contact.key.clone(), Format::Contact2, contact)?;
    Ok(commit.puts.pop())
}
