//! The actor of a tenant: it alone writes the tenant's settings, channels, sequences and holds, one at a time, and
//! keeps the scope that everything else reads.

use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};

use followupd_domain::signal::{Hour, Run, Signal};
use followupd_domain::{ChannelNo, EnrollmentId, Shard, Span, TenantNo};
use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};
use tokio::task::JoinHandle;

use crate::addresses;
use crate::api::{Caller, Error};
use crate::command;
use crate::delete;
use crate::enrollment::Ask;
use crate::limits;
use crate::loaded::{self, Loaded, TenantHandle};
use crate::node::Node;
use crate::read;
use crate::scopes::{At, Expected};
use crate::settings::react::Reacting;
use crate::settings::{self, Put, Written};
use crate::shard::ShardMsg;
use crate::sweep::{Sweep, Swept};

/// What a tenant can be told.
pub(crate) enum TenantMsg {
    /// Write this, for this caller.
    Put(Caller, Box<At<Put>>, RpcReplyPort<Result<Written, Error>>),
    /// Delete it for this caller, where it is what they expect.
    Delete(Caller, Expected, RpcReplyPort<Result<(), Error>>),
    /// Somebody found this scope to be old: read it again.
    Refresh(Arc<Loaded>, RpcReplyPort<()>),
    /// Hold this, because of what a provider said.
    React(Reacting),
    /// The same, answered when it is written down.
    ReactFor(Reacting, RpcReplyPort<Result<(), Error>>),
    /// Look whether a channel's kill switches trip, so many of whose sends failed in a row.
    Watch(ChannelNo, Run),
    /// Sweep on.
    Sweep,
}

/// The actor.
pub(crate) struct TenantActor;

/// What a tenant is made of.
pub(crate) struct TenantArguments {
    pub(crate) node: Arc<Node>,
    pub(crate) no: TenantNo,
    pub(crate) shard: Shard,
    pub(crate) loaded: Arc<RwLock<Arc<Loaded>>>,
}

impl Actor for TenantActor {
    type Msg = TenantMsg;
    type State = TenantState;
    type Arguments = TenantArguments;

    async fn pre_start(
        &self,
        myself: ActorRef<Self::Msg>,
        arguments: TenantArguments,
    ) -> Result<TenantState, ActorProcessingErr> {
        let is_told = addresses::is_told(&arguments.current().scope);
        let mut state = TenantState {
            arguments,
            is_told,
            sweep: Sweep::new(),
            failed: 0,
            next_sweep: None,
            reported: BTreeMap::new(),
        };
        let place = state.arguments.node.place(&state.arguments.current());
        let store = &*state.arguments.node.store;
        if !is_told {
            addresses::end(store, place).await?;
        }
        let unknown = is_told && !addresses::are_known(store, place).await?;
        let unfinished = unknown || state.arguments.has_archived_under_way().await?;
        if unfinished {
            state.sweep = Sweep::of_contacts();
        }
        state.sweep_after(&myself, if unfinished { limits::SWEEP_STEP } else { limits::SWEEP_ROUND });
        Ok(state)
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: TenantMsg,
        state: &mut TenantState,
    ) -> Result<(), ActorProcessingErr> {
        let tenant = &state.arguments;
        match message {
            TenantMsg::Put(caller, put, reply) => {
                let current = tenant.current();
                let archives = matches!(put.value, Put::Archive(_));
                // What a caller wrote is compiled here: were that to panic, nobody else is to notice.
                let put = settings::put(&tenant.node, &current, &caller, *put);
                let put = AssertUnwindSafe(put).catch_unwind().await;
                let answer = put.unwrap_or_else(|_| Err(Error::Unavailable("the put failed".to_owned())));
                tenant.read_again().await;
                let archived = archives && answer.is_ok();
                // Where there are few contacts they are written down before anything is told of them.
                state.follow(&myself, archived).await;
                // The caller may have gone; what was put stays.
                let _ = reply.send(answer);
            }
            TenantMsg::Delete(caller, expected, reply) => {
                let answer = delete::begin(&tenant.node, &caller, &tenant.current(), expected).await;
                if answer.is_ok() {
                    // What waits behind it is of no tenant any more.
                    myself.stop(None);
                }
                // The caller may have gone; it is deleted all the same.
                let _ = reply.send(answer);
            }
            TenantMsg::Refresh(old, reply) => {
                if Arc::ptr_eq(&old, &tenant.current()) {
                    tenant.read_again().await;
                }
                let _ = reply.send(());
            }
            TenantMsg::React(reacting) => tenant.react_at_last(&myself, reacting).await,
            TenantMsg::ReactFor(reacting, reply) => {
                let reacted = settings::react::react(&tenant.node, &tenant.current(), reacting).await;
                tenant.read_again().await;
                // Whoever asked may have gone.
                let _ = reply.send(reacted.map(drop));
            }
            TenantMsg::Watch(channel, run) => {
                if let Some(reacting) = state.watch(channel, run).await {
                    // The next outcome has it looked at again.
                    let _ = state.arguments.react(reacting).await;
                }
            }
            TenantMsg::Sweep => state.sweep_on(&myself).await,
        }
        state.follow(&myself, false).await;
        Ok(())
    }
}

