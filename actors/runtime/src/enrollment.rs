//! The actor of one enrollment, while something happens to it.
//!
//! Each message makes it read what it needs, decide, and commit; it is safe to repeat, and keeps nothing that the
//! store does not have but the send it has called. When nothing is under way it asks its shard to let it go.

use std::collections::BTreeSet;
use std::sync::Arc;

use followupd_channel::Call;
use followupd_domain::channel::Channel;
use followupd_domain::decide::outcome::{self, Outcome, Receipt};
use followupd_domain::decide::{hold, leave, wake};
use followupd_domain::decision::{Decision, TraceId};
use followupd_domain::enrollment::{Enrollment, ExitReason, OpenSend, SendStatus};
use followupd_domain::event::Event;
use followupd_domain::gate::{self, View};
use followupd_domain::lane::{Lane, WakeRow};
use followupd_domain::ledger::{Charge, Limits};
use followupd_domain::{EnrollmentId, Moment, SendId, render, sequence};
use followupd_store::{Class, Key, LedgerChange, LedgerOp, Refused};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::api::{Changed, Command, Error};
use crate::call::{self, CallEnded};
use crate::limits;
use crate::loaded::{Loaded, TenantHandle};
use crate::node::Node;
use crate::pacer::{self, PacerMsg, Returned};
use crate::plant::Bug;
use crate::record::{self, Facts, Transition};
use crate::shard::ShardMsg;

/// What an enrollment can be told.
pub(crate) enum EnrollmentMsg {
    /// Its wake was pulled.
    Wake { row: WakeRow, pacer: ActorRef<PacerMsg> },
    /// Its call has ended.
    CallEnded(CallEnded),
    /// Somebody asks something of it.
    Ask(Ask, RpcReplyPort<Result<Changed, Error>>),
}

/// What can be asked of an enrollment, and by which trace.
#[derive(Clone)]
pub(crate) enum Ask {
    /// A command by hand.
    Command(Command, TraceId),
    /// An accepted event; whether the contact opted out by it.
    Event(Arc<Event>, bool, TraceId),
    /// A receipt for one of its sends.
    Receipt(SendId, Receipt, TraceId),
    /// It kept failing: set it apart.
    Quarantine(String),
}

/// The actor.
pub(crate) struct EnrollmentActor;

/// What one is made of.
pub(crate) struct Activation {
    pub(crate) node: Arc<Node>,
    pub(crate) tenant: TenantHandle,
    pub(crate) id: EnrollmentId,
    pub(crate) shard: ActorRef<ShardMsg>,
}

/// An activation, and what it has called.
pub(crate) struct Live {
    activation: Activation,
    /// The send whose call is out, and what the history says it was called for.
    calling: Option<SendId>,
    handled: u64,
}

impl Actor for EnrollmentActor {
    type Msg = EnrollmentMsg;
    type State = Live;
    type Arguments = Activation;

    async fn pre_start(
        &self,
        _myself: ActorRef<Self::Msg>,
        activation: Activation,
    ) -> Result<Live, ActorProcessingErr> {
        Ok(Live { activation, calling: None, handled: 0 })
    }

    async fn handle(
        &self,
        _myself: ActorRef<Self::Msg>,
        message: EnrollmentMsg,
        live: &mut Live,
    ) -> Result<(), ActorProcessingErr> {
        match message {
            EnrollmentMsg::Wake { row, pacer } => {
                let returned = live.wake(&row).await;
                // A pacer that is gone reads the store when it is back.
                let _ = pacer.send_message(PacerMsg::Returned(row, returned));
            }
            EnrollmentMsg::CallEnded(ended) => live.call_ended(ended).await,
            EnrollmentMsg::Ask(ask, reply) => {
                let answer = live.ask(&ask).await;
                // The caller may have gone; what was decided stands.
                let _ = reply.send(answer);
            }
        }
        live.handled += 1;
        if live.calling.is_none() {
            let idle = ShardMsg::Idle { id: live.activation.id, handled: live.handled };
            let _ = live.activation.shard.send_message(idle);
        }
        Ok(())
    }
}

