//! What is done with contacts by hand: shown, suppressed, lifted, handed out. Erasing has a file of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use followupd_domain::Moment;
use followupd_domain::channel::Kind;
use followupd_domain::contact::Contact;
use followupd_domain::decide::enroll::Profile;
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::name;
use followupd_domain::sequence::FieldError;
use followupd_domain::suppression::{Address, AddressFacts, Suppression, Why, pseudonym};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Expect, Key, Refused};

use crate::api::{Caller, Error, EventAnswer, EventCall, Export, Known, Person, Stopped, Whom};
use crate::audit::{self, Act};
use crate::event::{self, ByHand};
use crate::loaded::TenantHandle;
use crate::node::Node;
use crate::record::{self, Read, read_contact};
use crate::settings::refused;
use crate::suppression::{self, Addresses};
use crate::{limits, list, read};

/// A contact with the rows of its addresses, as read.
pub(crate) struct Found {
    pub(crate) contact: Read<Contact>,
    pub(crate) addresses: Addresses,
}

/// Reads a contact and what is suppressed of all its addresses.
pub(crate) async fn find(node: &Node, tenant: &TenantHandle, id: &str) -> Result<Found, Error> {
    if let Err(error) = name::check_id(id) {
        let fault = FieldError { field: "contact".to_owned(), problem: error.to_string() };
        return Err(Error::Invalid(vec![fault]));
    }
    let key = Key::contact(tenant.shard, tenant.no, id);
    let row = node.store.get(vec![key.clone()]).await?.pop().flatten();
    let mut contact: Read<Contact> = read_contact(key, row)?;
    let all = suppression::all(&contact.value, id);
    let addresses = suppression::read(&*node.store, node.place(&tenant.loaded()), all).await?;
    addresses.bar(&mut contact.value);
    Ok(Found { contact, addresses })
}

pub(crate) fn not_found(id: &str) -> Error {
    Error::NotFound { what: "contact", name: id.to_owned() }
}

/// One contact, and what is suppressed of it and why.
pub(crate) async fn person(node: &Node, tenant: &TenantHandle, id: &str) -> Result<Person, Error> {
    let found = find(node, tenant, id).await?;
    if found.contact.version.is_none() {
        return Err(not_found(id));
    }
    Ok(shown(node, tenant, id, found))
}

fn shown(node: &Node, tenant: &TenantHandle, id: &str, found: Found) -> Person {
    let Found { contact: Read { value: mut contact, .. }, addresses } = found;
    let now = node.now();
    contact.unusable_until.retain(|_, until| *until > now);
    let kinds = Kind::ALL.into_iter().filter(|kind| contact.is_suppressed(*kind));
    let suppressions = kinds.map(|kind| {
        let of = addresses.of(kind);
        Known {
            kind,
            suppression: of.map(|(_, suppression)| suppression.clone()),
            by_address: !contact.suppressed.contains(&kind),
        }
    });
    let suppressions = suppressions.collect();
    Person { id: id.to_owned(), pseudonym: pseudonym(node.key, tenant.no, id), contact, suppressions }
}

/// Suppresses a contact or an address; no intent decided before passes after it is answered.
pub(crate) async fn suppress(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    whom: &Whom,
    kind: Option<Kind>,
    reason: &str,
) -> Result<Stopped, Error> {
    let id = match whom {
        Whom::Contact(id) => id,
        Whom::Address(address) => {
            let suppression = Suppression {
                since: node.now(),
                why: Why::ByHand,
                by: caller.by.clone(),
                reason: reason.to_owned(),
            };
            let kinds = kinds_of(address, kind)?;
            let change = |known: &mut AddressFacts| known.add(kinds.iter().copied(), &suppression);
            change_address(node, tenant, caller, (Act::Suppress, None), address, change).await?;
            return Ok(Stopped::default());
        }
    };
    // It is an opt-out in all but who says so.
    let now = node.now();
    let key = EventKey {
        source: "by-hand".to_owned(),
        id: node.new_enrollment_id(tenant.shard).to_string().replace("enr_", "evt_"),
    };
    let event = Event {
        key,
        kind: EventKind::ContactOptedOut,
        occurred_at: now,
        contact: Some(id.clone()),
        target: None,
        channel: kind,
        text: String::new(),
        automatic: false,
    };
    let call = EventCall { event, profile: Profile::default() };
    let what = format!("{}, {}", pseudonym(node.key, tenant.no, id), kind.map_or("all", Kind::word));
    let by_hand = ByHand { what, reason: reason.to_owned() };
    match event::accept_one(node, tenant, caller, &call, Some(&by_hand)).await? {
        EventAnswer::Accepted { exited, in_flight } => {
            Ok(Stopped { exited: exited.into_iter().map(|(id, _)| id).collect(), in_flight })
        }
        EventAnswer::Duplicate => Ok(Stopped::default()),
        EventAnswer::Refused { problem, .. } => {
            Err(Error::Invalid(vec![FieldError { field: "contact".to_owned(), problem }]))
        }
    }
}

