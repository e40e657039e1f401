//! The actor of one enrollment, while something happens to it.
//!
//! Each message makes it read what it needs, decide, and commit; it is safe to repeat, and keeps nothing that the
//! store does not have but the send it has called. When nothing is under way it asks its shard to let it go.

use std::collections::BTreeSet;
use std::sync::Arc;

use followupd_domain::channel::Kind;
use followupd_domain::decide::outcome::{self, Outcome, Receipt};
use followupd_domain::decision::{Decision, TraceId};
use followupd_domain::enrollment::{Enrollment, OpenSend};
use followupd_domain::health::{Said, StepOf};
use followupd_domain::lane::{Lane, WakeRow};
use followupd_domain::ledger::Charge;
use followupd_domain::limits::UNUSABLE_FOR;
use followupd_domain::reaction::{Blames, Reaction};
use followupd_domain::suppression::{Address, Suppression, Why};
use followupd_domain::{EnrollmentId, Moment, SendId, Span};
use followupd_store::{Class, Commit, Key, LedgerChange, LedgerOp, Refused};
use ractor::{Actor, ActorProcessingErr, ActorRef, RpcReplyPort};

use crate::api::{Changed, Error, ReceiptCall};
use crate::call::{CallEnded, Ready};
use crate::limits;
use crate::loaded::{Loaded, TenantHandle};
use crate::node::Node;
use crate::opt_out;
use crate::pacer::{Heard, PacerMsg};
use crate::plant::Bug;
use crate::receipt;
use crate::record::{self, Facts, Transition};
use crate::settings;
use crate::shard::ShardMsg;
use crate::suppression;

mod ask;
mod look;
mod sent;

pub(crate) use ask::Ask;
pub(crate) use sent::is_new;

/// What an enrollment can be told.
pub(crate) enum EnrollmentMsg {
    /// Its wake was pulled.
    Wake { row: WakeRow, pacer: ActorRef<PacerMsg> },
    /// The call of this send began at that moment of engine time, and is not answered yet.
    CallBegan(SendId, Moment),
    /// Its call has ended.
    CallEnded(CallEnded),
    /// Somebody asks something of it.
    Ask(Ask, RpcReplyPort<Result<Changed, Error>>),
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
    /// What the next call needs, once it was waited for.
    ready: Option<Ready>,
    /// Sends whose intent may have been written, and no call began.
    uncalled: Vec<OpenSend>,
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
        Ok(Live { activation, ready: None, uncalled: Vec::new(), handled: 0 })
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
            EnrollmentMsg::CallBegan(send, at) => live.call_began(send, at).await,
            EnrollmentMsg::CallEnded(ended) => live.call_ended(ended).await,
            EnrollmentMsg::Ask(ask, reply) => {
                let answer = live.ask(&ask).await;
                if answer.as_ref().is_ok_and(|changed| changed.enrollment.open.is_none()) {
                    live.uncalled.clear();
                }
                // The caller may have gone; what was decided stands.
                let _ = reply.send(answer);
            }
        }
        live.handled += 1;
        let (node, id) = (&live.activation.node, live.activation.id);
        if !node.is_calling(id) && live.uncalled.is_empty() {
            let idle = ShardMsg::Idle { whose: (live.activation.tenant.no, id), handled: live.handled };
            let _ = live.activation.shard.send_message(idle);
        }
        Ok(())
    }
}

impl Live {
    async fn facts(&self) -> Result<Option<Facts>, Error> {
        let loaded = self.activation.tenant.loaded();
        record::read(&*self.activation.node.store, loaded, self.activation.id).await
    }

    /// The facts a send is decided on: what is suppressed of the contact's addresses is among them.
    async fn facts_to_send(&self) -> Result<Option<Facts>, Error> {
        match self.facts().await? {
            Some(facts) => facts.with_addresses(&self.activation.node).await.map(Some),
            None => Ok(None),
        }
    }

