//! What providers tell by webhook, taken in: receipts, messages and choices, each durable before it is answered, each as
//! often as it comes.

use std::collections::BTreeSet;

use followupd_channel::inbound::{Choice, Inbound, May, Receipt as Told, Said, Status, Template, Wants};
use followupd_channel::transports::Told as Keys;
use followupd_domain::channel::{Channel, Kind, Transport};
use followupd_domain::decide::enroll::Profile;
use followupd_domain::decide::outcome::Receipt;
use followupd_domain::event::{Event, EventKey, EventKind};
use followupd_domain::holds::Reacted;
use followupd_domain::limits::{BATCH_ITEMS, SERVICE_WINDOW};
use followupd_domain::scope::Scope;
use followupd_domain::suppression::Address;
use followupd_domain::{Moment, Span};
use ractor::rpc::CallResult;

use super::{Engine, named};
use crate::addresses;
use crate::api::{Caller, Error, EventAnswer, EventCall, ReceiptAnswer, ReceiptCall};
use crate::contact;
use crate::limits;
use crate::settings::react::Reacting;
use crate::tenant::TenantMsg;

/// What became of what a provider told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TakenIn {
    /// Facts that concern somebody here.
    pub taken: usize,
    /// Facts about sends or people that nothing is known of here: somebody else uses the same sender.
    pub unknown: usize,
    /// Parts that could not be read.
    pub unread: usize,
}

/// A channel whose provider tells something.
struct Teller<'a> {
    tenant: &'a str,
    channel: &'a Channel,
    caller: Caller,
}

/// Who heard of what was told.
struct Heard {
    /// Whether anybody here has the address.
    known: bool,
    /// Whether there is somebody, and all of them took it in.
    all: bool,
}

impl Engine {
    /// What requests to a channel's webhook are checked with.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such channel, or its provider tells nothing.
    pub fn told_by(&self, tenant: &str, channel: &str) -> Result<Keys, Error> {
        let not_found = || Error::NotFound { what: "channel", name: channel.to_owned() };
        let handle = self.tenant(&Caller::default(), tenant)?;
        let loaded = handle.loaded();
        let known = loaded.channel(&named("channel", channel)?)?;
        let keys = self.node.transports.told(handle.no, known.no, &known.transport);
        let keys = keys.map_err(|problems| {
            let why: Vec<String> = problems.iter().map(ToString::to_string).collect();
            tracing::warn!(tenant, channel, why = why.join("; "), "a webhook cannot be checked");
            not_found()
        })?;
        keys.ok_or_else(not_found)
    }

    /// Takes in what a channel's provider told, all of it before it answers. Repeats change nothing.
    ///
    /// # Errors
    /// [`Error::NotFound`] when there is no such channel; [`Error::Unavailable`] and [`Error::Overloaded`] when not all
    /// of it could be written: it has to be told again.
    pub async fn take_in(&self, tenant: &str, channel: &str, told: Vec<Inbound>) -> Result<TakenIn, Error> {
        let loaded = self.tenant(&Caller::default(), tenant)?.loaded();
        let channel = loaded.channel(&named("channel", channel)?)?;
        let by = format!("{} webhook", channel.transport.word());
        let caller = Caller { by, ..Caller::default() };
        let teller = |channel| Teller { tenant, channel, caller: caller.clone() };
        let (mut done, mut failed) = (TakenIn::default(), None);
        for fact in told {
            let taken = match fact {
                // Its key proves whose it is.
                Inbound::Receipt(receipt) => self.receipt_told(&teller(channel), &receipt).await,
                Inbound::Said(said) => match told_about(&loaded.scope, channel, &said.sender) {
                    Some(channel) => self.said(&teller(channel), &said).await,
                    None => Ok(false),
                },
                Inbound::Choice(choice) => match told_about(&loaded.scope, channel, &choice.sender) {
                    Some(channel) => self.chosen(&teller(channel), &choice).await,
                    None => Ok(false),
                },
                Inbound::Template(template) => self.template_told(&teller(channel), &template).await,
                Inbound::Unread(wrong) => {
                    tracing::warn!(tenant, channel = %channel.name, %wrong, "a part of a webhook is not read");
                    done.unread += 1;
                    continue;
                }
            };
            match taken {
                Ok(true) => done.taken += 1,
                Ok(false) => done.unknown += 1,
                // What stands behind it is taken all the same: it may be an opt-out.
                Err(error) => failed = failed.or(Some(error)),
            }
        }
        failed.map_or(Ok(done), Err)
    }

    /// A receipt; whether it is about a send of this tenant.
    async fn receipt_told(&self, teller: &Teller<'_>, told: &Told) -> Result<bool, Error> {
        let Some(send) = told.key.as_deref().and_then(|key| self.send_of(key)) else { return Ok(false) };
        let receipt = match told.status {
            Status::Sent => Receipt::Sent,
            Status::Delivered => Receipt::Delivered,
            Status::Read => Receipt::Read,
            Status::Failed => Receipt::Failed(None),
        };
        let (code, address) = (told.code.clone().unwrap_or_default(), told.contact.clone());
        let call = ReceiptCall { send, receipt, code, address, at: Some(told.at) };
        let answers = self.receipts(&teller.caller, teller.tenant, vec![call]).await?;
        Ok(answers.iter().all(|answer| *answer != ReceiptAnswer::Unknown))
    }

