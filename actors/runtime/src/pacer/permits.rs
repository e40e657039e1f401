//! The permits of a lane: governor for the pace within the second, the ledger for what is allowed at all.
//!
//! The ledger here is this lane's own copy, charged as soon as a permit is granted; the durable one is charged by
//! the intent's commit and can only allow more. A lane starts with an empty burst, so that a restart grants nothing
//! that its past does not allow.
//!
//! With every permit a part of the jitter is drawn, by which the next gap is longer. The durable ledger knows the gap
//! alone: after a restart the part is drawn anew.

use std::num::NonZeroU32;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use followupd_domain::lane::Lane;
use followupd_domain::ledger::{Charge, DayContext, Earliest, Ledger, LimitName, Limits, Rate};
use followupd_domain::{ChannelNo, Moment, Shard, Span};
use followupd_store::{Key, LedgerOp};
use governor::clock::{Clock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::{InMemoryState, NotKeyed};
use governor::{Quota, RateLimiter};

use crate::api::Error;
use crate::loaded::Loaded;
use crate::node::Node;
use crate::plant::Bug;

mod properties;

/// Whether a send may begin.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Permit {
    /// Now; it is charged.
    Granted,
    /// Not before that moment of engine time.
    At(Moment),
    /// Not before an open send is settled.
    WhenSettled,
}

/// Engine time as governor's clock.
#[derive(Clone, Debug, Default)]
struct EngineTime(Arc<AtomicI64>);

/// A moment of [`EngineTime`], in nanoseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Instant(u64);

impl std::ops::Add<Nanos> for Instant {
    type Output = Instant;
    fn add(self, span: Nanos) -> Instant {
        Instant(self.0.saturating_add(span.as_u64()))
    }
}

impl Reference for Instant {
    fn duration_since(&self, earlier: Self) -> Nanos {
        self.0.saturating_sub(earlier.0).into()
    }
    fn saturating_sub(&self, span: Nanos) -> Self {
        Instant(self.0.saturating_sub(span.as_u64()))
    }
}

impl Clock for EngineTime {
    type Instant = Instant;
    fn now(&self) -> Instant {
        Instant(u64::try_from(self.0.load(Ordering::Relaxed)).unwrap_or(0).saturating_mul(1_000_000))
    }
}

type Governor = RateLimiter<NotKeyed, InMemoryState, EngineTime, NoOpMiddleware<Instant>>;

/// A lane's permits.
pub(super) struct Permits {
    lane: Lane,
    ledger: Ledger,
    time: EngineTime,
    governor: Option<(Rate, Governor)>,
    granted: u64,
    /// What the jitter of the next gap is taken from; drawn when it is first asked for.
    drawn: Option<u64>,
}

/// When a permit is asked for.
#[derive(Clone, Copy, Debug)]
struct Asked {
    /// In engine time.
    now: Moment,
    /// The day it is on by the wall, with its end in engine time.
    day: DayContext,
}

impl Permits {
    /// The permits of a lane, as its durable ledger allows.
    pub(super) async fn load(node: &Node, shard: Shard, lane: Lane) -> Result<Permits, Error> {
        let row = node.store.get(vec![Key::ledger(shard, lane)]).await?.pop().flatten();
        let ledger = row.map(|row| Ledger::decode(&row.body)).transpose();
        let ledger = ledger.map_err(|error| Error::Unavailable(error.to_string()))?.unwrap_or_default();
        Ok(Permits::of(lane, ledger))
    }

    fn of(lane: Lane, ledger: Ledger) -> Permits {
        Permits { lane, ledger, time: EngineTime::default(), governor: None, granted: 0, drawn: None }
    }

    /// Sends between intent and outcome.
    pub(super) fn open(&self) -> u32 {
        self.ledger.open()
    }

    /// Permits granted since the lane started.
    pub(super) fn granted(&self) -> u64 {
        self.granted
    }

    /// Asks for a permit, and charges it.
    pub(super) fn ask(&mut self, loaded: &Loaded, node: &Node) -> Permit {
        if self.lane.channel == ChannelNo::CONTROL {
            self.granted += 1;
            return Permit::Granted;
        }
        let default = Limits::default();
        let limits =
            loaded.scope.channels.get(&self.lane.channel).map_or(&default, |channel| &channel.limits);
        let wall = node.now();
        let now = node.engine_now();
        let asked = Asked { now, day: day_of_limits(loaded, wall, now) };
        if node.planted.is(Bug::PermitAfterRestart) && self.granted == 0 {
            self.ledger = Ledger::default();
        }
        self.permit(limits, asked, || node.env.random())
    }