    /// Writes down what came of a call. That waits for the store as long as it takes: an outcome that is known and
    /// forgotten would be in doubt. Only a shard that is gone lets it go; its next owner finds the send open.
    async fn call_ended(&self, ended: CallEnded) {
        let (mut pause, mut unheard) = (store_pause(), None);
        while self.activation.node.shards().contains_key(&self.activation.tenant.shard) {
            match self.outcome(&ended, &mut unheard).await {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => {
                    tracing::warn!(enrollment = %self.activation.id, %error, "an outcome waits for the store");
                    tokio::time::sleep(pause).await;
                    pause = (2 * pause).min(limits::RETRY_MOST);
                }
            }
        }
        // It was written, and nobody knew: what it says of others is told all the same.
        if let Some((lane, heard)) = unheard {
            self.activation.node.tell(self.activation.tenant.shard, ShardMsg::Said(lane, heard));
        }
    }

    /// The lane's limits count an open send by the start of its call: nothing needs to wait for its end. One that is not
    /// written down is settled by the outcome, as any other.
    async fn call_began(&self, send: SendId, at: Moment) {
        for _ in 0..limits::LOOKS {
            let Ok(Some(facts)) = self.facts().await else { return };
            let open = facts.enrollment().open.filter(|open| open.send == send && open.charge.open);
            let Some(OpenSend { charge, channel, .. }) = open else { return };
            let lane = Lane { tenant: facts.enrollment().tenant, channel };
            let op = LedgerOp::Settle { charge, started_at: Some(at) };
            let change = LedgerChange { key: Key::ledger(facts.loaded.shard, lane), op: op.clone() };
            let (now, trace) = (self.activation.node.now(), TraceId::default());
            let more = |transition: &mut Transition| transition.commit.ledger.push(change);
            let begun = [Decision::Begun { at }];
            match self.commit(&facts, &begun, now, trace, Class::Outcome, more).await {
                Ok(Some(_)) => {
                    return self.activation.node.tell(facts.loaded.shard, ShardMsg::Begun(lane, op));
                }
                Ok(None) => {}
                Err(error) => {
                    return tracing::debug!(enrollment = %self.activation.id, %error, "a start is not told");
                }
            }
        }
    }

    /// Commits what came of a call; `false` when something changed under it. What it says to its lane stays `unheard`
    /// until it is known to be written.
    async fn outcome(&self, ended: &CallEnded, unheard: &mut Option<(Lane, Heard)>) -> Result<bool, Error> {
        let Some(facts) = self.facts().await? else { return Ok(true) };
        let now = self.activation.node.now();
        let Some(open) = facts.enrollment().open.filter(|open| open.send == ended.send) else {
            return Ok(true);
        };
        let jitter = (self.activation.node.env.random() % 1_001) as u16;
        let decisions = outcome::outcome(&facts.view(now), ended.send, &ended.outcome, jitter);
        let lane = Lane { tenant: facts.enrollment().tenant, channel: open.channel };
        *unheard = self.heard(&facts, &open, Some(ended)).map(|heard| (lane, heard));
        let ending = Ending { ended: Some(ended), ..Ending::default() };
        let settled = self.settle(&facts, &decisions, &open, ending, now, ended.trace).await?;
        if settled {
            *unheard = None;
        }
        Ok(settled)
    }

    /// When the call of an open send began that something else than its end settles. One of an earlier process counts
    /// from now, when it surely had.
    fn began_at(&self, open: &OpenSend) -> Moment {
        let began = self.activation.node.call_of(open.send).flatten();
        began.unwrap_or_else(|| self.activation.node.engine_now())
    }

