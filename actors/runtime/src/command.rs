//! Asking something of one enrollment: through its shard, by its own actor, one thing at a time.

use std::sync::Arc;

use followupd_domain::EnrollmentId;
use ractor::rpc::CallResult;

use crate::api::{Changed, Error};
use crate::enrollment::Ask;
use crate::limits;
use crate::loaded::TenantHandle;
use crate::node::Node;
use crate::shard::ShardMsg;

/// Asks, and asks again where the actor failed before it answered; every ask is safe to repeat.
pub(crate) async fn ask(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    id: EnrollmentId,
    ask: Ask,
) -> Result<Changed, Error> {
    if id.shard() != tenant.shard {
        return Err(Error::NotFound { what: "enrollment", name: id.to_string() });
    }
    for _ in 0..limits::LOOKS {
        let Some(shard) = node.shards().get(&tenant.shard).cloned() else { break };
        let (tenant, again) = (tenant.no, ask.clone());
        match shard.call(|reply| ShardMsg::Ask { tenant, id, ask: again, reply }, None).await {
            Ok(CallResult::Success(answer)) => return answer,
            Ok(CallResult::SenderError | CallResult::Timeout) => {}
            Err(_) => break,
        }
    }
    Err(Error::Overloaded { retry_after: limits::COME_BACK })
}
