//! The settings of one lane's limits, and which of them are refused.
//!
//! Every limit is optional. Limits may overlap: one that never binds, such as more per minute than per hour,
//! is harmless and accepted.

use crate::calendar::Wait;
use crate::time::Span;
use serde::{Deserialize, Serialize};
use std::fmt;

/// Longer gaps and rates that look back further are typing mistakes, and would not fit the ledger's numbers.
pub(super) const LONGEST: Span = Span::days(366);

/// Days of the longest warm-up: as long as any other limit looks.
const MOST_DAYS: u32 = 366;

/// What one lane may send. Limits can change between any two calls of a ledger: caps and gap bind at once as they
/// now stand, a rate from the last start on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Pace with a burst.
    pub rate: Option<Rate>,
    /// Least span between the starts of two calls.
    pub gap: Option<Span>,
    /// How much longer than `gap` a gap is at most: each by a random part of this. The pacer draws it with every
    /// permit; a ledger knows `gap` only, which is what holds across a restart.
    pub jitter: Option<Span>,
    /// Starts in any moving minute.
    pub per_minute: Option<u32>,
    /// Starts in any moving hour.
    pub per_hour: Option<u32>,
    /// Starts on a calendar day of the tenant.
    pub per_day: Option<u32>,
    /// A pause after every so many starts.
    pub rest: Option<Rest>,
    /// A lower `per_day` on the first days.
    pub warm_up: Option<WarmUp>,
    /// Least span between two starts to one contact; a gate of the contact's row, of which a ledger knows nothing.
    pub recipient_gap: Option<Span>,
    /// People written to in any moving 24 h, each counted once; of WhatsApp those who wrote within 24 h before are not
    /// counted. Kept beside the ledger, by [`Recipients`](super::Recipients).
    pub new_recipients: Option<u32>,
}

impl Limits {
    /// How long a call may be unanswered before its start has to be told: from then on an open send would keep others
    /// waiting that its start alone does not. `None`: no limit waits for open sends.
    #[must_use]
    pub fn start_told_after(&self) -> Option<Span> {
        let burst = self.rate.map(|rate| Span(rate.interval() * i64::from(rate.burst.max(1)) / 1_000));
        let waits = burst.into_iter().chain(self.gap).map(|span| Span(span.0 / 2));
        let counts = self.per_minute.or(self.per_hour).or(self.per_day).is_some() || self.rest.is_some();
        waits.min().or(counts.then_some(START_TOLD_MOST)).map(|span| span.clamp(Span(1), START_TOLD_MOST))
    }
}

/// Calls that are answered sooner are settled by their outcome, which costs no write of its own.
const START_TOLD_MOST: Span = Span(50);

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
    /// Starts that may fall together; also the most sends whose start is not known yet.
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

/// A pause after every so many starts: of any `after` + 1 starts in a row two neighbours lie `span` apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rest {
    /// Starts without a pause.
    pub after: u32,
    /// The pause, from the last of them on.
    pub span: Span,
}

/// How a new sender's cap of a day rises: evenly from `from` on the day of its first start ever to `per_day` when
/// `days` have passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WarmUp {
    /// Days until `per_day` is reached.
    pub days: u32,
    /// Starts on the first day.
    pub from: u32,
}

impl WarmUp {
    /// The cap of the day so many days after the first, where it is `per_day` in the end. Rounded down.
    pub(super) fn cap(&self, per_day: u32, since: i64) -> u32 {
        let since = since.max(0).unsigned_abs();
        let days = u64::from(self.days);
        if since >= days {
            return per_day;
        }
        let from = self.from.min(per_day);
        let risen = u64::from(per_day - from) * since / days;
        from.saturating_add(u32::try_from(risen).unwrap_or(u32::MAX))
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
    /// [`Limits::rest`]
    Rest,
    /// [`Limits::new_recipients`]
    NewRecipients,
}

impl fmt::Display for LimitName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            LimitName::Rate => "rate",
            LimitName::Gap => "gap",
            LimitName::PerMinute => "per_minute",
            LimitName::PerHour => "per_hour",
            LimitName::PerDay => "per_day",
            LimitName::Rest => "rest",
            LimitName::NewRecipients => "new_recipients",
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
    /// [`Limits::jitter`]
    Jitter,
    /// [`Limits::per_minute`]
    PerMinute,
    /// [`Limits::per_hour`]
    PerHour,
    /// [`Limits::per_day`]
    PerDay,
    /// [`Rest::after`]
    RestAfter,
    /// [`Rest::span`]
    RestSpan,
    /// [`WarmUp::days`]
    WarmUpDays,
    /// [`WarmUp::from`]
    WarmUpFrom,
    /// [`Limits::recipient_gap`]
    RecipientGap,
    /// [`Limits::new_recipients`]
    NewRecipients,
}

