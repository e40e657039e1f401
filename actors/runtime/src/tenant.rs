//! The actor of a tenant: it alone writes the tenant's settings, channels, sequences and holds, one at a time, and
//! keeps the scope that everything else reads.

use std::sync::{Arc, PoisonError, RwLock};

use followupd_domain::{Shard, TenantNo};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::api::Error;
use crate::loaded::{self, Loaded, TenantHandle};
use crate::node::Node;
use crate::settings::{self, Put, PutAnswer};
use crate::shard::ShardMsg;

/// What a tenant can be told.
pub(crate) enum TenantMsg {
    /// Write this.
    Put(Box<Put>, RpcReplyPort<Result<PutAnswer, Error>>),
    /// Somebody found this scope to be old: read it again.
    Refresh(Arc<Loaded>, RpcReplyPort<()>),
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
    type State = TenantArguments;
    type Arguments = TenantArguments;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        arguments: TenantArguments,
    ) -> Result<TenantArguments, ActorProcessingErr> {
        Ok(arguments)
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: TenantMsg,
        tenant: &mut TenantArguments,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            TenantMsg::Put(put, reply) => {
                let answer = settings::put(&tenant.node, &tenant.current(), *put).await;
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
        }
        Ok(())
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