    /// Commits what settles an open send, and what its lane was charged for it; whether it was written.
    async fn settle(
        &self,
        facts: &Facts,
        decisions: &[Decision],
        open: &OpenSend,
        Ending { ended, told, uncalled }: Ending<'_>,
        now: Moment,
        trace: TraceId,
    ) -> Result<bool, Error> {
        let lane = Lane { tenant: facts.enrollment().tenant, channel: open.channel };
        let began_at = match ended {
            Some(ended) => ended.began_at,
            None => (!uncalled).then(|| self.began_at(open)),
        };
        let is_no = |ended: &CallEnded| matches!(ended.outcome, Outcome::NotBegun | Outcome::Refused { .. });
        let surely_not = uncalled || ended.is_some_and(is_no);
        let (charge, unsent) = (open.charge, uncalled || ended.is_some_and(|ended| ended.unsent));
        let op = match began_at.filter(|_| !charge.open) {
            // Its limits were told of the start.
            Some(at) if unsent => LedgerOp::Refund { charge: Charge { at: at.max(charge.at), ..charge } },
            _ if unsent => LedgerOp::Refund { charge },
            _ => LedgerOp::Settle { charge, started_at: began_at },
        };
        let key = Key::ledger(facts.loaded.shard, lane);
        let no = ended.and_then(No::of_call).or(told);
        let suppressed = self.suppressed(facts, no, now).await?;
        let right = sent::put_right(&self.activation.node, facts, open, surely_not, began_at);
        let (right, recipients) = right.map(|right| (right.facts, right.recipients)).unzip();
        let contact = right.as_ref().map(|right| sent::row(right, &right.contact.value)).transpose()?;
        let settled = self
            .commit(right.as_ref().unwrap_or(facts), decisions, now, trace, Class::Outcome, |transition| {
                transition.put_once(facts, contact.flatten());
                transition.commit.ledger.extend(recipients.into_iter().flatten());
                // One whose start was told is settled.
                let change = LedgerChange { key, op: op.clone() };
                transition.commit.ledger.extend(Some(change).filter(|_| charge.open || unsent));
                transition.take_in(suppressed);
            })
            .await?;
        if settled.is_none() {
            return Ok(false);
        }
        let heard = self.heard(facts, open, ended);
        let settled = ShardMsg::Settled(lane, self.activation.id, op, heard);
        self.activation.node.tell(facts.loaded.shard, settled);
        Ok(true)
    }

    /// What a call's end says to its lane.
    fn heard(&self, facts: &Facts, open: &OpenSend, ended: Option<&CallEnded>) -> Option<Heard> {
        let (ended, enrollment) = (ended?, facts.enrollment());
        let step =
            StepOf { sequence: enrollment.sequence, version: enrollment.version, step: open.send.step };
        let tries = enrollment.tries(open.send.step, open.attempt);
        let (said, failed) = match &ended.outcome {
            Outcome::Accepted { .. } => (Said::Accepted, Some(false)),
            Outcome::Refused { code, reaction } => {
                let said = Said::Refused { code: code.clone(), reaction: *reaction, tries };
                (said, Some(true).filter(|_| reaction.is_of_message()))
            }
            Outcome::Uncertain => (Said::Uncertain { tries }, None),
            Outcome::NotBegun => return None,
        };
        let took = ended.began_at.map(|began_at| self.activation.node.engine_now().since(began_at));
        let (said, took) = (Some((step, said)), took.unwrap_or(Span::ZERO));
        Some(Heard { send: open.send, said, failed, is_first: true, took })
    }

