//! A tenant's scope as it was last read, with the versions an intent expects.
//!
//! The scope is kept in memory and replaced whole. It may be behind the store for a moment: an intent that was
//! decided on an old one fails its expectation, is told so, and looks again.

use std::collections::BTreeMap;
use std::sync::{Arc, PoisonError, RwLock};

use followupd_domain::account::Account;
use followupd_domain::channel::Channel;
use followupd_domain::lane::Lane;
use followupd_domain::name::Name;
use followupd_domain::scope::Scope;
use followupd_domain::sequence::{Sequence, Version};
use followupd_domain::tenant::Tenant;
use followupd_domain::{ChannelNo, Moment, SequenceNo, Shard, TenantNo, route};
use followupd_store::codec::{self, Format};
use followupd_store::{Expect, Key, Scan, Store};
use ractor::ActorRef;

use crate::admission::Waiting;
use crate::api::Error;
use crate::old;
use crate::tenant::TenantMsg;

/// A tenant as the engine finds it by name.
#[derive(Clone)]
pub(crate) struct TenantHandle {
    pub(crate) no: TenantNo,
    pub(crate) shard: Shard,
    pub(crate) actor: ActorRef<TenantMsg>,
    pub(crate) waiting: Waiting,
    loaded: Arc<RwLock<Arc<Loaded>>>,
}

impl TenantHandle {
    pub(crate) fn new(shard: Shard, actor: ActorRef<TenantMsg>, loaded: Arc<RwLock<Arc<Loaded>>>) -> Self {
        let no = loaded.read().unwrap_or_else(PoisonError::into_inner).scope.tenant.no;
        TenantHandle { no, shard, actor, waiting: Waiting::default(), loaded }
    }

