//! The actor of a lane: it pulls wakes from the open queues, only as fast as it has permits.
//!
//! Rows wait in the store; here is a bounded window of each queue's next rows ([`queues`]). A permit needs the lane's
//! limits ([`permits`]): governor paces within the second, the ledger says what is allowed. Quiet hours and holds
//! close a queue and touch no row. One timer says when to look again.

use std::collections::BTreeMap;
use std::sync::Arc;

use followupd_domain::lane::{self, Lane, PriorityClass, Queue, WakeRow};
use followupd_domain::{ChannelNo, EnrollmentId, Moment, Span};
use followupd_store::LedgerOp;
use ractor::{Actor, ActorProcessingErr, ActorRef};
use tokio::task::JoinHandle;

use crate::api::Error;
use crate::awaited::Looker;
use crate::limits;
use crate::loaded::{Loaded, TenantHandle};
use crate::node::Node;
use crate::plant::Bug;
use crate::shard::ShardMsg;
use crate::stats::Living;

mod doubt;
mod permits;
mod queues;
mod slow;
mod vitals;

use doubt::Doubts;
use permits::{Permit, Permits};
pub(crate) use permits::{day, day_of_limits};
use queues::Queues;
pub(crate) use queues::opening;
pub(crate) use vitals::{Fares, Heard, Vitals};

/// What became of a permit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Returned {
    /// The intent is durable; the charge stays until the outcome.
    Called,
    /// Its call is out already: the permit is free again.
    UnderWay,
    /// A send that was open is settled, and its charge with it: the row has done its work.
    Settled,
    /// The row is gone: the permit is free again.
    Gone,
    /// The row stays and its queue is closed.
    Closed,
    /// The durable limits refused it: the row stays.
    Denied,
    /// It could not be looked at: the row stays, to be tried again after a pause.
    Later(Span),
    /// Nothing can leave this lane for so long: the row stays, and so do all others.
    Rest(Span),
}

/// What a lane can be told.
pub(crate) enum PacerMsg {
    /// These rows were written into it.
    Wakes(Vec<WakeRow>),
    /// A permit came back.
    Returned(WakeRow, Returned),
    /// An open send counts by its start from now on.
    Begun(LedgerOp),
    /// An open send was settled or refunded.
    Settled(EnrollmentId, LedgerOp),
    /// The actor of an enrollment failed while it had this row; it may be tried again after a pause.
    Failed(EnrollmentId, Span),
    /// Settings or holds have changed.
    ScopeChanged,
    /// The time it asked for has come.
    Look,
    /// Open sends are still looked for.
    LookForOpen,
}

/// The actor.
pub(crate) struct PacerActor;

/// What a lane is made of.
pub(crate) struct Opening {
    pub(crate) node: Arc<Node>,
    pub(crate) tenant: TenantHandle,
    pub(crate) lane: Lane,
    pub(crate) shard: ActorRef<ShardMsg>,
    /// How the lane fares.
    pub(crate) vitals: Vitals,
}

/// A lane at work.
pub(crate) struct Pacer {
    opening: Opening,
    queues: Queues,
    permits: Permits,
    /// Open sends it has not found yet.
    doubts: Doubts,
    /// Rows that are with their enrollments.
    pulled: BTreeMap<EnrollmentId, Pulled>,
    /// Rows that came back from a failure, and whether each holds a permit: its send may be open, and then goes first.
    suspects: BTreeMap<EnrollmentId, (WakeRow, bool)>,
    /// Rows that wait after a failure, until a moment of engine time: the wall may jump.
    paused: BTreeMap<EnrollmentId, Moment>,
    /// Nothing is pulled before that moment of engine time.
    rests_until: Moment,
    timer: Option<(Moment, JoinHandle<()>)>,
    /// When it is to look, as its timer has it.
    looker: Looker,
    _counted: Living,
    looked_for_queues_at: Moment,
    heard: u64,
}

