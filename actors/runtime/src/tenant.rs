//! The actor of a tenant: it alone writes the tenant's settings, channels, sequences and holds, one at a time, and
//! keeps the scope that everything else reads.

use std::panic::AssertUnwindSafe;
use std::sync::{Arc, PoisonError, RwLock};

use followupd_domain::{EnrollmentId, Shard, Span, TenantNo};
use futures::FutureExt;
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::api::{Caller, Error};
use crate::command;
use crate::enrollment::Ask;
use crate::limits;
use crate::loaded::{self, Loaded, TenantHandle};
use crate::node::Node;
use crate::settings::{self, Put, PutAnswer};
use crate::shard::ShardMsg;
use crate::sweep::{Sweep, Swept};

/// What a tenant can be told.
pub(crate) enum TenantMsg {
    /// Write this, for this caller.
    Put(Caller, Box<Put>, RpcReplyPort<Result<PutAnswer, Error>>),
    /// Somebody found this scope to be old: read it again.
    Refresh(Arc<Loaded>, RpcReplyPort<()>),
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
        sweep_after(&myself, limits::SWEEP_ROUND);
        Ok(TenantState { arguments, sweep: Sweep::new() })
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
                // What a caller wrote is compiled here: were that to panic, nobody else is to notice.
                let put = settings::put(&tenant.node, &current, &caller, *put);
                let put = AssertUnwindSafe(put).catch_unwind().await;
                let answer = put.unwrap_or_else(|_| Err(Error::Unavailable("the put failed".to_owned())));
                tenant.read_again().await;
                // The caller may have gone; what was put stays.
                let _ = reply.send(answer);
            }
            TenantMsg::Refresh(old, reply) => {
                if Arc::ptr_eq(&old, &tenant.current()) {
                    tenant.read_again().await;
                }
                let _ = reply.send(());
            }
            TenantMsg::Sweep => {
                let (node, loaded) = (&tenant.node, tenant.current());
                let swept = state.sweep.go_on(&*node.store, tenant.shard, &loaded.scope, node.now()).await;
                let Swept { done, old } = swept.unwrap_or_else(|error| {
                    tracing::warn!(tenant = tenant.no.0, %error, "a sweep is put off");
                    Swept { done: true, old: Vec::new() }
                });
                tokio::spawn(expire(Arc::clone(node), tenant.shard, tenant.no, old));
                sweep_after(&myself, if done { limits::SWEEP_ROUND } else { limits::SWEEP_STEP });
            }
        }
        Ok(())
    }
}

/// A tenant at work.
pub(crate) struct TenantState {
    arguments: TenantArguments,
    sweep: Sweep,
}

fn sweep_after(myself: &ActorRef<TenantMsg>, pause: Span) {
    let pause = std::time::Duration::from_millis(pause.0.unsigned_abs());
    // It ends by itself when the tenant has stopped.
    drop(myself.send_after(pause, || TenantMsg::Sweep));
}

/// Ends the enrollments among these that have lived too long and that no wake would end.
async fn expire(node: Arc<Node>, shard: Shard, tenant: TenantNo, old: Vec<EnrollmentId>) {
    for id in old {
        if let Err(error) = command::ask(&node, shard, tenant, id, Ask::Expire).await {
            tracing::warn!(enrollment = %id, %error, "an enrollment that has lived too long is not ended yet");
        }
    }
}

impl TenantArguments {
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
