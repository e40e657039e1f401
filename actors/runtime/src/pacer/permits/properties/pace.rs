//! The pace within the second alone: governor on a clock of whole milliseconds, asked again as soon as it says.

use super::*;

/// How long a lane is asked.
const LONG: i64 = 10_000;

/// The moments at which a lane of so many a second is let go, in milliseconds, until none is for so long.
fn grants(count: u32, burst: u32) -> Result<Vec<i64>, TestCaseError> {
    let rate = Some(Rate { count, per: Span::seconds(1), burst });
    let limits = Limits { rate, ..Limits::default() };
    let mut permits = Permits::of(lane(), Ledger::default());
    let (mut now, mut grants) = (BEGIN, Vec::new());
    while now < BEGIN + Span(LONG) {
        match permits.pace(&limits, now) {
            None => grants.push(now.0 - BEGIN.0),
            Some(pause) => {
                prop_assert!(pause > Span::ZERO, "asked again in the same instant, for ever");
                now = now + pause;
            }
        }
    }
    Ok(grants)
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(512) })]

    #[test]
    fn no_span_holds_more_than_the_burst_and_the_rate(count in 1..=1_000_u32, burst in 1..=20_u32) {
        // Of n starts from the i-th to the j-th no more than burst + rate * span: as numbers that rise by 1,000 with
        // each start and fall by the rate with each millisecond. The interval is cut to whole nanoseconds, at most one
        // part in a million.
        let (mut least, mut most) = (i64::MAX, 0);
        for (n, at) in grants(count, burst)?.into_iter().enumerate() {
            let height = n as i64 * 1_000 - i64::from(count) * at;
            least = least.min(height);
            most = most.max(height - least - n as i64 / 1_000 - 1);
        }
        prop_assert!(most <= 1_000 * (i64::from(burst) - 1), "{most} thousandths over one");
    }

    #[test]
    fn a_burst_of_two_or_more_lets_98_percent_of_the_rate_through(count in 1..=1_000_u32, burst in 2..=20_u32) {
        let most = i64::from(count) * LONG / 1_000;
        let sent = grants(count, burst)?.len() as i64;
        prop_assert!(sent * 100 >= most * 98, "{sent} of {most}");
    }
}

/// With a burst of 1 each start waits for a whole interval after the one before it, on a clock of whole milliseconds:
/// what is left of the last one is lost with every start. Worst is an interval just above one millisecond.
#[test]
fn a_burst_of_one_loses_the_rest_of_a_millisecond_with_each_start() -> Result<(), TestCaseError> {
    for (count, sent) in
        [(1_000, 10_000), (999, 5_000), (501, 5_000), (500, 5_000), (400, 3_334), (30, 295), (20, 200)]
    {
        assert_eq!(grants(count, 1)?.len(), sent, "{count} a second");
    }
    Ok(())
}
