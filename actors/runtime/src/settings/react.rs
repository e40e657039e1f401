//! Holds that nobody asked for: what providers said, written down by the tenant for its scopes.

use std::sync::Arc;

use followupd_domain::holds::Reacted;
use followupd_domain::reaction::Scope;
use followupd_domain::{AccountNo, ChannelNo, Moment, StepNo, VersionNo, health::StepOf};
use followupd_store::codec::Format;
use followupd_store::{Class, Key};

use super::{Change, PutAnswer};
use crate::api::{Caller, Error};
use crate::audit::{Act, SELF};
use crate::loaded::Loaded;
use crate::node::Node;

/// What is to be held.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Reacting {
    /// A channel: its sender.
    Sender { channel: ChannelNo, until: Option<Moment>, because: String },
    /// An account, with all senders that belong to it.
    Account { account: AccountNo, until: Option<Moment>, because: String },
    /// A step of a version.
    Step { step: StepOf, until: Option<Moment>, because: String },
}

impl Reacting {
    /// What is held of what a channel's sender shares: its account. Where it has none, the sender alone: others that
    /// share a thing nobody told us of are told themselves. An app is not known by any name; its senders are held account
    /// by account.
    pub(crate) fn of(
        loaded: &Loaded,
        channel: ChannelNo,
        scope: Scope,
        until: Option<Moment>,
        because: String,
    ) -> Reacting {
        let account = match scope {
            Scope::Account | Scope::App => loaded.scope.account_of(channel).map(|account| account.no),
            Scope::Sender | Scope::Host | Scope::Contact | Scope::Step | Scope::Template => None,
        };
        match account {
            Some(account) => Reacting::Account { account, until, because },
            None => Reacting::Sender { channel, until, because },
        }
    }
}

/// Holds it, unless it is held for as long already; whether that was written. Calls that were under way together say the
/// same, one after the other.
pub(crate) async fn react(node: &Node, loaded: &Arc<Loaded>, reacting: Reacting) -> Result<bool, Error> {
    let (shard, tenant, since) = (loaded.shard, loaded.scope.tenant.no, node.now());
    let caller = Caller { by: SELF.to_owned(), ..Caller::default() };
    let change = |what: String| Change { node, loaded, caller: &caller, act: Act::Hold, what };
    match reacting {
        Reacting::Sender { channel, until, because } => {
            let Some(known) = loaded.scope.channels.get(&channel) else { return Ok(false) };
            if known.reacted.as_ref().is_some_and(|reacted| lasts(reacted, until, since)) {
                return Ok(false);
            }
            tell(loaded, &format!("channel {}", known.name), until, &because);
            let what = format!("channel {}: {because}", known.name);
            let mut channel = known.clone();
            channel.reacted = Some(Reacted { since, until, to: because });
            let key = Key::channel(shard, tenant, channel.no);
            let put = change(what);
            put.write(key, Format::Channel4, &channel, Class::Exit, PutAnswer::Done).await.map(|_| true)
        }
        Reacting::Account { account, until, because } => {
            let Some(known) = loaded.scope.accounts.get(&account) else { return Ok(false) };
            if known.reacted.as_ref().is_some_and(|reacted| lasts(reacted, until, since)) {
                return Ok(false);
            }
            tell(loaded, &format!("account {}", known.name), until, &because);
            let what = format!("account {}: {because}", known.name);
            let mut account = known.clone();
            account.reacted = Some(Reacted { since, until, to: because });
            let key = Key::account(shard, tenant, account.no);
            let put = change(what);
            put.write(key, Format::Account, &account, Class::Exit, PutAnswer::Done).await.map(|_| true)
        }
        Reacting::Step { step: StepOf { sequence, version, step }, until, because } => {
            let Some(known) = loaded.scope.sequences.get(&sequence) else { return Ok(false) };
            if known.held_steps.get(&(version, step)).is_some_and(|reacted| lasts(reacted, until, since)) {
                return Ok(false);
            }
            let place = told_step(version, step);
            tell(loaded, &format!("sequence {}, {place}", known.name), until, &because);
            let what = format!("sequence {}, {place}: {because}", known.name);
            let mut sequence = known.clone();
            sequence.held_steps.insert((version, step), Reacted { since, until, to: because });
            let key = Key::sequence(shard, tenant, sequence.no);
            let put = change(what);
            put.write(key, Format::Sequence4, &sequence, Class::Exit, PutAnswer::Done).await.map(|_| true)
        }
    }
}

/// A step as people count: from 1.
pub(crate) fn told_step(version: VersionNo, step: StepNo) -> String {
    format!("step {} of version {}", u32::from(step.0) + 1, version.0)
}

/// Whether a hold that is on lasts about until then: one that is asked for anew in its first half is not made longer, or
/// each of many answers would be written.
fn lasts(reacted: &Reacted, until: Option<Moment>, now: Moment) -> bool {
    match (reacted.until, until) {
        (None, _) => true,
        (Some(_), None) => false,
        (Some(is), Some(wanted)) => is >= wanted || is.since(now).0 * 2 >= wanted.since(now).0,
    }
}

fn tell(loaded: &Loaded, what: &str, until: Option<Moment>, because: &str) {
    let ends = match until {
        Some(_) => "it goes on by itself",
        None => "it waits to be released",
    };
    tracing::warn!(tenant = %loaded.scope.tenant.name, what, because, "held: {ends}");
}
