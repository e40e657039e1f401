//! Sweeping: what a tenant has kept long enough is removed, a little at a time.
//!
//! Ids of accepted events stand until no repeat of theirs could be accepted; what is known of a target nobody is
//! enrolled about stands while its terminal facts may still answer an enroll. The place reached is kept in memory
//! only: a restart begins again, which costs reads and changes nothing.

use followupd_domain::target::Target;
use followupd_domain::{Moment, Shard, TenantNo, limits as domain_limits};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Expect, Key, Row, Scan, Store};

use crate::api::Error;
use crate::limits;
use crate::loaded::decode;
use crate::settings::refused;

/// What is swept, in its order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Events,
    Targets,
}

/// How far a tenant is swept.
#[derive(Debug)]
pub(crate) struct Sweep {
    stage: Stage,
    from: Option<Key>,
}

impl Sweep {
    pub(crate) fn new() -> Sweep {
        Sweep { stage: Stage::Events, from: None }
    }

    /// Sweeps the next few rows; whether that was the end of a whole round.
    pub(crate) async fn go_on(
        &mut self,
        store: &dyn Store,
        shard: Shard,
        tenant: TenantNo,
        now: Moment,
    ) -> Result<bool, Error> {
        let prefix = match self.stage {
            Stage::Events => Key::events(shard, tenant),
            Stage::Targets => Key::targets(shard, tenant),
        };
        let from = self.from.take().unwrap_or_else(|| prefix.clone());
        let rows = store.scan(Scan { from, to: prefix.after_prefix(), limit: limits::SWEEP }).await?;
        let full = rows.len() == limits::SWEEP;
        self.from = rows.last().map(|(last, _)| last.successor()).filter(|_| full);
        let mut commit = Commit::new(Class::Event, tenant, shard);
        for (key, row) in rows {
            if self.stage.is_over(&row, now)? {
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
        if self.from.is_some() {
            return Ok(false);
        }
        let done = self.stage == Stage::Targets;
        self.stage = if done { Stage::Events } else { Stage::Targets };
        Ok(done)
    }
}

impl Stage {
    fn is_over(self, row: &Row, now: Moment) -> Result<bool, Error> {
        match self {
            Stage::Events => {
                let accepted_at: Moment = decode(Format::Event, &row.body)?;
                // It may have been accepted as far ahead of its own time as clocks may differ.
                Ok(accepted_at + domain_limits::EVENT_MEMORY + domain_limits::EVENT_AHEAD < now)
            }
            Stage::Targets => {
                let target: Target = decode(Format::Target, &row.body)?;
                let forgotten = |at: Moment| at + domain_limits::TERMINAL_FACTS < now;
                let settled = target.terminal.is_some_and(|fact| forgotten(fact.occurred_at));
                Ok(target.enrollments.is_empty() && settled)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use followupd_domain::event::EventKey;
    use followupd_domain::route;
    use followupd_store::codec;
    use followupd_store::memory::Memory;

    #[tokio::test]
    async fn event_ids_are_swept_when_no_repeat_of_theirs_could_be_accepted() {
        let (store, tenant, shard) = (Memory::default(), TenantNo(1), route(TenantNo(1), ""));
        let old = Moment(1_800_000_000_000);
        for n in 0..limits::SWEEP + 10 {
            let at = if n % 2 == 0 { old } else { old + domain_limits::EVENT_MEMORY };
            let key = Key::event(shard, tenant, &EventKey { source: "inbox".into(), id: format!("{n}") });
            let mut commit = Commit::new(Class::Event, tenant, shard);
            commit.puts.push((key, codec::encode(Format::Event, &at).unwrap()));
            store.commit(commit).await.unwrap();
        }
        let now = old + domain_limits::EVENT_MEMORY + domain_limits::EVENT_AHEAD + followupd_domain::Span(1);
        let mut sweep = Sweep::new();
        let mut steps = 1;
        while !sweep.go_on(&store, shard, tenant, now).await.unwrap() {
            steps += 1;
        }
        assert_eq!(steps, 3, "two chunks of events, one of no targets");
        assert_eq!(store.dump().len(), limits::SWEEP / 2 + 5);
    }
}
