//! A tenant's settings: they are always the current ones, whatever version an enrollment is pinned to.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::{Calendar, Zone};
use crate::channel::Kind;
use crate::holds::{Holds, PastHold};
use crate::ids::{ChannelNo, TenantNo};
use crate::name::Name;
use crate::time::Moment;

/// A tenant: a scope that every intent of its enrollments expects.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Tenant {
    /// Its number in keys.
    pub no: TenantNo,
    /// Its name.
    pub name: Name,
    /// Off until switched on; off is a hold: exits, receipts and opt-outs still act.
    pub on: bool,
    /// Zone, business days, holidays and quiet hours.
    pub calendar: Calendar,
    /// Whether a contact's own zone counts, where it is known, rather than the tenant's.
    pub contact_time_zone: bool,
    /// Words that opt out besides the usual ones, upper case.
    pub stop_words: BTreeSet<String>,
    /// The channel of a kind that a step means when it names only the kind.
    pub default_channels: BTreeMap<Kind, ChannelNo>,
    /// What keeps it from sending, now and before; times it was off that have ended are among them.
    pub holds: Holds,
    /// Since when it is off, where it was on before.
    pub off_since: Option<Moment>,
    /// Sends to one contact in any moving 24 h, over all channels and sequences.
    pub contact_per_day: Option<u32>,
    /// The same in any moving 7 × 24 h.
    pub contact_per_week: Option<u32>,
    /// Whether who opts out does so of every kind of channel.
    pub opt_out_of_all: bool,
}

impl Tenant {
    /// Switches it on or off. Off is a hold: waits that run through it are pushed back.
    pub fn switch(&mut self, on: bool, now: Moment) {
        match (self.on, on) {
            (true, false) => self.off_since = Some(now),
            (false, true) => {
                if let Some(since) = self.off_since.take() {
                    self.holds.remember(since, now);
                }
            }
            (true, true) | (false, false) => {}
        }
        self.on = on;
    }

    /// The holds there were, those that are on and the time it is off as if they ended now.
    pub(crate) fn held_until(&self, now: Moment) -> impl Iterator<Item = PastHold> + '_ {
        let off = self.off_since.filter(|_| !self.on);
        self.holds.until(now).chain(off.map(|since| PastHold { since, until: now }))
    }

    /// The zone whose hours apply to a contact.
    #[must_use]
    pub fn zone_of(&self, contact: Option<Zone>) -> Zone {
        contact.filter(|_| self.contact_time_zone).unwrap_or(self.calendar.zone)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::samples;
    use crate::limits;

    #[test]
    fn being_off_is_a_hold_that_ends_when_it_is_switched_on() {
        let mut tenant = samples::scope().tenant;
        for (on, at) in [(false, 10), (false, 15), (true, 20), (true, 25)] {
            tenant.switch(on, Moment(at));
        }
        assert_eq!(tenant.holds.past, [PastHold { since: Moment(10), until: Moment(20) }]);
        assert!(tenant.on);
    }

    #[test]
    fn times_it_was_off_are_bounded_as_other_holds_are() {
        let mut tenant = samples::scope().tenant;
        for n in 0..200 {
            tenant.switch(n % 2 == 1, Moment(n));
        }
        assert_eq!(tenant.holds.past.len(), limits::PAST_HOLDS);
        tenant.switch(false, Moment(500));
        tenant.switch(true, Moment(500) + limits::LONGEST_WAIT);
        assert_eq!(tenant.holds.past.len(), 1, "one that no open wait can overlap is forgotten");
    }
}
