//! A lane below its pace: cut after its provider complained, eased in after a hold.

use followupd_domain::ledger::{Limits, Rate};
use followupd_domain::throttle::Throttle;
use followupd_domain::{Moment, Span};

use crate::limits::PACE_UNKNOWN;

/// How a lane is slowed, in engine time.
#[derive(Debug, Default)]
pub(super) struct Slow {
    throttle: Throttle,
    /// Not before this.
    next: Moment,
    /// Grants of the second that began then, and of the one before: the pace of a lane without a rate or a gap.
    second: (Moment, i64),
    before: i64,
    /// When the next is allowed by the lane's own pace.
    by_pace: Moment,
}

impl Slow {
    /// What the lane has of its pace now, in thousandths.
    pub(super) fn share(&self, now: Moment) -> i64 {
        self.throttle.share(now)
    }

    /// When the next may be granted, where that is not now.
    pub(super) fn until(&self, now: Moment) -> Option<Moment> {
        Some(self.next).filter(|next| *next > now)
    }

    /// One was granted.
    pub(super) fn granted(&mut self, limits: &Limits, now: Moment) {
        let (began, count) = self.second;
        if now.since(began) < Span::seconds(1) {
            self.second = (began, count + 1);
        } else {
            // Its pace is what it does when nothing slows it.
            if self.throttle.share(now) == Throttle::WHOLE {
                self.before = count;
            }
            self.second = (now, 1);
        }
        let interval = limits.between().unwrap_or_else(|| {
            let known = Some(self.before).filter(|before| *before > 0);
            Span(1_000 / known.unwrap_or(PACE_UNKNOWN))
        });
        self.by_pace = now + interval;
        if let Some(pause) = self.throttle.pause(interval, now) {
            self.next = self.next.max(now + pause);
        }
    }

    /// One left that counts as so many: the next waits for all of it.
    pub(super) fn counts(&mut self, rate: &Rate, as_many: u32, now: Moment) {
        let takes = rate.per.0.saturating_mul(i64::from(as_many)) / i64::from(rate.count.max(1));
        self.next = self.next.max(now) + Span(takes);
    }

    /// The provider complained: a rest, and half the pace after it.
    pub(super) fn slow(&mut self, rest: Span, now: Moment) {
        self.throttle.slow(now);
        self.next = self.next.max(now + rest);
        // What was left until the next one takes longer, too.
        let left = self.by_pace.since(now);
        if left > Span::ZERO
            && let Some(pause) = self.throttle.pause(left, now)
        {
            self.next = self.next.max(now + pause);
        }
    }

    /// A hold has ended.
    pub(super) fn ease_in(&mut self, now: Moment) {
        self.throttle.ease_in(now);
    }
}
