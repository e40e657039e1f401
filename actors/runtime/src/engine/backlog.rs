//! What waits in a lane: how many, in what hands, at what pace it leaves and when it will be gone. All of it is read
//! from counters; only of the hour that has begun a bounded number of wakes is looked at.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use followupd_domain::backlog::{Ahead, Day, Line, Opening, empty_at};
use followupd_domain::channel::Channel;
use followupd_domain::lane::{HoldGroup, Lane, PriorityClass, Queue};
use followupd_domain::ledger::{Earliest, LimitName};
use followupd_domain::name::Name;
use followupd_domain::scope::HeldBy;
use followupd_domain::{Moment, SequenceNo, Span};
use followupd_store::{Key, Scan};

use super::{Engine, named};
use crate::api::{Caller, Error};
use crate::loaded::Loaded;
use crate::pacer::Fares;
use crate::used::Used;
use crate::{limits, pacer};

/// What waits in a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Backlog {
    /// Wakes that are due.
    pub due: u64,
    /// Wakes that come due in the next 24 hours, whole hours.
    pub due_24h: u64,
    /// All wakes that come due later, those of the next 24 hours among them.
    pub later: u64,
    /// Whether what is due now is an estimate: of a busy hour that has begun.
    pub about: bool,
    /// Whether there is more in queues and hours that were not read.
    pub more: bool,
    /// The same by sequence and class and what they wait for; the most first.
    pub groups: Vec<BacklogGroup>,
    /// The tightest limit of the pace, and how many microseconds it leaves between two sends now; `None`: no limit.
    pub pace: Option<(LimitName, u64)>,
    /// What the lane has of its pace, in thousandths: less while it is slowed.
    pub share: u32,
    /// What holds all of it; empty: nothing does.
    pub waits: Vec<Waits>,
    /// When nothing that is due will be left, what comes due until then included and what is held by somebody not;
    /// `None`: nobody can tell.
    pub empty_at: Option<Moment>,
}

/// Wakes of one sequence and class that wait for the same.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BacklogGroup {
    /// The sequence; `None`: it is not there any more.
    pub sequence: Option<Name>,
    /// Its class.
    pub class: PriorityClass,
    /// Those that are due.
    pub due: u64,
    /// Those of the next 24 hours.
    pub due_24h: u64,
    /// All that come due later.
    pub later: u64,
    /// What they wait for besides their turn.
    pub waits: Option<Waits>,
}

/// Something that is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Waits {
    /// What.
    pub on: WaitsFor,
    /// Until when; `None`: until somebody releases it.
    pub until: Option<Moment>,
}

/// What holds wakes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WaitsFor {
    /// All sending is stopped.
    AllSending,
    /// The tenant, off or held.
    Tenant,
    /// The account of the channel is held.
    Account,
    /// The channel is held.
    Channel,
    /// What its provider said or did.
    Provider,
    /// The places it calls rest, or it has no way out.
    Host,
    /// A limit is used up.
    Limit(LimitName),
    /// The sequence is paused.
    Sequence,
    /// Their step is held by itself.
    Step,
    /// Their enrollments kept failing.
    Quarantine,
    /// Their hours are closed.
    Hours,
}

/// The wakes of one queue.
struct Waiting {
    queue: Queue,
    due: u64,
    due_24h: u64,
    /// By when they come due; those of the hour that has begun come due now.
    later: Vec<(Moment, u64)>,
}

