//! Accepting events: once each, durable before it is answered, and consumed by everyone it concerns.
//!
//! Accepting is one commit: the event's id, and what it says about contact and target. That raises the contact's
//! version, so no intent decided before it passes. An event that ends one sleeping enrollment does so in the same
//! commit; where more are concerned, or a send of theirs is out, a fan-out row names them and each consumes it.

use std::collections::BTreeSet;
use std::sync::Arc;

use followupd_domain::channel::Kind;
use followupd_domain::contact::Contact;
use followupd_domain::decide::leave;
use followupd_domain::decision::TraceId;
use followupd_domain::enrollment::{ExitReason, State};
use followupd_domain::event::Event;
use followupd_domain::signal::Counted;
use followupd_domain::suppression::{Suppression, Why};
use followupd_domain::target::Target;
use followupd_domain::{EnrollmentId, Moment, limits as domain_limits, name};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Expect, Key, Refused};
use serde::{Deserialize, Serialize};

use crate::addresses;
use crate::api::{Caller, Changed, Error, EventAnswer, EventCall};
use crate::audit::{self, Act};
use crate::command;
use crate::contact;
use crate::enrollment::{Ask, class_of};
use crate::limits;
use crate::loaded::{Loaded, TenantHandle, decode, scan_all};
use crate::node::Node;
use crate::opt_out;
use crate::record::{self, Facts, Transition, read_contact, read_or_default};
use crate::settings;
use crate::suppression::{self, Addresses};
use crate::waves::{About, waves};

mod subject;

use subject::{Subject, affected, contact_takes_in, target_takes_in};

/// An event that enrollments still have to consume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FanOut {
    pub(crate) event: Event,
    pub(crate) opted_out: bool,
    pub(crate) trace: TraceId,
    pub(crate) enrollments: Vec<EnrollmentId>,
}

/// Accepts a batch, in its order for each contact and target; the answers stand in the order of the events.
pub(crate) async fn accept(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    calls: &[EventCall],
) -> Result<Vec<EventAnswer>, Error> {
    let about = calls
        .iter()
        .map(|call| About { contact: call.event.contact.as_deref(), target: call.event.target.as_ref() });
    let mut answers: Vec<Option<EventAnswer>> = vec![None; calls.len()];
    for wave in waves(about) {
        let accepted = wave.iter().map(|place| accept_one(node, tenant, caller, &calls[*place], None));
        for (place, answer) in wave.iter().zip(futures::future::join_all(accepted).await) {
            answers[*place] = Some(answer?);
        }
    }
    let given_up = || Error::Overloaded { retry_after: limits::COME_BACK };
    answers.into_iter().map(|answer| answer.ok_or_else(given_up)).collect()
}

/// What an opt-out that somebody makes by hand says besides.
#[derive(Clone, Debug)]
pub(crate) struct ByHand {
    /// Whom the audit log names.
    pub(crate) what: String,
    /// Why, in their words.
    pub(crate) reason: String,
}

/// Accepts one event.
pub(crate) async fn accept_one(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    call: &EventCall,
    by_hand: Option<&ByHand>,
) -> Result<EventAnswer, Error> {
    if let Some(refused) = checked(call, node.now()) {
        return Ok(refused);
    }
    if call.event.opts_in() {
        contact::wants_again(node, tenant, caller, &call.event).await?;
    }
    for _ in 0..limits::LOOKS {
        let loaded = tenant.loaded();
        let asked = Asked { node, tenant, loaded: &loaded, caller, by_hand };
        let acceptance = match Acceptance::read(asked, call).await? {
            Reading::New(acceptance) => acceptance,
            Reading::Refused(answer) => return Ok(answer),
            Reading::Known => {
                // Whoever had it accepted may have been told nothing yet: it is consumed before anybody relies on it.
                let key = Key::fan_out(loaded.shard, loaded.scope.tenant.no, &call.event.key);
                consume_stored(node, tenant, &key).await?;
                return Ok(EventAnswer::Duplicate);
            }
        };
        if let Some(answer) = acceptance.commit().await? {
            return Ok(answer);
        }
        crate::tenant::refresh(tenant, &loaded).await;
    }
    Err(Error::Overloaded { retry_after: limits::COME_BACK })
}

