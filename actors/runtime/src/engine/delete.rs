//! Deleting a tenant, and going on with those that were.

use std::sync::Arc;

use ractor::rpc::CallResult;

use super::scopes::for_all;
use super::{Engine, to_its_end};
use crate::admission::Waiting;
use crate::api::{Caller, Error};
use crate::delete;
use crate::scopes::Expected;
use crate::shard::ShardMsg;
use crate::tenant::TenantMsg;

impl Engine {
    /// Deletes a tenant: its settings, channels, sequences, contacts, enrollments, its audit log and the access keys
    /// that are for it alone. It is gone when this returns, and its name is free; its rows are removed after. A message
    /// that was being handed over meanwhile may still arrive.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant, or the caller is not for all of them; [`Error::Mismatch`] when
    /// it is not at the revision expected.
    pub async fn delete_tenant(&self, caller: &Caller, name: &str, expected: Expected) -> Result<(), Error> {
        for_all(caller)?;
        let (engine, caller, name) = (self.clone(), caller.clone(), name.to_owned());
        to_its_end(async move {
            // No tenant begins while one goes.
            let opening = engine.opening.lock().await;
            let tenant = engine.tenant(&caller, &name)?;
            let begun = tenant.actor.call(|reply| TenantMsg::Delete(caller, expected, reply), None).await;
            match begun {
                Ok(CallResult::Success(begun)) => begun?,
                Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => {
                    return Err(Error::Unavailable("the tenant is stopping".to_owned()));
                }
            }
            // From here it is deleted, its number and name are nobody's: others may begin.
            drop(opening);
            // It stops by itself, and what waited for it is told so.
            let stopped = tenant.actor.wait(None).await;
            stopped.map_err(|_| Error::Unavailable("the tenant does not stop".to_owned()))?;
            let shard = engine.node.shards().get(&tenant.shard).cloned();
            if let Some(shard) = shard {
                let stopped = shard.call(|reply| ShardMsg::Deleted(tenant.no, reply), None).await;
                if !matches!(stopped, Ok(CallResult::Success(()))) {
                    tracing::warn!(
                        tenant = tenant.no.0,
                        "a shard failed while a deleted tenant was let go of"
                    );
                }
            }
            engine.node.transports.forget(tenant.no);
            tokio::spawn(delete::remove_at_last(Arc::clone(&engine.node), tenant.no, tenant.waiting));
            Ok(())
        })
        .await
    }

    /// Goes on removing what is left of tenants that were deleted.
    pub(super) async fn go_on_deleting(&self) -> Result<(), Error> {
        for no in delete::unfinished(&self.node).await? {
            tokio::spawn(delete::remove_at_last(Arc::clone(&self.node), no, Waiting::default()));
        }
        Ok(())
    }
}
