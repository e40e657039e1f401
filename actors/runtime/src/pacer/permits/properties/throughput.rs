//! How much limits let through of what they allow, when there is enough work: against a schedule whose windows are exact.

use super::*;

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn with_enough_work_a_limit_lets_through_98_percent_of_what_it_allows(
        limits in busy_limits(),
        which in 0..6_usize,
        calls in some_calls(),
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
        let (sent, most) = with_enough_work(alone, calls, (DAY, DAYS))?;
        prop_assert!(sent * 100 >= most * 98, "{sent} of {most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn with_enough_work_limits_together_let_through_98_percent_of_what_they_allow(
        limits in gentle_limits(),
        calls in some_calls(),
    ) {
        let (sent, most) = with_enough_work(limits, calls, (LONG_DAY, LONG_DAYS))?;
        prop_assert!(sent * 100 >= most * 98, "{sent} of {most}");
    }
}

/// What becomes of permits.
#[derive(Clone, Copy, Debug)]
struct Calls {
    /// How long a call takes, in milliseconds; its start is told before it ends, where that is due.
    take: i64,
    /// From a start to the moment when the lane has heard of it.
    told: i64,
    /// Of so many permits the first comes back unused: what it was for is gone, or too late.
    gone: Option<usize>,
}

fn some_calls() -> impl Strategy<Value = Calls> {
    let take = prop_oneof![0..400_i64, 0..600_000_i64];
    (take, 0..10_i64, proptest::option::of(2..20_usize)).prop_map(|(take, told, gone)| Calls {
        take,
        told,
        gone,
    })
}

/// Starts of a lane that always has something due, and those that its limits allow when all their windows are exact and
/// its rests come after the same starts. Calls begin at once.
///
/// Left to itself the exact schedule would rest elsewhere: a wait for another limit can be long enough to be a rest, or
/// fall just short of it, and which of two schedules gets more by that is chance.
fn with_enough_work(
    limits: Limits,
    Calls { take, told, gone }: Calls,
    (day, days): (i64, i64),
) -> Result<(usize, usize), TestCaseError> {
    // Without any there is no end of it.
    let limits = if limits == Limits::default() { Limits { per_minute: Some(7), ..limits } } else { limits };
    let mut run = Run::new(limits, day);
    let end = run.now() + Span(days * day);
    let settled_after = run.limits.start_told_after().map_or(take, |after| take.min(after.0 + told));
    // The jitter of the exact schedule is that of the starts alone.
    let gone = gone.filter(|_| run.limits.jitter.is_none());
    for permit in 0.. {
        run.wait()?;
        if run.now() >= end {
            break;
        }
        if gone.is_some_and(|gone| permit % gone == 0) {
            run.permits.give_back();
            continue;
        }
        let asked = run.asked();
        let charge = run.durable.charge(&run.limits, asked.now, asked.day);
        prop_assert!(charge.is_ok(), "{charge:?}");
        let now = run.start();
        let charge = Charge { at: now, day: asked.day, open: true };
        let (settles_at, began, fate) = (now + Span(settled_after), Some(now), Fate::Sent);
        run.sends.push(OnItsWay { charge, starts_at: now, began, is_over: false, settles_at, fate });
    }
    run.never_one_more()?;
    run.starts.retain(|start| start.engine < end.0);
    let mut lane = Exact::new(&run.limits, day);
    let mut rests = Vec::new();
    for start in &run.starts {
        rests.push(lane.is_to_rest());
        lane.start(start.engine);
    }
    let mut exact = Exact { rests, ..Exact::new(&run.limits, day) };
    loop {
        let at = exact.next();
        if at >= end.0 {
            break;
        }
        exact.start(at);
    }
    Ok((run.starts.len(), exact.starts.len()))
}

/// Days as they are.
const LONG_DAY: i64 = 86_400_000;

/// Days of a run with enough work.
const DAYS: i64 = 24;
/// The same where they are long: what is under way at the end is little of all.
const LONG_DAYS: i64 = 20;

/// Limits of senders that are busy.
fn busy_limits() -> impl Strategy<Value = Limits> {
    let rate = (1..120_u32, 20_000..90_000_i64, 1..7_u32);
    let rate = rate.prop_map(|(count, per, burst)| Rate { count, per: Span(per), burst });
    let gap = (400..60_000_i64, proptest::option::of(1..60_000_i64));
    let rest = (1..30_u32, 60_000..2_000_000_i64).prop_map(|(after, span)| Rest { after, span: Span(span) });
    let day = proptest::option::of((1..300_u32, proptest::option::of((1..30_u32, 1..300_u32))));
    let (minute, hour) = (proptest::option::of(1..200_u32), proptest::option::of(1..2_000_u32));
    limits_of(rate, gap, minute, hour, day, proptest::option::weighted(0.3, rest))
}