fn checked(call: &EventCall, now: Moment) -> Option<EventAnswer> {
    let event = &call.event;
    let refused = |problem: String| Some(EventAnswer::Refused { reason: "invalid", problem });
    let target = event.target.as_ref().map(|target| ("target.id", target.id.as_str()));
    let contact = event.contact.as_deref().map(|contact| ("contact", contact));
    let ids = [("id", event.key.id.as_str()), ("source", event.key.source.as_str())];
    for (field, id) in ids.into_iter().chain(contact).chain(target) {
        if let Err(error) = name::check_id(id) {
            return refused(format!("{field}: {error}"));
        }
    }
    event.check(now).err().and_then(|refusal| refused(refusal.to_string()))
}

/// What a look at an event's rows came to.
enum Reading<'a> {
    /// It was accepted before.
    Known,
    /// It cannot be.
    Refused(EventAnswer),
    New(Box<Acceptance<'a>>),
}

/// Where an event is accepted, and who asks for it.
#[derive(Clone, Copy)]
struct Asked<'a> {
    node: &'a Arc<Node>,
    tenant: &'a TenantHandle,
    loaded: &'a Arc<Loaded>,
    caller: &'a Caller,
    by_hand: Option<&'a ByHand>,
}

/// What was read for one event, and what it makes of it.
struct Acceptance<'a> {
    asked: Asked<'a>,
    event: Arc<Event>,
    opted_out: bool,
    /// The kinds of channel that the contact opted out of by it.
    out_of: BTreeSet<Kind>,
    contact: Option<Subject<Contact>>,
    /// What is suppressed of the contact's addresses; read for an opt-out.
    addresses: Addresses,
    target: Option<Subject<Target>>,
    affected: Vec<EnrollmentId>,
    /// What an opt-out counts as, of how a channel fares.
    counted: Option<Counted>,
    /// The number the contact had before, where it has another now.
    old_number: Option<Option<String>>,
}

