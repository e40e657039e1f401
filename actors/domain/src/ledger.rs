//! The durable state of one lane's limits: when one more send is allowed, and what each send used up.
//!
//! A send is charged with its intent and is *open* until it is settled or refunded. While open its call may
//! start at any instant, so it counts as if it started now, against every limit. Settling moves the charge to the
//! start of the call; only then does it enter the state below. From this follows the invariant that the tests call
//! **never one more**: no moving span of starts holds more than its limit, whenever each call began. An open
//! send therefore costs more than a settled one (a gap waits for it, and under a rate at most `burst` sends are
//! open), so settle as soon as the start of the call is known: nothing needs the outcome first.
//!
//! Time is the engine's. It never goes back: a moment below the ledger's mark is taken as the mark, and a day
//! below the ledger's as its day, when a send is charged and again when it is settled: whoever stores the charge may
//! store what it asked for. So a send that is still open at midnight can count on both days. New recipients
//! are counted beside it ([`Recipients`]); jitter and what one contact is sent live elsewhere.

mod codec;
mod gcra;
mod limits;
mod properties;
mod recipients;
mod ring;

pub use codec::{DecodeError, ENCODED_LEN};
pub use limits::{Field, LimitName, Limits, LimitsError, Rate, Rest, WarmUp};
pub use recipients::Recipients;

use crate::time::{Moment, Span};
use gcra::Gcra;
use ring::Ring;
use serde::{Deserialize, Serialize};

/// A call begins at most this long after its intent, or is withdrawn (`not_after`).
pub const START_WITHIN: Span = Span(2_000);

/// The last moment a ledger works with, in the year 2223: in microseconds it still fits a Lua number.
pub const LAST_MOMENT: Moment = Moment(8_000_000_000_000);

/// Stands for a day that has not come yet.
const NO_DAY: i32 = i32::MIN;

/// A cap of a moving span, as if one span came after the other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// So many leave until `ends_at`.
    pub left: u64,
    /// When more leave.
    pub ends_at: Moment,
    /// So many leave from then on in each.
    pub count: u64,
    /// How long each is.
    pub length: Span,
}

/// What is left of each limit of one lane.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Ledger {
    /// The highest moment seen.
    mark: Moment,
    /// Sends between intent and settling.
    open: u32,
    last_start: Option<Moment>,
    gcra: Gcra,
    minute: Ring<60_000>,
    hour: Ring<3_600_000>,
    today: Today,
    /// Starts since the last pause that a rest asked for; they are counted whether or not one is set.
    run: u32,
    /// The day of the first start that was ever settled, from which a warm-up counts.
    first_day: Option<i32>,
}

/// Starts on the calendar day that the ledger has reached.
#[derive(Clone, Debug, PartialEq)]
struct Today {
    day: DayContext,
    count: u32,
    /// Starts known to lie on the day after `day`, before any charge has come on that day.
    after: u32,
}

impl Default for Today {
    fn default() -> Today {
        Today { day: DayContext { day: NO_DAY, next_day_at: Moment(0) }, count: 0, after: 0 }
    }
}

/// The tenant's calendar day at the moment of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DayContext {
    /// Any number that rises by one from day to day.
    pub day: i32,
    /// When the next day begins.
    pub next_day_at: Moment,
}

/// One charged send: what is needed to move or refund it. Stored with the intent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Charge {
    /// The intent, once settled the start of the call.
    pub at: Moment,
    /// The day of the intent.
    pub day: DayContext,
    /// Whether the charge still counts as open.
    pub open: bool,
}

/// When one more send is allowed if nothing else happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Earliest {
    /// At once.
    Now,
    /// At this moment and not before; the named limit allows it last. Of days the ledger knows only the next: if
    /// starts just after midnight or open sends use that up as well, it says so when asked again then.
    At(Moment, LimitName),
    /// Not while so many sends are open: ask again when one is settled or refunded.
    WhenOpenSettles(LimitName),
}

/// Why a send was not charged.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The limit is used up until a moment.
    #[error("{limit} allows no send before {} ms", .at.0)]
    Until {
        /// The limit that allows it last.
        limit: LimitName,
        /// When to come back.
        at: Moment,
    },
    /// Open sends alone use up the limit.
    #[error("{limit} allows no send until an open one settles")]
    Open {
        /// The limit that they use up.
        limit: LimitName,
    },
}

/// What one limit says; `Free(t)` with `t` in the past means now.
enum Verdict {
    Free(Moment),
    Open,
}

