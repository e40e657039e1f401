//! How long a backlog takes to leave: a forecast over how many come due in each hour, never over each of them.
//!
//! It goes from event to event (a queue opens or closes, more come due, a day begins, all are gone) and lets as many
//! leave between two as the pace allows, strictly by class. It is an estimate: what is held by a person is left out,
//! and so is what callers will enroll.

use crate::lane::PriorityClass;
use crate::ledger::Window;
use crate::limits;
use crate::time::{Moment, Span};

/// What waits in one queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    /// Before the next class.
    pub class: PriorityClass,
    /// How many are due.
    pub due: u64,
    /// How many come due later, and when; in order.
    pub later: Vec<(Moment, u64)>,
}

/// Whether a queue may send.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Opening {
    /// Until then.
    OpenUntil(Moment),
    /// Not before then.
    ClosedUntil(Moment),
    /// Not before somebody releases it.
    Held,
}

/// What a lane may send on one day.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Day {
    /// So many; `None`: as many as its pace allows.
    pub left: Option<u64>,
    /// Until then.
    pub ends_at: Moment,
}

/// How fast a lane goes, days aside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pace {
    /// Microseconds between two.
    pub every: u64,
    /// What a cap lets leave beside that.
    pub window: Option<Window>,
}

/// What the forecast asks of the world.
pub trait Ahead {
    /// Whether a line may send at a moment, from 0.
    fn opening(&self, line: usize, at: Moment) -> Opening;

    /// What may be sent on the day of a moment: of the first what is left of it.
    fn day(&self, at: Moment) -> Day;
}

/// When nothing that is due waits any more, at such a pace. `None`: nothing is due that leaves by itself; or not within
/// a year or so, or after more events than are looked at.
#[must_use]
pub fn empty_at(lines: &[Line], pace: Pace, ahead: &impl Ahead, now: Moment) -> Option<Moment> {
    let mut forecast = Forecast::new(lines, pace, ahead, now);
    forecast.reach();
    if !forecast.waits() {
        return None;
    }
    for _ in 0..limits::FORECAST_EVENTS {
        forecast.reach();
        if !forecast.waits() {
            return Some(forecast.at);
        }
        if forecast.at.since(now) > limits::FORECAST_MOST {
            return None;
        }
        forecast.go_on();
    }
    None
}

/// From when on the days, each of which has room for some, have room for the last of so many; the end of what a forecast
/// looks at, where that is later.
#[must_use]
pub fn room_at(mut count: u64, now: Moment, day: impl Fn(Moment) -> Day) -> Moment {
    let (mut at, end) = (now, now + limits::FORECAST_MOST);
    while at < end {
        let today = day(at);
        match today.left.filter(|left| *left < count) {
            None => return at,
            Some(left) => (count, at) = (count - left, today.ends_at.max(at + Span(1))),
        }
    }
    end
}

/// The lane as it will be at a moment.
struct Forecast<'a, A> {
    ahead: &'a A,
    pace: Pace,
    /// Microseconds that have passed since the last left, as far as the next needs them: an event between the two takes
    /// nothing away.
    passed: u64,
    at: Moment,
    day: Day,
    lines: Vec<Standing<'a>>,
}

struct Standing<'a> {
    class: PriorityClass,
    due: u64,
    later: &'a [(Moment, u64)],
    opening: Option<Opening>,
}

impl Standing<'_> {
    fn is_open(&self) -> bool {
        matches!(self.opening, Some(Opening::OpenUntil(_)))
    }

    fn is_held(&self) -> bool {
        matches!(self.opening, Some(Opening::Held))
    }

    /// When something about it changes by itself.
    fn changes_at(&self) -> Moment {
        let turns_at = match self.opening {
            Some(Opening::OpenUntil(at) | Opening::ClosedUntil(at)) if self.due > 0 => at,
            Some(_) | None => Moment::FAR,
        };
        self.later.first().map_or(turns_at, |(at, _)| turns_at.min(*at))
    }
}

