//! [`Wait`]: how long a step waits, and its text form. When a wait is over is the module `due`'s.

use super::minute::MinuteOfDay;
use crate::name::nearest;
use crate::{limits::LONGEST_WAIT, time::Span};
use serde::{Deserialize, Serialize};
use std::{fmt, str::FromStr};

/// The longest wait, in days; as many business days are let pass too.
const DAYS_MAX: u32 = (LONGEST_WAIT.0 / Span::days(1).0) as u32;

const SECOND_MS: i64 = 1_000;
const MINUTE_MS: i64 = 60 * SECOND_MS;
const HOUR_MS: i64 = 60 * MINUTE_MS;

/// How long after the previous step was settled a step is due.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Wait {
    /// No wait: due at once.
    #[default]
    None,
    /// Elapsed time, whatever the clocks do: seconds, minutes and hours.
    Span(Span),
    /// Calendar days in the zone.
    Days {
        /// How many. 0 goes with `at` only: the next such time ahead, which may be today.
        days: u16,
        /// The local time on the target date; without it, the one at which the wait began.
        at: Option<MinuteOfDay>,
    },
    /// Days that are business days and no holidays.
    BusinessDays {
        /// How many. 0 goes with `at` only: the next such time on a business day.
        days: u16,
        /// The local time on the target date; without it, the one at which the wait began.
        at: Option<MinuteOfDay>,
    },
}

/// Why a text is no wait.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not start with a whole number.
    #[error("{0:?} is no wait: write a whole number and a unit, such as \"90 minutes\" or \"3 days\"")]
    NotANumber(String),
    /// It ends after the number.
    #[error("the wait {0:?} has no unit: write for example \"{0} hours\" or \"{0} days\"")]
    NoUnit(String),
    /// Its unit is unknown.
    #[error("unknown unit {unit:?}: {}", advice(*.near))]
    UnknownUnit {
        /// The unit as given.
        unit: String,
        /// The known unit nearest to it, if one is near enough to be what was meant.
        near: Option<&'static str>,
    },
    /// A written zero.
    #[error(
        "a step that does not wait has no `wait`: leave it out, or add `at` to \"0 days\" for the \
         next such time"
    )]
    Zero,
    /// Longer than a wait may be.
    #[error("{0:?} is too long: the longest wait is {DAYS_MAX} days")]
    TooLong(String),
    /// `at` beside a unit that does not count days.
    #[error("`at` goes with days and business days, not with {0:?}: leave it out or wait in days")]
    AtWithoutDays(String),
    /// `24:00` as the time of a step.
    #[error("`at` cannot be 24:00: write \"00:00\" and one day more")]
    AtEndOfDay,
    /// The part after "at" is no time of day.
    #[error(transparent)]
    At(#[from] super::minute::Error),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Unit {
    Seconds,
    Minutes,
    Hours,
    Days,
    BusinessDays,
}

/// What each unit may be called; the last name is the one that errors offer.
const UNITS: [(Unit, &[&str]); 5] = [
    (Unit::Seconds, &["s", "sec", "second", "seconds"]),
    (Unit::Minutes, &["m", "min", "minute", "minutes"]),
    (Unit::Hours, &["h", "hour", "hours"]),
    (Unit::Days, &["d", "day", "days"]),
    (Unit::BusinessDays, &["business day", "business days"]),
];

impl Unit {
    fn parse(text: &str) -> Result<Unit, Error> {
        let known = |names: &[&str]| names.iter().any(|name| name.eq_ignore_ascii_case(text));
        if let Some((unit, _)) = UNITS.iter().find(|(_, names)| known(names)) {
            return Ok(*unit);
        }
        let plurals = UNITS.iter().filter_map(|(_, names)| names.last().copied());
        Err(Error::UnknownUnit { unit: text.to_owned(), near: nearest(text, plurals) })
    }
}

fn advice(near: Option<&str>) -> String {
    match near {
        Some(near) => format!("did you mean {near:?}?"),
        None => "write seconds, minutes, hours, days or business days".to_owned(),
    }
}

impl Wait {
    /// Whether it counts from another moment only: a hold pushes it back, where a time of day stays what it is.
    #[must_use]
    pub fn is_relative(&self) -> bool {
        match self {
            Wait::None | Wait::Span(_) => true,
            Wait::Days { at, .. } | Wait::BusinessDays { at, .. } => at.is_none(),
        }
    }

