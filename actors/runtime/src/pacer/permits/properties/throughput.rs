//! How much limits let through of what they allow, when there is enough work: against a schedule whose windows are exact.

use super::*;

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
        let (sent, most) = with_enough_work(alone, late, (DAY, DAYS))?;
        prop_assert!(sent * 100 >= most * 98, "{sent} of {most}");
    }

    // In days that are short against an hour, what a sub-window puts off by a 64th can fall behind a midnight or the end.
    #[test]
    fn with_enough_work_limits_together_let_through_nearly_all_of_short_days(
        limits in busy_limits(),
        late in 0..400_i64,
    ) {
        let (sent, most) = with_enough_work(limits, late, (DAY, DAYS))?;
        prop_assert!(sent * 100 >= most * 90, "{sent} of {most}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn with_enough_work_limits_together_let_through_98_percent_of_what_they_allow(
        limits in gentle_limits(),
        late in 0..400_i64,
    ) {
        let (sent, most) = with_enough_work(limits, late, (LONG_DAY, LONG_DAYS))?;
        prop_assert!(sent * 100 >= most * 98, "{sent} of {most}");
    }
}

/// Starts of a lane that always has something due, and those that its limits allow when all their windows are exact.
/// Calls begin at once and end `late`.
fn with_enough_work(
    limits: Limits,
    late: i64,
    (day, days): (i64, i64),
) -> Result<(usize, usize), TestCaseError> {
    // Without any there is no end of it.
    let limits = if limits == Limits::default() { Limits { per_minute: Some(7), ..limits } } else { limits };
    let mut run = Run::new(limits, day);
    let end = run.now() + Span(days * day);
    while run.now() < end {
        run.wait()?;
        let asked = run.asked();
        let charge = run.durable.charge(&run.limits, asked.now, asked.day);
        prop_assert!(charge.is_ok(), "{charge:?}");
        let now = run.start();
        let charge = Charge { at: now, day: asked.day, open: true };
        let (settles_at, began, fate) = (now + Span(late), Some(now), Fate::Sent);
        run.sends.push(OnItsWay { charge, starts_at: now, began, is_over: false, settles_at, fate });
    }
    let mut exact = Exact::new(&run.limits, day);
    for drawn in 1_u64.. {
        let longer = run.limits.jitter.map_or(0, |jitter| part(jitter, random(drawn)).0);
        let at = exact.next(longer);
        if at >= end.0 {
            break;
        }
        exact.start(at);
    }
    let most = exact.starts.len();
    run.starts.retain(|start| start.engine < end.0);
    run.never_one_more()?;
    Ok((run.starts.len(), most))
}

/// Days as they are.
const LONG_DAY: i64 = 86_400_000;

/// Days of a run with enough work.
const DAYS: i64 = 24;
/// The same where they are long: what is under way at the end is little of all.
const LONG_DAYS: i64 = 20;

/// Limits that calls of 400 ms do not bind further: a burst for all that are open, a gap and a rest that outlast them.
fn busy_limits() -> impl Strategy<Value = Limits> {
    let rate =
        (1..120_u32, 20_000..90_000_i64).prop_map(|(count, per)| Rate { count, per: Span(per), burst: 6 });
    let gap = (400..60_000_i64, proptest::option::of(1..60_000_i64));
    let rest = (1..30_u32, 60_000..2_000_000_i64).prop_map(|(after, span)| Rest { after, span: Span(span) });
    let day = proptest::option::of((1..300_u32, proptest::option::of((1..30_u32, 1..300_u32))));
    let (minute, hour) = (proptest::option::of(1..200_u32), proptest::option::of(1..2_000_u32));
    limits_of(rate, gap, minute, hour, day, proptest::option::weighted(0.3, rest))
}

/// Limits of senders that take their time, as numbers of people do. Without rests: a wait for another limit can be long
/// enough to be one or fall just short of it, so that which of two greedy schedules gets more is chance.
fn gentle_limits() -> impl Strategy<Value = Limits> {
    let rate =
        (1..20_u32, 60_000..600_000_i64).prop_map(|(count, per)| Rate { count, per: Span(per), burst: 6 });
    let gap = (1_000..300_000_i64, proptest::option::of(1..300_000_i64));
    let day = proptest::option::of((1..400_u32, proptest::option::of((1..14_u32, 1..400_u32))));
    let (minute, hour) = (proptest::option::of(1..10_u32), (1..80_u32).prop_map(Some));
    limits_of(rate, gap, minute, hour, day, Just(None))
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
}

impl Exact<'_> {
    /// A lane that starts has its burst used up, but for one.
    fn new(limits: &Limits, day: i64) -> Exact<'_> {
        let arrival = limits.rate.map_or(0, |Rate { count, per, burst }| {
            BEGIN.0 * i64::from(count) + per.0 * (i64::from(burst) - 1)
        });
        Exact { limits, day, starts: Vec::new(), run: 0, arrival }
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
        let (day, first) = (|at: i64| at.div_euclid(self.day), self.starts.first().copied().unwrap_or(at));
        let had = self.starts.iter().rev().take_while(|start| day(**start) == day(at)).count();
        if limits.per_day.is_some_and(|cap| had as i64 >= cap_on(limits, cap, day(at) - day(first))) {
            at = (day(at) + 1) * self.day;
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