/// Suppresses an address for these kinds of channel, as who has it wrote then; nothing where what said so was told
/// before.
pub(crate) async fn opt_out(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    address: &Address,
    (kinds, at, told): (&BTreeSet<Kind>, Moment, &EventKey),
) -> Result<(), Error> {
    let (since, why, by) = (at.min(node.now()), Why::OptedOut, caller.by.clone());
    let suppression = Suppression { since, why, by, reason: String::new() };
    let change = |known: &mut AddressFacts| known.add(kinds.iter().copied(), &suppression);
    let told = Some(told);
    change_address(node, tenant, caller, (Act::Suppress, told), address, change).await.map(drop)
}

/// Takes back what a contact opted out of until they wrote this, for itself and the address it came from; nothing of one
/// who has none.
pub(crate) async fn wants_again(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    event: &Event,
) -> Result<(), Error> {
    let (Some(id), Some(kind)) = (&event.contact, event.channel) else { return Ok(()) };
    let Found { contact, .. } = find(node, tenant, id).await?;
    let Some(address) = Address::of(kind, &contact.value, id) else { return Ok(()) };
    let whom = (&address, std::slice::from_ref(id));
    // The event's own key is written once all of this is. No event has an id like this one: it has a control character.
    let told = EventKey { id: format!("{}\u{1}in", event.key.id), ..event.key.clone() };
    opt_in(node, tenant, caller, whom, (kind, event.occurred_at, &told)).await
}

/// Takes back what an address opted out of until then, for itself and for the contacts that have it; nothing where what
/// said so was told before: they may have opted out again since.
pub(crate) async fn opt_in(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    (address, contacts): (&Address, &[String]),
    (kind, at, told): (Kind, Moment, &EventKey),
) -> Result<(), Error> {
    let key = Key::event(tenant.shard, tenant.no, told);
    if node.store.get(vec![key]).await?.pop().flatten().is_some() {
        return Ok(());
    }
    let until = at.min(node.now());
    let theirs = |known: &Suppression| known.why == Why::OptedOut && known.since <= until;
    for id in contacts {
        lift_contact(node, tenant, caller, id, Some(kind), theirs).await?;
    }
    let change = |known: &mut AddressFacts| {
        known.forget(node.now());
        known.opt_in(kind, until);
    };
    change_address(node, tenant, caller, (Act::Lift, Some(told)), address, change).await.map(drop)
}

/// Notes that somebody wrote from an address that no contact is known to have.
pub(crate) async fn hear(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    address: &Address,
    (kind, at): (Kind, Moment),
) -> Result<(), Error> {
    let change = |known: &mut AddressFacts| {
        known.hears(kind, at);
        known.forget(node.now());
    };
    change_address(node, tenant, caller, (Act::Lift, None), address, change).await.map(drop)
}

/// Lifts suppressions of a contact, its addresses among them, or of an address; whether there was any.
pub(crate) async fn lift(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    whom: &Whom,
    kind: Option<Kind>,
) -> Result<bool, Error> {
    let id = match whom {
        Whom::Contact(id) => id,
        Whom::Address(address) => {
            let kinds = kinds_of(address, kind)?;
            let change = |known: &mut AddressFacts| {
                known.lift(&kinds);
            };
            return change_address(node, tenant, caller, (Act::Lift, None), address, change).await;
        }
    };
    match lift_contact(node, tenant, caller, id, kind, |_| true).await? {
        Lifted::Nobody => Err(not_found(id)),
        Lifted::Nothing => Ok(false),
        Lifted::Some => Ok(true),
    }
}

/// What lifting came to.
enum Lifted {
    /// There is no such contact.
    Nobody,
    /// Nothing was suppressed that may be lifted.
    Nothing,
    Some,
}

/// Lifts suppressions of a contact and its addresses, where each of them that is known may be: what is written expects
/// them to be as they were looked at.
async fn lift_contact(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    id: &str,
    kind: Option<Kind>,
    may: impl Fn(&Suppression) -> bool,
) -> Result<Lifted, Error> {
    let kinds = kind.map_or_else(|| BTreeSet::from(Kind::ALL), |kind| BTreeSet::from([kind]));
    for _ in 0..limits::LOOKS {
        let Found { contact, addresses } = find(node, tenant, id).await?;
        let rests = |kind: &Kind| contact.value.unusable_until.contains_key(kind);
        let barred = |kind: &Kind| contact.value.is_suppressed(*kind) || rests(kind);
        let suppressed = || Kind::ALL.into_iter().filter(barred);
        if contact.version.is_none() && suppressed().next().is_none() {
            return Ok(Lifted::Nobody);
        }
        let all_may = kinds.iter().all(|kind| addresses.all_of(*kind).all(&may));
        if !suppressed().any(|kind| kinds.contains(&kind)) || !all_may {
            return Ok(Lifted::Nothing);
        }
        let mut commit = Commit::new(Class::Event, tenant.no, tenant.shard);
        addresses.change(&mut commit, |_, known| {
            known.lift(&kinds);
        })?;
        commit.expects.push(contact.expectation());
        if contact.version.is_some() {
            let mut lifted = contact.value.clone();
            lifted.lift(&kinds);
            record::put(&mut commit, contact.key.clone(), Format::Contact3, &lifted)?;
        }
        let what = format!("{}, {}", pseudonym(node.key, tenant.no, id), kind.map_or("all", Kind::word));
        audit::add(&mut commit, node, tenant.no, caller, Act::Lift, &what)?;
        if submit(node, commit).await? {
            return Ok(Lifted::Some);
        }
    }
    Err(Error::Overloaded { retry_after: limits::COME_BACK })
}

