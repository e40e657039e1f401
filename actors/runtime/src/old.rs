//! Records as earlier releases wrote them, and what they are now.

use followupd_domain::calendar::{Calendar, Zone};
use followupd_domain::channel::{Channel, InDoubt, Kind, Transport};
use followupd_domain::contact::{Contact, Membership, Rest, Sent};
use followupd_domain::holds::{Holds, Reacted};
use followupd_domain::ledger::{Limits, Rate};
use followupd_domain::name::Name;
use followupd_domain::signal::{Counts, KillSwitch};
use followupd_domain::suppression::{AddressFacts, Suppression};
use followupd_domain::tenant::Tenant;
use followupd_domain::{ChannelNo, Moment, Span, TenantNo};
use followupd_store::codec::{self, Format};
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

mod sequences;

#[cfg(test)]
pub(crate) use sequences::{Sequence1, Sequence2, Sequence3, Sequence4, Version1};
pub(crate) use sequences::{sequence, version};

use crate::api::Error;
use crate::env::Kept;
use crate::loaded::decode;

/// A channel of format 1, which had fewer limits and was held by nobody but people.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Channel1 {
    no: ChannelNo,
    name: Name,
    kind: Kind,
    transport: Transport,
    limits: Limits1,
    ignores_quiet_hours: bool,
    holds: Holds,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Limits1 {
    rate: Option<Rate>,
    gap: Option<Span>,
    per_minute: Option<u32>,
    per_hour: Option<u32>,
    per_day: Option<u32>,
}

impl From<Channel1> for Channel {
    fn from(old: Channel1) -> Channel {
        let Channel1 { no, name, kind, transport, limits, ignores_quiet_hours, holds } = old;
        let Limits1 { rate, gap, per_minute, per_hour, per_day } = limits;
        let limits = Limits { rate, gap, per_minute, per_hour, per_day, ..Limits::default() };
        Channel2 { no, name, kind, transport, limits, ignores_quiet_hours, holds, reacted: None }.into()
    }
}

/// A channel of format 2, which nothing watched.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Channel2 {
    no: ChannelNo,
    name: Name,
    kind: Kind,
    transport: Transport,
    limits: Limits,
    ignores_quiet_hours: bool,
    holds: Holds,
    reacted: Option<Reacted>,
}

impl From<Channel2> for Channel {
    fn from(old: Channel2) -> Channel {
        let Channel2 { no, name, kind, transport, limits, ignores_quiet_hours, holds, reacted } = old;
        let (in_doubt, kill_switches, watched_from) = (None, Vec::new(), Moment(0));
        Channel3 {
            no,
            name,
            kind,
            transport,
            limits,
            ignores_quiet_hours,
            holds,
            reacted,
            in_doubt,
            kill_switches,
            watched_from,
        }
        .into()
    }
}

/// A channel of format 3, which belonged to no account.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Channel3 {
    no: ChannelNo,
    name: Name,
    kind: Kind,
    transport: Transport,
    limits: Limits,
    ignores_quiet_hours: bool,
    holds: Holds,
    reacted: Option<Reacted>,
    in_doubt: Option<InDoubt>,
    kill_switches: Vec<KillSwitch>,
    watched_from: Moment,
}

impl From<Channel3> for Channel {
    fn from(old: Channel3) -> Channel {
        let Channel3 { no, name, kind, transport, limits, ignores_quiet_hours, .. } = old;
        let Channel3 { holds, reacted, in_doubt, kill_switches, watched_from, .. } = old;
        let (counted_before, account) = (Counts::default(), None);
        Channel {
            no,
            name,
            kind,
            transport,
            limits,
            ignores_quiet_hours,
            holds,
            reacted,
            in_doubt,
            kill_switches,
            watched_from,
            counted_before,
            account,
        }
    }
}

#[cfg(test)]
impl From<Channel> for Channel3 {
    fn from(new: Channel) -> Channel3 {
        let Channel { no, name, kind, transport, limits, ignores_quiet_hours, .. } = new;
        let Channel { holds, reacted, in_doubt, kill_switches, watched_from, .. } = new;
        Channel3 {
            no,
            name,
            kind,
            transport,
            limits,
            ignores_quiet_hours,
            holds,
            reacted,
            in_doubt,
            kill_switches,
            watched_from,
        }
    }
}

