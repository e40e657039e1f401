//! The actor of a shard: the table of its live enrollments and lanes, and their supervisor.
//!
//! Whoever wants something of an enrollment says so here; here it is activated, once at a time (E15), and let go
//! when it has nothing left to do. An actor that fails is tried again with a growing pause, and its enrollment is
//! quarantined when it keeps failing; nothing beside it stops. One timer starts the lanes that have work near.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use followupd_domain::lane::{Lane, WakeRow};
use followupd_domain::{EnrollmentId, Moment, SendId, Shard, Span, TenantNo, limits as domain_limits};
use followupd_store::LedgerOp;
use futures::future::join_all;
use ractor::rpc::CallResult;
use ractor::{Actor, ActorCell, ActorId, ActorProcessingErr, ActorRef, RpcReplyPort, SupervisionEvent};
use tokio::task::JoinHandle;

use crate::api::{Changed, Error};
use crate::awaited::Looker;
use crate::call::CallEnded;
use crate::enrollment::{Activation, Ask, EnrollmentActor, EnrollmentMsg};
use crate::limits;
use crate::loaded::TenantHandle;
use crate::node::Node;
use crate::pacer::{Fares, Heard, Opening, PacerActor, PacerMsg, Vitals};
use crate::stats::Living;

/// What a shard can be told.
pub(crate) enum ShardMsg {
    /// A tenant lives here now; its lanes with rows, and when their first row is due.
    Tenant(TenantHandle, Vec<(Lane, Moment)>),
    /// A lane pulled a wake.
    Rouse { row: WakeRow, pacer: ActorRef<PacerMsg> },
    /// A call has begun at that moment of engine time, and is not answered yet.
    CallBegan { tenant: TenantNo, send: SendId, at: Moment },
    /// A call has ended.
    CallEnded(CallEnded),
    /// Somebody asks something of an enrollment.
    Ask { tenant: TenantNo, id: EnrollmentId, ask: Ask, reply: RpcReplyPort<Result<Changed, Error>> },
    /// An enrollment has handled so many messages and has nothing under way.
    Idle { whose: Whose, handled: u64 },
    /// Rows were written.
    Wakes(Vec<WakeRow>),
    /// An open send of a lane counts by its start.
    Begun(Lane, LedgerOp),
    /// An open send of a lane was settled, and what that says of others.
    Settled(Lane, EnrollmentId, LedgerOp, Option<Heard>),
    /// A send of a lane counts as so many for its rate.
    Counts(Lane, u32),
    /// What a receipt says of others than its send.
    Said(Lane, Heard),
    /// Nobody knows whether rows of these lanes were written: they start anew and read what is there.
    ReadAgain(BTreeSet<Lane>),
    /// Settings or holds of a tenant have changed.
    ScopeChanged(TenantNo),
    /// A lane has nothing due before then, says this pacer of its, having heard so many messages.
    LaneIdle { lane: Lane, pacer: ActorId, next_due: Moment, heard: u64 },
    /// Somebody asks how a lane fares.
    Fares(Lane, RpcReplyPort<Fares>),
    /// A tenant is no more: nobody is at work in it when this is answered.
    Deleted(TenantNo, RpcReplyPort<()>),
    /// Some lane may have work near.
    Look,
}

/// An enrollment as somebody asks for it: an id that another tenant names is nobody's, and disturbs nobody.
pub(crate) type Whose = (TenantNo, EnrollmentId);

/// The actor.
pub(crate) struct ShardActor;

/// What a shard is made of.
pub(crate) struct ShardArguments {
    pub(crate) node: Arc<Node>,
    pub(crate) shard: Shard,
}

struct LiveEnrollment {
    actor: ActorRef<EnrollmentMsg>,
    /// Messages sent to it.
    sent: u64,
    /// The lane whose row it has.
    lane: Option<Lane>,
    _counted: Living,
}

