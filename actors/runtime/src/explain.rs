//! Explaining an enrollment: what the core says of it on what the store has now, its lane's limits and line included.

use followupd_domain::backlog::{self, Day};
use followupd_domain::decide::explain::{self, Outlook};
use followupd_domain::enrollment::Enrollment;
use followupd_domain::gate::{self, Verdict, View};
use followupd_domain::lane::Lane;
use followupd_domain::ledger::Earliest;
use followupd_domain::sequence::Step;
use followupd_domain::{EnrollmentId, Moment, Span};
use followupd_store::{Key, Scan, Store};

use crate::api::{Error, Explanation};
use crate::loaded::{Loaded, TenantHandle};
use crate::node::Node;
use crate::record::{self, Facts};
use crate::used::Used;
use crate::{enrollment, limits};

/// Explains one enrollment as things are now.
pub(crate) async fn explain(
    node: &Node,
    tenant: &TenantHandle,
    id: EnrollmentId,
) -> Result<Explanation, Error> {
    let not_found = || Error::NotFound { what: "enrollment", name: id.to_string() };
    if id.shard() != tenant.shard {
        return Err(not_found());
    }
    let facts = record::read(&*node.store, tenant.loaded(), id).await?.ok_or_else(not_found)?;
    let facts = facts.with_addresses(node).await?;
    let view = facts.view(node.now());
    let outlook = outlook(node, &facts, &view).await?;
    let ahead = outlook.ahead.len();
    let explained = explain::explain(&view, &facts.record.value.history, &outlook);
    Ok(Explanation { explained, ahead, enrollment: facts.enrollment().clone() })
}

/// What the lane of its step lets expect.
async fn outlook(node: &Node, facts: &Facts, view: &View<'_>) -> Result<Outlook, Error> {
    let (loaded, step) = (&facts.loaded, view.version.step(view.enrollment.step));
    let Some((step, channel)) = step.and_then(|step| Some((step, view.channel(step)?))) else {
        let ahead = Vec::new();
        return Ok(Outlook { earliest: Earliest::Now, ahead, days_room_at: None, rests_until: None });
    };
    let lane = Lane { tenant: loaded.scope.tenant.no, channel: channel.no };
    let used = Used::read(node, loaded, channel).await?;
    let is_new = enrollment::is_new(facts, channel, node.engine_now());
    let used = if is_new { used } else { used.by_who_is_known() };
    let ahead = match explain::line_until(view) {
        Some(until) => ahead(&*node.store, loaded, lane, view.enrollment, (until, view.now)).await?,
        None => Vec::new(),
    };
    let days_room_at = Some(ahead.len()).filter(|ahead| *ahead > 0 && used.bounds_days());
    let days_room_at = days_room_at.map(|ahead| room_at(&used, view, step, ahead as u64 + 1));
    let rest = node.fares(loaded.shard, lane).await.map(|fares| fares.rests_until);
    let rests_until = rest.map(|rest| used.on_the_wall(rest)).filter(|until| *until > view.now);
    Ok(Outlook { earliest: used.earliest(), ahead, days_room_at, rests_until })
}

/// From when on the days, those aside on which the step's hours do not open, have room for the last of so many, as if
/// all of them were due.
fn room_at(used: &Used<'_>, view: &View<'_>, step: &Step, count: u64) -> Moment {
    backlog::room_at(count, view.now, |at| {
        let (day, hours) = (used.day(at), gate::hours(&View { now: at, ..*view }, step));
        let shut = matches!(hours, Verdict::Until(opens_at) if opens_at >= day.ends_at);
        if shut { Day { left: Some(0), ..day } } else { day }
    })
}

/// When those are due that stand before an enrollment in its lane: in queues of its class or a higher one whose
/// sequence is not held, up to a bound.
async fn ahead(
    store: &dyn Store,
    loaded: &Loaded,
    lane: Lane,
    enrollment: &Enrollment,
    (until, now): (Moment, Moment),
) -> Result<Vec<Moment>, Error> {
    let Some(own) = enrollment.wake_row() else { return Ok(Vec::new()) };
    let prefix = Key::lane(loaded.shard, lane);
    let (mut from, mut dues) = (prefix.clone(), Vec::new());
    while dues.len() < limits::LINE_LOOKS {
        let next = Scan { from, to: prefix.after_prefix(), limit: 1 };
        let Some(first) = store.scan(next).await?.first().and_then(|(key, _)| key.to_wake()) else { break };
        let queue = Key::queue(loaded.shard, lane, &first.queue);
        let held = loaded.scope.held_by(first.queue.sequence, lane.channel, now).is_some();
        if !held && first.queue.class <= own.queue.class {
            let to = Key::due(loaded.shard, lane, &first.queue, until + Span(1));
            let range = Scan { from: queue.clone(), to, limit: limits::LINE_LOOKS - dues.len() };
            let wakes = store.scan(range).await?;
            let before = wakes
                .iter()
                .filter_map(|(key, _)| key.to_wake())
                .filter(|wake| (wake.due_at, wake.enrollment) < (until, own.enrollment));
            dues.extend(before.map(|wake| wake.due_at));
        }
        from = queue.after_prefix();
    }
    dues.sort();
    Ok(dues)
}