impl<'a> Acceptance<'a> {
    /// Reads what an event is about, and takes the event in.
    async fn read(asked: Asked<'a>, call: &EventCall) -> Result<Reading<'a>, Error> {
        let Asked { node, loaded, .. } = asked;
        let event = Arc::new(call.event.clone());
        let (shard, no) = (loaded.shard, loaded.scope.tenant.no);
        let contact_key = event.contact.as_ref().map(|contact| Key::contact(shard, no, contact));
        let target_key = event.target.as_ref().map(|target| Key::target(shard, no, target));
        let mut keys = vec![Key::event(shard, no, &event.key)];
        keys.extend(contact_key.clone());
        keys.extend(target_key.clone());
        let mut rows = node.store.get(keys).await?.into_iter();
        if rows.next().flatten().is_some() {
            return Ok(Reading::Known);
        }
        let mut next = || rows.next().flatten();
        let contact = contact_key.map(|key| read_contact(key, next())).transpose()?;
        let target = target_key.map(|key| read_or_default(Format::Target, key, next())).transpose()?;
        let opted_out = event.opts_out(&loaded.scope.tenant)
            && (asked.by_hand.is_some()
                || !opt_out::is_taken_back(node, loaded, &event, contact.as_ref()).await?);
        let out_of = match (opted_out, asked.by_hand) {
            (true, None) => event.opts_out_of(&loaded.scope.tenant),
            // Whoever does it by hand means what they name.
            (true, Some(_)) => event.channel.map_or_else(|| BTreeSet::from(Kind::ALL), |kind| [kind].into()),
            (false, _) => BTreeSet::new(),
        };
        let affected = affected(&event, contact.as_ref(), target.as_ref());
        let before = contact.as_ref().map(|read| read.value.clone()).unwrap_or_default();
        let contact = contact.map(|read| contact_takes_in(read, &event, &out_of, &call.profile)).transpose();
        let mut contact = match contact {
            Ok(contact) => contact,
            Err(refusal) => {
                let (reason, problem) = (refusal.word(), refusal.to_string());
                return Ok(Reading::Refused(EventAnswer::Refused { reason, problem }));
            }
        };
        let target = target.map(|read| target_takes_in(read, &event));
        let addresses = subject::addresses(&event, opted_out, &before, contact.as_ref());
        let addresses = suppression::read(&*node.store, node.place(loaded), addresses).await?;
        let counted = match opted_out {
            true => opt_out::counted(node, loaded, (&out_of, event.occurred_at), &before, &addresses).await?,
            false => None,
        };
        if let Some(contact) = &mut contact {
            addresses.bar(&mut contact.read.value);
        }
        let is_other = contact.as_ref().is_some_and(|contact| contact.read.value.phone != before.phone);
        let old_number = is_other.then_some(before.phone);
        let read = Acceptance {
            asked,
            event,
            opted_out,
            out_of,
            contact,
            addresses,
            target,
            affected,
            counted,
            old_number,
        };
        Ok(Reading::New(Box::new(read)))
    }

    /// The event's own commit, without its rows. A store that runs full refuses events, but never an opt-out.
    fn own_commit(&self) -> Commit {
        let class = if self.opted_out { Class::Exit } else { Class::Event };
        Commit::new(class, self.asked.tenant.no, self.asked.loaded.shard)
    }

    /// Accepts the event; `None` when something changed under it.
    async fn commit(self) -> Result<Option<EventAnswer>, Error> {
        match self.affected.as_slice() {
            [] => {
                let commit = self.acceptance(self.own_commit())?;
                Ok(self.submit(commit).await?.then(|| answer(Vec::new())))
            }
            [only] => match self.ends_at_once(*only).await? {
                AtOnce::Answered(answer) => Ok(Some(answer)),
                AtOnce::Again => Ok(None),
                AtOnce::OpenSend => self.fan_out().await,
            },
            _ => self.fan_out().await,
        }
    }

    /// Adds the event's own rows to a commit.
    fn acceptance(&self, mut commit: Commit) -> Result<Commit, Error> {
        let key = Key::event(self.asked.loaded.shard, self.asked.tenant.no, &self.event.key);
        commit.expects.push(Expect { key: key.clone(), version: None });
        record::put(&mut commit, key, Format::Event, &self.asked.node.now())?;
        if let Some(contact) = &self.contact {
            contact.add_to(&mut commit, Format::Contact3)?;
            if let (Some(id), Some(old)) = (&self.event.contact, &self.old_number) {
                let Asked { node, loaded, .. } = self.asked;
                let phones = (old.as_deref(), contact.read.value.phone.as_deref());
                addresses::note(node.place(loaded), &loaded.scope, id, phones, &mut commit);
            }
        }
        if let Some(target) = &self.target {
            target.add_to(&mut commit, Format::Target)?;
        }
        if self.opted_out {
            self.suppress(&mut commit)?;
        }
        if let Some(counted) = &self.counted {
            record::count_signal(self.asked.loaded, counted, self.asked.node.now(), &mut commit);
        }
        Ok(commit)
    }

    /// Adds what an opt-out does to the contact's addresses.
    fn suppress(&self, commit: &mut Commit) -> Result<(), Error> {
        let Asked { node, tenant, caller, by_hand, .. } = self.asked;
        let suppression = Suppression {
            since: self.event.occurred_at.min(node.now()),
            why: if by_hand.is_some() { Why::ByHand } else { Why::OptedOut },
            by: caller.by.clone(),
            reason: by_hand.map(|by_hand| by_hand.reason.clone()).unwrap_or_default(),
        };
        let _ = self.addresses.suppress(&self.out_of, &suppression, commit)?;
        match by_hand {
            Some(by_hand) => audit::add(commit, node, tenant.no, caller, Act::Suppress, &by_hand.what),
            None => Ok(()),
        }
    }

    async fn submit(&self, commit: Commit) -> Result<bool, Error> {
        match self.asked.node.store.commit(commit).await {
            Ok(_) => Ok(true),
            // If it was written after all, the next reading finds the event's id.
            Err(Refused::Stale(_)) => Ok(false),
            Err(
                error
                @ (Refused::Limit(_) | Refused::Unavailable(_) | Refused::Invalid(_) | Refused::Unknown),
            ) => Err(settings::refused(error)),
        }
    }

    /// The event concerns one enrollment: where none of its sends is out, one commit does it all.
    async fn ends_at_once(&self, id: EnrollmentId) -> Result<AtOnce, Error> {
        let read = record::read(&*self.asked.node.store, Arc::clone(self.asked.loaded), id).await?;
        let Some(mut facts) = read else {
            let commit = self.acceptance(self.own_commit())?;
            let accepted = self.submit(commit).await?;
            return Ok(if accepted { AtOnce::Answered(answer(Vec::new())) } else { AtOnce::Again });
        };
        if facts.enrollment().open.is_some() {
            return Ok(AtOnce::OpenSend);
        }
        if !self.same_rows(&facts) {
            return Ok(AtOnce::Again);
        }
        self.take_in(&mut facts);
        let now = self.asked.node.now();
        let decisions = leave::event(&facts.view(now), &self.event, self.opted_out);
        let planted = self.asked.node.planted;
        let Transition { commit, after } = if decisions.is_empty() {
            Transition { commit: self.own_commit(), after: facts.record.value.clone() }
        } else {
            let class = if self.opted_out { Class::Exit } else { class_of(&decisions) };
            record::transition(&facts, &decisions, now, self.asked.caller.trace, class, planted)?
        };
        let commit = self.with_acceptance(commit)?;
        let accepted = self.submit(commit).await?;
        if !accepted {
            return Ok(AtOnce::Again);
        }
        let changed = Changed {
            in_flight: after.enrollment.in_flight(),
            enrollment: after.enrollment,
            changed: !decisions.is_empty(),
        };
        Ok(AtOnce::Answered(answer(vec![changed])))
    }

    /// Whether the facts were read at the same versions as the event's own rows.
    fn same_rows(&self, facts: &Facts) -> bool {
        let same_contact = self
            .contact
            .as_ref()
            .map(|ours| &ours.read)
            .is_none_or(|ours| ours.key != facts.contact.key || ours.version == facts.contact.version);
        let same_target = match (&self.target, &facts.target) {
            (Some(ours), Some(theirs)) => ours.read.key != theirs.key || ours.read.version == theirs.version,
            _ => true,
        };
        same_contact && same_target
    }

    /// Lets the facts be decided on as they are once the event is taken in.
    fn take_in(&self, facts: &mut Facts) {
        let ours = self.contact.as_ref().map(|contact| &contact.read);
        if let Some(ours) = ours.filter(|ours| ours.key == facts.contact.key) {
            facts.contact.value = ours.value.clone();
        }
        if let (Some(ours), Some(theirs)) = (&self.target, &mut facts.target)
            && ours.read.key == theirs.key
        {
            theirs.value = ours.read.value.clone();
        }
    }

    /// Adds the acceptance to a transition, whose own rows of contact and target say more.
    fn with_acceptance(&self, transition: Commit) -> Result<Commit, Error> {
        let mut commit =
            self.acceptance(Commit::new(transition.class, self.asked.tenant.no, self.asked.loaded.shard))?;
        for (key, body) in transition.puts {
            commit.puts.retain(|(known, _)| *known != key);
            commit.puts.push((key, body));
        }
        let known: BTreeSet<Key> = commit.expects.iter().map(|expect| expect.key.clone()).collect();
        commit.expects.extend(transition.expects.into_iter().filter(|expect| !known.contains(&expect.key)));
        commit.deletes.extend(transition.deletes);
        commit.counts.extend(transition.counts);
        commit.ledger = transition.ledger;
        Ok(commit)
    }

    /// The event concerns several enrollments, or one whose send is out.
    async fn fan_out(self) -> Result<Option<EventAnswer>, Error> {
        let fan_out = FanOut {
            event: (*self.event).clone(),
            opted_out: self.opted_out,
            trace: self.asked.caller.trace,
            enrollments: self.affected.clone(),
        };
        let key = Key::fan_out(self.asked.loaded.shard, self.asked.tenant.no, &self.event.key);
        let mut commit =
            self.acceptance(Commit::new(Class::Exit, self.asked.tenant.no, self.asked.loaded.shard))?;
        record::put(&mut commit, key.clone(), Format::FanOut, &fan_out)?;
        let consumed = match self.submit(commit).await {
            Ok(false) => return Ok(None),
            Ok(true) => consume(self.asked.node, self.asked.tenant, fan_out).await,
            Err(error) => Err(error),
        };
        if consumed.is_err() || forget(self.asked.node, self.asked.tenant, &key).await.is_err() {
            // The caller is told to come back, and may not; what was accepted is consumed all the same (E16).
            tokio::spawn(consume_at_last(Arc::clone(self.asked.node), self.asked.tenant.clone(), key));
        }
        Ok(Some(answer(consumed?)))
    }
}

enum AtOnce {
    Answered(EventAnswer),
    Again,
    OpenSend,
}

/// Has every enrollment of a fan-out consume its event.
async fn consume(node: &Arc<Node>, tenant: &TenantHandle, fan_out: FanOut) -> Result<Vec<Changed>, Error> {
    let event = Arc::new(fan_out.event);
    let mut all = Vec::new();
    for chunk in fan_out.enrollments.chunks(domain_limits::FAN_OUT_ANSWERED) {
        let asks = chunk.iter().map(|id| {
            let ask = Ask::Event(Arc::clone(&event), fan_out.opted_out, fan_out.trace);
            command::ask(node, tenant.shard, tenant.no, *id, ask)
        });
        for asked in futures::future::join_all(asks).await {
            match asked {
                Ok(changed) => all.push(changed),
                Err(Error::NotFound { .. }) => {}
                Err(error) => return Err(error),
            }
        }
    }
    Ok(all)
}

/// Removes the row of an event that everyone has consumed; one that stays is consumed again, which changes nothing.
async fn forget(node: &Node, tenant: &TenantHandle, key: &Key) -> Result<(), Error> {
    let mut commit = Commit::new(Class::Event, tenant.no, tenant.shard);
    commit.deletes.push(key.clone());
    settings::submit(node, commit).await.map(drop)
}

/// Has an event consumed that was accepted and is not yet consumed by everyone, if it is so.
async fn consume_stored(node: &Arc<Node>, tenant: &TenantHandle, key: &Key) -> Result<(), Error> {
    let Some(row) = node.store.get(vec![key.clone()]).await?.pop().flatten() else { return Ok(()) };
    let fan_out: FanOut = decode(Format::FanOut, &row.body)?;
    consume(node, tenant, fan_out).await?;
    forget(node, tenant, key).await
}

/// Tries again, ever more slowly, until the event is consumed, or the shard is gone: its next owner goes on with it.
async fn consume_at_last(node: Arc<Node>, tenant: TenantHandle, key: Key) {
    let mut pause = limits::RETRY_CONSUME;
    while node.shards().contains_key(&tenant.shard) {
        tokio::time::sleep(pause).await;
        match consume_stored(&node, &tenant, &key).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(tenant = tenant.no.0, %error, "an accepted event waits to be consumed")
            }
        }
        pause = (2 * pause).min(limits::RETRY_MOST);
    }
}

