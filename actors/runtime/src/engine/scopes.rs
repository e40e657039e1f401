//! What can be asked about tenants, accounts, channels and sequences, besides putting them.

use std::sync::Arc;

use followupd_domain::account::Account;
use followupd_domain::channel::Channel;
use followupd_domain::holds::{Holds, Reacted};
use followupd_domain::lane::Lane;
use followupd_domain::ledger::Recipients;
use followupd_domain::sequence::{Draft, Sequence, Status};
use followupd_domain::signal::Signal;
use followupd_domain::{TenantNo, VersionNo};
use followupd_store::Key;

use super::{Engine, named, to_its_end};
use crate::api::{Caller, Error, ScopeName};
use crate::audit;
use crate::loaded::Loaded;
use crate::scopes::{
    AccountShown, At, ChannelShown, Fares, Held, HeldScope, HeldStep, SequenceShown, TenantShown,
    channel_settings,
};
use crate::settings::{self, Put, watch};
use crate::stop::{self, Stop};

/// What is no tenant's is there for those only who have all of them.
pub(super) fn for_all(caller: &Caller) -> Result<(), Error> {
    match &caller.only {
        None => Ok(()),
        Some(_) => Err(Error::NotFound { what: "tenant", name: String::new() }),
    }
}

impl Engine {
    /// A tenant as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant for this caller.
    pub async fn get_tenant(&self, caller: &Caller, tenant: &str) -> Result<TenantShown, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let tenant = &loaded.scope.tenant;
        Ok(TenantShown {
            name: tenant.name.clone(),
            settings: settings::tenant::shown(tenant, &loaded.scope.channels),
            revision: loaded.revision(&Key::tenant(loaded.shard, tenant.no)),
            held: self.held(&loaded, &ScopeName::Tenant, &tenant.holds).await?,
        })
    }

    /// The names of the tenants that are there for this caller, after `after`, in their order.
    #[must_use]
    pub fn tenant_names(&self, caller: &Caller, after: &str, limit: usize) -> Vec<String> {
        let tenants = self.node.tenants();
        let there = |name: &&String| caller.only.as_ref().is_none_or(|only| only.as_str() == name.as_str());
        let names = tenants.keys().filter(there);
        names.filter(|name| name.as_str() > after).take(limit).cloned().collect()
    }

    /// The accounts of a tenant after `after`, by name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant for this caller.
    pub async fn accounts(
        &self,
        caller: &Caller,
        tenant: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<AccountShown>, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let mut accounts: Vec<&Account> =
            loaded.scope.accounts.values().filter(|account| account.name.as_str() > after).collect();
        accounts.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        let mut shown = Vec::new();
        for account in accounts.into_iter().take(limit) {
            shown.push(self.account_shown(&loaded, account).await?);
        }
        Ok(shown)
    }

    /// An account as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such account.
    pub async fn get_account(
        &self,
        caller: &Caller,
        tenant: &str,
        name: &str,
    ) -> Result<AccountShown, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let account = loaded.account(&named("name", name)?)?;
        self.account_shown(&loaded, account).await
    }

    async fn account_shown(&self, loaded: &Loaded, account: &Account) -> Result<AccountShown, Error> {
        let (shard, tenant) = (loaded.shard, loaded.scope.tenant.no);
        let scope = ScopeName::Account(account.name.clone());
        let of_it = loaded.scope.channels.values().filter(|channel| channel.account == Some(account.no));
        let row = self.node.store.get(vec![Key::account_recipients(shard, tenant, account.no)]).await?;
        let counted = row.into_iter().flatten().next().map(|row| Recipients::decode(&row.body)).transpose();
        let counted = counted.map_err(|error| Error::Unavailable(error.to_string()))?.unwrap_or_default();
        Ok(AccountShown {
            name: account.name.clone(),
            settings: settings::account::shown(account),
            revision: loaded.revision(&Key::account(shard, tenant, account.no)),
            held: match self.held(loaded, &scope, &account.holds).await? {
                Some(held) => Some(held),
                None => self.reacted(account.reacted.as_ref()),
            },
            channels: of_it.map(|channel| channel.name.clone()).collect(),
            recipients: counted.counted(self.node.engine_now()),
        })
    }

    /// A channel as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such channel.
    pub async fn get_channel(
        &self,
        caller: &Caller,
        tenant: &str,
        name: &str,
    ) -> Result<ChannelShown, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let channel = loaded.channel(&named("name", name)?)?;
        let shown = self.channel_shown(&loaded, channel).await?;
        Ok(ChannelShown { fares: Some(self.signals(&loaded, channel).await?), ..shown })
    }

    async fn signals(&self, loaded: &Loaded, channel: &Channel) -> Result<Fares, Error> {
        let counts = watch::counts(&self.node, loaded, channel).await?;
        let lane = Lane { tenant: loaded.scope.tenant.no, channel: channel.no };
        let fares = self.node.fares(loaded.shard, lane).await;
        let run = fares.map(|fares| fares.run).unwrap_or_default();
        let tripped = watch::tripped(&self.node, loaded, channel, run).await?;
        Ok(Fares {
            counts: Signal::ALL.map(|signal| (signal, counts.of(signal, self.node.now()))).to_vec(),
            tripped: tripped.into_iter().map(|(switch, why)| (why, switch.report_only)).collect(),
        })
    }

    /// The channels of a tenant after `after`, by name.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant for this caller.
    pub async fn channels(
        &self,
        caller: &Caller,
        tenant: &str,
        after: &str,
        limit: usize,
    ) -> Result<Vec<ChannelShown>, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let mut channels: Vec<&Channel> =
            loaded.scope.channels.values().filter(|channel| channel.name.as_str() > after).collect();
        channels.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        let mut shown = Vec::new();
        for channel in channels.into_iter().take(limit) {
            shown.push(self.channel_shown(&loaded, channel).await?);
        }
        Ok(shown)
    }

    async fn channel_shown(&self, loaded: &Loaded, channel: &Channel) -> Result<ChannelShown, Error> {
        let key = Key::channel(loaded.shard, loaded.scope.tenant.no, channel.no);
        let scope = ScopeName::Channel(channel.name.clone());
        Ok(ChannelShown {
            name: channel.name.clone(),
            settings: channel_settings(loaded, channel),
            revision: loaded.revision(&key),
            is_default: loaded.scope.is_default(channel),
            held: match self.held(loaded, &scope, &channel.holds).await? {
                Some(held) => Some(held),
                None => match self.reacted(channel.reacted.as_ref()) {
                    Some(held) => Some(held),
                    None => self.held_by_account(loaded, channel).await?,
                },
            },
            fares: None,
        })
    }

    /// What holds the account of a channel, and so the channel.
    async fn held_by_account(&self, loaded: &Loaded, channel: &Channel) -> Result<Option<Held>, Error> {
        let Some(account) = loaded.scope.account_of(channel.no) else { return Ok(None) };
        let scope = ScopeName::Account(account.name.clone());
        let held = match self.held(loaded, &scope, &account.holds).await? {
            Some(held) => Some(held),
            None => self.reacted(account.reacted.as_ref()),
        };
        let says = |held: Held| Held { reason: format!("account {}: {}", account.name, held.reason), ..held };
        Ok(held.map(says))
    }

    /// A sequence as it is.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such sequence.
    pub async fn get_sequence(
        &self,
        caller: &Caller,
        tenant: &str,
        name: &str,
    ) -> Result<SequenceShown, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        self.sequence_shown(&loaded, loaded.sequence(name)?).await
    }

    /// A published version of a sequence, the latest where none is named, as it would be written.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such sequence or version.
    pub fn version(
        &self,
        caller: &Caller,
        tenant: &str,
        sequence: &str,
        version: Option<VersionNo>,
    ) -> Result<Option<(VersionNo, Draft)>, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let sequence = loaded.sequence(sequence)?;
        let Some(no) = version.or(sequence.latest) else { return Ok(None) };
        let found = loaded.scope.version(sequence.no, no);
        let not_found = || Error::NotFound { what: "version", name: no.0.to_string() };
        found.map(|version| Some((no, version.written(sequence.weight)))).ok_or_else(not_found)
    }

    /// The sequences of a tenant after `after`, by name; with a status those that have it.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant for this caller.
    pub async fn sequences(
        &self,
        caller: &Caller,
        tenant: &str,
        status: Option<Status>,
        after: &str,
        limit: usize,
    ) -> Result<Vec<SequenceShown>, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let wanted = |sequence: &&Sequence| {
            sequence.name.as_str() > after && status.is_none_or(|status| sequence.status() == status)
        };
        let mut sequences: Vec<&Sequence> = loaded.scope.sequences.values().filter(wanted).collect();
        sequences.sort_by(|a, b| a.name.as_str().cmp(b.name.as_str()));
        let mut shown = Vec::new();
        for sequence in sequences.into_iter().take(limit) {
            shown.push(self.sequence_shown(&loaded, sequence).await?);
        }
        Ok(shown)
    }

    async fn sequence_shown(&self, loaded: &Loaded, sequence: &Sequence) -> Result<SequenceShown, Error> {
        let key = Key::sequence(loaded.shard, loaded.scope.tenant.no, sequence.no);
        let scope = ScopeName::Sequence(sequence.name.clone());
        Ok(SequenceShown {
            name: sequence.name.clone(),
            status: sequence.status(),
            latest: sequence.latest,
            draft: sequence.draft.clone(),
            revision: loaded.revision(&key),
            held: self.held(loaded, &scope, &sequence.holds).await?,
            archived_at: sequence.archived_at,
            held_steps: self.held_steps(sequence),
        })
    }

    /// Everything of a tenant that is held, the widest first.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such tenant for this caller.
    pub async fn holds(&self, caller: &Caller, tenant: &str) -> Result<Vec<HeldScope>, Error> {
        let loaded = self.tenant(caller, tenant)?.loaded();
        let scope = &loaded.scope;
        let channels = scope.channels.values().map(|one| (ScopeName::Channel(one.name.clone()), &one.holds));
        let sequences =
            scope.sequences.values().map(|one| (ScopeName::Sequence(one.name.clone()), &one.holds));
        let accounts = scope.accounts.values().map(|one| (ScopeName::Account(one.name.clone()), &one.holds));
        let tenant = std::iter::once((ScopeName::Tenant, &scope.tenant.holds));
        let mut held = Vec::new();
        for (scope, holds) in tenant.chain(accounts).chain(channels).chain(sequences) {
            let found = self.held(&loaded, &scope, holds).await?;
            held.extend(found.map(|held| HeldScope { scope, held, step: None }));
        }
        let accounts = scope.accounts.values();
        let accounts = accounts.map(|one| (ScopeName::Account(one.name.clone()), &one.reacted));
        let channels = scope.channels.values();
        let channels = channels.map(|one| (ScopeName::Channel(one.name.clone()), &one.reacted));
        for (scope, reacted) in accounts.chain(channels) {
            let found = self.reacted(reacted.as_ref());
            held.extend(found.map(|held| HeldScope { scope, held, step: None }));
        }
        for sequence in scope.sequences.values() {
            for HeldStep { version, step, held: why } in self.held_steps(sequence) {
                let scope = ScopeName::Sequence(sequence.name.clone());
                held.push(HeldScope { scope, held: why, step: Some((version, step)) });
            }
        }
        Ok(held)
    }

    /// What a provider's words hold, as long as they do.
    fn reacted(&self, reacted: Option<&Reacted>) -> Option<Held> {
        let Reacted { since, until, to } = reacted.filter(|reacted| reacted.is_on(self.node.now()))?.clone();
        Some(Held { since, reason: to, by: audit::SELF.to_owned(), until })
    }

    fn held_steps(&self, sequence: &Sequence) -> Vec<HeldStep> {
        let steps = sequence.held_steps.iter();
        let held = steps.filter_map(|((version, step), reacted)| {
            let held = self.reacted(Some(reacted))?;
            Some(HeldStep { version: *version, step: *step, held })
        });
        held.collect()
    }

    async fn held(&self, loaded: &Loaded, scope: &ScopeName, holds: &Holds) -> Result<Option<Held>, Error> {
        let Some(hold) = &holds.current else { return Ok(None) };
        let tenant = &loaded.scope.tenant;
        let what = scope.told(&tenant.name);
        let no: TenantNo = tenant.no;
        let by = audit::held_by(&self.node, loaded.shard, no, &what, hold.since).await?;
        Ok(Some(Held { since: hold.since, reason: hold.reason.clone(), by, until: None }))
    }

    /// Stops all sending of all tenants: no call begins after the answer, and none after a restart.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a caller with one tenant only.
    pub async fn stop_sending(&self, caller: &Caller, reason: &str) -> Result<(), Error> {
        for_all(caller)?;
        let (node, caller, reason) = (Arc::clone(&self.node), caller.clone(), reason.to_owned());
        to_its_end(async move { stop::stop(&node, &caller, &reason).await }).await
    }

    /// Lets sending go on; whether it was stopped.
    ///
    /// # Errors
    /// [`Error::NotFound`] for a caller with one tenant only.
    pub async fn resume_sending(&self, caller: &Caller) -> Result<bool, Error> {
        for_all(caller)?;
        let (node, caller) = (Arc::clone(&self.node), caller.clone());
        to_its_end(async move { stop::resume(&node, &caller).await }).await
    }

    /// What stops all sending.
    #[must_use]
    pub fn stopped(&self) -> Option<Stop> {
        self.node.stop.stop()
    }

    /// Archives a sequence, for good: nobody is enrolled any more, no send begins, and whoever is enrolled exits; of
    /// many the last of them some time later, which its funnel shows.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such sequence; [`Error::Mismatch`] when it is not as expected.
    pub async fn archive<'a>(
        &self,
        caller: &Caller,
        tenant: &str,
        sequence: impl Into<At<&'a str>>,
    ) -> Result<(), Error> {
        let At { value: sequence, expected } = sequence.into();
        let put = At { value: Put::Archive(named("sequence", sequence)?), expected };
        self.put(caller, &self.tenant(caller, tenant)?, put).await.map(drop)
    }
}
