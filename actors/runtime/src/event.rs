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
use followupd_domain::event::{Event, EventKind};
use followupd_domain::target::{Target, TerminalFact};
use followupd_domain::{EnrollmentId, Moment, limits as domain_limits, name};
use followupd_store::codec::Format;
use followupd_store::{Class, Commit, Expect, Key, Refused};
use serde::{Deserialize, Serialize};

use crate::api::{Caller, Changed, Error, EventAnswer, EventCall};
use crate::command;
use crate::enrollment::{Ask, class_of};
use crate::limits;
use crate::loaded::{Loaded, TenantHandle, decode, scan_all};
use crate::node::Node;
use crate::record::{self, Facts, Read, Transition, read_or_default};

/// An event that enrollments still have to consume.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct FanOut {
    pub(crate) event: Event,
    pub(crate) opted_out: bool,
    pub(crate) trace: TraceId,
    pub(crate) enrollments: Vec<EnrollmentId>,
}

/// Accepts a batch, in its order for each contact; the answers stand in the order of the events.
pub(crate) async fn accept(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    calls: &[EventCall],
) -> Result<Vec<EventAnswer>, Error> {
    let accepted = calls.iter().map(|call| accept_one(node, tenant, caller, call));
    futures::future::join_all(accepted).await.into_iter().collect()
}