/// Goes on with the events that were accepted and not consumed by everyone when the process ended. One that cannot
/// be consumed yet is tried again later: it keeps nothing else from starting.
pub(crate) async fn resume(node: &Arc<Node>, tenant: &TenantHandle) -> Result<(), Error> {
    let prefix = Key::fan_outs(tenant.shard, tenant.no);
    for (key, row) in scan_all(&*node.store, prefix.clone(), prefix.after_prefix()).await? {
        let consumed = match decode(Format::FanOut, &row.body) {
            Ok(fan_out) => consume(node, tenant, fan_out).await.map(drop),
            Err(error) => Err(error),
        };
        if consumed.is_err() || forget(node, tenant, &key).await.is_err() {
            tokio::spawn(consume_at_last(Arc::clone(node), tenant.clone(), key));
        }
    }
    Ok(())
}

fn answer(changed: Vec<Changed>) -> EventAnswer {
    let exited = |changed: &Changed| {
        let State::Exited(reason) = changed.enrollment.state else { return None };
        changed.changed.then_some((changed.enrollment.id, reason))
    };
    let exited: Vec<(EnrollmentId, ExitReason)> = changed.iter().filter_map(exited).collect();
    let in_flight = changed.iter().filter_map(|changed| changed.in_flight).collect();
    EventAnswer::Accepted { exited, in_flight }
}
