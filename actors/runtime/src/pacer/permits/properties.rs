//! Permits over a durable ledger, as a lane has them: under random limits, arrivals, late starts, crashes and clocks,
//! in virtual time, against a slow check of the starts that really happened.
//!
//! All windows are of engine time; calendar days are the wall's, and are checked where it does not jump.

#![cfg(test)]

use super::*;
use followupd_domain::TenantNo;
use followupd_domain::ledger::{Rest, WarmUp};
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

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

/// A charged send on its way.
struct OnItsWay {
    charge: Charge,
    starts_at: Moment,
    settles_at: Moment,
    fate: Fate,
}

struct Run {
    limits: Limits,
    durable: Ledger,
    permits: Permits,
    /// Engine time.
    now: Moment,
    /// How far the wall is ahead of it.
    ahead: i64,
    jumped: bool,
    sends: Vec<OnItsWay>,
    starts: Vec<i64>,
    /// The first call that was counted, also one in doubt that never began.
    first: Option<i64>,
    drawn: u64,
}

impl Run {
    fn new(limits: Limits) -> Run {
        Run {
            limits,
            durable: Ledger::default(),
            permits: Permits::of(lane(), Ledger::default()),
            now: BEGIN,
            ahead: 0,
            jumped: false,
            sends: Vec::new(),
            starts: Vec::new(),
            first: None,
            drawn: 0,
        }
    }

    fn asked(&self) -> Asked {
        let wall = self.now + Span(self.ahead);
        let day = wall.0.div_euclid(DAY);
        let day = DayContext { day: day as i32, next_day_at: Moment((day + 1) * DAY) };
        Asked { now: self.now, wall, day }
    }

    /// Lets time pass until `to`, settling on the way what is to be settled: first what is durable, then the copy.
    fn pass(&mut self, to: Moment) {
        self.sends.sort_by_key(|send| send.settles_at);
        while self.sends.first().is_some_and(|send| send.settles_at <= to) {
            let OnItsWay { charge, starts_at, settles_at, fate } = self.sends.remove(0);
            let op = match fate {
                Fate::Sent => LedgerOp::Settle { charge, started_at: Some(starts_at) },
                Fate::Unseen => LedgerOp::Settle { charge, started_at: None },
                Fate::Withdrawn | Fate::Gone => LedgerOp::Refund { charge },
            };
            match &op {
                LedgerOp::Settle { charge, started_at } => {
                    self.first = self.first.into_iter().chain([starts_at.0]).min();
                    self.durable.settle(*charge, *started_at);
                }
                LedgerOp::Refund { charge } => self.durable.refund(*charge),
                LedgerOp::Charge { .. } | LedgerOp::Recipient { .. } => {}
            }
            self.now = self.now.max(settles_at);
            self.permits.settle(&op, self.now);
        }
        self.now = self.now.max(to);
    }

