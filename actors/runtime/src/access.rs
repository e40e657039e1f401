//! Access keys in the store, and all of them in memory: every call is checked against one.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{PoisonError, RwLock};

use followupd_domain::access::{AccessKey, Denied, Draw, KeyId, Presented, Role};
use followupd_domain::name::Name;
use followupd_domain::sequence::FieldError;
use followupd_domain::{Moment, Span, TenantNo};
use followupd_store::codec::Format;
use followupd_store::keys::{SYSTEM, Table};
use followupd_store::{Class, Commit, Expect, Key, Store};

use crate::api::{Caller, Error};
use crate::audit::{self, Act};
use crate::loaded::{decode, scan_all};
use crate::node::Node;
use crate::{limits, record, settings};

/// The keys there are.
#[derive(Debug, Default)]
pub(crate) struct Access {
    keys: RwLock<BTreeMap<KeyId, AccessKey>>,
    /// Held while keys are made or taken away, so that what is looked at first still holds.
    changing: tokio::sync::Mutex<()>,
}

/// A key to make.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyWish {
    /// What its holder is called.
    pub name: String,
    /// The one tenant it is for; `None`: all of them.
    pub tenant: Option<String>,
    /// What it may do.
    pub roles: BTreeSet<Role>,
    /// How long it is good for; `None`: until it is revoked.
    pub expires_after: Option<Span>,
}

impl Access {
    /// Reads the keys of a store.
    pub(crate) async fn load(store: &dyn Store) -> Result<Access, Error> {
        let prefix = Key::table(Table::Access, SYSTEM);
        let rows = scan_all(store, prefix.clone(), prefix.after_prefix()).await?;
        let keys = rows.iter().map(|(_, row)| decode::<AccessKey>(Format::Access, &row.body));
        let keys = keys.map(|key| key.map(|key| (key.id, key))).collect::<Result<_, _>>()?;
        Ok(Access { keys: RwLock::new(keys), changing: tokio::sync::Mutex::default() })
    }

