//! Putting accounts.

use followupd_domain::AccountNo;
use followupd_domain::account::Account;
use followupd_domain::channel::Channel;
use followupd_domain::name::{self, Name};
use followupd_store::codec::Format;
use followupd_store::{Class, Key};

use super::{Change, PutAnswer, Written};
use crate::api::{AccountSettings, Error};
use crate::loaded::Loaded;

pub(super) async fn put(
    change: &Change<'_>,
    name: Name,
    settings: &AccountSettings,
) -> Result<Written, Error> {
    let account = to_account(change.loaded, name, settings);
    write(change, &account, Class::Event, PutAnswer::Done).await
}

/// The account that `settings` make of the one of this name, or of a new one.
pub(super) fn to_account(loaded: &Loaded, name: Name, settings: &AccountSettings) -> Account {
    let accounts = &loaded.scope.accounts;
    let known = loaded.account(&name).ok();
    let next = accounts.keys().next_back().map_or(1, |last| last.0 + 1);
    Account {
        no: known.map_or(AccountNo(next), |known| known.no),
        name,
        new_recipients: (settings.new_recipients > 0).then_some(settings.new_recipients),
        holds: known.map(|known| known.holds.clone()).unwrap_or_default(),
        reacted: known.and_then(|known| known.reacted.clone()),
    }
}

/// Writes an account, as it was put, held or released.
pub(super) async fn write(
    change: &Change<'_>,
    account: &Account,
    class: Class,
    answer: PutAnswer,
) -> Result<Written, Error> {
    let loaded = change.loaded;
    let key = Key::account(loaded.shard, loaded.scope.tenant.no, account.no);
    change.write(key, Format::Account, account, class, answer).await
}

/// The account that a channel is to belong to.
pub(super) fn of_channel(loaded: &Loaded, given: &str) -> Result<Option<AccountNo>, String> {
    let known = || loaded.scope.accounts.values().map(|account| account.name.as_str());
    if given.is_empty() {
        return Ok(None);
    }
    let found = loaded.scope.accounts.values().find(|account| account.name.as_str() == given);
    found.map(|account| Some(account.no)).ok_or_else(|| {
        let near = name::nearest(given, known());
        let near = near.map(|near| format!(", did you mean {near:?}?")).unwrap_or_default();
        format!("there is no account {given:?}{near}: put it first")
    })
}

/// The settings that make this account.
pub(crate) fn shown(account: &Account) -> AccountSettings {
    AccountSettings { new_recipients: account.new_recipients.unwrap_or_default() }
}

/// What a channel's account is called.
pub(crate) fn name_of(loaded: &Loaded, channel: &Channel) -> String {
    let account = channel.account.and_then(|no| loaded.scope.accounts.get(&no));
    account.map(|account| account.name.to_string()).unwrap_or_default()
}