impl Ledger {
    /// When one more [`charge`](Ledger::charge) would be allowed. `limits` are taken as valid.
    #[must_use]
    pub fn earliest(&self, limits: &Limits, now: Moment, day: DayContext) -> Earliest {
        let now = self.clamped(now);
        let day = self.today.reached(day);
        let verdicts = [
            (LimitName::Rate, limits.rate.map(|rate| self.gcra.verdict(&rate, self.last_start, self.open))),
            (LimitName::Gap, limits.gap.map(|gap| self.gap_verdict(gap))),
            (
                LimitName::PerMinute,
                limits.per_minute.map(|cap| self.minute.verdict(self.mark, cap, self.open)),
            ),
            (LimitName::PerHour, limits.per_hour.map(|cap| self.hour.verdict(self.mark, cap, self.open))),
            (LimitName::PerDay, limits.per_day.map(|cap| self.day_verdict(cap, limits.warm_up, now, day))),
            (LimitName::Rest, limits.rest.map(|rest| self.rest_verdict(rest))),
        ];
        let mut latest = Earliest::Now;
        let mut latest_at = now;
        for (name, verdict) in verdicts {
            match verdict {
                // No moment can be promised, whatever the other limits say.
                Some(Verdict::Open) => return Earliest::WhenOpenSettles(name),
                Some(Verdict::Free(at)) if at > latest_at => {
                    latest_at = at;
                    latest = Earliest::At(at, name);
                }
                Some(Verdict::Free(_)) | None => {}
            }
        }
        latest
    }

    /// Charges one send at `now`, or at the mark if that is later.
    ///
    /// # Errors
    /// The [`Refusal`] that agrees with [`earliest`](Ledger::earliest); the ledger is then unchanged.
    pub fn charge(&mut self, limits: &Limits, now: Moment, day: DayContext) -> Result<Charge, Refusal> {
        match self.earliest(limits, now, day) {
            Earliest::Now => {}
            Earliest::At(at, limit) => return Err(Refusal::Until { limit, at }),
            Earliest::WhenOpenSettles(limit) => return Err(Refusal::Open { limit }),
        }
        self.raise_mark(now);
        self.today.reach(day);
        if limits.rest.is_some_and(|rest| self.has_rested(rest)) {
            self.run = 0;
        }
        self.gcra.adopt(limits.rate.as_ref(), self.last_start);
        self.open = self.open.saturating_add(1);
        Ok(Charge { at: self.mark, day: self.today.day, open: true })
    }

    /// Moves an open charge to the start of its call, never to before its intent, and returns it as it now
    /// stands: keep that one, a later refund needs it. A settled charge is left as it is.
    ///
    /// The day of the charge may be what was asked for rather than what [`charge`](Ledger::charge) made of it: one
    /// below the ledger's counts on the ledger's own, since a day that a clock or a zone took back is not over.
    ///
    /// `None` is for a call of which nobody knows when it began, as after a crash: it counts from the last moment
    /// at which it may have, [`START_WITHIN`] after the intent or the mark, and on both days if midnight lies
    /// between.
    pub fn settle(&mut self, charge: Charge, started_at: Option<Moment>) -> Charge {
        if !charge.open {
            return charge;
        }
        self.open = self.open.saturating_sub(1);
        let at = match started_at {
            Some(at) => {
                let at = bounded(at.max(charge.at));
                // Time has been there. A guessed start proves no such thing and must not age the rings.
                self.raise_mark(at);
                at
            }
            None => bounded(charge.at.max(self.mark) + START_WITHIN),
        };
        self.minute.add(self.mark, at);
        self.hour.add(self.mark, at);
        self.gcra.start(at);
        self.last_start = self.last_start.max(Some(at));
        self.run = self.run.saturating_add(1);
        let day = self.today.reached(charge.day);
        self.first_day = self.first_day.or(Some(day.at(at)).filter(|day| *day != NO_DAY));
        self.today.add(day.at(at));
        if started_at.is_none() && day.at(at) != day.day {
            self.today.add(day.day);
        }
        Charge { at, day, open: false }
    }

