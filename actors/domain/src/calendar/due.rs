//! When a [`Wait`] is over: the rules of days, business days and `at`.
//!
//! | wait | due |
//! |---|---|
//! | none | at once |
//! | a span | that much elapsed time later, whatever the clocks do |
//! | n days | on the date n later, when the clock reads what it read at the start, to the millisecond |
//! | n days, at | on the date n later, at that time; with n = 0 the next such time, the start included |
//! | business days | the same on the n-th business day after the start's date, the start's date not counted |
//!
//! A time the clock skips on that date becomes the first instant after the gap, be that on the next date; one
//! it shows twice means the first. A due moment never lies before the start.

use super::{
    Calendar,
    local::{self, Reading},
    minute::MinuteOfDay,
    wait::Wait,
};
use crate::time::Moment;

/// How many dates are looked at for a business day. The longest wait, one business day a week, takes 2,562.
const DATES_MAX: i64 = 3_660;

impl Calendar {
    /// The moment a wait that begins at `from` is over. The gates of the send are not asked.
    ///
    /// [`Moment::FAR`] if the business days it waits for do not come within ten years.
    #[must_use]
    pub fn due(&self, from: Moment, wait: &Wait) -> Moment {
        match *wait {
            Wait::None | Wait::Days { days: 0, at: None } | Wait::BusinessDays { days: 0, at: None } => from,
            Wait::Span(span) => from + span,
            Wait::Days { days: 0, at: Some(at) } => self.next_time(from, at, |_| true),
            Wait::BusinessDays { days: 0, at: Some(at) } => {
                self.next_time(from, at, |day| self.is_business_date(day))
            }
            Wait::Days { days, at } => {
                let start = Reading::of(self.zone.0, from);
                self.on_date(from, start, start.day + i64::from(days), at)
            }
            Wait::BusinessDays { days, at } => {
                let start = Reading::of(self.zone.0, from);
                match self.business_date(start.day, days) {
                    Some(day) => self.on_date(from, start, day, at),
                    None => Moment::FAR,
                }
            }
        }
    }

    /// The first `at` from `from` on, on a date that `counts`.
    ///
    /// The time of a date may be past although the date is still ahead: where the clock goes back over
    /// midnight, the next date's first minutes have been before. So dates are tried until a time is ahead.
    fn next_time(&self, from: Moment, at: MinuteOfDay, counts: impl Fn(i64) -> bool) -> Moment {
        let today = Reading::of(self.zone.0, from).day;
        let dates = (today..today + DATES_MAX).filter(|day| counts(*day));
        let mut times = dates.map(|day| Reading::at_minute(day, at.minutes()).first_instant(self.zone.0));
        times.find(|time| *time >= from).unwrap_or(Moment::FAR)
    }

    /// `at` on the date `day`, else the time of day of `start`.
    fn on_date(&self, from: Moment, start: Reading, day: i64, at: Option<MinuteOfDay>) -> Moment {
        let target = match at {
            Some(at) => Reading::at_minute(day, at.minutes()),
            None => Reading { day, ms: start.ms },
        };
        target.first_instant(self.zone.0).max(from)
    }

    /// The `count`-th business date after the date `start`.
    fn business_date(&self, start: i64, count: u16) -> Option<i64> {
        let mut dates = (start + 1..start + DATES_MAX).filter(|day| self.is_business_date(*day));
        dates.nth(usize::from(count).checked_sub(1)?)
    }

    /// Whether a date that the zone does have is a business day.
    fn is_business_date(&self, day: i64) -> bool {
        self.is_business_day(day) && local::exists(self.zone.0, day)
    }
}
