//! The last look: from a fired wake to the call, with everything that can wait before the intent.

use std::sync::Arc;

use followupd_channel::{Call, Rest, Slot};
use followupd_domain::channel::{Channel, InDoubt};
use followupd_domain::decide::{self, wake};
use followupd_domain::decision::{Decision, TraceId};
use followupd_domain::enrollment::OpenSend;
use followupd_domain::gate::{self, View};
use followupd_domain::lane::{Lane, PriorityClass, WakeRow};
use followupd_domain::ledger::{Charge, Limits};
use followupd_domain::{Moment, Span, render, sequence};
use followupd_store::{Class, Commit, Key, LedgerChange, LedgerOp};

use super::{Ending, Live, class_of, sent};
use crate::api::{Changed, Error};
use crate::call::{self, For, Ready};
use crate::limits;
use crate::pacer::{self, Returned};
use crate::plant::{Bug, Planted};
use crate::record::{self, Facts};
use crate::shard::ShardMsg;

/// How a permit goes back when there is nothing to call with just now.
pub(super) const NOT_READY: Returned = Returned::Later(limits::RETRY_STORE);

/// What one look at a fired wake came to.
enum Step {
    /// Look again: something changed under it.
    Again,
    /// The permit goes back like this.
    Return(Returned),
}

impl Live {
    /// Handles a fired wake; says what becomes of the permit.
    pub(super) async fn wake(&mut self, row: &WakeRow) -> Returned {
        let returned = self.look(row).await;
        self.ready = None;
        if matches!(returned, Returned::Called | Returned::Settled | Returned::Gone | Returned::Closed) {
            self.uncalled.clear();
        }
        returned
    }

    /// Waits a bounded time for what a call through a channel needs; where there is none to have it says how the permit
    /// goes back.
    async fn get_ready(&self, channel: &Channel, urgent: bool) -> Result<Ready, Returned> {
        let node = &self.activation.node;
        let loaded = self.activation.tenant.loaded();
        let transport = node.transports.of(self.activation.tenant.no, channel).map_err(|problems| {
            let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
            tracing::warn!(tenant = %loaded.scope.tenant.name, channel = %channel.name, why = why.join("; "), "a channel has no way out");
            Returned::Rest(limits::NO_WAY_OUT)
        })?;
        let slot = tokio::time::timeout(limits::SLOT, transport.slot(urgent)).await.map_err(|_| NOT_READY)?;
        let slot = slot.map_err(|Rest(rest)| Returned::Rest(span(rest)))?;
        let under_way = node.send_begins().ok_or(NOT_READY)?;
        Ok(Ready { transport, slot, under_way })
    }

    /// What the next call through this channel needs: at once, or `None` when it had to be waited for and is there now.
    /// What was read before that wait is old. It has to be had anew when the channel has changed since.
    async fn take_ready(&mut self, channel: &Channel, urgent: bool) -> Result<Option<Ready>, Returned> {
        if let Some(ready) = self.ready.take() {
            let now = self.activation.node.transports.of(self.activation.tenant.no, channel);
            if now.is_ok_and(|now| Arc::ptr_eq(&now, &ready.transport)) {
                return Ok(Some(ready));
            }
        }
        let began = self.activation.node.env.steady();
        let ready = self.get_ready(channel, urgent).await?;
        if self.activation.node.env.steady() == began {
            return Ok(Some(ready));
        }
        self.ready = Some(ready);
        Ok(None)
    }

    async fn look(&mut self, row: &WakeRow) -> Returned {
        let mut first = None;
        for _ in 0..limits::LOOKS {
            let step = match self.facts_to_send().await {
                Ok(None) => return Returned::Gone,
                Ok(Some(mut facts)) => {
                    if self.activation.node.planted.is(Bug::NoExitCheck) {
                        let seen = first.get_or_insert_with(|| facts.record.value.clone());
                        facts.record.value = seen.clone();
                    }
                    self.mistake(&mut facts);
                    self.step(&facts, row).await
                }
                Err(error) => Err(error),
            };
            match step {
                Ok(Step::Again) => {}
                Ok(Step::Return(returned)) => return returned,
                Err(error) => {
                    tracing::warn!(enrollment = %self.activation.id, %error, "a wake waits for the store");
                    return Returned::Later(limits::RETRY_STORE);
                }
            }
        }
        Returned::Later(limits::RETRY_STORE)
    }

    async fn step(&mut self, facts: &Facts, row: &WakeRow) -> Result<Step, Error> {
        let now = self.activation.node.now();
        let view = facts.view(now);
        match wake::look(&view, row) {
            wake::Look::Gone => Ok(Step::Return(Returned::Gone)),
            wake::Look::Held(_) => Ok(Step::Return(Returned::Closed)),
            wake::Look::Closed(_) => match self.over_the_edge(facts, row, now) {
                Some((channel, address)) => self.send(facts, row, channel, address, now).await,
                None => Ok(Step::Return(Returned::Closed)),
            },
            wake::Look::InDoubt(open) => self.in_doubt(facts, &open, now).await,
            wake::Look::Decided(decisions) => self.decided(facts, &decisions, now).await,
            wake::Look::Send(channel, address) => self.send(facts, row, channel, address, now).await,
        }
    }

