//! Contacts: what the engine knows of a person, and the enrollments they are in.
//!
//! The row's version rises with every inbound message, opt-out and enroll; an intent expects it, so that two
//! sequences of one contact cannot both pass what only one may, and a STOP stops what was decided before it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::Zone;
use crate::channel::Kind;
use crate::enrollment::ExitReason;
use crate::ids::{AccountNo, ChannelNo, EnrollmentId, SequenceNo};
use crate::limits;
use crate::sequence::UniquePer;
use crate::target::TargetRef;
use crate::time::{Moment, Span};

/// A person at the other end.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Contact {
    /// What to call them.
    pub name: Option<String>,
    /// Where e-mail reaches them.
    pub email: Option<String>,
    /// Where WhatsApp and SMS reach them, in E.164 form (ITU-T E.164: `+` and at most 15 digits).
    pub phone: Option<String>,
    /// Their own zone, where it is known.
    pub zone: Option<Zone>,
    /// Open attributes for templates.
    pub attributes: BTreeMap<String, String>,
    /// Kinds of channel they opted out of.
    pub suppressed: BTreeSet<Kind>,
    /// Kinds of channel whose address is suppressed, whoever opted out by it: read from the rows of the addresses when
    /// the contact is, and not kept with it.
    #[serde(skip)]
    pub barred: BTreeSet<Kind>,
    /// Kinds of channel by which nothing reaches their address until then: read like `barred`.
    #[serde(skip)]
    pub unusable_until: BTreeMap<Kind, Moment>,
    /// When they last wrote to us through each kind of channel, by the event's own time.
    pub inbound: BTreeMap<Kind, Moment>,
    /// Their enrollments that have not ended, and the latest ones that have.
    pub enrollments: Vec<Membership>,
    /// What is left of those that ended before: one for each sequence and target.
    pub rests: Vec<Rest>,
    /// Sends that may have reached them, of those that a limit asked for when they began; in the order they began.
    pub sent: Vec<Sent>,
    /// Channels that have counted them among their new recipients, each with the moment of engine time at which it has.
    pub recipient_of: BTreeMap<ChannelNo, Moment>,
    /// Accounts that have, likewise.
    pub recipient_of_accounts: BTreeMap<AccountNo, Moment>,
}

/// One send to a contact, as limits count it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sent {
    /// Through which channel.
    pub channel: ChannelNo,
    /// The last moment at which its call may have begun, in engine time.
    pub counted_at: Moment,
}

/// One enrollment of a contact, as its row indexes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Membership {
    /// Which enrollment.
    pub enrollment: EnrollmentId,
    /// In which sequence.
    pub sequence: SequenceNo,
    /// About what.
    pub target: Option<TargetRef>,
    /// How and when it ended, if it has.
    pub ended: Option<Ended>,
}

/// The end of an enrollment, as far as re-entry asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ended {
    /// When.
    pub at: Moment,
    /// Whether the contact opted out: then it never re-enters by itself.
    pub opted_out: bool,
}

/// What re-entry has to know of ended enrollments in one sequence about one target that are indexed no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rest {
    /// In which sequence.
    pub sequence: SequenceNo,
    /// About what, as [`TargetRef::fingerprint`].
    pub target: Option<u64>,
    /// When the latest of them ended.
    pub at: Moment,
    /// Whether the contact opted out of one of them.
    pub opted_out: bool,
}

impl Contact {
    /// Where a channel of this kind reaches the contact, whose platform id is `id`.
    #[must_use]
    pub fn address<'a>(&'a self, kind: Kind, id: &'a str) -> Option<&'a str> {
        match kind {
            Kind::Email => self.email.as_deref(),
            Kind::Whatsapp | Kind::Sms => self.phone.as_deref(),
            Kind::Conversation | Kind::Webhook => Some(id),
        }
    }

