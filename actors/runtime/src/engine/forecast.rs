//! What a release would set free: who is due under a scope, what would become of them, and how long that takes.

use std::sync::Arc;

use followupd_domain::gate::{self, Verdict};
use followupd_domain::lane::{Lane, WakeRow};
use followupd_domain::name::Name;
use followupd_domain::scope::Scope;
use followupd_domain::{ChannelNo, Moment, Span};
use followupd_store::{Key, Scan};

use super::Engine;
use crate::api::{Caller, Error, ScopeName};
use crate::limits;
use crate::loaded::{self, Loaded};
use crate::record;
use crate::settings::account;

/// What is due in one lane, and what would become of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LaneForecast {
    /// The lane's channel.
    pub channel: Name,
    /// Sends that are due.
    pub due: u64,
    /// Whether more are, beyond those that were counted.
    pub more: bool,
    /// Of those due: how many were looked at, one by one.
    pub looked_at: u64,
    /// Of these: go out.
    pub sent: u64,
    /// Of these: are skipped, being late.
    pub skipped: u64,
    /// Of these: fail, or end their enrollment.
    pub ended: u64,
    /// Of these: wait on, for their hours, for what the hold pushes them back by, or for another hold.
    pub waiting: u64,
    /// How long all that is due takes at the lane's pace.
    pub takes: Span,
}

impl Engine {
    /// What a release of a scope would set free now, lane by lane.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such scope.
    pub async fn forecast(
        &self,
        caller: &Caller,
        tenant: &str,
        released: &ScopeName,
    ) -> Result<Vec<LaneForecast>, Error> {
        let tenant = self.tenant(caller, tenant)?;
        let loaded = tenant.loaded();
        let now = self.node.now();
        let freed = Loaded { scope: without(&loaded, released, now)?, ..(*loaded).clone() };
        let freed = Arc::new(freed);
        let mut forecasts = Vec::new();
        for (lane, _) in loaded::lanes(&*self.node.store, tenant.shard, tenant.no).await? {
            let Some(channel) = freed.scope.channels.get(&lane.channel) else { continue };
            if lane.channel == ChannelNo::CONTROL
                || matches!(released, ScopeName::Channel(name) if *name != channel.name)
                || matches!(released, ScopeName::Account(name) if account::name_of(&freed, channel) != name.as_str())
            {
                continue;
            }
            let (rows, more) = self.due_rows(&loaded, lane, released, now).await?;
            let mut forecast = LaneForecast {
                channel: channel.name.clone(),
                due: rows.len() as u64,
                more,
                looked_at: 0,
                sent: 0,
                skipped: 0,
                ended: 0,
                waiting: 0,
                takes: Span(channel.limits.pace().0.saturating_mul(rows.len() as i64)),
            };
            for row in rows.iter().take(limits::FORECAST_LOOKS) {
                self.look_at(&mut forecast, &freed, row, now).await?;
            }
            forecasts.push(forecast);
        }
        Ok(forecasts)
    }

    /// The rows of a lane that are due under a scope, up to a bound.
    async fn due_rows(
        &self,
        loaded: &Loaded,
        lane: Lane,
        released: &ScopeName,
        now: Moment,
    ) -> Result<(Vec<WakeRow>, bool), Error> {
        let only = match released {
            ScopeName::Sequence(name) => Some(loaded.sequence(name.as_str())?.no),
            ScopeName::Tenant | ScopeName::Account(_) | ScopeName::Channel(_) => None,
        };
        let (store, shard) = (&self.node.store, loaded.shard);
        let (prefix, mut due) = (Key::lane(shard, lane), Vec::new());
        let mut from = prefix.clone();
        loop {
            let first = store.scan(Scan { from, to: prefix.after_prefix(), limit: 1 }).await?;
            let Some(first) = first.first().and_then(|(key, _)| key.to_wake()) else {
                return Ok((due, false));
            };
            let queue = Key::queue(shard, lane, &first.queue);
            from = queue.after_prefix();
            if only.is_some_and(|only| only != first.queue.sequence) {
                continue;
            }
            let to = Key::due(shard, lane, &first.queue, now + Span(1));
            let limit = limits::FORECAST_ROWS + 1 - due.len();
            let rows = store.scan(Scan { from: queue, to, limit }).await?;
            due.extend(rows.iter().filter_map(|(key, _)| key.to_wake()));
            if due.len() > limits::FORECAST_ROWS {
                due.truncate(limits::FORECAST_ROWS);
                return Ok((due, true));
            }
        }
    }

    async fn look_at(
        &self,
        forecast: &mut LaneForecast,
        freed: &Arc<Loaded>,
        row: &WakeRow,
        now: Moment,
    ) -> Result<(), Error> {
        let facts = record::read(&*self.node.store, Arc::clone(freed), row.enrollment).await?;
        let Some(facts) = facts else { return Ok(()) };
        let view = facts.view(now);
        let Some(step) = view.version.step(view.enrollment.step) else { return Ok(()) };
        forecast.looked_at += 1;
        let fate = match gate::ask(&view, step).map(|(_, verdict)| verdict) {
            None | Some(Verdict::Open) => &mut forecast.sent,
            Some(Verdict::Until(_) | Verdict::Held(_)) => &mut forecast.waiting,
            Some(Verdict::Skip(_)) => &mut forecast.skipped,
            Some(Verdict::Fail(_) | Verdict::Exit(_) | Verdict::Broken(_)) => &mut forecast.ended,
        };
        *fate += 1;
        Ok(())
    }
}

/// The tenant's scope as it would be with this one released.
fn without(loaded: &Loaded, released: &ScopeName, now: Moment) -> Result<Scope, Error> {
    let mut scope = loaded.scope.clone();
    match released {
        ScopeName::Tenant => {
            scope.tenant.holds.release(now);
        }
        ScopeName::Account(name) => {
            let no = loaded.account(name)?.no;
            scope.accounts.entry(no).and_modify(|account| {
                account.holds.release(now);
                account.reacted = None;
            });
        }
        ScopeName::Channel(name) => {
            let no = loaded.channel(name)?.no;
            scope.channels.entry(no).and_modify(|channel| {
                channel.holds.release(now);
            });
        }
        ScopeName::Sequence(name) => {
            let no = loaded.sequence(name.as_str())?.no;
            scope.sequences.entry(no).and_modify(|sequence| {
                sequence.holds.release(now);
            });
        }
    }
    Ok(scope)
}
