//! Suppression of addresses: standing "do not contact", by address and kind of channel, whoever has the address.
//!
//! An address stands in its row as a keyed hash, so that what must not be written to outlives the person who is erased.

use serde::{Deserialize, Serialize};
use siphasher::sip128::{Hasher128, SipHasher13};
use std::collections::{BTreeMap, BTreeSet};
use std::hash::Hasher;

use crate::channel::Kind;
use crate::contact::Contact;
use crate::ids::{IdKey, TenantNo};
use crate::limits;
use crate::time::Moment;

/// Where messages reach a person; several kinds of channel can share one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Address {
    /// The contact itself, by the platform's id: conversations and webhooks, and what is known of it as a whole.
    Contact(String),
    /// A mailbox.
    Email(String),
    /// A phone number.
    Phone(String),
}

/// What stands for an address in a row's key: SipHash-1-3 of 128 bits, under the store's own key.
pub type AddressHash = [u8; 16];

impl Address {
    /// The address of a contact, by its platform id `id`, that a kind of channel needs.
    #[must_use]
    pub fn of(kind: Kind, contact: &Contact, id: &str) -> Option<Address> {
        match kind {
            Kind::Email => contact.email.clone().map(Address::Email),
            Kind::Whatsapp | Kind::Sms => contact.phone.clone().map(Address::Phone),
            Kind::Conversation | Kind::Webhook => Some(Address::Contact(id.to_owned())),
        }
    }

    /// The mailbox or number that a kind of channel was called with; `None` where it is called with the contact's id.
    #[must_use]
    pub fn called(kind: Kind, text: &str) -> Option<Address> {
        match kind {
            Kind::Email => Some(Address::Email(text.to_owned())),
            Kind::Whatsapp | Kind::Sms => Some(Address::Phone(text.to_owned())),
            Kind::Conversation | Kind::Webhook => None,
        }
    }

    /// The kinds of channel that reach a person by it.
    #[must_use]
    pub fn kinds(&self) -> &'static [Kind] {
        match self {
            Address::Contact(_) => &[Kind::Conversation, Kind::Webhook],
            Address::Email(_) => &[Kind::Email],
            Address::Phone(_) => &[Kind::Whatsapp, Kind::Sms],
        }
    }

    /// The hash that stands for it. Two ways to write one mailbox or number have the same: letters in either case, digits
    /// with or without anything between them, and the digits that some countries add for mobiles.
    #[must_use]
    pub fn hash(&self, key: IdKey, tenant: TenantNo) -> AddressHash {
        let (tag, normal) = match self {
            Address::Contact(id) => (0, id.clone()),
            // Domains know no case (RFC 5321, 2.4); mailboxes that do are not told apart here, to be on the safe side.
            Address::Email(address) => (1, address.trim().to_lowercase()),
            Address::Phone(number) => (2, normal(number)),
        };
        let mut hasher = SipHasher13::new_with_key(&key.0);
        hasher.write(&tenant.0.to_be_bytes());
        hasher.write(&[tag]);
        hasher.write(normal.as_bytes());
        hasher.finish128().as_bytes()
    }
}

/// A number's digits, without those that stand in it here and not there: WhatsApp tells of somebody by the number that
/// they once registered with, which in Brazil may lack the ninth digit of mobiles, and in Mexico and Argentina may have
/// or lack the 1 or 9 behind the country's code.
fn normal(number: &str) -> String {
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    let (country, rest) = digits.split_at_checked(2).unwrap_or((&digits, ""));
    let without = match (country, rest.len(), rest.as_bytes()) {
        // An area of two digits, then nine; numbers of eight that begin with 6 to 9 were mobiles as well.
        ("55", 11, [_, _, b'9', b'6'..=b'9', ..]) => format!("{}{}", &rest[..2], &rest[3..]),
        ("52", 11, [b'1', ..]) | ("54", 11, [b'9', ..]) => rest[1..].to_owned(),
        _ => rest.to_owned(),
    };
    format!("{country}{without}")
}

/// What stands for a contact where its id must not: in the audit log, and in its enrollments when it is erased.
#[must_use]
pub fn pseudonym(key: IdKey, tenant: TenantNo, id: &str) -> String {
    let hash = u128::from_be_bytes(Address::Contact(id.to_owned()).hash(key, tenant));
    format!("person-{hash:032x}")
}

/// What is known of one address, whoever has it; there is a row for it only where something is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AddressFacts {
    /// What must not be written to.
    pub standing: BTreeMap<Kind, Suppression>,
    /// Kinds of channel by which nothing arrives until then, as their provider said.
    pub unusable_until: BTreeMap<Kind, Moment>,
    /// When somebody last wrote from it through each kind of channel while no contact was known to have it: whoever is
    /// enrolled with it afterwards has written then.
    pub heard: BTreeMap<Kind, Moment>,
    /// When they last asked to be written to again, by the provider's clock: an opt-out of before that, told late or
    /// told again, says nothing any more.
    pub back_at: BTreeMap<Kind, Moment>,
}

/// Standing "do not contact" through one kind of channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// Since when.
    pub since: Moment,
    /// Why.
    pub why: Why,
    /// Who did it.
    pub by: String,
    /// In their words.
    pub reason: String,
}