    /// Whether nothing may be sent to them through this kind of channel.
    #[must_use]
    pub fn is_suppressed(&self, kind: Kind) -> bool {
        self.suppressed.contains(&kind) || self.barred.contains(&kind)
    }

    /// They wrote then; where nobody knows through what, it may have been through any kind of channel.
    pub fn hears(&mut self, kind: Option<Kind>, at: Moment) {
        for kind in Kind::ALL.into_iter().filter(|known| kind.is_none_or(|kind| kind == *known)) {
            let last = self.inbound.entry(kind).or_insert(at);
            *last = at.max(*last);
        }
    }

    /// When they last wrote to us.
    #[must_use]
    pub fn last_inbound_at(&self) -> Option<Moment> {
        self.inbound.values().max().copied()
    }

    /// Takes back that they opted out of these kinds. When nothing is left suppressed they may enter again what they
    /// opted out of.
    pub fn lift(&mut self, kinds: &BTreeSet<Kind>) {
        self.suppressed.retain(|kind| !kinds.contains(kind));
        if self.suppressed.is_empty() {
            let ends = self.enrollments.iter_mut().filter_map(|known| known.ended.as_mut());
            ends.for_each(|ended| ended.opted_out = false);
            self.rests.iter_mut().for_each(|rest| rest.opted_out = false);
        }
    }

    /// Notes a send that is about to begin.
    pub fn note(&mut self, sent: Sent) {
        self.sent.push(sent);
        let now = sent.counted_at;
        let newest: BTreeMap<ChannelNo, Moment> =
            self.sent.iter().map(|sent| (sent.channel, sent.counted_at)).collect();
        // A gap asks for the newest of its channel, however long ago.
        self.sent.retain(|sent| {
            sent.counted_at + limits::SENDS_REMEMBERED + Span(1) > now
                || newest.get(&sent.channel) == Some(&sent.counted_at)
        });
        let surplus = self.sent.len().saturating_sub(limits::SENDS_A_CONTACT);
        self.sent.drain(..surplus);
    }

    /// Takes back a send that surely did not reach them; whether it was noted.
    pub fn take_back(&mut self, sent: Sent) -> bool {
        let place = self.sent.iter().rposition(|known| *known == sent);
        place.map(|place| self.sent.remove(place)).is_some()
    }

    /// A send began later than it was thought to; whether it was noted.
    pub fn began(&mut self, sent: Sent, at: Moment) -> bool {
        let taken = at > sent.counted_at && self.take_back(sent);
        if taken {
            self.note(Sent { counted_at: at, ..sent });
            self.sent.sort_by_key(|sent| sent.counted_at);
        }
        taken
    }

    /// When the latest send through a channel began, at the latest.
    #[must_use]
    pub fn last_sent(&self, channel: ChannelNo) -> Option<Moment> {
        self.sent.iter().filter(|sent| sent.channel == channel).map(|sent| sent.counted_at).max()
    }

    /// When one more send is allowed by a cap of so many in any moving span, in engine time; `counts` says which
    /// channels do.
    #[must_use]
    pub fn room_at(&self, cap: u32, span: Span, counts: impl Fn(ChannelNo) -> bool) -> Moment {
        let mut sent: Vec<Moment> =
            self.sent.iter().filter(|sent| counts(sent.channel)).map(|sent| sent.counted_at).collect();
        sent.sort_unstable_by(|a, b| b.cmp(a));
        let oldest = sent.get(cap.saturating_sub(1) as usize);
        oldest.map_or(Moment(0), |oldest| *oldest + span + Span(1))
    }

    /// Those that have not ended.
    pub fn open_enrollments(&self) -> impl Iterator<Item = &Membership> {
        self.enrollments.iter().filter(|membership| membership.ended.is_none())
    }

    /// Notes that an enrollment ended. Of those that ended only the latest stay, as many as the row has room for.
    pub fn end(&mut self, enrollment: EnrollmentId, at: Moment, reason: Option<ExitReason>) {
        let opted_out = reason == Some(ExitReason::OptedOut);
        for membership in self.enrollments.iter_mut().filter(|m| m.enrollment == enrollment) {
            membership.ended = Some(Ended { at, opted_out });
        }
        self.forget_surplus();
    }

