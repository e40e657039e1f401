//! A lane that was told to slow down: its pace is cut to a half each time, and comes back little by little.
//!
//! It also eases a lane back in whose hold has ended, so that what waited does not leave all at once.

use crate::limits;
use crate::time::{Moment, Span};

/// The share of its pace that a lane has, in thousandths.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Throttle {
    /// What was left of the pace, and when; `None`: all of it.
    cut: Option<(i64, Moment)>,
}

impl Throttle {
    /// The share of who has all of its pace.
    pub const WHOLE: i64 = 1_000;

    /// What the lane has of its pace now.
    #[must_use]
    pub fn share(&self, now: Moment) -> i64 {
        let Some((share, at)) = self.cut else { return Throttle::WHOLE };
        let steps = now.since(at).0.max(0) / limits::RECOVER_EVERY.0;
        share.saturating_add(steps.saturating_mul(limits::RECOVER_BY)).min(Throttle::WHOLE)
    }

    /// The provider asked to slow down: half of what there was. Refusals of calls that were under way together count
    /// as one.
    pub fn slow(&mut self, now: Moment) {
        if self.cut.is_some_and(|(_, at)| now.since(at) < limits::SLOWED_TOGETHER) {
            return;
        }
        self.cut = Some(((self.share(now) / 2).max(limits::SHARE_LEAST), now));
    }

    /// What was held goes on: gently.
    pub fn ease_in(&mut self, now: Moment) {
        self.cut = Some((self.share(now).min(limits::SHARE_AFTER_HOLD), now));
    }

    /// The pause after a start at `now`, for a lane whose pace is one in so long; `None` when it is not slowed. The share
    /// that comes back meanwhile shortens it.
    #[must_use]
    pub fn pause(&self, interval: Span, now: Moment) -> Option<Span> {
        let (_, cut_at) = self.cut?;
        if self.share(now) >= Throttle::WHOLE {
            return None;
        }
        // What is left of the interval, in thousandths, is used up by the share that each step has.
        let (mut at, mut left) = (now, interval.0.max(1).saturating_mul(Throttle::WHOLE));
        loop {
            let share = self.share(at).max(1);
            let steps = at.since(cut_at).0.max(0) / limits::RECOVER_EVERY.0;
            let until = cut_at + Span((steps + 1) * limits::RECOVER_EVERY.0);
            let in_step = until.since(at).0.saturating_mul(share);
            if share >= Throttle::WHOLE || left <= in_step {
                return Some(at.since(now) + Span(left / share));
            }
            left -= in_step;
            at = until;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Moment = Moment(1_000_000_000);

    fn after(steps: i64) -> Moment {
        NOW + Span(steps * limits::RECOVER_EVERY.0)
    }

    #[test]
    fn the_pace_is_halved_at_each_complaint_and_comes_back_slowly() {
        let mut throttle = Throttle::default();
        assert_eq!((throttle.share(NOW), throttle.pause(Span(10), NOW)), (1_000, None));
        throttle.slow(NOW);
        assert_eq!((throttle.share(NOW), throttle.pause(Span(10), NOW)), (500, Some(Span(20))));
        throttle.slow(NOW + Span(1));
        assert_eq!(throttle.share(NOW), 500, "one complaint, said to many calls");
        assert_eq!(throttle.share(after(1)), 500 + limits::RECOVER_BY);
        assert_eq!(throttle.share(after(10_000)), 1_000);
        throttle.slow(after(10_000));
        assert_eq!(throttle.share(after(10_000)), 500);
    }

    #[test]
    fn a_slow_lane_waits_for_what_its_share_gives_meanwhile() {
        let mut throttle = Throttle::default();
        throttle.slow(NOW);
        let every = limits::RECOVER_EVERY.0;
        let shares = (0..10).map(|step| 500 + step * limits::RECOVER_BY);
        let until_whole: i64 = shares.clone().map(|share| every * share / 1_000).sum();
        // One minute at the whole pace, behind all steps.
        let pause = throttle.pause(Span(until_whole + 60_000), NOW).unwrap();
        assert_eq!(pause, Span(10 * every + 60_000));
        let in_the_second = throttle.pause(Span(every / 2 + every * 55 / 200), NOW).unwrap();
        assert_eq!(in_the_second, Span(every + every / 2));
        assert_eq!(throttle.pause(Span(every * 55 / 200), after(1)), Some(Span(every / 2)));
    }

    #[test]
    fn it_never_stops_altogether() {
        let mut throttle = Throttle::default();
        for n in 0..100 {
            throttle.slow(NOW + Span(n * limits::SLOWED_TOGETHER.0));
        }
        assert!(throttle.share(NOW) >= limits::SHARE_LEAST);
    }

    #[test]
    fn what_was_held_goes_on_gently() {
        let mut throttle = Throttle::default();
        throttle.ease_in(NOW);
        assert_eq!(throttle.share(NOW), limits::SHARE_AFTER_HOLD);
        assert_eq!(throttle.share(NOW + limits::EASED_IN_WITHIN), Throttle::WHOLE);
        assert!(throttle.share(NOW + limits::EASED_IN_WITHIN - Span(1)) < Throttle::WHOLE);
        assert_eq!(throttle.share(after(1_000)), 1_000);
    }

    #[test]
    fn a_clock_that_goes_back_gives_nothing_back() {
        let mut throttle = Throttle::default();
        throttle.slow(NOW);
        assert_eq!(throttle.share(NOW - Span::hours(1)), 500);
    }
}
