//! Sweeping: what a tenant has kept long enough is removed, a little at a time.
//!
//! What came of calls that are made once stands for a day. Ids of accepted events stand until no repeat of theirs could
//! be accepted; what is known of a target nobody is enrolled about stands while its terminal facts may still answer an
//! enroll, and of an address while it may still open a window or undo an opt-out. Contacts from before a channel was told
//! anything are written down by their numbers. Enrollments that nothing rouses, being
//! paused, held or quarantined, are found here when they have lived too long, and all of a sequence that was archived:
//! its funnel counts those that are left, so that a restart knows whether there are any. That all contacts are written down
//! is kept in the store; the place reached in memory only: a restart begins again, which costs reads and changes nothing.

use std::collections::BTreeMap;

use followupd_domain::event;
use followupd_domain::scope::Scope;
use followupd_domain::signal::Hour;
use followupd_domain::target::Target;
use followupd_domain::{EnrollmentId, Moment, SequenceNo, Span, limits as domain_limits};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Expect, Key, Row, Scan, Store};

use crate::addresses;
use crate::api::Error;
use crate::limits;
use crate::loaded::decode;
use crate::old;
use crate::once;
use crate::settings::refused;
use crate::suppression::Place;

/// What is swept, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Onces,
    Events,
    Signals,
    Targets,
    Addresses,
    Contacts,
}

impl Stage {
    fn next(self) -> Stage {
        match self {
            Stage::Onces => Stage::Events,
            Stage::Events => Stage::Signals,
            Stage::Signals => Stage::Targets,
            Stage::Targets => Stage::Addresses,
            Stage::Addresses => Stage::Contacts,
            Stage::Contacts => Stage::Onces,
        }
    }
}

/// How far a tenant is swept.
#[derive(Debug)]
pub(crate) struct Sweep {
    stage: Stage,
    from: Option<Key>,
}

/// What one step came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Swept {
    /// Whether that was the end of a whole round.
    pub(crate) done: bool,
    /// Enrollments that may have lived too long.
    pub(crate) old: Vec<EnrollmentId>,
}

impl Sweep {
    pub(crate) fn new() -> Sweep {
        Sweep { stage: Stage::Onces, from: None }
    }

    /// Begins with contacts: some may have lived too long, or not be written down by their addresses.
    pub(crate) fn of_contacts() -> Sweep {
        Sweep { stage: Stage::Contacts, from: None }
    }

    /// Sweeps the next few rows.
    pub(crate) async fn go_on(
        &mut self,
        store: &dyn Store,
        place: Place,
        scope: &Scope,
        now: Moment,
    ) -> Result<Swept, Error> {
        let Place { shard, tenant, .. } = place;
        let prefix = match self.stage {
            Stage::Onces => Key::onces(shard, tenant),
            Stage::Events => Key::events(shard, tenant),
            Stage::Signals => Key::all_signals(shard, tenant),
            Stage::Targets => Key::targets(shard, tenant),
            Stage::Addresses => Key::suppressions(shard, tenant),
            Stage::Contacts => Key::contacts(shard, tenant),
        };
        let notes = self.stage == Stage::Contacts && addresses::is_told(scope);
        if self.stage == Stage::Contacts && self.from.is_none() {
            if notes {
                addresses::begin(store, place).await?;
            } else {
                addresses::end(store, place).await?;
            }
        }
        let from = self.from.clone().unwrap_or_else(|| prefix.clone());
        let rows = store.scan(Scan { from, to: prefix.after_prefix(), limit: limits::SWEEP }).await?;
        let full = rows.len() == limits::SWEEP;
        let next = rows.last().map(|(last, _)| last.successor()).filter(|_| full);
        if notes && !addresses::note_missing(store, place, &rows).await? {
            return Ok(Swept { done: false, old: Vec::new() });
        }
        let mut commit = Commit::new(Class::Event, tenant, shard);
        let mut old = Vec::new();
        for (key, row) in rows {
            let over = match self.stage {
                Stage::Onces => once::is_over(&row, now)?,
                Stage::Events => is_old_event(&key, &row, now)?,
                Stage::Signals => key.to_signal().is_some_and(|(hour, _)| is_old_signal(hour, now)),
                Stage::Targets => is_unused_target(&row, now)?,
                Stage::Addresses => is_forgotten(&row, now)?,
                Stage::Contacts => {
                    old.extend(old_enrollments(&row, scope, now)?);
                    false
                }
            };
            if over {
                // What has changed since it was read is not over any more.
                commit.expects.push(Expect { key: key.clone(), version: Some(row.version) });
                commit.deletes.push(key);
            }
        }
        if !commit.deletes.is_empty() {
            match store.commit(commit).await {
                Ok(_) | Err(followupd_store::Refused::Stale(_)) => {}
                Err(error) => return Err(refused(error)),
            }
        }
        let all_noted = !notes || next.is_some() || addresses::finish(store, place).await?;
        // What failed on the way is swept again.
        self.from = next;
        if self.from.is_some() || !all_noted {
            return Ok(Swept { done: false, old });
        }
        let done = self.stage == Stage::Contacts;
        self.stage = self.stage.next();
        Ok(Swept { done, old })
    }
}

