//! What a contact was sent, in the contact's row: noted with the intent where a limit asks for it, put right with the
//! outcome.

use bytes::Bytes;
use followupd_domain::channel::{Channel, Kind};
use followupd_domain::contact::{Contact, Sent};
use followupd_domain::enrollment::OpenSend;
use followupd_domain::lane::Lane;
use followupd_domain::ledger::{Recipients, START_WITHIN};
use followupd_domain::{Moment, Span, limits};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Key, LedgerChange, LedgerOp};

use crate::api::Error;
use crate::node::Node;
use crate::record::{self, Facts};

/// Longer than a moving day counts anybody, a 64th of it included.
const REMEMBERED: Span = Span::hours(25);

/// What an intent writes of this besides itself.
#[derive(Default)]
pub(super) struct Noted {
    /// The contact's row; nothing where no limit asks for it.
    pub(super) contact: Option<(Key, Bytes)>,
    /// The contact among the channel's recipients; nothing where these have no limit.
    pub(super) recipient: Option<LedgerChange>,
}

/// One more send to the contact, intended at that moment of engine time. An intent expects the contact's row as it was
/// read, so that of two sends to one contact the second sees the first.
pub(super) fn note(
    facts: &Facts,
    channel: &Channel,
    now: Moment,
    intended_at: Moment,
) -> Result<Noted, Error> {
    let tenant = &facts.loaded.scope.tenant;
    let caps = tenant.contact_per_day.is_some() || tenant.contact_per_week.is_some();
    let gaps = channel.limits.recipient_gap.is_some() || (caps && channel.kind != Kind::Webhook);
    let new = cap_of_new(facts, channel, now);
    let mut contact = facts.contact.value.clone();
    let counted_at = intended_at + START_WITHIN;
    if gaps {
        contact.note(Sent { channel: channel.no, counted_at });
    }
    let recipient = new.map(|cap| {
        // What no day holds any more says nothing.
        contact.recipient_of.retain(|_, at| *at + REMEMBERED > intended_at);
        let before = contact.recipient_of.insert(channel.no, counted_at);
        let op = LedgerOp::Recipient { cap, now: intended_at, before, counted_at };
        LedgerChange { key: recipients(facts, channel), op }
    });
    let contact = if gaps || new.is_some() { row(facts, &contact)? } else { None };
    Ok(Noted { contact, recipient })
}

/// The cap that this send counts against. WhatsApp counts nobody who wrote within the 24 h before.
fn cap_of_new(facts: &Facts, channel: &Channel, now: Moment) -> Option<u32> {
    let inbound = facts.contact.value.last_inbound_at;
    let wrote = inbound.is_some_and(|at| (now + START_WITHIN).since(at) < limits::SERVICE_WINDOW);
    channel.limits.new_recipients.filter(|_| channel.kind != Kind::Whatsapp || !wrote)
}

fn recipients(facts: &Facts, channel: &Channel) -> Key {
    let lane = Lane { tenant: facts.enrollment().tenant, channel: channel.no };
    Key::recipients(facts.loaded.shard, lane)
}

/// When there is room for the contact among the channel's recipients, in engine time; nothing where there is now.
pub(super) async fn room_at(
    node: &Node,
    facts: &Facts,
    channel: &Channel,
    now: Moment,
) -> Result<Option<Moment>, Error> {
    let Some(cap) = cap_of_new(facts, channel, now) else { return Ok(None) };
    let row = node.store.get(vec![recipients(facts, channel)]).await?.pop().flatten();
    let known = row.map(|row| Recipients::decode(&row.body)).transpose();
    let known = known.map_err(|error| Error::Unavailable(error.to_string()))?.unwrap_or_default();
    let before = facts.contact.value.recipient_of.get(&channel.no).copied();
    Ok(known.room_at(cap, node.engine_now(), before))
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
