//! What an event is about: the contact and target as it leaves them, and whom it concerns.

use std::collections::BTreeSet;

use followupd_domain::channel::Kind;
use followupd_domain::contact::Contact;
use followupd_domain::decide::enroll::{self, Profile};
use followupd_domain::event::{Event, EventKind};
use followupd_domain::suppression::Address;
use followupd_domain::target::{Target, TerminalFact};
use followupd_domain::{EnrollmentId, Moment};
use followupd_store::Commit;
use followupd_store::codec::Format;
use serde::Serialize;

use crate::api::Error;
use crate::limits;
use crate::record::{self, Read};
use crate::suppression;

/// One of the rows an event is about.
pub(super) struct Subject<T> {
    pub(super) read: Read<T>,
    /// Whether it is written again: the event changed it, or whoever decided on it has to look again.
    pub(super) written: bool,
}

impl<T: Serialize> Subject<T> {
    pub(super) fn add_to(&self, commit: &mut Commit, format: Format) -> Result<(), Error> {
        commit.expects.push(self.read.expectation());
        if self.written {
            record::put(commit, self.read.key.clone(), format, &self.read.value)?;
        }
        Ok(())
    }
}

/// The enrollments an event may mean something for.
pub(super) fn affected(
    event: &Event,
    contact: Option<&Read<Contact>>,
    target: Option<&Read<Target>>,
) -> Vec<EnrollmentId> {
    let mut ids = BTreeSet::new();
    match event.kind {
        EventKind::MessageReceived | EventKind::ContactOptedOut => {
            let contact = contact.map(|contact| &contact.value);
            let open = || contact.into_iter().flat_map(Contact::open_enrollments);
            ids.extend(open().map(|membership| membership.enrollment));
            if ids.is_empty() {
                ids.extend(contact.and_then(|contact| just_ended(contact, event)));
            }
        }
        EventKind::Target(..) => {
            ids.extend(target.into_iter().flat_map(|target| target.value.enrollments.iter().copied()));
        }
        EventKind::Custom(_) => {}
    }
    ids.into_iter().collect()
}

/// The enrollment that ended last before a message of a contact who is in none: its last send may be what is
/// answered.
fn just_ended(contact: &Contact, event: &Event) -> Option<EnrollmentId> {
    let ended =
        contact.enrollments.iter().filter_map(|known| known.ended.map(|ended| (ended.at, known.enrollment)));
    let credited = |(at, _): &(Moment, EnrollmentId)| {
        event.kind == EventKind::MessageReceived && event.occurred_at.since(*at) <= limits::REPLY_CREDIT
    };
    ended.filter(credited).max().map(|(_, enrollment)| enrollment)
}

pub(super) fn contact_takes_in(
    read: Read<Contact>,
    event: &Event,
    out_of: &BTreeSet<Kind>,
    profile: &Profile,
) -> Result<Subject<Contact>, enroll::Refusal> {
    let mut taken = read.value.clone();
    enroll::know(&mut taken, profile)?;
    let heard = event.kind == EventKind::MessageReceived;
    if heard {
        taken.hears(event.channel, event.occurred_at);
    }
    taken.suppressed.extend(out_of);
    // A message stops every intent that was decided before it, whatever it says that is new.
    let written = heard || !out_of.is_empty() || taken != read.value;
    Ok(Subject { read: Read { value: taken, ..read }, written })
}

pub(super) fn target_takes_in(read: Read<Target>, event: &Event) -> Subject<Target> {
    let mut taken = read.value.clone();
    match event.kind {
        EventKind::Target(_, terminal) => {
            taken.learn(TerminalFact {
                occurred_at: event.occurred_at,
                event: event.key.id.clone(),
                terminal,
            });
        }
        EventKind::MessageReceived if event.is_reply() => taken.hears(event.occurred_at),
        EventKind::MessageReceived | EventKind::ContactOptedOut | EventKind::Custom(_) => {}
    }
    let written = taken != read.value;
    Subject { read: Read { value: taken, ..read }, written }
}

/// The addresses whose rows an event depends on: all of the contact's for an opt-out, those it had before among them;
/// of a contact that is not known yet its id, by which it may be suppressed all the same.
pub(super) fn addresses(
    event: &Event,
    opted_out: bool,
    before: &Contact,
    contact: Option<&Subject<Contact>>,
) -> Vec<Address> {
    let (Some(id), Some(contact)) = (&event.contact, contact) else { return Vec::new() };
    if opted_out {
        let mut all = suppression::all(&contact.read.value, id);
        let old = suppression::reachable(before).into_iter().filter(|address| !all.contains(address));
        let old: Vec<Address> = old.collect();
        all.extend(old);
        all
    } else if contact.read.version.is_none() {
        vec![Address::Contact(id.clone())]
    } else {
        Vec::new()
    }
}