#[derive(Default)]
struct LaneEntry {
    pacer: Option<ActorRef<PacerMsg>>,
    /// Messages sent to the pacer.
    sent: u64,
    /// When its first row is due, while no pacer looks after it.
    next_due: Option<Moment>,
    /// How it fares, whoever looks after it.
    vitals: Vitals,
}

impl LaneEntry {
    /// Nobody looks after it, until then.
    fn sleep(&mut self, next_due: Option<Moment>) {
        (self.pacer, self.sent, self.next_due) = (None, 0, next_due);
    }

    /// Tells the pacer something; whether there is one.
    fn tell(&mut self, message: PacerMsg) -> bool {
        let Some(pacer) = &self.pacer else { return false };
        self.sent += 1;
        // One that has just failed is found by its supervision event.
        let _ = pacer.send_message(message);
        true
    }
}

/// A shard at work.
pub(crate) struct ShardState {
    node: Arc<Node>,
    shard: Shard,
    tenants: BTreeMap<TenantNo, TenantHandle>,
    live: BTreeMap<Whose, LiveEnrollment>,
    by_actor: BTreeMap<ActorId, Whose>,
    lanes: BTreeMap<Lane, LaneEntry>,
    /// Failures in a row.
    failures: BTreeMap<Whose, u8>,
    timer: Option<(Moment, JoinHandle<()>)>,
    /// When it is to start lanes.
    looker: Looker,
    own_id: ActorId,
}

impl Actor for ShardActor {
    type Msg = ShardMsg;
    type State = ShardState;
    type Arguments = ShardArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: ShardArguments,
    ) -> Result<ShardState, ActorProcessingErr> {
        Ok(ShardState {
            looker: arguments.node.awaited.looker(),
            node: arguments.node,
            shard: arguments.shard,
            tenants: BTreeMap::new(),
            live: BTreeMap::new(),
            by_actor: BTreeMap::new(),
            lanes: BTreeMap::new(),
            failures: BTreeMap::new(),
            timer: None,
            own_id: myself.get_id(),
        })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: ShardMsg,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            ShardMsg::Tenant(tenant, lanes) => state.take_tenant(tenant, lanes),
            ShardMsg::Rouse { row, pacer } => {
                let lane = Some(row.lane);
                let message = EnrollmentMsg::Wake { row, pacer };
                state.tell(&myself, (row.lane.tenant, row.enrollment), lane, message).await;
            }
            ShardMsg::CallBegan { tenant, send, at } => {
                let message = EnrollmentMsg::CallBegan(send, at);
                state.tell(&myself, (tenant, send.enrollment), None, message).await;
            }
            ShardMsg::CallEnded(ended) => {
                let whose = (ended.tenant, ended.send.enrollment);
                state.tell(&myself, whose, None, EnrollmentMsg::CallEnded(ended)).await;
            }
            ShardMsg::Ask { tenant, id, ask, reply } => {
                state.tell(&myself, (tenant, id), None, EnrollmentMsg::Ask(ask, reply)).await;
            }
            ShardMsg::Idle { whose, handled } => state.let_go(whose, handled),
            ShardMsg::Begun(lane, op) => state.tell_lane(lane, PacerMsg::Begun(op)),
            ShardMsg::Wakes(rows) => state.wakes(rows),
            ShardMsg::Said(lane, heard) => state.learn(lane, &heard),
            ShardMsg::Counts(lane, as_many) => state.counts(lane, as_many),
            ShardMsg::Settled(lane, id, op, heard) => {
                if let Some(heard) = heard {
                    state.learn(lane, &heard);
                }
                state.tell_lane(lane, PacerMsg::Settled(id, op));
            }
            ShardMsg::ReadAgain(lanes) => lanes.into_iter().for_each(|lane| state.read_again(lane)),
            ShardMsg::ScopeChanged(tenant) => state.scope_changed(tenant),
            ShardMsg::LaneIdle { lane, pacer, next_due, heard } => {
                state.lane_idle(lane, pacer, next_due, heard);
            }
            ShardMsg::Fares(lane, reply) => {
                let vitals = state.lanes.get(&lane).map(|entry| entry.vitals.clone()).unwrap_or_default();
                // Who asked may have gone.
                let _ = reply.send(vitals.fares(state.node.engine_now()));
            }
            ShardMsg::Deleted(tenant, reply) => state.let_go_of(tenant, reply),
            ShardMsg::Look => state.timer = None,
        }
        state.start_lanes(&myself).await;
        if state.timer.is_none() {
            state.looker.not();
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        state: &mut ShardState,
    ) -> Result<(), ActorProcessingErr> {
        if let SupervisionEvent::ActorFailed(who, error) = event {
            state.failed(&myself, who.get_id(), &error.to_string());
            state.start_lanes(&myself).await;
        }
        Ok(())
    }
}