impl<'a, A: Ahead> Forecast<'a, A> {
    fn new(lines: &'a [Line], pace: Pace, ahead: &'a A, now: Moment) -> Self {
        let standing =
            |line: &'a Line| Standing { class: line.class, due: line.due, later: &line.later, opening: None };
        let lines = lines.iter().map(standing).collect();
        Forecast { ahead, pace, passed: 0, at: now, day: ahead.day(now), lines }
    }

    /// Takes in what has come due, and what has opened or closed.
    fn reach(&mut self) {
        if let Some(window) = self.pace.window.as_mut().filter(|window| window.ends_at <= self.at) {
            // What has not left of it is not lost: the next begins when something leaves.
            window.left = window.count;
            window.ends_at = self.at + window.length;
        }
        if self.day.ends_at <= self.at {
            self.day = self.ahead.day(self.at);
        }
        for (number, line) in self.lines.iter_mut().enumerate() {
            while let Some(((_, more), rest)) = line.later.split_first().filter(|((at, _), _)| *at <= self.at)
            {
                line.due += more;
                line.later = rest;
            }
            let over = match line.opening {
                None => true,
                Some(Opening::OpenUntil(until) | Opening::ClosedUntil(until)) => until <= self.at,
                Some(Opening::Held) => false,
            };
            if over && line.due > 0 {
                line.opening = Some(self.ahead.opening(number, self.at));
            }
        }
    }

    /// Whether something is due that will leave by itself.
    fn waits(&self) -> bool {
        self.lines.iter().any(|line| line.due > 0 && !line.is_held())
    }

    /// Lets those leave that can until the next event, and goes there.
    fn go_on(&mut self) {
        let events = self.lines.iter().filter(|line| !line.is_held()).map(Standing::changes_at);
        let midnight = self.day.left.map(|_| self.day.ends_at);
        let refill = self.pace.window.filter(|window| window.left == 0).map(|window| window.ends_at);
        // A moment that is no later would be looked at for ever.
        let next = events.chain(midnight).chain(refill).min().unwrap_or(Moment::FAR).max(self.at + Span(1));
        let open: u64 = self.lines.iter().filter(|line| line.is_open()).map(|line| line.due).sum();
        let most = self.pace.window.map_or(u64::MAX, |window| window.left);
        let can = open.min(self.day.left.unwrap_or(u64::MAX)).min(most);
        let every = self.pace.every.max(1);
        let time = next.since(self.at).0.unsigned_abs().saturating_mul(1_000).saturating_add(self.passed);
        let leave = can.min(time / every);
        self.leave(leave);
        if let Some(window) = &mut self.pace.window {
            window.left -= leave;
        }
        if let Some(left) = &mut self.day.left {
            *left -= leave;
        }
        let taken = leave.saturating_mul(every);
        if leave == can && can > 0 {
            let takes = taken.saturating_sub(self.passed).div_ceil(1_000);
            self.passed = 0;
            self.at = (self.at + Span(i64::try_from(takes).unwrap_or(i64::MAX / 2))).min(next);
        } else {
            self.passed = time.saturating_sub(taken).min(every);
            self.at = next;
        }
    }