/// A row that is with its enrollment.
struct Pulled {
    row: WakeRow,
    /// Whether it holds a permit, which comes back with it; that of a send which is begun is settled with the send.
    permit: bool,
    /// Whether its call is out.
    called: bool,
}

impl Actor for PacerActor {
    type Msg = PacerMsg;
    type State = Pacer;
    type Arguments = Opening;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        opening: Opening,
    ) -> Result<Pacer, ActorProcessingErr> {
        let permits = Permits::load(&opening.node, opening.tenant.shard, opening.lane).await?;
        let mut pacer = Pacer {
            queues: Queues::new(opening.tenant.shard, opening.lane),
            permits,
            doubts: Doubts::default(),
            pulled: BTreeMap::new(),
            suspects: BTreeMap::new(),
            paused: BTreeMap::new(),
            rests_until: Moment(0),
            timer: None,
            looker: opening.node.awaited.looker(),
            _counted: opening.node.stats.lane(),
            looked_for_queues_at: opening.node.now(),
            heard: 0,
            opening,
        };
        pacer.queues.discover(&*pacer.opening.node.store).await?;
        let open = pacer.permits.open().saturating_add(doubt::calling(&pacer.opening).await?);
        pacer.doubts = Doubts::new(&pacer.opening, open, pacer.queues.known());
        for _ in 0..limits::DOUBT_WINDOWS {
            pacer.look_for_open(&myself).await?;
        }
        if pacer.doubts.are_left() {
            myself.send_message(PacerMsg::LookForOpen)?;
        }
        myself.send_message(PacerMsg::Look)?;
        Ok(pacer)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: PacerMsg,
        pacer: &mut Pacer,
    ) -> Result<(), ActorProcessingErr> {
        if matches!(message, PacerMsg::LookForOpen) {
            pacer.look_for_open(&myself).await?;
            if pacer.doubts.are_left() {
                myself.send_message(PacerMsg::LookForOpen)?;
            }
        }
        pacer.hear(message);
        pacer.pull(&myself).await?;
        if pacer.timer.is_none() {
            pacer.looker.not();
        }
        Ok(())
    }
}

impl Pacer {
    fn hear(&mut self, message: PacerMsg) {
        // What the shard has sent is counted, so that it stops no pacer that has something to hear.
        let from_shard = !matches!(message, PacerMsg::Returned(..) | PacerMsg::Look | PacerMsg::LookForOpen);
        self.heard += u64::from(from_shard);
        match message {
            PacerMsg::Wakes(rows) => {
                for row in rows {
                    self.queues.insert(row);
                }
            }
            PacerMsg::Returned(row, returned) => self.returned(row, returned),
            PacerMsg::Begun(op) => self.permits.settle(&op, self.opening.node.engine_now()),
            PacerMsg::Settled(enrollment, op) => {
                // One that was pulled again since is with its enrollment, and comes back from there.
                if self.pulled.get(&enrollment).is_some_and(|pulled| pulled.called) {
                    self.pulled.remove(&enrollment);
                }
                self.suspects.remove(&enrollment);
                self.permits.settle(&op, self.opening.node.engine_now());
            }
            PacerMsg::Failed(enrollment, pause) => {
                if let Some(Pulled { row, permit, .. }) = self.pulled.remove(&enrollment) {
                    self.suspect(row, permit, pause);
                }
            }
            PacerMsg::ScopeChanged => {
                self.queues.forget_hours();
                // What it calls may be another host by now; one that rests on says so.
                self.rest_until(Moment(0));
            }
            PacerMsg::Look => self.timer = None,
            PacerMsg::LookForOpen => {}
        }
    }