impl ShardState {
    fn take_tenant(&mut self, tenant: TenantHandle, lanes: Vec<(Lane, Moment)>) {
        self.tenants.insert(tenant.no, tenant);
        for (lane, next_due) in lanes {
            self.due(lane, next_due);
        }
    }

    fn due(&mut self, lane: Lane, at: Moment) {
        let entry = self.lanes.entry(lane).or_default();
        entry.next_due = Some(entry.next_due.map_or(at, |known| known.min(at)));
    }

    /// Tells an enrollment something, activating it where it sleeps.
    async fn tell(
        &mut self,
        myself: &ActorRef<ShardMsg>,
        whose: Whose,
        lane: Option<Lane>,
        message: EnrollmentMsg,
    ) {
        if !self.live.contains_key(&whose) && !self.activate(myself, whose).await {
            return;
        }
        if let Some(live) = self.live.get_mut(&whose) {
            live.sent += 1;
            live.lane = lane.or(live.lane);
            // One that has just failed is found by its supervision event.
            let _ = live.actor.send_message(message);
        }
    }

    async fn activate(&mut self, myself: &ActorRef<ShardMsg>, whose: Whose) -> bool {
        let (no, id) = whose;
        let Some(tenant) = self.tenants.get(&no).cloned() else { return false };
        let activation = Activation { node: Arc::clone(&self.node), tenant, id, shard: myself.clone() };
        match Actor::spawn_linked(None, EnrollmentActor, activation, myself.get_cell()).await {
            Ok((actor, _)) => {
                self.by_actor.insert(actor.get_id(), whose);
                let counted = self.node.stats.activated();
                let live = LiveEnrollment { actor, sent: 0, lane: None, _counted: counted };
                self.live.insert(whose, live);
                true
            }
            Err(error) => {
                tracing::error!(enrollment = %id, %error, "an enrollment cannot be activated");
                false
            }
        }
    }

    /// Lets an enrollment go that has handled all it was sent.
    fn let_go(&mut self, whose: Whose, handled: u64) {
        if self.live.get(&whose).is_some_and(|live| live.sent == handled)
            && let Some(live) = self.live.remove(&whose)
        {
            self.by_actor.remove(&live.actor.get_id());
            self.failures.remove(&whose);
            live.actor.stop(None);
        }
    }

    /// Stops everybody who is at work in a tenant; says so when they have stopped.
    fn let_go_of(&mut self, tenant: TenantNo, reply: RpcReplyPort<()>) {
        self.tenants.remove(&tenant);
        let mut stopping: Vec<ActorCell> = Vec::new();
        self.lanes.retain(|lane, entry| {
            let stays = lane.tenant != tenant;
            stopping.extend(entry.pacer.iter().filter(|_| !stays).map(|pacer| pacer.get_cell()));
            stays
        });
        self.live.retain(|whose, live| {
            let stays = whose.0 != tenant;
            if !stays {
                self.failures.remove(whose);
            }
            stopping.extend((!stays).then(|| live.actor.get_cell()));
            stays
        });
        for actor in &stopping {
            self.by_actor.remove(&actor.get_id());
        }
        tokio::spawn(async move {
            // One that cannot be stopped has stopped.
            join_all(stopping.iter().map(|actor| actor.stop_and_wait(None, None))).await;
            let _ = reply.send(());
        });
    }

