//! The settings of one lane's limits, and which of them are refused.
//!
//! Every limit is optional. Limits may overlap: one that never binds, such as more per minute than per hour,
//! is harmless and accepted.

use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longer gaps and rates that look back further are typing mistakes, and would not fit the ledger's numbers.
pub(super) const LONGEST: Span = Span::days(366);

/// What one lane may send. Limits can change between any two calls of a ledger: caps and gap bind at once as they
/// now stand, a rate from the last start on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Pace with a burst.
    pub rate: Option<Rate>,
    /// Least span between the starts of two calls.
    pub gap: Option<Span>,
    /// Starts in any moving minute.
    pub per_minute: Option<u32>,
    /// Starts in any moving hour.
    pub per_hour: Option<u32>,
    /// Starts on a calendar day of the tenant.
    pub per_day: Option<u32>,
}

/// At most `burst + count/per · W` starts in any span W.
///
/// Starts are whole milliseconds, so a burst of 1 at more than 20 a second loses up to a millisecond each; with a
/// burst of 2 or more nothing is lost. The interval is rounded up to whole microseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rate {
    /// Sends per `per`.
    pub count: u32,
    /// The span that `count` refers to.
    pub per: Span,
    /// Starts that may fall together; also the most sends that may be open at once.
    pub burst: u32,
}

impl Rate {
    /// Microseconds between two starts at full pace, at least one.
    pub(super) fn interval(&self) -> i64 {
        let per = self.per.0.clamp(1, LONGEST.0) * 1_000;
        let count = i64::from(self.count.max(1));
        per / count + i64::from(per % count != 0)
    }
}

/// Which limit binds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LimitName {
    /// [`Limits::rate`]
    Rate,
    /// [`Limits::gap`]
    Gap,
    /// [`Limits::per_minute`]
    PerMinute,
    /// [`Limits::per_hour`]
    PerHour,
    /// [`Limits::per_day`]
    PerDay,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitName::Rate => "rate",
            LimitName::Gap => "gap",
            LimitName::PerMinute => "per_minute",
            LimitName::PerHour => "per_hour",
            LimitName::PerDay => "per_day",
        })
    }
}

/// A setting, by the name it has in the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Field {
    /// [`Rate::count`]
    RateCount,
    /// [`Rate::per`]
    RatePer,
    /// [`Rate::burst`]
    RateBurst,
    /// [`Limits::gap`]
    Gap,
    /// [`Limits::per_minute`]
    PerMinute,
    /// [`Limits::per_hour`]
    PerHour,
    /// [`Limits::per_day`]
    PerDay,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::RateCount => "rate.count",
            Field::RatePer => "rate.per",
            Field::RateBurst => "rate.burst",
            Field::Gap => "gap",
            Field::PerMinute => "per_minute",
            Field::PerHour => "per_hour",
            Field::PerDay => "per_day",
        })
    }
}

/// Why settings are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LimitsError {
    /// Zero or less would never send; leaving the setting out lifts the limit, a hold stops the lane.
    #[error("{field} must be at least 1; leave it out for no limit, or hold the channel to send nothing")]
    NotPositive {
        /// The setting.
        field: Field,
    },
    /// More than 366 days.
    #[error("{field} is {} ms, more than 366 days", .found.0)]
    TooLong {
        /// The setting.
        field: Field,
        /// Its value.
        found: Span,
    },
    /// A whole burst takes more than 366 days to come back.
    #[error("{} {burst} at {} {} ms takes more than 366 days to come back", .fields[0], .fields[1], .per.0)]
    BurstTooLong {
        /// `rate.burst` and `rate.per`.
        fields: [Field; 2],
        /// The burst.
        burst: u32,
        /// The span of the rate.
        per: Span,
    },
    /// The gap is no shorter than the rate's interval, so that no burst can ever happen.
    #[error("{} {burst} can never happen with {} {} ms: shorten the gap or set the burst to 1",
            .fields[0], .fields[1], .gap.0)]
    BurstUnderGap {
        /// `rate.burst` and `gap`.
        fields: [Field; 2],
        /// The burst.
        burst: u32,
        /// The gap.
        gap: Span,
    },
}

impl Limits {
    /// Checks each setting, then those that bear on each other.
    ///
    /// # Errors
    /// The first [`LimitsError`] found, in the order of the fields.
    pub fn validate(&self) -> Result<(), LimitsError> {
        if let Some(rate) = &self.rate {
            positive(Field::RateCount, i64::from(rate.count))?;
            span(Field::RatePer, rate.per)?;
            positive(Field::RateBurst, i64::from(rate.burst))?;
        }
        if let Some(gap) = self.gap {
            span(Field::Gap, gap)?;
        }
        let caps = [
            (Field::PerMinute, self.per_minute),
            (Field::PerHour, self.per_hour),
            (Field::PerDay, self.per_day),
        ];
        for (field, cap) in caps {
            positive(field, cap.map_or(1, i64::from))?;
        }
        self.rate.as_ref().map_or(Ok(()), |rate| self.validate_burst(rate))
    }