/// A tenant at work.
pub(crate) struct TenantState {
    arguments: TenantArguments,
    /// Whether somebody may be told by number, as far as was followed.
    is_told: bool,
    sweep: Sweep,
    /// Steps of it in a row that failed.
    failed: u32,
    /// What ends with the next step of the sweep: there is one at a time.
    next_sweep: Option<JoinHandle<()>>,
    /// The hour each kill switch that only reports has last done so in.
    reported: BTreeMap<(ChannelNo, Signal), Hour>,
}

impl TenantState {
    /// Sweeps contacts at once where a sequence was archived, or somebody may be told by number from now on, or nobody any
    /// more.
    async fn follow(&mut self, myself: &ActorRef<TenantMsg>, archived: bool) {
        let was_told = self.is_told;
        self.is_told = addresses::is_told(&self.arguments.current().scope);
        if archived || self.is_told != was_told {
            self.sweep = Sweep::of_contacts();
            self.sweep_on(myself).await;
        }
    }

    /// Sweeps the next few rows, and goes on after a while.
    async fn sweep_on(&mut self, myself: &ActorRef<TenantMsg>) {
        let TenantArguments { node, no, shard, .. } = &self.arguments;
        let loaded = self.arguments.current();
        let swept = self.sweep.go_on(&*node.store, node.place(&loaded), &loaded.scope, node.now()).await;
        self.failed = if swept.is_ok() { 0 } else { self.failed.saturating_add(1) };
        let Swept { done, old } = swept.unwrap_or_else(|error| {
            tracing::warn!(tenant = no.0, %error, "a sweep is put off");
            Swept { done: false, old: Vec::new() }
        });
        let expired = expire(Arc::clone(node), *shard, *no, old);
        let again =
            Span(limits::SWEEP_STEP.0 << self.failed.min(limits::SWEEP_DOUBLES)).min(limits::SWEEP_ROUND);
        self.sweep_when(myself, expired, if done { limits::SWEEP_ROUND } else { again });
    }

    fn sweep_after(&mut self, myself: &ActorRef<TenantMsg>, pause: Span) {
        self.sweep_when(myself, std::future::ready(()), pause);
    }

    /// Looks at a channel's kill switches, so many of whose sends failed in a row: what is to be held, where one trips that
    /// does not only report it.
    async fn watch(&mut self, channel: ChannelNo, run: Run) -> Option<Reacting> {
        let TenantArguments { node, no, .. } = &self.arguments;
        let loaded = self.arguments.current();
        let known = loaded.scope.channels.get(&channel)?;
        let tripped = settings::watch::tripped(node, &loaded, known, run);
        let tripped = tripped.await.unwrap_or_else(|error| {
            tracing::warn!(tenant = no.0, channel = %known.name, %error, "its signals cannot be read");
            Vec::new()
        });
        let now = Hour::of(node.now());
        for (switch, why) in &tripped {
            if switch.report_only && self.reported.insert((channel, switch.signal), now) != Some(now) {
                tracing::warn!(tenant = no.0, channel = %known.name, why, "a kill switch would hold the channel");
            }
        }
        let (_, why) = tripped.into_iter().find(|(switch, _)| !switch.report_only)?;
        Some(Reacting::Sender { channel, until: None, because: format!("kill switch: {why}") })
    }