    /// Where a planted bug sends though the hours have just closed.
    fn over_the_edge<'a>(
        &self,
        facts: &'a Facts,
        row: &WakeRow,
        now: Moment,
    ) -> Option<(&'a Channel, &'a str)> {
        if !self.activation.node.planted.is(Bug::HoursEndInclusive) {
            return None;
        }
        let a_minute_ago = facts.view(now - Span::minutes(1));
        let wake::Look::Send(channel, address) = wake::look(&a_minute_ago, row) else { return None };
        Some((channel, address))
    }

    /// Where a bug is planted that takes channels for others than they are.
    fn mistake(&self, facts: &mut Facts) {
        let planted = self.activation.node.planted;
        let (again, no_gap) = (planted.is(Bug::DoubtCalledAgain), planted.is(Bug::RecipientGapIgnored));
        if !again && !no_gap {
            return;
        }
        for channel in Arc::make_mut(&mut facts.loaded).scope.channels.values_mut() {
            if again {
                channel.in_doubt = Some(InDoubt::Resend);
            }
            if no_gap {
                channel.limits.recipient_gap = None;
            }
        }
    }

    /// The last look found nothing to send: it leads to this.
    async fn decided(&self, facts: &Facts, decisions: &[Decision], now: Moment) -> Result<Step, Error> {
        let committed =
            self.commit(facts, decisions, now, TraceId::default(), class_of(decisions), |_| ()).await?;
        Ok(if committed.is_some() { Step::Return(Returned::Gone) } else { Step::Again })
    }

    /// All gates are open: renders, commits the intent, and begins the call.
    async fn send(
        &mut self,
        facts: &Facts,
        row: &WakeRow,
        channel: &Channel,
        address: &str,
        now: Moment,
    ) -> Result<Step, Error> {
        let view = facts.view(now);
        let Some(step) = facts.version.step(facts.enrollment().step) else {
            return Ok(Step::Return(Returned::Gone));
        };
        if let Some(at) = sent::room_at(&self.activation.node, facts, channel, now).await? {
            let until = now + at.since(self.activation.node.engine_now());
            return self.decided(facts, &wake::put_off(&view, until), now).await;
        }
        let urgent = facts.version.class == PriorityClass::Transactional;
        let ready = match self.take_ready(channel, urgent).await {
            Ok(Some(ready)) => ready,
            Ok(None) => return Ok(Step::Again),
            Err(returned) => return Ok(Step::Return(returned)),
        };
        self.activation.node.planted.render(&facts.enrollment().contact);
        let message = match render::render(&view, step) {
            Ok(message) => message,
            Err(failure) => return self.decided(facts, &wake::fail(&view, failure), now).await,
        };
        // Counted from now: the permit may have been granted a while ago.
        let engine_now = self.activation.node.engine_now();
        let day = pacer::day_of_limits(&facts.loaded, now, engine_now);
        let charge = Charge { at: engine_now, day, open: true };
        let not_after = self.not_after(&view, step);
        let intent = wake::intend(&view, channel, charge, not_after);
        let trace = self.trace_of(facts);
        let call = self.to_call(facts, channel, address, message, trace, now);
        let told_after = channel.limits.start_told_after();
        let made_for = For { tenant: self.activation.tenant.no, not_after, told_after };
        self.begin_too_early(&call, &ready, not_after);
        let node = Arc::clone(&self.activation.node);
        let notes = !node.planted.is(Bug::SendNotNoted);
        let mut noted =
            if notes { sent::note(facts, channel, now, charge.at)? } else { sent::Noted::default() };
        if node.planted.is(Bug::AccountNotCharged) {
            let own = Key::recipients(facts.loaded.shard, row.lane);
            noted.recipients.retain(|change| change.key == own);
        }
        let open = decide::apply(facts.enrollment().clone(), std::slice::from_ref(&intent), now).open;
        let committed = self
            .commit(facts, &[intent], now, trace, Class::Intent, |transition| {
                transition.commit.puts.extend(noted.contact);
                transition.commit.ledger.extend(noted.recipients);
                expect_intent(facts, row.lane, channel, &mut transition.commit, node.planted);
                // The bug is that nobody looks what the lane's past allows.
                let planted = node.planted.is(Bug::PermitAfterRestart);
                let limits = if planted { Limits::default() } else { channel.limits.clone() };
                let key = Key::ledger(facts.loaded.shard, row.lane);
                let op = LedgerOp::Charge { limits, now: charge.at, day };
                transition.commit.ledger.push(LedgerChange { key, op });
            })
            .await;
        self.uncalled.extend(open.filter(|_| matches!(committed, Ok(None))));
        self.intended(committed, (row.lane, call), (ready, made_for))
    }

    /// What an intent's commit came to: where it is durable the call begins here, before anything else is handled.
    fn intended(
        &mut self,
        committed: Result<Option<Changed>, Error>,
        (lane, call): (Lane, Call),
        (ready, made_for): (Ready, For),
    ) -> Result<Step, Error> {
        let node = &self.activation.node;
        match committed {
            Ok(Some(_)) => {
                let as_many = ready.transport.counts(&call.message);
                if as_many > 1 {
                    node.tell(self.activation.tenant.shard, ShardMsg::Counts(lane, as_many));
                }
                if !node.planted.is(Bug::CallBeforeCommit) {
                    call::begin(node, call, ready, made_for);
                }
                Ok(Step::Return(Returned::Called))
            }
            Ok(None) => {
                self.ready = Some(ready);
                Ok(Step::Again)
            }
            Err(Error::Overloaded { .. }) => Ok(Step::Return(Returned::Denied)),
            Err(error) => Err(error),
        }
    }

    /// Until when a call may begin that is decided on now.
    fn not_after(&self, view: &View<'_>, step: &sequence::Step) -> Moment {
        if self.activation.node.planted.is(Bug::HoursEndInclusive) {
            return view.now + followupd_domain::limits::INTENT_LIFE;
        }
        gate::begins_until(view, step)
    }

    /// Where that bug is planted, the call begins before its intent is durable.
    fn begin_too_early(&self, call: &Call, ready: &Ready, not_after: Moment) {
        let node = &self.activation.node;
        if node.planted.is(Bug::CallBeforeCommit)
            && let Some(under_way) = node.send_begins()
        {
            let (transport, slot) = (Arc::clone(&ready.transport), Slot::default());
            let made_for = For { tenant: self.activation.tenant.no, not_after, told_after: None };
            let ready = Ready { transport, slot, under_way };
            call::begin(node, call.clone(), ready, made_for);
        }
    }

    /// A send that is open: its call is out, or somebody began it who did not see the end.
    async fn in_doubt(&self, facts: &Facts, open: &OpenSend, now: Moment) -> Result<Step, Error> {
        if self.activation.node.call_of(open.send).is_some() {
            return Ok(Step::Return(Returned::UnderWay));
        }
        // Nobody knew whether its intent was written, so that nothing was called.
        let uncalled = self.uncalled.contains(open);
        let decisions = match uncalled {
            true => vec![Decision::Withdrawn],
            false => wake::in_doubt(&facts.view(now), open),
        };
        let ending = Ending { uncalled, ..Ending::default() };
        let settled = self.settle(facts, &decisions, open, ending, now, TraceId::default()).await?;
        Ok(if settled { Step::Return(Returned::Settled) } else { Step::Again })
    }

    fn to_call(
        &self,
        facts: &Facts,
        channel: &Channel,
        address: &str,
        message: render::Message,
        trace: TraceId,
        at: Moment,
    ) -> Call {
        let send = facts.enrollment().send_id();
        Call {
            send,
            key: send.to_text(self.activation.node.key),
            tenant: facts.loaded.scope.tenant.name.clone(),
            channel: channel.name.clone(),
            kind: channel.kind,
            address: address.to_owned(),
            contact: facts.enrollment().contact.clone(),
            message,
            trace,
            at,
            again: facts.enrollment().attempts > 0,
        }
    }

    /// The trace of what planned this step: from the enroll or event to the provider's answer.
    fn trace_of(&self, facts: &Facts) -> TraceId {
        let history = &facts.record.value.history;
        let traced = history.iter().rev().find(|entry| entry.trace != TraceId::default());
        traced.map(|entry| entry.trace).unwrap_or_default()
    }
}

fn span(time: std::time::Duration) -> Span {
    // Rounded up: a millisecond early it would rest still.
    Span(i64::try_from(time.as_millis()).unwrap_or(i64::MAX).saturating_add(1))
}

/// An intent expects its contact, the address it goes to and its scopes: what changed them since stops it.
fn expect_intent(facts: &Facts, lane: Lane, channel: &Channel, commit: &mut Commit, planted: Planted) {
    debug_assert_eq!(lane.channel, channel.no, "an intent leaves from the lane of its channel");
    if !planted.is(Bug::NoContactExpectation) {
        commit.expects.push(facts.contact.expectation());
        commit.expects.extend(facts.addresses.expectation(channel.kind));
    }
    commit.expects.extend(facts.target.as_ref().map(record::Read::expectation));
    commit.expects.extend(facts.loaded.expects(facts.enrollment().sequence, channel.no));
}