#[cfg(test)]
impl From<Channel> for Channel2 {
    fn from(new: Channel) -> Channel2 {
        let Channel { no, name, kind, transport, limits, ignores_quiet_hours, holds, reacted, .. } = new;
        Channel2 { no, name, kind, transport, limits, ignores_quiet_hours, holds, reacted }
    }
}

#[cfg(test)]
impl From<Channel> for Channel1 {
    fn from(new: Channel) -> Channel1 {
        let Channel { no, name, kind, transport, limits, ignores_quiet_hours, holds, .. } = new;
        let Limits { rate, gap, per_minute, per_hour, per_day, .. } = limits;
        let limits = Limits1 { rate, gap, per_minute, per_hour, per_day };
        Channel1 { no, name, kind, transport, limits, ignores_quiet_hours, holds }
    }
}

/// The channel of a row, in whichever format it was written.
pub(crate) fn channel(body: &[u8]) -> Result<Channel, Error> {
    if let Some(channel) = of_format(Format::Channel4, body)? {
        return Ok(channel);
    }
    if let Some(channel) = of_format::<Channel3>(Format::Channel3, body)? {
        return Ok(channel.into());
    }
    match of_format::<Channel2>(Format::Channel2, body)? {
        Some(channel) => Ok(channel.into()),
        None => decode::<Channel1>(Format::Channel, body).map(Channel::from),
    }
}

/// The record of a row, where it is of this format.
fn of_format<T: serde::de::DeserializeOwned>(format: Format, body: &[u8]) -> Result<Option<T>, Error> {
    match codec::decode(format, body) {
        Ok(record) => Ok(Some(record)),
        Err(codec::Error::Kind { .. }) => Ok(None),
        Err(error) => Err(Error::Unavailable(error.to_string())),
    }
}

/// A contact of format 1, which did not remember what it was sent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contact1 {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    zone: Option<Zone>,
    attributes: BTreeMap<String, String>,
    suppressed: BTreeSet<Kind>,
    last_inbound_at: Option<Moment>,
    enrollments: Vec<Membership>,
    rests: Vec<Rest>,
}

impl From<Contact1> for Contact {
    fn from(old: Contact1) -> Contact {
        let Contact1 { name, email, phone, zone, attributes, suppressed, .. } = old;
        let Contact1 { last_inbound_at, enrollments, rests, .. } = old;
        let (sent, recipient_of) = (Vec::new(), BTreeMap::new());
        Contact2 {
            name,
            email,
            phone,
            zone,
            attributes,
            suppressed,
            last_inbound_at,
            enrollments,
            rests,
            sent,
            recipient_of,
        }
        .into()
    }
}

/// A contact of format 2, of which nobody knew by what kind of channel they wrote.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Contact2 {
    name: Option<String>,
    email: Option<String>,
    phone: Option<String>,
    zone: Option<Zone>,
    attributes: BTreeMap<String, String>,
    suppressed: BTreeSet<Kind>,
    last_inbound_at: Option<Moment>,
    enrollments: Vec<Membership>,
    rests: Vec<Rest>,
    sent: Vec<Sent>,
    recipient_of: BTreeMap<ChannelNo, Moment>,
}

impl From<Contact2> for Contact {
    fn from(old: Contact2) -> Contact {
        let Contact2 { name, email, phone, zone, attributes, suppressed, last_inbound_at, .. } = old;
        let Contact2 { enrollments, rests, sent, recipient_of, .. } = old;
        let known = Contact { name, email, phone, zone, attributes, suppressed, ..Contact::default() };
        let mut contact = Contact { enrollments, rests, sent, recipient_of, ..known };
        last_inbound_at.into_iter().for_each(|at| contact.hears(None, at));
        contact
    }
}

#[cfg(test)]
impl From<Contact> for Contact2 {
    fn from(new: Contact) -> Contact2 {
        let last_inbound_at = new.last_inbound_at();
        let Contact { name, email, phone, zone, attributes, suppressed, .. } = new;
        let Contact { enrollments, rests, sent, recipient_of, .. } = new;
        Contact2 {
            name,
            email,
            phone,
            zone,
            attributes,
            suppressed,
            last_inbound_at,
            enrollments,
            rests,
            sent,
            recipient_of,
        }
    }
}