/// Why something is suppressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Why {
    /// The person opted out, says an event.
    OptedOut,
    /// Somebody suppressed it by hand.
    ByHand,
    /// The person was erased.
    Erased,
    /// A provider said that nothing sent there will arrive.
    Bounced,
}

impl Why {
    /// Its word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Why::OptedOut => "opted_out",
            Why::ByHand => "by_hand",
            Why::Erased => "erased",
            Why::Bounced => "bounced",
        }
    }
}

impl AddressFacts {
    /// Suppresses these kinds; one that is suppressed already stays as it is, and so does one whose opt-out was taken
    /// back since.
    pub fn add(&mut self, kinds: impl IntoIterator<Item = Kind>, suppression: &Suppression) {
        for kind in kinds {
            if suppression.why != Why::OptedOut || !self.is_taken_back(kind, suppression.since) {
                self.standing.entry(kind).or_insert_with(|| suppression.clone());
            }
        }
    }

    /// Whether an opt-out of that moment was taken back since.
    #[must_use]
    pub fn is_taken_back(&self, kind: Kind, opted_out_at: Moment) -> bool {
        self.back_at.get(&kind).is_some_and(|back_at| opted_out_at <= *back_at)
    }

    /// Somebody wrote from it then.
    pub fn hears(&mut self, kind: Kind, at: Moment) {
        let last = self.heard.entry(kind).or_insert(at);
        *last = at.max(*last);
    }

    /// Forgets what can matter no more: what was heard longer ago than a service window lasts, who came back before any
    /// opt-out that could still be told, what was unusable until before now.
    pub fn forget(&mut self, now: Moment) {
        self.unusable_until.retain(|_, until| *until > now);
        self.heard.retain(|_, at| *at + limits::SERVICE_WINDOW > now);
        let told_until = limits::EVENT_MEMORY_OF_PROVIDERS + limits::EVENT_AHEAD;
        self.back_at.retain(|_, at| *at + told_until > now);
    }

    /// Nothing sent by this kind arrives before then; what matters no more by `now` is forgotten.
    pub fn rest(&mut self, kind: Kind, until: Moment, now: Moment) {
        self.forget(now);
        self.unusable_until.insert(kind, until);
    }