    /// The process dies. What it had charged is in doubt: what had not begun never will, and nobody knows which.
    fn crash(&mut self, down: i64) {
        let mut bytes = Vec::new();
        self.durable.encode(&mut bytes);
        self.durable = Ledger::decode(&bytes).unwrap();
        self.permits = Permits::of(lane(), self.durable.clone());
        let died_at = self.now;
        let wall = self.now + Span(self.ahead + down);
        self.now = wall.max(self.durable.mark());
        self.ahead = wall.0 - self.now.0;
        for send in &mut self.sends {
            if send.starts_at > died_at && matches!(send.fate, Fate::Sent | Fate::Unseen) {
                let place = self.starts.iter().rposition(|at| *at == send.starts_at.0);
                place.map(|place| self.starts.remove(place));
            }
            send.fate = Fate::Unseen;
            send.settles_at = self.now + Span(1);
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
                    prop_assert!(at > self.now, "asked again in the same instant, for ever");
                    self.pass(at);
                }
                Permit::WhenSettled => {
                    let next = self.sends.iter().map(|send| send.settles_at).min();
                    let next = next.ok_or_else(|| TestCaseError::fail("waits for nothing"))?;
                    self.pass(next.max(self.now));
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
                self.ahead += by;
                self.jumped |= by != 0;
            }
        }
        let permit = match due.wait {
            None => self.wait()?,
            Some(wait) => {
                self.pass(self.now + Span(wait));
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
        self.pass(self.now + Span(due.look));
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
        if matches!(due.fate, Fate::Sent | Fate::Unseen) {
            self.starts.push(starts_at.0);
        }
        let charge = Charge { at: now, day, open: true };
        let settles_at = starts_at.max(self.now) + Span(due.settle_after);
        self.sends.push(OnItsWay { charge, starts_at, settles_at, fate: due.fate });
        Ok(())
    }

    /// Never one more, in any closed span of starts.
    fn never_one_more(&mut self) -> TestCaseResult {
        self.starts.sort_unstable();
        let (starts, limits) = (&self.starts, &self.limits);
        let gap = limits.gap.map_or(0, |gap| gap.0);
        let pairs =
            |more: usize| starts.iter().zip(starts.iter().skip(more)).map(|(first, next)| next - first);
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
                prop_assert!(some.windows(2).any(|pair| pair[1] - pair[0] >= span.0), "no rest in {some:?}");
            }
        }
        let Some((cap, first)) = limits.per_day.zip(self.first).filter(|_| !self.jumped) else {
            return Ok(());
        };
        for same in starts.chunk_by(|a, b| a.div_euclid(DAY) == b.div_euclid(DAY)) {
            let since = same[0].div_euclid(DAY) - first.div_euclid(DAY);
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
        let mut run = Run::new(limits);
        for due in &all {
            run.due(due)?;
        }
        run.never_one_more()?;
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn with_enough_work_a_limit_lets_through_98_percent_of_what_it_allows(
        limits in busy_limits(),
        which in 0..6_usize,
        late in 0..400_i64,
    ) {
        let Limits { rate, gap, jitter, per_minute, per_hour, per_day, rest, warm_up, .. } = limits;
        let none = Limits::default();
        let alone = match which {
            0 => Limits { rate, ..none },
            1 => Limits { gap, jitter, ..none },
            2 => Limits { per_minute, ..none },
            3 => Limits { per_hour, ..none },
            4 => Limits { per_day, warm_up, ..none },
            // A rest says nothing of the pace between two of them.
            _ => Limits { gap, rest, ..none },
        };
        let (sent, most) = with_enough_work(alone, late)?;
        prop_assert!(sent * 100 >= most * 98, "{sent} of {most}");
    }

    // Here the tightest changes on the way: what a sub-window puts off by a 64th can fall behind a midnight or the end.
    #[test]
    fn with_enough_work_limits_together_let_through_nearly_all(limits in busy_limits(), late in 0..400_i64) {
        let (sent, most) = with_enough_work(limits, late)?;
        prop_assert!(sent * 100 >= most * 90, "{sent} of {most}");
    }
}

/// Starts of a lane that always has something due, and those that its limits allow when all their windows are exact.
/// Calls begin at once and end `late`.
fn with_enough_work(limits: Limits, late: i64) -> Result<(usize, usize), TestCaseError> {
    // Without any there is no end of it.
    let limits = if limits == Limits::default() { Limits { per_minute: Some(7), ..limits } } else { limits };
    let mut run = Run::new(limits);
    let end = run.now + Span(DAYS * DAY);
    while run.now < end {
        run.wait()?;
        let asked = run.asked();
        let charge = run.durable.charge(&run.limits, asked.now, asked.day);
        prop_assert!(charge.is_ok(), "{charge:?}");
        run.starts.push(run.now.0);
        let settles_at = run.now + Span(late);
        let charge = Charge { at: run.now, day: asked.day, open: true };
        run.sends.push(OnItsWay { charge, starts_at: run.now, settles_at, fate: Fate::Sent });
    }
    let mut exact = Exact::new(&run.limits);
    for drawn in 1_u64.. {
        let longer = run.limits.jitter.map_or(0, |jitter| part(jitter, random(drawn)).0);
        let at = exact.next(longer);
        if at >= end.0 {
            break;
        }
        exact.start(at);
    }
    let most = exact.starts.len();
    run.starts.retain(|at| *at < end.0);
    run.never_one_more()?;
    Ok((run.starts.len(), most))
}

/// Days of a run with enough work.
const DAYS: i64 = 24;

/// Limits that calls of 400 ms do not bind further: a burst for all that are open, a gap and a rest that outlast them.
fn busy_limits() -> impl Strategy<Value = Limits> {
    let rate =
        (1..120_u32, 20_000..90_000_i64).prop_map(|(count, per)| Rate { count, per: Span(per), burst: 6 });
    let gap = (400..60_000_i64, proptest::option::of(1..60_000_i64));
    let rest = (1..30_u32, 60_000..2_000_000_i64).prop_map(|(after, span)| Rest { after, span: Span(span) });
    let day = proptest::option::of((1..300_u32, proptest::option::of((1..30_u32, 1..300_u32))));
    (
        proptest::option::of(rate),
        proptest::option::weighted(0.3, gap),
        proptest::option::of(1..200_u32),
        proptest::option::of(1..2_000_u32),
        day,
        proptest::option::weighted(0.3, rest),
    )
        .prop_map(|(rate, gap, per_minute, per_hour, day, rest)| Limits {
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
        })
}

/// Starts of calls that are settled at once, each as early as the limits allow it when all their windows are exact:
/// a cap counts what began in the span itself, and nothing is rounded. A gap has the jitter that was drawn for it.
struct Exact<'a> {
    limits: &'a Limits,
    starts: Vec<i64>,
    /// Starts since the last rest.
    run: u32,
    /// Arrival time of the rate, in parts of a millisecond: as many as `count`.
    arrival: i64,
}