    fn wakes(&mut self, rows: Vec<WakeRow>) {
        let mut by_lane: BTreeMap<Lane, Vec<WakeRow>> = BTreeMap::new();
        for row in rows {
            by_lane.entry(row.lane).or_default().push(row);
        }
        for (lane, rows) in by_lane {
            let first = rows.iter().map(|row| row.due_at).min();
            if !self.lanes.entry(lane).or_default().tell(PacerMsg::Wakes(rows))
                && let Some(first) = first
            {
                self.due(lane, first);
            }
        }
    }

    /// What came of a call, or of a message later, may say something of others in its lane.
    fn learn(&mut self, lane: Lane, heard: &Heard) {
        let Some(tenant) = self.tenants.get(&lane.tenant) else { return };
        self.lanes.entry(lane).or_default().vitals.learn(&self.node, tenant, lane, heard);
    }

    fn counts(&mut self, lane: Lane, as_many: u32) {
        let loaded = self.tenants.get(&lane.tenant).map(TenantHandle::loaded);
        let rate = loaded.and_then(|loaded| loaded.scope.channels.get(&lane.channel)?.limits.rate);
        if let (Some(rate), Some(entry)) = (rate, self.lanes.get(&lane)) {
            entry.vitals.counts(&rate, as_many, self.node.engine_now());
        }
    }

    fn tell_lane(&mut self, lane: Lane, message: PacerMsg) {
        if let Some(entry) = self.lanes.get_mut(&lane) {
            entry.tell(message);
        }
    }

    fn scope_changed(&mut self, tenant: TenantNo) {
        let now = self.node.now();
        for (_, entry) in self.lanes.iter_mut().filter(|(lane, _)| lane.tenant == tenant) {
            if !entry.tell(PacerMsg::ScopeChanged) {
                // What was closed may be open now: it looks for itself.
                entry.next_due = Some(now);
            }
        }
    }

    fn read_again(&mut self, lane: Lane) {
        let entry = self.lanes.entry(lane).or_default();
        if let Some(pacer) = entry.pacer.take() {
            pacer.stop(None);
        }
        entry.sleep(Some(self.node.now()));
    }

    /// Stops a pacer with nothing to do, unless it is another by now or was told something it has not heard.
    fn lane_idle(&mut self, lane: Lane, pacer: ActorId, next_due: Moment, heard: u64) {
        let this = |entry: &&mut LaneEntry| {
            entry.sent == heard && entry.pacer.as_ref().is_some_and(|known| known.get_id() == pacer)
        };
        let Some(entry) = self.lanes.get_mut(&lane).filter(this) else { return };
        if let Some(pacer) = entry.pacer.take() {
            pacer.stop(None);
        }
        entry.next_due = (next_due < Moment::FAR).then_some(next_due);
    }

    /// Starts the lanes that have work near, and sets the one timer for the next.
    async fn start_lanes(&mut self, myself: &ActorRef<ShardMsg>) {
        let near = self.node.now() + limits::NEAR;
        let sleeping = self.lanes.iter().filter(|(_, entry)| entry.pacer.is_none());
        let mut due: Vec<(Moment, Lane)> =
            sleeping.filter_map(|(lane, entry)| entry.next_due.map(|at| (at, *lane))).collect();
        due.sort();
        for (at, lane) in due {
            if at > near {
                return self.look_at(at - limits::NEAR, myself);
            }
            self.start_lane(lane, myself).await;
        }
    }

    async fn start_lane(&mut self, lane: Lane, myself: &ActorRef<ShardMsg>) {
        let Some(tenant) = self.tenants.get(&lane.tenant).cloned() else { return };
        let vitals = self.lanes.entry(lane).or_default().vitals.clone();
        let opening = Opening { node: Arc::clone(&self.node), tenant, lane, shard: myself.clone(), vitals };
        let started = Actor::spawn_linked(None, PacerActor, opening, myself.get_cell()).await;
        let retry_at = self.node.now() + limits::NEAR + limits::RETRY_STORE;
        let entry = self.lanes.entry(lane).or_default();
        match started {
            Ok((pacer, _)) => {
                entry.sleep(None);
                entry.pacer = Some(pacer);
            }
            Err(error) => {
                tracing::warn!(channel = lane.channel.0, %error, "a lane cannot start and is tried again");
                entry.next_due = Some(retry_at);
                self.look_at(retry_at - limits::NEAR, myself);
            }
        }
    }

