//! Ledgers under random limits, arrivals, late starts, refunds, crashes and clocks, against a slow check of the
//! list of starts that really happened.

#![cfg(test)]

use super::*;
use proptest::prelude::*;
use proptest::test_runner::TestCaseResult;

/// Short days, so that runs of minutes cross midnight often.
const DAY: i64 = 400_000;
const BEGIN: i64 = 1_728_030_000_000;

fn day_of(now: Moment) -> DayContext {
    let day = now.0.div_euclid(DAY);
    DayContext { day: day as i32, next_day_at: Moment((day + 1) * DAY) }
}

/// One intent and what becomes of it.
#[derive(Clone, Debug)]
struct Step {
    /// Time since the step before; `None` waits for `earliest`.
    wait: Option<i64>,
    /// How far the clock is behind for this one, and with it the day.
    back: i64,
    /// How many days the tenant's zone is behind for this one.
    days_back: i32,
    start_after: i64,
    settle_after: i64,
    fate: Fate,
    crash: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Fate {
    Sent,
    /// Sent, but nobody saw when.
    Unseen,
    Withdrawn,
    SettledThenRefunded,
}

/// A charge on its way: when it is settled, and the start to settle it with.
struct Pending {
    charge: Charge,
    starts_at: Moment,
    settles_at: Moment,
    fate: Fate,
}

struct Run {
    limits: Limits,
    ledger: Ledger,
    now: Moment,
    pending: Vec<Pending>,
    starts: Vec<i64>,
    /// The first start of all, also of one that is given back after it was settled.
    first: Option<i64>,
}

impl Run {
    fn new(limits: Limits) -> Run {
        let now = Moment(BEGIN);
        Run { limits, ledger: Ledger::default(), now, pending: Vec::new(), starts: Vec::new(), first: None }
    }

    /// Lets time pass until `to`, settling on the way what is to be settled.
    fn pass(&mut self, to: Moment) {
        self.pending.sort_by_key(|pending| pending.settles_at);
        while self.pending.first().is_some_and(|pending| pending.settles_at <= to) {
            let Pending { charge, starts_at, fate, .. } = self.pending.remove(0);
            match fate {
                Fate::Sent => _ = self.ledger.settle(charge, Some(starts_at)),
                Fate::Unseen => _ = self.ledger.settle(charge, None),
                Fate::Withdrawn => self.ledger.refund(charge),
                Fate::SettledThenRefunded => {
                    let settled = self.ledger.settle(charge, Some(starts_at));
                    self.ledger.refund(settled);
                }
            }
        }
        self.now = self.now.max(to);
    }

    /// Waits until a charge is allowed, settling open sends where that is what it takes.
    fn wait_for_earliest(&mut self) -> TestCaseResult {
        for _ in 0..10_000 {
            let to = match self.ledger.earliest(&self.limits, self.now, day_of(self.now)) {
                Earliest::Now => return Ok(()),
                Earliest::At(at, _) => at,
                Earliest::WhenOpenSettles(_) => {
                    prop_assert!(self.ledger.open() > 0);
                    self.pending.iter().map(|pending| pending.settles_at).min().unwrap()
                }
            };
            self.pass(to);
        }
        Err(TestCaseError::fail("never allowed"))
    }

    /// `At(t)` is refused up to t − 1 and accepted at t; `Now` is accepted.
    fn earliest_agrees(&self) -> TestCaseResult {
        let charge = |now: Moment| self.ledger.clone().charge(&self.limits, now, day_of(now));
        match self.ledger.earliest(&self.limits, self.now, day_of(self.now)) {
            Earliest::Now => prop_assert!(charge(self.now).is_ok()),
            Earliest::WhenOpenSettles(limit) => {
                prop_assert_eq!(charge(self.now), Err(Refusal::Open { limit }));
                prop_assert!(charge(self.now + Span::days(400)).is_err());
            }
            Earliest::At(at, limit) => {
                prop_assert!(at > self.now);
                prop_assert_eq!(charge(self.now), Err(Refusal::Until { limit, at }));
                let middle = Moment(self.now.0.midpoint(at.0));
                prop_assert!(charge(middle).is_err() || middle == at);
                prop_assert!(charge(at - Span(1)).is_err());
                // The one exception: a day that its first starts, known before it, and open sends use up.
                let next_day = day_of(at).day;
                let used_up = self.limits.per_day.is_some_and(|cap| {
                    let used = self.ledger.today.after + self.ledger.open;
                    used >= self.ledger.day_cap(cap, self.limits.warm_up, next_day)
                });
                prop_assert!(charge(at).is_ok() || used_up, "{:?} at {:?}", charge(at), at);
            }
        }
        Ok(())
    }

