//! Permits over a durable ledger, as a lane has them: under random limits, arrivals, late starts, crashes and clocks,
//! in virtual time, against a slow check of the starts that really happened.
//!
//! Engine time is that of the engine's own clock. Windows are of it, and of real time within one life, where it is at most
//! a hundredth fast; calendar days are the wall's, and are checked where it does not jump.

#![cfg(test)]

use super::*;
use followupd_domain::TenantNo;
use followupd_domain::ledger::{Rest, WarmUp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

use crate::env::{EngineClock, Env};

mod pace;
mod throughput;

/// Short days, so that runs of minutes cross midnight often.
const DAY: i64 = 400_000;
const BEGIN: Moment = Moment(1_728_030_000_000);

fn lane() -> Lane {
    Lane { tenant: TenantNo(1), channel: ChannelNo(1) }
}

/// One row that is due, and what becomes of it.
#[derive(Clone, Debug)]
struct Due {
    /// Time since the one before; `None`: it waits for its permit.
    wait: Option<i64>,
    /// From the permit to the intent.
    look: i64,
    start_after: i64,
    settle_after: i64,
    fate: Fate,
    before: Event,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Sent,
    /// Sent, but nobody saw when.
    Unseen,
    Withdrawn,
    /// The permit goes back: the row is gone at its last look.
    Gone,
}

/// What happens before a row is due.
#[derive(Clone, Copy, Debug)]
enum Event {
    Nothing,
    /// The process dies and is away for so long.
    Crash(i64),
    /// The wall jumps.
    Jump(i64),
}

/// The clocks of a machine.
#[derive(Default)]
struct Clocks {
    wall: AtomicI64,
    steady: AtomicI64,
}

impl Clocks {
    fn elapse(&self, span: i64) {
        self.wall.fetch_add(span, Ordering::Relaxed);
        self.steady.fetch_add(span, Ordering::Relaxed);
    }
}

impl Env for Clocks {
    fn wall(&self) -> Moment {
        Moment(self.wall.load(Ordering::Relaxed))
    }
    fn steady(&self) -> Span {
        Span(self.steady.load(Ordering::Relaxed))
    }
    fn random(&self) -> u64 {
        4
    }
}

/// A call that began.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Start {
    /// In engine time.
    engine: i64,
    /// In steady time.
    real: i64,
    life: u32,
}

impl Start {
    /// The least span, in engine time, that lies between this start and a later one by any clock.
    fn until(&self, later: &Start) -> i64 {
        let (engine, real) = (later.engine - self.engine, later.real - self.real);
        if self.life == later.life { engine.min(real + real / 99 + 2) } else { engine }
    }
}

/// A charged send on its way.
struct OnItsWay {
    charge: Charge,
    starts_at: Moment,
    /// When it began.
    began: Option<Moment>,
    /// Whether its process has died.
    is_over: bool,
    settles_at: Moment,
    fate: Fate,
}

struct Run {
    /// How long a day is.
    day: i64,
    limits: Limits,
    durable: Ledger,
    permits: Permits,
    clocks: Clocks,
    engine: EngineClock,
    life: u32,
    jumped: bool,
    sends: Vec<OnItsWay>,
    starts: Vec<Start>,
    /// The first call that was counted, also one in doubt that never began.
    first: Option<i64>,
    drawn: u64,
}

impl Run {
    fn new(limits: Limits, day: i64) -> Run {
        let clocks = Clocks::default();
        clocks.wall.store(BEGIN.0, Ordering::Relaxed);
        Run {
            engine: EngineClock::new(&clocks),
            clocks,
            life: 1,
            day,
            limits,
            durable: Ledger::default(),
            permits: Permits::of(lane(), Ledger::default()),
            jumped: false,
            sends: Vec::new(),
            starts: Vec::new(),
            first: None,
            drawn: 0,
        }
    }

    /// Engine time.
    fn now(&self) -> Moment {
        self.engine.now(&self.clocks)
    }

    fn asked(&self) -> Asked {
        let (now, wall) = (self.now(), self.clocks.wall());
        let day = wall.0.div_euclid(self.day);
        let ends_in = (day + 1) * self.day - wall.0;
        Asked { now, day: DayContext { day: day as i32, next_day_at: now + Span(ends_in) } }
    }

    /// Lets time pass until engine time is `to`, or a little later where it is drawn ahead.
    fn go(&self, to: Moment) {
        loop {
            let left = to.0 - self.now().0;
            if left <= 0 {
                return;
            }
            self.clocks.elapse(left);
        }
    }

    /// A call begins now.
    fn start(&mut self) -> Moment {
        let now = self.now();
        self.starts.push(Start { engine: now.0, real: self.clocks.steady().0, life: self.life });
        now
    }