#[cfg(test)]
impl From<Contact> for Contact1 {
    fn from(new: Contact) -> Contact1 {
        let last_inbound_at = new.last_inbound_at();
        let Contact { name, email, phone, zone, attributes, suppressed, enrollments, rests, .. } = new;
        Contact1 { name, email, phone, zone, attributes, suppressed, last_inbound_at, enrollments, rests }
    }
}

/// The contact of a row, in whichever format it was written.
pub(crate) fn contact(body: &[u8]) -> Result<Contact, Error> {
    if let Some(contact) = of_format(Format::Contact3, body)? {
        return Ok(contact);
    }
    match of_format::<Contact2>(Format::Contact2, body)? {
        Some(contact) => Ok(contact.into()),
        None => decode::<Contact1>(Format::Contact, body).map(Contact::from),
    }
}

/// What is suppressed of an address, format 1: nothing was unusable only for a while.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Suppressed1(pub(crate) BTreeMap<Kind, Suppression>);

/// What the clock said last, in whichever format it was written: before, engine time began at the wall's.
pub(crate) fn clock(body: &[u8]) -> Result<Kept, Error> {
    match of_format(Format::Clock2, body)? {
        Some(kept) => Ok(kept),
        None => decode::<Moment>(Format::Clock, body).map(|wall| Kept { wall, engine: wall }),
    }
}

/// What is known against an address, format 2: nobody was heard whom no contact was known to be.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Suppressed2 {
    pub(crate) standing: BTreeMap<Kind, Suppression>,
    pub(crate) unusable_until: BTreeMap<Kind, Moment>,
}

/// What is known of the address of a row, in whichever format it was written.
pub(crate) fn address_facts(body: &[u8]) -> Result<AddressFacts, Error> {
    if let Some(known) = of_format(Format::AddressFacts, body)? {
        return Ok(known);
    }
    if let Some(Suppressed2 { standing, unusable_until }) = of_format(Format::Suppressed2, body)? {
        return Ok(AddressFacts { standing, unusable_until, ..AddressFacts::default() });
    }
    let Suppressed1(standing) = decode(Format::Suppressed, body)?;
    Ok(AddressFacts { standing, ..AddressFacts::default() })
}

/// A tenant of format 1, which had no frequency caps.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tenant1 {
    no: TenantNo,
    name: Name,
    on: bool,
    calendar: Calendar,
    contact_time_zone: bool,
    stop_words: BTreeSet<String>,
    default_channels: BTreeMap<Kind, ChannelNo>,
    holds: Holds,
    off_since: Option<Moment>,
}

impl From<Tenant1> for Tenant {
    fn from(old: Tenant1) -> Tenant {
        let Tenant1 { no, name, on, calendar, contact_time_zone, .. } = old;
        let Tenant1 { stop_words, default_channels, holds, off_since, .. } = old;
        let (contact_per_day, contact_per_week) = (None, None);
        Tenant2 {
            no,
            name,
            on,
            calendar,
            contact_time_zone,
            stop_words,
            default_channels,
            holds,
            off_since,
            contact_per_day,
            contact_per_week,
        }
        .into()
    }
}

/// A tenant of format 2, of whose channels everybody opted out one kind at a time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Tenant2 {
    no: TenantNo,
    name: Name,
    on: bool,
    calendar: Calendar,
    contact_time_zone: bool,
    stop_words: BTreeSet<String>,
    default_channels: BTreeMap<Kind, ChannelNo>,
    holds: Holds,
    off_since: Option<Moment>,
    contact_per_day: Option<u32>,
    contact_per_week: Option<u32>,
}

impl From<Tenant2> for Tenant {
    fn from(old: Tenant2) -> Tenant {
        let Tenant2 { no, name, on, calendar, contact_time_zone, stop_words, .. } = old;
        let Tenant2 { default_channels, holds, off_since, contact_per_day, contact_per_week, .. } = old;
        Tenant {
            no,
            name,
            on,
            calendar,
            contact_time_zone,
            stop_words,
            default_channels,
            holds,
            off_since,
            contact_per_day,
            contact_per_week,
            opt_out_of_all: false,
        }
    }
}

