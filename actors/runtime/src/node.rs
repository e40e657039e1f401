//! What every actor of a node shares: the store, time and chance, the way out, and the directory of tenants.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use followupd_channel::transports::Transports;
use followupd_domain::lane::Lane;
use followupd_domain::{EnrollmentId, IdKey, Moment, SendId, Shard, StepNo};
use followupd_store::Store;
use ractor::ActorRef;
use ractor::rpc::CallResult;
use tokio::sync::Notify;

use crate::access::Access;
use crate::admission::Admission;
use crate::awaited::Awaited;
use crate::call::Began;
use crate::env::{EngineClock, Env};
use crate::loaded::{Loaded, TenantHandle};
use crate::pacer::Fares;
use crate::plant::{Bug, Planted};
use crate::shard::ShardMsg;
use crate::stats::Counters;
use crate::stop::Gate;
use crate::suppression::Place;

/// The surroundings of every actor.
pub(crate) struct Node {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) env: Arc<dyn Env>,
    pub(crate) clock: Arc<EngineClock>,
    pub(crate) transports: Transports,
    pub(crate) key: IdKey,
    pub(crate) planted: Planted,
    pub(crate) admission: Admission,
    pub(crate) access: Access,
    pub(crate) stats: Counters,
    pub(crate) awaited: Awaited,
    pub(crate) stop: Gate,
    /// Set when the node drains: pacers stop pulling.
    pub(crate) draining: AtomicBool,
    tenants: Mutex<BTreeMap<String, TenantHandle>>,
    shards: Mutex<BTreeMap<Shard, ActorRef<ShardMsg>>>,
    unique: AtomicU32,
    sends: AtomicUsize,
    /// Calls whose outcome is not written down yet.
    calls: Mutex<BTreeMap<SendId, Began>>,
    quiet: Notify,
}

impl Node {
    pub(crate) fn new(
        store: Arc<dyn Store>,
        env: Arc<dyn Env>,
        transports: Transports,
        key: IdKey,
        access: Access,
        stop: Gate,
        planted: Planted,
    ) -> Node {
        let clock = Arc::new(EngineClock::new(&*env));
        // Ids of one millisecond differ by this count; it starts anywhere, so that a restart does not repeat it.
        let unique = AtomicU32::new((env.random() >> 32) as u32);
        Node {
            store,
            clock,
            transports,
            key,
            planted,
            admission: Admission::default(),
            access,
            stats: Counters::default(),
            awaited: Awaited::default(),
            stop,
            draining: AtomicBool::new(false),
            tenants: Mutex::default(),
            shards: Mutex::default(),
            unique,
            sends: AtomicUsize::new(0),
            calls: Mutex::default(),
            quiet: Notify::new(),
            env,
        }
    }

    /// Where a tenant's suppressed addresses lie.
    pub(crate) fn place(&self, loaded: &Loaded) -> Place {
        Place { key: self.key, shard: loaded.shard, tenant: loaded.scope.tenant.no }
    }

    /// The wall clock.
    pub(crate) fn now(&self) -> Moment {
        self.env.wall()
    }

    /// Engine time, for limits.
    pub(crate) fn engine_now(&self) -> Moment {
        if self.planted.is(Bug::EngineTimeIsWall) { self.now() } else { self.clock.now(&*self.env) }
    }

    pub(crate) fn new_enrollment_id(&self, shard: Shard) -> EnrollmentId {
        EnrollmentId::new(self.now(), shard, self.unique.fetch_add(1, Ordering::Relaxed))
    }

    pub(crate) fn tenants(&self) -> MutexGuard<'_, BTreeMap<String, TenantHandle>> {
        self.tenants.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn shards(&self) -> MutexGuard<'_, BTreeMap<Shard, ActorRef<ShardMsg>>> {
        self.shards.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How a lane fares; `None`: its shard is not up.
    pub(crate) async fn fares(&self, shard: Shard, lane: Lane) -> Option<Fares> {
        let shard = self.shards().get(&shard).cloned()?;
        match shard.call(|reply| ShardMsg::Fares(lane, reply), None).await {
            Ok(CallResult::Success(fares)) => Some(fares),
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => None,
        }
    }

    /// Sends to a shard's actor; a shard that is not up has nothing to be told.
    pub(crate) fn tell(&self, shard: Shard, message: ShardMsg) {
        let actor = self.shards().get(&shard).cloned();
        if let Some(actor) = actor
            && actor.send_message(message).is_err()
        {
            tracing::debug!(shard = shard.0, "a shard that is stopping was told something");
        }
    }

    /// When the call of a send began that this process makes and nobody has written down the end of; within: not yet.
    pub(crate) fn call_of(&self, send: SendId) -> Option<Option<Moment>> {
        self.calls().get(&send).map(|began| began.get().copied())
    }

    /// Whether a call of this enrollment is out.
    pub(crate) fn is_calling(&self, id: EnrollmentId) -> bool {
        let first = SendId { enrollment: id, step: StepNo(0), occurrence: 0, leg: 0 };
        self.calls().range(first..).next().is_some_and(|(send, _)| send.enrollment == id)
    }

    fn calls(&self) -> MutexGuard<'_, BTreeMap<SendId, Began>> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn is_draining(&self) -> bool {
        self.draining.load(Ordering::SeqCst)
    }

    /// A send begins, before its intent; the guard ends it. `None` when the node drains, or all sending is stopped.
    pub(crate) fn send_begins(self: &Arc<Self>) -> Option<SendUnderWay> {
        self.sends.fetch_add(1, Ordering::SeqCst);
        let under_way = SendUnderWay(Arc::clone(self));
        // Counted before it is looked, so that a drain either sees this send or stops it.
        (!self.is_draining() && !self.stop.is_closed()).then_some(under_way)
    }

    /// Stops pulling wakes; returns when no send is under way.
    pub(crate) async fn drained(&self) {
        self.draining.store(true, Ordering::SeqCst);
        loop {
            let ended = self.quiet.notified();
            if self.sends.load(Ordering::SeqCst) == 0 {
                return;
            }
            ended.await;
        }
    }
}

/// Counts a send from before its intent until its outcome is committed.
pub(crate) struct SendUnderWay(Arc<Node>);

impl SendUnderWay {
    /// Its call is made.
    pub(crate) fn calls(self, send: SendId, began: &Began) -> CallUnderWay {
        self.0.calls().insert(send, Arc::clone(began));
        CallUnderWay(send, self)
    }
}

/// Names a call from its beginning until its outcome is committed.
pub(crate) struct CallUnderWay(SendId, SendUnderWay);

impl Drop for CallUnderWay {
    fn drop(&mut self) {
        self.1.0.calls().remove(&self.0);
    }
}

impl Drop for SendUnderWay {
    fn drop(&mut self) {
        if self.0.sends.fetch_sub(1, Ordering::SeqCst) == 1 {
            self.0.quiet.notify_waiters();
        }
    }
}