    /// Whether one of their enrollments that ended may come back: it is indexed, no opt-out ended it, and nobody was
    /// enrolled in its place since. Memberships stand in the order they began.
    #[must_use]
    pub fn may_return(&self, enrollment: EnrollmentId, unique_per: UniquePer) -> bool {
        let mut known = self.enrollments.iter().skip_while(|known| known.enrollment != enrollment);
        let Some(Membership { sequence, target, ended: Some(ended), .. }) = known.next() else {
            return false;
        };
        let instead = |later: &Membership| {
            later.sequence == *sequence && (unique_per == UniquePer::Contact || later.target == *target)
        };
        !ended.opted_out && !known.any(instead)
    }

    /// Notes that an enrollment that had ended is under way again.
    pub fn returns(&mut self, enrollment: EnrollmentId) {
        for membership in self.enrollments.iter_mut().filter(|known| known.enrollment == enrollment) {
            membership.ended = None;
        }
    }

    /// How enrollments in a sequence ended, as far as the row remembers; about this target, or where `target` is
    /// `None` about any.
    pub fn ends<'a>(
        &'a self,
        sequence: SequenceNo,
        target: Option<Option<&'a TargetRef>>,
    ) -> impl Iterator<Item = Ended> + 'a {
        let print = target.map(|target| target.map(TargetRef::fingerprint));
        let known = self.enrollments.iter().filter(move |membership| {
            membership.sequence == sequence
                && target.is_none_or(|target| membership.target.as_ref() == target)
        });
        let rests = self
            .rests
            .iter()
            .filter(move |rest| rest.sequence == sequence && print.is_none_or(|print| rest.target == print));
        let rests = rests.map(|rest| Ended { at: rest.at, opted_out: rest.opted_out });
        known.filter_map(|membership| membership.ended).chain(rests)
    }

    /// Drops the memberships that ended longest ago until there is room, and keeps a [`Rest`] of each; opt-outs go
    /// last.
    pub fn forget_surplus(&mut self) {
        while self.enrollments.len() > limits::ENROLLMENTS_A_CONTACT {
            let oldest = (0..self.enrollments.len())
                .filter_map(|i| self.enrollments[i].ended.map(|ended| (ended.opted_out, ended.at, i)))
                .min();
            let Some((_, _, place)) = oldest else { return };
            let Membership { sequence, target, ended, .. } = self.enrollments.remove(place);
            if let Some(Ended { at, opted_out }) = ended {
                let target = target.as_ref().map(TargetRef::fingerprint);
                self.keep_rest(Rest { sequence, target, at, opted_out });
            }
        }
    }

    /// Keeps a rest: of one sequence and target the newest stands, but an opt-out stays one. Where there is no room,
    /// those about one of many targets go before those about the contact, and opt-outs last; of equals the oldest.
    fn keep_rest(&mut self, rest: Rest) {
        let same = |known: &&mut Rest| known.sequence == rest.sequence && known.target == rest.target;
        match self.rests.iter_mut().find(same) {
            Some(known) => {
                known.at = known.at.max(rest.at);
                known.opted_out |= rest.opted_out;
            }
            None => self.rests.push(rest),
        }
        if self.rests.len() > limits::RESTS_A_CONTACT {
            let rank = |place: &usize| {
                let rest = &self.rests[*place];
                (rest.opted_out, rest.target.is_none(), rest.at, *place)
            };
            if let Some(place) = (0..self.rests.len()).min_by_key(rank) {
                self.rests.remove(place);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::Shard;

    #[test]
    fn ended_memberships_make_room_oldest_first_and_open_ones_stay() {
        let mut contact = Contact::default();
        let id = |n| EnrollmentId::new(Moment(n), Shard(0), 0);
        for n in 0..70 {
            contact.enrollments.push(Membership {
                enrollment: id(n),
                sequence: SequenceNo(1),
                target: None,
                ended: (n % 2 == 0).then_some(Ended { at: Moment(n), opted_out: n == 0 }),
            });
        }
        contact.forget_surplus();
        assert_eq!(contact.enrollments.len(), limits::ENROLLMENTS_A_CONTACT);
        assert_eq!(contact.open_enrollments().count(), 35);
        let kept = |n| contact.enrollments.iter().any(|m| m.enrollment == id(n));
        assert!(kept(0), "an opt-out is forgotten last");
        assert!(!kept(2) && !kept(12) && kept(14));
        let rest = Rest { sequence: SequenceNo(1), target: None, at: Moment(12), opted_out: false };
        assert_eq!(contact.rests, [rest], "the newest of one sequence and target stands");
    }

    #[test]
    fn sends_are_forgotten_when_no_limit_asks_for_them_any_more() {
        let mut contact = Contact::default();
        let sent = |channel, at: Span| Sent { channel: ChannelNo(channel), counted_at: Moment(0) + at };
        contact.note(sent(1, Span::ZERO));
        for n in 1..=300 {
            contact.note(sent(2, Span::hours(n)));
        }
        assert_eq!(
            contact.last_sent(ChannelNo(1)),
            Some(Moment(0)),
            "a gap may ask for the newest of a channel"
        );
        assert_eq!(contact.sent.len(), 1 + 7 * 24 + 1);
        for n in 0..300 {
            contact.note(sent(3, Span::days(40) + Span(n)));
        }
        assert_eq!(contact.sent.len(), limits::SENDS_A_CONTACT);
        let mut last = sent(3, Span::days(40) + Span(299));
        assert!(!contact.began(last, Moment(0)), "it did not begin later");
        let later = last.counted_at + Span::minutes(1);
        assert!(contact.began(last, later));
        assert!(!contact.take_back(last));
        last.counted_at = later;
        assert!(contact.take_back(last) && !contact.take_back(last));
    }

    #[test]
    fn a_cap_frees_when_the_oldest_that_fills_it_is_out() {
        let mut contact = Contact::default();
        for (channel, at) in [(1, 0), (2, 10), (1, 20)] {
            contact.note(Sent { channel: ChannelNo(channel), counted_at: Moment(at) });
        }
        let room = |cap, channel| contact.room_at(cap, Span(100), |known| channel == 0 || known.0 == channel);
        assert_eq!([1, 2, 3, 4].map(|cap| room(cap, 0).0), [121, 111, 101, 0]);
        assert_eq!([1, 2, 3].map(|cap| room(cap, 1).0), [121, 101, 0]);
    }

    fn target(n: usize) -> TargetRef {
        TargetRef { kind: crate::target::TargetKind::Charge, id: format!("ch-{n}") }
    }

    /// A contact whose enrollments ended so, in that order, each one as soon as it began.
    fn ended(all: impl IntoIterator<Item = (u32, Option<TargetRef>, bool)>) -> Contact {
        let mut contact = Contact::default();
        for (n, (sequence, target, opted_out)) in (0..).zip(all) {
            let enrollment = EnrollmentId::new(Moment(n), Shard(0), 0);
            let sequence = SequenceNo(sequence);
            contact.enrollments.push(Membership { enrollment, sequence, target, ended: None });
            contact.end(enrollment, Moment(n), opted_out.then_some(ExitReason::OptedOut));
        }
        contact
    }

    #[test]
    fn an_opt_out_outlives_its_membership_and_a_later_end() {
        let many = limits::ENROLLMENTS_A_CONTACT;
        let opt_outs = (0..=many).map(|n| (1, Some(target(n)), true));
        let ends = (0..=many).map(|n| (1, Some(target(n)), false));
        let contact = ended(opt_outs.chain(ends));
        assert_eq!(contact.enrollments.len(), many);
        let first = target(0);
        let known: Vec<Ended> = contact.ends(SequenceNo(1), Some(Some(&first))).collect();
        assert!(known.iter().any(|ended| ended.opted_out), "{known:?}");
        assert!(contact.ends(SequenceNo(2), None).next().is_none());
        assert!(
            contact.ends(SequenceNo(1), Some(None)).next().is_none(),
            "none was about the contact as such"
        );
    }

    #[test]
    fn what_comes_back_is_indexed_as_open_and_is_not_forgotten() {
        let all = [(1, Some(target(1)), false), (1, Some(target(2)), false), (2, None, true)];
        let mut contact = ended(all);
        let id = |n| EnrollmentId::new(Moment(n), Shard(0), 0);
        let may = |contact: &Contact, n, unique_per| contact.may_return(id(n), unique_per);
        assert!(may(&contact, 0, UniquePer::Target), "the later one is about something else");
        assert!(!may(&contact, 0, UniquePer::Contact), "where there may be one, the later one stands");
        assert!(may(&contact, 1, UniquePer::Contact));
        assert!(!may(&contact, 2, UniquePer::Target), "they opted out");
        assert!(!may(&contact, 3, UniquePer::Target), "it is not indexed");
        contact.returns(id(0));
        assert!(!may(&contact, 0, UniquePer::Target), "it has not ended");
        assert_eq!(contact.open_enrollments().map(|known| known.enrollment).collect::<Vec<_>>(), [id(0)]);
        for n in 10..10 + limits::ENROLLMENTS_A_CONTACT as i64 {
            let (enrollment, sequence) = (id(n), SequenceNo(3));
            contact.enrollments.push(Membership { enrollment, sequence, target: None, ended: None });
            contact.end(enrollment, Moment(n), None);
        }
        assert_eq!(contact.open_enrollments().map(|known| known.enrollment).collect::<Vec<_>>(), [id(0)]);
        contact.end(id(0), Moment(99), None);
        assert_eq!(contact.open_enrollments().count(), 0);
    }

    #[test]
    fn who_is_lifted_wholly_may_enter_again_what_they_opted_out_of() {
        let mut contact = ended([(1, None, true)]);
        contact.suppressed = BTreeSet::from([Kind::Email, Kind::Sms]);
        let opted_out = |contact: &Contact| contact.ends(SequenceNo(1), None).any(|ended| ended.opted_out);
        contact.lift(&BTreeSet::from([Kind::Email]));
        assert!(
            opted_out(&contact) && contact.is_suppressed(Kind::Sms) && !contact.is_suppressed(Kind::Email)
        );
        contact.lift(&BTreeSet::from([Kind::Sms]));
        assert!(!opted_out(&contact));
    }

    #[test]
    fn rests_are_bounded_and_those_about_the_contact_and_opt_outs_go_last() {
        let many = 2 * limits::RESTS_A_CONTACT;
        let first = [(1, None, false), (2, Some(target(0)), true)];
        let contact = ended(first.into_iter().chain((0..many).map(|n| (3, Some(target(n)), false))));
        assert_eq!(contact.rests.len(), limits::RESTS_A_CONTACT);
        assert_eq!(contact.ends(SequenceNo(1), None).count(), 1);
        assert_eq!(contact.ends(SequenceNo(2), None).count(), 1);
        let latest = contact.rests.iter().map(|rest| rest.at).max();
        let dropped = many + 2 - limits::ENROLLMENTS_A_CONTACT;
        // The opt-out is a membership still, so all but the one about the contact are the latest about targets.
        assert_eq!(latest, Some(Moment(dropped as i64)));
        let oldest = contact.rests.iter().filter(|rest| rest.target.is_some()).map(|rest| rest.at).min();
        assert_eq!(oldest, Some(Moment((dropped + 2 - limits::RESTS_A_CONTACT) as i64)));
    }
}