/// The kinds of channel that are meant of an address: the one that is named, else all that it serves.
fn kinds_of(address: &Address, kind: Option<Kind>) -> Result<BTreeSet<Kind>, Error> {
    let all = address.kinds();
    match kind {
        None => Ok(all.iter().copied().collect()),
        Some(kind) if all.contains(&kind) => Ok(BTreeSet::from([kind])),
        Some(kind) => {
            let serves: Vec<&str> = all.iter().map(|kind| kind.word()).collect();
            let problem =
                format!("{} does not reach this address: it serves {}", kind.word(), serves.join(" and "));
            Err(Error::Invalid(vec![FieldError { field: "kind".to_owned(), problem }]))
        }
    }
}

/// Changes what is known of one address; whether that changed anything. What changes of its suppression is written down
/// in the audit log. What was `told` changes it once, however often it comes.
async fn change_address(
    node: &Node,
    tenant: &TenantHandle,
    caller: &Caller,
    (act, told): (Act, Option<&EventKey>),
    address: &Address,
    change: impl Fn(&mut AddressFacts),
) -> Result<bool, Error> {
    let place = node.place(&tenant.loaded());
    for _ in 0..limits::LOOKS {
        let addresses = suppression::read(&*node.store, place, vec![address.clone()]).await?;
        let mut commit = Commit::new(Class::Exit, tenant.no, tenant.shard);
        let audited = addresses.change(&mut commit, |_, known| change(known))?;
        if let Some(told) = told {
            let key = Key::event(tenant.shard, tenant.no, told);
            if node.store.get(vec![key.clone()]).await?.pop().flatten().is_some() {
                return Ok(false);
            }
            commit.expects.push(Expect { key: key.clone(), version: None });
            record::put(&mut commit, key, Format::Event, &node.now())?;
        }
        if commit.puts.is_empty() && commit.deletes.is_empty() {
            return Ok(false);
        }
        if audited {
            let hash = u128::from_be_bytes(address.hash(place.key, place.tenant));
            audit::add(&mut commit, node, tenant.no, caller, act, &format!("address-{hash:032x}"))?;
        }
        if submit(node, commit).await? {
            return Ok(true);
        }
    }
    Err(Error::Overloaded { retry_after: limits::COME_BACK })
}

/// Commits; `false` when something changed under it, or nobody knows: look again.
pub(crate) async fn submit(node: &Node, commit: Commit) -> Result<bool, Error> {
    match node.store.commit(commit).await {
        Ok(_) => Ok(true),
        Err(Refused::Stale(_)) => Ok(false),
        Err(error) => Err(refused(error)),
    }
}

/// A page of everything that is known of a contact; the first one is written down in the audit log.
pub(crate) async fn export(
    node: &Node,
    tenant: &TenantHandle,
    caller: &Caller,
    id: &str,
    from: Option<&[u8]>,
    limit: usize,
) -> Result<Export, Error> {
    let found = find(node, tenant, id).await?;
    if found.contact.version.is_none() {
        return Err(not_found(id));
    }
    if from.is_none() {
        let mut commit = Commit::new(Class::Event, tenant.no, tenant.shard);
        let what = pseudonym(node.key, tenant.no, id);
        audit::add(&mut commit, node, tenant.no, caller, Act::Export, &what)?;
        node.store.commit(commit).await.map_err(refused)?;
    }
    let page = list::of_contact(node, tenant, id, &found.contact.value, from, limit).await?;
    let (mut timelines, mut entries, mut next) = (Vec::new(), 0, page.next);
    for enrollment in page.enrollments {
        if entries >= limits::EXPORT_ENTRIES {
            next = timelines.last().map(|last: &crate::api::Timeline| list::after(last.enrollment.id));
            break;
        }
        let timeline = read::timeline(node, tenant, enrollment.id).await?;
        entries += timeline.history.len();
        timelines.push(timeline);
    }
    Ok(Export { person: shown(node, tenant, id, found), timelines, next })
}
