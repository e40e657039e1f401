//! What a moment means on a calendar: zones, business days, quiet hours, and when a wait is over.
//!
//! [`Calendar`] answers three questions: is the gate of the hours open, when does it open or close next, and
//! when is a step due. It knows no clock; every answer follows from its arguments.

mod due;
mod local;
pub mod minute;
#[cfg(test)]
mod tests;
pub mod wait;
pub mod weekdays;
pub mod weekly;
pub mod zone;

pub use minute::MinuteOfDay;
pub use wait::Wait;
pub use weekdays::WeekdaySet;
pub use weekly::{Hours, QuietHours, QuietWindow, StepHours, WeekWindow};
pub use zone::Zone;

use crate::time::{Moment, Span};
use chrono::NaiveDate;
use local::Reading;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;

/// How far ahead an opening or closing is looked for: the longest wait and a month.
pub const LOOK_AHEAD: Span = Span::days(400);

/// The calendar by which a contact is reached: a zone, and the tenant's days and quiet hours read in it.
///
/// The default is UTC, Monday to Friday, no holidays and no quiet hours.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Calendar {
    /// Where its times of day are read.
    pub zone: Zone,
    /// The weekdays that are business days.
    pub business_days: WeekdaySet,
    /// Dates that are no business days, whatever their weekday.
    pub holidays: BTreeSet<NaiveDate>,
    /// When nothing is sent.
    pub quiet: QuietHours,
}

impl Calendar {
    /// The same days and hours, read in another zone.
    #[must_use]
    pub fn in_zone(&self, zone: Zone) -> std::borrow::Cow<'_, Calendar> {
        if zone == self.zone {
            return std::borrow::Cow::Borrowed(self);
        }
        std::borrow::Cow::Owned(Calendar { zone, ..self.clone() })
    }

    /// Whether a step with these hours may be sent at `at`.
    ///
    /// Open means: not quiet, within the step's own windows if it has any, and on a business day that is no
    /// holiday if the step asks for one. All three go by what the clock in the zone reads at `at`.
    #[must_use]
    pub fn is_open(&self, at: Moment, hours: &Hours) -> bool {
        self.is_open_on(Reading::of(self.zone.0, at), hours)
    }

    /// The earliest moment from `at` on at which the gate is open, `None` if none is within [`LOOK_AHEAD`].
    #[must_use]
    pub fn next_open(&self, at: Moment, hours: &Hours) -> Option<Moment> {
        self.next(true, at, hours)
    }

    /// The first moment after `at` at which the open gate is closed, `None` if it stays open for
    /// [`LOOK_AHEAD`]; of a gate that is closed already, `at` itself.
    #[must_use]
    pub fn closes_at(&self, at: Moment, hours: &Hours) -> Option<Moment> {
        self.next(false, at, hours)
    }

    /// The number of the calendar day at `at`, counted from 1970-01-01, and the moment the next one begins.
    #[must_use]
    pub fn day(&self, at: Moment) -> (i32, Moment) {
        let day = Reading::of(self.zone.0, at).day;
        let next = Reading::at_minute(day + 1, MinuteOfDay::MIDNIGHT.minutes()).first_instant(self.zone.0);
        (i32::try_from(day).unwrap_or(i32::MAX), next)
    }

    /// The earliest moment from `at` on at which the gate is open, or closed.
    ///
    /// It goes from bound to bound: nothing changes before the next bound of a window, the next midnight or
    /// the next change of the clock, whichever is first.
    fn next(&self, open: bool, at: Moment, hours: &Hours) -> Option<Moment> {
        if self.is_ever_open(hours) {
            return open.then_some(at);
        }
        let zone = self.zone.0;
        let mut now = local::dated(at);
        let mut offset = local::offset_at(zone, now);
        let until = now.saturating_add(LOOK_AHEAD.0);
        while now <= until {
            let reading = Reading::with_offset(now, offset);
            if self.is_open_on(reading, hours) == open {
                return Some(Moment(now).max(at));
            }
            let bound = self.next_bound(reading, hours).as_utc() - offset;
            let after = local::offset_at(zone, bound);
            now = if after == offset { bound } else { local::change_between(zone, now, bound) };
            // One zone change at most lies before the bound, so this is the offset on its far side.
            offset = after;
        }
        None
    }

    /// Whether no condition can ever close the gate.
    fn is_ever_open(&self, hours: &Hours) -> bool {
        let quiet = !hours.ignore_quiet && !self.quiet.windows.is_empty();
        !quiet && hours.windows.is_empty() && !hours.business_days_only
    }

    fn is_open_on(&self, reading: Reading, hours: &Hours) -> bool {
        let (day, minute) = (reading.weekday(), reading.minute());
        (hours.ignore_quiet || !self.quiet.covers(day, minute))
            && hours.covers(day, minute)
            && (!hours.business_days_only || self.is_business_day(reading.day))
    }

    /// The first reading after this one at which the gate may change, the clock left alone.
    fn next_bound(&self, reading: Reading, hours: &Hours) -> Reading {
        let (minute, midnight) = (reading.minute(), MinuteOfDay::END.minutes());
        let own = weekly::next_bound(&hours.windows, minute);
        let quiet =
            if hours.ignore_quiet { midnight } else { weekly::next_bound(&self.quiet.windows, minute) };
        Reading::at_minute(reading.day, own.min(quiet))
    }

    /// Whether a day counted from 1970-01-01 is a business day and no holiday.
    fn is_business_day(&self, day: i64) -> bool {
        self.business_days.has(local::weekday(day))
            && !local::date(day).is_some_and(|date| self.holidays.contains(&date))
    }
}