impl fmt::Display for Field {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Field::RateCount => "rate.count",
            Field::RatePer => "rate.per",
            Field::RateBurst => "rate.burst",
            Field::Gap => "gap",
            Field::Jitter => "jitter",
            Field::PerMinute => "per_minute",
            Field::PerHour => "per_hour",
            Field::PerDay => "per_day",
            Field::RestAfter => "rest.after",
            Field::RestSpan => "rest.span",
            Field::WarmUpDays => "warm_up.days",
            Field::WarmUpFrom => "warm_up.from",
            Field::RecipientGap => "recipient_gap",
            Field::NewRecipients => "new_recipients",
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
    #[error("{field} is longer than 366 days: shorten it")]
    TooLong {
        /// The setting.
        field: Field,
        /// Its value.
        found: Span,
    },
    /// A whole burst takes more than 366 days to come back.
    #[error("{} {burst} at {} {} takes more than 366 days to come back: lower it, or shorten {}",
            .fields[0], .fields[1], Wait::Span(*.per), .fields[1])]
    BurstTooLong {
        /// `rate.burst` and `rate.per`.
        fields: [Field; 2],
        /// The burst.
        burst: u32,
        /// The span of the rate.
        per: Span,
    },
    /// The gap is no shorter than the rate's interval, so that no burst can ever happen.
    #[error("{} {burst} can never happen with {} {}: shorten the gap or set the burst to 1",
            .fields[0], .fields[1], Wait::Span(*.gap))]
    BurstUnderGap {
        /// `rate.burst` and `gap`.
        fields: [Field; 2],
        /// The burst.
        burst: u32,
        /// The gap.
        gap: Span,
    },
    /// The gap is no shorter than the rest, so that every pause is one already.
    #[error("{} {} is no pause with {} {}: lengthen the rest or leave it out",
            .fields[0], Wait::Span(*.span), .fields[1], Wait::Span(*.gap))]
    RestUnderGap {
        /// `rest.span` and `gap`.
        fields: [Field; 2],
        /// The rest.
        span: Span,
        /// The gap.
        gap: Span,
    },
    /// A day never has so many starts that a rest comes after.
    #[error("{} {after} is never reached with {} {cap}: rest sooner or leave the rest out",
            .fields[0], .fields[1])]
    RestOverDay {
        /// `rest.after` and `per_day`.
        fields: [Field; 2],
        /// Starts before a rest.
        after: u32,
        /// Starts on a day.
        cap: u32,
    },
    /// A ramp of more days than a year has.
    #[error("{field} is {found}: give 1 to 366")]
    TooManyDays {
        /// The setting.
        field: Field,
        /// Its value.
        found: u32,
    },
    /// A setting that says how another one begins, without that other one.
    #[error("{} goes with {}: give that too or leave it out", .fields[0], .fields[1])]
    Without {
        /// The setting and the one that is missing.
        fields: [Field; 2],
    },
    /// The ramp would fall.
    #[error("{} {from} is above {} {cap}, which a warm-up rises to: lower it, or raise {}",
            .fields[0], .fields[1], .fields[1])]
    FromOverDay {
        /// `warm_up.from` and `per_day`.
        fields: [Field; 2],
        /// Starts on the first day.
        from: u32,
        /// Starts on a day in the end.
        cap: u32,
    },
}

impl LimitsError {
    /// The setting that it is about: of two that contradict each other, the one that would go.
    #[must_use]
    pub fn field(&self) -> Field {
        match self {
            LimitsError::NotPositive { field }
            | LimitsError::TooLong { field, .. }
            | LimitsError::TooManyDays { field, .. } => *field,
            LimitsError::BurstTooLong { fields: [field, _], .. }
            | LimitsError::BurstUnderGap { fields: [field, _], .. }
            | LimitsError::RestUnderGap { fields: [field, _], .. }
            | LimitsError::RestOverDay { fields: [field, _], .. }
            | LimitsError::Without { fields: [field, _] }
            | LimitsError::FromOverDay { fields: [field, _], .. } => *field,
        }
    }
}