    /// Lets time pass until `to`: calls begin on the way, and what is to be settled is, first what is durable, then the
    /// copy.
    fn pass(&mut self, to: Moment) {
        loop {
            let calls = |send: &OnItsWay| {
                send.began.is_none() && matches!(send.fate, Fate::Sent | Fate::Unseen) && !send.is_over
            };
            let next = |send: &OnItsWay| if calls(send) { send.starts_at } else { send.settles_at };
            let first = (0..self.sends.len()).min_by_key(|place| next(&self.sends[*place]));
            let Some(place) = first.filter(|place| next(&self.sends[*place]) <= to) else { break };
            self.go(next(&self.sends[place]));
            if calls(&self.sends[place]) {
                let began = self.start();
                let send = &mut self.sends[place];
                (send.began, send.settles_at) = (Some(began), send.settles_at.max(began));
            } else {
                let send = self.sends.remove(place);
                self.settle(&send);
            }
        }
        self.go(to);
    }

    fn settle(&mut self, send: &OnItsWay) {
        let charge = send.charge;
        let op = match send.fate {
            Fate::Sent => LedgerOp::Settle { charge, started_at: send.began },
            Fate::Unseen => LedgerOp::Settle { charge, started_at: None },
            Fate::Withdrawn | Fate::Gone => LedgerOp::Refund { charge },
        };
        match &op {
            LedgerOp::Settle { charge, started_at } => {
                let began = send.began.unwrap_or(send.starts_at);
                self.first = self.first.into_iter().chain([began.0]).min();
                self.durable.settle(*charge, *started_at);
            }
            LedgerOp::Refund { charge } => self.durable.refund(*charge),
            LedgerOp::Charge { .. } | LedgerOp::Recipient { .. } => {}
        }
        let now = self.now();
        self.permits.settle(&op, now);
    }

    /// The process dies. What it had charged is in doubt: what had not begun never will, and nobody knows which.
    fn crash(&mut self, down: i64) {
        let mut bytes = Vec::new();
        self.durable.encode(&mut bytes);
        self.durable = Ledger::decode(&bytes).unwrap();
        self.permits = Permits::of(lane(), self.durable.clone());
        // A jump of the wall is written down as soon as anybody asks what the time is.
        let kept = self.engine.to_keep(&self.clocks);
        self.clocks.elapse(down);
        self.engine = EngineClock::new(&self.clocks);
        self.engine.goes_on_from(kept, &self.clocks);
        self.engine.has_been_at(self.durable.mark());
        let settles_at = self.now() + Span(1);
        for send in &mut self.sends {
            (send.fate, send.is_over, send.settles_at) = (Fate::Unseen, true, settles_at);
        }
    }

    fn ask(&mut self) -> Permit {
        let (asked, drawn) = (self.asked(), &mut self.drawn);
        self.permits.permit(&self.limits, asked, || {
            *drawn += 1;
            random(*drawn)
        })
    }

    /// Asks until there is a permit.
    fn wait(&mut self) -> Result<Permit, TestCaseError> {
        for _ in 0..10_000 {
            match self.ask() {
                Permit::Granted => return Ok(Permit::Granted),
                Permit::At(at) => {
                    prop_assert!(at > self.now(), "asked again in the same instant, for ever");
                    self.pass(at);
                }
                Permit::WhenSettled => {
                    let next = self.sends.iter().map(|send| send.settles_at).min();
                    let next = next.ok_or_else(|| TestCaseError::fail("waits for nothing"))?;
                    self.pass(next.max(self.now()));
                }
            }
        }
        Err(TestCaseError::fail("never granted"))
    }

    fn due(&mut self, due: &Due) -> TestCaseResult {
        match due.before {
            Event::Nothing => {}
            Event::Crash(down) => self.crash(down),
            Event::Jump(by) => {
                self.clocks.wall.fetch_add(by, Ordering::Relaxed);
                self.jumped |= by != 0;
            }
        }
        let permit = match due.wait {
            None => self.wait()?,
            Some(wait) => {
                self.pass(self.now() + Span(wait));
                self.ask()
            }
        };
        if permit != Permit::Granted {
            return Ok(());
        }
        let Asked { now, day, .. } = self.asked();
        let earliest = self.durable.earliest(&self.limits, now, day);
        // A wall that goes back to a day which only a permit has left finds it used up: the intent is refused then.
        let denied = self.jumped && matches!(earliest, Earliest::At(_, LimitName::PerDay));
        prop_assert!(denied || earliest == Earliest::Now, "a permit before its time: {earliest:?}");
        if denied || due.fate == Fate::Gone {
            self.permits.give_back();
            return Ok(());
        }
        self.pass(self.now() + Span(due.look));
        self.intend(due)
    }

    /// The intent's commit, and the call after it.
    fn intend(&mut self, due: &Due) -> TestCaseResult {
        let Asked { now, day, .. } = self.asked();
        let Ok(taken) = self.durable.charge(&self.limits, now, day) else {
            // What was settled meanwhile may begin later than anybody knew.
            self.permits.give_back();
            return Ok(());
        };
        let starts_at = taken.at + Span(due.start_after);
        let charge = Charge { at: now, day, open: true };
        let settles_at = starts_at.max(now) + Span(due.settle_after);
        let (began, is_over, fate) = (None, false, due.fate);
        self.sends.push(OnItsWay { charge, starts_at, began, is_over, settles_at, fate });
        Ok(())
    }