    /// So many leave: of the first class first, of one class each line's share.
    fn leave(&mut self, mut count: u64) {
        for class in [PriorityClass::Transactional, PriorityClass::Normal, PriorityClass::Bulk] {
            let of_class = |line: &&mut Standing<'_>| line.class == class && line.is_open();
            let all: u64 = self.lines.iter_mut().filter(of_class).map(|line| line.due).sum();
            let (mut leave, share) = (count.min(all), count.min(all));
            count -= leave;
            for line in self.lines.iter_mut().filter(of_class) {
                let part = u128::from(line.due) * u128::from(share) / u128::from(all.max(1));
                let part = u64::try_from(part).unwrap_or(u64::MAX).min(leave);
                line.due -= part;
                leave -= part;
            }
            // What rounding has left over.
            for line in self.lines.iter_mut().filter(of_class) {
                let part = line.due.min(leave);
                line.due -= part;
                leave -= part;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const NOW: Moment = Moment(1_795_435_200_000);
    /// 80 a second.
    const EVERY: u64 = 12_500;
    const PACE: Pace = even(EVERY);

    const fn even(every: u64) -> Pace {
        Pace { every, window: None }
    }

    /// Open but for what it says.
    #[derive(Default)]
    struct World {
        /// Closed until so long after now, by line.
        closed: Vec<Span>,
        held: Vec<usize>,
        a_day: Option<(u64, u64)>,
    }

    impl Ahead for World {
        fn opening(&self, line: usize, at: Moment) -> Opening {
            let opens_at = NOW + self.closed.get(line).copied().unwrap_or_default();
            match (self.held.contains(&line), opens_at > at) {
                (true, _) => Opening::Held,
                (false, true) => Opening::ClosedUntil(opens_at),
                (false, false) => Opening::OpenUntil(Moment::FAR),
            }
        }

        fn day(&self, at: Moment) -> Day {
            let first = NOW + Span::hours(12);
            let days = (at.0 - first.0).div_euclid(Span::days(1).0) + 1;
            let left = self.a_day.map(|(today, then)| if days <= 0 { today } else { then });
            Day { left, ends_at: first + Span::days(days.max(0)) }
        }
    }

    fn due(due: u64) -> Line {
        Line { class: PriorityClass::Normal, due, later: Vec::new() }
    }

    fn after(lines: &[Line], world: &World) -> Option<Span> {
        empty_at(lines, PACE, world, NOW).map(|at| at.since(NOW))
    }

    #[test]
    fn a_million_at_80_a_second_take_12_500_seconds() {
        let lines = [due(700_000), due(300_000)];
        assert_eq!(after(&lines, &World::default()), Some(Span::seconds(12_500)));
        assert_eq!(after(&[], &World::default()), None, "nothing waits");
    }

    #[test]
    fn days_have_room_for_the_last_of_many_on_a_later_one() {
        let room_at = |count, a_day| {
            let world = World { a_day, ..World::default() };
            room_at(count, NOW, |at| world.day(at)).since(NOW)
        };
        assert_eq!(room_at(1_000_000, None), Span::ZERO);
        let hours = [3, 4, 8, 9].map(|count| room_at(count, Some((3, 5))).0 / Span::hours(1).0);
        assert_eq!(hours, [0, 12, 12, 36]);
        assert_eq!(room_at(1, Some((0, 5))), Span::hours(12));
        assert_eq!(room_at(1, Some((0, 0))), limits::FORECAST_MOST, "nobody can tell");
    }

    #[test]
    fn what_is_held_is_left_out_and_what_is_closed_is_waited_for() {
        let lines = [due(800), due(1_000_000)];
        let held = World { held: vec![1], ..World::default() };
        assert_eq!(after(&lines, &held), Some(Span::seconds(10)));
        let closed = World { closed: vec![Span::ZERO, Span::hours(8)], ..World::default() };
        // One that nothing has left for a while lets the first leave at once.
        let expected = Span::hours(8).0 + Span::seconds(12_500).0 - 12;
        assert_eq!(after(&lines, &closed), Some(Span(expected)));
    }

    #[test]
    fn what_comes_due_meanwhile_counts_and_what_comes_after_does_not() {
        let hour = |hours, count| (NOW + Span::hours(hours), count);
        let busy = Line { later: vec![hour(1, 288_000), hour(9, 80)], ..due(576_000) };
        assert_eq!(after(&[busy], &World::default()), Some(Span::hours(3)));
    }

    #[test]
    fn a_cap_of_a_day_puts_the_rest_off_to_the_next() {
        let world = World { a_day: Some((100, 1_000)), ..World::default() };
        let expected = Span::hours(12).0 + Span::days(1).0 + Span::seconds(5).0 - 12;
        assert_eq!(after(&[due(100 + 1_000 + 400)], &world), Some(Span(expected)));
    }

    #[test]
    fn what_never_ends_says_so() {
        let world = World { a_day: Some((0, 1)), ..World::default() };
        assert_eq!(after(&[due(1_000_000)], &world), None);
    }

    #[test]
    fn what_nobody_releases_and_what_is_not_due_yet_has_no_end() {
        let held = World { held: vec![0], ..World::default() };
        assert_eq!(after(&[due(1_000_000)], &held), None);
        let later = Line { later: vec![(NOW + Span::hours(1), 500)], ..due(0) };
        assert_eq!(after(&[later], &World::default()), None);
    }

    #[test]
    fn a_slow_pace_goes_on_over_events() {
        // One an hour and a half, and something every hour.
        let every = 5_400_000_000;
        let hours = (1..=12).map(|n| (NOW + Span::hours(n), 0)).collect();
        let line = Line { later: hours, ..due(6) };
        assert_eq!(empty_at(&[line], even(every), &World::default(), NOW), Some(NOW + Span::hours(9)));
    }

    #[test]
    fn a_cap_of_a_day_alone_lets_all_of_it_leave_at_once() {
        let world = World { a_day: Some((100, 1_000)), ..World::default() };
        let end = empty_at(&[due(100 + 1_000 + 400)], even(1), &world, NOW).unwrap();
        assert_eq!(end.since(NOW + Span::hours(12) + Span::days(1)), Span(1));
    }

    #[test]
    fn what_a_cap_leaves_now_leaves_now_and_the_rest_span_by_span() {
        // Ten a second, 600 an hour of which 100 are left for half an hour.
        let (half, hour) = (NOW + Span::minutes(30), Span::hours(1));
        let window = Window { left: 100, ends_at: half, count: 600, length: hour };
        let pace = Pace { every: 100_000, window: Some(window) };
        let takes = |count, closed| {
            let world = World { closed: vec![closed], ..World::default() };
            empty_at(&[due(count)], pace, &world, NOW).unwrap()
        };
        assert_eq!(takes(50, Span::ZERO), NOW + Span::seconds(5));
        assert_eq!(takes(100 + 600, Span::ZERO), half + Span(59_900), "one is ready when the span begins");
        let then = takes(100 + 2 * 600 + 10, Span::ZERO);
        assert!(
            (half + Span::hours(2)..half + Span::hours(2) + Span::seconds(3)).contains(&then),
            "{then:?}"
        );
        let closed = takes(600, hour);
        assert!((NOW + hour..NOW + hour + Span::seconds(61)).contains(&closed), "{closed:?}");
    }

    #[test]
    fn a_cap_that_the_pace_never_reaches_takes_nothing_away() {
        let window = Window { left: 600, ends_at: NOW, count: 600, length: Span::minutes(1) };
        let slow = Pace { every: 1_000_000, window: Some(window) };
        assert_eq!(empty_at(&[due(7_200)], slow, &World::default(), NOW), Some(NOW + Span::hours(2)));
    }

    proptest! {
        /// However lines, closings and days fall, it ends, and never sooner than the pace allows.
        #[test]
        fn it_is_never_sooner_than_the_pace(
            counts in prop::collection::vec((0..50_000u64, 0..3_000i64), 0..6),
            a_day in prop::option::of((0..9_000u64, 1_000..9_000u64)),
        ) {
            let lines: Vec<Line> = counts.iter().map(|(count, _)| due(*count)).collect();
            let closed = counts.iter().map(|(_, minutes)| Span::minutes(*minutes)).collect();
            let world = World { closed, a_day, ..World::default() };
            let all: u64 = counts.iter().map(|(count, _)| count).sum();
            let took = after(&lines, &world);
            if let Some(took) = took {
                prop_assert!(took.0.unsigned_abs() * 1_000 >= all * EVERY);
            }
            prop_assert!(took.is_some() || all == 0 || all > 9_000 * 100);
        }
    }
}