    /// How a template fares; whether a step here sends it. Steps that do are held, or go on where they were held for it.
    async fn template_told(&self, teller: &Teller<'_>, told: &Template) -> Result<bool, Error> {
        let handle = self.tenant(&teller.caller, teller.tenant)?;
        let steps = handle.loaded().scope.sending(&told.name, &told.language, teller.channel.no);
        if steps.is_empty() {
            return Ok(false);
        }
        let template = format!("{} ({})", told.name, told.language);
        let held = |what: &str| Reacted::to_template(&format!("the provider {what} {template}"));
        let reacting = match told.may {
            May::Now => {
                let because = format!("the provider approved the template {template}");
                Reacting::Freed { steps, because }
            }
            May::Later => {
                let until = Some(self.node.now() + limits::TEMPLATE_RESTS);
                Reacting::Steps { steps, until, because: held("paused") }
            }
            // Where it stays away, the next answer holds them for good: a webhook may come late, behind one that says
            // that all is well again.
            May::Not => {
                let until = Some(self.node.now() + limits::TEMPLATE_AWAY);
                Reacting::Steps { steps, until, because: held("took away") }
            }
        };
        let asked = handle.actor.call(|reply| TenantMsg::ReactFor(reacting, reply), None).await;
        match asked {
            Ok(CallResult::Success(done)) => done.map(|()| true),
            // It stops: told again, the next one hears of it.
            Ok(CallResult::Timeout | CallResult::SenderError) | Err(_) => {
                Err(Error::Overloaded { retry_after: limits::COME_BACK })
            }
        }
    }

    /// A message of a contact's; whether anybody here has that address. A word that opts out counts for the address
    /// alone, too; so does that somebody wrote, who may be enrolled afterwards.
    async fn said(&self, teller: &Teller<'_>, said: &Said) -> Result<bool, Error> {
        // A button says what stands behind it: "Cancel" may be the title of one that cancels an appointment.
        let text = said.button.as_ref().or(said.text.as_ref()).cloned().unwrap_or_default();
        let event = self.event_of(teller, (&said.id, said.at), EventKind::MessageReceived, text);
        let opts_out = {
            let loaded = self.tenant(&teller.caller, teller.tenant)?.loaded();
            event.opts_out(&loaded.scope.tenant)
        };
        let Heard { known, all } = self.tell_contacts(teller, &said.contact, event.clone()).await?;
        // Who is known has it suppressed, or lifted, by the event.
        if !all && opts_out {
            self.suppress_address(teller, &said.contact, (said.at, &event.key)).await?;
        }
        if !known && event.opts_in() {
            self.lift_address(teller, &said.contact, (said.at, &event.key)).await?;
        }
        let kind = teller.channel.kind;
        if !known && kind == Kind::Whatsapp && event.occurred_at + SERVICE_WINDOW > self.node.now() {
            let handle = self.tenant(&teller.caller, teller.tenant)?;
            let what = (kind, event.occurred_at);
            contact::hear(&self.node, &handle, &teller.caller, &address(&said.contact), what).await?;
        }
        self.knows_all(teller).await?;
        Ok(known)
    }

    /// Refuses what a number tells while contacts are still being written down by their addresses: where it is told again,
    /// whoever else has that number hears of it too.
    async fn knows_all(&self, teller: &Teller<'_>) -> Result<(), Error> {
        let loaded = self.tenant(&teller.caller, teller.tenant)?.loaded();
        match addresses::are_known(&*self.node.store, self.node.place(&loaded)).await? {
            true => Ok(()),
            false => Err(Error::Overloaded { retry_after: limits::COME_BACK }),
        }
    }

    /// Whether a contact wants to be written to; whether anybody here has that address.
    async fn chosen(&self, teller: &Teller<'_>, choice: &Choice) -> Result<bool, Error> {
        // What was written is told beside it, by the same id.
        let id = format!("{}-{}", choice.id, if choice.wants == Wants::Out { "out" } else { "in" });
        let event = self.event_of(teller, (&id, choice.at), EventKind::ContactOptedOut, String::new());
        let told = (choice.at, &event.key);
        if choice.wants == Wants::In {
            return self.lift_address(teller, &choice.contact, told).await;
        }
        let Heard { known, all } = self.tell_contacts(teller, &choice.contact, event.clone()).await?;
        if !all {
            self.suppress_address(teller, &choice.contact, told).await?;
        }
        self.knows_all(teller).await?;
        Ok(known)
    }