    fn returned(&mut self, row: WakeRow, returned: Returned) {
        let Some(pulled) = self.pulled.get_mut(&row.enrollment) else { return };
        let had_permit = std::mem::take(&mut pulled.permit);
        if had_permit && returned != Returned::Called {
            self.permits.give_back();
        }
        if matches!(returned, Returned::Called | Returned::UnderWay) {
            // It stays pulled until its call is settled.
            pulled.called = true;
            return;
        }
        self.pulled.remove(&row.enrollment);
        match returned {
            Returned::Called | Returned::UnderWay | Returned::Settled | Returned::Gone => {}
            Returned::Closed => {
                self.queues.insert(row);
                self.queues.forget_hours();
            }
            // The durable ledger knows of a send that this copy does not.
            Returned::Denied => self.pause(row, limits::RETRY_STORE),
            Returned::Later(pause) if had_permit => self.pause(row, pause),
            // What needed none has an open send.
            Returned::Later(pause) => self.suspect(row, false, pause),
            Returned::Rest(rest) => {
                self.queues.insert(row);
                self.rest_until(self.opening.node.engine_now() + rest);
            }
        }
    }

    fn rest_until(&mut self, at: Moment) {
        self.rests_until = at;
        self.opening.vitals.rests_until(at);
    }

    fn pause(&mut self, row: WakeRow, pause: Span) {
        self.paused.insert(row.enrollment, self.opening.node.engine_now() + pause);
        self.queues.insert(row);
    }

    /// A row whose send may be open waits for a pause, and with it its permit where it `holds` one.
    fn suspect(&mut self, row: WakeRow, holds: bool, pause: Span) {
        self.paused.insert(row.enrollment, self.opening.node.engine_now() + pause);
        self.suspects.insert(row.enrollment, (row, holds));
    }

    /// Rouses the suspects whose pause is over and whose send is open; the others stand in line again. One that holds a
    /// permit is asked at once: a lane may have but one.
    async fn ask_suspects(&mut self, now: Moment, myself: &ActorRef<PacerMsg>) -> Result<(), Error> {
        let pauses = |enrollment: &EnrollmentId| self.paused.contains_key(enrollment);
        let asked = self.suspects.iter().filter(|(enrollment, (_, holds))| *holds || !pauses(enrollment));
        let asked: Vec<WakeRow> = asked.map(|(_, (row, _))| *row).collect();
        let open = match asked.is_empty() {
            true => Vec::new(),
            false => doubt::open_of(&self.opening, asked.clone()).await?,
        };
        for row in asked {
            let (is_open, pauses) = (open.contains(&row), self.paused.contains_key(&row.enrollment));
            let (_, holds) = self.suspects.remove(&row.enrollment).unwrap_or((row, false));
            match (is_open, pauses) {
                // The permit, if there was one, is settled with the send.
                (true, false) => self.rouse(row, false, myself),
                (true, true) => drop(self.suspects.insert(row.enrollment, (row, false))),
                (false, _) => {
                    if holds {
                        self.permits.give_back();
                    }
                    self.queues.insert(row);
                }
            }
        }
        let next = self.suspects.keys().filter_map(|enrollment| self.paused.get(enrollment)).min();
        if let Some(until) = next {
            let pause = until.since(self.opening.node.engine_now());
            self.sleep_until(now + pause.min(limits::LONGEST_SLEEP), myself);
        }
        Ok(())
    }

    fn rouse(&mut self, row: WakeRow, permit: bool, myself: &ActorRef<PacerMsg>) {
        self.pulled.insert(row.enrollment, Pulled { row, permit, called: false });
        // A shard that is stopping rouses nobody; its next owner will.
        let _ = self.opening.shard.send_message(ShardMsg::Rouse { row, pacer: myself.clone() });
    }

    /// Looks through one more window for open sends, while some are missing; what it finds goes to in-doubt handling.
    async fn look_for_open(&mut self, myself: &ActorRef<PacerMsg>) -> Result<(), Error> {
        if !self.doubts.are_left() {
            return Ok(());
        }
        for row in self.doubts.look_on(&self.opening).await? {
            // What this lane has pulled is open because of that.
            let is_ours = self.waits(row.enrollment) || self.suspects.contains_key(&row.enrollment);
            if !is_ours && self.doubts.found(row.enrollment) {
                self.rouse(row, false, myself);
            }
        }
        Ok(())
    }

