//! Windows that come back every week: a tenant's [`QuietHours`] and the open [`Hours`] of a step.
//!
//! Windows are judged by what the clock on the wall reads. An hour the clock shows twice is quiet both times,
//! a bound it skips takes effect at the first reading past it. Which reading belongs to an instant is
//! the module `local`'s.

use super::{minute::MinuteOfDay, weekdays::WeekdaySet};
use serde::{Deserialize, Serialize};

/// At least this much of a week must stay open.
const OPEN_MINUTES_MIN: u32 = 60;

/// On each of `days`, from `from` until `to`, exclusive.
///
/// A `to` at or before `from` lies on the following day, whether or not that is named: from 22:00 to 06:00 on
/// Sunday ends on Monday morning, from 09:00 to 09:00 takes 24 hours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WeekWindow {
    /// The days the window starts on.
    pub days: WeekdaySet,
    /// The first minute in the window.
    pub from: MinuteOfDay,
    /// The first minute after the window.
    pub to: MinuteOfDay,
}

/// A window in which nothing is sent.
pub type QuietWindow = WeekWindow;

/// A window in which a step may be sent.
pub type StepHours = WeekWindow;

/// When a tenant sends nothing: the union of the windows. The default is never.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct QuietHours {
    /// The windows, in any order; they may overlap.
    pub windows: Vec<QuietWindow>,
}

/// What one step adds to, or takes from, its tenant's hours. The default changes nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hours {
    /// The step's own open hours, a union; empty means any time.
    pub windows: Vec<StepHours>,
    /// Send only on business days that are no holidays.
    pub business_days_only: bool,
    /// The channel switches quiet hours off, as webhook does by default.
    pub ignore_quiet: bool,
}

/// Why windows are refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A window without a day.
    #[error("the window from {from} to {to} names no weekday: name at least one, or take the window out")]
    NoDay {
        /// Its start.
        from: MinuteOfDay,
        /// Its end.
        to: MinuteOfDay,
    },
    /// A window that starts at 24:00.
    #[error("a window cannot start at 24:00: start it at 00:00 of the following day")]
    StartsAtEnd,
    /// Hardly anything stays open.
    #[error(
        "the quiet hours leave {open_minutes} minutes of a week open, at least 60 must stay: shorten a window \
         or name fewer days"
    )]
    HardlyOpen {
        /// How many minutes of a week stay open.
        open_minutes: u32,
    },
}

impl WeekWindow {
    /// Whether a minute (0 to 1439) of a day (Monday 0 to Sunday 6) lies in the window.
    pub(super) fn covers(&self, day: u8, minute: u16) -> bool {
        let (from, to) = (self.from.minutes(), self.to.minutes());
        if from < to {
            return self.days.has(day) && (from..to).contains(&minute);
        }
        let yesterday = (day + 6) % 7;
        self.days.has(day) && minute >= from || self.days.has(yesterday) && minute < to
    }

    fn validate(&self) -> Result<(), Error> {
        if self.days.is_empty() {
            return Err(Error::NoDay { from: self.from, to: self.to });
        }
        if self.from == MinuteOfDay::END { Err(Error::StartsAtEnd) } else { Ok(()) }
    }
}

/// The first bound of any window after `minute`, else the end of the day.
///
/// Nothing changes before it, on whatever weekday: that some windows skip the day only costs a step.
pub(super) fn next_bound(windows: &[WeekWindow], minute: u16) -> u16 {
    let bounds = windows.iter().flat_map(|window| [window.from.minutes(), window.to.minutes()]);
    bounds.filter(|bound| *bound > minute).min().unwrap_or(MinuteOfDay::END.minutes())
}

impl QuietHours {
    /// Whether a minute (0 to 1439) of a day (Monday 0 to Sunday 6) is quiet.
    pub(super) fn covers(&self, day: u8, minute: u16) -> bool {
        self.windows.iter().any(|window| window.covers(day, minute))
    }

    /// Checks what no single window shows: that a week keeps an hour to send in.
    ///
    /// # Errors
    /// [`Error`] for a window without days or from 24:00, and if less than one hour of a week stays open.
    pub fn validate(&self) -> Result<(), Error> {
        self.windows.iter().try_for_each(WeekWindow::validate)?;
        let open_minutes = self.open_minutes();
        if open_minutes < OPEN_MINUTES_MIN { Err(Error::HardlyOpen { open_minutes }) } else { Ok(()) }
    }

