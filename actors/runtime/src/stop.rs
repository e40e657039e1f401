//! What stops all sending, whatever the tenant: one row of the system, and a gate in memory that every send passes.
//!
//! An intent cannot expect a row of another shard. So the gate is looked at where a wake is pulled, before an intent,
//! and once more when its call would begin: an intent that was decided before is withdrawn there. One process has one
//! gate; it closes before the row is written and opens after the row is gone, so that no crash leaves it open.

use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use followupd_domain::limits::EASED_IN_AFTER;
use followupd_domain::{Moment, TenantNo};
use followupd_store::codec::Format;
use followupd_store::keys::SYSTEM;
use followupd_store::{Class, Commit, Key, Store};
use serde::{Deserialize, Serialize};

use crate::api::{Caller, Error};
use crate::audit::{self, Act};
use crate::loaded::decode;
use crate::node::Node;
use crate::shard::ShardMsg;
use crate::{record, settings};

/// What stops all sending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// Since when.
    pub since: Moment,
    /// Why.
    pub reason: String,
    /// Who stopped it.
    pub by: String,
}

/// The gate.
#[derive(Debug, Default)]
pub(crate) struct Gate {
    state: RwLock<State>,
    /// Who turns it: one that closes and one that opens it must not cross, or the row would say one thing and the gate
    /// another.
    turning: tokio::sync::Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    stop: Option<Stop>,
    /// When sending went on after a stop, as far as this process knows.
    let_go_at: Option<Moment>,
}

impl Gate {
    /// The gate as the store has it.
    pub(crate) async fn load(store: &dyn Store) -> Result<Gate, Error> {
        let gate = Gate::default();
        gate.close(read(store).await?);
        Ok(gate)
    }

    /// Whether no send may begin.
    pub(crate) fn is_closed(&self) -> bool {
        self.read().stop.is_some()
    }

    /// What closes it.
    pub(crate) fn stop(&self) -> Option<Stop> {
        self.read().stop.clone()
    }

    /// When what all lanes had kept was let go last, where a stop was long enough for much to gather.
    pub(crate) fn let_go_at(&self) -> Option<Moment> {
        self.read().let_go_at
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn close(&self, stop: Option<Stop>) {
        self.write().stop = stop;
    }

    fn open(&self, now: Moment) {
        let mut state = self.write();
        let stopped = state.stop.take();
        if stopped.is_some_and(|stop| now.since(stop.since) >= EASED_IN_AFTER) {
            state.let_go_at = Some(now);
        }
    }
}

async fn read(store: &dyn Store) -> Result<Option<Stop>, Error> {
    let row = store.get(vec![Key::stop()]).await?.pop().flatten();
    row.map(|row| decode(Format::Stop, &row.body)).transpose()
}

/// Stops all sending; what is stopped stays as it is.
pub(crate) async fn stop(node: &Node, caller: &Caller, reason: &str) -> Result<(), Error> {
    let new = || Stop { since: node.now(), reason: reason.to_owned(), by: caller.by.clone() };
    // At once, whoever is turning it; one who was about to open it does so, and it is closed again.
    node.stop.close(Some(node.stop.stop().unwrap_or_else(new)));
    let _turning = node.stop.turning.lock().await;
    let stop = node.stop.stop().unwrap_or_else(new);
    node.stop.close(Some(stop.clone()));
    // One whose row could not be written before is closed as well, and not yet for good.
    if read(&*node.store).await?.is_some() {
        return Ok(());
    }
    let mut commit = Commit::new(Class::Exit, TenantNo(0), SYSTEM);
    record::put(&mut commit, Key::stop(), Format::Stop, &stop)?;
    let what = if reason.is_empty() { "all sending".to_owned() } else { format!("all sending: {reason}") };
    audit::add(&mut commit, node, TenantNo(0), caller, Act::Hold, &what)?;
    // Where it is not known whether it was written, it stays closed until somebody opens it.
    settings::submit(node, commit).await.map(drop)
}

/// Lets sending go on; whether it was stopped.
pub(crate) async fn resume(node: &Node, caller: &Caller) -> Result<bool, Error> {
    let _turning = node.stop.turning.lock().await;
    if !node.stop.is_closed() {
        return Ok(false);
    }
    let mut commit = Commit::new(Class::Event, TenantNo(0), SYSTEM);
    commit.deletes.push(Key::stop());
    audit::add(&mut commit, node, TenantNo(0), caller, Act::Release, "all sending")?;
    settings::submit(node, commit).await?;
    node.stop.open(node.now());
    let tenants: Vec<_> = node.tenants().values().map(|tenant| (tenant.shard, tenant.no)).collect();
    for (shard, tenant) in tenants {
        node.tell(shard, ShardMsg::ScopeChanged(tenant));
    }
    Ok(true)
}