    /// Gives a charge back: the send was withdrawn, or surely not sent. Call it once, with the charge as
    /// [`charge`](Ledger::charge) or [`settle`](Ledger::settle) last returned it.
    ///
    /// An open charge is given back whole. Of a settled one only the counts still in the rings and of this day
    /// are, the day being the one that settling answered: the arrival time, the last start, the run and the first day
    /// stay, since later starts may rest on them, and lowering them could let through a burst above the rate. That
    /// costs at most one interval, one gap and one place before a rest.
    pub fn refund(&mut self, charge: Charge) {
        if charge.open {
            self.open = self.open.saturating_sub(1);
            return;
        }
        self.minute.remove(self.mark, charge.at);
        self.hour.remove(self.mark, charge.at);
        self.today.remove(charge.day.at(charge.at));
    }

    /// Sends that the cap of a day leaves on it, a warm-up included: what was sent and is open counts against today's.
    /// A day ahead is told as if the next start were today. `None`: there is no such cap.
    #[must_use]
    pub fn left_on(&self, limits: &Limits, today: i32, day: i32) -> Option<u32> {
        let since = i64::from(day) - i64::from(self.first_day.unwrap_or(today));
        let cap = limits.per_day?;
        let cap = limits.warm_up.map_or(cap, |warm_up| warm_up.cap(cap, since));
        // A day that a clock took back is not over: what is sent counts on the ledger's.
        let reached = self.today.day.day;
        let ahead = day > today.max(reached);
        let used = if ahead { 0 } else { self.today.count_on(day.max(reached)).saturating_add(self.open) };
        Some(cap.saturating_sub(used))
    }

    /// What the cap of a minute or of an hour leaves now, and when it leaves as many together as `wanted`, or all it
    /// can. `None`: there is no such cap.
    #[must_use]
    pub fn window(&self, limits: &Limits, name: LimitName, wanted: u32, now: Moment) -> Option<Window> {
        let is_minute = name == LimitName::PerMinute;
        let cap = if is_minute { limits.per_minute } else { limits.per_hour };
        let cap = cap.filter(|_| is_minute || name == LimitName::PerHour)?;
        let mut reached = self.clone();
        reached.raise_mark(now);
        let (mark, others) = (reached.mark, wanted.clamp(1, cap.max(1)) - 1);
        let (used, free, length) = if is_minute {
            (reached.minute.sum(mark), reached.minute.verdict(mark, cap, others), Span::minutes(1))
        } else {
            (reached.hour.sum(mark), reached.hour.verdict(mark, cap, others), Span::hours(1))
        };
        let ends_at = match free {
            Verdict::Free(at) => at.max(mark),
            Verdict::Open => mark + length,
        };
        let left = u64::from(cap.saturating_sub(used.saturating_add(self.open)));
        Some(Window { left, ends_at, count: u64::from(cap), length })
    }

    /// Sends that are charged and neither settled nor refunded.
    #[must_use]
    pub fn open(&self) -> u32 {
        self.open
    }

    /// The highest moment seen; earlier ones are taken as this.
    #[must_use]
    pub fn mark(&self) -> Moment {
        self.mark
    }

    /// Time has been there: no later question is about an earlier moment.
    pub fn has_been_at(&mut self, now: Moment) {
        self.raise_mark(now);
    }

    fn clamped(&self, now: Moment) -> Moment {
        now.min(LAST_MOMENT).max(self.mark)
    }

    fn raise_mark(&mut self, now: Moment) {
        let now = self.clamped(now);
        self.minute.advance(self.mark, now);
        self.hour.advance(self.mark, now);
        self.mark = now;
    }

    fn gap_verdict(&self, gap: Span) -> Verdict {
        if self.open > 0 {
            return Verdict::Open;
        }
        Verdict::Free(self.last_start.map_or(Moment(0), |at| at + gap))
    }

    fn day_verdict(&self, cap: u32, warm_up: Option<WarmUp>, now: Moment, day: DayContext) -> Verdict {
        // Where the clock went back over midnight, the mark lies in the day after the one told.
        let today = day.at(now);
        if self.open >= cap {
            return Verdict::Open;
        }
        if self.today.count_on(today).saturating_add(self.open) < self.day_cap(cap, warm_up, today) {
            return Verdict::Free(now);
        }
        // A day that should be over by the mark is a clock behind the ledger: it has to pass the mark first.
        Verdict::Free(day.next_day_at.max(now + Span(1)))
    }

    /// The cap of a day. It never falls from one day to the next, so that a send which was charged on one and starts
    /// on the other has its place on both.
    fn day_cap(&self, cap: u32, warm_up: Option<WarmUp>, day: i32) -> u32 {
        let since = self.first_day.map_or(0, |first| i64::from(day) - i64::from(first));
        warm_up.map_or(cap, |warm_up| warm_up.cap(cap, since))
    }

