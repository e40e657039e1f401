//! How a lane fares: what its outcomes say together, and how far it is below its pace. Its shard keeps this over the
//! lives of its pacers, which end whenever nothing is due for a while.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use followupd_domain::channel::Channel;
use followupd_domain::health::{Act, Health, Said, StepOf};
use followupd_domain::holds::Reacted;
use followupd_domain::lane::Lane;
use followupd_domain::ledger::{Limits, Rate};
use followupd_domain::signal::{KillSwitch, Row, Run};
use followupd_domain::{Moment, SendId, Span};

use super::slow::Slow;
use crate::limits;
use crate::loaded::TenantHandle;
use crate::node::Node;
use crate::plant::Bug;
use crate::settings::react::Reacting;
use crate::tenant::TenantMsg;

/// The vitals of one lane.
#[derive(Clone, Default)]
pub(crate) struct Vitals(Arc<Mutex<State>>);

#[derive(Default)]
struct State {
    health: Health,
    slow: Slow,
    /// The end of the hold that it was eased in after.
    eased_in_after: Option<Moment>,
    /// Nothing can leave it before then.
    rests_until: Moment,
    /// When its kill switches looked last.
    watched_at: Moment,
    /// What of its sends failed in a row.
    row: Row,
}

/// What is known of a message, as its lane hears it.
#[derive(Clone, Debug)]
pub(crate) struct Heard {
    pub(crate) send: SendId,
    /// What it says of others, where it does.
    pub(crate) said: Option<(StepOf, Said)>,
    /// Whether the message failed, where that is known by it.
    pub(crate) failed: Option<bool>,
    /// Whether it is the first that is known of the message.
    pub(crate) is_first: bool,
    /// How long its call took.
    pub(crate) took: Span,
}

/// How a lane fares, for people; times are of the engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Fares {
    /// What it has of its pace, in thousandths.
    pub(crate) share: i64,
    /// Nothing can leave it before then: the hosts it calls rest, say.
    pub(crate) rests_until: Moment,
    /// How many of its sends failed in a row.
    pub(crate) run: Run,
}

impl Vitals {
    /// What came of a call may say something of others: the lane is slowed, or its tenant told what to hold.
    pub(crate) fn learn(&self, node: &Node, tenant: &TenantHandle, lane: Lane, heard: &Heard) {
        let (now, loaded) = (node.now(), tenant.loaded());
        let mut state = self.lock();
        let channel = loaded.scope.channels.get(&lane.channel);
        if let Some(run) = channel.and_then(|channel| state.watch(channel, heard, now)) {
            // The next outcome asks again.
            let _ = tenant.actor.send_message(TenantMsg::Watch(lane.channel, run));
        }
        let Some((step, said)) = &heard.said else { return };
        let ignored = |act: &Act| {
            let bug =
                if matches!(act, Act::Slow { .. }) { Bug::ThrottleIgnored } else { Bug::ProviderHoldIgnored };
            node.planted.is(bug)
        };
        let act = state.health.hear(*step, said, heard.took, now);
        let reacting = match act.filter(|act| !ignored(act)) {
            None => return,
            Some(Act::Slow { after }) => return state.slow.slow(after, node.engine_now()),
            Some(Act::HoldSender { scope, until, because }) => {
                Reacting::of(&loaded, lane.channel, scope, until, because)
            }
            Some(Act::RestAccount { until, because }) => {
                let Some(account) = loaded.scope.account_of(lane.channel) else { return };
                Reacting::Account { account: account.no, until: Some(until), because }
            }
            Some(Act::HoldStep { step, template, until, because }) => {
                let steps = if template { loaded.scope.like(step, lane.channel) } else { vec![step] };
                let because = if template { Reacted::to_template(&because) } else { because };
                Reacting::Steps { steps, until, because }
            }
        };
        // A tenant that is stopping holds nothing; the next answer says it again.
        let _ = tenant.actor.send_message(TenantMsg::React(reacting));
    }

    /// How it fares now.
    pub(crate) fn fares(&self, now: Moment) -> Fares {
        let state = self.lock();
        Fares { share: state.slow.share(now), rests_until: state.rests_until, run: state.row.run() }
    }

    /// Nothing can leave it before then.
    pub(super) fn rests_until(&self, at: Moment) {
        self.lock().rests_until = at;
    }

    /// When the next may be granted, where that is not now.
    pub(super) fn until(&self, now: Moment) -> Option<Moment> {
        self.lock().slow.until(now)
    }

    /// One was granted.
    pub(super) fn granted(&self, limits: &Limits, now: Moment) {
        self.lock().slow.granted(limits, now);
    }

    /// One left that counts as so many for its rate.
    pub(crate) fn counts(&self, rate: &Rate, as_many: u32, now: Moment) {
        self.lock().slow.counts(rate, as_many, now);
    }

    /// A hold of what leaves by it ended then, `at` in engine time: once for each.
    pub(super) fn ease_in(&self, ended_at: Moment, at: Moment) {
        let mut state = self.lock();
        if state.eased_in_after.replace(ended_at) != Some(ended_at) {
            state.slow.ease_in(at);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// How many of a channel's sends failed in a row, where its switches look now: once in a while, and where that is one
    /// too many.
    fn watch(&mut self, channel: &Channel, heard: &Heard, now: Moment) -> Option<Run> {
        if !channel.watches_a_row() {
            // What nobody looks at is not kept: a switch that is put later begins with it.
            self.row = Row::default();
        }
        if !channel.is_watched() {
            return None;
        }
        let from = channel.watched_from;
        let before = self.row.run().since(from);
        match heard.failed.filter(|_| channel.watches_a_row()) {
            Some(failed) if heard.is_first => self.row.answered(from, heard.send, failed),
            Some(failed) => drop(self.row.told(heard.send, failed)),
            None => {}
        }
        let run = self.row.run();
        let grown = before + 1..=run.since(from);
        let reaches = |switch: &KillSwitch| switch.is_of_a_row() && grown.contains(&switch.after);
        let watched = now >= self.watched_at && now.since(self.watched_at) < limits::WATCH_EVERY;
        if watched && !channel.kill_switches.iter().any(reaches) {
            return None;
        }
        self.watched_at = now;
        Some(run)
    }
}