    /// Grants a permit and charges it, or says when to ask again.
    fn permit(&mut self, limits: &Limits, Asked { now, day }: Asked, random: impl FnOnce() -> u64) -> Permit {
        let drawn = limits.jitter.map(|jitter| part(jitter, *self.drawn.get_or_insert_with(random)));
        let gap = limits.gap.map(|gap| gap + drawn.unwrap_or_default());
        let limits = &Limits { gap, ..limits.clone() };
        // The wider limit is asked first, so that a refusal takes nothing from the narrower one.
        match self.ledger.earliest(limits, now, day) {
            // Where the wall went back to a day before the ledger's, the day that it is on has to end first.
            Earliest::At(at, LimitName::PerDay) => return Permit::At(at.max(day.next_day_at)),
            Earliest::At(at, _) => return Permit::At(at),
            Earliest::WhenOpenSettles(_) => return Permit::WhenSettled,
            Earliest::Now => {}
        }
        if let Some(pause) = self.pace(limits, now) {
            return Permit::At(now + pause);
        }
        match self.ledger.charge(limits, now, day) {
            Ok(_) => {
                self.granted += 1;
                self.drawn = None;
                Permit::Granted
            }
            Err(_) => Permit::WhenSettled,
        }
    }

    /// Asks governor; the pause it wants, if it wants one.
    fn pace(&mut self, limits: &Limits, now: Moment) -> Option<Span> {
        self.time.0.store(now.0, Ordering::Relaxed);
        let rate = limits.rate?;
        if self.governor.as_ref().is_none_or(|(known, _)| *known != rate) {
            self.governor = governor(&rate, &self.time).map(|governor| (rate, governor));
        }
        let (_, governor) = self.governor.as_ref()?;
        let refused = governor.check().err()?;
        let wait = refused.wait_time_from(self.time.now());
        // Rounded up: a millisecond early would be refused again.
        Some(Span(i64::try_from(wait.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)))
    }

    /// A permit came back unused.
    pub(super) fn give_back(&mut self) {
        if self.lane.channel != ChannelNo::CONTROL {
            let day = DayContext { day: 0, next_day_at: Moment::FAR };
            self.ledger.refund(Charge { at: self.ledger.mark(), day, open: true });
            // Nothing began: the next may go at once, as far as the ledger allows, which knows the past.
            let rate = self.governor.take().map(|(rate, _)| rate);
            self.governor = rate.and_then(|rate| Some((rate, fresh(&rate, &self.time)?)));
        }
    }

    /// An open send was settled in the durable ledger: here too.
    pub(super) fn settle(&mut self, op: &LedgerOp, now: Moment) {
        match op {
            LedgerOp::Settle { charge, started_at } => {
                if started_at.is_none() {
                    // It counts from the last moment there was an intent at, which this copy does not know.
                    self.ledger.has_been_at(now);
                }
                self.ledger.settle(*charge, *started_at);
            }
            LedgerOp::Refund { charge } => self.ledger.refund(*charge),
            LedgerOp::Charge { .. } | LedgerOp::Recipient { .. } => {}
        }
    }
}

/// A part of a jitter, from nothing to all of it, each as likely.
fn part(jitter: Span, drawn: u64) -> Span {
    let parts = jitter.0.max(0).unsigned_abs() + 1;
    Span(i64::try_from(drawn % parts).unwrap_or_default())
}

/// A governor of this rate with all its burst.
fn fresh(rate: &Rate, time: &EngineTime) -> Option<Governor> {
    let per = Duration::from_millis(rate.per.0.unsigned_abs());
    let burst = NonZeroU32::new(rate.burst)?;
    let quota = Quota::with_period(per / rate.count.max(1))?.allow_burst(burst);
    Some(RateLimiter::direct_with_clock(quota, time.clone()))
}

/// A governor of this rate that starts with its burst used up.
fn governor(rate: &Rate, time: &EngineTime) -> Option<Governor> {
    let governor = fresh(rate, time)?;
    // One cell is left, so that an idle lane still sends its first message at once; the ledger knows its past.
    if let Some(rest) = NonZeroU32::new(rate.burst - 1) {
        let _ = governor.check_n(rest);
    }
    Some(governor)
}

/// The tenant's calendar day by the wall, as limits count it: with its end in engine time, which may be ahead of the
/// wall or behind it.
pub(crate) fn day_of_limits(loaded: &Loaded, wall: Moment, engine: Moment) -> DayContext {
    let DayContext { day, next_day_at } = day(loaded, wall);
    DayContext { day, next_day_at: engine + Span(next_day_at.0 - wall.0) }
}

/// The tenant's calendar day at `now`.
pub(crate) fn day(loaded: &Loaded, now: Moment) -> DayContext {
    let (day, next_day_at) = loaded.scope.tenant.calendar.day(now);
    DayContext { day, next_day_at }
}