impl Engine {
    /// What waits in the lane of a channel.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such channel.
    pub async fn backlog(&self, caller: &Caller, tenant: &str, channel: &str) -> Result<Backlog, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let channel = loaded.channel(&named("channel", channel)?)?;
        let lane = Lane { tenant: loaded.scope.tenant.no, channel: channel.no };
        let now = self.node.now();
        let mut backlog = Backlog {
            due: 0,
            due_24h: 0,
            later: 0,
            about: false,
            more: false,
            groups: Vec::new(),
            pace: None,
            share: 1_000,
            waits: Vec::new(),
            empty_at: None,
        };
        let waiting = self.waiting(&loaded, lane, now, &mut backlog).await?;
        backlog.groups = groups(&loaded, lane, &waiting, now);
        for group in &backlog.groups {
            backlog.due += group.due;
            backlog.due_24h += group.due_24h;
            backlog.later += group.later;
        }
        let used = Used::read(&self.node, &loaded, channel).await?;
        let fares = self.node.fares(loaded.shard, lane).await;
        backlog.share = fares.map_or(1_000, |fares| u32::try_from(fares.share).unwrap_or(1_000));
        backlog.pace = channel.limits.slowest(backlog.share);
        backlog.waits = self.lane_waits(&loaded, channel, &used, fares);
        let held = backlog.waits.iter().any(|waits| waits.until.is_none());
        if let Some(pace) = used.pace(backlog.due).filter(|_| !held && !backlog.more) {
            let begins = backlog.waits.iter().filter_map(|waits| waits.until).max();
            let (loaded, used, waiting) = (&*loaded, &used, &*waiting);
            let world = World { loaded, lane, used, waiting, begins };
            backlog.empty_at = empty_at(&world.lines(), pace, &world, now);
        }
        Ok(backlog)
    }

    /// The queues of a lane and how much waits in each.
    async fn waiting(
        &self,
        loaded: &Loaded,
        lane: Lane,
        now: Moment,
        backlog: &mut Backlog,
    ) -> Result<Vec<Waiting>, Error> {
        let (store, prefix) = (&self.node.store, Key::backlogs(loaded.shard, lane));
        let (mut from, mut all, mut read) = (prefix.clone(), Vec::new(), 0);
        loop {
            let next = Scan { from, to: prefix.after_prefix(), limit: 1 };
            let first = store.scan(next).await?.first().and_then(|(key, _)| key.to_backlog());
            let Some((_, queue, _)) = first else { return Ok(all) };
            if all.len() == limits::BACKLOG_QUEUES || read >= limits::BACKLOG_COUNTS {
                backlog.more = true;
                return Ok(all);
            }
            let of_queue = Key::backlog_of(loaded.shard, lane, &queue);
            let limit = limits::BACKLOG_HOURS;
            let scan = Scan { from: of_queue.clone(), to: of_queue.after_prefix(), limit };
            let rows = store.scan(scan).await?;
            (read, backlog.more) = (read + rows.len(), backlog.more || rows.len() == limit);
            let mut waiting = Waiting { queue, due: 0, due_24h: 0, later: Vec::new() };
            for (key, row) in rows {
                let Some((_, _, hour)) = key.to_backlog() else { continue };
                let count = row.body.as_ref().try_into().map(i64::from_le_bytes).unwrap_or_default();
                let count = u64::try_from(count).unwrap_or_default();
                let (due, at) = if hour + Span::hours(1) <= now {
                    (count, hour)
                } else if hour > now {
                    (0, hour)
                } else {
                    (
                        self.due_of_hour(loaded, lane, &queue, (hour, count), now, &mut backlog.about)
                            .await?,
                        now,
                    )
                };
                waiting.due += due;
                let later = count - due;
                waiting.due_24h += if hour <= now + Span::hours(24) { later } else { 0 };
                waiting.later.extend((later > 0).then_some((at, later)));
            }
            all.push(waiting);
            from = of_queue.after_prefix();
        }
    }

    /// How many of the wakes of the hour that has begun are due: counted from the end that is near.
    async fn due_of_hour(
        &self,
        loaded: &Loaded,
        lane: Lane,
        queue: &Queue,
        (hour, count): (Moment, u64),
        now: Moment,
        about: &mut bool,
    ) -> Result<u64, Error> {
        let key = |at| Key::due(loaded.shard, lane, queue, at);
        let (begins, now_ends, ends) = (key(hour), key(now + Span(1)), key(hour + Span::hours(1)));
        let limit = limits::BACKLOG_LOOKS;
        let later = self.node.store.scan(Scan { from: now_ends.clone(), to: ends, limit }).await?.len();
        if later < limit {
            return Ok(count.saturating_sub(later as u64));
        }
        let due = self.node.store.scan(Scan { from: begins, to: now_ends, limit }).await?.len();
        if due < limit {
            return Ok((due as u64).min(count));
        }
        // As if they came due evenly.
        *about = true;
        let passed = u128::from(now.since(hour).0.unsigned_abs());
        let part = u128::from(count) * passed / u128::from(Span::hours(1).0.unsigned_abs());
        Ok(u64::try_from(part).unwrap_or(count).clamp(limit as u64, count.max(limit as u64)).min(count))
    }

    /// What holds a whole lane.
    fn lane_waits(
        &self,
        loaded: &Loaded,
        channel: &Channel,
        used: &Used<'_>,
        fares: Option<Fares>,
    ) -> Vec<Waits> {
        let (scope, now, engine_now) = (&loaded.scope, self.node.now(), self.node.engine_now());
        let mut waits = Vec::new();
        let mut held = |on, until| waits.push(Waits { on, until });
        if self.node.stop.is_closed() {
            held(WaitsFor::AllSending, None);
        }
        if !scope.tenant.on || scope.tenant.holds.current.is_some() {
            held(WaitsFor::Tenant, None);
        }
        if scope.held_by_account(channel.no, now) {
            held(WaitsFor::Account, scope.holds_until(HeldBy::Account, channel.no));
        }
        if channel.holds.current.is_some() {
            held(WaitsFor::Channel, None);
        }
        if let Some(reacted) = channel.reacted.as_ref().filter(|reacted| reacted.is_on(now)) {
            held(WaitsFor::Provider, reacted.until);
        }
        if let Some(fares) = fares.filter(|fares| fares.rests_until > engine_now) {
            held(WaitsFor::Host, Some(used.on_the_wall(fares.rests_until)));
        }
        match used.earliest() {
            // What paces it is no hold, however slow.
            Earliest::At(_, LimitName::Rate | LimitName::Gap) => {}
            Earliest::At(at, name) if name == LimitName::PerDay || at.since(now) > limits::BACKLOG_HOLDS => {
                held(WaitsFor::Limit(name), Some(at));
            }
            Earliest::At(..) | Earliest::Now | Earliest::WhenOpenSettles(_) => {}
        }
        waits
    }
}

