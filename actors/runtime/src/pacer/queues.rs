//! The queues of a lane: a bounded window of each one's next rows, and the hours in which each is open.
//!
//! A window is whole up to its `end`: every stored row up to there is in it, or with its enrollment. A row written
//! later is told to the lane after its commit: up to the end it enters the window, beyond it a later scan finds it.
//! The end is raised by scans only, which are read while nothing else is handled, so no row falls between.

use followupd_domain::backlog::Opening;
use followupd_domain::gate;
use followupd_domain::lane::{Head, HoldGroup, Lane, Queue, Shares, WakeRow, Weight};
use followupd_domain::{ChannelNo, EnrollmentId, Moment, Shard};
use followupd_store::{Key, Scan, Store};
use std::collections::BTreeSet;

use super::ByQueue;
use crate::api::Error;
use crate::limits;
use crate::loaded::Loaded;

/// A row's place in its queue.
type Place = (Moment, EnrollmentId);

/// The windows of a lane's queues.
pub(super) struct Queues {
    shard: Shard,
    lane: Lane,
    queues: ByQueue<Window>,
    /// What its sequences have had since the lane started.
    shares: Shares,
}

struct Window {
    rows: BTreeSet<Place>,
    /// The window is whole up to here; `None`: nothing was scanned yet. [`Place`]s beyond are not kept.
    end: Option<Place>,
    /// Whether a scan has reached the end of the queue, and nothing was let go since.
    whole: bool,
    /// When it is open, as far as that was worked out.
    opening: Option<Opening>,
}

impl Queues {
    pub(super) fn new(shard: Shard, lane: Lane) -> Queues {
        Queues { shard, lane, queues: ByQueue::new(), shares: Shares::default() }
    }

    /// Finds the queues that have rows, by one short read for each, and one between any two that are known: what has
    /// left these is not crossed again.
    pub(super) async fn discover(&mut self, store: &dyn Store) -> Result<(), Error> {
        let lane = Key::lane(self.shard, self.lane);
        let known = self.queues.keys().map(|queue| Key::queue(self.shard, self.lane, queue));
        let mut known: Vec<Key> = known.chain([lane.after_prefix()]).collect();
        known.sort();
        let mut from = lane;
        for to in known {
            loop {
                let scan = Scan { from: from.clone(), to: to.clone(), limit: 1 };
                let Some(row) = store.scan(scan).await?.first().and_then(|(key, _)| key.to_wake()) else {
                    break;
                };
                self.window(row.queue);
                from = Key::queue(self.shard, self.lane, &row.queue).after_prefix();
            }
            from = to.after_prefix();
        }
        Ok(())
    }

    /// The queues that are known.
    pub(super) fn known(&self) -> impl Iterator<Item = &Queue> {
        self.queues.keys()
    }

    fn window(&mut self, queue: Queue) -> &mut Window {
        self.queues.entry(queue).or_insert_with(|| Window {
            rows: BTreeSet::new(),
            end: None,
            whole: false,
            opening: None,
        })
    }

    /// A row was written, or came back.
    pub(super) fn insert(&mut self, row: WakeRow) {
        let place = (row.due_at, row.enrollment);
        let window = self.window(row.queue);
        if window.whole || window.end.is_some_and(|end| place <= end) {
            window.rows.insert(place);
        }
        while window.rows.len() > limits::WINDOW_MOST {
            window.rows.pop_last();
            window.end = window.rows.last().copied();
            window.whole = false;
        }
    }

    /// A row goes to its enrollment, and its sequence has this weight.
    pub(super) fn take(&mut self, row: &WakeRow, weight: Weight) {
        if let Some(window) = self.queues.get_mut(&row.queue) {
            window.rows.remove(&(row.due_at, row.enrollment));
        }
        self.shares.take(&row.queue, weight);
    }

    /// Settings, holds or the clock may have changed: the hours are worked out anew.
    pub(super) fn forget_hours(&mut self) {
        for window in self.queues.values_mut() {
            window.opening = None;
        }
    }

