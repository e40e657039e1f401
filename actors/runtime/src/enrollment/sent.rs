//! What a contact was sent, in the contact's row: noted with the intent where a limit asks for it, put right with the
//! outcome.

use bytes::Bytes;
use followupd_domain::channel::{Channel, Kind};
use followupd_domain::contact::{Contact, Sent};
use followupd_domain::enrollment::OpenSend;
use followupd_domain::lane::Lane;
use followupd_domain::ledger::{Recipients, START_WITHIN};
use followupd_domain::{AccountNo, ChannelNo, Moment, Span, limits};
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
    /// The contact among the recipients of the channel and of its account; nothing where these have no limit.
    pub(super) recipients: Vec<LedgerChange>,
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
    let counts = counts_of_new(facts, channel, Some(now));
    let mut contact = facts.contact.value.clone();
    let counted_at = intended_at + START_WITHIN;
    if gaps {
        contact.note(Sent { channel: channel.no, counted_at });
    }
    if !counts.is_empty() {
        // What no day holds any more says nothing.
        contact.recipient_of.retain(|_, at| *at + REMEMBERED > intended_at);
        contact.recipient_of_accounts.retain(|_, at| *at + REMEMBERED > intended_at);
    }
    let recipients = counts.iter().map(|Counting { by, cap, key, before }| {
        by.note(&mut contact, channel.no, counted_at);
        let before = before.filter(|at| *at + REMEMBERED > intended_at);
        let op = LedgerOp::Recipient { cap: *cap, now: intended_at, before, counted_at };
        LedgerChange { key: key.clone(), op }
    });
    let recipients: Vec<LedgerChange> = recipients.collect();
    let contact = if gaps || !recipients.is_empty() { row(facts, &contact)? } else { None };
    Ok(Noted { contact, recipients })
}

/// What counts the people it writes to.
enum CountedBy {
    Channel,
    Account(AccountNo),
}

impl CountedBy {
    /// Notes when the contact is counted.
    fn note(&self, contact: &mut Contact, channel: ChannelNo, at: Moment) {
        match self {
            CountedBy::Channel => contact.recipient_of.insert(channel, at),
            CountedBy::Account(no) => contact.recipient_of_accounts.insert(*no, at),
        };
    }
}

/// A cap of new recipients that a send counts against.
struct Counting {
    by: CountedBy,
    cap: u32,
    key: Key,
    /// When the contact was counted last.
    before: Option<Moment>,
}

/// The caps that a send at `now` counts against: the channel's, and that of its account. WhatsApp counts nobody who wrote
/// within the 24 h before, as far as it knows; `None`: whoever wrote.
fn counts_of_new(facts: &Facts, channel: &Channel, now: Option<Moment>) -> Vec<Counting> {
    let contact = &facts.contact.value;
    let inbound = contact.inbound.get(&channel.kind).filter(|_| channel.kind == Kind::Whatsapp);
    let wrote = |now: Moment| {
        inbound.is_some_and(|at| (now + START_WITHIN).since(*at) < limits::SERVICE_WINDOW)
            && !facts.enrollment().found_shut()
    };
    if now.is_some_and(wrote) {
        return Vec::new();
    }
    let (shard, tenant) = (facts.loaded.shard, facts.enrollment().tenant);
    let own = channel.limits.new_recipients.map(|cap| Counting {
        by: CountedBy::Channel,
        cap,
        key: Key::recipients(shard, Lane { tenant, channel: channel.no }),
        before: contact.recipient_of.get(&channel.no).copied(),
    });
    let account = facts.loaded.scope.account_of(channel.no);
    let shared = account.and_then(|account| {
        Some(Counting {
            by: CountedBy::Account(account.no),
            cap: account.new_recipients?,
            key: Key::account_recipients(shard, tenant, account.no),
            before: contact.recipient_of_accounts.get(&account.no).copied(),
        })
    });
    own.into_iter().chain(shared).collect()
}