    /// Rouses a row that is next without a permit, where it belongs to an open send that is still looked for.
    async fn rouse_missed(&mut self, row: WakeRow, myself: &ActorRef<PacerMsg>) -> Result<bool, Error> {
        let may_be = self.doubts.may_be(row.enrollment);
        if !may_be || doubt::open_of(&self.opening, vec![row]).await?.is_empty() {
            return Ok(false);
        }
        self.doubts.found(row.enrollment);
        self.rouse(row, false, myself);
        Ok(true)
    }

    /// Pulls as many wakes as are due, open and permitted; then sleeps until something may have changed.
    async fn pull(&mut self, myself: &ActorRef<PacerMsg>) -> Result<(), Error> {
        let node = Arc::clone(&self.opening.node);
        // What stops all sending tells every lane when it is over.
        let stopped = node.stop.is_closed() && self.opening.lane.channel != ChannelNo::CONTROL;
        if node.is_draining() || stopped {
            return Ok(());
        }
        let loaded = self.opening.tenant.loaded();
        let now = node.now();
        if now.since(self.looked_for_queues_at) >= limits::LOOK_AGAIN || now < self.looked_for_queues_at {
            self.looked_for_queues_at = now;
            self.queues.discover(&*node.store).await?;
            self.queues.forget_hours();
        }
        let engine_now = node.engine_now();
        self.paused.retain(|_, until| *until > engine_now);
        if self.rests_until > engine_now {
            let rest = self.rests_until.since(engine_now).min(limits::LONGEST_SLEEP);
            self.sleep_until(now + rest, myself);
            return Ok(());
        }
        self.ask_suspects(now, myself).await?;
        if let Some(ended_at) = self.hold_ended_at(&loaded, now) {
            self.opening.vitals.ease_in(ended_at, engine_now - now.since(ended_at));
        }
        let limits = loaded.scope.channels.get(&self.opening.lane.channel);
        let limits = limits.map(|channel| channel.limits.clone()).unwrap_or_default();
        let room = Room::of(&self.opening, &loaded);
        loop {
            if self.pulled.len() >= room.all {
                return Ok(());
            }
            let (hours_at, paused, pulled) = (self.hours_at(now), &self.paused, &self.pulled);
            let waits = |enrollment| paused.contains_key(&enrollment) || pulled.contains_key(&enrollment);
            self.queues.refill(&*node.store, &loaded, hours_at, waits).await?;
            let mut heads = self.queues.heads(|enrollment| self.waits(enrollment));
            if self.pulled.len() >= room.common {
                heads.retain(|head| head.row.queue.class == PriorityClass::Transactional);
            }
            let Some(row) = lane::next(&heads, self.permits.granted(), now) else { break };
            if self.rouse_missed(row, myself).await? {
                continue;
            }
            if let Some(at) = self.opening.vitals.until(node.engine_now()) {
                let at = now + at.since(node.engine_now());
                self.sleep_until(at.min(now + limits::LONGEST_SLEEP), myself);
                return Ok(());
            }
            match self.permits.ask(&loaded, &node) {
                Permit::Granted => self.opening.vitals.granted(&limits, node.engine_now()),
                Permit::At(at) => {
                    let at = now + at.since(node.engine_now());
                    self.sleep_until(at.min(now + limits::LONGEST_SLEEP), myself);
                    return Ok(());
                }
                Permit::WhenSettled => return Ok(()),
            }
            node.stats.pulled(now.since(row.due_at));
            self.queues.take(&row, loaded.scope.weight(row.queue.sequence));
            self.rouse(row, true, myself);
        }
        self.rest(&loaded, now, self.pulled.len() >= room.common, myself)
    }

    /// When what last kept the lane's sends ended: a hold by a person or a provider, or a stop of all sending. Holds stand
    /// in the rows of their scopes, so that a lane that was let go meanwhile goes on gently, too.
    fn hold_ended_at(&self, loaded: &Loaded, now: Moment) -> Option<Moment> {
        let Lane { channel, .. } = self.opening.lane;
        let stop = self.opening.node.stop.let_go_at();
        let stop = stop.filter(|at| *at <= now && channel != ChannelNo::CONTROL);
        loaded.scope.let_go_at(channel, now).max(stop)
    }

