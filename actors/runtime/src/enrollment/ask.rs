//! What can be asked of an enrollment, and what it answers.

use std::sync::Arc;

use followupd_domain::decide::outcome::{self, Receipt};
use followupd_domain::decide::{hold, leave};
use followupd_domain::decision::{Decision, TraceId};
use followupd_domain::enrollment::{ExitReason, OpenSend, SendStatus};
use followupd_domain::event::Event;
use followupd_domain::gate::View;
use followupd_domain::health::{Said, StepOf};
use followupd_domain::lane::Lane;
use followupd_domain::reaction::{Reaction, Then};
use followupd_domain::{Span, channel::Channel};

use super::{Ending, Live, No, changed, class_of};
use crate::api::{Changed, Command, Error, ReceiptCall};
use crate::pacer::Heard;
use crate::plant::Bug;
use crate::record::{Facts, Transition};
use crate::shard::ShardMsg;
use crate::{limits, receipt};

/// What can be asked of an enrollment, and by which trace.
#[derive(Clone)]
pub(crate) enum Ask {
    /// A command by hand.
    Command(Command, TraceId),
    /// An accepted event; whether the contact opted out by it.
    Event(Arc<Event>, bool, TraceId),
    /// A receipt for one of its sends.
    Receipt(Arc<ReceiptCall>, TraceId),
    /// It may have lived too long, or its sequence is archived: it ends if that is so.
    Expire,
    /// Its contact is erased.
    Erase(TraceId),
    /// It kept failing: set it apart.
    Quarantine(String),
}

impl Live {
    /// Decides what is asked, commits it, and says what the enrollment is then.
    pub(super) async fn ask(&mut self, ask: &Ask) -> Result<Changed, Error> {
        for _ in 0..limits::LOOKS {
            let not_found = || Error::NotFound { what: "enrollment", name: self.activation.id.to_string() };
            let facts =
                if asks_who_is_reached(ask) { self.facts_to_send().await? } else { self.facts().await? };
            let facts = facts.ok_or_else(not_found)?;
            let now = self.activation.node.now();
            let view = facts.view(now);
            let (decisions, trace) = self.decide(ask, &facts, &view);
            if decisions.is_empty() {
                return Ok(changed(facts.enrollment().clone(), false));
            }
            let settles = settled_open(&facts, &decisions);
            let no = match ask {
                Ask::Receipt(told, _) => No::of_receipt(&facts, told),
                Ask::Command(..) | Ask::Event(..) | Ask::Expire | Ask::Erase(_) | Ask::Quarantine(_) => None,
            };
            let written = match settles {
                Some(open) => {
                    let ending = Ending { told: no, ..Ending::default() };
                    let settled = self.settle(&facts, &decisions, &open, ending, now, trace).await?;
                    let now = if settled { self.facts().await? } else { None };
                    now.map(|facts| changed(facts.enrollment().clone(), true))
                }
                None => {
                    let suppressed = self.suppressed(&facts, no, now).await?;
                    let more = |transition: &mut Transition| transition.take_in(suppressed);
                    self.commit(&facts, &decisions, now, trace, class_of(&decisions), more).await?
                }
            };
            if let Some(changed) = written {
                self.pass_on(ask, &facts, &decisions);
                return Ok(changed);
            }
        }
        Err(Error::Overloaded { retry_after: limits::COME_BACK })
    }

    /// What a receipt says of its message, and of others, goes to the lane the message left by.
    fn pass_on(&self, ask: &Ask, facts: &Facts, decisions: &[Decision]) {
        let Ask::Receipt(told, _) = ask else { return };
        let (enrollment, send) = (facts.enrollment(), told.send);
        let Some(sent) = enrollment.sent(send) else { return };
        let lane = Lane { tenant: enrollment.tenant, channel: sent.channel };
        let (said, failed) = match receipt::read(told, facts) {
            Receipt::Failed(reaction) => {
                let step =
                    StepOf { sequence: enrollment.sequence, version: enrollment.version, step: send.step };
                let comes_again =
                    decisions.iter().any(|decision| matches!(decision, Decision::Reopened { .. }));
                let reaction = match reaction {
                    // What would hold its step after several tries is one of several alike when there are no more.
                    Some(Reaction::Later { then: Then::HoldStep, .. }) if !comes_again => {
                        Some(Reaction::BAD_STEP)
                    }
                    reaction => reaction,
                };
                let occurrence = u8::try_from(send.occurrence).unwrap_or(u8::MAX);
                let tries = enrollment.tries(send.step, occurrence.saturating_add(1));
                let said = |reaction| (step, Said::Refused { code: told.code.clone(), reaction, tries });
                (reaction.map(said), Some(true).filter(|_| reaction.is_none_or(Reaction::is_of_message)))
            }
            Receipt::Sent | Receipt::Delivered | Receipt::Read => (None, Some(false)),
        };
        let is_watched = facts.loaded.scope.channels.get(&sent.channel).is_some_and(Channel::is_watched);
        if said.is_some() || (failed.is_some() && is_watched) {
            let is_first = decisions.iter().any(|decision| matches!(decision, Decision::Accepted { .. }));
            let heard = Heard { send, said, failed, is_first, took: Span::ZERO };
            self.activation.node.tell(facts.loaded.shard, ShardMsg::Said(lane, heard));
        }
    }

    fn decide(&self, ask: &Ask, facts: &Facts, view: &View<'_>) -> (Vec<Decision>, TraceId) {
        match ask {
            Ask::Command(Command::Exit, trace) => (leave::exit(view, ExitReason::Manual), *trace),
            Ask::Command(Command::Pause, trace) => (hold::pause(view), *trace),
            Ask::Command(Command::Resume, trace) => (hold::resume(view), *trace),
            Ask::Command(Command::Release, trace) => (hold::release(view), *trace),
            Ask::Event(event, opted_out, trace) => (leave::event(view, event, *opted_out), *trace),
            Ask::Expire => (leave::outlived(view), TraceId::default()),
            Ask::Erase(trace) => (leave::exit(view, ExitReason::Erased), *trace),
            Ask::Quarantine(reason) => (hold::quarantine(view, reason), TraceId::default()),
            Ask::Receipt(told, trace) => {
                let (send, receipt) = (told.send, receipt::read(told, facts));
                // What ended a target may be forgotten with its row.
                let known = facts.target.as_ref().filter(|target| target.version.is_some());
                let view = &View { target: known.map(|target| &target.value), ..*view };
                let jitter = (self.activation.node.env.random() % 1_001) as u16;
                let decisions = outcome::receipt(view, send, receipt, jitter);
                let decisions = outcome::with_code(send.step, &told.code, decisions);
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

/// Whether it has to be known what is suppressed of the contact's addresses.
fn asks_who_is_reached(ask: &Ask) -> bool {
    match ask {
        Ask::Event(_, opted_out, _) => *opted_out,
        Ask::Receipt(told, _) => matches!(told.receipt, Receipt::Failed(_)),
        Ask::Command(..) | Ask::Expire | Ask::Erase(_) | Ask::Quarantine(_) => false,
    }
}

/// The open send that these decisions settle, if they do.
fn settled_open(facts: &Facts, decisions: &[Decision]) -> Option<OpenSend> {
    let settles = decisions.iter().any(|decision| matches!(decision, Decision::Accepted { .. }));
    facts.enrollment().open.filter(|_| settles)
}
