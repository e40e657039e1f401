//! Bringing up what the store has: tenants at a start, and a new one; the store's own row.

use std::collections::BTreeSet;
use std::sync::{Arc, RwLock};

use followupd_domain::ledger::Ledger;
use followupd_domain::name::Name;
use followupd_domain::{IdKey, Shard, TenantNo, route};
use followupd_store::codec::Format;
use followupd_store::keys::SYSTEM;
use followupd_store::{Class, Commit, Expect, Key, Store};
use ractor::Actor;
use serde::{Deserialize, Serialize};

use super::{Engine, unexpected, unstarted};
use crate::api::{Caller, Error};
use crate::env::Env;
use crate::loaded::{self, Loaded, TenantHandle, decode, scan_all};
use crate::shard::ShardMsg;
use crate::tenant::{TenantActor, TenantArguments};
use crate::{backlog, clock, event, record, root, settings};

/// The store's own row.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct StoreRow {
    /// The key under which send ids are checked.
    pub(crate) key: IdKey,
    /// The number of the next tenant.
    pub(crate) next_tenant: u32,
}

impl Engine {
    /// Writes down what the clock says now. The next start compares, so whoever runs the engine calls this every
    /// minute or so, and before the end.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when the store does not take it.
    pub async fn keep_time(&self) -> Result<(), Error> {
        clock::keep(&self.node).await
    }

    /// Looks at the clock, then brings every tenant up.
    pub(super) async fn open_tenants(&self) -> Result<(), Error> {
        clock::go_on(&self.node).await?;
        tokio::spawn(clock::keep_jumps(Arc::downgrade(&self.node)));
        let prefix = Key::table(followupd_store::keys::Table::Name, SYSTEM);
        let rows = scan_all(&*self.node.store, prefix.clone(), prefix.after_prefix()).await?;
        let numbers = rows.iter().map(|(_, row)| decode(Format::Name, &row.body));
        let tenants: Vec<TenantNo> = numbers.collect::<Result<_, Error>>()?;
        backlog::keep(&self.node, &tenants).await?;
        for shard in tenants.iter().map(|no| route(*no, "")).collect::<BTreeSet<Shard>>() {
            self.go_on_from(shard).await?;
        }
        for no in tenants {
            let shard = route(no, "");
            if let Some(loaded) = loaded::load(&*self.node.store, shard, no).await? {
                let tenant = self.open_tenant(loaded).await?;
                event::resume(&self.node, &tenant).await?;
            }
        }
        self.go_on_deleting().await
    }

    /// Limits of a shard that were charged later than the wall now says: engine time goes on from there (E6).
    async fn go_on_from(&self, shard: Shard) -> Result<(), Error> {
        let prefix = Key::table(followupd_store::keys::Table::Ledger, shard);
        for (_, row) in scan_all(&*self.node.store, prefix.clone(), prefix.after_prefix()).await? {
            let ledger = Ledger::decode(&row.body).map_err(|error| Error::Unavailable(error.to_string()))?;
            self.node.clock.has_been_at(ledger.mark());
        }
        Ok(())
    }

    /// Brings a tenant's actors up.
    async fn open_tenant(&self, loaded: Loaded) -> Result<TenantHandle, Error> {
        let (no, shard, name) = (loaded.scope.tenant.no, loaded.shard, loaded.scope.tenant.name.to_string());
        let lanes = loaded::lanes(&*self.node.store, shard, no).await?;
        let loaded = Arc::new(RwLock::new(Arc::new(loaded)));
        let arguments =
            TenantArguments { node: Arc::clone(&self.node), no, shard, loaded: Arc::clone(&loaded) };
        let spawned = Actor::spawn_linked(None, TenantActor, arguments, self.root.get_cell()).await;
        let handle = TenantHandle::new(shard, spawned.map_err(unstarted)?.0, loaded);
        root::open_shard(&self.node, shard, &self.root).await.map_err(unstarted)?;
        self.node.tenants().insert(name, handle.clone());
        self.node.tell(shard, ShardMsg::Tenant(handle.clone(), lanes));
        Ok(handle)
    }

    /// Gives a tenant its number and its row.
    pub(super) async fn begin_tenant(&self, name: Name) -> Result<TenantHandle, Error> {
        let _opening = self.opening.lock().await;
        if let Ok(begun) = self.tenant(&Caller::default(), name.as_str()) {
            return Ok(begun);
        }
        let node = &self.node;
        let name_key = Key::tenant_name(name.as_str());
        let mut rows = node.store.get(vec![Key::store(), name_key.clone()]).await?.into_iter();
        let (own, taken) = (rows.next().flatten(), rows.next().flatten());
        let no = match taken {
            Some(row) => decode(Format::Name, &row.body)?,
            None => {
                let own =
                    own.ok_or_else(|| Error::Unavailable("the store's own row is missing".to_owned()))?;
                let mut row: StoreRow = decode(Format::Store, &own.body)?;
                let no = TenantNo(row.next_tenant);
                row.next_tenant += 1;
                let mut commit = Commit::new(Class::Event, no, SYSTEM);
                commit.expects.push(Expect { key: Key::store(), version: Some(own.version) });
                commit.expects.push(Expect { key: name_key.clone(), version: None });
                record::put(&mut commit, Key::store(), Format::Store, &row)?;
                record::put(&mut commit, name_key, Format::Name, &no)?;
                settings::submit(node, commit).await?;
                no
            }
        };
        let shard = route(no, "");
        if loaded::load(&*node.store, shard, no).await?.is_none() {
            let mut commit = Commit::new(Class::Event, no, shard);
            let key = Key::tenant(shard, no);
            commit.expects.push(Expect { key: key.clone(), version: None });
            record::put(&mut commit, key, Format::Tenant3, &settings::new_tenant(no, name))?;
            settings::submit(node, commit).await?;
        }
        let loaded = loaded::load(&*node.store, shard, no).await?;
        self.open_tenant(loaded.ok_or_else(unexpected)?).await
    }
}

/// The store's own row; a new store gets one.
pub(super) async fn own_row(store: &dyn Store, env: &dyn Env) -> Result<StoreRow, Error> {
    let key = Key::store();
    if let Some(row) = store.get(vec![key.clone()]).await?.pop().flatten() {
        return decode(Format::Store, &row.body);
    }
    let mut secret = [0; 16];
    secret[..8].copy_from_slice(&env.random().to_le_bytes());
    secret[8..].copy_from_slice(&env.random().to_le_bytes());
    let row = StoreRow { key: IdKey(secret), next_tenant: 1 };
    let mut commit = Commit::new(Class::Event, TenantNo(0), SYSTEM);
    commit.expects.push(Expect { key: key.clone(), version: None });
    record::put(&mut commit, key, Format::Store, &row)?;
    store.commit(commit).await.map_err(|error| Error::Unavailable(error.to_string()))?;
    Ok(row)
}