    /// The moment for which hours are worked out: now, unless a bug is planted.
    fn hours_at(&self, now: Moment) -> Moment {
        let planted = self.opening.node.planted.is(Bug::HoursEndInclusive);
        if planted { now - Span::minutes(1) } else { now }
    }

    /// Whether a row is with its enrollment, or pauses.
    fn waits(&self, enrollment: EnrollmentId) -> bool {
        self.paused.contains_key(&enrollment) || self.pulled.contains_key(&enrollment)
    }

    /// Nothing is due that there is room for: sleeps until the next row or opening, or lets itself be stopped where that is
    /// far. Where it is `crowded` only what is urgent has room; the others wait for one that comes back.
    fn rest(
        &mut self,
        loaded: &Loaded,
        now: Moment,
        crowded: bool,
        myself: &ActorRef<PacerMsg>,
    ) -> Result<(), Error> {
        let (hours_at, paused, pulled) = (self.hours_at(now), &self.paused, &self.pulled);
        let waits = |enrollment| paused.contains_key(&enrollment) || pulled.contains_key(&enrollment);
        let counts = |queue: &Queue| !crowded || queue.class == PriorityClass::Transactional;
        let next_due = self.queues.next_due(loaded, hours_at, waits, counts);
        let engine_now = self.opening.node.engine_now();
        let paused = paused.values().map(|until| now + until.since(engine_now));
        let next = next_due.into_iter().chain(paused).min().unwrap_or(Moment::FAR);
        let has_none = self.pulled.is_empty() && self.suspects.is_empty() && !self.doubts.are_left();
        if has_none && next > now + limits::NEAR {
            let (lane, pacer, heard) = (self.opening.lane, myself.get_id(), self.heard);
            let idle = ShardMsg::LaneIdle { lane, pacer, next_due: next, heard };
            let _ = self.opening.shard.send_message(idle);
        }
        self.sleep_until(next.min(now + limits::LOOK_AGAIN), myself);
        Ok(())
    }

    fn sleep_until(&mut self, at: Moment, myself: &ActorRef<PacerMsg>) {
        if self.timer.as_ref().is_some_and(|(set, _)| *set <= at) {
            return;
        }
        let now = self.opening.node.now();
        // A whole millisecond at least: engine time and the wall are both counted in them.
        let pause = at.since(now).max(Span(1));
        self.looker.by(self.opening.node.env.steady() + pause);
        let pause = std::time::Duration::from_millis(pause.0.unsigned_abs());
        let myself = myself.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(pause).await;
            let _ = myself.send_message(PacerMsg::Look);
        });
        if let Some((_, old)) = self.timer.replace((at, timer)) {
            old.abort();
        }
    }
}

/// Rows that may be with their enrollments at once: as many as can be called, and a few more that are looked at
/// meanwhile. What nobody waits for leaves room for what somebody does.
struct Room {
    common: usize,
    all: usize,
}

impl Room {
    fn of(opening: &Opening, loaded: &Loaded) -> Room {
        let (no, channel) = (opening.tenant.no, loaded.scope.channels.get(&opening.lane.channel));
        let transport = channel.and_then(|channel| opening.node.transports.of(no, channel).ok());
        // What has no way out is looked at all the same: it may lead to something else than a call.
        let places = transport.map_or(usize::MAX, |transport| transport.places());
        let ahead = (places / limits::LOOKED_AT_PART).saturating_add(1);
        let common = places.saturating_add(ahead).min(limits::CALLS_A_LANE);
        Room { common, all: common + limits::URGENT_CALLS }
    }
}

impl Drop for Pacer {
    fn drop(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
    }
}

/// Queues by what they are, for those that look over all of them.
pub(crate) type ByQueue<T> = BTreeMap<Queue, T>;