    /// The day the ledger is told. It may step back, but not before the ledger knows the day it steps back from:
    /// one that nobody ever named is not there to be counted on.
    fn told(&self, asked_at: Moment, days_back: i32) -> DayContext {
        let day = day_of(asked_at);
        let known = self.ledger.today.day.day >= day_of(asked_at.max(self.ledger.mark())).day;
        DayContext { day: day.day - if known { days_back } else { 0 }, ..day }
    }

    fn step(&mut self, step: &Step) -> TestCaseResult {
        match step.wait {
            Some(wait) => self.pass(self.now + Span(wait)),
            None => self.wait_for_earliest()?,
        }
        self.earliest_agrees()?;
        let asked_at = self.now - Span(step.back);
        let day = self.told(asked_at, step.days_back);
        if let Ok(taken) = self.ledger.charge(&self.limits, asked_at, day) {
            prop_assert!(taken.at >= asked_at && taken.at <= self.now.max(self.ledger.mark()));
            let starts_at = taken.at + Span(step.start_after);
            // Kept is what was asked for, not what the ledger took it as.
            let charge = Charge { at: asked_at, day, open: true };
            let settles_at = starts_at.max(self.now) + Span(step.settle_after);
            if matches!(step.fate, Fate::Sent | Fate::Unseen) {
                self.starts.push(starts_at.0);
            }
            if step.fate != Fate::Withdrawn {
                self.first = self.first.into_iter().chain([starts_at.0]).min();
            }
            self.pending.push(Pending { charge, starts_at, settles_at, fate: step.fate });
        }
        if step.crash {
            let mut bytes = Vec::new();
            self.ledger.encode(&mut bytes);
            let read = Ledger::decode(&bytes);
            prop_assert_eq!(read.as_ref(), Ok(&self.ledger));
            self.ledger = read.unwrap();
        }
        Ok(())
    }

