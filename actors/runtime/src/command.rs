//! Asking something of one enrollment: through its shard, by its own actor, one thing at a time.

use std::sync::Arc;

use followupd_domain::{EnrollmentId, Shard, TenantNo};
use ractor::rpc::CallResult;

use crate::api::{Changed, Error};
use crate::enrollment::Ask;
use crate::limits;
use crate::node::Node;
use crate::shard::ShardMsg;

/// Asks, and asks again after a growing pause where the actor failed before it answered; every ask is safe to repeat.
pub(crate) async fn ask(
    node: &Arc<Node>,
    shard: Shard,
    tenant: TenantNo,
    id: EnrollmentId,
    ask: Ask,
) -> Result<Changed, Error> {
    if id.shard() != shard {
        return Err(Error::NotFound { what: "enrollment", name: id.to_string() });
    }
    for asked in 0..limits::ASKS {
        let Some(actor) = node.shards().get(&shard).cloned() else { break };
        let again = ask.clone();
        match actor.call(|reply| ShardMsg::Ask { tenant, id, ask: again, reply }, None).await {
            Ok(CallResult::Success(answer)) => return answer,
            Ok(CallResult::SenderError | CallResult::Timeout) => {
                tokio::time::sleep(limits::ASK_AGAIN * 2_u32.pow(asked)).await;
            }
            Err(_) => break,
        }
    }
    Err(Error::Overloaded { retry_after: limits::COME_BACK })
}
