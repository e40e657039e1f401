//! Holds that nobody asked for: what providers said, written down by the tenant for its scopes.

use std::sync::Arc;

use followupd_domain::holds::Reacted;
use followupd_domain::reaction::Scope;
use followupd_domain::sequence::Sequence;
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
    /// Steps of versions, those of one sequence beside each other.
    Steps { steps: Vec<StepOf>, until: Option<Moment>, because: String },
    /// Steps of an approved template, those of one sequence beside each other: their provider says that it may be sent, so
    /// that those which are held for it go on.
    Freed { steps: Vec<StepOf>, because: String },
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
        Reacting::Steps { steps, until, because } => {
            let mut written = false;
            for of_one in steps.chunk_by(|a, b| a.sequence == b.sequence) {
                let held = hold_steps(loaded, of_one, &Reacted { since, until, to: because.clone() });
                let Some((sequence, place)) = held else { continue };
                tell(loaded, &place, until, &because);
                let key = Key::sequence(shard, tenant, sequence.no);
                let put = change(format!("{place}: {because}"));
                put.write(key, Format::Sequence5, &sequence, Class::Exit, PutAnswer::Done).await?;
                written = true;
            }
            Ok(written)
        }
        Reacting::Freed { steps, because } => {
            let mut written = false;
            for of_one in steps.chunk_by(|a, b| a.sequence == b.sequence) {
                let known = of_one.first().and_then(|step| loaded.scope.sequences.get(&step.sequence));
                let Some(mut sequence) = known.cloned() else { continue };
                let of_it = |(version, step): (VersionNo, StepNo), held: &Reacted| {
                    held.is_of_template()
                        && of_one.iter().any(|one| (one.version, one.step) == (version, step))
                };
                if !sequence.let_steps_go(of_it, since) {
                    continue;
                }
                tracing::info!(tenant = %loaded.scope.tenant.name, sequence = %sequence.name, because, "its steps go on");
                let key = Key::sequence(shard, tenant, sequence.no);
                let put =
                    Change { act: Act::Release, ..change(format!("sequence {}: {because}", sequence.name)) };
                put.write(key, Format::Sequence5, &sequence, Class::Exit, PutAnswer::Done).await?;
                written = true;
            }
            Ok(written)
        }
    }
}

/// A sequence with these steps of it held, and which they are; nothing where all of them are held as long already.
fn hold_steps(loaded: &Loaded, steps: &[StepOf], reacted: &Reacted) -> Option<(Sequence, String)> {
    let known = loaded.scope.sequences.get(&steps.first()?.sequence)?;
    let is_new = |step: &&StepOf| {
        let held = known.held_steps.get(&(step.version, step.step));
        !held.is_some_and(|held| lasts(held, reacted.until, reacted.since))
    };
    let new: Vec<&StepOf> = steps.iter().filter(is_new).collect();
    let first = new.first()?;
    let mut sequence = known.clone();
    for step in &new {
        sequence.held_steps.insert((step.version, step.step), reacted.clone());
    }
    let more = if new.len() > 1 { format!(" and {} more", new.len() - 1) } else { String::new() };
    Some((sequence, format!("sequence {}, {}{more}", known.name, told_step(first.version, first.step))))
}

/// A step as people count: from 1.
pub(crate) fn told_step(version: VersionNo, step: StepNo) -> String {
    format!("step {} of version {}", u32::from(step.0) + 1, version.0)
}

/// Whether a hold that is on lasts about until then: one that is asked for anew in its first half is not made longer, or
/// each of many answers would be written.
fn lasts(reacted: &Reacted, until: Option<Moment>, now: Moment) -> bool {
    match (reacted.until, until) {
        _ if !reacted.is_on(now) => false,
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