    /// What suppresses the address a message went to, where its provider said that nothing sent there will arrive, for
    /// good or for a while, or that nothing more is wanted.
    async fn suppressed(&self, facts: &Facts, no: Option<No>, now: Moment) -> Result<Commit, Error> {
        let node = &self.activation.node;
        let mut commit = Commit::new(Class::Outcome, facts.enrollment().tenant, facts.loaded.shard);
        let no = no.filter(|_| !node.planted.is(Bug::BounceForgotten));
        let Some(No { address, kind, code, reaction, at }) = no else { return Ok(commit) };
        let why = match reaction {
            Reaction::Never { blames: Blames::Address, .. } => Some(Why::Bounced),
            Reaction::OptOut => Some(Why::OptedOut),
            Reaction::Unusable => None,
            Reaction::Never { blames: Blames::Message, .. }
            | Reaction::Again { .. }
            | Reaction::Later { .. }
            | Reaction::Skip
            | Reaction::NeedsTemplate
            | Reaction::BackOff { .. }
            | Reaction::Slow { .. }
            | Reaction::Hold { .. }
            | Reaction::Stop { .. } => return Ok(commit),
        };
        let addresses = suppression::read(&*node.store, node.place(&facts.loaded), vec![address]).await?;
        let kinds = BTreeSet::from([kind]);
        if let Some(why) = why {
            let since = at.map_or(now, |at| at.min(now));
            let suppression = Suppression { since, why, by: String::new(), reason: code };
            if addresses.suppress(&kinds, &suppression, &mut commit)? && why == Why::OptedOut {
                let (loaded, contact) = (&facts.loaded, &facts.contact.value);
                let counted = opt_out::counted(node, loaded, (&kinds, since), contact, &addresses).await?;
                counted.iter().for_each(|counted| record::count_signal(loaded, counted, now, &mut commit));
            }
        } else {
            addresses.change(&mut commit, |_, known| known.rest(kind, now + UNUSABLE_FOR, now))?;
        }
        Ok(commit)
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
                // Who is told of an end that was there before need not know that it is for good now.
                let tells = decisions.iter().any(|decision| *decision != Decision::Closed);
                Ok(Some(changed(transition.after.enrollment, tells)))
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
            Err(error @ (Refused::Unavailable(_) | Refused::Invalid(_))) => Err(settings::refused(error)),
        }
    }

    /// A scope that has changed since it was read is read again before the next look.
    async fn refresh(&self, loaded: &Arc<Loaded>, key: &Key) {
        if loaded.versions.contains_key(key) {
            crate::tenant::refresh(&self.activation.tenant, loaded).await;
        }
    }
}

/// A provider's no to a message, in its answer or later.
struct No {
    /// To where it went.
    address: Address,
    kind: Kind,
    code: String,
    reaction: Reaction,
    /// When it was said, where that is told.
    at: Option<Moment>,
}

impl No {
    fn of_call(ended: &CallEnded) -> Option<No> {
        let Outcome::Refused { code, reaction } = &ended.outcome else { return None };
        let (code, reaction) = (code.clone(), *reaction);
        Some(No { address: ended.address.clone()?, kind: ended.kind, code, reaction, at: None })
    }

    /// One that came later. It is about the address the message went to: the contact may have another by now.
    fn of_receipt(facts: &Facts, told: &ReceiptCall) -> Option<No> {
        let Receipt::Failed(Some(reaction)) = receipt::read(told, facts) else { return None };
        let enrollment = facts.enrollment();
        let kind = facts.loaded.scope.channels.get(&enrollment.sent(told.send)?.channel)?.kind;
        let has = || enrollment.address(&facts.contact.value, kind);
        let address = Address::called(kind, told.address.as_deref().or_else(has)?)?;
        Some(No { address, kind, code: told.code.clone(), reaction, at: told.at })
    }
}

/// What settles an open send.
#[derive(Default)]
struct Ending<'a> {
    /// Its call's end.
    ended: Option<&'a CallEnded>,
    /// What its provider said later.
    told: Option<No>,
    /// That no call ever began.
    uncalled: bool,
}

fn store_pause() -> std::time::Duration {
    std::time::Duration::from_millis(limits::RETRY_STORE.0.unsigned_abs())
}

fn changed(after: Enrollment, changed: bool) -> Changed {
    let in_flight = after.in_flight();
    Changed { enrollment: after, in_flight, changed }
}

/// Where decisions that are no intent or outcome stand in a group.
pub(crate) fn class_of(decisions: &[Decision]) -> Class {
    let exits = decisions.iter().any(|decision| {
        matches!(
            decision,
            Decision::Exited(_) | Decision::Failed(_) | Decision::Paused { .. } | Decision::Closed
        )
    });
    if exits { Class::Exit } else { Class::Outcome }
}