    /// A run is never ended while sends are open: their starts may yet close the pause.
    fn rest_verdict(&self, rest: Rest) -> Verdict {
        if self.run.saturating_add(self.open) < rest.after {
            return Verdict::Free(Moment(0));
        }
        if self.open > 0 {
            return Verdict::Open;
        }
        Verdict::Free(self.last_start.map_or(Moment(0), |at| at + rest.span))
    }

    /// Whether a pause of this rest lies between the last start and the mark.
    fn has_rested(&self, rest: Rest) -> bool {
        self.open == 0 && self.last_start.is_none_or(|at| self.mark >= at + rest.span)
    }
}

impl Today {
    fn reached(&self, day: DayContext) -> DayContext {
        let day = if day.day < self.day.day { self.day } else { day };
        DayContext { next_day_at: bounded(day.next_day_at), ..day }
    }

    fn reach(&mut self, day: DayContext) {
        let day = self.reached(day);
        if day.day > self.day.day {
            self.count = self.count_on(day.day);
            self.after = 0;
        }
        self.day = day;
    }

    fn count_on(&self, day: i32) -> u32 {
        match day.saturating_sub(self.day.day) {
            0 => self.count,
            1 => self.after,
            _ => 0,
        }
    }

    /// The count of a day; one that is over has none, and needs none.
    fn count_mut(&mut self, day: i32) -> Option<&mut u32> {
        match day.saturating_sub(self.day.day) {
            0 => Some(&mut self.count),
            1 => Some(&mut self.after),
            _ => None,
        }
    }

    fn add(&mut self, day: i32) {
        if let Some(count) = self.count_mut(day) {
            *count = count.saturating_add(1);
        }
    }

    fn remove(&mut self, day: i32) {
        if let Some(count) = self.count_mut(day) {
            *count = count.saturating_sub(1);
        }
    }
}

impl DayContext {
    /// The day of a moment that lies in this day or the next.
    fn at(self, moment: Moment) -> i32 {
        self.day.saturating_add(i32::from(moment >= self.next_day_at))
    }
}