    /// Nobody else changes keys while this is held.
    pub(crate) async fn changing(&self) -> tokio::sync::MutexGuard<'_, ()> {
        self.changing.lock().await
    }

    /// The key a caller presents.
    pub(crate) fn check(&self, text: &str, now: Moment) -> Result<AccessKey, Denied> {
        let presented = Presented::parse(text).ok_or(Denied::Unknown)?;
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(&presented.id).ok_or(Denied::Unknown)?;
        key.admits(&presented, now).map(|()| key.clone())
    }

    /// Whether a key that was presented still stands.
    pub(crate) fn stands(&self, id: KeyId, now: Moment) -> Result<(), Denied> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let key = keys.get(&id).ok_or(Denied::Unknown)?;
        if key.expires_at.is_some_and(|at| at <= now) { Err(Denied::Expired) } else { Ok(()) }
    }

    /// The keys this caller may know of.
    pub(crate) fn seen_by(&self, caller: &Caller) -> Vec<AccessKey> {
        let keys = self.keys.read().unwrap_or_else(PoisonError::into_inner);
        let mut seen: Vec<AccessKey> = keys.values().filter(|key| sees(caller, key)).cloned().collect();
        seen.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        seen
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.keys.read().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    fn insert(&self, key: AccessKey) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).insert(key.id, key);
    }

    pub(crate) fn remove(&self, id: KeyId) {
        self.keys.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

/// Whoever is for one tenant knows that tenant's keys only.
fn sees(caller: &Caller, key: &AccessKey) -> bool {
    caller.only.is_none() || caller.only == key.tenant
}

/// Makes a key; its text is told once.
pub(crate) async fn make(
    node: &Node,
    caller: &Caller,
    wish: KeyWish,
    draw: &Draw,
) -> Result<(AccessKey, String), Error> {
    let (name, tenant) = checked(caller, &wish)?;
    let _changing = node.access.changing().await;
    let now = node.now();
    if let Some(tenant) = &tenant
        && !node.tenants().contains_key(tenant.as_str())
    {
        return Err(Error::NotFound { what: "tenant", name: tenant.to_string() });
    }
    if node.access.seen_by(&Caller::default()).len() >= limits::KEYS {
        let problem = format!("there are {} keys, the most there may be: revoke one", limits::KEYS);
        return Err(Error::Refused { reason: "too_many_keys", problem });
    }
    let expires_at = wish.expires_after.map(|span| now + span);
    let (key, text) = AccessKey::make(draw, name, tenant, wish.roles, now, expires_at);
    let row = Key::access(key.name.as_str());
    let mut commit = Commit::new(Class::Event, TenantNo(0), SYSTEM);
    commit.expects.push(Expect { key: row.clone(), version: None });
    record::put(&mut commit, row, Format::Access, &key)?;
    let what = format!("key {} ({})", key.name, key.tenant.as_ref().map_or("all tenants", Name::as_str));
    audit::add(&mut commit, node, TenantNo(0), caller, Act::CreateKey, &what)?;
    settings::submit(node, commit).await.map_err(|error| match error {
        Error::Refused { .. } => {
            let problem =
                format!("there is a key named {} already: revoke it or take another name", key.name);
            Error::Refused { reason: "key_exists", problem }
        }
        other @ (Error::NotFound { .. }
        | Error::Invalid(_)
        | Error::Mismatch { .. }
        | Error::Overloaded { .. }
        | Error::Unavailable(_)) => other,
    })?;
    node.access.insert(key.clone());
    Ok((key, text))
}

/// What is wrong with a wish alone, all of it.
fn checked(caller: &Caller, wish: &KeyWish) -> Result<(Name, Option<Name>), Error> {
    let mut faults = Vec::new();
    let mut fault =
        |field: &str, problem: String| faults.push(FieldError { field: field.to_owned(), problem });
    let name = Name::parse(&wish.name);
    let tenant = wish.tenant.as_deref().map(Name::parse).transpose();
    if let Err(error) = &name {
        fault("name", error.to_string());
    }
    match &tenant {
        Err(error) => fault("key_tenant", error.to_string()),
        Ok(tenant) if caller.only.is_some() && *tenant != caller.only => {
            fault("key_tenant", "has to be your own key's: that is for one tenant only".to_owned());
        }
        Ok(_) => {}
    }
    if wish.roles.is_empty() {
        let all: Vec<&str> = Role::ALL.into_iter().map(Role::word).collect();
        fault("roles", format!("are missing: give one or more of {}", all.join(", ")));
    }
    match (name, tenant) {
        (Ok(name), Ok(tenant)) if faults.is_empty() => Ok((name, tenant)),
        _ => Err(Error::Invalid(faults)),
    }
}

/// Takes a key away; the next call with it is not let in.
pub(crate) async fn revoke(node: &Node, caller: &Caller, name: &str) -> Result<(), Error> {
    let not_found = || Error::NotFound { what: "key", name: name.to_owned() };
    let _changing = node.access.changing().await;
    let known = node.access.seen_by(caller);
    let key = known.iter().find(|key| key.name.as_str() == name).ok_or_else(not_found)?;
    let operators = |key: &&AccessKey| key.tenant.is_none() && key.roles.contains(&Role::Operator);
    let all = node.access.seen_by(&Caller::default());
    if operators(&key) && all.iter().filter(operators).count() == 1 {
        let problem = "it is the last operator's key for all tenants: make another first".to_owned();
        return Err(Error::Refused { reason: "last_operator", problem });
    }
    let mut commit = Commit::new(Class::Exit, TenantNo(0), SYSTEM);
    commit.deletes.push(Key::access(name));
    audit::add(&mut commit, node, TenantNo(0), caller, Act::RevokeKey, &format!("key {name}"))?;
    settings::submit(node, commit).await?;
    node.access.remove(key.id);
    Ok(())
}