    /// Takes back what an address and whoever has it opted out of; whether anybody here has it.
    async fn lift_address(
        &self,
        teller: &Teller<'_>,
        number: &str,
        (at, told): (Moment, &EventKey),
    ) -> Result<bool, Error> {
        let address = address(number);
        // It is remembered as told, and would lift nothing of others' the next time.
        self.knows_all(teller).await?;
        let whoever = self.contacts_at(teller, &address).await?;
        let handle = self.tenant(&teller.caller, teller.tenant)?;
        let (whom, what) = ((&address, whoever.as_slice()), (teller.channel.kind, at, told));
        contact::opt_in(&self.node, &handle, &teller.caller, whom, what).await?;
        Ok(!whoever.is_empty())
    }

    async fn suppress_address(
        &self,
        teller: &Teller<'_>,
        number: &str,
        (at, told): (Moment, &EventKey),
    ) -> Result<(), Error> {
        let handle = self.tenant(&teller.caller, teller.tenant)?;
        let (address, kind) = (address(number), teller.channel.kind);
        let kinds: BTreeSet<Kind> = match handle.loaded().scope.tenant.opt_out_of_all {
            true => address.kinds().iter().copied().collect(),
            false => BTreeSet::from([kind]),
        };
        contact::opt_out(&self.node, &handle, &teller.caller, &address, (&kinds, at, told)).await
    }

    async fn contacts_at(&self, teller: &Teller<'_>, address: &Address) -> Result<Vec<String>, Error> {
        let loaded = self.tenant(&teller.caller, teller.tenant)?.loaded();
        addresses::contacts(&*self.node.store, self.node.place(&loaded), address).await
    }

    /// Tells every contact of an address of an event.
    async fn tell_contacts(&self, teller: &Teller<'_>, number: &str, event: Event) -> Result<Heard, Error> {
        let contacts = self.contacts_at(teller, &address(number)).await?;
        let calls: Vec<EventCall> = contacts
            .iter()
            .map(|contact| {
                let mut event = Event { contact: Some(contact.clone()), ..event.clone() };
                // Each of them hears of it once, however many there are the next time it is told.
                event.key.id = format!("{}+{:08x}", event.key.id, self.check(contact.as_bytes()) as u32);
                EventCall { event, profile: Profile::default() }
            })
            .collect();
        if calls.is_empty() {
            return Ok(Heard { known: false, all: false });
        }
        let (mut all, mut answers) = (true, Vec::with_capacity(calls.len()));
        for some in calls.chunks(BATCH_ITEMS) {
            answers.extend(self.event(&teller.caller, teller.tenant, some.to_vec()).await?);
        }
        for answer in answers {
            if let EventAnswer::Refused { reason, problem } = answer {
                all = false;
                // One that is too old to be told from a repeat, say: it will not be taken the next time either.
                tracing::warn!(tenant = teller.tenant, reason, problem, "what a contact wrote is not taken");
            }
        }
        Ok(Heard { known: true, all })
    }

    fn event_of(
        &self,
        teller: &Teller<'_>,
        (id, at): (&str, Moment),
        kind: EventKind,
        text: String,
    ) -> Event {
        // One that is told in whole seconds happened in that second: as late in it as can be, or a reply to a message
        // would come before it.
        let whole = at.0 % 1_000 == 0;
        let at = if whole { (at + Span(999)).min(self.node.now()) } else { at };
        let source = format!("{}:{}", teller.channel.transport.word(), teller.channel.name);
        // An id that is longer than ids may be is told from others by its check.
        let is_short = id.len() <= limits::TOLD_ID_BYTES;
        let id = if is_short { id.to_owned() } else { format!("{:016x}", self.check(id.as_bytes())) };
        Event {
            key: EventKey { source, id },
            kind,
            occurred_at: at,
            contact: None,
            target: None,
            channel: Some(teller.channel.kind),
            text,
            automatic: false,
        }
    }
}

/// The channel whose sender a contact wrote to. A provider may tell of all senders of an account at the webhook of one,
/// and of such that are nobody's here.
fn told_about<'a>(scope: &'a Scope, at: &'a Channel, sender: &str) -> Option<&'a Channel> {
    let is_sender = |channel: &&Channel| match (&at.transport, &channel.transport) {
        (Transport::Meta(_), Transport::Meta(meta)) => meta.phone_number_id == sender,
        (Transport::Twilio(one), Transport::Twilio(other)) => {
            one.account == other.account && other.number == sender
        }
        _ => false,
    };
    // Which numbers a messaging service sends from only Twilio knows.
    let by_service = match &at.transport {
        Transport::Twilio(twilio) => !twilio.service.is_empty(),
        Transport::Outbox
        | Transport::Smtp(_)
        | Transport::Http(_)
        | Transport::Meta(_)
        | Transport::Chatwoot(_) => false,
    };
    scope.channels.values().find(is_sender).or_else(|| by_service.then_some(at))
}

fn address(number: &str) -> Address {
    Address::Phone(number.to_owned())
}