/// Limits of senders that take their time, as numbers of people do.
fn gentle_limits() -> impl Strategy<Value = Limits> {
    let rate =
        (1..20_u32, 60_000..600_000_i64).prop_map(|(count, per)| Rate { count, per: Span(per), burst: 6 });
    let gap = (1_000..300_000_i64, proptest::option::of(1..300_000_i64));
    let day = proptest::option::of((1..400_u32, proptest::option::of((1..14_u32, 1..400_u32))));
    let (minute, hour) = (proptest::option::of(1..10_u32), (1..80_u32).prop_map(Some));
    let rest = (1..60_u32, 60_000..7_200_000_i64).prop_map(|(after, span)| Rest { after, span: Span(span) });
    limits_of(rate, gap, minute, hour, day, proptest::option::weighted(0.5, rest))
}

fn limits_of(
    rate: impl Strategy<Value = Rate>,
    gap: impl Strategy<Value = (i64, Option<i64>)>,
    minute: impl Strategy<Value = Option<u32>>,
    hour: impl Strategy<Value = Option<u32>>,
    day: impl Strategy<Value = Option<(u32, Option<(u32, u32)>)>>,
    rest: impl Strategy<Value = Option<Rest>>,
) -> impl Strategy<Value = Limits> {
    let gap = proptest::option::weighted(0.3, gap);
    (proptest::option::of(rate), gap, minute, hour, day, rest).prop_map(
        |(rate, gap, per_minute, per_hour, day, rest)| Limits {
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

/// Starts of calls that are settled at once, each as early as the limits allow it when all their windows are exact:
/// a cap counts what began in the span itself, and nothing is rounded. A gap has the jitter that was drawn for it.
struct Exact<'a> {
    limits: &'a Limits,
    day: i64,
    starts: Vec<i64>,
    /// Starts since the last rest.
    run: u32,
    /// Arrival time of the rate, in parts of a millisecond: as many as `count`.
    arrival: i64,
    /// Before which of the first starts there is to be a rest; of those after, their run says so.
    rests: Vec<bool>,
}

impl Exact<'_> {
    /// A lane that starts has its burst used up, but for one.
    fn new(limits: &Limits, day: i64) -> Exact<'_> {
        let arrival = limits.rate.map_or(0, |Rate { count, per, burst }| {
            BEGIN.0 * i64::from(count) + per.0 * (i64::from(burst) - 1)
        });
        Exact { limits, day, starts: Vec::new(), run: 0, arrival, rests: Vec::new() }
    }

    /// When the next start may be.
    fn next(&self) -> i64 {
        let limits = self.limits;
        let drawn = random(self.starts.len() as u64 + 1);
        let longer = limits.jitter.map_or(0, |jitter| part(jitter, drawn).0);
        let last = self.starts.last().copied();
        let mut at = last.unwrap_or(BEGIN.0);
        let gap = limits.gap.zip(last).map(|(gap, last)| last + gap.0 + longer);
        at = at.max(gap.unwrap_or_default());
        for (cap, span) in [(limits.per_minute, 60_000), (limits.per_hour, 3_600_000)] {
            let before = cap.and_then(|cap| self.starts.iter().rev().nth(cap as usize - 1));
            at = at.max(before.map_or(0, |before| before + span + 1));
        }
        if let Some(rest) = limits.rest.filter(|_| self.is_to_rest()) {
            at = at.max(last.unwrap_or_default() + rest.span.0);
        }
        if let Some(Rate { count, per, burst }) = limits.rate {
            let (count, interval) = (i64::from(count), per.0);
            at = at.max((self.arrival - interval * (i64::from(burst) - 1) + count - 1).div_euclid(count));
        }
        if let Some(cap) = limits.per_day {
            let (day, first) =
                (|at: i64| at.div_euclid(self.day), self.starts.first().copied().unwrap_or(at));
            let had = self.starts.iter().rev().take_while(|start| day(**start) == day(at)).count();
            if had as i64 >= cap_on(limits, cap, day(at) - day(first)) {
                at = (day(at) + 1) * self.day;
            }
        }
        at
    }

    /// Whether the next start comes after a rest.
    fn is_to_rest(&self) -> bool {
        let now = || self.limits.rest.is_some_and(|rest| self.run >= rest.after);
        self.rests.get(self.starts.len()).copied().unwrap_or_else(now)
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