fn bounded(at: Moment) -> Moment {
    at.clamp(Moment(0), LAST_MOMENT)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: DayContext = DayContext { day: 20_000, next_day_at: Moment(1_728_086_400_000) };
    const MORNING: Moment = Moment(1_728_030_000_000);

    fn after(ms: i64) -> Moment {
        MORNING + Span(ms)
    }

    fn per_minute(cap: u32) -> Limits {
        Limits { per_minute: Some(cap), ..Limits::default() }
    }

    fn send(ledger: &mut Ledger, limits: &Limits, at: Moment) -> Charge {
        let charge = ledger.charge(limits, at, DAY).unwrap();
        ledger.settle(charge, Some(at))
    }

    #[test]
    fn without_limits_every_send_is_allowed_and_still_counted() {
        let mut ledger = Ledger::default();
        for _ in 0..10 {
            send(&mut ledger, &Limits::default(), MORNING);
        }
        // A cap set now sees the minute before it.
        assert!(matches!(
            ledger.earliest(&per_minute(10), after(5), DAY),
            Earliest::At(_, LimitName::PerMinute)
        ));
        assert_eq!(ledger.earliest(&per_minute(11), after(5), DAY), Earliest::Now);
    }

    #[test]
    fn the_minute_frees_when_the_last_instant_of_a_sub_window_is_out() {
        let mut ledger = Ledger::default();
        send(&mut ledger, &per_minute(1), MORNING);
        let Earliest::At(at, LimitName::PerMinute) = ledger.earliest(&per_minute(1), MORNING, DAY) else {
            panic!("the cap is used up")
        };
        assert!(at > after(60_000) && at <= after(60_938), "{at:?}");
    }

    #[test]
    fn the_hour_holds_what_the_minute_let_go() {
        let limits = Limits { per_hour: Some(1), ..per_minute(1) };
        let mut ledger = Ledger::default();
        send(&mut ledger, &limits, MORNING);
        let Err(Refusal::Until { limit: LimitName::PerHour, at }) =
            ledger.charge(&limits, after(61_000), DAY)
        else {
            panic!("the hour is used up")
        };
        assert!(at > after(3_600_000) && at <= after(3_656_250), "{at:?}");
    }

    #[test]
    fn caps_change_at_once_in_both_directions() {
        let mut ledger = Ledger::default();
        send(&mut ledger, &per_minute(1), MORNING);
        assert!(ledger.charge(&per_minute(1), MORNING, DAY).is_err());
        send(&mut ledger, &per_minute(2), MORNING);
        assert!(ledger.charge(&per_minute(1), after(50_000), DAY).is_err());
    }

    #[test]
    fn an_open_send_counts_long_after_its_minute() {
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&per_minute(1), MORNING, DAY).unwrap();
        let refusal = ledger.charge(&per_minute(1), after(600_000), DAY).unwrap_err();
        assert_eq!(refusal, Refusal::Open { limit: LimitName::PerMinute });
        assert_eq!(refusal.to_string(), "per_minute allows no send until an open one settles");
        ledger.settle(charge, Some(after(100)));
        assert_eq!(ledger.earliest(&per_minute(1), after(600_000), DAY), Earliest::Now);
    }

    #[test]
    fn a_gap_runs_from_the_start_and_waits_for_open_sends() {
        let limits = Limits { gap: Some(Span::seconds(30)), ..Limits::default() };
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&limits, MORNING, DAY).unwrap();
        assert_eq!(ledger.earliest(&limits, after(90_000), DAY), Earliest::WhenOpenSettles(LimitName::Gap));
        ledger.settle(charge, Some(after(1_500)));
        assert_eq!(ledger.earliest(&limits, after(2_000), DAY), Earliest::At(after(31_500), LimitName::Gap));
    }

    #[test]
    fn a_rate_paces_after_its_burst() {
        let rate = Rate { count: 10, per: Span::seconds(1), burst: 3 };
        let limits = Limits { rate: Some(rate), ..Limits::default() };
        let mut ledger = Ledger::default();
        for _ in 0..3 {
            send(&mut ledger, &limits, MORNING);
        }
        assert_eq!(ledger.earliest(&limits, MORNING, DAY), Earliest::At(after(100), LimitName::Rate));
        send(&mut ledger, &limits, after(100));
        assert_eq!(ledger.earliest(&limits, after(100), DAY), Earliest::At(after(200), LimitName::Rate));
    }

    #[test]
    fn a_day_ends_when_the_tenant_s_next_day_begins() {
        let limits = Limits { per_day: Some(2), ..Limits::default() };
        let mut ledger = Ledger::default();
        send(&mut ledger, &limits, MORNING);
        send(&mut ledger, &limits, MORNING);
        let next = Earliest::At(DAY.next_day_at, LimitName::PerDay);
        assert_eq!(ledger.earliest(&limits, MORNING, DAY), next);
        let tomorrow = DayContext { day: DAY.day + 1, next_day_at: DAY.next_day_at + Span::days(1) };
        assert_eq!(ledger.earliest(&limits, DAY.next_day_at, tomorrow), Earliest::Now);
    }

    #[test]
    fn a_call_that_starts_after_midnight_counts_on_the_new_day_only() {
        let limits = Limits { per_day: Some(1), ..Limits::default() };
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&limits, DAY.next_day_at - Span(10), DAY).unwrap();
        ledger.settle(charge, Some(DAY.next_day_at + Span(10)));
        let tomorrow = DayContext { day: DAY.day + 1, next_day_at: DAY.next_day_at + Span::days(1) };
        let at = DAY.next_day_at + Span(20);
        let next = Earliest::At(tomorrow.next_day_at, LimitName::PerDay);
        assert_eq!(ledger.earliest(&limits, at, tomorrow), next);
    }

    #[test]
    fn a_start_after_midnight_does_not_use_up_later_days() {
        let limits = Limits { per_day: Some(1), ..Limits::default() };
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&limits, DAY.next_day_at - Span(10), DAY).unwrap();
        ledger.settle(charge, Some(DAY.next_day_at));
        let later = DayContext { day: DAY.day + 2, next_day_at: DAY.next_day_at + Span::days(2) };
        assert_eq!(ledger.earliest(&limits, DAY.next_day_at + Span::days(1), later), Earliest::Now);
    }

    #[test]
    fn a_start_nobody_saw_counts_from_the_last_moment_it_may_have() {
        let limits = Limits { gap: Some(Span::seconds(30)), ..Limits::default() };
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&limits, MORNING, DAY).unwrap();
        let settled = ledger.settle(charge, None);
        assert_eq!(settled.at, after(2_000));
        assert_eq!(ledger.mark(), MORNING);
        assert_eq!(ledger.earliest(&limits, MORNING, DAY), Earliest::At(after(32_000), LimitName::Gap));
    }

    #[test]
    fn a_withdrawn_send_leaves_no_trace() {
        let rate = Rate { count: 1, per: Span::hours(1), burst: 1 };
        let caps = Limits { per_hour: Some(1), per_day: Some(1), ..per_minute(1) };
        let limits = Limits { rate: Some(rate), gap: Some(Span::hours(1)), ..caps };
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&limits, MORNING, DAY).unwrap();
        ledger.refund(charge);
        assert_eq!(ledger.open(), 0);
        assert_eq!(ledger.earliest(&limits, MORNING, DAY), Earliest::Now);
    }

    #[test]
    fn a_settled_refund_gives_back_caps_but_neither_rate_nor_gap() {
        let mut ledger = Ledger::default();
        let caps = Limits { per_hour: Some(1), per_day: Some(1), ..per_minute(1) };
        let settled = send(&mut ledger, &caps, MORNING);
        ledger.refund(settled);
        assert_eq!(ledger.earliest(&caps, MORNING, DAY), Earliest::Now);
        let gap = Limits { gap: Some(Span(10)), ..Limits::default() };
        assert_eq!(ledger.earliest(&gap, MORNING, DAY), Earliest::At(after(10), LimitName::Gap));
        let rate = Rate { count: 1, per: Span(20), burst: 1 };
        let rate = Limits { rate: Some(rate), ..Limits::default() };
        assert_eq!(ledger.earliest(&rate, MORNING, DAY), Earliest::At(after(20), LimitName::Rate));
    }

    #[test]
    fn refunds_beyond_what_was_charged_make_nothing_negative() {
        let mut ledger = Ledger::default();
        let settled = send(&mut ledger, &per_minute(1), MORNING);
        for _ in 0..3 {
            ledger.refund(settled);
            ledger.refund(Charge { open: true, ..settled });
        }
        assert_eq!(ledger.open(), 0);
        send(&mut ledger, &per_minute(1), MORNING);
        assert!(ledger.charge(&per_minute(1), MORNING, DAY).is_err());
    }

    #[test]
    fn the_latest_limit_binds_and_open_sends_before_all() {
        let limits = Limits { gap: Some(Span::seconds(5)), ..per_minute(1) };
        let mut ledger = Ledger::default();
        send(&mut ledger, &limits, MORNING);
        assert!(matches!(ledger.earliest(&limits, MORNING, DAY), Earliest::At(_, LimitName::PerMinute)));
        let mut ledger = Ledger::default();
        ledger.charge(&limits, MORNING, DAY).unwrap();
        assert_eq!(ledger.earliest(&limits, MORNING, DAY), Earliest::WhenOpenSettles(LimitName::Gap));
    }

    #[test]
    fn a_clock_that_went_back_is_taken_as_the_mark() {
        let mut ledger = Ledger::default();
        send(&mut ledger, &Limits::default(), MORNING);
        let yesterday = DayContext { day: DAY.day - 1, next_day_at: DAY.next_day_at - Span::days(1) };
        let charge = ledger.charge(&Limits::default(), MORNING - Span::days(1), yesterday).unwrap();
        assert_eq!((charge.at, charge.day), (MORNING, DAY));
    }

    #[test]
    fn a_charge_of_a_day_that_went_back_counts_on_the_ledger_s_own() {
        let limits = Limits { per_day: Some(2), ..Limits::default() };
        let mut ledger = Ledger::default();
        send(&mut ledger, &limits, MORNING);
        // A zone put right: now the tenant's day is the one before, and the intent stores what it asked for.
        let yesterday = DayContext { day: DAY.day - 1, ..DAY };
        ledger.charge(&limits, after(5), yesterday).unwrap();
        let settled = ledger.settle(Charge { at: after(5), day: yesterday, open: true }, Some(after(10)));
        assert_eq!(settled.day, DAY);
        let refusal = Refusal::Until { limit: LimitName::PerDay, at: DAY.next_day_at };
        assert_eq!(ledger.charge(&limits, after(20), yesterday), Err(refusal));
        ledger.refund(settled);
        assert_eq!(ledger.earliest(&limits, after(20), yesterday), Earliest::Now);
    }

    #[test]
    fn what_is_left_of_a_day_that_a_clock_took_back_is_what_the_ledger_s_own_has_left() {
        let limits = Limits { per_day: Some(3), ..Limits::default() };
        let mut ledger = Ledger::default();
        send(&mut ledger, &limits, MORNING);
        let left = |today, day| ledger.left_on(&limits, DAY.day + today, DAY.day + day);
        assert_eq!([left(0, 0), left(0, 1), left(1, 1)], [Some(2), Some(3), Some(3)]);
        assert_eq!([left(-1, -1), left(-1, 0), left(-1, 1)], [Some(2), Some(2), Some(3)]);
    }

    #[test]
    fn a_clock_that_goes_back_by_more_than_a_minute_gains_no_send() {
        let mut ledger = Ledger::default();
        send(&mut ledger, &per_minute(2), MORNING);
        let early = MORNING - Span::minutes(10);
        ledger.charge(&per_minute(2), early, DAY).unwrap();
        ledger.settle(Charge { at: early, day: DAY, open: true }, Some(early));
        assert!(ledger.charge(&per_minute(2), early, DAY).is_err());
    }

    #[test]
    fn a_start_nobody_saw_is_not_guessed_to_lie_before_the_mark() {
        let mut ledger = Ledger::default();
        send(&mut ledger, &Limits::default(), MORNING);
        let early = MORNING - Span::minutes(10);
        ledger.charge(&Limits::default(), early, DAY).unwrap();
        let settled = ledger.settle(Charge { at: early, day: DAY, open: true }, None);
        assert_eq!(settled.at, MORNING + START_WITHIN);
    }

    #[test]
    fn a_clock_that_goes_back_over_midnight_gains_no_send() {
        let limits = Limits { per_day: Some(1), ..Limits::default() };
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&limits, DAY.next_day_at - Span(1), DAY).unwrap();
        ledger.settle(charge, Some(DAY.next_day_at));
        assert!(ledger.charge(&limits, DAY.next_day_at - Span(1), DAY).is_err());
    }

    fn rest(after: u32, span: Span) -> Limits {
        Limits { rest: Some(Rest { after, span }), ..Limits::default() }
    }

    #[test]
    fn a_rest_follows_after_so_many_starts() {
        let limits = rest(2, Span::minutes(20));
        let mut ledger = Ledger::default();
        send(&mut ledger, &limits, MORNING);
        send(&mut ledger, &limits, after(500));
        let refusal = Refusal::Until { limit: LimitName::Rest, at: after(500) + Span::minutes(20) };
        assert_eq!(ledger.charge(&limits, after(600), DAY), Err(refusal));
        send(&mut ledger, &limits, after(500) + Span::minutes(20));
        send(&mut ledger, &limits, after(600) + Span::minutes(20));
        assert!(ledger.charge(&limits, after(700) + Span::minutes(20), DAY).is_err());
    }

    #[test]
    fn a_pause_that_came_by_itself_is_a_rest_and_a_shorter_one_is_none() {
        let limits = rest(2, Span::minutes(20));
        let mut ledger = Ledger::default();
        send(&mut ledger, &limits, MORNING);
        send(&mut ledger, &limits, after(0) + Span::minutes(20));
        send(&mut ledger, &limits, after(0) + Span::minutes(39));
        assert!(ledger.charge(&limits, after(0) + Span::minutes(40), DAY).is_err());
    }

    #[test]
    fn an_open_send_puts_off_the_end_of_a_run() {
        let limits = rest(2, Span::minutes(20));
        let mut ledger = Ledger::default();
        let first = ledger.charge(&limits, MORNING, DAY).unwrap();
        let second = ledger.charge(&limits, after(5), DAY).unwrap();
        let open = Refusal::Open { limit: LimitName::Rest };
        assert_eq!(ledger.charge(&limits, after(10), DAY), Err(open));
        ledger.settle(first, Some(after(20)));
        // Hours later the other's call may still begin at any instant.
        assert_eq!(ledger.charge(&limits, after(0) + Span::hours(5), DAY), Err(open));
        ledger.refund(second);
        send(&mut ledger, &limits, after(30));
        let Err(Refusal::Until { at, .. }) = ledger.charge(&limits, after(40), DAY) else {
            panic!("two starts were made")
        };
        assert_eq!(at, after(30) + Span::minutes(20));
    }

    #[test]
    fn a_warm_up_counts_its_days_from_the_first_start() {
        let warm_up = Some(WarmUp { days: 4, from: 1 });
        let limits = Limits { per_day: Some(9), warm_up, ..Limits::default() };
        let mut ledger = Ledger::default();
        // Days without a start are not days of the ramp.
        for (days, most) in [(3, 1), (4, 3), (6, 7), (7, 9), (900, 9)] {
            let day = DayContext {
                day: DAY.day + days,
                next_day_at: DAY.next_day_at + Span::days(i64::from(days)),
            };
            let at = MORNING + Span::days(i64::from(days));
            for _ in 0..most {
                let charge = ledger.charge(&limits, at, day).unwrap();
                ledger.settle(charge, Some(at));
            }
            let refusal = Refusal::Until { limit: LimitName::PerDay, at: day.next_day_at };
            assert_eq!(ledger.charge(&limits, at, day), Err(refusal), "{days} days");
        }
    }

    #[test]
    fn a_lane_that_has_long_been_sending_needs_no_warm_up() {
        let plain = Limits { per_day: Some(9), ..Limits::default() };
        let mut ledger = Ledger::default();
        send(&mut ledger, &plain, MORNING);
        let limits = Limits { warm_up: Some(WarmUp { days: 4, from: 1 }), ..plain };
        assert!(ledger.charge(&limits, after(10), DAY).is_err());
        let day = DayContext { day: DAY.day + 4, next_day_at: DAY.next_day_at + Span::days(4) };
        for _ in 0..9 {
            ledger.charge(&limits, MORNING + Span::days(4), day).unwrap();
        }
    }

    #[test]
    fn a_send_over_midnight_has_its_place_on_both_days_of_a_warm_up() {
        let warm_up = Some(WarmUp { days: 2, from: 1 });
        let limits = Limits { per_day: Some(3), warm_up, ..Limits::default() };
        let mut ledger = Ledger::default();
        let charge = ledger.charge(&limits, DAY.next_day_at - Span(1), DAY).unwrap();
        ledger.settle(charge, Some(DAY.next_day_at));
        // The first start lies on the new day: it is day 0, and has had its one.
        let next = DayContext { day: DAY.day + 1, next_day_at: DAY.next_day_at + Span::days(1) };
        assert!(ledger.charge(&limits, DAY.next_day_at - Span(1), DAY).is_err());
        assert!(ledger.charge(&limits, DAY.next_day_at, next).is_err());
    }

    #[test]
    fn a_window_tells_what_is_left_and_when_as_many_as_wanted_fit() {
        let limits = per_minute(4);
        let mut ledger = Ledger::default();
        for second in [0, 20, 40] {
            send(&mut ledger, &limits, after(second * 1_000));
        }
        let now = after(50_000);
        let told = |name, wanted| ledger.window(&limits, name, wanted, now);
        for wanted in 0..9 {
            let window = told(LimitName::PerMinute, wanted).unwrap();
            assert_eq!((window.left, window.count, window.length), (1, 4, Span::minutes(1)));
            let fit = |at: Moment| {
                let mut then = ledger.clone();
                then.raise_mark(at);
                (0..wanted.min(4)).all(|_| then.charge(&limits, at, DAY).is_ok())
            };
            assert!(fit(window.ends_at), "{wanted}");
            assert!(wanted < 2 || !fit(window.ends_at - Span(1)), "{wanted}");
        }
        assert_eq!((told(LimitName::PerHour, 1), told(LimitName::Gap, 1)), (None, None));
    }

    #[test]
    fn moments_beyond_all_bounds_do_no_harm() {
        let (rest, warm_up) = (Some(Rest { after: 1, span: Span(1) }), Some(WarmUp { days: 3, from: 2 }));
        let limits = Limits { per_day: Some(5), gap: Some(Span(1)), rest, warm_up, ..per_minute(5) };
        for at in [i64::MIN, -1, 0, i64::MAX] {
            let day = DayContext { day: i32::MAX, next_day_at: Moment(at) };
            let mut ledger = Ledger::default();
            let charge = ledger.charge(&limits, Moment(at), day).unwrap();
            let settled = ledger.settle(Charge { at: Moment(at), ..charge }, Some(Moment(i64::MAX)));
            ledger.refund(Charge { at: Moment(at), ..settled });
            let guessed = ledger.charge(&Limits::default(), Moment(at), day).unwrap();
            ledger.settle(Charge { at: Moment(at), ..guessed }, None);
            let mut bytes = Vec::new();
            ledger.encode(&mut bytes);
            assert_eq!(Ledger::decode(&bytes), Ok(ledger));
        }
    }
}
