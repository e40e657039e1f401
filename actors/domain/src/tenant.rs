//! A tenant's settings: they are always the current ones, whatever version an enrollment is pinned to.

use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

use crate::calendar::{Calendar, Zone};
use crate::channel::Kind;
use crate::ids::{ChannelNo, TenantNo};
use crate::name::Name;
use crate::scope::Holds;

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
    /// What keeps it from sending, now and before.
    pub holds: Holds,
}

impl Tenant {
    /// The zone whose hours apply to a contact.
    #[must_use]
    pub fn zone_of(&self, contact: Option<Zone>) -> Zone {
        contact.filter(|_| self.contact_time_zone).unwrap_or(self.calendar.zone)
    }
}