impl Exact<'_> {
    /// A lane that starts has its burst used up, but for one.
    fn new(limits: &Limits) -> Exact<'_> {
        let arrival = limits.rate.map_or(0, |Rate { count, per, burst }| {
            BEGIN.0 * i64::from(count) + per.0 * (i64::from(burst) - 1)
        });
        Exact { limits, starts: Vec::new(), run: 0, arrival }
    }

    /// When the next start may be, `longer` being its gap's jitter.
    fn next(&mut self, longer: i64) -> i64 {
        let limits = self.limits;
        let last = self.starts.last().copied();
        let mut at = last.unwrap_or(BEGIN.0);
        let gap = limits.gap.zip(last).map(|(gap, last)| last + gap.0 + longer);
        at = at.max(gap.unwrap_or_default());
        for (cap, span) in [(limits.per_minute, 60_000), (limits.per_hour, 3_600_000)] {
            let before = cap.and_then(|cap| self.starts.iter().rev().nth(cap as usize - 1));
            at = at.max(before.map_or(0, |before| before + span + 1));
        }
        if let Some(rest) = limits.rest.filter(|rest| self.run >= rest.after) {
            at = at.max(last.unwrap_or_default() + rest.span.0);
        }
        if let Some(Rate { count, per, burst }) = limits.rate {
            let (count, interval) = (i64::from(count), per.0);
            at = at.max((self.arrival - interval * (i64::from(burst) - 1) + count - 1).div_euclid(count));
        }
        let (day, first) = (|at: i64| at.div_euclid(DAY), self.starts.first().copied().unwrap_or(at));
        let had = self.starts.iter().rev().take_while(|start| day(**start) == day(at)).count();
        if limits.per_day.is_some_and(|cap| had as i64 >= cap_on(limits, cap, day(at) - day(first))) {
            at = (day(at) + 1) * DAY;
        }
        at
    }

    fn start(&mut self, at: i64) {
        let rested =
            self.limits.rest.zip(self.starts.last()).is_some_and(|(rest, last)| at - last >= rest.span.0);
        self.run = if rested { 1 } else { self.run + 1 };
        if let Some(Rate { count, per, .. }) = self.limits.rate {
            self.arrival = self.arrival.max(at * i64::from(count)) + per.0;
        }
        self.starts.push(at);
    }
}

/// The cap of a day so many after the first, as its docs put it.
fn cap_on(limits: &Limits, cap: u32, since: i64) -> i64 {
    let ramp = limits.warm_up.filter(|ramp| since < i64::from(ramp.days));
    ramp.map_or(i64::from(cap), |WarmUp { days, from }| {
        i64::from(from) + i64::from(cap - from) * since / i64::from(days)
    })
}