impl Limits {
    /// What its rate and its gap leave between two starts in the long run; `None`: it has neither.
    #[must_use]
    pub fn between(&self) -> Option<Span> {
        let rate = self.rate.map(|rate| rate.per.0 / i64::from(rate.count.max(1)));
        let gap = self.gap.map(|gap| gap.0 + self.jitter.map_or(0, |jitter| jitter.0 / 2));
        rate.max(gap).map(Span)
    }

    /// The span between two starts that these limits allow in the long run, a warm-up being over: that of the slowest.
    #[must_use]
    pub fn pace(&self) -> Span {
        let each = |span: Span, count: u32| span.0 / i64::from(count.max(1));
        let run = self.between().unwrap_or_default().0;
        // Of so many spans between starts one is the rest.
        let rested = self.rest.map(|Rest { after, span }| {
            let after = i64::from(after.max(1));
            (run.saturating_mul(after - 1) + run.max(span.0)) / after
        });
        let spans = [
            rested,
            self.per_minute.map(|cap| each(Span::minutes(1), cap)),
            self.per_hour.map(|cap| each(Span::hours(1), cap)),
            self.per_day.map(|cap| each(Span::days(1), cap)),
        ];
        Span(spans.into_iter().flatten().fold(run, i64::max))
    }

    /// The limit that is slowest in the long run, that of a day aside, and how many microseconds it leaves between two
    /// starts, where a lane has so many thousandths of its rate; `None`: there is no such limit.
    #[must_use]
    pub fn slowest(&self, share: u32) -> Option<(LimitName, u64)> {
        self.spans(share).max_by_key(|(_, span)| *span)
    }

    /// [`Limits::slowest`] of all limits besides one.
    #[must_use]
    pub fn slowest_besides(&self, name: LimitName, share: u32) -> Option<u64> {
        self.spans(share).filter(|(other, _)| *other != name).map(|(_, span)| span).max()
    }

    fn spans(&self, share: u32) -> impl Iterator<Item = (LimitName, u64)> {
        let each = |span: Span, count: u32| 1_000 * span.0 / i64::from(count.max(1));
        let gap = self.gap.map(|gap| 1_000 * gap.0 + self.jitter.map_or(0, |jitter| 500 * jitter.0));
        let rate = self.rate.map(|rate| rate.interval().saturating_mul(1_000) / i64::from(share.max(1)));
        let run = rate.max(gap).unwrap_or_default();
        // Of so many spans between starts one is the rest.
        let rested = self.rest.map(|Rest { after, span }| {
            let after = i64::from(after.max(1));
            (run.saturating_mul(after - 1) + run.max(1_000 * span.0)) / after
        });
        let spans = [
            (LimitName::Rate, rate),
            (LimitName::Gap, gap),
            (LimitName::Rest, rested),
            (LimitName::PerMinute, self.per_minute.map(|cap| each(Span::minutes(1), cap))),
            (LimitName::PerHour, self.per_hour.map(|cap| each(Span::hours(1), cap))),
        ];
        spans.into_iter().filter_map(|(name, span)| Some((name, span?.unsigned_abs())))
    }

    /// What is wrong of each setting; where that is nothing, of those that bear on each other.
    #[must_use]
    pub fn problems(&self) -> Vec<LimitsError> {
        let by_themselves = wrong(self.by_themselves());
        // What is wrong by itself contradicts nothing yet.
        if by_themselves.is_empty() { wrong(self.together()) } else { by_themselves }
    }

    fn by_themselves(&self) -> Vec<Result<(), LimitsError>> {
        let mut said = Vec::new();
        if let Some(Rate { count, per, burst }) = self.rate {
            said.push(positive(Field::RateCount, i64::from(count)));
            said.push(span(Field::RatePer, per));
            said.push(positive(Field::RateBurst, i64::from(burst)));
        }
        let spans =
            [(Field::Gap, self.gap), (Field::Jitter, self.jitter), (Field::RecipientGap, self.recipient_gap)];
        said.extend(spans.into_iter().filter_map(|(field, found)| Some(span(field, found?))));
        let caps = [
            (Field::PerMinute, self.per_minute),
            (Field::PerHour, self.per_hour),
            (Field::PerDay, self.per_day),
            (Field::NewRecipients, self.new_recipients),
        ];
        said.extend(caps.into_iter().filter_map(|(field, cap)| Some(positive(field, i64::from(cap?)))));
        if let Some(Rest { after, span: pause }) = self.rest {
            said.push(positive(Field::RestAfter, i64::from(after)));
            said.push(span(Field::RestSpan, pause));
        }
        if let Some(WarmUp { days, from }) = self.warm_up {
            said.push(positive(Field::WarmUpDays, i64::from(days)));
            said.push(positive(Field::WarmUpFrom, i64::from(from)));
            if days > MOST_DAYS {
                said.push(Err(LimitsError::TooManyDays { field: Field::WarmUpDays, found: days }));
            }
        }
        said
    }

