//! The root of the tree: it supervises the shards and tenants, and stops for none of them.
//!
//! A shard that fails is started anew after a pause, with all its tenants; its lanes read what the store has. A tenant
//! does not fail by what its callers write ([`crate::tenant`]).

use std::collections::BTreeMap;
use std::sync::Arc;

use followupd_domain::Shard;
use ractor::{Actor, ActorId, ActorProcessingErr, ActorRef, SpawnErr, SupervisionEvent};

use crate::limits;
use crate::loaded::{self, TenantHandle};
use crate::node::Node;
use crate::shard::{ShardActor, ShardArguments, ShardMsg};

/// The actor.
pub(crate) struct RootActor;

/// What the root can be told.
pub(crate) enum RootMsg {
    /// This is the actor of a shard.
    Opened(ActorId, Shard),
    /// A shard that failed is to start anew.
    Reopen(Shard),
}

/// What the root knows.
pub(crate) struct Root {
    node: Arc<Node>,
    shards: BTreeMap<ActorId, Shard>,
}

impl Actor for RootActor {
    type Msg = RootMsg;
    type State = Root;
    type Arguments = Arc<Node>;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        node: Arc<Node>,
    ) -> Result<Root, ActorProcessingErr> {
        Ok(Root { node, shards: BTreeMap::new() })
    }

    async fn handle(
        &self,
        myself: ActorRef<Self::Msg>,
        message: RootMsg,
        root: &mut Root,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            RootMsg::Opened(actor, shard) => {
                root.shards.insert(actor, shard);
            }
            RootMsg::Reopen(shard) => {
                if let Err(error) = reopen(&root.node, shard, &myself).await {
                    tracing::error!(shard = shard.0, error, "a shard cannot start and is tried again");
                    reopen_later(&myself, shard);
                }
            }
        }
        Ok(())
    }

    async fn handle_supervisor_evt(
        &self,
        myself: ActorRef<Self::Msg>,
        event: SupervisionEvent,
        root: &mut Root,
    ) -> Result<(), ActorProcessingErr> {
        let SupervisionEvent::ActorFailed(who, error) = event else { return Ok(()) };
        match root.shards.remove(&who.get_id()) {
            Some(shard) => {
                tracing::error!(shard = shard.0, %error, "a shard failed and starts anew");
                reopen_later(&myself, shard);
            }
            None => tracing::error!(actor = %who.get_id(), %error, "a tenant failed"),
        }
        Ok(())
    }
}

fn reopen_later(myself: &ActorRef<RootMsg>, shard: Shard) {
    let pause = std::time::Duration::from_millis(limits::RETRY_LANE.0.unsigned_abs());
    // It ends by itself when the root has stopped.
    drop(myself.send_after(pause, move || RootMsg::Reopen(shard)));
}

async fn reopen(node: &Arc<Node>, shard: Shard, root: &ActorRef<RootMsg>) -> Result<(), String> {
    let tenants: Vec<TenantHandle> =
        node.tenants().values().filter(|tenant| tenant.shard == shard).cloned().collect();
    let mut all = Vec::with_capacity(tenants.len());
    for tenant in tenants {
        let lanes = loaded::lanes(&*node.store, shard, tenant.no).await;
        all.push((tenant, lanes.map_err(|error| error.to_string())?));
    }
    open_shard(node, shard, root).await.map_err(|error| error.to_string())?;
    // Under the lock: one that was deleted meanwhile is not taken back, one that is deleted next finds the shard.
    let known = node.tenants();
    for (tenant, lanes) in all {
        if known.values().any(|one| one.no == tenant.no) {
            node.tell(shard, ShardMsg::Tenant(tenant, lanes));
        }
    }
    Ok(())
}

/// Starts the actor of a shard, unless it is up.
pub(crate) async fn open_shard(
    node: &Arc<Node>,
    shard: Shard,
    root: &ActorRef<RootMsg>,
) -> Result<(), SpawnErr> {
    if node.shards().contains_key(&shard) {
        return Ok(());
    }
    let arguments = ShardArguments { node: Arc::clone(node), shard };
    let (actor, _) = Actor::spawn_linked(None, ShardActor, arguments, root.get_cell()).await?;
    // A root that is stopping stops its shards as well.
    let _ = root.send_message(RootMsg::Opened(actor.get_id(), shard));
    node.shards().insert(shard, actor);
    Ok(())
}