    /// Reads on in every open queue whose window is used up but for rows that are `waiting`.
    pub(super) async fn refill(
        &mut self,
        store: &dyn Store,
        loaded: &Loaded,
        now: Moment,
        waiting: impl Fn(EnrollmentId) -> bool,
    ) -> Result<(), Error> {
        let (shard, lane) = (self.shard, self.lane);
        for (queue, window) in &mut self.queues {
            let used_up = window.rows.iter().all(|(_, enrollment)| waiting(*enrollment));
            if window.whole || !used_up || !window.is_open(queue, lane, loaded, now) {
                continue;
            }
            let prefix = Key::queue(shard, lane, queue);
            let from = match window.end {
                None => prefix.clone(),
                Some((due_at, enrollment)) => {
                    Key::wake(&WakeRow { lane, queue: *queue, due_at, enrollment }).successor()
                }
            };
            let scan = Scan { from, to: prefix.after_prefix(), limit: limits::WINDOW };
            let rows = store.scan(scan).await?;
            window.whole = rows.len() < limits::WINDOW;
            let places = rows.iter().filter_map(|(key, _)| key.to_wake());
            window.rows.extend(places.map(|row| (row.due_at, row.enrollment)));
            window.end = window.rows.last().copied().or(window.end);
        }
        Ok(())
    }

    /// The first row of every open queue that is not `waiting`.
    pub(super) fn heads(&self, waiting: impl Fn(EnrollmentId) -> bool) -> Vec<Head> {
        let lane = self.lane;
        let open =
            self.queues.iter().filter(|(_, window)| matches!(window.opening, Some(Opening::OpenUntil(_))));
        open.filter_map(|(queue, window)| {
            let (due_at, enrollment) = window.rows.iter().find(|(_, enrollment)| !waiting(*enrollment))?;
            let row = WakeRow { lane, queue: *queue, due_at: *due_at, enrollment: *enrollment };
            Some(Head { row, tag: self.shares.tag(queue) })
        })
        .collect()
    }

    /// When the next row that is not `waiting` is due in an open queue, or the next queue with rows opens, of those that
    /// count.
    pub(super) fn next_due(
        &mut self,
        loaded: &Loaded,
        now: Moment,
        waiting: impl Fn(EnrollmentId) -> bool,
        counts: impl Fn(&Queue) -> bool,
    ) -> Option<Moment> {
        let lane = self.lane;
        let counted = self.queues.iter_mut().filter(|(queue, _)| counts(queue));
        let moments = counted.filter_map(|(queue, window)| {
            let open = window.is_open(queue, lane, loaded, now);
            match window.opening {
                Some(Opening::ClosedUntil(at)) => Some(at),
                Some(Opening::OpenUntil(_)) if open => {
                    let next = window.rows.iter().find(|(_, enrollment)| !waiting(*enrollment));
                    next.map(|(due_at, _)| (*due_at).max(now))
                }
                Some(Opening::OpenUntil(_) | Opening::Held) | None => None,
            }
        });
        moments.min()
    }
}

impl Window {
    fn is_open(&mut self, queue: &Queue, lane: Lane, loaded: &Loaded, now: Moment) -> bool {
        let expired = match self.opening {
            None => true,
            Some(Opening::OpenUntil(until) | Opening::ClosedUntil(until)) => now >= until,
            Some(Opening::Held) => false,
        };
        if expired {
            self.opening = Some(opening(queue, lane, loaded, now));
        }
        matches!(self.opening, Some(Opening::OpenUntil(_)))
    }
}

/// When a queue of a lane is open, seen from `now`.
pub(crate) fn opening(queue: &Queue, lane: Lane, loaded: &Loaded, now: Moment) -> Opening {
    if queue.hold == HoldGroup::Quarantine {
        return Opening::Held;
    }
    let scope = &loaded.scope;
    if lane.channel == ChannelNo::CONTROL {
        return Opening::OpenUntil(Moment::FAR);
    }
    let Some(channel) = scope.channels.get(&lane.channel) else {
        // Its rows are looked at, so that each enrollment learns that its channel is gone.
        return Opening::OpenUntil(Moment::FAR);
    };
    let until = |until: Option<Moment>| until.map_or(Opening::Held, Opening::ClosedUntil);
    if let Some(by) = scope.held_by(queue.sequence, lane.channel, now) {
        return until(scope.holds_until(by, lane.channel));
    }
    let place = queue.narrowed.filter(|_| queue.hold == HoldGroup::Step);
    if let Some(reacted) = place.and_then(|place| scope.held_step(queue.sequence, place, now)) {
        return until(reacted.until);
    }
    // Where contacts' zones do not count, a row may still stand in the queue of a zone that the tenant had before.
    let zone = scope.tenant.zone_of(queue.zone());
    let calendar = scope.tenant.calendar.in_zone(zone);
    let open = gate::open_hours(scope, channel, queue);
    match calendar.next_open(now, &open) {
        Some(at) if at <= now => Opening::OpenUntil(calendar.closes_at(now, &open).unwrap_or(Moment::FAR)),
        Some(at) => Opening::ClosedUntil(at),
        None => Opening::ClosedUntil(now + followupd_domain::calendar::LOOK_AHEAD),
    }
}