    /// Never one more, in any closed span of starts.
    fn never_one_more(&mut self) -> TestCaseResult {
        self.starts.sort_unstable();
        let starts = &self.starts;
        let caps = [(self.limits.per_minute, 60_000), (self.limits.per_hour, 3_600_000)];
        for (cap, span) in caps {
            for (first, next) in
                cap.iter().flat_map(|cap| starts.iter().zip(starts.iter().skip(*cap as usize)))
            {
                prop_assert!(next - first > span, "{cap:?} in {span}: {first} to {next}");
            }
        }
        for (first, next) in self.limits.gap.iter().flat_map(|_| starts.iter().zip(starts.iter().skip(1))) {
            prop_assert!(next - first >= self.limits.gap.unwrap().0, "gap from {first} to {next}");
        }
        if let (Some(cap), Some(first)) = (self.limits.per_day, self.first) {
            for same in starts.chunk_by(|a, b| a.div_euclid(DAY) == b.div_euclid(DAY)) {
                let since = (same[0].div_euclid(DAY) - first.div_euclid(DAY)) as u64;
                // The ramp, as its docs put it.
                let cap =
                    self.limits.warm_up.filter(|ramp| since < u64::from(ramp.days)).map_or(cap, |ramp| {
                        ramp.from + (u64::from(cap - ramp.from) * since / u64::from(ramp.days)) as u32
                    });
                prop_assert!(same.len() <= cap as usize, "{} starts from {} on", same.len(), same[0]);
            }
        }
        if let Some(Rest { after, span }) = self.limits.rest {
            for some in starts.windows(after as usize + 1) {
                let rested = some.windows(2).any(|pair| pair[1] - pair[0] >= span.0);
                prop_assert!(rested, "{} starts from {} on and no rest", some.len(), some[0]);
            }
        }
        if let Some(Rate { count, per, burst }) = self.limits.rate {
            for (i, first) in starts.iter().enumerate() {
                for (more, next) in starts[i..].iter().enumerate() {
                    let over = more as i64 + 1 - i64::from(burst);
                    prop_assert!(over * per.0 <= (next - first) * i64::from(count), "{first} to {next}");
                }
            }
        }
        Ok(())
    }
}

fn some_limits() -> impl Strategy<Value = Limits> {
    let rate = (1..200_u32, 500..90_000_i64, 1..6_u32);
    let rate = rate.prop_map(|(count, per, burst)| Rate { count, per: Span(per), burst });
    let gap = (1..20_000_i64).prop_map(Span);
    let rest = (1..8_u32, 1..200_000_i64).prop_map(|(after, span)| Rest { after, span: Span(span) });
    let warm_up = (1..9_u32, 1..20_u32);
    let caps = (
        proptest::option::of(1..12_u32),
        proptest::option::of(1..40_u32),
        proptest::option::of(1..20_u32),
        proptest::option::of(warm_up),
    );
    (
        proptest::option::of(rate),
        proptest::option::weighted(0.3, gap),
        caps,
        proptest::option::weighted(0.3, rest),
    )
        .prop_map(|(rate, gap, (per_minute, per_hour, per_day, warm_up), rest)| Limits {
            rate,
            gap,
            jitter: None,
            per_minute,
            per_hour,
            per_day,
            rest,
            warm_up: per_day.zip(warm_up).map(|(cap, (days, from))| WarmUp { days, from: from.min(cap) }),
            recipient_gap: None,
            new_recipients: None,
        })
}

fn some_step() -> impl Strategy<Value = Step> {
    let wait = prop_oneof![
        3 => Just(None),
        3 => Just(Some(0)),
        2 => (0..3_000_i64).prop_map(Some),
        1 => (0..90_000_i64).prop_map(Some),
    ];
    let start_after = prop_oneof![Just(0), 0..50_i64, 0..=2_000_i64, Just(2_000)];
    let settle_after = prop_oneof![Just(0), 0..300_i64, 0..20_000_i64];
    let fate = prop_oneof![
        6 => Just(Fate::Sent),
        1 => Just(Fate::Unseen),
        1 => Just(Fate::Withdrawn),
        1 => Just(Fate::SettledThenRefunded),
    ];
    let back = prop_oneof![8 => Just(0), 1 => 0..5_000_i64, 1 => 0..2 * DAY];
    let days_back = prop_oneof![6 => Just(0), 1 => 1..4_i32];
    (wait, (back, days_back), start_after, settle_after, fate, proptest::bool::weighted(0.2)).prop_map(
        |(wait, (back, days_back), start_after, settle_after, fate, crash)| Step {
            wait,
            back,
            days_back,
            start_after,
            settle_after,
            fate,
            crash,
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_limit_is_ever_exceeded_by_real_starts(
        limits in some_limits(),
        steps in proptest::collection::vec(some_step(), 1..120),
    ) {
        let mut run = Run::new(limits);
        for step in &steps {
            run.step(step)?;
        }
        run.never_one_more()?;
    }

    #[test]
    fn changed_settings_keep_earliest_in_agreement_with_charge(
        settings in proptest::collection::vec(some_limits(), 2..6),
        steps in proptest::collection::vec(some_step(), 1..60),
    ) {
        let mut run = Run::new(Limits::default());
        for (i, step) in steps.iter().enumerate() {
            run.limits = settings[(i / 7) % settings.len()].clone();
            run.step(step)?;
        }
    }

    #[test]
    fn caps_that_change_bind_every_later_intent(
        caps in proptest::collection::vec(1..10_u32, 2..6),
        steps in proptest::collection::vec(some_step(), 1..60),
    ) {
        let mut run = Run::new(Limits::default());
        for (i, step) in steps.iter().enumerate() {
            let cap = caps[(i / 5) % caps.len()];
            run.limits = Limits { per_minute: Some(cap), ..Limits::default() };
            let before = run.starts.len();
            run.step(step)?;
            if let Some(last) = run.starts.get(before) {
                let same = run.starts.iter().filter(|start| (last - 60_000..=*last).contains(start)).count();
                prop_assert!(same <= cap as usize, "{same} starts up to {last} under {cap}");
            }
        }
    }

    #[test]
    fn any_bytes_are_refused_or_safe_to_use(
        mut bytes in proptest::collection::vec(any::<u8>(), ENCODED_LEN),
        format in 1..3_u8,
        limits in some_limits(),
    ) {
        bytes[0] = format;
        if format == 1 {
            bytes.truncate(ENCODED_LEN - 8);
        }
        // The upper bytes of the moments, so that many of these are ledgers.
        for end in [9, 17, 25, 33, 41] {
            bytes[end - 3..end].fill(0);
        }
        if let Ok(mut ledger) = Ledger::decode(&bytes) {
            let charge = ledger.charge(&limits, Moment(BEGIN), day_of(Moment(BEGIN)));
            let free = ledger.charge(&Limits::default(), Moment(BEGIN), day_of(Moment(BEGIN))).unwrap();
            for charge in charge.into_iter().chain([free]) {
                let settled = ledger.settle(charge, None);
                ledger.refund(settled);
            }
        }
    }

    #[test]
    fn a_minute_cap_lets_through_nearly_all(cap in 1..300_u32, start_after in 0..300_i64, late in 0..5_000_i64) {
        let minutes = 40;
        let sent = sent_within(&Limits { per_minute: Some(cap), ..Limits::default() }, minutes, start_after, late)?;
        prop_assert!(sent * 32 >= i64::from(cap) * minutes * 31, "{sent} of {cap} a minute");
    }

    #[test]
    fn a_rate_lets_through_nearly_all(count in 1..200_u32, start_after in 0..100_i64, late in 0..100_i64) {
        // Open sends use the burst, so that many are in flight; two more hide the rounding to milliseconds.
        let burst = 2 + (i64::from(count) * (start_after + late) / 1_000 + 1) as u32;
        let rate = Rate { count, per: Span::seconds(1), burst };
        let sent = sent_within(&Limits { rate: Some(rate), ..Limits::default() }, 1, start_after, late)?;
        prop_assert!(sent * 100 >= i64::from(count) * 60 * 98, "{sent} of {count} a second");
    }
}

/// Sends as fast as `limits` allow; every call starts and settles equally late.
fn sent_within(limits: &Limits, minutes: i64, start_after: i64, late: i64) -> Result<i64, TestCaseError> {
    let mut run = Run::new(limits.clone());
    let end = run.now + Span::minutes(minutes);
    let mut open = std::collections::VecDeque::new();
    while run.now < end {
        match run.ledger.earliest(&run.limits, run.now, day_of(run.now)) {
            Earliest::Now => {
                let charge = run.ledger.charge(&run.limits, run.now, day_of(run.now)).unwrap();
                let starts_at = charge.at + Span(start_after);
                open.push_back((starts_at + Span(late), charge, starts_at));
                run.starts.push(starts_at.0);
                continue;
            }
            Earliest::At(at, _) if open.front().is_none_or(|(settles_at, ..)| at < *settles_at) => {
                run.now = at;
            }
            Earliest::At(..) | Earliest::WhenOpenSettles(_) => {
                let (settles_at, charge, starts_at) = open.pop_front().unwrap();
                run.now = run.now.max(settles_at);
                run.ledger.settle(charge, Some(starts_at));
            }
        }
    }
    Ok(run.starts.len() as i64)
}