/// Whether the contact would be a new recipient of the channel or its account, at a moment of engine time.
pub(crate) fn is_new(facts: &Facts, channel: &Channel, now: Moment) -> bool {
    let known = |counting: &Counting| counting.before.is_some_and(|before| Recipients::holds(now, before));
    !counts_of_new(facts, channel, Some(now)).iter().all(known)
}

/// When there is room for the contact among the recipients of the channel and its account, in engine time; nothing where
/// there is now.
pub(super) async fn room_at(
    node: &Node,
    facts: &Facts,
    channel: &Channel,
    now: Moment,
) -> Result<Option<Moment>, Error> {
    let counts = counts_of_new(facts, channel, Some(now));
    if counts.is_empty() {
        return Ok(None);
    }
    let rows = node.store.get(counts.iter().map(|counting| counting.key.clone()).collect()).await?;
    let mut room_at = None;
    for (counting, row) in counts.iter().zip(rows) {
        let known = row.map(|row| Recipients::decode(&row.body)).transpose();
        let known = known.map_err(|error| Error::Unavailable(error.to_string()))?.unwrap_or_default();
        room_at = room_at.max(known.room_at(counting.cap, node.engine_now(), counting.before));
    }
    Ok(room_at)
}

/// What an outcome says of an open send.
pub(super) struct Right {
    /// The facts with the contact as it is right.
    pub(super) facts: Facts,
    /// The contact among the recipients of the channel and its account, where it is counted later than before.
    pub(super) recipients: Vec<LedgerChange>,
}

/// Taken back when it surely did not reach the contact, moved when it began later than it was thought to: one that a
/// later process called again. Nothing where that changes nothing.
pub(super) fn put_right(
    node: &Node,
    facts: &Facts,
    open: &OpenSend,
    surely_not: bool,
    began_at: Option<Moment>,
) -> Option<Right> {
    let sent = Sent { channel: open.channel, counted_at: open.charge.at + START_WITHIN };
    let mut right = facts.clone();
    let (contact, mut recipients) = (&mut right.contact.value, Vec::new());
    let changed = match (surely_not, began_at) {
        (true, _) => contact.take_back(sent),
        (false, Some(at)) => {
            recipients = count_again(node, facts, sent, at, contact);
            contact.began(sent, at)
        }
        (false, None) => false,
    };
    (changed || !recipients.is_empty()).then_some(Right { facts: right, recipients })
}

/// Counts a contact later among those who count it, where a call to it began after what they have. It adds nobody, and
/// nothing refuses it: the call is made. Whom the intent did not count, for they had written, has an older moment at most,
/// and stays uncounted.
fn count_again(
    node: &Node,
    facts: &Facts,
    sent: Sent,
    began_at: Moment,
    contact: &mut Contact,
) -> Vec<LedgerChange> {
    let Some(channel) = facts.loaded.scope.channels.get(&sent.channel) else { return Vec::new() };
    let now = node.engine_now();
    // Who was counted stays so, whatever they wrote meanwhile.
    let counts = counts_of_new(facts, channel, None).into_iter();
    let is_late = |before: Moment| sent.counted_at <= before && before < began_at;
    let late = counts.filter(|counting| counting.before.is_some_and(is_late));
    let again = late.map(|Counting { by, key, before, .. }| {
        by.note(contact, channel.no, now);
        LedgerChange { key, op: LedgerOp::Recipient { cap: u32::MAX, now, before, counted_at: now } }
    });
    again.collect()
}

/// The contact's row as these facts have it.
pub(super) fn row(facts: &Facts, contact: &Contact) -> Result<Option<(Key, Bytes)>, Error> {
    let mut commit = Commit::new(Class::Outcome, facts.enrollment().tenant, facts.loaded.shard);
    record::put(&mut commit, facts.contact.key.clone(), Format::Contact3, contact)?;
    Ok(commit.puts.pop())
}