fn is_old_event(key: &Key, row: &Row, now: Moment) -> Result<bool, Error> {
    let accepted_at: Moment = decode(Format::Event, &row.body)?;
    let memory = event::memory(key.to_event_source().unwrap_or_default());
    // It may have been accepted as far ahead of its own time as clocks may differ.
    Ok(accepted_at + memory + domain_limits::EVENT_AHEAD < now)
}

/// No kill switch looks at it any more, nor would late news of its sends bring it back whole.
fn is_old_signal(hour: Hour, now: Moment) -> bool {
    hour.end() + domain_limits::SIGNALS_OF + Span::days(1) < now
}

fn is_unused_target(row: &Row, now: Moment) -> Result<bool, Error> {
    let target: Target = decode(Format::Target, &row.body)?;
    let forgotten = |at: Moment| at + domain_limits::TERMINAL_FACTS < now;
    Ok(target.enrollments.is_empty() && target.terminal.is_none_or(|fact| forgotten(fact.occurred_at)))
}

/// Nothing of what is known of the address matters any more.
fn is_forgotten(row: &Row, now: Moment) -> Result<bool, Error> {
    let mut known = old::address_facts(&row.body)?;
    known.forget(now);
    Ok(known.is_empty())
}

/// The contact's open enrollments that are older than the shortest life their sequence gives, or outlived it.
fn old_enrollments(row: &Row, scope: &Scope, now: Moment) -> Result<Vec<EnrollmentId>, Error> {
    let contact = old::contact(&row.body)?;
    let mut lives: BTreeMap<SequenceNo, Span> = BTreeMap::new();
    for ((sequence, _), version) in &scope.versions {
        let life = lives.entry(*sequence).or_insert(version.max_lifetime);
        *life = version.max_lifetime.min(*life);
    }
    let archived = |no| scope.sequences.get(no).is_some_and(|sequence| sequence.archived_at.is_some());
    let old = contact.open_enrollments().filter(|known| {
        archived(&known.sequence)
            || lives.get(&known.sequence).is_some_and(|life| known.enrollment.made_at() + *life < now)
    });
    Ok(old.map(|known| known.enrollment).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::loaded::Loaded;
    use crate::settings::new_tenant;
    use followupd_domain::event::EventKey;
    use followupd_domain::name::Name;
    use followupd_domain::{IdKey, TenantNo, route};
    use followupd_store::codec;
    use followupd_store::memory::Memory;

    #[tokio::test]
    async fn event_ids_are_swept_when_no_repeat_of_theirs_could_be_accepted() {
        let (store, tenant, shard) = (Memory::default(), TenantNo(1), route(TenantNo(1), ""));
        let old = Moment(1_800_000_000_000);
        for n in 0..limits::SWEEP + 10 {
            let at = if n % 2 == 0 { old } else { old + domain_limits::EVENT_MEMORY };
            // Of a provider's the memory is longer.
            let source = if n % 4 == 0 { "meta:wa" } else { "inbox" };
            let key = Key::event(shard, tenant, &EventKey { source: source.into(), id: format!("{n}") });
            let mut commit = Commit::new(Class::Event, tenant, shard);
            commit.puts.push((key, codec::encode(Format::Event, &at).unwrap()));
            store.commit(commit).await.unwrap();
        }
        let now = old + domain_limits::EVENT_MEMORY + domain_limits::EVENT_AHEAD + Span(1);
        let scope = Loaded::of_new(new_tenant(tenant, Name::parse("acme").unwrap())).scope;
        let mut sweep = Sweep::new();
        let mut steps = 1;
        let place = Place { key: IdKey([7; 16]), shard, tenant };
        while !sweep.go_on(&store, place, &scope, now).await.unwrap().done {
            steps += 1;
        }
        assert_eq!(steps, 7, "no calls, two chunks of events, no signals, targets, addresses, contacts");
        let all = limits::SWEEP + 10;
        assert_eq!(store.dump().len(), all - (0..all).filter(|n| n % 4 == 2).count());
    }
}