    /// The scope as last read.
    pub(crate) fn loaded(&self) -> Arc<Loaded> {
        Arc::clone(&self.loaded.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A scope and the versions of its rows.
#[derive(Clone, Debug)]
pub(crate) struct Loaded {
    pub(crate) shard: Shard,
    pub(crate) scope: Scope,
    pub(crate) versions: BTreeMap<Key, followupd_store::Version>,
}

impl Loaded {
    /// The scope of a tenant that has nothing yet, of which nothing is stored.
    pub(crate) fn of_new(tenant: Tenant) -> Loaded {
        let shard = route(tenant.no, "");
        let (channels, sequences) = (BTreeMap::new(), BTreeMap::new());
        let scope =
            Scope { tenant, accounts: BTreeMap::new(), channels, sequences, versions: BTreeMap::new() };
        Loaded { shard, scope, versions: BTreeMap::new() }
    }

    /// What an intent of `sequence` through `channel` expects of its scopes.
    pub(crate) fn expects(&self, sequence: SequenceNo, channel: ChannelNo) -> Vec<Expect> {
        let tenant = self.scope.tenant.no;
        let keys = [
            Key::tenant(self.shard, tenant),
            Key::sequence(self.shard, tenant, sequence),
            Key::channel(self.shard, tenant, channel),
        ];
        let account = self.scope.account_of(channel);
        let account = account.map(|account| Key::account(self.shard, tenant, account.no));
        keys.into_iter().chain(account).map(|key| self.expectation(key)).collect()
    }

    /// Expects the tenant and a sequence to be as they were read: what an enroll depends on.
    pub(crate) fn expects_sequence(&self, sequence: SequenceNo) -> Vec<Expect> {
        let tenant = self.scope.tenant.no;
        let keys = [Key::tenant(self.shard, tenant), Key::sequence(self.shard, tenant, sequence)];
        keys.map(|key| self.expectation(key)).to_vec()
    }

    /// Expects a scope row to be as it was read.
    pub(crate) fn expectation(&self, key: Key) -> Expect {
        let version = self.versions.get(&key).copied();
        Expect { key, version }
    }

    /// The revision of a scope row.
    pub(crate) fn revision(&self, key: &Key) -> u64 {
        self.versions.get(key).map_or(0, |version| version.0)
    }

    /// The sequence of this name.
    pub(crate) fn sequence(&self, name: &str) -> Result<&Sequence, Error> {
        let found = self.scope.sequences.values().find(|sequence| sequence.name.as_str() == name);
        found.ok_or_else(|| Error::NotFound { what: "sequence", name: name.to_owned() })
    }

    /// The latest version of a sequence.
    pub(crate) fn latest(&self, sequence: &Sequence) -> Option<&Arc<Version>> {
        sequence.latest.and_then(|no| self.scope.version(sequence.no, no))
    }

    /// The account of this name.
    pub(crate) fn account(&self, name: &Name) -> Result<&Account, Error> {
        let found = self.scope.accounts.values().find(|account| account.name == *name);
        found.ok_or_else(|| Error::NotFound { what: "account", name: name.to_string() })
    }

    /// The channel of this name.
    pub(crate) fn channel(&self, name: &Name) -> Result<&Channel, Error> {
        let found = self.scope.channels.values().find(|channel| channel.name == *name);
        found.ok_or_else(|| Error::NotFound { what: "channel", name: name.to_string() })
    }
}

/// Reads a tenant's scope; `None` when there is no such tenant.
pub(crate) async fn load(store: &dyn Store, shard: Shard, tenant: TenantNo) -> Result<Option<Loaded>, Error> {
    let prefix = Key::scopes(shard, tenant);
    let rows = scan_all(store, prefix.clone(), prefix.after_prefix()).await?;
    let mut read: Option<Tenant> = None;
    let mut loaded_versions = BTreeMap::new();
    let (mut accounts, mut channels, mut sequences) = (BTreeMap::new(), BTreeMap::new(), BTreeMap::new());
    for (key, row) in rows {
        loaded_versions.insert(key.clone(), row.version);
        match key.as_bytes().get(prefix.as_bytes().len()) {
            Some(b'a') => read = Some(old::tenant(&row.body)?),
            Some(b'c') => {
                let channel = old::channel(&row.body)?;
                channels.insert(channel.no, channel);
            }
            Some(b'k') => {
                let account: Account = decode(Format::Account, &row.body)?;
                accounts.insert(account.no, account);
            }
            Some(b's') => {
                let sequence = old::sequence(&row.body)?;
                sequences.insert(sequence.no, sequence);
            }
            _ => {}
        }
    }
    let Some(tenant) = read else { return Ok(None) };
    let versions = load_versions(store, shard, tenant.no).await?;
    let scope = Scope { tenant, accounts, channels, sequences, versions };
    Ok(Some(Loaded { shard, scope, versions: loaded_versions }))
}

async fn load_versions(
    store: &dyn Store,
    shard: Shard,
    tenant: TenantNo,
) -> Result<BTreeMap<(SequenceNo, followupd_domain::VersionNo), Arc<Version>>, Error> {
    let prefix = Key::versions(shard, tenant);
    let mut versions = BTreeMap::new();
    for (key, row) in scan_all(store, prefix.clone(), prefix.after_prefix()).await? {
        let version: Version = old::version(&row.body)?;
        if let Some(sequence) = key.to_version_sequence() {
            versions.insert((sequence, version.no), Arc::new(version));
        }
    }
    Ok(versions)
}

/// The lanes of a tenant that have rows, each with the due time of its first: one short read for each queue.
pub(crate) async fn lanes(
    store: &dyn Store,
    shard: Shard,
    tenant: TenantNo,
) -> Result<Vec<(Lane, Moment)>, Error> {
    let prefix = Key::lanes(shard, tenant);
    let mut from = prefix.clone();
    let mut lanes: BTreeMap<Lane, Moment> = BTreeMap::new();
    loop {
        let scan = Scan { from, to: prefix.after_prefix(), limit: 1 };
        let Some(row) = store.scan(scan).await?.first().and_then(|(key, _)| key.to_wake()) else { break };
        let first = lanes.entry(row.lane).or_insert(row.due_at);
        *first = row.due_at.min(*first);
        from = Key::queue(shard, row.lane, &row.queue).after_prefix();
    }
    Ok(lanes.into_iter().collect())
}

/// Every row of a range, read in chunks.
pub(crate) async fn scan_all(
    store: &dyn Store,
    from: Key,
    to: Key,
) -> Result<Vec<(Key, followupd_store::Row)>, Error> {
    const CHUNK: usize = 1_000;
    let mut all = Vec::new();
    let mut from = from;
    loop {
        let rows = store.scan(Scan { from: from.clone(), to: to.clone(), limit: CHUNK }).await?;
        let full = rows.len() == CHUNK;
        all.extend(rows);
        match all.last() {
            Some((last, _)) if full => from = last.successor(),
            _ => return Ok(all),
        }
    }
}

/// The record of a row.
pub(crate) fn decode<T: serde::de::DeserializeOwned>(format: Format, body: &[u8]) -> Result<T, Error> {
    codec::decode(format, body).map_err(|error| Error::Unavailable(error.to_string()))
}

/// What an error of the store says, and what caused it: that the disk is full, say.
pub(crate) fn with_cause(error: &dyn std::error::Error) -> String {
    let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
    format!("{error}{cause}")
}

impl From<followupd_store::Error> for Error {
    fn from(error: followupd_store::Error) -> Self {
        Error::Unavailable(with_cause(&error))
    }
}
