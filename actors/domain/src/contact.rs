//! Contacts: what the engine knows of a person, and the enrollments they are in.
//!
//! The row's version rises with every inbound message, opt-out and enroll; an intent expects it, so that two
//! sequences of one contact cannot both pass what only one may, and a STOP stops what was decided before it.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::Zone;
use crate::channel::Kind;
use crate::enrollment::ExitReason;
use crate::ids::{EnrollmentId, SequenceNo};
use crate::limits;
use crate::target::TargetRef;
use crate::time::Moment;

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
    /// When they last wrote to us, by the event's own time.
    pub last_inbound_at: Option<Moment>,
    /// Their enrollments that have not ended, and the latest ones that have.
    pub enrollments: Vec<Membership>,
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

    /// Drops the memberships that ended longest ago until there is room; opt-outs go last.
    pub fn forget_surplus(&mut self) {
        while self.enrollments.len() > limits::ENROLLMENTS_A_CONTACT {
            let oldest = (0..self.enrollments.len())
                .filter_map(|i| self.enrollments[i].ended.map(|ended| (ended.opted_out, ended.at, i)))
                .min();
            let Some((_, _, place)) = oldest else { return };
            self.enrollments.remove(place);
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
    }
}