    fn look_at(&mut self, at: Moment, myself: &ActorRef<ShardMsg>) {
        if self.timer.as_ref().is_some_and(|(set, _)| *set <= at) {
            return;
        }
        // The wall clock can jump ahead of a long pause: it is asked again now and then.
        let pause = at.since(self.node.now()).max(Span(1)).min(limits::LONGEST_SLEEP).0.unsigned_abs();
        self.looker.by(self.node.env.steady() + Span(pause.cast_signed()));
        let myself = myself.clone();
        let timer = tokio::spawn(async move {
            tokio::time::sleep(std::time::Duration::from_millis(pause)).await;
            let _ = myself.send_message(ShardMsg::Look);
        });
        if let Some((_, old)) = self.timer.replace((at, timer)) {
            old.abort();
        }
    }

    /// An actor failed: a lane starts anew, an enrollment is tried again after a pause or quarantined.
    fn failed(&mut self, myself: &ActorRef<ShardMsg>, who: ActorId, error: &str) {
        if let Some(whose) = self.by_actor.remove(&who) {
            return self.enrollment_failed(myself, whose, error);
        }
        let now = self.node.now();
        let failed = |entry: &LaneEntry| entry.pacer.as_ref().is_some_and(|pacer| pacer.get_id() == who);
        for (lane, entry) in self.lanes.iter_mut().filter(|(_, entry)| failed(entry)) {
            tracing::error!(
                tenant = lane.tenant.0,
                channel = lane.channel.0,
                error,
                "a lane failed and starts anew"
            );
            // After a pause: what makes it fail may be there again.
            let next_due = Some(now + limits::NEAR + limits::RETRY_LANE);
            entry.sleep(next_due);
        }
    }

    fn enrollment_failed(&mut self, myself: &ActorRef<ShardMsg>, whose: Whose, error: &str) {
        let Some(live) = self.live.remove(&whose) else { return };
        let (tenant, id) = whose;
        let failures = self.failures.entry(whose).or_default();
        *failures = failures.saturating_add(1);
        let failures = *failures;
        tracing::error!(enrollment = %id, failures, error, "an enrollment failed");
        // The outcome of a call that is out settles its row.
        if let Some(lane) = live.lane.filter(|_| !self.node.is_calling(id)) {
            let pause = Span(limits::RETRY_FAILED.0 << (failures - 1).min(16));
            self.tell_lane(lane, PacerMsg::Failed(id, pause));
        }
        if failures >= domain_limits::ACTIVATION_FAILURES {
            self.quarantine(myself, tenant, id, error.to_owned());
        }
    }

    fn quarantine(&self, myself: &ActorRef<ShardMsg>, tenant: TenantNo, id: EnrollmentId, reason: String) {
        let shard = myself.clone();
        tokio::spawn(async move {
            let ask = Ask::Quarantine(reason);
            match shard.call(|reply| ShardMsg::Ask { tenant, id, ask, reply }, None).await {
                Ok(CallResult::Success(Ok(_))) => {
                    tracing::error!(enrollment = %id, "an enrollment that kept failing is quarantined");
                }
                // Its next failure has it asked again.
                _ => {
                    tracing::error!(enrollment = %id, "an enrollment that keeps failing cannot be quarantined")
                }
            }
        });
    }
}

impl Drop for ShardState {
    fn drop(&mut self) {
        if let Some((_, timer)) = self.timer.take() {
            timer.abort();
        }
        let mut shards = self.node.shards();
        if shards.get(&self.shard).is_some_and(|actor| actor.get_id() == self.own_id) {
            shards.remove(&self.shard);
        }
    }
}