    fn together(&self) -> Vec<Result<(), LimitsError>> {
        let mut said = Vec::new();
        if self.jitter.is_some() && self.gap.is_none() {
            said.push(Err(LimitsError::Without { fields: [Field::Jitter, Field::Gap] }));
        }
        said.extend(self.rate.as_ref().map(|rate| self.check_burst(rate)));
        if let Some(rest) = self.rest {
            said.extend([self.check_rest_and_gap(rest), self.check_rest_and_day(rest)]);
        }
        said.extend(self.warm_up.map(|warm_up| self.check_warm_up(warm_up)));
        said
    }

    fn check_burst(&self, rate: &Rate) -> Result<(), LimitsError> {
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

    fn check_rest_and_gap(&self, Rest { span: pause, .. }: Rest) -> Result<(), LimitsError> {
        match self.gap.filter(|gap| *gap >= pause) {
            Some(gap) => {
                let fields = [Field::RestSpan, Field::Gap];
                Err(LimitsError::RestUnderGap { fields, span: pause, gap })
            }
            None => Ok(()),
        }
    }

    fn check_rest_and_day(&self, Rest { after, .. }: Rest) -> Result<(), LimitsError> {
        match self.per_day.filter(|cap| after > *cap) {
            Some(cap) => {
                Err(LimitsError::RestOverDay { fields: [Field::RestAfter, Field::PerDay], after, cap })
            }
            None => Ok(()),
        }
    }

    fn check_warm_up(&self, WarmUp { from, .. }: WarmUp) -> Result<(), LimitsError> {
        let Some(cap) = self.per_day else {
            return Err(LimitsError::Without { fields: [Field::WarmUpDays, Field::PerDay] });
        };
        if from > cap {
            return Err(LimitsError::FromOverDay { fields: [Field::WarmUpFrom, Field::PerDay], from, cap });
        }
        Ok(())
    }
}

fn wrong(said: Vec<Result<(), LimitsError>>) -> Vec<LimitsError> {
    said.into_iter().filter_map(Result::err).collect()
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

    fn rest(after: u32, span: Span) -> Limits {
        Limits { rest: Some(Rest { after, span }), ..Limits::default() }
    }

    fn warm_up(days: u32, from: u32) -> Limits {
        Limits { per_day: Some(200), warm_up: Some(WarmUp { days, from }), ..Limits::default() }
    }

    /// Holds that these limits are refused, and by which two names.
    fn names_both(limits: &Limits, one: &str, other: &str) {
        let error = limits.problems()[0].to_string();
        assert!(error.contains(one) && error.contains(other), "{error}");
    }

    #[test]
    fn a_rest_that_never_comes_or_is_no_pause_names_both() {
        assert_eq!(Limits { per_day: Some(30), ..rest(30, Span::minutes(20)) }.problems(), []);
        let never = Limits { per_day: Some(29), ..rest(30, Span::minutes(20)) };
        names_both(&never, "rest.after", "per_day");
        let no_pause = Limits { gap: Some(Span::minutes(20)), ..rest(30, Span::minutes(20)) };
        names_both(&no_pause, "rest.span", "gap");
    }

    #[test]
    fn a_jitter_goes_with_a_gap() {
        let jitter = Limits { jitter: Some(Span::seconds(75)), ..Limits::default() };
        names_both(&jitter, "jitter", "gap");
        let both = Limits { gap: Some(Span::seconds(45)), ..jitter };
        assert_eq!(both.problems(), []);
        let none = Limits { jitter: Some(Span(0)), ..both };
        assert_eq!(none.problems(), [LimitsError::NotPositive { field: Field::Jitter }]);
    }

    #[test]
    fn the_slowest_limit_sets_the_pace() {
        assert_eq!(Limits::default().pace(), Span::ZERO);
        let limits = Limits { per_minute: Some(60), per_hour: Some(60), ..Limits::default() };
        assert_eq!(limits.pace(), Span::minutes(1));
        let limits = Limits { gap: Some(Span::minutes(2)), ..limits };
        assert_eq!(limits.pace(), Span::minutes(2));
        let limits = Limits { jitter: Some(Span::minutes(2)), ..limits };
        assert_eq!(limits.pace(), Span::minutes(3));
        let rest = Some(Rest { after: 4, span: Span::minutes(11) });
        assert_eq!(Limits { rest, ..limits }.pace(), Span::minutes(5));
    }

    #[test]
    fn the_slowest_limit_is_named_with_its_span() {
        assert_eq!(Limits::default().slowest(1_000), None);
        let limits = rate(80, Span::seconds(1), 8);
        assert_eq!(limits.slowest(1_000), Some((LimitName::Rate, 12_500)));
        let limits = Limits { per_hour: Some(3_600), per_day: Some(1), ..limits };
        assert_eq!(limits.slowest(1_000), Some((LimitName::PerHour, 1_000_000)));
        let rest = Some(Rest { after: 4, span: Span::seconds(8) });
        assert_eq!(Limits { rest, ..limits }.slowest(1_000), Some((LimitName::Rest, 2_009_375)));
        let both = Limits { per_hour: Some(3_600), ..limits };
        let slowed = [1_000, 100, 10].map(|share| both.slowest(share));
        let hour = Some((LimitName::PerHour, 1_000_000));
        assert_eq!(slowed, [hour, hour, Some((LimitName::Rate, 1_250_000))], "what is slowed is the rate");
    }

    #[test]
    fn a_warm_up_rises_to_a_cap_that_is_there() {
        assert_eq!(warm_up(366, 200).problems(), []);
        names_both(&Limits { per_day: None, ..warm_up(14, 20) }, "warm_up", "per_day");
        names_both(&warm_up(14, 201), "warm_up.from", "per_day");
        assert!(warm_up(367, 20).problems()[0].to_string().contains("warm_up.days"));
    }

    #[test]
    fn a_warm_up_rises_evenly_and_never_falls() {
        let ramp = WarmUp { days: 14, from: 20 };
        assert_eq!(
            [-1, 0, 1, 7, 13, 14, 1_000].map(|day| ramp.cap(200, day)),
            [20, 20, 32, 110, 187, 200, 200]
        );
        assert!((0..20).all(|day| ramp.cap(200, day) <= ramp.cap(200, day + 1)));
        assert_eq!(WarmUp { days: 366, from: 1 }.cap(u32::MAX, 365), 4_283_232_411);
        assert_eq!(WarmUp { days: 0, from: 9 }.cap(5, 0), 5);
        assert_eq!(WarmUp { days: 2, from: 9 }.cap(5, 0), 5);
    }

    #[test]
    fn no_limits_are_valid() {
        assert_eq!(Limits::default().problems(), []);
    }

    #[test]
    fn each_zero_is_refused_by_name() {
        let zero = |limits: Limits| match limits.problems()[..] {
            [LimitsError::NotPositive { field }] => field.to_string(),
            ref other => format!("{other:?}"),
        };
        assert_eq!(zero(rate(0, Span::seconds(1), 1)), "rate.count");
        assert_eq!(zero(rate(1, Span::ZERO, 1)), "rate.per");
        assert_eq!(zero(rate(1, Span::seconds(1), 0)), "rate.burst");
        assert_eq!(zero(Limits { gap: Some(Span::ZERO), ..Limits::default() }), "gap");
        assert_eq!(zero(Limits { gap: Some(Span(-5)), ..Limits::default() }), "gap");
        assert_eq!(zero(Limits { per_minute: Some(0), ..Limits::default() }), "per_minute");
        assert_eq!(zero(Limits { per_hour: Some(0), ..Limits::default() }), "per_hour");
        assert_eq!(zero(Limits { per_day: Some(0), ..Limits::default() }), "per_day");
        assert_eq!(zero(rest(0, Span(1))), "rest.after");
        assert_eq!(zero(rest(1, Span(0))), "rest.span");
        assert_eq!(zero(warm_up(0, 1)), "warm_up.days");
        assert_eq!(zero(warm_up(1, 0)), "warm_up.from");
        assert_eq!(zero(Limits { new_recipients: Some(0), ..Limits::default() }), "new_recipients");
        assert_eq!(zero(Limits { recipient_gap: Some(Span(0)), ..Limits::default() }), "recipient_gap");
    }

    #[test]
    fn a_gap_may_last_366_days_and_no_longer() {
        let gap = |span| Limits { gap: Some(span), ..Limits::default() };
        assert_eq!(gap(Span::days(366)).problems(), []);
        let found = Span(Span::days(366).0 + 1);
        assert_eq!(gap(found).problems(), [LimitsError::TooLong { field: Field::Gap, found }]);
    }

    #[test]
    fn more_per_minute_than_per_hour_is_harmless() {
        let limits =
            Limits { per_minute: Some(100), per_hour: Some(10), per_day: Some(5), ..Limits::default() };
        assert_eq!(limits.problems(), []);
    }

    #[test]
    fn a_burst_that_its_gap_forbids_names_both() {
        let limits = Limits { gap: Some(Span::seconds(5)), ..rate(80, Span::seconds(1), 20) };
        let error = limits.problems()[0].to_string();
        assert!(error.contains("rate.burst") && error.contains("gap"), "{error}");
        // Five in a row, five seconds apart, then one a minute: both limits have their use.
        let both = Limits { gap: Some(Span::seconds(5)), ..rate(1, Span::minutes(1), 5) };
        assert_eq!(both.problems(), []);
    }

    #[test]
    fn all_that_is_wrong_is_told_and_what_is_wrong_by_itself_contradicts_nothing_yet() {
        let fields = |limits: &Limits| limits.problems().iter().map(LimitsError::field).collect::<Vec<_>>();
        let limits = Limits { per_day: Some(10), gap: Some(Span::hours(1)), ..rest(30, Span::minutes(20)) };
        let limits = Limits { warm_up: Some(WarmUp { days: 20, from: 20 }), ..limits };
        assert_eq!(fields(&limits), [Field::RestSpan, Field::RestAfter, Field::WarmUpFrom]);
        let limits = Limits { gap: Some(Span::ZERO), per_day: Some(0), ..limits };
        assert_eq!(fields(&limits), [Field::Gap, Field::PerDay]);
    }

    #[test]
    fn a_burst_of_years_names_both() {
        let error = rate(1, Span::days(30), 1_000).problems()[0].to_string();
        assert!(error.contains("rate.burst") && error.contains("rate.per"), "{error}");
    }

    #[test]
    fn what_is_refused_is_said_as_people_write_it_with_what_would_be_right() {
        let gap = |span, limits| Limits { gap: Some(span), ..limits };
        let rows = [
            (gap(Span::days(367), Limits::default()), Field::Gap, "gap is longer than 366 days: shorten it"),
            (
                rate(1, Span::days(30), 1_000),
                Field::RateBurst,
                "rate.burst 1000 at rate.per 720 hours takes more than 366 days to come back: lower it, or shorten \
                 rate.per",
            ),
            (
                gap(Span::seconds(90), rate(80, Span::seconds(1), 20)),
                Field::RateBurst,
                "rate.burst 20 can never happen with gap 90 seconds: shorten the gap or set the burst to 1",
            ),
            (
                gap(Span::hours(1), rest(30, Span::minutes(20))),
                Field::RestSpan,
                "rest.span 20 minutes is no pause with gap 1 hour: lengthen the rest or leave it out",
            ),
            (warm_up(400, 20), Field::WarmUpDays, "warm_up.days is 400: give 1 to 366"),
            (
                warm_up(14, 201),
                Field::WarmUpFrom,
                "warm_up.from 201 is above per_day 200, which a warm-up rises to: lower it, or raise per_day",
            ),
        ];
        for (limits, field, says) in rows {
            let error = limits.problems()[0];
            assert_eq!((error.field(), error.to_string().as_str()), (field, says));
        }
    }

    #[test]
    fn the_interval_is_never_too_short() {
        assert_eq!(Rate { count: 80, per: Span::seconds(1), burst: 1 }.interval(), 12_500);
        assert_eq!(Rate { count: 3, per: Span::seconds(1), burst: 1 }.interval(), 333_334);
        assert_eq!(Rate { count: 0, per: Span(-1), burst: 0 }.interval(), 1_000);
    }
}