/// What one look at a fired wake came to.
enum Step {
    /// Look again: something changed under it.
    Again,
    /// The permit goes back like this.
    Return(Returned),
}

impl Live {
    async fn facts(&self) -> Result<Option<Facts>, Error> {
        let loaded = self.activation.tenant.loaded();
        record::read(&*self.activation.node.store, loaded, self.activation.id).await
    }

    /// Handles a fired wake; says what becomes of the permit.
    async fn wake(&mut self, row: &WakeRow) -> Returned {
        let mut first = None;
        for _ in 0..limits::LOOKS {
            let step = match self.facts().await {
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
        let wake::Look::Send(channel, address) =
            wake::look(&facts.view(now + followupd_domain::Span(-1)), row)
        else {
            return None;
        };
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
        if self.activation.node.planted.is(Bug::CallBeforeCommit) {
            call::begin(&self.activation.node, self.activation.tenant.no, call.clone(), not_after);
        }
        let node = Arc::clone(&self.activation.node);
        let committed = self
            .commit(facts, &[intent], now, trace, Class::Intent, |transition| {
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
            Ok(Some(_)) => Ok(self.begin(call, not_after)),
            Ok(None) => Ok(Step::Again),
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

    /// The intent is durable: the call begins here, before anything else is handled.
    fn begin(&mut self, call: Call, not_after: Moment) -> Step {
        let node = &self.activation.node;
        self.calling = Some(call.send);
        if !node.planted.is(Bug::CallBeforeCommit) {
            call::begin(node, self.activation.tenant.no, call, not_after);
        }
        Step::Return(Returned::Called)
    }

    /// A send that was open before this activation: called again where that is safe, else left uncertain.
    async fn in_doubt(&mut self, facts: &Facts, open: &OpenSend, now: Moment) -> Result<Step, Error> {
        if self.calling == Some(open.send) {
            return Ok(Step::Return(Returned::Called));
        }
        let view = facts.view(now);
        match wake::in_doubt(&view, open) {
            wake::Doubt::Leave(decisions) => {
                let settled = self.settle(facts, &decisions, open, None, now, TraceId::default()).await?;
                Ok(if settled { Step::Return(Returned::Called) } else { Step::Again })
            }
            wake::Doubt::CallAgain => Ok(match self.call_again(facts, &view, open) {
                Some((call, not_after)) => self.begin(call, not_after),
                None => {
                    let decisions = outcome::outcome(&view, open.send, &Outcome::Uncertain, 0);
                    let settled = self.settle(facts, &decisions, open, None, now, TraceId::default()).await?;
                    if settled { Step::Return(Returned::Called) } else { Step::Again }
                }
            }),
        }
    }

    fn call_again(&self, facts: &Facts, view: &View<'_>, open: &OpenSend) -> Option<(Call, Moment)> {
        let channel = facts.loaded.scope.channels.get(&open.channel)?;
        let address = facts.contact.value.address(channel.kind, &facts.enrollment().contact)?;
        let step = facts.version.step(open.send.step)?;
        let message = render::render(view, step).ok()?;
        let call = self.to_call(facts, channel, address, message, self.trace_of(facts), view.now);
        Some((call, self.not_after(view, step)))
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
        }
    }

    /// The trace of what planned this step: from the enroll or event to the provider's answer.
    fn trace_of(&self, facts: &Facts) -> TraceId {
        let history = &facts.record.value.history;
        let traced = history.iter().rev().find(|entry| entry.trace != TraceId::default());
        traced.map(|entry| entry.trace).unwrap_or_default()
    }

    async fn call_ended(&mut self, ended: CallEnded) {
        for _ in 0..limits::LOOKS {
            let facts = match self.facts().await {
                Ok(Some(facts)) => facts,
                Ok(None) => break,
                Err(error) => {
                    tracing::warn!(enrollment = %self.activation.id, %error, "an outcome waits for the store");
                    tokio::time::sleep(store_pause()).await;
                    continue;
                }
            };
            let now = self.activation.node.now();
            let Some(open) = facts.enrollment().open.filter(|open| open.send == ended.send) else { break };
            let jitter = (self.activation.node.env.random() % 1_001) as u16;
            let decisions = outcome::outcome(&facts.view(now), ended.send, &ended.outcome, jitter);
            match self.settle(&facts, &decisions, &open, Some(&ended), now, ended.trace).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(enrollment = %self.activation.id, %error, "an outcome waits for the store");
                    tokio::time::sleep(store_pause()).await;
                }
            }
        }
        self.calling = None;
    }

    /// Commits what settles an open send, and what its lane was charged for it; whether it was written.
    async fn settle(
        &self,
        facts: &Facts,
        decisions: &[Decision],
        open: &OpenSend,
        ended: Option<&CallEnded>,
        now: Moment,
        trace: TraceId,
    ) -> Result<bool, Error> {
        let lane = Lane { tenant: facts.enrollment().tenant, channel: open.channel };
        let began_at = ended.and_then(|ended| ended.began_at);
        let surely_not = ended.is_some_and(|ended| {
            matches!(ended.outcome, Outcome::NotBegun | Outcome::Refused { .. } | Outcome::Rejected { .. })
        });
        let charge = open.charge;
        let op = if surely_not && began_at.is_none() {
            LedgerOp::Refund { charge }
        } else {
            LedgerOp::Settle { charge, started_at: began_at }
        };
        let key = Key::ledger(facts.loaded.shard, lane);
        let settled = self
            .commit(facts, decisions, now, trace, Class::Outcome, |transition| {
                transition.commit.ledger.push(LedgerChange { key, op: op.clone() });
            })
            .await?;
        if settled.is_none() {
            return Ok(false);
        }
        self.activation.node.tell(facts.loaded.shard, ShardMsg::Settled(lane, self.activation.id, op));
        Ok(true)
    }

    /// Commits decisions on these facts; `None` when something changed under them.
    async fn commit(
        &self,
        facts: &Facts,
        decisions: &[Decision],
        now: Moment,
        trace: TraceId,
        class: Class,
        more: impl FnOnce(&mut Transition),
    ) -> Result<Option<Changed>, Error> {
        let node = &self.activation.node;
        let mut transition = record::transition(facts, decisions, now, trace, class, node.planted)?;
        more(&mut transition);
        match node.store.commit(transition.commit).await {
            Ok(_) => {
                let (before, after) = (facts.enrollment(), &transition.after.enrollment);
                // A row that stays is in line again once its send is open no more.
                let waits = after.wake_row().filter(|_| after.open.is_none());
                if let Some(row) =
                    waits.filter(|row| before.open.is_some() || before.wake_row() != Some(*row))
                {
                    node.tell(facts.loaded.shard, ShardMsg::Wakes(vec![row]));
                }
                Ok(Some(changed(transition.after.enrollment, true)))
            }
            Err(Refused::Stale(key)) => {
                self.refresh(&facts.loaded, &key).await;
                Ok(None)
            }
            // Written or not: the next look reads what is there, and so do the lanes that were not told.
            Err(Refused::Unknown) => {
                let (was, is) = (facts.enrollment().wake_row(), transition.after.enrollment.wake_row());
                let lanes: BTreeSet<Lane> = was.into_iter().chain(is).map(|row| row.lane).collect();
                node.tell(facts.loaded.shard, ShardMsg::ReadAgain(lanes));
                Ok(None)
            }
            Err(Refused::Limit(_)) => Err(Error::Overloaded { retry_after: limits::COME_BACK }),
            Err(error @ (Refused::Unavailable(_) | Refused::Invalid(_))) => {
                Err(Error::Unavailable(error.to_string()))
            }
        }
    }

    /// A scope that has changed since it was read is read again before the next look.
    async fn refresh(&self, loaded: &Arc<Loaded>, key: &Key) {
        if loaded.versions.contains_key(key) {
            crate::tenant::refresh(&self.activation.tenant, loaded).await;
        }
    }

    async fn ask(&mut self, ask: &Ask) -> Result<Changed, Error> {
        for _ in 0..limits::LOOKS {
            let not_found = || Error::NotFound { what: "enrollment", name: self.activation.id.to_string() };
            let facts = self.facts().await?.ok_or_else(not_found)?;
            let now = self.activation.node.now();
            let view = facts.view(now);
            let (decisions, trace) = self.decide(ask, &view);
            if decisions.is_empty() {
                return Ok(changed(facts.enrollment().clone(), false));
            }
            let settles = settled_open(&facts, &decisions);
            let written = match settles {
                Some(open) => {
                    let settled = self.settle(&facts, &decisions, &open, None, now, trace).await?;
                    let now = if settled { self.facts().await? } else { None };
                    now.map(|facts| changed(facts.enrollment().clone(), true))
                }
                None => self.commit(&facts, &decisions, now, trace, class_of(&decisions), |_| ()).await?,
            };
            if let Some(changed) = written {
                return Ok(changed);
            }
        }
        Err(Error::Overloaded { retry_after: limits::COME_BACK })
    }

    fn decide(&self, ask: &Ask, view: &View<'_>) -> (Vec<Decision>, TraceId) {
        match ask {
            Ask::Command(Command::Exit, trace) => (leave::exit(view, ExitReason::Manual), *trace),
            Ask::Command(Command::Pause, trace) => (hold::pause(view), *trace),
            Ask::Command(Command::Resume, trace) => (hold::resume(view), *trace),
            Ask::Command(Command::Release, trace) => (hold::release(view), *trace),
            Ask::Event(event, opted_out, trace) => (leave::event(view, event, *opted_out), *trace),
            Ask::Quarantine(reason) => (hold::quarantine(view, reason), TraceId::default()),
            Ask::Receipt(send, receipt, trace) => {
                let decisions = outcome::receipt(view, send.step, *receipt);
                let moved_back = self.activation.node.planted.is(Bug::ReceiptMovesBack)
                    && decisions.is_empty()
                    && view
                        .enrollment
                        .sends
                        .iter()
                        .any(|sent| sent.step == send.step && sent.status.rank() > 2);
                let back = Decision::Received { step: send.step, status: SendStatus::Sent };
                (if moved_back { vec![back] } else { decisions }, *trace)
            }
        }
    }
}

/// The open send that these decisions settle, if they do.
fn settled_open(facts: &Facts, decisions: &[Decision]) -> Option<OpenSend> {
    let settles = decisions.iter().any(|decision| matches!(decision, Decision::Accepted { .. }));
    facts.enrollment().open.filter(|_| settles)
}

fn store_pause() -> std::time::Duration {
    std::time::Duration::from_millis(limits::RETRY_STORE.0.unsigned_abs())
}

fn changed(after: Enrollment, changed: bool) -> Changed {
    let in_flight = after.open.map(|open| open.send);
    Changed { enrollment: after, in_flight, changed }
}

/// Where decisions that are no intent or outcome stand in a group.
pub(crate) fn class_of(decisions: &[Decision]) -> Class {
    let exits = decisions.iter().any(|decision| {
        matches!(decision, Decision::Exited(_) | Decision::Failed(_) | Decision::Paused { .. })
    });
    if exits { Class::Exit } else { Class::Outcome }
}

/// An intent expects its contact and its scopes: what changed them since stops it.
fn expect_intent(
    facts: &Facts,
    lane: Lane,
    channel: &Channel,
    commit: &mut followupd_store::Commit,
    planted: crate::plant::Planted,
) {
    debug_assert_eq!(lane.channel, channel.no, "an intent leaves from the lane of its channel");
    if !planted.is(Bug::NoContactExpectation) {
        commit.expects.push(facts.contact.expect());
    }
    commit.expects.extend(facts.target.as_ref().map(record::Read::expect));
    commit.expects.extend(facts.loaded.expects(facts.enrollment().sequence, channel.no));
}