async fn accept_one(
    node: &Arc<Node>,
    tenant: &TenantHandle,
    caller: &Caller,
    call: &EventCall,
) -> Result<EventAnswer, Error> {
    if let Some(refused) = checked(call, node.now()) {
        return Ok(refused);
    }
    for _ in 0..limits::LOOKS {
        let loaded = tenant.loaded();
        let acceptance = match Acceptance::read(node, tenant, &loaded, call).await? {
            Some(acceptance) => acceptance,
            None => {
                // Whoever had it accepted may have been told nothing yet: it is consumed before anybody relies on it.
                let key = Key::fan_out(loaded.shard, loaded.scope.tenant.no, &call.event.key);
                consume_stored(node, tenant, &key).await?;
                return Ok(EventAnswer::Duplicate);
            }
        };
        if let Some(answer) = acceptance.commit(caller).await? {
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

/// What was read for one event, and what it makes of it.
struct Acceptance<'a> {
    node: &'a Arc<Node>,
    tenant: &'a TenantHandle,
    loaded: &'a Arc<Loaded>,
    event: Arc<Event>,
    opted_out: bool,
    contact: Option<Read<Contact>>,
    target: Option<Read<Target>>,
    affected: Vec<EnrollmentId>,
}

impl<'a> Acceptance<'a> {
    /// Reads what an event is about, and takes the event in; `None` when it was accepted before.
    async fn read(
        node: &'a Arc<Node>,
        tenant: &'a TenantHandle,
        loaded: &'a Arc<Loaded>,
        call: &EventCall,
    ) -> Result<Option<Self>, Error> {
        let event = Arc::new(call.event.clone());
        let (shard, no) = (loaded.shard, loaded.scope.tenant.no);
        let contact_key = event.contact.as_ref().map(|contact| Key::contact(shard, no, contact));
        let target_key = event.target.as_ref().map(|target| Key::target(shard, no, target));
        let mut keys = vec![Key::event(shard, no, &event.key)];
        keys.extend(contact_key.clone());
        keys.extend(target_key.clone());
        let mut rows = node.store.get(keys).await?.into_iter();
        if rows.next().flatten().is_some() {
            return Ok(None);
        }
        let mut next = || rows.next().flatten();
        let mut contact = contact_key.map(|key| read_or_default(Format::Contact, key, next())).transpose()?;
        let mut target = target_key.map(|key| read_or_default(Format::Target, key, next())).transpose()?;
        let opted_out = event.opts_out(&loaded.scope.tenant);
        let affected = affected(&event, contact.as_ref(), target.as_ref());
        if let Some(contact) = &mut contact {
            contact_takes_in(&mut contact.value, &event, opted_out);
        }
        if let Some(target) = &mut target {
            target_takes_in(&mut target.value, &event);
        }
        Ok(Some(Acceptance { node, tenant, loaded, event, opted_out, contact, target, affected }))
    }

    /// Accepts the event; `None` when something changed under it.
    async fn commit(self, caller: &Caller) -> Result<Option<EventAnswer>, Error> {
        match self.affected.as_slice() {
            [] => {
                // A store that runs full refuses events, but never an opt-out.
                let class = if self.opted_out { Class::Exit } else { Class::Event };
                let commit = self.acceptance(Commit::new(class, self.tenant.no, self.loaded.shard))?;
                Ok(self.submit(commit).await?.then(|| answer(Vec::new())))
            }
            [only] => match self.ends_at_once(*only, caller).await? {
                AtOnce::Answered(answer) => Ok(Some(answer)),
                AtOnce::Again => Ok(None),
                AtOnce::OpenSend => self.fan_out(caller).await,
            },
            _ => self.fan_out(caller).await,
        }
    }

    /// Adds the event's own rows to a commit.
    fn acceptance(&self, mut commit: Commit) -> Result<Commit, Error> {
        let key = Key::event(self.loaded.shard, self.tenant.no, &self.event.key);
        commit.expects.push(Expect { key: key.clone(), version: None });
        record::put(&mut commit, key, Format::Event, &self.node.now())?;
        if let Some(contact) = &self.contact {
            commit.expects.push(contact.expectation());
            record::put(&mut commit, contact.key.clone(), Format::Contact, &contact.value)?;
        }
        if let Some(target) = &self.target {
            commit.expects.push(target.expectation());
            record::put(&mut commit, target.key.clone(), Format::Target, &target.value)?;
        }
        Ok(commit)
    }

    async fn submit(&self, commit: Commit) -> Result<bool, Error> {
        match self.node.store.commit(commit).await {
            Ok(_) => Ok(true),
            // If it was written after all, the next reading finds the event's id.
            Err(Refused::Stale(_)) => Ok(false),
            Err(
                error
                @ (Refused::Limit(_) | Refused::Unavailable(_) | Refused::Invalid(_) | Refused::Unknown),
            ) => Err(Error::Unavailable(error.to_string())),
        }
    }

    /// The event concerns one enrollment: where none of its sends is out, one commit does it all.
    async fn ends_at_once(&self, id: EnrollmentId, caller: &Caller) -> Result<AtOnce, Error> {
        let read = record::read(&*self.node.store, Arc::clone(self.loaded), id).await?;
        let Some(mut facts) = read else {
            let commit = self.acceptance(Commit::new(Class::Event, self.tenant.no, self.loaded.shard))?;
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
        let now = self.node.now();
        let decisions = leave::event(&facts.view(now), &self.event, self.opted_out);
        let planted = self.node.planted;
        let Transition { commit, after } = if decisions.is_empty() {
            let commit = Commit::new(Class::Event, self.tenant.no, self.loaded.shard);
            let after = facts.record.value.clone();
            Transition { commit, after }
        } else {
            record::transition(&facts, &decisions, now, caller.trace, class_of(&decisions), planted)?
        };
        let commit = self.with_acceptance(commit)?;
        let accepted = self.submit(commit).await?;
        if !accepted {
            return Ok(AtOnce::Again);
        }
        let changed =
            Changed { enrollment: after.enrollment, in_flight: None, changed: !decisions.is_empty() };
        Ok(AtOnce::Answered(answer(vec![changed])))
    }

    /// Whether the facts were read at the same versions as the event's own rows.
    fn same_rows(&self, facts: &Facts) -> bool {
        let same_contact = self
            .contact
            .as_ref()
            .is_none_or(|ours| ours.key != facts.contact.key || ours.version == facts.contact.version);
        let same_target = match (&self.target, &facts.target) {
            (Some(ours), Some(theirs)) => ours.key != theirs.key || ours.version == theirs.version,
            _ => true,
        };
        same_contact && same_target
    }

    /// Lets the facts be decided on as they are once the event is taken in.
    fn take_in(&self, facts: &mut Facts) {
        if let Some(ours) = self.contact.as_ref().filter(|ours| ours.key == facts.contact.key) {
            facts.contact.value = ours.value.clone();
        }
        if let (Some(ours), Some(theirs)) = (&self.target, &mut facts.target)
            && ours.key == theirs.key
        {
            theirs.value = ours.value.clone();
        }
    }

    /// Adds the acceptance to a transition, whose own rows of contact and target say more.
    fn with_acceptance(&self, transition: Commit) -> Result<Commit, Error> {
        let mut commit = self.acceptance(Commit::new(transition.class, self.tenant.no, self.loaded.shard))?;
        for (key, body) in transition.puts {
            commit.puts.retain(|(known, _)| *known != key);
            commit.puts.push((key, body));
        }
        let known: BTreeSet<Key> = commit.expects.iter().map(|expect| expect.key.clone()).collect();
        commit.expects.extend(transition.expects.into_iter().filter(|expect| !known.contains(&expect.key)));
        commit.deletes = transition.deletes;
        commit.counts = transition.counts;
        commit.ledger = transition.ledger;
        Ok(commit)
    }

    /// The event concerns several enrollments, or one whose send is out.
    async fn fan_out(self, caller: &Caller) -> Result<Option<EventAnswer>, Error> {
        let fan_out = FanOut {
            event: (*self.event).clone(),
            opted_out: self.opted_out,
            trace: caller.trace,
            enrollments: self.affected.clone(),
        };
        let key = Key::fan_out(self.loaded.shard, self.tenant.no, &self.event.key);
        let mut commit = self.acceptance(Commit::new(Class::Exit, self.tenant.no, self.loaded.shard))?;
        record::put(&mut commit, key.clone(), Format::FanOut, &fan_out)?;
        let consumed = match self.submit(commit).await {
            Ok(false) => return Ok(None),
            Ok(true) => consume(self.node, self.tenant, fan_out).await,
            Err(error) => Err(error),
        };
        if consumed.is_err() || forget(self.node, self.tenant, &key).await.is_err() {
            // The caller is told to come back, and may not; what was accepted is consumed all the same (E16).
            tokio::spawn(consume_at_last(Arc::clone(self.node), self.tenant.clone(), key));
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
            command::ask(node, tenant, *id, ask)
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
    crate::settings::submit(node, commit).await
}

/// Has an event consumed that was accepted and is not yet consumed by everyone, if it is so.
async fn consume_stored(node: &Arc<Node>, tenant: &TenantHandle, key: &Key) -> Result<(), Error> {
    let Some(row) = node.store.get(vec![key.clone()]).await?.pop().flatten() else { return Ok(()) };
    let fan_out: FanOut = decode(Format::FanOut, &row.body)?;
    consume(node, tenant, fan_out).await?;
    forget(node, tenant, key).await
}

/// Tries again until the event is consumed, or the shard is gone: its next owner goes on with it.
async fn consume_at_last(node: Arc<Node>, tenant: TenantHandle, key: Key) {
    while node.shards().contains_key(&tenant.shard) {
        tokio::time::sleep(limits::RETRY_CONSUME).await;
        match consume_stored(&node, &tenant, &key).await {
            Ok(()) => return,
            Err(error) => {
                tracing::warn!(tenant = tenant.no.0, %error, "an accepted event waits to be consumed")
            }
        }
    }
}

/// Goes on with the events that were accepted and not consumed by everyone when the process ended.
pub(crate) async fn resume(node: &Arc<Node>, tenant: &TenantHandle) -> Result<(), Error> {
    let prefix = Key::fan_outs(tenant.shard, tenant.no);
    for (key, row) in scan_all(&*node.store, prefix.clone(), prefix.after_prefix()).await? {
        let fan_out: FanOut = decode(Format::FanOut, &row.body)?;
        consume(node, tenant, fan_out).await?;
        if forget(node, tenant, &key).await.is_err() {
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

/// The enrollments an event may mean something for.
fn affected(
    event: &Event,
    contact: Option<&Read<Contact>>,
    target: Option<&Read<Target>>,
) -> Vec<EnrollmentId> {
    let mut ids = BTreeSet::new();
    match event.kind {
        EventKind::MessageReceived | EventKind::ContactOptedOut => {
            // A reply may also be credited to an enrollment that has ended since its last send.
            let all = contact.into_iter().flat_map(|contact| contact.value.open_enrollments());
            ids.extend(all.map(|membership| membership.enrollment));
        }
        EventKind::Target(..) => {
            ids.extend(target.into_iter().flat_map(|target| target.value.enrollments.iter().copied()));
        }
        EventKind::Custom(_) => {}
    }
    ids.into_iter().collect()
}

fn contact_takes_in(contact: &mut Contact, event: &Event, opted_out: bool) {
    if event.kind == EventKind::MessageReceived {
        contact.last_inbound_at = contact.last_inbound_at.max(Some(event.occurred_at));
    }
    if opted_out {
        match event.channel {
            Some(kind) => {
                contact.suppressed.insert(kind);
            }
            None => contact.suppressed.extend(Kind::ALL),
        }
    }
}

fn target_takes_in(target: &mut Target, event: &Event) {
    if let EventKind::Target(_, terminal) = event.kind {
        target.learn(TerminalFact { occurred_at: event.occurred_at, event: event.key.id.clone(), terminal });
    }
}