    fn validate_burst(&self, rate: &Rate) -> Result<(), LimitsError> {
        let Rate { burst, per, .. } = *rate;
        if rate.interval().saturating_mul(i64::from(burst)) > LONGEST.0 * 1_000 {
            return Err(LimitsError::BurstTooLong { fields: [Field::RateBurst, Field::RatePer], burst, per });
        }
        match self.gap {
            Some(gap) if burst > 1 && gap.0 * 1_000 >= rate.interval() => {
                Err(LimitsError::BurstUnderGap { fields: [Field::RateBurst, Field::Gap], burst, gap })
            }
            _ => Ok(()),
        }
    }
}

fn positive(field: Field, found: i64) -> Result<(), LimitsError> {
    if found < 1 { Err(LimitsError::NotPositive { field }) } else { Ok(()) }
}

fn span(field: Field, found: Span) -> Result<(), LimitsError> {
    positive(field, found.0)?;
    if found > LONGEST { Err(LimitsError::TooLong { field, found }) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(count: u32, per: Span, burst: u32) -> Limits {
        Limits { rate: Some(Rate { count, per, burst }), ..Limits::default() }
    }

    #[test]
    fn no_limits_are_valid() {
        assert_eq!(Limits::default().validate(), Ok(()));
    }

    #[test]
    fn each_zero_is_refused_by_name() {
        let zero = |limits: Limits| match limits.validate() {
            Err(LimitsError::NotPositive { field }) => field.to_string(),
            other => format!("{other:?}"),
        };
        assert_eq!(zero(rate(0, Span::seconds(1), 1)), "rate.count");
        assert_eq!(zero(rate(1, Span::ZERO, 1)), "rate.per");
        assert_eq!(zero(rate(1, Span::seconds(1), 0)), "rate.burst");
        assert_eq!(zero(Limits { gap: Some(Span::ZERO), ..Limits::default() }), "gap");
        assert_eq!(zero(Limits { gap: Some(Span(-5)), ..Limits::default() }), "gap");
        assert_eq!(zero(Limits { per_minute: Some(0), ..Limits::default() }), "per_minute");
        assert_eq!(zero(Limits { per_hour: Some(0), ..Limits::default() }), "per_hour");
        assert_eq!(zero(Limits { per_day: Some(0), ..Limits::default() }), "per_day");
    }

    #[test]
    fn a_gap_may_last_366_days_and_no_longer() {
        let gap = |span| Limits { gap: Some(span), ..Limits::default() };
        assert_eq!(gap(Span::days(366)).validate(), Ok(()));
        let found = Span(Span::days(366).0 + 1);
        assert_eq!(gap(found).validate(), Err(LimitsError::TooLong { field: Field::Gap, found }));
    }

    #[test]
    fn more_per_minute_than_per_hour_is_harmless() {
        let limits =
            Limits { per_minute: Some(100), per_hour: Some(10), per_day: Some(5), ..Limits::default() };
        assert_eq!(limits.validate(), Ok(()));
    }

    #[test]
    fn a_burst_that_its_gap_forbids_names_both() {
        let limits = Limits { gap: Some(Span::seconds(5)), ..rate(80, Span::seconds(1), 20) };
        let error = limits.validate().unwrap_err().to_string();
        assert!(error.contains("rate.burst") && error.contains("gap"), "{error}");
        // Five in a row, five seconds apart, then one a minute: both limits have their use.
        let both = Limits { gap: Some(Span::seconds(5)), ..rate(1, Span::minutes(1), 5) };
        assert_eq!(both.validate(), Ok(()));
    }

    #[test]
    fn a_burst_of_years_names_both() {
        let error = rate(1, Span::days(30), 1_000).validate().unwrap_err().to_string();
        assert!(error.contains("rate.burst") && error.contains("rate.per"), "{error}");
    }

    #[test]
    fn the_interval_is_never_too_short() {
        assert_eq!(Rate { count: 80, per: Span::seconds(1), burst: 1 }.interval(), 12_500);
        assert_eq!(Rate { count: 3, per: Span::seconds(1), burst: 1 }.interval(), 333_334);
        assert_eq!(Rate { count: 0, per: Span(-1), burst: 0 }.interval(), 1_000);
    }
}
