//! The last look: from a fired wake to the call, with everything that can wait before the intent.

use std::sync::Arc;

use followupd_channel::{Call, Rest, Slot};
use followupd_domain::channel::Channel;
use followupd_domain::decide::wake;
use followupd_domain::decision::{Decision, TraceId};
use followupd_domain::enrollment::OpenSend;
use followupd_domain::gate::{self, View};
use followupd_domain::lane::{Lane, WakeRow};
use followupd_domain::ledger::{Charge, Limits};
use followupd_domain::{ChannelNo, Moment, Span, render, sequence};
use followupd_store::{Class, Commit, Key, LedgerChange, LedgerOp};

use super::{Live, class_of, sent};
use crate::api::Error;
use crate::call::{self, Began, Ready};
use crate::limits;
use crate::pacer::{self, Returned};
use crate::plant::{Bug, Planted};
use crate::record::{self, Facts};

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
        if row.lane.channel != ChannelNo::CONTROL {
            self.ready = self.get_ready(row.lane.channel).await;
        }
        let returned = self.look(row).await;
        self.ready = Err(NOT_READY);
        returned
    }

    /// Waits a bounded time for what a call through a channel needs. Where there is none to have it says how the
    /// permit goes back; the wake is looked at all the same, since it may lead to something else than a call.
    async fn get_ready(&self, channel: ChannelNo) -> Result<Ready, Returned> {
        let node = &self.activation.node;
        let loaded = self.activation.tenant.loaded();
        let channel = loaded.scope.channels.get(&channel).ok_or(NOT_READY)?;
        let transport = node.transports.of(self.activation.tenant.no, channel).map_err(|problems| {
            let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
            tracing::warn!(tenant = %loaded.scope.tenant.name, channel = %channel.name, why = why.join("; "), "a channel has no way out");
            Returned::Rest(limits::NO_WAY_OUT)
        })?;
        let slot = tokio::time::timeout(limits::SLOT, transport.slot()).await.map_err(|_| NOT_READY)?;
        let slot = slot.map_err(|Rest(rest)| Returned::Rest(span(rest)))?;
        let under_way = node.send_begins().ok_or(NOT_READY)?;
        Ok(Ready { in_doubt: false, transport, slot, under_way })
    }

    /// What the next call through this channel needs; it has to be had anew when the channel has changed since.
    async fn take_ready(&mut self, channel: &Channel) -> Result<Ready, Returned> {
        let ready = std::mem::replace(&mut self.ready, Err(NOT_READY))?;
        let now = self.activation.node.transports.of(self.activation.tenant.no, channel);
        if now.is_ok_and(|now| Arc::ptr_eq(&now, &ready.transport)) {
            return Ok(ready);
        }
        drop(ready);
        self.get_ready(channel.no).await
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
        let ready = match self.take_ready(channel).await {
            Ok(ready) => ready,
            Err(returned) => return Ok(Step::Return(returned)),
        };
        self.activation.node.planted.render(&facts.enrollment().contact);
        let message = match render::render(&view, step) {
            Ok(message) => message,
            Err(failure) => return self.decided(facts, &wake::fail(&view, failure), now).await,
        };
        // Counted from now: the permit may have been granted a while ago.
        let (engine_now, day) = (self.activation.node.engine_now(), pacer::day(&facts.loaded, now));
        let charge = Charge { at: engine_now, day, open: true };
        let not_after = self.not_after(&view, step);
        let intent = wake::intend(&view, channel, charge, not_after);
        let trace = self.trace_of(facts);
        let call = self.to_call(facts, channel, address, message, trace, now);
        self.begin_too_early(&call, &ready, not_after);
        let node = Arc::clone(&self.activation.node);
        let notes = !node.planted.is(Bug::SendNotNoted);
        let noted = if notes { sent::note(facts, channel, now, charge.at)? } else { sent::Noted::default() };
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
        match committed {
            Ok(Some(_)) => Ok(self.begin(call, ready, not_after)),
            Ok(None) => {
                self.ready = Ok(ready);
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
            let ready = Ready { in_doubt: false, transport, slot, under_way };
            call::begin(node, self.activation.tenant.no, call.clone(), ready, not_after);
        }
    }

    /// The intent is durable: the call begins here, before anything else is handled.
    fn begin(&mut self, call: Call, ready: Ready, not_after: Moment) -> Step {
        let (node, send) = (&self.activation.node, call.send);
        let began = if node.planted.is(Bug::CallBeforeCommit) {
            Began::default()
        } else {
            call::begin(node, self.activation.tenant.no, call, ready, not_after)
        };
        self.calling = Some((send, began));
        Step::Return(Returned::Called)
    }

    /// A send that was open before this activation: called again where that is safe, else left uncertain.
    async fn in_doubt(&mut self, facts: &Facts, open: &OpenSend, now: Moment) -> Result<Step, Error> {
        if self.calling.as_ref().is_some_and(|(send, _)| *send == open.send) {
            return Ok(Step::Return(Returned::Called));
        }
        let view = facts.view(now);
        let counted = sent::is_counted(&self.activation.node, facts, open.channel);
        match wake::in_doubt(&view, open, counted) {
            wake::Doubt::Leave(decisions) => {
                let settled =
                    self.settle(facts, &decisions, open, (None, None), now, TraceId::default()).await?;
                Ok(if settled { Step::Return(Returned::Called) } else { Step::Again })
            }
            wake::Doubt::CallAgain => match self.call_again(facts, &view, open) {
                Some((channel, call, not_after)) => Ok(match self.take_ready(channel).await {
                    Ok(ready) => self.begin(call, Ready { in_doubt: true, ..ready }, not_after),
                    Err(returned) => Step::Return(returned),
                }),
                None => {
                    let decisions = wake::leave(&view);
                    let settled =
                        self.settle(facts, &decisions, open, (None, None), now, TraceId::default()).await?;
                    Ok(if settled { Step::Return(Returned::Called) } else { Step::Again })
                }
            },
        }
    }

    fn call_again<'a>(
        &self,
        facts: &'a Facts,
        view: &View<'_>,
        open: &OpenSend,
    ) -> Option<(&'a Channel, Call, Moment)> {
        let channel = facts.loaded.scope.channels.get(&open.channel)?;
        let address = facts.contact.value.address(channel.kind, &facts.enrollment().contact)?;
        let step = facts.version.step(open.send.step)?;
        let message = render::render(view, step).ok()?;
        let call = self.to_call(facts, channel, address, message, self.trace_of(facts), view.now);
        let call = Call { again: true, ..call };
        Some((channel, call, self.not_after(view, step)))
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