    /// Never one more, in any closed span of starts.
    fn never_one_more(&mut self) -> TestCaseResult {
        self.starts.sort_unstable();
        let (starts, limits) = (&self.starts, &self.limits);
        let gap = limits.gap.map_or(0, |gap| gap.0);
        let pairs =
            |more: usize| starts.iter().zip(starts.iter().skip(more)).map(|(first, next)| first.until(next));
        prop_assert!(pairs(1).all(|span| span >= gap), "{:?}", limits.gap);
        for (cap, span) in [(limits.per_minute, 60_000), (limits.per_hour, 3_600_000)] {
            let Some(cap) = cap else { continue };
            prop_assert!(pairs(cap as usize).all(|apart| apart > span), "{cap} in {span} ms");
        }
        if let Some(Rate { count, per, burst }) = limits.rate {
            for more in 1..starts.len() {
                let over = (more as i64 + 1 - i64::from(burst)) * per.0;
                prop_assert!(
                    pairs(more).all(|span| over <= span * i64::from(count)),
                    "{more} more at a rate"
                );
            }
        }
        if let Some(Rest { after, span }) = limits.rest {
            for some in starts.windows(after as usize + 1) {
                prop_assert!(
                    some.windows(2).any(|pair| pair[0].until(&pair[1]) >= span.0),
                    "no rest in {some:?}"
                );
            }
        }
        let Some((cap, first)) = limits.per_day.zip(self.first).filter(|_| !self.jumped) else {
            return Ok(());
        };
        let day = |start: &Start| start.engine.div_euclid(self.day);
        for same in starts.chunk_by(|a, b| day(a) == day(b)) {
            let since = day(&same[0]) - first.div_euclid(self.day);
            let cap = cap_on(limits, cap, since);
            prop_assert!(same.len() as i64 <= cap, "{} starts on day {since}", same.len());
        }
        Ok(())
    }
}

/// The n-th number that is drawn.
fn random(n: u64) -> u64 {
    n.wrapping_mul(0x9E37_79B9_7F4A_7C15)
}

fn some_limits() -> impl Strategy<Value = Limits> {
    let rate = (1..200_u32, 500..90_000_i64, 1..6_u32);
    let rate = rate.prop_map(|(count, per, burst)| Rate { count, per: Span(per), burst });
    let gap = (1..20_000_i64, proptest::option::of(1..20_000_i64));
    let rest = (1..8_u32, 1..200_000_i64).prop_map(|(after, span)| Rest { after, span: Span(span) });
    let caps = (
        proptest::option::of(1..12_u32),
        proptest::option::of(1..40_u32),
        proptest::option::of((1..20_u32, proptest::option::of((1..9_u32, 1..20_u32)))),
    );
    let more = proptest::option::weighted(0.3, rest);
    (proptest::option::of(rate), proptest::option::weighted(0.3, gap), caps, more).prop_map(
        |(rate, gap, (per_minute, per_hour, day), rest)| Limits {
            rate,
            gap: gap.map(|(gap, _)| Span(gap)),
            jitter: gap.and_then(|(_, jitter)| jitter.map(Span)),
            per_minute,
            per_hour,
            per_day: day.map(|(cap, _)| cap),
            rest,
            warm_up: day
                .and_then(|(cap, ramp)| ramp.map(|(days, from)| WarmUp { days, from: from.min(cap) })),
            recipient_gap: None,
            new_recipients: None,
        },
    )
}

fn some_due() -> impl Strategy<Value = Due> {
    let wait = prop_oneof![
        4 => Just(None),
        3 => Just(Some(0)),
        2 => (0..3_000_i64).prop_map(Some),
        1 => (0..90_000_i64).prop_map(Some),
    ];
    let fate = prop_oneof![
        7 => Just(Fate::Sent),
        1 => Just(Fate::Unseen),
        1 => Just(Fate::Withdrawn),
        1 => Just(Fate::Gone),
    ];
    let before = prop_oneof![
        20 => Just(Event::Nothing),
        2 => (0..600_000_i64).prop_map(Event::Crash),
        1 => (-2 * DAY..2 * DAY).prop_map(Event::Jump),
    ];
    let times =
        (0..40_i64, prop_oneof![Just(0), 0..50_i64, 0..=2_000_i64], prop_oneof![0..300_i64, 0..20_000_i64]);
    (wait, times, fate, before).prop_map(|(wait, (look, start_after, settle_after), fate, before)| Due {
        wait,
        look,
        start_after,
        settle_after,
        fate,
        before,
    })
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1_024) })]

    #[test]
    fn no_permit_comes_before_its_time_and_no_window_holds_one_more(
        limits in some_limits(),
        all in proptest::collection::vec(some_due(), 1..120),
    ) {
        let mut run = Run::new(limits, DAY);
        for due in &all {
            run.due(due)?;
        }
        run.never_one_more()?;
    }
}

/// The cap of a day so many after the first, as its docs put it.
fn cap_on(limits: &Limits, cap: u32, since: i64) -> i64 {
    let ramp = limits.warm_up.filter(|ramp| since < i64::from(ramp.days));
    ramp.map_or(i64::from(cap), |WarmUp { days, from }| {
        i64::from(from) + i64::from(cap - from) * since / i64::from(days)
    })
}