    /// Of a wait until a time of day, the one for the next such time: on a business day if this one counts those.
    #[must_use]
    pub fn next_such(&self) -> Option<Wait> {
        match *self {
            Wait::None | Wait::Span(_) => None,
            Wait::Days { at, .. } => at.map(|at| Wait::Days { days: 0, at: Some(at) }),
            Wait::BusinessDays { at, .. } => at.map(|at| Wait::BusinessDays { days: 0, at: Some(at) }),
        }
    }

    /// The wait of a text such as `45s`, `30 minutes`, `2h`, `1 day` or `2 business days`, and its `at`.
    ///
    /// # Errors
    /// [`Error`], each variant saying what would be right.
    pub fn parse(text: &str, at: Option<MinuteOfDay>) -> Result<Wait, Error> {
        let text = text.trim();
        let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        if digits.is_empty() || rest.starts_with(['.', ',']) {
            return Err(Error::NotANumber(text.to_owned()));
        }
        if rest.trim().is_empty() {
            return Err(Error::NoUnit(digits.to_owned()));
        }
        let unit = Unit::parse(rest.trim())?;
        let too_long = || Error::TooLong(text.to_owned());
        // Only too many digits can be wrong with it.
        let count: u32 = digits.parse().map_err(|_| too_long())?;
        let unit_ms = match unit {
            Unit::Days | Unit::BusinessDays => {
                let days = u16::try_from(count)
                    .ok()
                    .filter(|days| u32::from(*days) <= DAYS_MAX)
                    .ok_or_else(too_long)?;
                return Wait::in_days(unit, days, at);
            }
            Unit::Seconds => SECOND_MS,
            Unit::Minutes => MINUTE_MS,
            Unit::Hours => HOUR_MS,
        };
        if at.is_some() {
            return Err(Error::AtWithoutDays(rest.trim().to_owned()));
        }
        let span = Span(i64::from(count) * unit_ms);
        match span {
            Span::ZERO => Err(Error::Zero),
            span if span > LONGEST_WAIT => Err(too_long()),
            span => Ok(Wait::Span(span)),
        }
    }

    fn in_days(unit: Unit, days: u16, at: Option<MinuteOfDay>) -> Result<Wait, Error> {
        match at {
            None if days == 0 => Err(Error::Zero),
            Some(MinuteOfDay::END) => Err(Error::AtEndOfDay),
            at if unit == Unit::BusinessDays => Ok(Wait::BusinessDays { days, at }),
            at => Ok(Wait::Days { days, at }),
        }
    }
}

impl FromStr for Wait {
    type Err = Error;

    /// Reads what [`Wait`] displays: `none`, `2 hours`, `3 days at 09:30`.
    fn from_str(text: &str) -> Result<Wait, Error> {
        match text.split_once(" at ") {
            Some((wait, at)) => Wait::parse(wait, Some(MinuteOfDay::parse(at.trim())?)),
            None if text.trim() == "none" => Ok(Wait::None),
            None => Wait::parse(text, None),
        }
    }
}