#[cfg(test)]
impl From<Tenant> for Tenant2 {
    fn from(new: Tenant) -> Tenant2 {
        let Tenant { no, name, on, calendar, contact_time_zone, stop_words, .. } = new;
        let Tenant { default_channels, holds, off_since, contact_per_day, contact_per_week, .. } = new;
        Tenant2 {
            no,
            name,
            on,
            calendar,
            contact_time_zone,
            stop_words,
            default_channels,
            holds,
            off_since,
            contact_per_day,
            contact_per_week,
        }
    }
}

#[cfg(test)]
impl From<Tenant> for Tenant1 {
    fn from(new: Tenant) -> Tenant1 {
        let Tenant { no, name, on, calendar, contact_time_zone, .. } = new;
        let Tenant { stop_words, default_channels, holds, off_since, .. } = new;
        Tenant1 { no, name, on, calendar, contact_time_zone, stop_words, default_channels, holds, off_since }
    }
}

/// The tenant of a row, in whichever format it was written.
pub(crate) fn tenant(body: &[u8]) -> Result<Tenant, Error> {
    if let Some(tenant) = of_format(Format::Tenant3, body)? {
        return Ok(tenant);
    }
    match of_format::<Tenant2>(Format::Tenant2, body)? {
        Some(tenant) => Ok(tenant.into()),
        None => decode::<Tenant1>(Format::Tenant, body).map(Tenant::from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_of_the_first_format_keeps_its_limits_and_has_no_others() {
        let old = Channel1 {
            no: ChannelNo(5),
            name: Name::parse("mail").unwrap(),
            kind: Kind::Email,
            transport: Transport::Outbox,
            limits: Limits1 {
                rate: None,
                gap: Some(Span::seconds(3)),
                per_minute: None,
                per_hour: Some(40),
                per_day: None,
            },
            ignores_quiet_hours: false,
            holds: Holds::default(),
        };
        let read = channel(&codec::encode(Format::Channel, &old).unwrap()).unwrap();
        let limits = Limits { gap: Some(Span::seconds(3)), per_hour: Some(40), ..Limits::default() };
        assert_eq!(read.limits, limits);
        assert_eq!(channel(&codec::encode(Format::Channel4, &read).unwrap()).unwrap(), read);
        let three = Channel3::from(read.clone());
        assert_eq!(channel(&codec::encode(Format::Channel3, &three).unwrap()).unwrap(), read);
        let two = Channel2::from(read.clone());
        assert_eq!(channel(&codec::encode(Format::Channel2, &two).unwrap()).unwrap(), read);
        assert!(channel(&codec::encode(Format::Name, &7_u32).unwrap()).is_err());
    }

    #[test]
    fn a_tenant_of_an_earlier_format_has_opt_outs_of_one_kind_at_a_time() {
        let name = Name::parse("acme").unwrap();
        let mut tenant = crate::settings::new_tenant(TenantNo(1), name);
        (tenant.opt_out_of_all, tenant.contact_per_day) = (true, Some(2));
        let read = |format, body: &_| super::tenant(&codec::encode(format, body).unwrap()).unwrap();
        assert_eq!(read(Format::Tenant3, &tenant), tenant);
        let two = super::tenant(&codec::encode(Format::Tenant2, &Tenant2::from(tenant.clone())).unwrap());
        tenant.opt_out_of_all = false;
        assert_eq!(two.unwrap(), tenant);
        let one = super::tenant(&codec::encode(Format::Tenant, &Tenant1::from(tenant.clone())).unwrap());
        tenant.contact_per_day = None;
        assert_eq!(one.unwrap(), tenant);
    }

    #[test]
    fn a_contact_of_whom_nobody_noted_by_what_they_wrote_wrote_by_any() {
        let mut wrote = Contact::default();
        wrote.hears(Some(Kind::Whatsapp), Moment(7));
        for old in [
            codec::encode(Format::Contact2, &Contact2::from(wrote.clone())).unwrap(),
            codec::encode(Format::Contact, &Contact1::from(wrote.clone())).unwrap(),
        ] {
            let read = contact(&old).unwrap();
            assert_eq!(read.inbound, Kind::ALL.map(|kind| (kind, Moment(7))).into());
        }
        assert_eq!(contact(&codec::encode(Format::Contact3, &wrote).unwrap()).unwrap(), wrote);
    }
}
