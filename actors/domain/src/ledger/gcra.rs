//! The rate limit: a generic cell rate algorithm (ITU-T I.371) over starts, not over intents.
//!
//! Invariant: for every set of m settled starts that began at x or later, the arrival time is at least x + m ·
//! interval. Each start is added as `max(arrival, start) + interval`, which keeps this in whatever order starts
//! become known. A charge at t is allowed if `max(arrival, t) + (open + 1) · interval <= t + burst · interval`;
//! with the invariant no span that holds this start, whenever it begins, holds more than burst + span / interval.

use super::{Rate, Verdict};
use crate::time::Moment;

/// Whole numbers up to here are exact in a Lua number.
pub(super) const EXACT: i64 = 1 << 53;

/// State of the rate limit, in microseconds: milliseconds would lose 4 % of 80 a second.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Gcra {
    /// Theoretical arrival time of the next start, since the epoch.
    pub(super) arrival: i64,
    /// Interval of the rate at the last charge, 0 without one: what a start adds.
    pub(super) interval: i64,
}

impl Gcra {
    /// When `rate` allows one more besides `open` ones.
    pub(super) fn verdict(&self, rate: &Rate, last_start: Option<Moment>, open: u32) -> Verdict {
        let Some(spare) = rate.burst.checked_sub(open.saturating_add(1)) else { return Verdict::Open };
        let spare = rate.interval().saturating_mul(i64::from(spare));
        let at = self.arrival_under(rate, last_start).saturating_sub(spare);
        Verdict::Free(Moment(at.max(0) / 1_000 + i64::from(at > 0 && at % 1_000 != 0)))
    }

    /// Takes over the rate in force, so that open sends are added at its interval.
    pub(super) fn adopt(&mut self, rate: Option<&Rate>, last_start: Option<Moment>) {
        self.interval = rate.map_or(0, Rate::interval);
        if let Some(rate) = rate {
            self.arrival = self.arrival_under(rate, last_start);
        }
    }

    /// Adds a start.
    pub(super) fn start(&mut self, at: Moment) {
        let after = self.arrival.max(at.0.saturating_mul(1_000));
        self.arrival = after.saturating_add(self.interval).min(EXACT);
    }

    /// The arrival time as far as `rate` can stand behind it: one interval to a whole burst after the last start.
    /// Under an unchanged rate it lies there already; after a change nothing waits for an old, slower rate, and a
    /// new, slower one counts at least the last start.
    fn arrival_under(&self, rate: &Rate, last_start: Option<Moment>) -> i64 {
        let Some(Moment(last)) = last_start else { return 0 };
        let least = last.saturating_mul(1_000).saturating_add(rate.interval());
        let whole_burst = rate.interval().saturating_mul(i64::from(rate.burst.max(1)));
        let most = last.saturating_mul(1_000).saturating_add(whole_burst);
        self.arrival.clamp(least, most).min(EXACT)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    fn free_at(gcra: &Gcra, rate: &Rate, last: i64, open: u32) -> Option<i64> {
        match gcra.verdict(rate, Some(Moment(last)), open) {
            Verdict::Free(at) => Some(at.0),
            Verdict::Open => None,
        }
    }

    #[test]
    fn starts_are_added_alike_in_any_order() {
        let fresh = Gcra { arrival: 0, interval: 10_000 };
        let (mut forth, mut back) = (fresh.clone(), fresh);
        [100, 105, 110].into_iter().for_each(|at| forth.start(Moment(at)));
        [110, 105, 100].into_iter().for_each(|at| back.start(Moment(at)));
        assert_eq!(forth.arrival, 130_000);
        assert!(back.arrival >= forth.arrival, "an order that hides a start would let one more through");
    }

    #[test]
    fn open_sends_use_the_burst() {
        let rate = Rate { count: 100, per: Span::seconds(1), burst: 3 };
        let gcra = Gcra { arrival: 10_000, interval: 10_000 };
        assert_eq!(free_at(&gcra, &rate, 0, 0), Some(0));
        assert_eq!(free_at(&gcra, &rate, 0, 2), Some(10));
        assert_eq!(free_at(&gcra, &rate, 0, 3), None);
    }

    #[test]
    fn a_raised_rate_does_not_wait_for_the_old_one() {
        let slow = Rate { count: 1, per: Span::days(1), burst: 1 };
        let fast = Rate { count: 10, per: Span::seconds(1), burst: 1 };
        let mut gcra = Gcra::default();
        gcra.adopt(Some(&slow), None);
        gcra.start(Moment(1_000));
        assert_eq!(free_at(&gcra, &slow, 1_000, 0), Some(86_401_000));
        assert_eq!(free_at(&gcra, &fast, 1_000, 0), Some(1_100));
    }

    #[test]
    fn a_lowered_rate_counts_the_last_start() {
        let mut gcra = Gcra { arrival: 0, interval: 1_000 };
        gcra.start(Moment(1_000));
        let slow = Rate { count: 1, per: Span::days(1), burst: 1 };
        assert_eq!(free_at(&gcra, &slow, 1_000, 0), Some(86_401_000));
    }
}
