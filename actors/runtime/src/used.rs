//! What a lane has used of its limits, and what these let expect of the days to come.

use followupd_domain::backlog::{Day, Pace};
use followupd_domain::channel::Channel;
use followupd_domain::lane::Lane;
use followupd_domain::ledger::{Earliest, Ledger, LimitName, Recipients, Window};
use followupd_domain::{Moment, Span};
use followupd_store::Key;

use crate::api::Error;
use crate::loaded::Loaded;
use crate::node::Node;
use crate::{limits, pacer};

/// What the lane of a channel has used of its limits at a moment. All moments it tells are of the wall.
pub(crate) struct Used<'a> {
    loaded: &'a Loaded,
    channel: &'a Channel,
    ledger: Ledger,
    /// How many new people it may write to now, and a day: as if all were new, and their days began at midnight.
    new: Option<(u64, u64)>,
    now: Moment,
    engine_now: Moment,
}

impl<'a> Used<'a> {
    pub(crate) async fn read(
        node: &Node,
        loaded: &'a Loaded,
        channel: &'a Channel,
    ) -> Result<Used<'a>, Error> {
        let key = Key::ledger(loaded.shard, Lane { tenant: loaded.scope.tenant.no, channel: channel.no });
        let row = node.store.get(vec![key]).await?.pop().flatten();
        let ledger = row.map(|row| Ledger::decode(&row.body)).transpose();
        let ledger = ledger.map_err(|error| Error::Unavailable(error.to_string()))?.unwrap_or_default();
        let new = room_for_new(node, loaded, channel).await?;
        Ok(Used { loaded, channel, ledger, new, now: node.now(), engine_now: node.engine_now() })
    }

    /// When its limits allow one more send, new people aside.
    pub(crate) fn earliest(&self) -> Earliest {
        let day = pacer::day_of_limits(self.loaded, self.now, self.engine_now);
        match self.ledger.earliest(&self.channel.limits, self.engine_now, day) {
            // A day that a clock took back ends with the ledger's.
            Earliest::At(at, name @ LimitName::PerDay) => {
                let within = self.on_the_wall(at) - Span(1);
                Earliest::At(pacer::day(self.loaded, within).next_day_at, name)
            }
            Earliest::At(at, name) => Earliest::At(self.on_the_wall(at), name),
            earliest @ (Earliest::Now | Earliest::WhenOpenSettles(_)) => earliest,
        }
    }

    /// How fast so many leave, by what its limits leave of now. Of a lane that is slowed for a while the whole pace
    /// counts, and of one that only days bound, which is as fast as can be. `None`: nothing paces it.
    pub(crate) fn pace(&self, due: u64) -> Option<Pace> {
        let limits = &self.channel.limits;
        let Some((name, every)) = limits.slowest(1_000) else {
            return self.bounds_days().then_some(Pace { every: 1, window: None });
        };
        let wanted = u32::try_from(due).unwrap_or(u32::MAX);
        let window = self.ledger.window(limits, name, wanted, self.engine_now);
        // Over many spans of a cap it comes to the same as if it were spread over them.
        let window = window.filter(|window| due / window.count.max(1) < limits::FORECAST_WINDOWS);
        let window = window.map(|window| Window { ends_at: self.on_the_wall(window.ends_at), ..window });
        let every = window.map_or(every, |_| limits.slowest_besides(name, 1_000).unwrap_or(1));
        Some(Pace { every, window })
    }

    /// Whether it may send only so many on a day.
    pub(crate) fn bounds_days(&self) -> bool {
        self.channel.limits.per_day.is_some() || self.new.is_some()
    }

    /// What it comes to for who is no new recipient: those before them who are, are put off.
    pub(crate) fn by_who_is_known(self) -> Used<'a> {
        Used { new: None, ..self }
    }

    /// What may be sent on the day of a moment: of today what is left of it.
    pub(crate) fn day(&self, at: Moment) -> Day {
        let (today, day) = (pacer::day(self.loaded, self.now), pacer::day(self.loaded, at));
        let left = self.ledger.left_on(&self.channel.limits, today.day, day.day).map(u64::from);
        let new = self.new.map(|(now, a_day)| if day.day == today.day { now } else { a_day });
        Day { left: left.into_iter().chain(new).min(), ends_at: day.next_day_at }
    }

    /// A moment of engine time, by the wall.
    pub(crate) fn on_the_wall(&self, at: Moment) -> Moment {
        self.now + at.since(self.engine_now)
    }
}

/// How many new people a channel may write to now, and a day: by its own limit and that of its account.
async fn room_for_new(node: &Node, loaded: &Loaded, channel: &Channel) -> Result<Option<(u64, u64)>, Error> {
    let (shard, tenant) = (loaded.shard, loaded.scope.tenant.no);
    let own = channel.limits.new_recipients;
    let own = own.map(|cap| (cap, Key::recipients(shard, Lane { tenant, channel: channel.no })));
    let account = loaded.scope.account_of(channel.no);
    let account = account.and_then(|account| {
        Some((account.new_recipients?, Key::account_recipients(shard, tenant, account.no)))
    });
    let caps: Vec<(u32, Key)> = own.into_iter().chain(account).collect();
    if caps.is_empty() {
        return Ok(None);
    }
    let rows = node.store.get(caps.iter().map(|(_, key)| key.clone()).collect()).await?;
    let (mut left, mut a_day) = (u64::MAX, u64::MAX);
    for ((cap, _), row) in caps.into_iter().zip(rows) {
        let known = row.map(|row| Recipients::decode(&row.body)).transpose();
        let known = known.map_err(|error| Error::Unavailable(error.to_string()))?.unwrap_or_default();
        left = left.min(u64::from(cap.saturating_sub(known.counted(node.engine_now()))));
        a_day = a_day.min(u64::from(cap));
    }
    Ok(Some((left, a_day)))
}