impl fmt::Display for Wait {
    /// The largest unit that leaves no rest. Every wait that can be parsed reads back from it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (count, unit, at) = match *self {
            Wait::None => return f.write_str("none"),
            Wait::Span(Span(ms)) if ms % HOUR_MS == 0 => (ms / HOUR_MS, "hour", None),
            Wait::Span(Span(ms)) if ms % MINUTE_MS == 0 => (ms / MINUTE_MS, "minute", None),
            Wait::Span(Span(ms)) if ms % SECOND_MS == 0 => (ms / SECOND_MS, "second", None),
            Wait::Span(Span(ms)) => (ms, "millisecond", None),
            Wait::Days { days, at } => (days.into(), "day", at),
            Wait::BusinessDays { days, at } => (days.into(), "business day", at),
        };
        write!(f, "{count} {unit}{}", if count == 1 { "" } else { "s" })?;
        at.map_or(Ok(()), |at| write!(f, " at {at}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn nine() -> Option<MinuteOfDay> {
        Some(MinuteOfDay::parse("09:00").unwrap())
    }

    #[test]
    fn texts_read_as_waits() {
        let days = |days| Wait::Days { days, at: None };
        let business = |days| Wait::BusinessDays { days, at: None };
        for (text, wait) in [
            ("45s", Wait::Span(Span::seconds(45))),
            ("45 seconds", Wait::Span(Span::seconds(45))),
            ("1 second", Wait::Span(Span::seconds(1))),
            ("30m", Wait::Span(Span::minutes(30))),
            (" 30  Minutes ", Wait::Span(Span::minutes(30))),
            ("2h", Wait::Span(Span::hours(2))),
            ("2 hours", Wait::Span(Span::hours(2))),
            ("8784h", Wait::Span(Span::days(366))),
            ("3d", days(3)),
            ("3 days", days(3)),
            ("1 day", days(1)),
            ("366 days", days(366)),
            ("2 business days", business(2)),
            ("1 business day", business(1)),
        ] {
            assert_eq!(Wait::parse(text, None), Ok(wait), "{text}");
        }
    }

    #[test]
    fn at_goes_with_days_only() {
        let at = nine();
        assert_eq!(Wait::parse("3d", at), Ok(Wait::Days { days: 3, at }));
        assert_eq!(Wait::parse("0 days", at), Ok(Wait::Days { days: 0, at }));
        assert_eq!(Wait::parse("0 business days", at), Ok(Wait::BusinessDays { days: 0, at }));
        assert_eq!(Wait::parse("2 hours", at), Err(Error::AtWithoutDays("hours".to_owned())));
        assert_eq!(Wait::parse("1 day", Some(MinuteOfDay::END)), Err(Error::AtEndOfDay));
    }

    #[test]
    fn a_written_zero_is_refused() {
        for text in ["0s", "0 minutes", "0h", "0 days", "00 business days"] {
            assert_eq!(Wait::parse(text, None), Err(Error::Zero), "{text}");
        }
    }

    #[test]
    fn more_than_366_days_are_refused() {
        for text in ["367 days", "367 business days", "8785 hours", "31622401 s", "99999999999999 days"] {
            assert_eq!(Wait::parse(text, None), Err(Error::TooLong(text.to_owned())), "{text}");
        }
    }

    #[test]
    fn texts_that_are_no_wait_say_what_would_be() {
        for (text, advice) in [
            ("", "no wait: write a whole number and a unit, such as \"90 minutes\" or \"3 days\""),
            ("1.5 hours", "no wait: write a whole number and a unit, such as \"90 minutes\" or \"3 days\""),
            ("-3 days", "no wait: write a whole number and a unit, such as \"90 minutes\" or \"3 days\""),
            ("3", "the wait \"3\" has no unit: write for example \"3 hours\" or \"3 days\""),
            ("3 dasy", "unknown unit \"dasy\": did you mean \"days\"?"),
            ("3 bussiness days", "unknown unit \"bussiness days\": did you mean \"business days\"?"),
            ("2 weeks", "unknown unit \"weeks\": write seconds, minutes, hours, days or business days"),
        ] {
            let error = Wait::parse(text, None).unwrap_err().to_string();
            assert!(error.ends_with(advice), "{text}: {error}");
        }
    }

    #[test]
    fn a_wait_of_a_day_in_hours_stays_in_hours() {
        assert_eq!(Wait::Span(Span::hours(24)).to_string(), "24 hours");
        assert_eq!(Wait::Span(Span::seconds(90)).to_string(), "90 seconds");
        assert_eq!(Wait::Days { days: 1, at: nine() }.to_string(), "1 day at 09:00");
    }

    proptest! {
        #[test]
        fn every_wait_reads_back_from_its_text(count in 1..=366_u16, unit in 0..5, minute in 0..1_440_u16) {
            let at = (minute % 3 > 0).then(|| MinuteOfDay::try_from(minute).unwrap());
            let wait = match unit {
                0 => Wait::Span(Span::seconds(count.into())),
                1 => Wait::Span(Span::minutes(count.into())),
                2 => Wait::Span(Span::hours(count.into())),
                3 => Wait::Days { days: count, at },
                _ => Wait::BusinessDays { days: count, at },
            };
            prop_assert_eq!(wait.to_string().parse(), Ok(wait));
        }
    }
}