    /// The minutes of a week without a clock change that are not quiet.
    fn open_minutes(&self) -> u32 {
        let mut open = 0;
        for day in 0..7 {
            let mut minute = 0;
            while minute < MinuteOfDay::END.minutes() {
                let next = next_bound(&self.windows, minute);
                if !self.covers(day, minute) {
                    open += u32::from(next - minute);
                }
                minute = next;
            }
        }
        open
    }
}

impl Hours {
    /// Whether a step with these hours sends in other hours than one without any.
    #[must_use]
    pub fn narrows(&self) -> bool {
        self.business_days_only || !self.windows.is_empty()
    }

    /// Checks the step's own windows one by one.
    ///
    /// # Errors
    /// [`Error`] for a window without days or from 24:00.
    pub fn validate(&self) -> Result<(), Error> {
        self.windows.iter().try_for_each(WeekWindow::validate)
    }

    /// Whether a minute of a day lies in the step's own hours.
    pub(super) fn covers(&self, day: u8, minute: u16) -> bool {
        self.windows.is_empty() || self.windows.iter().any(|window| window.covers(day, minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MON: u8 = 0;
    const SUN: u8 = 6;

    fn window(days: &str, from: &str, to: &str) -> WeekWindow {
        let (from, to) = (MinuteOfDay::parse(from).unwrap(), MinuteOfDay::parse_end(to).unwrap());
        WeekWindow { days: days.parse().unwrap(), from, to }
    }

    fn open_minutes(windows: &[WeekWindow]) -> u32 {
        QuietHours { windows: windows.to_vec() }.open_minutes()
    }

    #[test]
    fn the_end_is_exclusive() {
        let noon = window("mon", "12:00", "13:00");
        assert!(!noon.covers(MON, 719));
        assert!(noon.covers(MON, 720) && noon.covers(MON, 779));
        assert!(!noon.covers(MON, 780) && !noon.covers(1, 720));
    }

    #[test]
    fn a_sunday_night_ends_on_monday_morning() {
        let night = window("sun", "22:00", "06:00");
        assert!(night.covers(SUN, 1_320) && night.covers(MON, 0) && night.covers(MON, 359));
        assert!(!night.covers(SUN, 0) && !night.covers(MON, 360) && !night.covers(MON, 1_320));
    }

    #[test]
    fn equal_bounds_take_a_whole_day() {
        let day = window("mon", "09:00", "09:00");
        assert!(!day.covers(MON, 539) && day.covers(MON, 540) && day.covers(1, 539) && !day.covers(1, 540));
        assert_eq!(open_minutes(&[day]), 6 * 1_440);
        assert_eq!(open_minutes(&[window("mon", "00:00", "24:00")]), 6 * 1_440);
        assert_eq!(open_minutes(&[window("mon", "00:00", "00:00")]), 6 * 1_440);
    }

    #[test]
    fn windows_are_a_union() {
        let twice = [window("mon-sun", "20:00", "24:00"), window("mon", "22:00", "08:00")];
        assert_eq!(open_minutes(&twice), 7 * 1_200 - 480);
    }

    #[test]
    fn less_than_an_open_hour_a_week_is_refused() {
        let quiet = |to: &str| QuietHours {
            windows: vec![window("mon-sat", "00:00", "24:00"), window("sun", "00:00", to)],
        };
        assert_eq!(quiet("23:00").validate(), Ok(()));
        assert_eq!(quiet("23:01").validate(), Err(Error::HardlyOpen { open_minutes: 59 }));
        assert_eq!(quiet("24:00").validate(), Err(Error::HardlyOpen { open_minutes: 0 }));
        assert_eq!(QuietHours::default().validate(), Ok(()));
    }

    #[test]
    fn malformed_windows_are_refused() {
        let (from, to) = (MinuteOfDay::MIDNIGHT, MinuteOfDay::END);
        let dayless = WeekWindow { days: WeekdaySet::NONE, from, to };
        let late = WeekWindow { days: WeekdaySet::ALL, from: to, to: from };
        assert_eq!(QuietHours { windows: vec![dayless] }.validate(), Err(Error::NoDay { from, to }));
        assert_eq!(Hours { windows: vec![late], ..Hours::default() }.validate(), Err(Error::StartsAtEnd));
    }
}