    /// Sweeps on a while after `done`.
    fn sweep_when(
        &mut self,
        myself: &ActorRef<TenantMsg>,
        done: impl Future<Output = ()> + Send + 'static,
        pause: Span,
    ) {
        let pause = std::time::Duration::from_millis(pause.0.unsigned_abs());
        let myself = myself.clone();
        let next = tokio::spawn(async move {
            done.await;
            tokio::time::sleep(pause).await;
            // A tenant that has stopped sweeps no more.
            let _ = myself.send_message(TenantMsg::Sweep);
        });
        if let Some(before) = self.next_sweep.replace(next) {
            before.abort();
        }
    }
}

impl Drop for TenantState {
    fn drop(&mut self) {
        if let Some(next) = self.next_sweep.take() {
            next.abort();
        }
    }
}

/// Ends the enrollments among these that have lived too long and that no wake would end, a few at a time.
async fn expire(node: Arc<Node>, shard: Shard, tenant: TenantNo, old: Vec<EnrollmentId>) {
    for few in old.chunks(limits::EXPIRE_TOGETHER) {
        let asked = few.iter().map(|id| command::ask(&node, shard, tenant, *id, Ask::Expire));
        for (id, asked) in few.iter().zip(futures::future::join_all(asked).await) {
            if let Err(error) = asked {
                tracing::warn!(enrollment = %id, %error, "an enrollment that has lived too long is not ended yet");
            }
        }
    }
}

impl TenantArguments {
    /// Whether somebody is enrolled in a sequence that is archived.
    async fn has_archived_under_way(&self) -> Result<bool, Error> {
        let loaded = self.current();
        for sequence in loaded.scope.sequences.values().filter(|one| one.archived_at.is_some()) {
            if read::under_way(&*self.node.store, self.shard, self.no, sequence.no).await? > 0 {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Holds something, now or later: what a provider asked for is not forgotten because a store did not answer.
    async fn react_at_last(&self, myself: &ActorRef<TenantMsg>, reacting: Reacting) {
        if self.react(reacting.clone()).await {
            return;
        }
        let myself = myself.clone();
        tokio::spawn(async move {
            tokio::time::sleep(limits::REACT_AGAIN).await;
            // A tenant that has stopped holds nothing more.
            let _ = myself.send_message(TenantMsg::React(reacting));
        });
    }

    /// Holds something, and says so in its log; whether it is written down, or stood there.
    async fn react(&self, reacting: Reacting) -> bool {
        let reacted = settings::react::react(&self.node, &self.current(), reacting).await;
        if let Err(error) = &reacted {
            tracing::warn!(tenant = self.no.0, %error, "what is to be held could not be written down yet");
        }
        if reacted.as_ref().is_ok_and(|written| !written) {
            return true;
        }
        self.read_again().await;
        reacted.is_ok()
    }

    fn current(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }

    async fn read_again(&self) {
        match loaded::load(&*self.node.store, self.shard, self.no).await {
            Ok(Some(fresh)) => {
                *self.loaded.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(fresh);
                self.node.tell(self.shard, ShardMsg::ScopeChanged(self.no));
            }
            Ok(None) => {}
            Err(error) => tracing::warn!(tenant = self.no.0, %error, "a tenant's scope cannot be read"),
        }
    }
}

/// Has the tenant read its scope again, unless somebody had it do so since `old` was read.
pub(crate) async fn refresh(tenant: &TenantHandle, old: &Arc<Loaded>) {
    let old = Arc::clone(old);
    // A tenant that is stopping has nothing to refresh.
    let _ = tenant.actor.call(|reply| TenantMsg::Refresh(old, reply), None).await;
}