    /// Whether nothing is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == AddressFacts::default()
    }

    /// Lifts the suppression of these kinds, and tries them again; whether there was any.
    pub fn lift(&mut self, kinds: &BTreeSet<Kind>) -> bool {
        let before = self.standing.len() + self.unusable_until.len();
        self.standing.retain(|kind, _| !kinds.contains(kind));
        self.unusable_until.retain(|kind, _| !kinds.contains(kind));
        self.standing.len() + self.unusable_until.len() < before
    }

    /// Drops what is suppressed for another reason than that the person was erased, whose words are gone as well.
    pub fn erase(&mut self, kinds: impl IntoIterator<Item = Kind>, at: Moment) {
        let erased = Suppression { since: at, why: Why::Erased, by: String::new(), reason: String::new() };
        self.unusable_until.clear();
        self.heard.clear();
        self.back_at.clear();
        self.standing
            .values_mut()
            .for_each(|known| *known = Suppression { since: known.since, ..erased.clone() });
        self.add(kinds, &erased);
    }

    /// Takes back an opt-out of a kind that is no later than `until`, told or yet to be told; whether there was one. What
    /// somebody else suppressed, and for another reason, the person cannot lift.
    pub fn opt_in(&mut self, kind: Kind, until: Moment) -> bool {
        let back_at = self.back_at.entry(kind).or_insert(until);
        *back_at = until.max(*back_at);
        let theirs = |known: &Suppression| known.why == Why::OptedOut && known.since <= until;
        let lifts = self.standing.get(&kind).is_some_and(theirs);
        lifts && self.standing.remove(&kind).is_some()
    }

    /// The kinds that are suppressed.
    pub fn kinds(&self) -> impl Iterator<Item = Kind> + '_ {
        self.standing.keys().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    const KEY: IdKey = IdKey([7; 16]);

    fn hash(address: &Address) -> AddressHash {
        address.hash(KEY, TenantNo(1))
    }

    #[test]
    fn one_mailbox_or_number_has_one_hash_however_it_is_written() {
        let email = |text: &str| hash(&Address::Email(text.into()));
        assert_eq!(email("Ana@Mail.Example"), email(" ana@mail.example"));
        assert_ne!(email("ana@mail.example"), email("bo@mail.example"));
        let phone = |text: &str| hash(&Address::Phone(text.into()));
        assert_eq!(phone("+1 (555) 0100"), phone("+15550100"));
        assert_ne!(phone("+15550100"), phone("+15550101"));
        for (told, ours) in [
            ("551187654321", "+55 11 98765-4321"),
            ("5215512345678", "+52 55 1234 5678"),
            ("5491123456789", "+54 11 2345-6789"),
        ] {
            assert_eq!(phone(told), phone(ours), "{ours}");
        }
        for (one, other) in [("+551133334444", "+5511933334444"), ("", "1"), ("5", "55"), ("521", "52")] {
            assert_ne!(phone(one), phone(other), "{one}");
        }
    }

    #[test]
    fn tenants_kinds_of_address_and_stores_are_kept_apart() {
        let same = "15550100";
        let all = [Address::Contact(same.into()), Address::Email(same.into()), Address::Phone(same.into())];
        let mut hashes: BTreeSet<AddressHash> = all.iter().map(hash).collect();
        hashes.insert(all[0].hash(KEY, TenantNo(2)));
        hashes.insert(all[0].hash(IdKey([8; 16]), TenantNo(1)));
        assert_eq!(hashes.len(), 5);
        // Stands in stored keys.
        assert_eq!(pseudonym(KEY, TenantNo(1), "ana"), "person-a58bc9bcc83d084883c9d9d667fa3206");
    }

    #[test]
    fn who_opts_in_takes_back_what_they_opted_out_of_before_and_nothing_else() {
        let one = |why| Suppression { since: Moment(5), why, by: String::new(), reason: String::new() };
        for (why, until, lifts) in [
            (Why::OptedOut, 5, true),
            (Why::OptedOut, 4, false),
            (Why::ByHand, 9, false),
            (Why::Bounced, 9, false),
            (Why::Erased, 9, false),
        ] {
            let mut known = AddressFacts::default();
            known.add([Kind::Sms], &one(why));
            assert_eq!(known.opt_in(Kind::Sms, Moment(until)), lifts, "{why:?} {until}");
            assert_eq!(known.standing.is_empty(), lifts);
            assert!(!known.opt_in(Kind::Whatsapp, Moment(9)));
        }
    }

    #[test]
    fn an_opt_out_that_is_told_after_it_was_taken_back_says_nothing_any_more() {
        let one =
            |since, why| Suppression { since: Moment(since), why, by: String::new(), reason: String::new() };
        let mut known = AddressFacts::default();
        assert!(!known.opt_in(Kind::Sms, Moment(5)), "it comes before what it takes back");
        known.opt_in(Kind::Sms, Moment(3));
        known.add([Kind::Sms], &one(5, Why::OptedOut));
        assert!(known.standing.is_empty());
        known.add([Kind::Whatsapp], &one(5, Why::OptedOut));
        known.add([Kind::Sms], &one(5, Why::Bounced));
        assert_eq!(
            known.kinds().collect::<Vec<_>>(),
            [Kind::Whatsapp, Kind::Sms],
            "another kind, another reason"
        );
        let mut known = AddressFacts { standing: BTreeMap::new(), ..known };
        known.add([Kind::Sms], &one(6, Why::OptedOut));
        assert_eq!(known.standing[&Kind::Sms].since, Moment(6), "they changed their mind once more");
    }

    #[test]
    fn what_was_heard_and_who_came_back_is_forgotten_in_time() {
        let mut known = AddressFacts::default();
        known.hears(Kind::Whatsapp, Moment(7));
        known.hears(Kind::Whatsapp, Moment(5));
        known.opt_in(Kind::Whatsapp, Moment(7));
        let window = Moment(7) + limits::SERVICE_WINDOW;
        known.forget(window - Span(1));
        assert_eq!(known.heard[&Kind::Whatsapp], Moment(7));
        known.forget(window);
        assert!(known.heard.is_empty() && !known.is_empty());
        known.forget(Moment(7) + limits::EVENT_MEMORY_OF_PROVIDERS + limits::EVENT_AHEAD);
        assert!(known.is_empty());
    }

    #[test]
    fn what_is_unusable_for_a_while_is_no_suppression_and_is_lifted_like_one() {
        let mut known = AddressFacts::default();
        known.rest(Kind::Sms, Moment(10), Moment(0));
        known.rest(Kind::Whatsapp, Moment(30), Moment(20));
        assert_eq!(
            known.unusable_until,
            BTreeMap::from([(Kind::Whatsapp, Moment(30))]),
            "what has passed goes"
        );
        assert!(known.kinds().next().is_none() && !known.is_empty());
        assert!(known.lift(&BTreeSet::from([Kind::Whatsapp])) && known.is_empty());
    }

    #[test]
    fn the_first_suppression_of_a_kind_stands_until_it_is_lifted() {
        let one = |since| Suppression {
            since: Moment(since),
            why: Why::OptedOut,
            by: "a".into(),
            reason: "b".into(),
        };
        let mut known = AddressFacts::default();
        known.add([Kind::Sms], &one(1));
        known.add([Kind::Sms, Kind::Whatsapp], &one(2));
        assert_eq!(known.standing[&Kind::Sms].since, Moment(1));
        assert!(known.lift(&BTreeSet::from([Kind::Whatsapp])) && !known.lift(&BTreeSet::from([Kind::Email])));
        known.erase([Kind::Whatsapp], Moment(3));
        assert_eq!(
            (known.standing[&Kind::Sms].since, known.standing[&Kind::Whatsapp].since),
            (Moment(1), Moment(3))
        );
        assert!(
            known
                .standing
                .values()
                .all(|one| one.why == Why::Erased && one.by.is_empty() && one.reason.is_empty())
        );
    }
}