/// What the wakes of a queue wait for besides their lane.
fn queue_waits(loaded: &Loaded, lane: Lane, queue: &Queue, now: Moment) -> Option<Waits> {
    let until = match pacer::opening(queue, lane, loaded, now) {
        Opening::OpenUntil(_) => return None,
        Opening::ClosedUntil(at) => Some(at),
        Opening::Held => None,
    };
    let held_step = queue.narrowed.filter(|_| queue.hold == HoldGroup::Step);
    let held_step = held_step.and_then(|place| loaded.scope.held_step(queue.sequence, place, now));
    let on = match loaded.scope.held_by(queue.sequence, lane.channel, now) {
        _ if queue.hold == HoldGroup::Quarantine => WaitsFor::Quarantine,
        Some(HeldBy::Tenant) => WaitsFor::Tenant,
        Some(HeldBy::Account) => WaitsFor::Account,
        Some(HeldBy::Channel) => WaitsFor::Channel,
        Some(HeldBy::Sequence) => WaitsFor::Sequence,
        Some(HeldBy::Provider) => WaitsFor::Provider,
        Some(HeldBy::Quarantine) => WaitsFor::Quarantine,
        Some(HeldBy::Step) => WaitsFor::Step,
        None if held_step.is_some() => WaitsFor::Step,
        None => WaitsFor::Hours,
    };
    Some(Waits { on, until })
}

/// Those of one sequence and class that wait for the same, together.
fn groups(loaded: &Loaded, lane: Lane, waiting: &[Waiting], now: Moment) -> Vec<BacklogGroup> {
    let mut groups: BTreeMap<(PriorityClass, SequenceNo, Option<Waits>), BacklogGroup> = BTreeMap::new();
    for one in waiting {
        let (class, sequence) = (one.queue.class, one.queue.sequence);
        let waits = queue_waits(loaded, lane, &one.queue, now);
        let name = || loaded.scope.sequences.get(&sequence).map(|sequence| sequence.name.clone());
        let new = || BacklogGroup { sequence: name(), class, due: 0, due_24h: 0, later: 0, waits };
        let group = groups.entry((class, sequence, waits)).or_insert_with(new);
        group.due += one.due;
        group.due_24h += one.due_24h;
        group.later += one.later.iter().map(|(_, count)| count).sum::<u64>();
    }
    let mut groups: Vec<BacklogGroup> = groups.into_values().collect();
    groups.sort_by_key(|group| (Reverse(group.due), Reverse(group.later), group.class));
    groups
}

/// The lane as it will be.
struct World<'a> {
    loaded: &'a Loaded,
    lane: Lane,
    used: &'a Used<'a>,
    waiting: &'a [Waiting],
    /// Nothing leaves before that.
    begins: Option<Moment>,
}

impl World<'_> {
    fn lines(&self) -> Vec<Line> {
        let line = |one: &Waiting| Line { class: one.queue.class, due: one.due, later: one.later.clone() };
        self.waiting.iter().map(line).collect()
    }
}

impl Ahead for World<'_> {
    fn opening(&self, line: usize, at: Moment) -> Opening {
        let Some(one) = self.waiting.get(line) else { return Opening::Held };
        let opening = pacer::opening(&one.queue, self.lane, self.loaded, at);
        match self.begins.filter(|begins| *begins > at && opening != Opening::Held) {
            Some(begins) => Opening::ClosedUntil(begins),
            None => opening,
        }
    }

    fn day(&self, at: Moment) -> Day {
        self.used.day(at)
    }
}
